"""Every error code with a title and an explanation, for ``lwkpm explain`` and the documentation."""

from __future__ import annotations

CATALOGUE: dict[str, tuple[str, str]] = {
    "LWKPM-E001": (
        "unknown option",
        "lwkpm-run takes no abbreviations, and options stand before IMAGE; what follows APP belongs to APP. Many\n"
        "options of mpirun, mpiexec and srun are accepted; for the others the message says what to use instead.",
    ),
    "LWKPM-E002": (
        "an option lacks its value, or was given one it does not take",
        "Values follow as the next word (-n 4) or after '=' (--timeout=60). Flags such as --label take none.",
    ),
    "LWKPM-E003": ("bad value of an option", "The message lists what is possible. Times are seconds, or 90s, 5m, 2h."),
    "LWKPM-E004": (
        "bad number of processes",
        "Each part of a job needs -n with a whole number from 1 to 1048576; the parts together stay below that too.",
    ),
    "LWKPM-E005": (
        "no image",
        "The first word that is no option is the image: a directory, a squashfs or SIF file, or host:// for none.\n"
        "With --image URI it is left out. A lone ':' on the command line begins the next part.",
    ),
    "LWKPM-E006": ("no program", "After the image comes the program; options after the image would be the program's."),
    "LWKPM-E007": (
        "an option of the whole job after a ':'",
        "Only -n, --image, -x and its relatives, --clean-env, -w and -B may differ between the parts of a job.",
    ),
    "LWKPM-E008": (
        "bad variable",
        "-x NAME=VALUE sets, -x NAME and -x 'NAME*' pass the caller's values. Names are not empty and have no spaces.",
    ),
    "LWKPM-E009": (
        "a variable that cannot be given to ranks",
        "PMI_*, PMI2_*, PMIX_*, PRTE_*, HYDRA_*, HYDI_*, I_MPI_PMI and the like connect ranks to a launcher. lwkpm sets\n"
        "its own; another launcher's would make every rank a world of its own. PMI_DEBUG and PMIX_MCA_* may be given.",
    ),
    "LWKPM-E010": (
        "bad file of variables",
        "--env-file FILE has lines NAME=VALUE (set) or NAME (pass), taken as they are, without quotes or expansion;\n"
        "empty lines and lines beginning with # are skipped.",
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
        "The mapping asks for more places than the CPUs of this process offer. Binding can be left to the kernel with\n"
        "--bind-to none; without --bind-to, more ranks than cores are simply not bound.",
    ),
    "LWKPM-E014": (
        "bad file name pattern",
        "%r rank, %R rank with leading zeros, %l rank on its node, %h host name, %n job name, %% a percent sign.",
    ),
    "LWKPM-E015": ("unknown command or code", "lwkpm run, lwkpm explain, lwkpm --version; codes look like LWKPM-E021."),
    "LWKPM-E016": (
        "bad MPIEXEC_TIMEOUT",
        "The variable is read as other launchers do: seconds after which the job is ended, -1 or empty for no limit.",
    ),
    "LWKPM-E099": (
        "a bug in lwkpm",
        "Something happened that lwkpm's authors did not foresee. LWKPM_DEBUG=1 prints where; please report it.",
    ),
}
