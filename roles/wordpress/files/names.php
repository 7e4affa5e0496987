<?php
/**
 * Part of the reconciler: what strangers are shown in place of logins (pressdock-logins.php, which makes these names for new users).
 */

declare(strict_types=1);

namespace Pressdock;

/** The names in addresses and the display names of all users, declared or not: made of their logins, or not. */
final class PublicNames
{
    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
    }

    public function reconcile(): void
    {
        $names = PRESSDOCK_HIDE_LOGINS ? $this->neutral() : $this->original();
        $this->change('name of users in addresses', 'user_nicename', $names);
        $names = PRESSDOCK_HIDE_LOGINS ? $this->neutralDisplay() : $this->originalDisplay($names);
        $this->change('display name of users', 'display_name', $names);
    }

    /** @return array<int, array{string, string}> the former name and the other one, by the user's number */
    private function neutral(): array
    {
        $names = [];
        foreach ($this->users("user_nicename NOT REGEXP '^author-[0-9a-f]{10}$'") as $user) {
            if (is_made_of_login($user->user_nicename, $user->user_login)) {
                $names[(int) $user->ID] = [$user->user_nicename, neutral_nicename($user->user_login)];
            }
        }
        return $names;
    }

    /** @return array<int, array{string, string}> */
    private function neutralDisplay(): array
    {
        $names = [];
        // A declared name is the operator's choice, whatever it is.
        $chosen = array_column(array_filter($this->declared->users, static fn (array $user): bool => $user['display_name'] !== null), 'login');
        $chosen = array_map(strtolower(...), $chosen);
        // In whatever case: the login is known then as well.
        foreach ($this->users('LOWER(display_name) = LOWER(user_login)') as $user) {
            if (!in_array(strtolower($user->user_login), $chosen, true)) {
                $names[(int) $user->ID] = [$user->display_name, neutral_display_name(neutral_nicename($user->user_login))];
            }
        }
        return $names;
    }

    /** @return array<int, array{string, string}> */
    private function original(): array
    {
        $names = [];
        foreach ($this->users("user_nicename REGEXP '^author-[0-9a-f]{10}$'") as $user) {
            $names[(int) $user->ID] = [$user->user_nicename, sanitize_title(mb_substr($user->user_login, 0, 50))];
        }
        return $names;
    }

    /**
     * @param array<int, array{string, string}> $changed names in addresses that go back
     * @return array<int, array{string, string}>
     */
    private function originalDisplay(array $changed): array
    {
        $names = [];
        foreach ($changed as $id => [$nicename]) {
            $user = get_userdata($id);
            if ($user && $user->display_name === neutral_display_name($nicename)) {
                $names[$id] = [$user->display_name, $user->user_login];
            }
        }
        return $names;
    }

    /** @return list<object{ID: string, user_login: string, user_nicename: string, display_name: string}> */
    private function users(string $condition): array
    {
        global $wpdb;
        return $wpdb->get_results("SELECT ID, user_login, user_nicename, display_name FROM $wpdb->users WHERE $condition");
    }

    /**
     * Makes one change of all: a site may have thousands of users.
     *
     * @param array<int, array{string, string}> $names
     */
    private function change(string $what, string $column, array $names): void
    {
        if (!$names) {
            return;
        }
        [$from, $to] = $names[array_key_first($names)];
        $this->report->change($what . (count($names) > 1 ? ' (' . count($names) . ')' : ''), $from, $to, static function () use ($column, $names): void {
            global $wpdb;
            foreach ($names as $id => [, $name]) {
                $wpdb->update($wpdb->users, [$column => $name], ['ID' => $id]);
                clean_user_cache($id);
            }
        });
    }
}
