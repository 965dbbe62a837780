# fuzz.mk: readers fed with bytes from strangers (tests/fuzz).
#
#   make fuzz SECONDS=60   every target for so long under libFuzzer (clang), what it finds in build/fuzz/found/
#   make fuzz TARGETS='genotype mat'   these alone
#
# The corpus, seeds and every past finding, goes through the same targets in `make check`: build/tests/replay.
SECONDS = 60
FUZZ_O = $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/replay.c %/libfuzzer.c,$(sort $(wildcard tests/fuzz/*.c))))

ifneq ($(FUZZING),)
# No reader comes near the kernels, and clang needs minutes for them.
$(BUILD)/lib/engine/cpu/%.o: private SAN =
$(BUILD)/lib/engine/cpu/%.o: private CFLAGS = -g1
endif
fuzz:
	@$(MAKE) BUILD='$(BUILD)/fuzz' FUZZING=1 CC='$(if $(findstring clang,$(CC)),$(CC),clang)' CUDA=none ISAS=generic \
		SANITIZE=address,undefined OPT=-O1 CFLAGS='$(CFLAGS) -g1 -fsanitize=fuzzer-no-link' $(BUILD)/fuzz/tests/fuzz
	@BUILD='$(BUILD)' FOR='$(SECONDS)' TARGETS='$(TARGETS)' tests/fuzz/run

# With libhdf5 as an archive, where there is one, its own checksums are made to agree (targets_artifact.c).
ifneq ($(wildcard $(patsubst -L%,%/libhdf5.a,$(filter -L%,$(PROBE_LIBS)))),)
FUZZ_LIBS = -Wl,--wrap=H5_checksum_metadata $(patsubst -lhdf5,-l:libhdf5.a,$(ALL_LDLIBS)) -lsz
else
FUZZ_LIBS = $(ALL_LDLIBS)
endif
$(BUILD)/tests/fuzz: $(BUILD)/obj/tests/fuzz/libfuzzer.o $(FUZZ_O) $(INFO_O) $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(LINK) -fsanitize=fuzzer $^ -o $@ $(FUZZ_LIBS)
$(BUILD)/tests/replay: $(BUILD)/obj/tests/fuzz/replay.o $(FUZZ_O) $(INFO_O) $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(LINK) $^ -o $@ $(ALL_LDLIBS)
-include $(FUZZ_O:.o=.d) $(BUILD)/obj/tests/fuzz/replay.d $(BUILD)/obj/tests/fuzz/libfuzzer.d
.PHONY: fuzz
