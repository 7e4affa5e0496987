"""What kills runs in the tests kills all of them, and what visits sites meanwhile notices when they do not answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import interruption
from tests.support.interruption import Boundary, Visitor
from tests.support.runs import PROJECT


def alive(process: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def test_all_that_a_process_has_started_is_killed_with_it() -> None:
    """Also what has a session of its own, as Ansible's workers have."""
    script = "sleep 600 & setsid sh -c 'sleep 600 & sleep 600' & echo ready; wait"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout
        assert shell.stdout.readline() == "ready\n"
        end = time.monotonic() + 10
        while len(found := interruption.descendants(shell.pid)) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        assert len(found) == 4
        interruption.kill_tree(shell.pid)
        assert shell.wait(10) == -signal.SIGKILL
        while any(alive(process) for process in found) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(alive(process) for process in found)
    assert alive(os.getpid())


def test_boundaries_at_which_a_target_is_the_same_count_once(tmp_path: Path) -> None:
    file = tmp_path / "boundaries"
    same = {"occurrence": 1, "process": 7}
    lines = [{"number": n, "task": f"task {n}", "worked": n in (2, 3), **same} for n in range(5)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = interruption.read_boundaries(file)
    assert found[1] == Boundary(1, "task 1", 1, 7, worked=False)
    assert [boundary.number for boundary in interruption.distinct(found)] == [2, 3]


def test_visitor_notices_an_outage() -> None:
    """From the last answer before to the first one after."""
    answers = ["", "status 502", "status 500", "", "", "nobody listens", ""]

    class Scripted(Visitor):
        def ask(self) -> str:
            time.sleep(0.02)
            return answers.pop(0) if answers else ""

    visitor = Scripted("192.0.2.1", 443, "example.test", pause=0.0)
    with visitor.visiting():
        assert visitor.wait(5)
        end = time.monotonic() + 5
        while answers and time.monotonic() < end:
            time.sleep(0.01)
        assert visitor.wait(5)
    assert [reason for _, reason in visitor.outages()] == ["status 502", "nobody listens"]
    assert visitor.outages()[0][0] >= 0.06
    visitor.forget()
    assert visitor.outages() == []


def test_visitor_counts_an_outage_that_goes_on() -> None:
    with socket.socket() as nobody:
        # Bound, but nobody listens.
        nobody.bind(("127.0.0.1", 0))
        visitor = Visitor("127.0.0.1", nobody.getsockname()[1], "example.test", pause=0.0)
        with visitor.visiting():
            end = time.monotonic() + 10
            while not visitor.outages() and time.monotonic() < end:
                time.sleep(0.01)
            first = visitor.outages()[0]
            assert "refused" in first[1]
            assert not visitor.wait(0.1)
            assert visitor.outages()[0][0] >= first[0] + 0.1


PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - {name: one, ansible.builtin.command: "true"}
    - {name: two, ansible.builtin.set_fact: {fact: 1}}
    - {name: three, ansible.builtin.command: "true", changed_when: false}
    - {name: two, ansible.builtin.command: "true"}
    - {name: five, ansible.builtin.debug: {msg: the end}}
"""


@pytest.mark.parametrize(
    ("environment", "status", "begun"),
    [
        ({}, 0, 5),
        ({"PRESSDOCK_KILL_AT": "1 two"}, -signal.SIGKILL, 2),
        ({"PRESSDOCK_KILL_AT": "2 two"}, -signal.SIGKILL, 4),
        ({"PRESSDOCK_KILL_AT": "2 one"}, 0, 5),
        ({"PRESSDOCK_KILL_AFTER_CHANGES": "1"}, -signal.SIGKILL, 2),
        ({"PRESSDOCK_KILL_AFTER_CHANGES": "2"}, -signal.SIGKILL, 5),
        ({"PRESSDOCK_KILL_AFTER_CHANGES": "3"}, 0, 5),
    ],
)
def test_a_run_dies_where_it_shall(tmp_path: Path, environment: dict[str, str], status: int, begun: int) -> None:
    playbook, file = tmp_path / "play.yml", tmp_path / "boundaries"
    # Those of the project are for its own playbooks: what .venv names is taken where there are none.
    (tmp_path / "ansible.cfg").touch()
    playbook.write_text(PLAY)
    done = subprocess.run(
        ["ansible-playbook", "--inventory", "localhost,", "--connection", "local", str(playbook)],
        env={
            **os.environ,
            "ANSIBLE_CALLBACK_PLUGINS": str(PROJECT / "molecule/shared/callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "interruption",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "PRESSDOCK_BOUNDARIES": str(file),
            **environment,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    found = interruption.read_boundaries(file)
    assert [boundary.name for boundary in found] == ["1 one", "1 two", "1 three", "2 two", "1 five"][:begun]
    assert [boundary.worked for boundary in found] == [False, True, False, True, True][:begun]
    assert not alive(found[-1].process)
