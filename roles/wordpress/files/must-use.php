<?php
/**
 * The operator's must-use plugins (mu_plugins, wordpress_mu_plugins): their files on the site's volume are what is declared. Others,
 * which somebody else has put there, stay. reconcile.php loads this file; pressdock.php loads the plugins.
 */

declare(strict_types=1);

namespace Pressdock;

/** Compares and repairs the files, and removes what was brought and is no longer declared. */
final class MustUse
{
    /** What was brought, and what of it pressdock.php loads; beside the files, for they are known without a database. */
    private const RECORD = '/.pressdock-must-use.json';

    public function __construct(private readonly Declaration $declared, private readonly Report $report)
    {
    }

    public function reconcile(): void
    {
        $directory = WP_CONTENT_DIR . '/mu-plugins';
        $files = array_map(static fn (string $text): string => (string) base64_decode($text, true), $this->declared->must_use['files'] ?? []);
        $record = $this->record();
        $wanted = ['files' => array_keys($files), 'loaded' => $this->declared->must_use['loaded'] ?? []];
        foreach (array_diff($record['files'], $wanted['files']) as $name) {
            if (file_exists("$directory/$name") || is_link("$directory/$name")) {
                $this->report->change("must-use plugin $name", 'brought by the playbook', null, static fn () => self::remove($directory, $name));
            }
        }
        // What would be removed later must be known before it is there.
        if (!$this->report->check && array_diff($wanted['files'], $record['files'])) {
            $this->remember(['files' => array_values(array_unique([...$record['files'], ...$wanted['files']])), 'loaded' => $record['loaded']]);
        }
        foreach ($files as $name => $content) {
            $path = "$directory/$name";
            $isOurs = is_file($path) && !is_link($path) && !$this->leadsElsewhere($directory, $name)
                && file_get_contents($path) === $content;
            if (!$isOurs) {
                $found = file_exists($path) || is_link($path) ? 'something else' : null;
                $this->report->change("must-use plugin $name", $found, 'as declared', static fn () => self::write($directory, $name, $content));
            } elseif ((fileperms($path) & 0777) !== 0644 && fileowner($path) === posix_geteuid()) {
                $mode = sprintf('%04o', fileperms($path) & 0777);
                $this->report->change("mode of must-use plugin $name", $mode, '0644', static fn () => chmod($path, 0644));
            }
        }
        if (!$this->report->check && $record !== $wanted) {
            $this->remember($wanted);
        }
    }

    /** @return array{files: list<string>, loaded: list<string>} */
    private function record(): array
    {
        $file = WP_CONTENT_DIR . self::RECORD;
        $record = is_file($file) ? json_decode((string) file_get_contents($file), true) : null;
        $lists = ['files' => [], 'loaded' => []];
        foreach (array_keys($lists) as $key) {
            foreach (is_array($record) && is_array($record[$key] ?? null) ? $record[$key] : [] as $name) {
                // Whoever may write the record must not have other files removed.
                if (is_string($name) && preg_match('#^[A-Za-z0-9]#', $name) && !in_array('..', explode('/', $name), true)) {
                    $lists[$key][] = $name;
                }
            }
        }
        return $lists;
    }

    /** @param array{files: list<string>, loaded: list<string>} $record */
    private function remember(array $record): void
    {
        $file = WP_CONTENT_DIR . self::RECORD;
        if (!$record['files']) {
            if (is_file($file)) {
                unlink($file);
            }
            return;
        }
        file_put_contents("$file.new", json_encode($record, JSON_THROW_ON_ERROR) . "\n");
        rename("$file.new", $file);
    }

    /** Says whether a directory on the way to a file is a link. */
    private function leadsElsewhere(string $directory, string $name): bool
    {
        for ($folder = dirname($name); $folder !== '.'; $folder = dirname($folder)) {
            if (is_link("$directory/$folder")) {
                return true;
            }
        }
        return false;
    }

    private static function write(string $directory, string $name, string $content): void
    {
        $folder = $directory;
        foreach (array_slice(explode('/', $name), 0, -1) as $part) {
            $folder .= "/$part";
            if (is_link($folder) || (file_exists($folder) && !is_dir($folder))) {
                unlink($folder);
            }
            is_dir($folder) || mkdir($folder, 0755);
        }
        $path = "$directory/$name";
        if (is_dir($path) && !is_link($path)) {
            remove_tree($path);
        }
        // Not a name that WordPress would load half written.
        $partial = dirname($path) . '/.' . basename($path) . '.new';
        file_put_contents($partial, $content);
        chmod($partial, 0644);
        rename($partial, $path);
    }

    private static function remove(string $directory, string $name): void
    {
        remove_tree("$directory/$name");
        for ($folder = dirname($name); $folder !== '.'; $folder = dirname($folder)) {
            $path = "$directory/$folder";
            if (is_link($path) || !is_dir($path) || array_diff(scandir($path) ?: [], ['.', '..'])) {
                return;
            }
            rmdir($path);
        }
    }
}
