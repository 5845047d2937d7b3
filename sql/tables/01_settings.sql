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
