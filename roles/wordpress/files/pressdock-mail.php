<?php
/**
 * Plugin Name: pressdock: mail
 * Description: Hands WordPress's mail to the declared relay (wordpress_smtp). Always active.
 */

declare(strict_types=1);

namespace Pressdock;

/** Seconds that a relay has to connect, and for each of its answers: a request must not wait for a dead one. */
const MAIL_TIMEOUT = 10;

if (PRESSDOCK_SMTP) {
    // Only WordPress's own sender is replaced, not what a plugin chooses.
    add_filter('wp_mail_from', static fn (string $from): string
        => str_starts_with($from, 'wordpress@') ? PRESSDOCK_SMTP['from'] : $from, 5);
    add_filter('wp_mail_from_name', static fn (string $name): string
        => $name === 'WordPress' ? (PRESSDOCK_SMTP['from_name'] ?: wp_specialchars_decode(get_bloginfo('name'), ENT_QUOTES)) : $name, 5);
}

add_action('phpmailer_init', static function (\PHPMailer\PHPMailer\PHPMailer $mailer): void {
    if ($mailer->Mailer !== 'mail') {
        // A plugin has chosen a way of its own.
        return;
    }
    $mailer->isSMTP();
    $mailer->Timeout = MAIL_TIMEOUT;
    $mailer->getSMTPInstance()->Timelimit = MAIL_TIMEOUT;
    if (!PRESSDOCK_SMTP) {
        // There is no mail program in the container: end at once.
        $mailer->Host = '';
        return;
    }
    $relay = PRESSDOCK_SMTP;
    $mailer->Host = $relay['host'];
    $mailer->Port = $relay['port'];
    $mailer->Hostname = (string) parse_url(PRESSDOCK_URL, PHP_URL_HOST);
    $mailer->SMTPAuth = $relay['login'] !== '';
    $mailer->Username = $relay['login'];
    $mailer->Password = $relay['password'];
    // Demanded, not only used where the relay offers it.
    $mailer->SMTPSecure = ['starttls' => 'tls', 'tls' => 'ssl', 'none' => ''][$relay['encryption']];
    $mailer->SMTPAutoTLS = false;
    $mailer->SMTPOptions = ['ssl' => [
        'verify_peer' => true,
        'verify_peer_name' => true,
        'cafile' => $relay['certificate_authority'] ?: '/etc/ssl/certs/ca-certificates.crt',
    ]];
    // Where returned mail goes, and what relays compare with the login.
    $mailer->Sender = $relay['from'];
}, 1000);

/** Says whether there is a way for mail: the declared relay, or one that a plugin has. */
function sends_mail(): bool
{
    $ways = array_merge([], ...array_values($GLOBALS['wp_filter']['phpmailer_init']->callbacks ?? []));
    return PRESSDOCK_SMTP || has_filter('pre_wp_mail') || count($ways) > 1;
}

/** Returns text on one line, for the log, up to where it is no text: after a broken TLS connection come bytes of that. */
function log_line(string $text): string
{
    $character = '[\t\r\n\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}';
    preg_match("/^(?:$character)*/", $text, $readable);
    return trim((string) preg_replace('/\s+/', ' ', $readable[0]));
}

add_action('wp_mail_failed', static function (\WP_Error $error): void {
    global $phpmailer;
    // PHPMailer's own default is localhost: some mail fails before it gets so far as to have another one.
    if (!PRESSDOCK_SMTP && in_array($phpmailer->Host ?? '', ['', 'localhost'], true)) {
        error_log('pressdock: mail was not sent: no relay is declared (wordpress_smtp)');
        return;
    }
    // What the relay answered; the password is in neither.
    $answer = $phpmailer instanceof \PHPMailer\PHPMailer\PHPMailer ? $phpmailer->getSMTPInstance()->getError() : [];
    $words = [$error->get_error_message(), $answer['error'] ?? '', $answer['detail'] ?? '', $answer['smtp_code'] ?? ''];
    error_log('pressdock: mail was not sent: ' . log_line(implode(' ', array_unique(array_filter($words)))));
});

add_filter('site_status_tests', static function (array $tests): array {
    $tests['direct']['pressdock_mail'] = ['label' => 'Outgoing mail', 'test' => static fn (): array => [
        'label' => PRESSDOCK_SMTP
            ? 'Mail is handed to ' . PRESSDOCK_SMTP['host']
            : 'This site cannot send mail: no relay is declared',
        'status' => PRESSDOCK_SMTP ? 'good' : 'recommended',
        'badge' => ['label' => 'Mail', 'color' => 'blue'],
        'description' => '<p>' . (PRESSDOCK_SMTP
            ? 'Passwords are reset, and the editors are told about comments, by this relay.'
            : 'Nobody can reset a password by mail. Declare wordpress_smtp, and run the playbook.') . '</p>',
        'actions' => '',
        'test' => 'pressdock_mail',
    ]];
    return $tests;
});
