"""scripts/markdown_links.py: which links lead nowhere."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import markdown_links

Check = Callable[[str], tuple[bool, list[str]]]
HARBOUR = """\
# The harbour

## `make docks` & *quays*: how?

## Berths

## Berths

<a id="own-anchor"></a>
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Return a function that checks a project with a document: whether all is well, and what is said."""
    others = ["docs/pictures/crane.png", "two words.txt"]
    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    (tmp_path / "docs" / "harbour.md").write_text(HARBOUR, encoding="utf-8")
    for name in others:
        (tmp_path / name).touch()

    def run(document: str) -> tuple[bool, list[str]]:
        (tmp_path / "README.md").write_text(document, encoding="utf-8")
        listing = "\0".join(["README.md", "docs/harbour.md", "removed.md", *others, ""])
        monkeypatch.setattr(sys, "stdin", io.StringIO(listing))
        monkeypatch.setattr(sys, "argv", ["markdown_links.py", "--root", str(tmp_path)])
        try:
            markdown_links.main()
        except SystemExit as end:
            return not end.code, capsys.readouterr().out.splitlines()
        return True, capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize(
    "link",
    [
        "[file](docs/harbour.md)",
        "[folder](docs)",
        "[folder](docs/pictures/)",
        "[root](/docs/harbour.md)",
        "[words](two%20words.txt)",
        "![picture](docs/pictures/crane.png)",
        '<img src="docs/pictures/crane.png">',
        "[heading](docs/harbour.md#the-harbour)",
        "[punctuation](docs/harbour.md#make-docks--quays-how)",
        "[first](docs/harbour.md#berths) [second](docs/harbour.md#berths-1)",
        "[anchor](docs/harbour.md#own-anchor)",
        "[this file](#title)",
        "[reference][r]\n\n[r]: docs/harbour.md",
        "[web](https://sea.example/none#where) [mail](mailto:captain@sea.example)",
    ],
)
def test_a_link_that_leads_somewhere_is_not_reported(check: Check, link: str) -> None:
    sound, said = check(f"# Title\n\n{link}\n")
    assert sound, said
    assert len(said) == 1


@pytest.mark.parametrize(
    ("link", "reported"),
    [
        ("[file](docs/none.md)", "docs/none.md: there is no such file in the project"),
        ("[case](docs/Harbour.md)", "docs/Harbour.md: there is no such file in the project"),
        ("[removed](removed.md)", "removed.md: there is no such file in the project"),
        ("[outside](../README.md)", "../README.md: there is no such file in the project"),
        ("![picture](none.png)", "none.png: there is no such file in the project"),
        ('<img src="none.png">', "none.png: there is no such file in the project"),
        ("[heading](docs/harbour.md#bridge)", "docs/harbour.md#bridge: there is no such heading"),
        ("[third](docs/harbour.md#berths-2)", "docs/harbour.md#berths-2: there is no such heading"),
        ("[this file](#none)", "#none: there is no such heading"),
        ("[reference][r]\n\n[r]: none.md", "none.md: there is no such file in the project"),
        ("[reference][r]", "[reference][r]: nothing defines this reference"),
    ],
)
def test_a_link_that_leads_nowhere_is_reported_with_its_line(check: Check, link: str, reported: str) -> None:
    sound, said = check(f"# Title\n\n{link}\n")
    assert not sound
    assert said[0] == f"README.md:3: {reported}"


def test_a_file_that_git_does_not_know_is_no_target(check: Check, tmp_path: Path) -> None:
    (tmp_path / "ignored.md").write_text("# Here\n", encoding="utf-8")
    sound, said = check("[file](ignored.md)\n")
    assert not sound
    assert said[0] == "README.md:1: ignored.md: there is no such file in the project"


def test_code_holds_no_links(check: Check) -> None:
    assert check("`[a](none.md)` [b](docs)\n\n```\n[c](none.md)\n```\n") == (True, ["1 links, 0 of them lead nowhere"])


def test_a_project_without_links_fails(check: Check) -> None:
    assert check("# Title\n") == (False, ["0 links, 0 of them lead nowhere"])
