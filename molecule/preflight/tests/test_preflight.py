"""The preflight of a bare machine: all problems in one message, before anything is touched, and what is good passes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from module_utils import run_lock
from tests.support.runs import PROJECT, Runs, without_colours, words
from tests.support.stack import Stack

SITE = str(PROJECT / "site.yml")
LAST = "preflight : Check the variables, the target and this machine]"
LOCK = "/run/harbour.lock"
PORT = 8448
LINK = "/srv/elsewhere"
CANARY = "canary-7"
ROLES = ("administrator", "editor", "author", "contributor", "subscriber")

DECLARED: dict[str, Any] = {
    "nginx_memroy": "1g",
    "mariadb_memory": "512",
    "ftp_clients": "many",
    "certificates_renew_days": 0,
    "wordpress_sites": {
        "quay": {
            "domain": "192.0.2.1",
            "title": "On the quay",
            "administrator": {"login": "wharfinger", "email": "nobody", "password": CANARY},
            "users": {"clerk": {"email": "clerk@example.test", "role": "captain"}},
        }
    },
}
DECLARED_PROBLEMS = [
    "nginx_memroy: no such variable, did you mean nginx_memory?",
    "mariadb_memory: the size '512' has no unit: write 512m for megabytes, 512b for bytes",
    'ftp_clients: "many": must be a whole number',
    "certificates_renew_days: 0: must be at least 1",
    'wordpress_sites.quay.domain: "192.0.2.1": must be a name, not an IP address',
    'wordpress_sites.quay.administrator.email: "nobody": must be an e-mail address',
    (
        f'wordpress_sites.quay.users.clerk.role: "captain": must be one of {", ".join(ROLES)}: the site declares no'
        " plugin that could bring another one"
    ),
    "wordpress_sites.quay.administrator.password: must have at least 12 characters",
]


def problems(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the problems that a run says it found, which has to count them rightly."""
    text = without_colours(result.stdout + result.stderr)
    match = re.search(r"(\d+) problems? found\. Nothing was changed\.\n((?: *- .*\n)+)", text)
    assert match, text
    lines = [line.strip().removeprefix("- ") for line in match[2].splitlines()]
    assert int(match[1]) == len(lines), text
    return lines


def touched(stack: Stack) -> str:
    """Digest what a converge would begin with: files, the engine's things, services."""
    return str(
        stack.host.check_output(
            "{ find /etc /srv /usr/local /opt -xdev -printf '%p %m %u %s %T@\n'; docker ps --all --quiet;"
            " docker images --quiet; docker volume ls --quiet; docker network ls --quiet; systemctl list-unit-files; }"
            " | sort | sha256sum"
        )
    )


def refused(runs: Runs, stack: Stack, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Bring up the whole stack with other variables, which has to be refused before it begins; return what was said."""
    before = touched(stack)
    result = runs.play(SITE, "--extra-vars=" + json.dumps(variables))
    assert result.returncode != 0
    assert touched(stack) == before
    assert runs.all()[-1].changes == []
    assert without_colours(result.stdout).rpartition("TASK [")[2].startswith(LAST), result.stdout
    return result


@pytest.fixture
def _squatter(stack: Stack) -> Iterator[None]:
    """Let another program have the web server's port."""
    stack.host.check_output("systemd-run --unit=squatter python3 -m http.server %s", str(PORT))
    answers = "curl --silent --output /dev/null --retry 20 --retry-connrefused --retry-delay 1 localhost:%s"
    stack.host.check_output(answers, str(PORT))
    yield
    stack.host.check_output("systemctl stop squatter")


@pytest.fixture
def _link(stack: Stack) -> Iterator[None]:
    """Let a directory lead to another one."""
    stack.host.check_output("ln --symbolic /etc %s", LINK)
    yield
    stack.host.check_output("rm %s", LINK)


def test_control_of_what_is_compared(stack: Stack) -> None:
    before = touched(stack)
    stack.host.check_output("mkdir -p /srv/control")
    assert touched(stack) != before


def test_wrong_variables_are_named_together(runs: Runs, stack: Stack) -> None:
    result = refused(runs, stack, **DECLARED)
    assert problems(result) == DECLARED_PROBLEMS
    assert CANARY not in result.stdout + result.stderr


@pytest.mark.usefixtures("_squatter", "_link")
def test_what_only_the_target_knows_is_asked_of_it(runs: Runs, stack: Stack) -> None:
    """Who has a port, where a directory leads, what the machine has; and none of it stops the look at the rest."""
    found = problems(refused(runs, stack, stack_data_dir=LINK, preflight_memory_min="900g", preflight_disk_min="9000g"))
    expected = [
        rf'stack_data_dir: "{LINK}": a directory of the system cannot hold the data \(a symbolic link leads to /etc\)',
        r"memory: .*iB: preflight_memory_min asks for 900\.0 GiB",
        r"disk below /etc: .* free: preflight_disk_min asks for 9000\.0 GiB",
        rf"port {PORT}/tcp \(nginx\): already in use by python3",
    ]
    for problem in expected:
        assert [line for line in found if re.fullmatch(problem, line)], (problem, found)
    # The engine's directory may be on a disk of its own.
    assert len([line for line in found if not line.startswith("disk below /var/lib/docker: ")]) == len(expected), found


def test_what_is_put_right_passes(runs: Runs) -> None:
    """The control: the same machine and the same variables, without what was wrong."""
    assert runs.converge().changes == []


def test_a_run_about_the_engine_prepares_no_service(runs: Runs, stack: Stack) -> None:
    """No image is built for it; and the engine is not the role's here."""
    before = touched(stack)
    result = runs.play(SITE, "--tags=docker")
    assert result.returncode == 0, result.stdout + result.stderr
    assert runs.all()[-1].changes == []
    assert touched(stack) == before


def test_another_run_is_in_the_way_while_it_lives(runs: Runs, stack: Stack) -> None:
    """It stands in a file of the target which process of which machine works on it."""
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            described = {**run_lock.this_run(other.pid), "user": "somebody", "since": "2026-01-02 03:04:05 UTC"}
            stack.host.check_output("printf %%s %s > %s", json.dumps(described), LOCK)
            before = touched(stack)
            result = runs.play(SITE)
            assert result.returncode != 0
            assert touched(stack) == before
            said = f"Another run works on instance: somebody on {described['machine']} (process {other.pid})"
            assert said in words(result)
            assert json.loads(stack.host.file(LOCK).content_string) == described
        finally:
            other.kill()
    assert runs.converge().changes == []
    assert json.loads(stack.host.file(LOCK).content_string)["pid"] != other.pid
