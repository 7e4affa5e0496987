"""Who gets in, over TCP from another container as WordPress does, and what they may do there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.contract.test_secrets import leaks

if TYPE_CHECKING:
    from tests.support.runs import Runs

    from .conftest import Client, Server

HOSTILE = ["wordpress_blog", "wordpressXblog", "dropped"]
# Wrong password, or an account whose authentication knows no password.
REFUSED = re.compile("ERROR (1045|1698)")
NO_ACCESS = ("ERROR 1044", "ERROR 1142")


def test_declared_passwords_are_hostile(passwords: dict[str, str]) -> None:
    """Control: the variables' file was read as Ansible reads it."""
    hostile = "".join(passwords[name] for name in HOSTILE)
    for part in ["'", '"', "\\", "{{ 7 * 7 }}", "{% raw %}", "$HOME", "`", "%s", "<?php", "漢", "#", "--"]:
        assert part in hostile
    assert passwords["wordpressXblog"] != passwords["wordpressXblog"].strip()


@pytest.mark.parametrize("user", HOSTILE)
def test_password_opens_exactly_its_account(client: Client, passwords: dict[str, str], user: str) -> None:
    answer = client.run(user, passwords[user], "SELECT CURRENT_USER(), DATABASE()", f"--database={user}")
    assert answer.stdout == f"{user}@%\t{user}\n", answer.stderr
    for wrong in [passwords[user] + " ", passwords[user].strip() + "x", "", None]:
        assert REFUSED.search(client.run(user, wrong, "SELECT 1").stderr)


def test_either_password_opens_an_account_while_one_is_rotated(client: Client, passwords: dict[str, str]) -> None:
    """And none that side_effect.yml has put in their place."""
    for password in (passwords["rotated"], "the tenth harbour's next word"):
        answer = client.run("rotated", password, "SELECT CURRENT_USER()")
        assert answer.stdout == "rotated@%\n", answer.stderr
    for wrong in ("come in", "come in too", "the tenth harbour's", ""):
        assert REFUSED.search(client.run("rotated", wrong, "SELECT 1").stderr), wrong


@pytest.mark.destructive
@pytest.mark.parametrize(
    "foreign",
    ["{} OR {} OR {}", *(pytest.param(text, marks=pytest.mark.thorough) for text in ("{0} OR {2}", "{2}"))],
)
def test_foreign_password_goes_while_one_is_rotated(
    client: Client, server: Server, runs: Runs, passwords: dict[str, str], foreign: str
) -> None:
    """Beside the two, in the place of one, and in that of both."""
    own = (passwords["rotated"], "the tenth harbour's next word", "come in")
    ways = ["mysql_native_password USING PASSWORD('{}')".format(one.replace("'", "''")) for one in own]
    server.query(f"ALTER USER rotated@'%' IDENTIFIED VIA {foreign.format(*ways)}")
    assert client.run("rotated", "come in", "SELECT 1").stdout == "1\n", "control"
    predicted = runs.converge("--check").changed_items
    assert predicted == {("Accounts | Name what differed", "")}
    assert runs.converge().changed_items == predicted
    assert REFUSED.search(client.run("rotated", "come in", "SELECT 1").stderr)
    for password in own[:2]:
        assert client.run("rotated", password, "SELECT 1").stdout == "1\n"
    assert runs.converge().changes == []


def test_every_declared_account_can_work_in_its_database(client: Client, passwords: dict[str, str]) -> None:
    work = (
        "CREATE TABLE crate (line TEXT); INSERT INTO crate VALUES ('übersee 🐘'); ALTER TABLE crate ADD n INT;"
        "LOCK TABLES crate WRITE; UPDATE crate SET n = 7; UNLOCK TABLES; SELECT line, n FROM crate; DROP TABLE crate"
    )
    for user, password in passwords.items():
        answer = client.run(user, password, work, "--default-character-set=utf8mb4", f"--database={user}")
        assert answer.stdout == "übersee 🐘\t7\n", (user, answer.stderr)


DUMP = """
-- MariaDB dump 10.19, as mysqldump writes it
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET NAMES utf8mb4 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
DROP TABLE IF EXISTS `cargo`;
CREATE TABLE `cargo` (`id` int NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
LOCK TABLES `cargo` WRITE;
/*!40000 ALTER TABLE `cargo` DISABLE KEYS */;
INSERT INTO `cargo` VALUES (1),(2);
/*!40000 ALTER TABLE `cargo` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `crew`;
CREATE TABLE `crew` (`of` int, CONSTRAINT `c` FOREIGN KEY (`of`) REFERENCES `cargo` (`id`)) ENGINE=InnoDB;
LOCK TABLES `crew` WRITE;
INSERT INTO `crew` VALUES (2);
UNLOCK TABLES;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
"""


def test_dump_can_be_imported_twice(client: Client, passwords: dict[str, str]) -> None:
    """By the user that has what every one has; the second time over what is there."""
    for _ in range(2):
        answer = client.run("wordpress_blog", passwords["wordpress_blog"], DUMP, "--database=wordpress_blog")
        assert answer.rc == 0, answer.stderr
    counted = "SELECT (SELECT COUNT(*) FROM cargo), (SELECT COUNT(*) FROM crew); DROP TABLE crew, cargo"
    answer = client.run("wordpress_blog", passwords["wordpress_blog"], counted, "--database=wordpress_blog")
    assert answer.stdout == "2\t1\n", answer.stderr


def test_further_privileges_have_their_effect(client: Client, passwords: dict[str, str]) -> None:
    """Also with a binary log, which lets only somebody with all rights make triggers and functions otherwise."""
    work = (
        "CREATE TABLE seen (n INT); CREATE TEMPORARY TABLE passing (n INT); INSERT INTO passing VALUES (3);"
        "CREATE FUNCTION twice(n INT) RETURNS INT RETURN 2 * n;"
        "CREATE TRIGGER doubled BEFORE INSERT ON seen FOR EACH ROW SET NEW.n = twice(NEW.n);"
        "CREATE VIEW view_of AS SELECT n FROM seen; CREATE PROCEDURE look() SELECT n FROM view_of;"
        "INSERT INTO seen SELECT n FROM passing; CALL look();"
        "DROP PROCEDURE look; DROP VIEW view_of; DROP TABLE seen; DROP FUNCTION twice"
    )
    answer = client.run("wordpressXblog", passwords["wordpressXblog"], work, "--database=wordpressXblog")
    assert (answer.rc, answer.stdout) == (0, "6\n"), answer.stderr


@pytest.mark.parametrize(
    ("user", "database"),
    # The second pair is what an underscore does that was not escaped in GRANT.
    [("wordpressXblog", "wordpress_blog"), ("wordpress_blog", "wordpressXblog"), ("global", "mysql")],
)
def test_user_cannot_see_other_databases(
    client: Client, server: Server, passwords: dict[str, str], user: str, database: str
) -> None:
    server.query(f"CREATE TABLE IF NOT EXISTS {database}.visible (n INT)")
    try:
        listed = client.run(user, passwords[user], "SHOW DATABASES").stdout.split()
        assert sorted(listed) == sorted(["information_schema", user])
        for statement in ["SELECT * FROM {}.visible", "DROP TABLE {}.visible", "USE {}"]:
            answer = client.run(user, passwords[user], statement.format(database))
            assert answer.rc != 0
            assert any(code in answer.stderr for code in NO_ACCESS), answer.stderr
    finally:
        server.query(f"DROP TABLE {database}.visible")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE DATABASE more",
        "CREATE USER friend",
        "GRANT SELECT ON wordpress_blog.* TO global",
        "SELECT * FROM mysql.global_priv",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE crate",
        "SELECT 1 INTO OUTFILE '/run/mysqld/out'",
        "CREATE TRIGGER t BEFORE INSERT ON crate FOR EACH ROW SET @a = 1",
        "CREATE PROCEDURE p() SELECT 1",
        "CREATE TEMPORARY TABLE t (n INT)",
        "CREATE VIEW v AS SELECT 1",
        "SET GLOBAL max_connections = 1",
        "SHUTDOWN",
    ],
)
def test_user_may_not(client: Client, passwords: dict[str, str], statement: str) -> None:
    answer = client.run("wordpress_blog", passwords["wordpress_blog"], statement, "--database=wordpress_blog")
    assert answer.rc != 0, statement
    # Denied for lack of a privilege, not for a mistake in the statement.
    assert re.search("ERROR (1044|1045|1142|1227|1370|1419)", answer.stderr), answer.stderr


@pytest.mark.parametrize("user", ["root", "mysql", "mariadb.sys", "anybody", ""])
@pytest.mark.parametrize("password", [None, "", "invalid", "come in", "root"])
def test_nobody_else_gets_in_by_tcp(client: Client, user: str, password: str | None) -> None:
    answer = client.run(user, password, "SELECT CURRENT_USER()")
    assert answer.rc != 0
    assert answer.stdout == ""


@pytest.mark.parametrize("peer", ["127.0.0.1", "localhost"])
def test_root_needs_the_socket_inside_the_container_too(server: Server, peer: str) -> None:
    for user in ("root", "mysql"):
        answer = server.container.run("mariadb", "-h", peer, "--protocol=tcp", "-u", user, "-e", "SELECT 1")
        assert REFUSED.search(answer.stderr)
    assert server.value("CURRENT_USER()") == "mysql@localhost"


def test_accounts_are_exactly_the_declared_ones(server: Server, passwords: dict[str, str]) -> None:
    rows = {account: json.loads(auth) for account, auth in server.query(
        "SELECT CONCAT(User, '@', Host), JSON_COMPACT(Priv) FROM mysql.global_priv"
    )}  # fmt: skip
    system = {"mariadb.sys@localhost", "mysql@localhost", "root@localhost"}
    # The foreign one is made by side_effect.yml, and declared to be left alone.
    assert set(rows) - {"reporting@192.0.2.%"} == {f"{name}@%" for name in passwords} | system
    for account, authentication in rows.items():
        methods = [authentication, *(entry for entry in authentication.get("auth_or", []))]
        assert not [m for m in methods if m.get("authentication_string") == "" and "plugin" not in m], account


def test_no_password_is_in_the_output_or_on_the_engine(
    runs: Runs, passwords: dict[str, str], places: dict[str, str]
) -> None:
    assert leaks(f"control {passwords['dropped']}", passwords) == ["dropped"]
    assert "USER 'dropped'" in places["data"]
    for place, text in places.items():
        assert leaks(text, passwords) == [], place
    output = runs.output()
    escaped = {name: json.dumps(password, ensure_ascii=False)[1:-1] for name, password in passwords.items()}
    assert "PLAY [Converge]" in output
    assert leaks(output, passwords | {f"{name} escaped": value for name, value in escaped.items()}) == []


@pytest.fixture
def places(server: Server) -> dict[str, str]:
    """Return the texts in which a password of an account could have been left."""
    # For the control: the logs in which it was made may be gone by now.
    server.query("ALTER USER 'dropped'@'%' ACCOUNT UNLOCK")
    return {
        "inspect": server.host.check_output("docker inspect %s", server.container.name),
        "history": server.host.check_output("docker history --no-trunc %s", server.container.inspect["Image"]),
        "logs": server.container.logs(),
        # Statements are written to the binary log as they were sent.
        "data": server.host.check_output(
            "cat /srv/harbour/quayside/volumes/database/data/binlog.0* | LC_ALL=C tr -c '[:print:]' ' '"
        ),
        "journal": server.host.run("journalctl --no-pager").stdout,
    }
