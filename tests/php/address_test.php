<?php
/**
 * What becomes of a stored value when a site's address changes (roles/wordpress/files/address.php), without a database.
 *
 *     php address_test.php ADDRESS.PHP [WORD]
 *
 * WORD selects the cases with this word in their names. One line per case; the status is 1 if one failed, or if there were none.
 */

declare(strict_types=1);

namespace Pressdock;

final class Problem extends \RuntimeException
{
}

require $argv[1];
error_reporting(E_ALL);
set_error_handler(static function (int $level, string $message): never {
    throw new Problem($message);
});

/** An object of a class that the reconciler does not know when it reads it. */
class Buoy
{
    public mixed $light = 'https://old.example:8443/';
    protected mixed $colour = ['https://old.example:8443/rot'];
    private mixed $depth = 'tief: https://old.example:8443';
    public ?Buoy $next = null;

    public function __wakeup(): void
    {
        throw new Problem('an object was brought to life');
    }
}

enum Side: string
{
    case Port = 'https://old.example:8443/';
}

const OLD = 'https://old.example:8443';
const NEW_URL = 'https://www.new-and-longer.example';

/** Between ports of one host; away from the usual port; of a network's sub-domains; of an international name; below a path. */
$changes = [
    'usual' => ['old.example:8443' => 'www.new-and-longer.example'],
    'port' => ['old.example:8443' => 'old.example:9443'],
    'to port' => ['old.example' => 'old.example:8443'],
    'from none' => ['old.example' => 'new.example'],
    'longer' => ['example.test' => 'www.example.test'],
    'network' => ['old.example:1' => 'new.example:2', 'nord.old.example:1' => 'nord.new.example:2'],
    'international' => ['xn--kpt-qla.example' => 'new.example'],
    'path' => ['old.example/blog' => 'new.example'],
    'twice' => ['first.example' => 'third.example:3', 'second.example:2' => 'third.example:3'],
];
/** @var array<string, array{string, string, string}> $cases name to kind of change, value, expected value */
$cases = [];

// --- Text -----------------------------------------------------------------------------------------------------------

$follow = [
    'alone' => [OLD, NEW_URL],
    'with a slash' => [OLD . '/', NEW_URL . '/'],
    'with path, query and fragment' => [OLD . '/a/?b=c#d', NEW_URL . '/a/?b=c#d'],
    'with a query alone' => [OLD . '?p=1', NEW_URL . '?p=1'],
    'by http' => ['http://old.example:8443/a', NEW_URL . '/a'],
    'without a scheme' => ['<img src="//old.example:8443/a.png">', '<img src="' . NEW_URL . '/a.png">'],
    'without a scheme, as the whole value' => ['//old.example:8443', NEW_URL],
    'without a scheme, in a style' => ['url(//old.example:8443/a)', 'url(' . NEW_URL . '/a)'],
    'in other letters' => ['HTTPS://Old.Example:8443/A', NEW_URL . '/A'],
    'several' => [OLD . '/1 ' . OLD . '/2,' . OLD, NEW_URL . '/1 ' . NEW_URL . '/2,' . NEW_URL],
    'at the end of a sentence' => ['See ' . OLD . '. Then: ' . OLD . ', (' . OLD . ')!', 'See ' . NEW_URL . '. Then: ' . NEW_URL . ', (' . NEW_URL . ')!'],
    'before a colon' => [OLD . ': here', NEW_URL . ': here'],
    'in quotes of people' => ['„' . OLD . '“', '„' . NEW_URL . '“'],
    'in text without spaces' => ['请访问' . OLD . '网站。', '请访问' . NEW_URL . '网站。'],
    'before the end of a comment' => ['<!--' . OLD . '-->', '<!--' . NEW_URL . '-->'],
    'in HTML' => ['<a href="' . OLD . '/x">' . OLD . '/x</a>', '<a href="' . NEW_URL . '/x">' . NEW_URL . '/x</a>'],
    'before an entity' => ['&quot;' . OLD . '&quot;', '&quot;' . NEW_URL . '&quot;'],
    'beside invalid UTF-8' => ["\xff\xfe " . OLD . "/\xff", "\xff\xfe " . NEW_URL . "/\xff"],
    'beside zero bytes' => ["\0\1" . OLD . "\0", "\0\1" . NEW_URL . "\0"],
    'in JSON' => ['{"a":"https:\/\/old.example:8443\/x"}', '{"a":"https:\/\/www.new-and-longer.example\/x"}'],
    'in JSON with slashes' => ['{"a":"' . OLD . '/x"}', '{"a":"' . NEW_URL . '/x"}'],
    'in JSON in JSON' => [
        json_encode(['a' => json_encode(['b' => OLD . '/x'])]), json_encode(['a' => json_encode(['b' => NEW_URL . '/x'])]),
    ],
    'in JSON after a line end' => ['["a\nhttps:\/\/old.example:8443","\n\/\/old.example:8443"]',
        '["a\nhttps:\/\/www.new-and-longer.example","\nhttps:\/\/www.new-and-longer.example"]'],
    'in a block' => [
        '<!-- wp:x {"a":"\u003ca href=\u0022//old.example:8443/\u0022\u003ehttps://old.example:8443\u003c/a\u003e"} /-->',
        '<!-- wp:x {"a":"\u003ca href=\u0022' . NEW_URL . '/\u0022\u003e' . NEW_URL . '\u003c/a\u003e"} /-->',
    ],
    'encoded' => ['https://share.test/?u=' . urlencode(OLD . '/a b'), 'https://share.test/?u=' . urlencode(NEW_URL . '/a b')],
    'encoded in small letters' => ['?u=https%3a%2f%2fold.example%3a8443%2f', '?u=https%3a%2f%2fwww.new-and-longer.example%2f'],
    'encoded twice' => ['?u=' . urlencode('?v=' . urlencode(OLD . '/')), '?u=' . urlencode('?v=' . urlencode(NEW_URL . '/'))],
    'encoded without a scheme' => ['?u=%2F%2Fold.example%3A8443%2Fx', '?u=https%3A%2F%2Fwww.new-and-longer.example%2Fx'],
    'encoded in quotes, without a scheme' => ['%22%2F%2Fold.example%3A8443%22', '%22https%3A%2F%2Fwww.new-and-longer.example%22'],
    'slashes encoded alone' => ['?u=https:%2F%2Fold.example:8443%2F', '?u=https:%2F%2Fwww.new-and-longer.example%2F'],
    'in the middle of another address' => ['https://proxy.test/' . OLD . '/', 'https://proxy.test/' . NEW_URL . '/'],
];
foreach ($follow as $name => [$value, $expected]) {
    $cases["text follows: $name"] = ['usual', $value, $expected];
}
$stay = [
    'https://old.example:84430/', 'https://old.example:844', 'https://old.example/', 'https://old.example:443/', 'http://old.example',
    '//old.example/', 'https://old.example:8443.evil.test', 'https://old.example.test:8443/', 'https://sub.old.example:8443/',
    'https://bold.example:8443/', 'https://old.example:8443@evil.test/', 'ftp://old.example:8443/', 'wss://old.example:8443/',
    'old.example:8443', 'mail@old.example:8443', 'x//old.example:8443', '/path//old.example:8443', 'https:/old.example:8443',
    'https:///old.example:8443', 'https%3A%2F%2Fold.example%3A84430', 'https%3A%2F%2Fold.example%2F', 'https:\/\/old.example:84430\/',
    'ftp%3A%2F%2Fold.example%3A8443', 'https:\//old.example:8443', 'https://old.example:8443-x.test', '42', '', 'old.example',
    "https://old.\0example:8443", 'https://old.exampleü:8443',
];
foreach ($stay as $value) {
    $cases["text stays: $value"] = ['usual', $value, $value];
}
foreach ([
    'https://old.example.test.evil/', 'https://old.example:8443/', 'http://old.example:80/', 'https://old.example-x.test', 'https://old.example_x.test',
    'https://old.examples/', 'https://old.example.evil', 'https://old.example%2Eevil.test', 'https://user@old.example/', 'https://old.example@evil.test',
    'https://old.example:pass@evil.test', 'https%3A%2F%2Fold.example%40evil.test', 'https%3A%2F%2Fold.example%3A8443', 'https://old.exampleü.test',
    'https://old.example.ü.test', 'https://the-old.example/',
] as $value) {
    $cases["text stays, of the usual port: $value"] = ['from none', $value, $value];
}
$cases += [
    'another port' => ['port', OLD . '/ https%3A%2F%2Fold.example%3A8443', 'https://old.example:9443/ https%3A%2F%2Fold.example%3A9443'],
    'what has the other port already' => ['port', 'https://old.example:9443/', 'https://old.example:9443/'],
    'a port that was not there' => ['to port', 'https://old.example/ ?u=https%3A%2F%2Fold.example%2F //old.example https:\/\/old.example',
        'https://old.example:8443/ ?u=https%3A%2F%2Fold.example%3A8443%2F https://old.example:8443 https:\/\/old.example:8443'],
    'a port that is there already' => ['to port', 'https://old.example:8443/', 'https://old.example:8443/'],
    'a name that begins otherwise' => ['longer', 'https://example.test/ https://www.example.test/', 'https://www.example.test/ https://www.example.test/'],
    'a sub-domain of the network' => ['network', 'https://nord.old.example:1/ https://old.example:1/ http://süd.old.example:1 https://sued.old.example:1',
        'https://nord.new.example:2/ https://new.example:2/ http://süd.old.example:1 https://sued.old.example:1'],
    'an international name in both forms' => ['international', 'https://xn--kpt-qla.example/ https://käpt.example/ https://KÄPT.example',
        'https://new.example/ https://new.example/ https://new.example'],
    'a path' => ['path', 'https://old.example/blog/a https:\/\/old.example\/blog\/a https%3A%2F%2Fold.example%2Fblog https://old.example/blogs https://old.example/',
        'https://new.example/a https:\/\/new.example\/a https%3A%2F%2Fnew.example https://old.example/blogs https://old.example/'],
    'two old addresses' => ['twice', 'https://first.example/ https://second.example:2/ https://second.example/',
        'https://third.example:3/ https://third.example:3/ https://second.example/'],
];

// --- Serialised data ------------------------------------------------------------------------------------------------

$data = static fn (string $url): array => [
    'text' => "$url/",
    'texts' => [$url, ["$url/ü 漢 🦀", "„{$url}“"], 5 => ['deep' => [['deeper' => $url]]]],
    'numbers' => [0, -5, PHP_INT_MAX, 1.5, -1e25, 0.1, INF, -INF, true, false, null],
    'binary' => "\xff\0\"; \"$url\";}",
    'empty' => ['', [], '0'],
    "$url/key" => 1,
    'json' => json_encode(['a' => $url, 'b' => [1, "$url/\n"]]),
    'object' => (object) ['a' => $url, 'b' => (object) ["$url/name" => [$url]]],
    'serialised' => serialize(['a' => $url, 'b' => serialize(['ü' => $url, 'c' => serialize($url)])]),
    'serialised in JSON' => json_encode(['x' => serialize([$url, 'ü'])]),
];
foreach (array_keys($data('')) as $part) {
    $cases["serialised: $part"] = ['usual', serialize([$data(OLD)[$part] ?? OLD]), serialize([$data(NEW_URL)[$part] ?? NEW_URL])];
}
$cases['serialised: all of it'] = ['usual', serialize($data(OLD)), serialize($data(NEW_URL))];
$cases['serialised: all of it, twice'] = ['usual', serialize(serialize($data(OLD))), serialize(serialize($data(NEW_URL)))];
$cases['serialised: a text alone'] = ['usual', serialize(OLD), serialize(NEW_URL)];
$cases['serialised: space around it'] = ['usual', ' ' . serialize([OLD]) . "\n", ' ' . serialize([NEW_URL]) . "\n"];
$cases['serialised: nothing in it'] = ['usual', serialize(['old.example' => 'https://old.example:84430']), serialize(['old.example' => 'https://old.example:84430'])];
$cases['serialised: in JSON alone'] = ['usual', json_encode([serialize([OLD, "\0ü"])]), json_encode([serialize([NEW_URL, "\0ü"])])];
$cases['serialised: in JSON with slashes'] = ['usual', json_encode([serialize([OLD, 'ü'])], 320), json_encode([serialize([NEW_URL, 'ü'])], 320)];
$cases['serialised: two keys do not become one'] = ['usual', serialize([OLD => 1, NEW_URL => OLD]), serialize([OLD => 1, NEW_URL => NEW_URL])];

$buoy = new Buoy();
$buoy->next = new Buoy();
$shared = (object) ['url' => OLD];
// What PHP itself would write, had its objects the new address.
$moved = static fn (string $text): string => (string) preg_replace_callback('~s:\d+:"([^"]*)https://old\.example:8443([^"]*)"~', static fn (array $m): string
    => 's:' . strlen($m[1] . NEW_URL . $m[2]) . ":\"$m[1]" . NEW_URL . "$m[2]\"", $text);
$objects = [
    'of an unknown class' => serialize($buoy),
    'that are shared' => serialize([$shared, $shared, [&$shared->url]]),
    'of PHP' => serialize([new \ArrayObject([OLD]), new \SplObjectStorage(), new \DateTimeImmutable('2026-01-01')]),
    'beside a case' => serialize([Side::Port, OLD]),
    'of a class that is not there' => str_replace('Pressdock\Buoy', 'Nirgends\Da_XY', serialize($buoy)),
];
foreach ($objects as $name => $value) {
    $cases["serialised: objects $name"] = ['usual', $value, $moved($value)];
}
$inner = static fn (string $url): string => serialize([$url]);
$cases['serialised: an object that writes itself'] = ['usual', 'C:4:"Self":' . strlen($inner(OLD)) . ':{' . $inner(OLD) . '}',
    'C:4:"Self":' . strlen($inner(NEW_URL)) . ':{' . $inner(NEW_URL) . '}'];
$cases['serialised: deep'] = ['usual', str_repeat('a:1:{i:0;', 4000) . serialize(OLD) . str_repeat('}', 4000),
    str_repeat('a:1:{i:0;', 4000) . serialize(NEW_URL) . str_repeat('}', 4000)];

/** Names of cases whose old address stays, which is told. */
$told = [];
$whole = serialize(['a' => OLD, 'b' => 2]);
foreach ([
    'cut off' => substr($whole, 0, -1), 'cut off in a text' => substr($whole, 0, 44), 'a wrong length' => str_replace('s:24:', 's:25:', $whole),
    'one element too few' => str_replace('a:2:', 'a:3:', $whole), 'one too many' => str_replace('a:2:', 'a:1:', $whole),
    'something behind it' => $whole . ' and ' . OLD, 'no key' => 'a:1:{a:0:{}' . serialize(OLD) . '}',
    'an unknown kind' => 'a:1:{i:0;z:3;i:1;' . serialize(OLD) . '}', 'an impossible length' => 's:9999999999:"' . OLD . '";',
    'a negative number of elements' => 'a:-1:{' . serialize(OLD) . '}', 'too deep' => str_repeat('a:1:{i:0;', 5000) . serialize(OLD) . str_repeat('}', 5000),
    'an object that writes something else' => 'C:4:"Self":' . strlen('x:' . OLD) . ':{x:' . OLD . '}',
] as $name => $value) {
    $told[$case = "serialised, broken, stays: $name"] = true;
    $cases[$case] = str_contains($name, 'negative') ? ['usual', 'a:1:{i:0;' . $value . '}', 'a:1:{i:0;' . $value . '}'] : ['usual', $value, $value];
}
$told['serialised, broken inside, the rest follows'] = true;
$cases['serialised, broken inside, the rest follows'] = ['usual', serialize([substr($whole, 0, -1), OLD]), serialize([substr($whole, 0, -1), NEW_URL])];
$cases['serialised, broken, without an address'] = ['usual', 'a:2:{old.example', 'a:2:{old.example'];

// --- All of them ----------------------------------------------------------------------------------------------------

[$done, $failed, $began] = [0, 0, hrtime(true)];
foreach ($cases as $name => [$kind, $value, $expected]) {
    if (isset($argv[2]) && !str_contains($name, $argv[2])) {
        continue;
    }
    $done++;
    try {
        $change = new AddressChange($changes[$kind]);
        $written = $change->apply($value);
        $problem = match (true) {
            $written !== $expected => 'expected ' . substr(addcslashes($expected, "\0..\37"), 0, 400) . "\n      is       " . substr(addcslashes($written, "\0..\37"), 0, 400),
            $change->left !== isset($told[$name]) => 'does ' . ($change->left ? '' : 'not ') . 'tell that an address is left',
            // A run that was cut off goes over it again.
            $change->apply($written) !== $written => 'changes again the second time',
            default => null,
        };
    } catch (\Throwable $error) {
        $problem = get_class($error) . ': ' . $error->getMessage() . ' (' . basename($error->getFile()) . ":{$error->getLine()})";
    }
    echo ($problem === null ? 'ok    ' : 'FAIL  ') . addcslashes($name, "\0..\37") . ($problem === null ? '' : "\n      $problem") . "\n";
    $failed += (int) ($problem !== null);
}
printf("%d cases, %d failed, %.1f s\n", $done, $failed, (hrtime(true) - $began) / 1e9);
exit($failed || !$done ? 1 : 0);
