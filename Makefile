# sharpdarts: `make` builds everything into build/; there is no configure step.
#
#   make              libraries are looked for, the tools end up in build/bin/
#   make deps         installs the Debian packages that are missing
#   make check        all of the set-up, then every test
#   make check-cuda-emulator   those of the CUDA engine alone, on the CPU
#   make quickstart   all of the set-up, then a whole experiment in runs/quickstart/
#   make bench        speed beside PyTorch
#   make lint         static analysis, with what `make deps-lint` installs
#   make fuzz         SECONDS=60: feeds every reader with bytes from strangers
#   make install      DESTDIR, prefix; make uninstall
#   make reproduce    the recorded studies again, a verdict for each; make why STAGE=model-1: is it current?
#   make dist         the source as a tarball, build/dist/; make reproducible-build: twice the same bits?
#   make bundle       a folder for another x86-64 Linux with or without a GPU: build/bundle/
#
# Variables: CC, OPT, CFLAGS, LDFLAGS, BUILD, SANITIZE=address,undefined, DEVELOPER=1, NO_DEPS=1, V=1.
# Other flags than the last time rebuild what they change.

ifeq ($(origin CC),default)
CC = gcc
endif
BUILD ?= build
VERSION := $(shell cat VERSION)
MAKEFLAGS += --no-print-directory

all: tools engines

# One short line a file; V=1 shows the commands.
Q = $(if $(V),,@)
SAY = $(if $(V),@:,@printf '  %-5s %s\n')

include mk/flags.mk
include mk/cuda.mk
include mk/crash.mk

# ---- what there is to build ----
KERNEL_C := $(sort $(wildcard lib/engine/cpu/k_*.c))
LIB_C := $(filter-out $(KERNEL_C) lib/engine/cuda/%,$(shell find lib -name '*.c' | LC_ALL=C sort))
LIB_O = $(LIB_C:%.c=$(BUILD)/%.o) \
	$(foreach isa,$(ISAS),$(KERNEL_C:%.c=$(BUILD)/%.$(isa).o))
TOOLS = $(patsubst tools/%.c,$(BUILD)/bin/%,$(sort $(wildcard tools/sd-*.c)))
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
BENCH = $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/bench/bench_*.c)))
GOLDEN_O = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/golden/*.c)))
GOLDEN = $(if $(GOLDEN_O),$(BUILD)/tests/golden)
REF_O = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard kernels/*_ref.c)) tests/optable/ref.c)
OPTABLE_O = $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/ref.c,$(sort $(wildcard tests/optable/*.c)))) $(REF_O)
ifeq ($(CUDA),emulated)
# References are evaluated over and over for finite differences; the sanitizers have them in other builds.
$(REF_O): private SAN =
$(REF_O): private OPTIM = -O2
endif

tools: $(TOOLS)
engines: $(CUDA_ENGINE)
unit: $(UNIT)
golden: $(GOLDEN)
tests: tools $(UNIT) $(GOLDEN) $(BUILD)/tests/optable $(BUILD)/tests/replay $(CRASH) $(BENCH)

$(BUILD)/libsharpdarts.a: $(LIB_O)
	@rm -f $@
	$(SAY) AR $@
	$(Q)$(AR) rcD $@ $(LIB_O)
define COMPILE
@mkdir -p $(@D)
$(SAY) CC $@
$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
endef
$(BUILD)/%.o: %.c $(BUILD)/flags
	$(COMPILE)
# Programs of several files, named like their folders, keep their objects here.
$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	$(COMPILE)

# A kernel file is compiled once for each code path; the engine chooses one when it runs.
define KERNEL_RULE
$(BUILD)/lib/engine/cpu/%.$(1).o: lib/engine/cpu/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$(SAY) CC $$@
	$(Q)$$(CC) $$(ALL_CPPFLAGS) $$(ALL_CFLAGS) $$(ISA_$(1)) -MMD -MP -c $$< -o $$@
endef
$(foreach isa,$(ISAS),$(eval $(call KERNEL_RULE,$(isa))))

$(BUILD)/gen/buildinfo.o: $(BUILD)/gen/buildinfo.c $(BUILD)/flags
	$(SAY) CC $@
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/gen/buildinfo.c: FORCE
	@mk/buildinfo $@ '$(VERSION)' '$(CC)' '$(OPT)'

# In front of the library, which has weak definitions for a build without this one.
INFO_O = $(BUILD)/gen/buildinfo.o
LINK = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)
$(BUILD)/bin/%: $(BUILD)/tools/%.o $(INFO_O) $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(LINK) $^ -o $@ $(ALL_LDLIBS)
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(INFO_O) $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(LINK) $^ -o $@ $(ALL_LDLIBS)
$(BUILD)/tests/%: $(BUILD)/tests/bench/%.o $(INFO_O) $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(LINK) $^ -o $@ $(ALL_LDLIBS)
$(BUILD)/tests/golden: $(GOLDEN_O) $(INFO_O) $(BUILD)/libsharpdarts.a
$(BUILD)/tests/optable: $(OPTABLE_O) $(INFO_O) $(BUILD)/libsharpdarts.a
$(BUILD)/tests/golden $(BUILD)/tests/optable:
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(LINK) $^ -o $@ $(ALL_LDLIBS)

# ---- set-up ----
deps:
	@mk/deps $(BUILD) '$(CC)' '$(NO_DEPS)'
deps-lint:
	@mk/deps $(BUILD) '$(CC)' '$(NO_DEPS)' lint
# Static analysis with what there is of cppcheck, clang-tidy, gcc -fanalyzer, shellcheck and mandoc.
lint: $(BUILD)/gen/buildinfo.c
	@CPPFLAGS='$(ALL_CPPFLAGS)' mk/lint

# These do all of the set-up, so the packages come first and make starts again with them.
check: deps
	@$(MAKE) tests
	@$(MAKE) emulator
	@BUILD='$(BUILD)' tests/check
# The CUDA engine on the CPU, by the emulator of tests/cuda-emulator, under the sanitizers.
check-cuda-emulator: deps
	@$(MAKE) emulator
	@BUILD='$(BUILD)' ONLY=emulator tests/check
emulator:
	@$(MAKE) BUILD='$(BUILD)/emu' CUDA=emulated SANITIZE=address,undefined ISAS=generic OPT=-O1 emulated
emulated: engines tools $(EMU_TESTS) $(BUILD)/tests/optable $(BUILD)/tests/replay $(GOLDEN)
quickstart: deps
	@$(MAKE) tools
	@$(MAKE) -f pipelines/quickstart.mk BIN='$(abspath $(BUILD))/bin' UPDATE=program
# Which input or parameter made a stage of a pipeline stale: make why STAGE=model-1 PIPELINE=quickstart
PIPELINE = quickstart
why: tools
	@$(MAKE) -f pipelines/$(PIPELINE).mk BIN='$(abspath $(BUILD))/bin' $(if $(filter quickstart,$(PIPELINE)),UPDATE=program) why
bench: tools $(BENCH)
	@BUILD='$(BUILD)' tests/bench/run

include mk/fuzz.mk
include mk/install.mk
include mk/bundle.mk
include mk/dist.mk
include mk/reproduce.mk

print-config:
	@printf '%s\n' 'version    $(VERSION)' 'build      $(BUILD)' 'CC         $(CC)' \
		'CPPFLAGS   $(ALL_CPPFLAGS)' 'CFLAGS     $(ALL_CFLAGS)' 'kernels    $(CPU_OPT)' \
		'LDFLAGS    $(ALL_LDFLAGS)' 'hardening  $(strip $(HARDEN_CPP) $(HARDEN) $(HARDEN_LD))' 'LDLIBS     $(ALL_LDLIBS)' 'code paths $(ISAS)' 'CUDA       $(or $(CUDA_ENGINE),none)' \
		'prefix     $(prefix)' 'tools      $(notdir $(TOOLS))'
clean:
	rm -rf $(BUILD)

FORCE:
.PHONY: all tools engines unit golden tests deps deps-lint lint check check-cuda-emulator emulator emulated quickstart why bench print-config clean FORCE
.SECONDARY:
.DELETE_ON_ERROR:
-include $(LIB_O:.o=.d) $(TOOLS:$(BUILD)/bin/%=$(BUILD)/tools/%.d) $(GOLDEN_O:.o=.d) $(OPTABLE_O:.o=.d) \
	$(UNIT:$(BUILD)/tests/%=$(BUILD)/tests/unit/%.d) $(BENCH:$(BUILD)/tests/%=$(BUILD)/tests/bench/%.d)
