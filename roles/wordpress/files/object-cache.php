<?php
/**
 * Plugin Name: pressdock object cache
 * Description: WordPress's own cache, which lasts as long as a request.
 *
 * Commands: auth ping mget set unlink hgetall hmget hset hsetnx watch multi exec
 */

declare(strict_types=1);

require_once ABSPATH . WPINC . '/class-wp-object-cache.php';
// Its functions, under the names that every drop-in has.
require_once ABSPATH . WPINC . '/cache.php';
