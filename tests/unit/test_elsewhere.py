"""Inventories that are kept outside of the project, and playbooks that are started from another directory.

Of each playbook only its plays are left, with one task that says what a host's variables are: no host is touched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.runs import PROJECT

PARTS = (
    "ansible.cfg",
    "module_utils",
    "group_vars",
    "inventory",
    "inventory_plugins",
    "playbooks",
    "roles",
    "filter_plugins",
    "callback_plugins",
)
PLAYBOOKS = ["site.yml", *sorted(f"playbooks/{path.name}" for path in (PROJECT / "playbooks").glob("*.yml"))]
SAY = (
    "{{ inventory_hostname }} {{ {'key': stack_installation_key_file, 'name': stack_name, 'epoch': stack_image_epoch,"
    " 'ftp': stack_ftp, 'redis': stack_redis, 'adminer': stack_adminer, 'kept': stack_images_kept} | to_json }}"
)
OF_THE_PROJECT = {
    "name": "pressdock", "epoch": "", "ftp": True, "redis": True, "adminer": True, "kept": 2,
}  # fmt: skip


def only_said(playbook: Path) -> None:
    """Leave of a playbook its plays and what it imports."""
    plays: list[dict[str, Any]] = []
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        if "ansible.builtin.import_playbook" in play:
            plays.append({name: play[name] for name in ("name", "ansible.builtin.import_playbook")})
        else:
            kept = {name: play[name] for name in ("name", "hosts", "connection") if name in play}
            plays.append({**kept, "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": f"SAID {SAY}"}}]})
    playbook.write_text(yaml.safe_dump(plays), encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, with playbooks that only say something."""
    folder = tmp_path_factory.mktemp("project")
    for name in (*PARTS, "site.yml"):
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, folder / name, symlinks=True)
        else:
            shutil.copy(PROJECT / name, folder / name)
    for name in PLAYBOOKS:
        only_said(folder / name)
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Write an operator's directory; each level says something that the one below it says as well."""
    host = {"ansible_connection": "local", "stack_adminer": False}
    group = {"stack_name": "group", "stack_image_epoch": "group", "stack_ftp": False, "stack_redis": False}
    files = {
        "hosts.yml": {"stack": {"hosts": {"quay": host}, "vars": {**group, "stack_images_kept": 1}}},
        "more.yml": {"stack": {"hosts": {"pier": {"ansible_connection": "local"}}}},
        "group_vars/all.yml": {"stack_name": "all", "stack_redis": True, "stack_image_epoch": "all"},
        "group_vars/stack.yml": {"stack_image_epoch": "stack"},
        "host_vars/quay.yml": {"stack_images_kept": 7},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


DECLARED = {"name": "all", "epoch": "stack", "ftp": False, "redis": True, "adminer": False, "kept": 7}
"""What the operator's directory says of the host quay."""


def said(project: Path, playbook: str, *arguments: str, cwd: Path, **environment: str) -> dict[str, list[Any]]:
    """Run a playbook; return what each host said in each play that it was in, without the key's directory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", project / playbook, *arguments],
        cwd=cwd,
        env={**clean, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
             "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[Any]] = {}
    for host, text in re.findall(r"SAID (\S+) (\{[^\n]*\})", done.stdout):
        values = json.loads(text.replace('\\"', '"').removesuffix('"'))
        assert values.pop("key") == f"{project}/secrets/installation.key"
        found.setdefault(host, []).append(values)
    return found


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_inventory_elsewhere_from_there(project: Path, elsewhere: Path, playbook: str) -> None:
    """With the project's settings, as scripts/play and .venv name them: our variables are found, theirs win."""
    config = str(project / "ansible.cfg")
    found = said(project, playbook, "--inventory=hosts.yml", cwd=elsewhere, ANSIBLE_CONFIG=config)
    if playbook.endswith("drift_timer.yml"):
        # For the controller, which the operator's group is not about.
        assert found == {"localhost": [{**OF_THE_PROJECT, **DECLARED, "ftp": True, "adminer": True,
                                        "epoch": "all", "kept": 2}]}  # fmt: skip
    else:
        assert found
        assert all(values == DECLARED for values in found["quay"])


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/down.yml"])
def test_inventory_elsewhere_from_the_project(project: Path, elsewhere: Path, playbook: str) -> None:
    found = said(project, playbook, "--inventory", str(elsewhere / "hosts.yml"), cwd=project)
    assert all(values == DECLARED for values in found["quay"])


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/down.yml"])
def test_several_inventories(project: Path, elsewhere: Path, playbook: str) -> None:
    """With one of the project's own before them what lies beside theirs still wins, as the later one always does."""
    theirs = [f"--inventory={elsewhere / name}" for name in ("more.yml", "hosts.yml")]
    found = said(project, playbook, *theirs, cwd=project)
    assert set(found) == {"pier", "quay"}
    assert all(values == DECLARED for values in found["quay"])
    found = said(project, playbook, f"--inventory={project}/inventory/hosts.yml", *theirs, cwd=project)
    assert set(found) == {"localhost", "pier", "quay"}
    # But for the group's variables in the file of hosts itself: of all group_vars these come before.
    assert all(values == {**DECLARED, "ftp": True} for values in found["quay"])
    assert all(values["name"] == "all" for values in found["pier"])


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/secrets.yml"])
def test_list_of_hosts(project: Path, tmp_path: Path, playbook: str) -> None:
    """They are in the group that the playbooks are for."""
    config = str(project / "ansible.cfg")
    found = said(project, playbook, "-i", "quay,pier", "-c", "local", cwd=tmp_path, ANSIBLE_CONFIG=config)
    assert set(found) == {"quay", "pier"}
    assert all(values == OF_THE_PROJECT for values in found["quay"] + found["pier"])


def test_own_inventory_is_as_before(project: Path, tmp_path: Path) -> None:
    found = said(project, "site.yml", cwd=tmp_path, ANSIBLE_CONFIG=str(project / "ansible.cfg"))
    assert found
    assert all(values == OF_THE_PROJECT for values in found["localhost"])


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/secrets.yml"])
def test_own_file_wins(project: Path, tmp_path: Path, playbook: str) -> None:
    """Over what comes with the project, also where hosts are named on the command line; an inventory's own wins."""
    own = project / "group_vars/stack.yml"
    own.write_text("stack_name: shop\nstack_images_kept: 7\n", encoding="utf-8")
    config = str(project / "ansible.cfg")
    try:
        for hosts in ([], ["-i", "quay,", "-c", "local"]):
            found = said(project, playbook, *hosts, cwd=tmp_path, ANSIBLE_CONFIG=config)
            assert all(v["name"] == "shop" and v["kept"] == 7 for values in found.values() for v in values), found
    finally:
        own.unlink()


def test_settings_of_somebody_else_are_refused(project: Path, elsewhere: Path, tmp_path: Path) -> None:
    """They would lead to another installation key, and with it to other passwords."""
    other = tmp_path / "ansible.cfg"
    other.write_text("[defaults]\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="without the project's settings"):
        said(project, "site.yml", "--inventory=hosts.yml", cwd=elsewhere, ANSIBLE_CONFIG=str(other))


def test_virtual_environment_knows_the_settings(tmp_path: Path) -> None:
    """What scripts/bootstrap leaves in it names them, where no others lie in the directory."""
    ask = [sys.executable, "-c", "import os; print(os.environ.get('ANSIBLE_CONFIG', ''))"]
    clean = {name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"}

    def told(**environment: str) -> str:
        return subprocess.run(
            ask, cwd=tmp_path, env={**clean, **environment}, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert told() == str(PROJECT / "ansible.cfg")
    assert told(ANSIBLE_CONFIG="/etc/other.cfg") == "/etc/other.cfg"
    (tmp_path / "ansible.cfg").touch()
    assert told() == ""
