# SPDX-License-Identifier: MIT
"""What the services may use of a machine's memory, where the operator does not say it.

All are pure. Limits are ceilings, not reservations: together they may come to more than the machine has. What has to
fit is what the services work with (`memory_needed` in their limits), which the preflight adds up.

A declared value always wins, for these are only the defaults of variables; a wrong one has its own line in the
preflight, so nothing is refused here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.formats import bytes_from_size

MIB = 1024**2
AUTO = "auto"
# The machine, in MiB, whose sizes are taken where none is known: that of the smallest one with all services.
USUAL = 2048
# Below this one there are no tools: compiling cAdvisor alone takes more than such a machine has to spare.
SMALLEST_WITH_TOOLS = 2048
# Below this one everything is small.
SMALLEST_COMFORTABLE = 1536
# What the sites share is a machine's memory without this.
NOT_THE_SITES = 1024
# A worker that calls its own site (loopback requests, scheduled events) has to find another one.
FEWEST_WORKERS, MOST_WORKERS = 2, 4
# PHP's usual limit for one request, of which the workers are counted, and the least for a site's container.
USUAL_REQUEST = 96
SMALLEST_SITE = 256


def nominal_memory(total: int) -> int:
    """Return the size that a machine is sold with: the next one of 1, 1.5, 2, 3, 4, 6, 8, 12 ... GiB, in MiB.

    The kernel keeps some per cent for itself before it counts, and how much differs from version to version. Rounded to
    the step above, that makes no difference: no container is replaced for a few megabytes.

    :param total: what the kernel counts, in MiB.
    """
    power = 1
    while power < total:
        power *= 2
    return 3 * power // 4 if 4 * total <= 3 * power else power


def stack_sizes(sizing: Any, total: Any = 0) -> dict[str, Any]:
    """Return the defaults of what depends on a machine's memory.

    :param sizing: ``stack_sizing``: C(auto), or the memory to make use of, as on a machine that is sold with it.
    :param total: what the machine has, in MiB; 0 where nobody has asked it.
    :return: the containers' limits by the names of their variables, ``sites`` (MiB for the PHP of all sites) and
        ``tools`` (whether what the sites do not need runs as well).
    """
    memory = _mebibytes(sizing) or (nominal_memory(int(total)) if total else USUAL)
    if memory < SMALLEST_COMFORTABLE:
        database, cache, web = 256, 64, 256
    elif memory < SMALLEST_WITH_TOOLS:
        database, cache, web = 512, 96, 512
    else:
        database, cache, web = min(max(memory // 4, 768), 4096), min(max(memory // 32, 128), 1024), 512
    return {
        "mariadb_memory": f"{database}m",
        "redis_memory": f"{cache}m",
        "nginx_memory": f"{web}m",
        "sites": max(memory - NOT_THE_SITES, 0),
        "tools": memory >= SMALLEST_WITH_TOOLS,
    }


def php_workers(share: int, sites: Any) -> int:
    """Return the PHP workers of each site, so that the sites' workers together use no more than a share of the memory.

    :param share: MiB for all sites.
    :param sites: ``wordpress_sites``.
    """
    number = len(sites) if isinstance(sites, Mapping) else 0
    return min(max(share // max(number, 1) // USUAL_REQUEST, FEWEST_WORKERS), MOST_WORKERS)


def site_memory(site: Mapping[str, Any], common: Any, workers: Any, each: Any) -> str:
    """Return the limit of a site's container: the declared one, else what its workers need at the limit of a request.

    :param site: one of ``wordpress_sites``; what it declares goes before the rest.
    :param common: ``wordpress_memory``, empty where the workers decide.
    :param workers: ``wordpress_workers``.
    :param each: ``wordpress_memory_limit``.
    """
    declared = site.get("memory") or common
    if declared:
        return str(declared)
    number = str(site.get("workers", workers))
    needed = int(number) * (_mebibytes(site.get("memory_limit", each)) or 0) if number.isdigit() else 0
    return f"{max(needed, SMALLEST_SITE)}m"


def _mebibytes(size: Any) -> int | None:
    """Return a size in MiB, rounded up; nothing for what is none."""
    try:
        return -(-bytes_from_size(size) // MIB)
    except AnsibleFilterError:
        return None


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"php_workers": php_workers, "site_memory": site_memory, "stack_sizes": stack_sizes}
