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
