"""What services may use of a machine's memory: by the filters alone, and by the preflight for whole stacks."""

from __future__ import annotations

from typing import Any

import pytest

from filter_plugins import sizing
from filter_plugins.formats import bytes_from_size
from test_preflight_action import LOOK, SITE, action
from tests.support.target import HOST

MIB = 1 << 20
# What the kernel counts of machines that are sold with 1, 2, 4, 8 and 64 GB, in MiB.
MACHINES = {1: 983, 2: 1946, 4: 3891, 8: 8192, 64: 64300}


@pytest.mark.parametrize(
    ("counted", "sold"),
    [
        (455, 512), (906, 1024), (983, 1024), (1024, 1024), (1460, 1536), (1793, 2048), (1946, 2048), (2048, 2048),
        (2900, 3072), (3891, 4096), (5900, 6144), (8192, 8192), (11_900, 12_288), (64_300, 65_536), (1, 1),
    ],
)  # fmt: skip
def test_machine_is_known_by_the_size_that_it_is_sold_with(counted: int, sold: int) -> None:
    assert sizing.nominal_memory(counted) == sold


@pytest.mark.parametrize("counted", MACHINES.values())
def test_another_kernel_changes_nothing(counted: int) -> None:
    """It keeps some megabytes more or less for itself, or some dozens for a dump of a crash."""
    sizes = {str(sizing.stack_sizes("auto", counted + change)) for change in (-60, -7, -1, 0)}
    assert len(sizes) == 1


@pytest.mark.parametrize(
    ("sold", "expected"),
    [
        (1, ("256m", "64m", "256m", 0, False)),
        (2, ("768m", "128m", "512m", 1024, True)),
        (4, ("1024m", "128m", "512m", 3072, True)),
        (8, ("2048m", "256m", "512m", 7168, True)),
        (64, ("4096m", "1024m", "512m", 64_512, True)),
    ],
)
def test_sizes(sold: int, expected: tuple[Any, ...]) -> None:
    names = ("mariadb_memory", "redis_memory", "nginx_memory", "sites", "tools")
    sizes = sizing.stack_sizes("auto", MACHINES[sold])
    assert tuple(sizes[name] for name in names) == expected
    # A machine of that size by declaration, whatever the real one has.
    assert sizing.stack_sizes(f"{sold}g", 500_000) == sizes


def test_between_one_and_two_gigabytes() -> None:
    sizes = sizing.stack_sizes("auto", 1460)
    assert (sizes["mariadb_memory"], sizes["tools"], sizes["sites"]) == ("512m", False, 512)


@pytest.mark.parametrize("wrong", ["", "much", None, -5, [], "auto"])
def test_unknown_machines_are_usual_ones(wrong: Any) -> None:
    assert sizing.stack_sizes(wrong) == sizing.stack_sizes("2g", 500_000)


@pytest.mark.parametrize(
    ("sold", "workers"), [(1, [2, 2, 2, 2]), (2, [4, 4, 2, 2]), (4, [4, 4, 4, 2]), (8, [4, 4, 4, 3]), (64, [4] * 4)]
)
def test_workers_share_the_memory(sold: int, workers: list[int]) -> None:
    share = sizing.stack_sizes("auto", MACHINES[sold])["sites"]
    found = [sizing.php_workers(share, dict.fromkeys(map(str, range(number)))) for number in (1, 2, 5, 20)]
    assert found == workers
    assert sizing.php_workers(share, None) == workers[0]


@pytest.mark.parametrize(
    ("site", "common", "memory"),
    [
        ({}, "", "384m"),
        ({"workers": 2}, "", "256m"),
        ({"workers": "8"}, "", "768m"),
        ({"memory_limit": "200m"}, "", "800m"),
        ({"memory": "300m", "workers": 8}, "500m", "300m"),
        ({"workers": 8}, "500m", "500m"),
        # Each has a line of its own in the preflight.
        ({"workers": "many"}, "", "256m"),
        ({"memory_limit": "much"}, "", "256m"),
        ({"workers": -3}, "", "256m"),
    ],
)
def test_site_has_room_for_its_workers(site: dict[str, Any], common: str, memory: str) -> None:
    assert sizing.site_memory(site, common, 4, "96m") == memory


# --- Whole stacks ---------------------------------------------------------------------------------------------------


def stack(total: int, sites: int = 1, **changes: Any) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the problems of a stack on a machine with so many MiB, and its containers by name."""
    declared = {f"site{number}": {**SITE, "domain": f"{number}.example.org"} for number in range(sites)}
    look = {**LOOK, "host": {**HOST, "memory": total * MIB}, "ansible_facts": {"ansible_memtotal_mb": total}}
    checked = action(look=look, wordpress_sites=declared, **changes)
    found = checked.run()
    variables = {**checked.variables, "ansible_facts": {"memtotal_mb": total}}
    containers = {one["name"]: one for one in checked.plugin._containers(variables)}
    return found.get("msg", "").splitlines()[1:], containers


@pytest.mark.parametrize("sold", MACHINES)
@pytest.mark.parametrize("sites", [1, 2, 5, 20])
def test_only_what_cannot_work_is_refused(sold: int, sites: int) -> None:
    problems, containers = stack(MACHINES[sold], sites)
    refused = (sold, sites) in {(1, 5), (1, 20), (2, 20)}
    assert [problem.split(":")[0] for problem in problems] == (["- memory"] if refused else [])
    assert ("cadvisor" in containers) == ("adminer" in containers) == (sold >= 2)
    for one in containers.values():
        # Room to breathe for each.
        assert bytes_from_size(one["memory_needed"]) * 8 <= bytes_from_size(one["memory"]) * 7, one


def test_defaults_of_two_gigabytes() -> None:
    _, containers = stack(1946)
    assert {name: one["memory"] for name, one in containers.items()} == {
        "mariadb": "768m", "redis": "128m", "wordpress-site0": "384m", "wordpress-cron": "64m", "nginx": "512m",
        "ftp": "192m", "adminer": "384m", "cadvisor": "128m", "healer": "64m",
    }  # fmt: skip


def test_declared_values_win() -> None:
    """Also those that no size of a machine would give, and the tools."""
    changes: dict[str, Any] = {
        "mariadb_memory": "300m",
        "redis_memory": "40m",
        "nginx_memory": "100m",
        "nginx_temporary_size": "64m",
    }
    problems, containers = stack(983, wordpress_workers=3, stack_adminer=True, **changes)
    assert problems == []
    assert [containers[name]["memory"] for name in ("mariadb", "redis", "nginx")] == ["300m", "40m", "100m"]
    assert containers["wordpress-site0"]["memory"] == "288m"
    assert "adminer" in containers
    assert "cadvisor" not in containers
    _, containers = stack(983, stack_sizing="8g")
    assert containers["mariadb"]["memory"] == "2048m"


def test_what_a_service_holds_follows_from_its_limit() -> None:
    """MariaDB's pool is half of it, what Redis holds three quarters."""
    _, containers = stack(983)
    assert bytes_from_size(containers["mariadb"]["memory_needed"]) == (128 + 96) * MIB
    assert bytes_from_size(containers["redis"]["memory_needed"]) == (48 + 8) * MIB
    _, containers = stack(8192)
    assert bytes_from_size(containers["mariadb"]["memory_needed"]) == (1024 + 96) * MIB


def test_refusals_say_what_needs_how_much() -> None:
    (problem,), _ = stack(983, 5)
    start = "- memory: 983 MiB: the stack needs 1.1 GiB (system and engine 344 MiB, mariadb 224 MiB, "
    assert problem.startswith(start)
    assert problem.endswith("smaller caches (mariadb_memory, redis_memory)")
    (problem,), _ = stack(983, redis_memory="4g", redis_maxmemory="20m")
    assert problem == "- memory limit of redis: 4.0 GiB: the target has 983 MiB"


@pytest.mark.parametrize(
    ("value", "refused"), [("auto", False), ("2g", False), ("512m", False), ("511m", True), ("2", True), ("big", True)]
)
def test_what_can_be_declared(value: str, refused: bool) -> None:
    problems, _ = stack(8192, stack_sizing=value)
    assert [problem.partition(": ")[0] for problem in problems] == (["- stack_sizing"] if refused else [])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, []),
        ({"wordpress_upload_limit": "256m"}, []),
        ({"wordpress_upload_limit": "257m"}, ["wordpress_sites.site0: upload_limit is 257 MiB"]),
        ({"nginx_memory": "100m"}, ["wordpress_sites.site0: upload_limit is 64 MiB"]),
        ({"nginx_memory": "100m", "nginx_temporary_size": "69m"}, ["nginx_temporary_size: 69 MiB"]),
        ({"nginx_memory": "60m", "wordpress_upload_limit": "1m"}, ["nginx_temporary_size: 30 MiB, half of"]),
    ],
)
def test_uploads_fit_into_the_web_server(changes: dict[str, Any], named: list[str]) -> None:
    problems, _ = stack(8192, **changes)
    assert len(problems) == len(named)
    for problem, words in zip(problems, named, strict=True):
        assert problem.startswith(f"- {words}")
