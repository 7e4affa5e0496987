"""The tasks that put a running server right: they compare again, and what is left is an error that names it.

The server is a file with its answer; the repair, where it works, makes another of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HASH = "*0123456789ABCDEF0123456789ABCDEF01234567"
PROXY = {"kind": "proxy", "account": "shop@%", "user": "root", "host": "localhost"}
CONVERGED: list[dict[str, Any]] = [
    {
        "kind": "account",
        "account": "shop@%",
        "user": "shop",
        "host": "%",
        "is_role": False,
        # That of "mypass".
        "authentication": {
            "plugin": "mysql_native_password",
            "authentication_string": "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4",
        },
    },
    {"kind": "database", "name": "shop", "character_set": "utf8mb4", "collation": "utf8mb4_unicode_520_ci"},
    {
        "kind": "database_privilege",
        "grantee": "'shop'@'%'",
        "database": "shop",
        "privilege": "SELECT",
        "grantable": "NO",
    },
]
# Stands in for the engine's program and for the module that runs something in a container.
DOCKER = '#!/bin/sh\ncat > /dev/null\ncat "$STATE/answer"\n'
EXECUTE = """
import os, shutil
from ansible.module_utils.basic import AnsibleModule
options = {"container": {}, "argv": {"type": "list", "elements": "str"}, "stdin": {}}
module = AnsibleModule(argument_spec=options, supports_check_mode=False)
state = os.environ["STATE"]
with open(state + "/sent", "a", encoding="utf-8") as sent:
    sent.write(module.params["stdin"])
if os.path.exists(state + "/next"):
    shutil.copy(state + "/next", state + "/answer")
module.exit_json(changed=True, rc=0, stdout=open(state + "/out").read(), stderr=open(state + "/out").read())
"""
PLAY = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.include_role": {"name": "{{ role }}", "tasks_from": "{{ tasks }}"}},
        ],
    }
]
REDIS_USERS = {"shop": {"password": "mypass", "keys": [], "commands": ["get"]}}


@dataclass(frozen=True)
class Server:
    """A server that answers what stands in a file."""

    state: Path

    def answers(self, text: str, afterwards: str | None = None, says: str = "") -> None:
        """Say what it answers, and what after a repair; and what it says to the repair."""
        (self.state / "answer").write_text(text, encoding="utf-8")
        (self.state / "out").write_text(says, encoding="utf-8")
        if afterwards is not None:
            (self.state / "next").write_text(afterwards, encoding="utf-8")

    def sent(self) -> list[str]:
        """Return the lines that a repair has sent."""
        path = self.state / "sent"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def play(self, role: str, tasks: str, variables: dict[str, Any], *arguments: str) -> tuple[int, str]:
        """Run the tasks; return Ansible's status and what it has printed."""
        given = {
            "role": role,
            "tasks": tasks,
            "stack_name": "unittest",
            "stack_no_log": True,
            "ansible_become": False,
            **variables,
        }
        (self.state / "play.yml").write_text(json.dumps(PLAY), encoding="utf-8")
        done = subprocess.run(
            [
                *("ansible-playbook", "--inventory", "localhost,", "--connection", "local", "--diff"),
                *("--extra-vars", json.dumps(given), *arguments, str(self.state / "play.yml")),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
                "ANSIBLE_COLLECTIONS_PATH": str(self.state),
                "COLUMNS": "1000",
                "PATH": f"{self.state}:{os.environ['PATH']}",
                "STATE": str(self.state),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Make the stand-ins."""
    (tmp_path / "docker").write_text(DOCKER, encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    module = tmp_path / "ansible_collections/community/docker/plugins/modules/docker_container_exec.py"
    module.parent.mkdir(parents=True)
    module.write_text(EXECUTE, encoding="utf-8")
    return Server(tmp_path)


def lines(*rows: dict[str, Any]) -> str:
    """Write an answer of the database server."""
    return "".join(json.dumps(row) + "\n" for row in rows)


DATABASES = {
    "mariadb_databases": {"shop": {"password": "mypass"}},
    "mariadb_privileges": ["SELECT"],
    "__mariadb_system_accounts": [],
}


def test_accounts_that_are_put_right_are_a_change(server: Server) -> None:
    server.answers(lines(*CONVERGED, PROXY), lines(*CONVERGED))
    status, told = server.play("mariadb", "accounts", DATABASES)
    assert status == 0, told
    assert "account shop@%: proxy for 'root'@'localhost' revoked" in told.replace("''", "'")
    assert "changed=1" in told
    assert server.sent()[-1] == "REVOKE PROXY ON 'root'@'localhost' FROM 'shop'@'%';"


def test_difference_that_survives_its_repair_is_an_error_that_names_it(server: Server) -> None:
    """With what the server has said, but for hashes."""
    server.answers(lines(*CONVERGED, PROXY), says=f"ERROR 1045 at line 3: {HASH}")
    status, told = server.play("mariadb", "accounts", DATABASES)
    assert status != 0
    error = told.rpartition("End where nobody tells it later")[2]
    assert "unittest-mariadb: was put right, and differs still" in error
    assert "changed=0" in error, "what is as it was, was not changed"
    assert "account shop@%: proxy for 'root'@'localhost' revoked" in error.replace("''", "'")
    assert "ERROR 1045 at line 3: (hash)" in error
    assert HASH not in told


def test_check_run_repairs_nothing_and_is_no_error(server: Server) -> None:
    server.answers(lines(*CONVERGED, PROXY))
    status, told = server.play("mariadb", "accounts", DATABASES, "--check")
    assert (status, server.sent()) == (0, []), told
    assert "changed=1" in told


def test_nothing_is_sent_where_nothing_differs(server: Server) -> None:
    server.answers(lines(*CONVERGED))
    status, told = server.play("mariadb", "accounts", DATABASES)
    assert (status, server.sent()) == (0, []), told
    assert "changed=0" in told


CACHE = {
    "__redis_users": REDIS_USERS,
    "__redis_settings": {"maxmemory": "7"},
    "__redis_drift_user": "drift-check",
    "__redis_drift_password": "a word of its own",
    "redis_extra_config": "",
}


def cache(maxmemory: str) -> str:
    """Write an answer of the cache."""
    listed = [
        "user default off resetchannels -@all",
        "user shop on #ea71c25a7a602246b4c39824b855678894a96f43bb9b71319c39700a1e045222 resetchannels -@all +get",
    ]
    return "".join(json.dumps(one) + "\n" for one in ([], "OK", listed, ["maxmemory", maxmemory]))


def test_cache_that_is_put_right_is_a_change(server: Server) -> None:
    server.answers(cache("8"), cache("7"))
    status, told = server.play("redis", "users", CACHE)
    assert status == 0, told
    assert "changed=1" in told
    assert server.sent()[-1] == 'CONFIG SET maxmemory "7"'


def test_setting_of_the_cache_that_survives_its_repair_is_an_error_that_names_it(server: Server) -> None:
    server.answers(cache("8"), says='"OK"\nerror:"ERR cannot be set"\n')
    status, told = server.play("redis", "users", CACHE)
    assert status != 0
    error = told.rpartition("Refuse what its repair has left")[2]
    assert "unittest-redis was put right, and differs still" in error
    assert 'setting maxmemory: "8" -> "7"' in error
    assert "ERR cannot be set" in error
    assert "a word of its own" not in told
