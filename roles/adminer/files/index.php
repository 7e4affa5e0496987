<?php
/**
 * Adminer for one database server. Whatever a request says about server and driver is forgotten before Adminer reads it, and the
 * place where Adminer takes the server's name from is answered here.
 */

declare(strict_types=0);

/** Parameters by which a request chooses a driver, a server, or another extension of PHP. */
const FORGOTTEN_PARAMETERS = [
    'server', 'sqlite', 'sqlite2', 'pgsql', 'oracle', 'mssql', 'mongo', 'elastic', 'elastic5', 'clickhouse', 'firebird', 'simpledb',
    'imap', 'ext',
];

/** Make the request one for the default server, without a remembered login. */
function forget_choices(): void
{
    foreach (FORGOTTEN_PARAMETERS as $name) {
        unset($_GET[$name]);
    }
    // No address of a page may carry a session.
    unset($_GET['adminer_sid'], $_SERVER['HTTP_X_FORWARDED_PREFIX']);
    // Adminer asks its own project for newer versions in the browser unless it has done so, and keeps the answer.
    $_COOKIE['adminer_version'] = '0';
    if (($_GET['script'] ?? '') === 'version') {
        unset($_GET['script']);
    }
    // A permanent login would keep passwords, and other servers' names, in the browser.
    unset($_COOKIE['adminer_permanent']);
    // A file of the container is never read into a database.
    unset($_POST['webfile']);
    if (isset($_POST['auth'])) {
        $given = is_array($_POST['auth']) ? array_filter($_POST['auth'], 'is_string') : [];
        $_POST['auth'] = [
            'driver' => 'server',
            'server' => '',
            'username' => $given['username'] ?? '',
            'password' => $given['password'] ?? '',
            'db' => $given['db'] ?? '',
        ];
    }
    foreach (['username', 'db'] as $name) {
        if (isset($_GET[$name]) && !is_string($_GET[$name])) {
            unset($_GET[$name]);
        }
    }
}

/**
 * Returns the server (HOST or HOST:PORT) with its address in place of its name: the last known one while the engine, and its name server,
 * is away. What remembers it is the modification time of a file without content.
 */
function database_server(string $server): string
{
    [$host, $port] = explode(':', $server, 2) + [1 => ''];
    $memory = "/tmp/.database-address-$host";
    $address = gethostbyname($host);
    if ($address !== $host) {
        touch($memory, (int) ip2long($address));
    } elseif (is_file($memory)) {
        $address = (string) long2ip((int) filemtime($memory));
    }
    return $port === '' ? $address : "$address:$port";
}

/** Called by Adminer, when its own class exists. Signatures are as loose as those of the compiled Adminer. */
function adminer_object(): object
{
    class OneServer extends Adminer\Adminer
    {
        public function credentials()
        {
            return [database_server((string) getenv('DATABASE_HOST')), (string) ($_GET['username'] ?? ''), (string) Adminer\get_password()];
        }

        public function serverName($server)
        {
            return 'MariaDB';
        }

        public function permanentLogin($create = false)
        {
            return '';
        }

        public function importServerPath()
        {
            return '';
        }

        /** The form asks for user, password and database alone. */
        public function loginForm()
        {
            ob_start();
            parent::loginForm();
            echo preg_replace('~<label>\s*<input[^>]*auth\[permanent\].*?</label>~s', '', (string) ob_get_clean());
        }

        public function loginFormField($name, $heading, $value)
        {
            return in_array($name, ['driver', 'server'], true) ? '' : parent::loginFormField($name, $heading, $value);
        }

        /** As Adminer's own, without the frame that asks for versions. */
        public function csp($csp)
        {
            foreach ($csp as &$policy) {
                $policy['frame-src'] = "'none'";
            }
            return $csp;
        }
    }

    return new OneServer();
}

forget_choices();
require '/usr/share/adminer/adminer.php';
