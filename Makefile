# sharpdarts: `make` builds everything into build/.
CC ?= gcc
BUILD ?= build
PKGS = hdf5 libarchive libcrypto jansson
CPPFLAGS += -Ilib -D_GNU_SOURCE -DH5_USE_110_API $(shell pkg-config --cflags $(PKGS))
OPT ?= -O2 -g
CFLAGS ?= $(OPT)
ALL_CFLAGS = -std=gnu11 -Wall -Wextra -ffp-contract=off -pthread $(CFLAGS)
LDLIBS += $(shell pkg-config --libs $(PKGS)) -pthread -lm

LIB_C = $(shell find lib -name '*.c' | LC_ALL=C sort)
LIB_O = $(LIB_C:%.c=$(BUILD)/%.o)
TOOLS = $(patsubst tools/%.c,$(BUILD)/bin/%,$(wildcard tools/sd-*.c))
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

all: $(TOOLS)
unit: $(UNIT)

$(BUILD)/libsharpdarts.a: $(LIB_O)
	rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/bin/%: $(BUILD)/tools/%.o $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)
clean:
	rm -rf $(BUILD)
.PHONY: all unit clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
