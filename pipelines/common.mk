# common.mk: what all pipelines have in common.
#
#   OUT       the folder of results
#   BIN       the folder of the tools, with or without a slash behind it; empty: from PATH
#   SOURCE    the hash of the tools' source: with another one everything is run again; empty: never mind
#   THREADS   threads of a tool; empty: what there is.  With `make -j N`, as many as one run is to have
#
# A stage is run again when one of its inputs or its options changed; options are kept in OUT/*.options.
# An interrupted search or training goes on from its checkpoint.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
# Make must not delete an interrupted run's checkpoint, nor a model that others wait for.
.SECONDARY:
here := $(dir $(lastword $(MAKEFILE_LIST)))
tool = $(if $(BIN),$(BIN:%/=%)/)$(1)
threads = $(if $(THREADS),--threads $(THREADS))

# $(call options,NAME,TEXT): OUT/NAME.options holds TEXT, and is newer than what was made with another one.
define options
$(OUT)/$(1).options: FORCE
	@mkdir -p $(OUT)
	@printf '%s\n' '$(2)' > $$@.new
	@if cmp -s $$@.new $$@; then rm -f $$@.new; else mv -f $$@.new $$@; fi
endef

# $(call run,COMMAND,LOG,FILE...): runs a search or a training whose target is $@ with a log of its progress; a
# checkpoint goes on if it is newer than all of FILE.
define run
@for f in $(3); do [ ! -e $@.ckpt ] || [ $@.ckpt -nt $$f ] || rm -f $@.ckpt $(2); done
$(1) $(threads) --resume auto --force -o $@ 2>> $(2) || { tail -n 1 $(2) >&2; exit 1; }
endef

# A search as one animated picture, a frame an epoch, beside its frames in a folder.
%/search.svg: %/search.h5 $(here)animate.awk
	$(call frames,$<,$*/frames)
	awk -f $(here)animate.awk $*/frames/*.svg > $@
# $(call frames,SEARCH,FOLDER)
define frames
@rm -rf $(2) && mkdir -p $(2)
for e in $$($(call tool,sd-derive) --all $(1) | sed 1d | cut -f 1); do \
	$(call tool,sd-dot) --epoch $$e $(1) | dot -Tsvg > $(2)/$$(printf %05d $$e).svg || exit 1; done
endef

FORCE:
.PHONY: FORCE
