# SPDX-License-Identifier: MIT
"""Work out the command that runs WP-CLI for a site on its machine, and what has to be built for it."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from filter_plugins import wordpress_cli
from filter_plugins.container import context_digest
from filter_plugins.wordpress_cli import CommandError

ROLE = Path(__file__).resolve().parents[1]
TEMPLATES = (ROLE / "templates", ROLE.parent / "container" / "templates")
FILES = ("wp", "database-client", "wp-cli.yml")

# Becomes root by sudo, which has been told its password in the first line of the input: the rest is the command's.
BECOMES_ROOT = """\
IFS= read -r password
sudo -n true 2>/dev/null || printf '%s\\n' "$password" | sudo -S -p '' -v 2>/dev/null
if sudo -n true 2>/dev/null; then
  unset password
  sudo -n -- "$@"
  exit
fi
# One that forgets at once.
{ printf '%s\\n' "$password"; exec cat; } | sudo -S -p '' -- "$@"
"""


class ActionModule(ActionBase):
    """Takes `site`, `words` (of the command), `terminal` (whether there is one) and `file` (of the controller).

    Writes to the file, as JSON, either `problem`, in the operator's words, or the command that the caller is to run:
    `argv`, `password` (that sudo wants; empty where there is none) and `feeds` (whether it is the first line of the
    command's input). Returns `reference`, `base`, `context` and `former`, of the image; `missing` says whether it has
    to be built. Nothing on a machine that does not declare the site.
    """

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Find the machine, look at its engine, write the command."""
        super().run(tmp, task_vars)
        variables = dict(task_vars or {})
        wanted = self._task.args
        host = str(variables["inventory_hostname"])
        nothing = {"changed": False, "missing": False, "former": []}
        try:
            sites = {
                name: list(variables["hostvars"][name].get("wordpress_sites") or {})
                for name in variables["ansible_play_hosts_all"]
            }
            if host not in wordpress_cli.declaring_hosts(wanted["site"], sites):
                return nothing
            return {"changed": False, **self._plan(host, variables)}
        except CommandError as problem:
            self._write({"problem": str(problem)})
            return nothing

    def _plan(self, host: str, variables: dict[str, Any]) -> dict[str, Any]:
        wanted, site = self._task.args, str(self._task.args["site"])
        stack, data_dir, epoch, users, version, sha256, memory, containers, states = (
            self._templar.template(variables[name])
            for name in (
                "stack_name", "stack_data_dir", "stack_image_epoch", "container_users", "wordpress_cli_version",
                "wordpress_cli_sha256", "wordpress_cli_memory", "__wordpress_containers", "__wordpress_states",
            )
        )  # fmt: skip
        wordpress_cli.demand_declared(version, sha256)
        (container,) = (one for one in containers if one["name"] == f"wordpress-{site}")
        result = self._execute_module(
            module_name="engine_look", module_args={"stack": stack, "data_dir": data_dir}, task_vars=variables
        )
        if result.get("failed") or "engine" not in result:
            raise CommandError(f"{host} does not answer: {str(result.get('msg') or result).strip()}")
        engine = result["engine"]
        base = wordpress_cli.running_image(engine, stack, host, container)
        context = self._context({**variables, "__wordpress_cli_base": base})
        reference = f"{stack}/{wordpress_cli.NAME}:{context_digest(context, str(epoch))}"
        options = wordpress_cli.create_options(
            container, reference, stack, data_dir, users,
            site=site, url=states[site]["url"], memory=memory, words=list(wanted["words"]),
            terminal=wanted["terminal"], mark=secrets.token_hex(4),
        )  # fmt: skip
        program = wordpress_cli.program_arguments(container, stack, data_dir, users, site, options)
        self._write(self._command(program, bool(wanted["terminal"])))
        missing = not wordpress_cli.has_image(engine, reference)
        if missing:
            self._display.display(
                "Building the image of WP-CLI: once for each version of the site's image.", stderr=True
            )
        return {
            "reference": reference, "base": base, "context": context, "missing": missing,
            "former": wordpress_cli.former_images(engine, stack, base, reference),
        }  # fmt: skip

    def _context(self, variables: Mapping[str, Any]) -> dict[str, str]:
        """Return the build context: file name to text."""
        templar = self._templar.copy_with_new_env(
            available_variables=variables, searchpath=[str(folder) for folder in TEMPLATES]
        )
        text = self._loader.get_text_file_contents(str(TEMPLATES[0] / "cli.Dockerfile.j2"))
        context = {"Dockerfile": str(templar.template(trust_as_template(text), escape_backslashes=False))}
        return context | {name: self._loader.get_text_file_contents(str(ROLE / "files" / name)) for name in FILES}

    def _command(self, program: list[str], terminal: bool) -> dict[str, Any]:
        """Return what the caller runs, by the same connection as this task's."""
        connection: Any = self._connection
        kind = str(connection.ansible_name).rpartition(".")[2]
        become = connection.become
        if become is not None and become.name.rpartition(".")[2] != "sudo":
            raise CommandError(f"ansible_become_method: {become.name}: make wp can become root by sudo alone")
        password = str(become.get_option("become_pass") or "") if become is not None else ""
        feeds = False
        if become is not None and kind != "local" and password and not terminal:
            program, feeds = ["sh", "-c", BECOMES_ROOT, "wp", *program], True
        elif become is not None and not (kind == "local" and os.geteuid() == 0):
            program = ["sudo", "--", *program]
        if kind == "local":
            argv = program
        elif kind == "ssh":
            pseudo = ["-tt"] if terminal else ["-T"]
            binary = connection.get_option("ssh_executable")
            argv = connection._build_command(binary, "ssh", *pseudo, connection.host, shlex.join(program))
        elif kind == "docker":
            argv = connection._build_exec_cmd(program)
            if terminal:
                argv.insert(argv.index(b"exec") + 1, b"-t")
        else:
            raise CommandError(f"ansible_connection: {connection.ansible_name}: make wp needs ssh or local")
        texts = [os.fsdecode(word) if isinstance(word, bytes) else str(word) for word in argv]
        return {"argv": texts, "password": password, "feeds": feeds}

    def _write(self, document: dict[str, Any]) -> None:
        """Write the file whole: the caller reads it when the playbook has ended."""
        path = Path(self._task.args["file"])
        path.touch(mode=0o600)
        path.write_text(json.dumps(document), encoding="utf-8")
