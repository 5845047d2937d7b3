-- Customers, but for erased ones, with what the staff wants to see beside them. What takes a look
-- into another table for each customer is a subquery in the SELECT list: it
-- costs nothing where its column is not asked for, and PostgREST's pages are
-- cut before it runs (LIMIT 1 where there is at most one tells the planner so).
-- A filter on id or phone, or order by id, goes by index. (c.id + 0: see 20_customers.sql)

CREATE OR REPLACE VIEW @extschema@.customer_360_summary AS
    SELECT c.id, c.phone, c.name, c.email, c.status, c.tier, c.tags,
           coalesce(o.total, 0) AS total_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(o.spent, 0) END AS total_spent,
           round(100.0 * o.decided_returned / nullif(o.decided, 0), 2) AS return_rate,
           s.segment AS rfm_segment,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.balance, 0) END AS wallet_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.virtual_balance, 0) END
               AS wallet_virtual_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(w.balance::numeric + w.virtual_balance, 0) END AS wallet_total,
           (SELECT count(*) FROM c360.customer_tickets t
            WHERE t.customer_id = c.id AND t.status IN ('new', 'processing', 'waiting_carrier')
              AND t.deleted_at IS NULL) AS pending_tickets,
           o.last_order_at,
           (SELECT a.created_at FROM c360.customer_activities a
            WHERE a.customer_id = c.id
              AND (a.topic NOT IN ('wallets', 'bank') OR (SELECT @extschema@.c360_sees_money()))
            ORDER BY a.id DESC LIMIT 1) AS last_interaction_at,
           c.created_at
    FROM c360.customers c
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = c.id + 0
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id + 0
    LEFT JOIN c360.customer_rfm s ON s.customer_id = c.id + 0
    WHERE c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customer_360_summary IS
    'One row a customer: who he is, his orders, wallet, open tickets and last interaction
Amounts in đồng; NULL for callers below agent. A customer without orders or movements of money shows zeros.';
COMMENT ON COLUMN @extschema@.customer_360_summary.total_orders IS 'orders that are not cancelled';
COMMENT ON COLUMN @extschema@.customer_360_summary.total_spent IS 'đồng, of orders neither cancelled nor returned';
COMMENT ON COLUMN @extschema@.customer_360_summary.return_rate IS 'percent of his decided orders that were returned; NULL without any';
COMMENT ON COLUMN @extschema@.customer_360_summary.rfm_segment IS 'of the last refresh; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_360_summary.wallet_balance IS 'real money, đồng';
COMMENT ON COLUMN @extschema@.customer_360_summary.wallet_virtual_balance IS 'đồng left of ACTIVE credits, overdue ones not yet expired included';
COMMENT ON COLUMN @extschema@.customer_360_summary.wallet_total IS 'wallet_balance and wallet_virtual_balance together';
COMMENT ON COLUMN @extschema@.customer_360_summary.pending_tickets IS 'tickets neither completed nor cancelled';
COMMENT ON COLUMN @extschema@.customer_360_summary.last_interaction_at IS 'last row of his timeline that the caller may see';

CREATE OR REPLACE VIEW @extschema@.customer_activity_summary AS
    SELECT c.id AS customer_id, c.name, c.phone, c.tier,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.balance, 0) END AS wallet_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.virtual_balance, 0) END AS virtual_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT coalesce(sum(v.remaining_amount), 0) FROM c360.virtual_credits v
                WHERE v.customer_id = c.id AND v.status = 'ACTIVE' AND v.expires_at > statement_timestamp())
               END AS active_credits,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT count(*) FROM c360.virtual_credits v
                WHERE v.customer_id = c.id AND v.status = 'ACTIVE' AND v.expires_at > statement_timestamp())
               END AS active_credits_count,
           (SELECT count(*) FROM c360.customer_tickets t
            WHERE t.customer_id = c.id AND t.status IN ('new', 'processing', 'waiting_carrier')
              AND t.deleted_at IS NULL) AS open_tickets,
           (SELECT count(*) FROM c360.customer_tickets t
            WHERE t.customer_id = c.id AND t.deleted_at IS NULL) AS total_tickets,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT coalesce(sum(d.amount), 0) FROM c360.bank_links l
                CROSS JOIN LATERAL (SELECT t.amount FROM c360.wallet_transactions t
                                    WHERE t.bank_link_id = l.id AND t.type = 'DEPOSIT' LIMIT 1) d
                WHERE l.customer_id = c.id) END AS total_bank_deposits,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT count(*) FROM c360.bank_links l
                CROSS JOIN LATERAL (SELECT t.amount FROM c360.wallet_transactions t
                                    WHERE t.bank_link_id = l.id AND t.type = 'DEPOSIT' LIMIT 1) d
                WHERE l.customer_id = c.id) END AS bank_deposit_count,
           s.r, s.f, s.m, s.segment AS rfm_segment,
           o.last_order_at,
           coalesce(o.total, 0) AS total_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(o.spent, 0) END AS total_spent,
           round(100.0 * o.decided_returned / nullif(o.decided, 0), 2) AS return_rate,
           CASE WHEN o.last_order_at IS NOT NULL THEN
               greatest((statement_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
                        - (o.last_order_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, 0) END AS days_since_last_order
    FROM c360.customers c
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = c.id + 0
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id + 0
    LEFT JOIN c360.customer_rfm s ON s.customer_id = c.id + 0
    WHERE c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customer_activity_summary IS
    'One row a customer: wallet, credits, tickets, bank deposits, orders and scores side by side
Amounts in đồng; they and what counts wallet rows are NULL for callers below agent.';
COMMENT ON COLUMN @extschema@.customer_activity_summary.virtual_balance IS 'đồng left of ACTIVE credits, overdue ones not yet expired included';
COMMENT ON COLUMN @extschema@.customer_activity_summary.active_credits IS 'đồng left of ACTIVE credits that are not overdue';
COMMENT ON COLUMN @extschema@.customer_activity_summary.active_credits_count IS 'ACTIVE credits that are not overdue';
COMMENT ON COLUMN @extschema@.customer_activity_summary.open_tickets IS 'tickets neither completed nor cancelled';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_bank_deposits IS 'đồng, all deposits of bank transfers; what an unlink took back is not subtracted';
COMMENT ON COLUMN @extschema@.customer_activity_summary.r IS 'recency score, 1 to 5; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_activity_summary.f IS 'frequency score, 1 to 5; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_activity_summary.m IS 'monetary score, 1 to 5; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_activity_summary.return_rate IS 'percent of his decided orders that were returned; NULL without any';
COMMENT ON COLUMN @extschema@.customer_activity_summary.days_since_last_order IS 'in shop days (Asia/Ho_Chi_Minh); NULL without orders';

-- Each count is one walk over its own part of an index; what is left of all is
-- of the commonest kind, since to count all is less work than to count one.
-- OFFSET 0 keeps the planner from counting each time that a count is used.
CREATE OR REPLACE VIEW @extschema@.customer_statistics AS
    SELECT n.total AS total_customers,
           (SELECT count(*) FROM c360.customer_order_totals o
            WHERE o.last_order_at >= (((statement_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - 89)::timestamp
                                      AT TIME ZONE 'Asia/Ho_Chi_Minh')) AS active_customers,
           (SELECT jsonb_object_agg(s.status, s.customers)
                   || jsonb_build_object('Bình thường', n.total - sum(s.customers))
            FROM (SELECT k.status, (SELECT count(*) FROM c360.customers c WHERE c.status = k.status) AS customers
                  FROM unnest('{Bom hàng,Cảnh báo,Nguy hiểm,VIP}'::text[]) AS k (status) OFFSET 0) s) AS by_status,
           (SELECT jsonb_object_agg(t.tier, t.customers) || jsonb_build_object('new', n.total - sum(t.customers))
            FROM (SELECT k.tier, (SELECT count(*) FROM c360.customers c WHERE c.tier = k.tier) AS customers
                  FROM unnest('{silver,gold,platinum,blacklist}'::text[]) AS k (tier) OFFSET 0) t) AS by_tier
    FROM (SELECT count(*) AS total FROM c360.customers OFFSET 0) n
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customer_statistics IS
    'One row: customers, how many of them are active, and counts by status and by tier
Erased customers are counted, too.';
COMMENT ON COLUMN @extschema@.customer_statistics.active_customers IS 'with an order of the last 90 shop days (Asia/Ho_Chi_Minh), today included';
COMMENT ON COLUMN @extschema@.customer_statistics.by_status IS '{status: customers}, all five of them';
COMMENT ON COLUMN @extschema@.customer_statistics.by_tier IS '{tier: customers}, all five of them';
