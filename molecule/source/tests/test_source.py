"""WordPress from a release, and plugins and themes from a directory and from the controller."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import Runs, Sequence
from tests.support.stack import Container, Stack

CORE = "/usr/share/wordpress"
CONTENT = "/srv/harbour/quayside/volumes/sites/kai/wp-content"
MADE = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "made"
ASKED = ["plugin boje", "plugin leine", "theme segel"]


@pytest.fixture(scope="module")
def kai(stack: Stack) -> Container:
    """Return the container of the site's PHP."""
    return stack.container("wordpress-kai")


def wordpress(kai: Container, expression: str) -> Any:
    """Let WordPress evaluate a PHP expression; returns what JSON can say of it."""
    kai.forget()
    result = kai.run(
        "php",
        "-r",
        "$_SERVER['HTTP_HOST'] = 'kai.example.test:8447'; $_SERVER['HTTPS'] = 'on';"
        f"require '{CORE}/wp-load.php'; require_once ABSPATH . 'wp-admin/includes/plugin.php';"
        f"echo json_encode({expression});",
    )
    assert result.rc == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def plugins(kai: Container) -> dict[str, str]:
    """Return the installed plugins and their versions; the active ones have a star."""
    expression = (
        "array_map(fn ($p, $f) => [dirname($f), $p['Version'] . (is_plugin_active($f) ? '*' : '')],"
        " get_plugins(), array_keys(get_plugins()))"
    )
    return dict(wordpress(kai, expression))


def page(kai: Container) -> str:
    """Return the front page as FPM gives it."""
    result = kai.run(
        "probe", "fastcgi", "wordpress-kai.web-kai:9000", f"{CORE}/index.php", "REQUEST_URI=/",
        "HTTP_HOST=kai.example.test:8447", "HTTPS=on", "SERVER_NAME=kai.example.test", "REQUEST_METHOD=GET",
    )  # fmt: skip
    return str(result.stdout)


def requests(stack: Stack, name: str = "requests.log") -> list[str]:
    """Return what the server was asked since it started."""
    return str(stack.host.check_output("cat /root/%s", name)).splitlines()


def inside(content: Path) -> dict[str, str]:
    """Digest the files below a directory of this machine."""
    return {
        str(path.relative_to(content)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in content.rglob("*")
        if path.is_file()
    }


# --- Core ----------------------------------------------------------------------------------------------------------


def test_core_is_the_release(kai: Container) -> None:
    assert wordpress(kai, "[wp_get_wp_version(), wp_get_theme('dock')->exists(), __('Log Out')]") == [
        "6.7.89", True, "Abmelden",
    ]  # fmt: skip
    assert kai.run("test", "-e", f"{CORE}/wp-includes/css/release.css").rc == 0
    for name in ("wp-admin/setup-config.php", "readme.html"):
        assert kai.run("test", "-e", f"{CORE}/{name}").rc == 1, name
    certificates = f"{CORE}/wp-includes/certificates/ca-bundle.crt"
    assert kai.run("readlink", certificates).stdout.strip() == "/etc/ssl/certs/ca-certificates.crt"


def test_release_was_downloaded_once(stack: Stack) -> None:
    """Although the playbook ran many times."""
    asked = requests(stack, "requests.before")
    assert [line for line in asked if line.startswith("/releases/wordpress-")] == ["/releases/wordpress-6.7.89.tar.gz"]


# --- Plugins and themes --------------------------------------------------------------------------------------------


def test_declared_packages_are_installed_and_active(kai: Container) -> None:
    found = plugins(kai)
    assert found.pop("akismet").endswith("*")
    # The one that was put there by hand is there, and nobody activated it.
    assert found == {"boje": "1.2.0*", "leine": "3.0*", "anker": "0.1*", "kran": "0.7*", "fremd": ""}
    assert wordpress(kai, "[get_stylesheet(), wp_get_theme()->version, wp_get_theme('rumpf')->version]") == [
        "segel", "2.1", "4.4",
    ]  # fmt: skip


def test_they_work_in_the_page(kai: Container) -> None:
    text = page(kai)
    for words in ("boje 1.2.0", "leine 3.0", "anker 0.1", "kran 0.7", "theme segel 2.1"):
        assert words in text, words


def test_repair_restored_the_very_files(stack: Stack) -> None:
    """The drift had changed, added and removed some; a link to a secret was one of them."""
    assert "eval(" not in stack.host.check_output("cat %s/plugins/boje/inc/say.php", CONTENT)
    listing = "cd %s && find . -type f -exec sha256sum {} + && find . ! -type f ! -type d"
    for name in ("plugins/anker",):
        lines = stack.host.check_output(listing, f"{CONTENT}/{name}").splitlines()
        found = {line.split("  ./")[1]: line.split("  ")[0] for line in lines}
        assert found == inside(MADE / "anker")
    assert stack.host.run("test -L %s/themes/rumpf/index.php", CONTENT).rc == 1
    assert stack.host.run("test -f %s/plugins/kran/inc/say.php", CONTENT).rc == 0


def test_repair_gave_the_site_what_is_its_own(stack: Stack, sequence: Sequence) -> None:
    """What root had unpacked, and modes; a link is not followed."""
    predicted = [line for change in sequence.predicted.changes for line in change["lines"]]
    repaired = [line for change in sequence.repaired.changes for line in change["lines"]]
    expected = [
        f"{CONTENT}: 5 entries of another owner: such as plugins/anker/inc/added.php",
        f"{CONTENT}: 1 entry that the web server cannot read: uploads/own.png",
        f"{CONTENT}: 1 entry of what is declared with another mode: plugins/leine/leine.php",
    ]
    assert [line for line in expected if line not in predicted] == [], predicted
    assert [line for line in expected if line not in repaired] == [], repaired
    asked = (
        f"cd {CONTENT} && stat -c '%a %u' uploads/2024 uploads/2024/root.jpg uploads/own.png plugins/leine/leine.php .."
        " && stat -c %u uploads/2024/link /etc/passwd"
    )
    assert stack.host.check_output(asked).split() == [
        "755", "613", "644", "613", "644", "613", "644", "613", "755", "0", "613", "0",
    ]  # fmt: skip


def test_hand_made_ones_are_named_and_stay(stack: Stack, runs: Runs) -> None:
    assert stack.host.run("test -d %s/plugins/fremd -a -d %s/themes/fremd", CONTENT, CONTENT).rc == 0
    output = runs.output()
    assert "plugin fremd" in output
    assert "theme fremd" in output


def test_nothing_is_left_beside_the_packages(stack: Stack) -> None:
    assert stack.host.check_output("ls -A %s/upgrade", CONTENT) == ""
    assert stack.host.run("ls %s/.pressdock-*.zip", CONTENT).rc != 0


def test_run_without_changes_asks_no_server(stack: Stack) -> None:
    """Of the runs before the drift only the first one asked; the repair asked again for what it lacked."""
    before = requests(stack, "requests.before")
    for name in ASKED:
        kind, slug = name.split()
        asked = [line for line in before if line.startswith(f"/{kind}s/info/") and f"={slug}" in line]
        assert len(asked) == 1, asked
        assert sum(line.startswith(f"/{kind}s/{slug}.") for line in before) == 1
    after = [re.search(r"=(boje|leine|segel)\b", line) for line in requests(stack)[len(before) :]]
    assert {match[1] for match in after if match} >= {"boje", "segel"}
    assert "leine" not in {match[1] for match in after if match}, "nothing was wrong with it"


# --- Changes of what is declared -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def declared(runs: Runs, stack: Stack) -> dict[str, Any]:
    """Return the state that the role tells the reconciler."""
    assert runs.play("declared.yml").returncode == 0
    return dict(json.loads(stack.host.check_output("cat /root/kai.json")))


def reconcile(stack: Stack, state: dict[str, Any]) -> Any:
    """Run the reconciler with a state."""
    text = base64.b64encode(json.dumps(state).encode()).decode()
    return stack.host.run(
        "echo %s | base64 --decode"
        " | docker exec --interactive quayside-wordpress-kai sh /usr/local/lib/wordpress/reconcile",
        text,
    )


def remote(slug: str, version: str, kind: str = "plugin", sha256: str = "") -> dict[str, str]:
    """Declare a package of the directory."""
    return {"kind": kind, "slug": slug, "version": version, "from": "directory", "sha256": sha256, "digest": ""}


def changed(state: dict[str, Any], *packages: dict[str, str]) -> dict[str, Any]:
    """Return the state with packages added or in place of those with the same name."""
    names = {(package["kind"], package["slug"]) for package in packages}
    kept = [package for package in state["packages"] if (package["kind"], package["slug"]) not in names]
    active = [package["slug"] for package in packages if package["kind"] == "plugin"]
    return {
        **state,
        "packages": [*kept, *packages],
        "plugins": [*state["plugins"], *(slug for slug in active if slug not in state["plugins"])],
    }


def report(result: Any) -> list[tuple[str, Any, Any]]:
    """Return what a successful run changed."""
    assert result.rc == 0, result.stderr
    return [(change["what"], change["from"], change["to"]) for change in json.loads(result.stdout)["changes"]]


@pytest.mark.destructive
def test_update_and_downgrade(stack: Stack, declared: dict[str, Any], kai: Container) -> None:
    assert report(reconcile(stack, declared)) == []
    newer = changed(declared, remote("boje", "1.3.0"), remote("segel", "2.2", "theme"))
    assert report(reconcile(stack, newer)) == [
        ("files of plugin boje", "1.2.0", "1.3.0"),
        ("files of theme segel", "2.1", "2.2"),
    ]
    assert plugins(kai)["boje"] == "1.3.0*"
    # PHP looks every ten seconds whether a file has changed.
    deadline = time.monotonic() + 30
    while not ("boje 1.3.0" in page(kai) and "theme segel 2.2" in page(kai)):
        assert time.monotonic() < deadline, page(kai)
        time.sleep(0.5)
    older = changed(newer, remote("boje", "1.1.9"))
    assert report(reconcile(stack, older)) == [("files of plugin boje", "1.3.0", "1.1.9")]
    assert plugins(kai)["boje"] == "1.1.9*"
    assert len(report(reconcile(stack, declared))) == 2
    assert plugins(kai)["boje"] == "1.2.0*"


HOSTILE = {
    "1.1": "leads out of its directory",
    "1.2": "leads out of its directory",
    "1.3": "symbolic link",
    "1.4": "no PHP file in its directory has a plugin's header",
    "1.5": 'not below a directory \\"pirat\\"',
    "1.6": "says that it is version 9.9",
    "1.7": 'not below a directory \\"pirat\\"',
    "1.8": "incomplete or not a zip file",
    "1.9": "leads out of its directory",
    "7.7": "does not have this version",
}


@pytest.mark.destructive
def test_hostile_archives_are_refused(stack: Stack, declared: dict[str, Any], kai: Container) -> None:
    """Each by its rule, with the plugin's name, and with the version that was there untouched."""
    good = changed(declared, remote("pirat", "1.0"))
    assert ("files of plugin pirat", None, "1.0") in report(reconcile(stack, good))
    files = f"cd {CONTENT} && find . -type f ! -name '*.json' ! -path './uploads/*' -exec sha256sum {{}} + | sort"
    before = stack.host.check_output(files)
    for version, rule in HOSTILE.items():
        result = reconcile(stack, changed(declared, remote("pirat", version)))
        assert result.rc == 1, version
        assert result.stderr.startswith(f"plugin pirat {version}: "), result.stderr
        assert rule.replace('\\"', '"') in result.stderr, result.stderr
        assert stack.host.check_output(files) == before, version
    wrong = remote("pirat", "1.0", sha256="0" * 64)
    result = reconcile(stack, changed(declared, wrong))
    assert result.rc == 1
    assert "declared is 0000" in result.stderr
    assert stack.host.check_output(files) == before
    # Not declared any more: what came from here goes.
    removed = report(reconcile(stack, declared))
    assert ("files of plugin pirat", "1.0", None) in removed
    assert ("plugin pirat/pirat.php", "active", "inactive") in removed
    assert "pirat" not in plugins(kai)
    assert plugins(kai)["fremd"] == ""
    assert stack.host.check_output("ls -A %s/upgrade", CONTENT) == ""


@pytest.mark.destructive
def test_changed_files_on_the_controller_are_brought(stack: Stack, runs: Runs, kai: Container) -> None:
    """By the playbook, which also removes what the controller's list names no more; then it is content."""
    main = MADE / "anker/anker.php"
    before = main.read_text()
    sites = "-e@" + str(MADE / "sites.json")
    asked = len(requests(stack))
    main.write_text(before.replace("0.1", "0.2"))
    try:
        run = runs.converge()
        assert {change["task"] for change in run.changes} == {"Sites | Name what differed"}
        assert plugins(kai)["anker"] == "0.2*"
        assert runs.converge("--check").changes == []
        kept = [
            {"slug": "anker", "path": str(MADE / "anker")},
            {"slug": "boje", "version": "1.2.0"},
            "leine",
        ]
        site = {
            "domain": "kai.example.test", "title": "Am Kai", "locale": "de_DE",
            "administrator": {"login": "kapitaen", "email": "kapitaen@example.test"},
            "users": {"lotse": {"email": "lotse@example.test", "role": "author"}},
            "theme": "rumpf", "themes": [{"slug": "rumpf", "zip": str(MADE / "rumpf.zip")}], "plugins": kept,
        }  # fmt: skip
        (MADE / "sites.json").write_text(json.dumps({"wordpress_sites": {"kai": site}}))
        assert runs.converge(sites).changes
        # Removed: what came from here. Kept: a name alone, akismet of the image's copy, and what was put there by hand.
        assert plugins(kai) == {
            "boje": "1.2.0*", "leine": "3.0*", "anker": "0.2*", "fremd": "", "akismet": plugins(kai)["akismet"],
        }  # fmt: skip
        assert not plugins(kai)["akismet"].endswith("*")
        assert stack.host.run("test -e %s/themes/segel", CONTENT).rc == 1
        assert stack.host.run("test -e %s/themes/fremd", CONTENT).rc == 0
        assert runs.converge(sites).changes == []
        assert len(requests(stack)) == asked, "all of it was there"
    finally:
        main.write_text(before)
    assert runs.converge().changes


@pytest.mark.destructive
def test_wrong_release_replaces_nothing(runs: Runs, kai: Container) -> None:
    kai.forget()
    before = kai.identifier
    for variable, value, words in (
        ("wordpress_release_sha256", "0" * 64, "wordpress_release_sha256: the release has "),
        ("wordpress_release_version", "6.7.88", "wordpress_release_version: the release says 6.7.89"),
    ):
        result = runs.play("converge.yml", f"-e{variable}={value}")
        assert result.returncode != 0
        # Ansible breaks long lines.
        assert words in " ".join(result.stdout.split())
        kai.forget()
        assert kai.identifier == before
        assert kai.health == "healthy"
