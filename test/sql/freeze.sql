-- Frozen wallets refuse withdrawals; everything else goes on.  Phones 0907.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

SELECT balance FROM c360_deposit('0907000001', 100);
SELECT balance FROM c360_deposit('0907000002', 100);
SELECT lots -> 0 ->> 'credit_id' AS lot FROM c360_issue_credit('0907000001', 50, 'MANUAL', 'lot', '2099-01-01') \gset
SELECT transaction_id AS taken FROM c360_withdraw('0907000001', 60) \gset
SELECT c360_freeze_wallet('+84 907 000 001', 'nghi ngờ gian lận');
SELECT phone, balance, virtual_balance, available, frozen FROM c360_wallets(ARRAY['0907000001', '0907000002']);

-- Whether there is enough or not.
SELECT test.error_of($$SELECT c360_withdraw('0907000001', 1)$$);
SELECT test.error_of($$SELECT c360_withdraw('0907000001', 1000)$$);
SELECT type, available FROM c360_withdraw('0907000002', 1);

-- Deposit, issue, refund, corrections either way, cancellation and expiry go on.
SELECT :shown FROM c360_deposit('0907000001', 10);
SELECT :shown FROM c360_issue_credit('0907000001', 20, 'MANUAL', 'overdue', '2099-01-01');
SELECT test.let_expire('0907000001', 'overdue');
SELECT :shown FROM c360_refund(:taken, 55);
SELECT :shown FROM c360_adjust('0907000001', 7, 'up by seven');
SELECT :shown FROM c360_adjust('0907000001', -9, 'down by nine');
SELECT :shown FROM c360_cancel_credit(:lot, 'issued by mistake');
SELECT * FROM test.ledger('0907000001');
SELECT virtual_balance FROM c360_issue_credit('0907000001', 20, 'MANUAL', 'overdue again', '2099-01-01');
SELECT test.let_expire('0907000001', 'overdue again');
SELECT expired_count > 0 AS expired FROM c360_expire_credits();
SELECT phone, balance, virtual_balance, available, frozen FROM c360_wallet('0907000001');

-- Frozen twice is frozen once; it leaves one row in the timeline.
SELECT c360_freeze_wallet('0907000001', 'again');
SELECT frozen_at < clock_timestamp() AS kept FROM c360.customer_wallets WHERE customer_id = test.customer('0907000001');
SELECT c360_unfreeze_wallet('0907000001');
SELECT c360_unfreeze_wallet('0907000001');
SELECT topic, event, reference, payload FROM test.timeline('0907000001') WHERE event LIKE '%frozen';
SELECT :shown FROM c360_withdraw('0907000001', 103);

-- A wallet that never moved money can be frozen.
SELECT c360_get_or_create_customer('0907000003') > 0 AS created;
SELECT c360_freeze_wallet('0907000003', 'unknown face');
SELECT test.error_of($$SELECT c360_withdraw('0907000003', 1)$$);
SELECT :shown FROM c360_deposit('0907000003', 5);

-- A reason is needed, and a customer.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_freeze_wallet('0907000002', NULL)$$);
SELECT test.error_of($$SELECT c360_freeze_wallet('0907000002', ' ')$$);
SELECT test.error_of($$SELECT c360_freeze_wallet('0907000002', repeat('ế', 501))$$);
SELECT test.error_of($$SELECT c360_freeze_wallet('0907000009', 'unknown phone')$$);
SELECT test.error_of($$SELECT c360_freeze_wallet('no phone', 'no phone')$$);
SELECT test.error_of($$SELECT c360_freeze_wallet(NULL, 'no phone')$$);
SELECT test.error_of($$SELECT c360_unfreeze_wallet('0907000009')$$);
SELECT test.error_of($$SELECT c360_unfreeze_wallet('no phone')$$);
SELECT test.error_of($$SELECT c360_unfreeze_wallet(NULL)$$);
\pset tuples_only off
\pset format aligned
SELECT frozen FROM c360_wallet('0907000002');
SELECT count(*) FROM c360.customers WHERE phone = '0907000009';

SELECT * FROM c360_verify_wallets();
