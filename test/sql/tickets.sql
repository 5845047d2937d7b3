-- Tickets: opening, steps, history, compensation, deletion, deadlines, levels.
-- Phones 0932. Codes are shown as TV-#, since they hold the year.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE FUNCTION test.masked(message text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(test.without_ids(message), 'TV-\d{4}-\d{5}', 'TV-#', 'g')
$$;
CREATE FUNCTION test.fails(command text, VARIADIC args text[] DEFAULT '{}') RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT test.masked(test.error_of(format(command, VARIADIC args)))
$$;
CREATE FUNCTION test.history(code text) RETURNS TABLE (action text, move text, note text, details text) LANGUAGE sql VOLATILE AS $$
    SELECT h ->> 'action', concat_ws(' -> ', h ->> 'from_status', h ->> 'to_status'), h ->> 'note',
           regexp_replace(h ->> 'details', '"(credit_id|transaction_id)": \d+', '"\1": 0', 'g')
    FROM jsonb_array_elements(c360_ticket(code) -> 'history') WITH ORDINALITY AS t (h, n) ORDER BY n
$$;
SELECT * FROM c360.ticket_types ORDER BY type;
SELECT from_status, string_agg(to_status, ', ' ORDER BY to_status) AS moves_to FROM c360.ticket_moves GROUP BY 1 ORDER BY 1;

-- Opening one creates the customer.
SELECT ticket_code AS one, test.masked(ticket_code) AS code, customer_id = test.customer('0932000001') AS his, customer_created
FROM c360_create_ticket('0932 000 001', 'BOOM', 'T1', 'Không nhận', 'gọi ba lần', '[{"sku": "A1", "n": 2}]', 40000, 300000, 260000,
                        'VD1', 'GHN', 'low', 'khách đổi ý', '2099-01-01', 'an') \gset
SELECT :'code' AS code, :'his' AS his, :'customer_created' AS created, created_source FROM c360.customers WHERE phone = '0932000001';
SELECT substring(:'one' FROM 4 FOR 4) = to_char(clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY') AS year_of_the_shop;
\pset format unaligned
\pset tuples_only on
SELECT test.masked(jsonb_pretty(
    ((c360_ticket(:'one') - '{customer_id,ticket_id,created_at,created_by}'::text[]) #- '{customer,customer_id}')
    #- '{history,0,done_at}' #- '{history,0,done_by}'));
SELECT c360_ticket(lower(' ' || :'one')) ->> 'subject';
-- a platinum customer's ticket is urgent to us, unless told otherwise
SELECT c360_set_tier('0932000002', 'platinum') FROM c360_get_or_create_customer('0932000002');
SELECT customer_created, c360_update_ticket(ticket_code, '{}') ->> 'priority' FROM c360_create_ticket('0932000002', 'OTHER');
SELECT customer_created, c360_update_ticket(ticket_code, '{}') ->> 'priority' FROM c360_create_ticket('0932000002', 'OTHER', priority => 'normal');
SELECT customer_created, c360_update_ticket(ticket_code, '{}') ->> 'priority' FROM c360_create_ticket('0932000003', 'OTHER');

-- Arguments
SELECT test.fails($$SELECT c360_create_ticket(NULL, 'OTHER')$$);
SELECT test.fails($$SELECT c360_create_ticket('123', 'OTHER')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', NULL)$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', '')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'boom')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', ' ')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', repeat('x', 201))$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', tracking_code => repeat('x', 201))$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', carrier => repeat('x', 256))$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', subject => repeat('x', 256))$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', description => repeat('x', 2001))$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', reason => repeat('x', 501))$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', assignee => repeat('x', 256))$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', refund_amount => -1)$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', original_cod => -1)$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', new_cod => -1)$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', priority => 'now')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', deadline => 'infinity')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', products => '"x"')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000009', 'OTHER', products => to_jsonb(ARRAY[repeat('x', 100000)]))$$);
SELECT test.fails($$SELECT c360_ticket(NULL)$$);
SELECT test.fails($$SELECT c360_ticket('TV-2001-00001')$$);
SELECT count(*) FROM c360.customers WHERE phone = '0932000009';
-- as long as may be
SELECT customer_created FROM c360_create_ticket('0932000003', 'OTHER', repeat('đ', 200), repeat('đ', 255), repeat('đ', 2000), 'null', 0, 0, 0,
    repeat('đ', 200), repeat('đ', 255), 'urgent', repeat('đ', 500), '2026-01-01', repeat('đ', 255), NULL);

-- One ticket of a compensating type for an order.
SELECT test.fails($$SELECT c360_create_ticket('0932000003', 'HOAN', 'T1')$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000003', 'HOAN', 'T1', allow_duplicate => NULL)$$);
SELECT test.fails($$SELECT c360_create_ticket('0932000003', 'DOI', 'T1')$$);
SELECT ticket_code AS two FROM c360_create_ticket('0932000001', 'HOAN', 'T1', allow_duplicate => true, refund_amount => 9000) \gset
SELECT c360_ticket(:'two') -> 'duplicate_allowed', c360_ticket(:'two') #> '{history,0,details}', c360_ticket(:'one') -> 'duplicate_allowed';
SELECT ticket_code AS three FROM c360_create_ticket('0932000003', 'RETURN_SHIPPER', 'T3', allow_duplicate => true) \gset
SELECT c360_ticket(:'three') -> 'duplicate_allowed';
SELECT test.fails($$SELECT c360_create_ticket('0932000003', 'BOOM', 'T3')$$);
SELECT c360_ticket_action(:'three', 'cancel') ->> 'status';
SELECT ticket_code AS four FROM c360_create_ticket('0932000003', 'BOOM', 'T3') \gset
SELECT c360_delete_ticket(:'four');
SELECT ticket_code AS five FROM c360_create_ticket('0932000003', 'BOOM', 'T3') \gset
SELECT test.fails($$SELECT c360_update_ticket(%L, '{"order_code": "T1"}')$$, :'five');
SELECT test.fails($$SELECT c360_update_ticket(%L, '{"order_code": "T3"}')$$, :'three');

-- Types are rows: what they say holds from the next ticket on.
BEGIN;
INSERT INTO c360.ticket_types VALUES ('GIFT', 'Quà', false, 'none');
SELECT ticket_code AS gift FROM c360_create_ticket('0932000003', 'GIFT', 'G1') \gset
SELECT compensating FROM c360.customer_tickets WHERE ticket_code = :'gift';
UPDATE c360.ticket_types SET compensation = 'deposit' WHERE type = 'GIFT';
SELECT ticket_code IS NOT NULL FROM c360_create_ticket('0932000003', 'GIFT', 'G1');
SELECT test.fails($$SELECT c360_create_ticket('0932000003', 'GIFT', 'G1')$$);
ROLLBACK;
SELECT test.fails($$SELECT c360_create_ticket('0932000003', 'GIFT', 'G1')$$);
-- one call, one ticket, wherever the call stands
SELECT count(*), count(DISTINCT ticket_code) FROM generate_series(1, 3), c360_create_ticket('0932000013', 'OTHER');
SELECT (c360_create_ticket('0932000013', 'OTHER')).customer_created, generate_series(1, 2) FROM (VALUES (1), (2)) AS v (n);
SELECT count(*) FROM c360.customer_tickets t JOIN c360.customers c ON c.id = t.customer_id WHERE phone = '0932000013';

-- Update: allowed keys, their types, what changed.
SELECT test.fails($$SELECT c360_update_ticket(%L, NULL)$$, :'one');
SELECT test.fails($$SELECT c360_update_ticket(%L, '[]')$$, :'one');
SELECT test.fails($$SELECT c360_update_ticket(%L, '"subject"')$$, :'one');
SELECT test.fails($$SELECT c360_update_ticket(NULL, '{}')$$);
SELECT test.fails($$SELECT c360_update_ticket('TV-1999-00001', '{}')$$);
SELECT change, test.fails($$SELECT c360_update_ticket(%L, %L)$$, :'one', change)
FROM unnest(ARRAY['{"status": "completed"}', '{"type": "HOAN"}', '{"compensation": "none"}', '{"subject": "x", "refundAmount": 1}',
    '{"subject": 1}', '{"subject": {}}', '{"priority": "now"}', '{"priority": null}', '{"priority": 1}', '{"refund_amount": "1"}',
    '{"refund_amount": -1}', '{"refund_amount": 1.5}', '{"refund_amount": 1e30}', '{"refund_amount": 9223372036854775808}', '{"new_cod": true}',
    '{"deadline": "tomorrow"}', '{"deadline": "2026-13-01"}', '{"deadline": "infinity"}', '{"deadline": 20260101}', '{"products": 1}',
    '{"attachments": "a"}', '{"order_code": ""}']) WITH ORDINALITY AS t (change, n) ORDER BY n;
SELECT test.fails($$SELECT c360_update_ticket(%L, jsonb_build_object('reason', repeat('x', 501)))$$, :'one');
SELECT jsonb_array_length(c360_ticket(:'one') -> 'history');
SELECT c360_update_ticket(:'one', '{}') ->> 'subject';
SELECT c360_update_ticket(:'one', '{"subject": "Không nhận", "refund_amount": 40000, "deadline": "2099-01-01T07:00:00+07:00"}') -> 'refund_amount';
SELECT jsonb_array_length(c360_ticket(:'one') -> 'history');
SELECT c360_update_ticket(:'one', '{"order_code": "T9", "tracking_code": null, "carrier": "J&T", "priority": "normal", "subject": "b", "description": "c",
    "products": {"sku": "B"}, "attachments": ["1.jpg"], "original_cod": 1, "new_cod": 2e0, "refund_amount": 50000, "reason": "d", "assignee": "bình",
    "deadline": "2099-02-01 00:00+00"}') IS NOT NULL;
SELECT details FROM test.history(:'one') WHERE action = 'update';
SELECT key, value FROM jsonb_each(c360_ticket(:'one')) WHERE key IN ('order_code', 'tracking_code', 'carrier', 'priority', 'subject', 'description',
    'products', 'attachments', 'original_cod', 'new_cod', 'refund_amount', 'reason', 'assignee', 'deadline') ORDER BY key;

-- Actions
SELECT test.fails($$SELECT c360_ticket_action(%L, NULL)$$, :'one');
SELECT test.fails($$SELECT c360_ticket_action(%L, 'resolve')$$, :'one');
SELECT test.fails($$SELECT c360_ticket_action(%L, 'assign')$$, :'one');
SELECT test.fails($$SELECT c360_ticket_action(%L, 'assign', assignee => ' ')$$, :'one');
SELECT test.fails($$SELECT c360_ticket_action(%L, 'process', repeat('x', 2001))$$, :'one');
SELECT test.fails($$SELECT c360_ticket_action(%L, 'wait_carrier', deadline => 'infinity')$$, :'one');
SELECT test.fails($$SELECT c360_ticket_action('TV-1', 'process')$$);
SELECT test.fails($$SELECT c360_ticket_action(NULL, 'process')$$);
SELECT test.fails($$SELECT c360_ticket_note(%L, NULL)$$, :'one');
SELECT test.fails($$SELECT c360_ticket_note(%L, E' \t')$$, :'one');
SELECT test.fails($$SELECT c360_ticket_note(%L, repeat('x', 2001))$$, :'one');
SELECT c360_ticket_action(:'one', 'assign', 'take it', assignee => 'cúc') ->> 'assignee';
SELECT c360_ticket_action(:'one', 'wait_carrier', deadline => '2099-03-01') ->> 'deadline';
SELECT c360_ticket_action(:'one', 'receive_goods', 'two boxes') ->> 'goods_received_at' IS NOT NULL;
SELECT c360_ticket_note(:'one', 'called') ->> 'status';
SELECT c360_ticket_action(:'one', 'process', assignee => 'dũng') ->> 'status';
SELECT test.fails($$SELECT c360_ticket_action(%L, 'process')$$, :'one');
SELECT c360_ticket_action(:'one', 'complete', 'done') ->> 'status';
SELECT test.fails($$SELECT c360_ticket_action(%L, 'cancel')$$, :'one');
SELECT action, move, note, regexp_replace(details, '"goods_received_at": .*', '…') FROM test.history(:'one');
SELECT event, reference, test.masked(payload::text) FROM test.timeline('0932000001');
SELECT balance, virtual_balance FROM c360_wallet('0932000001');     -- complete moves no money

-- Each move of the table, and none else. Rows decide: one more is one more.
CREATE FUNCTION test.moves() RETURNS TABLE (at text, can text) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ways constant jsonb := '{"new": [], "processing": ["process"], "waiting_carrier": ["wait_carrier"], "completed": ["complete"], "cancelled": ["cancel"]}';
    wanted text;
    code text;
BEGIN
    FOREACH at IN ARRAY ARRAY['new', 'processing', 'waiting_carrier', 'completed', 'cancelled'] LOOP
        can := NULL;
        FOREACH wanted IN ARRAY ARRAY['process', 'wait_carrier', 'complete', 'cancel'] LOOP
            SELECT ticket_code INTO code FROM c360_create_ticket('0932000004', 'OTHER');
            PERFORM c360_ticket_action(code, way) FROM jsonb_array_elements_text(ways -> at) AS way;
            IF test.error_of(format('SELECT c360_ticket_action(%L, %L)', code, wanted)) = 'no error' THEN
                can := concat_ws(', ', can, wanted);
            END IF;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM test.moves();
BEGIN;
INSERT INTO c360.ticket_moves VALUES ('completed', 'processing');
DELETE FROM c360.ticket_moves WHERE from_status = 'processing' AND to_status = 'completed';
SELECT * FROM test.moves();
DELETE FROM c360.ticket_moves WHERE from_status = 'new' AND to_status = 'completed';
SELECT ticket_code AS again FROM c360_create_ticket('0932000004', 'OTHER') \gset
SELECT test.fails('SELECT c360_resolve_ticket(%L)', :'again');
SELECT c360_ticket_action(:'again', 'wait_carrier') ->> 'status';
SELECT c360_ticket_action(:'again', 'complete') ->> 'completed_at' IS NOT NULL;
SELECT c360_ticket_action(:'again', 'process') ->> 'completed_at' IS NOT NULL;
ROLLBACK;

-- Resolving: what each type is compensated with.
SELECT c360_record_order('0932000005', 'R-' || type, 100000, '2026-01-01', 'delivered') IS NOT NULL AS ordered, type FROM c360.ticket_types ORDER BY type;
CREATE TABLE test.resolved AS
    SELECT t.type, (c360_create_ticket('0932000005', t.type, 'R-' || t.type, refund_amount => 1000)).ticket_code FROM c360.ticket_types t;
CREATE TABLE test.answers AS SELECT r.*, c360_resolve_ticket(r.ticket_code, note => 'sorry') AS a FROM test.resolved r ORDER BY r.type;
SELECT r.type, a -> 'ticket' ->> 'status', a -> 'ticket' ->> 'compensation', a #>> '{movement,type}', a #> '{movement,amount}',
       a #> '{ticket,transaction_id}' = a #> '{movement,transaction_id}', a #> '{ticket,credit_id}' = a #> '{movement,lots,0,credit_id}',
       a #> '{ticket,compensated_amount}', l.type || ' ' || l.source || ' ' || l.reference_type || ' ' || (l.reference_id = r.ticket_code), v.kind
FROM test.answers r
LEFT JOIN c360.wallet_transactions l ON l.id = (a #>> '{ticket,transaction_id}')::bigint
LEFT JOIN c360.virtual_credits v ON v.id = (a #>> '{ticket,credit_id}')::bigint ORDER BY r.type;
SELECT balance, virtual_balance FROM c360_wallet('0932000005');
SELECT r.type, test.fails('SELECT c360_resolve_ticket(%L, 5)', r.ticket_code) FROM test.resolved r WHERE type IN ('BOOM', 'HOAN') ORDER BY 1;
SELECT r.type, test.fails('SELECT c360_resolve_ticket(%L)', r.ticket_code) FROM test.resolved r WHERE type IN ('DOI', 'OTHER') ORDER BY 1;
SELECT action, move, note, details FROM test.resolved r, test.history(r.ticket_code) WHERE r.type = 'BOOM';
-- one that was closed without compensation can have it still, once
SELECT c360_resolve_ticket(ticket_code, compensation => 'deposit') #>> '{movement,type}' FROM test.resolved WHERE type = 'OTHER';
SELECT test.fails($$SELECT c360_resolve_ticket(%L, compensation => 'deposit')$$, ticket_code) FROM test.resolved WHERE type = 'OTHER';
SELECT c360_ticket_action(ticket_code, 'complete') ->> 'completed_at' AS completed_at, ticket_code AS six
FROM c360_create_ticket('0932000005', 'COMPLAINT') \gset
SELECT a #>> '{movement,type}', (a #>> '{ticket,completed_at}') = :'completed_at' FROM c360_resolve_ticket(:'six', 700, 'credit') AS a;
SELECT kind FROM c360.virtual_credits WHERE source_id = :'six';
SELECT event, payload ->> 'action' FROM c360.customer_activities WHERE reference_id = :'six' ORDER BY id;
-- amounts
SELECT ticket_code AS seven FROM c360_create_ticket('0932000005', 'BOOM', 'R-7') \gset
SELECT test.fails('SELECT c360_resolve_ticket(%L)', :'seven');
SELECT test.fails('SELECT c360_resolve_ticket(%L, 0)', :'seven');
SELECT test.fails('SELECT c360_resolve_ticket(%L, -1)', :'seven');
SELECT test.fails('SELECT c360_resolve_ticket(%L, 1000000001)', :'seven');
SELECT test.fails($$SELECT c360_resolve_ticket(%L, 1, 'cash')$$, :'seven');
SELECT test.fails($$SELECT c360_resolve_ticket(%L, 1, 'exchange')$$, :'seven');
SELECT test.fails($$SELECT c360_resolve_ticket(%L, 1, 'credit', repeat('x', 2001))$$, :'seven');
SELECT test.fails($$SELECT c360_resolve_ticket('TV-1', 1)$$);
SELECT test.fails($$SELECT c360_resolve_ticket(NULL, 1)$$);
SELECT c360_record_order('0932000005', 'R-7', 5000, '2026-01-01') IS NOT NULL;
SELECT test.fails('SELECT c360_resolve_ticket(%L, 5001)', :'seven');
SELECT c360_update_ticket(:'seven', '{"refund_amount": 6000}') -> 'refund_amount';
SELECT test.fails('SELECT c360_resolve_ticket(%L)', :'seven');
SELECT c360_ticket(:'seven') ->> 'status', jsonb_array_length(c360_ticket(:'seven') -> 'history');
SELECT c360_resolve_ticket(:'seven', 5000) #> '{ticket,compensated_amount}';
SELECT test.fails($$SELECT c360_update_ticket(%L, '{"order_code": "R-8"}')$$, :'seven');
SELECT ticket_code AS eight FROM c360_create_ticket('0932000005', 'BOOM', 'R-8') \gset
SELECT a -> 'ticket' ->> 'compensation', a -> 'movement' FROM c360_resolve_ticket(:'eight', 0, 'none') AS a;
SELECT ticket_code AS nine FROM c360_create_ticket('0932000005', 'BOOM', 'R-9') \gset
SELECT c360_ticket_action(:'nine', 'cancel') ->> 'status';
SELECT test.fails('SELECT c360_resolve_ticket(%L, 1)', :'nine');
-- a frozen wallet and a blacklisted customer are compensated, too
SELECT c360_freeze_wallet('0932000005', 'looked into'), c360_set_tier('0932000005', 'blacklist');
SELECT c360_resolve_ticket(ticket_code, 3) #> '{movement,virtual_change}' FROM c360_create_ticket('0932000005', 'BOOM');
SELECT c360_unfreeze_wallet('0932000005'), c360_set_tier('0932000005', 'new');
-- the Idempotency-Key header belongs to the request, not to what it leads to
SELECT ticket_code AS ten FROM c360_create_ticket('0932000005', 'HOAN') \gset
BEGIN;
SELECT set_config('request.method', 'POST', true), set_config('request.path', '/rpc/c360_resolve_ticket', true),
       set_config('request.headers', '{"idempotency-key": "ten"}', true) \g /dev/null
SELECT c360_resolve_ticket(:'ten', 77) #> '{movement,amount}';
SELECT count(*) FROM c360.wallet_transactions WHERE idempotency_key = 'ten';
COMMIT;
SELECT * FROM c360_verify_wallets();

-- Deleting: an unused credit is taken back, whatever was used or paid stays in the way.
CREATE FUNCTION test.compensated(type text, amount bigint DEFAULT 100, wanted text DEFAULT '0932000006') RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT a -> 'ticket' ->> 'ticket_code'
    FROM (SELECT c360_resolve_ticket(t.ticket_code, amount) AS a FROM c360_create_ticket(wanted, type) t) s
$$;
SELECT test.compensated('BOOM') AS d1, test.compensated('BOOM') AS d2, test.compensated('HOAN') AS d3, test.compensated('BOOM') AS d4 \gset
SELECT test.fails($$SELECT c360_delete_ticket(NULL)$$);
SELECT test.fails($$SELECT c360_delete_ticket('TV-1')$$);
SELECT test.fails($$SELECT c360_delete_ticket(%L, repeat('x', 501))$$, :'d1');
SELECT c360_delete_ticket(:'d1', 'by mistake');
SELECT status, remaining_amount FROM c360.virtual_credits WHERE source_id = :'d1';
SELECT test.fails('SELECT c360_delete_ticket(%L)', :'d1');
SELECT test.fails('SELECT c360_ticket(%L)', :'d1');
SELECT test.fails($$SELECT c360_ticket_note(%L, 'x')$$, :'d1');
SELECT test.fails('SELECT c360_resolve_ticket(%L)', :'d1');
SELECT deleted_at IS NOT NULL, deleted_by = session_user, delete_reason, status FROM c360.customer_tickets WHERE ticket_code = :'d1';
SELECT h.action, h.from_status, h.to_status, h.note FROM c360.ticket_history h JOIN c360.customer_tickets t ON t.id = h.ticket_id
WHERE t.ticket_code = :'d1' ORDER BY h.id;
SELECT count(*) FROM c360_ticket_list WHERE ticket_code = :'d1';
-- used once, and given back whole
SELECT transaction_id AS paid FROM c360_withdraw('0932000006', 1) \gset
SELECT test.fails('SELECT c360_delete_ticket(%L)', :'d2');
SELECT amount FROM c360_refund(:paid);
SELECT test.fails('SELECT c360_delete_ticket(%L)', :'d2');
-- a deposit, taken back by halves
SELECT test.fails('SELECT c360_delete_ticket(%L)', :'d3');
SELECT balance FROM c360_adjust('0932000006', -100, 'of another ticket', 'ticket', :'d4');
SELECT balance FROM c360_adjust('0932000006', 100, 'and given back', 'ticket', :'d4');
SELECT balance FROM c360_adjust('0932000006', -60, 'half of it back', 'ticket', :'d3');
SELECT test.fails('SELECT c360_delete_ticket(%L)', :'d3');
SELECT balance FROM c360_adjust('0932000006', -40, 'the other half', 'ticket', :'d3');
SELECT c360_delete_ticket(:'d3');
-- expired, cancelled by hand, or due but not expired yet: nothing to take back
SELECT test.compensated('BOOM') AS d5, test.compensated('BOOM') AS d6 \gset
SELECT amount FROM c360_cancel_credit((SELECT id FROM c360.virtual_credits WHERE source_id = :'d4'), 'by hand');
SELECT c360_delete_ticket(:'d4');
SELECT test.let_expire('0932000006', :'d5');
SELECT expired_count FROM c360_expire_credits();
SELECT c360_delete_ticket(:'d5');
SELECT test.let_expire('0932000006', :'d6');
SELECT c360_delete_ticket(:'d6');
SELECT source_id = :'d6' AS of_d6, status, remaining_amount FROM c360.virtual_credits WHERE source_id IN (:'d4', :'d5', :'d6') ORDER BY id;
SELECT expired_count FROM c360_expire_credits();
SELECT * FROM c360_verify_wallets();

-- Deadlines: once each, urgent stays urgent, a new one arms again.
SELECT c360_escalate_deadlines() IS NOT NULL;
SELECT ticket_code AS e1 FROM c360_create_ticket('0932000007', 'OTHER', deadline => clock_timestamp() + interval '23 hours', priority => 'low') \gset
SELECT ticket_code AS e2 FROM c360_create_ticket('0932000007', 'OTHER', deadline => clock_timestamp() - interval '1 year') \gset
SELECT ticket_code AS e3 FROM c360_create_ticket('0932000007', 'OTHER', deadline => '2026-01-01', priority => 'urgent') \gset
SELECT ticket_code AS e4 FROM c360_create_ticket('0932000007', 'OTHER', deadline => clock_timestamp() + interval '25 hours') \gset
SELECT ticket_code AS e5 FROM c360_create_ticket('0932000007', 'OTHER') \gset
SELECT ticket_code AS e6 FROM c360_create_ticket('0932000007', 'OTHER', deadline => '2026-01-01') \gset
SELECT c360_ticket_action(:'e6', 'complete') ->> 'status';
CREATE FUNCTION test.priorities() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT string_agg(t.priority, ' ' ORDER BY t.id) FROM c360.customer_tickets t WHERE t.customer_id = test.customer('0932000007')
$$;
SELECT c360_escalate_deadlines(), test.priorities();
SELECT c360_escalate_deadlines(), test.priorities();
SELECT action, move, regexp_replace(details, '"deadline": "[^"]*", ', '') FROM test.history(:'e1');
SELECT jsonb_array_length(c360_ticket(:'e3') -> 'history');
SELECT c360_update_ticket(:'e1', '{"priority": "normal"}') ->> 'priority', c360_update_ticket(:'e3', '{"priority": "low"}') ->> 'priority';
SELECT c360_escalate_deadlines(), test.priorities();
SELECT c360_update_ticket(:'e1', jsonb_build_object('deadline', deadline)) ->> 'priority' FROM c360.customer_tickets WHERE ticket_code = :'e1';
SELECT c360_escalate_deadlines();
SELECT c360_ticket_action(:'e1', 'wait_carrier', deadline => clock_timestamp() + interval '1 hour') ->> 'status';
SELECT c360_ticket_action(:'e4', 'wait_carrier', deadline => clock_timestamp() + interval '2 hours') ->> 'status';
SELECT c360_escalate_deadlines(), test.priorities();
SELECT c360_update_ticket(:'e1', '{"priority": "low", "deadline": null}') ->> 'priority';
SELECT c360_escalate_deadlines();
-- the job does the same
SELECT c360_update_ticket(:'e1', '{"deadline": "2026-01-01"}') ->> 'priority', c360_update_ticket(:'e3', '{"deadline": "2026-01-02", "priority": "urgent"}') ->> 'priority';
SELECT c360_run_job('carrier_deadlines');
SELECT rows, error FROM c360.job_runs WHERE job = 'carrier_deadlines' ORDER BY id DESC LIMIT 1;
SELECT test.priorities();
SELECT schedule, enabled FROM c360_job_status WHERE job = 'carrier_deadlines';

-- Lists: priority, then deadline, those without one last.
SELECT ticket_code = ANY (ARRAY[:'e1', :'e2', :'e3', :'e4', :'e5', :'e6']), phone, name, type_label, status, priority, priority_rank,
       deadline_order = coalesce(deadline, 'infinity')
FROM c360_ticket_list WHERE phone = '0932000007' ORDER BY priority_rank, deadline_order, id;

-- Levels: agents work on tickets, accountants compensate, viewers see no money.
CREATE ROLE regress_c360_t_viewer;
CREATE ROLE regress_c360_t_agent;
CREATE ROLE regress_c360_t_accountant;
CREATE ROLE regress_c360_t_direct;
SELECT c360_grant('regress_c360_t_viewer', 'viewer'), c360_grant('regress_c360_t_agent', 'agent'), c360_grant('regress_c360_t_accountant', 'accountant') \g /dev/null
GRANT EXECUTE ON FUNCTION c360_resolve_ticket, c360_ticket TO regress_c360_t_direct;
GRANT USAGE ON SCHEMA test TO PUBLIC;
SELECT ticket_code AS l1 FROM c360_create_ticket('0932000008', 'BOOM', 'L1', refund_amount => 20, original_cod => 30, new_cod => 40) \gset
SELECT c360_update_ticket(:'l1', '{"refund_amount": 25, "subject": "s"}') IS NOT NULL;
SET ROLE regress_c360_t_agent;
SELECT ticket_code AS l2 FROM c360_create_ticket('0932000008', 'OTHER') \gset
SELECT c360_update_ticket(:'l2', '{"refund_amount": 5}') -> 'refund_amount';
SELECT test.fails('SELECT c360_resolve_ticket(%L)', :'l1');
SELECT test.fails($$SELECT c360_resolve_ticket(%L, 5, 'deposit')$$, :'l2');
SELECT c360_resolve_ticket(:'l2') -> 'ticket' ->> 'compensation';
SELECT c360_delete_ticket(:'l2');
SET ROLE regress_c360_t_direct;
SELECT test.fails('SELECT c360_resolve_ticket(%L)', :'l1');
SET ROLE regress_c360_t_accountant;
SELECT c360_resolve_ticket(:'l1') #> '{movement,amount}';
SET ROLE regress_c360_t_agent;
SELECT test.fails('SELECT c360_delete_ticket(%L)', :'l1');
CREATE TEMP TABLE shown (role name, code text, subject text, money jsonb, history jsonb);
GRANT ALL ON shown TO PUBLIC;
RESET ROLE;
SET ROLE regress_c360_t_viewer;
INSERT INTO shown SELECT current_user, ticket_code, subject, jsonb_build_array(refund_amount, original_cod, new_cod, credit_id IS NOT NULL, transaction_id IS NOT NULL)
FROM c360_ticket_list WHERE phone = '0932000008';
SELECT test.fails($$SELECT c360_create_ticket('0932000008', 'OTHER')$$);
SELECT t -> 'refund_amount', t -> 'original_cod', t -> 'new_cod', t -> 'credit_id', t -> 'transaction_id', t -> 'compensated_amount'
FROM c360_ticket(:'l1') AS t;
SELECT c360_ticket(:'l1') ->> 'compensation', h -> 'details' FROM jsonb_array_elements(c360_ticket(:'l1') -> 'history') h;
SET ROLE regress_c360_t_agent;
INSERT INTO shown SELECT current_user, ticket_code, subject, jsonb_build_array(refund_amount, original_cod, new_cod, credit_id IS NOT NULL, transaction_id IS NOT NULL)
FROM c360_ticket_list WHERE phone = '0932000008';
SELECT t -> 'refund_amount', t -> 'original_cod', t -> 'new_cod', t -> 'compensated_amount' FROM c360_ticket(:'l1') AS t;
SET ROLE regress_c360_t_direct;
SELECT c360_ticket(:'l1') -> 'refund_amount';
RESET ROLE;
SELECT role, code = :'l1', subject, money FROM shown ORDER BY role;
SET ROLE regress_c360_t_accountant;
SELECT c360_delete_ticket(:'l1');
RESET ROLE;
DROP TABLE shown;
SELECT c360_revoke('regress_c360_t_viewer'), c360_revoke('regress_c360_t_agent'), c360_revoke('regress_c360_t_accountant') \g /dev/null
DROP OWNED BY regress_c360_t_direct, regress_c360_t_agent;
DROP ROLE regress_c360_t_viewer, regress_c360_t_agent, regress_c360_t_accountant, regress_c360_t_direct;
REVOKE USAGE ON SCHEMA test FROM PUBLIC;

-- Codes: at least five digits, from 1 each January of the shop.
BEGIN;
CREATE FUNCTION test.code_at(moment timestamptz) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT ticket_code FROM c360_create_ticket_at('0932000001', 'OTHER', at => moment)
$$;
SELECT test.code_at('2129-12-31 16:59:59.999+00'), test.code_at('2129-12-31 17:00+00'), test.code_at('2129-12-31 16:59+00'),
       test.code_at('2130-12-31 16:59:59+00');
SELECT setval('c360.ticket_numbers_2130', 99998);
SELECT test.code_at('2130-06-01'), test.code_at('2130-06-01'), test.code_at('2130-06-01');
-- numbers that were lost, as after a restore of rows alone, go on after the last
-- codes that are taken are passed over; a trigger that swallows tickets ends the call
SELECT setval('c360.ticket_numbers_2130', 99998);
SELECT test.code_at('2130-06-01');
CREATE FUNCTION test.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE INSERT ON c360.customer_tickets FOR EACH ROW EXECUTE FUNCTION test.swallow();
SELECT test.fails($$SELECT c360_create_ticket('0932000001', 'OTHER', allow_duplicate => true)$$);
DROP TRIGGER swallow ON c360.customer_tickets;
DROP SEQUENCE c360.ticket_numbers_2130;
SELECT test.code_at('2130-06-01');
ROLLBACK;
\pset tuples_only off
\pset format aligned
DROP TABLE test.resolved, test.answers;
DROP FUNCTION test.masked, test.fails, test.history, test.moves, test.compensated, test.priorities;
