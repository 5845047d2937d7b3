\set customer random(1, :customers)
SELECT c360_create_ticket(bench.phone(:customer), 'OTHER', subject => 'Đổi địa chỉ');
