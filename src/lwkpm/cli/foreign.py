"""Options of other launchers and container front ends, with what to do here; read only when one was typed."""

from __future__ import annotations

from lwkpm.cli.options import Foreign

_ONE_NODE = "leave it out: this version starts all ranks on the node it is called on"
_HOST_LIBRARIES = "leave it out, and bind what the program needs: -B SRC:DST"
_LETTER = "write the option's long name"

# (owner, what to do here, the names)
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("Open MPI mpirun, Hydra", _ONE_NODE, "-H --host --hosts --hostlist -f --hostfile --machinefile --add-hostfile"),
    ("Hydra mpiexec", _ONE_NODE, "--bootstrap --launcher --bootstrap-exec --launcher-exec --hosts-group --iface"),
    ("Open MPI mpirun", _ONE_NODE, "--launch-agent --rankfile -rf --nolocal --prefix --default-hostfile"),
    ("srun", _ONE_NODE, "--nodelist --nodes --exclude --partition --account --jobid --exclusive --overlap"),
    ("Open MPI mpirun", "use -x OMPI_MCA_NAME=VALUE (for --mca NAME VALUE)", "--mca --gmca --omca --am --tune"),
    ("Open MPI prterun", "use -x PMIX_MCA_NAME=VALUE or -x PRTE_MCA_NAME=VALUE", "--pmixmca --prtemca"),
    ("Open MPI mpirun", "leave it out: more ranks than cores are allowed", "--oversubscribe --use-hwthread-cpus"),
    ("Open MPI mpirun", "leave it out: root may run it", "--allow-run-as-root"),
    ("Open MPI mpirun", "use --report-bindings or --dry-run", "--display --display-map --display-allocation"),
    ("Open MPI mpirun", "use --map-by ppr:K:package", "--npersocket --ppr"),
    ("Open MPI mpirun", "use --outfile 'DIR/rank.%R.out' (and --errfile)", "--output-filename"),
    ("Open MPI prterun", "use --label, --outfile or --errfile", "--output"),
    ("Open MPI mpirun", "use --no-kill", "--enable-recovery --continuous"),
    ("Open MPI mpirun", "write the parts on the command line: -n 1 IMAGE A : -n 2 IMAGE B", "--app --appfile"),
    ("Hydra mpiexec", "write the parts on the command line: -n 1 IMAGE A : -n 2 IMAGE B", "--configfile"),
    ("srun", "write the parts on the command line: -n 1 IMAGE A : -n 2 IMAGE B", "--multi-prog"),
    ("Hydra mpiexec", "leave it out: it is the default here", "--genvall --envall"),
    ("Hydra mpiexec", "use --clean-env", "--envnone"),
    ("Hydra mpiexec", "use --label", "--prepend-pattern"),
    ("Hydra mpiexec", "use --bind-to none or --bind-to core", "--binding"),
    ("Intel mpiexec", "use -v and --report-bindings", "--print-rank-map --prot --trace --check_mpi"),
    ("srun", "use -x A=V, -x A or --clean-env", "--export"),
    ("srun", "use --bind-to", "--cpu-bind --mem-bind --distribution"),
    ("srun", "use --stdin", "--input"),
    ("srun", "use --no-kill, or leave it out: a failing rank ends the job", "--kill-on-bad-exit -K --wait -W"),
    ("srun", "use --timeout SEC (seconds, not minutes)", "--time"),
    ("Open MPI mpirun, srun, apptainer", _LETTER + ": -n N for processes, --cpus-per-rank C for CPUs", "-c"),
    ("srun, podman, apptainer", _LETTER + ": -x A=V for environment, --errfile P for stderr", "-e"),
    ("srun, flux, apptainer", _LETTER + ": --outfile P for stdout", "-o"),
    ("Intel mpiexec, srun, apptainer", _LETTER + ": --stdin WHO for stdin", "-s"),
    ("srun, apptainer", _LETTER + ": --pidns for a pid namespace", "-p --pid"),
    ("srun", _LETTER + ": --map-by HOW", "-m"),
    ("srun, flux", "leave it out: GPUs are not handled by this version", "-g --gpus --gpus-per-task --gpus-per-rank"),
    ("apptainer", _HOST_LIBRARIES, "--nv --rocm --nvccli --gpu --fabric"),
    ("Hydra mpiexec", _HOST_LIBRARIES, "--gpus-per-proc"),
    ("apptainer", "leave it out: programs can write, into memory, and the image stays as it is", "--writable-tmpfs"),
    ("apptainer, pyxis", "leave it out: images are not changed; bind a directory with -B", "--writable --read-only"),
    ("apptainer", "leave it out: one container is shared by all ranks", "--sharens --contain --containall -C"),
    ("apptainer", "leave it out: ids inside and outside are the same (PMIx compares them)", "--fakeroot --userns"),
    ("apptainer", "use -B SRC:DST", "--home --scratch --overlay"),
    ("podman", "use -B SRC:DST[:OPTS]", "--volume"),
    ("podman", "leave it out: /dev/shm and the network are the host's", "--ipc --net --network --shm-size --rm"),
    ("pyxis", "use --image URI", "--container-image --container-name"),
    ("conexec", "leave it out: this version runs on Linux cores only", "--lwk --lwk-cores --lwk-mem"),
    ("conexec", "leave it out: this version runs on Linux cores only", "--lwk-syscall-cores"),
)

FOREIGN: dict[str, Foreign] = {
    name: Foreign(owner=owner, instead=instead) for owner, instead, names in _ROWS for name in names.split()
}


def look_up(spelling: str) -> Foreign | None:
    """Whose option this is, however many dashes it was typed with."""
    bare = spelling.lstrip("-")
    if len(bare) == 1:
        return FOREIGN.get(spelling)
    return FOREIGN.get("--" + bare) or FOREIGN.get("-" + bare)
