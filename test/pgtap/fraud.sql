-- Fraud: each rule on both sides of each of its bounds, random ledgers against
-- a reference in SQL, what becomes of flags, modes, snoozes and levels.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- A row of the ledger as it stands, so that its time can be chosen.
CREATE FUNCTION pg_temp.book(phone text, type text, amount bigint, at timestamptz, source text DEFAULT 'MANUAL')
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    who bigint := c360_get_or_create_customer(book.phone);
    written bigint;
BEGIN
    INSERT INTO c360.customer_wallets (customer_id) VALUES (who) ON CONFLICT DO NOTHING;
    INSERT INTO c360.wallet_transactions (customer_id, type, operation, amount, real_change, virtual_change, balance_after,
        virtual_balance_after, source, actor, session_user_name, created_at, activity_id)
    VALUES (who, book.type, 'test', book.amount,
            CASE WHEN book.type IN ('DEPOSIT', 'REFUND', 'ADJUSTMENT') THEN book.amount WHEN book.type = 'WITHDRAW' THEN - book.amount ELSE 0 END,
            CASE WHEN book.type = 'VIRTUAL_CREDIT' THEN book.amount ELSE 0 END, 0, 0, book.source, 'test', 'test', book.at, 0)
    RETURNING id INTO written;
    RETURN written;
END $$;
-- Flags of a customer.
CREATE FUNCTION pg_temp.flags(phone text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', nullif(f.mode, 'on'), f.rule, nullif(f.status, 'open'), 'x' || nullif(f.times, 1)), ', ' ORDER BY f.id), 'none')
    FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id WHERE c.phone = flags.phone
$$;
CREATE FUNCTION pg_temp.scan(since timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT sum(flagged)::bigint FROM c360_scan_fraud(scan.since)
$$;
CREATE FUNCTION pg_temp.flag(phone text) RETURNS bigint LANGUAGE sql AS $$
    SELECT max(f.id) FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id WHERE c.phone = flag.phone
$$;
CREATE FUNCTION pg_temp.tier(phone text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', tier, CASE WHEN tier_locked THEN 'locked' END, CASE WHEN blacklisted_at IS NOT NULL THEN 'since' END)
    FROM c360.customers c WHERE c.phone = tier.phone
$$;

-- Rules as they are made ------------------------------------------------------

SELECT is((SELECT string_agg(concat_ws(' ', rule, mode, severity, action, parameters), E'\n' ORDER BY rule) FROM c360.fraud_rules),
'high_return_rate on high blacklist {"days": 7, "percent": 50, "min_orders": 3}
self_dealing on medium self_dealing {"days": 7, "times": 3, "minutes": 60, "percent": 80}
wallet_abuse on medium suspicious {"amount": 5000000, "minutes": 60, "more_than": 5}', 'the shop''s own rules');
SELECT results_eq('SELECT * FROM c360_scan_fraud()',
    $$VALUES ('high_return_rate', 0::bigint, 0::bigint), ('self_dealing', 0, 0), ('wallet_abuse', 0, 0)$$, 'nothing to look at');

-- wallet_abuse ----------------------------------------------------------------

CREATE TEMP TABLE abuse (phone text, what text, expected text);
INSERT INTO abuse VALUES
    ('0901000001', 'five large rows', 'none'),
    ('0901000002', 'the sixth one hour after the first', 'wallet_abuse'),
    ('0901000003', 'the sixth a microsecond later', 'none'),
    ('0901000004', 'one of six just at the amount', 'none'),
    ('0901000005', 'one of six just above it', 'wallet_abuse'),
    ('0901000006', 'deposits and withdrawals together', 'wallet_abuse'),
    ('0901000007', 'five, and what is neither deposit nor withdrawal', 'none'),
    ('0901000008', 'the last six of many that are further apart', 'wallet_abuse'),
    ('0901000009', 'twelve are two findings of one flag', 'wallet_abuse x2'),
    ('0901000010', 'eleven are one', 'wallet_abuse'),
    ('0901000011', 'bank transfers count', 'wallet_abuse');
SELECT pg_temp.book('0901000001', 'DEPOSIT', 6000000, '2025-01-01 10:00') FROM generate_series(1, 5) \g /dev/null
SELECT pg_temp.book('0901000002', 'DEPOSIT', 6000000, '2025-01-01 10:00'::timestamptz + i * interval '12 minutes') FROM generate_series(0, 5) i \g /dev/null
SELECT pg_temp.book('0901000003', 'DEPOSIT', 6000000, '2025-01-01 10:00'::timestamptz + i * interval '12 minutes'
                    + CASE WHEN i = 5 THEN interval '1 microsecond' ELSE '0' END) FROM generate_series(0, 5) i \g /dev/null
SELECT pg_temp.book('0901000004', 'DEPOSIT', 5000000 + (i <> 3)::int, '2025-01-01 10:00') FROM generate_series(1, 6) i \g /dev/null
SELECT pg_temp.book('0901000005', 'DEPOSIT', 5000001, '2025-01-01 10:00') FROM generate_series(1, 6) i \g /dev/null
SELECT pg_temp.book('0901000006', CASE WHEN i <= 3 THEN 'WITHDRAW' ELSE 'DEPOSIT' END, 6000000 + i * 9000000, '2025-01-01 10:00') FROM generate_series(1, 6) i \g /dev/null
SELECT pg_temp.book('0901000007', type, 6000000, '2025-01-01 10:00', source)
FROM unnest(ARRAY['DEPOSIT', 'REFUND', 'DEPOSIT', 'VIRTUAL_CREDIT', 'DEPOSIT', 'ADJUSTMENT', 'DEPOSIT', 'DEPOSIT', 'ADJUSTMENT'],
            ARRAY['MANUAL', NULL, 'MANUAL', 'BOOM', 'MANUAL', 'BANK_UNLINK', 'MANUAL', 'MANUAL', 'MANUAL']) AS t (type, source) \g /dev/null
SELECT pg_temp.book('0901000008', 'WITHDRAW', 7000000, '2025-01-01 10:00'::timestamptz - i * i * interval '2 minutes 24 seconds') FROM generate_series(20, 0, -1) i \g /dev/null
SELECT pg_temp.book('0901000009', 'WITHDRAW', 7000000, '2025-01-01 10:00') FROM generate_series(1, 12) i \g /dev/null
SELECT pg_temp.book('0901000010', 'WITHDRAW', 7000000, '2025-01-01 10:00') FROM generate_series(1, 11) i \g /dev/null
SELECT pg_temp.book('0901000011', 'DEPOSIT', 7000000, '2025-01-01 10:00', 'BANK_TRANSFER') FROM generate_series(1, 6) i \g /dev/null
SELECT is(flagged, (SELECT count(*) FROM abuse WHERE expected <> 'none'), 'wallet_abuse') FROM c360_scan_fraud() WHERE rule = 'wallet_abuse';
SELECT is(pg_temp.flags(phone), expected, what) FROM abuse;

SELECT is((SELECT concat_ws(' ', f.evidence ->> 'count', f.evidence ->> 'total', f.evidence -> 'first_at' = f.evidence #> '{transactions,0,at}',
                            (f.evidence ->> 'last_at')::timestamptz = '2025-01-01 10:00', jsonb_array_length(f.evidence -> 'transactions'),
                            f.evidence -> 'rows' = to_jsonb(f.counted), f.evidence -> 'parameters' = r.parameters, f.severity, f.action)
           FROM c360.fraud_flags f JOIN c360.fraud_rules r USING (rule) WHERE f.id = pg_temp.flag('0901000006')),
          '6 225000000 t t 6 t t medium suspicious', 'the evidence holds operands and rows');
SELECT is((SELECT f.evidence -> 'rows' FROM c360.fraud_flags f WHERE f.id = pg_temp.flag('0901000002')),
          (SELECT jsonb_agg(t.id ORDER BY t.id) FROM c360.wallet_transactions t JOIN c360.customers c ON c.id = t.customer_id WHERE c.phone = '0901000002'),
          'namely these');
SELECT is((SELECT array_length(f.counted, 1) || ' ' || jsonb_array_length(f.evidence -> 'again') FROM c360.fraud_flags f WHERE f.id = pg_temp.flag('0901000009')),
          '12 1', 'and those of the second finding');

-- self_dealing ----------------------------------------------------------------

CREATE TEMP TABLE dealing (phone text, what text, expected text);
-- so many pairs: deposits of 100, withdrawals of amount after gap, each pair so long after the other
CREATE FUNCTION pg_temp.pairs(phone text, times integer, deposited bigint, withdrawn bigint, gap interval, apart interval, source text DEFAULT 'MANUAL')
RETURNS void LANGUAGE sql AS $$
    SELECT pg_temp.book(pairs.phone, 'DEPOSIT', deposited, '2025-02-01 10:00'::timestamptz + i * apart, source),
           pg_temp.book(pairs.phone, 'WITHDRAW', withdrawn, '2025-02-01 10:00'::timestamptz + i * apart + gap)
    FROM generate_series(0, times - 1) i
$$;
INSERT INTO dealing VALUES
    ('0902000001', 'two pairs', 'none'),
    ('0902000002', 'three pairs, the last withdrawal seven days after the first', 'self_dealing'),
    ('0902000003', 'a microsecond more', 'none'),
    ('0902000004', 'withdrawn after 60 minutes', 'self_dealing'),
    ('0902000005', 'a microsecond later', 'none'),
    ('0902000006', '80 % of it', 'self_dealing'),
    ('0902000007', 'one đồng less', 'none'),
    ('0902000008', '80 % is between two đồng, the lower', 'none'),
    ('0902000009', 'the upper', 'self_dealing'),
    ('0902000010', 'more than was deposited', 'self_dealing'),
    ('0902000011', 'bank transfers', 'none'),
    ('0902000012', 'withdrawals first', 'none'),
    ('0902000013', 'three withdrawals of one deposit', 'none'),
    ('0902000014', 'three deposits, then three withdrawals', 'self_dealing'),
    ('0902000015', 'a withdrawal too small for the nearest goes with the one before', 'self_dealing'),
    ('0902000016', 'a bank transfer in between takes nothing', 'self_dealing'),
    ('0902000017', 'six pairs are two findings', 'self_dealing x2'),
    ('0902000018', 'at one moment, in the order of the ledger', 'self_dealing');
SELECT pg_temp.pairs('0902000001', 2, 100, 100, '1 minute', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000002', 3, 100, 100, '1 minute', '3 days 12 hours') \g /dev/null
SELECT pg_temp.pairs('0902000003', 3, 100, 100, '1 minute', '3 days 12:00:00.000001') \g /dev/null
SELECT pg_temp.pairs('0902000004', 3, 100, 100, '60 minutes', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000005', 3, 100, 100, '01:00:00.000001', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000006', 3, 100, 80, '1 minute', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000007', 3, 100, 79, '1 minute', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000008', 3, 101, 80, '1 minute', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000009', 3, 101, 81, '1 minute', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000010', 3, 100, 1000, '1 minute', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000011', 3, 100, 100, '1 minute', '1 day', 'BANK_TRANSFER') \g /dev/null
SELECT pg_temp.pairs('0902000012', 3, 100, 100, '-1 minute', '1 day') \g /dev/null
SELECT pg_temp.pairs('0902000013', 1, 100, 100, '1 minute', '1 day'), pg_temp.book('0902000013', 'WITHDRAW', 100, '2025-02-01 10:02'),
       pg_temp.book('0902000013', 'WITHDRAW', 100, '2025-02-01 10:03') \g /dev/null
SELECT pg_temp.book('0902000014', CASE WHEN i > 3 THEN 'WITHDRAW' ELSE 'DEPOSIT' END, 100, '2025-02-01 10:00'::timestamptz + i * interval '1 minute')
FROM generate_series(1, 6) i \g /dev/null
SELECT pg_temp.book('0902000015', type, amount, '2025-02-01 10:00'::timestamptz + n * interval '1 minute')
FROM unnest(ARRAY['DEPOSIT', 'DEPOSIT', 'WITHDRAW', 'WITHDRAW', 'DEPOSIT', 'WITHDRAW'], ARRAY[100, 1000, 100, 1000, 10, 8]) WITH ORDINALITY AS t (type, amount, n) \g /dev/null
SELECT pg_temp.book('0902000016', type, 100, '2025-02-01 10:00'::timestamptz + n * interval '1 minute', source)
FROM unnest(ARRAY['DEPOSIT', 'DEPOSIT', 'WITHDRAW', 'DEPOSIT', 'WITHDRAW', 'DEPOSIT', 'WITHDRAW'],
            ARRAY['MANUAL', 'BANK_TRANSFER', NULL, 'RETURN_GOODS', NULL, 'ORDER_CANCEL', NULL]) WITH ORDINALITY AS t (type, source, n) \g /dev/null
SELECT pg_temp.pairs('0902000017', 6, 100, 100, '1 minute', '1 hour') \g /dev/null
SELECT pg_temp.pairs('0902000018', 3, 100, 100, '0', '0') \g /dev/null
SELECT is(flagged, (SELECT count(*) FROM dealing WHERE expected <> 'none'), 'self_dealing') FROM c360_scan_fraud() WHERE rule = 'self_dealing';
SELECT is(pg_temp.flags(phone), expected, what) FROM dealing;
SELECT is((SELECT string_agg(p ->> 'deposited' || '-' || (p ->> 'withdrawn'), ', ' ORDER BY n)
           FROM c360.fraud_flags f, jsonb_array_elements(f.evidence -> 'pairs') WITH ORDINALITY AS e (p, n) WHERE f.id = pg_temp.flag('0902000015')),
          '100-100, 1000-1000, 10-8', 'the evidence says what went with what');

-- high_return_rate ------------------------------------------------------------

SELECT (clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS today \gset
CREATE TEMP TABLE returns (phone text, what text, expected text);
-- orders by letters: r returned, d delivered, p pending, c cancelled; the moment is shop time, from the day's beginning
CREATE FUNCTION pg_temp.orders(phone text, letters text, at interval DEFAULT '0') RETURNS void LANGUAGE sql AS $$
    SELECT c360_record_order(orders.phone, concat_ws('-', orders.phone, orders.letters, orders.at, n), 1000,
        (date_trunc('day', clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh') + orders.at) AT TIME ZONE 'Asia/Ho_Chi_Minh',
        CASE l WHEN 'r' THEN 'returned' WHEN 'd' THEN 'delivered' WHEN 'p' THEN 'pending' ELSE 'cancelled' END)
    FROM regexp_split_to_table(orders.letters, '') WITH ORDINALITY AS t (l, n)
$$;
INSERT INTO returns VALUES
    ('0903000001', 'two of two', 'none'),
    ('0903000002', 'two of three', 'high_return_rate'),
    ('0903000003', 'half of them', 'none'),
    ('0903000004', 'pending and cancelled ones are not decided', 'none'),
    ('0903000005', 'from the first moment of the seventh day', 'high_return_rate'),
    ('0903000006', 'a microsecond before it', 'none'),
    ('0903000007', 'to the last moment of today', 'high_return_rate'),
    ('0903000008', 'tomorrow does not count yet', 'none'),
    ('0903000009', 'what is older does not help', 'high_return_rate'),
    ('0903000010', 'a completed ticket of a returning type', 'high_return_rate'),
    ('0903000011', 'one that is open', 'none'),
    ('0903000012', 'one that was deleted', 'none'),
    ('0903000013', 'one of another type', 'none'),
    ('0903000014', 'one of an order returned as well counts once', 'none'),
    ('0903000015', 'one of an order that is not known here has no day', 'none');
SELECT pg_temp.orders('0903000001', 'rr') \g /dev/null
SELECT pg_temp.orders('0903000002', 'rrd') \g /dev/null
SELECT pg_temp.orders('0903000003', 'rrdd') \g /dev/null
SELECT pg_temp.orders('0903000004', 'rrpppccc') \g /dev/null
SELECT pg_temp.orders('0903000005', 'rrr', '-6 days') \g /dev/null
SELECT pg_temp.orders('0903000006', 'rr'), pg_temp.orders('0903000006', 'r', '-6 days -0.000001 seconds') \g /dev/null
SELECT pg_temp.orders('0903000007', 'rrr', '23:59:59.999999') \g /dev/null
SELECT pg_temp.orders('0903000008', 'rr'), pg_temp.orders('0903000008', 'r', '1 day') \g /dev/null
SELECT pg_temp.orders('0903000009', 'rrd'), pg_temp.orders('0903000009', 'dddddd', '-7 days') \g /dev/null
CREATE FUNCTION pg_temp.returned(phone text, letters text, type text, action text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text := (SELECT ticket_code FROM c360_create_ticket(returned.phone, returned.type, concat_ws('-', returned.phone, returned.letters, interval '0', 1)));
BEGIN
    PERFORM c360_ticket_action(code, returned.action);
    RETURN code;
END $$;
SELECT pg_temp.orders('0903000010', 'prd'), pg_temp.returned('0903000010', 'prd', 'BOOM', 'complete') \g /dev/null
SELECT pg_temp.orders('0903000011', 'prd'), pg_temp.returned('0903000011', 'prd', 'BOOM', 'process') \g /dev/null
SELECT pg_temp.orders('0903000012', 'prd'), c360_delete_ticket(pg_temp.returned('0903000012', 'prd', 'BOOM', 'complete')) \g /dev/null
SELECT pg_temp.orders('0903000013', 'drd'), pg_temp.returned('0903000013', 'drd', 'WARRANTY', 'complete') \g /dev/null
SELECT pg_temp.orders('0903000014', 'rd'), pg_temp.returned('0903000014', 'rd', 'HOAN', 'complete') \g /dev/null
SELECT pg_temp.orders('0903000015', 'rr'), pg_temp.returned('0903000015', 'elsewhere', 'HOAN', 'complete') \g /dev/null
SELECT is(flagged, (SELECT count(*) FROM returns WHERE expected <> 'none'), 'high_return_rate') FROM c360_scan_fraud() WHERE rule = 'high_return_rate';
SELECT is(pg_temp.flags(phone), expected, what) FROM returns;
SELECT is(pg_temp.tier(phone), CASE expected WHEN 'none' THEN 'new' ELSE 'blacklist since' END, what || ': his tier') FROM returns;
SELECT is((SELECT concat_ws(' ', e ->> 'decided', e ->> 'returned', e ->> 'rate', e ->> 'from_day' = (:'today'::date - 6)::text, e ->> 'to_day' = :'today',
                            jsonb_array_length(e -> 'rows'), e #>> '{orders,2,returned}', e #>> '{orders,0,order_code}')
           FROM (SELECT evidence AS e FROM c360.fraud_flags WHERE id = pg_temp.flag('0903000002')) AS f),
          '3 2 66.67 t t 3 false 0903000002-rrd-00:00:00-1', 'the evidence holds operands and orders');

-- Nothing is found twice ------------------------------------------------------

CREATE TEMP TABLE found AS SELECT id, counted, times, evidence FROM c360.fraud_flags;
SELECT is(pg_temp.scan(), 0::bigint, 'a second scan finds nothing');
SELECT is(pg_temp.scan('-infinity'), 0::bigint, 'nor does one over everything');
SELECT is(pg_temp.scan('2025-01-15'), 0::bigint, 'nor one from some moment on');
SELECT set_eq('SELECT id, counted, times, evidence FROM c360.fraud_flags', 'SELECT * FROM found', 'nor do flags grow by it');

-- our own rows
SELECT c360_deposit('0904000001', 6000000) FROM generate_series(1, 5) \g /dev/null
SELECT is(pg_temp.scan(), 0::bigint, 'five rows of this transaction');
SELECT c360_withdraw('0904000001', 6000000) \g /dev/null
SELECT is((SELECT concat_ws(' ', examined <= 2, flagged) FROM c360_scan_fraud() WHERE rule = 'wallet_abuse'), 't 1', 'a sixth completes a finding, and only that wallet is looked at');
SELECT c360_deposit('0904000001', 6000000) FROM generate_series(1, 5) \g /dev/null
SELECT is(pg_temp.scan(), 0::bigint, 'five more: what was found does not count again');
SELECT is(pg_temp.flags('0904000001'), 'wallet_abuse', 'and the flag is as it was');
SELECT c360_deposit('0904000001', 6000000) \g /dev/null
SELECT is(pg_temp.scan(), 0::bigint, 'another six: no new flag while one is open');
SELECT is(pg_temp.flags('0904000001'), 'wallet_abuse x2', 'it is added to the open one');
SELECT c360_review_fraud_flag(pg_temp.flag('0904000001'), 'dismissed', 'a reseller') \g /dev/null
SELECT is(pg_temp.scan('-infinity'), 0::bigint, 'after the review nothing of it is found again');
SELECT c360_deposit('0904000001', 6000000) FROM generate_series(1, 6) \g /dev/null
SELECT is(pg_temp.scan(), 1::bigint, 'what is new is new');
SELECT is(pg_temp.flags('0904000001'), 'wallet_abuse dismissed x2, wallet_abuse', 'a flag of its own');

-- since
SELECT pg_temp.book('0904000002', 'DEPOSIT', 6000000, '2025-03-01 10:00') FROM generate_series(1, 6) \g /dev/null
SELECT pg_temp.book('0904000002', 'DEPOSIT', 1000, '2025-03-01 10:30') \g /dev/null
SELECT is(pg_temp.scan('2025-03-01 10:00:00.000001'), 0::bigint, 'what ended before is none, though his ledger is looked at');
SELECT is(pg_temp.scan('2025-03-01 10:00'), 1::bigint, 'what ended then is one');

-- A later return of an order that was counted as delivered is new; returned ones alone are not.
SELECT c360_review_fraud_flag(pg_temp.flag('0903000002'), 'dismissed') \g /dev/null
SELECT pg_temp.orders('0903000002', 'd', '-1 day') \g /dev/null
SELECT is(pg_temp.scan(), 0::bigint, 'a delivered order more: the returned ones were judged');
SELECT is(pg_temp.tier('0903000002'), 'new', 'his tier stays');
SELECT c360_record_order('0903000002', '0903000002-rrd-00:00:00-3', 1000, status => 'returned') \g /dev/null
SELECT is(pg_temp.scan(), 1::bigint, 'one of those delivered comes back: new');
SELECT is(pg_temp.tier('0903000002'), 'blacklist since', 'and he is on the blacklist again');

-- What flags do, and what staff see ------------------------------------------

SELECT is((SELECT string_agg(concat_ws(' ', event, a.payload ->> 'from', a.payload ->> 'to', a.payload ->> 'rule', a.payload ->> 'phone', a.payload ->> 'action'), ', ' ORDER BY a.id)
           FROM c360.customer_activities a JOIN c360.customers c ON c.id = a.customer_id WHERE c.phone = '0903000005' AND a.reference_type = 'fraud_flag'),
          'customer.flagged high_return_rate 0903000005 blacklist, customer.tier_changed new blacklist high_return_rate 0903000005',
          'activities of a blacklisting');
SELECT is((SELECT string_agg(concat_ws(' ', event, a.payload ->> 'rule', a.payload ->> 'action'), ', ' ORDER BY a.id)
           FROM c360.customer_activities a JOIN c360.customers c ON c.id = a.customer_id WHERE c.phone = '0904000001' AND a.reference_type = 'fraud_flag'),
          'customer.flagged wallet_abuse suspicious, customer.unflagged wallet_abuse, customer.flagged wallet_abuse suspicious',
          'activities of a flag, its dismissal and a new one');
SELECT is((SELECT string_agg(format('%s>%s %s', from_tier, to_tier, from_segment IS NOT DISTINCT FROM to_segment AND day = c360_shop_day(now())), ', ' ORDER BY h.id)
           FROM c360.rfm_history h JOIN c360.customers c ON c.id = h.customer_id WHERE c.phone = '0903000002'),
          'new>blacklist t, blacklist>new t, new>blacklist t', 'the history of tiers has a blacklisting and its dismissal');
SELECT is((SELECT count(*) FROM c360.rfm_history h JOIN c360.customers c ON c.id = h.customer_id WHERE c.phone = '0904000001'), 0::bigint,
          'and no flag that left the tier alone');
SELECT is((SELECT flags FROM c360_customer_list WHERE phone = '0901000002'), '{suspicious}', 'in the list');
SELECT is((SELECT flags FROM c360_customer_list WHERE phone = '0901000001'), '{}', 'not in the list');
SELECT is((SELECT string_agg(concat_ws(' ', f ->> 'rule', f ->> 'severity', f ->> 'action', f ->> 'status'), ', ')
           FROM jsonb_array_elements(c360_customer('0902000002') #> '{customer,flags}') AS f), 'self_dealing medium self_dealing open', 'in the 360 view');
SELECT is((SELECT concat_ws(' ', b ->> 'reason', (b ->> 'flag_id')::bigint = pg_temp.flag('0903000005'), (b ->> 'since')::timestamptz = c.blacklisted_at)
           FROM c360.customers c, LATERAL (SELECT c360_customer(c.phone) #> '{customer,blacklist}') AS v (b) WHERE c.phone = '0903000005'),
          'high_return_rate t t', 'why he is on the blacklist');
SELECT c360_set_tier('0901000003', 'blacklist', reason => 'threatened a courier') \g /dev/null
SELECT is(c360_customer('0901000003') #>> '{customer,blacklist,reason}', 'threatened a courier', 'or what was said');
SELECT is(c360_customer('0901000001') #> '{customer,blacklist}', 'null', 'or that he is not');
SELECT is(pg_temp.failure($$SELECT c360_record_order('0903000005', 'NEW', 1)$$), 'PT403 blacklisted', 'no new order');
SELECT matches((SELECT detail FROM failures ORDER BY ctid DESC LIMIT 1), 'takes no new order, by fraud flag [0-9]+ \(high_return_rate\)$', 'and who takes it hears why');
SELECT is(pg_temp.failure($$SELECT c360_record_order('0901000002', 'NEW', 1)$$), 'none', 'a suspicious customer orders on');

-- a locked tier stays, one on the blacklist already stays as it is
SELECT c360_get_or_create_customer(phone) FROM unnest('{0905000001,0905000002}'::text[]) AS phone \g /dev/null
SELECT c360_set_tier('0905000001', 'platinum', true), c360_set_tier('0905000002', 'blacklist', false, 'by hand') \g /dev/null
SELECT pg_temp.orders(phone, 'rrr') FROM unnest('{0905000001,0905000002}'::text[]) AS phone \g /dev/null
SELECT is(pg_temp.scan(), 2::bigint, 'both are flagged');
SELECT is(pg_temp.tier('0905000001'), 'platinum locked', 'a locked tier stays');
SELECT c360_review_fraud_flag(pg_temp.flag(phone), 'dismissed') FROM unnest('{0905000001,0905000002}'::text[]) AS phone \g /dev/null
SELECT is(pg_temp.tier('0905000001'), 'platinum locked', 'dismissed: it stays');
SELECT is(pg_temp.tier('0905000002'), 'blacklist since', 'what a flag did not do its dismissal does not undo');

-- Reviews ---------------------------------------------------------------------

SELECT is(pg_temp.failure(call), expected, call) FROM (VALUES
    ('SELECT c360_review_fraud_flag(NULL, ''confirmed'')', '22004 missing_argument'),
    ('SELECT c360_review_fraud_flag(0, NULL)', '22004 missing_argument'),
    ('SELECT c360_review_fraud_flag(0, '''')', '22023 blank'),
    ('SELECT c360_review_fraud_flag(0, ''maybe'')', '22023 not_allowed'),
    ('SELECT c360_review_fraud_flag(0, ''confirmed'')', 'PT404 flag_not_found'),
    (format('SELECT c360_review_fraud_flag(%s, ''confirmed'', repeat(''x'', 2001))', pg_temp.flag('0903000007')), '22001 too_long'),
    (format('SELECT c360_review_fraud_flag(%s, ''confirmed'', ''đúng'')', pg_temp.flag('0903000007')), 'none'),
    (format('SELECT c360_review_fraud_flag(%s, ''confirmed'', ''đúng'')', pg_temp.flag('0903000007')), 'PT409 reviewed'),
    (format('SELECT c360_review_fraud_flag(%s, ''dismissed'')', pg_temp.flag('0903000007')), 'PT409 reviewed'),
    ('SELECT c360_scan_fraud(''infinity'')', '22023 invalid_date'),
    ('SELECT c360_snooze_fraud_rule(NULL, ''wallet_abuse'', ''2099-01-01'', NULL)', '22004 missing_argument'),
    ('SELECT c360_snooze_fraud_rule(''12'', ''wallet_abuse'', ''2099-01-01'', NULL)', '22023 invalid_phone'),
    ('SELECT c360_snooze_fraud_rule(''0909999999'', ''wallet_abuse'', ''2099-01-01'', NULL)', 'PT404 customer_not_found'),
    ('SELECT c360_snooze_fraud_rule(''0901000001'', ''abuse'', ''2099-01-01'', NULL)', '22023 unknown_rule'),
    ('SELECT c360_snooze_fraud_rule(''0901000001'', NULL, ''2099-01-01'', NULL)', '22004 missing_argument'),
    ('SELECT c360_snooze_fraud_rule(''0901000001'', ''wallet_abuse'', NULL, NULL)', '22004 missing_argument'),
    ('SELECT c360_snooze_fraud_rule(''0901000001'', ''wallet_abuse'', ''2020-01-01'', NULL)', '22023 invalid_date'),
    ('SELECT c360_snooze_fraud_rule(''0901000001'', ''wallet_abuse'', ''infinity'', NULL)', '22023 invalid_date'),
    ('SELECT c360_snooze_fraud_rule(''0901000001'', ''wallet_abuse'', ''2099-01-01'', repeat(''x'', 2001))', '22001 too_long'),
    ('SELECT c360_set_fraud_rule(NULL)', '22004 missing_argument'),
    ('SELECT c360_set_fraud_rule(''x'')', '22023 unknown_rule'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', ''maybe'')', '22023 not_allowed'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', severity => ''huge'')', '22023 not_allowed'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', action => ''shoot'')', '22023 not_allowed'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', parameters => ''[]'')', '22023 invalid_parameter'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', parameters => ''{"days": 1}'')', '22023 invalid_parameter'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', parameters => ''{"minutes": 0}'')', '22023 invalid_parameter'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', parameters => ''{"minutes": 1.5}'')', '22023 invalid_parameter'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', parameters => ''{"minutes": "5"}'')', '22023 invalid_parameter'),
    ('SELECT c360_set_fraud_rule(''wallet_abuse'', parameters => ''{"more_than": 1001}'')', '22023 invalid_parameter'),
    ('SELECT c360_set_fraud_rule(''high_return_rate'', parameters => ''{"percent": 100}'')', '22023 invalid_parameter')
) AS t (call, expected);
SELECT is((SELECT concat_ws(' ', status, note, reviewed_by = session_user, reviewed_at IS NOT NULL) FROM c360_fraud_flag_list WHERE id = pg_temp.flag('0903000007')),
          'confirmed đúng t t', 'the decision stands in the list');
SELECT is(pg_temp.tier('0903000007'), 'blacklist since', 'confirmed: the tier stays');

-- Dismissing gives back: the tier, and lots that expired meanwhile
SELECT c360_issue_credit('0906000001', 100, 'MANUAL', 'before', '2099-01-01'), c360_issue_credit('0906000001', 50, 'MANUAL', 'during', '2099-01-01'),
       c360_issue_credit('0906000001', 30, 'MANUAL', 'due', '2099-01-01'), c360_issue_credit('0906000001', 70, 'MANUAL', 'later', '2099-01-01'),
       c360_issue_credit('0906000001', 20, 'MANUAL', 'cancelled', '2099-01-01') \g /dev/null
SELECT c360_set_tier('0906000001', 'gold', false), c360_withdraw('0906000001', 40) \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('before')) \g /dev/null
SELECT pg_temp.orders('0906000001', 'rrr') \g /dev/null
SELECT is(pg_temp.scan(), 1::bigint, 'a customer with credit');
SELECT is(pg_temp.wallet('0906000001'), '0 + 230, available 0', 'cannot use it');
-- their time comes; the flag's is set back, as if days had gone by
UPDATE c360.fraud_flags SET acted_at = clock_timestamp() - interval '10 days' WHERE id = pg_temp.flag('0906000001');
UPDATE c360.customers SET blacklisted_at = (SELECT acted_at FROM c360.fraud_flags WHERE id = pg_temp.flag('0906000001')) WHERE phone = '0906000001';
SELECT pg_temp.age_lot(pg_temp.lot('before'), '11 days'), pg_temp.age_lot(pg_temp.lot('during'), '2 days') \g /dev/null
SELECT * FROM c360_expire_credits() \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('due'), '1 hour') \g /dev/null
SELECT c360_cancel_credit(pg_temp.lot('cancelled'), 'wrong') \g /dev/null
SELECT is(pg_temp.lot_state('before') || ', ' || pg_temp.lot_state('during'), 'EXPIRED 0 of 100, EXPIRED 0 of 50', 'lots expired');
DELETE FROM c360.rfm_queue;
SELECT c360_review_fraud_flag(pg_temp.flag('0906000001'), 'dismissed', 'parcels were lost') \g /dev/null
SELECT is(pg_temp.tier('0906000001'), 'gold', 'the tier of before is his again');
SELECT is(ARRAY(SELECT c.phone FROM c360.rfm_queue q JOIN c360.customers c ON c.id = q.customer_id), ARRAY['0906000001'],
          'until the next refresh looks what his score asks for');
SELECT is(pg_temp.lot_state(lot), expected, lot) FROM (VALUES
    ('before', 'EXPIRED 0 of 100'), ('during', 'ACTIVE 50 of 50'), ('due', 'ACTIVE 30 of 30'),
    ('later', 'ACTIVE 70 of 70'), ('cancelled', 'CANCELLED 0 of 20')) AS t (lot, expected);
SELECT cmp_ok(pg_temp.lot_expiry(lot), '>', now() + interval '6 days 23 hours', lot || ' has its grace to live') FROM unnest('{during,due}'::text[]) AS lot;
SELECT cmp_ok(pg_temp.lot_expiry(lot), '<=', clock_timestamp() + interval '7 days', lot || ' and no more') FROM unnest('{during,due}'::text[]) AS lot;
SELECT is(pg_temp.wallet('0906000001'), '0 + 150, available 150', 'and he can use it');
SELECT is((SELECT concat_ws(' ', type, operation, amount, real_change, virtual_change, source, reference_type, reference_id::bigint = pg_temp.flag('0906000001'), refunded_transaction_id)
           FROM pg_temp.last_row('0906000001')), 'REFUND restore 80 0 80 FRAUD_DISMISSED fraud_flag t', 'by a row of the ledger');
SELECT is_empty($$SELECT v.* FROM c360_verify_wallets() v JOIN c360.customers c ON c.id = v.customer_id WHERE c.phone = '0906000001'$$, 'the books are sound');
SELECT is((SELECT virtual_change FROM c360_withdraw('0906000001', 150)), -150::bigint, 'all of it is used');
SELECT is_empty($$SELECT v.* FROM c360_verify_wallets() v JOIN c360.customers c ON c.id = v.customer_id WHERE c.phone = '0906000001'$$, 'and sound');
SELECT is((SELECT string_agg(event, ', ' ORDER BY a.id) FROM c360.customer_activities a JOIN c360.customers c ON c.id = a.customer_id
           WHERE c.phone = '0906000001' AND a.id > (SELECT activity_id FROM c360.fraud_flags WHERE id = pg_temp.flag('0906000001')) AND a.topic = 'customers'),
          'customer.tier_changed, customer.tier_changed, customer.unflagged', 'and told');

-- somebody changed the tier meanwhile: it stays, credit lost until then comes back
SELECT c360_issue_credit('0906000002', 100, 'MANUAL', 'a', '2099-01-01'), c360_issue_credit('0906000002', 50, 'MANUAL', 'b', '2099-01-01') \g /dev/null
SELECT pg_temp.orders('0906000002', 'rrr') \g /dev/null
SELECT is(pg_temp.scan(), 1::bigint, 'another one');
UPDATE c360.virtual_credits SET expires_at = clock_timestamp() WHERE id = pg_temp.lot('a');
SELECT * FROM c360_expire_credits() \g /dev/null
SELECT c360_set_tier('0906000002', 'silver', false, 'lifted by hand') \g /dev/null
UPDATE c360.virtual_credits SET expires_at = clock_timestamp() WHERE id = pg_temp.lot('b');
SELECT c360_review_fraud_flag(pg_temp.flag('0906000002'), 'dismissed') \g /dev/null
SELECT is(pg_temp.tier('0906000002'), 'silver', 'what was set meanwhile stays');
SELECT is(pg_temp.lot_state('a') || ', ' || pg_temp.lot_state('b'), 'ACTIVE 100 of 100, EXPIRED 0 of 50', 'credit comes back if it was lost on the blacklist');
SELECT is_empty($$SELECT v.* FROM c360_verify_wallets() v JOIN c360.customers c ON c.id = v.customer_id WHERE c.phone = '0906000002'$$, 'the books are sound');

-- another flag that would have blacklisted him stands
SELECT c360_set_fraud_rule('wallet_abuse', action => 'blacklist') \g /dev/null
SELECT pg_temp.orders('0906000003', 'rrr') \g /dev/null
SELECT is(pg_temp.scan(), 1::bigint, 'blacklisted by one flag');
SELECT pg_temp.flag('0906000003') AS first \gset
SELECT c360_deposit('0906000003', 6000000) FROM generate_series(1, 6) \g /dev/null
SELECT is(pg_temp.scan(), 1::bigint, 'and found by another rule');
SELECT c360_review_fraud_flag(:first, 'dismissed') \g /dev/null
SELECT is(pg_temp.tier('0906000003'), 'blacklist since', 'the first is dismissed: he stays on it');
SELECT c360_review_fraud_flag(pg_temp.flag('0906000003'), 'dismissed') \g /dev/null
SELECT is(pg_temp.tier('0906000003'), 'new', 'the second one, too: he is back');
SELECT c360_set_fraud_rule('wallet_abuse', action => 'suspicious') \g /dev/null

-- Modes -----------------------------------------------------------------------

SELECT c360_set_fraud_rule('high_return_rate', 'shadow'), c360_set_fraud_rule('wallet_abuse', 'shadow'), c360_set_fraud_rule('self_dealing', 'off') \g /dev/null
SELECT c360_set_fraud_rule('self_dealing') \g /dev/null
SELECT is(pg_temp.scan() >= 0, true, 'what was found before is found in shadow, too');
SELECT is((SELECT string_agg(DISTINCT mode || ' ' || rule, ', ') FROM c360.fraud_flags WHERE id > (SELECT max(id) FROM found)
           AND customer_id IN (SELECT id FROM c360.customers WHERE phone LIKE '0901%')), 'shadow wallet_abuse', 'as such');
SELECT c360_issue_credit('0907000001', 500), c360_set_tier('0907000001', 'silver', false) \g /dev/null
SELECT pg_temp.orders('0907000001', 'rrr') \g /dev/null
SELECT c360_deposit('0907000002', 6000000) FROM generate_series(1, 6) \g /dev/null
SELECT pg_temp.pairs('0907000003', 3, 100, 100, '1 minute', '1 day') \g /dev/null
CREATE TEMP TABLE books AS SELECT count(*) AS activities, max(id) AS id FROM c360.customer_activities;
SELECT is((SELECT string_agg(concat_ws(' ', rule, flagged), ', ') FROM c360_scan_fraud()), 'high_return_rate 1, self_dealing 0, wallet_abuse 1', 'shadow finds, off does not');
SELECT is(pg_temp.flags('0907000001'), 'shadow high_return_rate', 'a shadow flag');
SELECT is(pg_temp.flags('0907000003'), 'none', 'none');
SELECT is(pg_temp.tier('0907000001'), 'silver', 'does nothing');
SELECT is((SELECT max(id) FROM c360.customer_activities), (SELECT id FROM books), 'and tells nobody');
SELECT is((SELECT flags FROM c360_customer_list WHERE phone = '0907000002'), '{}', 'nor is it shown');
SELECT is((SELECT string_agg(concat_ws(' ', phone, rule, would_be, credit_blocked), E'\n' ORDER BY phone) FROM c360_fraud_shadow_report WHERE phone LIKE '0907%'),
          E'0907000001 high_return_rate blacklisted, was silver 500\n0907000002 wallet_abuse flagged suspicious 0', 'but in the report of what would have been');
SELECT is(pg_temp.scan(), 0::bigint, 'it is found once');
SELECT is((SELECT shadow FROM c360_fraud_rule_list WHERE rule = 'high_return_rate') > 0, true, 'and counted');
SELECT c360_set_fraud_rule(rule, 'on') FROM c360.fraud_rules \g /dev/null
SELECT pg_temp.scan() \g /dev/null
SELECT is(pg_temp.flags('0907000001'), 'shadow high_return_rate, high_return_rate', 'on: now it is found');
SELECT is(pg_temp.tier('0907000001'), 'blacklist since', 'and acts');
SELECT is(pg_temp.flags('0907000002'), 'shadow wallet_abuse, wallet_abuse', 'the other one, too, though its rows are old');
SELECT is(pg_temp.flags('0907000003'), 'self_dealing', 'and what was not looked at');

-- other parameters: the whole ledger is looked at again
SELECT c360_set_fraud_rule('wallet_abuse', parameters => '{"more_than": 4}') \g /dev/null
SELECT is(pg_temp.flags('0901000001'), 'none', 'five large rows');
SELECT pg_temp.scan() \g /dev/null
SELECT is(pg_temp.flags('0901000001'), 'wallet_abuse', 'are enough now');
SELECT is(pg_temp.flags('0901000002'), 'wallet_abuse, shadow wallet_abuse', 'what was found before is not found again');
SELECT c360_set_fraud_rule('wallet_abuse', parameters => '{"more_than": 5}') \g /dev/null
UPDATE c360.fraud_rules SET parameters = '{"more_than": "many"}' WHERE rule = 'wallet_abuse';
SELECT is(pg_temp.failure('SELECT c360_scan_fraud()'), '55000 invalid_parameter', 'a parameter by hand that is none');
UPDATE c360.fraud_rules SET parameters = '{"amount": 5000000, "minutes": 60, "more_than": 5}' WHERE rule = 'wallet_abuse';

-- Snoozes ---------------------------------------------------------------------

SELECT c360_deposit('0908000001', 6000000) FROM generate_series(1, 6) \g /dev/null
SELECT pg_temp.orders('0908000001', 'rrr') \g /dev/null
SELECT c360_snooze_fraud_rule('0908000001', 'wallet_abuse', clock_timestamp() + interval '1 day', 'a reseller') \g /dev/null
SELECT c360_snooze_fraud_rule('0908000001', 'high_return_rate', clock_timestamp() + interval '1 day', NULL) \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', rule, note, snoozed_by = session_user), ', ' ORDER BY id) FROM c360.fraud_snoozes), 'wallet_abuse a reseller t, high_return_rate t', 'who said so');
SELECT is(pg_temp.scan(), 0::bigint, 'silent');
SELECT is(pg_temp.scan('-infinity'), 0::bigint, 'whatever is looked at');
SELECT is(pg_temp.flags('0908000001'), 'none', 'for him');
SELECT c360_deposit('0908000002', 6000000) FROM generate_series(1, 6) \g /dev/null
SELECT is(pg_temp.scan(), 1::bigint, 'not for others');
-- as if the day were over, and the last scan had seen all; this transaction's rows are always new
UPDATE c360.fraud_snoozes SET until = clock_timestamp();
UPDATE c360.fraud_rechecks SET due_at = clock_timestamp();
SELECT is(pg_temp.scan(), 2::bigint, 'afterwards it is found');
SELECT is(pg_temp.flags('0908000001'), 'wallet_abuse, high_return_rate', 'both rules');
SELECT is_empty('SELECT * FROM c360.fraud_rechecks', 'once');
SELECT pg_temp.book('0908000003', 'DEPOSIT', 6000000, '2025-03-01 10:00') FROM generate_series(1, 6) \g /dev/null
SELECT c360_snooze_fraud_rule('0908000003', 'wallet_abuse', clock_timestamp() + interval '1 day', 'wait') \g /dev/null
SELECT is(pg_temp.scan(), 0::bigint, 'old rows, snoozed');
SELECT is(pg_temp.scan(), 0::bigint, 'and had');
UPDATE c360.fraud_snoozes SET until = clock_timestamp();
SELECT is(pg_temp.scan(), 0::bigint, 'they are not new');
UPDATE c360.fraud_rechecks SET due_at = clock_timestamp();
SELECT is(pg_temp.scan(), 1::bigint, 'but looked at again at the end of the snooze');

-- Erased ----------------------------------------------------------------------

SELECT c360_deposit('0908000004', 6000000), c360_withdraw('0908000004', 6000000) FROM generate_series(1, 3) \g /dev/null
SELECT c360_snooze_fraud_rule('0908000004', 'wallet_abuse', clock_timestamp() + interval '1 day', 'a friend of Bình') \g /dev/null
SELECT c360_customer('0908000004') #>> '{customer,id}' AS erased \gset
SELECT is((SELECT jsonb_array_length(e -> 'fraud_flags') || ' ' || (e #>> '{fraud_snoozes,0,note}') FROM c360_export_customer('0908000004') AS e), '0 a friend of Bình', 'it is handed out');
SELECT c360_erase_customer('0908000004', 'asked') \g /dev/null
SELECT is((SELECT note FROM c360.fraud_snoozes WHERE customer_id = :erased), NULL, 'notes are blanked');
SELECT is(pg_temp.scan('-infinity'), 0::bigint, 'an erased customer is not flagged');

-- Levels ----------------------------------------------------------------------

CREATE ROLE shop_viewer;
CREATE ROLE shop_agent;
CREATE ROLE shop_accountant;
CREATE ROLE shop_admin;
SELECT c360_grant('shop_viewer', 'viewer'), c360_grant('shop_agent', 'agent'), c360_grant('shop_accountant', 'accountant'), c360_grant('shop_admin', 'admin') \g /dev/null
GRANT ALL ON failures TO PUBLIC;
SET LOCAL ROLE shop_accountant;
SELECT is(pg_temp.failure(call), '42501', 'an accountant may not: ' || call) FROM unnest(ARRAY['SELECT c360_scan_fraud()',
    'SELECT c360_review_fraud_flag(1, ''confirmed'')', 'SELECT c360_set_fraud_rule(''wallet_abuse'')', 'SELECT * FROM c360_fraud_shadow_report',
    'SELECT c360_snooze_fraud_rule(''0901000001'', ''wallet_abuse'', ''2099-01-01'', NULL)']) AS call;
SET LOCAL ROLE shop_viewer;
SELECT cmp_ok((SELECT count(*) FROM c360_fraud_flag_list), '>', 0::bigint, 'a viewer sees flags');
SELECT is((SELECT count(evidence) FROM c360_fraud_flag_list), 0::bigint, 'without what they tell of money');
SET LOCAL ROLE shop_agent;
SELECT is((SELECT count(*) FROM c360_fraud_flag_list WHERE evidence IS NULL), 0::bigint, 'an agent sees that, too');
SET LOCAL ROLE shop_admin;
SELECT is(pg_temp.failure(call), 'none', 'an admin may: ' || call) FROM unnest(ARRAY['SELECT c360_scan_fraud()',
    'SELECT c360_set_fraud_rule(''wallet_abuse'')', 'SELECT * FROM c360_fraud_shadow_report',
    'SELECT c360_snooze_fraud_rule(''0901000001'', ''wallet_abuse'', ''2099-01-01'', NULL)']) AS call;
RESET ROLE;
SELECT is(pg_temp.scan(), 0::bigint, 'nothing was left to find');

-- Random ledgers, against a reference in SQL ----------------------------------

SELECT setseed(0.36);
CREATE TEMP TABLE ledger AS
SELECT customer, type, amount, at, row_number() OVER (ORDER BY customer, at, r) AS n, source
FROM (SELECT customer, (ARRAY['DEPOSIT', 'DEPOSIT', 'WITHDRAW', 'WITHDRAW', 'WITHDRAW', 'REFUND', 'VIRTUAL_CREDIT'])[1 + floor(random() * 7)] AS type,
             (ARRAY[5000000, 5000001, 6250002, 6250001, 4000000, 5000001, 10000000, 8000000])[1 + floor(random() * 8)]::bigint AS amount,
             -- minutes and halves, so that bounds are often hit; some wallets are busy, some are not
             timestamptz '2025-05-01' + floor(random() * (5 + customer % 40 * 10)) * interval '12 minutes' AS at, random() AS r,
             CASE WHEN random() < 0.2 THEN 'BANK_TRANSFER' ELSE 'MANUAL' END AS source
      FROM generate_series(1, 400) AS customer, generate_series(1, 40)) AS rows;
SELECT pg_temp.book('097' || lpad(customer::text, 7, '0'), type, amount, at, source) FROM ledger ORDER BY n \g /dev/null
CREATE TEMP TABLE book AS
SELECT t.id, t.customer_id, t.type, t.amount, t.created_at AS at, t.source
FROM c360.wallet_transactions t JOIN c360.customers c ON c.id = t.customer_id
WHERE c.phone LIKE '097%' AND t.type IN ('DEPOSIT', 'WITHDRAW');
CREATE INDEX ON book (customer_id, id);
ANALYZE book;
-- six large rows, by a window
CREATE TEMP TABLE abusers AS
SELECT DISTINCT customer_id FROM (SELECT customer_id, at, lag(at, 5) OVER (PARTITION BY customer_id ORDER BY id) AS fifth_before
                                  FROM book WHERE amount > 5000000) AS w
WHERE at - fifth_before <= interval '1 hour';
-- pairs one by one: each withdrawal takes the nearest deposit that is free
CREATE TEMP TABLE paired (customer_id bigint, deposit bigint, withdrawal bigint, at timestamptz);
CREATE INDEX ON paired (deposit);
DO $$
DECLARE
    w record;
BEGIN
    FOR w IN SELECT * FROM book WHERE type = 'WITHDRAW' ORDER BY id LOOP
        INSERT INTO paired SELECT w.customer_id, d.id, w.id, w.at FROM book d
        WHERE d.customer_id = w.customer_id AND d.type = 'DEPOSIT' AND d.source <> 'BANK_TRANSFER' AND d.id < w.id
          AND w.at <= d.at + interval '60 minutes' AND w.amount >= 0.8 * d.amount AND NOT EXISTS (SELECT FROM paired p WHERE p.deposit = d.id)
        ORDER BY d.id DESC LIMIT 1;
    END LOOP;
END $$;
CREATE TEMP TABLE dealers AS
SELECT DISTINCT customer_id FROM (SELECT customer_id, at, lag(at, 2) OVER (PARTITION BY customer_id ORDER BY withdrawal) AS second_before FROM paired) AS w
WHERE at - second_before <= interval '7 days';
SELECT cmp_ok(count(*), '>', 50::bigint, 'there are abusers') FROM abusers;
SELECT cmp_ok(400 - count(*), '>', 50::bigint, 'and others') FROM abusers;
SELECT cmp_ok(count(*), '>', 50::bigint, 'there are self dealers') FROM dealers;
SELECT cmp_ok(400 - count(*), '>', 20::bigint, 'and others') FROM dealers;
SELECT pg_temp.scan() \g /dev/null
SELECT set_eq($$SELECT customer_id FROM c360.fraud_flags WHERE rule = 'wallet_abuse' AND customer_id IN (SELECT customer_id FROM book)$$,
              'SELECT * FROM abusers', 'wallet_abuse equals the reference');
SELECT set_eq($$SELECT customer_id FROM c360.fraud_flags WHERE rule = 'self_dealing' AND customer_id IN (SELECT customer_id FROM book)$$,
              'SELECT * FROM dealers', 'self_dealing equals the reference');
SELECT is_empty($$SELECT e ->> 'deposit_id', e ->> 'withdrawal_id' FROM c360.fraud_flags f, jsonb_array_elements(f.evidence -> 'pairs') AS e
                  WHERE f.rule = 'self_dealing' AND f.customer_id IN (SELECT customer_id FROM book)
                  EXCEPT SELECT deposit::text, withdrawal::text FROM paired$$, 'and so do its pairs');

-- the same ledgers, come in bit by bit with a scan after each: the same findings
CREATE TEMP TABLE at_once AS
SELECT c.phone, f.rule, f.times, array_length(f.counted, 1) AS counted, f.evidence #> '{first_at}' AS first_at FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id WHERE c.phone LIKE '097%';
DO $$
BEGIN
    FOR part IN 0 .. 7 LOOP
        PERFORM pg_temp.book('098' || lpad(customer::text, 7, '0'), type, amount, at, source)
        FROM ledger WHERE (n - 1) % 40 / 5 = part ORDER BY n;
        PERFORM pg_temp.scan();
    END LOOP;
END $$;
SELECT set_eq($$SELECT replace(left(c.phone, 3), '098', '097') || substr(c.phone, 4) AS phone, f.rule, f.times, array_length(f.counted, 1) AS counted, f.evidence -> 'first_at' AS first_at
                FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id WHERE c.phone LIKE '098%'$$,
              'SELECT * FROM at_once', 'bit by bit is the same as at once');

-- orders, against the reference
SELECT c360_record_order('096' || lpad((1 + floor(random() * 200))::text, 7, '0'), 'R-' || i, 1,
       (date_trunc('day', clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh') - floor(random() * 10 - 1) * interval '1 day'
        + floor(random() * 2) * interval '23:59:59.999999') AT TIME ZONE 'Asia/Ho_Chi_Minh',
       (ARRAY['returned', 'returned', 'delivered', 'delivered', 'pending', 'cancelled'])[1 + floor(random() * 6)])
FROM generate_series(1, 1500) AS i \g /dev/null
SELECT pg_temp.scan() \g /dev/null
SELECT set_eq($$SELECT c.phone FROM c360.fraud_flags f JOIN c360.customers c ON c.id = f.customer_id WHERE f.rule = 'high_return_rate' AND c.phone LIKE '096%'$$,
    $$SELECT c.phone FROM c360.customer_orders o JOIN c360.customers c ON c.id = o.customer_id
      WHERE c.phone LIKE '096%' AND o.status IN ('returned', 'delivered')
        AND (clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - (o.ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date BETWEEN 0 AND 6
      GROUP BY c.phone HAVING count(*) >= 3 AND count(*) FILTER (WHERE o.status = 'returned') > 0.5 * count(*)$$, 'high_return_rate equals the reference');
SELECT is(pg_temp.scan('-infinity'), 0::bigint, 'nothing is left to find');

SELECT * FROM finish();
ROLLBACK;
