<?php
/**
 * The active theme and the active plugins. reconcile.php loads this file and decides when its steps happen.
 */

declare(strict_types=1);

namespace Pressdock;

/** The active theme, and exactly the declared plugins active. Files are the business of Content and Packages. */
final class Extensions
{
    /** Network option: main files of the plugins that are declared, and active in the whole network. */
    private const NETWORK_PLUGINS = 'pressdock_network_plugins';

    /** @var list<string> */
    private array $activating = [];

    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
    }

    public function reconcile(): void
    {
        $this->report->attempt($this->theme(...));
        $this->plugins();
    }

    private function theme(): void
    {
        search_theme_directories(true);
        $slug = $this->declared->theme;
        $theme = wp_get_theme($slug, self::absolute($this->root($slug)));
        $errors = $theme->errors();
        if ($errors !== false && $this->report->check && $this->declared->packaged('theme', $slug)) {
            // In a check, the files have not been installed yet.
            $this->report->change('theme', get_option('stylesheet'), $slug, static fn () => null);
            return;
        }
        if ($errors !== false && $this->report->refused("theme $slug")) {
            return;
        }
        if ($errors !== false) {
            throw new Problem("theme $slug: " . words($errors->get_error_message()));
        }
        $active = get_option('stylesheet');
        $roots = ['stylesheet_root' => $this->root($slug), 'template_root' => $this->root($theme->get_template())];
        // Without these options WordPress searches; where there are two of a name, it finds the volume's.
        $used = [
            'stylesheet_root' => get_option('stylesheet_root') ?: get_raw_theme_root($slug, true),
            'template_root' => get_option('template_root') ?: get_raw_theme_root($theme->get_template(), true),
        ];
        $complete = $active === $slug
            && get_option('template') === $theme->get_template()
            && $used === $roots
            && is_file(get_stylesheet_directory() . '/style.css')
            && is_dir(get_template_directory());
        if (!$complete) {
            $elsewhere = $active === $slug && $used !== $roots;
            $from = $elsewhere ? "$active of " . implode(', ', array_unique(array_diff_assoc($used, $roots))) : $active;
            $this->report->change('theme', $from, $slug, static function () use ($slug, $roots): void {
                // A wrong one would hide the theme from WordPress's own switch.
                array_map(delete_option(...), array_keys($roots));
                switch_theme($slug);
                array_map(update_option(...), array_keys($roots), $roots);
            });
        }
    }

    /** Returns where a theme is to be served from, as WordPress stores it: a declared package from the volume, the image's from there. */
    private function root(string $slug): string
    {
        $shipped = CORE . 'wp-content/themes';
        return !$this->declared->packaged('theme', $slug) && is_file("$shipped/$slug/style.css") ? $shipped : '/themes';
    }

    private static function absolute(string $root): string
    {
        return $root === '/themes' ? WP_CONTENT_DIR . $root : $root;
    }

    private function plugins(): void
    {
        $local = $network = [];
        foreach ($this->declared->plugins as $slug) {
            $this->report->attempt(function () use ($slug, &$local, &$network): void {
                $file = $this->mainFile($slug);
                if ($file === null && !$this->report->check && !$this->report->refused("plugin $slug")) {
                    throw new Problem("plugin $slug: no file in its directory has a plugin's header");
                }
                // In a check, the files may not have been copied from the image yet.
                if ($file !== null || $this->report->check) {
                    $file ??= "$slug/";
                    // A site that is still to become a network gets those of networks afterwards.
                    if ($this->declared->multisite === null || !is_network_only_plugin($file)) {
                        $local[$slug] = $file;
                    } elseif (is_multisite()) {
                        $network[$slug] = $file;
                    }
                }
            });
        }
        $active = array_values((array) get_option('active_plugins', []));
        foreach (array_diff($active, $local) as $file) {
            // Silently: its code may be broken or unwanted, so it is not loaded in order to say goodbye.
            $this->report->change("plugin $file", 'active', 'inactive', static fn () => deactivate_plugins($file, true, false));
        }
        $wanted = array_diff($local, $active) + $this->networkPlugins($network);
        $this->activating = array_keys($wanted);
        if (!$wanted || $this->report->check) {
            array_map(fn (string $slug) => $this->report->change("plugin $slug", 'inactive', 'active', static fn () => null), $this->activating);
            return;
        }
        $done = (new Activation($this->report, $this->declared))->activate($wanted);
        foreach (array_intersect($this->activating, $done) as $slug) {
            $this->report->change("plugin $slug", 'inactive', 'active', static fn () => null);
        }
    }

    /**
     * Plugins that WordPress has active in a whole network or not at all. Which of them were declared is remembered: others are the
     * network administrator's.
     *
     * @param array<string, string> $declared
     * @return array<string, string> those that are to be activated
     */
    private function networkPlugins(array $declared): array
    {
        if (!is_multisite()) {
            return [];
        }
        $active = array_keys((array) get_network_option(NETWORK_ID, 'active_sitewide_plugins', []));
        $remembered = (array) get_network_option(NETWORK_ID, self::NETWORK_PLUGINS, []);
        foreach (array_intersect(array_diff($remembered, $declared), $active) as $file) {
            $this->report->change("plugin $file", 'active in the network', 'inactive', static fn () => deactivate_plugins($file, true, true));
        }
        if (!$this->report->check && $remembered !== array_values($declared)) {
            update_network_option(NETWORK_ID, self::NETWORK_PLUGINS, array_values($declared));
        }
        return array_diff($declared, $active);
    }

    /** Says whether a plugin is to be activated, which a check does not do. */
    public function activating(): bool
    {
        return $this->report->check && $this->activating !== [];
    }

    /** Lets the declared plugins make their roles, which they do when they are activated, or when WordPress runs with them. */
    public function makeRoles(): void
    {
        $files = array_filter(array_combine($this->declared->plugins, array_map($this->mainFile(...), $this->declared->plugins)));
        if ($files && !$this->report->check) {
            (new Activation($this->report, $this->declared))->activate($files, true);
        }
    }

    /** Returns the name that WordPress knows a plugin by, such as akismet/akismet.php or hello.php. */
    private function mainFile(string $slug): ?string
    {
        foreach (array_keys(get_plugins()) as $file) {
            if (dirname($file) === $slug || $file === "$slug.php") {
                return $file;
            }
        }
        return null;
    }
}

/**
 * Activates plugins as WordPress's dashboard does: in processes of their own, with what is active already, so that nothing that a plugin
 * does ends more than its own activation. Foreign code is judged as WordPress judges it: a fatal error is a refusal, all else is noted.
 */
final class Activation
{
    /** Seconds that one plugin may take. */
    private const PATIENCE = 300;
    private const PROGRAM = __DIR__ . '/activate.php';

    public function __construct(private readonly Report $report, private readonly Declaration $declared)
    {
    }

    /**
     * @param array<string, string> $plugins main files by slugs
     * @param bool $again also those that are active
     * @return list<string> slugs of those that are active now; what became of the others is noted as a refusal
     */
    public function activate(array $plugins, bool $again = false): array
    {
        $done = $reasons = [];
        do {
            $before = count($done);
            $reasons = [];
            for ($left = array_diff_key($plugins, $done); $left; $left = array_diff_key($left, $done, $reasons)) {
                $answers = $this->run($left, $again, false);
                if ($answers === []) {
                    // What is active already does not let WordPress begin: without it.
                    $answers = $this->run(array_slice($left, 0, 1, true), $again, true) ?: [array_key_first($left) => []];
                }
                foreach ($answers as $slug => $answer) {
                    // Some end WordPress when they are active, to show a page of their own.
                    $this->isActive($plugins[$slug]) ? $done[$slug] = $answer : $reasons[$slug] = $answer['refused'] ?? 'it ended without a word';
                }
            }
            // One that needs another one may have come before it.
        } while ($reasons && count($done) > $before);
        foreach ($reasons as $slug => $reason) {
            $this->report->refuse("plugin $slug: $reason");
        }
        foreach ($done as $slug => $answer) {
            foreach ($answer['notes'] ?? [] as $note) {
                $this->report->note("plugin $slug: $note");
            }
        }
        return array_keys($done);
    }

    /** Asks the database: another process has changed it. */
    private function isActive(string $file): bool
    {
        wp_cache_flush_runtime();
        return is_plugin_active($file);
    }

    /** @return array<string, array{refused?: string, notes?: list<string>}> what became of the plugins, up to the first that was refused */
    private function run(array $plugins, bool $again, bool $alone): array
    {
        $owner = get_user_by('login', $this->declared->users[0]['login']);
        $output = tmpfile();
        $process = proc_open([PHP_BINARY, self::PROGRAM], [
            ['pipe', 'r'], ['file', '/dev/null', 'w'], $output, ['pipe', 'w'],
        ], $pipes, null, ['PHP_DISABLED_FUNCTIONS' => (string) getenv('PRESSDOCK_DISABLED_FUNCTIONS')] + getenv());
        fwrite($pipes[0], json_encode([
            'plugins' => $plugins, 'again' => $again, 'alone' => $alone, 'user' => $owner ? $owner->ID : 0, 'host' => $_SERVER['HTTP_HOST'],
            'cached' => wp_using_ext_object_cache() && method_exists($GLOBALS['wp_object_cache'], 'stored'),
        ], JSON_THROW_ON_ERROR));
        fclose($pipes[0]);
        $answers = [];
        $end = time() + self::PATIENCE;
        $text = '';
        stream_set_blocking($pipes[3], false);
        while (!feof($pipes[3]) && time() < $end) {
            $ready = [$pipes[3]];
            $none = null;
            stream_select($ready, $none, $none, 1);
            $text .= (string) fread($pipes[3], 65536);
            while (($length = strpos($text, "\n")) !== false) {
                $answer = json_decode(substr($text, 0, $length), true, 512, JSON_THROW_ON_ERROR);
                $text = substr($text, $length + 1);
                $answers[$answer['plugin']] = $answer;
                $end = time() + self::PATIENCE;
            }
        }
        if (time() >= $end) {
            proc_terminate($process, SIGKILL);
            $slug = array_key_first(array_diff_key($plugins, $answers));
            $answers[$slug] = ['refused' => 'its activation takes more than ' . self::PATIENCE . ' seconds'];
        }
        proc_close($process);
        // Roles, options: another process has changed them.
        wp_cache_flush_runtime();
        $GLOBALS['wp_roles'] = new \WP_Roles();
        return $answers;
    }
}
