# dist.mk: make dist, make reproducible-build

DIST = $(BUILD)/dist/sharpdarts-$(VERSION)
dist:
	@mk/dist $(DIST) '$(VERSION)'
# ARGS are the builds': ARGS='CC=clang', ARGS='CUDA=none'.
reproducible-build: dist
	@mk/reproducible $(DIST).tar.gz $(ARGS)
.PHONY: dist reproducible-build
