"""The main job, done by people with a browser: publish, comment, and find both again after everything was replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.conftest import PROJECT, NewBrowser
from tests.support.sites import Login, Site
from tests.support.stack import Stack

HEADLINE = "Spring tide at eight o'clock"
COMMENT = "The deck is scrubbed & ready — aye!"


def find(browser: WebDriver, selector: str, seconds: float = 30) -> WebElement:
    """Wait until an element can be clicked, and return it."""
    condition = expected_conditions.element_to_be_clickable((By.CSS_SELECTOR, selector))
    return WebDriverWait(browser, seconds).until(condition, f"{selector} on {browser.current_url}")


def log_in(browser: WebDriver, site: Site, login: Login) -> None:
    """Log in by the form, and see the dashboard."""
    browser.get(f"{site.url}/wp-login.php")
    find(browser, "#user_login").send_keys(login.name)
    find(browser, "#user_pass").send_keys(login.password)
    find(browser, "#wp-submit").click()
    dashboard = f"{site.url}/wp-admin/"
    # Between two pages the browser shows neither.
    try:
        WebDriverWait(browser, 30).until(
            lambda b: b.current_url.startswith(dashboard) or b.find_elements(By.CSS_SELECTOR, "#login_error")
        )
    except TimeoutException:
        source = browser.page_source
        pytest.fail(f"{login.name} meets neither the dashboard nor a refusal, but {browser.current_url}\n{source}")
    if not browser.current_url.startswith(dashboard):
        pytest.fail(f"{login.name} cannot log in: {find(browser, '#login_error').text}")


def publish(browser: WebDriver, site: Site, headline: str) -> str:
    """Publish a post with the block editor; return the post's address."""
    browser.get(f"{site.url}/wp-admin/post-new.php")
    find(browser, ".editor-post-publish-button__button")
    for welcome in browser.find_elements(By.CSS_SELECTOR, ".components-modal__header button[aria-label]"):
        welcome.click()
    # Themes made of blocks are edited in a frame.
    frames = browser.find_elements(By.CSS_SELECTOR, "iframe[name=editor-canvas]")
    if frames:
        browser.switch_to.frame(frames[0])
    title = find(browser, ".wp-block-post-title")
    title.click()
    title.send_keys(headline, Keys.ENTER, "All hands to the quay.")
    browser.switch_to.default_content()
    find(browser, ".editor-post-publish-button__button[aria-disabled=false]").click()
    find(browser, ".editor-post-publish-panel .editor-post-publish-button[aria-disabled=false]").click()
    link = find(browser, ".post-publish-panel__postpublish-buttons a.is-primary").get_attribute("href")
    assert link
    return link


@pytest.fixture(scope="module")
def site(sites: list[Site]) -> Site:
    """Return the site that the story happens on."""
    return sites[0]


@pytest.fixture(scope="module")
def owner(new_browser: NewBrowser, site: Site) -> WebDriver:
    """Return the administrator's browser, logged in."""
    browser = new_browser()
    log_in(browser, site, site.administrator)
    return browser


@pytest.fixture(scope="module")
def second(new_browser: NewBrowser, site: Site) -> WebDriver:
    """Return the second user's browser, logged in."""
    browser = new_browser()
    log_in(browser, site, site.users[0])
    return browser


@pytest.fixture(scope="module")
def post(owner: WebDriver, site: Site) -> str:
    """Return the address of a post that the administrator has published."""
    return publish(owner, site, HEADLINE)


def test_front_page(new_browser: NewBrowser, complaints: Callable[[WebDriver], list[str]], site: Site) -> None:
    """Over TLS that the browser trusts, with the declared title, and nothing on it that the browser complains about."""
    visitor = new_browser()
    visitor.get(f"{site.url}/")
    assert visitor.current_url == f"{site.url}/"
    assert visitor.title.startswith(site.title)
    assert visitor.execute_script("return window.isSecureContext")
    assert complaints(visitor) == []
    # The same question finds something where there is something to complain about.
    visitor.get(f"{site.url}/no-such-page/")
    assert complaints(visitor) != []


def test_unknown_authority_is_not_trusted(new_browser: NewBrowser, site: Site) -> None:
    """Negative control: under a name that the certificate does not hold, the same browser refuses the same server."""
    visitor = new_browser()
    address = f"https://localhost.{site.domain}:{site.port}/"
    with pytest.raises(Exception, match=r"ERR_(CERT|NAME|SSL|CONNECTION)"):
        visitor.get(address)


def test_wrong_password_is_refused(new_browser: NewBrowser, site: Site) -> None:
    browser = new_browser()
    with pytest.raises(pytest.fail.Exception, match=r"cannot log in: .*password"):
        log_in(browser, site, Login(site.administrator.name, "not the password", "administrator"))


@pytest.mark.destructive
def test_administrator_publishes(post: str, new_browser: NewBrowser, site: Site) -> None:
    """Visitors see the post under its own address and on the front page."""
    visitor = new_browser()
    visitor.get(post)
    assert find(visitor, "h1").text == HEADLINE.replace("'", "\u2019")
    assert post.startswith(site.url)
    visitor.get(f"{site.url}/")
    assert HEADLINE.replace("'", "\u2019") in find(visitor, "main").text
    if os.environ.get("PRESSDOCK_SCREENSHOT"):
        picture = PROJECT / "docs/screenshots/front-page.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Path(picture).write_bytes(visitor.get_screenshot_as_png())


@pytest.mark.destructive
def test_second_user_comments(post: str, second: WebDriver, new_browser: NewBrowser) -> None:
    second.get(post)
    find(second, "#comment").send_keys(COMMENT)
    find(second, "#submit").click()
    visitor = new_browser()
    visitor.get(post)
    assert COMMENT in find(visitor, ".wp-block-comments").text


@pytest.mark.destructive
def test_second_user_is_no_administrator(second: WebDriver, site: Site) -> None:
    second.get(f"{site.url}/wp-admin/users.php")
    assert "wp-list-table" not in second.page_source
    second.get(f"{site.url}/wp-admin/plugin-install.php")
    assert "plugin-card" not in second.page_source


@pytest.mark.destructive
def test_everything_outlives_its_containers(
    post: str, owner: WebDriver, second: WebDriver, new_browser: NewBrowser, site: Site, stack: Stack,
    converge: Callable[[], None],
) -> None:  # fmt: skip
    """All containers removed and made again: post and comment are there, and people are still logged in."""
    before = {container.name: container.identifier for container in stack.containers()}
    stack.host.check_output("docker rm --force " + " ".join(before))
    converge()
    after = {container.name: container.identifier for container in stack.containers()}
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    visitor = new_browser()
    visitor.get(post)
    assert find(visitor, "h1").text == HEADLINE.replace("'", "\u2019")
    assert COMMENT in find(visitor, ".wp-block-comments").text
    for browser in (owner, second):
        browser.get(f"{site.url}/wp-admin/profile.php")
        assert browser.current_url == f"{site.url}/wp-admin/profile.php"
