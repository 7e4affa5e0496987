"""A container is replaced: nobody notices where it overlaps with its successor, and there is a way back in any case."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import pytest

from tests.support.background import Background
from tests.support.runs import Runs, words
from tests.support.stack import Container, Stack

START = "Run | Start the containers"
LATER = pytest.mark.thorough
NAME = "quayside-toy-overlapping"
ADDRESS = f"{NAME}.quayside-toy"
LIFETIME = 5
"""Seconds for which a visitor keeps an address, as the web server does (container_address_lifetime)."""

VISITOR = r"""
use strict; use warnings; use IO::Socket::INET;
$| = 1;
unlink '/tmp/enough';
my ( $host, $lifetime ) = @ARGV;
my ( $address, $looked, $asked, $failed, %moods ) = ( '', 0, 0, 0 );
until ( -e '/tmp/enough' ) {
    if ( time - $looked >= $lifetime ) {
        my $packed = gethostbyname $host;
        $address = $packed ? join '.', unpack 'C4', $packed : '';
        $looked = time;
    }
    my $socket = $address && IO::Socket::INET->new( PeerAddr => $address, PeerPort => 7000, Timeout => 5 );
    my $answer = '';
    if ($socket) { print $socket "GET / HTTP/1.0\r\n\r\n"; local $/; $answer = <$socket> // ''; }
    print "asked\n" unless $asked++;
    if   ( $answer =~ m{^HTTP/1.0 200 .*mood = (\w+)}s ) { $moods{$1}++ }
    else                                                { $failed++; print "failed: '$address' '$answer' $!\n" }
    select undef, undef, undef, 0.01;
}
printf qq({"asked": %d, "failed": %d, "moods": [%s]}\n), $asked, $failed, join ', ', map { qq("$_") } sort keys %moods;
"""
"""Asks until /tmp/enough exists; its last line says what it got."""

# The address means one network as long as the visitor meets the toy on no other.
VISITORS_TOY = {"networks": ["toy"]}

SLOW = r"""
for i in $(seq 600); do docker inspect ADDRESS > /dev/null 2>&1 && break; sleep 0.1; done
docker exec quayside-toy-visitor perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new("ADDRESS:7000") or die $@; print $s "GET /slow/25 HTTP/1.0\r\n\r\n"; print while <$s>'
""".replace("ADDRESS", ADDRESS)
"""Asks for something that takes 25 s, once the toy is being replaced."""


def toys(mood: str = "jolly", *, overlap: bool = True, **variables: object) -> str:
    """Write the variables of a run with the visitor and the toy that overlaps (or does not), in this mood."""
    toy: dict[str, Any] = {"environment": {"TOY_MOOD": mood, "TOY_PLACE": "quay"}}
    if overlap:
        toy["overlap"] = "toy"
    return "--extra-vars=" + json.dumps({"toy_containers": {"visitor": VISITORS_TOY, "overlapping": toy}, **variables})


class ToyVisitors(Background):
    """Somebody on the toy's network, who asks it all the time while the `with` block lasts."""

    def __init__(self, stack: Stack) -> None:
        command = ["docker", "exec", "quayside-toy-visitor", "perl", "-e", VISITOR, ADDRESS, str(LIFETIME)]
        super().__init__(stack.host, command, begun="asked", end="docker exec quayside-toy-visitor touch /tmp/enough")

    @cached_property
    def result(self) -> dict[str, Any]:
        """How many requests were `asked` and have `failed`, and the `moods` of the toy that have answered."""
        last = self.output.splitlines()[-1]
        assert last.startswith("{"), self.output
        found: dict[str, Any] = json.loads(last)
        return found


def present(stack: Stack) -> set[str]:
    """Name what the engine has of the toy, whatever it is called."""
    return set(stack.host.check_output("docker ps --all --filter name=%s --format '{{.Names}}'", NAME).split())


@pytest.fixture
def toy(runs: Runs, stack: Stack) -> Container:
    """Return the toy that overlaps, as declared."""
    runs.converge(toys())
    return stack.container("toy-overlapping")


@pytest.mark.destructive
def test_nobody_notices_that_it_is_replaced(runs: Runs, stack: Stack, toy: Container) -> None:
    """Not even who has asked for something that takes long, at the moment at which the successor takes over."""
    before = toy.identifier
    merry = toys("merry")
    predicted = runs.converge("--check", merry).changed_items
    with ToyVisitors(stack) as those:
        stack.host.check_output("setsid sh -c %s > /root/slow.log 2>&1 < /dev/null &", SLOW)
        assert runs.converge(merry).changed_items == predicted == {(START, "toy-overlapping")}
    assert those.result["failed"] == 0, those.output
    assert those.result["asked"] > 100
    assert those.result["moods"] == ["jolly", "merry"]
    slow = stack.host.file("/root/slow.log").content_string
    assert "200 OK" in slow
    assert "mood = jolly" in slow
    toy.forget()
    assert toy.identifier != before
    assert present(stack) == {NAME}
    assert runs.converge(merry).changes == []


@pytest.mark.destructive
def test_successor_that_is_not_healthy_replaces_nothing(runs: Runs, stack: Stack, toy: Container) -> None:
    """It listens and answers, with errors; nobody gets one. The run says why; the old declaration still holds."""
    before = toy.identifier
    with ToyVisitors(stack) as those:
        failed = runs.play("converge.yml", toys("sullen", container_healthy_timeout=12))
    assert failed.returncode != 0
    assert f"{NAME} did not become healthy" in words(failed)
    assert "status 500" in words(failed)
    assert "toy: ready" in words(failed)
    assert "goes on to serve" in words(failed)
    assert (those.result["failed"], those.result["moods"]) == (0, ["jolly"]), those.output
    assert present(stack) == {NAME}
    toy.forget()
    assert toy.identifier == before
    assert runs.converge(toys()).changes == []


# The one below is killed as well, and the unit tests of the handover try every step.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.parametrize(
    "task",
    [
        "Aside | Note what would be replaced",
        "Run | Start what is declared",
        "Run | Wait until the successors are healthy",
        "Handover | Let the successors take over and those before them end",
        "Run | Record how the containers are now",
    ],
)
def test_killed_run_is_finished_by_the_next(runs: Runs, stack: Stack, toy: Container, task: str) -> None:
    """Wherever it was killed, somebody serves, and what a check run says of the next one is what it does."""
    assert toy.identifier
    with ToyVisitors(stack) as those:
        assert runs.play("converge.yml", toys("merry"), PRESSDOCK_DIE_BEFORE=task).returncode == -9
        predicted = runs.converge("--check", toys("merry")).changed_items
        assert runs.converge(toys("merry")).changed_items == predicted
    assert (those.result["failed"], those.result["moods"]) == (0, ["jolly", "merry"]), those.output
    assert present(stack) == {NAME}
    assert runs.converge(toys("merry")).changes == []


# What a killed run leaves is put right below.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.parametrize(
    ("leave", "stays"),
    [
        # Set aside; with a successor that is none; dead, beside a successor that runs; one that was to end.
        ("docker rename {name} {address}", True),
        ("docker rename {name} {address}; docker run --detach --name {name} {image}", True),
        ("docker rename {name} {address}; docker create --name {name} {image}", True),
        ("docker stop {name}; docker rename {name} {address}; docker run --detach --name {name} {image}", False),
        ("docker run --detach --name {name}.0123456789ab {image}", True),
    ],
    ids=["set-aside", "successor-runs", "successor-created", "dead-one", "was-to-end"],
)  # fmt: skip
def test_what_is_left_half_done_is_put_right(runs: Runs, stack: Stack, toy: Container, leave: str, stays: bool) -> None:
    """By the run that also removes what nobody declares, as it was predicted."""
    first = runs.play("removal.yml", toys())
    assert first.returncode == 0, first.stdout + first.stderr
    before = toy.identifier
    image = toy.inspect["Config"]["Image"]
    alike = f"--label pressdock.stack=quayside {image} sleep 600"
    stack.host.check_output(leave.format(name=NAME, address=ADDRESS, image=alike))
    found = []
    for arguments in (["--check"], [], []):
        result = runs.play("removal.yml", toys(), *arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        found.append(runs.all()[-1].changed_items)
    assert found[0] == found[1]
    assert found[2] == set()
    assert present(stack) == {NAME}
    toy.forget()
    assert (toy.identifier == before) is stays
    toy.wait_for_health("healthy")


PORT = "127.0.0.1:7373:7000/tcp"


def in_turn(mood: str = "jolly", **variables: object) -> str:
    """Write the variables of a run with a toy that cannot run beside its successor."""
    return toys(mood, overlap=False, **variables)


@pytest.fixture
def single(runs: Runs, stack: Stack) -> Container:
    """Return the toy that does not overlap, as declared."""
    runs.converge(in_turn())
    return stack.container("toy-overlapping")


@pytest.mark.destructive
def test_former_container_comes_back_where_its_successor_is_not_healthy(
    runs: Runs, stack: Stack, single: Container
) -> None:
    before = single.identifier
    failed = runs.play("converge.yml", in_turn("sullen", container_healthy_timeout=12))
    assert failed.returncode != 0
    for said in (f"{NAME} did not become healthy", "status 500", "toy: ready", "was to replace is back, and serves."):
        assert said in words(failed)
    single.forget()
    assert (single.identifier, single.health) == (before, "healthy")
    assert present(stack) == {NAME}
    assert runs.converge(in_turn()).changes == []


@pytest.mark.destructive
@pytest.mark.thorough
def test_former_container_comes_back_where_its_successor_cannot_start(
    runs: Runs, stack: Stack, single: Container
) -> None:
    """Somebody else has the port that it is to publish."""
    before = single.identifier
    image = single.inspect["Config"]["Image"]
    stack.host.check_output("docker run --detach --rm --name squatter --publish %s %s", PORT, image)
    toy = {"environment": {"TOY_MOOD": "jolly", "TOY_PLACE": "quay"}, "ports": [PORT]}
    ported = "--extra-vars=" + json.dumps({"toy_containers": {"visitor": VISITORS_TOY, "overlapping": toy}})
    failed = runs.play("converge.yml", ported)
    assert failed.returncode != 0
    assert "is back, and serves" in words(failed)
    single.forget()
    assert (single.identifier, single.health) == (before, "healthy")
    stack.host.check_output("docker stop squatter")
    assert runs.converge(ported).changed_items == {(START, "toy-overlapping")}
    assert runs.converge(ported).changes == []


@pytest.mark.destructive
@pytest.mark.parametrize(
    "task",
    [
        "Turn | Stop what has served and start the successors",
        *(
            pytest.param(task, marks=LATER)
            for task in (
                "Run | Start what is declared",
                "Run | Wait until the successors are healthy",
                "Handover | Let the successors take over and those before them end",
                "Run | Record how the containers are now",
            )
        ),
    ],
)
def test_killed_run_leaves_one_that_serves_and_is_finished_by_the_next(
    runs: Runs, stack: Stack, single: Container, task: str
) -> None:
    assert single.identifier
    merry = in_turn("merry")
    assert runs.play("converge.yml", merry, PRESSDOCK_DIE_BEFORE=task).returncode == -9
    running = stack.host.check_output("docker ps --filter name=%s --format '{{.Names}}'", NAME).split()
    assert len(running) == 1
    predicted = runs.converge("--check", merry).changed_items
    assert runs.converge(merry).changed_items == predicted
    assert present(stack) == {NAME}
    assert runs.converge(merry).changes == []
