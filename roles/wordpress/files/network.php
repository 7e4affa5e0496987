<?php
/**
 * A network of sites (WordPress's "multisite"), a part of reconcile.php.
 *
 * Whether a site is a network is decided by its tables. A mark on the volume tells that to wp-config.php, which cannot ask
 * the database: without it WordPress starts as a single site, with it as a network. So a declaration that comes before its
 * tables breaks nothing, and neither does one that is taken back, which is refused.
 */

declare(strict_types=1);

namespace Pressdock;

/** WordPress can hold several networks in one database; a site is one. */
const NETWORK_ID = 1;
/** The site that a network began with. */
const MAIN_SITE = 1;

/** The network's existence and addresses, by SQL: WordPress cannot be loaded at all while they are wrong. */
final class Network
{
    /** Beside the site's files: the network's type. */
    private const MARK = '.pressdock-network';
    /** Network option: numbers of the declared sub-sites, by their names. */
    public const SITES = 'pressdock_sites';

    private ?string $authority = null;
    private string $type = '';
    private bool $moved = false;

    public function __construct(
        private readonly Declaration $declared,
        private readonly Report $report,
        private readonly \mysqli $connection,
        private readonly string $prefix,
    ) {
        // The tables are made one after another, their rows at once.
        if (count(array_intersect(["{$prefix}blogs", "{$prefix}site", "{$prefix}sitemeta"], $this->tables())) === 3) {
            $this->authority = $this->column("SELECT domain FROM `{$prefix}site` WHERE id = " . NETWORK_ID)[0] ?? null;
        }
        if ($this->authority !== null) {
            $subdomain = $this->column("SELECT meta_value FROM `{$prefix}sitemeta` WHERE meta_key = 'subdomain_install'"
                . ' AND site_id = ' . NETWORK_ID)[0] ?? '0';
            $this->type = $subdomain ? 'subdomain' : 'subdirectory';
        }
    }

    public function exists(): bool
    {
        return $this->authority !== null;
    }

    /** Says whether a single site has to become a network. */
    public function wanted(): bool
    {
        return $this->declared->multisite !== null && !$this->exists();
    }

    /** Returns subdirectory, subdomain, or an empty text where there is no network. */
    public function type(): string
    {
        return $this->type;
    }

    /** Returns host and port, as they stand in the main site's address. */
    public function authority(): string
    {
        return $this->authority ?? authority($this->declared->url);
    }

    public function moved(): bool
    {
        return $this->moved;
    }

    /** Refuses what would hide sites, before anything is changed. */
    public function demandKept(): void
    {
        if (!$this->exists()) {
            return;
        }
        if ($this->declared->multisite === null) {
            $others = array_diff($this->column("SELECT CONCAT(domain, path) FROM `{$this->prefix}blogs` ORDER BY blog_id LIMIT 20"),
                ["$this->authority/"]);
            throw new Problem('multisite: it cannot be switched off: the sub-sites would vanish (there are: '
                . (implode(', ', $others) ?: 'none yet') . "); declare multisite: {type: $this->type} again");
        }
        if ($this->declared->multisite['type'] !== $this->type) {
            throw new Problem("multisite: the network's type cannot be changed, because every sub-site would get another address;"
                . " it is $this->type, declared is {$this->declared->multisite['type']}");
        }
    }

    /**
     * Gives the network and its sites the declared domain and port, all at once. Sites of domains outside of the network, which
     * somebody has set by hand, are left alone.
     */
    public function move(): void
    {
        if (!$this->exists()) {
            return;
        }
        $statements = [];
        $update = function (string $what, ?string $from, string $to, string $statement) use (&$statements): void {
            if ($from !== $to) {
                $this->report->change($what, $from, $to, static function () use (&$statements, $statement): void {
                    $statements[] = $statement;
                });
            }
        };
        $old = (string) $this->authority;
        $new = authority($this->declared->url);
        $prefix = $this->prefix;
        $update('network: domain', $old, $new, "UPDATE `{$prefix}site` SET domain = '$new', path = '/' WHERE id = " . NETWORK_ID);
        $meta = "`{$prefix}sitemeta` WHERE meta_key = 'siteurl' AND site_id = " . NETWORK_ID;
        $update('network: siteurl', $this->column("SELECT meta_value FROM $meta")[0] ?? null, "https://$new/",
            "UPDATE `{$prefix}sitemeta` SET meta_value = 'https://$new/' WHERE meta_key = 'siteurl' AND site_id = " . NETWORK_ID);
        $tables = $this->tables();
        $declared = $this->declaredSites();
        $sites = $this->connection->query("SELECT blog_id, domain, path FROM `{$prefix}blogs` WHERE site_id = " . NETWORK_ID);
        $sites = $sites->fetch_all(MYSQLI_ASSOC);
        foreach ($sites as $site) {
            // Another site has a declared one's address: NetworkSettings refuses that.
            $declared = isset($declared[(int) $site['blog_id']]) ? $declared : array_filter($declared, fn (string|int $name): bool
                => $this->address($name, $old) !== [$site['domain'], $site['path']]);
        }
        foreach ($sites as ['blog_id' => $id, 'domain' => $domain, 'path' => $path]) {
            $wanted = match (true) {
                (int) $id === MAIN_SITE, $domain === $old => $new,
                $this->type === 'subdomain' && str_ends_with($domain, ".$old") => substr($domain, 0, -strlen($old)) . $new,
                default => $domain,
            };
            $wanted_path = (int) $id === MAIN_SITE ? '/' : $path;
            if (isset($declared[(int) $id])) {
                [$wanted, $wanted_path] = $this->address($declared[(int) $id], $new);
            }
            $update("site $id of the network: address", $domain . $path, $wanted . $wanted_path,
                "UPDATE `{$prefix}blogs` SET domain = '$wanted', path = '" . $this->connection->real_escape_string($wanted_path)
                . "' WHERE blog_id = $id");
            // The main site's own address is an option like others; a site that is being made has no options yet.
            $inside = $wanted === $new || str_ends_with($wanted, ".$new");
            if ((int) $id === MAIN_SITE || !$inside || !in_array("{$prefix}{$id}_options", $tables, true)) {
                continue;
            }
            $url = rtrim("https://$wanted$wanted_path", '/');
            foreach (['home', 'siteurl'] as $option) {
                $found = $this->column("SELECT option_value FROM `{$prefix}{$id}_options` WHERE option_name = '$option'");
                if ($found) {
                    $update("site $id of the network: $option", $found[0], $url, "UPDATE `{$prefix}{$id}_options` SET option_value = '"
                        . $this->connection->real_escape_string($url) . "' WHERE option_name = '$option'");
                }
            }
        }
        if ($statements) {
            $this->connection->begin_transaction();
            array_map($this->connection->query(...), $statements);
            $this->connection->commit();
            $this->authority = $new;
            $this->moved = true;
        }
    }

    /**
     * Returns the declared sub-sites by their numbers, as far as they have been made: an address that was changed, or exchanged with
     * another one's, does not make another site of them.
     *
     * @return array<int, string>
     */
    private function declaredSites(): array
    {
        $stored = $this->column("SELECT meta_value FROM `{$this->prefix}sitemeta` WHERE meta_key = '" . self::SITES . "' AND site_id = "
            . NETWORK_ID)[0] ?? '';
        $known = @unserialize($stored, ['allowed_classes' => false]);
        $known = array_filter(is_array($known) ? $known : [], is_int(...));
        return array_flip(array_intersect_key($known, $this->declared->multisite['sites'] ?? []));
    }

    /** @return array{string, string} domain and path of a declared sub-site */
    private function address(string|int $name, string $authority): array
    {
        return $this->type === 'subdomain' ? ["$name.$authority", '/'] : [$authority, "/$name/"];
    }

    /** Leaves the mark that wp-config.php looks at, or removes one that nothing stands behind. */
    public function mark(): void
    {
        $file = WP_CONTENT_DIR . '/' . self::MARK;
        $found = is_file($file) ? trim((string) file_get_contents($file)) : '';
        if ($found === $this->type) {
            return;
        }
        $this->report->change('mark of the network', $found ?: null, $this->type ?: null, $this->writeMark(...));
    }

    private function writeMark(): void
    {
        $file = WP_CONTENT_DIR . '/' . self::MARK;
        if ($this->type === '') {
            unlink($file);
            return;
        }
        file_put_contents("$file.new", "$this->type\n");
        rename("$file.new", $file);
    }

    /** Makes a network of the single site that WordPress has been loaded as. */
    public function create(): void
    {
        $declared = $this->declared->multisite;
        $this->report->change('network', null, "{$declared['type']} at " . authority($this->declared->url), function (): void {
            $this->insert();
            $this->writeMark();
        });
        if ($this->report->check) {
            foreach ($declared['sites'] as $name => $title) {
                $this->report->change("sub-site $name", null, $title, static fn () => null);
            }
        }
    }

    private function insert(): void
    {
        global $wpdb;
        $declared = $this->declared->multisite;
        $authority = authority($this->declared->url);
        $owner = get_user_by('login', $this->declared->users[0]['login']);
        foreach ($wpdb->tables('ms_global') as $table => $name) {
            $wpdb->$table = $name;
        }
        install_network();
        // Not by populate_network(), which would set other permalinks and ask the network about them.
        $wpdb->query('START TRANSACTION');
        $wpdb->insert($wpdb->site, ['id' => NETWORK_ID, 'domain' => $authority, 'path' => '/']);
        populate_network_meta(NETWORK_ID, [
            'admin_email' => $owner->user_email,
            'admin_user_id' => $owner->ID,
            'main_site' => MAIN_SITE,
            'site_admins' => [$owner->user_login],
            'site_name' => $this->declared->title,
            'siteurl' => "https://$authority/",
            'subdomain_install' => (int) ($declared['type'] === 'subdomain'),
            'WPLANG' => $this->declared->locale === 'en_US' ? '' : $this->declared->locale,
        ]);
        $wpdb->insert($wpdb->blogs, [
            'site_id' => NETWORK_ID, 'blog_id' => MAIN_SITE, 'domain' => $authority, 'path' => '/', 'registered' => current_time('mysql'),
        ]);
        update_user_meta($owner->ID, 'source_domain', $authority);
        update_user_meta($owner->ID, 'primary_blog', MAIN_SITE);
        $wpdb->query('COMMIT');
        if ($wpdb->get_var("SELECT domain FROM `$wpdb->blogs` WHERE blog_id = " . MAIN_SITE) !== $authority) {
            throw new Problem("network: its tables could not be written: $wpdb->last_error");
        }
        $this->authority = $authority;
        $this->type = $declared['type'];
    }

    /** @return list<string> */
    private function tables(): array
    {
        return $this->column('SHOW TABLES');
    }

    /** @return list<string> */
    private function column(string $query): array
    {
        return array_map(strval(...), array_column($this->connection->query($query)->fetch_all(), 0));
    }
}

/** What is declared of a network, once WordPress has been loaded as one. Sub-sites that are not declared are left alone. */
final class NetworkSettings
{
    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
        // WordPress asks a table that may not be there, which is an error of the database like any other.
        add_filter('pre_wp_is_site_initialized', fn (?bool $known, int $id): bool => $known ?? $this->hasTable($id, 'posts'), 20, 2);
    }

    public function reconcile(): void
    {
        $owner = $this->declared->users[0];
        $limit = intdiv($this->declared->multisite['upload_limit'], 1024);
        $this->option('site_name', $this->declared->title);
        $this->option('admin_email', $owner['email']);
        // PHP's and the web server's limit; WordPress's own for sub-sites begins at 1.5 MB.
        $this->option('fileupload_maxk', $limit);
        // Exactly the declared administrator may do everything on every site.
        $this->option('site_admins', [$owner['login']]);
        $themes = (array) get_network_option(NETWORK_ID, 'allowedthemes');
        $this->option('allowedthemes', $themes + [$this->declared->theme => true]);
        foreach ($this->declared->multisite['sites'] as $name => $title) {
            $this->report->attempt(fn () => $this->site((string) $name, $title));
        }
        $this->rememberSites();
        $this->upgrade();
    }

    /** Keeps which site each declared name means: see Network::move(). */
    private function rememberSites(): void
    {
        $known = [];
        foreach (array_map(strval(...), array_keys($this->declared->multisite['sites'])) as $name) {
            if ($site = $this->known($name) ?? $this->find($name)) {
                $known[$name] = (int) $site->blog_id;
            }
        }
        if (!$this->report->check && get_network_option(NETWORK_ID, Network::SITES) !== $known) {
            update_network_option(NETWORK_ID, Network::SITES, $known);
        }
    }

    /** Returns the site that a declared name has meant. */
    private function known(string $name): ?\WP_Site
    {
        $sites = get_network_option(NETWORK_ID, Network::SITES);
        return is_array($sites) && is_int($sites[$name] ?? null) ? get_site($sites[$name]) : null;
    }

    private function find(string $name): ?\WP_Site
    {
        $network = get_network(NETWORK_ID);
        [$domain, $path] = is_subdomain_install() ? ["$name.$network->domain", '/'] : [$network->domain, "/$name/"];
        return get_sites(['domain' => $domain, 'path' => $path, 'number' => 1, 'network_id' => NETWORK_ID])[0] ?? null;
    }

    private function option(string $name, mixed $wanted): void
    {
        $current = get_network_option(NETWORK_ID, $name);
        // An address, for example, is stored as WordPress writes it.
        $wanted = is_array($wanted) ? $wanted : sanitize_option($name, $wanted);
        if (is_array($wanted) ? $current !== $wanted : (string) $current !== (string) $wanted) {
            $this->report->change("network option $name", $current, $wanted,
                static fn () => update_network_option(NETWORK_ID, $name, $wanted));
        }
    }

    private function site(string $name, string $title): void
    {
        $network = get_network(NETWORK_ID);
        [$domain, $path] = is_subdomain_install() ? ["$name.$network->domain", '/'] : [$network->domain, "/$name/"];
        [$known, $there] = [$this->known($name), $this->find($name)];
        $others = (array) get_network_option(NETWORK_ID, Network::SITES, []);
        if ($known && $there && $known->blog_id !== $there->blog_id && !in_array((int) $there->blog_id, $others, true)) {
            throw new Problem("sub-site $name: it is site $known->blog_id, and its address $domain$path is that of site $there->blog_id,"
                . ' which nobody declares: give that one another address, or remove it');
        }
        $found = array_values(array_filter([$known ?? $there]));
        $owner = get_user_by('login', $this->declared->users[0]['login']);
        // The addresses are given: WordPress would write http:// into those of sub-domains.
        $url = rtrim("https://$domain$path", '/');
        $arguments = ['user_id' => $owner ? $owner->ID : 0, 'title' => wp_slash($title), 'options' => [
            'home' => $url, 'siteurl' => $url, 'permalink_structure' => $this->declared->permalinks,
            'WPLANG' => $this->declared->locale === 'en_US' ? '' : $this->declared->locale,
            'timezone_string' => $this->declared->timezone, 'template' => get_option('template'), 'stylesheet' => $this->declared->theme,
        ]];
        if (!$found) {
            $this->report->change("sub-site $name", null, $title, static function () use ($name, $domain, $path, $arguments): void {
                succeed(wp_insert_site(['domain' => $domain, 'path' => $path, 'network_id' => NETWORK_ID] + $arguments), "sub-site $name");
                forget_missing_tables();
            });
            return;
        }
        $site = $found[0];
        if (!$this->complete($site)) {
            $this->report->change("sub-site $name", 'incomplete', $title, fn () => $this->complement($site, $arguments));
            if (!$this->hasTable((int) $site->blog_id, 'options')) {
                return;
            }
        }
        foreach (['deleted', 'archived', 'spam'] as $flag) {
            if ($site->$flag !== '0') {
                $this->report->change("sub-site $name: $flag", $site->$flag, '0',
                    static fn () => update_blog_status((int) $site->blog_id, $flag, '0'));
            }
        }
        $current = get_blog_option((int) $site->blog_id, 'blogname');
        $wanted = sanitize_option('blogname', $title);
        if ($current !== $wanted) {
            $this->report->change("sub-site $name: title", $current, $wanted,
                static fn () => update_blog_option((int) $site->blog_id, 'blogname', $wanted));
        }
    }

    /** Says whether a site was made to its end: its roles are written after its tables and options. */
    private function complete(\WP_Site $site): bool
    {
        global $wpdb;
        if (!$this->hasTable((int) $site->blog_id, 'options')) {
            return false;
        }
        $prefix = $wpdb->get_blog_prefix((int) $site->blog_id);
        $names = "'siteurl', 'home', '{$prefix}user_roles'";
        // A check has WordPress take a broken list for an empty one (see lists.php).
        return !has_filter("pre_option_{$prefix}user_roles") && $wpdb->get_var("SELECT COUNT(*) FROM `{$prefix}options` WHERE option_name IN ($names)") === '3';
    }

    /** Goes on with a site whose making was interrupted, or that lost what it cannot be without; what is there already stays. */
    private function complement(\WP_Site $site, array $arguments): void
    {
        global $wpdb;
        $prefix = $wpdb->get_blog_prefix((int) $site->blog_id);
        if ($this->hasTable((int) $site->blog_id, 'posts') && $wpdb->get_var("SELECT COUNT(*) FROM `{$prefix}posts`") !== '0') {
            // Somebody's content: no first posts, and its users keep their roles.
            switch_to_blog((int) $site->blog_id);
            populate_options(['home' => $arguments['options']['home'], 'siteurl' => $arguments['options']['siteurl']]);
            populate_roles();
            restore_current_blog();
            return;
        }
        add_filter('pre_wp_is_site_initialized', '__return_false');
        succeed(wp_initialize_site((int) $site->blog_id, $arguments), "sub-site $site->domain$site->path");
        remove_filter('pre_wp_is_site_initialized', '__return_false');
        forget_missing_tables();
    }

    private function hasTable(int $site, string $name): bool
    {
        global $wpdb;
        $like = $wpdb->esc_like($wpdb->get_blog_prefix($site) . $name);
        return $wpdb->get_var("SHOW TABLES LIKE '$like'") !== null;
    }

    /** Brings the tables of every sub-site to core's version; those of the main site are there already. */
    private function upgrade(): void
    {
        global $wp_db_version;
        $declared = (array) get_network_option(NETWORK_ID, Network::SITES, []);
        foreach (get_sites(['number' => 0, 'fields' => 'ids', 'network_id' => NETWORK_ID]) as $id) {
            if ((int) $id === MAIN_SITE || !wp_is_site_initialized($id)) {
                continue;
            }
            $roles = $GLOBALS['wpdb']->get_blog_prefix($id) . 'user_roles';
            if (!in_array((int) $id, $declared, true) && !get_blog_option($id, $roles)) {
                $this->report->change("site $id of the network: roles", null, 'those of WordPress', static function () use ($id): void {
                    switch_to_blog($id);
                    populate_roles();
                    restore_current_blog();
                });
            }
            $current = (int) get_blog_option($id, 'db_version');
            if ($current < $wp_db_version) {
                $this->report->change("site $id of the network: database schema", $current, $wp_db_version, static function () use ($id): void {
                    switch_to_blog($id);
                    wp_upgrade();
                    restore_current_blog();
                });
            }
        }
        // Else the dashboard would ask for what has just been done.
        $this->option('wpmu_upgrade_site', $wp_db_version);
    }
}

/** WordPress finds out which tables it has to make by asking them; that those are not there yet is no error. */
function forget_missing_tables(): void
{
    global $EZSQL_ERROR;
    $EZSQL_ERROR = array_filter((array) $EZSQL_ERROR, static fn (array $error): bool => !str_contains($error['error_str'], "doesn't exist"));
}

/** Returns the host of an address, with its port where it names one. */
function authority(string $url): string
{
    $port = parse_url($url, PHP_URL_PORT);
    return parse_url($url, PHP_URL_HOST) . ($port === null ? '' : ":$port");
}

/**
 * Lets a new process reconcile the site once more, now as a network: WordPress cannot become one while it runs.
 *
 * @return array<string, mixed> the process's report
 */
function reconcile_again(string $document): array
{
    // What it refuses is in its report, too, and told once.
    $errors = tmpfile();
    $process = proc_open([PHP_BINARY, __DIR__ . '/reconcile.php'], [['pipe', 'r'], ['pipe', 'w'], $errors], $pipes);
    fwrite($pipes[0], $document);
    fclose($pipes[0]);
    $report = (string) stream_get_contents($pipes[1]);
    fclose($pipes[1]);
    $failed = proc_close($process) !== 0;
    $read = json_decode($report, true);
    if ($failed && !is_array($read)) {
        rewind($errors);
        fwrite(STDERR, (string) stream_get_contents($errors));
        $GLOBALS['pressdock_finished'] = true;
        exit(1);
    }
    return $read ?? throw new Problem('network: its first comparison has said nothing');
}
