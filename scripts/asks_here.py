"""Tell by the exit status (0: yes) whether a playbook becomes root on this machine without having been told a password.

Takes what ansible-playbook takes. Nothing is asked and nothing is run: the inventory is read, with the variables of the
hosts that the playbook is for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import context
from ansible.cli import CLI
from ansible.cli.playbook import PlaybookCLI
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

# They show what the controller knows, and run nothing anywhere.
OF_THE_CONTROLLER = {"secrets.yml"}
ONLY_LOOKS = ("listhosts", "listtags", "listtasks", "syntax")
PASSWORDS = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
LOCAL = {"local", "ansible.builtin.local"}


def works_here(variables: Mapping[str, Any], connection: str) -> bool:
    """Tell whether a host is this machine, and its user becomes root there by a password that nobody has given.

    :param variables: of the host, resolved as far as they matter.
    :param connection: of hosts that say none.
    """
    if variables.get("ansible_connection", connection) not in LOCAL:
        return False
    if any(name in variables for name in PASSWORDS):
        return False
    return bool(boolean(variables.get("ansible_become", True), strict=False))


def hosts_variables(pattern: str, basedir: Path) -> list[dict[str, Any]]:
    """Return what tells where and as whom tasks run, for each host of a pattern and of the limit."""
    loader = DataLoader()
    loader.set_basedir(str(basedir))
    inventory = InventoryManager(loader=loader, sources=context.CLIARGS["inventory"])
    inventory.subset(context.CLIARGS["subset"])
    manager = VariableManager(loader=loader, inventory=inventory, version_info=CLI.version_info(gitinfo=False))
    found = []
    for host in inventory.get_hosts(pattern):
        try:
            variables = manager.get_vars(host=host)
        except AnsibleError:
            # Such as a file of ansible-vault's, whose password Ansible will ask for.
            variables = {}
            for group in sorted(host.get_groups(), key=lambda group: group.depth):
                variables |= group.get_vars()
            variables |= host.get_vars()
        wanted = {
            name: variables[name] for name in ("ansible_connection", "ansible_become", *PASSWORDS) if name in variables
        }
        templar = Templar(loader=loader, variables=variables)
        # Passwords are not worked out: that there is one is enough.
        found.append({name: value if name in PASSWORDS else templar.template(value) for name, value in wanted.items()})
    return found


def main(arguments: list[str]) -> bool:
    """Answer for the arguments of ansible-playbook, of which the first one is the playbook."""
    cli = PlaybookCLI(["ansible-playbook", *arguments])
    cli.parse()
    given = context.CLIARGS
    if given["become_ask_pass"] or given["become_password_file"] or any(given[name] for name in ONLY_LOOKS):
        return False
    playbook = Path(arguments[0])
    if playbook.name in OF_THE_CONTROLLER:
        return False
    plays = yaml.safe_load(playbook.read_text(encoding="utf-8"))
    # One that names this machine itself is for it, whatever the inventory holds.
    if any(play.get("connection") in LOCAL for play in plays):
        return True
    init_plugin_loader()
    return any(works_here(variables, given["connection"]) for variables in hosts_variables("stack", playbook.parent))


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
