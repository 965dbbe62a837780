# reproduce.mk: make reproduce, make records
#
# manifests/STUDY/*.record are the manifests of a study's evaluations and of all that they came from.  `make reproduce`
# makes everything in them again, from the raw files on, as far as those are found, and prints a verdict for each
# (sd-verify --rerun): it succeeds if all are BITWISE.  `make records` records them anew, after a change that is meant
# to change numbers.
#
#   SEARCH_PATH   folders in which raw files are looked for, beside share/data
#   RECORDS       which are to be made again

RECORDS = $(sort $(wildcard manifests/*/*.record))
SEARCH_PATH = $(wildcard runs/cifar10-smoke)
reproduce: tools
	@$(BUILD)/bin/sd-verify --rerun --chain --search_path share/data $(SEARCH_PATH:%=--search_path %) $(RECORDS)

# Without contexts: a record is then the same whoever makes it, where and when.
RECORDED = $(BUILD)/records
records: tools
	@$(MAKE) -f pipelines/quickstart.mk BIN='$(abspath $(BUILD))/bin' UPDATE=program OUT=$(RECORDED)/quickstart \
		STAMP='--context none' evals
	@$(MAKE) -f pipelines/cifar10.mk BIN='$(abspath $(BUILD))/bin' UPDATE=program OUT=$(RECORDED)/cifar10-smoke \
		SCALE=smoke WEIGHTINGS=scalar RANDOM_SEEDS= STAMP='--context none' evals
	@for f in $(RECORDED)/quickstart/eval-*.h5 $(RECORDED)/cifar10-smoke/*/eval-*.h5; do \
		name=$${f#$(RECORDED)/}; study=$${name%%/*}; name=$${name#*/}; mkdir -p manifests/$$study; \
		$(BUILD)/bin/sd-verify --record $$f > manifests/$$study/$$(echo $${name%.h5} | sed 's|/eval||; s|/|-|').record || exit 1; done
.PHONY: reproduce records
