#include "postgres.h"
#include "miscadmin.h"
#include "level.h"
C360Level c360_level_of(Oid role) { return superuser_arg(role) ? C360_LEVEL_ADMIN : C360_LEVEL_NONE; }
const char *c360_level_name(C360Level level) { return "x"; }
