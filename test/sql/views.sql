-- Views of the shop in numbers, on the customers of this file.  Phones 0933.
SET timezone = 'UTC';
CREATE TEMP VIEW ours AS SELECT id FROM c360.customers WHERE phone LIKE '0933%';

-- An, who does much, and Bình, who does little.
SELECT count(c360_upsert_customer('0933000001', 'An', tags => '{quen}')), count(c360_upsert_customer('0933000002', 'Bình'));
SELECT balance FROM c360_deposit('0933000001', 90000, note => 'at the till');
SELECT virtual_balance FROM c360_issue_credit('0933000001', 5000, 'PROMOTION', 'views 1', now() + interval '3 days');
SELECT virtual_balance FROM c360_issue_credit('0933000001', 7000, 'PROMOTION', 'views 2', now() + interval '5 days');
SELECT balance, virtual_balance FROM c360_withdraw('0933000001', 6000, 'views-1');
SELECT count(*) FROM c360_record_order('0933000001', 'views-1', 50000, now() - interval '10 days', 'delivered');
SELECT count(*) FROM c360_record_order('0933000001', 'views-2', 20000, now() - interval '2 days', 'returned');
SELECT count(*) FROM c360_record_order('0933000001', 'views-3', 1000, now() - interval '2 days', 'cancelled');
SELECT ticket_code AS ticket FROM c360_create_ticket('0933000001', 'BOOM', 'views-1', refund_amount => 4000) \gset
SELECT c360_resolve_ticket(:'ticket') IS NOT NULL AS resolved;
SELECT ticket_code AS ticket FROM c360_create_ticket('0933000001', 'COMPLAINT') \gset
SELECT ticket_code AS ticket FROM c360_create_ticket('0933000001', 'OTHER') \gset
SELECT c360_delete_ticket(:'ticket', 'by mistake');
SELECT result FROM c360_ingest_bank_transaction('{"id": 933001, "gateway": "VIEWS", "transactionDate": "2026-02-03 23:59:59",
    "accountNumber": "1", "transferType": "in", "transferAmount": 3000, "content": "0933000001"}');
SELECT result FROM c360_ingest_bank_transaction('{"id": 933002, "gateway": "VIEWS", "transactionDate": "2026-02-04 00:00:00",
    "accountNumber": "1", "transferType": "in", "transferAmount": 200, "content": "0933000001 va 0933000002"}');
SELECT result FROM c360_ingest_bank_transaction('{"id": 933003, "gateway": "VIEWS", "transactionDate": "2026-02-04 12:00:00",
    "accountNumber": "1", "transferType": "in", "transferAmount": 40, "content": "tra tien"}');
SELECT result FROM c360_ingest_bank_transaction('{"id": 933004, "gateway": "VIEWS", "transactionDate": "2026-02-04 13:00:00",
    "accountNumber": "1", "transferType": "out", "transferAmount": 1000, "content": "phi"}');

-- One row a customer
\x on
SELECT phone, name, email, status, tier, tags, total_orders, total_spent, return_rate, rfm_segment, wallet_balance,
       wallet_virtual_balance, wallet_total, pending_tickets, last_order_at < now() AS ordered, last_interaction_at >= created_at AS seen
FROM customer_360_summary WHERE id IN (SELECT id FROM ours) ORDER BY phone;
SELECT name, phone, tier, wallet_balance, virtual_balance, active_credits, active_credits_count, open_tickets, total_tickets,
       total_bank_deposits, bank_deposit_count, r, f, m, rfm_segment, total_orders, total_spent, return_rate,
       days_since_last_order IN (2, 3) AS days
FROM customer_activity_summary WHERE customer_id IN (SELECT id FROM ours) ORDER BY phone;
\x off

-- Bank: the first transfer and the others are of two days of the shop.
SELECT * FROM balance_statistics WHERE gateway = 'VIEWS' ORDER BY date;
SELECT sepay_id, link_status, phone, name, link_method, transfer_amount, result FROM c360_bank_transaction_list
WHERE gateway = 'VIEWS' ORDER BY id;
SELECT status, jsonb_array_length(candidates) AS candidates, phone, gateway, content, transfer_amount
FROM c360_pending_match_list WHERE gateway = 'VIEWS';

-- Lists
SELECT phone, name, type, real_change, virtual_change, balance_after, virtual_balance_after, source, reference_type
FROM c360_wallet_transaction_list WHERE phone LIKE '0933%' ORDER BY id;
SELECT phone, name, kind, original_amount, remaining_amount, status FROM c360_credit_list WHERE phone LIKE '0933%' ORDER BY id;

-- Whole tables against counts of their own; nothing differs.
SELECT 'wallets', to_jsonb(s) FROM wallet_statistics s
WHERE (total_wallets, total_real_balance, total_virtual_balance)
      <> (SELECT (SELECT count(*) FROM c360.customers), sum(real_change), sum(virtual_change) FROM c360.wallet_transactions);
SELECT 'tickets', to_jsonb(s) FROM ticket_statistics s
WHERE (total_tickets, completed_count, cancelled_count, new_count + processing_count + waiting_carrier_count)
      <> (SELECT count(*), count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'cancelled'),
                 count(*) FILTER (WHERE status NOT IN ('completed', 'cancelled')) FROM c360_ticket_list);
SELECT 'customers', to_jsonb(s) FROM customer_statistics s WHERE total_customers <> (SELECT count(*) FROM c360.customers);
SELECT 'days', day, type FROM (
    SELECT date AS day, type, transaction_count AS n, total_amount FROM daily_wallet_summary
    EXCEPT ALL SELECT (created_at + interval '7 hours')::date, type, count(*), sum(amount) FROM c360.wallet_transactions GROUP BY 1, 2) s;

-- Everything of one customer, each thing once, in pages of three
SELECT cursor AS third FROM c360_consolidated_transactions('0933000001', max_rows => 3) OFFSET 2 \gset
SELECT kind, type, amount, status, reference_type, note FROM c360_consolidated_transactions('0933000001', max_rows => 3);
SELECT kind, type, amount, status, reference_type, note FROM c360_consolidated_transactions('0933000001', after => :'third', max_rows => 100);
SELECT kind, type FROM c360_consolidated_transactions('0933000002');
SELECT test.error_of($$SELECT c360_consolidated_transactions('0933000001', after => 'page 2')$$);
SELECT test.error_of($$SELECT c360_consolidated_transactions('0933000001', 'ticket ')$$);
SELECT test.error_of($$SELECT c360_daily_summary('2026-02-02', '2026-02-01')$$);
SELECT test.error_of($$SELECT c360_daily_summary('2020-02-02', '2026-02-01')$$);
SELECT test.error_of($$SELECT c360_ticket_metrics(-1)$$);
SELECT test.error_of($$SELECT c360_wallet_summary(0)$$);

SELECT DISTINCT jsonb_object_keys(c360_dashboard()) AS key ORDER BY key;
SELECT date, bank_transactions, bank_in, bank_out FROM c360_daily_summary('2026-02-03', '2026-02-04');

-- What a viewer sees: no money, in views and in functions.
CREATE ROLE regress_c360_looks;
SELECT c360_grant('regress_c360_looks', 'viewer');
SET ROLE regress_c360_looks;
SELECT phone, total_orders, total_spent, wallet_balance, wallet_virtual_balance, wallet_total, pending_tickets
FROM customer_360_summary WHERE phone LIKE '0933%' ORDER BY phone;
SELECT total_transactions, total_in, total_out, net_change, linked_count FROM balance_statistics WHERE gateway = 'VIEWS' ORDER BY date;
SELECT kind, type, amount FROM c360_consolidated_transactions('0933000001');
SELECT c360_dashboard() -> 'wallets' AS wallets, c360_dashboard() -> 'bank' AS bank;
SELECT bank_transactions, bank_in, deposited FROM c360_daily_summary('2026-02-03', '2026-02-03');
SELECT count(*) FROM c360_wallet_transaction_list;
SELECT count(*) FROM c360_bank_transaction_list;
SELECT c360_wallet_summary();
RESET ROLE;
SELECT c360_revoke('regress_c360_looks');
DROP ROLE regress_c360_looks;
