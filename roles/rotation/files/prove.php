<?php
/**
 * Tries logins and says how each ended. It is not part of an image: it comes by the standard input, with the attempts in it.
 *
 * Each attempt: {"kind": "database" | "user" | "salts", "login": ..., "password": ..., "host": the database's}. For each, in
 * order, a line "proof: accepted", "proof: refused", or what else happened. No line holds a secret.
 */

namespace Pressdock\Prove;

/** What the database server answers to a wrong password, and to one that its account has no use for. */
const DENIED = [1045, 1698];
/** Seconds that a cookie of the proof would be good for. */
const LIFETIME = 60;

/** @param array{login: string, password: string, host: string} $attempt */
function database(array $attempt): string
{
    mysqli_report(MYSQLI_REPORT_OFF);
    [$host, $port] = explode(':', $attempt['host']) + [1 => '3306'];
    $connection = mysqli_init();
    if (@$connection->real_connect($host, $attempt['login'], $attempt['password'], '', (int) $port)) {
        $connection->close();
        return 'accepted';
    }
    return in_array($connection->connect_errno, DENIED, true) ? 'refused' : "database error $connection->connect_errno";
}

/** @param array{login: string, password: string} $attempt */
function user(array $attempt): string
{
    // Not through every plugin that watches logins: some would shut the address out.
    $result = wp_authenticate_username_password(null, $attempt['login'], $attempt['password']);
    if (!is_wp_error($result)) {
        return 'accepted';
    }
    return $result->get_error_code() === 'incorrect_password' ? 'refused' : 'WordPress says ' . $result->get_error_code();
}

/** @param array{login: string, password: string} $attempt the password is the salt of the cookie of whoever has logged in */
function salts(array $attempt): string
{
    $user = get_user_by('login', $attempt['login']);
    if (!$user) {
        return 'there is no such user';
    }
    $sessions = \WP_Session_Tokens::get_instance($user->ID);
    $token = $sessions->create(time() + LIFETIME);
    $salt = static fn (string $own, string $scheme): string => $scheme === 'logged_in' ? $attempt['password'] : $own;
    add_filter('salt', $salt, PHP_INT_MAX, 2);
    $cookie = wp_generate_auth_cookie($user->ID, time() + LIFETIME, 'logged_in', $token);
    remove_filter('salt', $salt, PHP_INT_MAX);
    $known = wp_validate_auth_cookie($cookie, 'logged_in');
    $sessions->destroy($token);
    return $known === $user->ID ? 'accepted' : 'refused';
}

// Decoded from text that is never parsed as PHP.
$attempts = json_decode(<<<'ATTEMPTS'
@attempts@
ATTEMPTS, true);
if (array_diff(array_column($attempts, 'kind'), ['database'])) {
    require_once '/run/secrets/site.php';
    $_SERVER['HTTP_HOST'] = substr(PRESSDOCK_URL, strlen('https://'));
    $_SERVER['HTTPS'] = 'on';
    $_SERVER['REQUEST_URI'] = '/';
    $_SERVER['REQUEST_METHOD'] = 'GET';
    require_once '/usr/share/wordpress/wp-load.php';
}
foreach ($attempts as $attempt) {
    try {
        $answer = match ($attempt['kind']) {
            'database' => database($attempt),
            'user' => user($attempt),
            'salts' => salts($attempt),
        };
    } catch (\Throwable $error) {
        // Not its message or trace: arguments are passwords.
        $answer = get_class($error) . ' in ' . basename($error->getFile()) . ':' . $error->getLine();
    }
    echo "\nproof: $answer\n";
}
