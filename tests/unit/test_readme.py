"""The README's examples and links: what it shows must be accepted, and what it names must exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from filter_plugins import preflight

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")}
EXAMPLES: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGES["README.md"], re.DOTALL)
]
SITE_SPEC = yaml.safe_load((ROOT / "roles/wordpress/meta/argument_specs.yml").read_text(encoding="utf-8"))
DOCUMENTED = set(re.findall(r"(?m)^\| `([a-z0-9_]+)`", (ROOT / "docs/variables.md").read_text(encoding="utf-8")))
each_page = pytest.mark.parametrize("page", PAGES)


def test_there_are_examples() -> None:
    assert sum("wordpress_sites" in example for example in EXAMPLES) >= 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example)))
def test_an_example_is_accepted(example: dict[str, Any]) -> None:
    assert set(example) <= DOCUMENTED
    if "wordpress_sites" in example:
        spec = SITE_SPEC["argument_specs"]["site"]["options"]
        assert preflight.site_problems(example["wordpress_sites"], spec) == []


@each_page
def test_variables_in_the_text_exist(page: str) -> None:
    """A name in backquotes that begins as a variable does is one."""
    prefixes = "stack|preflight|docker|base_image|container|mariadb|wordpress|nginx|ftp|cadvisor|certificates"
    named = set(re.findall(rf"`((?:{prefixes})_[a-z0-9_]+)\b", PAGES[page]))
    assert named <= DOCUMENTED


@each_page
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page])
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


@each_page
def test_commands_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", makefile))
    named = set(re.findall(r"`make ([a-z][a-z-]*)|(?m:^)make ([a-z][a-z-]*)", PAGES[page]))
    for target in {first or second for first, second in named}:
        scenario = ROOT / "molecule" / target.removeprefix("test-")
        assert target in targets or scenario.is_dir() or target == "test-", target
