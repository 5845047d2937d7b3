-- Nothing is granted to PUBLIC but the pure functions.
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
          AND p.proname NOT IN ('c360_version', 'c360_normalize_phone', 'c360_phone_carrier', 'c360_parse_transfer',
                                'c360_next_run')
        ORDER BY p.proname
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
    END LOOP;
END $$;
