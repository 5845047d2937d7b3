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
