-- Tickets. Each step of one is: lock it, look whether it may be, move the money
-- if it does, write the step (row and history), tell of it, and count the
-- customer's orders anew if the step changed what is returned. The ticket is
-- locked before the wallet, always.
--
-- Opening one, and what its fields may hold, is C (ticket.c, ticket_fields.c).
--
-- As in 53_orders.sql, functions that call others touch no table, and those
-- that touch tables call nothing but the writer of activities. After one that
-- touches tables, those of the first kind set search_path again before
-- anything is found by it: their owner may have left one of his (66_jobs.sql).

CREATE FUNCTION @extschema@.c360_ticket_fields(changes jsonb) RETURNS jsonb
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_ticket_fields';
COMMENT ON FUNCTION @extschema@.c360_ticket_fields(jsonb) IS
'Internal: checks fields of a ticket that staff gave.

changes: an object.
Answer: the same in the form in which a ticket holds them.
Errors: 22001 too_long; 22003 overflow; 22004 missing_argument; 22023 unknown_key, wrong_type, invalid_amount, invalid_date, not_allowed, blank.';

CREATE FUNCTION @extschema@.c360_create_ticket(phone text, type text, order_code text DEFAULT NULL,
    subject text DEFAULT NULL, description text DEFAULT NULL, products jsonb DEFAULT NULL,
    refund_amount bigint DEFAULT NULL, original_cod bigint DEFAULT NULL, new_cod bigint DEFAULT NULL,
    tracking_code text DEFAULT NULL, carrier text DEFAULT NULL, priority text DEFAULT NULL, reason text DEFAULT NULL,
    deadline timestamptz DEFAULT NULL, assignee text DEFAULT NULL, allow_duplicate boolean DEFAULT false)
RETURNS TABLE (ticket_id bigint, ticket_code text, customer_id bigint, customer_created boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'c360_create_ticket';
COMMENT ON FUNCTION @extschema@.c360_create_ticket(text, text, text, text, text, jsonb, bigint, bigint, bigint, text,
    text, text, text, timestamptz, text, boolean) IS
'Opens a ticket; an unknown phone creates the customer.

phone: any spelling. type: a row of c360.ticket_types: BOOM, DOI, THIEU, HOAN, FIX_COD, RETURN_CLIENT, RETURN_SHIPPER, COMPLAINT, WARRANTY or OTHER. order_code, tracking_code: 200 characters. subject, carrier, assignee: 255. description: 2,000. reason: 500. products: array or object, 100,000 bytes. refund_amount, original_cod, new_cod: đồng, not negative. priority: low, normal, high or urgent; NULL = normal, high for a platinum customer. deadline: until when the carrier has to answer. allow_duplicate: although the order has a ticket of a compensating type that is neither cancelled nor deleted.
Answer: ticket_id, ticket_code (TV-YYYY-NNNNN, year in shop time), customer_id, customer_created.
Errors: PT409 duplicate_ticket; 22004 missing_argument; 22023 invalid_phone, invalid_amount, invalid_date, not_allowed, wrong_type, blank; 22001 too_long; 25006 read only; 55000 not installed.';

-- So that the turn of a year can be tried out.
CREATE FUNCTION @extschema@.c360_create_ticket_at(phone text, type text, order_code text DEFAULT NULL,
    subject text DEFAULT NULL, description text DEFAULT NULL, products jsonb DEFAULT NULL,
    refund_amount bigint DEFAULT NULL, original_cod bigint DEFAULT NULL, new_cod bigint DEFAULT NULL,
    tracking_code text DEFAULT NULL, carrier text DEFAULT NULL, priority text DEFAULT NULL, reason text DEFAULT NULL,
    deadline timestamptz DEFAULT NULL, assignee text DEFAULT NULL, allow_duplicate boolean DEFAULT false,
    at timestamptz DEFAULT NULL)
RETURNS TABLE (ticket_id bigint, ticket_code text, customer_id bigint, customer_created boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'c360_create_ticket';
COMMENT ON FUNCTION @extschema@.c360_create_ticket_at(text, text, text, text, text, jsonb, bigint, bigint, bigint, text,
    text, text, text, timestamptz, text, boolean, timestamptz) IS
'Internal: c360_create_ticket() at another moment.

phone, type, order_code, subject, description, products, refund_amount, original_cod, new_cod, tracking_code, carrier, priority, reason, deadline, assignee, allow_duplicate: as c360_create_ticket() takes them. at: the moment; NULL = now.
Answer: as of c360_create_ticket().
Errors: PT409 duplicate_ticket; 22004 missing_argument; 22023 invalid_phone, invalid_amount, invalid_date, not_allowed, wrong_type, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket(ticket_code text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    money boolean := coalesce(@extschema@.c360_level() <> 'viewer', false);
    answer jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT to_jsonb(shown) || jsonb_build_object(
               'customer', jsonb_build_object('customer_id', c.id, 'phone', c.phone, 'name', c.name, 'tier', c.tier,
                                              'status', c.status),
               'history', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                               'action', h.action, 'from_status', h.from_status, 'to_status', h.to_status,
                               'note', h.note, 'details', CASE WHEN money THEN h.details ELSE h.details
                                   - '{refund_amount,original_cod,new_cod,amount,credit_id,transaction_id}'::text[] END,
                               'done_by', h.done_by, 'done_at', h.done_at) ORDER BY h.id), '[]')
                           FROM c360.ticket_history AS h WHERE h.ticket_id = shown.ticket_id))
    INTO answer
    FROM (SELECT t.id AS ticket_id, t.ticket_code, t.customer_id, t.type, y.label AS type_label, y.counts_as_return,
                 t.status, t.priority, t.order_code, t.tracking_code, t.carrier, t.subject, t.description,
                 t.products, t.attachments, t.reason, t.assignee, t.deadline, t.duplicate_allowed,
                 t.goods_received_at, t.created_by, t.created_at, t.completed_at, t.compensation, t.compensated_at,
                 CASE WHEN money THEN t.original_cod END AS original_cod,
                 CASE WHEN money THEN t.new_cod END AS new_cod,
                 CASE WHEN money THEN t.refund_amount END AS refund_amount,
                 CASE WHEN money THEN t.credit_id END AS credit_id,
                 CASE WHEN money THEN t.transaction_id END AS transaction_id,
                 CASE WHEN money THEN (SELECT w.amount FROM c360.wallet_transactions AS w
                                       WHERE w.id = t.transaction_id) END AS compensated_amount
          FROM c360.customer_tickets AS t JOIN c360.ticket_types AS y ON y.type = t.type
          WHERE t.ticket_code = upper(btrim(c360_ticket.ticket_code)) AND t.deleted_at IS NULL) AS shown
    JOIN c360.customers AS c ON c.id = shown.customer_id;
    IF c360_ticket.ticket_code IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ticket_code';
    ELSIF answer IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such ticket',
            DETAIL = format('ticket_not_found: "%s"', left(c360_ticket.ticket_code, 64));
    END IF;
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket(text) IS
'A ticket with its customer and history; deleted ones are not found.

ticket_code: TV-YYYY-NNNNN.
Answer: the ticket''s fields, customer (customer_id, phone, name, tier, status), history (action, from_status, to_status, note, details, done_by, done_at; oldest first). Amounts (original_cod, new_cod, refund_amount, compensated_amount, đồng), credit_id and transaction_id are NULL for level viewer.
Errors: PT404 ticket_not_found; 22004 missing_argument; 55000 not installed.';

-- Steps

CREATE FUNCTION @extschema@.c360_lock_ticket(ticket_code text, OUT ticket_id bigint, OUT code text,
    OUT customer_id bigint, OUT type text, OUT status text, OUT order_code text,
    OUT refund_amount bigint, OUT compensation text, OUT compensated boolean,
    OUT usual_compensation text, OUT order_amount bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF c360_lock_ticket.ticket_code IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ticket_code';
    END IF;
    SELECT t.id, t.ticket_code, t.customer_id, t.type, t.status, t.order_code, t.refund_amount, t.compensation,
           t.compensated_at IS NOT NULL
    INTO ticket_id, code, customer_id, type, status, order_code, refund_amount, compensation, compensated
    FROM c360.customer_tickets AS t
    WHERE t.ticket_code = upper(btrim(c360_lock_ticket.ticket_code)) AND t.deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such ticket',
            DETAIL = format('ticket_not_found: "%s"', left(c360_lock_ticket.ticket_code, 64));
    END IF;
    SELECT y.compensation INTO usual_compensation FROM c360.ticket_types AS y WHERE y.type = c360_lock_ticket.type;
    SELECT o.amount INTO order_amount FROM c360.customer_orders AS o WHERE o.order_code = c360_lock_ticket.order_code;
END $$;
COMMENT ON FUNCTION @extschema@.c360_lock_ticket(text) IS
'Internal: locks a ticket until the transaction ends.

ticket_code: any spelling.
Answer: what steps go by: the ticket, what its type compensates with, recorded amount of its order.
Errors: PT404 ticket_not_found; 22004 missing_argument; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_move(from_status text, to_status text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    allowed text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    PERFORM FROM c360.ticket_moves AS m
    WHERE m.from_status = c360_require_move.from_status AND m.to_status = c360_require_move.to_status;
    IF NOT FOUND THEN
        SELECT string_agg(m.to_status, ', ' ORDER BY m.to_status) INTO allowed
        FROM c360.ticket_moves AS m WHERE m.from_status = c360_require_move.from_status;
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'move is not allowed',
            DETAIL = format('move_not_allowed: from %s to %s', c360_require_move.from_status, c360_require_move.to_status),
            HINT = CASE WHEN allowed IS NULL THEN format('%s is final.', c360_require_move.from_status)
                        ELSE format('From %s a ticket moves to %s.', c360_require_move.from_status, allowed) END;
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_move(text, text) IS
'Internal: refuses a move of a ticket that is no row of c360.ticket_moves.

from_status, to_status: the move.
Errors: PT409 move_not_allowed, HINT lists the allowed ones; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_write_ticket(ticket_id bigint, actor text, action text, to_status text, note text,
    changes jsonb, details jsonb,
    OUT customer_id bigint, OUT count_orders boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    at constant timestamptz := clock_timestamp();
    old jsonb;
    fields jsonb;
    differences jsonb;
    ticket record;
    returning_type boolean;
    other text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT to_jsonb(t) INTO old FROM c360.customer_tickets AS t WHERE t.id = c360_write_ticket.ticket_id;
    SELECT coalesce(jsonb_object_agg(c.key, c.value), '{}'),
           jsonb_object_agg(c.key, jsonb_build_object('from', old -> c.key, 'to', c.value))
    INTO fields, differences
    FROM jsonb_each(c360_write_ticket.changes) AS c WHERE c.value <> old -> c.key;
    count_orders := false;
    IF fields = '{}' AND c360_write_ticket.action = 'update' THEN
        RETURN;
    END IF;
    IF fields ? 'order_code' THEN
        IF old ->> 'compensated_at' IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is compensated',
                DETAIL = 'compensated: the order of a compensated ticket stays';
        END IF;
        SELECT t.ticket_code INTO other
        FROM (SELECT * FROM c360.customer_tickets AS k WHERE k.order_code = fields ->> 'order_code' OFFSET 0) AS t
        WHERE t.compensating AND t.status <> 'cancelled'
          AND t.deleted_at IS NULL AND t.id <> c360_write_ticket.ticket_id
          AND (old ->> 'compensating')::boolean AND old ->> 'status' <> 'cancelled'
        ORDER BY t.id LIMIT 1;
        IF other IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'duplicate ticket',
                DETAIL = format('duplicate_ticket: order "%s" has %s', fields ->> 'order_code', other);
        END IF;
        fields := fields || '{"duplicate_allowed": false}';
    END IF;
    IF fields ? 'deadline' THEN
        fields := fields || '{"escalated_deadline": null}';
    END IF;
    IF c360_write_ticket.to_status IS NOT NULL THEN
        fields := fields || jsonb_build_object('status', c360_write_ticket.to_status, 'completed_at',
                                               CASE WHEN c360_write_ticket.to_status = 'completed' THEN at END);
    END IF;

    UPDATE c360.customer_tickets AS t
    SET (status, priority, order_code, tracking_code, carrier, subject, description, products, attachments,
         original_cod, new_cod, refund_amount, reason, assignee, deadline, escalated_deadline, duplicate_allowed,
         goods_received_at, compensation, compensated_at, credit_id, transaction_id, completed_at, deleted_at,
         deleted_by, delete_reason) =
        (SELECT n.status, n.priority, n.order_code, n.tracking_code, n.carrier, n.subject, n.description, n.products,
                n.attachments, n.original_cod, n.new_cod, n.refund_amount, n.reason, n.assignee, n.deadline,
                n.escalated_deadline, n.duplicate_allowed, n.goods_received_at, n.compensation, n.compensated_at,
                n.credit_id, n.transaction_id, n.completed_at, n.deleted_at, n.deleted_by, n.delete_reason
         FROM jsonb_populate_record(t, fields) AS n)
    WHERE t.id = c360_write_ticket.ticket_id
    RETURNING t.ticket_code, t.type, t.status, t.priority, t.order_code, t.assignee, t.customer_id, t.deleted_at INTO ticket;
    INSERT INTO c360.ticket_history (ticket_id, action, from_status, to_status, note, details, done_by, done_at)
    VALUES (c360_write_ticket.ticket_id, c360_write_ticket.action, old ->> 'status', ticket.status,
            c360_write_ticket.note, coalesce(c360_write_ticket.details, differences), c360_write_ticket.actor, at);

    customer_id := ticket.customer_id;
    SELECT y.counts_as_return INTO returning_type FROM c360.ticket_types AS y WHERE y.type = ticket.type;
    count_orders := returning_type AND coalesce(ticket.order_code, old ->> 'order_code') IS NOT NULL
        AND 'completed' IN (ticket.status, old ->> 'status')
        AND (ticket.status <> old ->> 'status' OR ticket.deleted_at IS NOT NULL OR fields ? 'order_code');
    PERFORM @extschema@.c360_write_activity('tickets',
        CASE WHEN ticket.deleted_at IS NOT NULL THEN 'ticket.deleted'
             WHEN c360_write_ticket.to_status = 'completed' THEN 'ticket.completed'
             WHEN c360_write_ticket.to_status = 'cancelled' THEN 'ticket.cancelled'
             ELSE 'ticket.updated' END,
        customer_id, 'ticket', ticket.ticket_code, jsonb_strip_nulls(jsonb_build_object(
            'ticket_code', ticket.ticket_code, 'type', ticket.type, 'action', c360_write_ticket.action,
            'from_status', old -> 'status', 'status', ticket.status, 'priority', ticket.priority,
            'order_code', ticket.order_code, 'assignee', ticket.assignee, 'note', c360_write_ticket.note,
            'fields', CASE WHEN c360_write_ticket.action = 'update'
                           THEN (SELECT jsonb_agg(k ORDER BY k) FROM jsonb_object_keys(differences) AS k) END)));
END $$;
COMMENT ON FUNCTION @extschema@.c360_write_ticket(bigint, text, text, text, text, jsonb, jsonb) IS
'Internal: writes a step of a locked ticket, and its history.

ticket_id: the ticket. actor: who. action: what. to_status: where it moves; NULL = it stays. note: of who did it. changes: columns of the ticket and what they become. details: for the history; NULL = what changed, from and to.
Answer: the customer, and whether what his orders are counted from changed.
Errors: PT409 compensated, duplicate_ticket; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_step_ticket(ticket_code text, action text, to_status text, note text, changes jsonb,
    details jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := @extschema@.c360_current_actor();
    ticket record := @extschema@.c360_lock_ticket(c360_step_ticket.ticket_code);
    step record;
BEGIN
    PERFORM @extschema@.c360_require_text('note', c360_step_ticket.note, 2000, false);
    IF c360_step_ticket.to_status IS NOT NULL THEN
        PERFORM @extschema@.c360_require_move(ticket.status, c360_step_ticket.to_status);
    END IF;
    step := @extschema@.c360_write_ticket(ticket.ticket_id, actor, c360_step_ticket.action, c360_step_ticket.to_status,
        c360_step_ticket.note, c360_step_ticket.changes, c360_step_ticket.details);
    IF step.count_orders THEN
        PERFORM @extschema@.c360_count_orders(step.customer_id);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_step_ticket(text, text, text, text, jsonb, jsonb) IS
'Internal: one step of a ticket: lock, move, write, tell, count.

ticket_code: any spelling. action, to_status, note, changes, details: as c360_write_ticket() takes them.
Errors: PT404 ticket_not_found; PT409 move_not_allowed, compensated, duplicate_ticket; 22001 too_long; 22003 overflow; 22004 missing_argument; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_update_ticket(ticket_code text, changes jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    conflict text;
BEGIN
    IF c360_update_ticket.changes IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: changes';
    ELSIF jsonb_typeof(c360_update_ticket.changes) <> 'object' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is of the wrong type',
            DETAIL = 'wrong_type: changes is a ' || jsonb_typeof(c360_update_ticket.changes),
            HINT = 'An object is expected.';
    END IF;
    BEGIN
        PERFORM @extschema@.c360_step_ticket(c360_update_ticket.ticket_code, 'update', NULL, NULL,
                                             @extschema@.c360_ticket_fields(c360_update_ticket.changes));
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS conflict = CONSTRAINT_NAME;
        IF conflict <> 'customer_tickets_order_key' THEN
            RAISE;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'duplicate ticket',
            DETAIL = format('duplicate_ticket: order "%s" has a ticket', c360_update_ticket.changes ->> 'order_code');
    END;
    RETURN @extschema@.c360_ticket(c360_update_ticket.ticket_code);
END $$;
COMMENT ON FUNCTION @extschema@.c360_update_ticket(text, jsonb) IS
'Changes fields of a ticket; all but status, type and compensation.

ticket_code: TV-YYYY-NNNNN. changes: an object of order_code, tracking_code, carrier, priority, subject, description, products, attachments, original_cod, new_cod, refund_amount, reason, assignee, deadline (a string with date and time); null empties a field. Sizes as c360_create_ticket() has them. What is as it was adds nothing to the history.
Answer: the ticket, as c360_ticket() shows it.
Errors: PT404 ticket_not_found; PT409 duplicate_ticket, compensated (the order of a compensated ticket stays); 22004 missing_argument; 22023 unknown_key, wrong_type, invalid_amount, invalid_date, not_allowed, blank; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket_action(ticket_code text, action text, note text DEFAULT NULL,
    deadline timestamptz DEFAULT NULL, assignee text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- where each moves the ticket; null = it stays
    moves constant jsonb := '{"assign": null, "process": "processing", "wait_carrier": "waiting_carrier",
        "receive_goods": null, "complete": "completed", "cancel": "cancelled"}';
    changes jsonb;
BEGIN
    IF c360_ticket_action.action IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: action';
    ELSIF NOT moves ? c360_ticket_action.action THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: action "%s"', left(c360_ticket_action.action, 64)),
            HINT = 'Allowed are assign, process, wait_carrier, receive_goods, complete, cancel.';
    ELSIF c360_ticket_action.action = 'assign' THEN
        PERFORM @extschema@.c360_require_text('assignee', c360_ticket_action.assignee, 255, true);
    END IF;
    changes := @extschema@.c360_ticket_fields(jsonb_strip_nulls(jsonb_build_object(
        'deadline', c360_ticket_action.deadline, 'assignee', c360_ticket_action.assignee)));
    IF c360_ticket_action.action = 'receive_goods' THEN
        changes := changes || jsonb_build_object('goods_received_at', clock_timestamp());
    END IF;
    PERFORM @extschema@.c360_step_ticket(c360_ticket_action.ticket_code, c360_ticket_action.action,
        moves ->> c360_ticket_action.action, c360_ticket_action.note, changes);
    RETURN @extschema@.c360_ticket(c360_ticket_action.ticket_code);
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket_action(text, text, text, timestamptz, text) IS
'Does something with a ticket. None of these moves money.

ticket_code: TV-YYYY-NNNNN. action: assign (needs assignee), process, wait_carrier, receive_goods, complete or cancel. note: 2,000 characters. deadline: until when the carrier has to answer; NULL = as it was. assignee: 255 characters; NULL = as it was.
Answer: the ticket, as c360_ticket() shows it.
Errors: PT404 ticket_not_found; PT409 move_not_allowed (HINT has the allowed moves); 22004 missing_argument; 22023 not_allowed, invalid_date, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket_note(ticket_code text, note text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.c360_require_text('note', c360_ticket_note.note, 2000, true);
    PERFORM @extschema@.c360_step_ticket(c360_ticket_note.ticket_code, 'note', NULL, c360_ticket_note.note, '{}');
    RETURN @extschema@.c360_ticket(c360_ticket_note.ticket_code);
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket_note(text, text) IS
'Adds a note to the history of a ticket, whatever its status.

ticket_code: TV-YYYY-NNNNN. note: 1 to 2,000 characters.
Answer: the ticket, as c360_ticket() shows it.
Errors: PT404 ticket_not_found; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_accountant() RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(@extschema@.c360_level() NOT IN ('accountant', 'admin'), true) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'permission denied for compensation',
            DETAIL = 'level_needed: accountant';
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_accountant() IS
'Internal: refuses callers below level accountant.

Errors: 42501 level_needed; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_lock_payee(customer_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    phone text;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    INSERT INTO c360.customer_wallets (customer_id) VALUES (c360_lock_payee.customer_id) ON CONFLICT DO NOTHING;
    PERFORM FROM c360.customer_wallets AS w WHERE w.customer_id = c360_lock_payee.customer_id FOR UPDATE;
    SELECT c.phone INTO phone FROM c360.customers AS c WHERE c.id = c360_lock_payee.customer_id FOR KEY SHARE;
    IF phone IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such customer',
            DETAIL = 'customer_not_found: the customer was erased';
    END IF;
    RETURN phone;
END $$;
COMMENT ON FUNCTION @extschema@.c360_lock_payee(bigint) IS
'Internal: locks the wallet of a customer, and his phone, so that money sent to that phone is his.

customer_id: the customer.
Answer: his phone.
Errors: PT404 customer_not_found; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_resolve_ticket(ticket_code text, amount bigint DEFAULT NULL,
    compensation text DEFAULT NULL, note text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ticket record;
    way text := c360_resolve_ticket.compensation;
    paid bigint;
    phone text;
    movement @extschema@.c360_movement;
    pointers jsonb;
BEGIN
    PERFORM @extschema@.c360_require_text('note', c360_resolve_ticket.note, 2000, false);
    IF way NOT IN ('credit', 'deposit', 'none') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: compensation "%s"', left(way, 64)),
            HINT = 'Allowed are credit, deposit, none.';
    ELSIF c360_resolve_ticket.amount < 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount must not be negative',
            DETAIL = 'invalid_amount: amount is ' || c360_resolve_ticket.amount;
    END IF;
    ticket := @extschema@.c360_lock_ticket(c360_resolve_ticket.ticket_code);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    way := coalesce(way, ticket.usual_compensation);
    paid := CASE WHEN way IN ('credit', 'deposit') THEN coalesce(c360_resolve_ticket.amount, ticket.refund_amount) END;
    IF ticket.compensated OR ticket.compensation IS NOT NULL AND way NOT IN ('credit', 'deposit') THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is resolved',
            DETAIL = format('compensated: %s is resolved with %s', ticket.code, ticket.compensation);
    ELSIF ticket.status <> 'completed' THEN
        PERFORM @extschema@.c360_require_move(ticket.status, 'completed');
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END IF;

    IF way IN ('credit', 'deposit') THEN
        PERFORM @extschema@.c360_require_accountant();
        IF paid IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
                DETAIL = 'missing_argument: amount', HINT = 'The ticket has no refund amount either.';
        ELSIF paid = 0 THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount must be positive',
                DETAIL = 'invalid_amount: amount is 0', HINT = 'Resolve with compensation none.';
        ELSIF paid > ticket.order_amount THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount exceeds the order',
                DETAIL = format('exceeds_order: amount %s, order %s', paid, ticket.order_amount);
        END IF;
        phone := @extschema@.c360_lock_payee(ticket.customer_id);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF way = 'credit' THEN
            movement := @extschema@.c360_issue_credit(phone, paid,
                CASE WHEN ticket.type IN ('BOOM', 'RETURN_SHIPPER') THEN ticket.type ELSE 'COMPENSATION' END,
                ticket.code, NULL, c360_resolve_ticket.note);
        ELSE
            movement := @extschema@.c360_deposit(phone, paid, 'RETURN_GOODS', 'ticket', ticket.code,
                c360_resolve_ticket.note);
        END IF;
        pointers := jsonb_strip_nulls(jsonb_build_object('compensated_at', clock_timestamp(),
            'transaction_id', movement.transaction_id, 'credit_id', movement.lots #> '{0,credit_id}'));
    END IF;
    PERFORM @extschema@.c360_step_ticket(ticket.code, 'resolve',
        CASE WHEN ticket.status <> 'completed' THEN 'completed' END, c360_resolve_ticket.note,
        coalesce(pointers, '{}') || jsonb_build_object('compensation', way),
        jsonb_strip_nulls(coalesce(pointers, '{}') - 'compensated_at'
                          || jsonb_build_object('compensation', way, 'amount', paid)));
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN jsonb_build_object('ticket', @extschema@.c360_ticket(ticket.code),
                              'movement', CASE WHEN pointers IS NOT NULL THEN to_jsonb(movement) END);
END $$;
COMMENT ON FUNCTION @extschema@.c360_resolve_ticket(text, bigint, text, text) IS
'Completes a ticket and compensates its customer, in one transaction and once for each ticket; a completed ticket that was not compensated can still be.

ticket_code: TV-YYYY-NNNNN. amount: đồng, not above the recorded amount of the order; NULL = the ticket''s refund amount; of no meaning with none. compensation: credit (a lot of the ticket''s kind), deposit (real balance) or none; NULL = what the type says (an exchange moves no money). note: 2,000 characters.
Anything but none needs level accountant. Credit and deposit bear the ticket''s code (source_id, reference_id), the ticket bears credit_id and transaction_id.
Answer: {"ticket": as c360_ticket() shows it, "movement": the row c360_movement, null without money}.
Errors: PT404 ticket_not_found; PT409 compensated, move_not_allowed, credit_exists; 22004 missing_argument; 22023 not_allowed, invalid_amount, amount_limit, exceeds_order; 22001 too_long; 22003 overflow; 42501 level_needed; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unused_compensation(ticket_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ticket record;
    lot record;
    rest bigint;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT t.ticket_code, t.customer_id, t.credit_id, w.amount INTO ticket
    FROM c360.customer_tickets AS t JOIN c360.wallet_transactions AS w ON w.id = t.transaction_id
    WHERE t.id = c360_unused_compensation.ticket_id;
    PERFORM FROM c360.customer_wallets AS w WHERE w.customer_id = ticket.customer_id FOR UPDATE;
    IF ticket.credit_id IS NULL THEN
        SELECT ticket.amount + coalesce(sum(w.real_change), 0) INTO rest FROM c360.wallet_transactions AS w
        WHERE w.customer_id = ticket.customer_id AND w.type = 'ADJUSTMENT'
          AND w.reference_type = 'ticket' AND w.reference_id = ticket.ticket_code;
        IF rest > 0 THEN
            RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is compensated',
                DETAIL = format('compensated: %s of the deposit are not taken back', rest),
                HINT = format('Take it back by c360_adjust() with reference_type ticket and reference_id %s.', ticket.ticket_code);
        END IF;
        RETURN NULL;
    END IF;
    SELECT v.status, v.created_at INTO lot FROM c360.virtual_credits AS v WHERE v.id = ticket.credit_id;
    PERFORM FROM c360.wallet_transactions AS w JOIN c360.virtual_credit_uses AS u ON u.transaction_id = w.id
    WHERE w.customer_id = ticket.customer_id AND w.created_at >= lot.created_at AND w.type = 'WITHDRAW'
      AND u.credit_id = ticket.credit_id;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'ticket is compensated',
            DETAIL = format('compensated: credit %s was used', ticket.credit_id);
    END IF;
    RETURN CASE WHEN lot.status = 'ACTIVE' THEN ticket.credit_id END;
END $$;
COMMENT ON FUNCTION @extschema@.c360_unused_compensation(bigint) IS
'Internal: refuses if the compensation of a locked ticket is in use; locks the wallet, so that it stays so.

ticket_id: a compensated ticket.
Answer: the lot to be cancelled; NULL = there is nothing to take back.
Errors: PT409 compensated; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_delete_ticket(ticket_code text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := @extschema@.c360_current_actor();
    ticket record;
    lot bigint;
    refusal text;
BEGIN
    PERFORM @extschema@.c360_require_text('reason', c360_delete_ticket.reason, 500, false);
    ticket := @extschema@.c360_lock_ticket(c360_delete_ticket.ticket_code);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF ticket.compensated THEN
        PERFORM @extschema@.c360_require_accountant();
        lot := @extschema@.c360_unused_compensation(ticket.ticket_id);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF lot IS NOT NULL THEN
            BEGIN
                PERFORM @extschema@.c360_cancel_credit(lot, 'ticket ' || ticket.code || ' is deleted');
            EXCEPTION WHEN SQLSTATE 'PT409' THEN
                -- if its time came it will expire, and nobody can use it
                GET STACKED DIAGNOSTICS refusal = PG_EXCEPTION_DETAIL;
                IF refusal NOT LIKE 'credit_not_active:%' THEN
                    RAISE;
                END IF;
                lot := NULL;
            END;
        END IF;
    END IF;
    PERFORM @extschema@.c360_step_ticket(ticket.code, 'delete', NULL, c360_delete_ticket.reason,
        jsonb_strip_nulls(jsonb_build_object('deleted_at', clock_timestamp(), 'deleted_by', actor,
                                             'delete_reason', c360_delete_ticket.reason)),
        jsonb_strip_nulls(jsonb_build_object('credit_id', lot)));
END $$;
COMMENT ON FUNCTION @extschema@.c360_delete_ticket(text, text) IS
'Deletes a ticket: it leaves lists, statistics and return rate; the row stays. A credit that was never used is taken back.

ticket_code: TV-YYYY-NNNNN. reason: 500 characters.
A compensated ticket needs level accountant; a deposit must have been taken back by c360_adjust(phone, - amount, reason, ''ticket'', ticket_code).
Errors: PT404 ticket_not_found; PT409 compensated; 22004 missing_argument; 22001 too_long; 22003 overflow; 42501 level_needed; 25006 read only; 55000 not installed.';

-- Deadlines

CREATE FUNCTION @extschema@.c360_raise_priorities(max_tickets integer, OUT looked_at bigint, OUT raised bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor constant text := @extschema@.c360_current_actor();
    at constant timestamptz := clock_timestamp();
    due record;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    looked_at := 0;
    raised := 0;
    FOR due IN
        SELECT t.* FROM c360.customer_tickets AS t
        WHERE t.deadline < at + interval '24 hours' AND t.deadline IS NOT NULL AND t.escalated_deadline IS NULL
          AND t.status IN ('new', 'processing', 'waiting_carrier') AND t.deleted_at IS NULL
        ORDER BY t.deadline LIMIT c360_raise_priorities.max_tickets FOR UPDATE SKIP LOCKED
    LOOP
        looked_at := looked_at + 1;
        UPDATE c360.customer_tickets AS t SET escalated_deadline = t.deadline,
            priority = CASE WHEN due.priority IN ('low', 'normal') THEN 'high' ELSE due.priority END
        WHERE t.id = due.id;
        CONTINUE WHEN due.priority NOT IN ('low', 'normal');
        raised := raised + 1;
        INSERT INTO c360.ticket_history (ticket_id, action, from_status, to_status, details, done_by, done_at)
        VALUES (due.id, 'escalate', due.status, due.status, jsonb_build_object('deadline', due.deadline,
                    'priority', jsonb_build_object('from', due.priority, 'to', 'high')), actor, at);
        PERFORM @extschema@.c360_write_activity('tickets', 'ticket.updated', due.customer_id, 'ticket', due.ticket_code,
            jsonb_strip_nulls(jsonb_build_object('ticket_code', due.ticket_code, 'type', due.type, 'action', 'escalate',
                'from_status', due.status, 'status', due.status, 'priority', 'high', 'order_code', due.order_code,
                'assignee', due.assignee, 'deadline', due.deadline)));
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.c360_raise_priorities(integer) IS
'Internal: raises the priority of open tickets whose deadline is near or past, once for each deadline; those that somebody holds are passed over.

max_tickets: at most so many; NULL = all.
Answer: tickets looked at, tickets raised.
Errors: 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_escalate_deadlines() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (@extschema@.c360_raise_priorities(NULL)).raised;
END $$;
COMMENT ON FUNCTION @extschema@.c360_escalate_deadlines() IS
'Open tickets whose carrier deadline is less than 24 hours away, or past, get priority high, once for each deadline; urgent ones stay urgent. The job carrier_deadlines does this, too.

Answer: how many were raised.
Errors: 25006 read only; 55000 not installed.';
