<?php
/**
 * WordPress's image editors, for images that fit into the memory that there is. pressdock-images.php loads this file when WordPress
 * has loaded its own.
 */

declare(strict_types=1);

namespace Pressdock;

/** ImageMagick, which reads large JPEGs at a part of their size. */
final class ImagickEditor extends \WP_Image_Editor_Imagick
{
    /** @param array<string, mixed> $args */
    public static function test($args = [])
    {
        $facts = isset($args['path']) ? ImageFacts::of((string) $args['path']) : null;
        return parent::test($args) && ($facts === null || $facts->needsOfImagick() <= PRESSDOCK_IMAGE_MEMORY);
    }

    public function load()
    {
        if ($this->image instanceof \Imagick) {
            return true;
        }
        if (!wait_for_images()) {
            return new \WP_Error('image_busy', 'Other images are being worked on: try again in a minute.');
        }
        $facts = ImageFacts::of($this->file);
        if ($facts === null || $facts->reduction() === 1) {
            return parent::load();
        }
        try {
            $this->image = new \Imagick();
            $this->image->setOption('jpeg:size', $facts->hint());
            $this->image->readImage($this->file);
            $this->mime_type = $this->get_mime_type($this->image->getImageFormat());
        } catch (\Exception $error) {
            return new \WP_Error('invalid_image', $error->getMessage(), $this->file);
        }
        $size = $this->update_size();
        return is_wp_error($size) ? $size : $this->set_quality();
    }
}

/** GD, which needs less memory for what cannot be read at a part of its size. */
final class GdEditor extends \WP_Image_Editor_GD
{
    /** @param array<string, mixed> $args */
    public static function test($args = [])
    {
        $facts = isset($args['path']) ? ImageFacts::of((string) $args['path']) : null;
        return parent::test($args) && ($facts === null || ($facts->needsOfGd() <= PRESSDOCK_IMAGE_MEMORY && $facts->isReadByGd()));
    }

    public function load()
    {
        if (!$this->image && !wait_for_images()) {
            return new \WP_Error('image_busy', 'Other images are being worked on: try again in a minute.');
        }
        return parent::load();
    }
}
