"""playbooks/installation_key.yml: what it makes on the machine that runs Ansible, and what it leaves as it is."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.runs import PROJECT


def make_key(file: Path, home: Path) -> None:
    """Run the playbook with the key at a place of the operator's choice."""
    inventory = home / "hosts.yml"
    inventory.write_text("stack: {hosts: {localhost: {ansible_connection: local}}}\n", encoding="utf-8")
    variables = f"stack_installation_key_file={file} stack_no_log=true"
    argv = [
        "ansible-playbook",
        "--inventory",
        str(inventory),
        "--extra-vars",
        variables,
        "playbooks/installation_key.yml",
    ]
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(argv, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mode", [0o755, 0o1777, 0o710])
def test_directory_that_is_there_stays_as_it_is(tmp_path: Path, mode: int) -> None:
    """It may be /etc."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    folder.chmod(mode)
    make_key(folder / "stack.key", tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    assert stat.S_IMODE((folder / "stack.key").stat().st_mode) == 0o600


def test_directory_that_it_makes_is_the_owner_s_alone(tmp_path: Path) -> None:
    make_key(tmp_path / "far" / "away" / "stack.key", tmp_path)
    assert stat.S_IMODE((tmp_path / "far" / "away").stat().st_mode) == 0o700
    assert len((tmp_path / "far" / "away" / "stack.key").read_text(encoding="ascii").strip()) == 64
