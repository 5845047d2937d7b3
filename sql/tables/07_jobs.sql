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
