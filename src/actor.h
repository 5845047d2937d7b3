/*
 * actor.h
 *	  Who did it.
 */
#ifndef C360_ACTOR_H
#define C360_ACTOR_H

#include "postgres.h"

extern char *c360_actor(void);
extern void c360_set_actor(const char *actor);
extern char *c360_session_user_name(void);

#endif							/* C360_ACTOR_H */
