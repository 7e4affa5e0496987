"""The comparison of MariaDB's accounts with the declared ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from filter_plugins.mariadb import (
    mariadb_differences,
    mariadb_drops,
    mariadb_grants,
    mariadb_passwords,
    privilege_problems,
)

ROLE = Path(__file__).resolve().parents[2] / "roles/mariadb"

HASH = "*0123456789ABCDEF0123456789ABCDEF01234567"
PRIVILEGES = ["INSERT", "SELECT"]
GRANTS = {"wordpress_shop": PRIVILEGES}
SYSTEM = ["root@localhost", "mysql@localhost", "mariadb.sys@localhost"]
SOCKET = {
    "plugin": "mysql_native_password",
    "authentication_string": "invalid",
    "auth_or": [{}, {"plugin": "unix_socket"}],
}


def account(user: str, host: str, authentication: dict[str, Any], *, is_role: bool = False) -> dict[str, Any]:
    """One account of state.sql's answer."""
    return {
        "kind": "account",
        "account": f"{user}@{host}",
        "user": user,
        "host": host,
        "is_role": is_role,
        "authentication": authentication,
    }


def native(authentication_string: str, **further: Any) -> dict[str, Any]:
    """Return the authentication of an account with a password hash."""
    return {"plugin": "mysql_native_password", "authentication_string": authentication_string, **further}


def privilege(name: str, database: str = r"wordpress\_shop", grantable: str = "NO") -> dict[str, Any]:
    """One privilege of the site's user in state.sql's answer."""
    return {
        "kind": "database_privilege",
        "grantee": "'wordpress_shop'@'%'",
        "database": database,
        "privilege": name,
        "grantable": grantable,
    }


COLLATION = "utf8mb4_unicode_520_ci"
DATABASE = {"kind": "database", "name": "wordpress_shop", "character_set": "utf8mb4", "collation": COLLATION}
OWNER = account("mariadb.sys", "localhost", native("", account_locked=True))
USER = account("wordpress_shop", "%", native(HASH))
ROOT = account("root", "localhost", SOCKET)
CONVERGED = [ROOT, account("mysql", "localhost", SOCKET), OWNER, USER, DATABASE, *map(privilege, PRIVILEGES)]


def differences(rows: list[dict[str, Any]], foreign: list[str] | None = None) -> dict[str, list[str]]:
    """Compare *rows* with one declared database."""
    answer = "\n".join(json.dumps(row) for row in rows) + "\n"
    return mariadb_differences(answer, {"wordpress_shop": [HASH]}, GRANTS, SYSTEM, foreign or [])


OTHER = "*FEDCBA9876543210FEDCBA9876543210FEDCBA98"
EITHER = f"IDENTIFIED VIA mysql_native_password USING '{HASH}' OR mysql_native_password USING '{OTHER}'"


def two_passwords(authentication: dict[str, Any]) -> list[str]:
    """Compare an account with one that has two passwords, while its password is rotated."""
    rows = [*without(USER), account("wordpress_shop", "%", authentication)]
    answer = "\n".join(json.dumps(row) for row in rows)
    return mariadb_differences(answer, {"wordpress_shop": [HASH, OTHER]}, GRANTS, SYSTEM)["statements"]


@pytest.mark.parametrize(("outer", "inner"), [(HASH, OTHER), (OTHER, HASH)])
def test_two_passwords_in_either_order_are_no_difference(outer: str, inner: str) -> None:
    """As MariaDB 11.8 writes them."""
    assert two_passwords(native(outer, auth_or=[native(inner), {}])) == []
    assert two_passwords(native(outer, auth_or=[{}, native(inner)])) == []


@pytest.mark.parametrize(
    "authentication",
    [
        native(HASH),
        native(HASH, auth_or=[{}, native("*00")]),
        native(HASH, auth_or=[{}, native(HASH)]),
        native(HASH, auth_or=[{}, native(OTHER), native("*00")]),
        native(HASH, auth_or=[{}, native(OTHER), {"plugin": "unix_socket"}]),
        native(HASH, auth_or=[{}, {"plugin": "ed25519", "authentication_string": OTHER}]),
    ],
)
def test_anything_but_the_two_passwords_is_put_right(authentication: dict[str, Any]) -> None:
    assert two_passwords(authentication) == [f"ALTER USER 'wordpress_shop'@'%' {EITHER};"]


def test_passwords_are_hashed_for_the_comparison() -> None:
    hashes = mariadb_passwords({"a": {"password": "mypass"}, "b": {"password": "mypass", "other_password": "password"}})
    first, second = "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4", "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
    assert hashes == {"a": [first], "b": [first, second]}


def without(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the converged state without *rows*."""
    return [row for row in CONVERGED if row not in rows]


def test_nothing_differs() -> None:
    assert differences(CONVERGED) == {"statements": [], "changes": [], "kept": []}


def test_a_bare_server_gets_database_account_and_privileges() -> None:
    assert differences([ROOT])["statements"] == [
        f"CREATE DATABASE `wordpress_shop` CHARACTER SET utf8mb4 COLLATE {COLLATION};",
        f"CREATE USER 'wordpress_shop'@'%' IDENTIFIED VIA mysql_native_password USING '{HASH}';",
        r"GRANT INSERT, SELECT ON `wordpress\_shop`.* TO 'wordpress_shop'@'%';",
    ]


UNRESTRICTED = (
    "REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS 0"
    " MAX_STATEMENT_TIME 0 PASSWORD EXPIRE NEVER"
)
CASES: list[tuple[list[dict[str, Any]], list[str]]] = [
    *[
        (
            [*without(DATABASE), {**DATABASE, **changed}],
            [f"ALTER DATABASE `wordpress_shop` CHARACTER SET utf8mb4 COLLATE {COLLATION};"],
        )
        for changed in (
            {"character_set": "latin1", "collation": "latin1_swedish_ci"},
            {"collation": "utf8mb4_uca1400_ai_ci"},
        )
    ],
    # What REVOKE ALL PRIVILEGES leaves.
    (
        [*CONVERGED, {"kind": "proxy", "account": "wordpress_shop@%", "user": "root", "host": "localhost"}],
        ["REVOKE PROXY ON 'root'@'localhost' FROM 'wordpress_shop'@'%';"],
    ),
    (
        [*without(OWNER), account("mariadb.sys", "localhost", native("", account_locked=False))],
        ["ALTER USER 'mariadb.sys'@'localhost' ACCOUNT LOCK;"],
    ),
    (
        [
            *without(USER),
            account("wordpress_shop", "%", native("*00")),
        ],
        [f"ALTER USER 'wordpress_shop'@'%' IDENTIFIED VIA mysql_native_password USING '{HASH}';"],
    ),
    (
        [
            *without(USER),
            account("wordpress_shop", "%", native(HASH, auth_or=[{}, {"plugin": "unix_socket"}])),
        ],
        [f"ALTER USER 'wordpress_shop'@'%' IDENTIFIED VIA mysql_native_password USING '{HASH}';"],
    ),
    (
        [*without(USER), account("wordpress_shop", "%", native(HASH, account_locked=True))],
        ["ALTER USER 'wordpress_shop'@'%' ACCOUNT UNLOCK;"],
    ),
    *[
        (
            [*without(USER), account("wordpress_shop", "%", native(HASH, **restriction))],
            [f"ALTER USER 'wordpress_shop'@'%' IDENTIFIED VIA mysql_native_password USING '{HASH}' {UNRESTRICTED};"],
        )
        for restriction in (
            {"ssl_type": 2},
            {"max_questions": 1},
            {"max_updates": 1},
            {"max_connections": 1},
            {"max_user_connections": -1},
            {"max_statement_time": 0.5},
            {"password_lifetime": 3},
            {"password_last_changed": 0},
        )
    ],
    (
        without(privilege("INSERT")),
        [r"GRANT INSERT ON `wordpress\_shop`.* TO 'wordpress_shop'@'%';"],
    ),
    (
        [*CONVERGED, privilege("DROP"), privilege("ALTER")],
        [r"REVOKE ALTER, DROP ON `wordpress\_shop`.* FROM 'wordpress_shop'@'%';"],
    ),
    *[
        (
            [*CONVERGED, surplus],
            [
                "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'wordpress_shop'@'%';",
                r"GRANT INSERT, SELECT ON `wordpress\_shop`.* TO 'wordpress_shop'@'%';",
            ],
        )
        for surplus in (
            privilege("SELECT", database="mysql"),
            privilege("SELECT", grantable="YES"),
            {"kind": "global", "grantee": "'wordpress_shop'@'%'", "privilege": "FILE", "grantable": "NO"},
            {"kind": "narrow", "grantee": "'wordpress_shop'@'%'"},
        )
    ],
    ([*CONVERGED, account("", "localhost", {})], ["DROP USER ''@'localhost';"]),
    ([*CONVERGED, account("root", "%", {})], ["DROP USER 'root'@'%';"]),
    ([*CONVERGED, account("it's", "h", {})], ["DROP USER 'it''s'@'h';"]),
    ([*CONVERGED, account("group", "", {}, is_role=True)], ["DROP ROLE `group`;"]),
    (
        [
            *without(ROOT),
            account("root", "localhost", native("*AB")),
        ],
        ["ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket;"],
    ),
    (
        [*without(ROOT), account("root", "localhost", {**SOCKET, "authentication_string": ""})],
        ["ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket;"],
    ),
]


@pytest.mark.parametrize(("rows", "statements"), CASES)
def test_each_drift_has_its_remedy(rows: list[dict[str, Any]], statements: list[str]) -> None:
    result = differences(rows)
    assert result["statements"] == statements
    assert len(result["changes"]) == 1
    assert HASH not in "".join(result["changes"])


def test_foreign_accounts_are_left_alone() -> None:
    assert differences([*CONVERGED, account("report", "10.0.0.%", {})], ["report@10.0.0.%"])["changes"] == []


@pytest.mark.parametrize("lifetime", [0, -1])
def test_what_the_remedy_leaves_is_no_restriction(lifetime: int) -> None:
    """As the server answers after it; the numbers of an account that never had any are absent."""
    left = {"ssl_type": 0, "ssl_cipher": "", "max_questions": 0, "max_user_connections": 0, "max_statement_time": 0.0}
    left |= {"password_lifetime": lifetime, "password_last_changed": 1795986924}
    assert differences([*without(USER), account("wordpress_shop", "%", native(HASH, **left))])["changes"] == []


@pytest.mark.parametrize("answer", ["ERROR 1045", '{"kind": "account"}', "[1]"])
def test_an_unreadable_answer_is_an_error(answer: str) -> None:
    with pytest.raises(AnsibleFilterError, match="cannot be read"):
        mariadb_differences(answer, {}, {}, SYSTEM)


def test_one_database_s_user_may_have_more() -> None:
    databases: dict[str, dict[str, Any]] = {
        "blog": {"password": "x"},
        "shop": {"password": "y", "privileges": ["TRIGGER", "SELECT"]},
    }
    assert mariadb_grants(databases, PRIVILEGES) == {"blog": PRIVILEGES, "shop": [*PRIVILEGES, "TRIGGER"]}
    answer = "\n".join(json.dumps(row) for row in CONVERGED)
    found = mariadb_differences(
        answer, {"wordpress_shop": [HASH]}, {"wordpress_shop": [*PRIVILEGES, "TRIGGER"]}, SYSTEM
    )
    assert found["statements"] == [r"GRANT TRIGGER ON `wordpress\_shop`.* TO 'wordpress_shop'@'%';"]


def test_role_s_own_privileges_let_a_dump_in_and_nothing_that_runs_later() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))["mariadb_privileges"]
    assert {"DROP", "CREATE", "ALTER", "INSERT", "LOCK TABLES"} <= set(defaults)
    assert not {"TRIGGER", "CREATE ROUTINE", "CREATE VIEW", "EVENT", "EXECUTE"} & set(defaults)
    assert privilege_problems("mariadb_privileges", defaults, needed=True) == []


@pytest.mark.parametrize(
    "privilege",
    [
        "SELECT ON *.* TO root;--",
        "select",
        "ALL",
        "ALL PRIVILEGES",
        "GRANT OPTION",
        "FILE",
        "SUPER",
        "",
        None,
        7,
        ["SELECT"],
    ],
)
def test_privilege_that_the_server_does_not_know_is_refused(privilege: Any) -> None:
    (problem,) = privilege_problems("mariadb_privileges", ["SELECT", privilege])
    assert problem.startswith("mariadb_privileges[1]: ")
    assert ": must be one of ALTER, ALTER ROUTINE, " in problem


def test_there_must_be_a_privilege_where_it_is_needed() -> None:
    assert privilege_problems("mariadb_privileges", [], needed=True) == [
        "mariadb_privileges: []: must have at least one privilege"
    ]
    assert privilege_problems("x", []) == privilege_problems("x", None) == privilege_problems("x", "SELECT") == []


def variable(name: str, value: str | None, kind: str = "BIGINT UNSIGNED") -> dict[str, Any]:
    """One variable that was set while the server runs."""
    return {"kind": "variable", "name": name, "type": kind, "value": value}


@pytest.mark.parametrize(
    ("row", "started", "change", "value"),
    [
        (variable("SYNC_BINLOG", "0"), "1", '"0" -> "1"', "1"),
        (variable("LONG_QUERY_TIME", "1.000000", "DOUBLE"), "4.500000", '"1.000000" -> "4.500000"', "4.500000"),
        (variable("GENERAL_LOG", "ON", "BOOLEAN"), "OFF", '"ON" -> "OFF"', "'OFF'"),
        (variable("SQL_MODE", "ANSI", "SET"), "", '"ANSI" -> ""', "''"),
        (variable("INIT_CONNECT", "x", "VARCHAR"), "SET @a='b'", '"x" -> "SET @a=', "'SET @a=''b'''"),
        # These are told as empty, and not taken so.
        (variable("ENFORCE_STORAGE_ENGINE", "InnoDB", "VARCHAR"), "", '"InnoDB" -> ""', "DEFAULT"),
        (variable("SYSTEM_VERSIONING_ASOF", "x", "VARCHAR"), "DEFAULT", '"x" -> "DEFAULT"', "DEFAULT"),
        (variable("INNODB_TMPDIR", "x", "VARCHAR"), None, '"x" -> null', "DEFAULT"),
        # A number that is none stays a text.
        (variable("ODD", "1"), "2; DROP", '"1" -> "2; DROP"', "'2; DROP'"),
    ],
)
def test_what_was_set_while_it_runs_goes_back_to_what_it_has_started_with(
    row: dict[str, Any], started: str | None, change: str, value: str
) -> None:
    record = {"kind": "started", "variables": {row["name"]: started, "MAX_CONNECTIONS": "37"}}
    found = differences([*CONVERGED, row, record])
    (said,) = found["changes"]
    assert said.startswith(f"setting {row['name'].lower()}: {change}")
    assert found["statements"] == [f"SET GLOBAL {row['name'].lower()} = {value};"]


@pytest.mark.parametrize(
    "row",
    [
        variable("SYNC_BINLOG", "1"),
        # Where replication is, and orders: no settings.
        variable("GTID_SLAVE_POS", "0-1-7", "VARCHAR"),
        variable("GTID_BINLOG_STATE", "0-1-7", "VARCHAR"),
        variable("INNODB_MONITOR_ENABLE", "all", "VARCHAR"),
        variable("INNODB_BUFFER_POOL_DUMP_NOW", "ON", "BOOLEAN"),
        # It came with a plugin since.
        variable("PLUGIN_SETTING", "1"),
    ],
)
def test_what_is_no_setting_or_as_it_was_is_no_difference(row: dict[str, Any]) -> None:
    started = {} if row["name"] == "PLUGIN_SETTING" else {row["name"]: "1"}
    assert differences([*CONVERGED, row, {"kind": "started", "variables": started}])["changes"] == []


def test_character_set_goes_back_before_its_collation() -> None:
    """Setting the first also sets the second."""
    rows = [
        variable("COLLATION_SERVER", "latin1_swedish_ci", "ENUM"),
        variable("CHARACTER_SET_SERVER", "latin1", "ENUM"),
    ]
    started = {"CHARACTER_SET_SERVER": "utf8mb4", "COLLATION_SERVER": COLLATION}
    assert differences([*CONVERGED, *rows, {"kind": "started", "variables": started}])["statements"] == [
        "SET GLOBAL character_set_server = 'utf8mb4';",
        f"SET GLOBAL collation_server = '{COLLATION}';",
    ]


def test_long_values_are_shown_in_part() -> None:
    started = {"kind": "started", "variables": {"OPTIMIZER_SWITCH": "a=on," * 300}}
    found = differences([*CONVERGED, variable("OPTIMIZER_SWITCH", "a=off," * 300, "FLAGSET"), started])
    assert len(found["changes"][0]) < 300
    assert "a=on," * 300 in found["statements"][0]


def test_setting_whose_beginning_is_not_known_is_named_and_left() -> None:
    """Somebody has removed the server's record: nothing says what to put back."""
    found = differences([*CONVERGED, variable("SYNC_BINLOG", "0")])
    assert found["changes"] == [
        'setting sync_binlog: "0" was set while the server runs; what it has started with is not known'
    ]
    assert found["statements"] == []


def test_statements_that_ask_fit_into_the_smallest_packet() -> None:
    """Somebody may have set max_allowed_packet to a kilobyte: the question that finds it must pass."""
    text = (ROLE / "files/state.sql").read_text(encoding="utf-8")
    statements = [one for one in re.sub(r"(?m)^--.*$", "", text).split(";") if one.strip()]
    assert len(statements) == 7
    assert max(len(one.encode()) for one in statements) < 1000


def test_a_database_that_nothing_declares_is_kept_and_named() -> None:
    """Those of the server itself are no data of anybody."""
    names = ["wordpress_former", "mysql", "sys", "information_schema", "performance_schema"]
    rows = [{"kind": "database", "name": name, "character_set": "utf8mb4", "collation": COLLATION} for name in names]
    assert differences([*CONVERGED, *rows]) == {"statements": [], "changes": [], "kept": ["wordpress_former"]}


def test_drops_quote_names() -> None:
    assert mariadb_drops(["a`; DROP TABLE b", "c"]) == (
        "DROP DATABASE IF EXISTS `a``; DROP TABLE b`;\nDROP DATABASE IF EXISTS `c`;\n"
    )
    assert mariadb_drops([]) == ""
