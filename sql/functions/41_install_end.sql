    -- Whatever the version: what hangs on the code is made whole.
    INSERT INTO c360.settings (name, type, unit, minimum, maximum, choices, default_value, description) VALUES
        ('audit_retention_days', 'integer', 'days', 1, 3650, NULL, '90',
         'how long errors are kept in c360.audit_logs'),
        ('authenticator_roles', 'list', 'roles', NULL, NULL, NULL, 'authenticator',
         'login roles whose request.jwt.claims are believed to name the actor'),
        ('create_customer_from_transfer', 'boolean', NULL, NULL, NULL, NULL, 'true',
         'a transfer with one whole, unknown phone creates the customer'),
        ('credit_expiry_days', 'integer', 'days', 1, 3650, NULL, '15',
         'life of a credit issued without expires_at'),
        ('event_retention', 'integer', 'days', 1, 3650, NULL, '7',
         'how long cursors of events hold'),
        ('job_run_retention_days', 'integer', 'days', 1, 3650, NULL, '30',
         'how long runs of jobs are kept'),
        ('jobs_by', 'choice', NULL, NULL, NULL, '{worker,pg_cron,none}', 'worker',
         'who runs the jobs: worker (of c360), pg_cron (or another scheduler) or none'),
        ('max_amount', 'integer', 'đồng', 0, 9223372036854775807, NULL, '1000000000',
         'largest amount of one movement by hand; 0 = no limit'),
        ('notify_payload', 'choice', NULL, NULL, NULL, '{full,ids}', 'full',
         'what notifications tell: full, or ids (event, id, cursor and customer id only)'),
        ('refund_grace_days', 'integer', 'days', 0, 3650, NULL, '7',
         'least life of a lot that a refund gives back'),
        ('return_label_min_orders', 'integer', 'orders', 1, 1000, NULL, '3',
         'from how many decided orders on the return rate sets a customer''s status'),
        ('stream_pass_hours', 'integer', 'hours', 1, 168, NULL, '8',
         'how long a pass of c360_open_stream() holds')
    ON CONFLICT (name) DO UPDATE SET type = excluded.type, unit = excluded.unit,
        minimum = excluded.minimum, maximum = excluded.maximum, choices = excluded.choices,
        default_value = excluded.default_value, description = excluded.description;
    INSERT INTO c360.jobs (job, default_schedule, description) VALUES
        ('carrier_deadlines', '0 */6 * * *', 'raises the priority of open tickets whose carrier deadline is less than 24 hours away'),
        ('expire_credits', '0 * * * *', 'expires lots past their time; the worker does so at each lot''s own expiry, too')
    ON CONFLICT (job) DO UPDATE SET default_schedule = excluded.default_schedule,
        description = excluded.description;

    -- What search needs: trigrams of pg_trgm, in whatever schema that is. A short
    -- pending list, so that no search has much to read and no writer much to clear.
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        BEGIN
            EXECUTE format('CREATE EXTENSION pg_trgm SCHEMA %I',
                           CASE WHEN to_regnamespace('public') IS NULL THEN '@extschema@' ELSE 'public' END);
        EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
            RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_trgm is missing',
                DETAIL = 'pg_trgm_missing: ' || SQLERRM,
                HINT = format('Let a superuser, or whoever may create in this database, run CREATE EXTENSION pg_trgm; '
                              'it is in the contrib package of the server.');
        END;
    END IF;
    IF to_regclass('c360.customers_search_idx') IS NULL THEN
        EXECUTE (SELECT format('CREATE INDEX customers_search_idx ON c360.customers USING gin '
                               '(name_folded %1$s, email_folded %1$s, address_folded %1$s, phone %1$s) '
                               'WITH (gin_pending_list_limit = 256)',
                               quote_ident(n.nspname) || '.gin_trgm_ops')
                 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
    END IF;
    IF to_regclass('c360.customer_phones_search_idx') IS NULL THEN
        EXECUTE (SELECT format('CREATE INDEX customer_phones_search_idx ON c360.customer_phones USING gin (phone %s)',
                               quote_ident(n.nspname) || '.gin_trgm_ops')
                 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
    END IF;

    -- ENABLE ALWAYS: the replica role, which logical replication uses, skips ordinary triggers.
    CREATE OR REPLACE TRIGGER settings_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.settings
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed();
    ALTER TABLE c360.settings ENABLE ALWAYS TRIGGER settings_changed;
    CREATE OR REPLACE TRIGGER jobs_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.jobs
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed();
    ALTER TABLE c360.jobs ENABLE ALWAYS TRIGGER jobs_changed;
    CREATE OR REPLACE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON c360.wallet_transactions
        FOR EACH ROW EXECUTE FUNCTION @extschema@.c360_refuse_change();
    CREATE OR REPLACE TRIGGER ledger_truncate_guard BEFORE TRUNCATE ON c360.wallet_transactions
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_refuse_change();
    CREATE OR REPLACE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON c360.virtual_credit_uses
        FOR EACH ROW EXECUTE FUNCTION @extschema@.c360_refuse_change();
    CREATE OR REPLACE TRIGGER ledger_truncate_guard BEFORE TRUNCATE ON c360.virtual_credit_uses
        FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_refuse_change();
    ALTER TABLE c360.wallet_transactions ENABLE ALWAYS TRIGGER ledger_guard;
    ALTER TABLE c360.wallet_transactions ENABLE ALWAYS TRIGGER ledger_truncate_guard;
    ALTER TABLE c360.virtual_credit_uses ENABLE ALWAYS TRIGGER ledger_guard;
    ALTER TABLE c360.virtual_credit_uses ENABLE ALWAYS TRIGGER ledger_truncate_guard;

    CREATE OR REPLACE VIEW @extschema@.c360_stat AS
        SELECT ticks, notifications, lag, backlog, ring_overflow, last_error
        FROM @extschema@.c360_statistics()
        WHERE NOT EXISTS (SELECT FROM c360.event_ticks WHERE false);    -- goes with the tables, too
    COMMENT ON VIEW @extschema@.c360_stat IS
        'The workers of this database since the server started: ticks, notifications, time from commit to notification at the last tick, events not yet announced (10,000 at most are counted), errors lost to a full ring, last failure of a worker';
    CREATE OR REPLACE VIEW @extschema@.c360_settings AS
        SELECT name, coalesce(value, default_value) AS value, type, unit,
               default_value AS "default", description
        FROM c360.settings
        WHERE @extschema@.c360_version() IS NOT NULL;   -- goes with the extension
    COMMENT ON VIEW @extschema@.c360_settings IS
        'Business rules of the shop and their values; changed by c360_set()';

    CREATE OR REPLACE VIEW @extschema@.c360_ticket_list AS
        SELECT t.id, t.ticket_code, t.customer_id, c.phone, c.name, t.type, y.label AS type_label, t.status,
               t.priority, CASE t.priority WHEN 'urgent' THEN 1 WHEN 'high' THEN 2 WHEN 'normal' THEN 3 ELSE 4 END
                   AS priority_rank,
               t.deadline, coalesce(t.deadline, 'infinity'::timestamptz) AS deadline_order,
               t.order_code, t.tracking_code, t.carrier, t.subject, t.description, t.products, t.attachments,
               CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.original_cod END AS original_cod,
               CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.new_cod END AS new_cod,
               CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.refund_amount END AS refund_amount,
               t.reason, t.assignee, t.duplicate_allowed, t.goods_received_at, t.compensation, t.compensated_at,
               CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.credit_id END AS credit_id,
               CASE WHEN (SELECT @extschema@.c360_level() <> 'viewer') THEN t.transaction_id END AS transaction_id,
               t.created_by, t.created_at, t.completed_at
        FROM c360.customer_tickets t
        JOIN c360.customers c ON c.id = t.customer_id
        JOIN c360.ticket_types y ON y.type = t.type
        WHERE t.deleted_at IS NULL;
    COMMENT ON VIEW @extschema@.c360_ticket_list IS
        'Tickets that are not deleted, with phone and name of their customers; in order by priority_rank, deadline_order, id. Amounts (đồng), credit_id and transaction_id are NULL for level viewer';

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

    CREATE OR REPLACE VIEW @extschema@.c360_customer_list AS
        SELECT c.id, c.phone, c.name, c.email, c.address, c.carrier, c.status, c.tier, c.status_locked, c.tier_locked,
               c.tags, c.aliases, c.tpos_id, c.created_source, c.internal_note,
               CASE WHEN (SELECT @extschema@.c360_level()) <> 'viewer'
                    THEN coalesce(w.balance + w.virtual_balance, 0) END AS wallet_total,
               c.created_at, c.updated_at
        FROM c360.customers c LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
        WHERE c.erased_at IS NULL;
    COMMENT ON VIEW @extschema@.c360_customer_list IS
        'All customers; in order of id, within a tier or a status, too, or of created_at, pages cost the same at any depth. wallet_total (đồng) is NULL for callers below agent';
    CREATE OR REPLACE VIEW @extschema@.c360_note_list AS
        SELECT n.id, n.customer_id, c.phone, c.name, n.content, n.category, n.pinned, n.created_by, n.created_at
        FROM c360.customer_notes n JOIN c360.customers c ON c.id = n.customer_id
        WHERE @extschema@.c360_version() IS NOT NULL AND c.erased_at IS NULL;
    COMMENT ON VIEW @extschema@.c360_note_list IS
        'Notes of staff on customers; order=pinned.desc,id.desc shows those of one customer as they should be read';
    -- The columns are masked, too: a function of a caller in his WHERE may see rows before they are left out.
    -- (A security barrier would do the same, but keep LIMIT from finding the order of the index.)
    CREATE OR REPLACE VIEW @extschema@.c360_activity_list AS
        SELECT a.id, a.customer_id, c.phone, c.name,
               CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                    THEN a.topic END AS topic,
               CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                    THEN a.event END AS event,
               CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                    THEN a.reference_type END AS reference_type,
               CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                    THEN a.reference_id END AS reference_id,
               CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                    THEN a.payload END AS payload,
               CASE WHEN a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false)
                    THEN a.actor END AS actor,
               a.created_at
        FROM c360.customer_activities a LEFT JOIN c360.customers c ON c.id = a.customer_id
        WHERE a.topic NOT IN ('wallets', 'bank') OR coalesce((SELECT @extschema@.c360_level()) <> 'viewer', false);
    COMMENT ON VIEW @extschema@.c360_activity_list IS
        'The timeline of all customers: who changed what and when; what concerns wallets and bank is left out for callers below agent';
    CREATE OR REPLACE VIEW @extschema@.customers_without_tpos AS
        SELECT c.id, c.phone, c.name, c.created_at FROM c360.customers c
        WHERE c.tpos_data IS NULL AND c.erased_at IS NULL AND @extschema@.c360_version() IS NOT NULL;
    COMMENT ON VIEW @extschema@.customers_without_tpos IS
        'Customers whose record of the point-of-sale system has not been fetched yet, by c360_upsert_tpos_customer()';

    -- nobody slipped one of his in since the check above
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = '@extschema@'::regnamespace
               AND relname = ANY (view_names) AND relowner <> current_user::regrole) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'c360 tables belong to another role',
            DETAIL = 'other_owner: a view of c360 is owned by another role';
    END IF;

    -- Levels reach what this version has. Where a row was written a missing
    -- role was dropped; from elsewhere, it may come yet.
    SELECT system_identifier INTO ours FROM pg_control_system();
    DELETE FROM c360.granted_levels AS g
    WHERE g.cluster = ours AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.role_id);
    UPDATE c360.granted_levels AS g SET role = r.rolname
    FROM pg_roles r WHERE g.cluster = ours AND r.oid = g.role_id AND g.role <> r.rolname;
    FOR granted IN
        SELECT g.role, g.level, r.oid::regrole AS found
        FROM c360.granted_levels AS g
        LEFT JOIN pg_roles r ON CASE WHEN g.cluster = ours THEN r.oid = g.role_id ELSE r.rolname = g.role END
        ORDER BY g.role, g.level
    LOOP
        IF granted.found IS NULL THEN
            RAISE NOTICE USING MESSAGE = format('role "%s" does not exist, its level %s is not applied',
                                                granted.role, granted.level);
        ELSIF NOT has_function_privilege('@extschema@.c360_apply_level(regrole, text)', 'EXECUTE') THEN
            RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'missing privilege to apply levels',
                DETAIL = format('levels: of role %s and others', granted.found),
                HINT = format('GRANT EXECUTE ON FUNCTION @extschema@.c360_apply_level(regrole, text) TO %I;', current_user);
        ELSE
            PERFORM @extschema@.c360_apply_level(granted.found, granted.level);
        END IF;
    END LOOP;

    -- PostgREST reads the schema again
    PERFORM pg_notify('pgrst', 'reload schema');
    RETURN installed::text;
END $c360_install$;
COMMENT ON FUNCTION @extschema@.c360_install() IS
'Makes the tables in schema c360, or brings older ones forward, and makes whole what hangs on the code (guards, views, settings, levels that were given).

Runs with the rights of its caller, who owns the tables then; called again it does only what is missing.
Answer: version of the tables.
Errors: 42501 other_owner, trigger_functions, levels.';
