"""Visitors who ask for sites all the time while a test does something to what they visit."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.background import Background
from tests.support.visits import BEGUN, Plan, Result

PROGRAM = Path(__file__).with_name("visits.py")


class Visitors(Background):
    """Visits of sites from a host, while the `with` block lasts."""

    def __init__(self, host: Any, plan: Plan) -> None:
        files = {PROGRAM.name: PROGRAM.read_text(encoding="utf-8")}
        command = ["python3", PROGRAM.name, json.dumps(dataclasses.asdict(plan))]
        super().__init__(host, command, files=files, begun=BEGUN)

    @cached_property
    def result(self) -> Result:
        """What they got, once the block has ended."""
        lines = self.output.splitlines()
        # An error of the program itself, in a thread of it as well, would be one more.
        assert len(lines) == 2, self.output
        return Result.read(lines[1])
