/*
 * pure.c
 *	  The SQL face of the pure parts: phone numbers, transfer contents, folding,
 *	  addresses of QR codes.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "call.h"
#include "catalog/pg_type_d.h"
#include "compat.h"
#include "fold.h"
#include "phone.h"
#include "transfer.h"

/*
 * Everybody may call these, and the pure parts cannot be interrupted: with
 * these bounds a call ends within about a second.
 */
#define LONGEST_CONTENT 1000000
#define MOST_IGNORED 1000

PG_FUNCTION_INFO_V1(c360_normalize_phone);
PG_FUNCTION_INFO_V1(c360_carrier_of_phone);
PG_FUNCTION_INFO_V1(c360_require_phone);
PG_FUNCTION_INFO_V1(c360_parse_transfer);
PG_FUNCTION_INFO_V1(c360_fold);
PG_FUNCTION_INFO_V1(c360_require_text);
PG_FUNCTION_INFO_V1(c360_vietqr_url);

Datum
c360_normalize_phone(PG_FUNCTION_ARGS)
{
	text	   *raw = PG_GETARG_TEXT_PP(0);
	char		phone[C360_PHONE_MAX + 1];

	if (!c360_phone_normalize(VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw), phone))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(phone));
}

/* SQL name c360_phone_carrier; the C name belongs to phone.c. */
Datum
c360_carrier_of_phone(PG_FUNCTION_ARGS)
{
	text	   *raw = PG_GETARG_TEXT_PP(0);
	char		phone[C360_PHONE_MAX + 1];
	const char *carrier = NULL;

	if (c360_phone_normalize(VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw), phone))
		carrier = c360_phone_carrier(phone, strlen(phone));
	if (carrier == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(carrier));
}

/* A phone argument of functions in PL/pgSQL, with the errors of those in C. */
Datum
c360_require_phone(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(c360_arg_phone(fcinfo, 0, "phone")));
}

/*
 * A text argument: its name, the value, how many characters it may have, and
 * whether it must be there and not blank.
 */
Datum
c360_require_text(PG_FUNCTION_ARGS)
{
	static const char *const arguments[] = {"name", NULL, "longest", "required"};
	char	   *name;
	char	   *value;

	for (int i = 0; i < lengthof(arguments); i++)
		if (arguments[i] != NULL && PG_ARGISNULL(i))
			c360_missing_argument(arguments[i]);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (PG_GETARG_BOOL(3))
		value = c360_arg_required_text(fcinfo, 1, name, PG_GETARG_INT32(2));
	else
		value = c360_arg_text(fcinfo, 1, name, PG_GETARG_INT32(2));
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(1));
}

static C360Ignored *
read_ignored(ArrayType *array, size_t *count)
{
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;
	C360Ignored *ignored;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &nvalues);
	if (nvalues > MOST_IGNORED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many items"),
				 errdetail("too_many: %d ignored numbers, at most %d", nvalues, MOST_IGNORED)));
	ignored = palloc0(sizeof(C360Ignored) * (nvalues + 1));
	*count = 0;
	for (int i = 0; i < nvalues; i++)
	{
		text	   *value;

		if (nulls[i])
			continue;
		value = DatumGetTextPP(values[i]);
		c360_transfer_ignore(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &ignored[(*count)++]);
	}
	return ignored;
}

/* NULL or blank content: no rows. NULL for ignored: none. */
Datum
c360_parse_transfer(PG_FUNCTION_ARGS)
{
	static const char *const kinds[] = {"qr_code", "phone", "part"};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *content;
	size_t		length;
	size_t		nignored = 0;
	size_t		count;
	C360Ignored *ignored;
	C360Candidate *candidates;

	c360_materialize(fcinfo);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	content = PG_GETARG_TEXT_PP(0);
	length = VARSIZE_ANY_EXHDR(content);
	if (length > LONGEST_CONTENT)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("text is too long"),
				 errdetail("too_long: content has %zu bytes, at most %d are read",
						   length, LONGEST_CONTENT)));
	ignored = PG_ARGISNULL(1) ? NULL : read_ignored(PG_GETARG_ARRAYTYPE_P(1), &nignored);
	candidates = palloc_extended(sizeof(C360Candidate) * (c360_transfer_capacity(length) + 1),
								 MCXT_ALLOC_HUGE);
	count = c360_transfer_parse(VARDATA_ANY(content), length, ignored, nignored,
								palloc(length + 1), candidates);
	for (size_t i = 0; i < count; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(kinds[candidates[i].kind]);
		values[1] = CStringGetTextDatum(candidates[i].value);
		values[2] = Int32GetDatum((int32) candidates[i].position);
		values[3] = Float4GetDatum(candidates[i].confidence);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
c360_fold(PG_FUNCTION_ARGS)
{
	text	   *raw = PG_GETARG_TEXT_PP(0);
	size_t		length = VARSIZE_ANY_EXHDR(raw);
	text	   *folded = palloc(VARHDRSZ + length);

	length = c360_fold_text(VARDATA_ANY(raw), length, VARDATA(folded));
	SET_VARSIZE(folded, VARHDRSZ + length);
	PG_RETURN_TEXT_P(folded);
}

/*
 * The image address of a VietQR code
 */

#define LONGEST_QR_CONTENT 255

/* Letters and digits only, so many at least and at most. */
static char *
arg_code(FunctionCallInfo fcinfo, int n, const char *name, const char *signs, int least, int most)
{
	char	   *value = c360_arg_required_text(fcinfo, n, name, C360_REFERENCE_MAX);
	int			length = strlen(value);

	if (length < least || length > most || strspn(value, signs) != length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value is not allowed"),
				 errdetail("not_allowed: %s", name),
				 errhint("bank_bin has 6 digits, account 1 to 30 letters and digits.")));
	return value;
}

static void
append_encoded(StringInfo url, const char *value)
{
	static const char plain[] = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	for (; *value != '\0'; value++)
		if (strchr(plain, *value) != NULL)
			appendStringInfoChar(url, *value);
		else
			appendStringInfo(url, "%%%02X", (unsigned char) *value);
}

Datum
c360_vietqr_url(PG_FUNCTION_ARGS)
{
	static const char digits[] = "0123456789";
	static const char signs[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char	   *bank = arg_code(fcinfo, 0, "bank_bin", digits, 6, 6);
	char	   *account = arg_code(fcinfo, 1, "account", signs, 1, 30);
	int64		amount = PG_ARGISNULL(2) ? 0 : c360_arg_positive(fcinfo, 2, "amount");
	char	   *content = c360_arg_text(fcinfo, 3, "content", LONGEST_QR_CONTENT);
	char		separator = '?';
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfo(&url, "https://img.vietqr.io/image/%s-%s-compact2.png", bank, account);
	if (amount > 0)
	{
		appendStringInfo(&url, "?amount=%lld", (long long) amount);
		separator = '&';
	}
	if (content != NULL && *content != '\0')
	{
		appendStringInfo(&url, "%caddInfo=", separator);
		append_encoded(&url, content);
	}
	PG_RETURN_TEXT_P(cstring_to_text(url.data));
}
