# cifar10.mk: the paper's experiment on CIFAR-10: search (SharpSepConvDARTS, scalar weighting), training of
# the cell that was found with eight seeds, evaluation, table and pictures.  The settings are those of the
# reference's command lines without AutoAugment; days of computing.
#
#   make -f pipelines/cifar10.mk ARCHIVE=cifar-10-binary.tar.gz [BIN=build/bin] [-j 2 THREADS=8]
#
# Other examples:
#   ARCH=SHARPSEPCONV_DARTS          train a published cell
#   WEIGHTING=max_w                  search with max-w regularisation
#   EPOCHS=100 SEEDS="1 2 3"         shorter

ARCHIVE = cifar-10-binary.tar.gz
OUT = runs/cifar10
DATA = $(OUT)/cifar10.h5
WEIGHTING = scalar
PRIMITIVES = DARTS_PRIMITIVES
SEARCH_EPOCHS = 120
SEARCH = --batch_size 48 --layers_of_cells 8 --layers_in_cells 4 --init_channels 16 \
	--epochs $(SEARCH_EPOCHS) --cutout --weighting_algorithm $(WEIGHTING) --primitives $(PRIMITIVES)
SEARCH_SEED = 22
DERIVE = --name CIFAR10
EPOCHS = 2000
TRAIN = --auxiliary --cutout --batch_size 64 --epochs $(EPOCHS) --learning_rate 0.025 \
	--learning_rate_min 1e-8 --cutout_length 16 --init_channels 36
SEEDS = 1 2 3 4 5 6 7 8

include $(dir $(lastword $(MAKEFILE_LIST)))experiment.mk

$(DATA): $(ARCHIVE) $(OUT)/data.options
	@mkdir -p $(@D)
	$(call tool,sd-prep) cifar10 $< --force -o $@
