/*
 * commit.h
 *	  What a transaction of c360's tells the workers when it commits.
 */
#ifndef C360_COMMIT_H
#define C360_COMMIT_H

#include "postgres.h"

#include "utils/timestamp.h"

extern void c360_commit_init(void);
extern void c360_at_commit_announce(void);
extern void c360_at_commit_expiry(TimestampTz expires_at);
extern void c360_at_commit_settings(void);

#endif							/* C360_COMMIT_H */
