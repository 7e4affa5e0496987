"""Static sites: exactly the files of the controller, served as they are, and repaired."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.runs import Run, Runs, Sequence
from tests.support.stack import Container, Stack
from tests.support.web import Web

DOCS, TOOLS = "docs.example.test", "tools.example.test"
VOLUMES = "/srv/harbour/quayside/volumes/static"


def source(runs: Runs) -> dict[str, str]:
    """Return the digests of the files that shall be on the target, by name below the static sites' directory."""
    root = runs.directory / "static"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def target(stack: Stack) -> dict[str, str]:
    """Return the digests of the files that are there."""
    command = "find docs press ads known -type f -print0 | xargs --null sha256sum --zero | tr '\\0' '\\n'"
    lines = stack.host.check_output(f"cd {VOLUMES} && {command}")
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines.splitlines())}


def test_files_are_those_of_the_controller(stack: Stack, runs: Runs) -> None:
    """Every byte of every file; nothing more, no link, one mode for all."""
    assert "docs/picture.png" in source(runs)
    assert target(stack) == source(runs)
    modes = stack.host.check_output(f"cd {VOLUMES} && find docs press ads known -printf '%y %m %U:%G\\n' | sort -u")
    assert modes.splitlines() == ["d 755 612:612", "f 644 612:612"]


ROUTES = {
    (DOCS, "/"): 200,
    (DOCS, "/picture.png"): 200,
    (DOCS, "/empty.txt"): 200,
    (DOCS, "/deep/er/"): 200,
    (DOCS, "/deep/er/with%20space.txt"): 200,
    (DOCS, "/k%C3%A4se%20%E6%BC%A2.txt"): 200,
    (DOCS, "/.well-known/security.txt"): 200,
    (DOCS, "/deep/er"): 301,
    (DOCS, "/missing"): 404,
    (DOCS, "/deep/"): 404,
    (DOCS, "/.hidden"): 404,
    (DOCS, "/.git/config"): 404,
    (DOCS, "/%2ehidden"): 404,
    (DOCS, "/script.php"): 404,
    (DOCS, "/script.PHP"): 404,
    (DOCS, "/script.php/x"): 404,
    (DOCS, "/../press/start.htm"): 400,
    (DOCS, "/..%2fpress/start.htm"): 400,
    ("harbour.example.test", "/press/"): 200,
    ("harbour.example.test", "/press/release.txt"): 200,
    # Somebody else's rules against backups of WordPress are not this site's.
    ("harbour.example.test", "/press/data.sql"): 200,
    ("harbour.example.test", "/press"): 308,
    ("harbour.example.test", "/press/missing"): 404,
    ("harbour.example.test", "/press/../../docs/index.html"): 400,
    ("harbour.example.test", "/ads.txt"): 200,
    ("harbour.example.test", "/.well-known/apple-app-site-association"): 200,
    # What lies beside them is WordPress's matter, on this site and on the others.
    ("harbour.example.test", "/notes.txt"): 200,
    ("harbour.example.test", "/ads.txt/"): 200,
    ("harbour.example.test", "/.well-known/other"): 200,
    ("replaced.example.test", "/ads.txt"): 200,
    (TOOLS, "/manual/"): 200,
    (TOOLS, "/manual/key.pem"): 403,
    (TOOLS, "/manual/outside/static-docs.pem"): 404,
}


PHP = [
    ("harbour.example.test", "/notes.txt"), ("harbour.example.test", "/ads.txt/"),
    ("harbour.example.test", "/.well-known/other"), ("replaced.example.test", "/ads.txt"),
]  # fmt: skip
"""Routes that PHP answers."""


@pytest.fixture(scope="module")
def statuses(web: Web, stack: Stack) -> dict[tuple[str, str], str]:
    """Ask for every path; among the operator's own files are links that lead to the server's keys."""
    stack.host.check_output(
        f"cd {VOLUMES}/manual && echo manual > index.html"
        " && ln -sf /run/tls/static-docs.pem key.pem && ln -sfn /run/tls outside"
    )
    found: dict[tuple[str, str], str] = {}
    for domain in {domain for domain, _ in ROUTES}:
        paths = [path for owner, path in ROUTES if owner == domain]
        answers = web.statuses(paths, domain=domain)
        found |= {(domain, path): answer for path, answer in zip(paths, answers, strict=True)}
    return found


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_route(statuses: dict[tuple[str, str], str], route: tuple[str, str]) -> None:
    assert statuses[route] == f"{ROUTES[route]}{' php' if route in PHP else ''}"


def test_contents(web: Web, stack: Stack) -> None:
    index = web.get("/", domain=DOCS)
    assert index.body == "<h1>Käse und Kähne</h1>\n"
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert index.headers["cache-control"] == "public, max-age=77"
    assert index.headers["x-frame-options"] == "DENY"
    picture = web.curl(f"https://{DOCS}:8444/picture.png", "--output", "/root/picture.png")
    assert picture.rc == 0
    digests = stack.host.check_output(f"sha256sum /root/picture.png {VOLUMES}/docs/picture.png").split()
    assert digests[0] == digests[2]
    lost = web.get("/nowhere", domain=DOCS)
    assert (lost.status, lost.body) == (404, "nothing is here\n")
    assert "cache-control" not in lost.headers
    ads = web.get("/ads.txt")
    assert (ads.body, ads.headers["content-type"]) == ("example.test, 1, DIRECT\n", "text/plain; charset=utf-8")
    assert (ads.headers["cache-control"], ads.headers["x-frame-options"]) == ("public, max-age=88", "DENY")
    association = web.get("/.well-known/apple-app-site-association")
    assert (association.body, association.headers["content-type"]) == ("{}\n", "application/json")
    assert web.get("/press/").body == "press\n"
    assert web.get("/press/release.txt").headers["cache-control"] == "public, max-age=654"
    assert web.get("/press/release.txt?ver=1").headers["cache-control"] == "public, max-age=7654321, immutable"
    assert "<?php" not in web.get("/script.php", domain=DOCS).body
    alias = web.get("/deep/er/?x", domain="www.docs.example.test")
    assert (alias.status, alias.headers["location"]) == (308, f"https://{DOCS}:8444/deep/er/?x")
    # Beside it WordPress answers as ever.
    assert web.get("/presses/").parameters["SCRIPT_FILENAME"] == "/usr/share/wordpress/index.php"


def test_server_cannot_write_them(nginx: Container) -> None:
    assert nginx.run("touch", "/srv/static/docs/x").rc != 0
    assert nginx.run("cat", "/srv/static/docs/empty.txt").rc == 0


def test_drift_is_repaired_by_name(sequence: Sequence) -> None:
    """What side_effect.yml did, as the repair reported it."""
    named = static_changes(sequence.repaired)
    assert named == {
        f"{VOLUMES}/docs/index.html: content",
        f"{VOLUMES}/docs/empty.txt: created",
        f"{VOLUMES}/docs/deep/er/index.html: mode",
        f"{VOLUMES}/docs/added.html: removed",
        f"{VOLUMES}/docs/lost/missing.html: replaced what was no regular file",
        f"{VOLUMES}/press/release.txt: owner",
        f"{VOLUMES}/press/added: removed",
    }
    assert static_changes(sequence.predicted) == named


def static_changes(run: Run) -> set[str]:
    """Return what a run changed of the static sites' files, which it reported under the site's name."""
    changes = [change for change in run.changes if change["task"] == "Static | Name what differed"]
    assert len({change["item"] for change in changes}) == len(changes), "an item for each site"
    for change in changes:
        assert all(line.startswith(f"{VOLUMES}/{change['item']}/") for line in change["lines"])
    return {line for change in changes for line in change["lines"]}


@pytest.mark.destructive
def test_changed_source_replaces_no_container(runs: Runs, web: Web, stack: Stack, nginx: Container) -> None:
    """A file is added, one changed, one removed: one run brings it, visitors see it at once."""
    root = runs.directory / "static/press"
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    nginx.forget()
    identifier = nginx.identifier
    try:
        (root / "deep").mkdir()
        (root / "deep/new.bin").write_bytes(b"\x00\xff\n" * 7)
        (root / "release.txt").write_bytes(b"released again\n")
        (root / "data.sql").unlink()
        run = runs.converge()
        assert run.changed_items == {("Static | Name what differed", "press")}
        assert static_changes(run) == {
            f"{VOLUMES}/press/{change}"
            for change in ("deep: created", "deep/new.bin: created", "release.txt: content", "data.sql: removed")
        }
        assert target(stack) == source(runs)
        assert web.get("/press/release.txt").body == "released again\n"
        assert web.get("/press/data.sql").status == 404
        nginx.forget()
        assert nginx.identifier == identifier
    finally:
        (root / "deep/new.bin").unlink(missing_ok=True)
        (root / "deep").rmdir()
        for path, content in before.items():
            path.write_bytes(content)
        runs.converge()


@pytest.mark.destructive
@pytest.mark.thorough
def test_many_files_are_one_item_of_some_lines(runs: Runs, stack: Stack) -> None:
    """As many as a check run says there will be."""
    folder = runs.directory / "static/press/many"
    folder.mkdir()
    try:
        for number in range(300):
            (folder / f"{number:03}.txt").write_text(f"{number}\n")
        predicted = runs.converge("--check")
        run = runs.converge()
        assert run.changes == predicted.changes
        (change,) = run.changes
        assert (change["task"], change["item"]) == ("Static | Name what differed", "press")
        assert change["lines"][0] == f"{VOLUMES}/press/many: created"
        assert change["lines"][-1] == f"and {301 - len(change['lines'][:-1])} more"
        assert len(change["lines"]) < 100
        assert target(stack) == source(runs)
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        runs.converge()
    assert not runs.converge().changes


@pytest.mark.destructive
def test_link_in_the_source_is_refused(runs: Runs) -> None:
    link = Path(runs.directory / "static/press/link")
    link.symlink_to("/etc/passwd")
    try:
        result = runs.play("converge.yml")
        assert result.returncode != 0
        assert "link is a symbolic link" in json.dumps(result.stdout)
    finally:
        link.unlink()
