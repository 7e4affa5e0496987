"""Every template renders with the defaults and with other values, to something its reader can parse."""

import configparser
import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from render import (
    HERE,
    ROLES,
    VARIABLE_SETS,
    inventory_variables,
    load,
    render,
    resolve,
    role_names,
    templates,
)

INSTRUCTIONS = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL", "STOPSIGNAL",
    "USER", "WORKDIR",
}  # fmt: skip

each_set = pytest.mark.parametrize("variable_set", VARIABLE_SETS)
each_template = pytest.mark.parametrize("path", templates(), ids=lambda path: str(path.relative_to(ROLES)))


def named(pattern: str) -> list[Path]:
    """Return the templates whose file name matches."""
    return [path for path in templates() if path.match(pattern)]


def each(*patterns: str) -> pytest.MarkDecorator:
    """Parametrize a test with the templates whose file names match one of the patterns."""
    found = sorted({path for pattern in patterns for path in named(pattern)})
    return pytest.mark.parametrize("path", found, ids=lambda path: str(path.relative_to(ROLES)))


def test_templates_were_found() -> None:
    """An empty list would make every other test here pass."""
    assert named("Dockerfile.j2")


@each_set
@each_template
def test_renders_completely(path: Path, variable_set: str) -> None:
    # A value of the second set that must arrive as it is.
    text = render(path, variable_set).replace("{{ 7*7 }}", "")
    assert text.strip()
    assert text.endswith("\n")
    assert not re.search(r"\{\{|\{%|\{#", text), "Jinja is left in the text"
    assert not re.search(r"<class |AnsibleUndefined|\bUndefined\b|<ansible\.", text), "an object was written as text"
    trailing = [line for line in text.splitlines() if line != line.rstrip()]
    assert not trailing, "white space at the end of lines"


@each_template
def test_follows_its_variables(path: Path) -> None:
    """A template that mentions a public variable gives another text when all public variables have other values."""
    # What a failing build says names variables as well.
    text = re.sub(r"debian\.(?:refuse|test_fpm)\(.*?\)", "", path.read_text(encoding="utf-8"))
    public = re.findall(r"\b(?:" + "|".join(role_names()) + r")_[a-z0-9_]+", text)
    if set(public) & set(load(HERE / "second.yml")):
        assert render(path, "defaults") != render(path, "second")


@each_set
@each("*Dockerfile.j2")
def test_dockerfile(path: Path, variable_set: str) -> None:
    text = re.sub(r"^\s*#.*\n", "", render(path, variable_set), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    words = [line.split() for line in lines]
    assert words[0][0] == "FROM"
    assert {line[0] for line in words} <= INSTRUCTIONS
    assert not any(line[0] == "ADD" for line in words)
    for line in words:
        if line[0] == "FROM":
            assert re.search(r"[:@][0-9a-f]{16,}$", line[1]) or line[1].islower(), "an image is named by its digest"
            assert not line[1].endswith(":latest")
        if line[0] in {"CMD", "ENTRYPOINT"}:
            command = json.loads(" ".join(line[1:]))
            assert command, "the shell form would make a shell PID 1"
            assert command[0] not in {"sh", "bash", "/bin/sh", "/bin/bash", "tail", "sleep"}
    users = [line[1] for line in words if line[0] == "USER"]
    if path.parts[-3] != "base_image":
        assert users, "without USER the container would run as root"
        assert users[-1] not in {"root", "0"}
        assert users[-1] in load(ROLES / "base_image" / "defaults" / "main.yml")["base_image_users"]


@each_set
@each("*Dockerfile.j2")
def test_dockerfile_holds_no_secret(path: Path, variable_set: str) -> None:
    assert not re.search(r"(?i)password|secret|token|private", re.sub(r"(?m)^\s*#.*$", "", render(path, variable_set)))


@each_set
@each("*.yml.j2", "*.yaml.j2", "*.json.j2")
def test_yaml(path: Path, variable_set: str) -> None:
    assert yaml.safe_load(render(path, variable_set))


JUDGED = {
    "mariadb": "mariadb_extra_config",
    "redis": "redis_extra_config",
    "ftp": "ftp_extra_config",
    "adminer": "adminer_memory_limit",
    "wordpress": "wordpress_memory_limit",
}
"""Role to what an operator writes in the configuration that is part of its image."""


def test_no_role_has_a_free_text_that_nothing_judges() -> None:
    """What is mounted is judged by a container before it is placed: nginx's."""
    found = {path.parts[-3] for path in templates() if re.search(r"\b[a-z]+_extra_\w*config\b", path.read_text())}
    assert found - {"nginx"} == {role for role, variable in JUDGED.items() if variable.endswith("_extra_config")}


@pytest.mark.parametrize("role", JUDGED)
def test_program_judges_its_configuration_while_the_image_is_built(role: str) -> None:
    """It does so when the file is there, and a build that fails says which variable it is about."""
    text = render(ROLES / role / "templates" / "Dockerfile.j2", "defaults")
    copied = max(text.index(line) for line in re.findall(r"^COPY .*(?:cnf|conf|ini)\b.*$", text, re.MULTILINE))
    refusal = re.search(r"echo '\S+ refuses its configuration\..*'; exit 1; }", text[copied:])
    assert refusal
    assert JUDGED[role] in refusal[0]


@each_set
@each("*.cnf.j2", "*.ini.j2", "php-fpm.conf.j2")
def test_ini(path: Path, variable_set: str) -> None:
    parser = configparser.RawConfigParser(allow_no_value=True, comment_prefixes=(";", "#"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep names as they are
    text = render(path, variable_set)
    parser.read_string(text if re.search(r"(?m)^\[", text) else f"[all]\n{text}")
    assert all(len(parser[section]) for section in parser.sections())
    for section in parser.sections():
        for name, value in parser[section].items():
            assert value is None or not re.search(r"\bNone\b|\bTrue\b|\bFalse\b", value), f"{name} is a Python value"


@each_set
@each("*.php.j2")
def test_php(path: Path, variable_set: str) -> None:
    text = render(path, variable_set)
    assert text.startswith("<?php\n")
    without_strings = re.sub(r"'(?:[^'\\]|\\.)*'", "''", re.sub(r"(?m)^\s*//.*$", "", text), flags=re.DOTALL)
    assert without_strings.count("'") % 2 == 0
    for opening, closing in ("()", "[]", "{}"):
        assert without_strings.count(opening) == without_strings.count(closing)
    if shutil.which("php"):
        subprocess.run(["php", "--syntax-check"], input=text, text=True, check=True, capture_output=True)


NGINX = [path for path in named("*.conf.j2") if path.parts[-3] == "nginx"]


@each_set
@pytest.mark.parametrize("path", NGINX, ids=lambda path: str(path.relative_to(ROLES)))
def test_nginx(path: Path, variable_set: str) -> None:
    """Blocks are closed and every directive ends: what `nginx -t` would say first (a run asks it)."""
    text = re.sub(r"(?m)^\s*#.*$|\s#\s.*$", "", render(path, variable_set))
    plain = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "string", text)
    assert '"' not in plain
    assert plain.count("{") == plain.count("}")
    for statement in re.split(r"[;{}]", plain):
        assert not re.search(r"\n\s*(?:server|location|listen|include|return|set|root)\b.*\n\s*\w", statement), (
            statement
        )


@each_set
def test_every_header_is_a_variable_that_is_defined(variable_set: str) -> None:
    """One that a map lacks would stop the server."""
    text = render(ROLES / "nginx/templates/nginx.conf.j2", variable_set)
    used = re.findall(r"\$(security_\w+)", render(ROLES / "nginx/templates/headers.conf.j2", variable_set))
    assert "security_x_frame_options" in used
    assert "security_content_security_policy" in used
    defined = re.findall(r"map \S+ \$(\w+) \{", text)
    assert set(used) <= set(defined)
    assert len(defined) == len(set(defined))


@each_set
def test_names_of_the_machine_itself_get_no_strict_transport_security(variable_set: str) -> None:
    text = render(ROLES / "nginx/templates/nginx.conf.j2", variable_set)
    block = text.partition("map $https:$host $strict_transport_security {")[2].partition("}")[0]
    patterns = re.findall(r'"~(\S+)" "(.*)";', block)
    declared = "max-age=31536000" if variable_set == "defaults" else ""

    def sent(host: str, https: str = "on") -> str:
        return next((value for pattern, value in patterns if re.search(pattern, f"{https}:{host}")), "")

    assert sent("blog.example.org") == sent("localhost.example.org") == sent("notlocalhost") == declared
    assert sent("localhost") == sent("blog.localhost") == sent("a.b.localhost") == sent("blog.example.org", "") == ""


FORWARDING = """
    Forwarded Forwarded-For X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Client-Cert X-Forward-For
    X-Real-IP X-Client-IP Client-IP True-Client-IP X-Cluster-Client-IP CF-Connecting-IP CF-Connecting-IPv6
    CF-IPCountry CF-Visitor Fastly-Client-IP X-Azure-ClientIP X-Sucuri-ClientIP X-ProxyUser-Ip Ali-CDN-Real-IP
    WL-Proxy-Client-IP X-Remote-IP X-Remote-Addr Remote-Addr Remote-User X-Originating-IP X-Original-Host
    X-Original-URL X-Original-Forwarded-For X-Rewrite-URL X-Host X-Scheme X-Url-Scheme Front-End-Https X-SSL
    SSL-Client-Cert X-Country-Code GeoIP-Country-Code CloudFront-Viewer-Address Proxy Proxy-Authorization HTTPS
    X-Envoy-External-Address
"""
OWN = """
    Accept Accept-Language Authorization Cache-Control Content-Type Content-Disposition Content-MD5 Cookie DNT Host
    If-None-Match If-Modified-Since Origin Range Referer Sec-Fetch-Site Sec-WebSocket-Key User-Agent
    Upgrade-Insecure-Requests X-Requested-With X-WP-Nonce X-WP-Method X-HTTP-Method-Override X-WC-Webhook-Signature
    X-WC-Webhook-Source X-WC-Store-API-Nonce Nonce Cart-Token Stripe-Signature PayPal-Transmission-Sig
    X-Hub-Signature-256 X-GitHub-Event X-Amz-Sns-Message-Type X-Shopify-Hmac-Sha256 X-API-Key X-Auth-Token
    X-Twilio-Signature X-Relationship X-Membership X-Zip Idempotency-Key Depth X-Redmine-API-Key X-Moz Purpose
"""


def test_headers_of_proxies_are_dropped_by_kind_and_plugins_own_are_not() -> None:
    pattern = re.compile(f"^(?:{'|'.join(resolve('nginx', '__nginx_forwarding_headers', 'defaults'))})$", re.IGNORECASE)
    assert [name for name in FORWARDING.split() if not pattern.search(name)] == []
    assert [name for name in OWN.split() if pattern.search(name)] == []
    text = render(ROLES / "nginx/templates/nginx.conf.j2", "defaults")
    assert f"[[{pattern.pattern}]]" in text


WORDPRESS_ENDINGS = """
    3g2 3gp2 aac asc c cc class csv dfxp divx docm dotm dotx flac gz gzip h heic heics heif heifs ics jpe key m4b
    mdb mka mkv mpe mpp numbers odb odc odf oga ogv onepkg onetmp onetoc onetoc2 oxps pages pot potm potx ppam pps
    ppsm ppsx pptm psd qt ram rtx sldm sldx srt tar tsv vtt wav wax wm wma wmx wp wpd wri x-wav xcf xla xlam xlsb
    xlsm xlt xltm xltx xlw xps
"""
"""What `wp_get_mime_types` of WordPress 6.8 has and Debian's mime.types lacks."""


@each_set
def test_media_that_wordpress_accepts_have_a_type(variable_set: str) -> None:
    text = render(ROLES / "nginx/templates/nginx.conf.j2", variable_set)
    lines = [line.split() for line in text.partition("types {")[2].partition("}")[0].split(";")]
    endings = [ending for _, *found in filter(None, lines) for ending in found]
    assert not set(WORDPRESS_ENDINGS.split()) - set(endings)
    assert {"otf", "ttf", "webmanifest", "mjs"} <= set(endings)
    assert len(endings) == len(set(endings))


@each_set
def test_nginx_listens_for_both_versions_of_ip_or_for_one(variable_set: str) -> None:
    """Where a machine has no IPv6 the server would not start with an address of it."""
    text = render(ROLES / "nginx/templates/nginx.conf.j2", variable_set)
    text += render(ROLES / "nginx/templates/sites.conf.j2", variable_set)
    # By the port of the addresses come the sites themselves, on networks of IPv4.
    listening = re.findall(r"\blisten (\S+?)(8443|8080)\b([^;]*);|\blisten (8443|8080)\b([^;]*);", text)
    inner = re.findall(r"\blisten (\S*\b(?:443|9443))\b", text)
    assert set(inner) == {"9443" if variable_set == "second" else "443"}
    plain = [(port, rest) for _, _, _, port, rest in listening if port]
    both = [(port, rest) for address, port, rest, _, _ in listening if port and address == "[::]:"]
    assert plain
    assert len(plain) + len(both) == len(listening)
    assert both == (plain if variable_set == "second" else [])


@each_set
def test_limits_count_networks_of_ipv6(variable_set: str) -> None:
    """Whoever has an address there has 2^64 of them."""
    text = render(ROLES / "nginx/templates/nginx.conf.j2", variable_set)
    (pattern,) = re.findall(r'map \$binary_remote_addr \$client_network \{\s+"~(.+)" \$first_half;', text)
    (form, same, other, mapped) = (
        ipaddress.ip_address(address).packed
        for address in ("2001:db8:a0a:d0d::1", "2001:db8:a0a:d0d:a0a::", "2001:db8:a0a:d0e::1", "::ffff:192.0.2.1")
    )

    def key(address: bytes) -> bytes:
        """Do as nginx does, with Python's spelling of what PCRE calls by the same name."""
        found = re.search(pattern.replace("(?<first", "(?P<first").replace("\\0{10}", "\\x00{10}").encode(), address)
        return found["first_half"] if found else address

    assert key(form) == key(same) == form[:8] != key(other)
    for whole in (mapped, ipaddress.ip_address("192.0.2.1").packed):
        assert key(whole) == whole
    assert set(re.findall(r"\$binary_remote_addr", text)) == {"$binary_remote_addr"}
    assert text.count("$binary_remote_addr") == 2, "only where the client's network is worked out"


@each_set
def test_ftp_listens_for_both_versions_of_ip_or_for_one(variable_set: str) -> None:
    text = render(ROLES / "ftp/templates/proftpd.conf.j2", variable_set)
    both = variable_set == "second"
    assert re.findall(r"(?m)^(?:DefaultAddress|UseIPv6) (\S+)$", text) == (["::", "on"] if both else ["0.0.0.0", "off"])  # noqa: S104


def test_ports_are_published_on_each_declared_address() -> None:
    def ports(role: str, variable_set: str) -> list[str]:
        (found,) = (one["ports"] for one in resolve(role, f"__{role}_service.containers", variable_set))
        return [str(port) for port in found]

    assert ports("nginx", "defaults") == ["0.0.0.0:443:8443/tcp"]
    assert ports("nginx", "second") == [
        "192.0.2.10:8443:8443/tcp", "[2001:db8::10]:8443:8443/tcp",
        "192.0.2.10:8080:8080/tcp", "[2001:db8::10]:8080:8080/tcp",
    ]  # fmt: skip
    assert ports("ftp", "defaults") == ["0.0.0.0:21:2121/tcp", "0.0.0.0:21100-21119:21100-21119/tcp"]
    assert ports("ftp", "second") == [
        "[2001:db8::20]:2100:2121/tcp", "192.0.2.20:2100:2121/tcp",
        "[2001:db8::20]:40000-40031:40000-40031/tcp", "192.0.2.20:40000-40031:40000-40031/tcp",
    ]  # fmt: skip


@each_set
def test_nginx_remembers_where_all_servers_behind_it_are(variable_set: str) -> None:
    """None is looked up for a request: the engine's name server is away whenever the engine is."""
    texts = {path.name: render(path, variable_set) for path in NGINX}
    kept = texts["nginx.conf.j2"].partition('require("addresses").keep({')[2].partition("}, ")[0]
    asked = re.findall(
        r'\$(\w+) { return require\("addresses"\)\.upstream\("([^":]+):[0-9]+"\) }', texts["sites.conf.j2"]
    )
    assert {name for _, name in asked} == set(re.findall(r'"([^"]+)",', kept)) != set()
    passed = {name for text in texts.values() for name in re.findall(r"_pass (?:http://)?(\S+);", text)}
    assert passed == {f"${variable}" for variable, _ in asked}
    assert not re.search(r"(?m)^\s*set \$\w+_upstream", texts["sites.conf.j2"])


@each_set
def test_php_remembers_where_its_servers_are(variable_set: str) -> None:
    """A container that is replaced reads the file for its successor as well, and knows no addresses."""
    text = render(ROLES / "wordpress/templates/site.php.j2", variable_set)
    host = re.escape(resolve("wordpress", "wordpress_database_host", variable_set))
    known = rf"function_exists\('Pressdock\\\\with_address'\) \? Pressdock\\with_address\('{host}'\) : '{host}'"
    assert re.search(rf"define\('DB_HOST', {known}\);", text)
    for name in ("timeout", "work_timeout"):
        seconds = resolve("wordpress", f"wordpress_database_{name}", variable_set)
        assert f"define('PRESSDOCK_DATABASE_{name.upper()}', {seconds});" in text


@each_set
@each("*.service.j2", "*.timer.j2")
def test_unit(path: Path, variable_set: str) -> None:
    """Every line sets something once, in a section; what is run has its whole path."""
    parser = configparser.RawConfigParser(delimiters="=", comment_prefixes="#", strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep names as they are
    parser.read_string(render(path, variable_set))
    values = {name: value for section in parser.sections() for name, value in parser[section].items()}
    assert all(values.values())
    assert not [value for value in values.values() if "\n" in value]
    assert "ExecStart" not in values or values["ExecStart"].startswith("/opt/pressdock/")


# --- The variable sets and the services themselves -------------------------------------------------------------------


def public_defaults() -> dict[str, Any]:
    """Return the defaults of all roles, as written."""
    found: dict[str, Any] = {}
    for role in role_names():
        found |= load(ROLES / role / "defaults" / "main.yml")
    return found


def test_second_set_knows_only_existing_variables() -> None:
    assert set(load(HERE / "second.yml")) <= set(public_defaults()) | set(inventory_variables())


def test_second_set_differs_from_every_default() -> None:
    defaults = {**public_defaults(), **inventory_variables()}
    same = [name for name, value in load(HERE / "second.yml").items() if defaults[name] == value]
    assert not same


SERVICES = [role for role in role_names() if f"__{role}_service" in load(ROLES / role / "vars" / "main.yml")]
STORES = [role for role in role_names() if f"__{role}_certificate_store" in load(ROLES / role / "vars" / "main.yml")]


def problems(entry: dict[str, Any], role: str, entry_point: str, option: str) -> list[str]:
    """Return what an internal role's own specification has against an entry of one of its lists."""
    specification = load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"][entry_point]["options"]
    return list(ArgumentSpecValidator({option: specification[option]}).validate({option: [entry]}).error_messages)


def service_problems(service: dict[str, Any]) -> list[str]:
    """Return what the container role's own specification has against a service's dictionary."""
    return problems(service, "container", "prepare", "container_services")


@each_set
@pytest.mark.parametrize("role", SERVICES)
def test_service_is_what_the_container_role_takes(role: str, variable_set: str) -> None:
    """A run of the whole stack does not ask this again."""
    service = resolve(role, f"__{role}_service", variable_set)
    assert not service_problems(service)
    assert service_problems({**service, "containres": []})


@each_set
@pytest.mark.parametrize("role", STORES)
def test_certificate_store_is_what_the_certificates_role_takes(role: str, variable_set: str) -> None:
    """A run of the whole stack does not ask this. The store is named after the role, as its tag is."""
    store = resolve(role, f"__{role}_certificate_store", variable_set)
    assert not problems(store, "certificates", "main", "certificates_stores")
    assert problems({**store, "certificate": []}, "certificates", "main", "certificates_stores")
    assert store["name"] == role
    assert store["owner"] in resolve(role, "base_image_users", variable_set)
    assert store["certificates"]
    # The host's side of one of the service's volumes.
    data = resolve(role, "stack_data_dir", variable_set)
    volumes = [
        volume for one in resolve(role, f"__{role}_service", variable_set)["containers"] for volume in one["volumes"]
    ]
    assert store["directory"] in [f"{data}/volumes/{volume['location']}" for volume in volumes]


@each_set
@pytest.mark.parametrize("role", SERVICES)
def test_service_is_complete(role: str, variable_set: str) -> None:
    """Names what an engine needs to run each container, so that a forgotten limit does not wait for a host."""
    service = resolve(role, f"__{role}_service", variable_set)
    assert service["name"] == role
    further = service.get("further_images") or []
    assert service["image"]["templates"].count("Dockerfile.j2") == 1
    assert all((ROLES / role / "templates" / image["dockerfile"]).match("*.Dockerfile.j2") for image in further)
    for image in (service["image"], *further):
        names = [("templates", name) for name in [*(image.get("templates") or []), image.get("dockerfile")] if name]
        for kind, name in [*names, *(("files", name) for name in image.get("files") or [])]:
            assert (ROLES / role / kind / name).is_file()
    for container in service["containers"]:
        for name in (container.get("configuration") or {}).get("templates") or []:
            assert (ROLES / role / "templates" / name).is_file()
        assert re.fullmatch(r"[a-z][a-z0-9-]*", container["name"])
        assert container["user"] in resolve(role, "base_image_users", variable_set)
        assert all(isinstance(word, str) for word in container["command"])
        assert set(container["limits"]) == {"memory", "memory_needed", "cpus", "pids"}
        assert container["healthcheck"]["test"][0] == "CMD"
        assert container["stop"]["signal"].startswith("SIG")
        assert int(container["stop"]["timeout"]) > 0
        for content in (container.get("secrets") or {}).values():
            assert isinstance(content, str)
            assert content not in json.dumps({key: value for key, value in container.items() if key != "secrets"})


def test_proxies_choose_the_site_and_ask_for_health() -> None:
    """Those that are trusted, and nobody else; without any, who sends no server name is refused as before."""
    texts = {name: render(ROLES / "nginx/templates/nginx.conf.j2", name) for name in VARIABLE_SETS}
    assert "ssl_reject_handshake on;" in texts["defaults"]
    assert "location = /balancer/health" not in texts["defaults"]
    assert re.search(r"geo \$realip_remote_addr \$from_proxy \{\s+default 0;\s+\}", texts["defaults"])
    second = texts["second"]
    assert re.search(r"\$from_proxy \{\s+192\.0\.2\.77 1;\s+2001:db8:77::/48 1;\s+default 0;", second)
    assert "ssl_reject_handshake" not in second
    for block in re.findall(r"location = /balancer/health \{(.*?)\n        \}", second, re.DOTALL):
        assert re.search(r"if \(\$from_proxy\) \{\s+return 200", block)
    assert second.count("location = /balancer/health") == 2, "over TLS, and plain"
    assert "if=$logged" in second


@pytest.mark.parametrize(
    ("argument", "refused"),
    [
        ("CHMOD 644 a.txt", False), ("CHMOD 0755 a", False), ("chmod 600 4777 a", False), ("CHMOD 775 a", False),
        ("CHMOD 4777 a", True), ("CHMOD 4755 a", True), ("chmod 02750 a", True), ("CHMOD  1644 a", True),
        ("CHMOD 777 a", True), ("CHMOD 666 a", True), ("CHMOD 702 a", True), ("a\x7f", True),
        ("CHMOD u+s a", True), ("cHmOd +w a", True), ("CHMOD 0004755 a", True),
        ("a name with 4777 in it.txt", False), ("two\tcolumns", True), ("a\x1b[31mred", True),
        ("Über mich.txt", False),
    ],
)  # fmt: skip
def test_ftp_refuses_modes_and_control_characters(argument: str, refused: bool) -> None:
    text = render(ROLES / "ftp/templates/proftpd.conf.j2", "defaults")
    (pattern,) = re.findall(r'(?m)^DenyFilter "(.*)"$', text)
    # As POSIX has it, in Python's words.
    assert bool(re.search(pattern.replace("[[:cntrl:]]", r"[\x00-\x1f\x7f]"), argument)) is refused
