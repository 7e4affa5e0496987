"""Adminer as its users and strangers try it: through the web server, against the one database server."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.stack import Container, Stack
from tests.support.web import Web

if TYPE_CHECKING:
    from .conftest import Browser, Open

    Sql = Callable[[str], str]

DOMAIN, PORT, PATH = "tools.example.test", 8447, "/back/db/"
FILES = Path(__file__).parents[1] / "files"
TEMPORARY = "/tmp"  # noqa: S108 -- of the container, in memory
IN_HARBOUR = "?username=harbour&db=harbour"


# --- Two logins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, "keeper:guess", "harbour:guess", "keeper:"])
def test_web_server_asks_first(open_browser: Open, login: str | None) -> None:
    page = open_browser(login).get("")
    assert page.status == 401
    assert "Adminer" not in page.text


def test_then_adminer_asks(open_browser: Open) -> None:
    """For user, password and database; for no server, and it keeps nothing."""
    page = open_browser().get("")
    assert page.status == 200
    assert set(re.findall(r'name=["\'](auth\[[a-z]+\])', page.text)) == {"auth[username]", "auth[password]", "auth[db]"}
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "verifyVersion" not in page.text
    policies = page.headers.get_all("Content-Security-Policy") or []
    assert any("frame-src 'none'" in policy and "'nonce-" in policy for policy in policies)


def test_wrong_passwords_are_refused(open_browser: Open, passwords: dict[str, str]) -> None:
    for user, password in (
        ("harbour", "wrong"),
        ("harbour", ""),
        ("harbour", passwords["market"]),
        ("harbour", passwords["harbour"] + " "),
        ("root", ""),
        ("root", "x"),
        ("mysql", "x"),
    ):
        page = open_browser().log_in(user, password)
        assert (page.status, page.logged_in) == (403, False), user


@pytest.mark.parametrize("user", ["harbour", "market"])
def test_each_user_sees_its_own_database(open_browser: Open, passwords: dict[str, str], user: str) -> None:
    """Passwords of all kinds arrive exactly."""
    page = open_browser().log_in(user, passwords[user])
    assert page.logged_in, page.error
    other = {"harbour": "market", "market": "harbour"}[user]
    assert f"db={user}" in page.text
    assert f"db={other}" not in page.text
    assert "MariaDB" in page.text


def test_static_files_are_adminers_own(open_browser: Open) -> None:
    browser = open_browser()
    for file, kind in (("default.css", "text/css"), ("functions.js", "text/javascript"), ("logo.png", "image/png")):
        page = browser.get(f"?file={file}&version=5.2.1")
        assert page.status == 200
        assert page.headers["Content-Type"].startswith(kind)
        assert page.headers["Cache-Control"] == "private, max-age=86400, immutable"
        assert len(page.text) > 500


# --- Work -------------------------------------------------------------------------------------------------------------


def test_table_is_shown(harbour: Browser) -> None:
    """In by SQL, read in Adminer, with what would be HTML as text."""
    page = harbour.get(f"{IN_HARBOUR}&select=boats")
    assert "Marie &lt;b>" in page.text or "Marie &lt;b&gt;" in page.text
    assert "Möwe" in page.text


def test_query_is_run(harbour: Browser) -> None:
    token = harbour.get(f"{IN_HARBOUR}&sql=").token
    page = harbour.post(f"{IN_HARBOUR}&sql=", {"query": "SELECT 6 * 7 AS answer, @@hostname AS host", "token": token})
    assert "<td>42" in page.text or ">42<" in page.text
    assert ">mariadb<" in page.text


def test_row_is_changed(harbour: Browser, sql: Sql) -> None:
    """By Adminer's form, read by SQL; and back."""
    query = f"{IN_HARBOUR}&edit=boats&where%5Bid%5D=2"
    form = harbour.get(query)
    assert "Möwe" in form.text
    name = 'Möwe\'s "2nd" \\ 漢 <i>'
    harbour.post(
        query,
        {"fields[id]": "2", "fields[name]": name, "function[name]": "", "function[id]": "", "token": form.token},
    )
    assert sql("SELECT name FROM harbour.boats WHERE id = 2") == name
    sql("UPDATE harbour.boats SET name = 'Albatros' WHERE id = 2")
    assert "Albatros" in harbour.get(f"{IN_HARBOUR}&select=boats").text


def test_forms_of_strangers_are_refused(harbour: Browser, sql: Sql) -> None:
    """A form without the session's token changes nothing."""
    page = harbour.post(f"{IN_HARBOUR}&sql=", {"query": "DELETE FROM boats", "token": "1:1"})
    assert "CSRF" in page.error
    assert sql("SELECT COUNT(*) FROM harbour.boats") == "2"


def multipart(fields: dict[str, str], file: bytes) -> tuple[bytes, str]:
    """Write a form with a file."""
    mark = "limit-of-the-parts"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="sql_file[]"; filename="dump.sql"\r\n\r\n'.encode()
    return b"".join([*parts, head, file, f"\r\n--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


def test_dump_goes_out_and_in(harbour: Browser, sql: Sql) -> None:
    dump = harbour.post(
        f"{IN_HARBOUR}&dump=",
        {
            "token": harbour.get(f"{IN_HARBOUR}&dump=").token, "output": "text", "format": "sql", "db_style": "",
            "table_style": "DROP+CREATE", "data_style": "INSERT", "tables[]": "boats", "data[]": "boats",
        },
    )  # fmt: skip
    assert "INSERT INTO `boats`" in dump.text
    sql("DROP TABLE harbour.boats")
    # Two mebibytes of comment: more than is taken without a limit of its own, less than the declared one (3m).
    file = dump.text.encode() + b"-- filler\n" * 200_000
    body, kind = multipart({"token": harbour.get(f"{IN_HARBOUR}&import=").token}, file)
    page = harbour.request("POST", f"{PATH}{IN_HARBOUR}&import=", body, kind)
    assert page.status == 200
    assert page.error == ""
    assert sql("SELECT name FROM harbour.boats WHERE id = 2") == "Möwe"
    body, kind = multipart({"token": "1:1"}, b"-- filler\n" * 420_000)
    assert harbour.request("POST", f"{PATH}{IN_HARBOUR}&import=", body, kind).status == 413


# --- One server -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decoy(stack: Stack, adminer: Container) -> Iterator[Callable[[], list[str]]]:
    """Run something that listens beside Adminer, on the ports of several databases; return what has connected."""
    stack.host.check_output(
        "docker run --detach --name decoy --network %s --label pressdock.stack=none %s perl -e %s",
        f"{stack.name}-tool-adminer",
        adminer.inspect["Config"]["Image"],
        (FILES / "decoy").read_text(),
    )
    try:
        yield lambda: list(stack.host.check_output("docker logs decoy").splitlines())
    finally:
        stack.host.run("docker rm --force decoy")


def is_ours(page: str) -> bool:
    """Whether a page is of the stack's own server."""
    return "MariaDB" in page and "db=harbour" in page


def test_no_request_leads_to_another_server(
    decoy: Callable[[], list[str]], open_browser: Open, passwords: dict[str, str], adminer: Container
) -> None:
    """By address, by form, by cookie, with every driver that Adminer knows."""
    probe = '$s = @fsockopen("decoy", 3306, $n, $m, 5); exit($s ? 0 : 1);'
    assert adminer.run("php", "-r", probe).rc == 0, "control: it could be reached"
    assert len(decoy()) == 1, "control: and it would tell"
    user, password = "harbour", passwords["harbour"]
    drivers = ("server", "sqlite", "sqlite2", "pgsql", "oracle", "mssql", "mongo", "elastic", "clickhouse", "firebird")
    servers = ("decoy", "decoy:3307", "p:decoy", ":/tmp/x.sock", "")
    for driver in drivers:
        for server in servers if driver == "server" else ("decoy",):
            page = open_browser().log_in(user, password, driver=driver, server=server, permanent="1")
            assert page.logged_in, (driver, server)
            assert is_ours(page.text)
            browser = open_browser()
            browser.log_in(user, password)
            for query in (f"?{driver}={server}&username=harbour", f"?username=harbour&{driver}={server}&ext=pdo"):
                page = browser.get(query)
                assert page.logged_in, query
                assert is_ours(page.text)
    assert len(decoy()) == 1


def test_login_is_not_kept(decoy: Callable[[], list[str]], open_browser: Open, passwords: dict[str, str]) -> None:
    """A cookie with another server in it, which Adminer would take for a permanent login."""
    before = len(decoy())
    browser = open_browser()
    browser.log_in("harbour", passwords["harbour"], permanent="1")
    assert not browser.cookies.get("adminer_permanent")
    words = (base64.b64encode(text.encode()).decode() for text in ("server", "decoy", "harbour", ""))
    for cookie in ("-".join(words) + ":", "LQ==-LQ==:x", "x"):
        other = open_browser()
        other.cookies["adminer_permanent"] = urllib.parse.quote(cookie)
        page = other.get("?server=decoy&username=harbour")
        assert not page.logged_in
        assert page.status < 500
    assert len(decoy()) == before


def test_nonsense_is_no_error_of_the_server(open_browser: Open) -> None:
    browser = open_browser()
    for query in ("?username[]=x", "?db[]=x&username=y", "?server[]=decoy&username=x", "?script=version", "?file=../x"):
        assert browser.get(query).status < 500, query
    fields = [("auth[username][]", "x"), ("auth[password][a]", "y"), ("auth[driver][]", "z")]
    assert browser.post("", fields).status < 500
    assert browser.post("", {"auth": "x"}).status < 500


def test_no_file_of_the_container_is_imported(harbour: Browser) -> None:
    page = harbour.get(f"{IN_HARBOUR}&import=")
    assert "webfile" not in page.text
    assert "sql_file" in page.text
    page = harbour.post(f"{IN_HARBOUR}&import=", {"webfile": "1", "token": page.token})
    assert "adminer.sql" not in page.text


def test_server_reads_no_file_of_the_client(harbour: Browser, sql: Sql) -> None:
    query = "LOAD DATA LOCAL INFILE '/usr/share/adminer/copyright' INTO TABLE boats (name)"
    page = harbour.post(f"{IN_HARBOUR}&sql=", {"query": query, "token": harbour.get(f"{IN_HARBOUR}&sql=").token})
    assert "error" in page.text
    assert sql("SELECT COUNT(*) FROM harbour.boats") == "2"


# --- The container ----------------------------------------------------------------------------------------------------


def test_php_is_confined(adminer: Container) -> None:
    """What an intruder's script could do: asked of the pool itself, by a script that somebody got into /tmp."""
    script = f"{TEMPORARY}/intruder.php"
    code = (FILES / "intruder.php").read_text()
    assert adminer.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", code, script).rc == 0
    try:
        told = json.loads(adminer.run("probe", "fastcgi", "adminer.tool-adminer:9000", script).stdout)
    finally:
        adminer.run("rm", script)
    assert told == {
        "functions": [],
        "passwd": False,
        "web": False,
        "own": True,
        "memory": str(70 * 1024**2),
        "upload": str(3 * 1024**2),
        "drivers": ["mysqli"],
    }


def test_it_reaches_the_database_and_nothing_else(adminer: Container, address: str) -> None:
    probe = "exit(@fsockopen($argv[1], (int) $argv[2], $n, $m, 3) ? 0 : 1);"
    assert adminer.run("php", "-r", probe, "mariadb", "3306").rc == 0, "control"
    for host, port in (("mariadb", "22"), (address, "22"), (address, str(PORT)), ("198.51.100.1", str(PORT))):
        assert adminer.run("php", "-r", probe, host, port).rc == 1, (host, port)


def test_only_adminer_s_page_is_served(open_browser: Open) -> None:
    """Whatever stands behind the path; the health check's script is not for visitors."""
    browser = open_browser()
    for path in ("/usr/local/lib/adminer/health.php", "adminer.php", "conf.php"):
        page = browser.request("GET", PATH + path.lstrip("/"))
        assert page.status == 200
        assert "auth[password]" in page.text
    assert browser.request("GET", "/elsewhere").status == 404
    assert browser.request("GET", "/", follow=False).headers["Location"] == PATH


# --- Guesses and faults -----------------------------------------------------------------------------------------------


def test_guesses_of_database_passwords_are_limited_for_each_client(
    stack: Stack, address: str, open_browser: Open, passwords: dict[str, str]
) -> None:
    """By Adminer's own lock, behind the web server: thirty of one address; another one is not concerned."""
    web = Web(stack.host, address, PORT, DOMAIN, "/srv/harbour/authority/ca.crt", "198.51.100.30")
    login = ("--user", f"keeper:{open_browser().login.partition(':')[2]}")  # type: ignore[union-attr]
    jar = ("--cookie", "/root/jar", "--cookie-jar", "/root/jar", "--location")
    guess = ("--data-urlencode", "auth[username]=harbour", "--data-urlencode", "auth[password]=a guess")
    url = f"https://{DOMAIN}:{PORT}{PATH}"
    # The same form again and again, each time followed to the answer; the first one only opens a session.
    urls = [word for _ in range(32) for word in ("--output", "/root/page", url)]
    assert web.curl(urls.pop(), *urls, *login, *jar, *guess, "--max-time", "300").rc == 0
    assert "Too many unsuccessful logins" in stack.host.file("/root/page").content_string
    right = ("--data-urlencode", "auth[username]=harbour", "--data-urlencode", f"auth[password]={passwords['harbour']}")
    assert web.curl(url, *login, *jar, *right, "--output", "/root/page").rc == 0
    assert "Too many unsuccessful logins" in stack.host.file("/root/page").content_string
    assert open_browser().log_in("harbour", passwords["harbour"]).logged_in


def wait_for_health(container: Container, wanted: str, seconds: float = 120) -> None:
    """Wait until the engine says so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        container.forget()
        if container.health == wanted:
            return
        time.sleep(0.5)
    raise AssertionError(f"{container.name} is {container.health}, not {wanted}")


@pytest.mark.destructive
def test_health_is_red_when_guesses_cannot_be_counted(adminer: Container) -> None:
    wait_for_health(adminer, "healthy")
    assert adminer.run("chmod", "0500", TEMPORARY).rc == 0
    try:
        wait_for_health(adminer, "unhealthy")
    finally:
        adminer.run("chmod", "1777", TEMPORARY)
    wait_for_health(adminer, "healthy")


@pytest.mark.destructive
def test_health_does_not_depend_on_the_database(adminer: Container, stack: Stack, open_browser: Open) -> None:
    """The database has a health of its own; Adminer says that it does not answer."""
    server = stack.container("mariadb")
    stack.host.check_output("docker stop %s", server.name)
    try:
        page = open_browser().log_in("harbour", "whatever")
        assert page.status == 403
        assert not page.logged_in
        assert adminer.run("probe", "fastcgi", "adminer.tool-adminer:9000", "/usr/local/lib/adminer/health.php").rc == 0
    finally:
        stack.host.check_output("docker start %s", server.name)
    wait_for_health(server, "healthy")
