-- Search for customers.
--
-- A customer is found at his best rank. The ranks are gone through from the
-- best one down until there are enough rows. What a rank finds is ordered by
-- id, which no index of the text that is looked for can give; so of each rank
--
-- - an index of the text gives at most 1,000 candidates; if that is all there
--   are, they are the answer. Beginnings of phones and names are found so;
-- - what is in the middle of a text could cost an index of trigrams a long
--   list, if it is frequent. Then a short walk along the primary key finds
--   enough, so that goes first: 3,000 customers from where the page begins, for
--   20 rows. What is so rare that this was not enough is in a short list.
--
-- What has no trigram (two letters) is looked for at the beginnings of words,
-- two digits at the end of the phone, besides that walk.

CREATE FUNCTION @extschema@.c360_search_customers(query text, max_rows integer DEFAULT 20, after text DEFAULT NULL)
RETURNS TABLE (customer_id bigint, phone text, name text, tier text, status text, wallet_total bigint, rank integer, cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 20 SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
<<own>>
DECLARE
    sees_money constant boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    most constant integer := coalesce(c360_search_customers.max_rows, 20);
    walk constant integer := least(2000 + 50 * most, 20000);
    candidates constant integer := 1000;
    beyond constant text := chr(1114111);      -- after every character
    q constant text := @extschema@.c360_fold(c360_search_customers.query);
    q_like constant text := replace(replace(replace(q, '\', '\\'), '%', '\%'), '_', '\_');
    has_trigram constant boolean := q ~ '[a-z0-9]{3}|[a-z0-9]{2}[^a-z0-9]|[^a-z0-9][a-z0-9]';
    is_word constant boolean := q ~ '^[a-z0-9]{2}$';
    digits text;
    exact text;         -- a whole phone
    beginning text;     -- of a phone
    part text;          -- of a phone
    after_rank integer := 100;
    after_id bigint := 0;
    r integer;
    from_id bigint;
    needed integer;
    found_ids bigint[];
    candidate_ids bigint[];
    ids bigint[] := '{}';
    ranks integer[] := '{}';
BEGIN
    IF c360_search_customers.query IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: query';
    ELSIF char_length(q) < 2 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'query is too short',
            DETAIL = 'query_too_short: at least 2 characters are needed';
    END IF;
    PERFORM @extschema@.c360_require_text('query', c360_search_customers.query, 2000, false);
    PERFORM @extschema@.c360_require_range('max_rows', most, 1, 1000);
    IF after IS NOT NULL THEN
        IF after !~ '^(100|95|90|85|80|70|50|30):[0-9]{1,18}$' THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid cursor',
                DETAIL = 'invalid_cursor: after is the cursor of a row of this search';
        END IF;
        after_rank := split_part(after, ':', 1);
        after_id := split_part(after, ':', 2);
    END IF;

    -- what could be a phone
    IF q ~ '^[-+0-9 .()/]+$' THEN
        digits := regexp_replace(q, '[^0-9]', '', 'g');
        exact := @extschema@.c360_normalize_phone(q);
        IF digits ~ '^0084.' OR q ~ '^\+ *84.' THEN
            digits := '0' || regexp_replace(digits, '^(00)?840?', '');
        END IF;
        beginning := CASE WHEN exact IS NOT NULL THEN exact
                          WHEN digits ~ '^84.' THEN '0' || regexp_replace(digits, '^840?', '') ELSE digits END;
        part := coalesce(exact, digits);
        beginning := CASE WHEN char_length(beginning) >= 2 THEN beginning END;
        part := CASE WHEN char_length(part) >= 2 THEN part END;
    END IF;

    PERFORM @extschema@.c360_become_owner();
    FOREACH r IN ARRAY ARRAY[100, 95, 90, 85, 80, 70, 50, 30] LOOP
        needed := most - cardinality(ids);
        EXIT WHEN needed <= 0;
        CONTINUE WHEN r > after_rank OR (r = 100 AND exact IS NULL) OR (r = 95 AND beginning IS NULL)
                   OR (r = 90 AND part IS NULL);
        from_id := CASE WHEN r = after_rank THEN after_id ELSE 0 END;
        found_ids := NULL;
        candidate_ids := NULL;

        -- an index that orders by what we look for
        IF r = 100 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.phone = exact
                                   UNION SELECT f.customer_id FROM c360.customer_phones f WHERE f.phone = exact);
        ELSIF r = 95 THEN
            candidate_ids := ARRAY(
                (SELECT c.id FROM c360.customers c WHERE c.phone ~>=~ beginning AND c.phone ~<~ (beginning || beyond)
                 ORDER BY c.phone USING ~<~ LIMIT candidates + 1)
                UNION ALL
                (SELECT f.customer_id FROM c360.customer_phones f
                 WHERE f.phone ~>=~ beginning AND f.phone ~<~ (beginning || beyond)
                 ORDER BY f.phone USING ~<~ LIMIT candidates));
        ELSIF r = 85 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.name_folded = q AND c.id > from_id
                                   ORDER BY c.id LIMIT candidates);
        ELSIF r = 80 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                   WHERE c.name_folded ~>=~ q AND c.name_folded ~<~ (q || beyond)
                                   ORDER BY c.name_folded USING ~<~, c.id LIMIT candidates + 1);
        END IF;

        -- a walk along the primary key
        IF candidate_ids IS NULL OR (cardinality(candidate_ids) > candidates AND r IN (95, 80)) THEN
            found_ids := ARRAY(
                SELECT c.id
                FROM (SELECT * FROM c360.customers w WHERE w.id > from_id ORDER BY w.id LIMIT walk) c
                WHERE r = CASE WHEN own.part IS NULL
                               OR NOT EXISTS (SELECT FROM c360.customer_phones f WHERE f.customer_id = c.id) THEN
                    CASE WHEN c.phone = own.exact THEN 100
                         WHEN starts_with(c.phone, own.beginning) THEN 95
                         WHEN strpos(c.phone, own.part) > 0 THEN 90
                         WHEN c.name_folded = q THEN 85
                         WHEN starts_with(c.name_folded, q) THEN 80
                         WHEN strpos(c.name_folded, q) > 0 THEN 70
                         WHEN strpos(c.email_folded, q) > 0 THEN 50
                         WHEN strpos(c.address_folded, q) > 0 THEN 30 END
                    ELSE (
                    SELECT CASE WHEN c.phone = own.exact OR bool_or(f.phone = own.exact) THEN 100
                         WHEN starts_with(c.phone, own.beginning) OR bool_or(starts_with(f.phone, own.beginning)) THEN 95
                         WHEN strpos(c.phone, own.part) > 0 OR bool_or(strpos(f.phone, own.part) > 0) THEN 90
                         WHEN c.name_folded = q THEN 85
                         WHEN starts_with(c.name_folded, q) THEN 80
                         WHEN strpos(c.name_folded, q) > 0 THEN 70
                         WHEN strpos(c.email_folded, q) > 0 THEN 50
                         WHEN strpos(c.address_folded, q) > 0 THEN 30 END
                    FROM c360.customer_phones f WHERE f.customer_id = c.id) END
                ORDER BY c.id LIMIT needed);
            IF cardinality(found_ids) = needed THEN
                ids := ids || found_ids;
                ranks := ranks || array_fill(r, ARRAY[needed]);
                CONTINUE;
            END IF;
        END IF;

        -- what is in the middle, if it is not frequent (id + 0: by the index of the text, not of the id)
        IF r = 90 THEN
            IF has_trigram AND char_length(part) > 2 THEN
                candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.phone LIKE '%' || part || '%'
                                       AND c.id + 0 > from_id LIMIT candidates);
            ELSE
                candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                       WHERE reverse(c.phone) ~>=~ reverse(part) AND reverse(c.phone) ~<~ (reverse(part) || beyond)
                                       LIMIT candidates);
            END IF;
            candidate_ids := candidate_ids || ARRAY(SELECT f.customer_id FROM c360.customer_phones f
                                                    WHERE strpos(f.phone, part) > 0 LIMIT candidates);
        ELSIF r = 70 AND has_trigram THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.name_folded LIKE '%' || q_like || '%'
                                   AND c.id + 0 > from_id LIMIT candidates);
        ELSIF r = 70 AND is_word THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.name_folded LIKE '% ' || q_like || '%'
                                   AND c.id + 0 > from_id LIMIT candidates);
        ELSIF r = 50 AND has_trigram THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.email_folded LIKE '%' || q_like || '%'
                                   AND c.id + 0 > from_id LIMIT candidates);
        ELSIF r = 50 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                   WHERE c.email_folded ~>=~ q AND c.email_folded ~<~ (q || beyond)
                                   LIMIT candidates);
        ELSIF r = 30 AND has_trigram THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.address_folded LIKE '%' || q_like || '%'
                                   AND c.id + 0 > from_id LIMIT candidates);
        ELSIF r = 30 AND is_word THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                   WHERE (c.address_folded LIKE q_like || '%' OR c.address_folded LIKE '% ' || q_like || '%')
                                     AND c.id + 0 > from_id LIMIT candidates);
        END IF;
        found_ids := found_ids || ARRAY(
            SELECT c.id
            FROM (SELECT DISTINCT u AS id FROM unnest(candidate_ids) AS u WHERE u > from_id) u
            JOIN c360.customers c ON c.id = u.id
            CROSS JOIN LATERAL (
                SELECT coalesce(bool_or(f.phone = exact), false) AS exact, coalesce(bool_or(starts_with(f.phone, beginning)), false) AS beginning,
                       coalesce(bool_or(strpos(f.phone, part) > 0), false) AS part
                FROM c360.customer_phones f WHERE f.customer_id = c.id AND own.part IS NOT NULL) f
            WHERE c.id <> ALL (coalesce(found_ids, '{}'))
              AND r = CASE
                WHEN c.phone = own.exact OR f.exact THEN 100
                WHEN starts_with(c.phone, own.beginning) OR f.beginning THEN 95
                WHEN strpos(c.phone, own.part) > 0 OR f.part THEN 90
                WHEN c.name_folded = q THEN 85
                WHEN starts_with(c.name_folded, q) THEN 80
                WHEN strpos(c.name_folded, q) > 0 THEN 70
                WHEN strpos(c.email_folded, q) > 0 THEN 50
                WHEN strpos(c.address_folded, q) > 0 THEN 30 END
            ORDER BY c.id LIMIT needed);
        found_ids := (SELECT (array_agg(u ORDER BY u))[:needed] FROM unnest(found_ids) AS u);
        IF found_ids IS NOT NULL THEN
            ids := ids || found_ids;
            ranks := ranks || array_fill(r, ARRAY[cardinality(found_ids)]);
        END IF;
    END LOOP;

    RETURN QUERY
    SELECT c.id, c.phone, c.name, c.tier, c.status,
           CASE WHEN sees_money THEN coalesce(w.balance + w.virtual_balance, 0) END, f.rank, f.rank || ':' || c.id
    FROM unnest(ids, ranks) WITH ORDINALITY AS f (id, rank, place)
    JOIN c360.customers c ON c.id = f.id
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    ORDER BY f.place;
END $$;
COMMENT ON FUNCTION @extschema@.c360_search_customers(text, integer, text) IS
'Finds customers by phone in any spelling (former numbers, too), name with or without accents, email or address, the best ones first.

query: at least 2 characters; % and _ are plain ones. max_rows: 1 to 1,000. after: the cursor of the last row of the page before; NULL = from the beginning.
Answer: rows by rank (100 the phone, 95 its beginning, 90 part of it, 85 the name, 80 its beginning, 70 part of it, 50 part of the email, 30 part of the address) and within a rank by customer_id; each customer once, at his best rank; wallet_total (real and virtual balance, đồng) is NULL for callers below agent; cursor. Of parts that are neither frequent nor rare 1,000 customers of a rank are looked at.
Errors: 22004 missing_argument; 22023 query_too_short, out_of_range, invalid_cursor; 22001 too_long; 55000 not installed.';
