#!/bin/bash
# Makes a checkout ready: Debian packages, .venv, the ordinary test user. Safe to run again; does only what is missing.
#   tools/setup.sh [demo|test]
# As root missing packages are installed; otherwise the one command that installs them is printed and we stop.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-demo}

# What is needed and the file or program that shows it is there.
needs() {
    cat <<'TABLE'
gcc              /usr/bin/gcc
make             /usr/bin/make
libc6-dev        /usr/include/stdio.h
python3-venv     /usr/share/doc/python3-venv
mmdebstrap       /usr/bin/mmdebstrap
squashfs-tools   /usr/bin/mksquashfs
squashfuse       /usr/bin/squashfuse
fuse3            /usr/bin/fusermount3
zstd             /usr/bin/zstd
uidmap           /usr/bin/newuidmap
TABLE
    if [ "$purpose" = test ]; then
        echo 'gdb              /usr/bin/gdb'
        echo 'python3-pmix     /usr/share/doc/python3-pmix'
        echo 'libpmix-dev      /usr/share/doc/libpmix-dev'
    fi
}

missing_packages() {
    needs | while read -r package file; do
        [ -e "$file" ] || dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || echo "$package"
    done
}

install_packages() {
    local missing
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    local command="apt-get install -y --no-install-recommends $missing"
    if [ "$(id -u)" != 0 ]; then
        echo "setup: Debian packages are missing; as root: $command" >&2
        exit 1
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive $command
}

# The system's Python when it is there: a Python below a home directory cannot be reached by the other test user.
make_venv() {
    local python=/usr/bin/python3 key stamp=.venv/.lwkpm-stamp
    [ -x $python ] || python=python3
    key=$(cat pyproject.toml tools/setup.sh tools/install_scripts.py | sha256sum)
    [ "$(cat $stamp 2>/dev/null)" != "$key $PWD" ] || return 0
    rm -rf .venv
    $python -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[pmix,dev]'
    .venv/bin/python tools/install_scripts.py
    echo "$key $PWD" >$stamp
}

# Byte code beside the sources, for a user who may not write there.
compile_sources() {
    .venv/bin/python -m compileall -q src
}

make_test_user() {
    [ "$(id -u)" = 0 ] || return 0
    id -u lwktest >/dev/null 2>&1 || useradd -m lwktest
}

install_packages
make_venv
compile_sources
[ "$purpose" != test ] || make_test_user
