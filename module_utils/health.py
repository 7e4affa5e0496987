# SPDX-License-Identifier: MIT
"""What a container's health check says now: the engine's verdict is as old as its last look, which may be a minute."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

NANOSECONDS = 1e9
ENGINE_S_TIMEOUT = 30.0
"""Seconds for a check that says nothing of its time."""


def check_of(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's health check as the engine has it: ``Test`` and its times; empty where there is none."""
    return dict((inspected.get("Config") or {}).get("Healthcheck") or {})


def run_check(name: str, inspected: Mapping[str, Any]) -> tuple[bool, str]:
    """Run a container's own health check in it, in its time; return whether it succeeds, and what it printed."""
    check = check_of(inspected)
    seconds = check.get("Timeout", 0) / NANOSECONDS or ENGINE_S_TIMEOUT
    try:
        done = subprocess.run(  # noqa: S603
            ["docker", "exec", name, *check["Test"][1:]],  # noqa: S607
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {seconds:.0f} s"
    return done.returncode == 0, done.stdout
