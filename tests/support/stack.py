"""A running stack as the tests see it: asked of the engine and of the kernel, never of a file of the project.

Works on any testinfra host (`docker://` for a test instance, `local://`, `ssh://`), as root.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

CAPABILITY_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
"""The kernel's capabilities in the order of their bits (linux/capability.h)."""


def capabilities(mask: str) -> set[str]:
    """Name the capabilities in a hexadecimal mask of /proc/PID/status."""
    bits = int(mask, 16)
    return {name for bit, name in enumerate(CAPABILITY_NAMES.split()) if bits >> bit & 1}


@dataclass(frozen=True)
class Process:
    """One process of a container, as the kernel describes it to the host."""

    pid: int
    """Process id on the host."""
    program: str
    """Path of the program it executes, inside the container."""
    command: str
    """Its arguments, separated by spaces."""
    status: Mapping[str, str]
    """/proc/PID/status, field name to text."""
    mounts: str
    """/proc/PID/mounts: what it sees mounted."""

    @property
    def user_ids(self) -> set[int]:
        """Real, effective, saved and file system user id."""
        return {int(text) for text in self.status["Uid"].split()}

    @property
    def group_ids(self) -> set[int]:
        """All group ids, the supplementary ones included."""
        return {int(text) for text in (self.status["Gid"] + " " + self.status["Groups"]).split()}


@dataclass
class Container:
    """One container of a stack. What is read from it is kept until `forget` is called."""

    host: Any = field(repr=False)
    name: str
    """The engine's name."""
    stack: str
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def forget(self) -> None:
        """Ask the engine and the kernel anew from now on."""
        self._kept.clear()

    @property
    def short_name(self) -> str:
        """The name inside the stack, without the stack's prefix."""
        return self.name.removeprefix(f"{self.stack}-")

    @property
    def inspect(self) -> dict[str, Any]:
        """What `docker inspect` says."""
        if "inspect" not in self._kept:
            self._kept["inspect"] = json.loads(self.host.check_output("docker inspect %s", self.name))[0]
        inspected: dict[str, Any] = self._kept["inspect"]
        return inspected

    @property
    def identifier(self) -> str:
        """The engine's id, another one after each recreation."""
        return str(self.inspect["Id"])

    @property
    def state(self) -> dict[str, Any]:
        """The engine's view of the container's state."""
        state: dict[str, Any] = self.inspect["State"]
        return state

    @property
    def health(self) -> str:
        """`healthy`, `unhealthy`, `starting`, or `none` without a health check."""
        return str(self.state.get("Health", {}).get("Status", "none"))

    @property
    def labels(self) -> dict[str, str]:
        """The container's labels."""
        labels: dict[str, str] = self.inspect["Config"]["Labels"] or {}
        return labels

    @property
    def service(self) -> str:
        """The service that the container belongs to."""
        return self.labels.get("pressdock.service", "")

    @property
    def main_pid(self) -> int:
        """The host's process id of the container's PID 1; never 0 or 1, which would signal the machine itself."""
        pid = int(self.state["Pid"])
        assert pid > 1, f"{self.name} has no process"
        return pid

    @property
    def processes(self) -> list[Process]:
        """Every process of the container; those started by a health check meanwhile included."""
        if "processes" not in self._kept:
            self._kept["processes"] = list(self._read_processes())
        processes: list[Process] = self._kept["processes"]
        return processes

    @property
    def main_process(self) -> Process:
        """The container's PID 1."""
        return next(process for process in self.processes if process.pid == self.main_pid)

    def _read_processes(self) -> Iterator[Process]:
        # One shell for all of them: each command on a remote host costs a tenth of a second.
        script = (
            "for p in $(docker top %s -eo pid | tail -n +2); do"
            ' echo "@process $p $(readlink /proc/$p/exe)";'
            " { tr '\\0' ' ' < /proc/$p/cmdline; echo; cat /proc/$p/status; echo @mounts; cat /proc/$p/mounts; } 2>&-;"
            " done; true"
        )
        output = self.host.check_output(script, self.name)
        for block in re.split(r"^@process ", output, flags=re.MULTILINE)[1:]:
            head, _, mounts = block.partition("@mounts\n")
            first, command, *lines = head.splitlines()
            pid, _, program = first.partition(" ")
            status = dict(line.split(":", 1) for line in lines if ":" in line)
            if program and mounts:  # not a zombie, and still there at the end
                yield Process(int(pid), program, command.strip(), {k: v.strip() for k, v in status.items()}, mounts)

    def control_group(self, *files: str) -> str:
        """Read the first file that exists of the control group.

        :param files: `controller/file` where version 1 keeps it, `file` where version 2 does.
        """
        lines = self.host.check_output("cat /proc/%s/cgroup", str(self.main_pid)).splitlines()
        entries = [line.split(":", 2) for line in lines]
        groups = {controller: path for _, controllers, path in entries for controller in controllers.split(",")}
        for name in files:
            controller, _, file = name.rpartition("/")
            for root in (f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup"):
                path = f"{root}{groups.get(controller, groups.get('', ''))}/{file}"
                result = self.host.run("cat %s", path)
                if result.rc == 0:
                    return str(result.stdout).strip()
        raise AssertionError(f"{self.name}: none of {files} in its control groups {groups}")

    def run(self, *arguments: str) -> Any:
        """Run a command inside the container.

        On a busy machine the engine at times loses the process before it has become the command ("waiting for init
        preliminary setup"): then nothing has run, and it is asked once more.
        """
        words = " ".join(["%s"] * (len(arguments) + 1))
        result = self.host.run(f"docker exec {words}", self.name, *arguments)
        if result.rc == 126 and "waiting for init preliminary setup" in result.stdout + result.stderr:
            result = self.host.run(f"docker exec {words}", self.name, *arguments)
        return result

    def wait_for_health(self, wanted: str, timeout: float = 90) -> None:
        """Wait until the engine reports this health; fails with what the last check said."""
        end = time.monotonic() + timeout
        while True:
            self.forget()
            if self.health == wanted:
                return
            assert time.monotonic() < end, json.dumps(self.state["Health"]["Log"][-1:])
            time.sleep(0.5)

    def logs(self, lines: str = "all") -> str:
        """Return what the container has printed, both streams."""
        return str(self.host.run("docker logs --tail %s %s 2>&1", lines, self.name).stdout)

    @property
    def environment(self) -> dict[str, str]:
        """The declared environment (the image's included)."""
        return dict(entry.split("=", 1) for entry in self.inspect["Config"]["Env"] or [])


@dataclass
class Stack:
    """All containers of one stack on one host."""

    host: Any
    name: str

    @cached_property
    def container_names(self) -> list[str]:
        """Engine names of the stack's containers, running or not."""
        command = "docker ps --all --filter label=pressdock.stack=%s --format '{{.Names}}'"
        return sorted(self.host.check_output(command, self.name).split())

    def container(self, short_name: str) -> Container:
        """Return a container by its name inside the stack, whether it exists or not."""
        return Container(self.host, f"{self.name}-{short_name}", self.name)

    def containers(self) -> list[Container]:
        """All containers of the stack, by name."""
        return [Container(self.host, name, self.name) for name in self.container_names]

    @cached_property
    def data_directory(self) -> str:
        """The stack's directory on the host, read from where its secrets are mounted from."""
        sources = [
            m["Source"] for c in self.containers() for m in c.inspect["Mounts"] if m["Destination"] == "/run/secrets"
        ]
        assert sources, "no container of the stack has secrets"
        return str(sources[0]).rpartition("/secrets/")[0]

    def logs(self, lines: int = 40) -> str:
        """Return the last log lines of every container, for a failed test's report."""
        parts = [
            f"--- {container.name} ({container.state['Status']}, {container.health})\n{container.logs(str(lines))}"
            for container in self.containers()
        ]
        return "\n".join(parts)

    def secrets(self) -> dict[str, str]:
        """Return the secrets that the containers read below /run/secrets, by the place of each.

        A file of one line is a secret; in a longer one (a configuration with secrets in it) every derived secret is:
        32 or more letters and digits in a row.
        """
        found: dict[str, str] = {}
        for container in self.containers():
            for mount in container.inspect["Mounts"]:
                if mount["Destination"] != "/run/secrets":
                    continue
                for path in self.host.check_output("find %s -type f", mount["Source"]).splitlines():
                    place = f"{container.short_name}:{path.removeprefix(mount['Source'])}"
                    content = self.host.file(path).content_string.strip()
                    tokens = re.findall("[0-9A-Za-z]{32,}", content) if "\n" in content else [content]
                    found |= {f"{place}#{number}": token for number, token in enumerate(tokens)}
        return found
