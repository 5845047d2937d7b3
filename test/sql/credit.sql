-- Store credit: lots with their own expiry.  Phones 0902.
\set shown 'type, amount, real_change AS real, virtual_change AS virtual, balance, virtual_balance, available, test.lots(lots) AS lots, replayed'

-- A credit makes the customer as well. Its life is the default unless given.
SELECT :shown FROM c360_issue_credit('0902 000 001', 30000, source_id => 'A');
SELECT :shown FROM c360_issue_credit('0902000001', 20000, 'PROMOTION', 'B', '2099-01-01 UTC');
SELECT :shown FROM c360_issue_credit('0902000002', 7, 'MANUAL', 'other');
SELECT * FROM test.lots_of('0902000001');
SELECT * FROM test.lots_of('0902000002');
-- exactly 15 days of the money clock
SELECT expires_at - created_at AS life FROM c360.virtual_credits
WHERE customer_id = test.customer('0902000001') AND source_id = 'A';
SELECT balance, virtual_balance, available, total_virtual_issued, total_virtual_used,
       jsonb_array_length(lots) AS lots FROM c360_wallet('0902000001');
SELECT * FROM test.ledger('0902000001');
SELECT * FROM test.timeline('0902000001');
-- the answer's lot is the new one, with its expiry
SELECT lots AS answered FROM c360_issue_credit('0902000003', 1, source_id => 'C') \gset
SELECT :'answered'::jsonb = jsonb_build_array(jsonb_build_object('credit_id', id, 'amount', 1, 'expires_at', expires_at)) AS as_stored
FROM c360.virtual_credits WHERE customer_id = test.customer('0902000003');
SELECT m.lots -> 0 ->> 'amount' AS amount, (m.lots -> 0 ->> 'expires_at')::timestamptz = '2098-07-01 UTC' AS expiry,
       jsonb_array_length(m.lots) AS lots
FROM c360_issue_credit('0902000003', 2, source_id => 'D', expires_at => '2098-07-01 UTC') AS m;

-- Every kind; NULL is the default one. A credit needs no source id.
SELECT :shown FROM c360_issue_credit('0902000004', 1, 'BOOM');
SELECT :shown FROM c360_issue_credit('0902000004', 1, 'BOOM');
SELECT :shown FROM c360_issue_credit('0902000004', 1, 'RETURN_SHIPPER');
SELECT :shown FROM c360_issue_credit('0902000004', 1, 'COMPENSATION');
SELECT :shown FROM c360_issue_credit('0902000004', 1, 'PROMOTION');
SELECT :shown FROM c360_issue_credit('0902000004', 1, 'MANUAL');
SELECT :shown FROM c360_issue_credit('0902000004', 1, NULL);
SELECT kind, count(*) FROM c360.virtual_credits WHERE customer_id = test.customer('0902000004') GROUP BY kind ORDER BY kind;

-- At most one credit that is not CANCELLED for customer, kind and source id.
SELECT :shown FROM c360_issue_credit('0902000005', 10, 'BOOM', 'ĐH-1');
SELECT test.error_of($$SELECT c360_issue_credit('0902000005', 10, 'BOOM', 'ĐH-1')$$);
SELECT :shown FROM c360_issue_credit('0902000005', 10, 'MANUAL', 'ĐH-1');
SELECT :shown FROM c360_issue_credit('0902000005', 10, 'BOOM', 'ĐH-2');
SELECT :shown FROM c360_issue_credit('0902000006', 10, 'BOOM', 'ĐH-1');
-- used up, it still is one
SELECT type, virtual_change FROM c360_withdraw('0902000006', 10);
SELECT test.error_of($$SELECT c360_issue_credit('0902000006', 10, 'BOOM', 'ĐH-1')$$);
-- expired, too: it expires in the same call and stands in the way
SELECT test.let_expire('0902000005', 'ĐH-2');
SELECT test.error_of($$SELECT c360_issue_credit('0902000005', 10, 'BOOM', 'ĐH-2')$$);
-- cancelled, it no longer is
SELECT type, virtual_change FROM c360_cancel_credit(
    (SELECT id FROM c360.virtual_credits WHERE customer_id = test.customer('0902000005')
     AND kind = 'BOOM' AND source_id = 'ĐH-1'), 'issued by mistake');
SELECT :shown FROM c360_issue_credit('0902000005', 11, 'BOOM', 'ĐH-1');
SELECT * FROM test.lots_of('0902000005');

-- A new credit first expires what is overdue.
SELECT type, balance, virtual_balance FROM c360_issue_credit('0902000007', 40, 'MANUAL', 'old', '2099-01-01');
SELECT test.let_expire('0902000007', 'old');
SELECT :shown FROM c360_issue_credit('0902000007', 60, 'MANUAL', 'new', '2099-01-01');
SELECT * FROM test.ledger('0902000007');

-- Refused, and nothing changed.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 0)$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', -5)$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 1000000001)$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 1, 'GIFT')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 1, 'boom')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 1, expires_at => '2020-01-01 00:00 UTC')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 1, expires_at => 'infinity')$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 1, source_id => repeat('ế', 201))$$);
SELECT test.error_of($$SELECT c360_issue_credit('0902000008', 1, note => repeat('ế', 2001))$$);
SELECT count(*) FROM c360.customers WHERE phone = '0902000008';
\pset tuples_only off
\pset format aligned

-- The expiry must lie after the money clock, which never goes back.
SELECT type, amount FROM c360_deposit('0902000009', 1);
UPDATE c360.customer_wallets SET last_at = '2097-01-01 UTC' WHERE customer_id = test.customer('0902000009');
SELECT test.error_of($$SELECT c360_issue_credit('0902000009', 1, expires_at => '2097-01-01 00:00:00 UTC')$$);
SELECT :shown FROM c360_issue_credit('0902000009', 1, source_id => 'later', expires_at => '2097-01-01 00:00:00.000001 UTC');
SELECT created_at = '2097-01-01 UTC' AS by_money_clock FROM c360.virtual_credits
WHERE customer_id = test.customer('0902000009');

-- Sums past bigint.
SELECT c360_set('max_amount', '0');
SELECT virtual_balance FROM c360_issue_credit('0902000010', 9223372036854775807);
SELECT test.error_of($$SELECT c360_issue_credit('0902000010', 1)$$);
-- real and virtual money together, too
SELECT balance FROM c360_deposit('0902000011', 9223372036854775807);
SELECT test.error_of($$SELECT c360_issue_credit('0902000011', 1)$$);
SELECT c360_set('max_amount', NULL);
SELECT balance, virtual_balance FROM c360_wallet('0902000010');
SELECT balance, virtual_balance FROM c360_wallet('0902000011');

SELECT * FROM c360_verify_wallets();
