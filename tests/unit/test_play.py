"""scripts/play: whom it asks for a password, and what surroundings it makes for Ansible."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.runs import PROJECT

LOCAL: dict[str, Any] = {"ansible_connection": "local"}
INVENTORIES: dict[str, dict[str, Any]] = {
    "remote.yml": {"web-1.example.org": {}},
    "local.yml": {"here": LOCAL},
    "mixed.yml": {"web-1.example.org": {}, "here": LOCAL},
    "given.yml": {"here": {**LOCAL, "ansible_become_password": "{{ undefined_until_the_vault_is_open }}"}},
    "rootless.yml": {"here": {**LOCAL, "ansible_become": "{{ false }}"}},
}


def program(path: Path, text: str) -> None:
    """Write a shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the script uses, for a user whom sudo asks; Ansible only notes how it was started."""
    folder = tmp_path / "a project"
    for name in ("scripts", "playbooks", "inventory", "inventory_plugins"):
        shutil.copytree(PROJECT / name, folder / name, symlinks=True)
    for name in ("ansible.cfg", "site.yml"):
        shutil.copy(PROJECT / name, folder)
    tools = folder / ".venv/bin"
    program(tools / "python", f'exec "{sys.executable}" "$@"')
    program(tools / "id", "echo 1000")
    program(tools / "sudo", "exit 1")
    note = '{ printf "%s\\n" "$@"; } > "$NOTES"; { pwd; umask; env; } > "$NOTES.env"'
    program(tools / "ansible-playbook", note)
    return folder


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    """Write inventories outside of the project."""
    folder = tmp_path / "operator"
    folder.mkdir()
    for name, hosts in INVENTORIES.items():
        (folder / name).write_text(yaml.safe_dump({"stack": {"hosts": hosts}}), encoding="utf-8")
    return folder


def started(project: Path, cwd: Path, *command: str, **environment: str) -> tuple[list[str], str]:
    """Run a script at a terminal; return Ansible's arguments, and its directory, umask, environment."""
    notes = cwd / "notes"
    notes.unlink(missing_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LC_", "LANG"))}
    leader, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [project / "scripts" / command[0], *command[1:]],
            cwd=cwd,
            env={**clean, "NOTES": str(notes), **environment},
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
            umask=0o077,
        )
    finally:
        os.close(leader)
        os.close(terminal)
    assert notes.exists(), done.stdout + done.stderr
    return notes.read_text().splitlines(), Path(f"{notes}.env").read_text()


@pytest.mark.parametrize(
    ("command", "asks"),
    [
        ("play site.yml", True),
        ("play site.yml --check --diff", True),
        ("play site.yml --list-tasks", False),
        ("play site.yml -K", False),
        ("play site.yml --become-password-file=password", False),
        ("play site.yml -i remote.yml", False),
        ("play site.yml --inventory=local.yml", True),
        ("play site.yml -i remote.yml -i local.yml", True),
        ("play site.yml -i mixed.yml", True),
        ("play site.yml -i mixed.yml --limit web-1.example.org", False),
        ("play site.yml -i mixed.yml -l here", True),
        ("play site.yml -i given.yml", False),
        ("play site.yml -i rootless.yml", False),
        ("play site.yml -i web-1.example.org,", False),
        ("play site.yml -i web-1.example.org, -c local", True),
        ("play playbooks/down.yml -i remote.yml", False),
        ("play playbooks/down.yml", True),
        # It shows what the controller knows.
        ("play playbooks/secrets.yml", False),
        # Its timer is on this machine, whatever machines it will look at.
        ("play playbooks/drift_timer.yml -i remote.yml", True),
        ("drift", True),
        ("drift --inventory remote.yml", False),
    ],
)
def test_password_is_asked_for_where_this_machine_is_a_target(
    project: Path, operator: Path, command: str, asks: bool
) -> None:
    arguments, _ = started(project, operator, *command.split())
    assert ("--ask-become-pass" in arguments) is asks


def test_inventory_of_the_project_with_remote_hosts(project: Path, operator: Path) -> None:
    """As docs/install.md says: the example is copied over hosts.yml."""
    shutil.copy(project / "inventory/hosts.example.yml", project / "inventory/hosts.yml")
    arguments, _ = started(project, operator, "play", "site.yml")
    assert "--ask-become-pass" not in arguments


def test_it_is_started_from_any_directory(project: Path, operator: Path) -> None:
    """With the caller's paths as they are, and the project's settings."""
    arguments, surroundings = started(project, operator, "play", "site.yml", "-i", "remote.yml", "-e", "@more.yml")
    assert arguments == [f"{project}/site.yml", "-i", "remote.yml", "-e", "@more.yml"]
    assert surroundings.splitlines()[0] == str(operator)
    assert f"ANSIBLE_CONFIG={project}/ansible.cfg\n" in surroundings
    assert "ANSIBLE_CONFIG=/own\n" in started(project, operator, "play", "site.yml", "-K", ANSIBLE_CONFIG="/own")[1]


LOCALES = [
    {},
    {"LANG": "C"},
    {"LANG": "xx_XX"},
    {"LANG": "C.UTF-8", "LC_TIME": "xx_XX.UTF-8"},
    {"LANG": "C.UTF-8", "LC_ALL": "nonsense"},
    {"LC_CTYPE": "UTF-8"},
    {"LC_ALL": ""},
]
SET = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.getpreferredencoding(False))"


@pytest.mark.parametrize("given", LOCALES, ids=str)
def test_locale_exists_and_is_utf8(project: Path, operator: Path, given: dict[str, str]) -> None:
    """Whatever the caller's is, in every category: Ansible refuses to start otherwise."""
    _, surroundings = started(project, operator, "play", "site.yml", "-K", **given)
    made = dict(line.partition("=")[::2] for line in surroundings.splitlines() if line.startswith(("LC_", "LANG")))
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", SET], env={**path, **made}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip().lower()) == (0, "utf-8"), done.stderr


@pytest.mark.parametrize("name", ["play", "bootstrap", "stage", "test"])
def test_scripts_have_one_place_for_that(name: str) -> None:
    text = (PROJECT / "scripts" / name).read_text(encoding="utf-8")
    sourced = [line for line in text.splitlines() if line.startswith(". ")]
    assert [line.strip('"').rpartition("/")[2] for line in sourced] == ["environment"]
    assert "LC_ALL" not in text


def test_make_takes_the_locale_from_there(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    program(tmp_path / "scripts/bootstrap", "true")
    program(tmp_path / "scripts/environment", "LC_ALL=from.there")
    program(tmp_path / "scripts/play", 'echo "LC_ALL=$LC_ALL"')
    done = subprocess.run(
        ["make", "up"],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "nonsense"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "LC_ALL=from.there\n" in done.stdout


def test_what_is_made_can_be_read_by_others(project: Path, operator: Path) -> None:
    """The caller's umask is 077 here: .venv and what Ansible keeps would be the caller's alone."""
    _, surroundings = started(project, operator, "play", "site.yml", "-K")
    assert surroundings.splitlines()[1] == "0022"
