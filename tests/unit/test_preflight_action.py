"""The preflight on the controller, without a play: which problems of files and variables it finds, and what it asks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from ansible.template import trust_as_template

import render
from module_utils import run_lock
from tests.support.actions import Action
from tests.support.load import load
from tests.support.target import HOST

module = load("roles/preflight/action_plugins/preflight.py", "preflight_action")
lock_action = load("roles/preflight/action_plugins/run_lock.py", "run_lock_action")

LOOK = {
    "host": HOST, "engine": {"info": None}, "missing_libraries": ["requests"], "certificates": "pem",
    "ansible_facts": {"a": 1}, "changed": False,
}  # fmt: skip
SITE: dict[str, Any] = {
    "domain": "blog.example.org",
    "title": "Blog",
    "administrator": {"login": "owner", "email": "owner@example.org"},
    "users": {"author": {"email": "author@example.org", "role": "author"}},
}
POOL = {"base": "10.9.0.0/25", "size": 26}
KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"


def action(look: dict[str, Any] | None = None, **changes: Any) -> Action:
    """Return the action for the declared variables with some replaced, on a target that looks well."""
    reader = render.loader()
    variables = {
        **render.inventory_variables(),
        "inventory_hostname": "quay",
        "ansible_check_mode": False,
        "ansible_config_file": "/nowhere/ansible.cfg",
        "stack_installation_key": KEY,
        "stack_installation_key_file": "",
        "wordpress_sites": {"blog": SITE},
        **changes,
    }
    # It has read the roles' files once.
    found = Action(module, variables, reader=reader)
    found.answers = {"preflight": [LOOK if look is None else look] * 2}
    return found


def problems(**changes: Any) -> list[str]:
    """Return the problems that the action names."""
    result = action(**changes).run()
    if not result.get("failed"):
        return []
    heading, *lines = result["msg"].splitlines()
    number = f"{len(lines)} problem{'' if len(lines) == 1 else 's'} found. Nothing was changed."
    assert heading == number
    assert all(line.startswith("- ") for line in lines)
    return [line[2:] for line in lines]


def test_what_was_found_is_handed_on() -> None:
    checked = action()
    assert checked.run() == {
        "changed": False, "engine": {"info": None}, "missing_libraries": ["requests"], "certificates": "pem",
        "ansible_facts": {"a": 1, "ansible_stack_ipv6": False},
    }  # fmt: skip
    ((name, arguments),) = checked.executed
    assert name == "preflight"
    assert {key: arguments[key] for key in ("data_dir", "stack", "lock")} == {
        "data_dir": "/srv/pressdock", "stack": "pressdock", "lock": "/run/pressdock.lock",
    }  # fmt: skip
    assert "pid" in arguments["run"]


@pytest.mark.parametrize("answer", [{"failed": True, "msg": "no"}, {"unreachable": True}])
def test_a_target_that_could_not_be_looked_at_ends_it(answer: dict[str, Any]) -> None:
    assert action(look=answer).run() == answer


def test_another_run_ends_it() -> None:
    holder = {"user": "somebody", "machine": "elsewhere", "pid": 7, "place": "another", "start": 1, "since": "noon"}
    found = action(look={"holder": holder}).run()
    assert (found["failed"], found["locked"]) == (True, True)
    assert "Another run works on quay: somebody on elsewhere" in found["msg"]
    locked = Action(lock_action, {"inventory_hostname": "quay"}, path="/run/x.lock")
    locked.answers = {"run_lock": [{"holder": holder}]}
    assert "works on quay" in locked.run()["msg"]
    assert locked.executed[0][1]["path"] == "/run/x.lock"


@pytest.mark.parametrize(("declared", "asked"), [("relative", "/srv"), ("/data/x", "/data/x")])
def test_a_wrong_directory_does_not_hide_the_rest(declared: str, asked: str) -> None:
    """It is not compared with where a link leads, for nothing was looked up."""
    checked = action(stack_data_dir=declared, look={**LOOK, "host": {**HOST, "memory": 1, "real_data_dir": "/etc"}})
    text = checked.run()["msg"]
    assert checked.executed[0][1]["data_dir"] == asked
    assert "memory: " in text
    assert "stack_data_dir: " in text
    assert ("link leads to /etc" in text) is (declared == asked)


def test_each_variable_without_a_value_has_a_line_and_no_secret_says_why() -> None:
    found = problems(
        stack_image_epoch=trust_as_template("{{ undefined_here }}"),
        adminer_password=trust_as_template("{{ 'canary' ~ undefined_here }}"),
    )
    assert "adminer_password: cannot be worked out" in found
    (line,) = (line for line in found if line.startswith("stack_image_epoch"))
    assert line.startswith("stack_image_epoch: cannot be worked out: ")
    assert "undefined_here" in line
    assert len(found) == 2, "what is wired from them says nothing more"


def test_a_shared_variable_that_is_not_there_must_be_set() -> None:
    checked = action()
    del checked.variables["stack_name"]
    found = checked.run()["msg"]
    assert "- stack_name: must be set" in found


def test_what_is_only_wired_wrongly_is_named() -> None:
    """Where nothing else is wrong, its own line is the only one that there is."""
    (found,) = problems(rotation_web_port=trust_as_template("{{ undefined_here }}"))
    assert found.startswith("rotation_web_port: cannot be worked out: ")


def test_a_misspelt_variable_is_named() -> None:
    assert problems(nginx_memroy="1g") == ["nginx_memroy: no such variable, did you mean nginx_memory?"]


def test_no_sites_and_wrong_types_are_problems() -> None:
    assert "wordpress_sites: {}: must have at least one site" in problems(wordpress_sites={})
    for name, wrong in (
        ("nginx_static_sites", "x"),
        ("nginx_static_sites", {"a": None}),
        ("nginx_services", "x"),
        ("wordpress_smtp", "x"),
    ):
        assert any(name in line for line in problems(**{name: wrong}))


@pytest.mark.parametrize(
    ("made", "check", "said"),
    [
        (True, False, "Nothing was changed but for the installation key, which was created: keep it."),
        (True, True, "Nothing was changed."),
        (False, False, "Nothing was changed."),
    ],
)
def test_what_was_changed_is_said_as_it_is(made: bool, check: bool, said: str) -> None:
    variables: dict[str, Any] = {"__installation_key_made": {"changed": made}, "ansible_check_mode": check}
    assert action(stack_name="", **variables).run()["msg"].splitlines()[0].endswith(f"found. {said}")


def test_files_of_variables_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for name, text in (("all/mine.yml", "stack_name: shop"), ("all/stack.yml", "stack_name: x"), ("all.yml", "a: 1")):
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    overruled, unread = action().plugin._file_problems(tmp_path)
    assert overruled.startswith("stack_name: declared in group_vars/all/mine.yml, but group_vars/all/stack.yml")
    assert (
        unread == "group_vars/all.yml: is not read, because there is group_vars/all/: move it to group_vars/stack.yml"
    )


def test_a_wrong_port_is_one_problem() -> None:
    """Not another one of the container that would publish it."""
    assert problems(nginx_https_port="80a") == ['nginx_https_port: "80a": must be a whole number']


def test_ports_of_ftp_meet_no_others_unless_it_is_left_out() -> None:
    variables = {"ftp_port": 48443, "nginx_https_port": 48443}
    assert problems(**variables) == ["port 48443/tcp: published twice, by ftp and nginx"]
    assert problems(**variables, stack_ftp=False) == []


def test_object_cache_follows_the_server_unless_a_site_says_what_it_has() -> None:
    def cache(name: str) -> dict[str, Any]:
        return {"blog": {**SITE, "object_cache": name}}

    assert problems(wordpress_sites=cache("builtin"), stack_redis=False) == [
        'wordpress_sites.blog.object_cache: "builtin": stack_redis is false'
    ]
    assert problems(stack_redis=False) == []
    (found,) = problems(wordpress_sites=cache("memcached"))
    assert found.startswith('wordpress_sites.blog.object_cache: "memcached": must be one of builtin, plugin, none')


class TestIpv6:
    """What follows from what was found of IPv6."""

    FOUND: ClassVar[dict[str, Any]] = {
        "addresses": ["2001:db8::5/64"], "announced": [], "translation": True, "engine": {},
    }  # fmt: skip

    def run(self, engine: dict[str, Any], found: dict[str, Any], **changes: Any) -> dict[str, Any]:
        look = {**LOOK, "host": {**HOST, "engine_version": "26.1.5", "ipv6": found}, "engine": engine}
        return action(look=look, **changes).run()

    @pytest.mark.parametrize("engine", [{"info": None}, {"info": {"Labels": ["pressdock.engine=1"]}}])
    def test_it_is_there_where_the_machine_has_it(self, engine: dict[str, Any]) -> None:
        assert self.run(engine, self.FOUND)["ansible_facts"]["ansible_stack_ipv6"] is True
        assert self.run(engine, {"addresses": []})["ansible_facts"]["ansible_stack_ipv6"] is False
        assert self.run(engine, self.FOUND, stack_ipv6=False)["ansible_facts"]["ansible_stack_ipv6"] is False
        local = {"blog": {**SITE, "domain": "localhost"}}
        assert self.run(engine, self.FOUND, wordpress_sites=local)["ansible_facts"]["ansible_stack_ipv6"] is False

    def test_somebody_else_s_engine_has_to_translate(self) -> None:
        theirs: dict[str, Any] = {"info": {"Labels": []}}
        told = {**self.FOUND, "engine": {"ip6tables": True, "experimental": True}}
        assert self.run(theirs, self.FOUND)["ansible_facts"]["ansible_stack_ipv6"] is False
        assert self.run(theirs, told)["ansible_facts"]["ansible_stack_ipv6"] is True
        always = self.run(theirs, self.FOUND, docker_manage="always")
        assert always["ansible_facts"]["ansible_stack_ipv6"] is True
        refused = self.run(theirs, self.FOUND, stack_ipv6=True)["msg"]
        assert "- stack_ipv6: true: the engine, which somebody else has set up, does not translate IPv6" in refused

    def test_ports_are_those_of_both(self) -> None:
        """Somebody else's of IPv6 is in the way, where the stack has IPv6."""
        caddy = {"address": "2001:db8::5", "port": 443, "protocol": "tcp", "process": "caddy"}
        found = {**HOST, "listeners": [caddy], "ipv6": self.FOUND}
        assert "port 443/tcp (nginx): already in use by caddy" in action(look={**LOOK, "host": found}).run()["msg"]
        assert "failed" not in action(look={**LOOK, "host": found}, stack_ipv6=False).run()
        bound = action(look={**LOOK, "host": found}, nginx_bind_address="0.0.0.0").run()  # noqa: S104
        assert "failed" not in bound

    def test_an_address_of_ipv6_needs_it(self) -> None:
        assert "failed" not in self.run({"info": None}, self.FOUND, nginx_bind_address="::")
        assert "failed" not in self.run({"info": None}, self.FOUND, ftp_bind_address=["2001:db8::5"])
        refused = self.run({"info": None}, {"addresses": []}, nginx_bind_address="::")["msg"]
        assert '- nginx_bind_address: "::": the stack has no IPv6: the machine has no IPv6 address' in refused

    def test_a_wrong_range_is_one_problem(self) -> None:
        refused = self.run({"info": None}, self.FOUND, stack_ipv6_prefix="fd00::/64")["msg"].splitlines()
        assert len(refused) == 2
        assert refused[1].startswith('- stack_ipv6_prefix: "fd00::/64": must be a /48')


@pytest.mark.parametrize(("labels", "warned"), [([], True), (["pressdock.engine=1"], False)])
def test_somebody_else_s_engine_may_let_builds_hang(labels: list[str], warned: bool) -> None:
    engine = {"info": {"Labels": labels}, "networks": [{"Name": "bridge", "Options": {}}]}
    look: dict[str, Any] = {**LOOK, "engine": engine}
    look["ansible_facts"] = {**look["ansible_facts"], "ansible_default_ipv4": {"interface": "eth0", "mtu": 1450}}
    found = action(look=look).run()
    assert ["1450" in line for line in found.get("warnings", [])] == [True] * warned


class TestFiles:
    """Files of the controller that variables name."""

    def test_key_that_others_can_read(self, tmp_path: Path) -> None:
        file = tmp_path / "installation.key"
        file.write_text(f"{KEY}\n")
        file.chmod(0o644)
        declared = {"stack_installation_key_file": str(file), "stack_installation_key": KEY}
        (found,) = problems(**declared)
        assert "mode 0644 lets others read it: chmod 0600" in found
        file.chmod(0o600)
        assert problems(**declared) == []

    def test_key_that_cannot_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "installation.key"
        file.write_text(KEY)

        def refuse(*_: Any, **__: Any) -> str:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(module, "Path", lambda path: SimpleNamespace(
            is_file=lambda: True, read_text=refuse, __str__=lambda: path))  # fmt: skip
        values = {"stack_installation_key": KEY, "stack_installation_key_file": str(file)}
        (found,) = module.ActionModule._key_problems(None, values)
        assert found.startswith("stack_installation_key_file: ")
        assert found.endswith(": Permission denied")
        (found,) = module.ActionModule._rotation_problems({"stack_rotation_file": str(file)})
        assert found.startswith("stack_rotation_file: ")
        assert found.endswith(": Permission denied")

    def test_key_that_could_not_be_worked_out_has_its_own_line(self) -> None:
        assert module.ActionModule._key_problems(None, {}) == []

    def test_rotations(self, tmp_path: Path) -> None:
        file = tmp_path / "rotation.json"
        assert problems(stack_rotation_file=str(file)) == []
        file.write_text("{")
        (found, *_) = problems(stack_rotation_file=str(file))
        assert str(file) in found

    def test_certificates_of_sites_and_services(self, tmp_path: Path) -> None:
        pem = tmp_path / "x.pem"
        pem.write_text("no certificate")
        tls = {"certificate": str(pem), "key": str(pem)}
        found = problems(
            wordpress_sites={"blog": {**SITE, "tls": {**tls, "key": "/nowhere/site.key"}}},
            nginx_static_sites={"docs": {"domain": "docs.example.org", "source": str(tmp_path), "tls": tls}},
        )
        assert "wordpress_sites.blog.tls.key: /nowhere/site.key: cannot be read on this machine" in found
        assert not any(line.startswith("wordpress_sites.blog.tls: ") for line in found), "half a pair is not compared"
        assert any(line.startswith("nginx_static_sites.docs.tls: ") for line in found)

    def test_sources_of_static_sites(self) -> None:
        (found,) = problems(nginx_static_sites={"docs": {"domain": "docs.example.org", "source": "/nowhere"}})
        assert found.startswith("nginx_static_sites.docs.source: /nowhere")

    def test_packages_of_sites(self) -> None:
        plugin = {"slug": "anchor", "path": "/nowhere"}
        (found,) = problems(wordpress_sites={"blog": {**SITE, "plugins": [plugin]}})
        assert found.startswith("wordpress_sites.blog.plugins[0]")

    def test_authorities_of_mail_relays(self, tmp_path: Path) -> None:
        """The common one, and those of sites; one that is a certificate passes."""
        texts = {"good": "-----BEGIN CERTIFICATE-----\n", "bad": "none"}
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        relay = {"host": "mail.example.org", "port": 587, "from": "blog@example.org"}

        def declared(common: str, own: str) -> list[str]:
            site = {**SITE, "smtp": {**relay, "certificate_authority": str(tmp_path / own)}}
            return problems(
                wordpress_smtp={**relay, "certificate_authority": str(tmp_path / common)},
                wordpress_sites={"blog": site, "shop": {**SITE, "domain": "shop.example.org"}},
            )

        assert declared("good", "good") == []
        assert declared("bad", "nowhere") == [
            f"wordpress_smtp.certificate_authority: {tmp_path}/bad: holds no PEM certificate",
            f"wordpress_sites.blog.smtp.certificate_authority: {tmp_path}/nowhere: cannot be read on this machine",
        ]

    def test_files_of_sites_that_are_wrong_are_not_read(self) -> None:
        site = {**SITE, "domain": "192.0.2.1", "tls": {"certificate": "/nowhere", "key": "/nowhere"}}
        (found,) = problems(wordpress_sites={"blog": site})
        assert found.startswith("wordpress_sites.blog.domain: ")


class TestContainers:
    """What the rules that add up are given."""

    def containers(self, **changes: Any) -> dict[str, dict[str, Any]]:
        """Return all containers by their names."""
        checked = action(**changes)
        checked.plugin._read_roles(module.PROJECT / "roles")
        return {one["name"]: one for one in checked.plugin._containers(checked.variables)}

    def test_have_their_ports_and_memory(self) -> None:
        found = self.containers(redis_memory="77m")
        assert {"nginx", "mariadb", "redis", "wordpress-blog", "ftp", "adminer", "cadvisor"} <= set(found)
        assert (found["redis"]["service"], found["redis"]["memory"], found["redis"]["ports"]) == ("redis", "77m", [])
        assert found["wordpress-blog"]["service"] == "wordpress"
        assert found["nginx"]["ports"]

    @pytest.mark.parametrize("off", [False, "no"])
    def test_of_a_service_that_is_switched_off_are_none(self, off: Any) -> None:
        found = self.containers(stack_redis=off, stack_ftp=True)
        assert "redis" not in found
        assert "ftp" in found

    def test_of_a_service_that_cannot_be_described_are_left_out(self) -> None:
        found = self.containers(wordpress_sites=trust_as_template("{{ undefined_here }}"))
        assert "wordpress-blog" not in found
        assert "ftp" in found

    def test_have_their_networks(self) -> None:
        found = self.containers()
        assert found["mariadb"]["networks"] == ["database", "database-blog", "admin-database"]
        assert set(found["wordpress-blog"]["networks"]) == {"database-blog", "web-blog", "cache-blog", "outbound"}

    @pytest.mark.parametrize(
        ("engine", "changes", "room"),
        [
            # One that the role is to install, or has: two times 256. Somebody else's: what is built in, or set.
            ({"info": None}, {}, None),
            ({"info": {"Labels": ["pressdock.engine=1"], "DefaultAddressPools": []}}, {}, None),
            ({"info": {"Labels": []}}, {}, 31),
            ({"info": {"Labels": [], "DefaultAddressPools": [{"Base": "10.9.0.0/24", "Size": 26}]}}, {}, 4),
            ({"info": {"Labels": []}}, {"docker_manage": "always"}, None),
            ({"info": None}, {"docker_daemon_options": {"default-address-pools": [POOL]}}, 2),
        ],
    )  # fmt: skip
    def test_have_room_for_their_networks(self, engine: dict[str, Any], changes: dict[str, Any], room: Any) -> None:
        sites = {f"site{number}": {**SITE, "domain": f"{number}.example.org"} for number in range(12)}
        look = {**LOOK, "host": {**HOST, "engine": bool(engine["info"])}, "engine": engine}
        found = action(look=look, wordpress_sites=sites, **changes).run()
        assert bool(found.get("failed")) == (room is not None)
        assert room is None or f"have room for {room}:" in found["msg"]

    def test_are_added_up(self) -> None:
        look = {**LOOK, "host": {**HOST, "listeners": [
            {"address": "0.0.0.0", "port": 443, "protocol": "tcp", "process": "apache2"}]}}  # noqa: S104  # fmt: skip
        assert "port 443/tcp" in action(look=look).run()["msg"]
        assert "port 443/tcp" not in str(action(look=look, nginx_https_port=8443).run())

    def test_are_not_added_up_while_a_variable_has_no_value(self) -> None:
        look = {**LOOK, "host": {**HOST, "listeners": [
            {"address": "0.0.0.0", "port": 443, "protocol": "tcp", "process": "apache2"}]}}  # noqa: S104  # fmt: skip
        found = action(look=look, stack_image_epoch=trust_as_template("{{ undefined_here }}")).run()["msg"]
        assert "port 443/tcp" not in found


def test_the_lock_is_asked_for_again_over_a_dead_run() -> None:
    dead = {**run_lock.this_run(1), "start": 0}
    locked = Action(lock_action, {"inventory_hostname": "quay"}, path="/run/x.lock")
    locked.answers = {"run_lock": [{"holder": dead}, {"holder": None, "changed": False}]}
    assert locked.run() == {"holder": None, "changed": False}
    assert locked.executed[1][1]["over"] == dead
