-- Refunds: a withdrawal given back, credit first, the lot used last first,
-- then real balance.  Phones 0904.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

-- Of a withdrawal of A 30, B 50 and 20 real, a refund of 60 gives B 50, A 10.
SELECT balance FROM c360_deposit('0904000001', 20);
SELECT virtual_balance FROM c360_issue_credit('0904000001', 30, 'MANUAL', 'A', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0904000001', 50, 'MANUAL', 'B', '2099-02-01');
SELECT transaction_id AS taken, real_change, virtual_change, test.lots(lots) FROM c360_withdraw('0904000001', 100) \gset
SELECT :shown FROM c360_refund(:taken, 60, 'khách trả');
SELECT * FROM test.lots_of('0904000001');
-- then what is left: A 20 and 20 real
SELECT :shown FROM c360_refund(:taken, 30);
SELECT test.error_of(format('SELECT c360_refund(%s, 11)', :taken));
SELECT :shown FROM c360_refund(:taken);
SELECT test.error_of(format('SELECT c360_refund(%s)', :taken));
SELECT test.error_of(format('SELECT c360_refund(%s, 1)', :taken));
SELECT * FROM test.ledger('0904000001');
SELECT refunded_transaction_id = :taken AS of_it, count(*) FROM c360.wallet_transactions
WHERE customer_id = test.customer('0904000001') AND type = 'REFUND' GROUP BY 1;
SELECT balance, virtual_balance, available, total_deposited, total_withdrawn, total_virtual_issued, total_virtual_used
FROM c360_wallet('0904000001');
SELECT event, payload ->> 'note' AS note FROM c360.customer_activities
WHERE customer_id = test.customer('0904000001') AND event = 'wallet.refund' ORDER BY id;

-- Refunds of two withdrawals do not mix: what a later one took of the same
-- lot stays taken.
SELECT virtual_balance FROM c360_issue_credit('0904000002', 100, 'MANUAL', 'shared', '2099-01-01');
SELECT transaction_id AS first FROM c360_withdraw('0904000002', 30) \gset
SELECT transaction_id AS second FROM c360_withdraw('0904000002', 70) \gset
SELECT :shown FROM c360_refund(:first);
SELECT * FROM test.lots_of('0904000002');
SELECT test.error_of(format('SELECT c360_refund(%s, 71)', :second));
SELECT :shown FROM c360_refund(:second, 70);
SELECT * FROM test.lots_of('0904000002');

-- A restored lot lives until the later of its own date and now + 7 days.
SELECT virtual_balance FROM c360_issue_credit('0904000003', 10, 'MANUAL', 'ends soon', clock_timestamp() + interval '1 day');
SELECT virtual_balance FROM c360_issue_credit('0904000003', 10, 'MANUAL', 'is over', clock_timestamp() + interval '2 days');
SELECT virtual_balance FROM c360_issue_credit('0904000003', 10, 'MANUAL', 'lives long', '2099-01-01');
SELECT transaction_id AS taken FROM c360_withdraw('0904000003', 25) \gset
SELECT test.let_expire('0904000003', 'is over');
SELECT :shown FROM c360_refund(:taken, 20);
SELECT * FROM test.lots_of('0904000003');
-- exactly the grace of the money clock; the answer and the record say so
SELECT v.source_id, v.expires_at = t.created_at + interval '7 days' AS grace, u.expires_at = v.expires_at AS recorded
FROM c360.wallet_transactions t
JOIN c360.virtual_credit_uses u ON u.transaction_id = t.id JOIN c360.virtual_credits v ON v.id = u.credit_id
WHERE t.customer_id = test.customer('0904000003') AND t.type = 'REFUND' ORDER BY u.position;
-- the withdrawal's record keeps the expiry of its time
SELECT v.source_id, u.expires_at = '2020-06-01 UTC' AS changed
FROM c360.virtual_credit_uses u JOIN c360.virtual_credits v ON v.id = u.credit_id
WHERE u.transaction_id = :taken ORDER BY u.position;
-- an expired lot comes back to life and is used by its new date
SELECT :shown FROM c360_withdraw('0904000003', 25);
SELECT c360_set('refund_grace_days', '0');
SELECT virtual_balance FROM c360_issue_credit('0904000004', 10, 'MANUAL', 'lot', '2099-01-01');
SELECT transaction_id AS taken FROM c360_withdraw('0904000004', 10) \gset
SELECT :shown FROM c360_refund(:taken, 4);
SELECT * FROM test.lots_of('0904000004');
SELECT c360_set('refund_grace_days', NULL);

-- The rest of a lot expired meanwhile; what was used of it comes back.
SELECT virtual_balance FROM c360_issue_credit('0904000005', 10, 'MANUAL', 'half', '2099-01-01');
SELECT transaction_id AS taken FROM c360_withdraw('0904000005', 6) \gset
SELECT test.let_expire('0904000005', 'half');
SELECT :shown FROM c360_refund(:taken);
SELECT * FROM test.ledger('0904000005');
SELECT * FROM test.lots_of('0904000005');

-- What belongs to a lot cancelled meanwhile is restored and cancelled at
-- once, in two rows; credit never turns into real money.
SELECT balance FROM c360_deposit('0904000006', 5);
SELECT virtual_balance FROM c360_issue_credit('0904000006', 10, 'MANUAL', 'cancelled', '2099-01-01');
SELECT virtual_balance FROM c360_issue_credit('0904000006', 10, 'MANUAL', 'kept', '2099-02-01');
SELECT transaction_id AS taken FROM c360_withdraw('0904000006', 8) \gset
SELECT transaction_id AS taken_more, test.lots(lots) AS lots FROM c360_withdraw('0904000006', 1) \gset
SELECT type, virtual_change FROM c360_cancel_credit(
    (SELECT id FROM c360.virtual_credits WHERE customer_id = test.customer('0904000006') AND source_id = 'cancelled'),
    'issued by mistake');
SELECT transaction_id AS taken_last FROM c360_withdraw('0904000006', 12) \gset
SELECT type, amount, real_change, virtual_change, test.lots(lots), replayed FROM c360_refund(:taken);
SELECT type, amount, real_change, virtual_change, test.lots(lots), replayed FROM c360_refund(:taken_last);
SELECT * FROM test.ledger('0904000006');
SELECT * FROM test.lots_of('0904000006');
SELECT balance, virtual_balance, available FROM c360_wallet('0904000006');

-- Only a withdrawal can be refunded.
SELECT transaction_id AS put FROM c360_deposit('0904000007', 10) \gset
SELECT transaction_id AS issued FROM c360_issue_credit('0904000007', 10, 'MANUAL', 'lot', '2099-01-01') \gset
SELECT transaction_id AS adjusted FROM c360_adjust('0904000007', -10, 'cash was missing') \gset
SELECT transaction_id AS taken FROM c360_withdraw('0904000007', 10) \gset
SELECT transaction_id AS refunded FROM c360_refund(:taken) \gset
\pset format unaligned
\pset tuples_only on
SELECT test.error_of(format('SELECT c360_refund(%s)', :put));
SELECT test.error_of(format('SELECT c360_refund(%s)', :issued));
SELECT test.error_of(format('SELECT c360_refund(%s)', :adjusted));
SELECT test.error_of(format('SELECT c360_refund(%s)', :refunded));
SELECT test.error_of($$SELECT c360_refund(9223372036854775807)$$);
SELECT test.error_of($$SELECT c360_refund(0)$$);
SELECT test.error_of($$SELECT c360_refund(-1)$$);
SELECT test.error_of(format('SELECT c360_refund(%s, 0)', :taken));
SELECT test.error_of(format('SELECT c360_refund(%s, -5)', :taken));
SELECT test.error_of(format('SELECT c360_refund(%s, note => %L)', :taken, repeat('ế', 2001)));
\pset tuples_only off
\pset format aligned

-- A refund is bounded by its withdrawal, not by max_amount.
SELECT balance FROM c360_deposit('0904000008', 500);
SELECT transaction_id AS taken FROM c360_withdraw('0904000008', 500) \gset
SELECT c360_set('max_amount', '100');
SELECT :shown FROM c360_refund(:taken);
SELECT c360_set('max_amount', NULL);

-- Two refunds in one SELECT.
SELECT transaction_id AS taken FROM c360_withdraw('0904000008', 500) \gset
SELECT (c360_refund(:taken, 200)).balance, (c360_refund(:taken, 300)).balance;
SELECT transaction_id AS taken FROM c360_withdraw('0904000008', 500) \gset
SELECT test.error_of(format('SELECT c360_refund(%1$s, 300), c360_refund(%1$s, 201)', :taken));
SELECT balance FROM c360_wallet('0904000008');

SELECT * FROM c360_verify_wallets();
