<?php
/**
 * What WordPress and its plugins expect of the object cache drop-in, tried against a real Redis.
 *
 *     php cache_test.php SETTINGS DROP-IN [WORD]
 *
 * SETTINGS is a PHP file that defines PRESSDOCK_CACHE (a site's /run/secrets/site.php, for example): its Redis user needs
 * to be allowed no more than a site's is. WORD selects the cases with this word in their names. One line per case; the
 * status is 1 if one failed, or if there were none.
 *
 * WordPress itself is not loaded, so that each case can decide what kind of site it is on: the few functions of
 * WordPress that the drop-in calls are below. Between the drop-in and Redis stands a proxy of our own, which records every
 * command and can refuse, hang or be slow. Values live under a prefix that is drawn for the run, within the site's own,
 * and what processes leave for each other in a directory for the run.
 */

declare(strict_types=1);

// --- What WordPress would bring -----------------------------------------------------------------------------------

$multisite = false;
$blog_id = 1;
$suspended = false;
/** @var list<array{string, string, string}> $wrong calls of _doing_it_wrong() */
$wrong = [];
/** @var list<array{string, callable}> $actions calls of add_action() */
$actions = [];

function is_multisite(): bool
{
    return $GLOBALS['multisite'];
}

function get_current_blog_id(): int
{
    return $GLOBALS['blog_id'];
}

function wp_suspend_cache_addition(): bool
{
    return $GLOBALS['suspended'];
}

function _doing_it_wrong(string ...$call): void
{
    $GLOBALS['wrong'][] = $call;
}

function _deprecated_function(string ...$call): void
{
}

function __(string $text): string
{
    return $text;
}

function esc_html(string $text): string
{
    return htmlspecialchars($text);
}

function add_action(string $name, callable $function): void
{
    $GLOBALS['actions'][] = [$name, $function];
}

function wp_using_ext_object_cache(?bool $using = null): bool
{
    return $GLOBALS['using_ext'] = $using ?? $GLOBALS['using_ext'] ?? true;
}

// --- The proxy: its own process -----------------------------------------------------------------------------------

/**
 * Passes bytes between the drop-in and Redis, as the file "mode" in its directory says: pass, refuse, hang, slow N (each
 * reply is N ms late), close (each connection after its next command).
 *
 * Writes for every command a line of JSON to "commands": {"trip": number of the round trip, "command": [base64, ...]}.
 */
function proxy(string $directory, string $target): never
{
    $listener = stream_socket_server('tcp://127.0.0.1:0');
    $address = stream_socket_get_name($listener, false);
    file_put_contents("$directory/address", $address);
    $record = fopen("$directory/commands", 'a');
    $mode = '';
    $trip = 0;
    /** @var array<int, array{client: resource, server: resource, bytes: string, spoke: string}> $pairs */
    $pairs = [];
    while (is_dir($directory)) {
        $wanted = (string) @file_get_contents("$directory/mode");
        if ($wanted !== $mode && $wanted !== '') {
            $mode = $wanted;
            if ($mode === 'refuse') {
                $listener = null;
                $pairs = [];
            } elseif (!$listener) {
                $listener = stream_socket_server("tcp://$address");
            }
            file_put_contents("$directory/mode.reached", $mode);
        }
        $streams = array_merge(array_column($pairs, 'client'), array_column($pairs, 'server'), $listener ? [$listener] : []);
        if ($mode === 'hang' || !$streams) {
            usleep(5000);
            continue;
        }
        $none = null;
        if (!stream_select($streams, $none, $none, 0, 5000)) {
            continue;
        }
        if (in_array($listener, $streams, true) && ($client = @stream_socket_accept($listener, 0))) {
            $server = stream_socket_client("tcp://$target");
            stream_set_blocking($client, false);
            stream_set_blocking($server, false);
            $pairs[] = ['client' => $client, 'server' => $server, 'bytes' => '', 'spoke' => 'server'];
        }
        foreach ($pairs as $number => &$pair) {
            foreach (['client' => 'server', 'server' => 'client'] as $from => $to) {
                if (!in_array($pair[$from], $streams, true)) {
                    continue;
                }
                $bytes = (string) fread($pair[$from], 65536);
                if ($bytes === '') {
                    if (feof($pair[$from])) {
                        unset($pairs[$number]);
                        continue 2;
                    }
                    continue;
                }
                if ($from === 'client') {
                    $trip += (int) ($pair['spoke'] === 'server');
                    $pair['bytes'] .= $bytes;
                    foreach (commands($pair['bytes']) as $command) {
                        fwrite($record, json_encode(['trip' => $trip, 'command' => array_map(base64_encode(...), $command)]) . "\n");
                    }
                    if ($mode === 'close') {
                        unset($pairs[$number]);
                        continue 2;
                    }
                } elseif (str_starts_with($mode, 'slow ')) {
                    usleep((int) substr($mode, 5) * 1000);
                }
                $pair['spoke'] = $from;
                stream_set_blocking($pair[$to], true);
                fwrite($pair[$to], $bytes);
                stream_set_blocking($pair[$to], false);
            }
        }
        unset($pair);
    }
    exit(0);
}

/** Takes the complete commands off the front of what a client has sent; of long arguments only the beginning. */
function commands(string &$bytes): array
{
    $commands = [];
    $offset = 0;
    while (preg_match('/\G\*(\d+)\r\n/', $bytes, $match, 0, $offset)) {
        $at = $offset + strlen($match[0]);
        $command = [];
        for ($i = 0; $i < (int) $match[1]; $i++) {
            if (!preg_match('/\G\$(\d+)\r\n/', $bytes, $length, 0, $at)) {
                break 2;
            }
            $at += strlen($length[0]);
            if (strlen($bytes) < $at + (int) $length[1] + 2) {
                break 2;
            }
            $command[] = substr($bytes, $at, min(300, (int) $length[1]));
            $at += (int) $length[1] + 2;
        }
        $commands[] = $command;
        $offset = $at;
    }
    $bytes = substr($bytes, $offset);
    return $commands;
}

// --- Tools --------------------------------------------------------------------------------------------------------

final class Different extends Exception
{
}

/** Fails unless both are the same, type included; arrays and objects by their content. */
function same(mixed $expected, mixed $actual, string $what = ''): void
{
    $comparable = static fn (mixed $value): string => var_export($value, true);
    if ($comparable($expected) !== $comparable($actual)) {
        $short = static fn (mixed $value): string => substr($comparable($value), 0, 500);
        throw new Different(trim("$what expected {$short($expected)}, is {$short($actual)}"));
    }
}

function demand(bool $fact, string $what): void
{
    if (!$fact) {
        throw new Different($what);
    }
}

/** Begins another request in this process: nothing is remembered. */
function request(array $settings = [], bool $write_only = false): WP_Object_Cache
{
    $cache = $GLOBALS['wp_object_cache'] = new WP_Object_Cache([...$GLOBALS['settings'], ...$settings], $write_only);
    $cache->add_global_groups(['users', 'sites']);
    $cache->add_non_persistent_groups(['counts']);
    return $cache;
}

/** Begins a request on one site of a network. */
function on_blog(int $blog): WP_Object_Cache
{
    $GLOBALS['multisite'] = true;
    $GLOBALS['blog_id'] = $blog;
    return request();
}

/** Starts another process with a request that runs code; returns what is to be passed to result(). */
function start(string $code): array
{
    $command = [PHP_BINARY, '-d', 'display_errors=stderr', '-d', "error_log={$GLOBALS['directory']}/log", __FILE__, '--child'];
    $process = proc_open($command, [['pipe', 'r'], ['pipe', 'w'], ['pipe', 'w']], $pipes);
    fwrite($pipes[0], serialize([$GLOBALS['settings'], $GLOBALS['drop_in'], $GLOBALS['directory'], $code]));
    fclose($pipes[0]);
    return [$process, $pipes];
}

/** Waits for a process and returns what its code returned. */
function result(array $started): mixed
{
    [$process, $pipes] = $started;
    $output = stream_get_contents($pipes[1]);
    $errors = stream_get_contents($pipes[2]);
    proc_close($process);
    same('', $errors, 'errors of another process');
    return unserialize($output);
}

/** Runs code in another process's request. */
function elsewhere(string $code): mixed
{
    return result(start($code));
}

/** Makes the proxy behave otherwise. */
function proxy_shall(string $mode): void
{
    file_put_contents("{$GLOBALS['directory']}/mode", $mode);
    for ($i = 0; @file_get_contents("{$GLOBALS['directory']}/mode.reached") !== $mode; $i++) {
        demand($i < 12000, "the proxy does not $mode");
        usleep(5000);
    }
}

/** Ends the pause after a failure, as if its seconds had passed. */
function pause_is_over(): void
{
    touch("{$GLOBALS['directory']}/.pressdock-cache-down", time() - 60);
}

/**
 * Runs something and returns what was sent to Redis meanwhile.
 *
 * @return list<array{trip: int, command: list<string>}>
 */
function sent(?callable $function = null): array
{
    $file = "{$GLOBALS['directory']}/commands";
    clearstatcache();
    $offset = $function ? filesize($file) : 0;
    if ($function) {
        $function();
    }
    return array_map(static function (string $line): array {
        $entry = json_decode($line, true);
        $command = array_map(base64_decode(...), $entry['command']);
        // phpredis writes words of the protocol in either case.
        $options = array_map(strtoupper(...), $command[0] === 'SET' ? array_splice($command, 3) : []);
        return ['trip' => $entry['trip'], 'command' => [...$command, ...$options]];
    }, array_filter(explode("\n", (string) file_get_contents($file, false, null, $offset))));
}

/** Number of round trips that something takes. */
function trips(callable $function): int
{
    return count(array_unique(array_column(sent($function), 'trip')));
}

/** A connection of the test's own, with the same rights, past the proxy. */
function redis(): Redis
{
    static $redis;
    if (!$redis) {
        $redis = new Redis();
        $redis->connect($GLOBALS['declared']['host'], $GLOBALS['declared']['port']);
        $redis->auth([$GLOBALS['settings']['user'], $GLOBALS['settings']['password']]);
    }
    return $redis;
}

/** The name in Redis under which the last value was stored. */
function last_name(): string
{
    $sets = array_filter(sent(), static fn (array $entry): bool => strtolower($entry['command'][0]) === 'set');
    return end($sets)['command'][1];
}

function seconds(callable $function): float
{
    $began = hrtime(true);
    $function();
    return (hrtime(true) - $began) / 1e9;
}

/** Lines that the drop-in has written to the error log. */
function log_lines(): array
{
    return @file("{$GLOBALS['directory']}/log", FILE_IGNORE_NEW_LINES) ?: [];
}

class Thing
{
    public mixed $part = 1;
}

class Stubborn
{
    public function __unserialize(array $data): void
    {
        throw new LogicException('never again');
    }
}

enum Suit
{
    case Hearts;
}

// --- Another process's request --------------------------------------------------------------------------------------

if (($argv[1] ?? '') === '--proxy') {
    proxy($argv[2], $argv[3]);
}
if (($argv[1] ?? '') === '--child') {
    [$settings, $drop_in, $directory, $code] = unserialize(stream_get_contents(STDIN));
    require $drop_in;
    $cache = request();
    echo serialize(eval($code));
    exit(0);
}

// --- Preparation ----------------------------------------------------------------------------------------------------

[, $settings_file, $drop_in] = $argv;
$core = '/usr/share/wordpress/wp-includes';
error_reporting(E_ALL);
require $settings_file;
require $drop_in;
$declared = PRESSDOCK_CACHE;
$target = "{$declared['host']}:{$declared['port']}";
$directory = sys_get_temp_dir() . '/cache-test-' . bin2hex(random_bytes(6));
mkdir($directory);
ini_set('error_log', "$directory/log");
register_shutdown_function(static function () use ($directory): void {
    array_map(unlink(...), [...glob("$directory/*"), ...glob("$directory/.p*")]);
    rmdir($directory);
});
touch("$directory/commands");
proc_open([PHP_BINARY, __FILE__, '--proxy', $directory, $target], [], $pipes);
file_put_contents("$directory/mode", 'pass');
for ($i = 0; !is_file("$directory/mode.reached"); $i++) {
    $i < 2000 || exit("the proxy does not start\n");
    usleep(5000);
}
[, $port] = explode(':', file_get_contents("$directory/address"));
$settings = [
    'host' => '127.0.0.1', 'port' => (int) $port, 'prefix' => $declared['prefix'] . 'test-' . bin2hex(random_bytes(4)) . ':',
    // Longer than a site's: on a busy machine the proxy takes its time.
    'directory' => $directory, 'timeout' => 0.6, 'machine' => "$directory/idle",
] + $declared;
// Nothing of the drop-in may reach WordPress's error handlers.
set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    if (!(error_reporting() & $level)) {
        return true;
    }
    throw new Different("a warning escaped: $message, $file:$line");
});

$cases = [];

// --- Values ---------------------------------------------------------------------------------------------------------

$kinds = [
    'false' => false, 'null' => null, 'zero' => 0, 'an empty string' => '', 'an empty list' => [], 'true' => true,
    'a negative number' => -5, 'the largest number' => PHP_INT_MAX, 'the smallest number' => PHP_INT_MIN, 'a fraction' => 1.5,
    'a float without fraction' => 3.0, 'a number as text' => '42', 'a number with zeros as text' => '007',
    'text' => "ü 漢 🦀 \0 \r\n", 'nested lists' => ['a' => [1, [2, null]], 5 => 'x'], 'text like igbinary' => "\0\0\0\2\6\1",
    'a serialized text' => 'a:1:{i:0;i:1;}',
];
foreach ($kinds as $name => $value) {
    $cases["a value comes back as it was, now and in another request: $name"] = static function () use ($value): void {
        same(true, wp_cache_set('key', $value, 'values'));
        same($value, wp_cache_get('key', 'values', false, $found), 'in this request');
        same(true, $found, 'found');
        request();
        same($value, wp_cache_get('key', 'values', false, $found), 'in the next');
        same(true, $found, 'found');
        same($value, elsewhere("return wp_cache_get('key', 'values');"), 'in another process');
    };
}
$cases['objects come back, with what is in them'] = static function (): void {
    $thing = new Thing();
    $thing->part = new ArrayObject([1, 'x' => new Thing()]);
    wp_cache_set('key', $thing);
    request();
    same($thing, wp_cache_get('key'));
    wp_cache_set('suit', ['of' => Suit::Hearts]);
    wp_cache_set('bare', Suit::Hearts);
    request();
    same([['of' => Suit::Hearts], Suit::Hearts], [wp_cache_get('suit'), wp_cache_get('bare')]);
};
$cases['who changes an object after setting it does not change the cache'] = static function (): void {
    $thing = new Thing();
    wp_cache_set('key', $thing);
    $thing->part = 'changed';
    same(1, wp_cache_get('key')->part);
};
$cases['who changes an object that was got does not change the cache'] = static function (): void {
    wp_cache_set('key', new Thing());
    wp_cache_get('key')->part = 'changed';
    same(1, wp_cache_get('key')->part, 'set here');
    request();
    wp_cache_get('key')->part = 'changed';
    same(1, wp_cache_get('key')->part, 'read from Redis');
    wp_cache_get_multiple(['key'])['key']->part = 'changed';
    same(1, wp_cache_get('key')->part, 'read with others');
};
$cases['a value of a megabyte comes back'] = static function (): void {
    $value = random_bytes(1000000);
    request(['timeout' => 5]);
    wp_cache_set('big', $value);
    request(['timeout' => 5]);
    demand(wp_cache_get('big') === $value, 'it is another');
    wp_cache_delete('big');
};
$large = [
    'that compresses well' => str_repeat('harbour ', 700000), 'in pieces' => random_bytes(5 * 1024 * 1024 + 7),
    'in a list' => ['text' => str_repeat('x', 3 * 1024 * 1024), 'more' => random_bytes(2 * 1024 * 1024)],
];
foreach ($large as $name => $value) {
    $cases["a value of several MiB comes back for others: $name"] = static function () use ($value): void {
        request(['timeout' => 5]);
        foreach (['default', 'transient', 'site-transient'] as $group) {
            same(true, wp_cache_set('key', $value, $group, 600));
        }
        request(['timeout' => 5]);
        foreach (['default', 'transient', 'site-transient'] as $group) {
            demand(wp_cache_get('key', $group) === $value, "another value in $group");
        }
        wp_cache_set('key', 'small');
        request();
        same('small', wp_cache_get('key'));
        request();
        same(true, wp_cache_delete('key', 'transient'));
        request();
        same(false, wp_cache_get('key', 'transient'));
    };
}
$cases['a value of which a piece has gone is none'] = static function (): void {
    request(['timeout' => 5]);
    wp_cache_set('key', random_bytes(3 * 1024 * 1024));
    $name = last_name();
    foreach (sent() as ['command' => $command]) {
        if (str_starts_with($command[1] ?? '', "$name\0") && str_ends_with($command[1], ':1')) {
            redis()->unlink($command[1]);
        }
    }
    request(['timeout' => 5]);
    same(false, wp_cache_get('key', '', false, $found));
    same(false, $found);
};
$cases['a value that is too large for Redis lives for the request, and replaces what was there'] = static function (): void {
    request(['timeout' => 5]);
    $value = random_bytes(9 * 1024 * 1024);
    foreach (['default' => true, 'transient' => false, 'site-transient' => false] as $group => $said) {
        wp_cache_set('key', 'small', $group);
        same($said, wp_cache_set('key', $value, $group), "in $group");
        same([$said, true], array_values(wp_cache_set_multiple(['key' => $value, 'other' => 1], $group)), "several in $group");
        demand(wp_cache_get('key', $group) === $value, 'another value');
    }
    request(['timeout' => 5]);
    same([false, false, false], [wp_cache_get('key'), wp_cache_get('key', 'transient'), wp_cache_get('key', 'site-transient')]);
};
$cases['a function cannot be stored: it lives for the request, and replaces what was there'] = static function (): void {
    wp_cache_set('key', 'old');
    same(true, wp_cache_set('key', static fn (): int => 7));
    same(7, wp_cache_get('key')());
    same(true, wp_cache_add('other', static fn (): int => 8));
    same(8, wp_cache_get('other')());
    request();
    same([false, false], [wp_cache_get('key'), wp_cache_get('other')]);
};

// --- Keys and groups ------------------------------------------------------------------------------------------------

$cases['what is not there is false, and not found'] = static function (): void {
    $found = true;
    same(false, wp_cache_get('missing', 'values', false, $found));
    same(false, $found);
};
$cases['a number as key is the same key as its text'] = static function (): void {
    wp_cache_set(15, 'fifteen');
    same('fifteen', wp_cache_get('15'));
    request();
    same(['fifteen', 'fifteen'], [wp_cache_get('15'), wp_cache_get(15)]);
    wp_cache_set(0, 'zero');
    request();
    same('zero', wp_cache_get(0));
};
foreach (['empty' => '', 'blank' => " \n", 'null' => null, 'false' => false, 'a fraction' => 1.5, 'a list' => []] as $name => $key) {
    $cases["a key that is none is refused, and WordPress is told: $name"] = static function () use ($key): void {
        global $wrong;
        $calls = [
            'add' => static fn () => wp_cache_add($key, 1), 'set' => static fn () => wp_cache_set($key, 1),
            'replace' => static fn () => wp_cache_replace($key, 1), 'get' => static fn () => wp_cache_get($key),
            'delete' => static fn () => wp_cache_delete($key), 'incr' => static fn () => wp_cache_incr($key),
            'decr' => static fn () => wp_cache_decr($key),
        ];
        foreach ($calls as $name => $call) {
            $wrong = [];
            same([], sent(static fn () => same(false, $call(), $name)), "$name sent");
            same(1, count($wrong), "$name told");
            same(["WP_Object_Cache::$name", '6.1.0'], [$wrong[0][0], $wrong[0][2]]);
            demand(str_starts_with($wrong[0][1], 'Cache key must'), $wrong[0][1]);
        }
    };
}
$cases['refused keys among good ones do not harm those'] = static function (): void {
    same(['' => false, 'a' => true], wp_cache_set_multiple(['' => 1, 'a' => 2]));
    same(['a' => 2, '' => false], wp_cache_get_multiple(['a', '']));
    same(['' => false, 'a' => false, 'b' => true], wp_cache_add_multiple(['' => 1, 'a' => 2, 'b' => 3]));
    same(['a' => true, '' => false], wp_cache_delete_multiple(['a', '']));
};
$cases['keys may hold anything: spaces, lines, unicode, bytes, separators'] = static function (): void {
    $keys = ['with space', "line\nline\r\n", 'ü漢🦀', "\0\xff\x80bytes", 'a:b:c', '*', '%3A', '{x}', str_repeat('long', 500)];
    $values = array_combine($keys, range(1, count($keys)));
    wp_cache_set_multiple($values, 'odd keys');
    request();
    same($values, wp_cache_get_multiple($keys, 'odd keys'));
    foreach ($values as $key => $value) {
        same($value, wp_cache_get($key, 'odd keys'));
    }
};
$cases['groups may be named anything, and keep apart what only looks the same'] = static function (): void {
    wp_cache_set('b:c', 1, 'a');
    wp_cache_set('c', 2, 'a:b');
    wp_cache_set('c', 3, 'a%3Ab');
    wp_cache_set('c', 4, "a\nb\0ü");
    request();
    same([1, 2, 3, 4], [wp_cache_get('b:c', 'a'), wp_cache_get('c', 'a:b'), wp_cache_get('c', 'a%3Ab'), wp_cache_get('c', "a\nb\0ü")]);
};
$cases['one key in two groups is two'] = static function (): void {
    wp_cache_set('key', 1, 'one');
    wp_cache_set('key', 2, 'two');
    same([1, 2], [wp_cache_get('key', 'one'), wp_cache_get('key', 'two')]);
    wp_cache_delete('key', 'one');
    request();
    same([false, 2], [wp_cache_get('key', 'one'), wp_cache_get('key', 'two')]);
};
$cases['no group is the group "default"'] = static function (): void {
    wp_cache_set('key', 'x');
    same(['x', 'x'], [wp_cache_get('key', 'default'), wp_cache_get('key', '')]);
    same('x', $GLOBALS['wp_object_cache']->get('key'));
};
$cases['sites with other prefixes share nothing'] = static function (): void {
    wp_cache_set('key', 'mine');
    request(['prefix' => $GLOBALS['settings']['prefix'] . 'x:']);
    same(false, wp_cache_get('key'));
    wp_cache_set('key', 'yours');
    wp_cache_flush();
    request();
    same('mine', wp_cache_get('key'));
};
$cases['sites with other tables share nothing'] = static function (): void {
    $GLOBALS['table_prefix'] = 'one_';
    request();
    wp_cache_set('key', 'one');
    $GLOBALS['table_prefix'] = 'two_';
    request();
    same(false, wp_cache_get('key'));
    $GLOBALS['table_prefix'] = 'one_';
    request();
    same('one', wp_cache_get('key'));
};

// --- Operations -----------------------------------------------------------------------------------------------------

$cases['add adds what is not there, and nothing else'] = static function (): void {
    same([true, false], [wp_cache_add('key', 1), wp_cache_add('key', 2)]);
    same(1, wp_cache_get('key'));
    request();
    same(false, wp_cache_add('key', 3), 'in the next request');
    same(1, wp_cache_get('key'));
    wp_cache_delete('key');
    same(true, wp_cache_add('key', 4));
    wp_cache_set('none', false);
    request();
    same(false, wp_cache_add('none', 5), 'a stored false');
};
$cases['add does nothing while additions are suspended'] = static function (): void {
    global $suspended;
    $suspended = true;
    same(false, wp_cache_add('key', 1));
    same(['key' => false], wp_cache_add_multiple(['key' => 1]));
    same(true, wp_cache_set('other', 1));
    $suspended = false;
    same([false, 1], [wp_cache_get('key'), wp_cache_get('other')]);
};
$cases['replace replaces what is there, and nothing else'] = static function (): void {
    same(false, wp_cache_replace('key', 1));
    same(false, wp_cache_get('key'));
    wp_cache_set('key', 1);
    same(true, wp_cache_replace('key', 2));
    request();
    same(true, wp_cache_replace('key', 3), 'in the next request');
    request();
    same(3, wp_cache_get('key'));
    elsewhere("wp_cache_delete('key');");
    same(false, wp_cache_replace('key', 4), 'deleted elsewhere');
    same(false, wp_cache_get('key'));
};
$cases['delete deletes, and says whether there was something'] = static function (): void {
    same(false, wp_cache_delete('key'));
    wp_cache_set('key', 1);
    same(true, wp_cache_delete('key'));
    same([false, false], [wp_cache_get('key'), wp_cache_delete('key')]);
    wp_cache_set('key', 1);
    request();
    same(true, wp_cache_delete('key'), 'in the next request');
    request();
    same(false, wp_cache_get('key'));
};
$cases['incr and decr count'] = static function (): void {
    wp_cache_set('key', 5);
    same([6, 16, 15, 5], [wp_cache_incr('key'), wp_cache_incr('key', 10), wp_cache_decr('key'), wp_cache_decr('key', 10)]);
    same(5, wp_cache_get('key'));
    request();
    same(5, wp_cache_get('key'));
    same(8, wp_cache_incr('key', 3), 'in the next request');
};
$cases['incr and decr of what is not there is false, and makes nothing'] = static function (): void {
    same([false, false], [wp_cache_incr('key'), wp_cache_decr('key', 2)]);
    same(false, wp_cache_get('key'));
    request();
    same(false, wp_cache_get('key'));
};
$cases['counting does not go below zero'] = static function (): void {
    wp_cache_set('key', 3);
    same([0, 2], [wp_cache_decr('key', 9), wp_cache_incr('key', 2)]);
    same(0, wp_cache_incr('key', -7));
};
$cases['counting takes what is no number for zero, and text for its number'] = static function (): void {
    wp_cache_set_multiple(['word' => 'word', 'list' => [1], 'text' => '5', 'null' => null, 'fraction' => 1.5]);
    request();
    same([2, 1, 6, 1, 2.5], [
        wp_cache_incr('word', 2), wp_cache_incr('list'), wp_cache_incr('text'), wp_cache_incr('null'), wp_cache_incr('fraction'),
    ]);
    request();
    same(['word' => 2, 'text' => 6, 'fraction' => 2.5], wp_cache_get_multiple(['word', 'text', 'fraction']));
};
$cases['counting keeps the end of a value'] = static function (): void {
    wp_cache_set('key', 1, '', 3);
    wp_cache_incr('key');
    $ttl = sent(static fn () => wp_cache_incr('key'));
    demand(in_array('KEEPTTL', array_merge(...array_column($ttl, 'command')), true), 'not kept');
    usleep(3100000);
    same(false, elsewhere("return wp_cache_get('key');"));
};
$cases['groups that are not persistent work as others do in one request'] = static function (): void {
    same(true, wp_cache_add('key', 1, 'counts'));
    same([false, true, 2, 4, 3], [
        wp_cache_add('key', 1, 'counts'), wp_cache_replace('key', 2, 'counts'), wp_cache_get('key', 'counts'),
        wp_cache_incr('key', 2, 'counts'), wp_cache_decr('key', 1, 'counts'),
    ]);
    same([true, false], [wp_cache_delete('key', 'counts'), wp_cache_get('key', 'counts', true)]);
};
$cases['groups that are not persistent never reach Redis'] = static function (): void {
    wp_cache_get('connect first');
    same([], sent(static function (): void {
        wp_cache_set('key', 1, 'counts', 5);
        wp_cache_add('other', 1, 'counts');
        wp_cache_set_multiple(['x' => 1], 'counts');
        wp_cache_get('missing', 'counts', true);
        wp_cache_get_multiple(['x', 'y'], 'counts', true);
        wp_cache_incr('key', 1, 'counts');
        wp_cache_replace('key', 1, 'counts');
        wp_cache_delete('key', 'counts');
        wp_cache_delete_multiple(['x', 'y'], 'counts');
        wp_cache_flush_group('counts');
    }));
    same(false, elsewhere("return wp_cache_get('other', 'counts');"));
};

// --- Several at once ------------------------------------------------------------------------------------------------

$cases['get_multiple returns all keys in their order, false for what is not there'] = static function (): void {
    wp_cache_set('b', 2, 'many');
    wp_cache_set(7, 'seven', 'many');
    request();
    same(['a' => false, 'b' => 2, 7 => 'seven'], wp_cache_get_multiple(['a', 'b', 7], 'many'));
    same([], wp_cache_get_multiple([], 'many'));
};
$cases['get_multiple is one round trip, and asks only for what is not known'] = static function (): void {
    wp_cache_set_multiple(array_combine(range(1, 50), range(1, 50)), 'many');
    request();
    wp_cache_get(1, 'many');
    $sent = sent(static fn () => wp_cache_get_multiple(range(1, 50), 'many'));
    same(1, count(array_unique(array_column($sent, 'trip'))));
    same(['MGET', 'HMGET'], array_map(static fn (array $entry): string => strtoupper($entry['command'][0]), $sent));
    same(49, count($sent[0]['command']) - 1);
    same([], sent(static fn () => wp_cache_get_multiple(range(1, 50), 'many')));
};
$cases['the own counter of round trips is right'] = static function (): void {
    $before = $GLOBALS['wp_object_cache']->info()['round_trips'];
    $trips = trips(static function (): void {
        wp_cache_get('a');
        wp_cache_set('a', 1);
        wp_cache_get_multiple(['b', 'c']);
    });
    same($trips, $GLOBALS['wp_object_cache']->info()['round_trips'] - $before);
};
$cases['set_multiple, add_multiple and delete_multiple are one round trip each'] = static function (): void {
    wp_cache_get('connect first');
    same(1, trips(static fn () => same(['a' => true, 'b' => true], wp_cache_set_multiple(['a' => 1, 'b' => 2], 'many'))));
    same(1, trips(static fn () => same(['b' => false, 'c' => true, 'd' => true],
        wp_cache_add_multiple(['b' => 0, 'c' => 3, 'd' => 4], 'many'))));
    request();
    same(['a' => 1, 'b' => 2, 'c' => 3], wp_cache_get_multiple(['a', 'b', 'c'], 'many'));
    same(1, trips(static fn () => same(['a' => true, 'x' => false, 'd' => true], wp_cache_delete_multiple(['a', 'x', 'd'], 'many'))));
    request();
    same(['a' => false, 'b' => 2, 'd' => false], wp_cache_get_multiple(['a', 'b', 'd'], 'many'));
};
$cases['what a request knows is not asked again, unless it insists'] = static function (): void {
    wp_cache_set('key', 1);
    same([], sent(static fn () => wp_cache_get('key')));
    elsewhere("wp_cache_set('key', 2);");
    same(1, wp_cache_get('key'));
    same(2, wp_cache_get('key', '', true));
    elsewhere("wp_cache_set('key', 3);");
    same(['key' => 3], wp_cache_get_multiple(['key'], '', true));
    elsewhere("wp_cache_delete('key');");
    same(false, wp_cache_get('key', '', true));
    same(false, wp_cache_get('key'), 'afterwards');
};
$cases['a request that never asks does not connect'] = static function (): void {
    same([], sent(static fn () => request()));
};
$cases['the first value takes two round trips, login included'] = static function (): void {
    wp_cache_set('key', 1);
    request();
    same(2, trips(static fn () => wp_cache_get('key')));
};

// --- Ends -----------------------------------------------------------------------------------------------------------

$cases['a value ends after its seconds, here and elsewhere'] = static function (): void {
    wp_cache_set('key', 1, '', 2);
    wp_cache_add('added', 1, '', 2);
    wp_cache_set('long', 1, '', 600);
    same([1, 1], [wp_cache_get('key'), wp_cache_get('added')]);
    wp_cache_set('key', 1, '', 2);
    usleep(2100000);
    same([false, false, 1], [wp_cache_get('key'), wp_cache_get('added'), wp_cache_get('long')]);
    same([false, false, 1], elsewhere("return [wp_cache_get('key'), wp_cache_get('added'), wp_cache_get('long')];"));
    same(true, wp_cache_add('key', 2), 'add after the end');
};
$cases['a value set again has a new end'] = static function (): void {
    wp_cache_set('key', 1, '', 1);
    wp_cache_set('key', 2);
    usleep(1100000);
    same(2, wp_cache_get('key'));
    request();
    same(2, wp_cache_get('key'));
};
$cases['a value whose end has passed is none'] = static function (): void {
    wp_cache_set('key', 1);
    same(true, wp_cache_set('key', 2, '', -1));
    same(false, wp_cache_get('key'));
    request();
    same(false, wp_cache_get('key'));
};
$cases['ends are taken as numbers or text, and every value has one'] = static function (): void {
    wp_cache_get('connect first');
    $of = static function (mixed $expire): int {
        $command = sent(static fn () => wp_cache_set('key', 1, '', $expire))[0]['command'];
        return (int) $command[array_search('EX', $command, true) + 1];
    };
    same([90, 90, 604800, 604800], [$of(90), $of('90'), $of(0), $of(99999999)]);
};

// --- Flushing -------------------------------------------------------------------------------------------------------

$cases['flush leaves nothing'] = static function (): void {
    wp_cache_set('key', 1, 'one');
    wp_cache_set('key', 1, 'users');
    wp_cache_set('key', 1, 'counts');
    same(true, wp_cache_flush());
    same([false, false, false], [wp_cache_get('key', 'one'), wp_cache_get('key', 'users'), wp_cache_get('key', 'counts')]);
    request();
    same([false, false], [wp_cache_get('key', 'one'), wp_cache_get('key', 'users')]);
    wp_cache_set('key', 2, 'one');
    request();
    same(2, wp_cache_get('key', 'one'), 'afterwards');
};
$cases['flush_group leaves other groups'] = static function (): void {
    wp_cache_set('key', 1, 'one');
    wp_cache_set('key', 2, 'two');
    same(true, wp_cache_flush_group('one'));
    same([false, 2], [wp_cache_get('key', 'one'), wp_cache_get('key', 'two')]);
    request();
    same([false, 2], [wp_cache_get('key', 'one'), wp_cache_get('key', 'two')]);
    wp_cache_set('key', 3, 'one');
    request();
    same(3, wp_cache_get('key', 'one'), 'afterwards');
};
$cases['flush_runtime leaves what is in Redis'] = static function (): void {
    wp_cache_set('key', 1);
    wp_cache_set('key', 1, 'counts');
    same([], sent(static fn () => same(true, wp_cache_flush_runtime())));
    same([1, false], [wp_cache_get('key'), wp_cache_get('key', 'counts')]);
};
$cases['another process\'s flush is seen with the next question, and nothing older is remembered'] = static function (): void {
    wp_cache_set_multiple(['a' => 1, 'b' => 1]);
    wp_cache_set('mine', 1, 'counts');
    request();
    wp_cache_get('a');
    wp_cache_set('mine', 1, 'counts');
    elsewhere("wp_cache_flush();");
    same([false, false, 1], [wp_cache_get('b'), wp_cache_get('a'), wp_cache_get('mine', 'counts')]);
    wp_cache_set_multiple(['a' => 1], 'one');
    wp_cache_set('a', 1, 'two');
    elsewhere("wp_cache_flush_group('one');");
    same([false, 1, 1], [wp_cache_get('x', 'one'), wp_cache_get('a', 'two'), elsewhere("return wp_cache_get('a', 'two');")]);
    same(false, wp_cache_get('a', 'one'));
};
$cases['what was computed before another process\'s flush is not stored after it'] = static function (): void {
    foreach (["wp_cache_flush();", "wp_cache_flush_group('values');"] as $flush) {
        foreach (['set', 'add', 'set_multiple', 'add_multiple'] as $way) {
            wp_cache_get('connect first', 'values');
            elsewhere($flush);
            same(true, str_contains($way, '_')
                ? ("wp_cache_$way")([$way => 'computed'], 'values')[$way] : ("wp_cache_$way")($way, 'computed', 'values'));
            same('computed', wp_cache_get($way, 'values'), 'in this request');
            same(false, elsewhere("return wp_cache_get('$way', 'values');"), "$way after $flush");
            request();
        }
    }
};
$cases['a deletion after another process\'s flush deletes what came since'] = static function (): void {
    wp_cache_get('connect first');
    elsewhere("wp_cache_flush(); wp_cache_set('key', 'since'); wp_cache_set('set', 'since');");
    same(true, wp_cache_delete('key'));
    elsewhere("wp_cache_flush(); wp_cache_set('set', 'since');");
    wp_cache_set('set', 'here');
    same([false, false], elsewhere("return [wp_cache_get('key'), wp_cache_get('set')];"));
};
$cases['generations that Redis has evicted are a flush, and nothing comes back'] = static function (): void {
    wp_cache_set('key', 1, 'one');
    wp_cache_flush_group('two');
    wp_cache_set('key', 1, 'two');
    redis()->unlink($GLOBALS['settings']['prefix'] . 'generations');
    same(false, wp_cache_get('key', 'one', true), 'in this request');
    same(false, wp_cache_get('key', 'two'), 'in this request');
    request();
    same([false, false], [wp_cache_get('key', 'one'), wp_cache_get('key', 'two')]);
    wp_cache_set('key', 2, 'one');
    redis()->unlink($GLOBALS['settings']['prefix'] . 'generations');
    wp_cache_set('key', 3, 'one');
    same(false, elsewhere("return wp_cache_get('key', 'one');"));
    redis()->unlink($GLOBALS['settings']['prefix'] . 'generations');
    wp_cache_flush_group('two');
    wp_cache_set('key', 4, 'two');
    wp_cache_set('key', 5, 'two');
    same(5, elsewhere("return wp_cache_get('key', 'two');"), 'afterwards');
};

// --- Networks of sites ----------------------------------------------------------------------------------------------

$cases['sites of a network have their own values'] = static function (): void {
    on_blog(1);
    wp_cache_set('key', 'one');
    wp_cache_switch_to_blog(2);
    same(false, wp_cache_get('key'));
    wp_cache_set('key', 'two');
    wp_cache_switch_to_blog(1);
    same('one', wp_cache_get('key'));
    on_blog(2);
    same('two', wp_cache_get('key'));
    wp_cache_delete('key');
    on_blog(1);
    same('one', wp_cache_get('key'));
};
$cases['global groups are the same on all sites of a network'] = static function (): void {
    on_blog(1);
    wp_cache_set(5, 'somebody', 'users');
    wp_cache_switch_to_blog(2);
    same('somebody', wp_cache_get(5, 'users'));
    on_blog(2);
    same('somebody', wp_cache_get(5, 'users'));
    wp_cache_add_global_groups('own');
    wp_cache_set('key', 'x', 'own');
    $cache = on_blog(1);
    $cache->add_global_groups(['own']);
    same('x', wp_cache_get('key', 'own'));
};
$cases['flush_group flushes it on all sites of a network'] = static function (): void {
    on_blog(1);
    wp_cache_set('key', 1, 'one');
    on_blog(2);
    wp_cache_set('key', 2, 'one');
    wp_cache_flush_group('one');
    on_blog(1);
    same(false, wp_cache_get('key', 'one'));
};
$cases['flush_blog leaves other sites of the network and what they share'] = static function (): void {
    foreach ([1, 2, 12] as $blog) {
        on_blog($blog);
        wp_cache_set('key', $blog);
        wp_cache_set('key', 'shared', 'users');
    }
    $cache = on_blog(2);
    wp_cache_get('key');
    same(true, $cache->flush_blog());
    same([false, 'shared'], [wp_cache_get('key'), wp_cache_get('key', 'users')]);
    on_blog(2);
    same([false, 'shared'], [wp_cache_get('key'), wp_cache_get('key', 'users')]);
    wp_cache_set('key', 'new');
    on_blog(2);
    same('new', wp_cache_get('key'), 'afterwards');
    on_blog(1);
    same(1, wp_cache_get('key'));
    $GLOBALS['wp_object_cache']->flush_blog(12);
    on_blog(12);
    same(false, wp_cache_get('key'));
};
$cases['another process\'s flush_blog is seen with the next question'] = static function (): void {
    on_blog(2);
    wp_cache_set_multiple(['a' => 1, 'b' => 1]);
    wp_cache_set('user', 1, 'users');
    elsewhere("on_blog(2)->flush_blog();");
    on_blog(2);
    wp_cache_set('a', 2);
    elsewhere("on_blog(2)->flush_blog();");
    same([false, false, 1], [wp_cache_get('b'), wp_cache_get('a'), wp_cache_get('user', 'users')]);
};
$cases['flush flushes a whole network'] = static function (): void {
    on_blog(1);
    wp_cache_set('key', 1);
    on_blog(2);
    wp_cache_flush();
    on_blog(1);
    same(false, wp_cache_get('key'));
};
$cases['reset forgets what is not global'] = static function (): void {
    on_blog(1);
    wp_cache_set('key', 1, 'users');
    wp_cache_set('key', 1, 'counts');
    wp_cache_reset();
    same([1, false], [wp_cache_get('key', 'users'), wp_cache_get('key', 'counts')]);
};

// --- Several processes ----------------------------------------------------------------------------------------------

$cases['two processes see each other\'s changes'] = static function (): void {
    elsewhere("wp_cache_set('key', ['from' => 'there']); wp_cache_set('n', 5);");
    same([['from' => 'there'], 5], [wp_cache_get('key'), wp_cache_get('n')]);
    wp_cache_set('key', 'from here');
    wp_cache_delete('n');
    same(['from here', false], elsewhere("return [wp_cache_get('key'), wp_cache_get('n')];"));
};
$cases['counts of several processes at once add up'] = static function (): void {
    wp_cache_set('n', 0);
    $code = "for (\$i = 0; \$i < 60; \$i++) { \$seen[] = wp_cache_incr('n', 2); if (\$i % 3 === 0) { wp_cache_decr('n'); } } return \$seen;";
    $seen = array_merge(...array_map(result(...), array_map(start(...), array_fill(0, 4, $code))));
    same(4 * (60 * 2 - 20), wp_cache_get('n', '', true));
    demand(!in_array(false, $seen, true), 'one of them got none');
};
$cases['of several processes that add at once, one succeeds'] = static function (): void {
    $code = "for (\$i = 0; \$i < 40; \$i++) { \$won[] = wp_cache_add(\"lock-\$i\", getmypid()); } return [getmypid(), \$won];";
    $all = array_map(result(...), array_map(start(...), array_fill(0, 4, $code)));
    for ($i = 0; $i < 40; $i++) {
        $winners = array_filter($all, static fn (array $one): bool => $one[1][$i]);
        same(1, count($winners), "lock-$i:");
        same(reset($winners)[0], wp_cache_get("lock-$i"), "lock-$i:");
    }
};

// --- Write-only, stored ---------------------------------------------------------------------------------------------

$cases['write-only: nothing is read from Redis'] = static function (): void {
    wp_cache_set_multiple(['key' => 'in Redis', 'n' => 5]);
    request(write_only: true);
    $sent = sent(static function (): void {
        same([false, ['n' => false], false], [wp_cache_get('key', '', true), wp_cache_get_multiple(['n']), wp_cache_incr('n')]);
        same(false, wp_cache_replace('key', 1));
    });
    same([], $sent);
};
$cases['write-only: changes are passed on'] = static function (): void {
    wp_cache_set_multiple(['set' => 1, 'deleted' => 1, 'n' => 1, 'replaced' => 1]);
    request(write_only: true);
    wp_cache_set('set', 2);
    wp_cache_set('n', 5);
    same([6, 2, true], [wp_cache_incr('n'), wp_cache_get('set'), wp_cache_delete('deleted')]);
    wp_cache_set('replaced', 2);
    same([true, 3], [wp_cache_replace('replaced', 3), wp_cache_get('replaced')]);
    request();
    same(['set' => 2, 'deleted' => false, 'n' => 6, 'replaced' => 3], wp_cache_get_multiple(['set', 'deleted', 'n', 'replaced']));
    request(write_only: true);
    wp_cache_flush();
    request();
    same(false, wp_cache_get('set'));
};
$cases['write-only: an addition succeeds here, and leaves what Redis has'] = static function (): void {
    wp_cache_set('key', 'in Redis');
    $cache = request(write_only: true);
    same([true, 'fresh', false], [wp_cache_add('key', 'fresh'), wp_cache_get('key'), wp_cache_add('key', 'again')]);
    same(true, wp_cache_add('new', 'fresh'));
    same(['in Redis', 'fresh'], [$cache->stored('default', 'key'), $cache->stored('default', 'new')]);
};
$cases['stored tells what Redis holds, whatever the request knows'] = static function (): void {
    $cache = request();
    wp_cache_set('key', [1]);
    wp_cache_set('false', false);
    elsewhere("wp_cache_set('key', [2]);");
    same([[1], [2], false, null, null], [
        wp_cache_get('key'), $cache->stored('', 'key'), $cache->stored('default', 'false'), $cache->stored('default', 'none'),
        $cache->stored('counts', 'key'),
    ]);
    same([2], request(write_only: true)->stored('default', 'key'));
    same([1], [1]);
    proxy_shall('refuse');
    same(null, request()->stored('default', 'key'));
};

// --- Without Redis --------------------------------------------------------------------------------------------------

$cases['without settings it is a cache for one request, and transients go to the database'] = static function (): void {
    global $actions;
    $actions = [];
    $GLOBALS['wp_object_cache'] = new WP_Object_Cache();
    same([], sent(static function (): void {
        same([true, false, 1], [wp_cache_add('key', 1), wp_cache_add('key', 2), wp_cache_get('key', '', true)]);
        same([2, true, false], [wp_cache_incr('key'), wp_cache_delete('key'), wp_cache_get('key')]);
        same([true, true], [wp_cache_flush(), wp_cache_flush_group('x')]);
        same(null, $GLOBALS['wp_object_cache']->stored('default', 'key'));
    }));
    same('off', $GLOBALS['wp_object_cache']->info()['state']);
    $init = 'define("PRESSDOCK_CACHE", null); wp_cache_init(); wp_cache_set("a", 1); foreach ($GLOBALS["actions"] as $a) { $a[1](); }'
        . 'return [wp_cache_get("a"), array_column($GLOBALS["actions"], 0), wp_using_ext_object_cache()];';
    same([1, ['muplugins_loaded'], false], elsewhere($init));
};
$works = static function (string $how): void {
    same(true, wp_cache_set('here', [1]), "set while Redis $how");
    same([[1], true, false, true], [
        wp_cache_get('here', '', true), wp_cache_add('added', 1), wp_cache_add('added', 1), wp_cache_replace('added', 5),
    ], "while Redis $how");
    same([6, true, false, false], [
        wp_cache_incr('added'), wp_cache_delete('added'), wp_cache_get('added'), wp_cache_get('key'),
    ], "while Redis $how");
    same([['a' => true], ['a' => 1, 'b' => false], true, false], [
        wp_cache_set_multiple(['a' => 1]), wp_cache_get_multiple(['a', 'b']), wp_cache_flush(), wp_cache_get('a'),
    ], "while Redis $how");
};
foreach (['refuse' => 'refuses connections', 'hang' => 'hangs (as when stopped)'] as $mode => $how) {
    $cases["a request works, and quickly, while Redis $how; later ones do not even ask"] = static function () use ($mode, $works, $how): void {
        wp_cache_set('key', 'old');
        request();
        proxy_shall($mode);
        $took = seconds(static fn () => $works($how));
        demand($took < 1.5, sprintf('the first took %.2f s', $took));
        same('down', $GLOBALS['wp_object_cache']->info()['state']);
        $took = seconds(static function () use ($works, $how): void {
            for ($i = 0; $i < 5; $i++) {
                request();
                $works($how);
            }
        });
        demand($took < 0.6, sprintf('five more took %.2f s', $took));
        same(['paused', null], [$GLOBALS['wp_object_cache']->info()['state'], $GLOBALS['wp_object_cache']->ping()]);
        same('paused', elsewhere('$cache->get("x"); return $cache->info()["state"];'), 'in another process');
    };
}
$cases['a request in the middle of which Redis hangs ends quickly'] = static function (): void {
    wp_cache_set('key', 'x');
    proxy_shall('hang');
    $took = seconds(static function (): void {
        for ($i = 0; $i < 20; $i++) {
            wp_cache_set("key-$i", str_repeat('x', 100000));
            wp_cache_get("other-$i");
            wp_cache_incr('key');
        }
    });
    demand($took < 1.5, sprintf('it took %.2f s', $took));
    same(['x' => false, 'key-3' => str_repeat('x', 100000)], wp_cache_get_multiple(['x', 'key-3']));
};
$cases['a value that does not fit into the connection does not wait for ever'] = static function (): void {
    wp_cache_get('connect first');
    proxy_shall('hang');
    $took = seconds(static fn () => wp_cache_set('big', str_repeat('x', 7 * 1024 * 1024)));
    demand($took < 4.0, sprintf('it took %.2f s', $took));
    same('down', $GLOBALS['wp_object_cache']->info()['state']);
};
$cases['a request with many questions ends quickly while Redis is slow'] = static function (): void {
    $cache = request();
    wp_cache_get('connect first');
    proxy_shall('slow 250');
    $took = seconds(static function (): void {
        for ($i = 0; $i < 100; $i++) {
            wp_cache_get("key-$i");
        }
    });
    demand($took < 8.0, sprintf('it took %.2f s', $took));
    same(['up', true], [$cache->info()['state'], $cache->info()['late']]);
};
$cases['a request that asks no more passes on its changes, and nobody else gives Redis up'] = static function () use ($directory): void {
    wp_cache_set_multiple(['changed' => 'old', 'deleted' => 'old', 'kept' => 'old']);
    $cache = request();
    wp_cache_get('connect first');
    proxy_shall('slow 250');
    for ($i = 0; !$cache->info()['late']; $i++) {
        demand($i < 40, 'it asks for ever');
        wp_cache_get("key-$i");
    }
    same([], sent(static fn () => same([false, true], [wp_cache_get('kept'), wp_cache_add('added', 1)])));
    same([true, true, false], [wp_cache_set('changed', 'new'), wp_cache_delete('deleted'), is_file("$directory/.pressdock-cache-down")]);
    proxy_shall('pass');
    same(['new', false, 'old'], elsewhere('return array_map(wp_cache_get(...), ["changed", "deleted", "kept"]);'));
};
foreach (['busy' => ['up', '9.75 3.1 1 2/99 7'], 'suddenly busy' => ['up', '0.1 0.1 0.1 11/99 7'], 'idle' => ['down', '0.9 1 1 1/99 7']] as $how => [$state, $load]) {
    $cases["a late reply on a machine that is $how: $state"] = static function () use ($directory, $state, $load): void {
        $machine = "$directory-machine";
        mkdir("$machine/proc", 0700, true);
        mkdir("$machine/sys/devices/system/cpu", 0700, true);
        try {
            file_put_contents("$machine/proc/loadavg", $load);
            file_put_contents("$machine/sys/devices/system/cpu/online", "0,3\n");
            wp_cache_set('key', 'x');
            $cache = request(['timeout' => 0.15, 'machine' => $machine]);
            proxy_shall('slow 300');
            wp_cache_get('key');
            same($state, $cache->info()['state']);
        } finally {
            exec('rm -r ' . escapeshellarg($machine));
        }
    };
}
$cases['a transient that Redis does not take is not said to be kept'] = static function (): void {
    proxy_shall('refuse');
    request();
    same([true, false, false], [wp_cache_set('key', 1), wp_cache_set('key', 1, 'transient'), wp_cache_set('key', 1, 'site-transient', 60)]);
    same(1, wp_cache_get('key', 'transient'), 'in this request');
};
$cases['a connection that breaks in the middle of an exchange is no harm'] = static function (): void {
    wp_cache_set('key', 'x');
    proxy_shall('close');
    same([false, true, 1], [wp_cache_get('other'), wp_cache_set('other', 1), wp_cache_get('other')]);
    same('down', $GLOBALS['wp_object_cache']->info()['state']);
    proxy_shall('pass');
    pause_is_over();
    request();
    same('up', elsewhere('$cache->get("x"); return $cache->info()["state"];'));
};
$cases['a name that is not known does not take long'] = static function (): void {
    $cache = request(['host' => 'no-such-host-' . bin2hex(random_bytes(4))]);
    $took = seconds(static fn () => same(false, wp_cache_get('key')));
    demand($took < 2.0, sprintf('it took %.2f s', $took));
    same('down', $cache->info()['state']);
};
$cases['an address is remembered when nobody tells it any more'] = static function (): void {
    $name = 'no-such-host-' . bin2hex(random_bytes(4));
    $memory = Pressdock\REMEMBERED_ADDRESS . $name;
    same("$name:7", Pressdock\with_address("$name:7"));
    touch($memory, (int) ip2long('192.0.2.7'), time() - 60);
    same(['192.0.2.7:7', '192.0.2.7'], [Pressdock\with_address("$name:7"), Pressdock\address_of($name)]);
    // It has been asked for just now: nobody is asked, and nobody waited for.
    demand(seconds(static fn () => Pressdock\address_of($name)) < 0.1, 'it waited');
    unlink($memory);
    foreach (['127.0.0.1', '127.0.0.1:3306', 'localhost', '[::1]:3306', 'localhost:/run/db.sock', ''] as $none) {
        same($none, Pressdock\with_address($none));
    }
};
$cases['the server is found by its name'] = static function (): void {
    global $declared;
    $cache = request(['host' => $declared['host'], 'port' => $declared['port']]);
    wp_cache_set('key', 'by name');
    same(['up', 'by name'], [$cache->info()['state'], elsewhere("return wp_cache_get('key');")]);
};
$cases['a wrong password is an outage like another, and does not appear in what is told'] = static function (): void {
    $cache = request(['password' => 'ThisIsNotThePassword']);
    same([false, true], [wp_cache_get('key'), wp_cache_set('key', 1)]);
    same('down', $cache->info()['state']);
    demand(str_contains($cache->info()['fault'], 'WRONGPASS'), $cache->info()['fault']);
    $told = print_r($cache, true) . print_r($cache->info(), true) . implode("\n", log_lines());
    ob_start();
    var_dump($cache);
    $cache->stats();
    $told .= ob_get_clean();
    demand(!str_contains($told, 'ThisIsNotThePassword'), 'it does');
};
$cases['a command that is not allowed is an outage like another'] = static function (): void {
    $cache = request(['prefix' => 'not-' . $GLOBALS['settings']['prefix']]);
    same([true, 1, 'down'], [wp_cache_set('key', 1), wp_cache_get('key'), $cache->info()['state']]);
};
$cases['the log has one line when Redis goes and one when it is back'] = static function (): void {
    wp_cache_get('connect first');
    $before = count(log_lines());
    proxy_shall('refuse');
    for ($i = 0; $i < 4; $i++) {
        request();
        wp_cache_get('key');
        elsewhere("wp_cache_get('key');");
        pause_is_over();
    }
    proxy_shall('pass');
    pause_is_over();
    for ($i = 0; $i < 3; $i++) {
        request();
        wp_cache_get('key');
    }
    $lines = array_slice(log_lines(), $before);
    same(2, count($lines), implode("\n", $lines));
    demand(str_contains($lines[0], 'is not used: ') && str_contains($lines[1], 'answers again'), implode("\n", $lines));
};
$cases['after the pause one request tries again, others do not'] = static function (): void {
    proxy_shall('refuse');
    request();
    wp_cache_get('key');
    proxy_shall('hang');
    pause_is_over();
    // All at once, however long it takes to start them.
    $code = 'touch("$directory/ready-" . getmypid()); while (!is_file("$directory/go")) { usleep(1000); clearstatcache(); }'
        . '$cache->get("x"); return $cache->info()["state"];';
    $started = array_map(start(...), array_fill(0, 6, $code));
    for ($i = 0; count(glob("{$GLOBALS['directory']}/ready-*")) < 6; $i++) {
        demand($i < 6000, 'they do not start');
        usleep(5000);
    }
    pause_is_over();
    touch("{$GLOBALS['directory']}/go");
    $states = array_map(result(...), $started);
    sort($states);
    same(['down', 'paused', 'paused', 'paused', 'paused', 'paused'], $states);
};

// --- After an outage ------------------------------------------------------------------------------------------------

$cases['Redis is used again after the pause, by requests and not by a restart'] = static function (): void {
    proxy_shall('refuse');
    request();
    wp_cache_get('key');
    proxy_shall('pass');
    request();
    wp_cache_get('key');
    same('paused', $GLOBALS['wp_object_cache']->info()['state']);
    // Here the seconds really pass.
    $pause = seconds(static function (): void {
        for ($i = 0; $GLOBALS['wp_object_cache']->info()['state'] !== 'up'; $i++) {
            demand($i < 200, 'it is not');
            usleep(100000);
            request();
            wp_cache_set('key', 1);
        }
    });
    demand($pause > 1.5, sprintf('the pause was %.1f s', $pause));
    wp_cache_set('key', 'again');
    same('again', elsewhere("return wp_cache_get('key');"));
};
$cases['an outage in which nothing was changed leaves the values'] = static function (): void {
    wp_cache_set('key', 'kept');
    proxy_shall('refuse');
    request();
    same([false, true], [wp_cache_get('key'), wp_cache_add('other', 1)]);
    proxy_shall('pass');
    pause_is_over();
    request();
    same('kept', wp_cache_get('key'));
};
$changes = [
    'set' => static fn () => wp_cache_set('key', 'new'), 'delete' => static fn () => wp_cache_delete('key'),
    'replace' => static fn () => wp_cache_replace('key', 'new'), 'flush' => static fn () => wp_cache_flush(),
    'flush_group' => static fn () => wp_cache_flush_group('default'), 'incr' => static fn () => wp_cache_incr('key'),
    'set_multiple' => static fn () => wp_cache_set_multiple(['key' => 'new']),
    'delete_multiple' => static fn () => wp_cache_delete_multiple(['key']),
];
foreach ($changes as $name => $change) {
    $cases["nothing outdated after an outage in which a change was lost: $name"] = static function () use ($change, $name): void {
        foreach (['first', 'later'] as $moment) {
            wp_cache_set('key', 7);
            same(7, elsewhere("return wp_cache_get('key');"), 'before');
            request();
            // What this request remembers, it can count and replace.
            wp_cache_get('key');
            proxy_shall('hang');
            if ($moment === 'later') {
                // Not the change itself meets the failure: it is only skipped because of it.
                wp_cache_get('something');
            }
            $change();
            proxy_shall('pass');
            same(false, elsewhere("pause_is_over(); return wp_cache_get('key');"), "$name lost, $moment:");
            request();
        }
    };
}
$cases['nothing outdated if a change was lost because of another process\'s failure'] = static function (): void {
    wp_cache_set('key', 'old');
    request();
    proxy_shall('refuse');
    elsewhere("wp_cache_get('key');");
    wp_cache_set('key', 'new');
    same('paused', $GLOBALS['wp_object_cache']->info()['state']);
    proxy_shall('pass');
    pause_is_over();
    request();
    same(false, wp_cache_get('key'));
};
$cases['a change that a request loses after another one has already begun anew is not forgotten'] = static function (): void {
    wp_cache_set('key', 'old');
    proxy_shall('refuse');
    request();
    $loser = request();
    wp_cache_set('key', 'new');
    same('down', $loser->info()['state']);
    proxy_shall('pass');
    pause_is_over();
    $winner = request();
    wp_cache_set('key', 'old again, read from the database before');
    same('up', $winner->info()['state']);
    $GLOBALS['wp_object_cache'] = $loser;
    wp_cache_set('key', 'newer');
    same(false, elsewhere("return wp_cache_get('key');"));
};
$cases['a change that is lost while another process is flushing is not forgotten'] = static function (): void {
    wp_cache_set('key', 'value');
    $lost = filemtime($GLOBALS['directory'] . '/.pressdock-cache-lost');
    same($lost, filemtime($GLOBALS['directory'] . '/.pressdock-cache-trusted'));
    // A change that is lost while another process has sent its flush, but not yet said that Redis is to be trusted.
    unlink($GLOBALS['directory'] . '/.pressdock-cache-trusted');
    proxy_shall('slow 150');
    $record = $GLOBALS['directory'] . '/commands';
    clearstatcache();
    $before = filesize($record);
    $winner = start("\$cache->get('key'); return \$cache->info()['state'];");
    for ($i = 0; !str_contains(file_get_contents($record, false, null, $before), base64_encode('UNLINK')); $i++) {
        demand($i < 2000, 'there was no flush');
        usleep(5000);
    }
    touch($GLOBALS['directory'] . '/.pressdock-cache-lost', 12345);
    same('up', result($winner));
    clearstatcache();
    same($lost, filemtime($GLOBALS['directory'] . '/.pressdock-cache-trusted'));
    proxy_shall('pass');
    wp_cache_set('key', 'value');
    same(false, elsewhere("return wp_cache_get('key');"));
};
$cases['a new container begins with a flush'] = static function (): void {
    wp_cache_set('key', 'of the old container');
    array_map(unlink(...), glob($GLOBALS['directory'] . '/.pressdock-cache-*'));
    request();
    same(false, wp_cache_get('key'));
    wp_cache_set('key', 'of the new');
    request();
    same('of the new', wp_cache_get('key'));
};
$cases['without a place for its files it stores nothing outdated'] = static function (): void {
    wp_cache_set('key', 'x');
    $nowhere = ['directory' => $GLOBALS['directory'] . '/missing'];
    request($nowhere);
    same([false, true, 1], [wp_cache_get('key'), wp_cache_set('key', 1), wp_cache_get('key')]);
    request($nowhere);
    same(false, wp_cache_get('key'));
};

// --- What Redis should not hold -------------------------------------------------------------------------------------

$garbage = [
    'text' => 'garbage', 'nothing' => '', 'a cut value' => substr(igbinary_serialize(['a' => [1, 2, 3], 'b' => 'text']), 0, -4),
    'only a header' => "\0\0\0\2", 'a wrong type' => "\0\0\0\2\xff\xff\xff\xff", 'a length that lies' => "\0\0\0\2\x0d\xff\xff\xff\xffx",
    'a number with a zero' => '007', 'a number that is too large' => '99999999999999999999', 'a number and more' => "5\n",
    'PHP\'s format' => serialize(new Thing()), 'a class that is gone' => str_replace('Thing', 'Gonex', igbinary_serialize(new Thing())),
    'a class that is gone, within' => str_replace('Thing', 'Gonex', igbinary_serialize(['a' => [1, new Thing()]])),
    'an object that cannot be made again' => igbinary_serialize(new Stubborn()),
    'a bit flipped' => "\0\0\0\2\x14\x02" . substr(igbinary_serialize(['a' => 1]), 6),
];
foreach ($garbage as $name => $bytes) {
    $cases["what cannot be read is not there: $name"] = static function () use ($bytes): void {
        wp_cache_set('key', 'x', 'values');
        $key = last_name();
        wp_cache_set('good', ['fine'], 'values');
        redis()->set($key, $bytes);
        request();
        $found = true;
        same(false, wp_cache_get('key', 'values', false, $found));
        same(false, $found);
        same(['key' => false, 'good' => ['fine']], wp_cache_get_multiple(['key', 'good'], 'values', true));
        same(null, $GLOBALS['wp_object_cache']->stored('values', 'key'));
        same(false, wp_cache_incr('key', 1, 'values'));
        same([true, 'up'], [wp_cache_set('key', 'y', 'values'), $GLOBALS['wp_object_cache']->info()['state']]);
        request();
        same('y', wp_cache_get('key', 'values'));
    };
}
$cases['what is no text is not there'] = static function (): void {
    wp_cache_set('key', 'x');
    $key = last_name();
    redis()->unlink($key);
    redis()->hSet($key, 'a', 'b');
    request();
    same([false, false, true], [wp_cache_get('key'), wp_cache_incr('key'), wp_cache_set('key', 'y')]);
    request();
    same(['y', 'up'], [wp_cache_get('key'), $GLOBALS['wp_object_cache']->info()['state']]);
};
$cases['generations that are none are a flush'] = static function (): void {
    $name = $GLOBALS['settings']['prefix'] . 'generations';
    foreach (['text' => null, 'odd' => ['site' => "a b\n"], 'without the site\'s' => ['group:x' => 'abc']] as $kind => $value) {
        wp_cache_set('key', 'x');
        redis()->unlink($name);
        $value === null ? redis()->set($name, 'garbage') : redis()->hSet($name, key($value), reset($value));
        request();
        same(false, wp_cache_get('key'), $kind);
        wp_cache_set('key', 'y');
        request();
        same(['y', 'up'], [wp_cache_get('key'), $GLOBALS['wp_object_cache']->info()['state']], $kind);
        // And in the middle of a request.
        redis()->unlink($name);
        $value === null ? redis()->set($name, 'garbage') : redis()->hSet($name, key($value), reset($value));
        same([false, true], [wp_cache_get('other'), wp_cache_set('other', 1)], $kind);
        request();
        same(['up', false], [$GLOBALS['wp_object_cache']->ping() === null ? 'down' : 'up', wp_cache_get('key')], $kind);
    }
};

// --- The rest of the interface --------------------------------------------------------------------------------------

$cases['every function of core\'s has its counterpart with the same parameters'] = static function () use ($core, $drop_in): void {
    $functions = static function (string $file): array {
        preg_match_all('/^\s*function (wp_cache_\w+)\((.*?)\)/m', (string) file_get_contents($file), $found);
        $parameters = array_map(static fn (string $list): string => str_replace(['array()', ' '], ['[]', ''], $list), $found[2]);
        return array_combine($found[1], $parameters);
    };
    $wanted = $functions("$core/cache.php");
    demand(count($wanted) >= 20, 'core has few');
    ksort($wanted);
    $got = array_intersect_key($functions($drop_in), $wanted);
    ksort($got);
    same($wanted, $got);
};
$cases['every public method of core\'s has its counterpart'] = static function () use ($core): void {
    preg_match_all('/^\s*public function (\w+)\(/m', (string) file_get_contents("$core/class-wp-object-cache.php"), $found);
    $missing = array_diff($found[1], get_class_methods('WP_Object_Cache'), ['__get', '__set', '__isset', '__unset']);
    same([], array_values($missing));
};
$cases['wp_cache_supports names what is supported'] = static function (): void {
    foreach (['add_multiple', 'set_multiple', 'get_multiple', 'delete_multiple', 'flush_runtime', 'flush_group'] as $feature) {
        same(true, wp_cache_supports($feature), $feature);
    }
    same([false, false], [wp_cache_supports('teleport'), wp_cache_supports('')]);
};
$cases['hits and misses are counted'] = static function (): void {
    $cache = request();
    wp_cache_set('key', 1);
    wp_cache_get('key');
    wp_cache_get('missing');
    wp_cache_get_multiple(['key', 'also missing']);
    same([2, 2], [$cache->cache_hits, $cache->cache_misses]);
    same([2, 2], [$cache->info()['hits'], $cache->info()['misses']]);
    ob_start();
    $cache->stats();
    $shown = ob_get_clean();
    demand(str_contains($shown, '<strong>Cache Hits:</strong> 2') && str_contains($shown, 'default'), $shown);
    same(true, wp_cache_close());
};
$cases['ping tells how long it takes'] = static function (): void {
    $seconds = $GLOBALS['wp_object_cache']->ping();
    demand(is_float($seconds) && $seconds > 0 && $seconds < 1, 'it took ' . var_export($seconds, true));
};

// --- Run ------------------------------------------------------------------------------------------------------------

const TRIES = 3;
$failed = 0;
$done = 0;
$began = hrtime(true);
foreach ($cases as $name => $case) {
    if (!str_contains($name, $argv[3] ?? '')) {
        continue;
    }
    // A busy machine makes replies late, which the drop-in rightly takes for an outage: nothing else fails only sometimes.
    for ($try = 1; $try <= TRIES; $try++) {
        $multisite = false;
        $blog_id = 1;
        $suspended = false;
        unset($GLOBALS['table_prefix']);
        $case_began = hrtime(true);
        try {
            proxy_shall('pass');
            @unlink("$directory/.pressdock-cache-down");
            request();
            wp_cache_flush();
            request();
            $case();
            printf("ok    %5.2f s  %s\n", (hrtime(true) - $case_began) / 1e9, $name);
            break;
        } catch (Throwable $error) {
            $failed += $try === TRIES ? 1 : 0;
            $where = $error instanceof Different ? '' : " ({$error->getFile()}:{$error->getLine()})";
            echo ($try === TRIES ? 'FAIL ' : 'again') . "  $name\n      " . str_replace("\n", "\n      ", $error->getMessage() . $where) . "\n";
        }
    }
    $done++;
}
// What all cases together have sent.
$allowed = [];
if (preg_match('/^ \* Commands: (.*)$/m', (string) file_get_contents($drop_in), $match)) {
    $allowed = explode(' ', strtolower($match[1]));
}
$used = [];
$strays = [];
foreach (sent() as ['command' => $command]) {
    $verb = strtolower($command[0]);
    $used[$verb] = true;
    $keys = match ($verb) {
        'auth', 'ping', 'multi', 'exec' => [],
        'mget', 'unlink', 'watch' => array_slice($command, 1),
        default => [$command[1]],
    };
    foreach ($keys as $key) {
        if (!str_starts_with($key, $settings['prefix']) && !str_starts_with($key, "not-{$settings['prefix']}")) {
            $strays[] = "$verb $key";
        }
    }
    if ($verb === 'set' && !in_array('EX', $command, true) && !in_array('KEEPTTL', $command, true)) {
        $strays[] = "set without an end: $command[1]";
    }
}
ksort($used);
sort($allowed);
if (!isset($argv[3])) {
    foreach (
        ['the drop-in sends exactly the commands that it declares' => array_keys($used) === $allowed,
            'every key has the prefix, every value an end' => $strays === []] as $name => $fact
    ) {
        $failed += (int) !$fact;
        $done++;
        echo ($fact ? 'ok    ' : 'FAIL  ') . "$name\n";
    }
    if ($failed) {
        echo '      sent: ' . implode(' ', array_keys($used)) . "\n      " . implode("\n      ", array_slice($strays, 0, 5)) . "\n";
    }
}
printf("%d cases, %d failed, %.1f s\n", $done, $failed, (hrtime(true) - $began) / 1e9);
exit($failed || !$done ? 1 : 0);
