#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"

#include "publisher.h"
#include "worker.h"

void
c360_publish_inline(void)
{
}

void
c360_publisher_main(Datum main_arg)
{
	c360_worker_begin(main_arg, C360_PUBLISHER);
	for (;;)
	{
		if (!c360_worker_begin_transaction("stub"))
			proc_exit(0);
		c360_worker_end_transaction();
		c360_worker_wait(1000, "waiting");
	}
}
