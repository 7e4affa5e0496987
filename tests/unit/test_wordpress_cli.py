"""`make wp`: whom a command is for, what runs it, and how input, output and exit status come through."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from filter_plugins import wordpress_cli
from filter_plugins.container import belonging_to
from filter_plugins.preflight import wordpress_cli_problems
from filter_plugins.wordpress_cli import CommandError
from tests.support.runs import PROJECT

SITE: dict[str, Any] = {
    "name": "wordpress-kai", "user": "wordpress", "networks": ["database-kai", "web-kai"], "secrets": {"site.php": "x"},
    "environment": {"PHP_MEMORY_LIMIT": "1", "PHP_WORKERS": "3"}, "tmpfs": {"/tmp": "size=9m"},  # noqa: S108
    "volumes": [{"name": "site-kai", "path": "/srv/sites/kai/wp-content", "read_only": False}],
    "limits": {"memory": "100m", "cpus": 0.7, "pids": 33},
}  # fmt: skip
ENGINE: dict[str, Any] = {
    "info": {},
    "containers": [{"Names": ["/quay-wordpress-kai"], "Labels": {"pressdock.digest": "ab12"}}],
    "networks": [{"Name": "quay-database-kai"}, {"Name": "quay-web-kai"}],
    "volumes": [{"Name": "quay-site-kai"}],
    "images": [
        {"RepoTags": ["quay/wordpress:ab12"], "Labels": {"pressdock.digest": "ab12"}},
        {"RepoTags": ["quay/wordpress_cli:old"], "Labels": {"pressdock.digest": "ab12"}},
        {"RepoTags": ["quay/wordpress_cli:other"], "Labels": {"pressdock.digest": "cd34"}},
    ],
}


def loaded(path: str) -> ModuleType:
    """Import a file that lies on nobody's path."""
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_tested", PROJECT / path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = loaded("scripts/wordpress_cli.py")
ACTION = loaded("roles/wordpress/action_plugins/wordpress_cli.py")


def test_one_machine_is_meant() -> None:
    sites = {"pier": ["kai", "mole"], "dock": ["mole"]}
    assert wordpress_cli.declaring_hosts("kai", sites) == ["pier"]
    for site, words in (
        ("mole", "HOST: pier, dock have a site mole"),
        ("kia", "did you mean kai?); there are: kai, mole"),
        ("", "SITE is empty: make wp SITE=kai"),
    ):
        with pytest.raises(CommandError) as problem:
            wordpress_cli.declaring_hosts(site, sites)
        assert words in str(problem.value)


def test_no_release_is_declared() -> None:
    wordpress_cli.demand_declared("2.11.0", "a" * 64)
    with pytest.raises(CommandError, match="wordpress_cli_version and wordpress_cli_sha256: empty"):
        wordpress_cli.demand_declared("", "")


@pytest.mark.parametrize(
    ("version", "sha256", "names"),
    [
        ("2.11.0", "a" * 64, []),
        ("", "", []),
        ("2.11.0", "", ["wordpress_cli_sha256"]),
        ("", "a" * 64, ["wordpress_cli_version"]),
        (2.11, "A" * 64, ["wordpress_cli_version", "wordpress_cli_sha256"]),
        ("2.11.0; id", "a" * 64, ["wordpress_cli_version"]),
    ],
)
def test_declared_release(version: Any, sha256: Any, names: list[str]) -> None:
    values = {"wordpress_cli_version": version, "wordpress_cli_sha256": sha256}
    assert [problem.partition(":")[0] for problem in wordpress_cli_problems(values)] == names


def test_image_is_the_one_that_runs() -> None:
    assert wordpress_cli.running_image(ENGINE, "quay", "pier", SITE) == "quay/wordpress:ab12"
    assert wordpress_cli.former_images(ENGINE, "quay", "quay/wordpress:ab12", "quay/wordpress_cli:new") == [
        "quay/wordpress_cli:old"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"info": None}, "no engine answers"),
        ({"containers": []}, "no container quay-wordpress-kai: the stack is not up on pier: run `make up`"),
        ({"networks": []}, "no network quay-database-kai, no network quay-web-kai: the stack is not up"),
        ({"volumes": []}, "no volume quay-site-kai"),
        ({"images": []}, "runs an image that is not there any more (quay/wordpress:ab12)"),
    ],
)
def test_stack_is_not_up(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError) as problem:
        wordpress_cli.running_image({**ENGINE, **change}, "quay", "pier", SITE)
    assert words in str(problem.value)


def created(terminal: bool) -> list[str]:
    """Return what a command's container is made with."""
    return wordpress_cli.create_options(
        SITE, "quay/wordpress_cli:new", "quay", "/srv/quay", {"wordpress": 613},
        site="kai", url="https://kai.example.test", memory="200m", words=["post", "list; id"], terminal=terminal,
        mark="0f",
    )  # fmt: skip


def test_command_has_what_the_site_has() -> None:
    options = created(terminal=False)
    assert options[-4:] == ["--entrypoint=wp", "quay/wordpress_cli:new", "post", "list; id"]
    assert "--tty" not in options
    assert "--tty" in created(terminal=True)
    for option in (
        "--rm", "--read-only", "--user=613:613", "--cap-drop=ALL", "--security-opt=no-new-privileges",
        "--pids-limit=33",
        "--memory=209715200b", "--memory-swap=209715200b", "--network=quay-database-kai", "--env=PHP_WORKERS=3",
        "--env=PHP_MEMORY_LIMIT=157286400", "--volume=quay-site-kai:/srv/sites/kai/wp-content:rw",
        "--volume=/srv/quay/secrets/wordpress-kai:/run/secrets:ro", "--volume=/srv/quay/work/kai:/work",
        "--label=pressdock.stack=quay", "--label=pressdock.command=wp",
    ):  # fmt: skip
        assert option in options, option


def test_running_command_is_no_drift() -> None:
    running = [
        {"Names": ["/quay-wp-kai-0f"], "Labels": {"pressdock.stack": "quay", "pressdock.command": "wp"}},
        {"Names": ["/quay-nginx"], "Labels": {"pressdock.stack": "quay"}},
    ]
    assert belonging_to(running, "quay", commands=False) == ["quay-nginx"]
    assert len(belonging_to(running, "quay")) == 2


def tools(folder: Path, **programs: str) -> dict[str, str]:
    """Make programs; return an environment that finds them first."""
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "NOTES": str(folder / "notes")}


def test_container_joins_its_networks_and_leaves_nothing(tmp_path: Path) -> None:
    docker = 'echo "$@" >> "$NOTES"; case $1 in create) echo c0ffee ;; start) cat; exit 42 ;; esac'
    environment = tools(tmp_path, docker=docker, install="exit 0")
    program = wordpress_cli.program_arguments(SITE, "quay", "/srv/quay", {"wordpress": 613}, "kai", ["--rm", "a b"])
    done = subprocess.run(program, env=environment, input="in", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (42, "in")
    assert (tmp_path / "notes").read_text().splitlines() == [
        "create --rm a b",
        "network connect quay-web-kai c0ffee",
        "start --attach --interactive --detach-keys ctrl-^,ctrl-^ c0ffee",
        "rm --force c0ffee",
    ]


@pytest.mark.parametrize("asks", ["never", "once", "always"])
def test_password_is_no_part_of_the_input(tmp_path: Path, asks: str) -> None:
    sudo = f"""
known=$NOTES.known
case $* in
"-n true") [ {asks} = never ] || [ -e "$known" ] ;;
"-S -p  -v") IFS= read -r line; [ "$line" = geheim ] && [ {asks} = once ] && : > "$known" ;;
"-n -- "*) shift 2; exec "$@" ;;
"-S -p  -- "*) IFS= read -r line; [ "$line" = geheim ] || exit 1; shift 4; exec "$@" ;;
*) exit 9 ;;
esac"""
    done = subprocess.run(
        ["sh", "-c", ACTION.BECOMES_ROOT, "wp", "sh", "-c", "cat; exit 5"],
        env=tools(tmp_path, sudo=sudo), input="geheim\nDROP\nTABLE", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (5, "DROP\nTABLE")


def test_words_of_a_request() -> None:
    environment = {
        "PRESSDOCK_WP_SITE": "kai", "PRESSDOCK_WP_HOST": "pier", "PRESSDOCK_WP_OPTIONS": "-i 'my hosts'",
        "PRESSDOCK_WP_ARGS": """post create --post_title='It''s "two  words"' $HOME""",
    }  # fmt: skip
    site, words, options = SCRIPT.request([], environment)
    assert (site, options) == ("kai", ["--limit=pier", "-i", "my hosts"])
    assert words == ["post", "create", '--post_title=Its "two  words"', "$HOME"]
    assert SCRIPT.request(["mole", "eval", "a  b"], {})[:2] == ("mole", ["eval", "a  b"])


def test_status_and_streams_come_through() -> None:
    command = {"argv": ["sh", "-c", "cat; echo no >&2; exit 7"], "password": "", "feeds": False}
    code = f"import json, sys; sys.path.insert(0, {str(PROJECT / 'scripts')!r}); import wordpress_cli\n"
    code += "sys.exit(wordpress_cli.run(json.loads(sys.argv[1])))"
    for feeds, expected in ((False, "a\nb"), (True, "geheim\na\nb")):
        given = {**command, "feeds": feeds, "password": "geheim" if feeds else ""}
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(given)], input="a\nb", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (7, expected, "no\n")
    given = {**command, "argv": ["sh", "-c", "kill -KILL $$"]}
    assert subprocess.run([sys.executable, "-c", code, json.dumps(given)], check=False).returncode == 137
