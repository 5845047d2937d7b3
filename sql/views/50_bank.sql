-- Bank transfers and who waits for a decision. An incoming transfer above 0 is
-- linked (to a customer, deposited or not), pending (staff is to choose) or
-- unlinked; others are none of these.

CREATE OR REPLACE VIEW @extschema@.balance_statistics AS
    SELECT (b.transaction_date AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS date, b.gateway,
           count(*) AS total_transactions,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'in'), 0) END AS total_in,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'out'), 0) END AS total_out,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               sum(CASE b.transfer_type WHEN 'in' THEN b.transfer_amount ELSE - b.transfer_amount END) END AS net_change,
           count(l.id) AS linked_count,
           count(*) FILTER (WHERE l.id IS NULL AND p.id IS NOT NULL) AS pending_count,
           count(*) FILTER (WHERE l.id IS NULL AND p.id IS NULL
                              AND b.transfer_type = 'in' AND b.transfer_amount > 0) AS unlinked_count
    FROM c360.balance_history b
    LEFT JOIN c360.bank_links l ON l.bank_transaction_id = b.id AND l.unlinked_at IS NULL
    LEFT JOIN c360.pending_customer_matches p ON p.bank_transaction_id = b.id AND p.status = 'pending'
    WHERE @extschema@.c360_version() IS NOT NULL
    GROUP BY 1, 2;
COMMENT ON VIEW @extschema@.balance_statistics IS
    'Bank transfers by shop day and gateway: sums, and how many are linked, pending, unlinked
Amounts in đồng; NULL for callers below agent. Days without any are left out.';
COMMENT ON COLUMN @extschema@.balance_statistics.date IS 'day of the shop (Asia/Ho_Chi_Minh) on which the bank booked it';
COMMENT ON COLUMN @extschema@.balance_statistics.linked_count IS 'transfers that belong to a customer';
COMMENT ON COLUMN @extschema@.balance_statistics.pending_count IS 'transfers for which staff is to choose the customer';
COMMENT ON COLUMN @extschema@.balance_statistics.unlinked_count IS 'other incoming transfers above 0';

CREATE OR REPLACE VIEW @extschema@.c360_bank_transaction_list AS
    SELECT b.id, b.sepay_id,
           CASE WHEN l.id IS NOT NULL THEN 'linked'
                WHEN p.id IS NOT NULL THEN 'pending'
                WHEN b.transfer_type = 'in' AND b.transfer_amount > 0 THEN 'unlinked' END AS link_status,
           l.customer_id, c.phone, c.name, l.method AS link_method, l.linked_at, l.linked_by,
           b.gateway, b.transaction_date, b.account_number, b.sub_account, b.code, b.content, b.transfer_type,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN b.transfer_amount END AS transfer_amount,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN b.accumulated END AS accumulated,
           b.reference_code, b.description, b.received_at, b.result, b.decision, b.error, b.attempts,
           b.next_attempt_at, b.decided_at
    FROM c360.balance_history b
    LEFT JOIN c360.bank_links l ON l.bank_transaction_id = b.id AND l.unlinked_at IS NULL
    LEFT JOIN c360.pending_customer_matches p ON p.bank_transaction_id = b.id AND p.status = 'pending'
    LEFT JOIN c360.customers c ON c.id = l.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_bank_transaction_list IS
    'Bank transfers with the customer they are linked to
Amounts in đồng. Order by id, or by transaction_date and id.';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.link_status IS 'linked, pending or unlinked; NULL for outgoing transfers and those of 0';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.customer_id IS 'whose it is by its open link';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.link_method IS 'how the customer was found: qr_code, phone, part, resolved or manual';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.accumulated IS 'balance of the account afterwards, as the bank told it, đồng';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.result IS 'what became of it; NULL = not decided yet';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.decision IS 'what the decision saw';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.error IS 'why it failed';

CREATE OR REPLACE VIEW @extschema@.c360_pending_match_list AS
    SELECT p.id, p.bank_transaction_id, p.status, p.candidates, p.created_at,
           p.resolved_customer_id, c.phone, c.name, p.resolved_at, p.resolved_by, p.reason,
           b.gateway, b.transaction_date, b.content,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN b.transfer_amount END AS transfer_amount
    FROM c360.pending_customer_matches p
    JOIN c360.balance_history b ON b.id = p.bank_transaction_id
    LEFT JOIN c360.customers c ON c.id = p.resolved_customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_pending_match_list IS
    'Transfers for which staff chooses the customer, with what the bank told
Open ones have the status pending.';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.candidates IS 'phones and customers that it could belong to';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.phone IS 'of the customer that was chosen';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.name IS 'of the customer that was chosen';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.transfer_amount IS 'đồng';
