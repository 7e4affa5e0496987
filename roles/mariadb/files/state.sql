-- What the server knows of accounts, privileges and databases: one JSON document a line.
SELECT JSON_OBJECT('kind', 'account', 'account', CONCAT(User, '@', Host), 'user', User, 'host', Host, 'is_role',
    JSON_VALUE(Priv, '$.is_role') IS NOT NULL, 'authentication', JSON_COMPACT(Priv))
FROM mysql.global_priv;
SELECT JSON_OBJECT('kind', 'database', 'name', SCHEMA_NAME, 'character_set', DEFAULT_CHARACTER_SET_NAME)
FROM information_schema.SCHEMATA;
SELECT JSON_OBJECT('kind', 'global', 'grantee', GRANTEE, 'privilege', PRIVILEGE_TYPE, 'grantable', IS_GRANTABLE)
FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE <> 'USAGE';
SELECT JSON_OBJECT('kind', 'database_privilege', 'grantee', GRANTEE, 'database', TABLE_SCHEMA,
    'privilege', PRIVILEGE_TYPE, 'grantable', IS_GRANTABLE)
FROM information_schema.SCHEMA_PRIVILEGES;
SELECT DISTINCT JSON_OBJECT('kind', 'narrow', 'grantee', GRANTEE) FROM (
    SELECT GRANTEE FROM information_schema.TABLE_PRIVILEGES
    UNION SELECT GRANTEE FROM information_schema.COLUMN_PRIVILEGES
    UNION SELECT CONCAT('''', User, '''@''', Host, '''') FROM mysql.procs_priv
    UNION SELECT CONCAT('''', User, '''@''', Host, '''') FROM mysql.roles_mapping WHERE Admin_option = 'N'
    UNION SELECT CONCAT('''', User, '''@''', Host, '''') FROM mysql.proxies_priv WHERE User NOT IN ('root', 'mysql')
) AS narrow;
