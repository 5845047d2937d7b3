-- Bank transfers (C).

CREATE FUNCTION @extschema@.c360_ingest_bank_transaction(payload jsonb) RETURNS @extschema@.c360_bank_result
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_ingest_bank_transaction';
COMMENT ON FUNCTION @extschema@.c360_ingest_bank_transaction(jsonb) IS
'Takes one bank transfer in: stores it, finds the customer, links and deposits, once for each id.

payload: SePay''s webhook body: id, gateway, transactionDate (shop time unless it has a zone), accountNumber, transferType (in, out), transferAmount (đồng, 0 or more); and if known code, content, subAccount, accumulated, referenceCode, description.
Answer: c360_bank_result: deposited; pending (staff must choose); unmatched; stored (outgoing or zero); failed (stored with the reason in c360.balance_history.error); duplicate (the id is known, nothing changed).
Errors: 22004 missing_argument; 22023 invalid_payload, naming the field; 22003 a number past bigint; 25006 read only; 55000 not installed.';

CREATE FUNCTION @extschema@.c360_create_qr_code(phone text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'c360_create_qr_code';
COMMENT ON FUNCTION @extschema@.c360_create_qr_code(text) IS
'The live QR code of a customer, made if there is none: a transfer whose content holds it is his.

phone: any spelling.
Answer: N2 and 16 letters or digits.
Errors: PT404 customer_not_found; 22004 missing_argument; 22023 invalid_phone; 25006 read only; 55000 not installed.';
