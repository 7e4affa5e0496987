# SPDX-License-Identifier: MIT
"""`make wp`: which machine and image a command of WP-CLI is for, and the container that runs it once.

Pure functions; roles/wordpress/action_plugins/wordpress_cli.py gathers what they take.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from filter_plugins.container import container_mounts, container_tmpfs
from filter_plugins.formats import bytes_from_size
from module_utils.engine_api import COMMAND_LABEL

NAME = "wordpress_cli"
"""Of the image."""
WORK = "work"
"""Directory below the stack's, with one for each site: where commands read and write files."""
WORK_PATH = "/work"
SERVICE_LABEL = "pressdock.service"
OTHERS_SHARE = 4
"""The part of the memory that is left to the database's programs, and to files in memory: one in so many."""

# What the machine does, as root. Its arguments: a directory, its owner, further networks, and those of `docker create`.
# That joins a container to one network alone, so it is made, joined to the others, and started then.
PROGRAM = """\
set -u
work=$1 owner=$2 further=$3
shift 3
install -d -m 0711 "${work%/*}" && install -d -m 0700 -o "$owner" -g "$owner" "$work" || exit 125
container=$(docker create "$@") || exit 125
trap 'docker rm --force "$container" >/dev/null 2>&1' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
for network in $further; do
  docker network connect "$network" "$container" || exit 125
done
docker start --attach --interactive --detach-keys ctrl-^,ctrl-^ "$container"
"""


class CommandError(Exception):
    """Why a command cannot be run, in the operator's words."""


def declaring_hosts(site: str, sites: Mapping[str, Iterable[str]]) -> list[str]:
    """List the machines that a command can be for: those that declare its site.

    :param sites: machine to the names of its sites.
    :raises CommandError: where there is none, or more than one.
    """
    names = sorted({name for declared in sites.values() for name in declared})
    if not site:
        raise CommandError(f'SITE is empty: make wp SITE={names[0] if names else "blog"} ARGS="plugin list"')
    hosts = [host for host, declared in sites.items() if site in declared]
    if not hosts:
        near = difflib.get_close_matches(site, names, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise CommandError(f"SITE: wordpress_sites has no site {site!r}{hint}; there are: {', '.join(names) or 'none'}")
    if len(hosts) > 1:
        raise CommandError(f"HOST: {', '.join(hosts)} have a site {site}: say which one is meant (HOST={hosts[0]})")
    return hosts


def demand_declared(version: str, sha256: str) -> None:
    """Refuse to go on where no release of WP-CLI is declared."""
    empty = [name for name, value in (("version", version), ("sha256", sha256)) if not value]
    if empty:
        raise CommandError(
            f"{' and '.join(f'wordpress_cli_{name}' for name in empty)}: empty: WP-CLI is switched off; declare the"
            " version of a release, and the sha256 of its .phar"
        )


def running_image(engine: Mapping[str, Any], stack: str, host: str, container: Mapping[str, Any]) -> str:
    """Return the image that a site's container runs.

    :param engine: as `engine_look` returns it.
    :param container: as it is declared; the networks and volumes of the command are its own.
    :raises CommandError: where the site is not there as it is declared.
    """
    advice = f"the stack is not up on {host}: run `make up` first"
    if not isinstance(engine.get("info"), Mapping):
        raise CommandError(f"no engine answers: {advice}")
    name = f"{stack}-{container['name']}"
    found = [one for one in engine.get("containers") or [] if f"/{name}" in (one.get("Names") or [])]
    if not found:
        raise CommandError(f"there is no container {name}: {advice}")
    lacking = [
        f"{kind} {stack}-{wanted}"
        for kind, there, declared in (
            ("network", engine.get("networks"), container["networks"]),
            ("volume", engine.get("volumes"), [volume["name"] for volume in container["volumes"]]),
        )
        for wanted in declared
        if f"{stack}-{wanted}" not in {one["Name"] for one in there or []}
    ]
    if lacking:
        raise CommandError(f"there is no {', no '.join(lacking)}: {advice}")
    digest = (found[0].get("Labels") or {}).get("pressdock.digest")
    image = f"{stack}/wordpress:{digest}"
    if not has_image(engine, image):
        raise CommandError(f"container {name} runs an image that is not there any more ({image}): run `make up`")
    return image


def has_image(engine: Mapping[str, Any], reference: str) -> bool:
    """Tell whether the engine has an image of that name."""
    return any(reference in (image.get("RepoTags") or []) for image in engine.get("images") or [])


def former_images(engine: Mapping[str, Any], stack: str, base: str, reference: str) -> list[str]:
    """List WP-CLI's other images on the same base: of another release, or another version of this project.

    Those on another base go with it (`superseded_images`), for they carry its labels.
    """
    digest = base.rpartition(":")[2]
    return [
        tag
        for image in engine.get("images") or []
        if (image.get("Labels") or {}).get("pressdock.digest") == digest
        for tag in image.get("RepoTags") or []
        if tag.startswith(f"{stack}/{NAME}:") and tag != reference
    ]


def create_options(
    container: Mapping[str, Any],
    image: str,
    stack: str,
    data_dir: str,
    users: Mapping[str, int],
    **command: Any,
) -> list[str]:
    """Return the arguments of `docker create` for a command of a site.

    It has what the site's container has: user, volumes, secrets, the first of its networks (the others are joined),
    limits; but a memory limit of its own.

    :param container: of the site, as it is declared.
    :param command: ``site``, ``url``, ``memory``, ``words``, ``terminal`` and ``mark``, which makes the name unique.
    """
    identifier = users[container["user"]]
    memory = bytes_from_size(command["memory"])
    environment = {
        **(container.get("environment") or {}),
        "PHP_MEMORY_LIMIT": str(memory - memory // OTHERS_SHARE),
        # It starts the database's programs.
        "PHP_DISABLED_FUNCTIONS": "",
        "PRESSDOCK_URL": command["url"],
        "WP_CLI_CONFIG_PATH": "/etc/wordpress/wp-cli.yml",
        "WP_CLI_CACHE_DIR": "/tmp/wp-cli-cache",  # noqa: S108 -- of the container
        "WP_CLI_PACKAGES_DIR": "/tmp/wp-cli-packages",  # noqa: S108
        "WP_CLI_DISABLE_AUTO_CHECK_UPDATE": "1",
        "HOME": "/tmp",  # noqa: S108
        "PAGER": "cat",
    }
    site = {**container, "secrets_digest": container.get("secrets"), "configuration": ""}
    options = {
        "--name": [f"{stack}-wp-{command['site']}-{command['mark']}"],
        "--hostname": [f"wp-{command['site']}"],
        "--label": [f"pressdock.stack={stack}", f"{COMMAND_LABEL}=wp", f"{SERVICE_LABEL}=wp"],
        "--user": [f"{identifier}:{identifier}"],
        "--workdir": [WORK_PATH],
        "--network": [f"{stack}-{container['networks'][0]}"],
        "--volume": [
            *container_mounts(site, stack, data_dir),
            f"{work_directory(data_dir, command['site'])}:{WORK_PATH}",
        ],
        "--tmpfs": container_tmpfs(container, users),
        "--env": [f"{name}={value}" for name, value in environment.items()],
        "--memory": [f"{memory}b"],
        "--memory-swap": [f"{memory}b"],
        "--cpus": [str(container["limits"]["cpus"])],
        "--pids-limit": [str(container["limits"]["pids"])],
        "--cap-drop": ["ALL"],
        "--security-opt": ["no-new-privileges"],
        "--log-driver": ["none"],
        "--pull": ["never"],
    }
    flags = ["--rm", "--read-only", "--interactive", "--no-healthcheck", *(["--tty"] if command["terminal"] else [])]
    pairs = [f"{option}={value}" for option, values in options.items() for value in values]
    return [*flags, *pairs, "--entrypoint=wp", image, *command["words"]]


def work_directory(data_dir: str, site: str) -> str:
    """Return the directory in which a site's commands read and write files, on the machine."""
    return f"{data_dir}/{WORK}/{site}"


def program_arguments(
    container: Mapping[str, Any], stack: str, data_dir: str, users: Mapping[str, int], site: str, options: list[str]
) -> list[str]:
    """Return what the machine runs, without what makes it root: a shell with the program and its arguments."""
    further = " ".join(f"{stack}-{network}" for network in container["networks"][1:])
    owner = str(users[container["user"]])
    return ["sh", "-c", PROGRAM, "wp", work_directory(data_dir, site), owner, further, *options]


class FilterModule:
    """Ansible's entry point: there are functions for an action alone."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {}
