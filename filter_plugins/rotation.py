# SPDX-License-Identifier: MIT
"""Rotation of derived secrets: which version is in use, what comes next, and what proves that the old one is dead.

A rotation raises one version by one, in steps that are kept in a file of the controller (``stack_rotation_file``):

- introduce: servers that can (database, cache) accept the old and the new value; clients use the old one;
- switch: clients use the new one; such servers still accept both, the others only the new one;
- retire: every server accepts the new one only;
- done: that was proven.

PHP reads a site's secrets anew for every request, before its container is replaced: so the servers come first.

Names are those that secrets are derived by (``database/blog``), with one exception: ``wordpress/<site>/salts`` stands
for all eight of a site's keys and salts. The file holds versions and steps, never a secret.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.nginx import service_url
from filter_plugins.secrets import derive_secret

STEPS = ("introduce", "switch", "retire", "done")
CONVERGES = STEPS[:3]
"""Steps that bring the stack into another state."""
ALL = "all"
SALT_LENGTH = 64
LOGIN_SALTS = ("LOGGED_IN_KEY", "LOGGED_IN_SALT")
"""Of the eight, those that sign the cookie of whoever has logged in."""
REFUSED, ACCEPTED = "refused", "accepted"

Entries = dict[str, dict[str, Any]]
"""Name of a secret to ``{version, step}``."""


# --- The file ---------------------------------------------------------------------------------------------------------


def rotation_entries(text: str, path: str) -> Entries:
    """Read the file of rotations; empty text is a file that does not exist.

    :raises AnsibleFilterError: when it is not what a rotation writes.
    """
    if not text.strip():
        return {}
    try:
        entries = json.loads(text)
    except ValueError:
        entries = None
    problem = "is not the JSON that a rotation writes" if not isinstance(entries, dict) else ""
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if not isinstance(entry, dict) or set(entry) != {"version", "step"}:
            problem = f"{name}: must have a version and a step, and nothing else"
        elif not _is_version(entry["version"]) or entry["version"] <= 1:
            problem = f"{name}: the version must be a whole number from 2"
        elif entry["step"] not in STEPS:
            problem = f"{name}: the step must be one of {', '.join(STEPS)}"
    if problem:
        raise AnsibleFilterError(
            f"stack_rotation_file: {path}: {problem}. Put a copy back, or remove the file: passwords then go back to "
            "the declared versions"
        )
    return dict(entries or {})


def rotation_text(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the file of rotations."""
    return json.dumps(entries, indent=2, sort_keys=True) + "\n"


def recorded(entries: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Mapping[str, Any]]) -> Entries:
    """Return the entries with those that are wanted; none goes back to a lower version or an earlier step."""

    def rank(entry: Mapping[str, Any]) -> tuple[int, int]:
        return entry["version"], STEPS.index(entry["step"])

    result = {name: dict(entry) for name, entry in entries.items()}
    for name, entry in wanted.items():
        if name not in result or rank(entry) > rank(result[name]):
            result[name] = {"version": entry["version"], "step": entry["step"]}
    return result


# --- Versions ---------------------------------------------------------------------------------------------------------


def declared_versions(sites: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, int]:
    """Return the versions that the variables declare, by the names that secrets are derived by.

    :param sites: ``wordpress_secret_versions``, in which a user's password goes by ``<site>/<login>``.
    :param shared: ``stack_secret_versions``.
    :raises AnsibleFilterError: for a version that is none.
    """
    for variable, versions in (("wordpress_secret_versions", sites), ("stack_secret_versions", shared)):
        for name, version in versions.items():
            if not _is_version(version):
                raise AnsibleFilterError(f"{variable}: the version of '{name}' must be a whole number from 1")
    users = {f"wordpress/{name}": version for name, version in sites.items()}
    return {**sites, **users, **shared}


def secret_versions(
    text: str, path: str, sites: Mapping[str, Any], shared: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Say which versions of secrets count.

    The higher of the declared and the rotated version does. A declared one that is higher than the rotated one ends
    that rotation: the file's entry says nothing any more.

    :param text: what the file of rotations holds.
    :return: ``used``, the version that clients log in with (1 for what is not in it); ``accepted``, the other one that
        servers accept at the moment, where they can accept two; ``declared``, the variables' own; ``entries``, the
        file's.
    """
    declared = declared_versions(sites, shared)
    entries = rotation_entries(text, path)
    used = dict(declared)
    accepted: dict[str, int] = {}
    for name, entry in entries.items():
        version, step = entry["version"], entry["step"]
        if declared.get(name, 1) > version:
            continue
        old, new = version - 1, version
        used[name] = old if step == "introduce" else new
        if step in ("introduce", "switch"):
            accepted[name] = new if step == "introduce" else old
    return {"used": used, "accepted": accepted, "declared": declared, "entries": entries}


def accepted_secrets(key: str, names: Iterable[str], prefix: str, accepted: Mapping[str, int]) -> dict[str, str]:
    """Derive what servers accept besides the value in use: name to the secret `prefix`/name, where there is one."""
    versions = {name: accepted[f"{prefix}/{name}"] for name in names if f"{prefix}/{name}" in accepted}
    return {name: derive_secret(key, f"{prefix}/{name}", version) for name, version in versions.items()}


# --- What can be rotated ----------------------------------------------------------------------------------------------


def rotatable_secrets(
    sites: Mapping[str, Mapping[str, Any]],
    database: Mapping[str, str],
    cache_users: Iterable[str],
    ftp_logins: Iterable[str],
    tools: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    https_port: int,
) -> dict[str, dict[str, Any]]:
    """List the secrets of a stack with what a proof has to know of each.

    :param sites: ``wordpress_sites``.
    :param database: ``host`` (with a port, where it is not 3306) and the ``prefix`` of databases and their users.
    :param cache_users: users of the cache; what is no site's is a login of the server's own, which has no overlap.
    :param ftp_logins: logins of the FTP server, none where there is no server.
    :param tools: ``nginx_services``.
    :param given: variables with a tool's password, which are empty where it is derived.
    :return: name to ``{kind, site, login, overlap, given}`` and what else the kind needs; `given` names the variable
        that sets the secret, and is empty for a derived one.
    """
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, kind: str, given: str = "", **fields: Any) -> None:
        found[name] = {"kind": kind, "overlap": False, "given": given, **fields}

    for site in sites:
        user = database["prefix"] + site
        add(f"database/{site}", "database", site=site, login=user, host=database["host"], overlap=True)
    for user in cache_users:
        add(f"redis/{user}", "redis", login=user, overlap=user in sites)
    for login in ftp_logins:
        own = bool(sites[login].get("ftp_password"))
        add(f"ftp/{login}", "ftp", f"wordpress_sites.{login}.ftp_password" if own else "", login=login)
    for site, fields in sites.items():
        place = f"wordpress_sites.{site}"
        administrator = fields["administrator"]
        accounts = {administrator["login"]: (f"{place}.administrator", administrator)} | {
            login: (f"{place}.users.{login}", account) for login, account in (fields.get("users") or {}).items()
        }
        for login, (where, account) in accounts.items():
            variable = f"{where}.password" if account.get("password") else ""
            # Whoever may choose a password has one that no version makes.
            if account.get("password_policy") == "initial":
                variable = f"{where}.password_policy"
            add(f"wordpress/{site}/{login}", "user", variable, site=site, login=login)
        add(f"wordpress/{site}/salts", "salts", site=site, login=administrator["login"])
    for name, tool in tools.items():
        variable = f"{name}_password"
        url = service_url(tool, sites, https_port)
        add(f"tool/{name}", "tool", variable if given.get(variable) else "", login=tool["login"], url=url)
    return found


# --- The plan ---------------------------------------------------------------------------------------------------------


def rotation_plan(
    secrets: Mapping[str, Mapping[str, Any]], versions: Mapping[str, Mapping[str, Any]], path: str, name: str
) -> dict[str, Any]:
    """Say what a rotation of one secret, or of all, has to do; what another run has left unfinished belongs to it.

    :param secrets: as :func:`rotatable_secrets` lists them.
    :param versions: as :func:`secret_versions` returns them.
    :param path: where the file of rotations is.
    :param name: of a secret, `all`, or empty for a mere list.
    :return: ``secrets``, name to ``{from, to, step}`` (the first step to be taken, again where a run was broken off);
        ``steps``, the converges that are needed, in order; ``lines``, all secrets for people; ``problem``, why nothing
        can be done, or empty.
    """
    entries = versions["entries"]
    current = {
        one: max(versions["declared"].get(one, 1), entries[one]["version"] if one in entries else 1) for one in secrets
    }
    unfinished = {
        one: entries[one]["step"]
        for one, fields in secrets.items()
        if one in entries
        and not fields["given"]
        and entries[one]["step"] != "done"
        # A higher declared version has ended it.
        and current[one] == entries[one]["version"]
    }
    lines = [_line(one, fields, current[one], unfinished.get(one)) for one, fields in secrets.items()]
    problem = _plan_problem(secrets, path, name, lines)
    if problem or not name:
        return {"secrets": {}, "steps": [], "lines": lines, "problem": problem}

    plan = {one: {"from": current[one] - 1, "to": current[one], "step": step} for one, step in unfinished.items()}
    for one, fields in secrets.items():
        if one not in plan and not fields["given"] and name in (one, ALL):
            first = "introduce" if fields["overlap"] else "switch"
            plan[one] = {"from": current[one], "to": current[one] + 1, "step": first}
    begin = min((CONVERGES.index(entry["step"]) for entry in plan.values()), default=len(CONVERGES))
    # What has no overlap is finished when clients and server have switched; at least one converge comes before a proof.
    end = len(CONVERGES) if any(secrets[one]["overlap"] for one in plan) else CONVERGES.index("retire")
    return {"secrets": plan, "steps": list(CONVERGES[begin : max(end, begin + 1)]), "lines": lines, "problem": ""}


def _plan_problem(secrets: Mapping[str, Mapping[str, Any]], path: str, name: str, lines: list[str]) -> str:
    """Say why a name cannot be rotated; empty if it can."""
    if not name:
        return ""
    if not path:
        return (
            "stack_rotation_file is empty, as stack_installation_key_file is: name a file on this machine for the "
            "versions that rotations raise; it holds no secrets."
        )
    if name != ALL and name not in secrets:
        return "\n".join([f"There is no secret {name}. Those of this stack are:", *lines])
    if name != ALL and secrets[name]["given"]:
        variable = secrets[name]["given"]
        if variable.endswith(".password_policy"):
            return (
                f"{name} is the user's own after the first login ({variable} is initial): they change it in "
                "their profile; `enforced` for a run gives the declared one again."
            )
        return f"{name} is not derived, {variable} gives it: change that variable and run `make up`."
    return ""


def rotation_step(plan: Mapping[str, Mapping[str, Any]], step: str) -> Entries:
    """Return the entries that a step records: those of all secrets whose turn has come, which no step takes back."""
    due = [name for name, entry in plan.items() if STEPS.index(entry["step"]) <= STEPS.index(step)]
    return {name: {"version": plan[name]["to"], "step": step} for name in due}


def rotation_report(plan: Mapping[str, Mapping[str, Any]], step: str) -> list[str]:
    """Say, a line for each secret, what a step does."""
    words = {
        "introduce": "accepted as well",
        "switch": "in use",
        "retire": "the only one",
        "done": "the old one is refused everywhere",
    }
    return [
        f"{name}: version {plan[name]['from']} -> {plan[name]['to']}: {words[step]}"
        for name in rotation_step(plan, step)
    ]


def _line(name: str, fields: Mapping[str, Any], version: int, step: str | None) -> str:
    if fields["given"].endswith(".password_policy"):
        return f"{name}: the user's own ({fields['given']})"
    if fields["given"]:
        return f"{name}: given by {fields['given']}"
    return f"{name}: version {version}" + (f", unfinished: {step}" if step else "")


def _is_version(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


# --- The proof --------------------------------------------------------------------------------------------------------


def rotation_proofs(
    plan: Mapping[str, Mapping[str, Any]], secrets: Mapping[str, Mapping[str, Any]], key: str
) -> dict[str, list[dict[str, Any]]]:
    """Say which logins prove a rotation: the old value must be refused and the new one accepted, by the running thing.

    :param key: the installation key.
    :return: who is asked (``wordpress-<site>``, ``redis``, ``ftp``, ``web``) to a list of attempts, each
        ``{secret, version, wanted, kind, login, password}`` and what else its kind needs.
    """
    proofs: dict[str, list[dict[str, Any]]] = {}
    for name, entry in plan.items():
        fields = secrets[name]
        place = {"redis": "redis", "ftp": "ftp", "tool": "web"}.get(fields["kind"], f"wordpress-{fields.get('site')}")
        for version, wanted in ((entry["from"], REFUSED), (entry["to"], ACCEPTED)):
            attempt = {field: fields[field] for field in ("kind", "login", "host", "url") if field in fields}
            if fields["kind"] == "salts":
                folder = name.removesuffix("salts")
                salts = [derive_secret(key, folder + salt, version, SALT_LENGTH) for salt in LOGIN_SALTS]
                attempt["password"] = "".join(salts)
            else:
                attempt["password"] = derive_secret(key, name, version)
            proofs.setdefault(place, []).append({**attempt, "secret": name, "version": version, "wanted": wanted})
    return proofs


def rotation_questions(
    proofs: Mapping[str, list[Mapping[str, Any]]], programs: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Turn the proofs that are made inside containers into questions of the container role.

    Derived passwords are letters and digits, and everything goes through the standard input, not into arguments.

    :param programs: text of ``prove.php``, with a mark where the attempts go, and of ``prove.pl``, which they follow.
    """
    questions = []
    for place, attempts in proofs.items():
        if place == "web":
            continue
        if place == "redis":
            argv = ["redis-cli", "-2", "--json"]
            stdin = "".join(f"AUTH {one['login']} {one['password']}\n" for one in attempts)
        elif place == "ftp":
            argv = ["perl", "-"]
            stdin = programs["prove.pl"] + "".join(f"{one['login']} {one['password']}\n" for one in attempts)
        else:
            argv = ["php"]
            needed = ("kind", "login", "password", "host")
            fields = [{name: one[name] for name in needed if name in one} for one in attempts]
            stdin = programs["prove.php"].replace("@attempts@", json.dumps(fields))
        questions.append({"container": place, "argv": argv, "stdin": stdin})
    return questions


def rotation_attempts(attempts: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Turn the proofs that the web server gives into what `http_logins` takes."""
    return [{name: one[name] for name in ("url", "login", "password")} for one in attempts]


def rotation_failures(
    proofs: Mapping[str, list[Mapping[str, Any]]], answers: Mapping[str, Mapping[str, Any]], web: Iterable[str]
) -> list[str]:
    """Say, a line each and without secrets, which logins ended otherwise than a finished rotation has them end.

    :param answers: of the containers, by their short names.
    :param web: what the web server answered to each of its attempts.
    """
    failures = []
    for place, attempts in proofs.items():
        outcomes = list(web) if place == "web" else _outcomes(place, answers[place]["stdout"])
        outcomes += ["no answer"] * (len(attempts) - len(outcomes))
        failures += [
            f"{one['secret']}: version {one['version']} must be {one['wanted']} by {place}: {outcome}"
            for one, outcome in zip(attempts, outcomes, strict=False)
            if outcome != one["wanted"]
        ]
    return failures


def _outcomes(place: str, text: str) -> list[str]:
    """Read the answers of one container, one for each attempt."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if place == "redis":
        known = {"OK": ACCEPTED, "WRONGPASS": REFUSED}
        return [next((known[word] for word in known if word in line), "another answer") for line in lines]
    # What plugins print is not theirs.
    return [line.removeprefix("proof: ") for line in lines if line.startswith("proof: ")]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "accepted_secrets": accepted_secrets,
            "rotatable_secrets": rotatable_secrets,
            "rotation_attempts": rotation_attempts,
            "rotation_failures": rotation_failures,
            "rotation_plan": rotation_plan,
            "rotation_proofs": rotation_proofs,
            "rotation_questions": rotation_questions,
            "rotation_report": rotation_report,
            "rotation_step": rotation_step,
            "secret_versions": secret_versions,
        }
