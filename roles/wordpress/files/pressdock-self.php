<?php
/**
 * Plugin Name: pressdock: the way to itself
 * Description: Lets the site reach its own address from inside. Always active.
 *
 * The engine's name server leads the site's names to the web server (nginx_names in group_vars/all/wiring.yml). This is for what no name
 * server is asked: addresses, `localhost`, which programs know already, and sub-sites that were made in the dashboard.
 */

declare(strict_types=1);

namespace Pressdock;

if (PRESSDOCK_WEB_SERVER === '') {
    return;
}

/** Says whether a host is one of this site's, or of this network's. */
function is_own_host(string $host): bool
{
    $host = strtolower($host);
    return in_array($host, PRESSDOCK_HOSTS, true)
        || is_multisite() && is_subdomain_install() && str_ends_with($host, '.' . PRESSDOCK_HOSTS[0]);
}

// With `wordpress_outbound: false` WordPress asks no other hosts; these are none.
if (WP_HTTP_BLOCK_EXTERNAL && !defined('WP_ACCESSIBLE_HOSTS')) {
    define('WP_ACCESSIBLE_HOSTS', implode(',', [...PRESSDOCK_HOSTS, '*.' . PRESSDOCK_HOSTS[0]]));
}

// The name in the certificate and in the request stays.
add_action('http_api_curl', static function (\CurlHandle $handle, array $arguments, string $url): void {
    $parts = wp_parse_url($url);
    if (is_array($parts) && ($parts['scheme'] ?? '') === 'https' && is_own_host(trim($parts['host'] ?? '', '[]'))) {
        $port = $parts['port'] ?? 443;
        curl_setopt($handle, CURLOPT_CONNECT_TO, ["{$parts['host']}:$port:" . PRESSDOCK_WEB_SERVER . ":$port"]);
    }
}, PHP_INT_MAX, 3);

// What WordPress takes for unsafe is an address within, or a port that is not the usual one. The web server is asked like by any visitor.
add_filter('http_request_host_is_external', static fn (bool $external, string $host): bool => $external || is_own_host($host), 10, 2);
add_filter('http_allowed_safe_ports', static function (array $ports, string $host): array {
    $own = wp_parse_url(PRESSDOCK_URL, PHP_URL_PORT);
    return is_own_host($host) && is_int($own) ? [...$ports, $own] : $ports;
}, 10, 2);
