"""What holds for every role's variables: documented, used, and named after their role."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def content(path: Path) -> dict[str, Any]:
    """Return a YAML file, or nothing for one that does not exist."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def defaults(role: Path) -> dict[str, Any]:
    """Return a role's defaults as written."""
    return content(role / "defaults" / "main.yml")


def options(role: Path, *entries: str) -> dict[str, Any]:
    """Return the documented options of a role's entry points (main, if none are named)."""
    specs = content(role / "meta" / "argument_specs.yml").get("argument_specs", {})
    return {
        name: option
        for entry in entries or ("main",)
        for name, option in (specs.get(entry, {}).get("options") or {}).items()
    }


@each_role
def test_every_default_is_documented_and_nothing_else(role: Path) -> None:
    # What has no default is handed over by the role that includes this one.
    optional = {name for name, option in options(role).items() if "default" in option}
    assert optional == set(defaults(role))


@each_role
def test_documented_defaults_are_the_real_ones(role: Path) -> None:
    documented = {name: option["default"] for name, option in options(role).items() if "default" in option}
    real = defaults(role)
    assert {name: documented.get(name) for name in real} == real


@each_role
def test_every_option_says_what_it_is(role: Path) -> None:
    for name, option in options(role).items():
        assert option.get("description"), name
        assert option.get("type"), name
        assert name.startswith(f"{role.name}_"), name


def test_shared_variables_are_documented_and_set() -> None:
    """They belong to no single role: documented with the preflight, set in group_vars."""
    documented = options(ROOT / "roles" / "preflight", "stack")
    files = (ROOT / "group_vars" / "all").glob("*.yml")
    assert set(documented) == {name for path in files for name in content(path) if name.startswith("stack_")}
    assert all(option.get("description") and option.get("type") for option in documented.values())


@each_role
def test_every_default_is_used(role: Path) -> None:
    """A variable that nothing reads promises what does not happen."""
    folders = ("tasks", "templates", "vars", "action_plugins", "defaults")
    places = [*(other / folder for other in ROLES for folder in folders)]
    places += [ROOT / "group_vars", ROOT / "playbooks", ROOT / "filter_plugins"]
    readers = [
        path.read_text(encoding="utf-8", errors="replace")
        for place in places
        for path in place.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]
    text = "\n".join(readers)
    unused = [name for name in defaults(role) if len(re.findall(rf"(?m)\b{name}\b(?!:(?: |$))", text)) == 0]
    assert not unused


@each_role
def test_roles_do_not_name_each_other(role: Path) -> None:
    """Only group_vars/all/wiring.yml connects services: a role reads its own variables and the shared ones."""
    services = [other.name for other in ROLES if content(other / "vars" / "main.yml").get(f"__{other.name}_service")]
    services = [name for name in services if name not in {"base_image", role.name}]
    for folder in ("tasks", "templates", "vars", "defaults"):
        for path in (role / folder).rglob("*"):
            if path.suffix in {".yml", ".j2"} and services:
                text = re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8"))
                found = re.search(rf"(?<![\w./'-])(?:{'|'.join(services)})_[a-z_]+\b", text)
                assert not found, f"{path.relative_to(ROOT)}: {found and found[0]}"
