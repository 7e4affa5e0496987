<?php
/**
 * Plugin Name: pressdock: network of sites
 * Description: What a network of sites needs here. Always active.
 */

declare(strict_types=1);

namespace Pressdock;

// WordPress writes http:// into the addresses of a new site below a sub-domain; there is only https here.
add_filter('wp_initialize_site_args', static function (array $arguments, \WP_Site $site): array {
    $url = untrailingslashit("https://$site->domain$site->path");
    $arguments['options'] = ($arguments['options'] ?? []) + ['home' => $url, 'siteurl' => $url];
    return $arguments;
}, 10, 2);
