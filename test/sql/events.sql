-- Events by cursor where no publisher runs: cursors are snapshots.  Phones 0922.

CREATE FUNCTION test.names(after text, channels text[] DEFAULT NULL, max_rows integer DEFAULT NULL) RETURNS text
LANGUAGE sql VOLATILE AS $$
    SELECT string_agg(coalesce(e.payload ->> 'note', e.event), ' ' ORDER BY n)
    FROM c360_events_since(after, channels, max_rows) WITH ORDINALITY AS e (cursor, id, channel, event, payload, at, n)
$$;
-- the same, page by page
CREATE FUNCTION test.pages(after text, size integer, channels text[] DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    pages text[] := '{}';
    page text;
    last text;
BEGIN
    LOOP
        SELECT string_agg(coalesce(e.payload ->> 'note', e.event), ' ' ORDER BY n), (array_agg(e.cursor ORDER BY n DESC))[1]
        INTO page, last
        FROM c360_events_since(after, channels, size) WITH ORDINALITY AS e (cursor, id, channel, event, payload, at, n);
        EXIT WHEN last IS NULL;
        pages := pages || page;
        after := last;
    END LOOP;
    RETURN array_to_string(pages, ', ');
END $$;

-- Before everything: one row that says where "now" is.
SELECT id IS NULL AND channel IS NULL AND event IS NULL AND payload IS NULL AND at IS NULL AS only_a_cursor,
       cursor ~ '^\d+\.s\d+:\d+:\d+:\d+:[\d,]*$' AS of_a_snapshot
FROM c360_events_since();
SELECT cursor AS start FROM c360_events_since() \gset
SELECT count(*) FROM c360_events_since(:'start');
SELECT count(*) FROM c360_events_since(NULL, NULL, NULL);

-- One of each.
SELECT c360_get_or_create_customer('0929000001', 'Bà Năm') > 0 AS created;
SELECT balance FROM c360_deposit('0929000001', 500, note => 'deposit', reference_type => 'order', reference_id => 'DH1');
SELECT virtual_balance FROM c360_issue_credit('0929000001', 30, 'BOOM', 'one', '2099-01-01 UTC');
SELECT virtual_balance FROM c360_issue_credit('0929000001', 40, 'MANUAL', 'two', '2099-01-02 UTC');
SELECT transaction_id AS taken FROM c360_withdraw('0929000001', 150, 'DH2', 'withdraw') \gset
SELECT balance FROM c360_refund(:taken, 60, 'refund');
SELECT balance FROM c360_adjust('0929000001', -10, 'counted again');
SELECT virtual_balance FROM c360_cancel_credit(
    (SELECT id FROM c360.virtual_credits WHERE source_id = 'two' AND customer_id = test.customer('0929000001')), 'a mistake');
SELECT c360_freeze_wallet('0929000001', 'looked into');
SELECT c360_unfreeze_wallet('0929000001');
SELECT test.let_expire('0929000001', 'one');
SELECT expired_count FROM c360_expire_credits();
SELECT result FROM c360_ingest_bank_transaction('{"id": 922001, "gateway": "MB", "accountNumber": "1", "content": "0929000001",
    "transactionDate": "2025-05-26 16:14:51", "transferType": "in", "transferAmount": 1000}');
SELECT length(c360_create_qr_code('0929000001'));

-- Rows in order, named as channels and events of the manual, payloads without ids and times.
SELECT channel, event, payload ->> 'phone' AS phone, payload ->> 'balance' AS balance, payload ->> 'virtual_balance' AS virtual,
       (payload -> 'transaction') - 'id' - 'lots' AS transaction,
       (SELECT string_agg(lot ->> 'amount', ' ') FROM jsonb_array_elements(payload -> 'transaction' -> 'lots') AS lot) AS lots
FROM c360_events_since(:'start');
SELECT event, payload - '{event,id,cursor,at,phone,customer_id,balance,virtual_balance,transaction,qr_code,link_id,bank_transaction_id,transaction_id}'::text[] AS rest
FROM c360_events_since(:'start');
-- What stands beside the payload stands in it.
SELECT count(*) = 15 AS all, bool_and(e.payload ->> 'event' = e.event AND (e.payload ->> 'id')::bigint = e.id AND e.payload ->> 'cursor' = e.cursor
                AND (e.payload ->> 'at')::timestamptz = e.at) AS agree,
       count(*) FILTER (WHERE (e.payload ->> 'customer_id')::bigint = test.customer('0929000001')) AS his,
       bool_and(a.event = e.event AND a.topic = e.channel AND a.created_at = e.at) AS are_the_rows
FROM c360_events_since(:'start') AS e LEFT JOIN c360.customer_activities a ON a.id = e.id;
SELECT bool_and(t.id IS NOT NULL AND t.amount = (payload -> 'transaction' ->> 'amount')::bigint
                AND t.balance_after = (payload ->> 'balance')::bigint) AS transactions_are_ledger_rows
FROM c360_events_since(:'start', '{wallets}') AS e
LEFT JOIN c360.wallet_transactions t ON t.id = (e.payload -> 'transaction' ->> 'id')::bigint
WHERE e.event NOT IN ('wallet.frozen', 'wallet.unfrozen');

-- Pages of any size say the same, and a cursor in the middle goes on behind it.
SELECT size, replace(test.pages(:'start', size), ', ', ' ') = test.names(:'start') AS same
FROM unnest('{1,2,3,5,14,15,16,500}'::int[]) AS size;
SELECT test.pages(:'start', 4);
SELECT (array_agg(cursor ORDER BY id DESC))[1] AS second FROM c360_events_since(:'start', NULL, 2) \gset
SELECT test.names(:'second');
-- The last one knows all, and so does "now".
SELECT (array_agg(cursor ORDER BY id DESC))[1] AS last FROM c360_events_since(:'start') \gset
SELECT test.names(:'last') IS NULL AS nothing_new;
SELECT balance FROM c360_deposit('0929000001', 1, note => 'next');
SELECT test.names(:'last');
SELECT test.names(:'second') LIKE '% next' AS goes_on;

-- Channels
SELECT test.names(:'start', '{wallets}');
SELECT test.names(:'start', '{customers,bank}');
SELECT test.names(:'start', '{tickets}') IS NULL AS none;
SELECT test.names(:'start', '{}') IS NULL AS none;
SELECT replace(test.pages(:'start', 1, '{bank}'), ', ', ' ') = test.names(:'start', '{bank}') AS same;
SELECT balance FROM c360_deposit('0929000002', 2, note => 'another wallet');
SELECT spelling, test.names(:'last', ARRAY['wallet:' || spelling]) FROM unnest(ARRAY['0929000001', '+84 929 000 001', '84929000001',
    '929.000.001', '０９２９０００００１', '0929000002', '0929000099']) AS spelling;
SELECT DISTINCT channel FROM c360_events_since(:'last', '{wallet:+84929000001,wallet:0929000002}') ORDER BY 1;
SELECT DISTINCT channel FROM c360_events_since(:'last', '{wallets,wallet:0929000001}');
\pset tuples_only on
\pset format unaligned
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L, %L)', :'start', channels))
FROM unnest(ARRAY['{wallet}', '{Wallets}', '{""}', '{wallet:}', '{wallet:12}', '{wallets,"wallets "}', '{customer}', '{wallet:0929000001,xyz}']) AS channels;
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L, %L)', :'start', '{wallets,NULL}'));
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L, array_fill(%L::text, ARRAY[1001]))', :'start', 'wallets'));
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L, NULL, %s)', :'start', n)) FROM unnest('{0,-1,10001}'::int[]) AS n;
SELECT test.error_of(format('SELECT * FROM c360_events_since(NULL, NULL, 0)'));
SELECT test.error_of($$SELECT c360_open_stream('{nothing}')$$);

-- Cursors that are none, and those that do not hold
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L)', c)) FROM unnest(ARRAY['', 'x', '1', '1.', '.1', '1.2.3', '-1.1',
    '1.s', '1.s1:1:3:2:', '1.s1:1:1:3:5', '1.s1:1:1:3:2,1', '1.18446744073709551616', E'1.1\n', 'đ1.1',
    repeat('đ', 100)]) AS c;
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L)', regexp_replace(:'start', '^\d+', '1')));
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L)', split_part(:'start', '.', 1) || '.1'));
SELECT test.error_of(format('SELECT * FROM c360_events_since(%L)',
                            split_part(:'start', '.', 1) || '.s1:1:4611686018427387904:4611686018427387904:'));
\pset format aligned
\pset tuples_only off

-- A transaction does not read its own rows, and does not lose them.
BEGIN;
SELECT balance FROM c360_deposit('0929000003', 1, note => 'own');
SELECT cursor AS inside FROM c360_events_since() \gset
SELECT test.names(:'last');
SELECT test.names(:'inside') IS NULL AS nothing;
SAVEPOINT s;
SELECT balance FROM c360_deposit('0929000003', 1, note => 'undone');
ROLLBACK TO s;
SELECT balance FROM c360_deposit('0929000003', 1, note => 'again');
SELECT (array_agg(cursor ORDER BY id DESC))[1] AS partial FROM c360_events_since(:'last') \gset
COMMIT;
SELECT test.names(:'inside');
SELECT test.names(:'partial');
BEGIN;
SELECT balance FROM c360_deposit('0929000003', 1, note => 'rolled back');
ROLLBACK;
SELECT test.names(:'partial');
-- Under a snapshot of the transaction: what it may see, no more.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT cursor AS frozen FROM c360_events_since() \gset
SELECT test.names(:'partial');
COMMIT;
SELECT balance FROM c360_deposit('0929000003', 1, note => 'later');
SELECT test.names(:'frozen'), test.pages(:'frozen', 1);

-- Long texts are left out of the payload, and it says so; the timeline has them.
SELECT cursor AS before_long FROM c360_events_since() \gset
SELECT balance FROM c360_deposit('0929000004', 1, note => repeat('x', 2000));
SELECT balance FROM c360_deposit('0929000004', 1, note => repeat(U&'\+01F600', 2000));
SELECT balance FROM c360_deposit('0929000004', 1, note => repeat(chr(1), 2000));
SELECT count(c360_issue_credit('0929000004', 1, source_id => n::text)) FROM generate_series(1, 1000) AS n;
SELECT balance FROM c360_withdraw('0929000004', 1000, note => 'many lots');
SELECT event, payload -> 'truncated' AS truncated, length(payload ->> 'note') AS note,
       jsonb_array_length(payload -> 'transaction' -> 'lots') AS lots, octet_length(payload::text) < 8000 AS short
FROM c360_events_since(:'before_long') WHERE event IN ('wallet.deposit', 'wallet.withdraw');
SELECT length(payload ->> 'note') FROM c360.customer_activities
WHERE customer_id = test.customer('0929000004') AND event = 'wallet.deposit' ORDER BY id;

-- Statistics where no worker runs: all NULL.
SELECT * FROM c360_stat;

-- A payload with everything that JSON has comes as it was written.
SELECT cursor AS start FROM c360_events_since() \gset
INSERT INTO c360.customer_activities (xact, topic, event, payload, actor, session_user_name, created_at)
VALUES (pg_current_xact_id(), 'customers', 'shop.own',
    '{"nothing": null, "yes": true, "no": false, "list": [1, null, {"a": "b"}], "of": {"c": 1e-7}, "text": "\"\\ đ"}', 'me', 'me', now());
SELECT payload - '{id,at,cursor}'::text[] AS payload FROM c360_events_since(:'start') WHERE event = 'shop.own';
