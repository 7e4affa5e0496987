"""The sites as WordPress, FPM and the database tell about them, and what their containers can reach."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import sys
import time
from typing import Any

import pytest

from filter_plugins.brought import IN_IMAGE, PLUGINS, THEMES
from filter_plugins.secrets import derive_secret
from tests.support.runs import Runs
from tests.support.stack import Stack

# Said a second time: the values of group_vars, where YAML and Jinja had to be got through. Spaces at the ends are not
# part of a password: WordPress removes them from what is typed.
TITLE = 'Käpt\'n "Blau" & Söhne \\ 100 %'
TAGLINE = 'Leinen los! "Ahoi" & \\ %s'
OWNERS_PASSWORD = (
    '  "; DROP TABLE users; -- {{ 7 * 7 }} {% raw %}{% endraw %} $HOME $(id) `id` %s %25 & | !'
    " <?php echo 1 ?> \\ \\' \\n ü 漢 🦀 # "
)
EDITORS_PASSWORD = "-- it's #{{ lookup('pipe', 'id') }}' @:> \\0\\\\"

# tests.conftest cannot be imported by a name that mypy would know.
Site = Any


@pytest.fixture(params=["hafen", "laden"])
def site(request: pytest.FixtureRequest) -> Site:
    """Return each site in turn."""
    return request.getfixturevalue(request.param)


# --- Declared values -----------------------------------------------------------------------------------------------


def test_german_site(hafen: Site) -> None:
    found = hafen.wordpress(
        "['title' => get_option('blogname'), 'tagline' => get_option('blogdescription'), 'locale' => get_locale(),"
        " 'zone' => wp_timezone_string(), 'links' => get_option('permalink_structure'), 'url' => home_url(),"
        " 'core' => site_url(), 'posts' => get_option('posts_per_page'),"
        " 'pings' => get_option('default_comment_status'),"
        " 'theme' => get_stylesheet(), 'plugins' => get_option('active_plugins'), 'words' => __('Log Out'),"
        " 'mail' => get_option('admin_email')]"
    )
    assert (html.unescape(found.pop("title")), html.unescape(found.pop("tagline"))) == (TITLE, TAGLINE)
    assert found == {
        "locale": "de_DE", "zone": "Europe/Berlin", "links": "/logbuch/%postname%/", "url": hafen.url,
        "core": hafen.url, "posts": "7", "pings": "closed", "theme": "twentytwentyfive",
        "plugins": ["akismet/akismet.php"], "words": "Abmelden", "mail": "kapitaen@example.test",
    }  # fmt: skip


def test_french_site(laden: Site) -> None:
    found = laden.wordpress(
        "['title' => get_option('blogname'), 'locale' => get_locale(), 'zone' => wp_timezone_string(),"
        " 'links' => get_option('permalink_structure'), 'url' => home_url(), 'public' => get_option('blog_public'),"
        " 'size' => get_option('thumbnail_size_w'), 'plugins' => get_option('active_plugins'),"
        " 'words' => __('Log Out')]"
    )
    assert found == {
        "title": "La boutique", "locale": "fr_FR", "zone": "America/St_Johns", "links": "/archives/%post_id%",
        "url": laden.url, "public": "0", "size": "123", "plugins": [], "words": "Se déconnecter",
    }  # fmt: skip


def test_database_holds_the_same(hafen: Site, laden: Site) -> None:
    """Not only WordPress, which has the address from its configuration, says so."""
    assert html.unescape(hafen.option("blogname")) == TITLE
    for site in (hafen, laden):
        assert (site.option("siteurl"), site.option("home")) == (site.url, site.url)


def test_users(hafen: Site, laden: Site) -> None:
    users = (
        "array_map(fn ($u) => [$u->user_login, $u->user_email, array_values($u->roles),"
        " preg_replace('/^Author [0-9a-f]{4}$/D', 'Author', $u->display_name)], get_users())"
    )
    assert sorted(hafen.wordpress(users)) == [
        ["heizer", "heizer@example.test", ["contributor"], "Meyer &amp; Söhne"],
        ["kapitaen", "kapitaen@example.test", ["administrator"], "Der Kapitän"],
        ["lotse", "lotse@example.test", ["editor"], "Author"],
    ]
    assert sorted(laden.wordpress(users)) == [
        ["patron", "patron@example.test", ["administrator"], "Author"],
        ["vendeur", "vendeur@example.test", ["author", "subscriber"], "Author"],
    ]


def test_given_passwords_log_in(hafen: Site) -> None:
    """Exactly those: by the form that people use."""
    for login, password in (("kapitaen", OWNERS_PASSWORD), ("lotse", EDITORS_PASSWORD)):
        assert hafen.logs_in(login, password)
        assert not hafen.logs_in(login, password[:-2])
    assert not hafen.logs_in("kapitaen", "a known password")


def test_derived_passwords_log_in(laden: Site, hafen: Site, installation_key: str) -> None:
    """With the version that is declared: the owner's was raised once."""
    owner, author = "wordpress/laden/patron", "wordpress/laden/vendeur"
    assert laden.logs_in("patron", derive_secret(installation_key, owner, 2))
    assert not laden.logs_in("patron", derive_secret(installation_key, owner, 1))
    assert laden.logs_in("vendeur", derive_secret(installation_key, author, 1))
    assert hafen.logs_in("heizer", derive_secret(installation_key, "wordpress/hafen/heizer", 1))


def test_given_passwords_are_in_no_output(runs: Runs) -> None:
    output = runs.output()
    assert "Sites | Compare and repair" in output
    for part in ("DROP TABLE users; --", "lookup('pipe', 'id')"):
        assert part not in output


# --- Core ----------------------------------------------------------------------------------------------------------


def test_web_server_gets_no_php(stack: Stack, hafen: Site) -> None:
    """Of core's scripts not a byte, so that no mistake in a route shows their source; all static files as they are."""
    digests = "find . -type f ! -path './wp-content/languages/*' ! -name 'ca-bundle.crt' -exec sha256sum {} + | sort"
    image = stack.host.check_output("docker images --quiet %s/wordpress_core", stack.name).split()[0]
    served = stack.host.check_output(
        "docker run --rm --network none --workdir /served %s sh -c %s", image, digests
    ).splitlines()
    held = set(hafen.container.run("sh", "-c", f"cd /usr/share/wordpress && {digests}").stdout.splitlines())
    scripts = {name: digest for digest, name in (line.split("  ./") for line in served) if name.endswith(".php")}
    assert set(scripts.values()) == {hashlib.sha256(b"").hexdigest()}
    assert {name for name in scripts if "/" not in name} == {
        "index.php", "wp-login.php", "wp-comments-post.php", "xmlrpc.php",
    }  # fmt: skip
    assert {name.rpartition("/")[0] for name in scripts} == {"", "wp-admin", "wp-admin/network", "wp-admin/user"}
    assert {"wp-admin/index.php", "wp-admin/admin-ajax.php", "wp-admin/network/sites.php"} <= set(scripts)
    for name in ("install", "install-helper", "setup-config", "upgrade", "upgrade-functions", "network/setup"):
        assert f"wp-admin/{name}.php" not in scripts
    assert {line for line in served if not line.endswith(".php")} == {
        line for line in held if not re.search(r"\.php$|/wp-admin/maint/|  \./(?:readme\.html|license\.txt)$", line)
    }


# --- FPM -----------------------------------------------------------------------------------------------------------


def test_fpm_shows_the_site(hafen: Site, laden: Site) -> None:
    for site, title, language in ((hafen, TITLE, "de"), (laden, "La boutique", "fr-FR")):
        page = html.unescape(site.ask())
        assert title in page
        assert f'lang="{language}' in page
        assert "Status:" not in page.partition("\r\n\r\n")[0]
        # 404 for what is not there, by WordPress itself: it knows its permalinks.
        assert "Status: 404" in site.ask(REQUEST_URI="/missing/", DOCUMENT_URI="/missing/")


def test_permalinks_work(hafen: Site) -> None:
    link = hafen.wordpress("get_permalink(get_posts(['numberposts' => 1])[0])")
    path = link.removeprefix(hafen.url)
    assert path.startswith("/logbuch/")
    answer = hafen.ask(REQUEST_URI=path)
    assert "Status:" not in answer.partition("\r\n\r\n")[0]
    assert "<article" in answer or "wp-block-post-title" in answer


def test_installation_pages_are_closed(site: Site) -> None:
    assert "Status: 503" in site.ask("/wp-admin/install.php")
    assert "Status: 404" in site.ask("/wp-admin/setup-config.php")


def test_logins_are_not_told(hafen: Site) -> None:
    assert "Status: 401" in hafen.ask(REQUEST_URI="/wp-json/wp/v2/users")
    assert "Status: 404" in hafen.ask(REQUEST_URI="/?author=1", QUERY_STRING="author=1")
    # The same question as a form; without it the address is the front page.
    for form, status in (("author=1", True), ("colour=1", False)):
        assert ("Status: 404" in hafen.ask(body=form)) == status, form
    unknown, wrong = (
        hafen.ask("/wp-login.php", f"log={login}&pwd=wrong", HTTP_COOKIE="wordpress_test_cookie=WP%20Cookie%20check")
        for login in ("nobody", "kapitaen")
    )
    assert "login_error" in unknown
    assert unknown.replace("nobody", "kapitaen").partition("\r\n\r\n")[2] == wrong.partition("\r\n\r\n")[2]


def test_names_of_users_are_not_their_logins(hafen: Site, laden: Site, brache: Site) -> None:
    """In addresses, classes, feeds: all that WordPress makes of a user's name there, or of the display name."""
    names = "array_map(fn ($u) => [$u->user_login, $u->user_nicename, $u->nickname], get_users())"
    for site in (hafen, laden, brache):
        for login, nicename, nickname in site.wordpress(names):
            assert re.fullmatch("author-[0-9a-f]{10}", nicename), login
            assert login not in nickname
    owner = next(nicename for login, nicename, _ in hafen.wordpress(names) if login == "kapitaen")
    assert "Status: 404" not in hafen.ask(REQUEST_URI=f"/logbuch/author/{owner}/"), "control"
    # A login is as unknown as any other word, and who has published nothing is nobody.
    idle = next(nicename for login, nicename, _ in hafen.wordpress(names) if login == "heizer")
    for name in ("kapitaen", "nobody", idle):
        assert "Status: 404" in hafen.ask(REQUEST_URI=f"/logbuch/author/{name}/"), name
        assert "Status: 404" in hafen.ask(REQUEST_URI=f"/?author_name={name}", QUERY_STRING=f"author_name={name}"), name
    feeds = (
        "/feed/",
        "/feed/atom/",
        "/comments/feed/",
        "/wp-sitemap.xml",
        "/wp-sitemap-users-1.xml",
        "/",
        f"/logbuch/author/{owner}/",
    )
    for address in feeds:
        assert "kapitaen" not in hafen.ask(REQUEST_URI=address).partition("\r\n\r\n")[2], address
        assert "patron" not in laden.ask(REQUEST_URI=address).partition("\r\n\r\n")[2], address
    assert "<dc:creator><![CDATA[Der Kapit" in hafen.ask(REQUEST_URI="/feed/"), "control"


def test_forms_do_not_tell_who_there_is(hafen: Site) -> None:
    """By words: the one for a lost password, and what programs send; nor by time, for each has a password hashed."""
    asked = [
        hafen.ask(
            "/wp-login.php",
            f"user_login={login}",
            QUERY_STRING="action=lostpassword",
            REQUEST_URI="/wp-login.php?action=lostpassword",
        )
        for login in ("kapitaen", "kapitaen%40example.test", "nobody", "nobody%40example.test")
    ]
    # There is no relay in this scenario: that is what everybody is told.
    assert "cannot send mail" in asked[0]
    assert len({re.sub("value=[^ ]*", "", text) for text in asked}) == 1, "what was typed is in the form again"
    in_use = "update_network_option(get_main_network_id(), 'using_application_passwords', %s)"
    assert hafen.wordpress(in_use % 1) is True, "only then are they looked for"
    header = ["Basic " + base64.b64encode(f"{login}:wrong".encode()).decode() for login in ("kapitaen", "nobody")]
    # WordPress takes them over TLS only.
    told = [
        hafen.ask(
            REQUEST_URI="/wp-json/", HTTPS="on", HTTP_AUTHORIZATION=text, PHP_AUTH_USER=login, PHP_AUTH_PW="wrong"
        )
        for text, login in zip(header, ("kapitaen", "nobody"), strict=True)
    ]
    hafen.wordpress("delete_network_option(get_main_network_id(), 'using_application_passwords')")
    # Whether the answer names an error is a matter of what has asked for the user before: then this is it.
    unknown = "rest_authentication_errors', new WP_Error('invalid_username', 'Unknown username')"
    assert hafen.wordpress(f"apply_filters('{unknown})->get_error_code()") == "incorrect_login"
    assert told[0].partition("\r\n\r\n")[2] == told[1].partition("\r\n\r\n")[2]
    seconds: dict[str, float] = {}
    for login in ("kapitaen", "nobody", "kapitaen", "nobody"):
        timed = hafen.wordpress(
            f"(function () {{ $t = hrtime(true); wp_authenticate('{login}', 'wrong');"
            " return (hrtime(true) - $t) / 1e9; })()"
        )
        seconds[login] = min(timed, seconds.get(login, timed))
    assert seconds["nobody"] > 0.5 * seconds["kapitaen"], seconds


@pytest.mark.parametrize("moment", ["rest_pre_dispatch", "rest_request_before_callbacks"])
def test_users_stay_refused_whatever_a_plugin_returns(hafen: Site, moment: str) -> None:
    """One that has nothing to say of a request returns nothing, and with that takes back what others said."""
    place = "/srv/sites/hafen/wp-content/mu-plugins/habit.php"
    plugin = f'<?php add_filter("{moment}", "__return_null", PHP_INT_MAX);'
    hafen.container.run("sh", "-c", 'mkdir -p ${0%/*}; printf %s "$1" > $0', place, plugin)
    try:
        assert hafen.wordpress(f"has_filter('{moment}', '__return_null')") == sys.maxsize, "control"
        for route in ("users", "users/1", "USERS/1", "users?context=embed", "users/1?context=embed"):
            answer = hafen.ask(REQUEST_URI=f"/wp-json/wp/v2/{route}", QUERY_STRING=route.partition("?")[2])
            assert "Status: 401" in answer, route
            assert "kapitaen" not in answer
    finally:
        hafen.container.run("rm", place)


def test_authors_are_shown_with_posts_where_declared(hafen: Site, laden: Site) -> None:
    """And with posts alone."""
    posts, query = "/wp-json/wp/v2/posts?_embed=author", "_embed=author"
    assert "rest_user_cannot_view" in hafen.ask(REQUEST_URI=posts, QUERY_STRING=query)
    shown = laden.ask(REQUEST_URI=posts, QUERY_STRING=query)
    assert "rest_user_cannot_view" not in shown
    assert re.search('"slug":"author-[0-9a-f]{10}"', shown)
    assert "patron" not in shown
    for route in ("users", "users?context=embed", "users/1", "users/1?context=view"):
        refused = laden.ask(REQUEST_URI=f"/wp-json/wp/v2/{route}", QUERY_STRING=route.partition("?")[2])
        assert "Status: 401" in refused, route


def test_authors_page_has_an_address_without_permalinks(brache: Site) -> None:
    """Its number is the only one there; the page does not tell the login."""
    answer = brache.ask(REQUEST_URI="/?author=1", QUERY_STRING="author=1")
    assert "Status: 404" not in answer
    assert re.search(r'<body class="[^"]*\bauthor-1\b', answer), "control"
    assert "author-bauer" not in answer


LIMITS = {
    "hafen": {
        "memory_limit": 88 << 20,
        "upload_max_filesize": 17 << 20,
        "post_max_size": 18 << 20,
        "max_execution_time": 45,
        "max_input_vars": 4321,
        "opcache.memory_consumption": 48,
    },
    "laden": {
        "memory_limit": 71 << 20,
        "upload_max_filesize": 13 << 20,
        "post_max_size": 14 << 20,
        "max_execution_time": 33,
        "max_input_vars": 3210,
        "opcache.memory_consumption": 40,
    },
}


def test_php_limits_of_each_site(site: Site) -> None:
    """As a request sees them."""
    site.container.run("sh", "-c", "echo '<?php echo json_encode(ini_get_all(null, false));' > /tmp/limits.php")
    try:
        settings = json.loads(site.ask("/tmp/limits.php").partition("\r\n\r\n")[2])  # noqa: S108
    finally:
        site.container.run("rm", "/tmp/limits.php")  # noqa: S108
    assert {name: int(settings[name]) for name in LIMITS[site.name]} == LIMITS[site.name]
    assert "exec" in settings["disable_functions"].split(",")
    assert int(site.container.inspect["HostConfig"]["Memory"]) == {"hafen": 320, "laden": 301}[site.name] << 20


def test_workers_of_each_site(hafen: Site, laden: Site) -> None:
    for site, workers, seconds in ((hafen, 2, 45 + 60), (laden, 3, 33 + 60)):
        text = site.container.run("php-fpm", "-tt", "--fpm-config", "/etc/wordpress/php-fpm.conf").stderr
        assert f"pm.max_children = {workers}\n" in text
        assert f"request_terminate_timeout = {seconds}s\n" in text


# --- What nobody can do --------------------------------------------------------------------------------------------


def test_image_brings_what_the_preflight_says(hafen: Site) -> None:
    """The lists by which it judges a new site are those of Debian's packages, which change with them."""
    languages, themes, plugins = (
        hafen.container.run("ls", f"/usr/share/wordpress/wp-content/{kind}").stdout.split()
        for kind in ("languages", "themes", "plugins")
    )
    parts = ("admin-", "continents-")
    assert {name.removesuffix(".mo") for name in languages if not name.startswith(parts)} == IN_IMAGE
    assert themes, "control"
    assert all(THEMES["debian"].fullmatch(name) for name in themes)
    assert set(plugins) - {"index.php"} == set(PLUGINS["debian"])


def test_core_is_not_writable(site: Site) -> None:
    """But the site's own directory is."""
    write = "php -r 'exit(file_put_contents($argv[1], \"x\") === false ? 1 : 0);' -- "
    for path in ("/usr/share/wordpress/index.php", "/usr/share/wordpress/new.php", "/usr/local/lib/wordpress/new.php"):
        assert site.container.run("sh", "-c", write + path).rc == 1, path
    own = f"/srv/sites/{site.name}/wp-content/uploads/new.txt"
    assert site.container.run("sh", "-c", write + own).rc == 0
    site.container.run("rm", own)


def test_nobody_edits_code_in_the_dashboard(site: Site) -> None:
    may = "array_map(fn ($c) => user_can(get_users(['role' => 'administrator'])[0], $c), {})"
    denied = "['edit_plugins', 'edit_themes', 'edit_files', 'update_core']"
    assert site.wordpress(may.format(denied)) == [False] * 4
    assert site.wordpress(may.format("['manage_options', 'activate_plugins']")) == [True] * 2


CONNECT = (
    "mysqli_report(MYSQLI_REPORT_OFF); require '/run/secrets/site.php';"
    "$c = @mysqli_connect(DB_HOST, DB_USER, DB_PASSWORD, $argv[1]);"
    "echo $c ? 'connected ' . implode(',', array_column(mysqli_query($c, 'SHOW DATABASES')->fetch_all(), 0))"
    " : mysqli_connect_error();"
)


def test_site_reaches_its_own_database_only(hafen: Site, laden: Site) -> None:
    own = hafen.container.run("php", "-r", CONNECT, "site_hafen").stdout
    assert own.startswith("connected ")
    assert set(own.removeprefix("connected ").split(",")) == {"information_schema", "site_hafen"}
    for database in ("site_laden", "mysql"):
        assert "Access denied" in hafen.container.run("php", "-r", CONNECT, database).stdout
    assert laden.container.run("php", "-r", CONNECT, "site_laden").stdout.startswith("connected ")


def test_site_does_not_reach_another_ones_php(hafen: Site, laden: Site, stack: Stack) -> None:
    """Neither by name nor by any address; the scheduler, which shall, does."""
    connect = "exit(@fsockopen($argv[1], 9000, $n, $m, 2) ? 0 : 1);"
    addresses = [n["IPAddress"] for n in laden.container.inspect["NetworkSettings"]["Networks"].values()]
    assert len(addresses) == 2
    for target in ("wordpress-laden", *addresses):
        assert hafen.container.run("php", "-r", connect, target).rc == 1, target
    assert laden.container.run("php", "-r", connect, "wordpress-laden").rc == 0
    assert stack.container("wordpress-cron").run("php", "-r", connect, "wordpress-laden").rc == 0
    assert stack.container("mariadb").run("sh", "-c", "getent hosts wordpress-laden").rc == 0


def test_site_does_not_reach_the_internet(site: Site) -> None:
    """wordpress_outbound is false: no route, and WordPress does not try."""
    assert site.container.run("sh", "-c", "grep -c '^[^\\t]*\\t00000000' /proc/net/route").stdout.strip() == "0"
    error = site.wordpress("wp_remote_get('https://api.wordpress.org/')->get_error_code()")
    assert error == "http_request_not_executed"


# --- Scheduled events ----------------------------------------------------------------------------------------------


def test_scheduled_events_run(hafen: Site, laden: Site) -> None:
    """A post that is due appears, though nobody visits the sites (the interval is 4 s)."""
    insert = (
        "wp_insert_post(['post_title' => 'Soon', 'post_content' => 'x', 'post_status' => 'future',"
        " 'post_date_gmt' => gmdate('Y-m-d H:i:s', time() + 600)])"
    )
    posts = [(site, site.wordpress(insert)) for site in (hafen, laden)]
    for site, post in posts:
        site.sql(
            f"UPDATE {site.prefix}posts SET post_date = '2025-05-05 05:05:05', post_date_gmt = '2025-05-05 05:05:05'"  # noqa: S608
            f" WHERE ID = {post}"
        )
        assert site.sql(f"SELECT post_status FROM {site.prefix}posts WHERE ID = {post}") == "future"  # noqa: S608
        due = f"wp_clear_scheduled_hook('publish_future_post', [{post}])"
        now = f"wp_schedule_single_event(time(), 'publish_future_post', [{post}])"
        assert site.wordpress(f"[wp_cache_flush(), {due}, {now}]") == [True, 1, True]
    for site, post in posts:
        query = f"SELECT post_status FROM {site.prefix}posts WHERE ID = {post}"  # noqa: S608 -- a number
        deadline = time.monotonic() + 20
        while site.sql(query) != "publish":
            assert time.monotonic() < deadline, f"{site.name}: the event did not run"
            time.sleep(0.5)
        site.wordpress(f"(bool) wp_delete_post({post}, true)")


def test_visitors_do_not_run_events(hafen: Site) -> None:
    assert hafen.wordpress("DISABLE_WP_CRON") is True
