"""A site whose domain and port change: what its tables hold of the old address follows, all of it and nothing else."""

from __future__ import annotations

import dataclasses
import json
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import Runs
from tests.support.stack import Stack
from tests.support.wordpress import said

Site = Any

OLD = "https://hafen.example.test:8445"
NEW = "https://neuer-hafen.example.test:9443"
NEAR = (
    "https://hafen.example.test:84450/ https://hafen.example.test/ https://hafen.example.test:8445.evil.test/"
    " https://neu.hafen.example.test:8445/ ftp://hafen.example.test:8445/ info@hafen.example.test"
)
"""What is like the old address, and none of the site's."""
OWNERS_PASSWORD = (
    '  "; DROP TABLE users; -- {{ 7 * 7 }} {% raw %}{% endraw %} $HOME $(id) `id` %s %25 & | !'
    " <?php echo 1 ?> \\ \\' \\n ü 漢 🦀 # "
)

PLANT = """(function () {
    $old = 'OLD';
    $deep = [
        'a' => [$old, ['ü 漢 🦀' => "$old/ü"], 7, 1.5, null], 'text' => serialize(['x' => serialize([$old])]),
        'object' => (object) ['url' => "$old/o"], 'json' => json_encode(['u' => "$old/j"]), 'near' => 'NEAR',
    ];
    $block = '<!-- wp:group {"url":"' . str_replace('/', '\\\\/', "$old/b")
        . '","text":"\\u003ca href=\\u0022' . $old . '\\u0022"} -->';
    $post = wp_insert_post(wp_slash(['post_title' => 'Umzug', 'post_status' => 'publish', 'post_name' => 'umzug',
        'post_content' => "$block<img src=\\"$old/wp-content/x.png\\"> http://hafen.example.test:8445/"
            . ' //hafen.example.test:8445/ https://share.test/?u=' . urlencode("$old/teilen") . ' NEAR',
        'post_excerpt' => $old, 'guid' => "$old/?p=umzug"]));
    add_post_meta($post, 'umzug', wp_slash($deep));
    add_post_meta($post, 'umzug_json', wp_slash(json_encode($deep)));
    $comment = wp_insert_comment(wp_slash(['comment_post_ID' => $post, 'comment_content' => "Siehe $old/x.",
        'comment_author_url' => $old, 'comment_approved' => 1]));
    add_comment_meta($comment, 'umzug', $deep);
    $term = wp_insert_term('Umzug', 'category', ['description' => "<a href=\\"$old/t\\">"])['term_id'];
    add_term_meta($term, 'umzug', $deep);
    $user = get_user_by('login', 'lotse')->ID;
    wp_update_user(['ID' => $user, 'user_url' => "$old/lotse"]);
    update_user_meta($user, 'description', "Mehr: $old/lotse");
    update_user_meta($user, 'umzug', $deep);
    update_option('umzug', $deep);
    update_option('umzug_near', ['NEAR', 'NEAR']);
    update_option('widget_text', [2 => ['title' => $old, 'text' => "<a href='$old/w'>"], '_multiwidget' => 1]);
    set_theme_mod('umzug', ['image' => "$old/wp-content/uploads/kopf.jpg"]);
    return [$post, $comment, $term, $user];
})()"""

READ = """(function () {
    [$post, $comment, $term, $user] = IDS;
    $open = function ($value) use (&$open) {
        $value = is_object($value) ? (array) $value : $value;
        if (is_array($value)) {
            return array_map($open, $value);
        }
        return is_serialized($value) ? $open(unserialize($value)) : $value;
    };
    return $open([
        get_post($post)->post_content, get_post($post)->post_excerpt, get_post_meta($post, 'umzug', true),
        json_decode(get_post_meta($post, 'umzug_json', true)), get_comment($comment)->comment_content,
        get_comment($comment)->comment_author_url, get_comment_meta($comment, 'umzug', true),
        get_term($term)->description, get_term_meta($term, 'umzug', true), get_userdata($user)->user_url,
        get_user_meta($user, 'description', true), get_user_meta($user, 'umzug', true), get_option('umzug'),
        get_option('umzug_near'), get_option('widget_text')[2], get_theme_mod('umzug'), get_permalink($post),
        home_url('/'), site_url('/'),
    ]);
})()"""

UNPLANT = """(function () {
    [$post, $comment, $term, $user] = IDS;
    wp_delete_post($post, true);
    wp_delete_term($term, 'category');
    wp_update_user(['ID' => $user, 'user_url' => '']);
    array_map(fn ($key) => delete_user_meta($user, $key), ['description', 'umzug']);
    array_map('delete_option', ['umzug', 'umzug_near', 'widget_text']);
    remove_theme_mod('umzug');
    return true;
})()"""

TABLES = f"""
CREATE TABLE hafen_x_numbered (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, url TEXT, note VARCHAR(200), raw BLOB,
    changed TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP,
    twin TEXT AS (CONCAT(url, '!')) VIRTUAL) DEFAULT CHARSET=utf8mb4;
INSERT INTO hafen_x_numbered (url, note, raw)
    SELECT '{OLD}/', IF(seq % 2, 'ü {OLD}', NULL), '{OLD}' FROM seq_1_to_450;
INSERT INTO hafen_x_numbered (url, note) VALUES ('{NEAR}', '{NEAR}');
CREATE TABLE hafen_x_named (kind VARCHAR(20), name VARCHAR(99), value LONGTEXT, PRIMARY KEY (kind, name))
    DEFAULT CHARSET=utf8mb4;
INSERT INTO hafen_x_named SELECT 'a', CONCAT('{OLD}/', seq), 'a:1:{{i:0;s:31:"{OLD}";}}' FROM seq_1_to_250;
INSERT INTO hafen_x_named VALUES ('b', '{OLD}', '1'), ('b', '{NEW}', '2'), ('c', 'x', '{NEAR}');
CREATE TABLE hafen_x_rows (n DOUBLE, line VARCHAR(200), data BLOB) DEFAULT CHARSET=latin1;
INSERT INTO hafen_x_rows VALUES
    (0.1, 'Käpt''n {OLD}', x'ff00'), (0.1, 'Käpt''n {OLD}', x'ff00'), (NULL, '{OLD}', NULL), (2, '{NEAR}', NULL);
CREATE TABLE hafen_x_old (id INT PRIMARY KEY, line TEXT) ENGINE=MyISAM DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO hafen_x_old VALUES (1, 'HTTPS://Hafen.Example.Test:8445/');
CREATE TABLE hafen_x_short (id INT PRIMARY KEY, url VARCHAR(33), broken TEXT) DEFAULT CHARSET=utf8mb4;
INSERT INTO hafen_x_short VALUES
    (1, '{OLD}', NULL), (2, '//hafen.example.test:8445', 'a:1:{{i:0;s:99:"{OLD}";}}'),
    (3, NULL, 'a:1:{{i:0;s:99:"x";}}');
CREATE TABLE hafen_x_unique (id INT PRIMARY KEY, url VARCHAR(99), UNIQUE KEY (url(31))) DEFAULT CHARSET=utf8mb4;
INSERT INTO hafen_x_unique VALUES (1, '{OLD}/a'), (2, '{NEW}/b');
INSERT INTO hafen_options (option_name, option_value, autoload) VALUES
    ('_transient_umzug', '{OLD}', 'off'), ('_transient_timeout_umzug', '9999999999', 'off'),
    ('_transient_bleibt', 'x', 'off'), ('_transient_timeout_bleibt', '9999999999', 'off');
"""  # noqa: S608 -- constants
"""Of plugins that nobody here knows, in all the ways in which tables are made."""
DROP = (
    "DROP TABLE IF EXISTS hafen_x_numbered, hafen_x_named, hafen_x_rows, hafen_x_old, hafen_x_short, hafen_x_unique;"
    " DELETE FROM hafen_options WHERE option_name LIKE '\\_transient%bleibt' OR option_name LIKE '\\_transient%umzug'"
)

PLUGINS = [
    f'address in hafen_x_named.name: "{OLD}" -> "{NEW}" (250 values)',
    f"address in hafen_x_named.name: left alone, because another row has the new one (b, {OLD}) (1 value)",
    f'address in hafen_x_named.value: "{OLD}" -> "{NEW}" (250 values)',
    f'address in hafen_x_numbered.note: "{OLD}" -> "{NEW}" (225 values)',
    f'address in hafen_x_numbered.url: "{OLD}" -> "{NEW}" (450 values)',
    f'address in hafen_x_old.line: "{OLD}" -> "{NEW}" (1 value)',
    f'address in hafen_x_rows.line: "{OLD}" -> "{NEW}" (2 values)',
    "address in hafen_x_short.broken: left alone, because the serialised data cannot be read (2) (1 value)",
    "address in hafen_x_short.url: left alone, because the new one does not fit (1; 2) (2 values)",
    "address in hafen_x_unique.url: left alone, because another row has the new one (1) (1 value)",
]
"""What a run says about those tables; equal rows without a key are one."""


def forms(url: str) -> list[str]:
    """Return the ways in which an address stands in texts."""
    return [url, url.replace("/", "\\/"), urllib.parse.quote(url, safe="")]


def places(site: Site, url: str) -> dict[str, int]:
    """Count the values of all columns of text that hold an address in any form, ask the database for it."""
    columns = site.sql(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = DATABASE() AND CHARACTER_SET_NAME IS NOT NULL AND IS_GENERATED = 'NEVER'"
    )
    likes = " OR ".join(f"LOCATE('{form}', CONVERT(%s USING utf8mb4)) > 0" for form in
                        (form.replace("\\", "\\\\") for form in forms(url.removeprefix("https:"))))  # fmt: skip
    questions = [
        f"SELECT '{table}.{column}', COUNT(*) FROM `{table}` WHERE {likes.replace('%s', f'`{column}`')}"  # noqa: S608
        for table, column in (line.split("\t") for line in columns.splitlines())
    ]
    counts = (line.split("\t") for line in site.sql(" UNION ALL ".join(questions)).splitlines())
    return {place: int(count) for place, count in counts if count != "0"}


@pytest.fixture
def moved(runs: Runs, hafen: Site, tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """Return a site as it is declared with another domain and port, and the argument that declares it so."""
    text = (runs.scenario / "group_vars/all.yml").read_text()
    for before, after in (
        (hafen.domain, "neuer-hafen.example.test"),
        ("nginx_https_port: 8445", "nginx_https_port: 9443"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    variables = tmp_path / "moved.yml"
    variables.write_text(text)
    yield dataclasses.replace(hafen, host="neuer-hafen.example.test", port=9443), f"--extra-vars=@{variables}"
    assert runs.converge().changes == [], "the test has moved it back"


def test_address_in_values(stack: Stack, hafen: Site) -> None:
    """Every form that an address has in a stored value, and what only looks like one."""
    copy = "docker exec --interactive %s sh -c 'cat > /tmp/address_test.php' < /root/address_test.php"
    stack.host.check_output(copy, hafen.container.name)
    result = hafen.container.run("php", "/tmp/address_test.php", "/usr/local/lib/wordpress/address.php")  # noqa: S108
    hafen.container.run("rm", "/tmp/address_test.php")  # noqa: S108 -- of the container
    assert result.rc == 0, result.stdout + result.stderr
    assert result.stdout.count("\nok ") > 100


@pytest.mark.destructive
def test_content_follows_domain_and_port(runs: Runs, hafen: Site, moved: tuple[Site, str]) -> None:
    """A check run predicts what one run does; the next has nothing to do. The way back is another move."""
    new, declared = moved
    hafen.sql(DROP)
    hafen.sql(TABLES)
    planted = hafen.wordpress(PLANT.replace("OLD", OLD).replace("NEAR", NEAR))
    read = READ.replace("IDS", json.dumps(planted))
    try:
        before, found = hafen.wordpress(read), places(hafen, OLD)
        assert found["hafen_posts.post_content"] >= 1, "control"

        check = runs.play("converge.yml", "--check", declared)
        assert check.returncode == 0, check.stdout + check.stderr
        predicted = said(check.stdout, "hafen")
        assert places(hafen, OLD) == found, "a check run has changed something"
        assert hafen.option("pressdock_addresses") == f'["{OLD}"]'

        run = runs.play("converge.yml", declared)
        assert run.returncode == 0, run.stdout + run.stderr
        assert said(run.stdout, "hafen") == predicted
        assert sorted(line for line in predicted if "hafen_x_" in line) == PLUGINS
        assert 'address in transients of hafen_options: "stored" -> "deleted" (1 value)' in predicted

        assert_moved(new, before, read)
        assert runs.converge(declared).changes == []
    finally:
        assert runs.play("converge.yml").returncode == 0
        hafen.wordpress(UNPLANT.replace("IDS", json.dumps(planted)))
    left = places(hafen, NEW)
    # Of what WordPress itself has made meanwhile.
    left.pop("hafen_posts.guid", None)
    assert left == {"hafen_x_named.name": 1, "hafen_x_unique.url": 1}
    hafen.sql(DROP)


def assert_moved(site: Site, before: Any, read: str) -> None:
    """Raise unless everything is at the new address, as WordPress and as SQL see it."""
    text = json.dumps(before, ensure_ascii=False)
    text = text.replace(NEAR, "NEAR")
    for old, new in zip([*forms(OLD), "http://hafen.example.test:8445", "//hafen.example.test:8445"],
                        [*forms(NEW), NEW, NEW], strict=True):  # fmt: skip
        text = text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
    expected = json.loads(text.replace("NEAR", NEAR))
    after = site.wordpress(read)
    for number, (found, wanted) in enumerate(zip(after, expected, strict=True)):
        assert found == wanted, f"value {number}"
    # The guid of what was there before, what cannot follow, and bytes that are no text.
    left = places(site, OLD)
    # As names that are like the old one contain its characters, those of the near misses are counted too.
    ours = {place for place in left if not place.startswith("hafen_x_")}
    near = {"hafen_posts.post_content", "hafen_postmeta.meta_value", "hafen_commentmeta.meta_value",
            "hafen_termmeta.meta_value", "hafen_usermeta.meta_value", "hafen_options.option_value"}  # fmt: skip
    assert ours == near | {"hafen_posts.guid"}
    numbered = site.sql(
        f"SELECT COUNT(*), SUM(url = '{NEW}/'), SUM(note = 'ü {NEW}'), SUM(raw = '{OLD}'),"  # noqa: S608 -- constants
        " SUM(changed = '2020-01-01 00:00:00'), SUM(twin = CONCAT(url, '!')) FROM hafen_x_numbered"
    )
    assert numbered.split() == ["451", "450", "225", "450", "451", "451"]
    assert site.sql(f"SELECT COUNT(*) FROM hafen_x_numbered WHERE BINARY url = '{NEAR}' AND BINARY note = url") == "1"  # noqa: S608
    named = site.sql(f"SELECT COUNT(DISTINCT name), MIN(value) FROM hafen_x_named WHERE name LIKE '{NEW}/%'")  # noqa: S608
    assert named == f'250\ta:1:{{i:0;s:{len(NEW)}:"{NEW}";}}'
    rows = site.sql("SELECT n, line, HEX(data) FROM hafen_x_rows ORDER BY line")
    assert sorted(rows.splitlines()) == sorted(
        [f"2\t{NEAR}\tNULL", f"NULL\t{NEW}\tNULL", *[f"0.1\tKäpt'n {NEW}\tFF00"] * 2]
    )
    assert site.sql("SELECT line FROM hafen_x_old") == f"{NEW}/"
    names = "SELECT option_name FROM hafen_options WHERE option_name LIKE '%umzug' OR option_name LIKE '%bleibt'"
    assert set(site.sql(names).split()) == {"_transient_bleibt", "_transient_timeout_bleibt", "umzug"}
    assert site.option("pressdock_addresses") == f'["{NEW}"]'
    assert (site.option("home"), site.option("siteurl")) == (NEW, NEW)
    assert site.logs_in("kapitaen", OWNERS_PASSWORD)
    page = site.ask()
    assert "//hafen.example.test:8445" not in page.replace(NEAR, "")
    assert f"{NEW}/" in page


@pytest.mark.destructive
def test_address_that_somebody_has_changed_is_no_move(runs: Runs, hafen: Site) -> None:
    """Home goes back; what links to the other address was meant so."""
    other = "https://elsewhere.example.test"
    post = hafen.wordpress(f"wp_insert_post(['post_title' => 'x', 'post_content' => '{other}/ {OLD}/'])")
    try:
        hafen.sql(f"UPDATE hafen_options SET option_value = '{other}' WHERE option_name IN ('home', 'siteurl')")  # noqa: S608
        run = runs.play("converge.yml")
        assert [line.partition(":")[0] for line in said(run.stdout, "hafen")] == ["option siteurl", "option home"]
        content = hafen.sql(f"SELECT post_content FROM hafen_posts WHERE ID = {post}")  # noqa: S608 -- a number
        assert content == f"{other}/ {OLD}/"
    finally:
        hafen.wordpress(f"(bool) wp_delete_post({post}, true)")


# --- Killed ---------------------------------------------------------------------------------------------------------

PROCESS = "docker exec --interactive quayside-wordpress-brache sh /usr/local/lib/wordpress/reconcile"
ROWS = 12000


def moving(stack: Stack, url: str, kind: str = "repair") -> str:
    """Write the site's declared state with another address, and return the command that takes it."""
    write = (
        'python3 -c \'import json, sys; state = json.load(open(sys.argv[2])); state["url"] = sys.argv[1];'
        ' json.dump(state, open(sys.argv[3], "w"))\' %s %s %s'
    )
    stack.host.check_output(write, url, f"/root/brache-{kind}.json", f"/root/brache-moved-{kind}.json")
    return f"{PROCESS} < /root/brache-moved-{kind}.json"


def many(report: str) -> int:
    """Return how many rows a reconciler has changed (would change) in the large table."""
    return sum(change["values"] for change in json.loads(report)["changes"] if "hafen_x_many" in change["what"])


def number(site: Site, url: str) -> int:
    """Count the rows with an address."""
    return int(site.sql(f"SELECT COUNT(*) FROM hafen_x_many WHERE line LIKE '%{url}/%'"))  # noqa: S608


def move_and_kill(stack: Stack, site: Site, url: str) -> None:
    """Begin a move, and kill it by the kernel as soon as it has changed some of the rows."""
    stack.host.check_output(f"({moving(stack, url)} > /root/killed.log 2>&1) > /dev/null 2>&1 & true")
    deadline = time.monotonic() + 60
    while not number(site, url):
        assert time.monotonic() < deadline, stack.host.check_output("cat /root/killed.log")
    stack.host.run("pkill -KILL -f '^php /usr/local/lib/wordpress/reconcile.php'")
    deadline = time.monotonic() + 20
    while stack.host.run("pgrep -f '^php /usr/local/lib/wordpress/reconcile.php'").rc == 0:
        assert time.monotonic() < deadline, "it does not die"


@pytest.mark.thorough
@pytest.mark.destructive
def test_killed_move_is_finished_by_the_next_run(stack: Stack, runs: Runs, brache: Site) -> None:
    """Killed on the way to one address, then on the way to another one: the last one is everywhere in the end."""
    assert runs.play("declared.yml").returncode == 0
    urls = [brache.url, "https://zwischenhalt.example.test", "https://brache.example.test"]
    brache.sql("DROP TABLE IF EXISTS hafen_x_many")
    brache.sql("CREATE TABLE hafen_x_many (id INT PRIMARY KEY, line TEXT) DEFAULT CHARSET=utf8mb4")
    brache.sql(
        f"INSERT INTO hafen_x_many SELECT seq, 'a:1:{{i:0;s:{len(urls[0]) + 2}:\"{urls[0]}/x\";}}' FROM seq_1_to_{ROWS}"  # noqa: S608
    )
    try:
        for url in urls[1:]:
            move_and_kill(stack, brache, url)
            counts = [number(brache, each) for each in urls]
            assert sum(counts) == ROWS, counts
            assert 0 < counts[urls.index(url)] < ROWS, f"not killed in the middle: {counts}"
            # Whole batches, nothing half.
            assert counts[urls.index(url)] % 200 == 0
            known = json.loads(brache.option("pressdock_addresses"))
            assert known == urls[: urls.index(url) + 1]
        left = ROWS - number(brache, urls[2])
        assert many(stack.host.check_output(moving(stack, urls[2], "check"))) == left
        assert many(stack.host.check_output(moving(stack, urls[2]))) == left
        assert [number(brache, each) for each in urls] == [0, 0, ROWS]
        line = brache.sql("SELECT DISTINCT line FROM hafen_x_many")
        assert line == f'a:1:{{i:0;s:{len(urls[2]) + 2}:"{urls[2]}/x";}}'
        assert brache.option("pressdock_addresses") == f'["{urls[2]}"]'
        assert '"changes":[]' in stack.host.check_output(moving(stack, urls[2]))
    finally:
        brache.sql("DROP TABLE IF EXISTS hafen_x_many")
        assert runs.play("converge.yml").returncode == 0
    assert brache.option("home") == brache.url


@pytest.mark.thorough
@pytest.mark.destructive
def test_write_that_the_database_refuses_ends_the_run(stack: Stack, runs: Runs, brache: Site) -> None:
    """It says so, instead of forgetting the place; the next run finishes."""
    assert runs.play("declared.yml").returncode == 0
    url = "https://brache.example.test"
    brache.sql(
        "DROP TABLE IF EXISTS hafen_x_refused; CREATE TABLE hafen_x_refused (id INT PRIMARY KEY, line TEXT);"  # noqa: S608
        f" INSERT INTO hafen_x_refused VALUES (1, '{brache.url}');"
        " CREATE TRIGGER refuse BEFORE UPDATE ON hafen_x_refused FOR EACH ROW SIGNAL SQLSTATE '45000'"
        " SET MESSAGE_TEXT = 'not today'"
    )
    try:
        refused = stack.host.run(moving(stack, url))
        assert refused.rc == 1
        assert "not today" in refused.stderr
        assert json.loads(brache.option("pressdock_addresses")) == [brache.url, url]
        brache.sql("DROP TRIGGER refuse")
        assert stack.host.run(moving(stack, url)).rc == 0
        assert brache.sql("SELECT line FROM hafen_x_refused") == url
    finally:
        brache.sql("DROP TABLE hafen_x_refused")
        assert runs.play("converge.yml").returncode == 0


@pytest.mark.thorough
@pytest.mark.destructive
def test_move_that_only_lacks_its_end_is_ended(runs: Runs, brache: Site) -> None:
    """A check says so as well, and the run after it nothing."""
    addresses = '["https://old.example.test", "https://brache.example.test:8445"]'
    brache.sql(f"UPDATE hafen_options SET option_value = '{addresses}' WHERE option_name = 'pressdock_addresses'")  # noqa: S608
    expected = ['address: "https://old.example.test" -> "https://brache.example.test:8445" (0 values)']
    assert said(runs.play("converge.yml", "--check").stdout, "brache") == expected
    assert said(runs.play("converge.yml").stdout, "brache") == expected
    assert runs.converge().changes == []
