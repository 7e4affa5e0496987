<?php
/**
 * Runs the scheduled events of all sites: every INTERVAL seconds it has each site's own PHP run wp-cron.php.
 *
 *     php cron.php INTERVAL SITE=UPSTREAM=HOST[=network] [SITE=UPSTREAM=HOST[=network] ...]
 *     php cron.php --check INTERVAL      the container's health check: status 1 when the last round is too long ago
 *
 * UPSTREAM is the site's FPM (host:port), HOST the host of its address, with the port. Of a network every site is asked.
 *
 * It is the container's main process: it ends at SIGTERM at once, wherever it is in a round. Whether a site answers
 * is that site's health, not this container's; it is only logged here, when it begins and when it ends.
 */

declare(strict_types=1);

require_once __DIR__ . '/addresses.php';

/** Touched after every round. */
const HEARTBEAT = '/tmp/heartbeat';
/** Seconds that a site has to take a request; it runs the events after it has answered. */
const ANSWER_TIMEOUT = 15;

/**
 * Starts a script of a site's PHP; returns the process.
 *
 * @param string $output file that gets the answer's body
 */
function start_request(string $upstream, string $script, string $host, string $uri, string $output): mixed
{
    $command = [
        'probe', 'fastcgi', Pressdock\with_address($upstream), $script,
        'SCRIPT_NAME=/wp-cron.php', 'DOCUMENT_URI=/wp-cron.php', "REQUEST_URI=$uri", 'QUERY_STRING=doing_wp_cron',
        'DOCUMENT_ROOT=/usr/share/wordpress', 'SERVER_PROTOCOL=HTTP/1.1',
        "HTTP_HOST=$host", 'SERVER_NAME=' . explode(':', $host)[0], 'SERVER_PORT=443', 'HTTPS=on', 'REMOTE_ADDR=127.0.0.1',
    ];
    $process = proc_open($command, [['file', '/dev/null', 'r'], ['file', $output, 'w'], ['file', '/dev/null', 'w']], $pipes);
    return $process ?: throw new RuntimeException('cannot start the probe');
}

/** The requests of one round to one site: one, or for a network first the question for its sites, then one to each in turn. */
final class SiteRound
{
    private mixed $process;
    private float $end;
    private ?string $list = null;
    /** @var list<string> addresses that are still to be asked: HOST/PATH */
    private array $waiting = [];
    private bool $failed = false;

    public function __construct(private readonly string $upstream, string $domain, bool $network)
    {
        if ($network) {
            $this->list = tempnam('/tmp', 'sites');
            $this->start('/usr/local/lib/wordpress/sites.php', $domain, '/', $this->list);
        } else {
            $this->waiting = ["$domain/"];
            $this->next();
        }
    }

    /** Looks after the running request, and starts the next one; says whether there is anything left to wait for. */
    public function goesOn(): bool
    {
        $status = proc_get_status($this->process);
        if ($status['running'] && microtime(true) < $this->end) {
            return true;
        }
        if ($status['running']) {
            proc_terminate($this->process, SIGKILL);
        }
        $this->failed = $this->failed || $status['running'] || $status['exitcode'] !== 0;
        proc_close($this->process);
        if ($this->list !== null) {
            $this->waiting = file($this->list, FILE_IGNORE_NEW_LINES | FILE_SKIP_EMPTY_LINES) ?: [];
            unlink($this->list);
            $this->list = null;
        }
        return $this->next();
    }

    public function failed(): bool
    {
        return $this->failed;
    }

    private function next(): bool
    {
        $address = array_shift($this->waiting);
        if ($address === null) {
            return false;
        }
        [$host, $path] = explode('/', $address, 2);
        $this->start('/usr/share/wordpress/wp-cron.php', $host, "/{$path}wp-cron.php?doing_wp_cron", '/dev/null');
        return true;
    }

    private function start(string $script, string $host, string $uri, string $output): void
    {
        $this->process = start_request($this->upstream, $script, $host, $uri, $output);
        $this->end = microtime(true) + ANSWER_TIMEOUT;
    }
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
 * @param array<string, array{string, string, bool}> $sites upstream, host, and whether it is a network, by name
 * @return list<string> names of the sites that did not answer with success
 */
function round_of(array $sites): array
{
    $running = array_map(static fn (array $site): SiteRound => new SiteRound(...$site), $sites);
    $failed = [];
    while ($running) {
        wait(0.2);
        // A network of many sites may take longer than a round should.
        touch(HEARTBEAT);
        foreach ($running as $name => $site) {
            if ($site->goesOn()) {
                continue;
            }
            if ($site->failed()) {
                $failed[] = $name;
            }
            unset($running[$name]);
        }
    }
    return $failed;
}

if (($argv[1] ?? '') === '--check') {
    $age = is_file(HEARTBEAT) ? time() - filemtime(HEARTBEAT) : PHP_INT_MAX;
    // In a round it is touched all the time; the rest is for a busy machine.
    exit($age <= (int) $argv[2] + ANSWER_TIMEOUT ? 0 : 1);
}

// As process 1, signals without a handler would not arrive at all; blocked ones wait until they are asked for.
pcntl_sigprocmask(SIG_BLOCK, [SIGTERM, SIGINT, SIGQUIT]);
$interval = (int) $argv[1];
$sites = [];
foreach (array_slice($argv, 2) as $argument) {
    [$name, $upstream, $host, $kind] = explode('=', $argument) + [3 => ''];
    $sites[$name] = [$upstream, $host, $kind === 'network'];
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
