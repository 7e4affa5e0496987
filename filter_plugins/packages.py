# SPDX-License-Identifier: MIT
"""Plugins and themes of a site as packages: what is declared, and those of them that lie on the controller.

A package of the controller is a directory or a zip archive. Its files are read, checked and digested here on every
run, and packed anew when a site lacks them: the site's reconciler (roles/wordpress/files/packages.php) digests what is
installed in the same way.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

PROJECT = Path(__file__).resolve().parents[1]
KINDS = {"plugins": "plugin", "themes": "theme"}
FIELDS = ("slug", "version", "path", "zip", "sha256", "exclude")
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# Of version control; never part of a package.
LEFT_OUT = (".git", ".hg", ".svn")
RELEASE_LEAVES_OUT = ".distignore"
"""Names, in a plugin's directory, what is no part of its release; read by the tools that make one."""
LARGEST = 1 << 30
HEADER_BYTES = 8192
"""WordPress looks for a header in so many bytes."""


class PackageError(Exception):
    """What is wrong with a package, in the operator's words."""


def controller_path(path: str) -> Path:
    """Return a path of the controller; a relative one begins at the project."""
    return PROJECT / Path(path).expanduser()


def _pattern(text: str) -> re.Pattern[str]:
    """Turn a pattern as in .gitignore into one of paths: a name at any depth, or a path if it has a slash."""
    anchored = "/" in text.rstrip("/")
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text.strip("/"))
    inner = "".join(words.get(part) or re.escape(part) for part in parts)
    return re.compile(("" if anchored else "(?:.*/)?") + inner)


def left_out(path: Path, exclude: Iterable[str] = ()) -> list[tuple[bool, re.Pattern[str]]]:
    """Return the patterns of what is no part of a directory's package: whether each takes it back in, and its form."""
    file = path / RELEASE_LEAVES_OUT
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    wanted = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [
        (text.startswith("!"), _pattern(text.removeprefix("!")))
        for text in [*([RELEASE_LEAVES_OUT] if lines else []), *wanted, *exclude]
    ]


def directory_entries(path: Path, exclude: Iterable[str] | None = None) -> dict[str, Path]:
    """Find all files below a directory, by their relative names.

    Raises PackageError for what cannot be copied exactly.

    :param exclude: of a package: patterns of what to leave out, besides what its release would leave out.
    """
    if not path.is_dir():
        raise PackageError("is not a directory on this machine")
    patterns = [] if exclude is None else left_out(path, exclude)

    def is_left_out(name: str) -> bool:
        found = [back for back, pattern in patterns if pattern.fullmatch(name)]
        return bool(found) and not found[-1]

    entries: dict[str, Path] = {}
    for folder, folders, names in os.walk(path):
        here = Path(folder).relative_to(path)
        folders[:] = [name for name in folders if name not in LEFT_OUT and not is_left_out((here / name).as_posix())]
        for name in [*folders, *names]:
            entry = Path(folder) / name
            relative = entry.relative_to(path).as_posix()
            if name in names and is_left_out(relative):
                continue
            if entry.is_symlink():
                way = "" if exclude is None else f": leave it out by exclude, for example [{relative.split('/')[0]}]"
                raise PackageError(f"{relative} is a symbolic link{way}")
            if name in names and name not in LEFT_OUT:
                if not entry.is_file():
                    raise PackageError(f"{relative} is neither a file nor a directory")
                entries[relative] = entry
    return entries


def directory_files(path: Path, exclude: Iterable[str] = ()) -> dict[str, bytes]:
    """Read all files below a directory that belong to its package, by their relative names."""
    return {name: entry.read_bytes() for name, entry in directory_entries(path, exclude).items()}


def archive_files(path: Path, slug: str, sha256: str = "") -> dict[str, bytes]:
    """Read all files of an archive whose entries are below one directory, named as the package is."""
    if not path.is_file():
        raise PackageError("is not a file on this machine")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise PackageError(f"has the sha256 {found}, declared is {sha256}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _entries(archive, slug)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise PackageError(f"is no whole zip archive: {error}") from error


def _entries(archive: zipfile.ZipFile, slug: str) -> dict[str, bytes]:
    if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
        raise PackageError(f"would become larger than {LARGEST >> 20} MiB")
    files: dict[str, bytes] = {}
    for entry in archive.infolist():
        name = entry.orig_filename
        if name.startswith("__MACOSX/"):
            continue
        if name.startswith("/") or ".." in name.split("/") or re.search(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:", name):
            raise PackageError(f"holds {name!r}, which leads out of its directory")
        if not name.startswith(f"{slug}/"):
            raise PackageError(f'holds {name!r}, which is not below a directory "{slug}"')
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise PackageError(f"holds {name!r}, which is a symbolic link")
        relative = name.removeprefix(f"{slug}/")
        if not relative or name.endswith("/"):
            continue
        if relative in files:
            raise PackageError(f"holds {name!r} twice")
        files[relative] = archive.read(entry)
    return files


def package_versions(kind: str, slug: str, files: Mapping[str, bytes]) -> list[str]:
    """Return what the headers of a plugin or a theme say, the main file's first; nothing where there is no header."""
    label = "Plugin Name" if kind == "plugin" else "Theme Name"
    if kind == "plugin":
        names = sorted(
            (name for name in files if re.fullmatch(r"[^/.][^/]*\.php", name)), key=lambda n: (n != f"{slug}.php", n)
        )
    else:
        names = [name for name in files if name == "style.css"]
    versions = []
    for name in names:
        text = files[name][:HEADER_BYTES].decode(errors="replace").replace("\r", "\n")
        if _header(text, label):
            versions.append(_header(text, "Version"))
    return versions


def _header(text: str, label: str) -> str:
    """Find a field of a header comment, as WordPress does."""
    match = re.search(rf"^(?:[ \t]*<\?php)?[ \t/*#@]*{label}:(.*)$", text, re.MULTILINE | re.IGNORECASE)
    return re.sub(r"\s*(?:\*/|\?>).*", "", match[1]).strip() if match else ""


def read_package(kind: str, declared: Mapping[str, Any]) -> tuple[str, dict[str, bytes]]:
    """Read a package of the controller; return its version and its files.

    Raises PackageError with the rule that it breaks.
    """
    slug = str(declared["slug"])
    if "path" in declared:
        files = directory_files(controller_path(str(declared["path"])), declared.get("exclude") or ())
    else:
        files = archive_files(controller_path(str(declared["zip"])), slug, str(declared.get("sha256") or ""))
    versions = package_versions(kind, slug, files)
    if not versions:
        header = "no PHP file with a plugin's header" if kind == "plugin" else "no style.css with a theme's header"
        raise PackageError(f"has {header}")
    wanted = declared.get("version")
    if wanted and wanted not in versions:
        raise PackageError(f"says that it is version {versions[0] or '(none)'}, declared is {wanted}")
    return str(wanted or versions[0]), files


def files_digest(files: Mapping[str, bytes]) -> str:
    """Digest files: sha256 over "sha256-of-content  path" lines, ordered by path."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  ".encode() + name + b"\n"
        for name, content in sorted((name.encode(), content) for name, content in files.items())
    ]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def packed(slug: str, files: Mapping[str, bytes]) -> bytes:
    """Make a zip archive, the same for the same files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{slug}/{name}")
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    return target.getvalue()


# --- Rules ----------------------------------------------------------------------------------------------------------


def package_problems(place: str, declared: Any) -> list[str]:
    """Check one entry of a site's plugins or themes by itself, without looking at files.

    :param place: the variable's name, such as ``wordpress_sites.blog.plugins[0]``.
    """
    if isinstance(declared, str):
        if SLUG.fullmatch(declared):
            return []
        return [f"{place}: {declared!r}: must be a directory name, such as akismet"]
    if not isinstance(declared, Mapping):
        return [f"{place}: must be a directory name, or a dict with slug and version, path or zip"]
    problems = [f"{place}.{key}: unknown; there are {', '.join(FIELDS)}" for key in declared if key not in FIELDS]
    problems += [
        f"{place}.{key}: must be text (put it in quotes)"
        for key in FIELDS
        if key != "exclude" and key in declared and not isinstance(declared[key], str)
    ]
    problems += _exclude_problems(f"{place}.exclude", declared)
    if problems:
        return problems
    if not SLUG.fullmatch(declared.get("slug", "")):
        problems.append(f"{place}.slug: {declared.get('slug', '')!r}: must be a directory name, such as akismet")
    if "path" in declared and "zip" in declared:
        problems.append(f"{place}: has path and zip: one of them says where the files are")
    elif "path" not in declared and "zip" not in declared and "version" not in declared:
        problems.append(f"{place}: needs version (from WordPress's directory), path or zip (on this machine)")
    if "version" in declared and not VERSION.fullmatch(declared["version"]):
        problems.append(f"{place}.version: {declared['version']!r}: must be one version, such as 5.3.1")
    if "sha256" in declared and not SHA256.fullmatch(declared["sha256"]):
        problems.append(f"{place}.sha256: must be 64 hexadecimal digits in lower case")
    if "sha256" in declared and "path" in declared:
        problems.append(f"{place}.sha256: is of an archive; a path is a directory")
    return problems


def _exclude_problems(place: str, declared: Mapping[str, Any]) -> list[str]:
    """Check the patterns of what a directory's package leaves out."""
    if "exclude" not in declared:
        return []
    patterns = declared["exclude"]
    if "path" not in declared:
        return [f"{place}: is of a path; an archive is taken whole"]
    if not isinstance(patterns, list | tuple) or not all(isinstance(one, str) and one.strip("/ ") for one in patterns):
        return [f"{place}: must be a list of patterns, such as [node_modules, /tests, '*.map']"]
    return []


def site_package_problems(place: str, site: Mapping[str, Any], outbound: Any = True) -> list[str]:
    """Check a site's plugins and themes: each entry, that none is there twice, and that downloads are possible."""
    problems: list[str] = []
    for key in KINDS:
        entries = site.get(key)
        seen: dict[str, str] = {}
        for index, declared in enumerate(entries if isinstance(entries, list | tuple) else ()):
            here = f"{place}.{key}[{index}]"
            found = package_problems(here, declared)
            problems += found
            if found:
                continue
            slug = declared if isinstance(declared, str) else declared["slug"]
            if slug in seen:
                problems.append(f"{here}: {slug!r}: already declared by {seen[slug]}")
            seen.setdefault(slug, here)
            remote = not isinstance(declared, str) and "path" not in declared and "zip" not in declared
            if remote and not outbound:
                problems.append(
                    f"{here}: comes from WordPress's directory, which needs wordpress_outbound: give path or zip"
                )
    return problems


def site_package_file_problems(place: str, site: Mapping[str, Any]) -> list[str]:
    """Check the packages of the controller, by reading them."""
    problems: list[str] = []
    for key, kind in KINDS.items():
        for index, declared in enumerate(site.get(key) or ()):
            where = (
                next((name for name in ("path", "zip") if name in declared), "")
                if isinstance(declared, Mapping)
                else ""
            )
            if where:
                try:
                    read_package(kind, declared)
                except (PackageError, OSError) as error:
                    problems.append(f"{place}.{key}[{index}].{where}: {declared[where]}: {error}")
    return problems


# --- Filters --------------------------------------------------------------------------------------------------------


def package_slugs(declared: Iterable[Any]) -> list[str]:
    """Return the directory names of a site's plugins, however each is declared."""
    return [entry if isinstance(entry, str) else str(entry["slug"]) for entry in declared]


def package_places(site: Mapping[str, Any]) -> list[str]:
    """Return where a site's packages lie, below its content: ``plugins/harbour``; a name alone declares no package."""
    return [
        f"{key}/{declared['slug']}"
        for key in KINDS
        for declared in site.get(key) or ()
        if isinstance(declared, Mapping)
    ]


def site_packages(site: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the packages of a site as its reconciler takes them. Reads those of the controller.

    :raises AnsibleFilterError: when a package of the controller breaks a rule.
    """
    packages = []
    for key, kind in KINDS.items():
        for declared in site.get(key) or ():
            if isinstance(declared, str):
                continue
            package = {"kind": kind, "slug": str(declared["slug"]), "sha256": str(declared.get("sha256") or "")}
            if "path" in declared or "zip" in declared:
                try:
                    version, files = read_package(kind, declared)
                except (PackageError, OSError) as error:
                    raise AnsibleFilterError(f"{kind} {declared['slug']}: {error}") from error
                package |= {"from": "controller", "version": version, "digest": files_digest(files)}
            else:
                package |= {"from": "directory", "version": str(declared["version"]), "digest": ""}
            packages.append(package)
    return packages


def package_archive(site: Mapping[str, Any], digest: str) -> bytes:
    """Pack the package of the controller that has a digest.

    :raises AnsibleFilterError: when there is none; a file changed while the playbook ran.
    """
    for key, kind in KINDS.items():
        for declared in site.get(key) or ():
            if isinstance(declared, Mapping) and ("path" in declared or "zip" in declared):
                _, files = read_package(kind, declared)
                if files_digest(files) == digest:
                    return packed(str(declared["slug"]), files)
    raise AnsibleFilterError("a plugin's or theme's files on the controller changed during the run: run again")


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"package_places": package_places, "package_slugs": package_slugs, "site_packages": site_packages}
