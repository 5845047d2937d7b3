-- Blocks of doc/security.md: each claim is run. Those marked "no row" answer none.
BEGIN;
\ir tools.psql
\set security `perl test/blocks.pl doc/security.md`
SELECT no_plan();
SELECT set_config('search_path', 'public, pg_catalog', true) \g /dev/null
SELECT c360_deposit('0912345678', 500000), c360_issue_credit('0912345678', 5000), c360_withdraw('0912345678', 6000) \g /dev/null

CREATE TEMP TABLE statements AS
    SELECT n, btrim(split_part(s, ';', 1), E' \n') AS statement, substring(s FROM ';\s*-- ([^\n]*)') AS note
    FROM regexp_split_to_table(:'security', '(?<=;[^\n]*)\n+') WITH ORDINALITY AS t (s, n) WHERE s ~ ';';
SELECT cmp_ok(count(*)::integer, '>', 10, 'there are statements') FROM statements;

-- Rows of a query as text, or the SQLSTATE and word that a statement fails with.
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    IF statement !~* '^SELECT' THEN
        RETURN pg_temp.failure(statement);
    END IF;
    EXECUTE format('SELECT coalesce(string_agg(x::text, chr(10)), ''no row'') FROM (%s) AS x', statement) INTO answer;
    RETURN answer;
END $$;
CREATE TEMP TABLE outcomes AS SELECT n, statement, note, pg_temp.outcome(statement) AS outcome FROM statements ORDER BY n;
SELECT is(outcome, CASE WHEN statement ~* '^(UPDATE|DELETE|TRUNCATE)' THEN '0A000 append_only'
                        WHEN note = 'true' THEN '(t)'
                        WHEN note = 'one row' THEN '(c360_sepay_webhook)'
                        WHEN note ~ '^\d+$' THEN '(' || note || ')'
                        WHEN note = 'no row' THEN 'no row'
                        ELSE outcome END, left(regexp_replace(statement, '\s+', ' ', 'g'), 100))
FROM outcomes ORDER BY n;
SELECT isnt_empty($$SELECT FROM statements WHERE note = 'no row'$$, 'some claim that there is nothing');

-- and they would tell: each condition broken
CREATE ROLE intruder;
GRANT SELECT ON c360.customers TO intruder;
GRANT EXECUTE ON FUNCTION c360_wallet TO PUBLIC;
ALTER FUNCTION c360_dashboard() RESET search_path;
CREATE ROLE table_owner;
GRANT table_owner TO intruder;
ALTER TABLE c360.wallet_transactions OWNER TO table_owner;
SELECT is((SELECT count(*) FROM statements WHERE note = 'no row' AND pg_temp.outcome(statement) <> 'no row'),
          (SELECT count(*) FROM statements WHERE note = 'no row'), 'a grant, a member, a missing search_path are told');
SELECT * FROM finish();
ROLLBACK;
