-- Candidates in transfer contents (section 6, rules 1 to 5).  Each list is
-- followed by the number of its rows and by the rows that differ, which must
-- be none.

-- All candidates as one text: kind value confidence, the deciding one first.
CREATE FUNCTION pg_temp.candidates(content text, ignored text[]) RETURNS text
LANGUAGE sql AS $$
	SELECT coalesce(string_agg(format('%s %s %s', kind, value, confidence),
							   ', ' ORDER BY number), '')
	FROM c360_parse_transfer(content, ignored)
		WITH ORDINALITY AS found (kind, value, "position", confidence, number)
$$;

-- The shared vectors, as in test/data/transfers.tsv.
CREATE TEMP TABLE transfer_vectors (content text, decides_by text, value text);
INSERT INTO transfer_vectors VALUES
	('0901234567 GD: 123456', 'phone', '0901234567'),
	('NGUYEN VAN A-GD 123', 'none', NULL),
	('456788 tam GD 5363IBT1fW6EKWXV', 'part', '456788'),
	('NGUYEN VAN A 0912345678-GD 123', 'phone', '0912345678'),
	('CT DEN:0123456789 ND:0909500000', 'phone', '0909500000'),
	('N2ABCD1234EFGH5678 0901234567 GD: 123', 'phone', '0901234567'),
	('CT DEN:123 ND:51111 thanh toan', 'part', '51111'),
	('GD 850000 - 51111-GD TIEN HANG TAO SHOP', 'part', '51111'),
	('113524023776-0396510000-650001', 'part', '650001'),
	('113524023776-0396510000-0908123456 tra no', 'phone', '0908123456'),
	('MBVCB.12459068036.249370.220001.CT tu 0141000830000 NGUYEN THI A toi 75918', 'part', '220001'),
	('MBVCB.14546195952.249371.0908123456 coc ao.CT tu 0141000830000 NGUYEN THI A toi 75918', 'phone', '0908123456'),
	('ACB;75918;CustomerName40001-GD-930001-250526-16:14:51', 'part', '930001'),
	('Thanh xuan FT26145253410062 GD 6145IBT1kCSKDLAU 250526-17:35:38', 'none', NULL),
	('coc shop nhi judy-GD-380001-040626-10:11:12', 'part', '380001'),
	('LE THI C FT26155100277410 GD 6155IBT1kCM75CHV', 'none', NULL),
	('ACB;75918;LE D 440001 GD 6022VBAAA2YPZSU3', 'part', '440001'),
	('IBFT 890001 tien hang', 'part', '890001'),
	('IB HONG VAN 870001', 'part', '870001'),
	('QR - 930002', 'part', '930002'),
	('IB VO TRINH chuyen tien', 'none', NULL),
	('0826410000 coc 200k 5 don', 'phone', '0826410000'),
	('CK', 'none', NULL),
	('0111000150000 chuyen khoan', 'none', NULL),
	('14472710000 ck', 'none', NULL),
	('797950000 tien hang', 'part', '797950000'),
	('84912340000 ck', 'phone', '0912340000'),
	('+84912340000 ck', 'phone', '0912340000'),
	('n2abcd1234efgh5678 ck', 'none', NULL),
	('chuyen tien mua iphone', 'none', NULL),
	('CK 0901111111 mua hang', 'phone', '0901111111'),
	('0977888999 nop tien', 'phone', '0977888999'),
	('01691234567 tra tien', 'phone', '0391234567'),
	('XN2ABCD1234EFGH5678Y', 'none', NULL),
	('don NJD/2026/12345 sdt 0905555555', 'phone', '0905555555'),
	(U&'Nguy\1EC5n V\0103n \00C1 chuy\1EC3n kho\1EA3n 0912.345.678', 'phone', '0912345678'),
	('ck ao so 12 0908123456x2', 'phone', '0908123456');
SELECT count(*) FROM transfer_vectors;
SELECT content, vectors.decides_by, vectors.value,
	answer.decides_by AS answer, answer.value AS answer_value
FROM transfer_vectors AS vectors, LATERAL (
	SELECT
		CASE
			WHEN count(*) FILTER (WHERE kind = 'phone') > 1 THEN 'several'
			WHEN count(*) FILTER (WHERE kind = 'phone') = 1 THEN 'phone'
			WHEN count(*) FILTER (WHERE kind = 'part') > 0 THEN 'part'
			ELSE 'none'
		END,
		coalesce(string_agg(found.value, ',' ORDER BY number)
					FILTER (WHERE kind = 'phone'),
				 (array_agg(found.value ORDER BY number)
					FILTER (WHERE kind = 'part'))[1])
	FROM c360_parse_transfer(vectors.content, ARRAY['75918'])
		WITH ORDINALITY AS found (kind, value, "position", confidence, number)
) AS answer (decides_by, value)
WHERE (answer.decides_by, answer.value)
	IS DISTINCT FROM (vectors.decides_by, vectors.value);

-- Both sides of each rule.
CREATE TEMP TABLE transfer_cases (rule text, content text, candidates text);
INSERT INTO transfer_cases VALUES
	-- Rule 1: N2 and 16 letters or digits, a word of its own.
	('1 any case', 'ck n2AbCd1234efgh5678', 'qr_code N2ABCD1234EFGH5678 1'),
	('1 15 behind N2', 'N2ABCD1234EFGH567', ''),
	('1 17 behind N2', 'N2ABCD1234EFGH56789', 'part 56789 0.3'),
	('1 letter before', 'XN2ABCD1234EFGH5678', ''),
	('1 letter behind', 'N2ABCD1234EFGH5678x', ''),
	('1 Vietnamese letter before', U&'\0110N2ABCD1234EFGH5678', ''),
	('1 Vietnamese letter behind', U&'N2ABCD1234EFGH5678\1EBF', ''),
	('1 Vietnamese letter in it', U&'N2ABCD1234EFGH567\1EBF', ''),
	('1 signs around', '(N2ABCD1234EFGH5678)', 'qr_code N2ABCD1234EFGH5678 1'),
	('1 dashes around', 'QR-N2ABCD1234EFGH5678-GD',
	 'qr_code N2ABCD1234EFGH5678 1'),
	('1 dots around', 'IBFT.N2ABCD1234EFGH5678.ck',
	 'qr_code N2ABCD1234EFGH5678 1'),
	('1 no-break spaces around', U&'QR\00A0N2ABCD1234EFGH5678\00A0ck',
	 'qr_code N2ABCD1234EFGH5678 1'),
	('1 its digits are no phone', 'N20912345678912345',
	 'qr_code N20912345678912345 1'),
	('1 its digits are no part', 'N2123456ABCDEFGHIJ 5',
	 'qr_code N2123456ABCDEFGHIJ 1'),
	('1 digits of a longer word', 'XN2123456ABCDEFGHIJ', 'part 2123456 0.5'),
	('1 its digits are not joined', '0912 N2345678ABCDEFGHIJ',
	 'qr_code N2345678ABCDEFGHIJ 1'),
	('1 two', 'N2AAAABBBBCCCCDDDD n2AAAABBBBCCCCEEEE',
	 'qr_code N2AAAABBBBCCCCDDDD 1, qr_code N2AAAABBBBCCCCEEEE 1'),
	('1 one twice', 'N2AAAABBBBCCCCDDDD n2aaaabbbbccccdddd',
	 'qr_code N2AAAABBBBCCCCDDDD 1'),
	('1 before rule 2', 'CT DEN:1 N2AAAABBBBCCCCDDDD ND:0909500000',
	 'qr_code N2AAAABBBBCCCCDDDD 1, phone 0909500000 0.95'),
	-- Rule 2: MoMo.
	('2 MoMo, blanks', '113524023776 - 0396510000 - 650001', 'part 650001 0.8'),
	('2 MoMo, +84', '113524023776-+84396510000-650001', 'part 650001 0.8'),
	('2 MoMo, bare', '113524023776-396510000-650001', 'part 650001 0.8'),
	('2 MoMo, dots', '113524023776-0396.510.000-650001', 'part 650001 0.8'),
	('2 MoMo, dashes', '113524023776-0396-510-000-650001', 'part 650001 0.8'),
	('2 MoMo, brackets', '113524023776-(+84) 396 510 000-650001',
	 'part 650001 0.8'),
	('2 MoMo, old number', '113524023776-01696510000-650001',
	 'part 650001 0.8'),
	('2 MoMo, blanks around the text', '113524023776-0396510000-  650001 ',
	 'part 650001 0.8'),
	('2 MoMo, more than a number', '113524023776-0396510000-650001 ck',
	 'part 650001 0.6'),
	('2 MoMo, bare phone', '113524023776-0396510000-908123456',
	 'part 908123456 0.8'),
	('2 MoMo, no text', '113524023776-0396510000-', ''),
	('2 MoMo, text without number', '113524023776-0396510000-chuyen tien', ''),
	('2 MoMo, what is in front', '380001 113524023776-0396510000-650001',
	 'part 650001 0.8'),
	('2 MoMo behind a sign', 'MOMO.113524023776-0396510000-650001',
	 'part 650001 0.8'),
	('2 not MoMo: in a word', 'x113524023776-0396510000-650001',
	 'phone 0396510000 0.95, part 650001 0.6'),
	('2 not MoMo: 11 digits', '13524023776-0396510000-650001',
	 'phone 0396510000 0.95, part 650001 0.6'),
	('2 not MoMo: 13 digits', '1113524023776-0396510000-650001',
	 'phone 0396510000 0.95, part 650001 0.6'),
	('2 not MoMo: one dash', '113524023776-0396510000 650001',
	 'phone 0396510000 0.95, part 650001 0.6'),
	('2 not MoMo: no phone', '113524023776-396510-650001',
	 'part 396510 0.6, part 650001 0.6'),
	('2 not MoMo: letters', '113524023776-0396510000 LAN-650001',
	 'phone 0396510000 0.95, part 650001 0.6'),
	-- Rule 2: Vietcombank.
	('2 Vietcombank, a number', 'MBVCB.1.2. 90812 .CT tu 380001',
	 'part 90812 0.8'),
	('2 Vietcombank, words', 'MBVCB.1.2.90812 ck.CT tu 380001',
	 'part 90812 0.3'),
	('2 Vietcombank, dots in the part',
	 'MBVCB.1234567.2.sdt 0908.123.456.CT tu 0901234567',
	 'phone 0908123456 0.95'),
	('2 Vietcombank, first .CT', 'MBVCB.1.2.380001.CT tu 1.CT 650001',
	 'part 380001 0.8'),
	('2 Vietcombank, nothing', 'MBVCB.1.2.ck.CT tu 0901234567 380001', ''),
	('2 Vietcombank, behind a word', 'IB MBVCB.1.2.380001.CT tu 650001',
	 'part 380001 0.8'),
	('2 not Vietcombank: in a word', 'AMBVCB.1.2.380001.CT tu 65000',
	 'part 380001 0.6, part 65000 0.3'),
	('2 not Vietcombank: one token', 'MBVCB.249371.CT tu 65000',
	 'part 249371 0.6, part 65000 0.3'),
	('2 not Vietcombank: no .CT', 'MBVCB.249371.1.380001 CT tu',
	 'part 249371 0.6, part 380001 0.6'),
	('2 MoMo in Vietcombank',
	 'MBVCB.1.2.113524023776-0396510000-650001.CT tu 380001',
	 'part 650001 0.8'),
	-- Rule 2: CT DEN.
	('2 CT DEN, blanks', 'CT DEN: 0123456789 ND: 0909500000',
	 'phone 0909500000 0.95'),
	('2 CT DEN, a phone as account', 'CT DEN:0901234567 ND:380001',
	 'part 380001 0.6'),
	('2 CT DEN, something in front', '650001 CT DEN:123 ND:380001',
	 'part 380001 0.6'),
	('2 CT DEN, a name', 'CT DEN:123456 SHOP 7654321 ND:380001',
	 'part 380001 0.6'),
	('2 CT DEN, no ND', 'CT DEN:123456 ck 380001', 'part 380001 0.6'),
	('2 CT DEN, no ND, a phone', 'CT DEN:0901234567 0909500000',
	 'phone 0909500000 0.95'),
	('2 CT DEN, no ND, +', 'CT DEN:+84901234567 ck', ''),
	('2 CT DEN, no ND, parted', 'CT DEN:0901 234567 ck', ''),
	('2 CT DEN, no ND:', 'CT DEN:123456 SEND:380001', 'part 380001 0.6'),
	('2 CT DEN, no text', 'CT DEN:0901234567 ND:', ''),
	('2 not CT DEN: in a word', 'ACT DEN:123456', 'part 123456 0.6'),
	('2 ND alone', '650001 ND:380001', 'part 650001 0.6, part 380001 0.6'),
	('2 MoMo behind ND', 'CT DEN:123456 ND:113524023776-0396510000-650001',
	 'part 650001 0.8'),
	('2 CT DEN in Vietcombank', 'MBVCB.1.2.CT DEN:123456 ND:380001.CT 65000',
	 'part 380001 0.6'),
	-- Rule 3: FT and 8 or more digits.
	('3 FT and 8 digits', 'FT26145253', ''),
	('3 FT and 10 digits', 'FT0912345678', ''),
	('3 FT and 7 digits', 'FT2614525', 'part 2614525 0.5'),
	('3 FT in a word', 'IBFT0912345678', 'phone 0912345678 0.95'),
	('3 FT, blank', 'FT 0912345678', 'phone 0912345678 0.95'),
	('3 FT, what is behind', 'FT26145253A380001', 'part 380001 0.6'),
	-- Rule 3: GD, digits, two or more letters and the rest of the word.
	('3 GD', 'GD 614500IBT123456kC', ''),
	('3 GD without blank', 'GD614500IBT123456kC', ''),
	('3 GD with blanks', 'GD   614500IBT', ''),
	('3 gd', 'gd 614500ib', ''),
	('3 GD, one letter', 'GD 614500I', 'part 614500 0.6'),
	('3 GD, one letter and a digit', 'GD 614500I2BT', 'part 614500 0.6'),
	('3 GD, no letter', 'GD 614500', 'part 614500 0.6'),
	('3 GD, another word', 'GD 614500 IBT', 'part 614500 0.6'),
	('3 GD in a word', 'AGD 614500IBT', 'part 614500 0.6'),
	('3 GD, colon', 'GD: 614500IBT', 'part 614500 0.6'),
	('3 GD, Vietnamese letters', U&'GD 614500\0110\1EA6U 1', ''),
	('3 GD, the next word counts', 'GD 614500IBT 380001', 'part 380001 0.6'),
	('3 GD, a phone', 'GD 0912345678ck', ''),
	('3 -GD before noise', '380001-GD 614500IBT', 'part 380001 0.8'),
	-- Rule 3: stamps.
	('3 stamp', '250526-17:35:38', ''),
	('3 stamp of the last second', '311299-23:59:59', ''),
	('3 stamp glued', 'ck250526-17:35:38x', ''),
	('3 no stamp: seconds missing', '250526-17:35', 'part 250526 0.6'),
	('3 no stamp: blank', '250526 17:35:38', 'part 250526 0.6'),
	('3 no stamp: no day', '380001-17:35:38', 'part 380001 0.6'),
	('3 no stamp: no month', '251326-17:35:38', 'part 251326 0.6'),
	('3 no stamp: no hour', '250526-24:00:00', 'part 250526 0.6'),
	('3 no stamp: 7 digits', '1250526-17:35:38', 'part 1250526 0.5'),
	('3 no stamp: 3 digits at the end', '250526-17:35:380', 'part 250526 0.6'),
	-- Rule 4: one run.
	('4 leading 0', '0912345678', 'phone 0912345678 0.95'),
	('4 84', '84912345678', 'phone 0912345678 0.95'),
	('4 0084', '0084912345678', 'phone 0912345678 0.95'),
	('4 0084 and 0', '00840912345678', 'phone 0912345678 0.95'),
	('4 84, 0 and 9', '840912345678', 'phone 0912345678 0.95'),
	('4 84, 0 and 10', '8402838221234', ''),
	('4 + and 84, 0 and 10', '+8402838221234', 'phone 02838221234 0.95'),
	('4 84 and 10', '842838221234', ''),
	('4 + and 84 and 10', '+842838221234', 'phone 02838221234 0.95'),
	('4 84 and an old number', '841691234567', ''),
	('4 + and 84 and an old number', '+841691234567', 'phone 0391234567 0.95'),
	('4 0084 and 10', '00842838221234', 'phone 02838221234 0.95'),
	('4 an old number', '01691234567', 'phone 0391234567 0.95'),
	('4 landline, 11 digits', '02838221234', 'phone 02838221234 0.95'),
	('4 landline, 10 digits', '0283822123', 'phone 0283822123 0.95'),
	('4 bare', '912345678', 'part 912345678 0.5'),
	('4 bare with 84', '841234567', 'part 841234567 0.5'),
	('4 bare landline', '2838221234', 'part 2838221234 0.5'),
	('4 no carrier', '0312345678', 'part 0312345678 0.5'),
	('4 11 digits, no landline', '09123456789', ''),
	('4 12 digits', '091234567890', ''),
	('4 glued', 'sdt0912345678ck', 'phone 0912345678 0.95'),
	('4 glued to Vietnamese letters', U&'\1EBF0912345678\1EBF',
	 'phone 0912345678 0.95'),
	('4 after a slash', 'don/0912345678', 'phone 0912345678 0.95'),
	('4 full-width', U&'\FF10\FF19\FF11\FF12\FF13\FF14\FF15\FF16\FF17\FF18',
	 'phone 0912345678 0.95'),
	('4 two', '0912345678 0908123456',
	 'phone 0912345678 0.95, phone 0908123456 0.95'),
	('4 two spellings', '0912345678 +84 912 345 678',
	 'phone 0912345678 0.95'),
	-- Rule 4: joined runs.
	('4 joined by blanks', '0912 345 678', 'phone 0912345678 0.95'),
	('4 joined by dashes', '0912-345-678', 'phone 0912345678 0.95'),
	('4 joined by all', '091 23.45-678', 'phone 0912345678 0.95'),
	('4 joined by no-break spaces', U&'0912\00A0345\00A0678',
	 'phone 0912345678 0.95'),
	('4 joined by a tab', E'0912\t345678', 'phone 0912345678 0.95'),
	('4 two blanks', '0912  345678', 'part 345678 0.6'),
	('4 blank and dash', '0912 -345678', 'part 345678 0.6'),
	('4 slash', '0912/345678', ''),
	('4 comma', '0912,345678', 'part 345678 0.6'),
	('4 a letter between', '0912x345678', 'part 345678 0.6'),
	('4 five runs', '091 23 45 67 8', ''),
	('4 four runs', '091 23 45 678', 'phone 0912345678 0.95'),
	('4 first of 2 digits', '09 12345678', 'part 12345678 0.5'),
	('4 first of 3 digits', '091 2345678', 'phone 0912345678 0.95'),
	('4 first of 4 digits', '0912 345678', 'phone 0912345678 0.95'),
	('4 first of 5 digits', '09123 45678', 'part 09123 0.3, part 45678 0.3'),
	('4 84 first, 2 digits', '84 912345678', 'phone 0912345678 0.95'),
	('4 84 first, 5 digits', '84912 345 678', 'phone 0912345678 0.95'),
	('4 84 first, 6 digits', '849123 45678', 'part 849123 0.6, part 45678 0.3'),
	('4 84 and 0', '84 0912 345 678', 'phone 0912345678 0.95'),
	('4 84 and a landline', '+84 28 3822 1234', 'phone 02838221234 0.95'),
	('4 0084 first', '0084 912 345 678', 'phone 0912345678 0.95'),
	('4 84 as country code only', '84 912 3456 78', 'phone 0912345678 0.95'),
	('4 84 is none in nine digits', '84 1234567', 'part 1234567 0.5'),
	('4 the shortest', '024 3936 202 0', 'phone 0243936202 0.95'),
	('4 the shortest with a carrier', '0169 123 456 7',
	 'phone 0391234567 0.95'),
	('4 what follows', '0912 345 678 380001',
	 'phone 0912345678 0.95, part 380001 0.6'),
	('4 joined without carrier', '0312 345678', 'part 345678 0.6'),
	('4 a run alone before a joined one', '0912345678 123',
	 'phone 0912345678 0.95'),
	('4 second start', '012 0912 345 678', 'phone 0912345678 0.95'),
	('4 amounts', '84.500.000.000 1.250.000', ''),
	('4 joined after a slash', 'A/0912 345 678', 'phone 0912345678 0.95'),
	-- Rule 5: parts.
	('5 4 digits', '1234', ''),
	('5 5 digits', '12345', 'part 12345 0.3'),
	('5 6 digits', '123456', 'part 123456 0.6'),
	('5 7 digits', '1234567', 'part 1234567 0.5'),
	('5 8 digits', '12345678', 'part 12345678 0.5'),
	('5 9 digits', '123456789', 'part 123456789 0.5'),
	('5 10 digits', '1234567890', 'part 1234567890 0.5'),
	('5 11 digits', '12345678901', ''),
	('5 glued', 'ck123456x', 'part 123456 0.6'),
	('5 zeros in front stay', '000123', 'part 000123 0.6'),
	('5 order', '12345 1234567890 123456789 12345678 1234567 123456',
	 'part 123456 0.6, part 1234567 0.5, part 12345678 0.5, '
	 'part 123456789 0.5, part 1234567890 0.5, part 12345 0.3'),
	('5 order of position', '222222 111111', 'part 222222 0.6, part 111111 0.6'),
	('5 phones before parts', '123456 0912345678',
	 'phone 0912345678 0.95, part 123456 0.6'),
	('5 after -GD-', '123456 x-GD-12345', 'part 12345 0.8, part 123456 0.6'),
	('5 before -GD', '123456 12345-GD', 'part 12345 0.8, part 123456 0.6'),
	('5 after before before', '123456-GD x-GD-12345',
	 'part 12345 0.8, part 123456 0.8'),
	('5 both', '12345-GD-54321-GD', 'part 54321 0.8, part 12345 0.8'),
	('5 not right after -GD-', 'x-GD- 12345', 'part 12345 0.3'),
	('5 not right before -GD', '12345 -GD', 'part 12345 0.3'),
	('5 GD- only', 'GD-12345', 'part 12345 0.3'),
	('5 a phone after -GD-', 'x-GD-0912345678', 'phone 0912345678 0.95'),
	('5 after a slash', 'NJD/12345/123456 1234567', 'part 1234567 0.5'),
	('5 before a slash', '123456/NJD', 'part 123456 0.6'),
	('5 slash and blank', 'NJD/ 123456', 'part 123456 0.6'),
	('5 one twice', '123456 123456', 'part 123456 0.6'),
	('5 one twice, marked once', '12345 12345-GD', 'part 12345 0.8'),
	('5 full-width', U&'\FF11\FF12\FF13\FF14\FF15\FF16', 'part 123456 0.6'),
	-- Nothing there.
	('blank', '', ''),
	('blank', '   ', ''),
	('blank', E' \t\n', ''),
	('blank', U&'\00A0', '');
SELECT count(*) FROM transfer_cases;
SELECT rule, content, candidates, pg_temp.candidates(content, '{}') AS answer
FROM transfer_cases
WHERE pg_temp.candidates(content, '{}') IS DISTINCT FROM candidates;

-- Ignored numbers never count, in any spelling.
CREATE TEMP TABLE ignored_cases (content text, ignored text[], candidates text);
INSERT INTO ignored_cases VALUES
	('75918 380001', '{75918}', 'part 380001 0.6'),
	('75918 380001', '{075918}', 'part 380001 0.6, part 75918 0.3'),
	('x-GD-75918 380001', '{75918}', 'part 380001 0.6'),
	('175918', '{75918}', 'part 175918 0.6'),
	('0909123456', '{0909123456}', ''),
	('0909123456', '{+84 909 123 456}', ''),
	('0909 123 456', '{0909123456}', ''),
	('0909 123456', '{0909123456}', ''),
	('+84909123456', '{0909123456}', ''),
	('84 909 123 456', '{0909.123.456}', ''),
	('909123456', '{0909 123 456}', ''),
	('90912 3456', '{0909 123 456}', ''),
	('123456', '{0909 123 456}', 'part 123456 0.6'),
	('0909123456 0909123457', '{0909 123 456}', 'phone 0909123457 0.95'),
	('01691234567', '{0391234567}', ''),
	('0391234567', '{0169 123 4567}', ''),
	('2838221234 (028) 38221235', '{(028) 3822 1234}', 'part 38221235 0.5'),
	('19001234', '{1900 1234}', ''),
	('1900 12345', '{190012345}', ''),
	('12345-67890', '{1234567890}', ''),
	('12345  67890', '{1234567890}', 'part 12345 0.3, part 67890 0.3'),
	('75918', '{ACB 75918}', ''),
	('75918 380001', '{75918,380001,NULL}', ''),
	('75918', '{"",abc}', 'part 75918 0.3'),
	('N275918AAAABBBBCCC', '{75918}', 'qr_code N275918AAAABBBBCCC 1');
SELECT count(*) FROM ignored_cases;
SELECT content, ignored, candidates,
	pg_temp.candidates(content, ignored) AS answer
FROM ignored_cases
WHERE pg_temp.candidates(content, ignored) IS DISTINCT FROM candidates;

-- Positions are characters of the original, whatever is cut off in front.
CREATE TEMP TABLE position_cases (content text, value text, place integer);
INSERT INTO position_cases VALUES
	('0912345678', '0912345678', 1),
	('+84912345678', '0912345678', 2),
	(U&'\1EBF\1EBF 0912345678', '0912345678', 4),
	(U&'\FF11\FF12\FF13 380001', '380001', 5),
	('ck 0912 345 678', '0912345678', 4),
	('84 0912345678', '0912345678', 1),
	('0912345678 0912345678', '0912345678', 1),
	('12345 12345-GD', '12345', 7),
	('CT DEN:123 ND:380001', '380001', 15),
	('113524023776-0396510000-650001', '650001', 25),
	('MBVCB.1.2. 380001.CT', '380001', 12),
	('ck n2abcd1234efgh5678', 'N2ABCD1234EFGH5678', 4);
SELECT count(*) FROM position_cases;
SELECT content, cases.value, place, found.value AS answer, "position"
FROM position_cases AS cases
	LEFT JOIN LATERAL c360_parse_transfer(content) AS found ON true
WHERE (cases.value, place) IS DISTINCT FROM (found.value, found."position");

-- Codes and parts of all these contents stand where they are said to stand.
SELECT content, kind, value, "position"
FROM (SELECT content FROM transfer_cases
	UNION SELECT content FROM transfer_vectors) AS contents,
	c360_parse_transfer(content)
WHERE kind <> 'phone'
	AND upper(translate(substr(content, "position", length(value)),
						U&'\FF11\FF12\FF13\FF14\FF15\FF16', '123456')) <> value;

-- Nothing from nothing; no array is no ignored number.
SELECT count(*) FROM c360_parse_transfer(NULL);
SELECT count(*) FROM c360_parse_transfer('380001', NULL);

-- A long content: each number once, the deciding one first.
SELECT count(*), min("position"), max("position")
FROM c360_parse_transfer((
	SELECT string_agg(to_char(n % 100000, 'FM00000'), ' ')
	FROM generate_series(1, 150000) AS n));

-- Everybody may call it, so it has bounds.
SELECT count(*) FROM c360_parse_transfer(repeat('x', 1000000));
SELECT count(*) FROM c360_parse_transfer(repeat('x', 1000001));
SELECT count(*) FROM c360_parse_transfer('123456', array_fill('1'::text, ARRAY[1000]));
SELECT count(*) FROM c360_parse_transfer('123456', array_fill('1'::text, ARRAY[1001]));
