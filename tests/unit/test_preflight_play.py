"""The preflight as a playbook runs it, on this machine: variables resolved, one message, no secret in it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from module_utils import run_lock
from tests.support.load import load

ROOT = Path(__file__).resolve().parents[2]
KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"
PLAY = """---
- name: Check
  hosts: stack
  become: false
  roles:
    - preflight
"""
SITE: dict[str, Any] = {
    "domain": "blog.example.org",
    "title": "{{ 'resolved' }}",
    "administrator": {"login": "owner", "email": "owner@example.org"},
    "users": {"author": {"email": "author@example.org", "role": "author"}},
}


def run(tmp_path: Path, *options: str, **variables: Any) -> str:
    """Run the preflight with extra variables (strings are templates) on ports of its own; return what it printed."""
    base = {"stack_installation_key": KEY, "stack_name": "unittest", "nginx_https_port": 48443, "ansible_become": False}
    base |= {"ftp_port": 48021, "ftp_passive_first_port": 48100, "ftp_passive_last_port": 48119}
    return run_as_declared(tmp_path, *options, **{**base, **variables})


def run_as_declared(tmp_path: Path, *options: str, **variables: Any) -> str:
    """Run the preflight with extra variables; return what it printed."""
    play = tmp_path / "play.yml"
    play.write_text(PLAY, encoding="utf-8")
    # The room on the machine under test is not the subject here.
    extra = {"preflight_lock_file": str(tmp_path / "lock"), "preflight_disk_min": "1m", **variables}
    (tmp_path / "extra.json").write_text(json.dumps(extra), encoding="utf-8")
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        str(play),
        "--extra-vars",
        f"@{tmp_path}/extra.json",
        *options,
    ]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


KEY_OF_FILE = "{{ lookup('ansible.builtin.file', stack_installation_key_file) }}"


def write_key(folder: Path, mode: int) -> str:
    """Write a key file; return its path."""
    path = folder / "installation.key"
    path.write_text(f"{KEY}\n", encoding="utf-8")
    path.chmod(mode)
    return str(path)


def test_good_variables_pass(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        "--check",
        "--diff",
        stack_installation_key_file=write_key(tmp_path, 0o600),
        stack_installation_key=KEY_OF_FILE,
        wordpress_sites={"blog": SITE},
    )
    assert "failed=0" in output, output
    assert "changed=0" in output


def test_the_machines_of_the_growth_bench_pass(tmp_path: Path) -> None:
    load("bench/run.py", "run")
    growth = load("bench/growth.py")
    write_key(tmp_path, 0o600)
    inventory = growth.write_inventory(tmp_path, growth.Size(2, 2))
    output = run_as_declared(tmp_path, "--inventory", str(inventory))
    assert re.findall(r"(machine\d) +: ok=\d+ +changed=0 +unreachable=0 +failed=0", output) == [
        "machine0",
        "machine1",
    ], output


def test_all_problems_are_in_one_message(tmp_path: Path) -> None:
    administrator = {"login": "Admin1", "email": "owner@example.org", "password": "canary-7"}
    output = run(
        tmp_path,
        "-vvv",
        nginx_https_port="80a",
        nginx_memroy="1g",
        mariadb_memory="512",
        stack_data_dir="/data/../etc",
        stack_image_epoch="{{ undefined_here }}",
        stack_installation_key="canary-key",
        wordpress_sites={"blog": {**SITE, "domain": "192.0.2.1", "administrator": administrator}},
    )
    assert "Nothing was changed" in output, output
    for problem in (
        'nginx_https_port: "80a": must be a whole number',
        "nginx_memroy: no such variable, did you mean nginx_memory?",
        "mariadb_memory: the size '512' has no unit",
        'stack_data_dir: "/data/../etc": must not contain',
        "stack_image_epoch: cannot be worked out: 'undefined_here' is undefined",
        "stack_installation_key: the installation key is neither",
        'wordpress_sites.blog.domain: "192.0.2.1": must be a name, not an IP address',
        'wordpress_sites.blog.administrator: login "Admin1"',
        "wordpress_sites.blog.administrator.password: must have at least 12 characters",
    ):
        assert problem in output.replace('\\"', '"'), problem
    assert "canary" not in output


def test_the_machine_is_looked_at(tmp_path: Path) -> None:
    """Where a link leads, and who can read the key, are asked of the file systems."""
    # Not below /tmp, which is refused by its name; the project itself may be a clone in there.
    link = Path.home() / f".pressdock-preflight-link-{os.getpid()}"
    link.symlink_to("/etc")
    certificate = tmp_path / "site.pem"
    certificate.write_text("no certificate", encoding="utf-8")
    try:
        output = run(
            tmp_path,
            stack_data_dir=str(link),
            stack_installation_key_file=write_key(tmp_path, 0o644),
            stack_installation_key=KEY_OF_FILE,
            wordpress_sites={
                "blog": {**SITE, "tls": {"certificate": str(certificate), "key": "/nowhere/site.key"}},
                "shop": {
                    **SITE,
                    "domain": "b.example",
                    "tls": {"certificate": str(certificate), "key": str(certificate)},
                },
            },
        )
    finally:
        link.unlink()
    assert "wordpress_sites.blog.tls.key: /nowhere/site.key: cannot be read on this machine" in output
    assert "wordpress_sites.shop.tls: " in output
    assert "a symbolic link leads to /etc" in output
    assert "mode 0644 lets others read it: chmod 0600" in output
    assert KEY not in output


def test_another_run_is_in_the_way_while_it_lives(tmp_path: Path) -> None:
    """The second run stops and says who runs since when; the lock of one that was killed is taken over."""
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            described = {**run_lock.this_run(other.pid), "user": "somebody", "since": "2026-01-02 03:04:05 UTC"}
            (tmp_path / "lock").write_text(json.dumps(described))
            refused = run(tmp_path)
            assert (
                f"Another run works on localhost: somebody on {described['machine']} (process {other.pid})" in refused
            )
            assert "since 2026-01-02 03:04:05 UTC" in refused
            assert json.loads((tmp_path / "lock").read_text()) == described
        finally:
            other.kill()
    assert "Another run" not in (passed := run(tmp_path))
    assert "failed=0" in passed, passed
    assert json.loads((tmp_path / "lock").read_text())["pid"] != other.pid
