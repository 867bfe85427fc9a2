"""Write small ELF files: a header, three segments, an interpreter and a dynamic section."""

from __future__ import annotations

import struct

ADDRESS = 0x400000


def make_elf(
    *,
    machine: int = 62,
    bits: int = 64,
    order: str = "<",
    kind: int = 3,
    interp: str = "",
    needed: tuple[str, ...] = (),
    soname: str = "",
    runpath: str = "",
    tail: bytes = b"",
) -> bytes:
    """An ELF file loaded as one piece at ADDRESS; `tail` is appended."""
    word = "Q" if bits == 64 else "I"
    header_size, entry_size = (64, 56) if bits == 64 else (52, 32)
    strings = bytearray(b"\0")
    pairs = []
    for tag, text in [*((1, name) for name in needed), (14, soname), (29, runpath)]:
        if text:
            pairs.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    interp_at = header_size + 3 * entry_size
    strings_at = interp_at + len(interp) + 1
    dynamic_at = strings_at + len(strings)
    pairs += [(5, ADDRESS + strings_at), (0, 0)]
    dynamic = b"".join(struct.pack(order + 2 * word, *pair) for pair in pairs)
    total = dynamic_at + len(dynamic)
    segments = ((1, 0, total), (3 if interp else 4, interp_at, len(interp) + 1), (2, dynamic_at, len(dynamic)))
    table = b"".join(_segment(order, bits, *one) for one in segments)
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    rest = (kind, machine, 1, ADDRESS, header_size, 0, 0, header_size, entry_size, 3, 0, 0, 0)
    head = ident + struct.pack(f"{order}HHI3{word}I6H", *rest)
    return head + table + interp.encode() + b"\0" + bytes(strings) + dynamic + tail


def _segment(order: str, bits: int, kind: int, offset: int, size: int) -> bytes:
    at = ADDRESS + offset
    if bits == 64:
        return struct.pack(order + "II6Q", kind, 4, offset, at, at, size, size, 1)
    return struct.pack(order + "8I", kind, offset, at, at, size, size, 4, 1)
