-- What each level may call, function by function, and that nobody but the
-- owner touches a table.
BEGIN;
\ir tools.psql
SELECT no_plan();

CREATE TEMP TABLE levels (level text, role name, n int);
INSERT INTO levels VALUES ('stream', 'level_stream', 1), ('viewer', 'level_viewer', 2), ('agent', 'level_agent', 3),
    ('accountant', 'level_accountant', 4), ('admin', 'level_admin', 5), ('bank_feed', 'level_bank_feed', NULL);
SELECT format('CREATE ROLE %I', role) FROM levels \gexec
SELECT lives_ok(format('SELECT c360_grant(%L, %L)', role, level), 'grant ' || level) FROM levels;

-- The lists hold everything once.
SELECT is((SELECT count(*) FROM c360_level_functions() WHERE function = name), 1::bigint, name || ' is listed once')
FROM pg_temp.routines;
SELECT is((SELECT count(*) FROM c360_level_views() WHERE view = c.relname), 1::bigint, c.relname || ' is listed once')
FROM pg_class c
WHERE c.relkind = 'v' AND c.relnamespace = (SELECT extnamespace FROM pg_extension WHERE extname = 'c360')
  AND EXISTS (SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
              JOIN pg_temp.routines r ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = r.oid
              WHERE w.ev_class = c.oid);

-- Each level has what it and those below have, and not more.
SELECT is(has_function_privilege(l.role, r.oid, 'EXECUTE'),
          f.level = 'public' OR f.level = l.level OR coalesce(lowest.n <= l.n, false)
              OR f.level = 'bank_feed' AND l.level IN ('accountant', 'admin'),
          format('%s: %s is for %s', l.level, r.name, f.level))
FROM levels l CROSS JOIN pg_temp.routines r JOIN c360_level_functions() f ON f.function = r.name
LEFT JOIN levels lowest ON lowest.level = f.level;
SELECT is(has_table_privilege(l.role, v.view, 'SELECT'), coalesce(lowest.n <= l.n, false),
          format('%s: view %s is for %s', l.level, v.view, v.level))
FROM levels l CROSS JOIN c360_level_views() v JOIN levels lowest ON lowest.level = v.level
WHERE to_regclass(v.view) IS NOT NULL;

-- What the levels are for, apart from any list.
SELECT is((SELECT string_agg(l.level, ' ' ORDER BY l.n NULLS FIRST) FROM levels l
           WHERE has_function_privilege(l.role, (SELECT oid FROM pg_temp.routines r WHERE r.name = t.name), 'EXECUTE')),
          t.wanted, t.name)
FROM (VALUES ('c360_wallet', 'agent accountant admin'), ('c360_wallet_transactions', 'agent accountant admin'),
             ('c360_get_or_create_customer', 'agent accountant admin'), ('c360_deposit', 'accountant admin'),
             ('c360_withdraw', 'accountant admin'), ('c360_ingest_bank_transaction', 'accountant admin'),
             ('c360_freeze_wallet', 'accountant admin'), ('c360_expire_all', 'accountant admin'),
             ('c360_set', 'admin'), ('c360_level', 'viewer agent accountant admin'),
             ('c360_install', NULL), ('c360_grant', NULL), ('c360_apply_level', NULL), ('c360_become_owner', NULL),
             ('c360_version', 'bank_feed stream viewer agent accountant admin')) AS t (name, wanted);

-- Tables
SELECT is_empty(format($$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r'
                         AND has_table_privilege(%L, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')$$,
                       role), level || ' has no table') FROM levels;
SELECT is(has_schema_privilege(role, 'c360', 'USAGE'), false, level || ' does not use schema c360') FROM levels;
SELECT format('SET LOCAL ROLE %I; SELECT throws_ok(%L, %L); RESET ROLE', l.role, 'SELECT FROM c360.' || c.relname, '42501')
FROM levels l, pg_class c WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r' AND l.level = 'admin' \gexec

-- Revoked, nothing is left.
SELECT lives_ok(format('SELECT c360_revoke(%L)', role), 'revoke ' || level) FROM levels;
SELECT is_empty('SELECT * FROM c360.granted_levels WHERE role IN (SELECT role FROM levels)', 'no row is left');
SELECT lives_ok(format('DROP ROLE %I', role), level || ' has no privilege left that keeps it from being dropped') FROM levels;

SELECT * FROM finish();
ROLLBACK;
