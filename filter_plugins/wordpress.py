"""Filters for the reports of the WordPress reconciler (roles/wordpress/files/reconcile.php)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def wordpress_change(change: Mapping[str, Any]) -> str:
    """Write one change of a report as a line: ``option blogname: "Old" -> "New"``.

    A change without values, such as that of a password, is only named. One in several places ends in their number:
    ``address in wp_posts.post_content: "https://old" -> "https://new" (12 values)``. Raises AnsibleFilterError when
    `change` is not an entry of a report.
    """
    try:
        what, before, after = change["what"], change["from"], change["to"]
    except (KeyError, TypeError):
        raise AnsibleFilterError("wordpress_change: needs a change with what, from and to") from None
    number = change.get("values")
    places = "" if number is None else f" ({number} value{'' if number == 1 else 's'})"
    if before is None and after is None:
        return f"{what}{places}"
    shown = ["none" if value is None else json.dumps(value, ensure_ascii=False) for value in (before, after)]
    return f"{what}: {shown[0]} -> {shown[1]}{places}"


def wordpress_questions(
    states: Mapping[str, Mapping[str, Any]], reconciler: list[str], look: Any = False
) -> list[dict[str, Any]]:
    """Ask each site what it differs in: the reconciler in its check mode.

    :param states: site name to its declared state, as the reconciler takes it.
    :param reconciler: its command.
    :param look: whether they also list what widens access and is nobody's declaration.
    """
    return [
        {
            "container": f"wordpress-{name}",
            "argv": reconciler,
            "user": "wordpress",
            "stdin": json.dumps({**state, "check": True, "look": bool(look)}),
        }
        for name, state in states.items()
    ]


def wordpress_unchanged(answers: Mapping[str, Mapping[str, Any]], sites: Iterable[str]) -> list[dict[str, Any]]:
    """Return the answers of those sites that differ in nothing, in the form of the results of a loop over sites.

    :param answers: short name of a container to what it has answered.
    """
    results = [
        {
            "item": {"key": site},
            "rc": answers[f"wordpress-{site}"]["rc"],
            "stdout": answers[f"wordpress-{site}"]["stdout"],
        }
        for site in sites
        if f"wordpress-{site}" in answers
    ]
    reports = [_report(result) for result in results]
    return [
        result
        for result, report in zip(results, reports, strict=True)
        if result["rc"] == 0 and report.get("changed") is False and not report.get("missing")
    ]


def wordpress_problems(
    results: Iterable[Mapping[str, Any]], delivered: Iterable[Mapping[str, Any]] = (), check: bool = False
) -> list[dict[str, str]]:
    """Say why sites could not be brought into their state, in the form that the problems role takes.

    A site may have several problems: what its reconciler could go on after is in its report, under ``refused``.

    :param results: of the task that runs the reconciler for each site. They hold the sites' passwords (their loop
        items do); the lines hold only the reconciler's own words.
    :param delivered: results of the task that delivers packages.
    :param check: whether the sites were only compared. Then the reason may be something that a run puts right before.
    """
    return [
        {
            "part": f"site {site}",
            "what": f"could not be compared: {reason}" if check else reason,
            "serves": "the site as it was, and what this run has changed of it before; one that was not there yet says "
            "that it is not installed.",
            "advice": f"put right what is said, in wordpress_sites.{site} or in the site, and run again.",
        }
        for site, reasons in wordpress_reasons(results, delivered).items()
        for reason in reasons
    ]


def wordpress_reasons(
    results: Iterable[Mapping[str, Any]], delivered: Iterable[Mapping[str, Any]] = ()
) -> dict[str, list[str]]:
    """Return the reasons of :func:`wordpress_problems`, which are never empty, by the sites' names."""
    reasons: dict[str, list[str]] = {}
    results, delivered = list(results), list(delivered)
    for result in results:
        if refused := _report(result).get("refused"):
            reasons[result["item"]["key"]] = [str(reason) for reason in refused]
        elif result.get("rc", 1) != 0:
            said = str(result.get("stderr") or result.get("msg") or "").strip() or _silence(result)
            reasons[result["item"]["key"]] = [said]
    for result in delivered:
        if result.get("undelivered"):
            reasons.setdefault(result["item"]["site"], []).append(str(result["undelivered"]))
    for site in {entry["site"] for entry in wordpress_missing(results)} - set(reasons) if delivered else ():
        reasons[site] = ["a package was delivered, and is not there"]
    return reasons


def wordpress_changes(results: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """List what differed on each site that was changed (in a check run: would be), without secrets."""
    changes = {result["item"]["key"]: _report(result).get("changes") or [] for result in results}
    return {site: [wordpress_change(change) for change in found] for site, found in changes.items() if found}


def wordpress_missing(results: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """List the packages of the controller that sites lack: ``{site, digest}``."""
    return [
        {"site": result["item"]["key"], "digest": digest}
        for result in results
        for digest in _report(result).get("missing") or []
    ]


def wordpress_foreign(results: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """List the plugins and themes on each site's volume that nobody declares, for sites that have any."""
    return _lists(results, "foreign")


def wordpress_notes(results: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """List what a run passes on without calling it a change: what plugins said, and values that WordPress alters."""
    return _lists(results, "notes")


def wordpress_worth_a_look(results: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """List, in sentences, what widens access to each site and is nobody's declaration, for sites that have any."""
    return _lists(results, "worth_a_look")


def _lists(results: Iterable[Mapping[str, Any]], field: str) -> dict[str, list[str]]:
    found = {result["item"]["key"]: _report(result).get(field) or [] for result in results}
    return {site: lines for site, lines in found.items() if lines}


def wordpress_last(results: Iterable[Mapping[str, Any]], again: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Replace the results of those sites that were asked a second time."""
    second = {result["item"]["key"]: result for result in again}
    return [second.get(result["item"]["key"], result) for result in results]


def _silence(result: Mapping[str, Any]) -> str:
    """Say what is known of a reconciler that has said nothing: it was killed, or never began."""
    # With this timeout(1) says that it has ended it.
    if result.get("rc") == 124:
        return "it took too long, and was ended: what a plugin does when it is activated may wait for something"
    return f"no answer, exit status {result.get('rc', 'unknown')}"


def _report(result: Mapping[str, Any]) -> dict[str, Any]:
    """Read the reconciler's report; empty where it ended without one.

    One that was refused something has done the rest and reports that, too; its status says that it failed.
    """
    text = str(result.get("stdout") or "")
    if result.get("rc", 1) == 0:
        return dict(json.loads(text))
    try:
        report = json.loads(text)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "wordpress_changes": wordpress_changes,
            "wordpress_foreign": wordpress_foreign,
            "wordpress_last": wordpress_last,
            "wordpress_missing": wordpress_missing,
            "wordpress_notes": wordpress_notes,
            "wordpress_problems": wordpress_problems,
            "wordpress_questions": wordpress_questions,
            "wordpress_reasons": wordpress_reasons,
            "wordpress_unchanged": wordpress_unchanged,
            "wordpress_worth_a_look": wordpress_worth_a_look,
        }
