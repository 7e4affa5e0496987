"""`make wp`: a command of WP-CLI in a container of its own, with a file that stands for the release."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.support.runs import PROJECT
from tests.support.stack import Stack

VARIABLES = Path(__file__).parents[1] / "group_vars/all.yml"
INVENTORY = PROJECT / "molecule/shared/inventory"


def wp(*words: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator does."""
    options = f"--inventory='{INVENTORY}' --extra-vars='@{VARIABLES}'"
    return subprocess.run(
        [PROJECT / "scripts/wp", *words],
        env={**os.environ, "PRESSDOCK_WP_OPTIONS": options, **environment},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def test_words_streams_and_status_come_through(stack: Stack) -> None:
    words = ["report", '--title=It\'s "two  words"', "$HOME `id` \\", ""]
    done = wp("kai", *words, given="first\n\nlast")
    assert done.returncode == 7, done.stderr
    assert "to stderr" in done.stderr
    content = "/srv/sites/kai/wp-content"
    assert json.loads(done.stdout) == {
        "words": ["--url=https://kai.example.test:8447", *words],
        "input": "first\n\nlast",
        "user": 613,
        "title": "Am Kai",
        "writable": [content, "/work"],
        # Three quarters of wordpress_cli_memory.
        "memory": str(332 * 1024 * 1024 * 3 // 4),
    }
    assert "-wp-" not in stack.host.check_output("docker ps --all --format '{{.Names}}'")


def test_words_of_make() -> None:
    """In one text, as ARGS has them."""
    done = wp(PRESSDOCK_WP_SITE="kai", PRESSDOCK_WP_ARGS="report 'a  b' --url=https://kai.example.test:8447/x")
    assert json.loads(done.stdout)["words"] == ["report", "a  b", "--url=https://kai.example.test:8447/x"]


def test_database_s_programs_have_the_login() -> None:
    """In both directions: what is exported can be imported."""
    dump = wp("kai", "db", "export", "-")
    assert dump.returncode == 0, dump.stderr
    assert "CREATE TABLE `wp_options`" in dump.stdout
    assert "-- Dump completed" in dump.stdout
    imported = wp("kai", "db", "import", "-", given=dump.stdout)
    assert imported.returncode == 0, imported.stderr
    assert wp("kai", "db", "import", "-", given="nonsense;").returncode == 1


def test_site_that_nobody_declares() -> None:
    done = wp("kia", "plugin", "list")
    assert (done.returncode, done.stdout) == (125, "")
    assert "wp: SITE: wordpress_sites has no site 'kia' (did you mean kai?); there are: kai" in done.stderr
