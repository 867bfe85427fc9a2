"""Frozen value classes for plans.

`dataclasses` and `typing.NamedTuple` cost 5-17 ms of import each, more than everything else on the run path
together; this base does the little that plans need (keyword construction, repr, equality, `replace`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_options: object) -> object:
        """The runtime needs only the decorator's shape."""
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Value:
    """Base class: annotated attributes are fields, class attributes their defaults."""

    _fields: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        own = tuple(name for name in vars(cls).get("__annotations__", {}) if not name.startswith("_"))
        cls._fields = cls._fields + own

    def __init__(self, **given: Any) -> None:
        for name in self._fields:
            if name in given:
                object.__setattr__(self, name, given.pop(name))
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__}: missing field {name!r}")
        if given:
            raise TypeError(f"{type(self).__name__}: unknown fields {', '.join(sorted(given))}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self._fields))

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, one level deep."""
        return {name: getattr(self, name) for name in self._fields}

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**self.as_dict(), **changes})
