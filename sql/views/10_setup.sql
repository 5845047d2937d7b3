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
