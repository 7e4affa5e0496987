#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Bring directories out of images to the target: each as a whole, and with a record of what it holds then."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: image_contents
short_description: Bring directories out of images to the target
description:
  - Copies each directory out of its image, by a container that is never started, and puts it into place when it is
    complete. All of it belongs to root and can be read by everybody; links and devices are refused.
  - Beside the directory lies a record of it, with which C(host_files) compares. A run that is killed leaves a directory
    without one, or none, so that the next run brings it.
options:
  contents:
    description: The directories.
    type: list
    elements: dict
    required: true
    suboptions:
      image:
        description: The image, which exists.
        type: str
        required: true
      source:
        description: The directory in the image.
        type: path
        required: true
      path:
        description: Where it goes. What is there is replaced. The directory around it exists.
        type: path
        required: true
      container:
        description: Name for the container meanwhile. One that has it, of a run that was killed, is removed.
        type: str
        required: true
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Bring what the web server serves
  image_contents:
    contents:
      - image: pressdock/wordpress_core:0123456789abcdef
        source: /served
        path: /srv/pressdock/volumes/core/0123456789abcdef
        container: pressdock-contents-core
  become: true
"""

RETURN = r"""
states:
  description: What is another one each time a directory is brought, by its path.
  returned: always
  type: dict
  sample: {"/srv/pressdock/volumes/core/0123456789abcdef": "2c26b46b68ffc68f"}
"""

import http.client
import json
import os
import secrets
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.contents import described, record_path, recorded, temporary_paths, unfinished_record
from ansible.module_utils.engine_api import SOCKET, EngineConnection, ask, tell

DIRECTORY_MODE, FILE_MODE = 0o755, 0o644


def unpack(stream: IO[bytes], directory: Path) -> None:
    """Write the engine's archive of a directory to another one, which does not exist yet.

    Raises OSError for what is neither a file nor a directory, and for a name that leads elsewhere.
    """
    directory.mkdir()
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            # The first part is the name of the directory in the image, and all of it for the directory itself.
            parts = PurePosixPath(member.name).parts[1:]
            if ".." in parts or not (member.isfile() or member.isdir()):
                raise OSError(f"{member.name} in the image is neither a file nor a directory")
            path = directory.joinpath(*parts)
            content = archive.extractfile(member)
            if content is None:
                path.mkdir(exist_ok=True)
                path.chmod(DIRECTORY_MODE)
                continue
            with path.open("xb") as target:
                shutil.copyfileobj(content, target)
            path.chmod(FILE_MODE)
            # Visitors' browsers ask by it whether a file has changed.
            os.utime(path, (member.mtime, member.mtime))


def copy_out(image: str, source: str, directory: Path, container: str) -> None:
    """Copy a directory out of an image; raises OSError where that fails half-way."""
    name = quote(container)
    if ask(SOCKET, f"/containers/{name}/json") is not None:
        tell(SOCKET, "DELETE", f"/containers/{name}?force=1")
    # It has to have a command, which nobody runs.
    created = {"Image": image, "Cmd": ["none"], "HostConfig": {"NetworkMode": "none"}}
    tell(SOCKET, "POST", f"/containers/create?name={name}", document=created)
    connection = EngineConnection(SOCKET)
    try:
        connection.request("GET", f"/containers/{name}/archive?path={quote(source)}")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise OSError(f"{image}: {source}: {response.status} {response.read().decode(errors='replace').strip()}")
        unpack(response, directory)
    finally:
        connection.close()
        tell(SOCKET, "DELETE", f"/containers/{name}?force=1")


def remove(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_in_place(new: Path, directory: Path) -> None:
    """Give a complete directory its name, and record it. While there is no record, it is to be brought."""
    record, (_, old) = record_path(directory), temporary_paths(directory)
    record.unlink(missing_ok=True)
    entries = described(new, {})
    # A machine that loses its power is not to come up with a record of what was never written.
    os.sync()
    if directory.is_symlink() or directory.exists():
        directory.rename(old)
    new.rename(directory)
    remove(old)
    written = unfinished_record(directory)
    written.write_text(
        json.dumps({"brought": secrets.token_hex(8), "entries": entries}, separators=(",", ":")), encoding="utf-8"
    )
    written.chmod(0o600)
    written.replace(record)


def bring(image: str, source: str, path: str, container: str) -> None:
    """Bring one directory."""
    directory = Path(path)
    new, old = temporary_paths(directory)
    for left in (new, old):
        remove(left)
    copy_out(image, source, new, container)
    put_in_place(new, directory)


def main() -> None:
    """Bring all of them."""
    module = AnsibleModule(
        argument_spec={
            "contents": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "image": {"type": "str", "required": True},
                    "source": {"type": "path", "required": True},
                    "path": {"type": "path", "required": True},
                    "container": {"type": "str", "required": True},
                },
            },
        },
    )
    contents: list[dict[str, Any]] = module.params["contents"]
    try:
        for one in contents:
            bring(**one)
    except (OSError, tarfile.TarError, http.client.HTTPException) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, states={one["path"]: recorded(Path(one["path"]))["brought"] for one in contents})


if __name__ == "__main__":
    main()
