"""The whole of `make up` on a bare machine over SSH; the tests are in the order in which an operator would go."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.runs import PROJECT, without_colours
from tests.support.stack import Stack

pytestmark = pytest.mark.destructive

DOMAIN, PORT = "harbour.example.test", 8446
CONTENT = "/srv/harbour/quayside/volumes/sites/harbour/wp-content"
RECAP = re.compile(r"quay\.example\.test +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=0 ")
BROUGHT = ["docker.io", "iptables", "python3-apt", "python3-cryptography", "python3-requests"]
"""What the roles install, among others."""


@dataclass(frozen=True)
class Operator:
    """Somebody at another machine, in a directory of theirs, with inventory, key and password."""

    directory: Path

    def play(self, playbook: str, *arguments: str) -> tuple[int, str]:
        """Run a playbook of the project; return its status and what it said, on one line."""
        status, output = self._run("play", playbook, "--inventory=hosts.yml", *arguments)
        return status, " ".join(output.split())

    def changes(self, playbook: str, *arguments: str) -> int:
        """Run a playbook, which must succeed; return the number of its changes."""
        status, output = self.play(playbook, *arguments)
        recap = RECAP.search(output)
        assert status == 0, output[-6000:]
        assert recap, output[-6000:]
        assert int(recap[1]) > 0
        return int(recap[2])

    def drift(self) -> tuple[int, str]:
        """Look for drift; return the status and the report."""
        return self._run("drift", "--inventory=hosts.yml")

    def _run(self, script: str, *arguments: str) -> tuple[int, str]:
        # Neither molecule's settings nor a locale of this machine; and whatever is made is the operator's alone.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LC_"))}
        done = subprocess.run(
            [PROJECT / "scripts" / script, *arguments, "--become-password-file=password"],
            cwd=self.directory,
            env={**environment, "LANG": "C.UTF-8", "LC_TIME": "xx_XX.UTF-8", "NO_COLOR": "1"},
            umask=0o077,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, without_colours(done.stdout + done.stderr)

    @property
    def address(self) -> str:
        """Where the machine is."""
        inventory = yaml.safe_load((self.directory / "hosts.yml").read_text())
        return str(inventory["stack"]["hosts"]["quay.example.test"]["ansible_host"])


@pytest.fixture(scope="module")
def operator() -> Operator:
    """Return the operator that prepare.yml has made."""
    return Operator(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "operator")


class Visit(http.client.HTTPSConnection):
    """A visitor on this machine who finds the site's name at the machine's address, and trusts its authority."""

    def __init__(self, address: str, authority: str) -> None:
        self._trust = ssl.create_default_context(cadata=authority)
        super().__init__(address, PORT, timeout=20, context=self._trust)

    def connect(self) -> None:
        """Connect to the address, and name the site in the TLS handshake."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._trust.wrap_socket(self.sock, server_hostname=DOMAIN)


def fetch(stack: Stack, operator: Operator, path: str) -> tuple[int, str]:
    """Return the status and the body of a page of the site."""
    visit = Visit(operator.address, stack.host.check_output("cat /srv/harbour/quayside/ca/ca.crt"))
    visit.request("GET", path, headers={"Host": f"{DOMAIN}:{PORT}"})
    answer = visit.getresponse()
    return answer.status, answer.read().decode()


def installed(host: Any, *packages: str) -> list[str]:
    """Return those of the packages that are installed."""
    found = host.run("dpkg-query --show --showformat='${Package} ${db:Status-Status}\\n' " + " ".join(packages)).stdout
    return sorted(line.split()[0] for line in found.splitlines() if line.endswith(" installed"))


def test_machine_is_bare(stack: Stack) -> None:
    """Besides what every installation has it was given sshd, Python and sudo; nothing is there that a role brings."""
    host = stack.host
    base = subprocess.run(
        ["docker", "run", "--rm", "pressdock-molecule/base:trixie", "apt-mark", "showmanual"],
        capture_output=True,
        text=True,
        check=True,
    )
    # Others are what these are made of; tests/unit/test_instance.py knows why each is there.
    given = set(host.check_output("apt-mark showmanual").split()) - set(base.stdout.split())
    assert given == {
        "dbus", "iproute2", "kmod", "libpam-systemd", "openssh-server", "procps", "python3", "sudo", "systemd",
        "systemd-sysv",
    }  # fmt: skip
    assert installed(host, *BROUGHT, "ca-certificates", "curl", "locales", "mmdebstrap") == []
    for library in ("requests", "apt", "cryptography"):
        assert host.run("python3 -c 'import %s'", library).rc != 0
    assert set(host.check_output("locale -a").split()) <= {"C", "C.utf8", "POSIX"}
    assert host.run("ls /var/lib/apt/lists/*Packages*").rc != 0


def test_check_run_foresees_and_changes_nothing(stack: Stack, operator: Operator) -> None:
    assert operator.changes("site.yml", "--check", "--diff") > 0
    assert installed(stack.host, *BROUGHT) == []
    assert not stack.host.file("/srv/harbour").exists


def test_first_run(stack: Stack, operator: Operator) -> None:
    assert operator.changes("site.yml") > 0
    assert installed(stack.host, *BROUGHT) == BROUGHT


def test_second_run_changes_nothing(operator: Operator) -> None:
    assert operator.changes("site.yml") == 0


def test_site_answers(stack: Stack, operator: Operator) -> None:
    status, page = fetch(stack, operator, "/")
    assert (status, "<title>A quay without a crane" in page) == (200, True)


def test_upload_is_served(stack: Stack, operator: Operator) -> None:
    """Whatever the umasks of both machines are: each directory down to it can be walked by the web server."""
    stack.host.check_output(
        "docker exec quayside-wordpress-harbour sh -c %s",
        "cd /srv/sites/harbour/wp-content && mkdir -p uploads/2031 && echo bollard > uploads/2031/a.txt",
    )
    assert fetch(stack, operator, "/wp-content/uploads/2031/a.txt") == (200, "bollard\n")


def test_directory_between_is_repaired(stack: Stack, operator: Operator) -> None:
    """The one that holds a site's volume is nobody's volume, and still somebody walks it."""
    between = CONTENT.rpartition("/")[0]
    stack.host.check_output("chmod 0700 %s", between)
    assert fetch(stack, operator, "/wp-content/uploads/2031/a.txt")[0] == 404, "control"
    status, report = operator.drift()
    assert status == 2, report
    assert f"{between}" in report
    assert operator.changes("site.yml") > 0
    assert fetch(stack, operator, "/wp-content/uploads/2031/a.txt")[0] == 200
    status, report = operator.drift()
    assert status == 0, report


def test_python_without_the_packages_libraries_is_named_at_once(stack: Stack, operator: Operator) -> None:
    stack.host.check_output("python3 -m venv --without-pip /opt/other")
    status, output = operator.play("site.yml", "--extra-vars=ansible_python_interpreter=/opt/other/bin/python3")
    assert status != 0
    assert "python on the target: /opt/other/bin/python3: does not find cryptography, requests" in output
    assert "python3-cryptography, python3-requests" in output
    assert "Nothing was changed" in output


def test_library_that_went_comes_back(stack: Stack, operator: Operator) -> None:
    """While the engine runs as declared: what Ansible's modules import is looked at all the same."""
    stack.host.check_output("dpkg --remove --force-depends python3-requests")
    assert operator.changes("site.yml", "--check") > 0
    assert operator.changes("site.yml") == 1
    assert installed(stack.host, "python3-requests") == ["python3-requests"]


def test_stack_is_taken_down(stack: Stack, operator: Operator) -> None:
    stack.host.check_output("dpkg --remove --force-depends python3-requests")
    assert operator.changes("playbooks/down.yml") > 0
    assert stack.host.check_output("docker ps --all --quiet") == ""
