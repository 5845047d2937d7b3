-- Deposits: real balance up.  Phones 0901.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, lots, replayed'

-- The first deposit makes the customer and the wallet; another spelling is
-- the same customer, another number another one.
SELECT count(*) FROM c360.customers WHERE phone LIKE '0901%';
SELECT :shown FROM c360_deposit('+84 901 000 001', 70000);
SELECT :shown FROM c360_deposit('0901.000.001', 30000);
SELECT :shown FROM c360_deposit('0901000002', 5);
SELECT phone, name, carrier, status, tier, created_source FROM c360.customers WHERE phone LIKE '0901%' ORDER BY phone;
SELECT phone, balance, virtual_balance, available, total_deposited, total_withdrawn FROM c360_wallet('0901000001');
SELECT phone, balance, virtual_balance, available, total_deposited, total_withdrawn FROM c360_wallet('0901000002');

-- Sources by hand; NULL is the default. Reference and outside time stand in
-- the ledger, the note only in the timeline.
SELECT :shown FROM c360_deposit('0901000003', 1, 'RETURN_GOODS', 'order', 'ĐH-1', 'trả hàng', NULL, '2024-02-29 12:00 UTC');
SELECT :shown FROM c360_deposit('0901000003', 2, 'ORDER_CANCEL');
SELECT :shown FROM c360_deposit('0901000003', 3, source => NULL);
SELECT :shown FROM c360_deposit(phone => '0901000003', amount => 4, note => 'by name');
SELECT * FROM test.ledger('0901000003');
SELECT occurred_at = '2024-02-29 12:00 UTC' AS occurred FROM c360.wallet_transactions
WHERE customer_id = test.customer('0901000003') ORDER BY id;
SELECT * FROM test.timeline('0901000003');
-- each ledger row names its activity row, of the same time, which names it
SELECT count(*), count(*) FILTER (WHERE a.event = 'wallet.deposit' AND a.created_at = t.created_at
                                    AND a.reference_type = 'wallet_transaction' AND a.reference_id = t.id::text
                                    AND a.customer_id = t.customer_id) AS agree
FROM c360.wallet_transactions t LEFT JOIN c360.customer_activities a ON a.id = t.activity_id
WHERE t.customer_id = test.customer('0901000003');

-- No row of the ledger holds a phone, a name or free text.
SELECT count(*) FROM c360.wallet_transactions t
WHERE t.customer_id = test.customer('0901000003')
  AND (t::text LIKE '%0901000003%' OR t::text LIKE '%hàng%' OR t::text LIKE '%by name%');

-- Refused, and nothing changed.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_deposit('0901000004', 0)$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', -1)$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1000000001)$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, 'BANK_TRANSFER')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, 'BANK_UNLINK')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, 'manual')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, '')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, occurred_at => '1999-06-01')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, occurred_at => '2999-01-01')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, occurred_at => 'infinity')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, occurred_at => '-infinity')$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, reference_type => repeat('ế', 201))$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, reference_id => repeat('ế', 201))$$);
SELECT test.error_of($$SELECT c360_deposit('0901000004', 1, note => repeat('ế', 2001))$$);
SELECT count(*) FROM c360.customers WHERE phone = '0901000004';
\pset tuples_only off
\pset format aligned

-- At the limits.
SELECT :shown FROM c360_deposit('0901000005', 1000000000, reference_type => repeat('ế', 200),
                                reference_id => repeat('ế', 200), note => repeat('ế', 2000),
                                occurred_at => '2000-01-02');
SELECT length(payload ->> 'note') FROM c360.customer_activities
WHERE customer_id = test.customer('0901000005') AND event = 'wallet.deposit';

-- Without a limit, up to the end of bigint and no further.
SELECT c360_set('max_amount', '0');
SELECT :shown FROM c360_deposit('0901000006', 9223372036854775800);
SELECT :shown FROM c360_deposit('0901000006', 7);
SELECT test.error_of($$SELECT c360_deposit('0901000006', 1)$$);
SELECT :shown FROM c360_withdraw('0901000006', 9223372036854775807);
-- the total of deposits has an end, too
SELECT test.error_of($$SELECT c360_deposit('0901000006', 1)$$);
SELECT c360_set('max_amount', NULL);
SELECT balance, total_deposited, total_withdrawn FROM c360_wallet('0901000006');

-- Three calls in one SELECT see one another.
SELECT (c360_deposit('0901000007', 1)).balance, (c360_withdraw('0901000007', 1)).balance,
       (c360_deposit('0901000007', 10)).balance;
SELECT balance, total_deposited, total_withdrawn FROM c360_wallet('0901000007');

-- A call for each row of a query.
SELECT n, d.balance FROM generate_series(1, 3) AS n, c360_deposit('0901000008', n) AS d ORDER BY n;

SELECT * FROM c360_verify_wallets();
