"""A site's way to itself: from its own container it reaches its own address, as its visitors do from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.runs import Runs
from tests.support.sites import Site
from tests.support.stack import Stack
from tests.support.wordpress import evaluate

HEALTH = r"""(function () {
    require_once ABSPATH . 'wp-admin/includes/admin.php';
    $owner = get_users(['role' => 'administrator', 'number' => 1])[0];
    wp_set_current_user($owner->ID);
    $token = WP_Session_Tokens::get_instance($owner->ID)->create(time() + 600);
    $_COOKIE[LOGGED_IN_COOKIE] = wp_generate_auth_cookie($owner->ID, time() + 600, 'logged_in', $token);
    $health = WP_Site_Health::get_instance();
    $results = [];
    foreach (WP_Site_Health::get_tests() as $kind => $tests) {
        foreach ($tests as $name => $test) {
            $call = $kind === 'direct' ? $test['test'] : $test['async_direct_test'] ?? null;
            if ($call === null) {
                // A browser's matter: whether the server hands on a header that it sends.
                continue;
            }
            if (is_string($call) && method_exists($health, "get_test_$call")) {
                $call = [$health, "get_test_$call"];
            }
            $results[$name] = call_user_func($call)['status'];
        }
    }
    WP_Session_Tokens::get_instance($owner->ID)->destroy($token);
    return $results;
})()"""
NEEDS_INTERNET = {"dotorg_communication", "background_updates"}
"""Tests of Site Health that ask wordpress.org: an instance may have no way there."""

# The status of an address, or a negative number, by each of OpenSSL's ways: the bundle that WordPress gives curl,
# curl's own, a stream with PHP's default.
WAYS = r"""
[$host, $port, $path] = array_slice($argv, 1);
$url = "https://$host:$port$path";
$answers = [];
foreach ([[CURLOPT_CAINFO => '/usr/share/wordpress/wp-includes/certificates/ca-bundle.crt'], []] as $options) {
    $curl = curl_init($url);
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 10] + $options);
    curl_exec($curl);
    $answers[] = curl_errno($curl) ? -curl_errno($curl) : curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
}
$stream = @stream_socket_client("ssl://$host:$port", $number, $text, 10);
$request = "GET $path HTTP/1.0\r\nHost: $host:$port\r\n\r\n";
$answers[] = $stream && fwrite($stream, $request) ? (int) substr((string) fgets($stream), 9, 3) : -1;
echo json_encode($answers);
"""


def ask_itself(stack: Stack, site: str, host: str, path: str = "/", port: int = 8444) -> list[int]:
    """Ask for an address from within a site's container, by three ways; return the statuses."""
    result = stack.container(f"wordpress-{site}").run("php", "-r", WAYS, "--", host, str(port), path)
    assert result.rc == 0, result.stderr
    answers: list[int] = json.loads(result.stdout)
    return answers


def wordpress(stack: Stack, site: Site, expression: str) -> Any:
    """Let a site's WordPress evaluate a PHP expression."""
    return evaluate(stack.container(f"wordpress-{site.name}"), expression, site.url.removeprefix("https://"))


def test_site_health_finds_nothing_critical(stack: Stack, sites: list[Site]) -> None:
    """Of all that it asks itself; the way to itself and the REST interface are more than not critical."""
    for site in sites:
        results = wordpress(stack, site, HEALTH)
        assert len(results) > 15, "control"
        critical = {name for name, status in results.items() if status == "critical"} - NEEDS_INTERNET
        assert critical == set(), site.name
        assert (results["loopback_requests"], results["rest_availability"]) == ("good", "good"), site.name


def test_each_way_of_php_trusts_the_way_to_itself(stack: Stack) -> None:
    """On the port of the site's address, under all its names; what is another site's is not there."""
    assert ask_itself(stack, "harbour", "harbour.example.test", "/wp-json/") == [200, 200, 200]
    assert ask_itself(stack, "harbour", "www.harbour.example.test") == [308, 308, 308]
    assert max(ask_itself(stack, "harbour", "market.example.test")) < 0


def test_wordpress_reaches_its_addresses(stack: Stack, sites: list[Site]) -> None:
    for site in sites:
        addresses = "[home_url('/'), rest_url(), site_url('wp-cron.php')]"
        asked = "array_map(fn ($url) => wp_remote_retrieve_response_code({}($url)), " + addresses + ")"
        for call in ("wp_remote_get", "wp_safe_remote_get"):
            assert wordpress(stack, site, asked.format(call)) == [200, 200, 200], (site.name, call)


def test_name_that_programs_know_already_leads_to_the_web_server(stack: Stack, sites: list[Site]) -> None:
    """A site may be called localhost: WordPress itself gets as far as the web server, which has no such site here."""
    asked = "(new ReflectionProperty('WP_Error', 'errors'))->getValue(wp_remote_get('https://localhost:8444/'))"
    (error,) = wordpress(stack, sites[0], asked).values()
    assert "Failed to connect" in error[0] or "Could not connect" in error[0], "control: it is none of its names"


def test_tools_ask_a_site_for_their_login(stack: Stack) -> None:
    """What stands before a login does so from inside too."""
    assert ask_itself(stack, "harbour", "harbour.example.test", "/gauges/") == [401, 401, 401]


def test_visitors_do_not_run_events(stack: Stack, sites: list[Site]) -> None:
    answer = stack.host.run(
        "curl --insecure --silent --output /dev/null --write-out '%%{http_code}' --resolve %s:8444:127.0.0.1 %s",
        sites[0].domain, f"{sites[0].url}/wp-cron.php",
    )  # fmt: skip
    assert answer.stdout == "404"


@pytest.mark.thorough
@pytest.mark.destructive
def test_another_authority_is_trusted_after_a_run(runs: Runs, stack: Stack) -> None:
    place = f"{stack.data_directory}/ca"
    stack.host.check_output("mv %s %s.away", place, place)
    runs.converge()
    assert ask_itself(stack, "harbour", "harbour.example.test", "/wp-json/") == [200, 200, 200]
    assert runs.converge().changes == []
