-- Customers: their fields, notes and timeline.
--
-- Functions that only call others stay the owner of the extension; those that
-- touch tables become the owner of these first. What he may leave behind, a
-- search_path, ends before anything is found by it (see 66_jobs.sql). A change
-- locks the wallet's row first if it needs it, then the customer's, and writes
-- its activity last.

-- Changing what is known of a customer.

CREATE FUNCTION @extschema@.c360_save_customer(phone text, fields jsonb, created_source text, created_at timestamptz,
    tpos jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    by_tpos constant boolean := c360_save_customer.tpos IS NOT NULL;
    carrier_of_phone constant text := @extschema@.c360_phone_carrier(c360_save_customer.phone);
    default_name constant text := 'Khách hàng mới';
    fields jsonb := c360_save_customer.fields;
    old record;
    changes jsonb;
    owned text[];
    saved bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    FOR tries IN 1 .. 10 LOOP
        SELECT * INTO old FROM c360.customers AS c WHERE c.phone = c360_save_customer.phone FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        -- two at once: the second waits here and finds the first one's row at its next look
        INSERT INTO c360.customers AS c (phone, name, name_folded, email, email_folded, address, address_folded, carrier,
                                         status, tags, aliases, internal_note, tpos_id, tpos_data, tpos_fields,
                                         created_source, created_at)
        SELECT c360_save_customer.phone, n.name, @extschema@.c360_fold(n.name), fields ->> 'email',
               @extschema@.c360_fold(fields ->> 'email'), fields ->> 'address', @extschema@.c360_fold(fields ->> 'address'),
               coalesce(fields ->> 'carrier', carrier_of_phone), coalesce(fields ->> 'status', 'Bình thường'),
               ARRAY(SELECT jsonb_array_elements_text(fields -> 'tags')),
               ARRAY(SELECT jsonb_array_elements_text(fields -> 'aliases')), fields ->> 'internal_note',
               fields ->> 'tpos_id', c360_save_customer.tpos,
               CASE WHEN by_tpos THEN ARRAY(SELECT jsonb_object_keys(fields - 'tpos_id')) ELSE '{}' END,
               coalesce(c360_save_customer.created_source, 'manual'), coalesce(c360_save_customer.created_at, now())
        FROM (SELECT coalesce(fields ->> 'name', default_name) AS name) AS n
        ON CONFLICT (phone) DO NOTHING RETURNING c.id INTO saved;
        IF FOUND THEN
            PERFORM @extschema@.c360_write_activity('customers', 'customer.created', saved, 'customer', saved::text,
                jsonb_build_object('phone', c360_save_customer.phone, 'name', coalesce(fields ->> 'name', default_name),
                                   'source', coalesce(c360_save_customer.created_source, 'manual'),
                                   'needs_tpos', NOT by_tpos));
            RETURN saved;
        END IF;
    END LOOP;
    IF old.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '09000', MESSAGE = 'a row that c360 inserted is not there',
            HINT = 'Let triggers on c360.customers keep the row and its key.';
    END IF;

    -- point of sale takes what is empty, default or its own
    IF by_tpos THEN
        SELECT coalesce(jsonb_object_agg(f.key, f.value), '{}') INTO fields FROM jsonb_each(fields) AS f
        WHERE f.key = 'tpos_id' OR (f.key = 'status' AND NOT old.status_locked AND old.status = 'Bình thường')
           OR (f.key = ANY (old.tpos_fields) AND NOT (f.key = 'status' AND old.status_locked))
           OR CASE f.key WHEN 'name' THEN btrim(old.name) IN ('', default_name)
                         WHEN 'email' THEN coalesce(btrim(old.email), '') = ''
                         WHEN 'address' THEN coalesce(btrim(old.address), '') = ''
                         WHEN 'carrier' THEN coalesce(btrim(old.carrier), '') IN ('', carrier_of_phone)
                         ELSE false END;
    END IF;
    SELECT coalesce(jsonb_object_agg(f.key, jsonb_build_object('from', to_jsonb(old) -> f.key, 'to', f.value)), '{}')
    INTO changes FROM jsonb_each(fields) AS f WHERE to_jsonb(old) -> f.key IS DISTINCT FROM f.value;
    owned := CASE WHEN by_tpos THEN ARRAY(SELECT unnest(old.tpos_fields) UNION SELECT jsonb_object_keys(fields - 'tpos_id')
                                          ORDER BY 1)
                  ELSE ARRAY(SELECT f FROM unnest(old.tpos_fields) AS f WHERE NOT fields ? f) END;
    IF changes = '{}' AND owned = old.tpos_fields AND (NOT by_tpos OR c360_save_customer.tpos = old.tpos_data) THEN
        RETURN old.id;
    END IF;
    UPDATE c360.customers AS c SET
        name = n.name, name_folded = @extschema@.c360_fold(n.name),
        email = n.email, email_folded = @extschema@.c360_fold(n.email),
        address = n.address, address_folded = @extschema@.c360_fold(n.address),
        carrier = CASE WHEN fields ? 'carrier' THEN fields ->> 'carrier' ELSE c.carrier END,
        status = CASE WHEN fields ? 'status' THEN fields ->> 'status' ELSE c.status END,
        tags = CASE WHEN fields ? 'tags' THEN ARRAY(SELECT jsonb_array_elements_text(fields -> 'tags')) ELSE c.tags END,
        aliases = CASE WHEN fields ? 'aliases' THEN ARRAY(SELECT jsonb_array_elements_text(fields -> 'aliases'))
                       ELSE c.aliases END,
        internal_note = CASE WHEN fields ? 'internal_note' THEN fields ->> 'internal_note' ELSE c.internal_note END,
        tpos_id = CASE WHEN fields ? 'tpos_id' THEN fields ->> 'tpos_id' ELSE c.tpos_id END,
        tpos_data = coalesce(c360_save_customer.tpos, c.tpos_data), tpos_fields = owned, updated_at = clock_timestamp()
    FROM (SELECT CASE WHEN fields ? 'name' THEN fields ->> 'name' ELSE old.name END AS name,
                 CASE WHEN fields ? 'email' THEN fields ->> 'email' ELSE old.email END AS email,
                 CASE WHEN fields ? 'address' THEN fields ->> 'address' ELSE old.address END AS address) AS n
    WHERE c.id = old.id;
    IF changes <> '{}' OR (by_tpos AND c360_save_customer.tpos IS DISTINCT FROM old.tpos_data) THEN
        PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', old.id, 'customer', old.id::text,
            jsonb_build_object('phone', old.phone, 'changes', changes, 'by_tpos', by_tpos));
    END IF;
    RETURN old.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_save_customer(text, jsonb, text, timestamptz, jsonb) IS
'Internal: creates the customer with this phone, or changes those of his fields that are given.

phone: canonical. fields: columns to set; null empties one. created_source, created_at: of a new customer. tpos: the record of point of sale if it is the one who sets them; NULL = staff.
Answer: customer id.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_words(name text, words text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(c360_require_words.words) > 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = format('too_many: at most 1000 %s', c360_require_words.name);
    END IF;
    RETURN (SELECT coalesce(jsonb_agg(@extschema@.c360_require_text(c360_require_words.name, w.word, 255, true) ORDER BY w.n), '[]')
            FROM unnest(c360_require_words.words) WITH ORDINALITY AS w (word, n) WHERE w.word IS NOT NULL);
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_words(text, text[]) IS
'Internal: a list of words such as tags, as jsonb.

name: of the argument. words: 1,000 at most, of 255 characters; NULLs are left out.
Errors: 22001 too_long; 22023 too_many, blank.';

CREATE FUNCTION @extschema@.c360_upsert_customer(phone text, name text DEFAULT NULL, email text DEFAULT NULL,
    address text DEFAULT NULL, carrier text DEFAULT NULL, tags text[] DEFAULT NULL, aliases text[] DEFAULT NULL,
    internal_note text DEFAULT NULL, created_source text DEFAULT NULL, created_at timestamptz DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_upsert_customer.phone);
    fields jsonb := '{}';
    saved bigint;
BEGIN
    IF c360_upsert_customer.name IS NOT NULL THEN
        fields := jsonb_build_object('name', btrim(@extschema@.c360_require_text('name', c360_upsert_customer.name, 255, true)));
    END IF;
    -- a blank text empties the field
    SELECT fields || coalesce(jsonb_object_agg(t.field, nullif(btrim(
               @extschema@.c360_require_text(t.field, t.value, t.longest, false)), '')), '{}') INTO fields
    FROM (VALUES ('email', c360_upsert_customer.email, 255), ('address', c360_upsert_customer.address, 2000),
                 ('carrier', c360_upsert_customer.carrier, 255),
                 ('internal_note', c360_upsert_customer.internal_note, 2000)) AS t (field, value, longest)
    WHERE t.value IS NOT NULL;
    IF c360_upsert_customer.tags IS NOT NULL THEN
        fields := fields || jsonb_build_object('tags', @extschema@.c360_require_words('tags', c360_upsert_customer.tags));
    END IF;
    IF c360_upsert_customer.aliases IS NOT NULL THEN
        fields := fields || jsonb_build_object('aliases', @extschema@.c360_require_words('aliases', c360_upsert_customer.aliases));
    END IF;
    IF c360_upsert_customer.created_source IS NOT NULL THEN
        PERFORM @extschema@.c360_require_one_of('created_source', c360_upsert_customer.created_source,
                                                '{ticket,bank_link,manual,import,tpos}');
    END IF;
    IF c360_upsert_customer.created_at NOT BETWEEN '2000-01-01 00:00:00+00' AND clock_timestamp() THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'date is out of range',
            DETAIL = 'invalid_date: created_at is in the future or before 2000';
    END IF;
    saved := @extschema@.c360_save_customer(wanted, fields, c360_upsert_customer.created_source,
                                            c360_upsert_customer.created_at, NULL);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN (SELECT to_jsonb(r) FROM @extschema@.c360_customers(ids => ARRAY[saved]) AS r);
END $$;
COMMENT ON FUNCTION @extschema@.c360_upsert_customer(text, text, text, text, text, text[], text[], text, text, timestamptz) IS
'Creates the customer with this phone, or changes those of his fields that are given; what is not given stays as it is.

phone: any spelling. name: 255 characters. email, carrier: 255, address, internal_note: 2,000 characters; a blank one empties the field. tags, aliases: 1,000 words of 255 characters at most, in place of those before. created_source: ticket, bank_link, manual, import or tpos, and created_at, 2000 to now: of a new customer; a known one keeps his.
Tier and status are changed by c360_set_tier() and c360_set_status(), the phone by c360_change_phone().
Answer: the customer as jsonb, as in c360_customers().
Errors: 22004 missing_argument; 22023 invalid_phone, blank, not_allowed, invalid_date, too_many; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_upsert_tpos_customer(phone text, tpos jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_upsert_tpos_customer.phone);
    given constant jsonb := c360_upsert_tpos_customer.tpos;
    key text;
    fields jsonb;
    saved bigint;
BEGIN
    IF given IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: tpos';
    ELSIF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'record of point of sale is malformed',
            DETAIL = 'invalid_tpos: the record is no object';
    END IF;
    FOREACH key IN ARRAY ARRAY['Id', 'Name', 'DisplayName', 'Email', 'FullAddress', 'Street', 'NameNetwork', 'StatusText'] LOOP
        IF jsonb_typeof(given -> key) NOT IN ('string', 'null') AND NOT (key = 'Id' AND jsonb_typeof(given -> key) = 'number') THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'record of point of sale is malformed',
                DETAIL = format('invalid_tpos: %s is no text', key);
        END IF;
    END LOOP;
    SELECT coalesce(jsonb_object_agg(t.field, @extschema@.c360_require_text(t.key, btrim(t.value), t.longest, false)), '{}')
    INTO fields
    FROM (VALUES ('tpos_id', 'Id', given ->> 'Id', 200),
                 ('name', 'Name', coalesce(nullif(btrim(given ->> 'Name'), ''), given ->> 'DisplayName'), 255),
                 ('email', 'Email', given ->> 'Email', 255),
                 ('address', 'FullAddress', coalesce(nullif(btrim(given ->> 'FullAddress'), ''), given ->> 'Street'), 2000),
                 ('carrier', 'NameNetwork', given ->> 'NameNetwork', 255),
                 ('status', 'StatusText', CASE WHEN btrim(given ->> 'StatusText') IN
                     ('Bình thường', 'Bom hàng', 'Cảnh báo', 'Nguy hiểm', 'VIP') THEN given ->> 'StatusText' END, 255)
         ) AS t (field, key, value, longest)
    WHERE btrim(t.value) <> '';
    saved := @extschema@.c360_save_customer(wanted, fields, 'tpos', NULL, given);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN (SELECT to_jsonb(r) FROM @extschema@.c360_customers(ids => ARRAY[saved]) AS r);
END $$;
COMMENT ON FUNCTION @extschema@.c360_upsert_tpos_customer(text, jsonb) IS
'Takes in a customer''s record of the point-of-sale system: fields that are empty, default or were last set by point of sale; what staff set is kept. The record is kept whole.

phone: any spelling; an unknown one creates the customer. tpos: an object with Id, Name or DisplayName, Email, FullAddress or Street, NameNetwork (carrier), StatusText (one of the five statuses, else ignored); others are kept, too.
Answer: the customer as jsonb, as in c360_customers().
Errors: 22004 missing_argument; 22023 invalid_phone, invalid_tpos; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_tier(phone text, tier text, locked boolean DEFAULT true, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_set_tier.phone);
    wanted_lock constant boolean := coalesce(c360_set_tier.locked, true);
    why constant text := @extschema@.c360_require_text('reason', c360_set_tier.reason, 500, false);
    old record;
BEGIN
    PERFORM @extschema@.c360_require_one_of('tier', c360_set_tier.tier, '{new,silver,gold,platinum,blacklist}');
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id, c.phone, c.tier, c.tier_locked INTO old FROM c360.customers AS c WHERE c.phone = wanted FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    ELSIF old.tier = c360_set_tier.tier AND old.tier_locked = wanted_lock THEN
        RETURN;
    END IF;
    UPDATE c360.customers AS c SET tier = c360_set_tier.tier, tier_locked = wanted_lock, updated_at = clock_timestamp(),
        blacklisted_at = CASE WHEN c360_set_tier.tier = 'blacklist' THEN coalesce(c.blacklisted_at, now()) END
    WHERE c.id = old.id;
    -- what is not locked follows the scores again
    INSERT INTO c360.rfm_queue (customer_id) VALUES (old.id);
    IF old.tier <> c360_set_tier.tier THEN
        INSERT INTO c360.rfm_history (customer_id, day, from_segment, to_segment, from_tier, to_tier)
        SELECT old.id, (clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, s.segment, s.segment, old.tier, c360_set_tier.tier
        FROM c360.customers AS c LEFT JOIN c360.customer_rfm AS s ON s.customer_id = c.id WHERE c.id = old.id;
    END IF;
    PERFORM @extschema@.c360_write_activity('customers',
        CASE WHEN old.tier = c360_set_tier.tier THEN 'customer.updated' ELSE 'customer.tier_changed' END,
        old.id, 'customer', old.id::text,
        jsonb_build_object('phone', old.phone, 'from', old.tier, 'to', c360_set_tier.tier, 'tier_locked', wanted_lock,
                           'reason', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_tier(text, text, boolean, text) IS
'Sets the tier of a customer by hand; also how a blacklist is made or lifted.

phone: any spelling. tier: new, silver, gold, platinum or blacklist. locked: whether scoring leaves it as it is; NULL = true. reason: 500 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, not_allowed; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_set_status(phone text, status text, locked boolean DEFAULT true, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_set_status.phone);
    wanted_lock constant boolean := coalesce(c360_set_status.locked, true);
    why constant text := @extschema@.c360_require_text('reason', c360_set_status.reason, 500, false);
    old record;
BEGIN
    PERFORM @extschema@.c360_require_one_of('status', c360_set_status.status,
                                            '{"Bình thường","Bom hàng","Cảnh báo","Nguy hiểm",VIP}');
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id, c.phone, c.status, c.status_locked, c.tpos_fields INTO old
    FROM c360.customers AS c WHERE c.phone = wanted FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    ELSIF old.status = c360_set_status.status AND old.status_locked = wanted_lock
        AND NOT 'status' = ANY (old.tpos_fields) THEN
        RETURN;
    END IF;
    UPDATE c360.customers AS c SET status = c360_set_status.status, status_locked = wanted_lock,
        tpos_fields = array_remove(c.tpos_fields, 'status'), updated_at = clock_timestamp()
    WHERE c.id = old.id;
    IF old.status <> c360_set_status.status OR old.status_locked <> wanted_lock THEN
        PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', old.id, 'customer', old.id::text,
            jsonb_build_object('phone', old.phone, 'changes', CASE WHEN old.status = c360_set_status.status THEN '{}'::jsonb
                                   ELSE jsonb_build_object('status', jsonb_build_object('from', old.status,
                                                                                        'to', c360_set_status.status)) END,
                               'status_locked', wanted_lock, 'reason', why));
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_set_status(text, text, boolean, text) IS
'Sets the status of a customer by hand.

phone: any spelling. status: Bình thường, Bom hàng, Cảnh báo, Nguy hiểm or VIP. locked: whether point of sale leaves it as it is; NULL = true. reason: 500 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, not_allowed; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_change_phone(phone text, new_phone text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_change_phone.phone);
    new_number constant text := @extschema@.c360_require_phone(c360_change_phone.new_phone);
    why constant text := @extschema@.c360_require_text('reason', c360_change_phone.reason, 500, true);
    actor constant text := @extschema@.c360_current_actor();
    changed bigint := @extschema@.c360_require_customer(c360_change_phone.phone);
    violated text;
BEGIN
    IF wanted = new_number THEN
        RETURN;
    END IF;
    PERFORM @extschema@.c360_become_owner();
    -- a wallet that never moved has no row yet; without it a first deposit would have the wallet and wait for
    -- the customer
    INSERT INTO c360.customer_wallets (customer_id) VALUES (changed) ON CONFLICT DO NOTHING;
    PERFORM FROM c360.customer_wallets AS w WHERE w.customer_id = changed FOR NO KEY UPDATE;
    PERFORM FROM c360.customers AS c WHERE c.id = changed AND c.phone = wanted FOR UPDATE;
    IF NOT FOUND THEN           -- somebody was faster
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    BEGIN
        UPDATE c360.customers AS c SET phone = new_number, updated_at = clock_timestamp(),
            carrier = CASE WHEN c.carrier IS DISTINCT FROM @extschema@.c360_phone_carrier(wanted) THEN c.carrier
                           ELSE @extschema@.c360_phone_carrier(new_number) END
        WHERE c.id = changed;
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        IF violated <> 'customers_phone_key' THEN
            RAISE;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'phone belongs to another customer',
            DETAIL = 'phone_taken: ' || new_number;
    END;
    INSERT INTO c360.customer_phones (phone, customer_id, until, reason, changed_by)
    VALUES (wanted, changed, clock_timestamp(), why, actor);
    PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', changed, 'customer', changed::text,
        jsonb_build_object('phone', new_number, 'changes', jsonb_build_object('phone',
                               jsonb_build_object('from', wanted, 'to', new_number)), 'reason', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_change_phone(text, text, text) IS
'Gives a customer another phone number. Search finds him by the old one, too; bank transfers and all other functions know the new one only.

phone: his number now, any spelling. new_phone: any spelling; the same number changes nothing. reason: 1 to 500 characters.
Errors: PT404 customer_not_found; PT409 phone_taken; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_add_note(phone text, content text, category text DEFAULT 'general', pinned boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_add_note.phone);
    actor constant text := @extschema@.c360_current_actor();
    kind constant text := coalesce(c360_add_note.category, 'general');
    owner_id bigint;
    note bigint;
BEGIN
    PERFORM @extschema@.c360_require_text('content', c360_add_note.content, 2000, true);
    PERFORM @extschema@.c360_require_one_of('category', kind, '{general,warning,important,follow_up}');
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id INTO owner_id FROM c360.customers AS c WHERE c.phone = wanted FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    INSERT INTO c360.customer_notes (customer_id, content, category, pinned, created_by, created_at)
    VALUES (owner_id, c360_add_note.content, kind, coalesce(c360_add_note.pinned, false), actor, clock_timestamp())
    RETURNING id INTO note;
    PERFORM @extschema@.c360_write_activity('customers', 'customer.note_added', owner_id, 'note', note::text,
        jsonb_build_object('phone', wanted, 'category', kind, 'pinned', coalesce(c360_add_note.pinned, false)));
    RETURN note;
END $$;
COMMENT ON FUNCTION @extschema@.c360_add_note(text, text, text, boolean) IS
'Adds a note to a customer.

phone: any spelling. content: 1 to 2,000 characters. category: general, warning, important or follow_up. pinned: whether it stands before the others.
Answer: id of the note.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, blank, not_allowed; 22001 too_long; 25006 read only; 55000 not installed.';

-- Reading. Money is NULL for callers below agent.

CREATE FUNCTION @extschema@.c360_customers(phones text[] DEFAULT NULL, ids bigint[] DEFAULT NULL)
RETURNS SETOF @extschema@.c360_customer_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    wanted text[];
BEGIN
    IF c360_customers.phones IS NULL AND c360_customers.ids IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: phones or ids';
    ELSIF cardinality(c360_customers.phones) > 1000 OR cardinality(c360_customers.ids) > 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = 'too_many: at most 1000 phones and 1000 ids';
    END IF;
    SELECT array_agg(@extschema@.c360_require_phone(p)) INTO wanted
    FROM unnest(c360_customers.phones) AS p WHERE p IS NOT NULL;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.id, c.phone, c.name, c.email, c.address, c.carrier, c.status, c.tier, c.status_locked, c.tier_locked,
           c.tags, c.aliases, c.tpos_id, c.created_source, c.internal_note,
           CASE WHEN sees_money THEN coalesce(w.balance + w.virtual_balance, 0) END, c.created_at, c.updated_at
    FROM c360.customers c LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    WHERE (c.id = ANY (c360_customers.ids) OR c.phone = ANY (wanted)) AND c.erased_at IS NULL
    ORDER BY c.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_customers(text[], bigint[]) IS
'Many customers, by phones, ids or both, in order of id; unknown and erased ones are left out.

phones: any spelling, 1,000 at most. ids: 1,000 at most.
Answer: rows of c360_customer_row; wallet_total in đồng, NULL for callers below agent.
Errors: 22004 missing_argument; 22023 invalid_phone, too_many; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_recent_customers(max_rows integer DEFAULT 20) RETURNS SETOF @extschema@.c360_customer_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', coalesce(c360_recent_customers.max_rows, 20), 1, 1000);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.id, c.phone, c.name, c.email, c.address, c.carrier, c.status, c.tier, c.status_locked, c.tier_locked,
           c.tags, c.aliases, c.tpos_id, c.created_source, c.internal_note,
           CASE WHEN sees_money THEN coalesce(w.balance + w.virtual_balance, 0) END, c.created_at, c.updated_at
    FROM c360.customers c LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    WHERE c.erased_at IS NULL
    ORDER BY c.created_at DESC, c.id DESC LIMIT coalesce(c360_recent_customers.max_rows, 20);
END $$;
COMMENT ON FUNCTION @extschema@.c360_recent_customers(integer) IS
'The customers created last, newest first.

max_rows: 1 to 1,000.
Answer: rows of c360_customer_row; wallet_total in đồng, NULL for callers below agent.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_activities(phone text, before_id bigint DEFAULT NULL, max_rows integer DEFAULT 50)
RETURNS SETOF @extschema@.c360_activity_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_activities.phone);
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', coalesce(c360_activities.max_rows, 50), 1, 1000);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT a.id, a.topic, a.event, a.reference_type, a.reference_id,
           CASE WHEN sees_money THEN a.payload ELSE a.payload - 'amount' END, a.actor, a.created_at
    FROM c360.customer_activities a
    WHERE a.customer_id = wanted AND a.id < coalesce(c360_activities.before_id, 9223372036854775807)
      AND (sees_money OR a.topic NOT IN ('wallets', 'bank'))
    ORDER BY a.id DESC LIMIT coalesce(c360_activities.max_rows, 50);
END $$;
COMMENT ON FUNCTION @extschema@.c360_activities(text, bigint, integer) IS
'The timeline of a customer, newest first, in pages.

phone: any spelling. before_id: the last id of the page before; NULL = from the newest. max_rows: 1 to 1,000.
Answer: rows of c360_activity_row; what concerns wallets and bank, and the amounts of orders, are left out for callers below agent.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_customer(phone text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_customer.phone);
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    customer jsonb;
    wallet jsonb;
    rfm jsonb;
    tickets jsonb;
    activities jsonb;
    notes jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT jsonb_build_object(
               'id', c.id, 'phone', c.phone, 'name', c.name, 'email', c.email, 'address', c.address, 'carrier', c.carrier,
               'status', c.status, 'tier', c.tier, 'status_locked', c.status_locked, 'tier_locked', c.tier_locked,
               'tags', c.tags, 'aliases', c.aliases, 'tpos_id', c.tpos_id, 'created_source', c.created_source,
               'internal_note', c.internal_note, 'created_at', c.created_at, 'updated_at', c.updated_at,
               'former_phones', ARRAY(SELECT f.phone FROM c360.customer_phones f WHERE f.customer_id = c.id
                                      ORDER BY f.until DESC),
               'orders', jsonb_build_object(
                   'total', coalesce(o.total, 0), 'delivered', coalesce(o.delivered, 0),
                   'returned', coalesce(o.returned, 0), 'spent', CASE WHEN sees_money THEN coalesce(o.spent, 0) END,
                   'first_order_at', o.first_order_at, 'last_order_at', o.last_order_at,
                   'return_rate', round(100.0 * o.decided_returned / nullif(o.decided, 0), 2)),
               'flags', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                             'flag_id', f.id, 'rule', f.rule, 'severity', f.severity, 'action', f.action,
                             'status', f.status, 'times', f.times, 'found_at', f.found_at) ORDER BY f.id), '[]')
                         FROM c360.fraud_flags f
                         WHERE f.customer_id = c.id AND f.mode = 'on' AND f.status <> 'dismissed'),
               -- why: the flag that did it, else what was said when it was done by hand
               'blacklist', CASE WHEN c.tier = 'blacklist' THEN coalesce(
                   (SELECT jsonb_build_object('since', f.acted_at, 'reason', f.rule, 'flag_id', f.id, 'by', 'fraud scan')
                    FROM c360.fraud_flags f
                    WHERE f.customer_id = c.id AND f.acted_at = c.blacklisted_at AND f.status <> 'dismissed' LIMIT 1),
                   (SELECT jsonb_build_object('since', c.blacklisted_at, 'reason', a.payload ->> 'reason', 'flag_id', NULL,
                                              'by', a.actor)
                    FROM c360.customer_activities a
                    WHERE a.customer_id = c.id AND a.event = 'customer.tier_changed' AND a.payload ->> 'to' = 'blacklist'
                    ORDER BY a.id DESC LIMIT 1),
                   jsonb_build_object('since', c.blacklisted_at, 'reason', NULL, 'flag_id', NULL, 'by', NULL)) END)
    INTO customer
    FROM c360.customers c LEFT JOIN c360.customer_order_totals o ON o.customer_id = c.id
    WHERE c.id = wanted;
    IF sees_money THEN
        SELECT jsonb_build_object(
                   'balance', coalesce(w.balance, 0), 'virtual_balance', coalesce(w.virtual_balance, 0),
                   'available', CASE WHEN w.frozen_at IS NOT NULL THEN 0
                                     WHEN customer ->> 'tier' = 'blacklist' THEN coalesce(w.balance, 0)
                                     ELSE coalesce(w.balance, 0) + l.usable END,
                   'frozen', w.frozen_at IS NOT NULL, 'total_deposited', coalesce(w.total_deposited, 0),
                   'total_withdrawn', coalesce(w.total_withdrawn, 0),
                   'total_virtual_issued', coalesce(w.total_virtual_issued, 0),
                   'total_virtual_used', coalesce(w.total_virtual_used, 0),
                   'total_virtual_expired', coalesce(w.total_virtual_expired, 0), 'lots', l.lots)
        INTO wallet
        FROM (SELECT coalesce(sum(v.remaining_amount) FILTER (WHERE v.expires_at > clock_timestamp()), 0)::bigint AS usable,
                     coalesce(jsonb_agg(jsonb_build_object(
                         'credit_id', v.id, 'amount', v.remaining_amount, 'expires_at', v.expires_at, 'kind', v.kind,
                         'source_id', v.source_id, 'original_amount', v.original_amount) ORDER BY v.expires_at, v.id), '[]') AS lots
              FROM c360.virtual_credits v WHERE v.customer_id = wanted AND v.status = 'ACTIVE') AS l
        LEFT JOIN c360.customer_wallets w ON w.customer_id = wanted;
    END IF;
    SELECT jsonb_build_object(
               'r', s.r, 'f', s.f, 'm', s.m, 'overall', round((s.r + s.f + s.m) / 3.0, 2), 'segment', s.segment,
               'frequency', s.frequency, 'monetary', CASE WHEN sees_money THEN s.monetary END, 'last_order_on', s.last_on,
               'previous_segment', h.from_segment, 'segment_since', h.at)
    INTO rfm
    FROM c360.customer_rfm s
    LEFT JOIN LATERAL (SELECT k.from_segment, k.at FROM c360.rfm_history k
                       WHERE k.customer_id = wanted AND k.from_segment IS DISTINCT FROM k.to_segment
                       ORDER BY k.id DESC LIMIT 1) h ON true
    WHERE s.customer_id = wanted;
    -- one pass over his tickets; of those that are long closed only the count is told
    SELECT jsonb_build_object(
               'total', count(*), 'open', count(*) FILTER (WHERE t.is_open),
               'by_status', jsonb_build_object(
                   'new', count(*) FILTER (WHERE t.status = 'new'),
                   'processing', count(*) FILTER (WHERE t.status = 'processing'),
                   'waiting_carrier', count(*) FILTER (WHERE t.status = 'waiting_carrier'),
                   'completed', count(*) FILTER (WHERE t.status = 'completed'),
                   'cancelled', count(*) FILTER (WHERE t.status = 'cancelled')),
               'open_tickets', coalesce(jsonb_agg(t.told ORDER BY t.id DESC) FILTER (WHERE t.is_open), '[]'),
               'last', coalesce(jsonb_agg(t.told ORDER BY t.id DESC) FILTER (WHERE t.place <= 10), '[]'))
    INTO tickets
    FROM (SELECT s.id, s.status, s.is_open, s.place,
                 CASE WHEN s.is_open OR s.place <= 10 THEN jsonb_build_object(
                     'id', s.id, 'ticket_code', s.ticket_code, 'type', s.type, 'status', s.status, 'priority', s.priority,
                     'order_code', s.order_code, 'subject', s.subject, 'deadline', s.deadline, 'assignee', s.assignee,
                     'created_at', s.created_at, 'completed_at', s.completed_at) END AS told
          FROM (SELECT k.*, k.status IN ('new', 'processing', 'waiting_carrier') AS is_open,
                       row_number() OVER (ORDER BY k.id DESC) AS place
                FROM c360.customer_tickets k WHERE k.customer_id = wanted AND k.deleted_at IS NULL) AS s) AS t;
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'id', a.id, 'topic', a.topic, 'event', a.event, 'reference_type', a.reference_type,
               'reference_id', a.reference_id,
               'payload', CASE WHEN sees_money THEN a.payload ELSE a.payload - 'amount' END, 'actor', a.actor, 'created_at', a.created_at)
               ORDER BY a.id DESC), '[]')
    INTO activities
    FROM (SELECT * FROM c360.customer_activities y
          WHERE y.customer_id = wanted AND (sees_money OR y.topic NOT IN ('wallets', 'bank'))
          ORDER BY y.id DESC LIMIT 20) AS a;
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'id', n.id, 'content', n.content, 'category', n.category, 'pinned', n.pinned,
               'created_by', n.created_by, 'created_at', n.created_at) ORDER BY n.pinned DESC, n.id DESC), '[]')
    INTO notes
    FROM (SELECT * FROM c360.customer_notes e WHERE e.customer_id = wanted
          ORDER BY e.pinned DESC, e.id DESC LIMIT 50) AS n;
    RETURN jsonb_build_object('customer', customer, 'wallet', wallet, 'rfm', rfm, 'tickets', tickets,
                              'activities', activities, 'notes', notes);
END $$;
COMMENT ON FUNCTION @extschema@.c360_customer(text) IS
'All about one customer in one call: profile with order statistics, wallet with its ACTIVE lots, scores, tickets, timeline, notes.

phone: any spelling.
Answer: an object with the keys customer (with former_phones, orders, flags of fraud rules that are not dismissed, and blacklist: since when, why and by whom), wallet (null for callers below agent), rfm (as of the last refresh; null without a score), tickets (total, open, by_status, open_tickets, the last 10), activities (the last 20; what concerns wallets and bank, and the amounts of orders, are left out for callers below agent), notes (pinned first, then newest first, 50 at most); amounts in đồng.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_export_customer(phone text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant bigint := @extschema@.c360_require_customer(c360_export_customer.phone);
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN (SELECT jsonb_build_object(
        'customer', to_jsonb(c) - '{name_folded,email_folded,address_folded,tpos_fields,erased_at}'::text[],
        'former_phones', (SELECT coalesce(jsonb_agg(to_jsonb(f) - 'customer_id' ORDER BY f.until), '[]')
                          FROM c360.customer_phones f WHERE f.customer_id = c.id),
        'wallet', (SELECT to_jsonb(w) - 'customer_id' FROM c360.customer_wallets w WHERE w.customer_id = c.id),
        'credits', (SELECT coalesce(jsonb_agg(to_jsonb(v) - 'customer_id' ORDER BY v.id), '[]')
                    FROM c360.virtual_credits v WHERE v.customer_id = c.id),
        'wallet_transactions',
            (SELECT coalesce(jsonb_agg(to_jsonb(t) - '{customer_id,arguments_digest,session_user_name}'::text[]
                             || jsonb_build_object('lots', (SELECT coalesce(jsonb_agg(to_jsonb(u) - 'transaction_id' ORDER BY u.position), '[]')
                                                            FROM c360.virtual_credit_uses u WHERE u.transaction_id = t.id))
                             ORDER BY t.created_at, t.id), '[]')
             FROM c360.wallet_transactions t WHERE t.customer_id = c.id),
        'orders', (SELECT coalesce(jsonb_agg(to_jsonb(o) - '{customer_id,xact}'::text[] ORDER BY o.ordered_at, o.id), '[]')
                   FROM c360.customer_orders o WHERE o.customer_id = c.id),
        'order_totals', (SELECT to_jsonb(o) - 'customer_id' FROM c360.customer_order_totals o WHERE o.customer_id = c.id),
        'rfm', (SELECT to_jsonb(s) - '{customer_id,next_on}'::text[] FROM c360.customer_rfm s WHERE s.customer_id = c.id),
        'rfm_history', (SELECT coalesce(jsonb_agg(to_jsonb(r) - '{id,customer_id}'::text[] ORDER BY r.id), '[]')
                        FROM c360.rfm_history r WHERE r.customer_id = c.id),
        'tickets', (SELECT coalesce(jsonb_agg(to_jsonb(k) - 'customer_id'
                               || jsonb_build_object('history', (SELECT coalesce(jsonb_agg(to_jsonb(h) - 'ticket_id' ORDER BY h.id), '[]')
                                                                 FROM c360.ticket_history h WHERE h.ticket_id = k.id))
                               ORDER BY k.id), '[]')
                    FROM c360.customer_tickets k WHERE k.customer_id = c.id),
        'notes', (SELECT coalesce(jsonb_agg(to_jsonb(n) - 'customer_id' ORDER BY n.id), '[]')
                  FROM c360.customer_notes n WHERE n.customer_id = c.id),
        'bank_transactions',
            -- what is another's now is not told to him
            (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                 'link', to_jsonb(l) - 'customer_id', 'transaction', to_jsonb(b),
                                 'differences', (SELECT coalesce(jsonb_agg(to_jsonb(d) - 'bank_transaction_id' ORDER BY d.received_at), '[]')
                                                 FROM c360.balance_history_differences d WHERE d.bank_transaction_id = b.id))
                             ORDER BY l.id), '[]')
             FROM c360.bank_links l
             LEFT JOIN c360.balance_history b ON b.id = l.bank_transaction_id AND NOT EXISTS (
                 SELECT FROM c360.bank_links o
                 WHERE o.bank_transaction_id = b.id AND o.customer_id <> c.id AND o.unlinked_at IS NULL)
             WHERE l.customer_id = c.id),
        'fraud_flags', (SELECT coalesce(jsonb_agg(to_jsonb(f) - '{customer_id,counted,activity_id}'::text[] ORDER BY f.id), '[]')
                        FROM c360.fraud_flags f WHERE f.customer_id = c.id),
        'fraud_snoozes', (SELECT coalesce(jsonb_agg(to_jsonb(z) - 'customer_id' ORDER BY z.id), '[]')
                          FROM c360.fraud_snoozes z WHERE z.customer_id = c.id),
        'qr_codes', (SELECT coalesce(jsonb_agg(to_jsonb(q) - 'customer_id' ORDER BY q.created_at), '[]')
                     FROM c360.balance_customer_info q WHERE q.customer_id = c.id),
        'activities', (SELECT coalesce(jsonb_agg(to_jsonb(a) - '{customer_id,xact,session_user_name}'::text[] ORDER BY a.id), '[]')
                       FROM c360.customer_activities a WHERE a.customer_id = c.id))
        FROM c360.customers c WHERE c.id = wanted);
END $$;
COMMENT ON FUNCTION @extschema@.c360_export_customer(text) IS
'Everything that is kept of one customer, as one object, to be handed out to him.

phone: any spelling.
Answer: an object with the keys customer, former_phones, wallet, credits, wallet_transactions (with lots), orders, order_totals, rfm, rfm_history, tickets (with history), notes, bank_transactions (link, transaction, differences; of a transfer that is another''s now only the link), fraud_flags, fraud_snoozes, qr_codes, activities; amounts in đồng.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_erase_customer(phone text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := @extschema@.c360_require_phone(c360_erase_customer.phone);
    why constant text := @extschema@.c360_require_text('reason', c360_erase_customer.reason, 500, true);
    erased constant bigint := @extschema@.c360_require_customer(c360_erase_customer.phone);
    numbers text[];
    number text;
    spelled text;       -- pattern of his numbers as they may be written in a transfer
    transfers bigint[];
    wallet record;
    left_over text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- flags, transfers and tickets before the wallet, as when one is reviewed, linked or resolved;
    -- all before the customer, so that no money comes while we look; a wallet
    -- that never moved has no row yet
    PERFORM FROM c360.fraud_flags AS f WHERE f.customer_id = erased ORDER BY f.id FOR UPDATE;
    numbers := ARRAY(SELECT f.phone FROM c360.customer_phones AS f WHERE f.customer_id = erased) || wanted;
    -- a former number may be another's now
    spelled := '([^0-9]|^)(?:(?:(?:00|[+]) ?)?84[ .-]?0?|0)?(?:'
        || (SELECT string_agg(regexp_replace(substr(n, 2), '([0-9])(?=[0-9])', E'\\1[ .-]?', 'g'), '|') FROM unnest(numbers) AS n
            WHERE NOT EXISTS (SELECT FROM c360.customers AS c WHERE c.phone = n AND c.id <> erased)) || ')(?![0-9])';
    SELECT array_agg(l.id) INTO transfers
    FROM (SELECT b.id FROM c360.balance_history AS b
          WHERE b.id IN (SELECT k.bank_transaction_id FROM c360.bank_links AS k WHERE k.customer_id = erased)
             OR b.content ~ spelled OR b.raw_data::text ~ spelled
          ORDER BY b.id FOR NO KEY UPDATE) AS l;
    PERFORM FROM c360.customer_tickets AS t WHERE t.customer_id = erased ORDER BY t.id FOR UPDATE;
    INSERT INTO c360.customer_wallets (customer_id) VALUES (erased) ON CONFLICT DO NOTHING;
    SELECT w.balance, w.virtual_balance INTO wallet FROM c360.customer_wallets AS w
    WHERE w.customer_id = erased FOR NO KEY UPDATE;
    PERFORM FROM c360.customers AS c WHERE c.id = erased AND c.phone = wanted FOR UPDATE;
    IF NOT FOUND THEN           -- somebody was faster
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: phone ' || wanted;
    END IF;
    left_over := CASE
        WHEN wallet.balance <> 0 THEN format('balance_left: %s in real money', wallet.balance)
        WHEN EXISTS (SELECT FROM c360.virtual_credits AS v WHERE v.customer_id = erased AND v.status = 'ACTIVE')
            THEN format('credits_active: %s in credit', wallet.virtual_balance)
        WHEN EXISTS (SELECT FROM c360.customer_tickets AS t WHERE t.customer_id = erased AND t.deleted_at IS NULL
                     AND t.status IN ('new', 'processing', 'waiting_carrier'))
            THEN 'tickets_open: the customer has open tickets' END;
    IF left_over IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'customer cannot be erased yet', DETAIL = left_over;
    END IF;

    UPDATE c360.customers AS c SET phone = NULL, name = '', name_folded = '', email = NULL, email_folded = NULL,
        address = NULL, address_folded = NULL, carrier = NULL, tags = '{}', aliases = '{}', tpos_id = NULL, tpos_data = NULL,
        tpos_fields = '{}', internal_note = NULL, erased_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE c.id = erased;
    DELETE FROM c360.customer_phones AS f WHERE f.customer_id = erased;
    UPDATE c360.customer_notes AS n SET content = '' WHERE n.customer_id = erased;
    UPDATE c360.ticket_history AS h SET note = NULL, details = NULL
    FROM c360.customer_tickets AS t WHERE t.customer_id = erased AND h.ticket_id = t.id;
    UPDATE c360.customer_tickets AS t SET subject = NULL, description = NULL, products = NULL, attachments = NULL,
        tracking_code = NULL, reason = NULL, delete_reason = NULL
    WHERE t.customer_id = erased;
    -- Transfers that are his, that once were and are nobody else's since, or that name his number and could be
    -- nobody else's: their texts go. Of others that name it only the number goes.
    WITH named AS (
        SELECT b.id FROM c360.balance_history AS b
        WHERE b.id = ANY (transfers) AND (b.content ~ spelled OR b.raw_data::text ~ spelled)),
    others AS (
        SELECT n.id FROM named AS n
        WHERE EXISTS (SELECT FROM c360.bank_links AS o
                      WHERE o.bank_transaction_id = n.id AND o.customer_id <> erased AND o.unlinked_at IS NULL)
           OR EXISTS (SELECT FROM c360.pending_customer_matches AS m, jsonb_array_elements(m.candidates) AS k
                      WHERE m.bank_transaction_id = n.id AND m.status = 'pending' AND k ->> 'value' <> ALL (numbers))),
    his AS (
        SELECT l.bank_transaction_id AS id FROM c360.bank_links AS l
        WHERE l.customer_id = erased AND NOT EXISTS (
            SELECT FROM c360.bank_links AS o
            WHERE o.bank_transaction_id = l.bank_transaction_id AND o.customer_id <> erased AND o.unlinked_at IS NULL)
        UNION
        SELECT n.id FROM named AS n WHERE n.id NOT IN (SELECT o.id FROM others AS o)),
    differences AS (
        UPDATE c360.balance_history_differences AS d SET raw_data = '{}' FROM his WHERE d.bank_transaction_id = his.id),
    links AS (
        UPDATE c360.bank_links AS l SET reason = NULL FROM his
        WHERE l.bank_transaction_id = his.id AND l.reason IS NOT NULL),
    matches AS (
        UPDATE c360.pending_customer_matches AS m SET candidates = '[]', reason = NULL FROM his
        WHERE m.bank_transaction_id = his.id),
    matches_of_others AS (
        UPDATE c360.pending_customer_matches AS m
        SET candidates = (SELECT coalesce(jsonb_agg(k.value ORDER BY k.ordinality), '[]')
                          FROM jsonb_array_elements(m.candidates) WITH ORDINALITY AS k WHERE k.value ->> 'value' <> ALL (numbers))
        FROM others WHERE m.bank_transaction_id = others.id AND others.id NOT IN (SELECT h.id FROM his AS h)),
    -- by 0, since that stays JSON where the number stood without quotes
    texts_of_others AS (
        UPDATE c360.balance_history AS b SET content = regexp_replace(b.content, spelled, E'\\10', 'g'),
            description = regexp_replace(b.description, spelled, E'\\10', 'g'), code = regexp_replace(b.code, spelled, E'\\10', 'g'),
            sub_account = regexp_replace(b.sub_account, spelled, E'\\10', 'g'),
            reference_code = regexp_replace(b.reference_code, spelled, E'\\10', 'g'),
            raw_data = regexp_replace(b.raw_data::text, spelled, E'\\10', 'g')::jsonb,
            decision = regexp_replace(b.decision::text, spelled, E'\\10', 'g')::jsonb
        FROM others WHERE b.id = others.id AND others.id NOT IN (SELECT h.id FROM his AS h))
    UPDATE c360.balance_history AS b SET content = NULL, description = NULL, code = NULL, sub_account = NULL,
        reference_code = NULL, raw_data = '{}', decision = NULL, error = NULL
    FROM his WHERE b.id = his.id;
    -- told again with his number, whatever the transfer itself says
    UPDATE c360.balance_history_differences AS d SET raw_data = regexp_replace(d.raw_data::text, spelled, E'\\10', 'g')::jsonb
    WHERE d.raw_data::text ~ spelled;
    UPDATE c360.bank_links AS l SET reason = NULL WHERE l.customer_id = erased;
    UPDATE c360.balance_customer_info AS q SET retired_at = clock_timestamp()
    WHERE q.customer_id = erased AND q.retired_at IS NULL;
    UPDATE c360.fraud_flags AS f SET note = NULL WHERE f.customer_id = erased AND f.note IS NOT NULL;
    UPDATE c360.fraud_snoozes AS z SET note = NULL WHERE z.customer_id = erased AND z.note IS NOT NULL;
    DELETE FROM c360.fraud_rechecks AS r WHERE r.customer_id = erased;
    UPDATE c360.customer_activities AS a SET payload = '{}' WHERE a.customer_id = erased AND a.payload <> '{}';
    DELETE FROM c360.event_streams AS s
    WHERE s.channels && ARRAY(SELECT 'wallet:' || n FROM unnest(numbers) AS n);
    FOREACH number IN ARRAY numbers LOOP
        UPDATE c360.audit_logs AS g SET detail = replace(g.detail, number, '(erased)') WHERE strpos(g.detail, number) > 0;
    END LOOP;
    PERFORM @extschema@.c360_write_activity('customers', 'customer.erased', erased, 'customer', erased::text,
                                            jsonb_build_object('reason', why));
END $$;
COMMENT ON FUNCTION @extschema@.c360_erase_customer(text, text) IS
'Blanks all that is personal of a customer: his fields and numbers, notes, texts of tickets and bank transfers, details of the timeline. The ledger stays as it is; his number is free for a new customer.

phone: any spelling. reason: 1 to 500 characters; it is kept, so it names nobody.
Errors: PT404 customer_not_found; PT409 balance_left, credits_active, tickets_open; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';
