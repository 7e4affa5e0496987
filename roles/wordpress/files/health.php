<?php
/**
 * The container's health check, run by FPM itself through the base image's probe: a worker must be free, PHP must
 * have its extensions, its configuration and a content directory that it can write. The database has a health
 * check of its own; a site whose database is away is not made better by another state here.
 */
$faults = [];
foreach (['curl', 'dom', 'gd', 'imagick', 'intl', 'mbstring', 'mysqli', 'redis', 'zip', 'Zend OPcache'] as $extension) {
    if (!extension_loaded($extension)) {
        $faults[] = "extension $extension is missing";
    }
}
if (!is_readable('/usr/share/wordpress/wp-settings.php')) {
    $faults[] = 'core is missing';
}
if (!is_readable('/run/secrets/site.php')) {
    $faults[] = "the site's configuration is missing";
} else {
    require '/run/secrets/site.php';
    if (!is_writable(WP_CONTENT_DIR)) {
        $faults[] = WP_CONTENT_DIR . ' is not writable';
    }
}
if (@file_put_contents('/tmp/.health', 'x') === false) {
    $faults[] = '/tmp is full or not writable';
}
http_response_code($faults ? 500 : 200);
header('Content-Type: text/plain');
echo $faults ? implode('; ', $faults) : 'ok', "\n";
