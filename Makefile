# c360: PGXS makefile.
#
#   make, make install, make installcheck   as for every PGXS extension
#   make deps        Debian packages that demo, check and bench need
#   make demo        a throw-away cluster that shows the main story
#   make postgrest   the same with PostgREST in front, until Ctrl-C
#   make check       every test, in throw-away clusters
#   make soak        writers, readers and kills at random, SOAK_SECONDS (1800) long
#   make reference   writes doc/reference.md from an installation
#   make lint        cppcheck and clang-tidy over src/
#   make bench       measurements; doc/benchmarks.md has the last ones
#   make valgrind    the regress tests against a server under valgrind
#   make sanitize    the tests with the address and undefined-behaviour sanitizers
#   make coverage    which lines of src/ the tests run
#   make dist        the archive of the last commit
#   make deb-check   builds the archive and the Debian package, and tries them
#   make freeze      after a release: keeps its scripts (doc/releasing.md)

EXTENSION = c360
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" c360.control)

STEPS = $(sort $(wildcard sql/tables/*.sql))
VIEWS = $(sort $(wildcard sql/views/*.sql))
FUNCTIONS = $(sort $(wildcard sql/functions/*.sql))
SCRIPT = sql/c360--$(EXTVERSION).sql
# the last release, and how its installations become this version
RELEASED := $(shell ls sql/releases | sed -n 's/^c360--\([0-9.]*\)\.sql$$/\1/p' | sort -V | tail -n 1)
UPDATE = sql/c360--$(RELEASED)--$(EXTVERSION).sql
ifeq ($(RELEASED),$(EXTVERSION))
$(error sql/releases/ has version $(EXTVERSION) already: c360.control must name the next one)
endif

MODULE_big = c360
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
DATA = $(wildcard sql/releases/*.sql)
DATA_built = $(SCRIPT) $(UPDATE)
PG_CPPFLAGS = -DC360_VERSION='"$(EXTVERSION)"' -DC360_TABLES_VERSION=$(words $(STEPS))
# -Wextra without what PostgreSQL's own headers and conventions set off
PG_CFLAGS = -std=gnu99 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers $(EXTRA_CFLAGS)

REGRESS = setup $(filter-out setup,$(sort $(notdir $(basename $(wildcard test/sql/*.sql)))))
REGRESS_OPTS = --inputdir=test --encoding=UTF8
ISOLATION = $(sort $(notdir $(basename $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test --encoding=UTF8
EXTRA_CLEAN = $(wildcard sql/c360--*.sql) results output_iso regression.out regression.diffs tmp_check log test/fuzz/build coverage.txt

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
# These targets call make again once PGXS is there; they have no use for it
# themselves, and it has a "check" of its own.
OWN_TARGETS = deps demo postgrest check soak bench valgrind sanitize coverage reference lint dist deb-check
PG_MAJOR ?= $(shell $(PG_CONFIG) --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')

ifneq ($(filter $(OWN_TARGETS),$(MAKECMDGOALS)),)
deps:
	@PG_MAJOR=$(PG_MAJOR) test/deps.sh

demo:
	@PG_MAJOR=$(PG_MAJOR) test/deps.sh demo
	@$(MAKE) --no-print-directory -s install-here
	@test/demo/run.sh

postgrest:
	@PG_MAJOR=$(PG_MAJOR) test/deps.sh postgrest
	@$(MAKE) --no-print-directory -s install-here
	@test/demo/postgrest.sh

check: deps
	@$(MAKE) --no-print-directory EXTRA_CFLAGS=-Werror install-here
	@test/check.sh

soak: deps
	@$(MAKE) --no-print-directory EXTRA_CFLAGS=-Werror install-here
	@SOAK_SECONDS=$${SOAK_SECONDS:-1800} CHECK_PARTS=tap TAP_TESTS=test/t/011_soak.pl test/check.sh

valgrind: deps
	@$(MAKE) --no-print-directory -s install-here
	@test/valgrind.sh

sanitize coverage: deps
	@$(MAKE) --no-print-directory -s install-here
	@test/instrument.sh $@

reference:
	@PG_MAJOR=$(PG_MAJOR) test/deps.sh demo
	@$(MAKE) --no-print-directory -s install-here
	@test/reference.sh

lint:
	@PG_MAJOR=$(PG_MAJOR) test/deps.sh lint
	@test/lint.sh

bench:
	@PG_MAJOR=$(PG_MAJOR) test/deps.sh demo
	@$(MAKE) --no-print-directory -s install-here
	@test/bench/run.sh

dist:
	git archive --prefix=c360-$(EXTVERSION)/ -o $(or $(DIST_DIR),.)/c360-$(EXTVERSION).zip HEAD

deb-check:
	@PG_MAJOR=$(PG_MAJOR) test/deps.sh deb
	@PG_MAJOR=$(PG_MAJOR) test/deb.sh

else ifneq ($(PGXS),)
include $(PGXS)
else
all install installcheck clean:
	@echo 'PostgreSQL server headers (PGXS) are not installed.' >&2
	@echo 'On Debian: "make deps" installs all that c360 needs, or' >&2
	@echo '  apt-get install postgresql-server-dev-$(or $(PG_MAJOR),all)' >&2
	@false
endif

# how many steps there are is compiled in
$(OBJS): $(wildcard src/*.h) Makefile $(STEPS)

# c360_install() holds the steps of sql/tables/, each behind its number, and
# the views of sql/views/, whose names it checks first.
$(SCRIPT): $(FUNCTIONS) $(STEPS) $(VIEWS) Makefile c360.control
	@names=$$(sed -n 's/^CREATE OR REPLACE VIEW @extschema@\.\([a-z0-9_]*\) .*/\1/p' $(VIEWS) | sort | paste -sd, -); \
	 { for part in $(FUNCTIONS); do \
	     sed "s/@view_names@/$$names/" $$part | \
	     awk -v files="$(VIEWS)" '!/-- @views@/ { print; next } { n = split(files, file, " "); \
	         for (i = 1; i <= n; i++) while ((getline line < file[i]) > 0) print line }'; echo; \
	     case $$part in */40_install_begin.sql) number=0; for step in $(STEPS); do \
	       number=$$((number + 1)); name=$$(basename $$step .sql); \
	       echo "    IF installed < $$number THEN"; \
	       cat $$step; \
	       echo "    INSERT INTO c360.table_versions (version, step) VALUES ($$number, '$$name');"; \
	       echo "    installed := $$number;"; \
	       echo "    END IF;"; \
	     done; esac; \
	   done; } > $@.tmp && mv $@.tmp $@

# What an installation of the last release runs to become this version.
$(UPDATE): sql/releases/c360--$(RELEASED).sql sql/update.sql $(SCRIPT) sql/update.awk
	@awk -v released="$(RELEASED)" -v version="$(EXTVERSION)" \
	    -v comment="$$(sed -n 's/^comment = //p' c360.control)" \
	    -f sql/update.awk sql/releases/c360--$(RELEASED).sql sql/update.sql $(SCRIPT) $(SCRIPT) >$@.tmp && mv $@.tmp $@

# A version that was released: its scripts never change again.
.PHONY: freeze
freeze: $(SCRIPT) $(UPDATE)
	cp $(SCRIPT) $(UPDATE) sql/releases/
	cd sql/releases && sha256sum *.sql >SHA256SUMS

.PHONY: $(OWN_TARGETS)

# Builds and installs into the server's own directories, with sudo if needed.
.PHONY: install-here
install-here: all
	@if [ -w "$$($(PG_CONFIG) --pkglibdir)" ]; then $(MAKE) -s install; else sudo $(MAKE) -s install; fi

