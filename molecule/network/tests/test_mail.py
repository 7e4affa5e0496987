"""Mail through the declared relay, and what happens where that does not work."""

from __future__ import annotations

import email
import email.policy
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from email.message import EmailMessage

import pytest

from tests.support.network import PORT, Site, Visitor
from tests.support.stack import Stack
from tests.support.waiting import eventually

# An address that nobody has, from which nothing comes back.
UNANSWERED = (
    "[$start = microtime(true),"
    " add_action('phpmailer_init', function ($mailer) { $mailer->Host = '192.0.2.1'; }, 2000),"
    " wp_mail('someone@example.test', 'Betreff', 'Inhalt'), microtime(true) - $start]"
)
PASSWORD = 'relay\'s "pass" $HOME {{ 7 * 7 }} \\ ü'


@pytest.fixture(scope="module", autouse=True)
def attempt(inseln: Site) -> Iterator[Future[float]]:
    """Begin a mail for which no relay answers, so that nobody has to wait for its end. Its result: how long it took."""

    def seconds() -> float:
        _, _, sent, duration = inseln.wordpress(UNANSWERED)
        assert sent is False
        return float(duration)

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(seconds)


def messages(stack: Stack) -> list[dict[str, str]]:
    """Return what the relay has taken, oldest first."""
    names = stack.host.check_output("find /root/relay -name '*.json' | sort").split()
    return [json.loads(stack.host.file(name).content_string) for name in names]


def relay_log(stack: Stack) -> list[dict[str, object]]:
    """Return what the relay has seen besides."""
    return [json.loads(line) for line in stack.host.check_output("cat /root/relay/relay.log 2>&- || true").splitlines()]


def test_password_reset_arrives(stack: Stack, visitor: Visitor) -> None:
    """Asked for on a sub-site's form, as a user does who has forgotten the password; and the link works."""
    before = len(messages(stack))
    answer = visitor.get(
        "inseln.example.test/nord/wp-login.php?action=lostpassword", "--data", "user_login=lotse&wp-submit=x"
    )
    assert answer.status == 302, answer
    unknown = visitor.get(
        "inseln.example.test/nord/wp-login.php?action=lostpassword", "--data", "user_login=nobody&wp-submit=x"
    )
    assert unknown.status == 302, "nobody learns from the answer whether there is such a user"
    # It is sent when the answer has been given.
    assert eventually(lambda: len(messages(stack)) > before, 20)
    taken = messages(stack)[before:]
    assert len(taken) == 1
    assert taken[0]["from"] == "MAIL FROM:<hafenpost@example.test>"
    assert taken[0]["to"] == ["RCPT TO:<lotse@example.test>"]  # type: ignore[comparison-overlap]
    message = email.message_from_string(taken[0]["text"], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message["From"].addresses[0].addr_spec == "hafenpost@example.test"
    assert message["From"].addresses[0].display_name == 'Nord & "Ost"'
    assert message["To"] == "lotse@example.test"
    assert "Passwort" in message["Subject"]
    link = re.search(r"https://\S+action=rp\S*", message.get_content())
    assert link, message.get_content()
    assert link[0].startswith(f"https://inseln.example.test:{PORT}/")
    page = visitor.get(link[0].removeprefix("https://"), "--location")
    assert 'name="pass1"' in page.body


def test_relay_saw_the_declared_login(stack: Stack) -> None:
    assert {"login": "post", "right": True} in relay_log(stack)
    assert not [entry for entry in relay_log(stack) if "refused" in entry], "nothing was said in clear"


def sends(site: Site, change: str = "") -> bool:
    """Send a mail, where `change` is PHP that changes the mailer at last."""
    return bool(
        site.wordpress(
            f"[add_action('phpmailer_init', function ($mailer) {{ {change} }}, 2000),"
            " wp_mail('someone@example.test', 'Betreff', 'Inhalt')][1]"
        )
    )


def test_relay_with_a_certificate_for_another_name(stack: Stack, kanal: Site) -> None:
    """The control is the same relay by its right address."""
    before = len(messages(stack))
    assert sends(kanal, "$mailer->Host = '198.51.100.25';"), "control"
    assert len(messages(stack)) == before + 1
    assert sends(kanal) is False
    assert len(messages(stack)) == before + 1


def test_relay_that_refuses_the_login(stack: Stack, inseln: Site) -> None:
    before = len(messages(stack))
    assert sends(inseln, "$mailer->Password = 'a wrong password';") is False
    assert len(messages(stack)) == before
    assert {"login": "post", "right": False} in relay_log(stack)


@pytest.mark.parametrize(
    ("name", "login", "status", "words"),
    [
        # What happens after the answer would tell that there is such a user.
        ("kanal", "smutje", 302, r"mail was not sent: .*SMTP"),
        ("einzel", "gehilfe", 200, r"mail was not sent: no relay is declared \(wordpress_smtp\)"),
        ("einzel", "nobody", 200, r"mail was not sent: no relay is declared \(wordpress_smtp\)"),
    ],
)
def test_failure_is_in_the_log_without_the_password(
    name: str, login: str, status: int, words: str, request: pytest.FixtureRequest, visitor: Visitor
) -> None:
    """A real request; where there is no relay its answer says that no mail is sent, whoever it is for."""
    site: Site = request.getfixturevalue(name)
    answer = visitor.get(f"{site.domain}/wp-login.php?action=lostpassword", "--data", f"user_login={login}&wp-submit=x")
    assert answer.status == status
    assert ("cannot send mail" in answer.body) == (status == 200)
    assert eventually(lambda: re.search(f"pressdock: {words}", site.container.logs()) is not None, 10), (
        site.container.logs()
    )
    assert PASSWORD not in site.container.logs()


def test_site_health_knows_whether_there_is_a_relay(inseln: Site, einzel: Site) -> None:
    test = (
        "[require_once(ABSPATH . 'wp-admin/includes/class-wp-site-health.php'),"
        " (WP_Site_Health::get_tests()['direct']['pressdock_mail']['test'])()['status']][1]"
    )
    assert inseln.wordpress(test) == "good"
    assert einzel.wordpress(test) == "recommended"


def test_relay_that_does_not_answer(attempt: Future[float]) -> None:
    """WordPress gives up in time."""
    assert attempt.result() < 40
