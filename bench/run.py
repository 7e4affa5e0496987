"""Measure, in one run on this machine: converges and `docker compose up -d` beside them, images, memory, requests.

Everything happens with a stack of its own (name, port, data directory, key), which is removed at the end; no other
stack is touched. The tools (compose, wrk) come from Debian into an image of their own, so that nothing has to be
installed. Needs root, for the data directory and the engine's socket.

Writes bench/results/<time>.json with every figure, and <time>.md, for a page of docs/journal.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[1]
STACK = "pressdock-bench"
DATA = Path("/srv") / STACK
TOOLS = f"{STACK}-tools:1"
COMPOSE_PROJECT = f"{STACK}-compose"
PORT = 9553
# One second short of the default's hour: a setting that nginx loads while it runs.
OTHER_SETTING = {"nginx_static_max_age": 3599}
NO_CACHE = {"wordpress_object_cache": "none"}
# What keeps the bench's stack apart from every other one.
OWN_VARIABLES = {
    "stack_name": STACK,
    "stack_data_dir": str(DATA),
    "nginx_bind_address": "127.0.0.1",
    "nginx_https_port": PORT,
    "ftp_bind_address": "127.0.0.1",
    "ftp_port": PORT + 1,
    "ftp_passive_first_port": PORT + 2,
    "ftp_passive_last_port": PORT + 21,
}
# Seconds without a visitor before memory is read.
REST = 60

# What the output has to be like: a task is announced when it begins, and not only when it turns out not to be skipped.
OUTPUT = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "1"}

# A stage of a converge begins with the first task that matches.
STAGES = (
    (re.compile(r"docker : "), "engine"),
    (re.compile(r"Gather what goes into the base image"), "certificates"),
    (re.compile(r"container : Prepare \| Compare"), "comparison"),
    (re.compile(r"base_image : Bootstrap \| Install"), "Debian's base system"),
    (re.compile(r"container : Build \| Write"), "images"),
    (re.compile(r"container : Prepare \| Keep the directories"), "networks, volumes, secrets"),
    (re.compile(r"(mariadb|redis|wordpress|adminer|nginx|ftp|cadvisor) : "), "service {}"),
    (re.compile(r"Remove superseded images"), "end"),
)
BUILT = re.compile(r"container : Build \| Wait for (?P<images>[^(]*)")
BUILD_STARTS = "Build | Start the builds"
TASK = re.compile(r"TASK \[(?P<name>.*)\] \*")
WORKED = re.compile(r"(ok|changed|included): ")
RECAP = re.compile(r"\S+ +: +ok=[1-9]\d* +changed=\d+ +unreachable=0 +failed=0 ")


class BenchError(Exception):
    """A step that had to work did not; the message says which, with the end of its output."""


@dataclass
class Converge:
    """One run of site.yml: seconds of wall clock and of processors, changed tasks, seconds of each stage in order.

    builds: times of day (seconds since 1970) at which builds of images were started; tasks: seconds of each task.
    """

    seconds: float
    processor: float
    changed: list[str]
    stages: dict[str, float]
    builds: list[float]
    tasks: dict[str, float]


def say(text: str) -> None:
    """Print a line at once: the steps take minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(*command: str, text: str | None = None) -> str:
    """Run a command with `text` as its input and return its output; BenchError when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=text)
    if done.returncode != 0:
        message = f"{' '.join(command)[:200]} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        raise BenchError(message)
    return done.stdout


def stages_of(announced: list[tuple[float, str]], seconds: float) -> dict[str, float]:
    """Return the seconds of each stage from when its tasks were announced; all of them together last `seconds`."""
    begun = [(0.0, "key and preflight")]
    for when, task in announced:
        if built := BUILT.match(task):
            begun[-1] = (begun[-1][0], f"images: {built['images']}")
        for pattern, template in STAGES:
            if (found := pattern.match(task)) and (name := template.format(*found.groups())) != begun[-1][1]:
                begun.append((when, name))
    return durations_of(begun, seconds)


def durations_of(begun: list[tuple[float, str]], seconds: float) -> dict[str, float]:
    """Return the seconds from the beginning of each thing to that of the next, added up where a name comes again."""
    ends = [when for when, _ in begun[1:]] + [seconds]
    durations: dict[str, float] = {}
    for (when, name), end in zip(begun, ends, strict=True):
        durations[name] = round(durations.get(name, 0.0) + end - when, 2)
    return durations


def converge(key_file: Path, settings: dict[str, Any], strategy: dict[str, str] | None = None) -> Converge:
    """Run site.yml for the bench's stack.

    settings: variables that differ from the defaults; strategy: environment that makes Ansible use another strategy.
    """
    return play(stack_arguments(key_file, settings), strategy)


def stack_arguments(key_file: Path, settings: dict[str, Any]) -> list[str]:
    """Return the arguments of ansible-playbook that make it the bench's stack."""
    return ["--extra-vars", json.dumps({**OWN_VARIABLES, "stack_installation_key_file": str(key_file), **settings})]


def processor_seconds() -> float:
    """Return the processor time of all programs that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def play(arguments: list[str], strategy: dict[str, str] | None = None) -> Converge:
    """Run site.yml with these arguments of ansible-playbook; BenchError where it fails on any host."""
    lines: list[str] = []
    announced: list[tuple[float, str]] = []
    # Those of them that did something: one that is skipped begins no stage.
    worked: dict[tuple[float, str], None] = {}
    changed: list[str] = []
    builds: list[float] = []
    succeeded = False
    used = processor_seconds()
    start = time.monotonic()
    with subprocess.Popen(
        ["ansible-playbook", "site.yml", *arguments],
        cwd=ROOT,
        env={**os.environ, **OUTPUT, **(strategy or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if task := TASK.match(line):
                announced.append((time.monotonic() - start, task["name"]))
                if BUILD_STARTS in task["name"]:
                    builds.append(time.time())
            if announced and WORKED.match(line):
                worked[announced[-1]] = None
            if line.startswith("changed: ") and announced:
                changed.append(announced[-1][1])
            succeeded = succeeded or bool(RECAP.match(line))
    seconds = time.monotonic() - start
    if process.returncode != 0 or not succeeded:
        message = f"site.yml failed:\n{''.join(lines[-80:])}"
        raise BenchError(message)
    processor = round(processor_seconds() - used, 2)
    tasks = durations_of(announced, seconds)
    return Converge(round(seconds, 2), processor, changed, stages_of(list(worked), seconds), builds, tasks)


def unchanged(key_file: Path, times: int, strategy: dict[str, str] | None = None) -> list[Converge]:
    """Converge what is converged; BenchError when a run changes anything, for then it measures something else."""
    arguments = stack_arguments(key_file, {})
    return [unchanged_run(arguments, strategy) for _ in range(times)]


def unchanged_run(arguments: list[str], strategy: dict[str, str] | None = None) -> Converge:
    """Run site.yml, which has to change nothing."""
    done = play(arguments, strategy)
    if done.changed:
        message = f"a converge that had to change nothing changed: {', '.join(done.changed)}"
        raise BenchError(message)
    return done


def own(*listing: str, stack: str = STACK) -> list[str]:
    """Return the ids that one of docker's listings gives for a stack of the bench, the newest first."""
    label = f"label=pressdock.stack={stack}"
    return list(dict.fromkeys(run("docker", *listing, "--quiet", "--filter", label).split()))


def compose_file() -> dict[str, Any]:
    """Describe the stack's running containers as a compose file: same images, options, networks and volumes."""
    services: dict[str, Any] = {}
    networks: dict[str, Any] = {}
    volumes: dict[str, Any] = {}
    for container in json.loads(run("docker", "inspect", *own("ps"))):
        config, host = container["Config"], container["HostConfig"]
        name = config["Hostname"]
        short = [network.removeprefix(f"{STACK}-") for network in sorted(container["NetworkSettings"]["Networks"])]
        networks |= {network: {"internal": network not in {"edge", "outbound"}} for network in short}
        mounts = [mount for mount in container["Mounts"] if mount["Type"] == "volume"]
        volumes |= {mount["Name"]: {"external": True} for mount in mounts}
        health = config["Healthcheck"]
        services[name] = {
            "image": config["Image"],
            "hostname": name,
            "user": config["User"],
            "command": config["Cmd"],
            "environment": config["Env"],
            "networks": short,
            "volumes": list(host["Binds"] or []),
            "tmpfs": [f"{path}:{options}" for path, options in (host.get("Tmpfs") or {}).items()],
            "ports": [
                f"{bound['HostIp']}:{bound['HostPort']}:{port}"
                for port, bindings in (host["PortBindings"] or {}).items()
                for bound in bindings
            ],
            "restart": "unless-stopped",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": host["SecurityOpt"],
            "mem_limit": host["Memory"],
            "memswap_limit": host["MemorySwap"],
            "cpus": host["NanoCpus"] / 1e9,
            "pids_limit": host["PidsLimit"],
            "stop_signal": config["StopSignal"],
            "healthcheck": {
                "test": health["Test"],
                "retries": health["Retries"],
                **{key.lower(): f"{health[key] // 10**9}s" for key in ("Interval", "Timeout")},
                "start_period": f"{health['StartPeriod'] // 10**9}s",
            },
        }
    return {"services": services, "networks": networks, "volumes": volumes}


def measure_images(builds: list[float]) -> list[dict[str, Any]]:
    """List the services' images: size, what it adds to the base, seconds from its build's start to its last layer.

    builds: when builds were started; those of one start run side by side.
    """
    found = []
    for identifier in own("images"):
        image = json.loads(run("docker", "image", "inspect", identifier))[0]
        service = (image["Config"]["Labels"] or {}).get("pressdock.service", "")
        if not image["RepoTags"] or service in {"rootfs", ""}:
            continue
        # Nanoseconds are more than Python reads.
        ended = datetime.fromisoformat(re.sub(r"\.\d+", "", image["Created"])).timestamp()
        begun = max((when for when in builds if when <= ended), default=None)
        seconds = None if begun is None else round(ended - begun)
        found.append({"service": service, "bytes": image["Size"], "build_seconds": seconds})
    base = next(each["bytes"] for each in found if each["service"] == "base_image")
    for each in found:
        each["own_bytes"] = each["bytes"] - base
    return sorted(found, key=lambda each: str(each["service"]))


def measure_memory() -> list[dict[str, Any]]:
    """Read every container's memory and use of the processor after a while without visitors."""
    time.sleep(REST)
    found = []
    for line in run("docker", "stats", "--no-stream", "--format", "{{json .}}", *own("ps")).splitlines():
        stats = json.loads(line)
        used, limit = stats["MemUsage"].split(" / ")
        name = stats["Name"].removeprefix(f"{STACK}-")
        found.append({"name": name, "memory": used, "limit": limit, "processor": stats["CPUPerc"]})
    return sorted(found, key=lambda each: each["name"])


def browser() -> requests.Session:
    """Return what trusts the stack's own authority."""
    session = requests.Session()
    session.verify = str(DATA / "ca" / "ca.crt")
    # The environment's own list of authorities would win.
    session.trust_env = False
    return session


def logged_in(key_file: Path) -> str:
    """Log in to the dashboard and return the cookies, as one header's value."""
    secrets = run("ansible-playbook", "playbooks/secrets.yml", *stack_arguments(key_file, {}))
    login = re.search(r"administrator: (\S+) / (\w+)", secrets)
    if not login:
        message = "the administrator's login is not shown"
        raise BenchError(message)
    session = browser()
    form = {"log": login[1], "pwd": login[2], "wp-submit": "x", "testcookie": "1"}
    for data in (None, form):
        session.request("POST" if data else "GET", f"https://localhost:{PORT}/wp-login.php", data=data, timeout=60)
    header = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    if "wordpress_logged_in" not in header:
        message = "the administrator cannot log in"
        raise BenchError(message)
    return header


def statements(path: str, cookie: str) -> int:
    """Count the statements that the database server gets for one page that was asked for before."""
    session = browser()

    def ask() -> int:
        session.get(f"https://localhost:{PORT}{path}", headers={"Cookie": cookie}, timeout=60).raise_for_status()
        printed = run("docker", "exec", f"{STACK}-mariadb", "mariadb", "-BNe", "SHOW GLOBAL STATUS LIKE 'Com_select'")
        return int(printed.split()[1])

    ask()
    # The server's health check selects as well, at times: the least of some pages is the page's own.
    return min(after - before for before, after in itertools.pairwise([ask() for _ in range(5)]))


def measure_pages(key_file: Path, seconds: int) -> list[dict[str, Any]]:
    """Ask for the front page, as a visitor and as somebody who has logged in, and for the dashboard."""
    cookie = logged_in(key_file)
    pages = (("/", ""), ("/", cookie), ("/wp-admin/", cookie))
    return [
        {
            **measure_requests(path, seconds, 4, header),
            "logged_in": bool(header),
            "statements": statements(path, header),
        }
        for path, header in pages
    ]


def in_tools(*command: str, options: tuple[str, ...] = ()) -> str:
    """Run a command in a container with the tools, on the host's network and with the engine's socket."""
    socket = "/var/run/docker.sock:/var/run/docker.sock"
    return run("docker", "run", "--rm", "--network=host", f"--volume={socket}", *options, TOOLS, *command)


def build_tools() -> None:
    """Make the image with compose and wrk on the stack's own base image."""
    base = run("docker", "images", f"{STACK}/base_image", "--format", "{{.Repository}}:{{.Tag}}").split()[0]
    packages = "docker-cli docker-compose wrk"
    dockerfile = (
        f"FROM {base}\nUSER root\nRUN apt-get update && apt-get install -y --no-install-recommends {packages}\n"
    )
    run("docker", "build", "--quiet", "--tag", TOOLS, "--label", f"pressdock.stack={STACK}", "-", text=dockerfile)


def measure_compose(folder: Path, times: int) -> dict[str, Any]:
    """Replace the stack's containers by compose's, and time `docker compose up -d` with nothing to do.

    The time is taken around the command inside the container, so that starting that container does not count.
    """
    (folder / "compose.json").write_text(json.dumps(compose_file(), indent=2), encoding="utf-8")
    take_down()
    mount = (f"--volume={folder}:/bench:ro",)
    compose = f"docker compose --project-name {COMPOSE_PROJECT} --file /bench/compose.json"
    clock = f"start=$(date +%s%N); {compose} up -d 2>/dev/null; echo $(($(date +%s%N) - start))"
    try:
        in_tools("sh", "-c", f"{compose} up -d --wait", options=mount)
        containers = in_tools("sh", "-c", f"{compose} ps --quiet", options=mount).split()
        printed = in_tools("sh", "-ec", f"for i in $(seq {times}); do {clock}; done", options=mount)
        version = in_tools("docker", "compose", "version", "--short").strip()
        same = in_tools("sh", "-c", f"{compose} ps --quiet", options=mount).split() == containers
    finally:
        in_tools("sh", "-c", f"{compose} down --timeout 30", options=mount)
    if not same:
        message = "`docker compose up -d` with nothing to do replaced a container"
        raise BenchError(message)
    seconds = [round(int(line) / 1e9, 3) for line in printed.split()]
    return {"version": version, "containers": len(containers), "seconds": seconds}


def measure_requests(path: str, seconds: int, connections: int, cookie: str = "") -> dict[str, Any]:
    """Ask for one page over TLS for some seconds; BenchError when an answer is not a success."""
    address = f"https://localhost:{PORT}{path}"
    header = ("--header", f"Cookie: {cookie}") if cookie else ()
    wrk = functools.partial(in_tools, "wrk", "--latency", "-t1", f"-c{connections}", "--timeout=20s", *header)
    # Caches are filled first.
    wrk("-d2s", address)
    printed = wrk(f"-d{seconds}s", address)
    if "Non-2xx" in printed or "Socket errors" in printed:
        message = f"{address} did not answer every request:\n{printed}"
        raise BenchError(message)
    found = {
        key: re.search(pattern, printed)
        for key, pattern in (("rate", r"Requests/sec: +([\d.]+)"), ("p50", r"50% +(\S+)"), ("p99", r"99% +(\S+)"))
    }
    values = {key: match[1] for key, match in found.items() if match}
    return {
        "path": path,
        "connections": connections,
        "seconds": seconds,
        "requests_per_second": float(values["rate"]),
        "latency_median": values["p50"],
        "latency_99_percent": values["p99"],
    }


def machine() -> dict[str, Any]:
    """Describe this machine and the versions in use."""
    processors = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.*)", processors)
    memory = re.search(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text(encoding="utf-8"))
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "system": release[1] if release else "",
        "kernel": platform.release(),
        "engine": run("docker", "version", "--format", "{{.Server.Version}}").strip(),
        "ansible": run("ansible-playbook", "--version").split("]")[0].split("core ")[1],
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def take_down(stack: str = STACK) -> None:
    """Remove the stack's containers and networks."""
    for container in own("ps", "--all", stack=stack):
        run("docker", "stop", "--time=30", container)
        run("docker", "rm", container)
    for network in own("network", "ls", stack=stack):
        run("docker", "network", "rm", network)


def remove_all(stack: str = STACK, data: Path = DATA) -> None:
    """Remove everything of a stack of the bench from the engine and the disk."""
    take_down(stack)
    for volume in own("volume", "ls", stack=stack):
        run("docker", "volume", "rm", volume)
    for image in own("images", stack=stack):
        run("docker", "rmi", "--force", image)
    shutil.rmtree(data, ignore_errors=True)


def mitogen_strategy() -> dict[str, str] | None:
    """Return the environment that switches mitogen on, or None where it is not installed in .venv."""
    spec = importlib.util.find_spec("ansible_mitogen")
    if spec is None or not spec.submodule_search_locations:
        return None
    plugins = Path(spec.submodule_search_locations[0]) / "plugins" / "strategy"
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(plugins)}


def measure(folder: Path, times: int, seconds: int) -> dict[str, Any]:
    """Take all measurements; `folder` is a scratch directory, `times` and `seconds` are per measurement."""
    key_file = folder / "installation.key"
    result: dict[str, Any] = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}

    say("cold: no image, no container, no data (minutes)")
    cold = converge(key_file, {})
    result["cold"] = asdict(cold)
    say(f"  {cold.seconds:.0f} s")
    result["images"] = measure_images(cold.builds)

    say(f"memory, after {REST} s of rest")
    result["memory"] = measure_memory()

    say(f"unchanged: {times} converges that change nothing")
    nothing = unchanged(key_file, times)
    result["unchanged"] = [asdict(each) for each in nothing]
    say("  " + ", ".join(f"{each.seconds:.1f} s" for each in nothing))

    strategy = mitogen_strategy()
    if strategy:
        say("unchanged, with mitogen")
        result["unchanged_mitogen"] = [asdict(each) for each in unchanged(key_file, times, strategy)]

    say("one nginx setting changed")
    setting = converge(key_file, OTHER_SETTING)
    result["one_setting"] = {"setting": OTHER_SETTING, **asdict(setting)}
    say(f"  {setting.seconds:.1f} s")

    build_tools()
    say(f"requests, {seconds} s each")
    file = measure_requests("/wp-includes/css/dashicons.min.css", seconds, 16)
    with_cache = measure_pages(key_file, seconds)
    say("the same without the object cache")
    converge(key_file, NO_CACHE)
    without_cache = measure_pages(key_file, seconds)
    # Once more with it: what changed on this machine meanwhile shows in the difference of the two.
    converge(key_file, {})
    with_cache_again = measure_pages(key_file, seconds)
    result["requests"] = {
        "file": file, "cache": with_cache, "no_cache": without_cache, "cache_again": with_cache_again,
    }  # fmt: skip
    for each in (*with_cache, *without_cache):
        say(f"  {each['path']}: {each['requests_per_second']:.0f}/s, {each['statements']} statements")

    say("docker compose up -d with the same containers and nothing to do")
    result["compose"] = measure_compose(folder, times)
    say("  " + ", ".join(f"{each:.2f} s" for each in result["compose"]["seconds"]))
    return result


def request_cells(measured: dict[str, Any]) -> str:
    """Write a measurement's rate and latencies as cells of a table."""
    rate = measured["requests_per_second"]
    return f"{rate:.0f} | {measured['latency_median']} | {measured['latency_99_percent']}"


def machine_lines(where: dict[str, Any], when: str) -> list[str]:
    """Say when and where figures were taken."""
    return [
        f"{when}, {where['processor']}, {where['cores']} cores, {where['memory_gib']} GiB of memory,",
        f"{where['system']}, kernel {where['kernel']}, Docker Engine {where['engine']},",
        f"ansible-core {where['ansible']}, Python {where['python']}; load before the run: {where['load_before']:.1f}.",
    ]


def write_results(result: dict[str, Any], fragment: str, suffix: str = "") -> None:
    """Write all figures, and the fragment for a page of docs/journal, to bench/results."""
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    path = results / (datetime.now(UTC).strftime("%Y%m%d-%H%M%S") + suffix)
    path.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(fragment, encoding="utf-8")
    say(f"\n{fragment}\nWritten to {path.relative_to(ROOT)}.json and .md")


def markdown(result: dict[str, Any]) -> str:
    """Return the figures as the fragment for a page of docs/journal."""
    cold, setting, compose = (result[key] for key in ("cold", "one_setting", "compose"))
    nothing = [each["seconds"] for each in result["unchanged"]]
    lines = [
        *machine_lines(result["machine"], result["when"]),
        "",
        "| What | Time |",
        "|---|---|",
        f"| Converge that changes nothing (median of {len(nothing)}) | {statistics.median(nothing):.1f} s |",
    ]
    if "unchanged_mitogen" in result:
        fast = [each["seconds"] for each in result["unchanged_mitogen"]]
        lines.append(f"| The same with mitogen (median of {len(fast)}) | {statistics.median(fast):.1f} s |")
    names = ", ".join(f"`{name}`" for name in setting["setting"])
    lines += [
        f"| Converge after one changed nginx setting ({names}) | {setting['seconds']:.1f} s |",
        f"| Converge from nothing (no image, no container, no data) | {cold['seconds']:.0f} s |",
        (
            f"| `docker compose up -d` ({compose['version']}), the same {compose['containers']} containers, "
            f"nothing to do (median of {len(compose['seconds'])}) | {statistics.median(compose['seconds']):.2f} s |"
        ),
        "",
        "| Stage of the converge from nothing | Time |",
        "|---|---|",
        *(f"| {name} | {seconds:.1f} s |" for name, seconds in cold["stages"].items()),
        "",
        "| Image | Size | On top of the base | Build |",
        "|---|---|---|---|",
    ]
    for each in result["images"]:
        built = "" if each["build_seconds"] is None else f"{each['build_seconds']} s"
        lines.append(
            f"| {each['service']} | {each['bytes'] / 1e6:.0f} MB | {each['own_bytes'] / 1e6:.0f} MB | {built} |"
        )
    lines += [
        "",
        f"| Container, after {REST} s without a visitor | Memory | Its limit | Processor |",
        "|---|---|---|---|",
        *(
            f"| {each['name']} | {each['memory']} | {each['limit']} | {each['processor']} |"
            for each in result["memory"]
        ),
        "",
        "| Requests over TLS from the same machine | Object cache | Requests/s | Median | 99 % | Statements a page |",
        "|---|---|---|---|---|---|",
    ]
    measured = result["requests"]
    for key, word in (("cache", "yes"), ("no_cache", "no"), ("cache_again", "yes, again")):
        for each in measured[key]:
            page = f"`{each['path']}`" + (", logged in" if each["logged_in"] else "")
            lines.append(f"| {page} | {word} | {request_cells(each)} | {each['statements']} |")
    lines.append(
        f"| `{measured['file']['path']}` (16 connections, the pages 4) | | {request_cells(measured['file'])} | |"
    )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, write the results, and clean up; 1 when a step failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="repetitions of what takes seconds (default: 3)")
    parser.add_argument("--seconds", type=int, default=10, help="how long to ask for each page (default: 10)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("the bench needs root: its stack's data directory and the engine's socket belong to root")

    # What a killed run left would make the cold converge a warm one.
    remove_all()
    try:
        with tempfile.TemporaryDirectory(prefix="pressdock-bench-") as folder:
            result = measure(Path(folder), max(1, arguments.times), max(1, arguments.seconds))
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        remove_all()
    write_results(result, markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
