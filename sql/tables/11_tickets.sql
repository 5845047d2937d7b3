-- Tickets. Types, moves between statuses and what an action does are rows, so
-- that a rule is changed by changing a row; rows of the code's own are made
-- whole by every c360_install().
CREATE TABLE c360.ticket_types (
    type             text PRIMARY KEY,
    label            text NOT NULL,
    counts_as_return boolean NOT NULL,
    compensation     text NOT NULL CHECK (compensation IN ('credit', 'deposit', 'exchange', 'none'))
);
COMMENT ON TABLE c360.ticket_types IS 'Kinds of tickets: whether one counts as a return, and what compensates it';

CREATE TABLE c360.ticket_moves (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
COMMENT ON TABLE c360.ticket_moves IS 'Moves of a ticket from one status to another that are allowed';

-- ticket_code is TV-YYYY-NNNNN, numbered by a sequence of each year
-- (ticket_numbers_YYYY), so that nobody waits for anybody and no number is
-- used twice. escalated_deadline is the deadline that raised the priority.
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
    duplicate_allowed  boolean NOT NULL DEFAULT false,
    compensation       text CHECK (compensation IN ('credit', 'deposit', 'none')),
    compensated_at     timestamptz,
    credit_id          bigint REFERENCES c360.virtual_credits,
    transaction_id     bigint REFERENCES c360.wallet_transactions,
    created_by         text NOT NULL,
    created_at         timestamptz NOT NULL,
    completed_at       timestamptz,
    deleted_at         timestamptz,
    deleted_by         text,
    delete_reason      text
);
CREATE INDEX customer_tickets_customer_id_idx ON c360.customer_tickets (customer_id, id);
CREATE INDEX customer_tickets_order_code_idx ON c360.customer_tickets (order_code) WHERE order_code IS NOT NULL;
CREATE INDEX customer_tickets_deadline_idx ON c360.customer_tickets (deadline)
    WHERE deadline IS NOT NULL AND status IN ('new', 'processing', 'waiting_carrier') AND deleted_at IS NULL;
CREATE INDEX customer_tickets_created_at_idx ON c360.customer_tickets (created_at, id);
COMMENT ON TABLE c360.customer_tickets IS 'Tickets of staff; deleted ones stay, with deleted_at';

CREATE TABLE c360.ticket_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id   bigint NOT NULL REFERENCES c360.customer_tickets,
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
