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
-- Trigrams end with the word, so an index of them finds customers that have
-- all words of "le loi ha noi" somewhere: tens of thousands, where the street
-- and the city are frequent, to be looked at one by one for whether the words
-- adjoin. In the index of names and addresses a j stands for each blank, a
-- letter that Vietnamese does not have: "lejloijhajnoi" is one word, and what
-- adjoins is in it. Whom a j of his own brings along is left out when his rank
-- is looked at.
--
-- What has no trigram (two letters) or begins with what has none (a letter and
-- a comma) is looked for at the beginnings of words, two digits at the end of
-- the phone, besides that walk.

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
    walk constant integer := 2000 + 50 * least(greatest(most, 0), 360);
    candidates constant integer := 1000;
    beyond constant text := chr(1114111);      -- after every character
    q constant text := @extschema@.c360_fold(c360_search_customers.query);
    q_like constant text := replace(replace(replace(q, E'\\', E'\\\\'), '%', E'\\%'), '_', E'\\_');
    by_trigram constant boolean := q ~ '[a-z0-9]{3}|[a-z0-9]{2}[^a-z0-9]|[^a-z0-9][a-z0-9]';
    at_words constant boolean := q ~ '^[a-z0-9]{2}$|^[a-z0-9][^a-z0-9 ]';
    middle constant text := CASE WHEN at_words THEN '% ' ELSE '%' END || q_like || '%';
    -- for the index of trigrams
    joined_middle constant text := replace(middle, ' ', 'j');
    joined_beginning constant text := replace(q_like, ' ', 'j') || '%';
    digits text;
    exact text;         -- a whole phone
    beginning text;     -- of a phone
    part text;          -- of a phone
    former jsonb;       -- customers with such a former number, by id, and their rank
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
        IF digits ~ '^0084.' OR q ~ '^[+] *84.' THEN
            digits := '0' || regexp_replace(digits, '^(00)?840?', '');
        END IF;
        beginning := CASE WHEN exact IS NOT NULL THEN exact
                          WHEN digits ~ '^84.' THEN '0' || regexp_replace(digits, '^840?', '') ELSE digits END;
        part := coalesce(exact, digits);
        beginning := CASE WHEN char_length(beginning) >= 2 THEN beginning END;
        part := CASE WHEN char_length(part) >= 2 THEN part END;
    END IF;

    PERFORM @extschema@.c360_become_owner();
    IF part IS NOT NULL THEN
        SELECT jsonb_object_agg(f.customer_id, f.rank) INTO former
        FROM (SELECT n.customer_id, max(CASE WHEN n.phone = exact THEN 100 WHEN starts_with(n.phone, beginning) THEN 95
                                             WHEN strpos(n.phone, part) > 0 THEN 90 END) AS rank
              FROM ((SELECT * FROM c360.customer_phones p WHERE char_length(part) > 2 AND p.phone LIKE '%' || part || '%'
                     LIMIT candidates)
                    UNION ALL
                    (SELECT * FROM c360.customer_phones p WHERE char_length(part) = 2 AND strpos(p.phone, part) > 0
                     LIMIT candidates)
                    UNION ALL
                    (SELECT * FROM c360.customer_phones p WHERE p.phone ~>=~ beginning AND p.phone ~<~ (beginning || beyond)
                     LIMIT candidates)) AS n
              GROUP BY n.customer_id) AS f
        WHERE f.rank IS NOT NULL;
    END IF;
    FOREACH r IN ARRAY ARRAY[100, 95, 90, 85, 80, 70, 50, 30] LOOP
        needed := most - cardinality(ids);
        EXIT WHEN needed <= 0;
        CONTINUE WHEN r > after_rank OR (r = 100 AND exact IS NULL) OR (r = 95 AND beginning IS NULL)
                   -- a longer part is a whole phone or its beginning
                   OR (r = 90 AND (part IS NULL OR char_length(part) > 9));
        from_id := CASE WHEN r = after_rank THEN after_id ELSE 0 END;
        found_ids := NULL;
        candidate_ids := NULL;

        -- an index that orders by what we look for
        IF r = 100 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.phone = exact);
        ELSIF r = 95 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                   WHERE c.phone ~>=~ beginning AND c.phone ~<~ (beginning || beyond)
                                   ORDER BY c.phone USING ~<~ LIMIT candidates + 1);
        ELSIF r = 85 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c WHERE c.name_folded = q AND c.id > from_id
                                   ORDER BY c.id LIMIT CASE WHEN part IS NULL THEN needed ELSE candidates END);
        ELSIF r = 80 THEN
            candidate_ids := ARRAY(SELECT c.id FROM c360.customers c
                                   WHERE c.name_folded ~>=~ q AND c.name_folded ~<~ (q || beyond)
                                   ORDER BY c.name_folded USING ~<~, c.id LIMIT candidates + 1);
        END IF;

        -- a walk along the primary key; long numbers are rare in names, emails and addresses
        IF cardinality(candidate_ids) > candidates OR (r IN (90, 70, 50, 30) AND (r = 90 OR coalesce(char_length(part), 0) < 5)) THEN
            found_ids := ARRAY(
                SELECT c.id
                FROM (SELECT * FROM c360.customers w WHERE w.id > from_id ORDER BY w.id LIMIT walk) c
                WHERE r = greatest((former ->> c.id::text)::integer, CASE
                    WHEN c.phone = own.exact THEN 100
                    WHEN starts_with(c.phone, own.beginning) THEN 95
                    WHEN strpos(c.phone, own.part) > 0 THEN 90
                    WHEN c.name_folded = q THEN 85
                    WHEN starts_with(c.name_folded, q) THEN 80
                    WHEN strpos(c.name_folded, q) > 0 THEN 70
                    WHEN strpos(c.email_folded, q) > 0 THEN 50
                    WHEN strpos(c.address_folded, q) > 0 THEN 30 END)
                ORDER BY c.id LIMIT needed);
            IF cardinality(found_ids) = needed THEN
                ids := ids || found_ids;
                ranks := ranks || array_fill(r, ARRAY[needed]);
                CONTINUE;
            END IF;
        END IF;

        -- Candidates by index; of the branches only the one of this rank is run. What is in the middle of a text
        -- is not frequent here (id + 0: by the index of the text, not of the id).
        found_ids := found_ids || ARRAY(
            SELECT DISTINCT c.id
            FROM (SELECT k.* FROM unnest(candidate_ids) AS u JOIN c360.customers k ON k.id = u
                  UNION ALL
                  SELECT k.* FROM jsonb_each_text(former) AS f JOIN c360.customers k ON k.id = f.key::bigint WHERE r >= 90
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 90 AND by_trigram AND char_length(part) > 2
                   AND k.phone LIKE '%' || part || '%' AND k.id + 0 > from_id LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 90 AND char_length(part) = 2
                   AND reverse(k.phone) ~>=~ reverse(part) AND reverse(k.phone) ~<~ (reverse(part) || beyond) LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 70 AND (by_trigram OR at_words)
                   AND replace(k.name_folded, ' ', 'j') LIKE joined_middle AND k.id + 0 > from_id LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 50 AND by_trigram
                   AND k.email_folded LIKE middle AND k.id + 0 > from_id LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 50 AND NOT by_trigram
                   AND k.email_folded ~>=~ q AND k.email_folded ~<~ (q || beyond) LIMIT candidates)
                  UNION ALL
                  (SELECT * FROM c360.customers k WHERE r = 30 AND (by_trigram OR at_words)
                   AND (replace(k.address_folded, ' ', 'j') LIKE joined_middle
                        OR at_words AND replace(k.address_folded, ' ', 'j') LIKE joined_beginning)
                   AND k.id + 0 > from_id LIMIT candidates)) AS c
            WHERE c.id > from_id AND c.id <> ALL (coalesce(found_ids, '{}'))
              AND r = greatest((former ->> c.id::text)::integer, CASE
                    WHEN c.phone = own.exact THEN 100
                    WHEN starts_with(c.phone, own.beginning) THEN 95
                    WHEN strpos(c.phone, own.part) > 0 THEN 90
                    WHEN c.name_folded = q THEN 85
                    WHEN starts_with(c.name_folded, q) THEN 80
                    WHEN strpos(c.name_folded, q) > 0 THEN 70
                    WHEN strpos(c.email_folded, q) > 0 THEN 50
                    WHEN strpos(c.address_folded, q) > 0 THEN 30 END)
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
