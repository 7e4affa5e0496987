<?php
/**
 * Plugin Name: pressdock: updates
 * Description: Ends the sign that an update runs, which WordPress cannot remove from its read-only core. Always active.
 */

declare(strict_types=1);

namespace Pressdock;

/**
 * Where ABSPATH/.maintenance leads, a link in the image. WordPress writes through it, and everything that asks for it follows it: visitors
 * get 503, and an update in the background looks whether the site still answers, and goes back if it does not. Only removing it
 * meets the link itself, which is part of the image.
 */
const MAINTENANCE_FILE = '/tmp/.maintenance';

$end_maintenance = static function (): void {
    clearstatcache(true, MAINTENANCE_FILE);
    if (is_file(MAINTENANCE_FILE)) {
        unlink(MAINTENANCE_FILE);
    }
};
// When a plugin, a theme, or all of a list are done. An update in the background sets it once more while it looks for errors.
add_action('upgrader_process_complete', $end_maintenance, PHP_INT_MAX);

// And at the request's end, however it ends, where it has updated something. What WordPress restores at its end comes before.
$watch = static function (mixed $options = null) use ($end_maintenance): mixed {
    static $is_watching = false;
    if (!$is_watching) {
        $is_watching = true;
        register_shutdown_function($end_maintenance);
    }
    return $options;
};
add_filter('upgrader_package_options', $watch);
add_action('pre_auto_update', static function () use ($watch): void {
    $watch();
});
