<?php
// Has no header: WordPress loads every PHP file of the directory.
define('HOUSE', 'Süd "1"');
