/*
 * payload.h
 *	  A bank gateway's payload, read and checked.
 */
#ifndef C360_PAYLOAD_H
#define C360_PAYLOAD_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef struct C360Payload
{
	Jsonb	   *raw;
	int64		sepay_id;
	char	   *gateway;
	TimestampTz transaction_date;
	char	   *account_number;
	char	   *sub_account;	/* these and the texts below: NULL = not given */
	char	   *code;
	char	   *content;
	char	   *transfer_type;	/* in or out */
	int64		transfer_amount;
	int64		accumulated;
	bool		has_accumulated;
	char	   *reference_code;
	char	   *description;
} C360Payload;

extern void c360_payload_read(Jsonb *raw, C360Payload *payload);

#endif							/* C360_PAYLOAD_H */
