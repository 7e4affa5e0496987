"""playbooks/rotate.yml itself, step by step, around a converge that only says which versions it would use."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"
PARTS = (
    "ansible.cfg",
    "callback_plugins",
    "filter_plugins",
    "group_vars",
    "inventory",
    "inventory_plugins",
    "module_utils",
    "playbooks",
    "roles",
)
# It leaves what a converge leaves, and can be cut off at a step.
CONVERGE = r"""
- name: Stand in for a converge
  hosts: stack
  gather_facts: false
  tasks:
    - name: Know the services' variables
      ansible.builtin.import_tasks:
        file: playbooks/tasks/variables.yml

    - name: Say what would be used
      ansible.builtin.debug:
        msg: >-
          seen={{ {'step': __stack_secrets.entries['database/blog'].step,
                   'password': mariadb_databases.wordpress_blog.password,
                   'other': mariadb_databases.wordpress_blog.other_password | default(''),
                   'stale': [container_settled | default([]), preflight_look | default({})] | select | length}
              | to_json }}

    - name: Leave what was found
      ansible.builtin.set_fact:
        container_settled: [mariadb]
        preflight_look: {engine: {}}

    - name: Be cut off
      ansible.builtin.fail:
        msg: cut off
      when: __stack_secrets.entries['database/blog'].step == cut_off
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy the project, with stand-ins for what would touch a machine."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, symlinks=True)
        else:
            shutil.copy(source, tmp_path / part)
    (tmp_path / "site.yml").write_text(CONVERGE)
    for name, task in (("preflight", "main"), ("rotation", "prove")):
        words = f"- name: Stand in\n  ansible.builtin.debug:\n    msg: stands in for {name}\n"
        (tmp_path / "roles" / name / "tasks" / f"{task}.yml").write_text(words)
    (tmp_path / "key").write_text(KEY)
    return tmp_path


def rotate(project: Path, name: str, *arguments: str, cut_off: str = "") -> subprocess.CompletedProcess[str]:
    """Rotate in a project."""
    variables = {
        "stack_installation_key_file": str(project / "key"),
        "stack_name": "unittest",
        "ansible_become": False,
        "cut_off": cut_off,
    }
    return subprocess.run(
        ["ansible-playbook", "playbooks/rotate.yml", "--extra-vars", json.dumps(variables), *arguments],
        cwd=project,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
            "COLUMNS": "1000",
            "PRESSDOCK_ROTATE_NAME": name,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def seen(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what each converge has seen."""
    text = " ".join((result.stdout + result.stderr).replace("''", "'").split())
    return [json.loads(part.partition("}")[0] + "}") for part in text.split("seen=")[1:]]


def step(project: Path) -> str:
    """Return the recorded step."""
    return str(json.loads((project / "rotation.json").read_text())["database/blog"]["step"])


def test_steps_are_recorded_before_their_converge_and_resumed(project: Path) -> None:
    cut = rotate(project, "database/blog", cut_off="switch")
    assert cut.returncode != 0
    first, second = seen(cut)
    assert [first["step"], second["step"]] == ["introduce", "switch"]
    assert first["password"] == second["other"]
    assert first["other"] == second["password"] != first["password"]
    assert step(project) == "switch"
    assert stat.S_IMODE((project / "rotation.json").stat().st_mode) == 0o600

    resumed = rotate(project, "database/blog")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    again, last = seen(resumed)
    assert again == second
    assert last == {"step": "retire", "password": second["password"], "other": "", "stale": 0}
    assert "stands in for rotation" in resumed.stdout, "there was no proof"
    assert step(project) == "done"
    # Nothing of what a converge has found is left for the next one.
    assert {one["stale"] for one in (first, second, again, last)} == {0}


def test_check_run_and_list_change_nothing(project: Path) -> None:
    checked = rotate(project, "all", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "database/blog: version 1 -> 2" in checked.stdout
    assert seen(checked) == []
    listed = rotate(project, "")
    assert "wordpress/blog/salts: version 1" in listed.stdout
    refused = rotate(project, "database/blgo")
    assert refused.returncode != 0
    assert "There is no secret database/blgo" in refused.stdout + refused.stderr
    assert not (project / "rotation.json").exists()


def test_variables_of_the_playbook_are_none_that_somebody_misspelt(project: Path) -> None:
    """The real preflight, which only looks here, comes after the plan has been made."""
    shutil.copy(ROOT / "roles/preflight/tasks/main.yml", project / "roles/preflight/tasks/main.yml")
    result = rotate(project, "all", "--check", "--extra-vars={nginx_https_port: 48443, ftp_port: 48421}")
    assert "Check the variables, the target and this machine" in result.stdout
    assert "no such variable" not in result.stdout + result.stderr
