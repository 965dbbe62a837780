# experiment.mk: the stages that the pipelines share: a data set to a cell, the cell to trained models,
# the models to a table and pictures.  A pipeline sets the variables below and includes this; all of
# them can be overridden on the command line.
#
#   OUT           the folder of results
#   BIN           the folder of the tools, with a slash behind it; empty: from PATH
#   DATA          the data set artifact, for which the pipeline has a rule
#   SEARCH        options of sd-search        SEARCH_SEED  its seed
#   DERIVE        options of sd-derive
#   ARCH          a genotype to train instead of searching one
#   TRAIN         options of sd-train
#   SEEDS         seeds of the training runs: one model each
#   EVAL          options of sd-eval          COLLECT      options of sd-collect
#   SOURCE        the hash of the tools' source: with another one everything is run again; empty: never mind
#   RECORDED      a table of payload digests to compare with
#   THREADS       threads of a tool; empty: what there is.  With `make -j N`, as many as one run is to have
#
# A stage is run again when one of its inputs or its options changed; options are kept in OUT/*.options.
# An interrupted training run goes on from its checkpoint.

.DELETE_ON_ERROR:
# Make must not delete an interrupted run's checkpoint, nor a model that others wait for.
.SECONDARY:
here := $(dir $(lastword $(MAKEFILE_LIST)))
tool = $(if $(BIN),$(BIN:%/=%)/)$(1)
threads = $(if $(THREADS),--threads $(THREADS))

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

# $(call options,NAME,TEXT): OUT/NAME.options holds TEXT, and is newer than what was made with another one.
define options
$(OUT)/$(1).options: FORCE
	@mkdir -p $(OUT)
	@printf '%s\n' '$(2)' > $$@.new
	@if cmp -s $$@.new $$@; then rm -f $$@.new; else mv -f $$@.new $$@; fi
endef
$(eval $(call options,data,$(SOURCE)))
$(eval $(call options,search,$(SEARCH) --seed $(SEARCH_SEED) $(SOURCE)))
$(eval $(call options,cell,$(if $(ARCH),arch $(ARCH),$(DERIVE))))
$(eval $(call options,train,$(TRAIN) $(SOURCE)))
$(eval $(call options,collect,$(EVAL) $(COLLECT) $(SEEDS)))

$(OUT)/search.h5: $(DATA) $(OUT)/search.options
	@[ $@.ckpt -nt $(OUT)/search.options ] || rm -f $@.ckpt
	$(call tool,sd-search) $(SEARCH) --seed $(SEARCH_SEED) --data $(DATA) $(threads) --resume auto --force \
		-o $@ 2>> $(OUT)/search.log || { tail -n 1 $(OUT)/search.log >&2; exit 1; }

ifneq ($(ARCH),)
# The name of a genotype, or a file.
$(GENOTYPE): $(OUT)/cell.options $(wildcard $(ARCH))
	cat $(or $(wildcard $(ARCH)),$(here)../genotypes/$(ARCH).genotype) > $@
else
$(GENOTYPE): $(OUT)/search.h5 $(OUT)/cell.options
	$(call tool,sd-derive) $(DERIVE) $< --force -o $@
endif

$(OUT)/model-%.h5: $(GENOTYPE) $(DATA) $(OUT)/train.options
	@[ $@.ckpt -nt $(OUT)/train.options -a $@.ckpt -nt $(GENOTYPE) ] || rm -f $@.ckpt $(OUT)/train-$*.log
	$(call tool,sd-train) $(TRAIN) --arch $(GENOTYPE) --seed $* --data $(DATA) $(threads) --resume auto --force \
		-o $@ 2>> $(OUT)/train-$*.log || { tail -n 1 $(OUT)/train-$*.log >&2; exit 1; }

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
$(OUT)/%.dot: $(GENOTYPE)
	$(call tool,sd-dot) --cell $* --force -o $@ $<
$(OUT)/%.svg: $(OUT)/%.dot
	dot -Tsvg $< -o $@
$(OUT)/%.png: $(OUT)/%.dot
	dot -Tpng -Gdpi=120 $< -o $@

# The lines of progress as a table.
$(OUT)/history-%.tsv: $(OUT)/model-%.h5 $(here)history.awk
	awk -f $(here)history.awk $(OUT)/train-$*.log > $@
$(OUT)/curves.svg: TERMINAL = svg size 900,600 background "white"
$(OUT)/curves.png: TERMINAL = pngcairo size 900,600
$(CURVES): $(SEEDS:%=$(OUT)/history-%.tsv) $(here)curves.gp
	gnuplot -e 'set terminal $(TERMINAL); set output "$@"; files = "$(SEEDS:%=$(OUT)/history-%.tsv)"' \
		$(here)curves.gp

FORCE:
.PHONY: all FORCE
