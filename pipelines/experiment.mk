# experiment.mk: the stages that the pipelines share: a data set to a cell, the cell to trained models,
# the models to a table and pictures.  A pipeline sets the variables below and includes this; all of
# them can be overridden on the command line.
#
#   DATA          the data set artifact, for which the pipeline has a rule
#   SEARCH        options of sd-search        SEARCH_SEED  its seed
#   DERIVE        options of sd-derive
#   ARCH          a genotype to train instead of searching one
#   TRAIN         options of sd-train
#   SEEDS         seeds of the training runs: one model each
#   EVAL          options of sd-eval          COLLECT      options of sd-collect
#   RECORDED      a table of payload digests to compare with
#
# and OUT, BIN, UPDATE and THREADS as in common.mk.  `make ... OUT/search.svg` is the search as an animated picture.

include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

MODELS = $(SEEDS:%=$(OUT)/model-%.h5)
EVALS = $(SEEDS:%=$(OUT)/eval-%.h5)
CELLS = $(foreach c,normal reduce,$(OUT)/$(c).svg $(OUT)/$(c).png)
CURVES = $(OUT)/curves.svg $(OUT)/curves.png
GENOTYPE = $(OUT)/cell.genotype

all: $(OUT)/results.tsv $(OUT)/payloads.tsv $(CELLS) $(CURVES)
	@echo
	@cat $(OUT)/results.tsv
	@echo
	@echo 'genotype: $(GENOTYPE)'
	@echo 'pictures: $(CELLS) $(CURVES)'
	@$(if $(RECORDED),if cmp -s $(OUT)/payloads.tsv $(RECORDED); \
		then echo 'bit for bit the recorded results ($(RECORDED))'; \
		else echo 'not the recorded results: compare $(OUT)/payloads.tsv with $(RECORDED)'; fi)

ifneq ($(ARCH),)
$(eval $(call options,cell,arch $(ARCH),$(wildcard $(ARCH))))
endif
$(eval $(call options,collect,$(COLLECT) $(SEEDS),$(EVALS)))
$(eval $(call options,curves,,$(MODELS)))
$(eval $(call options,picture,,$(GENOTYPE)))

$(OUT)/search.h5: $(DATA) FORCE
	$(call run,$(call tool,sd-search) $(SEARCH) --seed $(SEARCH_SEED) --data $(DATA),$(OUT)/search.log)

ifneq ($(ARCH),)
# The name of a genotype, or a file.
$(GENOTYPE): $(OUT)/cell.options
	$(call table,cat $(or $(wildcard $(ARCH)),$(here)../genotypes/$(ARCH).genotype) > $@)
else
$(GENOTYPE): $(OUT)/search.h5 FORCE
	$(call stage,$(call tool,sd-derive) $(DERIVE) $<)
endif

$(MODELS): $(OUT)/model-%.h5: $(GENOTYPE) $(DATA) FORCE
	$(call run,$(call tool,sd-train) $(TRAIN) --arch $(GENOTYPE) --seed $* --data $(DATA),$(OUT)/train-$*.log)

$(EVALS): $(OUT)/eval-%.h5: $(OUT)/model-%.h5 $(DATA) FORCE
	$(call stage,$(call tool,sd-eval) $(EVAL) $< $(DATA) $(threads),> $(OUT)/eval-$*.tsv)

$(OUT)/results.tsv: $(OUT)/collect.options $(ASK)
	$(call table,$(call tool,sd-collect) $(COLLECT) $(EVALS) > $@)

# What came out, by content: the payload digest of every artifact.
ARTIFACTS = $(DATA) $(if $(ARCH),,$(OUT)/search.h5) $(GENOTYPE) $(MODELS) $(EVALS)
$(OUT)/payloads.tsv: $(OUT)/collect.options $(ASK)
	$(if $(WHY),@$(by_inputs),@for f in $(ARTIFACTS); do \
		payload=$$($(call tool,sd-verify) --print $$f | sed -n 's/^    "payload": "\([0-9a-f]*\)".*/\1/p') && \
		printf '%s\t%s\n' $${f##*/} $$payload || exit 1; done > $@)

# ---- pictures ----
PICTURE = $(OUT)/normal $(OUT)/reduce
$(PICTURE:=.dot): $(OUT)/%.dot: $(OUT)/picture.options $(ASK)
	$(call table,$(call tool,sd-dot) --cell $* --force -o $@ $(GENOTYPE))
$(PICTURE:=.svg): %.svg: %.dot $(ASK)
	$(call table,dot -Tsvg $< -o $@)
$(PICTURE:=.png): %.png: %.dot $(ASK)
	$(call table,dot -Tpng -Gdpi=120 $< -o $@)

$(CURVES): $(OUT)/curves.options $(ASK)
	$(call table,$(call tool,sd-collect) -q --metric error --plot $@ --force $(MODELS) > /dev/null)

STAGES = $(ARTIFACTS) $(OUT)/results.tsv $(OUT)/payloads.tsv $(CELLS) $(CURVES)
evals: $(EVALS)
.PHONY: all evals
