-- What lists of transfers go by.
--
-- Staff's desk is short beside all transfers ever told: the conditions are
-- those of link_status in the view c360_bank_transaction_list.
CREATE INDEX balance_history_unlinked_idx ON c360.balance_history (id)
    WHERE (CASE WHEN result IN ('deposited', 'linked') THEN 'linked' WHEN result = 'pending' THEN 'pending'
                WHEN transfer_type = 'in' AND transfer_amount > 0 THEN 'unlinked' END) = 'unlinked';
CREATE INDEX balance_history_pending_idx ON c360.balance_history (id)
    WHERE (CASE WHEN result IN ('deposited', 'linked') THEN 'linked' WHEN result = 'pending' THEN 'pending'
                WHEN transfer_type = 'in' AND transfer_amount > 0 THEN 'unlinked' END) = 'pending';

-- The transfer before another in its account. Without the sub-account in it
-- the index was passed over for one by date alone, and each transfer of a day
-- was held against all before it.
DROP INDEX c360.balance_history_account_idx;
CREATE INDEX balance_history_account_idx ON c360.balance_history
    (account_number, (coalesce(sub_account, '')), transaction_date, sepay_id);

-- How many are on the desk; without it a list by date walked through all.
CREATE STATISTICS c360.balance_history_link_status ON
    (CASE WHEN result IN ('deposited', 'linked') THEN 'linked' WHEN result = 'pending' THEN 'pending'
          WHEN transfer_type = 'in' AND transfer_amount > 0 THEN 'unlinked' END)
    FROM c360.balance_history;
