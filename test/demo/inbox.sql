-- What the bank told: contents of real form (test/data/transfers.tsv, by line)
-- as the payloads that SePay posts. :code is a customer's QR code; it stands
-- in for the one in the file. Transfer 8 names two phones, 12 is 3 told
-- again.

CREATE TEMP TABLE contents (line integer GENERATED ALWAYS AS IDENTITY (START 2),
                            content text, decides_by text, value text);
\copy contents (content, decides_by, value) FROM '../data/transfers.tsv' (FORMAT csv, HEADER, DELIMITER E'\t', QUOTE E'\b', NULL '\N')

CREATE TEMP TABLE inbox AS
SELECT n, jsonb_build_object(
           'id', 92704000 + n,
           'gateway', gateway,
           'transactionDate', to_char((now() AT TIME ZONE 'Asia/Ho_Chi_Minh') - (30 - n) * interval '1 minute',
                                      'YYYY-MM-DD HH24:MI:SS'),
           'accountNumber', '75918',
           'transferType', type,
           'transferAmount', amount,
           'content', replace(content, 'N2ABCD1234EFGH5678', :'code') || coalesce(more, ''),
           'referenceCode', 'FT' || 26155000 + n) AS payload
FROM (VALUES (1,  32, 'MBBank',      'in',  200000, NULL),
             (2,  13, 'Vietcombank', 'in',  150000, NULL),
             (3,  11, 'MoMo',        'in',  100000, NULL),
             (4,   5, 'ACB',         'in',  320000, NULL),
             (5,  37, 'Techcombank', 'in',   90000, NULL),
             (6,  34, 'Vietcombank', 'in',   75000, NULL),
             (7,   7, 'MBBank',      'in',   60000, NULL),
             (8,  33, 'ACB',         'in',  250000, ' cho 0905555555'),
             (9,  17, 'Vietcombank', 'in',   45000, NULL),
             (10, 21, 'MBBank',      'in',  500000, NULL),
             (11,  6, 'ACB',         'out', 180000, NULL)) AS plan (n, line, gateway, type, amount, more)
JOIN contents USING (line)
ORDER BY n;
INSERT INTO inbox SELECT 12, payload FROM inbox WHERE n = 3;
