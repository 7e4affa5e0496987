<?php
/**
 * Lists the addresses of a network's sites for the scheduler (cron.php), one a line: HOST[:PORT]/PATH. Run by FPM, through a
 * port that only the scheduler and the web server reach; the web server asks for core's scripts alone.
 */

declare(strict_types=1);

/** @var string $table_prefix */
require '/run/secrets/site.php';
header('Content-Type: text/plain');
$main = substr(PRESSDOCK_URL, strlen('https://')) . '/';
if (!is_file(WP_CONTENT_DIR . '/.pressdock-network')) {
    // Not a network yet.
    echo "$main\n";
    return;
}
try {
    ini_set('mysqlnd.net_read_timeout', (string) PRESSDOCK_DATABASE_TIMEOUT);
    [$host, $port] = explode(':', DB_HOST) + [1 => '3306'];
    $connection = new mysqli($host, DB_USER, DB_PASSWORD, DB_NAME, (int) $port);
    $query = "SELECT CONCAT(domain, path) FROM `{$table_prefix}blogs` WHERE archived = 0 AND deleted = 0 AND spam = 0 ORDER BY blog_id";
    foreach ($connection->query($query)->fetch_all() as [$address]) {
        echo "$address\n";
    }
} catch (mysqli_sql_exception) {
    http_response_code(503);
}
