-- Tickets, and tickets in numbers. Deleted ones are left out.

CREATE OR REPLACE VIEW @extschema@.c360_ticket_list AS
    SELECT t.id, t.ticket_code, t.customer_id, c.phone, c.name, t.type, y.label AS type_label, t.status,
           t.priority, CASE t.priority WHEN 'urgent' THEN 1 WHEN 'high' THEN 2 WHEN 'normal' THEN 3 ELSE 4 END
               AS priority_rank,
           t.deadline, coalesce(t.deadline, 'infinity'::timestamptz) AS deadline_order,
           t.order_code, t.tracking_code, t.carrier, t.subject, t.description, t.products, t.attachments,
           CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.original_cod END AS original_cod,
           CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.new_cod END AS new_cod,
           CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.refund_amount END AS refund_amount,
           t.reason, t.assignee, t.duplicate_allowed, t.goods_received_at, t.compensation, t.compensated_at,
           CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.credit_id END AS credit_id,
           CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.transaction_id END AS transaction_id,
           t.created_by, t.created_at, t.completed_at
    FROM c360.customer_tickets t
    JOIN c360.customers c ON c.id = t.customer_id
    JOIN c360.ticket_types y ON y.type = t.type
    WHERE t.deleted_at IS NULL;
COMMENT ON VIEW @extschema@.c360_ticket_list IS
    'Tickets that are not deleted, with phone and name of their customers; in order by priority_rank, deadline_order, id. Amounts (đồng), credit_id and transaction_id are NULL for level viewer';

-- Each count is one walk over its own part of an index; what is left of all is
-- completed, the commonest status. OFFSET 0 keeps the planner from counting each
-- time that a count is used.
CREATE OR REPLACE VIEW @extschema@.ticket_statistics AS
    SELECT y.total AS total_tickets,
           n.new AS new_count, n.processing AS processing_count, n.waiting_carrier AS waiting_carrier_count,
           y.total - n.new - n.processing - n.waiting_carrier - n.cancelled AS completed_count,
           n.cancelled AS cancelled_count,
           y.by_type,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT coalesce(sum(d.amount), 0) FROM c360.customer_tickets t
                JOIN c360.wallet_transactions d ON d.id = t.transaction_id AND d.type = 'DEPOSIT'
                WHERE (t.credit_id IS NOT NULL OR t.transaction_id IS NOT NULL) AND t.deleted_at IS NULL)
               END AS total_refunded,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT coalesce(sum(v.original_amount), 0) FROM c360.customer_tickets t
                JOIN c360.virtual_credits v ON v.id = t.credit_id
                WHERE (t.credit_id IS NOT NULL OR t.transaction_id IS NOT NULL) AND t.deleted_at IS NULL)
               END AS total_virtual_issued
    FROM (SELECT coalesce(sum(k.tickets), 0)::bigint AS total,
                 coalesce(jsonb_object_agg(k.type, k.tickets), '{}') AS by_type
          FROM (SELECT p.type, (SELECT count(*) FROM c360.customer_tickets t
                                WHERE t.type = p.type AND t.deleted_at IS NULL) AS tickets
                FROM c360.ticket_types p OFFSET 0) k) y
    CROSS JOIN (SELECT (SELECT count(*) FROM c360.customer_tickets t
                        WHERE t.status = 'new' AND t.deleted_at IS NULL) AS new,
                       (SELECT count(*) FROM c360.customer_tickets t
                        WHERE t.status = 'processing' AND t.deleted_at IS NULL) AS processing,
                       (SELECT count(*) FROM c360.customer_tickets t
                        WHERE t.status = 'waiting_carrier' AND t.deleted_at IS NULL) AS waiting_carrier,
                       (SELECT count(*) FROM c360.customer_tickets t
                        WHERE t.status = 'cancelled' AND t.deleted_at IS NULL) AS cancelled OFFSET 0) n
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.ticket_statistics IS
    'One row: tickets by status and by type, and what they cost
Amounts in đồng; NULL for callers below agent. Deleted tickets are left out.';
COMMENT ON COLUMN @extschema@.ticket_statistics.by_type IS '{type: tickets}, all types';
COMMENT ON COLUMN @extschema@.ticket_statistics.total_refunded IS 'đồng paid to real balances';
COMMENT ON COLUMN @extschema@.ticket_statistics.total_virtual_issued IS 'đồng issued as store credit, whatever became of it';

CREATE OR REPLACE VIEW @extschema@.ticket_resolution_metrics AS
    SELECT t.type, t.status, count(*) AS ticket_count,
           round(extract(epoch FROM avg(t.completed_at - t.created_at)) / 3600, 2) AS avg_resolution_hours,
           count(*) FILTER (WHERE t.credit_id IS NOT NULL OR t.transaction_id IS NOT NULL) AS compensated_count,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(v.original_amount), 0) END AS total_virtual_issued,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(sum(d.amount), 0) END AS total_refunded
    FROM c360.customer_tickets t
    LEFT JOIN c360.virtual_credits v ON v.id = t.credit_id
    LEFT JOIN c360.wallet_transactions d ON d.id = t.transaction_id AND d.type = 'DEPOSIT'
    WHERE t.deleted_at IS NULL AND @extschema@.c360_version() IS NOT NULL
    GROUP BY t.type, t.status;
COMMENT ON VIEW @extschema@.ticket_resolution_metrics IS
    'Tickets by type and status: how many, how long they took, what they cost
Amounts in đồng; NULL for callers below agent. Deleted tickets are left out.';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.avg_resolution_hours IS 'from creation to completion; NULL while none is completed';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.compensated_count IS 'tickets with store credit or a deposit';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.total_virtual_issued IS 'đồng issued as store credit, whatever became of it';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.total_refunded IS 'đồng paid to real balances';
