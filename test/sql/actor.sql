-- Who did it: claims are believed only of authenticator roles.  Phones 0917.

CREATE ROLE regress_c360_gate LOGIN;
CREATE ROLE regress_c360_staff LOGIN;
CREATE ROLE regress_c360_web;
GRANT regress_c360_web TO regress_c360_gate;
GRANT EXECUTE ON FUNCTION c360_deposit, c360_withdraw, c360_issue_credit, c360_freeze_wallet, c360_get_or_create_customer,
    c360_create_qr_code, c360_ingest_bank_transaction, c360_set TO regress_c360_gate, regress_c360_staff, regress_c360_web;

-- The last rows written: actor and login role, of ledger and timeline.
CREATE FUNCTION test.last_actor(wanted text) RETURNS TABLE (ledger text, ledger_login text, timeline text, timeline_login text)
LANGUAGE sql VOLATILE SECURITY DEFINER AS $$
    SELECT t.actor, t.session_user_name, a.actor, a.session_user_name
    FROM c360.wallet_transactions t JOIN c360.customer_activities a ON a.id = t.activity_id
    WHERE t.customer_id = test.customer(wanted) ORDER BY t.id DESC LIMIT 1
$$;
GRANT USAGE ON SCHEMA test TO regress_c360_gate, regress_c360_staff, regress_c360_web;

-- Nobody is believed whom the setting does not list.
SET SESSION AUTHORIZATION regress_c360_gate;
SET request.jwt.claims = '{"email": "lan@shop.vn"}';
SELECT balance FROM c360_deposit('0917000001', 1);
SELECT * FROM test.last_actor('0917000001');
RESET SESSION AUTHORIZATION;
SELECT c360_set('authenticator_roles', 'authenticator, regress_c360_gate');
SET SESSION AUTHORIZATION regress_c360_gate;
SELECT balance FROM c360_deposit('0917000001', 1);
SELECT * FROM test.last_actor('0917000001');

-- The first non-empty of email, name, sub.
CREATE TEMP TABLE claims (n serial, claims text);
INSERT INTO claims (claims) VALUES
    ('{"sub": "42", "name": "Lan", "email": "lan@shop.vn"}'),
    ('{"sub": "42", "name": "Lan"}'),
    ('{"sub": "42"}'),
    ('{"email": "", "name": "Lan"}'),
    ('{"email": "", "name": "", "sub": "42"}'),
    ('{"email": null, "name": 7, "sub": "42"}'),
    ('{"email": {"a": 1}}'),
    ('{"role": "web"}'),
    ('{}'),
    ('[]'),
    ('');
DO $$
DECLARE
    c record;
    answer record;
BEGIN
    FOR c IN SELECT claims FROM claims ORDER BY n LOOP
        PERFORM set_config('request.jwt.claims', c.claims, false);
        PERFORM public.c360_deposit('0917000001', 1);
        SELECT * INTO answer FROM test.last_actor('0917000001');
        RAISE NOTICE '%: % (%)', c.claims, answer.ledger, answer.ledger_login;
    END LOOP;
END $$;

-- The login role counts, not the role that was set.
SET request.jwt.claims = '{"email": "lan@shop.vn"}';
SET ROLE regress_c360_web;
SELECT balance > 0 AS done FROM c360_deposit('0917000001', 1);
SELECT * FROM test.last_actor('0917000001');
RESET ROLE;
SET SESSION AUTHORIZATION regress_c360_staff;
SET request.jwt.claims = '{"email": "lan@shop.vn"}';
SELECT balance > 0 AS done FROM c360_deposit('0917000001', 1);
SELECT * FROM test.last_actor('0917000001');
-- claims of somebody who is not believed are not even read
SET request.jwt.claims = 'no json';
SELECT balance > 0 AS done FROM c360_deposit('0917000001', 1);
SELECT * FROM test.last_actor('0917000001');
RESET request.jwt.claims;

-- Every kind of row keeps both.
SET SESSION AUTHORIZATION regress_c360_gate;
SET request.jwt.claims = '{"name": "Nguyễn Thị Lan"}';
SELECT c360_get_or_create_customer('0917000002') > 0 AS created;
SELECT virtual_balance FROM c360_issue_credit('0917000002', 5, 'MANUAL', 'lot', '2099-01-01');
SELECT available FROM c360_withdraw('0917000002', 1);
SELECT length(c360_create_qr_code('0917000002'));
SELECT c360_freeze_wallet('0917000002', 'for the test');
SELECT result FROM c360_ingest_bank_transaction('{"id": 917001, "gateway": "MB", "transactionDate": "2025-05-26 16:14:51",
    "accountNumber": "1", "content": "0917000002", "transferType": "in", "transferAmount": 1}');
SELECT c360_set('refund_grace_days', '8');
RESET SESSION AUTHORIZATION;
RESET request.jwt.claims;
SELECT event, actor, session_user_name FROM c360.customer_activities WHERE customer_id = test.customer('0917000002') ORDER BY id;
SELECT type, actor, session_user_name FROM c360.wallet_transactions WHERE customer_id = test.customer('0917000002') ORDER BY id;
SELECT linked_by FROM c360.bank_links WHERE customer_id = test.customer('0917000002');
SELECT created_by FROM c360.balance_customer_info WHERE customer_id = test.customer('0917000002');
SELECT changed_by FROM c360.settings WHERE name = 'refund_grace_days';
SELECT c360_set('refund_grace_days', NULL), c360_set('authenticator_roles', NULL);

DROP TABLE claims;
DROP FUNCTION test.last_actor(text);
DROP OWNED BY regress_c360_gate, regress_c360_staff, regress_c360_web;
DROP ROLE regress_c360_gate, regress_c360_staff, regress_c360_web;
SELECT * FROM c360_verify_wallets();
