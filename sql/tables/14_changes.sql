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
