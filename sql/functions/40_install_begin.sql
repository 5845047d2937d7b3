-- The tables. The build puts the steps of sql/tables/ between this file and
-- the next one; each runs once, in order, and older tables catch up. The views
-- of sql/views/ go into the next file.

CREATE FUNCTION @extschema@.c360_install() RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $c360_install$
#variable_conflict use_column
DECLARE
    installed integer := 0;
    foreign_object text;
    ours bigint;
    granted record;
    kept text;
    -- made below; one of another owner would run his code for all who read it
    view_names constant text[] := '{@view_names@}';   -- the build lists those of sql/views/ here
BEGIN
    -- two calls at once: the second waits and finds everything done
    PERFORM pg_advisory_xact_lock(hashtext('c360'), hashtext('c360_install'));
    SELECT format('schema c360 is owned by %s', nspowner::regrole) INTO foreign_object
    FROM pg_namespace WHERE nspname = 'c360' AND nspowner <> current_user::regrole;
    IF foreign_object IS NULL THEN
        SELECT format('%s is owned by %s', c.oid::regclass, c.relowner::regrole) INTO foreign_object
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE (n.nspname = 'c360' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
               OR n.oid = '@extschema@'::regnamespace AND c.relname = ANY (view_names))
          AND c.relowner <> current_user::regrole
        ORDER BY c.relname LIMIT 1;
    END IF;
    IF foreign_object IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'c360 tables belong to another role',
            DETAIL = 'other_owner: ' || foreign_object,
            HINT = 'Call c360_install() as that owner (SET ROLE), or let a superuser hand it over.';
    END IF;
    IF NOT (has_function_privilege('@extschema@.c360_refuse_change()', 'EXECUTE')
            AND has_function_privilege('@extschema@.c360_settings_changed()', 'EXECUTE')) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'missing privilege on the trigger functions',
            DETAIL = 'trigger_functions: whoever owns the tables makes the triggers on them',
            HINT = format('GRANT EXECUTE ON FUNCTION @extschema@.c360_install(), @extschema@.c360_refuse_change(), '
                          '@extschema@.c360_settings_changed(), @extschema@.c360_apply_level(regrole, text), '
                          '@extschema@.c360_grant(regrole, text), @extschema@.c360_revoke(regrole) TO %I;', current_user);
    END IF;
    IF to_regnamespace('c360') IS NULL THEN
        CREATE SCHEMA c360;
        COMMENT ON SCHEMA c360 IS 'Tables of c360; only its functions and views read and write them';
    END IF;
    IF to_regclass('c360.table_versions') IS NULL THEN
        CREATE TABLE c360.table_versions (
            version      integer PRIMARY KEY,
            step         text NOT NULL,
            installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            installed_by text NOT NULL DEFAULT current_user
        );
        COMMENT ON TABLE c360.table_versions IS 'Steps by which c360_install() made these tables';
    END IF;
    SELECT coalesce(max(version), 0) INTO installed FROM c360.table_versions;
