# crash.mk: the tools killed, starved, and on broken disks (tests/crash): make check-crash, an hour; a part of it is
# in `make check`.
CRASH = $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine 2>/dev/null)),$(BUILD)/tests/fault $(BUILD)/tests/starve.so)

check-crash: tools $(CRASH)
	@BUILD='$(BUILD)' tests/crash/run

$(BUILD)/tests/fault: $(BUILD)/obj/tests/crash/fault.o
	$(SAY) LINK $@
	$(Q)$(LINK) $^ -o $@
$(BUILD)/tests/starve.so: tests/crash/starve.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=gnu11 $(WARN) -O1 -fPIC -shared $< -o $@ -ldl
.PHONY: check-crash
