#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Make this run the only one that works on the target."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: run_lock
short_description: Make this run the only one that works on the target
description:
  - Its action of the same name describes the run and fails where another one works on the target.
options:
  path:
    description: File of the target that says who runs.
    type: path
    required: true
  run:
    description: Who runs, as the action describes it.
    type: dict
    required: true
  over:
    description: A run that is known to have ended.
    type: dict
attributes:
  check_mode:
    support: full
    details: Nothing is written, but another run is in the way all the same.
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Be the only one
  run_lock:
    path: /run/pressdock.lock
  become: true
"""

RETURN = r"""
holder:
  description: The other run; null where there is none.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.run_lock import acquire


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "run": {"type": "dict", "required": True},
            "over": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    try:
        holder = acquire(parameters["path"], parameters["run"], parameters["over"], module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{parameters['path']}: {error.strerror}")
    module.exit_json(changed=False, holder=holder)


if __name__ == "__main__":
    main()
