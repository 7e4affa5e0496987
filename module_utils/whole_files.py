# SPDX-License-Identifier: MIT
"""Files that are replaced as a whole: whoever reads one, or was cut off writing one, has the old or the new one.

And directories that have the mode they are to have, whatever the umask of whoever makes them.

Used by modules on the target, and by actions and scripts on the controller.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

TEMPORARY_PREFIX = ".new-"
"""What the name of a file begins with while it is written; one that stays is of a writer that was killed.

Hidden, and its name ends in no suffix: whoever reads all files of a kind in the directory does not take it for one.
"""

PARENT_MODE = 0o755
"""Of a directory that is made because one below it is declared."""


def replace_file(path: Path, content: bytes | IO[bytes], *, mode: int, owner: int = -1, group: int = -1) -> None:
    """Write a file, or replace what is called so (a symbolic link too), in one step that outlasts a loss of power.

    Nobody whom the mode does not let can read it at any moment: owner and mode come before the content. Where
    the writer may not list the directory, a loss of power may bring the old file back.

    :param content: the bytes, or a stream that is read to its end.
    :param mode: all of its bits; the umask takes none away.
    :param owner: number of the user; -1 for whoever writes.
    :param group: number of the group; -1 for the one that a new file gets there.
    :raises OSError: when it cannot be written. What was there is then untouched and no other file is left, unless it is
        the directory that could not be synced: then the new file is in place.
    """
    directory = _open_directory(path.parent)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                # A change of the owner would take bits of the mode away again.
                os.fchown(descriptor, owner, group)
                os.fchmod(descriptor, mode)
                if isinstance(content, bytes):
                    stream.write(content)
                else:
                    shutil.copyfileobj(content, stream)
                stream.flush()
                os.fsync(descriptor)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if directory is not None:
            _sync_directory(directory)
    finally:
        if directory is not None:
            os.close(directory)


def make_directory(path: Path, *, mode: int, owner: int = -1, group: int = -1) -> None:
    """Make a directory that is not there; those above it that are missing can be walked by everybody.

    :param mode: all of its bits; the umask takes none away.
    :param owner: number of the user; -1 for whoever makes it.
    :param group: number of the group; -1 for the one that a new directory gets there.
    """
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(PARENT_MODE)
    path.mkdir(mode=0o700)
    os.chown(path, owner, group)
    path.chmod(mode)


def _open_directory(path: Path) -> int | None:
    """Open a directory to sync it later: an error after the renaming would be one too late. None where it cannot be."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        # Files can be made where none can be listed, but only what can be read can be opened and synced. Whoever may
        # not write there either fails with the file.
        return None


def _sync_directory(descriptor: int) -> None:
    """Bring a directory's names to the disk, where its file system can do that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some of a network or of another system cannot, and say so by this.
        if error.errno != errno.EINVAL:
            raise
