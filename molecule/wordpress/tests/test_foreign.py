"""Plugins as people write them, and what intruders leave: neither is anything that this project has made."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.runs import Runs
from tests.support.stack import Stack

Site = Any
PLUGINS = "/srv/sites/brache/wp-content/plugins"
FOREIGN = {
    # In this order: it needs the next one.
    "zapfen": "/* Plugin Name: Zapfen\n * Requires Plugins: laut\n */ register_activation_hook(__FILE__, function () {"
    " add_role('shop_manager', 'Manager', ['read' => true, 'sell' => true]); });",
    "laut": "/* Plugin Name: Laut */ register_activation_hook(__FILE__, function () { global $wpdb;"
    " echo 'Hallo <b>Welt</b>'; echo $nothing;"
    ' $wpdb->query("SELECT 1 FROM {$wpdb->prefix}laut"); require_once ABSPATH . "wp-admin/includes/upgrade.php";'
    ' dbDelta("CREATE TABLE {$wpdb->prefix}laut (id bigint(20) NOT NULL, PRIMARY KEY  (id))"); });',
    "fehler": "/* Plugin Name: Fehler */ register_activation_hook(__FILE__, function () { no_such_function(); });",
    "doppelt": "/* Plugin Name: Doppelt */ function wp_die() {}",
    "ende": "/* Plugin Name: Ende */ register_activation_hook(__FILE__, function () { echo 'needs more'; exit; });",
    "stirbt": "/* Plugin Name: Stirbt */ register_activation_hook(__FILE__, function () { wp_die('not here'); });",
    "weiter": "/* Plugin Name: Weiter */ add_action('activated_plugin', function () { exit; });",
}
"""Slug to the plugin's code."""
REFUSED = {
    "fehler": "Error: Call to undefined function no_such_function() (plugins/fehler/fehler.php:2)",
    "doppelt": "Cannot redeclare function wp_die()",
    "ende": "it ended WordPress: needs more",
    "stirbt": "not here",
}


@pytest.fixture
def declared(runs: Runs, stack: Stack, brache: Site) -> Iterator[dict[str, Any]]:
    """Return the state that the role tells the reconciler; the plugins are on the site's volume meanwhile."""
    assert runs.play("declared.yml").returncode == 0
    for slug, code in FOREIGN.items():
        put = 'mkdir -p "$0/$1" && printf "%s\\n%s" "<?php" "$2" > "$0/$1/$1.php"'
        brache.container.run("sh", "-c", put, PLUGINS, slug, code)
    state = dict(json.loads(stack.host.check_output("cat /root/brache-repair.json")))
    yield state
    reconcile(stack, state)
    brache.container.run("sh", "-c", 'cd "$0" && rm -r "$@"', PLUGINS, *FOREIGN)
    brache.sql("DROP TABLE IF EXISTS hafen_laut")


def reconcile(stack: Stack, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Run the reconciler with a state; returns its report and what it said to its end."""
    text = base64.b64encode(json.dumps(state).encode()).decode()
    result = stack.host.run(
        "echo %s | base64 --decode"
        " | docker exec --interactive quayside-wordpress-brache sh /usr/local/lib/wordpress/reconcile",
        text,
    )
    report = dict(json.loads(result.stdout))
    assert result.rc == (1 if report["refused"] else 0), result.stderr
    return report, str(result.stderr)


@pytest.mark.destructive
def test_plugins_are_judged_as_wordpress_judges_them(declared: dict[str, Any], stack: Stack, brache: Site) -> None:
    """What is fatal is refused, alone, and told with the rest; what is not is noted once."""
    declared["plugins"] = list(FOREIGN)
    declared["users"][1]["roles"] = ["subscriber", "shop_manager"]
    report, words = reconcile(stack, declared)
    assert {slug: f"plugin {slug}: {why}" for slug, why in REFUSED.items()} == {
        slug: next((line for line in words.splitlines() if line.startswith(f"plugin {slug}: {why}")), "")[
            : len(f"plugin {slug}: {why}")
        ]
        for slug, why in REFUSED.items()
    }
    assert len(report["refused"]) == len(REFUSED)
    assert [change["what"] for change in report["changes"]] == [
        "plugin zapfen", "plugin laut", "plugin weiter", "user knecht: role",
    ]  # fmt: skip
    notes = "\n".join(report["notes"])
    for note in ("it prints: Hallo Welt", "warning: Undefined variable $nothing (plugins/laut/laut.php:2)",
                 "Table 'site_brache.hafen_laut' doesn't exist"):  # fmt: skip
        assert notes.count(f"plugin laut: {note}") == 1 or notes.count(note) == 1, notes
    assert brache.sql("SHOW TABLES LIKE 'hafen_laut'") == "hafen_laut"
    assert brache.wordpress("user_can(get_user_by('login', 'knecht'), 'sell')") is True

    declared["plugins"] = ["zapfen", "laut", "weiter"]
    report, _ = reconcile(stack, declared)
    assert (report["changes"], report["notes"]) == ([], [])
    # The role goes with a broken list; its plugin makes it again.
    brache.sql("UPDATE hafen_options SET option_value = 'a:5:{' WHERE option_name = 'hafen_user_roles'")
    report, _ = reconcile(stack, declared)
    assert report["refused"] == []
    assert brache.wordpress("user_can(get_user_by('login', 'knecht'), 'sell')") is True
    # Without its plugin, nobody can have it.
    declared["plugins"] = []
    brache.sql("UPDATE hafen_options SET option_value = '' WHERE option_name = 'hafen_user_roles'")
    report, words = reconcile(stack, declared)
    assert words.startswith('user knecht: there is no role "shop_manager"; there are: administrator, ')


LOOK = [
    "anybody can register, and becomes administrator",
    "new users become administrator (default_role)",
    "user pirat administers the site (administrator), and nobody declares it; registered 2025-05-05",
    "user moewe may, beyond its role author: unfiltered_html",
    'user bauer has an application password "Kran", made 2023-11-14, last used never',
    "role contributor may: edit_theme_options, which WordPress does not give it",
    'a scheduled event "fremder_haken"',
    "code in wp-content: .user.ini",
    "code in wp-content: shell.php",
]


@pytest.mark.destructive
def test_what_an_intruder_leaves_is_worth_a_look(declared: dict[str, Any], stack: Stack, brache: Site) -> None:
    """It is listed in a report, and left alone."""
    declared |= {"check": True, "look": True}
    assert reconcile(stack, declared)[0]["worth_a_look"] == []
    brache.container.run("sh", "-c", "cd /srv/sites/brache/wp-content && touch shell.php .user.ini")
    brache.sql(
        "UPDATE hafen_options SET option_value = '1' WHERE option_name = 'users_can_register';"
        "UPDATE hafen_options SET option_value = 'administrator' WHERE option_name = 'default_role';"
        "INSERT INTO hafen_users (user_login, user_email, user_registered) VALUES ('pirat', 'p@x.test', '2025-05-05'),"
        " ('moewe', 'm@x.test', '2025-05-05');"
        "INSERT INTO hafen_usermeta (user_id, meta_key, meta_value) SELECT ID, 'hafen_capabilities',"
        " IF(user_login = 'pirat', 'a:1:{s:13:\"administrator\";b:1;}',"
        ' \'a:2:{s:6:"author";b:1;s:15:"unfiltered_html";b:1;}\')'
        " FROM hafen_users WHERE user_login IN ('pirat', 'moewe');"
        "INSERT INTO hafen_usermeta (user_id, meta_key, meta_value) SELECT ID, '_application_passwords',"
        ' \'a:1:{i:0;a:3:{s:4:"name";s:4:"Kran";s:7:"created";i:1700000000;s:9:"last_used";N;}}\''
        " FROM hafen_users WHERE user_login = 'bauer'"
    )
    brache.wordpress("[wp_schedule_event(time() + 9999, 'daily', 'fremder_haken'), wp_cache_flush(),"
                     " get_role('contributor')->add_cap('edit_theme_options')]")  # fmt: skip
    report, _ = reconcile(stack, declared)
    found = report["worth_a_look"]
    try:
        assert report["changes"] == []
        assert len(found) == len(LOOK), found
        assert [words for words in LOOK if not any(line.startswith(words) for line in found)] == []
        assert reconcile(stack, declared | {"check": False})[0]["changes"] == []
        assert reconcile(stack, declared)[0]["worth_a_look"] == found, "a run has repaired it"
        assert reconcile(stack, declared | {"look": False})[0]["worth_a_look"] == []
    finally:
        brache.container.run("sh", "-c", "cd /srv/sites/brache/wp-content && rm shell.php .user.ini")
        brache.sql(
            "DELETE m FROM hafen_usermeta m JOIN hafen_users u ON u.ID = m.user_id"
            " WHERE u.user_login IN ('pirat', 'moewe') OR m.meta_key = '_application_passwords';"
            "DELETE FROM hafen_users WHERE user_login IN ('pirat', 'moewe');"
            "UPDATE hafen_options SET option_value = '0' WHERE option_name = 'users_can_register';"
            "UPDATE hafen_options SET option_value = 'subscriber' WHERE option_name = 'default_role'"
        )
        brache.wordpress("[wp_clear_scheduled_hook('fremder_haken'), wp_cache_flush(),"
                         " get_role('contributor')->remove_cap('edit_theme_options')]")  # fmt: skip
