-- Every function of the extension, called with NULL, extremes and nonsense in
-- every argument, found in pg_proc: it answers, or fails with an SQLSTATE that
-- its comment names, and the books are right after what succeeded.
BEGIN;
\ir tools.psql
SELECT no_plan();
SET LOCAL statement_timeout = '10min';
SET LOCAL client_min_messages = error;

-- Two customers, so that plausible arguments meet something.
SELECT c360_deposit('0912345678', 1000), c360_issue_credit('0912345678', 50), c360_withdraw('0912345678', 60) \g /dev/null
SELECT c360_record_order('0912345678', 'DH1', 500, '2026-01-02', 'delivered'), c360_create_ticket('0912345678', 'BOOM', 'DH1') \g /dev/null
SELECT c360_ingest_bank_transaction('{"id": 1, "gateway": "ACB", "transactionDate": "2026-01-02 03:04:05",
    "accountNumber": "75918", "transferType": "in", "transferAmount": 70000, "content": "0912345678 0987654321"}') \g /dev/null
SELECT c360_deposit('0987654321', 1000), c360_add_note('0912345678', 'a note') \g /dev/null

-- What an argument of a type is tried with; position 1 is plausible.
CREATE TEMP TABLE hostile_values (type text, n integer, value text);
INSERT INTO hostile_values
SELECT t.type, v.n, v.value FROM (VALUES
    ('text', ARRAY['0912345678', NULL, '', ' ', E'\t\r\n', $$'; DROP TABLE c360.customers; --$$, '%s%n%%', E'\\x00\\', 'DH1',
        repeat('đ', 20000), '{"a": [1]}', '0000000000', '+84', U&'\+10FFFF', U&'e\0301', U&'\202E0912345678', '2026-01-02', 'infinity',
        '-1', '* * * * *', 'expire_credits', '1.1.1', '184467440737095516160', 'TV-2026-00001', 'BOOM', 'viewer', 'c360.customers']),
    ('character varying', ARRAY['a', NULL, '', repeat('x', 20000)]),
    ('name', ARRAY['postgres', NULL, '', 'public"; --', repeat('x', 63)]),
    ('bigint', ARRAY['1', NULL, '0', '-1', '9223372036854775807', '-9223372036854775808', '2147483648', '9007199254740993']),
    ('integer', ARRAY['1', NULL, '0', '-1', '2147483647', '-2147483648', '10001']),
    ('smallint', ARRAY['1', NULL, '0', '-32768', '32767']),
    ('numeric', ARRAY['1', NULL, '0', '-1', 'NaN', 'Infinity', '-Infinity', '1e1000', '1e-1000', '0.5']),
    ('double precision', ARRAY['1', NULL, '0', '-1', 'NaN', 'Infinity', '-Infinity', '1e308', '-1e-308']),
    ('boolean', ARRAY['true', NULL, 'false']),
    ('oid', ARRAY['1', NULL, '0', '4294967295']),
    ('regrole', ARRAY['pg_monitor', NULL, '-', '4294967295', 'pg_database_owner']),
    ('regclass', ARRAY['c360.customers', NULL, '-', '4294967295', 'pg_class']),
    ('regproc', ARRAY['now', NULL, '-', '4294967295']),
    ('pg_snapshot', ARRAY['100:200:150', NULL, '1:1:', '9223372036854775807:9223372036854775807:', '3:9223372036854775807:4,5']),
    ('xid8', ARRAY['100', NULL, '0', '18446744073709551615']),
    ('pg_lsn', ARRAY['0/1', NULL, '0/0', 'FFFFFFFF/FFFFFFFF']),
    ('uuid', ARRAY['00000000-0000-0000-0000-000000000001', NULL, 'ffffffff-ffff-ffff-ffff-ffffffffffff']),
    ('bytea', ARRAY['\x00ff', NULL, '']),
    ('timestamp with time zone', ARRAY['2026-01-02', NULL, 'infinity', '-infinity', '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00',
        '0001-01-01', 'epoch']),
    ('timestamp without time zone', ARRAY['2026-01-02', NULL, 'infinity', '-infinity', '4714-11-24 00:00:00 BC', '294276-12-31 23:59:59.999999']),
    ('date', ARRAY['2026-01-02', NULL, 'infinity', '-infinity', '4714-11-24 BC', '5874897-12-31', '0001-01-01']),
    ('interval', ARRAY['1 day', NULL, '0', '-1 microsecond', '178000000 years', '-178000000 years', '2147483647 days 2147483647 months', '1 month']),
    ('json', ARRAY['{}', NULL, 'null', '[]']),
    ('jsonb', ARRAY['{}', NULL, 'null', '[]', '""', '0', 'true', '{"a": {"b": [1, null, {"c": "d"}]}}', '[[], [[]], {}]', '{"": ""}',
        '{"id": null, "transferAmount": "1e400", "content": {}}', '{"id": 1e400}',
        '{"id": 99999999999999999999, "transferType": "in", "transferAmount": -1, "content": "0912345678"}',
        repeat('[', 500) || repeat(']', 500), '{"subject": null, "deadline": "infinity", "order_code": 7, "status": "completed"}',
        '{"phone": ["0912345678"], "amount": 1e30, "Id": -1, "Name": {"a": 1}}', '[' || repeat('"0912345678",', 4000) || '0]']),
    ('text[]', ARRAY['{0912345678}', NULL, '{}', '{NULL}', '{{a,b},{c,d}}', '[5:6]={a,b}', '{"",NULL,"'';--"}', '{wallets,wallet:x,bank}',
        '{' || repeat('0912345678,', 4000) || 'x}']),
    ('bigint[]', ARRAY['{1}', NULL, '{}', '{NULL}', '{{1,2},{3,4}}', '[-5:-4]={1,2}', '{9223372036854775807,-9223372036854775808,0,1,1}']),
    ('integer[]', ARRAY['{1}', NULL, '{}', '{NULL}', '{{1,2},{3,4}}', '[-5:-4]={1,2}', '{2147483647,-2147483648,0}']),
    ('jsonb[]', ARRAY['{"{}"}', NULL, '{}', '{NULL}', '{{"{}"},{"[]"}}']),
    ('date[]', ARRAY['{2026-01-02}', NULL, '{}', '{NULL}', '{infinity,-infinity}']),
    ('timestamp with time zone[]', ARRAY['{2026-01-02}', NULL, '{}', '{NULL}', '{infinity,-infinity}'])
) AS t (type, given), unnest(t.given) WITH ORDINALITY AS v (value, n);

CREATE TEMP VIEW arguments AS
SELECT r.oid AS routine, r.name, a.n::integer AS position, format_type(a.type, NULL) AS type
FROM pg_temp.routines r, unnest(r.proargtypes) WITH ORDINALITY AS a (type, n);
SELECT is_empty($$SELECT DISTINCT a.name, a.type FROM pg_temp.arguments a
                  WHERE NOT EXISTS (SELECT FROM pg_temp.hostile_values v WHERE v.type = a.type)$$,
                'there are values for every type of argument');

-- Each value of each argument, with the others plausible and with the others
-- NULL; and the values of all arguments that stand at one position.
CREATE TEMP TABLE cases AS
SELECT DISTINCT r.oid AS routine, r.name, CASE WHEN r.prokind = 'p' THEN 'CALL ' WHEN r.prorettype = 'trigger'::regtype THEN 'SELECT ' ELSE 'SELECT * FROM ' END
       || r.oid::regproc || '(' || coalesce(c.list, '') || ')' AS statement
FROM pg_temp.routines r LEFT JOIN (
    SELECT a.routine, string_agg(format('%L::%s', CASE WHEN a.position = t.position THEN t.value ELSE o.value END, a.type), ', ' ORDER BY a.position) AS list
    FROM (SELECT a.routine, a.position, v.n, v.value FROM pg_temp.arguments a JOIN pg_temp.hostile_values v USING (type)) t
    JOIN pg_temp.arguments a ON a.routine = t.routine
    CROSS JOIN unnest(ARRAY[1, 2]) AS others
    JOIN pg_temp.hostile_values o ON o.type = a.type AND o.n = others
    GROUP BY a.routine, t.position, t.n, others
    UNION ALL
    SELECT a.routine, string_agg(format('%L::%s', v.value, a.type), ', ' ORDER BY a.position)
    FROM generate_series(1, 27) AS g (n)
    CROSS JOIN LATERAL (SELECT a.*, (SELECT count(*) FROM pg_temp.hostile_values v WHERE v.type = a.type) AS values FROM pg_temp.arguments a) a
    JOIN pg_temp.hostile_values v ON v.type = a.type AND v.n = 1 + (g.n - 1) % nullif(a.values, 0)
    GROUP BY a.routine, g.n) c ON c.routine = r.oid
WHERE r.prorettype NOT IN ('event_trigger'::regtype);

-- Runs one and undoes it: what it failed with, or what is wrong after it.
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; wrong text;
    before text := concat_ws(' ', current_user, session_user, current_setting('search_path'));
BEGIN
    BEGIN
        EXECUTE statement;
        IF before <> concat_ws(' ', current_user, session_user, current_setting('search_path')) THEN
            wrong := 'leaves ' || concat_ws(' ', current_user, session_user, current_setting('search_path'));
        END IF;
        IF EXISTS (SELECT FROM c360_verify_wallets()) THEN
            wrong := concat_ws(', ', wrong, 'the books are wrong');
        END IF;
        RAISE SQLSTATE 'UNDO0' USING MESSAGE = coalesce(wrong, '');
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    END;
    RETURN CASE WHEN state <> 'UNDO0' THEN state || ' ' || message WHEN message <> '' THEN 'wrong ' || message ELSE 'none' END;
END $$;

-- c360_become_owner() is there to leave another role behind.
CREATE TEMP TABLE outcomes AS SELECT c.*, pg_temp.outcome(c.statement) AS outcome FROM cases c
WHERE c.name <> 'c360_become_owner';

SELECT pg_temp.books() AS books \gset

-- What fails for a reason of its own: an SQLSTATE that the comment does not
-- name. Functions that only others of c360 call are checked by these, and may
-- leave it to the tables; but nothing is an internal error.
CREATE TEMP VIEW surprises AS
SELECT o.name, o.outcome, o.statement FROM outcomes o JOIN pg_temp.routines r ON r.oid = o.routine
WHERE o.outcome <> 'none' AND obj_description(r.oid, 'pg_proc') !~ ('\m' || left(o.outcome, 5) || '\M')
  AND (obj_description(r.oid, 'pg_proc') !~ '^Internal:' OR o.outcome !~ '^(22|23|0A000|2D000|39P01|3F000|55000)');
SELECT is((SELECT string_agg(format('%s, as in %s', t.outcome, left(t.statement, 300)), E'\n')
           FROM (SELECT left(min(s.outcome), 100) AS outcome, min(s.statement) AS statement FROM surprises s WHERE s.name = n.name
                 GROUP BY left(s.outcome, 5)) t),
          NULL, format('%s: %s calls, %s succeed', n.name, n.calls, n.successes))
FROM (SELECT name, count(*) AS calls, count(*) FILTER (WHERE outcome = 'none') AS successes FROM outcomes GROUP BY name) n ORDER BY name;
SELECT set_eq('SELECT DISTINCT name FROM outcomes', $$SELECT name FROM pg_temp.routines
              WHERE name <> 'c360_become_owner' AND prorettype <> 'event_trigger'::regtype$$, 'every function was called');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are right');
SELECT * FROM finish();
ROLLBACK;
