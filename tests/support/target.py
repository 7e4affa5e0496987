"""What the preflight's look finds on a target where everything is well."""

from __future__ import annotations

from typing import Any

GIB = 1024**3
HOST: dict[str, Any] = {
    "distribution": "Debian",
    "distribution_version": "13.2",
    "architecture": "x86_64",
    "python_version": [3, 13, 5],
    "python": {"path": "/usr/bin/python3", "packaged": True},
    "missing_libraries": [],
    "root_path": True,
    "memory": 8 * GIB,
    "disks": {"/srv/pressdock": {"free": 50 * GIB, "device": 1, "read_only": False}},
    "real_data_dir": "/srv/pressdock",
    "listeners": [],
    "routes": [],
    "networks": {},
    "engine": True,
    "engine_version": "26.1.5",
    "containers": [],
}
