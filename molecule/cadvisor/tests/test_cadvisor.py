"""cAdvisor as people, Prometheus and programs ask it, and where it comes from."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.runs import PROJECT, Runs
from tests.support.stack import Container, Stack
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from .conftest import Cadvisor

PREFIX = "/usage/of/containers"
RELEASES = "http://198.51.100.7:8098"
UNREACHABLE = "http://127.0.0.1:9"
SUMMARY_WARNING = "WARNING: cAdvisor is the old package of Debian 11"


def report(container: Container) -> str:
    """Return what the last health check of a container printed."""
    container.forget()
    return str(container.state["Health"]["Log"][-1]["Output"]).strip()


# --- What it shows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric",
    [
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_network_receive_bytes_total",
        "container_fs_usage_bytes",
        "container_processes",
    ],
)
def test_every_container_is_shown_by_name(cadvisor: Cadvisor, stack: Stack, metric: str) -> None:
    assert len(stack.container_names) == 2
    for name in stack.container_names:
        assert cadvisor.series(metric, name), name


def test_figures_are_those_of_the_engine(cadvisor: Cadvisor, stack: Stack) -> None:
    for container in stack.containers():
        limit = cadvisor.total("container_spec_memory_limit_bytes", container.name)
        assert limit == container.inspect["HostConfig"]["Memory"]
        used = cadvisor.total("container_memory_working_set_bytes", container.name)
        assert 1024**2 < used <= limit
        started = cadvisor.total("container_start_time_seconds", container.name)
        since = stack.host.check_output("date --utc --date=%s +%%s", container.state["StartedAt"])
        assert abs(started - int(since)) < 5
    assert cadvisor.total("container_spec_memory_limit_bytes", "quayside-mariadb") == 333 * 1024**2


def test_labels_are_those_that_were_asked_for(cadvisor: Cadvisor) -> None:
    ((labels, _),) = cadvisor.series("container_last_seen", "quayside-mariadb")
    assert labels["container_label_pressdock_service"] == "mariadb"
    assert not [label for label in labels if "digest" in label]


def test_work_shows_up(cadvisor: Cadvisor, stack: Stack) -> None:
    """Processor time, and bytes that came over the network."""
    cpu, received = (
        cadvisor.total(f"container_{kind}_total", "quayside-mariadb")
        for kind in ("cpu_usage_seconds", "network_receive_bytes")
    )
    stack.host.check_output(
        "docker exec --detach quayside-mariadb timeout 90 sh -c %s", "while :; do :; done; # busy for the test"
    )
    network = stack.container("mariadb").inspect["NetworkSettings"]["Networks"]["quayside-database"]
    send = f"import socket; socket.create_connection(({network['IPAddress']!r}, 3306)).sendall(bytes(30000))"
    stack.host.check_output("python3 -c %s", send)
    try:
        assert eventually(lambda: cadvisor.total("container_cpu_usage_seconds_total", "quayside-mariadb") > cpu + 2, 90)
        assert eventually(
            lambda: cadvisor.total("container_network_receive_bytes_total", "quayside-mariadb") >= received + 30_000, 60
        )
    finally:
        stack.host.run("pkill --full 'busy for the test'")


@pytest.fixture
def _stranger(stack: Stack) -> Iterator[None]:
    """Run a container of nobody's that writes into its own files; the stack's have read-only roots."""
    image = stack.container("cadvisor").inspect["Config"]["Image"]
    words = (
        "docker run --detach --name stranger --label pressdock.stack=none --network none --user 616:616 --entrypoint sh"
    )
    stack.host.check_output(f"{words} %s -c %s", image, "head -c 23000000 /dev/zero > /tmp/written; sleep 600")
    try:
        yield
    finally:
        stack.host.run("docker rm --force stranger")


@pytest.mark.usefixtures("_stranger")
def test_new_container_and_what_it_writes_show_up(cadvisor: Cadvisor) -> None:
    """Files are looked through once a minute; those of a read-only container are its log alone."""
    assert eventually(lambda: cadvisor.series("container_last_seen", "stranger") != [], 60)

    def written() -> bool:
        return sum(value for _, value in cadvisor.series("container_fs_usage_bytes", "stranger")) >= 23_000_000

    assert eventually(written, 240)


def test_api_answers(cadvisor: Cadvisor, stack: Stack) -> None:
    found = {entry["aliases"][0]: entry for entry in cadvisor.api("/docker/").values()}
    assert set(stack.container_names) <= set(found)
    assert found["quayside-mariadb"]["stats"][-1]["memory"]["usage"] > 0
    (one,) = cadvisor.api("/docker/quayside-mariadb").values()
    assert one["spec"]["memory"]["limit"] == 333 * 1024**2
    assert cadvisor.api("/machine")["num_cores"] > 0
    assert cadvisor.api("/containers/")["name"] == "/"
    cadvisor.get(f"{PREFIX}/api/v1.3/docker/nobody", status="404")


def test_page_shows_every_container(cadvisor: Cadvisor, stack: Stack) -> None:
    page = cadvisor.get(f"{PREFIX}/")
    for name in stack.container_names:
        assert re.search(f">{name}</td>", page)
    assert "333 MiB" in page
    assert cadvisor.get(f"{PREFIX}/containers/").count("<tr>") == page.count("<tr>")
    # Nothing is served outside of the prefix.
    cadvisor.get("/", status="404")
    cadvisor.get("/metrics", status="404")


# --- What it may ----------------------------------------------------------------------------------------------------


def test_sees_its_host_read_only(cadvisor: Cadvisor) -> None:
    """As the kernel has mounted it, and tried."""
    mounts = {
        line.split()[1]: line.split()[3].split(",") for line in cadvisor.container.main_process.mounts.splitlines()
    }
    for place in ("/", "/sys", "/rootfs/proc", "/rootfs/var/lib/docker", "/run/docker.sock"):
        assert "ro" in mounts[place], place
    for path in ("/sys/fs/cgroup/x", "/rootfs/var/lib/docker/x", "/x"):
        assert cadvisor.container.run("sh", "-c", f"echo > {path}").rc != 0, path


def test_is_in_its_own_network_alone(cadvisor: Cadvisor) -> None:
    cadvisor.container.forget()
    assert list(cadvisor.container.inspect["NetworkSettings"]["Networks"]) == ["quayside-watch"]
    assert cadvisor.container.inspect["HostConfig"]["PortBindings"] in ({}, None)


def test_options_are_the_declared_ones(cadvisor: Cadvisor) -> None:
    command = cadvisor.container.main_process.command
    assert "-housekeeping_interval=3s" in command
    assert "-max_housekeeping_interval=6s" in command
    # `process` is not among those that are switched off here, `percpu` is.
    assert cadvisor.series("container_processes", "quayside-mariadb")
    cpus = cadvisor.series("container_cpu_usage_seconds_total", "quayside-mariadb")
    assert [labels["cpu"] for labels, _ in cpus] == ["total"]


def test_its_own_cost_is_low(cadvisor: Cadvisor) -> None:
    """Far below what it may use; generous, for a busy machine is slow to hand out time too."""
    before = cadvisor.total("container_cpu_usage_seconds_total", "quayside-cadvisor")
    start = time.monotonic()
    time.sleep(20)
    used = cadvisor.total("container_cpu_usage_seconds_total", "quayside-cadvisor") - before
    assert used / (time.monotonic() - start) < 0.25
    assert cadvisor.total("container_memory_working_set_bytes", "quayside-cadvisor") < 80 * 1024**2


# --- Its health check -----------------------------------------------------------------------------------------------


def test_health_check_says_what_runs(cadvisor: Cadvisor) -> None:
    said = re.fullmatch(
        r"cAdvisor v0\.[0-9.]+ from modules, engine \S+, ([0-9]+) containers", report(cadvisor.container)
    )
    assert said, report(cadvisor.container)
    assert int(said[1]) >= 2


@pytest.mark.destructive
def test_health_check_is_red_while_the_engine_does_not_answer(cadvisor: Cadvisor, stack: Stack) -> None:
    """The engine itself runs the health checks, so this one is run by hand, in the container's namespaces."""
    cadvisor.container.forget()
    check = (
        f"nsenter --target {cadvisor.container.main_pid} --mount --net --pid "
        f"setpriv --reuid=616 --regid=616 --clear-groups cadvisor-health 8080 {PREFIX}"
    )
    assert stack.host.run(check).rc == 0
    # The engine's process is held, so that it takes no question; its children, the containers, go on.
    engine = stack.host.check_output("pidof dockerd")
    try:
        stack.host.check_output("kill -STOP %s", engine)
        end = time.monotonic() + 90
        while (result := stack.host.run(check)).rc == 0 and time.monotonic() < end:
            time.sleep(1)
    finally:
        stack.host.check_output("kill -CONT %s", engine)
    assert result.rc == 1
    assert "does not answer" in result.stdout


# --- Where it comes from --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def release(stack: Stack) -> str:
    """Serve the compiled program as a release; return its sha256."""
    stack.host.check_output("docker cp quayside-cadvisor:/usr/local/bin/cadvisor /root/served/cadvisor")
    return str(stack.host.check_output("sha256sum /root/served/cadvisor")).split()[0]


@pytest.fixture(scope="module")
def _as_declared(runs: Runs) -> Iterator[None]:
    """End with the stack that the scenario declares, once for all: none of these tests needs the one before undone."""
    yield
    runs.converge()


def release_arguments(sha256: str, place: str = "") -> list[str]:
    """Return the arguments of a run that takes the release."""
    return [
        "-e cadvisor_source=release",
        f"-e cadvisor_release_url={RELEASES}{place}/cadvisor",
        f"-e cadvisor_release_sha256={sha256}",
    ]


def killed_run(runs: Runs, at: str, *arguments: str) -> None:
    """Start a run and kill it when its output says that it is at a task."""
    before = len(runs.output())
    command = ["ansible-playbook", f"--inventory={PROJECT}/molecule/shared/inventory", *arguments]
    with subprocess.Popen(
        [*command, str(runs.scenario / "converge.yml")],
        cwd=runs.scenario,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        end = time.monotonic() + 240
        while at not in runs.output()[before:] and process.poll() is None and time.monotonic() < end:
            time.sleep(0.5)
        os.killpg(process.pid, signal.SIGKILL)
    assert at in runs.output()[before:]


@pytest.mark.destructive
def test_check_run_predicts_the_build(runs: Runs, stack: Stack) -> None:
    identifier = stack.container("cadvisor").identifier
    result = runs.play("converge.yml", "--check", "-e cadvisor_source=debian")
    assert result.returncode == 0, result.stdout + result.stderr
    changed = runs.all()[-1].changed_items
    assert ("Build | Start the builds", "cadvisor") in changed
    assert ("Run | Start the containers", "cadvisor") in changed
    assert stack.container("cadvisor").identifier == identifier


@pytest.mark.destructive
@pytest.mark.usefixtures("_as_declared")
def test_late_build_holds_up_nobody(stack: Stack, runs: Runs, release: str) -> None:
    """A release that is slow to fetch: when cAdvisor's role begins to wait the database is replaced already.

    Killed there, with the build going on in the background, and run again: the next run makes it good.
    """
    before = (stack.container("mariadb").identifier, stack.container("cadvisor").identifier)
    # Another address each time, so that no earlier run has built the image.
    arguments = [*release_arguments(release, f"/slow/{time.time_ns()}"), "-e mariadb_cpus=1.41"]
    killed_run(runs, "Await | Wait for cadvisor", *arguments)
    assert stack.container("mariadb").identifier != before[0]
    assert stack.container("cadvisor").identifier == before[1]
    result = runs.play("converge.yml", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert SUMMARY_WARNING not in result.stdout
    watcher = stack.container("cadvisor")
    assert watcher.identifier != before[1]
    assert " from release, " in report(watcher)
    # Nothing to do now, and nothing to wait for.
    again = runs.play("converge.yml", *arguments)
    assert re.search(r"changed=0 .*failed=0", again.stdout), again.stdout
    assert "Await | Wait" not in again.stdout


@pytest.mark.destructive
@pytest.mark.usefixtures("_as_declared")
def test_build_that_fails_is_told_at_the_end(stack: Stack, runs: Runs) -> None:
    """A release with another sha256: refused; what else was to do is done, what ran goes on."""
    before = (stack.container("mariadb").identifier, stack.container("cadvisor").identifier)
    result = runs.play("converge.yml", *release_arguments("0" * 64), "-e mariadb_cpus=1.42")
    assert result.returncode == 2, result.stdout
    assert "could not be built" in result.stdout
    assert "Hash Sum mismatch" in result.stdout
    assert "stack_cadvisor: false" in result.stdout
    assert stack.container("mariadb").identifier != before[0]
    assert stack.container("cadvisor").identifier == before[1]
    assert stack.container("cadvisor").health == "healthy"


@pytest.mark.destructive
@pytest.mark.usefixtures("_as_declared")
def test_without_a_way_to_the_modules_debian_s_is_taken(cadvisor: Cadvisor, stack: Stack, runs: Runs) -> None:
    """As a restricted network leaves it: the run succeeds, and warns, and so does the next one that changes nothing."""
    arguments = [f"-e cadvisor_go_proxy={UNREACHABLE}"]
    result = runs.play("converge.yml", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert SUMMARY_WARNING in result.stdout
    container = stack.container("cadvisor")
    assert report(container).startswith("cAdvisor 0.38"), report(container)
    again = runs.play("converge.yml", *arguments)
    assert re.search(r"changed=0 .*failed=0", again.stdout), again.stdout
    assert SUMMARY_WARNING in again.stdout
    # The old one too sees everybody of this engine.
    for name in stack.container_names:
        assert cadvisor.series("container_cpu_usage_seconds_total", name), name
        assert cadvisor.series("container_network_receive_bytes_total", name), name
    assert cadvisor.api("/docker/quayside-mariadb")


# The late build above holds up nobody either.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("_as_declared")
def test_run_of_another_part_leaves_the_build_to_itself(stack: Stack, runs: Runs, release: str) -> None:
    """With --tags mariadb the image is built in the background; --tags images waits for it and runs nothing."""
    tags = "docker images --quiet quayside/cadvisor | sort --unique | wc -l"
    before = int(stack.host.check_output(tags))
    identifier = stack.container("cadvisor").identifier
    arguments = [
        *release_arguments(release, f"/{time.time_ns()}"),
        "-e cadvisor_debian_sources=['deb http://nowhere.example.test/debian bullseye main']",
    ]
    result = runs.play("converge.yml", "--tags", "images", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Await | Wait for cadvisor" in result.stdout
    assert int(stack.host.check_output(tags)) == before + 1
    assert stack.container("cadvisor").identifier == identifier
    quick = runs.play("converge.yml", "--tags", "mariadb", *release_arguments(release, f"/slow/{time.time_ns()}"))
    assert quick.returncode == 0, quick.stdout + quick.stderr
    assert "Await | Wait for" not in quick.stdout
    assert stack.container("cadvisor").identifier == identifier
