<?php
/**
 * What a request does while the database is hung or away: it answers with status 503 after some seconds, those after it do so at once,
 * and when the database goes on, so does the site. wp-config.php calls this in every request before WordPress loads.
 *
 * PHP has one limit for every answer of a database server, its greeting included. A visitor's page keeps to the short one. Who works
 * (the dashboard, forms, scheduled events) may ask for what takes longer, and asks first, in the short time, whether anybody is there.
 * Programs of the command line wait as long as it takes.
 *
 * A file, DOWN, makes other requests answer at once for some seconds; then one of them tries again.
 */

declare(strict_types=1);

namespace Pressdock;

/** One request's dealings with the database server. */
final class Database
{
    private const DOWN = '/tmp/.pressdock-database-down';
    /** Seconds for which other requests do not try. File times are whole seconds, so it may be one less. */
    private const PAUSE = 3;
    /** Seconds after which visitors, and search engines, may ask again. */
    private const RETRY_AFTER = 10;
    /** Seconds of waiting that are no hang: a server that restarts refuses at once, and is back soon. */
    private const PROMPT = 1.0;
    /** Errors of a connection that is gone; PHP's own client takes one that hangs for that, too. */
    private const LOST = [2006, 2013];
    private const PAGE = '/usr/local/lib/wordpress/unavailable.html';
    private const DIE_HANDLERS = [
        'wp_die_handler', 'wp_die_ajax_handler', 'wp_die_json_handler', 'wp_die_jsonp_handler', 'wp_die_xml_handler',
        'wp_die_xmlrpc_handler',
    ];

    private readonly float $began;
    private bool $queried = false;
    /** WordPress's connection; none where a class of a plugin's opens them when it needs them. */
    private ?\mysqli $connection = null;
    private int $reconnections = 0;

    /**
     * @param int $limit seconds that one answer may take
     * @param int $work_limit the same for those who work
     */
    private function __construct(private readonly int $limit, private readonly int $work_limit)
    {
        $this->began = microtime(true);
    }

    /** Gives this request its limits; ends it if the database has just kept another one waiting. */
    public static function limit(int $limit, int $work_limit): void
    {
        $database = new self($limit, $work_limit);
        if (!self::may_try()) {
            self::answer();
        }
        $database->set_limits(self::is_visit());
        $database->watch();
    }

    /** Says whether somebody only looks at a page. */
    private static function is_visit(): bool
    {
        $cookies = array_map(strval(...), array_keys($_COOKIE));
        return in_array($_SERVER['REQUEST_METHOD'] ?? '', ['GET', 'HEAD'], true)
            && ($_SERVER['SCRIPT_NAME'] ?? '') === '/index.php'
            && !preg_grep('/^wordpress_logged_in_/', $cookies);
    }

    private static function may_try(): bool
    {
        clearstatcache(true, self::DOWN);
        // A time in the future is none that can be waited for: the clock was set.
        return !is_file(self::DOWN) || (abs(time() - (int) filemtime(self::DOWN)) >= self::PAUSE && @touch(self::DOWN));
    }

    private function set_limits(bool $visit): void
    {
        // Of connecting, until the first query.
        ini_set('default_socket_timeout', (string) $this->limit);
        ini_set('mysqlnd.net_read_timeout', (string) $this->limit);
        if (!$visit) {
            $this->answers() || $this->give_up();
            ini_set('mysqlnd.net_read_timeout', (string) $this->work_limit);
        }
    }

    /** Says whether the server takes the site's login. */
    private function answers(): bool
    {
        mysqli_report(MYSQLI_REPORT_OFF);
        [$host, $port] = explode(':', DB_HOST) + [1 => '3306'];
        $connection = @mysqli_connect($host, DB_USER, DB_PASSWORD, DB_NAME, (int) $port);
        return $connection && mysqli_close($connection);
    }

    /** Has WordPress tell where it finds no database: these filters wait for it. */
    private function watch(): void
    {
        /** @var array<string, mixed> $wp_filter */
        global $wp_filter;
        foreach (self::DIE_HANDLERS as $name) {
            $wp_filter[$name][PHP_INT_MAX]['pressdock'] = [
                'accepted_args' => 1,
                'function' => fn (mixed $handler): mixed => isset($GLOBALS['wpdb']->error) ? $this->give_up() : $handler,
            ];
        }
        $wp_filter['query'][PHP_INT_MIN]['pressdock'] = [
            'accepted_args' => 1,
            'function' => function (mixed $query): mixed {
                $this->before_query($GLOBALS['wpdb'] ?? null);
                return $query;
            },
        ];
        // WordPress has connected by then, and a page that the object cache answers asks nothing.
        $wp_filter['muplugins_loaded'][PHP_INT_MIN]['pressdock'] = [
            'accepted_args' => 0,
            'function' => self::note_connection(...),
        ];
    }

    /** Lets others ask again, if WordPress is connected. */
    private static function note_connection(): void
    {
        if (($GLOBALS['wpdb']->dbh ?? null) instanceof \mysqli && is_file(self::DOWN) && @unlink(self::DOWN)) {
            error_log('pressdock: the database answers again');
        }
    }

    private function before_query(mixed $wpdb): void
    {
        if (!$wpdb instanceof \wpdb) {
            return;
        }
        if (!$this->queried) {
            $this->queried = true;
            $this->connection = ($wpdb->dbh ?? null) instanceof \mysqli ? $wpdb->dbh : null;
            self::note_connection();
            ini_restore('default_socket_timeout');
            // A connection that was lost is opened once more, not five times, each with a second's sleep, and in the short time.
            ini_set('mysqlnd.net_read_timeout', (string) $this->limit);
            (function (): void {
                $this->reconnect_retries = 1;
            })->call($wpdb);
        }
        if ($this->connection && !$this->goes_on($wpdb->dbh ?? null)) {
            $this->give_up();
        }
    }

    /**
     * Says whether asking on makes sense. WordPress opens a connection that was lost again, goes on with its page if that fails, and would
     * wait again for everything else.
     */
    private function goes_on(mixed $connection): bool
    {
        if (!$connection instanceof \mysqli) {
            return false;
        }
        if ($connection !== $this->connection) {
            $this->connection = $connection;
            $this->reconnections++;
        }
        return $this->reconnections === 0 || $this->reconnections === 1 && !in_array($connection->errno, self::LOST, true);
    }

    private function give_up(): never
    {
        if (microtime(true) - $this->began >= self::PROMPT) {
            is_file(self::DOWN) || error_log('pressdock: the database does not answer');
            @touch(self::DOWN);
        }
        self::answer();
    }

    private static function answer(): never
    {
        while (ob_get_level() > 0 && @ob_end_clean());
        if (!headers_sent()) {
            header_remove();
            http_response_code(503);
            header('Retry-After: ' . self::RETRY_AFTER);
            header('Cache-Control: no-store');
            header('Content-Type: text/html; charset=utf-8');
            readfile(self::PAGE);
        }
        exit;
    }
}

Database::limit(PRESSDOCK_DATABASE_TIMEOUT, PRESSDOCK_DATABASE_WORK_TIMEOUT);
