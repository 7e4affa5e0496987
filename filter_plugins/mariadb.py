# SPDX-License-Identifier: MIT
"""Compares MariaDB's accounts, privileges, databases and settings with the declared ones."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.secrets import mysql_native_hash

CHARACTER_SET = "utf8mb4"
# The server's own (mariadb.cnf.j2), and what WordPress takes. A database that says its character set alone has another.
COLLATION = "utf8mb4_unicode_520_ci"
# Limits of an account as the server keeps them, and as a statement calls them.
LIMITS = {
    "max_questions": "MAX_QUERIES_PER_HOUR",
    "max_updates": "MAX_UPDATES_PER_HOUR",
    "max_connections": "MAX_CONNECTIONS_PER_HOUR",
    "max_user_connections": "MAX_USER_CONNECTIONS",
    "max_statement_time": "MAX_STATEMENT_TIME",
}
# What a user may be allowed in its database, as the server names it; GRANT OPTION is not among it.
PRIVILEGES = (
    "ALTER", "ALTER ROUTINE", "CREATE", "CREATE ROUTINE", "CREATE TEMPORARY TABLES", "CREATE VIEW", "DELETE",
    "DELETE HISTORY", "DROP", "EVENT", "EXECUTE", "INDEX", "INSERT", "LOCK TABLES", "REFERENCES", "SELECT", "SHOW VIEW",
    "TRIGGER", "UPDATE",
)  # fmt: skip
SYSTEM_DATABASES = {"information_schema", "mysql", "performance_schema", "sys"}
# Variables that are no settings: where replication is, and orders that are given by setting something.
NO_SETTING = re.compile("GTID_(.*_POS|BINLOG_STATE)|INNODB_MONITOR_.*|INNODB_BUFFER_POOL_(DUMP|LOAD)_(NOW|ABORT)")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
LONGEST_SHOWN = 120
"""Characters of a value that a change shows."""


def literal(text: str) -> str:
    """Quote *text* as an SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote *name* as an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def pattern(name: str) -> str:
    r"""Escape *name* for the place of a database in GRANT, where ``_`` and ``%`` are wildcards."""
    return name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")


class State:
    """The server's own account of itself: the parsed lines of state.sql's answer."""

    def __init__(self, answer: str) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.databases: dict[str, tuple[str, str]] = {}
        self.broad: set[str] = set()
        self.proxies: dict[str, list[str]] = {}
        self.variables: dict[str, dict[str, Any]] = {}
        self.started: dict[str, str | None] | None = None
        self.privileges: dict[str, set[tuple[str, str, str]]] = {}
        for line in answer.splitlines():
            if line.strip():
                self._take(json.loads(line))

    def _take(self, row: Mapping[str, Any]) -> None:
        kind = row["kind"]
        if kind == "account":
            self.accounts[row["account"]] = dict(row)
        elif kind == "database":
            self.databases[row["name"]] = (row["character_set"], row["collation"])
        elif kind in ("global", "narrow"):
            self.broad.add(row["grantee"])
        elif kind == "proxy":
            proxied = f"{literal(row['user'])}@{literal(row['host'])}"
            self.proxies.setdefault(row["account"], []).append(proxied)
        elif kind == "variable":
            self.variables[row["name"]] = dict(row)
        elif kind == "started":
            self.started = dict(row["variables"])
        elif kind == "database_privilege":
            entry = (row["database"], row["privilege"], row["grantable"])
            self.privileges.setdefault(row["grantee"], set()).add(entry)


def alternatives(authentication: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the ways into an account.

    MariaDB keeps several in ``auth_or``, whose empty entry stands for the outer one.
    """
    outer = {name: value for name, value in authentication.items() if name != "auth_or"}
    return [entry or outer for entry in authentication.get("auth_or", [{}])]


def restricted(authentication: Mapping[str, Any]) -> bool:
    """Tell whether an account demands more than its password, may do only so much, or has a password that expires.

    A requirement is a number above 0, no limit is 0, and a password that has expired was never changed.
    """
    return (
        authentication.get("ssl_type", 0) > 0
        or any(authentication.get(limit) for limit in LIMITS)
        or authentication.get("password_lifetime", 0) > 0
        or authentication.get("password_last_changed") == 0
    )


def mariadb_passwords(databases: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Hash the passwords of ``mariadb_databases``: name to one hash, or two where there is another password."""
    return {
        name: [mysql_native_hash(entry[field]) for field in ("password", "other_password") if entry.get(field)]
        for name, entry in databases.items()
    }


def mariadb_grants(databases: Mapping[str, Mapping[str, Any]], privileges: Iterable[str]) -> dict[str, list[str]]:
    """Say what the user of each of ``mariadb_databases`` may do there: *privileges*, and further ones of its own."""
    common = set(privileges)
    return {name: sorted(common | set(entry.get("privileges") or ())) for name, entry in databases.items()}


def privilege_problems(name: str, privileges: Any, needed: bool = False) -> list[str]:
    """Check a list of privileges: they go into statements as they are, and are compared with the server's names.

    :param name: the variable, for the message.
    :param needed: whether there must be one.
    """
    if not isinstance(privileges, list | tuple):
        return []
    if needed and not privileges:
        return [f"{name}: []: must have at least one privilege"]
    return [
        f"{name}[{index}]: {json.dumps(privilege, ensure_ascii=False, default=str)[:LONGEST_SHOWN]}: must be one of "
        + ", ".join(PRIVILEGES)
        for index, privilege in enumerate(privileges)
        if privilege not in PRIVILEGES
    ]


def socket_only(authentication: Mapping[str, Any]) -> bool:
    """Tell whether an account lets nobody in by a password.

    "invalid" is the hash that no password has.
    """
    methods = alternatives(authentication)
    return any(m.get("plugin") == "unix_socket" for m in methods) and all(
        m.get("plugin") == "unix_socket" or m.get("authentication_string") == "invalid" for m in methods
    )


def mariadb_differences(
    answer: str,
    databases: Mapping[str, Sequence[str]],
    privileges: Mapping[str, Iterable[str]],
    system_accounts: Iterable[str],
    foreign_accounts: Iterable[str] = (),
) -> dict[str, list[str]]:
    """Compare and say how to put right what differs.

    :param answer: what the server answered to ``state.sql``, one JSON document a line, and what it has started with, in
        the form of ``started.sql``, where something was set since.
    :param databases: database name to the mysql_native_password hashes of its user, each of which opens the account.
        The user has the same name and may connect from any address of the internal network.
    :param privileges: database name to what its user may do there, and nothing else anywhere.
    :param system_accounts: ``user@host`` of the server's own accounts, which must let nobody in by password.
    :param foreign_accounts: ``user@host`` of accounts to leave as they are.
    :return: ``statements`` (SQL; passwords only as hashes), ``changes`` (a line each for people, no secrets) and
        ``kept`` (names of databases that are not declared: no run drops data).
    :raises AnsibleFilterError: when the answer cannot be read.
    """
    try:
        state = State(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise AnsibleFilterError(f"mariadb_differences: the server's answer cannot be read: {error}") from error
    statements: list[str] = []
    changes: list[str] = []

    def differ(change: str, *remedies: str) -> None:
        changes.append(change)
        statements.extend(f"{remedy};" for remedy in remedies)

    # Before what follows, which some of them would stop.
    _settings(state, differ)
    known = {f"{name}@%" for name in databases} | set(system_accounts) | set(foreign_accounts)
    for account, row in sorted(state.accounts.items()):
        name = f"{literal(row['user'])}@{literal(row['host'])}"
        if account not in known:
            if row["is_role"]:
                differ(f"role {row['user']}: not declared, dropped", f"DROP ROLE {identifier(row['user'])}")
            else:
                differ(f"account {account}: not declared, dropped", f"DROP USER {name}")
        elif account in ("root@localhost", "mysql@localhost") and not socket_only(row["authentication"]):
            differ(f"account {account}: password login removed", f"ALTER USER {name} IDENTIFIED VIA unix_socket")
        elif account == "mariadb.sys@localhost" and not row["authentication"].get("account_locked"):
            # The owner of the server's own views: nobody logs in as it.
            differ(f"account {account}: locked", f"ALTER USER {name} ACCOUNT LOCK")
    for database, password_hashes in sorted(databases.items()):
        _database(state, database, differ)
        _account(state, database, password_hashes, set(privileges[database]), differ)
    kept = sorted(set(state.databases) - set(databases) - SYSTEM_DATABASES)
    return {"statements": statements, "changes": changes, "kept": kept}


def mariadb_drops(databases: Iterable[str]) -> str:
    """Write the statements that drop databases, with all that is in them."""
    return "".join(f"DROP DATABASE IF EXISTS {identifier(name)};\n" for name in databases)


def _database(state: State, database: str, differ: Any) -> None:
    wanted = f"CHARACTER SET {CHARACTER_SET} COLLATE {COLLATION}"
    if database not in state.databases:
        differ(f"database {database}: created", f"CREATE DATABASE {identifier(database)} {wanted}")
    elif state.databases[database] != (CHARACTER_SET, COLLATION):
        character_set, collation = state.databases[database]
        found = f"collation {collation}" if character_set == CHARACTER_SET else f"character set {character_set}"
        differ(f"database {database}: {found}", f"ALTER DATABASE {identifier(database)} {wanted}")


def _settings(state: State, differ: Any) -> None:
    """Compare what was set while the server runs with what it has started with.

    No other value is looked at: what the server changes by itself is no difference. In the order of their names, for
    setting a character set also sets its collation.
    """
    for name, row in sorted(state.variables.items()):
        if NO_SETTING.fullmatch(name):
            continue
        setting, value = f"setting {name.lower()}", row["value"]
        if state.started is None:
            differ(f"{setting}: {_shown(value)} was set while the server runs; what it has started with is not known")
        elif name in state.started and value != state.started[name]:
            wanted = state.started[name]
            remedy = f"SET GLOBAL {name.lower()} = {_value(wanted, row['type'])}"
            differ(f"{setting}: {_shown(value)} -> {_shown(wanted)}", remedy)


def _shown(value: str | None) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _value(value: str | None, kind: str) -> str:
    """Write a variable's value, as the server tells it, as SET takes it."""
    # Names (of a table, an engine, a directory) that are not set are told as empty, and not taken so.
    if value is None or value == "DEFAULT" or (value == "" and kind == "VARCHAR"):
        return "DEFAULT"
    number = kind.partition(" ")[0] in ("INT", "BIGINT", "DOUBLE")
    return value if number and NUMBER.fullmatch(value) else literal(value)


def _account(state: State, user: str, password_hashes: Sequence[str], privileges: set[str], differ: Any) -> None:
    account = f"{user}@%"
    name = f"{literal(user)}@'%'"
    row = state.accounts.get(account)
    methods = [f"mysql_native_password USING {literal(password_hash)}" for password_hash in password_hashes]
    identified = f"IDENTIFIED VIA {' OR '.join(methods)}"
    if row is None:
        differ(f"account {account}: created", f"CREATE USER {name} {identified}")
    else:
        authentication = row["authentication"]
        ways = [(way.get("plugin"), way.get("authentication_string")) for way in alternatives(authentication)]
        # While a password is rotated there are two; which one is tried first makes no difference.
        if sorted(ways, key=str) != sorted((("mysql_native_password", one) for one in password_hashes), key=str):
            differ(f"account {account}: password put right", f"ALTER USER {name} {identified}")
        if authentication.get("account_locked"):
            differ(f"account {account}: unlocked", f"ALTER USER {name} ACCOUNT UNLOCK")
        if restricted(authentication):
            # With the password: one that has expired is new by that.
            limits = " ".join(f"{limit} 0" for limit in LIMITS.values())
            differ(
                f"account {account}: requirements and limits removed",
                f"ALTER USER {name} {identified} REQUIRE NONE WITH {limits} PASSWORD EXPIRE NEVER",
            )
        for proxied in sorted(state.proxies.get(account, [])):
            differ(f"account {account}: proxy for {proxied} revoked", f"REVOKE PROXY ON {proxied} FROM {name}")
    grantee = f"'{user}'@'%'"
    target = f"{identifier(pattern(user))}.*"
    wanted = {(pattern(user), privilege, "NO") for privilege in privileges}
    actual = state.privileges.get(grantee, set())
    everything = f"GRANT {', '.join(sorted(privileges))} ON {target} TO {name}"
    if row is not None and (
        grantee in state.broad or any(db != pattern(user) or grantable == "YES" for db, _, grantable in actual)
    ):
        # Rights beyond its database: take all, give back its own.
        differ(
            f"account {account}: privileges beyond {user} revoked",
            f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {name}",
            everything,
        )
        return
    surplus = sorted(privilege for _, privilege, _ in actual - wanted)
    missing = sorted(privilege for _, privilege, _ in wanted - actual)
    if surplus:
        differ(
            f"account {account}: {', '.join(surplus)} revoked", f"REVOKE {', '.join(surplus)} ON {target} FROM {name}"
        )
    if missing:
        differ(f"account {account}: {', '.join(missing)} granted", f"GRANT {', '.join(missing)} ON {target} TO {name}")


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "mariadb_differences": mariadb_differences,
            "mariadb_drops": mariadb_drops,
            "mariadb_grants": mariadb_grants,
            "mariadb_passwords": mariadb_passwords,
        }
