#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"

#include "audit.h"
#include "worker.h"

void
c360_runner_main(Datum main_arg)
{
	C360Slot   *slot = c360_worker_begin(main_arg, C360_RUNNER);

	for (;;)
	{
		if (!c360_worker_begin_transaction("stub"))
			proc_exit(0);
		c360_worker_end_transaction();
		c360_audit_drain(slot);
		c360_worker_wait(1000, "waiting");
	}
}
