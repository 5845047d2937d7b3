-- Fewer and cheaper entries for each transfer and each change.

-- Statistics by day read the range of each day in the index by time.
DROP INDEX c360.balance_history_day_idx;

-- References and numbers of accounts are codes: they are compared as bytes.
-- A reference that comes twice is rare, so its account needs no place here.
DROP INDEX c360.balance_history_reference_idx;
CREATE INDEX balance_history_reference_idx ON c360.balance_history (reference_code COLLATE "C")
    WHERE reference_code IS NOT NULL;
DROP INDEX c360.balance_history_account_idx;
CREATE INDEX balance_history_account_idx ON c360.balance_history
    (account_number COLLATE "C", (coalesce(sub_account, '') COLLATE "C"), transaction_date, sepay_id);

-- Transfers that nobody is known for yet have no place in anybody's timeline.
DROP INDEX c360.customer_activities_customer_id_id_idx;
CREATE INDEX customer_activities_customer_id_id_idx ON c360.customer_activities (customer_id, id)
    WHERE customer_id IS NOT NULL;

-- What c360_consolidated_transactions() lists, and in its words: movements,
-- changes of tickets and what a transfer led to are told by the rows of theirs.
DROP INDEX c360.customer_activities_created_at_id_idx;
CREATE INDEX customer_activities_consolidated_idx ON c360.customer_activities (created_at, id)
    WHERE topic <> 'tickets' AND NOT (topic = 'bank' AND payload ? 'transaction_id')
      AND NOT (topic = 'wallets' AND coalesce(reference_type, '') = 'wallet_transaction');
