// Every function and view that PostgREST offers, with calls that are good and
// calls that are bad. Functions that do not exist (yet) are passed over.

import { sql, value } from './tools.mjs';

let count = 0;

// Nobody's yet.
export function newPhone() {
    return `0961${String(++count).padStart(6, '0')}`;
}

export async function customer(balance = 100000) {
    const phone = newPhone();

    await sql('SELECT c360_deposit($1, $2)', [phone, balance]);
    return phone;
}

async function credit() {
    return value("SELECT (lots -> 0 ->> 'credit_id')::bigint FROM c360_issue_credit($1, 5000, 'PROMOTION')", [newPhone()]);
}

async function withdrawal() {
    return value('SELECT transaction_id FROM c360_withdraw($1, 7000)', [await customer()]);
}

export async function ticket(type = 'COMPLAINT', refund = null) {
    return value('SELECT ticket_code FROM c360_create_ticket($1, $2, refund_amount => $3)', [newPhone(), type, refund]);
}

export function transfer(more = {}) {
    return { id: 92704000 + ++count, gateway: 'MBBank', transactionDate: '2026-01-07 14:02:37', accountNumber: '75918',
        transferType: 'in', transferAmount: 150000, content: `CK ${newPhone()}`, ...more };
}

async function bankTransaction(more = {}) {
    return value('SELECT bank_transaction_id FROM c360_ingest_bank_transaction($1)',
        [transfer({ content: 'khong co so', ...more })]);
}

async function pendingMatch() {
    const id = await bankTransaction({ content: `${newPhone()} va ${newPhone()}` });

    return value('SELECT id FROM c360.pending_customer_matches WHERE bank_transaction_id = $1', [id]);
}

// An open flag: all his parcels came back.
async function flag() {
    const phone = newPhone();

    await sql(`SELECT c360_record_order($1, $1 || '-' || n, 1000, now(), 'returned') FROM generate_series(1, 3) AS n`, [phone]);
    await sql('SELECT c360_scan_fraud()');
    return value("SELECT id FROM c360_fraud_flag_list WHERE phone = $1 AND status = 'open'", [phone]);
}

const NOBODY = '0999999999';
const invalidPhone = [{ phone: 'no phone' }, 400, '22023', 'invalid_phone'];
const noPhone = [{ phone: null }, 400, '22004', 'missing_argument'];
const unknownPhone = [{ phone: NOBODY }, 404, 'PT404', 'customer_not_found'];
const invalidAmount = [{ amount: 0 }, 400, '22023', 'invalid_amount'];
const noAmount = [{ amount: null }, 400, '22004', 'missing_argument'];
const tooMuch = [{ amount: 1000000001 }, 400, '22023', 'amount_limit'];
const tooLong = (name, length) => [{ [name]: 'x'.repeat(length + 1) }, 400, '22001', 'too_long'];
const unknownTicket = [{ ticket_code: 'TV-2020-00001' }, 404, 'PT404', 'ticket_not_found'];
const tooManyRows = [{ max_rows: 100000 }, 400, '22023', 'out_of_range'];

// args: of a call that works, made anew for each; answer: the type of what it
// gives, or null for 204. bad: what is changed in the arguments, then status,
// SQLSTATE and machine word.
export const functions = {
    // customers
    c360_get_or_create_customer: { args: () => ({ phone: newPhone(), name: 'Nguyễn Văn An' }), answer: 'number',
        bad: [invalidPhone, noPhone, tooLong('name', 255)] },
    c360_upsert_customer: { args: () => ({ phone: newPhone(), name: 'Bình', email: 'b@shop.vn', tags: ['vip', 'sỉ'] }),
        answer: 'object', bad: [invalidPhone, noPhone, tooLong('email', 255), [{ name: ' ' }, 400, '22023', 'blank'],
            [{ created_source: 'dream' }, 400, '22023', 'not_allowed'], [{ tags: 'vip' }, 400, '22P02']] },
    c360_upsert_tpos_customer: { args: () => ({ phone: newPhone(), tpos: { Id: ++count, Name: 'Chi' } }), answer: 'object',
        bad: [invalidPhone, noPhone, [{ tpos: ['x'] }, 400, '22023', 'invalid_tpos'], [{ tpos: null }, 400, '22004']] },
    c360_customer: { args: async () => ({ phone: await customer() }), answer: 'object',
        bad: [invalidPhone, noPhone, unknownPhone] },
    c360_customers: { args: async () => ({ phones: [await customer(), NOBODY] }), answer: 'array',
        bad: [[{ phones: Array(1001).fill(NOBODY) }, 400, '22023', 'too_many'], [{ phones: ['x'] }, 400, '22023', 'invalid_phone']] },
    c360_recent_customers: { args: () => ({ max_rows: 5 }), answer: 'array', bad: [tooManyRows] },
    c360_search_customers: { args: () => ({ query: 'nguyen' }), answer: 'array',
        bad: [[{ query: 'x' }, 400, '22023'], [{ query: null }, 400, '22004'], tooManyRows, [{ after: 'x' }, 400, '22023']] },
    c360_activities: { args: async () => ({ phone: await customer() }), answer: 'array',
        bad: [invalidPhone, noPhone, unknownPhone, tooManyRows] },
    c360_add_note: { args: async () => ({ phone: await customer(), content: 'gọi lại', category: 'important', pinned: true }),
        answer: 'number', bad: [invalidPhone, noPhone, unknownPhone, [{ content: '' }, 400, '22023', 'blank'],
            [{ content: null }, 400, '22004'], tooLong('content', 2000), [{ category: 'secret' }, 400, '22023', 'not_allowed']] },
    c360_change_phone: { args: async () => ({ phone: await customer(), new_phone: newPhone(), reason: 'lost his phone' }),
        answer: null, bad: [invalidPhone, noPhone, unknownPhone, [{ new_phone: 'x' }, 400, '22023', 'invalid_phone'],
            [{ reason: null }, 400, '22004'], tooLong('reason', 500)],
        conflict: async () => [{ new_phone: await customer() }, 'phone_taken'] },
    c360_set_tier: { args: async () => ({ phone: await customer(), tier: 'gold', reason: 'good one' }), answer: null,
        bad: [invalidPhone, noPhone, unknownPhone, [{ tier: 'wood' }, 400, '22023', 'not_allowed'], [{ tier: null }, 400, '22004']] },
    c360_set_status: { args: async () => ({ phone: await customer(), status: 'VIP' }), answer: null,
        bad: [invalidPhone, noPhone, unknownPhone, [{ status: 'good' }, 400, '22023', 'not_allowed']] },
    c360_export_customer: { args: async () => ({ phone: await customer() }), answer: 'object',
        bad: [invalidPhone, noPhone, unknownPhone] },
    c360_erase_customer: { args: async () => {
        const phone = newPhone();

        await sql('SELECT c360_get_or_create_customer($1)', [phone]);
        return { phone, reason: 'he asked for it' };
    }, answer: null, bad: [invalidPhone, noPhone, unknownPhone, [{ reason: ' ' }, 400, '22023', 'blank']],
    conflict: async () => [{ phone: await customer() }, 'balance_left'] },

    // orders and tickets
    c360_record_order: { args: () => ({ phone: newPhone(), order_code: `DH-${++count}`, amount: 250000,
        ordered_at: '2026-01-05T10:00:00+07:00', status: 'delivered' }), answer: 'array',
    bad: [invalidPhone, noPhone, [{ amount: -1 }, 400, '22023', 'invalid_amount'], [{ status: 'lost' }, 400, '22023', 'not_allowed'],
        [{ order_code: null }, 400, '22004'], [{ ordered_at: 'yesterday-ish' }, 400, '22007']] },
    c360_create_ticket: { args: () => ({ phone: newPhone(), type: 'BOOM', order_code: `DH-${++count}`, refund_amount: 30000,
        products: [{ code: 'A1', quantity: 2 }] }), answer: 'array',
    bad: [invalidPhone, noPhone, [{ type: 'LOST' }, 400, '22023', 'not_allowed'], [{ type: null }, 400, '22004'],
        [{ priority: 'soon' }, 400, '22023', 'not_allowed'], [{ refund_amount: -1 }, 400, '22023', 'invalid_amount'],
        tooLong('subject', 500)],
    conflict: async () => {
        const order_code = `DH-${++count}`;

        await sql("SELECT c360_create_ticket($1, 'HOAN', $2)", [newPhone(), order_code]);
        return [{ order_code }, 'duplicate_ticket'];
    } },
    c360_ticket: { args: async () => ({ ticket_code: await ticket() }), answer: 'object',
        bad: [unknownTicket, [{ ticket_code: null }, 400, '22004']] },
    c360_update_ticket: { args: async () => ({ ticket_code: await ticket(), changes: { priority: 'high', assignee: 'An' } }),
        answer: 'object', bad: [unknownTicket, [{ changes: { status: 'completed' } }, 400, '22023', 'unknown_key'],
            [{ changes: { priority: 7 } }, 400, '22023', 'wrong_type'], [{ changes: ['priority'] }, 400, '22023', 'wrong_type'],
            [{ changes: null }, 400, '22004']] },
    c360_ticket_action: { args: async () => ({ ticket_code: await ticket(), action: 'process', note: 'on it' }), answer: 'object',
        bad: [unknownTicket, [{ action: 'dance' }, 400, '22023', 'not_allowed'], [{ action: null }, 400, '22004']],
        conflict: async () => {
            const code = await ticket();

            await sql("SELECT c360_ticket_action($1, 'cancel')", [code]);
            return [{ ticket_code: code }, 'move_not_allowed'];
        } },
    c360_ticket_note: { args: async () => ({ ticket_code: await ticket(), note: 'called him' }), answer: 'object',
        bad: [unknownTicket, [{ note: '' }, 400, '22023', 'blank'], tooLong('note', 2000)] },
    c360_resolve_ticket: { args: async () => ({ ticket_code: await ticket(), compensation: 'none' }), answer: 'object',
        bad: [unknownTicket, [{ compensation: 'gold' }, 400, '22023', 'not_allowed'], [{ amount: -1 }, 400, '22023', 'invalid_amount']],
        conflict: async () => {
            const code = await ticket('HOAN', 4000);

            await sql('SELECT c360_resolve_ticket($1)', [code]);
            return [{ ticket_code: code, compensation: null }, 'compensated'];
        } },
    c360_delete_ticket: { args: async () => ({ ticket_code: await ticket(), reason: 'twice' }), answer: null,
        bad: [unknownTicket, tooLong('reason', 500)] },
    c360_escalate_deadlines: { args: () => ({}), answer: 'number' },
    c360_recount_orders: { args: () => ({}), answer: 'number', bad: [[{ max_customers: 0 }, 400, '22023']] },

    // wallets
    c360_wallet: { args: async () => ({ phone: await customer() }), answer: 'object', bad: [invalidPhone, noPhone, unknownPhone] },
    c360_wallets: { args: async () => ({ phones: [await customer(), await customer()] }), answer: 'array',
        bad: [[{ phones: ['x'] }, 400, '22023', 'invalid_phone'], [{ phones: Array(1001).fill(NOBODY) }, 400, '22023', 'too_many']] },
    c360_wallet_transactions: { args: async () => ({ phone: await customer() }), answer: 'array',
        bad: [invalidPhone, noPhone, unknownPhone, tooManyRows, [{ type: 'GIFT' }, 400, '22023', 'not_allowed']] },
    c360_balance_at: { args: async () => ({ phone: await customer(), at: '2026-01-01T00:00:00Z' }), answer: 'array',
        bad: [invalidPhone, noPhone, unknownPhone, [{ at: 'then' }, 400, '22007'], [{ at: null }, 400, '22004']] },
    c360_expiring_credits: { args: () => ({ within: '3 days' }), answer: 'array', bad: [[{ within: 'soon' }, 400, '22007']] },
    c360_deposit: { args: () => ({ phone: newPhone(), amount: 50000, note: 'tiền mặt' }), answer: 'object',
        bad: [invalidPhone, noPhone, invalidAmount, noAmount, tooMuch, [{ amount: 1.5 }, 400, '22P02'],
            [{ amount: '9223372036854775808' }, 400, '22003'], [{ source: 'BANK_TRANSFER' }, 400, '22023', 'not_allowed'], tooLong('note', 2000),
            tooLong('reference_id', 200), tooLong('idempotency_key', 200),
            [{ occurred_at: '1999-12-31T00:00:00Z' }, 400, '22023', 'invalid_date']],
        conflict: async () => {
            await sql('SELECT c360_deposit($1, 1, idempotency_key => $2)', [newPhone(), `key-${++count}`]);
            return [{ idempotency_key: `key-${count}` }, 'key_reused'];
        } },
    c360_issue_credit: { args: () => ({ phone: newPhone(), amount: 20000, kind: 'PROMOTION', source_id: `S-${++count}` }),
        answer: 'object', bad: [invalidPhone, noPhone, invalidAmount, noAmount, tooMuch, [{ kind: 'LOVE' }, 400, '22023', 'not_allowed'],
            [{ expires_at: '2020-01-01T00:00:00Z' }, 400, '22023', 'expired']],
        conflict: async () => {
            const phone = newPhone();

            await sql("SELECT c360_issue_credit($1, 1, 'PROMOTION', 'twice')", [phone]);
            return [{ phone, source_id: 'twice' }, 'credit_exists'];
        } },
    c360_withdraw: { args: async () => ({ phone: await customer(), amount: 30000, order_id: `DH-${++count}` }), answer: 'object',
        bad: [invalidPhone, noPhone, unknownPhone, invalidAmount, noAmount, [{ amount: 500000 }, 402, 'PT402', 'insufficient_funds']] },
    c360_refund: { args: async () => ({ transaction_id: await withdrawal(), amount: 2000 }), answer: 'object',
        bad: [[{ transaction_id: 999999 }, 404, 'PT404', 'transaction_not_found'], [{ transaction_id: null }, 400, '22004'],
            [{ amount: 7001 }, 409, 'PT409', 'refund_exceeds'], [{ transaction_id: 1 }, 409, 'PT409', 'not_refundable']] },
    c360_adjust: { args: async () => ({ phone: await customer(), amount: -1000, reason: 'counted once more' }), answer: 'object',
        bad: [invalidPhone, noPhone, unknownPhone, invalidAmount, [{ reason: 'short' }, 400, '22023', 'reason_too_short'],
            [{ amount: -900000 }, 402, 'PT402', 'insufficient_funds']] },
    c360_cancel_credit: { args: async () => ({ credit_id: await credit(), reason: 'given by mistake' }), answer: 'object',
        bad: [[{ credit_id: 999999 }, 404, 'PT404', 'credit_not_found'], [{ reason: null }, 400, '22004']],
        conflict: async () => {
            const id = await credit();

            await sql("SELECT c360_cancel_credit($1, 'before')", [id]);
            return [{ credit_id: id }, 'credit_not_active'];
        } },
    c360_freeze_wallet: { args: async () => ({ phone: await customer(), reason: 'looked into' }), answer: null,
        bad: [invalidPhone, noPhone, unknownPhone, [{ reason: '' }, 400, '22023', 'blank']] },
    c360_unfreeze_wallet: { args: async () => ({ phone: await customer() }), answer: null, bad: [invalidPhone, noPhone, unknownPhone] },
    c360_expire_credits: { args: () => ({}), answer: 'array', bad: [[{ max_lots: 0 }, 400, '22023']] },
    c360_verify_wallets: { args: () => ({}), answer: 'array' },

    // bank
    c360_ingest_bank_transaction: { args: () => ({ payload: transfer() }), answer: 'object',
        bad: [[{ payload: transfer({ transferAmount: -1 }) }, 400, '22023', 'invalid_payload'],
            [{ payload: { id: 1 } }, 400, '22023', 'invalid_payload'], [{ payload: [] }, 400, '22023', 'invalid_payload'],
            [{ payload: null }, 400, '22004']] },
    c360_ingest_bank_transactions: { args: () => ({ payloads: [transfer(), transfer()] }), answer: 'array' },
    c360_create_qr_code: { args: async () => ({ phone: await customer() }), answer: 'string', bad: [invalidPhone, noPhone, unknownPhone] },
    c360_retire_qr_code: { args: async () => ({ code: await value('SELECT c360_create_qr_code($1)', [await customer()]) }), answer: null },
    c360_link_transaction: { args: async () => ({ bank_transaction_id: await bankTransaction(), phone: newPhone() }), answer: 'object',
        bad: [invalidPhone, noPhone, [{ bank_transaction_id: 999999 }, 404, 'PT404', 'bank_transaction_not_found']] },
    c360_unlink_transaction: { args: async () => ({ bank_transaction_id: await bankTransaction({ content: `CK ${newPhone()}` }),
        reason: 'somebody else paid' }), answer: 'object', bad: [[{ bank_transaction_id: 999999 }, 404, 'PT404', 'bank_transaction_not_found']] },
    c360_resolve_match: { args: async () => ({ match_id: await pendingMatch(), phone: await customer(), any_customer: true }), answer: 'object',
        bad: [invalidPhone, noPhone, [{ match_id: 999999 }, 404, 'PT404', 'match_not_found']] },
    c360_skip_match: { args: async () => ({ match_id: await pendingMatch(), reason: 'not ours' }), answer: 'object',
        bad: [[{ match_id: 999999 }, 404, 'PT404', 'match_not_found']] },
    c360_undo_skip_match: { args: async () => {
        const match_id = await pendingMatch();

        await sql("SELECT c360_skip_match($1, 'not ours')", [match_id]);
        return { match_id };
    }, answer: 'object', bad: [[{ match_id: 999999 }, 404, 'PT404', 'match_not_found']] },
    c360_ignore_number: { args: () => ({ number: `19${String(++count).padStart(6, '0')}`, reason: 'our hotline' }), answer: null,
        bad: [[{ number: 'x' }, 400, '22023', 'invalid_number'], [{ reason: null }, 400, '22004']] },
    c360_unignore_number: { args: () => ({ number: '19001000' }), answer: 'boolean', bad: [[{ number: 'x' }, 400, '22023', 'invalid_number']] },
    c360_process_bank: { args: () => ({}), answer: 'array' },
    c360_rematch_transactions: { args: () => ({ from_date: '2026-01-01', to_date: '2026-01-31' }), answer: 'array',
        bad: [[{ from_date: '2026-02-01' }, 400, '22023']] },
    c360_reconcile_bank: { args: () => ({ from_date: '2026-01-01', to_date: '2026-01-31' }), answer: 'array',
        bad: [[{ from_date: '2026-02-01' }, 400, '22023']] },

    // RFM, fraud
    c360_calculate_rfm: { args: async () => ({ phone: await customer() }), answer: 'array', bad: [invalidPhone, noPhone, unknownPhone] },
    c360_update_rfm: { args: async () => ({ phone: await customer() }), answer: 'array', bad: [invalidPhone, noPhone, unknownPhone] },
    c360_refresh_rfm: { args: () => ({ full: true }), answer: 'array' },
    c360_analyze_rfm: { args: async () => ({ phone: await customer() }), answer: 'object', bad: [invalidPhone, noPhone, unknownPhone] },
    c360_update_rfm_threshold: { args: () => ({ metric: 'frequency', score: 5, min_value: 12 }), answer: null,
        bad: [[{ metric: 'love' }, 400, '22023'], [{ score: 6 }, 400, '22023'], [{ min_value: -1 }, 400, '22023']] },
    c360_rfm_movement: { args: () => ({ from_date: '2026-01-01', to_date: '2026-01-31' }), answer: 'array',
        bad: [[{ from_date: '2026-02-01' }, 400, '22023']] },
    c360_scan_fraud: { args: () => ({}), answer: 'array' },
    c360_review_fraud_flag: { args: async () => ({ flag_id: await flag(), decision: 'dismissed', note: 'parcels were lost' }), answer: null,
        bad: [[{ flag_id: 999999 }, 404, 'PT404'], [{ decision: 'maybe' }, 400, '22023'], [{ flag_id: null }, 400, '22004']] },
    c360_set_fraud_rule: { args: () => ({ rule: 'self_dealing', mode: 'shadow', parameters: { percent: 90 } }), answer: null,
        bad: [[{ rule: 'love' }, 400, '22023', 'unknown_rule'], [{ mode: 'loud' }, 400, '22023', 'not_allowed'],
            [{ parameters: { percent: 'x' } }, 400, '22023', 'invalid_parameter']] },
    c360_snooze_fraud_rule: { args: async () => ({ phone: await customer(), rule: 'wallet_abuse', until: '2030-01-01T00:00:00Z',
        note: 'known wholesaler' }), answer: null, bad: [invalidPhone, noPhone, unknownPhone, [{ rule: 'love' }, 400, '22023']] },

    // statistics
    c360_dashboard: { args: () => ({}), answer: 'object' },
    c360_ticket_metrics: { args: () => ({ days: 7 }), answer: 'object', bad: [[{ days: 0 }, 400, '22023']] },
    c360_wallet_summary: { args: () => ({ days: 30 }), answer: 'object', bad: [[{ days: -1 }, 400, '22023']] },
    c360_daily_summary: { args: () => ({ from_date: '2026-01-01', to_date: '2026-01-31' }), answer: 'array',
        bad: [[{ from_date: '2026-02-01' }, 400, '22023'], [{ to_date: '31/31' }, 400, '22007']] },
    c360_consolidated_transactions: { args: async () => ({ phone: await customer(), max_rows: 5 }), answer: 'array',
        bad: [[{ phone: 'x' }, 400, '22023', 'invalid_phone'], unknownPhone, [{ type: 'x' }, 400, '22023'], tooManyRows,
            [{ after: 'x' }, 400, '22023']] },

    // events
    c360_events_since: { args: () => ({}), answer: 'array', bad: [[{ after: 'x' }, 400, '22023', 'invalid_cursor'],
        [{ channels: ['walets'] }, 400, '22023', 'unknown_channel'], tooManyRows] },
    c360_open_stream: { args: () => ({ channels: ['customers'] }), answer: 'string',
        bad: [[{ channels: ['walets'] }, 400, '22023', 'unknown_channel']] },

    // set-up
    c360_set: { args: () => ({ name: 'refund_grace_days', value: '8' }), answer: null,
        bad: [[{ name: 'nothing' }, 400, '22023', 'unknown_setting'], [{ value: 'x' }, 400, '22023', 'invalid_setting'],
            [{ name: null }, 400, '22004']] },
    c360_set_job: { args: () => ({ job: 'expire_credits', schedule: '5 * * * *' }), answer: null,
        bad: [[{ job: 'x' }, 400, '22023', 'unknown_job'], [{ schedule: 'x' }, 400, '22023', 'invalid_schedule']] },
    c360_run_job: { args: () => ({ job: 'expire_credits' }), answer: null, bad: [[{ job: 'x' }, 400, '22023', 'unknown_job']] },
    c360_schedule_jobs: { args: () => ({}), status: 500, code: '55000' },           // no pg_cron here
    c360_unschedule_jobs: { args: () => ({}), answer: 'number' },
    c360_level: { args: () => ({}), answer: 'string' },
    c360_sees_money: { args: () => ({}), answer: 'boolean' },
    c360_statistics: { args: () => ({}), answer: 'array' },
};

// for everybody who may use the schema
export const pure = {
    c360_normalize_phone: [{ raw: '+84 912 345 678' }, '0912345678'],
    c360_phone_carrier: [{ phone: '0912345678' }, 'Vinaphone'],
    c360_parse_transfer: [{ content: 'CK 0912345678' }, [{ kind: 'phone', value: '0912345678', position: 4, confidence: 0.95 }]],
    c360_fold: [{ raw: 'Nguyễn' }, 'nguyen'],
    c360_next_run: [{ schedule: '0 2 * * *', after: '2026-01-01T00:00:00+07:00' }, '2025-12-31T19:00:00+00:00'],
    c360_version: [{}, undefined],
};
