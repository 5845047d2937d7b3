-- Orders are scored by the entries of an index alone, as long as VACUUM has
-- marked their pages: it comes after every fiftieth part of new orders, not
-- after every fifth.
ALTER TABLE c360.customer_orders SET (autovacuum_vacuum_insert_scale_factor = 0.02);
