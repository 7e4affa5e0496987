"""The certificates, also after the drift of side_effect.yml: as the server shows them and as they lie there."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from tests.support.runs import Runs, Sequence
from tests.support.stack import Container, Stack

SERVER = "198.51.100.1:8444"
AUTHORITY = "/srv/harbour/authority"
TLS = "/srv/harbour/quayside/volumes/tls"
SITES = ["expiring", "harbour", "opened", "own", "replaced"]


def certificate(stack: Stack, source: str, *fields: str) -> str:
    """Let openssl say something about a certificate: a file, or `site` for what the server shows for a site."""
    show = (
        "cat %s" if "/" in source else f"openssl s_client -connect {SERVER} -servername %s.example.test </dev/null 2>&1"
    )
    return str(stack.host.check_output(f"{show} | openssl x509 -noout " + " ".join(fields), source))


def days_left(stack: Stack, source: str) -> float:
    """Return for how many days a certificate is valid from now on."""
    text = certificate(stack, source, "-enddate", "-dateopt", "iso_8601").removeprefix("notAfter=")
    return (dt.datetime.fromisoformat(text) - dt.datetime.now(dt.UTC)).total_seconds() / 86400


@pytest.fixture(scope="module")
def before(stack: Stack) -> dict[str, str]:
    """Return each file's digest before the drift, by its path."""
    if not stack.host.file("/root/certificates-before").exists:
        pytest.skip("only after side_effect.yml")
    lines = stack.host.check_output("cat /root/certificates-before").splitlines()
    return {path: digest for digest, path in (line.split() for line in lines)}


@pytest.fixture(scope="module")
def now(stack: Stack) -> dict[str, str]:
    """Return each file's digest now."""
    lines = stack.host.check_output(f"sha256sum {TLS}/*.pem {AUTHORITY}/ca.*").splitlines()
    return {path: digest for digest, path in (line.split() for line in lines)}


@pytest.mark.parametrize("site", SITES)
def test_server_shows_what_lies_there(stack: Stack, site: str) -> None:
    shown = certificate(stack, site, "-fingerprint", "-sha256")
    assert shown == certificate(stack, f"{TLS}/{site}.pem", "-fingerprint", "-sha256")


def test_a_key_of_ones_own_is_in_no_log(stack: Stack) -> None:
    journal = "journalctl --sync; journalctl --no-pager"
    stack.host.check_output("logger 'control of the journal'")
    text = stack.host.check_output(journal)
    assert "control of the journal" in text
    keys = re.findall(r"PRIVATE KEY-----(.*?)-----END", stack.host.file(f"{TLS}/own.pem").content_string, re.DOTALL)
    lines = "".join(keys).split()
    assert lines
    assert [line for line in lines if line in text] == []


@pytest.mark.parametrize("site", SITES)
def test_files_are_the_servers_alone(stack: Stack, site: str) -> None:
    file = stack.host.file(f"{TLS}/{site}.pem")
    assert (file.uid, file.gid, file.mode) == (612, 612, 0o400)


def test_authority_is_roots_alone(stack: Stack) -> None:
    key, public = stack.host.file(f"{AUTHORITY}/ca.key"), stack.host.file(f"{AUTHORITY}/ca.crt")
    assert (key.uid, key.gid, key.mode) == (0, 0, 0o600)
    assert (public.uid, public.gid, public.mode) == (0, 0, 0o644)


def test_operators_certificate_is_the_one_that_was_given(stack: Stack, runs: Runs) -> None:
    given = (runs.directory / "own.crt").read_text()
    served = stack.host.check_output(f"sed -n '/BEGIN CERT/,$p' {TLS}/own.pem")
    assert served.strip() == given.strip()
    trusted = "/root/own.crt"
    stack.host.check_output("echo %s > %s", given, trusted)
    url = "https://own.example.test:8444/"
    command = "curl --silent --output /dev/null --connect-to ::198.51.100.1: --cacert %s %s"
    assert stack.host.run(command, trusted, url).rc == 0


def test_validity_is_the_declared_one(stack: Stack) -> None:
    assert 1233 < days_left(stack, f"{AUTHORITY}/ca.crt") <= 1234
    for site in ("expiring", "harbour", "opened", "replaced"):
        assert 122 < days_left(stack, site) <= 123, site


def test_repair_issues_only_what_is_wrong(before: dict[str, str], now: dict[str, str]) -> None:
    """The authority and what only had another mode stay; so does the operator's own, which is the given one again."""
    changed = {Path(path).name for path in before if now.get(path) != before[path]}
    assert set(now) == set(before), "files came or went"
    assert changed == {"expiring.pem", "replaced.pem"}


def test_repair_changes_three_things(sequence: Sequence) -> None:
    """The server loads what is there now; what nobody declared is removed after that."""
    assert {change for change in sequence.repaired.changed_items if not change[0].startswith("Static | ")} == {
        ("Certificates | Issue what is missing, broken or about to expire", ""),
        ("Reload | Load what is declared", "nginx"),
        ("Remove the certificates that nothing needs any more", "stranger.pem"),
    }


# The drift suite does it to a whole stack.
@pytest.mark.thorough
@pytest.mark.destructive
def test_wrong_certificate_is_replaced_in_the_running_server(stack: Stack, runs: Runs, nginx: Container) -> None:
    """Also where the file's content becomes what it was: the server has read the wrong one meanwhile."""
    right = certificate(stack, "own", "-fingerprint")
    stack.host.check_output(
        f"python3 /root/fabricate.py {TLS}/own.pem own.example.test 300 && "
        "docker exec quayside-nginx sh -c 'kill -s HUP 1'"
    )
    stack.host.check_output("sleep 1")
    nginx.forget()
    before = nginx.identifier, nginx.main_pid
    assert certificate(stack, "own", "-fingerprint") != right
    runs.converge()
    assert certificate(stack, "own", "-fingerprint") == right
    nginx.forget()
    assert (nginx.identifier, nginx.main_pid) == before
    assert not runs.converge().changes


# One is renewed under load in test_reload.py.
@pytest.mark.thorough
@pytest.mark.destructive
def test_renewed_certificate_is_loaded(stack: Stack, runs: Runs, nginx: Container) -> None:
    """The same container and the same process show another certificate."""
    nginx.forget()
    before = nginx.identifier, nginx.main_pid
    old = certificate(stack, "harbour", "-fingerprint")
    renew = ("--extra-vars", "certificates_days=200 certificates_renew_days=150")
    predicted = runs.converge("--check", *renew).changed_items
    assert predicted == {
        ("Certificates | Issue what is missing, broken or about to expire", ""),
        ("Reload | Load what is declared", "nginx"),
    }
    assert runs.converge(*renew).changed_items == predicted
    assert certificate(stack, "harbour", "-fingerprint") != old
    assert 198 < days_left(stack, "harbour") <= 200
    nginx.forget()
    assert (nginx.identifier, nginx.main_pid) == before
    # Valid for longer than is declared: no reason to issue them again.
    assert not runs.converge().changes


@pytest.mark.destructive
def test_authority_without_its_key_is_an_error_with_advice(stack: Stack, runs: Runs) -> None:
    """A new authority would make every visitor's browser warn: only the operator decides that."""
    stack.host.check_output(f"mv {AUTHORITY}/ca.key /root/ca.key")
    try:
        result = runs.play()
    finally:
        stack.host.check_output(f"mv /root/ca.key {AUTHORITY}/ca.key")
    assert result.returncode != 0
    assert "Put the right files back" in result.stdout
    assert stack.host.run("curl --silent http://%s/", SERVER).rc == 0
