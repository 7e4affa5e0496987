"""module_utils/belongings.py: all that lies on a site's volume belongs to PHP's user, who can use it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest

from filter_plugins.container import container_volumes, host_belongings, sealed_containers
from filter_plugins.packages import package_places
from module_utils import belongings


def modes(top: Path) -> dict[str, str]:
    """Return the modes of all that lies below a directory."""
    return {str(p.relative_to(top)): f"{p.lstat().st_mode & 0o7777:04o}" for p in sorted(top.rglob("*"))}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Make a site's content of this user, with each kind of wrong mode."""
    for path, mode in {
        "uploads/2024/a.jpg": 0o600, "uploads/2024/b.PNG": 0o204, "uploads/private/c.zip": 0o600,
        "uploads/.x/d.jpg": 0o644,
        "plugins/boje/boje.php": 0o666, "plugins/boje/run": 0o4755, "plugins/mine/own.php": 0o600,
        "themes/sail/s.css": 0o400,
        "languages/de.mo": 0o040, "wp.log": 0o600,
    }.items():  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
        (tmp_path / path).chmod(mode)
    (tmp_path / "uploads/2024").chmod(0o2700)
    (tmp_path / "plugins/boje").chmod(0o777)
    (tmp_path / "uploads/.x").chmod(0o700)
    (tmp_path / "uploads/link").symlink_to("/etc/passwd")
    return tmp_path


REPAIRED = {
    "uploads/2024": "2755", "uploads/2024/a.jpg": "0644", "uploads/2024/b.PNG": "0644", "plugins/boje": "0755",
    "plugins/boje/boje.php": "0644", "plugins/boje/run": "0644", "themes/sail/s.css": "0644", "languages/de.mo": "0640",
}  # fmt: skip


def test_modes_are_repaired_and_what_is_private_stays(volume: Path) -> None:
    before = modes(volume)
    checked = belongings.compare(str(volume), os.getuid(), ["plugins/boje"], check=True).lines()
    assert modes(volume) == before
    assert belongings.compare(str(volume), os.getuid(), ["plugins/boje"], check=False).lines() == checked
    assert modes(volume) == {**before, **REPAIRED}
    assert belongings.compare(str(volume), os.getuid(), ["plugins/boje"], check=True).lines() == []
    assert checked == [
        "3 entries that its user cannot use: such as languages/de.mo",
        "2 entries that the web server cannot read: such as uploads/2024",
        "3 entries of what is declared with another mode: such as plugins/boje",
        "1 entry with setuid or setgid: plugins/boje/run",
    ]


def test_owner_is_repaired_without_following_links(volume: Path) -> None:
    """Everybody's files are somebody else's, for another user is expected: no call is made through a path or a link."""
    with mock.patch.object(os, "chown") as chown, mock.patch.object(os, "fchmod") as fchmod:
        lines = belongings.compare(str(volume), 4711, [], check=False).lines()
    entries = len(modes(volume))
    assert f"{entries} entries of another owner: such as languages" in lines
    assert chown.call_count == entries
    for call in chown.call_args_list:
        assert "/" not in call.args[0]
        assert call.args[1:] == (4711, 4711)
        assert call.kwargs["follow_symlinks"] is False
        assert isinstance(call.kwargs["dir_fd"], int)
    # All but the link.
    assert fchmod.call_count == entries - 1


def test_what_has_another_name_is_left_and_told(volume: Path) -> None:
    os.link(volume / "wp.log", volume / "other.log")
    with mock.patch.object(os, "chown") as chown, mock.patch.object(os, "fchmod"):
        findings = belongings.compare(str(volume), 4711, [], check=False)
    assert sorted(line.partition(":")[0] for line in findings.left) == ["other.log", "wp.log"]
    assert "wp.log" not in {call.args[0] for call in chown.call_args_list}


def test_number_of_entries_is_bounded(volume: Path) -> None:
    findings = belongings.compare(str(volume), os.getuid(), [], check=True, most=3)
    assert findings.left == ["more than 3 entries: the rest was not looked at"]


def test_exchanged_entry_is_not_touched(volume: Path) -> None:
    """Between the look and the repair somebody puts a link in its place, or another file."""
    file, folder = volume / "uploads/2024/a.jpg", os.open(volume / "uploads/2024", os.O_RDONLY)
    found = file.lstat()
    other = volume / "wp.log"
    try:
        file.unlink()
        file.symlink_to(other)
        with pytest.raises(OSError, match="symbolic"):
            belongings._change_mode(folder, "a.jpg", found, 0o777)
        file.unlink()
        file.write_text("another")
        file.chmod(0o600)
        (volume / "kept").write_text("")
        if file.stat().st_ino != found.st_ino:
            belongings._change_mode(folder, "a.jpg", found, 0o777)
            assert file.stat().st_mode & 0o777 == 0o600
    finally:
        os.close(folder)
    assert other.stat().st_mode & 0o777 == 0o600


def test_volume_says_so_once() -> None:
    site = {"plugins": ["akismet", {"slug": "boje", "version": "1"}], "themes": [{"slug": "sail", "zip": "x"}]}
    assert package_places(site) == ["plugins/boje", "themes/sail"]
    volume = {"name": "site-kai", "location": "sites/kai/wp-content", "owner": "php"}
    services = [
        {"containers": [{"user": "php", "volumes": [{**volume, "belongings": {"exact": ["plugins/boje"]}}]}]},
        {"containers": [{"user": "ftp", "volumes": [volume]}]},
    ]
    for order in (services, services[::-1]):
        volumes = container_volumes(order, "quay", "/data")
        assert host_belongings(volumes, {"php": 613}) == [
            {"path": "/data/volumes/sites/kai/wp-content", "owner": 613, "exact": ["plugins/boje"]}
        ]


def test_declaring_another_package_makes_no_other_container() -> None:
    volume = {"name": "site-kai", "path": "/srv", "belongings": {"exact": ["plugins/boje"]}}
    sealed = sealed_containers([{"name": "wordpress-kai", "volumes": [volume]}], [""])
    assert sealed[0]["volumes"] == [{"name": "site-kai", "path": "/srv"}]
