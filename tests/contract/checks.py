"""The contract: what every container of a stack must satisfy. Each check is a function that raises AssertionError.

Kept apart from the tests, because molecule/container also runs every check on a container that breaks all of it
and expects each one to fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.contract.expected import expected
from tests.support.stack import Container, capabilities

Check = Callable[[Container], None]
CHECKS: dict[str, Check] = {}

SHELLS_AND_STAND_INS = {"sh", "dash", "bash", "busybox", "cat", "docker-init", "init", "sleep", "tail", "tini"}
ENGINE_PLACES = ("/var/run", "/run", "/var/lib/docker", "/etc", "/proc")
NAMESPACES = ("net", "pid", "ipc", "mnt")


def check(function: Check) -> Check:
    """Make a function part of the contract."""
    CHECKS[function.__name__] = function
    return function


@check
def is_running(container: Container) -> None:
    assert container.state["Status"] == "running"
    assert container.state["Paused"] is False


@check
def is_healthy(container: Container) -> None:
    assert container.inspect["Config"].get("Healthcheck", {}).get("Test", ["NONE"])[0] in {"CMD", "CMD-SHELL"}
    assert container.health == "healthy"


@check
def does_not_run_as_root(container: Container) -> None:
    """No process has root's user or group id, and all have the declared ones where these are known."""
    user = expected(container.service).user
    passing = expected(container.service).passing_root
    groups: set[int] = set()
    if expected(container.service).observes:
        groups = {int(container.host.check_output("stat --format %g /run/docker.sock"))}
    for process in container.processes:
        if process.program.rsplit("/", 1)[-1] in passing and process.pid != container.main_pid:
            continue
        assert 0 not in process.user_ids, process
        assert 0 not in process.group_ids, process
        if user is not None:
            assert process.user_ids == {user}, process
            assert {user} <= process.group_ids <= {user} | groups, process


@check
def has_no_more_capabilities_than_declared(container: Container) -> None:
    """Neither now nor by executing another program (the bounding set)."""
    for process in container.processes:
        for field in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
            surplus = capabilities(process.status[field]) - expected(container.service).capabilities
            assert not surplus, f"{field} of {process.program}: {surplus}"


@check
def cannot_gain_privileges(container: Container) -> None:
    for process in container.processes:
        assert process.status["NoNewPrivs"] == "1", process.program
    assert container.inspect["HostConfig"]["Privileged"] is False


@check
def is_confined_by_seccomp(container: Container) -> None:
    for process in container.processes:
        assert process.status["Seccomp"] == "2", process.program


@check
def has_a_read_only_root(container: Container) -> None:
    """Read the kernel's mount table, not only the engine's."""
    root = next(line.split() for line in container.main_process.mounts.splitlines() if line.split()[1] == "/")
    assert "ro" in root[3].split(",")


@check
def has_no_setuid_files(container: Container) -> None:
    found = container.host.check_output("find /proc/%s/root/ -xdev -type f -perm /6000", str(container.main_pid))
    assert found == ""


@check
def shares_no_namespace_with_the_host(container: Container) -> None:
    own, machine = (
        container.host.check_output("readlink " + " ".join(f"/proc/{pid}/ns/{kind}" for kind in NAMESPACES)).split()
        for pid in (container.main_pid, 1)
    )
    assert not set(own) & set(machine)


@check
def mounts_nothing_of_the_engine(container: Container) -> None:
    """... but what it has to observe, and cannot change."""
    mounts = [mount for mount in container.inspect["Mounts"] if mount["Type"] == "bind"]
    if observed := expected(container.service).observes:
        assert {(mount["Source"], mount["Destination"]) for mount in mounts} <= observed
        assert not [mount for mount in mounts if mount["RW"]]
        return
    sources = [mount["Source"] for mount in mounts]
    assert not [source for source in sources if source == "/" or source.startswith(("/sys", *ENGINE_PLACES))]


@check
def writes_only_to_volumes_and_memory(container: Container) -> None:
    """Each tmpfs refuses programs, setuid files and devices."""
    for path, options in (container.inspect["HostConfig"].get("Tmpfs") or {}).items():
        assert {"noexec", "nosuid", "nodev"} <= set(options.split(",")), path
    volumes = [mount["Name"] for mount in container.inspect["Mounts"] if mount["Type"] == "volume"]
    assert all(name.startswith(f"{container.stack}-") for name in volumes), volumes


@check
def has_limits(container: Container) -> None:
    """Memory, processor time and processes: declared, and the same in the kernel."""
    declared = container.inspect["HostConfig"]
    assert declared["Memory"] > 0
    assert declared["MemorySwap"] == declared["Memory"], "it may swap"
    assert declared["NanoCpus"] > 0
    assert (declared["PidsLimit"] or 0) > 0
    assert int(container.control_group("memory/memory.limit_in_bytes", "memory.max")) == declared["Memory"]
    assert int(container.control_group("pids/pids.max", "pids.max")) == declared["PidsLimit"]


@check
def restarts_by_itself(container: Container) -> None:
    assert container.inspect["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


@check
def keeps_its_log_small(container: Container) -> None:
    log = container.inspect["HostConfig"]["LogConfig"]
    assert log["Type"] == "local"
    assert {"max-size", "max-file"} <= set(log["Config"])


@check
def has_an_image_named_by_its_content(container: Container) -> None:
    """Take the digest of the build context for its tag, which still means the image that runs."""
    reference = container.inspect["Config"]["Image"]
    digest = container.labels["pressdock.digest"]
    assert re.fullmatch("[0-9a-f]{16}", digest)
    assert reference == f"{container.stack}/{container.service}:{digest}"
    image = json.loads(container.host.check_output("docker image inspect %s", reference))[0]
    assert image["Id"] == container.inspect["Image"]
    assert image["Config"]["Labels"]["pressdock.digest"] == digest


@check
def has_its_service_as_first_process(container: Container) -> None:
    """Signals reach the service, nothing stands in for it."""
    program = container.main_process.program.rsplit("/", 1)[-1]
    assert program not in SHELLS_AND_STAND_INS
    wanted = expected(container.service).program
    assert wanted is None or program == wanted


@check
def stops_gracefully(container: Container) -> None:
    """Declare a signal and a time to stop; tests/contract/test_faults.py stops it."""
    assert container.inspect["Config"].get("StopSignal")
    assert container.inspect["Config"].get("StopTimeout", 0) > 0


@check
def is_on_networks_of_its_stack_only(container: Container) -> None:
    networks = list(container.inspect["NetworkSettings"]["Networks"])
    assert networks
    for network in networks:
        assert network.startswith(f"{container.stack}-"), network
        inner = json.loads(container.host.check_output("docker network inspect %s", network))[0]
        assert inner["Internal"] is (network.removeprefix(f"{container.stack}-") not in {"edge", "outbound"}), network


@check
def publishes_only_its_ports(container: Container) -> None:
    published = {port for port, bindings in container.inspect["NetworkSettings"]["Ports"].items() if bindings}
    further = sorted(int(port.removesuffix("/tcp")) for port in published - expected(container.service).ports)
    if expected(container.service).port_range:
        assert further
        assert further == list(range(further[0], further[0] + len(further)))
    else:
        assert not further


@check
def gets_secrets_as_files_for_itself_alone(container: Container) -> None:
    """Below /run/secrets, read-only, each readable by the service's user alone."""
    mounts = {mount["Destination"]: mount for mount in container.inspect["Mounts"]}
    assert not [path for path in mounts if path.startswith("/run/secrets/")]
    if "/run/secrets" not in mounts:
        assert not container.labels.get("pressdock.secrets")
        return
    assert mounts["/run/secrets"]["RW"] is False
    assert container.labels["pressdock.secrets"]
    service = expected(container.service)
    owner = str(service.user) if service.passing_root else container.inspect["Config"]["User"].split(":")[0]
    listing = container.host.check_output("find %s -printf '%%y %%m %%U %%p\\n'", mounts["/run/secrets"]["Source"])
    for line in listing.splitlines():
        kind, mode, user, path = line.split(" ", 3)
        assert (kind, mode) in {("d", "500"), ("f", "400")}, path
        assert user == owner, path
