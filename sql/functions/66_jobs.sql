-- Jobs: schedules, runs, and the two ways to have them run.
--
-- A run is c360_job_begin(), c360_job_batch() until nothing is left, and
-- c360_job_end(), each in a transaction of its own; c360_perform_job() does
-- that for pg_cron, the job runner (src/runner.c) does it for itself. What a
-- batch does is the function c360_job_<job>(), which answers how many rows it
-- did, 0 when nothing is left.
--
-- Who acts: functions that only call others stay the owner of the extension,
-- who alone may call all of them, and touch no table; those that touch tables
-- become the owner of these.
--
-- Whoever owns the tables can leave a search_path of his behind, by a trigger
-- that sets it: that outlives the SET clauses of the functions around it. So
-- functions here that go on with other rights than his after calling one that
-- acts as him set theirs again, before anything that is found by it.

CREATE FUNCTION @extschema@.c360_next_run(schedule text, after timestamptz) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_next_run';
COMMENT ON FUNCTION @extschema@.c360_next_run(text, timestamptz) IS
'First moment of a cron schedule after another moment, in shop time.

schedule: minute, hour, day of month, month, day of week, as cron has them: *, numbers, jan-dec, sun-sat, ranges, lists, steps; if neither day field begins with *, one of them is enough. after: any moment.
Answer: the moment; NULL if the schedule names days that never come.
Errors: 22023 invalid_schedule, invalid_date.';

CREATE FUNCTION @extschema@.c360_shift_schedule(schedule text, hours integer) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_shift_schedule';
COMMENT ON FUNCTION @extschema@.c360_shift_schedule(text, integer) IS
'Internal: a cron schedule as another clock has it.

schedule: as c360_next_run() takes it. hours: how far the other clock is ahead, -23 to 23.
Answer: the schedule there.
Errors: 22004 NULL; 22023 invalid_schedule, schedule_not_shiftable.';

-- What the jobs do, one batch each.

CREATE FUNCTION @extschema@.c360_job_expire_credits() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT e.expired_count FROM @extschema@.c360_expire_credits(500) AS e);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_expire_credits() IS
'Internal: one batch of the job expire_credits.

Answer: lots expired, 0 when none is left.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_carrier_deadlines() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (@extschema@.c360_raise_priorities(500)).looked_at;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_carrier_deadlines() IS
'Internal: one batch of the job carrier_deadlines.

Answer: tickets looked at, 0 when none is left.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_process_bank() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT p.processed + p.failed FROM @extschema@.c360_process_bank(50) AS p);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_process_bank() IS
'Internal: one batch of the job process_bank.

Answer: transfers tried, 0 when none is due.
Errors: 25006 read only; 55000 not installed.';

-- One run at a time.

CREATE FUNCTION @extschema@.c360_job_lock(job text, of_transaction boolean) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_job_lock';
COMMENT ON FUNCTION @extschema@.c360_job_lock(text, boolean) IS
'Internal: tries to take the lock of a job.

job: its name. of_transaction: until the end of this transaction; false = until c360_job_unlock() or a rollback.
Answer: false if another session has it.
Errors: 22004 NULL; 25006 read only.';

CREATE FUNCTION @extschema@.c360_job_unlock() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_job_unlock';
COMMENT ON FUNCTION @extschema@.c360_job_unlock() IS
'Internal: gives the lock of the job back when this transaction has committed (25006 does not concern it).';

CREATE FUNCTION @extschema@.c360_require_job(job text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_require_job.job IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: job';
    END IF;
    IF NOT EXISTS (SELECT FROM c360.jobs AS j WHERE j.job = c360_require_job.job) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such job',
            DETAIL = format('unknown_job: "%s"', left(c360_require_job.job, 64)),
            HINT = 'Allowed are ' || (SELECT string_agg(j.job, ', ' ORDER BY j.job) FROM c360.jobs AS j) || '.';
    END IF;
    RETURN (SELECT coalesce(value, default_value) FROM c360.settings WHERE name = 'jobs_by');
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_job(text) IS
'Internal: refuses a job that does not exist.

job: a name.
Answer: the setting jobs_by.
Errors: 22004 NULL; 22023 unknown_job; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_function(job text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- a member of the extension: anybody's function of that name would run as its owner
    found_function regprocedure := (
        SELECT p.oid FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = 'c360' AND p.proname = 'c360_job_' || c360_job_function.job AND p.pronargs = 0
          AND p.prorettype = 'bigint'::regtype);
BEGIN
    IF found_function IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such job',
            DETAIL = format('unknown_job: "%s" has no function', left(c360_job_function.job, 64));
    END IF;
    RETURN found_function::text;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_function(text) IS
'Internal: the function that does one batch of a job.

job: its name.
Answer: the function as SQL calls it.
Errors: 22023 unknown_job.';

CREATE FUNCTION @extschema@.c360_job_open(job text, started_by text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    run bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- we hold the lock of the job: what has no end never will
    UPDATE c360.job_runs AS r SET ended_at = clock_timestamp(), error = 'interrupted'
    WHERE r.job = c360_job_open.job AND r.ended_at IS NULL;
    IF c360_job_open.started_by IS NOT NULL THEN
        INSERT INTO c360.job_runs (job, started_by) VALUES (c360_job_open.job, c360_job_open.started_by)
        RETURNING id INTO run;
    END IF;
    RETURN run;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_open(text, text) IS
'Internal: ends runs that died, and writes a new one; under the lock of the job.

job: its name. started_by: worker, pg_cron or who else; NULL = no new run.
Answer: id of the run.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_note(run bigint, done bigint, error text, state text, ended boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    noted record;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.job_runs AS r SET rows = r.rows + c360_job_note.done,
        error = coalesce(r.error, c360_job_note.error), sqlstate = coalesce(r.sqlstate, c360_job_note.state),
        ended_at = CASE WHEN c360_job_note.ended OR c360_job_note.error IS NOT NULL
                        THEN coalesce(r.ended_at, clock_timestamp()) END
    WHERE r.id = c360_job_note.run RETURNING * INTO noted;
    IF NOT c360_job_note.ended OR noted IS NULL THEN
        RETURN;
    END IF;
    -- a few of the oldest each time; a job that runs all day long has its last 10,000
    DELETE FROM c360.job_runs AS r
    WHERE r.id IN (SELECT o.id FROM c360.job_runs AS o WHERE o.job = noted.job ORDER BY o.id LIMIT 100)
      AND r.id < noted.id
      AND r.started_at < clock_timestamp() - (SELECT coalesce(s.value, s.default_value)::integer * interval '1 day'
                                              FROM c360.settings AS s WHERE s.name = 'job_run_retention_days');
    IF noted.id % 100 = 0 THEN
        DELETE FROM c360.job_runs AS r
        WHERE r.job = noted.job
          AND r.id <= (SELECT o.id FROM c360.job_runs AS o WHERE o.job = noted.job ORDER BY o.id DESC OFFSET 10000 LIMIT 1);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_note(bigint, bigint, text, text, boolean) IS
'Internal: writes into the row of a run what it did, and removes old runs at its end.

run: its id. done: rows done since. error, state: message and SQLSTATE of a failure, which ends it; NULL = none. ended: it ends.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_begin(job text, started_by text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    jobs_by text := @extschema@.c360_require_job(c360_job_begin.job);
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF NOT @extschema@.c360_job_lock(c360_job_begin.job, false) THEN
        RETURN 0;
    ELSIF jobs_by <> c360_job_begin.started_by THEN
        PERFORM @extschema@.c360_job_unlock();
        RETURN 0;
    END IF;
    RETURN @extschema@.c360_job_open(c360_job_begin.job, c360_job_begin.started_by);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_begin(text, text) IS
'Internal: begins a run of a job, if it is the turn of who asks and no run is under way.

job: its name. started_by: worker or pg_cron.
Answer: id of the run; 0 = not now.
Errors: 22004 NULL; 22023 unknown_job; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_batch(run bigint, job text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done bigint;
    failure text;
    state text;
    detail text;
    context text;
BEGIN
    BEGIN
        EXECUTE 'SELECT ' || @extschema@.c360_job_function(c360_job_batch.job) INTO done;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT, state = RETURNED_SQLSTATE,
            detail = PG_EXCEPTION_DETAIL, context = PG_EXCEPTION_CONTEXT;
        done := -1;
        -- what it waited for, and where it was
        RAISE LOG 'job "%" failed: %', c360_job_batch.job, failure
            USING DETAIL = pg_catalog.concat_ws(E'\n', state, nullif(detail, ''), context);
    END;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM @extschema@.c360_job_note(c360_job_batch.run, greatest(done, 0), failure, state, false);
    RETURN done;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_batch(bigint, text) IS
'Internal: one batch of a run; a failure is written into its row.

run: its id. job: its name.
Answer: rows done; 0 = nothing left, -1 = it failed.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_end(run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_job_note(c360_job_end.run, 0, NULL, NULL, true);
    PERFORM @extschema@.c360_job_unlock();
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_end(bigint) IS
'Internal: ends a run.

run: its id.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_fail(run bigint, error text, state text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_job_note(c360_job_fail.run, 0, c360_job_fail.error, c360_job_fail.state, true);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_fail(bigint, text, text) IS
'Internal: ends a run whose transaction was rolled back, and its lock with it.

run: its id. error, state: message and SQLSTATE of what ended it.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_sweep_job_runs() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    FOR known IN SELECT * FROM @extschema@.c360_list_jobs() LOOP
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF @extschema@.c360_job_lock(known.job, true) THEN
            PERFORM @extschema@.c360_job_open(known.job, NULL);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.c360_sweep_job_runs() IS
'Internal: ends the runs that died with their session.

Errors: 25006 read only; 55000 not installed.';

-- Commits after each batch, so that no client waits longer than one. A
-- procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_perform_job(job text)
LANGUAGE plpgsql
AS $$
DECLARE
    run bigint;
    done bigint;
BEGIN
    run := @extschema@.c360_job_begin(job, 'pg_cron');
    COMMIT;                     -- refused in a transaction block whatever there is to do
    IF run OPERATOR(pg_catalog.=) 0 THEN
        RETURN;
    END IF;
    LOOP
        done := @extschema@.c360_job_batch(run, job);
        COMMIT;
        EXIT WHEN done OPERATOR(pg_catalog.<=) 0;
    END LOOP;
    PERFORM @extschema@.c360_job_end(run);
    COMMIT;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_perform_job(text) IS
'Runs a job in batches with a commit after each; what pg_cron or another scheduler calls. Does nothing unless the setting jobs_by is pg_cron, nor while a run of the job is under way. A failure is no error here: it stands in c360.job_runs.

job: its name.
Its caller needs EXECUTE on c360_job_begin, c360_job_batch and c360_job_end, too.
Errors: 22004 NULL; 22023 unknown_job; 25006 read only; 2D000 inside a transaction block; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_run_job(job text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    run bigint;
    batch text;
    done bigint;
    total bigint := 0;
BEGIN
    PERFORM @extschema@.c360_require_job(c360_run_job.job);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    batch := @extschema@.c360_job_function(c360_run_job.job);
    IF NOT @extschema@.c360_job_lock(c360_run_job.job, true) THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'job is running',
            DETAIL = 'job_running: ' || c360_run_job.job,
            HINT = 'The view c360_job_status shows how far it is.';
    END IF;
    run := @extschema@.c360_job_open(c360_run_job.job, @extschema@.c360_current_actor());
    LOOP
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        EXECUTE 'SELECT ' || batch INTO done;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        EXIT WHEN done = 0;
        total := total + done;
    END LOOP;
    PERFORM @extschema@.c360_job_note(run, total, NULL, NULL, true);
END $$;
COMMENT ON FUNCTION @extschema@.c360_run_job(text) IS
'Runs a whole job now, in the transaction of the caller, whatever jobs_by and its schedule say. If it fails, nothing is left of it.

job: a job of the view c360_job_status.
Errors: PT409 job_running; 22004 missing_argument; 22023 unknown_job; 25006 read only; 55000 not installed; whatever the job fails with.';

-- Schedules.

CREATE FUNCTION @extschema@.c360_list_jobs()
RETURNS TABLE (job text, schedule text, enabled boolean, pg_cron_role text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY SELECT j.job, coalesce(j.schedule, j.default_schedule), j.enabled, j.pg_cron_role
                 FROM c360.jobs AS j ORDER BY j.job;
END $$;
COMMENT ON FUNCTION @extschema@.c360_list_jobs() IS
'Internal: the jobs, and as which role pg_cron runs them.

Answer: job, schedule in shop time, enabled, pg_cron_role (NULL = it does not).
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_change_job(job text, schedule text, enabled boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_require_job(c360_change_job.job);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF @extschema@.c360_next_run(nullif(c360_change_job.schedule, 'default'), now()) IS NULL
        AND c360_change_job.schedule <> 'default' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'schedule names days that never come',
            DETAIL = format('schedule_never: "%s"', c360_change_job.schedule);
    END IF;
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.jobs AS j SET
        schedule = CASE WHEN c360_change_job.schedule IS NULL THEN j.schedule
                        ELSE nullif(c360_change_job.schedule, 'default') END,
        enabled = coalesce(c360_change_job.enabled, j.enabled), since = clock_timestamp()
    WHERE j.job = c360_change_job.job
      AND (c360_change_job.schedule <> coalesce(j.schedule, 'default') OR c360_change_job.enabled <> j.enabled);
END $$;
COMMENT ON FUNCTION @extschema@.c360_change_job(text, text, boolean) IS
'Internal: changes schedule and enabled of a job in c360.jobs.

job: its name. schedule: in shop time; default = the default one. enabled: whether it runs. NULL leaves either as it is.
Errors: 22004 NULL; 22023 unknown_job, invalid_schedule, schedule_never; 25006 read only; 55000 not installed.';

-- pg_cron. A job of pg_cron runs as the role that registered it, which must
-- be able to log in; so what calls cron.* has the rights of its caller, and
-- c360.jobs keeps that role. cron.job shows each role its own jobs only.

CREATE FUNCTION @extschema@.c360_pg_cron_clock(wanted_role text) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lives_in text := current_setting('cron.database_name', true);
    zone text := coalesce(nullif(current_setting('cron.timezone', true), ''), 'GMT');
    winter numeric := extract(epoch FROM (date_trunc('year', now()) AT TIME ZONE zone)
                                       - (date_trunc('year', now()) AT TIME ZONE 'UTC')) / 3600;
    summer numeric := extract(epoch FROM ((date_trunc('year', now()) + interval '6 months') AT TIME ZONE zone)
                                       - ((date_trunc('year', now()) + interval '6 months') AT TIME ZONE 'UTC')) / 3600;
    hours integer := winter - 7;
BEGIN
    IF winter <> summer OR winter <> trunc(winter) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'schedules cannot be written for the clock of pg_cron',
            DETAIL = 'pg_cron_clock: cron.timezone is ' || zone,
            HINT = 'Set cron.timezone to a zone of whole hours without daylight saving, such as Asia/Ho_Chi_Minh.';
    ELSIF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RETURN hours;
    ELSIF lives_in IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron is not there',
            DETAIL = 'pg_cron_missing: the server has not loaded it',
            HINT = 'Add pg_cron to shared_preload_libraries, set cron.database_name and create the extension; '
                   'or let the background worker of c360 run the jobs.';
    ELSIF lives_in = current_database() THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron is not there',
            DETAIL = 'pg_cron_missing: the extension is not created', HINT = 'Run CREATE EXTENSION pg_cron;';
    END IF;
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron lives in another database',
        DETAIL = 'pg_cron_elsewhere: ' || lives_in,
        HINT = (SELECT format('Run there, as superuser: %s Then run here: SELECT @extschema@.c360_set(''jobs_by'', ''pg_cron'');',
                              string_agg(format('SELECT cron.schedule_in_database(%L, %L, %L, %L, %L);',
                                                'c360_' || j.job || '_' || current_database(),
                                                @extschema@.c360_shift_schedule(j.schedule, hours),
                                                format('CALL @extschema@.c360_perform_job(%L)', j.job),
                                                current_database(), c360_pg_cron_clock.wanted_role),
                                         ' ' ORDER BY j.job))
                FROM @extschema@.c360_list_jobs() AS j WHERE j.enabled);
END $$;
COMMENT ON FUNCTION @extschema@.c360_pg_cron_clock(text) IS
'Internal: makes sure that pg_cron is in this database.

wanted_role: as which jobs would run.
Answer: how many hours its clock is ahead of the shop''s; negative = behind.
Errors: 55000 pg_cron_missing, pg_cron_elsewhere with the lines to run there, pg_cron_clock.';

CREATE FUNCTION @extschema@.c360_set_pg_cron_role(wanted_role text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor text := @extschema@.c360_current_actor();
BEGIN
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.jobs SET pg_cron_role = wanted_role WHERE pg_cron_role IS DISTINCT FROM wanted_role;
    UPDATE c360.settings SET value = CASE WHEN wanted_role IS NULL THEN 'worker' ELSE 'pg_cron' END,
        changed_by = actor, changed_at = clock_timestamp()
    WHERE name = 'jobs_by' AND (wanted_role IS NOT NULL OR value = 'pg_cron');
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_pg_cron_role(text) IS
'Internal: notes as which role pg_cron runs the jobs; the setting jobs_by follows.

wanted_role: the role; NULL = it runs them no longer.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_pg_cron_put(job text, schedule text, wanted_role text) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := 'c360_' || c360_pg_cron_put.job;
    command text := format('CALL @extschema@.c360_perform_job(%L)', c360_pg_cron_put.job);
    own boolean := c360_pg_cron_put.wanted_role = current_user;
    entry bigint;
    removed integer := 0;
BEGIN
    IF NOT own AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'jobs of pg_cron belong to another role',
            DETAIL = 'pg_cron_role: ' || c360_pg_cron_put.wanted_role,
            HINT = 'Do it as that role, or as superuser.';
    ELSIF c360_pg_cron_put.schedule IS NOT NULL AND own THEN
        EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING name, c360_pg_cron_put.schedule, command;
        RETURN 1;
    ELSIF c360_pg_cron_put.schedule IS NOT NULL THEN
        EXECUTE 'SELECT cron.schedule_in_database($1, $2, $3, $4, $5)'
        USING name, c360_pg_cron_put.schedule, command, current_database(), c360_pg_cron_put.wanted_role;
        RETURN 1;
    ELSIF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RETURN 0;               -- pg_cron went, and its jobs with it
    END IF;
    FOR entry IN EXECUTE 'SELECT jobid FROM cron.job WHERE jobname = $1 AND database = $2 AND username = $3'
        USING name, current_database(), c360_pg_cron_put.wanted_role
    LOOP
        EXECUTE 'SELECT cron.unschedule($1)' USING entry;
        removed := removed + 1;
    END LOOP;
    RETURN removed;
END $$;
COMMENT ON FUNCTION @extschema@.c360_pg_cron_put(text, text, text) IS
'Internal: registers a job with pg_cron, or removes it; with the rights of its caller.

job: its name. schedule: on the clock of pg_cron; NULL = remove it. wanted_role: the role that it runs as.
Answer: how many were registered or removed.
Errors: 42501 pg_cron_role; 25006 read only.';

CREATE FUNCTION @extschema@.c360_schedule_jobs() RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job record;
    before record;
    hours integer;
    registered integer := 0;
    jobs constant jsonb := (SELECT jsonb_agg(j) FROM @extschema@.c360_list_jobs() AS j);
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM @extschema@.c360_set_pg_cron_role(current_user);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    hours := @extschema@.c360_pg_cron_clock(current_user);
    IF NOT (SELECT rolcanlogin FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_cron cannot run jobs as this role',
            DETAIL = format('role_cannot_log_in: %I', current_user),
            HINT = 'Call c360_schedule_jobs() as the role that shall run the jobs, which must have LOGIN.';
    END IF;
    FOR job IN SELECT * FROM jsonb_to_recordset(jobs) AS j (job text, schedule text, enabled boolean, pg_cron_role text) LOOP
        IF job.pg_cron_role <> current_user OR NOT job.enabled THEN
            PERFORM @extschema@.c360_pg_cron_put(job.job, NULL, coalesce(job.pg_cron_role, current_user));
        END IF;
        IF job.enabled THEN
            registered := registered + @extschema@.c360_pg_cron_put(
                job.job, @extschema@.c360_shift_schedule(job.schedule, hours), current_user);
        END IF;
    END LOOP;
    RETURN registered;
END $$;
COMMENT ON FUNCTION @extschema@.c360_schedule_jobs() IS
'Registers every enabled job with pg_cron, as the role that calls this, and sets jobs_by to pg_cron. Called again it brings them up to date.

The role needs LOGIN, USAGE on the schema cron, and EXECUTE on c360_perform_job and what that names.
Answer: how many jobs are registered.
Errors: 55000 pg_cron_missing, pg_cron_elsewhere with the lines to run there, pg_cron_clock, role_cannot_log_in, not installed; 22023 schedule_not_shiftable; 42501 pg_cron_role; 25006 read only.';

CREATE FUNCTION @extschema@.c360_unschedule_jobs() RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job record;
    removed integer := 0;
BEGIN
    FOR job IN SELECT * FROM @extschema@.c360_list_jobs() WHERE pg_cron_role IS NOT NULL LOOP
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        removed := removed + @extschema@.c360_pg_cron_put(job.job, NULL, job.pg_cron_role);
    END LOOP;
    PERFORM @extschema@.c360_set_pg_cron_role(NULL);
    RETURN removed;
END $$;
COMMENT ON FUNCTION @extschema@.c360_unschedule_jobs() IS
'Removes the jobs from pg_cron; jobs_by goes back to worker if it was pg_cron.

Answer: how many jobs were removed.
Errors: 42501 pg_cron_role; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_job(job text, schedule text DEFAULT NULL, enabled boolean DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed record;
    hours integer;
BEGIN
    PERFORM @extschema@.c360_change_job(c360_set_job.job, c360_set_job.schedule, c360_set_job.enabled);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT * INTO changed FROM @extschema@.c360_list_jobs() AS j WHERE j.job = c360_set_job.job;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF changed.pg_cron_role IS NOT NULL THEN
        hours := @extschema@.c360_pg_cron_clock(changed.pg_cron_role);
        PERFORM @extschema@.c360_pg_cron_put(changed.job, CASE WHEN changed.enabled THEN
            @extschema@.c360_shift_schedule(changed.schedule, hours) END, changed.pg_cron_role);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_job(text, text, boolean) IS
'Changes when a job runs; if c360_schedule_jobs() registered it, with pg_cron, too.

job: a job of the view c360_job_status. schedule: cron schedule of five fields in shop time; default = the default one. enabled: whether it runs at all. NULL leaves either as it is.
Errors: 22004 missing_argument; 22023 unknown_job, invalid_schedule, schedule_never, schedule_not_shiftable; 42501 pg_cron_role; 55000 pg_cron_missing, not installed; 25006 read only.';

-- A job that failed n times running waits 1, 2, 4 ... 60 minutes, whatever its
-- schedule; one that fell due while no worker ran is due at once.
CREATE FUNCTION @extschema@.c360_job_plan()
RETURNS TABLE (job text, schedule text, enabled boolean, last_start timestamptz, last_end timestamptz,
               rows bigint, error text, failures bigint, next_run timestamptz, jobs_by text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
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
           END AS next_run, s.jobs_by
    FROM c360.jobs j
    CROSS JOIN (SELECT coalesce(value, default_value) AS jobs_by FROM c360.settings WHERE name = 'jobs_by') s
    LEFT JOIN LATERAL (SELECT * FROM c360.job_runs r WHERE r.job = j.job ORDER BY r.id DESC LIMIT 1) last ON true
    LEFT JOIN LATERAL (SELECT r.id FROM c360.job_runs r
                       WHERE r.job = j.job AND r.ended_at IS NOT NULL AND r.error IS NULL
                       ORDER BY r.id DESC LIMIT 1) success ON true
    CROSS JOIN LATERAL (SELECT count(*) AS failures, max(r.ended_at) AS last_failure FROM c360.job_runs r
                        WHERE r.job = j.job AND r.id > coalesce(success.id, 0) AND r.error IS NOT NULL) f;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_plan() IS
'Internal: what the view c360_job_status shows and the job runner goes by.

Answer: a row for each job: its schedule in shop time, its last run, failures since the last success, next run, and the setting jobs_by.
Errors: 55000 not installed.';
