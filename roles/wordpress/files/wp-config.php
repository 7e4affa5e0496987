<?php
/**
 * WordPress's configuration: what is the same for every site. It is part of the image and read-only, like all of
 * core; what a site has of its own, and every secret, is in one mounted file.
 */

// Without it there is nothing to serve: a fatal error and status 500, not WordPress's setup pages.
require_once '/run/secrets/site.php';

// The reconciler builds a new site under another prefix and renames its tables when they are complete.
if (PHP_SAPI === 'cli' && defined('PRESSDOCK_TABLE_PREFIX')) {
    $table_prefix = PRESSDOCK_TABLE_PREFIX;
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

define('WP_ENVIRONMENT_TYPE', 'production');
// With WP_DEBUG (a site's `debug`) notices go to the container's log, where php.ini's error_log points.
define('WP_DEBUG_DISPLAY', false);
define('WP_DEBUG_LOG', false);

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
