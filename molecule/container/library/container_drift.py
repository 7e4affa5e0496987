#!/usr/bin/python
"""Recreate a container by hand, like the original but for what is changed (tests only)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_drift
short_description: Recreate a container with some of its options changed, as somebody at the console would
description:
  - Reads the container from the engine, merges the changes into what it says, removes the container and creates it
    again under its name. With no change at all the new container must count as equal to the declared one.
options:
  name:
    description: Engine's name of the container.
    type: str
    required: true
  config:
    description: Merged into the engine's create request (C(HostConfig) and so on); a null removes a key.
    type: dict
    default: {}
author: The pressdock authors
"""

import http.client
import json
import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/docker.sock")


def ask(method: str, path: str, body: Any = None) -> Any:
    """Send one request to the engine; an error of the engine raises RuntimeError."""
    connection = EngineConnection("localhost", timeout=60)
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read().decode()
    if response.status >= 400:
        raise RuntimeError(f"{method} {path}: {response.status} {text}")
    return json.loads(text) if text else None


def merged(base: Any, change: Any) -> Any:
    """Merge a change into a value: dicts key by key (null removes the key), everything else is replaced."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    result = dict(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(base.get(key), value)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "config": {"type": "dict", "default": {}}}
    )
    name = module.params["name"]
    try:
        original = ask("GET", f"/containers/{name}/json")
        networks = {
            network: {"Aliases": [a for a in settings["Aliases"] or [] if a != original["Id"][:12]]}
            for network, settings in original["NetworkSettings"]["Networks"].items()
        }
        first = original["HostConfig"]["NetworkMode"]
        request = merged(
            {
                **original["Config"],
                "HostConfig": original["HostConfig"],
                "NetworkingConfig": {"EndpointsConfig": {first: networks.pop(first, {})}},
            },
            module.params["config"],
        )
        ask("DELETE", f"/containers/{name}?force=true")
        created = ask("POST", f"/containers/create?name={name}", request)
        for network, settings in networks.items():
            ask("POST", f"/networks/{network}/connect", {"Container": created["Id"], "EndpointConfig": settings})
        ask("POST", f"/containers/{created['Id']}/start")
    except (OSError, RuntimeError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, id=created["Id"])


if __name__ == "__main__":
    main()
