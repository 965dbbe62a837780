# common.mk: what all pipelines have in common.
#
#   OUT       the folder of results
#   BIN       the folder of the tools, with or without a slash behind it; empty: from PATH
#   UPDATE    what a stage is current by: inputs (the default: its parameters, seed and inputs), or program (the
#             program and libraries that made it too)
#   STAMP     what manifests tell: --context none, --note KEY=VALUE
#   THREADS   threads of a tool; empty: what there is.  With `make -j N`, as many as one run is to have
#
# A stage is current when what its output's manifest has of inputs (by digest) and parameters is what they are now; the
# tools look themselves, and the clock does not count.  What is no artifact, tables and pictures, depends on a file
# OUT/*.options, which holds its options and the digests of its inputs.  `make ... why` says what is not current and
# why, `make ... why STAGE=NAME` of one stage and what it needs (search, model-1.h5, OUT/results.tsv).
# An interrupted search or training goes on from its checkpoint.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
# Make must not delete an interrupted run's checkpoint, nor a model that others wait for.
.SECONDARY:
here := $(dir $(lastword $(MAKEFILE_LIST)))
tool = $(if $(BIN),$(BIN:%/=%)/)$(1)
threads = $(if $(THREADS),--threads $(THREADS))

UPDATE = inputs
update = --update $(UPDATE)

# WHY is the file of what is not current, a line each, in a make that only asks.
# $(call stage,COMMAND[,REDIRECTION]): makes the artifact $@ by COMMAND, unless it is current.
define stage
@mkdir -p $(@D)
@why=$$($(1) $(update) --why -o $@ 2>&1) || { printf '%s\n' $(if $(WHY),"$@: $$why" | tee -a $(WHY); exit 0,"$$why" >&2; exit 1); }; \
case $$why in *"$@: current") $(if $(WHY),$(by_inputs);) exit 0 ;; esac; \
printf '%s\n' "$$why" $(if $(WHY),| tee -a $(WHY); exit 0); \
printf '%s\n' '$(1) -o $@'; $(1) $(STAMP) --force -o $@ $(2)
endef
# A search or a training, with a log of its progress: $(call run,COMMAND,LOG).  A checkpoint of other inputs or
# parameters goes.
run = $(call stage,$(1) $(threads) $(update) --resume auto,2>> $(2) || { tail -n 1 $(2) >&2; exit 1; })
# In a make that asks: whether an input of what is itself as it should be is not current.
by_inputs = for f in $(filter-out FORCE,$^); do \
	if cut -d : -f 1 $(WHY) | grep -qxF "$$f"; then echo "$@: its input $$f is not current" | tee -a $(WHY); exit 0; fi; \
	done; echo "$@: current"

# $(call options,NAME,TEXT[,FILES]): OUT/NAME.options holds TEXT and what FILES contain, and is newer than what was made
# with other ones.  FILES are made first.
define options
$(OUT)/$(1).options: $(3) FORCE
	@mkdir -p $(OUT)
	@new=$$@.new$$$$$$$$; { printf '%s\n' '$(2)'; for f in $(3); do [ ! -e $$$$f ] || printf '%s %s\n' $$$$f \
		"$$$$(head -c 512 $$$$f | tr -d '\0' | sed -n '1s/.* sha256=\([0-9a-f]*\) .*/\1/p' | grep . || sha256sum < $$$$f)"; \
		done; } > $$$$new; \
	if cmp -s $$$$new $$@; then rm -f $$$$new; $(if $(WHY),$$(by_inputs); exit 0;) \
	elif [ '$(WHY)' ]; then { [ ! -e $$@ ] && echo '$$@: not there' || diff $$@ $$$$new | \
		sed -n 's|^< |$$@: there: |p; s|^> |$$@: now: |p'; } | tee -a $(or $(WHY),/dev/null); rm -f $$$$new; \
	else mv -f $$$$new $$@; fi
endef

# What is no artifact: $(call table,COMMAND) unless make only asks.
ASK = $(if $(WHY),FORCE)
table = $(if $(WHY),@$(by_inputs),$(1))

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

# STAGES are set by who includes this.
stage_of = $(firstword $(filter $(1) $(addprefix $(OUT)/$(1),.h5 .genotype .tsv .svg) $(OUT)/$(1),$(STAGES)))
why:
	@mkdir -p $(OUT); log=$(OUT)/.why.$$$$; : > $$log; \
	$(if $(STAGE),$(if $(call stage_of,$(STAGE)),:,echo 'why: no stage $(STAGE): there are $(patsubst $(OUT)/%,%,$(STAGES))' >&2; \
		rm -f $$log; exit 1);) \
	$(MAKE) -s -f $(firstword $(MAKEFILE_LIST)) WHY=$$log $(if $(STAGE),$(call stage_of,$(STAGE)),$(STAGES)); \
	status=$$?; rm -f $$log; exit $$status

FORCE:
.PHONY: FORCE why
