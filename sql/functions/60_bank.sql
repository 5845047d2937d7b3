-- Bank transfers. What stores, decides, links and deposits is in C.

CREATE FUNCTION @extschema@.c360_ingest_bank_transaction(payload jsonb) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_ingest_bank_transaction';
COMMENT ON FUNCTION @extschema@.c360_ingest_bank_transaction(jsonb) IS
'Takes one bank transfer in: stores it, finds the customer, links and deposits, once for each id.

payload: SePay''s webhook body: id, gateway, transactionDate (shop time unless it has a zone), accountNumber, transferType (in, out), transferAmount (đồng, 0 or more); and if known code, content, subAccount, accumulated, referenceCode, description. Or an element of SePay''s list: id, bank_brand_name, transaction_date, account_number, amount_in, amount_out and so on.
Answer: c360_bank_result: deposited; pending (staff must choose); unmatched; stored (outgoing or zero); failed (stored with the reason, which c360_bank_transaction_list shows; the job process_bank tries again); duplicate (the id is known, nothing changed).
Errors: 22004 missing_argument; 22023 invalid_payload, naming the field; 22003 a number past bigint; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_create_qr_code(phone text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_create_qr_code';
COMMENT ON FUNCTION @extschema@.c360_create_qr_code(text) IS
'The live QR code of a customer, made if there is none: a transfer whose content holds it is his.

phone: any spelling.
Answer: N2 and 16 letters or digits.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_ingest_bank_transactions(payloads jsonb, decide boolean DEFAULT true)
RETURNS SETOF @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_ingest_bank_transactions';
COMMENT ON FUNCTION @extschema@.c360_ingest_bank_transactions(jsonb, boolean) IS
'Takes many bank transfers in, as c360_ingest_bank_transaction() does each; one that is malformed or fails does not stop the others.

payloads: an array of 10,000 at most, of webhook bodies or elements of SePay''s list; or the answer of that list, whose array is in transactions. decide: false only stores them, and the job process_bank decides.
Beside calls that wait for a wallet of an earlier item one item may lose by deadlock (40P01): it is stored as failed for the job, or not at all while a single call with its id is storing it.
Answer: one c360_bank_result for each, in order; stored also for those not decided yet; failed without bank_transaction_id for a malformed one: a WARNING and c360.audit_logs say which and why.
Errors: 22004 missing_argument; 22023 invalid_payload (no array), too_many; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_sepay_webhook(jsonb) RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_sepay_webhook';
COMMENT ON FUNCTION @extschema@.c360_sepay_webhook(jsonb) IS
'What SePay''s webhook posts to, through PostgREST: takes the transfer in, if the request shows the key.

The header Authorization holds "Apikey " and the key, whose SHA-256 is the setting sepay_api_key_hash.
The argument: the body as SePay sends it, see c360_ingest_bank_transaction().
Answer: {"success": true, "result": ..., "bank_transaction_id": ...}, for a duplicate and a failed one, too.
Errors: PT401 wrong_key; 22004 missing_argument; 22023 invalid_payload; 22003 a number past bigint; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_link_transaction(bank_transaction_id bigint, phone text,
    customer_name text DEFAULT NULL, auto_deposit boolean DEFAULT true) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_link_transaction';
COMMENT ON FUNCTION @extschema@.c360_link_transaction(bigint, text, text, boolean) IS
'Links an incoming transfer to a customer by hand and deposits it. For the customer it is linked to already, it deposits if that was left out, else it changes nothing.

bank_transaction_id: of c360_bank_transaction_list. phone: any spelling; an unknown one creates the customer. customer_name: of a new customer. auto_deposit: false links without deposit.
Answer: c360_bank_result: deposited or linked. An open match of the transfer is resolved by it.
Errors: PT404 bank_transaction_not_found; PT409 not_incoming, already_linked; 22004 missing_argument; 22023 invalid_phone, blank; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unlink_transaction(bank_transaction_id bigint, reason text)
RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_unlink_transaction';
COMMENT ON FUNCTION @extschema@.c360_unlink_transaction(bigint, text) IS
'Ends the link of a transfer; its deposit is taken back by a row of the ledger of type ADJUSTMENT and source BANK_UNLINK, from a frozen wallet, too.

bank_transaction_id: of c360_bank_transaction_list. reason: 1 to 500 characters.
Answer: c360_bank_result: unlinked, with the transaction that took the deposit back, if there was one.
Errors: PT404 bank_transaction_not_found; PT409 not_linked, not_incoming, already_spent (DETAIL says what is missing, đồng); 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_resolve_match(match_id bigint, phone text, any_customer boolean DEFAULT false,
    note text DEFAULT NULL) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_resolve_match';
COMMENT ON FUNCTION @extschema@.c360_resolve_match(bigint, text, boolean, text) IS
'Says whose a transfer is that waits for it, links and deposits it.

match_id: of c360_pending_match_list. phone: of a customer whom the match lists, or a phone that it lists; an unknown one creates the customer. any_customer: any other customer will do; that he was not listed is recorded. note: 2,000 characters.
Answer: c360_bank_result: deposited.
Errors: PT404 match_not_found; PT409 already_resolved, match_skipped, not_a_candidate, already_linked; 22004 missing_argument; 22023 invalid_phone; 22001 too_long; 22003 overflow; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_skip_match(match_id bigint, reason text) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_skip_match';
COMMENT ON FUNCTION @extschema@.c360_skip_match(bigint, text) IS
'Sets a match aside: the transfer is nobody''s for now.

match_id: of c360_pending_match_list. reason: 1 to 500 characters.
Answer: c360_bank_result: skipped.
Errors: PT404 match_not_found; PT409 already_resolved, match_skipped; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_undo_skip_match(match_id bigint) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_undo_skip_match';
COMMENT ON FUNCTION @extschema@.c360_undo_skip_match(bigint) IS
'Takes up a match again that was skipped.

match_id: of c360_pending_match_list.
Answer: c360_bank_result: pending.
Errors: PT404 match_not_found; PT409 not_skipped, already_linked (by hand meanwhile); 22004 missing_argument; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_process_bank(max_rows integer DEFAULT 100) RETURNS TABLE (processed bigint, failed bigint)
LANGUAGE c VOLATILE ROWS 1 PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_process_bank';
COMMENT ON FUNCTION @extschema@.c360_process_bank(integer) IS
'Decides transfers that failed or were stored without a decision, those that are due; the job process_bank calls it. One that fails is due again after 5, 10, 20 and 40 minutes, and is given up after five tries, which c360_bank_transaction_list shows.

max_rows: 1 to 10,000.
Answer: how many were decided and how many failed.
Errors: 22023 out_of_range; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_rematch_transactions(from_date date, to_date date)
RETURNS TABLE (examined bigint, matched bigint)
LANGUAGE c VOLATILE ROWS 1 PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_rematch_transactions';
COMMENT ON FUNCTION @extschema@.c360_rematch_transactions(date, date) IS
'Looks at unmatched transfers again, for QR codes and whole phones alone, and deposits those whose customer is found now; where two are found the transfer waits for staff.

from_date, to_date: days of the shop (Asia/Ho_Chi_Minh) on which the bank booked them, both included.
Answer: how many were unmatched, and how many of them were linked.
Errors: 22004 missing_argument; 22023 out_of_range; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_retire_qr_code(code text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_retire_qr_code';
COMMENT ON FUNCTION @extschema@.c360_retire_qr_code(text) IS
'A QR code leads to nobody from now on; the customer may get another. Retired already: nothing changes.

code: N2 and 16 letters or digits, any case.
Errors: PT404 qr_code_not_found; 22004 missing_argument; 22023 blank; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_require_number(number text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    digits text := regexp_replace(@extschema@.c360_require_text('number', c360_require_number.number, 200, true), '[^0-9]', '', 'g');
BEGIN
    IF length(digits) NOT BETWEEN 5 AND 30 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'invalid number',
            DETAIL = format('invalid_number: "%s"', left(c360_require_number.number, 64)), HINT = 'Numbers have 5 to 30 digits.';
    END IF;
    RETURN coalesce(@extschema@.c360_normalize_phone(digits), digits);
END $$;
COMMENT ON FUNCTION @extschema@.c360_require_number(text) IS
'Internal: a number that c360_ignore_number() takes, as it is kept.

number: any spelling.
Answer: the phone, or the digits.
Errors: 22004 missing_argument; 22023 blank, invalid_number; 22001 too_long.';

CREATE FUNCTION @extschema@.c360_ignore_number(number text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    digits constant text := @extschema@.c360_require_number(c360_ignore_number.number);
    why constant text := @extschema@.c360_require_text('reason', c360_ignore_number.reason, 500, true);
    actor constant text := @extschema@.c360_current_actor();
BEGIN
    PERFORM @extschema@.c360_become_owner();
    IF (SELECT count(*) FROM c360.transfer_ignored AS i WHERE i.value <> digits) >= 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'too many items',
            DETAIL = 'too_many: 1000 numbers are ignored, no more are allowed';
    END IF;
    INSERT INTO c360.transfer_ignored AS i (value, reason, added_by) VALUES (digits, why, actor)
    ON CONFLICT (value) DO UPDATE SET reason = excluded.reason, added_by = excluded.added_by, added_at = clock_timestamp()
    WHERE i.reason <> excluded.reason;
END $$;
COMMENT ON FUNCTION @extschema@.c360_ignore_number(text, text) IS
'A number of the shop''s own that is never a customer in the content of a transfer: an account, the hotline. Again: another reason.

number: a phone in any spelling, or 5 to 30 digits. reason: 1 to 500 characters.
Errors: 22004 missing_argument; 22023 blank, invalid_number, too_many (1,000 are allowed); 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_unignore_number(number text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    digits constant text := @extschema@.c360_require_number(c360_unignore_number.number);
BEGIN
    PERFORM @extschema@.c360_become_owner();
    DELETE FROM c360.transfer_ignored AS i
    WHERE i.value = digits OR i.value = c360_unignore_number.number
       OR coalesce(@extschema@.c360_normalize_phone(i.value), regexp_replace(i.value, '[^0-9]', '', 'g')) = digits;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION @extschema@.c360_unignore_number(text) IS
'A number may be a customer''s again.

number: as c360_ignore_number() takes it.
Answer: whether it was ignored.
Errors: 22004 missing_argument; 22023 blank, invalid_number; 22001 too_long; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_reconcile_bank(from_date date, to_date date)
RETURNS TABLE (bank_transaction_id bigint, problem text, expected bigint, found bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF c360_reconcile_bank.from_date IS NULL OR c360_reconcile_bank.to_date IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'required argument is missing',
            DETAIL = 'missing_argument: ' || CASE WHEN c360_reconcile_bank.from_date IS NULL THEN 'from_date' ELSE 'to_date' END;
    END IF;
    PERFORM @extschema@.c360_require_days(c360_reconcile_bank.from_date, c360_reconcile_bank.to_date, NULL);
    PERFORM @extschema@.c360_become_owner();
    RETURN QUERY
    WITH incoming AS MATERIALIZED (
        SELECT b.id, b.transfer_amount, b.transfer_type, b.result FROM c360.balance_history AS b
        WHERE b.transaction_date >= c360_reconcile_bank.from_date::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh'
          AND b.transaction_date < (c360_reconcile_bank.to_date + 1)::timestamp AT TIME ZONE 'Asia/Ho_Chi_Minh'),
    links AS MATERIALIZED (
        SELECT i.id, i.transfer_amount, l.customer_id, l.unlinked_at, d.id AS deposit, d.amount AS deposited,
               d.customer_id AS payee, coalesce(- u.real_change, 0) AS taken,
               CASE WHEN l.unlinked_at IS NOT NULL THEN coalesce(d.amount, 0) ELSE 0 END AS to_take
        FROM incoming AS i
        CROSS JOIN LATERAL (        -- open and ended links have an index each
            SELECT o.id, o.customer_id, o.unlinked_at FROM c360.bank_links AS o
            WHERE o.bank_transaction_id = i.id AND o.unlinked_at IS NULL
            UNION ALL
            SELECT e.id, e.customer_id, e.unlinked_at FROM c360.bank_links AS e
            WHERE e.bank_transaction_id = i.id AND e.unlinked_at IS NOT NULL) AS l
        LEFT JOIN c360.wallet_transactions AS d ON d.bank_link_id = l.id AND d.type = 'DEPOSIT'
        LEFT JOIN c360.wallet_transactions AS u ON u.bank_link_id = l.id AND u.type = 'ADJUSTMENT')
    SELECT i.id, 'linked without deposit', i.transfer_amount, 0::bigint
    FROM links AS i WHERE i.unlinked_at IS NULL AND i.deposit IS NULL
    UNION ALL
    SELECT i.id, 'another amount deposited', i.transfer_amount, i.deposited
    FROM links AS i WHERE i.deposited <> i.transfer_amount
    UNION ALL
    SELECT i.id, 'deposited to another customer', i.customer_id, i.payee
    FROM links AS i WHERE i.payee <> i.customer_id
    UNION ALL
    SELECT i.id, CASE WHEN i.taken < i.to_take THEN 'unlinked but not taken back' ELSE 'taken back too much' END, i.to_take, i.taken
    FROM links AS i WHERE i.taken <> i.to_take
    UNION ALL
    SELECT i.id, 'said to be deposited but not linked', 1::bigint, 0::bigint
    FROM incoming AS i WHERE i.result IN ('deposited', 'linked')
      AND NOT EXISTS (SELECT FROM c360.bank_links AS l WHERE l.bank_transaction_id = i.id AND l.unlinked_at IS NULL)
    UNION ALL
    SELECT i.id, 'linked but not incoming', 0::bigint, i.transfer_amount
    FROM incoming AS i WHERE NOT (i.transfer_type = 'in' AND i.transfer_amount > 0)
      AND EXISTS (SELECT FROM c360.bank_links AS l WHERE l.bank_transaction_id = i.id AND l.unlinked_at IS NULL)
    ORDER BY 1, 2;
END $$;
COMMENT ON FUNCTION @extschema@.c360_reconcile_bank(date, date) IS
'Holds each transfer against the ledger: linked ones are deposited once, whole, to their customer, and what was unlinked was taken back.

from_date, to_date: days of the shop (Asia/Ho_Chi_Minh) on which the bank booked them, both included.
Answer: bank_transaction_id, problem, expected and found (đồng; ids of customers where the customer differs); empty when all is well. Links that were left without deposit on purpose are listed, too.
Errors: 22004 missing_argument; 22023 out_of_range; 55000 not installed.';
