"""Plugins and themes of the controller: what is refused, how they are digested and packed."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import packages

HEADER = b"<?php\n/*\n * Plugin Name: Crane\n * Version: 0.7 */\n"
THEME = b"/*\nTheme Name: Sail\r\nVersion: 2.1\n*/\n"


def archive(path: Path, entries: dict[str, bytes], link: str = "") -> Path:
    """Write a zip archive."""
    with zipfile.ZipFile(path, "w") as target:
        for name, content in entries.items():
            # By way of the attribute: the constructor turns backslashes and NUL away.
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            entry.external_attr = ((stat.S_IFLNK if name == link else stat.S_IFREG) | 0o644) << 16
            target.writestr(entry, content)
    return path


def problem(path: Path, slug: str = "crane", **further: Any) -> str:
    """Return the rule that an archive breaks."""
    with pytest.raises(packages.PackageError) as raised:
        packages.read_package("plugin", {"slug": slug, "zip": str(path), **further})
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("crane/../../evil.php", "leads out of its directory"),
        ("/etc/cron.d/evil", "leads out of its directory"),
        ("crane\\..\\evil.php", "leads out of its directory"),
        ("C:/evil.php", "leads out of its directory"),
        ("crane/a\nb.php", "leads out of its directory"),
        ("evil.php", 'not below a directory "crane"'),
        ("cranes/evil.php", 'not below a directory "crane"'),
    ],
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str, rule: str) -> None:
    assert rule in problem(archive(tmp_path / "x.zip", {"crane/crane.php": HEADER, name: b"<?php"}))


def test_links_and_second_files(tmp_path: Path) -> None:
    entries = {"crane/crane.php": HEADER, "crane/key": b"/run/secrets/site.php"}
    assert "symbolic link" in problem(archive(tmp_path / "x.zip", entries, link="crane/key"))
    path = archive(tmp_path / "y.zip", {"crane/crane.php": HEADER})
    with zipfile.ZipFile(path, "a") as target, pytest.warns(UserWarning, match="Duplicate name"):
        target.writestr("crane/crane.php", b"another")
    assert "twice" in problem(path)


def test_damaged_archives(tmp_path: Path) -> None:
    whole = archive(tmp_path / "x.zip", {"crane/crane.php": HEADER + b"x" * 999}).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    assert "no whole zip archive" in problem(tmp_path / "half.zip")
    (tmp_path / "spoilt.zip").write_bytes(whole.replace(b"x" * 999, b"x" * 998 + b"y"))
    assert "no whole zip archive" in problem(tmp_path / "spoilt.zip")
    assert "is not a file" in problem(tmp_path / "none.zip")


def test_version_header_and_sha256(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"crane/crane.php": HEADER, "__MACOSX/._x": b"", "crane/": b""})
    assert problem(path, version="0.8") == "says that it is version 0.7, declared is 0.8"
    assert "declared is 000" in problem(path, sha256="0" * 64)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    declared = {"slug": "crane", "zip": str(path), "version": "0.7", "sha256": digest}
    assert packages.read_package("plugin", declared) == ("0.7", {"crane.php": HEADER})
    bare = archive(tmp_path / "y.zip", {"crane/crane.php": b"<?php", "crane/inc/other.php": HEADER})
    assert "no PHP file with a plugin's header" in problem(bare)
    with pytest.raises(packages.PackageError, match=r"no style\.css"):
        packages.read_package("theme", {"slug": "crane", "zip": str(path)})
    sail = archive(tmp_path / "z.zip", {"sail/style.css": THEME})
    assert packages.read_package("theme", {"slug": "sail", "zip": str(sail)})[0] == "2.1"


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_bytes(b"secret")
    (tmp_path / "crane.php").write_bytes(HEADER)
    (tmp_path / "inc/ü.php").write_bytes(b"<?php")
    declared = {"slug": "crane", "path": str(tmp_path)}
    version, files = packages.read_package("plugin", declared)
    assert (version, sorted(files)) == ("0.7", ["crane.php", "inc/ü.php"])
    (package,) = packages.site_packages({"plugins": ["akismet", declared]})
    assert package == {
        "kind": "plugin", "slug": "crane", "version": "0.7", "from": "controller", "sha256": "",
        "digest": packages.files_digest(files),
    }  # fmt: skip
    packed = packages.package_archive({"plugins": [declared]}, package["digest"])
    assert packed == packages.package_archive({"plugins": [declared]}, package["digest"])
    with zipfile.ZipFile(io.BytesIO(packed)) as archive_:
        assert {name.removeprefix("crane/"): archive_.read(name) for name in archive_.namelist()} == files
    (tmp_path / "crane.php").write_bytes(HEADER + b" ")
    with pytest.raises(AnsibleFilterError, match="changed during the run"):
        packages.package_archive({"plugins": [declared]}, package["digest"])
    (tmp_path / "inc/link").symlink_to("/etc/passwd")
    with pytest.raises(AnsibleFilterError, match="plugin crane: inc/link is a symbolic link"):
        packages.site_packages({"plugins": [declared]})


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    os.mkfifo(tmp_path / "inc/pipe")
    with pytest.raises(packages.PackageError, match="inc/pipe is neither a file nor a directory"):
        packages.directory_files(tmp_path)


def test_archive_that_would_become_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "x.zip", {"crane/crane.php": HEADER, "crane/more.php": b"x"})
    monkeypatch.setattr(packages, "LARGEST", len(HEADER) + 1)
    assert packages.read_package("plugin", {"slug": "crane", "zip": str(path)})[0] == "0.7"
    monkeypatch.setattr(packages, "LARGEST", len(HEADER))
    assert "would become larger than" in problem(path)
    monkeypatch.undo()
    huge: Any = SimpleNamespace(
        infolist=lambda: [SimpleNamespace(file_size=1 << 29), SimpleNamespace(file_size=1 + (1 << 29))]
    )
    with pytest.raises(packages.PackageError, match="would become larger than 1024 MiB"):
        packages._entries(huge, "crane")


def test_package_of_the_directory_has_its_version_and_no_digest() -> None:
    declared = {"slug": "crane", "version": 1.2, "sha256": "0" * 64}
    assert packages.site_packages({"themes": [declared]}) == [
        {"kind": "theme", "slug": "crane", "version": "1.2", "from": "directory", "sha256": "0" * 64, "digest": ""}
    ]


def test_digest_is_what_php_computes() -> None:
    """Ordered by bytes, not by folders: "a-b" comes before "a/b"."""
    files = {"a/b": b"1", "a-b": b"2", "B": b"3"}
    text = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in ("B", "a-b", "a/b"))
    assert packages.files_digest(files) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("declared", "rule"),
    [
        ("../x", "must be a directory name"),
        (7, "must be a directory name, or a dict"),
        ({"slug": "x"}, "needs version (from WordPress's directory), path or zip"),
        ({"slug": "x", "version": 1.2}, ".version: must be text (put it in quotes)"),
        ({"slug": "x", "version": "1.2; rm"}, ".version: '1.2; rm': must be one version"),
        ({"slug": "../x", "version": "1.2"}, ".slug: '../x': must be a directory name"),
        ({"version": "1.2"}, ".slug: '': must be a directory name"),
        ({"slug": "x", "path": "a", "zip": "b"}, "has path and zip"),
        ({"slug": "x", "zip": "b", "sha256": "AB"}, ".sha256: must be 64 hexadecimal digits"),
        ({"slug": "x", "path": "b", "sha256": "a" * 64}, ".sha256: is of an archive"),
        ({"slug": "x", "verison": "1.2"}, ".verison: unknown"),
    ],
)
def test_entries_that_are_refused(declared: Any, rule: str) -> None:
    (found, *_) = packages.package_problems("wordpress_sites.blog.plugins[0]", declared)
    assert found.startswith("wordpress_sites.blog.plugins[0]")
    assert rule in found


def test_site(tmp_path: Path) -> None:
    good: dict[str, list[Any]] = {
        "plugins": ["akismet", {"slug": "crane", "version": "1.2"}],
        "themes": [{"slug": "akismet", "zip": "x"}],
    }
    assert packages.site_package_problems("blog", good) == []
    assert packages.site_package_problems("blog", good, outbound=False) == [
        "blog.plugins[1]: comes from WordPress's directory, which needs wordpress_outbound: give path or zip"
    ]
    twice = {"plugins": ["crane", {"slug": "crane", "version": "1.2"}]}
    assert packages.site_package_problems("blog", twice) == [
        "blog.plugins[1]: 'crane': already declared by blog.plugins[0]"
    ]
    missing = {"plugins": ["x", {"slug": "crane", "path": str(tmp_path / "none")}]}
    assert packages.site_package_file_problems("blog", missing) == [
        f"blog.plugins[1].path: {tmp_path / 'none'}: is not a directory on this machine"
    ]
    assert packages.package_slugs(good["plugins"]) == ["akismet", "crane"]


# --- What a release leaves out --------------------------------------------------------------------------------------


def released(tmp_path: Path, exclude: list[str], ignored: str | None = None) -> set[str]:
    """Return the files of a plugin's working directory that belong to its package."""
    files = [
        "crane.php",
        "inc/a.js",
        "inc/a.js.map",
        "tests/t.php",
        "inc/tests/t.php",
        "node_modules/x/i.js",
        "docs/keep.md",
        "docs/x.md",
    ]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("<?php\n/* Plugin Name: Crane\nVersion: 4.2 */")
    (tmp_path / "node_modules/.bin").mkdir(exist_ok=True)
    (tmp_path / "node_modules/.bin/x").unlink(missing_ok=True)
    (tmp_path / "node_modules/.bin/x").symlink_to("../x/i.js")
    if ignored is not None:
        (tmp_path / ".distignore").write_text(ignored)
    declared = {"slug": "crane", "path": str(tmp_path), "exclude": exclude}
    assert packages.package_problems("p", declared) == []
    return set(packages.read_package("plugin", declared)[1])


def test_excluded_files_are_no_part_of_a_package(tmp_path: Path) -> None:
    whole = {"crane.php", "inc/a.js", "inc/a.js.map", "inc/tests/t.php", "docs/keep.md", "docs/x.md"}
    assert released(tmp_path, ["node_modules/", "/tests"]) == whole
    assert released(tmp_path, ["node_modules", "tests", "*.map"]) == {
        "crane.php",
        "inc/a.js",
        "docs/keep.md",
        "docs/x.md",
    }
    assert released(tmp_path, ["node_modules", "inc/**/t.php", "docs/*", "!docs/keep.md"]) == whole - {
        "inc/tests/t.php", "docs/x.md",
    } | {"tests/t.php"}  # fmt: skip


def test_what_a_release_would_leave_out_is_left_out(tmp_path: Path) -> None:
    found = released(tmp_path, [], "# of our releases\n\nnode_modules\n/docs\n")
    assert found == {"crane.php", "inc/a.js", "inc/a.js.map", "tests/t.php", "inc/tests/t.php"}


def test_a_link_that_is_not_excluded_names_the_way(tmp_path: Path) -> None:
    with pytest.raises(packages.PackageError, match=r"leave it out by exclude, for example \[node_modules\]"):
        released(tmp_path, ["tests"])


@pytest.mark.parametrize("exclude", ["node_modules", [""], ["/"], [5], None])
def test_patterns_that_are_none(exclude: Any) -> None:
    (found,) = packages.package_problems("p", {"slug": "crane", "path": "x", "exclude": exclude})
    assert found.startswith("p.exclude: must be a list of patterns")
    (found,) = packages.package_problems("p", {"slug": "crane", "zip": "x.zip", "exclude": ["tests"]})
    assert found == "p.exclude: is of a path; an archive is taken whole"
