/*
 * webhook.c
 *	  The bank gateway's webhook: SePay posts a transfer and shows a key.
 *
 * PostgREST hands the body over as it comes, which is why the function has one
 * argument without a name, and the request's headers as a setting. The key is
 * not stored: the setting sepay_api_key_hash holds its SHA-256. Whoever may
 * call this can do nothing else, and nothing at all without the key.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "bank.h"
#include "call.h"
#include "json.h"
#include "settings.h"

#define SCHEME "Apikey"

PG_FUNCTION_INFO_V1(c360_sepay_webhook);

static void
hash_of(const char *key, char *hexadecimal)
{
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) key, strlen(key)) < 0 ||
		pg_cryptohash_final(context, hash, sizeof(hash)) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
	hex_encode((const char *) hash, sizeof(hash), hexadecimal);
}

/* The key of "Authorization: Apikey ..."; NULL if there is none. */
static const char *
shown_key(void)
{
	const char *header = c360_request_header("authorization");
	size_t		scheme = strlen(SCHEME);

	if (header == NULL || pg_strncasecmp(header, SCHEME, scheme) != 0 || header[scheme] != ' ')
		return NULL;
	header += scheme;
	return header + strspn(header, " ");
}

/* One answer for every way to be wrong, and in the same time. */
static void
check_key(void)
{
	const char *wanted = c360_settings()->sepay_api_key_hash;
	const char *key = shown_key();
	char		hash[2 * PG_SHA256_DIGEST_LENGTH];

	hash_of(key != NULL ? key : "", hash);
	if (key == NULL || wanted == NULL || strlen(wanted) != sizeof(hash) ||
		timingsafe_bcmp(wanted, hash, sizeof(hash)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_C360_UNAUTHORIZED),
				 errmsg("wrong or missing webhook key"),
				 errdetail("wrong_key: the Authorization header does not hold the key"),
				 errhint("The setting sepay_api_key_hash holds the SHA-256 of the key.")));
}

static Datum
sepay_webhook(PG_FUNCTION_ARGS)
{
	C360Payload payload;
	C360BankResult result;
	C360Json	json = {0};

	check_key();
	if (PG_ARGISNULL(0))
		c360_missing_argument("payload");
	c360_payload_read(PG_GETARG_JSONB_P(0), &payload);
	c360_ingest(&payload, &result);
	c360_json_begin_object(&json, NULL);
	c360_json_bool(&json, "success", true);
	c360_json_text(&json, "result", result.result);
	c360_json_int64(&json, "bank_transaction_id", result.bank_transaction_id);
	c360_json_end_object(&json);
	PG_RETURN_JSONB_P(c360_json_finish(&json));
}

Datum
c360_sepay_webhook(PG_FUNCTION_ARGS)
{
	return c360_call(fcinfo, "c360_sepay_webhook", sepay_webhook);
}
