-- The story that "make demo" tells; run.sh runs it. What is shown is echoed by
-- psql; between "ECHO none" and "ECHO queries" stand the checks that each step
-- gave what the story says.

SET client_min_messages = warning;
SET timezone = 'Asia/Ho_Chi_Minh';
\pset null '-'
\pset footer off
\pset format wrapped
\pset columns 118

-- Ends the story if a step gave something else.
CREATE FUNCTION pg_temp.expect(ok boolean, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF ok IS DISTINCT FROM true THEN
        RAISE EXCEPTION 'the demo expected that %', what;
    END IF;
END $$;

\echo
\echo :bold'1. The extension brings code; c360_install() makes the tables, which are yours.':plain
\echo
\set ECHO queries
CREATE EXTENSION c360;
SELECT c360_version() AS code, c360_install() AS tables;
\set ECHO none

\echo :bold'2. Customers are known by phone, in any spelling. One gets a code to put into his transfers.':plain
\echo
\set ECHO queries
SELECT c360_get_or_create_customer('+84 912 345 678', 'Nguyễn Văn Á') AS customer_id,
       c360_create_qr_code('0912.345.678') LIKE 'N2%' AS has_code;
\set ECHO none
SELECT c360_create_qr_code('0912345678') AS code \gset
\i inbox.sql

\echo :bold'3. This is what a bank gateway (SePay) tells of one transfer.':plain
\echo
\set ECHO queries
SELECT jsonb_pretty(payload) AS payload FROM inbox WHERE n = 2;
\set ECHO none

\echo :bold'4. Twelve come in. Each is stored, its content read, its customer found, the money put into his wallet, once.':plain
\echo
\set ECHO queries
SELECT i.n, i.payload ->> 'gateway' AS gateway, i.payload ->> 'transferAmount' AS amount,
       i.payload ->> 'content' AS content, t.result, t.phone, t.customer_created AS new
FROM inbox AS i, c360_ingest_bank_transaction(i.payload) AS t ORDER BY i.n;
\set ECHO none
\echo :bold'   7: the code names the customer, whoever paid. 8: two phones, staff must choose. 9: the digits are no phone.'
\echo '   10: part of a phone only. 11: money that went out. 12: transfer 3 told again, nothing happened.':plain
\echo
SELECT pg_temp.expect(
    (SELECT array_agg(b.result || ' ' || coalesce(c.phone, '-') ORDER BY b.sepay_id) =
            ARRAY['deposited 0901111111', 'deposited 0908123456', 'deposited 0908123456', 'deposited 0912345678',
                  'deposited 0912345678', 'deposited 0391234567', 'deposited 0912345678', 'pending -',
                  'unmatched -', 'unmatched -', 'stored -']
     FROM c360.balance_history b LEFT JOIN c360.bank_links l ON l.bank_transaction_id = b.id
     LEFT JOIN c360.customers c ON c.id = l.customer_id)
    AND (SELECT count(*) = 7 FROM c360.wallet_transactions)
    AND (SELECT t.result = 'duplicate' FROM c360_ingest_bank_transaction((SELECT payload FROM inbox WHERE n = 12)) t)
    AND (SELECT jsonb_path_query_array(candidates, '$[*].value') = '["0977888999", "0905555555"]'
         FROM c360.pending_customer_matches),
    'each transfer ends as the table says') AS checked \gset

\echo :bold'5. The wallets now (amounts are whole đồng).':plain
\echo
\set ECHO queries
SELECT customer_id, phone, balance, virtual_balance, available, total_deposited
FROM c360_wallets(phones => ARRAY['0901111111', '0908123456', '0912345678', '0391234567']);
\set ECHO none
SELECT pg_temp.expect(
    (SELECT jsonb_object_agg(phone, balance) =
            '{"0901111111": 200000, "0908123456": 250000, "0912345678": 470000, "0391234567": 75000}'
     FROM c360_wallets(phones => ARRAY['0901111111', '0908123456', '0912345678', '0391234567'])),
    'the wallets hold what came in') AS checked \gset

\echo :bold'6. Store credit comes in lots, each with its own expiry: one of 15 days (the default), one of 3.':plain
\echo
\set ECHO queries
SELECT type, amount, balance, virtual_balance, available, lots -> 0 ->> 'expires_at' AS expires_at
FROM c360_issue_credit('0908123456', 50000, 'COMPENSATION', note => 'late parcel');
SELECT type, amount, balance, virtual_balance, available, lots -> 0 ->> 'expires_at' AS expires_at
FROM c360_issue_credit('0908123456', 30000, 'PROMOTION', expires_at => now() + interval '3 days');
\set ECHO none
SELECT pg_temp.expect(
    (SELECT (balance, virtual_balance, available) = (250000, 80000, 330000) FROM c360_wallet('0908123456'))
    AND (SELECT array_agg(expires_at - created_at BETWEEN life - interval '1 minute' AND life ORDER BY id) = ARRAY[true, true]
         FROM (SELECT id, expires_at, created_at,
                      CASE kind WHEN 'PROMOTION' THEN interval '3 days' ELSE interval '15 days' END AS life
               FROM c360.virtual_credits) v),
    'the lots are there') AS checked \gset
SELECT clock_timestamp() AS before_order \gset

\echo :bold'7. An order is paid: the lot that expires first, then the other, then real money.':plain
\echo
\set ECHO queries
SELECT transaction_id, amount, real_change, virtual_change, balance, virtual_balance, replayed
FROM c360_withdraw('0908123456', 120000, order_id => 'DH-1001', idempotency_key => 'pay-DH-1001');
SELECT t.transaction_id, lot.credit_id, lot.amount, lot.expires_at
FROM c360_wallet_transactions('0908123456', 'WITHDRAW') AS t,
     jsonb_to_recordset(t.lots) AS lot (credit_id bigint, amount bigint, expires_at timestamptz);
\set ECHO none
SELECT pg_temp.expect(
    (SELECT (amount, real_change, virtual_change, balance_after, virtual_balance_after) =
            (120000, -40000, -80000, 210000, 0)
            AND (SELECT array_agg(v.kind || ' ' || u.amount ORDER BY u.position) =
                        ARRAY['PROMOTION 30000', 'COMPENSATION 50000']
                 FROM c360.virtual_credit_uses u JOIN c360.virtual_credits v ON v.id = u.credit_id
                 WHERE u.transaction_id = t.id)
     FROM c360.wallet_transactions t WHERE idempotency_key = 'pay-DH-1001'),
    'the withdrawal used the lots in order') AS checked \gset
SELECT id AS payment FROM c360.wallet_transactions WHERE idempotency_key = 'pay-DH-1001' \gset
SELECT count(*) AS ledger_rows FROM c360.wallet_transactions \gset

\echo :bold'8. The app never heard the answer and sends the same again: same answer, nothing taken twice.':plain
\echo
\set ECHO queries
SELECT transaction_id, amount, real_change, virtual_change, balance, virtual_balance, replayed
FROM c360_withdraw('0908123456', 120000, order_id => 'DH-1001', idempotency_key => 'pay-DH-1001');
\set ECHO none
SELECT pg_temp.expect(
    (SELECT replayed AND transaction_id = :payment AND balance = 210000
     FROM c360_withdraw('0908123456', 120000, order_id => 'DH-1001', idempotency_key => 'pay-DH-1001'))
    AND (SELECT count(*) = :ledger_rows FROM c360.wallet_transactions),
    'a retry is answered and changes nothing') AS checked \gset

\echo :bold'9. The same key for another call is refused, and so is more than there is. Nothing changes.':plain
\echo
\set ECHO queries
\set ON_ERROR_STOP off
SELECT c360_withdraw('0908123456', 999, order_id => 'DH-1002', idempotency_key => 'pay-DH-1001');
\set ECHO none
\set key_reused :SQLSTATE
\set ECHO queries
SELECT c360_withdraw('0908123456', 1000000);
\set ECHO none
\set too_much :SQLSTATE
\set ON_ERROR_STOP on
\echo
\echo '(SQLSTATE' :key_reused 'and' :too_much')'
\echo
SELECT pg_temp.expect(
    :'key_reused' = 'PT409' AND :'too_much' = 'PT402'
    AND (SELECT count(*) = :ledger_rows FROM c360.wallet_transactions),
    'both are refused') AS checked \gset

\echo :bold'10. Half of it comes back: credit to the lots it came from, the one used last first. They get 7 days at least.':plain
\echo
\set ECHO queries
SELECT r.transaction_id, r.type, r.amount, r.real_change, r.virtual_change, lot.credit_id, lot.amount AS to_lot, lot.expires_at
FROM c360_refund(:payment, 60000, note => 'one article back') AS r,
     jsonb_to_recordset(r.lots) AS lot (credit_id bigint, amount bigint, expires_at timestamptz);
\set ECHO none
SELECT pg_temp.expect(
    (SELECT (balance, virtual_balance, available) = (210000, 60000, 270000) FROM c360_wallet('0908123456'))
    AND (SELECT array_agg(kind || ' ' || remaining_amount || ' ' || (expires_at > now() + interval '6 days') ORDER BY id) =
                ARRAY['COMPENSATION 50000 true', 'PROMOTION 10000 true']
         FROM c360.virtual_credits),
    'the refund went back to the lots') AS checked \gset

\echo :bold'11. A credit expires: issued with a second to live, and a second later the hourly job comes round.':plain
\echo
\set ECHO queries
SELECT type, amount, balance, virtual_balance, available
FROM c360_issue_credit('0391234567', 25000, 'PROMOTION', expires_at => clock_timestamp() + interval '1 second');
\set ECHO none
\echo '   (the second passes)'
\echo
\o /dev/null
SELECT pg_sleep(1.1);
\o
\set ECHO queries
SELECT * FROM c360_expire_credits();
SELECT phone, balance, virtual_balance, available, total_virtual_issued, total_virtual_expired
FROM c360_wallet('0391234567');
\set ECHO none
SELECT pg_temp.expect(
    (SELECT (balance, virtual_balance, available, total_virtual_expired) = (75000, 0, 75000, 25000)
     FROM c360_wallet('0391234567'))
    AND (SELECT count(*) = 1 FROM c360.virtual_credits WHERE status = 'EXPIRED'),
    'the credit is gone') AS checked \gset

\echo :bold'12. A frozen wallet gives nothing out. What comes in still arrives.':plain
\echo
\set ECHO queries
\o /dev/null
SELECT c360_freeze_wallet('0901111111', 'chargeback at the bank');
\o
\set ON_ERROR_STOP off
SELECT c360_withdraw('0901111111', 1000);
\set ECHO none
\set frozen :SQLSTATE
\set ON_ERROR_STOP on
\echo
\set ECHO queries
SELECT type, amount, balance, available
FROM c360_deposit('0901111111', 40000, 'ORDER_CANCEL', 'order', 'DH-0990');
\o /dev/null
SELECT c360_unfreeze_wallet('0901111111');
\o
\set ECHO none
\echo
SELECT pg_temp.expect(
    :'frozen' = 'PT403'
    AND (SELECT (balance, available, frozen) = (240000, 240000, false) FROM c360_wallet('0901111111')),
    'the frozen wallet refused and took in') AS checked \gset

\echo :bold'13. The ledger is never changed, not even by a superuser.':plain
\echo
\set ECHO queries
\set ON_ERROR_STOP off
UPDATE c360.wallet_transactions SET amount = 1 WHERE id = :payment;
\set ECHO none
\set guarded :SQLSTATE
\set ON_ERROR_STOP on
\echo
SELECT pg_temp.expect(:'guarded' = '0A000', 'the ledger refuses an UPDATE') AS checked \gset

\echo :bold'14. So the books know what they said at any moment: here, just before the order was paid.':plain
\echo
\set ECHO queries
SELECT * FROM c360_balance_at('0908123456', :'before_order');
SELECT transaction_id AS id, type, real_change, virtual_change, balance, virtual_balance AS virtual, source, reference_id
FROM c360_wallet_transactions('0908123456');
\set ECHO none
SELECT pg_temp.expect(
    (SELECT (balance, virtual_balance) = (250000, 80000) FROM c360_balance_at('0908123456', :'before_order'))
    AND (SELECT count(*) = 6 FROM c360_wallet_transactions('0908123456')),
    'the books know the past') AS checked \gset

\echo :bold'15. Each change left a row in the timeline: what, when, by whom.':plain
\echo
\set ECHO queries
SELECT to_char(a.created_at, 'HH24:MI:SS') AS at, a.event, t.amount, a.actor, a.payload ->> 'note' AS note
FROM c360.customers AS c JOIN c360.customer_activities AS a ON a.customer_id = c.id
     LEFT JOIN c360.wallet_transactions AS t ON t.activity_id = a.id
WHERE c.phone = '0908123456' ORDER BY a.id;
\set ECHO none
SELECT pg_temp.expect(
    (SELECT array_agg(a.event ORDER BY a.id) =
            ARRAY['customer.created', 'wallet.deposit', 'bank.linked', 'wallet.deposit', 'bank.linked',
                  'wallet.virtual_credit', 'wallet.virtual_credit', 'wallet.withdraw', 'wallet.refund']
     FROM c360.customer_activities a JOIN c360.customers c ON c.id = a.customer_id WHERE c.phone = '0908123456'),
    'the timeline is complete') AS checked \gset

\echo :bold'16. Whoever listens hears of each change within milliseconds, and reads by cursor what he missed.':plain
\echo
SELECT c360_events_since() IS NOT NULL AS ready, cursor FROM c360_events_since() \gset
\set ECHO queries
LISTEN "wallet:0908123456";
SELECT type, balance FROM c360_deposit('0908123456', 10000, note => 'thank you');
\set ECHO none
SELECT pg_sleep(0.2) \g /dev/null
\echo
\set ECHO queries
SELECT channel, event, payload ->> 'balance' AS balance FROM c360_events_since(:'cursor');
\set ECHO none
UNLISTEN *;
SELECT pg_temp.expect((SELECT array_agg(event) = '{wallet.deposit}' FROM c360_events_since(:'cursor')),
    'the deposit was announced') AS checked \gset
SELECT pg_temp.expect((SELECT notifications > 0 FROM c360_stat), 'by the publisher') AS checked \gset

\echo :bold'17. The background worker expires each lot at its own moment; jobs and their runs can be watched.':plain
\echo
\set ECHO queries
SELECT lots -> 0 ->> 'expires_at' AS expires_at
FROM c360_issue_credit('0908123456', 5000, 'PROMOTION', expires_at => clock_timestamp() + interval '1 second');
\set ECHO none
DO $$
BEGIN
    FOR i IN 1 .. 100 LOOP
        EXIT WHEN EXISTS (SELECT FROM c360_wallet_transactions('0908123456', 'VIRTUAL_EXPIRE') WHERE actor = 'c360:expire_credits');
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
\set ECHO queries
SELECT type, amount, actor, created_at FROM c360_wallet_transactions('0908123456', 'VIRTUAL_EXPIRE', max_rows => 1);
SELECT job, schedule, rows, failures, next_run FROM c360_job_status;
\set ECHO none
SELECT pg_temp.expect((SELECT actor = 'c360:expire_credits' FROM c360_wallet_transactions('0908123456', max_rows => 1)),
    'the worker expired it') AS checked \gset

\echo :bold'18. A transfer that names two customers waits for staff. A wrong choice is taken back by a row of its own.':plain
\echo
\set ECHO queries
SELECT result, phone FROM c360_ingest_bank_transaction('{"id": 990001, "gateway": "MBBank", "transactionDate": "2026-01-05 09:00:00",
    "accountNumber": "0123456789", "transferType": "in", "transferAmount": 70000, "content": "0908123456 mua cho 0391234567"}');
\set ECHO none
SELECT id AS match, bank_transaction_id AS transfer FROM c360_pending_match_list WHERE bank_transaction_id = (SELECT id FROM c360.balance_history WHERE sepay_id = 990001) \gset
\set ECHO queries
SELECT result, phone, amount FROM c360_resolve_match(:match, '0391234567');
SELECT result, amount FROM c360_unlink_transaction(:transfer, 'it was the other one');
SELECT result, phone, amount FROM c360_link_transaction(:transfer, '0908123456');
SELECT type, source, real_change, balance FROM c360_wallet_transactions('0391234567', max_rows => 2);
SELECT count(*) AS disagreements FROM c360_reconcile_bank('2026-01-01', '2026-12-31');
\set ECHO none
SELECT pg_temp.expect(
    (SELECT balance = 75000 FROM c360_wallet('0391234567')) AND NOT EXISTS (SELECT FROM c360_reconcile_bank('2026-01-01', '2026-12-31')),
    'the transfer is with whom it belongs to') AS checked \gset

\echo :bold'19. A parcel that came back: the ticket gives the money as credit, once.':plain
\echo
\set ECHO queries
SELECT ticket_code FROM c360_create_ticket('0391234567', 'RETURN_SHIPPER', order_code => 'DH-0991', refund_amount => 90000) \gset
SELECT t ->> 'status' AS status, t ->> 'compensation' AS compensation, t ->> 'compensated_amount' AS amount
FROM c360_resolve_ticket(:'ticket_code') AS r, LATERAL (SELECT r -> 'ticket' AS t) AS x;
\set ON_ERROR_STOP off
SELECT c360_resolve_ticket(:'ticket_code');
\set ECHO none
\set again :SQLSTATE
\set ON_ERROR_STOP on
\echo
SELECT pg_temp.expect(:'again' = 'PT409' AND (SELECT virtual_balance = 90000 FROM c360_wallet('0391234567')),
    'a ticket pays once') AS checked \gset

\echo :bold'20. Orders make scores, scores make segments and tiers.':plain
\echo
\set ECHO queries
SELECT count(*) AS orders
FROM generate_series(1, 8) AS n, c360_record_order('0908123456', 'DH-2' || n, 1800000, now() - n * interval '9 days', 'delivered');
SELECT examined, changed, distribution FROM c360_refresh_rfm();
SELECT phone, r, f, m, segment, tier FROM rfm_segment_mapping;
\set ECHO none
SELECT pg_temp.expect((SELECT (r, f, m, segment) = (4, 4, 5, 'Champion') AND tier = 'gold' FROM rfm_segment_mapping WHERE phone = '0908123456'),
    'the scores are right') AS checked \gset

\echo :bold'21. Three orders of a week, all sent back: the scan blacklists, staff see why, and may take it back.':plain
\echo
\set ECHO queries
SELECT count(*) AS orders
FROM generate_series(1, 3) AS n, c360_record_order('0391234567', 'DH-3' || n, 250000, now(), 'returned');
SELECT * FROM c360_scan_fraud();
SELECT phone, rule, action, evidence -> 'returned' AS returned, evidence -> 'decided' AS of_decided, evidence -> 'rate' AS percent FROM c360_fraud_flag_list;
\set ON_ERROR_STOP off
SELECT c360_withdraw('0391234567', 100000);
\set ECHO none
\set blocked :SQLSTATE
\set ON_ERROR_STOP on
\echo
SELECT max(id) AS flag FROM c360_fraud_flag_list \gset
\set ECHO queries
SELECT c360_review_fraud_flag(:flag, 'dismissed', 'the carrier lost them') \g /dev/null
SELECT phone, tier FROM c360_customer_list WHERE phone = '0391234567';
\set ECHO none
SELECT pg_temp.expect(:'blocked' = 'PT403' AND (SELECT tier = 'new' FROM c360_customer_list WHERE phone = '0391234567'),
    'a finding that staff dismissed is undone') AS checked \gset

\echo :bold'22. And every đồng is accounted for: wallets, lots and ledger agree, or this would list where they do not.':plain
\echo
\pset footer on
\set ECHO queries
SELECT * FROM c360_verify_wallets();
\set ECHO none
SELECT pg_temp.expect(NOT EXISTS (SELECT FROM c360_verify_wallets()), 'the books are in order') AS checked \gset
