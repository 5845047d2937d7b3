\echo Use "ALTER EXTENSION c360 UPDATE" to load this file. \quit

-- From version @released@ to @version@. sql/update.awk writes what follows
-- this prelude: functions that are gone are dropped, all others made or
-- replaced. doc/releasing.md tells what has to be added here by hand.
SET LOCAL search_path TO pg_catalog, pg_temp;

-- A library that was loaded before the files were replaced lacks functions
-- that are made below, or means something else by them.
DO $$
BEGIN
    IF string_to_array(@extschema@.c360_version(), '.')::integer[] < string_to_array('@version@', '.')::integer[] THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the library of c360 is older than the version to update to',
            DETAIL = format('old_library: %s is loaded, %s is needed', @extschema@.c360_version(), '@version@'),
            HINT = 'Install the files of that version; restart the server if c360 is in shared_preload_libraries, '
                   'else connect again.';
    END IF;
END $$;

COMMENT ON EXTENSION c360 IS @comment@;

-- By hand, for this version:
