<?php
/** Makes a file that stands for WP-CLI's release: phar.php FILE. It says what it was given, and starts the database's programs as that does. */
$phar = new Phar($argv[1]);
$phar->setStub("#!/usr/bin/env php\n<?php Phar::mapPhar('wp.phar'); require 'phar://wp.phar/wp.php'; __HALT_COMPILER();");
$phar->setAlias('wp.phar');
$phar->addFromString('wp.php', <<<'PHP'
<?php
$words = array_slice($argv, 1);
if (end($words) === '--version') {
    echo "WP-CLI 2.34.5\n";
} elseif (in_array('report', $words, true)) {
    require '/usr/share/wordpress/wp-load.php';
    echo json_encode([
        'words' => $words, 'input' => stream_get_contents(STDIN), 'user' => posix_geteuid(), 'title' => get_option('blogname'),
        'writable' => array_values(array_filter(['/usr/share/wordpress', WP_CONTENT_DIR, getcwd()], is_writable(...))),
        'memory' => ini_get('memory_limit'),
    ]);
    fwrite(STDERR, "to stderr\n");
    exit(7);
} else {
    require '/run/secrets/site.php';
    putenv('MYSQL_PWD=');
    [$host, $port] = explode(':', DB_HOST) + [1 => '3306'];
    $rest = ' --host=' . escapeshellarg($host) . " --port=$port --user=" . escapeshellarg(DB_USER) . ' ' . escapeshellarg(DB_NAME);
    passthru(($words[2] === 'export' ? '/usr/bin/env mariadb-dump --no-defaults' : '/usr/bin/env mysql --no-defaults') . $rest, $status);
    exit($status);
}
PHP);
