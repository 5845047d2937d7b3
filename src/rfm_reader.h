/*
 * rfm_reader.h
 *	  Customers with what they are scored by, in order of id.
 */
#ifndef C360_RFM_READER_H
#define C360_RFM_READER_H

#include "postgres.h"

#include "rfm.h"
#include "storage.h"

typedef struct C360RfmCustomer
{
	int64		id;
	C360RfmFacts facts;
	C360Row    *row;
	C360Row    *score;			/* what is stored of him; NULL = nothing */
} C360RfmCustomer;

typedef struct C360RfmReader C360RfmReader;

extern C360RfmReader *c360_rfm_reader_open(C360Store *store, TimestampTz window_start);
extern C360RfmReader *c360_rfm_reader_open_all(C360Store *store, TimestampTz window_start);
extern void c360_rfm_read_range(C360RfmReader *reader, int64 after, int64 upto);
extern bool c360_rfm_read(C360RfmReader *reader, C360RfmCustomer *customer);
extern void c360_rfm_reader_close(C360RfmReader *reader);

#endif							/* C360_RFM_READER_H */
