# mmapsync.  `make help` lists the targets.  GNU make, for wildcard, order-only prerequisites and
# target-specific variables.

# Where everything that is built goes, and nothing else; `make asan` uses another.
BUILD = build
# The compiler, and the second one that `make lint` asks for its opinion.
CC = gcc
CC2 = clang
# Speed, and symbols for whoever debugs or profiles.  No -march: what is built here runs elsewhere.
CFLAGS = -O2 -g
# Extra flags for compiling and linking alike: sanitizers, coverage; and those for the tests' own programs.
EXTRA =
TEST_EXTRA = $(EXTRA)
# The language, and every warning that has found something; they are errors in `make lint`.
DIALECT = -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes \
  -Wstrict-prototypes -Wundef
# One set of objects serves the static library and the extension, which exports its entry point only.
OBJFLAGS = -fPIC -fvisibility=hidden -Icore
# What is linked: rounding functions, threads.
LIBS = -lm -lpthread
# Nothing may be left for the host to define: a symbol that is missing should be missed here.
SOFLAGS = -shared -Wl,-z,defs
# Of the static library only these names are visible, so that ours (stateOpen, ...) meet no other's.
PUBLIC = mmapsync_*
OBJCOPY = objcopy
# V=1 shows each command whole.
V =
Q = $(if $(V),,@)
# Where `make install` puts things: below DESTDIR (for packagers), under PREFIX.
PREFIX = /usr/local
DESTDIR =
# What `make bench` measures: rows of the table, a list; rounds of which the median is shown (none: 3, and 5 in
# `make bench-full`); which cases, a pattern for the names in test/bench/cases.c; the extension, if another than that
# built here.
ROWS = 1000 100000 1000000
ROUNDS =
CASES = *
EXTENSION =
# How long `make bench-fire` watches each of its four loads.
FIRE_SECONDS = 10
# The benchmark, but for the parts of it that a target measures.
BENCH = tclsh test/bench/bench.tcl $(BUILD) extension='$(EXTENSION)' rows='$(ROWS)' cases='$(CASES)' cc='$(CC)'
# How long `make torture`, `make tsan`, `make soak` and `make fuzz` run, and from which random number; none: another
# each time.
SECONDS = 60
SEED =
# The load of `make soak`: reader processes, and publishes a second.
READERS = 200
RATE = 100
# In a folder in memory, if there is one.
TORTURE_IN = d=$$(mktemp -d /dev/shm/mmapsync-torture-XXXXXX 2>/dev/null || mktemp -d); trap 'rm -rf $$d' EXIT;
# The version, from the one place that has it.
VERSION := $(shell sed -n 's/^\#define MMAPSYNC_VERSION *"\(.*\)"/\1/p' core/mmapsync.h)

# Debian packages: what building takes; what tests and demo take beside it; what lint, model, coverage and
# valgrind take; what the fuzzers take; what the benchmark draws with and measures beside us; what builds the mmap-sync
# crate, which takes Rust 1.66: Debian 12 has an older cargo, and a newer one beside it.
DEPS = gcc libc6-dev make libsqlite3-dev libxxhash-dev sqlite3 tcl tcl-dev libsqlite3-tcl pkg-config \
  binutils procps unicode-data util-linux
DEPS_LINT = clang clang-format cppcheck spin gcovr valgrind liblmdb-dev
DEPS_FUZZ = clang libclang-rt-14-dev
DEPS_BENCH = gnuplot-nox liblmdb-dev
DEPS_INTEROP = cargo-web|cargo

# What runs programs of test/hosts/ and comes with the distribution.
DEPS_HOSTS = python3 php-cli php-sqlite3

# Tcl's header and library, where the distribution has them; the header is not ours to warn of.
TCL_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags tcl 2>/dev/null))
TCL_LIBS := $(or $(shell pkg-config --libs tcl 2>/dev/null),-ltcl8.6)
comma := ,
FAULT_WRAP = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free
# The extension's calls into SQLite that may ask for memory (test/fault_sqlite.h).
FAULT_WRAP_SQLITE := $(patsubst %,-Wl$(comma)--wrap=sqlite3_%,malloc malloc64 realloc64 mprintf vmprintf str_appendall \
  str_append str_appendchar str_appendf str_vappendf str_finish prepare_v2 step exec value_text value_blob column_text \
  bind_text table_column_metadata declare_vtab create_module_v2 create_function_v2 value_dup vtab_rhs_value \
  vtab_in_first vtab_in_next)
CORE_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard core/*.c))
EXT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard ext/*.c))
# The extension once more, for programs that link SQLite and it statically.
STATIC_OBJ := $(patsubst ext/%.c,$(BUILD)/obj/static/%.o,$(wildcard ext/*.c))
TEST_BIN := $(patsubst test/%.c,$(BUILD)/test/%,$(filter-out %_ctl.c %/testfixture.c,$(wildcard test/*.c))) \
  $(patsubst test/%.c,$(BUILD)/test/%.so,$(wildcard test/*_ctl.c)) $(BUILD)/testfixture
# The benchmark's programs are the files of that ending; the others belong to all of them.
BENCH_BIN := $(patsubst test/bench/%.c,$(BUILD)/bench/%,$(wildcard test/bench/*bench.c))
BENCH_OBJ := $(patsubst test/bench/%.c,$(BUILD)/bench/%.o,$(filter-out %bench.c,$(wildcard test/bench/*.c)))
# What stands beside us there, if it can be had: LMDB, where its package is installed, and the mmap-sync crate, where
# cargo is, which fetches it.  Of the crate there is one build, whatever ours is.
LMDB_LIBS := $(shell pkg-config --libs lmdb 2>/dev/null)
LMDB_CFLAGS := $(if $(LMDB_LIBS),-DBENCH_LMDB)
BENCH_CRATE := $(if $(shell command -v cargo),build/crate/release/cratebench)
# The processes of the load soak.
SOAK_BIN := $(patsubst test/soak/%.c,$(BUILD)/soak/%,$(wildcard test/soak/*.c))
# What is fuzzed: the programs of that name.
FUZZERS := $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))
SOURCES := $(wildcard core/*.[ch] ext/*.[ch] test/*.[ch] test/*/*.[ch])

.PHONY: all deps demo test soak soak-load soak-queries bench bench-full bench-fire bench-deps readme-bench hosts \
  hosts-deps model torture asan tsan valgrind coverage fuzz fuzz-deps interop-deps lint lint-deps format install clean \
  help

all: $(BUILD)/mmapsync.so $(BUILD)/libmmapsync.a ## build the extension and the static library (default)

deps: ## install what is missing to build, test and show (Debian packages; needs root or sudo)
	@test/deps.sh $(DEPS)

demo: all ## publish real data from one process, query it from others, show what each saw
	@tclsh test/demo/demo.tcl $(BUILD)/mmapsync.so

test: all $(TEST_BIN) $(BENCH_BIN) $(BENCH_CRATE) $(SOAK_BIN) ## run all tests; T='pattern ...' runs some of them
	@MMAPSYNC_BUILD=$(BUILD) CC='$(CC)' tclsh test/run.tcl $(T)

soak: soak-load soak-queries ## both of the following, one after the other, each for SECONDS=n (5 or more) SEED=n

soak-load: all $(SOAK_BIN) ## READERS=n processes while a writer publishes RATE=n times a second; SECONDS=n (5 or more)
	@tclsh test/soak/soak.tcl $(BUILD) $(SECONDS) $(READERS) $(RATE) '$(SEED)'

soak-queries: all $(BUILD)/test/differential_ctl.so ## random queries on tables and their snapshots; SECONDS=n (0: no end) SEED=n
	@MMAPSYNC_BUILD=$(BUILD) MMAPSYNC_SECONDS=$(SECONDS) MMAPSYNC_SEED=$(SEED) tclsh -encoding utf-8 test/differential.test

bench: all $(BENCH_BIN) ## measure beside WAL files and :memory:, under 3 minutes; ROWS='n ...' ROUNDS=n CASES='pattern'
	@$(BENCH) sql $(if $(filter-out *,$(CASES)),,api core) rounds=$(or $(ROUNDS),3) places=snapshot,wal,memory

bench-full: all $(BENCH_BIN) $(BENCH_CRATE) ## all of it: beside the mmap-sync crate, LMDB, immutable=1 too; memory; charts
	@$(BENCH) sql api core crate readers killed memory fire rounds=$(or $(ROUNDS),5) seconds='$(FIRE_SECONDS)'

bench-fire: all $(BENCH_BIN) ## lookups while a writer never rests: percentiles, and build/fire.svg
	@$(BENCH) fire seconds='$(FIRE_SECONDS)'

bench-deps: ## install what `make bench-full` takes: what stands beside us, and what draws the charts
	@test/deps.sh $(DEPS_BENCH) $(if $(shell command -v cargo),,'$(DEPS_INTEROP)')
	@rm -f $(BUILD)/bench/lmdbitems.o

readme-bench: ## make the README's tables and chart from what `make bench-full` has left in build/bench.json
	@tclsh test/bench/readme.tcl $(BUILD)

# The programs that the tests call which are run there.
HOSTS_BIN = $(addprefix $(BUILD)/test/,format_tool numeric_text scribble differential_ctl.so)
hosts: all $(HOSTS_BIN) ## run the tests under SQLite 3.38 to the newest, fetched by go; H='pattern ...'
	@MMAPSYNC_BUILD=$(BUILD) CC='$(CC)' tclsh test/hosts/hosts.tcl $(H)

hosts-deps: ## fetch what the programs of other languages in test/hosts/ take (pip, npm, mvn, go, cargo; php)
	@test/deps.sh $(DEPS_HOSTS)
	@test/hosts/fetch.sh build/runtimes

torture: $(BUILD)/torture/torture ## readers and writers killed, stopped and delayed at random; SECONDS=n SEED=n
	@$(TORTURE_IN) $< $$d $(SECONDS) $(SEED)

# Of threads with a handle each, and of those that build keys: the sanitizer cannot look into other processes.
TSAN_FLAGS = -fsanitize=thread -Wno-tsan
tsan: ## keys built by threads, and the torture with threads, under the thread sanitizer; SECONDS=n
	@$(MAKE) --no-print-directory BUILD=build/tsan CFLAGS='-O1 -g' EXTRA='$(TSAN_FLAGS)' \
	  build/tsan/torture/torture build/tsan/test/crew_check
	@$(TORTURE_IN) build/tsan/test/crew_check $$d
	@$(TORTURE_IN) build/tsan/torture/torture $$d $(SECONDS) $(or $(SEED),1) threads

model: ## check the protocol exhaustively with spin, and that it fails without each of its rules
	@CC='$(CC)' test/model/run.sh

# The extension stays in memory to the end, so that a report of a leak can name its functions.
ASAN_FLAGS = -DMMAPSYNC_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
  -Wl,-z,nodelete
# The runtime must be there before tclsh is, which was not built with it.
ASAN_ENV = LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
  ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
asan: ## run all tests under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory BUILD=build/asan CFLAGS='-O1 -g' EXTRA='$(ASAN_FLAGS)' all \
	  $(patsubst $(BUILD)/%,build/asan/%,$(TEST_BIN) $(BENCH_BIN) $(SOAK_BIN))
	@$(ASAN_ENV) MMAPSYNC_BUILD=build/asan MMAPSYNC_SANITIZED=1 CC='$(CC)' tclsh test/run.tcl $(T)

# The library's calls of our objects are watched, SQLite's own code is not.
FUZZ_FLAGS = -DMMAPSYNC_DEBUG -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer
fuzz: ## hostile files, odd names and queries, led by coverage; SECONDS=n for all (0: what is known only)
	@$(MAKE) --no-print-directory BUILD=build/fuzz CC='$(CC2)' CFLAGS='-O1 -g' EXTRA='$(FUZZ_FLAGS)' \
	  $(patsubst %,build/fuzz/fuzz_%,$(FUZZERS))
	@test/fuzz/run.sh $(SECONDS) build/fuzz $(FUZZERS)

fuzz-deps: ## install what `make fuzz` takes
	@test/deps.sh $(DEPS_FUZZ)

interop-deps: ## install what interop.test takes where there is no cargo: the mmap-sync crate itself comes by cargo
	@test/deps.sh '$(DEPS_INTEROP)'

# Of valgrind's subset the files that compare no integer with a real beyond 2^53: SQLite does that in long
# double, which valgrind has 64 bits of.
VALGRIND_T = functions status publish pins multi
VALGRIND = valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
  --errors-for-leak-kinds=definite
valgrind: all $(TEST_BIN) ## run some of the tests under valgrind; T='pattern ...' others
	@MMAPSYNC_UNDER='$(VALGRIND)' MMAPSYNC_BUILD=$(BUILD) CC='$(CC)' tclsh test/run.tcl $(or $(T),$(VALGRIND_T))

# Of all branches in core/ and ext/, those that no test takes.  Threads and processes add to one count; but filters are
# never run by two threads at once, and count faster so.  Assertions are no branches, nor what is
# marked as impossible (core/always.h).  The tests' own programs count nothing.
COVERAGE_FLAGS = --coverage -fprofile-update=$$(COUNT) -Wl,-z,nodelete $(COVERAGE_TEST_FLAGS)
COVERAGE_TEST_FLAGS = -DNDEBUG -DMMAPSYNC_COVERAGE
COUNT = atomic
# Left out unless T says otherwise: they take no branch that others do not take, and load the machine, build or wait.
COVERAGE_WITHOUT = bench demo interop readme runtimes soak
# Versions of SQLite other than the system's, for what only an older or a newer one takes, and the tests that are run
# there; none: without them.  Without `go` they are skipped, and their branches are missing.
COVERAGE_HOSTS = 3.38.0 3.54.1
COVERAGE_HOSTS_T = plan planouter planedge vtab sql querycorrupt verify verifyfault
# What is left to chance is the same each time, and less: differential.test.
COVERAGE_CHANCE = MMAPSYNC_SEED=1 MMAPSYNC_GROUPS=4
# Per cent of branches below which `make coverage` fails, of all and of those in ext/.  They only ever rise.  All are
# taken, but a few of them only when processes meet in a certain order, which may fail to happen: hence not 100.
COVERAGE_LEAST = 99.9
COVERAGE_LEAST_EXT = 99.9
coverage: ## which lines and branches the tests do not reach; build/coverage/report.txt and index.html
	@rm -rf build/coverage
	@$(MAKE) --no-print-directory BUILD=build/coverage CFLAGS='-O0 -g' EXTRA='$(COVERAGE_FLAGS)' \
	  TEST_EXTRA='-O1 $(COVERAGE_TEST_FLAGS)' LIBS='$(LIBS) -lgcov' all $(patsubst $(BUILD)/%,build/coverage/%,$(TEST_BIN))
	@find build/coverage -name '*.gcno' | sed 's/gcno$$/gcda/' | xargs touch; chmod -R a+rwX build/coverage
	@rc=0; export MMAPSYNC_BUILD=build/coverage MMAPSYNC_COVERAGE=1 CC='$(CC)' $(COVERAGE_CHANCE); \
	tclsh test/run.tcl $(or $(T),$(filter-out $(COVERAGE_WITHOUT),$(basename $(notdir $(wildcard test/*.test))))) || rc=1; \
	$(if $(COVERAGE_HOSTS),tclsh test/hosts/hosts.tcl -only '$(COVERAGE_HOSTS_T)' $(COVERAGE_HOSTS) || rc=1;) \
	gcovr -r . -f core/ -f ext/ --exclude-unreachable-branches --exclude-throw-branches \
	  --html-details build/coverage/index.html --txt build/coverage/report.txt --branches \
	  --fail-under-branch $(COVERAGE_LEAST) --print-summary build/coverage/obj || rc=$$?; \
	gcovr -r . -f ext/ --exclude-unreachable-branches --exclude-throw-branches -o build/coverage/ext.txt \
	  --branches --fail-under-branch $(COVERAGE_LEAST_EXT) build/coverage/obj || rc=$$?; \
	tail -n +6 build/coverage/report.txt; exit $$rc

lint-deps: ## install what `make lint`, model, coverage and valgrind take
	@test/deps.sh $(DEPS_LINT)

# Runs a command for each of the files, as many at once as there are processors.
EACH = xargs -n 1 -P $(shell nproc) sh -c
# Of gcc's warnings some are found by its optimizer, so it compiles; clang finds its own before.  What only sanitizers and
# coverage define changes macros that cppcheck need not see each way.
LINT_CC = -O2 -c -o /dev/null
LINT_CC2 = -fsyntax-only
LINT_FLAGS = $(DIALECT) -Werror -fvisibility=hidden -Icore -Iext $(LMDB_CFLAGS) $(TCL_CFLAGS)
LINT_UNSEEN = -UMMAPSYNC_COVERAGE -U__SANITIZE_ADDRESS__ -U__SANITIZE_THREAD__ -U__has_feature
lint: ## warnings as errors with both compilers, clang's analyzer, cppcheck, layout
	@echo $(filter %.c,$(SOURCES)) | $(EACH) '$(CC) $(LINT_CC) $(LINT_FLAGS) $$0'
	@echo $(filter %.c,$(SOURCES)) | $(EACH) '$(CC2) $(LINT_CC2) $(LINT_FLAGS) $$0'
	@echo $(wildcard ext/*.c) | $(EACH) '$(CC) $(LINT_CC) $(LINT_FLAGS) -O3 -DSQLITE_CORE $$0'
	@echo $(wildcard ext/*.c) | $(EACH) '$(CC2) $(LINT_CC2) $(LINT_FLAGS) -DSQLITE_CORE $$0'
	@echo $(wildcard core/*.c ext/*.c) | $(EACH) '$(CC2) --analyze -Xclang -analyzer-werror \
	  -Xclang -analyzer-output=text -std=c11 -Icore -Iext $$0'
	@cppcheck -j $(shell nproc) --quiet --std=c11 --language=c --enable=warning,performance,portability \
	  --inline-suppr --error-exitcode=1 $(LINT_UNSEEN) -Icore -Iext --suppress=missingIncludeSystem core ext test
	@clang-format --dry-run -Werror $(SOURCES)
	@echo lint: clean

format: ## lay out all C files
	@clang-format -i $(SOURCES)

install: all $(BUILD)/mmapsync.pc ## install extension, library, header and pkg-config file
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/lib/sqlite3 \
	  $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/mmapsync.so $(DESTDIR)$(PREFIX)/lib/sqlite3/
	install -m 644 $(BUILD)/libmmapsync.a $(DESTDIR)$(PREFIX)/lib/
	install -m 644 core/mmapsync.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/mmapsync.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/

clean: ## remove everything that was built
	rm -rf build

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

# ---- how things are made ----

$(BUILD)/mmapsync.so: $(EXT_OBJ) $(CORE_OBJ)
	@echo "  $@"
	$(Q)$(CC) $(CFLAGS) $(EXTRA) $(SOFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/obj/mmapsync.o: $(CORE_OBJ)
	$(Q)$(CC) -r -nostdlib -o $@ $^ && $(OBJCOPY) --wildcard --keep-global-symbol='$(PUBLIC)' $@

$(BUILD)/obj/core/filter%.o: COUNT = single

$(BUILD)/libmmapsync.a: $(BUILD)/obj/mmapsync.o
	@echo "  $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Made each time: what it says depends on PREFIX.
.PHONY: $(BUILD)/mmapsync.pc
$(BUILD)/mmapsync.pc:
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' \
	  'extension=$${libdir}/sqlite3/mmapsync' '' 'Name: mmapsync' \
	  'Description: tables shared between processes through memory-mapped snapshots' \
	  'Version: $(VERSION)' 'Libs: -L$${libdir} -lmmapsync $(LIBS)' 'Cflags: -I$${includedir}' > $@

$(BUILD)/obj/core/%.o: core/%.c
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(OBJFLAGS) $(CFLAGS) $(EXTRA) -MMD -MP -c -o $@ $<

$(BUILD)/obj/ext/%.o: ext/%.c
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(OBJFLAGS) $(CFLAGS) $(EXTRA) -MMD -MP -c -o $@ $<

$(BUILD)/obj/static/%.o: ext/%.c
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(OBJFLAGS) $(CFLAGS) $(EXTRA) -DSQLITE_CORE -MMD -MP -c -o $@ $<

$(BUILD)/test/static_host: test/static_host.c $(STATIC_OBJ) $(BUILD)/libmmapsync.a
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(TEST_EXTRA) -Icore -o $@ $^ -lsqlite3 $(LIBS)

# SQLite and Tcl as shared libraries, so that Tcl's package sqlite3 is of the same SQLite.
$(BUILD)/testfixture: test/testfixture.c $(STATIC_OBJ) $(CORE_OBJ)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(TEST_EXTRA) $(WRAP) -DSQLITE_CORE -Icore -Iext $(TCL_CFLAGS) -MMD -MP -o $@ $< \
	  $(STATIC_OBJ) $(CORE_OBJ) -lsqlite3 $(TCL_LIBS) $(LIBS)

$(BUILD)/test/%_ctl.so: test/%_ctl.c
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) -fPIC -fvisibility=hidden $(CFLAGS) $(TEST_EXTRA) -shared -o $@ $<

# Tests see the core's inner names too: its objects, not the library.
$(BUILD)/test/%: test/%.c $(CORE_OBJ)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(TEST_EXTRA) $(WRAP) -Icore -MMD -MP -o $@ $< $(CORE_OBJ) $(LIBS)

# What these ask for memory can be refused (test/fault.h), but not what their libraries do.
$(BUILD)/test/fault_check: WRAP = $(FAULT_WRAP)
$(BUILD)/testfixture: WRAP = $(FAULT_WRAP) $(FAULT_WRAP_SQLITE)

$(BUILD)/torture/torture: $(wildcard test/torture/*.c test/torture/*.h) $(CORE_OBJ)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(EXTRA) -Icore -o $@ $(filter %.c %.o,$^) $(LIBS) -lpthread

$(BUILD)/fuzz_image: test/fuzz/mutate.c
$(BUILD)/fuzz_%: test/fuzz/fuzz_%.c $(wildcard test/fuzz/*.h) $(CORE_OBJ) $(STATIC_OBJ)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(EXTRA) -fsanitize=fuzzer -Icore -o $@ $(filter %.c %.o,$^) -lsqlite3 $(LIBS)

$(BUILD)/bench/%.o: test/bench/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(EXTRA) $(LMDB_CFLAGS) -Icore -MMD -MP -c -o $@ $<

# A machine without a registry can do without: then it is not measured, and its test is skipped.
build/crate/release/cratebench: $(wildcard test/bench/crate/Cargo.* test/bench/crate/src/*.rs)
	@echo "  $@"
	$(Q)cargo build --quiet --release --locked --manifest-path test/bench/crate/Cargo.toml --target-dir build/crate || \
	  rm -f $@

$(BUILD)/soak/%: test/soak/%.c test/soak/soak.h $(BUILD)/libmmapsync.a
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(TEST_EXTRA) -Icore -o $@ $< $(BUILD)/libmmapsync.a -lsqlite3 $(LIBS) -lpthread

.SECONDARY: $(BENCH_OBJ)
$(BUILD)/bench/%: test/bench/%.c $(BENCH_OBJ) $(BUILD)/libmmapsync.a
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(DIALECT) $(CFLAGS) $(EXTRA) -Icore -MMD -MP -o $@ $< $(BENCH_OBJ) $(BUILD)/libmmapsync.a \
	  -lsqlite3 $(LMDB_LIBS) $(LIBS) -lpthread

-include $(wildcard $(BUILD)/*.d $(BUILD)/obj/*/*.d $(BUILD)/test/*.d $(BUILD)/bench/*.d)
