<?php
/**
 * Brings one site into its declared state: reads a JSON document on stdin, prints a JSON report on stdout.
 *
 *     in:  {"check": false, "title": ..., "url": ..., "locale": ..., "timezone": ..., "permalinks": ...,
 *           "users": [{"login": ..., "email": ..., "roles": [...], "password": ..., "password_policy": "enforced", "display_name": null},
 *           ...], "role_capabilities": {role: {capability: bool}},
 *           "theme": ..., "plugins": [slug, ...], "object_cache": "builtin", "options": {name: value, ...}, "directory_url": ...,
 *           "must_use": {"files": {name: base64, ...}, "loaded": [name, ...]},
 *           "packages": [{"kind": "plugin", "slug": ..., "version": ..., "from": ..., "sha256": ..., "digest": ...}, ...],
 *           "multisite": null, or {"type": "subdirectory", "upload_limit": bytes, "sites": {name: title, ...}},
 *           "look": false}
 *     out: {"changed": true, "installed": false, "wordpress": "6.8",
 *           "changes": [{"what": ..., "from": ..., "to": ..., "values": number of places, if there are several}, ...],
 *           "missing": [digest, ...], "foreign": ["plugin x", ...], "notes": [what plugins said when they were activated, ...],
 *           "refused": [what could not be done, ...], "worth_a_look": [sentence, ...] (with "look")}
 *
 * "installed" says whether this run installed the site; with "check", "changes" are predictions and nothing is
 * written. With "missing" nothing was done: the packages with these digests have to be delivered first (see
 * packages.php). The first user becomes the owner of a new site. Passwords are never printed. What is refused does not hold up the rest:
 * all of it is told at the end, in the report and on stderr, a line each, with the status 1. Anything unexpected, PHP warnings of our own and
 * of WordPress included, ends the run with a message on stderr alone.
 *
 * It may be killed at any moment and run again: a new site is made under another table prefix and appears at once
 * when its tables are renamed; every later step brings one declared thing from whatever it is to what it shall be.
 *
 * Plugins, themes and the site's own must-use plugins are not loaded: a broken one must not prevent the repair. They are activated in
 * processes of their own (extensions.php). Nor is an object cache that is not ours, and ours only passes on what is written (see cache.php).
 *
 * Another address is more than two options: address.php.
 *
 * A network of sites is more than one site: network.php. A site that is to become one is brought as far as that; the rest
 * is done by a second process, which WordPress is loaded into as a network.
 */

declare(strict_types=1);

namespace Pressdock;

const CORE = '/usr/share/wordpress/';
const SITE_FILE = '/run/secrets/site.php';
/** Before the prefix of the tables of a site that is being made. */
const STAGING = 'new_';
/** Seconds to wait for the database, and for another run on the same site. */
const PATIENCE = 30;

/** A problem that the operator can understand and solve; its message is all that is shown. */
final class Problem extends \RuntimeException
{
}

/** What was (or in check mode: would be) changed, in order. */
final class Report
{
    /** @var list<array{what: string, from: mixed, to: mixed, values?: int}> */
    public array $changes = [];
    /** @var list<string> */
    public array $refusals = [];
    /** @var list<string> */
    public array $notes = [];

    public function __construct(public readonly bool $check)
    {
    }

    /** Notes a change and makes it, unless this is a check. */
    public function change(string $what, mixed $from, mixed $to, callable $make): void
    {
        $this->changes[] = ['what' => $what, 'from' => $from, 'to' => $to];
        if (!$this->check) {
            $number = array_key_last($this->changes);
            try {
                $make();
            } catch (Problem $problem) {
                array_splice($this->changes, $number, 1);
                throw $problem;
            }
        }
    }

    /** Goes on after a problem of one thing. */
    public function attempt(callable $step): void
    {
        try {
            $step();
        } catch (Problem $problem) {
            $this->refuse($problem->getMessage());
        }
    }

    public function refuse(string $why): void
    {
        $this->refusals[] = $why;
    }

    /** Says whether something was refused, by the beginning of its name. */
    public function refused(string $what): bool
    {
        return array_filter($this->refusals, static fn (string $why): bool => preg_match('/^' . preg_quote($what, '/') . '[ :]/', $why) === 1) !== [];
    }

    public function note(string $what): void
    {
        $this->notes[] = $what;
    }

    /** Notes that WordPress makes something else of a declared value; that it writes a text as HTML does is not that. */
    public function noteKept(string $what, mixed $declared, mixed $kept): void
    {
        $same = static fn (mixed $value): mixed => match (true) {
            // What the database knows of it.
            $value === null, $value === false, $value === '' => '0',
            is_scalar($value) => html_entity_decode((string) $value, ENT_QUOTES | ENT_HTML5),
            default => $value,
        };
        if ($same($declared) !== $same($kept)) {
            $this->note("$what: WordPress keeps " . json_encode($kept, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES)
                . ' of what is declared: declare that');
        }
    }

    /** Notes the same change in a number of places. */
    public function count(string $what, mixed $from, mixed $to, int $values): void
    {
        $this->changes[] = ['what' => $what, 'from' => $from, 'to' => $to, 'values' => $values];
    }
}

/** The declared state, validated as far as this is possible without WordPress. */
final class Declaration
{
    public readonly bool $check;
    public readonly string $title;
    public readonly string $url;
    public readonly string $locale;
    public readonly string $timezone;
    public readonly string $permalinks;
    /** @var list<array{login: string, email: string, roles: list<string>, password: string, password_policy: string, display_name: ?string}> */
    public readonly array $users;
    /** @var array<string, array<string, bool>> what roles may, in place of what WordPress lets them */
    public readonly array $role_capabilities;
    public readonly string $theme;
    /** @var list<string> */
    public readonly array $plugins;
    /** @var list<array{kind: string, slug: string, version: string, from: string, sha256: string, digest: string}> */
    public readonly array $packages;
    /** @var array{files: array<string, string>, loaded: list<string>} must-use plugins: contents in base64, and what is loaded */
    public readonly array $must_use;
    /** Server in place of WordPress's own directory, or empty. */
    public readonly string $directory_url;
    /** @var 'builtin'|'plugin'|'none' */
    public readonly string $object_cache;
    /** @var array<string, mixed> */
    public readonly array $options;
    /** @var ?array{type: string, upload_limit: int, sites: array<string, string>} titles of the sub-sites by name */
    public readonly ?array $multisite;
    /** Whether to list what widens access, although nothing declares otherwise. */
    public readonly bool $look;

    /** Options that other fields declare; two sources for one value would overwrite each other on every run. */
    public const DECLARED_ELSEWHERE = [
        'blogname' => 'title', 'siteurl' => 'domain', 'home' => 'domain', 'WPLANG' => 'locale',
        'timezone_string' => 'timezone', 'gmt_offset' => 'timezone', 'permalink_structure' => 'permalinks',
        'admin_email' => "the administrator's email", 'template' => 'theme', 'stylesheet' => 'theme',
        'template_root' => 'theme', 'stylesheet_root' => 'theme',
        'active_plugins' => 'plugins', 'db_version' => 'the image', 'rewrite_rules' => 'permalinks',
    ];

    public function __construct(string $json)
    {
        try {
            $fields = json_decode($json, true, 32, JSON_THROW_ON_ERROR);
            foreach (array_column((new \ReflectionClass($this))->getProperties(), 'name') as $name) {
                if (!is_array($fields) || !array_key_exists($name, $fields)) {
                    throw new Problem("the declaration lacks \"$name\"");
                }
                $this->$name = $fields[$name];
            }
        } catch (\JsonException | \TypeError $error) {
            throw new Problem('the declaration is not what is expected: ' . $error->getMessage());
        }
        $this->validate();
    }

    /** Says whether the files of a plugin or a theme are declared, not only its use. */
    public function packaged(string $kind, string $slug): bool
    {
        foreach ($this->packages as $package) {
            if ($package['kind'] === $kind && $package['slug'] === $slug) {
                return true;
            }
        }
        return false;
    }

    /** Says whether a plugin or a theme is used whose files are not declared. */
    public function usesOwn(string $kind, string $slug): bool
    {
        return !$this->packaged($kind, $slug) && ($kind === 'plugin' ? in_array($slug, $this->plugins, true) : $slug === $this->theme);
    }

    private function validate(): void
    {
        $this->demand(trim($this->title) !== '', 'title', 'must not be empty');
        $this->demand($this->users !== [], 'users', 'must have at least the administrator');
        if (!in_array($this->timezone, timezone_identifiers_list(\DateTimeZone::ALL_WITH_BC), true)) {
            $this->demand(false, 'timezone', "\"$this->timezone\" is not a time zone; write for instance Europe/Berlin");
        }
        $this->demand(
            $this->permalinks === '' || preg_match('#^/.*%(postname|post_id)%#', $this->permalinks) === 1,
            'permalinks',
            "\"$this->permalinks\" must be empty, or begin with a slash and contain %postname% or %post_id%",
        );
        $this->demand(
            in_array($this->object_cache, ['builtin', 'plugin', 'none'], true),
            'object_cache',
            "\"$this->object_cache\" must be builtin, plugin or none",
        );
        $seen = [];
        foreach ($this->users as $user) {
            $login = $user['login'];
            $this->demand(
                preg_match('/^[A-Za-z0-9._@-]{1,60}$/D', $login) === 1,
                'users',
                "\"$login\" is not a login: use up to 60 letters, digits and . _ @ -",
            );
            $this->demand(!isset($seen[strtolower($login)]), 'users', "\"$login\" is declared twice");
            $this->demand($user['roles'] !== [] && array_is_list($user['roles']), "user $login", 'needs a role');
            $this->demand(in_array($user['password_policy'], ['enforced', 'initial'], true), "user $login",
                'the password_policy must be enforced or initial');
            $seen[strtolower($login)] = true;
            $this->demand(
                filter_var($user['email'], FILTER_VALIDATE_EMAIL) !== false,
                "user $login",
                "\"{$user['email']}\" is not an e-mail address",
            );
            // Spaces at the ends do not count: WordPress removes them from every password that it is given.
            $this->demand(trim($user['password']) !== '', "user $login", 'the password must not be empty');
            $this->demand(strlen($user['password']) <= 4096, "user $login", 'the password is longer than 4096 bytes');
        }
        foreach ($this->options as $name => $value) {
            $other = self::DECLARED_ELSEWHERE[$name] ?? null;
            $this->demand($other === null, "option $name", "is not declared as an option, but by $other");
        }
    }

    private function demand(bool $condition, string $field, string $rule): void
    {
        if (!$condition) {
            throw new Problem("$field: $rule");
        }
    }
}

/** The site's wp-content directory: what WordPress expects in it, and what the image contributes. */
final class Content
{
    /** Remembers, beside the files, which database they belong to. */
    private const BELONGS_TO = '.pressdock.json';
    private const DIRECTORIES = ['languages', 'mu-plugins', 'plugins', 'themes', 'upgrade', 'uploads'];

    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
    }

    /** Finds out what is declared but neither in the image nor on the volume, before anything is changed. */
    public function demandDeclared(): void
    {
        $theme = $this->declared->theme;
        if (!$this->declared->packaged('theme', $theme)
            && !is_file(WP_CONTENT_DIR . "/themes/$theme/style.css") && !is_file(CORE . "wp-content/themes/$theme/style.css")) {
            $available = array_unique([...$this->names('themes', CORE . 'wp-content'), ...$this->names('themes', WP_CONTENT_DIR)]);
            throw new Problem("theme: \"$theme\" is neither in the image nor on the site's volume; there are: "
                . implode(', ', $available));
        }
        foreach ($this->ownPlugins() as $slug) {
            if ($this->plugin($slug, WP_CONTENT_DIR) === null && $this->plugin($slug, CORE . 'wp-content') === null) {
                $available = array_unique([...$this->names('plugins', CORE . 'wp-content'), ...$this->names('plugins', WP_CONTENT_DIR)]);
                throw new Problem("plugins: \"$slug\" is neither in the image nor on the site's volume; there are: "
                    . implode(', ', $available));
            }
        }
        $locale = $this->declared->locale;
        if ($locale !== 'en_US' && !is_file(CORE . "wp-content/languages/$locale.mo") && !is_file(WP_CONTENT_DIR . "/languages/$locale.mo")) {
            throw new Problem("locale: there are no translations for \"$locale\" in the image or on the site's volume");
        }
    }

    /** Refuses a new site where the files belong to one in another database: a changed name must not hide it. */
    public function demandNoOtherSite(string $prefix): void
    {
        $file = WP_CONTENT_DIR . '/' . self::BELONGS_TO;
        $other = is_file($file) ? json_decode((string) file_get_contents($file), true) : null;
        if (is_array($other) && $other !== $this->site($prefix)) {
            throw new Problem("the site's files belong to database {$other['database']}, table prefix \"{$other['table_prefix']}\"; declared are "
                . DB_NAME . ", \"$prefix\": this would start an empty site (to have one, remove $file)");
        }
    }

    public function rememberSite(string $prefix): void
    {
        $file = WP_CONTENT_DIR . '/' . self::BELONGS_TO;
        $content = json_encode($this->site($prefix)) . "\n";
        if (!is_file($file) || file_get_contents($file) !== $content) {
            file_put_contents("$file.new", $content);
            rename("$file.new", $file);
        }
    }

    /** @return array{database: string, table_prefix: string} */
    private function site(string $prefix): array
    {
        return ['database' => DB_NAME, 'table_prefix' => $prefix];
    }

    public function reconcile(): void
    {
        $this->directories();
        $this->languages();
        foreach ($this->ownPlugins() as $slug) {
            $this->shippedPlugin($slug);
        }
    }

    private function directories(): void
    {
        if (!is_writable(WP_CONTENT_DIR)) {
            throw new Problem(WP_CONTENT_DIR . ' is not a directory that user ' . posix_getpwuid(posix_geteuid())['name'] . ' can write');
        }
        foreach (self::DIRECTORIES as $name) {
            $path = WP_CONTENT_DIR . "/$name";
            if (!is_dir($path)) {
                $this->report->change("directory $name", null, '0755', static fn () => mkdir($path, 0755));
                continue;
            }
            $mode = fileperms($path) & 0777;
            // The web server, another user, reads here. More rights than that are the operator's choice.
            if (($mode & 0755) !== 0755 && fileowner($path) === posix_geteuid()) {
                $this->report->change(
                    "mode of directory $name",
                    sprintf('%04o', $mode),
                    sprintf('%04o', $mode | 0755),
                    static fn () => chmod($path, $mode | 0755),
                );
            }
        }
    }

    /** Copies core's translations where they are missing, older than the image's or changed. A newer one of WordPress's own stays. */
    private function languages(): void
    {
        foreach (['', 'admin-', 'admin-network-', 'continents-cities-'] as $part) {
            $name = $part . $this->declared->locale . '.mo';
            $source = CORE . "wp-content/languages/$name";
            $target = WP_CONTENT_DIR . "/languages/$name";
            if (!is_file($source)) {
                continue;
            }
            $version = is_file($target) ? filemtime($target) : null;
            $older = $version !== null && $version < filemtime($source);
            if ($version === null || $older || $this->isChangedTranslation($source, $target)) {
                $this->report->change(
                    "translation $name",
                    $version === null ? null : gmdate('Y-m-d', $version) . ($older ? '' : ' with other content'),
                    gmdate('Y-m-d', (int) filemtime($source)),
                    static function () use ($source, $target): void {
                        copy($source, "$target.new");
                        touch("$target.new", (int) filemtime($source));
                        rename("$target.new", $target);
                    },
                );
            }
        }
    }

    /** Says whether a file that is no older than the image's is still the image's translation, but with other content. */
    private function isChangedTranslation(string $source, string $target): bool
    {
        [$shipped, $found] = [(string) file_get_contents($source), (string) file_get_contents($target)];
        if ($found === $shipped) {
            return false;
        }
        // A copy keeps the time of the image's file. WordPress's updates are newer, and so is what their translators say of it.
        $revision = static fn (string $text): ?string => preg_match('/\bPO-Revision-Date: *(.+)/', $text, $match) ? $match[1] : null;
        return filemtime($source) === filemtime($target) || ($revision($shipped) !== null && $revision($shipped) === $revision($found));
    }

    /** Copies a plugin of the image's to where it is missing or damaged. Another version of it is the site's own: an update. */
    private function shippedPlugin(string $slug): void
    {
        $source = $this->plugin($slug, CORE . 'wp-content');
        $found = $this->plugin($slug, WP_CONTENT_DIR);
        if ($source === null) {
            return;
        }
        $from = null;
        if ($found !== null) {
            $version = plugin_version($found);
            // Without a header WordPress would not know it either.
            if (($version !== null && $version !== plugin_version($source)) || files_digest($found) === files_digest($source)) {
                return;
            }
            $from = $version === null ? 'something else' : "$version with other files";
        }
        $this->report->change("files of plugin $slug", $from, 'from the image', static function () use ($source): void {
            // Names that WordPress does not take for plugins, until the copy is complete and after it is replaced.
            $target = WP_CONTENT_DIR . '/plugins/' . basename($source);
            $partial = WP_CONTENT_DIR . '/upgrade/' . basename($target) . '.new';
            $gone = WP_CONTENT_DIR . '/upgrade/' . basename($target) . '.old';
            remove_tree($partial);
            copy_tree($source, $partial);
            remove_tree($gone);
            if (is_link($target) || file_exists($target)) {
                rename($target, $gone);
            }
            rename($partial, $target);
            remove_tree($gone);
        });
    }

    /** @return list<string> plugins that are declared without their files */
    private function ownPlugins(): array
    {
        return array_values(array_filter($this->declared->plugins, fn (string $slug): bool => $this->declared->usesOwn('plugin', $slug)));
    }

    /** Returns the path of a plugin's directory, or of its only file, below a wp-content directory. */
    private function plugin(string $slug, string $content): ?string
    {
        foreach (["$content/plugins/$slug", "$content/plugins/$slug.php"] as $path) {
            if (is_dir($path) ? (bool) glob("$path/*.php") : is_file($path)) {
                return $path;
            }
        }
        return null;
    }

    /** @return list<string> */
    private function names(string $kind, string $content): array
    {
        $names = [];
        foreach (glob("$content/$kind/*") ?: [] as $path) {
            if (is_dir($path)) {
                $names[] = basename($path);
            } elseif ($kind === 'plugins' && str_ends_with($path, '.php') && basename($path) !== 'index.php') {
                $names[] = basename($path, '.php');
            }
        }
        return $names;
    }
}

/** The database as seen without WordPress: is there a site, and the way a new one appears. */
final class Database
{
    public readonly \mysqli $connection;

    public function __construct(private readonly string $prefix)
    {
        $this->connection = $this->connect();
        $lock = 'pressdock ' . substr(DB_NAME, 0, 50);
        // A killed playbook does not stop the process that it started here: the next one must wait for it.
        if ($this->value("SELECT GET_LOCK('$lock', " . PATIENCE . ')') !== '1') {
            throw new Problem('another reconciliation of this site has been running for more than ' . PATIENCE . ' seconds');
        }
    }

    /** Says whether WordPress is installed. Refuses what looks like somebody's data under another name. */
    public function hasSite(): bool
    {
        $tables = $this->tables('');
        if (in_array($this->prefix . 'options', $tables, true)) {
            return true;
        }
        $staging = $this->tables(STAGING . $this->prefix);
        foreach (array_diff($tables, $staging) as $table) {
            if (str_starts_with($table, $this->prefix)) {
                throw new Problem("database " . DB_NAME . " has tables with the prefix $this->prefix, but no {$this->prefix}options:"
                    . ' restore a backup, or drop them if a new site is wanted');
            }
            if (preg_match('/^(.*)options$/', $table, $match) && in_array("{$match[1]}usermeta", $tables, true)) {
                throw new Problem('database ' . DB_NAME . " holds a site with the table prefix \"{$match[1]}\", the declared one is"
                    . " \"$this->prefix\": this would start an empty site");
            }
        }
        return false;
    }

    /** Lets another process of this program work on the site. */
    public function unlock(): void
    {
        $this->connection->query('DO RELEASE_ALL_LOCKS()');
    }

    public function dropStaging(): void
    {
        foreach ($this->tables(STAGING . $this->prefix) as $table) {
            $this->connection->query("DROP TABLE `$table`");
        }
    }

    /** Makes the complete new site visible: its tables get their names in one statement, the options last. */
    public function publishStaging(): void
    {
        $staging = STAGING . $this->prefix;
        $length = strlen($staging);
        // WordPress keeps the prefix in a few names, such as wp_user_roles and wp_capabilities.
        foreach (['options' => 'option_name', 'usermeta' => 'meta_key'] as $table => $column) {
            $this->connection->query(
                "UPDATE `$staging$table` SET $column = CONCAT('$this->prefix', SUBSTRING($column, $length + 1))"
                . " WHERE LEFT($column, $length) = '$staging'"
            );
        }
        $tables = $this->tables($staging);
        usort($tables, static fn (string $a, string $b): int => ($a === "{$staging}options") <=> ($b === "{$staging}options"));
        $renames = array_map(fn (string $table): string => "`$table` TO `$this->prefix" . substr($table, $length) . '`', $tables);
        $this->connection->query('RENAME TABLE ' . implode(', ', $renames));
    }

    private function connect(): \mysqli
    {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
        [$host, $port] = explode(':', DB_HOST) + [1 => '3306'];
        $end = time() + PATIENCE;
        while (true) {
            try {
                // A name that does not resolve is a warning besides the exception.
                return @new \mysqli($host, DB_USER, DB_PASSWORD, DB_NAME, (int) $port);
            } catch (\mysqli_sql_exception $error) {
                // 2002: nobody listens or no such host; 2006: went away while it started.
                if (!in_array($error->getCode(), [2002, 2005, 2006, 2013], true) || time() >= $end) {
                    throw new Problem('the database ' . DB_NAME . ' at ' . PRESSDOCK_DATABASE_HOST . ' is not reachable: ' . $error->getMessage());
                }
            }
            usleep(500_000);
        }
    }

    private function value(string $query): ?string
    {
        $row = $this->connection->query($query)->fetch_row();
        return $row === null || $row[0] === null ? null : (string) $row[0];
    }

    /** @return list<string> names of the tables that begin with $prefix */
    private function tables(string $prefix): array
    {
        $names = array_column($this->connection->query('SHOW TABLES')->fetch_all(), 0);
        return array_values(array_filter($names, static fn (string $name): bool => str_starts_with($name, $prefix)));
    }
}

/** Options, from the title to what the operator lists. */
final class Settings
{
    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
    }

    public function reconcile(): void
    {
        $declared = $this->declared;
        $this->option('blogname', $declared->title);
        $this->option('siteurl', $declared->url);
        $this->option('home', $declared->url);
        $this->option('admin_email', $declared->users[0]['email']);
        $this->option('WPLANG', $declared->locale === 'en_US' ? '' : $declared->locale);
        $this->option('timezone_string', $declared->timezone);
        $this->permalinks();
        foreach (array_diff_key($declared->options, ['default_role' => true]) as $name => $value) {
            $this->option((string) $name, $value);
        }
    }

    /** Takes what WordPress keeps only once plugins have brought what it names. */
    public function reconcileLate(bool $plugins_to_come): void
    {
        $role = $this->declared->options['default_role'] ?? null;
        if ($role === null) {
            return;
        }
        if (get_role((string) $role) !== null) {
            $this->option('default_role', $role);
        } elseif ($plugins_to_come) {
            $this->report->change('option default_role', get_option('default_role'), $role, static fn () => null);
        } else {
            $this->report->refuse("option default_role: there is no role \"$role\"; there are: " . implode(', ', array_keys(wp_roles()->roles)));
        }
    }

    private function option(string $name, mixed $value): void
    {
        // An option that does not exist counts as empty, as it does for most of WordPress.
        $current = get_option($name, '');
        // WordPress takes a language only once its files are there, which a check run does not bring.
        $wanted = self::stored($name === 'WPLANG' ? $value : sanitize_option($name, $value));
        if (self::stored($current) !== $wanted) {
            $this->report->change("option $name", $current, $wanted, static fn () => update_option($name, $wanted));
            $name === 'WPLANG' || $this->report->noteKept("option $name", $value, $wanted);
        }
    }

    private function permalinks(): void
    {
        $current = get_option('permalink_structure', '');
        $wanted = sanitize_option('permalink_structure', $this->declared->permalinks);
        if ($current !== $wanted) {
            $this->report->change('option permalink_structure', $current, $wanted, static function () use ($wanted): void {
                global $wp_rewrite;
                // Not by its set_permalink_structure(), which does nothing when it believes to have that value already:
                // after an installation it does not know what is stored.
                update_option('permalink_structure', $wanted);
                $wp_rewrite->init();
                // Plugins and the theme add rules of their own: the next request, which loads them, writes the list.
                update_option('rewrite_rules', '');
            });
        }
    }

    /** Writes a value as the database keeps it: a scalar as text, nothing as empty text, a list or a map as it is. */
    private static function stored(mixed $value): mixed
    {
        return is_array($value) || is_object($value) ? $value : (string) $value;
    }
}

/** Returns what a WordPress function returned; a WP_Error becomes a Problem. */
function succeed(mixed $result, string $what): mixed
{
    if (is_wp_error($result)) {
        throw new Problem("$what: " . words($result->get_error_message()));
    }
    return $result;
}

/**
 * Writes a password as WordPress's login form hands it on when a person types it: without white space at its ends,
 * and with backslashes before quotes and backslashes, which WordPress never removes from this one field.
 */
function as_typed(string $password): string
{
    return (string) wp_slash(trim($password));
}

/** Returns a field of the comment that WordPress knows a file by, without WordPress; null where there is none. */
function file_header(string $file, string $field): ?string
{
    // WordPress looks no further either.
    $text = is_file($file) ? str_replace("\r", "\n", (string) file_get_contents($file, false, null, 0, 8192)) : '';
    return preg_match('/^(?:[ \t]*<\?php)?[ \t*#@\/]*' . preg_quote($field, '/') . ':(.*)$/mi', $text, $match)
        ? trim((string) preg_replace('/\s*(?:\*\/|\?>).*/', '', $match[1]))
        : null;
}

/** Returns the version of a plugin, which is a directory or one file: empty without one, null for what is no plugin. */
function plugin_version(string $path): ?string
{
    foreach (is_dir($path) ? glob("$path/*.php") ?: [] : [$path] as $file) {
        if (file_header($file, 'Plugin Name') !== null) {
            return file_header($file, 'Version') ?? '';
        }
    }
    return null;
}

/** Digests a plugin, which is a directory or one file; null for a link. */
function files_digest(string $path): ?string
{
    return is_file($path) && !is_link($path) ? (string) hash_file('sha256', $path) : tree_digest($path);
}

function copy_tree(string $source, string $target): void
{
    if (!is_dir($source)) {
        copy($source, $target);
        return;
    }
    mkdir($target, 0755);
    foreach (array_diff(scandir($source), ['.', '..']) as $name) {
        copy_tree("$source/$name", "$target/$name");
    }
}

function remove_tree(string $path): void
{
    if (is_link($path) || is_file($path)) {
        unlink($path);
    } elseif (is_dir($path)) {
        foreach (array_diff(scandir($path), ['.', '..']) as $name) {
            remove_tree("$path/$name");
        }
        rmdir($path);
    }
}

/** Makes a new site under the staging prefix; WordPress has been loaded with it. */
function install(Declaration $declared, Database $database, string $prefix): void
{
    $owner = $declared->users[0];
    // WordPress would ask the network which permalinks work here; and its first post has the site's local time.
    $assumed = ['permalink_structure' => $declared->permalinks, 'timezone_string' => $declared->timezone];
    $filters = array_map(static fn (string $value): \Closure => static fn (): string => $value, $assumed);
    foreach ($filters as $name => $filter) {
        add_filter("pre_option_$name", $filter);
    }
    load_default_textdomain($declared->locale);
    $GLOBALS['wp_locale'] = new \WP_Locale();
    succeed(wp_install(
        $declared->title,
        $owner['login'],
        $owner['email'],
        true,
        '',
        as_typed($owner['password']),
        $declared->locale === 'en_US' ? '' : $declared->locale,
    ), 'installation');
    foreach ($filters as $name => $filter) {
        remove_filter("pre_option_$name", $filter);
    }

    $database->publishStaging();
    // From here on this process works with the site that everybody sees.
    $GLOBALS['table_prefix'] = $prefix;
    $GLOBALS['wpdb']->set_prefix($prefix);
    wp_cache_flush();
    $GLOBALS['wp_roles'] = new \WP_Roles();
}

/** Brings the database schema to core's version. */
function upgrade_schema(Report $report): void
{
    global $wp_db_version;
    $current = (int) get_option('db_version');
    if ($current < $wp_db_version) {
        $report->change('database schema', $current, $wp_db_version, static fn () => wp_upgrade());
    }
}

function reconcile_site(Declaration $declared, Report $report): void
{
    $settings = new Settings($declared, $report);
    $settings->reconcile();
    $roles = new Roles($declared, $report);
    $roles->reconcile();
    $users = new Users($declared, $report);
    $users->reconcile();
    $packages = new Packages($declared, $report);
    $packages->install();
    $extensions = new Extensions($declared, $report);
    $extensions->reconcile();
    $packages->removeUndeclared();
    // Roles that plugins bring, and what needs them.
    if ($users->lacking()) {
        $extensions->makeRoles();
    }
    $roles->reconcileLate();
    $users->reconcileLate($extensions->activating());
    $settings->reconcileLate($extensions->activating());
    (new PublicNames($declared, $report))->reconcile();
    if (is_multisite()) {
        (new NetworkSettings($declared, $report))->reconcile();
    }
}

/** What a check says about a site that is not installed yet. */
function predict_installation(Declaration $declared, Report $report): void
{
    $nothing = static fn () => null;
    $report->change('site', null, "installed at $declared->url", $nothing);
    foreach ($declared->users as $user) {
        $report->change("user {$user['login']}", null, implode(', ', $user['roles']), $nothing);
    }
    foreach ($declared->packages as $package) {
        $report->change("files of {$package['kind']} {$package['slug']}", null, $package['version'], $nothing);
    }
    $report->change('theme', null, $declared->theme, $nothing);
    foreach ($declared->plugins as $slug) {
        $report->change("plugin $slug", null, 'active', $nothing);
    }
    foreach ($declared->multisite['sites'] ?? [] as $name => $title) {
        $report->change("sub-site $name", null, $title, $nothing);
    }
}

/** Ends the process: one line about the problem, no trace (its arguments would be passwords). */
function fail(\Throwable $error): never
{
    $where = $error instanceof Problem ? '' : ' (' . basename($error->getFile()) . ':' . $error->getLine() . ')';
    $kind = $error instanceof Problem ? '' : get_class($error) . ': ';
    $GLOBALS['pressdock_finished'] = true;
    while (ob_get_level()) {
        ob_end_clean();
    }
    fwrite(STDERR, $kind . $error->getMessage() . $where . "\n");
    exit(1);
}

/** Returns the text in a piece of HTML. */
function words(string $html): string
{
    $text = strip_tags((string) preg_replace('#<(style|script|head)\b.*?</\1>#is', ' ', $html));
    return trim((string) preg_replace('/\s+/', ' ', html_entity_decode($text)));
}

/** Makes every way in which PHP or WordPress can stop early visible. */
function watch(): void
{
    // Output of plugins that are activated must not mix with the report.
    ob_start();
    error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
    set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
        if (error_reporting() & $level) {
            throw new \ErrorException($message, 0, $level, $file, $line);
        }
        return true;
    });
    set_exception_handler(fail(...));
    register_shutdown_function(static function (): void {
        if (!($GLOBALS['pressdock_finished'] ?? false)) {
            $output = ob_get_level() ? words((string) ob_get_clean()) : '';
            fwrite(STDERR, 'stopped before the end' . ($output === '' ? '' : ": $output") . "\n");
            exit(1);
        }
    });
}

/**
 * @param list<string> $missing digests of packages that have to be delivered
 * @param list<string> $foreign plugins and themes that nobody declares
 * @param list<string> $worth_a_look what widens access, in sentences
 */
function finish(Report $report, bool $installed, string $version, array $missing = [], array $foreign = [], array $worth_a_look = []): never
{
    $output = '';
    while (ob_get_level()) {
        $output .= ob_get_clean();
    }
    if (trim($output) !== '') {
        fwrite(STDERR, words($output) . "\n");
    }
    $GLOBALS['pressdock_finished'] = true;
    fwrite(STDOUT, json_encode([
        'changed' => $report->changes !== [] || $missing !== [] || $report->refusals !== [],
        'installed' => $installed,
        'wordpress' => $version,
        'changes' => $report->changes,
        'missing' => $missing,
        'foreign' => $foreign,
        'notes' => array_values(array_unique($report->notes)),
        'refused' => $report->refusals,
        'worth_a_look' => $worth_a_look,
    ], JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE) . "\n");
    if ($report->refusals) {
        fwrite(STDERR, implode("\n", $report->refusals) . "\n");
        exit(1);
    }
    exit(0);
}

// The rest is at the top level, because WordPress expects to be loaded there.

watch();
umask(0022);
require __DIR__ . '/packages.php';
require __DIR__ . '/must-use.php';
require __DIR__ . '/cache.php';
require __DIR__ . '/names.php';
require __DIR__ . '/network.php';
require __DIR__ . '/address.php';
require __DIR__ . '/lists.php';
require __DIR__ . '/users.php';
require __DIR__ . '/extensions.php';
require __DIR__ . '/worth_a_look.php';
require_once SITE_FILE;
require CORE . 'wp-includes/version.php';
/**
 * @var string $table_prefix from the one
 * @var string $wp_version from the other
 */

$pressdock_document = (string) stream_get_contents(STDIN);
$pressdock_declared = new Declaration($pressdock_document);
$pressdock_report = new Report($pressdock_declared->check);
$pressdock_prefix = $table_prefix;
$pressdock_content = new Content($pressdock_declared, $pressdock_report);
$pressdock_content->demandDeclared();
$pressdock_database = new Database($pressdock_prefix);
$pressdock_installing = !$pressdock_database->hasSite();
if ($pressdock_installing) {
    $pressdock_content->demandNoOtherSite($pressdock_prefix);
}
$pressdock_network = new Network($pressdock_declared, $pressdock_report, $pressdock_database->connection, $pressdock_prefix);
$pressdock_network->demandKept();

$pressdock_packages = new Packages($pressdock_declared, $pressdock_report);
$pressdock_missing = $pressdock_declared->check ? [] : $pressdock_packages->missing();
if ($pressdock_missing) {
    finish($pressdock_report, false, $wp_version, $pressdock_missing);
}
$pressdock_content->reconcile();
(new MustUse($pressdock_declared, $pressdock_report))->reconcile();
$pressdock_drop_in = new DropIn($pressdock_declared, $pressdock_report);
$pressdock_drop_in->reconcile();
if ($pressdock_installing && $pressdock_declared->check) {
    predict_installation($pressdock_declared, $pressdock_report);
    finish($pressdock_report, false, $wp_version);
}
if ($pressdock_installing) {
    $pressdock_database->dropStaging();
    define('PRESSDOCK_TABLE_PREFIX', STAGING . $pressdock_prefix);
}
$pressdock_address = new Address($pressdock_declared, $pressdock_report, $pressdock_database->connection, $pressdock_prefix,
    $pressdock_network);
if (!$pressdock_installing) {
    $pressdock_address->begin();
}
$pressdock_network->move();
$pressdock_network->mark();
if (!$pressdock_installing) {
    (new StoredLists($pressdock_report, $pressdock_database->connection, $pressdock_prefix))->repair($pressdock_network->exists());
}
// How WordPress is loaded here is decided by the tables, whatever the volume says.
define('PRESSDOCK_NETWORK', $pressdock_network->type());
if ($pressdock_network->exists()) {
    define('DOMAIN_CURRENT_SITE', $pressdock_network->authority());
}

// What WordPress takes from a request.
$_SERVER += [
    'HTTP_HOST' => $pressdock_network->authority(),
    'HTTPS' => 'on',
    'REMOTE_ADDR' => '127.0.0.1',
    'REQUEST_METHOD' => 'GET',
    'REQUEST_URI' => '/',
    'SERVER_PROTOCOL' => 'HTTP/1.1',
];
define('WP_INSTALLING', true);
if (!$pressdock_installing) {
    // Load also when the site's address has been deleted: WordPress takes such a site for a damaged one.
    define('WP_REPAIRING', true);
}
// The database is what is compared and repaired: our object cache passes on what is written and answers nothing.
define('PRESSDOCK_CACHE_WRITE_ONLY', true);
$pressdock_cached = $pressdock_declared->object_cache === 'builtin' && $pressdock_drop_in->isOurs();
// Filters for the time before WordPress has functions to add them.
$wp_filter = ($wp_filter ?? []) + [
    // WordPress would write its last words as an HTML page and end with status 0.
    'wp_die_handler' => [10 => ['pressdock' => [
        'function' => static fn (): callable => static fn (mixed $words): never
            => throw new Problem('WordPress stopped: ' . words(is_wp_error($words) ? $words->get_error_message() : (string) $words)),
        'accepted_args' => 1,
    ]]],
    'enable_loading_object_cache_dropin' => [10 => ['pressdock' => [
        'function' => static fn (): bool => $pressdock_cached,
        'accepted_args' => 1,
    ]]],
    // With the constant WP_CACHE a plugin's page cache would be loaded.
    'enable_loading_advanced_cache_dropin' => [10 => ['pressdock' => [
        'function' => static fn (): bool => false,
        'accepted_args' => 1,
    ]]],
    // Plugins that are active in a whole network are loaded even during an installation; not here.
    'pre_site_option_active_sitewide_plugins' => [10 => ['pressdock' => [
        'function' => static fn (): array => [],
        'accepted_args' => 0,
    ]]],
];
require CORE . 'wp-load.php';
remove_all_filters('pre_site_option_active_sitewide_plugins');
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';
require_once ABSPATH . 'wp-admin/includes/file.php';
require_once ABSPATH . 'wp-admin/includes/plugin-install.php';
require_once ABSPATH . 'wp-admin/includes/theme.php';

add_filter('pre_wp_mail', '__return_true');
add_filter('pre_http_request', static fn (): \WP_Error => new \WP_Error('no_network', 'no network here'));
WP_Filesystem();
if ($pressdock_network->moved()) {
    // What is cached of the network's sites has the old addresses.
    wp_cache_flush();
}
// The stored values count, not the constants of wp-config.php.
remove_filter('option_siteurl', '_config_wp_siteurl');
remove_filter('option_home', '_config_wp_home');

if ($pressdock_installing) {
    $pressdock_report->change(
        'site',
        null,
        "installed at {$pressdock_declared->url}",
        static fn () => install($pressdock_declared, $pressdock_database, $pressdock_prefix),
    );
}
$pressdock_cached_state = new CachedState($pressdock_declared);
if (!$pressdock_installing) {
    $pressdock_cached_state->look();
}
upgrade_schema($pressdock_report);
// Options are read and written through the cache again, as the web processes do it.
wp_installing(false);
$EZSQL_ERROR = [];
reconcile_site($pressdock_declared, $pressdock_report);
$pressdock_cached_state->report($pressdock_report);
if ($pressdock_installing) {
    $pressdock_address->remember();
} else {
    $pressdock_address->follow();
}
/** @var list<array{error_str: string}> $EZSQL_ERROR by WordPress */
if ($EZSQL_ERROR) {
    throw new Problem('the database refused a query: ' . end($EZSQL_ERROR)['error_str']);
}
if ($pressdock_network->wanted()) {
    $pressdock_network->create();
    if (!$pressdock_declared->check) {
        $pressdock_content->rememberSite($pressdock_prefix);
        $pressdock_database->unlock();
        $pressdock_rest = reconcile_again($pressdock_document);
        array_push($pressdock_report->changes, ...$pressdock_rest['changes']);
        array_push($pressdock_report->notes, ...$pressdock_rest['notes']);
        // It has tried all of it again, now as a network.
        $pressdock_report->refusals = $pressdock_rest['refused'];
        finish($pressdock_report, $pressdock_installing, $wp_version, [], $pressdock_rest['foreign']);
    }
}
if ($pressdock_report->changes && !$pressdock_report->check && !$pressdock_report->refusals) {
    // What WordPress did not take as declared would be changed again on every run: say so now.
    wp_cache_flush();
    $pressdock_again = new Report(true);
    (new Content($pressdock_declared, $pressdock_again))->reconcile();
    (new DropIn($pressdock_declared, $pressdock_again))->reconcile();
    (new StoredLists($pressdock_again, $pressdock_database->connection, $pressdock_prefix))->repair($pressdock_network->exists());
    reconcile_site($pressdock_declared, $pressdock_again);
    foreach ($pressdock_again->changes as $pressdock_change) {
        $pressdock_report->refuse("WordPress did not keep what is declared: {$pressdock_change['what']}: it is "
            . json_encode($pressdock_change['from'], JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES) . ' again');
    }
    array_push($pressdock_report->refusals, ...$pressdock_again->refusals);
}
if (!$pressdock_report->check) {
    $pressdock_content->rememberSite($pressdock_prefix);
    if ($pressdock_report->changes) {
        // Whatever a request has put there from the state before.
        wp_cache_flush();
        flush_plugin_cache();
    }
}
finish($pressdock_report, $pressdock_installing, $wp_version, [], $pressdock_packages->foreign(),
    $pressdock_declared->look ? (new WorthALook($pressdock_declared))->sentences() : []);
