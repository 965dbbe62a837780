# cifar10.mk: the whole study on CIFAR-10, as the README of the original has it: for each weighting several
# searches (SharpSepConvDARTS); the cells that they found are trained for a short time on one half of the training
# images and the best on the other half is picked, without a look at the test images; it is trained in full with
# several seeds and evaluated on CIFAR-10 and CIFAR-10.1.  As many random architectures of the same space go the
# same way: what a search is worth is what it is better by.
#
#   make -n -f pipelines/cifar10.mk                         shows it
#   make -f pipelines/cifar10.mk BIN=build/bin -j2 SCALE=smoke    all of it, small: minutes
#   make -f pipelines/cifar10.mk BIN=build/bin ARCHIVE=cifar-10-binary.tar.gz ARCHIVE_10_1=cifar10.1/
#                                                           all of it, large: weeks of computing on one processor
#
#   ARCHIVE        CIFAR-10 as it is distributed (cifar-10-binary.tar.gz here; else it is packed, where PACK is at hand)
#   ARCHIVE_10_1   the folder with cifar10.1_v6_data.npy and its labels; without it CIFAR-10.1 is left out
#   DATA DATA_10_1 these as artifacts, if they are there already
#   WEIGHTINGS SEARCH_SEEDS    searches; WEIGHTINGS= leaves them out
#   RANDOM_SEEDS   random architectures; empty leaves them out
#   ARCHS          published cells (names in genotypes/) to be trained beside what was found
#   SEEDS          seeds of the full training
#   EPOCHS PICK_EPOCHS SEARCH_EPOCHS    shorter
#
# For example a published cell alone:
#   make -f pipelines/cifar10.mk WEIGHTINGS= RANDOM_SEEDS= ARCHS=SHARPSEPCONV_DARTS SEEDS="1 2 3" EPOCHS=100
#
# Leaves in OUT: results.tsv and .md (error in percent), compare.tsv (each method against random), report.html,
# curves.svg, and for each method (a weighting, random, or a published cell) a folder with the picked cell, its
# models and evaluations, and pick.tsv, by which it was picked.  Methods that come to the same cell are one row with
# both names, max_w=scalar.  `make ... movies` draws the searches as animated
# pictures, one frame an epoch.

WEIGHTINGS = scalar max_w
ARCHS =
PRIMITIVES = DARTS_PRIMITIVES
# Debian's, which has Pillow (python3-pil).
PYTHON = $(firstword $(wildcard /usr/bin/python3) python3)
PACK = $(firstword $(wildcard $(here)../../shared/data/make-cifar10-binary ../shared/data/make-cifar10-binary))

ifeq ($(SCALE),smoke)
OUT = runs/cifar10-smoke
SEARCH_SEEDS = 1 2
RANDOM_SEEDS = 1 2
SEEDS = 1 2
SEARCH_EPOCHS = 2
PICK_EPOCHS = 1
EPOCHS = 2
SEARCH_SIZE = --batch_size 32 --layers_of_cells 3 --layers_in_cells 2 --init_channels 4 --limit-batches 12
TRAIN_SIZE = --batch_size 32 --layers 3 --init_channels 8 --limit-batches 16
CELL_NODES = 2
PACK_SIZE = -n 200 -t 500
THREADS = 1
else
OUT = runs/cifar10
SEARCH_SEEDS = 22 23 24 25
RANDOM_SEEDS = 1 2 3 4
SEEDS = 1 2 3 4 5 6 7 8
SEARCH_EPOCHS = 120
PICK_EPOCHS = 100
EPOCHS = 2000
SEARCH_SIZE = --batch_size 48 --layers_of_cells 8 --layers_in_cells 4 --init_channels 16
TRAIN_SIZE = --batch_size 64 --init_channels 36
CELL_NODES = 4
endif

SEARCH = $(SEARCH_SIZE) --epochs $(SEARCH_EPOCHS) --cutout --autoaugment --primitives $(PRIMITIVES)
TRAIN_BASE = $(TRAIN_SIZE) --autoaugment --auxiliary --cutout --cutout_length 16 --learning_rate 0.025 \
	--learning_rate_min 1e-8
PICK = $(TRAIN_BASE) --epochs $(PICK_EPOCHS) --train_portion 0.5 --seed 0
TRAIN = $(TRAIN_BASE) --epochs $(EPOCHS)
EVAL =
COLLECT = --metric error

include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

ifeq ($(origin DATA),undefined)
DATA = $(OUT)/cifar10.h5
ifeq ($(origin ARCHIVE),undefined)
ARCHIVE = $(firstword $(wildcard cifar-10-binary.tar.gz) $(OUT)/cifar-10-batches-bin)
# As files: an archive would be another one each time.
$(OUT)/cifar-10-batches-bin:
	@mkdir -p $(OUT)
	@[ -n "$(PACK)" ] || { echo 'ARCHIVE=FILE: CIFAR-10 as it is distributed is needed' >&2; exit 1; }
	$(PYTHON) $(PACK) $(PACK_SIZE) $@.tar.gz
	tar -xzf $@.tar.gz -C $(OUT) && rm $@.tar.gz
endif
$(DATA): $(ARCHIVE) FORCE
	$(call stage,$(call tool,sd-prep) cifar10 $<)
endif
ifeq ($(origin DATA_10_1),undefined)
ifneq ($(ARCHIVE_10_1),)
DATA_10_1 = $(OUT)/cifar10.1.h5
$(DATA_10_1): $(ARCHIVE_10_1) FORCE
	$(call stage,$(call tool,sd-prep) cifar10.1 $<)
endif
endif
TESTS = $(DATA) $(DATA_10_1)

# ---- what there is ----
SOUGHT = $(WEIGHTINGS) $(if $(strip $(RANDOM_SEEDS)),random)
METHODS = $(SOUGHT) $(ARCHS)
candidates = $(if $(filter random,$(1)),$(RANDOM_SEEDS),$(SEARCH_SEEDS))
SEARCHES = $(foreach w,$(WEIGHTINGS),$(SEARCH_SEEDS:%=$(OUT)/$(w)-%/search.h5))
PICKS = $(foreach m,$(SOUGHT),$(patsubst %,$(OUT)/$(m)-%/pick.h5,$(call candidates,$(m))))
CELLS = $(METHODS:%=$(OUT)/%/cell.genotype)
MODELS = $(foreach m,$(METHODS),$(SEEDS:%=$(OUT)/$(m)/model-%.h5))
EVALS = $(foreach m,$(METHODS),$(SEEDS:%=$(OUT)/$(m)/eval-%.h5))

all: $(OUT)/results.tsv $(OUT)/results.md $(OUT)/compare.tsv $(OUT)/curves.svg $(OUT)/report.html
	@echo
	@cat $(OUT)/results.md
	@echo
	@echo 'all of it: $(OUT)/report.html'
	@$(if $(DATA_10_1),,echo 'without CIFAR-10.1: ARCHIVE_10_1 is not set')
movies: $(SEARCHES:.h5=.svg)
evals: $(EVALS)
.PHONY: all movies evals

$(eval $(call options,collect,$(COLLECT) $(METHODS) $(SEARCH_SEEDS) $(RANDOM_SEEDS) $(SEEDS),$(EVALS)))
$(eval $(call options,report,,$(EVALS) $(MODELS) $(SEARCHES) $(CELLS)))
$(eval $(call options,curves,,$(MODELS)))

# ---- candidates: what a weighting finds with each seed, and random ones ----
# $(call searched,WEIGHTING,SEED)
define searched
$(OUT)/$(1)-$(2)/search.h5: $(DATA) FORCE
	$$(call run,$$(call tool,sd-search) $$(SEARCH) --weighting_algorithm $(1) --seed $(2) --data $$(DATA),$$(@D)/search.log)
$(OUT)/$(1)-$(2)/cell.genotype: $(OUT)/$(1)-$(2)/search.h5 FORCE
	$$(call stage,$$(call tool,sd-derive) --name $(1) $$<)
endef
$(foreach w,$(WEIGHTINGS),$(foreach s,$(SEARCH_SEEDS),$(eval $(call searched,$(w),$(s)))))

$(RANDOM_SEEDS:%=$(OUT)/random-%/cell.genotype): $(OUT)/random-%/cell.genotype: FORCE
	$(call stage,$(call tool,sd-derive) --random $* --primitives $(PRIMITIVES) --layers_in_cells $(CELL_NODES) --name random)

# ---- the choice between them ----
$(PICKS): %/pick.h5: %/cell.genotype $(DATA) FORCE
	$(call run,$(call tool,sd-train) $(PICK) --arch $< --data $(DATA),$*/pick.log)

# $(call picked,METHOD,SEEDS): the best of the last epoch, the first of equals.
define picked
$(call options,pick-$(1),,$(2:%=$(OUT)/$(1)-%/pick.h5))
$(OUT)/$(1)/pick.tsv: $(OUT)/pick-$(1).options $(ASK)
	@mkdir -p $$(@D)
	$$(call table,$$(call tool,sd-collect) --runs --weights last --metric error --split valid $(2:%=$(OUT)/$(1)-%/pick.h5) > $$@)
$(OUT)/$(1)/cell.genotype: $(OUT)/$(1)/pick.tsv $(ASK)
	$$(call table,cp $$$$(sed 1d $$< | LC_ALL=C sort -t "$$$$(printf '\t')" -k5,5g -k8,8 | cut -f 8 | sed -n '1s|pick.h5|cell.genotype|p') $$@)
endef
$(foreach m,$(SOUGHT),$(eval $(call picked,$(m),$(call candidates,$(m)))))

$(ARCHS:%=$(OUT)/%/cell.genotype): $(OUT)/%/cell.genotype: $(here)../genotypes/%.genotype $(ASK)
	@mkdir -p $(@D)
	$(call table,cp $< $@)

# ---- training and evaluation ----
# $(call trained,METHOD,SEED)
define trained
$(OUT)/$(1)/model-$(2).h5: $(OUT)/$(1)/cell.genotype $(DATA) FORCE
	$$(call run,$$(call tool,sd-train) $$(TRAIN) --arch $$< --seed $(2) --data $$(DATA),$$(@D)/train-$(2).log)
$(OUT)/$(1)/eval-$(2).h5: $(OUT)/$(1)/model-$(2).h5 $(TESTS) FORCE
	$$(call stage,$$(call tool,sd-eval) -q $$(EVAL) $$< $$(TESTS) $$(threads),> $$(@:.h5=.tsv))
endef
$(foreach m,$(METHODS),$(foreach s,$(SEEDS),$(eval $(call trained,$(m),$(s)))))

# ---- tables and pictures ----
$(OUT)/results.tsv: $(OUT)/collect.options $(ASK)
	$(call table,$(call tool,sd-collect) $(COLLECT) $(EVALS) > $@)
$(OUT)/results.md: $(OUT)/collect.options $(ASK)
	$(call table,$(call tool,sd-collect) $(COLLECT) --format markdown $(EVALS) > $@)
RIVALS = $(if $(filter random,$(METHODS)),$(filter-out random,$(METHODS)))
COMPARE = $(RIVALS:%=--compare %,random)
$(OUT)/compare.tsv: $(OUT)/collect.options $(ASK)
	$(call table,$(if $(COMPARE),$(call tool,sd-collect) $(COLLECT) $(COMPARE) $(EVALS) > $@,: > $@))
$(OUT)/curves.svg: $(OUT)/curves.options $(ASK)
	$(call table,$(call tool,sd-collect) $(COLLECT) --plot $@ --force $(MODELS) > /dev/null)
$(OUT)/report.html: $(OUT)/report.options $(OUT)/collect.options $(ASK)
	$(call table,$(call tool,sd-collect) $(COLLECT) $(COMPARE) --title 'CIFAR-10' --html $@ --force $(SEARCHES) $(CELLS) \
		$(MODELS) $(EVALS) > /dev/null)

STAGES = $(TESTS) $(SEARCHES) $(SEARCHES:search.h5=cell.genotype) $(RANDOM_SEEDS:%=$(OUT)/random-%/cell.genotype) $(PICKS) \
	$(SOUGHT:%=$(OUT)/%/pick.tsv) $(CELLS) $(MODELS) $(EVALS) $(addprefix $(OUT)/,results.tsv results.md compare.tsv \
	curves.svg report.html)
