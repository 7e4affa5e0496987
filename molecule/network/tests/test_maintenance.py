"""The maintenance switch: what visitors get, and who is let in."""

from __future__ import annotations

import pytest

from tests.support.network import Site, Visitor


@pytest.mark.parametrize(
    "path",
    ["", "hello-world/", "?p=1", "feed/", "wp-json/wp/v2/posts", "wp-json/", "?rest_route=/wp/v2/posts",
     "wp-sitemap.xml", "robots.txt", "nirgends/", "wp-admin/admin-ajax.php?action=heartbeat"],
)  # fmt: skip
def test_visitors_get_a_notice(einzel: Site, visitor: Visitor, path: str) -> None:
    answer = visitor.get(f"{einzel.domain}/{path}")
    assert answer.status == 503
    assert answer.header("retry-after") == ["600"]
    assert answer.header("cache-control") == ["no-store"]


def test_notice_is_a_page(einzel: Site, visitor: Visitor) -> None:
    answer = visitor.get(f"{einzel.domain}/")
    assert "<h1>Einzel</h1>" in answer.body
    assert "hello-world" not in answer.body.lower()


def test_other_sites_are_not_concerned(visitor: Visitor) -> None:
    assert visitor.get("inseln.example.test/wp-json/wp/v2/posts").status == 200
    assert visitor.get("inseln.example.test/nord/feed/").status == 200


def test_files_and_the_login_stay(einzel: Site, visitor: Visitor) -> None:
    assert visitor.get(f"{einzel.domain}/wp-includes/css/dashicons.min.css").status == 200
    assert visitor.get(f"{einzel.domain}/wp-login.php").status == 200


def test_owner_sees_the_site(einzel: Site, visitor: Visitor) -> None:
    visitor.log_in(f"{einzel.domain}/", "chefin", einzel.password("chefin"))
    for path in ("", "feed/", "wp-admin/", "wp-admin/edit.php", "hello-world/"):
        assert visitor.get(f"{einzel.domain}/{path}").status == 200, path
    assert "Maintenance: visitors see a notice" in visitor.get(f"{einzel.domain}/").body


def test_subscriber_does_not_see_the_site(einzel: Site, visitor: Visitor) -> None:
    visitor.log_in(f"{einzel.domain}/", "gehilfe", einzel.password("gehilfe"))
    assert visitor.get(f"{einzel.domain}/wp-admin/profile.php").status == 200, "control: is logged in"
    assert visitor.get(f"{einzel.domain}/").status == 503


def test_notice_stands_whatever_plugins_do(einzel: Site, visitor: Visitor) -> None:
    """One that comes first, and one that has nothing to say of a request and so returns nothing."""
    place = "/srv/sites/einzel/wp-content/mu-plugins/habit.php"
    plugin = (
        '<?php add_action("template_redirect", fn() => exit("habit"), -1000);'
        ' add_filter("rest_pre_dispatch", "__return_null", 1000);'
    )
    einzel.container.run("sh", "-c", 'mkdir -p ${0%/*}; printf %s "$1" > $0', place, plugin)
    try:
        for path in ("", "wp-json/wp/v2/posts"):
            answer = visitor.get(f"{einzel.domain}/{path}")
            assert (answer.status, answer.header("retry-after")) == (503, ["600"]), path
    finally:
        einzel.container.run("rm", place)


def test_container_is_healthy(einzel: Site) -> None:
    assert einzel.container.health == "healthy"


def test_web_server_waits_as_long_as_php_may_take(einzel: Site, visitor: Visitor) -> None:
    """nginx_upstream_timeout is 2 s here; the site's own limit counts."""
    place = "/srv/sites/einzel/wp-content/mu-plugins/slow.php"
    einzel.container.run(
        "sh", "-c", f"mkdir -p ${{0%/*}}; echo '<?php isset($_GET[\"slow\"]) && sleep(3);' > {place}", place
    )
    try:
        answer = visitor.get(f"{einzel.domain}/wp-login.php?slow")
    finally:
        einzel.container.run("rm", place)
    assert answer.status == 200
