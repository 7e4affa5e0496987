# SPDX-License-Identifier: MIT
"""Refuses, before anything is done, a run that its options would turn into something else than was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: invocation
type: aggregate
short_description: Refuse tags that no task has, and a start in the middle
description:
  - Ansible runs what has no tags, or nothing, where a tag is misspelt, and ends well. Here such a run ends at once,
    with the tags that there are.
  - A run that C(--start-at-task) begins in the middle lacks the preflight, the lock, and what earlier tasks have found
    out. It is refused, whether there is such a task or not.
"""

# Words of Ansible's own, and those that molecule always leaves out.
OF_ANSIBLE = frozenset(("all", "always", "never", "tagged", "untagged"))
OF_MOLECULE = frozenset(("molecule-notest", "notest"))
EXIT_STATUS = 5
"""What ansible-playbook ends with where its options are wrong."""


def tag_problems(option: str, wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    """Find tags of the command line that no task of the playbook has."""
    names = sorted(set(known) - OF_ANSIBLE)
    problems = []
    for tag in sorted(set(wanted) - set(names) - OF_ANSIBLE - OF_MOLECULE):
        close = difflib.get_close_matches(tag, names, n=1)
        meant = f", did you mean {close[0]}?" if close else "."
        listed = f" There are {', '.join(names)}." if names else ""
        problems.append(f"{option} {tag}: no task has this tag{meant}{listed}")
    return problems


def start_problems(task: str | None) -> list[str]:
    """Refuse a start in the middle."""
    if not task:
        return []
    problem = (
        f"--start-at-task {task!r}: a run begins at its beginning, with the checks of the preflight, and leaves alone "
        "what is as declared: leave the option out. For one service take --tags."
    )
    return [problem]


def all_tags(playbook: Any) -> set[str]:
    """Return the tags of all tasks, as --list-tags lists them."""
    plays = playbook.get_plays()
    tasks = [task for play in plays for block in play.compile() for task in block.get_tasks()]
    return {tag for tagged in (*plays, *tasks) for tag in tagged.tags}


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "invocation"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Judge the options. Nothing has been run yet."""
        given = context.CLIARGS
        problems = start_problems(given.get("start_at_task"))
        wanted = {"--tags": given.get("tags") or (), "--skip-tags": given.get("skip_tags") or ()}
        if any(set(tags) - OF_ANSIBLE - OF_MOLECULE for tags in wanted.values()):
            known = all_tags(playbook)
            problems += [problem for option, tags in wanted.items() for problem in tag_problems(option, tags, known)]
        if problems:
            for problem in problems:
                self._display.error(f"{problem} Nothing was changed.", wrap_text=False)
            # An exception of another kind would be a warning.
            raise SystemExit(EXIT_STATUS)
