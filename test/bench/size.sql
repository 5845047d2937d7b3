-- The load behind the figures of doc/operations.md, "Sizing", and the figures.
-- In an empty database with c360: psql -X -d sizes -f test/bench/size.sql
\set QUIET on
\pset footer off
CREATE TEMP TABLE who AS SELECT g, '09' || lpad((g * 13)::text, 8, '1') AS phone FROM generate_series(1, 20000) AS g;
SELECT count(*) FROM who, LATERAL c360_deposit(phone, 500000, note => 'hai muoi') \g /dev/null
SELECT count(*) FROM who, LATERAL c360_issue_credit(phone, 50000, 'PROMOTION', 'tet') \g /dev/null
SELECT count(*) FROM who, LATERAL c360_withdraw(phone, 70000, 'DH-' || g, idempotency_key => 'pay-DH-' || g) \g /dev/null
SELECT count(*) FROM who, LATERAL c360_record_order(phone, 'DH-' || g, 70000, now(), 'delivered') \g /dev/null
SELECT count(*) FROM who, LATERAL c360_create_ticket(phone, 'OTHER', 'DH-' || g, 'subject', 'a description of some forty characters..')
WHERE g <= 5000 \g /dev/null
SELECT count(*) FROM who, LATERAL c360_ingest_bank_transaction(jsonb_build_object('id', g, 'gateway', 'VCB',
    'transactionDate', '2026-01-01 00:00:00', 'accountNumber', '0123', 'transferType', 'in', 'transferAmount', 1000,
    'content', 'NGUYEN VAN A ' || phone || ' chuyen tien')) WHERE g <= 5000 \g /dev/null
VACUUM ANALYZE;
SELECT c.relname, c.reltuples::bigint AS rows, round(pg_total_relation_size(c.oid) / c.reltuples) AS bytes_each
FROM pg_class c WHERE c.relnamespace = 'c360'::regnamespace AND c.relkind = 'r' AND c.reltuples > 1000 ORDER BY c.relname;
