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
