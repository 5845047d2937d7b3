\echo Use "CREATE EXTENSION c360" to load this file. \quit

-- The script runs as whoever creates the extension, so nothing in it finds a
-- name by another's search_path: c360's own names are written with their
-- schema.
SET LOCAL search_path TO pg_catalog, pg_temp;

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

-- Pure functions: the only ones that everybody may call.

CREATE FUNCTION @extschema@.c360_version() RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_version';
COMMENT ON FUNCTION @extschema@.c360_version() IS
'Version of the code that runs.

Answer: text such as 0.1.0.';

CREATE FUNCTION @extschema@.c360_normalize_phone(raw text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_normalize_phone';
COMMENT ON FUNCTION @extschema@.c360_normalize_phone(text) IS
'Canonical form of a Vietnamese phone number in any spelling.

raw: text that holds one number, with +84, dots, blanks, full-width digits or an operator prefix of before 2018.
Answer: 0 and 9 or 10 more digits; NULL when raw holds no Vietnamese phone number.';

CREATE FUNCTION @extschema@.c360_phone_carrier(phone text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_carrier_of_phone';
COMMENT ON FUNCTION @extschema@.c360_phone_carrier(text) IS
'Carrier that a phone number was given out to.

phone: any spelling.
Answer: Viettel, Vinaphone, Mobifone, Vietnamobile, Gmobile, iTel, Wintel or landline; NULL for other prefixes and for what is no phone.';

CREATE FUNCTION @extschema@.c360_parse_transfer(content text, ignored text[] DEFAULT '{}')
RETURNS TABLE (kind text, value text, "position" integer, confidence real)
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_parse_transfer';
COMMENT ON FUNCTION @extschema@.c360_parse_transfer(text, text[]) IS
'All that could name the customer in the content of a bank transfer, the deciding candidate first.

content: as the bank sent it; NULL or blank gives no rows.
ignored: numbers that never count, in any spelling (the shop''s own accounts and hotline).
At most 1,000,000 bytes of content and 1,000 ignored numbers.
Answer: kind (qr_code, phone or part), value (upper case, normalized, as written), position (in characters, from 1), confidence (0 to 1).
Errors: 22001 too_long; 22023 too_many.';

CREATE FUNCTION @extschema@.c360_fold(raw text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_fold';
COMMENT ON FUNCTION @extschema@.c360_fold(text) IS
'Text as search compares it: lower case, without Vietnamese and other Latin accents, one blank between words and none around them.

raw: precomposed, with combining marks, full-width or plain.
Answer: the folded text; other scripts stay as they are.';

CREATE FUNCTION @extschema@.c360_vietqr_url(bank_bin text, account text, amount bigint, content text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_vietqr_url';
COMMENT ON FUNCTION @extschema@.c360_vietqr_url(text, text, bigint, text) IS
'Address of the image of a VietQR code that fills in a transfer.

bank_bin: the bank''s number, 6 digits. account: letters and digits. amount: đồng; NULL = the payer says. content: 255 characters, such as the code of c360_create_qr_code(); NULL = the payer says.
Answer: an address of img.vietqr.io.
Errors: 22004 missing_argument; 22023 not_allowed, invalid_amount, blank; 22001 too_long.';

-- What other functions of c360 are built of. Nobody else may call these.

CREATE FUNCTION @extschema@.c360_become_owner() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_become_owner';
COMMENT ON FUNCTION @extschema@.c360_become_owner() IS
'Internal: from here on a SECURITY DEFINER function acts as the owner of the tables.

Errors: 55000 tables not installed or older than the code.';

CREATE FUNCTION @extschema@.c360_write_activity(topic text, event text, customer_id bigint, reference_type text,
    reference_id text, payload jsonb) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_write_activity';
COMMENT ON FUNCTION @extschema@.c360_write_activity(text, text, bigint, text, text, jsonb) IS
'Internal: writes the activity row of a change, after the row locks of what changes and after c360_become_owner().

topic: wallets, tickets, customers or bank. event: as clients get it. customer_id: NULL = none. reference_type, reference_id: what changed; NULL = nothing but the customer. payload: an object; it gets the customer''s phone if it has none.
Answer: id of the activity.
Errors: 42501 outside a function of c360; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_current_actor() RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_current_actor';
COMMENT ON FUNCTION @extschema@.c360_current_actor() IS
'Internal: who does this.

Answer: the name in the JWT claims if an authenticator role logged in, else the login role.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_phone(phone text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_require_phone';
COMMENT ON FUNCTION @extschema@.c360_require_phone(text) IS
'Internal: canonical form of a phone argument.

Errors: 22004 NULL; 22023 invalid_phone.';

CREATE FUNCTION @extschema@.c360_require_text(name text, value text, longest integer, required boolean) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_require_text';
COMMENT ON FUNCTION @extschema@.c360_require_text(text, text, integer, boolean) IS
'Internal: refuses a text argument that is too long or, if it is required, missing or blank.

name: of the argument. value: what was given. longest: characters. required: whether it must be there.
Answer: the value.
Errors: 22004 missing_argument; 22023 blank; 22001 too_long.';

CREATE FUNCTION @extschema@.c360_require_one_of(name text, value text, allowed text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_one_of.value IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || c360_require_one_of.name;
    ELSIF c360_require_one_of.value <> ALL (c360_require_one_of.allowed) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: %s "%s"', c360_require_one_of.name, left(c360_require_one_of.value, 64)),
            HINT = 'Allowed are ' || array_to_string(c360_require_one_of.allowed, ', ') || '.';
    END IF;
    RETURN c360_require_one_of.value;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_one_of(text, text, text[]) IS
'Internal: refuses a word that is not one of those allowed.

name: of the argument. value: what was given. allowed: the words.
Answer: the value.
Errors: 22004 missing_argument; 22023 not_allowed.';

CREATE FUNCTION @extschema@.c360_require_customer(phone text) RETURNS bigint
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_require_customer';
COMMENT ON FUNCTION @extschema@.c360_require_customer(text) IS
'Internal: id of the customer with this phone.

Errors: 22004 NULL; 22023 invalid_phone; PT404 customer_not_found.';

CREATE FUNCTION @extschema@.c360_make_customer(phone text, name text, source text,
    OUT customer_id bigint, OUT customer_created boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_make_customer';
COMMENT ON FUNCTION @extschema@.c360_make_customer(text, text, text) IS
'Internal: the customer with this phone, created if there is none.

phone: any spelling. name: NULL = Khách hàng mới. source: what makes him, as customers.created_source has it.
Answer: id, and whether he was created.
Errors: 22004 missing_argument; 22023 invalid_phone; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_range(name text, value bigint, lowest bigint, highest bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_range.value IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || c360_require_range.name;
    ELSIF c360_require_range.value NOT BETWEEN c360_require_range.lowest AND c360_require_range.highest THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: %s is %s, allowed are %s to %s', c360_require_range.name,
                            c360_require_range.value, c360_require_range.lowest, c360_require_range.highest);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_range(text, bigint, bigint, bigint) IS
'Internal: refuses a number outside a range.

name: of the argument. value: what was given. lowest, highest: the range, both included.

Errors: 22004 NULL; 22023 out_of_range.';

CREATE FUNCTION @extschema@.c360_refuse_change() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'c360_refuse_change';
COMMENT ON FUNCTION @extschema@.c360_refuse_change() IS
'Internal: guard trigger of append-only tables.

Errors: 0A000 append_only.';

CREATE FUNCTION @extschema@.c360_settings_changed() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'c360_settings_changed';
COMMENT ON FUNCTION @extschema@.c360_settings_changed() IS
'Internal: tells every session to read c360.settings again.';

-- The tables. The build puts the steps of sql/tables/ between this file and
-- the next one; each runs once, in order, and older tables catch up. The views
-- of sql/views/ go into the next file.

CREATE FUNCTION @extschema@.c360_install() RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $c360_install$
#variable_conflict use_column
DECLARE
    installed integer := 0;
    foreign_object text;
    ours bigint;
    granted record;
    -- made below; one of another owner would run his code for all who read it
    view_names constant text[] := '{balance_statistics,c360_activity_list,c360_bank_match_statistics,c360_bank_problem_list,c360_bank_transaction_list,c360_credit_list,c360_customer_list,c360_fraud_flag_list,c360_fraud_rule_list,c360_fraud_shadow_report,c360_ignored_number_list,c360_job_status,c360_note_list,c360_pending_match_list,c360_qr_code_list,c360_rfm_config,c360_settings,c360_stat,c360_ticket_list,c360_wallet_transaction_list,customer_360_summary,customer_activity_summary,customer_statistics,customers_without_tpos,daily_wallet_summary,rfm_segment_distribution,rfm_segment_mapping,ticket_resolution_metrics,ticket_statistics,wallet_statistics}';   -- the build lists those of sql/views/ here
BEGIN
    -- two calls at once: the second waits and finds everything done
    PERFORM pg_advisory_xact_lock(hashtext('c360'), hashtext('c360_install'));
    SELECT format('schema c360 is owned by %s', nspowner::regrole) INTO foreign_object
    FROM pg_namespace WHERE nspname = 'c360' AND nspowner <> current_user::regrole;
    IF foreign_object IS NULL THEN
        SELECT format('%s is owned by %s', c.oid::regclass, c.relowner::regrole) INTO foreign_object
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE (n.nspname = 'c360' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
               OR n.oid = '@extschema@'::regnamespace AND c.relname = ANY (view_names))
          AND c.relowner <> current_user::regrole
        ORDER BY c.relname LIMIT 1;
    END IF;
    IF foreign_object IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'c360 tables belong to another role',
            DETAIL = 'other_owner: ' || foreign_object,
            HINT = 'Call c360_install() as that owner (SET ROLE), or let a superuser hand it over.';
    END IF;
    IF NOT (has_function_privilege('@extschema@.c360_refuse_change()', 'EXECUTE')
            AND has_function_privilege('@extschema@.c360_settings_changed()', 'EXECUTE')) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'missing privilege on the trigger functions',
            DETAIL = 'trigger_functions: whoever owns the tables makes the triggers on them',
            HINT = format('GRANT EXECUTE ON FUNCTION @extschema@.c360_install(), @extschema@.c360_refuse_change(), '
                          '@extschema@.c360_settings_changed(), @extschema@.c360_apply_level(regrole, text), '
                          '@extschema@.c360_grant(regrole, text), @extschema@.c360_revoke(regrole) TO %I;', current_user);
    END IF;
    IF to_regnamespace('c360') IS NULL THEN
        CREATE SCHEMA c360;
        COMMENT ON SCHEMA c360 IS 'Tables of c360; only its functions and views read and write them';
    END IF;
    IF to_regclass('c360.table_versions') IS NULL THEN
        CREATE TABLE c360.table_versions (
            version      integer PRIMARY KEY,
            step         text NOT NULL,
            installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            installed_by text NOT NULL DEFAULT current_user
        );
        COMMENT ON TABLE c360.table_versions IS 'Steps by which c360_install() made these tables';
    END IF;
    SELECT coalesce(max(version), 0) INTO installed FROM c360.table_versions;

    IF installed < 1 THEN
-- Business rules that can vary, one row each. What a row means (type, unit,
-- range, default, description) belongs to the code and is written anew by
-- every c360_install(); "value" is the shop's own and NULL means the default.
CREATE TABLE c360.settings (
    name          text PRIMARY KEY,
    value         text,
    type          text NOT NULL CHECK (type IN ('integer', 'boolean', 'list')),
    unit          text,
    minimum       bigint,
    maximum       bigint,
    default_value text NOT NULL,
    description   text NOT NULL,
    changed_by    text,
    changed_at    timestamptz
);
COMMENT ON TABLE c360.settings IS 'Business rules of the shop; change them with c360_set()';
    INSERT INTO c360.table_versions (version, step) VALUES (1, '01_settings');
    installed := 1;
    END IF;
    IF installed < 2 THEN
-- Customers and their timeline. phone is the canonical form that
-- c360_normalize_phone() gives, written by the functions: no CHECK or index
-- here calls a function of the extension, so that the tables restore and
-- live without it. An erased customer has no phone.
CREATE TABLE c360.customers (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phone          text CONSTRAINT customers_phone_key UNIQUE,
    name           text NOT NULL DEFAULT 'Khách hàng mới',
    email          text,
    address        text,
    carrier        text,
    status         text NOT NULL DEFAULT 'Bình thường'
                   CHECK (status IN ('Bình thường', 'Bom hàng', 'Cảnh báo', 'Nguy hiểm', 'VIP')),
    tier           text NOT NULL DEFAULT 'new'
                   CHECK (tier IN ('new', 'silver', 'gold', 'platinum', 'blacklist')),
    status_locked  boolean NOT NULL DEFAULT false,
    tier_locked    boolean NOT NULL DEFAULT false,
    tags           text[] NOT NULL DEFAULT '{}',
    aliases        text[] NOT NULL DEFAULT '{}',
    tpos_id        text,
    tpos_data      jsonb,
    created_source text NOT NULL DEFAULT 'manual'
                   CHECK (created_source IN ('ticket', 'bank_link', 'manual', 'import', 'tpos')),
    internal_note  text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE c360.customers IS 'One row a customer, keyed by canonical phone';

-- The timeline, the audit trail of changes and the outbox of events at once:
-- one row for each change, written after the lock of what changed, so that
-- ids of one wallet stand in the order in which it changed. xact is the
-- top-level transaction, as snapshots know only those.
CREATE TABLE c360.customer_activities (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xact              xid8 NOT NULL,
    topic             text NOT NULL,
    event             text NOT NULL,
    customer_id       bigint CONSTRAINT customer_activities_customer_id_fkey REFERENCES c360.customers,
    reference_type    text,
    reference_id      text,
    payload           jsonb NOT NULL,
    actor             text NOT NULL,
    session_user_name text NOT NULL,
    created_at        timestamptz NOT NULL
);
CREATE INDEX customer_activities_customer_id_id_idx ON c360.customer_activities (customer_id, id);
CREATE INDEX customer_activities_xact_idx ON c360.customer_activities (xact);
COMMENT ON TABLE c360.customer_activities IS 'Who changed what and when; also the source of events';
    INSERT INTO c360.table_versions (version, step) VALUES (2, '02_customers');
    installed := 2;
    END IF;
    IF installed < 3 THEN
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
    INSERT INTO c360.table_versions (version, step) VALUES (3, '03_wallets');
    installed := 3;
    END IF;
    IF installed < 4 THEN
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
    INSERT INTO c360.table_versions (version, step) VALUES (4, '04_bank');
    installed := 4;
    END IF;
    IF installed < 5 THEN
-- Live events. A row of customer_activities is an event; a tick is a snapshot
-- with a number, and the events between two ticks are the rows that the later
-- snapshot sees and the earlier one does not. Cursors name ticks.
--
-- The index by transaction serves events that were written long before they
-- were committed: few, found by transaction, in order of id.
CREATE INDEX customer_activities_xact_id_idx ON c360.customer_activities (xact, id);
DROP INDEX c360.customer_activities_xact_idx;

-- Transaction ids mean something only in the cluster and database that gave
-- them out, and after a promotion or a recovery to an earlier moment they are
-- given out again: then an epoch begins, and also when a dump was restored,
-- which shows in another oid of event_ticks. Ticks from first_tick on are of it.
CREATE TABLE c360.event_epochs (
    number            integer PRIMARY KEY,
    epoch             bigint NOT NULL UNIQUE,
    system_identifier bigint NOT NULL,
    database_id       oid NOT NULL,
    ticks_id          oid NOT NULL,
    timeline          bigint NOT NULL,
    first_tick        bigint NOT NULL,
    started_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE c360.event_epochs IS 'Histories of transaction ids in which cursors of events hold';

-- Rows of transactions later than the snapshot have ids above low_id, rows
-- that it sees have none above high_id.
CREATE TABLE c360.event_ticks (
    id         bigint PRIMARY KEY,
    snapshot   pg_snapshot NOT NULL,
    low_id     bigint NOT NULL,
    high_id    bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX event_ticks_created_at_idx ON c360.event_ticks (created_at);
COMMENT ON TABLE c360.event_ticks IS 'Snapshots up to which events were announced; kept event_retention days, thinned out with age';

-- Passes for pages that read events without a token of their own. The role
-- counts by its oid on the server that wrote the row (cluster is its system
-- identifier), so that nobody inherits a pass by taking a dropped role's name.
CREATE TABLE c360.event_streams (
    pass_hash   bytea PRIMARY KEY,
    role        text NOT NULL,
    role_id     oid NOT NULL,
    cluster     bigint NOT NULL,
    actor       text NOT NULL,
    level       text NOT NULL,
    channels    text[],
    opened_at   timestamptz NOT NULL,
    valid_until timestamptz NOT NULL
);
CREATE INDEX event_streams_valid_until_idx ON c360.event_streams (valid_until);
CREATE INDEX event_streams_role_id_idx ON c360.event_streams (role_id);
COMMENT ON TABLE c360.event_streams IS 'Stream passes, hashed; who opened them and for which channels';
    INSERT INTO c360.table_versions (version, step) VALUES (5, '05_events');
    installed := 5;
    END IF;
    IF installed < 6 THEN
-- Levels that were given. Roles belong to the server, not to the database: on
-- the server that wrote a row (cluster is its system identifier) the oid says
-- whose it is, so that a renamed role keeps its level and another one that
-- takes the name of a dropped role gets nothing by it. Elsewhere, after a
-- restore, the name counts, and c360_install() makes the row one of that server.
CREATE TABLE c360.granted_levels (
    role       text NOT NULL,
    level      text NOT NULL
               CHECK (level IN ('viewer', 'agent', 'accountant', 'admin', 'bank_feed', 'stream')),
    role_id    oid NOT NULL,
    cluster    bigint NOT NULL,
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL,
    PRIMARY KEY (cluster, role_id, level)
);
COMMENT ON TABLE c360.granted_levels IS 'Levels of roles; change them with c360_grant() and c360_revoke()';
    INSERT INTO c360.table_versions (version, step) VALUES (6, '06_levels');
    installed := 6;
    END IF;
    IF installed < 7 THEN
-- Jobs and their runs. What a job is (default_schedule, description) belongs
-- to the code and is written anew by every c360_install(); schedule, enabled
-- and pg_cron_role are the shop's own. "since" is when schedule or enabled
-- changed last: what would have been due before is not made up for.
-- pg_cron_role is the role that pg_cron runs it as, NULL = it is not
-- registered there.
CREATE TABLE c360.jobs (
    job              text PRIMARY KEY,
    default_schedule text NOT NULL,
    description      text NOT NULL,
    schedule         text,
    enabled          boolean NOT NULL DEFAULT true,
    since            timestamptz NOT NULL DEFAULT clock_timestamp(),
    pg_cron_role     text
);
COMMENT ON TABLE c360.jobs IS 'Jobs and their schedules in shop time; change them with c360_set_job()';

-- A run is written and committed before its first batch, so that one that
-- died leaves a trace: the next run ends it with the error "interrupted".
-- rows grows with each batch. error NULL and ended_at not: it went well.
CREATE TABLE c360.job_runs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job        text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    rows       bigint NOT NULL DEFAULT 0,
    error      text,
    sqlstate   text,
    started_by text NOT NULL,
    CONSTRAINT job_runs_sound CHECK (rows >= 0 AND (error IS NULL OR ended_at IS NOT NULL))
);
CREATE INDEX job_runs_job_id_idx ON c360.job_runs (job, id);
CREATE INDEX job_runs_job_ended_idx ON c360.job_runs (job, id) WHERE ended_at IS NOT NULL AND error IS NULL;
CREATE INDEX job_runs_open_idx ON c360.job_runs (job) WHERE ended_at IS NULL;
COMMENT ON TABLE c360.job_runs IS 'Runs of jobs: start, end, rows, error';

-- Settings that are one of several words.
ALTER TABLE c360.settings ADD COLUMN choices text[];
ALTER TABLE c360.settings DROP CONSTRAINT settings_type_check;
ALTER TABLE c360.settings ADD CONSTRAINT settings_type_check
    CHECK (type IN ('integer', 'boolean', 'list', 'choice'));
    INSERT INTO c360.table_versions (version, step) VALUES (7, '07_jobs');
    installed := 7;
    END IF;
    IF installed < 8 THEN
-- Errors that left a c360 function. Their transactions were rolled back; the
-- job runner writes the rows, and removes them after audit_retention_days.
CREATE TABLE c360.audit_logs (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                timestamptz NOT NULL,
    function          text NOT NULL,
    sqlstate          text NOT NULL,
    message           text NOT NULL,
    detail            text,
    actor             text NOT NULL,
    session_user_name text NOT NULL,
    times             integer NOT NULL DEFAULT 1
);
CREATE INDEX audit_logs_at_idx ON c360.audit_logs (at);
COMMENT ON COLUMN c360.audit_logs.times IS 'how often the same came until the row was written';
COMMENT ON TABLE c360.audit_logs IS 'Errors that left c360 functions, written by the job runner';
    INSERT INTO c360.table_versions (version, step) VALUES (8, '08_audit');
    installed := 8;
    END IF;
    IF installed < 9 THEN
-- The staff side of customers: former numbers, notes, statistics of orders,
-- and what search looks into. Folded columns hold text without accents in
-- lower case, as c360_fold() writes it; functions write them with the names.
ALTER TABLE c360.customers
    ADD COLUMN name_folded    text NOT NULL DEFAULT '',
    ADD COLUMN email_folded   text,
    ADD COLUMN address_folded text,
    ADD COLUMN tpos_fields    text[] NOT NULL DEFAULT '{}',
    ADD COLUMN erased_at      timestamptz;
COMMENT ON COLUMN c360.customers.tpos_fields IS 'fields last set by point of sale, which it may set again';
UPDATE c360.customers SET name_folded = @extschema@.c360_fold(name),
    email_folded = @extschema@.c360_fold(email), address_folded = @extschema@.c360_fold(address);
CREATE INDEX customers_phone_prefix_idx ON c360.customers (phone text_pattern_ops);
CREATE INDEX customers_phone_suffix_idx ON c360.customers (reverse(phone) text_pattern_ops);
CREATE INDEX customers_name_folded_idx ON c360.customers (name_folded text_pattern_ops, id);
CREATE INDEX customers_email_folded_idx ON c360.customers (email_folded text_pattern_ops);
CREATE INDEX customers_created_at_id_idx ON c360.customers (created_at, id);
CREATE INDEX customers_tier_id_idx ON c360.customers (tier, id);
CREATE INDEX customers_status_id_idx ON c360.customers (status, id);
CREATE INDEX customers_without_tpos_idx ON c360.customers (id) WHERE tpos_data IS NULL AND erased_at IS NULL;

CREATE TABLE c360.customer_phones (
    phone       text NOT NULL,
    customer_id bigint NOT NULL REFERENCES c360.customers,
    until       timestamptz NOT NULL,
    reason      text NOT NULL,
    changed_by  text NOT NULL,
    PRIMARY KEY (phone, customer_id, until)
);
CREATE INDEX customer_phones_phone_idx ON c360.customer_phones (phone text_pattern_ops);
CREATE INDEX customer_phones_customer_id_idx ON c360.customer_phones (customer_id);
COMMENT ON TABLE c360.customer_phones IS 'Former phone numbers; search finds customers by them, bank transfers do not';

CREATE TABLE c360.customer_notes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES c360.customers,
    content     text NOT NULL,
    category    text NOT NULL CHECK (category IN ('general', 'warning', 'important', 'follow_up')),
    pinned      boolean NOT NULL,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL
);
CREATE INDEX customer_notes_order_idx ON c360.customer_notes (customer_id, pinned DESC, id DESC);
COMMENT ON TABLE c360.customer_notes IS 'Notes of staff on a customer; pinned first, newest first';
    INSERT INTO c360.table_versions (version, step) VALUES (9, '09_customers');
    installed := 9;
    END IF;
    IF installed < 10 THEN
-- Orders live in the point-of-sale system; these rows mirror what scoring
-- needs. customer_order_totals has one row a customer, counted anew from his
-- orders and tickets whenever one of them changes, under the lock of that
-- row, so that it equals them whatever the order of updates. decided and
-- decided_returned make the return rate: distinct orders delivered or
-- returned, or with a completed ticket of a returning type.
CREATE TABLE c360.customer_orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES c360.customers,
    order_code  text NOT NULL CONSTRAINT customer_orders_order_code_key UNIQUE,
    amount      bigint NOT NULL CHECK (amount >= 0),
    status      text NOT NULL CHECK (status IN ('pending', 'delivered', 'returned', 'cancelled')),
    ordered_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    xact        xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX customer_orders_customer_id_ordered_at_idx ON c360.customer_orders (customer_id, ordered_at);
COMMENT ON TABLE c360.customer_orders IS 'Orders of the point-of-sale system, one row an order code';
COMMENT ON COLUMN c360.customer_orders.xact IS 'transaction of the last change';

CREATE TABLE c360.customer_order_totals (
    customer_id      bigint PRIMARY KEY REFERENCES c360.customers,
    total            integer NOT NULL DEFAULT 0,
    delivered        integer NOT NULL DEFAULT 0,
    returned         integer NOT NULL DEFAULT 0,
    spent            bigint NOT NULL DEFAULT 0,
    first_order_at   timestamptz,
    last_order_at    timestamptz,
    decided          integer NOT NULL DEFAULT 0,
    decided_returned integer NOT NULL DEFAULT 0,
    label            text
) WITH (fillfactor = 80);
COMMENT ON TABLE c360.customer_order_totals IS 'Orders of each customer, counted from their rows';
COMMENT ON COLUMN c360.customer_order_totals.total IS 'orders that are not cancelled';
COMMENT ON COLUMN c360.customer_order_totals.label IS 'status that the return rate asks for; NULL = too few orders to say';
COMMENT ON COLUMN c360.customer_order_totals.spent IS 'đồng, of orders neither cancelled nor returned';

-- Since when a customer is on the blacklist; an order dated before is recorded.
ALTER TABLE c360.customers ADD COLUMN blacklisted_at timestamptz;
COMMENT ON COLUMN c360.customers.blacklisted_at IS 'since when he is on the blacklist; NULL while he is not';
UPDATE c360.customers SET blacklisted_at = updated_at WHERE tier = 'blacklist';
    INSERT INTO c360.table_versions (version, step) VALUES (10, '10_orders');
    installed := 10;
    END IF;
    IF installed < 11 THEN
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
    INSERT INTO c360.table_versions (version, step) VALUES (11, '11_tickets');
    installed := 11;
    END IF;
    IF installed < 12 THEN
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
    INSERT INTO c360.table_versions (version, step) VALUES (12, '12_statistics');
    installed := 12;
    END IF;
    IF installed < 13 THEN
-- Transfers that staff and jobs work on.
--
-- A transfer that is not decided yet, or that failed, has next_attempt_at;
-- given_up_at says when it was tried for the last time. A link keeps the code
-- that led to it, so that uses of codes can be counted, and why it ended.
ALTER TABLE c360.balance_history ADD COLUMN given_up_at timestamptz;
COMMENT ON COLUMN c360.balance_history.given_up_at IS 'tried five times and left to staff since';
DROP INDEX c360.balance_history_undecided_idx;
CREATE INDEX balance_history_due_idx ON c360.balance_history (next_attempt_at NULLS FIRST, id)
    WHERE (result IS NULL OR result = 'failed') AND given_up_at IS NULL;
-- what an account held before and after a transfer, in the order of the bank
CREATE INDEX balance_history_account_idx ON c360.balance_history (account_number, transaction_date, sepay_id);
CREATE INDEX balance_history_reference_idx ON c360.balance_history (reference_code, account_number)
    WHERE reference_code IS NOT NULL;

ALTER TABLE c360.bank_links ADD COLUMN qr_code text, ADD COLUMN reason text;
COMMENT ON COLUMN c360.bank_links.qr_code IS 'the code by which the customer was found';
COMMENT ON COLUMN c360.bank_links.reason IS 'why the link ended';
CREATE INDEX bank_links_qr_code_idx ON c360.bank_links (qr_code) WHERE qr_code IS NOT NULL;
CREATE INDEX bank_links_ended_idx ON c360.bank_links (bank_transaction_id, id) WHERE unlinked_at IS NOT NULL;

-- a link's deposit is taken back once
CREATE UNIQUE INDEX wallet_transactions_bank_link_unlink_key
    ON c360.wallet_transactions (bank_link_id) WHERE bank_link_id IS NOT NULL AND type = 'ADJUSTMENT';

ALTER TABLE c360.pending_customer_matches ADD COLUMN any_customer boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN c360.pending_customer_matches.any_customer IS 'resolved to a customer whom the content did not lead to';
CREATE INDEX pending_customer_matches_transaction_idx ON c360.pending_customer_matches (bank_transaction_id, id);
CREATE INDEX pending_customer_matches_status_idx ON c360.pending_customer_matches (status, id);

ALTER TABLE c360.transfer_ignored ADD COLUMN added_by text;
ALTER TABLE c360.balance_customer_info ADD COLUMN retired_by text;

-- Settings that are a fraction, and those that are a hash and are not shown.
ALTER TABLE c360.settings DROP CONSTRAINT settings_type_check;
ALTER TABLE c360.settings ADD CONSTRAINT settings_type_check
    CHECK (type IN ('integer', 'boolean', 'list', 'choice', 'number', 'hash'));
    INSERT INTO c360.table_versions (version, step) VALUES (13, '13_bank');
    installed := 13;
    END IF;
    IF installed < 14 THEN
-- Who works on what changed since it looked last: all that the snapshot sees
-- was had. Snapshots hold in the history (server, database, table, timeline)
-- that gave out their transaction ids; in another one nothing was had. state
-- is the consumer's own.
CREATE TABLE c360.consumers (
    name     text PRIMARY KEY,
    history  text,
    snapshot pg_snapshot,
    state    jsonb NOT NULL DEFAULT '{}',
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE c360.consumers IS 'Jobs that work on what changed, and the snapshot up to which each has seen it';

-- Changed orders are found by the transaction of their last change.
CREATE INDEX customer_orders_xact_idx ON c360.customer_orders (xact);
    INSERT INTO c360.table_versions (version, step) VALUES (14, '14_changes');
    installed := 14;
    END IF;
    IF installed < 15 THEN
-- Scores by recency, frequency and money. What is scored by stands in rows:
-- the lowest value of each score (for recency the smallest number of days), so
-- that there can be neither gap nor overlap, and the segment of each of the
-- 125 triples. c360_install() fills them; the rows are the shop's.
CREATE TABLE c360.rfm_config (
    metric      text NOT NULL CHECK (metric IN ('recency', 'frequency', 'monetary')),
    score       smallint NOT NULL CHECK (score BETWEEN 1 AND 5),
    min_value   bigint NOT NULL CHECK (min_value >= 0),
    description text NOT NULL,
    changed_by  text,
    changed_at  timestamptz,
    PRIMARY KEY (metric, score)
);
COMMENT ON TABLE c360.rfm_config IS 'Lowest value of each score; change it with c360_update_rfm_threshold()';
COMMENT ON COLUMN c360.rfm_config.min_value IS 'recency: days since the last order; frequency: orders of the window; monetary: đồng';

CREATE TABLE c360.rfm_segments (
    r       smallint NOT NULL CHECK (r BETWEEN 1 AND 5),
    f       smallint NOT NULL CHECK (f BETWEEN 1 AND 5),
    m       smallint NOT NULL CHECK (m BETWEEN 1 AND 5),
    segment text NOT NULL CHECK (segment ~ '^[A-Za-z][A-Za-z_]{0,49}$'),
    PRIMARY KEY (r, f, m)
);
COMMENT ON TABLE c360.rfm_segments IS 'Segment of each triple of scores';

CREATE TABLE c360.rfm_recommendations (
    segment           text NOT NULL,
    position          integer NOT NULL,
    recommendation    text NOT NULL,
    recommendation_vi text NOT NULL,
    PRIMARY KEY (segment, position)
);
COMMENT ON TABLE c360.rfm_recommendations IS 'What to do with customers of a segment, in English and Vietnamese';

-- One row for each customer with an order that counts. Narrow, and without a
-- foreign key: rows are written only for customers that are there, and those
-- are never removed. next_on is the first day on which time alone may change
-- the row, his tier included; "infinity" = never.
CREATE TABLE c360.customer_rfm (
    customer_id bigint PRIMARY KEY,
    monetary    bigint NOT NULL,
    frequency   integer NOT NULL,
    last_on     date NOT NULL,
    next_on     date NOT NULL,
    r           smallint NOT NULL,
    f           smallint NOT NULL,
    m           smallint NOT NULL,
    segment     text NOT NULL
);
CREATE INDEX customer_rfm_next_on_idx ON c360.customer_rfm (next_on);
CREATE INDEX customer_rfm_segment_idx ON c360.customer_rfm (segment, customer_id);
COMMENT ON TABLE c360.customer_rfm IS 'Scores of customers as of their last refresh';
COMMENT ON COLUMN c360.customer_rfm.last_on IS 'shop day of the last order';

CREATE TABLE c360.rfm_history (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id  bigint NOT NULL,
    day          date NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_segment text,
    to_segment   text,
    from_tier    text NOT NULL,
    to_tier      text NOT NULL
);
CREATE INDEX rfm_history_customer_id_idx ON c360.rfm_history (customer_id, id);
CREATE INDEX rfm_history_day_idx ON c360.rfm_history (day);
COMMENT ON TABLE c360.rfm_history IS 'When scoring changed a customer''s segment or tier; a NULL segment is no score';
COMMENT ON COLUMN c360.rfm_history.day IS 'shop day that was scored for';

-- Customers to be looked at by the next batch of a refresh, whatever changed.
-- No key but id: whoever adds a row waits for nobody.
CREATE TABLE c360.rfm_queue (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL
);
COMMENT ON TABLE c360.rfm_queue IS 'Customers that a refresh has yet to look at';

-- How many customers each segment has: the sum of its rows. Whoever moves
-- customers adds rows of how many more or fewer, and waits for nobody; each run
-- begins by adding them up.
CREATE TABLE c360.rfm_counts (
    segment   text NOT NULL,
    customers bigint NOT NULL
);
COMMENT ON TABLE c360.rfm_counts IS 'Customers of each segment; sum the rows';

-- All that scoring asks of an order, so that it need not visit the table.
CREATE INDEX customer_orders_scoring_idx ON c360.customer_orders (customer_id, ordered_at) INCLUDE (amount, status);
DROP INDEX c360.customer_orders_customer_id_ordered_at_idx;
    INSERT INTO c360.table_versions (version, step) VALUES (15, '15_rfm');
    installed := 15;
    END IF;
    IF installed < 16 THEN
-- Fraud: rules, findings, and who is not to be reported for a while.
--
-- Rules are rows: written here once and the shop's from then on; change them
-- with c360_set_fraud_rule(), which checks them.
CREATE TABLE c360.fraud_rules (
    rule        text PRIMARY KEY,
    mode        text NOT NULL DEFAULT 'on' CHECK (mode IN ('off', 'shadow', 'on')),
    severity    text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    action      text NOT NULL CHECK (action IN ('blacklist', 'suspicious', 'self_dealing')),
    parameters  jsonb NOT NULL CHECK (jsonb_typeof(parameters) = 'object'),
    description text NOT NULL,
    changed_by  text,
    changed_at  timestamptz
);
COMMENT ON TABLE c360.fraud_rules IS 'Fraud rules: mode, severity, action, parameters; change them with c360_set_fraud_rule()';
INSERT INTO c360.fraud_rules (rule, severity, action, parameters, description) VALUES
    ('high_return_rate', 'high', 'blacklist', '{"min_orders": 3, "days": 7, "percent": 50}',
     'of at least min_orders decided orders of the last days shop days, more than percent % returned'),
    ('wallet_abuse', 'medium', 'suspicious', '{"more_than": 5, "amount": 5000000, "minutes": 60}',
     'more than more_than deposits or withdrawals above amount đồng each within minutes minutes'),
    ('self_dealing', 'medium', 'self_dealing', '{"times": 3, "days": 7, "minutes": 60, "percent": 80}',
     'at least times times within days days, a deposit that is no bank transfer followed within minutes minutes by a withdrawal of percent % or more of it');

-- A finding of a rule. counted holds the ids that count in no other finding:
-- ledger rows, all up to the highest, or returned orders. While a flag is open
-- further findings of the rule are added to it (times). acted_at: the tier was
-- set to blacklist then, from previous_tier, by this flag.
CREATE TABLE c360.fraud_flags (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id   bigint NOT NULL REFERENCES c360.customers,
    rule          text NOT NULL REFERENCES c360.fraud_rules,
    mode          text NOT NULL CHECK (mode IN ('shadow', 'on')),
    severity      text NOT NULL,
    action        text NOT NULL,
    evidence      jsonb NOT NULL,
    counted       bigint[] NOT NULL,
    times         integer NOT NULL DEFAULT 1,
    found_at      timestamptz NOT NULL,
    last_found_at timestamptz NOT NULL,
    previous_tier text,
    acted_at      timestamptz,
    activity_id   bigint,
    status        text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'confirmed', 'dismissed')),
    reviewed_by   text,
    reviewed_at   timestamptz,
    note          text,
    CONSTRAINT fraud_flags_reviewed CHECK ((status = 'open') = (reviewed_at IS NULL)),
    CONSTRAINT fraud_flags_acted CHECK ((acted_at IS NULL) = (previous_tier IS NULL))
);
CREATE UNIQUE INDEX fraud_flags_open_key ON c360.fraud_flags (customer_id, rule, mode) WHERE status = 'open';
CREATE INDEX fraud_flags_customer_id_idx ON c360.fraud_flags (customer_id, rule);
CREATE INDEX fraud_flags_status_id_idx ON c360.fraud_flags (status, id);
COMMENT ON TABLE c360.fraud_flags IS 'What fraud rules found, with the evidence, and what staff decided';

-- The newest row of a customer and rule holds.
CREATE TABLE c360.fraud_snoozes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES c360.customers,
    rule        text NOT NULL REFERENCES c360.fraud_rules,
    until       timestamptz NOT NULL,
    note        text,
    snoozed_by  text NOT NULL,
    snoozed_at  timestamptz NOT NULL
);
CREATE INDEX fraud_snoozes_customer_id_idx ON c360.fraud_snoozes (customer_id, rule, id);
COMMENT ON TABLE c360.fraud_snoozes IS 'Rules that are silent for a customer until a moment, and who said so';

-- Customers whose ledger a scan looks at again although nothing in it is new:
-- a snooze ended, or somebody held their row when a finding was to be written.
CREATE TABLE c360.fraud_rechecks (
    customer_id bigint NOT NULL REFERENCES c360.customers,
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (customer_id, due_at)
);
COMMENT ON TABLE c360.fraud_rechecks IS 'Customers that a fraud scan looks at again, and from when on';
    INSERT INTO c360.table_versions (version, step) VALUES (16, '16_fraud');
    installed := 16;
    END IF;
    IF installed < 17 THEN
-- Published, a table without an identity would refuse DELETE, on the shop's own
-- server. Its rows are few and may be equal; any of the equal ones will do.
ALTER TABLE c360.rfm_counts REPLICA IDENTITY FULL;
    INSERT INTO c360.table_versions (version, step) VALUES (17, '17_replication');
    installed := 17;
    END IF;
    IF installed < 18 THEN
-- What lists of transfers go by.
--
-- Staff's desk is short beside all transfers ever told: the conditions are
-- those of link_status in the view c360_bank_transaction_list.
CREATE INDEX balance_history_unlinked_idx ON c360.balance_history (id)
    WHERE (CASE WHEN result IN ('deposited', 'linked') THEN 'linked' WHEN result = 'pending' THEN 'pending'
                WHEN transfer_type = 'in' AND transfer_amount > 0 THEN 'unlinked' END) = 'unlinked';
CREATE INDEX balance_history_pending_idx ON c360.balance_history (id)
    WHERE (CASE WHEN result IN ('deposited', 'linked') THEN 'linked' WHEN result = 'pending' THEN 'pending'
                WHEN transfer_type = 'in' AND transfer_amount > 0 THEN 'unlinked' END) = 'pending';

-- The transfer before another in its account. Without the sub-account in it
-- the index was passed over for one by date alone, and each transfer of a day
-- was held against all before it.
DROP INDEX c360.balance_history_account_idx;
CREATE INDEX balance_history_account_idx ON c360.balance_history
    (account_number, (coalesce(sub_account, '')), transaction_date, sepay_id);

-- How many are on the desk; without it a list by date walked through all.
CREATE STATISTICS c360.balance_history_link_status ON
    (CASE WHEN result IN ('deposited', 'linked') THEN 'linked' WHEN result = 'pending' THEN 'pending'
          WHEN transfer_type = 'in' AND transfer_amount > 0 THEN 'unlinked' END)
    FROM c360.balance_history;
    INSERT INTO c360.table_versions (version, step) VALUES (18, '18_bank');
    installed := 18;
    END IF;
    -- Whatever the version: what hangs on the code is made whole.
    INSERT INTO c360.settings (name, type, unit, minimum, maximum, choices, default_value, description) VALUES
        ('audit_retention_days', 'integer', 'days', 1, 3650, NULL, '90',
         'how long errors are kept in c360.audit_logs'),
        ('authenticator_roles', 'list', 'roles', NULL, NULL, NULL, 'authenticator',
         'login roles whose request.jwt.claims are believed to name the actor'),
        ('create_customer_from_transfer', 'boolean', NULL, NULL, NULL, NULL, 'true',
         'a transfer with one whole, unknown phone creates the customer'),
        ('credit_expiry_days', 'integer', 'days', 1, 3650, NULL, '15',
         'life of a credit issued without expires_at'),
        ('event_retention', 'integer', 'days', 1, 3650, NULL, '7',
         'how long cursors of events hold'),
        ('job_run_retention_days', 'integer', 'days', 1, 3650, NULL, '30',
         'how long runs of jobs are kept'),
        ('jobs_by', 'choice', NULL, NULL, NULL, '{worker,pg_cron,none}', 'worker',
         'who runs the jobs: worker (of c360), pg_cron (or another scheduler) or none'),
        ('max_amount', 'integer', 'đồng', 0, 9223372036854775807, NULL, '1000000000',
         'largest amount of one movement by hand; 0 = no limit'),
        ('notify_payload', 'choice', NULL, NULL, NULL, '{full,ids}', 'full',
         'what notifications tell: full, or ids (event, id, cursor and customer id only)'),
        ('part_match_max_chance', 'number', NULL, 0, 1, NULL, '0.1',
         'largest chance of a hit by accident at which a marked part of a phone links a transfer; a hundredth of it for other parts'),
        ('refund_grace_days', 'integer', 'days', 0, 3650, NULL, '7',
         'least life of a lot that a refund gives back'),
        ('return_label_min_orders', 'integer', 'orders', 1, 1000, NULL, '3',
         'from how many decided orders on the return rate sets a customer''s status'),
        ('rfm_frequency_window', 'integer', 'days', 1, 3650, NULL, '90',
         'orders of how many shop days, today included, count for frequency'),
        ('sepay_api_key_hash', 'hash', NULL, NULL, NULL, NULL, '',
         'SHA-256 of the key that the bank''s webhook must show, 64 hexadecimal digits; empty = nobody may call it'),
        ('stream_pass_hours', 'integer', 'hours', 1, 168, NULL, '8',
         'how long a pass of c360_open_stream() holds')
    ON CONFLICT (name) DO UPDATE SET type = excluded.type, unit = excluded.unit,
        minimum = excluded.minimum, maximum = excluded.maximum, choices = excluded.choices,
        default_value = excluded.default_value, description = excluded.description;
    INSERT INTO c360.jobs (job, default_schedule, description) VALUES
        ('carrier_deadlines', '0 */6 * * *', 'raises the priority of open tickets whose carrier deadline is less than 24 hours away'),
        ('expire_credits', '0 * * * *', 'expires lots past their time; the worker does so at each lot''s own expiry, too'),
        ('process_bank', '*/5 * * * *', 'decides bank transfers that failed or were stored without a decision'),
        ('refresh_rfm', '30 2 * * *', 'scores customers whose orders changed or whose score changes with the day, and sets their tiers'),
        ('scan_fraud', '0 2 * * *', 'looks for fraud in orders and ledger; findings become flags, and flags act')
    ON CONFLICT (job) DO UPDATE SET default_schedule = excluded.default_schedule,
        description = excluded.description;

    -- What customers are scored by; rows that are there are the shop's.
    INSERT INTO c360.rfm_config (metric, score, min_value, description) VALUES
        ('recency', 5, 0, 'ordered a few days ago'),
        ('recency', 4, 8, 'ordered recently'),
        ('recency', 3, 15, 'ordered some weeks ago'),
        ('recency', 2, 31, 'has not ordered for a while'),
        ('recency', 1, 61, 'has not ordered for a long time'),
        ('frequency', 5, 11, 'orders very often'),
        ('frequency', 4, 6, 'orders often'),
        ('frequency', 3, 3, 'orders regularly'),
        ('frequency', 2, 2, 'ordered twice'),
        ('frequency', 1, 0, 'hardly orders'),
        ('monetary', 5, 10000001, 'spends most'),
        ('monetary', 4, 5000000, 'spends much'),
        ('monetary', 3, 2000000, 'spends a fair amount'),
        ('monetary', 2, 500000, 'spends little'),
        ('monetary', 1, 0, 'has spent next to nothing')
    ON CONFLICT DO NOTHING;
    INSERT INTO c360.rfm_segments (r, f, m, segment)
    SELECT r, f, m, CASE
               WHEN r >= 4 AND f >= 4 AND m >= 4 THEN 'Champion'
               WHEN r <= 2 AND f >= 4 AND m >= 4 THEN 'Cant_Lose'
               WHEN r <= 2 AND f >= 3 AND m >= 3 THEN 'At_Risk'
               WHEN r >= 3 AND f >= 4 THEN 'Loyal'
               WHEN r >= 4 AND f >= 2 AND m >= 2 THEN 'Potential_Loyalist'
               WHEN r >= 4 AND f = 1 THEN 'New_Customer'
               WHEN r >= 4 THEN 'Promising'
               WHEN r = 3 AND f >= 3 THEN 'Need_Attention'
               WHEN r = 3 THEN 'About_To_Sleep'
               WHEN r = 1 AND f = 1 AND m <= 2 THEN 'Lost'
               WHEN r <= 2 AND f <= 2 THEN 'Hibernating'
               ELSE 'Other' END
    FROM generate_series(1, 5) AS r, generate_series(1, 5) AS f, generate_series(1, 5) AS m
    ON CONFLICT DO NOTHING;
    INSERT INTO c360.rfm_recommendations (segment, position, recommendation, recommendation_vi)
    SELECT * FROM (VALUES
        ('Champion', 1, 'Thank in person and offer new products first', 'Cảm ơn riêng và giới thiệu hàng mới trước tiên'),
        ('Champion', 2, 'Ask for reviews and referrals', 'Mời đánh giá và giới thiệu bạn bè'),
        ('Loyal', 1, 'Offer products of a higher class', 'Giới thiệu sản phẩm cao cấp hơn'),
        ('Loyal', 2, 'Reward loyalty with shipping or gifts', 'Tri ân bằng miễn phí giao hàng hoặc quà tặng'),
        ('Potential_Loyalist', 1, 'Recommend what goes with past orders', 'Gợi ý sản phẩm đi kèm đơn đã mua'),
        ('Potential_Loyalist', 2, 'Invite into the loyalty programme', 'Mời tham gia chương trình khách hàng thân thiết'),
        ('New_Customer', 1, 'Welcome, and make sure that the first order went well', 'Chào mừng và hỏi thăm đơn hàng đầu tiên'),
        ('New_Customer', 2, 'Offer a voucher for the second order', 'Tặng mã giảm giá cho đơn thứ hai'),
        ('Promising', 1, 'Show the best sellers', 'Giới thiệu sản phẩm bán chạy'),
        ('Promising', 2, 'Offer bundles with a small discount', 'Ưu đãi nhẹ khi mua theo bộ'),
        ('Need_Attention', 1, 'Make an offer that ends soon', 'Gửi ưu đãi có thời hạn'),
        ('Need_Attention', 2, 'Ask what is missing', 'Hỏi thăm nhu cầu còn thiếu'),
        ('About_To_Sleep', 1, 'Remind of what was looked at and of new products', 'Nhắc sản phẩm quan tâm và hàng mới về'),
        ('About_To_Sleep', 2, 'Offer free shipping for the next order', 'Miễn phí giao hàng cho đơn kế tiếp'),
        ('At_Risk', 1, 'Call, and find out why orders stopped', 'Gọi điện hỏi lý do ngừng mua'),
        ('At_Risk', 2, 'Offer a credit that ends within two weeks', 'Tặng tín dụng dùng trong hai tuần'),
        ('Cant_Lose', 1, 'Let the manager call at once', 'Quản lý gọi điện ngay'),
        ('Cant_Lose', 2, 'Settle open complaints generously', 'Giải quyết khiếu nại còn tồn một cách rộng rãi'),
        ('Hibernating', 1, 'Send a seasonal offer', 'Gửi ưu đãi theo mùa'),
        ('Hibernating', 2, 'Recommend inexpensive products', 'Gợi ý sản phẩm giá mềm'),
        ('Lost', 1, 'Try one last offer, then stop', 'Thử một ưu đãi cuối, sau đó dừng'),
        ('Lost', 2, 'Leave out of paid campaigns', 'Không đưa vào chiến dịch trả phí'),
        ('Other', 1, 'Look at the orders before deciding', 'Xem lại các đơn hàng trước khi quyết định'),
        ('Other', 2, 'Send the ordinary newsletter', 'Gửi bản tin thông thường')) AS n
    WHERE NOT EXISTS (SELECT FROM c360.rfm_recommendations)
    ON CONFLICT DO NOTHING;

    -- What search needs: trigrams of pg_trgm, in whatever schema that is. A short
    -- pending list, so that no search has much to read and no writer much to clear.
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        BEGIN
            EXECUTE format('CREATE EXTENSION pg_trgm SCHEMA %I',
                           CASE WHEN to_regnamespace('public') IS NULL THEN '@extschema@' ELSE 'public' END);
        EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
            RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_trgm is missing',
                DETAIL = 'pg_trgm_missing: ' || SQLERRM,
                HINT = format('Let a superuser, or whoever may create in this database, run CREATE EXTENSION pg_trgm; '
                              'it is in the contrib package of the server.');
        END;
    END IF;
    IF to_regclass('c360.customers_search_idx') IS NULL THEN
        EXECUTE (SELECT format('CREATE INDEX customers_search_idx ON c360.customers USING gin '
                               '(name_folded %1$s, email_folded %1$s, address_folded %1$s, phone %1$s) '
                               'WITH (gin_pending_list_limit = 256)',
                               quote_ident(n.nspname) || '.gin_trgm_ops')
                 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
    END IF;
    IF to_regclass('c360.customer_phones_search_idx') IS NULL THEN
        EXECUTE (SELECT format('CREATE INDEX customer_phones_search_idx ON c360.customer_phones USING gin (phone %s)',
                               quote_ident(n.nspname) || '.gin_trgm_ops')
                 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
    END IF;

    -- ENABLE ALWAYS: the replica role, which logical replication uses, skips ordinary triggers.
    CREATE OR REPLACE TRIGGER settings_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.settings
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed();
    ALTER TABLE c360.settings ENABLE ALWAYS TRIGGER settings_changed;
    CREATE OR REPLACE TRIGGER rfm_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.rfm_config
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed();
    ALTER TABLE c360.rfm_config ENABLE ALWAYS TRIGGER rfm_config_changed;
    CREATE OR REPLACE TRIGGER rfm_segments_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.rfm_segments
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed();
    ALTER TABLE c360.rfm_segments ENABLE ALWAYS TRIGGER rfm_segments_changed;
    CREATE OR REPLACE TRIGGER jobs_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.jobs
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed();
    ALTER TABLE c360.jobs ENABLE ALWAYS TRIGGER jobs_changed;
    CREATE OR REPLACE TRIGGER ignored_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.transfer_ignored
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed();
    ALTER TABLE c360.transfer_ignored ENABLE ALWAYS TRIGGER ignored_changed;
    CREATE OR REPLACE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON c360.wallet_transactions
        FOR EACH ROW EXECUTE FUNCTION @extschema@.c360_refuse_change();
    CREATE OR REPLACE TRIGGER ledger_truncate_guard BEFORE TRUNCATE ON c360.wallet_transactions
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_refuse_change();
    CREATE OR REPLACE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON c360.virtual_credit_uses
        FOR EACH ROW EXECUTE FUNCTION @extschema@.c360_refuse_change();
    CREATE OR REPLACE TRIGGER ledger_truncate_guard BEFORE TRUNCATE ON c360.virtual_credit_uses
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_refuse_change();
    ALTER TABLE c360.wallet_transactions ENABLE ALWAYS TRIGGER ledger_guard;
    ALTER TABLE c360.wallet_transactions ENABLE ALWAYS TRIGGER ledger_truncate_guard;
    ALTER TABLE c360.virtual_credit_uses ENABLE ALWAYS TRIGGER ledger_guard;
    ALTER TABLE c360.virtual_credit_uses ENABLE ALWAYS TRIGGER ledger_truncate_guard;

-- Settings, jobs and workers.

CREATE OR REPLACE VIEW @extschema@.c360_settings AS
    SELECT name, CASE WHEN type = 'hash' THEN CASE WHEN coalesce(value, default_value) = '' THEN '' ELSE '(set)' END
                      ELSE coalesce(value, default_value) END AS value, type, unit,
           default_value AS "default", description
    FROM c360.settings
    WHERE @extschema@.c360_version() IS NOT NULL;   -- goes with the extension
COMMENT ON VIEW @extschema@.c360_settings IS
    'Business rules of the shop and their values; changed by c360_set()
Of hashes it only says whether they are set.';

CREATE OR REPLACE VIEW @extschema@.c360_job_status AS
    SELECT job, schedule, enabled, last_start, last_end, rows, error, failures, next_run
    FROM @extschema@.c360_job_plan()
    WHERE NOT EXISTS (SELECT FROM c360.jobs WHERE false);           -- goes with the tables, too
COMMENT ON VIEW @extschema@.c360_job_status IS
    'Jobs with their last run, failures since the last success, and next run; changed by c360_set_job()';

CREATE OR REPLACE VIEW @extschema@.c360_stat AS
    SELECT ticks, notifications, lag, backlog, ring_overflow, last_error
    FROM @extschema@.c360_statistics()
    WHERE NOT EXISTS (SELECT FROM c360.event_ticks WHERE false);    -- goes with the tables, too
COMMENT ON VIEW @extschema@.c360_stat IS
    'The workers of this database since the server started: ticks, notifications, time from commit to notification at the last tick, events not yet announced (10,000 at most are counted), errors lost to a full ring, last failure of a worker';
-- Lists of customers, notes and activities. Erased customers are left out.
--
-- Joins to c.id + 0 are those to c.id, but not in the order of the ids: a merge
-- of both would begin at the first wallet for a page in the middle.

CREATE OR REPLACE VIEW @extschema@.c360_customer_list AS
    SELECT c.id, c.phone, c.name, c.email, c.address, c.carrier, c.status, c.tier, c.status_locked, c.tier_locked,
           c.tags, c.aliases, c.tpos_id, c.created_source, c.internal_note,
           CASE WHEN (SELECT @extschema@.c360_level()) <> 'viewer'
                THEN coalesce(w.balance + w.virtual_balance, 0) END AS wallet_total,
           c.created_at, c.updated_at,
           ARRAY(SELECT DISTINCT f.action FROM c360.fraud_flags f
                 WHERE f.customer_id = c.id AND f.mode = 'on' AND f.status <> 'dismissed' ORDER BY 1) AS flags
    FROM c360.customers c LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id + 0
    WHERE c.erased_at IS NULL;
COMMENT ON VIEW @extschema@.c360_customer_list IS
    'All customers; sorted by id or created_at, also within a tier or a status, pages cost the same at any depth. wallet_total (đồng) is NULL for callers below agent; flags: what fraud rules say of him (blacklist, suspicious, self_dealing) as long as it is not dismissed';

CREATE OR REPLACE VIEW @extschema@.c360_note_list AS
    SELECT n.id, n.customer_id, c.phone, c.name, n.content, n.category, n.pinned, n.created_by, n.created_at
    FROM c360.customer_notes n JOIN c360.customers c ON c.id = n.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL AND c.erased_at IS NULL;
COMMENT ON VIEW @extschema@.c360_note_list IS
    'Notes of staff on customers; order=pinned.desc,id.desc shows those of one customer as they should be read';

-- The columns are masked, too: a function of a caller in his WHERE may see rows before they are left out.
-- (A security barrier would do the same, but keep LIMIT from finding the order of the index.)
CREATE OR REPLACE VIEW @extschema@.c360_activity_list AS
    SELECT a.id, a.customer_id, c.phone, c.name,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.topic END AS topic,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.event END AS event,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.reference_type END AS reference_type,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.reference_id END AS reference_id,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN a.payload
                WHEN a.topic NOT IN ('wallets', 'bank') THEN a.payload - 'amount' END AS payload,
           CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                THEN a.actor END AS actor,
           a.created_at
    FROM c360.customer_activities a LEFT JOIN c360.customers c ON c.id = a.customer_id
    WHERE a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false);
COMMENT ON VIEW @extschema@.c360_activity_list IS
    'The timeline of all customers: who changed what and when; what concerns wallets and bank, and the amounts of orders, are left out for callers below agent';

CREATE OR REPLACE VIEW @extschema@.customers_without_tpos AS
    SELECT c.id, c.phone, c.name, c.created_at FROM c360.customers c
    WHERE c.tpos_data IS NULL AND c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customers_without_tpos IS
    'Customers whose record of the point-of-sale system has not been fetched yet, by c360_upsert_tpos_customer()';
-- Customers, but for erased ones, with what the staff wants to see beside them. What takes a look
-- into another table for each customer is a subquery in the SELECT list: it
-- costs nothing where its column is not asked for, and PostgREST's pages are
-- cut before it runs (LIMIT 1 where there is at most one tells the planner so).
-- A filter on id or phone, or order by id, goes by index. (c.id + 0: see 20_customers.sql)

CREATE OR REPLACE VIEW @extschema@.customer_360_summary AS
    SELECT c.id, c.phone, c.name, c.email, c.status, c.tier, c.tags,
           coalesce(o.total, 0) AS total_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(o.spent, 0) END AS total_spent,
           round(100.0 * o.decided_returned / nullif(o.decided, 0), 2) AS return_rate,
           s.segment AS rfm_segment,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.balance, 0) END AS wallet_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.virtual_balance, 0) END
               AS wallet_virtual_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money())
                THEN coalesce(w.balance::numeric + w.virtual_balance, 0) END AS wallet_total,
           (SELECT count(*) FROM c360.customer_tickets t
            WHERE t.customer_id = c.id AND t.status IN ('new', 'processing', 'waiting_carrier')
              AND t.deleted_at IS NULL) AS pending_tickets,
           o.last_order_at,
           (SELECT a.created_at FROM c360.customer_activities a
            WHERE a.customer_id = c.id
              AND (a.topic NOT IN ('wallets', 'bank') OR (SELECT @extschema@.c360_sees_money()))
            ORDER BY a.id DESC LIMIT 1) AS last_interaction_at,
           c.created_at
    FROM c360.customers c
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = c.id + 0
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id + 0
    LEFT JOIN c360.customer_rfm s ON s.customer_id = c.id + 0
    WHERE c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customer_360_summary IS
    'One row a customer: who he is, his orders, wallet, open tickets and last interaction
Amounts in đồng; NULL for callers below agent. A customer without orders or movements of money shows zeros.';
COMMENT ON COLUMN @extschema@.customer_360_summary.total_orders IS 'orders that are not cancelled';
COMMENT ON COLUMN @extschema@.customer_360_summary.total_spent IS 'đồng, of orders neither cancelled nor returned';
COMMENT ON COLUMN @extschema@.customer_360_summary.return_rate IS 'percent of his decided orders that were returned; NULL without any';
COMMENT ON COLUMN @extschema@.customer_360_summary.rfm_segment IS 'of the last refresh; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_360_summary.wallet_balance IS 'real money, đồng';
COMMENT ON COLUMN @extschema@.customer_360_summary.wallet_virtual_balance IS 'đồng left of ACTIVE credits, overdue ones not yet expired included';
COMMENT ON COLUMN @extschema@.customer_360_summary.wallet_total IS 'wallet_balance and wallet_virtual_balance together';
COMMENT ON COLUMN @extschema@.customer_360_summary.pending_tickets IS 'tickets neither completed nor cancelled';
COMMENT ON COLUMN @extschema@.customer_360_summary.last_interaction_at IS 'last row of his timeline that the caller may see';

CREATE OR REPLACE VIEW @extschema@.customer_activity_summary AS
    SELECT c.id AS customer_id, c.name, c.phone, c.tier,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.balance, 0) END AS wallet_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(w.virtual_balance, 0) END AS virtual_balance,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT coalesce(sum(v.remaining_amount), 0) FROM c360.virtual_credits v
                WHERE v.customer_id = c.id AND v.status = 'ACTIVE' AND v.expires_at > statement_timestamp())
               END AS active_credits,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT count(*) FROM c360.virtual_credits v
                WHERE v.customer_id = c.id AND v.status = 'ACTIVE' AND v.expires_at > statement_timestamp())
               END AS active_credits_count,
           (SELECT count(*) FROM c360.customer_tickets t
            WHERE t.customer_id = c.id AND t.status IN ('new', 'processing', 'waiting_carrier')
              AND t.deleted_at IS NULL) AS open_tickets,
           (SELECT count(*) FROM c360.customer_tickets t
            WHERE t.customer_id = c.id AND t.deleted_at IS NULL) AS total_tickets,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT coalesce(sum(d.amount), 0) FROM c360.bank_links l
                CROSS JOIN LATERAL (SELECT t.amount FROM c360.wallet_transactions t
                                    WHERE t.bank_link_id = l.id AND t.type = 'DEPOSIT' LIMIT 1) d
                WHERE l.customer_id = c.id) END AS total_bank_deposits,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN
               (SELECT count(*) FROM c360.bank_links l
                CROSS JOIN LATERAL (SELECT t.amount FROM c360.wallet_transactions t
                                    WHERE t.bank_link_id = l.id AND t.type = 'DEPOSIT' LIMIT 1) d
                WHERE l.customer_id = c.id) END AS bank_deposit_count,
           s.r, s.f, s.m, s.segment AS rfm_segment,
           o.last_order_at,
           coalesce(o.total, 0) AS total_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN coalesce(o.spent, 0) END AS total_spent,
           round(100.0 * o.decided_returned / nullif(o.decided, 0), 2) AS return_rate,
           CASE WHEN o.last_order_at IS NOT NULL THEN
               greatest((statement_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
                        - (o.last_order_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, 0) END AS days_since_last_order
    FROM c360.customers c
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = c.id + 0
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id + 0
    LEFT JOIN c360.customer_rfm s ON s.customer_id = c.id + 0
    WHERE c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customer_activity_summary IS
    'One row a customer: wallet, credits, tickets, bank deposits, orders and scores side by side
Amounts in đồng; they and what counts wallet rows are NULL for callers below agent.';
COMMENT ON COLUMN @extschema@.customer_activity_summary.virtual_balance IS 'đồng left of ACTIVE credits, overdue ones not yet expired included';
COMMENT ON COLUMN @extschema@.customer_activity_summary.active_credits IS 'đồng left of ACTIVE credits that are not overdue';
COMMENT ON COLUMN @extschema@.customer_activity_summary.active_credits_count IS 'ACTIVE credits that are not overdue';
COMMENT ON COLUMN @extschema@.customer_activity_summary.open_tickets IS 'tickets neither completed nor cancelled';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_bank_deposits IS 'đồng, all deposits of bank transfers; what an unlink took back is not subtracted';
COMMENT ON COLUMN @extschema@.customer_activity_summary.r IS 'recency score, 1 to 5; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_activity_summary.f IS 'frequency score, 1 to 5; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_activity_summary.m IS 'monetary score, 1 to 5; NULL without a score';
COMMENT ON COLUMN @extschema@.customer_activity_summary.return_rate IS 'percent of his decided orders that were returned; NULL without any';
COMMENT ON COLUMN @extschema@.customer_activity_summary.days_since_last_order IS 'in shop days (Asia/Ho_Chi_Minh); NULL without orders';

-- Each count is one walk over its own part of an index; what is left of all is
-- of the commonest kind, since to count all is less work than to count one.
-- OFFSET 0 keeps the planner from counting each time that a count is used.
CREATE OR REPLACE VIEW @extschema@.customer_statistics AS
    SELECT n.total AS total_customers,
           (SELECT count(*) FROM c360.customer_order_totals o
            WHERE o.last_order_at >= (((statement_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - 89)::timestamp
                                      AT TIME ZONE 'Asia/Ho_Chi_Minh')) AS active_customers,
           (SELECT jsonb_object_agg(s.status, s.customers)
                   || jsonb_build_object('Bình thường', n.total - sum(s.customers))
            FROM (SELECT k.status, (SELECT count(*) FROM c360.customers c WHERE c.status = k.status) AS customers
                  FROM unnest('{Bom hàng,Cảnh báo,Nguy hiểm,VIP}'::text[]) AS k (status) OFFSET 0) s) AS by_status,
           (SELECT jsonb_object_agg(t.tier, t.customers) || jsonb_build_object('new', n.total - sum(t.customers))
            FROM (SELECT k.tier, (SELECT count(*) FROM c360.customers c WHERE c.tier = k.tier) AS customers
                  FROM unnest('{silver,gold,platinum,blacklist}'::text[]) AS k (tier) OFFSET 0) t) AS by_tier
    FROM (SELECT count(*) AS total FROM c360.customers OFFSET 0) n
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.customer_statistics IS
    'One row: customers, how many of them are active, and counts by status and by tier
Erased customers are counted, too.';
COMMENT ON COLUMN @extschema@.customer_statistics.active_customers IS 'with an order of the last 90 shop days (Asia/Ho_Chi_Minh), today included';
COMMENT ON COLUMN @extschema@.customer_statistics.by_status IS '{status: customers}, all five of them';
COMMENT ON COLUMN @extschema@.customer_statistics.by_tier IS '{tier: customers}, all five of them';
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
-- Fraud: rules, flags, and what a rule in shadow mode would have done.

CREATE OR REPLACE VIEW @extschema@.c360_fraud_rule_list AS
    SELECT r.rule, r.mode, r.severity, r.action, r.parameters, r.description, r.changed_by, r.changed_at,
           count(f.id) FILTER (WHERE f.mode = 'on' AND f.status = 'open') AS open,
           count(f.id) FILTER (WHERE f.mode = 'on' AND f.status = 'confirmed') AS confirmed,
           count(f.id) FILTER (WHERE f.mode = 'on' AND f.status = 'dismissed') AS dismissed,
           count(f.id) FILTER (WHERE f.mode = 'shadow') AS shadow
    FROM c360.fraud_rules r LEFT JOIN c360.fraud_flags f ON f.rule = r.rule
    WHERE @extschema@.c360_version() IS NOT NULL
    GROUP BY r.rule;
COMMENT ON VIEW @extschema@.c360_fraud_rule_list IS
    'Fraud rules with their parameters, and how many flags each has; change them with c360_set_fraud_rule()';

CREATE OR REPLACE VIEW @extschema@.c360_fraud_flag_list AS
    SELECT f.id, f.customer_id, c.phone, c.name, c.tier, f.rule, f.mode, f.severity, f.action,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN f.evidence END AS evidence, f.times,
           f.found_at, f.last_found_at, f.previous_tier, f.acted_at, f.status, f.reviewed_by, f.reviewed_at, f.note
    FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_fraud_flag_list IS
    'Findings of fraud rules with their evidence, and what staff decided; status=eq.open&mode=eq.on waits for c360_review_fraud_flag(). evidence is NULL for callers below agent';

CREATE OR REPLACE VIEW @extschema@.c360_fraud_shadow_report AS
    SELECT f.id AS flag_id, f.rule, f.severity, f.action, f.customer_id, c.phone, c.name, c.tier, f.times,
           CASE WHEN f.action <> 'blacklist' THEN 'flagged ' || f.action
                WHEN c.tier = 'blacklist' THEN 'flagged; is on the blacklist already'
                WHEN c.tier_locked THEN 'flagged; the tier is locked'
                ELSE 'blacklisted, was ' || c.tier END AS would_be,
           CASE WHEN f.action = 'blacklist' AND c.tier <> 'blacklist' AND NOT c.tier_locked
                THEN coalesce(w.virtual_balance, 0) ELSE 0 END AS credit_blocked,
           f.evidence, f.found_at, f.last_found_at, f.status
    FROM c360.fraud_flags f
    JOIN c360.customers c ON c.id = f.customer_id
    LEFT JOIN c360.customer_wallets w ON w.customer_id = f.customer_id
    WHERE f.mode = 'shadow' AND c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_fraud_shadow_report IS
    'What fraud rules in shadow mode found and would have done to each customer as he is now; credit_blocked in đồng';

COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.rule IS 'high_return_rate, self_dealing or wallet_abuse';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.mode IS 'off, shadow (flags without any action) or on';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.severity IS 'low, medium or high';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.action IS 'what its flags do: blacklist, suspicious or self_dealing';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.parameters IS 'what it goes by';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.description IS 'what it looks for';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.changed_by IS 'who changed it last';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.changed_at IS 'when';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.open IS 'flags that wait for a decision';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.confirmed IS 'flags that were confirmed';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.dismissed IS 'flags that were dismissed';
COMMENT ON COLUMN @extschema@.c360_fraud_rule_list.shadow IS 'flags made in shadow mode';

COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.id IS 'number of the flag';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.tier IS 'his tier now';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.rule IS 'the rule that found it';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.mode IS 'on, or shadow: it did nothing';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.severity IS 'low, medium or high, as the rule was then';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.action IS 'blacklist, suspicious or self_dealing, as the rule was then';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.evidence IS 'operands, rows and parameters of the finding; again: further findings';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.times IS 'findings in it';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.found_at IS 'when it was found';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.last_found_at IS 'when the last finding was added';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.previous_tier IS 'tier before this flag blacklisted him; NULL if it did not';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.acted_at IS 'when it blacklisted him';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.status IS 'open, confirmed or dismissed';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.reviewed_by IS 'who decided';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.reviewed_at IS 'when';
COMMENT ON COLUMN @extschema@.c360_fraud_flag_list.note IS 'what was said';

COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.flag_id IS 'number of the flag';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.rule IS 'the rule that found it';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.severity IS 'low, medium or high';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.action IS 'what its flags would do';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.tier IS 'his tier now';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.times IS 'findings in it';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.would_be IS 'what it would do to him as he is now';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.credit_blocked IS 'credit that he could not use any more, đồng';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.evidence IS 'operands, rows and parameters of the finding';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.found_at IS 'when it was found';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.last_found_at IS 'when the last finding was added';
COMMENT ON COLUMN @extschema@.c360_fraud_shadow_report.status IS 'open, confirmed or dismissed';
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
    SELECT m.date, m.method, count(*) AS transfers, coalesce(sum(m.transfer_amount), 0) AS total_amount,
           round(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY m.date), 2) AS share
    FROM (SELECT (b.transaction_date AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS date, b.transfer_amount,
                 coalesce(l.method, b.result, 'undecided') AS method
          FROM c360.balance_history b
          LEFT JOIN c360.bank_links l ON l.bank_transaction_id = b.id AND l.unlinked_at IS NULL
          WHERE b.transfer_type = 'in' AND b.transfer_amount > 0 AND @extschema@.c360_version() IS NOT NULL) m
    GROUP BY m.date, m.method;
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
              WHERE p.account_number = b.account_number AND coalesce(p.sub_account, '') = coalesce(b.sub_account, '')
                AND (p.transaction_date, p.sepay_id) < (b.transaction_date, b.sepay_id)
              ORDER BY p.transaction_date DESC, p.sepay_id DESC LIMIT 1) AS before
        WHERE before.accumulated::numeric + CASE b.transfer_type WHEN 'in' THEN b.transfer_amount ELSE - b.transfer_amount END
              <> b.accumulated
        UNION ALL
        SELECT 'repeated_reference' AS problem, NULL::bigint AS expected, NULL::bigint AS found, b.reference_code AS detail
        WHERE EXISTS (SELECT FROM c360.balance_history r
                      WHERE r.reference_code = b.reference_code AND r.account_number = b.account_number AND r.id <> b.id)
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
-- Scores, as of the last refresh. Erased customers have no name and no phone,
-- and are left out where these are shown.

CREATE OR REPLACE VIEW @extschema@.rfm_segment_mapping AS
    SELECT s.customer_id, c.phone, c.name, s.r, s.f, s.m, s.r + s.f + s.m AS total_score, s.segment, c.tier,
           coalesce(o.total, 0) AS total_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN s.monetary END AS total_spent,
           o.last_order_at
    FROM c360.customer_rfm s
    JOIN c360.customers c ON c.id = s.customer_id
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = s.customer_id
    WHERE c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.rfm_segment_mapping IS
    'One row for each customer with a score; pages by customer_id, also within a segment, cost the same at any depth
total_score is the sum of r, f and m, 3 to 15. total_spent (đồng) is NULL for callers below agent.';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.phone IS 'canonical';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.name IS 'of the customer';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.r IS 'recency score, 1 to 5';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.f IS 'frequency score, 1 to 5';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.m IS 'monetary score, 1 to 5';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.total_score IS 'sum of r, f and m';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.segment IS 'of the three scores';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.tier IS 'the customer has now';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.total_orders IS 'orders that are not cancelled';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.total_spent IS 'đồng, of orders neither cancelled nor returned';
COMMENT ON COLUMN @extschema@.rfm_segment_mapping.last_order_at IS 'newest order that is not cancelled';

CREATE OR REPLACE VIEW @extschema@.rfm_segment_distribution AS
    SELECT s.segment, c.tier, count(*) AS customer_count,
           round(avg(coalesce(o.total, 0)), 2) AS avg_orders,
           CASE WHEN (SELECT @extschema@.c360_sees_money()) THEN round(avg(s.monetary), 2) END AS avg_spent,
           round(avg(greatest((statement_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - s.last_on, 0)), 2)
               AS avg_days_since_order
    FROM c360.customer_rfm s
    JOIN c360.customers c ON c.id = s.customer_id
    LEFT JOIN c360.customer_order_totals o ON o.customer_id = s.customer_id
    WHERE @extschema@.c360_version() IS NOT NULL
    GROUP BY s.segment, c.tier;
COMMENT ON VIEW @extschema@.rfm_segment_distribution IS
    'One row for each segment and tier: how many customers, and their averages; erased customers are counted, too
avg_spent (đồng) is NULL for callers below agent.';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.segment IS 'of the three scores';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.tier IS 'the customers have now';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.customer_count IS 'customers of both';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.avg_orders IS 'orders that are not cancelled, of one of them';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.avg_spent IS 'đồng, of one of them';
COMMENT ON COLUMN @extschema@.rfm_segment_distribution.avg_days_since_order IS 'shop days (Asia/Ho_Chi_Minh) since the last order of one of them';

CREATE OR REPLACE VIEW @extschema@.c360_rfm_config AS
    SELECT metric, score, min_value,
           CASE metric WHEN 'recency' THEN 'days' WHEN 'frequency' THEN 'orders' ELSE 'đồng' END AS unit,
           description, changed_by, changed_at
    FROM c360.rfm_config
    WHERE @extschema@.c360_version() IS NOT NULL;
COMMENT ON VIEW @extschema@.c360_rfm_config IS
    'Lowest value of each score (for recency the smallest number of days); changed by c360_update_rfm_threshold()';
COMMENT ON COLUMN @extschema@.c360_rfm_config.metric IS 'recency, frequency or monetary';
COMMENT ON COLUMN @extschema@.c360_rfm_config.score IS '1 to 5';
COMMENT ON COLUMN @extschema@.c360_rfm_config.min_value IS 'lowest value of the score';
COMMENT ON COLUMN @extschema@.c360_rfm_config.unit IS 'of min_value';
COMMENT ON COLUMN @extschema@.c360_rfm_config.description IS 'in words, as c360_analyze_rfm() tells it';
COMMENT ON COLUMN @extschema@.c360_rfm_config.changed_by IS 'who changed it last; NULL = as installed';
COMMENT ON COLUMN @extschema@.c360_rfm_config.changed_at IS 'when that was';
-- What the columns mean that the files of the views leave without a word: the
-- root document of PostgREST shows it.


COMMENT ON COLUMN @extschema@.balance_statistics.gateway IS 'bank or payment service that told of it';
COMMENT ON COLUMN @extschema@.balance_statistics.total_transactions IS 'transfers, in and out';
COMMENT ON COLUMN @extschema@.balance_statistics.total_in IS 'sum of incoming transfers, đồng';
COMMENT ON COLUMN @extschema@.balance_statistics.total_out IS 'sum of outgoing transfers, đồng';
COMMENT ON COLUMN @extschema@.balance_statistics.net_change IS 'incoming less outgoing, đồng';

COMMENT ON COLUMN @extschema@.c360_activity_list.id IS 'number of the activity, also the id of its event';
COMMENT ON COLUMN @extschema@.c360_activity_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_activity_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_activity_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_activity_list.topic IS 'channel on which it was announced: wallets, tickets, customers or bank';
COMMENT ON COLUMN @extschema@.c360_activity_list.event IS 'what happened, such as customer.updated';
COMMENT ON COLUMN @extschema@.c360_activity_list.reference_type IS 'kind of what it is about, such as customer, ticket or wallet_transaction';
COMMENT ON COLUMN @extschema@.c360_activity_list.reference_id IS 'id or code of what it is about';
COMMENT ON COLUMN @extschema@.c360_activity_list.payload IS 'details: what was changed, from and to, why';
COMMENT ON COLUMN @extschema@.c360_activity_list.actor IS 'who did it';
COMMENT ON COLUMN @extschema@.c360_activity_list.created_at IS 'when it happened';

COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.id IS 'number of the transfer';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.sepay_id IS 'id that the gateway gave';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.linked_at IS 'since when it belongs to the customer';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.linked_by IS 'who linked it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.gateway IS 'bank or payment service that told of it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.transaction_date IS 'when the bank booked it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.account_number IS 'the shop''s account';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.sub_account IS 'virtual account, if there is one';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.code IS 'payment code that the gateway found';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.content IS 'what the payer wrote';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.transfer_type IS 'in or out';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.transfer_amount IS 'amount, đồng';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.reference_code IS 'the bank''s reference';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.description IS 'the bank''s whole message';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.received_at IS 'when the gateway told of it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.attempts IS 'how often a decision was tried and failed';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.next_attempt_at IS 'when it is tried again';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.decided_at IS 'when its customer was found, or not';

COMMENT ON COLUMN @extschema@.c360_credit_list.id IS 'number of the lot';
COMMENT ON COLUMN @extschema@.c360_credit_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_credit_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_credit_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_credit_list.kind IS 'BOOM, RETURN_SHIPPER, COMPENSATION, PROMOTION or MANUAL';
COMMENT ON COLUMN @extschema@.c360_credit_list.source_id IS 'what it was issued for, such as a ticket code';
COMMENT ON COLUMN @extschema@.c360_credit_list.original_amount IS 'amount issued, đồng';
COMMENT ON COLUMN @extschema@.c360_credit_list.remaining_amount IS 'amount left, đồng';
COMMENT ON COLUMN @extschema@.c360_credit_list.created_at IS 'when it was issued';

COMMENT ON COLUMN @extschema@.c360_customer_list.id IS 'number of the customer';
COMMENT ON COLUMN @extschema@.c360_customer_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_customer_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_customer_list.email IS 'e-mail address';
COMMENT ON COLUMN @extschema@.c360_customer_list.address IS 'address';
COMMENT ON COLUMN @extschema@.c360_customer_list.carrier IS 'carrier of the phone';
COMMENT ON COLUMN @extschema@.c360_customer_list.status IS 'Bình thường, Bom hàng, Cảnh báo, Nguy hiểm or VIP';
COMMENT ON COLUMN @extschema@.c360_customer_list.tier IS 'new, silver, gold, platinum or blacklist';
COMMENT ON COLUMN @extschema@.c360_customer_list.status_locked IS 'whether only staff change the status';
COMMENT ON COLUMN @extschema@.c360_customer_list.tier_locked IS 'whether only staff change the tier';
COMMENT ON COLUMN @extschema@.c360_customer_list.tags IS 'words that staff gave the customer';
COMMENT ON COLUMN @extschema@.c360_customer_list.aliases IS 'other names';
COMMENT ON COLUMN @extschema@.c360_customer_list.tpos_id IS 'id of the customer in the point-of-sale system';
COMMENT ON COLUMN @extschema@.c360_customer_list.created_source IS 'ticket, bank_link, manual, import or tpos';
COMMENT ON COLUMN @extschema@.c360_customer_list.internal_note IS 'note of staff';
COMMENT ON COLUMN @extschema@.c360_customer_list.wallet_total IS 'real balance and credit, đồng; NULL for callers below agent';
COMMENT ON COLUMN @extschema@.c360_customer_list.flags IS 'what fraud rules say of him, as long as it is not dismissed: blacklist, suspicious, self_dealing';
COMMENT ON COLUMN @extschema@.c360_customer_list.created_at IS 'when the customer was created';
COMMENT ON COLUMN @extschema@.c360_customer_list.updated_at IS 'when his data were changed last';

COMMENT ON COLUMN @extschema@.c360_job_status.job IS 'name of the job';
COMMENT ON COLUMN @extschema@.c360_job_status.schedule IS 'when it runs: cron syntax, shop time';
COMMENT ON COLUMN @extschema@.c360_job_status.enabled IS 'whether it runs by schedule';
COMMENT ON COLUMN @extschema@.c360_job_status.last_start IS 'start of the last run';
COMMENT ON COLUMN @extschema@.c360_job_status.last_end IS 'end of the last run';
COMMENT ON COLUMN @extschema@.c360_job_status.rows IS 'rows that the last run dealt with';
COMMENT ON COLUMN @extschema@.c360_job_status.error IS 'what went wrong in the last run';
COMMENT ON COLUMN @extschema@.c360_job_status.failures IS 'failed runs since the last good one';
COMMENT ON COLUMN @extschema@.c360_job_status.next_run IS 'when it runs next';

COMMENT ON COLUMN @extschema@.c360_note_list.id IS 'number of the note';
COMMENT ON COLUMN @extschema@.c360_note_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_note_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_note_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_note_list.content IS 'the note';
COMMENT ON COLUMN @extschema@.c360_note_list.category IS 'general, warning, important or follow_up';
COMMENT ON COLUMN @extschema@.c360_note_list.pinned IS 'whether it comes before others';
COMMENT ON COLUMN @extschema@.c360_note_list.created_by IS 'who wrote it';
COMMENT ON COLUMN @extschema@.c360_note_list.created_at IS 'when it was written';

COMMENT ON COLUMN @extschema@.c360_pending_match_list.id IS 'number of the match';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.bank_transaction_id IS 'the transfer';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.status IS 'pending, or how it ended';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.created_at IS 'since when it waits';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.resolved_customer_id IS 'whom staff chose';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.resolved_at IS 'when it ended';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.resolved_by IS 'who decided';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.reason IS 'why';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.gateway IS 'bank or payment service that told of it';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.transaction_date IS 'when the bank booked it';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.content IS 'what the payer wrote';

COMMENT ON COLUMN @extschema@.c360_settings.name IS 'name for c360_set()';
COMMENT ON COLUMN @extschema@.c360_settings.value IS 'value in force';
COMMENT ON COLUMN @extschema@.c360_settings.type IS 'type of the value';
COMMENT ON COLUMN @extschema@.c360_settings.unit IS 'unit of the value';
COMMENT ON COLUMN @extschema@.c360_settings."default" IS 'value unless it is changed';
COMMENT ON COLUMN @extschema@.c360_settings.description IS 'what it decides';

COMMENT ON COLUMN @extschema@.c360_stat.ticks IS 'ticks that the publisher made';
COMMENT ON COLUMN @extschema@.c360_stat.notifications IS 'notifications that it sent';
COMMENT ON COLUMN @extschema@.c360_stat.lag IS 'time from commit to notification at the last tick';
COMMENT ON COLUMN @extschema@.c360_stat.backlog IS 'events since the last tick';
COMMENT ON COLUMN @extschema@.c360_stat.ring_overflow IS 'errors that were not recorded for want of room';
COMMENT ON COLUMN @extschema@.c360_stat.last_error IS 'last failure of a worker';

COMMENT ON COLUMN @extschema@.c360_ticket_list.id IS 'number of the ticket';
COMMENT ON COLUMN @extschema@.c360_ticket_list.ticket_code IS 'code of the ticket, TV-YYYY-NNNNN';
COMMENT ON COLUMN @extschema@.c360_ticket_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_ticket_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_ticket_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_ticket_list.type IS 'type, such as BOOM or HOAN';
COMMENT ON COLUMN @extschema@.c360_ticket_list.type_label IS 'the type in words';
COMMENT ON COLUMN @extschema@.c360_ticket_list.status IS 'new, processing, waiting_carrier, completed or cancelled';
COMMENT ON COLUMN @extschema@.c360_ticket_list.priority IS 'low, normal, high or urgent';
COMMENT ON COLUMN @extschema@.c360_ticket_list.priority_rank IS '1 urgent to 4 low, to sort by';
COMMENT ON COLUMN @extschema@.c360_ticket_list.deadline IS 'when the carrier must have answered';
COMMENT ON COLUMN @extschema@.c360_ticket_list.deadline_order IS 'the deadline, infinity without one, to sort by';
COMMENT ON COLUMN @extschema@.c360_ticket_list.order_code IS 'order that it is about';
COMMENT ON COLUMN @extschema@.c360_ticket_list.tracking_code IS 'the carrier''s code';
COMMENT ON COLUMN @extschema@.c360_ticket_list.carrier IS 'who delivers';
COMMENT ON COLUMN @extschema@.c360_ticket_list.subject IS 'subject';
COMMENT ON COLUMN @extschema@.c360_ticket_list.description IS 'description';
COMMENT ON COLUMN @extschema@.c360_ticket_list.products IS 'goods that it is about';
COMMENT ON COLUMN @extschema@.c360_ticket_list.attachments IS 'pictures and files';
COMMENT ON COLUMN @extschema@.c360_ticket_list.original_cod IS 'cash on delivery before, đồng';
COMMENT ON COLUMN @extschema@.c360_ticket_list.new_cod IS 'cash on delivery now, đồng';
COMMENT ON COLUMN @extschema@.c360_ticket_list.refund_amount IS 'amount to compensate, đồng';
COMMENT ON COLUMN @extschema@.c360_ticket_list.reason IS 'reason';
COMMENT ON COLUMN @extschema@.c360_ticket_list.assignee IS 'who works on it';
COMMENT ON COLUMN @extschema@.c360_ticket_list.duplicate_allowed IS 'whether it was opened although the order had one';
COMMENT ON COLUMN @extschema@.c360_ticket_list.goods_received_at IS 'when the goods came back';
COMMENT ON COLUMN @extschema@.c360_ticket_list.compensation IS 'credit, deposit or none; NULL until it is resolved';
COMMENT ON COLUMN @extschema@.c360_ticket_list.compensated_at IS 'when the money moved';
COMMENT ON COLUMN @extschema@.c360_ticket_list.credit_id IS 'lot that compensates';
COMMENT ON COLUMN @extschema@.c360_ticket_list.transaction_id IS 'ledger row that compensates';
COMMENT ON COLUMN @extschema@.c360_ticket_list.created_by IS 'who opened it';
COMMENT ON COLUMN @extschema@.c360_ticket_list.created_at IS 'when it was opened';
COMMENT ON COLUMN @extschema@.c360_ticket_list.completed_at IS 'when it was completed';

COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.id IS 'number of the ledger row';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.type IS 'DEPOSIT, WITHDRAW, REFUND, ADJUSTMENT, VIRTUAL_CREDIT, VIRTUAL_CANCEL or VIRTUAL_EXPIRE';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.operation IS 'function that wrote it';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.balance_after IS 'real balance after it, đồng';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.virtual_balance_after IS 'credit after it, đồng';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.source IS 'where the money came from';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.reference_type IS 'kind of what it is about';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.reference_id IS 'id or code of what it is about';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.credit_expires_at IS 'expiry of the lot that was issued';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.bank_link_id IS 'link of the bank transfer';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.idempotency_key IS 'key of the call';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.actor IS 'who did it';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.session_user_name IS 'role that logged in';

COMMENT ON COLUMN @extschema@.customer_360_summary.id IS 'number of the customer';
COMMENT ON COLUMN @extschema@.customer_360_summary.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.customer_360_summary.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.customer_360_summary.email IS 'e-mail address';
COMMENT ON COLUMN @extschema@.customer_360_summary.status IS 'Bình thường, Bom hàng, Cảnh báo, Nguy hiểm or VIP';
COMMENT ON COLUMN @extschema@.customer_360_summary.tier IS 'new, silver, gold, platinum or blacklist';
COMMENT ON COLUMN @extschema@.customer_360_summary.tags IS 'words that staff gave the customer';
COMMENT ON COLUMN @extschema@.customer_360_summary.rfm_segment IS 'segment of the customer; NULL without one';
COMMENT ON COLUMN @extschema@.customer_360_summary.last_order_at IS 'moment of the last order';
COMMENT ON COLUMN @extschema@.customer_360_summary.created_at IS 'when the customer was created';

COMMENT ON COLUMN @extschema@.customer_activity_summary.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.customer_activity_summary.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.customer_activity_summary.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.customer_activity_summary.tier IS 'new, silver, gold, platinum or blacklist';
COMMENT ON COLUMN @extschema@.customer_activity_summary.wallet_balance IS 'real balance, đồng';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_tickets IS 'tickets that are not deleted';
COMMENT ON COLUMN @extschema@.customer_activity_summary.bank_deposit_count IS 'deposits by bank transfer';
COMMENT ON COLUMN @extschema@.customer_activity_summary.rfm_segment IS 'segment of the customer; NULL without one';
COMMENT ON COLUMN @extschema@.customer_activity_summary.last_order_at IS 'moment of the last order';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_orders IS 'orders that are not cancelled';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_spent IS 'sum of orders neither cancelled nor returned, đồng';

COMMENT ON COLUMN @extschema@.customer_statistics.total_customers IS 'all customers';

COMMENT ON COLUMN @extschema@.customers_without_tpos.id IS 'number of the customer';
COMMENT ON COLUMN @extschema@.customers_without_tpos.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.customers_without_tpos.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.customers_without_tpos.created_at IS 'since when he waits';

COMMENT ON COLUMN @extschema@.daily_wallet_summary.type IS 'type of the ledger rows';
COMMENT ON COLUMN @extschema@.daily_wallet_summary.transaction_count IS 'ledger rows';
COMMENT ON COLUMN @extschema@.daily_wallet_summary.unique_customers IS 'customers whose wallets moved';

COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.type IS 'type of the tickets';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.status IS 'status of the tickets';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.ticket_count IS 'tickets';

COMMENT ON COLUMN @extschema@.ticket_statistics.total_tickets IS 'tickets that are not deleted';
COMMENT ON COLUMN @extschema@.ticket_statistics.new_count IS 'tickets that are new';
COMMENT ON COLUMN @extschema@.ticket_statistics.processing_count IS 'tickets being worked on';
COMMENT ON COLUMN @extschema@.ticket_statistics.waiting_carrier_count IS 'tickets that wait for the carrier';
COMMENT ON COLUMN @extschema@.ticket_statistics.completed_count IS 'tickets that are completed';
COMMENT ON COLUMN @extschema@.ticket_statistics.cancelled_count IS 'tickets that are cancelled';

COMMENT ON COLUMN @extschema@.wallet_statistics.wallets_with_balance IS 'wallets with real money';
COMMENT ON COLUMN @extschema@.wallet_statistics.wallets_with_virtual IS 'wallets with credit';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_real_balance IS 'sum of real balances, đồng';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_deposited IS 'sum of deposits, đồng';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_virtual_issued IS 'sum of credit issued, đồng';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_virtual_expired IS 'sum of credit that expired, đồng';

    -- nobody slipped one of his in since the check above
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = '@extschema@'::regnamespace
               AND relname = ANY (view_names) AND relowner <> current_user::regrole) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'c360 tables belong to another role',
            DETAIL = 'other_owner: a view of c360 is owned by another role';
    END IF;

    -- Levels reach what this version has. Where a row was written a missing
    -- role was dropped; from elsewhere, it may come yet.
    SELECT system_identifier INTO ours FROM pg_control_system();
    DELETE FROM c360.granted_levels AS g
    WHERE g.cluster = ours AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.role_id);
    UPDATE c360.granted_levels AS g SET role = r.rolname
    FROM pg_roles r WHERE g.cluster = ours AND r.oid = g.role_id AND g.role <> r.rolname;
    FOR granted IN
        SELECT g.role, g.level, r.oid::regrole AS found
        FROM c360.granted_levels AS g
        LEFT JOIN pg_roles r ON CASE WHEN g.cluster = ours THEN r.oid = g.role_id ELSE r.rolname = g.role END
        ORDER BY g.role, g.level
    LOOP
        IF granted.found IS NULL THEN
            RAISE NOTICE USING MESSAGE = format('role "%s" does not exist, its level %s is not applied',
                                                granted.role, granted.level);
        ELSIF NOT has_function_privilege('@extschema@.c360_apply_level(regrole, text)', 'EXECUTE') THEN
            RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'missing privilege to apply levels',
                DETAIL = format('levels: of role %s and others', granted.found),
                HINT = format('GRANT EXECUTE ON FUNCTION @extschema@.c360_apply_level(regrole, text) TO %I;', current_user);
        ELSE
            PERFORM @extschema@.c360_apply_level(granted.found, granted.level);
        END IF;
    END LOOP;

    -- wakes the workers, now that the trigger is there
    UPDATE c360.settings SET name = name WHERE false;
    -- PostgREST reads the schema again
    PERFORM pg_notify('pgrst', 'reload schema');
    RETURN installed::text;
END $c360_install$;
COMMENT ON FUNCTION @extschema@.c360_install() IS
'Makes the tables in schema c360, or brings older ones forward, and makes whole what hangs on the code (guards, views, settings, levels that were given).

Runs with the rights of its caller, who owns the tables then; called again it does only what is missing.
Answer: version of the tables.
Errors: 42501 other_owner, trigger_functions, levels; 55000 pg_trgm_missing.';

-- Movements of money (C).

CREATE FUNCTION @extschema@.c360_deposit(phone text, amount bigint, source text DEFAULT 'MANUAL',
    reference_type text DEFAULT NULL, reference_id text DEFAULT NULL, note text DEFAULT NULL,
    idempotency_key text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_deposit';
COMMENT ON FUNCTION @extschema@.c360_deposit(text, bigint, text, text, text, text, text, timestamptz) IS
'Puts real money into a customer''s wallet; an unknown phone creates the customer.

phone: any spelling. amount: đồng, positive, at most the setting max_amount. source: RETURN_GOODS, MANUAL or ORDER_CANCEL. reference_type, reference_id: what the deposit belongs to, 200 characters. note: 2,000 characters. idempotency_key: 200 characters; the same call with the same key is done once. occurred_at: when it happened outside, 2000 to now.
Answer: c360_movement.
Errors: 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit, not_allowed, invalid_date; 22001 too_long; 22003 overflow; PT409 key_reused; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_issue_credit(phone text, amount bigint, kind text DEFAULT 'COMPENSATION',
    source_id text DEFAULT NULL, expires_at timestamptz DEFAULT NULL, note text DEFAULT NULL,
    idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_issue_credit';
COMMENT ON FUNCTION @extschema@.c360_issue_credit(text, bigint, text, text, timestamptz, text, text) IS
'Issues store credit as a lot with its own expiry; an unknown phone creates the customer.

phone: any spelling. amount: đồng, positive, at most the setting max_amount. kind: BOOM, RETURN_SHIPPER, COMPENSATION, PROMOTION or MANUAL. source_id: what it is for, 200 characters; at most one credit that is not CANCELLED for each customer, kind and source_id. expires_at: in the future; NULL = the setting credit_expiry_days from now. note: 2,000 characters. idempotency_key: 200 characters.
Answer: c360_movement; lots holds the new lot.
Errors: 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit, not_allowed, invalid_date, expired; 22001 too_long; 22003 overflow; PT409 key_reused, credit_exists; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_withdraw(phone text, amount bigint, order_id text DEFAULT NULL,
    note text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_withdraw';
COMMENT ON FUNCTION @extschema@.c360_withdraw(text, bigint, text, text, text) IS
'Takes money out of a wallet: lots first, soonest expiry first and then lowest id, then real balance.

phone: any spelling. amount: đồng, positive, at most the setting max_amount. order_id: the order it pays, 200 characters. note: 2,000 characters. idempotency_key: 200 characters; the same call with the same key is done once.
Answer: c360_movement; lots in order of use.
Errors: PT402 insufficient_funds; PT403 wallet_frozen, credit_blocked; PT404 customer_not_found; PT409 key_reused; 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_refund(transaction_id bigint, amount bigint DEFAULT NULL,
    note text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_refund';
COMMENT ON FUNCTION @extschema@.c360_refund(bigint, bigint, text, text) IS
'Gives a withdrawal back, whole or in part: credit first, the lot used last first, then real balance.

transaction_id: a WITHDRAW of the ledger. amount: đồng, positive; NULL = all that is left to refund. note: 2,000 characters. idempotency_key: 200 characters.
A restored lot lives until the later of its own date and the setting refund_grace_days from now; what belongs to a cancelled lot is restored and cancelled at once.
Answer: c360_movement; lots holds what came back.
Errors: PT404 transaction_not_found; PT409 not_refundable, refund_exceeds, key_reused; 22004 missing_argument; 22023 invalid_amount; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_adjust(phone text, amount bigint, reason text, reference_type text DEFAULT NULL,
    reference_id text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_adjust';
COMMENT ON FUNCTION @extschema@.c360_adjust(text, bigint, text, text, text, text) IS
'Corrects the real balance up or down, of a frozen wallet, too.

phone: any spelling. amount: đồng, signed, not 0, at most the setting max_amount either way. reason: 10 to 500 characters. reference_type, reference_id: what is corrected, 200 characters. idempotency_key: 200 characters.
Answer: c360_movement.
Errors: PT402 insufficient_funds; PT404 customer_not_found; PT409 key_reused; 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit, reason_too_short; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_cancel_credit(credit_id bigint, reason text, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_cancel_credit';
COMMENT ON FUNCTION @extschema@.c360_cancel_credit(bigint, text, text) IS
'Takes back what remains of an ACTIVE lot.

credit_id: the lot. reason: 1 to 500 characters. idempotency_key: 200 characters.
Answer: c360_movement.
Errors: PT404 credit_not_found; PT409 credit_not_active, key_reused; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_freeze_wallet(phone text, reason text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_freeze_wallet';
COMMENT ON FUNCTION @extschema@.c360_freeze_wallet(text, text) IS
'Freezes a wallet: withdrawals are refused, everything else goes on. A frozen wallet is left alone.

phone: any spelling. reason: 1 to 500 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unfreeze_wallet(phone text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_unfreeze_wallet';
COMMENT ON FUNCTION @extschema@.c360_unfreeze_wallet(text) IS
'Lifts the freeze of a wallet. A wallet that is not frozen is left alone.

phone: any spelling.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_expire_credits(max_lots integer DEFAULT NULL)
RETURNS TABLE (expired_count bigint, total_expired_amount bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'c360_expire_credits';
COMMENT ON FUNCTION @extschema@.c360_expire_credits(integer) IS
'Expires lots that are past their time, in one transaction; wallets that somebody holds are passed over.

max_lots: at most so many, positive; NULL = all.
Answer: how many lots, and the đồng they still held.
Errors: 22023 invalid_count; 25006 read only; 55000 not installed.';

-- Commits between batches, so that no client waits longer than one batch.
-- A procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_expire_all()
LANGUAGE plpgsql
AS $$
DECLARE
    expired bigint;
BEGIN
    LOOP
        SELECT e.expired_count INTO expired FROM @extschema@.c360_expire_credits(500) AS e;
        COMMIT;                 -- at the end, too: refused in a transaction block whatever there is to do
        EXIT WHEN expired OPERATOR(pg_catalog.=) 0;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_expire_all() IS
'Expires all lots that are past their time, 500 at a time with a commit after each; for pg_cron and the job runner.

Errors: 25006 read only; 2D000 inside a transaction block; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_get_or_create_customer(phone text, name text DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_get_or_create_customer';
COMMENT ON FUNCTION @extschema@.c360_get_or_create_customer(text, text) IS
'Id of the customer with this phone, created if there is none; safe when many call it at once.

phone: any spelling. name: of a new customer, 255 characters; NULL = Khách hàng mới. A known customer keeps his name.
Answer: customer id.
Errors: 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';

-- Customers: their fields, notes and timeline.
--
-- Functions that only call others stay the owner of the extension; those that
-- touch tables become the owner of these first. What he may leave behind, a
-- search_path, ends before anything is found by it (see 66_jobs.sql). A change
-- locks the wallet's row first if it needs it, then the customer's, and writes
-- its activity last.

-- Changing what is known of a customer.

CREATE FUNCTION @extschema@.c360_save_customer(phone text, fields jsonb, created_source text, created_at timestamptz,
    tpos jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    by_tpos constant boolean := c360_save_customer.tpos IS NOT NULL;
    carrier_of_phone constant text := @extschema@.c360_phone_carrier(c360_save_customer.phone);
    default_name constant text := 'Khách hàng mới';
    fields jsonb := c360_save_customer.fields;
    old record;
    changes jsonb;
    owned text[];
    saved bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    FOR tries IN 1 .. 10 LOOP
        SELECT * INTO old FROM c360.customers AS c WHERE c.phone = c360_save_customer.phone FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        -- two at once: the second waits here and finds the first one's row at its next look
        INSERT INTO c360.customers AS c (phone, name, name_folded, email, email_folded, address, address_folded, carrier,
                                         status, tags, aliases, internal_note, tpos_id, tpos_data, tpos_fields,
                                         created_source, created_at)
        SELECT c360_save_customer.phone, n.name, @extschema@.c360_fold(n.name), fields ->> 'email',
               @extschema@.c360_fold(fields ->> 'email'), fields ->> 'address', @extschema@.c360_fold(fields ->> 'address'),
               coalesce(fields ->> 'carrier', carrier_of_phone), coalesce(fields ->> 'status', 'Bình thường'),
               ARRAY(SELECT jsonb_array_elements_text(fields -> 'tags')),
               ARRAY(SELECT jsonb_array_elements_text(fields -> 'aliases')), fields ->> 'internal_note',
               fields ->> 'tpos_id', c360_save_customer.tpos,
               CASE WHEN by_tpos THEN ARRAY(SELECT jsonb_object_keys(fields - 'tpos_id')) ELSE '{}' END,
               coalesce(c360_save_customer.created_source, 'manual'), coalesce(c360_save_customer.created_at, now())
        FROM (SELECT coalesce(fields ->> 'name', default_name) AS name) AS n
        ON CONFLICT (phone) DO NOTHING RETURNING c.id INTO saved;
        IF FOUND THEN
            PERFORM @extschema@.c360_write_activity('customers', 'customer.created', saved, 'customer', saved::text,
                jsonb_build_object('phone', c360_save_customer.phone, 'name', coalesce(fields ->> 'name', default_name),
                                   'source', coalesce(c360_save_customer.created_source, 'manual'),
                                   'needs_tpos', NOT by_tpos));
            RETURN saved;
        END IF;
    END LOOP;
    IF old.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '09000', MESSAGE = 'a row that c360 inserted is not there',
            HINT = 'Let triggers on c360.customers keep the row and its key.';
    END IF;

    -- point of sale takes what is empty, default or its own
    IF by_tpos THEN
        SELECT coalesce(jsonb_object_agg(f.key, f.value), '{}') INTO fields FROM jsonb_each(fields) AS f
        WHERE f.key = 'tpos_id' OR (f.key = 'status' AND NOT old.status_locked AND old.status = 'Bình thường')
           OR (f.key = ANY (old.tpos_fields) AND NOT (f.key = 'status' AND old.status_locked))
           OR CASE f.key WHEN 'name' THEN btrim(old.name) IN ('', default_name)
                         WHEN 'email' THEN coalesce(btrim(old.email), '') = ''
                         WHEN 'address' THEN coalesce(btrim(old.address), '') = ''
                         WHEN 'carrier' THEN coalesce(btrim(old.carrier), '') IN ('', carrier_of_phone)
                         ELSE false END;
    END IF;
    SELECT coalesce(jsonb_object_agg(f.key, jsonb_build_object('from', to_jsonb(old) -> f.key, 'to', f.value)), '{}')
    INTO changes FROM jsonb_each(fields) AS f WHERE to_jsonb(old) -> f.key IS DISTINCT FROM f.value;
    owned := CASE WHEN by_tpos THEN ARRAY(SELECT unnest(old.tpos_fields) UNION SELECT jsonb_object_keys(fields - 'tpos_id')
                                          ORDER BY 1)
                  ELSE ARRAY(SELECT f FROM unnest(old.tpos_fields) AS f WHERE NOT fields ? f) END;
    IF changes = '{}' AND owned = old.tpos_fields AND (NOT by_tpos OR c360_save_customer.tpos = old.tpos_data) THEN
        RETURN old.id;
    END IF;
    UPDATE c360.customers AS c SET
        name = n.name, name_folded = @extschema@.c360_fold(n.name),
        email = n.email, email_folded = @extschema@.c360_fold(n.email),
        address = n.address, address_folded = @extschema@.c360_fold(n.address),
        carrier = CASE WHEN fields ? 'carrier' THEN fields ->> 'carrier' ELSE c.carrier END,
        status = CASE WHEN fields ? 'status' THEN fields ->> 'status' ELSE c.status END,
        tags = CASE WHEN fields ? 'tags' THEN ARRAY(SELECT jsonb_array_elements_text(fields -> 'tags')) ELSE c.tags END,
        aliases = CASE WHEN fields ? 'aliases' THEN ARRAY(SELECT jsonb_array_elements_text(fields -> 'aliases'))
                       ELSE c.aliases END,
        internal_note = CASE WHEN fields ? 'internal_note' THEN fields ->> 'internal_note' ELSE c.internal_note END,
        tpos_id = CASE WHEN fields ? 'tpos_id' THEN fields ->> 'tpos_id' ELSE c.tpos_id END,
        tpos_data = coalesce(c360_save_customer.tpos, c.tpos_data), tpos_fields = owned, updated_at = clock_timestamp()
    FROM (SELECT CASE WHEN fields ? 'name' THEN fields ->> 'name' ELSE old.name END AS name,
                 CASE WHEN fields ? 'email' THEN fields ->> 'email' ELSE old.email END AS email,
                 CASE WHEN fields ? 'address' THEN fields ->> 'address' ELSE old.address END AS address) AS n
    WHERE c.id = old.id;
    IF changes <> '{}' OR (by_tpos AND c360_save_customer.tpos IS DISTINCT FROM old.tpos_data) THEN
        PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', old.id, 'customer', old.id::text,
            jsonb_build_object('phone', old.phone, 'changes', changes, 'by_tpos', by_tpos));
    END IF;
    RETURN old.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_save_customer(text, jsonb, text, timestamptz, jsonb) IS
'Internal: creates the customer with this phone, or changes those of his fields that are given.

phone: canonical. fields: columns to set; null empties one. created_source, created_at: of a new customer. tpos: the record of point of sale if it is the one who sets them; NULL = staff.
Answer: customer id.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_words(name text, words text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(c360_require_words.words) > 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = format('too_many: at most 1000 %s', c360_require_words.name);
    END IF;
    RETURN (SELECT coalesce(jsonb_agg(@extschema@.c360_require_text(c360_require_words.name, w.word, 255, true) ORDER BY w.n), '[]')
            FROM unnest(c360_require_words.words) WITH ORDINALITY AS w (word, n) WHERE w.word IS NOT NULL);
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_words(text, text[]) IS
'Internal: a list of words such as tags, as jsonb.

name: of the argument. words: 1,000 at most, of 255 characters; NULLs are left out.
Errors: 22001 too_long; 22023 too_many, blank.';

CREATE FUNCTION @extschema@.c360_upsert_customer(phone text, name text DEFAULT NULL, email text DEFAULT NULL,
    address text DEFAULT NULL, carrier text DEFAULT NULL, tags text[] DEFAULT NULL, aliases text[] DEFAULT NULL,
    internal_note text DEFAULT NULL, created_source text DEFAULT NULL, created_at timestamptz DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_upsert_customer.phone);
    fields jsonb := '{}';
    saved bigint;
BEGIN
    IF c360_upsert_customer.name IS NOT NULL THEN
        fields := jsonb_build_object('name', btrim(@extschema@.c360_require_text('name', c360_upsert_customer.name, 255, true)));
    END IF;
    -- a blank text empties the field
    SELECT fields || coalesce(jsonb_object_agg(t.field, nullif(btrim(
               @extschema@.c360_require_text(t.field, t.value, t.longest, false)), '')), '{}') INTO fields
    FROM (VALUES ('email', c360_upsert_customer.email, 255), ('address', c360_upsert_customer.address, 2000),
                 ('carrier', c360_upsert_customer.carrier, 255),
                 ('internal_note', c360_upsert_customer.internal_note, 2000)) AS t (field, value, longest)
    WHERE t.value IS NOT NULL;
    IF c360_upsert_customer.tags IS NOT NULL THEN
        fields := fields || jsonb_build_object('tags', @extschema@.c360_require_words('tags', c360_upsert_customer.tags));
    END IF;
    IF c360_upsert_customer.aliases IS NOT NULL THEN
        fields := fields || jsonb_build_object('aliases', @extschema@.c360_require_words('aliases', c360_upsert_customer.aliases));
    END IF;
    IF c360_upsert_customer.created_source IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('created_source', c360_upsert_customer.created_source,
                                                '{ticket,bank_link,manual,import,tpos}');
    END IF;
    IF c360_upsert_customer.created_at NOT BETWEEN '2000-01-01 00:00:00+00' AND clock_timestamp() THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'date is out of range',
            DETAIL = 'invalid_date: created_at is in the future or before 2000';
    END IF;
    saved := @extschema@.c360_save_customer(wanted, fields, c360_upsert_customer.created_source,
                                            c360_upsert_customer.created_at, NULL);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN (SELECT to_jsonb(r) FROM @extschema@.c360_customers(ids => ARRAY[saved]) AS r);
END $$;
COMMENT ON FUNCTION @extschema@.c360_upsert_customer(text, text, text, text, text, text[], text[], text, text, timestamptz) IS
'Creates the customer with this phone, or changes those of his fields that are given; what is not given stays as it is.

phone: any spelling. name: 255 characters. email, carrier: 255, address, internal_note: 2,000 characters; a blank one empties the field. tags, aliases: 1,000 words of 255 characters at most, in place of those before. created_source: ticket, bank_link, manual, import or tpos, and created_at, 2000 to now: of a new customer; a known one keeps his.
Tier and status are changed by c360_set_tier() and c360_set_status(), the phone by c360_change_phone().
Answer: the customer as jsonb, as in c360_customers().
Errors: 22004 missing_argument; 22023 invalid_phone, blank, not_allowed, invalid_date, too_many; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_upsert_tpos_customer(phone text, tpos jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_upsert_tpos_customer.phone);
    given constant jsonb := c360_upsert_tpos_customer.tpos;
    key text;
    fields jsonb;
    saved bigint;
BEGIN
    IF given IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: tpos';
    ELSIF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'record of point of sale is malformed',
            DETAIL = 'invalid_tpos: the record is no object';
    END IF;
    FOREACH key IN ARRAY ARRAY['Id', 'Name', 'DisplayName', 'Email', 'FullAddress', 'Street', 'NameNetwork', 'StatusText'] LOOP
        IF jsonb_typeof(given -> key) NOT IN ('string', 'null') AND NOT (key = 'Id' AND jsonb_typeof(given -> key) = 'number') THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'record of point of sale is malformed',
                DETAIL = format('invalid_tpos: %s is no text', key);
        END IF;
    END LOOP;
    SELECT coalesce(jsonb_object_agg(t.field, @extschema@.c360_require_text(t.key, btrim(t.value), t.longest, false)), '{}')
    INTO fields
    FROM (VALUES ('tpos_id', 'Id', given ->> 'Id', 200),
                 ('name', 'Name', coalesce(nullif(btrim(given ->> 'Name'), ''), given ->> 'DisplayName'), 255),
                 ('email', 'Email', given ->> 'Email', 255),
                 ('address', 'FullAddress', coalesce(nullif(btrim(given ->> 'FullAddress'), ''), given ->> 'Street'), 2000),
                 ('carrier', 'NameNetwork', given ->> 'NameNetwork', 255),
                 ('status', 'StatusText', CASE WHEN btrim(given ->> 'StatusText') IN
                     ('Bình thường', 'Bom hàng', 'Cảnh báo', 'Nguy hiểm', 'VIP') THEN given ->> 'StatusText' END, 255)
         ) AS t (field, key, value, longest)
    WHERE btrim(t.value) <> '';
    saved := @extschema@.c360_save_customer(wanted, fields, 'tpos', NULL, given);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN (SELECT to_jsonb(r) FROM @extschema@.c360_customers(ids => ARRAY[saved]) AS r);
END $$;
COMMENT ON FUNCTION @extschema@.c360_upsert_tpos_customer(text, jsonb) IS
'Takes in a customer''s record of the point-of-sale system: fields that are empty, default or were last set by point of sale; what staff set is kept. The record is kept whole.

phone: any spelling; an unknown one creates the customer. tpos: an object with Id, Name or DisplayName, Email, FullAddress or Street, NameNetwork (carrier), StatusText (one of the five statuses, else ignored); others are kept, too.
Answer: the customer as jsonb, as in c360_customers().
Errors: 22004 missing_argument; 22023 invalid_phone, invalid_tpos; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_tier(phone text, tier text, locked boolean DEFAULT true, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_set_tier.phone);
    wanted_lock constant boolean := coalesce(c360_set_tier.locked, true);
    why constant text := @extschema@.c360_require_text('reason', c360_set_tier.reason, 500, false);
    old record;
BEGIN
    PERFORM @extschema@.c360_require_one_of('tier', c360_set_tier.tier, '{new,silver,gold,platinum,blacklist}');
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id, c.phone, c.tier, c.tier_locked INTO old FROM c360.customers AS c WHERE c.phone = wanted FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    ELSIF old.tier = c360_set_tier.tier AND old.tier_locked = wanted_lock THEN
        RETURN;
    END IF;
    UPDATE c360.customers AS c SET tier = c360_set_tier.tier, tier_locked = wanted_lock, updated_at = clock_timestamp(),
        blacklisted_at = CASE WHEN c360_set_tier.tier = 'blacklist' THEN coalesce(c.blacklisted_at, now()) END
    WHERE c.id = old.id;
    -- what is not locked follows the scores again
    INSERT INTO c360.rfm_queue (customer_id) VALUES (old.id);
    PERFORM @extschema@.c360_write_activity('customers',
        CASE WHEN old.tier = c360_set_tier.tier THEN 'customer.updated' ELSE 'customer.tier_changed' END,
        old.id, 'customer', old.id::text,
        jsonb_build_object('phone', old.phone, 'from', old.tier, 'to', c360_set_tier.tier, 'tier_locked', wanted_lock,
                           'reason', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_tier(text, text, boolean, text) IS
'Sets the tier of a customer by hand; also how a blacklist is made or lifted.

phone: any spelling. tier: new, silver, gold, platinum or blacklist. locked: whether scoring leaves it as it is; NULL = true. reason: 500 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, not_allowed; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_status(phone text, status text, locked boolean DEFAULT true, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_set_status.phone);
    wanted_lock constant boolean := coalesce(c360_set_status.locked, true);
    why constant text := @extschema@.c360_require_text('reason', c360_set_status.reason, 500, false);
    old record;
BEGIN
    PERFORM @extschema@.c360_require_one_of('status', c360_set_status.status,
                                            '{"Bình thường","Bom hàng","Cảnh báo","Nguy hiểm",VIP}');
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id, c.phone, c.status, c.status_locked, c.tpos_fields INTO old
    FROM c360.customers AS c WHERE c.phone = wanted FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    ELSIF old.status = c360_set_status.status AND old.status_locked = wanted_lock
        AND NOT 'status' = ANY (old.tpos_fields) THEN
        RETURN;
    END IF;
    UPDATE c360.customers AS c SET status = c360_set_status.status, status_locked = wanted_lock,
        tpos_fields = array_remove(c.tpos_fields, 'status'), updated_at = clock_timestamp()
    WHERE c.id = old.id;
    IF old.status <> c360_set_status.status OR old.status_locked <> wanted_lock THEN
        PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', old.id, 'customer', old.id::text,
            jsonb_build_object('phone', old.phone, 'changes', CASE WHEN old.status = c360_set_status.status THEN '{}'::jsonb
                                   ELSE jsonb_build_object('status', jsonb_build_object('from', old.status,
                                                                                        'to', c360_set_status.status)) END,
                               'status_locked', wanted_lock, 'reason', why));
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_status(text, text, boolean, text) IS
'Sets the status of a customer by hand.

phone: any spelling. status: Bình thường, Bom hàng, Cảnh báo, Nguy hiểm or VIP. locked: whether point of sale leaves it as it is; NULL = true. reason: 500 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, not_allowed; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_change_phone(phone text, new_phone text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_change_phone.phone);
    new_number constant text := @extschema@.c360_require_phone(c360_change_phone.new_phone);
    why constant text := @extschema@.c360_require_text('reason', c360_change_phone.reason, 500, true);
    actor constant text := @extschema@.c360_current_actor();
    changed bigint := @extschema@.c360_require_customer(c360_change_phone.phone);
    violated text;
BEGIN
    IF wanted = new_number THEN
        RETURN;
    END IF;
    PERFORM @extschema@.c360_become_owner();
    PERFORM FROM c360.customer_wallets AS w WHERE w.customer_id = changed FOR NO KEY UPDATE;
    PERFORM FROM c360.customers AS c WHERE c.id = changed AND c.phone = wanted FOR UPDATE;
    IF NOT FOUND THEN           -- somebody was faster
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    BEGIN
        UPDATE c360.customers AS c SET phone = new_number, updated_at = clock_timestamp(),
            carrier = CASE WHEN c.carrier IS DISTINCT FROM @extschema@.c360_phone_carrier(wanted) THEN c.carrier
                           ELSE @extschema@.c360_phone_carrier(new_number) END
        WHERE c.id = changed;
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        IF violated <> 'customers_phone_key' THEN
            RAISE;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'phone belongs to another customer',
            DETAIL = 'phone_taken: ' || new_number;
    END;
    INSERT INTO c360.customer_phones (phone, customer_id, until, reason, changed_by)
    VALUES (wanted, changed, clock_timestamp(), why, actor);
    PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', changed, 'customer', changed::text,
        jsonb_build_object('phone', new_number, 'changes', jsonb_build_object('phone',
                               jsonb_build_object('from', wanted, 'to', new_number)), 'reason', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_change_phone(text, text, text) IS
'Gives a customer another phone number. Search finds him by the old one, too; bank transfers and all other functions know the new one only.

phone: his number now, any spelling. new_phone: any spelling; the same number changes nothing. reason: 1 to 500 characters.
Errors: PT404 customer_not_found; PT409 phone_taken; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_add_note(phone text, content text, category text DEFAULT 'general', pinned boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_add_note.phone);
    actor constant text := @extschema@.c360_current_actor();
    kind constant text := coalesce(c360_add_note.category, 'general');
    owner_id bigint;
    note bigint;
BEGIN
    PERFORM @extschema@.c360_require_text('content', c360_add_note.content, 2000, true);
    PERFORM @extschema@.c360_require_one_of('category', kind, '{general,warning,important,follow_up}');
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id INTO owner_id FROM c360.customers AS c WHERE c.phone = wanted FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    INSERT INTO c360.customer_notes (customer_id, content, category, pinned, created_by, created_at)
    VALUES (owner_id, c360_add_note.content, kind, coalesce(c360_add_note.pinned, false), actor, clock_timestamp())
    RETURNING id INTO note;
    PERFORM @extschema@.c360_write_activity('customers', 'customer.note_added', owner_id, 'note', note::text,
        jsonb_build_object('phone', wanted, 'category', kind, 'pinned', coalesce(c360_add_note.pinned, false)));
    RETURN note;
END $$;
COMMENT ON FUNCTION @extschema@.c360_add_note(text, text, text, boolean) IS
'Adds a note to a customer.

phone: any spelling. content: 1 to 2,000 characters. category: general, warning, important or follow_up. pinned: whether it stands before the others.
Answer: id of the note.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, blank, not_allowed; 22001 too_long; 25006 read only; 55000 not installed.';

-- Reading. Money is NULL for callers below agent.

CREATE FUNCTION @extschema@.c360_customers(phones text[] DEFAULT NULL, ids bigint[] DEFAULT NULL)
RETURNS SETOF @extschema@.c360_customer_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    wanted text[];
BEGIN
    IF c360_customers.phones IS NULL AND c360_customers.ids IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: phones or ids';
    ELSIF cardinality(c360_customers.phones) > 1000 OR cardinality(c360_customers.ids) > 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = 'too_many: at most 1000 phones and 1000 ids';
    END IF;
    SELECT array_agg(@extschema@.c360_require_phone(p)) INTO wanted
    FROM unnest(c360_customers.phones) AS p WHERE p IS NOT NULL;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.id, c.phone, c.name, c.email, c.address, c.carrier, c.status, c.tier, c.status_locked, c.tier_locked,
           c.tags, c.aliases, c.tpos_id, c.created_source, c.internal_note,
           CASE WHEN sees_money THEN coalesce(w.balance + w.virtual_balance, 0) END, c.created_at, c.updated_at
    FROM c360.customers c LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    WHERE (c.id = ANY (c360_customers.ids) OR c.phone = ANY (wanted)) AND c.erased_at IS NULL
    ORDER BY c.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_customers(text[], bigint[]) IS
'Many customers, by phones, ids or both, in order of id; unknown and erased ones are left out.

phones: any spelling, 1,000 at most. ids: 1,000 at most.
Answer: rows of c360_customer_row; wallet_total in đồng, NULL for callers below agent.
Errors: 22004 missing_argument; 22023 invalid_phone, too_many; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_recent_customers(max_rows integer DEFAULT 20) RETURNS SETOF @extschema@.c360_customer_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', coalesce(c360_recent_customers.max_rows, 20), 1, 1000);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.id, c.phone, c.name, c.email, c.address, c.carrier, c.status, c.tier, c.status_locked, c.tier_locked,
           c.tags, c.aliases, c.tpos_id, c.created_source, c.internal_note,
           CASE WHEN sees_money THEN coalesce(w.balance + w.virtual_balance, 0) END, c.created_at, c.updated_at
    FROM c360.customers c LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    WHERE c.erased_at IS NULL
    ORDER BY c.created_at DESC, c.id DESC LIMIT coalesce(c360_recent_customers.max_rows, 20);
END $$;
COMMENT ON FUNCTION @extschema@.c360_recent_customers(integer) IS
'The customers created last, newest first.

max_rows: 1 to 1,000.
Answer: rows of c360_customer_row; wallet_total in đồng, NULL for callers below agent.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_activities(phone text, before_id bigint DEFAULT NULL, max_rows integer DEFAULT 50)
RETURNS SETOF @extschema@.c360_activity_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_activities.phone);
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', coalesce(c360_activities.max_rows, 50), 1, 1000);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT a.id, a.topic, a.event, a.reference_type, a.reference_id,
           CASE WHEN sees_money THEN a.payload ELSE a.payload - 'amount' END, a.actor, a.created_at
    FROM c360.customer_activities a
    WHERE a.customer_id = wanted AND a.id < coalesce(c360_activities.before_id, 9223372036854775807)
      AND (sees_money OR a.topic NOT IN ('wallets', 'bank'))
    ORDER BY a.id DESC LIMIT coalesce(c360_activities.max_rows, 50);
END $$;
COMMENT ON FUNCTION @extschema@.c360_activities(text, bigint, integer) IS
'The timeline of a customer, newest first, in pages.

phone: any spelling. before_id: the last id of the page before; NULL = from the newest. max_rows: 1 to 1,000.
Answer: rows of c360_activity_row; what concerns wallets and bank, and the amounts of orders, are left out for callers below agent.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_customer(phone text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_customer.phone);
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    customer jsonb;
    wallet jsonb;
    rfm jsonb;
    tickets jsonb;
    activities jsonb;
    notes jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT jsonb_build_object(
               'id', c.id, 'phone', c.phone, 'name', c.name, 'email', c.email, 'address', c.address, 'carrier', c.carrier,
               'status', c.status, 'tier', c.tier, 'status_locked', c.status_locked, 'tier_locked', c.tier_locked,
               'tags', c.tags, 'aliases', c.aliases, 'tpos_id', c.tpos_id, 'created_source', c.created_source,
               'internal_note', c.internal_note, 'created_at', c.created_at, 'updated_at', c.updated_at,
               'former_phones', ARRAY(SELECT f.phone FROM c360.customer_phones f WHERE f.customer_id = c.id
                                      ORDER BY f.until DESC),
               'orders', jsonb_build_object(
                   'total', coalesce(o.total, 0), 'delivered', coalesce(o.delivered, 0),
                   'returned', coalesce(o.returned, 0), 'spent', CASE WHEN sees_money THEN coalesce(o.spent, 0) END,
                   'first_order_at', o.first_order_at, 'last_order_at', o.last_order_at,
                   'return_rate', round(100.0 * o.decided_returned / nullif(o.decided, 0), 2)),
               'flags', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                             'flag_id', f.id, 'rule', f.rule, 'severity', f.severity, 'action', f.action,
                             'status', f.status, 'times', f.times, 'found_at', f.found_at) ORDER BY f.id), '[]')
                         FROM c360.fraud_flags f
                         WHERE f.customer_id = c.id AND f.mode = 'on' AND f.status <> 'dismissed'),
               -- why: the flag that did it, else what was said when it was done by hand
               'blacklist', CASE WHEN c.tier = 'blacklist' THEN coalesce(
                   (SELECT jsonb_build_object('since', f.acted_at, 'reason', f.rule, 'flag_id', f.id, 'by', 'fraud scan')
                    FROM c360.fraud_flags f
                    WHERE f.customer_id = c.id AND f.acted_at = c.blacklisted_at AND f.status <> 'dismissed' LIMIT 1),
                   (SELECT jsonb_build_object('since', c.blacklisted_at, 'reason', a.payload ->> 'reason', 'flag_id', NULL,
                                              'by', a.actor)
                    FROM c360.customer_activities a
                    WHERE a.customer_id = c.id AND a.event = 'customer.tier_changed' AND a.payload ->> 'to' = 'blacklist'
                    ORDER BY a.id DESC LIMIT 1),
                   jsonb_build_object('since', c.blacklisted_at, 'reason', NULL, 'flag_id', NULL, 'by', NULL)) END)
    INTO customer
    FROM c360.customers c LEFT JOIN c360.customer_order_totals o ON o.customer_id = c.id
    WHERE c.id = wanted;
    IF sees_money THEN
        SELECT jsonb_build_object(
                   'balance', coalesce(w.balance, 0), 'virtual_balance', coalesce(w.virtual_balance, 0),
                   'available', CASE WHEN w.frozen_at IS NOT NULL THEN 0
                                     WHEN customer ->> 'tier' = 'blacklist' THEN coalesce(w.balance, 0)
                                     ELSE coalesce(w.balance, 0) + l.usable END,
                   'frozen', w.frozen_at IS NOT NULL, 'total_deposited', coalesce(w.total_deposited, 0),
                   'total_withdrawn', coalesce(w.total_withdrawn, 0),
                   'total_virtual_issued', coalesce(w.total_virtual_issued, 0),
                   'total_virtual_used', coalesce(w.total_virtual_used, 0),
                   'total_virtual_expired', coalesce(w.total_virtual_expired, 0), 'lots', l.lots)
        INTO wallet
        FROM (SELECT coalesce(sum(v.remaining_amount) FILTER (WHERE v.expires_at > clock_timestamp()), 0)::bigint AS usable,
                     coalesce(jsonb_agg(jsonb_build_object(
                         'credit_id', v.id, 'amount', v.remaining_amount, 'expires_at', v.expires_at, 'kind', v.kind,
                         'source_id', v.source_id, 'original_amount', v.original_amount) ORDER BY v.expires_at, v.id), '[]') AS lots
              FROM c360.virtual_credits v WHERE v.customer_id = wanted AND v.status = 'ACTIVE') AS l
        LEFT JOIN c360.customer_wallets w ON w.customer_id = wanted;
    END IF;
    SELECT jsonb_build_object(
               'r', s.r, 'f', s.f, 'm', s.m, 'overall', round((s.r + s.f + s.m) / 3.0, 2), 'segment', s.segment,
               'frequency', s.frequency, 'monetary', CASE WHEN sees_money THEN s.monetary END, 'last_order_on', s.last_on,
               'previous_segment', h.from_segment, 'segment_since', h.at)
    INTO rfm
    FROM c360.customer_rfm s
    LEFT JOIN LATERAL (SELECT k.from_segment, k.at FROM c360.rfm_history k
                       WHERE k.customer_id = wanted AND k.from_segment IS DISTINCT FROM k.to_segment
                       ORDER BY k.id DESC LIMIT 1) h ON true
    WHERE s.customer_id = wanted;
    -- one pass over his tickets; of those that are long closed only the count is told
    SELECT jsonb_build_object(
               'total', count(*), 'open', count(*) FILTER (WHERE t.is_open),
               'by_status', jsonb_build_object(
                   'new', count(*) FILTER (WHERE t.status = 'new'),
                   'processing', count(*) FILTER (WHERE t.status = 'processing'),
                   'waiting_carrier', count(*) FILTER (WHERE t.status = 'waiting_carrier'),
                   'completed', count(*) FILTER (WHERE t.status = 'completed'),
                   'cancelled', count(*) FILTER (WHERE t.status = 'cancelled')),
               'open_tickets', coalesce(jsonb_agg(t.told ORDER BY t.id DESC) FILTER (WHERE t.is_open), '[]'),
               'last', coalesce(jsonb_agg(t.told ORDER BY t.id DESC) FILTER (WHERE t.place <= 10), '[]'))
    INTO tickets
    FROM (SELECT s.id, s.status, s.is_open, s.place,
                 CASE WHEN s.is_open OR s.place <= 10 THEN jsonb_build_object(
                     'id', s.id, 'ticket_code', s.ticket_code, 'type', s.type, 'status', s.status, 'priority', s.priority,
                     'order_code', s.order_code, 'subject', s.subject, 'deadline', s.deadline, 'assignee', s.assignee,
                     'created_at', s.created_at, 'completed_at', s.completed_at) END AS told
          FROM (SELECT k.*, k.status IN ('new', 'processing', 'waiting_carrier') AS is_open,
                       row_number() OVER (ORDER BY k.id DESC) AS place
                FROM c360.customer_tickets k WHERE k.customer_id = wanted AND k.deleted_at IS NULL) AS s) AS t;
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'id', a.id, 'topic', a.topic, 'event', a.event, 'reference_type', a.reference_type,
               'reference_id', a.reference_id,
               'payload', CASE WHEN sees_money THEN a.payload ELSE a.payload - 'amount' END, 'actor', a.actor, 'created_at', a.created_at)
               ORDER BY a.id DESC), '[]')
    INTO activities
    FROM (SELECT * FROM c360.customer_activities y
          WHERE y.customer_id = wanted AND (sees_money OR y.topic NOT IN ('wallets', 'bank'))
          ORDER BY y.id DESC LIMIT 20) AS a;
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'id', n.id, 'content', n.content, 'category', n.category, 'pinned', n.pinned,
               'created_by', n.created_by, 'created_at', n.created_at) ORDER BY n.pinned DESC, n.id DESC), '[]')
    INTO notes
    FROM (SELECT * FROM c360.customer_notes e WHERE e.customer_id = wanted
          ORDER BY e.pinned DESC, e.id DESC LIMIT 50) AS n;
    RETURN jsonb_build_object('customer', customer, 'wallet', wallet, 'rfm', rfm, 'tickets', tickets,
                              'activities', activities, 'notes', notes);
END $$;
COMMENT ON FUNCTION @extschema@.c360_customer(text) IS
'All about one customer in one call: profile with order statistics, wallet with its ACTIVE lots, scores, tickets, timeline, notes.

phone: any spelling.
Answer: an object with the keys customer (with former_phones, orders, flags of fraud rules that are not dismissed, and blacklist: since when, why and by whom), wallet (null for callers below agent), rfm (as of the last refresh; null without a score), tickets (total, open, by_status, open_tickets, the last 10), activities (the last 20; what concerns wallets and bank, and the amounts of orders, are left out for callers below agent), notes (pinned first, then newest first, 50 at most); amounts in đồng.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_export_customer(phone text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_export_customer.phone);
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN (SELECT jsonb_build_object(
        'customer', to_jsonb(c) - '{name_folded,email_folded,address_folded,tpos_fields,erased_at}'::text[],
        'former_phones', (SELECT coalesce(jsonb_agg(to_jsonb(f) - 'customer_id' ORDER BY f.until), '[]')
                          FROM c360.customer_phones f WHERE f.customer_id = c.id),
        'wallet', (SELECT to_jsonb(w) - 'customer_id' FROM c360.customer_wallets w WHERE w.customer_id = c.id),
        'credits', (SELECT coalesce(jsonb_agg(to_jsonb(v) - 'customer_id' ORDER BY v.id), '[]')
                    FROM c360.virtual_credits v WHERE v.customer_id = c.id),
        'wallet_transactions',
            (SELECT coalesce(jsonb_agg(to_jsonb(t) - '{customer_id,arguments_digest,session_user_name}'::text[]
                             || jsonb_build_object('lots', (SELECT coalesce(jsonb_agg(to_jsonb(u) - 'transaction_id' ORDER BY u.position), '[]')
                                                            FROM c360.virtual_credit_uses u WHERE u.transaction_id = t.id))
                             ORDER BY t.created_at, t.id), '[]')
             FROM c360.wallet_transactions t WHERE t.customer_id = c.id),
        'orders', (SELECT coalesce(jsonb_agg(to_jsonb(o) - '{customer_id,xact}'::text[] ORDER BY o.ordered_at, o.id), '[]')
                   FROM c360.customer_orders o WHERE o.customer_id = c.id),
        'order_totals', (SELECT to_jsonb(o) - 'customer_id' FROM c360.customer_order_totals o WHERE o.customer_id = c.id),
        'rfm', (SELECT to_jsonb(s) - '{customer_id,next_on}'::text[] FROM c360.customer_rfm s WHERE s.customer_id = c.id),
        'rfm_history', (SELECT coalesce(jsonb_agg(to_jsonb(r) - '{id,customer_id}'::text[] ORDER BY r.id), '[]')
                        FROM c360.rfm_history r WHERE r.customer_id = c.id),
        'tickets', (SELECT coalesce(jsonb_agg(to_jsonb(k) - 'customer_id'
                               || jsonb_build_object('history', (SELECT coalesce(jsonb_agg(to_jsonb(h) - 'ticket_id' ORDER BY h.id), '[]')
                                                                 FROM c360.ticket_history h WHERE h.ticket_id = k.id))
                               ORDER BY k.id), '[]')
                    FROM c360.customer_tickets k WHERE k.customer_id = c.id),
        'notes', (SELECT coalesce(jsonb_agg(to_jsonb(n) - 'customer_id' ORDER BY n.id), '[]')
                  FROM c360.customer_notes n WHERE n.customer_id = c.id),
        'bank_transactions',
            -- what is another's now is not told to him
            (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                 'link', to_jsonb(l) - 'customer_id', 'transaction', to_jsonb(b),
                                 'differences', (SELECT coalesce(jsonb_agg(to_jsonb(d) - 'bank_transaction_id' ORDER BY d.received_at), '[]')
                                                 FROM c360.balance_history_differences d WHERE d.bank_transaction_id = b.id))
                             ORDER BY l.id), '[]')
             FROM c360.bank_links l
             LEFT JOIN c360.balance_history b ON b.id = l.bank_transaction_id AND NOT EXISTS (
                 SELECT FROM c360.bank_links o
                 WHERE o.bank_transaction_id = b.id AND o.customer_id <> c.id AND o.unlinked_at IS NULL)
             WHERE l.customer_id = c.id),
        'fraud_flags', (SELECT coalesce(jsonb_agg(to_jsonb(f) - '{customer_id,counted,activity_id}'::text[] ORDER BY f.id), '[]')
                        FROM c360.fraud_flags f WHERE f.customer_id = c.id),
        'fraud_snoozes', (SELECT coalesce(jsonb_agg(to_jsonb(z) - 'customer_id' ORDER BY z.id), '[]')
                          FROM c360.fraud_snoozes z WHERE z.customer_id = c.id),
        'qr_codes', (SELECT coalesce(jsonb_agg(to_jsonb(q) - 'customer_id' ORDER BY q.created_at), '[]')
                     FROM c360.balance_customer_info q WHERE q.customer_id = c.id),
        'activities', (SELECT coalesce(jsonb_agg(to_jsonb(a) - '{customer_id,xact,session_user_name}'::text[] ORDER BY a.id), '[]')
                       FROM c360.customer_activities a WHERE a.customer_id = c.id))
        FROM c360.customers c WHERE c.id = wanted);
END $$;
COMMENT ON FUNCTION @extschema@.c360_export_customer(text) IS
'Everything that is kept of one customer, as one object, to be handed out to him.

phone: any spelling.
Answer: an object with the keys customer, former_phones, wallet, credits, wallet_transactions (with lots), orders, order_totals, rfm, rfm_history, tickets (with history), notes, bank_transactions (link, transaction, differences; of a transfer that is another''s now only the link), fraud_flags, fraud_snoozes, qr_codes, activities; amounts in đồng.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_erase_customer(phone text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_erase_customer.phone);
    why constant text := @extschema@.c360_require_text('reason', c360_erase_customer.reason, 500, true);
    erased constant bigint := @extschema@.c360_require_customer(c360_erase_customer.phone);
    numbers text[];
    number text;
    spelled text;       -- pattern of his numbers as they may be written in a transfer
    transfers bigint[];
    wallet record;
    left_over text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- flags, transfers and tickets before the wallet, as when one is reviewed, linked or resolved;
    -- all before the customer, so that no money comes while we look; a wallet
    -- that never moved has no row yet
    PERFORM FROM c360.fraud_flags AS f WHERE f.customer_id = erased ORDER BY f.id FOR UPDATE;
    numbers := ARRAY(SELECT f.phone FROM c360.customer_phones AS f WHERE f.customer_id = erased) || wanted;
    -- a former number may be another's now
    spelled := '([^0-9]|^)(?:(?:(?:00|[+]) ?)?84[ .-]?0?|0)?(?:'
        || (SELECT string_agg(regexp_replace(substr(n, 2), '([0-9])(?=[0-9])', E'\\1[ .-]?', 'g'), '|') FROM unnest(numbers) AS n
            WHERE NOT EXISTS (SELECT FROM c360.customers AS c WHERE c.phone = n AND c.id <> erased)) || ')(?![0-9])';
    SELECT array_agg(l.id) INTO transfers
    FROM (SELECT b.id FROM c360.balance_history AS b
          WHERE b.id IN (SELECT k.bank_transaction_id FROM c360.bank_links AS k WHERE k.customer_id = erased)
             OR b.content ~ spelled OR b.raw_data::text ~ spelled
          ORDER BY b.id FOR NO KEY UPDATE) AS l;
    PERFORM FROM c360.customer_tickets AS t WHERE t.customer_id = erased ORDER BY t.id FOR UPDATE;
    INSERT INTO c360.customer_wallets (customer_id) VALUES (erased) ON CONFLICT DO NOTHING;
    SELECT w.balance, w.virtual_balance INTO wallet FROM c360.customer_wallets AS w
    WHERE w.customer_id = erased FOR NO KEY UPDATE;
    PERFORM FROM c360.customers AS c WHERE c.id = erased AND c.phone = wanted FOR UPDATE;
    IF NOT FOUND THEN           -- somebody was faster
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    left_over := CASE
        WHEN wallet.balance <> 0 THEN format('balance_left: %s in real money', wallet.balance)
        WHEN EXISTS (SELECT FROM c360.virtual_credits AS v WHERE v.customer_id = erased AND v.status = 'ACTIVE')
            THEN format('credits_active: %s in credit', wallet.virtual_balance)
        WHEN EXISTS (SELECT FROM c360.customer_tickets AS t WHERE t.customer_id = erased AND t.deleted_at IS NULL
                     AND t.status IN ('new', 'processing', 'waiting_carrier'))
            THEN 'tickets_open: the customer has open tickets' END;
    IF left_over IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'customer cannot be erased yet', DETAIL = left_over;
    END IF;

    UPDATE c360.customers AS c SET phone = NULL, name = '', name_folded = '', email = NULL, email_folded = NULL,
        address = NULL, address_folded = NULL, carrier = NULL, tags = '{}', aliases = '{}', tpos_id = NULL, tpos_data = NULL,
        tpos_fields = '{}', internal_note = NULL, erased_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE c.id = erased;
    DELETE FROM c360.customer_phones AS f WHERE f.customer_id = erased;
    UPDATE c360.customer_notes AS n SET content = '' WHERE n.customer_id = erased;
    UPDATE c360.ticket_history AS h SET note = NULL, details = NULL
    FROM c360.customer_tickets AS t WHERE t.customer_id = erased AND h.ticket_id = t.id;
    UPDATE c360.customer_tickets AS t SET subject = NULL, description = NULL, products = NULL, attachments = NULL,
        tracking_code = NULL, reason = NULL, delete_reason = NULL
    WHERE t.customer_id = erased;
    -- Transfers that are his, that once were and are nobody else's since, or that name his number and could be
    -- nobody else's: their texts go. Of others that name it only the number goes.
    WITH named AS (
        SELECT b.id FROM c360.balance_history AS b
        WHERE b.id = ANY (transfers) AND (b.content ~ spelled OR b.raw_data::text ~ spelled)),
    others AS (
        SELECT n.id FROM named AS n
        WHERE EXISTS (SELECT FROM c360.bank_links AS o
                      WHERE o.bank_transaction_id = n.id AND o.customer_id <> erased AND o.unlinked_at IS NULL)
           OR EXISTS (SELECT FROM c360.pending_customer_matches AS m, jsonb_array_elements(m.candidates) AS k
                      WHERE m.bank_transaction_id = n.id AND m.status = 'pending' AND k ->> 'value' <> ALL (numbers))),
    his AS (
        SELECT l.bank_transaction_id AS id FROM c360.bank_links AS l
        WHERE l.customer_id = erased AND NOT EXISTS (
            SELECT FROM c360.bank_links AS o
            WHERE o.bank_transaction_id = l.bank_transaction_id AND o.customer_id <> erased AND o.unlinked_at IS NULL)
        UNION
        SELECT n.id FROM named AS n WHERE n.id NOT IN (SELECT o.id FROM others AS o)),
    differences AS (
        UPDATE c360.balance_history_differences AS d SET raw_data = '{}' FROM his WHERE d.bank_transaction_id = his.id),
    links AS (
        UPDATE c360.bank_links AS l SET reason = NULL FROM his
        WHERE l.bank_transaction_id = his.id AND l.reason IS NOT NULL),
    matches AS (
        UPDATE c360.pending_customer_matches AS m SET candidates = '[]', reason = NULL FROM his
        WHERE m.bank_transaction_id = his.id),
    -- by 0, since that stays JSON where the number stood without quotes
    differences_of_others AS (
        UPDATE c360.balance_history_differences AS d SET raw_data = regexp_replace(d.raw_data::text, spelled, E'\\10', 'g')::jsonb
        FROM others WHERE d.bank_transaction_id = others.id AND others.id NOT IN (SELECT h.id FROM his AS h)),
    matches_of_others AS (
        UPDATE c360.pending_customer_matches AS m
        SET candidates = (SELECT coalesce(jsonb_agg(k.value ORDER BY k.ordinality), '[]')
                          FROM jsonb_array_elements(m.candidates) WITH ORDINALITY AS k WHERE k.value ->> 'value' <> ALL (numbers))
        FROM others WHERE m.bank_transaction_id = others.id AND others.id NOT IN (SELECT h.id FROM his AS h)),
    texts_of_others AS (
        UPDATE c360.balance_history AS b SET content = regexp_replace(b.content, spelled, E'\\10', 'g'),
            description = regexp_replace(b.description, spelled, E'\\10', 'g'), code = regexp_replace(b.code, spelled, E'\\10', 'g'),
            sub_account = regexp_replace(b.sub_account, spelled, E'\\10', 'g'),
            reference_code = regexp_replace(b.reference_code, spelled, E'\\10', 'g'),
            raw_data = regexp_replace(b.raw_data::text, spelled, E'\\10', 'g')::jsonb,
            decision = regexp_replace(b.decision::text, spelled, E'\\10', 'g')::jsonb
        FROM others WHERE b.id = others.id AND others.id NOT IN (SELECT h.id FROM his AS h))
    UPDATE c360.balance_history AS b SET content = NULL, description = NULL, code = NULL, sub_account = NULL,
        reference_code = NULL, raw_data = '{}', decision = NULL, error = NULL
    FROM his WHERE b.id = his.id;
    UPDATE c360.bank_links AS l SET reason = NULL WHERE l.customer_id = erased;
    UPDATE c360.balance_customer_info AS q SET retired_at = clock_timestamp()
    WHERE q.customer_id = erased AND q.retired_at IS NULL;
    UPDATE c360.fraud_flags AS f SET note = NULL WHERE f.customer_id = erased AND f.note IS NOT NULL;
    UPDATE c360.fraud_snoozes AS z SET note = NULL WHERE z.customer_id = erased AND z.note IS NOT NULL;
    DELETE FROM c360.fraud_rechecks AS r WHERE r.customer_id = erased;
    UPDATE c360.customer_activities AS a SET payload = '{}' WHERE a.customer_id = erased AND a.payload <> '{}';
    DELETE FROM c360.event_streams AS s
    WHERE s.channels && ARRAY(SELECT 'wallet:' || n FROM unnest(numbers) AS n);
    FOREACH number IN ARRAY numbers LOOP
        UPDATE c360.audit_logs AS g SET detail = replace(g.detail, number, '(erased)') WHERE strpos(g.detail, number) > 0;
    END LOOP;
    PERFORM @extschema@.c360_write_activity('customers', 'customer.erased', erased, 'customer', erased::text,
                                            jsonb_build_object('reason', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_erase_customer(text, text) IS
'Blanks all that is personal of a customer: his fields and numbers, notes, texts of tickets and bank transfers, details of the timeline. The ledger stays as it is; his number is free for a new customer.

phone: any spelling. reason: 1 to 500 characters; it is kept, so it names nobody.
Errors: PT404 customer_not_found; PT409 balance_left, credits_active, tickets_open; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';

-- Search for customers.
--
-- A customer is found at his best rank. The ranks are gone through from the
-- best one down until there are enough rows. What a rank finds is ordered by
-- id, which no index of the text that is looked for can give; so of each rank
--
-- - an index of the text gives at most 1,000 candidates; if that is all there
--   are, they are the answer. Beginnings of phones and names are found so;
-- - what is in the middle of a text could cost an index of trigrams a long
--   list, if it is frequent. Then a short walk along the primary key finds
--   enough, so that goes first: 3,000 customers from where the page begins, for
--   20 rows. What is so rare that this was not enough is in a short list.
--
-- What has no trigram (two letters) or begins with what has none (a letter and
-- a blank) is looked for at the beginnings of words, two digits at the end of
-- the phone, besides that walk.

CREATE FUNCTION @extschema@.c360_search_customers(query text, max_rows integer DEFAULT 20, after text DEFAULT NULL)
RETURNS TABLE (customer_id bigint, phone text, name text, tier text, status text, wallet_total bigint, rank integer, cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 20 SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
<<own>>
DECLARE
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    most constant integer := coalesce(c360_search_customers.max_rows, 20);
    walk constant integer := 2000 + 50 * least(greatest(most, 0), 360);
    candidates constant integer := 1000;
    beyond constant text := chr(1114111);      -- after every character
    q constant text := @extschema@.c360_fold(c360_search_customers.query);
    q_like constant text := replace(replace(replace(q, E'\\', E'\\\\'), '%', E'\\%'), '_', E'\\_');
    by_trigram constant boolean := q ~ '[a-z0-9]{3}|[a-z0-9]{2}[^a-z0-9]|[^a-z0-9][a-z0-9]';
    at_words constant boolean := q ~ '^[a-z0-9]{2}$|^[a-z0-9][^a-z0-9]';
    middle constant text := CASE WHEN at_words THEN '% ' ELSE '%' END || q_like || '%';
    digits text;
    exact text;         -- a whole phone
    beginning text;     -- of a phone
    part text;          -- of a phone
    former jsonb;       -- customers with such a former number, by id, and their rank
    after_rank integer := 100;
    after_id bigint := 0;
    r integer;
    from_id bigint;
    needed integer;
    found_ids bigint[];
    candidate_ids bigint[];
    ids bigint[] := '{}';
    ranks integer[] := '{}';
BEGIN
    IF c360_search_customers.query IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: query';
    ELSIF char_length(q) < 2 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'query is too short',
            DETAIL = 'query_too_short: at least 2 characters are needed';
    END IF;
    PERFORM @extschema@.c360_require_text('query', c360_search_customers.query, 2000, false);
    PERFORM @extschema@.c360_require_range('max_rows', most, 1, 1000);
    IF after IS NOT NULL THEN
        IF after !~ '^(100|95|90|85|80|70|50|30):[0-9]{1,18}$' THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid cursor',
                DETAIL = 'invalid_cursor: after is the cursor of a row of this search';
        END IF;
        after_rank := split_part(after, ':', 1);
        after_id := split_part(after, ':', 2);
    END IF;

    -- what could be a phone
    IF q ~ '^[-+0-9 .()/]+$' THEN
        digits := regexp_replace(q, '[^0-9]', '', 'g');
        exact := @extschema@.c360_normalize_phone(q);
        IF digits ~ '^0084.' OR q ~ '^[+] *84.' THEN
            digits := '0' || regexp_replace(digits, '^(00)?840?', '');
        END IF;
        beginning := CASE WHEN exact IS NOT NULL THEN exact
                          WHEN digits ~ '^84.' THEN '0' || regexp_replace(digits, '^840?', '') ELSE digits END;
        part := coalesce(exact, digits);
        beginning := CASE WHEN char_length(beginning) >= 2 THEN beginning END;
        part := CASE WHEN char_length(part) >= 2 THEN part END;
    END IF;

    PERFORM @extschema@.c360_become_owner();
    IF part IS NOT NULL THEN
        SELECT jsonb_object_agg(f.customer_id, f.rank) INTO former
        FROM (SELECT n.customer_id, max(CASE WHEN n.phone = exact THEN 100 WHEN starts_with(n.phone, beginning) THEN 95
                                             WHEN strpos(n.phone, part) > 0 THEN 90 END) AS rank
              FROM ((SELECT * FROM c360.customer_phones p WHERE char_length(part) > 2 AND p.phone LIKE '%' || part || '%'
                     LIMIT candidates)
                    UNION ALL
                    (SELECT * FROM c360.customer_phones p WHERE char_length(part) = 2 AND strpos(p.phone, part) > 0
                     LIMIT candidates)
                    UNION ALL
                    (SELECT * FROM c360.customer_phones p WHERE p.phone ~>=~ beginning AND p.phone ~<~ (beginning || beyond)
                     LIMIT candidates)) AS n
              GROUP BY n.customer_id) AS f
        WHERE f.rank IS NOT NULL;
    END IF;
    FOREACH r IN ARRAY ARRAY[100, 95, 90, 85, 80, 70, 50, 30] LOOP
        needed := most - cardinality(ids);
        EXIT WHEN needed <= 0;
        CONTINUE WHEN r > after_rank OR (r = 100 AND exact IS NULL) OR (r = 95 AND beginning IS NULL)
                   -- a longer part is a whole phone or its beginning
                   OR (r = 90 AND (part IS NULL OR char_length(part) > 9));
        from_id := CASE WHEN r = after_rank THEN after_id ELSE 0 END;
        found_ids := NULL;
        candidate_ids := NULL;

        -- an index that orders by what we look for
        IF r = 100 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.phone = exact);
        ELSIF r = 95 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                   WHERE c.phone ~>=~ beginning AND c.phone ~<~ (beginning || beyond)
                                   ORDER BY c.phone USING ~<~ LIMIT candidates + 1);
        ELSIF r = 85 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.name_folded = q AND c.id > from_id
                                   ORDER BY c.id LIMIT CASE WHEN part IS NULL THEN needed ELSE candidates END);
        ELSIF r = 80 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                   WHERE c.name_folded ~>=~ q AND c.name_folded ~<~ (q || beyond)
                                   ORDER BY c.name_folded USING ~<~, c.id LIMIT candidates + 1);
        END IF;

        -- a walk along the primary key; long numbers are rare in names, emails and addresses
        IF cardinality(candidate_ids) > candidates OR (r IN (90, 70, 50, 30) AND (r = 90 OR coalesce(char_length(part), 0) < 5)) THEN
            found_ids := ARRAY(
                SELECT c.id
                FROM (SELECT * FROM c360.customers w WHERE w.id > from_id ORDER BY w.id LIMIT walk) c
                WHERE r = greatest((former ->> c.id::text)::integer, CASE
                    WHEN c.phone = own.exact THEN 100
                    WHEN starts_with(c.phone, own.beginning) THEN 95
                    WHEN strpos(c.phone, own.part) > 0 THEN 90
                    WHEN c.name_folded = q THEN 85
                    WHEN starts_with(c.name_folded, q) THEN 80
                    WHEN strpos(c.name_folded, q) > 0 THEN 70
                    WHEN strpos(c.email_folded, q) > 0 THEN 50
                    WHEN strpos(c.address_folded, q) > 0 THEN 30 END)
                ORDER BY c.id LIMIT needed);
            IF cardinality(found_ids) = needed THEN
                ids := ids || found_ids;
                ranks := ranks || array_fill(r, ARRAY[needed]);
                CONTINUE;
            END IF;
        END IF;

        -- Candidates by index; of the branches only the one of this rank is run. What is in the middle of a text
        -- is not frequent here (id + 0: by the index of the text, not of the id).
        found_ids := found_ids || ARRAY(
            SELECT DISTINCT c.id
            FROM (SELECT k.* FROM unnest(candidate_ids) AS u JOIN c360.customers k ON k.id = u
                  UNION ALL
                  SELECT k.* FROM jsonb_each_text(former) AS f JOIN c360.customers k ON k.id = f.key::bigint WHERE r >= 90
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 90 AND by_trigram AND char_length(part) > 2
                   AND k.phone LIKE '%' || part || '%' AND k.id + 0 > from_id LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 90 AND char_length(part) = 2
                   AND reverse(k.phone) ~>=~ reverse(part) AND reverse(k.phone) ~<~ (reverse(part) || beyond) LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 70 AND (by_trigram OR at_words)
                   AND k.name_folded LIKE middle AND k.id + 0 > from_id LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 50 AND by_trigram
                   AND k.email_folded LIKE middle AND k.id + 0 > from_id LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 50 AND NOT by_trigram
                   AND k.email_folded ~>=~ q AND k.email_folded ~<~ (q || beyond) LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 30 AND (by_trigram OR at_words)
                   AND (k.address_folded LIKE middle OR at_words AND k.address_folded LIKE q_like || '%')
                   AND k.id + 0 > from_id LIMIT candidates)) AS c
            WHERE c.id > from_id AND c.id <> ALL (coalesce(found_ids, '{}'))
              AND r = greatest((former ->> c.id::text)::integer, CASE
                    WHEN c.phone = own.exact THEN 100
                    WHEN starts_with(c.phone, own.beginning) THEN 95
                    WHEN strpos(c.phone, own.part) > 0 THEN 90
                    WHEN c.name_folded = q THEN 85
                    WHEN starts_with(c.name_folded, q) THEN 80
                    WHEN strpos(c.name_folded, q) > 0 THEN 70
                    WHEN strpos(c.email_folded, q) > 0 THEN 50
                    WHEN strpos(c.address_folded, q) > 0 THEN 30 END)
            ORDER BY c.id LIMIT needed);
        found_ids := (SELECT (array_agg(u ORDER BY u))[:needed] FROM unnest(found_ids) AS u);
        IF found_ids IS NOT NULL THEN
            ids := ids || found_ids;
            ranks := ranks || array_fill(r, ARRAY[cardinality(found_ids)]);
        END IF;
    END LOOP;

    RETURN QUERY
    SELECT c.id, c.phone, c.name, c.tier, c.status,
           CASE WHEN sees_money THEN coalesce(w.balance + w.virtual_balance, 0) END, f.rank, f.rank || ':' || c.id
    FROM unnest(ids, ranks) WITH ORDINALITY AS f (id, rank, place)
    JOIN c360.customers c ON c.id = f.id
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    ORDER BY f.place;
END $$;
COMMENT ON FUNCTION @extschema@.c360_search_customers(text, integer, text) IS
'Finds customers by phone in any spelling (former numbers, too), name with or without accents, email or address, the best ones first.

query: at least 2 characters; % and _ are plain ones. max_rows: 1 to 1,000. after: the cursor of the last row of the page before; NULL = from the beginning.
Answer: rows by rank (100 the phone, 95 its beginning, 90 part of it, 85 the name, 80 its beginning, 70 part of it, 50 part of the email, 30 part of the address) and within a rank by customer_id; each customer once, at his best rank; wallet_total (real and virtual balance, đồng) is NULL for callers below agent; cursor. Of parts that are neither frequent nor rare 1,000 customers of a rank are looked at.
Errors: 22004 missing_argument; 22023 query_too_short, out_of_range, invalid_cursor; 22001 too_long; 55000 not installed.';

-- Orders of the point-of-sale system, and what is counted from them.
--
-- Functions that call others stay the owner of the extension, who alone may
-- call all of them, and touch no table; those that touch tables become the
-- owner of these and write the activity of what they did. Locks: the ticket,
-- then the wallet, then the totals of the customer's orders, then the customer:
-- his key, so that erasing him and changing his number wait, then his row. Who
-- waits for totals holds no key yet, since erasing might wait for that.

CREATE FUNCTION @extschema@.c360_put_order(phone text, order_code text, amount bigint, ordered_at timestamptz,
    status text, OUT order_id bigint, OUT customer_id bigint, OUT changed boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    buyer bigint;
    known record;
    dated timestamptz;
    blocked_since timestamptz;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id INTO buyer FROM c360.customers AS c WHERE c.phone = c360_put_order.phone;
    IF buyer IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO c360.customer_order_totals (customer_id) VALUES (buyer) ON CONFLICT DO NOTHING;
    PERFORM FROM c360.customer_order_totals AS t WHERE t.customer_id = buyer FOR UPDATE;
    -- as the foreign key will: who was erased or gave up his number meanwhile is not whom it is for
    PERFORM FROM c360.customers AS c WHERE c.id = buyer AND c.phone = c360_put_order.phone FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- somebody may insert it between our look and our insert; then it is known
    FOR tries IN 1..10 LOOP
        SELECT o.* INTO known FROM c360.customer_orders AS o
        WHERE o.order_code = c360_put_order.order_code FOR UPDATE;
        EXIT WHEN FOUND;
        dated := coalesce(c360_put_order.ordered_at, now());
        IF c360_put_order.status = 'pending' THEN
            SELECT coalesce(c.blacklisted_at, '-infinity') INTO blocked_since
            FROM c360.customers AS c WHERE c.id = buyer AND c.tier = 'blacklist';
            IF blocked_since <= coalesce(c360_put_order.ordered_at, clock_timestamp()) THEN
                RAISE EXCEPTION USING ERRCODE = 'PT403', MESSAGE = 'customer is blacklisted',
                    DETAIL = format('blacklisted: customer %s takes no new order%s', buyer,
                        (SELECT format(', by fraud flag %s (%s)', f.id, f.rule) FROM c360.fraud_flags AS f
                         WHERE f.customer_id = buyer AND f.acted_at = blocked_since AND f.status <> 'dismissed' LIMIT 1)),
                    HINT = 'Later states of known orders and orders dated before the blacklisting are recorded.';
            END IF;
        END IF;
        INSERT INTO c360.customer_orders AS o (customer_id, order_code, amount, status, ordered_at)
        VALUES (buyer, c360_put_order.order_code, c360_put_order.amount, c360_put_order.status, dated)
        ON CONFLICT (order_code) DO NOTHING
        RETURNING o.id, o.customer_id, true INTO order_id, customer_id, changed;
        EXIT WHEN FOUND;
    END LOOP;
    IF known.id IS NULL AND order_id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '09000', MESSAGE = 'a row that c360 inserted is not there',
            HINT = 'Let triggers on c360.customer_orders keep the row and its key.';
    ELSIF known.customer_id <> buyer THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'order of another customer',
            DETAIL = format('order_taken: "%s" is an order of another customer', c360_put_order.order_code);
    END IF;
    IF order_id IS NULL THEN
        order_id := known.id;
        customer_id := buyer;
        dated := coalesce(c360_put_order.ordered_at, known.ordered_at);
        changed := (known.amount, known.status, known.ordered_at)
                   IS DISTINCT FROM (c360_put_order.amount, c360_put_order.status, dated);
        IF NOT changed THEN
            RETURN;
        END IF;
        UPDATE c360.customer_orders AS o SET amount = c360_put_order.amount, status = c360_put_order.status,
            ordered_at = dated, updated_at = clock_timestamp(), xact = pg_current_xact_id()
        WHERE o.id = known.id;
    END IF;
    PERFORM @extschema@.c360_write_activity('customers', 'order.recorded', buyer, 'order', c360_put_order.order_code,
        jsonb_build_object('phone', c360_put_order.phone, 'order_code', c360_put_order.order_code,
                           'amount', c360_put_order.amount, 'status', c360_put_order.status, 'ordered_at', dated));
END $$;
COMMENT ON FUNCTION @extschema@.c360_put_order(text, text, bigint, timestamptz, text) IS
'Internal: writes the row of an order, under the lock of the customer''s totals.

phone: canonical. ordered_at: NULL = now, or as it is. order_code, amount, status: as c360_record_order() takes them, checked.
Answer: id of order and customer, whether anything changed; all NULL for an unknown phone.
Errors: PT403 blacklisted; PT409 order_taken; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_count_orders(customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    fewest integer;
    before record;
    orders record;
    returns record;
    wanted text;
    labelled record;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    INSERT INTO c360.customer_order_totals (customer_id) VALUES (c360_count_orders.customer_id) ON CONFLICT DO NOTHING;
    SELECT t.label INTO before FROM c360.customer_order_totals AS t
    WHERE t.customer_id = c360_count_orders.customer_id FOR UPDATE;
    SELECT count(*) FILTER (WHERE o.status <> 'cancelled') AS total,
           count(*) FILTER (WHERE o.status = 'delivered') AS delivered,
           count(*) FILTER (WHERE o.status = 'returned') AS returned,
           coalesce(sum(o.amount) FILTER (WHERE o.status IN ('pending', 'delivered')), 0) AS spent,
           min(o.ordered_at) FILTER (WHERE o.status <> 'cancelled') AS first_order_at,
           max(o.ordered_at) FILTER (WHERE o.status <> 'cancelled') AS last_order_at
    INTO orders
    FROM c360.customer_orders AS o WHERE o.customer_id = c360_count_orders.customer_id;
    IF orders.spent > 9223372036854775807 THEN
        RAISE EXCEPTION USING ERRCODE = '22003', MESSAGE = 'amount out of range',
            DETAIL = 'overflow: all orders of the customer are ' || orders.spent;
    END IF;
    SELECT count(*) AS decided, count(*) FILTER (WHERE c.returned) AS returned INTO returns
    FROM (SELECT d.order_code, bool_or(d.returned) AS returned
          FROM (SELECT o.order_code, o.status = 'returned' AS returned FROM c360.customer_orders AS o
                WHERE o.customer_id = c360_count_orders.customer_id AND o.status IN ('delivered', 'returned')
                UNION ALL
                SELECT t.order_code, true
                -- OFFSET: by the customer, even where the planner knows nothing of the table yet
                FROM (SELECT * FROM c360.customer_tickets AS k
                      WHERE k.customer_id = c360_count_orders.customer_id OFFSET 0) AS t
                JOIN c360.ticket_types AS y ON y.type = t.type
                WHERE t.status = 'completed' AND t.order_code IS NOT NULL AND t.deleted_at IS NULL
                  AND y.counts_as_return) AS d
          GROUP BY d.order_code) AS c;
    SELECT coalesce(s.value, s.default_value)::integer INTO fewest
    FROM c360.settings AS s WHERE s.name = 'return_label_min_orders';
    wanted := CASE WHEN returns.decided < fewest THEN NULL
                   WHEN returns.returned * 2 > returns.decided THEN 'Nguy hiểm'
                   WHEN returns.returned * 10 > returns.decided * 3 THEN 'Cảnh báo'
                   WHEN returns.returned * 5 > returns.decided THEN 'Bom hàng'
                   ELSE 'Bình thường' END;
    -- written even if nothing changed: a transaction with an older snapshot must see that we were here
    UPDATE c360.customer_order_totals AS t SET total = orders.total, delivered = orders.delivered,
        returned = orders.returned, spent = orders.spent, first_order_at = orders.first_order_at,
        last_order_at = orders.last_order_at, decided = returns.decided, decided_returned = returns.returned,
        label = wanted
    WHERE t.customer_id = c360_count_orders.customer_id;
    SELECT c.phone, c.status INTO labelled FROM c360.customers AS c
    WHERE c.id = c360_count_orders.customer_id AND NOT c.status_locked AND c.status <> 'VIP'
      AND CASE WHEN wanted IS NOT NULL THEN c.status <> wanted
               ELSE c.status = before.label AND c.status <> 'Bình thường' END
    FOR NO KEY UPDATE;
    IF FOUND THEN
        wanted := coalesce(wanted, 'Bình thường');
        UPDATE c360.customers AS c SET status = wanted, tpos_fields = array_remove(c.tpos_fields, 'status'),
            updated_at = clock_timestamp()
        WHERE c.id = c360_count_orders.customer_id;
        PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', c360_count_orders.customer_id,
            'customer', c360_count_orders.customer_id::text,
            jsonb_build_object('phone', labelled.phone, 'reason', 'return_rate', 'changes',
                jsonb_build_object('status', jsonb_build_object('from', labelled.status, 'to', wanted))));
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_count_orders(bigint) IS
'Internal: to be called after each change of what a customer''s orders are counted from: counts them anew, under the lock of the row that holds the totals, and sets the label (status) that his return rate gives him.

Below the setting return_label_min_orders nothing is labelled; who falls below it loses the label that he got by his rate. VIP and a locked status stay.
customer_id: the customer.
Errors: 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_record_order(phone text, order_code text, amount bigint,
    ordered_at timestamptz DEFAULT now(), status text DEFAULT 'pending')
RETURNS TABLE (order_id bigint, customer_id bigint, customer_created boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted text := @extschema@.c360_require_phone(c360_record_order.phone);
    -- the default is no date that anybody gave
    given timestamptz := nullif(c360_record_order.ordered_at, now());
    made record;
    placed record;
BEGIN
    PERFORM @extschema@.c360_require_text('order_code', c360_record_order.order_code, 200, true);
    PERFORM @extschema@.c360_require_one_of('status', c360_record_order.status, '{pending,delivered,returned,cancelled}');
    IF c360_record_order.amount IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: amount';
    ELSIF c360_record_order.amount < 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount must not be negative',
            DETAIL = 'invalid_amount: amount is ' || c360_record_order.amount;
    ELSIF given NOT BETWEEN '1900-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00' THEN
        -- one date that is no day of the shop would be the end of every list with days
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'date is out of range',
            DETAIL = 'invalid_date: ordered_at is before 1900 or after 9999';
    END IF;
    customer_created := false;
    placed := @extschema@.c360_put_order(wanted, c360_record_order.order_code, c360_record_order.amount, given,
                                         c360_record_order.status);
    -- from here on nothing is found by a search_path, which the owner of the tables may have left
    IF placed.customer_id IS NULL THEN
        made := @extschema@.c360_make_customer(wanted, NULL, 'tpos');
        customer_created := made.customer_created;
        placed := @extschema@.c360_put_order(wanted, c360_record_order.order_code, c360_record_order.amount, given,
                                             c360_record_order.status);
    END IF;
    order_id := placed.order_id;
    customer_id := placed.customer_id;
    IF placed.changed THEN
        PERFORM @extschema@.c360_count_orders(placed.customer_id);
    END IF;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION @extschema@.c360_record_order(text, text, bigint, timestamptz, text) IS
'Records an order of the point-of-sale system, or its new state; an unknown phone creates the customer.

phone: any spelling. order_code: 200 characters; a known code is changed. amount: đồng, not negative. ordered_at: when it was ordered, 1900 to 9999; left out or NULL, a known order keeps its date and a new one is of now. status: pending, delivered, returned or cancelled.
Statistics, return rate and label of the customer follow at once. Recording what is recorded changes nothing.
Answer: order_id, customer_id, customer_created.
Errors: PT403 blacklisted (a new pending order, dated after the blacklisting); PT409 order_taken; 22004 missing_argument; 22023 invalid_phone, invalid_amount, invalid_date, not_allowed, blank; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_customers_to_count(after_id bigint, max_customers integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN ARRAY(
        SELECT u.customer_id
        FROM ((SELECT t.customer_id FROM c360.customer_order_totals AS t WHERE t.customer_id > c360_customers_to_count.after_id
               ORDER BY t.customer_id LIMIT c360_customers_to_count.max_customers)
              UNION
              (SELECT DISTINCT k.customer_id FROM c360.customer_tickets AS k WHERE k.customer_id > c360_customers_to_count.after_id
               ORDER BY k.customer_id LIMIT c360_customers_to_count.max_customers)) AS u
        ORDER BY u.customer_id LIMIT c360_customers_to_count.max_customers);
END $$;
COMMENT ON FUNCTION @extschema@.c360_customers_to_count(bigint, integer) IS
'Internal: customers with orders or tickets, in order.

after_id: of a customer. max_customers: how many.
Answer: their ids.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_recount_orders(after_id bigint DEFAULT 0, max_customers integer DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most constant integer := coalesce(c360_recount_orders.max_customers, 1000);
    chosen bigint[];
    one bigint;
BEGIN
    PERFORM @extschema@.c360_require_range('max_customers', most, 1, 10000);
    chosen := @extschema@.c360_customers_to_count(coalesce(c360_recount_orders.after_id, 0), most);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    FOREACH one IN ARRAY chosen LOOP
        PERFORM @extschema@.c360_count_orders(one);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END LOOP;
    RETURN one;
END $$;
COMMENT ON FUNCTION @extschema@.c360_recount_orders(bigint, integer) IS
'Counts orders of customers anew, with return rates and labels: needed once after a change of counts_as_return in c360.ticket_types or of the setting return_label_min_orders, since only what happens to a customer has him counted. CALL c360_recount_all() does all of them.

after_id: customers with higher ids. max_customers: 1 to 10,000, in order of id.
Answer: id of the last one that was counted; NULL if there was none.
Errors: 22023 out_of_range; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE PROCEDURE @extschema@.c360_recount_all()
LANGUAGE plpgsql
AS $$
DECLARE
    counted bigint := 0;
BEGIN
    LOOP
        counted := @extschema@.c360_recount_orders(counted, 200);
        COMMIT;
        EXIT WHEN counted IS NULL;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_recount_all() IS
'Counts the orders of all customers anew by c360_recount_orders(), 200 at a time with a commit after each.

Errors: 25006 read only; 2D000 inside a transaction block; 55000 not installed.';

-- Tickets. Each step of one is: lock it, look whether it may be, move the money
-- if it does, write the step (row and history), tell of it, and count the
-- customer's orders anew if the step changed what is returned. The ticket is
-- locked before the wallet, always.
--
-- As in 53_orders.sql, functions that call others touch no table, and those
-- that touch tables call nothing but the writer of activities. After one that
-- touches tables, those of the first kind set search_path again before
-- anything is found by it: their owner may have left one of his (66_jobs.sql).

CREATE FUNCTION @extschema@.c360_ticket_fields(changes jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- texts by their longest
    kinds constant jsonb := '{"order_code": "200", "tracking_code": "200", "carrier": "255", "subject": "255",
        "description": "2000", "reason": "500", "assignee": "255", "priority": "priority", "deadline": "date",
        "original_cod": "amount", "new_cod": "amount", "refund_amount": "amount",
        "products": "items", "attachments": "items"}';
    priorities constant text[] := ARRAY['low', 'normal', 'high', 'urgent'];
    field text;
    value jsonb;
    kind text;
    given text;
    expected text;
    answer jsonb := '{}';
BEGIN
    FOR field, value IN SELECT e.key, e.value FROM jsonb_each(c360_ticket_fields.changes) AS e LOOP
        kind := kinds ->> field;
        given := value #>> '{}';
        expected := CASE kind WHEN 'amount' THEN 'number' WHEN 'items' THEN 'array' ELSE 'string' END;
        IF kind IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'unknown key',
                DETAIL = format('unknown_key: "%s"', left(field, 64)),
                HINT = 'Allowed are ' || (SELECT string_agg(k, ', ' ORDER BY k) FROM jsonb_object_keys(kinds) AS k) || '.';
        ELSIF given IS NULL AND kind = 'priority' THEN
            RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
                DETAIL = 'missing_argument: priority';
        ELSIF given IS NOT NULL AND jsonb_typeof(value) <> expected
              AND NOT (kind = 'items' AND jsonb_typeof(value) = 'object') THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is of the wrong type',
                DETAIL = format('wrong_type: %s is a %s', field, jsonb_typeof(value)),
                HINT = CASE kind WHEN 'items' THEN 'An array or an object is expected.'
                                 ELSE format('A %s is expected.', expected) END;
        ELSIF given IS NULL THEN
            NULL;
        ELSIF kind = 'amount' THEN
            IF given::numeric > 9223372036854775807 THEN
                RAISE EXCEPTION USING ERRCODE = '22003', MESSAGE = 'amount out of range',
                    DETAIL = 'overflow: ' || field;
            ELSIF given::numeric < 0 OR given::numeric <> trunc(given::numeric) THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount must be whole and not negative',
                    DETAIL = format('invalid_amount: %s is %s', field, left(given, 64));
            END IF;
            value := to_jsonb(given::numeric::bigint);
        ELSIF kind = 'items' THEN
            IF octet_length(given) > 100000 THEN
                RAISE EXCEPTION USING ERRCODE = '22001', MESSAGE = 'text is too long',
                    DETAIL = format('too_long: %s has %s bytes, at most 100000 are allowed', field, octet_length(given));
            END IF;
        ELSIF kind = 'priority' THEN
            IF given <> ALL (priorities) THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
                    DETAIL = format('not_allowed: priority "%s"', left(given, 64)),
                    HINT = 'Allowed are ' || array_to_string(priorities, ', ') || '.';
            END IF;
        ELSIF kind = 'date' THEN
            BEGIN
                value := to_jsonb(CASE WHEN given ~ '^[0-9]{4,6}-[0-9]' THEN given::timestamptz END);
            EXCEPTION WHEN data_exception THEN
                value := NULL;
            END;
            IF value IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'date is malformed',
                    DETAIL = format('invalid_date: %s "%s"', field, left(given, 64)),
                    HINT = 'Dates are written as 2026-01-31T18:00:00+07:00.';
            END IF;
        ELSIF char_length(given) > kind::integer THEN
            RAISE EXCEPTION USING ERRCODE = '22001', MESSAGE = 'text is too long',
                DETAIL = format('too_long: %s has %s characters, at most %s are allowed', field, char_length(given), kind);
        ELSIF field = 'order_code' AND given !~ '[^[:space:]]' THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'text must not be blank', DETAIL = 'blank: order_code';
        END IF;
        answer := answer || jsonb_build_object(field, value);
    END LOOP;
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket_fields(jsonb) IS
'Internal: checks fields of a ticket that staff gave.

changes: an object.
Answer: the same in the form in which a ticket holds them.
Errors: 22001 too_long; 22003 overflow; 22004 missing_argument; 22023 unknown_key, wrong_type, invalid_amount, invalid_date, not_allowed, blank.';

-- The moment is an argument, so that the turn of a year can be tried out.
CREATE FUNCTION @extschema@.c360_insert_ticket(at timestamptz, actor text, phone text, type text, order_code text,
    subject text, description text, products jsonb, refund_amount bigint, original_cod bigint, new_cod bigint,
    tracking_code text, carrier text, priority text, reason text, deadline timestamptz, assignee text,
    allow_duplicate boolean,
    OUT ticket_id bigint, OUT ticket_code text, OUT customer_id bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tier text;
    compensates boolean;
    other text;
    year text := to_char(c360_insert_ticket.at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'FMYYYY');
    numbers text := 'c360.ticket_numbers_' || year;
    sequence regclass := to_regclass(numbers);
    number text;
    code text;
    payload jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id, c.tier,
           (SELECT y.compensation IN ('credit', 'deposit') FROM c360.ticket_types AS y WHERE y.type = c360_insert_ticket.type)
    INTO customer_id, tier, compensates
    FROM c360.customers AS c WHERE c.phone = c360_insert_ticket.phone
    FOR KEY SHARE OF c;         -- as the foreign key will
    IF NOT FOUND THEN
        RETURN;
    ELSIF compensates IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: type "%s"', left(c360_insert_ticket.type, 64)),
            HINT = 'Allowed are ' || (SELECT string_agg(t.type, ', ' ORDER BY t.type) FROM c360.ticket_types AS t) || '.';
    ELSIF compensates AND c360_insert_ticket.order_code IS NOT NULL THEN
        -- OFFSET and ORDER BY: by the order's code, even where the planner knows nothing of the table yet
        SELECT t.ticket_code INTO other
        FROM (SELECT * FROM c360.customer_tickets AS k WHERE k.order_code = c360_insert_ticket.order_code OFFSET 0) AS t
        WHERE t.compensating AND t.status <> 'cancelled' AND t.deleted_at IS NULL
        ORDER BY t.id LIMIT 1;
    END IF;

    -- the year's first ticket makes its numbers; others that come meanwhile wait
    IF sequence IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('c360'), hashtext(numbers));
        IF NOT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(numbers)) THEN
            EXECUTE format('CREATE SEQUENCE IF NOT EXISTS %s START %s', numbers,
                (SELECT coalesce(max(split_part(t.ticket_code, '-', 3)::bigint), 0) + 1
                 FROM c360.customer_tickets AS t
                 WHERE t.created_at >= make_timestamptz(year::integer, 1, 1, 0, 0, 0, 'Asia/Ho_Chi_Minh')
                   AND t.ticket_code LIKE 'TV-' || year || '-%'));
        END IF;
        sequence := numbers::regclass;
    END IF;

    -- In the way are only another ticket of the same order, made since we looked, and codes that are taken: a
    -- sequence can stand behind its tickets, where it was restored or promoted without them, or after a crash of
    -- a server with wal_level = minimal.
    LOOP
        IF other IS NOT NULL AND c360_insert_ticket.allow_duplicate IS NOT TRUE THEN
            RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'duplicate ticket',
                DETAIL = format('duplicate_ticket: order "%s" has %s', c360_insert_ticket.order_code, other),
                HINT = 'allow_duplicate makes another one.';
        END IF;
        number := nextval(sequence)::text;
        code := 'TV-' || year || '-' || lpad(number, greatest(length(number), 5), '0');
        WITH made AS (
            INSERT INTO c360.customer_tickets AS t (ticket_code, customer_id, type, priority, order_code, tracking_code,
                carrier, subject, description, products, original_cod, new_cod, refund_amount, reason, assignee, deadline,
                compensating, duplicate_allowed, created_by, created_at)
            VALUES (code, customer_id, c360_insert_ticket.type,
                coalesce(c360_insert_ticket.priority, CASE tier WHEN 'platinum' THEN 'high' ELSE 'normal' END),
                c360_insert_ticket.order_code, c360_insert_ticket.tracking_code,
                c360_insert_ticket.carrier, c360_insert_ticket.subject, c360_insert_ticket.description,
                c360_insert_ticket.products, c360_insert_ticket.original_cod, c360_insert_ticket.new_cod,
                c360_insert_ticket.refund_amount, c360_insert_ticket.reason, c360_insert_ticket.assignee,
                c360_insert_ticket.deadline, compensates, other IS NOT NULL, c360_insert_ticket.actor, c360_insert_ticket.at)
            ON CONFLICT DO NOTHING
            RETURNING t.id, t.ticket_code, t.priority),
        told AS (
            INSERT INTO c360.ticket_history (ticket_id, action, to_status, details, done_by, done_at)
            SELECT m.id, 'create', 'new', CASE WHEN other IS NOT NULL THEN '{"duplicate_allowed": true}'::jsonb END,
                   c360_insert_ticket.actor, c360_insert_ticket.at FROM made AS m)
        SELECT m.id, m.ticket_code, jsonb_build_object(
                   'phone', c360_insert_ticket.phone, 'ticket_code', m.ticket_code, 'type', c360_insert_ticket.type,
                   'action', 'create', 'status', 'new', 'priority', m.priority, 'order_code', c360_insert_ticket.order_code)
        INTO ticket_id, ticket_code, payload FROM made AS m;
        EXIT WHEN FOUND;
        IF NOT EXISTS (SELECT FROM c360.customer_tickets AS t WHERE t.ticket_code = code) THEN
            IF other IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = '09000', MESSAGE = 'a row that c360 inserted is not there',
                    DETAIL = 'Table c360.customer_tickets.',
                    HINT = 'Let BEFORE triggers on c360 tables return the row.';
            END IF;
            other := 'a ticket';
        END IF;
    END LOOP;
    PERFORM @extschema@.c360_write_activity('tickets', 'ticket.created', customer_id, 'ticket', ticket_code, payload);
END $$;
COMMENT ON FUNCTION @extschema@.c360_insert_ticket(timestamptz, text, text, text, text, text, text, jsonb, bigint,
    bigint, bigint, text, text, text, text, timestamptz, text, boolean) IS
'Internal: writes a new ticket and the first row of its history.

at: the moment. actor: who. phone: canonical. type, order_code, subject, description, products, refund_amount, original_cod, new_cod, tracking_code, carrier, priority, reason, deadline, assignee, allow_duplicate: as c360_create_ticket() takes them, checked.
Answer: id and code, customer; all NULL for an unknown phone.
Errors: PT409 duplicate_ticket; 22023 not_allowed; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_create_ticket(phone text, type text, order_code text DEFAULT NULL,
    subject text DEFAULT NULL, description text DEFAULT NULL, products jsonb DEFAULT NULL,
    refund_amount bigint DEFAULT NULL, original_cod bigint DEFAULT NULL, new_cod bigint DEFAULT NULL,
    tracking_code text DEFAULT NULL, carrier text DEFAULT NULL, priority text DEFAULT NULL, reason text DEFAULT NULL,
    deadline timestamptz DEFAULT NULL, assignee text DEFAULT NULL, allow_duplicate boolean DEFAULT false)
RETURNS TABLE (ticket_id bigint, ticket_code text, customer_id bigint, customer_created boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted text := @extschema@.c360_require_phone(c360_create_ticket.phone);
    kind text := @extschema@.c360_require_text('type', c360_create_ticket.type, 200, true);
    actor text := @extschema@.c360_current_actor();
    at timestamptz := clock_timestamp();
    items jsonb := nullif(c360_create_ticket.products, 'null');
    made record;
BEGIN
    -- what is in order at first sight needs no closer look
    IF NOT (coalesce(length(c360_create_ticket.order_code) <= 200 AND c360_create_ticket.order_code ~ '[^[:space:]]', true)
            AND coalesce(length(c360_create_ticket.tracking_code) <= 200, true)
            AND length(concat(c360_create_ticket.carrier, c360_create_ticket.subject, c360_create_ticket.description,
                              c360_create_ticket.reason, c360_create_ticket.assignee)) <= 255
            AND least(c360_create_ticket.refund_amount, c360_create_ticket.original_cod, c360_create_ticket.new_cod, 0) = 0
            AND items IS NULL AND c360_create_ticket.deadline IS NULL AND c360_create_ticket.priority IS NULL) THEN
        PERFORM @extschema@.c360_ticket_fields(jsonb_strip_nulls(jsonb_build_object(
            'order_code', c360_create_ticket.order_code, 'tracking_code', c360_create_ticket.tracking_code,
            'carrier', c360_create_ticket.carrier, 'subject', c360_create_ticket.subject,
            'description', c360_create_ticket.description, 'reason', c360_create_ticket.reason,
            'assignee', c360_create_ticket.assignee, 'priority', c360_create_ticket.priority,
            'deadline', c360_create_ticket.deadline, 'original_cod', c360_create_ticket.original_cod,
            'new_cod', c360_create_ticket.new_cod, 'refund_amount', c360_create_ticket.refund_amount))
            || CASE WHEN items IS NOT NULL THEN jsonb_build_object('products', items) ELSE '{}' END);
    END IF;
    customer_created := false;
    FOR tries IN 1..2 LOOP
        made := @extschema@.c360_insert_ticket(at, actor, wanted, kind, c360_create_ticket.order_code,
            c360_create_ticket.subject, c360_create_ticket.description, items, c360_create_ticket.refund_amount,
            c360_create_ticket.original_cod, c360_create_ticket.new_cod, c360_create_ticket.tracking_code,
            c360_create_ticket.carrier, c360_create_ticket.priority, c360_create_ticket.reason,
            c360_create_ticket.deadline, c360_create_ticket.assignee, c360_create_ticket.allow_duplicate);
        EXIT WHEN made.ticket_id IS NOT NULL;
        customer_created := (@extschema@.c360_make_customer(wanted, NULL, 'ticket')).customer_created;
    END LOOP;
    ticket_id := made.ticket_id;
    ticket_code := made.ticket_code;
    customer_id := made.customer_id;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION @extschema@.c360_create_ticket(text, text, text, text, text, jsonb, bigint, bigint, bigint, text,
    text, text, text, timestamptz, text, boolean) IS
'Opens a ticket; an unknown phone creates the customer.

phone: any spelling. type: a row of c360.ticket_types: BOOM, DOI, THIEU, HOAN, FIX_COD, RETURN_CLIENT, RETURN_SHIPPER, COMPLAINT, WARRANTY or OTHER. order_code, tracking_code: 200 characters. subject, carrier, assignee: 255. description: 2,000. reason: 500. products: array or object, 100,000 bytes. refund_amount, original_cod, new_cod: đồng, not negative. priority: low, normal, high or urgent; NULL = normal, high for a platinum customer. deadline: until when the carrier has to answer. allow_duplicate: although the order has a ticket of a compensating type that is neither cancelled nor deleted.
Answer: ticket_id, ticket_code (TV-YYYY-NNNNN, year in shop time), customer_id, customer_created.
Errors: PT409 duplicate_ticket; 22004 missing_argument; 22023 invalid_phone, invalid_amount, invalid_date, not_allowed, wrong_type, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket(ticket_code text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    money boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    answer jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT to_jsonb(shown) || jsonb_build_object(
               'customer', jsonb_build_object('customer_id', c.id, 'phone', c.phone, 'name', c.name, 'tier', c.tier,
                                              'status', c.status),
               'history', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                               'action', h.action, 'from_status', h.from_status, 'to_status', h.to_status,
                               'note', h.note, 'details', CASE WHEN money THEN h.details ELSE h.details
                                   - '{refund_amount,original_cod,new_cod,amount,credit_id,transaction_id}'::text[] END,
                               'done_by', h.done_by, 'done_at', h.done_at) ORDER BY h.id), '[]')
                           FROM c360.ticket_history AS h WHERE h.ticket_id = shown.ticket_id))
    INTO answer
    FROM (SELECT t.id AS ticket_id, t.ticket_code, t.customer_id, t.type, y.label AS type_label, y.counts_as_return,
                 t.status, t.priority, t.order_code, t.tracking_code, t.carrier, t.subject, t.description,
                 t.products, t.attachments, t.reason, t.assignee, t.deadline, t.duplicate_allowed,
                 t.goods_received_at, t.created_by, t.created_at, t.completed_at, t.compensation, t.compensated_at,
                 CASE WHEN money THEN t.original_cod END AS original_cod,
                 CASE WHEN money THEN t.new_cod END AS new_cod,
                 CASE WHEN money THEN t.refund_amount END AS refund_amount,
                 CASE WHEN money THEN t.credit_id END AS credit_id,
                 CASE WHEN money THEN t.transaction_id END AS transaction_id,
                 CASE WHEN money THEN (SELECT w.amount FROM c360.wallet_transactions AS w
                                       WHERE w.id = t.transaction_id) END AS compensated_amount
          FROM c360.customer_tickets AS t JOIN c360.ticket_types AS y ON y.type = t.type
          WHERE t.ticket_code = upper(btrim(c360_ticket.ticket_code)) AND t.deleted_at IS NULL) AS shown
    JOIN c360.customers AS c ON c.id = shown.customer_id;
    IF c360_ticket.ticket_code IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ticket_code';
    ELSIF answer IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such ticket',
            DETAIL = format('ticket_not_found: "%s"', left(c360_ticket.ticket_code, 64));
    END IF;
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket(text) IS
'A ticket with its customer and history; deleted ones are not found.

ticket_code: TV-YYYY-NNNNN.
Answer: the ticket''s fields, customer (customer_id, phone, name, tier, status), history (action, from_status, to_status, note, details, done_by, done_at; oldest first). Amounts (original_cod, new_cod, refund_amount, compensated_amount, đồng), credit_id and transaction_id are NULL for level viewer.
Errors: PT404 ticket_not_found; 22004 missing_argument; 55000 not installed.';

-- Steps

CREATE FUNCTION @extschema@.c360_lock_ticket(ticket_code text, OUT ticket_id bigint, OUT code text,
    OUT customer_id bigint, OUT type text, OUT status text, OUT order_code text,
    OUT refund_amount bigint, OUT compensation text, OUT compensated boolean,
    OUT usual_compensation text, OUT order_amount bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_lock_ticket.ticket_code IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ticket_code';
    END IF;
    SELECT t.id, t.ticket_code, t.customer_id, t.type, t.status, t.order_code, t.refund_amount, t.compensation,
           t.compensated_at IS NOT NULL
    INTO ticket_id, code, customer_id, type, status, order_code, refund_amount, compensation, compensated
    FROM c360.customer_tickets AS t
    WHERE t.ticket_code = upper(btrim(c360_lock_ticket.ticket_code)) AND t.deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such ticket',
            DETAIL = format('ticket_not_found: "%s"', left(c360_lock_ticket.ticket_code, 64));
    END IF;
    SELECT y.compensation INTO usual_compensation FROM c360.ticket_types AS y WHERE y.type = c360_lock_ticket.type;
    SELECT o.amount INTO order_amount FROM c360.customer_orders AS o WHERE o.order_code = c360_lock_ticket.order_code;
END $$;
COMMENT ON FUNCTION @extschema@.c360_lock_ticket(text) IS
'Internal: locks a ticket until the transaction ends.

ticket_code: any spelling.
Answer: what steps go by: the ticket, what its type compensates with, recorded amount of its order.
Errors: PT404 ticket_not_found; 22004 missing_argument; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_move(from_status text, to_status text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    allowed text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    PERFORM FROM c360.ticket_moves AS m
    WHERE m.from_status = c360_require_move.from_status AND m.to_status = c360_require_move.to_status;
    IF NOT FOUND THEN
        SELECT string_agg(m.to_status, ', ' ORDER BY m.to_status) INTO allowed
        FROM c360.ticket_moves AS m WHERE m.from_status = c360_require_move.from_status;
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'move is not allowed',
            DETAIL = format('move_not_allowed: from %s to %s', c360_require_move.from_status, c360_require_move.to_status),
            HINT = CASE WHEN allowed IS NULL THEN format('%s is final.', c360_require_move.from_status)
                        ELSE format('From %s a ticket moves to %s.', c360_require_move.from_status, allowed) END;
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_move(text, text) IS
'Internal: refuses a move of a ticket that is no row of c360.ticket_moves.

from_status, to_status: the move.
Errors: PT409 move_not_allowed, HINT lists the allowed ones; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_write_ticket(ticket_id bigint, actor text, action text, to_status text, note text,
    changes jsonb, details jsonb,
    OUT customer_id bigint, OUT count_orders boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    at constant timestamptz := clock_timestamp();
    old jsonb;
    fields jsonb;
    differences jsonb;
    ticket record;
    returning_type boolean;
    other text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT to_jsonb(t) INTO old FROM c360.customer_tickets AS t WHERE t.id = c360_write_ticket.ticket_id;
    SELECT coalesce(jsonb_object_agg(c.key, c.value), '{}'),
           jsonb_object_agg(c.key, jsonb_build_object('from', old -> c.key, 'to', c.value))
    INTO fields, differences
    FROM jsonb_each(c360_write_ticket.changes) AS c WHERE c.value <> old -> c.key;
    count_orders := false;
    IF fields = '{}' AND c360_write_ticket.action = 'update' THEN
        RETURN;
    END IF;
    IF fields ? 'order_code' THEN
        IF old ->> 'compensated_at' IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is compensated',
                DETAIL = 'compensated: the order of a compensated ticket stays';
        END IF;
        SELECT t.ticket_code INTO other
        FROM (SELECT * FROM c360.customer_tickets AS k WHERE k.order_code = fields ->> 'order_code' OFFSET 0) AS t
        WHERE t.compensating AND t.status <> 'cancelled'
          AND t.deleted_at IS NULL AND t.id <> c360_write_ticket.ticket_id
          AND (old ->> 'compensating')::boolean AND old ->> 'status' <> 'cancelled'
        ORDER BY t.id LIMIT 1;
        IF other IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'duplicate ticket',
                DETAIL = format('duplicate_ticket: order "%s" has %s', fields ->> 'order_code', other);
        END IF;
        fields := fields || '{"duplicate_allowed": false}';
    END IF;
    IF fields ? 'deadline' THEN
        fields := fields || '{"escalated_deadline": null}';
    END IF;
    IF c360_write_ticket.to_status IS NOT NULL THEN
        fields := fields || jsonb_build_object('status', c360_write_ticket.to_status, 'completed_at',
                                               CASE WHEN c360_write_ticket.to_status = 'completed' THEN at END);
    END IF;

    UPDATE c360.customer_tickets AS t
    SET (status, priority, order_code, tracking_code, carrier, subject, description, products, attachments,
         original_cod, new_cod, refund_amount, reason, assignee, deadline, escalated_deadline, duplicate_allowed,
         goods_received_at, compensation, compensated_at, credit_id, transaction_id, completed_at, deleted_at,
         deleted_by, delete_reason) =
        (SELECT n.status, n.priority, n.order_code, n.tracking_code, n.carrier, n.subject, n.description, n.products,
                n.attachments, n.original_cod, n.new_cod, n.refund_amount, n.reason, n.assignee, n.deadline,
                n.escalated_deadline, n.duplicate_allowed, n.goods_received_at, n.compensation, n.compensated_at,
                n.credit_id, n.transaction_id, n.completed_at, n.deleted_at, n.deleted_by, n.delete_reason
         FROM jsonb_populate_record(t, fields) AS n)
    WHERE t.id = c360_write_ticket.ticket_id
    RETURNING t.ticket_code, t.type, t.status, t.priority, t.order_code, t.assignee, t.customer_id, t.deleted_at INTO ticket;
    INSERT INTO c360.ticket_history (ticket_id, action, from_status, to_status, note, details, done_by, done_at)
    VALUES (c360_write_ticket.ticket_id, c360_write_ticket.action, old ->> 'status', ticket.status,
            c360_write_ticket.note, coalesce(c360_write_ticket.details, differences), c360_write_ticket.actor, at);

    customer_id := ticket.customer_id;
    SELECT y.counts_as_return INTO returning_type FROM c360.ticket_types AS y WHERE y.type = ticket.type;
    count_orders := returning_type AND coalesce(ticket.order_code, old ->> 'order_code') IS NOT NULL
        AND 'completed' IN (ticket.status, old ->> 'status')
        AND (ticket.status <> old ->> 'status' OR ticket.deleted_at IS NOT NULL OR fields ? 'order_code');
    PERFORM @extschema@.c360_write_activity('tickets',
        CASE WHEN ticket.deleted_at IS NOT NULL THEN 'ticket.deleted'
             WHEN c360_write_ticket.to_status = 'completed' THEN 'ticket.completed'
             WHEN c360_write_ticket.to_status = 'cancelled' THEN 'ticket.cancelled'
             ELSE 'ticket.updated' END,
        customer_id, 'ticket', ticket.ticket_code, jsonb_strip_nulls(jsonb_build_object(
            'ticket_code', ticket.ticket_code, 'type', ticket.type, 'action', c360_write_ticket.action,
            'from_status', old -> 'status', 'status', ticket.status, 'priority', ticket.priority,
            'order_code', ticket.order_code, 'assignee', ticket.assignee, 'note', c360_write_ticket.note,
            'fields', CASE WHEN c360_write_ticket.action = 'update'
                           THEN (SELECT jsonb_agg(k ORDER BY k) FROM jsonb_object_keys(differences) AS k) END)));
END $$;
COMMENT ON FUNCTION @extschema@.c360_write_ticket(bigint, text, text, text, text, jsonb, jsonb) IS
'Internal: writes a step of a locked ticket, and its history.

ticket_id: the ticket. actor: who. action: what. to_status: where it moves; NULL = it stays. note: of who did it. changes: columns of the ticket and what they become. details: for the history; NULL = what changed, from and to.
Answer: the customer, and whether what his orders are counted from changed.
Errors: PT409 compensated, duplicate_ticket; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_step_ticket(ticket_code text, action text, to_status text, note text, changes jsonb,
    details jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := @extschema@.c360_current_actor();
    ticket record := @extschema@.c360_lock_ticket(c360_step_ticket.ticket_code);
    step record;
BEGIN
    PERFORM @extschema@.c360_require_text('note', c360_step_ticket.note, 2000, false);
    IF c360_step_ticket.to_status IS NOT NULL THEN
        PERFORM @extschema@.c360_require_move(ticket.status, c360_step_ticket.to_status);
    END IF;
    step := @extschema@.c360_write_ticket(ticket.ticket_id, actor, c360_step_ticket.action, c360_step_ticket.to_status,
        c360_step_ticket.note, c360_step_ticket.changes, c360_step_ticket.details);
    IF step.count_orders THEN
        PERFORM @extschema@.c360_count_orders(step.customer_id);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_step_ticket(text, text, text, text, jsonb, jsonb) IS
'Internal: one step of a ticket: lock, move, write, tell, count.

ticket_code: any spelling. action, to_status, note, changes, details: as c360_write_ticket() takes them.
Errors: PT404 ticket_not_found; PT409 move_not_allowed, compensated, duplicate_ticket; 22001 too_long; 22003 overflow; 22004 missing_argument; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_update_ticket(ticket_code text, changes jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    conflict text;
BEGIN
    IF c360_update_ticket.changes IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: changes';
    ELSIF jsonb_typeof(c360_update_ticket.changes) <> 'object' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is of the wrong type',
            DETAIL = 'wrong_type: changes is a ' || jsonb_typeof(c360_update_ticket.changes),
            HINT = 'An object is expected.';
    END IF;
    BEGIN
        PERFORM @extschema@.c360_step_ticket(c360_update_ticket.ticket_code, 'update', NULL, NULL,
                                             @extschema@.c360_ticket_fields(c360_update_ticket.changes));
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS conflict = CONSTRAINT_NAME;
        IF conflict <> 'customer_tickets_order_key' THEN
            RAISE;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'duplicate ticket',
            DETAIL = format('duplicate_ticket: order "%s" has a ticket', c360_update_ticket.changes ->> 'order_code');
    END;
    RETURN @extschema@.c360_ticket(c360_update_ticket.ticket_code);
END $$;
COMMENT ON FUNCTION @extschema@.c360_update_ticket(text, jsonb) IS
'Changes fields of a ticket; all but status, type and compensation.

ticket_code: TV-YYYY-NNNNN. changes: an object of order_code, tracking_code, carrier, priority, subject, description, products, attachments, original_cod, new_cod, refund_amount, reason, assignee, deadline (a string with date and time); null empties a field. Sizes as c360_create_ticket() has them. What is as it was adds nothing to the history.
Answer: the ticket, as c360_ticket() shows it.
Errors: PT404 ticket_not_found; PT409 duplicate_ticket, compensated (the order of a compensated ticket stays); 22004 missing_argument; 22023 unknown_key, wrong_type, invalid_amount, invalid_date, not_allowed, blank; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket_action(ticket_code text, action text, note text DEFAULT NULL,
    deadline timestamptz DEFAULT NULL, assignee text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- where each moves the ticket; null = it stays
    moves constant jsonb := '{"assign": null, "process": "processing", "wait_carrier": "waiting_carrier",
        "receive_goods": null, "complete": "completed", "cancel": "cancelled"}';
    changes jsonb;
BEGIN
    IF c360_ticket_action.action IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: action';
    ELSIF NOT moves ? c360_ticket_action.action THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: action "%s"', left(c360_ticket_action.action, 64)),
            HINT = 'Allowed are assign, process, wait_carrier, receive_goods, complete, cancel.';
    ELSIF c360_ticket_action.action = 'assign' THEN
        PERFORM @extschema@.c360_require_text('assignee', c360_ticket_action.assignee, 255, true);
    END IF;
    changes := @extschema@.c360_ticket_fields(jsonb_strip_nulls(jsonb_build_object(
        'deadline', c360_ticket_action.deadline, 'assignee', c360_ticket_action.assignee)));
    IF c360_ticket_action.action = 'receive_goods' THEN
        changes := changes || jsonb_build_object('goods_received_at', clock_timestamp());
    END IF;
    PERFORM @extschema@.c360_step_ticket(c360_ticket_action.ticket_code, c360_ticket_action.action,
        moves ->> c360_ticket_action.action, c360_ticket_action.note, changes);
    RETURN @extschema@.c360_ticket(c360_ticket_action.ticket_code);
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket_action(text, text, text, timestamptz, text) IS
'Does something with a ticket. None of these moves money.

ticket_code: TV-YYYY-NNNNN. action: assign (needs assignee), process, wait_carrier, receive_goods, complete or cancel. note: 2,000 characters. deadline: until when the carrier has to answer; NULL = as it was. assignee: 255 characters; NULL = as it was.
Answer: the ticket, as c360_ticket() shows it.
Errors: PT404 ticket_not_found; PT409 move_not_allowed (HINT has the allowed moves); 22004 missing_argument; 22023 not_allowed, invalid_date, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket_note(ticket_code text, note text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_require_text('note', c360_ticket_note.note, 2000, true);
    PERFORM @extschema@.c360_step_ticket(c360_ticket_note.ticket_code, 'note', NULL, c360_ticket_note.note, '{}');
    RETURN @extschema@.c360_ticket(c360_ticket_note.ticket_code);
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket_note(text, text) IS
'Adds a note to the history of a ticket, whatever its status.

ticket_code: TV-YYYY-NNNNN. note: 1 to 2,000 characters.
Answer: the ticket, as c360_ticket() shows it.
Errors: PT404 ticket_not_found; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_accountant() RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(@extschema@.c360_level() NOT IN ('accountant', 'admin'), true) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'permission denied for compensation',
            DETAIL = 'level_needed: accountant';
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_accountant() IS
'Internal: refuses callers below level accountant.

Errors: 42501 level_needed; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_lock_payee(customer_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    phone text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    INSERT INTO c360.customer_wallets (customer_id) VALUES (c360_lock_payee.customer_id) ON CONFLICT DO NOTHING;
    PERFORM FROM c360.customer_wallets AS w WHERE w.customer_id = c360_lock_payee.customer_id FOR UPDATE;
    SELECT c.phone INTO phone FROM c360.customers AS c WHERE c.id = c360_lock_payee.customer_id FOR KEY SHARE;
    IF phone IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: the customer was erased';
    END IF;
    RETURN phone;
END $$;
COMMENT ON FUNCTION @extschema@.c360_lock_payee(bigint) IS
'Internal: locks the wallet of a customer, and his phone, so that money sent to that phone is his.

customer_id: the customer.
Answer: his phone.
Errors: PT404 customer_not_found; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_resolve_ticket(ticket_code text, amount bigint DEFAULT NULL,
    compensation text DEFAULT NULL, note text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ticket record;
    way text := c360_resolve_ticket.compensation;
    paid bigint;
    phone text;
    movement @extschema@.c360_movement;
    pointers jsonb;
BEGIN
    PERFORM @extschema@.c360_require_text('note', c360_resolve_ticket.note, 2000, false);
    IF way NOT IN ('credit', 'deposit', 'none') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: compensation "%s"', left(way, 64)),
            HINT = 'Allowed are credit, deposit, none.';
    ELSIF c360_resolve_ticket.amount < 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount must not be negative',
            DETAIL = 'invalid_amount: amount is ' || c360_resolve_ticket.amount;
    END IF;
    ticket := @extschema@.c360_lock_ticket(c360_resolve_ticket.ticket_code);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    way := coalesce(way, ticket.usual_compensation);
    paid := CASE WHEN way IN ('credit', 'deposit') THEN coalesce(c360_resolve_ticket.amount, ticket.refund_amount) END;
    IF ticket.compensated OR ticket.compensation IS NOT NULL AND way NOT IN ('credit', 'deposit') THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is resolved',
            DETAIL = format('compensated: %s is resolved with %s', ticket.code, ticket.compensation);
    ELSIF ticket.status <> 'completed' THEN
        PERFORM @extschema@.c360_require_move(ticket.status, 'completed');
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END IF;

    IF way IN ('credit', 'deposit') THEN
        PERFORM @extschema@.c360_require_accountant();
        IF paid IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
                DETAIL = 'missing_argument: amount', HINT = 'The ticket has no refund amount either.';
        ELSIF paid = 0 THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount must be positive',
                DETAIL = 'invalid_amount: amount is 0', HINT = 'Resolve with compensation none.';
        ELSIF paid > ticket.order_amount THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount exceeds the order',
                DETAIL = format('exceeds_order: amount %s, order %s', paid, ticket.order_amount);
        END IF;
        phone := @extschema@.c360_lock_payee(ticket.customer_id);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF way = 'credit' THEN
            movement := @extschema@.c360_issue_credit(phone, paid,
                CASE WHEN ticket.type IN ('BOOM', 'RETURN_SHIPPER') THEN ticket.type ELSE 'COMPENSATION' END,
                ticket.code, NULL, c360_resolve_ticket.note);
        ELSE
            movement := @extschema@.c360_deposit(phone, paid, 'RETURN_GOODS', 'ticket', ticket.code,
                c360_resolve_ticket.note);
        END IF;
        pointers := jsonb_strip_nulls(jsonb_build_object('compensated_at', clock_timestamp(),
            'transaction_id', movement.transaction_id, 'credit_id', movement.lots #> '{0,credit_id}'));
    END IF;
    PERFORM @extschema@.c360_step_ticket(ticket.code, 'resolve',
        CASE WHEN ticket.status <> 'completed' THEN 'completed' END, c360_resolve_ticket.note,
        coalesce(pointers, '{}') || jsonb_build_object('compensation', way),
        jsonb_strip_nulls(coalesce(pointers, '{}') - 'compensated_at'
                          || jsonb_build_object('compensation', way, 'amount', paid)));
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN jsonb_build_object('ticket', @extschema@.c360_ticket(ticket.code),
                              'movement', CASE WHEN pointers IS NOT NULL THEN to_jsonb(movement) END);
END $$;
COMMENT ON FUNCTION @extschema@.c360_resolve_ticket(text, bigint, text, text) IS
'Completes a ticket and compensates its customer, in one transaction and once for each ticket; a completed ticket that was not compensated can still be.

ticket_code: TV-YYYY-NNNNN. amount: đồng, not above the recorded amount of the order; NULL = the ticket''s refund amount; of no meaning with none. compensation: credit (a lot of the ticket''s kind), deposit (real balance) or none; NULL = what the type says (an exchange moves no money). note: 2,000 characters.
Anything but none needs level accountant. Credit and deposit bear the ticket''s code (source_id, reference_id), the ticket bears credit_id and transaction_id.
Answer: {"ticket": as c360_ticket() shows it, "movement": the row c360_movement, null without money}.
Errors: PT404 ticket_not_found; PT409 compensated, move_not_allowed, credit_exists; 22004 missing_argument; 22023 not_allowed, invalid_amount, amount_limit, exceeds_order; 22001 too_long; 22003 overflow; 42501 level_needed; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unused_compensation(ticket_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ticket record;
    lot record;
    rest bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT t.ticket_code, t.customer_id, t.credit_id, w.amount INTO ticket
    FROM c360.customer_tickets AS t JOIN c360.wallet_transactions AS w ON w.id = t.transaction_id
    WHERE t.id = c360_unused_compensation.ticket_id;
    PERFORM FROM c360.customer_wallets AS w WHERE w.customer_id = ticket.customer_id FOR UPDATE;
    IF ticket.credit_id IS NULL THEN
        SELECT ticket.amount + coalesce(sum(w.real_change), 0) INTO rest FROM c360.wallet_transactions AS w
        WHERE w.customer_id = ticket.customer_id AND w.type = 'ADJUSTMENT'
          AND w.reference_type = 'ticket' AND w.reference_id = ticket.ticket_code;
        IF rest > 0 THEN
            RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is compensated',
                DETAIL = format('compensated: %s of the deposit are not taken back', rest),
                HINT = format('Take it back by c360_adjust() with reference_type ticket and reference_id %s.', ticket.ticket_code);
        END IF;
        RETURN NULL;
    END IF;
    SELECT v.status, v.created_at INTO lot FROM c360.virtual_credits AS v WHERE v.id = ticket.credit_id;
    PERFORM FROM c360.wallet_transactions AS w JOIN c360.virtual_credit_uses AS u ON u.transaction_id = w.id
    WHERE w.customer_id = ticket.customer_id AND w.created_at >= lot.created_at AND w.type = 'WITHDRAW'
      AND u.credit_id = ticket.credit_id;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is compensated',
            DETAIL = format('compensated: credit %s was used', ticket.credit_id);
    END IF;
    RETURN CASE WHEN lot.status = 'ACTIVE' THEN ticket.credit_id END;
END $$;
COMMENT ON FUNCTION @extschema@.c360_unused_compensation(bigint) IS
'Internal: refuses if the compensation of a locked ticket is in use; locks the wallet, so that it stays so.

ticket_id: a compensated ticket.
Answer: the lot to be cancelled; NULL = there is nothing to take back.
Errors: PT409 compensated; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_delete_ticket(ticket_code text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := @extschema@.c360_current_actor();
    ticket record;
    lot bigint;
    refusal text;
BEGIN
    PERFORM @extschema@.c360_require_text('reason', c360_delete_ticket.reason, 500, false);
    ticket := @extschema@.c360_lock_ticket(c360_delete_ticket.ticket_code);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF ticket.compensated THEN
        PERFORM @extschema@.c360_require_accountant();
        lot := @extschema@.c360_unused_compensation(ticket.ticket_id);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF lot IS NOT NULL THEN
            BEGIN
                PERFORM @extschema@.c360_cancel_credit(lot, 'ticket ' || ticket.code || ' is deleted');
            EXCEPTION WHEN SQLSTATE 'PT409' THEN
                -- if its time came it will expire, and nobody can use it
                GET STACKED DIAGNOSTICS refusal = PG_EXCEPTION_DETAIL;
                IF refusal NOT LIKE 'credit_not_active:%' THEN
                    RAISE;
                END IF;
                lot := NULL;
            END;
        END IF;
    END IF;
    PERFORM @extschema@.c360_step_ticket(ticket.code, 'delete', NULL, c360_delete_ticket.reason,
        jsonb_strip_nulls(jsonb_build_object('deleted_at', clock_timestamp(), 'deleted_by', actor,
                                             'delete_reason', c360_delete_ticket.reason)),
        jsonb_strip_nulls(jsonb_build_object('credit_id', lot)));
END $$;
COMMENT ON FUNCTION @extschema@.c360_delete_ticket(text, text) IS
'Deletes a ticket: it leaves lists, statistics and return rate; the row stays. A credit that was never used is taken back.

ticket_code: TV-YYYY-NNNNN. reason: 500 characters.
A compensated ticket needs level accountant; a deposit must have been taken back by c360_adjust(phone, - amount, reason, ''ticket'', ticket_code).
Errors: PT404 ticket_not_found; PT409 compensated; 22004 missing_argument; 22001 too_long; 22003 overflow; 42501 level_needed; 25006 read only; 55000 not installed.';

-- Deadlines

CREATE FUNCTION @extschema@.c360_raise_priorities(max_tickets integer, OUT looked_at bigint, OUT raised bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor constant text := @extschema@.c360_current_actor();
    at constant timestamptz := clock_timestamp();
    due record;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    looked_at := 0;
    raised := 0;
    FOR due IN
        SELECT t.* FROM c360.customer_tickets AS t
        WHERE t.deadline < at + interval '24 hours' AND t.deadline IS NOT NULL AND t.escalated_deadline IS NULL
          AND t.status IN ('new', 'processing', 'waiting_carrier') AND t.deleted_at IS NULL
        ORDER BY t.deadline LIMIT c360_raise_priorities.max_tickets FOR UPDATE SKIP LOCKED
    LOOP
        looked_at := looked_at + 1;
        UPDATE c360.customer_tickets AS t SET escalated_deadline = t.deadline,
            priority = CASE WHEN due.priority IN ('low', 'normal') THEN 'high' ELSE due.priority END
        WHERE t.id = due.id;
        CONTINUE WHEN due.priority NOT IN ('low', 'normal');
        raised := raised + 1;
        INSERT INTO c360.ticket_history (ticket_id, action, from_status, to_status, details, done_by, done_at)
        VALUES (due.id, 'escalate', due.status, due.status, jsonb_build_object('deadline', due.deadline,
                    'priority', jsonb_build_object('from', due.priority, 'to', 'high')), actor, at);
        PERFORM @extschema@.c360_write_activity('tickets', 'ticket.updated', due.customer_id, 'ticket', due.ticket_code,
            jsonb_strip_nulls(jsonb_build_object('ticket_code', due.ticket_code, 'type', due.type, 'action', 'escalate',
                'from_status', due.status, 'status', due.status, 'priority', 'high', 'order_code', due.order_code,
                'assignee', due.assignee, 'deadline', due.deadline)));
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.c360_raise_priorities(integer) IS
'Internal: raises the priority of open tickets whose deadline is near or past, once for each deadline; those that somebody holds are passed over.

max_tickets: at most so many; NULL = all.
Answer: tickets looked at, tickets raised.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_escalate_deadlines() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (@extschema@.c360_raise_priorities(NULL)).raised;
END $$;
COMMENT ON FUNCTION @extschema@.c360_escalate_deadlines() IS
'Open tickets whose carrier deadline is less than 24 hours away, or past, get priority high, once for each deadline; urgent ones stay urgent. The job carrier_deadlines does this, too.

Answer: how many were raised.
Errors: 25006 read only; 55000 not installed.';

-- Numbers of the whole shop, and one list of all that happened. They read the
-- tables themselves, not the views: inside they are the owner of the tables,
-- who need not be allowed what the views call. Money is NULL for callers below
-- agent; days are those of the shop.

CREATE TYPE @extschema@.c360_daily_row AS (
    date                date,
    new_customers       bigint,
    orders              bigint,
    order_amount        numeric,
    tickets_created     bigint,
    tickets_completed   bigint,
    wallet_transactions bigint,
    deposited           numeric,
    withdrawn           numeric,
    refunded            numeric,
    adjusted            numeric,
    credit_issued       numeric,
    credit_used         numeric,
    credit_expired      numeric,
    credit_cancelled    numeric,
    bank_transactions   bigint,
    bank_in             numeric,
    bank_out            numeric
);
COMMENT ON TYPE @extschema@.c360_daily_row IS 'One shop day (Asia/Ho_Chi_Minh) in numbers; amounts in đồng, NULL for callers below agent';
COMMENT ON COLUMN @extschema@.c360_daily_row.orders IS 'orders of that day that are not cancelled';
COMMENT ON COLUMN @extschema@.c360_daily_row.order_amount IS 'of orders neither cancelled nor returned';
COMMENT ON COLUMN @extschema@.c360_daily_row.withdrawn IS 'real and virtual part';
COMMENT ON COLUMN @extschema@.c360_daily_row.adjusted IS 'signed sum of the adjustments';
COMMENT ON COLUMN @extschema@.c360_daily_row.credit_used IS 'virtual part of withdrawals';

CREATE TYPE @extschema@.c360_consolidated_row AS (
    cursor          text,
    kind            text,
    type            text,
    id              bigint,
    at              timestamptz,
    customer_id     bigint,
    phone           text,
    name            text,
    amount          bigint,
    real_change     bigint,
    virtual_change  bigint,
    balance         bigint,
    virtual_balance bigint,
    status          text,
    code            text,
    reference_type  text,
    reference_id    text,
    note            text,
    details         jsonb,
    actor           text
);
COMMENT ON TYPE @extschema@.c360_consolidated_row IS 'One thing that happened: a row of the ledger, a ticket or another activity; amounts in đồng';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.cursor IS 'the list goes on after this row with c360_consolidated_transactions(after => cursor)';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.kind IS 'transaction, ticket or activity';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.type IS 'of the ledger row, of the ticket, or the event of the activity';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.amount IS 'of a ledger row without sign, of a ticket what is to be refunded';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.status IS 'of a ticket, as of now';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.details IS 'payload of an activity; of a ticket its subject, order and compensation';

CREATE FUNCTION @extschema@.c360_shop_day(at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT (c360_shop_day.at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date $$;
COMMENT ON FUNCTION @extschema@.c360_shop_day(timestamptz) IS
'Internal: day of the shop (Asia/Ho_Chi_Minh) at a moment.

at: the moment.
Answer: the day.';

CREATE FUNCTION @extschema@.c360_shop_midnight(day date) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT c360_shop_midnight.day::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh' $$;
COMMENT ON FUNCTION @extschema@.c360_shop_midnight(date) IS
'Internal: when a day of the shop (Asia/Ho_Chi_Minh) begins.

day: the day.
Answer: the moment.';

CREATE FUNCTION @extschema@.c360_require_days(from_date date, to_date date, longest integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_days.from_date NOT BETWEEN '1900-01-01' AND '9999-12-31'
        OR c360_require_days.to_date NOT BETWEEN '1900-01-01' AND '9999-12-31' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: from_date %s, to_date %s',
                            to_jsonb(c360_require_days.from_date) #>> '{}', to_jsonb(c360_require_days.to_date) #>> '{}'),
            HINT = 'Allowed are days from 1900-01-01 to 9999-12-31.';
    ELSIF c360_require_days.from_date > c360_require_days.to_date THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: from_date %s is after to_date %s',
                            to_jsonb(c360_require_days.from_date) #>> '{}', to_jsonb(c360_require_days.to_date) #>> '{}');
    ELSIF c360_require_days.to_date - c360_require_days.from_date >= c360_require_days.longest THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = format('too_many: %s days, at most %s are allowed',
                            c360_require_days.to_date - c360_require_days.from_date + 1, c360_require_days.longest);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_days(date, date, integer) IS
'Internal: refuses days that are no range.

from_date, to_date: both included; NULL = open. longest: in days; NULL = any.
Errors: 22023 out_of_range, too_many.';

CREATE FUNCTION @extschema@.c360_dashboard() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    this_moment constant timestamptz := statement_timestamp();
    today constant date := @extschema@.c360_shop_day(this_moment);
    midnight constant timestamptz := @extschema@.c360_shop_midnight(today);
    tomorrow constant timestamptz := @extschema@.c360_shop_midnight(today + 1);
    all_customers bigint;
    all_tickets bigint;
    customers jsonb;
    orders jsonb;
    tickets jsonb;
    wallets jsonb;
    bank jsonb;
    rfm jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- EXECUTE lets the server use parallel workers, which it does not for INTO alone.
    EXECUTE 'SELECT count(*) FROM c360.customers' INTO all_customers;
    EXECUTE 'SELECT count(*) FROM c360.customer_tickets WHERE deleted_at IS NULL' INTO all_tickets;

    -- What is left of all is of the commonest kind, since to count all is less work than to count one.
    -- OFFSET 0 keeps the planner from counting each time that a count is used.
    customers := jsonb_build_object('total', all_customers,
               'new_today', (SELECT count(*) FROM c360.customers c WHERE c.created_at >= midnight AND c.created_at < tomorrow),
               'by_tier', (SELECT jsonb_object_agg(t.tier, t.customers) || jsonb_build_object('new', all_customers - sum(t.customers))
                           FROM (SELECT k.tier, (SELECT count(*) FROM c360.customers c WHERE c.tier = k.tier) AS customers
                                 FROM unnest('{silver,gold,platinum,blacklist}'::text[]) AS k (tier) OFFSET 0) t),
               'by_status', (SELECT jsonb_object_agg(s.status, s.customers)
                                    || jsonb_build_object('Bình thường', all_customers - sum(s.customers))
                             FROM (SELECT k.status, (SELECT count(*) FROM c360.customers c WHERE c.status = k.status) AS customers
                                   FROM unnest('{Bom hàng,Cảnh báo,Nguy hiểm,VIP}'::text[]) AS k (status) OFFSET 0) s));

    SELECT jsonb_build_object('today', count(*),
               'amount_today', CASE WHEN sees_money THEN coalesce(sum(o.amount) FILTER (WHERE o.status <> 'returned'), 0) END)
    INTO orders
    FROM c360.customer_orders o
    WHERE o.ordered_at >= midnight AND o.ordered_at < tomorrow AND o.status <> 'cancelled';

    SELECT jsonb_build_object('total', all_tickets, 'open', s.open,
               'by_status', s.by_status || jsonb_build_object('completed', all_tickets - s.open - s.cancelled),
               'overdue', (SELECT count(*) FROM c360.customer_tickets t
                           WHERE t.status IN ('new', 'processing', 'waiting_carrier') AND t.deleted_at IS NULL
                             AND t.deadline < this_moment),
               'created_today', (SELECT count(*) FROM c360.customer_tickets t
                                 WHERE t.created_at >= midnight AND t.created_at < tomorrow AND t.deleted_at IS NULL),
               'completed_today', (SELECT count(*) FROM c360.customer_tickets t
                                   WHERE t.completed_at >= midnight AND t.completed_at < tomorrow AND t.deleted_at IS NULL))
    INTO tickets
    FROM (SELECT sum(k.tickets) FILTER (WHERE k.status <> 'cancelled') AS open,
                 sum(k.tickets) FILTER (WHERE k.status = 'cancelled') AS cancelled,
                 jsonb_object_agg(k.status, k.tickets) AS by_status
          FROM (SELECT o.status, (SELECT count(*) FROM c360.customer_tickets t
                                  WHERE t.status = o.status AND t.deleted_at IS NULL) AS tickets
                FROM unnest('{new,processing,waiting_carrier,cancelled}'::text[]) AS o (status) OFFSET 0) k) s;

    IF sees_money THEN
        EXECUTE $query$
            SELECT jsonb_build_object('balance', coalesce(sum(w.balance), 0),
                       'virtual_balance', coalesce(sum(w.virtual_balance), 0),
                       'with_balance', count(*) FILTER (WHERE w.balance > 0),
                       'with_virtual', count(*) FILTER (WHERE w.virtual_balance > 0),
                       'frozen', count(w.frozen_at))
            FROM c360.customer_wallets w
        $query$ INTO wallets;
        SELECT wallets || jsonb_build_object('today', coalesce(jsonb_object_agg(t.type,
                   jsonb_build_object('transactions', t.transactions, 'amount', t.amount)), '{}'))
        INTO wallets
        FROM (SELECT r.type, count(*) AS transactions, sum(r.amount) AS amount FROM c360.wallet_transactions r
              WHERE r.created_at >= midnight AND r.created_at < tomorrow GROUP BY r.type) t;
        SELECT wallets || jsonb_build_object('expiring_7_days', jsonb_build_object(
                   'credits', count(*), 'amount', coalesce(sum(v.remaining_amount), 0)))
        INTO wallets FROM c360.virtual_credits v
        WHERE v.status = 'ACTIVE' AND v.expires_at > this_moment AND v.expires_at <= this_moment + interval '7 days';

        SELECT jsonb_build_object('transactions_today', count(*),
                   'in_today', coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'in'), 0),
                   'out_today', coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'out'), 0),
                   'pending', (SELECT count(*) FROM c360.pending_customer_matches p WHERE p.status = 'pending'),
                   'undecided', (SELECT count(*) FROM c360.balance_history u
                                 WHERE u.result IS NULL OR u.result = 'failed'))
        INTO bank FROM c360.balance_history b
        WHERE b.transaction_date >= midnight AND b.transaction_date < tomorrow;
    END IF;
    SELECT CASE WHEN count(*) > 0 THEN jsonb_build_object('segments', jsonb_object_agg(n.segment, n.customers)) END INTO rfm
    FROM (SELECT k.segment, sum(k.customers) AS customers FROM c360.rfm_counts k
          GROUP BY k.segment HAVING sum(k.customers) > 0) n;
    RETURN jsonb_build_object('at', this_moment, 'date', today, 'customers', customers, 'orders', orders,
                              'tickets', tickets, 'wallets', wallets, 'bank', bank,
                              'rfm', rfm);
END $$;
COMMENT ON FUNCTION @extschema@.c360_dashboard() IS
'The shop at a glance, as of now; today is the shop''s (Asia/Ho_Chi_Minh).

Answer: object of at, date, customers {total, new_today, by_tier, by_status}, orders {today, amount_today}, tickets {total, open, overdue, created_today, completed_today, by_status}, wallets {balance, virtual_balance, with_balance, with_virtual, frozen, today {type: {transactions, amount}}, expiring_7_days {credits, amount}}, bank {transactions_today, in_today, out_today, pending, undecided} and rfm {segments {segment: customers}} (as of the last refresh; NULL without scores). Amounts in đồng; amount_today, wallets and bank are NULL for callers below agent. Deleted tickets are left out.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket_metrics(days integer DEFAULT 30) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    span constant integer := coalesce(c360_ticket_metrics.days, 30);
    to_day constant date := @extschema@.c360_shop_day(statement_timestamp());
    from_day date;
    answer jsonb;
BEGIN
    PERFORM @extschema@.c360_require_range('days', span, 1, 3650);
    from_day := to_day - span + 1;
    PERFORM @extschema@.c360_become_owner();
    WITH chosen AS MATERIALIZED (
        SELECT t.type, t.status, (t.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day,
               t.completed_at - t.created_at AS took,
               t.credit_id IS NOT NULL OR t.transaction_id IS NOT NULL AS compensated,
               v.original_amount AS issued, d.amount AS refunded
        FROM c360.customer_tickets t
        LEFT JOIN c360.virtual_credits v ON v.id = t.credit_id
        LEFT JOIN c360.wallet_transactions d ON d.id = t.transaction_id AND d.type = 'DEPOSIT'
        WHERE t.created_at >= from_day::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh'
          AND t.created_at < (to_day + 1)::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh' AND t.deleted_at IS NULL),
    by_type AS (
        SELECT c.type, jsonb_build_object('tickets', count(*),
                   'open', count(*) FILTER (WHERE c.status NOT IN ('completed', 'cancelled')),
                   'completed', count(*) FILTER (WHERE c.status = 'completed'),
                   'cancelled', count(*) FILTER (WHERE c.status = 'cancelled'),
                   'avg_resolution_hours', round(extract(epoch FROM avg(c.took)) / 3600, 2),
                   'compensated', count(*) FILTER (WHERE c.compensated),
                   'total_virtual_issued', CASE WHEN sees_money THEN coalesce(sum(c.issued), 0) END,
                   'total_refunded', CASE WHEN sees_money THEN coalesce(sum(c.refunded), 0) END) AS numbers
        FROM chosen c GROUP BY c.type)
    SELECT jsonb_build_object('days', span, 'from_date', from_day, 'to_date', to_day,
               'tickets', count(*),
               'open', count(*) FILTER (WHERE c.status NOT IN ('completed', 'cancelled')),
               'completed', count(*) FILTER (WHERE c.status = 'completed'),
               'cancelled', count(*) FILTER (WHERE c.status = 'cancelled'),
               'avg_resolution_hours', round(extract(epoch FROM avg(c.took)) / 3600, 2),
               'compensated', count(*) FILTER (WHERE c.compensated),
               'total_virtual_issued', CASE WHEN sees_money THEN coalesce(sum(c.issued), 0) END,
               'total_refunded', CASE WHEN sees_money THEN coalesce(sum(c.refunded), 0) END,
               'by_type', (SELECT coalesce(jsonb_object_agg(y.type, y.numbers), '{}') FROM by_type y),
               'by_date', (SELECT coalesce(jsonb_agg(jsonb_build_object('date', n.day, 'tickets', n.tickets)
                                                     ORDER BY n.day), '[]')
                           FROM (SELECT b.day, count(*) AS tickets FROM chosen b GROUP BY b.day) n))
    INTO answer FROM chosen c;
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket_metrics(integer) IS
'Tickets that were created in the last days, deleted ones left out.

days: shop days (Asia/Ho_Chi_Minh), today included, 1 to 3,650; NULL = 30.
Answer: object of days, from_date, to_date, tickets, open, completed, cancelled, avg_resolution_hours (NULL while none is completed), compensated, total_virtual_issued and total_refunded (đồng; NULL for callers below agent), by_type {type: the same numbers} and by_date [{date, tickets}], days without any left out.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_wallet_summary(days integer DEFAULT 7) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    span constant integer := coalesce(c360_wallet_summary.days, 7);
    this_moment constant timestamptz := statement_timestamp();
    answer jsonb;
BEGIN
    PERFORM @extschema@.c360_require_range('days', span, 1, 3650);
    PERFORM @extschema@.c360_become_owner();
    SELECT jsonb_build_object(
               'total_wallets', (SELECT count(*) FROM c360.customers),
               'wallets_with_balance', count(*) FILTER (WHERE w.balance > 0),
               'wallets_with_virtual', count(*) FILTER (WHERE w.virtual_balance > 0),
               'frozen_wallets', count(w.frozen_at),
               'total_real_balance', coalesce(sum(w.balance), 0),
               'total_virtual_balance', coalesce(sum(w.virtual_balance), 0),
               'total_available', coalesce(sum(w.balance) FILTER (WHERE w.frozen_at IS NULL), 0)
                   + (SELECT coalesce(sum(v.remaining_amount), 0) FROM c360.virtual_credits v
                      WHERE v.status = 'ACTIVE' AND v.expires_at > this_moment
                        AND v.customer_id NOT IN (SELECT f.customer_id FROM c360.customer_wallets f
                                                  WHERE f.frozen_at IS NOT NULL)
                        AND v.customer_id NOT IN (SELECT b.id FROM c360.customers b WHERE b.tier = 'blacklist')),
               'total_deposited', coalesce(sum(w.total_deposited), 0),
               'total_withdrawn', coalesce(sum(w.total_withdrawn), 0),
               'total_virtual_issued', coalesce(sum(w.total_virtual_issued), 0),
               'total_virtual_used', coalesce(sum(w.total_virtual_used), 0),
               'total_virtual_expired', coalesce(sum(w.total_virtual_expired), 0))
    INTO answer FROM c360.customer_wallets w;
    SELECT answer || jsonb_build_object('expiring', jsonb_build_object('days', span,
               'credits', coalesce(sum(e.credits), 0), 'amount', coalesce(sum(e.amount), 0),
               'by_date', coalesce(jsonb_agg(jsonb_build_object('date', e.day, 'credits', e.credits,
                                             'customers', e.customers, 'amount', e.amount) ORDER BY e.day), '[]')))
    INTO answer
    FROM (SELECT (v.expires_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS credits,
                 count(DISTINCT v.customer_id) AS customers, sum(v.remaining_amount) AS amount
          FROM c360.virtual_credits v
          WHERE v.status = 'ACTIVE' AND v.expires_at > this_moment
            AND v.expires_at <= this_moment + span * interval '1 day'
          GROUP BY 1) e;
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallet_summary(integer) IS
'All wallets together, and the credit that expires soon, day by day.

days: how far ahead, 1 to 3,650; NULL = 7.
Answer: object of the columns of the view wallet_statistics, frozen_wallets, and expiring {days, credits, amount, by_date [{date, credits, customers, amount}]} with every shop day (Asia/Ho_Chi_Minh) on which credit expires; amounts in đồng.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_daily_summary(from_date date DEFAULT NULL, to_date date DEFAULT NULL)
RETURNS SETOF @extschema@.c360_daily_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 30 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    last_day constant date := coalesce(c360_daily_summary.to_date,
        greatest(@extschema@.c360_shop_day(statement_timestamp()), c360_daily_summary.from_date));
    first_day date;
    begins timestamptz;
    ends timestamptz;
BEGIN
    PERFORM @extschema@.c360_require_days(c360_daily_summary.from_date, last_day, NULL);
    first_day := coalesce(c360_daily_summary.from_date, last_day - 29);
    PERFORM @extschema@.c360_require_days(first_day, last_day, 1000);
    begins := @extschema@.c360_shop_midnight(first_day);
    ends := @extschema@.c360_shop_midnight(last_day + 1);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    -- LIMIT 1000 takes nothing away; it tells the planner how few days there are
    WITH c AS (
        SELECT (r.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS customers
        FROM c360.customers r WHERE r.created_at >= begins AND r.created_at < ends GROUP BY 1 LIMIT 1000),
    o AS (
        SELECT (r.ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS orders,
               coalesce(sum(r.amount) FILTER (WHERE r.status <> 'returned'), 0) AS amount
        FROM c360.customer_orders r
        WHERE r.ordered_at >= begins AND r.ordered_at < ends AND r.status <> 'cancelled' GROUP BY 1 LIMIT 1000),
    created AS (
        SELECT (r.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS tickets
        FROM c360.customer_tickets r
        WHERE r.created_at >= begins AND r.created_at < ends AND r.deleted_at IS NULL GROUP BY 1 LIMIT 1000),
    completed AS (
        SELECT (r.completed_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS tickets
        FROM c360.customer_tickets r
        WHERE r.completed_at >= begins AND r.completed_at < ends AND r.deleted_at IS NULL GROUP BY 1 LIMIT 1000),
    w AS (
        SELECT (r.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS transactions,
               sum(r.amount) FILTER (WHERE r.type = 'DEPOSIT') AS deposited,
               sum(r.amount) FILTER (WHERE r.type = 'WITHDRAW') AS withdrawn,
               sum(r.amount) FILTER (WHERE r.type = 'REFUND') AS refunded,
               sum(r.real_change) FILTER (WHERE r.type = 'ADJUSTMENT') AS adjusted,
               sum(r.amount) FILTER (WHERE r.type = 'VIRTUAL_CREDIT') AS issued,
               - sum(r.virtual_change) FILTER (WHERE r.type = 'WITHDRAW') AS used,
               sum(r.amount) FILTER (WHERE r.type = 'VIRTUAL_EXPIRE') AS expired,
               sum(r.amount) FILTER (WHERE r.type = 'VIRTUAL_CANCEL') AS cancelled
        FROM c360.wallet_transactions r
        WHERE r.created_at >= begins AND r.created_at < ends AND sees_money GROUP BY 1 LIMIT 1000),
    b AS (
        SELECT (r.transaction_date AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS transactions,
               sum(r.transfer_amount) FILTER (WHERE r.transfer_type = 'in') AS received,
               sum(r.transfer_amount) FILTER (WHERE r.transfer_type = 'out') AS paid
        FROM c360.balance_history r
        WHERE r.transaction_date >= begins AND r.transaction_date < ends AND sees_money GROUP BY 1 LIMIT 1000)
    SELECT d.day::date, coalesce(c.customers, 0), coalesce(o.orders, 0),
           coalesce(o.amount, 0) + money.nothing, coalesce(created.tickets, 0), coalesce(completed.tickets, 0),
           coalesce(w.transactions, money.nothing), coalesce(w.deposited, money.nothing),
           coalesce(w.withdrawn, money.nothing), coalesce(w.refunded, money.nothing),
           coalesce(w.adjusted, money.nothing), coalesce(w.issued, money.nothing), coalesce(w.used, money.nothing),
           coalesce(w.expired, money.nothing), coalesce(w.cancelled, money.nothing),
           coalesce(b.transactions, money.nothing), coalesce(b.received, money.nothing), coalesce(b.paid, money.nothing)
    FROM generate_series(first_day::timestamp, last_day::timestamp, interval '1 day') AS d (day)
    CROSS JOIN (SELECT CASE WHEN sees_money THEN 0::bigint END AS nothing) money
    LEFT JOIN c ON c.day = d.day
    LEFT JOIN o ON o.day = d.day
    LEFT JOIN created ON created.day = d.day
    LEFT JOIN completed ON completed.day = d.day
    LEFT JOIN w ON w.day = d.day
    LEFT JOIN b ON b.day = d.day
    ORDER BY d.day;
END $$;
COMMENT ON FUNCTION @extschema@.c360_daily_summary(date, date) IS
'The shop day by day (Asia/Ho_Chi_Minh), one row a day, days without anything included.

from_date, to_date: both included, at most 1,000 days; to_date NULL = today, from_date NULL = 29 days before to_date.
Answer: rows of c360_daily_row; amounts in đồng, which with the counts of wallets and bank are NULL for callers below agent. Deleted tickets are left out.
Errors: 22023 out_of_range, too_many; 55000 not installed.';

-- One list, newest first, of three kinds. A movement of money has an activity,
-- too, and so has a transfer that was deposited, and a ticket has many: these
-- activities are not listed beside what they tell of. Ledger rows are found by
-- way of their activities, which have the same time. Places are (time, kind,
-- id): "1" the timeline, "2" tickets.
CREATE FUNCTION @extschema@.c360_consolidated_transactions(phone text DEFAULT NULL, type text DEFAULT NULL,
    from_date date DEFAULT NULL, to_date date DEFAULT NULL, after text DEFAULT NULL, max_rows integer DEFAULT 10)
RETURNS SETOF @extschema@.c360_consolidated_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    wanted constant bigint := CASE WHEN c360_consolidated_transactions.phone IS NOT NULL
        THEN @extschema@.c360_require_customer(c360_consolidated_transactions.phone) END;
    page constant integer := coalesce(max_rows, 10);
    place constant text[] := regexp_match(c360_consolidated_transactions.after, '^(-?[0-9]{1,17}|[0-9]{18})[.]([12])[.]([0-9]{1,18})$');
    first_moment timestamptz := '-infinity';
    last_moment timestamptz := 'infinity';      -- not included
    kinds constant text[] := ARRAY['transaction', 'ticket', 'activity'];
    ledger_types constant text[] := ARRAY['DEPOSIT', 'WITHDRAW', 'VIRTUAL_CREDIT', 'VIRTUAL_EXPIRE',
                                          'VIRTUAL_CANCEL', 'REFUND', 'ADJUSTMENT'];
    ledger_events constant text[] := ARRAY['wallet.deposit', 'wallet.withdraw', 'wallet.virtual_credit',
                                           'wallet.virtual_expired', 'wallet.virtual_cancelled', 'wallet.refund',
                                           'wallet.adjusted'];     -- of their activities
    ticket_types text[];
    before_at timestamptz := 'infinity';
    before_kind integer := 3;
    before_id bigint := 0;
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', page, 1, 1000);
    PERFORM @extschema@.c360_require_days(from_date, to_date, NULL);
    first_moment := coalesce(@extschema@.c360_shop_midnight(from_date), first_moment);
    last_moment := coalesce(@extschema@.c360_shop_midnight(to_date + 1), last_moment);
    IF place IS NOT NULL THEN
        before_at := '1970-01-01 00:00 UTC'::timestamptz + place[1]::bigint * interval '1 microsecond';
        before_kind := place[2];
        before_id := place[3];
    ELSIF after IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'malformed cursor',
            DETAIL = format('invalid_cursor: "%s"', left(after, 64)),
            HINT = 'Send the column cursor of the last row that you have.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    SELECT array_agg(y.type ORDER BY y.type) INTO ticket_types FROM c360.ticket_types y;
    IF c360_consolidated_transactions.type <> ALL (kinds || ledger_types || ticket_types) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: type "%s"', left(c360_consolidated_transactions.type, 64)),
            HINT = 'Allowed are ' || array_to_string(kinds || ledger_types || ticket_types, ', ') || '.';
    END IF;
    -- Planned for each call: which index serves depends on what is asked for.
    RETURN QUERY EXECUTE $query$
    WITH timeline AS (
        SELECT 1 AS kind, a.id, a.created_at AS at
        FROM c360.customer_activities a
        WHERE ($1 IS NULL OR a.customer_id = $1)
          AND a.created_at >= $2 AND a.created_at < $3
          AND (a.created_at, a.id) < ($4, CASE WHEN $5 > 1 THEN 9223372036854775807 ELSE $6 END)
          AND ($7 OR a.topic NOT IN ('wallets', 'bank'))
          AND a.topic <> 'tickets'
          AND NOT (a.topic = 'bank' AND a.payload ? 'transaction_id')
          AND CASE WHEN $8 IS NULL THEN true
                   WHEN $8 = 'activity' THEN NOT (a.topic = 'wallets' AND a.reference_type = 'wallet_transaction')
                   WHEN $8 = 'transaction' THEN a.topic = 'wallets' AND a.reference_type = 'wallet_transaction'
                   ELSE a.topic = 'wallets' AND a.reference_type = 'wallet_transaction' AND a.event = $11 END
        ORDER BY a.created_at DESC, a.id DESC
        LIMIT CASE WHEN $8 = 'ticket' OR $8 = ANY ($10) THEN 0 ELSE $9 END),
    tickets AS (
        SELECT 2 AS kind, k.id, k.created_at AS at
        FROM c360.customer_tickets k
        WHERE ($1 IS NULL OR k.customer_id = $1) AND k.deleted_at IS NULL
          AND k.created_at >= $2 AND k.created_at < $3
          AND (k.created_at, k.id) < ($4, CASE $5 WHEN 3 THEN 9223372036854775807 WHEN 2 THEN $6
                                               ELSE (-9223372036854775808) END)
          AND (coalesce($8, 'ticket') = 'ticket' OR k.type = $8)
        ORDER BY k.created_at DESC, k.id DESC
        LIMIT CASE WHEN $8 IN ('transaction', 'activity') OR $11 IS NOT NULL THEN 0 ELSE $9 END),
    listed AS (
        SELECT * FROM timeline UNION ALL SELECT * FROM tickets
        ORDER BY at DESC, kind DESC, id DESC LIMIT $9)
    SELECT format('%s.%s.%s', (extract(epoch FROM l.at) * 1000000)::bigint, l.kind, l.id),
           CASE WHEN k.id IS NOT NULL THEN 'ticket' WHEN t.id IS NOT NULL THEN 'transaction' ELSE 'activity' END,
           coalesce(k.type, t.type, a.event), coalesce(k.id, t.id, a.id), l.at,
           c.id, c.phone, c.name,
           CASE WHEN $7 THEN coalesce(t.amount, k.refund_amount) END,
           t.real_change, t.virtual_change, t.balance_after, t.virtual_balance_after,
           k.status, k.ticket_code,
           CASE WHEN k.id IS NOT NULL AND k.order_code IS NOT NULL THEN 'order'
                WHEN k.id IS NULL AND t.id IS NULL THEN a.reference_type ELSE t.reference_type END,
           CASE WHEN k.id IS NOT NULL THEN k.order_code
                WHEN t.id IS NULL THEN a.reference_id ELSE t.reference_id END,
           CASE WHEN k.id IS NOT NULL THEN k.description ELSE a.payload ->> 'note' END,
           CASE WHEN k.id IS NOT NULL THEN jsonb_build_object('subject', k.subject, 'priority', k.priority,
                    'compensation', k.compensation, 'completed_at', k.completed_at, 'assignee', k.assignee)
                WHEN t.id IS NOT NULL THEN jsonb_build_object('source', t.source, 'operation', t.operation,
                    'occurred_at', t.occurred_at)
                WHEN $7 THEN a.payload ELSE a.payload - 'amount' END,
           CASE WHEN k.id IS NOT NULL THEN k.created_by ELSE a.actor END
    FROM listed l
    LEFT JOIN c360.customer_tickets k ON l.kind = 2 AND k.id = l.id
    LEFT JOIN c360.customer_activities a ON l.kind = 1 AND a.id = l.id
    LEFT JOIN c360.wallet_transactions t
           ON t.id = CASE WHEN a.topic = 'wallets' AND a.reference_type = 'wallet_transaction'
                          THEN a.reference_id::bigint END
    LEFT JOIN c360.customers c ON c.id = coalesce(k.customer_id, a.customer_id)
    ORDER BY l.at DESC, l.kind DESC, l.id DESC
    $query$ USING wanted, first_moment, last_moment, before_at, before_kind, before_id, sees_money,
                  c360_consolidated_transactions.type, page, ticket_types,
                  ledger_events[array_position(ledger_types, c360_consolidated_transactions.type)];
END $$;
COMMENT ON FUNCTION @extschema@.c360_consolidated_transactions(text, text, date, date, text, integer) IS
'Ledger rows, tickets and all other activities in one list, each thing once, newest first, in pages.

phone: any spelling; NULL = all customers. type: transaction, ticket or activity, a type of the ledger or a type of ticket; NULL = all. from_date, to_date: shop days (Asia/Ho_Chi_Minh), both included; NULL = open. after: column cursor of the last row of the page before; NULL = from the newest. max_rows: 1 to 1,000.
Answer: rows of c360_consolidated_row; amounts in đồng. Callers below agent get neither ledger rows nor activities of wallets and bank, nor amounts of orders. Activities of a movement, of a deposited transfer and of a ticket are not listed beside it; deleted tickets are left out. Without phone and dates, a type that is rare reads far back.
Errors: PT404 customer_not_found; 22023 invalid_phone, not_allowed, invalid_cursor, out_of_range; 55000 not installed.';

-- What changed since a consumer looked last, by snapshot (src/changes.c). Rows
-- that carry their transaction are new to it if
--
--     xact = ANY (ARRAY(SELECT pg_snapshot_xip(since))) OR xact >= pg_snapshot_xmax(since)
--
-- which two index ranges answer, best as two queries; since NULL means all.

CREATE FUNCTION @extschema@.c360_changes_begin(consumer text,
    OUT since pg_snapshot, OUT upto pg_snapshot, OUT state jsonb)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_changes_begin_sql';
COMMENT ON FUNCTION @extschema@.c360_changes_begin(text) IS
'Internal: begins a run of a consumer, and locks its row until the end of the transaction; to be called before the rows are read.

consumer: its name in c360.consumers.
Answer: since, the snapshot up to which it had everything, NULL = nothing, or that was another history; upto, the one of this run, for c360_changes_end(); state, as its last run left it.
Errors: 22004 NULL; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_changes_end(consumer text, upto pg_snapshot, state jsonb) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_changes_end_sql';
COMMENT ON FUNCTION @extschema@.c360_changes_end(text, pg_snapshot, jsonb) IS
'Internal: notes that the consumer has all up to this snapshot.

consumer: its name. upto: of c360_changes_begin(). state: what its next run gets.
Errors: 22004 missing_argument; 22023 not_allowed: no such consumer; 25006 read only; 55000 not installed.';

-- Scores, segments and tiers.
--
-- A run begins with c360_rfm_begin(): it finds who changed since the last one
-- (57_changes.sql), queues them and notes the run's snapshot, or, if nothing
-- is known or the rules are others, sets out to walk through all customers.
-- c360_rfm_batch() goes on from what is noted, until nothing is left. Both are
-- in one transaction for c360_refresh_rfm(); the job and c360_refresh_rfm_all()
-- commit after each batch. A run that dies leaves its queue and its place to
-- the next one. What is scored and written is src/refresh.c's.
--
-- Functions that only call others stay the owner of the extension, who alone
-- may call all of them; those that touch tables become the owner of these. The
-- shop's day is an argument of the internal ones: tests give another.

CREATE FUNCTION @extschema@.c360_rfm_config_version() RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_rfm_config_version';
COMMENT ON FUNCTION @extschema@.c360_rfm_config_version() IS
'Internal: a number for the rules of scoring as they are: thresholds, segments, window.

Answer: the same number for the same rules.
Errors: 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_score_customer(customer_id bigint, today date,
    OUT recency_days integer, OUT frequency integer, OUT monetary bigint, OUT r smallint, OUT f smallint, OUT m smallint,
    OUT segment text, OUT tier text, OUT since_on date)
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_score_customer';
COMMENT ON FUNCTION @extschema@.c360_score_customer(bigint, date) IS
'Internal: the score that a customer would get; nothing is stored.

customer_id: the customer. today: the shop''s day.
Answer: the scores and what they are made of, NULL without an order that counts; the tier; since when he is a customer.
Errors: 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_score_customers(ids bigint[], after bigint, upto bigint, today date,
    OUT examined bigint, OUT changed bigint, OUT rules bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_score_customers';
COMMENT ON FUNCTION @extschema@.c360_score_customers(bigint[], bigint, bigint, date) IS
'Internal: scores customers and writes what differs: score, tier, history, events. Who is locked by somebody else is queued.

ids: whom; NULL = those with ids above after and up to upto; both NULL = all. today: the shop''s day.
Answer: customers looked at, how many changed, and the rules that they were scored by, as c360_rfm_config_version() names them.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_report_progress(progress text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_report_progress';
COMMENT ON FUNCTION @extschema@.c360_report_progress(text) IS
'Internal: shows in pg_stat_activity how far a run is.

progress: in place of the query.
Errors: 22004 NULL; 25006 read only.';

-- What touches the tables of a run.

-- Whose orders changed, by the transactions that the last run did not see; who
-- is due by the calendar. Rows of transactions that are yet to come were
-- restored from a dump of an older cluster: the run in which their number comes
-- up looks at them, once.
CREATE FUNCTION @extschema@.c360_rfm_fill_queue(since pg_snapshot, upto pg_snapshot, today date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    running constant xid8[] := ARRAY(SELECT pg_snapshot_xip(c360_rfm_fill_queue.since));
    own constant xid8 := pg_current_xact_id();
BEGIN
    PERFORM @extschema@.c360_become_owner();
    INSERT INTO c360.rfm_queue (customer_id)
    SELECT o.customer_id FROM c360.customer_orders AS o WHERE o.xact = ANY (running)
    UNION
    SELECT o.customer_id FROM c360.customer_orders AS o
    WHERE o.xact >= pg_snapshot_xmax(c360_rfm_fill_queue.since) AND o.xact < pg_snapshot_xmax(c360_rfm_fill_queue.upto)
    UNION
    -- of this transaction, which the snapshot of REPEATABLE READ may not reach
    SELECT o.customer_id FROM c360.customer_orders AS o WHERE o.xact = own
    UNION
    SELECT s.customer_id FROM c360.customer_rfm AS s WHERE s.next_on <= c360_rfm_fill_queue.today
    ORDER BY 1;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_fill_queue(pg_snapshot, pg_snapshot, date) IS
'Internal: queues the customers whose score may have changed.

since: of the last run. upto: of this one. today: the shop''s day.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_queue_end(emptied boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_rfm_queue_end.emptied THEN
        DELETE FROM c360.rfm_queue;
        WITH gone AS (DELETE FROM c360.rfm_counts)
        INSERT INTO c360.rfm_counts (segment, customers)
        SELECT s.segment, count(*) FROM c360.customer_rfm AS s GROUP BY s.segment;
    ELSE
        WITH gone AS (DELETE FROM c360.rfm_counts RETURNING *)
        INSERT INTO c360.rfm_counts (segment, customers)
        SELECT g.segment, sum(g.customers) FROM gone AS g GROUP BY g.segment HAVING sum(g.customers) <> 0;
    END IF;
    RETURN (SELECT coalesce(max(q.id), 0) FROM c360.rfm_queue AS q);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_queue_end(boolean) IS
'Internal: the last row of the queue; adds up the rows that count segments.

emptied: whether to empty the queue first, and to count anew: all customers will be looked at.
Answer: its id, 0 without any.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_take_queue(after bigint, upto bigint, max_rows integer,
    OUT ids bigint[], OUT last_id bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    WITH taken AS (
        DELETE FROM c360.rfm_queue AS q
        WHERE q.id = ANY (ARRAY(SELECT n.id FROM c360.rfm_queue AS n
                                WHERE n.id > c360_rfm_take_queue.after AND n.id <= c360_rfm_take_queue.upto
                                ORDER BY n.id LIMIT c360_rfm_take_queue.max_rows))
        RETURNING q.id, q.customer_id)
    SELECT array_agg(DISTINCT t.customer_id), max(t.id) INTO ids, last_id FROM taken AS t;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_take_queue(bigint, bigint, integer) IS
'Internal: takes the next customers out of the queue.

after, upto: ids of its rows. max_rows: how many.
Answer: the customers, each once, and the id of the last row taken; NULL if none is left.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_range_end(after bigint, max_rows integer) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN (SELECT max(n.id) FROM (SELECT c.id FROM c360.customers AS c WHERE c.id > c360_rfm_range_end.after
                                   ORDER BY c.id LIMIT c360_rfm_range_end.max_rows) AS n);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_range_end(bigint, integer) IS
'Internal: the end of a range of customers.

after: id before it. max_rows: customers.
Answer: the last id; NULL if there is none above after.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_lock_customer(customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    PERFORM FROM c360.customers AS c WHERE c.id = c360_rfm_lock_customer.customer_id FOR NO KEY UPDATE;
    PERFORM FROM c360.customer_rfm AS s WHERE s.customer_id = c360_rfm_lock_customer.customer_id FOR NO KEY UPDATE;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_lock_customer(bigint) IS
'Internal: locks a customer and his score, in that order.

customer_id: the customer.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_queue_customer(customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    INSERT INTO c360.rfm_queue (customer_id) VALUES (c360_rfm_queue_customer.customer_id);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_queue_customer(bigint) IS
'Internal: has the next refresh look at a customer; whoever changes a tier or its lock calls this or adds the row himself.

customer_id: the customer.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_distribution() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    distribution jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT coalesce(jsonb_object_agg(n.segment, n.customers), '{}') INTO distribution
    FROM (SELECT k.segment, sum(k.customers) AS customers FROM c360.rfm_counts AS k
          GROUP BY k.segment HAVING sum(k.customers) > 0) AS n;
    RETURN distribution;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_distribution() IS
'Internal: customers of each segment, as of the last refresh.

Answer: {segment: customers}; segments without any are left out.
Errors: 55000 not installed.';

-- A run.

CREATE FUNCTION @extschema@.c360_rfm_begin("full" boolean, run bigint, today date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- what touches tables may leave a search_path of their owner's
    pinned constant text := 'pg_catalog, pg_temp';
    changes record;
    rules text;
    state jsonb;
    everybody boolean;
BEGIN
    changes := @extschema@.c360_changes_begin('rfm');
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    rules := @extschema@.c360_rfm_config_version();
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    -- next_on holds for days that come after: not if the clock was set back
    everybody := c360_rfm_begin."full" OR changes.since IS NULL OR changes.state ->> 'rules' IS DISTINCT FROM rules
                 OR coalesce((changes.state ->> 'day')::date > c360_rfm_begin.today, false);
    state := jsonb_build_object('rules', rules, 'day', c360_rfm_begin.today, 'run', c360_rfm_begin.run, 'examined', 0, 'changed', 0, 'size', 500,
                                'queue_after', 0);
    IF everybody THEN
        state := state || '{"all_after": 0}';
    ELSE
        PERFORM @extschema@.c360_rfm_fill_queue(changes.since, changes.upto, c360_rfm_begin.today);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        IF changes.state ? 'all_after' THEN         -- a walk that was cut short
            state := state || jsonb_build_object('all_after', changes.state -> 'all_after');
        END IF;
    END IF;
    state := state || jsonb_build_object('queue_upto', @extschema@.c360_rfm_queue_end(everybody));
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    PERFORM @extschema@.c360_changes_end('rfm', changes.upto, state);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_begin(boolean, bigint, date) IS
'Internal: begins a run of the refresh; goes on with one that was cut short.

full: look at all customers, whatever changed. run: its id in c360.job_runs, NULL = none. today: the shop''s day.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

-- The size of batches follows the time that they take, so that whoever waits
-- for a row of one waits some 25 ms.
CREATE FUNCTION @extschema@.c360_rfm_batch(today date, OUT examined bigint, OUT changed bigint, OUT finished boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pinned constant text := 'pg_catalog, pg_temp';
    begun constant timestamptz := clock_timestamp();
    took double precision;
    changes record;
    rules text;
    state jsonb;
    size integer;
    range_end bigint;
    taken record;
    scored record;
BEGIN
    changes := @extschema@.c360_changes_begin('rfm');
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    rules := @extschema@.c360_rfm_config_version();
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    state := changes.state;
    size := coalesce((state ->> 'size')::integer, 500);
    examined := 0;
    changed := 0;
    finished := changes.since IS NULL OR state ->> 'rules' IS NULL;
    IF finished THEN            -- another history has begun: the next run will see to it
        RETURN;
    ELSIF state ->> 'rules' <> rules OR (state ->> 'day')::date > c360_rfm_batch.today THEN
        state := state || jsonb_build_object('rules', rules, 'all_after', 0);
    END IF;
    state := state || jsonb_build_object('day', c360_rfm_batch.today);
    IF state ? 'all_after' THEN
        range_end := @extschema@.c360_rfm_range_end((state ->> 'all_after')::bigint, size);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        IF range_end IS NOT NULL THEN
            scored := @extschema@.c360_score_customers(NULL, (state ->> 'all_after')::bigint, range_end,
                                                       c360_rfm_batch.today);
            state := state || jsonb_build_object('all_after', range_end);
        ELSE                    -- those that were locked once more
            state := (state - 'all_after')
                     || jsonb_build_object('queue_upto', @extschema@.c360_rfm_queue_end(false));
        END IF;
        PERFORM pg_catalog.set_config('search_path', pinned, true);
    END IF;
    IF NOT state ? 'all_after' THEN
        taken := @extschema@.c360_rfm_take_queue((state ->> 'queue_after')::bigint, (state ->> 'queue_upto')::bigint, size);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        finished := taken.last_id IS NULL;
        IF NOT finished THEN
            scored := @extschema@.c360_score_customers(taken.ids, NULL, NULL, c360_rfm_batch.today);
            PERFORM pg_catalog.set_config('search_path', pinned, true);
            state := state || jsonb_build_object('queue_after', taken.last_id);
        END IF;
    END IF;
    IF NOT finished THEN
        examined := scored.examined;
        changed := scored.changed;
        IF scored.rules::text <> rules THEN     -- other rules have come meanwhile
            state := state || jsonb_build_object('rules', scored.rules::text, 'all_after', 0);
        END IF;
    END IF;
    took := extract(epoch FROM clock_timestamp() - begun) * 1000;
    state := state || jsonb_build_object(
        'examined', (state ->> 'examined')::bigint + examined, 'changed', (state ->> 'changed')::bigint + changed,
        'size', CASE WHEN took < 12 THEN least(size * 2, 20000) WHEN took > 25 THEN greatest(size / 2, 50) ELSE size END);
    PERFORM @extschema@.c360_changes_end('rfm', changes.since, state);
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    PERFORM @extschema@.c360_report_progress(format('c360_refresh_rfm: %s customers examined, %s changed',
                                                    state ->> 'examined', state ->> 'changed'));
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_batch(date) IS
'Internal: one batch of a run that c360_rfm_begin() began.

today: the shop''s day.
Answer: customers looked at and changed; finished = nothing was left to look at.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_refresh_rfm_on("full" boolean, today date)
RETURNS TABLE (examined bigint, changed bigint, distribution jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pinned constant text := 'pg_catalog, pg_temp';
    changes record;
    batch record;
BEGIN
    -- or the job would wait for our transaction, and all other jobs with it
    IF NOT @extschema@.c360_job_lock('refresh_rfm', true) THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'job is running',
            DETAIL = 'job_running: refresh_rfm',
            HINT = 'The view c360_job_status shows how far it is.';
    END IF;
    PERFORM @extschema@.c360_rfm_begin(coalesce(c360_refresh_rfm_on."full", false), NULL, c360_refresh_rfm_on.today);
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    examined := 0;
    changed := 0;
    changes := @extschema@.c360_changes_begin('rfm');
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    IF changes.state ? 'all_after' THEN             -- in one go
        batch := @extschema@.c360_score_customers(NULL, NULL, NULL, c360_refresh_rfm_on.today);
        examined := batch.examined;
        changed := batch.changed;
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        -- these rules may be newer than those that the run began with
        PERFORM @extschema@.c360_changes_end('rfm', changes.since, changes.state - 'all_after'
            || jsonb_build_object('examined', examined, 'changed', changed, 'rules', batch.rules::text));
        PERFORM pg_catalog.set_config('search_path', pinned, true);
    ELSE
        LOOP
            batch := @extschema@.c360_rfm_batch(c360_refresh_rfm_on.today);
            PERFORM pg_catalog.set_config('search_path', pinned, true);
            EXIT WHEN batch.finished;
            examined := examined + batch.examined;
            changed := changed + batch.changed;
        END LOOP;
    END IF;
    distribution := @extschema@.c360_rfm_distribution();
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION @extschema@.c360_refresh_rfm_on(boolean, date) IS
'Internal: c360_refresh_rfm() on a day.

full: look at all customers. today: the shop''s day.
Answer: as c360_refresh_rfm().
Errors: PT409 job_running; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_refresh_rfm("full" boolean DEFAULT false)
RETURNS TABLE (examined bigint, changed bigint, distribution jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.c360_refresh_rfm_on(c360_refresh_rfm."full",
                                                               @extschema@.c360_shop_day(clock_timestamp()));
END $$;
COMMENT ON FUNCTION @extschema@.c360_refresh_rfm(boolean) IS
'Scores the customers whose orders changed since the last refresh, or whose score changes with today, and sets their tiers; in one transaction. The caller''s own uncommitted changes count.

full: score all, whatever changed; so does the first run, one after a restore or a promotion, and one after a change of thresholds, segments or window, or with an earlier day than the one before. The result is the same.
Answer: examined (customers looked at), changed (of whom something else than before is stored now), distribution ({segment: customers}). Customers locked by another transaction meanwhile are left to the next refresh.
Errors: PT409 job_running (also another c360_refresh_rfm(), until its transaction ends); 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_start("full" boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT @extschema@.c360_job_lock('refresh_rfm', false) THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'job is running',
            DETAIL = 'job_running: refresh_rfm',
            HINT = 'The view c360_job_status shows how far it is.';
    END IF;
    PERFORM @extschema@.c360_rfm_begin(coalesce(c360_rfm_start."full", false), NULL,
                                       @extschema@.c360_shop_day(clock_timestamp()));
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_start(boolean) IS
'Internal: begins a run for c360_refresh_rfm_all(), under the lock of the job.

full: look at all customers.
Errors: PT409 job_running; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_continue() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch record;
BEGIN
    batch := @extschema@.c360_rfm_batch(@extschema@.c360_shop_day(clock_timestamp()));
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF batch.finished THEN
        PERFORM @extschema@.c360_job_unlock();
    END IF;
    RETURN NOT batch.finished;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_continue() IS
'Internal: a batch of c360_refresh_rfm_all(); the last one gives the lock of the job back.

Answer: whether there may be more.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

-- A procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_refresh_rfm_all("full" boolean DEFAULT false)
LANGUAGE plpgsql
AS $$
DECLARE
    more boolean;
BEGIN
    PERFORM @extschema@.c360_rfm_start("full");
    COMMIT;
    LOOP
        more := @extschema@.c360_rfm_continue();
        COMMIT;
        EXIT WHEN NOT more;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_refresh_rfm_all(boolean) IS
'As c360_refresh_rfm(), in batches with a commit after each, so that no client waits longer than one, some 25 ms. pg_stat_activity shows how far it is. One that was cut short is gone on with by the next run of any kind.

full: look at all customers, whatever changed.
Its caller needs EXECUTE on c360_rfm_start and c360_rfm_continue, too.
Errors: PT409 job_running; 2D000 inside a transaction block; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_open_run(OUT run bigint, OUT begun bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    run := (SELECT max(j.id) FROM c360.job_runs AS j WHERE j.job = 'refresh_rfm' AND j.ended_at IS NULL);
    begun := (SELECT (c.state ->> 'run')::bigint FROM c360.consumers AS c WHERE c.name = 'rfm');
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_open_run() IS
'Internal: the run of the job that is under way.

Answer: its id, and that of the run that c360_rfm_begin() began last.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_refresh_rfm() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_run record;
    today constant date := @extschema@.c360_shop_day(clock_timestamp());
    batch record;
BEGIN
    open_run := @extschema@.c360_rfm_open_run();
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF open_run.run IS DISTINCT FROM open_run.begun OR open_run.run IS NULL THEN
        PERFORM @extschema@.c360_rfm_begin(false, open_run.run, today);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END IF;
    batch := @extschema@.c360_rfm_batch(today);
    RETURN CASE WHEN batch.finished THEN 0 ELSE greatest(batch.examined, 1) END;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_refresh_rfm() IS
'Internal: one batch of the job refresh_rfm.

Answer: customers looked at, 0 when none is left.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

-- One customer.

CREATE FUNCTION @extschema@.c360_rfm_answer(customer_id bigint, today date, sees_money boolean)
RETURNS TABLE (recency_days integer, frequency integer, monetary bigint, r smallint, f smallint, m smallint,
               overall numeric, segment text, tier text)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.recency_days, s.frequency, CASE WHEN c360_rfm_answer.sees_money THEN s.monetary END, s.r, s.f, s.m,
           round((s.r + s.f + s.m) / 3.0, 2), s.segment, s.tier
    FROM @extschema@.c360_score_customer(c360_rfm_answer.customer_id, c360_rfm_answer.today) AS s
$$;
COMMENT ON FUNCTION @extschema@.c360_rfm_answer(bigint, date, boolean) IS
'Internal: what c360_calculate_rfm() answers.

customer_id: the customer. today: the shop''s day. sees_money: whether to tell what he spent.
Answer: one row.
Errors: 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_calculate_rfm(phone text)
RETURNS TABLE (recency_days integer, frequency integer, monetary bigint, r smallint, f smallint, m smallint,
               overall numeric, segment text, tier text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.c360_rfm_answer(
        @extschema@.c360_require_customer(c360_calculate_rfm.phone),
        @extschema@.c360_shop_day(clock_timestamp()), coalesce(@extschema@.c360_sees_money(), false));
END $$;
COMMENT ON FUNCTION @extschema@.c360_calculate_rfm(text) IS
'The score of a customer as of now; nothing is stored.

phone: any spelling.
Answer: recency_days (shop days since his last order), frequency (orders of the window), monetary (đồng, NULL for callers below agent), the scores r, f and m of them (1 to 5), overall (their mean, 2 decimals), segment, and the tier that he would have; without an order that counts all but frequency, monetary and tier are NULL.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_update_rfm(phone text)
RETURNS TABLE (recency_days integer, frequency integer, monetary bigint, r smallint, f smallint, m smallint,
               overall numeric, segment text, tier text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pinned constant text := 'pg_catalog, pg_temp';
    wanted constant bigint := @extschema@.c360_require_customer(c360_update_rfm.phone);
    today constant date := @extschema@.c360_shop_day(clock_timestamp());
    scored record;
BEGIN
    PERFORM @extschema@.c360_rfm_lock_customer(wanted);
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    scored := @extschema@.c360_score_customers(ARRAY[wanted], NULL, NULL, today);
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    IF scored.changed > 0 THEN
        -- a refresh may have looked at him meanwhile, or by other rules: once more, then
        PERFORM @extschema@.c360_rfm_queue_customer(wanted);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
    END IF;
    RETURN QUERY SELECT * FROM @extschema@.c360_rfm_answer(wanted, today, coalesce(@extschema@.c360_sees_money(), false));
END $$;
COMMENT ON FUNCTION @extschema@.c360_update_rfm(text) IS
'Scores one customer as of now, stores it and sets his tier.

phone: any spelling.
Answer: as c360_calculate_rfm().
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_words(customer_id bigint, r smallint, f smallint, m smallint, segment text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    words jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT jsonb_object_agg(g.metric, g.description) INTO words
    FROM c360.rfm_config AS g
    WHERE (g.metric, g.score) IN (('recency', c360_rfm_words.r), ('frequency', c360_rfm_words.f), ('monetary', c360_rfm_words.m));
    RETURN jsonb_build_object('words', coalesce(words, '{}'),
        'stored', (SELECT to_jsonb(s) FROM c360.customer_rfm AS s WHERE s.customer_id = c360_rfm_words.customer_id),
        'segment_change', (SELECT jsonb_build_object('from', h.from_segment, 'at', h.at) FROM c360.rfm_history AS h
                           WHERE h.customer_id = c360_rfm_words.customer_id AND h.from_segment IS DISTINCT FROM h.to_segment
                           ORDER BY h.id DESC LIMIT 1),
        'tier_change', (SELECT jsonb_build_object('from', h.from_tier, 'at', h.at) FROM c360.rfm_history AS h
                        WHERE h.customer_id = c360_rfm_words.customer_id AND h.from_tier <> h.to_tier
                        ORDER BY h.id DESC LIMIT 1),
        'recommendations', (SELECT coalesce(jsonb_agg(jsonb_build_object('en', n.recommendation, 'vi', n.recommendation_vi)
                                                      ORDER BY n.position), '[]')
                            FROM c360.rfm_recommendations AS n WHERE n.segment = c360_rfm_words.segment));
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_words(bigint, smallint, smallint, smallint, text) IS
'Internal: what c360_analyze_rfm() adds to a score.

customer_id: the customer. r, f, m, segment: his score.
Answer: object of words, stored, segment_change, tier_change, recommendations.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_analyze_rfm(phone text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_analyze_rfm.phone);
    score record;
    more jsonb;
BEGIN
    SELECT * INTO score FROM @extschema@.c360_rfm_answer(wanted, @extschema@.c360_shop_day(clock_timestamp()),
                                                         coalesce(@extschema@.c360_sees_money(), false));
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    more := @extschema@.c360_rfm_words(wanted, score.r, score.f, score.m, score.segment);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN jsonb_build_object(
        'customer_id', wanted, 'phone', @extschema@.c360_normalize_phone(c360_analyze_rfm.phone),
        'recency', jsonb_build_object('score', score.r, 'days', score.recency_days, 'words', more #> '{words,recency}'),
        'frequency', jsonb_build_object('score', score.f, 'orders', score.frequency, 'words', more #> '{words,frequency}'),
        'monetary', jsonb_build_object('score', score.m, 'spent', score.monetary, 'words', more #> '{words,monetary}'),
        'overall', score.overall, 'segment', score.segment, 'tier', score.tier,
        'stored_segment', more #> '{stored,segment}',
        'previous_segment', more #> '{segment_change,from}', 'segment_since', more #> '{segment_change,at}',
        'previous_tier', more #> '{tier_change,from}', 'tier_since', more #> '{tier_change,at}',
        'recommendations', more -> 'recommendations');
END $$;
COMMENT ON FUNCTION @extschema@.c360_analyze_rfm(text) IS
'The score of a customer as of now, in words, with its history and what to do.

phone: any spelling.
Answer: object of customer_id, phone, recency {score, days, words}, frequency {score, orders, words}, monetary {score, spent, words}, overall, segment, tier, stored_segment (of the last refresh), previous_segment with segment_since and previous_tier with tier_since (as scoring changed them last, NULL if it never did), recommendations [{en, vi}]. spent in đồng, NULL for callers below agent; without an order that counts the scores are NULL.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed, rules_incomplete.';

-- The rules.

CREATE FUNCTION @extschema@.c360_update_rfm_threshold(metric text, score integer, min_value bigint, description text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor text := @extschema@.c360_current_actor();
    outermost integer;
    known record;
    lower_side record;
    upper_side record;
    words text;
BEGIN
    PERFORM @extschema@.c360_require_one_of('metric', c360_update_rfm_threshold.metric, '{recency,frequency,monetary}');
    PERFORM @extschema@.c360_require_range('score', c360_update_rfm_threshold.score, 1, 5);
    PERFORM @extschema@.c360_require_range('min_value', c360_update_rfm_threshold.min_value, 0, 9223372036854775807);
    words := @extschema@.c360_require_text('description', c360_update_rfm_threshold.description, 500, false);
    outermost := CASE c360_update_rfm_threshold.metric WHEN 'recency' THEN 5 ELSE 1 END;
    IF c360_update_rfm_threshold.metric = 'recency' AND c360_update_rfm_threshold.min_value > 100000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: min_value is %s, allowed are 0 to 100000', c360_update_rfm_threshold.min_value);
    ELSIF c360_update_rfm_threshold.score = outermost AND c360_update_rfm_threshold.min_value <> 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'outermost bound stays 0',
            DETAIL = format('outermost_bound: score %s of %s begins at 0', outermost, c360_update_rfm_threshold.metric),
            HINT = 'Change the bound of the score next to it.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    PERFORM FROM c360.rfm_config AS g WHERE g.metric = c360_update_rfm_threshold.metric ORDER BY g.score FOR UPDATE;
    SELECT g.min_value, g.description INTO known FROM c360.rfm_config AS g
    WHERE g.metric = c360_update_rfm_threshold.metric AND g.score = c360_update_rfm_threshold.score;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'rules of scoring are not complete',
            DETAIL = format('rules_incomplete: c360.rfm_config has no row for score %s of %s',
                            c360_update_rfm_threshold.score, c360_update_rfm_threshold.metric),
            HINT = 'SELECT c360_install() puts it back.';
    END IF;
    SELECT g.score, g.min_value INTO lower_side FROM c360.rfm_config AS g
    WHERE g.metric = c360_update_rfm_threshold.metric
      AND g.score = c360_update_rfm_threshold.score + CASE outermost WHEN 5 THEN 1 ELSE -1 END;
    SELECT g.score, g.min_value INTO upper_side FROM c360.rfm_config AS g
    WHERE g.metric = c360_update_rfm_threshold.metric
      AND g.score = c360_update_rfm_threshold.score - CASE outermost WHEN 5 THEN 1 ELSE -1 END;
    IF lower_side.min_value >= c360_update_rfm_threshold.min_value
       OR upper_side.min_value <= c360_update_rfm_threshold.min_value THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'bounds are out of order',
            DETAIL = format('bounds_out_of_order: %s %s must lie %s', c360_update_rfm_threshold.metric,
                c360_update_rfm_threshold.min_value, concat_ws(' and ',
                    'above ' || lower_side.min_value || ' of score ' || lower_side.score,
                    'below ' || upper_side.min_value || ' of score ' || upper_side.score)),
            HINT = 'Change the neighbouring bound first.';
    END IF;
    UPDATE c360.rfm_config AS g SET min_value = c360_update_rfm_threshold.min_value,
        description = coalesce(words, g.description), changed_by = actor, changed_at = clock_timestamp()
    WHERE g.metric = c360_update_rfm_threshold.metric AND g.score = c360_update_rfm_threshold.score
      AND (g.min_value, g.description) IS DISTINCT FROM
          (c360_update_rfm_threshold.min_value, coalesce(words, g.description));
    IF known.min_value <> c360_update_rfm_threshold.min_value THEN
        RAISE NOTICE 'the next refresh scores all customers';
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_update_rfm_threshold(text, integer, bigint, text) IS
'Changes the lowest value of a score. The next refresh then scores all customers, as a NOTICE says; not after a change of words alone.

metric: recency, frequency or monetary. score: 1 to 5. min_value: for recency the smallest number of days since the last order (100,000 at most), for frequency orders of the window, for monetary đồng; between those of the scores beside it, and 0 for score 5 of recency and score 1 of the others. description: the words of c360_analyze_rfm(), 500 characters; NULL = as they are.
Errors: 22004 missing_argument; 22023 not_allowed, out_of_range, outermost_bound, bounds_out_of_order; 22001 too_long; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_movement(from_date date, to_date date)
RETURNS TABLE (from_segment text, to_segment text, customers bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF c360_rfm_movement.from_date IS NULL OR c360_rfm_movement.to_date IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || CASE WHEN c360_rfm_movement.from_date IS NULL THEN 'from_date' ELSE 'to_date' END;
    END IF;
    PERFORM @extschema@.c360_require_days(c360_rfm_movement.from_date, c360_rfm_movement.to_date, 3660);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT k.from_segment, k.to_segment, count(*)
    FROM (SELECT (array_agg(h.from_segment ORDER BY h.id))[1] AS from_segment,
                 (array_agg(h.to_segment ORDER BY h.id DESC))[1] AS to_segment
          FROM c360.rfm_history AS h
          WHERE h.day >= c360_rfm_movement.from_date AND h.day <= c360_rfm_movement.to_date
            AND h.from_segment IS DISTINCT FROM h.to_segment
          GROUP BY h.customer_id) AS k
    WHERE k.from_segment IS DISTINCT FROM k.to_segment
    GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2 NULLS FIRST;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_movement(date, date) IS
'How customers moved between segments: from the one before the span to the one at its end, as refreshes found it.

from_date, to_date: shop days, both included; 3,660 at most.
Answer: from_segment (NULL = without a score before), to_segment (NULL = without one since), customers; who came back to where he was is left out.
Errors: 22004 missing_argument; 22023 out_of_range and others of a span; 55000 not installed.';

-- Fraud: the scan (src/fraud.c), what staff decide, rules and snoozes.

CREATE FUNCTION @extschema@.c360_scan_fraud(since timestamptz DEFAULT NULL)
RETURNS TABLE (rule text, examined bigint, flagged bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 3
AS 'MODULE_PATHNAME', 'c360_scan_fraud';
COMMENT ON FUNCTION @extschema@.c360_scan_fraud(timestamptz) IS
'Looks for fraud in orders and ledger, in one transaction; what it finds becomes flags, and flags act. One scan at a time.

since: NULL = what is new since the last scan, the caller''s own changes included; else findings that ended since then, whether scanned before or not; -infinity = all.
The same is never found twice, and while a flag is open further findings of its rule are added to it.
Answer: for each rule the customers looked at, and new flags.
Errors: PT409 job_running (also another c360_scan_fraud(), until its transaction ends); 22023 invalid_date; 25006 read only; 55000 not installed, invalid_parameter.';

CREATE FUNCTION @extschema@.c360_fraud_batch(run text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_fraud_batch';
COMMENT ON FUNCTION @extschema@.c360_fraud_batch(text) IS
'Internal: one batch of a fraud scan, carrying on the one under way.

run: who begins one if none is under way; NULL = the run of the job.
Answer: rows looked at, at least 1; 0 when the scan that run began is at its end.
Errors: PT409 job_running; 25006 read only; 55000 not installed, invalid_parameter.';

CREATE FUNCTION @extschema@.c360_job_scan_fraud() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@.c360_fraud_batch(NULL);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_scan_fraud() IS
'Internal: one batch of the job scan_fraud.

Answer: rows looked at, 0 when the scan is at its end.
Errors: 25006 read only; 55000 not installed, invalid_parameter.';

-- Commits between batches, so that nobody whose tier changes waits longer than
-- one. A procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_scan_fraud_all()
LANGUAGE plpgsql
AS $$
DECLARE
    run text := pg_catalog.concat('call ', pg_catalog.pg_backend_pid(), ' ', pg_catalog.clock_timestamp());
    done bigint;
BEGIN
    LOOP
        done := @extschema@.c360_fraud_batch(run);
        COMMIT;                 -- at the end, too: refused in a transaction block whatever there is to do
        EXIT WHEN done OPERATOR(pg_catalog.=) 0;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_scan_fraud_all() IS
'Looks for fraud in what is new since the last scan, in batches with a commit after each; one that was interrupted is carried on first.

Its caller needs EXECUTE on c360_fraud_batch, too.
Errors: PT409 job_running; 25006 read only; 2D000 inside a transaction block; 55000 not installed, invalid_parameter.';

CREATE FUNCTION @extschema@.c360_review_fraud_flag(flag_id bigint, decision text, note text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_review_fraud_flag';
COMMENT ON FUNCTION @extschema@.c360_review_fraud_flag(bigint, text, text) IS
'Decides about a fraud flag, once.

flag_id: an open flag. decision: confirmed or dismissed. note: 2,000 characters.
Dismissing a flag that blacklisted the customer gives the tier of before back, unless tier or lock were changed since, and the credit that expired meanwhile, with the setting refund_grace_days to live. If another flag that would have blacklisted him stands, it takes the blacklisting over.
Errors: PT404 flag_not_found; PT409 reviewed; 22004 missing_argument; 22023 not_allowed, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_fraud_rule(rule text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_fraud_rule.rule IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: rule';
    ELSIF c360_require_fraud_rule.rule NOT IN ('high_return_rate', 'self_dealing', 'wallet_abuse') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such fraud rule',
            DETAIL = format('unknown_rule: "%s"', left(c360_require_fraud_rule.rule, 64)),
            HINT = 'Allowed are high_return_rate, self_dealing, wallet_abuse.';
    END IF;
    RETURN c360_require_fraud_rule.rule;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_fraud_rule(text) IS
'Internal: refuses a fraud rule that does not exist.

rule: a name.
Answer: the name.
Errors: 22004 NULL; 22023 unknown_rule.';

CREATE FUNCTION @extschema@.c360_snooze_fraud_rule(phone text, rule text, until timestamptz, note text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_snooze_fraud_rule.phone);
    silent constant text := @extschema@.c360_require_fraud_rule(c360_snooze_fraud_rule.rule);
    why constant text := @extschema@.c360_require_text('note', c360_snooze_fraud_rule.note, 2000, false);
    actor constant text := @extschema@.c360_current_actor();
    whose bigint;
BEGIN
    IF c360_snooze_fraud_rule.until IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: until';
    ELSIF NOT isfinite(c360_snooze_fraud_rule.until) OR c360_snooze_fraud_rule.until <= clock_timestamp() THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'date is out of range',
            DETAIL = 'invalid_date: until is not in the future';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id INTO whose FROM c360.customers AS c WHERE c.phone = wanted FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    INSERT INTO c360.fraud_snoozes (customer_id, rule, until, note, snoozed_by, snoozed_at)
    VALUES (whose, silent, c360_snooze_fraud_rule.until, why, actor, clock_timestamp());
    -- what the rule passes over until then is looked at again
    INSERT INTO c360.fraud_rechecks (customer_id, due_at) VALUES (whose, c360_snooze_fraud_rule.until)
    ON CONFLICT DO NOTHING;
    PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', whose, 'customer', whose::text,
        jsonb_build_object('phone', wanted, 'reason', 'fraud rule snoozed', 'rule', silent,
                           'until', c360_snooze_fraud_rule.until, 'note', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_snooze_fraud_rule(text, text, timestamptz, text) IS
'Silences a fraud rule for one customer: until then it raises no flag for him; afterwards what still stands is found.

phone: any spelling. rule: high_return_rate, wallet_abuse or self_dealing. until: in the future; a call with a nearer moment ends a snooze earlier. note: 2,000 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, unknown_rule, invalid_date; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_fraud_rule(rule text, mode text DEFAULT NULL, severity text DEFAULT NULL,
    action text DEFAULT NULL, parameters jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    changed constant text := @extschema@.c360_require_fraud_rule(c360_set_fraud_rule.rule);
    actor constant text := @extschema@.c360_current_actor();
    wanted constant jsonb := coalesce(c360_set_fraud_rule.parameters, '{}');
    -- as src/fraud.c takes them
    ranges constant jsonb := jsonb_build_object(
        'high_return_rate', '{"min_orders": [1, 100000], "days": [1, 366], "percent": [0, 99]}'::jsonb,
        'wallet_abuse', '{"more_than": [1, 1000], "amount": [0, 9223372036854775807], "minutes": [1, 527040]}'::jsonb,
        'self_dealing', '{"times": [1, 100], "days": [1, 366], "minutes": [1, 10080], "percent": [1, 100]}'::jsonb) -> changed;
    wrong text;
BEGIN
    IF c360_set_fraud_rule.mode IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('mode', c360_set_fraud_rule.mode, '{off,shadow,on}');
    END IF;
    IF c360_set_fraud_rule.severity IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('severity', c360_set_fraud_rule.severity, '{low,medium,high}');
    END IF;
    IF c360_set_fraud_rule.action IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('action', c360_set_fraud_rule.action, '{blacklist,suspicious,self_dealing}');
    END IF;
    IF jsonb_typeof(wanted) <> 'object' THEN
        wrong := 'parameters is no object';
    ELSE
        SELECT CASE WHEN NOT ranges ? p.key THEN format('there is no "%s"', left(p.key, 64))
                    ELSE format('%s is %s', p.key, left(p.value::text, 64)) END
        INTO wrong FROM jsonb_each(wanted) AS p
        WHERE CASE WHEN NOT ranges ? p.key OR jsonb_typeof(p.value) <> 'number' THEN true
                   ELSE (p.value #>> '{}')::numeric % 1 <> 0
                        OR (p.value #>> '{}')::numeric NOT BETWEEN (ranges -> p.key ->> 0)::numeric
                                                           AND (ranges -> p.key ->> 1)::numeric END
        ORDER BY p.key LIMIT 1;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid parameter of a fraud rule',
            DETAIL = 'invalid_parameter: ' || wrong,
            HINT = 'Allowed are ' || (SELECT string_agg(format('%s (%s to %s)', r.key, r.value ->> 0, r.value ->> 1), ', '
                                                        ORDER BY r.key) FROM jsonb_each(ranges) AS r) || '.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.fraud_rules AS r SET mode = coalesce(c360_set_fraud_rule.mode, r.mode),
        severity = coalesce(c360_set_fraud_rule.severity, r.severity),
        action = coalesce(c360_set_fraud_rule.action, r.action),
        parameters = r.parameters || wanted, changed_by = actor, changed_at = clock_timestamp()
    WHERE r.rule = changed;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_fraud_rule(text, text, text, text, jsonb) IS
'Changes a fraud rule. The next scan goes by it and, if mode or parameters of a rule about the ledger changed, over the whole ledger.

rule: high_return_rate, wallet_abuse or self_dealing. mode: off, shadow (flags without any action) or on. severity: low, medium or high. action: blacklist, suspicious or self_dealing. parameters: those to change, whole numbers; high_return_rate has min_orders, days, percent; wallet_abuse more_than, amount (đồng), minutes; self_dealing times, days, minutes, percent. NULL leaves as it is.
Errors: 22004 missing_argument; 22023 unknown_rule, not_allowed, invalid_parameter; 25006 read only; 55000 not installed.';

-- Bank transfers. What stores, decides, links and deposits is in C.

CREATE FUNCTION @extschema@.c360_ingest_bank_transaction(payload jsonb) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_ingest_bank_transaction';
COMMENT ON FUNCTION @extschema@.c360_ingest_bank_transaction(jsonb) IS
'Takes one bank transfer in: stores it, finds the customer, links and deposits, once for each id.

payload: SePay''s webhook body: id, gateway, transactionDate (shop time unless it has a zone), accountNumber, transferType (in, out), transferAmount (đồng, 0 or more); and if known code, content, subAccount, accumulated, referenceCode, description. Or an element of SePay''s list: id, bank_brand_name, transaction_date, account_number, amount_in, amount_out and so on.
Answer: c360_bank_result: deposited; pending (staff must choose); unmatched; stored (outgoing or zero); failed (stored with the reason, which c360_bank_transaction_list shows; the job process_bank tries again); duplicate (the id is known, nothing changed).
Errors: 22004 missing_argument; 22023 invalid_payload, naming the field; 22003 a number past bigint; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_create_qr_code(phone text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_create_qr_code';
COMMENT ON FUNCTION @extschema@.c360_create_qr_code(text) IS
'The live QR code of a customer, made if there is none: a transfer whose content holds it is his.

phone: any spelling.
Answer: N2 and 16 letters or digits.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ingest_bank_transactions(payloads jsonb, decide boolean DEFAULT true)
RETURNS SETOF @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_ingest_bank_transactions';
COMMENT ON FUNCTION @extschema@.c360_ingest_bank_transactions(jsonb, boolean) IS
'Takes many bank transfers in, as c360_ingest_bank_transaction() does each; one that is malformed or fails does not stop the others.

payloads: an array of 10,000 at most, of webhook bodies or elements of SePay''s list; or the answer of that list, whose array is in transactions. decide: false only stores them, and the job process_bank decides.
Beside single calls with the same ids it may lose by deadlock (40P01): nothing of it is stored then; send it again.
Answer: one c360_bank_result for each, in order; stored also for those not decided yet; failed without bank_transaction_id for a malformed one: a WARNING and c360.audit_logs say which and why.
Errors: 22004 missing_argument; 22023 invalid_payload (no array), too_many; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_sepay_webhook(jsonb) RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_sepay_webhook';
COMMENT ON FUNCTION @extschema@.c360_sepay_webhook(jsonb) IS
'What SePay''s webhook posts to, through PostgREST: takes the transfer in, if the request shows the key.

The header Authorization holds "Apikey " and the key, whose SHA-256 is the setting sepay_api_key_hash.
The argument: the body as SePay sends it, see c360_ingest_bank_transaction().
Answer: {"success": true, "result": ..., "bank_transaction_id": ...}, for a duplicate and a failed one, too.
Errors: PT401 wrong_key; 22004 missing_argument; 22023 invalid_payload; 22003 a number past bigint; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_link_transaction(bank_transaction_id bigint, phone text,
    customer_name text DEFAULT NULL, auto_deposit boolean DEFAULT true) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_link_transaction';
COMMENT ON FUNCTION @extschema@.c360_link_transaction(bigint, text, text, boolean) IS
'Links an incoming transfer to a customer by hand and deposits it. For the customer it is linked to already, it deposits if that was left out, else it changes nothing.

bank_transaction_id: of c360_bank_transaction_list. phone: any spelling; an unknown one creates the customer. customer_name: of a new customer. auto_deposit: false links without deposit.
Answer: c360_bank_result: deposited or linked. An open match of the transfer is resolved by it.
Errors: PT404 bank_transaction_not_found; PT409 not_incoming, already_linked; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unlink_transaction(bank_transaction_id bigint, reason text)
RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_unlink_transaction';
COMMENT ON FUNCTION @extschema@.c360_unlink_transaction(bigint, text) IS
'Ends the link of a transfer; its deposit is taken back by a row of the ledger of type ADJUSTMENT and source BANK_UNLINK, from a frozen wallet, too.

bank_transaction_id: of c360_bank_transaction_list. reason: 1 to 500 characters.
Answer: c360_bank_result: unlinked, with the transaction that took the deposit back, if there was one.
Errors: PT404 bank_transaction_not_found; PT409 not_linked, not_incoming, already_spent (DETAIL says what is missing, đồng); 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_resolve_match(match_id bigint, phone text, any_customer boolean DEFAULT false,
    note text DEFAULT NULL) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_resolve_match';
COMMENT ON FUNCTION @extschema@.c360_resolve_match(bigint, text, boolean, text) IS
'Says whose a transfer is that waits for it, links and deposits it.

match_id: of c360_pending_match_list. phone: of a customer whom the match lists, or a phone that it lists; an unknown one creates the customer. any_customer: any other customer will do; that he was not listed is recorded. note: 2,000 characters.
Answer: c360_bank_result: deposited.
Errors: PT404 match_not_found; PT409 already_resolved, match_skipped, not_a_candidate, already_linked; 22004 missing_argument; 22023 invalid_phone; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_skip_match(match_id bigint, reason text) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_skip_match';
COMMENT ON FUNCTION @extschema@.c360_skip_match(bigint, text) IS
'Sets a match aside: the transfer is nobody''s for now.

match_id: of c360_pending_match_list. reason: 1 to 500 characters.
Answer: c360_bank_result: skipped.
Errors: PT404 match_not_found; PT409 already_resolved, match_skipped; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_undo_skip_match(match_id bigint) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_undo_skip_match';
COMMENT ON FUNCTION @extschema@.c360_undo_skip_match(bigint) IS
'Takes up a match again that was skipped.

match_id: of c360_pending_match_list.
Answer: c360_bank_result: pending.
Errors: PT404 match_not_found; PT409 not_skipped, already_linked (by hand meanwhile); 22004 missing_argument; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_process_bank(max_rows integer DEFAULT 100) RETURNS TABLE (processed bigint, failed bigint)
LANGUAGE c VOLATILE ROWS 1 PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_process_bank';
COMMENT ON FUNCTION @extschema@.c360_process_bank(integer) IS
'Decides transfers that failed or were stored without a decision, those that are due; the job process_bank calls it. One that fails is due again after 5, 10, 20 and 40 minutes, and is given up after five tries, which c360_bank_transaction_list shows.

max_rows: 1 to 10,000.
Answer: how many were decided and how many failed.
Errors: 22023 out_of_range; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rematch_transactions(from_date date, to_date date)
RETURNS TABLE (examined bigint, matched bigint)
LANGUAGE c VOLATILE ROWS 1 PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_rematch_transactions';
COMMENT ON FUNCTION @extschema@.c360_rematch_transactions(date, date) IS
'Looks at unmatched transfers again, for QR codes and whole phones alone, and deposits those whose customer is found now; where two are found the transfer waits for staff.

from_date, to_date: days of the shop (Asia/Ho_Chi_Minh) on which the bank booked them, both included.
Answer: how many were unmatched, and how many of them were linked.
Errors: 22004 missing_argument; 22023 out_of_range; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_retire_qr_code(code text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_retire_qr_code';
COMMENT ON FUNCTION @extschema@.c360_retire_qr_code(text) IS
'A QR code leads to nobody from now on; the customer may get another. Retired already: nothing changes.

code: N2 and 16 letters or digits, any case.
Errors: PT404 qr_code_not_found; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_number(number text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    digits text := regexp_replace(@extschema@.c360_require_text('number', c360_require_number.number, 200, true), '[^0-9]', '', 'g');
BEGIN
    IF length(digits) NOT BETWEEN 5 AND 30 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid number',
            DETAIL = format('invalid_number: "%s"', left(c360_require_number.number, 64)), HINT = 'Numbers have 5 to 30 digits.';
    END IF;
    RETURN coalesce(@extschema@.c360_normalize_phone(digits), digits);
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_number(text) IS
'Internal: a number that c360_ignore_number() takes, as it is kept.

number: any spelling.
Answer: the phone, or the digits.
Errors: 22004 missing_argument; 22023 blank, invalid_number; 22001 too_long.';

CREATE FUNCTION @extschema@.c360_ignore_number(number text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    digits constant text := @extschema@.c360_require_number(c360_ignore_number.number);
    why constant text := @extschema@.c360_require_text('reason', c360_ignore_number.reason, 500, true);
    actor constant text := @extschema@.c360_current_actor();
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF (SELECT count(*) FROM c360.transfer_ignored AS i WHERE i.value <> digits) >= 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = 'too_many: 1000 numbers are ignored, no more are allowed';
    END IF;
    INSERT INTO c360.transfer_ignored AS i (value, reason, added_by) VALUES (digits, why, actor)
    ON CONFLICT (value) DO UPDATE SET reason = excluded.reason, added_by = excluded.added_by, added_at = clock_timestamp()
    WHERE i.reason <> excluded.reason;
END $$;
COMMENT ON FUNCTION @extschema@.c360_ignore_number(text, text) IS
'A number of the shop''s own that is never a customer in the content of a transfer: an account, the hotline. Again: another reason.

number: a phone in any spelling, or 5 to 30 digits. reason: 1 to 500 characters.
Errors: 22004 missing_argument; 22023 blank, invalid_number, too_many (1,000 are allowed); 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unignore_number(number text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    digits constant text := @extschema@.c360_require_number(c360_unignore_number.number);
BEGIN
    PERFORM @extschema@.c360_become_owner();
    DELETE FROM c360.transfer_ignored AS i
    WHERE i.value = digits OR i.value = c360_unignore_number.number
       OR coalesce(@extschema@.c360_normalize_phone(i.value), regexp_replace(i.value, '[^0-9]', '', 'g')) = digits;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION @extschema@.c360_unignore_number(text) IS
'A number may be a customer''s again.

number: as c360_ignore_number() takes it.
Answer: whether it was ignored.
Errors: 22004 missing_argument; 22023 blank, invalid_number; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_reconcile_bank(from_date date, to_date date)
RETURNS TABLE (bank_transaction_id bigint, problem text, expected bigint, found bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF c360_reconcile_bank.from_date IS NULL OR c360_reconcile_bank.to_date IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || CASE WHEN c360_reconcile_bank.from_date IS NULL THEN 'from_date' ELSE 'to_date' END;
    END IF;
    PERFORM @extschema@.c360_require_days(c360_reconcile_bank.from_date, c360_reconcile_bank.to_date, NULL);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    WITH incoming AS MATERIALIZED (
        SELECT b.id, b.transfer_amount, b.transfer_type, b.result FROM c360.balance_history AS b
        WHERE b.transaction_date >= c360_reconcile_bank.from_date::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh'
          AND b.transaction_date < (c360_reconcile_bank.to_date + 1)::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh'),
    links AS MATERIALIZED (
        SELECT i.id, i.transfer_amount, l.customer_id, l.unlinked_at, d.id AS deposit, d.amount AS deposited,
               d.customer_id AS payee, coalesce(- u.real_change, 0) AS taken,
               CASE WHEN l.unlinked_at IS NOT NULL THEN coalesce(d.amount, 0) ELSE 0 END AS to_take
        FROM incoming AS i
        CROSS JOIN LATERAL (        -- open and ended links have an index each
            SELECT o.id, o.customer_id, o.unlinked_at FROM c360.bank_links AS o
            WHERE o.bank_transaction_id = i.id AND o.unlinked_at IS NULL
            UNION ALL
            SELECT e.id, e.customer_id, e.unlinked_at FROM c360.bank_links AS e
            WHERE e.bank_transaction_id = i.id AND e.unlinked_at IS NOT NULL) AS l
        LEFT JOIN c360.wallet_transactions AS d ON d.bank_link_id = l.id AND d.type = 'DEPOSIT'
        LEFT JOIN c360.wallet_transactions AS u ON u.bank_link_id = l.id AND u.type = 'ADJUSTMENT')
    SELECT i.id, 'linked without deposit', i.transfer_amount, 0::bigint
    FROM links AS i WHERE i.unlinked_at IS NULL AND i.deposit IS NULL
    UNION ALL
    SELECT i.id, 'another amount deposited', i.transfer_amount, i.deposited
    FROM links AS i WHERE i.deposited <> i.transfer_amount
    UNION ALL
    SELECT i.id, 'deposited to another customer', i.customer_id, i.payee
    FROM links AS i WHERE i.payee <> i.customer_id
    UNION ALL
    SELECT i.id, CASE WHEN i.taken < i.to_take THEN 'unlinked but not taken back' ELSE 'taken back too much' END, i.to_take, i.taken
    FROM links AS i WHERE i.taken <> i.to_take
    UNION ALL
    SELECT i.id, 'said to be deposited but not linked', 1::bigint, 0::bigint
    FROM incoming AS i WHERE i.result IN ('deposited', 'linked')
      AND NOT EXISTS (SELECT FROM c360.bank_links AS l WHERE l.bank_transaction_id = i.id AND l.unlinked_at IS NULL)
    UNION ALL
    SELECT i.id, 'linked but not incoming', 0::bigint, i.transfer_amount
    FROM incoming AS i WHERE NOT (i.transfer_type = 'in' AND i.transfer_amount > 0)
      AND EXISTS (SELECT FROM c360.bank_links AS l WHERE l.bank_transaction_id = i.id AND l.unlinked_at IS NULL)
    ORDER BY 1, 2;
END $$;
COMMENT ON FUNCTION @extschema@.c360_reconcile_bank(date, date) IS
'Holds each transfer against the ledger: linked ones are deposited once, whole, to their customer, and what was unlinked was taken back.

from_date, to_date: days of the shop (Asia/Ho_Chi_Minh) on which the bank booked them, both included.
Answer: bank_transaction_id, problem, expected and found (đồng; ids of customers where the customer differs); empty when all is well. Links that were left without deposit on purpose are listed, too.
Errors: 22004 missing_argument; 22023 out_of_range; 55000 not installed.';

-- Live events: reading them by cursor, and streams for pages of the browser.

CREATE DOMAIN @extschema@."text/event-stream" AS text;
COMMENT ON DOMAIN @extschema@."text/event-stream" IS 'Server-sent events; PostgREST serves it with this media type';

CREATE FUNCTION @extschema@.c360_events_since(after text DEFAULT NULL, channels text[] DEFAULT NULL,
    max_rows integer DEFAULT 500)
RETURNS TABLE (cursor text, id bigint, channel text, event text, payload jsonb, at timestamptz)
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 500
AS 'MODULE_PATHNAME', 'c360_events_since';
COMMENT ON FUNCTION @extschema@.c360_events_since(text, text[], integer) IS
'Every event committed after a cursor, each at least once, in true order for each wallet and ticket.

after: the cursor of the last row that was handled; NULL = one row whose cursor says "now" and whose id is NULL. channels: of wallets, tickets, customers, bank, wallet:<phone>; NULL = all. max_rows: 1 to 10,000; NULL = 500.
Answer: rows in order, the payload as in the notification; what the level of the caller may not read is left out. A row with id NULL instead of events says: nothing for you up to here, go on from this cursor.
Errors: PT410 cursor_expired (older than event_retention, of another history, or newer than the newest): fetch anew; 22023 invalid_cursor, unknown_channel, out_of_range, too_many; 22004 missing_argument; 42501 no_level; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_open_stream(channels text[] DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_open_stream';
COMMENT ON FUNCTION @extschema@.c360_open_stream(text[]) IS
'A pass with which a page of the browser reads events by EventSource for stream_pass_hours (8), with the level that the caller''s role has at that time.

channels: of wallets, tickets, customers, bank, wallet:<phone>; NULL = all.
Answer: the pass, for /rpc/c360_events?pass=…; c360 keeps only its hash. c360_revoke() of the role ends it.
Errors: 22023 unknown_channel, too_many; 22004 missing_argument; 42501 no_level; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_events(pass text DEFAULT NULL, after text DEFAULT NULL)
RETURNS @extschema@."text/event-stream"
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_events';
COMMENT ON FUNCTION @extschema@.c360_events(text, text) IS
'Server-sent events for EventSource: a finite answer that begins with "retry: 1000"; the browser comes back with Last-Event-ID and gets what came since.

pass: of c360_open_stream(); NULL = with the caller''s own level. after: the cursor to begin with if there is no Last-Event-ID header; NULL = now.
Answer: one frame an event, named like it, with its payload as data; the cursor as id behind the last one. A cursor that holds no longer is answered with an event "reset" and a new cursor: fetch anew.
Errors: PT401 invalid_pass; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_statistics()
RETURNS TABLE (ticks bigint, notifications bigint, lag interval, backlog bigint, ring_overflow bigint, last_error text)
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'c360_statistics';
COMMENT ON FUNCTION @extschema@.c360_statistics() IS
'Internal: what the view c360_stat shows.

Answer: one row; NULL where no worker serves this database.
Errors: 55000 not installed.';

-- Jobs: schedules, runs, and the two ways to have them run.
--
-- A run is c360_job_begin(), c360_job_batch() until nothing is left, and
-- c360_job_end(), each in a transaction of its own; c360_perform_job() does
-- that for pg_cron, the job runner (src/runner.c) does it for itself. What a
-- batch does is the function c360_job_<job>(), which answers how many rows it
-- did, 0 when nothing is left.
--
-- Who acts: functions that only call others stay the owner of the extension,
-- who alone may call all of them, and touch no table; those that touch tables
-- become the owner of these.
--
-- Whoever owns the tables can leave a search_path of his behind, by a trigger
-- that sets it: that outlives the SET clauses of the functions around it. So
-- functions here that go on with other rights than his after calling one that
-- acts as him set theirs again, before anything that is found by it.

CREATE FUNCTION @extschema@.c360_next_run(schedule text, after timestamptz) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_next_run';
COMMENT ON FUNCTION @extschema@.c360_next_run(text, timestamptz) IS
'First moment of a cron schedule after another moment, in shop time.

schedule: minute, hour, day of month, month, day of week, as cron has them: *, numbers, jan-dec, sun-sat, ranges, lists, steps; if neither day field begins with *, one of them is enough. after: any moment.
Answer: the moment; NULL if the schedule names days that never come.
Errors: 22023 invalid_schedule, invalid_date.';

CREATE FUNCTION @extschema@.c360_shift_schedule(schedule text, hours integer) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_shift_schedule';
COMMENT ON FUNCTION @extschema@.c360_shift_schedule(text, integer) IS
'Internal: a cron schedule as another clock has it.

schedule: as c360_next_run() takes it. hours: how far the other clock is ahead, -23 to 23.
Answer: the schedule there.
Errors: 22004 NULL; 22023 invalid_schedule, schedule_not_shiftable.';

-- What the jobs do, one batch each.

CREATE FUNCTION @extschema@.c360_job_expire_credits() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT e.expired_count FROM @extschema@.c360_expire_credits(500) AS e);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_expire_credits() IS
'Internal: one batch of the job expire_credits.

Answer: lots expired, 0 when none is left.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_carrier_deadlines() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (@extschema@.c360_raise_priorities(500)).looked_at;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_carrier_deadlines() IS
'Internal: one batch of the job carrier_deadlines.

Answer: tickets looked at, 0 when none is left.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_process_bank() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT p.processed + p.failed FROM @extschema@.c360_process_bank(50) AS p);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_process_bank() IS
'Internal: one batch of the job process_bank.

Answer: transfers tried, 0 when none is due.
Errors: 25006 read only; 55000 not installed.';

-- One run at a time.

CREATE FUNCTION @extschema@.c360_job_lock(job text, of_transaction boolean) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_job_lock';
COMMENT ON FUNCTION @extschema@.c360_job_lock(text, boolean) IS
'Internal: tries to take the lock of a job.

job: its name. of_transaction: until the end of this transaction; false = until c360_job_unlock() or a rollback.
Answer: false if another session has it.
Errors: 22004 NULL; 25006 read only.';

CREATE FUNCTION @extschema@.c360_job_unlock() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_job_unlock';
COMMENT ON FUNCTION @extschema@.c360_job_unlock() IS
'Internal: gives the lock of the job back when this transaction has committed (25006 does not concern it).';

CREATE FUNCTION @extschema@.c360_require_job(job text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_require_job.job IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: job';
    END IF;
    IF NOT EXISTS (SELECT FROM c360.jobs AS j WHERE j.job = c360_require_job.job) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such job',
            DETAIL = format('unknown_job: "%s"', left(c360_require_job.job, 64)),
            HINT = 'Allowed are ' || (SELECT string_agg(j.job, ', ' ORDER BY j.job) FROM c360.jobs AS j) || '.';
    END IF;
    RETURN (SELECT coalesce(value, default_value) FROM c360.settings WHERE name = 'jobs_by');
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_job(text) IS
'Internal: refuses a job that does not exist.

job: a name.
Answer: the setting jobs_by.
Errors: 22004 NULL; 22023 unknown_job; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_function(job text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- a member of the extension: anybody's function of that name would run as its owner
    found_function regprocedure := (
        SELECT p.oid FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = 'c360' AND p.proname = 'c360_job_' || c360_job_function.job AND p.pronargs = 0
          AND p.prorettype = 'bigint'::regtype);
BEGIN
    IF found_function IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such job',
            DETAIL = format('unknown_job: "%s" has no function', left(c360_job_function.job, 64));
    END IF;
    RETURN found_function::text;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_function(text) IS
'Internal: the function that does one batch of a job.

job: its name.
Answer: the function as SQL calls it.
Errors: 22023 unknown_job.';

CREATE FUNCTION @extschema@.c360_job_open(job text, started_by text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    run bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- we hold the lock of the job: what has no end never will
    UPDATE c360.job_runs AS r SET ended_at = clock_timestamp(), error = 'interrupted'
    WHERE r.job = c360_job_open.job AND r.ended_at IS NULL;
    IF c360_job_open.started_by IS NOT NULL THEN
        INSERT INTO c360.job_runs (job, started_by) VALUES (c360_job_open.job, c360_job_open.started_by)
        RETURNING id INTO run;
    END IF;
    RETURN run;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_open(text, text) IS
'Internal: ends runs that died, and writes a new one; under the lock of the job.

job: its name. started_by: worker, pg_cron or who else; NULL = no new run.
Answer: id of the run.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_note(run bigint, done bigint, error text, state text, ended boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    noted record;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.job_runs AS r SET rows = r.rows + c360_job_note.done,
        error = coalesce(r.error, c360_job_note.error), sqlstate = coalesce(r.sqlstate, c360_job_note.state),
        ended_at = CASE WHEN c360_job_note.ended OR c360_job_note.error IS NOT NULL
                        THEN coalesce(r.ended_at, clock_timestamp()) END
    WHERE r.id = c360_job_note.run RETURNING * INTO noted;
    IF NOT c360_job_note.ended OR noted IS NULL THEN
        RETURN;
    END IF;
    -- a few of the oldest each time; a job that runs all day long has its last 10,000
    DELETE FROM c360.job_runs AS r
    WHERE r.id IN (SELECT o.id FROM c360.job_runs AS o WHERE o.job = noted.job ORDER BY o.id LIMIT 100)
      AND r.id < noted.id
      AND r.started_at < clock_timestamp() - (SELECT coalesce(s.value, s.default_value)::integer * interval '1 day'
                                              FROM c360.settings AS s WHERE s.name = 'job_run_retention_days');
    IF noted.id % 100 = 0 THEN
        DELETE FROM c360.job_runs AS r
        WHERE r.job = noted.job
          AND r.id <= (SELECT o.id FROM c360.job_runs AS o WHERE o.job = noted.job ORDER BY o.id DESC OFFSET 10000 LIMIT 1);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_note(bigint, bigint, text, text, boolean) IS
'Internal: writes into the row of a run what it did, and removes old runs at its end.

run: its id. done: rows done since. error, state: message and SQLSTATE of a failure, which ends it; NULL = none. ended: it ends.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_begin(job text, started_by text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    jobs_by text := @extschema@.c360_require_job(c360_job_begin.job);
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF NOT @extschema@.c360_job_lock(c360_job_begin.job, false) THEN
        RETURN 0;
    ELSIF jobs_by <> c360_job_begin.started_by THEN
        PERFORM @extschema@.c360_job_unlock();
        RETURN 0;
    END IF;
    RETURN @extschema@.c360_job_open(c360_job_begin.job, c360_job_begin.started_by);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_begin(text, text) IS
'Internal: begins a run of a job, if it is the turn of who asks and no run is under way.

job: its name. started_by: worker or pg_cron.
Answer: id of the run; 0 = not now.
Errors: 22004 NULL; 22023 unknown_job; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_batch(run bigint, job text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done bigint;
    failure text;
    state text;
BEGIN
    BEGIN
        EXECUTE 'SELECT ' || @extschema@.c360_job_function(c360_job_batch.job) INTO done;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
        done := -1;
        RAISE LOG 'job "%" failed: %', c360_job_batch.job, failure;
    END;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM @extschema@.c360_job_note(c360_job_batch.run, greatest(done, 0), failure, state, false);
    RETURN done;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_batch(bigint, text) IS
'Internal: one batch of a run; a failure is written into its row.

run: its id. job: its name.
Answer: rows done; 0 = nothing left, -1 = it failed.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_end(run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_job_note(c360_job_end.run, 0, NULL, NULL, true);
    PERFORM @extschema@.c360_job_unlock();
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_end(bigint) IS
'Internal: ends a run.

run: its id.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_fail(run bigint, error text, state text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_job_note(c360_job_fail.run, 0, c360_job_fail.error, c360_job_fail.state, true);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_fail(bigint, text, text) IS
'Internal: ends a run whose transaction was rolled back, and its lock with it.

run: its id. error, state: message and SQLSTATE of what ended it.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_sweep_job_runs() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    FOR known IN SELECT * FROM @extschema@.c360_list_jobs() LOOP
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF @extschema@.c360_job_lock(known.job, true) THEN
            PERFORM @extschema@.c360_job_open(known.job, NULL);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.c360_sweep_job_runs() IS
'Internal: ends the runs that died with their session.

Errors: 25006 read only; 55000 not installed.';

-- Commits after each batch, so that no client waits longer than one. A
-- procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_perform_job(job text)
LANGUAGE plpgsql
AS $$
DECLARE
    run bigint;
    done bigint;
BEGIN
    run := @extschema@.c360_job_begin(job, 'pg_cron');
    COMMIT;                     -- refused in a transaction block whatever there is to do
    IF run OPERATOR(pg_catalog.=) 0 THEN
        RETURN;
    END IF;
    LOOP
        done := @extschema@.c360_job_batch(run, job);
        COMMIT;
        EXIT WHEN done OPERATOR(pg_catalog.<=) 0;
    END LOOP;
    PERFORM @extschema@.c360_job_end(run);
    COMMIT;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_perform_job(text) IS
'Runs a job in batches with a commit after each; what pg_cron or another scheduler calls. Does nothing unless the setting jobs_by is pg_cron, nor while a run of the job is under way. A failure is no error here: it stands in c360.job_runs.

job: its name.
Its caller needs EXECUTE on c360_job_begin, c360_job_batch and c360_job_end, too.
Errors: 22004 NULL; 22023 unknown_job; 25006 read only; 2D000 inside a transaction block; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_run_job(job text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    run bigint;
    batch text;
    done bigint;
    total bigint := 0;
BEGIN
    PERFORM @extschema@.c360_require_job(c360_run_job.job);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    batch := @extschema@.c360_job_function(c360_run_job.job);
    IF NOT @extschema@.c360_job_lock(c360_run_job.job, true) THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'job is running',
            DETAIL = 'job_running: ' || c360_run_job.job,
            HINT = 'The view c360_job_status shows how far it is.';
    END IF;
    run := @extschema@.c360_job_open(c360_run_job.job, @extschema@.c360_current_actor());
    LOOP
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        EXECUTE 'SELECT ' || batch INTO done;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        EXIT WHEN done = 0;
        total := total + done;
    END LOOP;
    PERFORM @extschema@.c360_job_note(run, total, NULL, NULL, true);
END $$;
COMMENT ON FUNCTION @extschema@.c360_run_job(text) IS
'Runs a whole job now, in the transaction of the caller, whatever jobs_by and its schedule say. If it fails, nothing is left of it.

job: a job of the view c360_job_status.
Errors: PT409 job_running; 22004 missing_argument; 22023 unknown_job; 25006 read only; 55000 not installed; whatever the job fails with.';

-- Schedules.

CREATE FUNCTION @extschema@.c360_list_jobs()
RETURNS TABLE (job text, schedule text, enabled boolean, pg_cron_role text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY SELECT j.job, coalesce(j.schedule, j.default_schedule), j.enabled, j.pg_cron_role
                 FROM c360.jobs AS j ORDER BY j.job;
END $$;
COMMENT ON FUNCTION @extschema@.c360_list_jobs() IS
'Internal: the jobs, and as which role pg_cron runs them.

Answer: job, schedule in shop time, enabled, pg_cron_role (NULL = it does not).
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_change_job(job text, schedule text, enabled boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_require_job(c360_change_job.job);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF @extschema@.c360_next_run(nullif(c360_change_job.schedule, 'default'), now()) IS NULL
        AND c360_change_job.schedule <> 'default' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'schedule names days that never come',
            DETAIL = format('schedule_never: "%s"', c360_change_job.schedule);
    END IF;
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.jobs AS j SET
        schedule = CASE WHEN c360_change_job.schedule IS NULL THEN j.schedule
                        ELSE nullif(c360_change_job.schedule, 'default') END,
        enabled = coalesce(c360_change_job.enabled, j.enabled), since = clock_timestamp()
    WHERE j.job = c360_change_job.job
      AND (c360_change_job.schedule <> coalesce(j.schedule, 'default') OR c360_change_job.enabled <> j.enabled);
END $$;
COMMENT ON FUNCTION @extschema@.c360_change_job(text, text, boolean) IS
'Internal: changes schedule and enabled of a job in c360.jobs.

job: its name. schedule: in shop time; default = the default one. enabled: whether it runs. NULL leaves either as it is.
Errors: 22004 NULL; 22023 unknown_job, invalid_schedule, schedule_never; 25006 read only; 55000 not installed.';

-- pg_cron. A job of pg_cron runs as the role that registered it, which must
-- be able to log in; so what calls cron.* has the rights of its caller, and
-- c360.jobs keeps that role. cron.job shows each role its own jobs only.

CREATE FUNCTION @extschema@.c360_pg_cron_clock(wanted_role text) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lives_in text := current_setting('cron.database_name', true);
    zone text := coalesce(nullif(current_setting('cron.timezone', true), ''), 'GMT');
    winter numeric := extract(epoch FROM (date_trunc('year', now()) AT TIME ZONE zone)
                                       - (date_trunc('year', now()) AT TIME ZONE 'UTC')) / 3600;
    summer numeric := extract(epoch FROM ((date_trunc('year', now()) + interval '6 months') AT TIME ZONE zone)
                                       - ((date_trunc('year', now()) + interval '6 months') AT TIME ZONE 'UTC')) / 3600;
    hours integer := winter - 7;
BEGIN
    IF winter <> summer OR winter <> trunc(winter) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'schedules cannot be written for the clock of pg_cron',
            DETAIL = 'pg_cron_clock: cron.timezone is ' || zone,
            HINT = 'Set cron.timezone to a zone of whole hours without daylight saving, such as Asia/Ho_Chi_Minh.';
    ELSIF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RETURN hours;
    ELSIF lives_in IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron is not there',
            DETAIL = 'pg_cron_missing: the server has not loaded it',
            HINT = 'Add pg_cron to shared_preload_libraries, set cron.database_name and create the extension; '
                   'or let the background worker of c360 run the jobs.';
    ELSIF lives_in = current_database() THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron is not there',
            DETAIL = 'pg_cron_missing: the extension is not created', HINT = 'Run CREATE EXTENSION pg_cron;';
    END IF;
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron lives in another database',
        DETAIL = 'pg_cron_elsewhere: ' || lives_in,
        HINT = (SELECT format('Run there, as superuser: %s Then run here: SELECT @extschema@.c360_set(''jobs_by'', ''pg_cron'');',
                              string_agg(format('SELECT cron.schedule_in_database(%L, %L, %L, %L, %L);',
                                                'c360_' || j.job || '_' || current_database(),
                                                @extschema@.c360_shift_schedule(j.schedule, hours),
                                                format('CALL @extschema@.c360_perform_job(%L)', j.job),
                                                current_database(), c360_pg_cron_clock.wanted_role),
                                         ' ' ORDER BY j.job))
                FROM @extschema@.c360_list_jobs() AS j WHERE j.enabled);
END $$;
COMMENT ON FUNCTION @extschema@.c360_pg_cron_clock(text) IS
'Internal: makes sure that pg_cron is in this database.

wanted_role: as which jobs would run.
Answer: how many hours its clock is ahead of the shop''s; negative = behind.
Errors: 55000 pg_cron_missing, pg_cron_elsewhere with the lines to run there, pg_cron_clock.';

CREATE FUNCTION @extschema@.c360_set_pg_cron_role(wanted_role text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor text := @extschema@.c360_current_actor();
BEGIN
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.jobs SET pg_cron_role = wanted_role WHERE pg_cron_role IS DISTINCT FROM wanted_role;
    UPDATE c360.settings SET value = CASE WHEN wanted_role IS NULL THEN 'worker' ELSE 'pg_cron' END,
        changed_by = actor, changed_at = clock_timestamp()
    WHERE name = 'jobs_by' AND (wanted_role IS NOT NULL OR value = 'pg_cron');
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_pg_cron_role(text) IS
'Internal: notes as which role pg_cron runs the jobs; the setting jobs_by follows.

wanted_role: the role; NULL = it runs them no longer.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_pg_cron_put(job text, schedule text, wanted_role text) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := 'c360_' || c360_pg_cron_put.job;
    command text := format('CALL @extschema@.c360_perform_job(%L)', c360_pg_cron_put.job);
    own boolean := c360_pg_cron_put.wanted_role = current_user;
    entry bigint;
    removed integer := 0;
BEGIN
    IF NOT own AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'jobs of pg_cron belong to another role',
            DETAIL = 'pg_cron_role: ' || c360_pg_cron_put.wanted_role,
            HINT = 'Do it as that role, or as superuser.';
    ELSIF c360_pg_cron_put.schedule IS NOT NULL AND own THEN
        EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING name, c360_pg_cron_put.schedule, command;
        RETURN 1;
    ELSIF c360_pg_cron_put.schedule IS NOT NULL THEN
        EXECUTE 'SELECT cron.schedule_in_database($1, $2, $3, $4, $5)'
        USING name, c360_pg_cron_put.schedule, command, current_database(), c360_pg_cron_put.wanted_role;
        RETURN 1;
    ELSIF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RETURN 0;               -- pg_cron went, and its jobs with it
    END IF;
    FOR entry IN EXECUTE 'SELECT jobid FROM cron.job WHERE jobname = $1 AND database = $2 AND username = $3'
        USING name, current_database(), c360_pg_cron_put.wanted_role
    LOOP
        EXECUTE 'SELECT cron.unschedule($1)' USING entry;
        removed := removed + 1;
    END LOOP;
    RETURN removed;
END $$;
COMMENT ON FUNCTION @extschema@.c360_pg_cron_put(text, text, text) IS
'Internal: registers a job with pg_cron, or removes it; with the rights of its caller.

job: its name. schedule: on the clock of pg_cron; NULL = remove it. wanted_role: the role that it runs as.
Answer: how many were registered or removed.
Errors: 42501 pg_cron_role; 25006 read only.';

CREATE FUNCTION @extschema@.c360_schedule_jobs() RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job record;
    before record;
    hours integer;
    registered integer := 0;
    jobs constant jsonb := (SELECT jsonb_agg(j) FROM @extschema@.c360_list_jobs() AS j);
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM @extschema@.c360_set_pg_cron_role(current_user);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    hours := @extschema@.c360_pg_cron_clock(current_user);
    IF NOT (SELECT rolcanlogin FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron cannot run jobs as this role',
            DETAIL = format('role_cannot_log_in: %I', current_user),
            HINT = 'Call c360_schedule_jobs() as the role that shall run the jobs, which must have LOGIN.';
    END IF;
    FOR job IN SELECT * FROM jsonb_to_recordset(jobs) AS j (job text, schedule text, enabled boolean, pg_cron_role text) LOOP
        IF job.pg_cron_role <> current_user OR NOT job.enabled THEN
            PERFORM @extschema@.c360_pg_cron_put(job.job, NULL, coalesce(job.pg_cron_role, current_user));
        END IF;
        IF job.enabled THEN
            registered := registered + @extschema@.c360_pg_cron_put(
                job.job, @extschema@.c360_shift_schedule(job.schedule, hours), current_user);
        END IF;
    END LOOP;
    RETURN registered;
END $$;
COMMENT ON FUNCTION @extschema@.c360_schedule_jobs() IS
'Registers every enabled job with pg_cron, as the role that calls this, and sets jobs_by to pg_cron. Called again it brings them up to date.

The role needs LOGIN, USAGE on the schema cron, and EXECUTE on c360_perform_job and what that names.
Answer: how many jobs are registered.
Errors: 55000 pg_cron_missing, pg_cron_elsewhere with the lines to run there, pg_cron_clock, role_cannot_log_in, not installed; 22023 schedule_not_shiftable; 42501 pg_cron_role; 25006 read only.';

CREATE FUNCTION @extschema@.c360_unschedule_jobs() RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job record;
    removed integer := 0;
BEGIN
    FOR job IN SELECT * FROM @extschema@.c360_list_jobs() WHERE pg_cron_role IS NOT NULL LOOP
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        removed := removed + @extschema@.c360_pg_cron_put(job.job, NULL, job.pg_cron_role);
    END LOOP;
    PERFORM @extschema@.c360_set_pg_cron_role(NULL);
    RETURN removed;
END $$;
COMMENT ON FUNCTION @extschema@.c360_unschedule_jobs() IS
'Removes the jobs from pg_cron; jobs_by goes back to worker if it was pg_cron.

Answer: how many jobs were removed.
Errors: 42501 pg_cron_role; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_job(job text, schedule text DEFAULT NULL, enabled boolean DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed record;
    hours integer;
BEGIN
    PERFORM @extschema@.c360_change_job(c360_set_job.job, c360_set_job.schedule, c360_set_job.enabled);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT * INTO changed FROM @extschema@.c360_list_jobs() AS j WHERE j.job = c360_set_job.job;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF changed.pg_cron_role IS NOT NULL THEN
        hours := @extschema@.c360_pg_cron_clock(changed.pg_cron_role);
        PERFORM @extschema@.c360_pg_cron_put(changed.job, CASE WHEN changed.enabled THEN
            @extschema@.c360_shift_schedule(changed.schedule, hours) END, changed.pg_cron_role);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_job(text, text, boolean) IS
'Changes when a job runs; if c360_schedule_jobs() registered it, with pg_cron, too.

job: a job of the view c360_job_status. schedule: cron schedule of five fields in shop time; default = the default one. enabled: whether it runs at all. NULL leaves either as it is.
Errors: 22004 missing_argument; 22023 unknown_job, invalid_schedule, schedule_never, schedule_not_shiftable; 42501 pg_cron_role; 55000 pg_cron_missing, not installed; 25006 read only.';

-- A job that failed n times running waits 1, 2, 4 ... 60 minutes, whatever its
-- schedule; one that fell due while no worker ran is due at once.
CREATE FUNCTION @extschema@.c360_job_plan()
RETURNS TABLE (job text, schedule text, enabled boolean, last_start timestamptz, last_end timestamptz,
               rows bigint, error text, failures bigint, next_run timestamptz, jobs_by text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT j.job, coalesce(j.schedule, j.default_schedule) AS schedule, j.enabled,
           last.started_at AS last_start, last.ended_at AS last_end, last.rows, last.error, f.failures,
           CASE WHEN NOT j.enabled THEN NULL
                WHEN s.jobs_by = 'worker' AND f.failures = 0 THEN
                    @extschema@.c360_next_run(coalesce(j.schedule, j.default_schedule),
                                              greatest(last.started_at, j.since))
                WHEN s.jobs_by = 'worker' THEN
                    f.last_failure + least(2 ^ least(f.failures - 1, 6), 60) * interval '1 minute'
                WHEN s.jobs_by = 'pg_cron' THEN
                    @extschema@.c360_next_run(coalesce(j.schedule, j.default_schedule), clock_timestamp())
           END AS next_run, s.jobs_by
    FROM c360.jobs j
    CROSS JOIN (SELECT coalesce(value, default_value) AS jobs_by FROM c360.settings WHERE name = 'jobs_by') s
    LEFT JOIN LATERAL (SELECT * FROM c360.job_runs r WHERE r.job = j.job ORDER BY r.id DESC LIMIT 1) last ON true
    LEFT JOIN LATERAL (SELECT r.id FROM c360.job_runs r
                       WHERE r.job = j.job AND r.ended_at IS NOT NULL AND r.error IS NULL
                       ORDER BY r.id DESC LIMIT 1) success ON true
    CROSS JOIN LATERAL (SELECT count(*) AS failures, max(r.ended_at) AS last_failure FROM c360.job_runs r
                        WHERE r.job = j.job AND r.id > coalesce(success.id, 0) AND r.error IS NOT NULL) f;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_plan() IS
'Internal: what the view c360_job_status shows and the job runner goes by.

Answer: a row for each job: its schedule in shop time, its last run, failures since the last success, next run, and the setting jobs_by.
Errors: 55000 not installed.';

-- Reads of wallets. They act as the owner of the tables and work in READ ONLY
-- transactions and on standbys.

CREATE FUNCTION @extschema@.c360_wallet(phone text) RETURNS @extschema@.c360_wallet_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted bigint := @extschema@.c360_require_customer(c360_wallet.phone);
    answer @extschema@.c360_wallet_row;
BEGIN
    answer := @extschema@.c360_wallets(customer_ids => ARRAY[wanted]);
    PERFORM @extschema@.c360_become_owner();
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'credit_id', id, 'amount', remaining_amount, 'expires_at', expires_at,
               'kind', kind, 'source_id', source_id, 'original_amount', original_amount)
               ORDER BY expires_at, id), '[]')
    INTO answer.lots FROM c360.virtual_credits
    WHERE customer_id = wanted AND status = 'ACTIVE';
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallet(text) IS
'The wallet of a customer with its ACTIVE lots in order of use; zeros for one that never moved money.

phone: any spelling.
Answer: c360_wallet_row; amounts in đồng; lots of {credit_id, amount (what remains), expires_at, kind, source_id, original_amount}, overdue ones not yet expired included.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_wallets(phones text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL)
RETURNS SETOF @extschema@.c360_wallet_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted text[];
BEGIN
    IF phones IS NULL AND customer_ids IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: phones or customer_ids';
    ELSIF cardinality(phones) > 1000 OR cardinality(customer_ids) > 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = 'too_many: at most 1000 phones and 1000 customer_ids';
    END IF;
    SELECT array_agg(@extschema@.c360_require_phone(p)) INTO wanted
    FROM unnest(phones) AS p WHERE p IS NOT NULL;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.id, c.phone, coalesce(w.balance, 0), coalesce(w.virtual_balance, 0),
           CASE WHEN w.frozen_at IS NOT NULL THEN 0
                WHEN c.tier = 'blacklist' THEN coalesce(w.balance, 0)
                ELSE coalesce(w.balance, 0) + usable.amount END,
           w.frozen_at IS NOT NULL, coalesce(w.total_deposited, 0), coalesce(w.total_withdrawn, 0),
           coalesce(w.total_virtual_issued, 0), coalesce(w.total_virtual_used, 0),
           coalesce(w.total_virtual_expired, 0), NULL::jsonb
    FROM c360.customers c
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(v.remaining_amount), 0)::bigint AS amount FROM c360.virtual_credits v
        WHERE v.customer_id = c.id AND v.status = 'ACTIVE' AND v.expires_at > clock_timestamp()) usable
    WHERE c.id = ANY (customer_ids) OR c.phone = ANY (wanted)
    ORDER BY c.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallets(text[], bigint[]) IS
'Wallets of many customers, by phones, ids or both, in order of id; unknown ones are left out.

phones: any spelling, 1,000 at most. customer_ids: 1,000 at most.
Answer: rows of c360_wallet_row without lots; amounts in đồng.
Errors: 22004 missing_argument; 22023 invalid_phone, too_many; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_wallet_transactions(phone text, type text DEFAULT NULL,
    before_id bigint DEFAULT NULL, max_rows integer DEFAULT 50)
RETURNS SETOF @extschema@.c360_wallet_transaction_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted bigint := @extschema@.c360_require_customer(c360_wallet_transactions.phone);
    before_time timestamptz := 'infinity';
    known_types constant text[] := ARRAY['DEPOSIT', 'WITHDRAW', 'VIRTUAL_CREDIT', 'VIRTUAL_EXPIRE',
                                         'VIRTUAL_CANCEL', 'REFUND', 'ADJUSTMENT'];
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', coalesce(max_rows, 50), 1, 1000);
    IF c360_wallet_transactions.type <> ALL (known_types) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: type "%s"', left(c360_wallet_transactions.type, 64)),
            HINT = 'Allowed are ' || array_to_string(known_types, ', ') || '.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    IF before_id IS NOT NULL THEN
        SELECT created_at INTO before_time FROM c360.wallet_transactions
        WHERE id = before_id AND customer_id = wanted;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such transaction',
                DETAIL = 'transaction_not_found: id ' || before_id;
        END IF;
    END IF;
    RETURN QUERY
    SELECT t.id, t.type, t.amount, t.real_change, t.virtual_change, t.balance_after, t.virtual_balance_after,
           t.source, t.reference_type, t.reference_id, t.refunded_transaction_id, a.payload ->> 'note',
           CASE WHEN t.credit_id IS NOT NULL
                THEN jsonb_build_array(jsonb_build_object('credit_id', t.credit_id, 'amount', t.amount,
                                                          'expires_at', t.credit_expires_at))
                ELSE coalesce((SELECT jsonb_agg(jsonb_build_object(
                                          'credit_id', u.credit_id, 'amount', u.amount,
                                          'expires_at', u.expires_at) ORDER BY u.position)
                               FROM c360.virtual_credit_uses u WHERE u.transaction_id = t.id), '[]') END,
           t.actor, t.created_at, t.occurred_at
    FROM (SELECT * FROM c360.wallet_transactions w
          WHERE w.customer_id = wanted
            AND (w.created_at, w.id) < (before_time, coalesce(before_id, 9223372036854775807))
            AND (c360_wallet_transactions.type IS NULL OR w.type = c360_wallet_transactions.type)
          ORDER BY w.created_at DESC, w.id DESC
          LIMIT coalesce(max_rows, 50)) t
    LEFT JOIN c360.customer_activities a ON a.id = t.activity_id
    ORDER BY t.created_at DESC, t.id DESC;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallet_transactions(text, text, bigint, integer) IS
'The ledger of a customer, newest first, in pages.

phone: any spelling. type: DEPOSIT, WITHDRAW, VIRTUAL_CREDIT, VIRTUAL_EXPIRE, VIRTUAL_CANCEL, REFUND or ADJUSTMENT; NULL = all. before_id: the last transaction_id of the page before; NULL = from the newest. max_rows: 1 to 1,000.
Answer: rows of c360_wallet_transaction_row; amounts in đồng.
Errors: PT404 customer_not_found, transaction_not_found; 22004 missing_argument; 22023 invalid_phone, not_allowed, out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_balance_at(phone text, at timestamptz)
RETURNS TABLE (balance bigint, virtual_balance bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted bigint := @extschema@.c360_require_customer(c360_balance_at.phone);
BEGIN
    IF at IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: at';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT t.balance_after, t.virtual_balance_after FROM c360.wallet_transactions t
    WHERE t.customer_id = wanted AND t.created_at <= c360_balance_at.at
    ORDER BY t.created_at DESC, t.id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint;
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_balance_at(text, timestamptz) IS
'What the books said of a wallet at a moment, by insert time.

phone: any spelling. at: the moment, included.
Answer: both balances in đồng; zeros before the first movement.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_expiring_credits(within interval DEFAULT '7 days')
RETURNS TABLE (phone text, credit_id bigint, remaining bigint, expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    span interval := coalesce(within, '7 days');
BEGIN
    IF span < '0' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = 'out_of_range: within is negative';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.phone, v.id, v.remaining_amount, v.expires_at
    FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id
    WHERE v.status = 'ACTIVE' AND v.expires_at > clock_timestamp()
      AND v.expires_at <= clock_timestamp() + span
    ORDER BY v.expires_at, v.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_expiring_credits(interval) IS
'ACTIVE lots that expire soon, soonest first.

within: how far ahead, not negative; NULL = 7 days.
Answer: phone, credit_id, remaining (đồng), expires_at.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_verify_wallets()
RETURNS TABLE (customer_id bigint, problem text, expected bigint, found bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- wallet against ledger and lots
    RETURN QUERY
    WITH ledger AS (
        SELECT t.customer_id, sum(t.real_change) AS real, sum(t.virtual_change) AS virtual,
               sum(t.amount) FILTER (WHERE t.type = 'DEPOSIT') AS deposited,
               sum(t.amount) FILTER (WHERE t.type = 'WITHDRAW') AS withdrawn,
               sum(t.amount) FILTER (WHERE t.type = 'VIRTUAL_CREDIT') AS issued,
               - sum(t.virtual_change) FILTER (WHERE t.type = 'WITHDRAW') AS used,
               sum(t.amount) FILTER (WHERE t.type = 'VIRTUAL_EXPIRE') AS expired
        FROM c360.wallet_transactions t GROUP BY t.customer_id),
    lots AS (
        SELECT v.customer_id, sum(v.remaining_amount) FILTER (WHERE v.status = 'ACTIVE') AS active
        FROM c360.virtual_credits v GROUP BY v.customer_id)
    SELECT w.customer_id, c.problem, c.expected::bigint, c.found
    FROM c360.customer_wallets w
    LEFT JOIN ledger l ON l.customer_id = w.customer_id
    LEFT JOIN lots s ON s.customer_id = w.customer_id
    CROSS JOIN LATERAL (VALUES
        ('balance is not the sum of the ledger', coalesce(l.real, 0), w.balance),
        ('virtual balance is not the sum of the ledger', coalesce(l.virtual, 0), w.virtual_balance),
        ('virtual balance is not the sum of the active lots', coalesce(s.active, 0), w.virtual_balance),
        ('total deposited is not the sum of the ledger', coalesce(l.deposited, 0), w.total_deposited),
        ('total withdrawn is not the sum of the ledger', coalesce(l.withdrawn, 0), w.total_withdrawn),
        ('total credit issued is not the sum of the ledger', coalesce(l.issued, 0), w.total_virtual_issued),
        ('total credit used is not the sum of the ledger', coalesce(l.used, 0), w.total_virtual_used),
        ('total credit expired is not the sum of the ledger', coalesce(l.expired, 0), w.total_virtual_expired)
    ) AS c (problem, expected, found)
    WHERE c.expected <> c.found;
    -- each lot: original = remaining + used - restored + expired + cancelled
    RETURN QUERY
    WITH parts AS (
        SELECT u.credit_id, CASE t.type WHEN 'WITHDRAW' THEN u.amount ELSE - u.amount END AS amount
        FROM c360.virtual_credit_uses u JOIN c360.wallet_transactions t ON t.id = u.transaction_id
        UNION ALL
        SELECT t.credit_id, CASE t.type WHEN 'VIRTUAL_CREDIT' THEN 0 ELSE t.amount END
        FROM c360.wallet_transactions t WHERE t.credit_id IS NOT NULL),
    gone AS (SELECT p.credit_id, sum(p.amount) AS amount FROM parts p GROUP BY p.credit_id)
    SELECT v.customer_id, format('lot %s does not add up', v.id), v.original_amount,
           (v.remaining_amount + coalesce(g.amount, 0))::bigint
    FROM c360.virtual_credits v LEFT JOIN gone g ON g.credit_id = v.id
    WHERE v.original_amount <> v.remaining_amount + coalesce(g.amount, 0);
    -- each lot was issued once, for what it holds
    RETURN QUERY
    SELECT v.customer_id, format('lot %s is not what was issued', v.id), v.original_amount,
           coalesce(sum(t.amount), 0)::bigint
    FROM c360.virtual_credits v
    LEFT JOIN c360.wallet_transactions t ON t.credit_id = v.id AND t.type = 'VIRTUAL_CREDIT'
                                         AND t.customer_id = v.customer_id
    GROUP BY v.id HAVING v.original_amount <> coalesce(sum(t.amount), 0);
    -- the lots of a withdrawal or refund are its virtual part
    RETURN QUERY
    SELECT t.customer_id, format('lots of transaction %s are not its virtual part', t.id),
           abs(t.virtual_change), coalesce(sum(u.amount), 0)::bigint
    FROM c360.wallet_transactions t LEFT JOIN c360.virtual_credit_uses u ON u.transaction_id = t.id
    WHERE t.type IN ('WITHDRAW', 'REFUND')
    GROUP BY t.id HAVING abs(t.virtual_change) <> coalesce(sum(u.amount), 0);
    -- refunds never exceed their withdrawal, in all and of each lot
    RETURN QUERY
    SELECT w.customer_id, format('refunds of transaction %s exceed it', w.id), w.amount,
           sum(r.amount)::bigint
    FROM c360.wallet_transactions r JOIN c360.wallet_transactions w ON w.id = r.refunded_transaction_id
    WHERE r.type = 'REFUND'
    GROUP BY w.id HAVING sum(r.amount) > w.amount OR w.type <> 'WITHDRAW';
    RETURN QUERY
    SELECT r.customer_id, format('refunds of transaction %s exceed its lot %s', r.refunded_transaction_id, u.credit_id),
           coalesce(used.amount, 0)::bigint, sum(u.amount)::bigint
    FROM c360.wallet_transactions r
    JOIN c360.virtual_credit_uses u ON u.transaction_id = r.id
    LEFT JOIN c360.virtual_credit_uses used
           ON used.transaction_id = r.refunded_transaction_id AND used.credit_id = u.credit_id
    WHERE r.type = 'REFUND' AND r.operation <> 'restore'
    GROUP BY r.customer_id, r.refunded_transaction_id, u.credit_id, used.amount
    HAVING sum(u.amount) > coalesce(used.amount, 0);
    -- but those that give back credit which expired: of each lot no more than did
    RETURN QUERY
    WITH restored AS (
        SELECT r.customer_id, u.credit_id, sum(u.amount) AS amount
        FROM c360.wallet_transactions r JOIN c360.virtual_credit_uses u ON u.transaction_id = r.id
        WHERE r.type = 'REFUND' AND r.operation = 'restore' GROUP BY r.customer_id, u.credit_id)
    SELECT s.customer_id, format('more than expired was restored to lot %s', s.credit_id),
           coalesce(e.amount, 0)::bigint, s.amount::bigint
    FROM restored s
    LEFT JOIN LATERAL (SELECT sum(t.amount) AS amount FROM c360.wallet_transactions t
                       WHERE t.customer_id = s.customer_id AND t.credit_id = s.credit_id
                         AND t.type = 'VIRTUAL_EXPIRE') AS e ON true
    WHERE s.amount > coalesce(e.amount, 0);
    RETURN QUERY
    SELECT r.customer_id, format('transaction %s refunds nothing', r.id), r.amount, 0::bigint
    FROM c360.wallet_transactions r
    WHERE r.type = 'REFUND' AND (r.refunded_transaction_id IS NULL) <> (r.operation = 'restore');
    -- every row's balances follow from the row before, and time never goes back
    RETURN QUERY
    WITH chain AS (
        SELECT t.customer_id, t.id, t.balance_after, t.virtual_balance_after, t.created_at,
               coalesce(lag(t.balance_after) OVER w, 0) + t.real_change AS balance,
               coalesce(lag(t.virtual_balance_after) OVER w, 0) + t.virtual_change AS virtual_balance,
               lag(t.created_at) OVER w AS before
        FROM c360.wallet_transactions t WINDOW w AS (PARTITION BY t.customer_id ORDER BY t.id))
    SELECT c.customer_id, format('balance after transaction %s does not follow', c.id), c.balance, c.balance_after
    FROM chain c WHERE c.balance <> c.balance_after
    UNION ALL
    SELECT c.customer_id, format('virtual balance after transaction %s does not follow', c.id),
           c.virtual_balance, c.virtual_balance_after
    FROM chain c WHERE c.virtual_balance <> c.virtual_balance_after
    UNION ALL
    SELECT c.customer_id, format('transaction %s is older than the one before', c.id), NULL, NULL
    FROM chain c WHERE c.created_at < c.before;
    -- nothing negative
    RETURN QUERY
    SELECT t.customer_id, format('transaction %s leaves a negative balance', t.id), 0::bigint,
           least(t.balance_after, t.virtual_balance_after)
    FROM c360.wallet_transactions t WHERE t.balance_after < 0 OR t.virtual_balance_after < 0
    UNION ALL
    SELECT w.customer_id, 'the wallet is negative', 0, least(w.balance, w.virtual_balance)
    FROM c360.customer_wallets w WHERE w.balance < 0 OR w.virtual_balance < 0
    UNION ALL
    SELECT v.customer_id, format('lot %s is negative', v.id), 0, v.remaining_amount
    FROM c360.virtual_credits v WHERE v.remaining_amount < 0;
END $$;
COMMENT ON FUNCTION @extschema@.c360_verify_wallets() IS
'Checks the books of all wallets: balances, lots, totals and refunds against the ledger, the chain of balances, the order of time. Reads every row; for a quiet hour.

Answer: one row for each problem, with what was expected and found (đồng); empty when all is well.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set(name text, value text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor text := @extschema@.c360_current_actor();
    wanted text := lower(btrim(c360_set.value));
    setting record;
    whole bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_set.name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: name';
    END IF;
    SELECT * INTO setting FROM c360.settings AS s WHERE s.name = c360_set.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such setting',
            DETAIL = format('unknown_setting: "%s"', left(c360_set.name, 64)),
            HINT = 'Allowed are ' || (SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM c360.settings AS s) || '.';
    END IF;
    CASE setting.type
        WHEN 'boolean' THEN
            wanted := CASE WHEN wanted IN ('true', 'on', 'yes', '1') THEN 'true'
                           WHEN wanted IN ('false', 'off', 'no', '0') THEN 'false' END;
        WHEN 'integer' THEN
            IF wanted ~ '^[0-9]{1,19}$' AND wanted::numeric BETWEEN setting.minimum AND setting.maximum THEN
                whole := wanted::bigint;
                wanted := whole::text;
            ELSE
                wanted := NULL;
            END IF;
        WHEN 'number' THEN
            IF wanted !~ '^[0-9]{1,9}([.][0-9]{1,9})?$' OR wanted::numeric NOT BETWEEN setting.minimum AND setting.maximum THEN
                wanted := NULL;
            END IF;
        WHEN 'hash' THEN
            IF wanted !~ '^([0-9a-f]{64})?$' THEN
                wanted := NULL;
            END IF;
        WHEN 'choice' THEN
            wanted := (SELECT c FROM unnest(setting.choices) AS c WHERE c = wanted);
        ELSE
            wanted := btrim(c360_set.value);
    END CASE;
    IF c360_set.value IS NOT NULL AND wanted IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid value of a setting',
            DETAIL = format('invalid_setting: %s "%s"', setting.name,
                            CASE setting.type WHEN 'hash' THEN '...' ELSE left(c360_set.value, 64) END),
            HINT = CASE setting.type WHEN 'boolean' THEN 'Allowed are true and false.'
                   WHEN 'choice' THEN 'Allowed are ' || array_to_string(setting.choices, ', ') || '.'
                   WHEN 'hash' THEN 'Allowed are the 64 hexadecimal digits of a SHA-256.'
                   WHEN 'number' THEN format('Allowed are numbers from %s to %s.', setting.minimum, setting.maximum)
                   ELSE format('Allowed are whole numbers from %s to %s.', setting.minimum, setting.maximum) END;
    END IF;
    UPDATE c360.settings AS s SET value = wanted, changed_by = actor, changed_at = clock_timestamp()
    WHERE s.name = setting.name;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set(text, text) IS
'Changes a business rule of the shop; every session sees it at its next statement.

name: a setting of the view c360_settings. value: of its type and range; NULL = back to the default.
Errors: 22004 missing_argument; 22023 unknown_setting, invalid_setting; 25006 read only; 55000 not installed.';

-- Who may do what. Everything that can be called stands in the first list
-- with the lowest level that may call it, every view in the second.
--
-- viewer < agent < accountant < admin; each of them has stream, accountant and
-- admin have bank_feed, too. Of the rest, "public" is for everybody, "owner"
-- for whoever owns the tables, granted by hand, and "internal" is called by
-- other functions alone. Names that do not exist (yet) are passed over.

CREATE FUNCTION @extschema@.c360_level_functions() RETURNS TABLE (function text, level text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('c360_fold', 'public'),
    ('c360_next_run', 'public'),
    ('c360_normalize_phone', 'public'),
    ('c360_parse_transfer', 'public'),
    ('c360_phone_carrier', 'public'),
    ('c360_shop_day', 'public'),
    ('c360_shop_midnight', 'public'),
    ('c360_version', 'public'),
    ('c360_vietqr_url', 'public'),
    ('c360_write_activity', 'public'),          -- but it works only inside a function of c360

    ('c360_events', 'stream'),

    ('c360_sepay_webhook', 'bank_feed'),

    ('c360_activities', 'viewer'),
    ('c360_analyze_rfm', 'viewer'),
    ('c360_calculate_rfm', 'viewer'),
    ('c360_consolidated_transactions', 'viewer'),
    ('c360_customer', 'viewer'),
    ('c360_customers', 'viewer'),
    ('c360_daily_summary', 'viewer'),
    ('c360_dashboard', 'viewer'),
    ('c360_events_since', 'viewer'),
    ('c360_level', 'viewer'),
    ('c360_open_stream', 'viewer'),
    ('c360_recent_customers', 'viewer'),
    ('c360_rfm_movement', 'viewer'),
    ('c360_search_customers', 'viewer'),
    ('c360_sees_money', 'viewer'),
    ('c360_ticket', 'viewer'),
    ('c360_ticket_metrics', 'viewer'),

    ('c360_add_note', 'agent'),
    ('c360_balance_at', 'agent'),
    ('c360_change_phone', 'agent'),
    ('c360_create_ticket', 'agent'),
    ('c360_delete_ticket', 'agent'),            -- of a compensated ticket: accountant
    ('c360_escalate_deadlines', 'agent'),
    ('c360_expiring_credits', 'agent'),
    ('c360_get_or_create_customer', 'agent'),
    ('c360_record_order', 'agent'),
    ('c360_resolve_ticket', 'agent'),           -- with credit or deposit: accountant
    ('c360_ticket_action', 'agent'),
    ('c360_ticket_note', 'agent'),
    ('c360_update_rfm', 'agent'),
    ('c360_update_ticket', 'agent'),
    ('c360_upsert_customer', 'agent'),
    ('c360_upsert_tpos_customer', 'agent'),
    ('c360_wallet', 'agent'),
    ('c360_wallet_summary', 'agent'),
    ('c360_wallet_transactions', 'agent'),
    ('c360_wallets', 'agent'),

    ('c360_adjust', 'accountant'),
    ('c360_cancel_credit', 'accountant'),
    ('c360_create_qr_code', 'accountant'),
    ('c360_deposit', 'accountant'),
    ('c360_expire_all', 'accountant'),
    ('c360_expire_credits', 'accountant'),
    ('c360_export_customer', 'accountant'),
    ('c360_freeze_wallet', 'accountant'),
    ('c360_ignore_number', 'accountant'),
    ('c360_ingest_bank_transaction', 'accountant'),
    ('c360_ingest_bank_transactions', 'accountant'),
    ('c360_issue_credit', 'accountant'),
    ('c360_link_transaction', 'accountant'),
    ('c360_process_bank', 'accountant'),
    ('c360_reconcile_bank', 'accountant'),
    ('c360_refund', 'accountant'),
    ('c360_rematch_transactions', 'accountant'),
    ('c360_resolve_match', 'accountant'),
    ('c360_retire_qr_code', 'accountant'),
    ('c360_skip_match', 'accountant'),
    ('c360_undo_skip_match', 'accountant'),
    ('c360_unignore_number', 'accountant'),
    ('c360_unlink_transaction', 'accountant'),
    ('c360_unfreeze_wallet', 'accountant'),
    ('c360_verify_wallets', 'accountant'),
    ('c360_withdraw', 'accountant'),

    ('c360_erase_customer', 'admin'),
    ('c360_fraud_batch', 'admin'),
    ('c360_job_batch', 'admin'),
    ('c360_job_begin', 'admin'),
    ('c360_job_end', 'admin'),
    ('c360_perform_job', 'admin'),
    ('c360_refresh_rfm', 'admin'),
    ('c360_refresh_rfm_all', 'admin'),
    ('c360_rfm_continue', 'admin'),
    ('c360_rfm_start', 'admin'),
    ('c360_review_fraud_flag', 'admin'),
    ('c360_run_job', 'admin'),
    ('c360_scan_fraud', 'admin'),
    ('c360_scan_fraud_all', 'admin'),
    ('c360_schedule_jobs', 'admin'),
    ('c360_recount_all', 'admin'),
    ('c360_recount_orders', 'admin'),
    ('c360_set', 'admin'),
    ('c360_set_fraud_rule', 'admin'),
    ('c360_set_job', 'admin'),
    ('c360_set_status', 'admin'),
    ('c360_set_tier', 'admin'),
    ('c360_snooze_fraud_rule', 'admin'),
    ('c360_statistics', 'admin'),
    ('c360_unschedule_jobs', 'admin'),
    ('c360_update_rfm_threshold', 'admin'),

    ('c360_apply_level', 'owner'),
    ('c360_grant', 'owner'),
    ('c360_install', 'owner'),
    ('c360_refuse_change', 'owner'),
    ('c360_revoke', 'owner'),
    ('c360_settings_changed', 'owner'),

    ('c360_become_owner', 'internal'),
    ('c360_change_job', 'admin'),
    ('c360_changes_begin', 'internal'),
    ('c360_changes_end', 'internal'),
    ('c360_count_orders', 'internal'),
    ('c360_customers_to_count', 'internal'),
    ('c360_current_actor', 'internal'),
    ('c360_insert_ticket', 'internal'),
    ('c360_job_carrier_deadlines', 'internal'),
    ('c360_job_expire_credits', 'internal'),
    ('c360_job_fail', 'internal'),
    ('c360_job_function', 'internal'),
    ('c360_job_lock', 'internal'),
    ('c360_job_note', 'internal'),
    ('c360_job_open', 'internal'),
    ('c360_job_scan_fraud', 'internal'),
    ('c360_job_plan', 'admin'),
    ('c360_job_refresh_rfm', 'internal'),
    ('c360_job_process_bank', 'internal'),
    ('c360_job_unlock', 'internal'),
    ('c360_level_functions', 'internal'),
    ('c360_level_views', 'internal'),
    ('c360_list_jobs', 'admin'),
    ('c360_lock_payee', 'internal'),
    ('c360_lock_ticket', 'internal'),
    ('c360_make_customer', 'internal'),
    ('c360_pg_cron_clock', 'admin'),
    ('c360_pg_cron_put', 'admin'),
    ('c360_put_order', 'internal'),
    ('c360_raise_priorities', 'internal'),
    ('c360_refresh_rfm_on', 'internal'),
    ('c360_report_progress', 'internal'),
    ('c360_require_accountant', 'internal'),
    ('c360_require_customer', 'internal'),
    ('c360_require_days', 'internal'),
    ('c360_require_fraud_rule', 'internal'),
    ('c360_require_job', 'internal'),
    ('c360_require_move', 'internal'),
    ('c360_require_number', 'internal'),
    ('c360_require_one_of', 'internal'),
    ('c360_require_phone', 'internal'),
    ('c360_require_range', 'internal'),
    ('c360_require_text', 'internal'),
    ('c360_require_words', 'internal'),
    ('c360_rfm_answer', 'internal'),
    ('c360_rfm_batch', 'internal'),
    ('c360_rfm_begin', 'internal'),
    ('c360_rfm_config_version', 'internal'),
    ('c360_rfm_distribution', 'internal'),
    ('c360_rfm_fill_queue', 'internal'),
    ('c360_rfm_lock_customer', 'internal'),
    ('c360_rfm_open_run', 'internal'),
    ('c360_rfm_queue_customer', 'internal'),
    ('c360_rfm_queue_end', 'internal'),
    ('c360_rfm_range_end', 'internal'),
    ('c360_rfm_take_queue', 'internal'),
    ('c360_rfm_words', 'internal'),
    ('c360_save_customer', 'internal'),
    ('c360_score_customer', 'internal'),
    ('c360_score_customers', 'internal'),
    ('c360_set_pg_cron_role', 'admin'),
    ('c360_shift_schedule', 'admin'),
    ('c360_step_ticket', 'internal'),
    ('c360_sweep_job_runs', 'internal'),
    ('c360_ticket_fields', 'internal'),
    ('c360_unused_compensation', 'internal'),
    ('c360_write_ticket', 'internal')
$$;
COMMENT ON FUNCTION @extschema@.c360_level_functions() IS
'Internal: every function of c360 and the lowest level that may call it.

Answer: function, level; names of later versions may stand there, too.';

CREATE FUNCTION @extschema@.c360_level_views() RETURNS TABLE (view text, level text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('balance_statistics', 'viewer'),
    ('c360_activity_list', 'viewer'),
    ('c360_customer_list', 'viewer'),
    ('c360_fraud_flag_list', 'viewer'),
    ('c360_note_list', 'viewer'),
    ('c360_rfm_config', 'viewer'),
    ('c360_ticket_list', 'viewer'),
    ('customer_360_summary', 'viewer'),
    ('customer_activity_summary', 'viewer'),
    ('customer_statistics', 'viewer'),
    ('customers_without_tpos', 'viewer'),
    ('daily_wallet_summary', 'viewer'),
    ('rfm_segment_distribution', 'viewer'),
    ('rfm_segment_mapping', 'viewer'),
    ('ticket_resolution_metrics', 'viewer'),
    ('ticket_statistics', 'viewer'),
    ('wallet_statistics', 'viewer'),

    ('c360_bank_match_statistics', 'agent'),
    ('c360_bank_problem_list', 'agent'),
    ('c360_bank_transaction_list', 'agent'),
    ('c360_credit_list', 'agent'),
    ('c360_ignored_number_list', 'agent'),
    ('c360_pending_match_list', 'agent'),
    ('c360_qr_code_list', 'agent'),
    ('c360_wallet_transaction_list', 'agent'),

    ('c360_fraud_rule_list', 'admin'),
    ('c360_fraud_shadow_report', 'admin'),
    ('c360_job_status', 'admin'),
    ('c360_settings', 'admin'),
    ('c360_stat', 'admin')
$$;
COMMENT ON FUNCTION @extschema@.c360_level_views() IS
'Internal: every view of c360 and the lowest level that may read it.

Answer: view, level; names of later versions may stand there, too.';

CREATE FUNCTION @extschema@.c360_level() RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_level';
COMMENT ON FUNCTION @extschema@.c360_level() IS
'The level of the caller: of who logged in or, after SET ROLE, of that role, inside SECURITY DEFINER functions and views, too.

Answer: the highest of viewer, agent, accountant, admin of the roles it is a member of; admin for superusers and the owner of the tables; NULL for none.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_sees_money() RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_sees_money';
COMMENT ON FUNCTION @extschema@.c360_sees_money() IS
'Whether the caller''s level is agent or higher; views show NULL for money to all others.

Answer: true or false.
Errors: 55000 not installed.';

-- Functions belong to the extension's owner, so this acts as he; views and
-- rows belong to the owner of the tables, so from there on it acts as that.
-- Who may call it may give levels: EXECUTE is for owners of the tables alone.
CREATE FUNCTION @extschema@.c360_apply_level(role regrole, level text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    given_by text := @extschema@.c360_current_actor();
    ranks constant text[] := ARRAY['stream', 'viewer', 'agent', 'accountant', 'admin'];
    ours constant bigint := (SELECT system_identifier FROM pg_control_system());
    whom constant oid := c360_apply_level.role;
    role_name constant text := (SELECT rolname FROM pg_roles WHERE oid = c360_apply_level.role);
    given text[];
    functions text;
    views text;
BEGIN
    IF role_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such role',
            DETAIL = 'unknown_role: ' || c360_apply_level.role;
    END IF;
    given := ranks[:array_position(ranks, coalesce(c360_apply_level.level, 'admin'))];
    IF c360_apply_level.level = 'bank_feed' THEN
        given := ARRAY['bank_feed'];
    ELSIF 'accountant' = ANY (given) THEN
        given := array_append(given, 'bank_feed');
    ELSIF array_position(ranks, c360_apply_level.level) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such level',
            DETAIL = format('unknown_level: "%s"', left(c360_apply_level.level, 64)),
            HINT = 'Allowed are viewer, agent, accountant, admin, bank_feed, stream.';
    END IF;
    SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.proname) INTO functions
    FROM @extschema@.c360_level_functions() AS f JOIN pg_proc p ON p.proname = f.function
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'c360'
    WHERE f.level = ANY (given);
    SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.relname) INTO views
    FROM @extschema@.c360_level_views() AS v JOIN pg_class c ON c.relname = v.view
    WHERE v.level = ANY (given) AND c.relnamespace = '@extschema@'::regnamespace AND c.relkind = 'v'
      AND c.relowner = (SELECT t.relowner FROM pg_class t WHERE t.oid = 'c360.granted_levels'::regclass);

    IF c360_apply_level.level IS NOT NULL THEN
        IF functions IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', functions, role_name);
        END IF;
        IF NOT has_schema_privilege(whom, '@extschema@'::regnamespace, 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %I', role_name);
        END IF;
    ELSE
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %I CASCADE', functions, role_name);
        -- of no use to a role that has nothing else there
        IF '@extschema@'::regnamespace <> 'public'::regnamespace AND NOT EXISTS (
               SELECT FROM pg_proc p, aclexplode(p.proacl) a
               WHERE p.pronamespace = '@extschema@'::regnamespace AND a.grantee = whom)
           AND NOT EXISTS (
               SELECT FROM pg_class c, aclexplode(c.relacl) a
               WHERE c.relnamespace = '@extschema@'::regnamespace AND a.grantee = whom
                 AND c.relname NOT IN (SELECT v.view FROM @extschema@.c360_level_views() AS v)) THEN
            EXECUTE format('REVOKE USAGE ON SCHEMA @extschema@ FROM %I CASCADE', role_name);
        END IF;
    END IF;

    PERFORM @extschema@.c360_become_owner();
    IF c360_apply_level.level IS NULL THEN
        IF views IS NOT NULL THEN
            EXECUTE format('REVOKE SELECT ON %s FROM %I CASCADE', views, role_name);
        END IF;
        DELETE FROM c360.granted_levels AS g
        WHERE CASE WHEN g.cluster = ours THEN g.role_id = whom ELSE g.role = role_name END;
        DELETE FROM c360.event_streams AS s WHERE s.role_id = whom AND s.cluster = ours;
        RETURN;
    END IF;
    IF views IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON %s TO %I', views, role_name);
    END IF;
    WITH from_elsewhere AS (
        DELETE FROM c360.granted_levels AS g
        WHERE g.cluster <> ours AND g.role = role_name AND g.level = c360_apply_level.level
        RETURNING g.granted_by, g.granted_at)
    INSERT INTO c360.granted_levels (role, level, role_id, cluster, granted_by, granted_at)
    SELECT role_name, c360_apply_level.level, whom, ours, coalesce(f.granted_by, given_by),
           coalesce(f.granted_at, clock_timestamp())
    FROM (VALUES (1)) AS once LEFT JOIN from_elsewhere f ON true
    ORDER BY f.granted_at LIMIT 1
    ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION @extschema@.c360_apply_level(regrole, text) IS
'Internal: gives a role what a level may, and keeps the row; for c360_install(), c360_grant() and c360_revoke().

role: who gets it. level: NULL takes everything back.
Errors: 22023 unknown_role, unknown_level; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_grant(role regrole, level text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    owner oid := (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'c360' AND c.relname = 'granted_levels');
BEGIN
    IF NOT (pg_has_role(owner, 'USAGE')
            AND has_function_privilege('@extschema@.c360_apply_level(regrole, text)', 'EXECUTE')) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the owner of the tables gives levels',
            DETAIL = 'not_owner: ' || current_user,
            HINT = format('Call c360_grant() as superuser or as %s, who needs EXECUTE on c360_apply_level(regrole, text).',
                          owner::regrole);
    ELSIF c360_grant.role IS NULL OR c360_grant.level IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || CASE WHEN c360_grant.role IS NULL THEN 'role' ELSE 'level' END;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('c360'), hashtext('c360_install'));
    PERFORM @extschema@.c360_apply_level(c360_grant.role, c360_grant.level);
    PERFORM pg_notify('pgrst', 'reload schema');    -- as c360_install() does
END $$;
COMMENT ON FUNCTION @extschema@.c360_grant(regrole, text) IS
'Gives a role a level: EXECUTE on the functions and SELECT on the views that the level may use.

Runs with the rights of its caller: a superuser or the owner of the tables. Levels of a role add up; c360_install() applies them again.
role: any role of the server.
level: viewer, agent, accountant or admin, each with what the one before it may; bank_feed (the bank''s webhook alone) or stream (events with a pass alone).
Errors: 22004 missing_argument; 22023 unknown_level, unknown_role; 25006 read only; 42501 not_owner; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_revoke(role regrole) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    owner oid := (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'c360' AND c.relname = 'granted_levels');
BEGIN
    IF NOT (pg_has_role(owner, 'USAGE')
            AND has_function_privilege('@extschema@.c360_apply_level(regrole, text)', 'EXECUTE')) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the owner of the tables takes levels',
            DETAIL = 'not_owner: ' || current_user,
            HINT = format('Call c360_revoke() as superuser or as %s, who needs EXECUTE on c360_apply_level(regrole, text).',
                          owner::regrole);
    ELSIF c360_revoke.role IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: role';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('c360'), hashtext('c360_install'));
    PERFORM @extschema@.c360_apply_level(c360_revoke.role, NULL);
    PERFORM pg_notify('pgrst', 'reload schema');    -- as c360_install() does
END $$;
COMMENT ON FUNCTION @extschema@.c360_revoke(regrole) IS
'Takes all levels of a role, all that c360_grant() and GRANT by hand gave it of the functions and views of levels, and its stream passes.

Runs with the rights of its caller: a superuser or the owner of the tables. What the role has as a member of another role stays.
role: any role of the server.
Errors: 22004 missing_argument; 22023 unknown_role; 25006 read only; 42501 not_owner; 55000 not installed.';

-- Nothing is granted to PUBLIC but the pure functions, and one that refuses to work for them.
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT p.oid FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
        JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                                      AND d.refobjid = e.oid AND d.deptype = 'e'
        WHERE e.extname = 'c360'
          AND p.proname NOT IN (SELECT f.function FROM @extschema@.c360_level_functions() AS f WHERE f.level = 'public')
        ORDER BY p.proname
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
    END LOOP;
END $$;

