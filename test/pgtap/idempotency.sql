-- A call with a key is done once: the same call again gets the first answer
-- and changes nothing, whatever happened since; another call with the key is
-- refused.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- Calls by number, what they answered first, and the books.
CREATE TEMP TABLE calls (n integer PRIMARY KEY, what text, call text, first c360_movement);
CREATE FUNCTION pg_temp.run(what text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    first c360_movement;
BEGIN
    EXECUTE 'SELECT * FROM ' || call INTO first;
    INSERT INTO pg_temp.calls VALUES ((SELECT count(*) + 1 FROM pg_temp.calls), what, call, first);
    RETURN is(first.replayed, false, what || ' is done');
END $$;

-- Calls again everything that was run, and looks at each answer.
CREATE FUNCTION pg_temp.again(since text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    c record;
    second c360_movement;
    books text := pg_temp.books();
BEGIN
    FOR c IN SELECT * FROM pg_temp.calls ORDER BY n LOOP
        EXECUTE 'SELECT * FROM ' || c.call INTO second;
        RETURN NEXT is(to_jsonb(second) - '{available,replayed}'::text[],
                       to_jsonb(c.first) - '{available,replayed}'::text[],
                       format('%s, again %s: the first answer', c.what, since));
        RETURN NEXT is(second.replayed, true, format('%s, again %s: is a replay', c.what, since));
        RETURN NEXT is(second.available,
                       (SELECT w.available FROM c360.wallet_transactions t,
                               c360_wallets(customer_ids => ARRAY[t.customer_id]) w
                        WHERE t.id = second.transaction_id),
                       format('%s, again %s: available is as of now', c.what, since));
    END LOOP;
    RETURN NEXT is(pg_temp.books(), books, format('nothing changed by replays %s', since));
END $$;

-- Each operation, for two customers ----------------------------------------

SELECT pg_temp.run('a deposit', $$c360_deposit('0901000001', 500, 'MANUAL', 'ticket', 'TV-1', 'một ghi chú', 'k-deposit',
                   '2024-01-01 00:00:00+07')$$);
SELECT pg_temp.run('a credit', $$c360_issue_credit('0901000001', 70, 'BOOM', 'TV-2', '2097-01-01', NULL, 'k-issue')$$);
SELECT pg_temp.run('another credit', $$c360_issue_credit('0901000001', 30, idempotency_key => 'k-issue-2')$$);
SELECT pg_temp.run('a withdrawal', $$c360_withdraw('0901000001', 110, 'DH-1', NULL, 'k-withdraw')$$);
SELECT pg_temp.run('a refund', format('c360_refund(%s, 90, NULL, %L)', (first).transaction_id, 'k-refund'))
FROM calls WHERE what = 'a withdrawal';
SELECT pg_temp.run('the rest of it', format('c360_refund(%s, idempotency_key => %L)', (first).transaction_id, 'k-refund-2'))
FROM calls WHERE what = 'a withdrawal';
SELECT pg_temp.run('an adjustment', $$c360_adjust('0901000001', -20, 'counted twice', NULL, NULL, 'k-adjust')$$);
SELECT pg_temp.run('a cancellation', format('c360_cancel_credit(%s, %L, %L)', (first).lots -> 0 -> 'credit_id',
                   'not deserved', 'k-cancel')) FROM calls WHERE what = 'another credit';
SELECT pg_temp.run('a deposit of another customer', $$c360_deposit('0901000002', 5, idempotency_key => 'k-other')$$);
SELECT pg_temp.run('a withdrawal of another customer', $$c360_withdraw('0901000002', 5, idempotency_key => 'k-other-2')$$);

SELECT pg_temp.again('at once');
SELECT c360_deposit('0901000001', 1000) \g /dev/null
SELECT c360_deposit('0901000002', 2000) \g /dev/null
SELECT pg_temp.again('after deposits');
SELECT isnt((SELECT available FROM c360_deposit('0901000001', 500, 'MANUAL', 'ticket', 'TV-1', NULL, 'k-deposit',
                                                 '2024-01-01 00:00:00+07')),
            (SELECT (first).available FROM calls WHERE what = 'a deposit'), 'available has changed since');
SELECT c360_withdraw('0901000001', (SELECT available FROM c360_wallet('0901000001'))) \g /dev/null
SELECT pg_temp.again('when the funds are gone');
SELECT c360_freeze_wallet('0901000001', 'looks wrong') \g /dev/null
SELECT pg_temp.again('when frozen');
SELECT is((SELECT available FROM c360_withdraw('0901000001', 110, 'DH-1', NULL, 'k-withdraw')), 0::bigint,
          'nothing is available of a frozen wallet');
UPDATE c360.customers SET tier = 'blacklist' WHERE phone = '0901000002';
SELECT pg_temp.again('when blacklisted');
SELECT c360_set('max_amount', '3') \g /dev/null
SELECT pg_temp.again('when the limit is lower');
SELECT c360_set('max_amount', NULL) \g /dev/null
UPDATE c360.virtual_credits SET expires_at = '2001-01-01' WHERE status <> 'CANCELLED';
SELECT c360_expire_credits() \g /dev/null
SELECT pg_temp.again('when the lots expired');
SELECT c360_issue_credit('0901000001', 3, source_id => 'overdue') \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('overdue')) \g /dev/null
SELECT pg_temp.again('while a lot is overdue');
SELECT is(pg_temp.lot_state('overdue'), 'ACTIVE 3 of 3', 'a replay expires nothing');
UPDATE c360.customer_wallets SET last_at = '2099-01-01';
SELECT pg_temp.again('when the expiry given is past');

-- numbers move: the key leads to the wallet that it moved money in
UPDATE c360.customers SET phone = '0901000009' WHERE phone = '0901000001';
SELECT pg_temp.again('when the number is gone');
SELECT is_empty($$SELECT FROM c360.customers WHERE phone = '0901000001'$$, 'which creates no customer');
SELECT c360_deposit('0901000001', 77) \g /dev/null
SELECT pg_temp.again('when the number is another customer''s');
UPDATE c360.customers SET phone = NULL WHERE phone = '0901000009';
SELECT pg_temp.again('when the customer is erased');

-- What makes two calls the same --------------------------------------------

CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m c360_movement;
    state text; detail text;
BEGIN
    EXECUTE 'SELECT * FROM ' || call INTO m;
    RETURN CASE WHEN m.replayed THEN 'replayed' ELSE 'done' END;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
    RETURN state || ' ' || split_part(detail, ':', 1);
END $$;

SELECT c360_deposit(phone, 1000) FROM unnest(ARRAY['0902000001', '0902000002']) AS phone \g /dev/null
SELECT transaction_id AS paid FROM c360_withdraw('0902000001', 100) \gset
SELECT transaction_id AS paid2 FROM c360_withdraw('0902000002', 100) \gset
SELECT c360_issue_credit('0902000001', 10, source_id => 'one') \g /dev/null
SELECT c360_issue_credit('0902000002', 10, source_id => 'two') \g /dev/null
SELECT lots -> 0 -> 'credit_id' AS lot, transaction_id AS issued
FROM c360_issue_credit('0902000001', 10, source_id => 'cancelled') \gset
SELECT is(pg_temp.outcome(call), expected, format('%s: %s', n, call)) FROM (VALUES
    (1, $$c360_deposit('0902000001', 5, 'MANUAL', 't', 'r', 'note', 'd', '2024-01-01 00:00+07')$$, 'done'),
    (2, $$c360_deposit('+84 902 000 001', 5, 'MANUAL', 't', 'r', 'other note', 'd', '2023-12-31 17:00Z')$$, 'replayed'),
    (3, $$c360_deposit('0902000001', 5, 'MANUAL', 't', 'r', NULL, 'd', '2024-01-01 00:00+07')$$, 'replayed'),
    (4, $$c360_deposit(phone => '0902000001', amount => 5, reference_type => 't', reference_id => 'r',
                       idempotency_key => 'd', occurred_at => '2024-01-01 00:00+07')$$, 'replayed'),
    (5, $$c360_deposit('0902000002', 5, 'MANUAL', 't', 'r', NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (6, $$c360_deposit('0902000001', 6, 'MANUAL', 't', 'r', NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (7, $$c360_deposit('0902000001', 5, 'ORDER_CANCEL', 't', 'r', NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (8, $$c360_deposit('0902000001', 5, 'MANUAL', 'T', 'r', NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (9, $$c360_deposit('0902000001', 5, 'MANUAL', 't', 'R', NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (10, $$c360_deposit('0902000001', 5, 'MANUAL', 't', NULL, NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (11, $$c360_deposit('0902000001', 5, 'MANUAL', NULL, 't', NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (12, $$c360_deposit('0902000001', 5, 'MANUAL', 'tr', NULL, NULL, 'd', '2024-01-01 00:00+07')$$, 'PT409 key_reused'),
    (13, $$c360_deposit('0902000001', 5, 'MANUAL', 't', 'r', NULL, 'd')$$, 'PT409 key_reused'),
    (14, $$c360_deposit('0902000001', 5, 'MANUAL', 't', 'r', NULL, 'd', '2024-01-01 00:01+07')$$, 'PT409 key_reused'),
    (15, $$c360_issue_credit('0902000001', 5, idempotency_key => 'd')$$, 'PT409 key_reused'),
    (16, $$c360_withdraw('0902000001', 5, idempotency_key => 'd')$$, 'PT409 key_reused'),
    (17, $$c360_adjust('0902000001', 5, 'a good reason', idempotency_key => 'd')$$, 'PT409 key_reused'),
    (18, $$c360_deposit('0902000003', 5, idempotency_key => 'd')$$, 'PT409 key_reused'),
    (20, $$c360_issue_credit('0902000001', 5, 'BOOM', 's', '2099-01-01 00:00+07', 'note', 'i')$$, 'done'),
    (21, $$c360_issue_credit('84902000001', 5, 'BOOM', 's', '2098-12-31 17:00Z', 'x', 'i')$$, 'replayed'),
    (22, $$c360_issue_credit('0902000001', 6, 'BOOM', 's', '2099-01-01 00:00+07', 'x', 'i')$$, 'PT409 key_reused'),
    (23, $$c360_issue_credit('0902000001', 5, 'MANUAL', 's', '2099-01-01 00:00+07', 'x', 'i')$$, 'PT409 key_reused'),
    (24, $$c360_issue_credit('0902000001', 5, 'BOOM', 'S', '2099-01-01 00:00+07', 'x', 'i')$$, 'PT409 key_reused'),
    (25, $$c360_issue_credit('0902000001', 5, 'BOOM', NULL, '2099-01-01 00:00+07', 'x', 'i')$$, 'PT409 key_reused'),
    (26, $$c360_issue_credit('0902000001', 5, 'BOOM', 's', '2099-01-01 00:00:00.000001+07', 'x', 'i')$$, 'PT409 key_reused'),
    (27, $$c360_issue_credit('0902000001', 5, 'BOOM', 's', NULL, 'x', 'i')$$, 'PT409 key_reused'),
    (28, $$c360_issue_credit('0902000002', 5, 'BOOM', 's', '2099-01-01 00:00+07', 'x', 'i')$$, 'PT409 key_reused'),
    (30, $$c360_withdraw('0902000001', 5, 'DH-1', 'note', 'w')$$, 'done'),
    (31, $$c360_withdraw('090-2000-001', 5, 'DH-1', NULL, 'w')$$, 'replayed'),
    (32, $$c360_withdraw('0902000001', 4, 'DH-1', NULL, 'w')$$, 'PT409 key_reused'),
    (33, $$c360_withdraw('0902000001', 5, 'DH-2', NULL, 'w')$$, 'PT409 key_reused'),
    (34, $$c360_withdraw('0902000001', 5, NULL, NULL, 'w')$$, 'PT409 key_reused'),
    (35, $$c360_withdraw('0902000002', 5, 'DH-1', NULL, 'w')$$, 'PT409 key_reused'),
    (36, $$c360_withdraw('0902000001', 100000, 'DH-1', NULL, 'w')$$, 'PT409 key_reused'),
    (40, format($$c360_refund(%s, 10, 'note', 'r')$$, :paid), 'done'),
    (41, format($$c360_refund(%s, 10, NULL, 'r')$$, :paid), 'replayed'),
    (42, format($$c360_refund(%s, 11, NULL, 'r')$$, :paid), 'PT409 key_reused'),
    (43, format($$c360_refund(%s, NULL, NULL, 'r')$$, :paid), 'PT409 key_reused'),
    (44, format($$c360_refund(%s, 10, NULL, 'r')$$, :paid2), 'PT409 key_reused'),
    (45, format($$c360_refund(%s, 1000, NULL, 'r')$$, :paid), 'PT409 key_reused'),
    (46, format($$c360_refund(%s, 10, NULL, 'r')$$, :issued), 'PT409 key_reused'),
    (50, $$c360_adjust('0902000001', 5, 'a good reason', 't', 'r', 'a')$$, 'done'),
    (51, $$c360_adjust('(0902)000001', 5, 'a good reason', 't', 'r', 'a')$$, 'replayed'),
    (52, $$c360_adjust('0902000001', -5, 'a good reason', 't', 'r', 'a')$$, 'PT409 key_reused'),
    (53, $$c360_adjust('0902000001', 5, 'another reason', 't', 'r', 'a')$$, 'PT409 key_reused'),
    (54, $$c360_adjust('0902000001', 5, 'a good reason', NULL, 'r', 'a')$$, 'PT409 key_reused'),
    (55, $$c360_adjust('0902000001', 5, 'a good reason', 't', NULL, 'a')$$, 'PT409 key_reused'),
    (56, $$c360_adjust('0902000002', 5, 'a good reason', 't', 'r', 'a')$$, 'PT409 key_reused'),
    (57, $$c360_adjust('0902000001', -50000, 'a good reason', 't', 'r', 'a')$$, 'PT409 key_reused'),
    (60, format($$c360_cancel_credit(%s, 'a reason', 'c')$$, :lot), 'done'),
    (61, format($$c360_cancel_credit(%s, 'a reason', 'c')$$, :lot), 'replayed'),
    (62, format($$c360_cancel_credit(%s, 'other reason', 'c')$$, :lot), 'PT409 key_reused'),
    (63, format($$c360_cancel_credit(%s, 'a reason', 'c')$$, pg_temp.lot('one')), 'PT409 key_reused'),
    (64, format($$c360_cancel_credit(%s, 'a reason', 'c')$$, pg_temp.lot('two')), 'PT409 key_reused'),
    -- the same arguments of another operation
    (65, $$c360_deposit('0902000001', 5, 'MANUAL', idempotency_key => 'op')$$, 'done'),
    (66, $$c360_withdraw('0902000001', 5, 'MANUAL', idempotency_key => 'op')$$, 'PT409 key_reused'),
    (67, $$c360_issue_credit('0902000001', 5, 'MANUAL', idempotency_key => 'op')$$, 'PT409 key_reused'),
    (68, $$c360_deposit('0902000001', 5, 'MANUAL', idempotency_key => 'op')$$, 'replayed'),
    -- texts cannot run into one another
    (70, $$c360_deposit('0902000001', 5, 'MANUAL', 'a', 'bc', NULL, 'run')$$, 'done'),
    (71, $$c360_deposit('0902000001', 5, 'MANUAL', 'ab', 'c', NULL, 'run')$$, 'PT409 key_reused'),
    -- upper and lower case, blanks: another key
    (80, $$c360_deposit('0902000001', 5, idempotency_key => 'Key')$$, 'done'),
    (81, $$c360_deposit('0902000001', 5, idempotency_key => 'key')$$, 'done'),
    (82, $$c360_deposit('0902000001', 5, idempotency_key => ' key')$$, 'done'),
    (83, $$c360_deposit('0902000001', 5, idempotency_key => repeat('ă', 200))$$, 'done'),
    (84, $$c360_deposit('0902000001', 5, idempotency_key => repeat('ă', 200))$$, 'replayed'),
    (85, $$c360_deposit('0902000001', 5, idempotency_key => repeat('ă', 201))$$, '22001 too_long'),
    (86, $$c360_deposit('0902000001', 5, idempotency_key => '')$$, '22023 blank')
) AS t (n, call, expected) ORDER BY n;
SELECT is_empty($$SELECT FROM c360.customers WHERE phone = '0902000003'$$, 'a refused key created no customer');

-- A failed call leaves the key free ----------------------------------------

SELECT c360_deposit('0903000001', 10) \g /dev/null
SELECT c360_deposit('0903000002', 10) \g /dev/null
SELECT is(pg_temp.outcome($$c360_withdraw('0903000001', 11, idempotency_key => 'f')$$), 'PT402 insufficient_funds', 'too much');
SELECT is(pg_temp.outcome($$c360_withdraw('0903000001', 11, idempotency_key => 'f')$$), 'PT402 insufficient_funds', 'still');
SELECT c360_deposit('0903000001', 1) \g /dev/null
SELECT is(pg_temp.outcome($$c360_withdraw('0903000001', 11, idempotency_key => 'f')$$), 'done', 'now it can be done');
SELECT is(pg_temp.outcome($$c360_withdraw('0903000001', 11, idempotency_key => 'f')$$), 'replayed', 'once');
SELECT is(pg_temp.outcome($$c360_withdraw('0903000002', 11, idempotency_key => 'g')$$), 'PT402 insufficient_funds', 'too much');
SELECT is(pg_temp.outcome($$c360_deposit('0903000001', 3, idempotency_key => 'g')$$), 'done',
          'the key serves another operation of another customer');
SELECT is(pg_temp.wallet('0903000001'), '3 + 0, available 3', 'the first wallet');
SELECT is(pg_temp.wallet('0903000002'), '10 + 0, available 10', 'the second wallet');

-- The header of the HTTP request -------------------------------------------

CREATE FUNCTION pg_temp.request(path text, header text, call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.path', path, true), set_config('request.method', 'POST', true),
            set_config('request.headers', jsonb_build_object('host', 'x', 'idempotency-key', header)::text, true);
    RETURN pg_temp.outcome(call);
END $$;
CREATE FUNCTION public.shop_purchase(phone text) RETURNS c360_movement LANGUAGE sql AS $$
    SELECT c360_deposit(phone, 5); SELECT * FROM c360_deposit(phone, 5);
$$;
SELECT is(pg_temp.request('/rpc/c360_deposit', 'h', $$c360_deposit('0904000001', 5)$$), 'done', 'a header is a key');
SELECT is((pg_temp.last_row('0904000001')).idempotency_key, 'h', 'and stands in the ledger');
SELECT is(pg_temp.request('/rpc/c360_deposit', 'h', $$c360_deposit('0904000001', 5)$$), 'replayed', 'again');
SELECT is(pg_temp.request('/api/rpc/c360_deposit', 'h', $$c360_deposit('0904000001', 5)$$), 'replayed', 'behind a prefix');
SELECT is(pg_temp.request('/rpc/c360_deposit', 'h', $$c360_deposit('0904000001', 6)$$), 'PT409 key_reused', 'another call');
SELECT is(pg_temp.request('/rpc/c360_deposit', 'h', $$c360_deposit('0904000001', 5, idempotency_key => 'argument')$$), 'done',
          'an argument goes before the header');
SELECT is((pg_temp.last_row('0904000001')).idempotency_key, 'argument', 'it is the key then');
SELECT is(pg_temp.request('/rpc/c360_deposit', NULL, $$c360_deposit('0904000001', 5)$$), 'done', 'no header');
SELECT is(pg_temp.request('/rpc/c360_deposit', NULL, $$c360_deposit('0904000001', 5)$$), 'done', 'no key');
SELECT is(pg_temp.request('/rpc/c360_deposit', repeat('x', 201), $$c360_deposit('0904000001', 5)$$), '22001 too_long', 'a long header');
SELECT is(pg_temp.request('/rpc/c360_withdraw', 'h2', $$c360_deposit('0904000001', 5)$$), 'done', 'a call that the request does not name');
SELECT is((pg_temp.last_row('0904000001')).idempotency_key, NULL, 'has no key');
SELECT is(pg_temp.request(path, 'h2', $$c360_deposit('0904000001', 5)$$), 'done', 'nor with the path ' || path)
FROM unnest(ARRAY['', 'c360_deposit', '/c360_deposit', '/rpc/c360_deposit/', '/rpc/C360_deposit', '/rpc/xc360_deposit']) AS path;
SELECT is((SELECT count(*) FROM c360.wallet_transactions WHERE idempotency_key = 'h2'), 0::bigint, 'they all had none');
SELECT is(pg_temp.request('/rpc/shop_purchase', 'h3', $$public.shop_purchase('0904000002')$$), 'done', 'calls inside another function');
SELECT is((SELECT array_agg(idempotency_key) FROM c360.wallet_transactions
           WHERE customer_id = c360_get_or_create_customer('0904000002')), '{NULL,NULL}', 'have no key either');

-- a call that a call makes, by a trigger of the shop's
CREATE FUNCTION pg_temp.bonus() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.c360_deposit('0904000003', 1);
    RETURN NULL;
END $$;
CREATE TRIGGER bonus AFTER INSERT ON c360.wallet_transactions FOR EACH ROW
    WHEN (new.amount = 4711) EXECUTE FUNCTION pg_temp.bonus();
SELECT is(pg_temp.request('/rpc/c360_deposit', 'h4', $$c360_deposit('0904000002', 4711)$$), 'done', 'a call with a trigger');
SELECT is((pg_temp.last_row('0904000002')).idempotency_key, 'h4', 'has the key');
SELECT is((pg_temp.last_row('0904000003')).amount || ' ' || coalesce((pg_temp.last_row('0904000003')).idempotency_key, 'none'),
          '1 none', 'the call inside has none');
SELECT is(pg_temp.failure($$DO 'BEGIN PERFORM c360_deposit(''0904000002'', -1); EXCEPTION WHEN OTHERS THEN NULL; END'$$),
          'none', 'a failed call');
SELECT is(pg_temp.request('/rpc/c360_deposit', 'h5', $$c360_deposit('0904000002', 5)$$), 'done', 'does not count as outer call');
SELECT is((pg_temp.last_row('0904000002')).idempotency_key, 'h5', 'for the next one');
SELECT set_config(name, '', true) FROM unnest(ARRAY['request.path', 'request.method', 'request.headers']) AS name \g /dev/null

-- A key is unique for ever.
SELECT is((SELECT count(*) FROM pg_index WHERE indexrelid = 'c360.wallet_transactions_idempotency_key_key'::regclass
           AND indisunique AND pg_get_indexdef(indexrelid) ~ '\(idempotency_key\)'), 1::bigint, 'a unique index says so');
SELECT is_empty($$SELECT idempotency_key FROM c360.wallet_transactions WHERE idempotency_key IS NOT NULL
                  AND (arguments_digest IS NULL OR length(arguments_digest) <> 32)$$, 'the digest stands with the key');
SELECT is_empty($$SELECT idempotency_key FROM c360.wallet_transactions
                  WHERE idempotency_key IS NULL AND arguments_digest IS NOT NULL$$, 'and only there');

SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'after all this the books are sound');
SELECT * FROM finish();
ROLLBACK;
