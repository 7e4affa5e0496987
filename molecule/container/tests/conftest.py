"""Tells the contract about the toy service."""

from __future__ import annotations

from tests.contract.expected import SERVICES, Expectation

SERVICES["toy"] = Expectation(user=611, program="perl", ports=frozenset({"7000/tcp"}))
