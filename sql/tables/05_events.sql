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
