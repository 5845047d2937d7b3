-- Jobs: schedules, runs, failures, back-off; pg_cron is not here.  Phones 0926.

-- What there is.
SELECT job, schedule, enabled, failures, last_start IS NULL AS never_ran,
       next_run = c360_next_run('0 * * * *', (SELECT since FROM c360.jobs WHERE job = 'expire_credits')) AS at_the_hour
FROM c360_job_status WHERE job = 'expire_credits';
-- each job has its function, and a schedule that means something
SELECT job, c360_job_function(job), c360_next_run(default_schedule, now()) > now() AS comes, description <> '' AS described
FROM c360.jobs ORDER BY job;
SELECT name, value, description FROM c360_settings WHERE type = 'choice' AND name = 'jobs_by';

-- The settings.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_set('jobs_by', 'cron')$$);
SELECT test.error_of($$SELECT c360_set('jobs_by', '')$$);
SELECT test.error_of($$SELECT c360_set('job_run_retention_days', '0')$$);
\pset tuples_only off
\pset format aligned
SELECT c360_set('jobs_by', ' PG_Cron ');
SELECT value FROM c360_settings WHERE name = 'jobs_by';

-- A run of three batches, two of them not empty; who asks is not the worker.
CREATE FUNCTION test.overdue(wanted text, lots integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM c360_issue_credit(wanted, 1, 'MANUAL', 'overdue ' || n, '2099-01-01') FROM generate_series(1, lots) AS n;
    UPDATE c360.virtual_credits SET expires_at = '2020-01-01'
    WHERE customer_id = test.customer(wanted) AND status = 'ACTIVE';
END $$;
CREATE VIEW test.runs AS
    SELECT r.job, r.rows, r.error, r.sqlstate, r.started_by, r.ended_at >= r.started_at AS ended
    FROM c360.job_runs r ORDER BY r.id;
SELECT test.overdue('0926000001', 501);
SELECT count(*) AS lots FROM c360.virtual_credits WHERE status = 'ACTIVE' AND expires_at < now();
CALL c360_perform_job('expire_credits');
SELECT * FROM test.runs;
SELECT count(*) AS left, count(DISTINCT a.xact) AS transactions FROM c360.wallet_transactions t
JOIN c360.customer_activities a ON a.id = t.activity_id
WHERE t.customer_id = test.customer('0926000001') AND t.type = 'VIRTUAL_EXPIRE';
SELECT rows, error, failures, last_end >= last_start AS ended FROM c360_job_status WHERE job = 'expire_credits';
-- nothing is locked afterwards
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;

-- Not its turn: nothing happens.
SELECT c360_set('jobs_by', 'worker');
CALL c360_perform_job('expire_credits');
SELECT c360_set('jobs_by', 'none');
CALL c360_perform_job('expire_credits');
SELECT count(*) FROM test.runs;
SELECT next_run FROM c360_job_status WHERE job = 'expire_credits';
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;

-- By hand, whatever jobs_by says, in our transaction.
SELECT test.overdue('0926000002', 600);
BEGIN;
SELECT c360_run_job('expire_credits');
SELECT job, rows, error, started_by = session_user AS by_us, ended FROM test.runs OFFSET 1;
SELECT mode, granted FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
ROLLBACK;
SELECT count(*) FROM test.runs;
SELECT count(*) FROM c360.virtual_credits WHERE customer_id = test.customer('0926000002') AND status = 'ACTIVE';
SELECT c360_run_job('expire_credits');
SELECT job, rows, error, started_by = session_user AS by_us, ended FROM test.runs OFFSET 1;
SELECT count(*) FROM c360.virtual_credits WHERE customer_id = test.customer('0926000002') AND status = 'ACTIVE';

-- Refused.
\pset format unaligned
\pset tuples_only on
SELECT test.error_of($$SELECT c360_run_job('no_such_job')$$);
SELECT test.error_of($$SELECT c360_run_job(NULL)$$);
SELECT test.error_of($$CALL c360_perform_job('no_such_job')$$);
SELECT test.error_of($$CALL c360_perform_job(NULL)$$);
SELECT test.error_of($$SELECT c360_set_job('no_such_job', '0 * * * *')$$);
SELECT test.error_of($$SELECT c360_set_job(NULL, '0 * * * *')$$);
SELECT test.error_of($$SELECT c360_set_job('expire_credits', 'hourly')$$);
SELECT test.error_of($$SELECT c360_set_job('expire_credits', '')$$);
SELECT test.error_of($$SELECT c360_set_job('expire_credits', '0 0 31 2 *')$$);
SELECT test.error_of($$SELECT c360_schedule_jobs()$$);
\pset tuples_only off
\pset format aligned
SELECT c360_unschedule_jobs();
-- only functions of the extension are jobs
CREATE FUNCTION c360_job_foreign() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
SELECT test.error_of($$SELECT c360_job_function('foreign')$$);
DROP FUNCTION c360_job_foreign();

-- In a transaction block the procedure is refused at once, and leaves no lock
-- and no run, whatever its turn is and whoever catches the error.
SELECT c360_set('jobs_by', 'pg_cron');
BEGIN;
CALL c360_perform_job('expire_credits');
ROLLBACK;
BEGIN;
SELECT test.error_of($$CALL c360_perform_job('expire_credits')$$);
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
COMMIT;
SELECT count(*) FROM test.runs;
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
SELECT c360_set('jobs_by', 'none');
BEGIN;
CALL c360_perform_job('expire_credits');
ROLLBACK;
-- The lock goes with the savepoint that took it, and stays with one released.
BEGIN;
SAVEPOINT one;
SELECT c360_job_lock('expire_credits', false);
ROLLBACK TO one;
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
SELECT c360_job_lock('expire_credits', false);
SAVEPOINT two;
SELECT 1/0;
ROLLBACK TO two;
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
SAVEPOINT three;
RELEASE three;
COMMIT;
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
SELECT c360_job_lock('expire_credits', true) AS twice;
SELECT c360_job_unlock();
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
-- The key is that of hashtext(), for whoever looks at pg_locks.
BEGIN;
SELECT c360_job_lock('expire_credits', true);
SELECT classid::bigint::bit(32) = x'43333630' AS class, objid::bigint::bit(32) = hashtext('expire_credits')::bit(32) AS name, objsubid
FROM pg_locks WHERE locktype = 'userlock' AND pid = pg_backend_pid();
COMMIT;
-- A failed transaction gives it back as well.
BEGIN;
SELECT c360_job_lock('expire_credits', false);
COMMIT;
SELECT 1/0;
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;

-- Schedules: what is NULL stays; a change begins to count now.
SELECT c360_set('jobs_by', 'worker');
CREATE VIEW test.job AS SELECT schedule, enabled, next_run > now() AS next FROM c360_job_status WHERE job = 'expire_credits';
SELECT since AS before FROM c360.jobs WHERE job = 'expire_credits' \gset
SELECT c360_set_job('expire_credits');
SELECT c360_set_job('expire_credits', enabled => true);
SELECT c360_set_job('expire_credits', 'default');
SELECT since = :'before' AS nothing_changed FROM c360.jobs WHERE job = 'expire_credits';
SELECT c360_set_job('expire_credits', '*/5 * * * *');
SELECT * FROM test.job;
SELECT c360_set_job('expire_credits', enabled => false);
SELECT * FROM test.job;
SELECT c360_set_job('expire_credits', enabled => true);
SELECT * FROM test.job;
-- c360_install() writes anew what a job is and leaves what the shop decided
UPDATE c360.jobs SET description = 'changed', default_schedule = '1 1 1 1 1' WHERE job = 'expire_credits';
SELECT c360_install() <> '' AS installed;
SELECT schedule, default_schedule, description <> 'changed' AS described FROM c360.jobs WHERE job = 'expire_credits';
SELECT c360_set_job('expire_credits', 'default');
SELECT schedule IS NULL AS default, since > :'before' AS changed FROM c360.jobs WHERE job = 'expire_credits';
SELECT * FROM test.job;

-- Due: next after the last start, so that a run missed while the server was
-- down comes at once, and once.
DELETE FROM c360.job_runs;
UPDATE c360.jobs SET since = '2026-01-01 00:30+07' WHERE job = 'expire_credits';
CREATE FUNCTION test.next_run() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(to_char(next_run AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM-DD HH24:MI:SS'), 'none') || ', failures ' || failures
    FROM c360_job_status WHERE job = 'expire_credits'
$$;
SELECT test.next_run() AS never_ran;
INSERT INTO c360.job_runs (job, started_at, ended_at, started_by)
VALUES ('expire_credits', '2026-01-01 03:00:01+07', '2026-01-01 03:10+07', 'worker');
SELECT test.next_run() AS ran_at_3;
INSERT INTO c360.job_runs (job, started_at, started_by) VALUES ('expire_credits', '2026-01-01 04:00:01+07', 'worker');
SELECT test.next_run() AS runs_since_4;
UPDATE c360.jobs SET since = '2026-01-01 06:30+07' WHERE job = 'expire_credits';
SELECT test.next_run() AS changed_at_6_30;
-- After failures it waits, whatever the schedule: 1, 2, 4 ... 60 minutes.
CREATE FUNCTION test.fail(n integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        INSERT INTO c360.job_runs (job, started_at, ended_at, error, sqlstate, started_by)
        VALUES ('expire_credits', '2026-01-01 08:00+07', '2026-01-01 08:00:05+07', 'no', '23514', 'worker');
        RETURN NEXT test.next_run();
    END LOOP;
END $$;
SELECT * FROM test.fail(9);
SELECT error, failures FROM c360_job_status WHERE job = 'expire_credits';
-- the newest run may be under way
INSERT INTO c360.job_runs (job, started_at, started_by) VALUES ('expire_credits', '2026-01-01 09:00:05+07', 'worker');
SELECT test.next_run() AS runs;
UPDATE c360.job_runs SET ended_at = '2026-01-01 09:00:06+07' WHERE ended_at IS NULL AND started_at > '2026-01-01 09:00+07';
SELECT test.next_run() AS success;
SELECT c360_set('jobs_by', 'none');
SELECT test.next_run() AS by_nobody;
SELECT c360_set('jobs_by', 'pg_cron');
SELECT next_run > now() AS by_pg_cron FROM c360_job_status WHERE job = 'expire_credits';
-- another job's runs are its own
INSERT INTO c360.job_runs (job, started_at, ended_at, error, started_by) VALUES ('another', '2026-01-01', '2026-01-01', 'no', 'worker');
SELECT failures, error FROM c360_job_status WHERE job = 'expire_credits';

-- A run that died is ended by the next one; the lock says that it is dead.
DELETE FROM c360.job_runs;
INSERT INTO c360.job_runs (job, started_at, rows, started_by)
VALUES ('expire_credits', now() - interval '1 hour', 500, 'pg_cron'), ('another', now() - interval '1 hour', 1, 'worker');
CALL c360_perform_job('expire_credits');
SELECT * FROM test.runs;
-- the worker does that when it starts
DELETE FROM c360.job_runs;
INSERT INTO c360.job_runs (job, started_at, started_by) VALUES ('expire_credits', now() - interval '1 hour', 'worker');
SELECT c360_sweep_job_runs();
SELECT * FROM test.runs;
SELECT failures FROM c360_job_status WHERE job = 'expire_credits';

-- A failing job is no error of the procedure: it stands in the row.
DELETE FROM c360.job_runs;
CREATE FUNCTION test.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'no room for this';  -- ends expiry as a whole
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW
    WHEN (NEW.type = 'VIRTUAL_EXPIRE') EXECUTE FUNCTION test.refuse();
SELECT test.overdue('0926000003', 2);
CALL c360_perform_job('expire_credits');
SELECT * FROM test.runs;
SELECT failures, error FROM c360_job_status WHERE job = 'expire_credits';
SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND classid = 1127429680;
-- by hand it is one, and leaves nothing
\set SHOW_CONTEXT never
SELECT c360_run_job('expire_credits');
\set SHOW_CONTEXT errors
SELECT count(*) FROM test.runs;
DROP TRIGGER refuse ON c360.wallet_transactions;
CALL c360_perform_job('expire_credits');
SELECT rows, error, failures FROM c360_job_status WHERE job = 'expire_credits';

-- Runs are kept for job_run_retention_days, and the newest whatever its age.
DELETE FROM c360.job_runs;
SELECT c360_set('job_run_retention_days', '10');
INSERT INTO c360.job_runs (job, started_at, ended_at, started_by)
SELECT job, now() - n * interval '1 day', now(), 'worker' FROM unnest(ARRAY['expire_credits', 'another']) AS job,
       generate_series(15, 1, -1) AS n;
CALL c360_perform_job('expire_credits');
SELECT job, count(*), now() - min(started_at) < interval '10 days' AS young FROM c360.job_runs GROUP BY job ORDER BY job;
-- at most 10,000, looked at every hundredth run
INSERT INTO c360.job_runs (job, ended_at, started_by) SELECT 'expire_credits', now(), 'worker' FROM generate_series(1, 10200) AS n;
DO $$
BEGIN
    FOR i IN 1..100 LOOP
        PERFORM c360_run_job('expire_credits');
    END LOOP;
END $$;
SELECT count(*) BETWEEN 10000 AND 10099 AS bounded FROM c360.job_runs WHERE job = 'expire_credits';

-- A role that may do one thing: what pg_cron's needs.
CREATE ROLE regress_c360_jobs;
GRANT EXECUTE ON PROCEDURE c360_perform_job TO regress_c360_jobs;
SET ROLE regress_c360_jobs;
CALL c360_perform_job('expire_credits');
RESET ROLE;
GRANT EXECUTE ON FUNCTION c360_job_begin, c360_job_batch, c360_job_end TO regress_c360_jobs;
DELETE FROM c360.job_runs;
SELECT test.overdue('0926000004', 1);
SET ROLE regress_c360_jobs;
CALL c360_perform_job('expire_credits');
SELECT c360_run_job('expire_credits');
SELECT * FROM c360_job_status;
RESET ROLE;
SELECT * FROM test.runs;
DROP OWNED BY regress_c360_jobs;
DROP ROLE regress_c360_jobs;

-- As it was.
DELETE FROM c360.job_runs;
SELECT c360_set('jobs_by', NULL), c360_set('job_run_retention_days', NULL);
DROP VIEW test.job, test.runs;
DROP FUNCTION test.fail(integer), test.next_run(), test.overdue(text, integer), test.refuse();
SELECT * FROM c360_verify_wallets();
