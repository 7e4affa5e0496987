"""The web server as its visitors see it: TLS, hosts, routes, limits, headers, the log. Asked by curl and openssl."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.runs import Runs
from tests.support.stack import Container, Stack
from tests.support.web import Answer, Web

SERVER = "198.51.100.1"
PORT = 8444
DOMAIN = "harbour.example.test"
ALIASES = ["www.harbour.example.test", "quay.example.test", "harbour.localhost"]
VISITOR, SECOND_VISITOR, LOGGED_VISITOR, CALLER = (f"198.51.100.{number}" for number in (6, 7, 8, 9))
AUTHORITY = "/srv/harbour/authority/ca.crt"
CONTENT = "/srv/harbour/quayside/volumes/sites/harbour/wp-content"
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": 'no-referrer, "strict-origin"',
    "strict-transport-security": "max-age=1234567",
}
OWN_HEADERS = [
    *("--header", "X-Harmless: 192.0.2.98", "--header", "X-WC-Webhook-Signature: 192.0.2.97"),
    *("--header", "Authorization: Bearer 192.0.2.96"),
]
CERTIFICATE_REFUSED, HANDSHAKE_FAILED, CONNECTION_REFUSED = 60, 35, 7
"""curl's exit codes."""


def handshake(stack: Stack, *arguments: str) -> str:
    """Open a TLS connection with openssl and return what it says about it."""
    command = f"openssl s_client -connect {SERVER}:{PORT} " + " ".join(["%s"] * len(arguments)) + " </dev/null 2>&1"
    return str(stack.host.run(command, *arguments).stdout)


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_tls_versions(stack: Stack, version: str) -> None:
    text = handshake(stack, "-servername", DOMAIN, version)
    assert re.search(f"New, {version[1:].upper().replace('_', '.').replace('TLS', 'TLSv')}, Cipher is", text), text


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_tls_is_refused(stack: Stack, version: str) -> None:
    """By the server: the client would."""
    text = handshake(stack, "-servername", DOMAIN, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in text
    assert "Cipher is (NONE)" in text


def test_weak_ciphers_are_refused(stack: Stack) -> None:
    """Without forward secrecy, or with a mode that is broken; the same connection with a good one is taken."""
    arguments = ("-servername", DOMAIN, "-tls1_2", "-cipher")
    assert "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in handshake(stack, *arguments, "ECDHE-ECDSA-AES128-GCM-SHA256")
    for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "AES256-SHA"):
        assert "alert handshake failure" in handshake(stack, *arguments, f"{cipher}:@SECLEVEL=0"), cipher


def test_sessions_have_no_tickets(stack: Stack) -> None:
    assert "TLS session ticket" not in handshake(stack, "-servername", DOMAIN, "-tls1_2")


@pytest.mark.parametrize("domain", [DOMAIN, *ALIASES])
def test_certificate_is_trusted_through_the_authority(web: Web, domain: str) -> None:
    url = f"https://{domain}:{PORT}/"
    assert web.curl(url).rc == 0
    # Without the stack's authority nobody trusts it.
    assert web.curl(url, "--cacert", "/etc/ssl/certs/ca-certificates.crt").rc == CERTIFICATE_REFUSED


@pytest.mark.parametrize("arguments", [("-servername", "elsewhere.example.test"), ("-noservername",)])
def test_unknown_names_get_no_certificate(stack: Stack, arguments: tuple[str, ...]) -> None:
    text = handshake(stack, *arguments)
    assert "tlsv1 unrecognized name" in text
    assert "BEGIN CERTIFICATE" not in text
    assert "BEGIN CERTIFICATE" in handshake(stack, "-servername", DOMAIN)


def test_http_2(web: Web) -> None:
    assert web.get("/").version == "HTTP/2"
    assert web.get("/", "--http1.1").version == "HTTP/1.1"


# --- Hosts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["own.example.test:8444", "elsewhere.example.test", "127.0.0.1"])
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_host_must_be_of_the_certificates_site(web: Web, host: str, version: str) -> None:
    assert web.get("/", version).is_from_php
    answer = web.get("/", version, "--header", f"Host: {host}")
    assert answer.status == 421
    assert not answer.is_from_php


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("path", ["/", "/2024/05/hello/?a=b%20c&d=%2F", "/wp-login.php?x", "/.env"])
def test_alias_redirects_to_the_domain(web: Web, alias: str, path: str) -> None:
    """With its path, its query and the port that is not the usual one; a form that was sent stays one (308)."""
    answer = web.get(path, domain=alias)
    assert (answer.status, answer.headers["location"]) == (308, f"https://{DOMAIN}:{PORT}{path}")


def test_plain_http_on_the_tls_port_is_redirected(web: Web) -> None:
    answer = web.ask(f"http://{DOMAIN}:{PORT}/a?b=c")
    assert (answer.status, answer.headers["location"]) == (308, f"https://{DOMAIN}:{PORT}/a?b=c")
    assert "strict-transport-security" not in answer.headers, "RFC 6797, 7.2"


def test_plain_http_with_an_unknown_host_gets_nothing(web: Web) -> None:
    answer = web.ask(f"http://{DOMAIN}:{PORT}/", "--header", "Host: elsewhere.example.test")
    assert answer.status in {400, 421}
    assert "location" not in answer.headers


@pytest.mark.parametrize(("address", "port"), [(SERVER, 80), (SERVER, 8085), ("127.0.0.1", PORT)])
def test_nothing_else_listens(web: Web, address: str, port: int) -> None:
    """Neither the port for plain HTTP, nor any on another address of the machine."""
    assert web.host.run("curl --silent http://%s:%s/", address, str(port)).rc == CONNECTION_REFUSED
    assert web.host.run("curl --silent http://%s:%s/", SERVER, str(PORT)).rc == 0


def test_each_site_has_its_upstream(web: Web) -> None:
    assert web.get("/").headers["x-responder"] == "one"
    assert web.get("/", domain="replaced.example.test").headers["x-responder"] == "two"


# --- What PHP is told ----------------------------------------------------------------------------------------------


def test_php_is_told_the_truth(web: Web) -> None:
    """About the script, the host with its port, the encryption and the visitor."""
    parameters = web.get("/a/b/?c=d").parameters
    wanted = {
        "SCRIPT_FILENAME": "/usr/share/wordpress/index.php", "REQUEST_URI": "/a/b/?c=d", "QUERY_STRING": "c=d",
        "HTTP_HOST": f"{DOMAIN}:{PORT}", "SERVER_PORT": str(PORT), "HTTPS": "on", "REMOTE_ADDR": VISITOR,
    }  # fmt: skip
    assert {name: parameters.get(name) for name in wanted} == wanted


def test_forged_headers_do_not_reach_php(web: Web) -> None:
    forged = [
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Proxy", "Client-IP",
        "X-Original-URL", "True-Client-IP", "X-Cluster-Client-IP", "X-Original-Host", "Forwarded-For", "CF-IPCountry",
        "X-Some-Other-Makers-Client-IP", "x-azure-clientip", "Remote-User", "Front-End-Https",
    ]  # fmt: skip
    arguments = [word for name in forged for word in ("--header", f"{name}: 192.0.2.99")]
    for version in ("--http1.1", "--http2"):
        answer = web.get("/", version, *arguments, *OWN_HEADERS)
        assert answer.parameters["HTTP_X_HARMLESS"] == "192.0.2.98"
        assert answer.parameters["HTTP_X_WC_WEBHOOK_SIGNATURE"] == "192.0.2.97"
        assert answer.parameters["HTTP_AUTHORIZATION"] == "Bearer 192.0.2.96"
        assert "192.0.2.99" not in answer.body


def test_php_is_asked_for_the_etag_that_it_gave(web: Web) -> None:
    """Compression makes it a weak one on its way out."""
    for sent, told in (('W/"a1"', '"a1"'), ('"a1"', '"a1"'), ("*", "*"), ('W/"a1", W/"b2"', '"a1", W/"b2"')):
        answer = web.get("/", "--header", f"If-None-Match: {sent}")
        assert answer.parameters["HTTP_IF_NONE_MATCH"] == told
    assert "HTTP_IF_NONE_MATCH" not in web.get("/").parameters


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_of_wordpress(web: Web, method: str) -> None:
    assert web.get("/wp-json/x", "--request", method).parameters["REQUEST_METHOD"] == method


@pytest.mark.parametrize("method", ["FOO", "PURGE", "PROPFIND", "DEBUG", "TRACE", "get"])
@pytest.mark.parametrize("path", ["/", "/wp-login.php", "/wp-content/uploads/picture.txt"])
def test_other_methods_are_refused(web: Web, method: str, path: str) -> None:
    """Whatever is asked for; nginx does not read some of them at all (400)."""
    answer = web.get(path, "--http1.1", "--request", method)
    assert answer.status in ({400, 405} if method in {"get", "TRACE"} else {405})
    assert not answer.is_from_php
    if method == "PURGE":
        assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


# --- Routes --------------------------------------------------------------------------------------------------------

ROUTES = {
    # WordPress's own addresses
    "/": "200 php",
    "/index.php": "200 php",
    "/2024/05/hello/": "200 php",
    "/wp-json/wp/v2/posts": "200 php",
    "/wp-login.php": "200 php",
    "/wp-comments-post.php": "200 php",
    "/xmlrpc.php": "200 php",
    "/wp-admin/": "200 php",
    "/wp-admin/admin-ajax.php": "200 php",
    "/wp-admin": "308",
    "/.well-known/acme-challenge/token": "200 php",
    "/robots.txt": "200 php",
    # Static files: of core, of the site, of what is bundled with core
    "/wp-admin/css/login.css": "200",
    "/wp-includes/js/jquery.js?ver=6.8": "200",
    "/wp-content/uploads/picture.txt": "200",
    "/wp-content/themes/bundled/style.css": "200",
    "/wp-content/uploads/missing.txt": "404",
    "/wp-includes/missing.js": "404",
    # The operator's own
    "/mood": "200",
    # Scripts that are not for visitors
    "/wp-admin/install.php": "404",
    "/wp-admin/setup-config.php": "404",
    "/wp-admin/upgrade.php": "404",
    "/wp-admin/includes/file.php": "404",
    "/wp-includes/version.php": "404",
    "/wp-cron.php": "404",
    "/wp-load.php": "404",
    "/wp-settings.php": "404",
    "/wp-trackback.php": "404",
    "/wp-content/themes/bundled/functions.php": "404",
    "/wp-login.php/x": "200 php",
    # What is no file is WordPress's matter: addresses of a former site, searches for names of files
    "/shell.php": "200 php",
    "/old-page.php": "200 php",
    "/forum/viewtopic.php?t=5": "200 php",
    "/old/page.php/more": "200 php",
    "/index.php/2024/05/hello/": "200 php",
    "/default.aspx": "200 php",
    "/cgi-bin/form.pl": "200 php",
    "/license.txt": "200 php",
    "/readme.html": "200 php",
    "/backup.sql.gz": "200 php",
    "/wp-config-tips.webp": "200 php",
    "/wp-config-tips/": "200 php",
    "/search/install.sh": "200 php",
    "/search/readme.txt/": "200 php",
    "/search/.htaccess": "200 php",
    "/search/wp-config.php.bak": "200 php",
    "/~user/": "200 php",
    "/2024/05/my.cnf": "200 php",
    # Media that are called like core's and plugins' notes, or like its configuration
    "/wp-content/uploads/readme.txt": "200",
    "/wp-content/uploads/2024/changelog.txt": "200",
    "/wp-content/uploads/wp-config-tips.webp": "200",
    "/wp-content/uploads/wp-config.png": "200",
    "/wp-content/uploads/film.swf": "200",
    # Programs among the site's files
    "/wp-content/uploads/evil.php": "404",
    "/wp-content/uploads/evil.PHP": "404",
    "/wp-content/uploads/evil.php5": "404",
    "/wp-content/uploads/evil.phtml": "404",
    "/wp-content/uploads/evil.phar": "404",
    "/wp-content/uploads/evil.pl": "404",
    "/wp-content/uploads/evil.php/picture.txt": "404",
    "/wp-content/uploads/evil.php%00.txt": "400",
    "/wp-content/uploads/%65vil.ph%70": "404",
    "//wp-content//uploads/./evil.php": "404",
    "/wp-content/uploads/x/../evil.php": "404",
    "/WP-CONTENT/uploads/evil.php": "404",
    # Hidden files, configuration and its copies, backups, notes that tell versions
    "/.env": "404",
    "/.git/config": "404",
    "/.htaccess": "404",
    "/wp-content/.git/HEAD": "404",
    "/%2egit/config": "404",
    "/wp-content/uploads/.hidden": "404",
    "/wp-config.php": "404",
    "/wp-config.php.bak": "404",
    "/wp-config.php~": "404",
    "/wp-config.bak": "404",
    "/wp-config.php.save": "404",
    "/wp-config.txt": "404",
    "/wp-config-sample.php": "404",
    "/.wp-config.php.swp": "404",
    "/#wp-config.php#": "200 php",
    "/wp-content/debug.log": "404",
    "/wp-content/uploads/site.sql": "404",
    "/wp-content/plugins/tool/readme.txt": "404",
    "/wp-content/readme.txt": "404",
    "/wp-content/uploads/wp-config.php.txt": "404",
    "/wp-content/uploads/wp-config-backup.txt": "404",
    "/wp-content/uploads/wp-config.zip": "404",
    "/wp-content/uploads/edited.php.swp": "404",
    "/wp-includes/version.aspx": "404",
    "/wp-admin/shell.php": "404",
    "/wp-admin/includes/shell.php/x": "404",
    "/wp-blog-header.php": "404",
    "/wp-signup.php": "404",
    # Ways out of the site's directory
    "/wp-content/../../../../etc/passwd": "400",
    "/wp-content/uploads/..%2f..%2f..%2f..%2f..%2fetc/passwd": "400",
    "/wp-content/uploads/key-link.txt": "404",
    "/wp-content/outside/harbour.pem": "404",
    "/.errors/unavailable.html": "404",
}
"""Path to status, and whether PHP answers."""
TYPES = {
    "page.html": "text/html; charset=utf-8",
    "table.csv": "text/csv",
    "words.vtt": "text/vtt; charset=utf-8",
    "dates.ics": "text/calendar; charset=utf-8",
    "song.flac": "audio/flac",
    "song.wav": "audio/wav",
    "song.mp3": "audio/mpeg",
    "film.ogv": "video/ogg",
    "photo.heic": "image/heic",
    "photo.avif": "image/avif",
    "photo.webp": "image/webp",
    "letters.otf": "font/otf",
    "letters.ttf": "font/ttf",
    "letters.woff2": "font/woff2",
    "letter.dotx": "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
    "site.webmanifest": "application/manifest+json",
    "module.mjs": "text/javascript; charset=utf-8",
    "what.ever": "application/octet-stream",
}
"""Name of an uploaded file to its media type."""
MEDIA = " ".join(["readme.txt 2024/changelog.txt wp-config-tips.webp wp-config.png film.swf", *TYPES])
COPIES = "wp-config.php.txt wp-config-backup.txt wp-config.zip edited.php.swp"


@pytest.fixture(scope="module")
def content(stack: Stack) -> Iterator[None]:
    """Put files into the site's directory that somebody may have uploaded."""
    programs = " ".join(f"evil.{ending}" for ending in ("php", "PHP", "php5", "phtml", "phar", "pl"))
    stack.host.check_output(
        f"mkdir -p {CONTENT}/uploads/x {CONTENT}/uploads/2024 {CONTENT}/.git {CONTENT}/plugins/tool && cd {CONTENT}"
        f" && (cd uploads && touch {programs} {MEDIA} {COPIES} .hidden site.sql && echo a picture > picture.txt"
        " && ln -sf /run/tls/harbour.pem key-link.txt)"
        " && touch .git/HEAD debug.log readme.txt plugins/tool/readme.txt && ln -sfn /run/tls outside"
        " && chmod -R u=rwX,go=rX ."
    )
    yield
    stack.host.check_output(f"rm -rf {CONTENT}")


@pytest.fixture(scope="module")
def routes(web: Web, content: None) -> dict[str, str]:  # noqa: ARG001
    """Ask for every path."""
    return dict(zip(ROUTES, web.statuses(list(ROUTES)), strict=True))


@pytest.mark.parametrize("path", ROUTES)
def test_route(routes: dict[str, str], path: str) -> None:
    assert routes[path] == ROUTES[path]


def test_static_files_are_those(web: Web, content: None) -> None:  # noqa: ARG001
    assert web.get("/wp-content/uploads/picture.txt").body == "a picture\n"
    assert web.get("/wp-admin/css/login.css").body == "core wp-admin/css/login.css\n"
    assert web.get("/wp-content/themes/bundled/style.css").body == "core wp-content/themes/bundled/style.css\n"


def test_static_files_have_their_media_type(web: Web, content: None) -> None:  # noqa: ARG001
    """A browser is told not to guess it."""
    found = {name: web.get(f"/wp-content/uploads/{name}").headers["content-type"] for name in TYPES}
    assert found == TYPES


def test_static_files_are_kept_by_browsers(web: Web) -> None:
    """For as long as declared: for longer, when their address names a version; errors never."""
    path = "/wp-includes/js/jquery.js"
    assert web.get(path).headers["cache-control"] == "public, max-age=654"
    assert web.get(path + "?ver=1").headers["cache-control"] == "public, max-age=7654321, immutable"
    assert "cache-control" not in web.get("/wp-includes/js/missing.js?ver=1").headers


def test_server_cannot_change_what_it_serves(nginx: Container) -> None:
    """Nor read how it was recorded."""
    (core,) = nginx.run("find", "/srv/core", "-mindepth", "1", "-maxdepth", "1", "-type", "d").stdout.split()
    assert nginx.run("cat", f"{core}/wp-login.php").rc == 0, "control"
    assert "Permission denied" in nginx.run("touch", f"{core}/wp-login.php").stderr
    assert [mount["RW"] for mount in nginx.inspect["Mounts"] if mount["Destination"] == "/srv/core"] == [False]
    assert "Permission denied" in nginx.run("cat", f"{core}.json").stderr


def test_operators_directives(web: Web) -> None:
    """Those of the http block (a map), of every site (that shows it) and of one site."""
    assert web.get("/mood?mood=jolly").body == "jolly\n"
    assert web.get("/mood", domain="replaced.example.test").body == "calm\n"
    assert web.get("/extra", "--insecure", domain="own.example.test").status == 204
    assert web.get("/extra").status == 200


# --- Headers -------------------------------------------------------------------------------------------------------

ANSWERS = {
    200: "/",
    308: "/wp-admin",
    400: "/%00",
    403: "/?status=403",
    404: "/wp-config.php",
    421: "/421",
    500: "/?status=500",
}


@pytest.mark.parametrize("status", ANSWERS)
def test_security_headers(web: Web, status: int) -> None:
    """On every kind of answer, and instead of those that PHP sends; with no version of anything."""
    arguments = ["--header", "Host: own.example.test:8444"] if status == 421 else []
    answer = web.get(ANSWERS[status], *arguments)
    assert answer.status == status
    assert_headers(answer)


def assert_headers(answer: Answer) -> None:
    """Raise when an answer lacks a declared header or tells too much."""
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["server"] == "nginx"
    assert "x-powered-by" not in answer.headers
    assert not re.search("nginx/[0-9]", answer.body)


def test_static_files_have_security_headers(web: Web) -> None:
    assert_headers(web.get("/wp-includes/js/jquery.js?ver=1"))


def test_headers_of_one_site(web: Web) -> None:
    """Beside those of all sites, or instead of one of them; what is empty there is left to PHP, which says nothing."""
    own = web.get("/", domain="replaced.example.test").headers
    assert own["permissions-policy"] == 'payment=(self "https://pay.example.test")'
    assert (own["x-frame-options"], own["x-content-type-options"]) == ("SAMEORIGIN", "nosniff")
    assert "referrer-policy" not in own
    assert "permissions-policy" not in web.get("/").headers


@pytest.mark.parametrize("domain", [DOMAIN, "replaced.example.test"])
def test_what_wordpress_lets_others_embed_may_be_embedded(web: Web, domain: str) -> None:
    """By its own word alone: an address that looks like it is not enough."""
    answer = web.get("/hello/embed/?embed=true", domain=domain)
    assert answer.is_from_php
    assert "x-frame-options" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/hello/embed/", "/wp-admin/embed/?embed=true", "/wp-content/uploads/picture.txt?embed=true"):
        assert "x-frame-options" in web.get(path, domain=domain).headers, path


def test_names_of_the_machine_itself_stay_without_strict_transport_security(web: Web) -> None:
    """A browser would apply it to all that listens there, on every port."""
    assert "strict-transport-security" not in web.get("/", domain="harbour.localhost").headers
    assert web.get("/", domain=ALIASES[0]).headers["strict-transport-security"] == "max-age=1234567"


# --- Limits --------------------------------------------------------------------------------------------------------


def test_body_limit(web: Web, stack: Stack) -> None:
    """A site's own upload limit (3m) and the room for the form (1m); PHP gets every byte of what is taken."""
    stack.host.check_output(
        "head -c 4100000 /dev/zero > /root/fits && head -c 4200000 /dev/zero > /root/large"
        " && head -c 66000 /dev/zero > /root/login"
    )
    fits = web.get("/wp-admin/admin-ajax.php", "--data-binary", "@/root/fits")
    assert (fits.status, fits.parameters["BODY"]) == (200, "4100000")
    large = web.get("/wp-admin/admin-ajax.php", "--data-binary", "@/root/large")
    assert large.status == 413
    assert_headers(large)
    # Another site has the common limit (2m).
    assert web.get("/x", "--data-binary", "@/root/fits", domain="replaced.example.test").status == 413
    # Nobody has a login of that length.
    assert web.get("/wp-login.php", "--data-binary", "@/root/login", source=SECOND_VISITOR).status == 413


def test_login_rate(web: Web) -> None:
    """Six attempts a minute of one visitor: one and the declared burst (3) pass; others are not concerned."""
    attempts = web.statuses(["/wp-login.php"] * 7, "--data", "log=owner&pwd=guess", source=CALLER)
    assert attempts == ["200 php"] * 4 + ["429"] * 3
    # Showing the form does not count, nor does another visitor.
    assert web.get("/wp-login.php", source=CALLER).status == 200
    assert web.get("/wp-login.php", "--data", "log=owner", source=LOGGED_VISITOR).status == 200
    refused = web.get("/wp-login.php", "--data", "log=owner", source=CALLER)
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert "Too many attempts" in refused.body
    assert_headers(refused)


def test_xmlrpc_rate(web: Web) -> None:
    """One call and the declared burst (2)."""
    calls = web.statuses(["/xmlrpc.php"] * 5, "--data", "<methodCall/>", source=CALLER)
    assert calls == ["200 php"] * 3 + ["429"] * 2


def test_long_headers_are_refused(web: Web) -> None:
    assert web.get("/", "--http1.1", "--header", "X-Long: " + "x" * 7000).status == 200
    assert web.get("/", "--http1.1", "--header", "X-Long: " + "x" * 40000).status in {400, 431}


# --- The log -------------------------------------------------------------------------------------------------------


def logged(nginx: Container, path: str) -> dict[str, Any]:
    """Return the entry of the access log about a path."""
    for _ in range(20):
        entries = [json.loads(line) for line in nginx.logs("50").splitlines() if line.startswith("{")]
        found = [entry for entry in entries if entry["uri"].startswith(path)]
        if found:
            entry: dict[str, Any] = found[-1]
            return entry
        time.sleep(0.1)
    raise AssertionError(f"{path} is not in the log")


def test_log_tells_the_visitors_address(web: Web, nginx: Container) -> None:
    """The real one, whatever the visitor claims; no entry can be forged by a line break or a quote."""
    web.get(
        '/log-"test', "--header", "X-Forwarded-For: 192.0.2.1", "--user-agent", 'a"b\\', source=LOGGED_VISITOR
    )  # fmt: skip
    entry = logged(nginx, '/log-"test')
    assert entry["client"] == LOGGED_VISITOR
    assert entry["agent"] == 'a"b\\'
    assert (entry["host"], entry["status"], entry["protocol"]) == (DOMAIN, "200", "HTTP/2.0")


def test_log_keeps_no_keys_of_password_resets(web: Web, nginx: Container) -> None:
    web.get("/wp-login.php?action=rp&key=Zx81KeyOfReset&login=owner")
    assert logged(nginx, "/wp-login.php?")["uri"] == "/wp-login.php?..."
    assert "Zx81KeyOfReset" not in nginx.logs()


# --- Faults --------------------------------------------------------------------------------------------------------


@pytest.mark.destructive
def test_upstream_is_found_again_at_another_address(web: Web, stack: Stack, nginx: Container) -> None:
    """While PHP is away visitors get a page that says so; when it is back elsewhere, the server finds it (facts D7)."""
    responder = stack.container("responder-one")
    network = f"{stack.name}-web-one"
    place = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    nginx.forget()
    server = nginx.identifier, nginx.state["StartedAt"]
    first = stack.host.check_output("docker inspect --format %s %s", place, responder.name)
    assert web.get("/").status == 200
    try:
        stack.host.check_output("docker stop %s", responder.name)
        away = web.get("/")
        assert (away.status, away.headers["retry-after"]) in {(502, "10"), (504, "10")}
        assert "Back in a moment" in away.body
        assert_headers(away)
        # Somebody else takes the address, and does not speak FastCGI.
        image = responder.inspect["Config"]["Image"]
        stack.host.check_output(
            "docker run --detach --name placeholder --network %s %s perl -e 'sleep 600'",
            network,
            image,
        )
        stack.host.check_output("docker start %s", responder.name)
        assert stack.host.check_output("docker inspect --format %s %s", place, responder.name) != first
        deadline = time.monotonic() + 12
        while (status := web.get("/").status) != 200 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert status == 200
    finally:
        stack.host.run("docker rm --force placeholder")
        stack.host.run("docker start %s", responder.name)
    nginx.forget()
    assert (nginx.identifier, nginx.state["StartedAt"]) == server


VARIANT = {"nginx_xmlrpc": False, "nginx_http_redirect": True, "nginx_hsts": "", "nginx_trusted_proxies": [CALLER]}


@pytest.fixture(scope="module")
def variant(runs: Runs) -> Iterator[None]:
    """Converge with other values, and at the end with the declared ones again."""
    runs.converge("--extra-vars", json.dumps(VARIANT))
    yield
    runs.converge()


@pytest.mark.destructive
@pytest.mark.usefixtures("variant")
class TestVariant:
    """What is switched the other way round."""

    def test_xmlrpc_is_off(self, web: Web) -> None:
        answer = web.get("/xmlrpc.php", "--data", "<methodCall/>")
        assert answer.status == 403
        assert not answer.is_from_php

    def test_plain_http_is_redirected(self, web: Web) -> None:
        for host in (DOMAIN, *ALIASES):
            answer = web.ask(f"http://{host}:8085/a/b?c=d")
            assert (answer.status, answer.headers["location"]) == (308, f"https://{DOMAIN}:{PORT}/a/b?c=d")
        assert web.ask("http://elsewhere.example.test:8085/").status == 421

    def test_no_strict_transport_security(self, web: Web) -> None:
        answer = web.get("/")
        assert "strict-transport-security" not in answer.headers
        assert answer.headers["x-frame-options"] == "DENY"

    def test_trusted_proxy_is_believed(self, web: Web) -> None:
        """And nobody else."""
        forged = ("--header", "X-Forwarded-For: 192.0.2.77")
        assert web.get("/", *forged, source=CALLER).parameters["REMOTE_ADDR"] == "192.0.2.77"
        assert web.get("/", *forged, source=VISITOR).parameters["REMOTE_ADDR"] == VISITOR
