<?php
/**
 * Plugin Name: Flotte
 * Version: 1.3
 * Network: true
 */

declare(strict_types=1);

add_action('wp_head', static function (): void {
    echo '<!-- flotte of site ' . get_current_blog_id() . ' -->';
});
