-- Views and functions of statistics against counts of their own over random
-- data, what each level sees of them, days at the shop's midnight, and the
-- list of everything, page by page.
BEGIN;
\ir tools.psql
SELECT no_plan();
SELECT setseed(0.360);

-- The same rows as often, whatever their columns are called.
CREATE FUNCTION pg_temp.same(have text, want text, what text) RETURNS text LANGUAGE sql AS $$
    SELECT is_empty(format('((%1$s) EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL (%1$s))', have, want), what)
$$;

-- Columns that stay
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = t.name::regclass AND attnum > 0), t.columns, 'columns of ' || t.name)
FROM (VALUES
    ('customer_360_summary', 'id, phone, name, email, status, tier, tags, total_orders, total_spent, return_rate,'
        ' rfm_segment, wallet_balance, wallet_virtual_balance, wallet_total, pending_tickets, last_order_at,'
        ' last_interaction_at, created_at'),
    ('customer_activity_summary', 'customer_id, name, phone, tier, wallet_balance, virtual_balance, active_credits,'
        ' active_credits_count, open_tickets, total_tickets, total_bank_deposits, bank_deposit_count, r, f, m,'
        ' rfm_segment, last_order_at, total_orders, total_spent, return_rate, days_since_last_order'),
    ('ticket_statistics', 'total_tickets, new_count, processing_count, waiting_carrier_count, completed_count,'
        ' cancelled_count, by_type, total_refunded, total_virtual_issued'),
    ('ticket_resolution_metrics', 'type, status, ticket_count, avg_resolution_hours, compensated_count,'
        ' total_virtual_issued, total_refunded'),
    ('wallet_statistics', 'total_wallets, wallets_with_balance, wallets_with_virtual, total_real_balance,'
        ' total_virtual_balance, total_available, total_deposited, total_withdrawn, total_virtual_issued,'
        ' total_virtual_used, total_virtual_expired'),
    ('daily_wallet_summary', 'date, type, transaction_count, total_amount, unique_customers'),
    ('balance_statistics', 'date, gateway, total_transactions, total_in, total_out, net_change, linked_count,'
        ' pending_count, unlinked_count'),
    ('customer_statistics', 'total_customers, active_customers, by_status, by_tier')
) AS t (name, columns);
-- Lists have all columns of their table but raw data and hashes, and the customer.
SELECT is_empty(format($$SELECT attname FROM pg_attribute WHERE attrelid = 'c360.%s'::regclass AND attnum > 0 AND NOT attisdropped
                           AND attname NOT IN ('raw_data', 'arguments_digest')
                         EXCEPT SELECT attname FROM pg_attribute WHERE attrelid = '%s'::regclass$$, t.of_table, t.name),
                t.name || ' has the columns of ' || t.of_table)
FROM (VALUES ('c360_wallet_transaction_list', 'wallet_transactions'), ('c360_credit_list', 'virtual_credits'),
             ('c360_bank_transaction_list', 'balance_history'),
             ('c360_pending_match_list', 'pending_customer_matches')) AS t (name, of_table);
CREATE TEMP VIEW lists AS
    SELECT unnest('{c360_wallet_transaction_list,c360_credit_list,c360_bank_transaction_list,c360_pending_match_list}'::name[]) AS name;
SELECT has_column(name, 'phone', name || ' has the phone') FROM lists;
SELECT has_column(name, 'name', name || ' has the name') FROM lists;
SELECT hasnt_column(name, 'raw_data', name || ' has no raw data') FROM lists;
SELECT hasnt_column(name, 'arguments_digest', name || ' has no hash') FROM lists;

-- The extension's views: described, gone with the extension, owned by the owner of the tables.
CREATE TEMP VIEW views AS
    SELECT c.oid, c.relname FROM pg_class c JOIN c360_level_views() v ON v.view = c.relname
    WHERE c.relnamespace = (SELECT extnamespace FROM pg_extension WHERE extname = 'c360') AND c.relkind = 'v';
SELECT is((SELECT count(*) FROM views), (SELECT count(*) FROM c360_level_views()), 'every view that has a level exists');
SELECT is_empty('SELECT relname FROM views WHERE obj_description(oid) IS NULL', 'every view has a comment');
SELECT is_empty($$SELECT relname, attname FROM views JOIN pg_attribute ON attrelid = oid AND attnum > 0
                  WHERE col_description(oid, attnum) IS NULL$$, 'and each of its columns');
SELECT is_empty($$SELECT relname FROM views v WHERE NOT EXISTS (
                      SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                      JOIN pg_temp.routines r ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = r.oid
                      WHERE w.ev_class = v.oid)$$,
                'every view calls a function of the extension, so that DROP EXTENSION CASCADE takes it along');

-- An empty database answers zeros.
SELECT results_eq('SELECT * FROM wallet_statistics',
    $$VALUES (0::bigint, 0::bigint, 0::bigint, 0::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric,
              0::numeric, 0::numeric)$$, 'no wallets');
SELECT results_eq('SELECT total_tickets, new_count, processing_count, waiting_carrier_count, completed_count,
                          cancelled_count, total_refunded, total_virtual_issued FROM ticket_statistics',
    $$VALUES (0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::numeric, 0::numeric)$$, 'no tickets');
SELECT is((SELECT by_type FROM ticket_statistics), (SELECT jsonb_object_agg(type, 0) FROM c360.ticket_types),
          'no ticket of any type');
SELECT results_eq('SELECT * FROM customer_statistics',
    $$VALUES (0::bigint, 0::bigint, '{"Bình thường": 0, "Bom hàng": 0, "Cảnh báo": 0, "Nguy hiểm": 0, "VIP": 0}'::jsonb,
              '{"new": 0, "silver": 0, "gold": 0, "platinum": 0, "blacklist": 0}'::jsonb)$$, 'no customers');
SELECT is_empty(format('SELECT * FROM %I', name), name || ' is empty')
FROM unnest('{customer_360_summary,customer_activity_summary,ticket_resolution_metrics,daily_wallet_summary,
              balance_statistics,c360_wallet_transaction_list,c360_credit_list,c360_bank_transaction_list,
              c360_pending_match_list}'::text[]) AS name;
SELECT is(c360_dashboard() - 'at' - 'date', '{"customers": {"total": 0, "new_today": 0,
        "by_tier": {"new": 0, "silver": 0, "gold": 0, "platinum": 0, "blacklist": 0},
        "by_status": {"Bình thường": 0, "Bom hàng": 0, "Cảnh báo": 0, "Nguy hiểm": 0, "VIP": 0}},
    "orders": {"today": 0, "amount_today": 0},
    "tickets": {"total": 0, "open": 0, "overdue": 0, "created_today": 0, "completed_today": 0,
        "by_status": {"new": 0, "processing": 0, "waiting_carrier": 0, "completed": 0, "cancelled": 0}},
    "wallets": {"balance": 0, "virtual_balance": 0, "with_balance": 0, "with_virtual": 0, "frozen": 0, "today": {},
        "expiring_7_days": {"credits": 0, "amount": 0}},
    "bank": {"transactions_today": 0, "in_today": 0, "out_today": 0, "pending": 0, "undecided": 0}, "rfm": null}',
    'an empty dashboard');
SELECT is(c360_ticket_metrics() - 'from_date' - 'to_date', '{"days": 30, "tickets": 0, "open": 0, "completed": 0,
    "cancelled": 0, "avg_resolution_hours": null, "compensated": 0, "total_virtual_issued": 0, "total_refunded": 0,
    "by_type": {}, "by_date": []}', 'no metrics of tickets');
SELECT is(c360_wallet_summary(), '{"total_wallets": 0, "wallets_with_balance": 0, "wallets_with_virtual": 0,
    "frozen_wallets": 0, "total_real_balance": 0, "total_virtual_balance": 0, "total_available": 0,
    "total_deposited": 0, "total_withdrawn": 0, "total_virtual_issued": 0, "total_virtual_used": 0,
    "total_virtual_expired": 0, "expiring": {"days": 7, "credits": 0, "amount": 0, "by_date": []}}',
    'nothing in all wallets');
SELECT is((SELECT count(*) FROM c360_daily_summary() WHERE to_jsonb(c360_daily_summary) - 'date' = (
               SELECT jsonb_object_agg(k, 0) FROM jsonb_object_keys(to_jsonb(c360_daily_summary) - 'date') k)),
          30::bigint, '30 days of zeros');
SELECT is_empty('SELECT * FROM c360_consolidated_transactions()', 'nothing happened');

-- Random data. Today is the day that the shop has now.
CREATE TEMP TABLE people AS SELECT n, '093' || lpad(n::text, 7, '0') AS phone FROM generate_series(1, 25) n;
SELECT lives_ok(format('SELECT c360_upsert_customer(%L, %L)', phone, 'Khách ' || n), 'customer ' || n) FROM people;
DO $$
DECLARE
    someone text;
    amount bigint;
    made record;
BEGIN
    FOR step IN 1..400 LOOP
        someone := '093' || lpad(floor(1 + random() * 22)::text, 7, '0');    -- three never do anything
        amount := 1000 + floor(random() * 9000);
        BEGIN
            CASE floor(random() * 12)
                WHEN 0, 1 THEN PERFORM c360_deposit(someone, amount, note => 'note ' || step);
                WHEN 2 THEN PERFORM c360_issue_credit(someone, amount, 'PROMOTION',
                                expires_at => now() + floor(1 + random() * 20) * interval '1 day');
                WHEN 3, 4 THEN PERFORM c360_withdraw(someone, amount / 3);
                WHEN 5 THEN PERFORM c360_adjust(someone, - amount / 10, 'counted once more');
                WHEN 6, 7 THEN PERFORM c360_record_order(someone, 'DH' || floor(random() * 60), amount,
                                now() - random() * interval '150 days',
                                (ARRAY['pending', 'delivered', 'delivered', 'returned', 'cancelled'])[1 + floor(random() * 5)]);
                WHEN 8, 9 THEN PERFORM c360_create_ticket(someone, (SELECT y.type FROM c360.ticket_types y ORDER BY random() LIMIT 1),
                                CASE WHEN random() < 0.5 THEN 'DH' || floor(random() * 60) END, refund_amount => amount,
                                deadline => CASE WHEN random() < 0.3 THEN now() + (random() - 0.5) * interval '4 days' END);
                WHEN 10 THEN PERFORM c360_add_note(someone, 'note ' || step);
                ELSE PERFORM c360_ingest_bank_transaction(jsonb_build_object('id', step, 'accountNumber', '75918',
                        'gateway', CASE WHEN random() < 0.5 THEN 'ACB' ELSE 'MB' END,
                        'transactionDate', to_char((now() - random() * interval '4 days') AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM-DD HH24:MI:SS'),
                        'transferType', CASE WHEN random() < 0.8 THEN 'in' ELSE 'out' END, 'transferAmount', amount,
                        'content', CASE floor(random() * 3) WHEN 0 THEN someone WHEN 1 THEN 'nothing'
                                   ELSE someone || ' va 0930000005' END));
            END CASE;
        EXCEPTION WHEN SQLSTATE 'PT402' OR SQLSTATE 'PT409' THEN NULL;    -- no money left, order of another, duplicate
        END;
    END LOOP;
    FOR made IN SELECT ticket_code, type, row_number() OVER (ORDER BY id) AS n FROM c360.customer_tickets LOOP
        CASE made.n % 6
            WHEN 0 THEN PERFORM c360_ticket_action(made.ticket_code, 'process');
            WHEN 1 THEN PERFORM c360_resolve_ticket(made.ticket_code, 500 + made.n, 'credit');
            WHEN 2 THEN PERFORM c360_resolve_ticket(made.ticket_code, 100 + made.n, 'deposit');
            WHEN 3 THEN PERFORM c360_delete_ticket(made.ticket_code, 'twice');
            WHEN 4 THEN PERFORM c360_ticket_action(made.ticket_code, (ARRAY['complete', 'cancel', 'wait_carrier'])[1 + made.n % 3]);
            ELSE NULL;
        END CASE;
    END LOOP;
    PERFORM c360_set_tier('0930000002', 'blacklist', reason => 'test'), c360_set_tier('0930000003', 'gold'),
            c360_set_status('0930000004', 'VIP');
    PERFORM c360_issue_credit('0930000002', 7000), c360_issue_credit('0930000006', 7000), c360_issue_credit('0930000007', 11);
    PERFORM c360_freeze_wallet('0930000006', 'looked into');
    PERFORM c360_deposit('0930000008', 1);
END $$;
SELECT cmp_ok((SELECT count(*) FROM c360.customer_tickets WHERE credit_id IS NOT NULL), '>', 0::bigint, 'there are compensated tickets');
SELECT cmp_ok((SELECT count(*) FROM c360.bank_links), '>', 0::bigint, 'there are linked transfers');
SELECT cmp_ok((SELECT count(*) FROM c360.pending_customer_matches), '>', 0::bigint, 'there are pending transfers');
SELECT cmp_ok((SELECT count(*) FROM c360.wallet_transactions), '>', 50::bigint, 'there is a ledger');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'and the books are sound');

-- Spread over the last days, movements together with their activities.
ALTER TABLE c360.wallet_transactions DISABLE TRIGGER ledger_guard;
CREATE TEMP TABLE moved AS SELECT id, created_at - random() * interval '5 days' AS at FROM c360.customer_activities;
UPDATE c360.customer_activities a SET created_at = m.at FROM moved m WHERE m.id = a.id;
UPDATE c360.wallet_transactions t SET created_at = m.at FROM moved m WHERE m.id = t.activity_id;
UPDATE c360.customer_tickets SET created_at = created_at - random() * interval '40 days';
ALTER TABLE c360.wallet_transactions ENABLE ALWAYS TRIGGER ledger_guard;
-- one lot is overdue, and one row stands on each side of a midnight of the shop
UPDATE c360.virtual_credits SET expires_at = clock_timestamp() - interval '1 minute'
WHERE customer_id = (SELECT id FROM c360.customers WHERE phone = '0930000007') AND remaining_amount = 11;

-- One row a customer
SELECT results_eq(
    $$SELECT id, phone, total_orders::bigint, total_spent::numeric, return_rate, wallet_balance::numeric,
             wallet_virtual_balance::numeric, wallet_total, pending_tickets, last_order_at, last_interaction_at
      FROM customer_360_summary ORDER BY id$$,
    $$SELECT c.id, c.phone, (SELECT count(*) FROM c360.customer_orders o WHERE o.customer_id = c.id AND o.status <> 'cancelled'),
             (SELECT coalesce(sum(o.amount), 0) FROM c360.customer_orders o
              WHERE o.customer_id = c.id AND o.status IN ('pending', 'delivered')),
             (SELECT round(100.0 * count(DISTINCT d.code) FILTER (WHERE d.back) / nullif(count(DISTINCT d.code), 0), 2)
              FROM (SELECT o.order_code AS code, o.status = 'returned' AS back FROM c360.customer_orders o
                    WHERE o.customer_id = c.id AND o.status IN ('delivered', 'returned')
                    UNION ALL SELECT t.order_code, true FROM c360.customer_tickets t
                    WHERE t.customer_id = c.id AND t.type IN ('BOOM', 'HOAN', 'RETURN_CLIENT', 'RETURN_SHIPPER')
                      AND t.status = 'completed' AND t.deleted_at IS NULL) d),
             coalesce((SELECT sum(t.real_change) FROM c360.wallet_transactions t WHERE t.customer_id = c.id), 0),
             coalesce((SELECT sum(t.virtual_change) FROM c360.wallet_transactions t WHERE t.customer_id = c.id), 0),
             coalesce((SELECT sum(t.real_change + t.virtual_change) FROM c360.wallet_transactions t WHERE t.customer_id = c.id), 0),
             (SELECT count(*) FROM c360.customer_tickets t
              WHERE t.customer_id = c.id AND t.status NOT IN ('completed', 'cancelled') AND t.deleted_at IS NULL),
             (SELECT max(o.ordered_at) FROM c360.customer_orders o WHERE o.customer_id = c.id AND o.status <> 'cancelled'),
             (SELECT a.created_at FROM c360.customer_activities a WHERE a.id =
                 (SELECT max(b.id) FROM c360.customer_activities b WHERE b.customer_id = c.id))
      FROM c360.customers c ORDER BY c.id$$, 'customer_360_summary');
SELECT is((SELECT wallet_balance || ' ' || wallet_virtual_balance || ' ' || wallet_total || ' ' || total_orders || ' '
                  || pending_tickets FROM customer_360_summary WHERE phone = '0930000025'), '0 0 0 0 0',
          'zeros for one that never did anything');
SELECT results_eq(
    $$SELECT customer_id, wallet_balance, virtual_balance, active_credits, active_credits_count, open_tickets, total_tickets,
             total_bank_deposits, bank_deposit_count, total_orders, total_spent, return_rate, last_order_at, days_since_last_order
      FROM customer_activity_summary ORDER BY customer_id$$,
    $$SELECT s.id, s.wallet_balance, s.wallet_virtual_balance,
             coalesce(sum(v.remaining_amount) FILTER (WHERE v.expires_at > clock_timestamp() AND v.status = 'ACTIVE'), 0),
             count(v.id) FILTER (WHERE v.expires_at > clock_timestamp() AND v.status = 'ACTIVE'), s.pending_tickets,
             (SELECT count(*) FROM c360.customer_tickets t WHERE t.customer_id = s.id AND t.deleted_at IS NULL),
             (SELECT coalesce(sum(t.amount), 0) FROM c360.wallet_transactions t WHERE t.customer_id = s.id AND t.source = 'BANK_TRANSFER'),
             (SELECT count(*) FROM c360.wallet_transactions t WHERE t.customer_id = s.id AND t.source = 'BANK_TRANSFER'),
             s.total_orders, s.total_spent, s.return_rate, s.last_order_at,
             (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - (s.last_order_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
      FROM customer_360_summary s LEFT JOIN c360.virtual_credits v ON v.customer_id = s.id
      GROUP BY s.id, s.wallet_balance, s.wallet_virtual_balance, s.pending_tickets, s.total_orders, s.total_spent,
               s.return_rate, s.last_order_at ORDER BY s.id$$, 'customer_activity_summary');
SELECT is((SELECT virtual_balance - active_credits FROM customer_activity_summary WHERE phone = '0930000007'), 11::numeric,
          'an overdue lot counts for the balance and is no active credit');
SELECT is((SELECT days_since_last_order FROM customer_activity_summary WHERE phone = '0930000024'), NULL, 'no order, no days');
SELECT c360_record_order('0930000024', 'TOMORROW', 1, now() + interval '3 days');
SELECT is((SELECT days_since_last_order FROM customer_activity_summary WHERE phone = '0930000024'), 0, 'an order to come is of today');
SELECT is((SELECT last_interaction_at FROM customer_360_summary WHERE phone = '0930000008'),
          (SELECT created_at FROM c360.customer_activities WHERE event = 'wallet.deposit' AND customer_id =
              (SELECT id FROM c360.customers WHERE phone = '0930000008') ORDER BY id DESC LIMIT 1),
          'the last interaction of one whose last was a deposit');

-- Customers in numbers
SELECT results_eq('SELECT total_customers, active_customers, by_status, by_tier FROM customer_statistics',
    $$SELECT count(*), count(*) FILTER (WHERE id IN (SELECT customer_id FROM c360.customer_orders WHERE status <> 'cancelled'
                 AND (ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date > (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - 90)),
             '{"Bình thường": 0, "Bom hàng": 0, "Cảnh báo": 0, "Nguy hiểm": 0, "VIP": 0}'::jsonb
                 || (SELECT jsonb_object_agg(status, n) FROM (SELECT status, count(*) AS n FROM c360.customers GROUP BY status) s),
             '{"new": 0, "silver": 0, "gold": 0, "platinum": 0, "blacklist": 0}'::jsonb
                 || (SELECT jsonb_object_agg(tier, n) FROM (SELECT tier, count(*) AS n FROM c360.customers GROUP BY tier) s)
      FROM c360.customers$$, 'customer_statistics');

-- Tickets in numbers
CREATE TEMP VIEW live AS
    SELECT t.*, v.original_amount AS issued, d.amount AS paid
    FROM c360.customer_tickets t
    LEFT JOIN c360.virtual_credits v ON v.id = t.credit_id
    LEFT JOIN c360.wallet_transactions d ON d.id = t.transaction_id AND d.type = 'DEPOSIT'
    WHERE t.deleted_at IS NULL;
SELECT cmp_ok((SELECT count(*) FROM c360.customer_tickets WHERE deleted_at IS NOT NULL), '>', 0::bigint, 'there are deleted tickets');
SELECT results_eq(
    'SELECT total_tickets, new_count, processing_count, waiting_carrier_count, completed_count, cancelled_count, by_type,
            total_refunded, total_virtual_issued FROM ticket_statistics',
    $$SELECT count(*), sum((status = 'new')::int), sum((status = 'processing')::int), sum((status = 'waiting_carrier')::int),
             sum((status = 'completed')::int), sum((status = 'cancelled')::int),
             (SELECT jsonb_object_agg(type, n) FROM (SELECT y.type, count(l.id) AS n FROM c360.ticket_types y
                                                     LEFT JOIN live l ON l.type = y.type GROUP BY y.type) s),
             sum(paid), sum(issued) FROM live$$, 'ticket_statistics');
SELECT pg_temp.same(
    'SELECT type, status, ticket_count, avg_resolution_hours, compensated_count, total_virtual_issued, total_refunded
     FROM ticket_resolution_metrics',
    $$SELECT type, status, count(*), round((avg(extract(epoch FROM completed_at) - extract(epoch FROM created_at)) / 3600)::numeric, 2),
             sum((coalesce(compensation, 'none') IN ('credit', 'deposit'))::int), coalesce(sum(issued), 0), coalesce(sum(paid), 0)
      FROM live GROUP BY type, status$$, 'ticket_resolution_metrics');
SELECT is(c360_ticket_metrics(20) - 'by_type' - 'by_date',
          (SELECT jsonb_build_object('days', 20, 'from_date', today - 19, 'to_date', today, 'tickets', count(*),
                      'open', count(*) FILTER (WHERE status IN ('new', 'processing', 'waiting_carrier')),
                      'completed', count(*) FILTER (WHERE status = 'completed'),
                      'cancelled', count(*) FILTER (WHERE status = 'cancelled'),
                      'avg_resolution_hours', round(avg(extract(epoch FROM completed_at - created_at)) / 3600, 2),
                      'compensated', count(*) FILTER (WHERE compensation IN ('credit', 'deposit')),
                      'total_virtual_issued', coalesce(sum(issued), 0), 'total_refunded', coalesce(sum(paid), 0))
           FROM live, (SELECT (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS today) d
           WHERE (created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date > today - 20 GROUP BY today), 'ticket metrics of 20 days');
SELECT is((SELECT sum((value ->> 'tickets')::int) FROM jsonb_each(c360_ticket_metrics(20) -> 'by_type')),
          (c360_ticket_metrics(20) ->> 'tickets')::bigint, 'types make up all tickets');
SELECT is((SELECT sum((value ->> 'tickets')::int) FROM jsonb_array_elements(c360_ticket_metrics(20) -> 'by_date')),
          (c360_ticket_metrics(20) ->> 'tickets')::bigint, 'days make up all tickets');
SELECT is(c360_ticket_metrics(NULL), c360_ticket_metrics(30), 'NULL days are 30');

-- Wallets in numbers
SELECT results_eq('SELECT * FROM wallet_statistics',
    $$SELECT count(*), count(*) FILTER (WHERE balance > 0), count(*) FILTER (WHERE virtual_balance > 0),
             sum(balance), sum(virtual_balance), sum(available), sum(total_deposited), sum(total_withdrawn),
             sum(total_virtual_issued), sum(total_virtual_used), sum(total_virtual_expired)
      FROM c360_wallets(customer_ids => (SELECT array_agg(id) FROM c360.customers))$$, 'wallet_statistics');
SELECT is(c360_wallet_summary(9) - 'expiring' - 'frozen_wallets', (SELECT to_jsonb(w) FROM wallet_statistics w),
          'the wallet summary has the same numbers');
SELECT is(c360_wallet_summary(9) ->> 'frozen_wallets', '1', 'and one frozen wallet');
SELECT is(c360_wallet_summary(9) -> 'expiring',
          (SELECT jsonb_build_object('days', 9, 'credits', sum(n), 'amount', sum(amount), 'by_date', jsonb_agg(
                      jsonb_build_object('date', day, 'credits', n, 'customers', people, 'amount', amount) ORDER BY day))
           FROM (SELECT (expires_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS n, sum(remaining) AS amount,
                        count(DISTINCT phone) AS people
                 FROM c360_expiring_credits('9 days') GROUP BY 1) s), 'what expires within 9 days, each day');
SELECT cmp_ok(jsonb_array_length(c360_wallet_summary(9) #> '{expiring,by_date}'), '>', 2, 'on more than one day');

-- Days of the shop. They begin at 17:00 UTC.
SELECT pg_temp.same('SELECT date, type, transaction_count, total_amount, unique_customers FROM daily_wallet_summary',
    $$SELECT date(created_at AT TIME ZONE 'UTC' + interval '7 hours'), type, count(*), sum(amount), count(DISTINCT customer_id)
      FROM c360.wallet_transactions GROUP BY 1, 2$$, 'daily_wallet_summary');
SELECT pg_temp.same('SELECT * FROM balance_statistics',
    $$SELECT date(b.transaction_date AT TIME ZONE 'UTC' + interval '7 hours'), b.gateway, count(*),
             sum(CASE b.transfer_type WHEN 'in' THEN b.transfer_amount ELSE 0 END),
             sum(CASE b.transfer_type WHEN 'out' THEN b.transfer_amount ELSE 0 END),
             sum(CASE b.transfer_type WHEN 'in' THEN 1 ELSE -1 END * b.transfer_amount),
             count(*) FILTER (WHERE b.result = 'deposited'), count(*) FILTER (WHERE b.result = 'pending'),
             count(*) FILTER (WHERE b.result = 'unmatched')
      FROM c360.balance_history b GROUP BY 1, 2$$, 'balance_statistics');
SELECT is((SELECT count(*) FROM daily_wallet_summary WHERE date = d), (SELECT count(DISTINCT type) FROM c360.wallet_transactions
              WHERE date(created_at AT TIME ZONE 'UTC' + interval '7 hours') = d), 'filtered by the date ' || d)
FROM generate_series(current_date - 2, current_date, interval '1 day') g, date(g) AS d;
CREATE TEMP TABLE days AS SELECT * FROM c360_daily_summary(current_date - 6, current_date);
SELECT is((SELECT string_agg(date::text, ' ' ORDER BY date) FROM days),
          (SELECT string_agg(date(d)::text, ' ') FROM generate_series(current_date - 6, current_date, interval '1 day') d),
          'a row for each day');
SELECT pg_temp.same('SELECT date, new_customers, orders, order_amount, tickets_created, tickets_completed FROM days',
    $$SELECT d.date, (SELECT count(*) FROM c360.customers WHERE date(created_at AT TIME ZONE 'UTC' + interval '7 hours') = d.date),
             (SELECT count(*) FROM c360.customer_orders WHERE status <> 'cancelled'
              AND date(ordered_at AT TIME ZONE 'UTC' + interval '7 hours') = d.date),
             (SELECT coalesce(sum(amount), 0) FROM c360.customer_orders WHERE status IN ('pending', 'delivered')
              AND date(ordered_at AT TIME ZONE 'UTC' + interval '7 hours') = d.date),
             (SELECT count(*) FROM live WHERE date(created_at AT TIME ZONE 'UTC' + interval '7 hours') = d.date),
             (SELECT count(*) FROM live WHERE date(completed_at AT TIME ZONE 'UTC' + interval '7 hours') = d.date)
      FROM days d$$, 'customers, orders and tickets of each day');
SELECT pg_temp.same('SELECT date, wallet_transactions, deposited, withdrawn, refunded, adjusted, credit_issued, credit_used, credit_expired,
                      credit_cancelled FROM days',
    $$SELECT d.date, count(t.id), coalesce(sum(t.amount) FILTER (WHERE t.type = 'DEPOSIT'), 0),
             coalesce(sum(t.amount) FILTER (WHERE t.type = 'WITHDRAW'), 0), coalesce(sum(t.amount) FILTER (WHERE t.type = 'REFUND'), 0),
             coalesce(sum(t.real_change) FILTER (WHERE t.type = 'ADJUSTMENT'), 0),
             coalesce(sum(t.amount) FILTER (WHERE t.type = 'VIRTUAL_CREDIT'), 0),
             coalesce(sum(-t.virtual_change) FILTER (WHERE t.type = 'WITHDRAW'), 0),
             coalesce(sum(t.amount) FILTER (WHERE t.type = 'VIRTUAL_EXPIRE'), 0),
             coalesce(sum(t.amount) FILTER (WHERE t.type = 'VIRTUAL_CANCEL'), 0)
      FROM days d LEFT JOIN c360.wallet_transactions t ON date(t.created_at AT TIME ZONE 'UTC' + interval '7 hours') = d.date
      GROUP BY d.date$$, 'movements of each day');
SELECT pg_temp.same('SELECT date, bank_transactions, bank_in, bank_out FROM days',
    $$SELECT d.date, coalesce(sum(b.total_transactions), 0), coalesce(sum(b.total_in), 0), coalesce(sum(b.total_out), 0)
      FROM days d LEFT JOIN balance_statistics b ON b.date = d.date GROUP BY d.date$$, 'transfers of each day');
SELECT is((SELECT count(*) FROM c360_daily_summary()), 30::bigint, '30 days unless told otherwise');
SELECT is((SELECT max(date) FROM c360_daily_summary()), current_date, 'up to today');
SELECT is((SELECT min(date) || ' ' || count(*) FROM c360_daily_summary(to_date => '2026-03-01')), '2026-01-31 30', 'up to a day');
SELECT is((SELECT min(date) || ' ' || max(date) FROM c360_daily_summary(current_date + 2)),
          format('%s %s', current_date + 2, current_date + 2), 'from a day to come');

-- Midnight: of two deposits a microsecond apart each is of its own day.
ALTER TABLE c360.wallet_transactions DISABLE TRIGGER ledger_guard;
DO $$
DECLARE
    edge constant timestamptz := '2024-02-29 00:00:00+07';
    movement bigint;
BEGIN
    movement := (SELECT transaction_id FROM c360_deposit('0930000001', 111));
    UPDATE c360.wallet_transactions SET created_at = edge - interval '1 microsecond' WHERE id = movement;
    movement := (SELECT transaction_id FROM c360_deposit('0930000001', 222));
    UPDATE c360.wallet_transactions SET created_at = edge WHERE id = movement;
    UPDATE c360.customer_activities a SET created_at = t.created_at FROM c360.wallet_transactions t
    WHERE t.activity_id = a.id AND t.created_at < '2025-01-01';
END $$;
ALTER TABLE c360.wallet_transactions ENABLE ALWAYS TRIGGER ledger_guard;
SET LOCAL timezone = 'America/New_York';
SELECT results_eq($$SELECT date, total_amount FROM daily_wallet_summary WHERE date < '2025-01-01' ORDER BY date$$,
                  $$VALUES (date '2024-02-28', 111::numeric), ('2024-02-29', 222)$$, 'a day of the ledger ends at the shop''s midnight');
SELECT results_eq($$SELECT date, deposited FROM c360_daily_summary('2024-02-28', '2024-03-01') ORDER BY date$$,
                  $$VALUES (date '2024-02-28', 111::numeric), ('2024-02-29', 222), ('2024-03-01', 0)$$, 'and so does one of the daily summary');
SELECT is((SELECT string_agg(amount::text, ' ') FROM c360_consolidated_transactions(from_date => '2024-02-29', to_date => '2024-02-29')),
          '222', 'and of the list of everything');
SELECT is((SELECT string_agg(amount::text, ' ') FROM c360_consolidated_transactions('0930000001', to_date => '2024-02-28')),
          '111', 'and of the list of one customer');
SET LOCAL timezone = 'Asia/Ho_Chi_Minh';

-- Dashboard
SELECT is(c360_dashboard() #- '{customers,new_today}' #- '{tickets,overdue}' #- '{tickets,created_today}' #- '{tickets,completed_today}'
              -> 'customers', (SELECT jsonb_build_object('total', total_customers, 'by_tier', by_tier, 'by_status', by_status) FROM customer_statistics),
          'customers of the dashboard');
SELECT is(c360_dashboard() #> '{customers,new_today}', to_jsonb((SELECT new_customers FROM c360_daily_summary(current_date))), 'new ones');
SELECT is(c360_dashboard() -> 'orders', (SELECT jsonb_build_object('today', orders, 'amount_today', order_amount)
                                         FROM c360_daily_summary(current_date)), 'orders of today');
SELECT is(c360_dashboard() -> 'tickets', (SELECT jsonb_build_object('total', count(*),
              'open', count(*) FILTER (WHERE status IN ('new', 'processing', 'waiting_carrier')),
              'overdue', count(*) FILTER (WHERE status IN ('new', 'processing', 'waiting_carrier') AND deadline < clock_timestamp()),
              'created_today', count(*) FILTER (WHERE date(created_at) = current_date),
              'completed_today', count(*) FILTER (WHERE date(completed_at) = current_date),
              'by_status', jsonb_build_object('new', count(*) FILTER (WHERE status = 'new'),
                  'processing', count(*) FILTER (WHERE status = 'processing'),
                  'waiting_carrier', count(*) FILTER (WHERE status = 'waiting_carrier'),
                  'completed', count(*) FILTER (WHERE status = 'completed'),
                  'cancelled', count(*) FILTER (WHERE status = 'cancelled'))) FROM live), 'tickets of the dashboard');
SELECT is(c360_dashboard() -> 'wallets', (SELECT jsonb_build_object('balance', total_real_balance, 'virtual_balance', total_virtual_balance,
              'with_balance', wallets_with_balance, 'with_virtual', wallets_with_virtual, 'frozen', 1,
              'today', (SELECT coalesce(jsonb_object_agg(type, jsonb_build_object('transactions', transaction_count, 'amount', total_amount)), '{}')
                        FROM daily_wallet_summary WHERE date = current_date),
              'expiring_7_days', (SELECT jsonb_build_object('credits', count(*), 'amount', coalesce(sum(remaining), 0)) FROM c360_expiring_credits()))
           FROM wallet_statistics), 'wallets of the dashboard');
SELECT is(c360_dashboard() -> 'bank', (SELECT jsonb_build_object('transactions_today', bank_transactions, 'in_today', bank_in, 'out_today', bank_out,
              'pending', (SELECT count(*) FROM c360.balance_history WHERE result = 'pending'), 'undecided', 0)
           FROM c360_daily_summary(current_date)), 'bank of the dashboard');

-- Lists
SELECT pg_temp.same('SELECT id, phone, name, amount, balance_after FROM c360_wallet_transaction_list',
    'SELECT t.id, c.phone, c.name, t.amount, t.balance_after FROM c360.wallet_transactions t, c360.customers c WHERE c.id = t.customer_id',
    'c360_wallet_transaction_list');
SELECT pg_temp.same('SELECT id, phone, name, remaining_amount, status FROM c360_credit_list',
    'SELECT v.id, c.phone, c.name, v.remaining_amount, v.status FROM c360.virtual_credits v, c360.customers c WHERE c.id = v.customer_id',
    'c360_credit_list');
SELECT pg_temp.same('SELECT id, sepay_id, phone, link_status, transfer_amount FROM c360_bank_transaction_list',
    $$SELECT b.id, b.sepay_id, (SELECT c.phone FROM c360.bank_links l JOIN c360.customers c ON c.id = l.customer_id
                                WHERE l.bank_transaction_id = b.id AND l.unlinked_at IS NULL),
             CASE b.result WHEN 'deposited' THEN 'linked' WHEN 'pending' THEN 'pending' WHEN 'unmatched' THEN 'unlinked' END,
             b.transfer_amount FROM c360.balance_history b$$, 'c360_bank_transaction_list');
SELECT pg_temp.same('SELECT id, bank_transaction_id, status, content, transfer_amount, phone FROM c360_pending_match_list',
    $$SELECT p.id, b.id, 'pending', b.content, b.transfer_amount, NULL::text FROM c360.pending_customer_matches p, c360.balance_history b
      WHERE b.id = p.bank_transaction_id$$, 'c360_pending_match_list');
-- a link that ended is none
UPDATE c360.bank_links SET unlinked_at = now(), unlinked_by = 'test' WHERE id = (SELECT min(id) FROM c360.bank_links);
UPDATE c360.balance_history SET result = 'unlinked' WHERE id = (SELECT bank_transaction_id FROM c360.bank_links ORDER BY id LIMIT 1);
SELECT is((SELECT link_status || ' ' || coalesce(phone, 'nobody') FROM c360_bank_transaction_list
           WHERE id = (SELECT bank_transaction_id FROM c360.bank_links ORDER BY id LIMIT 1)), 'unlinked nobody', 'a link that ended');
SELECT is((SELECT sum(linked_count) FROM balance_statistics), (SELECT count(*) - 1 FROM c360.bank_links)::numeric, 'is not counted');

-- Everything in one list: each movement, each ticket, and what else happened, once.
CREATE TEMP VIEW happened AS
    SELECT 'transaction' AS kind, id FROM c360.wallet_transactions
    UNION ALL SELECT 'ticket', id FROM c360.customer_tickets WHERE deleted_at IS NULL
    UNION ALL SELECT 'activity', id FROM c360.customer_activities a
    WHERE topic <> 'tickets' AND id NOT IN (SELECT activity_id FROM c360.wallet_transactions)
      AND NOT (event = 'bank.linked' AND payload ->> 'transaction_id' IS NOT NULL);
CREATE FUNCTION pg_temp.pages(size int, phone text DEFAULT NULL, type text DEFAULT NULL)
RETURNS TABLE (kind text, id bigint, at timestamptz, place bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    cursor text;
    page record;
    n bigint := 0;
BEGIN
    LOOP
        FOR page IN SELECT * FROM c360_consolidated_transactions(phone => pages.phone, type => pages.type, after => cursor, max_rows => size) LOOP
            n := n + 1;
            RETURN QUERY SELECT page.kind, page.id, page.at, n;
            cursor := page.cursor;
        END LOOP;
        EXIT WHEN NOT FOUND OR n > 2000;     -- a cursor that stands still
    END LOOP;
END $$;
SELECT pg_temp.same(format('SELECT kind, id FROM pg_temp.pages(%s)', size), 'SELECT kind, id FROM happened',
              'each thing once, in pages of ' || size)
FROM unnest(ARRAY[7, 100, 1000]) AS size;
SELECT is_empty('SELECT * FROM (SELECT at, lag(at) OVER (ORDER BY place) AS before FROM pg_temp.pages(50)) s WHERE at > before', 'newest first');
SELECT pg_temp.same(format('SELECT kind, id FROM pg_temp.pages(3, %L)', phone),
    format($$SELECT h.kind, h.id FROM happened h
             LEFT JOIN c360.wallet_transactions t ON h.kind = 'transaction' AND t.id = h.id
             LEFT JOIN c360.customer_tickets k ON h.kind = 'ticket' AND k.id = h.id
             LEFT JOIN c360.customer_activities a ON h.kind = 'activity' AND a.id = h.id
             WHERE coalesce(t.customer_id, k.customer_id, a.customer_id) = (SELECT id FROM c360.customers WHERE phone = %L)$$, phone),
    'those of ' || phone) FROM people WHERE n IN (1, 2, 25);
SELECT pg_temp.same(format('SELECT kind, id FROM pg_temp.pages(4, type => %L)', wanted),
              format('SELECT kind, id FROM happened WHERE kind = %L', wanted), 'of kind ' || wanted)
FROM unnest('{transaction,ticket,activity}'::text[]) AS wanted;
SELECT pg_temp.same(format('SELECT id FROM pg_temp.pages(4, type => %L)', wanted),
              format('SELECT id FROM c360.wallet_transactions WHERE type = %L', wanted), 'of type ' || wanted)
FROM unnest('{DEPOSIT,WITHDRAW,VIRTUAL_CREDIT,VIRTUAL_EXPIRE,VIRTUAL_CANCEL,REFUND,ADJUSTMENT}'::text[]) AS wanted;
SELECT pg_temp.same(format('SELECT id FROM pg_temp.pages(4, type => %L)', wanted),
              format('SELECT id FROM c360.customer_tickets WHERE type = %L AND deleted_at IS NULL', wanted), 'of type ' || wanted)
FROM unnest('{BOOM,DOI,HOAN}'::text[]) AS wanted;
-- many things of one moment are told apart
UPDATE c360.customer_activities SET created_at = '2026-01-01' WHERE topic = 'customers';
UPDATE c360.customer_tickets SET created_at = '2026-01-01';
SELECT pg_temp.same('SELECT kind, id FROM pg_temp.pages(5)', 'SELECT kind, id FROM happened', 'many things of one moment');
SELECT results_eq(
    $$SELECT type, amount, real_change, virtual_change, balance, virtual_balance, phone, note, actor
      FROM c360_consolidated_transactions('0930000001', 'transaction', max_rows => 1000) ORDER BY id$$,
    $$SELECT type, amount, real_change, virtual_change, balance, virtual_balance, '0930000001', note, actor
      FROM c360_wallet_transactions('0930000001', max_rows => 1000) ORDER BY transaction_id$$, 'with what the ledger says');
SELECT pg_temp.same($$SELECT code, type, status, amount, reference_id FROM c360_consolidated_transactions(type => 'ticket', max_rows => 1000)$$,
    'SELECT ticket_code, type, status, refund_amount, order_code FROM live', 'with what the tickets say');

-- Arguments
SELECT is(pg_temp.failure(statement), expected, statement) FROM (VALUES
    ($$SELECT c360_consolidated_transactions('nobody')$$, '22023 invalid_phone'),
    ($$SELECT c360_consolidated_transactions('0999999999')$$, 'PT404 customer_not_found'),
    ($$SELECT c360_consolidated_transactions(type => 'WITHDRAWAL')$$, '22023 not_allowed'),
    ($$SELECT c360_consolidated_transactions(type => '')$$, '22023 not_allowed'),
    ($$SELECT c360_consolidated_transactions(after => 'here')$$, '22023 invalid_cursor'),
    ($$SELECT c360_consolidated_transactions(after => '1.4.5')$$, '22023 invalid_cursor'),
    ($$SELECT c360_consolidated_transactions(after => '')$$, '22023 invalid_cursor'),
    ($$SELECT c360_consolidated_transactions(after => '-999999999999999999.1.1')$$, '22023 invalid_cursor'),
    ($$SELECT c360_consolidated_transactions(after => '-99999999999999999.1.1')$$, 'none'),
    ($$SELECT c360_consolidated_transactions(after => '999999999999999999.1.1')$$, 'none'),
    ($$SELECT c360_consolidated_transactions(max_rows => 0)$$, '22023 out_of_range'),
    ($$SELECT c360_consolidated_transactions(max_rows => 1001)$$, '22023 out_of_range'),
    ($$SELECT c360_consolidated_transactions(from_date => '2026-01-02', to_date => '2026-01-01')$$, '22023 out_of_range'),
    ($$SELECT c360_consolidated_transactions(from_date => '-infinity')$$, '22023 out_of_range'),
    ($$SELECT c360_consolidated_transactions(to_date => 'infinity')$$, '22023 out_of_range'),
    ($$SELECT c360_daily_summary('2026-01-02', '2026-01-01')$$, '22023 out_of_range'),
    ($$SELECT c360_daily_summary('2000-01-01', '2026-01-01')$$, '22023 too_many'),
    ($$SELECT c360_daily_summary(to_date => 'infinity')$$, '22023 out_of_range'),
    ($$SELECT c360_daily_summary('2026-01-01', '2028-09-27')$$, '22023 too_many'),
    ($$SELECT c360_daily_summary('2026-01-01', '2028-09-26')$$, 'none'),
    ($$SELECT c360_ticket_metrics(0)$$, '22023 out_of_range'),
    ($$SELECT c360_ticket_metrics(3651)$$, '22023 out_of_range'),
    ($$SELECT c360_wallet_summary(0)$$, '22023 out_of_range'),
    ($$SELECT c360_wallet_summary(3651)$$, '22023 out_of_range'),
    ($$SELECT c360_wallet_summary(3650)$$, 'none'),
    ($$SELECT c360_consolidated_transactions(NULL, NULL, NULL, NULL, NULL, NULL)$$, 'none')
) AS t (statement, expected);

-- Levels. Money is NULL for viewers, and for nobody else.
CREATE ROLE views_viewer;
CREATE ROLE views_agent;
SELECT c360_grant('views_viewer', 'viewer'), c360_grant('views_agent', 'agent');
CREATE TEMP TABLE money (view text, columns text[]);
INSERT INTO money VALUES
    ('customer_360_summary', '{total_spent,wallet_balance,wallet_virtual_balance,wallet_total}'),
    ('customer_activity_summary', '{wallet_balance,virtual_balance,active_credits,active_credits_count,total_bank_deposits,
                                    bank_deposit_count,total_spent}'),
    ('ticket_statistics', '{total_refunded,total_virtual_issued}'),
    ('ticket_resolution_metrics', '{total_virtual_issued,total_refunded}'),
    ('wallet_statistics', '{total_real_balance,total_virtual_balance,total_available,total_deposited,total_withdrawn,
                            total_virtual_issued,total_virtual_used,total_virtual_expired}'),
    ('daily_wallet_summary', '{total_amount}'),
    ('balance_statistics', '{total_in,total_out,net_change}'),
    ('customer_statistics', '{}');
CREATE TEMP TABLE as_admin (view text, line jsonb);
GRANT ALL ON money, as_admin TO PUBLIC;
GRANT SELECT ON happened, people TO PUBLIC;
SELECT format('INSERT INTO as_admin SELECT %L, to_jsonb(v) FROM %I v', view, view) FROM money \gexec
SET ROLE views_agent;
SELECT pg_temp.same(format('SELECT to_jsonb(v) FROM %I v', view), format('SELECT line FROM as_admin WHERE view = %L', view), 'agent: ' || view) FROM money;
SELECT isnt(c360_dashboard() -> 'wallets', 'null', 'agent: wallets of the dashboard');
SELECT pg_temp.same('SELECT kind, id FROM pg_temp.pages(100)', 'SELECT kind, id FROM happened', 'agent: everything in the list');
SELECT is(pg_temp.failure('SELECT count(*) FROM ' || name), 'none', 'agent: ' || name)
FROM unnest('{c360_wallet_transaction_list,c360_credit_list,c360_bank_transaction_list,c360_pending_match_list}'::text[]) AS name;
SET ROLE views_viewer;
SELECT pg_temp.same(format($$SELECT to_jsonb(v) - 'last_interaction_at' FROM %I v$$, view),
              format($$SELECT line - 'last_interaction_at' || (SELECT coalesce(jsonb_object_agg(c, NULL), '{}') FROM unnest(%L::text[]) c)
                       FROM as_admin WHERE view = %L$$, columns, view), 'viewer: ' || view || ' without money') FROM money;
SELECT is(pg_temp.failure('SELECT count(*) FROM ' || name), '42501', 'viewer: no ' || name)
FROM unnest('{c360_wallet_transaction_list,c360_credit_list,c360_bank_transaction_list,c360_pending_match_list}'::text[]) AS name;
SELECT is(pg_temp.failure('SELECT c360_wallet_summary()'), '42501', 'viewer: no wallet summary');
SELECT is(c360_dashboard() -> key, 'null', 'viewer: no ' || key || ' of the dashboard') FROM unnest('{wallets,bank}'::text[]) AS key;
SELECT is(c360_dashboard() #> '{orders,amount_today}', 'null', 'viewer: no amounts of orders');
SELECT cmp_ok((c360_dashboard() #>> '{tickets,total}')::int, '>', 0, 'viewer: but tickets');
SELECT is((SELECT jsonb_agg(DISTINCT v) FROM jsonb_path_query(c360_ticket_metrics(3650), 'strict $.**.total_refunded') v), '[null]', 'viewer: metrics without money');
SELECT is((SELECT string_agg(k, ' ' ORDER BY k) FROM c360_daily_summary(current_date) d, jsonb_each(to_jsonb(d)) e (k, v) WHERE v = 'null'),
          'adjusted bank_in bank_out bank_transactions credit_cancelled credit_expired credit_issued credit_used deposited'
          ' order_amount refunded wallet_transactions withdrawn', 'viewer: days without money');
SELECT is_empty($$SELECT * FROM c360_consolidated_transactions(max_rows => 1000)
                  WHERE kind = 'transaction' OR type ~ '^(wallet|bank)' OR amount IS NOT NULL$$, 'viewer: nothing of wallets and bank in the list');
SELECT isnt_empty('SELECT * FROM c360_consolidated_transactions(max_rows => 1000)', 'viewer: but the rest');
SELECT is_empty($$SELECT * FROM c360_consolidated_transactions(type => 'DEPOSIT')$$, 'viewer: not by asking for it');
RESET ROLE;
SELECT created_at AS other FROM c360.customer_activities
WHERE topic IN ('customers', 'tickets') AND customer_id = (SELECT id FROM c360.customers WHERE phone = '0930000008')
ORDER BY id DESC LIMIT 1 \gset
SELECT isnt((SELECT last_interaction_at FROM customer_360_summary WHERE phone = '0930000008'), :'other', 'to us the last interaction is of the wallet');
SET ROLE views_viewer;
SELECT is((SELECT last_interaction_at FROM customer_360_summary WHERE phone = '0930000008'), :'other', 'viewer: it is another one');
RESET ROLE;

-- Erased customers leave the summaries, and their ledger stays.
SELECT lives_ok($$SELECT c360_erase_customer('0930000025', 'asked for it')$$, 'a customer is erased');
SELECT is((SELECT count(*) FROM customer_360_summary) || ' ' || (SELECT count(*) FROM customer_activity_summary), '24 24', 'he leaves the summaries');

-- Pages go by index.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
SET LOCAL enable_bitmapscan = off;
CREATE FUNCTION pg_temp.plan_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    plan text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP plan := plan || line || E'\n'; END LOOP;
    RETURN plan;
END $$;
SELECT unalike(pg_temp.plan_of(statement), '%Seq Scan on customers%', statement || ': no walk over all customers')
FROM unnest(ARRAY['SELECT * FROM customer_360_summary WHERE id = 7', $$SELECT * FROM customer_360_summary WHERE phone = '0930000007'$$,
                  'SELECT * FROM customer_360_summary ORDER BY id DESC LIMIT 5', 'SELECT * FROM customer_activity_summary WHERE customer_id = 7',
                  $$SELECT * FROM customer_activity_summary WHERE phone = '0930000007'$$,
                  'SELECT * FROM customer_activity_summary ORDER BY customer_id LIMIT 5']) AS statement;
SELECT unalike(pg_temp.plan_of(statement), '%Sort%', statement || ': nothing is sorted')
FROM unnest(ARRAY['SELECT * FROM customer_360_summary WHERE id > 7 ORDER BY id LIMIT 5', 'SELECT * FROM customer_activity_summary ORDER BY customer_id DESC LIMIT 5',
                  'SELECT * FROM c360_wallet_transaction_list ORDER BY id DESC LIMIT 5', 'SELECT * FROM c360_credit_list ORDER BY id LIMIT 5',
                  'SELECT * FROM c360_bank_transaction_list ORDER BY transaction_date DESC, id DESC LIMIT 5',
                  'SELECT * FROM c360_pending_match_list ORDER BY id DESC LIMIT 5']) AS statement;
SELECT alike(pg_temp.plan_of('SELECT * FROM balance_statistics WHERE date = current_date'), '%balance_history_transaction_date_idx%', 'transfers of a day go by index');
SELECT alike(pg_temp.plan_of(format('SELECT * FROM c360_bank_transaction_list WHERE link_status = %L AND id < 1000 ORDER BY id DESC LIMIT 5', status)),
    '%Index Scan Backward using balance_history_' || status || '_idx%', 'the desk goes by its own index: ' || status) FROM unnest('{unlinked,pending}'::text[]) AS status;
SELECT alike(pg_temp.plan_of('SELECT * FROM c360_bank_problem_list WHERE transaction_date >= current_date'),
    '%Index Scan Backward using balance_history_account_idx%Index Cond: %ROW(transaction_date, sepay_id) <%', 'the transfer before one goes by index');
SELECT alike(pg_temp.plan_of('SELECT * FROM daily_wallet_summary WHERE date = current_date'), '%wallet_transactions_created_at_idx%', 'movements of a day go by index');
-- A merge in the order of ids would begin a page in the middle at the first wallet: not even then is it a choice.
SET LOCAL enable_nestloop = off;
SET LOCAL enable_hashjoin = off;
SELECT unalike(pg_temp.plan_of(statement), '%Merge Cond: (c.id = %', statement || ': nothing before the page is read')
FROM unnest(ARRAY['SELECT * FROM c360_customer_list WHERE id > 7 ORDER BY id LIMIT 5', 'SELECT * FROM customer_360_summary WHERE id > 7 ORDER BY id LIMIT 5',
                  'SELECT * FROM customer_activity_summary WHERE customer_id > 7 ORDER BY customer_id LIMIT 5']) AS statement;
RESET enable_nestloop;
RESET enable_hashjoin;

SELECT * FROM finish();
ROLLBACK;
