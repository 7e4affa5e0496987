"""Makes the plugins and themes of this scenario, honest and hostile ones: packages.py SERVED MADE.

Below SERVED the server finds those of the directory, as SLUG.VERSION.zip; MADE is what the controller has.
"""

from __future__ import annotations

import hashlib
import stat
import sys
import zipfile
from pathlib import Path

LINK = (stat.S_IFLNK | 0o777) << 16


def plugin(slug: str, version: str, **further: str) -> dict[str, str]:
    """Return the files of a plugin that says its version on every page."""
    return {
        f"{slug}/{slug}.php": f"<?php\n/*\n * Plugin Name: The {slug}\n * Version: {version}\n */\n"
        f"add_action('wp_head', function () {{ require __DIR__ . '/inc/say.php'; }});\n",
        f"{slug}/inc/say.php": f"<?php echo '<!-- {slug} {version} -->';\n",
        f"{slug}/readme.txt": "x" * 5000,
        **further,
    }


def theme(slug: str, version: str) -> dict[str, str]:
    """Return the files of a theme."""
    return {
        f"{slug}/style.css": f"/*\nTheme Name: The {slug}\nVersion: {version}\n*/\n",
        f"{slug}/index.php": f"<?php wp_head(); echo 'theme {slug} {version}';\n",
    }


def archive(path: Path, files: dict[str, str], links: tuple[str, ...] = ()) -> None:
    """Write a zip archive, the same on every run, and its sha256 beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = LINK if name in links else (stat.S_IFREG | 0o644) << 16
            target.writestr(entry, content)
    path.with_suffix(".sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest(), encoding="utf-8")


def main(served: Path, made: Path) -> None:
    """Make everything."""
    plugins, themes = served / "plugins", served / "themes"
    for version in ("1.1.9", "1.2.0", "1.3.0"):
        archive(plugins / f"boje.{version}.zip", plugin("boje", version))
        archive(made / f"boje.{version}.zip", plugin("boje", version))
    archive(plugins / "leine.3.0.zip", plugin("leine", "3.0"))
    for version in ("2.1", "2.2"):
        archive(themes / f"segel.{version}.zip", theme("segel", version))
    archive(made / "rumpf.zip", theme("rumpf", "4.4"))
    archive(made / "kran.zip", plugin("kran", "0.7"))
    for name, content in plugin("anker", "0.1").items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content, encoding="utf-8")

    good = plugin("pirat", "1.0")
    archive(plugins / "pirat.1.0.zip", good)
    hostile: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
        "1.1": ({**good, "pirat/../../../mu-plugins/evil.php": "<?php"}, ()),
        "1.2": ({**good, "/srv/sites/kai/wp-content/evil.php": "<?php"}, ()),
        "1.3": ({**good, "pirat/key": "/run/secrets/site.php"}, ("pirat/key",)),
        "1.4": ({"pirat/readme.php": "<?php echo 1;"}, ()),
        "1.5": (plugin("brigg", "1.5"), ()),
        "1.6": (plugin("pirat", "9.9"), ()),
        "1.7": ({**plugin("pirat", "1.7"), "loose.php": "<?php"}, ()),
        "1.9": ({**plugin("pirat", "1.9"), "pirat\\..\\..\\evil.php": "<?php"}, ()),
    }
    for version, (files, links) in hostile.items():
        archive(plugins / f"pirat.{version}.zip", files, links)
    archive(plugins / "pirat.1.8.zip", plugin("pirat", "1.8"))
    whole = (plugins / "pirat.1.8.zip").read_bytes()
    (plugins / "pirat.1.8.zip").write_bytes(whole[: len(whole) // 2])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
