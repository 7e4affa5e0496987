"""What can happen to the stack quayside (molecule/drift/tests/cases.yml), and a shell to make it happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from filter_plugins.secrets import derive_secret
from tests.support.runs import PROJECT
from tests.support.stack import Stack

ROUNDS: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(
    (PROJECT / "molecule/drift/tests/cases.yml").read_text(encoding="utf-8")
)
DATA = "/srv/harbour/quayside"

# What the cases' commands are written with.
TOOLS = r"""
sql() { docker exec --interactive quayside-mariadb mariadb --batch --raw --skip-column-names "$@"; }
redis() { { echo 'AUTH drift-check REDIS_PASSWORD'; cat; } | docker exec --interactive quayside-redis redis-cli -2; }
php() {
    { printf '%s' '<?php $_SERVER["HTTP_HOST"] = "harbour.example.test:8444"; $_SERVER["HTTPS"] = "on";
                   require "/usr/share/wordpress/wp-load.php"; '; cat; } \
        | docker exec --interactive quayside-wordpress-harbour php
}
visit() { curl --silent --insecure --max-time 30 --output /dev/null --user "$@"; }
ftp() { visit "$1" --ssl-reqd ftp://127.0.0.1:2122/; echo $?; }
tool() { visit "$1" --write-out '%{http_code}' --connect-to ::127.0.0.1: "$2"; }
"""

Shell = Callable[[str], Any]


def root_shell(stack: Stack, installation_key: str) -> Shell:
    """Return a function that runs a case's commands as root on the host, and returns testinfra's result."""
    password = derive_secret(installation_key, "redis/drift-check")
    tools = TOOLS.replace("REDIS_PASSWORD", password)

    def run(text: str) -> Any:
        text = text.replace("SITE/", f"{DATA}/volumes/sites/harbour/wp-content/").replace("DATA/", f"{DATA}/")
        return stack.host.run("bash -c %s", f"{tools}\n{text}")

    return run


def answers_as_declared(shell: Shell, case: dict[str, Any]) -> bool:
    """Ask the running thing whether a case has been put right."""
    wanted = str(case["then"]["answer"]).replace("DATA/", f"{DATA}/")
    return bool(shell(case["then"]["ask"]).stdout.strip() == wanted)
