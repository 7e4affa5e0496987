"""The tools behind their login, and the cache's state in the dashboard, as an operator sees them in a browser."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from filter_plugins.secrets import derive_secret
from tests.e2e.conftest import PROJECT, NewBrowser
from tests.e2e.test_browser import find, log_in
from tests.support.sites import Site
from tests.support.stack import Stack

Tool = Callable[[str], str]


def picture(browser: WebDriver, name: str) -> None:
    """Keep what the browser shows for the documentation, when that is wanted."""
    if os.environ.get("PRESSDOCK_SCREENSHOT"):
        (PROJECT / "docs/screenshots" / f"{name}.png").write_bytes(browser.get_screenshot_as_png())


@pytest.fixture(scope="module")
def site(sites: list[Site]) -> Site:
    """Return the site that a tool is below where nothing else is declared."""
    return sites[0]


@pytest.fixture(scope="module")
def tool(site: Site, variables: dict[str, Any], installation_key: str) -> Tool:
    """Return a function that names a tool's address, with the login that the web server asks for."""

    def address(name: str) -> str:
        login, secret = variables[f"{name}_login"], f"tool/{name}"
        derived = derive_secret(installation_key, secret, variables["stack_secret_versions"].get(secret, 1))
        password = quote(variables[f"{name}_password"] or derived, safe="")
        authority = site.url.removeprefix("https://").replace(site.domain, variables[f"{name}_domain"] or site.domain)
        return f"https://{quote(login)}:{password}@{authority}{variables[f'{name}_path']}"

    return address


def test_tools_ask_for_a_login(new_browser: NewBrowser, tool: Tool) -> None:
    """Negative control: without it, or with a wrong one, nothing of them is to be seen."""
    for name, title in (("adminer", "Adminer"), ("cadvisor", "Containers")):
        visitor = new_browser()
        scheme, _, rest = tool(name).partition("://")
        login, _, place = rest.partition("@")
        for given in ("", f"{login}x@"):
            visitor.get(f"{scheme}://{given}{place}")
            assert title not in visitor.title
            assert title not in visitor.find_element(By.TAG_NAME, "body").text


def test_adminer_shows_a_table(
    new_browser: NewBrowser, tool: Tool, site: Site, variables: dict[str, Any], installation_key: str
) -> None:
    """As the site's own user, who finds the site's title in its table of options."""
    operator = new_browser()
    operator.get(tool("adminer"))
    database = variables["wordpress_database_prefix"] + site.name
    find(operator, "input[name='auth[username]']").send_keys(database)
    find(operator, "input[name='auth[password]']").send_keys(derive_secret(installation_key, f"database/{site.name}"))
    find(operator, "input[type=submit]").click()
    find(operator, f"#dbs, a[href*='db={database}']")
    prefix = site.declared.get("table_prefix", variables["wordpress_table_prefix"])
    here = operator.current_url.partition("?")[0]
    operator.get(f"{here}?username={database}&db={database}&select={prefix}options&order%5B0%5D=option_id")
    rows = find(operator, "#table").text
    # WordPress stores a title as it stands in a page.
    assert site.title in html.unescape(rows)
    picture(operator, "adminer")


def test_cadvisor_shows_the_containers(new_browser: NewBrowser, tool: Tool, stack: Stack) -> None:
    """All of the stack's, by their names, each with its use of memory and its limit."""
    operator = new_browser()
    operator.get(tool("cadvisor"))

    def memory(row: WebElement) -> str:
        return row.find_elements(By.TAG_NAME, "td")[2].text

    def complete(browser: WebDriver) -> bool:
        browser.refresh()
        found = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
        return bool(found) and not [row for row in found if memory(row) == "0 B"]

    # A container that has just been made is read for the first time some seconds later.
    WebDriverWait(operator, 60, 2).until(complete, "every container's memory")
    rows = [row.text for row in operator.find_elements(By.CSS_SELECTOR, "tbody tr")]
    missing = [c.name for c in stack.containers() if not [row for row in rows if row.startswith(f"{c.name} ")]]
    assert missing == [], rows
    limit = stack.container("mariadb").inspect["HostConfig"]["Memory"] // 1024**2
    (row,) = [row for row in rows if row.startswith(f"{stack.container('mariadb').name} ")]
    assert f" {limit} MiB " in row
    picture(operator, "cadvisor")


def test_dashboard_tells_the_state_of_the_cache(new_browser: NewBrowser, site: Site) -> None:
    """In WordPress's own page on the site's health."""
    owner = new_browser()
    log_in(owner, site, site.administrator)
    owner.get(f"{site.url}/wp-admin/site-health.php?tab=debug")
    heading = find(owner, "button[aria-controls='health-check-accordion-block-pressdock-object-cache']")
    owner.execute_script("arguments[0].click(); arguments[0].scrollIntoView();", heading)
    section = find(owner, "#health-check-accordion-block-pressdock-object-cache").text
    assert "redis" in section.lower()
    assert "connected" in section.lower()
    picture(owner, "object-cache")
