<?php
/**
 * A database server that stops at any moment, and what a request does: WordPress's own core against a stand-in for the server.
 *
 *     php database_test.php        in a container of WordPress's image
 *
 * This file is three programs: the test; the stand-in (`php database_test.php server`), which speaks as much of the protocol as lets
 * WordPress in, and finds no rows; and, under PHP's own web server, a site's configuration.
 */

declare(strict_types=1);

const LIMIT = 3;
const WORK_LIMIT = 8;
/** Seconds that a request may take on a busy machine besides the waiting that is looked at. */
const BUSY = 2.5;
const PORTS = ['database' => 4101, 'web' => 4102, 'nobody' => 4103];
/** Queries that a connection of the stand-in answers before it hangs; -1: it does not even greet. */
const ANSWERS = '/tmp/database-test-answers';
/** If it exists, the stand-in as a whole hangs as soon as one connection does. */
const STOPS = '/tmp/database-test-stops';
const PORT = '/tmp/database-test-port';
const DOWN = '/tmp/.pressdock-database-down';

if (PHP_SAPI === 'cli-server') {
    define('DB_HOST', '127.0.0.1:' . file_get_contents(PORT));
    foreach (['DB_NAME', 'DB_USER', 'DB_PASSWORD'] as $name) {
        define($name, 'nobody');
    }
    define('DB_CHARSET', 'utf8mb4');
    define('DB_COLLATE', '');
    define('PRESSDOCK_DATABASE_TIMEOUT', LIMIT);
    define('PRESSDOCK_DATABASE_WORK_TIMEOUT', WORK_LIMIT);
    define('WP_DEBUG', false);
    define('WP_CONTENT_DIR', '/tmp/database-test-content');
    define('WPMU_PLUGIN_DIR', '/tmp/database-test-content');
    define('ABSPATH', '/usr/share/wordpress/');
    $_SERVER['SCRIPT_NAME'] = $_GET['script'] ?? '/index.php';
    require '/usr/local/lib/wordpress/database.php';
    $table_prefix = 'wp_';
    require ABSPATH . 'wp-settings.php';
    exit;
}

if (($argv[1] ?? '') === 'server') {
    pcntl_signal(SIGCHLD, SIG_IGN);
    $listening = stream_socket_server('tcp://127.0.0.1:' . PORTS['database']);
    while ($client = stream_socket_accept($listening, 300)) {
        if (pcntl_fork() === 0) {
            serve($client);
        }
        fclose($client);
    }
    exit;
}

/** Serves one connection: https://mariadb.com/kb/en/clientserver-protocol/ */
function serve(mixed $client): never
{
    $left = static fn (): int => (int) file_get_contents(ANSWERS);
    $send = static fn (int $number, string $packet) => fwrite($client, substr(pack('V', strlen($packet)), 0, 3) . chr($number) . $packet);
    $take = static function () use ($client): string {
        $head = (string) fread($client, 4);
        $length = strlen($head) === 4 ? unpack('V', substr($head, 0, 3) . "\0")[1] : exit;
        for ($packet = ''; strlen($packet) < $length; $packet .= (string) fread($client, $length - strlen($packet)));
        return $packet;
    };
    [$success, $end] = ["\0\0\0\2\0\0\0", "\xfe\0\0\2\0"];
    $left() >= 0 || sleep(300);
    $abilities = 0x8f7ff & ~0x0800;
    $send(0, "\x0a5.5.5-11.8.0-MariaDB\0" . pack('V', 1) . "12345678\0" . pack('v', $abilities & 0xffff) . "\x2d" . pack('v', 2)
        . pack('v', $abilities >> 16) . chr(21) . str_repeat("\0", 10) . "123456789012\0mysql_native_password\0");
    $take();
    $send(2, $success);
    for ($answered = 0; ($query = $take()) !== "\1"; $answered++) {
        if ($answered >= $left()) {
            is_file(STOPS) && file_put_contents(ANSWERS, '-1');
            sleep(300);
        }
        if (!preg_match('/^.\s*(?:SELECT|SHOW|DESC)/is', $query)) {
            $send(1, $success);
            continue;
        }
        foreach (["\1", "\3def\0\1t\1t\1v\1v\x0c\x2d\0\0\1\0\0\xfd\0\0\0\0\0", $end] as $number => $packet) {
            $send($number + 1, $packet);
        }
        // The mode of the session, which nobody may leave out.
        str_contains($query, 'sql_mode') ? $send(4, "\0") && $send(5, $end) : $send(4, $end);
    }
    exit;
}

/**
 * Asks for a page.
 *
 * @return array{int, bool, float} status, whether there is a Retry-After, seconds
 */
function ask(string $query = '', array $options = []): array
{
    $began = microtime(true);
    $curl = curl_init('http://127.0.0.1:' . PORTS['web'] . "/?$query");
    curl_setopt_array($curl, $options + [CURLOPT_RETURNTRANSFER => true, CURLOPT_HEADER => true, CURLOPT_TIMEOUT => 30]);
    $answer = (string) curl_exec($curl);
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), (bool) preg_match('/^Retry-After: 10\r$/m', $answer), microtime(true) - $began];
}

/** Demands an answer after some seconds; what WordPress says of a database without rows is that it is to be installed (302). */
function demand(string $what, array $answer, int $status, float $seconds): void
{
    [$found, $retry, $took] = $answer;
    $good = $found === $status && $retry === ($status === 503) && $took > $seconds - 0.5 && $took < $seconds + BUSY;
    printf("%s %s: %d after %.1f s\n", $good ? 'ok' : 'NOT OK', $what, $found, $took);
    $good || $GLOBALS['failed']++;
}

/** Demands that no request keeps the others away. */
function demand_no_mark(string $what): void
{
    clearstatcache();
    if (is_file(DOWN)) {
        echo "NOT OK $what: the others are kept away\n";
        $GLOBALS['failed']++;
    }
}

/** Lets the stand-in answer so many queries of each connection. */
function answer(int $queries): void
{
    file_put_contents(ANSWERS, (string) $queries);
    is_file(DOWN) && unlink(DOWN);
}

$failed = 0;
is_dir('/tmp/database-test-content') || mkdir('/tmp/database-test-content');
file_put_contents(PORT, (string) PORTS['database']);
answer(1000);
$null = [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['file', '/dev/null', 'w']];
$programs = [
    proc_open([PHP_BINARY, __FILE__, 'server'], $null, $pipes),
    proc_open([PHP_BINARY, '-S', '127.0.0.1:' . PORTS['web'], __FILE__], $null, $pipes, null, ['PHP_CLI_SERVER_WORKERS' => '4'] + getenv()),
];
for ($tries = 0; $tries < 100 && !@fsockopen('127.0.0.1', PORTS['web']); $tries++) {
    usleep(100_000);
}

demand('control: a server that answers', ask(), 302, 0);
demand('control: somebody who works', ask('script=/wp-login.php'), 302, 0);

answer(-1);
demand('a visitor of a server that hangs', ask(), 503, LIMIT);
demand('the next one does not wait', ask(), 503, 0);
file_put_contents(ANSWERS, '1000');
sleep(4);
demand('it goes on', ask(), 302, 0);
demand_no_mark('it goes on');

$workers = [
    'a login' => ['script=/wp-login.php'],
    'a form' => ['', [CURLOPT_POSTFIELDS => 'a=b']],
    'somebody who is logged in' => ['', [CURLOPT_COOKIE => 'wordpress_logged_in_0123=x']],
    'scheduled events' => ['script=/wp-cron.php'],
];
foreach ($workers as $what => $request) {
    answer(-1);
    demand("$what, of a server that hangs", ask(...$request), 503, LIMIT);
}

// After the greeting, within the first queries, and within those of a page that has begun.
touch(STOPS);
foreach ([0 => LIMIT, 3 => LIMIT, 5 => 2 * LIMIT + 1, 7 => 2 * LIMIT + 1] as $queries => $seconds) {
    answer($queries);
    demand("it stops after $queries queries", ask(), 503, $seconds);
}
answer(6);
demand('it stops while somebody works', ask('script=/wp-login.php'), 503, WORK_LIMIT + LIMIT + 1);
unlink(STOPS);
foreach ([5, 6] as $queries) {
    answer($queries);
    demand("it lets in, and answers $queries queries at a time", ask(), 503, 2 * LIMIT);
}

answer(1000);
file_put_contents(PORT, (string) PORTS['nobody']);
demand('a server that is away', ask(), 503, 0);
demand_no_mark('a server that is away');

foreach ($programs as $program) {
    proc_terminate($program, SIGKILL);
}
array_map(unlink(...), array_filter([ANSWERS, PORT, DOWN], is_file(...)));
rmdir('/tmp/database-test-content');
exit($failed ? 1 : 0);
