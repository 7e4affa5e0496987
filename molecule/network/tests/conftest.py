"""The sites of this scenario, a visitor, and events that are due."""

from __future__ import annotations

import pytest

from tests.support.network import Site, Visitor
from tests.support.stack import Stack

SCHEDULED = [
    ("inseln", "", "/nord/"),
    ("inseln", "", "/hand/"),
    ("kanal", "ost.kanal.example.test", "/"),
    ("kanal", "", "/"),
    ("einzel", "", "/"),
]
"""Sites with an event that is due, with the host and the path of an address of each."""


@pytest.fixture
def visitor(stack: Stack, request: pytest.FixtureRequest) -> Visitor:
    """Return a visitor whose address nobody else has: rates are counted for each address."""
    names = [item.nodeid for item in request.session.items]
    return Visitor(stack, f"198.51.100.{100 + names.index(request.node.nodeid) % 21}")


@pytest.fixture(scope="session")
def inseln(stack: Stack, installation_key: str) -> Site:
    """Return the network of directories."""
    return Site(stack, "inseln", installation_key)


@pytest.fixture(scope="session")
def kanal(stack: Stack, installation_key: str) -> Site:
    """Return the network of sub-domains."""
    return Site(stack, "kanal", installation_key)


@pytest.fixture(scope="session")
def einzel(stack: Stack, installation_key: str) -> Site:
    """Return the single site."""
    return Site(stack, "einzel", installation_key)


@pytest.fixture(scope="session")
def scheduled(request: pytest.FixtureRequest) -> dict[tuple[str, str, str], int]:
    """Return the number of the post that an event has to publish, for each site."""
    return {site: request.getfixturevalue(site[0]).plan_post(*site[1:]) for site in SCHEDULED}
