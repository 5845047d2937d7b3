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
        ('part_match_max_chance', 'number', NULL, 0, 1, NULL, '0.1',
         'largest chance of a hit by accident at which a marked part of a phone links a transfer; a hundredth of it for other parts'),
        ('refund_grace_days', 'integer', 'days', 0, 3650, NULL, '7',
         'least life of a lot that a refund gives back'),
        ('return_label_min_orders', 'integer', 'orders', 1, 1000, NULL, '3',
         'from how many decided orders on the return rate sets a customer''s status'),
        ('rfm_frequency_window', 'integer', 'days', 1, 3650, NULL, '90',
         'orders of how many shop days, today included, count for frequency'),
        ('sepay_api_key_hash', 'hash', NULL, NULL, NULL, NULL, '',
         'SHA-256 of the key that the bank''s webhook must show, 64 hexadecimal digits; empty = nobody may call it'),
        ('stream_pass_hours', 'integer', 'hours', 1, 168, NULL, '8',
         'how long a pass of c360_open_stream() holds')
    ON CONFLICT (name) DO UPDATE SET type = excluded.type, unit = excluded.unit,
        minimum = excluded.minimum, maximum = excluded.maximum, choices = excluded.choices,
        default_value = excluded.default_value, description = excluded.description;
    INSERT INTO c360.jobs (job, default_schedule, description) VALUES
        ('carrier_deadlines', '0 */6 * * *', 'raises the priority of open tickets whose carrier deadline is less than 24 hours away'),
        ('expire_credits', '0 * * * *', 'expires lots past their time; the worker does so at each lot''s own expiry, too'),
        ('process_bank', '*/5 * * * *', 'decides bank transfers that failed or were stored without a decision'),
        ('refresh_rfm', '30 2 * * *', 'scores customers whose orders changed or whose score changes with the day, and sets their tiers'),
        ('scan_fraud', '0 2 * * *', 'looks for fraud in orders and ledger; findings become flags, and flags act')
    ON CONFLICT (job) DO UPDATE SET default_schedule = excluded.default_schedule,
        description = excluded.description;

    -- What customers are scored by; rows that are there are the shop's.
    INSERT INTO c360.rfm_config (metric, score, min_value, description) VALUES
        ('recency', 5, 0, 'ordered a few days ago'),
        ('recency', 4, 8, 'ordered recently'),
        ('recency', 3, 15, 'ordered some weeks ago'),
        ('recency', 2, 31, 'has not ordered for a while'),
        ('recency', 1, 61, 'has not ordered for a long time'),
        ('frequency', 5, 11, 'orders very often'),
        ('frequency', 4, 6, 'orders often'),
        ('frequency', 3, 3, 'orders regularly'),
        ('frequency', 2, 2, 'ordered twice'),
        ('frequency', 1, 0, 'hardly orders'),
        ('monetary', 5, 10000001, 'spends most'),
        ('monetary', 4, 5000000, 'spends much'),
        ('monetary', 3, 2000000, 'spends a fair amount'),
        ('monetary', 2, 500000, 'spends little'),
        ('monetary', 1, 0, 'has spent next to nothing')
    ON CONFLICT DO NOTHING;
    INSERT INTO c360.rfm_segments (r, f, m, segment)
    SELECT r, f, m, CASE
               WHEN r >= 4 AND f >= 4 AND m >= 4 THEN 'Champion'
               WHEN r <= 2 AND f >= 4 AND m >= 4 THEN 'Cant_Lose'
               WHEN r <= 2 AND f >= 3 AND m >= 3 THEN 'At_Risk'
               WHEN r >= 3 AND f >= 4 THEN 'Loyal'
               WHEN r >= 4 AND f >= 2 AND m >= 2 THEN 'Potential_Loyalist'
               WHEN r >= 4 AND f = 1 THEN 'New_Customer'
               WHEN r >= 4 THEN 'Promising'
               WHEN r = 3 AND f >= 3 THEN 'Need_Attention'
               WHEN r = 3 THEN 'About_To_Sleep'
               WHEN r = 1 AND f = 1 AND m <= 2 THEN 'Lost'
               WHEN r <= 2 AND f <= 2 THEN 'Hibernating'
               ELSE 'Other' END
    FROM generate_series(1, 5) AS r, generate_series(1, 5) AS f, generate_series(1, 5) AS m
    ON CONFLICT DO NOTHING;
    INSERT INTO c360.rfm_recommendations (segment, position, recommendation, recommendation_vi)
    SELECT * FROM (VALUES
        ('Champion', 1, 'Thank in person and offer new products first', 'Cảm ơn riêng và giới thiệu hàng mới trước tiên'),
        ('Champion', 2, 'Ask for reviews and referrals', 'Mời đánh giá và giới thiệu bạn bè'),
        ('Loyal', 1, 'Offer products of a higher class', 'Giới thiệu sản phẩm cao cấp hơn'),
        ('Loyal', 2, 'Reward loyalty with shipping or gifts', 'Tri ân bằng miễn phí giao hàng hoặc quà tặng'),
        ('Potential_Loyalist', 1, 'Recommend what goes with past orders', 'Gợi ý sản phẩm đi kèm đơn đã mua'),
        ('Potential_Loyalist', 2, 'Invite into the loyalty programme', 'Mời tham gia chương trình khách hàng thân thiết'),
        ('New_Customer', 1, 'Welcome, and make sure that the first order went well', 'Chào mừng và hỏi thăm đơn hàng đầu tiên'),
        ('New_Customer', 2, 'Offer a voucher for the second order', 'Tặng mã giảm giá cho đơn thứ hai'),
        ('Promising', 1, 'Show the best sellers', 'Giới thiệu sản phẩm bán chạy'),
        ('Promising', 2, 'Offer bundles with a small discount', 'Ưu đãi nhẹ khi mua theo bộ'),
        ('Need_Attention', 1, 'Make an offer that ends soon', 'Gửi ưu đãi có thời hạn'),
        ('Need_Attention', 2, 'Ask what is missing', 'Hỏi thăm nhu cầu còn thiếu'),
        ('About_To_Sleep', 1, 'Remind of what was looked at and of new products', 'Nhắc sản phẩm quan tâm và hàng mới về'),
        ('About_To_Sleep', 2, 'Offer free shipping for the next order', 'Miễn phí giao hàng cho đơn kế tiếp'),
        ('At_Risk', 1, 'Call, and find out why orders stopped', 'Gọi điện hỏi lý do ngừng mua'),
        ('At_Risk', 2, 'Offer a credit that ends within two weeks', 'Tặng tín dụng dùng trong hai tuần'),
        ('Cant_Lose', 1, 'Let the manager call at once', 'Quản lý gọi điện ngay'),
        ('Cant_Lose', 2, 'Settle open complaints generously', 'Giải quyết khiếu nại còn tồn một cách rộng rãi'),
        ('Hibernating', 1, 'Send a seasonal offer', 'Gửi ưu đãi theo mùa'),
        ('Hibernating', 2, 'Recommend inexpensive products', 'Gợi ý sản phẩm giá mềm'),
        ('Lost', 1, 'Try one last offer, then stop', 'Thử một ưu đãi cuối, sau đó dừng'),
        ('Lost', 2, 'Leave out of paid campaigns', 'Không đưa vào chiến dịch trả phí'),
        ('Other', 1, 'Look at the orders before deciding', 'Xem lại các đơn hàng trước khi quyết định'),
        ('Other', 2, 'Send the ordinary newsletter', 'Gửi bản tin thông thường')) AS n
    WHERE NOT EXISTS (SELECT FROM c360.rfm_recommendations)
    ON CONFLICT DO NOTHING;

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
                               '(pg_catalog.replace(name_folded, '' '', ''j'') %1$s, email_folded %1$s, '
                               'pg_catalog.replace(address_folded, '' '', ''j'') %1$s, phone %1$s) '
                               'WITH (gin_pending_list_limit = 256)',
                               quote_ident(n.nspname) || '.gin_trgm_ops')
                 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
    END IF;
    IF to_regclass('c360.customer_phones_search_idx') IS NULL THEN
        EXECUTE (SELECT format('CREATE INDEX customer_phones_search_idx ON c360.customer_phones USING gin (phone %s)',
                               quote_ident(n.nspname) || '.gin_trgm_ops')
                 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
    END IF;

    -- ENABLE ALWAYS: the replica role, which logical replication uses, skips
    -- ordinary triggers, and it fires those of rows alone.
    FOREACH kept IN ARRAY ARRAY['settings', 'rfm_config', 'rfm_segments', 'jobs', 'transfer_ignored', 'ticket_types'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %2$s_changing BEFORE INSERT OR UPDATE OR DELETE ON c360.%1$s '
                       'FOR EACH ROW EXECUTE FUNCTION @extschema@.c360_settings_changed(); '
                       'CREATE OR REPLACE TRIGGER %2$s_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c360.%1$s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.c360_settings_changed(); '
                       'ALTER TABLE c360.%1$s ENABLE ALWAYS TRIGGER %2$s_changing, ENABLE ALWAYS TRIGGER %2$s_changed',
                       kept, replace(kept, 'transfer_', ''));
    END LOOP;
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

    -- @views@: here the build puts sql/views/*.sql

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

    -- wakes the workers, now that the trigger is there
    UPDATE c360.settings SET name = name WHERE false;
    -- PostgREST reads the schema again
    PERFORM pg_notify('pgrst', 'reload schema');
    RETURN installed::text;
END $c360_install$;
COMMENT ON FUNCTION @extschema@.c360_install() IS
'Makes the tables in schema c360, or brings older ones forward, and makes whole what hangs on the code (guards, views, settings, levels that were given).

Runs with the rights of its caller, who owns the tables then; called again it does only what is missing.
Answer: version of the tables.
Errors: 42501 other_owner, trigger_functions, levels; 55000 pg_trgm_missing.';
