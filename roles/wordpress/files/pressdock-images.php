<?php
/**
 * Plugin Name: pressdock: images
 * Description: Makes images smaller within the memory that there is, and refuses those that need more. Always active.
 *
 * An image in memory is not counted by PHP's memory_limit: a photograph of 108 megapixels takes 400 MB beside it, and the kernel
 * ends whoever takes more than the container has. So what an image needs is known from its header, before it is read; one request of
 * a site reads an image at a time; and large JPEGs are read at a half, a quarter or an eighth of their size.
 */

declare(strict_types=1);

namespace Pressdock;

/** Pixels of the longest side that WordPress keeps of an upload. */
const LONGEST_SIDE = 2560;
const MEGABYTE = 1024 * 1024;
/** Seconds that a request waits for another one's image. */
const IMAGE_PATIENCE = 45;

/** What a file's header says of an image. */
final class ImageFacts
{
    public function __construct(
        public readonly int $width,
        public readonly int $height,
        public readonly string $mime,
        public readonly int $size,
        /** Bytes for each pixel that a progressive JPEG is kept in while it is read; 0 for others. */
        public readonly float $coefficients,
    ) {
    }

    /** Reads a header; null where it is no image whose size is known. */
    public static function of(string $path): ?self
    {
        $found = is_file($path) ? wp_getimagesize($path) : false;
        if (!$found || !$found[0] || !$found[1]) {
            return null;
        }
        $mime = (string) (wp_get_image_mime($path) ?: $found['mime']);
        return new self((int) $found[0], (int) $found[1], $mime, (int) filesize($path), $mime === 'image/jpeg' ? self::coefficients($path) : 0.0);
    }

    public function pixels(): int
    {
        return $this->width * $this->height;
    }

    /** Says by how much a JPEG is reduced while it is read, so that what is kept is still as large as WordPress wants it. */
    public function reduction(): int
    {
        if ($this->mime !== 'image/jpeg') {
            return 1;
        }
        return max(1, min(8, intdiv(max($this->width, $this->height), self::longestSide())));
    }

    /** Returns the size to ask the library for. */
    public function hint(): string
    {
        $part = self::longestSide() / max($this->width, $this->height);
        return ceil($this->width * $part) . 'x' . ceil($this->height * $part);
    }

    /** Returns the bytes that ImageMagick needs: pixels of 8 bytes, with a palette more, and once more so much while it is resized. */
    public function needsOfImagick(): int
    {
        return (int) (($this->mime === 'image/jpeg' ? 16 : 24) * $this->pixels() / $this->reduction() ** 2) + $this->decoding();
    }

    /** Returns the bytes that GD needs: pixels of 4 bytes, as many again for formats that it reads as a whole, and the result. */
    public function needsOfGd(): int
    {
        $each = ['image/jpeg' => 4, 'image/png' => 8, 'image/gif' => 5, 'image/webp' => 8, 'image/avif' => 8][$this->mime] ?? 8;
        return $each * $this->pixels() + $this->decoding() + 4 * min($this->pixels(), LONGEST_SIDE ** 2);
    }

    /** Says whether GD, which reads a file as a whole into what memory_limit counts, can do that. */
    public function isReadByGd(): bool
    {
        $limit = wp_convert_hr_to_bytes((string) ini_get('memory_limit'));
        return $limit <= 0 || memory_get_usage() + $this->size + 8 * MEGABYTE < $limit;
    }

    /** Returns what decoding takes besides: a progressive JPEG is kept as a whole, HEIC and AVIF in a form of their own. */
    private function decoding(): int
    {
        $each = in_array($this->mime, ['image/heic', 'image/heif', 'image/avif'], true) ? 3 : $this->coefficients;
        return (int) ($each * $this->pixels());
    }

    private static function longestSide(): int
    {
        $sides = array_merge(...array_values(array_map(
            static fn (array $size): array => [(int) $size['width'], (int) $size['height']],
            wp_get_registered_image_subsizes(),
        )) ?: [[0]]);
        // 0 and very large ones mean "as long as it is".
        return max(LONGEST_SIDE, ...array_filter($sides, static fn (int $side): bool => $side < 9999), ...[0]);
    }

    /** Reads what a JPEG's frame says: of a progressive one all components are kept, each as large as it is sampled. */
    private static function coefficients(string $path): float
    {
        $file = fopen($path, 'rb');
        if (!$file) {
            return 0.0;
        }
        try {
            fseek($file, 2);
            for ($segments = 0; $segments < 1000; $segments++) {
                $marker = (string) fread($file, 4);
                if (strlen($marker) < 4 || $marker[0] !== "\xff") {
                    return 0.0;
                }
                /** @var array{1: int} $length */
                $length = unpack('n', substr($marker, 2));
                $kind = ord($marker[1]);
                if ($kind < 0xc0 || $kind > 0xcf || in_array($kind, [0xc4, 0xc8, 0xcc], true)) {
                    fseek($file, $length[1] - 2, SEEK_CUR);
                    continue;
                }
                if (in_array($kind, [0xc0, 0xc1], true)) {
                    return 0.0;
                }
                $frame = (string) fread($file, max(1, $length[1] - 2));
                $areas = [];
                for ($component = 6; $component + 2 < strlen($frame); $component += 3) {
                    $sampling = ord($frame[$component + 1]);
                    $areas[] = max(1, $sampling >> 4) * max(1, $sampling & 15);
                }
                return $areas ? 2 * array_sum($areas) / max($areas) : 6.0;
            }
            return 6.0;
        } finally {
            fclose($file);
        }
    }
}

/** Waits until no other request of the site has an image in memory; until this request ends none will. */
function wait_for_images(): bool
{
    static $lock = null;
    if ($lock !== null) {
        return true;
    }
    $file = fopen('/tmp/.pressdock-image', 'c');
    for ($end = microtime(true) + IMAGE_PATIENCE; $file && !flock($file, LOCK_EX | LOCK_NB); usleep(100_000)) {
        if (microtime(true) > $end) {
            error_log('pressdock: another image took longer than ' . IMAGE_PATIENCE . ' seconds');
            return false;
        }
    }
    $lock = $file;
    return true;
}

/** Says why an image cannot be made smaller here; null where it can, or where it is no image. */
function image_problem(string $path): ?string
{
    $facts = ImageFacts::of($path);
    if ($facts === null || !str_starts_with($facts->mime, 'image/') || in_array($facts->mime, ['image/x-icon', 'image/vnd.microsoft.icon', 'image/svg+xml'], true)) {
        return null;
    }
    if (_wp_image_editor_choose(['path' => $path, 'mime_type' => $facts->mime]) || !_wp_image_editor_choose(['mime_type' => $facts->mime])) {
        return null;
    }
    $needed = (int) ceil(min($facts->needsOfImagick(), $facts->needsOfGd()) / MEGABYTE);
    error_log(sprintf(
        'pressdock: an image of %d x %d pixels was refused: it needs about %d MB, there are %d (memory of the site)',
        $facts->width, $facts->height, $needed, intdiv(PRESSDOCK_IMAGE_MEMORY, MEGABYTE),
    ));
    return sprintf(
        'This image has %s megapixels (%d x %d), more than this site has memory for: about %d MB of %d. Upload it with fewer pixels'
            . ' (a JPEG may have the most), or ask whoever runs the site for more "memory".',
        number_format($facts->pixels() / 1e6, 1), $facts->width, $facts->height, $needed, intdiv(PRESSDOCK_IMAGE_MEMORY, MEGABYTE),
    );
}

// WordPress's two editors, of which the first is taken that the image fits into.
add_filter('wp_image_editors', static function (array $editors): array {
    if (!class_exists(ImagickEditor::class, false)) {
        require_once '/usr/local/lib/wordpress/image-editors.php';
    }
    $ours = ['WP_Image_Editor_Imagick' => ImagickEditor::class, 'WP_Image_Editor_GD' => GdEditor::class];
    return array_map(static fn (mixed $editor): mixed => $ours[$editor] ?? $editor, $editors);
}, PHP_INT_MAX);

// Before the file is kept, on every way that WordPress takes uploads.
$refuse_image = static function (array $file): array {
    $problem = empty($file['error']) && !empty($file['tmp_name']) ? image_problem((string) $file['tmp_name']) : null;
    return $problem === null ? $file : ['error' => $problem] + $file;
};
add_filter('wp_handle_upload_prefilter', $refuse_image, PHP_INT_MAX);
add_filter('wp_handle_sideload_prefilter', $refuse_image, PHP_INT_MAX);
// Of the REST endpoint this is not the server's error.
add_filter('rest_request_after_callbacks', static function (mixed $answer): mixed {
    if (is_wp_error($answer) && in_array($answer->get_error_code(), ['rest_upload_unknown_error', 'rest_upload_sideload_error'], true)
        && str_contains($answer->get_error_message(), 'more than this site has memory for')) {
        return new \WP_Error('rest_upload_image_too_large', $answer->get_error_message(), ['status' => 413]);
    }
    return $answer;
});
