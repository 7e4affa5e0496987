<?php
/**
 * Plugin Name: pressdock: maintenance
 * Description: Shows a notice instead of the site to everybody but its editors, while `maintenance` is declared. Always active.
 */

declare(strict_types=1);

namespace Pressdock;

if (!PRESSDOCK_MAINTENANCE) {
    return;
}

/** Seconds after which a visitor, or a search engine, may ask again. */
const MAINTENANCE_RETRY_AFTER = 600;

/** The notice, with places for what only WordPress knows. */
const MAINTENANCE_PAGE = '/usr/local/lib/wordpress/maintenance.html';

/** Says whether this user works on the site. */
function works_on_site(): bool
{
    return current_user_can('edit_others_posts');
}

/** Answers with the notice and ends the request. */
function show_maintenance(): never
{
    defined('DONOTCACHEPAGE') || define('DONOTCACHEPAGE', true);
    status_header(503);
    header('Retry-After: ' . MAINTENANCE_RETRY_AFTER);
    header('Cache-Control: no-store');
    header('Content-Type: text/html; charset=utf-8');
    echo strtr((string) file_get_contents(MAINTENANCE_PAGE), [
        '{language}' => esc_attr(get_bloginfo('language')),
        '{title}' => esc_html(get_bloginfo('name')),
        // WordPress's own words, so that they are translated.
        '{words}' => esc_html(__('Briefly unavailable for scheduled maintenance. Check back in a minute.')),
    ]);
    exit;
}

// Pages, feeds, sitemaps, robots.txt: before anything is redirected or written, by a plugin either.
add_action('template_redirect', static function (): void {
    works_on_site() || show_maintenance();
}, PHP_INT_MIN);

// What visitors' browsers and other servers call without a page: forms, pings, requests of scripts.
add_action('init', static function (): void {
    $script = basename((string) ($_SERVER['SCRIPT_NAME'] ?? ''));
    $public = ['wp-activate.php', 'wp-comments-post.php', 'wp-signup.php', 'wp-trackback.php', 'xmlrpc.php'];
    $scripted = ['admin-ajax.php', 'admin-post.php'];
    if (PHP_SAPI !== 'cli' && (in_array($script, $public, true) && !works_on_site()
        || in_array($script, $scripted, true) && !is_user_logged_in())) {
        show_maintenance();
    }
}, PHP_INT_MIN);

// Here users are known who come with an application password. Last: plugins that have nothing to say undo what others said.
add_filter('rest_pre_dispatch', static function (mixed $answer): mixed {
    if (works_on_site()) {
        return $answer;
    }
    $headers = ['Retry-After' => (string) MAINTENANCE_RETRY_AFTER, 'Cache-Control' => 'no-store'];
    $problem = ['code' => 'maintenance', 'message' => 'The site is being worked on.', 'data' => ['status' => 503]];
    return new \WP_REST_Response($problem, 503, $headers);
}, PHP_INT_MAX);
// And where that was undone all the same, nothing is done.
add_filter('rest_request_before_callbacks', static fn (mixed $answer): mixed
    => works_on_site() ? $answer : new \WP_Error('maintenance', 'The site is being worked on.', ['status' => 503]), PHP_INT_MAX);

// Who works on the site does not see what the others see: say it.
add_action('admin_bar_menu', static function (\WP_Admin_Bar $bar): void {
    if (works_on_site()) {
        $bar->add_node(['id' => 'pressdock-maintenance', 'parent' => 'top-secondary', 'title' => 'Maintenance: visitors see a notice']);
    }
});
