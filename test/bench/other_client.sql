\set n random(1, 50000)
SELECT c360_deposit('08' || lpad((600000 + :n)::text, 8, '0'), 1);
