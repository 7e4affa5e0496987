"""PHP as requests see it: what is declared, what code may do, images that are large, updates that break a site."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filter_plugins.php import php_judgements
from tests.support.runs import Runs
from tests.support.stack import Stack

from .conftest import Site

LICENCE = '  it\'s "a" \\ {{ 7 * 7 }} $HOME `id` %s <?php ?> #\n ü 漢 '
AGENT = '"{{ 7 * 7 }}" \\ ${HOME} $x ; # = %s ü'


def fpm(site: Site, code: str, wordpress: bool = False, **parameters: str) -> str:
    """Let FPM run a program, as it runs a plugin's; returns the whole answer."""
    load = "require '/usr/share/wordpress/wp-load.php';" if wordpress else ""
    name = "/tmp/asked.php"  # noqa: S108 -- of the container
    result = site.container.run("sh", "-c", 'printf %s "$1" > $0', name, f"<?php {load} {code}")
    assert result.rc == 0, result.stderr
    try:
        return site.ask(name, **parameters)
    finally:
        site.container.run("rm", name)


def evaluated(site: Site, expression: str, wordpress: bool = False) -> Any:
    """Let FPM evaluate an expression."""
    answer = fpm(site, f"echo 'ANSWER:', json_encode({expression});", wordpress)
    assert "ANSWER:" in answer, answer
    return json.loads(answer.partition("ANSWER:")[2])


@pytest.fixture(scope="module", autouse=True)
def swept(stack: Stack) -> Iterator[None]:
    """Leave none of the images that tests put on the volume, as root, and that PHP refused."""
    yield
    stack.host.check_output("sh -c 'find /srv/harbour/quayside/volumes/sites/*/wp-content/upgrade -mindepth 1 -delete'")


# --- Declared values ------------------------------------------------------------------------------------------------


def test_constants_with_their_types(hafen: Site, laden: Site) -> None:
    """A site's own go before those of all, and null takes one out."""
    names = ["WP_POST_REVISIONS", "HAFEN_RATE", "HAFEN_LICENCE", "HAFEN_PORTS", "EMPTY_TRASH_DAYS"]
    ask = f"array_map(fn ($n) => defined($n) ? constant($n) : 'undefined', {json.dumps(names)})"
    trash = 30  # What WordPress itself has.
    assert evaluated(hafen, ask, True) == [False, 2.5, LICENCE, [80, "443", {"name": "Süd"}], trash]
    assert evaluated(laden, ask, True) == [4, 2.5, LICENCE, "undefined", 11]


def test_settings_and_extensions_of_each_site(hafen: Site, laden: Site) -> None:
    ask = (
        "[array_map(ini_get(...), ['session.gc_maxlifetime', 'arg_separator.output', 'user_agent',"
        " 'session.lazy_write', 'zlib.output_compression_level']),"
        " array_map(extension_loaded(...), ['bcmath', 'soap', 'calendar', 'imagick', 'ffi'])]"
    )
    assert evaluated(hafen, ask) == [["6543", "it's;", AGENT, "0", "3"], [True, True, True, True, False]]
    settings, extensions = evaluated(laden, ask)
    assert settings[:2] == ["5432", "it's;"]
    assert settings[2:] == ["", "1", "-1"]
    assert extensions == [True, False, False, True, False]


def test_functions_of_each_site(hafen: Site, laden: Site) -> None:
    """As FPM has them, and as whoever runs PHP in the container."""
    ask = "array_map(function_exists(...), ['exec', 'symlink', 'highlight_file', 'popen'])"
    assert evaluated(hafen, ask) == [False, True, True, False]
    assert evaluated(laden, ask) == [False, True, False, True]
    assert hafen.container.run("php", "-r", "echo function_exists('proc_open') ? 'is there' : 'off';").stdout == "off"


JUDGE = Path(__file__).resolve().parents[3] / "roles" / "wordpress" / "files" / "judge.php"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (
            {"php_ini": {"session.gc_maxlifetim": 5}},
            ".php_ini.session.gc_maxlifetim: PHP has no such setting, did you mean",
        ),
        ({"php_ini": {"opcache.jit": "quickly"}}, "php-fpm refuses what php_ini"),
        ({"php_ini": {"session.cookie_samesite": "a'b"}}, ""),
        ({"php_extensions": ["gnupg"]}, "php_extensions: gnupg: PHP does not load it"),
        ({"php_disabled_functions": ["shell_exce"]}, "shell_exce: PHP has no such function, did you mean shell_exec?"),
        ({"php_disabled_functions": ["shell_exec", "pcntl_fork"]}, ""),
    ],
)
def test_php_judges_what_is_declared(stack: Stack, declared: dict[str, Any], said: str) -> None:
    """As it does while an image is built; here where programs may be started."""
    container = stack.container("wordpress-cron")
    judgements = php_judgements({"kai": declared}, {"arg_separator.input": "&;"}, [], ["exec"], [])
    for name, text in (("judge.php", JUDGE.read_text()), ("judgements.json", judgements)):
        container.run("sh", "-c", 'printf %s "$1" > "/tmp/$0"', name, text)
    result = container.run("php", "/tmp/judge.php", "/tmp/judgements.json")  # noqa: S108 -- of the container
    assert (result.rc == 0) == (said == ""), result.stdout + result.stderr
    assert (said or "kai") in result.stdout


def test_must_use_plugins_are_loaded(hafen: Site, laden: Site) -> None:
    ask = "[defined('HOUSE') ? HOUSE : null, defined('QUAY') ? QUAY : null]"
    assert evaluated(hafen, ask, True) == ['Süd "1"', 17]
    assert evaluated(laden, ask, True) == ['Süd "1"', None]


RECONCILE = "docker exec --interactive quayside-wordpress-hafen sh /usr/local/lib/wordpress/reconcile < %s"


def reconciled(site: Site, kind: str, **changed: Any) -> list[str]:
    """Run the site's reconciler with its declared state, or with a part of it changed; return what differed."""
    host = site.stack.host
    state = {**json.loads(host.file(f"/root/hafen-{kind}.json").content_string), **changed}
    host.check_output("umask 077; printf %%s %s > /root/hafen-other.json", json.dumps(state))
    result = host.run(RECONCILE, "/root/hafen-other.json")
    assert result.rc == 0, result.stderr
    return [change["what"] for change in json.loads(result.stdout)["changes"]]


def test_must_use_plugins_are_repaired_and_leave(hafen: Site, runs: Runs) -> None:
    assert runs.play("declared.yml").returncode == 0
    folder = "/srv/sites/hafen/wp-content/mu-plugins"
    hafen.container.run("sh", "-c", f"cd {folder}; echo 'define(\"EVIL\", 1);' >> house.php; rm quay/quay.php;"
                        " mv quay/part elsewhere;"
                        " ln -s ../elsewhere quay/part; echo '<?php' > guest.php")  # fmt: skip
    expected = ["must-use plugin house.php", "must-use plugin quay/part/number.php", "must-use plugin quay/quay.php"]
    try:
        assert reconciled(hafen, "check") == expected
        assert reconciled(hafen, "repair") == expected
        assert reconciled(hafen, "check") == []
        assert evaluated(hafen, "[defined('EVIL'), QUAY]", True) == [False, 17]
        # No longer declared: what was brought goes, what somebody else has put there stays.
        gone = reconciled(hafen, "repair", must_use={"files": {}, "loaded": []})
        assert sorted(gone) == expected
        left = hafen.container.run("find", folder, "-name", "*.php", "-printf", "%P\n").stdout.split()
        assert "guest.php" in left
        assert not {"house.php", "quay/quay.php", "quay/part/number.php"} & set(left)
        assert evaluated(hafen, "[defined('HOUSE'), defined('QUAY')]", True) == [False, False]
    finally:
        hafen.container.run("rm", "-rf", f"{folder}/guest.php", f"{folder}/elsewhere")
        reconciled(hafen, "repair")


# --- What PHP's code may do -----------------------------------------------------------------------------------------

# A shared object (x86-64) that makes /tmp/native-code when it is loaded: cc -shared -fPIC -Os -nostdlib -s of
#     __attribute__((constructor)) static void run(void) { open("/tmp/native-code", O_WRONLY | O_CREAT, 0600) }
# where open() is the system call itself.
NATIVE = zlib.decompress(
    base64.b64decode(
        "eNrtWL1OwzAQviRtKa3UwoBUxN/ESCohIbEUwcDPwAIsDEjFtIFWIi1KDGoneAGkjn0MRsTAwsRbsPAIoLJQnObc2lYDVILNn+R8+c4+27nLcne9ubtl"
        "GgZwWLAGAwWwjnw8IdpWIc6eaUj11sYhGi+GzID7BDLBRicT6s68zElDZu5noh9k0b6gsCFzEuXeKy0n4Pfgn7vP/GIj3FM83hD0qOjvj/oON7oPAvC4"
        "wR4PN8y0c1uwgmDEn/LUvcjXCK1eOUuletkBDQ0NDQ0NDQ0NDQ0NDbGemlbqrRmQ6663z2494ENcz2vdFmpeUzZQp5QyNI2cQx5Dbiv1KZ8fV/RHNzzf"
        "+K9A2H7Fpx4lJ2Cf1S7tCvErYJebNb/phkw9sD3nnAQCbOo0KNP1MqEEbKdSPPWI64BdrVVpkXgeafa8iFst/cn1gvi9sxiYqHkeOM/CoC8gxpNjCvcw"
        "lTxxzvX7HmGM1XzM4Zyp5L2l1PsAw/UiGzHBn+e9rZyv3p/b80KvRPxv1f836vwVtC2jfjZknozw51zAdzOqn6NAjf82GxmModQ/yQxfn1T4AL+d+/f7"
        "PFn5opbiNyFMW980eI5+iN8XKyhZTg=="
    )
)
PLACE = "/srv/sites/hafen/wp-content/uploads/native.so"
ATTEMPTS = {
    "mail": "mail('a@example.test', 's', 'm');",
    "mail with parameters": "mail('a@example.test', 's', 'm', '', '-f a@example.test');",
    "mb_send_mail": "mb_send_mail('a@example.test', 's', 'm');",
    "error_log": "error_log('m', 1, 'a@example.test');",
    "iconv": "putenv('GCONV_PATH=/srv/sites/hafen/wp-content/uploads'); @iconv('native', 'UTF-8', 'x');",
    "ImageMagick": "try { (new Imagick())->readImage('pdf:/etc/hostname'); } catch (Exception) {}",
    "its programs": "try { (new Imagick())->readImage('mpeg:/etc/hostname'); } catch (Exception) {}",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_native_code_from_uploads(hafen: Site, attempt: str) -> None:
    """With the real functions (control) a program that PHP starts loads it."""
    if hafen.stack.host.check_output("uname -m") != "x86_64":
        pytest.skip("the shared object is for another machine")
    encoded = base64.b64encode(NATIVE).decode()
    hafen.container.run("sh", "-c", 'printf %s "$1" | base64 -d > $0', PLACE, encoded)
    code = f"putenv('LD_PRELOAD={PLACE}'); {ATTEMPTS[attempt]}"
    sign = "/tmp/native-code"  # noqa: S108 -- of the container
    try:
        if attempt == "mail":
            hafen.container.run("env", "PHP_DISABLED_FUNCTIONS=", "php", "-r", code)
            assert hafen.container.run("rm", sign).rc == 0, "control: the real functions load it"
        answer = fpm(hafen, f"{code} echo 'went on';", wordpress=True)
        assert "went on" in answer, answer
        assert hafen.container.run("test", "-e", sign).rc == 1
        # Nor where the playbook has a plugin's code run.
        hafen.container.run("php", "-r", f"try {{ {code} }} catch (Error) {{}}")
        assert hafen.container.run("test", "-e", sign).rc == 1
    finally:
        hafen.container.run("rm", "-f", PLACE, sign)


@pytest.mark.parametrize("name", ["PHP_ADMIN_VALUE", "PHP_VALUE"])
def test_fpm_takes_no_settings_from_whoever_reaches_it(hafen: Site, name: str) -> None:
    """A site's code reaches its own FPM. What loads no native code shows first that settings would be taken."""
    encoded = base64.b64encode(NATIVE).decode()
    hafen.container.run("sh", "-c", 'printf %s "$1" | base64 -d > $0', PLACE, encoded)
    sign = "/tmp/native-code"  # noqa: S108 -- of the container
    try:
        for value in (f"extension={PLACE}", "user_agent=changed"):
            answer = fpm(hafen, "echo 'AGENT:', ini_get('user_agent');", False, **{name: value})
            assert answer.partition("AGENT:")[2] == AGENT
            assert hafen.container.run("test", "-e", sign).rc == 1
    finally:
        hafen.container.run("rm", "-f", PLACE, sign)


def test_mail_of_plugins_takes_the_declared_way(hafen: Site) -> None:
    """Called as PHP's own; there is no relay in this scenario, and that is what is said."""
    code = (
        "add_filter('pre_wp_mail', function ($n, $mail) { $GLOBALS['seen'][] = $mail; return true; }, 10, 2);"
        "mail('a@example.test', 'Grüße', 'text', \"X-One: 1\\r\\nReply-To: b@example.test\\n  , c@example.test\");"
        "mb_send_mail('d@example.test', 's', 'm', ['X-Two' => 'zwei']);"
        "putenv('HAFEN=7'); echo 'ANSWER:', json_encode([$seen, $_ENV['HAFEN'], getenv('HAFEN')]);"
    )
    seen, kept, real = json.loads(fpm(hafen, code, wordpress=True).partition("ANSWER:")[2])
    assert [mail["to"] for mail in seen] == ["a@example.test", "d@example.test"]
    assert seen[0]["subject"] == "Grüße"
    assert seen[0]["headers"] == ["X-One: 1", "Reply-To: b@example.test\n  , c@example.test"]
    assert seen[1]["headers"] == ["X-Two: zwei"]
    assert kept == "7"
    assert real in {False, "7"}


def test_imagemagick_reads_photographs_alone(hafen: Site) -> None:
    ask = (
        "(function ($f) { try { (new Imagick())->readImage($f); return 'read'; }"
        " catch (Exception $e) { return $e->getMessage(); } })"
    )
    for name in ("text:/etc/hostname", "pdf:/etc/hostname", "https://example.test/x.png", "msl:/etc/hostname"):
        found = evaluated(hafen, f"{ask}('{name}')")
        assert "polic" in found or "not allowed" in found or "not authorized" in found, (name, found)


# --- Images ---------------------------------------------------------------------------------------------------------

UPLOAD = (
    "wp_set_current_user(get_user_by('login', 'kapitaen')->ID);"
    "$r = new WP_REST_Request('POST', '/wp/v2/media'); $r->set_body(file_get_contents(%s));"
    "$r->set_header('Content-Type', %s); $r->set_header('Content-Disposition', 'attachment; filename=' . %s);"
    "$a = rest_do_request($r); $d = $a->get_data(); @unlink(%s);"
    "echo 'ANSWER:', json_encode([$a->get_status(), $d['message'] ?? '', $d['media_details']['width'] ?? 0,"
    " count((array) ($d['media_details']['sizes'] ?? []))]);"
    "if (isset($d['id'])) { wp_delete_attachment($d['id'], true); }"
)


def uploaded(site: Site, file: str, kind: str) -> list[Any]:
    """Send a file of the container to WordPress's REST interface; return status, message, width, number of sizes."""
    words = [json.dumps(word) for word in (file, kind, file.rpartition("/")[2], file)]
    answer = fpm(site, UPLOAD % tuple(words), wordpress=True)
    assert "ANSWER:" in answer, answer[-3000:]
    return list(json.loads(answer.partition("ANSWER:")[2]))


def png(width: int, height: int) -> bytes:
    """Make a PNG of one colour, which compresses to nearly nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    packer, packed = zlib.compressobj(9), []
    row = b"\0" + b"\x40\x80\xc0" * width
    packed += [packer.compress(row) for _ in range(height)]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    data = b"".join(packed) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def placed(site: Site, name: str, content: bytes) -> str:
    """Put a file on the site's volume; return where the container has it."""
    path = f"/srv/harbour/quayside/volumes/sites/{site.name}/wp-content/upgrade/{name}"
    encoded = base64.b64encode(content).decode()
    site.stack.host.check_output("umask 022; : > %s", path)
    # An argument has at most 128 KiB.
    for start in range(0, len(encoded), 100_000):
        site.stack.host.check_output("printf %%s %s | base64 -d >> %s", encoded[start : start + 100_000], path)
    return f"/srv/sites/{site.name}/wp-content/upgrade/{name}"


MAKE = (
    "ini_set('memory_limit', '-1'); $i = imagecreatetruecolor(%d, %d);"
    " imagefilledrectangle($i, 0, 0, 3000, 2000, 0x3366cc);"
    " imageinterlace($i, %s); %s($i, '/out/%s');"
)


def made(site: Site, name: str, width: int, height: int, progressive: bool = False) -> str:
    """Have GD make an image, in a container without a limit; return where the site's container has it."""
    writer = {"jpg": "imagejpeg", "png": "imagepng", "gif": "imagegif", "webp": "imagewebp", "avif": "imageavif"}
    image = site.container.inspect["Config"]["Image"]
    code = MAKE % (width, height, str(progressive).lower(), writer[name.rpartition(".")[2]], name)
    site.stack.host.check_output(
        "docker run --rm --network none --volume /srv/harbour/quayside/volumes/sites/%s/wp-content/upgrade:/out"
        " %s php -r %s",
        site.name, image, code,
    )  # fmt: skip
    return f"/srv/sites/{site.name}/wp-content/upgrade/{name}"


def test_photograph_of_108_megapixels(hafen: Site) -> None:
    """In the memory that a site has: it is read at a quarter of its size."""
    status, message, width, sizes = uploaded(hafen, made(hafen, "photo.jpg", 12000, 9000), "image/jpeg")
    assert (status, width) == (201, 2560), message
    assert sizes >= 6


@pytest.mark.parametrize(
    ("name", "kind", "width", "height"),
    [
        ("large.png", "image/png", 12000, 9000),
        ("photo.png", "image/png", 6000, 4000),
        ("bomb.png", "image/png", 30000, 30000),
    ],
)
def test_images_that_do_not_fit_are_refused(hafen: Site, name: str, kind: str, width: int, height: int) -> None:
    """With words for who uploads them; no process is lost."""
    workers = "cat /proc/1/task/1/children"
    before = hafen.container.run("sh", "-c", workers).stdout
    status, message, *_ = uploaded(hafen, placed(hafen, name, png(width, height)), kind)
    assert status == 413, message
    assert f"{width} x {height}" in message
    assert '"memory"' in message
    assert hafen.container.run("sh", "-c", workers).stdout == before


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "kind", "width", "height", "progressive"),
    [
        ("a.jpg", "image/jpeg", 6000, 4000, False),
        ("b.jpg", "image/jpeg", 8160, 6120, False),
        ("c.jpg", "image/jpeg", 6000, 4000, True),
        ("d.png", "image/png", 4000, 3000, False),
        ("e.webp", "image/webp", 4000, 3000, False),
        ("f.avif", "image/avif", 4000, 3000, False),
        ("g.gif", "image/gif", 4000, 3000, False),
    ],
)
def test_images_that_fit(hafen: Site, name: str, kind: str, width: int, height: int, progressive: bool) -> None:
    status, message, kept, sizes = uploaded(hafen, made(hafen, name, width, height, progressive), kind)
    assert (status, kept) == (201, 2560), message
    assert sizes >= 6


def test_broken_images_lose_no_process(hafen: Site) -> None:
    whole = png(3000, 2000)
    for name, content in (("cut.png", whole[:1000]), ("none.png", b"no image"), ("empty.png", b"")):
        workers = hafen.container.run("sh", "-c", "cat /proc/1/task/1/children").stdout
        status, *_ = uploaded(hafen, placed(hafen, name, content), "image/png")
        assert status in {201, 400, 500}, name
        assert hafen.container.run("sh", "-c", "cat /proc/1/task/1/children").stdout == workers


# --- Updates --------------------------------------------------------------------------------------------------------

UPDATE = Path(__file__).resolve().parents[1] / "files" / "update.php"


@pytest.mark.parametrize(
    ("following", "kept"), [("throw new Error('broken');", "1.0"), ("define('LOTSEN', 2);", "2.0")]
)
def test_an_update_that_breaks_the_site_is_undone(hafen: Site, following: str, kept: str) -> None:
    """Visitors wait meanwhile (maintenance), and it ends with the request."""
    answer = fpm(hafen, UPDATE.read_text().removeprefix("<?php"), NEXT=base64.b64encode(following.encode()).decode())
    assert "ANSWER:" in answer, answer[-2000:]
    result, version, during, asked = json.loads(answer.partition("ANSWER:")[2])
    assert version == kept, (result, asked)
    assert during is True
    # WordPress was let through, though everybody else has to wait.
    assert asked == [[True, False]]
    assert hafen.container.run("test", "-e", "/tmp/.maintenance").rc == 1  # noqa: S108
    assert "Status: 503" not in hafen.ask()


def test_visitors_wait_while_an_update_runs(hafen: Site) -> None:
    sign = "/usr/share/wordpress/.maintenance"
    hafen.container.run("sh", "-c", f"echo '<?php $upgrading = '$(date +%s)';' > {sign}")
    try:
        assert "Status: 503" in hafen.ask()
    finally:
        hafen.container.run("rm", "/tmp/.maintenance")  # noqa: S108
    assert "Status: 503" not in hafen.ask()
