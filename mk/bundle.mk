# bundle.mk: make bundle, one folder that runs on another x86-64 Linux: build/bundle/sharpdarts/ and
# sharpdarts.tar.gz beside it.  It has a build of its own, without debugging information: all programs are
# one file (bundle/main.c), into which what is large or has many dependencies is linked statically; the
# C library and the loader are copied, and bin/ has scripts that start the one with the other.

BUNDLE = $(BUILD)/bundle
BUNDLE_TESTS = optable golden $(notdir $(BENCH)) $(filter test_simd test_par test_base test_kernels_%,$(notdir $(UNIT)))

bundle:
	@[ '$(CUDA)' != emulated ] || { echo 'make bundle: the emulator is for tests alone' >&2; exit 1; }
	@$(MAKE) BUILD='$(BUNDLE)/build' CFLAGS='$(CFLAGS) -g0' bundle-program engines
	@$(MAKE) BUILD='$(BUNDLE)/build' bundle-folder FOLDER='$(BUNDLE)/sharpdarts'

# ---- what follows is for the build of its own ----
MULTI = $(BUILD)/multi
MULTI_NAMES = $(notdir $(TOOLS)) $(BUNDLE_TESTS)
# A program's objects as one, in which all but its main function is private and that has the program's name.
define MULTI_RULE
$(MULTI)/$(1).o: $(2)
	@mkdir -p $$(@D)
	$(SAY) LD $$@
	$(Q)$(LD) -r -o $$@.all $$^
	$(Q)$(OBJCOPY) --redefine-sym main=main_$(subst -,_,$(1)) --keep-global-symbol=main_$(subst -,_,$(1)) \
		$$@.all $$@
	@rm -f $$@.all
endef
OBJCOPY ?= objcopy
$(foreach t,$(notdir $(TOOLS)),$(eval $(call MULTI_RULE,$(t),$(BUILD)/tools/$(t).o)))
$(foreach t,$(notdir $(UNIT)),$(eval $(call MULTI_RULE,$(t),$(BUILD)/tests/unit/$(t).o)))
$(foreach t,$(notdir $(BENCH)),$(eval $(call MULTI_RULE,$(t),$(BUILD)/tests/bench/$(t).o)))
$(eval $(call MULTI_RULE,golden,$(GOLDEN_O)))
$(eval $(call MULTI_RULE,optable,$(OPTABLE_O)))

$(MULTI)/programs.h: $(BUILD)/flags Makefile mk/bundle.mk
	@mkdir -p $(@D)
	@{ echo '#define PROGRAMS(X) \'; printf '\tX("%s", main_%s) \\\n' \
		$(foreach n,$(MULTI_NAMES),$(n) $(subst -,_,$(n))); echo; } > $@
$(MULTI)/main.o: bundle/main.c $(MULTI)/programs.h $(BUILD)/flags
	$(SAY) CC $@
	$(Q)$(CC) -I$(MULTI) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@
# These statically: as shared libraries they would bring libcurl, libxml2 and ICU, which nothing here calls.
# What their code does call is among what those shared libraries need.
STATIC = hdf5 archive matio
shared = $(firstword $(wildcard $(patsubst -L%,%/lib$(1).so,$(filter -L%,$(PROBE_LIBS)))) \
	$(shell $(CC) -print-file-name=lib$(1).so))
needed = $(patsubst %,-l:%,$(filter-out libhdf5%,$(shell readelf -d $(call shared,$(1)) | \
	sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')))
empty =
MULTI_LIBS = $(filter -L%,$(PROBE_LIBS)) -Wl,--start-group $(STATIC:%=-l:lib%.a) -Wl,--end-group \
	-Wl,--exclude-libs,$(subst $(empty) ,:,$(STATIC:%=lib%.a)) \
	$(filter-out $(STATIC:%=-l%) -L%,$(PROBE_LIBS)) $(foreach l,$(STATIC),$(call needed,$(l)))
$(BUILD)/sharpdarts: $(MULTI)/main.o $(patsubst %,$(MULTI)/%.o,$(MULTI_NAMES)) $(INFO_O) $(BUILD)/libsharpdarts.a
	$(SAY) LINK $@
	$(Q)$(LINK) -s $^ -o $@ $(MULTI_LIBS) -pthread -lm -ldl
bundle-program: $(BUILD)/sharpdarts

bundle-folder:
	@CC='$(CC)' MULTI='$(MULTI_NAMES)' STATIC='$(STATIC)' ENGINE='$(CUDA_ENGINE)' \
		NVCC='$(if $(CUDA_ENGINE),$(NVCC))' mk/bundle $(BUILD) $(FOLDER)
.PHONY: bundle bundle-program bundle-folder
