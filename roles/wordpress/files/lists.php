<?php
/**
 * Lists that WordPress keeps as text (serialised), and that are none: cut off, overwritten, or of another form. WordPress takes such a text
 * for the value, and what works with it fails or does nothing; with some of them it cannot be loaded at all.
 * reconcile.php loads this file and has it repair them before it loads WordPress.
 */

declare(strict_types=1);

namespace Pressdock;

final class StoredLists
{
    /** Options by the form that they have; in LIKE's language. */
    private const OPTIONS = [
        'active_plugins' => 'texts', '%user_roles' => 'roles', 'cron' => 'lists', 'sidebars_widgets' => 'lists', 'rewrite_rules' => 'texts',
        'sticky_posts' => 'any', 'uninstall_plugins' => 'any', 'recently_activated' => 'any', 'nav_menu_options' => 'any',
        'auto_update_plugins' => 'texts', 'auto_update_themes' => 'texts', 'widget\_%' => 'any', 'theme\_mods\_%' => 'any',
    ];
    private const OF_NETWORKS = ['active_sitewide_plugins' => 'any', 'site_admins' => 'texts', 'allowedthemes' => 'any',
        'pressdock_network_plugins' => 'texts'];
    /** What WordPress makes anew from what else there is: nobody misses the old text. */
    private const DERIVED = ['rewrite_rules', 'recently_activated'];
    /** Before the name of an option that keeps what was found. */
    private const KEPT = 'pressdock_corrupt_';

    public function __construct(private readonly Report $report, private readonly \mysqli $connection, private readonly string $prefix)
    {
    }

    /** Repairs the site's lists, and those of the sites of its network. A check has WordPress take them for repaired. */
    public function repair(bool $network): void
    {
        $this->options($this->prefix, '', true);
        if (!$network) {
            return;
        }
        $found = $this->rows("SELECT meta_key, meta_value FROM `{$this->prefix}sitemeta` WHERE site_id = " . NETWORK_ID
            . " AND meta_key IN ('" . implode("', '", array_keys(self::OF_NETWORKS)) . "')");
        foreach ($found as [$name, $text]) {
            if (!self::fits($text, self::OF_NETWORKS[$name])) {
                // What is left out is written as it is declared.
                $this->report->change("network option $name", 'no list', 'made anew', fn () => $this->connection->query(
                    "DELETE FROM `{$this->prefix}sitemeta` WHERE meta_key = '$name' AND site_id = " . NETWORK_ID));
                $this->pretend("pre_site_option_$name");
            }
        }
        $sites = $this->rows("SELECT blog_id FROM `{$this->prefix}blogs` WHERE site_id = " . NETWORK_ID . ' AND blog_id <> ' . MAIN_SITE);
        $tables = array_column($this->rows('SHOW TABLES'), 0);
        foreach ($sites as [$id]) {
            if (in_array("{$this->prefix}{$id}_options", $tables, true)) {
                $this->options("{$this->prefix}{$id}_", "site $id of the network: ", false);
            }
        }
    }

    private function options(string $prefix, string $whose, bool $main): void
    {
        $conditions = array_map(static fn (string $name): string => "option_name LIKE '$name'", array_keys(self::OPTIONS));
        $found = $this->rows("SELECT option_name, option_value FROM `{$prefix}options` WHERE " . implode(' OR ', $conditions)
            . ' ORDER BY option_name');
        foreach ($found as [$name, $text]) {
            $form = $name === "{$prefix}user_roles" ? 'roles' : $this->form($name);
            if ($form === null || self::fits($text, $form)) {
                continue;
            }
            $derived = in_array($name, self::DERIVED, true);
            $this->report->change("{$whose}option $name", 'no list',
                'made anew' . ($derived ? '' : '; what it held is kept in option ' . self::kept($name)),
                fn () => $this->replace($prefix, $name, $derived));
            if ($main || $form === 'roles') {
                $this->pretend("pre_option_$name");
            }
        }
    }

    private function form(string $name): ?string
    {
        return self::OPTIONS[$name] ?? match (true) {
            str_starts_with($name, 'widget_') => self::OPTIONS['widget\_%'],
            str_starts_with($name, 'theme_mods_') => self::OPTIONS['theme\_mods\_%'],
            // Another option, whose name only ends like that of the roles.
            default => null,
        };
    }

    private static function kept(string $name): string
    {
        return substr(self::KEPT . $name, 0, 191);
    }

    private function replace(string $prefix, string $name, bool $derived): void
    {
        [$table, $old, $kept] = ["`{$prefix}options`", $this->quoted($name), $this->quoted(self::kept($name))];
        $this->connection->begin_transaction();
        if (!$derived) {
            $this->connection->query("DELETE FROM $table WHERE option_name = $kept");
            $this->connection->query("INSERT INTO $table (option_name, option_value, autoload)"
                . " SELECT $kept, option_value, 'off' FROM $table WHERE option_name = $old");
        }
        if ($name === 'active_plugins') {
            $this->connection->query("UPDATE $table SET option_value = 'a:0:{}' WHERE option_name = $old");
        } else {
            $this->connection->query("DELETE FROM $table WHERE option_name = $old");
        }
        $this->connection->commit();
    }

    /** Says whether a text is a list of a form. An empty one is none of plugins or roles, and else WordPress's word for nothing. */
    private static function fits(string $text, string $form): bool
    {
        if ($text === '') {
            return $form === 'any' || $form === 'lists' || $form === 'texts';
        }
        $value = @unserialize($text, ['allowed_classes' => false]);
        return is_array($value) && match ($form) {
            'texts' => array_filter($value, is_string(...)) === $value,
            'lists' => array_filter($value, static fn (mixed $item): bool => is_array($item) || is_int($item) || $item === null) === $value,
            'roles' => $value !== [] && array_filter($value, static fn (mixed $role): bool => is_array($role)
                && is_string($role['name'] ?? null) && is_array($role['capabilities'] ?? null)) === $value,
            default => true,
        };
    }

    /** In a check, WordPress finds an empty list where a broken one is stored. */
    private function pretend(string $filter): void
    {
        if ($this->report->check) {
            global $wp_filter;
            $wp_filter[$filter][10]['pressdock'] = ['function' => static fn (): array => [], 'accepted_args' => 0];
        }
    }

    private function quoted(string $text): string
    {
        return "'" . $this->connection->real_escape_string($text) . "'";
    }

    /** @return list<list<string>> */
    private function rows(string $query): array
    {
        return array_map(static fn (array $row): array => array_map(strval(...), $row), $this->connection->query($query)->fetch_all());
    }
}
