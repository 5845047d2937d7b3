\set n random(1, 100000)
\set id random(1, 9000000000000000000)
SELECT c360_ingest_bank_transaction(format('{"id": %s, "gateway": "Vietcombank", "transactionDate": "2026-01-07 140237", "accountNumber": "0123499999", "code": null, "content": "NGUYEN VAN A 09%s chuyen tien", "transferType": "in", "transferAmount": 100, "accumulated": 19077000, "subAccount": null, "referenceCode": "FT%s", "description": "BankAPINotify"}', (:id)::text, lpad((:n)::text, 8, '0'), (:id)::text)::jsonb);
