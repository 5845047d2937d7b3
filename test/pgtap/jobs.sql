-- Runs of jobs step by step, for tables whose owner has no other right; two
-- jobs that do not touch one another; who may make what a job.
BEGIN;
\ir tools.psql
SELECT no_plan();

DROP SCHEMA c360 CASCADE;
CREATE ROLE shop_owner;
CREATE ROLE shop_admin;
CREATE ROLE shop_nobody;
SELECT format('GRANT CREATE ON DATABASE %I TO shop_owner', current_database()) \gexec
GRANT CREATE ON SCHEMA public TO shop_owner, shop_nobody;
GRANT EXECUTE ON FUNCTION c360_install(), c360_refuse_change(), c360_settings_changed() TO shop_owner;
SET LOCAL ROLE shop_owner;
SELECT c360_install() \g /dev/null
-- a second job, which has no function
INSERT INTO c360.jobs (job, default_schedule, description) VALUES ('other', '0 3 * * *', 'of a newer version');
-- who changes the tables of jobs
CREATE TABLE c360.seen (by_whom text);
CREATE FUNCTION c360.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO c360.seen VALUES (current_user);
    RETURN NEW;
END $$;
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON c360.job_runs FOR EACH ROW EXECUTE FUNCTION c360.see();
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON c360.jobs FOR EACH ROW EXECUTE FUNCTION c360.see();
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON c360.settings FOR EACH ROW EXECUTE FUNCTION c360.see();
CREATE TRIGGER see BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW WHEN (NEW.type = 'VIRTUAL_EXPIRE') EXECUTE FUNCTION c360.see();
RESET ROLE;

CREATE FUNCTION pg_temp.runs(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', started_by, rows, CASE WHEN ended_at IS NULL THEN 'runs' ELSE 'ended' END, error, sqlstate),
                               ', ' ORDER BY id), 'none')
    FROM c360.job_runs WHERE job = wanted
$$;

-- A run, as the worker does it ----------------------------------------------

SELECT c360_deposit(phone, 1000) FROM unnest(ARRAY['0901000001', '0901000002']) AS phone \g /dev/null
SELECT c360_issue_credit('0901000001', 1) FROM generate_series(1, 600) \g /dev/null
SELECT c360_issue_credit('0901000002', 100) \g /dev/null
UPDATE c360.virtual_credits SET expires_at = '2020-01-01'
WHERE customer_id = (SELECT id FROM c360.customers WHERE phone = '0901000001');

SELECT c360_job_begin('expire_credits', 'worker') AS run \gset
SELECT cmp_ok(:run::bigint, '>', 0::bigint, 'it is the turn of the worker');
SELECT is(pg_temp.runs('expire_credits'), 'worker 0 runs', 'a run has its row at once');
SELECT is(c360_job_begin('expire_credits', 'worker'), 0::bigint, 'a second one does not begin');
SELECT is(pg_temp.failure($$SELECT c360_run_job('expire_credits')$$), 'PT409 job_running', 'nor by hand');
SELECT is(pg_temp.runs('expire_credits'), 'worker 0 runs', 'and leaves nothing');
SELECT is(c360_job_batch(:run, 'expire_credits'), 500::bigint, 'a batch');
SELECT is(pg_temp.runs('expire_credits'), 'worker 500 runs', 'stands in the row while the run goes on');
SELECT is((SELECT rows FROM c360_job_status WHERE job = 'expire_credits'), 500::bigint, 'and in the view');
SELECT is(c360_job_batch(:run, 'expire_credits'), 100::bigint, 'the rest');
SELECT is(c360_job_batch(:run, 'expire_credits'), 0::bigint, 'nothing is left');
SELECT c360_job_end(:run) \g /dev/null
SELECT is(pg_temp.runs('expire_credits'), 'worker 600 ended', 'the end');
SELECT is(pg_temp.wallet('0901000001'), '1000 + 0, available 1000', 'what was overdue is expired');
SELECT is(pg_temp.wallet('0901000002'), '1000 + 100, available 1100', 'and nothing else');
SELECT c360_job_fail(:run, 'too late', 'XX000') \g /dev/null
SELECT is((SELECT ended_at - started_at < interval '1 hour' FROM c360.job_runs WHERE id = :run), true, 'an end stays');

-- Two jobs -------------------------------------------------------------------

SELECT is((SELECT string_agg(job || ' ' || failures, ', ' ORDER BY job) FROM c360_job_status
           WHERE job IN ('carrier_deadlines', 'expire_credits', 'other')), 'carrier_deadlines 0, expire_credits 1, other 0',
          'a failure is that of its job');
UPDATE c360.jobs SET schedule = '5 5 * * *' WHERE job = 'other';
SELECT c360_set_job('expire_credits', '*/7 * * * *', false) \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', job, schedule, enabled), ', ' ORDER BY job) FROM c360_job_status
           WHERE job IN ('carrier_deadlines', 'expire_credits', 'other')),
          'carrier_deadlines 0 */6 * * * t, expire_credits */7 * * * * f, other 5 5 * * * t', 'and a schedule');
SELECT c360_set_job('expire_credits', 'default', true) \g /dev/null

-- A job without a function of the extension fails, whatever stands there.
SET LOCAL ROLE shop_nobody;
CREATE FUNCTION public.c360_job_other() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    ALTER ROLE shop_nobody SUPERUSER;
    RETURN 0;
END $$;
RESET ROLE;
SELECT is(pg_temp.failure($$SELECT c360_run_job('other')$$), '22023 unknown_job', 'another''s function is no job');
INSERT INTO c360.job_runs (job, started_by) VALUES ('other', 'worker') RETURNING id AS other \gset
SELECT is(c360_job_batch(:other, 'other'), -1::bigint, 'nor in a batch');
SELECT is(pg_temp.runs('other'), 'worker 0 ended no such job 22023', 'which is recorded');
SELECT is((SELECT rolsuper FROM pg_roles WHERE rolname = 'shop_nobody'), false, 'and it did not run');
SELECT is(pg_temp.runs('expire_credits'), 'worker 600 ended too late XX000', 'the other job''s runs are as they were');

-- Runs that died: under the lock of their job ---------------------------------

INSERT INTO c360.job_runs (job, rows, started_by) VALUES ('other', 3, 'worker'), ('expire_credits', 4, 'worker');
SELECT c360_sweep_job_runs() \g /dev/null
SELECT is(pg_temp.runs('other'), 'worker 0 ended no such job 22023, worker 3 ended interrupted', 'a dead run is ended');
SELECT is(pg_temp.runs('expire_credits'), 'worker 600 ended too late XX000, worker 4 runs',
          'not that of a job which is locked: by this transaction, whose run has not committed its end');

-- Who did it -------------------------------------------------------------------

SELECT set_eq('SELECT DISTINCT by_whom FROM c360.seen', ARRAY['shop_owner', current_user]::text[],
              'what stands on the tables of an owner runs as him, but for what we wrote by hand');
SELECT is((SELECT count(*) FROM c360.seen WHERE by_whom <> 'shop_owner'), 4::bigint, 'which are these rows');

-- Who may make what of a job: EXECUTE is all that counts.
GRANT EXECUTE ON FUNCTION c360_set_job, c360_change_job, c360_list_jobs TO shop_admin;
SET LOCAL ROLE shop_admin;
SELECT c360_set_job('expire_credits', '1 * * * *') \g /dev/null
SELECT is(pg_temp.failure('UPDATE c360.jobs SET enabled = false'), '42501', 'an admin does not write the table');
SELECT is(pg_temp.failure($$SELECT c360_run_job('expire_credits')$$), '42501', 'nor does he run a job');
RESET ROLE;
SELECT is((SELECT schedule FROM c360_job_status WHERE job = 'expire_credits'), '1 * * * *', 'he changes a schedule');
GRANT SELECT ON c360_job_status TO shop_nobody;
GRANT EXECUTE ON FUNCTION c360_job_plan TO shop_nobody;
SET LOCAL ROLE shop_nobody;
SELECT is((SELECT count(*) FROM c360_job_status WHERE job IN ('carrier_deadlines', 'expire_credits', 'other')), 3::bigint, 'the view and its function are enough to read it');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
