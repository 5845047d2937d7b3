\set customer random(1, :customers)
INSERT INTO c360.customer_tickets (ticket_code, customer_id, type, subject, created_by) VALUES ('X-' || nextval('bench.codes'), :customer, 'OTHER', 'Đổi địa chỉ', 'staff');
