"""Every kind of image shows the programs in it the same surroundings."""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.capabilities import user_home
from tests.sifwriter import write_sif

if TYPE_CHECKING:
    from pathlib import Path

    from tests.container.place import Place


@pytest.fixture(scope="module")
def rootfs(demo_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo image as a directory that everybody may enter."""
    folder = tmp_path_factory.mktemp("images")
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(0o755)
    tree = folder / "tree"
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", str(tree), str(demo_image)], check=True)
    return tree


@pytest.fixture(params=["rootfs", "squashfs", "sif"])
def image(request: pytest.FixtureRequest, place: Place, rootfs: Path) -> Path:
    """The demo image in each form."""
    if request.param == "rootfs":
        return rootfs
    return place.image if request.param == "squashfs" else write_sif(place.path / "demo.sif", place.image)


def test_programs_can_write_and_the_image_stays(place: Place, image: Path, as_ordinary_user: bool) -> None:
    before = image.stat().st_mtime_ns
    script = "for f in /usr/bin/new /new /etc/new; do echo x > $f || exit 1; done; rm /etc/debian_version; cat /new"
    if as_ordinary_user:
        script = "echo x > /new && cat /new"  # root's directories stay root's, as everywhere
    done = place.run("-n", "1", image, "sh", "-c", script, user=as_ordinary_user)
    assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr
    assert image.stat().st_mtime_ns == before
    if image.is_dir():
        assert not (image / "new").exists()
        assert (image / "etc/debian_version").exists()
    place.assert_clean()


def test_surroundings(place: Place, image: Path, as_ordinary_user: bool) -> None:
    name, home = ("lwktest", user_home()) if as_ordinary_user else ("root", os.environ["HOME"])
    script = f"id -u; whoami; cd ~ && pwd; ls -d /dev/shm {place.path} /proc/self/stat; test -w /tmp && echo writable"
    done = place.run("-n", "1", image, "sh", "-c", script, user=as_ordinary_user)
    uid = str(pwd.getpwnam(name).pw_uid)
    expected = [uid, name, home, "/dev/shm", "/proc/self/stat", str(place.path), "writable"]
    assert sorted(done.stdout.split()) == sorted(expected), done.stderr


def test_no_container(place: Place, as_ordinary_user: bool) -> None:
    # Not mnt: the ordinary user of these tests has a mount namespace of their own.
    show = ("readlink", "/proc/self/ns/user", "/proc/self/ns/pid")
    done = place.run("-n", "2", "host://", *show, user=as_ordinary_user)
    assert done.stdout.split() == [os.readlink(show[1]), os.readlink(show[2])] * 2


def test_binds(place: Place, as_ordinary_user: bool) -> None:
    source = place.path / "source"
    source.mkdir()
    source.chmod(0o777)
    (source / "file").write_text("text\n")
    binds = ("-B", f"{source}:/mnt/ro:ro", "-B", f"{source}:/mnt/rw", "-B", "/nowhere:/mnt/none:nofail")
    script = "cat /mnt/ro/file; echo x 2>/dev/null > /mnt/ro/no || echo refused; echo new > /mnt/rw/yes"
    done = place.run("-n", "1", *binds, place.image, "sh", "-c", script, user=as_ordinary_user)
    assert (done.returncode, done.stdout.split()) == (0, ["text", "refused"]), done.stderr
    assert sorted(path.name for path in source.iterdir()) == ["file", "yes"]


def test_working_directory(place: Place) -> None:
    assert place.run("-n", "1", "-w", "/usr/share", place.image, "pwd").stdout == "/usr/share\n"
    assert place.run("-n", "1", place.image, "pwd", cwd=place.path).stdout == f"{place.path}\n"


def test_pid_namespace(place: Place, as_ordinary_user: bool) -> None:
    script = "echo $$; ls /proc | grep -c '^[0-9]'"
    done = place.run("-n", "1", "--pidns", place.image, "sh", "-c", script, user=as_ordinary_user)
    assert done.returncode == 0, done.stderr
    assert all(int(number) < 10 for number in done.stdout.split())


def test_two_images_and_the_host(place: Place, rootfs: Path) -> None:
    (rootfs / "etc/which").write_text("directory\n")
    show = ("sh", "-c", "cat /etc/which 2>/dev/null || echo other")
    parts = ("-n", "1", rootfs, *show, ":", "-n", "2", place.image, *show, ":", "-n", "1", "host://", *show)
    done = place.run("-l", *parts)
    (rootfs / "etc/which").unlink()
    assert sorted(done.stdout.splitlines()) == ["[0] directory", "[1] other", "[2] other", "[3] other"], done.stderr
    place.assert_clean()


@pytest.mark.parametrize("link", ["etc/hosts", "etc/passwd", "home", "root", "tmp", "etc"])
def test_links_out_of_a_hostile_image(place: Place, as_ordinary_user: bool, link: str) -> None:
    victim = place.path / "victim"
    victim.mkdir()
    victim.chmod(0o777)
    (victim / "hosts").write_text("precious\n")
    tree = place.path / "hostile"
    for folder in ("bin", "usr", "etc", "home", "root", "tmp", "dev", "proc", "sys"):
        (tree / folder).mkdir(parents=True)
    path = tree / link
    if path.is_dir():
        path.rmdir()
    path.symlink_to(f"../../../../../..{victim}" + ("/hosts" if link.startswith("etc/") else ""))
    place.run("-n", "1", "-B", f"{place.image}:/home/x/y", tree, "/bin/none", user=as_ordinary_user)
    assert [each.name for each in victim.iterdir()] == ["hosts"]
    assert (victim / "hosts").read_text() == "precious\n"
    place.assert_clean()


@pytest.mark.parametrize("form", ["squashfs", "sif"])
def test_environment_that_an_image_file_asks_for(place: Place, form: str, as_ordinary_user: bool) -> None:
    tree = place.path / "tree"
    libc = "usr/lib/x86_64-linux-gnu"
    shell = ("bin", "lib", "lib64", "usr/bin/sh", "usr/bin/dash", "usr/lib64", f"{libc}/libc.so.6")
    command = ["unsquashfs", "-quiet", "-no-progress", "-d", str(tree), str(place.image), *shell]
    subprocess.run([*command, f"{libc}/ld-linux-x86-64.so.2"], check=True)
    scripts = tree / ".singularity.d" / "env"
    scripts.mkdir(parents=True)
    (scripts / "90-environment.sh").write_text("export FROM_IMAGE=yes\nexport HERE=image\nexport LWKPM_RANK=99\n")
    packed = place.path / "with-env.sqfs"
    subprocess.run(["mksquashfs", str(tree), str(packed), "-quiet", "-no-progress", "-all-root"], check=True)
    packed.chmod(0o644)
    image = packed if form == "squashfs" else write_sif(place.path / "with-env.sif", packed)
    script = "echo $FROM_IMAGE $HERE $LWKPM_RANK"
    done = place.run("-x", "HERE=caller", "-n", "1", image, "sh", "-c", script, user=as_ordinary_user)
    assert done.stdout == "yes caller 0\n", done.stderr
    place.assert_clean()


@pytest.mark.parametrize("given", [{}, {"LC_CTYPE": "C.UTF-8"}])
def test_locale_is_the_caller_s_and_names_come_once(place: Place, given: dict[str, str]) -> None:
    done = place.run("-n", "1", place.image, "env", env={"LANG": "C", **given})
    names = [line.partition("=")[0] for line in done.stdout.splitlines()]
    assert ("LC_CTYPE" in names) == bool(given), "Python sets LC_CTYPE for itself where the locale is C"
    assert len(names) == len(set(names)), sorted(names)
    place.assert_clean()
