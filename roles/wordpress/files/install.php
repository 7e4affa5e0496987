<?php
/**
 * In place of WordPress's installation page, to which WordPress sends every visitor of an empty database: sites are
 * installed by the playbook.
 */
http_response_code(503);
header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
header('Retry-After: 30');
echo "This site is not installed yet.\n";
