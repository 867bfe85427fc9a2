#!/bin/bash
# One job per MPI in the demo image; the command is shown before its output.
set -eu
cd "$(dirname "$0")/.."
image=$1
for program in ring-mpich ring-openmpi ring-impi; do
    echo "\$ lwkpm-run -n 4 $image $program"
    .venv/bin/lwkpm-run -n 4 "$image" "$program"
done
