"""What a test instance holds that a user's machine may not: each name is a difference that no test can see."""

from __future__ import annotations

import re

import yaml

from tests.support.runs import PROJECT

# What every installation of Debian has. The smallest base that mmdebstrap makes, which the images start from, lacks it.
STANDARD = {
    "dbus": "standard since systemd needs it for sessions",
    "iproute2": "important",
    "kmod": "important",
    "libpam-systemd": "standard",
    "procps": "important",
    "python3": "asked of a target by docs/install.md",
    "systemd": "important",
    "systemd-sysv": "important",
}
BARE = {
    "openssh-server": "asked of a target by docs/install.md: sshd",
    "sudo": "asked of a target by docs/install.md: a user who may become root",
}
ENGINE = {
    "ca-certificates": "role docker brings it",
    "curl": "tests ask with it; no role may use it",
    "docker-cli": "role docker brings it",
    "docker.io": "role docker brings it",
    "iptables": "role docker brings it",
    "python3-apt": "role packages brings it, with its first package",
    "python3-requests": "role docker brings it",
}


def test_packages_of_the_flavours() -> None:
    """A package that is added here must be one that a fresh installation has, or that a role brings."""
    inventory = yaml.safe_load((PROJECT / "molecule/shared/inventory/hosts.yml").read_text(encoding="utf-8"))
    packages = inventory["all"]["vars"]["image_packages"]
    assert {flavour: set(names) for flavour, names in packages.items()} == {
        "bare": set(BARE),
        "engine": set(ENGINE),
    }


def test_packages_of_the_image() -> None:
    text = (PROJECT / "molecule/shared/images/instance/Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"apt-get install [^&]*", text)
    words = [word for word in command.replace("\\\n", " ").split() if not word.startswith("-")]
    assert set(words[2:]) == {*STANDARD, "$PACKAGES"}


def test_bare_machine_is_what_roles_are_tried_on() -> None:
    """The role that installs the engine, and the whole stack over SSH."""
    for scenario in ("docker", "remote"):
        declared = yaml.safe_load((PROJECT / f"molecule/{scenario}/molecule.yml").read_text(encoding="utf-8"))
        assert declared["ansible"]["env"]["PRESSDOCK_INSTANCE_FLAVOUR"] == "bare", scenario
