-- What the books said at a moment.  Phones 0911.

SELECT transaction_id AS first FROM c360_deposit('0911000001', 100) \gset
SELECT transaction_id AS other FROM c360_deposit('0911000002', 77) \gset
SELECT transaction_id AS second FROM c360_issue_credit('0911000001', 50, 'MANUAL', 'lot', '2099-01-01') \gset
SELECT transaction_id AS third FROM c360_withdraw('0911000001', 60) \gset

-- The moment of a row is included, the microsecond before is not.
SELECT w.type, at.balance, at.virtual_balance, before.balance AS balance_before, before.virtual_balance AS virtual_before
FROM c360.wallet_transactions w,
     c360_balance_at('0911 000 001', w.created_at) AS at,
     c360_balance_at('0911 000 001', w.created_at - interval '1 microsecond') AS before
WHERE w.id IN (:first, :second, :third) ORDER BY w.id;
SELECT * FROM c360_balance_at('0911000001', '2020-01-01');
SELECT * FROM c360_balance_at('0911000001', '-infinity');
SELECT * FROM c360_balance_at('0911000001', 'infinity');
SELECT * FROM c360_balance_at('0911000002', clock_timestamp());

-- Two rows of one moment: the later one.
UPDATE c360.customer_wallets SET last_at = '2095-01-01 UTC' WHERE customer_id = test.customer('0911000002');
SELECT balance FROM c360_deposit('0911000002', 1);
SELECT balance FROM c360_deposit('0911000002', 2);
SELECT * FROM c360_balance_at('0911000002', '2095-01-01 UTC');
SELECT * FROM c360_balance_at('0911000002', '2094-12-31 23:59:59.999999 UTC');

-- By insert time, not by when it happened outside; not by the start of the
-- transaction either.
BEGIN;
SELECT clock_timestamp() AS early \gset
SELECT balance FROM c360_deposit('0911000003', 100, occurred_at => '2024-01-01');
SELECT balance FROM c360_deposit('0911000003', 100);
COMMIT;
SELECT * FROM c360_balance_at('0911000003', :'early');
SELECT * FROM c360_balance_at('0911000003', '2024-06-01');
SELECT count(DISTINCT created_at), min(created_at) > :'early' AS after_start
FROM c360.wallet_transactions WHERE customer_id = test.customer('0911000003');

-- A customer without a movement shows zeros, an unknown one is an error.
SELECT c360_get_or_create_customer('0911000004') > 0 AS created;
SELECT * FROM c360_balance_at('0911000004', 'infinity');
SELECT test.error_of($$SELECT c360_balance_at('0911000005', now())$$);
SELECT test.error_of($$SELECT c360_balance_at('0911000001', NULL)$$);
SELECT test.error_of($$SELECT c360_balance_at(NULL, now())$$);
SELECT test.error_of($$SELECT c360_balance_at('no phone', now())$$);

-- By one probe of the index over insert time, however many rows there are.
SELECT count(*) FROM generate_series(1, 3000) AS n, c360_deposit('0911000006', n);
CREATE FUNCTION test.rows_read() RETURNS bigint LANGUAGE sql AS $$
    SELECT pg_stat_get_xact_tuples_fetched('c360.wallet_transactions'::regclass)
         + pg_stat_get_xact_tuples_returned('c360.wallet_transactions'::regclass)
$$;
BEGIN;
SELECT test.rows_read() AS rows_before \gset
SELECT balance FROM c360_balance_at('0911000006', 'infinity');
SELECT test.rows_read() - :rows_before <= 2 AS few;
COMMIT;
DROP FUNCTION test.rows_read();

SELECT * FROM c360_verify_wallets();
