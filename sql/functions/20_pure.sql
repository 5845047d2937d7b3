-- Pure functions: the only ones that everybody may call.

CREATE FUNCTION @extschema@.c360_version() RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_version';
COMMENT ON FUNCTION @extschema@.c360_version() IS
'Version of the code that runs.

Answer: text such as 0.2.0.';

CREATE FUNCTION @extschema@.c360_normalize_phone(raw text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_normalize_phone';
COMMENT ON FUNCTION @extschema@.c360_normalize_phone(text) IS
'Canonical form of a Vietnamese phone number in any spelling.

raw: text that holds one number, with +84, dots, blanks, full-width digits or an operator prefix of before 2018.
Answer: 0 and 9 or 10 more digits; NULL when raw holds no Vietnamese phone number.';

CREATE FUNCTION @extschema@.c360_phone_carrier(phone text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_carrier_of_phone';
COMMENT ON FUNCTION @extschema@.c360_phone_carrier(text) IS
'Carrier that a phone number was given out to.

phone: any spelling.
Answer: Viettel, Vinaphone, Mobifone, Vietnamobile, Gmobile, iTel, Wintel or landline; NULL for other prefixes and for what is no phone.';

CREATE FUNCTION @extschema@.c360_parse_transfer(content text, ignored text[] DEFAULT '{}')
RETURNS TABLE (kind text, value text, "position" integer, confidence real)
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_parse_transfer';
COMMENT ON FUNCTION @extschema@.c360_parse_transfer(text, text[]) IS
'All that could name the customer in the content of a bank transfer, the deciding candidate first.

content: as the bank sent it; NULL or blank gives no rows.
ignored: numbers that never count, in any spelling (the shop''s own accounts and hotline).
At most 1,000,000 bytes of content and 1,000 ignored numbers.
Answer: kind (qr_code, phone or part), value (upper case, normalized, as written), position (in characters, from 1), confidence (0 to 1).
Errors: 22001 too_long; 22023 too_many.';

CREATE FUNCTION @extschema@.c360_fold(raw text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_fold';
COMMENT ON FUNCTION @extschema@.c360_fold(text) IS
'Text as search compares it: lower case, without Vietnamese and other Latin accents, one blank between words and none around them.

raw: precomposed, with combining marks, full-width or plain.
Answer: the folded text; other scripts stay as they are.';

CREATE FUNCTION @extschema@.c360_vietqr_url(bank_bin text, account text, amount bigint, content text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'c360_vietqr_url';
COMMENT ON FUNCTION @extschema@.c360_vietqr_url(text, text, bigint, text) IS
'Address of the image of a VietQR code that fills in a transfer.

bank_bin: the bank''s number, 6 digits. account: letters and digits. amount: đồng; NULL = the payer says. content: 255 characters, such as the code of c360_create_qr_code(); NULL = the payer says.
Answer: an address of img.vietqr.io.
Errors: 22004 missing_argument; 22023 not_allowed, invalid_amount, blank; 22001 too_long.';
