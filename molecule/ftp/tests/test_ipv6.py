"""IPv6 as clients use it that have nothing else: the web server and FTP, and for whom both take them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.runs import Runs
from tests.support.stack import Container, Stack

if TYPE_CHECKING:
    Elsewhere = Callable[..., list[str]]

SERVER, OTHER = "2001:db8:77::1", "2001:db8:77::2"
CLIENT, NEIGHBOUR, STRANGER, GUESSER = (f"2001:db8:77:{host}" for host in ("1::1", "1::2", "2::1", "2::2"))
"""Two of a network, and two of another one."""
NETWORK = "quayside-edge"
FILES = "/srv/harbour/quayside/volumes/sites/harbour/wp-content"


@pytest.fixture(scope="session")
def nginx(stack: Stack) -> Container:
    """Return the web server's container."""
    return stack.container("nginx")


def visit(stack: Stack, source: str, path: str, *arguments: str, server: str = f"[{SERVER}]") -> list[str]:
    """Ask the web server for a path of the first site; return the statuses. Further arguments are curl's."""
    words = [
        *("--silent", "--max-time", "20", "--cacert", "/srv/harbour/authority/ca.crt", "--interface", source),
        *("--output", "/dev/null", "--write-out", "%{http_code} ", "--connect-to", f"::{server}:", *arguments),
        f"https://harbour.example.test:8446{path}",
    ]
    place = "ip netns exec visitors " if ":" in source else ""
    return str(stack.host.run(f"{place}curl " + " ".join(["%s"] * len(words)), *words).stdout).split()


def known_as(stack: Stack, nginx: Container, source: str, **arguments: str) -> str:
    """Return the address by which the web server knows a visitor, as its log has it."""
    path = f"/wp-content/{time.monotonic_ns()}.txt"
    stack.host.check_output("echo x > %s%s", FILES, path.removeprefix("/wp-content"))
    assert visit(stack, source, path, **arguments) == ["200"]
    (line,) = [json.loads(line) for line in nginx.logs("20").splitlines() if path in line]
    return str(line["client"])


def network(stack: Stack) -> dict[str, Any]:
    """Return what the engine says of the network that leads to the published ports."""
    inspected: dict[str, Any] = json.loads(stack.host.check_output("docker network inspect %s", NETWORK))[0]
    return inspected


def test_network_has_both(stack: Stack) -> None:
    """Of IPv6 what is declared; of IPv4 what the engine chose."""
    seen = network(stack)
    assert seen["EnableIPv6"] is True
    ranges = [entry["Subnet"] for entry in seen["IPAM"]["Config"]]
    assert [text for text in ranges if text.startswith("fd77:7:77:") and text.endswith("::/64")]
    assert [text for text in ranges if text.startswith("172.")]
    assert len(ranges) == 2


def test_web_server_knows_its_visitors(stack: Stack, nginx: Container, address: str) -> None:
    """By their own addresses, whichever version of IP they come by; the network's gateway is none of them."""
    assert known_as(stack, nginx, CLIENT) == CLIENT
    assert known_as(stack, nginx, "198.51.100.77", server=address) == "198.51.100.77"


def test_logins_are_limited_for_each_network(stack: Stack, nginx: Container, address: str) -> None:
    """Whoever has an address of IPv6 has all of its network; nobody else pays for what he does."""
    url = "https://harbour.example.test:8446/wp-login.php"
    more = [word for _ in range(4) for word in ("--output", "/dev/null", url)]
    answers = visit(stack, CLIENT, "/wp-login.php", "--data", "log=x", *more)
    # Nobody answers in place of PHP.
    assert answers == ["502", "502", "502", "429", "429"], nginx.logs("10")
    assert visit(stack, NEIGHBOUR, "/wp-login.php", "--data", "log=x") == ["429"]
    assert visit(stack, STRANGER, "/wp-login.php", "--data", "log=x") == ["502"]
    assert visit(stack, "198.51.100.78", "/wp-login.php", "--data", "log=x", server=address) == ["502"]


def test_files_are_uploaded_and_listed(elsewhere: Elsewhere, passwords: dict[str, str], server: Container) -> None:
    """By EPSV, with TLS; the log knows who it was."""
    answers = elsewhere(CLIENT, "harbour", passwords["harbour"], files={"six.txt": "over IPv6"})
    assert answers[-2].startswith("226"), answers
    assert "six.txt" in answers[-1].split()
    assert server.host.check_output("cat %s/six.txt", FILES) == "over IPv6"
    assert re.search(rf" {CLIENT} harbour STOR /six.txt 226 9\n", server.logs())
    # A port of the declared ones, and no address: it is the one that the client knows.
    reply = elsewhere(CLIENT, "harbour", passwords["harbour"], ("EPSV",))[-1]
    port = re.fullmatch(r"229 .*\(\|\|\|(\d+)\|\)", reply)
    assert port, reply
    assert 30010 <= int(port[1]) <= 30021


def test_guesses_shut_out_their_address_alone(
    elsewhere: Elsewhere, passwords: dict[str, str], server: Container
) -> None:
    """Not its neighbour's, nor anybody's who comes over IPv4."""
    assert elsewhere(GUESSER, "harbour", passwords["harbour"])[-1].startswith("230")
    for number in range(4):
        assert elsewhere(GUESSER, "harbour", f"guess number {number}")[-1].startswith("error_perm: 530 Login incorrect")
    answers = elsewhere(GUESSER, "harbour", passwords["harbour"])
    assert not answers[-1].startswith("230")
    assert len(answers) == 1, "the connection itself is refused"
    for other in (STRANGER, CLIENT, 43):
        assert elsewhere(other, "harbour", passwords["harbour"])[-1].startswith("230"), other
    assert f" {GUESSER} harbour PASS - 530 " in server.logs()


def test_only_the_declared_address_answers(stack: Stack) -> None:
    probe = "import socket; socket.create_connection(('%s', %d), 3)"
    for port in (2100, 8446):
        for address, answers in ((SERVER, True), (OTHER, False)):
            result = stack.host.run("ip netns exec visitors python3 -c %s", probe % (address, port))
            assert (result.rc == 0) is answers, (address, port, result.stderr)


@pytest.mark.destructive
def test_ipv6_that_was_switched_off_comes_back(runs: Runs, stack: Stack, nginx: Container) -> None:
    """The network was made anew by hand, without it: predicted, and repaired in one run."""
    stack.host.check_output(
        "set -e; for c in quayside-nginx quayside-ftp; do docker network disconnect --force %s $c; done;"
        " docker network rm %s; docker network create --label pressdock.stack=quayside"
        " --opt com.docker.network.bridge.enable_icc=false %s;"
        " for c in quayside-nginx quayside-ftp; do docker network connect --alias ${c#quayside-} %s $c; done",
        NETWORK, NETWORK, NETWORK, NETWORK,
    )  # fmt: skip
    assert known_as(stack, nginx, CLIENT) != CLIENT, "the engine's proxy hands on what it cannot translate"
    assert runs.play("converge.yml", "--check").returncode == 0
    predicted = runs.all()[-1]
    assert predicted.check
    assert any("network" in change["task"].lower() for change in predicted.changes), predicted.changes
    repaired = runs.converge()
    assert repaired.changed_items == predicted.changed_items
    assert network(stack)["EnableIPv6"] is True
    assert known_as(stack, nginx, CLIENT) == CLIENT
