<?php
/**
 * What widens access to a site and is nobody's declaration: for a report (`make drift`), never for a repair. An intruder leaves it, or the
 * site's own people have made it, which only they can tell.
 * reconcile.php loads this file and asks it in a check with "look".
 */

declare(strict_types=1);

namespace Pressdock;

final class WorthALook
{
    /** Of one kind so many are named, the rest is counted. */
    private const NAMED = 8;
    /** Bytes of code that are searched for the names of events. */
    private const MOST_CODE = 100_000_000;
    /** Scheduled events of WordPress itself. */
    private const CORE_EVENTS = [
        'delete_expired_transients', 'do_pings', 'importer_scheduled_cleanup', 'publish_future_post', 'recovery_mode_clean_expired_keys',
        'update_network_counts', 'upgrader_scheduled_cleanup', 'wp_delete_temp_updater_backups', 'wp_https_detection', 'wp_maybe_auto_update',
        'wp_privacy_delete_old_export_files', 'wp_scheduled_auto_draft_delete', 'wp_scheduled_delete', 'wp_site_health_scheduled_check',
        'wp_split_shared_term_batch', 'wp_update_comment_type_batch', 'wp_update_plugins', 'wp_update_themes', 'wp_update_user_counts',
        'wp_version_check',
    ];
    /** Endings that some web server takes for PHP, and files that change what PHP or a web server does. */
    private const CODE = '/\.(?:php\d?|phtml|phar|phps|pht|shtml|cgi)(?:\.[^.\/]*)?$|^\.(?:user\.ini|htaccess)$/i';

    public function __construct(private readonly Declaration $declared)
    {
    }

    /** @return list<string> */
    public function sentences(): array
    {
        return [
            ...$this->registration(), ...$this->people(), ...$this->applicationPasswords(), ...$this->roles(), ...$this->network(),
            ...$this->events(), ...$this->code(), ...$this->options(),
        ];
    }

    /** @return list<string> */
    private function registration(): array
    {
        $found = [];
        $declared = $this->declared->options;
        $role = (string) get_option('default_role');
        $open = is_multisite()
            ? get_network_option(NETWORK_ID, 'registration', 'none') !== 'none'
            : (bool) get_option('users_can_register');
        if ($open && empty($declared['users_can_register'])) {
            $found[] = 'anybody can register, and becomes ' . ($role ?: 'nothing')
                . (is_multisite() ? ' (registration: ' . get_network_option(NETWORK_ID, 'registration') . ')' : ' (users_can_register)');
        }
        if (self::mighty(array_keys(array_filter((array) (wp_roles()->roles[$role]['capabilities'] ?? [])))) !== []) {
            $found[] = "new users become $role (default_role), which may administer the site";
        } elseif ($role !== 'subscriber' && $role !== '' && !isset($declared['default_role'])) {
            $found[] = "new users become $role (default_role), where WordPress has subscriber";
        }
        return $found;
    }

    /** @return list<string> users who may more than the declaration, or their role, says */
    private function people(): array
    {
        global $wpdb;
        $logins = array_map(strtolower(...), array_column($this->declared->users, 'login'));
        $mighty = $beyond = [];
        // Everybody whose rights are not those of subscribers, by the rights that are stored.
        $ids = $wpdb->get_col($wpdb->prepare(
            "SELECT user_id FROM $wpdb->usermeta WHERE meta_key = %s AND meta_value NOT IN ('a:0:{}', 'a:1:{s:10:\"subscriber\";b:1;}')",
            $wpdb->get_blog_prefix() . 'capabilities',
        ));
        foreach (array_map(intval(...), $ids) as $id) {
            $user = get_userdata($id);
            if ($user === false || in_array(strtolower($user->user_login), $logins, true)) {
                continue;
            }
            $own = array_keys(array_intersect_key(array_filter($user->caps), Roles::known()));
            if (self::mighty(array_keys(array_filter($user->allcaps)))) {
                $mighty[] = "user $user->user_login administers the site (" . (implode(', ', [...$user->roles, ...$own]))
                    . "), and nobody declares it; registered $user->user_registered";
            } elseif ($own) {
                $beyond[] = "user $user->user_login may, beyond its role " . (implode(', ', $user->roles) ?: '(none)') . ': ' . implode(', ', $own);
            }
        }
        return [...self::some($mighty, 'users who administer the site'), ...self::some($beyond, 'users with rights beyond their roles')];
    }

    /** @return list<string> */
    private function applicationPasswords(): array
    {
        global $wpdb;
        $found = [];
        foreach ($wpdb->get_results("SELECT user_id, meta_value FROM $wpdb->usermeta WHERE meta_key = '_application_passwords'") as $row) {
            $user = get_userdata((int) $row->user_id);
            $passwords = maybe_unserialize($row->meta_value);
            foreach ($user && is_array($passwords) ? $passwords : [] as $password) {
                $date = static fn (mixed $time): string => is_numeric($time) ? gmdate('Y-m-d', (int) $time) : 'never';
                $found[] = "user $user->user_login has an application password \"" . words((string) ($password['name'] ?? '')) . '", made '
                    . $date($password['created'] ?? null) . ', last used ' . $date($password['last_used'] ?? null);
            }
        }
        return self::some($found, 'application passwords');
    }

    /** @return list<string> roles that no declared user has, and that may more than WordPress lets them */
    private function roles(): array
    {
        $found = [];
        $compared = array_merge(['administrator'], ...array_column($this->declared->users, 'roles'));
        foreach (array_map(strval(...), array_keys(wp_roles()->roles)) as $role) {
            $declared = array_keys(array_filter((array) ($this->declared->role_capabilities[$role] ?? [])));
            $beyond = in_array($role, $compared, true) && isset(Roles::core()[$role]) ? [] : array_diff(Roles::beyond($role), $declared);
            if ($beyond) {
                $found[] = "role $role may: " . implode(', ', array_slice($beyond, 0, self::NAMED))
                    . (count($beyond) > self::NAMED ? ' and ' . count($beyond) - self::NAMED . ' more' : '')
                    . (isset(Roles::core()[$role]) ? ', which WordPress does not give it' : '; it is not one of WordPress\'s');
            }
        }
        return self::some($found, 'roles');
    }

    /** @return list<string> plugins that all sites of a network run, and types of files that they take */
    private function network(): array
    {
        if (!is_multisite()) {
            return [];
        }
        $found = [];
        foreach (array_map(strval(...), array_keys((array) get_network_option(NETWORK_ID, 'active_sitewide_plugins', []))) as $file) {
            if (!in_array(dirname($file) === '.' ? basename($file, '.php') : dirname($file), $this->declared->plugins, true)) {
                $found[] = "plugin $file is active in the whole network, and nobody declares it";
            }
        }
        $types = preg_grep('/^(?:php\d?|phtml|phar|pht|svgz?|html?|shtml|js|swf)$/i',
            explode(' ', (string) get_network_option(NETWORK_ID, 'upload_filetypes', ''))) ?: [];
        return [...$found, ...($types ? ['sites of the network take uploads of the types ' . implode(', ', $types) . ' (upload_filetypes)'] : [])];
    }

    /** @return list<string> scheduled events whose names stand in no code here */
    private function events(): array
    {
        $hooks = [];
        foreach ((array) get_option('cron', []) as $events) {
            $hooks += is_array($events) ? $events : [];
        }
        $unknown = array_diff_key($hooks, array_flip(self::CORE_EVENTS));
        $left = self::MOST_CODE;
        $places = [WP_CONTENT_DIR . '/plugins', WP_CONTENT_DIR . '/themes', WP_CONTENT_DIR . '/mu-plugins', CORE . 'wp-content'];
        foreach ($places as $place) {
            foreach ($unknown && is_dir($place) ? self::files($place) : [] as $path => $file) {
                if (!$unknown || $left <= 0) {
                    break;
                }
                if (str_ends_with(strtolower($path), '.php')) {
                    $code = (string) @file_get_contents($path);
                    $left -= strlen($code);
                    $unknown = array_filter($unknown, static fn (string|int $hook): bool => !str_contains($code, (string) $hook), ARRAY_FILTER_USE_KEY);
                }
            }
        }
        $said = $left <= 0 ? ' (of much code only a part was searched)' : '';
        return self::some(array_map(static fn (string|int $hook): string => "a scheduled event \"$hook\": its name stands in no plugin or theme$said",
            array_keys($unknown)), 'scheduled events');
    }

    /** @return list<string> code beside what WordPress loads; that among the uploads is looked for from outside (stack_strangers) */
    private function code(): array
    {
        $found = [];
        foreach (scandir(WP_CONTENT_DIR) ?: [] as $name) {
            if (preg_match(self::CODE, $name) === 1 && is_file(WP_CONTENT_DIR . "/$name") && $name !== 'index.php' && !isset(_get_dropins()[$name])) {
                $found[] = "code in wp-content: $name";
            }
        }
        return self::some($found, 'files with code');
    }

    /** @return list<string> */
    private function options(): array
    {
        $found = [];
        $new = get_option('adminhash');
        if (is_array($new) && isset($new['newemail'])) {
            $found[] = "the site's address waits to become {$new['newemail']} (whoever has the link from the mail confirms it)";
        }
        $path = (string) get_option('upload_path', '');
        if ($path !== '' && !isset($this->declared->options['upload_path'])) {
            $found[] = "uploads go to $path (upload_path)";
        }
        return $found;
    }

    /** @return list<string> */
    private static function mighty(array $capabilities): array
    {
        return array_values(array_intersect(Roles::POWERFUL, $capabilities));
    }

    /** @return iterable<string, \SplFileInfo> */
    private static function files(string $directory): iterable
    {
        $tree = new \RecursiveDirectoryIterator($directory, \FilesystemIterator::SKIP_DOTS);
        // What cannot be read is left out.
        foreach (new \RecursiveIteratorIterator($tree, \RecursiveIteratorIterator::LEAVES_ONLY, \RecursiveIteratorIterator::CATCH_GET_CHILD) as $path => $file) {
            if ($file->isFile()) {
                yield $path => $file;
            }
        }
    }

    /**
     * @param list<string> $sentences
     * @return list<string>
     */
    private static function some(array $sentences, string $kind): array
    {
        $more = count($sentences) - self::NAMED;
        return $more <= 0 ? $sentences : [...array_slice($sentences, 0, self::NAMED), "$more more $kind"];
    }
}
