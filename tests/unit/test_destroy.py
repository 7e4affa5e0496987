"""`make destroy NAME=...`: what is named arrives in the playbook as it was written, whatever it is."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.runs import PROJECT

NAMES = [
    "market",
    "database/two  words",
    'database/it\'s "$HOME" \\ `id` $(id) & ; #',
    "database/$(shell touch made-by-make)$$x",
    "database/{{ 7 * 7 }} {% raw %} x=y",
    "database/käse\nline",
]


def write_script(path: Path, command: str) -> None:
    """Write a shell script that stands for one of the project's."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize("name", NAMES)
def test_make_hands_any_text_over_as_it_is(tmp_path: Path, name: str) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    write_script(tmp_path / "scripts/bootstrap", "true")
    write_script(tmp_path / "scripts/play", 'printf %s "$PRESSDOCK_DESTROY_NAME" > name; printf "%s " "$@" > arguments')
    subprocess.run(["make", "destroy", f"NAME={name}", "ARGS=--check"], cwd=tmp_path, check=True)
    assert (tmp_path / "name").read_text(encoding="utf-8") == name
    assert (tmp_path / "arguments").read_text(encoding="utf-8") == "playbooks/destroy.yml --check "
    assert not (tmp_path / "made-by-make").exists()


def test_the_playbook_takes_any_text_as_it_is(tmp_path: Path) -> None:
    """The play that checks the name and the one that deletes, with other tasks: here nothing is destroyed."""
    plays = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": play["vars"],
            "tasks": [{"ansible.builtin.debug": {"msg": "ARRIVED {{ destroy_name | to_json | b64encode }} "}}],
        }
        for play in yaml.safe_load((PROJECT / "playbooks/destroy.yml").read_text(encoding="utf-8"))
        if "tasks" in play
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump(plays), encoding="utf-8")
    name = " ".join(NAMES)
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", playbook],
        cwd=tmp_path,
        env={**os.environ, "PRESSDOCK_DESTROY_NAME": name, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"ARRIVED (\S+)", done.stdout)
    assert [json.loads(base64.b64decode(text)) for text in found] == [name, name], done.stdout + done.stderr
