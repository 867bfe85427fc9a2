"""Every error code with a title and an explanation, for ``lwkpm explain`` and the documentation."""

from __future__ import annotations

CATALOGUE: dict[str, tuple[str, str]] = {
    "LWKPM-E001": (
        "unknown option",
        """\
lwkpm-run takes no abbreviations, and options stand before IMAGE; what follows APP belongs to APP. Many
options of mpirun, mpiexec and srun are accepted; for the others the message says what to use instead.""",
    ),
    "LWKPM-E002": (
        "an option lacks its value, or was given one it does not take",
        "Values follow as the next word (-n 4) or after '=' (--timeout=60). Flags such as --label take none.",
    ),
    "LWKPM-E003": (
        "bad value of an option",
        "The message lists what is possible. Times are seconds, or 90s, 5m, 2h.",
    ),
    "LWKPM-E004": (
        "bad number of processes",
        """\
Each part of a job needs -n with a whole number from 1 to 1048576; the parts together stay below that too.""",
    ),
    "LWKPM-E005": (
        "no image",
        """\
The first word that is no option is the image: a directory, a squashfs or SIF file, or host:// for none. With
--image URI it is left out. A lone ':' on the command line begins the next part.""",
    ),
    "LWKPM-E006": (
        "no program",
        "After the image comes the program; options after the image would be the program's.",
    ),
    "LWKPM-E007": (
        "an option of the whole job after a ':'",
        "Only -n, --image, -x and its relatives, --clean-env, -w and -B may differ between the parts of a job.",
    ),
    "LWKPM-E008": (
        "bad variable",
        """\
-x NAME=VALUE sets, -x NAME and -x 'NAME*' pass the caller's values. Names are not empty and have no spaces.""",
    ),
    "LWKPM-E009": (
        "a variable that cannot be given to ranks",
        """\
PMI_*, PMI2_*, PMIX_*, PRTE_*, HYDRA_*, HYDI_* and the like connect ranks to a launcher. lwkpm sets
its own; another launcher's would make every rank a world of its own. PMI_DEBUG and PMIX_MCA_* may be given.""",
    ),
    "LWKPM-E010": (
        "bad file of variables",
        """\
--env-file FILE has lines NAME=VALUE (set) or NAME (pass), taken as they are, without quotes or expansion;
empty lines and lines beginning with # are skipped.""",
    ),
    "LWKPM-E011": (
        "bad bind",
        "-B SRC[:DST[:OPTIONS]]: DST is absolute and defaults to SRC; options are ro, rw, rprivate, nofail.",
    ),
    "LWKPM-E012": (
        "bad mapping or binding",
        "--map-by, --bind-to and --rank-by know the words that the message lists.",
    ),
    "LWKPM-E013": (
        "the ranks do not fit",
        """\
The mapping asks for more places than the CPUs of this process offer. Binding can be left to the kernel with
--bind-to none; without --bind-to, more ranks than cores are simply not bound.""",
    ),
    "LWKPM-E014": (
        "bad file name pattern",
        "%r rank, %R rank with leading zeros, %l rank on its node, %h host name, %n job name, %% a percent sign.",
    ),
    "LWKPM-E015": (
        "unknown command or code",
        "lwkpm run, lwkpm explain, lwkpm --version; codes look like LWKPM-E021.",
    ),
    "LWKPM-E016": (
        "bad MPIEXEC_TIMEOUT",
        """\
The variable is read as other launchers do: seconds after which the job is ended, -1 or empty for no limit.""",
    ),
    "LWKPM-E017": (
        "an output file cannot be written",
        """\
A file of --outfile, --errfile or --json cannot be made or opened; the message names it and says why. Directories on
the way are made for --outfile and --errfile.""",
    ),
    "LWKPM-E020": (
        "no such image",
        """\
No file or directory has that name (exit status 127). Relative paths begin at the current directory of lwkpm-
run; the message names files that look alike.""",
    ),
    "LWKPM-E021": (
        "the image cannot be read",
        "This user may not read the file or one of the directories above it.",
    ),
    "LWKPM-E022": (
        "the image is empty",
        "The file has 0 bytes, as an interrupted copy or a full disk leaves it.",
    ),
    "LWKPM-E023": (
        "not an image that lwkpm can run",
        """\
lwkpm runs root file systems in directories, squashfs files and SIF files. Archives must be unpacked first.""",
    ),
    "LWKPM-E024": (
        "the image is damaged",
        """\
What the file says about itself does not agree with its size or content. Copy or build it again and compare
checksums; a truncated copy is the usual reason.""",
    ),
    "LWKPM-E025": (
        "a squashfs that cannot be mounted",
        """\
Its version or compression is not one that the kernel mounts: mksquashfs of today makes version 4 and offers
gzip, zstd, lzo, lz4 and xz.""",
    ),
    "LWKPM-E026": (
        "a SIF file that cannot be mounted",
        """\
lwkpm runs the primary system partition of a SIF file. Squashfs serves everybody; ext3 (Singularity 2 and
--writable images) only root, through a loop device. Encrypted partitions, archives and OCI-SIF files, which carry
layers in place of a partition, are not mounted: build the image again with a squashfs root, or unpack it.""",
    ),
    "LWKPM-E027": (
        "the image is for another machine",
        "The SIF file says that it was made for another processor architecture than this machine's.",
    ),
    "LWKPM-E028": (
        "a directory without a root file system",
        "A root file system has /bin or /usr. An OCI bundle keeps it in rootfs/ below the directory.",
    ),
    "LWKPM-E029": (
        "an image of another kind",
        "Images from registries and archives are to be converted to a directory, squashfs or SIF file first.",
    ),
    "LWKPM-E031": (
        "conenter is missing",
        """\
The small C program that makes the container was not built or not installed. `make -C launcher` builds it.""",
    ),
    "LWKPM-E032": (
        "user namespaces are blocked",
        """\
An ordinary user's container needs a user namespace. Distributions block them by user.max_user_namespaces,
kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns; engines by seccomp.""",
    ),
    "LWKPM-E033": (
        "the image cannot be mounted",
        """\
Root mounts image files through a loop device, others through squashfuse and /dev/fuse. A directory needs
neither: unsquashfs makes one from a squashfs file.""",
    ),
    "LWKPM-E034": (
        "a bind failed",
        """\
The source of a -B does not exist or may not be read, or the target cannot be made. The option nofail skips a
bind whose source is missing.""",
    ),
    "LWKPM-E035": (
        "the container cannot be made writable",
        """\
Programs write into an overlay in memory over the read-only image. Ordinary users need Linux 5.11 for that.""",
    ),
    "LWKPM-E036": (
        "the container cannot be made",
        "A step failed that usually does not; -v shows what was done before.",
    ),
    "LWKPM-E037": (
        "conenter was lost",
        """\
The program that is parent of all ranks ended before them, usually by the out-of-memory killer (see dmesg).""",
    ),
    "LWKPM-E038": (
        "the content of the image cannot be reached",
        """\
Neither a loop device nor squashfuse could mount it, and it could not be unpacked into the cache (LWKPM_CACHE,
with unsquashfs from squashfs-tools). A directory as the image needs none of these.""",
    ),
    "LWKPM-E040": (
        "no such program",
        "APP is neither a path in the image nor found by the image's PATH (status 127).",
    ),
    "LWKPM-E041": (
        "the program is a directory",
        "APP names a directory in the image (status 126).",
    ),
    "LWKPM-E042": (
        "the program cannot be run",
        "It exists in the image, but may not be executed by this user: see its mode and that of its directories.",
    ),
    "LWKPM-E043": (
        "the program is for another machine",
        """\
The ELF header says that it was built for another processor architecture than this machine's (status 126).""",
    ),
    "LWKPM-E044": (
        "not a program",
        "The file is neither ELF nor a script that begins with #!, so the kernel cannot run it (status 126).",
    ),
    "LWKPM-E045": (
        "the program's interpreter is missing",
        "A script's #! line or an ELF program's dynamic loader names a file that the image does not have.",
    ),
    "LWKPM-E046": (
        "no such working directory",
        """\
-w names a directory inside the container; bind it with -B if needed. Without -w ranks run in the current
directory, which must exist and be open to this user, or in the home directory where the image's own /usr, /etc,
/opt and the like hide it.""",
    ),
    "LWKPM-E051": (
        "no PMIx library",
        """\
Open MPI needs a PMIx server, which lwkpm takes from libpmix.so.2 (4.2 or later). MPICH and Intel MPI do not.""",
    ),
    "LWKPM-E052": (
        "the PMIx library refused to serve",
        "libpmix returned an error where none is expected. Another libpmix can be named in LWKPM_LIBPMIX.",
    ),
    "LWKPM-E055": (
        "ranks that are worlds of their own",
        """\
A rank has loaded an MPI library but never reached a PMI server of lwkpm, so MPI_COMM_WORLD had size 1 in each
of them. The message says which MPI was found and which protocol it speaks; reasons are a server of that
protocol that was not offered, or a wrapper that removes variables or closes descriptors.""",
    ),
    "LWKPM-E062": (
        "a rank left without MPI_Finalize",
        "It had called MPI_Init and exited with 0. Other ranks would wait for it for ever, so the job is ended.",
    ),
    "LWKPM-E063": (
        "a spawn that cannot be carried out",
        """\
MPI_Comm_spawn asked for no process at all, for more than one request may start, or for another host. The rank got an
error (class MPI_ERR_SPAWN or MPI_ERR_OTHER); the job goes on.""",
    ),
    "LWKPM-E064": (
        "two MPI libraries in one world",
        """\
Ranks came to the PMIx server and to that of PMI-1 and PMI-2, so their programs use different kinds of MPI, which
could not form one MPI_COMM_WORLD. With --separate-worlds every part between the ':' is a world of its own.""",
    ),
    "LWKPM-E071": (
        "no room for the job directory",
        "Each job has a small private directory; LWKPM_TMPDIR says where.",
    ),
    "LWKPM-E072": (
        "the place for job directories is not safe",
        "It must belong to this user alone (mode 0700), because the servers' sockets and keys are in it.",
    ),
    "LWKPM-E073": (
        "too few file descriptors",
        "The launcher needs about six for each rank; `ulimit -n` raises the limit.",
    ),
    "LWKPM-E074": (
        "a rank could not be started",
        "fork or a step before exec failed: see ulimit -u and free memory.",
    ),
    "LWKPM-E075": (
        "a part of the installation is missing",
        "--stop-in-init loads a small library in which debuggers find the process table; `make -C launcher` builds it.",
    ),
    "LWKPM-E099": (
        "a bug in lwkpm",
        "Something happened that lwkpm's authors did not foresee. LWKPM_DEBUG=1 prints where; please report it.",
    ),
}
