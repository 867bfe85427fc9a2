"""The environment of the ranks: what is removed, what passes, what is set (pure).

Everything the caller has passes to the ranks, as with other launchers, except what the tables below name. Open MPI's
OMPI_MCA_* settings, OMP_*, UCX_*, FI_* and the users' I_MPI_* are meant to pass.
"""

from __future__ import annotations

from lwkpm.errors import UsageError
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lwkpm.job.spec import AppContext, EnvRule

_MPICH_VERSIONS = {"auto": "1", "pmi1": "1", "port": "1", "pmi2": "2", "pmix": "x"}
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_FOREIGN_WIRE = "it tells ranks which server to talk to, and the one it names is another launcher's"
_FOREIGN_JOB = "it describes a rank of another launcher's job"
_HOST_PATHS = "it names files of the host, which are others or missing in the image"


class Rule(Value):
    """Variables (names, or prefixes ending in ``*``) that do not pass, and why. `closed`: not even with -x."""

    names: tuple[str, ...]
    reason: str
    closed: bool = False


# Removed everywhere, also without a container.
WIRE: tuple[Rule, ...] = (
    Rule(names=("PMI_*", "PMI2_*", "PMIX_*", "PRTE_*"), reason=_FOREIGN_WIRE, closed=True),
    Rule(names=("HYDRA_*", "HYDI_*", "MPI_LOCAL*"), reason=_FOREIGN_JOB, closed=True),
    Rule(
        names=("I_MPI_PMI", "I_MPI_PMI_LIBRARY"),
        reason="it makes Intel MPI load that PMI library instead of speaking to our server (EasyBuild unsets it too)",
        closed=True,
    ),
    Rule(names=("I_MPI_HYDRA_*", "I_MPI_PIN_INFO", "I_MPI_PIN_MAPPING", "I_MPI_INFO_*"), reason=_FOREIGN_JOB),
    Rule(names=("OMPI_COMM_WORLD_*", "OMPI_UNIVERSE_SIZE"), reason=_FOREIGN_JOB, closed=True),
    Rule(
        names=("OMPI_APP_CTX_*", "OMPI_NUM_APP_CTX", "OMPI_FIRST_RANKS", "OMPI_FILE_LOCATION", "OMPI_ARGV"),
        reason=_FOREIGN_JOB,
    ),
    Rule(names=("OMPI_COMMAND", "OMPI_MCA_initial_wdir", "OMPI_MCA_shmem_RUNTIME_*"), reason=_FOREIGN_JOB),
    Rule(
        names=("OMPI_MCA_ess*", "OMPI_MCA_orte*", "OMPI_MCA_schizo*"),
        reason="it tells Open MPI 4 which launcher it runs under",
    ),
    Rule(names=("SLURM_MPI_TYPE", "SLURM_PMI*", "SLURM_STEP*", "SLURM_SRUN_*"), reason=_FOREIGN_WIRE),
    Rule(names=("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS", "SLURM_TASK_PID"), reason=_FOREIGN_JOB),
    Rule(names=("FLUX_TASK_*", "PALS_*", "JSM_*", "MV2_COMM_WORLD_*", "ALPS_APP_*"), reason=_FOREIGN_JOB),
    Rule(names=("LWKPM_*",), reason="it describes another job of lwkpm, or is meant for the launcher"),
)

# Removed as well when there is a container.
GUEST: tuple[Rule, ...] = (
    Rule(names=("PATH", "LD_*", "PYTHON*"), reason=_HOST_PATHS),
    Rule(names=("VIRTUAL_ENV", "CONDA_*", "PERL5LIB", "GCONV_PATH", "LOCPATH", "TERMINFO"), reason=_HOST_PATHS),
    Rule(names=("OPAL_*", "I_MPI_ROOT", "FI_PROVIDER_PATH", "UCX_MODULE_DIR"), reason=_HOST_PATHS),
    Rule(names=("BASH_ENV", "ENV", "BASH_FUNC_*", "MODULE*", "LMOD_*", "_LMFILES_"), reason="it is the host's shell's"),
    Rule(names=("SLURM_*",), reason="MPI libraries in the image would look for Slurm's commands and plugins"),
    Rule(names=("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK"), reason=_HOST_PATHS),
    Rule(names=("TMPDIR", "OLDPWD", "PWD"), reason="the job has a directory of its own"),
)

# Of the closed names, these configure or trace a client and are harmless: -x may pass them.
OPEN = ("PMI_DEBUG", "PMIX_MCA_*", "PMIX_DEBUG", "PRTE_MCA_*", "HYDRA_TOPO_DEBUG")
# So may these when -x names them in full: then they are meant for this job and no leftover, and image/shim.py puts our
# own library where the named one would ask another launcher.
NAMED = ("I_MPI_PMI", "I_MPI_PMI_LIBRARY")

# What the image sets wins over the caller's, except for these: settings made for this run, and who runs it.
CALLER_WINS = (
    *("HOME", "USER", "LOGNAME", "TERM", "OMP_*", "KMP_*", "GOMP_*", "MKL_*", "UCX_*", "FI_*", "PSM2_*", "PSM3_*"),
    *("I_MPI_*", "OMPI_MCA_*", "MPIR_CVAR_*", "MPICH_*"),
)


def matches(name: str, pattern: str) -> bool:
    """Shell pattern match; the usual ``A*`` needs no regular expressions (whose import costs 5 ms)."""
    head = pattern[:-1]
    if not any(letter in head for letter in "*?[") and pattern[-1:] != "?":
        return name.startswith(head) if pattern.endswith("*") else name == pattern
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern)


def rule_for(name: str, host: bool) -> Rule | None:
    """The rule that keeps this variable from passing by itself, if any."""
    for rule in WIRE if host else (*WIRE, *GUEST):
        if any(matches(name, pattern) for pattern in rule.names):
            return rule
    return None


def app_environment(
    environ: Mapping[str, str], app: AppContext, host: bool, image_env: Mapping[str, str]
) -> dict[str, str]:
    """The environment common to the ranks of one part, before lwkpm's own entries.

    Args: environ = the caller's; host = no container; image_env = what the image sets ({} without one).
    """
    passing = {} if app.clean_env else _passing(environ, host)
    env = {} if host else {"PATH": DEFAULT_PATH}
    env.update(passing)
    env.update(
        (name, value)
        for name, value in image_env.items()
        if rule_for(name, host=True) is None and not (name in passing and _any_match(name, CALLER_WINS))
    )
    for rule in app.env:
        _apply(rule, environ, env)
    env.setdefault("PATH", DEFAULT_PATH)
    return env


def unset_requests(environ: Mapping[str, str], app: AppContext) -> tuple[str, ...]:
    """The -x names that are not set in the caller's environment (worth a remark, not an error)."""
    names = [rule.name for rule in app.env if rule.action == "pass"]
    return tuple(name for name in names if not any(matches(given, name) for given in environ))


def _passing(environ: Mapping[str, str], host: bool) -> dict[str, str]:
    """What passes by itself. One set and one tuple of prefixes: asking `rule_for` for each name would take 5 ms."""
    patterns = [pattern for rule in (WIRE if host else (*WIRE, *GUEST)) for pattern in rule.names]
    exact = {pattern for pattern in patterns if not pattern.endswith("*")}
    prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    return {name: value for name, value in environ.items() if name not in exact and not name.startswith(prefixes)}


def _any_match(name: str, patterns: Iterable[str]) -> bool:
    return any(matches(name, pattern) for pattern in patterns)


def closed_rule(name: str) -> Rule | None:
    """The rule that forbids even -x to pass or set this variable."""
    if _any_match(name, OPEN):
        return None
    rule = rule_for(name, host=True)
    return rule if rule is not None and rule.closed else None


def _apply(rule: EnvRule, environ: Mapping[str, str], env: dict[str, str]) -> None:
    if rule.action == "unset":
        for name in [name for name in env if matches(name, rule.name)]:
            del env[name]
        return
    closed = closed_rule(rule.name)
    if closed is not None and rule.name not in NAMED:
        raise UsageError(
            "LWKPM-E009",
            f"-x {rule.name}: this variable cannot be given to the ranks",
            f"{closed.reason}; lwkpm sets what its own servers need",
            f"leave -x {rule.name} out (PMI_DEBUG, PMIX_MCA_* and OMPI_MCA_* may be given)",
        )
    if rule.action == "set":
        env[rule.name] = rule.value
        return
    names = [n for n in environ if n == rule.name or (matches(n, rule.name) and closed_rule(n) is None)]
    env.update({n: environ[n] for n in names})


def common_entries(
    *,
    size: int,
    local_size: int,
    universe_size: int,
    jobid: str,
    jobdir: str,
    image: str,
    pmi: str = "auto",
    spawned: bool = False,
) -> list[str]:
    """``NAME=value`` for all ranks of a part on one node, after `app_environment`'s (the later entry wins).

    PMI_FD or PMI_PORT and PMI_ID, and PMIX_*, are added by the agent's servers.
    """
    entries = [
        f"MPI_LOCALNRANKS={local_size}",
        f"OMPI_COMM_WORLD_SIZE={size}",
        f"OMPI_COMM_WORLD_LOCAL_SIZE={local_size}",
        f"OMPI_UNIVERSE_SIZE={universe_size}",
        f"LWKPM_JOB={jobid}",
        f"LWKPM_SIZE={size}",
        f"LWKPM_LOCAL_SIZE={local_size}",
        f"LWKPM_IMAGE={image}",
        f"TMPDIR={jobdir}",
    ]
    # MPICH 5 finds both PMI_SIZE and PMIX_NAMESPACE and aborts without this (src/util/mpir_pmi.c); a library with
    # PMI-2 only takes 1 for 2. With pmi2 or pmix asked for, libraries that have several must be told.
    entries.append("MPIR_CVAR_PMI_VERSION=" + _MPICH_VERSIONS[pmi])
    if pmi != "pmix":
        entries.append(f"PMI_SIZE={size}")
    if spawned:
        entries.append("PMI_SPAWNED=1")  # PMI-1 has no other sign
    if pmi in ("auto", "pmix"):
        # Open MPI 4.1 believes in a PMIx server that is not mpirun's only in a "native launch"; jsm makes it so.
        entries += ["OMPI_MCA_schizo=jsm", f"PMIX_SERVER_TMPDIR={jobdir}"]
    return entries


def rank_entries(*, rank: int, local_rank: int, node: int = 0, pmi: str = "auto") -> list[str]:
    """``NAME=value`` for one rank, after `common_entries`. OMPI's NODE_RANK counts on the node, ours nodes."""
    entries = [
        f"MPI_LOCALRANKID={local_rank}",
        f"OMPI_COMM_WORLD_RANK={rank}",
        f"OMPI_COMM_WORLD_LOCAL_RANK={local_rank}",
        f"OMPI_COMM_WORLD_NODE_RANK={local_rank}",
        f"LWKPM_RANK={rank}",
        f"LWKPM_LOCAL_RANK={local_rank}",
        f"LWKPM_NODE_RANK={node}",
    ]
    return entries if pmi == "pmix" else [f"PMI_RANK={rank}", *entries]
