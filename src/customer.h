/*
 * customer.h
 *	  Customers, as far as money needs them.
 */
#ifndef C360_CUSTOMER_H
#define C360_CUSTOMER_H

#include "postgres.h"

#include "storage.h"

extern C360Row *c360_customer_row(C360Store *store, const char *phone);
extern int64 c360_customer_by_phone(C360Store *store, const char *phone);
extern int64 c360_customer_create(C360Store *store, const char *phone, const char *name,
								  const char *source, bool *created);
extern void c360_check_tries(int tries);
extern void c360_customer_unknown(const char *phone) __attribute__((noreturn));

#endif							/* C360_CUSTOMER_H */
