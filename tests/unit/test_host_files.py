"""The module that keeps directories and small files: every drift seen, repaired once, and predicted in a check run."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.load import load

host_files = load("roles/container/library/host_files.py")
UID, GID = os.getuid(), os.getgid()
FILES = {"users.acl": "user default off\n", "deep/er/token": "käse"}


def run(path: Path, *, check: bool = False, files: dict[str, Any] | None = None) -> list[str]:
    """Reconcile one tree and return what differed, with paths relative to it."""
    reconciler = host_files.Reconciler(check=check)
    reconciler.tree(path, UID, GID, 0o750, 0o440, FILES if files is None else files)
    return [change.replace(f"{path}", "T") for change in reconciler.changes]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a converged tree."""
    path = tmp_path / "parent" / "tree"
    run(path)
    assert run(path) == []
    return path


def test_creates_everything_with_its_mode(tree: Path) -> None:
    assert (tree / "deep/er/token").read_text() == "käse"
    assert (tree / "users.acl").stat().st_mode & 0o7777 == 0o440
    assert tree.stat().st_mode & 0o7777 == 0o750


def test_new_files_belong_to_the_declared_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(os, "fchown", lambda _, *ids: given.append(ids))
    host_files.Reconciler(check=False).tree(tmp_path / "tree", 4321, 5432, 0o750, 0o440, {"token": "x"})
    assert given == [(4321, 5432)]


def test_leaves_no_temporary_file(tree: Path) -> None:
    assert sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()) == ["deep/er/token", "users.acl"]


def overwrite(path: Path) -> None:
    """Write another content and keep the mode."""
    path.chmod(0o640)
    path.write_text("x")
    path.chmod(0o440)


def link_elsewhere(path: Path) -> None:
    """Put a symbolic link to the moved file in its place."""
    moved = path.rename(path.parents[1] / "elsewhere")
    path.symlink_to(moved)


DRIFTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "content": (lambda t: overwrite(t / "users.acl"), "T/users.acl: content"),
    "mode of a file": (lambda t: (t / "users.acl").chmod(0o644), "T/users.acl: mode"),
    "mode of the tree": (lambda t: t.chmod(0o755), "T: mode"),
    "missing file": (lambda t: (t / "users.acl").unlink(), "T/users.acl: created"),
    "surplus file": (lambda t: (t / "extra").write_text("x"), "T/extra: removed"),
    "left by a run that was killed": (lambda t: (t / ".new-ab1_c").write_text("x"), "T/.new-ab1_c: removed"),
    "surplus folder": (lambda t: (t / "deep/extra").mkdir(), "T/deep/extra: removed"),
    "symbolic link": (lambda t: link_elsewhere(t / "users.acl"), "T/users.acl: replaced what was no regular file"),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_predicted_then_repaired_once(tree: Path, drift: str) -> None:
    disturb, change = DRIFTS[drift]
    disturb(tree)
    assert run(tree, check=True) == [change]
    assert run(tree, check=True) == [change], "a check run must change nothing"
    assert run(tree) == [change]
    assert run(tree) == []


def test_a_link_is_not_followed_when_it_is_replaced(tree: Path) -> None:
    target = tree.parent / "precious"
    target.write_text("precious")
    (tree / "users.acl").unlink()
    (tree / "users.acl").symlink_to(target)
    run(tree)
    assert target.read_text() == "precious"


def test_no_longer_declared_files_go(tree: Path) -> None:
    assert run(tree, files={"users.acl": FILES["users.acl"]}) == ["T/deep: removed"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b"])
def test_refuses_names_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match="not a name below"):
        run(tmp_path / "tree", files={name: "x"})


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    """Neither do those of directories that were missing above: a service may have to walk through them."""
    before = os.umask(umask)
    try:
        run(tmp_path / "a" / "b" / "tree")
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "a/b", "a/b/tree", "a/b/tree/deep")}
    assert modes == {"a": 0o755, "a/b": 0o755, "a/b/tree": 0o750, "a/b/tree/deep": 0o750}
    assert (tmp_path / "a/b/tree/deep/er/token").stat().st_mode & 0o7777 == 0o440


def test_refuses_a_file_in_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "tree").write_text("x")
    with pytest.raises(OSError, match="not a directory"):
        run(tmp_path / "tree")


def test_check_run_on_a_bare_machine_creates_nothing(tmp_path: Path) -> None:
    changes = run(tmp_path / "a" / "tree", check=True)
    assert "T: created" in changes
    assert "T/users.acl: created" in changes
    assert list(tmp_path.iterdir()) == []


# --- Trees of any content, given by digests ---------------------------------------------------------------------------

BINARY = bytes(range(256)) * 40
CONTENTS = {"index.html": b"<p>", "deep/picture.png": BINARY, "empty": b""}


def contents(missing: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the declared contents; those that are missing nobody has brought."""
    return {
        name: host_files.Content(
            hashlib.sha256(raw).hexdigest(), None if name in missing else functools.partial(io.BytesIO, raw)
        )
        for name, raw in CONTENTS.items()
    }


def test_binary_contents_arrive_exactly(tmp_path: Path) -> None:
    path = tmp_path / "static"
    run(path, files=contents())
    assert {name: (path / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert run(path, files=contents(tuple(CONTENTS))) == [], "equal by their digests: no content is needed"


def test_pages_come_after_what_they_show(tmp_path: Path) -> None:
    changes = run(tmp_path / "static", files=contents())
    assert changes[-1] == "T/index.html: created"


def test_missing_contents_are_named(tmp_path: Path) -> None:
    path = tmp_path / "static"
    run(path, files=contents())
    (path / "deep/picture.png").chmod(0o600)
    (path / "deep/picture.png").write_bytes(BINARY + b"x")
    (path / "empty").unlink()
    (path / "empty").symlink_to("index.html")
    tree = {"path": str(path), "digests": {name: content.digest for name, content in contents().items()}}
    text: dict[str, Any] = {"path": str(path), "digests": None, "files": {}}
    missing = host_files.missing_contents([text, tree])
    assert {position: sorted(names) for position, names in missing.items()} == {"1": ["deep/picture.png", "empty"]}
    check = run(path, check=True, files=contents(tuple(CONTENTS)))
    assert check == run(path, files=contents())
    assert host_files.missing_contents([text, tree]) == {}


def test_content_that_nobody_brought_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"index\.html: nobody brought its content"):
        run(tmp_path / "static", files=contents(("index.html",)))


def test_folder_in_whose_place_a_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "static"
    run(path, files={"deep": "once a file"})
    assert "T/deep: replaced what was no directory" in run(path, check=True, files=contents())
    assert "T/deep: replaced what was no directory" in run(path, files=contents())
    assert (path / "deep/picture.png").read_bytes() == BINARY


def test_archive_is_read_by_the_position_of_the_tree(tmp_path: Path) -> None:
    archive_path = tmp_path / "contents.tar"
    source = tmp_path / "source"
    source.write_bytes(BINARY)
    with tarfile.open(archive_path, "w") as archive:
        archive.add(source, "1/deep/picture.png")
    tree = {"path": "T", "digests": {"deep/picture.png": hashlib.sha256(BINARY).hexdigest()}}
    with tarfile.open(archive_path) as archive:
        found = host_files.tree_contents(tree, 1, archive)["deep/picture.png"]
        assert found.open().read() == BINARY
        assert host_files.tree_contents(tree, 0, archive)["deep/picture.png"].open is None


class TestCompared:
    """Trees that are only compared, and what is told of when their files were written."""

    def tree(self, path: Path, **fields: Any) -> dict[str, Any]:
        """Return a tree as the module's parameters declare it."""
        return {
            "path": str(path),
            "owner": UID,
            "group": GID,
            "mode": "0750",
            "file_mode": "0440",
            "files": FILES,
            "digests": None,
            "kept": [],
            **fields,
        }

    def test_nothing_is_written(self, tree: Path) -> None:
        overwrite(tree / "users.acl")
        (tree / "added").touch()
        assert host_files.compare([self.tree(tree)]) == {
            str(tree): [f"{tree}/users.acl: content", f"{tree}/added: removed"]
        }
        assert (tree / "users.acl").read_text() == "x"
        assert host_files.compare([self.tree(tree)])[str(tree)]

    def test_what_is_kept_does_not_differ(self, tree: Path) -> None:
        (tree / "stamp").touch()
        assert host_files.compare([self.tree(tree, kept=["stamp"])]) == {str(tree): []}
        reconciler = host_files.Reconciler(check=False)
        host_files.reconcile_tree(reconciler, self.tree(tree, kept=["stamp"]), 0, None)
        assert reconciler.changes == []
        assert (tree / "stamp").exists()

    def test_digests_compare_like_texts(self, tree: Path) -> None:
        digests = {name: host_files.Content.of(text).digest for name, text in FILES.items()}
        declared = self.tree(tree, files=None, digests=digests)
        assert host_files.compare([declared]) == {str(tree): []}
        assert host_files.tree_state(declared) == host_files.tree_state(self.tree(tree)) != ""
        overwrite(tree / "users.acl")
        assert host_files.compare([declared]) == {str(tree): [f"{tree}/users.acl: content"]}

    def test_state_changes_when_a_file_is_replaced_and_not_by_its_mode(self, tree: Path) -> None:
        before = host_files.tree_state(self.tree(tree))
        (tree / "users.acl").chmod(0o444)
        assert host_files.tree_state(self.tree(tree)) == before != ""
        overwrite(tree / "users.acl")
        assert host_files.tree_state(self.tree(tree)) == ""
        run(tree)
        assert host_files.tree_state(self.tree(tree)) not in {"", before}

    def test_state_of_what_is_not_there_is_unknown(self, tmp_path: Path) -> None:
        assert host_files.tree_state(self.tree(tmp_path / "missing")) == ""


class TestModule:
    """What it is given, and what it answers."""

    @pytest.fixture
    def answer(self, run_module: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """Return a function that runs it; what it declares belongs to whoever runs the tests."""

        def run(check: bool = False, **parameters: Any) -> dict[str, Any]:
            for name in ("directories", "trees", "compared"):
                for entry in parameters.get(name, []):
                    entry |= {"owner": UID, "group": GID}
            return run_module(host_files, check, **parameters)

        return run

    def test_all_kinds_are_brought_and_the_second_run_changes_nothing(
        self, tmp_path: Path, answer: Callable[..., dict[str, Any]]
    ) -> None:
        (tmp_path / "old").mkdir()
        declared: dict[str, Any] = {
            "directories": [{"path": str(tmp_path / "folder"), "mode": "0711"}, {"path": str(tmp_path / "plain")}],
            "trees": [
                {"path": str(tmp_path / "tree"), "files": {"a": "x"}, "stated": True},
                {"path": str(tmp_path / "further"), "files": {"b": "y"}, "mode": "0700", "file_mode": "0600"},
            ],
            "compared": [{"path": str(tmp_path / "compared"), "files": {"c": "z"}}],
            "absent": [str(tmp_path / "old")],
        }
        names = ("folder", "plain", "tree", "tree/a", "further", "further/b")
        created = [f"{tmp_path}/{name}: created" for name in names]
        for check in (True, False):
            found = answer(check, **declared)
            assert found["changed"]
            assert found["changes"] == [*created, f"{tmp_path}/old: removed"]
            assert found["differences"] == {
                f"{tmp_path}/compared": [f"{tmp_path}/compared: created", f"{tmp_path}/compared/c: created"]
            }
            assert (tmp_path / "tree/a").exists() is not check
        assert found["states"][f"{tmp_path}/compared"] == ""
        modes = [(tmp_path / name).stat().st_mode & 0o7777 for name in names]
        assert modes == [0o711, 0o755, 0o755, 0o644, 0o700, 0o600]
        again = answer(**declared)
        assert (again["changed"], again["changes"], again["wanted"], again["others"]) == (False, [], {}, {})
        assert again["states"] == {f"{tmp_path}/tree": found["states"][f"{tmp_path}/tree"], f"{tmp_path}/compared": ""}

    def test_asks_for_what_is_missing_and_takes_it_out_of_the_archive(
        self, tmp_path: Path, answer: Callable[..., dict[str, Any]]
    ) -> None:
        digest = hashlib.sha256(BINARY).hexdigest()
        tree = {"path": str(tmp_path / "static"), "digests": {"a.png": digest}, "stated": True}
        asked = answer(trees=[tree])
        assert (asked["changed"], asked["wanted"], asked["changes"]) == (False, {"0": ["a.png"]}, [])
        assert not (tmp_path / "static").exists()
        predicted = answer(check=True, trees=[tree])
        assert (predicted["changed"], predicted["wanted"]) == (True, {})
        (tmp_path / "source").write_bytes(BINARY)
        with tarfile.open(tmp_path / "static.tar", "w") as archive:
            archive.add(tmp_path / "source", "0/a.png")
        brought = answer(trees=[tree], archive=str(tmp_path / "static.tar"))
        assert brought["changed"]
        assert brought["states"][str(tmp_path / "static")]
        assert (tmp_path / "static/a.png").read_bytes() == BINARY
        assert not answer(trees=[tree])["changed"]

    def test_contents_of_images_are_compared(self, tmp_path: Path, answer: Callable[..., dict[str, Any]]) -> None:
        (tmp_path / "89ab").mkdir()
        path = str(tmp_path / "0123")
        found = answer(contents=[path])
        assert not found["changed"]
        assert (found["differences"], found["states"]) == ({path: [f"{path}: created"]}, {path: ""})
        assert found["others"] == {path: ["89ab"]}

    def test_a_failure_names_what_was_done_by_then(self, tmp_path: Path, answer: Callable[..., dict[str, Any]]) -> None:
        (tmp_path / "file").touch()
        found = answer(directories=[{"path": str(tmp_path / "folder")}, {"path": str(tmp_path / "file")}])
        assert (found["failed"], found["msg"]) == (True, f"{tmp_path}/file exists and is not a directory")
        assert found["changes"] == [f"{tmp_path}/folder: created"]

    @pytest.mark.parametrize("fields", [{}, {"files": {}, "digests": {}}])
    def test_a_tree_has_either_texts_or_digests(
        self, tmp_path: Path, answer: Callable[..., dict[str, Any]], fields: dict[str, Any]
    ) -> None:
        assert answer(trees=[{"path": str(tmp_path / "tree"), **fields}])["failed"]


def test_owners_of_what_is_there_are_mended_and_predicted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, ...]] = []
    monkeypatch.setattr(os, "chown", lambda *owner: given.append(owner))
    for check in (True, False):
        reconciler = host_files.Reconciler(check)
        reconciler.directory(tree, UID + 1, GID, 0o750)
        reconciler.directory(tree, UID, GID + 1, 0o750)
        assert reconciler.changes == [f"{tree}: owner"] * 2
        assert bool(given) is not check
    assert given == [(tree, UID + 1, GID), (tree, UID, GID + 1)]


def test_a_directory_without_a_declared_owner_keeps_its_own(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another service's: its mode alone is mended."""
    monkeypatch.setattr(os, "chown", lambda *owner: pytest.fail(f"{owner}"))
    reconciler = host_files.Reconciler(check=False)
    reconciler.directory(tree, -1, -1, 0o750)
    assert reconciler.changes == []
    reconciler.directory(tree, -1, -1, 0o755)
    assert reconciler.changes == [f"{tree}: mode"]


def test_new_directories_belong_to_the_declared_owner_and_exist_with_their_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, ...]] = []
    monkeypatch.setattr(os, "chown", lambda *owner: given.append(owner))
    host_files.Reconciler(check=False).directory(tmp_path / "a/b", 4321, 5432, 0o700)
    assert given == [(tmp_path / "a/b", 4321, 5432)]


def test_a_directory_in_place_of_a_file_is_replaced(tree: Path) -> None:
    (tree / "users.acl").unlink()
    (tree / "users.acl" / "deep").mkdir(parents=True)
    change = "T/users.acl: replaced what was no regular file"
    assert run(tree, check=True)[0] == change
    assert run(tree) == [change]
    assert run(tree) == []


def test_a_link_to_a_directory_is_no_directory_of_the_tree(tree: Path, tmp_path: Path) -> None:
    """It is removed where it is not declared, replaced where a directory is, refused in the tree's own place."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "token").write_text("x")
    (tree / "link").symlink_to(precious)
    assert run(tree) == ["T/link: removed"]
    for path in sorted((tree / "deep").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tree / "deep").rmdir()
    (tree / "deep").symlink_to(precious)
    assert run(tree)[0] == "T/deep: replaced what was no directory"
    assert (precious / "token").read_text() == "x"
    (tmp_path / "other").symlink_to(precious)
    with pytest.raises(OSError, match="is not a directory"):
        run(tmp_path / "other")
