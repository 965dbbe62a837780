# flags.mk: the flags, from the libraries that were found and from the variables of the command line.

# Targets that build nothing need no libraries.
NOT_BUILDING = deps deps-lint check check-cuda-emulator emulator quickstart fuzz dist reproducible-build clean uninstall
ifneq ($(filter-out $(NOT_BUILDING),$(or $(MAKECMDGOALS),all)),)
-include $(BUILD)/probe.mk
# Looked for again when something was missing, or with another compiler.
ifneq ($(PROBED_CC)$(PROBE_MISSING),$(CC))
$(BUILD)/probe.mk: FORCE
endif
$(BUILD)/probe.mk: mk/probe
	@mkdir -p $(@D)
	@mk/probe $@ '$(CC)'
ifneq ($(PROBE_MISSING),)
$(BUILD)/flags: missing
missing:
	@echo 'make: missing: $(PROBE_MISSING); run "make deps", or install: $(PROBE_PACKAGES)' >&2; exit 1
.PHONY: missing
endif
endif

ifeq ($(origin OPT),undefined)
OPT = -O2 -g
CPU_OPT = -O3 -g
else
CPU_OPT = $(OPT)
endif
OPTIM = $(OPT)
$(BUILD)/lib/engine/cpu/%.o: OPTIM = $(CPU_OPT)

# A message that is cut short is meant to be.
WARN = -Wall -Wextra $(if $(findstring clang,$(shell $(CC) --version 2>&1)),,-Wno-format-truncation)
ifneq ($(DEVELOPER),)
WARN += -Werror -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
	-Wwrite-strings -Wundef -Wvla -Wformat-security
endif

# Where the source lies is not in what is built.
HERE = -ffile-prefix-map=$(CURDIR)=.
HARDEN = -fstack-protector-strong -fstack-clash-protection -fPIE
HARDEN_LD = -pie -Wl,-z,relro,-z,now,-z,noexecstack
# Fortified functions need an optimiser, and would hide calls from the sanitizers.
ifeq ($(SANITIZE)$(filter -O0,$(OPT)),)
HARDEN_CPP = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
ifneq ($(SANITIZE),)
SAN = -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

ALL_CPPFLAGS = -Ilib -D_GNU_SOURCE -DH5_USE_110_API $(HARDEN_CPP) \
	$(PROBE_CPPFLAGS) $(CPPFLAGS)
ifeq ($(strip $(ISAS)),generic)
ALL_CPPFLAGS += -DSD_GENERIC_ONLY
endif
ALL_CFLAGS = -std=gnu11 $(WARN) -ffp-contract=off -pthread $(HERE) $(HARDEN) $(OPTIM) $(SAN) $(CFLAGS)
# -rdynamic: engine-cuda.so takes what it needs of the library from the program that opens it.
ALL_LDFLAGS = $(HARDEN_LD) -rdynamic -Wl,--as-needed $(LDFLAGS)
ALL_LDLIBS = $(PROBE_LIBS) -pthread -lm -ldl $(LDLIBS)

# Code paths of the CPU kernels (lib/engine/cpu/k_*.c).
ISA_avx512 = -DSD_ISA_AVX512 -mprfchw -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx2 -mf16c
ISA_avx2 = -DSD_ISA_AVX2 -mavx2 -mfma -mf16c
ISA_generic = -DSD_ISA_GENERIC
ISAS = $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine 2>/dev/null)),avx512 avx2 )generic

# Changes when any of them does, and everything is built again.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC)' '$(ALL_CPPFLAGS)' '$(subst $(HERE),,$(ALL_CFLAGS))' '$(CPU_OPT)' '$(ALL_LDFLAGS)' \
		'$(ALL_LDLIBS)' '$(foreach i,$(ISAS),$(ISA_$(i)))' > $@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi
