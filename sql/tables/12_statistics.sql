-- What statistics and lists by time go by.
CREATE INDEX customer_orders_ordered_at_idx ON c360.customer_orders (ordered_at);
CREATE INDEX customer_tickets_type_idx ON c360.customer_tickets (type) WHERE deleted_at IS NULL;
CREATE INDEX customer_tickets_completed_at_idx ON c360.customer_tickets (completed_at)
    WHERE completed_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX customer_tickets_due_idx ON c360.customer_tickets (deadline)
    WHERE deadline IS NOT NULL AND status IN ('new', 'processing', 'waiting_carrier') AND deleted_at IS NULL;
CREATE INDEX customer_tickets_compensated_idx ON c360.customer_tickets (id)
    WHERE (credit_id IS NOT NULL OR transaction_id IS NOT NULL) AND deleted_at IS NULL;
CREATE INDEX customer_activities_created_at_id_idx ON c360.customer_activities (created_at, id);
CREATE INDEX wallet_transactions_created_at_idx ON c360.wallet_transactions (created_at);
-- the expression is that of the view balance_statistics
CREATE INDEX balance_history_day_idx ON c360.balance_history
    (((transaction_date AT TIME ZONE 'Asia/Ho_Chi_Minh')::date), gateway);
