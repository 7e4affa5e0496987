<?php
/**
 * Plugin Name: pressdock object cache status
 * Description: Shows in Site Health whether the site's object cache is in use. Always active.
 */

declare(strict_types=1);

namespace Pressdock;

/** Our drop-in's cache, if the site has one. */
function object_cache(): ?\WP_Object_Cache
{
    $cache = $GLOBALS['wp_object_cache'] ?? null;
    return class_exists('Pressdock_Cache_Server', false) && $cache instanceof \WP_Object_Cache ? $cache : null;
}

/** Words for the states that the drop-in knows. */
function object_cache_state(array $info): string
{
    return match ($info['state']) {
        'up' => 'connected',
        'idle' => 'not asked yet',
        'paused' => 'left alone for some seconds after a failure',
        default => $info['fault'] ?: 'not configured',
    };
}

function object_cache_hit_rate(array $info): string
{
    $asked = $info['hits'] + $info['misses'];
    return sprintf(
        '%d of %d answers (%d %%) came from the cache',
        $info['hits'],
        $asked,
        $asked ? round(100 * $info['hits'] / $asked) : 0,
    );
}

/** Site Health's test: the result is in the form that WordPress takes. */
function test_object_cache(): array
{
    $cache = object_cache();
    $latency = $cache?->ping();
    $info = $cache?->info();
    if (!$cache) {
        $status = 'critical';
        $label = 'The object cache is declared, but not installed';
        $text = 'Redis is configured for this site, but wp-content/object-cache.php is missing or belongs to something else. '
            . 'The next run of the playbook puts it back.';
    } elseif ($latency === null) {
        $status = 'critical';
        $label = 'The object cache cannot be reached';
        $text = "The site works, but every page asks the database for everything, and transients are not kept. Redis at "
            . "{$info['server']}: " . object_cache_state($info) . '. It is asked again every few seconds.';
    } else {
        $status = 'good';
        $label = 'The object cache works';
        $text = sprintf('Redis at %s answers in %.1f ms. In this request %s.', $info['server'], $latency * 1000, object_cache_hit_rate($info));
    }
    return [
        'label' => $label,
        'status' => $status,
        'badge' => ['label' => __('Performance'), 'color' => 'blue'],
        'description' => '<p>' . esc_html($text) . '</p>',
        'actions' => '',
        'test' => 'pressdock_object_cache',
    ];
}

/** Site Health's debug information. */
function object_cache_fields(): array
{
    $cache = object_cache();
    if (!$cache) {
        return ['state' => ['label' => 'State', 'value' => 'the drop-in is not installed']];
    }
    $latency = $cache->ping();
    $info = $cache->info();
    $values = [
        'state' => ['State', object_cache_state($info)],
        'server' => ['Server', $info['server']],
        'latency' => ['Latency', $latency === null ? 'no answer' : sprintf('%.2f ms', $latency * 1000)],
        'hits' => ['Hit rate of this request', object_cache_hit_rate($info)],
        'calls' => ['Redis in this request', sprintf(
            '%d round trips, %d commands, %.1f ms',
            $info['round_trips'],
            $info['commands'],
            $info['seconds'] * 1000,
        )],
        'prefix' => ['Key prefix', $info['prefix']],
        'groups' => ['Groups that are not persistent', implode(', ', $info['non_persistent_groups']) ?: 'none'],
    ];
    return array_map(static fn (array $field): array => ['label' => $field[0], 'value' => $field[1]], $values);
}

if (defined('PRESSDOCK_CACHE')) {
    add_filter('site_status_tests', static function (array $tests): array {
        $tests['direct']['pressdock_object_cache'] = ['label' => 'Object cache', 'test' => test_object_cache(...)];
        return $tests;
    });
    add_filter('debug_information', static fn (array $sections): array => $sections + ['pressdock-object-cache' => [
        'label' => 'pressdock object cache',
        'fields' => object_cache_fields(),
    ]]);
}
