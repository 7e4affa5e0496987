"""Action plugins without a play: what one is given, and the modules that it has run on a target."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar


class Action:
    """An action of `file`, loaded before; its modules answer what `answers` has for them, one after the other."""

    def __init__(
        self,
        file: ModuleType,
        variables: dict[str, Any] | None = None,
        *,
        reader: DataLoader | None = None,
        **arguments: Any,
    ) -> None:
        self.variables = variables or {}
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.executed: list[tuple[str, dict[str, Any]]] = []
        """Name and arguments of each module."""
        self.transferred: list[tuple[str, bytes]] = []
        """Path on the target and content of each file."""
        self.removed: list[str] = []
        """Temporary directories of the target that were removed: all that were made, `/target/tmp` and further ones."""
        task = SimpleNamespace(args=arguments, action=Path(str(file.__file__)).stem, async_val=0, check_mode=False)
        loader = reader or DataLoader()
        connection = MagicMock()
        connection._shell.tmpdir = None
        connection._shell.join_path = lambda *parts: "/".join(parts)
        templar = Templar(loader=loader, variables=self.variables)
        self.plugin = file.ActionModule(task, connection, MagicMock(), loader, templar, MagicMock())
        self.plugin._execute_module = self._execute
        self.plugin._make_tmp_path = self._make
        self._made = 0
        self.plugin._remove_tmp_path = self.removed.append
        self.plugin._transfer_file = self._transfer

    def _execute(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        assert task_vars == self.variables
        self.executed.append((module_name, module_args))
        return self.answers[module_name].pop(0)

    def _make(self) -> str:
        self._made += 1
        path = f"/target/tmp{self._made if self._made > 1 else ''}"
        self.plugin._connection._shell.tmpdir = path
        return path

    def _transfer(self, local: str, remote: str) -> None:
        self.transferred.append((remote, Path(local).read_bytes()))

    def run(self) -> dict[str, Any]:
        """Run it."""
        result: dict[str, Any] = self.plugin.run(task_vars=self.variables)
        return result
