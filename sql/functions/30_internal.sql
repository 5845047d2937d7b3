-- What other functions of c360 are built of. Nobody else may call these.

CREATE FUNCTION @extschema@.c360_become_owner() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_become_owner';
COMMENT ON FUNCTION @extschema@.c360_become_owner() IS
'Internal: from here on a SECURITY DEFINER function acts as the owner of the tables.

Errors: 55000 tables not installed or older than the code.';

CREATE FUNCTION @extschema@.c360_current_actor() RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_current_actor';
COMMENT ON FUNCTION @extschema@.c360_current_actor() IS
'Internal: who does this.

Answer: the name in the JWT claims if an authenticator role logged in, else the login role.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_phone(phone text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_require_phone';
COMMENT ON FUNCTION @extschema@.c360_require_phone(text) IS
'Internal: canonical form of a phone argument.

Errors: 22004 NULL; 22023 invalid_phone.';

CREATE FUNCTION @extschema@.c360_require_customer(phone text) RETURNS bigint
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_require_customer';
COMMENT ON FUNCTION @extschema@.c360_require_customer(text) IS
'Internal: id of the customer with this phone.

Errors: 22004 NULL; 22023 invalid_phone; PT404 customer_not_found.';

CREATE FUNCTION @extschema@.c360_require_range(name text, value bigint, lowest bigint, highest bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_range.value IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || c360_require_range.name;
    ELSIF c360_require_range.value NOT BETWEEN c360_require_range.lowest AND c360_require_range.highest THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: %s is %s, allowed are %s to %s', c360_require_range.name,
                            c360_require_range.value, c360_require_range.lowest, c360_require_range.highest);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_range(text, bigint, bigint, bigint) IS
'Internal: refuses a number outside a range.

name: of the argument. value: what was given. lowest, highest: the range, both included.

Errors: 22004 NULL; 22023 out_of_range.';

CREATE FUNCTION @extschema@.c360_refuse_change() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'c360_refuse_change';
COMMENT ON FUNCTION @extschema@.c360_refuse_change() IS
'Internal: guard trigger of append-only tables.

Errors: 0A000 append_only.';

CREATE FUNCTION @extschema@.c360_settings_changed() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'c360_settings_changed';
COMMENT ON FUNCTION @extschema@.c360_settings_changed() IS
'Internal: tells every session to read c360.settings again.';
