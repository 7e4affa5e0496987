# SPDX-License-Identifier: MIT
"""What the Python that runs a module has besides its standard library, told without importing it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from typing import Any

PACKAGED = "/usr/lib/python3/dist-packages"
"""Where the libraries of Debian's and Ubuntu's packages are."""


def missing(names: Iterable[str]) -> list[str]:
    """Return those top-level modules that would not be found."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def interpreter() -> dict[str, Any]:
    """Return this Python's path, and whether it finds what the distribution's packages bring."""
    return {"path": sys.executable, "packaged": PACKAGED in sys.path}
