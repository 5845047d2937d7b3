-- Random operations on some customers, each done twice: by c360, and by a
-- simple model of the rules in tables of its own. After each, the outcome, the
-- answer, the wallet and all its lots must be equal.
--
-- The model knows no locks, no keys but a table of them, no ledger but what
-- refunds need. Its clock is the one that c360 wrote into the ledger, after a
-- look that this lies between the moments before and after the call.
BEGIN;
\ir tools.psql
SELECT no_plan();

\set customers 20
\set steps 2500

CREATE SCHEMA model;
SET LOCAL search_path = model, public;
-- rows that one transaction changes again and again leave dead versions that
-- only an index passes over
SET LOCAL enable_seqscan = off;

-- The model's state -------------------------------------------------------

CREATE TABLE wallets (phone text PRIMARY KEY, real_balance numeric NOT NULL DEFAULT 0, frozen boolean NOT NULL DEFAULT false,
                      blacklisted boolean NOT NULL DEFAULT false, deposited numeric NOT NULL DEFAULT 0,
                      withdrawn numeric NOT NULL DEFAULT 0, issued numeric NOT NULL DEFAULT 0,
                      used numeric NOT NULL DEFAULT 0, expired numeric NOT NULL DEFAULT 0);
-- number of a lot: order of issue, which is the order of c360's ids
CREATE TABLE lots (number serial PRIMARY KEY, phone text NOT NULL, kind text NOT NULL, source text, original numeric NOT NULL,
                   remaining numeric NOT NULL, status text NOT NULL DEFAULT 'ACTIVE', expires_at timestamptz NOT NULL,
                   credit_id bigint UNIQUE);
CREATE INDEX ON lots (phone, status);
CREATE TABLE withdrawals (transaction_id bigint PRIMARY KEY, phone text NOT NULL, real_left numeric NOT NULL);
CREATE TABLE parts (transaction_id bigint NOT NULL, position integer, lot integer NOT NULL, amount_left numeric NOT NULL,
                    PRIMARY KEY (transaction_id, position));
CREATE TABLE other_rows (transaction_id bigint PRIMARY KEY, phone text NOT NULL);
CREATE TABLE keys (key text PRIMARY KEY, call text NOT NULL, answer jsonb NOT NULL, phone text NOT NULL);
CREATE TABLE rules (credit_days integer, grace_days integer, max_amount numeric);
INSERT INTO rules VALUES (15, 7, 1000000000);

CREATE TABLE mistakes (step integer, what text);
CREATE TABLE outcomes (operation text, outcome text);

CREATE FUNCTION available(p text, at timestamptz) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN w.frozen THEN 0 WHEN w.blacklisted THEN w.real_balance
                ELSE w.real_balance + coalesce((SELECT sum(remaining) FROM lots l WHERE l.phone = p AND l.status = 'ACTIVE'
                                                AND l.expires_at > at), 0) END
    FROM wallets w WHERE w.phone = p
$$;

-- Overdue lots of a wallet expire.
CREATE FUNCTION expire(p text, at timestamptz) RETURNS numeric LANGUAGE sql AS $$
    WITH gone AS (
        SELECT number, remaining FROM lots WHERE phone = p AND status = 'ACTIVE' AND expires_at <= at),
    done AS (UPDATE lots SET status = 'EXPIRED', remaining = 0 WHERE number IN (SELECT number FROM gone)),
    total AS (UPDATE wallets SET expired = expired + (SELECT coalesce(sum(remaining), 0) FROM gone) WHERE phone = p)
    SELECT coalesce(sum(remaining), 0) FROM gone
$$;

-- What c360 did ------------------------------------------------------------

CREATE TYPE result AS (outcome text, answer c360_movement, at timestamptz);

CREATE FUNCTION ask(call text) RETURNS result LANGUAGE plpgsql AS $$
DECLARE
    r result;
    detail text;
BEGIN
    EXECUTE 'SELECT m FROM ' || call || ' AS m' INTO r.answer;
    r.outcome := 'done';
    RETURN r;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS r.outcome = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
    r.outcome := r.outcome || ' ' || split_part(detail, ':', 1);
    r.answer := NULL;
    RETURN r;
END $$;

-- The operations by the rules. Each answers its outcome and changes the model
-- if that is 'done'; the changes of both balances and the lots (credit_id:amount) go
-- into answer as c360 has to answer them.
CREATE TABLE expected (money numeric, credit numeric, lots text);
INSERT INTO expected VALUES (0, 0, '');

CREATE FUNCTION answer(money numeric, credit numeric, lots text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE expected e SET money = answer.money, credit = answer.credit, lots = coalesce(answer.lots, '');
    RETURN 'done';
END $$;

CREATE FUNCTION do_deposit(p text, amount numeric, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF amount <= 0 THEN RETURN '22023 invalid_amount'; END IF;
    IF amount > (SELECT max_amount FROM rules) THEN RETURN '22023 amount_limit'; END IF;
    INSERT INTO wallets (phone) VALUES (p) ON CONFLICT DO NOTHING;
    UPDATE wallets SET real_balance = real_balance + amount, deposited = deposited + amount WHERE phone = p;
    RETURN answer(amount, 0, '');
END $$;

CREATE FUNCTION do_issue(p text, amount numeric, k text, s text, until timestamptz, credit bigint, at timestamptz)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF amount <= 0 THEN RETURN '22023 invalid_amount'; END IF;
    IF amount > (SELECT max_amount FROM rules) THEN RETURN '22023 amount_limit'; END IF;
    IF until <= at THEN RETURN '22023 expired'; END IF;
    IF EXISTS (SELECT FROM lots WHERE phone = p AND kind = k AND source = s AND status <> 'CANCELLED') THEN
        RETURN 'PT409 credit_exists';
    END IF;
    INSERT INTO wallets (phone) VALUES (p) ON CONFLICT DO NOTHING;
    PERFORM expire(p, at);
    INSERT INTO lots (phone, kind, source, original, remaining, expires_at, credit_id)
    VALUES (p, k, s, amount, amount, coalesce(until, at + (SELECT credit_days FROM rules) * interval '24 hours'), credit);
    UPDATE wallets SET issued = issued + amount WHERE phone = p;
    RETURN answer(0, amount, credit || ':' || amount);
END $$;

CREATE FUNCTION do_withdraw(p text, amount numeric, id bigint, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    w wallets;
    l lots;
    usable numeric;
    missing numeric := amount;
    part numeric;
    n integer := 0;
    named text;
BEGIN
    IF amount <= 0 THEN RETURN '22023 invalid_amount'; END IF;
    SELECT * INTO w FROM wallets WHERE phone = p;
    IF NOT FOUND THEN RETURN 'PT404 customer_not_found'; END IF;
    IF amount > (SELECT max_amount FROM rules) THEN RETURN '22023 amount_limit'; END IF;
    IF w.frozen THEN RETURN 'PT403 wallet_frozen'; END IF;
    SELECT coalesce(sum(remaining), 0) INTO usable FROM lots WHERE phone = p AND status = 'ACTIVE' AND expires_at > at;
    IF w.blacklisted AND amount > w.real_balance THEN
        RETURN CASE WHEN amount <= w.real_balance + usable THEN 'PT403 credit_blocked' ELSE 'PT402 insufficient_funds' END;
    ELSIF amount > w.real_balance + usable THEN
        RETURN 'PT402 insufficient_funds';
    END IF;
    PERFORM expire(p, at);
    FOR l IN SELECT * FROM lots WHERE phone = p AND status = 'ACTIVE' AND NOT w.blacklisted ORDER BY expires_at, number LOOP
        EXIT WHEN missing = 0;
        part := least(missing, l.remaining);
        n := n + 1;
        UPDATE lots SET remaining = remaining - part, status = CASE WHEN remaining = part THEN 'USED' ELSE status END
        WHERE number = l.number;
        INSERT INTO parts VALUES (id, n, l.number, part);
        named := concat_ws(' ', named, l.credit_id || ':' || part);
        missing := missing - part;
    END LOOP;
    UPDATE wallets SET real_balance = real_balance - missing, withdrawn = withdrawn + amount,
        used = used + amount - missing WHERE phone = p;
    INSERT INTO withdrawals VALUES (id, p, missing);
    RETURN answer(- missing, missing - amount, named);
END $$;

CREATE FUNCTION do_refund(id bigint, wanted numeric, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    w withdrawals;
    p record;
    total numeric;
    missing numeric;
    part numeric;
    credit numeric := 0;
    named text;
BEGIN
    IF wanted <= 0 THEN RETURN '22023 invalid_amount'; END IF;
    SELECT * INTO w FROM withdrawals WHERE transaction_id = id;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM other_rows o WHERE o.transaction_id = id) THEN 'PT409 not_refundable'
                    ELSE 'PT404 transaction_not_found' END;
    END IF;
    SELECT w.real_left + coalesce(sum(amount_left), 0) INTO total FROM parts WHERE transaction_id = id;
    missing := coalesce(wanted, total);
    IF missing = 0 OR missing > total THEN RETURN 'PT409 refund_exceeds'; END IF;
    PERFORM expire(w.phone, at);
    FOR p IN SELECT r.position, r.amount_left, l.number, l.credit_id, l.status FROM parts r JOIN lots l ON l.number = r.lot
             WHERE r.transaction_id = id AND r.amount_left > 0 ORDER BY r.position DESC
    LOOP
        EXIT WHEN missing = 0;
        part := least(missing, p.amount_left);
        UPDATE parts SET amount_left = amount_left - part WHERE transaction_id = id AND position = p.position;
        -- what belongs to a cancelled lot is restored and cancelled at once
        IF p.status <> 'CANCELLED' THEN
            UPDATE lots SET remaining = remaining + part, status = 'ACTIVE',
                expires_at = greatest(expires_at, at + (SELECT grace_days FROM rules) * interval '24 hours')
            WHERE number = p.number;
        END IF;
        named := concat_ws(' ', named, p.credit_id || ':' || part);
        credit := credit + part;
        missing := missing - part;
    END LOOP;
    UPDATE withdrawals SET real_left = real_left - missing WHERE transaction_id = id;
    UPDATE wallets SET real_balance = real_balance + missing WHERE phone = w.phone;
    RETURN answer(missing, credit, named);
END $$;

CREATE FUNCTION do_adjust(p text, amount numeric, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    w wallets;
BEGIN
    IF amount = 0 THEN RETURN '22023 invalid_amount'; END IF;
    SELECT * INTO w FROM wallets WHERE phone = p;
    IF NOT FOUND THEN RETURN 'PT404 customer_not_found'; END IF;
    IF abs(amount) > (SELECT max_amount FROM rules) THEN RETURN '22023 amount_limit'; END IF;
    IF w.real_balance + amount < 0 THEN RETURN 'PT402 insufficient_funds'; END IF;
    UPDATE wallets SET real_balance = real_balance + amount WHERE phone = p;
    RETURN answer(amount, 0, '');
END $$;

CREATE FUNCTION do_cancel(credit bigint, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    l lots;
BEGIN
    SELECT * INTO l FROM lots WHERE credit_id = credit;
    IF NOT FOUND THEN RETURN 'PT404 credit_not_found'; END IF;
    IF l.status <> 'ACTIVE' OR l.expires_at <= at THEN RETURN 'PT409 credit_not_active'; END IF;
    PERFORM expire(l.phone, at);
    UPDATE lots SET status = 'CANCELLED', remaining = 0 WHERE number = l.number;
    RETURN answer(0, - l.remaining, credit || ':' || l.remaining);
END $$;

-- One step -----------------------------------------------------------------

CREATE FUNCTION mistake(step integer, what text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO mistakes VALUES (step, what)
$$;

CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;

-- Small amounts, so that wallets run dry; now and then one that is refused.
CREATE FUNCTION some_amount() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    r double precision := random();
BEGIN
    RETURN CASE WHEN r < 0.01 THEN 0 WHEN r < 0.02 THEN -5 WHEN r < 0.03 THEN 1000000001
                WHEN r < 0.3 THEN 1 + floor(random() * 10) WHEN r < 0.9 THEN 1 + floor(random() * 200)
                ELSE 1 + floor(random() * 1000) END;
END $$;

-- Compares the wallet of a customer with the model's, lot by lot.
CREATE FUNCTION compare(step integer, p text, what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found jsonb;
    wanted jsonb;
    found_lots text;
    wanted_lots text;
BEGIN
    SELECT to_jsonb(x) INTO found FROM (
        SELECT balance, virtual_balance, available, frozen, total_deposited, total_withdrawn, total_virtual_issued,
               total_virtual_used, total_virtual_expired FROM c360_wallet(p)) x;
    SELECT to_jsonb(x) INTO wanted FROM (
        SELECT real_balance AS balance,
               coalesce((SELECT sum(remaining) FROM lots l WHERE l.phone = p AND l.status = 'ACTIVE'), 0) AS virtual_balance,
               available(p, clock_timestamp()) AS available, frozen, deposited AS total_deposited,
               withdrawn AS total_withdrawn, issued AS total_virtual_issued, used AS total_virtual_used,
               expired AS total_virtual_expired FROM wallets WHERE phone = p) x;
    IF found IS DISTINCT FROM wanted THEN
        PERFORM mistake(step, format('%s: wallet of %s is %s, should be %s', what, p, found, wanted));
    END IF;
    SELECT string_agg(concat_ws(' ', v.id, v.kind, v.source_id, v.original_amount, v.remaining_amount, v.status, v.expires_at), ', '
                      ORDER BY v.id) INTO found_lots
    FROM c360.virtual_credits v JOIN c360.customers c ON c.id = v.customer_id WHERE c.phone = p;
    SELECT string_agg(concat_ws(' ', credit_id, kind, source, original, remaining, status, expires_at), ', ' ORDER BY number)
    INTO wanted_lots FROM lots WHERE phone = p;
    IF found_lots IS DISTINCT FROM wanted_lots THEN
        PERFORM mistake(step, format('%s: lots of %s are %s, should be %s', what, p, found_lots, wanted_lots));
    END IF;
END $$;

-- A movement by c360 and by the model.
CREATE FUNCTION move(step integer, operation text, p text, call text, k text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    full_call text := rtrim(call, ')') || CASE WHEN k IS NULL THEN '' ELSE format(', idempotency_key => %L', k) END || ')';
    known keys;
    r result;
    before_call timestamptz := clock_timestamp();
    outcome text;
    e expected;
    a c360_movement;
    owner text := p;
BEGIN
    r := ask(full_call);
    a := r.answer;
    r.at := coalesce((SELECT created_at FROM c360.wallet_transactions WHERE id = a.transaction_id), clock_timestamp());
    SELECT * INTO known FROM keys WHERE key = k;
    IF FOUND THEN
        -- the same call: its first answer; another one: refused. What is
        -- wrong with the arguments themselves is said before.
        IF r.outcome LIKE '22023 invalid_amount' AND known.call <> call THEN
            RETURN;
        END IF;
        outcome := CASE WHEN known.call = call THEN 'done' ELSE 'PT409 key_reused' END;
        INSERT INTO outcomes VALUES (operation, CASE outcome WHEN 'done' THEN 'replayed' ELSE outcome END);
        IF outcome = 'PT409 key_reused' AND r.outcome IN ('PT404 customer_not_found', 'PT404 transaction_not_found',
                                                           'PT404 credit_not_found') THEN
            outcome := r.outcome;
        END IF;
        IF r.outcome <> outcome THEN
            PERFORM mistake(step, format('%s is %s, should be %s', full_call, r.outcome, outcome));
        ELSIF outcome = 'done' AND (NOT a.replayed OR to_jsonb(a) - '{available,replayed}'::text[] <> known.answer
                                    OR a.available <> available(known.phone, clock_timestamp())) THEN
            PERFORM mistake(step, format('%s answers %s, should be %s', full_call, a, known.answer));
        END IF;
        PERFORM compare(step, known.phone, full_call);
        RETURN;
    END IF;
    IF r.outcome = 'done' AND NOT r.at BETWEEN before_call AND clock_timestamp() THEN
        PERFORM mistake(step, format('%s was written at %s', full_call, r.at));
    END IF;
    outcome := CASE operation
        WHEN 'deposit' THEN do_deposit(p, current_setting('model.amount')::numeric, r.at)
        WHEN 'issue' THEN do_issue(p, current_setting('model.amount')::numeric, current_setting('model.kind'),
                                   nullif(current_setting('model.source'), ''), nullif(current_setting('model.until'), '')::timestamptz,
                                   coalesce((a.lots -> 0 ->> 'credit_id')::bigint, - step), r.at)
        WHEN 'withdraw' THEN do_withdraw(p, current_setting('model.amount')::numeric, coalesce(a.transaction_id, - step), r.at)
        WHEN 'refund' THEN do_refund(current_setting('model.id')::bigint, nullif(current_setting('model.amount'), '')::numeric, r.at)
        WHEN 'adjust' THEN do_adjust(p, current_setting('model.amount')::numeric, r.at)
        WHEN 'cancel' THEN do_cancel(current_setting('model.id')::bigint, r.at) END;
    INSERT INTO outcomes VALUES (operation, outcome);
    IF r.outcome <> outcome THEN
        PERFORM mistake(step, format('%s is %s, should be %s', full_call, r.outcome, outcome));
        RETURN;
    END IF;
    IF outcome = 'done' THEN
        SELECT * INTO e FROM expected;
        IF operation IN ('refund', 'cancel') THEN
            SELECT phone INTO owner FROM (SELECT phone FROM withdrawals WHERE transaction_id = current_setting('model.id')::bigint
                AND operation = 'refund' UNION SELECT phone FROM lots WHERE credit_id = current_setting('model.id')::bigint
                AND operation = 'cancel') x;
        END IF;
        IF (a.real_change, a.virtual_change, a.amount, a.replayed,
            coalesce((SELECT string_agg((l ->> 'credit_id') || ':' || (l ->> 'amount'), ' ' ORDER BY n)
                      FROM jsonb_array_elements(a.lots) WITH ORDINALITY AS j (l, n)), ''), a.available)
           IS DISTINCT FROM (e.money::bigint, e.credit::bigint, abs(e.money + e.credit)::bigint, false, e.lots,
                             available(owner, r.at)::bigint) THEN
            PERFORM mistake(step, format('%s answers %s, should be %s', full_call, a, e));
        END IF;
        IF operation <> 'withdraw' THEN
            INSERT INTO other_rows VALUES (a.transaction_id, owner);
        END IF;
        IF k IS NOT NULL THEN
            INSERT INTO keys VALUES (k, call, to_jsonb(a) - '{available,replayed}'::text[], owner);
        END IF;
    END IF;
    IF EXISTS (SELECT FROM wallets WHERE phone = owner) THEN
        PERFORM compare(step, owner, full_call);
    END IF;
END $$;

CREATE FUNCTION step(step integer, customers integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p text := '09010000' || lpad((1 + floor(random() * customers))::integer::text, 2, '0');
    r double precision := random();
    k text;
    call text;
    amount numeric := some_amount();
    id bigint;
    l lots;
    n bigint;
    total numeric;
    expiry record;
BEGIN
    -- a key of a quarter of the calls; a third of these was used before, often for the very same call
    IF random() < 0.25 THEN
        k := 'key ' || step;
        IF random() < 0.33 THEN
            SELECT key, keys.call INTO k, call FROM keys ORDER BY random() LIMIT 1;
            IF FOUND AND random() < 0.7 THEN
                PERFORM move(step, 'replay', p, call, k);
                RETURN;
            END IF;
        END IF;
    END IF;
    PERFORM set_config('model.amount', amount::text, true);
    IF r < 0.16 THEN
        PERFORM move(step, 'deposit', p, format('c360_deposit(%L, %s)', p, amount), k);
    ELSIF r < 0.38 THEN
        PERFORM set_config('model.kind', pick('BOOM', 'MANUAL', 'PROMOTION'), true),
                set_config('model.source', pick('', '', 'a', 'b', (step % 20)::text, (step % 30)::text), true),
                set_config('model.until', coalesce(CASE pick('none', 'hour', 'day', 'month', 'tie', 'past')
                    WHEN 'hour' THEN clock_timestamp() + interval '1 hour' WHEN 'day' THEN clock_timestamp() + interval '1 day'
                    WHEN 'month' THEN clock_timestamp() + interval '30 days' WHEN 'tie' THEN '2099-01-01'::timestamptz
                    WHEN 'past' THEN CASE WHEN random() < 0.2 THEN clock_timestamp() - interval '1 second' END END::text, ''), true);
        PERFORM move(step, 'issue', p, format('c360_issue_credit(%L, %s, %L, %L, %L)', p, amount, current_setting('model.kind'),
            nullif(current_setting('model.source'), ''), nullif(current_setting('model.until'), '')), k);
    ELSIF r < 0.64 THEN
        PERFORM move(step, 'withdraw', p, format('c360_withdraw(%L, %s)', p, amount), k);
    ELSIF r < 0.80 THEN
        id := CASE WHEN random() < 0.9 THEN (SELECT transaction_id FROM withdrawals ORDER BY random() LIMIT 1)
                   ELSE (SELECT transaction_id FROM other_rows ORDER BY random() LIMIT 1) END;
        id := CASE WHEN id IS NULL OR random() < 0.02 THEN 9000000000000000000 ELSE id END;
        IF random() < 0.3 THEN
            amount := NULL;
        ELSIF random() < 0.5 THEN
            SELECT greatest(1, floor(random() * (w.real_left + coalesce(sum(q.amount_left), 0)))) INTO amount
            FROM withdrawals w LEFT JOIN parts q USING (transaction_id) WHERE w.transaction_id = id GROUP BY w.real_left;
        END IF;
        PERFORM set_config('model.id', id::text, true), set_config('model.amount', coalesce(amount::text, ''), true);
        PERFORM move(step, 'refund', p, format('c360_refund(%s, %L)', id, amount), k);
    ELSIF r < 0.84 THEN
        amount := CASE WHEN random() < 0.5 THEN - amount ELSE amount END;
        PERFORM set_config('model.amount', amount::text, true);
        PERFORM move(step, 'adjust', p, format('c360_adjust(%L, %s, %L)', p, amount, 'a good reason'), k);
    ELSIF r < 0.88 THEN
        id := CASE WHEN random() < 0.95 THEN (SELECT credit_id FROM lots ORDER BY status <> 'ACTIVE' AND random() < 0.8, random() LIMIT 1) END;
        PERFORM set_config('model.id', coalesce(id, 9000000000000000000)::text, true);
        PERFORM move(step, 'cancel', p, format('c360_cancel_credit(%s, %L)', coalesce(id, 9000000000000000000), 'a reason'), k);
    ELSIF r < 0.92 THEN
        -- time goes by for some lots
        FOR l IN SELECT * FROM lots WHERE status = 'ACTIVE' ORDER BY random() LIMIT 2 LOOP
            UPDATE lots SET expires_at = clock_timestamp() - interval '1 minute' * step WHERE number = l.number
            RETURNING * INTO l;
            UPDATE c360.virtual_credits SET expires_at = l.expires_at WHERE virtual_credits.id = l.credit_id;
            PERFORM compare(step, l.phone, 'time went by');
        END LOOP;
        INSERT INTO outcomes VALUES ('time', 'done');
    ELSIF r < 0.95 THEN
        SELECT count(*), coalesce(sum(remaining), 0) INTO n, total FROM lots WHERE status = 'ACTIVE' AND expires_at <= clock_timestamp();
        SELECT * INTO expiry FROM c360_expire_credits();
        PERFORM expire(phone, clock_timestamp()) FROM wallets;
        IF (expiry.expired_count, expiry.total_expired_amount) <> (n, total::bigint) THEN
            PERFORM mistake(step, format('c360_expire_credits answers %s, should be %s %s', expiry, n, total));
        END IF;
        PERFORM compare(step, phone, 'c360_expire_credits') FROM wallets;
        INSERT INTO outcomes VALUES ('expire', CASE n WHEN 0 THEN 'nothing' ELSE 'done' END);
    ELSIF r < 0.97 THEN
        IF EXISTS (SELECT FROM wallets WHERE phone = p) THEN
            UPDATE wallets SET frozen = NOT frozen AND random() < 0.4 WHERE phone = p;
            IF (SELECT frozen FROM wallets WHERE phone = p) THEN
                PERFORM c360_freeze_wallet(p, 'a reason');
            ELSE
                PERFORM c360_unfreeze_wallet(p);
            END IF;
            PERFORM compare(step, p, 'freeze');
            INSERT INTO outcomes VALUES ('freeze', 'done');
        END IF;
    ELSIF r < 0.99 THEN
        UPDATE wallets SET blacklisted = NOT blacklisted AND random() < 0.4 WHERE phone = p;
        UPDATE c360.customers SET tier = CASE WHEN w.blacklisted THEN 'blacklist' ELSE 'new' END
        FROM wallets w WHERE w.phone = p AND customers.phone = p;
        IF FOUND THEN
            PERFORM compare(step, p, 'blacklist');
            INSERT INTO outcomes VALUES ('blacklist', 'done');
        END IF;
    ELSE
        UPDATE rules SET grace_days = pick('0', '1', '7', '40')::integer, credit_days = pick('1', '15', '60')::integer,
                         max_amount = pick('1000000000', '150', '0')::numeric;
        PERFORM c360_set('refund_grace_days', grace_days::text), c360_set('credit_expiry_days', credit_days::text),
                c360_set('max_amount', max_amount::text) FROM rules;
        UPDATE rules SET max_amount = 9223372036854775807 WHERE max_amount = 0;
        INSERT INTO outcomes VALUES ('rules', 'done');
    END IF;
END $$;

CREATE FUNCTION run(seed double precision, steps integer, customers integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT diag(format('seed %s, %s steps, %s customers', seed, steps, customers));
    PERFORM setseed(seed);
    FOR i IN 1 .. steps LOOP
        PERFORM step(i, customers);
        EXIT WHEN (SELECT count(*) > 5 FROM mistakes);
    END LOOP;
    RETURN NEXT is_empty('SELECT step, what FROM model.mistakes', format('seed %s: c360 and the model agree', seed));
END $$;

SAVEPOINT clean;
SELECT run(0.42, :steps, :customers);
SELECT cmp_ok((SELECT count(*) FROM outcomes WHERE operation = t.operation AND outcome = t.outcome), '>=', 3::bigint,
              format('%s: %s', t.operation, t.outcome))
FROM (VALUES ('deposit', 'done'), ('deposit', '22023 invalid_amount'), ('deposit', '22023 amount_limit'), ('issue', 'done'),
    ('issue', 'PT409 credit_exists'), ('issue', '22023 expired'), ('withdraw', 'done'), ('withdraw', 'PT402 insufficient_funds'),
    ('withdraw', 'PT403 wallet_frozen'), ('withdraw', 'PT403 credit_blocked'), ('withdraw', '22023 amount_limit'),
    ('refund', 'done'), ('refund', 'PT409 refund_exceeds'), ('refund', 'PT409 not_refundable'),
    ('refund', 'PT404 transaction_not_found'), ('adjust', 'done'), ('adjust', 'PT402 insufficient_funds'), ('cancel', 'done'),
    ('cancel', 'PT409 credit_not_active'), ('cancel', 'PT404 credit_not_found'), ('replay', 'replayed'),
    ('withdraw', 'PT409 key_reused'), ('time', 'done'), ('expire', 'done'), ('freeze', 'done'), ('blacklist', 'done'),
    ('rules', 'done')) AS t (operation, outcome);
SELECT cmp_ok(n, '>=', least, format('%s: %s at least', what, least)) FROM (VALUES
    ('lots used', 100::bigint, (SELECT count(*) FROM parts)),
    ('withdrawals from several lots', 20, (SELECT count(*) FROM (SELECT FROM parts GROUP BY transaction_id HAVING count(*) > 1) p)),
    ('refunds to several lots', 5, (SELECT count(*) FROM (
        SELECT FROM c360.virtual_credit_uses JOIN c360.wallet_transactions t ON t.id = transaction_id AND t.type = 'REFUND'
        GROUP BY t.id HAVING count(*) > 1) p)),
    ('refunds to lots cancelled meanwhile', 3, (SELECT count(*) FROM c360.wallet_transactions
        WHERE type = 'VIRTUAL_CANCEL' AND operation = 'refund')),
    ('lots that expired again', 3, (SELECT count(*) FROM (SELECT FROM c360.wallet_transactions
        WHERE type = 'VIRTUAL_EXPIRE' GROUP BY credit_id HAVING count(*) > 1) p))) AS t (what, least, n);
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');
SELECT diag(string_agg(line, E'\n' ORDER BY line)) FROM (
    SELECT format('%s: %s', operation, string_agg(format('%s %s', n, outcome), ', ' ORDER BY n DESC)) AS line
    FROM (SELECT operation, outcome, count(*) AS n FROM outcomes GROUP BY 1, 2) o GROUP BY operation) l;
ROLLBACK TO clean;

-- and with a seed of the clock
SELECT run(round((extract(epoch FROM clock_timestamp()) * 1000)::numeric % 1000000 / 1000000, 6)::double precision, :steps, :customers);
SELECT is_empty('SELECT * FROM c360_verify_wallets()', 'the books are sound');

SELECT * FROM finish();
ROLLBACK;
