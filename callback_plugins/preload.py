# SPDX-License-Identifier: MIT
"""Loads the project's filters once, where Ansible would load them again for every task."""

from __future__ import annotations

from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader

DOCUMENTATION = """
name: preload
type: aggregate
short_description: Load the project's filters once
description:
  - A task runs in a process of its own, which begins as a copy of Ansible's. Filters that were loaded before are in
    every copy; otherwise each one that needs a filter compiles and runs all of the project's files with filters.
"""


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "preload"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ARG002 -- the interface's name
        """Ask for one of the filters: with it, all are loaded."""
        filter_loader.get("derive_secrets")
