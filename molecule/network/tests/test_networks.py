"""Networks of sites, of both types: their addresses, files and logins through the web server, and their repair."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.support.network import ADDRESS, PORT, Site, Visitor, title_of
from tests.support.runs import Runs
from tests.support.sites import VariablesLoader
from tests.support.stack import Stack
from tests.support.wordpress import said

SUBSITES = {
    "inseln.example.test/": "Die &quot;Inseln&quot; &amp; Meer",
    "inseln.example.test/nord/": "Nord &amp; &quot;Ost&quot;",
    "inseln.example.test/sued-2/": "Süd",
    "inseln.example.test/hand/": "Von Hand",
    "kanal.example.test/": "Der Kanal",
    "ost.kanal.example.test/": "Kanal Ost",
    "hand.kanal.example.test/": "Von Hand",
}
NETWORKS = {"inseln": "kapitaen", "kanal": "bootsmann"}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Site:
    """Return a network; the test runs for each."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def declared(runs: Runs) -> dict[str, Any]:
    """Return the declared sites, to be changed, with the controller's paths in them."""
    text = (runs.scenario / "group_vars/all.yml").read_text()
    variables = yaml.load(text, Loader=VariablesLoader)  # noqa: S506 -- a subclass of SafeLoader
    sites: dict[str, Any] = variables["wordpress_sites"]
    # Only what the test of mail needs.
    del sites["kanal"]["smtp"]
    return sites


def extra(sites: dict[str, Any], **more: Any) -> str:
    """Return the argument that declares other sites."""
    return "--extra-vars=" + json.dumps({"wordpress_sites": sites, **more})


# --- Visitors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "title"), SUBSITES.items(), ids=list(SUBSITES))
def test_site_shows_its_title_and_addresses(visitor: Visitor, url: str, title: str) -> None:
    answer = visitor.get(url)
    assert answer.status == 200
    assert title in title_of(answer)
    host = url.partition("/")[0]
    assert f"https://{host}:{PORT}/{url.partition('/')[2]}" in answer.body
    addresses = set(re.findall(r"https?://[a-z0-9.-]*example\.test(?::\d+)?", answer.body))
    # A new site's first post links to the main site.
    assert addresses - {f"https://kanal.example.test:{PORT}"} <= {f"https://{host}:{PORT}"}
    # The theme is part of core, which each site has below its own address.
    assert f"https://{host}:{PORT}/{url.partition('/')[2]}wp-content/themes/" in answer.body


@pytest.mark.parametrize("url", list(SUBSITES))
def test_static_files_below_each_site(visitor: Visitor, url: str) -> None:
    for path in ("wp-includes/css/dashicons.min.css", "wp-admin/css/common.min.css",
                 "wp-content/themes/twentytwentyfive/style.css"):  # fmt: skip
        answer = visitor.get(url + path)
        assert answer.status == 200, path
        assert answer.header("content-type") == ["text/css; charset=utf-8"]


@pytest.mark.parametrize("url", ["inseln.example.test/nord/", "ost.kanal.example.test/"])
def test_scripts_are_refused_below_each_site_as_anywhere(visitor: Visitor, url: str) -> None:
    assert visitor.get(f"{url}wp-login.php").status == 200, "control"
    refused = [
        "wp-config.php", "wp-cron.php", "wp-load.php", "wp-includes/version.php", "wp-admin/install.php",
        "wp-admin/network/upgrade.php", "wp-content/plugins/index.php", "wp-content/uploads/x.php",
        "wp-content/uploads/x.php/nord", "wp-content/uploads/sites/2/x.php", ".pressdock-network",
        "wp-content/.pressdock-network",
    ]  # fmt: skip
    assert {path: visitor.get(url + path).status for path in refused} == dict.fromkeys(refused, 404)
    assert visitor.get(f"{url}xmlrpc.php").status == 403
    assert visitor.get(f"{url}wp-admin").status == 308
    assert visitor.get(f"{url}wp-admin").header("location")[0].endswith(f"/{url.partition('/')[2]}wp-admin/")


def test_registration_is_the_network_s_matter(visitor: Visitor) -> None:
    """WordPress says whether there is one, on the main site; a single site has none."""
    answer = visitor.get("inseln.example.test/wp-signup.php")
    assert answer.status == 200
    assert "mu_register" in answer.body
    sent = visitor.get("inseln.example.test/nord/wp-signup.php")
    assert sent.status == 302
    assert sent.header("location") == [f"https://inseln.example.test:{PORT}/wp-signup.php"]
    assert visitor.get("einzel.example.test/wp-signup.php").status == 404


def test_uploads_of_a_sub_site(inseln: Site, visitor: Visitor) -> None:
    """In by PHP, out by HTTP, at the address that WordPress gives it."""
    found = inseln.wordpress("wp_upload_bits('boje.txt', null, 'rot und weiß')", path="/nord/")
    assert found["error"] is False
    assert "/uploads/sites/2/" in found["url"]
    assert visitor.get(found["url"].removeprefix("https://")).body == "rot und weiß"


def test_sub_domain_that_no_site_has(visitor: Visitor) -> None:
    answer = visitor.get("nirgends.kanal.example.test/")
    assert (answer.status, answer.body) == (404, "There is no site at this address.")


def test_hosts_outside_of_a_network(stack: Stack, visitor: Visitor) -> None:
    """Two labels before the domain, another network's host on a connection of this one, a forged port."""
    assert visitor.get("ost.kanal.example.test/", "--header", "Host: inseln.example.test").status == 421
    assert visitor.get("inseln.example.test/", "--header", "Host: ost.kanal.example.test").status == 421
    command = "curl --silent --insecure --resolve a.b.kanal.example.test:%s:%s https://a.b.kanal.example.test:%s/"
    assert stack.host.run(command, str(PORT), ADDRESS, str(PORT)).rc == 35
    forged = visitor.get("ost.kanal.example.test/", "--header", "Host: ost.kanal.example.test:1234")
    assert forged.status == 200
    assert ":1234" not in forged.body


def test_alias_of_a_network_redirects(visitor: Visitor) -> None:
    answer = visitor.get("www.kanal.example.test/x")
    assert (answer.status, answer.header("location")) == (308, [f"https://kanal.example.test:{PORT}/x"])


# --- Logins ---------------------------------------------------------------------------------------------------------


def test_owner_logs_in_at_a_sub_site_and_runs_the_network(inseln: Site, visitor: Visitor) -> None:
    answer = visitor.log_in("inseln.example.test/nord/", "kapitaen", inseln.password("kapitaen"))
    assert answer.header("location") == [f"https://inseln.example.test:{PORT}/nord/wp-admin/"]
    for path in (
        "nord/wp-admin/",
        "nord/wp-admin/post-new.php",
        "wp-admin/network/",
        "wp-admin/network/sites.php",
        "wp-admin/user/",
    ):
        assert visitor.get(f"inseln.example.test/{path}").status == 200, path
    assert visitor.get("inseln.example.test/nord/wp-admin").status == 308


def test_other_administrators_do_not_run_the_network(inseln: Site, visitor: Visitor) -> None:
    visitor.log_in("inseln.example.test/", "steuermann", inseln.password("steuermann"))
    assert visitor.get("inseln.example.test/wp-admin/").status == 200, "control"
    assert visitor.get("inseln.example.test/wp-admin/network/").status != 200


def test_login_holds_on_all_sub_domains(kanal: Site, visitor: Visitor) -> None:
    answer = visitor.log_in("kanal.example.test/", "bootsmann", kanal.password("bootsmann"))
    assert answer.status == 302
    assert all("secure" in cookie.lower() for cookie in answer.header("set-cookie") if "wordpress_" in cookie)
    for path in (
        "ost.kanal.example.test/wp-admin/",
        "kanal.example.test/wp-admin/network/",
        "hand.kanal.example.test/wp-admin/",
    ):
        assert visitor.get(path).status == 200, path


def test_owner_makes_a_sub_site_in_the_dashboard(kanal: Site, visitor: Visitor) -> None:
    """By the real form; its addresses begin with https."""
    visitor.log_in("kanal.example.test/", "bootsmann", kanal.password("bootsmann"))
    page = visitor.get("kanal.example.test/wp-admin/network/site-new.php")
    nonce = re.search(r'name="_wpnonce_add-blog" value="([0-9a-f]+)"', page.body)
    assert nonce, page
    answer = visitor.get(
        "kanal.example.test/wp-admin/network/site-new.php?action=add-site",
        "--data-urlencode", f"_wpnonce_add-blog={nonce[1]}", "--data-urlencode", "blog[domain]=west",
        "--data-urlencode", "blog[title]=Kanal West", "--data-urlencode", "blog[email]=bootsmann@example.test",
    )  # fmt: skip
    assert answer.status == 302, answer
    assert "Kanal West" in title_of(visitor.get("west.kanal.example.test/"))
    assert (
        kanal.wordpress("get_option('home')", host="west.kanal.example.test")
        == f"https://west.kanal.example.test:{PORT}"
    )


def test_login_form_of_a_sub_site_is_limited(visitor: Visitor) -> None:
    """The burst passes (and is refused by WordPress), the flood is not answered; the form is still shown."""
    answers = [visitor.log_in("inseln.example.test/nord/", "kapitaen", "wrong").status for _ in range(9)]
    assert answers[:4] == [200] * 4
    assert 429 in answers
    assert visitor.get("inseln.example.test/nord/wp-login.php").status == 200


# --- Scheduled events -----------------------------------------------------------------------------------------------


def test_scheduled_events_of_each_sub_site(
    scheduled: dict[tuple[str, str, str], int], request: pytest.FixtureRequest
) -> None:
    """And of a single site that is in maintenance."""
    appeared = {
        (name, host, path): request.getfixturevalue(name).post_appears(number, host, path)
        for (name, host, path), number in scheduled.items()
    }
    assert len(appeared) == 5
    assert set(appeared.values()) == {True}, appeared


def test_scheduler_is_content(stack: Stack) -> None:
    assert "does not answer" not in stack.container("wordpress-cron").logs()


# --- State ----------------------------------------------------------------------------------------------------------


def test_super_administrators(network: Site) -> None:
    assert network.wordpress("get_super_admins()") == [NETWORKS[network.name]]


def test_settings_of_the_network(inseln: Site) -> None:
    assert inseln.wordpress("get_site_option('fileupload_maxk')") in {64 << 10, str(64 << 10)}
    assert inseln.wordpress("get_site_option('site_name')") == 'Die "Inseln" & Meer'
    assert inseln.wordpress("get_site_option('registration')") == "none"


def test_no_site_s_schema_is_old(network: Site) -> None:
    versions = "array_map(fn ($id) => (int) get_blog_option($id, 'db_version'), get_sites(['fields' => 'ids']))"
    assert set(network.wordpress(versions)) == {network.wordpress("$GLOBALS['wp_db_version']")}


def test_plugin_for_networks_is_active_on_all_sites(inseln: Site, visitor: Visitor) -> None:
    assert inseln.wordpress("array_keys(get_site_option('active_sitewide_plugins'))") == ["flotte/flotte.php"]
    assert inseln.wordpress("get_option('active_plugins')") == []
    assert "<!-- flotte of site 2 -->" in visitor.get("inseln.example.test/nord/").body


def test_single_site_is_none(einzel: Site) -> None:
    assert einzel.wordpress("is_multisite()") is False
    assert "netz_blogs" not in einzel.sql("SHOW TABLES")


def test_repair_named_what_differed(runs: Runs) -> None:
    # A line in quotes has its own escaped.
    output = runs.output().replace('\\"', '"')
    for words in (
        'network option site_admins: ["lotse", "steuermann"] -> ["kapitaen"]',
        'network: domain: "elsewhere.example.test" -> "kanal.example.test:8446"',
        'site 2 of the network: address: "inseln.example.test:8446/sued-2/" -> "inseln.example.test:8446/nord/"',
        'site 3 of the network: address: "inseln.example.test:8446/nord/" -> "inseln.example.test:8446/sued-2/"',
        'network option active_sitewide_plugins: "no list" -> "made anew"',
        'site 3 of the network: option netz_3_user_roles: "no list" -> "made anew',
        'plugin flotte: "inactive" -> "active"',
        "site 2 of the network: home",
        "site 3 of the network: database schema",
        'sub-site sued-2: archived: "1" -> "0"',
        "sub-site nord: title",
        'sub-site ost: "incomplete"',
        'mark of the network: none -> "subdirectory"',
        'mark of the network: "subdomain" -> none',
    ):
        assert words in output, words


# --- Other declarations ---------------------------------------------------------------------------------------------


@pytest.mark.destructive
def test_network_cannot_be_switched_off_or_changed(runs: Runs, declared: dict[str, Any], visitor: Visitor) -> None:
    """Each site says what would be lost, and loses nothing."""
    del declared["inseln"]["multisite"]
    declared["kanal"]["multisite"]["type"] = "subdirectory"
    result = runs.play("converge.yml", extra(declared))
    assert result.returncode != 0
    assert "multisite: it cannot be switched off: the sub-sites would vanish" in result.stdout
    assert "inseln.example.test:8446/nord/" in result.stdout
    assert "it is subdomain, declared is subdirectory" in result.stdout
    for url in ("inseln.example.test/nord/", "ost.kanal.example.test/"):
        assert visitor.get(url).status == 200, "nothing vanished"


LINKS = (
    "https://inseln.example.test:8446/nord/ https://inseln.example.test:8446 https://kanal.example.test:8446/"
    " http://ost.kanal.example.test:8446/x //nirgends.kanal.example.test:8446/"
)
"""In posts and options of each site; no network has a site of the last one's name."""
PLANTED = [
    ("inseln", "", "/"), ("inseln", "", "/nord/"), ("inseln", "", "/hand/"), ("kanal", "", "/"),
    ("kanal", "ost.kanal.example.test", "/"), ("kanal", "hand.kanal.example.test", "/"),
]  # fmt: skip


@pytest.mark.destructive
def test_moved_and_converted(
    runs: Runs, declared: dict[str, Any], einzel: Site, visitor: Visitor, request: pytest.FixtureRequest
) -> None:
    """In one run, to keep this short: both networks move, the single site becomes one and keeps its content."""
    number = einzel.wordpress(
        "wp_insert_post(['post_title' => 'Aus alter Zeit', 'post_status' => 'publish', 'post_name' => 'alt'])"
    )
    for site, host, path in PLANTED:
        post = f"['post_title' => 'Umzug', 'post_content' => '{LINKS}', 'post_status' => 'draft']"
        plant = f"(bool) wp_insert_post(wp_slash({post})) "
        meta = f"&& update_option('umzug', ['links' => explode(' ', '{LINKS}'), 'text' => serialize(['{LINKS}'])])"
        assert request.getfixturevalue(site).wordpress(plant + meta, host, path) is True
    declared["inseln"]["domain"] = "archipel.example.test"
    declared["inseln"]["aliases"] = ["inseln.example.test"]
    declared["kanal"]["domain"] = "fleet.example.test"
    declared["kanal"]["aliases"] = []
    del declared["einzel"]["maintenance"]
    declared["einzel"]["multisite"] = {"type": "subdirectory", "sites": {"neu": {"title": "Neu"}}}
    check = runs.play("converge.yml", "--check", extra(declared))
    assert check.returncode == 0, check.stdout + check.stderr
    run = runs.play("converge.yml", extra(declared))
    assert run.returncode == 0, run.stdout + run.stderr
    for site in NETWORKS:
        lines = said(run.stdout, site)
        assert lines == said(check.stdout, site)
        assert 'address in netz_2_posts.post_content: "https://' in "".join(lines)
    titles = {
        "archipel.example.test/": "Meer",
        "archipel.example.test/nord/": "Nord",
        "archipel.example.test/hand/": "Von Hand",
        "fleet.example.test/": "Der Kanal",
        "ost.fleet.example.test/": "Kanal Ost",
        "hand.fleet.example.test/": "Von Hand",
        "einzel.example.test/": "Einzel",
        "einzel.example.test/neu/": "Neu",
        "einzel.example.test/alt/": "Aus alter Zeit",
    }
    for url, title in titles.items():
        answer = visitor.get(url)
        assert answer.status == 200, url
        assert title in title_of(answer)
        network = "inseln" if "archipel" in url else "kanal"
        assert not re.search(rf"//(?:[a-z]+\.)?{network}\.example\.test:8446", answer.body)
    for site, host, path in PLANTED:
        main = {"inseln": "archipel.example.test", "kanal": "fleet.example.test"}[site]
        now = host.replace("kanal.example.test", main) or main
        # Each network follows its own move; what only looks like its address stays.
        moves = {"inseln": ("//inseln.example", "//archipel.example"), "kanal": ("kanal.example", "fleet.example")}
        expected = LINKS.replace(*moves[site]).replace("//nirgends.fleet", "//nirgends.kanal")
        if site == "kanal":
            expected = expected.replace("http://ost", "https://ost")
        read = (
            "[get_posts(['post_status' => 'draft', 'title' => 'Umzug'])[0]->post_content,"
            " implode(' ', get_option('umzug')['links']), unserialize(get_option('umzug')['text'])[0]]"
        )
        assert request.getfixturevalue(site).wordpress(read, now, path) == [expected] * 3
    former = visitor.get("inseln.example.test/nord/?a=b%20c")
    assert (former.status, former.header("location")) == (308, [f"https://archipel.example.test:{PORT}/nord/?a=b%20c"])
    command = "curl --silent --insecure --resolve kanal.example.test:%s:%s https://kanal.example.test:%s/"
    assert visitor.stack.host.run(command, str(PORT), ADDRESS, str(PORT)).rc == 35, "a name that nobody declares"
    assert einzel.wordpress(f"[is_multisite(), get_the_title({number}), get_super_admins()]") == [
        True,
        "Aus alter Zeit",
        ["chefin"],
    ]
    visitor.log_in("einzel.example.test/neu/", "chefin", einzel.password("chefin"))
    assert visitor.get("einzel.example.test/wp-admin/network/").status == 200
    assert runs.converge(extra(declared)).changes == []
