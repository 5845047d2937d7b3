/*
 * lot.h
 *	  Lots of virtual credit: issue, use, restore, expire.
 */
#ifndef C360_LOT_H
#define C360_LOT_H

#include "postgres.h"

#include "ledger.h"

extern int64 c360_lot_insert(C360Wallet *wallet, const char *kind, const char *source_id,
							 int64 amount, TimestampTz expires_at);
extern int64 c360_lots_expire(C360Wallet *wallet, int64 max_lots, int64 *amount);
extern int64 c360_lots_use(C360Wallet *wallet, C360Movement *movement, int64 amount);
extern bool c360_lot_restore(C360Wallet *wallet, C360LotPart *part);
extern void c360_lot_end(C360Wallet *wallet, C360Row *lot, const char *status,
						 C360Movement *movement);

#endif							/* C360_LOT_H */
