\set who random(1, :customers)
UPDATE c360.customers SET internal_note = 'called' WHERE id = :who;
