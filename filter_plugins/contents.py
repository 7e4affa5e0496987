# SPDX-License-Identifier: MIT
"""Filters for what images ship to volumes: what is declared, what lies there, and what nothing needs any more.

All are pure. How a directory is compared: module_utils/contents.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

LONGEST_REPORT = 40
"""Lines in which a run names what differs in one place; a new directory may have thousands of files."""


def shortened(lines: list[str], longest: int = LONGEST_REPORT) -> list[str]:
    """Return lines as they are shown: of more than *longest*, only how many they are."""
    return lines if len(lines) <= longest else [*lines[:longest], f"and {len(lines) - longest:,} more"]


def planned_contents(
    service: Mapping[str, Any], images: Mapping[str, Mapping[str, Any]], stack: str, data_dir: str
) -> list[dict[str, str]]:
    """Say where each of a service's contents goes: below its volume, in a directory named by the image's digest.

    :param images: name to ``{reference, digest}`` of the images that are planned so far.
    :raises AnsibleFilterError: when image or volume is not known.
    """
    volumes = {
        volume["name"]: volume.get("location", volume["name"])
        for container in service["containers"]
        for volume in container.get("volumes") or []
    }
    planned = []
    for declared in service.get("contents") or []:
        image, volume = declared["image"], declared["volume"]
        if image not in images:
            raise AnsibleFilterError(f"{service['name']}: contents: {image!r}: no image of this name comes before it")
        if volume not in volumes:
            raise AnsibleFilterError(f"{service['name']}: contents: {volume!r}: none of its containers has this volume")
        planned.append(
            {
                "service": service["name"],
                "volume": volume,
                "image": images[image]["reference"],
                "source": declared["source"],
                "path": f"{data_dir}/volumes/{volumes[volume]}/{images[image]['digest']}",
                "container": f"{stack}-contents-{volume}",
            }
        )
    return planned


def lacking_contents(
    contents: Iterable[Mapping[str, str]], differences: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """Return those that are not as they were brought, with what differs as ``changes``.

    :param differences: what `host_files` has found, by path.
    """
    return [
        {**content, "changes": shortened(differences[content["path"]])}
        for content in contents
        if differences[content["path"]]
    ]


def shipped_contents(contents: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return contents as `image_contents` takes them."""
    return [{name: content[name] for name in ("image", "source", "path", "container")} for content in contents]


def obsolete_contents(
    contents: Iterable[Mapping[str, str]], others: Mapping[str, Iterable[str]]
) -> dict[str, list[str]]:
    """Return what lies beside the declared contents: service to paths.

    :param others: what `host_files` has found beside each, by path.
    """
    contents = list(contents)
    declared = {path for content in contents for path in (content["path"], f"{content['path']}.json")}
    obsolete: dict[str, list[str]] = {}
    for content in contents:
        folder = content["path"].rpartition("/")[0]
        found = {f"{folder}/{name}" for name in others.get(content["path"], [])} - declared
        obsolete[content["service"]] = sorted(found.union(obsolete.get(content["service"], [])))
    return obsolete


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "lacking_contents": lacking_contents,
            "obsolete_contents": obsolete_contents,
            "shipped_contents": shipped_contents,
        }
