"""Renders the roles' templates as Ansible does, without a host.

Variables come from where a run takes them: roles' defaults and vars, group_vars, the inventory. On top comes what
only exists during a run (runtime.yml) and, for the second rendering, another value for each public variable
(second.yml).

As a program, it writes files for linters: `render.py --dockerfiles FOLDER` every Dockerfile, as ROLE-SET.Dockerfile
or, of a further image, ROLE-IMAGE-SET.Dockerfile; `render.py --php FOLDER` every script in PHP, as ROLE-NAME-SET.php.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader, test_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.manager import VariableManager

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
HERE = Path(__file__).resolve().parent
MACROS = ROLES / "container" / "templates"
"""What other roles' templates import; nothing is rendered from these files alone."""
VARIABLE_SETS = ("defaults", "second")
KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"


@functools.cache
def loader() -> DataLoader:
    """Return the one reader of YAML files, with the project's plugins known to Ansible."""
    init_plugin_loader([])
    filter_loader.add_directory(str(ROOT / "filter_plugins"))
    test_loader.add_directory(str(ROOT / "test_plugins"))
    reader = DataLoader()
    reader.set_basedir(str(ROOT))
    return reader


def load(path: Path) -> dict[str, Any]:
    """Return a YAML file whose strings may be templates; nothing for one that does not exist."""
    if not path.is_file():
        return {}
    return dict(loader().load_from_file(str(path), trusted_as_template=True) or {})


@functools.cache
def inventory_variables() -> dict[str, Any]:
    """Return what the inventory and group_vars say about localhost."""
    inventory = InventoryManager(loader=loader(), sources=[str(ROOT / "inventory" / "hosts.yml")])
    manager = VariableManager(loader=loader(), inventory=inventory)
    return dict(manager.get_vars(host=inventory.get_host("localhost")))


class Images(dict[str, Any]):
    """Stands for the images, which get their names when they are planned."""

    def __missing__(self, service: str) -> dict[str, Any]:
        """Invent an image."""
        return {"reference": f"pressdock/{service}:0123456789abcdef", "digest": "0123456789abcdef", "context": {}}


def role_names() -> list[str]:
    """Return the names of all roles."""
    return sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def variables(role: str, variable_set: str) -> dict[str, Any]:
    """Return the variables that a role's templates see in one of the VARIABLE_SETS."""
    found: dict[str, Any] = {}
    for name in role_names():
        found |= load(ROLES / name / "defaults" / "main.yml")
    found |= inventory_variables()
    for name in role_names():
        found |= load(ROLES / name / "vars" / "main.yml")
    found |= {"container_images": Images(), "stack_installation_key": KEY}
    if variable_set == "second":
        found |= load(HERE / "second.yml")
    found |= load(HERE / "runtime.yml").get(role, {})
    found |= {
        "role_name": role,
        "role_path": str(ROLES / role),
        # Where Ansible looks templates up: the role's own, then the internal role's macros.
        "ansible_search_path": [str(ROLES / role), str(ROLES / "container"), str(ROOT)],
    }
    return found


def templates() -> list[Path]:
    """Find every template; a file of macros renders to nothing by itself."""
    return sorted(path for path in ROLES.glob("*/templates/**/*.j2") if path.parent != MACROS)


@functools.cache
def render(path: Path, variable_set: str) -> str:
    """Render a template as `template` and the container role's planning do."""
    role = path.relative_to(ROLES).parts[0]
    templar = Templar(loader=loader(), variables=variables(role, variable_set))
    expression = trust_as_template(f"{{{{ lookup('ansible.builtin.template', {str(path)!r}) }}}}")
    return str(templar.template(expression))


def resolve(role: str, expression: str, variable_set: str) -> Any:
    """Return the value of a Jinja expression among a role's variables."""
    templar = Templar(loader=loader(), variables=variables(role, variable_set))
    return templar.template(trust_as_template(f"{{{{ {expression} }}}}"))


def main() -> None:
    """Write the rendered files of one kind, of all roles."""
    parser = argparse.ArgumentParser(description="Render every file of a kind with each set of variables.")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--dockerfiles", type=Path, metavar="FOLDER", help="write the Dockerfiles to this folder")
    kind.add_argument("--php", type=Path, metavar="FOLDER", help="write the scripts in PHP to this folder")
    arguments = parser.parse_args()
    kinds = [("*Dockerfile.j2", "Dockerfile", arguments.dockerfiles), ("*.php.j2", "php", arguments.php)]
    for pattern, suffix, folder in kinds:
        for path in templates() if folder else ():
            for variable_set in VARIABLE_SETS if path.match(pattern) else ():
                parts = [path.relative_to(ROLES).parts[0], *path.name.split(".")[:-2], variable_set]
                (folder / f"{'-'.join(parts)}.{suffix}").write_text(render(path, variable_set), encoding="utf-8")


if __name__ == "__main__":
    main()
