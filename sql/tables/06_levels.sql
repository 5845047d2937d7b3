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
