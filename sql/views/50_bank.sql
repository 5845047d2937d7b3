-- Bank transfers and who waits for a decision. An incoming transfer above 0 is
-- linked (to a customer, deposited or not), pending (staff is to choose) or
-- unlinked; others are none of these.

-- Day by day, so that a filter on the date reads those days alone.
CREATE OR REPLACE VIEW @extschema@.balance_statistics AS
    SELECT d.day::date AS date, t.gateway, t.total_transactions,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.total_in END AS total_in,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.total_out END AS total_out,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN t.total_in - t.total_out END AS net_change,
           t.linked_count, t.pending_count, t.unlinked_count
    FROM generate_series(date_trunc('day', (SELECT min(f.transaction_date) FROM c360.balance_history f)
                                           AT TIME ZONE 'Asia/Ho_Chi_Minh'),
                         (SELECT max(f.transaction_date) FROM c360.balance_history f)
                             AT TIME ZONE 'Asia/Ho_Chi_Minh', interval '1 day') AS d (day)
    CROSS JOIN LATERAL (
        SELECT b.gateway, count(*) AS total_transactions,
               coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'in'), 0) AS total_in,
               coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'out'), 0) AS total_out,
               count(l.id) AS linked_count,
               count(*) FILTER (WHERE l.id IS NULL AND p.id IS NOT NULL) AS pending_count,
               count(*) FILTER (WHERE l.id IS NULL AND p.id IS NULL
                                  AND b.transfer_type = 'in' AND b.transfer_amount > 0) AS unlinked_count
        FROM c360.balance_history b
        LEFT JOIN c360.bank_links l ON l.bank_transaction_id = b.id AND l.unlinked_at IS NULL
        LEFT JOIN c360.pending_customer_matches p ON p.bank_transaction_id = b.id AND p.status = 'pending'
        WHERE b.transaction_date >= d.day AT TIME ZONE 'Asia/Ho_Chi_Minh'
          AND b.transaction_date < (d.day + interval '1 day') AT TIME ZONE 'Asia/Ho_Chi_Minh'
        GROUP BY b.gateway) t
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.balance_statistics IS
    'Bank transfers by shop day and gateway: sums, and how many are linked, pending, unlinked
Amounts in đồng; NULL for callers below agent. Days without any are left out.';
COMMENT ON COLUMN @extschema@.balance_statistics.date IS 'day of the shop (Asia/Ho_Chi_Minh) on which the bank booked it';
COMMENT ON COLUMN @extschema@.balance_statistics.linked_count IS 'transfers that belong to a customer';
COMMENT ON COLUMN @extschema@.balance_statistics.pending_count IS 'transfers for which staff is to choose the customer';
COMMENT ON COLUMN @extschema@.balance_statistics.unlinked_count IS 'other incoming transfers above 0';

CREATE OR REPLACE VIEW @extschema@.c360_bank_transaction_list AS
    SELECT b.id, b.sepay_id,
           CASE WHEN b.result IN ('deposited', 'linked') THEN 'linked'
                WHEN b.result = 'pending' THEN 'pending'
                WHEN b.transfer_type = 'in' AND b.transfer_amount > 0 THEN 'unlinked' END AS link_status,
           l.customer_id, c.phone, c.name, l.method AS link_method, l.linked_at, l.linked_by,
           b.gateway, b.transaction_date, b.account_number, b.sub_account, b.code, b.content, b.transfer_type,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN b.transfer_amount END AS transfer_amount,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN b.accumulated END AS accumulated,
           b.reference_code, b.description, b.received_at, b.result, b.decision, b.error, b.attempts,
           b.next_attempt_at, b.decided_at, b.given_up_at, p.id AS match_id,
           (SELECT t.id FROM c360.wallet_transactions t WHERE t.bank_link_id = l.id AND t.type = 'DEPOSIT') AS transaction_id,
           (SELECT jsonb_agg(jsonb_build_object('customer_id', o.customer_id, 'method', o.method, 'linked_at', o.linked_at,
                                 'linked_by', o.linked_by, 'unlinked_at', o.unlinked_at, 'unlinked_by', o.unlinked_by,
                                 'reason', o.reason) ORDER BY o.id)
            FROM c360.bank_links o WHERE o.bank_transaction_id = b.id AND o.unlinked_at IS NOT NULL) AS former_links
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
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.decision IS 'what the decision saw: kind, value, position, confidence and customers of each candidate; passed_over says why one was not looked up';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.next_attempt_at IS 'when the job process_bank takes it up; NULL = never';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.given_up_at IS 'failed five times; left to staff';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.match_id IS 'its open match';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.transaction_id IS 'the deposit of its open link';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.former_links IS 'links that ended, oldest first';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.error IS 'why it failed';

CREATE OR REPLACE VIEW @extschema@.c360_pending_match_list AS
    SELECT p.id, p.bank_transaction_id, p.status, p.candidates, p.created_at,
           p.resolved_customer_id, c.phone, c.name, p.resolved_at, p.resolved_by, p.reason,
           b.gateway, b.transaction_date, b.content,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN b.transfer_amount END AS transfer_amount,
           p.any_customer,
           (SELECT coalesce(jsonb_agg(jsonb_build_object('customer_id', k.id, 'phone', k.phone, 'name', k.name) ORDER BY k.id), '[]')
            FROM c360.customers k
            WHERE k.id IN (SELECT i.id::bigint FROM jsonb_array_elements(p.candidates) AS e (candidate),
                                  jsonb_array_elements_text(e.candidate -> 'customers') AS i (id))) AS customers
    FROM c360.pending_customer_matches p
    JOIN c360.balance_history b ON b.id = p.bank_transaction_id
    LEFT JOIN c360.customers c ON c.id = p.resolved_customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_pending_match_list IS
    'Transfers for which staff chooses the customer, with what the bank told
Open ones have the status pending.';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.candidates IS 'what the content holds, and the customers that it leads to: kind, value, position, confidence, customers';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.any_customer IS 'resolved to a customer who was not listed';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.customers IS 'customers that it could belong to: customer_id, phone, name';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.phone IS 'of the customer that was chosen';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.name IS 'of the customer that was chosen';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.transfer_amount IS 'đồng';

CREATE OR REPLACE VIEW @extschema@.c360_bank_match_statistics AS
    SELECT d.day::date AS date, m.method, m.transfers, m.total_amount, m.share
    FROM generate_series(date_trunc('day', (SELECT min(f.transaction_date) FROM c360.balance_history f)
                                           AT TIME ZONE 'Asia/Ho_Chi_Minh'),
                         (SELECT max(f.transaction_date) FROM c360.balance_history f)
                             AT TIME ZONE 'Asia/Ho_Chi_Minh', interval '1 day') AS d (day)
    CROSS JOIN LATERAL (
        SELECT coalesce(l.method, b.result, 'undecided') AS method, count(*) AS transfers,
               coalesce(sum(b.transfer_amount), 0) AS total_amount,
               round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share
        FROM c360.balance_history b
        LEFT JOIN c360.bank_links l ON l.bank_transaction_id = b.id AND l.unlinked_at IS NULL
        WHERE b.transfer_type = 'in' AND b.transfer_amount > 0
          AND b.transaction_date >= d.day AT TIME ZONE 'Asia/Ho_Chi_Minh'
          AND b.transaction_date < (d.day + interval '1 day') AT TIME ZONE 'Asia/Ho_Chi_Minh'
        GROUP BY 1) m
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_bank_match_statistics IS
    'Incoming transfers by shop day and by how their customer was found
Amounts in đồng. Filter by date.';
COMMENT ON COLUMN @extschema@.c360_bank_match_statistics.date IS 'day of the shop (Asia/Ho_Chi_Minh) on which the bank booked them';
COMMENT ON COLUMN @extschema@.c360_bank_match_statistics.method IS 'of linked ones qr_code, phone, part, resolved or manual; of others what became of them: pending, unmatched, skipped, unlinked, failed, undecided';
COMMENT ON COLUMN @extschema@.c360_bank_match_statistics.share IS 'percent of the incoming transfers of that day';

CREATE OR REPLACE VIEW @extschema@.c360_bank_problem_list AS
    SELECT b.id AS bank_transaction_id, b.sepay_id, b.gateway, b.account_number, b.transaction_date,
           x.problem, x.expected, x.found, x.detail
    FROM c360.balance_history b
    CROSS JOIN LATERAL (
        SELECT 'accumulated_gap' AS problem,
               before.accumulated + CASE b.transfer_type WHEN 'in' THEN b.transfer_amount ELSE - b.transfer_amount END AS expected,
               b.accumulated AS found, 'after transfer ' || before.sepay_id AS detail
        FROM (SELECT p.accumulated, p.sepay_id FROM c360.balance_history p
              WHERE p.account_number COLLATE "C" = b.account_number
                AND coalesce(p.sub_account, '') COLLATE "C" = coalesce(b.sub_account, '')
                AND (p.transaction_date, p.sepay_id) < (b.transaction_date, b.sepay_id)
              ORDER BY p.transaction_date DESC, p.sepay_id DESC LIMIT 1) AS before
        WHERE before.accumulated::numeric + CASE b.transfer_type WHEN 'in' THEN b.transfer_amount ELSE - b.transfer_amount END
              <> b.accumulated
        UNION ALL
        SELECT 'repeated_reference' AS problem, NULL::bigint AS expected, NULL::bigint AS found, b.reference_code AS detail
        WHERE EXISTS (SELECT FROM c360.balance_history r
                      WHERE r.reference_code COLLATE "C" = b.reference_code AND r.account_number = b.account_number AND r.id <> b.id)
        UNION ALL
        SELECT 'told_differently' AS problem, b.transfer_amount AS expected,
               CASE WHEN d.raw_data ->> 'transferAmount' ~ '^[0-9]{1,18}$' THEN (d.raw_data ->> 'transferAmount')::bigint END AS found,
               coalesce(d.raw_data ->> 'content', d.raw_data ->> 'transaction_content') AS detail
        FROM c360.balance_history_differences d WHERE d.bank_transaction_id = b.id
        UNION ALL
        SELECT 'given_up' AS problem, NULL::bigint AS expected, NULL::bigint AS found, b.error AS detail WHERE b.given_up_at IS NOT NULL) AS x
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_bank_problem_list IS
    'What is odd about transfers: money that passed by between two of them, references that come twice, ids told again differently, those given up
Filter by transaction_date: each transfer is held against the one before it in its account.';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.problem IS 'accumulated_gap, repeated_reference, told_differently or given_up';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.expected IS 'balance of the account after the one before it and this one, or the amount as first told; đồng';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.found IS 'balance or amount as the bank told it; đồng';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.detail IS 'the transfer before it, the reference, the content told later, or why it failed';

CREATE OR REPLACE VIEW @extschema@.c360_qr_code_list AS
    SELECT q.code, q.customer_id, c.phone, c.name, q.created_at, q.created_by, q.retired_at, q.retired_by,
           (SELECT count(*) FROM c360.bank_links l WHERE l.qr_code = q.code) AS uses,
           (SELECT max(l.linked_at) FROM c360.bank_links l WHERE l.qr_code = q.code) AS last_used_at
    FROM c360.balance_customer_info q JOIN c360.customers c ON c.id = q.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_qr_code_list IS
    'QR codes of customers and how many transfers they linked
Live ones have no retired_at.';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.uses IS 'links that were made by the code, ended ones included';

CREATE OR REPLACE VIEW @extschema@.c360_ignored_number_list AS
    SELECT i.value, i.reason, i.added_at, i.added_by FROM c360.transfer_ignored i
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_ignored_number_list IS
    'Numbers that are never a customer in the content of a transfer; changed by c360_ignore_number() and c360_unignore_number()';

COMMENT ON COLUMN @extschema@.c360_bank_match_statistics.transfers IS 'incoming transfers above 0';
COMMENT ON COLUMN @extschema@.c360_bank_match_statistics.total_amount IS 'sum of them, đồng; NULL for callers below agent';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.bank_transaction_id IS 'the transfer';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.sepay_id IS 'id that the gateway gave it';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.gateway IS 'bank or payment service that told of it';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.account_number IS 'account of the shop';
COMMENT ON COLUMN @extschema@.c360_bank_problem_list.transaction_date IS 'when the bank booked it';
COMMENT ON COLUMN @extschema@.c360_ignored_number_list.value IS 'number that is never a customer';
COMMENT ON COLUMN @extschema@.c360_ignored_number_list.reason IS 'what number it is';
COMMENT ON COLUMN @extschema@.c360_ignored_number_list.added_by IS 'who added it';
COMMENT ON COLUMN @extschema@.c360_ignored_number_list.added_at IS 'when it was added';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.code IS 'what the customer writes into a transfer';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.created_at IS 'when it was made';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.created_by IS 'who had it made';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.retired_at IS 'since when it leads to nobody';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.retired_by IS 'who retired it';
COMMENT ON COLUMN @extschema@.c360_qr_code_list.last_used_at IS 'when a transfer was last linked by it';
