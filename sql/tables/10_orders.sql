-- Orders live in the point-of-sale system; these rows mirror what scoring
-- needs. customer_order_totals has one row a customer, counted anew from his
-- orders and tickets whenever one of them changes, under the lock of that
-- row, so that it equals them whatever the order of updates. decided and
-- decided_returned make the return rate: distinct orders delivered or
-- returned, or with a completed ticket of a returning type.
CREATE TABLE c360.customer_orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES c360.customers,
    order_code  text NOT NULL CONSTRAINT customer_orders_order_code_key UNIQUE,
    amount      bigint NOT NULL CHECK (amount >= 0),
    status      text NOT NULL CHECK (status IN ('pending', 'delivered', 'returned', 'cancelled')),
    ordered_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    xact        xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX customer_orders_customer_id_ordered_at_idx ON c360.customer_orders (customer_id, ordered_at);
COMMENT ON TABLE c360.customer_orders IS 'Orders of the point-of-sale system, one row an order code';
COMMENT ON COLUMN c360.customer_orders.xact IS 'transaction of the last change';

CREATE TABLE c360.customer_order_totals (
    customer_id      bigint PRIMARY KEY REFERENCES c360.customers,
    total            integer NOT NULL DEFAULT 0,
    delivered        integer NOT NULL DEFAULT 0,
    returned         integer NOT NULL DEFAULT 0,
    spent            bigint NOT NULL DEFAULT 0,
    first_order_at   timestamptz,
    last_order_at    timestamptz,
    decided          integer NOT NULL DEFAULT 0,
    decided_returned integer NOT NULL DEFAULT 0,
    label            text
) WITH (fillfactor = 80);
COMMENT ON TABLE c360.customer_order_totals IS 'Orders of each customer, counted from their rows';
COMMENT ON COLUMN c360.customer_order_totals.total IS 'orders that are not cancelled';
COMMENT ON COLUMN c360.customer_order_totals.label IS 'status that the return rate asks for; NULL = too few orders to say';
COMMENT ON COLUMN c360.customer_order_totals.spent IS 'đồng, of orders neither cancelled nor returned';

-- Since when a customer is on the blacklist; an order dated before is recorded.
ALTER TABLE c360.customers ADD COLUMN blacklisted_at timestamptz;
COMMENT ON COLUMN c360.customers.blacklisted_at IS 'since when he is on the blacklist; NULL while he is not';
UPDATE c360.customers SET blacklisted_at = updated_at WHERE tier = 'blacklist';
