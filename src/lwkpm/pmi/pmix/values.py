"""pmix_value_t and pmix_info_t to Python and back.

A value is ``(type, data)``, an info ``(key, type, data)``; data is bool, int, float, str, bytes, a proc
``(nspace, rank)``, an envar ``(name, value, separator)``, a timeval ``(seconds, microseconds)`` or, for a data
array, ``(element type, list)``. Byte objects keep their NUL bytes.
"""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix._generated_abi import ffi as generated_ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Info = tuple[str, int, Any]
    Proc = tuple[str, int]

ffi: Any = generated_ffi  # what the declarations make of the C types is out of a type checker's sight
NULL = ffi.NULL

# Plain numbers: PMIx type -> union member, C type of an array element.
SCALARS = {
    c.BOOL: ("flag", "_Bool"),
    c.BYTE: ("byte", "uint8_t"),
    c.SIZE: ("size", "size_t"),
    c.PID: ("pid", "int32_t"),
    c.INT: ("integer", "int"),
    c.INT8: ("int8", "int8_t"),
    c.INT16: ("int16", "int16_t"),
    c.INT32: ("int32", "int32_t"),
    c.INT64: ("int64", "int64_t"),
    c.UINT: ("uint", "unsigned int"),
    c.UINT8: ("uint8", "uint8_t"),
    c.UINT16: ("uint16", "uint16_t"),
    c.UINT32: ("uint32", "uint32_t"),
    c.UINT64: ("uint64", "uint64_t"),
    c.FLOAT: ("fval", "float"),
    c.DOUBLE: ("dval", "double"),
    c.TIME: ("time", "int64_t"),
    c.STATUS: ("status", "pmix_status_t"),
    c.PERSIST: ("uint8", "uint8_t"),
    c.SCOPE: ("uint8", "uint8_t"),
    c.DATA_RANGE: ("uint8", "uint8_t"),
    c.PROC_STATE: ("uint8", "uint8_t"),
    c.PROC_RANK: ("rank", "pmix_rank_t"),
    c.ALLOC_DIRECTIVE: ("uint8", "uint8_t"),
    c.JOB_STATE: ("uint8", "uint8_t"),
    c.LINK_STATE: ("uint8", "uint8_t"),
}
BLOBS = (c.BYTE_OBJECT, c.COMPRESSED_STRING, c.COMPRESSED_BYTE_OBJECT, c.REGEX)


class UnsupportedTypeError(Exception):
    """A PMIx data type that this server does not carry."""


def text(pointer: Any) -> str:
    """A C string; NULL is the empty string."""
    return str(ffi.string(pointer), "utf-8", "surrogateescape") if pointer else ""


def encode(string: str) -> bytes:
    """The bytes of a C string, undoing `text`."""
    return string.encode("utf-8", "surrogateescape")


def read_proc(proc: Any) -> Proc:
    """Copy a pmix_proc_t."""
    return text(proc.nspace), proc.rank


def read_procs(procs: Any, count: int) -> list[Proc]:
    """Copy an array of pmix_proc_t."""
    return [read_proc(procs[index]) for index in range(count)]


def read_strings(array: Any) -> list[str]:
    """A NULL-terminated array of strings."""
    found: list[str] = []
    while array and array[len(found)]:
        found.append(text(array[len(found)]))
    return found


def read_value(value: Any) -> tuple[int, Any]:
    """Copy a pmix_value_t out."""
    kind = value.type
    if kind in SCALARS:
        return kind, getattr(value.data, SCALARS[kind][0])
    if kind == c.STRING:
        return kind, text(value.data.string)
    if kind in BLOBS:
        return kind, read_blob(value.data.bo)
    return kind, READERS.get(kind, _unsupported)(value.data)


def _unsupported(_data: Any) -> Any:
    raise UnsupportedTypeError


def read_blob(blob: Any) -> bytes:
    """Copy a pmix_byte_object_t."""
    return bytes(ffi.buffer(blob.bytes, blob.size)) if blob.bytes else b""


def _read_array(data: Any) -> tuple[int, list[Any]]:
    array = data.darray
    if not array:
        return 0, []
    kind, size = array.type, array.size
    if kind in SCALARS:
        return kind, list(ffi.cast(SCALARS[kind][1] + "*", array.array)[0:size]) if size else []
    if kind not in ELEMENTS:
        raise UnsupportedTypeError
    c_type, read, _ = ELEMENTS[kind]
    elements = ffi.cast(c_type + "*", array.array)
    return kind, [read(elements[index]) for index in range(size)]


READERS: dict[int, Callable[[Any], Any]] = {
    0: lambda _data: None,
    c.PROC: lambda data: read_proc(data.proc),
    c.ENVAR: lambda data: (text(data.envar.envar), text(data.envar.value), data.envar.separator),
    c.TIMEVAL: lambda data: (data.tv.tv_sec, data.tv.tv_usec),
    c.POINTER: lambda _data: 0,  # an address of another process means nothing here
    c.DATA_ARRAY: _read_array,
}


def read_info(info: Any) -> Info:
    """Copy a pmix_info_t; its flags are not carried."""
    kind, data = read_value(info.value)
    return text(info.key), kind, data


def read_infos(infos: Any, count: int) -> list[Info]:
    """Copy an array of pmix_info_t; entries of a type we do not carry are left out."""
    found = []
    for index in range(count):
        try:
            found.append(read_info(infos[index]))
        except UnsupportedTypeError:
            continue
    return found


def fill_value(value: Any, kind: int, data: Any, keep: list[Any]) -> None:
    """Set a pmix_value_t; memory it points to is added to `keep`, which must outlive it."""
    value.type = kind
    if kind in SCALARS:
        setattr(value.data, SCALARS[kind][0], data)
    elif kind == c.STRING:
        value.data.string = _c_string(data, keep)
    elif kind in BLOBS:
        _fill_blob(value.data.bo, data, keep)
    else:
        WRITERS.get(kind, _cannot_write)(value.data, data, keep)


def _cannot_write(_target: Any, _data: Any, _keep: list[Any]) -> None:
    raise UnsupportedTypeError


def _c_string(string: str, keep: list[Any]) -> Any:
    pointer = ffi.new("char[]", encode(string))
    keep.append(pointer)
    return pointer


def _fill_blob(blob: Any, data: bytes, keep: list[Any]) -> None:
    blob.size = len(data)
    if data:
        memory = ffi.new("char[]", data)
        keep.append(memory)  # not blob.bytes: what is read back is a pointer that owns nothing
        blob.bytes = memory


def fill_proc(proc: Any, data: Proc, _keep: list[Any] | None = None) -> None:
    """Set a pmix_proc_t."""
    proc.nspace = encode(data[0])
    proc.rank = data[1]


def fill_info(info: Any, data: Info, keep: list[Any]) -> None:
    """Set a pmix_info_t; `keep` as for `fill_value`."""
    info.key = encode(data[0])
    fill_value(info.value, data[1], data[2], keep)


def _fill_string(element: Any, data: str, keep: list[Any]) -> None:
    element[0] = _c_string(data, keep)


def _write_proc(target: Any, data: Proc, keep: list[Any]) -> None:
    proc = ffi.new("pmix_proc_t *")
    keep.append(proc)
    fill_proc(proc, data)
    target.proc = proc


def _write_envar(target: Any, data: tuple[str, str, bytes], keep: list[Any]) -> None:
    target.envar.envar = _c_string(data[0], keep)
    target.envar.value = _c_string(data[1], keep)
    target.envar.separator = data[2]


def _write_timeval(target: Any, data: tuple[int, int], _keep: list[Any]) -> None:
    target.tv.tv_sec, target.tv.tv_usec = data


def _write_array(target: Any, data: tuple[int, Sequence[Any]], keep: list[Any]) -> None:
    kind, elements = data
    array = ffi.new("pmix_data_array_t *")
    keep.append(array)
    target.darray = array
    array.type = kind
    array.size = len(elements)
    if not elements:
        return
    if kind in SCALARS:
        block = ffi.new(SCALARS[kind][1] + "[]", elements)
    elif kind in ELEMENTS:
        c_type, _, fill = ELEMENTS[kind]
        block = ffi.new(c_type + "[]", len(elements))
        for index, element in enumerate(elements):
            fill(block + index if kind == c.STRING else block[index], element, keep)
    else:
        raise UnsupportedTypeError
    keep.append(block)
    array.array = block


def _write_nothing(_target: Any, _data: Any, _keep: list[Any]) -> None:
    return None


WRITERS: dict[int, Callable[[Any, Any, list[Any]], None]] = {
    0: _write_nothing,
    c.PROC: _write_proc,
    c.ENVAR: _write_envar,
    c.TIMEVAL: _write_timeval,
    c.DATA_ARRAY: _write_array,
}
# Elements of data arrays that are not plain numbers: C type, reader, writer.
ELEMENTS: dict[int, tuple[str, Any, Any]] = {
    c.STRING: ("char *", text, _fill_string),
    c.PROC: ("pmix_proc_t", read_proc, fill_proc),
    c.INFO: ("pmix_info_t", read_info, fill_info),
    c.BYTE_OBJECT: ("pmix_byte_object_t", read_blob, _fill_blob),
}


def make_infos(infos: Sequence[Info], key: str = "", rows: Sequence[Sequence[Info]] = ()) -> tuple[Any, int, list[Any]]:
    """(array or NULL, count, memory to keep) for a call of the library.

    `rows` follow the `infos`, each as a data array under `key`; all have the keys and types of the first one.
    """
    count = len(infos) + len(rows)
    if not count:
        return NULL, 0, []
    keep: list[Any] = []
    array = ffi.new("pmix_info_t[]", count)
    keep.append(array)
    for index, info in enumerate(infos):
        fill_info(array[index], info, keep)
    if rows:
        _fill_rows(array + len(infos), key, rows, keep)
    return array, count, keep


def _fill_rows(target: Any, key: str, rows: Sequence[Sequence[Info]], keep: list[Any]) -> None:
    """The first row is written and copied for the others, where what differs is written: half the time."""
    width, first = len(rows[0]), rows[0]
    row_bytes = width * ffi.sizeof("pmix_info_t")
    cells = ffi.new("pmix_info_t[]", width * len(rows))
    arrays = ffi.new("pmix_data_array_t[]", len(rows))
    keep += (cells, arrays)
    for column, info in enumerate(first):
        fill_info(cells[column], info, keep)
    for index, row in enumerate(rows):
        start = cells + index * width
        if index:
            ffi.memmove(start, cells, row_bytes)
        for column, info in enumerate(row):
            if info[2] != first[column][2]:
                fill_value(start[column].value, info[1], info[2], keep)
        array = arrays[index]
        array.type, array.size, array.array = c.INFO, width, start
        info = target[index]
        info.key = encode(key)
        info.value.type = c.DATA_ARRAY
        info.value.data.darray = arrays + index


def make_pdata(found: Sequence[tuple[Proc, Info]]) -> tuple[Any, int, list[Any]]:
    """Published data as (array, count, memory to keep), for a lookup's answer."""
    keep: list[Any] = []
    array = ffi.new("pmix_pdata_t[]", len(found))
    keep.append(array)
    for index, (proc, (key, kind, data)) in enumerate(found):
        fill_proc(array[index].proc, proc)
        array[index].key = encode(key)
        fill_value(array[index].value, kind, data, keep)
    return array, len(found), keep


def make_proc(nspace: str, rank: int) -> Any:
    """A pmix_proc_t *."""
    proc = ffi.new("pmix_proc_t *")
    fill_proc(proc, (nspace, rank))
    return proc
