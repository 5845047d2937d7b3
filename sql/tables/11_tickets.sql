-- Tickets. Types and moves between statuses are rows, so that a rule is changed
-- by changing a row: they are written here once and are the shop's from then
-- on; no later c360_install() touches them.
CREATE TABLE c360.ticket_types (
    type             text PRIMARY KEY,
    label            text NOT NULL,
    counts_as_return boolean NOT NULL,
    compensation     text NOT NULL CHECK (compensation IN ('credit', 'deposit', 'exchange', 'none'))
);
COMMENT ON TABLE c360.ticket_types IS 'Kinds of tickets: whether one counts as a return, and what compensates it';
INSERT INTO c360.ticket_types (type, label, counts_as_return, compensation) VALUES
    ('BOOM', 'Không nhận hàng', true, 'credit'),
    ('DOI', 'Đổi hàng', false, 'exchange'),
    ('THIEU', 'Thiếu hàng', false, 'none'),
    ('HOAN', 'Trả hàng hoàn tiền', true, 'deposit'),
    ('FIX_COD', 'Sửa COD', false, 'none'),
    ('RETURN_CLIENT', 'Khách gửi trả', true, 'deposit'),
    ('RETURN_SHIPPER', 'Thu về', true, 'credit'),
    ('COMPLAINT', 'Khiếu nại', false, 'none'),
    ('WARRANTY', 'Bảo hành', false, 'none'),
    ('OTHER', 'Khác', false, 'none');

CREATE TABLE c360.ticket_moves (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
COMMENT ON TABLE c360.ticket_moves IS 'Moves of a ticket from one status to another that are allowed';
INSERT INTO c360.ticket_moves (from_status, to_status) VALUES
    ('new', 'processing'), ('new', 'waiting_carrier'), ('new', 'completed'), ('new', 'cancelled'),
    ('processing', 'waiting_carrier'), ('processing', 'completed'), ('processing', 'cancelled'),
    ('waiting_carrier', 'processing'), ('waiting_carrier', 'completed'), ('waiting_carrier', 'cancelled');

-- ticket_code is TV-YYYY-NNNNN, numbered by a sequence of each year
-- (ticket_numbers_YYYY), so that nobody waits for anybody and no number is
-- used twice. compensating is what the type said when the ticket was made: of
-- these an order has one that is neither cancelled nor deleted, but for those
-- that were allowed to be more (duplicate_allowed). escalated_deadline is the
-- deadline that raised the priority; NULL while it has yet to.
-- compensated_at: money was moved by transaction_id (credit_id is its lot).
CREATE TABLE c360.customer_tickets (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_code        text NOT NULL CONSTRAINT customer_tickets_ticket_code_key UNIQUE,
    customer_id        bigint NOT NULL REFERENCES c360.customers,
    type               text NOT NULL REFERENCES c360.ticket_types,
    status             text NOT NULL DEFAULT 'new'
                       CHECK (status IN ('new', 'processing', 'waiting_carrier', 'completed', 'cancelled')),
    priority           text NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    order_code         text,
    tracking_code      text,
    carrier            text,
    subject            text,
    description        text,
    products           jsonb,
    attachments        jsonb,
    original_cod       bigint,
    new_cod            bigint,
    refund_amount      bigint,
    reason             text,
    assignee           text,
    deadline           timestamptz,
    escalated_deadline timestamptz,
    compensating       boolean NOT NULL DEFAULT false,
    duplicate_allowed  boolean NOT NULL DEFAULT false,
    goods_received_at  timestamptz,
    compensation       text CHECK (compensation IN ('credit', 'deposit', 'exchange', 'none')),
    compensated_at     timestamptz,
    credit_id          bigint REFERENCES c360.virtual_credits,
    transaction_id     bigint REFERENCES c360.wallet_transactions,
    created_by         text NOT NULL DEFAULT session_user,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at       timestamptz,
    deleted_at         timestamptz,
    deleted_by         text,
    delete_reason      text
);
CREATE INDEX customer_tickets_customer_id_idx ON c360.customer_tickets (customer_id, id);
CREATE INDEX customer_tickets_order_code_idx ON c360.customer_tickets (order_code) WHERE order_code IS NOT NULL;
CREATE UNIQUE INDEX customer_tickets_order_key ON c360.customer_tickets (order_code)
    WHERE compensating AND order_code IS NOT NULL AND NOT duplicate_allowed
      AND status <> 'cancelled' AND deleted_at IS NULL;
CREATE INDEX customer_tickets_deadline_idx ON c360.customer_tickets (deadline)
    WHERE deadline IS NOT NULL AND escalated_deadline IS NULL
      AND status IN ('new', 'processing', 'waiting_carrier') AND deleted_at IS NULL;
CREATE INDEX customer_tickets_created_at_idx ON c360.customer_tickets (created_at, id);
-- The order of lists, of all and of one status: the expressions are those of
-- the view c360_ticket_list.
CREATE INDEX customer_tickets_list_idx ON c360.customer_tickets (
    (CASE priority WHEN 'urgent' THEN 1 WHEN 'high' THEN 2 WHEN 'normal' THEN 3 ELSE 4 END),
    coalesce(deadline, 'infinity'::timestamptz), id) WHERE deleted_at IS NULL;
CREATE INDEX customer_tickets_status_list_idx ON c360.customer_tickets (status,
    (CASE priority WHEN 'urgent' THEN 1 WHEN 'high' THEN 2 WHEN 'normal' THEN 3 ELSE 4 END),
    coalesce(deadline, 'infinity'::timestamptz), id) WHERE deleted_at IS NULL;
COMMENT ON TABLE c360.customer_tickets IS 'Tickets of staff; deleted ones stay, with deleted_at';

-- ticket_id has no foreign key: rows are written under the lock of the ticket,
-- which is never removed, and the check would lock the ticket once more.
CREATE TABLE c360.ticket_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id   bigint NOT NULL,
    action      text NOT NULL,
    from_status text,
    to_status   text,
    note        text,
    details     jsonb,
    done_by     text NOT NULL,
    done_at     timestamptz NOT NULL
);
CREATE INDEX ticket_history_ticket_id_idx ON c360.ticket_history (ticket_id, id);
COMMENT ON TABLE c360.ticket_history IS 'What was done to each ticket: what, from, to, by whom, when, note';
