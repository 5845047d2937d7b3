/*
 * version.h
 *	  The version of the library, and of the SQL that calls it.
 */
#ifndef C360_VERSION_H
#define C360_VERSION_H

#include "postgres.h"

extern bool c360_sql_is_ours(void);

#endif							/* C360_VERSION_H */
