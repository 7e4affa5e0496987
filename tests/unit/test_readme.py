"""The README's examples and links: what it shows must be accepted, and what it names must exist.

The same is asked of all pages under docs/, and that they can be read: no long sentences, an index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from filter_plugins import preflight

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = "docs/variables.md"
TROUBLES = "docs/troubleshooting.md"
GENERATED = {VARIABLES}
"""What a program writes has checks of its own."""
RECORDS = {"docs/develop/testing.md"}
"""Measurements, of which tables are written by a program. What the journal holds was true on its day."""
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "journal" not in path.parts and path.relative_to(ROOT).as_posix() not in GENERATED
}
PROSE = [page for page in PAGES if page not in RECORDS and page != "CONTRIBUTING.md"]
LONGEST_SENTENCE = 35
LONGEST_README = 160
EXAMPLES: list[Any] = [
    pytest.param(yaml.safe_load(block), id=f"{page}-{number}")
    for page, text in PAGES.items()
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
ENTRIES: list[dict[str, Any]] = [
    entry
    for role in ROLES
    for entry in yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))[
        "argument_specs"
    ].values()
]
SPECS = {name: option for entry in ENTRIES for name, option in (entry.get("options") or {}).items()}
SITE_SPEC = yaml.safe_load((ROOT / "roles/wordpress/meta/argument_specs.yml").read_text(encoding="utf-8"))
SITES = yaml.safe_load((ROOT / "group_vars/all/sites.yml").read_text(encoding="utf-8"))
DOCUMENTED = set(re.findall(r"(?m)^\| `([a-z0-9_]+)`", (ROOT / VARIABLES).read_text(encoding="utf-8")))
MADE_LATER = ("inventory/host_vars", "group_vars/stack.yml", "bench/results")
"""Places in the project that somebody makes."""
each_page = pytest.mark.parametrize("page", PAGES)


def code(page: str) -> Iterator[str]:
    """Yield what stands in backquotes within a page's text."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(PAGES[page]):
        yield from (part.content for part in token.children or () if part.type == "code_inline")


def sentences(text: str) -> Iterator[str]:
    """Yield a page's sentences, those of lists and tables included; code in backquotes is one word each."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        line = "".join(
            {"text": part.content, "code_inline": "CODE"}.get(part.type, " ") for part in token.children or ()
        )
        # A colon or a semicolon ends nothing.
        yield from (one for one in re.split(r"[.!?][)\"”]*(?=\s|$)", line) if one.strip())


def pieces(message: str) -> list[str]:
    """Return the fixed parts of a message, between what changes from case to case."""
    return [piece for part in message.split("...") if len(piece := part.strip(" :;,.")) > 3]


def test_there_are_examples() -> None:
    assert sum("wordpress_sites" in example.values[0] for example in EXAMPLES) >= 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_accepted(example: dict[str, Any]) -> None:
    """Together with the sites that the project comes with, where it has none."""
    assert set(example) <= DOCUMENTED
    declared = preflight.Declared(
        values={**SITES, **example},
        specs={name: SPECS[name] for name in example if name in SPECS},
        names=list(example),
        prefixes=["stack", *ROLES],
        site_spec=SITE_SPEC["argument_specs"]["site"]["options"],
    )
    assert preflight.declared_problems(declared) == []


@each_page
def test_variables_in_the_text_exist(page: str) -> None:
    """A name in backquotes that begins as a variable does is one."""
    prefixes = "|".join(["stack", *ROLES])
    named = set(re.findall(rf"`((?:{prefixes})_[a-z0-9_]+)\b", PAGES[page]))
    assert named <= DOCUMENTED


@each_page
def test_files_in_the_text_exist(page: str) -> None:
    """A path in backquotes that begins as the project's files do leads to one, unless it holds a place for a name."""
    tops = {path.name for path in ROOT.iterdir()} - {"secrets", ".venv", ".cache"}
    named = {word for text in code(page) if "://" not in text for word in text.split() if word.split("/")[0] in tops}
    plain = {name for name in named if "<" not in name and not name.startswith(MADE_LATER)}
    assert {name for name in plain if not (ROOT / name).exists() and not any(ROOT.glob(name))} == set()


@each_page
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page])
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert not missing


@each_page
def test_commands_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", makefile)) | set(
        re.findall(r"[a-z-]+", " ".join(re.findall(r"(?m)^([a-z][a-z -]*):", makefile)))
    )
    named = set(re.findall(r"`make ([a-z][a-z-]*)|(?m:^)make ([a-z][a-z-]*)", PAGES[page]))
    for target in {first or second for first, second in named}:
        scenario = ROOT / "molecule" / target.removeprefix("test-")
        assert target in targets or scenario.is_dir() or target == "test-", target


@each_page
def test_tags_exist(page: str) -> None:
    tags = set(re.findall(r"tags: \[([a-z_]+)", (ROOT / "site.yml").read_text(encoding="utf-8")))
    assert set(re.findall(r"--tags ([a-z_]+)", PAGES[page])) <= tags


@pytest.mark.parametrize("page", PROSE)
def test_no_sentence_is_too_long(page: str) -> None:
    long = [one for one in sentences(PAGES[page]) if len(one.split()) > LONGEST_SENTENCE]
    assert long == []


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= LONGEST_README


def test_the_index_names_each_page() -> None:
    index = set(re.findall(r"\]\(([^)#]+)", PAGES["docs/README.md"]))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages - {"README.md"} if page not in index and not page.startswith("journal/")} == set()


def test_symptoms_are_messages_of_the_project() -> None:
    """What is a message in a heading is one, in parts of it that do not change, and there are enough."""
    headings = re.findall(r"(?m)^### (.+)$", PAGES[TROUBLES])
    kinds = {".py", ".php", ".yml", ".j2", ".sh", ".conf", ""}
    folders = ("roles", "playbooks", "filter_plugins", "module_utils", "callback_plugins", "scripts", "group_vars")
    source = "\n".join(
        re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in kinds and "__pycache__" not in path.parts
    )
    messages = [part for heading in headings for part in re.findall(r"`([^`]+)`", heading) if " " in part]
    strange = [piece for message in messages for piece in pieces(message) if piece not in source]
    assert len(headings) >= 20
    assert len(messages) >= 20
    assert [piece for piece in strange if not piece.startswith("make ")] == []
