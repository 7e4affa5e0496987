"""scripts/variable_reference.py: what it writes, and that it notices a stale file."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "variable_reference.py"
STACK = {"stack_colour": {"type": "str", "required": True, "description": "Colour of the stack."}}
HARBOUR = {
    "harbour_depth": {"type": "int", "default": 12, "description": "Depth in metres, for example C(15)."},
    "harbour_berths": {
        "type": "list",
        "elements": "dict",
        "description": ["Where ships lie (C(a|b)).", "See O(harbour_depth) and <name>."],
        "options": {
            "crane": {
                "type": "dict",
                "description": "Its crane.",
                "options": {"load": {"type": "float", "required": True, "description": "Tonnes."}},
            },
        },
    },
}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project with two roles."""
    main = {"short_description": "A harbour", "options": HARBOUR}
    write(tmp_path / "roles/harbour/meta/argument_specs.yml", {"argument_specs": {"main": main}})
    shared = {"short_description": "Shared", "options": STACK}
    nothing = {"short_description": "Checks", "options": {}}
    write(tmp_path / "roles/preflight/meta/argument_specs.yml", {"argument_specs": {"main": nothing, "stack": shared}})
    write(tmp_path / "group_vars/all/stack.yml", {"stack_colour": "teal"})
    return tmp_path


def test_every_option_has_its_line(project: Path) -> None:
    assert run(project).returncode == 0
    lines = (project / "docs" / "variables.md").read_text(encoding="utf-8").splitlines()
    assert "| `stack_colour` | str | `teal` | Colour of the stack. |" in lines
    assert "| `harbour_depth` | int | `12` | Depth in metres, for example `15`. |" in lines
    assert "| `harbour_berths[].crane.load` | float | *required* | Tonnes. |" in lines
    berths = r"| `harbour_berths` | list of dict |  | Where ships lie (`a\|b`). See `harbour_depth` and &lt;name>. |"
    assert berths in lines
    assert lines.index("## The stack") < lines.index("## preflight") < lines.index("## harbour")


@pytest.mark.parametrize("change", ["default", "missing file"])
def test_a_stale_reference_is_noticed(project: Path, change: str) -> None:
    run(project)
    assert run(project, "--check").returncode == 0

    if change == "default":
        path = project / "roles/harbour/meta/argument_specs.yml"
        path.write_text(path.read_text(encoding="utf-8").replace("12", "13"), encoding="utf-8")
    else:
        (project / "docs/variables.md").unlink()
    stale = run(project, "--check")
    assert stale.returncode == 1
    assert "+| `harbour_depth`" in stale.stdout
    assert "make docs" in stale.stderr
    assert run(project).returncode == 0
    assert run(project, "--check").returncode == 0
