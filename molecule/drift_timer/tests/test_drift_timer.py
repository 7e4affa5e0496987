"""The timer waits, its service leaves what it found for monitoring, and switched off it leaves nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.runs import without_colours
from tests.support.stack import Stack

PROJECT = "/opt/harbour"
REPORT, FIGURES = "/srv/gauges/drift.json", "/srv/exporter/quayside.prom"
SERVICE, TIMER = "quayside-drift.service", "quayside-drift.timer"
UNITS = [f"/etc/systemd/system/{name}" for name in (SERVICE, TIMER)]

pytestmark = pytest.mark.destructive

Make = Callable[..., tuple[int, str, int]]


@pytest.fixture(scope="module")
def make(stack: Stack) -> Make:
    """Return a function that runs `make drift-timer` with arguments; its status, output, and number of changes."""

    def run(*arguments: str) -> tuple[int, str, int]:
        given = " ".join(arguments)
        done = stack.host.run(f"cd {PROJECT} && NO_COLOR=1 make drift-timer ARGS=%s", given)
        output = without_colours(done.stdout + done.stderr)
        changed = re.search(r"localhost +: .*changed=(\d+)", output)
        return done.rc, output, int(changed[1]) if changed else -1

    return run


@pytest.fixture(scope="module")
def look(stack: Stack) -> Callable[[], bool]:
    """Return a function that starts the service, as the timer does, and waits for its end; whether it succeeded."""

    def run() -> bool:
        return bool(stack.host.run("systemctl start %s", SERVICE).rc == 0)

    return run


def report(stack: Stack) -> dict[str, Any]:
    """Read the report."""
    found: dict[str, Any] = json.loads(stack.host.file(REPORT).content_string)
    return found


def figures(stack: Stack) -> dict[str, float]:
    """Read the figures as Prometheus does, by what their names end in."""
    families = list(text_string_to_metric_families(stack.host.file(FIGURES).content_string))
    assert all(family.documentation and family.type == "gauge" for family in families)
    return {s.name.removeprefix("pressdock_drift_"): s.value for family in families for s in family.samples}


def shown(stack: Stack, unit: str, name: str) -> str:
    """Ask systemd for a property of a unit."""
    return str(stack.host.check_output("systemctl show --value --property=%s %s", name, unit))


def mariadb(stack: Stack, statement: str) -> None:
    """Let the database's administrator do something."""
    stack.host.check_output("docker exec quayside-mariadb mariadb -e %s", statement)


def test_timer_waits(stack: Stack) -> None:
    assert shown(stack, TIMER, "ActiveState") == "active"
    assert shown(stack, TIMER, "UnitFileState") == "enabled"
    assert "OnCalendar=Sat *-*-* 03:17:00" in shown(stack, TIMER, "TimersCalendar")
    assert shown(stack, TIMER, "RandomizedDelayUSec") == "7min"
    assert shown(stack, TIMER, "Triggers") == SERVICE
    assert stack.host.run(f"systemd-analyze verify {' '.join(UNITS)}").stderr == ""


def test_service_leaves_both_files(stack: Stack, look: Callable[[], bool]) -> None:
    before = float(stack.host.check_output("date +%s"))
    assert look(), stack.host.run("journalctl --no-pager --unit %s", SERVICE).stdout
    assert report(stack)["hosts"] == {"localhost": {"drift": []}}
    found = figures(stack)
    assert before <= found.pop("last_run_timestamp_seconds") <= float(stack.host.check_output("date +%s"))
    assert found == {"differences": 0, "success": 1}
    for path in (REPORT, FIGURES):
        assert stack.host.file(path).mode == 0o644
    assert stack.host.file("/srv/gauges").listdir() == ["drift.json"]
    assert stack.host.file("/srv/exporter").listdir() == ["quayside.prom"]


def test_drift_shows(stack: Stack, look: Callable[[], bool]) -> None:
    """An account and a stopped container; that they were found is no failure, and they are left as they are."""
    mariadb(stack, "CREATE USER pirate@'%'")
    stack.host.check_output("docker stop quayside-nginx")
    try:
        assert look()
        found = {(row["part"], row["what"]) for row in report(stack)["hosts"]["localhost"]["drift"]}
        assert ("mariadb", "account pirate@%: not declared, dropped") in found
        assert ("container nginx", "running") in found
        assert figures(stack)["differences"] == len(found)
        assert figures(stack)["success"] == 1
        assert stack.host.check_output("docker inspect --format '{{.State.Running}}' quayside-nginx") == "false"
    finally:
        stack.host.check_output("docker start quayside-nginx")
        mariadb(stack, "DROP USER IF EXISTS pirate@'%'")


@pytest.fixture
def _another_run(stack: Stack) -> Iterator[None]:
    """Hold the lock of the target in the name of a process that lives."""
    hold = (
        "from module_utils import run_lock; import sys;"
        " assert run_lock.acquire('/run/pressdock.lock', run_lock.this_run(int(sys.argv[1])), None, False) is None"
    )
    stack.host.check_output("sh -c 'sleep 600 >/dev/null 2>&1 & echo $! > /root/another'")
    stack.host.check_output(f"cd {PROJECT} && python3 -c %s $(cat /root/another)", hold)
    yield
    stack.host.check_output("kill $(cat /root/another)")


@pytest.mark.usefixtures("_another_run")
def test_while_another_run_works_the_last_result_stays(stack: Stack, look: Callable[[], bool]) -> None:
    before = [stack.host.check_output("stat --format='%%Y %%i' %s && cat %s", path, path) for path in (REPORT, FIGURES)]
    assert look()
    assert "Another run works on localhost" in stack.host.check_output("journalctl --no-pager --unit %s -n 20", SERVICE)
    after = [stack.host.check_output("stat --format='%%Y %%i' %s && cat %s", path, path) for path in (REPORT, FIGURES)]
    assert after == before


def test_failure_shows_and_passes(stack: Stack, look: Callable[[], bool]) -> None:
    """A variable that no run would take; then it is as declared again."""
    wrong = f"{PROJECT}/group_vars/all/wrong.yml"
    stack.host.check_output(f"echo 'nginx_mermory: 64m' > {wrong}")
    try:
        assert not look()
        assert shown(stack, SERVICE, "ActiveState") == "failed"
        found = figures(stack)
        assert (found["success"], "differences" in found) == (0, False)
        assert "nginx_mermory" in report(stack)["failed"]["localhost"]
    finally:
        stack.host.check_output(f"rm {wrong}")
    assert look()
    assert (report(stack)["failed"], figures(stack)["success"], figures(stack)["differences"]) == ({}, 1, 0)


def test_command_again_changes_nothing(make: Make) -> None:
    status, output, changed = make()
    assert (status, changed) == (0, 0), output


def test_units_and_timer_are_repaired(stack: Stack, make: Make) -> None:
    """As a check run says before."""
    stack.host.check_output(f"sed -i s/03:17/05:55/ {UNITS[1]} && systemctl daemon-reload && systemctl stop %s", TIMER)
    status, output, predicted = make("--check")
    assert status == 0, output
    assert shown(stack, TIMER, "ActiveState") == "inactive", "a check run changes nothing"
    status, output, changed = make()
    assert (status, changed) == (0, predicted), output
    assert changed == 2
    assert shown(stack, TIMER, "ActiveState") == "active"
    assert "03:17:00" in shown(stack, TIMER, "TimersCalendar")


def test_another_time_reaches_the_timer_that_waits(stack: Stack, make: Make) -> None:
    status, output, changed = make("--extra-vars=drift_timer_schedule=hourly")
    assert (status, changed) == (0, 1), output
    assert "OnCalendar=*-*-* *:00:00" in shown(stack, TIMER, "TimersCalendar")
    assert make()[2] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("drift_timer_schedule", "sometimes"),
        ("drift_timer_schedule", "%h"),
        ("drift_timer_random_delay", "long"),
        ("drift_timer_user", "nobody-of-that-name"),
        ("drift_timer_metrics_file", "/srv/nowhere/drift.prom"),
        ("drift_timer_directory", "/etc"),
    ],
)
def test_wrong_value_is_refused_by_name(stack: Stack, make: Make, name: str, value: str) -> None:
    before = stack.host.check_output(f"cat {' '.join(UNITS)}")
    status, output, _ = make(f"--extra-vars={name}={value}")
    assert status != 0
    assert f"{name}: " in output
    assert stack.host.check_output(f"cat {' '.join(UNITS)}") == before


def test_switched_off_nothing_is_left(stack: Stack, make: Make) -> None:
    """But the exporter's directory, which was there before."""
    off = "--extra-vars=drift_timer_enabled=false"
    traces = [*UNITS, "/srv/gauges", FIGURES, "/var/cache/quayside-drift", f"/var/lib/systemd/timers/stamp-{TIMER}"]
    assert [path for path in traces if not stack.host.file(path).exists] == [], "control"
    status, output, predicted = make(off, "--check")
    assert status == 0, output
    assert [path for path in traces if not stack.host.file(path).exists] == [], "a check run changes nothing"
    status, output, changed = make(off)
    assert (status, changed) == (0, predicted), output
    assert [path for path in traces if stack.host.file(path).exists] == []
    assert stack.host.file("/srv/exporter").listdir() == []
    assert shown(stack, TIMER, "LoadState") == "not-found"
    assert TIMER not in stack.host.check_output("systemctl list-timers --all")
    assert make(off)[2] == 0
