/*
 * lot.h
 *	  Lots of virtual credit: issue, use, restore, expire.
 */
#ifndef C360_LOT_H
#define C360_LOT_H

#include "postgres.h"

#include "ledger.h"

/* The wallet's ACTIVE lots in order of use, overdue ones expired. */
typedef struct C360Lots
{
	C360Wallet *wallet;
	C360Scan   *scan;			/* NULL = there are none */
	C360Row    *next;			/* the first usable lot, NULL = none left */
	int64		expired_count;
	int64		expired_amount;
} C360Lots;

extern int64 c360_lot_insert(C360Wallet *wallet, const char *kind, const char *source_id,
							 int64 amount, TimestampTz expires_at);
extern void c360_lots_begin(C360Lots *lots, C360Wallet *wallet, int64 max_lots);
extern int64 c360_lots_use(C360Lots *lots, C360Movement *movement, int64 amount);
extern void c360_lots_end(C360Lots *lots);
extern void c360_lots_expire(C360Wallet *wallet);
extern bool c360_lot_restore(C360Wallet *wallet, C360LotPart *part);
extern void c360_lot_end(C360Wallet *wallet, C360Row *lot, const char *status,
						 C360Movement *movement);

#endif							/* C360_LOT_H */
