# cuda.mk: the CUDA engine, a shared object of its own, where nvcc, cudnn.h and cublasLt.h are found.
#
#   CUDA=auto      (the default) builds it if they are
#   CUDA=none      leaves it out
#   CUDA=emulated  builds it with the test double of tests/cuda-emulator: needs no CUDA, computes on the CPU,
#                  for tests only
CUDA ?= auto
CUDA_HOME ?= $(firstword $(patsubst %/bin/nvcc,%,$(shell command -v nvcc 2>/dev/null)) \
	$(wildcard /usr/local/cuda))
NVCC = $(CUDA_HOME)/bin/nvcc
# Of one make with CC: the two halves of an emulated build share a sanitizer.
ifeq ($(origin CXX),default)
CXX = $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),g++)
endif

CU = $(sort $(wildcard kernels/*.cu))
CUDA_C = $(sort $(wildcard lib/engine/cuda/*.c))
CUDA_SO = $(BUILD)/lib/sharpdarts/engine-cuda.so

ifeq ($(CUDA),emulated)
CUDA_ENGINE = $(CUDA_SO)
EMU_C = $(sort $(wildcard tests/cuda-emulator/*.c))
EMU_CPP = $(filter-out tests/cuda-emulator/test_%,$(sort $(wildcard tests/cuda-emulator/*.cpp)))
CUDA_O = $(patsubst %,$(BUILD)/cuda/%.o,$(CU) $(filter-out %/libs.c,$(CUDA_C)) $(EMU_C) $(EMU_CPP))
CUDA_INC = -Itests/cuda-emulator/include -I.
CUDA_LIBS = -lstdc++
# What clang checks of C++ alone is missing from programs in C, which open the engine.
CXX_ONLY = $(if $(findstring clang,$(CXX)),-fno-sanitize=vptr -fno-sanitize=function)
# The kernels as C++; their launches and barriers are the emulator's.  What every thread of a kernel goes
# through is worth the compiler's time.
EMU_OPT = -O1
$(BUILD)/cuda/tests/cuda-emulator/block.cpp.o $(BUILD)/cuda/tests/cuda-emulator/fiber.cpp.o: private EMU_OPT = -O2
CUDA_CXXFLAGS = -std=c++17 -Wall -Wextra -Wno-unknown-pragmas $(if $(DEVELOPER),-Werror) $(EMU_OPT) -g \
	-ffp-contract=off -fPIC $(SAN) $(if $(SAN),$(CXX_ONLY))
$(BUILD)/cuda/%.cu.o: %.cu $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY) EMU $@
	$(Q)$(CXX) $(CUDA_INC) -Ilib $(CUDA_CXXFLAGS) -MMD -MP -x c++ -c $< -o $@
$(BUILD)/cuda/%.cpp.o: %.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY) CXX $@
	$(Q)$(CXX) $(CUDA_INC) -Ilib $(CUDA_CXXFLAGS) -MMD -MP -c $< -o $@
EMU_TESTS = $(patsubst tests/cuda-emulator/%.cpp,$(BUILD)/tests/emu_%, \
	$(sort $(wildcard tests/cuda-emulator/test_*.cpp)))
# Tests of the emulator and of single kernels take what the engine is made of without the engine, and the references.
$(BUILD)/tests/emu_%: $(BUILD)/cuda/tests/cuda-emulator/%.cpp.o $(CUDA_O) $(BUILD)/cuda/buildinfo.o \
		$(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard kernels/*_ref.c)) $(BUILD)/libsharpdarts.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CXX) $(SAN) -pthread $^ -o $@ $(ALL_LDLIBS)
else ifneq ($(CUDA),none)
ifneq ($(and $(wildcard $(NVCC)),$(wildcard $(CUDA_HOME)/include/cudnn.h /usr/include/cudnn.h \
	/usr/include/x86_64-linux-gnu/cudnn.h),$(wildcard $(CUDA_HOME)/include/cublasLt.h)),)
CUDA_ENGINE = $(CUDA_SO)
endif
CUDA_O = $(patsubst %,$(BUILD)/cuda/%.o,$(CU) $(CUDA_C))
CUDA_INC = -isystem $(CUDA_HOME)/include -I.
# The runtime is linked in, and so is the little of C++'s that kernels' launches use, for programs in C open it;
# cuBLASLt and cuDNN are opened when the engine starts.
CUDA_LIBS = -L$(CUDA_HOME)/lib64 -lcudart_static -lrt -l:libstdc++.a
CUDA_ARCH = -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
	-gencode arch=compute_90,code=compute_90
# Compressed for size: a tenth of what nvcc makes otherwise.  Versions before 12.8 don't know the option.
CUDA_COMPRESS := $(if $(CUDA_ENGINE),$(if $(shell $(NVCC) --help | grep -- --compress-mode),--compress-mode=size))
# For profilers: make CUDA_DEBUG=-lineinfo.  Objects then hold the name of the folder that they were built in.  A hash of it is
# in all names of an unnamed namespace, too, so kernels are in inline namespaces that have names.
CUDA_DEBUG =
NVCC_FLAGS = -std=c++17 -O3 -objtemp $(CUDA_DEBUG) $(CUDA_COMPRESS) -Werror all-warnings -Xcompiler -Wall,-Wextra,-fPIC \
	$(CUDA_ARCH)
$(BUILD)/cuda/%.cu.o: %.cu $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY) NVCC $@
	$(Q)$(NVCC) -ccbin $(CXX) $(NVCC_FLAGS) -I. -Ilib -MMD -MP -c $< -o $@
endif

# Functions of the library come from the program that opens the engine (-rdynamic), so -fPIC replaces -fPIE.
CUDA_CFLAGS = $(filter-out -fPIE,$(ALL_CFLAGS)) -fPIC
$(BUILD)/cuda/%.c.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(CUDA_INC) $(ALL_CPPFLAGS) $(CUDA_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/cuda/buildinfo.o: $(BUILD)/gen/buildinfo.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(ALL_CPPFLAGS) $(CUDA_CFLAGS) -c $< -o $@
# -Bsymbolic: what it was built of must be its own word, for the program to compare with.
$(CUDA_SO): $(CUDA_O) $(BUILD)/cuda/buildinfo.o mk/engine-cuda.map
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) -shared -Wl,-Bsymbolic -Wl,--version-script=mk/engine-cuda.map -Wl,-z,relro,-z,now $(SAN) -pthread \
		$(filter %.o,$^) -o $@ $(CUDA_LIBS) -ldl -lm

-include $(CUDA_O:.o=.d) $(EMU_TESTS:$(BUILD)/tests/emu_%=$(BUILD)/cuda/tests/cuda-emulator/%.cpp.d)
