-- Orders of the point-of-sale system, and what is counted from them.
--
-- Functions that call others stay the owner of the extension, who alone may
-- call all of them, and touch no table; those that touch tables become the
-- owner of these and write the activity of what they did. Locks: the ticket,
-- then the wallet, then the totals of the customer's orders, then the customer:
-- his key, so that erasing him and changing his number wait, then his row. Who
-- waits for totals holds no key yet, since erasing might wait for that.

CREATE FUNCTION @extschema@.c360_put_order(phone text, order_code text, amount bigint, ordered_at timestamptz,
    status text, OUT order_id bigint, OUT customer_id bigint, OUT changed boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    buyer bigint;
    known record;
    dated timestamptz;
    blocked_since timestamptz;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    SELECT c.id INTO buyer FROM c360.customers AS c WHERE c.phone = c360_put_order.phone;
    IF buyer IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO c360.customer_order_totals (customer_id) VALUES (buyer) ON CONFLICT DO NOTHING;
    PERFORM FROM c360.customer_order_totals AS t WHERE t.customer_id = buyer FOR UPDATE;
    -- as the foreign key will: who was erased or gave up his number meanwhile is not whom it is for
    PERFORM FROM c360.customers AS c WHERE c.id = buyer AND c.phone = c360_put_order.phone FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- somebody may insert it between our look and our insert; then it is known
    FOR tries IN 1..10 LOOP
        SELECT o.* INTO known FROM c360.customer_orders AS o
        WHERE o.order_code = c360_put_order.order_code FOR UPDATE;
        EXIT WHEN FOUND;
        dated := coalesce(c360_put_order.ordered_at, now());
        IF c360_put_order.status = 'pending' THEN
            SELECT coalesce(c.blacklisted_at, '-infinity') INTO blocked_since
            FROM c360.customers AS c WHERE c.id = buyer AND c.tier = 'blacklist';
            IF blocked_since <= coalesce(c360_put_order.ordered_at, clock_timestamp()) THEN
                RAISE EXCEPTION USING ERRCODE = 'PT403', MESSAGE = 'customer is blacklisted',
                    DETAIL = format('blacklisted: customer %s takes no new order%s', buyer,
                        (SELECT format(', by fraud flag %s (%s)', f.id, f.rule) FROM c360.fraud_flags AS f
                         WHERE f.customer_id = buyer AND f.acted_at = blocked_since AND f.status <> 'dismissed' LIMIT 1)),
                    HINT = 'Later states of known orders and orders dated before the blacklisting are recorded.';
            END IF;
        END IF;
        INSERT INTO c360.customer_orders AS o (customer_id, order_code, amount, status, ordered_at)
        VALUES (buyer, c360_put_order.order_code, c360_put_order.amount, c360_put_order.status, dated)
        ON CONFLICT (order_code) DO NOTHING
        RETURNING o.id, o.customer_id, true INTO order_id, customer_id, changed;
        EXIT WHEN FOUND;
    END LOOP;
    IF known.id IS NULL AND order_id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '09000', MESSAGE = 'a row that c360 inserted is not there',
            HINT = 'Let triggers on c360.customer_orders keep the row and its key.';
    ELSIF known.customer_id <> buyer THEN
        RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'order of another customer',
            DETAIL = format('order_taken: "%s" is an order of another customer', c360_put_order.order_code);
    END IF;
    IF order_id IS NULL THEN
        order_id := known.id;
        customer_id := buyer;
        dated := coalesce(c360_put_order.ordered_at, known.ordered_at);
        changed := (known.amount, known.status, known.ordered_at)
                   IS DISTINCT FROM (c360_put_order.amount, c360_put_order.status, dated);
        IF NOT changed THEN
            RETURN;
        END IF;
        UPDATE c360.customer_orders AS o SET amount = c360_put_order.amount, status = c360_put_order.status,
            ordered_at = dated, updated_at = clock_timestamp(), xact = pg_current_xact_id()
        WHERE o.id = known.id;
    END IF;
    PERFORM @extschema@.c360_write_activity('customers', 'order.recorded', buyer, 'order', c360_put_order.order_code,
        jsonb_build_object('phone', c360_put_order.phone, 'order_code', c360_put_order.order_code,
                           'amount', c360_put_order.amount, 'status', c360_put_order.status, 'ordered_at', dated));
END $$;
COMMENT ON FUNCTION @extschema@.c360_put_order(text, text, bigint, timestamptz, text) IS
'Internal: writes the row of an order, under the lock of the customer''s totals.

phone: canonical. ordered_at: NULL = now, or as it is. order_code, amount, status: as c360_record_order() takes them, checked.
Answer: id of order and customer, whether anything changed; all NULL for an unknown phone.
Errors: PT403 blacklisted; PT409 order_taken; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_count_orders(customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    fewest integer;
    before record;
    orders record;
    returns record;
    wanted text;
    labelled record;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    INSERT INTO c360.customer_order_totals (customer_id) VALUES (c360_count_orders.customer_id) ON CONFLICT DO NOTHING;
    SELECT t.label INTO before FROM c360.customer_order_totals AS t
    WHERE t.customer_id = c360_count_orders.customer_id FOR UPDATE;
    SELECT count(*) FILTER (WHERE o.status <> 'cancelled') AS total,
           count(*) FILTER (WHERE o.status = 'delivered') AS delivered,
           count(*) FILTER (WHERE o.status = 'returned') AS returned,
           coalesce(sum(o.amount) FILTER (WHERE o.status IN ('pending', 'delivered')), 0) AS spent,
           min(o.ordered_at) FILTER (WHERE o.status <> 'cancelled') AS first_order_at,
           max(o.ordered_at) FILTER (WHERE o.status <> 'cancelled') AS last_order_at
    INTO orders
    FROM c360.customer_orders AS o WHERE o.customer_id = c360_count_orders.customer_id;
    IF orders.spent > 9223372036854775807 THEN
        RAISE EXCEPTION USING ERRCODE = '22003', MESSAGE = 'amount out of range',
            DETAIL = 'overflow: all orders of the customer are ' || orders.spent;
    END IF;
    SELECT count(*) AS decided, count(*) FILTER (WHERE c.returned) AS returned INTO returns
    FROM (SELECT d.order_code, bool_or(d.returned) AS returned
          FROM (SELECT o.order_code, o.status = 'returned' AS returned FROM c360.customer_orders AS o
                WHERE o.customer_id = c360_count_orders.customer_id AND o.status IN ('delivered', 'returned')
                UNION ALL
                SELECT t.order_code, true
                -- OFFSET: by the customer, even where the planner knows nothing of the table yet
                FROM (SELECT * FROM c360.customer_tickets AS k
                      WHERE k.customer_id = c360_count_orders.customer_id OFFSET 0) AS t
                JOIN c360.ticket_types AS y ON y.type = t.type
                WHERE t.status = 'completed' AND t.order_code IS NOT NULL AND t.deleted_at IS NULL
                  AND y.counts_as_return) AS d
          GROUP BY d.order_code) AS c;
    SELECT coalesce(s.value, s.default_value)::integer INTO fewest
    FROM c360.settings AS s WHERE s.name = 'return_label_min_orders';
    wanted := CASE WHEN returns.decided < fewest THEN NULL
                   WHEN returns.returned * 2 > returns.decided THEN 'Nguy hiểm'
                   WHEN returns.returned * 10 > returns.decided * 3 THEN 'Cảnh báo'
                   WHEN returns.returned * 5 > returns.decided THEN 'Bom hàng'
                   ELSE 'Bình thường' END;
    -- written even if nothing changed: a transaction with an older snapshot must see that we were here
    UPDATE c360.customer_order_totals AS t SET total = orders.total, delivered = orders.delivered,
        returned = orders.returned, spent = orders.spent, first_order_at = orders.first_order_at,
        last_order_at = orders.last_order_at, decided = returns.decided, decided_returned = returns.returned,
        label = wanted
    WHERE t.customer_id = c360_count_orders.customer_id;
    SELECT c.phone, c.status INTO labelled FROM c360.customers AS c
    WHERE c.id = c360_count_orders.customer_id AND NOT c.status_locked AND c.status <> 'VIP'
      AND CASE WHEN wanted IS NOT NULL THEN c.status <> wanted
               ELSE c.status = before.label AND c.status <> 'Bình thường' END
    FOR NO KEY UPDATE;
    IF FOUND THEN
        wanted := coalesce(wanted, 'Bình thường');
        UPDATE c360.customers AS c SET status = wanted, tpos_fields = array_remove(c.tpos_fields, 'status'),
            updated_at = clock_timestamp()
        WHERE c.id = c360_count_orders.customer_id;
        PERFORM @extschema@.c360_write_activity('customers', 'customer.updated', c360_count_orders.customer_id,
            'customer', c360_count_orders.customer_id::text,
            jsonb_build_object('phone', labelled.phone, 'reason', 'return_rate', 'changes',
                jsonb_build_object('status', jsonb_build_object('from', labelled.status, 'to', wanted))));
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_count_orders(bigint) IS
'Internal: to be called after each change of what a customer''s orders are counted from: counts them anew, under the lock of the row that holds the totals, and sets the label (status) that his return rate gives him.

Below the setting return_label_min_orders nothing is labelled; who falls below it loses the label that he got by his rate. VIP and a locked status stay.
customer_id: the customer.
Errors: 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_record_order(phone text, order_code text, amount bigint,
    ordered_at timestamptz DEFAULT now(), status text DEFAULT 'pending')
RETURNS TABLE (order_id bigint, customer_id bigint, customer_created boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted text := @extschema@.c360_require_phone(c360_record_order.phone);
    -- the default is no date that anybody gave
    given timestamptz := nullif(c360_record_order.ordered_at, now());
    made record;
    placed record;
BEGIN
    PERFORM @extschema@.c360_require_text('order_code', c360_record_order.order_code, 200, true);
    PERFORM @extschema@.c360_require_one_of('status', c360_record_order.status, '{pending,delivered,returned,cancelled}');
    IF c360_record_order.amount IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: amount';
    ELSIF c360_record_order.amount < 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'amount must not be negative',
            DETAIL = 'invalid_amount: amount is ' || c360_record_order.amount;
    ELSIF given NOT BETWEEN '1900-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00' THEN
        -- one date that is no day of the shop would be the end of every list with days
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'date is out of range',
            DETAIL = 'invalid_date: ordered_at is before 1900 or after 9999';
    END IF;
    customer_created := false;
    placed := @extschema@.c360_put_order(wanted, c360_record_order.order_code, c360_record_order.amount, given,
                                         c360_record_order.status);
    -- from here on nothing is found by a search_path, which the owner of the tables may have left
    IF placed.customer_id IS NULL THEN
        made := @extschema@.c360_make_customer(wanted, NULL, 'tpos');
        customer_created := made.customer_created;
        placed := @extschema@.c360_put_order(wanted, c360_record_order.order_code, c360_record_order.amount, given,
                                             c360_record_order.status);
    END IF;
    order_id := placed.order_id;
    customer_id := placed.customer_id;
    IF placed.changed THEN
        PERFORM @extschema@.c360_count_orders(placed.customer_id);
    END IF;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION @extschema@.c360_record_order(text, text, bigint, timestamptz, text) IS
'Records an order of the point-of-sale system, or its new state; an unknown phone creates the customer.

phone: any spelling. order_code: 200 characters; a known code is changed. amount: đồng, not negative. ordered_at: when it was ordered, 1900 to 9999; left out or NULL, a known order keeps its date and a new one is of now. status: pending, delivered, returned or cancelled.
Statistics, return rate and label of the customer follow at once. Recording what is recorded changes nothing.
Answer: order_id, customer_id, customer_created.
Errors: PT403 blacklisted (a new pending order, dated after the blacklisting); PT409 order_taken; 22004 missing_argument; 22023 invalid_phone, invalid_amount, invalid_date, not_allowed, blank; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_customers_to_count(after_id bigint, max_customers integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    RETURN ARRAY(
        SELECT u.customer_id
        FROM ((SELECT t.customer_id FROM c360.customer_order_totals AS t WHERE t.customer_id > c360_customers_to_count.after_id
               ORDER BY t.customer_id LIMIT c360_customers_to_count.max_customers)
              UNION
              (SELECT DISTINCT k.customer_id FROM c360.customer_tickets AS k WHERE k.customer_id > c360_customers_to_count.after_id
               ORDER BY k.customer_id LIMIT c360_customers_to_count.max_customers)) AS u
        ORDER BY u.customer_id LIMIT c360_customers_to_count.max_customers);
END $$;
COMMENT ON FUNCTION @extschema@.c360_customers_to_count(bigint, integer) IS
'Internal: customers with orders or tickets, in order.

after_id: of a customer. max_customers: how many.
Answer: their ids.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_recount_orders(after_id bigint DEFAULT 0, max_customers integer DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most constant integer := coalesce(c360_recount_orders.max_customers, 1000);
    chosen bigint[];
    one bigint;
BEGIN
    PERFORM @extschema@.c360_require_range('max_customers', most, 1, 10000);
    chosen := @extschema@.c360_customers_to_count(coalesce(c360_recount_orders.after_id, 0), most);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    FOREACH one IN ARRAY chosen LOOP
        PERFORM @extschema@.c360_count_orders(one);
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END LOOP;
    RETURN one;
END $$;
COMMENT ON FUNCTION @extschema@.c360_recount_orders(bigint, integer) IS
'Counts orders of customers anew, with return rates and labels: needed once after a change of counts_as_return in c360.ticket_types or of the setting return_label_min_orders, since only what happens to a customer has him counted. CALL c360_recount_all() does all of them.

after_id: customers with higher ids. max_customers: 1 to 10,000, in order of id.
Answer: id of the last one that was counted; NULL if there was none.
Errors: 22023 out_of_range; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE PROCEDURE @extschema@.c360_recount_all()
LANGUAGE plpgsql
AS $$
DECLARE
    counted bigint := 0;
BEGIN
    LOOP
        counted := @extschema@.c360_recount_orders(counted, 200);
        COMMIT;
        EXIT WHEN counted IS NULL;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_recount_all() IS
'Counts the orders of all customers anew by c360_recount_orders(), 200 at a time with a commit after each.

Errors: 25006 read only; 2D000 inside a transaction block; 55000 not installed.';
