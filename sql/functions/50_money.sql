-- Movements of money (C).

CREATE FUNCTION @extschema@.c360_deposit(phone text, amount bigint, source text DEFAULT 'MANUAL',
    reference_type text DEFAULT NULL, reference_id text DEFAULT NULL, note text DEFAULT NULL,
    idempotency_key text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_deposit';
COMMENT ON FUNCTION @extschema@.c360_deposit(text, bigint, text, text, text, text, text, timestamptz) IS
'Puts real money into a customer''s wallet; an unknown phone creates the customer.

phone: any spelling. amount: đồng, positive, at most the setting max_amount. source: RETURN_GOODS, MANUAL or ORDER_CANCEL. reference_type, reference_id: what the deposit belongs to, 200 characters. note: 2,000 characters. idempotency_key: 200 characters; the same call with the same key is done once. occurred_at: when it happened outside, 2000 to now.
Answer: c360_movement.
Errors: 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit, not_allowed, invalid_date; 22001 too_long; 22003 overflow; PT409 key_reused; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_issue_credit(phone text, amount bigint, kind text DEFAULT 'COMPENSATION',
    source_id text DEFAULT NULL, expires_at timestamptz DEFAULT NULL, note text DEFAULT NULL,
    idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_issue_credit';
COMMENT ON FUNCTION @extschema@.c360_issue_credit(text, bigint, text, text, timestamptz, text, text) IS
'Issues store credit as a lot with its own expiry; an unknown phone creates the customer.

phone: any spelling. amount: đồng, positive, at most the setting max_amount. kind: BOOM, RETURN_SHIPPER, COMPENSATION, PROMOTION or MANUAL. source_id: what it is for, 200 characters; at most one credit that is not CANCELLED for each customer, kind and source_id. expires_at: in the future; NULL = the setting credit_expiry_days from now. note: 2,000 characters. idempotency_key: 200 characters.
Answer: c360_movement; lots holds the new lot.
Errors: 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit, not_allowed, invalid_date, expired; 22001 too_long; 22003 overflow; PT409 key_reused, credit_exists; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_withdraw(phone text, amount bigint, order_id text DEFAULT NULL,
    note text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_withdraw';
COMMENT ON FUNCTION @extschema@.c360_withdraw(text, bigint, text, text, text) IS
'Takes money out of a wallet: lots first, soonest expiry first and then lowest id, then real balance.

phone: any spelling. amount: đồng, positive, at most the setting max_amount. order_id: the order it pays, 200 characters. note: 2,000 characters. idempotency_key: 200 characters; the same call with the same key is done once.
Answer: c360_movement; lots in order of use.
Errors: PT402 insufficient_funds; PT403 wallet_frozen, credit_blocked; PT404 customer_not_found; PT409 key_reused; 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_refund(transaction_id bigint, amount bigint DEFAULT NULL,
    note text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_refund';
COMMENT ON FUNCTION @extschema@.c360_refund(bigint, bigint, text, text) IS
'Gives a withdrawal back, whole or in part: credit first, the lot used last first, then real balance.

transaction_id: a WITHDRAW of the ledger. amount: đồng, positive; NULL = all that is left to refund. note: 2,000 characters. idempotency_key: 200 characters.
A restored lot lives until the later of its own date and the setting refund_grace_days from now; what belongs to a cancelled lot is restored and cancelled at once.
Answer: c360_movement; lots holds what came back.
Errors: PT404 transaction_not_found; PT409 not_refundable, refund_exceeds, key_reused; 22004 missing_argument; 22023 invalid_amount; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_adjust(phone text, amount bigint, reason text, reference_type text DEFAULT NULL,
    reference_id text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_adjust';
COMMENT ON FUNCTION @extschema@.c360_adjust(text, bigint, text, text, text, text) IS
'Corrects the real balance up or down, of a frozen wallet, too.

phone: any spelling. amount: đồng, signed, not 0, at most the setting max_amount either way. reason: 10 to 500 characters. reference_type, reference_id: what is corrected, 200 characters. idempotency_key: 200 characters.
Answer: c360_movement.
Errors: PT402 insufficient_funds; PT404 customer_not_found; PT409 key_reused; 22004 missing_argument; 22023 invalid_phone, invalid_amount, amount_limit, reason_too_short; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_cancel_credit(credit_id bigint, reason text, idempotency_key text DEFAULT NULL)
RETURNS @extschema@.c360_movement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_cancel_credit';
COMMENT ON FUNCTION @extschema@.c360_cancel_credit(bigint, text, text) IS
'Takes back what remains of an ACTIVE lot.

credit_id: the lot. reason: 1 to 500 characters. idempotency_key: 200 characters.
Answer: c360_movement.
Errors: PT404 credit_not_found; PT409 credit_not_active, key_reused; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_freeze_wallet(phone text, reason text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_freeze_wallet';
COMMENT ON FUNCTION @extschema@.c360_freeze_wallet(text, text) IS
'Freezes a wallet: withdrawals are refused, everything else goes on. A frozen wallet is left alone.

phone: any spelling. reason: 1 to 500 characters.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unfreeze_wallet(phone text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_unfreeze_wallet';
COMMENT ON FUNCTION @extschema@.c360_unfreeze_wallet(text) IS
'Lifts the freeze of a wallet. A wallet that is not frozen is left alone.

phone: any spelling.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_expire_credits(max_lots integer DEFAULT NULL)
RETURNS TABLE (expired_count bigint, total_expired_amount bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'c360_expire_credits';
COMMENT ON FUNCTION @extschema@.c360_expire_credits(integer) IS
'Expires lots that are past their time, in one transaction; wallets that somebody holds are passed over.

max_lots: at most so many, positive; NULL = all.
Answer: how many lots, and the đồng they still held.
Errors: 22023 invalid_count; 25006 read only; 55000 not installed.';

-- Commits between batches, so that no client waits longer than one batch.
-- A procedure that commits must neither be SECURITY DEFINER nor have a SET.
CREATE PROCEDURE @extschema@.c360_expire_all()
LANGUAGE plpgsql
AS $$
DECLARE
    expired bigint;
BEGIN
    LOOP
        SELECT e.expired_count INTO expired FROM @extschema@.c360_expire_credits(500) AS e;
        COMMIT;                 -- at the end, too: refused in a transaction block whatever there is to do
        EXIT WHEN expired OPERATOR(pg_catalog.=) 0;
    END LOOP;
END $$;
COMMENT ON PROCEDURE @extschema@.c360_expire_all() IS
'Expires all lots that are past their time, 500 at a time with a commit after each; for pg_cron and the job runner.

Errors: 25006 read only; 2D000 inside a transaction block; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_get_or_create_customer(phone text, name text DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_get_or_create_customer';
COMMENT ON FUNCTION @extschema@.c360_get_or_create_customer(text, text) IS
'Id of the customer with this phone, created if there is none; safe when many call it at once.

phone: any spelling. name: of a new customer, 255 characters; NULL = Khách hàng mới. A known customer keeps his name.
Answer: customer id.
Errors: 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 25006 read only; 55000 not installed.';
