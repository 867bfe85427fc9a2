"""PMIx values to C and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("_cffi_backend", reason="cffi is missing")

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix import values
from lwkpm.pmi.pmix.values import ffi

ROUND_TRIPS: list[tuple[int, Any]] = [
    (c.BOOL, True),
    (c.BYTE, 255),
    (c.STRING, ""),
    (c.STRING, "päth with blanks; a=b"),
    (c.STRING, "not UTF-8: \udcff"),
    (c.SIZE, 2**64 - 1),
    (c.PID, -1),
    (c.INT, -(2**31)),
    (c.INT8, -128),
    (c.INT16, -(2**15)),
    (c.INT64, -(2**63)),
    (c.UINT16, 2**16 - 1),
    (c.UINT32, 2**32 - 1),
    (c.UINT64, 2**64 - 1),
    (c.FLOAT, 0.5),
    (c.DOUBLE, -1e300),
    (c.TIMEVAL, (12, 34)),
    (c.STATUS, -157),
    (c.PROC_RANK, c.RANK_WILDCARD),
    (c.PROC, ("lwkpm-1", 7)),
    (c.ENVAR, ("PATH", "/opt/bin", b":")),
    (c.BYTE_OBJECT, b""),
    (c.BYTE_OBJECT, b"\0"),
    (c.BYTE_OBJECT, b"\0head\0\0tail\0"),
    (c.BYTE_OBJECT, bytes(range(256)) * 300),
    (c.COMPRESSED_STRING, b"x\x9c\0\0"),
    (c.DATA_ARRAY, (c.UINT32, [])),
    (c.DATA_ARRAY, (c.UINT32, [1, 2, 2**32 - 1])),
    (c.DATA_ARRAY, (c.STRING, ["", "one", "two"])),
    (c.DATA_ARRAY, (c.PROC, [("a", 0), ("b", 1)])),
    (c.DATA_ARRAY, (c.BYTE_OBJECT, [b"\0a\0", b""])),
    (c.DATA_ARRAY, (c.INFO, [("k", c.BYTE_OBJECT, b"\0"), ("l", c.DATA_ARRAY, (c.INT, [-1]))])),
    (0, None),
]


@pytest.mark.parametrize(("kind", "data"), ROUND_TRIPS)
def test_value_round_trip(kind: int, data: Any) -> None:
    value = ffi.new("pmix_value_t *")
    keep: list[Any] = []
    values.fill_value(value, kind, data, keep)
    assert values.read_value(value) == (kind, data)


def test_infos_keep_keys_order_and_memory() -> None:
    infos = [(f"key.{number}", kind, data) for number, (kind, data) in enumerate(ROUND_TRIPS)]
    array, count, keep = values.make_infos(infos)
    noise = [ffi.new("char[]", b"x" * 64) for _ in range(1000)]  # would land on memory that was given back
    assert values.read_infos(array, count) == infos
    assert keep
    assert noise


def test_no_infos_are_null() -> None:
    assert values.make_infos([]) == (values.NULL, 0, [])
    assert values.read_infos(values.NULL, 0) == []


def test_longest_key_fits_and_a_longer_one_is_refused() -> None:
    array, count, _keep = values.make_infos([("k" * 511, c.BOOL, False)])
    assert values.read_infos(array, count) == [("k" * 511, c.BOOL, False)]
    with pytest.raises(IndexError):
        values.make_infos([("k" * 513, c.BOOL, False)])


def test_infos_of_unknown_types_are_left_out() -> None:
    array, count, _keep = values.make_infos([("a", c.INT, 1), ("b", c.INT, 2)])
    array[0].value.type = 9999
    assert values.read_infos(array, count) == [("b", c.INT, 2)]


def test_unknown_type_cannot_be_written() -> None:
    with pytest.raises(values.UnsupportedTypeError):
        values.fill_value(ffi.new("pmix_value_t *"), 9999, 1, [])


def test_pdata_carries_owner_key_and_binary_value() -> None:
    array, count, _keep = values.make_pdata([(("job", 3), ("port", c.BYTE_OBJECT, b"\0p\0"))])
    assert count == 1
    assert values.read_proc(array[0].proc) == ("job", 3)
    assert values.text(array[0].key) == "port"
    assert values.read_value(array[0].value) == (c.BYTE_OBJECT, b"\0p\0")


def test_string_arrays_end_at_null() -> None:
    strings = [ffi.new("char[]", b"one"), ffi.new("char[]", b"two")]
    array = ffi.new("char *[]", [*strings, ffi.NULL])
    assert values.read_strings(array) == ["one", "two"]
    assert values.read_strings(ffi.NULL) == []


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.text("abc", max_size=3), st.booleans()), min_size=1))
def test_rows_are_arrays_of_their_own(cells: list[tuple[int, str, bool]]) -> None:
    rows = [[("n", c.UINT32, number), ("s", c.STRING, word), ("b", c.BOOL, flag)] for number, word, flag in cells]
    array, count, _keep = values.make_infos([("first", c.INT, 1)], "row", rows)
    assert values.read_infos(array, count) == [
        ("first", c.INT, 1),
        *(("row", c.DATA_ARRAY, (c.INFO, row)) for row in rows),
    ]
