-- Settings, jobs and workers.

CREATE OR REPLACE VIEW @extschema@.c360_settings AS
    SELECT name, coalesce(value, default_value) AS value, type, unit,
           default_value AS "default", description
    FROM c360.settings
    WHERE @extschema@.c360_version() IS NOT NULL;   -- goes with the extension
COMMENT ON VIEW @extschema@.c360_settings IS
    'Business rules of the shop and their values; changed by c360_set()';

-- A job that failed n times running waits 1, 2, 4 ... 60 minutes, whatever
-- its schedule; one that fell due while no worker ran is due at once.
CREATE OR REPLACE VIEW @extschema@.c360_job_status AS
    SELECT j.job, coalesce(j.schedule, j.default_schedule) AS schedule, j.enabled,
           last.started_at AS last_start, last.ended_at AS last_end, last.rows, last.error, f.failures,
           CASE WHEN NOT j.enabled THEN NULL
                WHEN s.jobs_by = 'worker' AND f.failures = 0 THEN
                    @extschema@.c360_next_run(coalesce(j.schedule, j.default_schedule),
                                              greatest(last.started_at, j.since))
                WHEN s.jobs_by = 'worker' THEN
                    f.last_failure + least(2 ^ least(f.failures - 1, 6), 60) * interval '1 minute'
                WHEN s.jobs_by = 'pg_cron' THEN
                    @extschema@.c360_next_run(coalesce(j.schedule, j.default_schedule), clock_timestamp())
           END AS next_run
    FROM c360.jobs j
    CROSS JOIN (SELECT coalesce(value, default_value) AS jobs_by FROM c360.settings WHERE name = 'jobs_by') s
    LEFT JOIN LATERAL (SELECT * FROM c360.job_runs r WHERE r.job = j.job ORDER BY r.id DESC LIMIT 1) last ON true
    LEFT JOIN LATERAL (SELECT r.id FROM c360.job_runs r
                       WHERE r.job = j.job AND r.ended_at IS NOT NULL AND r.error IS NULL
                       ORDER BY r.id DESC LIMIT 1) success ON true
    CROSS JOIN LATERAL (SELECT count(*) AS failures, max(r.ended_at) AS last_failure FROM c360.job_runs r
                        WHERE r.job = j.job AND r.id > coalesce(success.id, 0) AND r.error IS NOT NULL) f;
COMMENT ON VIEW @extschema@.c360_job_status IS
    'Jobs with their last run, failures since the last success, and next run; changed by c360_set_job()';

CREATE OR REPLACE VIEW @extschema@.c360_stat AS
    SELECT ticks, notifications, lag, backlog, ring_overflow, last_error
    FROM @extschema@.c360_statistics()
    WHERE NOT EXISTS (SELECT FROM c360.event_ticks WHERE false);    -- goes with the tables, too
COMMENT ON VIEW @extschema@.c360_stat IS
    'The workers of this database since the server started: ticks, notifications, time from commit to notification at the last tick, events not yet announced (10,000 at most are counted), errors lost to a full ring, last failure of a worker';
