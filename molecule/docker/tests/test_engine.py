"""The running engine carries the role's options, merged with the declared ones."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Engine


def test_configuration_is_merged(engine: Engine) -> None:
    """The role's own, those of docker_daemon_options over them, and the keys that somebody added by hand."""
    configuration = engine.configuration
    label = [entry for entry in configuration["labels"] if re.fullmatch("pressdock.engine=[0-9a-f]{16}", entry)]
    assert len(label) == 1
    # Added by side_effect.yml, which only a full `molecule test` runs.
    operator = {"shutdown-timeout": 23} if "operator.own=kept" in configuration["labels"] else {}
    assert {key: value for key, value in configuration.items() if key != "labels"} == {
        "live-restore": True,
        "log-driver": "local",
        "log-opts": {"max-size": "3m", "max-file": "3"},
        "userland-proxy": False,
        "icc": False,
        "no-new-privileges": True,
        "default-address-pools": [{"base": "10.77.0.0/16", "size": 26}],
        "max-concurrent-downloads": 2,
        "mtu": 1433,
        **operator,
    }


def test_running_engine_carries_it(engine: Engine) -> None:
    info = engine.info
    assert set(info["Labels"]) == set(engine.configuration["labels"])
    assert "harbour.berth=7" in info["Labels"]
    assert info["LiveRestoreEnabled"] is True
    assert info["LoggingDriver"] == "local"
    assert info["DefaultAddressPools"] == [{"Base": "10.77.0.0/16", "Size": 26}]
    assert "name=no-new-privileges" in info["SecurityOptions"]


def test_service_starts_at_boot(engine: Engine) -> None:
    service = engine.host.service("docker")
    assert service.is_running
    assert service.is_enabled


def test_configuration_belongs_to_root(engine: Engine) -> None:
    file = engine.host.file("/etc/docker/daemon.json")
    assert (file.user, file.group, file.mode) == ("root", "root", 0o644)


def test_networks_come_from_the_pool(engine: Engine) -> None:
    engine.host.check_output("docker network create probe")
    try:
        subnet = engine.inspect("network", "probe")["IPAM"]["Config"][0]["Subnet"]
    finally:
        engine.host.check_output("docker network rm probe")
    assert re.fullmatch(r"10\.77\.\d+\.\d+/26", subnet)


def test_container_inherits_the_options(engine: Engine, server: str) -> None:
    container = engine.inspect("container", server)
    assert container["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {"max-size": "3m", "max-file": "3"}}
    status = engine.host.file(f"/proc/{container['State']['Pid']}/status").content_string
    assert "NoNewPrivs:\t1" in status


def test_published_port_without_a_proxy(engine: Engine, server: str) -> None:
    """It answers, and no process per port stands between."""
    address = engine.host.check_output("hostname --ip-address").split()[0]
    ask = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/7070; cat <&3'"
    for _ in range(20):
        answer = engine.host.run(ask).stdout
        if answer:
            break
        time.sleep(0.25)
    assert answer.startswith("hello "), engine.host.run("docker logs %s", server).stdout
    assert engine.host.run("pgrep -x docker-proxy").stdout == ""


def test_containers_on_the_default_bridge_cannot_talk(engine: Engine, server: str) -> None:
    """With `icc` off; on a network of their own they can (control)."""
    ask = (
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 7000, Timeout => 2)"
        " or die qq($@\\n); print scalar <$s>"
    )

    def talk(network: str) -> str:
        address = engine.inspect("container", server)["NetworkSettings"]["Networks"][network]["IPAddress"]
        run = "docker run --rm --network %s --volume=/usr:/usr:ro borrowed:1 perl -e %s %s"
        return str(engine.host.run(run, network, ask, address).stdout)

    engine.host.check_output("docker network create quarter && docker network connect quarter %s", server)
    try:
        assert talk("quarter").startswith("hello ")
        assert talk("bridge") == ""
    finally:
        engine.host.check_output("docker network disconnect quarter %s && docker network rm quarter", server)
