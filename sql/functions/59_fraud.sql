-- Fraud: the scan (src/fraud.c), what staff decide, rules and snoozes.

CREATE FUNCTION @extschema@.c360_scan_fraud(since timestamptz DEFAULT NULL)
RETURNS TABLE (rule text, examined bigint, flagged bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 3
AS 'MODULE_PATHNAME', 'c360_scan_fraud';
COMMENT ON FUNCTION @extschema@.c360_scan_fraud(timestamptz) IS
'Looks for fraud in orders and ledger, in one transaction; what it finds becomes flags, and flags act. One scan at a time.

since: NULL = what is new since the last scan, the caller''s own changes included; else findings that ended since then, whether scanned before or not; -infinity = all.
The same is never found twice, and while a flag is open further findings of its rule are added to it.
Answer: for each rule the customers looked at, and new flags.
Errors: PT409 job_running (also another c360_scan_fraud(), until its transaction ends); 22023 invalid_date; 25006 read only; 55000 not installed, invalid_parameter.';

CREATE FUNCTION @extschema@.c360_fraud_batch(run text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_fraud_batch';
COMMENT ON FUNCTION @extschema@.c360_fraud_batch(text) IS
'Internal: one batch of a fraud scan, carrying on the one under way.

run: who begins one if none is under way; NULL = the run of the job.
Answer: rows looked at, at least 1; 0 when the scan that run began is at its end.
Errors: PT409 job_running; 25006 read only; 55000 not installed, invalid_parameter.';

CREATE FUNCTION @extschema@.c360_job_scan_fraud() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@.c360_fraud_batch(NULL);
END $$;
COMMENT ON FUNCTION @extschema@.c360_job_scan_fraud() IS
'Internal: one batch of the job scan_fraud.

Answer: rows looked at, 0 when the scan is at its end.
Errors: 25006 read only; 55000 not installed, invalid_parameter.';

-- Commits between batches, so that nobody whose tier changes waits longer than
-- one. A procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_scan_fraud_all()
LANGUAGE plpgsql
AS $$
DECLARE
    run text := pg_catalog.concat('call ', pg_catalog.pg_backend_pid(), ' ', pg_catalog.clock_timestamp());
    done bigint;
BEGIN
    LOOP
        done := @extschema@.c360_fraud_batch(run);
        COMMIT;                 -- at the end, too: refused in a transaction block whatever there is to do
        EXIT WHEN done OPERATOR(pg_catalog.=) 0;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_scan_fraud_all() IS
'Looks for fraud in what is new since the last scan, in batches with a commit after each; one that was interrupted is carried on first.

Its caller needs EXECUTE on c360_fraud_batch, too.
Errors: PT409 job_running; 25006 read only; 2D000 inside a transaction block; 55000 not installed, invalid_parameter.';

CREATE FUNCTION @extschema@.c360_review_fraud_flag(flag_id bigint, decision text, note text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_review_fraud_flag';
COMMENT ON FUNCTION @extschema@.c360_review_fraud_flag(bigint, text, text) IS
'Decides about a fraud flag, once.

flag_id: an open flag. decision: confirmed or dismissed. note: 2,000 characters.
Dismissing a flag that blacklisted the customer gives the tier of before back, unless tier or lock were changed since, and the credit that expired meanwhile, with the setting refund_grace_days to live. If another flag that would have blacklisted him stands, it takes the blacklisting over.
Errors: PT404 flag_not_found; PT409 reviewed; 22004 missing_argument; 22023 not_allowed, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_fraud_rule(rule text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_fraud_rule.rule IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: rule';
    ELSIF c360_require_fraud_rule.rule NOT IN ('high_return_rate', 'self_dealing', 'wallet_abuse') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such fraud rule',
            DETAIL = format('unknown_rule: "%s"', left(c360_require_fraud_rule.rule, 64)),
            HINT = 'Allowed are high_return_rate, self_dealing, wallet_abuse.';
    END IF;
    RETURN c360_require_fraud_rule.rule;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_fraud_rule(text) IS
'Internal: refuses a fraud rule that does not exist.

rule: a name.
Answer: the name.
Errors: 22004 NULL; 22023 unknown_rule.';

CREATE FUNCTION @extschema@.c360_snooze_fraud_rule(phone text, rule text, until timestamptz, note text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_snooze_fraud_rule.phone);
    silent constant text := @extschema@.c360_require_fraud_rule(c360_snooze_fraud_rule.rule);
    why constant text := @extschema@.c360_require_text('note', c360_snooze_fraud_rule.note, 2000, false);
    actor constant text := @extschema@.c360_current_actor();
    whose bigint;
BEGIN
    IF c360_snooze_fraud_rule.until IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: until';
    ELSIF NOT isfinite(c360_snooze_fraud_rule.until) OR c360_snooze_fraud_rule.until <= clock_timestamp() THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'date is out of range',
            DETAIL = 'invalid_date: until is not in the future';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id INTO whose FROM c360.customers AS c WHERE c.phone = wanted FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    INSERT INTO c360.fraud_snoozes (customer_id, rule, until, note, snoozed_by, snoozed_at)
    VALUES (whose, silent, c360_snooze_fraud_rule.until, why, actor, clock_timestamp());
    -- what the rule passes over until then is looked at again
    INSERT INTO c360.fraud_rechecks (customer_id, due_at) VALUES (whose, c360_snooze_fraud_rule.until)
    ON CONFLICT DO NOTHING;
    PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', whose, 'customer', whose::text,
        jsonb_build_object('phone', wanted, 'reason', 'fraud rule snoozed', 'rule', silent,
                           'until', c360_snooze_fraud_rule.until, 'note', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_snooze_fraud_rule(text, text, timestamptz, text) IS
'Silences a fraud rule for one customer: until then it raises no flag for him; afterwards what still stands is found.

phone: any spelling. rule: high_return_rate, wallet_abuse or self_dealing. until: in the future; a call with a nearer moment ends a snooze earlier. note: 2,000 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, unknown_rule, invalid_date; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_fraud_rule(rule text, mode text DEFAULT NULL, severity text DEFAULT NULL,
    action text DEFAULT NULL, parameters jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    changed constant text := @extschema@.c360_require_fraud_rule(c360_set_fraud_rule.rule);
    actor constant text := @extschema@.c360_current_actor();
    wanted constant jsonb := coalesce(c360_set_fraud_rule.parameters, '{}');
    -- as src/fraud.c takes them
    ranges constant jsonb := jsonb_build_object(
        'high_return_rate', '{"min_orders": [1, 100000], "days": [1, 366], "percent": [0, 99]}'::jsonb,
        'wallet_abuse', '{"more_than": [1, 1000], "amount": [0, 9223372036854775807], "minutes": [1, 527040]}'::jsonb,
        'self_dealing', '{"times": [1, 100], "days": [1, 366], "minutes": [1, 10080], "percent": [1, 100]}'::jsonb) -> changed;
    wrong text;
BEGIN
    IF c360_set_fraud_rule.mode IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('mode', c360_set_fraud_rule.mode, '{off,shadow,on}');
    END IF;
    IF c360_set_fraud_rule.severity IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('severity', c360_set_fraud_rule.severity, '{low,medium,high}');
    END IF;
    IF c360_set_fraud_rule.action IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('action', c360_set_fraud_rule.action, '{blacklist,suspicious,self_dealing}');
    END IF;
    IF jsonb_typeof(wanted) <> 'object' THEN
        wrong := 'parameters is no object';
    ELSE
        SELECT CASE WHEN NOT ranges ? p.key THEN format('there is no "%s"', left(p.key, 64))
                    ELSE format('%s is %s', p.key, left(p.value::text, 64)) END
        INTO wrong FROM jsonb_each(wanted) AS p
        WHERE CASE WHEN NOT ranges ? p.key OR jsonb_typeof(p.value) <> 'number' THEN true
                   ELSE (p.value #>> '{}')::numeric % 1 <> 0
                        OR (p.value #>> '{}')::numeric NOT BETWEEN (ranges -> p.key ->> 0)::numeric
                                                           AND (ranges -> p.key ->> 1)::numeric END
        ORDER BY p.key LIMIT 1;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid parameter of a fraud rule',
            DETAIL = 'invalid_parameter: ' || wrong,
            HINT = 'Allowed are ' || (SELECT string_agg(format('%s (%s to %s)', r.key, r.value ->> 0, r.value ->> 1), ', '
                                                        ORDER BY r.key) FROM jsonb_each(ranges) AS r) || '.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    UPDATE c360.fraud_rules AS r SET mode = coalesce(c360_set_fraud_rule.mode, r.mode),
        severity = coalesce(c360_set_fraud_rule.severity, r.severity),
        action = coalesce(c360_set_fraud_rule.action, r.action),
        parameters = r.parameters || wanted, changed_by = actor, changed_at = clock_timestamp()
    WHERE r.rule = changed;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_fraud_rule(text, text, text, text, jsonb) IS
'Changes a fraud rule. The next scan goes by it and, if mode or parameters of a rule about the ledger changed, over the whole ledger.

rule: high_return_rate, wallet_abuse or self_dealing. mode: off, shadow (flags without any action) or on. severity: low, medium or high. action: blacklist, suspicious or self_dealing. parameters: those to change, whole numbers; high_return_rate has min_orders, days, percent; wallet_abuse more_than, amount (đồng), minutes; self_dealing times, days, minutes, percent. NULL leaves as it is.
Errors: 22004 missing_argument; 22023 unknown_rule, not_allowed, invalid_parameter; 25006 read only; 55000 not installed.';
