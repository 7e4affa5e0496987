#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Start again what hangs or has fallen, without the machine that runs Ansible.

The engine starts a container again whose process ends, but never one that is unhealthy, and none that ends after
somebody has sent it a signal by `docker kill`: it takes that for a wish to stop. This program looks at the stack's
containers every few seconds, over the engine's socket, and restarts those two kinds.

What it does not do: restart what works (a database that recovers, a site that imports), what somebody has stopped or
paused, or anything because the machine is busy, on which checks fail though the services are well; nor the same
container again and again, for each restart doubles the time until the next one.

What it has done is in its log, in `heals.json`, and in Prometheus's text format in `healer.prom`. It needs Python's
standard library and nothing else. As process 1 it ends at SIGTERM.

    healer STACK DIRECTORY AFTER
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

SOCKET = "/run/docker.sock"
STACK_LABEL = "pressdock.stack"
SERVICE_LABEL = "pressdock.service"
OWN_SERVICE = "healer"
HEARTBEAT = Path("/tmp/heartbeat")  # noqa: S108 -- the container's own
PAUSE = 5.0
"""Seconds between two looks."""
WORKING_CORES = 0.15
"""Part of a core: a container that uses more does something. A health check that is tried again and again uses less."""
WORKING_BYTES = 16 * 1024
"""Bytes in a second: a container that reads or writes more does something."""
BUSY_IDLE = 0.1
"""Part of the processors' time: a machine that is idle for less is busy."""
LONG = 600.0
"""Seconds after which a container that works, or that stands on a busy machine, is restarted all the same if it stays
unhealthy, and after which one that stays healthy has recovered."""
UNKNOWN = 120.0
"""Seconds that a container which was not yet seen healthy since its start may do nothing."""
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 3600.0
"""Seconds from a restart to the next one; each doubles it."""
GRACE = 2
"""Seconds that a container which does nothing gets to end by itself."""
KEPT = 200
"""Heals that are remembered."""
ENDING = {"2", "3", "9", "15", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM"}
"""Signals by which somebody ends a container; the engine's events give numbers."""
SILENCE = 60.0
"""Seconds without an answer after which the healer ends. A socket that was made anew (its unit restarted) is not the
one that is mounted here; the engine starts the container again, with the new one, now or when it is back itself."""
WINDOW = 120.0
"""Seconds before a container's end in which the wish to stop it was said, if there was one."""


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(method: str, question: str, timeout: float = 30, path: str = SOCKET) -> str:
    """Return the engine's answer.

    :raises OSError: when it does not answer, or refuses.
    """
    connection = EngineConnection(path, timeout)
    try:
        connection.request(method, question)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"{method} {question}: {error!r}") from error
    finally:
        connection.close()
    if answer.status >= http.client.BAD_REQUEST:
        raise OSError(f"{method} {question}: {answer.status} {text.strip()}")
    return text


@dataclass(frozen=True)
class Look:
    """What is seen of one container.

    :param state: `running`, `exited`, `paused`, `restarting`, `created` or `dead`.
    :param health: `healthy`, `unhealthy`, `starting`, or nothing where it has no health check.
    :param work: seconds of processor time that it has used, and bytes that it has read and written, if it was asked.
    :param stopped: whether all its processes are stopped by a signal (SIGSTOP).
    :param fallen: whether it ended, and nobody wished that.
    """

    identifier: str
    name: str
    state: str
    health: str
    work: tuple[float, float] | None = None
    stopped: bool = False
    fallen: bool = False


@dataclass
class Patient:
    """What is remembered of a container, by its name: a successor under this name continues it."""

    identifier: str = ""
    seen_healthy: bool = False
    ill_since: float | None = None
    well_since: float | None = None
    works_until: float = 0.0
    work: tuple[float, float, float] | None = None
    heals: int = 0
    not_before: float = 0.0


@dataclass(frozen=True)
class Heal:
    """A decision: which container is started again, how long it may take to end, and why."""

    name: str
    grace: int | None
    why: str


@dataclass
class Ward:
    """All containers of the stack, and what is decided about them. Time is seconds of any clock that goes on.

    :param after: seconds for which a container must have been unhealthy.
    """

    after: float
    patients: dict[str, Patient] = field(default_factory=dict)
    busy_until: float = 0.0

    def note_machine(self, idle: float, now: float) -> None:
        """Note which part of the processors' time was idle since the last look."""
        if idle < BUSY_IDLE:
            # A health check that fails now may have begun before.
            self.busy_until = now + 2 * PAUSE

    def decide(self, looks: Iterable[Look], now: float) -> list[Heal]:
        """Take in what is seen, and say who is to be restarted."""
        seen = list(looks)
        for name in set(self.patients) - {look.name for look in seen}:
            # A container that a run has removed comes again in a moment, under the same name.
            self.patients[name].ill_since = None
        return [heal for look in seen if (heal := self._decide(look, now))]

    def _decide(self, look: Look, now: float) -> Heal | None:
        patient = self.patients.setdefault(look.name, Patient())
        if look.identifier != patient.identifier:
            patient.identifier = look.identifier
            patient.seen_healthy, patient.ill_since, patient.work = False, None, None
        ill = look.fallen or (look.state == "running" and look.health == "unhealthy")
        if not ill:
            self._note_well(patient, look, now)
            return None
        patient.well_since = None
        if patient.ill_since is None:
            patient.ill_since = now
        self._note_work(patient, look, now)
        if now < patient.not_before:
            return None
        lasts = now - patient.ill_since
        if look.fallen:
            return (
                self._heal(patient, look, now, None, "it had ended, and nobody had stopped it")
                if lasts >= PAUSE
                else None
            )
        if lasts < self.after:
            return None
        if look.stopped:
            return self._heal(patient, look, now, 0, f"unhealthy for {lasts:.0f} s, and all its processes are stopped")
        if now < max(patient.works_until, self.busy_until) or patient.work is None:
            # What was never healthy since it started may recover, for as long as it takes.
            if lasts >= LONG and patient.seen_healthy:
                return self._heal(patient, look, now, None, f"unhealthy for {lasts:.0f} s, though it works")
            return None
        if not patient.seen_healthy and lasts < UNKNOWN:
            return None
        return self._heal(patient, look, now, GRACE, f"unhealthy for {lasts:.0f} s, and it does nothing")

    def _note_well(self, patient: Patient, look: Look, now: float) -> None:
        patient.ill_since = patient.work = None
        if look.state != "running" or look.health not in ("healthy", ""):
            # One that starts says so until its first check, which takes longer than the time between two looks.
            patient.well_since, patient.seen_healthy = None, False
            return
        patient.seen_healthy = True
        patient.well_since = now if patient.well_since is None else patient.well_since
        if now - patient.well_since >= LONG:
            patient.heals = 0

    def _note_work(self, patient: Patient, look: Look, now: float) -> None:
        if look.work is None:
            return
        if patient.work is not None:
            at, cores, moved = patient.work
            time_between = max(now - at, 0.001)
            used = (look.work[0] - cores) / time_between >= WORKING_CORES
            if used or (look.work[1] - moved) / time_between >= WORKING_BYTES:
                patient.works_until = now + 2 * PAUSE
        patient.work = (now, *look.work)

    def _heal(self, patient: Patient, look: Look, now: float, grace: int | None, why: str) -> Heal:
        patient.not_before = now + min(FIRST_PAUSE * 2**patient.heals, LONGEST_PAUSE)
        patient.heals += 1
        patient.ill_since = None
        return Heal(look.name, grace, why)


def work_of(statistics: Mapping[str, Any]) -> tuple[float, float]:
    """Read from the engine's statistics a container's seconds of processor time, and its bytes read and written."""
    used = ((statistics.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0
    moved = (statistics.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return used / 1e9, float(sum(e.get("value", 0) for e in moved if str(e.get("op")).lower() in ("read", "write")))


def all_stopped(processes: Mapping[str, Any]) -> bool:
    """Say whether every process of a container is stopped, of the engine's list with `ps -eo pid,stat`."""
    rows = processes.get("Processes") or []
    return (
        bool(rows)
        and all(str(row[-1]).startswith(("T", "Z")) for row in rows)
        and any(str(r[-1])[0] == "T" for r in rows)
    )


def has_ended_by_itself(events: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether a container is known to have ended, and nobody has ended it.

    `docker stop` is told as such; `docker kill` only by its signal, and another signal (HUP: load your configuration
    again) is no wish to end.

    :param events: what the engine tells of its last minutes, in their order. It remembers a few hundred, of all
        containers; without that of the end, nobody knows how it came.
    """
    ended = wished = False
    for event in events:
        action, attributes = event.get("Action"), (event.get("Actor") or {}).get("Attributes") or {}
        if action == "start":
            # What came before belongs to an earlier life.
            ended = wished = False
        ended = ended or action == "die"
        wished = wished or action == "stop" or (action == "kill" and str(attributes.get("signal")) in ENDING)
    return ended and not wished


def idle_part(before: Iterable[int], after: Iterable[int]) -> float:
    """Return which part of the processors' time was idle between two first lines of /proc/stat (proc_stat(5))."""
    passed = [b - a for a, b in zip(before, after, strict=True)]
    # Guests' time is in the user's already.
    whole = sum(passed[:8])
    return passed[3] / whole if whole > 0 else 1.0


def machine_times(path: str = "/proc/stat") -> list[int]:
    """Return the first line of /proc/stat, in ticks."""
    return [int(word) for word in Path(path).read_text(encoding="ascii").partition("\n")[0].split()[1:]]


def engine_time(text: str) -> float:
    """Read a time of the engine's, such as 2026-11-30T14:26:01.123456789Z, as seconds since 1970."""
    return dt.datetime.fromisoformat(f"{text[:19]}+00:00").timestamp()


class Engine:
    """The engine, as far as it is needed."""

    def __init__(self, stack: str, ask: Callable[..., str] = ask) -> None:
        self.stack = stack
        self.ask = ask

    def looks(self) -> list[Look]:
        """Return all containers of the stack but the healer's own; what costs something only of those that are ill."""
        wanted = quote(json.dumps({"label": [f"{STACK_LABEL}={self.stack}"]}))
        listed = json.loads(self.ask("GET", f"/containers/json?all=1&filters={wanted}"))
        return [self.look(entry) for entry in listed if entry["Labels"].get(SERVICE_LABEL) != OWN_SERVICE]

    def look(self, entry: Mapping[str, Any]) -> Look:
        """Look at one of the engine's list."""
        identifier, state = entry["Id"], str(entry["State"])
        name = str((entry.get("Names") or [identifier])[0]).lstrip("/")
        # The list has the health in a text for people: "Up 5 minutes (unhealthy)".
        ill = state == "running" and str(entry.get("Status")).endswith("(unhealthy)")
        if state == "exited":
            told = json.loads(self.ask("GET", f"/containers/{identifier}/json"))
            return Look(identifier, name, state, "", fallen=self.has_fallen(identifier, told))
        if not ill:
            _, _, health = str(entry.get("Status")).partition("(")
            word = "healthy" if health == "healthy)" else "starting" if health.startswith("health: ") else ""
            return Look(identifier, name, state, word)
        statistics = json.loads(self.ask("GET", f"/containers/{identifier}/stats?stream=false&one-shot=true"))
        return Look(identifier, name, state, "unhealthy", work_of(statistics), stopped=self.is_stopped(identifier))

    def is_stopped(self, identifier: str) -> bool:
        """Say whether all processes of a container are stopped; a host without `ps` cannot tell."""
        try:
            return all_stopped(json.loads(self.ask("GET", f"/containers/{identifier}/top?ps_args=-eo%20pid,stat")))
        except OSError:
            return False

    def has_fallen(self, identifier: str, told: Mapping[str, Any]) -> bool:
        """Say whether a container that has ended should run, and nobody has stopped it."""
        policy = ((told.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name")
        if policy != "unless-stopped" or str(told["State"]["FinishedAt"]).startswith("0001"):
            return False
        end = engine_time(told["State"]["FinishedAt"])
        wanted = quote(json.dumps({"container": [identifier], "event": ["start", "die", "kill", "stop"]}))
        # `stop` is told a little later than the end. What lies in the future the engine would wait for.
        text = self.ask(
            "GET", f"/events?since={end - WINDOW:.0f}&until={min(end + 60, time.time()):.0f}&filters={wanted}"
        )
        events = [json.loads(line) for line in text.splitlines() if line.strip()]
        return has_ended_by_itself(events)

    def heal(self, heal: Heal) -> None:
        """Start a container again."""
        limit = "" if heal.grace is None else f"?t={heal.grace}"
        self.ask("POST", f"/containers/{quote(heal.name)}/restart{limit}", timeout=300)


class Record:
    """What was done, in a directory: the heals as JSON, and figures for Prometheus. It holds no secret."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "heals.json"
        self.figures = directory / "healer.prom"
        try:
            self.heals: list[dict[str, str]] = list(json.loads(self.file.read_text(encoding="utf-8"))["heals"])
        except (OSError, ValueError, KeyError, TypeError):
            self.heals = []

    def add(self, heal: Heal, at: dt.datetime) -> None:
        """Note a restart."""
        entry = {"at": at.isoformat(timespec="seconds"), "container": heal.name, "why": heal.why}
        self.heals = [*self.heals, entry][-KEPT:]
        self.write()

    def write(self) -> None:
        """Replace both files, each in one step."""
        counts = Counter(entry["container"] for entry in self.heals)
        lines = [
            "# HELP pressdock_healer_restarts Restarts of a container by the healer that it remembers.",
            "# TYPE pressdock_healer_restarts gauge",
            *(f'pressdock_healer_restarts{{container="{name}"}} {count}' for name, count in sorted(counts.items())),
        ]
        if self.heals:
            last = dt.datetime.fromisoformat(self.heals[-1]["at"]).timestamp()
            lines += [
                "# HELP pressdock_healer_last_restart_timestamp_seconds When it restarted a container last.",
                "# TYPE pressdock_healer_last_restart_timestamp_seconds gauge",
                f"pressdock_healer_last_restart_timestamp_seconds {last:.0f}",
            ]
        for file, text in ((self.file, json.dumps({"heals": self.heals}, indent=1)), (self.figures, "\n".join(lines))):
            new = file.with_suffix(".new")
            new.write_text(f"{text}\n", encoding="utf-8")
            new.chmod(0o644)
            new.replace(file)


def say(line: str) -> None:
    """Write a line into the log."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def look_after(engine: Engine, ward: Ward, record: Record, before: list[int], after: list[int], now: float) -> None:
    """Look once, and heal.

    :param before: the machine's times at the last look (`machine_times`).
    :param after: those of now.
    :raises OSError: when the engine does not answer.
    """
    ward.note_machine(idle_part(before, after), now)
    for heal in ward.decide(engine.looks(), now):
        say(f"restarting {heal.name}: {heal.why}")
        try:
            engine.heal(heal)
        except OSError as error:
            # The next look decides again.
            say(f"{heal.name} could not be restarted: {error}")
        else:
            record.add(heal, dt.datetime.now(dt.UTC))
            say(f"restarted {heal.name}")


def is_over(silent_since: float | None, now: float) -> bool:
    """Say whether the engine has been silent for so long that this is the wrong socket."""
    return silent_since is not None and now - silent_since >= SILENCE


def main() -> None:
    """Look for as long as the engine answers."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: sys.exit(0))
    os.umask(0o022)
    stack, directory, after = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    engine, ward, record = Engine(stack), Ward(after), Record(directory)
    record.write()
    say(f"looking after the containers of {stack}")
    silent_since = None
    before = machine_times()
    while not is_over(silent_since, time.monotonic()):
        HEARTBEAT.touch()
        times = machine_times()
        try:
            look_after(engine, ward, record, before, times, time.monotonic())
            if silent_since is not None:
                say("the engine answers again")
            silent_since = None
        except (OSError, ValueError, KeyError) as error:
            # A container may go between two questions; an engine that is away comes again.
            if silent_since is None:
                say(f"the engine does not answer: {error}")
                silent_since = time.monotonic()
        before = times
        time.sleep(PAUSE)
    sys.exit("ending, to be started again with the engine's present socket")


if __name__ == "__main__":
    main()
