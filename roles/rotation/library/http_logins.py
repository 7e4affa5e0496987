#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Try logins at a web server of this machine, and say how each ended."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: http_logins
short_description: Try logins at a web server of this machine
description:
  - Asks for an address with a login and a password (HTTP basic authentication), whatever its name resolves to.
  - The server's certificate is not verified, for the connection does not leave the machine, and the question is
    whether a password opens a door.
options:
  address:
    description: Address that the server listens on.
    type: str
    required: true
  port:
    description: Port that it listens on.
    type: int
    required: true
  attempts:
    description: What to try, in order.
    type: list
    elements: dict
    required: true
    suboptions:
      url:
        description: Address to ask for.
        type: str
        required: true
      login:
        description: The name.
        type: str
        required: true
      password:
        description: The password.
        type: str
        required: true
  patience:
    description: Seconds for which a request is repeated that the server refuses because there were too many.
    type: int
    default: 90
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Try two passwords
  http_logins:
    address: 127.0.0.1
    port: 443
    attempts:
      - {url: "https://blog.example.org/adminer/", login: operator, password: "{{ old }}"}
      - {url: "https://blog.example.org/adminer/", login: operator, password: "{{ new }}"}
"""

RETURN = r"""
outcomes:
  description: For each attempt C(accepted), C(refused), or what else happened.
  returned: always
  type: list
  elements: str
  sample: [refused, accepted]
"""

import base64
import http.client
import ssl
import time
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

UNAUTHORIZED, TOO_MANY = 401, 429
TIMEOUT = 20
"""Seconds for one request."""
PAUSE = 3
"""Seconds between two requests where there were too many."""


class LocalConnection(http.client.HTTPSConnection):
    """A connection to this machine that asks for another host's name."""

    def __init__(self, address: str, port: int, host: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(address, port, timeout=TIMEOUT, context=context)
        self._tls, self._host_name = context, host

    def connect(self) -> None:
        """Connect to the address, and name the host in the TLS handshake."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._host_name)


def outcome(address: str, port: int, attempt: dict[str, str], patience: float) -> str:
    """Ask once, and again while there were too many requests."""
    parts = urlsplit(attempt["url"])
    token = base64.b64encode(f"{attempt['login']}:{attempt['password']}".encode()).decode()
    end = time.monotonic() + patience
    while True:
        connection = LocalConnection(address, port, parts.hostname or "")
        try:
            connection.request("GET", parts.path, headers={"Host": parts.netloc, "Authorization": f"Basic {token}"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"no answer ({type(error).__name__})"
        finally:
            connection.close()
        if status != TOO_MANY or time.monotonic() > end:
            break
        time.sleep(PAUSE)
    if status == TOO_MANY:
        return "too many requests"
    # The password comes before everything else: what the tool itself answers says that it was right.
    return "refused" if status == UNAUTHORIZED else "accepted"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "attempts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "url": {"type": "str", "required": True},
                    "login": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                },
            },
            "patience": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    given = module.params
    outcomes = [outcome(given["address"], given["port"], attempt, given["patience"]) for attempt in given["attempts"]]
    module.exit_json(changed=False, outcomes=outcomes)


if __name__ == "__main__":
    main()
