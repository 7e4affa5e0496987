"""Writes the sources of the static sites (tests only): static_files.py DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path

FILES: dict[str, bytes] = {
    "docs/index.html": "<h1>Käse und Kähne</h1>\n".encode(),
    "docs/picture.png": bytes(range(256)) * 300,
    "docs/empty.txt": b"",
    "docs/deep/er/index.html": b"deeper\n",
    "docs/deep/er/with space.txt": b"space\n",
    "docs/käse 漢.txt": b"name\n",
    "docs/lost/missing.html": b"nothing is here\n",
    "docs/.hidden": b"hidden\n",
    "docs/.well-known/security.txt": b"known\n",
    "docs/script.php": b"<?php echo 6 * 7;\n",
    "docs/.git/config": b"never leaves the controller\n",
    "press/start.htm": b"press\n",
    "press/release.txt": b"released\n",
    "press/data.sql": b"SELECT 1;\n",
    "ads/ads.txt": b"example.test, 1, DIRECT\n",
    "ads/notes.txt": b"not at the root\n",
    "known/apple-app-site-association": b"{}\n",
}


def main(directory: str) -> None:
    """Write the files; some with modes that must not arrive."""
    for name, content in FILES.items():
        path = Path(directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (Path(directory) / "docs/picture.png").chmod(0o600)


if __name__ == "__main__":
    main(*sys.argv[1:])
