"""A browser in a container of its own, on this machine's network. Nothing is installed on this one.

The image is made like the test instance's (molecule/shared/image.yml), so nothing comes from a registry.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver

from tests.support.sites import Site
from tests.support.stack import Stack

PROJECT = Path(__file__).resolve().parents[2]
ARGUMENTS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --window-size=1280,900 --hide-scrollbars
"""
NewBrowser = Callable[[], WebDriver]


def docker(*arguments: str, standard_input: str | None = None) -> str:
    """Run the engine's command line tool on this machine."""
    result = subprocess.run(
        ["docker", *arguments], input=standard_input, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, f"docker {' '.join(arguments)}: {result.stderr}"
    return result.stdout.strip()


@pytest.fixture(scope="session")
def browser_image() -> str:
    """Name the browser's image, which is made first if it does not exist (half a minute)."""
    result = subprocess.run(
        [
            "ansible-playbook",
            f"--inventory={PROJECT}/molecule/shared/inventory",
            "--extra-vars=image_flavour=browser",
            f"{PROJECT}/molecule/shared/image.yml",
        ],
        env={**os.environ, "ANSIBLE_CONFIG": f"{PROJECT}/ansible.cfg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.search(r"pressdock-molecule/browser:[0-9a-f]+", result.stdout)
    assert found
    return found[0]


@pytest.fixture(scope="session")
def address(pytestconfig: pytest.Config) -> str:
    """Return the address under which the browser's container reaches the machine under test."""
    hosts = str(pytestconfig.getoption("hosts") or "local://")
    kind, _, name = hosts.partition("://")
    if kind == "docker":
        return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)
    if kind == "local":
        return docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
    return name.rpartition("@")[2].partition(":")[0]


@pytest.fixture(scope="session")
def authority(stack: Stack) -> str:
    """Return the certificate of the stack's own authority, which an operator imports into the browser."""
    return str(stack.host.file(f"{stack.data_directory}/ca/ca.crt").content_string)


@pytest.fixture(scope="session")
def chromedriver(browser_image: str, authority: str) -> Iterator[str]:
    """Run the browser's container and trust the stack's authority in it; return its driver's address."""
    name = f"pressdock-browser-{os.getpid()}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The engine that our docker role sets up lets containers on its own bridge not see each other.
    docker(
        "run", "--detach", "--rm", "--name", name, "--shm-size", "512m", "--network", "host", browser_image,
        "chromedriver", f"--port={port}",
    )  # fmt: skip
    try:
        trust = (
            "mkdir -p .pki/nssdb && certutil -d sql:.pki/nssdb -N --empty-password"
            " && certutil -d sql:.pki/nssdb -A -a -t C,, -n stack"
        )
        docker("exec", "--interactive", name, "sh", "-euc", trust, standard_input=authority)
        driver = f"http://127.0.0.1:{port}"
        for _ in range(50):
            try:
                if requests.get(f"{driver}/status", timeout=5).json()["value"]["ready"]:
                    break
            except requests.ConnectionError:
                time.sleep(0.2)
        yield driver
    finally:
        docker("rm", "--force", name)


@pytest.fixture(scope="module")
def complaints(chromedriver: str) -> Callable[[WebDriver], list[str]]:
    """Return a function that lists what the browser complains about (console messages of level SEVERE)."""

    def read(browser: WebDriver) -> list[str]:
        # ChromeDriver's own command; Selenium's remote driver has no method for it.
        answer = requests.post(
            f"{chromedriver}/session/{browser.session_id}/se/log", json={"type": "browser"}, timeout=30
        )
        return [entry["message"] for entry in answer.json()["value"] if entry["level"] == "SEVERE"]

    return read


@pytest.fixture(scope="module")
def new_browser(chromedriver: str, address: str, sites: list[Site]) -> Iterator[NewBrowser]:
    """Return a function that opens a browser which knows nobody (no cookies)."""
    browsers: list[WebDriver] = []
    rules = ",".join(f"MAP {site.domain} {address}" for site in sites)

    def open_browser() -> WebDriver:
        options = webdriver.ChromeOptions()
        for argument in [*ARGUMENTS.split(), f"--host-resolver-rules={rules},EXCLUDE localhost"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Remote(chromedriver, options=options)
        browser.set_page_load_timeout(60)
        browsers.append(browser)
        return browser

    yield open_browser
    for browser in browsers:
        browser.quit()
