-- Scores, segments and tiers.
--
-- c360_refresh_rfm() scores in one transaction who changed since the last run
-- (57_changes.sql) and who is queued, or, if nothing is known or the rules are
-- others, all customers. The job and c360_refresh_rfm_all() do so in batches,
-- with a commit after each: c360_rfm_begin() queues who changed and notes the
-- run's snapshot, or sets out to walk through all customers; c360_rfm_batch()
-- goes on from what is noted, until nothing is left. A run that dies leaves its
-- queue and its place to the next one. What is scored and written is
-- src/refresh.c's.
--
-- Functions that only call others stay the owner of the extension, who alone
-- may call all of them; those that touch tables become the owner of these. The
-- shop's day is an argument of the internal ones: tests give another.

CREATE FUNCTION @extschema@.c360_rfm_config_version() RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_rfm_config_version';
COMMENT ON FUNCTION @extschema@.c360_rfm_config_version() IS
'Internal: a number for the rules of scoring as they are: thresholds, segments, window.

Answer: the same number for the same rules.
Errors: 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_score_customer(customer_id bigint, today date,
    OUT recency_days integer, OUT frequency integer, OUT monetary bigint, OUT r smallint, OUT f smallint, OUT m smallint,
    OUT segment text, OUT tier text, OUT since_on date)
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_score_customer';
COMMENT ON FUNCTION @extschema@.c360_score_customer(bigint, date) IS
'Internal: the score that a customer would get; nothing is stored.

customer_id: the customer. today: the shop''s day.
Answer: the scores and what they are made of, NULL without an order that counts; the tier; since when he is a customer.
Errors: 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_score_customers(ids bigint[], after bigint, upto bigint, today date,
    OUT examined bigint, OUT changed bigint, OUT rules bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_score_customers';
COMMENT ON FUNCTION @extschema@.c360_score_customers(bigint[], bigint, bigint, date) IS
'Internal: scores some customers and writes what differs: score, tier, history, events. Who is locked by somebody else is queued.

ids: whom; NULL = those with ids above after and up to upto. today: the shop''s day.
Answer: customers looked at, how many changed, and the rules that they were scored by, as c360_rfm_config_version() names them.
Errors: 22004 missing_argument; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_score_changed(since pg_snapshot, upto pg_snapshot, today date,
    OUT examined bigint, OUT changed bigint, OUT rules bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_score_changed';
COMMENT ON FUNCTION @extschema@.c360_score_changed(pg_snapshot, pg_snapshot, date) IS
'Internal: does as c360_score_customers() with those whose score may have changed, by their orders or by the calendar, and with those who are queued, or with all; the queue is empty then but for those who were locked.

since: of the last run; NULL = all customers. upto: of this one. today: the shop''s day.
Answer: as c360_score_customers().
Errors: 22004 missing_argument; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_report_progress(progress text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_report_progress';
COMMENT ON FUNCTION @extschema@.c360_report_progress(text) IS
'Internal: shows in pg_stat_activity how far a run is.

progress: in place of the query.
Errors: 22004 NULL; 25006 read only.';

-- What touches the tables of a run.

CREATE FUNCTION @extschema@.c360_rfm_fill_queue(since pg_snapshot, upto pg_snapshot, today date) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_rfm_fill_queue';
COMMENT ON FUNCTION @extschema@.c360_rfm_fill_queue(pg_snapshot, pg_snapshot, date) IS
'Internal: queues the customers whose score may have changed.

since: of the last run. upto: of this one. today: the shop''s day.
Errors: 22004 missing_argument; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_queue_end(emptied boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_rfm_queue_end.emptied THEN
        DELETE FROM c360.rfm_queue;
        WITH gone AS (DELETE FROM c360.rfm_counts)
        INSERT INTO c360.rfm_counts (segment, customers)
        SELECT s.segment, count(*) FROM c360.customer_rfm AS s GROUP BY s.segment;
    ELSE
        WITH gone AS (DELETE FROM c360.rfm_counts RETURNING *)
        INSERT INTO c360.rfm_counts (segment, customers)
        SELECT g.segment, sum(g.customers) FROM gone AS g GROUP BY g.segment HAVING sum(g.customers) <> 0;
    END IF;
    RETURN (SELECT coalesce(max(q.id), 0) FROM c360.rfm_queue AS q);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_queue_end(boolean) IS
'Internal: the last row of the queue; adds up the rows that count segments.

emptied: whether to empty the queue first, and to count anew: all customers will be looked at.
Answer: its id, 0 without any.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_take_queue(after bigint, upto bigint, max_rows integer,
    OUT ids bigint[], OUT last_id bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    WITH taken AS (
        DELETE FROM c360.rfm_queue AS q
        WHERE q.id = ANY (ARRAY(SELECT n.id FROM c360.rfm_queue AS n
                                WHERE n.id > c360_rfm_take_queue.after AND n.id <= c360_rfm_take_queue.upto
                                ORDER BY n.id LIMIT c360_rfm_take_queue.max_rows))
        RETURNING q.id, q.customer_id)
    SELECT array_agg(DISTINCT t.customer_id), max(t.id) INTO ids, last_id FROM taken AS t;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_take_queue(bigint, bigint, integer) IS
'Internal: takes the next customers out of the queue.

after, upto: ids of its rows. max_rows: how many.
Answer: the customers, each once, and the id of the last row taken; NULL if none is left.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_range_end(after bigint, max_rows integer) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN (SELECT max(n.id) FROM (SELECT c.id FROM c360.customers AS c WHERE c.id > c360_rfm_range_end.after
                                   ORDER BY c.id LIMIT c360_rfm_range_end.max_rows) AS n);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_range_end(bigint, integer) IS
'Internal: the end of a range of customers.

after: id before it. max_rows: customers.
Answer: the last id; NULL if there is none above after.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_lock_customer(customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    PERFORM FROM c360.customers AS c WHERE c.id = c360_rfm_lock_customer.customer_id FOR NO KEY UPDATE;
    PERFORM FROM c360.customer_rfm AS s WHERE s.customer_id = c360_rfm_lock_customer.customer_id FOR NO KEY UPDATE;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_lock_customer(bigint) IS
'Internal: locks a customer and his score, in that order.

customer_id: the customer.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_queue_customer(customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    INSERT INTO c360.rfm_queue (customer_id) VALUES (c360_rfm_queue_customer.customer_id);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_queue_customer(bigint) IS
'Internal: has the next refresh look at a customer; whoever changes a tier or its lock calls this or adds the row himself.

customer_id: the customer.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rfm_distribution() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    distribution jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT coalesce(jsonb_object_agg(n.segment, n.customers), '{}') INTO distribution
    FROM (SELECT k.segment, sum(k.customers) AS customers FROM c360.rfm_counts AS k
          GROUP BY k.segment HAVING sum(k.customers) > 0) AS n;
    RETURN distribution;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_distribution() IS
'Internal: customers of each segment, as of the last refresh.

Answer: {segment: customers}; segments without any are left out.
Errors: 55000 not installed.';

-- A run.

CREATE FUNCTION @extschema@.c360_rfm_looks_at_all("full" boolean, since pg_snapshot, state jsonb, rules text, today date) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    -- next_on holds for days that come after: not if the clock was set back
    SELECT coalesce(c360_rfm_looks_at_all."full", false) OR c360_rfm_looks_at_all.since IS NULL
           OR c360_rfm_looks_at_all.state ->> 'rules' IS DISTINCT FROM c360_rfm_looks_at_all.rules
           OR coalesce((c360_rfm_looks_at_all.state ->> 'day')::date > c360_rfm_looks_at_all.today, false)
$$;
COMMENT ON FUNCTION @extschema@.c360_rfm_looks_at_all(boolean, pg_snapshot, jsonb, text, date) IS
'Internal: whether a run has to look at all customers.

full: it was told to. since, state: of the last run. rules: as they are. today: the shop''s day.
Answer: true or false.';

CREATE FUNCTION @extschema@.c360_rfm_new_state(rules text, run bigint, today date) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('rules', c360_rfm_new_state.rules, 'day', c360_rfm_new_state.today, 'run', c360_rfm_new_state.run,
                              'examined', 0, 'changed', 0, 'size', 500, 'queue_after', 0, 'queue_upto', 0)
$$;
COMMENT ON FUNCTION @extschema@.c360_rfm_new_state(text, bigint, date) IS
'Internal: what a run notes of itself when it begins.

rules: that it scores by. run: its id in c360.job_runs, NULL = none. today: the shop''s day.
Answer: the state of the consumer.';

CREATE FUNCTION @extschema@.c360_rfm_begin("full" boolean, run bigint, today date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- what touches tables may leave a search_path of their owner's
    pinned constant text := 'pg_catalog, pg_temp';
    changes record;
    rules text;
    state jsonb;
    everybody boolean;
BEGIN
    changes := @extschema@.c360_changes_begin('rfm');
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    rules := @extschema@.c360_rfm_config_version();
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    everybody := @extschema@.c360_rfm_looks_at_all(c360_rfm_begin."full", changes.since, changes.state, rules, c360_rfm_begin.today);
    state := @extschema@.c360_rfm_new_state(rules, c360_rfm_begin.run, c360_rfm_begin.today);
    IF everybody THEN
        state := state || '{"all_after": 0}';
    ELSE
        PERFORM @extschema@.c360_rfm_fill_queue(changes.since, changes.upto, c360_rfm_begin.today);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        IF changes.state ? 'all_after' THEN         -- a walk that was cut short
            state := state || jsonb_build_object('all_after', changes.state -> 'all_after');
        END IF;
    END IF;
    state := state || jsonb_build_object('queue_upto', @extschema@.c360_rfm_queue_end(everybody));
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    PERFORM @extschema@.c360_changes_end('rfm', changes.upto, state);
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_begin(boolean, bigint, date) IS
'Internal: begins a run of the refresh; goes on with one that was cut short.

full: look at all customers, whatever changed. run: its id in c360.job_runs, NULL = none. today: the shop''s day.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

-- The size of batches follows the time that they take, so that whoever waits
-- for a row of one waits some 25 ms.
CREATE FUNCTION @extschema@.c360_rfm_batch(today date, OUT examined bigint, OUT changed bigint, OUT finished boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pinned constant text := 'pg_catalog, pg_temp';
    begun constant timestamptz := clock_timestamp();
    took double precision;
    changes record;
    rules text;
    state jsonb;
    size integer;
    range_end bigint;
    taken record;
    scored record;
BEGIN
    changes := @extschema@.c360_changes_begin('rfm');
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    rules := @extschema@.c360_rfm_config_version();
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    state := changes.state;
    size := coalesce((state ->> 'size')::integer, 500);
    examined := 0;
    changed := 0;
    finished := changes.since IS NULL OR state ->> 'rules' IS NULL;
    IF finished THEN            -- another history has begun: the next run will see to it
        RETURN;
    ELSIF state ->> 'rules' <> rules OR (state ->> 'day')::date > c360_rfm_batch.today THEN
        state := state || jsonb_build_object('rules', rules, 'all_after', 0);
    END IF;
    state := state || jsonb_build_object('day', c360_rfm_batch.today);
    IF state ? 'all_after' THEN
        range_end := @extschema@.c360_rfm_range_end((state ->> 'all_after')::bigint, size);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        IF range_end IS NOT NULL THEN
            scored := @extschema@.c360_score_customers(NULL, (state ->> 'all_after')::bigint, range_end,
                                                       c360_rfm_batch.today);
            state := state || jsonb_build_object('all_after', range_end);
        ELSE                    -- those that were locked once more
            state := (state - 'all_after')
                     || jsonb_build_object('queue_upto', @extschema@.c360_rfm_queue_end(false));
        END IF;
        PERFORM pg_catalog.set_config('search_path', pinned, true);
    END IF;
    IF NOT state ? 'all_after' THEN
        taken := @extschema@.c360_rfm_take_queue((state ->> 'queue_after')::bigint, (state ->> 'queue_upto')::bigint, size);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        finished := taken.last_id IS NULL;
        IF NOT finished THEN
            scored := @extschema@.c360_score_customers(taken.ids, NULL, NULL, c360_rfm_batch.today);
            PERFORM pg_catalog.set_config('search_path', pinned, true);
            state := state || jsonb_build_object('queue_after', taken.last_id);
        END IF;
    END IF;
    IF NOT finished THEN
        examined := scored.examined;
        changed := scored.changed;
        IF scored.rules::text <> rules THEN     -- other rules have come meanwhile
            state := state || jsonb_build_object('rules', scored.rules::text, 'all_after', 0);
        END IF;
    END IF;
    took := extract(epoch FROM clock_timestamp() - begun) * 1000;
    state := state || jsonb_build_object(
        'examined', (state ->> 'examined')::bigint + examined, 'changed', (state ->> 'changed')::bigint + changed,
        'size', CASE WHEN took < 12 THEN least(size * 2, 20000) WHEN took > 25 THEN greatest(size / 2, 50) ELSE size END);
    PERFORM @extschema@.c360_changes_end('rfm', changes.since, state);
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    PERFORM @extschema@.c360_report_progress(format('c360_refresh_rfm: %s customers examined, %s changed',
                                                    state ->> 'examined', state ->> 'changed'));
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_batch(date) IS
'Internal: one batch of a run that c360_rfm_begin() began.

today: the shop''s day.
Answer: customers looked at and changed; finished = nothing was left to look at.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_refresh_rfm_on("full" boolean, today date)
RETURNS TABLE (examined bigint, changed bigint, distribution jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pinned constant text := 'pg_catalog, pg_temp';
    changes record;
    everybody boolean;
    found_rules text;
    scored record;
BEGIN
    -- or the job would wait for our transaction, and all other jobs with it
    IF NOT @extschema@.c360_job_lock('refresh_rfm', true) THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'job is running',
            DETAIL = 'job_running: refresh_rfm',
            HINT = 'The view c360_job_status shows how far it is.';
    END IF;
    changes := @extschema@.c360_changes_begin('rfm');
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    found_rules := @extschema@.c360_rfm_config_version();
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    everybody := @extschema@.c360_rfm_looks_at_all(c360_refresh_rfm_on."full", changes.since, changes.state, found_rules,
                                                   c360_refresh_rfm_on.today) OR changes.state ? 'all_after';
    examined := 0;
    changed := 0;
    LOOP
        scored := @extschema@.c360_score_changed(CASE WHEN NOT everybody THEN changes.since END, changes.upto,
                                                 c360_refresh_rfm_on.today);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
        examined := examined + scored.examined;
        changed := changed + scored.changed;
        -- other rules have come meanwhile
        EXIT WHEN everybody OR scored.rules::text = found_rules;
        everybody := true;
    END LOOP;
    PERFORM @extschema@.c360_changes_end('rfm', changes.upto,
        @extschema@.c360_rfm_new_state(scored.rules::text, NULL, c360_refresh_rfm_on.today)
        || jsonb_build_object('examined', examined, 'changed', changed));
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    distribution := @extschema@.c360_rfm_distribution();
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION @extschema@.c360_refresh_rfm_on(boolean, date) IS
'Internal: c360_refresh_rfm() on a day.

full: look at all customers. today: the shop''s day.
Answer: as c360_refresh_rfm().
Errors: PT409 job_running; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_refresh_rfm("full" boolean DEFAULT false)
RETURNS TABLE (examined bigint, changed bigint, distribution jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.c360_refresh_rfm_on(c360_refresh_rfm."full",
                                                               @extschema@.c360_shop_day(clock_timestamp()));
END $$;
COMMENT ON FUNCTION @extschema@.c360_refresh_rfm(boolean) IS
'Scores the customers whose orders changed since the last refresh, or whose score changes with today, and sets their tiers; in one transaction. The caller''s own uncommitted changes count.

full: score all, whatever changed; so does the first run, one after a restore or a promotion, and one after a change of thresholds, segments or window, or with an earlier day than the one before. The result is the same.
Answer: examined (customers looked at), changed (of whom something else than before is stored now), distribution ({segment: customers}). Customers locked by another transaction meanwhile are left to the next refresh.
Errors: PT409 job_running (also another c360_refresh_rfm(), until its transaction ends); 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_start("full" boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT @extschema@.c360_job_lock('refresh_rfm', false) THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'job is running',
            DETAIL = 'job_running: refresh_rfm',
            HINT = 'The view c360_job_status shows how far it is.';
    END IF;
    PERFORM @extschema@.c360_rfm_begin(coalesce(c360_rfm_start."full", false), NULL,
                                       @extschema@.c360_shop_day(clock_timestamp()));
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_start(boolean) IS
'Internal: begins a run for c360_refresh_rfm_all(), under the lock of the job.

full: look at all customers.
Errors: PT409 job_running; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_continue() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch record;
BEGIN
    batch := @extschema@.c360_rfm_batch(@extschema@.c360_shop_day(clock_timestamp()));
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF batch.finished THEN
        PERFORM @extschema@.c360_job_unlock();
    END IF;
    RETURN NOT batch.finished;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_continue() IS
'Internal: a batch of c360_refresh_rfm_all(); the last one gives the lock of the job back.

Answer: whether there may be more.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

-- A procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_refresh_rfm_all("full" boolean DEFAULT false)
LANGUAGE plpgsql
AS $$
DECLARE
    more boolean;
BEGIN
    PERFORM @extschema@.c360_rfm_start("full");
    COMMIT;
    LOOP
        more := @extschema@.c360_rfm_continue();
        COMMIT;
        EXIT WHEN NOT more;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_refresh_rfm_all(boolean) IS
'As c360_refresh_rfm(), in batches with a commit after each, so that no client waits longer than one, some 25 ms. pg_stat_activity shows how far it is. One that was cut short is gone on with by the next run of any kind.

full: look at all customers, whatever changed.
Its caller needs EXECUTE on c360_rfm_start and c360_rfm_continue, too.
Errors: PT409 job_running; 2D000 inside a transaction block; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_open_run(OUT run bigint, OUT begun bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_become_owner();
    run := (SELECT max(j.id) FROM c360.job_runs AS j WHERE j.job = 'refresh_rfm' AND j.ended_at IS NULL);
    begun := (SELECT (c.state ->> 'run')::bigint FROM c360.consumers AS c WHERE c.name = 'rfm');
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_open_run() IS
'Internal: the run of the job that is under way.

Answer: its id, and that of the run that c360_rfm_begin() began last.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_job_refresh_rfm() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_run record;
    today constant date := @extschema@.c360_shop_day(clock_timestamp());
    batch record;
BEGIN
    open_run := @extschema@.c360_rfm_open_run();
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF open_run.run IS DISTINCT FROM open_run.begun OR open_run.run IS NULL THEN
        PERFORM @extschema@.c360_rfm_begin(false, open_run.run, today);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END IF;
    batch := @extschema@.c360_rfm_batch(today);
    RETURN CASE WHEN batch.finished THEN 0 ELSE greatest(batch.examined, 1) END;
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_refresh_rfm() IS
'Internal: one batch of the job refresh_rfm.

Answer: customers looked at, 0 when none is left.
Errors: 25006 read only; 55000 not installed, rules_incomplete.';

-- One customer.

CREATE FUNCTION @extschema@.c360_rfm_answer(customer_id bigint, today date, sees_money boolean)
RETURNS TABLE (recency_days integer, frequency integer, monetary bigint, r smallint, f smallint, m smallint,
               overall numeric, segment text, tier text)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.recency_days, s.frequency, CASE WHEN c360_rfm_answer.sees_money THEN s.monetary END, s.r, s.f, s.m,
           round((s.r + s.f + s.m) / 3.0, 2), s.segment, s.tier
    FROM @extschema@.c360_score_customer(c360_rfm_answer.customer_id, c360_rfm_answer.today) AS s
$$;
COMMENT ON FUNCTION @extschema@.c360_rfm_answer(bigint, date, boolean) IS
'Internal: what c360_calculate_rfm() answers.

customer_id: the customer. today: the shop''s day. sees_money: whether to tell what he spent.
Answer: one row.
Errors: 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_calculate_rfm(phone text)
RETURNS TABLE (recency_days integer, frequency integer, monetary bigint, r smallint, f smallint, m smallint,
               overall numeric, segment text, tier text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.c360_rfm_answer(
        @extschema@.c360_require_customer(c360_calculate_rfm.phone),
        @extschema@.c360_shop_day(clock_timestamp()), coalesce(@extschema@.c360_sees_money(), false));
END $$;
COMMENT ON FUNCTION @extschema@.c360_calculate_rfm(text) IS
'The score of a customer as of now; nothing is stored.

phone: any spelling.
Answer: recency_days (shop days since his last order), frequency (orders of the window), monetary (đồng, NULL for callers below agent), the scores r, f and m of them (1 to 5), overall (their mean, 2 decimals), segment, and the tier that he would have; without an order that counts all but frequency, monetary and tier are NULL.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_update_rfm(phone text)
RETURNS TABLE (recency_days integer, frequency integer, monetary bigint, r smallint, f smallint, m smallint,
               overall numeric, segment text, tier text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pinned constant text := 'pg_catalog, pg_temp';
    wanted constant bigint := @extschema@.c360_require_customer(c360_update_rfm.phone);
    today constant date := @extschema@.c360_shop_day(clock_timestamp());
    scored record;
BEGIN
    PERFORM @extschema@.c360_rfm_lock_customer(wanted);
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    scored := @extschema@.c360_score_customers(ARRAY[wanted], NULL, NULL, today);
    PERFORM pg_catalog.set_config('search_path', pinned, true);
    IF scored.changed > 0 THEN
        -- a refresh may have looked at him meanwhile, or by other rules: once more, then
        PERFORM @extschema@.c360_rfm_queue_customer(wanted);
        PERFORM pg_catalog.set_config('search_path', pinned, true);
    END IF;
    RETURN QUERY SELECT * FROM @extschema@.c360_rfm_answer(wanted, today, coalesce(@extschema@.c360_sees_money(), false));
END $$;
COMMENT ON FUNCTION @extschema@.c360_update_rfm(text) IS
'Scores one customer as of now, stores it and sets his tier.

phone: any spelling.
Answer: as c360_calculate_rfm().
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_words(customer_id bigint, r smallint, f smallint, m smallint, segment text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    words jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT jsonb_object_agg(g.metric, g.description) INTO words
    FROM c360.rfm_config AS g
    WHERE (g.metric, g.score) IN (('recency', c360_rfm_words.r), ('frequency', c360_rfm_words.f), ('monetary', c360_rfm_words.m));
    RETURN jsonb_build_object('words', coalesce(words, '{}'),
        'stored', (SELECT to_jsonb(s) FROM c360.customer_rfm AS s WHERE s.customer_id = c360_rfm_words.customer_id),
        'segment_change', (SELECT jsonb_build_object('from', h.from_segment, 'at', h.at) FROM c360.rfm_history AS h
                           WHERE h.customer_id = c360_rfm_words.customer_id AND h.from_segment IS DISTINCT FROM h.to_segment
                           ORDER BY h.id DESC LIMIT 1),
        'tier_change', (SELECT jsonb_build_object('from', h.from_tier, 'at', h.at) FROM c360.rfm_history AS h
                        WHERE h.customer_id = c360_rfm_words.customer_id AND h.from_tier <> h.to_tier
                        ORDER BY h.id DESC LIMIT 1),
        'recommendations', (SELECT coalesce(jsonb_agg(jsonb_build_object('en', n.recommendation, 'vi', n.recommendation_vi)
                                                      ORDER BY n.position), '[]')
                            FROM c360.rfm_recommendations AS n WHERE n.segment = c360_rfm_words.segment));
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_words(bigint, smallint, smallint, smallint, text) IS
'Internal: what c360_analyze_rfm() adds to a score.

customer_id: the customer. r, f, m, segment: his score.
Answer: object of words, stored, segment_change, tier_change, recommendations.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_analyze_rfm(phone text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_analyze_rfm.phone);
    score record;
    more jsonb;
BEGIN
    SELECT * INTO score FROM @extschema@.c360_rfm_answer(wanted, @extschema@.c360_shop_day(clock_timestamp()),
                                                         coalesce(@extschema@.c360_sees_money(), false));
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    more := @extschema@.c360_rfm_words(wanted, score.r, score.f, score.m, score.segment);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN jsonb_build_object(
        'customer_id', wanted, 'phone', @extschema@.c360_normalize_phone(c360_analyze_rfm.phone),
        'recency', jsonb_build_object('score', score.r, 'days', score.recency_days, 'words', more #> '{words,recency}'),
        'frequency', jsonb_build_object('score', score.f, 'orders', score.frequency, 'words', more #> '{words,frequency}'),
        'monetary', jsonb_build_object('score', score.m, 'spent', score.monetary, 'words', more #> '{words,monetary}'),
        'overall', score.overall, 'segment', score.segment, 'tier', score.tier,
        'stored_segment', more #> '{stored,segment}',
        'previous_segment', more #> '{segment_change,from}', 'segment_since', more #> '{segment_change,at}',
        'previous_tier', more #> '{tier_change,from}', 'tier_since', more #> '{tier_change,at}',
        'recommendations', more -> 'recommendations');
END $$;
COMMENT ON FUNCTION @extschema@.c360_analyze_rfm(text) IS
'The score of a customer as of now, in words, with its history and what to do.

phone: any spelling.
Answer: object of customer_id, phone, recency {score, days, words}, frequency {score, orders, words}, monetary {score, spent, words}, overall, segment, tier, stored_segment (of the last refresh), previous_segment with segment_since and previous_tier with tier_since (of their last change, NULL if there was none; tiers are changed by scoring, staff and fraud rules), recommendations [{en, vi}]. spent in đồng, NULL for callers below agent; without an order that counts the scores are NULL.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed, rules_incomplete.';

-- The rules.

CREATE FUNCTION @extschema@.c360_update_rfm_threshold(metric text, score integer, min_value bigint, description text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor text := @extschema@.c360_current_actor();
    outermost integer;
    known record;
    lower_side record;
    upper_side record;
    words text;
BEGIN
    PERFORM @extschema@.c360_require_one_of('metric', c360_update_rfm_threshold.metric, '{recency,frequency,monetary}');
    PERFORM @extschema@.c360_require_range('score', c360_update_rfm_threshold.score, 1, 5);
    PERFORM @extschema@.c360_require_range('min_value', c360_update_rfm_threshold.min_value, 0, 9223372036854775807);
    words := @extschema@.c360_require_text('description', c360_update_rfm_threshold.description, 500, false);
    outermost := CASE c360_update_rfm_threshold.metric WHEN 'recency' THEN 5 ELSE 1 END;
    IF c360_update_rfm_threshold.metric = 'recency' AND c360_update_rfm_threshold.min_value > 100000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: min_value is %s, allowed are 0 to 100000', c360_update_rfm_threshold.min_value);
    ELSIF c360_update_rfm_threshold.score = outermost AND c360_update_rfm_threshold.min_value <> 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'outermost bound stays 0',
            DETAIL = format('outermost_bound: score %s of %s begins at 0', outermost, c360_update_rfm_threshold.metric),
            HINT = 'Change the bound of the score next to it.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    PERFORM FROM c360.rfm_config AS g WHERE g.metric = c360_update_rfm_threshold.metric ORDER BY g.score FOR UPDATE;
    SELECT g.min_value, g.description INTO known FROM c360.rfm_config AS g
    WHERE g.metric = c360_update_rfm_threshold.metric AND g.score = c360_update_rfm_threshold.score;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'rules of scoring are not complete',
            DETAIL = format('rules_incomplete: c360.rfm_config has no row for score %s of %s',
                            c360_update_rfm_threshold.score, c360_update_rfm_threshold.metric),
            HINT = 'SELECT c360_install() puts it back.';
    END IF;
    SELECT g.score, g.min_value INTO lower_side FROM c360.rfm_config AS g
    WHERE g.metric = c360_update_rfm_threshold.metric
      AND g.score = c360_update_rfm_threshold.score + CASE outermost WHEN 5 THEN 1 ELSE -1 END;
    SELECT g.score, g.min_value INTO upper_side FROM c360.rfm_config AS g
    WHERE g.metric = c360_update_rfm_threshold.metric
      AND g.score = c360_update_rfm_threshold.score - CASE outermost WHEN 5 THEN 1 ELSE -1 END;
    IF lower_side.min_value >= c360_update_rfm_threshold.min_value
       OR upper_side.min_value <= c360_update_rfm_threshold.min_value THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'bounds are out of order',
            DETAIL = format('bounds_out_of_order: %s %s must lie %s', c360_update_rfm_threshold.metric,
                c360_update_rfm_threshold.min_value, concat_ws(' and ',
                    'above ' || lower_side.min_value || ' of score ' || lower_side.score,
                    'below ' || upper_side.min_value || ' of score ' || upper_side.score)),
            HINT = 'Change the neighbouring bound first.';
    END IF;
    UPDATE c360.rfm_config AS g SET min_value = c360_update_rfm_threshold.min_value,
        description = coalesce(words, g.description), changed_by = actor, changed_at = clock_timestamp()
    WHERE g.metric = c360_update_rfm_threshold.metric AND g.score = c360_update_rfm_threshold.score
      AND (g.min_value, g.description) IS DISTINCT FROM
          (c360_update_rfm_threshold.min_value, coalesce(words, g.description));
    IF known.min_value <> c360_update_rfm_threshold.min_value THEN
        RAISE NOTICE 'the next refresh scores all customers';
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_update_rfm_threshold(text, integer, bigint, text) IS
'Changes the lowest value of a score. The next refresh then scores all customers, as a NOTICE says; not after a change of words alone.

metric: recency, frequency or monetary. score: 1 to 5. min_value: for recency the smallest number of days since the last order (100,000 at most), for frequency orders of the window, for monetary đồng; between those of the scores beside it, and 0 for score 5 of recency and score 1 of the others. description: the words of c360_analyze_rfm(), 500 characters; NULL = as they are.
Errors: 22004 missing_argument; 22023 not_allowed, out_of_range, outermost_bound, bounds_out_of_order; 22001 too_long; 25006 read only; 55000 not installed, rules_incomplete.';

CREATE FUNCTION @extschema@.c360_rfm_movement(from_date date, to_date date)
RETURNS TABLE (from_segment text, to_segment text, customers bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF c360_rfm_movement.from_date IS NULL OR c360_rfm_movement.to_date IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || CASE WHEN c360_rfm_movement.from_date IS NULL THEN 'from_date' ELSE 'to_date' END;
    END IF;
    PERFORM @extschema@.c360_require_days(c360_rfm_movement.from_date, c360_rfm_movement.to_date, 3660);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT k.from_segment, k.to_segment, count(*)
    FROM (SELECT (array_agg(h.from_segment ORDER BY h.id))[1] AS from_segment,
                 (array_agg(h.to_segment ORDER BY h.id DESC))[1] AS to_segment
          FROM c360.rfm_history AS h
          WHERE h.day >= c360_rfm_movement.from_date AND h.day <= c360_rfm_movement.to_date
            AND h.from_segment IS DISTINCT FROM h.to_segment
          GROUP BY h.customer_id) AS k
    WHERE k.from_segment IS DISTINCT FROM k.to_segment
    GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2 NULLS FIRST;
END $$;
COMMENT ON FUNCTION @extschema@.c360_rfm_movement(date, date) IS
'How customers moved between segments: from the one before the span to the one at its end, as refreshes found it.

from_date, to_date: shop days, both included; 3,660 at most.
Answer: from_segment (NULL = without a score before), to_segment (NULL = without one since), customers; who came back to where he was is left out.
Errors: 22004 missing_argument; 22023 out_of_range and others of a span; 55000 not installed.';
