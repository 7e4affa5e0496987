<?php
/**
 * Plugin Name: pressdock
 * Description: Fits WordPress to a read-only core in an image, and gives strangers less to go by. Always active.
 */

declare(strict_types=1);

namespace Pressdock;

// Themes that come with the image are used from there; the site's own are in its wp-content/themes.
register_theme_directory(ABSPATH . 'wp-content/themes');

// A new image is core's update: no checks that lead nowhere, no notices, no button.
$no_core_updates = static fn (): object => (object) [
    'last_checked' => time(),
    'version_checked' => wp_get_wp_version(),
    'updates' => [],
];
add_filter('pre_site_transient_update_core', $no_core_updates);
add_filter('map_meta_cap', static fn (array $needed, string $capability): array
    => $capability === 'update_core' ? ['do_not_allow'] : $needed, 10, 2);
add_filter('site_status_tests', static function (array $tests): array {
    // It can only report what is intended here.
    unset($tests['async']['background_updates']);
    return $tests;
});

// Logins are half of what an intruder needs. Lists of users are for those who are logged in. One of them, as WordPress shows authors with
// what they wrote (`_embed`), may be for everybody.
$refuse_users = static function (mixed $answer, mixed $server, \WP_REST_Request $request): mixed {
    $route = $request->get_route();
    $is_embedded = $request['context'] === 'embed' && preg_match('#^/wp/v2/users/\d+$#D', $route);
    if (preg_match('#^/wp/v2/users(/|$)#i', $route) && !is_user_logged_in() && !(PRESSDOCK_EMBED_AUTHORS && $is_embedded)) {
        return new \WP_Error('rest_user_cannot_view', 'Log in to see users.', ['status' => 401]);
    }
    return $answer;
};
// Last, and before and after the answer is made: plugins return nothing where they have nothing to say, and undo what others said.
foreach (['rest_pre_dispatch', 'rest_request_before_callbacks', 'rest_request_after_callbacks'] as $moment) {
    add_filter($moment, $refuse_users, PHP_INT_MAX, 3);
}
add_action('parse_request', static function (\WP $request): void {
    // By its number, in the address or in a form: the answer would tell the login (/author/login/). Without permalinks the number is the
    // only address of an author's page.
    if (isset($request->query_vars['author']) && get_option('permalink_structure') && !is_admin() && !is_user_logged_in()) {
        status_header(404);
        nocache_headers();
        $request->query_vars = ['error' => '404'];
        unset($_GET['author'], $_POST['author'], $_REQUEST['author']);
    }
}, PHP_INT_MAX);
// Nor do the classes of such a page, which are its number and its author's name in addresses: the login, unless it was changed.
add_filter('body_class', static function (array $classes): array {
    $author = get_queried_object();
    return is_author() && $author instanceof \WP_User && !is_user_logged_in()
        ? array_values(array_diff($classes, ['author-' . sanitize_html_class($author->user_nicename, (string) $author->ID)]))
        : $classes;
}, PHP_INT_MAX);
add_filter('wp_sitemaps_add_provider', static fn (mixed $provider, string $name): mixed
    => $name === 'users' ? false : $provider, 10, 2);
add_filter('oembed_response_data', static function (array $data): array {
    unset($data['author_name'], $data['author_url']);
    return $data;
});
add_filter('the_generator', '__return_empty_string');

// The site's own must-use plugins: WordPress looks in one directory only, which is the image's. The reconciler does
// without them (like without plugins and themes), so that a broken one cannot keep it from repairing the site.
if (!wp_installing()) {
    foreach (glob(WP_CONTENT_DIR . '/mu-plugins/*.php') ?: [] as $file) {
        include_once $file;
    }
    // Of the declared directories (must-use.php) the files that are plugins.
    $brought = is_file(WP_CONTENT_DIR . '/.pressdock-must-use.json')
        ? json_decode((string) file_get_contents(WP_CONTENT_DIR . '/.pressdock-must-use.json'), true)
        : [];
    foreach ($brought['loaded'] ?? [] as $file) {
        if (is_file(WP_CONTENT_DIR . "/mu-plugins/$file")) {
            include_once WP_CONTENT_DIR . "/mu-plugins/$file";
        }
    }
}
