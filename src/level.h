/*
 * level.h
 *	  Who may do what.
 */
#ifndef C360_LEVEL_H
#define C360_LEVEL_H

#include "postgres.h"

typedef enum C360Level
{
	C360_LEVEL_NONE,
	C360_LEVEL_VIEWER,
	C360_LEVEL_AGENT,
	C360_LEVEL_ACCOUNTANT,
	C360_LEVEL_ADMIN
} C360Level;

/* the highest level of the roles that it is a member of, as of now */
extern C360Level c360_level_of(Oid role);
extern const char *c360_level_name(C360Level level);

#endif							/* C360_LEVEL_H */
