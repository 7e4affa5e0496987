"""FTP as its users and strangers try it: over the published ports, by Python's ftplib, and read on the volume."""

from __future__ import annotations

import contextlib
import ftplib
import io
import json
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.runs import Runs
from tests.support.stack import Container, Stack

if TYPE_CHECKING:
    import ssl

    from .conftest import Client, Connect

    Elsewhere = Callable[..., list[str]]
    Shell = Callable[[str], str]

FILES = "/srv/harbour/quayside/volumes/sites"
RANGE = range(30010, 30022)


def refused(action: Callable[[], Any], code: str) -> None:
    """Assert that the server answers with this code."""
    with pytest.raises(ftplib.Error, match=f"^{code}"):
        action()


def fetch(stack: Stack, address: str, path: str) -> str:
    """Fetch an address below /wp-content of the first site; return status and body."""
    resolve = f"harbour.example.test:8446:{address}"
    command = "curl --silent --max-time 10 --cacert /srv/harbour/authority/ca.crt --write-out %s --resolve %s %s"
    url = f"https://harbour.example.test:8446/wp-content/{path}"
    return str(stack.host.check_output(command, "%{http_code}", resolve, url))


# --- Files ------------------------------------------------------------------------------------------------------------


def test_file_goes_there_and_back(ftp: Client) -> None:
    content = bytes(range(256)) * 2000
    ftp.put("there.bin", content)
    assert "there.bin" in ftp.nlst()
    ftp.voidcmd("TYPE I")
    assert ftp.size("there.bin") == len(content)
    assert ftp.get("there.bin") == content
    # Continued, as a client does after a connection was lost.
    assert ftp.get("there.bin", rest=500_000) == content[500_000:]
    ftp.rename("there.bin", "and-back.bin")
    assert {"there.bin", "and-back.bin"} & set(ftp.nlst()) == {"and-back.bin"}
    facts = dict(ftp.mlsd())["and-back.bin"]
    assert facts["type"] == "file"
    assert facts["size"] == str(len(content))
    ftp.delete("and-back.bin")
    assert "and-back.bin" not in ftp.nlst()


def test_directories_and_names_of_all_kinds(ftp: Client) -> None:
    for name in ("with space", "käse 漢 🦀", "-dash", "a'b\"c", "%s {{ 7 + 7 }} $HOME", "[x]?"):
        ftp.mkd(name)
        ftp.put(f"{name}/{name}.txt", name.encode())
        assert ftp.get(f"{name}/{name}.txt") == name.encode()
        ftp.cwd(name)
        assert ftp.nlst() == [f"{name}.txt"]
        ftp.delete(f"{name}.txt")
        ftp.cwd("/")
        ftp.rmd(name)


def test_uploads_are_php_s_and_served(ftp: Client, stack: Stack, address: str, php: Shell) -> None:
    """In by FTP; PHP reads, changes and removes them, the web server serves them."""
    with contextlib.suppress(ftplib.error_perm):
        ftp.mkd("uploads")
    ftp.mkd("uploads/album")
    ftp.put("uploads/album/picture.txt", b"a harbour at dawn")
    assert php("stat -c '%u:%g %a' uploads/album uploads/album/picture.txt").split("\n")[:2] == [
        "613:613 755",
        "613:613 644",
    ]
    assert fetch(stack, address, "uploads/album/picture.txt") == "a harbour at dawn200"
    php("cd uploads/album; echo and at night > picture.txt; chmod 0600 picture.txt; chmod 0644 picture.txt")
    assert fetch(stack, address, "uploads/album/picture.txt") == "and at night\n200"
    php("rm -r uploads/album")
    assert "album" not in ftp.nlst("uploads")


def test_php_s_files_are_the_login_s(ftp: Client, php: Shell) -> None:
    """Written by PHP; FTP reads, replaces, chmods and removes them."""
    php("mkdir -p theme && echo written by PHP > theme/style.css")
    assert ftp.get("theme/style.css") == b"written by PHP\n"
    ftp.put("theme/style.css", b"replaced by FTP")
    for mode in ("4777", "04755", "2755", "1755", "777", "666", "u+s", "+w"):
        refused(lambda mode=mode: ftp.sendcmd(f"SITE CHMOD {mode} theme/style.css"), "5")  # type: ignore[misc]
    refused(lambda: ftp.sendcmd("MFF UNIX.mode=4777; theme/style.css"), "5")
    for name in ("two\tcolumns.txt", "a\x1b[31mred.txt"):
        refused(lambda name=name: ftp.mkd(name), "5")  # type: ignore[misc]
    ftp.sendcmd("SITE CHMOD 600 theme/style.css")
    assert php("cat theme/style.css; stat -c ' %a' theme/style.css") == "replaced by FTP 600"
    ftp.delete("theme/style.css")
    ftp.rmd("theme")
    assert "theme" not in php("ls").split()


def test_uploaded_php_is_not_executed(ftp: Client, stack: Stack, address: str) -> None:
    with contextlib.suppress(ftplib.error_perm):
        ftp.mkd("uploads")
    for name in ("evil.php", "evil.PHP", "evil.phtml", "evil.php.jpg"):
        ftp.put(f"uploads/{name}", b"<?php echo 6 * 7;")
    ftp.put("uploads/control.txt", b"control")
    assert fetch(stack, address, "uploads/control.txt") == "control200"
    for name in ("evil.php", "evil.PHP", "evil.phtml"):
        assert fetch(stack, address, f"uploads/{name}").endswith("404"), name
    # A picture by its ending is sent as it is.
    assert fetch(stack, address, "uploads/evil.php.jpg") == "<?php echo 6 * 7;200"


# --- Half an upload ---------------------------------------------------------------------------------------------------

CUTS = ["reset", "end of file", "both connections", "killed client", "killed session"]
KILLED_CLIENT = """
import importlib.util, os, ssl, sys, time
spec = importlib.util.spec_from_file_location("client", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.path.insert(0, sys.argv[6])
spec.loader.exec_module(module)
context = ssl.create_default_context(cadata=sys.stdin.read())
client = module.Client(context=context, timeout=20)
client.connect(sys.argv[2], int(sys.argv[3]))
client.host = "harbour.example.test"
client.login("harbour", sys.argv[4])
client.prot_p()
client.voidcmd("TYPE I")
client.transfercmd("STOR " + sys.argv[5]).sendall(b"z" * 300000)
time.sleep(0.3)
os.kill(os.getpid(), 9)
"""


def cut_off(how: str, connect: Connect, server: Container, name: str, **killed: Any) -> None:
    """Begin an upload and end it in the middle."""
    if how == "killed client":
        command = [sys.executable, "-c", KILLED_CLIENT, *killed["arguments"]]
        result = subprocess.run(command, input=killed["authority"], text=True, capture_output=True, check=False)
        assert result.returncode == -9, result.stderr
        return
    client = connect()
    client.voidcmd("TYPE I")
    data = client.transfercmd(f"STOR {name}")
    data.sendall(b"z" * 300_000)
    assert client.sock is not None
    if how == "reset":
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data.close()
    elif how == "end of file":
        # The connection ends in order, but TLS did not say so.
        socket.socket.shutdown(data, socket.SHUT_WR)
        data.close()
    elif how == "both connections":
        client.sock.close()
        data.close()
    elif how == "killed session":
        server.forget()
        sessions = [p.pid for p in server.processes if p.program.endswith("/proftpd") and p.pid != server.main_pid]
        assert sessions
        server.host.check_output("kill -KILL " + " ".join(map(str, sessions)))


@pytest.mark.parametrize("how", CUTS)
def test_half_an_upload_does_not_appear(
    how: str,
    connect: Connect,
    stack: Stack,
    server: Container,
    address: str,
    passwords: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    """Neither under a new name nor in place of what is there."""
    names = [f"{how.replace(' ', '-')}-{kind}.bin" for kind in ("new", "old")]
    before = connect()
    before.put(names[1], b"whole")
    conftest = str(request.path.with_name("conftest.py"))
    authority = stack.host.file("/srv/harbour/authority/ca.crt").content_string
    for name in names:
        arguments = [conftest, address, "2100", passwords["harbour"], name, str(request.config.rootpath)]
        cut_off(how, connect, server, name, arguments=arguments, authority=authority)
    time.sleep(0.5)
    after = connect()
    assert names[0] not in after.nlst()
    assert after.get(names[1]) == b"whole"
    # Control: the same upload, not cut off.
    after.put(names[0], b"z" * 300_000)
    after.voidcmd("TYPE I")
    assert after.size(names[0]) == 300_000
    leftovers = [
        name for name in stack.host.file(f"{FILES}/harbour/wp-content").listdir() if name.startswith(".upload.")
    ]
    assert not leftovers or how == "killed session"


def test_visitors_see_the_old_file_until_the_new_one_is_complete(ftp: Client, stack: Stack, address: str) -> None:
    ftp.put("page.html", b"old")
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("STOR page.html")
    data.sendall(b"new, half of it")
    time.sleep(0.3)
    assert fetch(stack, address, "page.html") == "old200"
    data.unwrap()  # type: ignore[attr-defined]
    data.close()
    ftp.voidresp()
    assert fetch(stack, address, "page.html") == "new, half of it200"


def test_nothing_is_appended(ftp: Client) -> None:
    ftp.put("log.txt", b"one")
    refused(lambda: ftp.storbinary("APPE log.txt", io.BytesIO(b"two")), "5")
    refused(lambda: ftp.put("log.txt", b"two", rest=3), "4|5")
    ftp.voidcmd("NOOP")
    assert ftp.get("log.txt") == b"one"


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_plain_login_is_refused(elsewhere: Elsewhere, passwords: dict[str, str]) -> None:
    answers = elsewhere(1, "harbour", passwords["harbour"], tls=False)
    assert answers[-1].startswith("error_perm: 550 SSL/TLS required")
    assert elsewhere(1, "harbour", passwords["harbour"])[-1].startswith("230")  # control


def test_plain_data_is_refused(connect: Connect) -> None:
    client = connect(protect=False)
    refused(client.nlst, "522")
    refused(lambda: client.put("plain.txt", b"in clear"), "522")
    client.prot_p()
    assert "plain.txt" not in client.nlst()
    refused(client.prot_c, "5")
    refused(lambda: client.sendcmd("CCC"), "5")


def test_data_continues_the_session(connect: Connect) -> None:
    """Nobody else can take a data connection over."""
    refused(connect(reuse=False).nlst, "425")


@pytest.mark.parametrize(("option", "works"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_versions_of_tls(stack: Stack, address: str, option: str, *, works: bool) -> None:
    command = f"openssl s_client -starttls ftp -connect %s:2100 {option} -cipher ALL:@SECLEVEL=0 </dev/null 2>&1"
    output = stack.host.run(command, address).stdout
    assert ("Verification" in output and "Cipher is (NONE)" not in output) is works, output


def test_certificate_is_the_authority_s(ftp: Client, stack: Stack, address: str) -> None:
    """For all names that it is declared for; the fixture trusts the stack's authority alone, and checks the name."""
    names = {value for kind, value in ftp.sock.getpeercert()["subjectAltName"] if kind == "DNS"}  # type: ignore[union-attr]
    assert names == {"harbour.example.test", "market.example.test"}
    command = "openssl s_client -starttls ftp -connect %s:2100 -verify_return_error </dev/null 2>&1"
    assert stack.host.run(command, address).rc != 0, "without the authority nobody trusts it"


# --- Who gets in, and where to ----------------------------------------------------------------------------------------


def test_hostile_passwords_log_in(connect: Connect, passwords: dict[str, str], elsewhere: Elsewhere) -> None:
    """Exactly they: one character more or fewer does not."""
    for number, (login, password) in enumerate(passwords.items(), 10):
        client = connect(login)
        assert client.pwd() == "/"
        client.quit()
        assert elsewhere(number, login, password)[-1].startswith("230")
        for wrong in (password[:-1], password + "x", password.swapcase()):
            assert elsewhere(number, login, wrong)[-1].startswith("error_perm: 530"), login


def test_strangers_are_refused(elsewhere: Elsewhere, server: Container) -> None:
    health = server.host.check_output("cat /srv/harbour/quayside/secrets/ftp/health")
    assert len(health) == 32
    logins = [
        ("anonymous", "me@example.org"),
        ("ftp", "ftp"),
        ("root", ""),
        ("wordpress", "wordpress"),
        ("stranger", "known to a stranger"),
        ("market", "known to a stranger"),
        # The health check's own, from outside.
        ("health-check", health),
        ("harbour", ""),
        ("", "x"),
    ]
    for number, (login, password) in enumerate(logins, 20):
        answers = elsewhere(number, login or " ", password)
        assert re.match(r"error_(perm|temp): 5", answers[-1]), (login, answers)


@pytest.mark.parametrize("login", ["harbour", "market", "quay"])
def test_login_sees_its_own_volume_only(connect: Connect, server: Container, login: str) -> None:
    client = connect(login)
    client.put(f"only-{login}.txt", login.encode())
    assert client.pwd() == "/"
    for path in ("..", "../..", "/.."):
        client.cwd(path)
        assert client.pwd() == "/"
    own = {name for name in client.nlst() if name.startswith("only-")}
    assert own == {f"only-{login}.txt"}
    for path in ("/srv", "/srv/ftp/harbour", "../harbour", "/run/secrets", "/etc", "/proc"):
        refused(lambda path=path: client.cwd(path), "550")  # type: ignore[misc]
    for path in ("/run/secrets/users", "../../../run/tls/ftp.pem", "/etc/passwd"):
        refused(lambda path=path: client.get(path), "550")  # type: ignore[misc]
    # The kernel's word: the session's root directory is the volume.
    server.forget()
    sessions = [p.pid for p in server.processes if p.program.endswith("/proftpd") and p.pid != server.main_pid]
    roots = {server.host.check_output("ls /proc/%s/root", str(pid)) for pid in sessions}
    assert any(f"only-{login}.txt" in root.split() for root in roots), roots


def test_links_lead_nowhere(connect: Connect, php: Shell, stack: Stack) -> None:
    """A plugin may have made links that lead out of the site; they end at the session's own root."""
    connect("market").put("treasure.txt", b"of the market")
    php(
        "ln -sfn ../../market/wp-content up; ln -sfn /srv/ftp/market across; ln -sf /srv/ftp/market/treasure.txt file;"
        " ln -sf ../market/treasure.txt upfile; ln -sf /srv/ftp/market/planted.php planted.php; ln -sfn / top;"
        " ln -sf /run/secrets/users users; ln -sfn /proc/1/root proc; echo own > own.txt"
    )
    client = connect()
    for path in ("up", "across", "proc"):
        refused(lambda path=path: client.cwd(path), "550")  # type: ignore[misc]
        refused(lambda path=path: client.put(f"{path}/planted.txt", b"x"), "55")  # type: ignore[misc]
        refused(lambda path=path: client.rename("own.txt", f"{path}/moved.txt"), "55")  # type: ignore[misc]
        refused(lambda path=path: client.mkd(f"{path}/made"), "55")  # type: ignore[misc]
    for path in ("file", "upfile", "users", "up/treasure.txt", "across/treasure.txt"):
        refused(lambda path=path: client.get(path), "550")  # type: ignore[misc]
        refused(lambda path=path: client.sendcmd(f"SITE CHMOD 777 {path}"), "5")  # type: ignore[misc]
        refused(lambda path=path: client.size(path), "550")  # type: ignore[misc]
    # Its own root, not the machine's.
    client.cwd("top")
    assert "own.txt" in client.nlst()
    client.cwd("/")
    # An upload over a link replaces the link.
    with contextlib.suppress(ftplib.Error):
        client.put("planted.php", b"<?php")
    market = f"{FILES}/market/wp-content"
    assert {"planted.php", "planted.txt", "moved.txt", "made"} & set(stack.host.file(market).listdir()) == set()
    assert stack.host.file(f"{market}/treasure.txt").mode == 0o644
    php("rm -f up across file upfile planted.php top users proc")


def test_server_opens_no_connection(ftp: Client, address: str) -> None:
    """Neither to a third host nor to the client itself."""
    for host in ("192.0.2.1", address, "172.17.0.1", "127.0.0.1"):
        refused(lambda host=host: ftp.sendport(host, 4444), "5")  # type: ignore[misc]
        refused(lambda host=host: ftp.sendeprt(host, 4444), "5")  # type: ignore[misc]


def test_passive_ports_are_the_declared_ones(ftp: Client, address: str) -> None:
    seen = set()
    for _ in range(8):
        host, port = ftp.makepasv()
        assert host == address
        seen.add(port)
    assert seen <= set(RANGE)
    reply = ftp.sendcmd("EPSV")
    assert int(reply.split("|")[3]) in RANGE


THIEF = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5, (sys.argv[3], 0))
connection.settimeout(4)
try:
    print("closed" if not connection.recv(100) else "answered")
except ConnectionError:
    print("closed")
except TimeoutError:
    print("open")
"""


def test_data_comes_from_the_client_s_own_address_only(ftp: Client, stack: Stack) -> None:
    """Somebody else who hits the passive port first is sent away, without even a handshake."""
    ftp.put("private.txt", b"private")
    host, port = ftp.makepasv()
    ftp.putcmd("RETR private.txt")
    thief = stack.host.check_output("python3 -c %s %s %s 198.51.100.55", THIEF, host, str(port))
    assert thief == "closed"
    with contextlib.suppress(ftplib.Error, EOFError, OSError):
        ftp.voidresp()


# --- Floods -----------------------------------------------------------------------------------------------------------


def test_flood_is_shut_out_and_nobody_else(elsewhere: Elsewhere, passwords: dict[str, str], connect: Connect) -> None:
    """Four failures: then not even the right password is asked for, at this address."""
    running = connect()
    assert elsewhere(40, "harbour", passwords["harbour"])[-1].startswith("230")
    for number in range(4):
        assert elsewhere(40, "harbour", f"guess number {number}")[-1].startswith("error_perm: 530 Login incorrect")
    answers = elsewhere(40, "harbour", passwords["harbour"])
    assert not answers[-1].startswith("230")
    assert len(answers) == 1, "the connection itself is refused"
    assert elsewhere(41, "harbour", passwords["harbour"])[-1].startswith("230")
    running.voidcmd("NOOP")
    assert connect().nlst() is not None


def connect_patiently(connect: Connect, timeout: float = 120) -> Client:
    """Log in, once there is room: a session that was broken off counts until the server has looked for such ones."""
    end = time.monotonic() + timeout
    while True:
        try:
            return connect()
        except (ftplib.Error, EOFError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(1)


def test_sessions_of_one_address_are_limited(connect: Connect, elsewhere: Elsewhere, passwords: dict[str, str]) -> None:
    sessions = [connect_patiently(connect) for _ in range(6)]
    for session in sessions:
        session.voidcmd("NOOP")
    with pytest.raises((ftplib.Error, EOFError, OSError)):
        connect()
    assert elsewhere(42, "harbour", passwords["harbour"])[-1].startswith("230")
    for session in sessions:
        session.quit()


# --- The container ----------------------------------------------------------------------------------------------------


def test_server_has_one_capability_left(server: Container) -> None:
    for process in server.processes:
        if process.program.endswith("/proftpd"):
            assert int(process.status["CapEff"], 16) == 1 << 18, "CAP_SYS_CHROOT"
            assert process.user_ids == {613}


def test_server_reads_what_is_declared(server: Container) -> None:
    """Asked of the process's own configuration, which the image holds."""
    text = server.run("cat", "/etc/proftpd/proftpd.conf").stdout
    assert "TimeoutIdle 77" in text
    assert "ServerAdmin harbour@example.test" in text
    mounts = {m["Destination"]: m["Name"] for m in server.inspect["Mounts"] if m["Type"] == "volume"}
    assert mounts["/srv/ftp/market"] == "quayside-site-market"


def test_log_says_who_did_what(ftp: Client, server: Container, elsewhere: Elsewhere) -> None:
    """And is not filled by the health check."""
    ftp.put("noted.txt", b"12345")
    elsewhere(57, "harbour", "a wrong password")
    log = server.logs()
    assert re.search(r" 172\.[0-9.]+ harbour STOR /noted.txt 226 5\n", log)
    assert " 198.51.100.57 harbour PASS - 530 " in log
    assert "a wrong password" not in log
    assert " 127.0.0.1 " not in log
    assert "Operation not permitted" not in log


def test_only_its_address_answers(stack: Stack, address: str) -> None:
    probe = "import socket; socket.create_connection(('%s', 2100), 3)"
    assert stack.host.run("python3 -c %s", probe % address).rc == 0, "control"
    assert stack.host.run("python3 -c %s", probe % "127.0.0.1").rc != 0


@pytest.mark.destructive
def test_health_is_red_when_nobody_can_log_in(server: Container, stack: Stack) -> None:
    """The logins' file is gone; the server itself runs and greets."""
    path = "/srv/harbour/quayside/secrets/ftp/users"
    server.wait_for_health("healthy")
    stack.host.check_output("mv %s %s.away", path, path)
    try:
        server.wait_for_health("unhealthy")
    finally:
        stack.host.check_output("mv %s.away %s", path, path)
    server.wait_for_health("healthy")


@pytest.mark.destructive
def test_other_certificate_is_shown_after_a_run(
    runs: Runs, stack: Stack, server: Container, connect: Connect, context: ssl.SSLContext
) -> None:
    """Lost and issued again; then one for other names."""
    assert context
    before = server.identifier
    serial = connect(log_in=False)
    serial.auth()
    old = serial.sock.getpeercert()["serialNumber"]  # type: ignore[union-attr]
    stack.host.check_output("rm /srv/harbour/quayside/volumes/tls-ftp/ftp.pem")
    runs.converge()
    server.forget()
    assert server.identifier != before
    assert connect().sock.getpeercert()["serialNumber"] != old  # type: ignore[union-attr]
    assert runs.converge().changes == []


# The scenario certificates has one of an operator's own, and the one above another one.
@pytest.mark.thorough
@pytest.mark.destructive
def test_operator_s_own_rsa_certificate_is_shown(runs: Runs, stack: Stack, address: str) -> None:
    """Another kind of key needs other directives."""
    folder = runs.directory
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=own.example.test",
         "-addext", "subjectAltName=DNS:own.example.test", "-keyout", str(folder / "own.key"),
         "-out", str(folder / "own.crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    own = {"domains": ["own.example.test"], "certificate": str(folder / "own.crt"), "key": str(folder / "own.key")}
    runs.converge("--extra-vars=" + json.dumps({"ftp_certificate": own}))
    try:
        command = "openssl s_client -starttls ftp -connect %s:2100 </dev/null 2>&1 | openssl x509 -noout -text"
        shown = stack.host.check_output(command, address)
        assert "DNS:own.example.test" in shown
        assert "rsaEncryption" in shown
        stack.container("ftp").forget()
        assert stack.container("ftp").health == "healthy"
        assert "expected" not in stack.container("ftp").logs("20")
    finally:
        runs.converge()


@pytest.mark.destructive
def test_changed_password_replaces_the_old_one(
    runs: Runs, server: Container, elsewhere: Elsewhere, passwords: dict[str, str]
) -> None:
    logins = {
        name: {"password": password, "volume": f"site-{name}", "location": f"sites/{name}/wp-content"}
        for name, password in passwords.items()
        # What -e gets is a template.
        if "{" not in password
    }
    logins["harbour"]["password"] = "another word of the harbour's"
    runs.converge("--extra-vars=" + json.dumps({"ftp_logins": logins}))
    try:
        assert elsewhere(50, "harbour", "another word of the harbour's")[-1].startswith("230")
        assert elsewhere(50, "harbour", passwords["harbour"])[-1].startswith("error_perm: 530")
        # One that is no longer declared is gone, and its files are not.
        assert elsewhere(50, "quay", passwords["quay"])[-1].startswith("error_perm: 530")
        assert server.host.file(f"{FILES}/quay/wp-content").is_directory
    finally:
        runs.converge()
    assert elsewhere(51, "quay", passwords["quay"])[-1].startswith("230")
