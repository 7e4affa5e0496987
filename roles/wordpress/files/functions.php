<?php
/**
 * Functions of PHP's that are switched off (wordpress_php_disabled_functions) and that plugins call all the same, in a safe form.
 *
 * PHP's mail() starts a program, and that gets the environment that putenv() has made: with LD_PRELOAD in it, native code out of an
 * upload. Here mail goes to the declared relay, without a program, and the environment stays what it was. wp-config.php loads this file,
 * before any plugin. Where an operator has a function enabled, PHP's own one is there.
 */

declare(strict_types=1);

if (!function_exists('mail')) {
    /** Hands mail to WordPress, which knows the relay (pressdock-mail.php). Options of a mail program mean nothing here. */
    function mail(string $to, string $subject, string $message, array|string $additional_headers = [], string $additional_params = ''): bool
    {
        if (!function_exists('wp_mail') || !did_action('plugins_loaded')) {
            error_log('mail(): WordPress is not loaded that far');
            return false;
        }
        $headers = [];
        if (is_array($additional_headers)) {
            foreach ($additional_headers as $name => $values) {
                foreach ((array) $values as $value) {
                    $headers[] = "$name: $value";
                }
            }
        } else {
            $headers = preg_split('/\r\n(?![ \t])|\n(?![ \t])/', trim($additional_headers)) ?: [];
        }
        return wp_mail($to, $subject, $message, array_values(array_filter($headers)));
    }
}

if (!function_exists('mb_send_mail')) {
    /** The same: WordPress encodes by itself what is not ASCII. */
    function mb_send_mail(string $to, string $subject, string $message, array|string $additional_headers = [], ?string $additional_params = null): bool
    {
        return mail($to, $subject, $message, $additional_headers);
    }
}

if (!function_exists('putenv')) {
    /** Keeps a variable for PHP alone, where libraries look first ($_ENV, $_SERVER): no program inherits it, and neither does a library in C. */
    function putenv(string $assignment): bool
    {
        [$name, $value] = explode('=', $assignment, 2) + [1 => null];
        if (preg_match('/^[A-Za-z_][A-Za-z0-9_]*$/D', $name) !== 1) {
            return false;
        }
        // What a request brings has other meanings there.
        $isRequests = isset($_SERVER[$name]) && !isset($_ENV[$name]);
        if ($value === null) {
            unset($_ENV[$name]);
        } else {
            $_ENV[$name] = $value;
            $isRequests || $_SERVER[$name] = $value;
        }
        return true;
    }
}
