-- c360's side of peers.sql: the same wallets and lots, by c360's own functions.
\set ON_ERROR_STOP on
CREATE EXTENSION c360;
SELECT c360_install();
SELECT c360_set('max_amount', '0');
SELECT count(c360_deposit('09' || lpad(i::text, 8, '0'), 1000000000000)) FROM generate_series(1, 100000) i;
SELECT count(c360_issue_credit('09' || lpad(i::text, 8, '0'), 500, expires_at => now() + interval '10 days'))
FROM generate_series(2, 100000, 2) i;
SELECT count(c360_issue_credit('09' || lpad(i::text, 8, '0'), 1000000000, expires_at => now() + interval '15 days'))
FROM generate_series(2, 100000, 2) i;
VACUUM ANALYZE;
