-- What the money functions do, rule by rule. An and Binh are two customers in
-- each part: what happens to one must leave the other alone.
BEGIN;
\ir tools.psql
SELECT no_plan();

-- Deposit ------------------------------------------------------------------

SELECT is(pg_temp.say(c360_deposit('0901000001', 500)),
          'DEPOSIT 500: real 500, credit 0, then 500 + 0, available 500', 'a deposit creates the customer');
SELECT is(pg_temp.say(c360_deposit('+84 90 100 0002', 700, 'RETURN_GOODS', 'ticket', 'TV-1', 'hàng trả',
                                   occurred_at => '2024-05-06 07:08:09+07')),
          'DEPOSIT 700: real 700, credit 0, then 700 + 0, available 700', 'another customer starts at zero');
SELECT is(pg_temp.say(c360_deposit('090.100.0001', 11, 'ORDER_CANCEL')),
          'DEPOSIT 11: real 11, credit 0, then 511 + 0, available 511', 'any spelling of the phone will do');
SELECT is(pg_temp.wallet('0901000001'), '511 + 0, available 511', 'the first wallet');
SELECT is(pg_temp.wallet('0901000002'), '700 + 0, available 700', 'the second wallet');
SELECT results_eq(
    $$SELECT phone, name, carrier, tier, status, created_source FROM c360.customers
      WHERE phone IN ('0901000001', '0901000002') ORDER BY phone$$,
    $$VALUES ('0901000001', 'Khách hàng mới', 'Mobifone', 'new', 'Bình thường', 'manual'),
             ('0901000002', 'Khách hàng mới', 'Mobifone', 'new', 'Bình thường', 'manual')$$,
    'the customers that were created');
SELECT is(to_jsonb(x), to_jsonb(y), 'the ledger row of a deposit') FROM
    (SELECT t.type, t.operation, t.amount, t.real_change, t.virtual_change, t.balance_after,
            t.virtual_balance_after, t.source, t.reference_type, t.reference_id, t.credit_id,
            t.refunded_transaction_id, t.idempotency_key, t.actor, t.session_user_name, t.occurred_at
     FROM pg_temp.last_row('0901000002') t) x,
    (SELECT 'DEPOSIT' AS type, 'deposit' AS operation, 700 AS amount, 700 AS real_change, 0 AS virtual_change,
            700 AS balance_after, 0 AS virtual_balance_after, 'RETURN_GOODS' AS source,
            'ticket' AS reference_type, 'TV-1' AS reference_id, NULL AS credit_id,
            NULL AS refunded_transaction_id, NULL AS idempotency_key, session_user::text AS actor,
            session_user::text AS session_user_name,
            '2024-05-06 07:08:09+07'::timestamptz AS occurred_at) y;
SELECT is((pg_temp.last_row('0901000001')).source, 'ORDER_CANCEL', 'the source is kept');
SELECT is((SELECT transaction_id FROM c360_deposit('0901000001', 1)),
          (pg_temp.last_row('0901000001')).id, 'the answer names the ledger row');
SELECT is((SELECT lots FROM c360_deposit('0901000001', 1)), '[]'::jsonb, 'a deposit has no lots');
SELECT is((SELECT replayed FROM c360_deposit('0901000001', 1)), false, 'a call without a key is no replay');
SELECT ok((SELECT (pg_temp.last_row('0901000001')).created_at BETWEEN now() AND clock_timestamp()),
          'insert time is the clock');
CREATE TEMP TABLE moment AS SELECT clock_timestamp() AS t;
SELECT c360_deposit('0901000001', 1) \g /dev/null
SELECT ok((pg_temp.last_row('0901000001')).created_at >= t, 'not the start of the transaction') FROM moment;

-- Arguments that are refused, by every function that takes them
CREATE TEMP TABLE calls (call text, phone boolean, amount boolean, text text, longest integer);
INSERT INTO calls VALUES
    ('SELECT c360_deposit(%s, %s, reference_id => %s)', true, true, 'reference_id', 200),
    ('SELECT c360_deposit(%s, %s, reference_type => %s)', true, true, 'reference_type', 200),
    ('SELECT c360_deposit(%s, %s, note => %s)', true, true, 'note', 2000),
    ('SELECT c360_deposit(%s, %s, idempotency_key => %s)', true, true, 'idempotency_key', 200),
    ('SELECT c360_issue_credit(%s, %s, source_id => %s)', true, true, 'source_id', 200),
    ('SELECT c360_issue_credit(%s, %s, note => %s)', true, true, 'note', 2000),
    ('SELECT c360_issue_credit(%s, %s, idempotency_key => %s)', true, true, 'idempotency_key', 200),
    ('SELECT c360_withdraw(%s, %s, order_id => %s)', true, true, 'order_id', 200),
    ('SELECT c360_withdraw(%s, %s, note => %s)', true, true, 'note', 2000),
    ('SELECT c360_withdraw(%s, %s, idempotency_key => %s)', true, true, 'idempotency_key', 200),
    ('SELECT c360_adjust(%s, %s, %s)', true, true, 'reason', 500),
    ('SELECT c360_adjust(%s, %s, repeat(''x'', 10), reference_id => %s)', true, true, 'reference_id', 200),
    ('SELECT c360_adjust(%s, %s, repeat(''x'', 10), reference_type => %s)', true, true, 'reference_type', 200),
    ('SELECT c360_adjust(%s, %s, repeat(''x'', 10), idempotency_key => %s)', true, true, 'idempotency_key', 200),
    ('SELECT c360_freeze_wallet(%s, %3$s)', true, false, 'reason', 500),
    ('SELECT c360_get_or_create_customer(%s, %3$s)', true, false, 'name', 255);
SELECT is(pg_temp.failure(format(call, 'NULL', '5', quote_literal('long enough'))), '22004 missing_argument',
          call || ' without a phone') FROM calls WHERE phone;
SELECT is(pg_temp.failure(format(call, quote_literal(bad), '5', quote_literal('long enough'))),
          '22023 invalid_phone', format('%s with phone "%s"', call, bad))
FROM calls, unnest(ARRAY['', 'abc', '12345', '0901000001 0901000002']) AS bad WHERE phone;
SELECT is(pg_temp.failure(format(call, quote_literal('0901000001'), 'NULL', quote_literal('long enough'))),
          '22004 missing_argument', call || ' without an amount') FROM calls WHERE amount;
SELECT is(pg_temp.failure(format(call, quote_literal('0901000001'), bad, quote_literal('long enough'))),
          '22023 invalid_amount', format('%s with amount %s', call, bad))
FROM calls, unnest(ARRAY['0', '-1', '-9223372036854775808']) AS bad
WHERE amount AND (call !~ 'adjust' OR bad = '0');
SELECT is(pg_temp.failure(format(call, quote_literal('0901000001'), '5',
                                 quote_literal(repeat('ă', longest + 1)))),
          '22001 too_long', format('%s with %s characters', call, longest + 1)) FROM calls;
SELECT is(pg_temp.failure(format(call, quote_literal('0901000001'), '1',
                                 quote_literal(repeat('ă', longest)))),
          'none', format('%s with %s characters', call, longest)) FROM calls WHERE text <> 'idempotency_key';
SELECT is(pg_temp.failure(format(call, quote_literal('0901000001'), '5', quote_literal(blank))),
          '22023 blank', format('%s with a blank text', call))
FROM calls, unnest(ARRAY['', E' \t\n']) AS blank
WHERE text IN ('reason', 'idempotency_key', 'name') AND call !~ '%s, %s, %s';
SELECT c360_unfreeze_wallet('0901000001') \g /dev/null
SELECT is(pg_temp.failure(format('SELECT c360_deposit(%L, 5, %L)', '0901000001', source)),
          '22023 not_allowed', 'no deposit by hand has source ' || source)
FROM unnest(ARRAY['BANK_TRANSFER', 'BANK_UNLINK', 'manual', '', 'COMPENSATION']) AS source;
SELECT is(pg_temp.failure(format('SELECT c360_deposit(%L, 5, occurred_at => %L)', '0901000001', at)),
          '22023 invalid_date', 'nothing happens outside at ' || at)
FROM unnest(ARRAY[(clock_timestamp() + '1 hour')::text, '1999-12-31 23:59:59+00', '1970-01-01', '0044-03-15 BC',
                  'infinity', '-infinity']) AS at;
SELECT c360_deposit('0901000001', 1, occurred_at => '2000-01-01 00:00:00+00') \g /dev/null
SELECT is((pg_temp.last_row('0901000001')).occurred_at, '2000-01-01 00:00:00+00',
          'the first moment of 2000 is a moment');
SELECT c360_deposit('0901000001', 1, occurred_at => clock_timestamp()) \g /dev/null
SELECT isnt((pg_temp.last_row('0901000001')).occurred_at, NULL, 'now is not in the future');
SELECT is((SELECT a.payload ->> 'note' FROM c360.customer_activities a
           WHERE a.id = (pg_temp.last_row('0901000002')).activity_id), 'hàng trả',
          'the note stands in the activity');
SELECT is(pg_temp.wallet('0901000002'), '700 + 0, available 700', 'nobody touched the second wallet');

-- Issue --------------------------------------------------------------------

SELECT is(pg_temp.say(c360_issue_credit('0902000001', 30, source_id => 'A')),
          'VIRTUAL_CREDIT 30: real 0, credit 30, then 0 + 30, available 30, lots A=30',
          'a credit creates the customer');
SELECT is(pg_temp.say(c360_issue_credit('0902000002', 40, 'BOOM', 'B', note => 'lời xin lỗi')),
          'VIRTUAL_CREDIT 40: real 0, credit 40, then 0 + 40, available 40, lots B=40', 'of another customer');
SELECT is(to_jsonb(x), to_jsonb(y), 'the lot') FROM
    (SELECT c.phone, v.kind, v.source_id, v.original_amount, v.remaining_amount, v.status,
            v.expires_at - v.created_at AS life
     FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id
     WHERE v.id = pg_temp.lot('A')) x,
    (SELECT '0902000001' AS phone, 'COMPENSATION' AS kind, 'A' AS source_id, 30 AS original_amount,
            30 AS remaining_amount, 'ACTIVE' AS status, '15 days'::interval AS life) y;
SELECT is(to_jsonb(x), to_jsonb(y), 'the ledger row of a credit') FROM
    (SELECT t.type, t.operation, t.amount, t.real_change, t.virtual_change, t.source, t.credit_id,
            t.credit_expires_at FROM pg_temp.last_row('0902000002') t) x,
    (SELECT 'VIRTUAL_CREDIT' AS type, 'issue_credit' AS operation, 40 AS amount, 0 AS real_change,
            40 AS virtual_change, 'BOOM' AS source, pg_temp.lot('B') AS credit_id,
            pg_temp.lot_expiry('B') AS credit_expires_at) y;
SELECT c360_set('credit_expiry_days', '30') \g /dev/null
SELECT c360_issue_credit('0902000001', 1, source_id => 'A30') \g /dev/null
SELECT is(pg_temp.lot_expiry('A30') - (pg_temp.last_row('0902000001')).created_at, '30 days'::interval,
          'the default life is a setting');
SELECT c360_set('credit_expiry_days', NULL) \g /dev/null
SELECT c360_issue_credit('0902000001', 1, source_id => 'A15') \g /dev/null
SELECT is(pg_temp.lot_expiry('A15') - (pg_temp.last_row('0902000001')).created_at, '15 days'::interval,
          'a setting goes back to its default');
SELECT is((SELECT (lots -> 0 ->> 'expires_at')::timestamptz FROM
           c360_issue_credit('0902000001', 1, expires_at => '2099-01-02 03:04:05+07')),
          '2099-01-02 03:04:05+07', 'an expiry can be given');
SELECT is(pg_temp.failure(format('SELECT c360_issue_credit(%L, 5, expires_at => %L)', '0902000001', at)),
          '22023 expired', 'no credit expires at ' || at)
FROM unnest(ARRAY[clock_timestamp()::text, '2000-01-01 00:00:00+00', '1999-01-01']) AS at;
SELECT is(pg_temp.failure(format('SELECT c360_issue_credit(%L, 5, expires_at => %L)', '0902000001', at)),
          '22023 invalid_date', 'no credit expires at ' || at)
FROM unnest(ARRAY['infinity', '-infinity']) AS at;
SELECT is(pg_temp.failure(format('SELECT c360_issue_credit(%L, 5, %L)', '0902000001', kind)),
          '22023 not_allowed', format('no credit is of kind "%s"', kind))
FROM unnest(ARRAY['boom', 'HOAN', '', 'RETURN_GOODS']) AS kind;
SELECT is(pg_temp.failure(format('SELECT c360_issue_credit(%L, 5, %L)', '0902000001', kind)),
          'none', 'credits are of kind ' || kind)
FROM unnest(ARRAY['BOOM', 'RETURN_SHIPPER', 'COMPENSATION', 'PROMOTION', 'MANUAL']) AS kind;

-- one credit that is not cancelled for each customer, kind and source id
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000003', 30, 'BOOM', 'S')$$), 'none', 'first credit of S');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000003', 5, 'BOOM', 'S')$$), 'PT409 credit_exists',
          'no second one');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000003', 5, 'PROMOTION', 'S')$$), 'none',
          'one of another kind');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000004', 5, 'BOOM', 'S')$$), 'none',
          'one of another customer');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000003', 5, 'BOOM', 'T')$$), 'none',
          'one of another source');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000003', 5, 'BOOM')$$), 'none',
          'any number without a source') FROM generate_series(1, 2);
CREATE FUNCTION pg_temp.boom(phone text) RETURNS bigint LANGUAGE sql AS $$
    SELECT v.id FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id
    WHERE c.phone = boom.phone AND v.kind = 'BOOM' AND v.source_id = 'S' ORDER BY v.id DESC LIMIT 1
$$;
SELECT pg_temp.age_lot(pg_temp.boom('0902000003')) \g /dev/null
SELECT c360_expire_credits() \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000003', 5, 'BOOM', 'S')$$), 'PT409 credit_exists',
          'an expired credit still stands for its source');
SELECT c360_withdraw('0902000004', 5) \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000004', 5, 'BOOM', 'S')$$), 'PT409 credit_exists',
          'so does a used one');
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000005', 5, 'BOOM', 'S')$$), 'none', 'one to cancel');
SELECT c360_cancel_credit(pg_temp.boom('0902000005'), 'given by mistake') \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0902000005', 6, 'BOOM', 'S')$$), 'none',
          'a cancelled credit makes room');
SELECT is(pg_temp.wallet('0902000005'), '0 + 6, available 6', 'only the new one counts');
SELECT is(pg_temp.wallet('0902000002'), '0 + 40, available 40', 'the other customer has his credit');

-- Withdraw -----------------------------------------------------------------

-- soonest expiry first, then lowest id, then real balance
SELECT c360_issue_credit('0903000001', 10, source_id => 'late', expires_at => '2098-01-01') \g /dev/null
SELECT c360_issue_credit('0903000001', 20, source_id => 'tie1', expires_at => '2097-01-01') \g /dev/null
SELECT c360_issue_credit('0903000001', 30, source_id => 'tie2', expires_at => '2097-01-01') \g /dev/null
SELECT c360_issue_credit('0903000001', 40, source_id => 'soon', expires_at => '2096-01-01') \g /dev/null
SELECT c360_deposit('0903000001', 1000) \g /dev/null
SELECT c360_issue_credit('0903000002', 10, source_id => 'other', expires_at => '2095-01-01') \g /dev/null
SELECT c360_deposit('0903000002', 50) \g /dev/null
SELECT is(pg_temp.say(c360_withdraw('0903000001', 15)),
          'WITHDRAW 15: real 0, credit -15, then 1000 + 85, available 1085, lots soon=15', 'part of a lot');
SELECT is(pg_temp.lot_state('soon'), 'ACTIVE 25 of 40', 'the rest stays');
SELECT is(pg_temp.say(c360_withdraw('0903000001', 25)),
          'WITHDRAW 25: real 0, credit -25, then 1000 + 60, available 1060, lots soon=25', 'the rest of it');
SELECT is(pg_temp.lot_state('soon'), 'USED 0 of 40', 'it is used up');
SELECT is(pg_temp.say(c360_withdraw('0903000001', 158, 'DH-1', 'đơn hàng')),
          'WITHDRAW 158: real -98, credit -60, then 902 + 0, available 902, lots tie1=20 tie2=30 late=10',
          'all lots in order, then money');
SELECT results_eq($$SELECT pg_temp.lot_state(n) FROM unnest(ARRAY['tie1', 'tie2', 'late', 'other']) AS n$$,
                  $$VALUES ('USED 0 of 20'), ('USED 0 of 30'), ('USED 0 of 10'), ('ACTIVE 10 of 10')$$,
                  'all are used up but for the lot of the other customer');
SELECT results_eq(
    $$SELECT u.position, v.source_id, u.amount, u.expires_at FROM c360.virtual_credit_uses u
      JOIN c360.virtual_credits v ON v.id = u.credit_id
      WHERE u.transaction_id = (pg_temp.last_row('0903000001')).id ORDER BY u.position$$,
    $$VALUES (1, 'tie1', 20::bigint, '2097-01-01'::timestamptz), (2, 'tie2', 30, '2097-01-01'),
             (3, 'late', 10, '2098-01-01')$$,
    'every lot used is recorded, with its expiry then');
SELECT is(to_jsonb(x), to_jsonb(y), 'the ledger row of a withdrawal') FROM
    (SELECT t.type, t.operation, t.amount, t.real_change, t.virtual_change, t.balance_after,
            t.virtual_balance_after, t.source, t.reference_type, t.reference_id, t.credit_id
     FROM pg_temp.last_row('0903000001') t) x,
    (SELECT 'WITHDRAW' AS type, 'withdraw' AS operation, 158 AS amount, -98 AS real_change,
            -60 AS virtual_change, 902 AS balance_after, 0 AS virtual_balance_after, NULL AS source,
            'order' AS reference_type, 'DH-1' AS reference_id, NULL AS credit_id) y;
SELECT is(pg_temp.say(c360_withdraw('0903000001', 902)),
          'WITHDRAW 902: real -902, credit 0, then 0 + 0, available 0', 'to the last dong');
CREATE TEMP TABLE before AS SELECT pg_temp.books() AS books;
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0903000001', 1)$$), 'PT402 insufficient_funds', 'nothing is left');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0903000002', 61)$$), 'PT402 insufficient_funds',
          'one more than there is');
SELECT is((SELECT detail FROM failures ORDER BY ctid DESC LIMIT 1),
          'insufficient_funds: available 60, requested 61', 'the detail has the numbers');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0903000099', 1)$$), 'PT404 customer_not_found',
          'a withdrawal creates no customer');
SELECT is(pg_temp.books(), books, 'what was refused changed nothing') FROM before;
SELECT c360_get_or_create_customer('0903000003') \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0903000003', 1)$$), 'PT402 insufficient_funds',
          'a customer without a wallet has no money');
SELECT is((SELECT count(*) FROM c360.virtual_credit_uses u WHERE u.transaction_id = t.transaction_id), 0::bigint,
          'no lot, no use') FROM c360_withdraw('0901000002', 50) t;

-- a lot is usable strictly before expires_at: the money clock stands still at
-- the wallet's last row while that lies in the future
SELECT c360_deposit('0904000001', 5) \g /dev/null
SELECT c360_issue_credit('0904000001', 10, source_id => 'at', expires_at => '2098-01-01') \g /dev/null
SELECT c360_issue_credit('0904000001', 20, source_id => 'after', expires_at => '2099-01-01') \g /dev/null
SELECT c360_issue_credit('0904000002', 30, source_id => 'at2', expires_at => '2098-01-01') \g /dev/null
UPDATE c360.virtual_credits SET expires_at = '2090-01-01 00:00:00+00' WHERE source_id IN ('at', 'at2');
UPDATE c360.virtual_credits SET expires_at = '2090-01-01 00:00:00.000001+00' WHERE source_id = 'after';
UPDATE c360.customer_wallets SET last_at = '2090-01-01 00:00:00+00'
WHERE customer_id = c360_get_or_create_customer('0904000001');
UPDATE c360.customer_wallets SET last_at = '2089-12-31 23:59:59.999999+00'
WHERE customer_id = c360_get_or_create_customer('0904000002');
SELECT is(pg_temp.say(c360_deposit('0904000001', 1)),
          'DEPOSIT 1: real 1, credit 0, then 6 + 30, available 26',
          'at expires_at a lot is no longer available, one microsecond before it is');
SELECT is(pg_temp.lot_state('at'), 'ACTIVE 10 of 10', 'a deposit expires nothing');
SELECT is(pg_temp.say(c360_withdraw('0904000001', 21)),
          'WITHDRAW 21: real -1, credit -20, then 5 + 0, available 5, lots after=20',
          'nor can it be used');
SELECT is(pg_temp.lot_state('at'), 'EXPIRED 0 of 10', 'the withdrawal expired it first');
SELECT results_eq(
    $$SELECT type, operation, amount, real_change, virtual_change, credit_id = pg_temp.lot('at'),
             credit_expires_at, created_at, occurred_at
      FROM c360.wallet_transactions WHERE customer_id = c360_get_or_create_customer('0904000001')
      ORDER BY id DESC OFFSET 1 LIMIT 1$$,
    $$VALUES ('VIRTUAL_EXPIRE', 'expire', 10::bigint, 0::bigint, -10::bigint, true,
              '2090-01-01 00:00:00+00'::timestamptz, '2090-01-01 00:00:00+00'::timestamptz,
              '2090-01-01 00:00:00+00'::timestamptz)$$,
    'in a row of its own before the withdrawal');
SELECT is(pg_temp.say(c360_withdraw('0904000002', 30)),
          'WITHDRAW 30: real 0, credit -30, then 0 + 0, available 0, lots at2=30',
          'one microsecond before it can be used');

-- what is overdue does not help a withdrawal that is too large, and stays
SELECT c360_issue_credit('0904000003', 10, source_id => 'gone') \g /dev/null
SELECT c360_issue_credit('0904000003', 20, source_id => 'good') \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('gone')) \g /dev/null
SELECT is(pg_temp.wallet('0904000003'), '0 + 30, available 20', 'overdue lots count for the virtual balance only');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0904000003', 21)$$), 'PT402 insufficient_funds', 'too much');
SELECT is(pg_temp.lot_state('gone'), 'ACTIVE 10 of 10', 'the failed call expired nothing');
SELECT is(pg_temp.say(c360_issue_credit('0904000003', 1, source_id => 'new')),
          'VIRTUAL_CREDIT 1: real 0, credit 1, then 0 + 21, available 21, lots new=1',
          'issuing expires the overdue lots first');
SELECT is(pg_temp.lot_state('gone'), 'EXPIRED 0 of 10', 'so it has');

-- Refund -------------------------------------------------------------------

CREATE FUNCTION pg_temp.purchase(phone text, suffix text) RETURNS bigint LANGUAGE sql AS $$
    SELECT c360_issue_credit(purchase.phone, 30, source_id => 'A' || suffix, expires_at => '2096-01-01');
    SELECT c360_issue_credit(purchase.phone, 50, source_id => 'B' || suffix, expires_at => '2097-01-01');
    SELECT c360_deposit(purchase.phone, 20);
    SELECT transaction_id FROM c360_withdraw(purchase.phone, 100);
$$;
SELECT pg_temp.purchase('0905000001', '1') AS one, pg_temp.purchase('0905000002', '2') AS two,
       pg_temp.purchase('0905000003', '3') AS three \gset
SELECT is(pg_temp.say(c360_refund(:one, 60, 'trả lại một phần')),
          'REFUND 60: real 0, credit 60, then 0 + 60, available 60, lots B1=50 A1=10',
          'credit first, the lot used last first');
SELECT is(to_jsonb(x), to_jsonb(y), 'the ledger row of a refund') FROM
    (SELECT t.type, t.operation, t.amount, t.real_change, t.virtual_change, t.balance_after,
            t.virtual_balance_after, t.refunded_transaction_id, t.credit_id, t.source
     FROM pg_temp.last_row('0905000001') t) x,
    (SELECT 'REFUND' AS type, 'refund' AS operation, 60 AS amount, 0 AS real_change, 60 AS virtual_change,
            0 AS balance_after, 60 AS virtual_balance_after, :one AS refunded_transaction_id,
            NULL AS credit_id, NULL AS source) y;
SELECT is(pg_temp.lot_state('A1') || ', ' || pg_temp.lot_state('B1'), 'ACTIVE 10 of 30, ACTIVE 50 of 50',
          'used lots are active again');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s, 41)', :one)), 'PT409 refund_exceeds',
          'never more in all than was withdrawn');
SELECT is(pg_temp.say(c360_refund(:one)),
          'REFUND 40: real 20, credit 20, then 20 + 80, available 100, lots A1=20', 'no amount means the rest');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s, 1)', :one)), 'PT409 refund_exceeds', 'nothing is left');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s)', :one)), 'PT409 refund_exceeds', 'no rest either');
SELECT is(pg_temp.wallet('0905000002'), '0 + 0, available 0', 'the other customer got nothing');
SELECT results_eq(
    format($$SELECT pg_temp.say(c360_refund(%s, amount))
             FROM unnest(ARRAY[30, 30, 30, 9, 1]) WITH ORDINALITY AS a (amount, n) ORDER BY n$$, :two),
    $$VALUES ('REFUND 30: real 0, credit 30, then 0 + 30, available 30, lots B2=30'),
             ('REFUND 30: real 0, credit 30, then 0 + 60, available 60, lots B2=20 A2=10'),
             ('REFUND 30: real 10, credit 20, then 10 + 80, available 90, lots A2=20'),
             ('REFUND 9: real 9, credit 0, then 19 + 80, available 99'),
             ('REFUND 1: real 1, credit 0, then 20 + 80, available 100')$$,
    'in steps, each where the one before stopped');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s, 1)', :two)), 'PT409 refund_exceeds', 'until nothing is left');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s, 101)', :three)), 'PT409 refund_exceeds', 'nor more at once');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s)', id)), 'PT409 not_refundable', 'no refund of ' || type)
FROM (SELECT DISTINCT ON (type) id, type FROM c360.wallet_transactions
      WHERE type IN ('DEPOSIT', 'VIRTUAL_CREDIT', 'VIRTUAL_EXPIRE', 'VIRTUAL_CANCEL', 'REFUND') ORDER BY type, id) t;
SELECT is(pg_temp.failure('SELECT c360_refund(9223372036854775807)'), 'PT404 transaction_not_found', 'unknown id');
SELECT is(pg_temp.failure('SELECT c360_refund(NULL)'), '22004 missing_argument', 'no id');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s, %s)', :three, bad)), '22023 invalid_amount',
          'refund of ' || bad) FROM unnest(ARRAY[0, -1]) AS bad;
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s, 1, repeat(%L, 2001))', :three, 'ă')), '22001 too_long',
          'refund with a long note');
SELECT is(pg_temp.failure(format('SELECT c360_refund(%s, 1, idempotency_key => repeat(%L, 201))', :three, 'ă')),
          '22001 too_long', 'refund with a long key');

-- a restored lot lives until the later of its own date and the grace days
SELECT is(pg_temp.lot_expiry('B1'), '2097-01-01'::timestamptz, 'a lot that lives long keeps its date');
SELECT c360_issue_credit('0906000001', 30, source_id => 'short', expires_at => clock_timestamp() + '1 day') \g /dev/null
SELECT c360_issue_credit('0906000002', 70, source_id => 'mine', expires_at => clock_timestamp() + '1 day') \g /dev/null
SELECT transaction_id AS paid FROM c360_withdraw('0906000001', 20) \gset
SELECT transaction_id AS paid2 FROM c360_withdraw('0906000002', 20) \gset
SELECT is(pg_temp.say(c360_refund(:paid, 5)),
          'REFUND 5: real 0, credit 5, then 0 + 15, available 15, lots short=5', 'a refund to a living lot');
SELECT is(pg_temp.lot_expiry('short'), (pg_temp.last_row('0906000001')).created_at + interval '7 days',
          'which gets 7 days');
SELECT is((SELECT expires_at FROM c360.virtual_credit_uses
           WHERE transaction_id = (pg_temp.last_row('0906000001')).id), pg_temp.lot_expiry('short'),
          'the refund records the new date');
SELECT pg_temp.age_lot(pg_temp.lot('short')) \g /dev/null
SELECT is((SELECT expired_count || ' ' || total_expired_amount FROM c360_expire_credits()), '1 15', 'the lot expires');
SELECT is(pg_temp.say(c360_refund(:paid, 7)),
          'REFUND 7: real 0, credit 7, then 0 + 7, available 7, lots short=7', 'a refund to an expired lot');
SELECT is(pg_temp.lot_state('short'), 'ACTIVE 7 of 30', 'revives it with what came back');
SELECT is(pg_temp.lot_expiry('short'), (pg_temp.last_row('0906000001')).created_at + interval '7 days', 'for 7 days');
SELECT pg_temp.age_lot(pg_temp.lot('short')) \g /dev/null
SELECT is(pg_temp.say(c360_refund(:paid)),
          'REFUND 8: real 0, credit 8, then 0 + 8, available 8, lots short=8',
          'what is overdue expires before the refund');
SELECT results_eq(
    $$SELECT type, amount FROM c360.wallet_transactions
      WHERE customer_id = c360_get_or_create_customer('0906000001') ORDER BY id$$,
    $$VALUES ('VIRTUAL_CREDIT', 30::bigint), ('WITHDRAW', 20), ('REFUND', 5), ('VIRTUAL_EXPIRE', 15),
             ('REFUND', 7), ('VIRTUAL_EXPIRE', 7), ('REFUND', 8)$$,
    'one row each time a lot expires');
SELECT is(pg_temp.lot_state('mine'), 'ACTIVE 50 of 70', 'the lot of the other customer is as it was');

-- no grace
SELECT c360_set('refund_grace_days', '0') \g /dev/null
SELECT is(pg_temp.say(c360_refund(:paid2, 5)),
          'REFUND 5: real 0, credit 5, then 0 + 55, available 55, lots mine=5', 'a living lot keeps its date');
SELECT pg_temp.age_lot(pg_temp.lot('mine')) \g /dev/null
SELECT is(pg_temp.say(c360_refund(:paid2, 15)),
          'REFUND 15: real 0, credit 15, then 0 + 15, available 0, lots mine=15',
          'an expired one comes back expired: nothing of it is available');
SELECT is(pg_temp.lot_expiry('mine'), (pg_temp.last_row('0906000002')).created_at, 'it lived until now');
SELECT is(pg_temp.wallet('0906000002'), '0 + 15, available 0', 'as the wallet says');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0906000002', 1)$$), 'PT402 insufficient_funds',
          'and it cannot be used');
SELECT c360_set('refund_grace_days', '20') \g /dev/null
SELECT c360_deposit('0906000003', 1) \g /dev/null
SELECT c360_issue_credit('0906000003', 9, source_id => 'twenty', expires_at => clock_timestamp() + '1 day') \g /dev/null
SELECT transaction_id AS paid3 FROM c360_withdraw('0906000003', 10) \gset
SELECT c360_refund(:paid3) \g /dev/null
SELECT is(pg_temp.lot_expiry('twenty'), (pg_temp.last_row('0906000003')).created_at + interval '20 days',
          'the grace is a setting');
SELECT c360_set('refund_grace_days', NULL) \g /dev/null

-- what belongs to a cancelled lot is restored and cancelled at once
SELECT pg_temp.purchase('0907000001', '7') AS four, pg_temp.purchase('0907000002', '8') AS five \gset
SELECT c360_refund(:four, 1) \g /dev/null
SELECT c360_cancel_credit(pg_temp.lot('B7'), 'taken back') \g /dev/null
SELECT c360_issue_credit('0907000001', 2, source_id => 'B7') \g /dev/null
SELECT is(pg_temp.say(c360_refund(:four)),
          'REFUND 99: real 20, credit 79, then 20 + 32, available 52, lots B7=49 A7=30',
          'the refund has what came back');
SELECT results_eq(
    $$SELECT t.type, t.operation, t.amount, t.real_change, t.virtual_change, t.balance_after,
             t.virtual_balance_after, v.status FROM c360.wallet_transactions t
      LEFT JOIN c360.virtual_credits v ON v.id = t.credit_id
      WHERE t.customer_id = c360_get_or_create_customer('0907000001') ORDER BY t.id DESC LIMIT 2$$,
    $$VALUES ('VIRTUAL_CANCEL', 'refund', 49::bigint, 0::bigint, -49::bigint, 20::bigint, 32::bigint, 'CANCELLED'),
             ('REFUND', 'refund', 99, 20, 79, 20, 81, NULL)$$,
    'and a second row cancels what belongs to the cancelled lot');
SELECT is(pg_temp.wallet('0907000001'), '20 + 32, available 52', 'credit never turns into real money');
SELECT is((SELECT string_agg(status || ' ' || remaining_amount, ', ' ORDER BY id) FROM c360.virtual_credits
           WHERE source_id = 'B7'), 'CANCELLED 0, ACTIVE 2', 'the cancelled lot stays, the newer of its source, too');
SELECT is(pg_temp.wallet('0907000002'), '0 + 0, available 0', 'the other customer got nothing');

-- Adjust -------------------------------------------------------------------

SELECT c360_deposit('0908000001', 100) \g /dev/null
SELECT c360_deposit('0908000002', 100) \g /dev/null
SELECT is(pg_temp.say(c360_adjust('0908000001', -30, 'counted twice', 'ticket', 'TV-9')),
          'ADJUSTMENT 30: real -30, credit 0, then 70 + 0, available 70', 'down');
SELECT is(pg_temp.say(c360_adjust('0908000001', 7, 'rounded up a little')),
          'ADJUSTMENT 7: real 7, credit 0, then 77 + 0, available 77', 'up');
SELECT results_eq($$SELECT type, operation, source, reference_type, reference_id FROM c360.wallet_transactions
                    WHERE customer_id = c360_get_or_create_customer('0908000001') AND type = 'ADJUSTMENT'
                    ORDER BY id$$,
                  $$VALUES ('ADJUSTMENT', 'adjust', 'MANUAL', 'ticket', 'TV-9'),
                           ('ADJUSTMENT', 'adjust', 'MANUAL', NULL, NULL)$$, 'the ledger rows of adjustments');
SELECT is(pg_temp.failure($$SELECT c360_adjust('0908000001', -78, 'more than there is')$$),
          'PT402 insufficient_funds', 'never below zero');
SELECT c360_issue_credit('0908000001', 50) \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_adjust('0908000001', -78, 'more than there is')$$),
          'PT402 insufficient_funds', 'credit does not help');
SELECT is(pg_temp.say(c360_adjust('0908000001', -77, 'all of the money')),
          'ADJUSTMENT 77: real -77, credit 0, then 0 + 50, available 50', 'to zero');
SELECT is(pg_temp.failure(format('SELECT c360_adjust(%L, 1, %L)', '0908000001', reason)),
          '22023 reason_too_short', format('reason "%s"', reason))
FROM unnest(ARRAY['123456789', '123456789     ', 'chín chữ ạ'::char(9)::text]) AS reason;
SELECT is(pg_temp.failure($$SELECT c360_adjust('0908000001', 1, '1234567890')$$), 'none', 'ten characters will do');
SELECT is(pg_temp.failure($$SELECT c360_adjust('0908000001', 1, NULL)$$), '22004 missing_argument', 'a reason is needed');
SELECT is(pg_temp.failure($$SELECT c360_adjust('0908000099', 1, 'nobody is there')$$), 'PT404 customer_not_found',
          'an adjustment creates no customer');
SELECT is(pg_temp.wallet('0908000002'), '100 + 0, available 100', 'the other customer has his money');

-- Cancel -------------------------------------------------------------------

SELECT c360_issue_credit('0909000001', 30, source_id => 'C1', expires_at => '2097-01-01') \g /dev/null
SELECT c360_issue_credit('0909000001', 40, source_id => 'C2', expires_at => '2098-01-01') \g /dev/null
SELECT c360_issue_credit('0909000002', 50, source_id => 'C3') \g /dev/null
SELECT c360_withdraw('0909000001', 10) \g /dev/null
SELECT is(pg_temp.say(c360_cancel_credit(pg_temp.lot('C1'), 'given by mistake')),
          'VIRTUAL_CANCEL 20: real 0, credit -20, then 0 + 40, available 40, lots C1=20', 'the rest is taken back');
SELECT is(pg_temp.lot_state('C1'), 'CANCELLED 0 of 30', 'the lot is cancelled');
SELECT is(to_jsonb(x), to_jsonb(y), 'the ledger row of a cancellation') FROM
    (SELECT t.type, t.operation, t.amount, t.real_change, t.virtual_change, t.credit_id, t.credit_expires_at
     FROM pg_temp.last_row('0909000001') t) x,
    (SELECT 'VIRTUAL_CANCEL' AS type, 'cancel_credit' AS operation, 20 AS amount, 0 AS real_change,
            -20 AS virtual_change, pg_temp.lot('C1') AS credit_id, '2097-01-01'::timestamptz AS credit_expires_at) y;
SELECT c360_withdraw('0909000001', 40) \g /dev/null
SELECT c360_issue_credit('0909000001', 5, source_id => 'C4') \g /dev/null
SELECT c360_issue_credit('0909000001', 6, source_id => 'C5') \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('C4')) \g /dev/null
SELECT c360_expire_credits() \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('C5')) \g /dev/null
SELECT is(pg_temp.failure(format('SELECT c360_cancel_credit(%s, %L)', pg_temp.lot(name), 'too late')),
          'PT409 credit_not_active', why)
FROM (VALUES ('C1', 'a cancelled lot'), ('C2', 'a used lot'), ('C4', 'an expired lot'),
             ('C5', 'an overdue lot')) AS t (name, why);
SELECT is(pg_temp.lot_state('C5'), 'ACTIVE 6 of 6', 'the refused call expired nothing');
SELECT is(pg_temp.failure($$SELECT c360_cancel_credit(9223372036854775807, 'nothing there')$$),
          'PT404 credit_not_found', 'an unknown lot');
SELECT is(pg_temp.failure($$SELECT c360_cancel_credit(NULL, 'no lot')$$), '22004 missing_argument', 'no lot');
SELECT is(pg_temp.failure(format('SELECT c360_cancel_credit(%s, %s)', pg_temp.lot('C3'), reason)), expected, why)
FROM (VALUES ('NULL', '22004 missing_argument', 'a cancellation without a reason'),
             ($$''$$, '22023 blank', 'a cancellation with an empty reason'),
             ($$repeat('x', 501)$$, '22001 too_long', 'a cancellation with a long reason')) AS t (reason, expected, why);
SELECT is(pg_temp.wallet('0909000002'), '0 + 50, available 50', 'the other customer has his credit');

-- Freeze, blacklist --------------------------------------------------------

SELECT c360_deposit(phone, 100) FROM unnest(ARRAY['0911000001', '0911000002', '0911000003']) AS phone \g /dev/null
SELECT c360_issue_credit(phone, 50, source_id => 'F' || right(phone, 1))
FROM unnest(ARRAY['0911000001', '0911000002', '0911000003']) AS phone \g /dev/null
SELECT transaction_id AS spent FROM c360_withdraw('0911000001', 60) \gset
SELECT c360_freeze_wallet('0911000001', 'looks wrong') \g /dev/null
SELECT is(pg_temp.wallet('0911000001'), '90 + 0, available 0, frozen', 'a frozen wallet has nothing available');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0911000001', 1)$$), 'PT403 wallet_frozen', 'withdrawals are refused');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0911000001', 100000)$$), 'PT403 wallet_frozen',
          'whatever the amount');
SELECT is(pg_temp.say(c360_deposit('0911000001', 1)),
          'DEPOSIT 1: real 1, credit 0, then 91 + 0, available 0', 'deposits go on');
SELECT is(pg_temp.say(c360_issue_credit('0911000001', 2, source_id => 'F9')),
          'VIRTUAL_CREDIT 2: real 0, credit 2, then 91 + 2, available 0, lots F9=2', 'credit goes on');
SELECT is(pg_temp.say(c360_refund(:spent, 20)),
          'REFUND 20: real 0, credit 20, then 91 + 22, available 0, lots F1=20', 'refunds go on');
SELECT is(pg_temp.say(c360_adjust('0911000001', -11, 'a wrong deposit')),
          'ADJUSTMENT 11: real -11, credit 0, then 80 + 22, available 0', 'adjustments go on, down');
SELECT is(pg_temp.say(c360_adjust('0911000001', 1, 'a wrong deposit')),
          'ADJUSTMENT 1: real 1, credit 0, then 81 + 22, available 0', 'and up');
SELECT is(pg_temp.say(c360_cancel_credit(pg_temp.lot('F9'), 'a wrong credit')),
          'VIRTUAL_CANCEL 2: real 0, credit -2, then 81 + 20, available 0, lots F9=2', 'cancellations go on');
SELECT pg_temp.age_lot(pg_temp.lot('F1')) \g /dev/null
SELECT c360_expire_credits() \g /dev/null
SELECT is(pg_temp.lot_state('F1'), 'EXPIRED 0 of 50', 'expiry goes on');
CREATE TEMP TABLE frozen AS SELECT pg_temp.books() AS books;
SELECT c360_freeze_wallet('0911000001', 'again') \g /dev/null
SELECT is(pg_temp.books(), books, 'freezing a frozen wallet changes nothing') FROM frozen;
SELECT is(pg_temp.wallet('0911000002'), '100 + 50, available 150', 'the other wallet is not frozen');
SELECT c360_unfreeze_wallet('0911000001') \g /dev/null
SELECT is(pg_temp.wallet('0911000001'), '81 + 0, available 81', 'the freeze is lifted');
SELECT is((SELECT string_agg(a.event || ' ' || coalesce(a.payload ->> 'note', '-'), ', ' ORDER BY a.id)
           FROM c360.customer_activities a
           WHERE a.customer_id = c360_get_or_create_customer('0911000001') AND a.event ~ 'frozen'),
          'wallet.frozen looks wrong, wallet.unfrozen -', 'one activity each');
UPDATE frozen SET books = pg_temp.books();
SELECT c360_unfreeze_wallet('0911000001') \g /dev/null
SELECT is(pg_temp.books(), books, 'lifting no freeze changes nothing') FROM frozen;
SELECT is(pg_temp.failure('SELECT c360_freeze_wallet(''0911000099'', ''nobody'')'), 'PT404 customer_not_found',
          'freezing nobody');
SELECT is(pg_temp.failure('SELECT c360_unfreeze_wallet(''0911000099'')'), 'PT404 customer_not_found',
          'unfreezing nobody');
SELECT is(pg_temp.failure('SELECT c360_freeze_wallet(''0911000001'', NULL)'), '22004 missing_argument',
          'freezing needs a reason');
SELECT is(pg_temp.failure('SELECT c360_unfreeze_wallet(NULL)'), '22004 missing_argument', 'unfreezing needs a phone');

UPDATE c360.customers SET tier = 'blacklist' WHERE phone = '0911000002';
SELECT is(pg_temp.wallet('0911000002'), '100 + 50, available 100', 'a blacklisted customer has his money available');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0911000002', 101)$$), 'PT403 credit_blocked',
          'where lots would have done');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0911000002', 150)$$), 'PT403 credit_blocked',
          'to the last dong');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0911000002', 151)$$), 'PT402 insufficient_funds',
          'where they would not have done');
SELECT is(pg_temp.say(c360_withdraw('0911000002', 60)),
          'WITHDRAW 60: real -60, credit 0, then 40 + 50, available 40', 'his lots are passed over');
SELECT is(pg_temp.say(c360_deposit('0911000002', 1)),
          'DEPOSIT 1: real 1, credit 0, then 41 + 50, available 41', 'a deposit');
SELECT is(pg_temp.say(c360_issue_credit('0911000002', 1, source_id => 'F8')),
          'VIRTUAL_CREDIT 1: real 0, credit 1, then 41 + 51, available 41, lots F8=1', 'a credit');
SELECT pg_temp.age_lot(pg_temp.lot('F8')) \g /dev/null
SELECT is(pg_temp.say(c360_withdraw('0911000002', 1)),
          'WITHDRAW 1: real -1, credit 0, then 40 + 50, available 40', 'his overdue lots expire all the same');
SELECT c360_freeze_wallet('0911000002', 'and frozen') \g /dev/null
SELECT is(pg_temp.wallet('0911000002'), '40 + 50, available 0, frozen', 'blacklisted and frozen');
SELECT is(pg_temp.failure($$SELECT c360_withdraw('0911000002', 41)$$), 'PT403 wallet_frozen', 'frozen comes first');
SELECT is(pg_temp.wallet('0911000003'), '100 + 50, available 150', 'the third wallet is free');

-- Expire -------------------------------------------------------------------

SELECT c360_issue_credit('0912000001', n, source_id => 'E' || n) FROM generate_series(1, 5) AS n \g /dev/null
SELECT c360_issue_credit('0912000002', 10 * n, source_id => 'G' || n) FROM generate_series(1, 3) AS n \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot(name), span) FROM (VALUES
    ('E1', '1 day'::interval), ('E2', '5 days'), ('E3', '3 days'), ('G1', '4 days'), ('G2', '2 days')
) AS t (name, span) \g /dev/null
SELECT is(pg_temp.failure(format('SELECT c360_expire_credits(%s)', n)), '22023 invalid_count', 'max_lots ' || n)
FROM unnest(ARRAY[0, -1]) AS n;
CREATE TEMP TABLE expiry AS SELECT 1 AS run, * FROM c360_expire_credits(2);
SELECT is((SELECT expired_count FROM expiry), 2::bigint, 'at most max_lots');
SELECT is((SELECT sum(total_virtual_expired) FROM c360_wallets(ARRAY['0912000001', '0912000002'])),
          (SELECT total_expired_amount::numeric FROM expiry), 'the amount is what they held');
INSERT INTO expiry SELECT 2, * FROM c360_expire_credits(100);
SELECT is((SELECT string_agg(expired_count::text, ' ' ORDER BY run) || ', ' || sum(total_expired_amount) FROM expiry),
          '2 3, 36', 'the rest');
SELECT is((SELECT expired_count || ' ' || total_expired_amount FROM c360_expire_credits()), '0 0', 'nothing more');
SELECT is(pg_temp.wallet('0912000001'), '0 + 9, available 9', 'what is not overdue stays');
SELECT is(pg_temp.wallet('0912000002'), '0 + 30, available 30', 'of the other customer, too');
SELECT is((SELECT count(*) FROM c360.wallet_transactions t JOIN c360.virtual_credits v ON v.id = t.credit_id
           WHERE t.type = 'VIRTUAL_EXPIRE' AND v.source_id IN ('E1', 'E2', 'E3', 'G1', 'G2')), 5::bigint,
          'one row each');
SELECT is((SELECT sum(t.total_virtual_expired) FROM c360_wallets(ARRAY['0912000001', '0912000002']) t), 36::numeric,
          'and the totals');

-- Reads --------------------------------------------------------------------

SELECT c360_get_or_create_customer('0913000001', 'Bà An') \g /dev/null
SELECT is(to_jsonb(w) - 'customer_id', jsonb_build_object('phone', '0913000001', 'balance', 0,
          'virtual_balance', 0, 'available', 0, 'frozen', false, 'total_deposited', 0, 'total_withdrawn', 0,
          'total_virtual_issued', 0, 'total_virtual_used', 0, 'total_virtual_expired', 0, 'lots', '[]'::jsonb),
          'a customer who never moved money shows zeros') FROM c360_wallet('091 300 0001') w;
SELECT is(pg_temp.failure(format('SELECT c360_wallet(%L)', phone)), expected, why)
FROM (VALUES ('0913000099', 'PT404 customer_not_found', 'the wallet of nobody'),
             ('911', '22023 invalid_phone', 'the wallet of no phone'),
             (NULL, '22004 missing_argument', 'the wallet of NULL')) AS t (phone, expected, why);
SELECT c360_deposit('0913000002', 100) \g /dev/null
SELECT c360_issue_credit('0913000002', 30, source_id => 'W1', expires_at => '2098-01-01') \g /dev/null
SELECT c360_issue_credit('0913000002', 40, 'BOOM', 'W2', expires_at => '2097-01-01') \g /dev/null
SELECT c360_issue_credit('0913000002', 5, source_id => 'W3') \g /dev/null
SELECT transaction_id AS bought FROM c360_withdraw('0913000002', 90) \gset
SELECT c360_refund(:bought, 20) \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('W3')) \g /dev/null
SELECT c360_adjust('0913000002', 3, 'for the totals') \g /dev/null
SELECT is(to_jsonb(w) - 'customer_id' - 'lots', jsonb_build_object('phone', '0913000002',
          'balance', 88, 'virtual_balance', 20, 'available', 108, 'frozen', false, 'total_deposited', 100,
          'total_withdrawn', 90, 'total_virtual_issued', 75, 'total_virtual_used', 75, 'total_virtual_expired', 0),
          'a wallet with its totals') FROM c360_wallet('0913000002') w;
SELECT c360_issue_credit('0913000002', 8, source_id => 'W4', expires_at => '2096-01-01') \g /dev/null
SELECT c360_issue_credit('0913000002', 9, source_id => 'W5') \g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('W5')) \g /dev/null
SELECT is((SELECT lots FROM c360_wallet('0913000002')),
          (SELECT jsonb_agg(jsonb_build_object('credit_id', id, 'amount', remaining_amount, 'expires_at', expires_at,
               'kind', kind, 'source_id', source_id, 'original_amount', original_amount)
               ORDER BY array_position(ARRAY['W5', 'W4', 'W2', 'W1'], source_id))
           FROM c360.virtual_credits WHERE source_id IN ('W1', 'W4', 'W5') AND status = 'ACTIVE'),
          'ACTIVE lots in order of use, overdue ones included');
SELECT is(pg_temp.wallet('0913000002'), '88 + 37, available 116', 'which are not available');
SELECT results_eq(
    $$SELECT phone, balance, virtual_balance, lots FROM c360_wallets(
          ARRAY['0913000002', '+84 913 000 001', '0913000099', NULL, '0913000002'])$$,
    $$VALUES ('0913000001', 0::bigint, 0::bigint, NULL::jsonb), ('0913000002', 88, 37, NULL)$$,
    'wallets by phone; unknown ones are left out, none comes twice');
SELECT results_eq(
    $$SELECT phone FROM c360_wallets(customer_ids => ARRAY[c360_get_or_create_customer('0913000001'), -1, NULL])$$,
    $$VALUES ('0913000001')$$, 'wallets by id');
SELECT results_eq(
    $$SELECT phone FROM c360_wallets(ARRAY['0913000002'], ARRAY[c360_get_or_create_customer('0913000001')])$$,
    $$VALUES ('0913000001'), ('0913000002')$$, 'wallets by either');
SELECT is_empty($$SELECT * FROM c360_wallets('{}', '{}')$$, 'none of none');
SELECT is(pg_temp.failure('SELECT * FROM c360_wallets()'), '22004 missing_argument', 'whose wallets?');
SELECT is(pg_temp.failure('SELECT * FROM c360_wallets(ARRAY[''xyz''])'), '22023 invalid_phone', 'no phone');
SELECT is(pg_temp.failure(format('SELECT * FROM c360_wallets(%s)', a)), expected, why)
FROM (VALUES ('array_fill(''0913000001''::text, ARRAY[1000])', 'none', '1,000 phones'),
             ('array_fill(''0913000001''::text, ARRAY[1001])', '22023 too_many', '1,001 phones'),
             ('customer_ids => array_fill(1::bigint, ARRAY[1000])', 'none', '1,000 ids'),
             ('customer_ids => array_fill(1::bigint, ARRAY[1001])', '22023 too_many', '1,001 ids')
     ) AS t (a, expected, why);

-- the ledger in pages
SELECT c360_deposit('0914000001', n, note => 'note ' || n) FROM generate_series(1, 7) AS n \g /dev/null
SELECT c360_deposit('0914000002', 100 + n) FROM generate_series(1, 3) AS n \g /dev/null
SELECT c360_withdraw('0914000001', 2) \g /dev/null
SELECT is((SELECT string_agg(type || amount, ' ') FROM c360_wallet_transactions('0914000001')),
          'WITHDRAW2 DEPOSIT7 DEPOSIT6 DEPOSIT5 DEPOSIT4 DEPOSIT3 DEPOSIT2 DEPOSIT1', 'newest first');
SELECT is((SELECT string_agg(note, ',') FROM c360_wallet_transactions('0914000001', 'DEPOSIT', max_rows => 3)),
          'note 7,note 6,note 5', 'one type, with notes');
WITH RECURSIVE pages AS (
    SELECT 1 AS n, array_agg(transaction_id) AS ids, array_agg(amount) AS amounts
    FROM c360_wallet_transactions('0914000001', max_rows => 3)
    UNION ALL
    SELECT n + 1, p.ids, p.amounts FROM pages, LATERAL (
        SELECT array_agg(transaction_id) AS ids, array_agg(amount) AS amounts
        FROM c360_wallet_transactions('0914000001', before_id => pages.ids[cardinality(pages.ids)], max_rows => 3)) p
    WHERE p.ids IS NOT NULL)
SELECT is((SELECT string_agg(amounts::text, ' ' ORDER BY n) FROM pages), '{2,7,6} {5,4,3} {2,1}', 'page by page');
SELECT is((SELECT string_agg(amount::text, ' ') FROM c360_wallet_transactions('0914000002')), '103 102 101',
          'the other customer''s');
SELECT is(pg_temp.failure(format('SELECT c360_wallet_transactions(%L, before_id => %s)', '0914000001',
                                 (pg_temp.last_row('0914000002')).id)), 'PT404 transaction_not_found',
          'a page begins at a row of the same customer');
SELECT is(pg_temp.failure(format('SELECT c360_wallet_transactions(%L, %s)', phone, rest)), expected, why)
FROM (VALUES ('0914000001', 'max_rows => 0', '22023 out_of_range', 'no rows'),
             ('0914000001', 'max_rows => 1001', '22023 out_of_range', 'too many rows'),
             ('0914000001', 'max_rows => 1000', 'none', 'many rows'),
             ('0914000001', 'type => ''deposit''', '22023 not_allowed', 'a type in small letters'),
             ('0914000099', 'max_rows => 1', 'PT404 customer_not_found', 'the ledger of nobody'),
             (NULL, 'max_rows => 1', '22004 missing_argument', 'the ledger of NULL')) AS t (phone, rest, expected, why);
SELECT is_empty($$SELECT * FROM c360_wallet_transactions('0913000001')$$, 'a ledger without rows');
SELECT is(to_jsonb(t) - 'transaction_id' - 'created_at', jsonb_build_object(
              'type', 'WITHDRAW', 'amount', 90, 'real_change', -15, 'virtual_change', -75, 'balance', 85,
              'virtual_balance', 0, 'source', NULL, 'reference_type', NULL, 'reference_id', NULL,
              'refunded_transaction_id', NULL, 'note', NULL, 'actor', session_user, 'occurred_at', NULL,
              'lots', (SELECT jsonb_agg(jsonb_build_object('credit_id', u.credit_id, 'amount', u.amount,
                                                           'expires_at', u.expires_at) ORDER BY u.position)
                       FROM c360.virtual_credit_uses u WHERE u.transaction_id = :bought)), 'a row with its lots')
FROM c360_wallet_transactions('0913000002', 'WITHDRAW') t;
SELECT is((SELECT string_agg(format('%s %s %s', lots -> 0 ->> 'credit_id', lots -> 0 ->> 'amount', refunded_transaction_id),
                             ', ' ORDER BY transaction_id)
           FROM c360_wallet_transactions('0913000002') WHERE type = 'REFUND' OR amount = 40),
          format('%s 40 , %s 20 %s', pg_temp.lot('W2'), pg_temp.lot('W1'), :bought), 'refunds and single lots, too');

-- point in time
SELECT is((SELECT format('%s %s', balance, virtual_balance) FROM c360_balance_at('0913000002', t.created_at)),
          format('%s %s', t.balance_after, t.virtual_balance_after), 'at each row what it says: ' || t.type)
FROM (SELECT *, row_number() OVER (PARTITION BY created_at ORDER BY id DESC) AS n FROM c360.wallet_transactions
      WHERE customer_id = c360_get_or_create_customer('0913000002')) t WHERE t.n = 1 ORDER BY t.id;
SELECT is((SELECT format('%s %s', balance, virtual_balance)
           FROM c360_balance_at('0914000001', t.created_at - interval '1 microsecond')),
          format('%s %s', t.balance_after - t.real_change, t.virtual_balance_after - t.virtual_change),
          'and right before it what was: ' || t.type)
FROM (SELECT *, row_number() OVER (PARTITION BY created_at ORDER BY id) AS n FROM c360.wallet_transactions
      WHERE customer_id = c360_get_or_create_customer('0914000001')) t WHERE t.n = 1 ORDER BY t.id;
SELECT is((SELECT format('%s %s', balance, virtual_balance) FROM c360_balance_at('0913000002', at)), expected, why)
FROM (VALUES ('-infinity'::timestamptz, '0 0', 'before everything'), ('infinity', '88 37', 'after everything'))
     AS t (at, expected, why);
-- several rows at one time: the last counts
SELECT is((SELECT format('%s %s', balance, virtual_balance) FROM c360_balance_at('0904000001', '2090-01-01 00:00:00+00')),
          '5 0', 'an expiry and a withdrawal at one time');
SELECT is((SELECT format('%s %s', balance, virtual_balance) FROM c360_balance_at('0914000002', 'infinity')),
          '306 0', 'the other customer');
SELECT is((SELECT format('%s %s', balance, virtual_balance) FROM c360_balance_at('0913000001', now())), '0 0',
          'a customer without a wallet');
SELECT is(pg_temp.failure('SELECT * FROM c360_balance_at(''0913000099'', now())'), 'PT404 customer_not_found',
          'the balance of nobody');
SELECT is(pg_temp.failure('SELECT * FROM c360_balance_at(''0913000002'', NULL)'), '22004 missing_argument', 'when?');

-- credits that expire soon
SELECT c360_issue_credit(phone, amount, source_id => name, expires_at => clock_timestamp() + span)
FROM (VALUES ('0915000001', 1, 'X1', '3 days'::interval), ('0915000002', 2, 'X2', '2 days'),
             ('0915000001', 3, 'X3', '10 days'), ('0915000002', 4, 'X4', '1 day')) AS t (phone, amount, name, span)
\g /dev/null
SELECT pg_temp.age_lot(pg_temp.lot('X4')) \g /dev/null
SELECT results_eq(
    $$SELECT phone, remaining FROM c360_expiring_credits() WHERE phone ~ '^0915'$$,
    $$VALUES ('0915000002', 2::bigint), ('0915000001', 1)$$, 'soonest first, within 7 days, not the overdue ones');
SELECT results_eq(
    $$SELECT phone, credit_id, remaining, expires_at FROM c360_expiring_credits('11 days') WHERE phone ~ '^0915'$$,
    $$SELECT c.phone, v.id, v.remaining_amount, v.expires_at
      FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id
      WHERE v.source_id IN ('X1', 'X2', 'X3') ORDER BY v.expires_at$$, 'within 11 days');
SELECT is(pg_temp.failure('SELECT c360_expiring_credits(''-1 day'')'), '22023 out_of_range', 'within less than nothing');

-- Customers ----------------------------------------------------------------

SELECT is(c360_get_or_create_customer('0916000001', 'Ông Binh'), c360_get_or_create_customer('+84916000001'),
          'a customer is created once');
SELECT isnt(c360_get_or_create_customer('0916000001'), c360_get_or_create_customer('0916000002'), 'one a phone');
SELECT c360_get_or_create_customer('0916000001', 'Other name') \g /dev/null
SELECT results_eq($$SELECT name, carrier FROM c360.customers WHERE phone ~ '^091600000[12]' ORDER BY phone$$,
                  $$VALUES ('Ông Binh', 'Vinaphone'), ('Khách hàng mới', 'Vinaphone')$$, 'a known customer keeps his name');
SELECT is((SELECT string_agg(a.event, ',') FROM c360.customer_activities a
           WHERE a.customer_id = c360_get_or_create_customer('0916000001')), 'customer.created',
          'one activity for one creation');

-- Amounts ------------------------------------------------------------------

SELECT is(pg_temp.failure(call), '22023 amount_limit', call) FROM unnest(ARRAY[
    $$SELECT c360_deposit('0917000001', 1000000001)$$, $$SELECT c360_issue_credit('0917000001', 1000000001)$$,
    $$SELECT c360_adjust('0917000002', 1000000001, 'above the limit')$$,
    $$SELECT c360_adjust('0917000002', -1000000001, 'above the limit')$$,
    $$SELECT c360_adjust('0917000002', -9223372036854775808, 'above the limit')$$,
    $$SELECT c360_withdraw('0917000002', 1000000001)$$]) AS call,
    (SELECT c360_deposit('0917000002', 1000000000) OFFSET 0) AS d;
SELECT is_empty($$SELECT FROM c360.customers WHERE phone = '0917000001'$$, 'a refused deposit creates no customer');
SELECT is(pg_temp.wallet('0917000002'), '1000000000 + 0, available 1000000000', 'the limit itself is allowed');
SELECT c360_set('max_amount', '50') \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_deposit('0917000001', 51)$$), '22023 amount_limit', 'the limit is a setting');
SELECT is(pg_temp.failure($$SELECT c360_deposit('0917000001', 50)$$), 'none', 'amounts up to it are allowed');
SELECT c360_set('max_amount', '0') \g /dev/null
SELECT transaction_id AS big FROM c360_withdraw('0917000002', 600000000) \gset
SELECT c360_set('max_amount', '50') \g /dev/null
SELECT is((SELECT balance FROM c360_refund(:big)), 1000000000::bigint, 'a refund is bounded by its withdrawal alone');
SELECT c360_set('max_amount', '0') \g /dev/null
SELECT is(pg_temp.say(c360_deposit('0917000003', 9223372036854775807)),
          'DEPOSIT 9223372036854775807: real 9223372036854775807, credit 0, then 9223372036854775807 + 0,'
          ' available 9223372036854775807', 'no limit but bigint');
CREATE TEMP TABLE full_wallet AS SELECT pg_temp.books() AS books;
SELECT is(pg_temp.failure(call), '22003 overflow', call) FROM unnest(ARRAY[
    $$SELECT c360_deposit('0917000003', 1)$$, $$SELECT c360_adjust('0917000003', 1, 'one too much')$$,
    $$SELECT c360_issue_credit('0917000003', 1)$$]) AS call;
SELECT is(pg_temp.books(), books, 'sums past bigint change nothing') FROM full_wallet;
SELECT is(pg_temp.failure($$SELECT c360_adjust('0917000003', -9223372036854775808, 'one too much')$$),
          'PT402 insufficient_funds', 'the smallest bigint');
SELECT is(pg_temp.say(c360_withdraw('0917000003', 9223372036854775807)),
          'WITHDRAW 9223372036854775807: real -9223372036854775807, credit 0, then 0 + 0, available 0', 'all of it');
SELECT c360_issue_credit('0917000004', 9223372036854775807) \g /dev/null
SELECT is(pg_temp.failure($$SELECT c360_issue_credit('0917000004', 1)$$), '22003 overflow', 'credit past bigint');
SELECT is(pg_temp.wallet('0917000004'), '0 + 9223372036854775807, available 9223372036854775807', 'stays as it is');
SELECT c360_set('max_amount', NULL) \g /dev/null

-- The money clock ----------------------------------------------------------

SELECT c360_deposit('0918000001', 1) \g /dev/null
SELECT c360_deposit('0918000002', 1) \g /dev/null
UPDATE c360.customer_wallets SET last_at = '2080-01-01 00:00:00+07'
WHERE customer_id = c360_get_or_create_customer('0918000001');
SELECT c360_deposit('0918000001', 2) \g /dev/null
SELECT c360_issue_credit('0918000001', 3, source_id => 'clock') \g /dev/null
SELECT c360_deposit('0918000002', 2) \g /dev/null
SELECT is((SELECT array_agg(created_at = '2080-01-01 00:00:00+07' ORDER BY id) FROM c360.wallet_transactions
           WHERE customer_id = c360_get_or_create_customer('0918000001')), '{f,t,t}', 'never earlier than the last row');
SELECT is(pg_temp.lot_expiry('clock'), '2080-01-16 00:00:00+07'::timestamptz, 'and all follows this clock');
SELECT is((SELECT w.last_at FROM c360.customer_wallets w
           WHERE w.customer_id = c360_get_or_create_customer('0918000001')), '2080-01-01 00:00:00+07', 'which is kept');
SELECT ok((pg_temp.last_row('0918000002')).created_at <= clock_timestamp(), 'each wallet has its own');
SELECT is((SELECT count(*) FROM c360.wallet_transactions t JOIN c360.customer_wallets w USING (customer_id)
           WHERE t.created_at > w.last_at), 0::bigint, 'the wallet knows the time of its last row');

-- Activities ---------------------------------------------------------------

SELECT is_empty(
    $$SELECT t.id FROM c360.wallet_transactions t LEFT JOIN c360.customer_activities a ON a.id = t.activity_id
      WHERE a.id IS NULL OR a.customer_id <> t.customer_id OR a.actor <> t.actor
         OR a.session_user_name <> t.session_user_name OR a.created_at <> t.created_at OR a.topic <> 'wallets'
         OR a.event <> CASE t.type WHEN 'DEPOSIT' THEN 'wallet.deposit' WHEN 'WITHDRAW' THEN 'wallet.withdraw'
                                   WHEN 'VIRTUAL_CREDIT' THEN 'wallet.virtual_credit'
                                   WHEN 'VIRTUAL_EXPIRE' THEN 'wallet.virtual_expired'
                                   WHEN 'VIRTUAL_CANCEL' THEN 'wallet.virtual_cancelled'
                                   WHEN 'REFUND' THEN 'wallet.refund' WHEN 'ADJUSTMENT' THEN 'wallet.adjusted' END$$,
    'every ledger row has its activity: who, what, when');
SELECT is_empty($$SELECT activity_id FROM c360.wallet_transactions GROUP BY activity_id HAVING count(*) > 1$$,
                'each its own');
SELECT is((SELECT count(*) FROM c360.customer_activities WHERE topic = 'wallets' AND event !~ 'frozen'),
          (SELECT count(*) FROM c360.wallet_transactions), 'and there is no other');
SELECT is_empty($$SELECT id FROM c360.customer_activities WHERE xact <> pg_current_xact_id()$$,
                'all of them of this transaction') WHERE (SELECT count(*) > 0 FROM c360.customer_activities);
SAVEPOINT inner_one;
SELECT c360_deposit('0919000001', 5) \g /dev/null
SAVEPOINT inner_two;
SELECT c360_deposit('0919000001', 6) \g /dev/null
RELEASE inner_one;
SELECT is((SELECT array_agg(DISTINCT a.xact) FROM c360.customer_activities a
           WHERE a.customer_id = c360_get_or_create_customer('0919000001')), ARRAY[pg_current_xact_id()],
          'inside savepoints, too: snapshots know the outermost transaction only');
SELECT is((SELECT min(a.id) > 0 AND array_agg(a.id ORDER BY a.id) = array_agg(a.id ORDER BY t.id)
           FROM c360.wallet_transactions t JOIN c360.customer_activities a ON a.id = t.activity_id), true,
          'activities stand in the order of the ledger');
SELECT is((SELECT array_agg(a.payload ->> 'phone' ORDER BY a.id) FROM c360.customer_activities a
           WHERE a.customer_id = c360_get_or_create_customer('0919000001')),
          ARRAY['0919000001', '0919000001', '0919000001'], 'activities name the phone');
SELECT is_empty($$SELECT t FROM c360.wallet_transactions t JOIN c360.customers c ON c.id = t.customer_id
                  WHERE strpos(t::text, c.phone) > 0 OR strpos(t::text, c.name) > 0
                     OR t::text ~ '(note \d|hàng trả|lời xin lỗi|đơn hàng|given by mistake|counted twice)'$$,
                'the ledger does not');

-- Actor --------------------------------------------------------------------

SELECT set_config('request.jwt.claims', '{"email": "eve@example.vn", "name": "Eve", "sub": "7"}', true) \g /dev/null
SELECT c360_deposit('0921000001', 1) \g /dev/null
SELECT is((pg_temp.last_row('0921000001')).actor, session_user::text, 'claims of an ordinary login are not believed');
SELECT c360_set('authenticator_roles', 'authenticator, ' || session_user) \g /dev/null
CREATE FUNCTION pg_temp.actor_of(claims text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.jwt.claims', claims, true);
    PERFORM c360_deposit('0921000002', 1);
    RETURN (SELECT a.actor || ' as ' || a.session_user_name FROM pg_temp.last_row('0921000002') t
            JOIN c360.customer_activities a ON a.id = t.activity_id
            WHERE (a.actor, a.session_user_name) = (t.actor, t.session_user_name));
END $$;
SELECT is(pg_temp.actor_of(claims), expected || ' as ' || session_user, 'claims ' || claims)
FROM (VALUES ('{"email": "an@example.vn", "name": "An", "sub": "7"}', 'an@example.vn'),
             ('{"name": "Chị Ân", "sub": "7"}', 'Chị Ân'), ('{"email": "", "name": "", "sub": "7"}', '7'),
             ('{"email": null, "sub": "7"}', '7'), ('{"role": "web"}', session_user::text),
             ('{}', session_user::text), ('', session_user::text)) AS t (claims, expected);
SELECT c360_set('authenticator_roles', NULL) \g /dev/null
SELECT is(pg_temp.actor_of('{"sub": "7"}'), session_user || ' as ' || session_user, 'no longer believed');

-- Guards, books, errors ----------------------------------------------------

SELECT is(pg_temp.failure(format(statement, name)), '0A000 append_only', format(statement, name))
FROM unnest(ARRAY['UPDATE c360.%I SET amount = amount', 'DELETE FROM c360.%I', 'TRUNCATE c360.%I CASCADE']) AS statement,
     unnest(ARRAY['wallet_transactions', 'virtual_credit_uses']) AS name;
SET LOCAL session_replication_role = replica;
SELECT is(pg_temp.failure(format(statement, name)), '0A000 append_only', format(statement, name) || ' as a replica')
FROM unnest(ARRAY['UPDATE c360.%I SET amount = amount', 'DELETE FROM c360.%I', 'TRUNCATE c360.%I CASCADE']) AS statement,
     unnest(ARRAY['wallet_transactions', 'virtual_credit_uses']) AS name;
SET LOCAL session_replication_role = origin;

UPDATE c360.customer_wallets w SET last_at = t.at
FROM (SELECT customer_id, max(created_at) AS at FROM c360.wallet_transactions GROUP BY 1) t
WHERE t.customer_id = w.customer_id;
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'after all this the books are sound');

SELECT is_empty($$SELECT state, word, message FROM failures WHERE state LIKE 'PT%' AND message !~ '^[ -~]+$'$$,
                'messages are one line of ASCII');
SELECT is_empty($$SELECT state, word, count(DISTINCT message) FROM failures WHERE state LIKE 'PT%'
                  GROUP BY 1, 2 HAVING count(DISTINCT message) > 1$$, 'a message is fixed: what was typed is in the detail');
SELECT is_empty($$SELECT * FROM failures WHERE word IS NULL AND state <> '22004'$$, 'every error has its machine word');
SELECT is_empty($$SELECT * FROM failures WHERE message ~ '(c360_|\.$)' OR message !~ '^[a-z0-9]'$$,
                'messages begin small and end without a full stop');

SELECT * FROM finish();
ROLLBACK;
