-- Bank transfers. balance_history has one row for each transfer that the bank
-- gateway told, with the raw payload; result, decision and the retry columns
-- are c360's own. A link is a row with a beginning and an end: one open link a
-- transfer, and one deposit a link, by the unique key on the ledger and not by
-- a flag.
CREATE TABLE c360.balance_history (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sepay_id          bigint NOT NULL CONSTRAINT balance_history_sepay_id_key UNIQUE,
    gateway           text NOT NULL,
    transaction_date  timestamptz NOT NULL,
    account_number    text NOT NULL,
    sub_account       text,
    code              text,
    content           text,
    transfer_type     text NOT NULL CHECK (transfer_type IN ('in', 'out')),
    transfer_amount   bigint NOT NULL CHECK (transfer_amount >= 0),
    accumulated       bigint,
    reference_code    text,
    description       text,
    raw_data          jsonb NOT NULL,
    received_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    result            text CHECK (result IN ('deposited', 'linked', 'pending', 'unmatched', 'unlinked',
                                             'skipped', 'stored', 'failed')),
    decision          jsonb,
    error             text,
    attempts          integer NOT NULL DEFAULT 0,
    next_attempt_at   timestamptz,
    decided_at        timestamptz
);
CREATE INDEX balance_history_transaction_date_idx ON c360.balance_history (transaction_date, id);
CREATE INDEX balance_history_undecided_idx ON c360.balance_history (next_attempt_at)
    WHERE result IS NULL OR result = 'failed';
COMMENT ON TABLE c360.balance_history IS 'Bank transfers as the gateway told them, and what became of each';

-- The same id told again with another amount or content: kept, not acted on.
CREATE TABLE c360.balance_history_differences (
    bank_transaction_id bigint NOT NULL REFERENCES c360.balance_history,
    raw_data            jsonb NOT NULL,
    received_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bank_transaction_id, received_at)
);
COMMENT ON TABLE c360.balance_history_differences IS 'Transfers told again with another amount or content';

CREATE TABLE c360.bank_links (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank_transaction_id bigint NOT NULL REFERENCES c360.balance_history,
    customer_id         bigint NOT NULL REFERENCES c360.customers,
    method              text NOT NULL CHECK (method IN ('qr_code', 'phone', 'part', 'resolved', 'manual')),
    linked_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    linked_by           text NOT NULL,
    unlinked_at         timestamptz,
    unlinked_by         text
);
CREATE UNIQUE INDEX bank_links_open_key ON c360.bank_links (bank_transaction_id) WHERE unlinked_at IS NULL;
CREATE INDEX bank_links_customer_id_idx ON c360.bank_links (customer_id);
COMMENT ON TABLE c360.bank_links IS 'Which customer a transfer belongs to, since when and until when';

ALTER TABLE c360.wallet_transactions ADD COLUMN bank_link_id bigint
    CONSTRAINT wallet_transactions_bank_link_id_fkey REFERENCES c360.bank_links;
CREATE UNIQUE INDEX wallet_transactions_bank_link_deposit_key
    ON c360.wallet_transactions (bank_link_id) WHERE bank_link_id IS NOT NULL AND type = 'DEPOSIT';

CREATE TABLE c360.balance_customer_info (
    code        text PRIMARY KEY CHECK (code ~ '^N2[0-9A-Z]{16}$'),
    customer_id bigint NOT NULL REFERENCES c360.customers,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by  text NOT NULL,
    retired_at  timestamptz
);
CREATE UNIQUE INDEX balance_customer_info_live_key ON c360.balance_customer_info (customer_id)
    WHERE retired_at IS NULL;
COMMENT ON TABLE c360.balance_customer_info IS 'QR codes that customers put into their transfers; one live code each';

-- candidates: what the content held and the customers it led to, as jsonb
-- array of {"kind", "value", "position", "confidence", "customers"}.
CREATE TABLE c360.pending_customer_matches (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank_transaction_id bigint NOT NULL REFERENCES c360.balance_history,
    status              text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'resolved', 'skipped')),
    candidates          jsonb NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_customer_id bigint REFERENCES c360.customers,
    resolved_at         timestamptz,
    resolved_by         text,
    reason              text
);
CREATE UNIQUE INDEX pending_customer_matches_open_key ON c360.pending_customer_matches (bank_transaction_id)
    WHERE status = 'pending';
COMMENT ON TABLE c360.pending_customer_matches IS 'Transfers that wait for staff to choose the customer';

CREATE TABLE c360.transfer_ignored (
    value    text PRIMARY KEY,
    reason   text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE c360.transfer_ignored IS 'Numbers that are never a customer: the shop''s own accounts and hotline';
