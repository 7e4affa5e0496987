<?php
/**
 * Addresses of other containers, for as long as the engine is away.
 *
 * The engine's own name server tells them, and falls silent with the engine, while the containers run on. What it said last is
 * remembered in a file without content for each name: its modification time is no time but the address, its access time is when the
 * name server was asked last. (Such files are made in one step, and also when /tmp is full.)
 */

declare(strict_types=1);

namespace Pressdock;

/** Seconds for which an address is used before it is asked for again: less than container_address_lifetime. */
const ADDRESS_LIFETIME = 2;
/** Seconds that the name server may take; it is in this container. */
const NAME_SERVER_PATIENCE = 0.2;
const REMEMBERED_ADDRESS = '/tmp/.pressdock-address-';

/** Returns a host's address, the last known one where there is no answer; null if there has been none. */
function address_of(string $name): ?string
{
    $file = REMEMBERED_ADDRESS . $name;
    clearstatcache(true, $file);
    $known = is_file($file) ? (string) long2ip((int) filemtime($file)) : null;
    if ($known !== null && abs(time() - (int) fileatime($file)) < ADDRESS_LIFETIME) {
        return $known;
    }
    $address = asked_address($name) ?? $known;
    if ($address !== null) {
        // If that fails, the next one asks.
        @touch($file, (int) ip2long($address), time());
    }
    return $address;
}

/** Returns HOST or HOST:PORT with the host's address in place of its name; as it is where that is none, or not known. */
function with_address(string $server): string
{
    if (!preg_match('/^([a-z0-9][a-z0-9._-]*)((?::[0-9]+)?)$/iD', $server, $parts)
        || $parts[1] === 'localhost' || filter_var($parts[1], FILTER_VALIDATE_IP)) {
        return $server;
    }
    return (address_of($parts[1]) ?? $parts[1]) . $parts[2];
}

/**
 * Asks the name server. PHP's own look-up cannot be given a time limit, and the name of a container that is gone takes that server ten
 * seconds.
 */
function asked_address(string $name): ?string
{
    set_error_handler(static fn (): bool => true);
    try {
        $socket = stream_socket_client('udp://127.0.0.11:53', $number, $message, NAME_SERVER_PATIENCE);
        if (!$socket) {
            return null;
        }
        stream_set_timeout($socket, 0, (int) (NAME_SERVER_PATIENCE * 1e6));
        $id = random_bytes(2);
        $labels = implode('', array_map(static fn (string $label): string => pack('Ca*', strlen($label), $label), explode('.', $name)));
        // RFC 1035, 4.1. Header: recursion desired, one question; the question: type A, class IN.
        $question = "$labels\0\0\1\0\1";
        fwrite($socket, $id . "\1\0\0\1\0\0\0\0\0\0" . $question);
        $reply = (string) fread($socket, 1500);
        return str_starts_with($reply, $id) ? address_in($reply, 12 + strlen($question)) : null;
    } finally {
        restore_error_handler();
    }
}

/** Returns the first address in a name server's reply, whose records begin at the offset. */
function address_in(string $reply, int $offset): ?string
{
    while ($offset < strlen($reply)) {
        // A name is labels up to an empty one or up to a reference of two bytes.
        for (; ($length = ord($reply[$offset] ?? "\0")) > 0 && $length < 0xc0; $offset += 1 + $length);
        $offset += $length === 0 ? 1 : 2;
        if (strlen($reply) < $offset + 10) {
            break;
        }
        ['type' => $type, 'length' => $length] = unpack('ntype/nclass/Nlifetime/nlength', $reply, $offset);
        $offset += 10 + $length;
        if ($type === 1 && $length === 4 && $offset <= strlen($reply)) {
            return (string) inet_ntop(substr($reply, $offset - 4, 4));
        }
    }
    return null;
}
