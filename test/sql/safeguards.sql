-- What must hold when the surroundings are hostile or broken.  Phones 0924.
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

-- A trigger that keeps customers or wallets from coming into being ends the
-- call instead of keeping it trying for ever.
CREATE FUNCTION test.deny() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SET statement_timeout = '20s';
BEGIN;
CREATE TRIGGER deny BEFORE INSERT ON c360.customers FOR EACH ROW EXECUTE FUNCTION test.deny();
SELECT test.error_of($$SELECT c360_deposit('0924000001', 1)$$);
ROLLBACK;
BEGIN;
CREATE TRIGGER deny BEFORE INSERT ON c360.customer_wallets FOR EACH ROW EXECUTE FUNCTION test.deny();
SELECT test.error_of($$SELECT c360_deposit('0924000001', 1)$$);
ROLLBACK;
RESET statement_timeout;
DROP FUNCTION test.deny();

-- An index that a failed CREATE INDEX CONCURRENTLY left invalid is not trusted.
BEGIN;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'c360.wallet_transactions_idempotency_key_key'::regclass;
SELECT test.error_of($$SELECT c360_deposit('0924000001', 1, idempotency_key => 'safe')$$);
ROLLBACK;
SELECT balance FROM c360_deposit('0924000001', 1);

-- A view of the same name that somebody else made is not taken over, in a
-- schema whose name needs quotes neither.
CREATE ROLE regress_c360_evil;
BEGIN;
DROP VIEW c360_settings;
CREATE VIEW c360_settings AS SELECT ''::text AS name;
ALTER VIEW c360_settings OWNER TO regress_c360_evil;
SELECT test.error_of('SELECT c360_install()');
ROLLBACK;
BEGIN;
DROP EXTENSION c360 CASCADE;
CREATE SCHEMA "Api";
CREATE VIEW "Api".c360_settings AS SELECT ''::text AS name;
ALTER VIEW "Api".c360_settings OWNER TO regress_c360_evil;
CREATE EXTENSION c360 SCHEMA "Api";
SELECT test.error_of('SELECT "Api".c360_install()');
DROP VIEW "Api".c360_settings;
SELECT "Api".c360_install() = (SELECT max(version)::text FROM c360.table_versions) AS installed;
SELECT balance FROM "Api".c360_deposit('0924000001', 1);
SELECT balance FROM "Api".c360_wallet('0924000001');
ROLLBACK;
DROP ROLE regress_c360_evil;

-- The key of an HTTP request is not used by a trigger at the end of the transaction.
CREATE FUNCTION test.later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.c360_deposit('0924000003', 7);
    RETURN NULL;
END $$;
SELECT balance FROM c360_deposit('0924000003', 1);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON c360.wallet_transactions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (new.reference_id = 'later') EXECUTE FUNCTION test.later();
SELECT set_config('request.method', 'POST', false), set_config('request.path', '/rpc/c360_deposit', false),
       set_config('request.headers', '{"idempotency-key": "safe request"}', false);
SELECT balance, replayed FROM c360_deposit('0924000002', 5, reference_id => 'later');
SELECT balance, replayed FROM c360_deposit('0924000002', 5, reference_id => 'later');
SELECT phone, balance FROM c360_wallets(ARRAY['0924000002', '0924000003']);
SELECT set_config('request.method', '', false), set_config('request.path', '', false),
       set_config('request.headers', '', false);
DROP TRIGGER later ON c360.wallet_transactions;
DROP FUNCTION test.later();

-- A refund to a cancelled lot: the answer and its replay say the same, as of
-- after the row that cancels again.
SELECT lots -> 0 ->> 'credit_id' AS lot FROM c360_issue_credit('0924000004', 30, 'MANUAL', 'gone', '2099-01-01') \gset
SELECT transaction_id AS taken FROM c360_withdraw('0924000004', 20) \gset
SELECT amount FROM c360_cancel_credit(:lot, 'taken back');
SELECT amount, virtual_change, virtual_balance, available, replayed FROM c360_refund(:taken, idempotency_key => 'safe refund');
SELECT amount, virtual_change, virtual_balance, available, replayed FROM c360_refund(:taken, idempotency_key => 'safe refund');
SELECT virtual_balance FROM c360_wallet('0924000004');

-- The first call of a session may stand in a query that could run in parallel.
CREATE TABLE test.many AS SELECT '0924000001'::text AS phone, n FROM generate_series(1, 10000) n;
ANALYZE test.many;
\c -
\pset format unaligned
\pset tuples_only on
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT (c360_wallet(phone)).balance, n FROM test.many WHERE n = 777;
DROP TABLE test.many;
SELECT count(*) FROM c360_verify_wallets();

-- Movements within movements: triggers of the ledger that deposit, twelve deep,
-- and a function of the shop's that bears such a name.
SELECT set_config('request.method', 'POST', false) \g /dev/null
BEGIN;
CREATE FUNCTION public.c360_of_the_shop(n bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT balance FROM public.c360_deposit('09240001' || lpad(n::text, 2, '0'), n)
$$;
CREATE FUNCTION test.again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.amount < 12 THEN
        PERFORM public.c360_of_the_shop(NEW.amount + 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER again AFTER INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION test.again();
SELECT public.c360_of_the_shop(1);
SELECT count(*), sum(balance) FROM c360_wallets((SELECT array_agg('09240001' || lpad(n::text, 2, '0')) FROM generate_series(1, 12) n));
SELECT * FROM c360_verify_wallets();
ROLLBACK;
SELECT set_config('request.method', '', false) \g /dev/null
