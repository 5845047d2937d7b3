-- What the columns mean that the files of the views leave without a word: the
-- root document of PostgREST shows it.


COMMENT ON COLUMN @extschema@.balance_statistics.gateway IS 'bank or payment service that told of it';
COMMENT ON COLUMN @extschema@.balance_statistics.total_transactions IS 'transfers, in and out';
COMMENT ON COLUMN @extschema@.balance_statistics.total_in IS 'sum of incoming transfers, đồng';
COMMENT ON COLUMN @extschema@.balance_statistics.total_out IS 'sum of outgoing transfers, đồng';
COMMENT ON COLUMN @extschema@.balance_statistics.net_change IS 'incoming less outgoing, đồng';

COMMENT ON COLUMN @extschema@.c360_activity_list.id IS 'number of the activity, also the id of its event';
COMMENT ON COLUMN @extschema@.c360_activity_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_activity_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_activity_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_activity_list.topic IS 'channel on which it was announced: wallets, tickets, customers or bank';
COMMENT ON COLUMN @extschema@.c360_activity_list.event IS 'what happened, such as customer.updated';
COMMENT ON COLUMN @extschema@.c360_activity_list.reference_type IS 'kind of what it is about, such as customer, ticket or wallet_transaction';
COMMENT ON COLUMN @extschema@.c360_activity_list.reference_id IS 'id or code of what it is about';
COMMENT ON COLUMN @extschema@.c360_activity_list.payload IS 'details: what was changed, from and to, why';
COMMENT ON COLUMN @extschema@.c360_activity_list.actor IS 'who did it';
COMMENT ON COLUMN @extschema@.c360_activity_list.created_at IS 'when it happened';

COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.id IS 'number of the transfer';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.sepay_id IS 'id that the gateway gave';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.linked_at IS 'since when it belongs to the customer';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.linked_by IS 'who linked it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.gateway IS 'bank or payment service that told of it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.transaction_date IS 'when the bank booked it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.account_number IS 'the shop''s account';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.sub_account IS 'virtual account, if there is one';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.code IS 'payment code that the gateway found';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.content IS 'what the payer wrote';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.transfer_type IS 'in or out';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.transfer_amount IS 'amount, đồng';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.reference_code IS 'the bank''s reference';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.description IS 'the bank''s whole message';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.received_at IS 'when the gateway told of it';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.attempts IS 'how often a decision was tried and failed';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.next_attempt_at IS 'when it is tried again';
COMMENT ON COLUMN @extschema@.c360_bank_transaction_list.decided_at IS 'when its customer was found, or not';

COMMENT ON COLUMN @extschema@.c360_credit_list.id IS 'number of the lot';
COMMENT ON COLUMN @extschema@.c360_credit_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_credit_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_credit_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_credit_list.kind IS 'BOOM, RETURN_SHIPPER, COMPENSATION, PROMOTION or MANUAL';
COMMENT ON COLUMN @extschema@.c360_credit_list.source_id IS 'what it was issued for, such as a ticket code';
COMMENT ON COLUMN @extschema@.c360_credit_list.original_amount IS 'amount issued, đồng';
COMMENT ON COLUMN @extschema@.c360_credit_list.remaining_amount IS 'amount left, đồng';
COMMENT ON COLUMN @extschema@.c360_credit_list.created_at IS 'when it was issued';

COMMENT ON COLUMN @extschema@.c360_customer_list.id IS 'number of the customer';
COMMENT ON COLUMN @extschema@.c360_customer_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_customer_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_customer_list.email IS 'e-mail address';
COMMENT ON COLUMN @extschema@.c360_customer_list.address IS 'address';
COMMENT ON COLUMN @extschema@.c360_customer_list.carrier IS 'carrier of the phone';
COMMENT ON COLUMN @extschema@.c360_customer_list.status IS 'Bình thường, Bom hàng, Cảnh báo, Nguy hiểm or VIP';
COMMENT ON COLUMN @extschema@.c360_customer_list.tier IS 'new, silver, gold, platinum or blacklist';
COMMENT ON COLUMN @extschema@.c360_customer_list.status_locked IS 'whether only staff change the status';
COMMENT ON COLUMN @extschema@.c360_customer_list.tier_locked IS 'whether only staff change the tier';
COMMENT ON COLUMN @extschema@.c360_customer_list.tags IS 'words that staff gave the customer';
COMMENT ON COLUMN @extschema@.c360_customer_list.aliases IS 'other names';
COMMENT ON COLUMN @extschema@.c360_customer_list.tpos_id IS 'id of the customer in the point-of-sale system';
COMMENT ON COLUMN @extschema@.c360_customer_list.created_source IS 'ticket, bank_link, manual, import or tpos';
COMMENT ON COLUMN @extschema@.c360_customer_list.internal_note IS 'note of staff';
COMMENT ON COLUMN @extschema@.c360_customer_list.wallet_total IS 'real balance and credit, đồng; NULL for callers below agent';
COMMENT ON COLUMN @extschema@.c360_customer_list.flags IS 'what fraud rules say of him, as long as it is not dismissed: blacklist, suspicious, self_dealing';
COMMENT ON COLUMN @extschema@.c360_customer_list.created_at IS 'when the customer was created';
COMMENT ON COLUMN @extschema@.c360_customer_list.updated_at IS 'when his data were changed last';

COMMENT ON COLUMN @extschema@.c360_job_status.job IS 'name of the job';
COMMENT ON COLUMN @extschema@.c360_job_status.schedule IS 'when it runs: cron syntax, shop time';
COMMENT ON COLUMN @extschema@.c360_job_status.enabled IS 'whether it runs by schedule';
COMMENT ON COLUMN @extschema@.c360_job_status.last_start IS 'start of the last run';
COMMENT ON COLUMN @extschema@.c360_job_status.last_end IS 'end of the last run';
COMMENT ON COLUMN @extschema@.c360_job_status.rows IS 'rows that the last run dealt with';
COMMENT ON COLUMN @extschema@.c360_job_status.error IS 'what went wrong in the last run';
COMMENT ON COLUMN @extschema@.c360_job_status.failures IS 'failed runs since the last good one';
COMMENT ON COLUMN @extschema@.c360_job_status.next_run IS 'when it runs next';

COMMENT ON COLUMN @extschema@.c360_note_list.id IS 'number of the note';
COMMENT ON COLUMN @extschema@.c360_note_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_note_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_note_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_note_list.content IS 'the note';
COMMENT ON COLUMN @extschema@.c360_note_list.category IS 'general, warning, important or follow_up';
COMMENT ON COLUMN @extschema@.c360_note_list.pinned IS 'whether it comes before others';
COMMENT ON COLUMN @extschema@.c360_note_list.created_by IS 'who wrote it';
COMMENT ON COLUMN @extschema@.c360_note_list.created_at IS 'when it was written';

COMMENT ON COLUMN @extschema@.c360_pending_match_list.id IS 'number of the match';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.bank_transaction_id IS 'the transfer';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.status IS 'pending, or how it ended';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.created_at IS 'since when it waits';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.resolved_customer_id IS 'whom staff chose';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.resolved_at IS 'when it ended';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.resolved_by IS 'who decided';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.reason IS 'why';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.gateway IS 'bank or payment service that told of it';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.transaction_date IS 'when the bank booked it';
COMMENT ON COLUMN @extschema@.c360_pending_match_list.content IS 'what the payer wrote';

COMMENT ON COLUMN @extschema@.c360_settings.name IS 'name for c360_set()';
COMMENT ON COLUMN @extschema@.c360_settings.value IS 'value in force';
COMMENT ON COLUMN @extschema@.c360_settings.type IS 'type of the value';
COMMENT ON COLUMN @extschema@.c360_settings.unit IS 'unit of the value';
COMMENT ON COLUMN @extschema@.c360_settings."default" IS 'value unless it is changed';
COMMENT ON COLUMN @extschema@.c360_settings.description IS 'what it decides';

COMMENT ON COLUMN @extschema@.c360_stat.ticks IS 'ticks that the publisher made';
COMMENT ON COLUMN @extschema@.c360_stat.notifications IS 'notifications that it sent: of an event, one for each channel that anybody listens to';
COMMENT ON COLUMN @extschema@.c360_stat.lag IS 'time from commit to notification at the last tick';
COMMENT ON COLUMN @extschema@.c360_stat.backlog IS 'events since the last tick';
COMMENT ON COLUMN @extschema@.c360_stat.ring_overflow IS 'errors that were not recorded for want of room';
COMMENT ON COLUMN @extschema@.c360_stat.last_error IS 'last failure of a worker';

COMMENT ON COLUMN @extschema@.c360_ticket_list.id IS 'number of the ticket';
COMMENT ON COLUMN @extschema@.c360_ticket_list.ticket_code IS 'code of the ticket, TV-YYYY-NNNNN';
COMMENT ON COLUMN @extschema@.c360_ticket_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_ticket_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_ticket_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_ticket_list.type IS 'type, such as BOOM or HOAN';
COMMENT ON COLUMN @extschema@.c360_ticket_list.type_label IS 'the type in words';
COMMENT ON COLUMN @extschema@.c360_ticket_list.status IS 'new, processing, waiting_carrier, completed or cancelled';
COMMENT ON COLUMN @extschema@.c360_ticket_list.priority IS 'low, normal, high or urgent';
COMMENT ON COLUMN @extschema@.c360_ticket_list.priority_rank IS '1 urgent to 4 low, to sort by';
COMMENT ON COLUMN @extschema@.c360_ticket_list.deadline IS 'when the carrier must have answered';
COMMENT ON COLUMN @extschema@.c360_ticket_list.deadline_order IS 'the deadline, infinity without one, to sort by';
COMMENT ON COLUMN @extschema@.c360_ticket_list.order_code IS 'order that it is about';
COMMENT ON COLUMN @extschema@.c360_ticket_list.tracking_code IS 'the carrier''s code';
COMMENT ON COLUMN @extschema@.c360_ticket_list.carrier IS 'who delivers';
COMMENT ON COLUMN @extschema@.c360_ticket_list.subject IS 'subject';
COMMENT ON COLUMN @extschema@.c360_ticket_list.description IS 'description';
COMMENT ON COLUMN @extschema@.c360_ticket_list.products IS 'goods that it is about';
COMMENT ON COLUMN @extschema@.c360_ticket_list.attachments IS 'pictures and files';
COMMENT ON COLUMN @extschema@.c360_ticket_list.original_cod IS 'cash on delivery before, đồng';
COMMENT ON COLUMN @extschema@.c360_ticket_list.new_cod IS 'cash on delivery now, đồng';
COMMENT ON COLUMN @extschema@.c360_ticket_list.refund_amount IS 'amount to compensate, đồng';
COMMENT ON COLUMN @extschema@.c360_ticket_list.reason IS 'reason';
COMMENT ON COLUMN @extschema@.c360_ticket_list.assignee IS 'who works on it';
COMMENT ON COLUMN @extschema@.c360_ticket_list.duplicate_allowed IS 'whether it was opened although the order had one';
COMMENT ON COLUMN @extschema@.c360_ticket_list.goods_received_at IS 'when the goods came back';
COMMENT ON COLUMN @extschema@.c360_ticket_list.compensation IS 'credit, deposit or none; NULL until it is resolved';
COMMENT ON COLUMN @extschema@.c360_ticket_list.compensated_at IS 'when the money moved';
COMMENT ON COLUMN @extschema@.c360_ticket_list.credit_id IS 'lot that compensates';
COMMENT ON COLUMN @extschema@.c360_ticket_list.transaction_id IS 'ledger row that compensates';
COMMENT ON COLUMN @extschema@.c360_ticket_list.created_by IS 'who opened it';
COMMENT ON COLUMN @extschema@.c360_ticket_list.created_at IS 'when it was opened';
COMMENT ON COLUMN @extschema@.c360_ticket_list.completed_at IS 'when it was completed';

COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.id IS 'number of the ledger row';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.type IS 'DEPOSIT, WITHDRAW, REFUND, ADJUSTMENT, VIRTUAL_CREDIT, VIRTUAL_CANCEL or VIRTUAL_EXPIRE';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.operation IS 'function that wrote it';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.balance_after IS 'real balance after it, đồng';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.virtual_balance_after IS 'credit after it, đồng';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.source IS 'where the money came from';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.reference_type IS 'kind of what it is about';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.reference_id IS 'id or code of what it is about';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.credit_expires_at IS 'expiry of the lot that was issued';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.bank_link_id IS 'link of the bank transfer';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.idempotency_key IS 'key of the call';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.actor IS 'who did it';
COMMENT ON COLUMN @extschema@.c360_wallet_transaction_list.session_user_name IS 'role that logged in';

COMMENT ON COLUMN @extschema@.customer_360_summary.id IS 'number of the customer';
COMMENT ON COLUMN @extschema@.customer_360_summary.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.customer_360_summary.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.customer_360_summary.email IS 'e-mail address';
COMMENT ON COLUMN @extschema@.customer_360_summary.status IS 'Bình thường, Bom hàng, Cảnh báo, Nguy hiểm or VIP';
COMMENT ON COLUMN @extschema@.customer_360_summary.tier IS 'new, silver, gold, platinum or blacklist';
COMMENT ON COLUMN @extschema@.customer_360_summary.tags IS 'words that staff gave the customer';
COMMENT ON COLUMN @extschema@.customer_360_summary.rfm_segment IS 'segment of the customer; NULL without one';
COMMENT ON COLUMN @extschema@.customer_360_summary.last_order_at IS 'moment of the last order';
COMMENT ON COLUMN @extschema@.customer_360_summary.created_at IS 'when the customer was created';

COMMENT ON COLUMN @extschema@.customer_activity_summary.customer_id IS 'the customer';
COMMENT ON COLUMN @extschema@.customer_activity_summary.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.customer_activity_summary.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.customer_activity_summary.tier IS 'new, silver, gold, platinum or blacklist';
COMMENT ON COLUMN @extschema@.customer_activity_summary.wallet_balance IS 'real balance, đồng';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_tickets IS 'tickets that are not deleted';
COMMENT ON COLUMN @extschema@.customer_activity_summary.bank_deposit_count IS 'deposits by bank transfer';
COMMENT ON COLUMN @extschema@.customer_activity_summary.rfm_segment IS 'segment of the customer; NULL without one';
COMMENT ON COLUMN @extschema@.customer_activity_summary.last_order_at IS 'moment of the last order';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_orders IS 'orders that are not cancelled';
COMMENT ON COLUMN @extschema@.customer_activity_summary.total_spent IS 'sum of orders neither cancelled nor returned, đồng';

COMMENT ON COLUMN @extschema@.customer_statistics.total_customers IS 'all customers';

COMMENT ON COLUMN @extschema@.customers_without_tpos.id IS 'number of the customer';
COMMENT ON COLUMN @extschema@.customers_without_tpos.phone IS 'phone of the customer in canonical form; NULL after he was erased';
COMMENT ON COLUMN @extschema@.customers_without_tpos.name IS 'name of the customer';
COMMENT ON COLUMN @extschema@.customers_without_tpos.created_at IS 'since when he waits';

COMMENT ON COLUMN @extschema@.daily_wallet_summary.type IS 'type of the ledger rows';
COMMENT ON COLUMN @extschema@.daily_wallet_summary.transaction_count IS 'ledger rows';
COMMENT ON COLUMN @extschema@.daily_wallet_summary.unique_customers IS 'customers whose wallets moved';

COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.type IS 'type of the tickets';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.status IS 'status of the tickets';
COMMENT ON COLUMN @extschema@.ticket_resolution_metrics.ticket_count IS 'tickets';

COMMENT ON COLUMN @extschema@.ticket_statistics.total_tickets IS 'tickets that are not deleted';
COMMENT ON COLUMN @extschema@.ticket_statistics.new_count IS 'tickets that are new';
COMMENT ON COLUMN @extschema@.ticket_statistics.processing_count IS 'tickets being worked on';
COMMENT ON COLUMN @extschema@.ticket_statistics.waiting_carrier_count IS 'tickets that wait for the carrier';
COMMENT ON COLUMN @extschema@.ticket_statistics.completed_count IS 'tickets that are completed';
COMMENT ON COLUMN @extschema@.ticket_statistics.cancelled_count IS 'tickets that are cancelled';

COMMENT ON COLUMN @extschema@.wallet_statistics.wallets_with_balance IS 'wallets with real money';
COMMENT ON COLUMN @extschema@.wallet_statistics.wallets_with_virtual IS 'wallets with credit';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_real_balance IS 'sum of real balances, đồng';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_deposited IS 'sum of deposits, đồng';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_virtual_issued IS 'sum of credit issued, đồng';
COMMENT ON COLUMN @extschema@.wallet_statistics.total_virtual_expired IS 'sum of credit that expired, đồng';
