<?php
// What a script could do that somebody got into the container; tells it as JSON.
$functions = ['exec', 'system', 'proc_open', 'fsockopen', 'mail', 'curl_exec', 'stream_socket_client'];
echo json_encode([
    'functions' => array_values(array_filter($functions, 'function_exists')),
    'passwd' => @file_get_contents('/etc/passwd'),
    'web' => @file_get_contents('http://nginx:8081/healthz'),
    'own' => strlen(file_get_contents('/usr/share/adminer/index.php')) > 1000,
    'memory' => ini_get('memory_limit'),
    'upload' => ini_get('upload_max_filesize'),
    'drivers' => array_values(array_intersect(['PDO', 'mysqli', 'pgsql', 'sqlite3', 'FFI'], get_loaded_extensions())),
]);
