"""The hand-written declarations of PMIx: generated text, sizes, and the layout in installed headers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("_cffi_backend", reason="cffi is missing")

from lwkpm.pmi.pmix import declarations
from lwkpm.pmi.pmix.upcalls import MEMBERS
from lwkpm.pmi.pmix.values import BLOBS, SCALARS, ffi

SIZES = {"pmix_proc_t": 260, "pmix_value_t": 32, "pmix_info_t": 552, "pmix_pdata_t": 808, "pmix_query_t": 24}
STRUCTS = (
    *SIZES,
    "pmix_app_t",
    "pmix_proc_info_t",
    "pmix_byte_object_t",
    "pmix_data_array_t",
    "pmix_envar_t",
    "pmix_server_module_t",
)
INCLUDE_DIRS = [*Path("/usr/lib").glob("*-linux-gnu/pmix2/include"), Path("/usr/include"), Path("/usr/include/pmix")]


def test_generated_module_is_up_to_date() -> None:
    pytest.importorskip("cffi", reason="cffi's C parser is missing")
    assert Path(declarations.TARGET).read_text(encoding="ascii") == declarations.generate()


def test_run_time_import_parses_no_c() -> None:
    paths = f"import sys; sys.path[:] = {sys.path!r}; "
    script = "import lwkpm.pmi.pmix.server; print(*{'cffi', 'pycparser', 'typing', 'contextlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", paths + script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_struct_sizes(name: str, size: int) -> None:
    assert ffi.sizeof(name) == size


def test_module_prefix_is_that_of_pmix_4() -> None:
    assert ffi.offsetof("pmix_server_module_t", "later") == 28 * 8
    assert set(MEMBERS) <= {name for name, _ in ffi.typeof("pmix_server_module_t").fields}


def fields_of(struct: str) -> list[str]:
    """Members to compare; `later` is ours."""
    return [name for name, _ in ffi.typeof(struct).fields if name != "later"]


def layout_program() -> str:
    """C that prints ``struct member offset`` and ``struct - size`` lines, and the sizes of value members."""
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <pmix_server.h>", "int main(void) {"]
    for struct in STRUCTS:
        lines += [f'printf("{struct} {field} %zu\\n", offsetof({struct}, {field}));' for field in fields_of(struct)]
        lines.append(f'printf("{struct} - %zu\\n", sizeof({struct}));')
    for member in sorted({member for member, _ in SCALARS.values()}):
        lines.append(f'printf("value {member} %zu\\n", sizeof(((pmix_value_t *)0)->data.{member}));')
    return "\n".join([*lines, "return 0;", "}"])


def our_layout() -> dict[tuple[str, str], int]:
    found = {(struct, field): ffi.offsetof(struct, field) for struct in STRUCTS for field in fields_of(struct)}
    found.update({(struct, "-"): ffi.sizeof(struct) for struct in STRUCTS})
    found["pmix_server_module_t", "-"] = ffi.offsetof("pmix_server_module_t", "later")
    value = ffi.new("pmix_value_t *")
    for member, _ in SCALARS.values():
        found["value", member] = ffi.sizeof(ffi.typeof(ffi.addressof(value.data, member)).item)
    return found


def test_layout_matches_installed_headers(tmp_path: Path) -> None:
    include = next((folder for folder in INCLUDE_DIRS if (folder / "pmix_server.h").exists()), None)
    if include is None:
        pytest.skip("pmix_server.h is missing (libpmix-dev)")
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing")
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text(layout_program())
    subprocess.run(["gcc", "-I", str(include), "-o", str(program), str(source)], check=True)
    lines = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    theirs = {(struct, field): int(number) for struct, field, number in map(str.split, lines)}
    module = theirs["pmix_server_module_t", "-"]
    assert module >= our_layout()["pmix_server_module_t", "-"]  # later versions only append
    theirs["pmix_server_module_t", "-"] = our_layout()["pmix_server_module_t", "-"]
    assert theirs == our_layout()
    assert module <= ffi.sizeof("pmix_server_module_t")


def test_scalars_and_blobs_are_distinct() -> None:
    assert not set(SCALARS) & set(BLOBS)
