<?php
/**
 * Plugin Name: pressdock object cache
 * Description: Keeps WordPress's object cache in Redis. A site works without Redis, too, only slower.
 *
 * Commands: auth ping mget set unlink hgetall hmget hset hsetnx watch multi exec
 *
 * The line above is what the site's Redis user may do, on keys that begin with the site's prefix and on no others.
 *
 * Settings are constants, defined before WordPress loads:
 *
 *     PRESSDOCK_CACHE = ['host' => 'redis', 'port' => 6379, 'user' => 'blog', 'password' => '...', 'prefix' => 'blog:',
 *                        'timeout' => 0.2]         seconds; without the constant values live for one request, as without
 *                                                  this file. 'directory' (default /tmp) is where processes of the site
 *                                                  leave word for each other, 'machine' (default empty) comes before the paths
 *                                                  that tell how busy the machine is
 *     PRESSDOCK_CACHE_WRITE_ONLY = true            values in Redis are never believed, but changes are passed on
 *
 * How values are found. A value's name in Redis is
 *
 *     PREFIX SITE : BLOG : GROUP : TABLES : NAME OF THE GROUP : KEY
 *
 * where SITE, BLOG and GROUP are *generations*: random words kept in the hash "<prefix>generations". To flush is to
 * draw a new word: nothing has that name yet, and what had the old one is never asked for again and goes by expiry or
 * eviction. If Redis evicts the hash itself, new words are drawn, so that old values cannot come back.
 *
 * Every exchange with Redis also asks for the words that it relied on, in the same round trip. If another process has
 * flushed meanwhile, a read is repeated, what this request remembers is forgotten, and a write is followed by a deletion
 * under the new name: the value may have been computed from what the other process has just declared outdated.
 *
 * How a broken Redis is survived. The first failure ends a request's dealings with Redis; from then on values live for
 * this request only. A file, BREAKER, makes other requests skip Redis for some seconds, then one of them tries again.
 *
 * How a busy machine is survived, on which Redis answers late like everything else. To give it up would make more work and, as changes are
 * lost meanwhile, begin with an empty cache: busier still. So a reply may take as many times longer as there are processes for each
 * processor. A request whose replies were late for too long asks no more, but passes its changes on: nothing is lost, and the next one asks.
 *
 * How large values are kept. What is longer than LARGEST is compressed, and cut into pieces if that is not enough: pieces are values of their
 * own, whose names end in a word that is drawn for each writing, and the value's own name leads to them.
 *
 * How outdated values are avoided after that. A change that was not passed on (a set, a deletion, a flush) means that
 * Redis may hold something outdated. Two files without content tell, by their modification times, which are random
 * numbers and no times: LOST gets a new one with every change that is lost, TRUSTED has the one that LOST had before the
 * last flush of the whole site. Redis is trusted while both are equal; the first request that reaches Redis and sees
 * them differ flushes the site, then gives TRUSTED the number that it had read from LOST *before* it flushed. So a change
 * that is lost at any moment after this reading makes the numbers differ again, whatever runs at the same time: there is
 * nothing to win by being fast. A new container has neither file and begins with a flush. (Files without content can be
 * made when /tmp is full.)
 */

declare(strict_types=1);

/** The site's Redis: connection, breaker, trust and generations. Nothing in here throws or warns. */
final class Pressdock_Cache_Server
{
    /** Seconds for which a failure keeps all requests away. File times are whole seconds, so it may be one less. */
    private const PAUSE = 4;
    /** How many times longer a reply may take on a busy machine: a visitor's patience ends there. */
    private const BUSIEST = 5.0;
    /** So many times the time of one reply may be lost by late ones: then a request asks no more, and then it sends nothing either. */
    private const MOST_LATE = 3;
    private const MUCH_TOO_LATE = 10;
    private const BREAKER = '/.pressdock-cache-down';
    private const LOST = '/.pressdock-cache-lost';
    private const TRUSTED = '/.pressdock-cache-trusted';
    /** What remembers addresses; part of the image. */
    private const ADDRESSES = '/usr/local/lib/wordpress/addresses.php';
    /** Characters of a generation: 72 random bits. */
    private const GENERATION = '/^[A-Za-z0-9_-]{12}$/D';

    /** off: no settings; idle: not asked yet; up; down: failed in this request; paused: failed in a recent one */
    public string $state = 'idle';
    /** What went wrong, in Redis's or the system's words. */
    public string $fault = '';
    public int $round_trips = 0;
    public int $commands = 0;
    public float $seconds = 0.0;
    /** @var array<string, string> The words that names are made of; see above. */
    public array $generations = [];
    public readonly string $prefix;
    public readonly string $address;

    private ?Redis $redis = null;
    /** Whether replies were late for so long that this request asks no more. Changes are passed on. */
    public bool $late = false;
    private readonly float $timeout;
    /** The same on a machine that is as busy as this one is now. */
    private float $patience;
    private readonly string $directory;
    /** Seconds by which replies were later than a healthy server's. */
    private float $lateness = 0.0;

    /** @param array<string, mixed>|null $settings */
    public function __construct(#[SensitiveParameter] private readonly ?array $settings)
    {
        $this->prefix = (string) ($settings['prefix'] ?? '');
        $this->timeout = max(0.01, (float) ($settings['timeout'] ?? 0.2));
        $this->patience = $this->timeout;
        $this->directory = (string) ($settings['directory'] ?? '/tmp');
        $this->address = ($settings['host'] ?? '') . ':' . ($settings['port'] ?? 6379);
        if ($settings === null) {
            $this->state = 'off';
        } elseif (!extension_loaded('redis') || !extension_loaded('igbinary')) {
            $this->state = 'off';
            $this->fault = 'the PHP extensions redis and igbinary are needed';
        }
    }

    /** Secrets stay out of dumps. */
    public function __debugInfo(): array
    {
        return ['state' => $this->state, 'address' => $this->address, 'prefix' => $this->prefix];
    }

    public static function new_generation(): string
    {
        return strtr(base64_encode(random_bytes(9)), '+/', '-_');
    }

    /** Whether Redis can be asked; connects if this request has not tried yet. */
    public function ready(): bool
    {
        if ($this->state === 'idle') {
            $this->quietly($this->open(...));
        }
        return $this->state === 'up';
    }

    /**
     * Sends commands in one round trip; returns a reply for each, or null if that was not possible.
     *
     * @param list<array{string, ...}> $commands method of phpredis and its arguments
     * @param bool $changes whether Redis holds something outdated if the commands do not arrive
     */
    public function send(array $commands, bool $changes): ?array
    {
        $replies = $this->ready() ? $this->quietly(fn (): ?array => $this->exchange($commands)) : null;
        if ($replies === null && $changes && $this->state !== 'off') {
            $this->quietly(fn (): bool => touch($this->directory . self::LOST, random_int(1, 0x7fffffff)));
        }
        return $replies;
    }

    /** Draws a new generation for the whole site. */
    public function flush(): bool
    {
        $site = self::new_generation();
        // The words for groups and blogs go with the old one: no name that they are part of is asked for again.
        $commands = [['unlink', $this->hash()], ['hSet', $this->hash(), 'site', $site]];
        if ($this->send($commands, true) === null) {
            return false;
        }
        $this->generations = ['site' => $site];
        return true;
    }

    /**
     * Asks for all generations anew, and draws the site's if there is none.
     *
     * @param bool $changes as for send()
     */
    public function reload(bool $changes): bool
    {
        $replies = $this->send([
            ['hSetNx', $this->hash(), 'site', self::new_generation()],
            ['hGetAll', $this->hash()],
        ], $changes);
        return $replies !== null && ($this->adopt($replies[1]) || $this->flush());
    }

    public function hash(): string
    {
        return $this->prefix . 'generations';
    }

    /** Takes what the hash of generations holds, if it can be that. */
    private function adopt(mixed $generations): bool
    {
        $valid = is_array($generations)
            ? array_filter($generations, static fn (mixed $word): bool => (bool) preg_match(self::GENERATION, (string) $word))
            : [];
        if (!isset($valid['site']) || count($valid) !== count($generations)) {
            return false;
        }
        $this->generations = $valid;
        return true;
    }

    /** Runs a function whose warnings are nobody's concern: its result says it all. */
    private function quietly(callable $function): mixed
    {
        set_error_handler(static fn (): bool => true);
        try {
            return $function();
        } catch (Throwable $error) {
            $this->fail($error->getMessage());
            return null;
        } finally {
            restore_error_handler();
        }
    }

    private function open(): bool
    {
        if (!$this->may_try()) {
            $this->state = 'paused';
            $this->fault = 'it did not answer some seconds ago';
            return false;
        }
        // Before everything else: a change that is lost from here on makes another number.
        $lost = $this->number_of(self::LOST);
        if ($lost === null && touch($this->directory . self::LOST, random_int(1, 0x7fffffff))) {
            $lost = $this->number_of(self::LOST);
        }
        $this->patience = $this->timeout * $this->crowd();
        $began = hrtime(true);
        $this->redis = new Redis();
        $host = $this->find((string) ($this->settings['host'] ?? ''));
        $port = (int) ($this->settings['port'] ?? 6379);
        // Not persistent: a connection that a request left in the middle of a reply cannot answer the next one's questions.
        if (!$this->redis->connect($host, $port, $this->patience, null, 0, $this->patience)) {
            throw new RuntimeException('no connection');
        }
        // Once is enough: phpredis would connect anew up to ten times, each time waiting.
        $this->redis->setOption(Redis::OPT_MAX_RETRIES, 0);
        $this->seconds += (hrtime(true) - $began) / 1e9;
        $this->state = 'up';
        $login = array_map(strval(...), [$this->settings['user'] ?? 'default', $this->settings['password'] ?? '']);
        $replies = $this->exchange([['auth', $login], ['hGetAll', $this->hash()]]);
        if ($replies === null) {
            return false;
        }
        $trusted = $lost !== null && $this->number_of(self::TRUSTED) === $lost;
        if (!($trusted ? $this->adopt($replies[1]) || $this->reload(false) : $this->flush())) {
            return false;
        }
        if (!$trusted && $lost !== null) {
            touch($this->directory . self::TRUSTED, $lost);
        }
        if (is_file($this->directory . self::BREAKER) && unlink($this->directory . self::BREAKER)) {
            error_log("pressdock object cache: Redis ($this->address) answers again");
        }
        return true;
    }

    /** @param list<array{string, ...}> $commands */
    private function exchange(array $commands): ?array
    {
        $began = hrtime(true);
        $this->redis->clearLastError();
        $pipeline = $this->redis->pipeline();
        foreach ($commands as $command) {
            $pipeline->{$command[0]}(...array_slice($command, 1));
        }
        $replies = $pipeline->exec();
        $seconds = (hrtime(true) - $began) / 1e9;
        $this->seconds += $seconds;
        $this->round_trips++;
        $this->commands += count($commands);
        $error = (string) $this->redis->getLastError();
        // Something else in the place of the hash is no hash: the caller sees a reply without generations.
        if ($error !== '' && !str_starts_with($error, 'WRONGTYPE')) {
            throw new RuntimeException($error);
        }
        if (!is_array($replies) || count($replies) < 1) {
            throw new RuntimeException('no reply');
        }
        // Many late replies make a page as slow as none.
        $this->lateness += max(0.0, $seconds - $this->patience / 8);
        $this->late = $this->lateness > self::MOST_LATE * $this->patience;
        if ($this->lateness > self::MUCH_TOO_LATE * $this->patience) {
            $this->fail(sprintf('replies were late by %.1f s in one request', $this->lateness));
        }
        return $replies;
    }

    /** Returns how many processes there are for each processor, from 1 to BUSIEST: now, or in the last minute if they were more. */
    private function crowd(): float
    {
        $machine = (string) ($this->settings['machine'] ?? '');
        if (!preg_match('#^([\d.]+) \S+ \S+ (\d+)/#', (string) file_get_contents("$machine/proc/loadavg"), $load)) {
            return 1.0;
        }
        $waiting = max((float) $load[1], (float) $load[2]);
        $processors = 0;
        foreach ($waiting > 1 ? explode(',', trim((string) file_get_contents("$machine/sys/devices/system/cpu/online"))) : [] as $range) {
            $ends = array_map(intval(...), explode('-', $range));
            $processors += end($ends) - $ends[0] + 1;
        }
        return max(1.0, min(self::BUSIEST, $waiting / max(1, $processors)));
    }

    private function fail(string $fault): void
    {
        $this->state = 'down';
        $this->fault = $fault;
        $this->redis = null;
        $breaker = $this->directory . self::BREAKER;
        set_error_handler(static fn (): bool => true);
        if ($file = fopen($breaker, 'x')) {
            fclose($file);
            error_log("pressdock object cache: Redis ($this->address) is not used: $fault");
        } else {
            touch($breaker);
        }
        restore_error_handler();
    }

    /** Whether Redis has not failed recently, or it is this request's turn to try again. */
    private function may_try(): bool
    {
        $breaker = $this->directory . self::BREAKER;
        $age = $this->age_of($breaker);
        if ($age === null || $age < self::PAUSE || !($file = fopen($breaker, 'r'))) {
            return $age === null;
        }
        // Who holds the lock and still finds the file old renews it, and thereby keeps the others away.
        $mine = flock($file, LOCK_EX | LOCK_NB) && $this->age_of($breaker) >= self::PAUSE && touch($breaker);
        fclose($file);
        return $mine;
    }

    /** Seconds since a file was touched; null if it is not there. */
    private function age_of(string $file): ?int
    {
        clearstatcache(true, $file);
        // A time in the future is none that can be waited for: the clock was set.
        return is_file($file) ? abs(time() - (int) filemtime($file)) : null;
    }

    private function number_of(string $name): ?int
    {
        clearstatcache(true, $this->directory . $name);
        return is_file($this->directory . $name) ? (filemtime($this->directory . $name) ?: null) : null;
    }

    /** Returns a host's address, which is remembered while the engine, and with it its name server, is away. */
    private function find(string $host): string
    {
        if (filter_var($host, FILTER_VALIDATE_IP) || str_contains($host, '/')) {
            return $host;
        }
        // An image from before has none; it may serve until its container is replaced.
        if (!is_file(self::ADDRESSES)) {
            return $host;
        }
        require_once self::ADDRESSES;
        return Pressdock\address_of($host) ?? throw new RuntimeException("the name $host is not known");
    }
}

/** What WordPress's cache functions work on; see wp-includes/class-wp-object-cache.php for what is expected. */
#[AllowDynamicProperties]
class WP_Object_Cache
{
    /** Seconds after which every value goes, so that names of past generations do not stay. */
    private const LIFETIME = 604800;
    /**
     * Bytes of the largest value that is passed to Redis: what takes long to transfer is quicker to compute, and the server closes
     * connections whose buffers get too large for a small cache.
     */
    private const LARGEST = 1048576;
    /** The same of one that is compressed and cut into pieces, and what it may become again. */
    private const LARGEST_WHOLE = 8 * self::LARGEST;
    private const LARGEST_PLAIN = 64 * self::LARGEST;
    /** Seconds after which a value in pieces goes: those of earlier ones of its name lie beside it until then. */
    private const LIFETIME_OF_PIECES = 86400;
    /** What the bytes of a compressed value, and of one that leads to pieces, begin with. */
    private const COMPRESSED = "\0pressdock:z";
    private const PIECES = "\0pressdock:p";
    /** Groups whose values WordPress keeps nowhere else: what is not kept here is gone. */
    private const NOWHERE_ELSE = ['transient', 'site-transient'];
    /** What igbinary's format begins with. Whole numbers are stored as text, everything else in that format. */
    private const IGBINARY = "\0\0\0\2";

    public int $cache_hits = 0;
    public int $cache_misses = 0;
    /** @var array<string, array<int|string, mixed>> What this request knows, by group. */
    public array $cache = [];
    /** @var array<string, true> */
    public array $global_groups = [];
    /** @var array<string, true> */
    public array $non_persistent_groups = [];
    /** What separates a network's sites in groups that are not global. */
    public string $blog_prefix = '';

    private readonly Pressdock_Cache_Server $server;
    private readonly bool $multisite;
    private readonly bool $write_only;
    /** @var array<string, array<int|string, float>> When values that were given a lifetime end, by group. */
    private array $ends = [];
    /** @var array<string, string> Beginnings of names, by group. */
    private array $heads = [];
    /** Whether the last exchange found that another process had flushed what it was about. */
    private bool $moved = false;

    /** @param array<string, mixed>|null $settings */
    public function __construct(#[SensitiveParameter] ?array $settings = null, bool $write_only = false)
    {
        $this->server = new Pressdock_Cache_Server($settings);
        $this->write_only = $write_only;
        $this->multisite = is_multisite();
        $this->switch_to_blog(get_current_blog_id());
    }

    // --- The interface of core's class --------------------------------------------------------------------------------

    public function add($key, $data, $group = 'default', $expire = 0)
    {
        if (wp_suspend_cache_addition() || !$this->is_valid_key($key, __FUNCTION__)) {
            return false;
        }
        return $this->add_values([$key => $data], $this->group($group), (int) $expire)[$key];
    }

    public function add_multiple(array $data, $group = '', $expire = 0)
    {
        $valid = wp_suspend_cache_addition() ? [] : $this->valid($data, __FUNCTION__);
        $added = $this->add_values($valid, $this->group($group), (int) $expire);
        return array_replace(array_fill_keys(array_keys($data), false), $added);
    }

    public function replace($key, $data, $group = 'default', $expire = 0)
    {
        if (!$this->is_valid_key($key, __FUNCTION__)) {
            return false;
        }
        $group = $this->group($group);
        $expire = (int) $expire;
        $known = $this->knows($group, $this->id($group, $key));
        if ($this->is_shared($group) && ($known || !$this->write_only)) {
            // Another process may have deleted what this one remembers: Redis decides.
            $replaced = $this->write($group, [$key => $data], $expire, 'xx')[$key] ?? null;
            $known = $this->write_only ? $known : $replaced ?? $known;
        }
        if ($known) {
            $this->remember($group, $this->id($group, $key), $data, $expire);
        } else {
            $this->forget($group, $this->id($group, $key));
        }
        return $known;
    }

    public function set($key, $data, $group = 'default', $expire = 0)
    {
        if (!$this->is_valid_key($key, __FUNCTION__)) {
            return false;
        }
        return $this->set_values([$key => $data], $this->group($group), (int) $expire)[$key];
    }

    public function set_multiple(array $data, $group = '', $expire = 0)
    {
        $valid = $this->valid($data, __FUNCTION__);
        return array_replace(array_fill_keys(array_keys($data), false), $this->set_values($valid, $this->group($group), (int) $expire));
    }

    public function get($key, $group = 'default', $force = false, &$found = null)
    {
        $found = false;
        if (!$this->is_valid_key($key, __FUNCTION__)) {
            return false;
        }
        $group = $this->group($group);
        $values = $this->values($group, [$key], (bool) $force);
        $found = $values !== [];
        return $found ? reset($values) : false;
    }

    public function get_multiple($keys, $group = 'default', $force = false)
    {
        $group = $this->group($group);
        $valid = [];
        $result = [];
        foreach ($keys as $key) {
            if ($this->is_valid_key($key, __FUNCTION__)) {
                $valid[] = $key;
            }
            if (is_scalar($key) || $key === null) {
                $result[(string) $key] = false;
            }
        }
        return array_replace($result, $this->values($group, $valid, (bool) $force));
    }

    public function delete($key, $group = 'default', $deprecated = false)
    {
        return $this->is_valid_key($key, __FUNCTION__) && $this->delete_keys([$key], $this->group($group))[$key];
    }

    public function delete_multiple(array $keys, $group = '')
    {
        $valid = array_filter($keys, fn (mixed $key): bool => $this->is_valid_key($key, 'delete_multiple'));
        $named = array_filter($keys, static fn (mixed $key): bool => is_scalar($key) || $key === null);
        $deleted = $this->delete_keys(array_values($valid), $this->group($group));
        return array_replace(array_fill_keys(array_map(strval(...), $named), false), $deleted);
    }

    public function incr($key, $offset = 1, $group = 'default')
    {
        return $this->is_valid_key($key, __FUNCTION__) ? $this->count($key, (int) $offset, $this->group($group)) : false;
    }

    public function decr($key, $offset = 1, $group = 'default')
    {
        return $this->is_valid_key($key, __FUNCTION__) ? $this->count($key, -(int) $offset, $this->group($group)) : false;
    }

    public function flush()
    {
        $this->flush_runtime();
        $this->server->flush();
        return true;
    }

    public function flush_runtime()
    {
        $this->cache = [];
        $this->ends = [];
        $this->heads = [];
        return true;
    }

    /** Flushes a group, on all sites of a network. */
    public function flush_group($group)
    {
        $group = $this->group($group);
        unset($this->cache[$group], $this->ends[$group]);
        if ($this->is_shared($group)) {
            $this->renew("group:$group");
        }
        return true;
    }

    /** Flushes what belongs to one site of a network, by default the current one. Groups for all sites stay. */
    public function flush_blog(?int $blog = null): bool
    {
        if (!$this->multisite) {
            return $this->flush();
        }
        $blog = $blog === null ? $this->blog_prefix : "$blog:";
        foreach (array_diff_key($this->cache, $this->global_groups) as $group => $values) {
            foreach (array_keys($values) as $id) {
                if (str_starts_with((string) $id, $blog)) {
                    $this->forget((string) $group, $id);
                }
            }
        }
        $this->renew("blog:$blog");
        return true;
    }

    public function add_global_groups($groups)
    {
        $this->global_groups += array_fill_keys((array) $groups, true);
        $this->heads = [];
    }

    public function add_non_persistent_groups($groups)
    {
        $this->non_persistent_groups += array_fill_keys((array) $groups, true);
    }

    public function switch_to_blog($blog_id)
    {
        $this->blog_prefix = $this->multisite ? (int) $blog_id . ':' : '';
        $this->heads = [];
    }

    public function reset()
    {
        _deprecated_function(__METHOD__, '3.5.0', 'WP_Object_Cache::switch_to_blog()');
        $this->cache = array_intersect_key($this->cache, $this->global_groups);
    }

    public function stats()
    {
        printf(
            '<p><strong>Cache Hits:</strong> %d<br /><strong>Cache Misses:</strong> %d<br />'
            . '<strong>Redis:</strong> %s, %d round trips, %.1f ms</p><ul>',
            $this->cache_hits,
            $this->cache_misses,
            esc_html($this->server->state),
            $this->server->round_trips,
            $this->server->seconds * 1000,
        );
        foreach ($this->cache as $group => $values) {
            printf('<li><strong>Group:</strong> %s - %d values</li>', esc_html((string) $group), count($values));
        }
        echo '</ul>';
    }

    // --- For the project ----------------------------------------------------------------------------------------------

    /** What Redis itself holds now, on the current site; null if there is nothing, or no Redis. */
    public function stored(string $group, string $key): mixed
    {
        $group = $this->group($group);
        return $this->is_shared($group) ? $this->read($group, [$key])[$key] ?? null : null;
    }

    /**
     * Asks Redis for a sign of life.
     *
     * @return float|null seconds that it took
     */
    public function ping(): ?float
    {
        if (!$this->server->ready()) {
            return null;
        }
        $began = hrtime(true);
        return $this->server->send([['ping']], false) === null ? null : (hrtime(true) - $began) / 1e9;
    }

    /**
     * What is known about the cache and its server; no secrets.
     *
     * @return array<string, mixed>
     */
    public function info(): array
    {
        return [
            'state' => $this->server->state,
            'fault' => $this->server->fault,
            'late' => $this->server->late,
            'server' => $this->server->address,
            'prefix' => $this->server->prefix,
            'write_only' => $this->write_only,
            'hits' => $this->cache_hits,
            'misses' => $this->cache_misses,
            'round_trips' => $this->server->round_trips,
            'commands' => $this->server->commands,
            'seconds' => $this->server->seconds,
            'non_persistent_groups' => array_map(strval(...), array_keys($this->non_persistent_groups)),
        ];
    }

    // --- What this request knows --------------------------------------------------------------------------------------

    private function knows(string $group, int|string $id): bool
    {
        if (isset($this->ends[$group][$id]) && $this->ends[$group][$id] <= microtime(true)) {
            $this->forget($group, $id);
        }
        return isset($this->cache[$group][$id]) || array_key_exists($id, $this->cache[$group] ?? []);
    }

    private function remember(string $group, int|string $id, mixed $value, int $expire): void
    {
        if ($expire < 0) {
            $this->forget($group, $id);
            return;
        }
        $this->cache[$group][$id] = self::copy($value);
        if ($expire) {
            $this->ends[$group][$id] = microtime(true) + $expire;
        } else {
            unset($this->ends[$group][$id]);
        }
    }

    private function forget(string $group, int|string $id): void
    {
        unset($this->cache[$group][$id], $this->ends[$group][$id]);
    }

    /** Who changes an object later does not mean the one in the cache. */
    private static function copy(mixed $value): mixed
    {
        return is_object($value) && !$value instanceof UnitEnum ? clone $value : $value;
    }

    // --- Several keys of one group ------------------------------------------------------------------------------------

    /**
     * Returns the values that there are, by key, and counts hits and misses.
     *
     * @param list<int|string> $keys
     */
    private function values(string $group, array $keys, bool $force): array
    {
        $ask = $this->is_shared($group) && !$this->write_only && !$this->server->late;
        $unknown = $ask
            ? array_filter($keys, fn (int|string $key): bool => $force || !$this->knows($group, $this->id($group, $key)))
            : [];
        if ($unknown && ($read = $this->read($group, array_values($unknown))) !== null) {
            foreach ($unknown as $key) {
                $id = $this->id($group, $key);
                $this->forget($group, $id);
                if (array_key_exists($key, $read)) {
                    // Objects are nobody else's yet: they were made a moment ago.
                    $this->cache[$group][$id] = $read[$key];
                }
            }
        }
        $values = [];
        foreach ($keys as $key) {
            $id = $this->id($group, $key);
            if ($this->knows($group, $id)) {
                $values[$key] = self::copy($this->cache[$group][$id]);
                $this->cache_hits++;
            } else {
                $this->cache_misses++;
            }
        }
        return $values;
    }

    /**
     * @param array<int|string, mixed> $data
     * @return array<int|string, bool> whether each was kept: for this request at least, and what WordPress keeps nowhere else also for others
     */
    private function set_values(array $data, string $group, int $expire): array
    {
        $kept = array_fill_keys(array_keys($data), true);
        if ($this->is_shared($group)) {
            $written = $this->write($group, $data, $expire, '');
            // What ends before it begins is kept as it shall be: not at all.
            if (in_array($group, self::NOWHERE_ELSE, true) && $expire >= 0) {
                $kept = array_replace(array_fill_keys(array_keys($data), false), $written);
            }
        }
        foreach ($data as $key => $value) {
            $this->remember($group, $this->id($group, $key), $value, $expire);
        }
        return $kept;
    }

    /**
     * Adds what is not there, for this request or in Redis.
     *
     * @param array<int|string, mixed> $data
     * @return array<int|string, bool>
     */
    private function add_values(array $data, string $group, int $expire): array
    {
        $absent = array_filter($data, fn (int|string $key): bool => !$this->knows($group, $this->id($group, $key)), ARRAY_FILTER_USE_KEY);
        $added = array_fill_keys(array_keys($absent), true);
        if ($absent && $this->is_shared($group)) {
            $stored = $this->write($group, $absent, $expire, 'nx');
            // Whoever only writes computes everything anew: what Redis has is none of its business.
            $added = $this->write_only ? $added : array_replace($added, $stored);
        }
        foreach (array_filter($added) as $key => $_) {
            $this->remember($group, $this->id($group, $key), $absent[$key], $expire);
        }
        return array_replace(array_fill_keys(array_keys($data), false), $added);
    }

    /**
     * @param list<int|string> $keys
     * @return array<int|string, bool>
     */
    private function delete_keys(array $keys, string $group): array
    {
        $deleted = [];
        foreach ($keys as $key) {
            $deleted[$key] = $this->knows($group, $this->id($group, $key));
        }
        if ($keys && $this->is_shared($group)) {
            $unlink = fn (): array => array_map(fn (int|string $key): array => ['unlink', $this->name($group, $key)], $keys);
            $replies = $this->exchange($group, $unlink, true);
            if ($this->moved) {
                $replies = $this->exchange($group, $unlink, true);
            }
            foreach ($keys as $number => $key) {
                $deleted[$key] = $deleted[$key] || !empty($replies[$number]);
            }
        }
        foreach ($keys as $key) {
            $this->forget($group, $this->id($group, $key));
        }
        return $deleted;
    }

    /** Adds to a number, and returns the result; false if there is none. Others see each step once: it is atomic. */
    private function count(int|string $key, int $difference, string $group): int|float|false
    {
        $id = $this->id($group, $key);
        $sum = static fn (mixed $value): int|float => max(0, (is_numeric($value) ? $value : 0) + $difference);
        // Redis does it only if nothing has changed since the value was read; otherwise once more. Somebody else has
        // succeeded then, so that all together make progress.
        for ($try = 0; $try < 1000 && $this->is_shared($group) && !$this->write_only; $try++) {
            $replies = $this->exchange($group, fn (): array => [
                ['watch', $this->name($group, $key)],
                ['mget', [$this->name($group, $key)]],
            ], false);
            if ($replies === null) {
                break;
            }
            if ($this->moved) {
                continue;
            }
            $value = $this->decode([$key => $replies[1][0]]);
            if (!$value) {
                // The key stays watched until the next transaction of this connection, which at worst tries twice.
                $this->forget($group, $id);
                return false;
            }
            $result = $sum($value[$key]);
            $replies = $this->server->send([
                ['multi'],
                ['set', $this->name($group, $key), $this->encode($result), ['xx', 'keepttl']],
                ['exec'],
            ], true);
            if ($replies === null) {
                break;
            }
            if ($replies[0]) {
                $this->cache[$group][$id] = $result;
                return $result;
            }
        }
        if (!$this->knows($group, $id)) {
            return false;
        }
        $result = $sum($this->cache[$group][$id]);
        if ($this->is_shared($group)) {
            $this->write($group, [$key => $result], (int) ceil(max(0.0, ($this->ends[$group][$id] ?? 0) - microtime(true))), '');
        }
        return $this->cache[$group][$id] = $result;
    }

    // --- What Redis knows ---------------------------------------------------------------------------------------------

    /** Whether a group's values are for other requests, too. */
    private function is_shared(string $group): bool
    {
        return !isset($this->non_persistent_groups[$group]) && $this->server->state !== 'off';
    }

    private function name(string $group, int|string $key): string
    {
        return ($this->heads[$group] ??= $this->head($group)) . $key;
    }

    private function head(string $group): string
    {
        $generations = $this->server->generations;
        $blog = isset($this->global_groups[$group]) ? '' : $this->blog_prefix;
        $parts = [
            $generations['site'] ?? '',
            $blog === '' ? '' : $generations["blog:$blog"] ?? '',
            $generations["group:$group"] ?? '',
            // A site that is being built has other tables, and its own cache with them.
            rawurlencode((string) ($GLOBALS['wpdb']->base_prefix ?? $GLOBALS['table_prefix'] ?? '')) . '/' . rtrim($blog, ':'),
            rawurlencode($group),
        ];
        return $this->server->prefix . implode(':', $parts) . ':';
    }

    /**
     * Sends commands about a group's values, in one round trip, and takes notice of flushes by other processes.
     *
     * @param callable(): list<array> $commands called when the generations are known that names are made of
     */
    private function exchange(string $group, callable $commands, bool $changes): ?array
    {
        $this->moved = false;
        $fields = ['site', "group:$group"];
        if ($this->blog_prefix !== '' && !isset($this->global_groups[$group])) {
            $fields[] = "blog:$this->blog_prefix";
        }
        $asked = $this->server->ready() ? [...$commands(), ['hMGet', $this->server->hash(), $fields]] : [];
        $replies = $this->server->send($asked, $changes);
        if ($replies === null) {
            return null;
        }
        $known = $this->server->generations;
        $current = array_pop($replies) ?: [];
        $changed = array_filter($fields, static fn (string $field): bool => ($known[$field] ?? false) !== ($current[$field] ?? false));
        if ($changed) {
            $this->moved = true;
            $this->heads = [];
            // What this request remembers of it is older than the flush. Groups that only it knows have nothing to do with that.
            $outdated = in_array('site', $changed, true) ? $this->cache
                : ($changed === ["group:$group"] ? [$group => true] : array_diff_key($this->cache, $this->global_groups));
            $outdated = array_diff_key($outdated, $this->non_persistent_groups);
            $this->cache = array_diff_key($this->cache, $outdated);
            $this->ends = array_diff_key($this->ends, $outdated);
            if (!$this->server->reload($changes)) {
                return null;
            }
        }
        return $replies;
    }

    /**
     * Reads values in one round trip; null without Redis.
     *
     * @param list<int|string> $keys
     */
    private function read(string $group, array $keys): ?array
    {
        for ($try = 0; $try < 2; $try++) {
            $names = fn (): array => array_map(fn (int|string $key): string => $this->name($group, $key), $keys);
            $replies = $this->exchange($group, fn (): array => [['mget', $names()]], false);
            if ($replies === null) {
                return null;
            }
            if (!$this->moved) {
                $blobs = array_combine($keys, $replies[0]);
                foreach ($blobs as $key => $blob) {
                    if (is_string($blob) && str_starts_with($blob, self::PIECES)) {
                        $blobs[$key] = $this->joined($group, $key, substr($blob, strlen(self::PIECES)));
                    }
                }
                return $this->decode($blobs);
            }
        }
        return [];
    }

    /** Reads a value's pieces, each in a round trip of its own; null if one is missing. */
    private function joined(string $group, int|string $key, string $where): ?string
    {
        [$word, $number] = explode(' ', $where) + [1 => '0'];
        $whole = '';
        for ($piece = 0; $piece < (int) $number; $piece++) {
            $replies = $this->exchange($group, fn (): array => [['mget', [$this->piece($group, $key, $word, $piece)]]], false);
            if ($replies === null || $this->moved || !is_string($replies[0][0] ?? null)) {
                return null;
            }
            $whole .= $replies[0][0];
        }
        return $whole;
    }

    /** Writes a value's pieces; returns what leads to them, or null if it could not be done. */
    private function cut(string $group, int|string $key, string $whole, int $expire): ?string
    {
        $word = Pressdock_Cache_Server::new_generation();
        $pieces = str_split($whole, self::LARGEST);
        foreach ($pieces as $piece => $bytes) {
            $replies = $this->exchange($group, fn (): array => [
                ['set', $this->piece($group, $key, $word, $piece), $bytes, ['ex' => $expire]],
            ], false);
            if ($replies === null || $this->moved || !$replies[0]) {
                return null;
            }
        }
        return self::PIECES . $word . ' ' . count($pieces);
    }

    private function piece(string $group, int|string $key, string $word, int $number): string
    {
        return $this->name($group, $key) . "\0$word:$number";
    }

    /**
     * Passes values on in one round trip.
     *
     * @param array<int|string, mixed> $data
     * @param string $condition nx: only if absent; xx: only if present; empty: always
     * @return array<int|string, bool> whether each was stored; empty without Redis
     */
    private function write(string $group, array $data, int $expire, string $condition): array
    {
        if (!$data) {
            return [];
        }
        if ($condition === 'nx' && $this->server->late) {
            return [];
        }
        $options = ['ex' => $expire > 0 ? min($expire, self::LIFETIME) : self::LIFETIME];
        if ($condition !== '') {
            $options[] = $condition;
        }
        $blobs = array_map($expire < 0 ? static fn (): null => null : $this->encode(...), $data);
        foreach ($blobs as $key => $blob) {
            if (is_string($blob) && strlen($blob) > self::LARGEST) {
                $options['ex'] = min($options['ex'], self::LIFETIME_OF_PIECES);
                $blobs[$key] = $this->server->late ? null : $this->cut($group, $key, $blob, $options['ex']);
            }
        }
        if ($condition === 'nx') {
            // What cannot be stored is added for this request only.
            $blobs = array_filter($blobs, is_string(...));
        }
        $keys = array_keys($blobs);
        $unlink = fn (int|string $key): array => ['unlink', $this->name($group, $key)];
        $write = fn (int|string $key): array => $blobs[$key] === null
            ? $unlink($key)
            : ['set', $this->name($group, $key), $blobs[$key], $options];
        if (!$keys) {
            return [];
        }
        // An addition that is lost leaves nothing outdated.
        $replies = $this->exchange($group, static fn (): array => array_map($write, $keys), $condition !== 'nx');
        if ($replies === null) {
            return [];
        }
        if ($this->moved) {
            if ($condition !== 'nx') {
                $this->exchange($group, static fn (): array => array_map($unlink, $keys), true);
            }
            return [];
        }
        return array_combine($keys, array_map(static fn (mixed $reply, ?string $blob): bool => $reply && $blob !== null, $replies, $blobs));
    }

    /** Draws a new generation for a group or a blog. */
    private function renew(string $field): void
    {
        $word = Pressdock_Cache_Server::new_generation();
        if ($this->server->send([['hSet', $this->server->hash(), $field, $word]], true) !== null) {
            $this->server->generations[$field] = $word;
            $this->heads = [];
        }
    }

    // --- Values as bytes ----------------------------------------------------------------------------------------------

    /** Returns what Redis stores for a value; null if it cannot. */
    private function encode(mixed $value): ?string
    {
        if (is_int($value)) {
            return (string) $value;
        }
        try {
            $blob = igbinary_serialize($value);
        } catch (Throwable) {
            // Functions, for example.
            return null;
        }
        if (!is_string($blob) || strlen($blob) > self::LARGEST_PLAIN) {
            return null;
        }
        if (strlen($blob) > self::LARGEST) {
            $blob = self::COMPRESSED . gzcompress($blob, 1);
        }
        return strlen($blob) <= self::LARGEST_WHOLE ? $blob : null;
    }

    /**
     * Returns the values of what Redis stores, without those that are none: nothing there, damaged, or an object whose
     * class is not known (now).
     *
     * @param array<int|string, mixed> $blobs
     */
    private function decode(array $blobs): array
    {
        $values = [];
        set_error_handler(static fn (): bool => true);
        $callback = ini_set('unserialize_callback_func', 'pressdock_cache_unknown_class');
        foreach ($blobs as $key => $blob) {
            if (is_string($blob) && str_starts_with($blob, self::COMPRESSED)) {
                $blob = gzuncompress(substr($blob, strlen(self::COMPRESSED)), self::LARGEST_PLAIN);
            }
            if (!is_string($blob)) {
                continue;
            }
            if (strlen($blob) <= 20 && (string) (int) $blob === $blob) {
                $values[$key] = (int) $blob;
            } elseif (str_starts_with($blob, self::IGBINARY)) {
                try {
                    $value = igbinary_unserialize($blob);
                } catch (Throwable) {
                    continue;
                }
                // Both also stand for failure.
                if (($value !== null && $value !== false) || igbinary_serialize($value) === $blob) {
                    $values[$key] = $value;
                }
            }
        }
        ini_set('unserialize_callback_func', (string) $callback);
        restore_error_handler();
        return $values;
    }

    // --- Arguments ----------------------------------------------------------------------------------------------------

    private function group(mixed $group): string
    {
        return empty($group) ? 'default' : (string) $group;
    }

    private function id(string $group, int|string $key): int|string
    {
        return $this->blog_prefix === '' || isset($this->global_groups[$group]) ? $key : $this->blog_prefix . $key;
    }

    /** @param array<int|string, mixed> $data */
    private function valid(array $data, string $method): array
    {
        return array_filter($data, fn (int|string $key): bool => $this->is_valid_key($key, $method), ARRAY_FILTER_USE_KEY);
    }

    private function is_valid_key(mixed $key, string $method): bool
    {
        if (is_int($key) || (is_string($key) && trim($key) !== '')) {
            return true;
        }
        if (!function_exists('__')) {
            wp_load_translations_early();
        }
        $message = is_string($key)
            ? __('Cache key must not be an empty string.')
            : sprintf(__('Cache key must be an integer or a non-empty string, %s given.'), gettype($key));
        _doing_it_wrong(__CLASS__ . "::$method", $message, '6.1.0');
        return false;
    }
}

/** Called for an unknown class: without it, the value would be an object of none. */
function pressdock_cache_unknown_class(string $class): never
{
    throw new RuntimeException("class $class is not known");
}

// --- The functions of wp-includes/cache.php ---------------------------------------------------------------------------

function wp_cache_init()
{
    $settings = defined('PRESSDOCK_CACHE') && is_array(PRESSDOCK_CACHE) ? PRESSDOCK_CACHE : null;
    $write_only = defined('PRESSDOCK_CACHE_WRITE_ONLY') && PRESSDOCK_CACHE_WRITE_ONLY;
    $GLOBALS['wp_object_cache'] = new WP_Object_Cache($settings, $write_only);
    if ($settings === null && function_exists('add_action')) {
        // Without Redis transients belong into the database. Earlier, core would load its own functions beside these.
        add_action('muplugins_loaded', static fn () => wp_using_ext_object_cache(false), PHP_INT_MIN);
    }
}

function wp_cache_add($key, $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->add($key, $data, $group, $expire);
}

function wp_cache_add_multiple(array $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->add_multiple($data, $group, $expire);
}

function wp_cache_replace($key, $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->replace($key, $data, $group, $expire);
}

function wp_cache_set($key, $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->set($key, $data, $group, $expire);
}

function wp_cache_set_multiple(array $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->set_multiple($data, $group, $expire);
}

function wp_cache_get($key, $group = '', $force = false, &$found = null)
{
    return $GLOBALS['wp_object_cache']->get($key, $group, $force, $found);
}

function wp_cache_get_multiple($keys, $group = '', $force = false)
{
    return $GLOBALS['wp_object_cache']->get_multiple($keys, $group, $force);
}

function wp_cache_delete($key, $group = '')
{
    return $GLOBALS['wp_object_cache']->delete($key, $group);
}

function wp_cache_delete_multiple(array $keys, $group = '')
{
    return $GLOBALS['wp_object_cache']->delete_multiple($keys, $group);
}

function wp_cache_incr($key, $offset = 1, $group = '')
{
    return $GLOBALS['wp_object_cache']->incr($key, $offset, $group);
}

function wp_cache_decr($key, $offset = 1, $group = '')
{
    return $GLOBALS['wp_object_cache']->decr($key, $offset, $group);
}

function wp_cache_flush()
{
    return $GLOBALS['wp_object_cache']->flush();
}

function wp_cache_flush_runtime()
{
    return $GLOBALS['wp_object_cache']->flush_runtime();
}

function wp_cache_flush_group($group)
{
    return $GLOBALS['wp_object_cache']->flush_group($group);
}

function wp_cache_supports($feature)
{
    return in_array($feature, [
        'add_multiple', 'set_multiple', 'get_multiple', 'delete_multiple', 'flush_runtime', 'flush_group',
    ], true);
}

function wp_cache_close()
{
    return true;
}

function wp_cache_add_global_groups($groups)
{
    $GLOBALS['wp_object_cache']->add_global_groups($groups);
}

function wp_cache_add_non_persistent_groups($groups)
{
    $GLOBALS['wp_object_cache']->add_non_persistent_groups($groups);
}

function wp_cache_switch_to_blog($blog_id)
{
    $GLOBALS['wp_object_cache']->switch_to_blog($blog_id);
}

function wp_cache_reset()
{
    _deprecated_function(__FUNCTION__, '3.5.0', 'wp_cache_switch_to_blog()');
    $GLOBALS['wp_object_cache']->reset();
}
