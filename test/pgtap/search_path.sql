-- An owner of the tables without other rights sets search_path in triggers,
-- which outlives the SET clauses of the functions around them. Nothing that
-- goes on with other rights afterwards finds his operators and functions.

BEGIN;
\ir tools.psql
SELECT plan(8);

DROP SCHEMA IF EXISTS c360 CASCADE;
CREATE ROLE shop_plain NOLOGIN;
GRANT CREATE ON DATABASE :"DBNAME" TO shop_plain;
GRANT CREATE ON SCHEMA public TO shop_plain;
GRANT EXECUTE ON FUNCTION c360_install, c360_refuse_change, c360_settings_changed, c360_write_activity, c360_grant, c360_revoke,
    c360_apply_level TO shop_plain;
SET LOCAL ROLE shop_plain;
SELECT c360_install() \g /dev/null
SELECT c360_grant('shop_plain', 'admin') \g /dev/null

-- whoever finds one of these leaves a trace, and with a superuser's rights more than that
CREATE SCHEMA evil;
CREATE TABLE evil.trace (found text, by_whom name);
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.trap(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user) THEN
        INSERT INTO evil.trace VALUES (name, current_user);
    END IF;
END $$;
DO $$
DECLARE
    l text;
    r text;
    name text;
BEGIN
    FOREACH l IN ARRAY ARRAY['bigint', 'integer', 'text', 'name', 'numeric', 'boolean', 'oid'] LOOP
        FOREACH r IN ARRAY ARRAY['bigint', 'integer', 'text', 'name', 'numeric', 'boolean', 'oid'] LOOP
            FOREACH name IN ARRAY ARRAY['=', '<>', '<', '>', '+', '||'] LOOP
                CONTINUE WHEN name = '||' AND (l <> 'text' OR r <> 'text');
                EXECUTE format('CREATE FUNCTION evil.%I(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS %L', 'op' || name, l, r,
                    CASE name WHEN '+' THEN 'bigint' WHEN '||' THEN 'text' ELSE 'boolean' END,
                    format('BEGIN PERFORM evil.trap(%L); EXECUTE pg_catalog.format(''SELECT $1 OPERATOR(pg_catalog.%s) $2'') '
                           'INTO STRICT a USING a, b; RETURN NULL; EXCEPTION WHEN OTHERS THEN RETURN NULL; END', name, name));
                EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)', name, l, r, 'op' || name);
            END LOOP;
        END LOOP;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['btrim', 'lower', 'upper'] LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(text) RETURNS text LANGUAGE plpgsql AS %L', name,
                       format('BEGIN PERFORM evil.trap(%L); RETURN $1; END', name));
    END LOOP;
END $$;
CREATE FUNCTION evil.leave_path() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', false);
    RETURN NEW;
END $$;
CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION evil.leave_path();
CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON c360.job_runs FOR EACH ROW EXECUTE FUNCTION evil.leave_path();
CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON c360.jobs FOR EACH ROW EXECUTE FUNCTION evil.leave_path();
CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON c360.settings FOR EACH ROW EXECUTE FUNCTION evil.leave_path();
CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON c360.granted_levels FOR EACH ROW EXECUTE FUNCTION evil.leave_path();
RESET ROLE;

SELECT current_setting('search_path') AS path \gset
SELECT c360_deposit('0912345678', 1) \g /dev/null
SELECT is(current_setting('search_path'), :'path', 'a superuser who deposits keeps his own search_path');
SELECT c360_issue_credit('0912345678', 5, expires_at => clock_timestamp() + interval '0.1 second') \g /dev/null
SELECT pg_sleep(0.2) \g /dev/null

CREATE FUNCTION pg_temp.calls(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    traced text;
BEGIN
    EXECUTE call;
    PERFORM pg_catalog.set_config('search_path', 'public, pg_catalog', false);
    SELECT string_agg(DISTINCT trace.found || ' as ' || by_whom, ', ') INTO traced FROM evil.trace;
    RETURN coalesce(traced, 'nothing');
END $$;
SELECT is(pg_temp.calls(call), 'nothing', call) FROM unnest(ARRAY[
    $$SELECT c360_run_job('expire_credits')$$,
    $$SELECT c360_job_begin('expire_credits', 'worker')$$,
    $$SELECT c360_set_job('expire_credits', '1 * * * *', true)$$,
    $$SELECT c360_set('max_amount', '5')$$,
    $$SELECT c360_grant('pg_monitor', 'viewer')$$,
    $$SELECT c360_unschedule_jobs()$$]) AS call;
SELECT is((SELECT count(*) FROM c360.job_runs), 2::bigint, 'the jobs ran');
SELECT * FROM finish();
ROLLBACK;
