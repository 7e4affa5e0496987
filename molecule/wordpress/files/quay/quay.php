<?php
/* Plugin Name: Quay */
define('QUAY', require __DIR__ . '/part/number.php');
