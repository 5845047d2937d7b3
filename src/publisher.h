/*
 * publisher.h
 *	  Announcing events: ticks and notifications.
 */
#ifndef C360_PUBLISHER_H
#define C360_PUBLISHER_H

extern void c360_publish_inline(void);

#endif							/* C360_PUBLISHER_H */
