#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Run one command in each of several containers, at the same time, and return what they say."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: container_ask
short_description: Ask several running containers at the same time
description:
  - Runs one command in each container, with a text as its input, and returns what each has said. The commands must only
    ask, for they also run in check mode.
  - One module in place of one for each container, because every module run costs more than half a second.
options:
  questions:
    description: What to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      container:
        description: The engine's name of the container.
        type: str
        required: true
      argv:
        description: The command and its arguments.
        type: list
        elements: str
        required: true
      stdin:
        description: Its input; what is secret goes through here, not into arguments.
        type: str
        default: ""
      user:
        description: Whom it runs as; the container's own user if empty.
        type: str
        default: ""
      again:
        description: While the answer matches this pattern, the question is asked again for O(patience) seconds.
        type: str
        default: ""
  patience:
    description: Seconds for which a question is asked again.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Ask two services
  container_ask:
    questions:
      - container: pressdock-mariadb
        argv: [mariadb, --execute, SELECT 1]
      - container: pressdock-redis
        argv: [redis-cli, ping]
        again: LOADING
  become: true
"""

RETURN = r"""
answers:
  description: One for each question, in their order.
  returned: always
  type: list
  elements: dict
  sample: [{"container": "pressdock-redis", "rc": 0, "stdout": "PONG\n", "stderr": ""}]
"""

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule

AT_ONCE = 8
"""Questions that are asked at the same time."""

LOST = 126
"""Exit status of a command that a busy engine has lost before it began, at times."""
ATTEMPTS_OF_LOST = 4


def ask(question: dict[str, Any], patience: float) -> dict[str, Any]:
    """Ask one container, again where that may help; returns the last answer."""
    command = ["docker", "exec", "--interactive"]
    if question["user"]:
        command += ["--user", question["user"]]
    command += [question["container"], *question["argv"]]
    end = time.monotonic() + patience
    lost = 0
    while True:
        done = subprocess.run(  # noqa: S603 -- running commands is what it is for
            command, input=question["stdin"], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode == LOST:
            lost += 1
        again = question["again"] and re.search(question["again"], done.stdout + done.stderr)
        if (done.returncode != LOST or lost >= ATTEMPTS_OF_LOST) and not (again and time.monotonic() < end):
            return {
                "container": question["container"],
                "rc": done.returncode,
                "stdout": done.stdout,
                "stderr": done.stderr,
            }
        time.sleep(1)


def main() -> None:
    """Ask everybody."""
    module = AnsibleModule(
        argument_spec={
            "questions": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "container": {"type": "str", "required": True},
                    "argv": {"type": "list", "elements": "str", "required": True},
                    # Logins are in it. Nothing is masked in the answers: the caller hides the whole task.
                    "stdin": {"type": "str", "default": ""},
                    "user": {"type": "str", "default": ""},
                    "again": {"type": "str", "default": ""},
                },
            },
            "patience": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    questions, patience = module.params["questions"], module.params["patience"]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda question: ask(question, patience), questions))
    except OSError as error:
        module.fail_json(msg=f"docker exec: {error}")
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
