<?php
/**
 * What the secret file of a site defines for the plugin Redis Object Cache (roles/wordpress/templates/site.php.j2), for the analyser.
 */
define('WP_REDIS_HOST', '');
define('WP_REDIS_PORT', 6379);
define('WP_REDIS_PASSWORD', ['', '']);
define('WP_REDIS_PREFIX', '');
define('WP_REDIS_TIMEOUT', 0.2);
