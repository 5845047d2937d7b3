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
	static const char *const names[] = {"email", "name", "sub"};
	Jsonb	   *parsed = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(claims)));

	for (size_t i = 0; JB_ROOT_IS_OBJECT(parsed) && i < lengthof(names); i++)
	{
		JsonbValue	buffer;
		JsonbValue *value = getKeyJsonValueFromContainer(&parsed->root, names[i],
														 strlen(names[i]), &buffer);

		if (value != NULL && value->type == jbvString && value->val.string.len > 0)
			return pnstrdup(value->val.string.val, value->val.string.len);
	}
	return NULL;
}

char *
c360_actor(void)
{
	const char *claims = GetConfigOption("request.jwt.claims", true, false);
	char	   *role = c360_session_user_name();
	char	   *name = NULL;

	if (acting != NULL)
		return pstrdup(acting);
	if (claims != NULL && *claims != '\0' && is_authenticator(role))
		name = claimed_name(claims);
	return name != NULL ? name : role;
}

/* For functions in PL/pgSQL; reads the settings as the owner of the tables. */
Datum
c360_current_actor(PG_FUNCTION_ARGS)
{
	Oid			user;
	int			security;
	char	   *actor;

	GetUserIdAndSecContext(&user, &security);
	c360_become(c360_owner());
	actor = c360_actor();
	SetUserIdAndSecContext(user, security);
	PG_RETURN_TEXT_P(cstring_to_text(actor));
}
