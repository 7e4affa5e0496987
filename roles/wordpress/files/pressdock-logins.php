<?php
/**
 * Plugin Name: pressdock: logins
 * Description: Keeps logins, half of what an intruder needs, from strangers. Always active.
 *
 * A stranger may learn the display names of those who have published something, and a name in addresses that says nothing. He does not
 * learn a login, nor whether there is one. WordPress makes both names of the login; here they are made of a number (`hide_logins`).
 */

declare(strict_types=1);

namespace Pressdock;

/** What a name in addresses looks like that was made here. */
const NEUTRAL_NICENAME = '/^author-[0-9a-f]{10}$/D';

/** Codes of errors that tell a login which exists from one that does not. */
const TELLING_ERRORS = ['invalid_username', 'invalid_email', 'incorrect_password', 'invalidcombo'];

/** Returns a login's name in addresses. Nobody can compute it who has not the site's salts; once stored it stays, whatever these become. */
function neutral_nicename(string $login): string
{
    return 'author-' . substr(hash_hmac('sha256', "nicename $login", AUTH_KEY . AUTH_SALT), 0, 10);
}

/** Returns the display name of somebody who has none, in keeping with that. */
function neutral_display_name(string $nicename): string
{
    return 'Author ' . substr((string) hash('sha256', $nicename), 0, 4);
}

/** Says whether WordPress has made a name in addresses of a login: as it is, cut short, or with a number behind it. */
function is_made_of_login(string $nicename, string $login): bool
{
    $made = sanitize_title(mb_substr($login, 0, 50));
    $stem = (string) preg_replace('/-\d+$/D', '', $nicename);
    return $nicename === $made || $stem === $made || strlen($stem) > 40 && str_starts_with($made, $stem);
}

if (PRESSDOCK_HIDE_LOGINS) {
    add_filter('wp_pre_insert_user_data', static function (array $data, bool $update): array {
        if (!$update) {
            if (is_made_of_login($data['user_nicename'], $data['user_login'])) {
                $data['user_nicename'] = neutral_nicename($data['user_login']);
            }
            if (strcasecmp($data['display_name'], $data['user_login']) === 0) {
                $data['display_name'] = neutral_display_name($data['user_nicename']);
            }
        }
        return $data;
    }, PHP_INT_MAX, 2);
    add_filter('insert_user_meta', static function (array $meta, \WP_User $user, bool $update): array {
        if (!$update && ($meta['nickname'] ?? '') === $user->user_login) {
            $meta['nickname'] = $user->display_name;
        }
        return $meta;
    }, PHP_INT_MAX, 3);
    // Who has published nothing is nobody to strangers: WordPress would show an empty page.
    add_filter('pre_handle_404', static function (mixed $handled, \WP_Query $query): mixed {
        if (!is_author() || $query->posts || is_user_logged_in()) {
            return $handled;
        }
        $query->set_404();
        status_header(404);
        nocache_headers();
        return true;
    }, PHP_INT_MAX, 2);
}

/** Puts one error in the place of those that tell. */
function untold(mixed $error): mixed
{
    return is_wp_error($error) && array_intersect(TELLING_ERRORS, $error->get_error_codes())
        ? new \WP_Error('incorrect_login', 'The login or the password is wrong.', ['status' => 401])
        : $error;
}

// One answer for an unknown login, an unknown address and a wrong password, after as much work: a password that belongs to nobody is
// hashed like one that is compared.
add_filter('authenticate', static function (mixed $user, mixed $login, mixed $password): mixed {
    if (is_wp_error($user) && array_intersect(['invalid_username', 'invalid_email'], $user->get_error_codes())) {
        wp_hash_password(substr((string) $password, 0, 4096));
    }
    return untold($user);
}, PHP_INT_MAX, 3);
// Application passwords do not come that way.
add_filter('rest_authentication_errors', untold(...), PHP_INT_MAX);
// The form shakes for these; the new one is one of them.
add_filter('shake_error_codes', static fn (array $codes): array => [...$codes, 'incorrect_login']);

// Who asks for a new password is told that a mail is on its way, whether there is such a user or not, and before it is looked for: a
// relay takes its time. What plugins demand of the form (a captcha, say) has been checked by then, and is told.
add_filter('lostpassword_errors', static function (\WP_Error $errors, mixed $user): \WP_Error {
    $action = $_REQUEST['action'] ?? '';
    if (!did_action('login_init') || !in_array($action, ['lostpassword', 'retrievepassword'], true)) {
        return $errors;
    }
    foreach (TELLING_ERRORS as $code) {
        $errors->remove($code);
    }
    if (!$errors->has_errors() && !sends_mail()) {
        // Whoever asks would wait for a mail that never comes.
        $errors->add('no_mail', 'This site cannot send mail. Ask whoever runs it for a new password.');
        error_log('pressdock: mail was not sent: no relay is declared (wordpress_smtp)');
    }
    if ($errors->has_errors()) {
        return $errors;
    }
    nocache_headers();
    wp_safe_redirect(($_REQUEST['redirect_to'] ?? '') ?: 'wp-login.php?checkemail=confirm');
    if (function_exists('fastcgi_finish_request')) {
        fastcgi_finish_request();
    }
    if (!$user instanceof \WP_User) {
        exit;
    }
    // The rest is done for nobody's eyes: neither another redirect nor the form with an error.
    add_filter('wp_redirect', '__return_false', PHP_INT_MAX);
    add_action('lost_password', static fn (): never => exit, PHP_INT_MIN);
    return $errors;
}, PHP_INT_MAX, 2);
