-- Wallets, lots and the ledger.
--
-- The wallet row is what is locked: whoever holds it may touch its lots and
-- add to its ledger. It is narrow and no index stands on what changes, so
-- that each update stays on its page (HOT). It comes into being with the
-- wallet's first movement; until then every view shows zeros. The totals sum
-- the ledger by type: deposits, withdrawals (real and virtual part together),
-- credit issued, used by withdrawals, expired. last_at is the money clock of
-- the wallet's last ledger row.
CREATE TABLE c360.customer_wallets (
    customer_id           bigint PRIMARY KEY
                          CONSTRAINT customer_wallets_customer_id_fkey REFERENCES c360.customers,
    balance               bigint NOT NULL DEFAULT 0,
    virtual_balance       bigint NOT NULL DEFAULT 0,
    total_deposited       bigint NOT NULL DEFAULT 0,
    total_withdrawn       bigint NOT NULL DEFAULT 0,
    total_virtual_issued  bigint NOT NULL DEFAULT 0,
    total_virtual_used    bigint NOT NULL DEFAULT 0,
    total_virtual_expired bigint NOT NULL DEFAULT 0,
    frozen_at             timestamptz,
    last_at               timestamptz,
    CONSTRAINT customer_wallets_not_negative CHECK (balance >= 0 AND virtual_balance >= 0)
) WITH (fillfactor = 70);
COMMENT ON TABLE c360.customer_wallets IS 'Balances of a customer, whole đồng';

CREATE TABLE c360.virtual_credits (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id      bigint NOT NULL
                     CONSTRAINT virtual_credits_customer_id_fkey REFERENCES c360.customer_wallets,
    kind             text NOT NULL,
    source_id        text,
    original_amount  bigint NOT NULL,
    remaining_amount bigint NOT NULL,
    status           text NOT NULL,
    expires_at       timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    CONSTRAINT virtual_credits_sound CHECK (
        remaining_amount >= 0 AND remaining_amount <= original_amount
        AND CASE status WHEN 'ACTIVE' THEN remaining_amount > 0
                        WHEN 'USED' THEN remaining_amount = 0
                        WHEN 'EXPIRED' THEN remaining_amount = 0
                        WHEN 'CANCELLED' THEN remaining_amount = 0
                        ELSE false END)
) WITH (fillfactor = 80);
-- The order in which a wallet's lots are used; overdue ones come first.
CREATE INDEX virtual_credits_fifo_idx ON c360.virtual_credits (customer_id, expires_at, id)
    WHERE status = 'ACTIVE';
CREATE INDEX virtual_credits_expiry_idx ON c360.virtual_credits (expires_at) WHERE status = 'ACTIVE';
CREATE UNIQUE INDEX virtual_credits_source_key ON c360.virtual_credits (customer_id, kind, source_id)
    WHERE source_id IS NOT NULL AND status <> 'CANCELLED';
COMMENT ON TABLE c360.virtual_credits IS 'Lots of store credit, each with its own rest and expiry';

-- The ledger: rows are added, never changed (guard trigger ledger_guard).
-- It holds the customer's id and no phone, name or free text. created_at is
-- the money clock and never goes back within a wallet; ids of a wallet rise
-- with it. credit_id and credit_expires_at stand in rows that concern one lot
-- (issue, expiry, cancellation); lots used or restored are rows of
-- virtual_credit_uses. operation, idempotency_key and arguments_digest say
-- which call wrote the row. refunded_transaction_id is the withdrawal that a
-- refund gives back, or the refund whose part for a cancelled lot a
-- VIRTUAL_CANCEL takes again at once. activity_id is the row of customer_activities that
-- holds its note.
CREATE TABLE c360.wallet_transactions (
    id                      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id             bigint NOT NULL
                            CONSTRAINT wallet_transactions_customer_id_fkey REFERENCES c360.customer_wallets,
    type                    text NOT NULL,
    operation               text NOT NULL,
    amount                  bigint NOT NULL,
    real_change             bigint NOT NULL,
    virtual_change          bigint NOT NULL,
    balance_after           bigint NOT NULL,
    virtual_balance_after   bigint NOT NULL,
    source                  text,
    reference_type          text,
    reference_id            text,
    refunded_transaction_id bigint
                            CONSTRAINT wallet_transactions_refunded_transaction_id_fkey
                            REFERENCES c360.wallet_transactions,
    credit_id               bigint
                            CONSTRAINT wallet_transactions_credit_id_fkey REFERENCES c360.virtual_credits,
    credit_expires_at       timestamptz,
    idempotency_key         text,
    arguments_digest        bytea,
    actor                   text NOT NULL,
    session_user_name       text NOT NULL,
    created_at              timestamptz NOT NULL,
    occurred_at             timestamptz,
    activity_id             bigint NOT NULL,
    CONSTRAINT wallet_transactions_sound CHECK (
        balance_after >= 0 AND virtual_balance_after >= 0
        AND CASE type
            WHEN 'DEPOSIT' THEN real_change = amount AND virtual_change = 0
            WHEN 'WITHDRAW' THEN real_change <= 0 AND virtual_change <= 0
                                 AND real_change + virtual_change = - amount
            WHEN 'VIRTUAL_CREDIT' THEN real_change = 0 AND virtual_change = amount
            WHEN 'VIRTUAL_EXPIRE' THEN real_change = 0 AND virtual_change = - amount
            WHEN 'VIRTUAL_CANCEL' THEN real_change = 0 AND virtual_change = - amount
            WHEN 'REFUND' THEN real_change >= 0 AND virtual_change >= 0
                               AND real_change + virtual_change = amount
            WHEN 'ADJUSTMENT' THEN (real_change = amount OR real_change = - amount) AND virtual_change = 0
            ELSE false END)
);
-- The list of a wallet, and what its books said at a moment, by one probe.
CREATE INDEX wallet_transactions_customer_id_created_at_id_idx
    ON c360.wallet_transactions (customer_id, created_at, id);
CREATE UNIQUE INDEX wallet_transactions_idempotency_key_key
    ON c360.wallet_transactions (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX wallet_transactions_refunded_transaction_id_idx
    ON c360.wallet_transactions (refunded_transaction_id) WHERE refunded_transaction_id IS NOT NULL;
COMMENT ON TABLE c360.wallet_transactions IS 'The ledger: append-only, one row a movement, both balances after it';

-- What a withdrawal took from each lot, and what a refund gave back to it, in
-- that order, with the expiry the lot had then (a refund: has since).
CREATE TABLE c360.virtual_credit_uses (
    transaction_id bigint NOT NULL
                   CONSTRAINT virtual_credit_uses_transaction_id_fkey REFERENCES c360.wallet_transactions,
    position       integer NOT NULL,
    credit_id      bigint NOT NULL
                   CONSTRAINT virtual_credit_uses_credit_id_fkey REFERENCES c360.virtual_credits,
    amount         bigint NOT NULL,
    expires_at     timestamptz NOT NULL,
    CONSTRAINT virtual_credit_uses_pkey PRIMARY KEY (transaction_id, position),
    CONSTRAINT virtual_credit_uses_positive CHECK (amount > 0)
);
COMMENT ON TABLE c360.virtual_credit_uses IS 'Lots of each withdrawal and refund; append-only';
