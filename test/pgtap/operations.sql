-- Queries of doc/operations.md: those of "What to watch" answer nothing on a
-- sound shop, and something once their case has come about.
BEGIN;
\ir tools.psql
\set watch `perl test/blocks.pl doc/operations.md 'What to watch'`
\set sizing `perl test/blocks.pl doc/operations.md Sizing`
\set page `cat doc/operations.md`
SELECT no_plan();

CREATE TEMP TABLE alarms AS
    SELECT substring(s FROM '^\s*-- (\w+)') AS name, rtrim(regexp_replace(s, '^\s*--[^\n]*\n', ''), E'; \n') AS query
    FROM string_to_table(:'watch', E'\n\n') AS s WHERE s ~ 'SELECT';
CREATE FUNCTION pg_temp.rings(alarm text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    rows bigint;
BEGIN
    EXECUTE (SELECT format('SELECT count(*) FROM (%s) AS x', query) FROM pg_temp.alarms WHERE name = alarm) INTO STRICT rows;
    RETURN rows > 0;
END $$;

-- Text and queries
SELECT set_eq('SELECT name FROM alarms',
              format('SELECT m[1] FROM regexp_matches(%L, %L, %L) AS m', substring(:'page' FROM '### What to do when it rings.*?\n## '), '\n\| (\w+) \|', 'g')
              || $$ EXCEPT SELECT 'alarm'$$, 'each alarm says what to do');

-- A shop, new: nobody runs jobs here, and the tests before may have taken long
UPDATE c360.jobs SET since = now();
SELECT c360_deposit('0912345678', 500000), c360_issue_credit('0912345678', 5000), c360_withdraw('0912345678', 6000) \g /dev/null
SELECT c360_issue_credit('0912345678', 5000) \g /dev/null
SELECT c360_ingest_bank_transaction('{"id": 1, "gateway": "VCB", "transactionDate": "2026-01-01 00:00:00", "accountNumber": "0123",
    "transferType": "in", "transferAmount": 1000, "content": "who"}') \g /dev/null
-- some depend on what the server did before, on its workers, and on what others
-- committed: they only have to run
SELECT lives_ok(format('SELECT pg_temp.rings(%L)', name), name || ' runs') FROM alarms ORDER BY name;
SELECT is(pg_temp.rings(name), false, name || ' is still on a sound shop') FROM alarms
WHERE name NOT IN ('workers', 'hot', 'vacuum', 'listeners', 'long_transactions', 'standbys', 'errors_lost', 'publisher') ORDER BY name;
SELECT ok(pg_temp.rings('workers'), 'workers rings: there are none here');

-- What makes each ring
CREATE FUNCTION pg_temp.after(alarm text, change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before boolean := pg_temp.rings(alarm);
    rings boolean;
BEGIN
    BEGIN
        EXECUTE change;
        rings := pg_temp.rings(alarm);
        RAISE SQLSTATE 'UNDOX';
    EXCEPTION WHEN SQLSTATE 'UNDOX' THEN
        RETURN is(before::text || ' ' || rings, 'false true', alarm || ' rings: ' || left(change, 60));
    END;
END $$;
SELECT pg_temp.after(alarm, change) FROM (VALUES
    ('books', 'UPDATE c360.customer_wallets SET balance = balance + 1'),
    ('books', 'UPDATE c360.virtual_credits SET remaining_amount = remaining_amount - 1 WHERE remaining_amount > 1'),
    ('guard', 'ALTER TABLE c360.wallet_transactions DISABLE TRIGGER ledger_guard'),
    ('guard', 'DROP TRIGGER ledger_truncate_guard ON c360.virtual_credit_uses'),
    ('guard', 'ALTER TABLE c360.wallet_transactions ENABLE TRIGGER ledger_guard'),
    ('failed_transfers', $$UPDATE c360.balance_history SET result = 'failed', error = 'why'$$),
    ('waiting_transfers', $$UPDATE c360.balance_history SET received_at = now() - interval '2 days'$$),
    ('told_differently', $$INSERT INTO c360.balance_history_differences (bank_transaction_id, raw_data) SELECT id, '{}' FROM c360.balance_history$$),
    ('jobs', $$INSERT INTO c360.job_runs (job, ended_at, error, sqlstate, started_by) SELECT 'expire_credits', now(), 'why', '23514', 'x' FROM generate_series(1, 3)$$),
    ('jobs', $$UPDATE c360.jobs SET since = now() - interval '3 days'$$),
    ('expiry', $$UPDATE c360.virtual_credits SET expires_at = now() - interval '3 hours'$$),
    ('errors', $$INSERT INTO c360.audit_logs (at, function, sqlstate, message, actor, session_user_name) VALUES (now(), 'c360_set', '57014', 'x', 'x', 'x')$$),
    ('ticks', $$INSERT INTO c360.event_ticks (id, snapshot, low_id, high_id, created_at) SELECT g + 1000000, '1:1:', 0, 0, now() FROM generate_series(1, 700001) g$$),
    ('versions', $$UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'c360'$$)
) AS t (alarm, change);

SELECT lives_ok(rtrim(:'sizing', E'; \n'), 'the query of Sizing runs');
SELECT * FROM finish();
ROLLBACK;
