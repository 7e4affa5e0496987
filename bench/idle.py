"""Measure what a stack costs that nobody visits: processor time of the whole machine, and where it goes.

It looks at a stack that runs, and changes nothing. Nothing else may happen on the machine meanwhile: what is left over
when all parts are known would otherwise be other people's. Needs root, for the processes of other users.

A health check is a program that the engine has started in a container; when it has ended, its time and that of what
started it (runc) are counted by the container's shim, which has waited for both (proc(5): `cutime`, `cstime`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
ENGINE = ("dockerd", "containerd")
SHIM = "containerd-shim"


def machine_seconds() -> float:
    """Return the processor time that the machine has spent, in seconds (proc_stat(5)), without waiting for disks."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS


def process_seconds(pid: int) -> float:
    """Return what a process and those of its children that it has waited for have spent; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def commands() -> dict[int, list[str]]:
    """Return the command line of every process, by its id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
    return found


def docker(*arguments: str) -> list[str]:
    """Ask the engine; return the lines of its answer."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.splitlines()


def parts_of(stack: str) -> dict[str, list[int]]:
    """Return the processes of each part: the engine, the shims (health checks), and each container."""
    running = commands()
    listed = docker("ps", "--no-trunc", "--filter", f"label=pressdock.stack={stack}", "--format", "{{.ID}} {{.Names}}")
    containers = dict(line.split() for line in listed)
    if not containers:
        sys.exit(f"No container of the stack {stack} runs.")
    parts = {
        "engine": [pid for pid, words in running.items() if Path(words[0]).name in ENGINE],
        "health checks": [
            pid for pid, words in running.items() if SHIM in words[0] and any(one in words for one in containers)
        ],
    }
    for identifier, name in containers.items():
        lines = docker("top", identifier, "-eo", "pid")
        parts[name.removeprefix(f"{stack}-")] = [int(line) for line in lines[1:]]
    return parts


def spent(pids: Iterable[int]) -> float:
    """Return what processes have spent, in seconds."""
    return sum(process_seconds(pid) for pid in pids)


def measure(stack: str, seconds: float) -> dict[str, float]:
    """Return the parts of one core that a stack takes, by part; `all` is the whole machine's."""
    parts = parts_of(stack)
    begin, before, machine = time.monotonic(), {name: spent(pids) for name, pids in parts.items()}, machine_seconds()
    time.sleep(seconds)
    passed = time.monotonic() - begin
    found = {name: (spent(pids) - before[name]) / passed for name, pids in parts.items()}
    whole = (machine_seconds() - machine) / passed
    return {"all": whole, **found, "else": whole - sum(found.values())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stack", default="pressdock", help="its name (default: pressdock)")
    parser.add_argument("--seconds", type=float, default=600, help="for how long (default: 600)")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    found = measure(given.stack, given.seconds)
    if given.json:
        sys.stdout.write(json.dumps({name: round(value, 5) for name, value in found.items()}) + "\n")
        return
    for name, value in found.items():
        sys.stdout.write(f"{name:20} {100 * value:6.2f} % of a core\n")


if __name__ == "__main__":
    main()
