"""The sites' PHP as it is declared: constants, settings, extensions, functions, must-use plugins, images' memory."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import must_use, php
from filter_plugins.must_use import must_use_files, must_use_problems


def test_constants_of_a_site_go_before_those_of_all() -> None:
    common = {"A": 1, "B": "it's \\", "C": True}
    text = php.php_constants({"constants": {"A": 2.5, "C": None, "D": [1, {"x": None}]}}, common)
    assert text.splitlines() == [
        "define('A', 2.5);",
        "define('B', 'it\\'s \\\\');",
        "define('D', [1, ['x' => null]]);",
    ]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("DB_PASSWORD", "database"),
        ("WP_DEBUG", "debug"),
        ("wp_debug", "debug"),
        ("AUTH_KEY", "salts"),
        ("NONCE_SALT", "salts"),
        ("WP_MEMORY_LIMIT", "memory_limit"),
        ("MULTISITE", "multisite"),
        ("WP_CONTENT_DIR", "image"),
        ("DISABLE_WP_CRON", "wordpress_cron_interval"),
        ("WP_HTTP_BLOCK_EXTERNAL", "wordpress_outbound"),
        ("WP_REDIS_HOST", "object_cache"),
        ("WP_INSTALLING", "WordPress itself"),
        ("PRESSDOCK_URL", "own"),
        ("PHP_VERSION", "PHP's own"),
        ("null", "PHP's own"),
        ("1A", "letters"),
        ("A-B", "letters"),
        ("A'); evil(); //", "letters"),
        ("", "letters"),
        (7, "letters"),
    ],
)
def test_constants_that_are_refused(name: Any, word: str) -> None:
    [line] = php.constant_problems("wordpress_constants", {name: "hunter2 is a secret"})
    assert word in line
    assert line.startswith("wordpress_constants")
    assert "hunter2" not in line


@pytest.mark.parametrize("name", ["WP_CACHE", "WP_POST_REVISIONS", "WP_ENVIRONMENT_TYPE", "WP_REDIS_MAXTTL", "SUNRISE"])
def test_constants_that_are_taken(name: str) -> None:
    assert not php.constant_problems("x", {name: True})


def test_values_that_php_cannot_have() -> None:
    values = {"A": float("nan"), "B": 2**64, "C": {1.5: 1}, "D": "a\0b", "E": object()}
    assert len(php.constant_problems("x", values)) == len(values)
    assert not php.constant_problems("x", {"A": "two\nlines", "B": None, "C": [], "D": -(2**62)})


def test_our_own_constants_are_all_refused() -> None:
    """A second definition of one would be without effect."""
    files = Path(__file__).resolve().parents[2] / "roles" / "wordpress"
    texts = [(files / place).read_text() for place in ("files/wp-config.php", "templates/site.php.j2")]
    names = {name for text in texts for name in re.findall(r"(?<!\|\| )define\('([A-Z_]+)'", text)}
    assert len(names) > 30
    for name in names - {"AUTH"}:
        assert php.constant_problems("x", {name: 1}), name


def test_settings_of_a_site_go_before_those_of_all() -> None:
    site = {"php_ini": {"a.b": "50%", "c": None, "d": True, "e": 1.5}}
    assert php.php_ini(site, {"a.b": 1, "c": 2, "f": -1}) == "a.b = '50%'\nf = -1\nd = 1\ne = 1.5\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [("", "''"), ('"${HOME}\\"', "'\"${HOME}\\\"'"), ("it's", '"it\'s"'), (False, "0"), (7, "7")],
)
def test_settings_are_written_exactly(value: Any, written: str) -> None:
    assert php.ini_value(value) == written


@pytest.mark.parametrize("value", ['it\'s "x"', "it's $x", "it's \\", "a\nb", float("inf"), [1], {"a": 1}])
def test_settings_that_cannot_be_written(value: Any) -> None:
    with pytest.raises(AnsibleFilterError):
        php.ini_value(value)
    [line] = php.setting_problems("x.php_ini", {"a.b": value})
    assert line.startswith("x.php_ini.a.b: ")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("memory_limit", "memory_limit"),
        ("Memory_Limit", "memory_limit"),
        ("upload_max_filesize", "upload_limit"),
        ("disable_functions", "php_disabled_functions"),
        ("extension", "php_extensions"),
        ("zend_extension", "php_extensions"),
        ("auto_prepend_file", "other code"),
        ("sendmail_path", "other code"),
        ("ffi.enable", "other code"),
        ("opcache.preload", "other code"),
        ("display_errors", "log"),
        ("a b", "name of a setting"),
        ("a = 1\nextension", "name of a setting"),
        ("[x]", "name of a setting"),
        (5, "name of a setting"),
    ],
)
def test_settings_that_are_refused(name: Any, word: str) -> None:
    [line] = php.setting_problems("wordpress_php_ini", {name: "1"})
    assert word in line


def test_our_own_settings_are_all_refused_or_may_be_changed() -> None:
    """What php.ini.j2 says of safety and places is ours; the speed of opcache and the like is the operator's."""
    text = (Path(__file__).resolve().parents[2] / "roles/wordpress/templates/php.ini.j2").read_text()
    names = set(re.findall(r"(?m)^([a-z_.]+) =", text))
    free = {name for name in names if not php.setting_problems("x", {name: "1"})}
    assert free == {
        "allow_url_fopen", "default_socket_timeout", "mail.add_x_header", "opcache.enable",
        "opcache.interned_strings_buffer",
        "opcache.jit", "opcache.jit_buffer_size", "opcache.max_accelerated_files", "opcache.revalidate_freq",
        "opcache.validate_timestamps", "realpath_cache_size", "realpath_cache_ttl", "session.cookie_httponly",
        "session.cookie_samesite", "session.cookie_secure", "session.use_strict_mode",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("ffi", "native code"),
        ("pcntl", "command line"),
        ("php-soap", "write soap"),
        ("php8.4-bcmath", "write bcmath"),
        ("Imagick", "write imagick"),
        ("soap.so", "write soap"),
        ("mysql", "mysqli"),
        ("curl; id", "name of an extension"),
        ("/srv/x", "name of an extension"),
        ("", "name of an extension"),
    ],
)
def test_extensions_that_are_refused(name: str, word: str) -> None:
    [line] = php.extension_problems("wordpress_php_extensions", [name])
    assert word in line
    assert line.startswith("wordpress_php_extensions[0]: ")


def test_extensions_of_sites_and_their_packages() -> None:
    sites = {"a": {"php_extensions": ["calendar", "gd"]}, "b": {"php_extensions": ["pdo_pgsql", "soap"]}}
    assert php.site_extensions(sites["a"], ["soap"]) == ["calendar", "soap"]
    assert php.all_extensions(sites, ["soap"]) == [
        {"name": "calendar", "package": "", "declared": "wordpress_sites.a.php_extensions"},
        {"name": "pdo_pgsql", "package": "php-pgsql", "declared": "wordpress_sites.b.php_extensions"},
        {
            "name": "soap", "package": "php-soap",
            "declared": "wordpress_php_extensions, wordpress_sites.b.php_extensions",
        },
    ]  # fmt: skip
    assert not php.extension_problems("x", ["soap", "calendar", "imagick", "pdo_pgsql"])


def test_functions_of_a_site() -> None:
    assert php.disabled_functions({}, ["exec", "mail"], ["mail"]) == ["exec"]
    assert php.disabled_functions({"php_enabled_functions": ["exec"]}, ["exec", "mail"], []) == ["mail"]
    assert php.disabled_functions({"php_disabled_functions": ["phpinfo"]}, ["exec"], []) == ["phpinfo"]
    assert php.disabled_functions({"php_disabled_functions": []}, ["exec"], []) == []


@pytest.mark.parametrize("name", ["Exec", "exec,system", "exec;", "file_get_contents", "json_encode", ""])
def test_functions_that_are_refused(name: str) -> None:
    assert len(php.function_problems("x", [name])) == 1
    assert not php.function_problems("x", ["exec", "mb_send_mail"])


def test_native_code_stays_refused() -> None:
    assert php.function_problems("x", ["dl"], disabled=False)
    assert not php.function_problems("x", ["dl"])
    assert not php.function_problems("x", ["proc_open"], disabled=False)


def test_what_php_is_asked_names_where_it_was_declared() -> None:
    asked = json.loads(
        php.php_judgements(
            {"a": {"php_ini": {"x.y": True}}, "b": {"php_ini": {"x.y": None}}}, {"x.y": 5, "z": "w"}, [], ["exec"], []
        )
    )
    assert asked["a"]["settings"] == {
        "x.y": {"place": "wordpress_sites.a.php_ini", "value": "1"},
        "z": {"place": "wordpress_php_ini", "value": "w"},
    }
    assert set(asked["b"]["settings"]) == {"z"}
    assert asked["a"]["disabled"] == ["exec"]


def test_all_fields_have_their_rules() -> None:
    bad = {"constants": {"DB_HOST": 1}, "php_ini": {"extension": "x"}, "php_extensions": ["ffi"],
           "php_disabled_functions": ["time"], "php_enabled_functions": ["dl"]}  # fmt: skip
    assert len(php.php_problems("wordpress_sites.a.", bad)) == len(bad)
    common = {f"wordpress_{name}": value for name, value in bad.items()}
    assert {
        line.split(":")[0].split(".")[0].split("[")[0] for line in php.php_problems("", common, "wordpress_")
    } == set(common)


# --- Images ---------------------------------------------------------------------------------------------------------


def test_memory_of_an_image_is_what_the_workers_leave() -> None:
    assert php.image_memory({}, "", 4, "96m", "64m") == 192 << 20
    assert php.image_memory({"memory": "1g", "workers": 2}, "", 4, "96m", "64m") == (1024 - 64 - 48 - 32) << 20
    # Never so little that no photograph fits.
    assert php.image_memory({}, "256m", 8, "32m", "64m") == 48 << 20
    assert php.worker_memory({}, "", 4, "96m", "64m") == (192 + 24) << 20
    assert php.worker_memory({"memory_limit": "256m"}, "", 4, "96m", "64m") >= (256 + 32) << 20


# --- Must-use plugins -----------------------------------------------------------------------------------------------


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Return a directory with a file, and a directory of two files."""
    (tmp_path / "one.php").write_bytes(b"<?php\n\xff")
    (tmp_path / "house" / "part").mkdir(parents=True)
    (tmp_path / "house" / "main.php").write_text("<?php\n/* Plugin Name: House */")
    (tmp_path / "house" / "part" / "other.php").write_text("<?php")
    return tmp_path


def test_must_use_plugins_with_their_contents(plugins: Path) -> None:
    found = must_use_files({"mu_plugins": [str(plugins / "house")]}, [str(plugins / "one.php")])
    assert list(found["files"]) == ["house/main.php", "house/part/other.php", "one.php"]
    assert base64.b64decode(found["files"]["one.php"]) == b"<?php\n\xff"
    assert found["loaded"] == ["house/main.php"]
    assert must_use_files({}, []) == {"files": {}, "loaded": []}


def test_must_use_plugins_that_are_refused(plugins: Path) -> None:
    (plugins / "empty").mkdir()
    (plugins / "notes.txt").write_text("x")
    (plugins / "odd").mkdir()
    (plugins / "odd" / "a\nb.php").write_text("<?php /* Plugin Name: x */")
    (plugins / "link").mkdir()
    (plugins / "link" / "x.php").symlink_to("/etc/passwd")
    (plugins / "other").mkdir()
    (plugins / "other" / "one.php").write_text("<?php")
    for name, word in (
        ("missing", "not a directory"), ("empty", "header"), ("notes.txt", "PHP file"), ("odd", "called by"),
        ("link", "symbolic link"),
    ):  # fmt: skip
        [line] = must_use_problems({"a": {}}, [str(plugins / name)])
        assert word in line
        assert line.startswith("wordpress_mu_plugins[0]: ")
    [line] = must_use_problems({"a": {"mu_plugins": [str(plugins / "other/one.php")]}}, [str(plugins / "one.php")])
    assert line.startswith("wordpress_sites.a.mu_plugins[0]: ")
    assert "same name" in line


def test_must_use_plugins_are_small(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(must_use, "LARGEST", 10)
    [line] = must_use_problems({"a": {"mu_plugins": [str(plugins / "house")]}}, [])
    assert "at most 10" in line
