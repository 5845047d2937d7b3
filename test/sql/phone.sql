-- Phone numbers (section 2).  Each list is followed by the number of its rows
-- and by the rows that differ, which must be none.

-- The shared vectors, as in test/data/phone.tsv.
CREATE TEMP TABLE phone_vectors (raw text, normalized text);
INSERT INTO phone_vectors VALUES
	('84912345678', '0912345678'),
	('912345678', '0912345678'),
	('+84 0912345678', '0912345678'),
	('+840912345678', '0912345678'),
	('0912 345 678', '0912345678'),
	('0912.345.678', '0912345678'),
	('0912-345-678', '0912345678'),
	('(+84)912345678', '0912345678'),
	('01234567890', '0834567890'),
	('841234567890', '0834567890'),
	('+84 123 456 7890', '0834567890'),
	('abc', NULL),
	('', NULL),
	('   ', NULL),
	('091234567890', NULL),
	(U&'\FF0B\FF18\FF14\FF19\FF11\FF12\FF13\FF14\FF15\FF16\FF17\FF18', '0912345678'),
	(U&'0912\200B345678', '0912345678'),
	('02838221234', '02838221234'),
	('+842838221234', '02838221234'),
	('842838221234', '02838221234'),
	('841234567', '0841234567'),
	('0841234567', '0841234567'),
	('84841234567', '0841234567'),
	('1900 1234', NULL),
	('113', NULL),
	('0901234567/0912345678', NULL),
	('tel:+84-91-234-5678', '0912345678'),
	('0912345678 (Lan)', '0912345678'),
	('00912345678', NULL),
	('84 84 123 4567', '0841234567'),
	('0162 345 6789', '0323456789'),
	('0199 888 7777', '0598887777'),
	('0186-123-4567', '0561234567'),
	('+1 415 555 2671', NULL),
	('+84 24 3936 2020', '02439362020'),
	('0939362020', '0939362020'),
	('84939362020', '0939362020'),
	('939 362 020', '0939362020'),
	(U&'\0660\0669\0661\0662\0663\0664\0665\0666\0667\0668', NULL),
	('-0912345678', '0912345678'),
	(E'0912345678\n', '0912345678'),
	('0000000000', NULL),
	('0123456789', '0123456789'),
	('008412345', NULL),
	('+8484 0841234567', NULL);
SELECT count(*) FROM phone_vectors;
SELECT raw, normalized, c360_normalize_phone(raw) AS answer
FROM phone_vectors
WHERE c360_normalize_phone(raw) IS DISTINCT FROM normalized;

-- Both sides of each rule.
CREATE TEMP TABLE phone_cases (rule text, raw text, normalized text);
INSERT INTO phone_cases VALUES
	-- Rule 1: digits, ASCII and full-width, and nothing else.
	('1 letters between', 'sdt0912x345y678z', '0912345678'),
	('1 full-width and ASCII', U&'\FF10\FF1912345678', '0912345678'),
	('1 other digits dropped', U&'0912345678\0661', '0912345678'),
	('1 superscripts dropped', U&'0912345678\00B2', '0912345678'),
	('1 next to full-width digits', U&'\FF0F0912345678\FF1A', '0912345678'),
	('1 no-break spaces', U&'0912\00A0345\00A0678', '0912345678'),
	('1 Vietnamese', U&'S\0110T: 0912345678', '0912345678'),
	('1 one digit a word', '0 9 1 2 3 4 5 6 7 8', '0912345678'),
	('1 every digit counts', '0912345678 x2', '09123456782'),
	('1 every digit counts', '0912345678 x23', NULL),
	('1 only country code', '+84', NULL),
	-- Rule 2: 0084 always.
	('2 0084 and 9 digits', '0084912345678', '0912345678'),
	('2 0084, 0 and 9 digits', '00840912345678', '0912345678'),
	('2 0084 and 10 digits', '00842838221234', '02838221234'),
	('2 0084, 0 and 10 digits', '008402838221234', '02838221234'),
	('2 0084 and 8 digits', '008491234567', NULL),
	('2 0084 and 11 digits', '008491234567890', NULL),
	('2 0084 and two zeros', '008400912345678', NULL),
	('2 0084 once', '00840084912345678', NULL),
	('2 0084 not in front', '840084912345678', NULL),
	('2 0084, any 10 digits', '00843123456789', '03123456789'),
	-- Rule 2: 84 when 9 or 10 digits follow, or 0 and 9 or 10.
	('2 84 and 8 digits', '8491234567', NULL),
	('2 84 and 9 digits', '84912345678', '0912345678'),
	('2 84 and 10 digits', '841234567890', '0834567890'),
	('2 84 and 11 digits', '8412345678901', NULL),
	('2 84, 0 and 8 digits', '84091234567', NULL),
	('2 84, 0 and 9 digits', '840912345678', '0912345678'),
	('2 84, 0 and 10 digits', '8402838221234', '02838221234'),
	('2 84, 0 and 11 digits', '84028382212345', NULL),
	('2 84, two zeros, 8 digits', '840091234567', NULL),
	('2 84 of the number itself', '84 8412 34567', '0841234567'),
	('2 84 once', '848484912345678', NULL),
	-- Rule 2: 0084 and then 84.
	('2 0084 84 and 9 digits', '008484912345678', '0912345678'),
	('2 0084 84 and 10 digits', '0084 84 1234567890', '0834567890'),
	('2 0084 84, 0 and 9 digits', '0084 84 0912345678', '0912345678'),
	('2 0084 84, 0 and 10 digits', '0084 84 02838221234', '02838221234'),
	('2 0084 84 and 7 digits', '0084 841234567', '0841234567'),
	('2 0084 84 and 8 digits', '0084 84 12345678', '08412345678'),
	('2 0084 84 84 and 7 digits', '0084 84 841234567', '0841234567'),
	('2 0084 84 84 and 9 digits', '0084 84 84912345678', NULL),
	('2 18 digits', '0084 84 0283822123 45', NULL),
	-- Rule 3: a bare number.
	('3 8 digits', '91234567', NULL),
	('3 9 digits', '912345678', '0912345678'),
	('3 9 digits with 0', '012345678', NULL),
	('3 10 digits with 2', '2838221234', '02838221234'),
	('3 10 digits with 3', '3838221234', NULL),
	('3 10 digits with 1', '1691234567', NULL),
	('3 9 digits with 84', '841234567', '0841234567'),
	('3 9 digits with 2', '283822123', '0283822123'),
	('3 11 digits', '28382212345', NULL),
	-- Rule 4: old prefixes, each once.
	('4', '01621234567', '0321234567'), ('4', '01631234567', '0331234567'),
	('4', '01641234567', '0341234567'), ('4', '01651234567', '0351234567'),
	('4', '01661234567', '0361234567'), ('4', '01671234567', '0371234567'),
	('4', '01681234567', '0381234567'), ('4', '01691234567', '0391234567'),
	('4', '01201234567', '0701234567'), ('4', '01211234567', '0791234567'),
	('4', '01221234567', '0771234567'), ('4', '01261234567', '0761234567'),
	('4', '01281234567', '0781234567'), ('4', '01231234567', '0831234567'),
	('4', '01241234567', '0841234567'), ('4', '01251234567', '0851234567'),
	('4', '01271234567', '0811234567'), ('4', '01291234567', '0821234567'),
	('4', '01861234567', '0561234567'), ('4', '01881234567', '0581234567'),
	('4', '01991234567', '0591234567'),
	('4 no such prefix', '01611234567', '01611234567'),
	('4 no such prefix', '01851234567', '01851234567'),
	('4 ten digits', '0162123456', '0162123456'),
	('4 twelve digits', '016212345678', NULL),
	('4 with country code', '+84 162 123 4567', '0321234567'),
	('4 with country code and 0', '+84 0162 123 4567', '0321234567'),
	('4 with 0084', '0084 162 123 4567', '0321234567'),
	-- Rule 5: 0, another digit, 8 or 9 more.
	('5 nine digits', '091234567', NULL),
	('5 ten digits', '0312345678', '0312345678'),
	('5 eleven digits', '03123456789', '03123456789'),
	('5 twelve digits', '031234567890', NULL),
	('5 two zeros', '0012345678', NULL),
	('5 no leading zero', '1900123456', NULL);
SELECT count(*) FROM phone_cases;
SELECT rule, raw, normalized, c360_normalize_phone(raw) AS answer
FROM phone_cases
WHERE c360_normalize_phone(raw) IS DISTINCT FROM normalized;

-- A canonical phone comes out of every spelling of itself.
SELECT count(*) FROM phone_cases WHERE normalized IS NOT NULL;
SELECT DISTINCT normalized, spelling
FROM phone_cases,
	unnest(ARRAY['', '+84', '84', '0084', '0084 84 ']) AS country,
	unnest(ARRAY[normalized, substr(normalized, 2)]) AS number,
	concat(country, number) AS spelling
WHERE (country <> '' OR number = normalized)
	AND c360_normalize_phone(spelling) IS DISTINCT FROM normalized;

-- Length alone is no trouble.
SELECT c360_normalize_phone(repeat(' ', 1000000) || '0912345678') AS late,
	c360_normalize_phone(repeat('0912345678', 100000)) AS many,
	c360_normalize_phone(NULL) AS nothing;

-- Carriers, both ends of each span and the numbers next to it.
CREATE TEMP TABLE carrier_cases (phone text, carrier text);
INSERT INTO carrier_cases VALUES
	('0861234567', 'Viettel'), ('0961234567', 'Viettel'),
	('0971234567', 'Viettel'), ('0981234567', 'Viettel'),
	('0321234567', 'Viettel'), ('0351234567', 'Viettel'),
	('0391234567', 'Viettel'),
	('0311234567', NULL), ('0301234567', NULL), ('0401234567', NULL),
	('0951234567', NULL),
	('0881234567', 'Vinaphone'), ('0911234567', 'Vinaphone'),
	('0941234567', 'Vinaphone'), ('0811234567', 'Vinaphone'),
	('0831234567', 'Vinaphone'), ('0851234567', 'Vinaphone'),
	('0801234567', NULL),
	('0891234567', 'Mobifone'), ('0901234567', 'Mobifone'),
	('0931234567', 'Mobifone'), ('0701234567', 'Mobifone'),
	('0761234567', 'Mobifone'), ('0771234567', 'Mobifone'),
	('0791234567', 'Mobifone'),
	('0711234567', NULL), ('0751234567', NULL),
	('0521234567', 'Vietnamobile'), ('0561234567', 'Vietnamobile'),
	('0581234567', 'Vietnamobile'), ('0921234567', 'Vietnamobile'),
	('0511234567', NULL), ('0531234567', NULL), ('0541234567', NULL),
	('0571234567', NULL), ('0501234567', NULL),
	('0591234567', 'Gmobile'), ('0991234567', 'Gmobile'),
	('0871234567', 'iTel'), ('0551234567', 'Wintel'),
	('0201234567', 'landline'), ('02838221234', 'landline'),
	('0291234567', 'landline'), ('02912345678', 'landline'),
	('0191234567', NULL), ('0601234567', NULL),
	-- Eleven digits are a landline's only.
	('09123456789', NULL), ('03212345678', NULL), ('08612345678', NULL),
	-- Any spelling.
	('+84 91 234 5678', 'Vinaphone'), ('0169 123 4567', 'Viettel'),
	('912345678', 'Vinaphone'), ('(028) 3822 1234', 'landline'),
	('2838221234', 'landline'),
	('abc', NULL), ('', NULL), ('113', NULL), ('1900 1234', NULL);
SELECT count(*) FROM carrier_cases;
SELECT phone, carrier, c360_phone_carrier(phone) AS answer
FROM carrier_cases
WHERE c360_phone_carrier(phone) IS DISTINCT FROM carrier;
