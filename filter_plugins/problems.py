# SPDX-License-Identifier: MIT
"""Problems that hold up nothing else: found on the way, told together at the end of a run (roles/problems).

A problem is a dict of texts: ``part`` (what it is about, such as ``site blog``), ``what`` (what went wrong), ``serves``
(what still serves) and ``advice`` (what to do).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

FIELDS = ("part", "what", "serves", "advice")

Problem = dict[str, str]


def checked(problems: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Return problems as plain texts.

    :raises AnsibleFilterError: when one lacks a field, or has an empty one: that would be a message which says nothing.
    """
    found = []
    for problem in problems:
        plain = {field: str(problem.get(field) or "").strip() for field in FIELDS}
        empty = [field for field, text in plain.items() if not text]
        if empty:
            raise AnsibleFilterError(f"problems: one of {plain['part'] or 'nothing'} lacks {', '.join(empty)}")
        found.append(plain)
    return found


def merge_problems(known: Iterable[Mapping[str, Any]], noted: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Add problems to those that are known; what was noted before in the same words is not told twice."""
    merged: list[Problem] = []
    for problem in checked([*known, *noted]):
        if problem not in merged:
            merged.append(problem)
    return merged


def problem_lines(problems: Iterable[Mapping[str, Any]]) -> list[str]:
    """Write what went wrong, a line each: ``site blog: theme: "x" is neither in the image nor ...``."""
    return [f"{problem['part']}: {problem['what'].splitlines()[0]}" for problem in checked(problems)]


def problem_told(problem: Mapping[str, Any]) -> str:
    """Write one problem without its part, for a table that names the part; its first line tells what it is."""
    (plain,) = checked([problem])
    return plain["what"].splitlines()[0]


def problems_message(problems: Iterable[Mapping[str, Any]]) -> str:
    """Write what a run ends with: every problem, what serves in spite of it, and what to do."""
    found = checked(problems)
    many = f"{len(found)} problem{'' if len(found) == 1 else 's'}"
    lines = [f"{many}. Everything else was brought into its state, and serves."]
    for problem in found:
        first, *further = problem["what"].splitlines()
        lines += [f"- {problem['part']}: {first}", *(f"    {line}" for line in further)]
        lines += [f"    Still serves: {problem['serves']}", f"    What to do: {problem['advice']}"]
    return "\n".join(lines)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "merge_problems": merge_problems,
            "problem_lines": problem_lines,
            "problem_told": problem_told,
            "problems_message": problems_message,
        }
