-- Numbers of the whole shop, and one list of all that happened. They read the
-- tables themselves, not the views: inside they are the owner of the tables,
-- who need not be allowed what the views call. Money is NULL for callers below
-- agent; days are those of the shop.

CREATE TYPE @extschema@.c360_daily_row AS (
    date                date,
    new_customers       bigint,
    orders              bigint,
    order_amount        numeric,
    tickets_created     bigint,
    tickets_completed   bigint,
    wallet_transactions bigint,
    deposited           numeric,
    withdrawn           numeric,
    refunded            numeric,
    adjusted            numeric,
    credit_issued       numeric,
    credit_used         numeric,
    credit_expired      numeric,
    credit_cancelled    numeric,
    bank_transactions   bigint,
    bank_in             numeric,
    bank_out            numeric
);
COMMENT ON TYPE @extschema@.c360_daily_row IS 'One shop day (Asia/Ho_Chi_Minh) in numbers; amounts in đồng, NULL for callers below agent';
COMMENT ON COLUMN @extschema@.c360_daily_row.orders IS 'orders of that day that are not cancelled';
COMMENT ON COLUMN @extschema@.c360_daily_row.order_amount IS 'of orders neither cancelled nor returned';
COMMENT ON COLUMN @extschema@.c360_daily_row.withdrawn IS 'real and virtual part';
COMMENT ON COLUMN @extschema@.c360_daily_row.adjusted IS 'signed sum of the adjustments';
COMMENT ON COLUMN @extschema@.c360_daily_row.credit_used IS 'virtual part of withdrawals';

CREATE TYPE @extschema@.c360_consolidated_row AS (
    cursor          text,
    kind            text,
    type            text,
    id              bigint,
    at              timestamptz,
    customer_id     bigint,
    phone           text,
    name            text,
    amount          bigint,
    real_change     bigint,
    virtual_change  bigint,
    balance         bigint,
    virtual_balance bigint,
    status          text,
    code            text,
    reference_type  text,
    reference_id    text,
    note            text,
    details         jsonb,
    actor           text
);
COMMENT ON TYPE @extschema@.c360_consolidated_row IS 'One thing that happened: a row of the ledger, a ticket or another activity; amounts in đồng';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.cursor IS 'the list goes on after this row with c360_consolidated_transactions(after => cursor)';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.kind IS 'transaction, ticket or activity';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.type IS 'of the ledger row, of the ticket, or the event of the activity';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.amount IS 'of a ledger row without sign, of a ticket what is to be refunded';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.status IS 'of a ticket, as of now';
COMMENT ON COLUMN @extschema@.c360_consolidated_row.details IS 'payload of an activity; of a ticket its subject, order and compensation';

CREATE FUNCTION @extschema@.c360_shop_day(at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT (c360_shop_day.at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date $$;
COMMENT ON FUNCTION @extschema@.c360_shop_day(timestamptz) IS
'Internal: day of the shop (Asia/Ho_Chi_Minh) at a moment.

at: the moment.
Answer: the day.';

CREATE FUNCTION @extschema@.c360_shop_midnight(day date) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT c360_shop_midnight.day::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh' $$;
COMMENT ON FUNCTION @extschema@.c360_shop_midnight(date) IS
'Internal: when a day of the shop (Asia/Ho_Chi_Minh) begins.

day: the day.
Answer: the moment.';

CREATE FUNCTION @extschema@.c360_require_days(from_date date, to_date date, longest integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF c360_require_days.from_date NOT BETWEEN '1900-01-01' AND '9999-12-31'
        OR c360_require_days.to_date NOT BETWEEN '1900-01-01' AND '9999-12-31' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: from_date %s, to_date %s',
                            to_jsonb(c360_require_days.from_date) #>> '{}', to_jsonb(c360_require_days.to_date) #>> '{}'),
            HINT = 'Allowed are days from 1900-01-01 to 9999-12-31.';
    ELSIF c360_require_days.from_date > c360_require_days.to_date THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = format('out_of_range: from_date %s is after to_date %s',
                            to_jsonb(c360_require_days.from_date) #>> '{}', to_jsonb(c360_require_days.to_date) #>> '{}');
    ELSIF c360_require_days.to_date - c360_require_days.from_date >= c360_require_days.longest THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = format('too_many: %s days, at most %s are allowed',
                            c360_require_days.to_date - c360_require_days.from_date + 1, c360_require_days.longest);
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_days(date, date, integer) IS
'Internal: refuses days that are no range.

from_date, to_date: both included; NULL = open. longest: in days; NULL = any.
Errors: 22023 out_of_range, too_many.';

CREATE FUNCTION @extschema@.c360_dashboard() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    this_moment constant timestamptz := statement_timestamp();
    today constant date := @extschema@.c360_shop_day(this_moment);
    midnight constant timestamptz := @extschema@.c360_shop_midnight(today);
    tomorrow constant timestamptz := @extschema@.c360_shop_midnight(today + 1);
    all_customers bigint;
    all_tickets bigint;
    customers jsonb;
    orders jsonb;
    tickets jsonb;
    wallets jsonb;
    bank jsonb;
    rfm jsonb;
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- EXECUTE lets the server use parallel workers, which it does not for INTO alone.
    EXECUTE 'SELECT count(*) FROM c360.customers' INTO all_customers;
    EXECUTE 'SELECT count(*) FROM c360.customer_tickets WHERE deleted_at IS NULL' INTO all_tickets;

    -- What is left of all is of the commonest kind, since to count all is less work than to count one.
    -- OFFSET 0 keeps the planner from counting each time that a count is used.
    customers := jsonb_build_object('total', all_customers,
               'new_today', (SELECT count(*) FROM c360.customers c WHERE c.created_at >= midnight AND c.created_at < tomorrow),
               'by_tier', (SELECT jsonb_object_agg(t.tier, t.customers) || jsonb_build_object('new', all_customers - sum(t.customers))
                           FROM (SELECT k.tier, (SELECT count(*) FROM c360.customers c WHERE c.tier = k.tier) AS customers
                                 FROM unnest('{silver,gold,platinum,blacklist}'::text[]) AS k (tier) OFFSET 0) t),
               'by_status', (SELECT jsonb_object_agg(s.status, s.customers)
                                    || jsonb_build_object('Bình thường', all_customers - sum(s.customers))
                             FROM (SELECT k.status, (SELECT count(*) FROM c360.customers c WHERE c.status = k.status) AS customers
                                   FROM unnest('{Bom hàng,Cảnh báo,Nguy hiểm,VIP}'::text[]) AS k (status) OFFSET 0) s));

    SELECT jsonb_build_object('today', count(*),
               'amount_today', CASE WHEN sees_money THEN coalesce(sum(o.amount) FILTER (WHERE o.status <> 'returned'), 0) END)
    INTO orders
    FROM c360.customer_orders o
    WHERE o.ordered_at >= midnight AND o.ordered_at < tomorrow AND o.status <> 'cancelled';

    SELECT jsonb_build_object('total', all_tickets, 'open', s.open,
               'by_status', s.by_status || jsonb_build_object('completed', all_tickets - s.open - s.cancelled),
               'overdue', (SELECT count(*) FROM c360.customer_tickets t
                           WHERE t.status IN ('new', 'processing', 'waiting_carrier') AND t.deleted_at IS NULL
                             AND t.deadline < this_moment),
               'created_today', (SELECT count(*) FROM c360.customer_tickets t
                                 WHERE t.created_at >= midnight AND t.created_at < tomorrow AND t.deleted_at IS NULL),
               'completed_today', (SELECT count(*) FROM c360.customer_tickets t
                                   WHERE t.completed_at >= midnight AND t.completed_at < tomorrow AND t.deleted_at IS NULL))
    INTO tickets
    FROM (SELECT sum(k.tickets) FILTER (WHERE k.status <> 'cancelled') AS open,
                 sum(k.tickets) FILTER (WHERE k.status = 'cancelled') AS cancelled,
                 jsonb_object_agg(k.status, k.tickets) AS by_status
          FROM (SELECT o.status, (SELECT count(*) FROM c360.customer_tickets t
                                  WHERE t.status = o.status AND t.deleted_at IS NULL) AS tickets
                FROM unnest('{new,processing,waiting_carrier,cancelled}'::text[]) AS o (status) OFFSET 0) k) s;

    IF sees_money THEN
        EXECUTE $query$
            SELECT jsonb_build_object('balance', coalesce(sum(w.balance), 0),
                       'virtual_balance', coalesce(sum(w.virtual_balance), 0),
                       'with_balance', count(*) FILTER (WHERE w.balance > 0),
                       'with_virtual', count(*) FILTER (WHERE w.virtual_balance > 0),
                       'frozen', count(w.frozen_at))
            FROM c360.customer_wallets w
        $query$ INTO wallets;
        SELECT wallets || jsonb_build_object('today', coalesce(jsonb_object_agg(t.type,
                   jsonb_build_object('transactions', t.transactions, 'amount', t.amount)), '{}'))
        INTO wallets
        FROM (SELECT r.type, count(*) AS transactions, sum(r.amount) AS amount FROM c360.wallet_transactions r
              WHERE r.created_at >= midnight AND r.created_at < tomorrow GROUP BY r.type) t;
        SELECT wallets || jsonb_build_object('expiring_7_days', jsonb_build_object(
                   'credits', count(*), 'amount', coalesce(sum(v.remaining_amount), 0)))
        INTO wallets FROM c360.virtual_credits v
        WHERE v.status = 'ACTIVE' AND v.expires_at > this_moment AND v.expires_at <= this_moment + interval '7 days';

        SELECT jsonb_build_object('transactions_today', count(*),
                   'in_today', coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'in'), 0),
                   'out_today', coalesce(sum(b.transfer_amount) FILTER (WHERE b.transfer_type = 'out'), 0),
                   'pending', (SELECT count(*) FROM c360.pending_customer_matches p WHERE p.status = 'pending'),
                   'undecided', (SELECT count(*) FROM c360.balance_history u
                                 WHERE u.result IS NULL OR u.result = 'failed'))
        INTO bank FROM c360.balance_history b
        WHERE b.transaction_date >= midnight AND b.transaction_date < tomorrow;
    END IF;
    SELECT CASE WHEN count(*) > 0 THEN jsonb_build_object('segments', jsonb_object_agg(n.segment, n.customers)) END INTO rfm
    FROM (SELECT k.segment, sum(k.customers) AS customers FROM c360.rfm_counts k
          GROUP BY k.segment HAVING sum(k.customers) > 0) n;
    RETURN jsonb_build_object('at', this_moment, 'date', today, 'customers', customers, 'orders', orders,
                              'tickets', tickets, 'wallets', wallets, 'bank', bank,
                              'rfm', rfm);
END $$;
COMMENT ON FUNCTION @extschema@.c360_dashboard() IS
'The shop at a glance, as of now; today is the shop''s (Asia/Ho_Chi_Minh).

Answer: object of at, date, customers {total, new_today, by_tier, by_status}, orders {today, amount_today}, tickets {total, open, overdue, created_today, completed_today, by_status}, wallets {balance, virtual_balance, with_balance, with_virtual, frozen, today {type: {transactions, amount}}, expiring_7_days {credits, amount}}, bank {transactions_today, in_today, out_today, pending, undecided} and rfm {segments {segment: customers}} (as of the last refresh; NULL without scores). Amounts in đồng; amount_today, wallets and bank are NULL for callers below agent. Deleted tickets are left out.
Errors: 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ticket_metrics(days integer DEFAULT 30) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    span constant integer := coalesce(c360_ticket_metrics.days, 30);
    to_day constant date := @extschema@.c360_shop_day(statement_timestamp());
    from_day date;
    answer jsonb;
BEGIN
    PERFORM @extschema@.c360_require_range('days', span, 1, 3650);
    from_day := to_day - span + 1;
    PERFORM @extschema@.c360_become_owner();
    WITH chosen AS MATERIALIZED (
        SELECT t.type, t.status, (t.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day,
               t.completed_at - t.created_at AS took,
               t.credit_id IS NOT NULL OR t.transaction_id IS NOT NULL AS compensated,
               v.original_amount AS issued, d.amount AS refunded
        FROM c360.customer_tickets t
        LEFT JOIN c360.virtual_credits v ON v.id = t.credit_id
        LEFT JOIN c360.wallet_transactions d ON d.id = t.transaction_id AND d.type = 'DEPOSIT'
        WHERE t.created_at >= from_day::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh'
          AND t.created_at < (to_day + 1)::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh' AND t.deleted_at IS NULL),
    by_type AS (
        SELECT c.type, jsonb_build_object('tickets', count(*),
                   'open', count(*) FILTER (WHERE c.status NOT IN ('completed', 'cancelled')),
                   'completed', count(*) FILTER (WHERE c.status = 'completed'),
                   'cancelled', count(*) FILTER (WHERE c.status = 'cancelled'),
                   'avg_resolution_hours', round(extract(epoch FROM avg(c.took)) / 3600, 2),
                   'compensated', count(*) FILTER (WHERE c.compensated),
                   'total_virtual_issued', CASE WHEN sees_money THEN coalesce(sum(c.issued), 0) END,
                   'total_refunded', CASE WHEN sees_money THEN coalesce(sum(c.refunded), 0) END) AS numbers
        FROM chosen c GROUP BY c.type)
    SELECT jsonb_build_object('days', span, 'from_date', from_day, 'to_date', to_day,
               'tickets', count(*),
               'open', count(*) FILTER (WHERE c.status NOT IN ('completed', 'cancelled')),
               'completed', count(*) FILTER (WHERE c.status = 'completed'),
               'cancelled', count(*) FILTER (WHERE c.status = 'cancelled'),
               'avg_resolution_hours', round(extract(epoch FROM avg(c.took)) / 3600, 2),
               'compensated', count(*) FILTER (WHERE c.compensated),
               'total_virtual_issued', CASE WHEN sees_money THEN coalesce(sum(c.issued), 0) END,
               'total_refunded', CASE WHEN sees_money THEN coalesce(sum(c.refunded), 0) END,
               'by_type', (SELECT coalesce(jsonb_object_agg(y.type, y.numbers), '{}') FROM by_type y),
               'by_date', (SELECT coalesce(jsonb_agg(jsonb_build_object('date', n.day, 'tickets', n.tickets)
                                                     ORDER BY n.day), '[]')
                           FROM (SELECT b.day, count(*) AS tickets FROM chosen b GROUP BY b.day) n))
    INTO answer FROM chosen c;
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_ticket_metrics(integer) IS
'Tickets that were created in the last days, deleted ones left out.

days: shop days (Asia/Ho_Chi_Minh), today included, 1 to 3,650; NULL = 30.
Answer: object of days, from_date, to_date, tickets, open, completed, cancelled, avg_resolution_hours (NULL while none is completed), compensated, total_virtual_issued and total_refunded (đồng; NULL for callers below agent), by_type {type: the same numbers} and by_date [{date, tickets}], days without any left out.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_wallet_summary(days integer DEFAULT 7) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    span constant integer := coalesce(c360_wallet_summary.days, 7);
    this_moment constant timestamptz := statement_timestamp();
    answer jsonb;
BEGIN
    PERFORM @extschema@.c360_require_range('days', span, 1, 3650);
    PERFORM @extschema@.c360_become_owner();
    SELECT jsonb_build_object(
               'total_wallets', (SELECT count(*) FROM c360.customers),
               'wallets_with_balance', count(*) FILTER (WHERE w.balance > 0),
               'wallets_with_virtual', count(*) FILTER (WHERE w.virtual_balance > 0),
               'frozen_wallets', count(w.frozen_at),
               'total_real_balance', coalesce(sum(w.balance), 0),
               'total_virtual_balance', coalesce(sum(w.virtual_balance), 0),
               'total_available', coalesce(sum(w.balance) FILTER (WHERE w.frozen_at IS NULL), 0)
                   + (SELECT coalesce(sum(v.remaining_amount), 0) FROM c360.virtual_credits v
                      WHERE v.status = 'ACTIVE' AND v.expires_at > this_moment
                        AND v.customer_id NOT IN (SELECT f.customer_id FROM c360.customer_wallets f
                                                  WHERE f.frozen_at IS NOT NULL)
                        AND v.customer_id NOT IN (SELECT b.id FROM c360.customers b WHERE b.tier = 'blacklist')),
               'total_deposited', coalesce(sum(w.total_deposited), 0),
               'total_withdrawn', coalesce(sum(w.total_withdrawn), 0),
               'total_virtual_issued', coalesce(sum(w.total_virtual_issued), 0),
               'total_virtual_used', coalesce(sum(w.total_virtual_used), 0),
               'total_virtual_expired', coalesce(sum(w.total_virtual_expired), 0))
    INTO answer FROM c360.customer_wallets w;
    SELECT answer || jsonb_build_object('expiring', jsonb_build_object('days', span,
               'credits', coalesce(sum(e.credits), 0), 'amount', coalesce(sum(e.amount), 0),
               'by_date', coalesce(jsonb_agg(jsonb_build_object('date', e.day, 'credits', e.credits,
                                             'customers', e.customers, 'amount', e.amount) ORDER BY e.day), '[]')))
    INTO answer
    FROM (SELECT (v.expires_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS credits,
                 count(DISTINCT v.customer_id) AS customers, sum(v.remaining_amount) AS amount
          FROM c360.virtual_credits v
          WHERE v.status = 'ACTIVE' AND v.expires_at > this_moment
            AND v.expires_at <= this_moment + span * interval '1 day'
          GROUP BY 1) e;
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallet_summary(integer) IS
'All wallets together, and the credit that expires soon, day by day.

days: how far ahead, 1 to 3,650; NULL = 7.
Answer: object of the columns of the view wallet_statistics, frozen_wallets, and expiring {days, credits, amount, by_date [{date, credits, customers, amount}]} with every shop day (Asia/Ho_Chi_Minh) on which credit expires; amounts in đồng.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_daily_summary(from_date date DEFAULT NULL, to_date date DEFAULT NULL)
RETURNS SETOF @extschema@.c360_daily_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 30 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    last_day constant date := coalesce(c360_daily_summary.to_date,
        greatest(@extschema@.c360_shop_day(statement_timestamp()), c360_daily_summary.from_date));
    first_day date;
    begins timestamptz;
    ends timestamptz;
BEGIN
    PERFORM @extschema@.c360_require_days(c360_daily_summary.from_date, last_day, NULL);
    first_day := coalesce(c360_daily_summary.from_date, last_day - 29);
    PERFORM @extschema@.c360_require_days(first_day, last_day, 1000);
    begins := @extschema@.c360_shop_midnight(first_day);
    ends := @extschema@.c360_shop_midnight(last_day + 1);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    -- LIMIT 1000 takes nothing away; it tells the planner how few days there are
    WITH c AS (
        SELECT (r.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS customers
        FROM c360.customers r WHERE r.created_at >= begins AND r.created_at < ends GROUP BY 1 LIMIT 1000),
    o AS (
        SELECT (r.ordered_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS orders,
               coalesce(sum(r.amount) FILTER (WHERE r.status <> 'returned'), 0) AS amount
        FROM c360.customer_orders r
        WHERE r.ordered_at >= begins AND r.ordered_at < ends AND r.status <> 'cancelled' GROUP BY 1 LIMIT 1000),
    created AS (
        SELECT (r.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS tickets
        FROM c360.customer_tickets r
        WHERE r.created_at >= begins AND r.created_at < ends AND r.deleted_at IS NULL GROUP BY 1 LIMIT 1000),
    completed AS (
        SELECT (r.completed_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS tickets
        FROM c360.customer_tickets r
        WHERE r.completed_at >= begins AND r.completed_at < ends AND r.deleted_at IS NULL GROUP BY 1 LIMIT 1000),
    w AS (
        SELECT (r.created_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS transactions,
               sum(r.amount) FILTER (WHERE r.type = 'DEPOSIT') AS deposited,
               sum(r.amount) FILTER (WHERE r.type = 'WITHDRAW') AS withdrawn,
               sum(r.amount) FILTER (WHERE r.type = 'REFUND') AS refunded,
               sum(r.real_change) FILTER (WHERE r.type = 'ADJUSTMENT') AS adjusted,
               sum(r.amount) FILTER (WHERE r.type = 'VIRTUAL_CREDIT') AS issued,
               - sum(r.virtual_change) FILTER (WHERE r.type = 'WITHDRAW') AS used,
               sum(r.amount) FILTER (WHERE r.type = 'VIRTUAL_EXPIRE') AS expired,
               sum(r.amount) FILTER (WHERE r.type = 'VIRTUAL_CANCEL') AS cancelled
        FROM c360.wallet_transactions r
        WHERE r.created_at >= begins AND r.created_at < ends AND sees_money GROUP BY 1 LIMIT 1000),
    b AS (
        SELECT (r.transaction_date AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, count(*) AS transactions,
               sum(r.transfer_amount) FILTER (WHERE r.transfer_type = 'in') AS received,
               sum(r.transfer_amount) FILTER (WHERE r.transfer_type = 'out') AS paid
        FROM c360.balance_history r
        WHERE r.transaction_date >= begins AND r.transaction_date < ends AND sees_money GROUP BY 1 LIMIT 1000)
    SELECT d.day::date, coalesce(c.customers, 0), coalesce(o.orders, 0),
           coalesce(o.amount, 0) + money.nothing, coalesce(created.tickets, 0), coalesce(completed.tickets, 0),
           coalesce(w.transactions, money.nothing), coalesce(w.deposited, money.nothing),
           coalesce(w.withdrawn, money.nothing), coalesce(w.refunded, money.nothing),
           coalesce(w.adjusted, money.nothing), coalesce(w.issued, money.nothing), coalesce(w.used, money.nothing),
           coalesce(w.expired, money.nothing), coalesce(w.cancelled, money.nothing),
           coalesce(b.transactions, money.nothing), coalesce(b.received, money.nothing), coalesce(b.paid, money.nothing)
    FROM generate_series(first_day::timestamp, last_day::timestamp, interval '1 day') AS d (day)
    CROSS JOIN (SELECT CASE WHEN sees_money THEN 0::bigint END AS nothing) money
    LEFT JOIN c ON c.day = d.day
    LEFT JOIN o ON o.day = d.day
    LEFT JOIN created ON created.day = d.day
    LEFT JOIN completed ON completed.day = d.day
    LEFT JOIN w ON w.day = d.day
    LEFT JOIN b ON b.day = d.day
    ORDER BY d.day;
END $$;
COMMENT ON FUNCTION @extschema@.c360_daily_summary(date, date) IS
'The shop day by day (Asia/Ho_Chi_Minh), one row a day, days without anything included.

from_date, to_date: both included, at most 1,000 days; to_date NULL = today, from_date NULL = 29 days before to_date.
Answer: rows of c360_daily_row; amounts in đồng, which with the counts of wallets and bank are NULL for callers below agent. Deleted tickets are left out.
Errors: 22023 out_of_range, too_many; 55000 not installed.';

-- One list, newest first, of three kinds. A movement of money has an activity,
-- too, and so has a transfer that was deposited, and a ticket has many: these
-- activities are not listed beside what they tell of. Places are (time, kind,
-- id): "1" the timeline, "2" tickets, "3" the ledger.
CREATE FUNCTION @extschema@.c360_consolidated_transactions(phone text DEFAULT NULL, type text DEFAULT NULL,
    from_date date DEFAULT NULL, to_date date DEFAULT NULL, after text DEFAULT NULL, max_rows integer DEFAULT 10)
RETURNS SETOF @extschema@.c360_consolidated_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_money constant boolean := @extschema@.c360_sees_money();
    wanted constant bigint := CASE WHEN c360_consolidated_transactions.phone IS NOT NULL
        THEN @extschema@.c360_require_customer(c360_consolidated_transactions.phone) END;
    page constant integer := coalesce(max_rows, 10);
    place constant text[] := regexp_match(c360_consolidated_transactions.after, '^(-?[0-9]{1,17}|[0-9]{18})[.]([123])[.]([0-9]{1,18})$');
    first_moment timestamptz := '-infinity';
    last_moment timestamptz := 'infinity';      -- not included
    kinds constant text[] := ARRAY['transaction', 'ticket', 'activity'];
    ledger_types constant text[] := ARRAY['DEPOSIT', 'WITHDRAW', 'VIRTUAL_CREDIT', 'VIRTUAL_EXPIRE',
                                          'VIRTUAL_CANCEL', 'REFUND', 'ADJUSTMENT'];
    ticket_types text[];
    before_at timestamptz := 'infinity';
    before_kind integer := 4;
    before_id bigint := 0;
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', page, 1, 1000);
    PERFORM @extschema@.c360_require_days(from_date, to_date, NULL);
    first_moment := coalesce(@extschema@.c360_shop_midnight(from_date), first_moment);
    last_moment := coalesce(@extschema@.c360_shop_midnight(to_date + 1), last_moment);
    IF place IS NOT NULL THEN
        before_at := '1970-01-01 00:00 UTC'::timestamptz + place[1]::bigint * interval '1 microsecond';
        before_kind := place[2];
        before_id := place[3];
    ELSIF after IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'malformed cursor',
            DETAIL = format('invalid_cursor: "%s"', left(after, 64)),
            HINT = 'Send the column cursor of the last row that you have.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    SELECT array_agg(y.type ORDER BY y.type) INTO ticket_types FROM c360.ticket_types y;
    IF c360_consolidated_transactions.type <> ALL (kinds || ledger_types || ticket_types) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: type "%s"', left(c360_consolidated_transactions.type, 64)),
            HINT = 'Allowed are ' || array_to_string(kinds || ledger_types || ticket_types, ', ') || '.';
    END IF;
    -- Planned for each call: which index serves depends on what is asked for.
    RETURN QUERY EXECUTE $query$
    WITH timeline AS (
        SELECT 1 AS kind, a.id, a.created_at AS at
        FROM c360.customer_activities a
        WHERE ($1 IS NULL OR a.customer_id = $1)
          AND a.created_at >= $2 AND a.created_at < $3
          AND (a.created_at, a.id) < ($4, CASE WHEN $5 > 1 THEN 9223372036854775807 ELSE $6 END)
          AND ($7 OR a.topic NOT IN ('wallets', 'bank'))
          AND a.topic <> 'tickets'
          AND NOT (a.topic = 'bank' AND a.payload ? 'transaction_id')
          AND NOT (a.topic = 'wallets' AND coalesce(a.reference_type, '') = 'wallet_transaction')
        ORDER BY a.created_at DESC, a.id DESC
        LIMIT CASE WHEN coalesce($8, 'activity') = 'activity' THEN $9 ELSE 0 END),
    tickets AS (
        SELECT 2 AS kind, k.id, k.created_at AS at
        FROM c360.customer_tickets k
        WHERE ($1 IS NULL OR k.customer_id = $1) AND k.deleted_at IS NULL
          AND k.created_at >= $2 AND k.created_at < $3
          AND (k.created_at, k.id) < ($4, CASE WHEN $5 > 2 THEN 9223372036854775807 WHEN $5 = 2 THEN $6
                                               ELSE (-9223372036854775808) END)
          AND (coalesce($8, 'ticket') = 'ticket' OR k.type = $8)
        ORDER BY k.created_at DESC, k.id DESC
        LIMIT CASE WHEN $8 IN ('transaction', 'activity') OR $8 = ANY ($10) THEN 0 ELSE $9 END),
    movements AS (
        SELECT 3 AS kind, w.id, w.created_at AS at
        FROM c360.wallet_transactions w
        WHERE ($1 IS NULL OR w.customer_id = $1)
          AND w.created_at >= $2 AND w.created_at < $3
          AND (w.created_at, w.id) < ($4, CASE WHEN $5 > 3 THEN 9223372036854775807 WHEN $5 = 3 THEN $6
                                               ELSE (-9223372036854775808) END)
          AND (coalesce($8, 'transaction') = 'transaction' OR w.type = $8)
        ORDER BY w.created_at DESC, w.id DESC
        LIMIT CASE WHEN $7 AND (coalesce($8, 'transaction') = 'transaction' OR $8 = ANY ($10)) THEN $9 ELSE 0 END),
    listed AS (
        SELECT * FROM timeline UNION ALL SELECT * FROM tickets UNION ALL SELECT * FROM movements
        ORDER BY at DESC, kind DESC, id DESC LIMIT $9)
    SELECT format('%s.%s.%s', (extract(epoch FROM l.at) * 1000000)::bigint, l.kind, l.id),
           CASE WHEN k.id IS NOT NULL THEN 'ticket' WHEN t.id IS NOT NULL THEN 'transaction' ELSE 'activity' END,
           coalesce(k.type, t.type, a.event), coalesce(k.id, t.id, a.id), l.at,
           c.id, c.phone, c.name,
           CASE WHEN $7 THEN coalesce(t.amount, k.refund_amount) END,
           t.real_change, t.virtual_change, t.balance_after, t.virtual_balance_after,
           k.status, k.ticket_code,
           CASE WHEN k.id IS NOT NULL AND k.order_code IS NOT NULL THEN 'order'
                WHEN k.id IS NULL AND t.id IS NULL THEN a.reference_type ELSE t.reference_type END,
           CASE WHEN k.id IS NOT NULL THEN k.order_code
                WHEN t.id IS NULL THEN a.reference_id ELSE t.reference_id END,
           CASE WHEN k.id IS NOT NULL THEN k.description ELSE a.payload ->> 'note' END,
           CASE WHEN k.id IS NOT NULL THEN jsonb_build_object('subject', k.subject, 'priority', k.priority,
                    'compensation', k.compensation, 'completed_at', k.completed_at, 'assignee', k.assignee)
                WHEN t.id IS NOT NULL THEN jsonb_build_object('source', t.source, 'operation', t.operation,
                    'occurred_at', t.occurred_at)
                WHEN $7 THEN a.payload ELSE a.payload - 'amount' END,
           CASE WHEN k.id IS NOT NULL THEN k.created_by ELSE coalesce(t.actor, a.actor) END
    FROM listed l
    LEFT JOIN c360.customer_tickets k ON l.kind = 2 AND k.id = l.id
    LEFT JOIN c360.wallet_transactions t ON l.kind = 3 AND t.id = l.id
    LEFT JOIN c360.customer_activities a ON a.id = CASE l.kind WHEN 1 THEN l.id WHEN 3 THEN t.activity_id END
    LEFT JOIN c360.customers c ON c.id = coalesce(k.customer_id, t.customer_id, a.customer_id)
    ORDER BY l.at DESC, l.kind DESC, l.id DESC
    $query$ USING wanted, first_moment, last_moment, before_at, before_kind, before_id, sees_money,
                  c360_consolidated_transactions.type, page, ledger_types;
END $$;
COMMENT ON FUNCTION @extschema@.c360_consolidated_transactions(text, text, date, date, text, integer) IS
'Ledger rows, tickets and all other activities in one list, each thing once, newest first, in pages.

phone: any spelling; NULL = all customers. type: transaction, ticket or activity, a type of the ledger or a type of ticket; NULL = all. from_date, to_date: shop days (Asia/Ho_Chi_Minh), both included; NULL = open. after: column cursor of the last row of the page before; NULL = from the newest. max_rows: 1 to 1,000.
Answer: rows of c360_consolidated_row; amounts in đồng. Callers below agent get neither ledger rows nor activities of wallets and bank, nor amounts of orders. Activities of a movement, of a deposited transfer and of a ticket are not listed beside it; deleted tickets are left out. Without phone and dates, a type that is rare reads far back.
Errors: PT404 customer_not_found; 22023 invalid_phone, not_allowed, invalid_cursor, out_of_range; 55000 not installed.';
