\set n random(1, 100000)
SELECT c360_deposit('09' || lpad((:n)::text, 8, '0'), 100);
