/*
 * actor.h
 *	  Who did it.
 */
#ifndef C360_ACTOR_H
#define C360_ACTOR_H

#include "postgres.h"

extern char *c360_actor(void);
extern void c360_set_actor(const char *actor);
extern char *c360_actor_of(Oid session_user, const char *claims);
extern void c360_claims_of_person(const char *claims, char *result, size_t size);
extern char *c360_session_user_name(void);
extern char *c360_role_name(Oid role);

#endif							/* C360_ACTOR_H */
