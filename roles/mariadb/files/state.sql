-- What the server knows of accounts, privileges, databases and of what was set while it runs: one JSON document a line. No statement
-- is longer than a kilobyte, and no line: that always passes, whatever somebody has made of max_allowed_packet.
SELECT JSON_OBJECT('kind', 'account', 'account', CONCAT(User, '@', Host), 'user', User, 'host', Host, 'is_role',
    JSON_VALUE(Priv, '$.is_role') IS NOT NULL, 'authentication', JSON_COMPACT(Priv))
FROM mysql.global_priv;
SELECT JSON_OBJECT('kind', 'database', 'name', SCHEMA_NAME, 'character_set', DEFAULT_CHARACTER_SET_NAME,
    'collation', DEFAULT_COLLATION_NAME)
FROM information_schema.SCHEMATA;
SELECT JSON_OBJECT('kind', 'global', 'grantee', GRANTEE, 'privilege', PRIVILEGE_TYPE, 'grantable', IS_GRANTABLE)
FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE <> 'USAGE' OR IS_GRANTABLE = 'YES';
SELECT JSON_OBJECT('kind', 'database_privilege', 'grantee', GRANTEE, 'database', TABLE_SCHEMA,
    'privilege', PRIVILEGE_TYPE, 'grantable', IS_GRANTABLE)
FROM information_schema.SCHEMA_PRIVILEGES;
SELECT DISTINCT JSON_OBJECT('kind', 'narrow', 'grantee', GRANTEE) FROM (
    SELECT GRANTEE FROM information_schema.TABLE_PRIVILEGES
    UNION SELECT GRANTEE FROM information_schema.COLUMN_PRIVILEGES
    UNION SELECT CONCAT('''', User, '''@''', Host, '''') FROM mysql.procs_priv
    UNION SELECT CONCAT('''', User, '''@''', Host, '''') FROM mysql.roles_mapping WHERE User NOT IN ('root', 'mysql')
) AS narrow;
-- REVOKE ALL PRIVILEGES does not reach these.
SELECT JSON_OBJECT('kind', 'proxy', 'account', CONCAT(User, '@', Host), 'user', Proxied_user, 'host', Proxied_host)
FROM mysql.proxies_priv WHERE User NOT IN ('root', 'mysql');
-- The server notes itself where a value comes from; 'SQL': somebody has set it since. Some follow another that is set, without a note.
SELECT JSON_OBJECT('kind', 'variable', 'name', VARIABLE_NAME, 'type', VARIABLE_TYPE, 'value', GLOBAL_VALUE)
FROM information_schema.SYSTEM_VARIABLES WHERE GLOBAL_VALUE_ORIGIN = 'SQL'
OR ((VARIABLE_NAME LIKE 'COLLATION%' OR VARIABLE_NAME LIKE 'CHARACTER_SET%' OR VARIABLE_NAME = 'INNODB_IO_CAPACITY_MAX')
    AND READ_ONLY = 'NO' AND EXISTS (SELECT 1 FROM information_schema.SYSTEM_VARIABLES WHERE GLOBAL_VALUE_ORIGIN = 'SQL'));
