-- Nothing is granted to PUBLIC but the pure functions, and one that refuses to work for them.
--
-- An update passes over what was revoked before: whatever a script does to the
-- privileges of a function becomes their initial state, which pg_dump leaves
-- out, and with it what a DBA has granted since.
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT p.oid FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
        JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                                      AND d.refobjid = e.oid AND d.deptype = 'e'
        WHERE e.extname = 'c360'
          AND p.proname NOT IN (SELECT f.function FROM @extschema@.c360_level_functions() AS f WHERE f.level = 'public')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_init_privs i
                          WHERE i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid)
        ORDER BY p.proname
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
    END LOOP;
END $$;
