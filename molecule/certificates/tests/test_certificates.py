"""The certificates of two services, after the drift of side_effect.yml: shown in handshakes, and as they lie there."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import Runs, Sequence, words
from tests.support.stack import Stack

AUTHORITY = "/srv/harbour/authority"
VOLUMES = "/srv/harbour/quayside/volumes"
OWNERS = {"quay": 640, "pier": 641}
NAMES: dict[tuple[str, str], list[str]] = {
    ("quay", "harbour"): ["harbour.example.test", "www.harbour.example.test", "192.0.2.7"],
    **{
        ("quay", name): [f"{name}.example.test"]
        for name in ("missing", "broken", "swapped", "expiring", "foreign", "renamed", "opened", "own")
    },
    ("pier", "harbour"): ["pier.example.test"],
}
ISSUE = ("Certificates | Issue what is missing, broken or about to expire", "")
each = pytest.mark.parametrize(("store", "name"), NAMES, ids=["/".join(key) for key in NAMES])

# A server that runs as the service does, and a client that trusts the authority alone. Prints what the client says.
HANDSHAKE = """
setpriv --reuid {owner} --regid {owner} --clear-groups \
    openssl s_server -accept 127.0.0.1:7443 -cert {file} -quiet < /dev/null > /dev/null 2>&1 &
for i in $(seq 50); do
    openssl s_client -connect 127.0.0.1:7443 {options} -verify_return_error -brief \
        < /dev/null > /root/said 2>&1 && break
    grep --quiet -i 'verif' /root/said && break
    sleep 0.1
done
kill $!
cat /root/said
"""


def place(store: str, name: str) -> str:
    """Return the file of a certificate."""
    return f"{VOLUMES}/tls-{store}/{name}.pem"


def handshake(stack: Stack, store: str, name: str, host: str, *, trusted: bool = True) -> str:
    """Let the service's user serve a certificate; return what a client says that asks for a host name or an address."""
    check = "-verify_ip" if host[0].isdigit() else "-verify_hostname"
    options = f"{check} {host}" + (f" -CAfile {AUTHORITY}/ca.crt" if trusted else "")
    return str(stack.host.check_output(HANDSHAKE.format(owner=OWNERS[store], file=place(store, name), options=options)))


def days(stack: Stack, path: str) -> tuple[float, float]:
    """Return for how many days a certificate has been valid, and for how many more it will be."""
    text = stack.host.check_output(f"openssl x509 -noout -dates -dateopt iso_8601 -in {path}")
    start, end = (dt.datetime.fromisoformat(line.split("=")[1]) for line in text.splitlines())
    now = dt.datetime.now(dt.UTC)
    return (now - start).total_seconds() / 86400, (end - now).total_seconds() / 86400


def digests(text: str) -> dict[str, str]:
    """Read the output of sha256sum: the last parts of a path to the digest."""
    return {"/".join(Path(path).parts[-2:]): digest for digest, path in (line.split() for line in text.splitlines())}


@pytest.fixture(scope="module")
def before(stack: Stack) -> dict[str, str]:
    """Return each file's digest before the drift."""
    if not stack.host.file("/root/before").exists:
        pytest.skip("only after side_effect.yml")
    return digests(stack.host.check_output("cat /root/before"))


@pytest.fixture(scope="module")
def now(stack: Stack) -> dict[str, str]:
    """Return each file's digest now."""
    return digests(stack.host.check_output(f"sha256sum {VOLUMES}/*/*.pem {AUTHORITY}/ca.*"))


@pytest.fixture(scope="module")
def told(runs: Runs) -> dict[str, Any]:
    """Return what the services are told of their certificates."""
    return dict(json.loads((runs.directory / "stores.json").read_text()))


@each
def test_service_shows_a_certificate_that_the_authority_vouches_for(stack: Stack, store: str, name: str) -> None:
    if name == "own":
        assert "Verification: OK" not in handshake(stack, store, name, "own.example.test"), "it is the operator's"
        return
    for host in NAMES[store, name]:
        assert "Verification: OK" in handshake(stack, store, name, host), host


def test_certificate_is_good_for_nothing_else(stack: Stack) -> None:
    """Neither for a name of the other service, nor for a client that does not know the authority."""
    assert "hostname mismatch" in handshake(stack, "quay", "harbour", "pier.example.test")
    assert "unable to get local issuer certificate" in handshake(
        stack, "quay", "harbour", "harbour.example.test", trusted=False
    )


@each
def test_file_is_the_service_s_alone(stack: Stack, store: str, name: str) -> None:
    file = stack.host.file(place(store, name))
    assert (file.uid, file.gid, file.mode) == (OWNERS[store], OWNERS[store], 0o400)


def test_authority_is_root_s_alone_and_signs_no_other(stack: Stack) -> None:
    key, public = stack.host.file(f"{AUTHORITY}/ca.key"), stack.host.file(f"{AUTHORITY}/ca.crt")
    assert (key.uid, key.gid, key.mode) == (0, 0, 0o600)
    assert (public.uid, public.gid, public.mode) == (0, 0, 0o644)
    text = stack.host.check_output(f"openssl x509 -noout -text -in {AUTHORITY}/ca.crt")
    assert "CA:TRUE, pathlen:0" in text
    assert "O=quayside" in text.replace(" = ", "=")


@each
def test_validity_is_the_declared_one(stack: Stack, store: str, name: str) -> None:
    """Beginning a little before now, for clients whose clock is behind."""
    since, left = days(stack, place(store, name))
    assert (299 if name == "own" else 110) < left <= (300 if name == "own" else 111)
    assert since > 1 / 25
    assert 1110 < days(stack, f"{AUTHORITY}/ca.crt")[1] <= 1111


def test_operator_s_own_is_the_given_one(stack: Stack, runs: Runs) -> None:
    given = (runs.directory / "own.pem").read_text()
    assert given.count("-----BEGIN") == 2
    assert stack.host.file(place("quay", "own")).content_string.split() == given.split()


def test_services_are_told_what_lies_there(stack: Stack, told: dict[str, Any]) -> None:
    """One knows of its own, whatever the role did for the other one before."""
    known = {(store, name) for store, said in told.items() for name in said["certificates"]}
    assert known == set(NAMES)
    for (store, name), names in NAMES.items():
        said = told[store]["certificates"][name]
        shown = stack.host.check_output(f"openssl x509 -noout -fingerprint -sha256 -in {place(store, name)}")
        assert said["fingerprint"].lower() == shown.split("=")[1].replace(":", "").lower()
        assert said["domains"] == names
        assert said["source"] == ("operator" if name == "own" else "authority")


def test_first_run_installs_what_it_needs(sequence: Sequence) -> None:
    """The library for the module, which is missing on a bare machine; and only once."""
    assert ("Install what is missing", "") in sequence.first.changed_items
    assert sequence.repaired.changed_items == {ISSUE, ("Note what both services are told", "")}


def test_repair_issues_only_what_is_wrong(before: dict[str, str], now: dict[str, str]) -> None:
    """What only had another mode or owner stays, as does the authority; so does the operator's, which is back."""
    changed = {path for path in before if now.get(path) != before[path]}
    wrong = ("missing", "broken", "swapped", "expiring", "foreign", "renamed")
    assert changed == {f"tls-quay/{name}.pem" for name in wrong}
    assert set(now) - set(before) == {"tls-pier/stranger.pem"}


def test_undeclared_files_go_or_are_named(stack: Stack, told: dict[str, Any]) -> None:
    assert not stack.host.file(place("quay", "stranger")).exists
    assert stack.host.file(place("pier", "stranger")).exists
    assert {store: said["undeclared"] for store, said in told.items()} == {"quay": [], "pier": ["stranger.pem"]}


def test_no_key_is_printed(stack: Stack, runs: Runs) -> None:
    """Every run printed its diffs."""
    paths = [*(place(*key) for key in NAMES), f"{AUTHORITY}/ca.key"]
    blocks = re.findall(
        r"BEGIN PRIVATE KEY-----(.*?)-----END", stack.host.check_output("cat " + " ".join(paths)), re.DOTALL
    )
    assert len(blocks) == len(paths)
    output = runs.output()
    assert "harbour.example.test" in output, "control"
    assert [line for line in "".join(blocks).split() if line in output] == []


@pytest.mark.destructive
def test_role_alone_is_refused(runs: Runs) -> None:
    refused = runs.play("direct_use.yml")
    assert refused.returncode != 0
    assert "The certificates role is internal. Service roles include it with certificates_stores." in words(refused)
