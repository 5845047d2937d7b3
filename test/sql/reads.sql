-- Reading wallets, ledgers and lots that end soon.  Phones 0919.

SELECT balance FROM c360_deposit('0919000001', 100, 'MANUAL', 'order', 'ĐH-1', 'ghi chú', occurred_at => '2024-02-29 12:00 UTC');
SELECT virtual_balance FROM c360_issue_credit('0919000001', 20, 'BOOM', 'b', '2099-02-01 UTC');
SELECT virtual_balance FROM c360_issue_credit('0919000001', 10, 'MANUAL', 'a', '2099-01-01 UTC');
SELECT transaction_id AS taken FROM c360_withdraw('0919000001', 25) \gset
SELECT balance FROM c360_deposit('0919000002', 7);
SELECT virtual_balance FROM c360_issue_credit('0919000002', 3, 'MANUAL', 'c', '2099-01-01 UTC');
SELECT c360_get_or_create_customer('0919000003') > 0 AS created;

-- One wallet, with its ACTIVE lots in order of use.
SELECT phone, customer_id = test.customer(phone) AS his, balance, virtual_balance, available, frozen, total_deposited, total_withdrawn,
       total_virtual_issued, total_virtual_used, total_virtual_expired, test.lots(lots) AS lots
FROM c360_wallet('+84 919 000 001');
SELECT lot - 'credit_id' - 'expires_at' AS lot, (lot ->> 'expires_at')::timestamptz = '2099-02-01 UTC' AS ends
FROM c360_wallet('0919000001') AS w, jsonb_array_elements(w.lots) AS lot;
-- overdue ones are still there, but not available
SELECT virtual_balance FROM c360_issue_credit('0919000001', 4, 'MANUAL', 'overdue', '2099-01-01 UTC');
SELECT test.let_expire('0919000001', 'overdue');
SELECT balance, virtual_balance, available, test.lots(lots) AS lots FROM c360_wallet('0919000001');

-- Many at once, by phones, by ids, by both; lots only one by one. Unknown
-- ones are left out, NULLs too.
SELECT phone, balance, virtual_balance, available, frozen, lots FROM c360_wallets(ARRAY['0919000003', '84919000001', '0919000099', NULL]);
SELECT phone, balance FROM c360_wallets(customer_ids => ARRAY[test.customer('0919000002'), -1, NULL]);
SELECT phone, balance FROM c360_wallets(ARRAY['0919000002', '0919000002'], ARRAY[test.customer('0919000001'), test.customer('0919000002')]);
SELECT phone, balance FROM c360_wallets('{}', NULL);
SELECT count(*) FROM c360_wallets(array_fill('0919000001'::text, ARRAY[1000]), array_fill(test.customer('0919000002'), ARRAY[1000]));

-- The ledger, newest first, in pages.
SELECT type, amount, real_change, virtual_change, balance, virtual_balance, source, reference_type, reference_id, note,
       test.lots(lots) AS lots, actor = session_user AS by_us, occurred_at AT TIME ZONE 'UTC' AS occurred
FROM c360_wallet_transactions('0919000001');
SELECT type FROM c360_wallet_transactions('0919000002');
SELECT type, amount FROM c360_wallet_transactions('0919000001', 'VIRTUAL_CREDIT');
SELECT type, amount FROM c360_wallet_transactions('0919000001', max_rows => 2);
SELECT min(transaction_id) AS last FROM c360_wallet_transactions('0919000001', max_rows => 2) \gset
SELECT type, amount FROM c360_wallet_transactions('0919000001', before_id => :last, max_rows => 2);
SELECT type, amount FROM c360_wallet_transactions('0919000001', 'DEPOSIT', :last);
SELECT * FROM c360_wallet_transactions('0919000003');
SELECT virtual_balance FROM c360_refund(:taken, 3);
SELECT type, test.lots(lots) AS lots, refunded_transaction_id = :taken AS of_it FROM c360_wallet_transactions('0919000001', 'REFUND');

-- Lots that end soon: not what is over, not what ends later.
SELECT count(*) FROM c360_issue_credit('0919000002', 11, 'MANUAL', 'in 3 days', clock_timestamp() + interval '3 days');
SELECT count(*) FROM c360_issue_credit('0919000001', 12, 'MANUAL', 'in 2 days', clock_timestamp() + interval '2 days');
SELECT count(*) FROM c360_issue_credit('0919000001', 13, 'MANUAL', 'in 9 days', clock_timestamp() + interval '9 days');
SELECT count(*) FROM c360_issue_credit('0919000001', 14, 'MANUAL', 'is over', '2099-01-01');
SELECT test.let_expire('0919000001', 'is over', clock_timestamp() - interval '1 second');
SELECT e.phone, v.source_id, e.remaining, e.expires_at = v.expires_at AS ends
FROM c360_expiring_credits() WITH ORDINALITY AS e (phone, credit_id, remaining, expires_at, n)
JOIN c360.virtual_credits v ON v.id = e.credit_id WHERE e.phone LIKE '0919%' ORDER BY n;
SELECT phone, remaining FROM c360_expiring_credits('60 hours') WHERE phone LIKE '0919%';
SELECT phone, remaining FROM c360_expiring_credits('10 days') WHERE phone LIKE '0919%';
SELECT phone, remaining FROM c360_expiring_credits(NULL) WHERE phone LIKE '0919%';
SELECT count(*) FROM c360_expiring_credits('0');

\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_wallet('0919000099')$$);
SELECT test.error_of($$SELECT c360_wallet('no phone')$$);
SELECT test.error_of($$SELECT c360_wallet(NULL)$$);
SELECT test.error_of($$SELECT c360_wallets()$$);
SELECT test.error_of($$SELECT c360_wallets(ARRAY['no phone'])$$);
SELECT test.error_of($$SELECT c360_wallets(array_fill('0919000001'::text, ARRAY[1001]))$$);
SELECT test.error_of($$SELECT c360_wallets(NULL, array_fill(1::bigint, ARRAY[1001]))$$);
SELECT test.error_of($$SELECT c360_wallet_transactions('0919000099')$$);
SELECT test.error_of($$SELECT c360_wallet_transactions(NULL)$$);
SELECT test.error_of($$SELECT c360_wallet_transactions('no phone')$$);
SELECT test.error_of($$SELECT c360_wallet_transactions('0919000001', 'BONUS')$$);
SELECT test.error_of($$SELECT c360_wallet_transactions('0919000001', before_id => -1)$$);
SELECT test.error_of(format($$SELECT c360_wallet_transactions('0919000002', before_id => %s)$$, :taken));
SELECT test.error_of($$SELECT c360_wallet_transactions('0919000001', max_rows => 0)$$);
SELECT test.error_of($$SELECT c360_wallet_transactions('0919000001', max_rows => -1)$$);
SELECT test.error_of($$SELECT c360_wallet_transactions('0919000001', max_rows => 1001)$$);
SELECT test.error_of($$SELECT c360_expiring_credits('-1 day')$$);
\pset tuples_only off
\pset format aligned
SELECT expired_count > 0 AS expired FROM c360_expire_credits();

SELECT * FROM c360_verify_wallets();
