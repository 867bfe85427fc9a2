from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lwkpm.image.environment import MAX_VARIABLES, read_environment

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path, **scripts: str) -> dict[str, str]:
    folder = root / ".singularity.d" / "env"
    folder.mkdir(parents=True)
    for name, text in scripts.items():
        (folder / f"{name.strip('_').replace('_', '-')}.sh").write_text(text)
    return read_environment(str(root))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("export A=x", {"A": "x"}),
        ("export A='x y' B=\"z w\" # said", {"A": "x y", "B": "z w"}),
        ('export A="${A:-"x y"}"', {"A": "x y"}),
        ("export A=${A:-x}", {"A": "x"}),
        (': "${A:=x}"', {"A": "x"}),
        (": ${A:=x}", {"A": "x"}),
        (r'export A="a\"b\$c\d"', {"A": r'a"b$c\d'}),
        ("export A='$HOME'", {"A": "$HOME"}),
        ("export A=/opt:$NONE", {"A": "/opt:"}),
        ("export A=", {"A": ""}),
        ("export A", {}),
        ("A=x", {}),
        ("export A=$(date)", {}),
        ("export A=`date`", {}),
        ("export A=x; rm -rf /", {"A": "x"}),
        ("export A=${B%%x}", {}),
        ('export A="first', {}),
        ("export A=x | cat", {}),
        ("export 1A=x", {}),
        ("export A=*", {}),
        ("set -e", {}),
    ],
)
def test_lines(tmp_path: Path, line: str, expected: dict[str, str]) -> None:
    assert read(tmp_path, _90_environment=line + "\n") == expected


def test_scripts_are_read_in_order_and_expanded(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        _90_environment="export PATH=/opt/mpi/bin:$PATH\nexport V=${BASE}-2\n",
        _10_docker2singularity='export PATH="/usr/bin:/bin"\nexport BASE=1\n',
    )
    assert found == {"PATH": "/opt/mpi/bin:/usr/bin:/bin", "BASE": "1", "V": "1-2"}


def test_blocks_are_left_out(tmp_path: Path) -> None:
    text = """
if [ -n "$X" ]; then
    export A=1
    if true; then export B=1; fi
    export C=1
fi
for i in 1; do export D=1; done
f() {
    export E=1
}
case x in
  x) export F=1 ;;
esac
export G=1
"""
    assert read(tmp_path, _50=text) == {"G": "1"}


def test_charliecloud(tmp_path: Path) -> None:
    (tmp_path / "ch").mkdir()
    (tmp_path / "ch" / "environment").write_text("PATH=/bin:/usr/bin\nA='x y'\nB=\n# no\n")
    assert read_environment(str(tmp_path)) == {"PATH": "/bin:/usr/bin", "A": "x y", "B": ""}


def test_trees_without_metadata(tmp_path: Path) -> None:
    assert read_environment(str(tmp_path)) == {}
    assert read_environment(str(tmp_path / "nowhere")) == {}


def test_links_to_the_host_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "host.sh"
    outside.write_text("export SECRET=1\n")
    root = tmp_path / "root"
    (root / ".singularity.d" / "env").mkdir(parents=True)
    (root / ".singularity.d" / "env" / "10.sh").symlink_to(outside)
    assert read_environment(str(root)) == {}


def test_number_of_variables_is_bounded(tmp_path: Path) -> None:
    text = "".join(f"export A{number}=1\n" for number in range(MAX_VARIABLES + 50))
    assert len(read(tmp_path, _10=text)) == MAX_VARIABLES
