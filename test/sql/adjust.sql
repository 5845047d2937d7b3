-- Corrections of real balance.  Phones 0905.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, lots, replayed'

SELECT balance FROM c360_deposit('0905000001', 100);
SELECT balance FROM c360_deposit('0905000002', 100);
SELECT virtual_balance FROM c360_issue_credit('0905000001', 40, 'MANUAL', 'lot', '2099-01-01');
SELECT :shown FROM c360_adjust('0905000001', 25, 'counted again', 'ticket', 'TV-2025-00001');
SELECT :shown FROM c360_adjust('0905 000 001', -125, 'counted once more');
SELECT * FROM test.ledger('0905000001');
SELECT balance, virtual_balance, available, total_deposited, total_withdrawn FROM c360_wallet('0905000001');
SELECT balance FROM c360_wallet('0905000002');
-- the reason stands in the timeline, not in the ledger
SELECT event, payload ->> 'note' AS note FROM c360.customer_activities
WHERE customer_id = test.customer('0905000001') AND event = 'wallet.adjusted' ORDER BY id;
SELECT count(*) FROM c360.wallet_transactions t
WHERE t.customer_id = test.customer('0905000001') AND t::text LIKE '%counted%';

-- Credit cannot pay a correction, and overdue lots are no part of it.
SELECT test.error_of($$SELECT c360_adjust('0905000001', -1, 'one more correction')$$);
SELECT test.let_expire('0905000001', 'lot');
SELECT :shown FROM c360_adjust('0905000001', 1, 'a small correction');
SELECT * FROM test.lots_of('0905000001');

-- Reasons have 10 to 500 characters, blanks around them not counted.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, 'too short')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, '   too short   ')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, '          ')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, NULL)$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, repeat('ế', 501))$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 0, 'nothing at all')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1000000001, 'more than allowed')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', -1000000001, 'more than allowed')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', -9223372036854775808, 'more than allowed')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', -101, 'more than there is')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000003', 1, 'unknown customer')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, 'long reference', repeat('ế', 201))$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, 'long reference', NULL, repeat('ế', 201))$$);
\pset tuples_only off
\pset format aligned
SELECT :shown FROM c360_adjust('0905000002', 1, 'mười ký tự');
SELECT :shown FROM c360_adjust('0905000002', -101, repeat('ế', 500));

-- Without a limit.
SELECT c360_set('max_amount', '0');
SELECT :shown FROM c360_adjust('0905000002', 9223372036854775807, 'as much as there can be');
SELECT test.error_of($$SELECT c360_adjust('0905000002', 1, 'one too many')$$);
SELECT test.error_of($$SELECT c360_adjust('0905000002', -9223372036854775808, 'one too many')$$);
SELECT :shown FROM c360_adjust('0905000002', -9223372036854775807, 'all of it again');
SELECT c360_set('max_amount', NULL);

SELECT * FROM c360_verify_wallets();
