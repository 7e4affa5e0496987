"""Makes the fixtures for running stacks and for unit tests known to the tests of every folder (tests/, molecule/)."""

from __future__ import annotations

pytest_plugins = ["tests.support.plugin", "tests.support.units"]
