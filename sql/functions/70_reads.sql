-- Reads of wallets. They act as the owner of the tables and work in READ ONLY
-- transactions and on standbys.

CREATE FUNCTION @extschema@.c360_wallet(phone text) RETURNS @extschema@.c360_wallet_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted bigint := @extschema@.c360_require_customer(c360_wallet.phone);
    answer @extschema@.c360_wallet_row;
BEGIN
    answer := @extschema@.c360_wallets(customer_ids => ARRAY[wanted]);
    PERFORM @extschema@.c360_become_owner();
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'credit_id', id, 'amount', remaining_amount, 'expires_at', expires_at,
               'kind', kind, 'source_id', source_id, 'original_amount', original_amount)
               ORDER BY expires_at, id), '[]')
    INTO answer.lots FROM c360.virtual_credits
    WHERE customer_id = wanted AND status = 'ACTIVE';
    RETURN answer;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallet(text) IS
'The wallet of a customer with its ACTIVE lots in order of use; zeros for one that never moved money.

phone: any spelling.
Answer: c360_wallet_row; amounts in đồng; lots of {credit_id, amount (what remains), expires_at, kind, source_id, original_amount}, overdue ones not yet expired included.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_wallets(phones text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL)
RETURNS SETOF @extschema@.c360_wallet_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted text[];
BEGIN
    IF phones IS NULL AND customer_ids IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: phones or customer_ids';
    ELSIF cardinality(phones) > 1000 OR cardinality(customer_ids) > 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = 'too_many: at most 1000 phones and 1000 customer_ids';
    END IF;
    SELECT array_agg(@extschema@.c360_require_phone(p)) INTO wanted
    FROM unnest(phones) AS p WHERE p IS NOT NULL;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.id, c.phone, coalesce(w.balance, 0), coalesce(w.virtual_balance, 0),
           CASE WHEN w.frozen_at IS NOT NULL THEN 0
                WHEN c.tier = 'blacklist' THEN coalesce(w.balance, 0)
                ELSE coalesce(w.balance, 0) + usable.amount END,
           w.frozen_at IS NOT NULL, coalesce(w.total_deposited, 0), coalesce(w.total_withdrawn, 0),
           coalesce(w.total_virtual_issued, 0), coalesce(w.total_virtual_used, 0),
           coalesce(w.total_virtual_expired, 0), NULL::jsonb
    FROM c360.customers c
    LEFT JOIN c360.customer_wallets w ON w.customer_id = c.id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(v.remaining_amount), 0)::bigint AS amount FROM c360.virtual_credits v
        WHERE v.customer_id = c.id AND v.status = 'ACTIVE' AND v.expires_at > clock_timestamp()) usable
    WHERE c.id = ANY (customer_ids) OR c.phone = ANY (wanted)
    ORDER BY c.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallets(text[], bigint[]) IS
'Wallets of many customers, by phones, ids or both, in order of id; unknown ones are left out.

phones: any spelling, 1,000 at most. customer_ids: 1,000 at most.
Answer: rows of c360_wallet_row without lots; amounts in đồng.
Errors: 22004 missing_argument; 22023 invalid_phone, too_many; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_wallet_transactions(phone text, type text DEFAULT NULL,
    before_id bigint DEFAULT NULL, max_rows integer DEFAULT 50)
RETURNS SETOF @extschema@.c360_wallet_transaction_row
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted bigint := @extschema@.c360_require_customer(c360_wallet_transactions.phone);
    before_time timestamptz := 'infinity';
    known_types constant text[] := ARRAY['DEPOSIT', 'WITHDRAW', 'VIRTUAL_CREDIT', 'VIRTUAL_EXPIRE',
                                         'VIRTUAL_CANCEL', 'REFUND', 'ADJUSTMENT'];
BEGIN
    PERFORM @extschema@.c360_require_range('max_rows', coalesce(max_rows, 50), 1, 1000);
    IF c360_wallet_transactions.type <> ALL (known_types) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is not allowed',
            DETAIL = format('not_allowed: type "%s"', left(c360_wallet_transactions.type, 64)),
            HINT = 'Allowed are ' || array_to_string(known_types, ', ') || '.';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    IF before_id IS NOT NULL THEN
        SELECT created_at INTO before_time FROM c360.wallet_transactions
        WHERE id = before_id AND customer_id = wanted;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'no such transaction',
                DETAIL = 'transaction_not_found: id ' || before_id;
        END IF;
    END IF;
    RETURN QUERY
    SELECT t.id, t.type, t.amount, t.real_change, t.virtual_change, t.balance_after, t.virtual_balance_after,
           t.source, t.reference_type, t.reference_id, t.refunded_transaction_id, a.payload ->> 'note',
           CASE WHEN t.credit_id IS NOT NULL
                THEN jsonb_build_array(jsonb_build_object('credit_id', t.credit_id, 'amount', t.amount,
                                                          'expires_at', t.credit_expires_at))
                ELSE coalesce((SELECT jsonb_agg(jsonb_build_object(
                                          'credit_id', u.credit_id, 'amount', u.amount,
                                          'expires_at', u.expires_at) ORDER BY u.position)
                               FROM c360.virtual_credit_uses u WHERE u.transaction_id = t.id), '[]') END,
           t.actor, t.created_at, t.occurred_at
    FROM (SELECT * FROM c360.wallet_transactions w
          WHERE w.customer_id = wanted
            AND (w.created_at, w.id) < (before_time, coalesce(before_id, 9223372036854775807))
            AND (c360_wallet_transactions.type IS NULL OR w.type = c360_wallet_transactions.type)
          ORDER BY w.created_at DESC, w.id DESC
          LIMIT coalesce(max_rows, 50)) t
    LEFT JOIN c360.customer_activities a ON a.id = t.activity_id
    ORDER BY t.created_at DESC, t.id DESC;
END $$;
COMMENT ON FUNCTION @extschema@.c360_wallet_transactions(text, text, bigint, integer) IS
'The ledger of a customer, newest first, in pages.

phone: any spelling. type: DEPOSIT, WITHDRAW, VIRTUAL_CREDIT, VIRTUAL_EXPIRE, VIRTUAL_CANCEL, REFUND or ADJUSTMENT; NULL = all. before_id: the last transaction_id of the page before; NULL = from the newest. max_rows: 1 to 1,000.
Answer: rows of c360_wallet_transaction_row; amounts in đồng.
Errors: PT404 customer_not_found, transaction_not_found; 22004 missing_argument; 22023 invalid_phone, not_allowed, out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_balance_at(phone text, at timestamptz)
RETURNS TABLE (balance bigint, virtual_balance bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted bigint := @extschema@.c360_require_customer(c360_balance_at.phone);
BEGIN
    IF at IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: at';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT t.balance_after, t.virtual_balance_after FROM c360.wallet_transactions t
    WHERE t.customer_id = wanted AND t.created_at <= c360_balance_at.at
    ORDER BY t.created_at DESC, t.id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint;
    END IF;
END $$;
COMMENT ON FUNCTION @extschema@.c360_balance_at(text, timestamptz) IS
'What the books said of a wallet at a moment, by insert time.

phone: any spelling. at: the moment, included.
Answer: both balances in đồng; zeros before the first movement.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_expiring_credits(within interval DEFAULT '7 days')
RETURNS TABLE (phone text, credit_id bigint, remaining bigint, expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    span interval := coalesce(within, '7 days');
BEGIN
    IF span < '0' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'value is out of range',
            DETAIL = 'out_of_range: within is negative';
    END IF;
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    SELECT c.phone, v.id, v.remaining_amount, v.expires_at
    FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id
    WHERE v.status = 'ACTIVE' AND v.expires_at > clock_timestamp()
      AND v.expires_at <= clock_timestamp() + span
    ORDER BY v.expires_at, v.id;
END $$;
COMMENT ON FUNCTION @extschema@.c360_expiring_credits(interval) IS
'ACTIVE lots that expire soon, soonest first.

within: how far ahead, not negative; NULL = 7 days.
Answer: phone, credit_id, remaining (đồng), expires_at.
Errors: 22023 out_of_range; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_verify_wallets()
RETURNS TABLE (customer_id bigint, problem text, expected bigint, found bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@.c360_become_owner();
    -- wallet against ledger and lots
    RETURN QUERY
    WITH ledger AS (
        SELECT t.customer_id, sum(t.real_change) AS real, sum(t.virtual_change) AS virtual,
               sum(t.amount) FILTER (WHERE t.type = 'DEPOSIT') AS deposited,
               sum(t.amount) FILTER (WHERE t.type = 'WITHDRAW') AS withdrawn,
               sum(t.amount) FILTER (WHERE t.type = 'VIRTUAL_CREDIT') AS issued,
               - sum(t.virtual_change) FILTER (WHERE t.type = 'WITHDRAW') AS used,
               sum(t.amount) FILTER (WHERE t.type = 'VIRTUAL_EXPIRE') AS expired
        FROM c360.wallet_transactions t GROUP BY t.customer_id),
    lots AS (
        SELECT v.customer_id, sum(v.remaining_amount) FILTER (WHERE v.status = 'ACTIVE') AS active
        FROM c360.virtual_credits v GROUP BY v.customer_id)
    SELECT w.customer_id, c.problem, c.expected::bigint, c.found
    FROM c360.customer_wallets w
    LEFT JOIN ledger l ON l.customer_id = w.customer_id
    LEFT JOIN lots s ON s.customer_id = w.customer_id
    CROSS JOIN LATERAL (VALUES
        ('balance is not the sum of the ledger', coalesce(l.real, 0), w.balance),
        ('virtual balance is not the sum of the ledger', coalesce(l.virtual, 0), w.virtual_balance),
        ('virtual balance is not the sum of the active lots', coalesce(s.active, 0), w.virtual_balance),
        ('total deposited is not the sum of the ledger', coalesce(l.deposited, 0), w.total_deposited),
        ('total withdrawn is not the sum of the ledger', coalesce(l.withdrawn, 0), w.total_withdrawn),
        ('total credit issued is not the sum of the ledger', coalesce(l.issued, 0), w.total_virtual_issued),
        ('total credit used is not the sum of the ledger', coalesce(l.used, 0), w.total_virtual_used),
        ('total credit expired is not the sum of the ledger', coalesce(l.expired, 0), w.total_virtual_expired)
    ) AS c (problem, expected, found)
    WHERE c.expected <> c.found;
    -- each lot: original = remaining + used - restored + expired + cancelled
    RETURN QUERY
    WITH parts AS (
        SELECT u.credit_id, CASE t.type WHEN 'WITHDRAW' THEN u.amount ELSE - u.amount END AS amount
        FROM c360.virtual_credit_uses u JOIN c360.wallet_transactions t ON t.id = u.transaction_id
        UNION ALL
        SELECT t.credit_id, CASE t.type WHEN 'VIRTUAL_CREDIT' THEN 0 ELSE t.amount END
        FROM c360.wallet_transactions t WHERE t.credit_id IS NOT NULL),
    gone AS (SELECT p.credit_id, sum(p.amount) AS amount FROM parts p GROUP BY p.credit_id)
    SELECT v.customer_id, format('lot %s does not add up', v.id), v.original_amount,
           (v.remaining_amount + coalesce(g.amount, 0))::bigint
    FROM c360.virtual_credits v LEFT JOIN gone g ON g.credit_id = v.id
    WHERE v.original_amount <> v.remaining_amount + coalesce(g.amount, 0);
    -- each lot was issued once, for what it holds
    RETURN QUERY
    SELECT v.customer_id, format('lot %s is not what was issued', v.id), v.original_amount,
           coalesce(sum(t.amount), 0)::bigint
    FROM c360.virtual_credits v
    LEFT JOIN c360.wallet_transactions t ON t.credit_id = v.id AND t.type = 'VIRTUAL_CREDIT'
                                         AND t.customer_id = v.customer_id
    GROUP BY v.id HAVING v.original_amount <> coalesce(sum(t.amount), 0);
    -- the lots of a withdrawal or refund are its virtual part
    RETURN QUERY
    SELECT t.customer_id, format('lots of transaction %s are not its virtual part', t.id),
           abs(t.virtual_change), coalesce(sum(u.amount), 0)::bigint
    FROM c360.wallet_transactions t LEFT JOIN c360.virtual_credit_uses u ON u.transaction_id = t.id
    WHERE t.type IN ('WITHDRAW', 'REFUND')
    GROUP BY t.id HAVING abs(t.virtual_change) <> coalesce(sum(u.amount), 0);
    -- refunds never exceed their withdrawal, in all and of each lot
    RETURN QUERY
    SELECT w.customer_id, format('refunds of transaction %s exceed it', w.id), w.amount,
           sum(r.amount)::bigint
    FROM c360.wallet_transactions r JOIN c360.wallet_transactions w ON w.id = r.refunded_transaction_id
    WHERE r.type = 'REFUND'
    GROUP BY w.id HAVING sum(r.amount) > w.amount OR w.type <> 'WITHDRAW';
    RETURN QUERY
    SELECT r.customer_id, format('refunds of transaction %s exceed its lot %s', r.refunded_transaction_id, u.credit_id),
           coalesce(used.amount, 0)::bigint, sum(u.amount)::bigint
    FROM c360.wallet_transactions r
    JOIN c360.virtual_credit_uses u ON u.transaction_id = r.id
    LEFT JOIN c360.virtual_credit_uses used
           ON used.transaction_id = r.refunded_transaction_id AND used.credit_id = u.credit_id
    WHERE r.type = 'REFUND' AND r.operation <> 'restore'
    GROUP BY r.customer_id, r.refunded_transaction_id, u.credit_id, used.amount
    HAVING sum(u.amount) > coalesce(used.amount, 0);
    -- but those that give back credit which expired: of each lot no more than did
    RETURN QUERY
    WITH restored AS (
        SELECT r.customer_id, u.credit_id, sum(u.amount) AS amount
        FROM c360.wallet_transactions r JOIN c360.virtual_credit_uses u ON u.transaction_id = r.id
        WHERE r.type = 'REFUND' AND r.operation = 'restore' GROUP BY r.customer_id, u.credit_id)
    SELECT s.customer_id, format('more than expired was restored to lot %s', s.credit_id),
           coalesce(e.amount, 0)::bigint, s.amount::bigint
    FROM restored s
    LEFT JOIN LATERAL (SELECT sum(t.amount) AS amount FROM c360.wallet_transactions t
                       WHERE t.customer_id = s.customer_id AND t.credit_id = s.credit_id
                         AND t.type = 'VIRTUAL_EXPIRE') AS e ON true
    WHERE s.amount > coalesce(e.amount, 0);
    RETURN QUERY
    SELECT r.customer_id, format('transaction %s refunds nothing', r.id), r.amount, 0::bigint
    FROM c360.wallet_transactions r
    WHERE r.type = 'REFUND' AND (r.refunded_transaction_id IS NULL) <> (r.operation = 'restore');
    -- every row's balances follow from the row before, and time never goes back
    RETURN QUERY
    WITH chain AS (
        SELECT t.customer_id, t.id, t.balance_after, t.virtual_balance_after, t.created_at,
               coalesce(lag(t.balance_after) OVER w, 0) + t.real_change AS balance,
               coalesce(lag(t.virtual_balance_after) OVER w, 0) + t.virtual_change AS virtual_balance,
               lag(t.created_at) OVER w AS before
        FROM c360.wallet_transactions t WINDOW w AS (PARTITION BY t.customer_id ORDER BY t.id))
    SELECT c.customer_id, format('balance after transaction %s does not follow', c.id), c.balance, c.balance_after
    FROM chain c WHERE c.balance <> c.balance_after
    UNION ALL
    SELECT c.customer_id, format('virtual balance after transaction %s does not follow', c.id),
           c.virtual_balance, c.virtual_balance_after
    FROM chain c WHERE c.virtual_balance <> c.virtual_balance_after
    UNION ALL
    SELECT c.customer_id, format('transaction %s is older than the one before', c.id), NULL, NULL
    FROM chain c WHERE c.created_at < c.before;
    -- nothing negative
    RETURN QUERY
    SELECT t.customer_id, format('transaction %s leaves a negative balance', t.id), 0::bigint,
           least(t.balance_after, t.virtual_balance_after)
    FROM c360.wallet_transactions t WHERE t.balance_after < 0 OR t.virtual_balance_after < 0
    UNION ALL
    SELECT w.customer_id, 'the wallet is negative', 0, least(w.balance, w.virtual_balance)
    FROM c360.customer_wallets w WHERE w.balance < 0 OR w.virtual_balance < 0
    UNION ALL
    SELECT v.customer_id, format('lot %s is negative', v.id), 0, v.remaining_amount
    FROM c360.virtual_credits v WHERE v.remaining_amount < 0;
END $$;
COMMENT ON FUNCTION @extschema@.c360_verify_wallets() IS
'Checks the books of all wallets: balances, lots, totals and refunds against the ledger, the chain of balances, the order of time. Reads every row; for a quiet hour.

Answer: one row for each problem, with what was expected and found (đồng); empty when all is well.
Errors: 55000 not installed.';
