# snug's Makefile. `make` builds build/snug and touches neither apt nor the network; `make demo` and `make test` first
# get what is missing by apt (DEPS=0: don't). `make help` lists all targets and switches.

CC       ?= gcc
CXX      ?= g++
PREFIX   ?= /usr/local
NATIVE   ?= 1
SANITIZE ?= 0
DEPS     ?= 1
WERROR   ?= 0
V        ?= 0
ifeq ($(origin CC),default)
CC := gcc
endif

VERSION := 0.1.0
BUILD   := $(if $(filter 1,$(SANITIZE)),build-asan,build)
OBJ     := $(BUILD)/obj
Q       := $(if $(filter 1,$(V)),,@)
HASH    := \#
COMMA   := ,
CORES   := $(shell nproc 2>/dev/null || echo 2)
JOBS    := $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(CORES))

# ---- what this machine has ------------------------------------------------------------------------------------------

pkg_cflags = $(shell pkg-config --cflags $(1) 2>/dev/null)
# pkg_libs NAME,FALLBACK
pkg_libs   = $(or $(strip $(shell pkg-config --libs $(1) 2>/dev/null)),$(2))
# has_header NAME,FLAGS
has_header = $(shell echo '$(HASH)include <$(1)>' | $(CC) $(2) -E - >/dev/null 2>&1 && echo yes)

BLAS_CFLAGS   := $(call pkg_cflags,openblas)
CHECK_CFLAGS  := $(call pkg_cflags,check)
HAVE_BLAS     := $(call has_header,cblas.h,$(BLAS_CFLAGS))
HAVE_OPENMP   := $(call has_header,omp.h,-fopenmp)
HAVE_CJSON    := $(call has_header,cjson/cJSON.h)
HAVE_PCRE2    := $(call has_header,pcre2.h,-DPCRE2_CODE_UNIT_WIDTH=8)
HAVE_CRYPTO   := $(call has_header,openssl/evp.h)
HAVE_CHECK    := $(call has_header,check.h,$(CHECK_CFLAGS))
HAVE_OPENCL   := $(call has_header,CL/cl.h,-DCL_TARGET_OPENCL_VERSION=120)
HAVE_CLBLAST  := $(call has_header,clblast_c.h,-DCL_TARGET_OPENCL_VERSION=120)
MPI_CFLAGS    := $(call pkg_cflags,ompi-c)
# The program loads the library when it is one of several processes, by the name that linking with it would note.
MPI_SONAME    := $(if $(MPI_CFLAGS),$(shell readelf -d "$$(pkg-config --variable=libdir ompi-c)/libmpi.so" 2>/dev/null | \
                   sed -n 's/.*(SONAME).*\[\(.*\)\].*/\1/p'))
HAVE_MPI      := $(if $(MPI_SONAME),$(call has_header,mpi.h,$(MPI_CFLAGS)))
MPI           ?= $(if $(HAVE_MPI),1,0)
OPENCL_WISH   := $(OPENCL)
OPENCL        ?= $(if $(and $(HAVE_OPENCL),$(HAVE_CLBLAST)),1,0)

# ---- flags ----------------------------------------------------------------------------------------------------------
# No fast-math and no contraction: a sum has the bits that the source says, in a vector or alone (P4); where operations
# are to be fused, the source says so (cpu/vmath.h). The two -fno flags only free the compiler from setting errno and
# from keeping exceptions in order; they change no value.

MODE := -O3 -g
ifeq ($(SANITIZE),1)
MODE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
COMMON_FLAGS := $(MODE) -ffp-contract=off -fno-math-errno -fno-trapping-math -fopenmp -Wall -Wextra -Wpedantic
ifeq ($(NATIVE),1)
COMMON_FLAGS += -march=native
endif
ifeq ($(WERROR),1)
COMMON_FLAGS += -Werror
endif
DEFINES := -D_GNU_SOURCE -DCL_TARGET_OPENCL_VERSION=120
ifeq ($(OPENCL),1)
DEFINES += -DOPENCL
endif
# -iquote, not -I: no header of ours may hide one that is included in angle brackets.
INCLUDES   := -iquote . -iquote common
LIB_CFLAGS := $(BLAS_CFLAGS)
ALL_CFLAGS = -std=c11 $(DEFINES) $(COMMON_FLAGS) $(INCLUDES) $(LIB_CFLAGS) $(CFLAGS)
ALL_CXXFLAGS = -std=c++11 $(DEFINES) $(COMMON_FLAGS) $(INCLUDES) $(CXXFLAGS)

LIBS := $(call pkg_libs,openblas,-lopenblas) $(call pkg_libs,libcjson,-lcjson) \
        $(call pkg_libs,libpcre2-8,-lpcre2-8) $(call pkg_libs,libcrypto,-lcrypto)
ifeq ($(OPENCL),1)
LIBS += $(call pkg_libs,clblast,-lclblast) $(call pkg_libs,OpenCL,-lOpenCL)
endif
ifeq ($(MPI),1)
MPI_FLAGS := -DSNUG_MPI='"$(MPI_SONAME)"' $(MPI_CFLAGS)
# Where it is looked for beside the system's folders, if that is noted there.
LIBS += $(filter -Wl$(COMMA)%,$(call pkg_libs,ompi-c,))
endif
LIBS += -ldl -lm
CHECK_LIBS := $(call pkg_libs,check,-lcheck -lsubunit -lrt -lpthread)

# The build id: commit, compiler, and a hash of the flags and of what -march=native meant here. No time, no path.
GIT_ID    := $(or $(shell git describe --always --dirty --match 'v[0-9]*' 2>/dev/null),release)
CC_ID     := $(notdir $(CC)) $(shell $(CC) -dumpfullversion 2>/dev/null || $(CC) -dumpversion 2>/dev/null)
FLAGS_ID  := $(shell { echo '$(MODE) $(COMMON_FLAGS) $(DEFINES) $(CFLAGS)'; \
               $(CC) $(COMMON_FLAGS) $(CFLAGS) -dM -E - </dev/null 2>/dev/null; } | cksum | cut -d' ' -f1)
BUILD_ID  := $(GIT_ID), $(CC_ID), flags $(FLAGS_ID)

# ---- sources --------------------------------------------------------------------------------------------------------
# New files are picked up by their place. cpu/*.c are compiled for float and for double, but for those two.

COMMON_SRC := $(wildcard common/*.c common/*/*.c)
CPU_ONCE   := $(wildcard cpu/backend.c cpu/core_type.c cpu/lanes.c cpu/room.c)
CPU_TWICE  := $(filter-out $(CPU_ONCE),$(wildcard cpu/*.c))
ifeq ($(OPENCL),1)
OPENCL_SRC := $(wildcard opencl/*.c opencl/*/*.c)
OPENCL_CXX := $(wildcard opencl/*.cpp)
KERNELS    := $(wildcard opencl/kernels/*.cl)
TEST_SRC   := $(wildcard tests/test_*.c)
else
OPENCL_SRC := opencl/scratch.c opencl/type.c
TEST_SRC   := $(filter-out tests/test_opencl%,$(wildcard tests/test_*.c))
endif
TEST_HELP  := $(wildcard tests/support*.c)
ifneq ($(OPENCL),1)
TEST_HELP  := $(filter-out tests/support_opencl%,$(TEST_HELP))
endif
PRELOAD_SRC := $(wildcard tests/preload_*.c)
ifneq ($(OPENCL),1)
PRELOAD_SRC := $(filter-out tests/preload_count_%.c tests/preload_late.c tests/preload_strict.c,$(PRELOAD_SRC))
endif
PRELOADS := $(PRELOAD_SRC:tests/preload_%.c=$(BUILD)/preload_%.so)

OBJECTS := $(COMMON_SRC:%.c=$(OBJ)/%.o) $(CPU_ONCE:%.c=$(OBJ)/%.o) \
           $(CPU_TWICE:%.c=$(OBJ)/%.f32.o) $(CPU_TWICE:%.c=$(OBJ)/%.f64.o) \
           $(OPENCL_SRC:%.c=$(OBJ)/%.o) $(OPENCL_CXX:%.cpp=$(OBJ)/%.cpp.o)
ifneq ($(KERNELS),)
OBJECTS += $(OBJ)/kernels.o
endif
ifneq ($(OPENCL_CXX),)
LIBS += -lstdc++
endif
TEST_OBJECTS := $(TEST_SRC:%.c=$(OBJ)/%.o) $(TEST_HELP:%.c=$(OBJ)/%.o) $(OBJ)/tests/main.o

# ---- building -------------------------------------------------------------------------------------------------------

.DELETE_ON_ERROR:
.PHONY: all tests found help deps deps-check demo test test-build test-run bench fuzz fuzz-run format lint man planted gpu-pack install clean FORCE

all: $(BUILD)/snug
tests: $(BUILD)/tests $(PRELOADS)

$(BUILD)/snug: $(OBJECTS)
	@echo "link  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(LIBS)

$(BUILD)/tests: $(filter-out $(OBJ)/common/main.o,$(OBJECTS)) $(TEST_OBJECTS)
	@echo "link  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(CHECK_LIBS) $(LIBS)

SAY_FLAGS = echo '$(CC) $(ALL_CFLAGS) / $(LIBS) / $(if $(filter 1,$(MPI)),$(MPI_SONAME))'
# Objects are rebuilt when the flags change; what was found is printed then, once.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@$(SAY_FLAGS) | cmp -s - $@ || { \
	  $(MAKE) -s --no-print-directory found; $(MISSING_STOPS) \
	  $(SAY_FLAGS) >$@; }
$(BUILD)/build_id: FORCE
	@mkdir -p $(@D)
	@echo '$(BUILD_ID)' | cmp -s - $@ || echo '$(BUILD_ID)' >$@

MISSING := $(if $(HAVE_BLAS),,libopenblas-openmp-dev) $(if $(HAVE_CJSON),,libcjson-dev) \
           $(if $(HAVE_PCRE2),,libpcre2-dev) $(if $(HAVE_CRYPTO),,libssl-dev)
MISSING := $(strip $(MISSING))
MISSING_STOPS := $(if $(MISSING),echo "snug needs $(MISSING): type  make deps" >&2; exit 1;)
ifeq ($(MPI)$(HAVE_MPI),1)
MISSING_STOPS += echo "MPI=1 needs libopenmpi-dev (Debian's name): install it, or leave MPI=1 out" >&2; exit 1;
endif

yes_no = $(if $(1),yes,no)
found:
	@echo "compiler   $(CC_ID)$(if $(filter 1,$(NATIVE)), -march=native)$(if $(filter 1,$(SANITIZE)), with ASan and UBSan)"
	@echo "OpenBLAS   $(call yes_no,$(HAVE_BLAS))"
	@echo "OpenMP     $(call yes_no,$(HAVE_OPENMP))"
	@echo "OpenCL     headers $(call yes_no,$(HAVE_OPENCL)), CLBlast $(call yes_no,$(HAVE_CLBLAST)):" \
	  "$(if $(filter 1,$(OPENCL)),building the OpenCL backend,CPU only)"
	@echo "MPI        $(call yes_no,$(HAVE_MPI)): $(if $(filter 1,$(MPI)),for several processes by mpirun,one process alone)"
	@echo "Check      $(call yes_no,$(HAVE_CHECK))$(if $(HAVE_CHECK),, (only the tests need it))"

$(OBJ)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "cc    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(OBJ)/cpu/%.f32.o: cpu/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "cc    $<  float"
	$(Q)$(CC) $(ALL_CFLAGS) -DREAL_BYTES=4 -MMD -MP -c -o $@ $<
$(OBJ)/cpu/%.f64.o: cpu/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "cc    $<  double"
	$(Q)$(CC) $(ALL_CFLAGS) -DREAL_BYTES=8 -MMD -MP -c -o $@ $<
$(OBJ)/%.cpp.o: %.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "c++   $<"
	$(Q)$(CXX) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<
$(OBJ)/tests/%.o: private LIB_CFLAGS += $(CHECK_CFLAGS)
# Half of what a build compiles, and none of what is tested.
$(OBJ)/tests/%.o: private CFLAGS += -O1
$(OBJ)/tests/main.o: private LIB_CFLAGS += -iquote $(BUILD)
$(OBJ)/tests/main.o: $(BUILD)/suites.h
ifeq ($(MPI),1)
$(OBJ)/common/base/processes.o: private LIB_CFLAGS += $(MPI_FLAGS)
endif
$(OBJ)/common/base/version.o: private DEFINES += -DSNUG_VERSION='"$(VERSION)"' -DSNUG_BUILD='"$(BUILD_ID)"'
$(OBJ)/common/base/version.o: $(BUILD)/build_id

# Every `Suite *NAME_suite(void)` in tests/test_*.c is run: nobody edits a list.
$(BUILD)/suites.h: FORCE
	@mkdir -p $(@D)
	@{ printf '#define SUITES(X)'; \
	   sed -n 's/^Suite \*\([a-z0-9_]*\)_suite(void).*/ X(\1)/p' $(TEST_SRC) /dev/null | sort -u | tr -d '\n'; \
	   echo; } >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# The kernels' sources travel inside the program.
EMBEDDED := $(KERNELS) common/base/philox.h
$(BUILD)/kernels.c: opencl/embed.sh $(EMBEDDED) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "embed $(words $(EMBEDDED)) kernel sources"
	$(Q)sh opencl/embed.sh $@ $(EMBEDDED)
$(OBJ)/kernels.o: $(BUILD)/kernels.c
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Libraries that tests preload, to watch or to refuse what the program asks of the system.
$(BUILD)/preload_%.so: tests/preload_%.c $(BUILD)/flags
	@mkdir -p $(OBJ)/tests
	@echo "cc    $<"
	$(Q)$(CC) -std=c11 -O2 -g -fPIC -shared $(DEFINES) -Wall -Wextra $(INCLUDES) -MMD -MP -MF $(OBJ)/tests/preload_$*.d \
	  -o $@ $< -ldl

-include $(wildcard $(OBJ)/*.d $(OBJ)/*/*.d $(OBJ)/*/*/*.d)

# ---- what is needed, by apt -----------------------------------------------------------------------------------------

APT_BUILD := $(if $(filter 1,$(DEPS)),OPENCL=$(OPENCL_WISH) sh .ci/deps build,true)
APT_DEMO  := $(if $(filter 1,$(DEPS)),OPENCL=$(OPENCL_WISH) sh .ci/deps demo,true)
APT_TEST  := $(if $(filter 1,$(DEPS)),OPENCL=$(OPENCL_WISH) sh .ci/deps test,true)
AGAIN      = $(MAKE) --no-print-directory

deps:
	@$(APT_BUILD)
deps-check:
	@OPENCL=$(OPENCL_WISH) sh .ci/deps --check test

demo:
	@$(APT_DEMO)
	@$(AGAIN) $(JOBS) all
	@SNUG=$(BUILD)/snug sh data/demo.sh

# ---- tests ----------------------------------------------------------------------------------------------------------
# Three builds: as users have it; with sanitizers; for any CPU of the architecture (NATIVE=0) and without OpenCL, which is
# what valgrind can run. Script tests take the program from $SNUG. Nothing is written outside build*/.

SCRIPT_TESTS := wings bad_input their_files kill docs bench saving stopping terminal limits faults memory folders resume interop \
                option_sweep processes settings
OPENCL_TESTS := strict outside_count oclgrind gpu_try products
VALGRIND_SUITES := plan plan_check config config_show tokenizer tokenizer_files
# Under the sanitizers the suites run in two parts. Leaks are looked for where no OpenCL driver is loaded: LeakSanitizer
# stops all threads of a process at its exit and reads their stacks, and it crashes now and then over the threads and
# the unloaded code of a driver. The OpenCL suites (those in tests/test_opencl*.c) run without that search; what they
# may leak on the device, tests/outside_count.sh counts.
suites_of = $(shell sed -n 's/^Suite \*\([a-z0-9_]*\)_suite(void).*/\1/p' $(1) /dev/null | sort -u)
OPENCL_SUITES := $(call suites_of,$(filter tests/test_opencl%,$(TEST_SRC)))
PLAIN_SUITES  := $(call suites_of,$(filter-out tests/test_opencl%,$(TEST_SRC)))
# What one build has to run, and the plain one does. Suites that compare kernels, variant by variant, for minutes: the
# sanitizers change no kernel, and the host's side of each is run by the other suites too. And of other suites the test
# cases with the tag "once": the same code over and over, with all combinations of settings.
KERNEL_SUITES := opencl_attention opencl_bf16 opencl_ends opencl_generate opencl_product opencl_golden opencl_outside opencl_batch
ONCE := CK_EXCLUDE_TAGS=once
# Under valgrind also nothing whose point is its size (the tag "large").
VALGRIND_ENV := CK_FORK=no CK_TIMEOUT_MULTIPLIER=10 CK_EXCLUDE_TAGS="once large"
SANITIZER_ENV := CK_TIMEOUT_MULTIPLIER=3 UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks
FUZZ_SHORT := 2
SKIPPED := 77
FUZZ_TRY := printf '$(HASH)include <omp.h>\nint LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }\n' | \
  clang -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null
export CK_DEFAULT_TIMEOUT ?= 300

# The OpenCL suites are two parts, which start first: kernels by themselves, and models with all that runs them. What one of
# them compiles, PoCL keeps, and few kernels are wanted by both.
OPENCL_MODELS := $(filter opencl_attention opencl_batch opencl_bf16 opencl_choose opencl_generate opencl_golden opencl_home \
                   opencl_program opencl_strict,$(OPENCL_SUITES))
OPENCL_PARTS  := $(if $(OPENCL_SUITES),opencl opencl-models)

# Most parts keep one core busy, so make runs as many at a time as there are cores; those start first that take longest by
# tests/part_seconds.txt. When one fails, those that run are waited for and no other is started.
# `make test-run PARTS="asan docs"` runs just these.
ALL_PARTS := $(OPENCL_PARTS) asan portable cpu $(if $(OPENCL_SUITES),asan-opencl) planted valgrind fuzz \
             $(SCRIPT_TESTS) $(if $(filter 1,$(OPENCL)),$(OPENCL_TESTS))
PARTS := $(shell printf '%s\n' $(ALL_PARTS) | awk 'NR == FNR { seconds[$$1] = $$2; next } { print seconds[$$1] + 0, $$1 }' \
           tests/part_seconds.txt - | sort -s -k1,1nr | cut -d' ' -f2)

test:
	@$(APT_TEST)
	@$(AGAIN) test-build
	@$(AGAIN) test-run
test-build:
	@$(AGAIN) $(JOBS) SANITIZE=0 BUILD=build all tests
	@$(AGAIN) $(JOBS) SANITIZE=1 BUILD=build-asan all tests
	@$(AGAIN) $(JOBS) SANITIZE=0 BUILD=build-portable NATIVE=0 OPENCL=0 MPI=0 tests
	@if $(FUZZ_TRY); then $(AGAIN) $(JOBS) fuzz >/dev/null; fi
test-run: export XDG_CACHE_HOME = $(CURDIR)/build/cache
# Also for tests with an empty cache of snug's own: compiling kernels takes most of the time of an OpenCL test.
test-run: export POCL_CACHE_DIR = $(CURDIR)/build/cache/pocl/kcache
test-run: export SNUG = build/snug
# Threads that wait without spinning: the tests share their cores with whatever else runs there.
test-run: export OMP_WAIT_POLICY ?= passive
# PoCL is the OpenCL of tests: the same everywhere, whatever else is installed.
ifneq ($(wildcard /etc/OpenCL/vendors/pocl.icd),)
test-run: export OCL_ICD_VENDORS = /etc/OpenCL/vendors/pocl.icd
endif
test-run: export PARTS := $(PARTS)
test-run: export PART_CORES := $(CORES)
test-run:
	@mkdir -p build/cache build/no-drivers build/parts
	@rm -f build/parts/*
	@date +%s >build/parts/began
	@touch build/parts/results
	@echo "== $(words $(PARTS)) parts, $(CORES) at a time; tests/part.sh says what each line tells"
	@$(AGAIN) $(JOBS) $(PARTS:%=part-%) || true
	@sh tests/part.sh

$(PARTS:%=part-%): export PART_RUN = $(RUN)
part-cpu:         RUN = build/tests $(PLAIN_SUITES)
part-opencl:      RUN = sh tests/strict.sh build/tests $(filter-out $(OPENCL_MODELS),$(OPENCL_SUITES))
part-opencl-models: RUN = sh tests/strict.sh build/tests $(OPENCL_MODELS)
part-portable:    RUN = $(ONCE) build-portable/tests $(PLAIN_SUITES)
part-asan:        RUN = OCL_ICD_VENDORS=$(CURDIR)/build/no-drivers $(SANITIZER_ENV)=1 $(ONCE) sh tests/apart.sh build-asan/tests $(PLAIN_SUITES)
part-asan-opencl: RUN = $(SANITIZER_ENV)=0 $(ONCE) FORKED="$(OPENCL_SUITES)" sh tests/apart.sh build-asan/tests $(filter-out $(KERNEL_SUITES),$(OPENCL_SUITES))
part-planted:     RUN = OPENCL=$(OPENCL) MAKE="$(MAKE) -j1" sh tests/planted_errors.sh quick
# In one process: each that valgrind starts costs it a third of a second.
part-valgrind:    RUN = if command -v valgrind >/dev/null; then $(VALGRIND_ENV) \
                      valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
                      build-portable/tests $(VALGRIND_SUITES); else echo "no valgrind here, skipped"; exit $(SKIPPED); fi
# A minute each: make fuzz-run
part-fuzz:        RUN = if $(FUZZ_TRY); then FUZZ_SECONDS=$(FUZZ_SHORT) BUILD=build sh tests/fuzz.sh $(FUZZERS); \
                      else echo "no clang with libFuzzer and omp.h here, skipped"; exit $(SKIPPED); fi
$(patsubst %,part-%,$(SCRIPT_TESTS) $(OPENCL_TESTS)): RUN = sh tests/$*.sh
# Under an OpenCL that is stricter and later than PoCL (tests/preload_strict.c, preload_late.c), as are the OpenCL suites.
part-outside_count part-bench: RUN = sh tests/strict.sh sh tests/$*.sh
# What runs the kernels again comes when PoCL has compiled them once.
part-asan-opencl part-bench part-cpu part-gpu_try part-outside_count part-planted part-processes part-products part-resume part-strict: | \
  $(filter $(OPENCL_PARTS:%=part-%),$(PARTS:%=part-%))
.PHONY: $(PARTS:%=part-%)
$(PARTS:%=part-%): part-%:
	@sh tests/part.sh $*

# ---- other things to type -------------------------------------------------------------------------------------------

# Do the tests notice errors? Plants all of tests/planted_errors.txt, one at a time; `make test` only some.
planted: tests
	@OPENCL=$(OPENCL) MAKE="$(MAKE)" sh tests/planted_errors.sh

lint:
	@$(APT_TEST)
	@$(AGAIN) -k $(JOBS) SANITIZE=0 BUILD=build-lint NATIVE=0 WERROR=1 MODE=-O2 all tests
	@OPENCL=$(OPENCL) sh tests/lint.sh

format:
	clang-format -i $(wildcard common/*.[ch] common/*/*.[ch] cpu/*.[ch] opencl/*.[ch] opencl/*/*.[ch] tests/*.[ch])

bench: all
	@SNUG=$(BUILD)/snug sh tests/bench_tables.sh docs/performance.md

# One archive for a machine that has a GPU and nothing else: tests/on_gpu.sh in it does the rest. For any CPU of the
# architecture, so that it need not be this one.
gpu-pack:
	@$(AGAIN) $(JOBS) SANITIZE=0 BUILD=build-pack NATIVE=0 MPI=0 all tests
	@sh tests/gpu_pack.sh build-pack build/snug-gpu.tgz

# Needs clang with libFuzzer. One fuzzer for each tests/fuzz_*.c. They read input and never open a backend: out of the
# archive the linker takes what they call, none of which needs cpu/ or opencl/. Without OpenMP: one thread is enough.
FUZZERS := $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/fuzz_*.c))
FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out common/main.c,$(COMMON_SRC)) tests/support_memory_backend.c)
FUZZ_CC := clang -std=c11 -O1 -g -fno-sanitize-recover=undefined $(DEFINES) $(INCLUDES)
FUZZ_SECONDS ?= 60
fuzz: $(FUZZERS)
.SECONDARY: $(FUZZ_OBJECTS)
$(BUILD)/fuzz/common/base/version.o: private DEFINES += -DSNUG_VERSION='"$(VERSION)"' -DSNUG_BUILD='"fuzz"'
$(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<
$(BUILD)/fuzz/all.a: $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/fuzz_%: tests/fuzz_%.c tests/support_fuzz.h tests/support_fuzz_tokenizer.h $(BUILD)/fuzz/all.a
	@echo "clang $<"
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $< $(BUILD)/fuzz/all.a -Wl,--as-needed $(LIBS) -lgomp
-include $(wildcard $(BUILD)/fuzz/*/*.d $(BUILD)/fuzz/*/*/*.d)
# Each fuzzer for FUZZ_SECONDS, from the seeds in tests/corpora, which it leaves alone.
fuzz-run: fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) BUILD=$(BUILD) sh tests/fuzz.sh $(FUZZERS)

# The man page is made from the option table; tests/docs.sh notices when the one in docs/ is not that.
man: all
	$(BUILD)/snug help man >docs/snug.1

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/snug/docs
	install -m 755 $(BUILD)/snug $(DESTDIR)$(PREFIX)/bin/snug
	install -m 644 README.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/snug
	install -m 644 $(wildcard docs/*.md docs/*.svg docs/*.png) $(DESTDIR)$(PREFIX)/share/doc/snug/docs
ifneq ($(wildcard docs/snug.1),)
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/snug.1 $(DESTDIR)$(PREFIX)/share/man/man1/snug.1
endif

clean:
	rm -rf build build-*

help:
	@echo "make                build/snug; touches neither apt nor the network"
	@echo "make demo           gets what is missing, builds, trains a small model on English text, samples"
	@echo "make test           gets what is missing, builds three ways, runs every test"
	@echo "make lint           clang-format, cppcheck, warnings as errors"
	@echo "make planted        plants errors in a copy of the sources: the tests must notice each"
	@echo "make deps           only gets what building needs, by apt; make deps-check lists all that is missing"
	@echo "make gpu-pack       build/snug-gpu.tgz, for a machine with a GPU: tests/on_gpu.sh in it runs all that wants one"
	@echo "make bench format fuzz fuzz-run man install clean found"
	@echo "switches: OPENCL=0|1 MPI=0|1 NATIVE=0|1 SANITIZE=0|1 DEPS=0|1 V=1 CC=... CFLAGS=... PREFIX=... DESTDIR=..."
