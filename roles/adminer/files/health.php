<?php
/**
 * Healthy is an Adminer that shows its login form, can reach a server at all, and counts failed logins (it does not where it cannot
 * write). Whether the database works is the database's own health.
 */

declare(strict_types=1);

function unhealthy(string $reason): never
{
    http_response_code(503);
    exit("$reason\n");
}

if (!extension_loaded('mysqli')) {
    unhealthy('the extension mysqli is missing');
}
$mark = tempnam('/tmp', 'health');
if ($mark === false || !str_starts_with($mark, '/tmp/') || !unlink($mark)) {
    unhealthy('/tmp cannot be written');
}

// Adminer ends by exit: what it has printed is looked at afterwards.
ob_start();
register_shutdown_function(static function (): void {
    $page = (string) ob_get_clean();
    // Nobody comes back to this session.
    if (session_status() === PHP_SESSION_ACTIVE || session_start()) {
        session_destroy();
    }
    header_remove('Set-Cookie');
    if (!str_contains($page, "name=\"auth[password]\"")) {
        http_response_code(503);
        echo "the login form is missing\n";
        return;
    }
    // Adminer's own way of opening the list of failed logins.
    $lock = Adminer\file_open_lock('/tmp/adminer.health');
    if (!is_resource($lock)) {
        http_response_code(503);
        echo "failed logins cannot be counted\n";
        return;
    }
    Adminer\file_unlock($lock);
    echo "ok\n";
});
$_GET = $_POST = $_COOKIE = [];
$_SERVER['REQUEST_URI'] = '/';
require '/usr/share/adminer/index.php';
