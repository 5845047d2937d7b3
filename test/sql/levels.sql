-- Levels: c360_grant(), c360_revoke(), c360_level().  Phones 0928.
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
SELECT balance FROM c360_deposit('0928000001', 100);

-- One role for each level, one without.
CREATE TABLE test.levels (level text PRIMARY KEY, role name, reach text[]);
INSERT INTO test.levels VALUES
    ('stream', 'regress_c360_stream', '{stream}'),
    ('bank_feed', 'regress_c360_bank_feed', '{bank_feed}'),
    ('viewer', 'regress_c360_viewer', '{stream,viewer}'),
    ('agent', 'regress_c360_agent', '{stream,viewer,agent}'),
    ('accountant', 'regress_c360_accountant', '{stream,viewer,agent,accountant,bank_feed}'),
    ('admin', 'regress_c360_admin', '{stream,viewer,agent,accountant,admin,bank_feed}'),
    ('none', 'regress_c360_none', '{}');
SELECT format('CREATE ROLE %I', role) FROM test.levels \gexec
SELECT c360_grant(role::text::regrole, level) FROM test.levels WHERE level <> 'none' \g /dev/null
GRANT USAGE ON SCHEMA test TO PUBLIC;
GRANT SELECT ON test.levels TO PUBLIC;
CREATE VIEW test.routines AS
    SELECT p.oid, p.proname::text AS name FROM pg_proc p
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'c360';

-- What a command fails with as another role: SQLSTATE, or 'done'.
CREATE FUNCTION test.as_role(who name, command text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', who);
        EXECUTE command INTO outcome;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = coalesce(outcome, 'NULL');
    EXCEPTION WHEN OTHERS THEN
        RETURN CASE SQLSTATE WHEN 'ZZZZZ' THEN SQLERRM ELSE SQLSTATE END;
    END;
END $$;

-- Whose privileges are not as the list says; nothing should follow.
CREATE FUNCTION test.wrong_privileges() RETURNS SETOF text
LANGUAGE sql AS $$
    SELECT format('%s: %s', l.role, r.name)
    FROM test.levels l, test.routines r JOIN c360_level_functions() f ON f.function = r.name
    WHERE has_function_privilege(l.role, r.oid, 'EXECUTE') <> (f.level = ANY (l.reach || 'public'::text))
    UNION ALL
    SELECT format('%s: %s', l.role, c.relname)
    FROM test.levels l, pg_class c JOIN c360_level_views() v ON v.view = c.relname
    WHERE c.relnamespace = 'public'::regnamespace
      AND has_table_privilege(l.role, c.oid, 'SELECT') <> (v.level = ANY (l.reach))
    UNION ALL
    SELECT format('%s: table %s', l.role, c.relname)
    FROM test.levels l, pg_class c
    WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind IN ('r', 'S')
      AND (has_schema_privilege(l.role, 'c360', 'USAGE')
           OR CASE c.relkind WHEN 'r' THEN has_table_privilege(l.role, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
              ELSE has_sequence_privilege(l.role, c.oid, 'USAGE, SELECT, UPDATE') END)
$$;
SELECT test.wrong_privileges();

-- Every function and view stands in the lists once.
SELECT 'function', name FROM test.routines
WHERE 1 <> (SELECT count(*) FROM c360_level_functions() WHERE function = name);
SELECT 'view', relname FROM pg_class JOIN pg_depend d ON d.objid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace AND relkind = 'v' AND relname LIKE 'c360%'
  AND 1 <> (SELECT count(*) FROM c360_level_views() WHERE view = relname) GROUP BY relname;
SELECT 'level', function FROM c360_level_functions()
WHERE level NOT IN ('public', 'stream', 'bank_feed', 'viewer', 'agent', 'accountant', 'admin', 'owner', 'internal');
SELECT level, count(*) > 0 FROM c360_level_functions() f JOIN test.routines r ON r.name = f.function
WHERE level NOT IN ('stream', 'bank_feed') GROUP BY level ORDER BY level;

-- Called for real.
SELECT l.level, c.what, test.as_role(l.role, c.command)
FROM test.levels l, (VALUES
    (1, 'level', 'SELECT c360_level()'),
    (2, 'wallet', $$SELECT balance FROM c360_wallet('0928000001')$$),
    (3, 'customer', $$SELECT count(c360_get_or_create_customer('0928000001'))$$),
    (4, 'deposit', $$SELECT balance FROM c360_deposit('0928000001', 1)$$),
    (5, 'setting', $$SELECT c360_set('max_amount', '1000000000')::text$$),
    (6, 'settings', 'SELECT count(*) > 0 FROM c360_settings'),
    (7, 'grant', $$SELECT c360_grant('regress_c360_none', 'viewer')::text$$),
    (8, 'table', 'SELECT count(*) FROM c360.customers'),
    (9, 'levels', $$SELECT count(*) FROM c360.granted_levels$$),
    (10, 'pure', $$SELECT c360_normalize_phone('+84 928000001')$$)) AS c (n, what, command)
ORDER BY array_position('{none,stream,bank_feed,viewer,agent,accountant,admin}', l.level), c.n;
SELECT role, level, role_id = role::regrole AS this, granted_by = session_user AS by_us FROM c360.granted_levels ORDER BY 1;

-- Errors
SELECT test.error_of($$SELECT c360_grant('regress_c360_none', 'boss')$$);
SELECT test.error_of($$SELECT c360_grant('regress_c360_none', '')$$);
SELECT test.error_of($$SELECT c360_grant('regress_c360_none', 'owner')$$);
SELECT test.error_of($$SELECT c360_grant('regress_c360_none', NULL)$$);
SELECT test.error_of($$SELECT c360_grant(NULL, 'viewer')$$);
SELECT test.error_of($$SELECT c360_grant('-', 'viewer')$$);
SELECT test.error_of($$SELECT c360_grant(4294967295::regrole, 'viewer')$$);
SELECT test.error_of($$SELECT c360_revoke(NULL)$$);
SELECT test.error_of($$SELECT c360_revoke(4294967295::regrole)$$);
SELECT test.wrong_privileges();

-- Levels are given by the owner of the tables, not by whoever has EXECUTE.
GRANT EXECUTE ON FUNCTION c360_grant, c360_revoke TO regress_c360_admin;
SET ROLE regress_c360_admin;
SELECT split_part(test.error_of($$SELECT c360_grant('regress_c360_admin', 'agent')$$), ' |', 1);
SELECT split_part(test.error_of($$SELECT c360_revoke('regress_c360_viewer')$$), ' |', 1);
SELECT split_part(test.error_of($$SELECT c360_apply_level('regress_c360_admin', 'admin')$$), ' |', 1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION c360_apply_level TO regress_c360_admin;
SET ROLE regress_c360_admin;
SELECT split_part(test.error_of($$SELECT c360_grant('regress_c360_admin', 'agent')$$), ' |', 1);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION c360_grant, c360_revoke, c360_apply_level FROM regress_c360_admin;
SELECT test.wrong_privileges();

-- The caller's level: by membership, as of now, inside SECURITY DEFINER too.
CREATE FUNCTION test.level_inside() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT public.c360_level()';
CREATE VIEW test.level_in_view AS SELECT c360_level() AS level;
GRANT SELECT ON test.level_in_view TO PUBLIC;
SELECT test.as_role('regress_c360_agent', 'SELECT test.level_inside()');
SELECT test.as_role('regress_c360_agent', 'SELECT level FROM test.level_in_view');
SELECT test.as_role('regress_c360_none', 'SELECT test.level_inside()');
GRANT regress_c360_accountant TO regress_c360_none;
SELECT test.as_role('regress_c360_none', 'SELECT c360_level()');
GRANT regress_c360_viewer TO regress_c360_none;
SELECT test.as_role('regress_c360_none', 'SELECT c360_level()');
-- (16 keeps with each grant what the role said when it was made)
ALTER ROLE regress_c360_none NOINHERIT;
REVOKE regress_c360_accountant, regress_c360_viewer FROM regress_c360_none;
GRANT regress_c360_accountant, regress_c360_viewer TO regress_c360_none;
SELECT test.as_role('regress_c360_none', 'SELECT test.level_inside()');
SELECT test.as_role('regress_c360_none', 'SELECT c360_level()');
ALTER ROLE regress_c360_none INHERIT;
REVOKE regress_c360_accountant, regress_c360_viewer FROM regress_c360_none;
GRANT regress_c360_viewer TO regress_c360_none;
SELECT test.as_role('regress_c360_none', 'SELECT c360_level()');
REVOKE regress_c360_viewer FROM regress_c360_none;
SELECT test.as_role('regress_c360_none', 'SELECT test.level_inside()');
SELECT c360_level();
BEGIN READ ONLY;
SELECT c360_level();
SELECT test.as_role('regress_c360_viewer', 'SELECT c360_level()');
COMMIT;

-- Several levels add up; c360_revoke takes all.
BEGIN;
SELECT c360_grant('regress_c360_none', 'bank_feed'), c360_grant('regress_c360_none', 'stream');
SELECT test.as_role('regress_c360_none', 'SELECT test.level_inside()');
SELECT c360_grant('regress_c360_none', 'accountant'), c360_grant('regress_c360_none', 'viewer'),
       c360_grant('regress_c360_none', 'viewer');
UPDATE test.levels SET reach = '{stream,viewer,agent,accountant,bank_feed}' WHERE level = 'none';
SELECT test.as_role('regress_c360_none', 'SELECT c360_level()');
SELECT level FROM c360.granted_levels WHERE role = 'regress_c360_none' ORDER BY 1;
SELECT test.wrong_privileges();
GRANT EXECUTE ON FUNCTION c360_set TO regress_c360_none;    -- by hand
GRANT SELECT ON c360_settings TO regress_c360_none;
SELECT c360_revoke('regress_c360_none');
UPDATE test.levels SET reach = '{}' WHERE level = 'none';
SELECT count(*) FROM c360.granted_levels WHERE role = 'regress_c360_none';
SELECT test.as_role('regress_c360_none', 'SELECT test.level_inside()');
SELECT test.wrong_privileges();
SELECT c360_revoke('regress_c360_none');
DROP ROLE regress_c360_none;
ROLLBACK;

-- c360_install() applies them again.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM regress_c360_agent, regress_c360_accountant;
REVOKE SELECT ON c360_settings FROM regress_c360_admin;
REVOKE EXECUTE ON PROCEDURE c360_expire_all() FROM regress_c360_admin;
SELECT count(*) > 0 FROM test.wrong_privileges();
SELECT c360_install() <> '';
SELECT test.wrong_privileges();
SELECT count(*), count(DISTINCT granted_at) > 1 AS not_written_again FROM c360.granted_levels WHERE role LIKE 'regress_c360%';

-- A role that takes a dropped one's name gets nothing by it.
CREATE TEMP TABLE before AS SELECT * FROM c360.granted_levels;
BEGIN;
DROP OWNED BY regress_c360_admin;
DROP ROLE regress_c360_admin;
SELECT c360_level();
CREATE ROLE regress_c360_admin;
UPDATE test.levels SET reach = '{}' WHERE level = 'admin';
SELECT test.as_role('regress_c360_admin', 'SELECT test.level_inside()');
SAVEPOINT a;
SELECT c360_install() <> '';
SELECT test.wrong_privileges();
SELECT test.as_role('regress_c360_admin', 'SELECT test.level_inside()');
SELECT count(*) FROM c360.granted_levels WHERE role = 'regress_c360_admin';
ROLLBACK TO a;
SELECT c360_grant('regress_c360_admin', 'viewer');
SELECT test.as_role('regress_c360_admin', 'SELECT test.level_inside()');
SELECT c360_install() <> '';
SELECT level FROM c360.granted_levels WHERE role = 'regress_c360_admin';
SELECT c360_revoke('regress_c360_admin');
SELECT test.wrong_privileges();
ROLLBACK;

-- A renamed one keeps what it has.
BEGIN;
ALTER ROLE regress_c360_agent RENAME TO regress_c360_other;
ALTER ROLE regress_c360_viewer RENAME TO regress_c360_agent;
SELECT test.as_role('regress_c360_other', 'SELECT c360_level()'), test.as_role('regress_c360_agent', 'SELECT c360_level()');
SELECT c360_install() <> '';
SELECT test.as_role('regress_c360_other', 'SELECT c360_level()'), test.as_role('regress_c360_agent', 'SELECT c360_level()');
SELECT role, level FROM c360.granted_levels WHERE role IN ('regress_c360_agent', 'regress_c360_viewer', 'regress_c360_other') ORDER BY 1;
SELECT c360_revoke('regress_c360_agent');
SELECT role, level FROM c360.granted_levels WHERE role IN ('regress_c360_agent', 'regress_c360_viewer', 'regress_c360_other') ORDER BY 1;
ROLLBACK;
BEGIN;
ALTER ROLE regress_c360_agent RENAME TO regress_c360_other;
ALTER ROLE regress_c360_none RENAME TO regress_c360_agent;
SELECT c360_grant('regress_c360_agent', 'agent');
SELECT c360_revoke('regress_c360_agent');
SELECT test.as_role('regress_c360_other', 'SELECT c360_level()'), test.as_role('regress_c360_agent', 'SELECT test.level_inside()');
ROLLBACK;

-- Rows that came from another server, where oids were others.
BEGIN;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM regress_c360_agent;
UPDATE c360.granted_levels SET cluster = cluster + 1, role_id = 'regress_c360_viewer'::regrole;
INSERT INTO c360.granted_levels SELECT 'regress_c360_nowhere', 'admin', 1, cluster, 'somebody', now()
FROM c360.granted_levels LIMIT 1;
SELECT role, test.as_role(role, 'SELECT test.level_inside()') FROM test.levels ORDER BY role;
SET LOCAL client_min_messages = notice;
SELECT c360_install() <> '';
SET LOCAL client_min_messages = warning;
SELECT test.wrong_privileges();
SELECT role, level FROM c360.granted_levels WHERE role = 'regress_c360_nowhere';
DELETE FROM c360.granted_levels WHERE role = 'regress_c360_nowhere';
(SELECT 'gone', * FROM before EXCEPT SELECT 'gone', * FROM c360.granted_levels)
UNION ALL (SELECT 'new', * FROM c360.granted_levels EXCEPT SELECT 'new', * FROM before);
ROLLBACK;

-- Extension in a schema of its own: levels bring USAGE and revoke takes it.
BEGIN;
DROP EXTENSION c360 CASCADE;
CREATE SCHEMA "C 360";
CREATE EXTENSION c360 SCHEMA "C 360";
SET LOCAL search_path = "C 360", public;
SELECT c360_install() <> '';
SELECT level, has_schema_privilege(role, 'C 360', 'USAGE') FROM test.levels ORDER BY level;
SELECT test.as_role('regress_c360_viewer', 'SELECT c360_level()');
SELECT test.as_role('regress_c360_admin', 'SELECT count(*) > 0 FROM c360_settings');
CREATE FUNCTION of_the_shop() RETURNS void LANGUAGE sql AS '';
GRANT EXECUTE ON FUNCTION of_the_shop TO regress_c360_agent;
SELECT c360_revoke('regress_c360_viewer'), c360_revoke('regress_c360_admin'), c360_revoke('regress_c360_agent');
SELECT level, has_schema_privilege(role, 'C 360', 'USAGE') FROM test.levels ORDER BY level;
DROP ROLE regress_c360_admin;
ROLLBACK;

-- Tables of a role that is no superuser: it gives levels and installs.
CREATE ROLE regress_c360_shop;
BEGIN;
DROP SCHEMA c360 CASCADE;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_c360_shop', current_database()); END $$;
GRANT CREATE ON SCHEMA public TO regress_c360_shop;
GRANT EXECUTE ON FUNCTION c360_install, c360_refuse_change, c360_settings_changed, c360_grant, c360_revoke TO regress_c360_shop;
SET LOCAL ROLE regress_c360_shop;
SELECT c360_install() <> '';
SELECT c360_install() <> '';
SELECT test.error_of($$SELECT c360_grant('regress_c360_none', 'viewer')$$);
RESET ROLE;
SELECT c360_revoke(role::text::regrole) FROM test.levels \g /dev/null
SELECT c360_grant(role::text::regrole, level) FROM test.levels WHERE level <> 'none' \g /dev/null
SELECT test.wrong_privileges();
SET LOCAL ROLE regress_c360_shop;
SELECT replace(test.error_of('SELECT c360_install()'), session_user, 'us');
RESET ROLE;
GRANT EXECUTE ON FUNCTION c360_apply_level TO regress_c360_shop;
SELECT c360_revoke(role::text::regrole) FROM test.levels \g /dev/null
SELECT count(*) FROM c360.granted_levels;
SET LOCAL ROLE regress_c360_shop;
SELECT c360_grant('regress_c360_viewer', 'viewer'), c360_grant('regress_c360_admin', 'admin'), c360_grant('regress_c360_agent', 'agent'),
       c360_grant('regress_c360_accountant', 'accountant'), c360_grant('regress_c360_stream', 'stream'),
       c360_grant('regress_c360_bank_feed', 'bank_feed');
SELECT c360_install() <> '';
RESET ROLE;
SELECT test.wrong_privileges();
SELECT test.as_role('regress_c360_admin', 'SELECT c360_level()'), test.as_role('regress_c360_agent', 'SELECT c360_level()');
-- he himself is admin by owning, but has only the functions that he was given
SELECT test.as_role('regress_c360_shop', 'SELECT test.level_inside()');
SELECT test.as_role('regress_c360_shop', $$SELECT c360_set('max_amount', NULL)$$);
SELECT test.as_role('regress_c360_shop', $$SELECT c360_grant('regress_c360_shop', 'admin')::text || c360_set('max_amount', NULL)$$);
GRANT regress_c360_shop TO regress_c360_none;
SELECT test.as_role('regress_c360_none', 'SELECT test.level_inside()');
ROLLBACK;

-- Levels are taken from roles that will be dropped.
SELECT c360_revoke(role::text::regrole) FROM test.levels \g /dev/null
SELECT count(*) FROM c360.granted_levels WHERE role LIKE 'regress_c360%';
UPDATE test.levels SET reach = '{}';
SELECT test.wrong_privileges();
SELECT format('DROP ROLE %I', role) FROM test.levels \gexec
DROP ROLE regress_c360_shop;
REVOKE USAGE ON SCHEMA test FROM PUBLIC;
DROP VIEW test.level_in_view, test.routines;
DROP FUNCTION test.level_inside, test.wrong_privileges, test.as_role;
DROP TABLE test.levels, before;
