"""What the container role promises, tried on a toy service."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.contract.checks import has_an_image_named_by_its_content
from tests.support.runs import Runs, Sequence
from tests.support.stack import Container, Stack

START = "Run | Start the containers"
LATER = pytest.mark.thorough
# Most tests need one container only; the others stay as they are.
ONE = '{"toy_containers": {"untouched": {}}}'

OPTIONS = {
    "capabilities", "cap_drop", "command", "cpus", "devices", "dns_servers", "entrypoint", "env", "etc_hosts",
    "groups", "healthcheck", "hostname", "init", "labels", "log_driver", "memory", "memory_swap",
    "pids_limit", "read_only", "restart_policy", "security_opts", "stop_signal", "stop_timeout", "sysctls", "tmpfs",
    "ulimits", "user", "volume_binds",
}  # fmt: skip
"""What docker_container calls the options that side_effect.yml has changed."""


@pytest.fixture
def toy(stack: Stack) -> Container:
    """Return the toy that most tests try things on."""
    return stack.container("toy-untouched")


def greeting(toy: Container) -> str:
    """Ask the running process what it says."""
    output = toy.run(
        "perl",
        "-MIO::Socket::INET",
        "-e",
        'my $s = IO::Socket::INET->new("127.0.0.1:7000") or die $@; print $s "GET / HTTP/1.0\\r\\n\\r\\n";'
        "print while <$s>",
    )
    assert output.rc == 0, output.stderr
    return str(output.stdout).partition("\r\n\r\n")[2]


def extra(**variables: object) -> str:
    """Write variables for ansible-playbook's command line, with one container only."""
    return "--extra-vars=" + json.dumps({**json.loads(ONE), **variables})


def failure(result: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a run that had to fail."""
    assert result.returncode != 0, result.stdout
    return result.stdout + result.stderr


def test_each_option_is_compared(sequence: Sequence) -> None:
    """The check run after the drift named every option that was changed by hand, and nothing else changed later."""
    named = next(c["options"] for c in sequence.predicted.changes if (c["task"], c["item"]) == (START, "toy-options"))
    assert set(named) >= OPTIONS, OPTIONS - set(named)


def test_each_removal_is_compared(sequence: Sequence) -> None:
    """What was taken away is missed: variables, labels, ports, mounts, tmpfs, aliases."""
    named = next(c["options"] for c in sequence.predicted.changes if (c["task"], c["item"]) == (START, "toy-removals"))
    assert set(named) >= {"env", "labels", "network.quayside-toy", "published_ports", "tmpfs", "volume_binds"}


def test_values_reach_the_process(toy: Container) -> None:
    assert greeting(toy) == "greeting = ahoy\nmood = jolly\n"


def test_data_outlives_containers(stack: Stack) -> None:
    """The volume is on the host below the stack's directory and kept a line of every start."""
    starts = stack.host.file("/srv/harbour/quayside/volumes/toy/starts").content_string
    assert starts.count("start") > len(stack.containers())


@pytest.mark.destructive
def test_crash_between_build_and_start_loses_nothing(runs: Runs, toy: Container) -> None:
    """The next run does what the dead one could not: an event would be lost, a digest is not."""
    killed = runs.play("converge.yml", extra(toy_greeting="good evening"), PRESSDOCK_DIE_BEFORE=START)
    assert killed.returncode == -9
    assert "ahoy" in greeting(toy)
    run = runs.converge(extra(toy_greeting="good evening"))
    assert (START, "toy-untouched") in run.changed_items
    assert "good evening" in greeting(toy)


def compares(runs: Runs) -> bool:
    """Converge, and tell whether the run has compared a container option by option."""
    result = runs.play("converge.yml", extra())
    assert result.returncode == 0, result.stdout + result.stderr
    return f"TASK [container : {START}]" in result.stdout


@pytest.fixture(scope="module")
def _not_compared(runs: Runs) -> None:
    """Begin with what no run compares any more; each damage leaves it so again."""
    runs.converge(extra())
    assert not compares(runs)


# The drift suite touches every option of running containers, and its runs must see each.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("_not_compared")
@pytest.mark.parametrize(
    "damage",
    [
        "docker update --memory 99m --memory-swap 99m quayside-toy-untouched",
        "docker stop quayside-toy-untouched",
        "docker network connect bridge quayside-toy-untouched",
        "rm -r /srv/harbour/quayside/records/toy-untouched",
        "echo half > /srv/harbour/quayside/records/toy-untouched/record.json",
    ],
)
def test_only_a_container_that_is_as_it_was_is_not_compared(runs: Runs, stack: Stack, damage: str) -> None:
    """A run compares option by option what somebody has touched, or nobody has recorded, and nothing else."""
    stack.host.check_output(damage)
    assert compares(runs)
    assert not compares(runs)


@pytest.mark.destructive
def test_changed_file_replaces_the_container_and_keeps_its_image(runs: Runs, stack: Stack, toy: Container) -> None:
    """A configuration file is part of the image: another text is another image and another container.

    Of the superseded images one is kept for a rollback (stack_images_kept), and what runs.
    """
    before = toy.identifier
    for text in ("good afternoon", "good night"):
        runs.converge(extra(toy_greeting=text))
    toy.forget()
    assert toy.identifier != before
    assert "good night" in greeting(toy)
    images = set(
        stack.host.check_output("docker images --no-trunc --quiet --filter label=pressdock.service=toy").split()
    )
    used = {container.inspect["Image"] for container in stack.containers()}
    assert used <= images
    assert len(images - used) == 1


@pytest.mark.destructive
def test_failed_build_replaces_nothing(runs: Runs, toy: Container) -> None:
    before = toy.identifier
    output = failure(runs.play("converge.yml", extra(toy_build_step="echo the reason is here; false")))
    assert "the reason is here" in output
    toy.forget()
    assert toy.identifier == before


@pytest.mark.destructive
def test_failed_start_says_why(runs: Runs, toy: Container) -> None:
    """The error carries the container's name and its last log lines, soon."""
    started = time.monotonic()
    output = failure(runs.play("converge.yml", extra(toy_mood="foul", container_healthy_timeout=9)))
    assert time.monotonic() - started < 60
    assert "quayside-toy-untouched did not become healthy" in output
    assert "toy: nobody can work in this mood" in output
    runs.converge(extra())
    assert "mood = jolly" in greeting(toy)


@pytest.mark.destructive
def test_changed_secret_replaces_the_container(runs: Runs, toy: Container) -> None:
    """Its label carries a keyed digest, so a container that has read the old one is found."""
    before = toy.identifier
    runs.converge(extra(toy_password="a new word of the harbour master"))
    toy.forget()
    assert toy.identifier != before
    assert toy.run("cat", "/run/secrets/password").stdout == "a new word of the harbour master"


@pytest.mark.destructive
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("docker image rm --force %s", marks=LATER),
        "docker tag $(docker images --quiet quayside/base_image | head -n 1) %s",
    ],
    ids=["removed", "moved"],
)
def test_damaged_image_tag_is_repaired(runs: Runs, stack: Stack, toy: Container, damage: str) -> None:
    """The tag means the image with this content again; what it means is read from the image itself."""
    toy.forget()
    reference = toy.inspect["Config"]["Image"]
    stack.host.check_output(damage, reference)
    with pytest.raises(AssertionError):
        has_an_image_named_by_its_content(toy)
    assert runs.converge(extra()).changes
    toy.forget()
    has_an_image_named_by_its_content(toy)


def test_packets_are_as_large_as_declared(stack: Stack, toy: Container) -> None:
    """On networks within and on those that lead outside, as the container's own kernel says."""
    names = stack.host.check_output(
        "docker network ls --filter label=pressdock.stack=quayside --format '{{.Name}}'"
    ).split()
    found = json.loads(stack.host.check_output(f"docker network inspect {' '.join(names)}"))
    assert {network["Internal"] for network in found} == {True, False}
    assert {network["Options"]["com.docker.network.driver.mtu"] for network in found} == {"1442"}
    interfaces = [
        f"/sys/class/net/eth{number}/mtu" for number in range(len(toy.inspect["NetworkSettings"]["Networks"]))
    ]
    assert toy.run("cat", *interfaces).stdout.split() == ["1442"] * len(interfaces)


# The drift suite meddles with a whole stack's networks.
@pytest.mark.thorough
@pytest.mark.destructive
def test_network_with_other_options_is_repaired(runs: Runs, stack: Stack, toy: Container) -> None:
    """An internal network that somebody made again with a way outside."""
    members = " ".join(f"quayside-toy-{name}" for name in ("untouched",))
    everyone = stack.host.check_output(
        "docker network inspect quayside-toy --format '{{range .Containers}}{{.Name}} {{end}}'"
    )
    assert members in everyone
    stack.host.check_output(
        f"for c in {everyone}; do docker network disconnect quayside-toy $c; done;"
        " docker network rm quayside-toy; docker network create quayside-toy"
    )
    runs.converge()
    inspected = json.loads(stack.host.check_output("docker network inspect quayside-toy"))[0]
    assert inspected["Internal"] is True
    assert inspected["Labels"]["pressdock.stack"] == "quayside"
    assert len(inspected["Containers"]) == len(everyone.split())
    # By the address in this network: the name has one in `outbound` too, where containers do not reach each other.
    stopped = stack.container("toy-stopped")
    stopped.forget()
    address = stopped.inspect["NetworkSettings"]["Networks"]["quayside-toy"]["IPAddress"]
    assert toy.run("probe", "http", f"{address}:7000", "/").rc == 0


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"toy_containers": {"untouched": {"memroy": "1m"}}}, "memroy"),
        ({"toy_containers": {"untouched": {"limits": {"memory": "67m", "cpu": 1, "pids": 9}}}}, "cpu"),
        ({"toy_containers": {"untouched": {"healthcheck": {"test": [], "intervall": "4s"}}}}, "intervall"),
    ],
)
def test_misspelt_field_is_refused_by_name(runs: Runs, variables: dict[str, object], word: str) -> None:
    assert word in failure(runs.play("converge.yml", extra(**variables)))


def test_refuses_to_be_used_alone(runs: Runs) -> None:
    output = failure(runs.play("direct_use.yml"))
    assert "internal" in output


@pytest.mark.destructive
def test_undeclared_containers_and_networks_go_and_data_stays(runs: Runs, stack: Stack, toy: Container) -> None:
    """Only what carries this stack's label goes, and what is declared is not touched."""
    stack.host.check_output(
        "docker create --name neighbour --label pressdock.stack=elsewhere --network none %s true",
        toy.inspect["Config"]["Image"],
    )
    only = extra(toy_containers={"untouched": {"networks": ["toy"]}})
    check = runs.play("removal.yml", only, "--check")
    assert check.returncode == 0, check.stdout + check.stderr
    predicted = runs.all()[-1].changed_items
    result = runs.play("removal.yml", only)
    assert result.returncode == 0, result.stdout + result.stderr
    assert runs.all()[-1].changed_items == predicted
    assert set(runs.engine_now()) == {"quayside-toy-untouched", "neighbour"}
    networks = stack.host.check_output("docker network ls --filter label=pressdock.stack=quayside --format '{{.Name}}'")
    assert networks.split() == ["quayside-toy"]
    directory = stack.host.file("/srv/harbour/quayside")
    assert stack.host.file(f"{directory.path}/secrets").listdir() == ["toy-untouched"]
    assert "start" in stack.host.file(f"{directory.path}/volumes/toy/starts").content_string
    again = runs.play("removal.yml", only)
    assert again.returncode == 0, again.stdout + again.stderr
    assert runs.all()[-1].changes == []
