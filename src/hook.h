/*
 * hook.h
 *	  Errors that leave c360 functions pass here.
 */
#ifndef C360_HOOK_H
#define C360_HOOK_H

extern void c360_hook_init(void);
extern void c360_hook_unseen(void);

#endif							/* C360_HOOK_H */
