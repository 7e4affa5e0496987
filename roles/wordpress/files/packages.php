<?php
/**
 * Plugins and themes whose files are declared: from WordPress's directory by version, or from the operator's machine.
 * reconcile.php loads this file and decides when its steps happen.
 *
 * What is installed is compared by a digest of its files, so that a changed file is found without asking anybody. For
 * a package of the operator's the declaration names that digest. For one of the directory it is recorded beside the
 * files at the installation; the record also says what may be removed when nobody declares it any more: only what was
 * installed from here.
 */

declare(strict_types=1);

namespace Pressdock;

/** A zip archive that is not trusted yet. */
final class Archive
{
    /** More than any plugin needs: what claims to become larger is made to fill the disk. */
    private const LARGEST = 1 << 30;
    private const MOST_FILES = 50_000;
    private const LINK = 0xA000;

    public function __construct(private readonly string $file, private readonly string $what)
    {
    }

    /** Refuses an archive that is damaged, or that would write anywhere but below one directory, $slug. */
    public function demandHarmless(string $slug): void
    {
        $zip = new \ZipArchive();
        $opened = $zip->open($this->file, \ZipArchive::RDONLY | \ZipArchive::CHECKCONS);
        $this->demand($opened === true, 'the archive is incomplete or not a zip file');
        $this->demand($zip->numFiles > 0 && $zip->numFiles <= self::MOST_FILES, 'the archive has no files, or too many');
        $size = 0;
        for ($index = 0; $index < $zip->numFiles; $index++) {
            $entry = $zip->statIndex($index, \ZipArchive::FL_UNCHANGED);
            $this->demand($entry !== false, 'the archive cannot be read');
            $name = $entry['name'];
            // Not a part of the package; WordPress leaves it out as well.
            if (str_starts_with($name, '__MACOSX/')) {
                continue;
            }
            $shown = json_encode($name, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE);
            $this->demand(
                !in_array('..', explode('/', $name), true) && !str_starts_with($name, '/')
                    && preg_match('/[\x00-\x1f\x7f\\\\]|^[A-Za-z]:/', $name) === 0,
                "the archive holds $shown, which leads out of its directory",
            );
            $this->demand(
                str_starts_with($name, "$slug/"),
                "the archive holds $shown, which is not below a directory \"$slug\"",
            );
            $zip->getExternalAttributesIndex($index, $system, $attributes);
            $this->demand(
                $system !== \ZipArchive::OPSYS_UNIX || ($attributes >> 16 & 0xF000) !== self::LINK,
                "the archive holds $shown, which is a symbolic link",
            );
            $size += $entry['size'];
        }
        $zip->close();
        $this->demand($size <= self::LARGEST, 'the archive would become larger than ' . (self::LARGEST >> 20) . ' MiB');
    }

    private function demand(bool $condition, string $rule): void
    {
        if (!$condition) {
            throw new Problem("$this->what: $rule");
        }
    }
}

/** WordPress's directory of plugins and themes, or another server that speaks its protocol. */
final class Directory
{
    private bool $forwarding = false;

    /** @param string $url of the other server; empty for WordPress's own */
    public function __construct(private readonly string $url)
    {
    }

    /** Downloads one version; returns the path of a temporary file. */
    public function download(string $kind, string $slug, string $version): string
    {
        $what = "$kind $slug $version";
        $host = (string) parse_url($this->url, PHP_URL_HOST);
        $port = parse_url($this->url, PHP_URL_PORT);
        // All other requests of the reconciler stay refused: these filters are there only meanwhile.
        $filters = [
            'pre_http_request' => $this->forward(...),
            // WordPress takes an address in a private network, or an unusual port, for an attack from outside.
            'http_request_host_is_external' => static fn (bool $is, string $asked): bool => $is || $asked === $host,
            'http_allowed_safe_ports' => static fn (array $ports, string $asked): array
                => $port !== null && $asked === $host ? [...$ports, $port] : $ports,
        ];
        foreach ($filters as $name => $filter) {
            add_filter($name, $filter, 20, 3);
        }
        try {
            $request = ['slug' => $slug, 'fields' => ['versions' => true, 'sections' => false, 'reviews' => false]];
            $answer = $kind === 'plugin' ? plugins_api('plugin_information', $request) : themes_api('theme_information', $request);
            $about = (array) succeed($answer, "$what: WordPress's directory answers");
            if (($about['slug'] ?? null) !== $slug) {
                throw new Problem("$what: WordPress's directory answered about something else");
            }
            $versions = (array) ($about['versions'] ?? []);
            $link = $versions[$version] ?? (($about['version'] ?? null) === $version ? ($about['download_link'] ?? null) : null);
            if (!is_string($link)) {
                unset($versions['trunk']);
                uksort($versions, 'version_compare');
                $newest = implode(', ', array_slice(array_reverse(array_keys($versions)), 0, 5));
                throw new Problem("$what: WordPress's directory does not have this version; the newest are: " . ($newest ?: 'none'));
            }
            if ($this->url === '' && !str_starts_with($link, 'https://')) {
                throw new Problem("$what: WordPress's directory names a download without TLS");
            }
            return succeed(download_url($link), "$what: the download failed");
        } finally {
            foreach ($filters as $name => $filter) {
                remove_filter($name, $filter, 20);
            }
        }
    }

    /** The filter before every request: what would go to WordPress's own server goes to the declared one. */
    private function forward(mixed $prepared, array $arguments, string $url): mixed
    {
        if ($this->forwarding || parse_url($url, PHP_URL_HOST) !== 'api.wordpress.org') {
            return false;
        }
        $this->forwarding = true;
        try {
            $rest = substr($url, strpos($url, '/', strlen('https://')));
            $answer = wp_remote_request($this->url === '' ? $url : rtrim($this->url, '/') . $rest, $arguments);
        } finally {
            $this->forwarding = false;
        }
        // WordPress would try again without TLS.
        return succeed($answer, "WordPress's directory" . ($this->url === '' ? '' : " at $this->url") . ' cannot be asked');
    }
}

/** The declared packages of one site. */
final class Packages
{
    /** Beside the files: what was installed from here. */
    private const RECORD = '.pressdock-packages.json';
    /** Before the digest in the name of an archive that the playbook has delivered. */
    private const DELIVERED = '.pressdock-';

    /** @var array<string, array{kind: string, slug: string, version: string, from: string, sha256: string, digest: string}> */
    private readonly array $packages;

    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
        $packages = [];
        foreach ($declared->packages as $package) {
            $packages["{$package['kind']} {$package['slug']}"] = $package;
        }
        $this->packages = $packages;
    }

    /** @return list<string> digests of the operator's packages that have to be delivered before anything is done */
    public function missing(): array
    {
        $missing = [];
        foreach ($this->packages as $package) {
            if ($package['from'] === 'controller'
                && tree_digest($this->place($package)) !== $package['digest']
                && !is_file($this->delivered($package['digest']))) {
                $missing[] = $package['digest'];
            }
        }
        return $missing;
    }

    /** Installs, updates, downgrades and repairs. WordPress has been loaded. */
    public function install(): void
    {
        foreach ($this->packages as $name => $package) {
            $place = $this->place($package);
            $record = $this->records()[$name] ?? null;
            $wanted = $package['from'] === 'controller' ? $package['digest'] : self::recorded($package, $record);
            $found = tree_digest($place);
            if ($found !== null && $found === $wanted) {
                $this->remember($name, $package, $found);
                continue;
            }
            $version = $found === null ? null : (self::versions($package['kind'], $place)[0] ?? 'something else');
            $this->report->change(
                "files of $name",
                $version === $package['version'] ? "$version with other files" : $version,
                $package['version'],
                fn () => $this->replace($name, $package),
            );
        }
        foreach ($this->report->check ? [] : glob(WP_CONTENT_DIR . '/' . self::DELIVERED . '*.zip') as $file) {
            unlink($file);
        }
    }

    /** Removes what was installed from here and is declared no more. What it left in the database stays. */
    public function removeUndeclared(): void
    {
        foreach ($this->records() as $name => $record) {
            [$kind, $slug] = explode(' ', $name, 2);
            if (isset($this->packages[$name])) {
                continue;
            }
            $place = $this->place(['kind' => $kind, 'slug' => $slug]);
            $forget = function () use ($name): void {
                $records = $this->records();
                unset($records[$name]);
                $this->write($records);
            };
            // Declared without files: it is the operator's from now on.
            if ($this->declared->usesOwn($kind, $slug) || !file_exists($place)) {
                $this->report->check || $forget();
                continue;
            }
            $this->report->change("files of $name", $record['version'], null, static function () use ($place, $forget): void {
                // At once: a half removed plugin would be a broken one.
                $gone = WP_CONTENT_DIR . '/upgrade/' . basename($place) . '.old';
                remove_tree($gone);
                rename($place, $gone);
                remove_tree($gone);
                $forget();
                self::forgetCaches();
            });
        }
    }

    /** @return list<string> names of code on the volume that is neither declared nor brought by anything from here */
    public function foreign(): array
    {
        $names = [];
        foreach (['plugin', 'theme'] as $kind) {
            foreach (glob(WP_CONTENT_DIR . "/{$kind}s/*", GLOB_ONLYDIR) ?: [] as $path) {
                $slug = basename($path);
                if (!isset($this->packages["$kind $slug"]) && !$this->declared->usesOwn($kind, $slug)) {
                    $names[] = "$kind $slug";
                }
            }
        }
        return [...$names, ...$this->foreignFiles()];
    }

    /** @return list<string> names of single files that WordPress loads: plugins, must-use plugins and drop-ins but the object cache's */
    private function foreignFiles(): array
    {
        $files = ['plugin' => glob(WP_CONTENT_DIR . '/plugins/*.php') ?: [], 'must-use plugin' => glob(WP_CONTENT_DIR . '/mu-plugins/*.php') ?: []];
        // Some are loaded only where a constant says so: a caching plugin's page cache lies there without an effect.
        $loaded = array_keys(array_filter(_get_dropins(), static fn (array $drop_in): bool => $drop_in[1] === true
            || (defined($drop_in[1]) && constant($drop_in[1]))));
        $files['drop-in'] = array_map(static fn (string $name): string => WP_CONTENT_DIR . "/$name", array_diff($loaded, ['object-cache.php']));
        $names = [];
        foreach ($files as $kind => $paths) {
            foreach (array_filter($paths, is_file(...)) as $path) {
                $name = basename($path);
                // WordPress's own placeholder is the same everywhere.
                $shipped = CORE . 'wp-content' . ($name === 'index.php' ? '/plugins/index.php' : substr($path, strlen(WP_CONTENT_DIR)));
                $own = $kind === 'plugin' && $this->declared->usesOwn('plugin', basename($name, '.php'))
                    || $kind === 'must-use plugin' && isset($this->declared->must_use['files'][$name]);
                if (!$own && (!is_file($shipped) || files_digest($path) !== files_digest($shipped))) {
                    $names[] = "$kind $name";
                }
            }
        }
        return $names;
    }

    /** Makes a package ready beside the site, then swaps it in by renaming. */
    private function replace(string $name, array $package): void
    {
        $what = "$name {$package['version']}";
        $slug = $package['slug'];
        $place = $this->place($package);
        $stage = WP_CONTENT_DIR . "/upgrade/pressdock-{$package['kind']}-$slug";
        $delivered = $package['from'] === 'controller';
        $archive = null;
        try {
            remove_tree($stage);
            $archive = $delivered
                ? $this->delivered($package['digest'])
                : (new Directory($this->declared->directory_url))->download($package['kind'], $slug, $package['version']);
            if (!$delivered && $package['sha256'] !== '' && hash_file('sha256', $archive) !== $package['sha256']) {
                throw new Problem("$what: the file has the sha256 " . hash_file('sha256', $archive) . ", declared is {$package['sha256']}");
            }
            (new Archive($archive, $what))->demandHarmless($slug);
            mkdir($stage, 0755);
            succeed(unzip_file($archive, $stage), $what);
            $this->demandDeclaredContent($what, $package, "$stage/$slug");
            $digest = (string) tree_digest("$stage/$slug");
            if ($delivered && $digest !== $package['digest']) {
                throw new Problem("$what: what arrived is not what the playbook sent");
            }
            // First the record: whatever is interrupted after it is found by the digest, and repaired.
            $this->remember($name, $package, $digest);
            if (file_exists($place) || is_link($place)) {
                rename($place, "$stage/.old");
            }
            rename("$stage/$slug", $place);
        } finally {
            remove_tree($stage);
            if ($archive !== null && is_file($archive)) {
                unlink($archive);
            }
        }
        self::forgetCaches();
    }

    private function demandDeclaredContent(string $what, array $package, string $place): void
    {
        $versions = self::versions($package['kind'], $place);
        if ($versions === []) {
            throw new Problem($package['kind'] === 'plugin'
                ? "$what: no PHP file in its directory has a plugin's header"
                : "$what: it has no style.css with a theme's header");
        }
        if (!in_array($package['version'], $versions, true)) {
            throw new Problem("$what: the package says that it is version " . ($versions[0] === '' ? '(none)' : $versions[0]));
        }
    }

    /** @return list<string> what the headers of a plugin or a theme say; more than one where a directory has several plugins */
    private static function versions(string $kind, string $place): array
    {
        $name = $kind === 'plugin' ? 'Plugin Name' : 'Theme Name';
        $files = $kind === 'plugin' ? glob("$place/*.php") ?: [] : array_filter(["$place/style.css"], is_file(...));
        // The file that has the directory's name comes first.
        $main = "$place/" . basename($place) . '.php';
        usort($files, static fn (string $a, string $b): int => [$a !== $main, $a] <=> [$b !== $main, $b]);
        $versions = [];
        foreach ($files as $file) {
            $header = get_file_data($file, ['name' => $name, 'version' => 'Version']);
            if ($header['name'] !== '') {
                $versions[] = $header['version'];
            }
        }
        return $versions;
    }

    /** Returns the digest that a package of the directory had when this very version was installed. */
    private static function recorded(array $package, ?array $record): ?string
    {
        $same = $record !== null && $record['from'] === $package['from'] && $record['version'] === $package['version'];
        return $same && ($package['sha256'] === '' || $package['sha256'] === $record['sha256']) ? $record['digest'] : null;
    }

    private function remember(string $name, array $package, string $digest): void
    {
        $records = $this->records();
        $entry = array_intersect_key($package, ['version' => 1, 'from' => 1, 'sha256' => 1]) + ['digest' => $digest];
        // A checked download keeps its sha256 also when the declaration names none any more.
        if ($entry['sha256'] === '' && ($records[$name]['digest'] ?? null) === $digest) {
            $entry['sha256'] = $records[$name]['sha256'];
        }
        if (($records[$name] ?? null) !== $entry && !$this->report->check) {
            $this->write([...$records, $name => $entry]);
        }
    }

    /** @return array<string, array{version: string, from: string, sha256: string, digest: string}> */
    private function records(): array
    {
        $file = WP_CONTENT_DIR . '/' . self::RECORD;
        $records = is_file($file) ? json_decode((string) file_get_contents($file), true) : null;
        $whole = static fn (mixed $entry, string $name): bool => is_array($entry)
            && array_diff(['version', 'from', 'sha256', 'digest'], array_keys($entry)) === []
            && preg_match('/^(plugin|theme) [A-Za-z0-9][A-Za-z0-9._-]*$/D', $name) === 1;
        return is_array($records) ? array_filter($records, $whole, ARRAY_FILTER_USE_BOTH) : [];
    }

    private function write(array $records): void
    {
        $file = WP_CONTENT_DIR . '/' . self::RECORD;
        ksort($records);
        file_put_contents("$file.new", json_encode((object) $records, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES) . "\n");
        rename("$file.new", $file);
    }

    private function place(array $package): string
    {
        return WP_CONTENT_DIR . "/{$package['kind']}s/{$package['slug']}";
    }

    private function delivered(string $digest): string
    {
        return WP_CONTENT_DIR . '/' . self::DELIVERED . "$digest.zip";
    }

    private static function forgetCaches(): void
    {
        wp_clean_plugins_cache();
        wp_clean_themes_cache();
    }
}

/**
 * Digests the files of a directory: sha256 over "sha256-of-content  path" lines, ordered by path. The playbook does
 * the same (filter_plugins/packages.py). Returns null for what is not a directory; a link in it counts as another file.
 */
function tree_digest(string $directory): ?string
{
    if (is_link($directory) || !is_dir($directory)) {
        return null;
    }
    $lines = [];
    $waiting = [''];
    while ($waiting) {
        $folder = array_pop($waiting);
        foreach (array_diff(scandir("$directory/$folder"), ['.', '..']) as $name) {
            $path = "$directory/$folder$name";
            if (is_dir($path) && !is_link($path)) {
                $waiting[] = "$folder$name/";
            } else {
                $content = is_link($path) ? 'link' : (is_readable($path) ? hash_file('sha256', $path) : 'unreadable');
                $lines[] = [$folder . $name, "$content  $folder$name\n"];
            }
        }
    }
    usort($lines, static fn (array $a, array $b): int => strcmp($a[0], $b[0]));
    return hash('sha256', implode('', array_column($lines, 1)));
}
