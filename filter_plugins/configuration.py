# SPDX-License-Identifier: MIT
"""Filters for what a service loads while it runs: what is declared, what lies there, and what the process has loaded.

A configuration is placed below `<data directory>/configuration/<container>` and mounted from there. Beside it lies its
stamp, a digest that the running service answers with: from memory, so the answer tells what was loaded, and not what
lies there. All filters are pure.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins import container as engine
from filter_plugins.secrets import keyed_digest

UNPLACED = "unplaced"
"""Stands for the stamp while a configuration is judged."""


def planned_configuration(
    service: str, container: Mapping[str, Any], files: Mapping[str, str], key: str, contents: Iterable[str] = ()
) -> dict[str, Any]:
    """Return what is declared of one container's configuration, without secrets.

    :param container: the container as its service declares it, with ``configuration``.
    :param files: file name to its rendered text.
    :param key: the installation key: secrets are part of the digest.
    :param contents: directories of the service's contents, which are loaded with it.
    :return: what the service declares, with ``name``, ``service``, ``user``, ``files``, ``digest``, ``operators`` (the
        variables in which an operator writes a part of it) and, as ``contents_states``, the directories of contents, of
        which nothing is known yet.
    """
    declared = container["configuration"]
    secrets = (container.get("secrets") or {}) if container.get("reloads_secrets") else {}
    return {
        **{name: declared[name] for name in ("directory", "test", "signal", "stamp")},
        "name": container["name"],
        "service": service,
        "user": container["user"],
        "reloads_secrets": bool(container.get("reloads_secrets")),
        "operators": list(declared.get("operators") or []),
        "files": dict(files),
        "contents_states": dict.fromkeys(contents, ""),
        "digest": keyed_digest([dict(files), dict(secrets), list(declared.get("reads") or [])], key),
    }


def configuration_trees(
    configurations: Mapping[str, Mapping[str, Any]], data_dir: str, users: Mapping[str, int], comparing: bool = False
) -> list[dict[str, Any]]:
    """Turn configurations into trees for `host_files`; their stamps are left alone.

    :param comparing: with digests in place of texts, which are enough in order to compare.
    """
    trees = []
    for name, planned in configurations.items():
        content: dict[str, Any] = {"files": planned["files"], "stated": True}
        if comparing:
            content = {
                "digests": {file: hashlib.sha256(text.encode()).hexdigest() for file, text in planned["files"].items()}
            }
        trees.append({**_tree(planned, f"{data_dir}/configuration/{name}", users), **content})
    return trees


def stamped_trees(
    configurations: Mapping[str, Mapping[str, Any]], data_dir: str, users: Mapping[str, int], folder: str = ""
) -> list[dict[str, Any]]:
    """Turn configurations into trees that hold their stamps as well.

    :param folder: below the data directory, for those that are only judged; in place if empty.
    """
    trees = []
    for name, planned in configurations.items():
        stamp = planned["stamp"]
        text = str(stamp["text"]).replace("STAMP", planned.get("stamp_value") or UNPLACED)
        tree = _tree(planned, f"{data_dir}/{folder or 'configuration'}/{name}", users)
        trees.append({**tree, "kept": [], "files": {**planned["files"], stamp["file"]: text}})
    return trees


def _tree(planned: Mapping[str, Any], path: str, users: Mapping[str, int]) -> dict[str, Any]:
    """Return where a configuration lies: readable by the service's user alone."""
    owner = users[planned["user"]]
    return {
        "path": path,
        "owner": owner,
        "group": owner,
        "mode": "0500",
        "file_mode": "0400",
        "kept": [planned["stamp"]["file"]],
    }


def configurations_in_place(
    configurations: Mapping[str, Mapping[str, Any]], looked: Mapping[str, Any], data_dir: str, key: str
) -> dict[str, dict[str, Any]]:
    """Add to configurations what was found of them.

    :param looked: what `host_files` returned: ``changes``, ``differences``, of those that were only compared, and
        ``states``.
    :return: each with ``changes``, what differs from what is declared, with ``remounted``, whether a volume of contents
        had to be made, and with ``stamp_value``, what a process answers that has loaded all of it as it lies there now.
        That is empty where it cannot be known before something is placed.

    When a file was written last is part of the stamp. A service that has loaded a wrong file still has it after the
    right one is back, and has to load it again although the content is what it was.
    """
    differences, states = looked.get("differences") or {}, looked.get("states") or {}
    found = {}
    for name, planned in configurations.items():
        path = f"{data_dir}/configuration/{name}"
        seen = [states.get(path) or ""]
        # What is told later, when something was placed, does not tell of secrets again.
        secrets = states.get(f"{data_dir}/secrets/{name}", planned.get("secrets_state") or "")
        if planned["reloads_secrets"]:
            seen.append(secrets)
        contents = {one: states.get(one, known) for one, known in planned["contents_states"].items()}
        seen += contents.values()
        made = {change.removesuffix(": created") for change in looked.get("changes") or []}
        found[name] = {
            **planned,
            "contents_states": contents,
            "remounted": planned.get("remounted") or bool(made & {one.rpartition("/")[0] for one in contents}),
            "changes": differences.get(path, planned.get("changes") or []),
            "secrets_state": secrets,
            "stamp_value": keyed_digest([planned["digest"], seen], key) if all(seen) else "",
        }
    return found


def configurations_of(configurations: Mapping[str, Mapping[str, Any]], service: str) -> dict[str, Any]:
    """Return those of one service's containers."""
    return {name: planned for name, planned in configurations.items() if planned["service"] == service}


def configurations_to_judge(
    configurations: Mapping[str, Mapping[str, Any]], services: Iterable[str], settled: Iterable[str]
) -> dict[str, Any]:
    """Return those of the services that are not in place, or that another container than the running one will load."""
    names, as_declared = set(services), set(settled)
    return {
        name: planned
        for name, planned in configurations.items()
        if planned["service"] in names and (planned["changes"] or planned["service"] not in as_declared)
    }


def unloaded_configurations(
    configurations: Mapping[str, Mapping[str, Any]], answers: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Name the containers that have not loaded what is declared, or have not said so.

    :param answers: of the containers, by short name (:func:`container_answers`).
    """
    return [
        name
        for name, planned in configurations.items()
        if not planned["stamp_value"] or loaded_stamp(answers.get(name) or {}) != planned["stamp_value"]
    ]


def services_to_load(
    configurations: Mapping[str, Mapping[str, Any]], answers: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Name the services whose configuration is not in place, or not loaded (:func:`unloaded_configurations`)."""
    unloaded = unloaded_configurations(configurations, answers)
    return sorted(
        {planned["service"] for name, planned in configurations.items() if planned["changes"] or name in unloaded}
    )


def loaded_stamp(answer: Mapping[str, Any]) -> str:
    """Return the stamp that a container has answered; nothing where it has not."""
    return str(answer.get("stdout") or "").strip() if answer.get("rc") == 0 else ""


def stamp_questions(
    questions: Iterable[Mapping[str, Any]], configurations: Mapping[str, Mapping[str, Any]], names: Iterable[str]
) -> list[dict[str, Any]]:
    """Return the questions of the named containers, to be asked until one answers with the declared stamp."""
    wanted = set(names)
    return [
        {**question, "again": rf"\A(?!{configurations[question['container']]['stamp_value']}\s*\Z)"}
        for question in questions
        if question["container"] in wanted
    ]


def load_command(planned: Mapping[str, Any], stack: str, data_dir: str) -> list[str]:
    """Return the command that makes a container load what lies there.

    A directory that had to be made again is mounted only when the container starts: then a signal is no use. It comes
    from inside: the engine takes its own `docker kill`, with any signal, for a wish to stop, and would not start the
    container again after a crash or with the machine.
    """
    if planned["remounted"] or f"{data_dir}/configuration/{planned['name']}: created" in planned["changes"]:
        return ["docker", "restart", f"{stack}-{planned['name']}"]
    signal = str(planned["signal"]).removeprefix("SIG")
    return ["docker", "exec", f"{stack}-{planned['name']}", "sh", "-c", f"kill -s {signal} 1"]


def judge_command(
    planned: Mapping[str, Any],
    container: Mapping[str, Any],
    image: str,
    stack: str,
    data_dir: str,
    folder: str,
    users: Mapping[str, int],
) -> list[str]:
    """Return the command that lets a service's own program judge a configuration: a container of the service's image.

    It has what the service's own container has (user, volumes, secrets, limits), but no network, and it cannot write.

    :param container: the sealed container that will load it.
    :param folder: below the data directory: where the configuration lies meanwhile.
    """
    mounts = engine.container_mounts({**container, "observes_host": False, "configuration": ""}, stack, data_dir)
    mounts = [f"{mount.rpartition(':')[0]}:ro" for mount in mounts]
    mounts.append(f"{data_dir}/{folder}/{planned['name']}:{planned['directory']}:ro")
    options = {
        "--network": ["none"],
        "--user": [f"{users[planned['user']]}:{users[planned['user']]}"],
        "--memory": [container["limits"]["memory"]],
        "--pids-limit": [container["limits"]["pids"]],
        "--cap-drop": ["ALL"],
        "--security-opt": ["no-new-privileges"],
        "--env": [f"{name}={value}" for name, value in (container.get("environment") or {}).items()],
        "--tmpfs": engine.container_tmpfs(container, users),
        "--volume": mounts,
        "--entrypoint": [planned["test"][0]],
    }
    flags = [f"{option}={value}" for option, values in options.items() for value in values]
    return ["docker", "run", "--rm", "--pull=never", "--read-only", *flags, image, *planned["test"][1:]]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "configuration_trees": configuration_trees,
            "configurations_in_place": configurations_in_place,
            "configurations_of": configurations_of,
            "configurations_to_judge": configurations_to_judge,
            "judge_command": judge_command,
            "load_command": load_command,
            "services_to_load": services_to_load,
            "stamp_questions": stamp_questions,
            "stamped_trees": stamped_trees,
            "unloaded_configurations": unloaded_configurations,
        }
