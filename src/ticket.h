/*
 * ticket.h
 *	  Opening a ticket, and what its fields may hold.
 */
#ifndef C360_TICKET_H
#define C360_TICKET_H

#include "postgres.h"

extern void c360_ticket_init(void);

/* ticket_fields.c: checks a value, as an SQL argument has it, and answers it */
extern Datum c360_ticket_field(const char *name, Datum given);

#endif							/* C360_TICKET_H */
