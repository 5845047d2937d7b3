-- Search finds words that adjoin by an index in which they do (52_search.sql).
-- c360_install() makes it, since it needs pg_trgm, wherever that is; here the
-- one of before goes.
IF to_regclass('c360.customers_search_idx') IS NOT NULL THEN
    DROP INDEX c360.customers_search_idx;
END IF;
