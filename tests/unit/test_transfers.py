"""Actions that bring files of the controller: what is compared first, and what follows only where it is missing."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from filter_plugins import packages
from tests.support.actions import Action
from tests.support.load import load

static_sites = load("roles/nginx/action_plugins/static_sites.py")
wordpress_package = load("roles/wordpress/action_plugins/wordpress_package.py")
ASKED = {"changed": False, "wanted": {"1": ["deep/a.css"]}}
BROUGHT = {"changed": True, "changes": ["x"]}


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, str]:
    """Write the sources of two static sites."""
    for name in ("docs", "press"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "index.html").write_text(f"<p>{name}")
        (tmp_path / name / "deep/a.css").write_text(f"/* {name} */")
    return {name: str(tmp_path / name) for name in ("press", "docs")}


def static(sources: dict[str, str], *answers: dict[str, Any]) -> Action:
    """Return the action that brings static sites."""
    action = Action(static_sites, {"inventory_hostname": "quay"}, sources=sources, directory="/d/static", owner="612")
    action.answers = {"host_files": list(answers)}
    return action


def digest(text: str) -> str:
    """Return a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()


def test_static_sites_are_compared_by_digests(sources: dict[str, str]) -> None:
    action = static(sources, {"changed": False, "wanted": {}})
    assert action.run() == {"changed": False, "wanted": {}, "unreadable": {}}
    ((_, arguments),) = action.executed
    assert arguments == {
        "trees": [
            {
                "path": f"/d/static/{name}",
                "owner": 612,
                "group": 612,
                "mode": "0755",
                "file_mode": "0644",
                "digests": {"index.html": digest(f"<p>{name}"), "deep/a.css": digest(f"/* {name} */")},
            }
            for name in ("docs", "press")
        ]
    }
    assert (action.transferred, action.removed) == ([], [])


def test_what_static_sites_lack_follows_in_an_archive(sources: dict[str, str], tmp_path: Path) -> None:
    """Each file with its content: one with two names (a hard link) comes twice."""
    (tmp_path / "press/b.css").hardlink_to(tmp_path / "press/deep/a.css")
    names = ["deep/a.css", "b.css"]
    action = static(sources, {**ASKED, "wanted": {"1": names}}, BROUGHT)
    assert action.run() == {**BROUGHT, "unreadable": {}}
    ((remote, content),) = action.transferred
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert [(member.name, member.isfile()) for member in archive] == [(f"1/{name}", True) for name in names]
        for member in archive:
            stream = archive.extractfile(member)
            assert stream
            assert stream.read() == b"/* press */"
    (_, first), (_, second) = action.executed
    assert second == {**first, "archive": remote}
    assert action.removed == ["/target/tmp"]


def test_nothing_follows_a_failure(sources: dict[str, str]) -> None:
    action = static(sources, {**ASKED, "failed": True})
    assert action.run()["failed"]
    assert action.transferred == []


def test_static_sites_leave_nothing_behind_when_they_fail(sources: dict[str, str]) -> None:
    action = static(sources, ASKED)
    with pytest.raises(IndexError):
        action.run()
    assert action.removed == ["/target/tmp"]


def test_source_that_cannot_be_copied_exactly_is_named(sources: dict[str, str], tmp_path: Path) -> None:
    """And it holds up no other one."""
    action = static({**sources, "docs": str(tmp_path / "nowhere")}, {"changed": False, "wanted": {}})
    found = action.run()
    assert not found.get("failed")
    assert list(found["unreadable"]) == ["docs"]
    assert found["unreadable"]["docs"].startswith(f"{tmp_path}/nowhere: ")
    ((_, arguments),) = action.executed
    assert [tree["path"] for tree in arguments["trees"]] == ["/d/static/press"]


@pytest.fixture
def package(tmp_path: Path) -> Action:
    """Return the action that brings a plugin of the controller."""
    folder = tmp_path / "anchor"
    folder.mkdir()
    (folder / "anchor.php").write_text("<?php\n/* Plugin Name: Anchor */\n")
    declared = {"slug": "anchor", "path": str(folder)}
    (kind,) = (kind for key, kind in packages.KINDS.items() if key == "plugins")
    _, files = packages.read_package(kind, declared)
    return Action(
        wordpress_package,
        {"inventory_hostname": "quay"},
        site={"plugins": [declared]},
        digest=packages.files_digest(files),
        container="shop-blog",
        container_path="/tmp/anchor.zip",  # noqa: S108 -- of a container
        owner="620",
    )


COPIED = "community.docker.docker_container_copy_into"


def test_package_goes_through_the_target_into_the_container(package: Action) -> None:
    package.answers = {COPIED: [{"changed": True, "diff": {"before": "x"}, "container_path": "y"}]}
    assert package.run() == {"changed": True, "container_path": "y"}
    ((remote, content),) = package.transferred
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["anchor/anchor.php"]
    assert package.executed == [
        (
            COPIED,
            {
                "container": "shop-blog",
                "path": remote,
                "container_path": "/tmp/anchor.zip",  # noqa: S108
                "owner_id": 620,
                "group_id": 620,
                "mode": 0o600,
                "force": True,
                "_max_file_size_for_diff": 1,
            },
        )
    ]
    assert package.removed == ["/target/tmp"]


def test_package_leaves_nothing_on_the_target_when_it_fails(package: Action) -> None:
    package.answers = {COPIED: []}
    with pytest.raises(IndexError):
        package.run()
    assert package.removed == ["/target/tmp"]
