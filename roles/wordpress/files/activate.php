<?php
/**
 * Activates plugins of one site, as WordPress's dashboard would: with the plugins and the theme that are active already, and in the name of
 * the site's owner. extensions.php runs this program; what a plugin does to it is over with it.
 *
 *     stdin:   {"plugins": {slug: main file}, "again": false, "alone": false, "user": id, "host": ..., "cached": false}
 *     fd 3:    a line for each plugin, in order: {"plugin": slug, "refused": why (if it was), "notes": [what PHP and WordPress said]}
 *
 * It ends at the first that is refused. "again" runs also those that are active, "alone" loads nothing that is active. There is no network
 * and no mail here.
 */

declare(strict_types=1);

namespace Pressdock;

const CORE = '/usr/share/wordpress/';
/** Kinds of messages that are named for each plugin; what comes after them is counted. */
const NOTES = 3;

/** What WordPress or a plugin said when it ended a request. */
final class Ended extends \RuntimeException
{
}

/** What is said of one plugin at a time. */
final class Witness
{
    public ?string $plugin = null;
    /** @var array<string, int> */
    private array $notes = [];
    /** @var resource */
    private $answers;

    public function __construct(private readonly string $log)
    {
        $this->answers = fopen('php://fd/3', 'w');
    }

    public function begin(string $plugin): void
    {
        $this->plugin = $plugin;
        $this->notes = [];
        file_put_contents($this->log, '');
    }

    public function note(string $what): void
    {
        $this->notes[$what] = ($this->notes[$what] ?? 0) + 1;
    }

    public function end(?string $refused = null): void
    {
        if ($this->plugin === null) {
            return;
        }
        foreach (file($this->log, FILE_IGNORE_NEW_LINES) ?: [] as $line) {
            // WordPress writes no line about errors that a plugin expects.
            if (preg_match('/WordPress database error (.*?) for query (.*?)(?: made by |$)/s', $line, $match)) {
                $this->note("the database refused a query: $match[1]: " . mb_strimwidth($match[2], 0, 160, '...'));
            }
        }
        $notes = array_slice(array_keys($this->notes), 0, NOTES);
        $more = count($this->notes) - count($notes);
        $answer = ['plugin' => $this->plugin, 'notes' => [...$notes, ...($more ? ["and $more more of such messages"] : [])]]
            + ($refused === null ? [] : ['refused' => $refused]);
        fwrite($this->answers, json_encode($answer, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES) . "\n");
        $this->plugin = null;
    }
}

/** Returns the text in a piece of HTML, on one line. */
function plain(string $html): string
{
    $text = strip_tags((string) preg_replace('#<(style|script|head)\b.*?</\1>#is', ' ', $html));
    return mb_strimwidth(trim((string) preg_replace('/\s+/', ' ', html_entity_decode($text))), 0, 400, '...');
}

function place(string $file, int $line): string
{
    return ' (' . preg_replace('#^.*/wp-content/#', '', $file) . ":$line)";
}

$pressdock = json_decode((string) stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
$pressdock_log = (string) tempnam('/tmp', 'activation');
$pressdock_witness = new Witness($pressdock_log);
ini_set('error_log', $pressdock_log);
ini_set('log_errors', '1');
ini_set('display_errors', '0');
umask(0022);
ob_start();
set_error_handler(static function (int $level, string $message, string $file, int $line) use ($pressdock_witness): bool {
    if ($pressdock_witness->plugin !== null && error_reporting() & $level) {
        $kind = match ($level) {
            E_WARNING, E_USER_WARNING => 'warning',
            E_DEPRECATED, E_USER_DEPRECATED => 'deprecated',
            default => 'notice',
        };
        $pressdock_witness->note("$kind: " . plain($message) . place($file, $line));
    }
    return true;
});
register_shutdown_function(static function () use ($pressdock_witness, $pressdock_log): void {
    $error = error_get_last();
    $fatal = $error && $error['type'] & (E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR);
    $said = '';
    while (ob_get_level()) {
        $said .= ob_get_clean();
    }
    $pressdock_witness->end($fatal
        ? plain(strtok($error['message'], "\n") ?: '') . place($error['file'], $error['line'])
        : 'it ended WordPress: ' . (plain($said) ?: 'without a word'));
    @unlink($pressdock_log);
});

$_SERVER = [
    'HTTP_HOST' => $pressdock['host'], 'SERVER_NAME' => explode(':', $pressdock['host'])[0], 'HTTPS' => 'on', 'REMOTE_ADDR' => '127.0.0.1',
    'REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/wp-admin/plugins.php', 'SERVER_PROTOCOL' => 'HTTP/1.1',
    'PHP_SELF' => '/wp-admin/plugins.php', 'SCRIPT_NAME' => '/wp-admin/plugins.php',
] + $_SERVER;
define('WP_ADMIN', true);
define('PRESSDOCK_CACHE_WRITE_ONLY', true);
if ($pressdock['alone']) {
    define('WP_INSTALLING', true);
}
$wp_filter = [
    'wp_die_handler' => [10 => ['pressdock' => [
        'function' => static fn (): callable => static fn (mixed $words): never
            => throw new Ended(plain(is_wp_error($words) ? $words->get_error_message() : (string) $words)),
        'accepted_args' => 1,
    ]]],
    'enable_loading_object_cache_dropin' => [10 => ['pressdock' => [
        'function' => static fn (): bool => $pressdock['cached'],
        'accepted_args' => 1,
    ]]],
] + ($pressdock['alone'] ? ['pre_site_option_active_sitewide_plugins' => [10 => ['pressdock' => [
    'function' => static fn (): array => [],
    'accepted_args' => 0,
]]]] : []);
require CORE . 'wp-load.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
if ($pressdock['alone']) {
    remove_all_filters('pre_site_option_active_sitewide_plugins');
    wp_installing(false);
}
add_filter('pre_wp_mail', '__return_true', PHP_INT_MAX);
add_filter('pre_http_request', static fn (): \WP_Error => new \WP_Error('no_network', 'no network here'), PHP_INT_MAX);
wp_set_current_user($pressdock['user']);
foreach ($pressdock['plugins'] as $pressdock_slug => $pressdock_file) {
    $pressdock_witness->begin((string) $pressdock_slug);
    $pressdock_refused = null;
    try {
        if ($pressdock['again']) {
            deactivate_plugins($pressdock_file, true);
        }
        $pressdock_result = activate_plugin($pressdock_file);
        if (is_wp_error($pressdock_result)) {
            $pressdock_text = plain($pressdock_result->get_error_message());
            if ($pressdock_result->get_error_code() === 'unexpected_output') {
                $pressdock_said = plain((string) $pressdock_result->get_error_data());
                $pressdock_witness->note($pressdock_said === '' ? $pressdock_text : "it prints: $pressdock_said");
            } else {
                $pressdock_refused = $pressdock_text;
            }
        }
        wp_cache_flush_runtime();
        if ($pressdock_refused === null && !is_plugin_active($pressdock_file)) {
            $pressdock_refused = 'it has switched itself off again';
        }
    } catch (Ended $error) {
        $pressdock_refused = $error->getMessage() ?: 'it ended WordPress without a word';
    } catch (\Throwable $error) {
        $pressdock_refused = get_class($error) . ': ' . plain($error->getMessage()) . place($error->getFile(), $error->getLine());
    }
    $pressdock_witness->end($pressdock_refused);
    if ($pressdock_refused !== null) {
        exit(1);
    }
}
