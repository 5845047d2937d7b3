-- Folding: one form for all spellings of a text.
\pset format unaligned
SELECT c360_fold(raw) = wanted AS ok, raw, c360_fold(raw) FROM (VALUES
    ('Nguyễn Thị Đào', 'nguyen thi dao'),
    ('NGUYỄN  THỊ ĐÀO', 'nguyen thi dao'),
    ('  Lê' || E'\t\n' || 'Ái ', 'le ai'),
    ('ăâêôơưđ ĂÂÊÔƠƯĐ', 'aaeooud aaeooud'),
    ('Łódź Straße Ærøskøbing þorn', 'lodz strasse aeroskobing thorn'),
    ('ＡＢｃ　０９１２', 'abc 0912'),
    ('Москва 北京', 'Москва 北京'),
    ('a' || U&'\00A0' || 'b', 'a b'),
    (U&'a\200Bb\00AD', 'ab'),
    ('100%_\', '100%_\'),
    ('', ''), ('   ', '')) AS t (raw, wanted);
\pset format aligned
-- every Vietnamese letter, precomposed and with combining marks
SELECT count(*), count(*) FILTER (WHERE c360_fold(normalize(letter, NFC)) <> base OR c360_fold(normalize(letter, NFD)) <> base) AS wrong
FROM (VALUES ('a', 'aàáảãạăằắẳẵặâầấẩẫậ'), ('e', 'eèéẻẽẹêềếểễệ'), ('i', 'iìíỉĩị'), ('o', 'oòóỏõọôồốổỗộơờớởỡợ'),
             ('u', 'uùúủũụưừứửữự'), ('y', 'yỳýỷỹỵ'), ('d', 'đ')) AS v (base, letters),
     regexp_split_to_table(letters || upper(letters), '') AS letter;
-- folding again changes nothing
SELECT count(*) FILTER (WHERE c360_fold(c360_fold(chr(i))) <> c360_fold(chr(i))) AS unstable,
       count(*) FILTER (WHERE octet_length(c360_fold(chr(i))) > octet_length(chr(i))) AS longer
FROM generate_series(1, 66000) AS i WHERE i NOT BETWEEN 55296 AND 57343;
SELECT c360_fold(NULL) IS NULL AS strict;
