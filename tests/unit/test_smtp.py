"""The relay for mail: its complete settings, and what is refused."""

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import preflight, smtp

RELAY: dict[str, Any] = {
    "host": "smtp.example.org",
    "login": "blog",
    "password": 'it\'s "x"',
    "from": "blog@example.org",
}


def relay(**changes: Any) -> dict[str, Any]:
    """Return the good relay with some keys replaced; those set to `...` are removed."""
    return {key: value for key, value in {**RELAY, **changes}.items() if value is not ...}


def test_settings_are_complete() -> None:
    assert smtp.smtp_relay({}, RELAY) == {
        "host": "smtp.example.org",
        "port": 587,
        "encryption": "starttls",
        "login": "blog",
        "password": 'it\'s "x"',
        "from": "blog@example.org",
        "from_name": "",
        "certificate_authority": "",
    }


@pytest.mark.parametrize("wrong", ["smtp.example.org", ["x"], 5])
def test_settings_of_another_form_are_refused(wrong: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="must be a dict"):
        smtp.smtp_relay({"smtp": wrong}, RELAY)


def test_site_s_relay_replaces_the_common_one() -> None:
    own = {
        "host": "192.0.2.1",
        "port": "465",
        "encryption": "tls",
        "from": "a@b.example",
        "certificate_authority": "ca.pem",
    }
    found = smtp.smtp_relay({"smtp": own}, RELAY)
    assert (found["host"], found["port"], found["login"], found["password"]) == ("192.0.2.1", 465, "", "")
    assert found["certificate_authority"] == "/run/secrets/smtp.crt"
    assert smtp.smtp_relay({"smtp": {}}, RELAY) == {}
    assert smtp.smtp_relay({}, {}) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"login": ..., "password": ...},
        {"login": ..., "password": ..., "encryption": "none"},
        {"port": 465, "encryption": "tls"},
        {"host": "192.0.2.1"},
        {"host": "2001:db8::1"},
        {"from_name": 'Ü & "Co" <x>'},
        {"certificate_authority": "ca.pem"},
        {"password": "x"},
    ],
)
def test_relays_accepted(changes: dict[str, Any]) -> None:
    assert smtp.smtp_problems("wordpress_smtp", relay(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"host": ...}, "wordpress_smtp.host: missing"),
        ({"from": ...}, "wordpress_smtp.from: missing"),
        ({"host": "a b"}, "must be a host name"),
        ({"host": "smtp://x"}, "must be a host name"),
        ({"host": "x;y"}, "must be a host name"),
        ({"from": "blog"}, "must be an e-mail address"),
        ({"from": "a@b\nBcc: c@d"}, "must be an e-mail address"),
        ({"from_name": "a\nb"}, "line breaks"),
        ({"port": 0}, "from 1 to 65535"),
        ({"port": 65536}, "from 1 to 65535"),
        ({"password": ...}, "belong together"),
        ({"login": ...}, "belong together"),
        ({"password": "a\0b"}, "wordpress_smtp.password: must not contain"),
        ({"encryption": "none"}, "would travel in clear"),
        ({"encryption": "none", "login": ..., "password": ..., "certificate_authority": "x"}, "nothing is checked"),
    ],
)
def test_relays_refused(changes: dict[str, Any], rule: str) -> None:
    (problem,) = smtp.smtp_problems("wordpress_smtp", relay(**changes))
    assert rule in problem
    assert RELAY["password"] not in problem
    assert "\n" not in problem


@pytest.mark.parametrize("nothing", [None, {}, [], "x"])
def test_nothing_to_check(nothing: Any) -> None:
    assert smtp.smtp_problems("wordpress_smtp", nothing, outbound=False) == []


def test_preflight_asks_for_each_relay_and_for_a_way_out() -> None:
    values = {
        "wordpress_outbound": "false",
        "wordpress_smtp": RELAY,
        "wordpress_sites": {"blog": {"smtp": relay(port=0)}, "shop": {"smtp": {}}, "bad": None},
    }
    problems = preflight.mail_problems(values)
    assert [problem.split(": ")[0] for problem in problems] == [
        "wordpress_smtp", "wordpress_sites.blog.smtp.port", "wordpress_sites.blog.smtp",
    ]  # fmt: skip
    assert "wordpress_outbound is false" in problems[0]
    assert preflight.mail_problems({**values, "wordpress_outbound": True}) == problems[1:2]
