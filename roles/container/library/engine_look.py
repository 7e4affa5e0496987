#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Report what the engine has, and how each of the stack's containers is, in one run that changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_look
short_description: Report what the engine has and how each of the stack's containers is
description:
  - Lists containers, images, networks and volumes, and digests what the engine says of each of the stack's containers,
    so that the controller knows which ones are as they were when they were last compared option by option.
  - One module in place of one for each container, because every module run costs more than half a second.
options:
  stack:
    description: Name of the stack, as its label carries it.
    type: str
    required: true
  data_dir:
    description: The stack's directory, where the records of its containers are.
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Look at the engine
  engine_look:
    stack: pressdock
    data_dir: /srv/pressdock
  become: true
"""

RETURN = r"""
engine:
  description: What was found; only C(info), and that null, where no engine answers.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, look


def main() -> None:
    """Answer the one question."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "data_dir": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        engine = look(SOCKET, module.params["stack"], module.params["data_dir"])
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, engine=engine)


if __name__ == "__main__":
    main()
