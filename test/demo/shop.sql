-- A shop to look at: what "make postgrest" serves. Every name is made up.

SET client_min_messages = warning;
SET timezone = 'Asia/Ho_Chi_Minh';

CREATE TEMP TABLE people AS
SELECT n, '09' || (12345678 + n * 1111) AS phone, name
FROM unnest(ARRAY['Nguyễn Văn Á', 'Trần Thị Bình', 'Lê Minh Châu', 'Phạm Thu Dung', 'Hoàng Gia Hân', 'Đặng Quốc Khánh',
    'Vũ Ngọc Lan', 'Bùi Đức Mạnh', 'Đỗ Thanh Nga', 'Ngô Kim Oanh', 'Dương Phúc', 'Lý Thảo Vy']) WITH ORDINALITY AS p (name, number),
    LATERAL (SELECT number::integer - 1) AS of (n);

DO $$
DECLARE
    person record;
    code text;
BEGIN
    FOR person IN SELECT * FROM people ORDER BY n LOOP
        PERFORM c360_upsert_customer(person.phone, person.name, created_source => 'import');
        FOR i IN 1 .. 1 + person.n % 5 LOOP
            PERFORM c360_record_order(person.phone, format('DH-%s-%s', person.n, i), 150000 * (i + person.n),
                                      now() - make_interval(days => 9 * i + person.n),
                                      CASE WHEN (i + person.n) % 6 = 0 THEN 'returned' ELSE 'delivered' END);
        END LOOP;
        IF person.n % 2 = 0 THEN
            PERFORM c360_deposit(person.phone, 200000 + 50000 * person.n, note => 'tiền mặt');
        END IF;
        IF person.n % 3 = 0 THEN
            PERFORM c360_issue_credit(person.phone, 30000, 'PROMOTION', note => 'tháng này');
            PERFORM c360_withdraw(person.phone, 40000, format('DH-%s-1', person.n)) WHERE person.n % 2 = 0;
        END IF;
        IF person.n % 4 = 1 THEN
            SELECT ticket_code INTO code
            FROM c360_create_ticket(person.phone, CASE person.n WHEN 1 THEN 'BOOM' WHEN 5 THEN 'HOAN' ELSE 'COMPLAINT' END,
                                    format('DH-%s-1', person.n), 'xem lại đơn này', refund_amount => 50000);
            PERFORM c360_ticket_action(code, 'wait_carrier', deadline => now() + interval '2 days') WHERE person.n = 1;
            PERFORM c360_resolve_ticket(code) WHERE person.n = 5;
        END IF;
        PERFORM c360_add_note(person.phone, 'gọi buổi chiều', 'follow_up') WHERE person.n % 5 = 2;
    END LOOP;
END $$;

SELECT c360_create_qr_code('0912345678') AS code \gset
\i inbox.sql
DO $$ BEGIN PERFORM c360_ingest_bank_transaction(payload) FROM inbox ORDER BY n; END $$;
