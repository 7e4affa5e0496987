"""What a site uses that nothing brings: languages, themes and plugins."""

from __future__ import annotations

from typing import Any

import pytest

from filter_plugins.brought import IN_IMAGE, LANGUAGES, brought_problems, language_problem

VALUES: dict[str, Any] = {"wordpress_source": "debian", "wordpress_theme": "twentytwentyfive"}
THERE = {"shop": {"installed": True, "languages": ["xx_YY.mo"]}}


def found(content: dict[str, Any], source: str = "debian", **site: Any) -> list[str]:
    """Return what is wrong with a site of these fields."""
    return brought_problems({**VALUES, "wordpress_source": source, "wordpress_sites": {"shop": site}}, content)


@pytest.mark.parametrize(
    ("value", "near"),
    [
        ("de", "de_DE"),
        ("de_AA", "de_AT"),
        ("pt", "pt_PT"),
        ("en", "en_US"),
        ("fr_fr", "fr_FR"),
        ("sv", "sv_SE"),
        ("zh_Tw", "zh_TW"),
    ],
)
def test_nearest_language_is_suggested(value: str, near: str) -> None:
    problem = language_problem(value)
    assert problem is not None
    assert problem.endswith(f"did you mean {near}?")


def test_languages_of_wordpress() -> None:
    assert IN_IMAGE < LANGUAGES
    for value in ("en_US", "de_DE", "de_DE_formal", "pt_PT_ao90", "ckb", "art_xemoji", "de_CH_informal"):
        assert language_problem(value) is None
    assert language_problem("qqq") == "is no language of WordPress: write one such as de_DE"


def test_language_that_lies_on_the_volume_is_taken_whatever_its_name() -> None:
    assert found(THERE, locale="xx_YY") == []
    assert found({}, locale="xx_YY") != []
    assert found({"shop": {"installed": True, "languages": []}}, locale="xx_YY") != []


def test_new_site_begins_with_what_there_is() -> None:
    problems = found({}, locale="fur", theme="astra", plugins=["akismet", "shopper"])
    assert [problem.split(": ")[0] for problem in problems] == [
        "wordpress_sites.shop.locale",
        "wordpress_sites.shop.theme",
        "wordpress_sites.shop.plugins[1]",
    ]
    assert all("bring its files to the site" in problem for problem in problems)


def test_what_is_brought_is_right() -> None:
    fields: dict[str, Any] = {
        "locale": "de_DE",
        "theme": "astra",
        "themes": [{"slug": "astra", "version": "1.2"}],
        "plugins": ["akismet", {"slug": "shopper", "version": "3.4"}],
    }
    assert found({}, **fields) == []
    assert found({}, "release", theme="twentytwentythree", plugins=["hello"]) == []
    assert found({}, theme="twentytwentythree", plugins=["hello"]) != []


def test_site_that_is_there_says_itself_what_it_lacks() -> None:
    """One site's volume is no reason to leave the others as they are."""
    assert found(THERE, locale="fur", theme="astra", plugins=["shopper"]) == []


@pytest.mark.parametrize("sites", [None, "x", [], {"shop": None}, {"shop": "x"}, {5: {"themes": 1, "plugins": 2}}])
def test_no_wrong_type_ends_in_a_traceback(sites: Any) -> None:
    assert brought_problems({**VALUES, "wordpress_sites": sites}, {}) == []
