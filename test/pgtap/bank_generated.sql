-- Contents of transfers made up from the forms that banks use, with known
-- truth: who sent each, or that nobody is named. A third names nobody but has
-- amounts, dates, order codes and account numbers in unmarked places. Counted
-- by form: what holds a usable key never goes to another customer and nearly
-- always to the right one or to a list with him; of the others almost nothing
-- is linked. \set customers and contents before, to run it at another size.
\if :{?customers} \else \set customers 30000 \endif
\if :{?contents} \else \set contents 10000 \endif
BEGIN;
\ir tools.psql
SELECT no_plan();

SELECT setseed(0.20260102) \g /dev/null
-- phones of every carrier, no two alike; ANALYZE tells how many there are
INSERT INTO c360.customers (phone, name, carrier)
SELECT phone, 'Khách', c360_phone_carrier(phone)
FROM (SELECT DISTINCT (ARRAY['086','096','097','098','032','033','034','035','036','037','038','039','088','091','094','081','082','083','084','085',
                             '089','090','093','070','076','077','078','079','056','058','092','059','099','087'])[1 + floor(random() * 34)]
                      || lpad(floor(random() * 10000000)::text, 7, '0') AS phone
      FROM generate_series(1, :customers)) AS p \g /dev/null
ANALYZE c360.customers;
SELECT c360_ignore_number('75918', 'our account') \g /dev/null

CREATE TEMP TABLE pool AS SELECT row_number() OVER (ORDER BY id) AS n, id, phone FROM c360.customers WHERE phone IS NOT NULL;
CREATE UNIQUE INDEX ON pool (n);
SELECT count(*) AS pool FROM pool \gset
-- codes of some
INSERT INTO c360.balance_customer_info (code, customer_id, created_by)
SELECT 'N2' || upper(substr(md5(n::text), 1, 16)), id, 'test' FROM pool WHERE n <= 2000;

-- Forms with a key: %s stands for the sender's. whole phones, codes, then parts.
CREATE TEMP TABLE forms (form text PRIMARY KEY, kind text, key text, content text);
INSERT INTO forms VALUES
    ('phone alone', 'phone', 'phone', '%s'), ('phone and words', 'phone', 'phone', 'CK %s tien hang'), ('phone, ACB', 'phone', 'phone', 'ACB;75918;NGUYEN VAN A %s-GD 123456'),
    ('phone, Techcombank', 'phone', 'phone', 'NGUYEN THI B chuyen tien %s FT26145253410062'), ('phone, MBVCB', 'phone', 'phone', 'MBVCB.14546195952.249371.%s coc ao.CT tu 0141000830000 NGUYEN THI A toi 75918'),
    ('phone, MoMo', 'phone', 'phone', '113524023776-0396510000-%s tra no'), ('phone, CT DEN', 'phone', 'phone', 'CT DEN:0123456789 ND:%s'),
    ('phone +84', 'phone', '+84', 'tra tien %s'), ('phone with dots', 'phone', 'dots', 'mua hang %s cam on'), ('phone with blanks', 'phone', 'blanks', 'sdt %s ok'),
    ('phone and amount', 'phone', 'phone', '%s ck 850000'), ('phone and date', 'phone', 'phone', 'ngay 250526 %s'), ('phone and order', 'phone', 'phone', 'don NJD/2026/12345 sdt %s'),
    ('code', 'code', 'code', '%s'), ('code in words', 'code', 'code', 'thanh toan %s GD 6145IBT1kCSKDLAU'), ('code and phone', 'code', 'code', '%s 0901234567'),
    ('9 digits', 'part', '9', '%s tien hang'), ('8 digits', 'part', '8', 'chuyen tien %s'), ('7 digits', 'part', '7', 'IB VO TRINH %s'), ('6 digits', 'part', '6', 'IBFT %s tien hang'),
    ('5 digits', 'part', '5', 'QR - %s'), ('6 digits marked', 'part', '6', 'coc shop judy-GD-%s-040626-10:11:12'), ('5 digits marked', 'part', '5', 'GD 850000 - %s-GD TIEN HANG'),
    ('7 digits marked', 'part', '7', 'ACB;75918;CustomerName-GD-%s-250526-16:14:51'), ('6 digits, MBVCB', 'part', '6', 'MBVCB.12459068036.249370.%s.CT tu 0141000830000 NGUYEN THI A toi 75918'),
    ('6 digits, MoMo', 'part', '6', '113524023776-0396510000-%s'), ('6 digits and amount', 'part', '6', 'tien hang %s ck {amount}'), ('6 digits and noise', 'part', '6', '%s tam GD 5363IBT1fW6EKWXV'),
    -- nobody's
    ('words', 'none', '', 'chuyen tien mua hang'), ('amount', 'none', '', 'ck {amount} tien hang'), ('thousands', 'none', '', 'chuyen {thousands} tien coc'),
    ('amount in thousands', 'none', '', 'tien hang {short} ok'), ('date', 'none', '', 'tien hang ngay {date}'), ('order', 'none', '', 'don hang DH{order} ship'),
    ('order in words', 'none', '', 'ma don {order}'), ('account', 'none', '', 'tu tk {account} NGUYEN VAN A'), ('long account', 'none', '', '{long} chuyen khoan'),
    ('order with slash', 'none', '', 'NJD/2026/{order}'), ('bank noise', 'none', '', 'LE THI C FT{long} GD {order}IBT1kCM75CHV 250526-17:35:38'), ('two numbers', 'none', '', 'don {order} tk {account}');
CREATE TEMP TABLE told AS
WITH numbered AS (SELECT form, kind, key, content, row_number() OVER (PARTITION BY kind = 'none' ORDER BY form) - 1 AS place,
                         count(*) OVER (PARTITION BY kind = 'none') AS places FROM forms)
SELECT i, f.form, f.kind, p.id AS customer_id, p.phone, a.amount,
       replace(replace(replace(replace(replace(replace(replace(
           CASE f.key WHEN '' THEN f.content ELSE format(f.content,
               CASE f.key WHEN 'phone' THEN p.phone WHEN '+84' THEN '+84' || substr(p.phone, 2)
                    WHEN 'dots' THEN substr(p.phone, 1, 4) || '.' || substr(p.phone, 5, 3) || '.' || substr(p.phone, 8)
                    WHEN 'blanks' THEN substr(p.phone, 1, 4) || ' ' || substr(p.phone, 5, 3) || ' ' || substr(p.phone, 8)
                    WHEN 'code' THEN 'N2' || upper(substr(md5(p.n::text), 1, 16)) ELSE right(p.phone, f.key::integer) END) END,
           '{amount}', a.amount::text), '{thousands}', (10 + floor(random() * 990))::text || '000'), '{short}', (a.amount / 1000)::text),
           '{date}', to_char(date '2026-01-07' + floor(random() * 300 - 150)::integer, 'DDMMYY')), '{order}', floor(10000 + random() * 9990000)::bigint::text),
           '{account}', floor(100000000 * (1 + random() * 99))::bigint::text), '{long}', floor(100000000000 * (1 + random() * 99))::bigint::text) AS content
FROM generate_series(1, :contents) AS i
CROSS JOIN LATERAL (SELECT i % 3 = 0 AS nobody, (random() * 0 + i / 3)::bigint AS turn) AS t
JOIN numbered f ON (f.kind = 'none') = t.nobody AND f.place = (CASE WHEN t.nobody THEN t.turn ELSE i - t.turn END) % f.places
CROSS JOIN LATERAL (SELECT 1 + (floor(random() * :pool)::bigint + i) % CASE f.kind WHEN 'code' THEN 2000 ELSE :pool END AS n) AS w
JOIN pool p ON p.n = w.n
CROSS JOIN LATERAL (SELECT (10 + floor(random() * 2000 + i * 0))::bigint * 1000 AS amount) AS a;
SELECT is(count(*), :contents::bigint, 'contents') FROM told;
SELECT cmp_ok(count(*) FILTER (WHERE kind = 'none'), '>=', (:contents / 3)::bigint, 'a third of them names nobody') FROM told;

CREATE TEMP TABLE outcome AS
SELECT t.*, r.result, r.customer_id AS found
FROM told t, c360_ingest_bank_transaction(jsonb_build_object('id', 7000000 + t.i, 'gateway', 'MB', 'transactionDate', '2026-01-07 10:00:00',
    'accountNumber', '75918', 'content', t.content, 'transferType', 'in', 'transferAmount', t.amount)) AS r;
ALTER TABLE outcome ADD listed boolean;
UPDATE outcome o SET listed = EXISTS (SELECT FROM c360.balance_history b JOIN c360.pending_customer_matches m ON m.bank_transaction_id = b.id,
    jsonb_array_elements(m.candidates) AS e WHERE b.sepay_id = 7000000 + o.i AND e -> 'customers' @> to_jsonb(o.customer_id));

SELECT diag(format('%-22s %5s contents: %5s linked right, %3s linked wrong, %5s pending with the sender, %4s pending without, %5s unmatched',
            form, count(*), count(*) FILTER (WHERE result = 'deposited' AND found = customer_id AND kind <> 'none'),
            count(*) FILTER (WHERE result = 'deposited' AND (found <> customer_id OR kind = 'none')),
            count(*) FILTER (WHERE result = 'pending' AND listed AND kind <> 'none'), count(*) FILTER (WHERE result = 'pending' AND NOT (listed AND kind <> 'none')),
            count(*) FILTER (WHERE result = 'unmatched')))
FROM outcome GROUP BY kind, form ORDER BY kind, form;
SELECT is_empty($$SELECT content, phone, found FROM outcome WHERE kind <> 'none' AND result = 'deposited' AND found <> customer_id$$,
                'what holds a usable key is never linked to another customer');
SELECT cmp_ok(round(100.0 * count(*) FILTER (WHERE result = 'deposited' OR result = 'pending' AND listed) / count(*), 2), '>=', 95.0,
              '95 % and more of them are linked, or pending with the right one listed') FROM outcome WHERE kind <> 'none';
SELECT cmp_ok(round(100.0 * count(*) FILTER (WHERE result = 'deposited' OR result = 'pending' AND listed) / count(*), 2), '>=', 90.0,
              'and of each form: ' || form) FROM outcome WHERE kind <> 'none' GROUP BY form ORDER BY form;
SELECT is(count(*) FILTER (WHERE result <> 'deposited'), 0::bigint, 'whole phones and codes are linked at once') FROM outcome WHERE kind IN ('phone', 'code');
SELECT cmp_ok(round(100.0 * count(*) FILTER (WHERE result = 'deposited') / count(*), 3), '<=', 0.1, 'of those that name nobody at most 0.1 % are linked')
FROM outcome WHERE kind = 'none';
SELECT is(count(*) FILTER (WHERE result = 'failed'), 0::bigint, 'none failed') FROM outcome;
SELECT is_empty('SELECT * FROM c360_reconcile_bank(''2026-01-07'', ''2026-01-07'')', 'all that was linked was deposited once');
SELECT * FROM finish();
ROLLBACK;
