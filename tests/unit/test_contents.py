"""What images ship to volumes: where it goes, how it is brought, and every drift seen by what was recorded then."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import container
from filter_plugins import contents as filters
from module_utils import contents
from tests.support.engine import Engine
from tests.support.load import load

host_files = load("roles/container/library/host_files.py")
module = load("roles/container/library/image_contents.py")

FILES = {"index.php": b"", "css/login.css": b"a {}", "css/deep/more.css": b"b {}", "logo.png": bytes(range(256))}
IMAGES = {
    "core": {"reference": "shop/core:0123", "digest": "0123"},
    "web": {"reference": "shop/web:4567", "digest": "4567"},
}
SERVICE = {
    "name": "web",
    "containers": [{"volumes": [{"name": "files", "location": "deep/files"}, {"name": "more"}]}, {}],
    "contents": [{"image": "core", "source": "/served", "volume": "files"}],
}
PATH = "/d/volumes/deep/files/0123"


def archive(*further: tarfile.TarInfo) -> io.BytesIO:
    """Return the engine's archive of a directory `served`."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("served", "served/css", "served/css/deep"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o700
            tar.addfile(folder)
        for name, content in FILES.items():
            file = tarfile.TarInfo(f"served/{name}")
            file.size, file.mode, file.uid, file.mtime = len(content), 0o4600, 4321, 1700000000
            tar.addfile(file, io.BytesIO(content))
        for member in further:
            tar.addfile(member)
    raw.seek(0)
    return raw


def bring(directory: Path) -> None:
    """Bring the archive's directory, as the module does once the engine has answered."""
    new, _ = contents.temporary_paths(directory)
    module.unpack(archive(), new)
    module.put_in_place(new, directory)


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """Return a directory as it was brought."""
    directory = tmp_path / "0123"
    bring(directory)
    assert contents.compared(directory)[0] == []
    return directory


class TestBringing:
    def test_all_can_read_what_nobody_else_can_change(self, brought: Path) -> None:
        for name, content in FILES.items():
            assert (brought / name).read_bytes() == content
            status = (brought / name).stat()
            assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o644, os.getuid(), 1700000000)
        assert {path.stat().st_mode & 0o7777 for path in (brought, brought / "css", brought / "css/deep")} == {0o755}
        assert contents.record_path(brought).stat().st_mode & 0o7777 == 0o600

    def test_all_can_read_it_whatever_root_s_mask_is(self, tmp_path: Path) -> None:
        mask = os.umask(0o077)
        try:
            bring(tmp_path / "0123")
        finally:
            os.umask(mask)
        directory = tmp_path / "0123"
        assert {path.stat().st_mode & 0o7777 for path in (directory, *directory.rglob("*/"))} == {0o755}
        assert {path.stat().st_mode & 0o7777 for path in directory.rglob("*") if path.is_file()} == {0o644}

    def test_is_on_the_disk_before_its_record_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine that loses its power has a record of nothing that was never written."""
        directory = tmp_path / "0123"
        new, _ = contents.temporary_paths(directory)
        seen = []

        def sync() -> None:
            seen.append((contents.record_path(directory).exists(), module.described(new, {}) != {}))

        monkeypatch.setattr(os, "sync", sync)
        bring(directory)
        bring(directory)
        assert seen == [(False, True)] * 2

    @pytest.mark.parametrize("place", range(3))
    @pytest.mark.parametrize("kind", ["file", "link to a directory", "link to nothing", "directory"])
    def test_replaces_whatever_is_in_the_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, kind: str
    ) -> None:
        """In its own place, or in that of its forerunners; what a link leads to stays."""
        directory = tmp_path / "volume/0123"
        directory.parent.mkdir()
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious/file").touch()
        path = (directory, *contents.temporary_paths(directory))[place]
        if kind == "file":
            path.touch()
        elif kind == "directory":
            (path / "deep").mkdir(parents=True)
        else:
            path.symlink_to(tmp_path / ("precious" if kind == "link to a directory" else "nothing"))
        monkeypatch.setattr(module, "copy_out", lambda *arguments: module.unpack(archive(), arguments[2]))
        module.bring("shop/core:0123", "/served", str(directory), "shop-contents-files")
        assert contents.compared(directory)[0] == []
        assert not directory.is_symlink()
        assert sorted(path.name for path in directory.parent.iterdir()) == ["0123", "0123.json"]
        assert (tmp_path / "precious/file").exists()

    def test_leaves_nothing_beside_it(self, brought: Path) -> None:
        assert sorted(path.name for path in brought.parent.iterdir()) == ["0123", "0123.json"]
        assert contents.others(brought) == []

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
    def test_refuses_what_is_no_file(self, tmp_path: Path, kind: bytes) -> None:
        other = tarfile.TarInfo("served/other")
        other.type, other.linkname = kind, "/etc/passwd"
        with pytest.raises(OSError, match="served/other in the image is neither a file nor a directory"):
            module.unpack(archive(other), tmp_path / "new")

    def test_refuses_a_name_that_leads_elsewhere(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="neither a file nor a directory"):
            module.unpack(archive(tarfile.TarInfo("served/../../x")), tmp_path / "new")
        assert not (tmp_path / "x").exists()

    def test_refuses_a_file_where_a_directory_is_declared(self, tmp_path: Path) -> None:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("served"))
        raw.seek(0)
        with pytest.raises(FileExistsError):
            module.unpack(raw, tmp_path / "new")

    def test_another_time_is_another_state(self, brought: Path) -> None:
        """For whoever has loaded a file that was wrong meanwhile."""
        _, before = contents.compared(brought)
        bring(brought)
        assert before
        assert contents.compared(brought)[1] not in {"", before}

    @pytest.mark.parametrize("call", range(4))
    def test_is_done_again_after_it_was_killed(self, brought: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
        """At each of its renamings, or before its record: what is there is never taken for brought."""
        (brought / "css/login.css").write_bytes(b"x")
        names = [(Path, "unlink"), (Path, "rename"), (module, "remove"), (Path, "write_text")]
        place, name = names[call]
        done = getattr(place, name)

        def killed(*arguments: Any, **options: Any) -> None:
            done(*arguments, **options)
            raise KeyboardInterrupt

        new, _ = contents.temporary_paths(brought)
        module.unpack(archive(), new)
        with monkeypatch.context() as patched:
            patched.setattr(place, name, killed)
            with pytest.raises(KeyboardInterrupt):
                module.put_in_place(new, brought)
        lines, state = contents.compared(brought)
        assert lines
        assert state == ""
        assert contents.others(brought) == [], "what it has left goes when it is brought"
        monkeypatch.setattr(module, "copy_out", lambda *arguments: module.unpack(archive(), arguments[2]))
        module.bring("shop/core:0123", "/served", str(brought), "shop-contents-files")
        assert contents.compared(brought)[0] == []
        assert sorted(path.name for path in brought.parent.iterdir()) == ["0123", "0123.json"]


CONTAINER = "/containers/shop-contents-files"
ARCHIVE = f"{CONTAINER}/archive?path=/served%20files"
CREATED = {"Image": "shop/core:0123", "Cmd": ["none"], "HostConfig": {"NetworkMode": "none"}}
CREATE = ("POST", "/containers/create?name=shop-contents-files", CREATED)
REMOVE = ("DELETE", f"{CONTAINER}?force=1", None)


class TestModule:
    """What it says to the engine, and what it answers."""

    @pytest.fixture
    def answer(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
    ) -> Callable[[Path], dict[str, Any]]:
        """Return a function that has it bring one directory."""
        monkeypatch.setattr(module, "SOCKET", engine.path)
        one = {"image": "shop/core:0123", "source": "/served files", "container": "shop-contents-files"}
        return lambda path: run_module(module, contents=[{**one, "path": str(path)}])

    def test_brings_by_a_container_that_is_removed(
        self, engine: Engine, tmp_path: Path, answer: Callable[[Path], dict[str, Any]]
    ) -> None:
        engine.answers = {ARCHIVE: archive().getvalue()}
        found = answer(tmp_path / "0123")
        assert found["changed"]
        assert found["states"] == {str(tmp_path / "0123"): contents.compared(tmp_path / "0123")[1]}
        assert (tmp_path / "0123/css/login.css").read_bytes() == b"a {}"
        assert engine.told == [CREATE, REMOVE]

    def test_removes_the_container_of_a_run_that_was_killed(
        self, engine: Engine, tmp_path: Path, answer: Callable[[Path], dict[str, Any]]
    ) -> None:
        engine.answers = {ARCHIVE: archive().getvalue(), f"{CONTAINER}/json": {"Id": "1"}}
        assert answer(tmp_path / "0123")["changed"]
        assert engine.told == [REMOVE, CREATE, REMOVE]

    def test_says_what_the_engine_refused(
        self, engine: Engine, tmp_path: Path, answer: Callable[[Path], dict[str, Any]]
    ) -> None:
        found = answer(tmp_path / "0123")
        assert (found["failed"], found["msg"]) == (True, "shop/core:0123: /served files: 404 no such thing")
        assert engine.told == [CREATE, REMOVE]
        assert not (tmp_path / "0123").exists()

    def test_says_that_an_archive_is_broken(
        self, engine: Engine, tmp_path: Path, answer: Callable[[Path], dict[str, Any]]
    ) -> None:
        engine.answers = {ARCHIVE: b"x" * 600}
        found = answer(tmp_path / "0123")
        assert found["failed"]
        assert engine.told == [CREATE, REMOVE]
        assert not (tmp_path / "0123").exists()


def replaced(path: Path) -> None:
    """Write another content of the same length, and set the times back."""
    times = path.stat()
    path.write_bytes(b"x" * times.st_size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def linked(path: Path) -> None:
    """Put a link to the same content in a file's place."""
    path.symlink_to(path.rename(path.parents[1] / "elsewhere"))


def removed(path: Path) -> None:
    """Remove a directory with all that is in it."""
    for entry in sorted(path.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    path.rmdir()


DRIFTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "content": (lambda d: (d / "css/login.css").write_bytes(b"more"), ["D/css/login.css: content"]),
    "content with the former time": (lambda d: replaced(d / "logo.png"), ["D/logo.png: content"]),
    "mode of a file": (lambda d: (d / "logo.png").chmod(0o666), ["D/logo.png: mode"]),
    "mode of the directory": (lambda d: d.chmod(0o700), ["D: mode"]),
    "missing file": (lambda d: (d / "index.php").unlink(), ["D/index.php: created"]),
    "missing folder": (lambda d: removed(d / "css"), ["D/css: created"]),
    "further file": (lambda d: (d / "css/x").touch(), ["D/css/x: removed"]),
    "further folder": (lambda d: (d / "a/b").mkdir(parents=True), ["D/a: removed"]),
    "link": (lambda d: linked(d / "css/login.css"), ["D/css/login.css: content", "D/elsewhere: removed"]),
    "all of it": (removed, ["D: created"]),
    "no record": (lambda d: contents.record_path(d).unlink(), ["D: incomplete"]),
    "a record of nothing": (lambda d: contents.record_path(d).write_text("{}"), ["D: incomplete"]),
    "a record of another form": (
        lambda d: contents.record_path(d).write_text('{"brought": "1", "entries": {"./": {"mode": 493}}}'),
        ["D: incomplete"],
    ),
    "a broken record": (lambda d: contents.record_path(d).write_text("["), ["D: incomplete"]),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_seen(brought: Path, drift: str) -> None:
    """And brings all of it again, whatever there is."""
    disturb, lines = DRIFTS[drift]
    disturb(brought)
    found, state = contents.compared(brought)
    assert [line.replace(str(brought), "D") for line in found] == lines
    assert state == ""
    assert host_files.compare_contents([brought]) == ({str(brought): found}, {str(brought): ""})
    bring(brought)
    assert contents.compared(brought)[0] == []


def test_a_file_with_other_times_is_read(brought: Path) -> None:
    """As after the machine's backup was restored."""
    os.utime(brought / "logo.png")
    assert contents.compared(brought)[0] == []


def test_a_file_that_is_as_it_was_is_not_read(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert contents.compared(brought)[0] == []


def test_nothing_is_known_of_what_is_not_there(tmp_path: Path) -> None:
    """On a bare machine, in a check run."""
    missing = tmp_path / "volume/0123"
    assert contents.compared(missing) == ([f"{missing}: created"], "")
    assert contents.others(missing) == []


class TestPlan:
    def test_is_below_the_volume_under_the_image_s_digest(self) -> None:
        assert filters.planned_contents(SERVICE, IMAGES, "shop", "/d") == [
            {
                "service": "web",
                "volume": "files",
                "image": "shop/core:0123",
                "source": "/served",
                "path": PATH,
                "container": "shop-contents-files",
            }
        ]
        assert filters.planned_contents({**SERVICE, "contents": []}, IMAGES, "shop", "/d") == []

    @pytest.mark.parametrize(
        ("field", "reason"), [("image", "no image of this name"), ("volume", "none of its containers has this volume")]
    )
    def test_refuses_what_is_not_known(self, field: str, reason: str) -> None:
        wrong = {**SERVICE, "contents": [{"image": "core", "source": "/served", "volume": "files", field: "cores"}]}
        with pytest.raises(AnsibleFilterError, match=f"web: contents: 'cores': {reason}"):
            filters.planned_contents(wrong, IMAGES, "shop", "/d")

    def test_brings_what_differs(self) -> None:
        planned = filters.planned_contents(SERVICE, IMAGES, "shop", "/d")
        assert filters.lacking_contents(planned, {PATH: []}) == []
        (lacking,) = filters.lacking_contents(planned, {PATH: [f"{PATH}: created"]})
        assert lacking["changes"] == [f"{PATH}: created"]
        assert set(filters.shipped_contents([lacking])[0]) == {"image", "source", "path", "container"}

    def test_names_what_nothing_needs_any_more(self) -> None:
        """Nothing that any of the declared contents is, where a volume has several."""
        both = [{"image": image, "source": "/served", "volume": "files"} for image in IMAGES]
        planned = filters.planned_contents({**SERVICE, "contents": both}, IMAGES, "shop", "/d")
        folder = "/d/volumes/deep/files"
        beside = {
            f"{folder}/0123": ["4567", "4567.json", "89ab", "89ab.json", ".89ab.new"],
            f"{folder}/4567": ["0123", "0123.json", "89ab", "89ab.json", ".89ab.new"],
        }
        assert filters.obsolete_contents(planned, beside) == {
            "web": [f"{folder}/.89ab.new", f"{folder}/89ab", f"{folder}/89ab.json"]
        }
        assert filters.obsolete_contents([], {}) == {}


class TestFurtherImages:
    def test_come_before_the_service_s_own(self) -> None:
        further = {"name": "core", "dockerfile": "core.Dockerfile.j2"}
        services: list[dict[str, Any]] = [
            {"name": "base", "image": {"templates": ["Dockerfile.j2"]}},
            {"name": "web", "image": {"templates": ["Dockerfile.j2"]}, "further_images": [further]},
        ]
        images = container.service_images(services)
        assert [(service["name"], image["name"]) for service, image in images] == [
            ("base", "base"), ("web", "core"), ("web", "web"),
        ]  # fmt: skip
        assert images[1][1] == further

    def test_have_names_of_their_own(self) -> None:
        services = [{"name": "web", "image": {}, "further_images": [{"name": "web"}]}]
        with pytest.raises(AnsibleFilterError, match="more than one image is called web"):
            container.service_images(services)
