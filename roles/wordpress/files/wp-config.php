<?php
/**
 * WordPress's configuration: what is the same for every site. It is part of the image and read-only, like all of
 * core; what a site has of its own, and every secret, is in one mounted file.
 */

// Without it there is nothing to serve: a fatal error and status 500, not WordPress's setup pages.
require_once '/run/secrets/site.php';
require_once '/usr/local/lib/wordpress/functions.php';

// Who asks over the web does not wait for a database that hangs.
if (PHP_SAPI !== 'cli') {
    require_once '/usr/local/lib/wordpress/database.php';
}

// The reconciler builds a new site under another prefix and renames its tables when they are complete.
if (PHP_SAPI === 'cli' && defined('PRESSDOCK_TABLE_PREFIX')) {
    $table_prefix = PRESSDOCK_TABLE_PREFIX;
}

// A network of sites has its type on its volume, from the moment on in which its tables exist (see network.php). Without it
// this is a single site, whatever is declared. The reconciler knows better than the volume.
$pressdock_type = defined('PRESSDOCK_NETWORK')
    ? PRESSDOCK_NETWORK
    : (is_file(WP_CONTENT_DIR . '/.pressdock-network') ? trim(file_get_contents(WP_CONTENT_DIR . '/.pressdock-network')) : '');
if ($pressdock_type === '') {
    define('WP_HOME', PRESSDOCK_URL);
    define('WP_SITEURL', PRESSDOCK_URL);
} else {
    define('MULTISITE', true);
    define('SUBDOMAIN_INSTALL', $pressdock_type === 'subdomain');
    defined('DOMAIN_CURRENT_SITE') || define('DOMAIN_CURRENT_SITE', substr(PRESSDOCK_URL, strlen('https://')));
    define('PATH_CURRENT_SITE', '/');
    define('SITE_ID_CURRENT_SITE', 1);
    define('BLOG_ID_CURRENT_SITE', 1);
    // A sub-domain that no site has: WordPress would redirect to its registration.
    /** @var array<string, mixed> $wp_filter */
    $wp_filter['ms_site_not_found'][10]['pressdock'] = ['accepted_args' => 0, 'function' => static function (): never {
        http_response_code(404);
        header('Content-Type: text/plain; charset=utf-8');
        header('Cache-Control: no-store');
        exit("There is no site at this address.\n");
    }];
}
if ($pressdock_type !== 'subdomain') {
    // One address for all sub-sites' files; those of sub-domains are asked of their own hosts, by WordPress's default.
    define('WP_CONTENT_URL', PRESSDOCK_URL . '/wp-content');
}

define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');

// Core is read-only: a new image is the upgrade. Nobody edits code from the dashboard.
define('WP_AUTO_UPDATE_CORE', false);
define('DISALLOW_FILE_EDIT', true);
// Plugins and themes live on the site's volume, which belongs to this user; no FTP login is needed to install one.
define('FS_METHOD', 'direct');
define('FS_CHMOD_DIR', 0755);
define('FS_CHMOD_FILE', 0644);
define('WP_LANG_DIR', WP_CONTENT_DIR . '/languages');
define('WPMU_PLUGIN_DIR', '/usr/share/wordpress/wp-content/mu-plugins');
define('WP_TEMP_DIR', '/tmp');

// The wordpress-cron container runs scheduled events, not visitors' requests.
define('DISABLE_WP_CRON', true);

// nginx says by fastcgi_param HTTPS whether a request came over TLS; headers that a client can send do not count.
define('FORCE_SSL_ADMIN', true);

// php.ini's limit is the container's share of memory: WordPress must not raise it for the dashboard or for images.
define('WP_MEMORY_LIMIT', ini_get('memory_limit'));
define('WP_MAX_MEMORY_LIMIT', ini_get('memory_limit'));

defined('WP_ENVIRONMENT_TYPE') || define('WP_ENVIRONMENT_TYPE', 'production');
// With WP_DEBUG (a site's `debug`) notices go to the container's log, where php.ini's error_log points.
define('WP_DEBUG_DISPLAY', false);
define('WP_DEBUG_LOG', false);

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
