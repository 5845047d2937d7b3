/*
 * wallet.h
 *	  What other parts of c360 ask of wallets.
 */
#ifndef C360_WALLET_H
#define C360_WALLET_H

#include "postgres.h"

#include "ledger.h"

extern int64 c360_deposit_transfer(C360Wallet *wallet, int64 amount, int64 bank_link_id,
								   int64 bank_transaction_id, TimestampTz occurred_at);
extern int64 c360_take_transfer_back(C360Wallet *wallet, int64 amount, int64 bank_link_id,
									 int64 bank_transaction_id, const char *reason);

#endif							/* C360_WALLET_H */
