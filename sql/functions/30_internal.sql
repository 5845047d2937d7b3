-- What other functions of c360 are built of. Nobody else may call these.

CREATE FUNCTION @extschema@.c360_become_owner() RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_become_owner';
COMMENT ON FUNCTION @extschema@.c360_become_owner() IS
'Internal: from here on a SECURITY DEFINER function acts as the owner of the tables.

Errors: 55000 tables not installed or older than the code.';

CREATE FUNCTION @extschema@.c360_write_activity(topic text, event text, customer_id bigint, reference_type text,
    reference_id text, payload jsonb) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_write_activity';
COMMENT ON FUNCTION @extschema@.c360_write_activity(text, text, bigint, text, text, jsonb) IS
'Internal: writes the activity row of a change, after the row locks of what changes and after c360_become_owner().

topic: wallets, tickets, customers or bank. event: as clients get it. customer_id: NULL = none. reference_type, reference_id: what changed; NULL = nothing but the customer. payload: an object; it gets the customer''s phone if it has none.
Answer: id of the activity.
Errors: 42501 outside a function of c360; 25006 read only; 55000 not installed.';

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

CREATE FUNCTION @extschema@.c360_require_text(name text, value text, longest integer, required boolean) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_require_text';
COMMENT ON FUNCTION @extschema@.c360_require_text(text, text, integer, boolean) IS
'Internal: refuses a text argument that is too long or, if it is required, missing or blank.

name: of the argument. value: what was given. longest: characters. required: whether it must be there.
Answer: the value.
Errors: 22004 missing_argument; 22023 blank; 22001 too_long.';

CREATE FUNCTION @extschema@.c360_require_one_of(name text, value text, allowed text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_one_of.value IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || c360_require_one_of.name;
    ELSIF c360_require_one_of.value <> ALL (c360_require_one_of.allowed) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: %s "%s"', c360_require_one_of.name, left(c360_require_one_of.value, 64)),
            HINT = 'Allowed are ' || array_to_string(c360_require_one_of.allowed, ', ') || '.';
    END IF;
    RETURN c360_require_one_of.value;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_one_of(text, text, text[]) IS
'Internal: refuses a word that is not one of those allowed.

name: of the argument. value: what was given. allowed: the words.
Answer: the value.
Errors: 22004 missing_argument; 22023 not_allowed.';

CREATE FUNCTION @extschema@.c360_require_customer(phone text) RETURNS bigint
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_require_customer';
COMMENT ON FUNCTION @extschema@.c360_require_customer(text) IS
'Internal: id of the customer with this phone.

Errors: 22004 NULL; 22023 invalid_phone; PT404 customer_not_found.';

CREATE FUNCTION @extschema@.c360_make_customer(phone text, name text, source text,
    OUT customer_id bigint, OUT customer_created boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_make_customer';
COMMENT ON FUNCTION @extschema@.c360_make_customer(text, text, text) IS
'Internal: the customer with this phone, created if there is none.

phone: any spelling. name: NULL = Khách hàng mới. source: what makes him, as customers.created_source has it.
Answer: id, and whether he was created.
Errors: 22004 missing_argument; 22023 invalid_phone; 22001 too_long; 25006 read only; 55000 not installed.';

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
