-- Tickets under random orders of steps, against a model: which step is refused
-- with what, where each ticket stands, and that money moved once for each.
BEGIN;
\ir tools.psql
SELECT no_plan();
SET LOCAL enable_seqscan = off;      -- rows of one transaction leave dead versions that only an index passes over

-- The model: one row a ticket. paid is what it gave; taken, what came back of a
-- deposit; used, whether any of its credit was ever spent.
CREATE TEMP TABLE model (code text PRIMARY KEY, phone text, type text, status text DEFAULT 'new', order_code text, refund bigint, way text,
                         paid bigint, taken bigint DEFAULT 0, used boolean DEFAULT false, deleted boolean DEFAULT false, steps integer DEFAULT 1);
CREATE TEMP TABLE kinds AS SELECT * FROM (VALUES ('BOOM', 'credit'), ('RETURN_SHIPPER', 'credit'), ('HOAN', 'deposit'), ('RETURN_CLIENT', 'deposit'),
    ('DOI', 'exchange'), ('THIEU', 'none'), ('FIX_COD', 'none'), ('COMPLAINT', 'none'), ('WARRANTY', 'none'), ('OTHER', 'none')) AS k (type, usual);
CREATE TEMP TABLE amounts AS SELECT 'M' || n AS order_code, n * 600 AS amount FROM generate_series(1, 6) AS n;
SELECT c360_record_order('0952000009', order_code, amount, '2026-01-01', 'delivered') FROM amounts WHERE amount > 600 \g /dev/null
CREATE TEMP TABLE mistakes (step integer, what text);
CREATE TEMP TABLE outcomes (step text, outcome text);

-- What the rules say of a step; 'none' if it is done.
CREATE FUNCTION pg_temp.expected(t model, step text, amount bigint, way text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN t.deleted THEN 'PT404 ticket_not_found'
        WHEN step IN ('note', 'assign', 'receive_goods') THEN 'none'
        WHEN step = 'delete' THEN
            CASE WHEN t.way = 'credit' AND t.used OR t.way = 'deposit' AND t.taken < t.paid THEN 'PT409 compensated' ELSE 'none' END
        WHEN step = 'resolve' THEN
            CASE WHEN t.paid IS NOT NULL OR t.way IS NOT NULL AND w.way NOT IN ('credit', 'deposit') THEN 'PT409 compensated'
                 WHEN t.status = 'cancelled' THEN 'PT409 move_not_allowed'
                 WHEN w.way NOT IN ('credit', 'deposit') THEN 'none'
                 WHEN coalesce(amount, t.refund) IS NULL THEN '22004 missing_argument'
                 WHEN coalesce(amount, t.refund) = 0 THEN '22023 invalid_amount'
                 WHEN coalesce(amount, t.refund) > (SELECT a.amount FROM amounts a WHERE a.order_code = t.order_code AND a.amount > 600)
                     THEN '22023 exceeds_order'
                 ELSE 'none' END
        WHEN t.status IN ('completed', 'cancelled') OR (t.status, step) IN (('processing', 'process'), ('waiting_carrier', 'wait_carrier'))
            THEN 'PT409 move_not_allowed'
        ELSE 'none' END
    FROM (SELECT coalesce(expected.way, (SELECT usual FROM kinds k WHERE k.type = t.type)) AS way) w
$$;

CREATE FUNCTION pg_temp.play(steps integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t model;
    step text;
    person text;
    sum bigint;
    wanted text;
    answer jsonb;
    outcome text;
    should text;
BEGIN
    FOR n IN 1..steps LOOP
        person := '095200000' || 1 + floor(random() * 3);
        step := (ARRAY['create', 'note', 'assign', 'receive_goods', 'process', 'wait_carrier', 'complete', 'cancel', 'resolve', 'resolve', 'resolve',
                       'delete', 'delete', 'spend', 'take_back', 'create'])[1 + floor(random() * 16)];
        sum := (ARRAY[NULL, NULL, 0, 500, 2500])[1 + floor(random() * 5)];
        wanted := (ARRAY[NULL, NULL, NULL, 'credit', 'deposit', 'none'])[1 + floor(random() * 6)];
        SELECT * INTO t FROM model ORDER BY random() LIMIT 1;
        IF step = 'create' OR t IS NULL THEN
            INSERT INTO model (code, phone, type, order_code, refund)
            SELECT ticket_code, person, k.type, o, sum FROM (SELECT type FROM kinds ORDER BY random() LIMIT 1) k,
                (SELECT CASE WHEN random() < 0.7 THEN 'M' || 1 + floor(random() * 6) END AS o OFFSET 0) x,
                c360_create_ticket(person, k.type, o, refund_amount => sum, allow_duplicate => true);
            CONTINUE;
        ELSIF step = 'spend' THEN
            -- lots in their order: the one that expires first is used first
            CONTINUE WHEN pg_temp.failure(format('SELECT c360_withdraw(%L, 300)', t.phone)) <> 'none';
            UPDATE model m SET used = true FROM c360.virtual_credits v
            WHERE v.source_id = m.code AND m.way = 'credit' AND v.remaining_amount < v.original_amount AND v.status <> 'CANCELLED';
            CONTINUE;
        ELSIF step = 'take_back' THEN
            CONTINUE WHEN t.way IS DISTINCT FROM 'deposit' OR t.deleted;
            sum := 1 + floor(random() * t.paid);
            IF pg_temp.failure(format('SELECT c360_adjust(%L, %s, ''taken back by hand'', ''ticket'', %L)', t.phone, - sum, t.code)) = 'none' THEN
                UPDATE model SET taken = taken + sum WHERE code = t.code;
            END IF;
            CONTINUE;
        END IF;
        should := pg_temp.expected(t, step, sum, wanted);
        outcome := pg_temp.failure(CASE step
            WHEN 'note' THEN format('SELECT c360_ticket_note(%L, ''x'')', t.code)
            WHEN 'delete' THEN format('SELECT c360_delete_ticket(%L)', t.code)
            WHEN 'resolve' THEN format('SELECT c360_resolve_ticket(%L, %L, %L)', t.code, sum, wanted)
            WHEN 'assign' THEN format('SELECT c360_ticket_action(%L, ''assign'', assignee => ''an'')', t.code)
            ELSE format('SELECT c360_ticket_action(%L, %L)', t.code, step) END);
        INSERT INTO outcomes VALUES (step, outcome);
        IF outcome <> should THEN
            INSERT INTO mistakes VALUES (n, format('%s(%s, %s) of %s: %s instead of %s', step, sum, wanted, t, outcome, should));
        ELSIF outcome = 'none' THEN
            wanted := CASE WHEN step = 'resolve' THEN coalesce(wanted, (SELECT usual FROM kinds k WHERE k.type = t.type)) END;
            UPDATE model m SET steps = m.steps + 1, deleted = (step = 'delete'),
                status = CASE step WHEN 'process' THEN 'processing' WHEN 'wait_carrier' THEN 'waiting_carrier' WHEN 'complete' THEN 'completed'
                         WHEN 'cancel' THEN 'cancelled' WHEN 'resolve' THEN 'completed' ELSE m.status END,
                way = coalesce(wanted, m.way), paid = CASE WHEN wanted IN ('credit', 'deposit') THEN coalesce(sum, m.refund) ELSE m.paid END
            WHERE m.code = t.code;
        END IF;
        INSERT INTO mistakes
        SELECT n, format('%s is %s', m, r) FROM model m JOIN c360.customer_tickets r ON r.ticket_code = m.code
        WHERE m.code = t.code
          AND ((m.status, m.way, m.deleted, m.paid IS NOT NULL) IS DISTINCT FROM (r.status, r.compensation, r.deleted_at IS NOT NULL, r.compensated_at IS NOT NULL)
               OR m.steps <> (SELECT count(*) FROM c360.ticket_history h WHERE h.ticket_id = r.id));
        EXIT WHEN EXISTS (SELECT FROM mistakes);
    END LOOP;
END $$;

SELECT setseed(0.7) \g /dev/null
SELECT pg_temp.play(900) \g /dev/null
SELECT is_empty('SELECT * FROM mistakes', 'each step was done or refused as the rules say, and the ticket stands where they put it');
SELECT set_has('SELECT step, outcome FROM outcomes', $$VALUES ('resolve', 'none'), ('resolve', 'PT409 compensated'), ('resolve', 'PT409 move_not_allowed'),
    ('resolve', '22004 missing_argument'), ('resolve', '22023 invalid_amount'), ('resolve', '22023 exceeds_order'), ('resolve', 'PT404 ticket_not_found'),
    ('delete', 'none'), ('delete', 'PT409 compensated'), ('complete', 'PT409 move_not_allowed'), ('process', 'none')$$, 'every outcome was met');
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are right');

-- Money and tickets point at each other, one to one.
SELECT results_eq($$SELECT m.code, m.paid FROM model m WHERE m.way = 'credit' ORDER BY 1$$,
    $$SELECT w.reference_id, w.amount FROM c360.wallet_transactions w WHERE w.type = 'VIRTUAL_CREDIT' ORDER BY 1$$, 'one credit for each ticket that says so');
SELECT results_eq($$SELECT m.code, m.paid FROM model m WHERE m.way = 'deposit' ORDER BY 1$$,
    $$SELECT w.reference_id, w.amount FROM c360.wallet_transactions w WHERE w.type = 'DEPOSIT' ORDER BY 1$$, 'one deposit for each ticket that says so');
SELECT is_empty($$SELECT t.ticket_code FROM c360.customer_tickets t LEFT JOIN c360.wallet_transactions w ON w.id = t.transaction_id
                  WHERE (t.compensated_at IS NOT NULL) <> (t.transaction_id IS NOT NULL) OR w.reference_id <> t.ticket_code
                     OR w.customer_id <> t.customer_id OR w.credit_id IS DISTINCT FROM t.credit_id$$, 'and the ticket points at it');
SELECT is_empty($$SELECT m.code FROM model m JOIN c360.virtual_credits v ON v.source_id = m.code WHERE m.deleted AND v.status <> 'CANCELLED'$$,
                'the credit of a deleted ticket was taken back');
SELECT is_empty($$SELECT m.code FROM model m JOIN c360.virtual_credits v ON v.source_id = m.code WHERE NOT m.deleted AND v.status = 'CANCELLED'$$,
                'no other was');

-- History and events tell the same, in order, without a gap.
SELECT is_empty($$SELECT h.id FROM (SELECT *, lag(to_status) OVER (PARTITION BY ticket_id ORDER BY id) AS before FROM c360.ticket_history) h
                  WHERE h.before IS DISTINCT FROM h.from_status$$, 'each step of a history begins where the one before ended');
SELECT results_eq($$SELECT t.ticket_code, h.action, h.to_status FROM c360.ticket_history h JOIN c360.customer_tickets t ON t.id = h.ticket_id ORDER BY 1, h.id$$,
    $$SELECT reference_id, payload ->> 'action', payload ->> 'status' FROM c360.customer_activities WHERE topic = 'tickets' ORDER BY 1, id$$,
    'each step is one activity');
SELECT results_eq($$SELECT DISTINCT payload ->> 'action', event FROM c360.customer_activities WHERE topic = 'tickets' AND payload ->> 'action'
                    IN ('create', 'delete', 'complete', 'cancel', 'note', 'process') ORDER BY 1$$,
    $$VALUES ('cancel', 'ticket.cancelled'), ('complete', 'ticket.completed'), ('create', 'ticket.created'), ('delete', 'ticket.deleted'),
             ('note', 'ticket.updated'), ('process', 'ticket.updated')$$, 'with the event that belongs to it');
SELECT results_eq($$SELECT DISTINCT event, payload ->> 'from_status' = 'completed' FROM c360.customer_activities WHERE payload ->> 'action' = 'resolve' ORDER BY 1$$,
    $$VALUES ('ticket.completed', false), ('ticket.updated', true)$$, 'a resolution completes, unless it was complete');
SELECT is((SELECT count(DISTINCT ticket_code) FROM c360.customer_tickets), (SELECT count(*) FROM c360.customer_tickets), 'no code comes twice');
SELECT results_eq('SELECT ticket_code FROM c360_ticket_list ORDER BY 1', 'SELECT code FROM model WHERE NOT deleted ORDER BY 1', 'the list has all but the deleted');

-- What is refused changes nothing.
SELECT pg_temp.books() AS books \gset
SELECT code AS live FROM model WHERE NOT deleted AND paid IS NOT NULL LIMIT 1 \gset
SELECT isnt(pg_temp.failure(format(command, :'live')), 'none', command) FROM (VALUES
    ('SELECT c360_resolve_ticket(%L, 1)'), ('SELECT c360_ticket_action(%L, ''process'')'), ('SELECT c360_update_ticket(%L, ''{"subject": "x", "status": "new"}'')'),
    ('SELECT c360_update_ticket(%L, ''{"subject": "x", "order_code": "M9"}'')'), ('SELECT c360_ticket_note(%L, '''')'),
    ('SELECT c360_create_ticket(''0952000077'', ''NO'', %L)'), ('SELECT c360_create_ticket(''0952000077'', ''OTHER'', priority => %L)'),
    ('SELECT c360_escalate_deadlines() / length(%L) / 0')) AS v (command);
SELECT is(pg_temp.books(), :'books', 'what is refused changes nothing');

SELECT * FROM finish();
ROLLBACK;
