"""The whole stack with two sites: how the services work together.

What one service does alone is in its own scenario.
"""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from filter_plugins.secrets import derive_secret
from tests.support.runs import PROJECT, Runs
from tests.support.sites import Site
from tests.support.stack import Stack

SITES = ["harbour", "market"]
PORT = 8444
FTP_PORT = 2122
FTP_PORTS = {str(port) for port in (FTP_PORT, *range(30100, 30114))}


def fetch(stack: Stack, address: str, *options: str, trusted: bool = True) -> str:
    """Fetch an address of the stack from inside the instance; return the status, the headers and the body.

    :raises AssertionError: when no answer comes, for instance because the certificate is not trusted.
    """
    host = address.split("/")[2].partition(":")[0]
    authority = ["--cacert", f"{stack.data_directory}/ca/ca.crt"] if trusted else []
    arguments = ["--silent", "--show-error", "--include", "--max-time", "20", *authority,
                 "--resolve", f"{host}:{PORT}:127.0.0.1", *options, address]  # fmt: skip
    return str(stack.host.check_output("curl " + " ".join(["%s"] * len(arguments)), *arguments))


def sql(stack: Stack, statement: str) -> list[str]:
    """Ask the database server over its socket; return the lines of its answer."""
    return list(
        stack.host.check_output(
            "docker exec quayside-mariadb mariadb --batch --skip-column-names --execute %s", statement
        ).splitlines()
    )


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, sites: list[Site]) -> Site:
    """Return a site; the test runs for each."""
    return next(site for site in sites if site.name == request.param)


def test_site_answers_with_its_title(stack: Stack, site: Site) -> None:
    answer = fetch(stack, f"{site.url}/")
    assert answer.startswith("HTTP/2 200")
    assert f"<title>{site.title.split(':')[0]}" in answer


def test_certificate_is_the_authority_s(stack: Stack, site: Site) -> None:
    """Negative control: without the stack's authority nobody trusts it."""
    with pytest.raises(AssertionError, match=r"self-signed certificate|unable to get local issuer"):
        fetch(stack, f"{site.url}/", trusted=False)


def test_addresses_hold_the_port(stack: Stack, site: Site) -> None:
    """Every address of the site that a page names leads back to the page's own server."""
    page = fetch(stack, f"{site.url}/")
    assert f"https://{site.domain}:{PORT}/" in page
    assert f"https://{site.domain}/" not in page
    assert f"http://{site.domain}" not in page


def test_static_files_of_core_are_those_of_php(stack: Stack, site: Site) -> None:
    """A style sheet comes from the same image as the PHP that names it; a script is run, or is not there."""
    for name in ("wp-includes/css/dashicons.min.css", "wp-content/themes/twentytwentyfive/style.css"):
        held = stack.container(f"wordpress-{site.name}").run("sha256sum", f"/usr/share/wordpress/{name}").stdout
        served = stack.host.check_output(
            "curl --silent --fail --max-time 20 --cacert %s --resolve %s %s | sha256sum",
            f"{stack.data_directory}/ca/ca.crt",
            f"{site.domain}:{PORT}:127.0.0.1",
            f"{site.url}/{name}",
        )
        assert served.split()[0] == held.split()[0]
    assert fetch(stack, f"{site.url}/wp-admin/admin-ajax.php").startswith("HTTP/2 400")
    assert fetch(stack, f"{site.url}/wp-includes/version.php").startswith("HTTP/2 404")


def test_nobody_sees_the_installation(stack: Stack, site: Site) -> None:
    for path in ("/wp-admin/install.php", "/wp-admin/setup-config.php"):
        assert fetch(stack, f"{site.url}{path}").startswith("HTTP/2 404")


def test_posts_may_be_embedded_and_pages_may_not(stack: Stack, site: Site) -> None:
    page, embedded = (
        fetch(stack, f"{site.url}/?p=1{query}", "--location").rpartition("HTTP/2 200")[2]
        for query in ("", "&embed=true")
    )
    assert "wp-embed-featured-image" in embedded or "wp-embed-heading" in embedded, "control"
    assert "x-frame-options: " in page
    assert "frame-ancestors" in page
    head = embedded.replace("\r\n", "\n").partition("\n\n")[0]
    assert "x-frame-options: " not in head
    assert "frame-ancestors" not in head
    assert "content-security-policy: base-uri" in head


def test_every_medium_that_wordpress_takes_has_a_type(stack: Stack, site: Site) -> None:
    """In by PHP, which knows the endings; out by HTTP."""
    directory = f"/srv/sites/{site.name}/wp-content/uploads/types"
    make = (
        f"$_SERVER['HTTP_HOST'] = '{site.domain}'; require '/usr/share/wordpress/wp-load.php';"
        f"wp_mkdir_p('{directory}');"
        "foreach (array_keys(get_allowed_mime_types()) as $kind) { foreach (explode('|', $kind) as $ending) {"
        f"touch('{directory}/x.' . $ending); echo $ending, ' '; }} }}"
    )
    endings = stack.container(f"wordpress-{site.name}").run("php", "-r", make).stdout.split()
    assert {"jpg", "csv", "flac", "heic"} <= set(endings)
    urls = " ".join(f"--output /dev/null {site.url}/wp-content/uploads/types/x.{ending}" for ending in endings)
    answers = stack.host.check_output(
        "curl --silent --max-time 60 --cacert %s --resolve %s --write-out '%%{http_code} %%{content_type}\\n' " + urls,
        f"{stack.data_directory}/ca/ca.crt",
        f"{site.domain}:{PORT}:127.0.0.1",
    ).splitlines()
    assert not [ending for ending, answer in zip(endings, answers, strict=True) if "octet-stream" in answer]
    assert {answer.split()[0] for answer in answers} == {"200"}


def test_content_goes_from_the_database_to_the_page(stack: Stack, site: Site) -> None:
    """In by SQL, read by HTTP. WordPress's object cache knows nothing of the first."""
    posts = {"harbour": "wharf_harbour.quay_posts", "market": "wharf_market.stall_posts"}[site.name]
    line = f"written at {time.time()}"
    sql(stack, f"UPDATE {posts} SET post_title = '{line}' WHERE ID = 1")  # noqa: S608 -- nothing of it comes from outside
    flush = f"$_SERVER['HTTP_HOST'] = '{site.domain}'; require '/usr/share/wordpress/wp-load.php'; wp_cache_flush();"
    assert stack.container(f"wordpress-{site.name}").run("php", "-r", flush).rc == 0
    assert line in fetch(stack, f"{site.url}/?p=1", "--location")


def test_visits_fill_the_object_cache(stack: Stack, site: Site) -> None:
    """In by HTTP, read from Redis by another process."""
    fetch(stack, f"{site.url}/?nothing={time.time()}")
    look = (
        f"$_SERVER['HTTP_HOST'] = '{site.domain}'; require '/usr/share/wordpress/wp-load.php';"
        "echo $GLOBALS['wp_object_cache']->stored('options', 'alloptions')['home'];"
    )
    assert stack.container(f"wordpress-{site.name}").run("php", "-r", look).stdout == site.url


def test_sites_cannot_reach_each_other(stack: Stack) -> None:
    """Each site sees the database server and itself; the other site's PHP is not even a name."""
    own = stack.container("wordpress-harbour")
    probe = "exit(@fsockopen($argv[1], (int) $argv[2], $n, $m, 2) ? 0 : 1);"
    assert own.run("php", "-r", probe, "mariadb", "3306").rc == 0, "control: the way that must be open"
    assert own.run("php", "-r", probe, "wordpress-market", "9000").rc == 1
    assert own.run("php", "-r", probe, "wordpress-harbour", "9000").rc == 0, "control"


def test_database_users_see_their_database_only(stack: Stack) -> None:
    grants = "\n".join(sql(stack, "SHOW GRANTS FOR wharf_harbour@'%'"))
    assert "wharf\\_harbour" in grants or "`wharf_harbour`" in grants
    assert "market" not in grants
    assert "ALL PRIVILEGES" not in grants


def test_only_the_web_server_s_port_is_open(stack: Stack) -> None:
    """On every address of the machine; what else listens is the machine's own (negative control: the port is there)."""
    published = stack.host.check_output("docker ps --format '{{.Ports}}'")
    lines = {part.strip() for line in published.splitlines() for part in line.split(",") if "->" in part}
    ranges = [line.split("->")[0].rpartition(":")[2] for line in lines]
    assert {port for ends in ranges for port in ports_of(ends)} == {str(PORT)} | FTP_PORTS
    listening = stack.host.check_output("ss --listening --tcp --numeric --no-header")
    ports = {line.split()[3].rpartition(":")[2] for line in listening.splitlines() if "127.0.0." not in line}
    assert ports == {str(PORT)} | FTP_PORTS


def ports_of(ends: str) -> list[str]:
    """Write a range of ports out; one port is a range of its own."""
    first, _, last = ends.partition("-")
    return [str(port) for port in range(int(first), int(last or first) + 1)]


def ftp_password(site: Site, installation_key: str) -> str:
    """Return the password of a site's FTP login: the declared one, or the derived one."""
    return str(site.declared.get("ftp_password") or derive_secret(installation_key, f"ftp/{site.name}"))


def test_files_go_from_ftp_to_php_and_to_visitors(stack: Stack, site: Site, installation_key: str, runs: Runs) -> None:
    """By curl as the client: in by FTP, read by the site's PHP and by HTTP; changed by PHP, read by FTP."""
    password = ftp_password(site, installation_key)
    assert password not in runs.output().partition("TASK [ftp : Logins")[0]
    options = [
        "curl", "--silent", "--show-error", "--max-time", "30", "--ssl-reqd", "--ftp-pasv", "--ftp-skip-pasv-ip",
        "--cacert", f"{stack.data_directory}/ca/ca.crt", "--resolve", f"{site.domain}:{FTP_PORT}:127.0.0.1",
        "--user", f"{site.name}:{password}", "--ftp-create-dirs",
    ]  # fmt: skip
    command = " ".join(["%s"] * len(options))
    address = f"ftp://{site.domain}:{FTP_PORT}/uploads/ftp/tides.txt"
    stack.host.check_output(f"echo high at six | {command} --upload-file - %s", *options, address)
    path = f"/srv/sites/{site.name}/wp-content/uploads/ftp/tides.txt"
    php = stack.container(f"wordpress-{site.name}")
    assert php.run("php", "-r", f"echo file_get_contents('{path}');").stdout == "high at six\n"
    assert "high at six" in fetch(stack, f"{site.url}/wp-content/uploads/ftp/tides.txt")
    assert php.run("php", "-r", f"echo file_put_contents('{path}', 'low at noon');").stdout == "11"
    assert stack.host.check_output(f"{command} %s", *options, address) == "low at noon"
    wrong = [f"{option}x" if option == f"{site.name}:{password}" else option for option in options]
    assert "530" in stack.host.run(f"{command} %s", *wrong, address).stderr


@pytest.fixture(scope="module")
def logins(runs: Runs) -> str:
    """Return what the operator is shown on request."""
    result = runs.play(str(PROJECT / "playbooks/secrets.yml"))
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_operator_is_shown_the_logins(logins: str, sites: list[Site], installation_key: str) -> None:
    """The derived passwords are those that the sites accept (tests/e2e logs in with them)."""
    for site in sites:
        assert site.administrator.password in logins
        assert f"{site.url}/wp-login.php" in logins
        # One that holds quotes is written in another way.
        shown = ftp_password(site, installation_key)
        assert f"{site.name} / {shown if shown.isalnum() else ''}" in logins


def test_adminer_opens_with_the_logins_that_the_operator_is_shown(
    stack: Stack, sites: list[Site], installation_key: str, logins: str
) -> None:
    """Below the second site's domain, as declared: first the web server's login, then that of each site's database."""
    url, password = f"{sites[1].url}/back/office/", derive_secret(installation_key, "tool/adminer", 2)
    assert url in logins
    assert f"keeper / {password}" in logins
    assert "401" in fetch(stack, url).splitlines()[0]
    for site in sites:
        user, secret = f"wharf_{site.name}", derive_secret(installation_key, f"database/{site.name}")
        assert f"{user} / {secret}" in logins
        jar = f"/root/adminer-{site.name}"
        fields = ("--data", f"auth[username]={user}", "--data", f"auth[password]={secret}")
        page = fetch(
            stack, url, "--user", f"keeper:{password}", "--cookie-jar", jar, "--cookie", jar, "--location", *fields
        )
        assert f"db={user}" in page
        assert not [other for other in sites if other is not site and f"db=wharf_{other.name}" in page]


def test_static_site_beside_wordpress(stack: Stack, sites: list[Site]) -> None:
    page = fetch(stack, f"{sites[0].url}/licence/")
    assert "The MIT License, and nothing else" in page
    assert f"<title>{sites[0].title.split(':')[0]}" in fetch(stack, f"{sites[0].url}/")


def test_passwords_are_printed_nowhere_else(runs: Runs, sites: list[Site]) -> None:
    """In no output of a converge, even with diffs; the logins' playbook was asked for them."""
    output = runs.output()
    for site in sites:
        for login in (site.administrator, *site.users):
            printed = [line for line in output.splitlines() if login.password in line and "/wp-login" not in line]
            assert [line for line in printed if f": {login.name} /" not in line] == []


# A service with a state of its own; then what the engine is made with, and one whose image comes late.
@pytest.mark.parametrize(
    "tag", ["wordpress", *(pytest.param(tag, marks=pytest.mark.thorough) for tag in ("docker", "cadvisor"))]
)
def test_one_role_alone_changes_nothing(runs: Runs, tag: str) -> None:
    run = runs.converge(f"--tags={tag}")
    assert run.changes == []


# The drift suite sees that nothing is replaced that need not be.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.parametrize(
    ("variables", "replaced", "question", "answer"),
    [
        # What the web server loads, and what its container is made with.
        ({"nginx_login_burst": 18}, set(), "docker exec quayside-nginx cat /etc/nginx/conf/sites.conf", "burst=18"),
        ({"nginx_pids": 88}, {"nginx"}, "docker inspect --format {{.HostConfig.PidsLimit}} quayside-nginx", "88"),
    ],
)
def test_changed_setting_replaces_only_its_service(
    runs: Runs, stack: Stack, variables: dict[str, int], replaced: set[str], question: str, answer: str
) -> None:
    before = {container.short_name: container.identifier for container in stack.containers()}
    runs.converge("--extra-vars=" + json.dumps(variables))
    after = {container.short_name: container.identifier for container in stack.containers()}
    assert {name for name in before if before[name] != after[name]} == replaced
    assert answer in stack.host.check_output(question)
    runs.converge()


@pytest.mark.destructive
def test_machine_that_starts_again_brings_everything_back(
    stack: Stack, sites: list[Site], pytestconfig: pytest.Config
) -> None:
    """Without Ansible: the engine starts with the machine, the containers with the engine, the data is there."""
    before = {container.name: container.identifier for container in stack.containers()}
    instance = str(pytestconfig.getoption("hosts")).removeprefix("docker://")
    subprocess.run(["docker", "restart", "--time", "60", instance], check=True, capture_output=True)
    for _ in range(120):
        if stack.host.run("docker info").rc == 0 and all(c.health == "healthy" for c in stack.containers()):
            break
        time.sleep(1)
    assert {container.name: container.identifier for container in stack.containers()} == before
    for site in sites:
        assert fetch(stack, f"{site.url}/").startswith("HTTP/2 200")
