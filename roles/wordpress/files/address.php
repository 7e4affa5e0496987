<?php
/**
 * The addresses in a site's content, a part of reconcile.php: when the declared address is another one than that which the
 * content was written with, every place in the site's tables follows.
 *
 * Which address the content has is recorded in an option. It is not read from home or siteurl: those are repaired whatever
 * they say, and somebody who changes one by hand has not moved the site. During a move the option lists the old address (after
 * several moves that were cut off: all of them) and the new one. It is written before the first place changes and is the last
 * thing that changes, so a killed run leaves what the next one needs in order to finish.
 */

declare(strict_types=1);

namespace Pressdock;

/** Addresses in one text become others: needs nothing of WordPress or of a database. */
final class AddressChange
{
    /** As it is, or as in an address that is part of another address; each may be encoded several times. */
    private const COLON = '(?:%(?:25)*+3A|:)';
    private const DOT = '(?:%(?:25)*+2E|\.)';
    /** As it is, as in JSON, or as in an address. */
    private const SLASH = '(?:%(?:25)*+2F|\\\\*+/)';
    /** What is written without spaces between words may directly follow an address. */
    private const SPACELESS = '\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}';
    /** PHP reads no deeper. */
    private const DEPTH = 4096;

    /** Whether the last text has an old address in a place that cannot be written: serialised data that PHP cannot read either. */
    public bool $left = false;

    /** @var array<string, string> host, port and path of each old address, in lower case, to the new host and port */
    private array $addresses = [];
    /** @var list<string> what every text with an old address contains */
    private array $hosts = [];
    /** @var list<string> for texts in UTF-8, and for others */
    private readonly array $patterns;

    /** @param array<string, string> $addresses old to new, without the scheme */
    public function __construct(array $addresses)
    {
        $found = [];
        foreach ($addresses as $old => $new) {
            preg_match('~^([^:/]+)(.*)$~', strtolower((string) $old), $part);
            // International names are declared in their xn-- form, but people write the other one as well.
            foreach (array_unique([$part[1], idn_to_utf8($part[1]) ?: $part[1]]) as $host) {
                $this->addresses[$host . $part[2]] = $new;
                $found[] = $host;
            }
        }
        $this->hosts = array_values(array_filter(array_unique($found), static fn (string $host): bool
            => !array_filter($found, static fn (string $other): bool => $other !== $host && str_contains($host, $other))));
        $this->patterns = [$this->pattern('\p{L}\p{N}\p{M}') . 'u', $this->pattern('a-z0-9')];
    }

    /** @return list<string> */
    public function hosts(): array
    {
        return $this->hosts;
    }

    /** Returns a stored value with the new addresses; serialised data keeps its form. */
    public function apply(string $value): string
    {
        $this->left = false;
        return $this->text($value, 0);
    }

    private function text(string $text, int $depth): string
    {
        if (!$this->mayHold($text)) {
            return $text;
        }
        $serialised = trim($text);
        if ($this->looksSerialised($serialised)) {
            $at = 0;
            $written = $this->value($serialised, $at, $depth);
            if ($written === null || $at !== strlen($serialised)) {
                return $this->leave($text);
            }
            $begin = strpos($text, $serialised);
            return substr($text, 0, $begin) . $written . substr($text, $begin + strlen($serialised));
        }
        // Lengths matter in JSON too if serialised data is in it.
        if (preg_match('/"(?:a:\d+:\{|[OCE]:\d+:|s:\d+:)/', $text) === 1 && is_array(json_decode($text, true))) {
            $written = preg_replace_callback('/"(?:[^"\\\\]++|\\\\.)*+"/s', fn (array $match): string
                => $this->jsonText($match[0], $depth), $text);
            return $written ?? $this->leave($text);
        }
        return $this->plain($text);
    }

    private function jsonText(string $json, int $depth): string
    {
        $text = (string) json_decode($json);
        if (!$this->looksSerialised(trim($text))) {
            return $this->plain($json);
        }
        $written = $this->text($text, $depth + 1);
        return $written === $text ? $json : json_encode($written, (str_contains($json, '\/') ? 0 : JSON_UNESCAPED_SLASHES)
            | (str_contains($json, '\u') ? 0 : JSON_UNESCAPED_UNICODE) | JSON_THROW_ON_ERROR);
    }

    private function mayHold(string $text): bool
    {
        foreach ($this->hosts as $host) {
            if (stripos($text, $host) !== false) {
                return true;
            }
        }
        return false;
    }

    private function leave(string $text): string
    {
        $this->left = $this->left || $this->plain($text) !== $text;
        return $text;
    }

    // --- Serialised data: not by unserialize(), which needs the classes of its objects and may run their code ---------

    private function looksSerialised(string $text): bool
    {
        return preg_match('/^(?:a:\d+:\{|[OCE]:\d+:"|s:\d+:")/', $text) === 1;
    }

    /** Reads the value that begins at $at and moves $at behind it; returns it with the new addresses, null if it is broken. */
    private function value(string $data, int &$at, int $depth): ?string
    {
        if ($depth > self::DEPTH) {
            return null;
        }
        $simple = '/\G(?:N;|b:[01];|[irR]:[+-]?\d+;|d:(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[Ee][+-]?\d+)?|-?INF|NAN);)/';
        if (preg_match($simple, $data, $match, 0, $at) === 1) {
            $at += strlen($match[0]);
            return $match[0];
        }
        $kind = substr($data, $at, 2);
        $at += 2;
        switch ($kind) {
            case 's:':
                $text = $this->counted($data, $at);
                return $text === null || !$this->expect(';', $data, $at) ? null : $this->stringOf($this->text($text, $depth + 1)) . ';';
            case 'E:':
                $name = $this->counted($data, $at);
                return $name === null || !$this->expect(';', $data, $at) ? null : 'E:' . substr($this->stringOf($name), 2) . ';';
            case 'a:':
                $elements = $this->elements($data, $at, $depth);
                return $elements === null ? null : "a:$elements";
            case 'O:':
                $class = $this->counted($data, $at);
                if ($class === null || !$this->expect(':', $data, $at)) {
                    return null;
                }
                $elements = $this->elements($data, $at, $depth);
                return $elements === null ? null : 'O:' . substr($this->stringOf($class), 2) . ":$elements";
            case 'C:':
                return $this->custom($data, $at, $depth);
            default:
                return null;
        }
    }

    /** Reads {key value ...} with the number of pairs before it: an array's elements, or an object's properties. */
    private function elements(string $data, int &$at, int $depth): ?string
    {
        if (preg_match('/\G(\d{1,9}):\{/', $data, $match, 0, $at) !== 1) {
            return null;
        }
        $at += strlen($match[0]);
        $pairs = [];
        $keys = [];
        for ($count = (int) $match[1]; $count > 0; $count--) {
            if (preg_match('/\Gi:-?\d+;/', $data, $number, 0, $at) === 1) {
                $at += strlen($number[0]);
                $key = $number[0];
            } else {
                $at += 2;
                $key = substr($data, $at - 2, 2) === 's:' ? $this->counted($data, $at) : null;
                if ($key === null || !$this->expect(';', $data, $at)) {
                    return null;
                }
                $key = $this->stringOf($key) . ';';
            }
            $value = $this->value($data, $at, $depth + 1);
            if ($value === null) {
                return null;
            }
            $keys[$key] = true;
            $pairs[] = [$key, $value];
        }
        if (!$this->expect('}', $data, $at)) {
            return null;
        }
        $written = '';
        foreach ($pairs as [$key, $value]) {
            if ($key[0] === 's') {
                $old = substr($key, strpos($key, '"') + 1, -2);
                $new = $this->stringOf($this->plain($old)) . ';';
                // Two elements must not become one.
                if (!isset($keys[$new])) {
                    $keys[$new] = true;
                    $key = $new;
                }
            }
            $written .= $key . $value;
        }
        return "$match[1]:{{$written}}";
    }

    /** An object that writes itself: what it writes can be followed if that is a serialised value as well. */
    private function custom(string $data, int &$at, int $depth): ?string
    {
        $class = $this->counted($data, $at);
        if ($class === null || preg_match('/\G:(\d{1,10}):\{/', $data, $match, 0, $at) !== 1) {
            return null;
        }
        $at += strlen($match[0]);
        $content = substr($data, $at, (int) $match[1]);
        $at += strlen($content);
        if (strlen($content) !== (int) $match[1] || !$this->expect('}', $data, $at)) {
            return null;
        }
        $inner = 0;
        $written = $this->value($content, $inner, $depth + 1);
        if ($written === null || $inner !== strlen($content)) {
            $written = $this->leave($content);
        }
        return 'C:' . substr($this->stringOf($class), 2) . ':' . strlen($written) . ":{{$written}}";
    }

    /** Reads LENGTH:"..." and returns what is between the quotes. */
    private function counted(string $data, int &$at): ?string
    {
        if (preg_match('/\G(\d{1,10}):"/', $data, $match, 0, $at) !== 1) {
            return null;
        }
        $begin = $at + strlen($match[0]);
        $at = $begin + (int) $match[1];
        return $this->expect('"', $data, $at) ? substr($data, $begin, (int) $match[1]) : null;
    }

    private function expect(string $byte, string $data, int &$at): bool
    {
        return ($data[$at++] ?? '') === $byte;
    }

    private function stringOf(string $text): string
    {
        return 's:' . strlen($text) . ":\"$text\"";
    }

    // --- Text -----------------------------------------------------------------------------------------------------------

    private function plain(string $text): string
    {
        if (!$this->mayHold($text)) {
            return $text;
        }
        foreach ($this->patterns as $pattern) {
            $written = preg_replace_callback($pattern, $this->rewritten(...), $text);
            if ($written !== null) {
                return $written;
            }
            if (preg_last_error() !== PREG_BAD_UTF8_ERROR) {
                break;
            }
        }
        throw new Problem('address: a text of ' . strlen($text) . ' bytes could not be searched: ' . preg_last_error_msg());
    }

    /** @param array<string> $match */
    private function rewritten(array $match): string
    {
        ['colon' => $colon, 'slash' => $slash, 'address' => $address] = $match;
        if ($colon === '') {
            $colon = $slash[0] === '%' ? substr($slash, 0, -2) . '3A' : ':';
        }
        $old = (string) preg_replace(['~' . self::COLON . '~i', '~' . self::SLASH . '~i'], [':', '/'], $address);
        return "https$colon$slash$slash" . str_replace(':', $colon, $this->addresses[mb_strtolower($old)]);
    }

    /** @param string $letters what continues a name, for a character class */
    private function pattern(string $letters): string
    {
        // The longest first: a path is part of the address.
        $addresses = array_map(strval(...), array_keys($this->addresses));
        usort($addresses, static fn (string $one, string $other): int => strlen($other) <=> strlen($one));
        $addresses = implode('|', array_map(static fn (string $address): string
            => str_replace(['\:', '/'], [self::COLON, self::SLASH], preg_quote($address, '~')), $addresses));
        $word = '(?:[a-z0-9]|(?![' . self::SPACELESS . "])[$letters])";
        // An address may begin with its slashes, but not in the middle of another one or of a path. The letters of an escaped
        // line end, quote or bracket are not letters.
        $start = "(?:(?<![$letters\\w:/\\\\%.\\~+-])|(?<=\\\\[nrt])|(?<=\\\\u00[0-9a-f]{2})"
            . '|(?<=%(?:0A|20|22|26|27|28|2C|3D|3E))|(?<=%25(?:0A|20|22|26|27|28|2C|3D|3E)))';
        // Neither a longer name, nor another port, nor a user's name at another host.
        $end = "(?![-_]*+$word)(?!" . self::DOT . "[-_]*+[a-z0-9$letters])(?!" . self::COLON . '\d)'
            . '(?!(?:' . self::COLON . '[^\s/@"\'<>\\\\%&]*+)?(?:@|%(?:25)*+40))';
        return '~(?:https?(?<colon>' . self::COLON . ")|$start)(?<slash>" . self::SLASH . ")\\k<slash>(?<address>$addresses)$end~i";
    }
}

/** The site's tables: whatever has an address of the site in a column of text. */
final class Address
{
    private const RECORD = 'pressdock_addresses';
    /** Rows in a transaction. */
    private const BATCH = 200;
    /** How often a batch is tried that met another writer (deadlock, lock wait timeout). */
    private const ATTEMPTS = 5;
    /** Keys of rows that are named. */
    private const NAMED = 5;

    /** @var ?list<string> */
    private ?array $recorded = null;
    /** @var list<string> addresses that the content may have and shall not have */
    private array $old = [];
    private readonly AddressChange $change;
    /** @var array<string, \mysqli_stmt> */
    private array $statements = [];

    public function __construct(
        private readonly Declaration $declared,
        private readonly Report $report,
        private readonly \mysqli $connection,
        private readonly string $prefix,
        private readonly Network $network,
    ) {
        // As WordPress reads and writes: lengths in serialised data are of these bytes.
        $this->connection->set_charset('utf8mb4');
    }

    /** Finds out whether the site moves, and records it before anything has the new address. The site is installed. */
    public function begin(): void
    {
        $record = $this->option(self::RECORD);
        $recorded = json_decode((string) $record, true);
        $this->recorded = is_array($recorded) && $recorded ? array_values(array_filter($recorded, is_string(...))) : null;
        $known = $this->recorded ?? [$this->option('home'), $this->option('siteurl')];
        $known = array_map(static fn (?string $url): string => rtrim((string) $url, '/'), $known);
        $this->old = array_values(array_unique(array_filter($known, fn (string $url): bool
            => $url !== $this->declared->url && preg_match('~^https?://[^\s/?#@:]+(:\d+)?(/[^\s?#]*)?$~iD', $url) === 1)));
        if ($this->old && !$this->report->check) {
            $this->record([...$this->old, $this->declared->url]);
        }
    }

    /** Lets the content follow; everything that the run declares by itself has been written. */
    public function follow(): void
    {
        $this->strictly($this->followAll(...));
    }

    /** Notes the address of a site that has just been installed with it. */
    public function remember(): void
    {
        $this->strictly(fn () => $this->record([$this->declared->url]));
    }

    /** Makes a refused query an exception again: WordPress, which has been loaded, tells none of all connections. */
    private function strictly(callable $function): void
    {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
        try {
            $function();
        } finally {
            mysqli_report(MYSQLI_REPORT_OFF);
        }
    }

    private function followAll(): void
    {
        $here = $this->declared->url;
        if (!$this->old) {
            if ($this->recorded !== [$here]) {
                $this->report->change('address that the content has', $this->recorded, [$here], fn () => $this->record([$here]));
            }
            return;
        }
        $this->change = new AddressChange($this->changes());
        $before = count($this->report->changes);
        foreach ($this->tables() as $table => $columns) {
            $this->followTable($table, $columns);
        }
        if (count($this->report->changes) === $before) {
            // The last run was killed between its last change and its end.
            $this->report->count('address', $this->from(), $here, 0);
        }
        if (!$this->report->check) {
            wp_cache_flush();
            flush_plugin_cache();
            $this->record([$here]);
        }
    }

    private function from(): string
    {
        return implode(', ', $this->old);
    }

    /** @return array<string, string> old to new without the scheme: the site's, and those of its sub-domains */
    private function changes(): array
    {
        $new = authority($this->declared->url);
        $labels = [];
        $olds = array_map(static fn (string $url): string => (string) preg_replace('~^https?://~i', '', $url), $this->old);
        if ($this->network->type() === 'subdomain') {
            // A check run sees the sub-sites' old addresses there, others the new ones.
            foreach (array_column($this->rows("SELECT domain FROM `{$this->prefix}blogs`"), 0) as $domain) {
                foreach ([...$olds, $new] as $parent) {
                    if (str_ends_with($domain, ".$parent")) {
                        $labels[substr($domain, 0, -strlen($parent))] = true;
                    }
                }
            }
        }
        $changes = [];
        foreach ($olds as $old) {
            foreach (['', ...array_keys($labels)] as $label) {
                $changes[$label . $old] = $label . $new;
            }
        }
        return $changes;
    }

    private function option(string $name): ?string
    {
        return $this->rows("SELECT option_value FROM `{$this->prefix}options` WHERE option_name = ?", [$name])[0][0] ?? null;
    }

    /** @param list<string> $addresses */
    private function record(array $addresses): void
    {
        $this->connection->execute_query(
            "INSERT INTO `{$this->prefix}options` (option_name, option_value, autoload) VALUES (?, ?, 'off')"
            . ' ON DUPLICATE KEY UPDATE option_value = VALUES(option_value)',
            [self::RECORD, json_encode($addresses, JSON_UNESCAPED_SLASHES)],
        );
    }

    /** @return array<string, list<array<string, mixed>>> the columns of each table of the site */
    private function tables(): array
    {
        $columns = $this->connection->execute_query(
            'SELECT c.TABLE_NAME AS in_table, c.COLUMN_NAME AS name, c.CHARACTER_SET_NAME AS charset, c.DATA_TYPE AS type,'
            . ' c.CHARACTER_MAXIMUM_LENGTH AS length, c.CHARACTER_OCTET_LENGTH AS bytes, c.EXTRA AS extra, c.IS_GENERATED AS generated'
            . ' FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)'
            . " WHERE c.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
        )->fetch_all(MYSQLI_ASSOC);
        $tables = [];
        foreach ($columns as $column) {
            if (str_starts_with($column['in_table'], $this->prefix)) {
                $tables[$column['in_table']][] = $column;
            }
        }
        return $tables;
    }

    /** @param list<array<string, mixed>> $columns */
    private function followTable(string $table, array $columns): void
    {
        $this->statements = [];
        $texts = array_filter($columns, fn (array $column): bool => $column['charset'] !== null && $column['generated'] === 'NEVER'
            && in_array($column['type'], ['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext'], true)
            // Feed readers know a post by it, whatever its address: it never changes.
            && !($column['name'] === 'guid' && $this->isTable($table, 'posts')));
        if (!$texts) {
            return;
        }
        $texts = array_column($texts, null, 'name');
        $filter = $this->having(array_map(static fn (array $column): string => $column['charset'], $texts)) . $this->except($table);
        $this->dropTransients($table);
        [$keys, $unique] = $this->keys($table, $columns);
        // What the database sets by itself whenever a row changes stays as it is.
        $kept = array_map(static fn (array $column): string => "`{$column['name']}` = `{$column['name']}`",
            array_filter($columns, static fn (array $column): bool => str_contains(strtolower($column['extra']), 'on update')));
        $changed = [];
        $left = [];
        $last = null;
        do {
            [$last, $more] = $this->batch($table, $texts, $keys, $unique, $kept, $filter, $last, $changed, $left);
        } while ($more);
        foreach (array_keys($texts) as $column) {
            if (isset($changed[$column])) {
                $this->report->count("address in $table.$column", $this->from(), $this->declared->url, $changed[$column]);
            }
            foreach ($left[$column] ?? [] as $reason => $rows) {
                $named = implode('; ', array_slice($rows, 0, self::NAMED)) . (count($rows) > self::NAMED ? '; ...' : '');
                $this->report->count("address in $table.$column: left alone, $reason ($named)", null, null, count($rows));
            }
        }
    }

    /**
     * Handles the next rows of a table in one transaction; returns the last one's key, and whether there may be more.
     *
     * @param array<string, array<string, mixed>> $texts
     * @param list<string> $keys
     * @param list<array<string, ?int>> $unique
     * @param list<string> $kept
     * @param ?list<mixed> $last
     * @param array<string, int> $changed
     * @param array<string, array<string, list<string>>> $left
     * @return array{?list<mixed>, bool}
     */
    private function batch(string $table, array $texts, array $keys, array $unique, array $kept, string $filter, ?array $last,
        array &$changed, array &$left): array
    {
        $attempt = 0;
        while (true) {
            $attempt++;
            [$batch_changed, $batch_left] = [$changed, $left];
            try {
                $this->report->check || $this->connection->begin_transaction();
                $list = implode(', ', $keys);
                $marks = implode(', ', array_fill(0, count($keys), '?'));
                // Equal rows without a key are one.
                $rows = $this->rows("SELECT DISTINCT $list FROM `$table` WHERE $filter" . ($last === null ? '' : " AND ($list) > ($marks)")
                    . " ORDER BY $list LIMIT " . self::BATCH, $last ?? []);
                foreach ($rows as $key) {
                    $this->row($table, $texts, $keys, $unique, $kept, $key, $batch_changed, $batch_left);
                }
                $this->report->check || $this->connection->commit();
                [$changed, $left] = [$batch_changed, $batch_left];
                return [end($rows) ?: null, count($rows) === self::BATCH];
            } catch (\mysqli_sql_exception $error) {
                if (!in_array($error->getCode(), [1205, 1213], true) || $attempt === self::ATTEMPTS) {
                    throw $error;
                }
                $this->connection->rollback();
            }
        }
    }

    /**
     * @param array<string, array<string, mixed>> $texts
     * @param list<string> $keys
     * @param list<array<string, ?int>> $unique
     * @param list<string> $kept
     * @param list<mixed> $key
     * @param array<string, int> $changed
     * @param array<string, array<string, list<string>>> $left
     */
    private function row(string $table, array $texts, array $keys, array $unique, array $kept, array $key, array &$changed,
        array &$left): void
    {
        $here = implode(' AND ', array_map(static fn (string $name): string => "$name = ?", $keys));
        $names = implode(', ', array_map(static fn (string $name): string => "`$name`", array_keys($texts)));
        // Nobody else writes between this reading and the writing: a request would lose what it has just saved.
        $query = "SELECT $names FROM `$table` WHERE $here LIMIT 1" . ($this->report->check ? '' : ' FOR UPDATE');
        $found = $this->rows($query, $key)[0] ?? null;
        if ($found === null) {
            return;
        }
        $shown = implode(', ', array_map(strval(...), $key));
        $new = [];
        foreach (array_combine(array_keys($texts), $found) as $column => $value) {
            $written = $value === null ? null : $this->change->apply($value);
            if ($value !== null && $this->change->left) {
                $left[$column]['because the serialised data cannot be read'][] = $shown;
            }
            if ($written === $value) {
                continue;
            }
            $room = str_ends_with($texts[$column]['type'], 'text') ? strlen($written) - $texts[$column]['bytes']
                : mb_strlen($written) - $texts[$column]['length'];
            if ($room > 0) {
                $left[$column]['because the new one does not fit'][] = $shown;
                continue;
            }
            $new[$column] = $written;
        }
        if (!$new) {
            return;
        }
        $taken = $this->taken($table, $keys, $unique, $key, $new);
        if (!$taken && !$this->report->check) {
            $sets = [...array_map(static fn (string $name): string => "`$name` = ?", array_keys($new)), ...$kept];
            try {
                $this->execute("UPDATE `$table` SET " . implode(', ', $sets) . " WHERE $here", [...array_values($new), ...$key]);
            } catch (\mysqli_sql_exception $error) {
                if ($error->getCode() !== 1062) {
                    throw $error;
                }
                $taken = true;
            }
        }
        foreach (array_keys($new) as $column) {
            if ($taken) {
                $left[$column]['because another row has the new one'][] = $shown;
            } else {
                $changed[$column] = ($changed[$column] ?? 0) + 1;
            }
        }
    }

    /**
     * Says whether a row with the new values would be the second one of its kind.
     *
     * @param list<string> $keys
     * @param list<array<string, ?int>> $unique
     * @param list<mixed> $key
     * @param array<string, string> $new
     */
    private function taken(string $table, array $keys, array $unique, array $key, array $new): bool
    {
        foreach ($unique as $columns) {
            if (!array_intersect_key($columns, $new)) {
                continue;
            }
            $same = [];
            $values = [];
            foreach ($columns as $column => $length) {
                // Of a long column the index may have the beginning alone.
                $part = static fn (string $text): string => $length === null ? $text : "LEFT($text, $length)";
                $same[] = $part("other.`$column`") . ' = ' . $part(isset($new[$column]) ? '?' : "this.`$column`");
                if (isset($new[$column])) {
                    $values[] = $new[$column];
                }
            }
            [$here, $elsewhere] = array_map(static fn (string $row): string
                => implode(' AND ', array_map(static fn (string $name): string => "$row.$name = ?", $keys)), ['this', 'other']);
            $query = "SELECT 1 FROM `$table` this JOIN `$table` other ON " . implode(' AND ', $same);
            if ($this->rows("$query WHERE $here AND NOT ($elsewhere) LIMIT 1", [...$values, ...$key, ...$key])) {
                return true;
            }
        }
        return false;
    }

    /**
     * Returns what tells a table's rows apart, its primary key or else a digest of the whole row; and its unique indexes.
     *
     * @param list<array<string, mixed>> $columns
     * @return array{list<string>, list<array<string, ?int>>} of an index its columns, with how much of each it has
     */
    private function keys(string $table, array $columns): array
    {
        $unique = [];
        $rows = $this->rows('SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()'
            . ' AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX', [$table]);
        foreach ($rows as [$index, $column, $length]) {
            $unique[$index][$column] = $length;
        }
        if (isset($unique['PRIMARY'])) {
            $names = array_keys($unique['PRIMARY']);
            return [array_map(static fn (string $name): string => "`$name`", $names), array_values($unique)];
        }
        $parts = array_map(static fn (array $column): string => "COALESCE(HEX(CAST(`{$column['name']}` AS BINARY)), '-')", $columns);
        // Nothing to compare such rows by: the database refuses a second one by itself.
        return [["MD5(CONCAT_WS(',', " . implode(', ', $parts) . '))'], []];
    }

    /** @param array<string, string> $columns with their character sets */
    private function having(array $columns): string
    {
        $conditions = [];
        foreach ($columns as $column => $charset) {
            // A conversion would cost the server a copy of every value.
            $text = $charset === 'utf8mb4' ? "`$column`" : "CONVERT(`$column` USING utf8mb4)";
            foreach ($this->change->hosts() as $host) {
                $host = $this->connection->real_escape_string($host);
                $conditions[] = "LOCATE('$host', $text COLLATE utf8mb4_general_ci) > 0";
            }
        }
        return '(' . implode(' OR ', $conditions) . ')';
    }

    /** Returns a condition for rows that are not content: what is declared by itself, this file's record, transients. */
    private function except(string $table): string
    {
        if ($this->isTable($table, 'options')) {
            $names = ['home', 'siteurl'];
            if ($table === "{$this->prefix}options") {
                $names = [self::RECORD, ...array_keys(Declaration::DECLARED_ELSEWHERE), ...array_keys($this->declared->options)];
            }
            return $this->exceptNames('option_name', $names);
        }
        return $table === "{$this->prefix}sitemeta" ? $this->exceptNames('meta_key', ['siteurl']) : '';
    }

    /** @param list<int|string> $names */
    private function exceptNames(string $column, array $names): string
    {
        $quoted = array_map(fn (int|string $name): string => "'" . $this->connection->real_escape_string((string) $name) . "'", $names);
        return " AND `$column` NOT IN (" . implode(', ', $quoted) . ") AND `$column` NOT LIKE '\\_transient\\_%'"
            . " AND `$column` NOT LIKE '\\_site\\_transient\\_%'";
    }

    /** Deletes what a site only keeps for a while and makes again, where it has the old address. */
    private function dropTransients(string $table): void
    {
        [$name, $value] = match (true) {
            $this->isTable($table, 'options') => ['option_name', 'option_value'],
            $table === "{$this->prefix}sitemeta" => ['meta_key', 'meta_value'],
            default => [null, null],
        };
        if ($name === null) {
            return;
        }
        $rows = $this->rows("SELECT `$name` FROM `$table` WHERE " . $this->having([$value => ''])
            . " AND (`$name` LIKE '\\_transient\\_%' OR `$name` LIKE '\\_site\\_transient\\_%')");
        if (!$rows) {
            return;
        }
        $this->report->count("address in transients of $table", 'stored', 'deleted', count($rows));
        foreach ($this->report->check ? [] : array_column($rows, 0) as $transient) {
            $timeout = preg_replace('/^(_site)?_transient_/', '$1_transient_timeout_', $transient);
            $this->execute("DELETE FROM `$table` WHERE `$name` IN (?, ?)", [$transient, $timeout]);
        }
    }

    /** Says whether this is one of WordPress's tables, of the main site or of a sub-site. */
    private function isTable(string $table, string $name): bool
    {
        return preg_match('/^' . preg_quote($this->prefix, '/') . '(\d+_)?' . $name . '$/D', $table) === 1;
    }

    /**
     * @param list<mixed> $values
     * @return list<list<mixed>>
     */
    private function rows(string $query, array $values = []): array
    {
        $result = $this->execute($query, $values)->get_result();
        $rows = $result->fetch_all();
        $result->free();
        return $rows;
    }

    /** @param list<mixed> $values */
    private function execute(string $query, array $values): \mysqli_stmt
    {
        $statement = $this->statements[$query] ??= $this->connection->prepare($query);
        $statement->execute($values);
        return $statement;
    }
}
