"""The healer: who is started again, and who never is."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.load import load

healer = load("roles/healer/files/healer.py")

PAUSE = healer.PAUSE
AFTER = 7.0
STILL = (3.0, 1000.0)


class Hospital:
    """A ward and its clock: containers are looked at every few seconds."""

    def __init__(self, after: float = AFTER) -> None:
        self.ward = healer.Ward(after)
        self.time = 1000.0
        self.healed: list[tuple[float, str, int | None]] = []
        self.why: list[str] = []

    def look(self, *looks: Any, idle: float = 0.9) -> None:
        """Look once."""
        self.time += PAUSE
        self.ward.note_machine(idle, self.time)
        for heal in self.ward.decide(looks, self.time):
            self.healed.append((self.time, heal.name, heal.grace))
            self.why.append(heal.why)

    def look_for(self, seconds: float, *looks: Any, idle: float = 0.9) -> None:
        """Look again and again."""
        end = self.time + seconds
        while self.time < end:
            self.look(*looks, idle=idle)

    @property
    def count(self) -> int:
        """How often something was started again."""
        return len(self.healed)


def look(health: str = "unhealthy", state: str = "running", **more: Any) -> Any:
    """Return what is seen of a container; an ill one does nothing."""
    work = STILL if health == "unhealthy" else None
    return healer.Look(
        **{"identifier": "1", "name": "shop-nginx", "state": state, "health": health, "work": work, **more}
    )


HEALTHY = look("healthy")


@pytest.fixture
def hospital() -> Hospital:
    """Return one that has seen its container healthy."""
    made = Hospital()
    made.look(HEALTHY)
    return made


def test_what_hangs_is_started_again(hospital: Hospital) -> None:
    """After its time, and within few seconds: it gets no long grace."""
    begin = hospital.time
    hospital.look_for(AFTER + 2 * PAUSE, look())
    (at, name, grace), *_ = hospital.healed
    assert AFTER <= at - begin <= AFTER + 2 * PAUSE
    assert (name, grace) == ("shop-nginx", healer.GRACE)
    assert "it does nothing" in hospital.why[0]


@pytest.mark.parametrize(
    "seen",
    [
        look("healthy"),
        look("starting"),
        look("", state="exited"),
        look("", state="paused"),
        look("", state="restarting"),
        look("", state="created"),
        look(""),
    ],
    ids=lambda seen: f"{seen.state} {seen.health}",
)
def test_others_are_left_alone(hospital: Hospital, seen: Any) -> None:
    """Stopped and paused ones are somebody's wish, the engine looks after those that restart."""
    hospital.look_for(2 * healer.LONG, seen)
    assert hospital.count == 0


def test_a_moment_of_illness_is_none(hospital: Hospital) -> None:
    hospital = Hospital(after=60)
    for _ in range(20):
        hospital.look_for(50, look())
        hospital.look(HEALTHY)
    assert hospital.count == 0


def test_what_works_is_left_for_long(hospital: Hospital) -> None:
    """Processor time, or reading and writing: a site that imports is none that hangs."""
    begin = hospital.time
    for step in range(int(healer.LONG / PAUSE) - 2):
        hospital.look(look(work=(3 + step * PAUSE * 0.2, 0.0)))
    assert hospital.count == 0
    for step in range(100):
        hospital.look(look(work=(500.0, step * PAUSE * 50_000)))
        if hospital.count:
            break
    assert healer.LONG <= hospital.healed[0][0] - begin <= healer.LONG + 2 * PAUSE
    assert hospital.healed[0][2] is None, "it may end in peace"


@pytest.mark.parametrize("work", [lambda step: (step * PAUSE * 0.1, 0.0), lambda step: (0.0, step * PAUSE * 10_000)])
def test_what_a_health_check_does_is_no_work(hospital: Hospital, work: Any) -> None:
    for step in range(5):
        hospital.look(look(work=work(step)))
    assert hospital.count == 1


def test_a_database_that_recovers_is_never_touched() -> None:
    """It was not healthy since it started, and works, for hours."""
    hospital = Hospital()
    hospital.look_for(60, look("starting"))
    for step in range(2000):
        hospital.look(look(work=(step * PAUSE * 0.05, step * PAUSE * 900_000)))
    assert hospital.count == 0
    hospital.look_for(healer.UNKNOWN, look(work=(500.0, 9e9)))
    assert hospital.count == 1, "control: then it hangs"


def test_what_was_never_healthy_gets_more_time() -> None:
    """The first look at it, and that after a start: what it does is not known yet."""
    for first in (look(), look("starting"), look("", state="restarting")):
        hospital = Hospital()
        hospital.look(first)
        begin = hospital.time
        hospital.look_for(healer.UNKNOWN + 3 * PAUSE, look())
        assert healer.UNKNOWN - PAUSE <= hospital.healed[0][0] - begin <= healer.UNKNOWN + 3 * PAUSE


def test_a_busy_machine_makes_nothing_hang(hospital: Hospital) -> None:
    begin = hospital.time
    hospital.look_for(healer.LONG - 2 * PAUSE, look(), idle=0.02)
    assert hospital.count == 0
    hospital.look_for(4 * PAUSE, look(), idle=0.5)
    assert hospital.count == 1
    assert hospital.healed[0][0] - begin < healer.LONG + 3 * PAUSE


def test_a_machine_that_stays_busy_is_no_excuse_for_ever(hospital: Hospital) -> None:
    hospital.look_for(healer.LONG + 2 * PAUSE, look(), idle=0.02)
    assert hospital.count == 1


def test_stopped_processes_are_told_from_busy_ones(hospital: Hospital) -> None:
    """At once, however busy the machine is; they cannot end by themselves."""
    begin = hospital.time
    hospital.look_for(AFTER + 2 * PAUSE, look(stopped=True), idle=0.0)
    assert hospital.healed[0][0] - begin <= AFTER + 2 * PAUSE
    assert hospital.healed[0][2] == 0


def test_what_has_fallen_is_started_again(hospital: Hospital) -> None:
    """Seen twice: the engine's own restart comes before."""
    hospital.look(look("", state="exited", fallen=True))
    assert hospital.count == 0
    hospital.look(look("", state="exited", fallen=True))
    assert [name for _, name, _ in hospital.healed] == ["shop-nginx"]


@pytest.mark.parametrize("fallen", [False, True])
def test_never_in_a_circle(hospital: Hospital, *, fallen: bool) -> None:
    """Each restart doubles the time until the next one, whatever comes of it, up to an hour."""
    seen = look("", state="exited", fallen=True) if fallen else look()
    for _ in range(14):
        before = hospital.count
        while hospital.count == before:
            hospital.look(seen)
        # It comes up, is well for a while, and hangs again.
        hospital.look_for(60, look("starting"))
        hospital.look_for(200, HEALTHY)
    times = [at for at, _, _ in hospital.healed]
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert all(pause >= min(30 * 2**n, 3600) for n, pause in enumerate(pauses))
    assert pauses[-1] <= 3600 + 200 + healer.UNKNOWN + 4 * PAUSE


def test_one_that_stays_well_has_recovered(hospital: Hospital) -> None:
    for _ in range(6):
        hospital.look_for(3600, HEALTHY)
        before = hospital.count
        hospital.look_for(AFTER + 2 * PAUSE, look())
        assert hospital.count == before + 1


def test_a_successor_begins_anew_but_its_name_is_remembered(hospital: Hospital) -> None:
    hospital.look_for(AFTER + 2 * PAUSE, look())
    assert hospital.count == 1
    hospital.look_for(20, look("healthy", identifier="2"))
    hospital.look_for(AFTER - PAUSE, look(identifier="2"))
    assert hospital.count == 1
    hospital.look()
    hospital.look_for(60, look(identifier="3"))
    assert hospital.count == 1, "never seen healthy"


def test_each_for_itself(hospital: Hospital) -> None:
    other = {"identifier": "7", "name": "shop-redis"}
    hospital.look(HEALTHY, look("healthy", **other))
    hospital.look_for(AFTER + 2 * PAUSE, look(), look("healthy", **other))
    assert {name for _, name, _ in hospital.healed} == {"shop-nginx"}
    hospital.look_for(AFTER + 2 * PAUSE, HEALTHY, look(**other))
    assert {name for _, name, _ in hospital.healed} == {"shop-nginx", "shop-redis"}


# --- What the engine says ---------------------------------------------------------------------------------------------


def container(state: str, status: str, service: str = "nginx", identifier: str = "abc") -> dict[str, Any]:
    """Return one of the engine's list."""
    labels = {"pressdock.stack": "shop", "pressdock.service": service}
    return {"Id": identifier, "Names": [f"/shop-{service}"], "State": state, "Status": status, "Labels": labels}


class FakeEngine:
    """Answers questions from a table of what their path begins with; notes them."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, method: str, question: str, timeout: float = 0) -> str:  # noqa: ARG002 -- as the real one
        """Answer."""
        self.asked.append(f"{method} {urllib.parse.unquote(question)}")
        for begin, answer in self.answers.items():
            if question.startswith(begin):
                if isinstance(answer, OSError):
                    raise answer
                return answer if isinstance(answer, str) else json.dumps(answer)
        raise AssertionError(question)


def engine(listed: list[dict[str, Any]], **answers: Any) -> tuple[Any, FakeEngine]:
    """Return the engine as the healer sees it."""
    fake = FakeEngine({"/containers/json": listed, **answers})
    return healer.Engine("shop", fake), fake


def test_a_healthy_stack_costs_one_question() -> None:
    made, fake = engine(
        [
            container("running", "Up 5 minutes (healthy)"),
            container("running", "Up 2 seconds (health: starting)", "redis"),
            container("running", "Up 2 seconds", "ftp"),
            container("paused", "Up 2 hours (Paused)", "adminer"),
            container("running", "Up 5 minutes (unhealthy)", "healer"),
        ]
    )
    assert [(one.name, one.state, one.health) for one in made.looks()] == [
        ("shop-nginx", "running", "healthy"),
        ("shop-redis", "running", "starting"),
        ("shop-ftp", "running", ""),
        ("shop-adminer", "paused", ""),
    ]
    assert fake.asked == ['GET /containers/json?all=1&filters={"label": ["pressdock.stack=shop"]}']


STATISTICS = {
    "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"op": "Read", "value": 100},
            {"op": "write", "value": 20},
            {"op": "Total", "value": 120},
        ]
    },
}


def test_an_ill_one_is_looked_at_closely() -> None:
    made, _ = engine(
        [container("running", "Up 5 minutes (unhealthy)")],
        **{
            "/containers/abc/stats?stream=false&one-shot=true": STATISTICS,
            "/containers/abc/top?ps_args=-eo%20pid,stat": {"Processes": [["7", "Tsl"], ["8", "T"]]},
        },
    )
    assert made.looks() == [healer.Look("abc", "shop-nginx", "running", "unhealthy", work=(2.5, 120.0), stopped=True)]


def test_a_host_without_ps_is_no_hindrance() -> None:
    made, _ = engine(
        [container("running", "Up 5 minutes (unhealthy)")],
        **{"/containers/abc/stats": {}, "/containers/abc/top": OSError("500 ps: not found")},
    )
    assert made.looks() == [healer.Look("abc", "shop-nginx", "running", "unhealthy", work=(0.0, 0.0), stopped=False)]


@pytest.mark.parametrize(
    ("states", "stopped"),
    [(["Ts", "T"], True), (["Ts", "Z"], True), (["Ts", "S"], False), (["Z"], False), ([], False), (["D"], False)],
)
def test_all_processes_are_stopped(states: list[str], *, stopped: bool) -> None:
    assert healer.all_stopped({"Processes": [["1", state] for state in states]}) is stopped


END = "2026-11-30T14:26:01.123456789Z"


def ended(policy: str = "unless-stopped", at: str = END) -> dict[str, Any]:
    """Return what the engine says of a container that has ended."""
    state = {"Status": "exited", "FinishedAt": at}
    return {"State": state, "HostConfig": {"RestartPolicy": {"Name": policy}}}


def event(action: str, **attributes: str) -> str:
    """Return a line of the engine's events."""
    return json.dumps({"Action": action, "Actor": {"Attributes": attributes}})


DIED = event("die", exitCode="137")


@pytest.mark.parametrize(
    ("events", "told", "fallen"),
    [
        ([DIED], ended(), True),
        ([event("kill", signal="1"), DIED], ended(), True),
        ([event("kill", signal="12"), DIED], ended(), True),
        ([event("kill", signal="9"), DIED], ended(), False),
        ([event("kill", signal="SIGTERM"), DIED], ended(), False),
        ([event("kill", signal="3"), DIED, event("stop")], ended(), False),
        ([DIED, event("stop")], ended(), False),
        ([event("kill", signal="9"), DIED, event("stop"), event("start"), event("restart"), DIED], ended(), True),
        ([DIED, event("start"), event("kill", signal="3"), DIED, event("stop")], ended(), False),
        ([], ended(), False),
        ([event("kill", signal="1")], ended(), False),
        ([DIED], ended("no"), False),
        ([DIED], ended("on-failure"), False),
        ([DIED], ended(at="0001-01-01T00:00:00Z"), False),
    ],
)
def test_who_has_fallen(events: list[str], told: dict[str, Any], *, fallen: bool) -> None:
    """Not who was stopped or killed, nor one of which nobody knows any more how it ended."""
    made, _ = engine(
        [container("exited", "Exited (137) 2 seconds ago")],
        **{"/containers/abc/json": told, "/events": "\n".join(events)},
    )
    assert made.looks() == [healer.Look("abc", "shop-nginx", "exited", "", fallen=fallen)]


def test_the_events_of_its_end_are_asked_for() -> None:
    """A question that reaches into the future would be answered then."""
    made, fake = engine([container("exited", "Exited")], **{"/containers/abc/json": ended(), "/events": DIED})
    made.looks()
    end = dt.datetime.fromisoformat(END[:19] + "+00:00").timestamp()
    (question,) = [asked for asked in fake.asked if asked.startswith("GET /events")]
    query = dict(urllib.parse.parse_qsl(question.partition("?")[2]))
    assert float(query["since"]) == end - healer.WINDOW
    assert float(query["until"]) <= dt.datetime.now(dt.UTC).timestamp()
    assert json.loads(query["filters"])["container"] == ["abc"]


def test_the_machine_s_idle_part() -> None:
    """Waiting for a disk is not idle: checks fail then as well."""
    before = [100, 0, 100, 1000, 50, 0, 0, 0, 7, 0]
    assert healer.idle_part(before, [130, 0, 120, 1040, 60, 0, 0, 0, 90, 0]) == 0.4
    assert healer.idle_part(before, [130, 0, 120, 1000, 100, 0, 0, 0, 7, 0]) == 0.0
    assert healer.idle_part(before, before) == 1.0


# --- What it does -----------------------------------------------------------------------------------------------------


class Patients:
    """An engine whose containers hang, and can be restarted or not."""

    def __init__(self, looks: Iterable[Any], refuses: bool = False) -> None:
        self.seen = list(looks)
        self.refuses = refuses
        self.restarted: list[str] = []

    def looks(self) -> list[Any]:
        """Return what is seen."""
        return self.seen

    def heal(self, heal: Any) -> None:
        """Restart, or refuse."""
        if self.refuses:
            raise OSError("500 no space left on device")
        self.restarted.append(heal.name)


TIMES = [0] * 10, [50, 0, 0, 50, 0, 0, 0, 0, 0, 0]


def run(patients: Patients, directory: Path) -> Any:
    """Look until something must have happened; return the record."""
    record, ward = healer.Record(directory), healer.Ward(AFTER)
    healthy = Patients([HEALTHY])
    healer.look_after(healthy, ward, record, *TIMES, 0.0)
    for step in range(1, 6):
        healer.look_after(patients, ward, record, *TIMES, step * PAUSE)
    return record


def test_what_was_done_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patients = Patients([look()])
    run(patients, tmp_path)
    assert patients.restarted == ["shop-nginx"]
    (heal,) = json.loads((tmp_path / "heals.json").read_text(encoding="utf-8"))["heals"]
    assert heal["container"] == "shop-nginx"
    assert "it does nothing" in heal["why"]
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(heal["at"])
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=1)
    figures = (tmp_path / "healer.prom").read_text(encoding="utf-8")
    assert 'pressdock_healer_restarts{container="shop-nginx"} 1\n' in figures
    assert "pressdock_healer_last_restart_timestamp_seconds 1" in figures
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("restarting shop-nginx: unhealthy for ")
    assert said[1] == "restarted shop-nginx"


def test_a_restart_that_fails_is_told_and_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Patients([look()], refuses=True), tmp_path).heals == []
    assert "shop-nginx could not be restarted: 500 no space left on device" in capsys.readouterr().out


def test_the_record_outlives_its_container(tmp_path: Path) -> None:
    run(Patients([look()]), tmp_path)
    again = healer.Record(tmp_path)
    for number in range(healer.KEPT + 50):
        again.add(healer.Heal(f"shop-{number}", None, "x"), dt.datetime.now(dt.UTC))
    kept = healer.Record(tmp_path).heals
    assert len(kept) == healer.KEPT
    assert kept[-1]["container"] == f"shop-{healer.KEPT + 49}"
    assert (tmp_path / "heals.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["", "{", "[]", '{"heals": 3}'])
def test_a_broken_record_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "heals.json").write_text(text, encoding="utf-8")
    record = healer.Record(tmp_path)
    record.add(healer.Heal("shop-nginx", None, "x"), dt.datetime.now(dt.UTC))
    assert len(healer.Record(tmp_path).heals) == 1


@pytest.mark.parametrize(("silent_since", "over"), [(None, False), (950.0, False), (940.0, True), (1000.0, False)])
def test_a_socket_that_stays_silent_is_the_wrong_one(silent_since: float | None, *, over: bool) -> None:
    assert healer.SILENCE == 60
    assert healer.is_over(silent_since, 1000.0) is over
