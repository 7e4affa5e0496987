"""The rules for the accounts of a site."""

from __future__ import annotations

from typing import Any

import pytest

from filter_plugins import accounts, preflight, values

PLUGINS = {"plugins": ["shop"]}
SITE: dict[str, Any] = {
    "domain": "blog.example.org",
    "title": "A blog",
    "administrator": {"login": "captain", "email": "captain@example.org"},
}


def site(role: Any = "author", **fields: Any) -> list[str]:
    """Return what is wrong with a site whose second user has a role."""
    user = {"email": "mate@example.org", "role": role, **fields.pop("user", {})}
    return preflight.user_problems("s", {**SITE, "users": {"mate": user}, **fields})


@pytest.mark.parametrize(
    ("role", "besides"),
    [
        ("editor", {}),
        (["editor", "author"], {}),
        ("shop_manager", PLUGINS),
        (["subscriber", "shop_manager"], PLUGINS),
        ("shop-manager", {"theme": "stall"}),
        ("coauthor", PLUGINS),
    ],
)
def test_roles(role: Any, besides: dict[str, Any]) -> None:
    assert site(role, **besides) == []


@pytest.mark.parametrize(
    ("role", "besides", "rule"),
    [
        ([], PLUGINS, "needs a role"),
        ("Shop Manager", PLUGINS, "must be one of"),
        (["editor", None], PLUGINS, "must be one of"),
        (["editor", "editor"], PLUGINS, "has a role twice"),
        ("shop_manager", {}, "declares no plugin"),
        ("autor", PLUGINS, "did you mean author?"),
        ("Editor", PLUGINS, "did you mean editor?"),
        (["editor", "adminstrator"], PLUGINS, "did you mean administrator?"),
        ({"editor": True}, PLUGINS, "must be one of"),
    ],
)
def test_roles_that_are_none(role: Any, besides: dict[str, Any], rule: str) -> None:
    (found,) = site(role, **besides)
    assert found.startswith("s.users.mate.role: ")
    assert rule in found


def test_an_administrator_by_a_second_role_is_not_found_by_guessing() -> None:
    users = {"admin": {"email": "mate@example.org", "role": ["editor", "administrator"]}}
    (found,) = preflight.user_problems("s", {**SITE, "users": users})
    assert 'must not contain "admin"' in found


def test_whose_business_a_password_is() -> None:
    assert site(user={"password_policy": "initial"}) == []
    (found,) = site(user={"password_policy": "once"})
    assert found == 's.users.mate.password_policy: "once": must be one of enforced, initial'


@pytest.mark.parametrize("email", ["a&b@example.org", "a..b@example.org"])
def test_addresses_that_wordpress_does_not_keep(email: str) -> None:
    (found,) = site(user={"email": email})
    assert found.startswith("s.users.mate.email: ")
    assert site(user={"email": "o'brien+x@example.org"}) == []


def test_what_roles_may() -> None:
    assert (
        accounts.role_capabilities_problems("s", {"editor": {"edit_theme_options": True, "unfiltered_html": False}})
        == []
    )
    assert accounts.role_capabilities_problems("s", None) == []
    wrong: list[dict[str, Any]] = [
        {"Edi tor": {}},
        {"editor": ["x"]},
        {"editor": {"x y": True}},
        {"editor": {"x": "yes"}},
        {"administrator": {"manage_options": False}},
    ]
    for declared in wrong:
        assert len(accounts.role_capabilities_problems("s", declared)) == 1, declared


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("thumbnail_size_w", 123, True), ("thumbnail_size_w", "12px", False), ("thumbnail_size_w", -3, False),
        ("posts_per_page", -1, True), ("posts_per_page", 0, False), ("posts_per_page", "many", False),
        ("blog_public", False, True), ("blog_public", "no", False), ("start_of_week", 1.5, False),
        ("default_comment_status", "", False), ("blogdescription", "-5", True),
    ],
)  # fmt: skip
def test_options_of_which_wordpress_keeps_another_value(name: str, value: Any, fits: bool) -> None:
    assert (values.site_option_problems("s", {name: value}) == []) == fits


def test_a_name_fits_into_its_column_as_it_is_stored() -> None:
    assert values.display_name_problem("&" * 50) is None
    assert "at most 250" in str(values.display_name_problem("&" * 51))
