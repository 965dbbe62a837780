# install.mk: make install, make uninstall

prefix ?= /usr/local
bindir = $(prefix)/bin
mandir = $(prefix)/share/man
datadir = $(prefix)/share/sharpdarts
compdir = $(prefix)/share/bash-completion/completions
MAN = $(sort $(wildcard man/*.[157]))
INSTALLED_DATA = $(sort $(wildcard genotypes/* pipelines/* share/data/*))

install: tools
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(compdir)
	install -m 755 $(TOOLS) $(DESTDIR)$(bindir)
	set -e; for f in $(MAN); do \
		install -D -m 644 $$f $(DESTDIR)$(mandir)/man$${f##*.}/$${f##*/}; done
	set -e; for f in $(INSTALLED_DATA); do \
		install -D -m 644 $$f $(DESTDIR)$(datadir)/$${f#share/}; done
	for t in $(TOOLS); do \
		if $$t --completion > $(DESTDIR)$(compdir)/.new 2>/dev/null; then \
			install -m 644 $(DESTDIR)$(compdir)/.new $(DESTDIR)$(compdir)/$${t##*/}; fi; \
		rm -f $(DESTDIR)$(compdir)/.new; done
uninstall:
	rm -f $(TOOLS:$(BUILD)/bin/%=$(DESTDIR)$(bindir)/%) $(TOOLS:$(BUILD)/bin/%=$(DESTDIR)$(compdir)/%)
	for f in $(MAN); do rm -f $(DESTDIR)$(mandir)/man$${f##*.}/$${f##*/}; done
	rm -rf $(DESTDIR)$(datadir)
.PHONY: install uninstall
