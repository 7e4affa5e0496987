#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ask the engine how it is, for as long as it may take to start, and Python which libraries it lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_ask
short_description: Ask the engine how it is, for as long as it may take to start
description:
  - Asks over the engine's socket, so that neither its client nor a Python library is needed. An engine that does not
    answer is no failure, and neither is a library that is missing.
options:
  label:
    description: Label that the engine must carry in order to be ready; any engine is, if empty.
    type: str
    default: ""
  patience:
    description: Seconds for which it is asked again until it is ready.
    type: int
    default: 0
  libraries:
    description: Names of modules that the target's Python is to find.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Wait for the engine
  engine_ask:
    patience: 60
  become: true
"""

RETURN = r"""
ready:
  description: Whether the engine answers and carries O(label).
  returned: always
  type: bool
info:
  description: What the engine says of itself; null where it does not answer.
  returned: always
  type: dict
reason:
  description: Why it is not ready; empty where it is.
  returned: always
  type: str
waited:
  description: Seconds that were waited.
  returned: always
  type: int
missing:
  description: Those of O(libraries) that the target's Python does not find.
  returned: always
  type: list
  elements: str
python:
  description: That Python's C(path), and whether libraries of the distribution's packages are C(packaged) for it.
  returned: always
  type: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, TIMEOUT, answer, described
from ansible.module_utils.libraries import interpreter, missing


def state(path: str, label: str, timeout: float) -> tuple[dict[str, Any] | None, str]:
    """Return what the engine says of itself, and why it is not ready (nothing where it is)."""
    try:
        info = described(answer(path, "/info", timeout))
    except OSError as error:
        return None, str(error)
    if label and label not in (info["Labels"] or []):
        return info, "It answers with another configuration."
    return info, ""


def await_engine(path: str, label: str, patience: float) -> dict[str, Any]:
    """Ask until the engine is ready or patience is at an end; return the last answer."""
    begin = time.monotonic()
    left = patience
    while True:
        # One that hangs is not waited for longer than one that is away.
        info, reason = state(path, label, max(left, 1) if patience else TIMEOUT)
        waited = time.monotonic() - begin
        left = patience - waited
        if not reason or left <= 0:
            return {"ready": not reason, "info": info, "reason": reason, "waited": round(waited)}
        time.sleep(min(1, left))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "label": {"type": "str", "default": ""},
            "patience": {"type": "int", "default": 0},
            "libraries": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(
        changed=False,
        missing=missing(module.params["libraries"]),
        python=interpreter(),
        **await_engine(SOCKET, module.params["label"], module.params["patience"]),
    )


if __name__ == "__main__":
    main()
