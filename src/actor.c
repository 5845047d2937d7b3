/*
 * actor.c
 *	  Who did it: never an argument.
 *
 * Behind PostgREST everybody logs in as one role and the user stands in
 * request.jwt.claims. Anyone can set that setting, so it is believed only if
 * the login role is listed in the setting authenticator_roles; else the login
 * role itself is the actor. Rows keep both. What the job runner does is done
 * by "c360:" and the job's name.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "actor.h"
#include "call.h"
#include "settings.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(c360_current_actor);

static const char *acting = NULL;

/* In a worker: who acts from now on; NULL = the login role again. */
void
c360_set_actor(const char *actor)
{
	acting = actor;
}

char *
c360_session_user_name(void)
{
	return GetUserNameFromId(GetSessionUserId(), false);
}

/* The oid as text if the role is gone. */
char *
c360_role_name(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name != NULL ? name : psprintf("%u", role);
}

/* the claims that name a person, the best first */
static const char *const claim_names[] = {"email", "name", "sub"};

static bool
is_authenticator(const char *role)
{
	ListCell   *cell;

	foreach(cell, c360_settings()->authenticator_roles)
		if (strcmp(lfirst(cell), role) == 0)
			return true;
	return false;
}

/* The first non-empty one of the claims that name a person. */
static char *
claimed_name(const char *claims)
{
	Jsonb	   *parsed = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(claims)));

	for (size_t i = 0; JB_ROOT_IS_OBJECT(parsed) && i < lengthof(claim_names); i++)
	{
		JsonbValue	buffer;
		JsonbValue *value = getKeyJsonValueFromContainer(&parsed->root, claim_names[i],
														 strlen(claim_names[i]), &buffer);

		if (value != NULL && value->type == jbvString && value->val.string.len > 0)
			return pnstrdup(value->val.string.val, value->val.string.len);
	}
	return NULL;
}

/* Who a session with these claims (NULL or empty = none) acts for. */
char *
c360_actor_of(Oid session_user, const char *claims)
{
	char	   *role = c360_role_name(session_user);
	char	   *name = NULL;

	if (acting != NULL)
		return pstrdup(acting);
	if (claims != NULL && *claims != '\0' && is_authenticator(role))
		name = claimed_name(claims);
	return name != NULL ? name : role;
}

char *
c360_actor(void)
{
	return c360_actor_of(GetSessionUserId(), GetConfigOption("request.jwt.claims", true, false));
}

/* Past a JSON string that begins here, or to the end of what is none. */
static const char *
skip_string(const char *json)
{
	for (json++; *json != '\0' && *json != '"'; json++)
		if (*json == '\\' && json[1] != '\0')
			json++;
	return *json == '"' ? json + 1 : json;
}

static bool
names_person(const char *key, size_t length)
{
	for (size_t i = 0; i < lengthof(claim_names); i++)
		if (length == strlen(claim_names[i]) && strncmp(key, claim_names[i], length) == 0)
			return true;
	return false;
}

/*
 * Of claims of any length only those that name a person, as JSON again, as
 * many as fit. Allocates nothing and fails never, so that it can be used while
 * an error is passed on; what is no JSON gives none either.
 */
void
c360_claims_of_person(const char *claims, char *result, size_t size)
{
	size_t		used = 0;
	int			depth = 0;

	for (const char *at = claims; *at != '\0';)
	{
		const char *key = at;
		const char *value;

		if (*at != '"')
		{
			depth += *at == '{' || *at == '[' ? 1 : *at == '}' || *at == ']' ? -1 : 0;
			at++;
			continue;
		}
		at = skip_string(at);
		value = at + strspn(at, " \t\r\n");
		if (*value != ':')
			continue;			/* no key */
		at = value + 1 + strspn(value + 1, " \t\r\n");
		if (depth != 1 || *at != '"' || !names_person(key + 1, strcspn(key + 1, "\"")))
			continue;
		at = skip_string(at);
		/* with a brace or comma before it, a brace and the end behind it */
		if (used + (at - key) + 3 > size)
			continue;
		result[used] = used == 0 ? '{' : ',';
		used++;
		memcpy(result + used, key, at - key);
		used += at - key;
	}
	if (used > 0)
		result[used++] = '}';
	result[used] = '\0';
}

/* For functions in PL/pgSQL; reads the settings as the owner of the tables. */
Datum
c360_current_actor(PG_FUNCTION_ARGS)
{
	C360Caller	caller;
	char	   *actor;

	c360_act_as_owner(&caller);
	actor = c360_actor();
	c360_act_as_caller(&caller);
	PG_RETURN_TEXT_P(cstring_to_text(actor));
}
