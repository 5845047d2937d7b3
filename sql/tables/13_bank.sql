-- Transfers that staff and jobs work on.
--
-- A transfer that is not decided yet, or that failed, has next_attempt_at;
-- given_up_at says when it was tried for the last time. A link keeps the code
-- that led to it, so that uses of codes can be counted, and why it ended.
ALTER TABLE c360.balance_history ADD COLUMN given_up_at timestamptz;
COMMENT ON COLUMN c360.balance_history.given_up_at IS 'tried five times and left to staff since';
DROP INDEX c360.balance_history_undecided_idx;
CREATE INDEX balance_history_due_idx ON c360.balance_history (next_attempt_at NULLS FIRST, id)
    WHERE (result IS NULL OR result = 'failed') AND given_up_at IS NULL;
-- what an account held before and after a transfer, in the order of the bank
CREATE INDEX balance_history_account_idx ON c360.balance_history (account_number, transaction_date, sepay_id);
CREATE INDEX balance_history_reference_idx ON c360.balance_history (reference_code, account_number)
    WHERE reference_code IS NOT NULL;

ALTER TABLE c360.bank_links ADD COLUMN qr_code text, ADD COLUMN reason text;
COMMENT ON COLUMN c360.bank_links.qr_code IS 'the code by which the customer was found';
COMMENT ON COLUMN c360.bank_links.reason IS 'why the link ended';
CREATE INDEX bank_links_qr_code_idx ON c360.bank_links (qr_code) WHERE qr_code IS NOT NULL;
CREATE INDEX bank_links_ended_idx ON c360.bank_links (bank_transaction_id, id) WHERE unlinked_at IS NOT NULL;

-- a link's deposit is taken back once
CREATE UNIQUE INDEX wallet_transactions_bank_link_unlink_key
    ON c360.wallet_transactions (bank_link_id) WHERE bank_link_id IS NOT NULL AND type = 'ADJUSTMENT';

ALTER TABLE c360.pending_customer_matches ADD COLUMN any_customer boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN c360.pending_customer_matches.any_customer IS 'resolved to a customer whom the content did not lead to';
CREATE INDEX pending_customer_matches_transaction_idx ON c360.pending_customer_matches (bank_transaction_id, id);
CREATE INDEX pending_customer_matches_status_idx ON c360.pending_customer_matches (status, id);

ALTER TABLE c360.transfer_ignored ADD COLUMN added_by text;
ALTER TABLE c360.balance_customer_info ADD COLUMN retired_by text;

-- Settings that are a fraction, and those that are a hash and are not shown.
ALTER TABLE c360.settings DROP CONSTRAINT settings_type_check;
ALTER TABLE c360.settings ADD CONSTRAINT settings_type_check
    CHECK (type IN ('integer', 'boolean', 'list', 'choice', 'number', 'hash'));
