"""Files that are replaced as a whole: the old one or the new one, at every moment and after every error."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from module_utils import whole_files
from module_utils.whole_files import replace_file

OLD, NEW = b"old", bytes(range(256)) * 5000
NOBODY = 65534
CALLS = {"owner": (os, "fchown"), "mode": (os, "fchmod"), "sync": (os, "fsync"), "renaming": (Path, "replace")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file in a directory of its own."""
    path = tmp_path / "folder/figures.prom"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


Watch = Callable[[Callable[[str, Path | None], None]], None]


@pytest.fixture
def watch(file: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return what has a function called before each of the calls, with its name and the temporary file if there is one.

    Called for the sync of the directory as well, as `directory`.
    """

    def begin(see: Callable[[str, Path | None], None]) -> None:
        def wrapped(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def watched(first: Any, *arguments: Any) -> Any:
                on_directory = isinstance(first, int) and stat.S_ISDIR(os.fstat(first).st_mode)
                others = [path for path in file.parent.iterdir() if path != file]
                assert len(others) <= 1
                if on_directory:
                    assert os.path.samestat(os.fstat(first), file.parent.stat())
                see("directory" if on_directory else name, others[0] if others else None)
                return call(first, *arguments)

            return watched

        for name, (place, function) in CALLS.items():
            monkeypatch.setattr(place, function, wrapped(name, getattr(place, function)))

    return begin


@pytest.mark.parametrize("before", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize("content", [NEW, io.BytesIO(NEW), b""], ids=["bytes", "stream", "empty"])
def test_content_arrives_exactly(file: Path, content: bytes | io.BytesIO, before: bool) -> None:
    if not before:
        file.unlink()
    if isinstance(content, io.BytesIO):
        content.seek(0)
    replace_file(file, content, mode=0o640)
    assert file.read_bytes() == (content if isinstance(content, bytes) else NEW)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o400, 0o666, 0o6755])
def test_mode_is_the_declared_one(file: Path, mode: int) -> None:
    """Whatever the umask, and with the bits that another owner would cost."""
    umask = os.umask(0o077)
    try:
        replace_file(file, NEW, mode=mode, owner=os.getuid(), group=os.getgid())
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_owner_is_the_declared_one_or_whoever_writes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(os, "fchown", lambda _, *ids: given.append(ids))
    replace_file(file, NEW, mode=0o600, owner=4321, group=5432)
    replace_file(file, NEW, mode=0o600)
    assert given == [(4321, 5432), (-1, -1)]
    monkeypatch.undo()
    replace_file(file, NEW, mode=0o600)
    assert (file.stat().st_uid, file.stat().st_gid) == (os.getuid(), os.getgid())


def test_each_step_comes_when_it_may(file: Path, watch: Watch) -> None:
    """Nobody reads a secret before its mode is set, nobody a half file, and the name is synced last."""
    seen: list[tuple[str, bytes, bytes | None, bool]] = []

    def see(name: str, temporary: Path | None) -> None:
        written = temporary.read_bytes() if temporary else None
        readable = temporary is not None and bool(temporary.stat().st_mode & 0o077)
        seen.append((name, file.read_bytes(), written, readable))

    watch(see)
    # Less than what a stream keeps back until it is told otherwise.
    replace_file(file, b"new", mode=0o644)
    assert seen == [
        ("owner", OLD, b"", False),
        ("mode", OLD, b"", False),
        ("sync", OLD, b"new", True),
        ("renaming", OLD, b"new", True),
        ("directory", b"new", None, False),
    ]


def test_temporary_file_is_taken_for_no_other(file: Path, watch: Watch) -> None:
    names: set[str] = set()
    watch(lambda _, temporary: names.add(temporary.name if temporary else ""))
    replace_file(file, NEW, mode=0o644)
    (name,) = names - {""}
    assert name.startswith(whole_files.TEMPORARY_PREFIX)
    assert name.startswith(".")
    assert "." not in name[1:]


class Broken(io.BytesIO):
    """A stream that ends with an error."""

    def read(self, size: int | None = -1) -> bytes:
        if not self.tell():
            return super().read(size)
        raise OSError(errno.EIO, "the archive is damaged")


@pytest.mark.parametrize("before", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=["full", "interrupted"])
@pytest.mark.parametrize("step", [*CALLS, "content"])
def test_error_leaves_the_old_file_and_nothing_else(
    file: Path, watch: Watch, step: str, error: BaseException, before: bool
) -> None:
    if not before:
        file.unlink()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    def see(name: str, _: Path | None) -> None:
        if name == step:
            raise error

    watch(see)
    with pytest.raises(OSError if step == "content" else type(error)):
        replace_file(file, Broken(NEW) if step == "content" else NEW, mode=0o644)
    assert [path.read_bytes() for path in file.parent.iterdir()] == ([OLD] if before else [])
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@pytest.mark.parametrize(("number", "tolerated"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_directory_that_cannot_be_synced(file: Path, watch: Watch, number: int, tolerated: bool) -> None:
    """The new file is in place; that no name can be synced there at all is no error, that this one was not is."""

    def see(name: str, _: Path | None) -> None:
        if name == "directory":
            raise OSError(number, os.strerror(number))

    watch(see)
    if tolerated:
        replace_file(file, NEW, mode=0o644)
    else:
        with pytest.raises(OSError, match="Input/output"):
            replace_file(file, NEW, mode=0o644)
    assert [path.read_bytes() for path in file.parent.iterdir()] == [NEW]


def replace_unlisted(file: Path) -> None:
    """Replace a file as somebody who cannot list its directory: root is not stopped by a mode."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with pytest.raises(PermissionError):
        list(file.parent.iterdir())
    replace_file(file, NEW, mode=0o644)


def test_directory_that_may_be_written_and_not_listed() -> None:
    # Others cannot reach what is below pytest's own directory.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "figures.prom"
        file.write_bytes(OLD)
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        folder.chmod(0o300)
        # A process cannot take its user back.
        child = multiprocessing.get_context("fork").Process(target=replace_unlisted, args=(file,))
        child.start()
        child.join()
        folder.chmod(0o700)
        assert child.exitcode == 0
        assert [path.read_bytes() for path in folder.iterdir()] == [NEW]


def test_directory_that_may_not_be_written(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(PermissionError):
        replace_file(file, NEW, mode=0o644)
    monkeypatch.undo()
    assert [path.read_bytes() for path in file.parent.iterdir()] == [OLD]


def test_link_is_replaced_and_not_followed(file: Path, tmp_path: Path) -> None:
    precious = file.rename(tmp_path / "precious")
    file.symlink_to(precious)
    replace_file(file, NEW, mode=0o644)
    assert not file.is_symlink()
    assert (file.read_bytes(), precious.read_bytes()) == (NEW, OLD)


def test_what_cannot_be_replaced(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(file.parent / "missing/file", NEW, mode=0o644)
    with pytest.raises(NotADirectoryError):
        replace_file(file / "below", NEW, mode=0o644)
    folder = file.parent / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(folder, NEW, mode=0o644)
    assert sorted(file.parent.iterdir()) == [file, folder]


def test_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    file = tmp_path / ("ü" * 127)
    replace_file(file, NEW, mode=0o644)
    assert file.read_bytes() == NEW


def test_name_in_the_working_directory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    replace_file(Path(file.name), NEW, mode=0o644)
    assert file.read_bytes() == NEW
