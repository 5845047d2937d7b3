-- Bank transfers: how the customer is found, what staff does, what the job
-- tries again, what the webhook lets in, and that each transfer is deposited
-- once whatever is called twice.
BEGIN;
\ir tools.psql
SELECT no_plan();
SET LOCAL enable_seqscan = off;      -- rows of one transaction leave dead versions that only an index passes over

CREATE FUNCTION pg_temp.body(id bigint, content text, further jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'gateway', 'MBBank', 'transactionDate', '2025-05-26 16:14:51', 'accountNumber', '0123499999',
        'content', content, 'transferType', 'in', 'transferAmount', 150000) || further
$$;
-- Takes one in; the result and whose it is.
CREATE FUNCTION pg_temp.take(id bigint, content text, further jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.result, r.phone) FROM c360_ingest_bank_transaction(pg_temp.body(id, content, further)) r
$$;
CREATE FUNCTION pg_temp.said(r c360_bank_result) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.result, r.phone, CASE WHEN r.transaction_id IS NOT NULL THEN 'paid' END,
                     CASE WHEN r.customer_created THEN 'created' END)
$$;
CREATE FUNCTION pg_temp.row_of(sepay bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT h.id FROM c360.balance_history h WHERE h.sepay_id = sepay
$$;
CREATE FUNCTION pg_temp.match_of(sepay bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT m.id FROM c360.pending_customer_matches m WHERE m.bank_transaction_id = pg_temp.row_of(sepay) ORDER BY m.id DESC LIMIT 1
$$;
-- What a candidate led to: kind, value, why it was not looked up, phones.
CREATE FUNCTION pg_temp.seen(sepay bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', e ->> 'kind', e ->> 'value', '@' || (e ->> 'position'), e ->> 'confidence', '(' || (e ->> 'passed_over') || ')',
               (SELECT string_agg(c.phone, '+' ORDER BY c.phone) FROM c360.customers c
                WHERE e -> 'customers' @> to_jsonb(c.id))), ', ' ORDER BY n)
    FROM c360.balance_history h, jsonb_array_elements(h.decision) WITH ORDINALITY AS d (e, n) WHERE h.sepay_id = sepay
$$;
CREATE FUNCTION pg_temp.balance(phone text) RETURNS bigint LANGUAGE sql AS $$ SELECT balance FROM c360_wallet(balance.phone) $$;
-- sound books at any moment: nothing to reconcile but what is named
CREATE FUNCTION pg_temp.problems() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT string_agg(b.sepay_id || ' ' || r.problem, ', ' ORDER BY b.sepay_id, r.problem)
                     FROM c360_reconcile_bank('2025-01-01', '2025-12-31') r JOIN c360.balance_history b ON b.id = r.bank_transaction_id), 'none')
        || coalesce((SELECT ', wallets: ' || string_agg(v::text, ', ') FROM c360_verify_wallets() v), '')
$$;

-- Parts ---------------------------------------------------------------------
SELECT c360_get_or_create_customer(phone) FROM unnest('{0961220001,0961330001,0361440001,0961550055}'::text[]) AS phone \g /dev/null
SELECT is(pg_temp.take(id, content), expected, coalesce(content, 'NULL')) FROM (VALUES
    (1, 'IB HONG 220001', 'deposited 0961220001'),
    (2, 'ck 961220001 tien', 'deposited 0961220001'),
    (3, 'ck 20001', 'deposited 0961220001'),
    (4, 'ck 999999', 'unmatched'),
    (5, 'x-GD-220001-250526-16:14:51', 'deposited 0961220001'),
    (6, 'MBVCB.12459068036.249370.440001.CT tu 0141000830000 A toi 75918', 'deposited 0361440001'),
    (7, '113524023776-0396510000-330001', 'deposited 0961330001'),
    -- two parts, one customer; and of different customers
    (8, 'ck 220001 va 961220001', 'deposited 0961220001'),
    (9, 'ck 220001 va 330001', 'pending'),
    -- the first marked part decides alone
    (10, 'ck 330001-GD-220001', 'deposited 0961220001'),
    (11, 'ck 330001-GD-999998', 'unmatched'),
    -- a whole phone and a code win over parts
    (12, 'ck 220001 0361440001', 'deposited 0361440001'),
    (13, NULL, 'unmatched'), (14, '', 'unmatched'), (15, '   ', 'unmatched')) AS t (id, content, expected);
SELECT is(pg_temp.seen(9), 'part 220001 @4 0.6 0961220001, part 330001 @14 0.6 0961330001', 'what was seen is kept');
SELECT is(pg_temp.seen(10), 'part 220001 @14 0.8 0961220001, part 330001 @4 0.8', 'what was not looked up, too');
SELECT is((SELECT candidates FROM c360.pending_customer_matches WHERE id = pg_temp.match_of(9)),
          (SELECT decision FROM c360.balance_history WHERE sepay_id = 9), 'the match has the same');
SELECT is((SELECT l.method FROM c360.bank_links l WHERE l.bank_transaction_id = pg_temp.row_of(1)), 'part', 'how it was found');
-- amounts, thousands and dates are no parts of phones, unless marked
SELECT c360_get_or_create_customer(phone) FROM unnest('{0961150000,0961150123,0961400150,0961070525,0961000777,0969260525}'::text[]) AS phone \g /dev/null
SELECT is(pg_temp.take(id, content, further::jsonb), expected, content || ' ' || further) FROM (VALUES
    (20, 'tien hang 150123', '{"transferAmount": 150123}', 'unmatched'),
    (21, 'tien hang 150123', '{"transferAmount": 150124}', 'deposited 0961150123'),
    (22, 'tien hang 400150', '{"transferAmount": 400150000}', 'unmatched'),
    (23, 'tien hang 400150', '{"transferAmount": 400151000}', 'deposited 0961400150'),
    (24, 'tien hang 1150000', '{}', 'unmatched'),
    (25, 'x-GD-150000', '{}', 'deposited 0961150000'),
    (26, 'ngay 070525', '{}', 'unmatched'),
    (27, 'ngay 070525', '{"transactionDate": "2026-05-07 00:00:00"}', 'unmatched'),
    (28, 'ngay 070525', '{"transactionDate": "2026-05-09 00:00:00"}', 'deposited 0961070525'),
    (29, 'ngay 260525', '{"transactionDate": "2024-05-20 00:00:00"}', 'deposited 0969260525'),
    (30, 'ngay 260525', '{"transactionDate": "2024-05-26 00:00:00"}', 'unmatched'),
    (31, 'ngay 260525 961070525', '{}', 'deposited 0961070525')) AS t (id, content, further, expected);
SELECT is(pg_temp.seen(20), 'part 150123 @11 0.6 (amount)', 'said: the amount');
SELECT is(pg_temp.seen(22), 'part 400150 @11 0.6 (amount)', 'said: the amount without its thousands');
SELECT is(pg_temp.seen(26), 'part 070525 @6 0.6 (date)', 'said: a date');
SELECT is(pg_temp.take(32, 'ma 777000 roi'), 'unmatched', 'thousands');
SELECT is(pg_temp.seen(32), 'part 777000 @4 0.6 (thousands)', 'said: thousands');

-- The chance of a hit by accident: customers / 10^digits, exact for few of them.
SELECT count(*) AS customers FROM c360.customers WHERE phone IS NOT NULL \gset
SELECT c360_set('part_match_max_chance', to_char(100 * :customers / 100000.0, 'FM990.099999999')) \g /dev/null
SELECT is(pg_temp.take(40, 'ck 50055'), 'deposited 0961550055', 'five digits, just likely enough');
SELECT c360_set('part_match_max_chance', to_char(100 * (:customers - 1) / 100000.0, 'FM990.099999999')) \g /dev/null
SELECT is(pg_temp.take(41, 'ck 50055'), 'pending', 'one customer too many');
SELECT is(pg_temp.take(42, 'ck 550055'), 'deposited 0961550055', 'not for six digits');
SELECT is(pg_temp.take(43, 'ck-GD-50055'), 'deposited 0961550055', 'nor where it is marked');
SELECT is(pg_temp.seen(41), 'part 50055 @4 0.3 0961550055', 'he is listed');
SELECT c360_set('part_match_max_chance', '0') \g /dev/null
SELECT is(pg_temp.take(44, 'ck-GD-961550055'), 'pending', 'never by chance');
SELECT c360_set('part_match_max_chance', to_char(100 * :customers / 100000.0, 'FM990.099999999')) \g /dev/null
-- gaps in the ids and erased customers do not count
SELECT setval(pg_get_serial_sequence('c360.customers', 'id'), nextval(pg_get_serial_sequence('c360.customers', 'id')) + 100000) \g /dev/null
SELECT c360_get_or_create_customer('0968000099'), c360_erase_customer('0968000099', 'asked') \g /dev/null
SELECT is(pg_temp.take(45, 'ck 50055'), 'deposited 0961550055', 'gaps in the ids are no customers');
-- hundreds of customers: counted exactly, too
SELECT count(c360_get_or_create_customer('0968' || lpad(n::text, 6, '0'))) FROM generate_series(100001, 100300) AS n \g /dev/null
SELECT is(pg_temp.take(46, 'ck 50055'), 'pending', 'with 300 customers more');
-- statistics of before an import are not believed
SELECT c360_set('part_match_max_chance', to_char(1 - 1e-4, 'FM0.0000')) \g /dev/null
SAVEPOINT before_import;
UPDATE pg_class SET reltuples = 1, relpages = 1 WHERE oid = 'c360.customers'::regclass;
INSERT INTO c360.customers (phone, name, name_folded, carrier, created_source) SELECT '08' || lpad(n::text, 8, '0'), 'n', 'n', 'Viettel', 'import' FROM generate_series(1, 120000) AS n;
SELECT is(pg_temp.take(60, 'x-GD-119999'), 'deposited 0800119999', 'six marked digits, 120,000 customers, a chance of 0.9999 allowed');
SELECT c360_set('part_match_max_chance', '0.1') \g /dev/null
SELECT is(pg_temp.take(61, 'x-GD-119999'), 'pending', 'of 0.1: counted, too many');
SELECT c360_set('part_match_max_chance', '0.11') \g /dev/null
SELECT is(pg_temp.take(62, 'x-GD-119999'), 'pending', 'of 0.11: not counted, the table is too large');
SELECT is(pg_temp.take(63, 'x-GD-0119999'), 'deposited 0800119999', 'seven digits');
ROLLBACK TO before_import;
SELECT c360_set('part_match_max_chance', NULL) \g /dev/null
SELECT is(pg_temp.take(47, 'ck 50055'), 'pending', 'by default five digits are too few for more than 100');
SELECT is(pg_temp.take(48, 'ck-GD-50055'), 'deposited 0961550055', 'but not where marked');
SELECT is(pg_temp.take(49, 'ck 550055'), 'deposited 0961550055', 'and six digits for up to 1,000');
SELECT is(pg_temp.failure(format('SELECT c360_set(%L, %L)', 'part_match_max_chance', v)), '22023 invalid_setting', 'no chance: ' || v)
FROM unnest('{-1,1.1,many,1e-3,"",.5}'::text[]) AS v;
-- many customers with one end: listed up to 100, and it says that there are more
SELECT count(c360_get_or_create_customer('09' || lpad(n::text, 3, '0') || '77777')) FROM generate_series(100, 219) AS n
WHERE c360_phone_carrier('09' || lpad(n::text, 3, '0') || '77777') IS NOT NULL \g /dev/null
SELECT is(pg_temp.take(50, 'ck 77777'), 'pending', 'more than 100 customers');
SELECT is((SELECT concat_ws(' ', jsonb_array_length(e -> 'customers'), e ->> 'more') FROM c360.balance_history, jsonb_array_elements(decision) AS e WHERE sepay_id = 50),
          '100 true', '100 of them are listed');
-- former numbers do not count
SELECT c360_change_phone('0961330001', '0961330002', 'asked') \g /dev/null
SELECT is(pg_temp.take(51, 'ck 330001'), 'unmatched', 'a former number');
SELECT is(pg_temp.take(52, 'ck 330002'), 'deposited 0961330002', 'the live one');
SELECT is(pg_temp.problems(), 'none', 'all is well');

-- Linking by hand ------------------------------------------------------------
SELECT is(pg_temp.take(100, 'nobody'), 'unmatched', 'a transfer for staff');
SELECT pg_temp.row_of(100) AS t \gset
SELECT is(pg_temp.failure(format('SELECT c360_link_transaction(%s, %s)', id, phone)), expected, 'link: ' || expected || ' ' || phone) FROM (VALUES
    ('NULL', '''0962000001''', '22004 missing_argument'), (:'t', 'NULL', '22004 missing_argument'), (:'t', '''none''', '22023 invalid_phone'),
    ('0', '''0962000001''', 'PT404 bank_transaction_not_found'), ('-1', '''0962000001''', 'PT404 bank_transaction_not_found'),
    ('9223372036854775807', '''0962000001''', 'PT404 bank_transaction_not_found'),
    (:'t', '''0962000001'', ''''', '22023 blank'), (:'t', '''0962000001'', repeat(''x'', 256)', '22001 too_long')) AS v (id, phone, expected);
SELECT is(pg_temp.said(c360_link_transaction(:t, '+84 962 000 001', 'Bình')), 'deposited 0962000001 paid created', 'linked to a new customer');
SELECT is((SELECT concat_ws(' ', name, created_source) FROM c360.customers WHERE phone = '0962000001'), 'Bình bank_link', 'who has the name');
CREATE TEMP TABLE before AS SELECT pg_temp.books() AS books;
SELECT is(pg_temp.said(c360_link_transaction(:t, '0962000001')), 'deposited 0962000001 paid', 'again: the same answer');
SELECT is(pg_temp.said(c360_link_transaction(:t, '0962000001', auto_deposit => false)), 'deposited 0962000001 paid', 'again, without deposit');
SELECT is(pg_temp.books(), books, 'nothing changed') FROM before;
SELECT is(pg_temp.failure(format('SELECT c360_link_transaction(%s, %L)', :t, phone)), 'PT409 already_linked', 'to somebody else')
FROM unnest('{0961220001,0962000009}'::text[]) AS phone;
SELECT is((SELECT count(*) FROM c360.customers WHERE phone = '0962000009'), 0::bigint, 'who is not created for that');
SELECT is(pg_temp.balance('0962000001'), 150000::bigint, 'deposited once');
SELECT is((SELECT concat_ws(' ', link_status, phone, link_method, result, linked_by, transaction_id IS NOT NULL) FROM c360_bank_transaction_list WHERE id = :t),
          'linked 0962000001 manual deposited postgres t', 'the list says so');
SELECT is(pg_temp.failure(format('SELECT c360_link_transaction(%s, %L)', pg_temp.row_of(id), '0962000001')), 'PT409 not_incoming', 'not incoming: ' || what)
FROM (VALUES (101, 'out', pg_temp.take(101, '0961220001', '{"transferType": "out"}')),
             (102, 'zero', pg_temp.take(102, '0961220001', '{"transferAmount": 0}'))) AS v (id, what, result) WHERE result = 'stored';
SELECT is(count(*), 2::bigint, 'both are stored and nothing else') FROM c360_bank_transaction_list WHERE sepay_id IN (101, 102) AND result = 'stored' AND link_status IS NULL;
-- without deposit, then with
SELECT is(pg_temp.take(103, 'nobody'), 'unmatched', 'another one');
SELECT pg_temp.row_of(103) AS t2 \gset
SELECT is(pg_temp.said(c360_link_transaction(:t2, '0962000002', NULL, false)), 'linked 0962000002 created', 'linked without deposit');
SELECT is(pg_temp.balance('0962000002'), 0::bigint, 'nothing was deposited');
SELECT is(pg_temp.problems(), '103 linked without deposit', 'reconciliation says so');
SELECT is(pg_temp.said(c360_link_transaction(:t2, '0962000002', auto_deposit => NULL)), 'deposited 0962000002 paid', 'deposited later');
SELECT is(pg_temp.balance('0962000002'), 150000::bigint, 'once');
SELECT is((SELECT count(*) FROM c360.bank_links WHERE bank_transaction_id = :t2), 1::bigint, 'under the same link');
-- the other way to the same: a match that staff links by hand is resolved
SELECT is(pg_temp.said(c360_link_transaction(pg_temp.row_of(9), '0962000002')), 'deposited 0962000002 paid', 'a pending one by hand');
SELECT is((SELECT concat_ws(' ', status, any_customer) FROM c360.pending_customer_matches WHERE id = pg_temp.match_of(9)), 'resolved t', 'its match is resolved');
SELECT is(pg_temp.failure(format('SELECT c360_resolve_match(%s, %L)', pg_temp.match_of(9), '0961220001')), 'PT409 already_resolved', 'and cannot be again');

-- Unlinking ------------------------------------------------------------------
SELECT is(pg_temp.failure(format('SELECT c360_unlink_transaction(%s, %s)', id, reason)), expected, 'unlink: ' || expected) FROM (VALUES
    ('NULL', '''wrong''', '22004 missing_argument'), (:'t', 'NULL', '22004 missing_argument'), (:'t', ''' ''', '22023 blank'),
    (:'t', 'repeat(''x'', 501)', '22001 too_long'), ('0', '''wrong''', 'PT404 bank_transaction_not_found'),
    ('9223372036854775807', '''wrong''', 'PT404 bank_transaction_not_found'),
    (pg_temp.row_of(4)::text, '''wrong''', 'PT409 not_linked'), (pg_temp.row_of(101)::text, '''wrong''', 'PT409 not_incoming')) AS v (id, reason, expected);
SELECT c360_withdraw('0962000001', 40000) \g /dev/null
UPDATE before SET books = pg_temp.books();
SELECT is(pg_temp.failure(format('SELECT c360_unlink_transaction(%s, %L)', :t, 'wrong')), 'PT409 already_spent', 'the money is spent');
SELECT is((SELECT detail FROM failures WHERE word = 'already_spent'), 'already_spent: missing 40000, balance 110000, deposited 150000', 'what is missing');
SELECT is(pg_temp.books(), books, 'nothing changed') FROM before;
SELECT c360_issue_credit('0962000001', 40000) \g /dev/null
SELECT is(pg_temp.failure(format('SELECT c360_unlink_transaction(%s, %L)', :t, 'wrong')), 'PT409 already_spent', 'credit is no money');
SELECT c360_deposit('0962000001', 40000), c360_freeze_wallet('0962000001', 'looked into') \g /dev/null
SELECT total_deposited AS deposited, total_withdrawn AS withdrawn FROM c360_wallet('0962000001') \gset
SELECT is(pg_temp.said(c360_unlink_transaction(:t, 'of somebody else')), 'unlinked 0962000001 paid', 'unlinked, from a frozen wallet');
SELECT is(pg_temp.wallet('0962000001'), '0 + 40000, available 0, frozen', 'taken back');
SELECT is((pg_temp.last_row('0962000001')).type || ' ' || (pg_temp.last_row('0962000001')).source || ' ' || (pg_temp.last_row('0962000001')).real_change,
          'ADJUSTMENT BANK_UNLINK -150000', 'by a row of the ledger');
SELECT is((SELECT ROW(total_deposited, total_withdrawn)::text FROM c360_wallet('0962000001')), ROW(:deposited, :withdrawn)::text, 'it counts in no total');
SELECT is((SELECT concat_ws(' ', unlinked_by, reason, unlinked_at IS NOT NULL) FROM c360.bank_links WHERE bank_transaction_id = :t), 'postgres of somebody else t', 'the link has its end');
SELECT is(pg_temp.failure(format('SELECT c360_unlink_transaction(%s, %L)', :t, 'again')), 'PT409 not_linked', 'not twice');
SELECT is((SELECT concat_ws(' ', link_status, result, customer_id) FROM c360_bank_transaction_list WHERE id = :t), 'unlinked unlinked', 'the list says so');
SELECT is(pg_temp.problems(), 'none', 'all is well');
-- nobody takes it up but staff
SELECT is((SELECT ROW(processed, failed)::text FROM c360_process_bank()), '(0,0)', 'not the job');
SELECT is((SELECT result FROM c360.balance_history WHERE id = :t), 'unlinked', 'it stays');
-- linked again, to another and then to the first
SELECT is(pg_temp.said(c360_link_transaction(:t, '0962000002')), 'deposited 0962000002 paid', 'to another');
SELECT is(pg_temp.said(c360_unlink_transaction(:t, 'no')), 'unlinked 0962000002 paid', 'no');
SELECT is(pg_temp.said(c360_link_transaction(:t, '0962000001')), 'deposited 0962000001 paid', 'it was the first, after all');
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE unlinked_at IS NULL) FROM c360.bank_links WHERE bank_transaction_id = :t), '3 1', 'three links, one open');
SELECT is((SELECT jsonb_array_length(former_links) FROM c360_bank_transaction_list WHERE id = :t), 2, 'the list has the history');
SELECT is(pg_temp.balance('0962000001'), 150000::bigint, 'deposited under the new link');
SELECT is(pg_temp.said(c360_ingest_bank_transaction(pg_temp.body(100, 'nobody'))), 'duplicate 0962000001 paid', 'told again by the bank');
-- a link without deposit is undone without money
SELECT is(pg_temp.take(104, 'nobody'), 'unmatched', 'another one');
SELECT c360_link_transaction(pg_temp.row_of(104), '0962000002', auto_deposit => false) \g /dev/null
SELECT is(pg_temp.said(c360_unlink_transaction(pg_temp.row_of(104), 'no')), 'unlinked 0962000002', 'no money moves');
SELECT is((SELECT string_agg(event, ' ' ORDER BY id) FROM c360.customer_activities WHERE topic = 'bank' AND reference_id = :'t'),
          'bank.received bank.linked bank.unlinked bank.linked bank.unlinked bank.linked', 'each step was announced');
SELECT is(pg_temp.problems(), 'none', 'all is well');

-- Matches --------------------------------------------------------------------
SELECT is(pg_temp.take(id, '0961220001 0361440001 0962000088'), 'pending', 'three phones') FROM generate_series(200, 205) AS id;
SELECT pg_temp.match_of(200) AS m \gset
SELECT is((SELECT concat_ws(' ', status, jsonb_array_length(customers), customers -> 0 ->> 'phone', transfer_amount) FROM c360_pending_match_list WHERE id = :m),
          'pending 2 0961220001 150000', 'listed with its customers');
SELECT is(pg_temp.failure(call), expected, call) FROM (VALUES
    ('SELECT c360_resolve_match(NULL, ''0961220001'')', '22004 missing_argument'), (format('SELECT c360_resolve_match(%s, NULL)', :m), '22004 missing_argument'),
    ('SELECT c360_resolve_match(0, ''0961220001'')', 'PT404 match_not_found'), ('SELECT c360_resolve_match(9223372036854775807, ''0961220001'')', 'PT404 match_not_found'),
    (format('SELECT c360_resolve_match(%s, ''x'')', :m), '22023 invalid_phone'), (format('SELECT c360_resolve_match(%s, ''0961330002'')', :m), 'PT409 not_a_candidate'),
    (format('SELECT c360_resolve_match(%s, ''0962000077'')', :m), 'PT409 not_a_candidate'),
    (format('SELECT c360_resolve_match(%s, ''0961220001'', false, repeat(''x'', 2001))', :m), '22001 too_long'),
    ('SELECT c360_skip_match(NULL, ''x'')', '22004 missing_argument'), (format('SELECT c360_skip_match(%s, NULL)', :m), '22004 missing_argument'),
    (format('SELECT c360_skip_match(%s, '' '')', :m), '22023 blank'), ('SELECT c360_skip_match(0, ''x'')', 'PT404 match_not_found'),
    ('SELECT c360_undo_skip_match(NULL)', '22004 missing_argument'), ('SELECT c360_undo_skip_match(9223372036854775807)', 'PT404 match_not_found'),
    (format('SELECT c360_undo_skip_match(%s)', :m), 'PT409 not_skipped')) AS v (call, expected);
SELECT is(pg_temp.said(c360_resolve_match(:m, '0361 440 001', note => 'he called')), 'deposited 0361440001 paid', 'resolved to a listed one');
SELECT is((SELECT concat_ws(' ', status, phone, any_customer, resolved_by, reason) FROM c360_pending_match_list WHERE id = :m), 'resolved 0361440001 f postgres he called', 'the match says so');
SELECT is(pg_temp.failure(call), expected, call) FROM (VALUES
    (format('SELECT c360_resolve_match(%s, ''0361440001'')', :m), 'PT409 already_resolved'), (format('SELECT c360_skip_match(%s, ''x'')', :m), 'PT409 already_resolved'),
    (format('SELECT c360_undo_skip_match(%s)', :m), 'PT409 not_skipped')) AS v (call, expected);
SELECT is(pg_temp.said(c360_resolve_match(pg_temp.match_of(201), '0962000088')), 'deposited 0962000088 paid created', 'to a phone it lists: created');
SELECT is(pg_temp.said(c360_resolve_match(pg_temp.match_of(202), '0961330002', true)), 'deposited 0961330002 paid', 'to any customer');
SELECT is(pg_temp.said(c360_resolve_match(pg_temp.match_of(203), '0961220001', true)), 'deposited 0961220001 paid', 'to a listed one, any allowed');
SELECT is(pg_temp.take(206, '0961220001 0361440001'), 'pending', 'another one');
SELECT is(pg_temp.said(c360_resolve_match(pg_temp.match_of(206), '0962000077', true)), 'deposited 0962000077 paid created', 'to a new customer, any allowed');
SELECT is((SELECT string_agg(any_customer::text, ' ' ORDER BY id) FROM c360.pending_customer_matches WHERE id IN (pg_temp.match_of(202), pg_temp.match_of(203))), 'true false', 'which is recorded');
SELECT is(pg_temp.said(c360_skip_match(pg_temp.match_of(204), 'asked back')), 'skipped', 'skipped');
SELECT is((SELECT concat_ws(' ', result, link_status) FROM c360_bank_transaction_list WHERE sepay_id = 204), 'skipped unlinked', 'the list says so');
SELECT is(pg_temp.failure(format('SELECT c360_skip_match(%s, %L)', pg_temp.match_of(204), 'x')), 'PT409 match_skipped', 'not twice');
SELECT is(pg_temp.failure(format('SELECT c360_resolve_match(%s, %L)', pg_temp.match_of(204), '0961220001')), 'PT409 match_skipped', 'nor resolved');
SELECT is(pg_temp.said(c360_undo_skip_match(pg_temp.match_of(204))), 'pending', 'taken up again');
SELECT is(pg_temp.failure(format('SELECT c360_undo_skip_match(%s)', pg_temp.match_of(204))), 'PT409 not_skipped', 'not twice');
SELECT is((SELECT concat_ws(' ', status, resolved_at, resolved_by, reason) FROM c360.pending_customer_matches WHERE id = pg_temp.match_of(204)), 'pending', 'as before');
SELECT is(pg_temp.said(c360_resolve_match(pg_temp.match_of(204), '0961220001')), 'deposited 0961220001 paid', 'and resolved');
SELECT c360_skip_match(pg_temp.match_of(205), 'later') \g /dev/null
SELECT is(pg_temp.said(c360_link_transaction(pg_temp.row_of(205), '0961330002')), 'deposited 0961330002 paid', 'a skipped one by hand');
SELECT is(pg_temp.failure(format('SELECT c360_undo_skip_match(%s)', pg_temp.match_of(205))), 'PT409 already_linked', 'its match stays skipped');
SELECT is((SELECT string_agg(event, ' ' ORDER BY id) FROM c360.customer_activities WHERE topic = 'bank' AND reference_id = pg_temp.row_of(204)::text),
          'bank.received bank.pending bank.skipped bank.pending bank.resolved', 'each step was announced');
SELECT is_empty($$SELECT bank_transaction_id FROM c360.pending_customer_matches WHERE status = 'pending' GROUP BY 1 HAVING count(*) > 1$$, 'one open match a transfer');
SELECT is(pg_temp.problems(), 'none', 'all is well');

-- The job --------------------------------------------------------------------
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.amount = 666 THEN
        RAISE EXCEPTION 'not today' USING ERRCODE = 'P0099';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT is(pg_temp.take(300, '0961220001', '{"transferAmount": 666}'), 'failed', 'the shop refuses it');
SELECT is(pg_temp.take(301, '0961220001', '{"transferAmount": 667}'), 'deposited 0961220001', 'and nothing else');
CREATE FUNCTION pg_temp.attempt(sepay bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', result, attempts, error, to_char(next_attempt_at - clock_timestamp() + interval '10 seconds', 'HH24:MI'), given_up_at IS NOT NULL)
    FROM c360.balance_history WHERE sepay_id = sepay
$$;
SELECT is(pg_temp.attempt(300), 'failed 1 P0099 not today 00:05 f', 'first');
SELECT is((SELECT ROW(processed, failed)::text FROM c360_process_bank()), '(0,0)', 'not due yet');
CREATE FUNCTION pg_temp.try() RETURNS text LANGUAGE sql AS $$
    UPDATE c360.balance_history SET next_attempt_at = clock_timestamp() WHERE next_attempt_at IS NOT NULL;
    SELECT ROW(processed, failed)::text FROM c360_process_bank()
$$;
SELECT is(pg_temp.try() || ' ' || pg_temp.attempt(300), '(0,1) failed ' || expected, 'try ' || expected) FROM (VALUES
    ('2 P0099 not today 00:10 f'), ('3 P0099 not today 00:20 f'), ('4 P0099 not today 00:40 f'), ('5 P0099 not today t')) AS v (expected);
SELECT is(pg_temp.try(), '(0,0)', 'given up');
SELECT is((SELECT concat_ws(' ', result, error, given_up_at IS NOT NULL) FROM c360_bank_transaction_list WHERE sepay_id = 300), 'failed P0099 not today t', 'the list shows it');
SELECT is((SELECT detail FROM c360_bank_problem_list WHERE sepay_id = 300 AND problem = 'given_up'), 'P0099 not today', 'and the list of problems');
SELECT is(pg_temp.failure(format('SELECT c360_link_transaction(%s, %L)', pg_temp.row_of(300), '0961220001')), 'P0099', 'by hand it fails as well');
SELECT is(pg_temp.take(302, '0961220001', '{"transferAmount": 666}'), 'failed', 'another one fails');
SELECT is(pg_temp.take(303, '0961220001 0361440001', '{"transferAmount": 666}'), 'pending', 'a match needs no money');
SELECT is(pg_temp.failure(format('SELECT c360_resolve_match(%s, %L)', pg_temp.match_of(303), '0961220001')), 'P0099', 'to resolve it does');
SELECT is((SELECT status FROM c360.pending_customer_matches WHERE id = pg_temp.match_of(303)), 'pending', 'it stays');
DROP TRIGGER refuse ON c360.wallet_transactions;
SELECT is(pg_temp.try() || ' ' || pg_temp.attempt(302), '(1,0) deposited 2 f', 'the job makes good what failed');
SELECT is(pg_temp.said(c360_link_transaction(pg_temp.row_of(300), '0961220001')), 'deposited 0961220001 paid', 'and staff what was given up');
SELECT is(pg_temp.attempt(300), 'deposited 5 f', 'it is no longer');
SELECT is(pg_temp.failure(format('SELECT c360_process_bank(%s)', n)), '22023 out_of_range', n || ' rows') FROM unnest('{0,-1,10001,2147483647}'::text[]) AS n;
SELECT is((SELECT ROW(processed, failed)::text FROM c360_process_bank(NULL)), '(0,0)', 'NULL rows: as many as usual');
-- a row that cannot even keep the reason stops no other
CREATE FUNCTION pg_temp.refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not this row' USING ERRCODE = 'P0098';
END $$;
SELECT c360_ingest_bank_transactions(jsonb_build_array(pg_temp.body(304, '0961220001'), pg_temp.body(305, '0961220001')), false) \g /dev/null
CREATE TRIGGER refuse_row BEFORE UPDATE ON c360.balance_history FOR EACH ROW WHEN (OLD.sepay_id = 304) EXECUTE FUNCTION pg_temp.refuse_row();
SET LOCAL client_min_messages = error;      -- a WARNING says so
SELECT is((SELECT ROW(processed, failed)::text FROM c360_process_bank()), '(1,0)', 'the other one is decided');
RESET client_min_messages;
SELECT is((SELECT string_agg(coalesce(result, 'undecided'), ' ' ORDER BY sepay_id) FROM c360.balance_history WHERE sepay_id IN (304, 305)), 'undecided deposited', 'this one waits');
DROP TRIGGER refuse_row ON c360.balance_history;
SELECT is((SELECT ROW(processed, failed)::text FROM c360_process_bank()), '(1,0)', 'until it can be');
SELECT ok(EXISTS (SELECT FROM c360_job_status WHERE job = 'process_bank' AND schedule = '*/5 * * * *'), 'the job is registered');
SELECT is(c360_job_process_bank(), 0::bigint, 'nothing is left');

-- Unmatched ones again, by hand
SELECT is(pg_temp.take(310, 'hotline 0963000001'), 'deposited 0963000001', 'a phone');
SELECT c360_ignore_number('0963 000 002', 'hotline') \g /dev/null
SELECT is(pg_temp.take(311, 'hotline 0963000002'), 'unmatched', 'an ignored one');
SELECT is(pg_temp.take(312, 'hotline 0963000002 555666'), 'unmatched', 'and a part');
SELECT c360_unignore_number('0963000002'), c360_get_or_create_customer('0963555666') \g /dev/null
SELECT is(pg_temp.take(313, 'hang 999111'), 'unmatched', 'a part of nobody''s');
SELECT c360_get_or_create_customer('0963999111') \g /dev/null
SELECT is(pg_temp.failure(format('SELECT c360_rematch_transactions(%s)', days)), expected, 'rematch ' || days) FROM (VALUES
    ('NULL, ''2025-05-26''', '22004 missing_argument'), ('''2025-05-26'', NULL', '22004 missing_argument'), ('''2025-05-27'', ''2025-05-26''', '22023 out_of_range'),
    ('''-infinity'', ''infinity''', '22023 out_of_range'), ('''1899-12-31'', ''2025-05-26''', '22023 out_of_range')) AS v (days, expected);
SELECT is((SELECT ROW(matched)::text FROM c360_rematch_transactions('2025-05-25', '2025-05-25')), '(0)', 'another day');
SELECT is((SELECT ROW(matched)::text FROM c360_rematch_transactions('2025-05-26', '2025-05-26')), '(2)', 'whole phones are found now');
SELECT is((SELECT string_agg(result, ' ' ORDER BY sepay_id) FROM c360.balance_history WHERE sepay_id IN (311, 312, 313)), 'deposited deposited unmatched', 'parts are not');
SELECT is((SELECT ROW(matched)::text FROM c360_rematch_transactions('2025-05-26', '2025-05-26')), '(0)', 'not twice');
SELECT is(pg_temp.problems(), 'none', 'all is well');

-- Many at once ---------------------------------------------------------------
SET LOCAL client_min_messages = error;      -- each malformed item is a WARNING
CREATE FUNCTION pg_temp.told(payloads jsonb, decide boolean DEFAULT true) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', r.result, r.phone, r.amount), ', ' ORDER BY n)
    FROM c360_ingest_bank_transactions(payloads, decide) WITH ORDINALITY AS r (bank_transaction_id, result, phone, customer_id, customer_created, transaction_id, amount, n)
$$;
SELECT is(pg_temp.told('[]'), NULL, 'none');
SELECT is(pg_temp.told(jsonb_build_array(pg_temp.body(400, '0964000001'), pg_temp.body(400, '0964000001'), pg_temp.body(401, 'x', '{"transferAmount": -1}'), '5', 'null',
    pg_temp.body(402, '0964000001', '{"transferType": "out"}'), pg_temp.body(1, 'IB HONG 220001'), pg_temp.body(403, '0964000001 0964000002'), pg_temp.body(404, 'none'))),
    'deposited 0964000001 150000, duplicate 0964000001 150000, failed, failed, failed, stored 150000, duplicate 0961220001 150000, pending 150000, unmatched 150000',
    'one result for each, in order');
SELECT is((SELECT string_agg(detail, ' | ' ORDER BY id) FROM c360.audit_logs WHERE function = 'c360_ingest_bank_transactions'),
          'item 3: invalid_payload: transferAmount is negative | item 4: invalid_payload: the payload is no object | item 5: invalid_payload: the payload is no object', 'why each failed');
SELECT is(pg_temp.balance('0964000001'), 150000::bigint, 'deposited once');
SELECT is(pg_temp.told('{"status": 200, "error": null, "messages": {"success": true}, "transactions": [
    {"id": "410", "bank_brand_name": "MBBank", "account_number": "0123499999", "transaction_date": "2025-05-26 19:59:48", "amount_out": "0.00",
     "amount_in": "18067000.00", "accumulated": "1.00", "transaction_content": "0964000001", "reference_number": "FT1", "code": null, "sub_account": null, "bank_account_id": "9"},
    {"id": "411", "bank_brand_name": "MBBank", "account_number": "0123499999", "transaction_date": "2025-05-26 19:59:48", "amount_out": "5.00", "amount_in": "0.00"},
    {"id": 412, "bank_brand_name": "MBBank", "account_number": "0123499999", "transaction_date": "2025-05-26 19:59:48", "amount_in": 7},
    {"id": 413, "bank_brand_name": "MBBank", "account_number": "0123499999", "transaction_date": "2025-05-26 19:59:48", "amount_in": "0.00", "amount_out": "0.00"}]}'),
    'deposited 0964000001 18067000, stored 5, unmatched 7, stored 0', 'the list of SePay');
SELECT is((SELECT concat_ws(' ', gateway, transaction_date, content, accumulated, reference_code, transfer_type) FROM c360.balance_history WHERE sepay_id = 410),
          'MBBank 2025-05-26 19:59:48+07 0964000001 1 FT1 in', 'kept as the webhook would have it');
SELECT is(pg_temp.told(jsonb_build_array('{"id": 420, "bank_brand_name": "MB", "account_number": "1", "transaction_date": "2025-05-26", "amount_in": "1.00"}'::jsonb || wrong)), 'failed', 'list: ' || wrong::text)
FROM unnest(ARRAY['{"amount_in": "1.50"}', '{"amount_in": "x"}', '{"amount_in": "-1.00"}', '{"amount_in": "1.0.0"}', '{"amount_in": "1.00", "amount_out": "2.00"}', '{"amount_in": "."}', '{"amount_in": ""}',
    '{"amount_in": null}', '{"transaction_date": "yesterday"}', '{"bank_brand_name": null}', '{"account_number": ""}', '{"accumulated": "much"}', '{"amount_in": "99999999999999999999"}', '{"id": "x"}', '{"amount_in": true}']::jsonb[]) AS wrong;
SELECT is((SELECT count(*) FROM c360.balance_history WHERE sepay_id = 420), 0::bigint, 'stored nowhere');
-- one that the shop's own trigger keeps out stops no other
CREATE TRIGGER refuse_row BEFORE INSERT ON c360.balance_history FOR EACH ROW WHEN (NEW.sepay_id = 491) EXECUTE FUNCTION pg_temp.refuse_row();
SELECT is(pg_temp.told(jsonb_build_array(pg_temp.body(490, '0964000001'), pg_temp.body(491, '0964000001'), pg_temp.body(492, '0964000001'))),
          'deposited 0964000001 150000, failed, deposited 0964000001 150000', 'what cannot be stored fails by itself');
SELECT is((SELECT concat_ws(' ', sqlstate, message, detail) FROM c360.audit_logs WHERE function = 'c360_ingest_bank_transactions' ORDER BY id DESC LIMIT 1), 'P0098 not this row item 2: ', 'why');
SELECT is(pg_temp.failure(format('SELECT c360_ingest_bank_transaction(%L)', pg_temp.body(491, '0964000001'))), 'P0098', 'alone it is an error');
DROP TRIGGER refuse_row ON c360.balance_history;
SELECT is((SELECT count(DISTINCT substring(detail FROM 'invalid_payload: (\w+)')) FROM c360.audit_logs WHERE function = 'c360_ingest_bank_transactions' AND detail ~ ': (amount_in|transaction_date|bank_brand_name|account_number|accumulated|id) '),
          6::bigint, 'the field is named');
SELECT is(pg_temp.failure(format('SELECT c360_ingest_bank_transactions(%s)', payloads)), expected, 'bulk: ' || left(payloads, 40)) FROM (VALUES
    ('NULL', '22004 missing_argument'), ('''{}''', '22023 invalid_payload'), ('''"x"''', '22023 invalid_payload'), ('''null''', '22023 invalid_payload'),
    ('''{"transactions": 5}''', '22023 invalid_payload'), ('(SELECT jsonb_agg(n) FROM generate_series(1, 10001) n)', '22023 too_many')) AS v (payloads, expected);
-- stored now, decided by the job
SELECT is(pg_temp.told(jsonb_build_array(pg_temp.body(430, '0964000003'), pg_temp.body(431, 'none'), pg_temp.body(432, '0964000003', '{"transferType": "out"}')), false),
    'stored 150000, stored 150000, stored 150000', 'without decision');
SELECT is((SELECT count(*) FROM c360.customers WHERE phone = '0964000003'), 0::bigint, 'nothing follows');
SELECT is((SELECT ROW(processed, failed)::text FROM c360_process_bank(1)), '(1,0)', 'one by the job');
SELECT is((SELECT ROW(processed, failed)::text FROM c360_process_bank()), '(1,0)', 'and the other');
SELECT is((SELECT string_agg(result, ' ' ORDER BY sepay_id) FROM c360.balance_history WHERE sepay_id IN (430, 431, 432)), 'deposited unmatched stored', 'as if decided at once');
-- one that fails does not stop the others of its batch
CREATE TRIGGER refuse BEFORE INSERT ON c360.wallet_transactions FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT is((SELECT string_agg(n || ' ' || result, ', ' ORDER BY n) FROM (
    SELECT result, count(*) AS n FROM c360_ingest_bank_transactions((SELECT jsonb_agg(pg_temp.body(n, '0964' || lpad((n % 7)::text, 6, '0'),
        CASE WHEN n = 5123 THEN '{"transferAmount": 666}'::jsonb ELSE '{}' END) ORDER BY n) FROM generate_series(5001, 5250) n)) GROUP BY 1) r), '1 failed, 249 deposited', '250, one of them refused');
DROP TRIGGER refuse ON c360.wallet_transactions;
SELECT is(pg_temp.attempt(5123), 'failed 1 P0099 not today 00:05 f', 'with its reason');
SELECT is((SELECT count(*) FROM c360.balance_history WHERE sepay_id BETWEEN 5001 AND 5250), 250::bigint, 'each is stored once');
SELECT is((SELECT sum(balance) FROM c360_wallets((SELECT array_agg('0964' || lpad(n::text, 6, '0')) FROM generate_series(0, 6) n))),
          (SELECT sum(transfer_amount) FROM c360.balance_history b JOIN c360.bank_links l ON l.bank_transaction_id = b.id JOIN c360.customers c ON c.id = l.customer_id
           WHERE c.phone LIKE '096400000_' AND c.phone <> '0964000007')::numeric, 'and deposited once');
SELECT is(pg_temp.problems(), 'none', 'all is well');

-- The webhook ----------------------------------------------------------------
SELECT set_config('request.headers', '{"authorization": "Apikey s3cret"}', true) \g /dev/null
CREATE FUNCTION pg_temp.hook(id bigint, header text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.failure(format('SELECT set_config(''request.headers'', %L, true), c360_sepay_webhook(%L)',
        CASE WHEN header IS NOT NULL THEN jsonb_build_object('authorization', header) ELSE '{}' END, pg_temp.body(id, '0965000001')))
$$;
SELECT is(pg_temp.hook(600, 'Apikey s3cret'), 'PT401 wrong_key', 'no key is set: refused');
SELECT is(pg_temp.failure(format('SELECT c360_set(%L, %L)', 'sepay_api_key_hash', v)), '22023 invalid_setting', 'no hash') FROM unnest('{s3cret,abc,"  x"}'::text[]) AS v;
SELECT is_empty($$SELECT * FROM failures WHERE detail ~ 's3cret'$$, 'what was typed is not told again');
SELECT c360_set('sepay_api_key_hash', upper(encode(sha256('s3cret'), 'hex'))) \g /dev/null
SELECT is((SELECT value FROM c360_settings WHERE name = 'sepay_api_key_hash'), '(set)', 'the hash is not shown');
SELECT is(pg_temp.hook(600, header), 'PT401 wrong_key', 'refused: ' || coalesce(header, 'no header'))
FROM unnest('{NULL,"","Apikey","Apikey ","Apikey s3cre","Apikey s3crett","Apikey S3CRET","Bearer s3cret","s3cret","Apikeys3cret"}'::text[]) AS header;
SELECT is(pg_temp.failure('SELECT set_config(''request.headers'', NULL, true), c360_sepay_webhook(''{}'')'), 'PT401 wrong_key', 'no request at all');
SELECT is((SELECT count(*) FROM c360.balance_history WHERE sepay_id = 600), 0::bigint, 'nothing is stored');
SELECT is(pg_temp.hook(600, 'Apikey s3cret'), 'none', 'the right key');
SELECT is(pg_temp.hook(601, 'apikey  s3cret'), 'none', 'in another spelling');
SELECT set_config('request.headers', '{"authorization": "Apikey s3cret"}', true) \g /dev/null
SELECT is(c360_sepay_webhook(pg_temp.body(602, '0965000001')) - 'bank_transaction_id', '{"success": true, "result": "deposited"}', 'what it answers');
SELECT is(c360_sepay_webhook(pg_temp.body(602, '0965000001')), jsonb_build_object('success', true, 'result', 'duplicate', 'bank_transaction_id', pg_temp.row_of(602)), 'a duplicate');
SELECT is(pg_temp.failure($$SELECT c360_sepay_webhook('{}')$$), '22023 invalid_payload', 'a body of the wrong form');
SELECT is(pg_temp.failure('SELECT c360_sepay_webhook(NULL)'), '22004 missing_argument', 'no body');
SELECT is(pg_temp.balance('0965000001'), 450000::bigint, 'each was deposited once');
CREATE ROLE bank_anon;
SELECT c360_grant('bank_anon', 'bank_feed') \g /dev/null
SET LOCAL ROLE bank_anon;
SELECT c360_sepay_webhook('{"id": 603, "gateway": "MB", "transactionDate": "2025-05-26", "accountNumber": "1", "content": "0965000001", "transferType": "in", "transferAmount": 1}') ->> 'result' AS result \gset
RESET ROLE;
SELECT is(:'result'::text, 'deposited', 'level bank_feed calls it');
SELECT is((SELECT string_agg(r.name, ' ' ORDER BY r.name) FROM pg_temp.routines r WHERE has_function_privilege('bank_anon', r.oid, 'EXECUTE')
           AND NOT has_function_privilege('public', r.oid, 'EXECUTE')), 'c360_sepay_webhook', 'and nothing else');
SELECT c360_set('sepay_api_key_hash', NULL) \g /dev/null
SELECT is(pg_temp.hook(604, 'Apikey s3cret'), 'PT401 wrong_key', 'the key is taken back');

-- Codes and numbers ----------------------------------------------------------
SELECT c360_create_qr_code('0961220001') AS code \gset
SELECT is(pg_temp.take(700, 'ck ' || lower(:'code')), 'deposited 0961220001', 'a code');
SELECT is(pg_temp.take(701, :'code' || ' ck'), 'deposited 0961220001', 'again');
SELECT is((SELECT concat_ws(' ', phone, uses, last_used_at IS NOT NULL, retired_at) FROM c360_qr_code_list WHERE code = :'code'), '0961220001 2 t', 'uses are counted');
SELECT is(pg_temp.failure(format('SELECT c360_retire_qr_code(%s)', code)), expected, 'retire ' || code) FROM (VALUES
    ('NULL', '22004 missing_argument'), (''' ''', '22023 blank'), ('''N2AAAABBBBCCCCDDDD''', 'PT404 qr_code_not_found'), ('repeat(''x'', 201)', '22001 too_long')) AS v (code, expected);
SELECT c360_retire_qr_code(lower(:'code')) \g /dev/null
UPDATE before SET books = pg_temp.books();
SELECT c360_retire_qr_code(:'code') \g /dev/null
SELECT is(pg_temp.books(), books, 'retired once') FROM before;
SELECT is(pg_temp.take(702, 'ck ' || :'code'), 'unmatched', 'a retired code leads to nobody');
SELECT isnt(c360_create_qr_code('0961220001'), :'code'::text, 'there may be another');
SELECT is((SELECT concat_ws(' ', uses, retired_by) FROM c360_qr_code_list WHERE code = :'code'), '2 postgres', 'its uses stay');
SELECT is(c360_vietqr_url('970422', '0123456789', 50000, 'N2ABC tiền & hàng'), 'https://img.vietqr.io/image/970422-0123456789-compact2.png?amount=50000&addInfo=N2ABC%20ti%E1%BB%81n%20%26%20h%C3%A0ng', 'an address');
SELECT is(c360_vietqr_url('970422', '0123456789', NULL, NULL), 'https://img.vietqr.io/image/970422-0123456789-compact2.png', 'without amount and content');
SELECT is(c360_vietqr_url('970422', 'AB9', NULL, 'x'), 'https://img.vietqr.io/image/970422-AB9-compact2.png?addInfo=x', 'without amount');
SELECT is(pg_temp.failure(format('SELECT c360_vietqr_url(%s)', v)), expected, 'address: ' || v) FROM (VALUES
    ('NULL, ''1'', 1, NULL', '22004 missing_argument'), ('''970422'', NULL, 1, NULL', '22004 missing_argument'), ('''97042'', ''1'', 1, NULL', '22023 not_allowed'),
    ('''97042x'', ''1'', 1, NULL', '22023 not_allowed'), ('''970422'', ''1/2'', 1, NULL', '22023 not_allowed'), ('''970422'', ''1'', 0, NULL', '22023 invalid_amount'),
    ('''970422'', ''1'', -1, NULL', '22023 invalid_amount'), ('''970422'', ''1'', 1, repeat(''x'', 256)', '22001 too_long')) AS t (v, expected);
SELECT is(pg_temp.take(710, 'CK 0966000001'), 'deposited 0966000001', 'a number');
SELECT c360_ignore_number('+84 966 000 001', 'our own'), c360_ignore_number('75918', 'our account') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', value, reason, added_by), ', ' ORDER BY value) FROM c360_ignored_number_list), '0966000001 our own postgres, 75918 our account postgres', 'ignored numbers');
SELECT is(pg_temp.take(711, 'CK 0966000001 75918'), 'unmatched', 'it does not count any more');
SELECT c360_ignore_number('0966000001', 'the hotline') \g /dev/null
SELECT is((SELECT reason FROM c360_ignored_number_list WHERE value = '0966000001'), 'the hotline', 'another reason');
SELECT is(c360_unignore_number('0966.000.001'), true, 'it counts again');
SELECT is(c360_unignore_number('0966000001'), false, 'twice: nothing to do');
SELECT is(pg_temp.take(712, 'CK 0966000001'), 'deposited 0966000001', 'the next one is found');
INSERT INTO c360.transfer_ignored (value, reason) VALUES ('0966 000 002', 'by hand');
SELECT is(pg_temp.take(713, 'CK 0966000002'), 'unmatched', 'a row that the owner wrote counts, too');
SELECT is(c360_unignore_number('0966000002'), true, 'and can be taken out');
SELECT is(pg_temp.failure(format('SELECT %s', call)), expected, call) FROM (VALUES
    ('c360_ignore_number(NULL, ''x'')', '22004 missing_argument'), ('c360_ignore_number(''0966000001'', NULL)', '22004 missing_argument'),
    ('c360_ignore_number(''1234'', ''x'')', '22023 invalid_number'), ('c360_ignore_number(''none'', ''x'')', '22023 invalid_number'),
    ('c360_ignore_number(''0966000001'', '''')', '22023 blank'), ('c360_unignore_number(NULL)', '22004 missing_argument'),
    ('c360_unignore_number(''x'')', '22023 invalid_number')) AS t (call, expected);

-- Lists ----------------------------------------------------------------------
SELECT pg_temp.take(id, 'none', further::jsonb || jsonb_build_object('accountNumber', 'A1', 'transactionDate', '2025-06-01 10:00:' || id - 800)) FROM (VALUES
    (810, '{"accumulated": 1000000, "referenceCode": "R1"}'), (811, '{"accumulated": 1150000, "referenceCode": "R2"}'),
    (812, '{"accumulated": 1150000, "referenceCode": "R3", "transferAmount": 0}'), (813, '{"accumulated": 1100000, "referenceCode": "R1", "transferType": "out", "transferAmount": 50000}'),
    (814, '{"accumulated": 1300000, "referenceCode": null}'), (815, '{}'), (816, '{"accumulated": 1}')) AS t (id, further) \g /dev/null
SELECT pg_temp.take(820, 'none', '{"accountNumber": "A2", "accumulated": 5, "referenceCode": "R2", "transactionDate": "2025-06-01 10:00:11"}') \g /dev/null
SELECT is(pg_temp.take(811, 'nobody', '{"accountNumber": "A1", "transferAmount": 7}'), 'duplicate', 'told differently');
SELECT is((SELECT string_agg(concat_ws(' ', sepay_id, problem, expected, found, detail), ', ' ORDER BY sepay_id, problem) FROM c360_bank_problem_list
           WHERE transaction_date >= '2025-06-01' AND transaction_date < '2025-06-02'),
          '810 repeated_reference R1, 811 told_differently 150000 7 nobody, 813 repeated_reference R1, 814 accumulated_gap 1250000 1300000 after transfer 813', 'what is odd');
SELECT results_eq($$SELECT method, transfers, total_amount, share FROM c360_bank_match_statistics WHERE date = '2025-06-01' ORDER BY method$$,
    $$VALUES ('unmatched', 6::bigint, 900000::numeric, 100.00)$$, 'how transfers were matched, per day');
SELECT is_empty($$SELECT date FROM c360_bank_match_statistics GROUP BY date HAVING abs(sum(share) - 100) > 0.1$$, 'shares of a day are all of it');
SELECT set_eq('SELECT method FROM c360_bank_match_statistics WHERE date = ''2025-05-26''',
    '{qr_code,phone,part,resolved,manual,pending,unmatched,failed,unlinked}'::text[], 'each way is told');
SELECT is((SELECT sum(transfers) FROM c360_bank_match_statistics), (SELECT count(*) FROM c360.balance_history WHERE transfer_type = 'in' AND transfer_amount > 0)::numeric, 'each transfer once');

-- Reconciliation finds what is wrong
SELECT is(pg_temp.problems(), 'none', 'all is well before');
SELECT is(pg_temp.failure(format('SELECT * FROM c360_reconcile_bank(%s)', days)), expected, 'reconcile ' || days) FROM (VALUES
    ('NULL, ''2025-05-26''', '22004 missing_argument'), ('''2025-05-26'', NULL', '22004 missing_argument'), ('''2025-05-27'', ''2025-05-26''', '22023 out_of_range'),
    ('''-infinity'', ''infinity''', '22023 out_of_range')) AS v (days, expected);
CREATE FUNCTION pg_temp.after(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    BEGIN
        EXECUTE statement;
        found := pg_temp.problems();
        RAISE SQLSTATE 'TAP00';
    EXCEPTION WHEN SQLSTATE 'TAP00' THEN RETURN found;
    END;
END $$;
SELECT is(pg_temp.after(format(statement, pg_temp.row_of(1))), expected, statement) FROM (VALUES
    ('UPDATE c360.balance_history SET transfer_amount = 1 WHERE id = %s', '1 another amount deposited'),
    ('UPDATE c360.bank_links SET customer_id = (SELECT max(id) FROM c360.customers) WHERE bank_transaction_id = %s', '1 deposited to another customer'),
    ('UPDATE c360.bank_links SET unlinked_at = now() WHERE bank_transaction_id = %s', '1 said to be deposited but not linked, 1 unlinked but not taken back'),
    ('UPDATE c360.balance_history SET transfer_type = ''out'' WHERE id = %s', '1 linked but not incoming'),
    ('UPDATE c360.bank_links SET unlinked_at = NULL WHERE bank_transaction_id = (SELECT id FROM c360.balance_history WHERE sepay_id = 104) AND %s > 0', '104 linked without deposit')) AS t (statement, expected);
SELECT is(pg_temp.problems(), 'none', 'all is well after');

-- Bodies of the wrong form: nothing is stored, the field is named
UPDATE before SET books = pg_temp.books();
SELECT is(pg_temp.failure(format('SELECT c360_ingest_bank_transaction(%L)', pg_temp.body(900, 'x') || wrong)), '22023 invalid_payload', left(wrong::text, 50))
FROM unnest(ARRAY['{"id": null}', '{"transferAmount": "150000"}', '{"transferAmount": -1}', '{"transactionDate": "31/02/2025"}', '{"transactionDate": "2025-02-31"}',
    '{"accountNumber": {}}', '{"content": []}', jsonb_build_object('content', repeat('x', 1000000))]::jsonb[]) AS wrong;
SELECT is_empty($$SELECT * FROM failures WHERE word = 'invalid_payload' AND statement ~ 'c360_ingest_bank_transaction\(''' AND detail !~ '^invalid_payload: (id|transfer|transaction|account|content)'$$, 'the field is named');
SELECT is(pg_temp.books(), books, 'stored nowhere') FROM before;
SELECT is(pg_temp.take(901, E'Nguy\u00c3\u00aan \ufffd \u0007 CK 0966000001 \u202e'), 'deposited 0966000001', 'leftovers of other encodings are read over');

-- Erased: what the gateway tells once more is not taken up again
SELECT c360_get_or_create_customer('0966000077'), pg_temp.take(950, 'nobody we know') \g /dev/null
SELECT c360_link_transaction(pg_temp.row_of(950), '0966000077', auto_deposit => false), c360_erase_customer('0966000077', 'asked') \g /dev/null
SELECT matches(pg_temp.take(950, 'nobody we know'), '^duplicate', 'an erased transfer is known');
SELECT is_empty($$SELECT FROM c360.balance_history_differences WHERE bank_transaction_id = pg_temp.row_of(950)$$, 'and its text does not come back');

-- Dates are read in the shop's time zone, which is nobody else's.
SET LOCAL timezone = 'America/New_York';
SELECT c360_ingest_bank_transaction(pg_temp.body(960, 'nobody we know')) \g /dev/null
SELECT is(current_setting('timezone'), 'America/New_York', 'the caller keeps his time zone');

SELECT * FROM finish();
ROLLBACK;
