<?php
/**
 * Judges what is declared of each site's PHP while an image is built: FPM must take it, and PHP must have, of every setting, exactly
 * what was declared. Prints what is wrong, each line with the variable, and ends with status 1; or else the sites that are right.
 *
 *     php judge.php judgements.json       written by the filter php_judgements
 */

declare(strict_types=1);

/** Functions that can be switched off where PHP does not have them: FPM, other builds and other extensions. */
const ELSEWHERE = '/^(pcntl_|posix_|imap_|apache_|virtual$|dl$|opcache_|expect_|ssh2_|socket_)/';
const ASK = 'echo json_encode([ini_get_all(null, false), get_defined_functions(false)["internal"], get_loaded_extensions()]);';

/**
 * @param list<string> $command
 * @return array{int, string, string} status, output, errors
 */
function run(array $command, string $scanned, string $disabled): array
{
    $process = proc_open($command, [['file', '/dev/null', 'r'], ['file', '/tmp/out', 'w'], ['file', '/tmp/err', 'w']], $pipes, null,
        ['PATH' => (string) getenv('PATH'), 'PHP_INI_SCAN_DIR' => $scanned, 'PHP_DISABLED_FUNCTIONS' => $disabled]);
    return [$process ? proc_close($process) : 1, (string) file_get_contents('/tmp/out'), (string) file_get_contents('/tmp/err')];
}

/** @param list<string> $names */
function nearest(string $name, array $names): string
{
    $distances = [];
    foreach ($names as $other) {
        $distances[$other] = levenshtein($name, $other);
    }
    asort($distances);
    $first = (string) array_key_first($distances);
    return $distances && reset($distances) <= 3 ? ", did you mean $first?" : '';
}

/** @var array<string, array<string, mixed>> $sites */
$sites = json_decode((string) file_get_contents($argv[1]), true, 16, JSON_THROW_ON_ERROR);
$problems = [];
@mkdir('/tmp/judged-ini');
foreach ($sites as $name => $site) {
    file_put_contents('/tmp/judged-ini/php.ini', $site['ini']);
    $directories = array_map(static fn (string $extension): string => "/etc/wordpress/extensions/$extension", $site['extensions']);
    $scanned = implode(':', ['', '/etc/wordpress', ...$directories, '/tmp/judged-ini']);
    $fpm = run(['php-fpm', '--test', '--fpm-config', '/etc/wordpress/php-fpm.conf'], $scanned, implode(',', $site['disabled']));
    if ($fpm[0] !== 0 || preg_match('/PHP Warning|PHP: |syntax error/', $fpm[1] . $fpm[2])) {
        $found = array_filter(explode("\n", $fpm[1] . "\n" . $fpm[2]), static fn (string $line): bool => !str_contains($line, 'test is successful'));
        $problems[] = "wordpress_sites.$name: php-fpm refuses what php_ini (or wordpress_php_ini) or php_extensions declare: "
            . trim(implode(' ', $found));
        continue;
    }
    [$status, $output] = run(['php', '-r', ASK], $scanned, '');
    [$settings, $functions, $extensions] = $status === 0 ? json_decode($output, true) : [[], [], []];
    foreach ($site['extensions'] as $extension) {
        if (!in_array($extension, array_map('strtolower', $extensions), true)) {
            $problems[] = "wordpress_sites.$name: php_extensions: $extension: PHP does not load it";
        }
    }
    foreach ($site['settings'] as $setting => ['place' => $place, 'value' => $value]) {
        if (!array_key_exists($setting, $settings)) {
            $problems[] = "$place.$setting: PHP has no such setting" . nearest($setting, array_keys($settings));
        } elseif ((string) $settings[$setting] !== $value) {
            $problems[] = "$place.$setting: PHP makes \"{$settings[$setting]}\" of it";
        }
    }
    $place = $site['functions'] === null ? 'wordpress_php_disabled_functions' : "wordpress_sites.$name.php_disabled_functions";
    foreach ($site['disabled'] as $function) {
        // PHP would say nothing, and the function that was meant would stay.
        if (!in_array($function, $functions, true) && !preg_match(ELSEWHERE, $function)) {
            $problems[] = "$place: $function: PHP has no such function" . nearest($function, $functions);
        }
    }
}
echo $problems ? implode("\n", array_unique($problems)) : implode("\n", array_keys($sites)), "\n";
exit($problems ? 1 : 0);
