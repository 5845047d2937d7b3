/*
 * shop.h
 *	  The shop's clock.
 *
 * Vietnam has been 7 hours ahead of UTC since 1976; who may meet an earlier
 * moment asks the time zone.
 */
#ifndef C360_SHOP_H
#define C360_SHOP_H

#include "datatype/timestamp.h"

#define C360_SHOP_TIME_ZONE	"Asia/Ho_Chi_Minh"
#define C360_SHOP_OFFSET	(7 * USECS_PER_HOUR)

#endif
