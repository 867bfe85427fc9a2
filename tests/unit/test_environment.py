"""What ranks find in their environment."""

from __future__ import annotations

import pytest

from lwkpm.errors import UsageError
from lwkpm.job.environment import (
    DEFAULT_PATH,
    GUEST,
    WIRE,
    app_environment,
    common_entries,
    matches,
    rank_entries,
    rule_for,
    unset_requests,
)
from lwkpm.job.spec import AppContext, EnvRule


def app(*rules: tuple[str, ...], clean: bool = False) -> AppContext:
    env = tuple(EnvRule(action=rule[0], name=rule[1], value=(*rule, "")[2]) for rule in rules)
    return AppContext(image="i", argv=("a",), np=1, env=env, clean_env=clean)


def inside(environ: dict[str, str], *rules: tuple[str, ...], **image_env: str) -> dict[str, str]:
    env = app_environment(environ, app(*rules), host=False, image_env=image_env)
    if env.get("PATH") == DEFAULT_PATH:
        del env["PATH"]
    return env


WIRE_NAMES = (
    *("PMI_FD", "PMI_RANK", "PMI_SIZE", "PMI_PORT", "PMI2_SUN_PATH", "PMIX_NAMESPACE", "PMIX_MCA_gds", "PRTE_PREFIX"),
    *("HYDRA_BSTRAP_X", "HYDI_CONTROL_FD", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "I_MPI_PMI", "I_MPI_PMI_LIBRARY"),
    *("I_MPI_HYDRA_TOPOLIB", "I_MPI_PIN_INFO", "I_MPI_PIN_MAPPING", "OMPI_COMM_WORLD_SIZE", "OMPI_UNIVERSE_SIZE"),
    *("OMPI_MCA_ess", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_hnp_uri", "OMPI_MCA_schizo", "SLURM_MPI_TYPE"),
    *("SLURM_PROCID", "FLUX_TASK_RANK", "LWKPM_RANK", "OMPI_APP_CTX_NUM_PROCS"),
)
GUEST_NAMES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PYTHONPATH",
    "PYTHONHOME",
    "SLURM_JOB_ID",
    "OPAL_PREFIX",
    "TMPDIR",
)
PASSING = (
    *("HOME", "USER", "LANG", "TERM", "OMP_NUM_THREADS", "UCX_TLS", "FI_PROVIDER", "I_MPI_DEBUG", "I_MPI_PIN_DOMAIN"),
    *("OMPI_MCA_btl", "OMPI_MCA_pml", "MPIR_CVAR_CH4_NETMOD", "PMIX", "MY_OWN", "I_MPI_FABRICS"),
)


@pytest.mark.parametrize("name", WIRE_NAMES)
@pytest.mark.parametrize("host", [False, True])
def test_another_launchers_variables_are_removed(name: str, host: bool) -> None:
    assert name not in app_environment({name: "1"}, app(), host=host, image_env={})
    assert rule_for(name, host) is not None


@pytest.mark.parametrize("name", GUEST_NAMES)
def test_the_hosts_paths_stay_out_of_containers_only(name: str) -> None:
    assert inside({name: "/h"}).get(name, DEFAULT_PATH) == DEFAULT_PATH
    assert app_environment({name: "/h"}, app(), host=True, image_env={})[name] == "/h"


@pytest.mark.parametrize("name", PASSING)
def test_users_settings_pass(name: str) -> None:
    assert inside({name: "1"}) == {name: "1"}
    assert rule_for(name, host=False) is None


def test_fast_filter_agrees_with_the_rules() -> None:
    environ = dict.fromkeys((*WIRE_NAMES, *GUEST_NAMES, *PASSING), "1")
    for host in (False, True):
        passing = {name for name in environ if rule_for(name, host) is None} | {"PATH"}
        assert set(app_environment(environ, app(), host, {})) == passing


def test_no_rule_needs_more_than_a_prefix() -> None:
    patterns = [pattern for rule in (*WIRE, *GUEST) for pattern in rule.names]
    assert [pattern for pattern in patterns if "*" in pattern[:-1] or "?" in pattern or "[" in pattern] == []


def test_image_sets_path_and_libraries() -> None:
    env = inside({"PATH": "/h", "LD_LIBRARY_PATH": "/h"}, PATH="/opt/bin", LD_LIBRARY_PATH="/opt/lib")
    assert env == {"PATH": "/opt/bin", "LD_LIBRARY_PATH": "/opt/lib"}


def test_image_wins_but_for_settings_of_this_run() -> None:
    environ = {"LANG": "de_DE.UTF-8", "OMP_NUM_THREADS": "4", "HOME": "/home/u"}
    env = inside(environ, LANG="C.UTF-8", OMP_NUM_THREADS="1", HOME="/root", OMP_PLACES="cores")
    assert env == {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "4", "HOME": "/home/u", "OMP_PLACES": "cores"}


def test_image_cannot_bring_wire_up_variables() -> None:
    assert inside({}, I_MPI_PMI_LIBRARY="/x", PMI_FD="3") == {}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([("set", "A", "1")], {"A": "1", "B1": "b", "B2": "c"}),
        ([("pass", "LD_LIBRARY_PATH")], {"A": "a", "B1": "b", "B2": "c", "LD_LIBRARY_PATH": "/h"}),
        ([("unset", "B*")], {"A": "a"}),
        ([("unset", "B*"), ("pass", "B2")], {"A": "a", "B2": "c"}),
        ([("pass", "P*")], {"A": "a", "B1": "b", "B2": "c", "PYTHONPATH": "/p", "PMIX_MCA_gds": "hash"}),
        ([("unset", "?1")], {"A": "a", "B2": "c"}),
        ([("set", "PMI_DEBUG", "1")], {"A": "a", "B1": "b", "B2": "c", "PMI_DEBUG": "1"}),
        ([("pass", "NOT_SET")], {"A": "a", "B1": "b", "B2": "c"}),
    ],
)
def test_requests(rules: list[tuple[str, ...]], expected: dict[str, str]) -> None:
    environ = {"A": "a", "B1": "b", "B2": "c", "LD_LIBRARY_PATH": "/h", "PYTHONPATH": "/p", "PMI_RANK": "7"}
    assert inside({**environ, "PMIX_MCA_gds": "hash"}, *rules) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (("pass", "I_MPI_*"), {}),
        (("pass", "I_MPI_PMI_LIBRARY"), {"I_MPI_PMI_LIBRARY": "libpmi.so"}),
        (("set", "I_MPI_PMI", "pmi2"), {"I_MPI_PMI": "pmi2"}),
    ],
)
def test_pmi_library_of_intel_mpi_is_named_in_full(rule: tuple[str, ...], expected: dict[str, str]) -> None:
    assert inside({"I_MPI_PMI_LIBRARY": "libpmi.so", "I_MPI_PMI": "pmi1"}, rule) == expected


@pytest.mark.parametrize("host", [False, True])
def test_clean_environment_keeps_requests(host: bool) -> None:
    asked = app(("pass", "A"), ("set", "B", "2"), clean=True)
    assert app_environment({"A": "1", "C": "3", "PATH": "/h"}, asked, host, {}) == {
        "PATH": DEFAULT_PATH,
        "A": "1",
        "B": "2",
    }


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("PMI_FD", "it tells ranks which server to talk to"),
        ("PMIX_NAMESPACE", "it tells ranks which server to talk to"),
        ("PRTE_LAUNCHED", "it tells ranks which server to talk to"),
        ("OMPI_COMM_WORLD_RANK", "it describes a rank of another launcher's job"),
    ],
)
@pytest.mark.parametrize("action", ["set", "pass"])
def test_wire_up_variables_cannot_be_given(action: str, name: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        inside({name: "1"}, (action, name, "1"))
    assert caught.value.code == "LWKPM-E009"
    assert caught.value.what == f"-x {name}: this variable cannot be given to the ranks"
    assert caught.value.why.startswith(why)


def test_unset_requests() -> None:
    assert unset_requests({"A": "1"}, app(("pass", "A"), ("pass", "B"), ("pass", "C*"), ("set", "D", "1"))) == (
        "B",
        "C*",
    )


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("A", "A", True),
        ("AB", "A", False),
        ("AB", "A*", True),
        ("A", "A*", True),
        ("BA", "*A", True),
        ("A1", "A?", True),
    ],
)
def test_matches(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, pattern) is expected


def common(pmi: str) -> dict[str, str]:
    entries = common_entries(size=4, local_size=2, universe_size=8, jobid="j", jobdir="/d", image="i.sqfs", pmi=pmi)
    return dict(entry.split("=", 1) for entry in entries)


def test_common_entries() -> None:
    assert common("auto") == {
        "PMI_SIZE": "4",
        "MPIR_CVAR_PMI_VERSION": "1",
        "OMPI_MCA_schizo": "jsm",
        "PMIX_SERVER_TMPDIR": "/d",
        "TMPDIR": "/d",
        "MPI_LOCALNRANKS": "2",
        "OMPI_COMM_WORLD_SIZE": "4",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
        "OMPI_UNIVERSE_SIZE": "8",
        "LWKPM_JOB": "j",
        "LWKPM_SIZE": "4",
        "LWKPM_LOCAL_SIZE": "2",
        "LWKPM_IMAGE": "i.sqfs",
    }


@pytest.mark.parametrize(
    ("pmi", "version", "has_size", "has_jsm"),
    [("pmi1", "1", True, False), ("port", "1", True, False), ("pmi2", "2", True, False), ("pmix", "x", False, True)],
)
def test_common_entries_for_one_protocol(pmi: str, version: str, has_size: bool, has_jsm: bool) -> None:
    entries = common(pmi)
    assert entries["MPIR_CVAR_PMI_VERSION"] == version
    assert ("PMI_SIZE" in entries, "OMPI_MCA_schizo" in entries) == (has_size, has_jsm)


def test_rank_entries() -> None:
    assert dict(entry.split("=") for entry in rank_entries(rank=3, local_rank=1, node=1)) == {
        "PMI_RANK": "3",
        "MPI_LOCALRANKID": "1",
        "OMPI_COMM_WORLD_RANK": "3",
        "OMPI_COMM_WORLD_LOCAL_RANK": "1",
        "OMPI_COMM_WORLD_NODE_RANK": "1",
        "LWKPM_RANK": "3",
        "LWKPM_LOCAL_RANK": "1",
        "LWKPM_NODE_RANK": "1",
    }
    assert "PMI_RANK=3" not in rank_entries(rank=3, local_rank=1, pmi="pmix")
