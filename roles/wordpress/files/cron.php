<?php
/**
 * Runs the scheduled events of all sites: every INTERVAL seconds it has each site's own PHP run wp-cron.php.
 *
 *     php cron.php INTERVAL SITE=HOST:PORT=DOMAIN [SITE=HOST:PORT=DOMAIN ...]
 *     php cron.php --check INTERVAL      the container's health check: status 1 when the last round is too long ago
 *
 * It is the container's main process: it ends at SIGTERM at once, wherever it is in a round. Whether a site answers
 * is that site's health, not this container's; it is only logged here, when it begins and when it ends.
 */

declare(strict_types=1);

/** Touched after every round. */
const HEARTBEAT = '/tmp/heartbeat';
/** Seconds that a site has to take the request; it runs the events after it has answered. */
const ANSWER_TIMEOUT = 15;

/** Starts one site's request; returns the process. */
function start_request(string $upstream, string $domain): mixed
{
    $command = [
        'probe', 'fastcgi', $upstream, '/usr/share/wordpress/wp-cron.php',
        'SCRIPT_NAME=/wp-cron.php', 'DOCUMENT_URI=/wp-cron.php', 'REQUEST_URI=/wp-cron.php?doing_wp_cron',
        'QUERY_STRING=doing_wp_cron', 'DOCUMENT_ROOT=/usr/share/wordpress', 'SERVER_PROTOCOL=HTTP/1.1',
        "HTTP_HOST=$domain", "SERVER_NAME=$domain", 'SERVER_PORT=443', 'HTTPS=on', 'REMOTE_ADDR=127.0.0.1',
    ];
    $process = proc_open($command, [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['file', '/dev/null', 'w']], $pipes);
    return $process ?: throw new RuntimeException('cannot start the probe');
}

/** Waits for a number of seconds; ends the program at a stop signal. */
function wait(float $seconds): void
{
    $signal = pcntl_sigtimedwait([SIGTERM, SIGINT, SIGQUIT], $info, (int) $seconds, (int) (fmod($seconds, 1) * 1e9));
    if ($signal > 0) {
        exit(0);
    }
}

/**
 * Asks all sites at the same time.
 *
 * @param array<string, array{string, string}> $sites upstream and domain by name
 * @return list<string> names of the sites that did not answer with success
 */
function round_of(array $sites): array
{
    $running = array_map(static fn (array $site): mixed => start_request(...$site), $sites);
    $failed = [];
    $end = microtime(true) + ANSWER_TIMEOUT;
    while ($running) {
        wait(0.2);
        foreach ($running as $name => $process) {
            $status = proc_get_status($process);
            if ($status['running'] && microtime(true) < $end) {
                continue;
            }
            if ($status['running']) {
                proc_terminate($process, SIGKILL);
            }
            if ($status['running'] || $status['exitcode'] !== 0) {
                $failed[] = $name;
            }
            proc_close($process);
            unset($running[$name]);
        }
    }
    return $failed;
}

if (($argv[1] ?? '') === '--check') {
    $age = is_file(HEARTBEAT) ? time() - filemtime(HEARTBEAT) : PHP_INT_MAX;
    exit($age <= (int) $argv[2] + 2 * ANSWER_TIMEOUT ? 0 : 1);
}

// As process 1, signals without a handler would not arrive at all; blocked ones wait until they are asked for.
pcntl_sigprocmask(SIG_BLOCK, [SIGTERM, SIGINT, SIGQUIT]);
$interval = (int) $argv[1];
$sites = [];
foreach (array_slice($argv, 2) as $argument) {
    [$name, $upstream, $domain] = explode('=', $argument);
    $sites[$name] = [$upstream, $domain];
}
fwrite(STDERR, "every $interval s: " . implode(', ', array_keys($sites)) . "\n");
touch(HEARTBEAT);
// Not at once: at the first start of a stack the sites are not installed yet.
wait($interval);
for ($silent = [];;) {
    $began = microtime(true);
    $failed = round_of($sites);
    foreach (array_diff($failed, $silent) as $name) {
        fwrite(STDERR, "$name does not answer\n");
    }
    foreach (array_diff($silent, $failed) as $name) {
        fwrite(STDERR, "$name answers again\n");
    }
    $silent = $failed;
    touch(HEARTBEAT);
    wait(max(1.0, $began + $interval - microtime(true)));
}
