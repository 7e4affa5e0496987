"""In which scenarios of `make test` the contract is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ASKED_IN = {"default", "container"}
"""The whole stack, and the container role with a container that uses every option. Each role's own scenario asks the
same of the same containers, and waits for the same health checks: in `make test-all` alone."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the contract's tests as thorough in all other scenarios."""
    scenario = os.environ.get("MOLECULE_SCENARIO_NAME")
    if scenario and scenario not in ASKED_IN:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.thorough)
