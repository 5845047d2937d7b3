-- doc/reference.md is what the comments and catalogs say, and these say
-- everything: errors that the sources raise, events that they announce.
BEGIN;
\ir tools.psql
\ir ../../doc/reference/generate.sql
\set committed `cat doc/reference.md`
\set events `cat doc/events.md`
SELECT no_plan();

-- Stale text. Lines first, so that a failure shows them.
CREATE TEMP TABLE committed AS SELECT line FROM string_to_table(:'committed', E'\n') AS line;
CREATE TEMP TABLE generated AS SELECT line FROM string_to_table(pg_temp.reference(), E'\n') AS line;
SELECT is_empty('SELECT line FROM generated EXCEPT SELECT line FROM committed',
                'doc/reference.md has all there is; if not: make reference');
SELECT is_empty('SELECT line FROM committed EXCEPT SELECT line FROM generated',
                'doc/reference.md has nothing that is gone; if so: make reference');
SELECT is(md5(rtrim(:'committed', E'\n')), md5(rtrim(pg_temp.reference(), E'\n')), 'and its order is right');

-- Everything has its words.
SELECT isnt_empty($$SELECT FROM documented WHERE NOT internal$$, 'there are functions');
SELECT is_empty($$SELECT name FROM documented WHERE coalesce(comment, '') = ''$$, 'every function has a comment');
SELECT is_empty($$SELECT name FROM documented WHERE area IS NULL$$, 'every function stands in a file of sql/functions/');
SELECT is_empty($$SELECT name FROM documented WHERE level = 'internal' AND prorettype <> 'trigger'::regtype
                  AND name NOT IN (SELECT function FROM c360_level_functions())$$, 'every function has its level');
SELECT isnt_empty('SELECT FROM documented_views', 'there are views');
SELECT is_empty($$SELECT name FROM documented_views WHERE coalesce(comment, '') = ''$$, 'every view has a comment');
SELECT is_empty($$SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'public' AND c.relkind = 'v' AND c.relname NOT IN (SELECT name FROM documented_views)
                  AND EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
                              JOIN documented f ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = f.oid
                              WHERE r.ev_class = c.oid)$$, 'every view that calls c360 is among them');
SELECT is_empty($$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r'
                  AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''$$, 'every table has a comment');
SELECT is_empty($$SELECT name FROM c360.settings WHERE coalesce(description, '') = ''$$, 'every setting has a description');
SELECT is_empty($$SELECT job FROM c360.jobs WHERE coalesce(description, '') = ''$$, 'every job has a description');
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'c360.%' AND coalesce(short_desc, '') = ''$$,
                'every parameter has a description');
SELECT is_empty($$SELECT name FROM facts WHERE kind = 'event' EXCEPT SELECT name FROM words WHERE kind = 'event'$$,
                'every event has its words in doc/reference/words.tsv');
SELECT is((SELECT string_agg(name, ', ') FROM facts WHERE kind = 'event' AND position('`' || name || '`' IN :'events') = 0), NULL,
          'doc/events.md lists every event');
SELECT is_empty($$SELECT word FROM documented_errors WHERE word IS NOT NULL EXCEPT SELECT name FROM words WHERE kind = 'error'$$,
                'every error has its words in doc/reference/words.tsv');
SELECT set_eq($$SELECT name FROM words WHERE kind = 'level'$$,
              $$SELECT level FROM c360_level_functions() WHERE level NOT IN ('public', 'owner', 'internal')$$,
              'so has every level');

-- Comments and sources agree.
SELECT cmp_ok((SELECT count(*) FROM facts WHERE kind = 'error')::integer, '>', 60, 'the sources raise errors');
SELECT is_empty($$SELECT name, word FROM facts WHERE kind = 'error' AND name <> '-'
                    AND word NOT IN (SELECT w.name FROM words w WHERE w.everywhere)
                  EXCEPT SELECT state, word FROM documented_errors$$,
                'every SQLSTATE and word that the sources raise stand in the line "Errors:" of a comment');
SELECT is_empty($$SELECT word FROM facts WHERE kind = 'error' AND name = '-'
                  EXCEPT SELECT word FROM documented_errors$$,
                'so does every word that stands alone');
SELECT is_empty($$SELECT DISTINCT state, word FROM documented_errors d WHERE word IS NOT NULL
                  AND NOT EXISTS (SELECT FROM facts f WHERE f.kind = 'error' AND f.word = d.word AND f.name IN (d.state, '-'))$$,
                'no comment names an error that the sources never raise');
SELECT is_empty($$SELECT name FROM documented, regexp_matches(comment, '^Errors: .*[^.]$', 'gn')$$,
                'every line "Errors:" ends with a full stop');

SELECT * FROM finish();
ROLLBACK;
