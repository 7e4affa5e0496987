"""What a run says about drift and repairs, and that a killed installation leaves no half a site."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.support.runs import Runs, Sequence
from tests.support.stack import Stack
from tests.support.wordpress import CORE

Site = Any
RECONCILE = (
    "docker exec --interactive quayside-wordpress-{site} sh /usr/local/lib/wordpress/reconcile"
    " < /root/{site}-{kind}.json"
)
TABLES = 12
"""Of a new site."""

DRIFT = {
    "hafen": [
        'files of plugin akismet: "',
        'object cache drop-in: "another version, or changed" -> "from the image"',
        'option blogname: "Gekapert" -> ',
        'option siteurl: "https://elsewhere.example.test" -> ',
        'option home: "https://elsewhere.example.test" -> ',
        'option admin_email: "pirat@example.test" -> ',
        'option posts_per_page: "99" -> "7"',
        "option blogdescription: ",
        'user kapitaen: user_email: "pirat@example.test" -> ',
        'user kapitaen: display_name: "Pirat" -> ',
        "user kapitaen: password",
        'user lotse: role: "administrator" -> "editor"',
        'user heizer: none -> "contributor"',
        'theme: "fremd" -> "twentytwentyfive"',
        'plugin fremd/fremd.php: "active" -> "inactive"',
        'plugin akismet: "inactive" -> "active"',
    ],
    "laden": [
        'directory upgrade: none -> "0755"',
        'mode of directory uploads: "0700" -> "0755"',
        "translation fr_FR.mo: none -> ",
        'translation admin-fr_FR.mo: "',
        'object cache drop-in: "Fremder Cache" -> none',
        'option WPLANG: "" -> "fr_FR"',
        'option timezone_string: "UTC" -> "America/St_Johns"',
        'option permalink_structure: "/%postname%/" -> "/archives/%post_id%"',
        'option thumbnail_size_w: "321" -> "123"',
        'user patron: user_email: "vendeur@example.test" -> "patron@example.test"',
        'user patron: role: "subscriber" -> "administrator"',
        'user vendeur: user_email: "patron@example.test" -> "vendeur@example.test"',
        "user vendeur: password",
        'theme: "fremd" -> "twentytwentyfive"',
    ],
    "brache": [
        'object cache drop-in: "from the image" -> none',
        'option active_plugins: "no list" -> "made anew; what it held is kept in option pressdock_corrupt_active_plug',
        'option hafen_user_roles: "no list" -> ',
        'option sticky_posts: "no list" -> ',
        'roles: none -> "those of WordPress"',
        'user knecht: own capability manage_options: "granted" -> none',
        'theme: "twentytwentyfive of /themes" -> "twentytwentyfive"',
    ],
}
"""Site to the beginnings of what a run says about the drift of side_effect.yml: all of it, and nothing else."""


@pytest.fixture(scope="module")
def reports(runs: Runs, sequence: Sequence) -> list[dict[str, list[str]]]:
    """Return what each run said about each site, of the runs that had something to say about it."""
    assert sequence
    # An instance that was not destroyed has left the runs before this one's creation.
    output = runs.output().rpartition("PLAY [Create]")[2]
    text = re.sub(r"(?m)^\S+ \S+ p=\d+ u=\S+ n=\S+ \w+\| ", "", output)
    found = []
    for play in text.split("TASK [wordpress : Sites | Name what differed]")[1:]:
        output = play.partition("\nTASK [")[0].partition("\nPLAY RECAP")[0]
        report = {}
        for part in output.split("(item=")[1:]:
            name, _, rest = part.partition(")")
            report[name] = re.findall(r"(?m)^    - (.*(?:\n      .*)*)", rest)
        if report:
            found.append(report)
    return found


def test_repair_names_each_change_and_no_other(reports: list[dict[str, list[str]]]) -> None:
    assert len(reports) >= 3, "the installation, a prediction and a repair"
    repair = reports[2]
    assert set(repair) == set(DRIFT)
    for site, beginnings in DRIFT.items():
        said = [re.sub(r"\s+", " ", line.strip("'").replace("''", "'")) for line in repair[site]]
        assert len(said) == len(beginnings), said
        for line, beginning in zip(said, beginnings, strict=True):
            assert line.startswith(beginning), line


def test_check_predicts_the_same_words(reports: list[dict[str, list[str]]]) -> None:
    assert reports[1] == reports[2]


def test_repair_replaces_no_container(runs: Runs) -> None:
    before, now = runs.snapshot("before"), runs.engine_now()
    assert {n: s.identifier for n, s in before.items()} == {n: s.identifier for n, s in now.items()}


def test_broken_plugin_does_not_stop_the_repair(hafen: Site) -> None:
    """The one that was activated throws; it is still on the volume, but not active."""
    assert "fremd" in hafen.wordpress("scandir(WP_PLUGIN_DIR)")
    assert hafen.wordpress("get_option('active_plugins')") == ["akismet/akismet.php"]


def test_foreign_code_is_named_and_stays(stack: Stack, runs: Runs) -> None:
    """Not what comes with WordPress, such as the placeholder among the plugins, nor what it does not load."""
    content = "/srv/harbour/quayside/volumes/sites/hafen/wp-content"
    output = runs.output()
    for kind, name, path in (
        ("plugin", "einzeln.php", "plugins"), ("must-use plugin", "fremd.php", "mu-plugins"),
        ("must-use plugin", "index.php", "mu-plugins"), ("drop-in", "db-error.php", "."),
    ):  # fmt: skip
        assert f"- {kind} {name}" in output
        assert stack.host.file(f"{content}/{path}/{name}").exists
    assert "- plugin index.php" not in output
    assert "- drop-in object-cache.php" not in output
    assert "- drop-in advanced-cache.php" not in output


def test_what_a_broken_list_held_is_kept(brache: Site) -> None:
    broken = 'a:1:{i:0;s:50:"broken'
    assert brache.option("pressdock_corrupt_sticky_posts") == broken
    assert brache.wordpress("[get_option('active_plugins'), array_keys(wp_roles()->roles)[0]]") == [[], "administrator"]


def test_a_password_of_one_s_own_stays(brache: Site) -> None:
    """The drift has changed it as a profile page does; of others it is the declared one again."""
    assert brache.logs_in("knecht", "of my own")


def test_shipped_theme_is_the_image_s(brache: Site) -> None:
    """Although there is one of its name on the volume."""
    assert brache.wordpress("get_template_directory()") == f"{CORE}/wp-content/themes/twentytwentyfive"


def test_shipped_plugin_is_the_image_s_again(hafen: Site) -> None:
    shipped, used = f"{CORE}/wp-content/plugins/akismet", f"/srv/sites/{hafen.name}/wp-content/plugins/akismet"
    assert hafen.container.run("diff", "-r", shipped, used).rc == 0
    # Neither the half of a copy nor what was replaced.
    assert hafen.wordpress("array_diff(scandir(WP_CONTENT_DIR . '/upgrade'), ['.', '..'])") == []


@pytest.mark.destructive
def test_updated_translation_stays(stack: Stack, runs: Runs) -> None:
    """WordPress's own update is newer, and its translators say so."""
    assert runs.play("declared.yml").returncode == 0
    file = "/srv/harbour/quayside/volumes/sites/laden/wp-content/languages/fr_FR.mo"
    revision = "PO-Revision-Date: 2"
    assert stack.host.run("grep -aq %s %s", revision, file).rc == 0
    stack.host.check_output(f"cp -p {file} /root/shipped.mo && sed -i 's/{revision}/PO-Revision-Date: 3/' {file}")
    try:
        assert '"changes":[]' in reconcile(stack, "laden", "repair").stdout
    finally:
        stack.host.check_output("cp -p /root/shipped.mo %s", file)


@pytest.mark.destructive
def test_updated_plugin_stays(stack: Stack, runs: Runs) -> None:
    """Another version than the image's is an update of the site's own."""
    assert runs.play("declared.yml").returncode == 0
    file = "/srv/harbour/quayside/volumes/sites/hafen/wp-content/plugins/akismet/akismet.php"
    stack.host.check_output("cp -p %s /root/akismet.php && sed -i 's/^Version: .*/Version: 99.9/' %s", file, file)
    try:
        assert '"changes":[]' in reconcile(stack, "hafen", "repair").stdout
        assert "Version: 99.9" in stack.host.check_output("cat %s", file)
    finally:
        stack.host.check_output("cp -p /root/akismet.php %s", file)


def reconcile(stack: Stack, site: str, kind: str) -> Any:
    """Run a site's reconciler by hand."""
    return stack.host.run(RECONCILE.format(site=site, kind=kind))


def reconcile_and_kill(stack: Stack, site: str, delay: float) -> int:
    """Start a site's reconciler, kill it by the kernel after so many seconds, and return its exit code."""
    start = RECONCILE.format(site=site, kind="repair")
    kill = "pkill -KILL -f '^php /usr/local/lib/wordpress/reconcile.php'"
    return int(stack.host.run(f"({start} > /root/killed.log 2>&1) & sleep {delay}; {kill}; wait $!").rc)


def drop_tables(site: Site) -> None:
    """Make the database as empty as a new one."""
    tables = site.sql("SHOW TABLES").split()
    if tables:
        site.sql("SET FOREIGN_KEY_CHECKS = 0; DROP TABLE " + ", ".join(f"`{table}`" for table in tables))
    assert site.sql("SHOW TABLES") == ""


@pytest.mark.destructive
def test_killed_installation_leaves_no_half_a_site(stack: Stack, runs: Runs, brache: Site) -> None:
    """Killed at several moments: there is either no site or a whole one, and the next run makes it whole."""
    assert runs.play("declared.yml").returncode == 0
    cut_off = []
    for delay in (0.25, 0.5, 0.75, 1.0, 1.3, 1.7, 2.2):
        drop_tables(brache)
        code = reconcile_and_kill(stack, "brache", delay)
        tables = brache.sql("SHOW TABLES").split()
        visible = [table for table in tables if table.startswith("hafen_")]
        assert len(visible) in {0, TABLES}, visible
        assert code in {0, 137}, brache.stack.host.check_output("cat /root/killed.log")
        cut_off.append((code, len(tables) - len(visible)))
        if not visible:
            # Nobody sees anything of WordPress's installation.
            answer = brache.ask("/wp-admin/install.php")
            assert "Status: 503" in answer
        result = reconcile(stack, "brache", "repair")
        assert result.rc == 0, result.stderr
        assert_whole(stack, brache)
    assert any(code == 137 and staged > 0 for code, staged in cut_off), f"no kill hit the installation: {cut_off}"


def assert_whole(stack: Stack, site: Site) -> None:
    """Raise unless the site is as declared, with nothing left over."""
    again = reconcile(stack, site.name, "check")
    assert again.rc == 0, again.stderr
    assert '"changes":[]' in again.stdout
    tables = site.sql("SHOW TABLES").split()
    assert len(tables) == TABLES
    assert all(table.startswith(site.prefix) for table in tables)
    assert site.sql("SELECT user_login FROM hafen_users ORDER BY 1").split() == ["bauer", "knecht"]
    assert "Status:" not in site.ask().partition("\r\n\r\n")[0]


@pytest.mark.thorough
@pytest.mark.destructive
def test_killed_repair_is_finished_by_the_next_run(stack: Stack, runs: Runs, brache: Site) -> None:
    assert runs.play("declared.yml").returncode == 0
    spoil = (
        "UPDATE hafen_options SET option_value = 'x'"
        " WHERE option_name IN ('blogname', 'home', 'siteurl', 'timezone_string');"
        "DELETE FROM hafen_users WHERE user_login = 'knecht';"
        "UPDATE hafen_users SET user_pass = 'x' WHERE user_login = 'bauer'"
    )
    for delay in (0.4, 0.7, 1.0):
        brache.sql(spoil)
        reconcile_and_kill(stack, "brache", delay)
        assert reconcile(stack, "brache", "repair").rc == 0
        assert_whole(stack, brache)


@pytest.mark.destructive
def test_two_runs_at_once_wait_for_each_other(stack: Stack, runs: Runs, brache: Site) -> None:
    assert runs.play("declared.yml").returncode == 0
    drop_tables(brache)
    start = RECONCILE.format(site="brache", kind="repair")
    output = stack.host.check_output(
        f"for i in 1 2 3; do ({start} > /root/parallel.$i 2>&1; echo $? >> /root/parallel.$i) & done; wait;"
        " cat /root/parallel.*; rm /root/parallel.*"
    )
    assert output.count('"installed":true') == 1, output
    assert output.count('"changed":false') == 2, output
    assert_whole(stack, brache)


@pytest.mark.destructive
def test_site_without_its_directories_is_unhealthy(stack: Stack, brache: Site) -> None:
    """Its health is PHP's own: a content directory that PHP cannot write is noticed."""
    directory = "/srv/harbour/quayside/volumes/sites/brache/wp-content"
    probe = ("probe", "fastcgi", "wordpress-brache.web-brache:9000", "/usr/local/lib/wordpress/health.php")
    assert brache.container.run(*probe).rc == 0
    stack.host.check_output("chown 0:0 %s", directory)
    try:
        time.sleep(0.1)
        assert brache.container.run(*probe).rc == 1
    finally:
        stack.host.check_output("chown 613:613 %s", directory)
    assert brache.container.run(*probe).rc == 0
