"""Find links in Markdown files that lead nowhere: to a file, a heading or a reference that is not there.

The standard input names the project's files, as `git ls-files -z` does: the Markdown files among them are read, and a
link has to lead to one of them, so that it works in a clone as well. Headings have the anchors that GitHub gives them.
Addresses on the web are not asked: the result depends on the project alone.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
# What CommonMark leaves as text because no line defines it: [text][name].
UNDEFINED_REFERENCE = re.compile(r"\[[^\[\]]+\]\[[^\[\]]*\]")


class Tags(HTMLParser):
    """The anchors and links of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names, and where it leads."""
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value or "")
            elif name in {"href", "src"}:
                self.links.append(value or "")


def slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading's text."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@functools.cache
def parsed(path: Path) -> list[Token]:
    """Return a Markdown file as tokens."""
    return MarkdownIt("gfm-like", {"linkify": False}).parse(path.read_text(encoding="utf-8"))


def text(token: Token) -> str:
    """Return what a reader sees of a heading."""
    return "".join(child.content for child in token.children or () if child.type in {"text", "code_inline"})


def parts(path: Path) -> Iterator[tuple[int, Token]]:
    """Yield the tokens that can hold a link or an anchor, with the line where their block begins."""
    line = 1
    for token in parsed(path):
        line = token.map[0] + 1 if token.map else line
        for part in token.children or (token,):
            yield line, part


@functools.cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors in a Markdown file."""
    found: set[str] = set()
    tokens = parsed(path)
    for opening, content in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            name, number = slug(text(content)), 0
            anchor = name
            while anchor in found:
                number += 1
                anchor = f"{name}-{number}"
            found.add(anchor)
    for _, part in parts(path):
        if part.type in {"html_inline", "html_block"}:
            found |= Tags(part.content).anchors
    return frozenset(found)


def links(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each link in a Markdown file and its line; a reference that nothing defines as it is written."""
    for line, part in parts(path):
        if part.type == "link_open":
            yield line, str(part.attrs["href"])
        elif part.type == "image":
            yield line, str(part.attrs["src"])
        elif part.type in {"html_inline", "html_block"}:
            yield from ((line, link) for link in Tags(part.content).links)
        elif part.type == "text":
            yield from ((line, reference) for reference in UNDEFINED_REFERENCE.findall(part.content))


def fault(link: str, source: Path, root: Path, files: frozenset[str]) -> str | None:
    """Say what is wrong with a link; None if nothing is."""
    if UNDEFINED_REFERENCE.fullmatch(link):
        return "nothing defines this reference"
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return None
    target = source
    if address.path:
        place = unquote(address.path)
        # A leading slash is the project's root.
        target = root / place.lstrip("/") if place.startswith("/") else source.parent / place
        target = Path(os.path.normpath(target))
        name = target.relative_to(root).as_posix() if target.is_relative_to(root) else ""
        if name not in files and not any(file.startswith(f"{name}/") for file in files):
            return "there is no such file in the project"
    if address.fragment and target.suffix == ".md" and unquote(address.fragment) not in anchors(target):
        return "there is no such heading"
    return None


def main() -> None:
    """Print each link that leads nowhere, and end with status 1 where there is one, or no link at all."""
    parser = argparse.ArgumentParser(description="Find links in Markdown files that lead nowhere.")
    parser.add_argument("--root", default=ROOT, type=Path, help="folder that the names of files are relative to")
    root = parser.parse_args().root.resolve()
    # A file that is removed but not committed yet is still listed.
    files = frozenset(name for name in sys.stdin.read().split("\0") if name and (root / name).exists())
    found = [(name, line, link) for name in sorted(files) if name.endswith(".md") for line, link in links(root / name)]
    faults = [
        f"{name}:{line}: {link}: {wrong}"
        for name, line, link in found
        if (wrong := fault(link, root / name, root, files))
    ]
    faults.append(f"{len(found)} links, {len(faults)} of them lead nowhere")
    sys.stdout.writelines(f"{line}\n" for line in faults)
    if len(faults) > 1 or not found:
        sys.exit(1)


if __name__ == "__main__":
    main()
