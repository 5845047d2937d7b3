-- Credit taken back.  Phones 0906.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

SELECT balance FROM c360_deposit('0906000001', 5);
SELECT lots -> 0 ->> 'credit_id' AS whole FROM c360_issue_credit('0906000001', 40, 'MANUAL', 'whole', '2099-03-01') \gset
SELECT lots -> 0 ->> 'credit_id' AS part FROM c360_issue_credit('0906000001', 30, 'MANUAL', 'part', '2099-02-01') \gset
SELECT lots -> 0 ->> 'credit_id' AS used FROM c360_issue_credit('0906000001', 10, 'MANUAL', 'used', '2099-01-01') \gset
SELECT lots -> 0 ->> 'credit_id' AS other FROM c360_issue_credit('0906000002', 9, 'MANUAL', 'other', '2099-01-01') \gset
SELECT :shown FROM c360_withdraw('0906000001', 22);

-- What remains of an ACTIVE lot.
SELECT :shown FROM c360_cancel_credit(:part, 'issued by mistake');
SELECT :shown FROM c360_cancel_credit(:whole, 'x');
SELECT * FROM test.lots_of('0906000001');
SELECT * FROM test.ledger('0906000001');
SELECT event, payload ->> 'note' AS note FROM c360.customer_activities
WHERE customer_id = test.customer('0906000001') AND event = 'wallet.virtual_cancelled' ORDER BY id;
SELECT balance, virtual_balance, available, total_virtual_issued, total_virtual_used, total_virtual_expired
FROM c360_wallet('0906000001');
SELECT virtual_balance, available FROM c360_wallet('0906000002');

-- Of an ACTIVE lot only: used, cancelled, overdue ones are none.
SELECT lots -> 0 ->> 'credit_id' AS overdue FROM c360_issue_credit('0906000001', 7, 'MANUAL', 'overdue', '2099-01-01') \gset
SELECT test.let_expire('0906000001', 'overdue');
\pset format unaligned
\pset tuples_only on
SELECT test.error_of(format('SELECT c360_cancel_credit(%s, %L)', :used, 'why'));
SELECT test.error_of(format('SELECT c360_cancel_credit(%s, %L)', :part, 'why'));
SELECT test.error_of(format('SELECT c360_cancel_credit(%s, %L)', :overdue, 'why'));
SELECT test.error_of($$SELECT c360_cancel_credit(9223372036854775807, 'why')$$);
SELECT test.error_of($$SELECT c360_cancel_credit(-1, 'why')$$);
SELECT test.error_of($$SELECT c360_cancel_credit(NULL, 'why')$$);
SELECT test.error_of(format('SELECT c360_cancel_credit(%s, NULL)', :other));
SELECT test.error_of(format('SELECT c360_cancel_credit(%s, %L)', :other, '  '));
SELECT test.error_of(format('SELECT c360_cancel_credit(%s, %L)', :other, repeat('ế', 501)));
\pset tuples_only off
\pset format aligned
SELECT * FROM test.lots_of('0906000001');

-- A wallet's other overdue lots expire first.
SELECT lots -> 0 ->> 'credit_id' AS good FROM c360_issue_credit('0906000002', 3, 'MANUAL', 'good', '2099-02-01') \gset
SELECT test.let_expire('0906000002', 'other');
SELECT :shown FROM c360_cancel_credit(:good, repeat('ế', 500));
SELECT * FROM test.ledger('0906000002');
SELECT expired_count > 0 AS rest_expired FROM c360_expire_credits();

SELECT * FROM c360_verify_wallets();
