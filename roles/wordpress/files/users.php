<?php
/**
 * The users of a site, and what its roles may do. reconcile.php loads this file and decides when its steps happen.
 *
 * Rights are compared as far as they are WordPress's own: what a plugin calls a capability is that plugin's business.
 */

declare(strict_types=1);

namespace Pressdock;

/** User meta: proof that a stored hash belongs to the declared password; saves a bcrypt verification (250 ms) per user. */
const PASSWORD_PROOF = '_pressdock_password_proof';
/** User meta: this user was declared once and has been closed. */
const CLOSED = '_pressdock_closed';
/** In place of the proof, for a user whose password was their own when they were declared. */
const OWN_PASSWORD = 'own';

/** What the roles of WordPress may do, and what the declared users' roles do instead. */
final class Roles
{
    /** Rights over a whole network, which WordPress gives no role but super admins. */
    private const OF_NETWORKS = [
        'create_sites', 'delete_sites', 'manage_network', 'manage_network_options', 'manage_network_plugins', 'manage_network_themes',
        'manage_network_users', 'manage_sites', 'setup_network', 'upgrade_network', 'upload_plugins', 'upload_themes',
    ];
    /** Whoever has one of these can make the rest. */
    public const POWERFUL = [
        'activate_plugins', 'create_users', 'delete_users', 'edit_files', 'edit_plugins', 'edit_themes', 'edit_users', 'install_plugins',
        'install_themes', 'manage_options', 'promote_users', 'unfiltered_upload', 'update_plugins', 'update_themes', ...self::OF_NETWORKS,
    ];

    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
    }

    /** Puts the roles of declared users right that are WordPress's own. */
    public function reconcile(): void
    {
        if (wp_roles()->roles === []) {
            $this->report->change('roles', null, 'those of WordPress', static fn () => populate_roles());
            if ($this->report->check) {
                self::pretend();
            }
        }
        $used = array_merge(['administrator'], ...array_column($this->declared->users, 'roles'));
        foreach (array_unique([...$used, ...array_map(strval(...), array_keys($this->declared->role_capabilities))]) as $role) {
            $this->role($role);
        }
    }

    /** Does the same with roles that plugins have brought meanwhile. */
    public function reconcileLate(): void
    {
        foreach (array_map(strval(...), array_keys($this->declared->role_capabilities)) as $role) {
            $this->report->attempt(fn () => $this->demandKnown($role) || $this->role($role));
        }
    }

    /**
     * Returns the roles as WordPress defines them.
     *
     * @return array<string, array{name: string, capabilities: array<string, bool>}>
     */
    public static function core(): array
    {
        static $core;
        if ($core === null) {
            $own = $GLOBALS['wp_roles'] ?? null;
            $GLOBALS['wp_roles'] = $reference = new \WP_Roles();
            // Nothing of it is written, and it begins with nothing.
            $reference->use_db = false;
            [$reference->roles, $reference->role_objects, $reference->role_names] = [[], [], []];
            populate_roles();
            $core = $reference->roles;
            $GLOBALS['wp_roles'] = $own;
        }
        return $core;
    }

    /**
     * Returns the capabilities that are WordPress's own.
     *
     * @return array<string, true>
     */
    public static function known(): array
    {
        $known = array_fill_keys(self::OF_NETWORKS, true);
        foreach (self::core() as $role) {
            $known += array_fill_keys(array_keys($role['capabilities']), true);
        }
        return $known;
    }

    /**
     * Returns what a role may and WordPress does not let it; of a role of a plugin's only what is powerful.
     *
     * @return list<string>
     */
    public static function beyond(string $role): array
    {
        $granted = array_keys(array_filter((array) (wp_roles()->roles[$role]['capabilities'] ?? [])));
        $core = self::core()[$role]['capabilities'] ?? null;
        return array_values($core === null
            ? array_intersect(self::POWERFUL, $granted)
            : array_intersect(array_keys(self::known()), array_diff($granted, array_keys(array_filter($core)))));
    }

    /** In a check, what follows finds the roles that a repair would have made. */
    private static function pretend(): void
    {
        $roles = wp_roles();
        $roles->use_db = false;
        foreach (self::core() as $name => $role) {
            $roles->add_role($name, $role['name'], $role['capabilities']);
        }
    }

    private function demandKnown(string $role): bool
    {
        if (get_role($role) === null && !$this->report->check) {
            throw new Problem("role_capabilities: there is no role \"$role\"; there are: " . implode(', ', array_keys(wp_roles()->roles)));
        }
        return get_role($role) === null;
    }

    private function role(string $role): void
    {
        $core = self::core()[$role] ?? null;
        if (get_role($role) === null) {
            if ($core !== null) {
                $this->report->change("role $role", null, 'as WordPress defines it',
                    static fn () => add_role($role, $core['name'], $core['capabilities']));
            }
            if ($core === null || $this->report->check) {
                return;
            }
        }
        $wanted = array_map(boolval(...), (array) ($this->declared->role_capabilities[$role] ?? []));
        if ($core !== null) {
            $wanted += array_map(boolval(...), $core['capabilities']) + array_fill_keys(array_keys(self::known()), false);
        }
        $granted = (array) (wp_roles()->roles[$role]['capabilities'] ?? []);
        $wrong = array_filter($wanted, static fn (bool $may, string $name): bool => $may === empty($granted[$name]), ARRAY_FILTER_USE_BOTH);
        if ($wrong) {
            [$lacking, $added] = [array_keys(array_filter($wrong)), array_keys($wrong, false, true)];
            $found = implode('; ', array_filter([
                $added ? 'also ' . implode(', ', $added) : '', $lacking ? 'without ' . implode(', ', $lacking) : '',
            ]));
            $this->report->change("role $role: capabilities", $found, 'as declared', static function () use ($role, $wrong): void {
                foreach ($wrong as $name => $may) {
                    $may ? wp_roles()->add_cap($role, $name) : wp_roles()->remove_cap($role, $name);
                }
            });
        }
    }
}

/** The declared users, and those that were declared once. Others are the site's own business. */
final class Users
{
    /** @var array<int, string> addresses of users that had those of others, by their numbers */
    private array $taken = [];
    /** @var array<string, true> logins whose addresses are those of people whom nobody declares */
    private array $refused = [];
    /** @var list<array<string, mixed>> those whose roles there are not yet */
    private array $late = [];

    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
        // The declared state is no news to the users.
        add_filter('send_email_change_email', '__return_false');
        add_filter('send_password_change_email', '__return_false');
    }

    public function reconcile(): void
    {
        $this->freeAddresses();
        foreach ($this->declared->users as $declared) {
            if ($this->missingRoles($declared)) {
                $this->late[] = $declared;
            } else {
                $this->report->attempt(fn () => $this->reconcileOne($declared));
            }
        }
        $this->closeFormer();
    }

    /** @return list<string> roles of declared users that there are not yet */
    public function lacking(): array
    {
        return array_values(array_unique(array_merge([], ...array_map($this->missingRoles(...), $this->late))));
    }

    /** Takes those whose roles the plugins have brought. */
    public function reconcileLate(bool $plugins_to_come): void
    {
        foreach ($this->late as $declared) {
            $this->report->attempt(function () use ($declared, $plugins_to_come): void {
                $missing = $this->missingRoles($declared);
                // In a check, the plugin that brings a role may not be active yet.
                if ($missing && !$plugins_to_come) {
                    throw new Problem("user {$declared['login']}: there is no role \"$missing[0]\"; there are: "
                        . implode(', ', array_keys(wp_roles()->roles)));
                }
                $this->reconcileOne($declared);
            });
        }
        $this->late = [];
    }

    /** @return list<string> */
    private function missingRoles(array $declared): array
    {
        return array_values(array_filter($declared['roles'], static fn (string $role): bool => get_role($role) === null
            && !isset(Roles::core()[$role])));
    }

    private function reconcileOne(array $declared): void
    {
        $user = get_user_by('login', $declared['login']);
        if ($user === false) {
            isset($this->refused[$declared['login']]) || $this->create($declared);
        } else {
            $this->update($user, $declared);
        }
    }

    /** Returns what WordPress makes of a user's field before it stores it. */
    private static function kept(string $field, string $value): string
    {
        return (string) wp_unslash(apply_filters("pre_user_$field", wp_slash($value)));
    }

    /**
     * Takes declared addresses from those who have them and shall not: WordPress lets nobody have the address of another, so that two
     * users who have each other's could never be put right one after the other.
     */
    private function freeAddresses(): void
    {
        global $wpdb;
        $logins = array_map(strtolower(...), array_column($this->declared->users, 'login'));
        foreach ($this->declared->users as $declared) {
            $address = self::kept('email', $declared['email']);
            $holders = $wpdb->get_results($wpdb->prepare("SELECT ID, user_login FROM $wpdb->users WHERE user_email = %s", $address));
            $names = array_map(strtolower(...), array_column($holders, 'user_login'));
            foreach (in_array(strtolower($declared['login']), $names, true) ? [] : $holders as $holder) {
                $id = (int) $holder->ID;
                if (in_array(strtolower($holder->user_login), $logins, true)) {
                    $this->taken[$id] = $address;
                    $this->report->check || $this->park($id);
                } elseif (get_user_meta($id, PASSWORD_PROOF, true) || get_user_meta($id, CLOSED, true)) {
                    $this->report->change("user $holder->user_login, not declared any more: user_email", $address, null,
                        fn () => $this->park($id));
                } else {
                    $this->refused[$declared['login']] = true;
                    $this->report->refuse("user {$declared['login']}: $address is the address of $holder->user_login, whom nobody declares:"
                        . ' change or remove that user, or declare another address');
                }
            }
        }
    }

    private function park(int $id): void
    {
        global $wpdb;
        $wpdb->update($wpdb->users, ['user_email' => "user-$id@address-taken.invalid"], ['ID' => $id]);
        clean_user_cache($id);
    }

    /** Whoever was declared and is no longer may do nothing until it is declared again; what it wrote stays its own. */
    private function closeFormer(): void
    {
        $logins = array_column($this->declared->users, 'login');
        foreach (get_users(['meta_key' => PASSWORD_PROOF, 'blog_id' => 0]) as $user) {
            if (!in_array($user->user_login, $logins, true)) {
                $this->report->change(
                    "user {$user->user_login}",
                    implode(', ', $user->roles),
                    'not declared any more: closed, and kept with what it wrote',
                    fn () => $this->close($user),
                );
            }
        }
    }

    private function close(\WP_User $user): void
    {
        foreach (is_multisite() ? array_keys(get_blogs_of_user($user->ID)) : [get_current_blog_id()] as $blog) {
            $there = new \WP_User($user->ID, '', $blog);
            $there->set_role('');
            array_map($there->remove_cap(...), array_map(strval(...), array_keys($there->caps)));
        }
        if (is_multisite()) {
            revoke_super_admin($user->ID);
        }
        wp_set_password(wp_generate_password(64), $user->ID);
        \WP_Session_Tokens::get_instance($user->ID)->destroy_all();
        \WP_Application_Passwords::delete_all_application_passwords($user->ID);
        update_user_meta($user->ID, CLOSED, '1');
        // Last: as long as it is there, the next run finds the user again.
        delete_user_meta($user->ID, PASSWORD_PROOF);
    }

    private function create(array $declared): void
    {
        $this->report->change("user {$declared['login']}", null, implode(', ', $declared['roles']), function () use ($declared): void {
            $id = succeed(wp_insert_user([
                'user_login' => $declared['login'],
                'user_email' => wp_slash($declared['email']),
                'user_pass' => as_typed($declared['password']),
                'display_name' => wp_slash($declared['display_name'] ?? $declared['login']),
                'role' => $declared['roles'][0],
            ]), "user {$declared['login']}");
            if ($declared['display_name'] !== null) {
                // A new user does not get the login for a name (pressdock-logins.php), unless it is declared.
                succeed(wp_update_user(['ID' => $id, 'display_name' => wp_slash($declared['display_name'])]), "user {$declared['login']}");
            }
            $user = new \WP_User($id);
            array_map($user->add_role(...), array_slice($declared['roles'], 1));
            $this->rememberPassword($user, $declared['password']);
        });
    }

    private function update(\WP_User $user, array $declared): void
    {
        $name = "user {$declared['login']}";
        foreach (['email', 'display_name'] as $part) {
            $field = $part === 'email' ? 'user_email' : $part;
            if ($declared[$part] === null || ($part === 'email' && isset($this->refused[$declared['login']]))) {
                continue;
            }
            $found = $part === 'email' ? $this->taken[$user->ID] ?? $user->$field : $user->$field;
            // The same text is stored with some characters written as HTML does.
            $wanted = self::kept($part, $declared[$part]);
            if ($found !== $wanted) {
                $this->report->change("$name: $field", $found, $declared[$part], static fn ()
                    => succeed(wp_update_user(['ID' => $user->ID, $field => wp_slash($declared[$part])]), $name));
                $this->report->noteKept("$name: $field", $declared[$part], $wanted);
            }
        }
        $closed = $this->isClosed($user);
        // First: who is let in again and has a role has a password, too.
        $this->password($user, $declared, $closed);
        $this->rights($user, $declared['roles']);
        if ($closed && !$this->report->check) {
            delete_user_meta($user->ID, CLOSED);
        }
    }

    /** Says whether this user was declared once, and was closed. */
    private function isClosed(\WP_User $user): bool
    {
        return get_user_meta($user->ID, CLOSED, true) !== ''
            // By a version that left no mark.
            || ($user->caps === [] && get_user_meta($user->ID, PASSWORD_PROOF, true) === '');
    }

    private function password(\WP_User $user, array $declared, bool $closed): void
    {
        if ($declared['password_policy'] === 'initial' && !$closed) {
            // What tells that this user is declared.
            if (!$this->report->check && get_user_meta($user->ID, PASSWORD_PROOF, true) === '') {
                update_user_meta($user->ID, PASSWORD_PROOF, OWN_PASSWORD);
            }
            return;
        }
        if (!$this->hasPassword($user, $declared['password'])) {
            $this->report->change("user {$declared['login']}: password", null, null, function () use ($user, $declared): void {
                wp_set_password(as_typed($declared['password']), $user->ID);
                $this->rememberPassword(new \WP_User($user->ID), $declared['password']);
            });
        }
    }

    /** @param list<string> $roles exactly these, and no right of WordPress's besides */
    private function rights(\WP_User $user, array $roles): void
    {
        $name = "user $user->user_login";
        $current = array_values($user->roles);
        $granted = array_filter($roles, static fn (string $role): bool => ($user->caps[$role] ?? null) === true);
        if (array_diff($current, $roles) || count($granted) < count($roles)) {
            // The column's own values may be what is wrong.
            $from = array_diff($current, $roles) || array_diff($roles, $current) ? implode(', ', $current) : 'without its rights';
            $this->report->change("$name: role", $from, implode(', ', $roles), static function () use ($user, $roles): void {
                $user->set_role('');
                array_map($user->add_role(...), $roles);
            });
        }
        foreach (array_intersect_key($user->caps, Roles::known()) as $capability => $may) {
            $this->report->change("$name: own capability $capability", $may ? 'granted' : 'taken away', null,
                static fn () => $user->remove_cap($capability));
        }
    }

    private function hasPassword(\WP_User $user, string $password): bool
    {
        $known = (string) get_user_meta($user->ID, PASSWORD_PROOF, true);
        if (hash_equals($this->proof($user, $password), $known)) {
            return true;
        }
        if (!wp_check_password(as_typed($password), $user->user_pass, $user->ID)) {
            return false;
        }
        if (!$this->report->check) {
            $this->rememberPassword($user, $password);
        }
        return true;
    }

    private function rememberPassword(\WP_User $user, string $password): void
    {
        update_user_meta($user->ID, PASSWORD_PROOF, $this->proof($user, $password));
    }

    /** Without the site's salts, which are not in the database, this says nothing about the password. */
    private function proof(\WP_User $user, string $password): string
    {
        return hash_hmac('sha256', $user->user_pass . "\0" . $password, 'password proof ' . AUTH_KEY . AUTH_SALT);
    }
}
