-- What c360 is measured against: the same work by other means. 100,000 wallets
-- 0900000001.. with plenty of real balance; every second one has two lots.
\set ON_ERROR_STOP on
CREATE SCHEMA peer;

CREATE TABLE peer.wallets (
    customer_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phone           text NOT NULL UNIQUE,
    balance         bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
    virtual_balance bigint NOT NULL DEFAULT 0 CHECK (virtual_balance >= 0),
    total_withdrawn bigint NOT NULL DEFAULT 0,
    updated_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE TABLE peer.lots (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES peer.wallets,
    remaining   bigint NOT NULL CHECK (remaining >= 0),
    status      text NOT NULL DEFAULT 'ACTIVE',
    expires_at  timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON peer.lots (customer_id, expires_at, id) WHERE status = 'ACTIVE';
CREATE INDEX ON peer.lots (expires_at) WHERE status = 'ACTIVE';
CREATE TABLE peer.ledger (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id    bigint NOT NULL REFERENCES peer.wallets,
    type           text NOT NULL,
    real_change    bigint NOT NULL,
    virtual_change bigint NOT NULL,
    balance_after  bigint NOT NULL,
    virtual_after  bigint NOT NULL,
    note           text,
    idempotency_key text,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON peer.ledger (customer_id, id);
CREATE UNIQUE INDEX ON peer.ledger (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE peer.lot_uses (
    ledger_id  bigint NOT NULL REFERENCES peer.ledger,
    lot_id     bigint NOT NULL REFERENCES peer.lots,
    amount     bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, lot_id)
);
CREATE TABLE peer.activities (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xact        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    customer_id bigint,
    event       text NOT NULL,
    payload     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON peer.activities (customer_id, id);
CREATE INDEX ON peer.activities (xact);

INSERT INTO peer.wallets (phone, balance, virtual_balance)
SELECT '09' || lpad(i::text, 8, '0'), 1000000000000, CASE WHEN i % 2 = 0 THEN 1000000500 ELSE 0 END
FROM generate_series(1, 100000) i;
INSERT INTO peer.lots (customer_id, remaining, expires_at)
SELECT customer_id, l.remaining, now() + l.life
FROM peer.wallets, (VALUES (500::bigint, interval '10 days'), (1000000000, interval '15 days')) l (remaining, life)
WHERE customer_id % 2 = 0;

-- Withdrawal in PL/pgSQL, tuned by hand: one lock, one pass over the lots.
CREATE FUNCTION peer.withdraw(p_phone text, p_amount bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    w       peer.wallets;
    lot     record;
    need    bigint := p_amount;
    take    bigint;
    entry   bigint := nextval(pg_get_serial_sequence('peer.ledger', 'id'));
    used    peer.lot_uses[] := '{}';
BEGIN
    SELECT * INTO w FROM peer.wallets WHERE phone = p_phone FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such wallet';
    END IF;
    IF w.balance + w.virtual_balance < p_amount THEN
        RAISE EXCEPTION 'insufficient funds';
    END IF;
    FOR lot IN
        SELECT id, remaining, expires_at FROM peer.lots
        WHERE customer_id = w.customer_id AND status = 'ACTIVE' AND expires_at > now()
        ORDER BY expires_at, id
    LOOP
        EXIT WHEN need = 0;
        take := least(need, lot.remaining);
        UPDATE peer.lots SET remaining = remaining - take,
               status = CASE WHEN remaining = take THEN 'USED' ELSE status END
        WHERE id = lot.id;
        used := used || (entry, lot.id, take, lot.expires_at)::peer.lot_uses;
        need := need - take;
    END LOOP;
    UPDATE peer.wallets SET balance = balance - need, virtual_balance = virtual_balance - (p_amount - need),
           total_withdrawn = total_withdrawn + p_amount, updated_at = now()
    WHERE customer_id = w.customer_id;
    INSERT INTO peer.ledger (id, customer_id, type, real_change, virtual_change, balance_after, virtual_after)
    OVERRIDING SYSTEM VALUE
    VALUES (entry, w.customer_id, 'WITHDRAW', -need, need - p_amount, w.balance - need,
            w.virtual_balance - (p_amount - need));
    IF used <> '{}' THEN
        INSERT INTO peer.lot_uses SELECT * FROM unnest(used);
    END IF;
    INSERT INTO peer.activities (customer_id, event, payload)
    VALUES (w.customer_id, 'wallet.withdraw',
            jsonb_build_object('phone', p_phone, 'amount', p_amount, 'balance', w.balance - need,
                               'transaction', entry));
    RETURN entry;
END $$;

-- The same, announced the usual way: NOTIFY inside the transaction.
CREATE FUNCTION peer.withdraw_notify(p_phone text, p_amount bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('peer_wallets', json_build_object('phone', p_phone, 'amount', p_amount)::text);
    RETURN peer.withdraw(p_phone, p_amount);
END $$;

-- Expiry row by row, and right beside other clients, as c360's is: a wallet is
-- locked before its lot is read again, one that somebody holds is left for
-- later, and every 500 lots are committed.
CREATE PROCEDURE peer.expire_all()
LANGUAGE plpgsql AS $$
DECLARE
    lot    record;
    w      record;
    amount bigint;
    done   bigint;
BEGIN
    LOOP
        done := 0;
        FOR lot IN SELECT id, customer_id FROM peer.lots
                   WHERE status = 'ACTIVE' AND expires_at <= now() ORDER BY expires_at LIMIT 500
        LOOP
            PERFORM FROM peer.wallets WHERE customer_id = lot.customer_id FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            SELECT remaining INTO amount FROM peer.lots WHERE id = lot.id AND status = 'ACTIVE';
            CONTINUE WHEN NOT FOUND;
            UPDATE peer.lots SET remaining = 0, status = 'EXPIRED' WHERE id = lot.id;
            UPDATE peer.wallets SET virtual_balance = virtual_balance - amount, updated_at = now()
            WHERE customer_id = lot.customer_id RETURNING balance, virtual_balance INTO w;
            INSERT INTO peer.ledger (customer_id, type, real_change, virtual_change, balance_after, virtual_after)
            VALUES (lot.customer_id, 'VIRTUAL_EXPIRE', 0, - amount, w.balance, w.virtual_balance);
            INSERT INTO peer.activities (customer_id, event, payload)
            VALUES (lot.customer_id, 'wallet.virtual_expired',
                    jsonb_build_object('lot', lot.id, 'amount', amount, 'balance', w.virtual_balance));
            done := done + 1;
        END LOOP;
        COMMIT;
        EXIT WHEN done = 0;
    END LOOP;
END $$;

-- Phone normalization with regular expressions, the commonest rules only.
CREATE FUNCTION peer.normalize_phone(raw text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    digits text := regexp_replace(raw, '[^0-9]', '', 'g');
BEGIN
    digits := regexp_replace(digits, '^0084', '');
    digits := regexp_replace(digits, '^84(?=0?[0-9]{9,10}$)', '');
    IF digits ~ '^[1-9][0-9]{8}$' THEN
        digits := '0' || digits;
    END IF;
    IF digits ~ '^0[1-9][0-9]{8,9}$' THEN
        RETURN digits;
    END IF;
    RETURN NULL;
END $$;

VACUUM ANALYZE;
