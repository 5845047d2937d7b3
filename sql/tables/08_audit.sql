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
