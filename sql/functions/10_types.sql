-- Rows that functions answer. They exist before the tables do, and their
-- columns may bear the names of arguments.
CREATE TYPE @extschema@.c360_movement AS (
    transaction_id  bigint,
    type            text,
    amount          bigint,
    real_change     bigint,
    virtual_change  bigint,
    balance         bigint,
    virtual_balance bigint,
    available       bigint,
    lots            jsonb,
    replayed        boolean
);
COMMENT ON TYPE @extschema@.c360_movement IS 'One movement of money: signed changes, balances after it, lots in order of use; amounts in đồng';

CREATE TYPE @extschema@.c360_wallet_row AS (
    customer_id           bigint,
    phone                 text,
    balance               bigint,
    virtual_balance       bigint,
    available             bigint,
    frozen                boolean,
    total_deposited       bigint,
    total_withdrawn       bigint,
    total_virtual_issued  bigint,
    total_virtual_used    bigint,
    total_virtual_expired bigint,
    lots                  jsonb
);
COMMENT ON TYPE @extschema@.c360_wallet_row IS 'A wallet: balances, what is available now, totals since the beginning, ACTIVE lots; amounts in đồng';

CREATE TYPE @extschema@.c360_wallet_transaction_row AS (
    transaction_id          bigint,
    type                    text,
    amount                  bigint,
    real_change             bigint,
    virtual_change          bigint,
    balance                 bigint,
    virtual_balance         bigint,
    source                  text,
    reference_type          text,
    reference_id            text,
    refunded_transaction_id bigint,
    note                    text,
    lots                    jsonb,
    actor                   text,
    created_at              timestamptz,
    occurred_at             timestamptz
);
COMMENT ON TYPE @extschema@.c360_wallet_transaction_row IS 'A row of the ledger with both balances after it; amounts in đồng';

CREATE TYPE @extschema@.c360_customer_row AS (
    id             bigint,
    phone          text,
    name           text,
    email          text,
    address        text,
    carrier        text,
    status         text,
    tier           text,
    status_locked  boolean,
    tier_locked    boolean,
    tags           text[],
    aliases        text[],
    tpos_id        text,
    created_source text,
    internal_note  text,
    wallet_total   bigint,
    created_at     timestamptz,
    updated_at     timestamptz
);
COMMENT ON TYPE @extschema@.c360_customer_row IS 'A customer; wallet_total is real and virtual balance in đồng, NULL for callers below agent';

CREATE TYPE @extschema@.c360_activity_row AS (
    id             bigint,
    topic          text,
    event          text,
    reference_type text,
    reference_id   text,
    payload        jsonb,
    actor          text,
    created_at     timestamptz
);
COMMENT ON TYPE @extschema@.c360_activity_row IS 'A row of a customer''s timeline: what happened to what, details, who did it and when';

CREATE TYPE @extschema@.c360_bank_result AS (
    bank_transaction_id bigint,
    result              text,
    phone               text,
    customer_id         bigint,
    customer_created    boolean,
    transaction_id      bigint,
    amount              bigint
);
COMMENT ON TYPE @extschema@.c360_bank_result IS 'What became of a bank transfer: deposited, linked (without deposit), pending, unmatched, unlinked, skipped, stored, failed or duplicate';

COMMENT ON COLUMN @extschema@.c360_movement.amount IS 'positive; type says the direction';
COMMENT ON COLUMN @extschema@.c360_movement.real_change IS 'signed change of the real balance';
COMMENT ON COLUMN @extschema@.c360_movement.virtual_change IS 'signed change of the virtual balance';
COMMENT ON COLUMN @extschema@.c360_movement.available IS 'what could be withdrawn now';
COMMENT ON COLUMN @extschema@.c360_movement.lots IS 'array of credit_id, amount, expires_at, in order of use';
COMMENT ON COLUMN @extschema@.c360_movement.replayed IS 'true for the answer of an earlier call with the same idempotency key';
COMMENT ON COLUMN @extschema@.c360_wallet_row.balance IS 'real money, đồng';
COMMENT ON COLUMN @extschema@.c360_wallet_row.virtual_balance IS 'what remains of the ACTIVE lots, overdue ones not yet expired included';
COMMENT ON COLUMN @extschema@.c360_wallet_row.available IS 'what could be withdrawn now: real money and lots not yet overdue; without lots for a blacklisted customer; 0 when frozen';
COMMENT ON COLUMN @extschema@.c360_wallet_row.total_deposited IS 'sum of all deposits';
COMMENT ON COLUMN @extschema@.c360_wallet_row.total_withdrawn IS 'sum of all withdrawals, real and virtual part; refunds do not lower it';
COMMENT ON COLUMN @extschema@.c360_wallet_row.total_virtual_issued IS 'sum of all credit issued';
COMMENT ON COLUMN @extschema@.c360_wallet_row.total_virtual_used IS 'virtual part of all withdrawals; refunds do not lower it';
COMMENT ON COLUMN @extschema@.c360_wallet_row.total_virtual_expired IS 'sum of all credit that expired';
