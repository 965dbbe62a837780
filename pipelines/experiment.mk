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
# and OUT, BIN, SOURCE and THREADS as in common.mk.  `make ... OUT/search.svg` is the search as an animated picture.

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

$(eval $(call options,data,$(SOURCE)))
$(eval $(call options,search,$(SEARCH) --seed $(SEARCH_SEED) $(SOURCE)))
$(eval $(call options,cell,$(if $(ARCH),arch $(ARCH),$(DERIVE))))
$(eval $(call options,train,$(TRAIN) $(SOURCE)))
$(eval $(call options,collect,$(EVAL) $(COLLECT) $(SEEDS)))

$(OUT)/search.h5: $(DATA) $(OUT)/search.options
	$(call run,$(call tool,sd-search) $(SEARCH) --seed $(SEARCH_SEED) --data $(DATA),$(OUT)/search.log,\
		$(OUT)/search.options)

ifneq ($(ARCH),)
# The name of a genotype, or a file.
$(GENOTYPE): $(OUT)/cell.options $(wildcard $(ARCH))
	cat $(or $(wildcard $(ARCH)),$(here)../genotypes/$(ARCH).genotype) > $@
else
$(GENOTYPE): $(OUT)/search.h5 $(OUT)/cell.options
	$(call tool,sd-derive) $(DERIVE) $< --force -o $@
endif

$(OUT)/model-%.h5: $(GENOTYPE) $(DATA) $(OUT)/train.options
	$(call run,$(call tool,sd-train) $(TRAIN) --arch $(GENOTYPE) --seed $* --data $(DATA),$(OUT)/train-$*.log,\
		$(OUT)/train.options $(GENOTYPE))

$(OUT)/eval-%.h5: $(OUT)/model-%.h5 $(DATA)
	$(call tool,sd-eval) $(EVAL) $< $(DATA) $(threads) --force -o $@ > $(OUT)/eval-$*.tsv

$(OUT)/results.tsv: $(EVALS) $(OUT)/collect.options
	$(call tool,sd-collect) $(COLLECT) $(EVALS) > $@

# What came out, by content: the payload digest of every artifact.
ARTIFACTS = $(DATA) $(if $(ARCH),,$(OUT)/search.h5) $(GENOTYPE) $(MODELS) $(EVALS)
$(OUT)/payloads.tsv: $(EVALS) $(OUT)/collect.options
	@for f in $(ARTIFACTS); do \
		payload=$$($(call tool,sd-verify) --print $$f | sed -n 's/^    "payload": "\([0-9a-f]*\)".*/\1/p') && \
		printf '%s\t%s\n' $${f##*/} $$payload || exit 1; done > $@

# ---- pictures ----
PICTURE = $(OUT)/normal $(OUT)/reduce
$(PICTURE:=.dot): $(OUT)/%.dot: $(GENOTYPE)
	$(call tool,sd-dot) --cell $* --force -o $@ $<
$(PICTURE:=.svg): %.svg: %.dot
	dot -Tsvg $< -o $@
$(PICTURE:=.png): %.png: %.dot
	dot -Tpng -Gdpi=120 $< -o $@

$(CURVES): $(MODELS)
	$(call tool,sd-collect) -q --metric error --plot $@ --force $(MODELS) > /dev/null

.PHONY: all
