-- Withdrawals: lots first, soonest expiry first and then lowest id, then real
-- balance.  Phones 0903.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

-- FIFO by expiry, not by age; lots of one expiry by id.
SELECT balance FROM c360_deposit('0903000001', 100);
SELECT balance FROM c360_deposit('0903000002', 1000);
SELECT virtual_balance FROM c360_issue_credit('0903000001', 50, 'MANUAL', 'third', '2099-03-01');
SELECT virtual_balance FROM c360_issue_credit('0903000001', 30, 'MANUAL', 'first', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0903000001', 20, 'MANUAL', 'second', '2099-02-01');
SELECT virtual_balance FROM c360_issue_credit('0903000001', 5, 'MANUAL', 'second-b', '2099-02-01');
SELECT virtual_balance FROM c360_issue_credit('0903000002', 1000, 'MANUAL', 'not his', '2098-01-01');
SELECT :shown FROM c360_withdraw('0903000001', 10, 'ĐH-1', 'part of a lot');
SELECT :shown FROM c360_withdraw('0903000001', 20, 'ĐH-2', 'the rest of it, exactly');
SELECT :shown FROM c360_withdraw('0903000001', 23, NULL, 'over two lots of one expiry');
SELECT :shown FROM c360_withdraw('0903000001', 102, 'ĐH-3', 'the rest and real balance');
SELECT :shown FROM c360_withdraw('0903000001', 50, 'ĐH-4', 'all of it');
SELECT * FROM test.lots_of('0903000001');
SELECT * FROM test.ledger('0903000001');
SELECT balance, virtual_balance, available, total_deposited, total_withdrawn, total_virtual_issued,
       total_virtual_used, total_virtual_expired, lots FROM c360_wallet('0903000001');
SELECT balance, virtual_balance, available, total_withdrawn FROM c360_wallet('0903000002');
SELECT event, payload ->> 'note' AS note FROM c360.customer_activities
WHERE customer_id = test.customer('0903000001') AND event = 'wallet.withdraw' ORDER BY id;
-- the lots of the answer carry the expiry then, and so do the recorded uses
SELECT virtual_balance FROM c360_issue_credit('0903000002', 1, 'MANUAL', 'sooner', '2097-07-01 UTC');
SELECT transaction_id AS taken, lots AS answered FROM c360_withdraw('0903000002', 11) \gset
SELECT v.source_id, u.position, u.amount, u.expires_at = v.expires_at AS expiry,
       :'answered'::jsonb -> (u.position - 1) = jsonb_build_object('credit_id', v.id, 'amount', u.amount, 'expires_at', u.expires_at) AS answered
FROM c360.virtual_credit_uses u JOIN c360.virtual_credits v ON v.id = u.credit_id
WHERE u.transaction_id = :taken ORDER BY u.position;

-- Not enough: nothing changed, not even what was overdue.
SELECT balance FROM c360_deposit('0903000003', 100);
SELECT virtual_balance FROM c360_issue_credit('0903000003', 50, 'MANUAL', 'good', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0903000003', 7, 'MANUAL', 'overdue', '2099-01-01');
SELECT test.let_expire('0903000003', 'overdue');
SELECT test.error_of($$SELECT c360_withdraw('0903000003', 151)$$);
SELECT test.error_of($$SELECT c360_withdraw('0903000003', 1000000000)$$);
SELECT balance, virtual_balance, available FROM c360_wallet('0903000003');
SELECT * FROM test.lots_of('0903000003');
-- What is overdue expires first, in the same call.
SELECT :shown FROM c360_withdraw('0903000003', 150);
SELECT * FROM test.ledger('0903000003');
SELECT test.error_of($$SELECT c360_withdraw('0903000003', 1)$$);

-- A lot is usable strictly before expires_at. The money clock is never
-- earlier than the wallet's last row.
SELECT virtual_balance FROM c360_issue_credit('0903000004', 1, 'MANUAL', 'just over', '2096-01-01 00:00:00 UTC');
SELECT virtual_balance FROM c360_issue_credit('0903000004', 2, 'MANUAL', 'just good', '2096-01-01 00:00:00.000001 UTC');
UPDATE c360.customer_wallets SET last_at = '2096-01-01 UTC' WHERE customer_id = test.customer('0903000004');
SELECT :shown FROM c360_withdraw('0903000004', 2);
SELECT type, created_at = '2096-01-01 UTC' AS by_money_clock FROM c360.wallet_transactions
WHERE customer_id = test.customer('0903000004') AND type <> 'VIRTUAL_CREDIT' ORDER BY id;

-- A customer without a movement has a wallet of zeros; an unknown one has none.
SELECT c360_get_or_create_customer('0903000005') > 0 AS created;
SELECT test.error_of($$SELECT c360_withdraw('0903000005', 1)$$);
SELECT test.error_of($$SELECT c360_withdraw('0903000006', 1)$$);
SELECT count(*) FROM c360.customers WHERE phone = '0903000006';

-- Refused arguments.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_withdraw('0903000002', 0)$$);
SELECT test.error_of($$SELECT c360_withdraw('0903000002', -1)$$);
SELECT test.error_of($$SELECT c360_withdraw('0903000002', 1000000001)$$);
SELECT test.error_of($$SELECT c360_withdraw('0903000002', 1, repeat('ế', 201))$$);
SELECT test.error_of($$SELECT c360_withdraw('0903000002', 1, NULL, repeat('ế', 2001))$$);
\pset tuples_only off
\pset format aligned

-- A rolled-back savepoint takes all of a withdrawal back, lots and clock too.
SELECT balance FROM c360_deposit('0903000007', 10);
SELECT virtual_balance FROM c360_issue_credit('0903000007', 10, 'MANUAL', 'lot', '2099-01-01');
BEGIN;
SELECT :shown FROM c360_withdraw('0903000007', 1);
SAVEPOINT before;
SELECT :shown FROM c360_withdraw('0903000007', 15);
ROLLBACK TO before;
SELECT :shown FROM c360_withdraw('0903000007', 19);
COMMIT;
SELECT * FROM test.ledger('0903000007');

-- Three withdrawals in one SELECT.
SELECT balance FROM c360_deposit('0903000008', 60);
SELECT (c360_withdraw('0903000008', 10)).available, (c360_withdraw('0903000008', 20)).available,
       (c360_withdraw('0903000008', 30)).available;
-- One too many, and none of them is done.
SELECT balance FROM c360_deposit('0903000008', 25);
SELECT test.error_of($$SELECT c360_withdraw('0903000008', 10), c360_withdraw('0903000008', 10), c360_withdraw('0903000008', 10)$$);
SELECT balance, total_withdrawn FROM c360_wallet('0903000008');

SELECT * FROM c360_verify_wallets();
