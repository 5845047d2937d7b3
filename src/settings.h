/*
 * settings.h
 *	  Business rules that vary: rows of c360.settings.
 */
#ifndef C360_SETTINGS_H
#define C360_SETTINGS_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef struct C360Settings
{
	int64		audit_retention_days;
	int64		credit_expiry_days;
	int64		refund_grace_days;
	int64		max_amount;		/* 0 = none */
	int64		event_retention;	/* days */
	bool		notify_payload_ids;
	int64		stream_pass_hours;
	bool		create_customer_from_transfer;
	int64		rfm_frequency_window;	/* days */
	double		part_match_max_chance;
	char	   *sepay_api_key_hash; /* SHA-256 in hexadecimal; empty = not set */
	List	   *authenticator_roles;	/* of char * */
} C360Settings;

extern void c360_settings_init(void);
extern const C360Settings *c360_settings(void);

#endif							/* C360_SETTINGS_H */
