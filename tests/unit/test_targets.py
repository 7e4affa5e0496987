"""What runs on a target, and what it needs there beyond a fresh installation: known here, and brought by a role."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
OF_ANSIBLE = {"ansible"}

# Modules of others that run on a target, with what they import there besides Python's own library.
MODULES: dict[str, set[str]] = {
    # In check mode it fails without python3-apt, which it otherwise installs: only the role `packages` uses it.
    "ansible.builtin.apt": {"apt"},
    "ansible.builtin.async_status": set(),
    "ansible.builtin.command": set(),
    "ansible.builtin.copy": set(),
    "ansible.builtin.file": set(),
    "ansible.builtin.getent": set(),
    "ansible.builtin.setup": set(),
    "ansible.builtin.stat": set(),
    "ansible.builtin.systemd_service": set(),
    "ansible.builtin.tempfile": set(),
    "ansible.builtin.template": set(),
    "community.docker.docker_container": {"requests"},
    "community.docker.docker_container_copy_into": {"requests"},
    "community.docker.docker_container_exec": {"requests"},
    "community.docker.docker_host_info": {"requests"},
    "community.docker.docker_image": {"requests"},
    "community.docker.docker_image_remove": {"requests"},
    "community.docker.docker_network": {"requests"},
    "community.docker.docker_volume": {"requests"},
}
# Actions of the controller alone.
CONTROLLER = {
    f"ansible.builtin.{name}"
    for name in (
        "assert",
        "debug",
        "fail",
        "import_playbook",
        "import_role",
        "import_tasks",
        "include_role",
        "include_tasks",
        "meta",
        "set_fact",
    )
}
# Programs that commands begin with, and who brings them.
PROGRAMS = {
    "/etc/init.d/docker": "role docker",
    "docker": "role docker",
    "dpkg-query": "dpkg",
    "find": "findutils",
    "journalctl": "systemd",
    "mmdebstrap": "role base_image",
    "rmdir": "coreutils",
    "start-stop-daemon": "dpkg",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "tail": "coreutils",
}


def libraries(role: str) -> dict[str, str]:
    """Return what a role brings to the target's Python: name of the module to its package."""
    path = ROOT / "roles" / role / "vars/main.yml"
    variables = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return dict((variables or {}).get(f"__{role}_libraries") or {})


BROUGHT = {name for role in ROLES for name in libraries(role.name)}


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def on_targets() -> list[Path]:
    """Return the project's modules and what they share."""
    folders = [*ROOT.glob("roles/*/library"), *ROOT.glob("roles/*/module_utils"), ROOT / "module_utils"]
    return sorted(path for folder in folders for path in folder.glob("*.py"))


def tasks(entries: Any) -> Iterator[dict[str, Any]]:
    """Yield all tasks of a file, those in blocks and plays included."""
    for entry in entries or []:
        yield entry
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from tasks(entry.get(part))


FILES = sorted([ROOT / "site.yml", *ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")])
FILES = [path for path in FILES if "group_vars" not in path.parts]
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.mark.parametrize("path", on_targets(), ids=lambda path: path.name)
def test_modules_import_what_a_role_brings(path: Path) -> None:
    foreign = imported(path) - set(sys.stdlib_module_names) - OF_ANSIBLE
    assert foreign <= BROUGHT
    # Its own role, for that one knows when.
    role = path.relative_to(ROOT).parts[1] if path.is_relative_to(ROOT / "roles") else ""
    assert foreign <= set(libraries(role))


@each_file
def test_actions_of_others_import_what_a_role_brings(path: Path) -> None:
    own = {file.stem for file in [*ROOT.glob("roles/*/library/*.py"), *ROOT.glob("roles/*/action_plugins/*.py")]}
    for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
        for name in (key for key in task if "." in key or key in own):
            if name in own or name in CONTROLLER:
                continue
            assert name in MODULES, f"{name}: say here what it needs on a target"
            if name == "ansible.builtin.apt":
                assert path.is_relative_to(ROOT / "roles/packages")
            else:
                assert MODULES[name] <= BROUGHT, name


@each_file
def test_commands_begin_with_programs_that_somebody_brings(path: Path) -> None:
    for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
        argv = (task.get("ansible.builtin.command") or {}).get("argv")
        if argv is None:
            continue
        # Those of a variable or a filter are the services' own, in containers, but for a list that begins here.
        first = argv[0] if isinstance(argv, list) else (re.match(r"\s*\{\{ \['([^']+)'", argv) or [None, None])[1]
        if first:
            assert first in PROGRAMS, f"{first}: say here who brings it"


def test_every_program_and_module_of_the_lists_is_used() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    others = [*ROOT.glob("roles/*/action_plugins/*.py"), *ROOT.glob("roles/*/vars/main.yml")]
    text += "\n".join(path.read_text(encoding="utf-8") for path in others)
    assert [name for name in [*MODULES, *PROGRAMS] if name not in text] == []
