# quickstart.mk: a whole experiment in a minute: handwritten digits, a small search, the cell that was found
# trained with three seeds, a table and pictures.  Behind `make quickstart`; by itself:
#
#   make -f pipelines/quickstart.mk BIN=build/bin [OUT=runs/quickstart] [SEEDS="1 2 3"]

OUT = runs/quickstart
DIGITS = $(firstword $(wildcard $(here)../share/data/digits.csv.gz $(here)../data/digits.csv.gz))
DATA = $(OUT)/digits.h5
SEARCH = --init-channels 16 --layers-of-cells 3 --layers-in-cells 3 --batch_size 32 --epochs 20 \
	--primitives DARTS_PRIMITIVES
SEARCH_SEED = 2
DERIVE = --name QUICKSTART
TRAIN = --layers 5 --init-channels 16 --batch_size 32 --epochs 30 --drop_path_prob 0.1
SEEDS = 1 2 3
# Of this pipeline as it stands here, anywhere: `cp runs/quickstart/payloads.tsv manifests/quickstart.tsv`
# after a change that is meant to change numbers.
RECORDED = $(wildcard $(here)../manifests/quickstart.tsv)

include $(dir $(lastword $(MAKEFILE_LIST)))experiment.mk

$(DATA): $(DIGITS) FORCE
	$(call stage,$(call tool,sd-prep) digits $<)
