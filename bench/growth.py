"""Measure how a run without changes grows, with the number of sites and of machines, and where its time goes.

Every machine is a stack of its own (name, port, data directory) on this one, which is the controller of all of them as
well; they are removed at the end. Needs root, for the data directories and the engine's socket.

Writes bench/results/<time>-growth.json with every figure, and .md, for a page of docs/journal.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import run as bench

STACK = "pressdock-growth"
PORT = 9600
PORTS = 40
"""Ports that are set aside for each machine."""
PROFILE = 12
"""Tasks that the profile names; the others are added up."""
PROFILED = (1, 2)
"""Machines and sites of the size whose profile is shown."""


@dataclass(frozen=True)
class Size:
    """How many machines there are, and how many sites each has."""

    machines: int
    sites: int


SIZES = (Size(1, 1), Size(1, 2), Size(1, 5), Size(1, 20), Size(3, 1))


def size_of(text: str) -> Size:
    """Read a size from its short form, machines and sites of each: 3x1. ArgumentTypeError where it is none."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        message = f"{text}: machines and sites of each are expected, as in 3x1"
        raise argparse.ArgumentTypeError(message)
    return Size(*(int(number) for number in found.groups()))


def stack_of(number: int) -> str:
    """Name a machine's stack."""
    return f"{STACK}-{number}"


def data_of(number: int) -> Path:
    """Name a machine's data directory."""
    return Path("/srv") / stack_of(number)


def site(name: str) -> dict[str, Any]:
    """Declare a site as small as can be."""
    return {
        "domain": f"{name}.localhost",
        "title": name,
        "administrator": {"login": "owner", "email": f"owner@{name}.example.org"},
        "users": {"author": {"email": f"author@{name}.example.org", "role": "author"}},
    }


def machine(number: int, sites: int, key_file: Path) -> dict[str, Any]:
    """Return the variables of one machine."""
    port = PORT + PORTS * number
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        # The bench is root already; mitogen would look for sudo all the same.
        "ansible_become": False,
        "stack_name": stack_of(number),
        "stack_data_dir": str(data_of(number)),
        "stack_installation_key_file": str(key_file),
        "preflight_lock_file": f"/run/{stack_of(number)}.lock",
        "nginx_bind_address": "127.0.0.1",
        "nginx_https_port": port,
        "ftp_bind_address": "127.0.0.1",
        "ftp_port": port + 1,
        "ftp_passive_first_port": port + 2,
        "ftp_passive_last_port": port + PORTS - 1,
        # The machine is small, and nobody visits.
        "wordpress_memory": "192m",
        "wordpress_workers": 2,
        "wordpress_sites": {name: site(name) for name in (f"site{index}" for index in range(sites))},
    }


def write_inventory(folder: Path, size: Size) -> Path:
    """Write the inventory for a size: YAML, as JSON is."""
    hosts = {
        f"machine{number}": machine(number, size.sites, folder / "installation.key") for number in range(size.machines)
    }
    file = folder / f"{size.machines}-{size.sites}.yml"
    file.write_text(json.dumps({"stack": {"hosts": hosts}}), encoding="utf-8")
    # Ansible looks for what is declared beside the inventory.
    variables = folder / "group_vars"
    if not variables.exists():
        variables.symlink_to(bench.ROOT / "group_vars")
    return file


def measure_size(folder: Path, size: Size, times: int) -> dict[str, Any]:
    """Converge to a size, and then measure runs that change nothing, with and without the accelerator."""
    arguments = ["--inventory", str(write_inventory(folder, size))]
    bench.say(f"{size.machines} machines with {size.sites} sites each: converge")
    bench.play(arguments)
    # The first run after a change compares once more what has just been made.
    bench.play(arguments)
    found: dict[str, Any] = asdict(size)
    strategies = {"plain": None, "mitogen": bench.mitogen_strategy()}
    for name, strategy in strategies.items():
        if name == "plain" or strategy:
            runs = [bench.unchanged_run(arguments, strategy) for _ in range(times)]
            found[name] = [asdict(each) for each in runs]
            bench.say(f"  {name}: " + ", ".join(f"{each.seconds:.1f} s ({each.processor:.1f})" for each in runs))
    return found


def remove_all(sizes: Iterable[Size], beyond: int = 0) -> None:
    """Remove all stacks that the bench has for sizes, or has by default, but for the first so many."""
    for number in range(beyond, max(size.machines for size in (*SIZES, *sizes))):
        bench.remove_all(stack_of(number), data_of(number))


def median(runs: list[dict[str, Any]], field: str) -> float:
    """Return the median of one figure of some runs."""
    return float(statistics.median(each[field] for each in runs))


def profile(runs: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return the tasks that take longest in the median, and one entry for all others: name and seconds."""
    names = {name for each in runs for name in each["tasks"]}
    seconds = {name: statistics.median(each["tasks"].get(name, 0.0) for each in runs) for name in names}
    longest = sorted(seconds.items(), key=lambda item: item[1], reverse=True)
    rest = sum(value for _, value in longest[PROFILE:])
    return [*longest[:PROFILE], (f"the other {len(longest[PROFILE:])} tasks", rest)]


def markdown(result: dict[str, Any]) -> str:
    """Return the figures as the fragment for a page of docs/journal."""
    lines = [
        *bench.machine_lines(result["machine"], result["when"]),
        "",
        "| Machines | Sites of each | Plain: seconds | processor | With mitogen: seconds | processor |",
        "|---|---|---|---|---|---|",
    ]
    for each in result["sizes"]:
        cells = [f"{median(each['plain'], 'seconds'):.1f}", f"{median(each['plain'], 'processor'):.1f}"]
        if "mitogen" in each:
            cells += [f"{median(each['mitogen'], 'seconds'):.1f}", f"{median(each['mitogen'], 'processor'):.1f}"]
        else:
            cells += ["", ""]
        lines.append(f"| {each['machines']} | {each['sites']} | {' | '.join(cells)} |")
    for each in result["sizes"]:
        if (each["machines"], each["sites"]) == PROFILED:
            lines += ["", "| Task, one machine with two sites | Seconds |", "|---|---|"]
            lines += [f"| {name} | {seconds:.2f} |" for name, seconds in profile(each["plain"])]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, write the results, and clean up; 1 when a step failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="repetitions of each run (default: 3)")
    parser.add_argument(
        "--sizes",
        type=size_of,
        nargs="+",
        default=SIZES,
        metavar="MACHINESxSITES",
        help=f"what to measure (default: {' '.join(f'{size.machines}x{size.sites}' for size in SIZES)})",
    )
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("the bench needs root: the stacks' data directories and the engine's socket belong to root")

    remove_all(arguments.sizes)
    result: dict[str, Any] = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": bench.machine()}
    try:
        with tempfile.TemporaryDirectory(prefix="pressdock-growth-") as folder:
            result["sizes"] = []
            for size in arguments.sizes:
                # What a larger size has left would be measured as well.
                remove_all(arguments.sizes, beyond=size.machines)
                result["sizes"].append(measure_size(Path(folder), size, max(1, arguments.times)))
    except bench.BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        remove_all(arguments.sizes)
    bench.write_results(result, markdown(result), "-growth")
    return 0


if __name__ == "__main__":
    sys.exit(main())
