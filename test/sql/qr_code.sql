-- QR codes of customers.  Phones 0916.

SELECT c360_get_or_create_customer('0916000001') > 0 AS created, c360_get_or_create_customer('0916000002') > 0 AS created;
SELECT c360_create_qr_code('0916000001') AS code, c360_create_qr_code('0916 000 002') AS other \gset
-- N2 and 16 letters or digits, as the parser reads it; each customer his own
SELECT :'code' ~ '^N2[0-9A-Z]{16}$' AS form, :'code' <> :'other' AS own,
       (SELECT kind || confidence FROM c360_parse_transfer('CK ' || lower(:'code') || ' ok')) AS parsed;
-- one live code: asking again answers the same and leaves nothing behind
SELECT c360_create_qr_code('+84916000001') = :'code' AS same;
SELECT c.phone, b.code IN (:'code', :'other') AS known, b.created_by = session_user AS by_us, b.retired_at
FROM c360.balance_customer_info b JOIN c360.customers c ON c.id = b.customer_id WHERE c.phone LIKE '0916%' ORDER BY c.phone;
SELECT event, payload = jsonb_build_object('phone', '0916000001', 'qr_code', :'code') AS payload
FROM c360.customer_activities WHERE customer_id = test.customer('0916000001') AND event = 'customer.updated';
-- a new one after the old one is retired
UPDATE c360.balance_customer_info SET retired_at = now() WHERE code = :'code';
SELECT c360_create_qr_code('0916000001') AS newer \gset
SELECT :'newer' <> :'code' AS new, c360_create_qr_code('0916000001') = :'newer' AS same;

-- Codes are random: letters and digits at each place.
SELECT count(*) AS codes, count(DISTINCT code) AS distinct,
       (SELECT bool_and(n > 15) FROM (SELECT count(DISTINCT substr(c, place, 1)) AS n
                                      FROM unnest(array_agg(code)) AS c, generate_series(3, 18) AS place GROUP BY place) AS p) AS random
FROM (SELECT c360_create_qr_code(phone) AS code
      FROM (SELECT phone, c360_get_or_create_customer(phone) AS id
            FROM (SELECT '0916' || n AS phone FROM generate_series(100001, 100200) AS n) AS p OFFSET 0) AS q
      WHERE id > 0) AS codes;

-- Only for customers.
SELECT test.error_of($$SELECT c360_create_qr_code('0916000009')$$);
SELECT test.error_of($$SELECT c360_create_qr_code('no phone')$$);
SELECT test.error_of($$SELECT c360_create_qr_code(NULL)$$);
SELECT count(*) FROM c360.customers WHERE phone = '0916000009';
