-- Wallets and their ledger. Sums are numeric: those of all wallets may pass
-- what one wallet can hold.

-- What a wallet has available: nothing if frozen, without lots if its owner is
-- blacklisted. Both are few, so they are taken off the sum.
CREATE OR REPLACE VIEW @extschema@.wallet_statistics AS
    SELECT (SELECT count(*) FROM c360.customers) AS total_wallets,
           count(*) FILTER (WHERE w.balance > 0) AS wallets_with_balance,
           count(*) FILTER (WHERE w.virtual_balance > 0) AS wallets_with_virtual,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.balance), 0) END AS total_real_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.virtual_balance), 0) END AS total_virtual_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.balance) FILTER (WHERE w.frozen_at IS NULL), 0)
                   + (SELECT coalesce(sum(v.remaining_amount), 0) FROM c360.virtual_credits v
                      WHERE v.status = 'ACTIVE' AND v.expires_at > statement_timestamp()
                        AND v.customer_id NOT IN (SELECT f.customer_id FROM c360.customer_wallets f
                                                  WHERE f.frozen_at IS NOT NULL)
                        AND v.customer_id NOT IN (SELECT b.id FROM c360.customers b WHERE b.tier = 'blacklist'))
                END AS total_available,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.total_deposited), 0) END AS total_deposited,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.total_withdrawn), 0) END AS total_withdrawn,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.total_virtual_issued), 0) END AS total_virtual_issued,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.total_virtual_used), 0) END AS total_virtual_used,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(w.total_virtual_expired), 0) END AS total_virtual_expired
    FROM c360.customer_wallets w
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.wallet_statistics IS
    'One row: all wallets together
Amounts in đồng; NULL for callers below agent. Totals sum the ledger by type; refunds do not lower them.';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_wallets IS 'one a customer, those that never moved money included';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_virtual_balance IS 'đồng left of ACTIVE credits, overdue ones not yet expired included';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_available IS 'what could be withdrawn now: not of frozen wallets, no credit of blacklisted customers or that is overdue';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_withdrawn IS 'real and virtual part';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_virtual_used IS 'virtual part of withdrawals';

-- Day by day, so that a filter on the date reads those days alone.
CREATE OR REPLACE VIEW @extschema@.daily_wallet_summary AS
    SELECT d.day::date AS date, t.type, t.transaction_count,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.total_amount END AS total_amount,
           t.unique_customers
    FROM generate_series(date_trunc('day', (SELECT min(f.created_at) FROM c360.wallet_transactions f)
                                           AT TIME ZONE 'Asia/Ho_Chi_Minh'),
                         (SELECT max(l.created_at) FROM c360.wallet_transactions l)
                             AT TIME ZONE 'Asia/Ho_Chi_Minh', interval '1 day') AS d (day)
    CROSS JOIN LATERAL (
        SELECT r.type, count(*) AS transaction_count, sum(r.amount) AS total_amount,
               count(DISTINCT r.customer_id) AS unique_customers
        FROM c360.wallet_transactions r
        WHERE r.created_at >= d.day AT TIME ZONE 'Asia/Ho_Chi_Minh'
          AND r.created_at < (d.day + interval '1 day') AT TIME ZONE 'Asia/Ho_Chi_Minh'
        GROUP BY r.type) t
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.daily_wallet_summary IS
    'Rows of the ledger by shop day and type; days without any are left out
Without a filter on the date the whole ledger is read.';
COMMENT ON COLUMN @extschema@.daily_wallet_summary.date IS 'day of the shop (Asia/Ho_Chi_Minh) on which it was booked';
COMMENT ON COLUMN @extschema@.daily_wallet_summary.total_amount IS 'đồng, without sign; NULL for callers below agent';

CREATE OR REPLACE VIEW @extschema@.c360_wallet_transaction_list AS
    SELECT t.id, t.customer_id, c.phone, c.name, t.type, t.operation,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.amount END AS amount,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.real_change END AS real_change,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.virtual_change END AS virtual_change,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.balance_after END AS balance_after,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.virtual_balance_after END AS virtual_balance_after,
           t.source, t.reference_type, t.reference_id, t.refunded_transaction_id, t.credit_id, t.credit_expires_at,
           t.bank_link_id, t.idempotency_key, t.actor, t.session_user_name, t.created_at, t.occurred_at, t.activity_id
    FROM c360.wallet_transactions t
    JOIN c360.customers c ON c.id = t.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_wallet_transaction_list IS
    'The ledger with phone and name of the customer
Amounts in đồng. Order by id, or by created_at for one customer.';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.amount IS 'đồng, without sign';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.real_change IS 'đồng, signed';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.virtual_change IS 'đồng, signed';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.refunded_transaction_id IS 'withdrawal that a refund gives back';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.credit_id IS 'lot that an issue, expiry or cancellation concerns';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.created_at IS 'when it was booked';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.occurred_at IS 'when it happened outside, if that was told';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.activity_id IS 'row of the timeline with its note';

CREATE OR REPLACE VIEW @extschema@.c360_credit_list AS
    SELECT v.id, v.customer_id, c.phone, c.name, v.kind, v.source_id,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN v.original_amount END AS original_amount,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN v.remaining_amount END AS remaining_amount,
           v.status, v.expires_at, v.created_at
    FROM c360.virtual_credits v
    JOIN c360.customers c ON c.id = v.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_credit_list IS
    'Store credit: one row a lot, with phone and name of the customer
Amounts in đồng.';
COMMENT ON COLUMN @extschema@.c360_credit_list.status IS 'ACTIVE, USED, EXPIRED or CANCELLED; an overdue lot may be ACTIVE until it is expired';
COMMENT ON COLUMN @extschema@.c360_credit_list.expires_at IS 'usable before this moment';
