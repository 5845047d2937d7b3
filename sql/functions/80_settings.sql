CREATE FUNCTION @extschema@.c360_set(name text, value text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor text := @extschema@.c360_current_actor();
    wanted text := lower(btrim(c360_set.value));
    setting record;
    whole bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_set.name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: name';
    END IF;
    SELECT * INTO setting FROM c360.settings AS s WHERE s.name = c360_set.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such setting',
            DETAIL = format('unknown_setting: "%s"', left(c360_set.name, 64)),
            HINT = 'Allowed are ' || (SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM c360.settings AS s) || '.';
    END IF;
    CASE setting.type
        WHEN 'boolean' THEN
            wanted := CASE WHEN wanted IN ('true', 'on', 'yes', '1') THEN 'true'
                           WHEN wanted IN ('false', 'off', 'no', '0') THEN 'false' END;
        WHEN 'integer' THEN
            IF wanted ~ '^[0-9]{1,19}$' AND wanted::numeric BETWEEN setting.minimum AND setting.maximum THEN
                whole := wanted::bigint;
                wanted := whole::text;
            ELSE
                wanted := NULL;
            END IF;
        WHEN 'number' THEN
            IF wanted !~ '^[0-9]{1,9}([.][0-9]{1,9})?$' OR wanted::numeric NOT BETWEEN setting.minimum AND setting.maximum THEN
                wanted := NULL;
            END IF;
        WHEN 'hash' THEN
            IF wanted !~ '^([0-9a-f]{64})?$' THEN
                wanted := NULL;
            END IF;
        WHEN 'choice' THEN
            wanted := (SELECT c FROM unnest(setting.choices) AS c WHERE c = wanted);
        ELSE
            wanted := btrim(c360_set.value);
    END CASE;
    IF c360_set.value IS NOT NULL AND wanted IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid value of a setting',
            DETAIL = format('invalid_setting: %s "%s"', setting.name,
                            CASE setting.type WHEN 'hash' THEN '...' ELSE left(c360_set.value, 64) END),
            HINT = CASE setting.type WHEN 'boolean' THEN 'Allowed are true and false.'
                   WHEN 'choice' THEN 'Allowed are ' || array_to_string(setting.choices, ', ') || '.'
                   WHEN 'hash' THEN 'Allowed are the 64 hexadecimal digits of a SHA-256.'
                   WHEN 'number' THEN format('Allowed are numbers from %s to %s.', setting.minimum, setting.maximum)
                   ELSE format('Allowed are whole numbers from %s to %s.', setting.minimum, setting.maximum) END;
    END IF;
    UPDATE c360.settings AS s SET value = wanted, changed_by = actor, changed_at = clock_timestamp()
    WHERE s.name = setting.name;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set(text, text) IS
'Changes a business rule of the shop; every session sees it at its next statement.

name: a setting of the view c360_settings. value: of its type and range; NULL = back to the default.
Errors: 22004 missing_argument; 22023 unknown_setting, invalid_setting; 25006 read only; 55000 not installed.';
