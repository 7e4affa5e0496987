# SPDX-License-Identifier: MIT
"""Saves work that Ansible would do again for every task: loading, compiling, and looking for garbage."""

from __future__ import annotations

import gc
import os
import stat
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from ansible import constants
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader
from ansible.release import __version__ as ansible_version
from jinja2.bccache import FileSystemBytecodeCache

DOCUMENTATION = """
name: preload
type: aggregate
short_description: Load the project's filters once, keep compiled templates, and search for garbage less often
description:
  - A task runs in a process of its own, which begins as a copy of Ansible's. Filters that were loaded before are in
    every copy; otherwise each one that needs a filter compiles and runs all of the project's files with filters.
  - A template (almost every variable is one) is compiled each time that it is used, and what a task's process has
    compiled ends with it. Compiled templates are kept in the directory C(compiled-templates) of Ansible's home, as
    Python keeps compiled modules. It can be deleted at any time.
  - Python's garbage collector looks at all objects again and again, in every task's process, while nearly all of them
    live until the end. What is there at the start is left out, and the rest is looked at less often.
"""

# Beyond this many the kept templates are deleted: what no run uses any more would pile up. A stack has some hundreds.
MAXIMUM_KEPT = 10_000

# How many new objects the collector waits for, and how many of its looks at them before it looks at older ones. Only
# objects that refer to each other in a circle need it at all.
COLLECTOR_THRESHOLDS = (100_000, 50, 50)

# What decides, besides its source, what a template is compiled to.
SETTINGS = (
    "block_start_string",
    "block_end_string",
    "variable_start_string",
    "variable_end_string",
    "comment_start_string",
    "comment_end_string",
    "line_statement_prefix",
    "line_comment_prefix",
    "trim_blocks",
    "lstrip_blocks",
    "newline_sequence",
    "keep_trailing_newline",
    "autoescape",
    "optimized",
    "is_async",
)


def private_directory(path: Path) -> bool:
    """Make a directory; return whether nobody but its owner, who is who asks, may write there: code is run from it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def keep_compiled_templates(environment: type[jinja2.Environment], directory: Path) -> None:
    """Let all environments of a class keep what they compile in a directory.

    Jinja itself keeps only templates that a loader has found; Ansible's are strings. Sources with a backslash are not
    kept: what that means depends on who uses the template.
    """
    if not private_directory(directory):
        return
    kept = list(directory.iterdir())
    if len(kept) > MAXIMUM_KEPT:
        for path in kept:
            path.unlink(missing_ok=True)
    cache = FileSystemBytecodeCache(str(directory), f"%s-{jinja2.__version__}-{ansible_version}")
    compile_source = environment.compile

    @wraps(compile_source)
    def compile_once(
        self: jinja2.Environment,
        source: Any,
        name: str | None = None,
        filename: str | None = None,
        raw: bool = False,
        defer_init: bool = False,
    ) -> Any:
        if raw or not isinstance(source, str) or "\\" in source:
            return compile_source(self, source, name, filename, raw, defer_init)  # type: ignore[call-overload]
        settings = [type(self).__qualname__, *(getattr(self, setting) for setting in SETTINGS)]
        identity = repr((settings, name, defer_init, source.encode()))
        try:
            bucket = cache.get_bucket(self, identity, filename, source)
        except OSError:
            return compile_source(self, source, name, filename, raw, defer_init)
        if not isinstance(bucket.code, CodeType):
            bucket.code = compile_source(self, source, name, filename, raw, defer_init)
            # There may be no room for it, or no directory any more.
            with suppress(OSError):
                cache.set_bucket(bucket)
        return bucket.code

    environment.compile = compile_once  # type: ignore[method-assign]


def spare_the_collector() -> None:
    """Take all objects of today out of the garbage collector's sight, and let it look at new ones less often."""
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "preload"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ARG002 -- the interface's name
        """Ask for one of the filters: with it, all are loaded."""
        filter_loader.get("derive_secrets")
        keep_compiled_templates(jinja2.Environment, Path(constants.ANSIBLE_HOME) / "compiled-templates")
        # Last: what was loaded just now is to stay as well.
        spare_the_collector()
