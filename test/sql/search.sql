-- Search: ranks, order, pages, plain characters.  Phones 0296 and 0297.
CREATE FUNCTION test.search(query text, max_rows integer DEFAULT 20, after text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s.rank || ' ' || s.name, ', ' ORDER BY s.n)
    FROM (SELECT * FROM c360_search_customers(query, max_rows, after) WITH ORDINALITY AS t
              (customer_id, phone, name, tier, status, wallet_total, rank, cursor, n)) AS s
$$;
SELECT count(c360_upsert_customer(phone, name, email, address)) FROM (VALUES
    ('02963331001', 'Quỷnh Xoài Đỏ', 'xoai@fruit.vn', '5 Ngõ Xyzzy, Hà Nội'),
    ('02963331002', 'Quỳnh Xoài', NULL, NULL),
    ('02963331003', 'Bà Quỳnh Xoài', NULL, NULL),
    ('02963332961', 'Zq%_ Gạch', 'quynh.xoai@fruit.vn', NULL),
    ('02973331001', 'Zqab Gạch', NULL, '7 Quỳnh Xoài'),
    ('02973331002', 'Plugh', 'plugh@xyzzy.vn', NULL)) AS t (phone, name, email, address);
SELECT test.search('QUỲNH XOÀI'), test.search('quynh xoai') = test.search(normalize('  Quỳnh   xoài ', NFD)) AS same;
-- each customer once, at his best rank; email before address
SELECT test.search('xyzzy');
SELECT test.search('fruit');
SELECT test.search('uỳnh xoài');
-- phones in any spelling: whole, beginning, part, end
SELECT test.search('02963331001') AS whole, test.search('+84 296 333 1001') AS country, test.search('(0296) 333.1001') AS dots;
SELECT test.search('0296333') AS beginning, test.search('+84 296 333') AS country, test.search('84296333') AS digits;
SELECT test.search('6333100') AS part;
SELECT test.search('33322', 20) AS none, test.search('3332961') AS "end";
SELECT test.search('０２９６ ３３３ １００１') AS full_width;
-- a former number is found like the one of today, at the same rank
SELECT c360_change_phone('02963331002', '02973339999', 'moved');
SELECT test.search('02963331002') AS whole, test.search('0296333') AS beginning, test.search('6333100') AS part, test.search('02973339999') AS today;
-- % and _ are plain
SELECT test.search('zq%_'), test.search('q%_'), test.search('zq'), test.search('%_ g'), test.search('z_ab');
-- two letters: anywhere in the name; two digits: at the end of the phone, too
SELECT test.search('lu') LIKE '%70 Plugh%' AS inside;
SELECT bool_or(phone = '02973339999') AS "end" FROM c360_search_customers('99', 1000);

-- Pages: each row once, in the same order, whatever the size.
CREATE FUNCTION test.search_pages(query text, max_rows integer) RETURNS TABLE (page integer, customer_id bigint, rank integer) LANGUAGE plpgsql AS $$
DECLARE
    last text;
BEGIN
    FOR n IN 1 .. 1000 LOOP
        page := n;
        FOR customer_id, rank, last IN SELECT s.customer_id, s.rank, s.cursor FROM c360_search_customers(query, max_rows, last) AS s LOOP
            RETURN NEXT;
        END LOOP;
        EXIT WHEN NOT FOUND;
    END LOOP;
END $$;
SELECT q, rows, (SELECT count(*) FROM test.search_pages(q, rows)) > 2 AS some,
       (SELECT array_agg(row(p.customer_id, p.rank)) FROM test.search_pages(q, rows) p)
       = (SELECT array_agg(row(s.customer_id, s.rank)) FROM c360_search_customers(q, 1000) s) AS same,
       (SELECT count(*) - count(DISTINCT customer_id) FROM test.search_pages(q, rows)) AS twice
FROM unnest('{quynh xoai,0296333,an,09,92}'::text[]) AS q, unnest('{1,2,7,97}'::integer[]) AS rows
WHERE rows > 10 OR q IN ('quynh xoai', '0296333')       -- others are many
ORDER BY q, rows;
-- against what the rules say, looked up the slow way
CREATE FUNCTION test.slow_search(query text) RETURNS TABLE (customer_id bigint, rank integer) LANGUAGE sql AS $$
    SELECT * FROM (
        SELECT c.id, CASE
            WHEN n.numbers && ARRAY[c360_normalize_phone(query)] THEN 100
            WHEN query ~ '^[0-9]+$' AND EXISTS (SELECT FROM unnest(n.numbers) p WHERE left(p, length(query)) = query) THEN 95
            WHEN query ~ '^[0-9]+$' AND EXISTS (SELECT FROM unnest(n.numbers) p WHERE position(query IN p) > 0) THEN 90
            WHEN c360_fold(c.name) = c360_fold(query) THEN 85
            WHEN left(c360_fold(c.name), length(c360_fold(query))) = c360_fold(query) THEN 80
            WHEN position(c360_fold(query) IN c360_fold(c.name)) > 0 THEN 70
            WHEN position(c360_fold(query) IN c360_fold(c.email)) > 0 THEN 50
            WHEN position(c360_fold(query) IN c360_fold(c.address)) > 0 THEN 30 END AS rank
        FROM c360.customers c,
             LATERAL (SELECT array_agg(p) AS numbers FROM (SELECT c.phone UNION ALL SELECT f.phone FROM c360.customer_phones f
                                                            WHERE f.customer_id = c.id) AS x (p)) n
        WHERE c.erased_at IS NULL) s
    WHERE s.rank IS NOT NULL ORDER BY s.rank DESC, s.id
$$;
SELECT q, (SELECT array_agg(row(w.customer_id, w.rank)) FROM test.slow_search(q) w)
          IS NOT DISTINCT FROM (SELECT array_agg(row(s.customer_id, s.rank)) FROM c360_search_customers(q, 1000) s) AS same
FROM unnest('{quynh,Xoài,xyzzy,fruit,vn,0296,333,3331,1001,02963331001,an,zq%_,ha noi,đỏ}'::text[]) AS q
ORDER BY q;

-- More customers than a rank looks at: no index gives all, pages still do.
BEGIN;
INSERT INTO c360.customers (phone, name, name_folded, address, address_folded)
SELECT '0298' || lpad(i::text, 7, '0'), 'Mngu ' || i, 'mngu ' || i, 'A Kqwz', 'a kqwz' FROM generate_series(1, 3500) AS i;
INSERT INTO c360.customers (phone, name, name_folded) SELECT '0299' || lpad(i::text, 7, '0'), 'Hiếm Jwx ' || i, 'hiem jwx ' || i FROM generate_series(1, 30) AS i;
ANALYZE c360.customers;
SELECT q, count(*), count(DISTINCT p.customer_id) FROM (VALUES ('mngu', 80), ('0298', 95), ('kqwz', 30)) AS t (q, r), test.search_pages(q, 500) p
WHERE p.rank = r GROUP BY q ORDER BY q;
-- rare ones far away are found
SELECT count(*), min(rank) FROM c360_search_customers('jwx', 100);
SELECT count(*), min(rank) FROM c360_search_customers('em jw', 10);
SELECT count(*), min(rank) FROM c360_search_customers('jw', 100);
SELECT count(*), min(rank) FROM c360_search_customers('0029', 100);
ROLLBACK;

-- Words that adjoin, and words that do not, are told apart by the index, beyond what the walk along the primary key sees.
BEGIN;
INSERT INTO c360.customers (phone, name, name_folded) SELECT '0298' || lpad(i::text, 7, '0'), 'Mngu ' || i, 'mngu ' || i FROM generate_series(1, 3500) AS i;
CREATE FUNCTION test.phrase(seed bigint, words integer, separators text[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((ARRAY['Lê', 'Lợi', 'Hà', 'Nội', 'an', 'Kim', 'j', 'lejloi', 'kimja', 'Bà'])[1 + abs(hashint8(seed * 100 + n)) % 10]
                      || CASE WHEN n < words THEN separators[1 + abs(hashint8(seed * 100 + n + 50)) % cardinality(separators)] ELSE '' END, '' ORDER BY n)
    FROM generate_series(1, words) AS n
$$;
INSERT INTO c360.customers (phone, name, name_folded, address, address_folded)
SELECT '0294' || lpad(p.i::text, 7, '0'), p.name, c360_fold(p.name), p.address, c360_fold(p.address)
FROM (SELECT i, 'Zz ' || test.phrase(i, 1 + i % 4, '{" "}') AS name,
             test.phrase(i + 5000, 2 + i % 6, ARRAY[' ', ', ', '-', '', ' j', ' 5 ']) AS address FROM generate_series(1, 2500) AS i) AS p;
ANALYZE c360.customers;
CREATE TABLE test.phrases AS
SELECT q, (SELECT array_agg(w.rank || ':' || w.id ORDER BY w.rank DESC, w.id)
           FROM (SELECT c.id, CASE WHEN name_folded = q THEN 85 WHEN starts_with(name_folded, q) THEN 80
                                   WHEN strpos(name_folded, q) > 0 THEN 70 WHEN strpos(email_folded, q) > 0 THEN 50 ELSE 30 END AS rank
                 FROM c360.customers c
                 WHERE strpos(name_folded, q) > 0 OR strpos(email_folded, q) > 0 OR strpos(address_folded, q) > 0
                 ORDER BY rank DESC, id LIMIT 20) AS w) AS should
FROM (SELECT DISTINCT c360_fold(test.phrase(i + 10000, 1 + i % 4, ARRAY[' ', ', ', '-', ''])) AS q FROM generate_series(1, 200) AS i) AS s
WHERE char_length(q) > 2 AND q !~ '^j[^a-z0-9 ]';       -- these are looked for at the beginnings of words
SELECT count(*) FILTER (WHERE should IS NULL) > 20 AS none, count(*) FILTER (WHERE cardinality(should) < 20) > 20 AS few,
       count(*) FILTER (WHERE cardinality(should) = 20) > 20 AS many, count(*) FILTER (WHERE q ~ '^j ') > 2 AS beginning_with_a_letter FROM test.phrases;
SELECT q, should, found FROM (SELECT q, should, (SELECT array_agg(s.cursor) FROM c360_search_customers(q) s) AS found FROM test.phrases) AS s
WHERE should IS DISTINCT FROM found ORDER BY q;
ROLLBACK;

-- Money is for those who may see it.
CREATE ROLE regress_c360_looker;
SELECT c360_grant('regress_c360_looker', 'viewer'), c360_deposit('02973331002', 300) IS NOT NULL AS deposited;
SELECT wallet_total FROM c360_search_customers('plugh');
SET ROLE regress_c360_looker;
SELECT wallet_total, phone FROM c360_search_customers('plugh');
SELECT wallet_total, phone FROM c360_customers('{02973331002}');
SELECT wallet_total, phone FROM c360_customer_list WHERE phone = '02973331002';
SELECT max(wallet_total) FROM c360_recent_customers(1000);
SELECT c360_customer('02973331002') -> 'wallet' AS wallet, c360_customer('02973331002') -> 'activities' @? '$[*] ? (@.topic == "wallets")' AS told;
SELECT DISTINCT topic FROM c360_activities('02973331002');
SELECT count(*) FROM c360_activity_list WHERE topic IN ('wallets', 'bank');
RESET ROLE;
SELECT count(*) > 0 AS some FROM c360_activity_list WHERE topic = 'wallets';
SELECT c360_revoke('regress_c360_looker');
DROP ROLE regress_c360_looker;

-- pg_trgm may be in any schema, and its index comes back.
BEGIN;
SET LOCAL client_min_messages = warning;
DROP EXTENSION pg_trgm CASCADE;
CREATE SCHEMA "Elsewhere";
CREATE EXTENSION pg_trgm SCHEMA "Elsewhere";
SELECT c360_install() <> '' AS installed;
SELECT test.search('quynh xoai');
DROP EXTENSION pg_trgm CASCADE;
SELECT c360_install() <> '' AS installed;
SELECT e.extnamespace::regnamespace, to_regclass('c360.customers_search_idx'), to_regclass('c360.customer_phones_search_idx')
FROM pg_extension e WHERE extname = 'pg_trgm';
-- who may not create it is told what to do
CREATE ROLE regress_c360_keeper;
DROP SCHEMA c360 CASCADE;
DROP EXTENSION pg_trgm CASCADE;
CREATE SCHEMA c360 AUTHORIZATION regress_c360_keeper;
GRANT USAGE ON SCHEMA test TO regress_c360_keeper;
GRANT EXECUTE ON FUNCTION c360_install, c360_refuse_change, c360_settings_changed, c360_write_activity TO regress_c360_keeper;
SET LOCAL ROLE regress_c360_keeper;
SELECT test.error_of('SELECT c360_install()');
ROLLBACK;

\pset format unaligned
\pset tuples_only on
SELECT test.error_of(command) FROM (VALUES
    (1, $$SELECT c360_search_customers(NULL)$$),
    (2, $$SELECT c360_search_customers('')$$),
    (3, $$SELECT c360_search_customers(' a ')$$),
    (4, $$SELECT c360_search_customers('an', 0)$$),
    (5, $$SELECT c360_search_customers('an', 1001)$$),
    (6, $$SELECT c360_search_customers('an', 1, 'x')$$),
    (7, $$SELECT c360_search_customers('an', 1, '99:1')$$),
    (8, $$SELECT c360_search_customers(repeat('a', 2001))$$)) AS t (n, command) ORDER BY n;

-- What a session says of backslashes in strings changes neither search nor checks.
\c -
SET escape_string_warning = off;
SET standard_conforming_strings = off;
SELECT c360_upsert_customer('02970009999', E'Gạch \\ Chéo_100%') ->> 'name' AS name;
SELECT query, (SELECT count(*) FROM c360_search_customers(query)) FROM unnest(ARRAY[E'h \\ c', 'h % c', 'eo_10', 'eo%10', '0%', '+84 297 000 9999']) AS query;
SELECT ticket_code AS code FROM c360_create_ticket('02970009999', 'OTHER', 'dh-backslash', reason => repeat('x', 300)) \gset
SELECT c360_update_ticket(:'code', '{"deadline": "2030-01-31T18:00:00+07:00", "order_code": "dh-slash"}') ->> 'order_code' AS order_code;
SELECT count(*) FROM c360_consolidated_transactions('02970009999', after => (SELECT cursor FROM c360_consolidated_transactions('02970009999', max_rows => 1)));
SELECT c360_ticket_action(:'code', 'cancel') ->> 'status' AS status;
SELECT c360_erase_customer('02970009999', 'asked');
