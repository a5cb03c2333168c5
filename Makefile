# SPDX-License-Identifier: BSD-3-Clause
# Starling's build. `make help` lists what it can do; tests/README.md explains the suites.
#
# Variables: CC, SANITIZER=address,undefined|thread, BUILD (where everything goes), ONLY (one test),
# TARGET and SECONDS (fuzzing), SEED and RUNS (the simulator, histories), MODE (histories), PREFIX and DESTDIR (install), JOBS, V=1 (show the commands).

VERSION = 0.1.0
BUILD = build
PREFIX = /usr/local
JOBS = $(shell nproc)
SECONDS = 60

# A sanitizer build lives beside the release build, on the C library's allocator.
ifeq ($(SANITIZER),)
OUT = $(BUILD)
OPTIMIZE = -O2 -g
CPPFLAGS_VARIANT = -DSTARLING_JEMALLOC
LDLIBS_VARIANT = -ljemalloc
else
OUT = $(BUILD)/$(SANITIZER)
OPTIMIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZER) -fno-sanitize-recover=all
# Such a server is slower: harnesses multiply their timeouts by this.
export TEST_PATIENCE ?= 4
endif

WARNINGS = -Wall -Wextra -Werror
STARLING_BUILD := $(or $(shell git describe --always --dirty 2>/dev/null),unknown)
DEFINES = -D_GNU_SOURCE -DSTARLING_VERSION='"$(VERSION)"'
COMPILE = -std=c11 $(DEFINES) $(WARNINGS) -Isrc -Itests
FLAGS = $(COMPILE) $(CPPFLAGS_VARIANT) $(OPTIMIZE) $(CFLAGS)
LDLIBS = -levent_extra -levent_core -lssl -lcrypto -llz4 $(LDLIBS_VARIANT) -lpthread -lm

SERVER = $(OUT)/starling-server
LIBRARY = $(OUT)/libstarling.a
SOURCES := $(wildcard src/*/*.c)
OBJECTS := $(SOURCES:src/%.c=$(OUT)/obj/%.o)
LIBRARY_OBJECTS := $(filter-out %/server/main.o,$(OBJECTS))

# ONLY=name keeps the unit and client programs with that name: ONLY=test_buffer, ONLY=base.
only = $(if $(ONLY),$(foreach file,$(1),$(if $(findstring $(ONLY),$(file)),$(file))),$(1))
UNIT := $(call only,$(patsubst %.c,$(OUT)/%,$(wildcard tests/unit/*/test_*.c)))
CLIENTS := $(call only,$(patsubst %.c,$(OUT)/%,$(wildcard tests/clients/*.c)))
KILL := $(patsubst %.c,$(OUT)/%,$(wildcard tests/kill/*.c))
SIM = $(OUT)/tests/sim/sim

FUZZ_CC = clang
FUZZ_OUT = $(BUILD)/fuzz
FUZZ_FLAGS = $(COMPILE) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ := $(patsubst tests/fuzz/%.c,$(FUZZ_OUT)/%,$(wildcard tests/fuzz/fuzz_$(or $(TARGET),*).c))
FUZZ_OBJECTS := $(patsubst $(OUT)/obj/%,$(FUZZ_OUT)/obj/%,$(LIBRARY_OBJECTS))

Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))
# Recursive steps run in parallel unless the caller chose -j.
AGAIN = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))

.PHONY: all
all: $(SERVER) ## Build build/starling-server (the default)

.PHONY: lib
lib: $(LIBRARY) ## Build everything but main() into build/libstarling.a

# Objects depend on the flags that they were compiled with.
$(OUT)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(subst ','\'',$(CC) $(FLAGS))' | cmp -s - $@ || \
	    echo '$(subst ','\'',$(CC) $(FLAGS))' >$@
.PHONY: FORCE
FORCE:

$(OUT)/obj/%.o: src/%.c $(OUT)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -DSTARLING_BUILD='"$(STARLING_BUILD)"' -MMD -MP -c -o $@ $<

$(SERVER): $(OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(LDLIBS)

$(LIBRARY): $(LIBRARY_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

.PHONY: run
run: ## Install what is missing, build, and run a mesh of three nodes: ports 7001 to 7003, ./data
	@deps/check || deps/install
	+@$(AGAIN) all
	@exec utils/run-mesh $(SERVER)

# --- Tests: each suite names the programs it needs; tests/run runs it and counts. ---

PROGRAMS_layers = $(OBJECTS)
PROGRAMS_unit = $(UNIT)
PROGRAMS_tcl = $(SERVER)
PROGRAMS_clients = $(SERVER) $(CLIENTS)
PROGRAMS_kill = $(SERVER) $(KILL)
PROGRAMS_fuzz = $(FUZZ)
PROGRAMS_sim = $(SIM)
PROGRAMS_histories = $(SERVER)

TESTS = test test-unit test-sim test-tcl test-clients test-kill test-fuzz test-histories
.PHONY: $(TESTS) test-programs
test:         SUITES = $(if $(SANITIZER),,layers) unit sim tcl clients kill $(if $(SANITIZER),,fuzz)
test:         ## Install what tests need, build, and run every suite
test-unit:    SUITES = unit
test-unit:    ## The cmocka programs of tests/unit (ONLY=test_buffer)
test-sim:     SUITES = sim
test-sim:     ## Meshes under a virtual clock, network and disk (SEED=1 RUNS=2000)
test-tcl:     SUITES = tcl
test-tcl:     ## The commands, against real servers (ONLY=cmd_string)
test-clients: SUITES = clients
test-clients: ## hiredis programs against a real server
test-kill:    SUITES = kill
test-kill:    ## Servers killed at bad moments
test-fuzz:    SUITES = fuzz
test-fuzz:    ## Every fuzz target over its corpus, plus 5 seconds
test-histories: SUITES = histories
test-histories: ## Random histories over real processes (SEED=1 RUNS=1 MODE=all); not part of test

$(TESTS):
	@deps/check build tests || deps/install --tests
	+@$(AGAIN) test-programs SUITES='$(SUITES)' || { echo '0 passed, 1 failed'; false; }
	@tests/run --build $(OUT) --fuzz $(FUZZ_OUT) $(if $(ONLY),--only $(ONLY)) \
	    $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) \
	    $(if $(MODE),--mode $(MODE)) $(SUITES)

test-programs: $(foreach suite,$(SUITES),$(PROGRAMS_$(suite)))

$(OUT)/tests/unit/%: tests/unit/%.c $(LIBRARY)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -MMD -MP -MT $@ -MF $@.d -o $@ $< $(LIBRARY) -lcmocka $(LDLIBS)

SIM_SOURCES := $(wildcard tests/sim/*.c)
$(SIM): $(SIM_SOURCES) $(LIBRARY)
	$(call say,TEST,tests/sim)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -MMD -MP -MT $@ -MF $@.d -o $@ $(SIM_SOURCES) $(LIBRARY) $(LDLIBS)

.PHONY: test-sim-long test-sim-large test-sim-mutations
test-sim-long: $(SIM) ## Seeds from SEED on, until one fails or you stop it
	@$(SIM) --seed $(or $(SEED),1000000) --runs $(or $(RUNS),1000000000) --jobs $(JOBS)

test-sim-large: $(SIM) ## Meshes of 10 to 1,000 nodes: rounds and bytes
	@for nodes in 10 20 40 100 1000; do $(SIM) --large $$nodes || exit 1; done

# A build of its own, with mistakes to choose from.
test-sim-mutations: ## Does the simulator catch mistakes that are built in?
	+@$(AGAIN) BUILD=$(BUILD)/mutations CFLAGS='$(CFLAGS) -DSTARLING_MUTATIONS' \
	    $(BUILD)/mutations/tests/sim/sim
	@$(BUILD)/mutations/tests/sim/sim --mutations --runs $(or $(RUNS),2000) --jobs $(JOBS)

# Programs that speak to a server do so through hiredis; they link nothing of ours.
$(CLIENTS) $(KILL): $(OUT)/tests/%: tests/%.c $(OUT)/flags
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -MMD -MP -MT $@ -MF $@.d -o $@ $< -lhiredis -levent_core -lpthread -lm

.PHONY: fuzz
fuzz: $(FUZZ) ## Fuzz for SECONDS=60 each; TARGET=resp picks one
	@tests/run --build $(OUT) --fuzz $(FUZZ_OUT) --seconds $(SECONDS) \
	    $(if $(TARGET),--only $(TARGET)) fuzz

$(FUZZ_OUT)/obj/%.o: src/%.c
	$(call say,FUZZCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined \
	    -DSTARLING_BUILD='"fuzz"' -MMD -MP -c -o $@ $<

$(FUZZ_OUT)/libstarling.a: $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(FUZZ_OUT)/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_OUT)/libstarling.a
	$(call say,FUZZ,$<)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined \
	    -MMD -MP -MT $@ -MF $@.d -o $@ $< $(FUZZ_OUT)/libstarling.a -levent_extra -levent_core -lssl -lcrypto -llz4 \
	    -lpthread -lm

# --- Care for the code. ---

.PHONY: lint fmt layers
lint: ## Format, warnings of gcc and clang, cppcheck
	@utils/lint $(COMPILE)

fmt: ## Format the C sources with clang-format
	@find src tests utils -name '*.[ch]' -exec clang-format -i {} +

layers: $(OBJECTS) ## Draw the include graph; check that the core stays inside
	@utils/layers $(OUT)/obj

.PHONY: bench
bench: $(SERVER) ## Measure against redis-server, side by side
	@deps/check build bench || deps/install --bench
	@utils/bench/run $(SERVER)

.PHONY: install
install: $(SERVER) ## Install under DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/etc/starling
	install -m 755 $(SERVER) $(DESTDIR)$(PREFIX)/bin/starling-server
	install -m 644 conf/starling.conf $(DESTDIR)$(PREFIX)/etc/starling/starling.conf

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 16

-include $(OBJECTS:.o=.d) $(FUZZ_OBJECTS:.o=.d)
-include $(wildcard $(OUT)/tests/*/*/*.d $(OUT)/tests/*/*.d $(FUZZ_OUT)/*.d)
