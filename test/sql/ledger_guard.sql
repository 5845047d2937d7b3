-- Rows of the ledger are never changed or removed.  Phones 0913.
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

SELECT balance FROM c360_deposit('0913000001', 100);
SELECT virtual_balance FROM c360_issue_credit('0913000001', 50, 'MANUAL', 'lot', '2099-01-01');
SELECT available FROM c360_withdraw('0913000001', 60);
CREATE TABLE test.ledger_before AS SELECT * FROM c360.wallet_transactions;
CREATE TABLE test.uses_before AS SELECT * FROM c360.virtual_credit_uses;

CREATE FUNCTION test.guarded() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    command text;
BEGIN
    FOREACH command IN ARRAY ARRAY[
        'UPDATE c360.wallet_transactions SET amount = amount',
        'UPDATE c360.wallet_transactions SET source = NULL WHERE customer_id = test.customer(''0913000001'')',
        'DELETE FROM c360.wallet_transactions',
        'TRUNCATE c360.wallet_transactions',
        'TRUNCATE c360.wallet_transactions CASCADE',
        'TRUNCATE c360.customers CASCADE',
        'MERGE INTO c360.wallet_transactions t USING (VALUES (1)) AS v (n) ON true WHEN MATCHED THEN UPDATE SET source = NULL',
        'MERGE INTO c360.wallet_transactions t USING (VALUES (1)) AS v (n) ON true WHEN MATCHED THEN DELETE',
        'INSERT INTO c360.wallet_transactions OVERRIDING SYSTEM VALUE SELECT * FROM c360.wallet_transactions'
            ' ON CONFLICT (id) DO UPDATE SET source = NULL',
        'WITH gone AS (DELETE FROM c360.wallet_transactions RETURNING *) SELECT count(*) FROM gone',
        'UPDATE c360.virtual_credit_uses SET amount = amount',
        'DELETE FROM c360.virtual_credit_uses',
        'TRUNCATE c360.virtual_credit_uses',
        'MERGE INTO c360.virtual_credit_uses t USING (VALUES (1)) AS v (n) ON true WHEN MATCHED THEN UPDATE SET amount = 1',
        'MERGE INTO c360.virtual_credit_uses t USING (VALUES (1)) AS v (n) ON true WHEN MATCHED THEN DELETE',
        'INSERT INTO c360.virtual_credit_uses SELECT * FROM c360.virtual_credit_uses'
            ' ON CONFLICT (transaction_id, position) DO UPDATE SET amount = 1'
    ] LOOP
        RETURN NEXT command || ': ' || test.error_of(command);
    END LOOP;
END $$;
SELECT test.guarded();

-- For the replica role as well, which logical replication uses.
SET session_replication_role = replica;
SELECT count(*), count(*) FILTER (WHERE g LIKE '%: 0A000 %') AS refused FROM test.guarded() AS g;
RESET session_replication_role;
SET session_replication_role = local;
SELECT count(*), count(*) FILTER (WHERE g LIKE '%: 0A000 %') AS refused FROM test.guarded() AS g;
RESET session_replication_role;

-- For another owner of the tables, too.
CREATE ROLE regress_c360_owner;
BEGIN;
GRANT USAGE ON SCHEMA c360 TO regress_c360_owner;
GRANT USAGE ON SCHEMA test TO regress_c360_owner;
ALTER TABLE c360.customers OWNER TO regress_c360_owner;
ALTER TABLE c360.wallet_transactions OWNER TO regress_c360_owner;
ALTER TABLE c360.virtual_credit_uses OWNER TO regress_c360_owner;
ALTER TABLE c360.virtual_credits OWNER TO regress_c360_owner;
ALTER TABLE c360.customer_wallets OWNER TO regress_c360_owner;
SET ROLE regress_c360_owner;
SELECT left(test.error_of('UPDATE c360.wallet_transactions SET amount = amount'), 5);
SELECT left(test.error_of('DELETE FROM c360.wallet_transactions'), 5);
SELECT left(test.error_of('TRUNCATE c360.wallet_transactions, c360.virtual_credit_uses'), 5);
SELECT left(test.error_of('DELETE FROM c360.virtual_credit_uses'), 5);
ROLLBACK;
DROP ROLE regress_c360_owner;

-- Nothing is different.
SELECT count(*) FROM ((TABLE test.ledger_before EXCEPT ALL TABLE c360.wallet_transactions)
    UNION ALL (TABLE c360.wallet_transactions EXCEPT ALL TABLE test.ledger_before)) AS difference;
SELECT count(*) FROM ((TABLE test.uses_before EXCEPT ALL TABLE c360.virtual_credit_uses)
    UNION ALL (TABLE c360.virtual_credit_uses EXCEPT ALL TABLE test.uses_before)) AS difference;

-- Its owner can still disable the guard by name; c360_install() puts it back.
BEGIN;
ALTER TABLE c360.wallet_transactions DISABLE TRIGGER ledger_guard;
SELECT test.error_of($$UPDATE c360.wallet_transactions SET source = source WHERE customer_id = test.customer('0913000001')$$);
SELECT left(test.error_of('TRUNCATE c360.wallet_transactions CASCADE'), 5);
SELECT c360_install() <> '';
SELECT left(test.error_of('UPDATE c360.wallet_transactions SET source = source'), 5);
SELECT tgname, tgenabled FROM pg_trigger
WHERE tgrelid IN ('c360.wallet_transactions'::regclass, 'c360.virtual_credit_uses'::regclass) AND NOT tgisinternal
ORDER BY tgrelid::regclass::text, tgname;
ROLLBACK;

DROP FUNCTION test.guarded();
DROP TABLE test.ledger_before, test.uses_before;
SELECT * FROM c360_verify_wallets();
