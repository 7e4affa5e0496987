<?php
/**
 * A site's object cache: the drop-in on its volume, and what the cache holds in place of the database.
 * reconcile.php loads this file and decides when its steps happen.
 *
 * The reconciler itself never believes a cache. What is declared is compared with the database, and what the cache
 * holds is compared with it as well: a value that outlived a change of the database is what visitors see.
 */

declare(strict_types=1);

namespace Pressdock;

/** wp-content/object-cache.php, which WordPress loads in place of its own cache when it is there. */
final class DropIn
{
    private const OURS = __DIR__ . '/object-cache.php';
    private const FILE = WP_CONTENT_DIR . '/object-cache.php';

    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
    }

    public function reconcile(): void
    {
        $what = 'object cache drop-in';
        match ($this->declared->object_cache) {
            'builtin' => $this->isOurs() || $this->report->change($what, $this->name(), 'from the image', $this->install(...)),
            // The file is the plugin's business, unless it is ours, which the plugin would not replace.
            'plugin' => $this->isOfOurKind() && $this->report->change($what, $this->name(), null, $this->remove(...)),
            'none' => $this->exists() && $this->report->change($what, $this->name(), null, $this->remove(...)),
        };
    }

    /** Says whether the file is exactly the image's. */
    public function isOurs(): bool
    {
        return is_file(self::FILE) && !is_link(self::FILE) && file_get_contents(self::FILE) === file_get_contents(self::OURS);
    }

    /** Says whether the file is ours, whatever its version and whoever has changed it. */
    private function isOfOurKind(): bool
    {
        return $this->isOurs() || ($this->exists() && file_header(self::FILE, 'Plugin Name') === file_header(self::OURS, 'Plugin Name'));
    }

    private function exists(): bool
    {
        return is_link(self::FILE) || file_exists(self::FILE);
    }

    /** Names what is there, for people; null for nothing. */
    private function name(): ?string
    {
        return match (true) {
            !$this->exists() => null,
            $this->isOfOurKind() => $this->isOurs() ? 'from the image' : 'another version, or changed',
            default => file_header(self::FILE, 'Plugin Name') ?? 'a file without a name',
        };
    }

    private function install(): void
    {
        $new = self::FILE . '.new';
        remove_tree($new);
        copy(self::OURS, $new);
        chmod($new, 0644);
        // A directory would not give way.
        if (is_dir(self::FILE) && !is_link(self::FILE)) {
            $this->remove();
        }
        rename($new, self::FILE);
    }

    private function remove(): void
    {
        remove_tree(self::FILE);
    }
}

/** What the cache server holds for this site, against the database. */
final class CachedState
{
    /** Options that a request may change at any moment: that the cache is ahead of the database says nothing. */
    private const VOLATILE = '/^(_transient_|_site_transient_|cron$|rewrite_rules$|recently_activated$)/';
    /** Microseconds between two looks: what differs because a request is just writing it does so only once. */
    private const PAUSE = 300_000;

    /** @var list<string> */
    private array $options = [];
    /** @var list<string> */
    private array $users = [];

    public function __construct(private readonly Declaration $declared)
    {
    }

    /** Looks before anything is changed: what is put right in the database is put right in the cache by that alone. */
    public function look(): void
    {
        if (!method_exists($GLOBALS['wp_object_cache'], 'stored')) {
            return;
        }
        [$this->options, $this->users] = [$this->staleOptions(), $this->staleUsers()];
        if ($this->options || $this->users) {
            usleep(self::PAUSE);
            $this->options = array_values(array_intersect($this->options, $this->staleOptions()));
            $this->users = array_values(array_intersect($this->users, $this->staleUsers()));
        }
    }

    /**
     * Reports what was stale, without what was a difference from the declared state itself. The flush follows at the end,
     * as it does after every change.
     */
    public function report(Report $report): void
    {
        $named = array_column($report->changes, 'what');
        $options = array_filter($this->options, static fn (string $name): bool => !array_intersect($named, match ($name) {
            'template', 'stylesheet', 'template_root', 'stylesheet_root' => ['theme'],
            'db_version' => ['database schema'],
            default => ["option $name"],
        }) && !($name === 'active_plugins' && preg_grep('/^plugin /', $named)));
        $users = array_filter($this->users, static fn (string $login): bool
            => !preg_grep('/^user ' . preg_quote($login, '/') . '(:|$)/', $named));
        foreach (['options' => $options, 'users' => $users] as $kind => $stale) {
            if ($stale) {
                $report->change("object cache: stale $kind", implode(', ', $stale), 'flushed', static fn () => null);
            }
        }
    }

    /** @return list<string> options whose cached value is not that of the database */
    private function staleOptions(): array
    {
        global $wpdb;
        $all = $this->stored('options', 'alloptions');
        $missing = $this->stored('options', 'notoptions');
        $rows = $wpdb->get_results("SELECT option_name, option_value, autoload FROM $wpdb->options"
            . " WHERE option_name NOT LIKE '\\_transient\\_%' AND option_name NOT LIKE '\\_site\\_transient\\_%'", OBJECT_K);
        $stale = [];
        foreach (is_array($all) ? $all : [] as $name => $value) {
            if (!isset($rows[$name]) || $rows[$name]->option_value !== self::text($value)) {
                $stale[] = (string) $name;
            }
        }
        foreach (array_keys(is_array($missing) ? $missing : []) as $name) {
            if (isset($rows[$name])) {
                $stale[] = (string) $name;
            }
        }
        $autoloaded = wp_autoload_values_to_autoload();
        foreach ($rows as $name => $row) {
            if (in_array($row->autoload, $autoloaded, true)) {
                if (is_array($all) && !array_key_exists($name, $all)) {
                    $stale[] = (string) $name;
                }
            } elseif (array_key_exists($name, $this->declared->options)) {
                $value = $this->stored('options', (string) $name);
                if ($value !== null && self::text($value) !== $row->option_value) {
                    $stale[] = (string) $name;
                }
            }
        }
        return array_values(array_filter(array_unique($stale), static fn (string $name): bool
            => preg_match(self::VOLATILE, $name) === 0));
    }

    /** @return list<string> logins of declared users whose cached password, address or role is not that of the database */
    private function staleUsers(): array
    {
        global $wpdb;
        $stale = [];
        foreach ($this->declared->users as $user) {
            $row = $wpdb->get_row($wpdb->prepare("SELECT * FROM $wpdb->users WHERE user_login = %s", $user['login']));
            if ($row === null) {
                continue;
            }
            $cached = $this->stored('users', $row->ID);
            $meta = $this->stored('user_meta', $row->ID);
            $role = $wpdb->get_var($wpdb->prepare(
                "SELECT meta_value FROM $wpdb->usermeta WHERE user_id = %d AND meta_key = %s",
                $row->ID,
                $wpdb->get_blog_prefix() . 'capabilities',
            ));
            if ((is_object($cached) && [$cached->user_pass ?? null, $cached->user_email ?? null] !== [$row->user_pass, $row->user_email])
                || (is_array($meta) && ($meta[$wpdb->get_blog_prefix() . 'capabilities'][0] ?? null) !== $role)) {
                $stale[] = $user['login'];
            }
        }
        return $stale;
    }

    private function stored(string $group, string $key): mixed
    {
        return $GLOBALS['wp_object_cache']->stored($group, $key);
    }

    /** Writes a value as the database keeps it. */
    private static function text(mixed $value): string
    {
        return is_array($value) || is_object($value) ? serialize($value) : (string) $value;
    }
}

/** Removes everything that a plugin's cache holds for the site: its own code is not loaded here. */
function flush_plugin_cache(): void
{
    if (!defined('WP_REDIS_HOST')) {
        return;
    }
    try {
        $redis = new \Redis();
        $redis->connect(WP_REDIS_HOST, WP_REDIS_PORT, WP_REDIS_TIMEOUT, null, 0, 2.0);
        $redis->auth(WP_REDIS_PASSWORD);
        $redis->setOption(\Redis::OPT_SCAN, \Redis::SCAN_RETRY);
        $cursor = null;
        while (($keys = $redis->scan($cursor, WP_REDIS_PREFIX . '*', 1000)) !== false) {
            $redis->unlink($keys);
        }
    } catch (\RedisException | \ErrorException) {
        // What cannot be reached is not used either.
    }
}
