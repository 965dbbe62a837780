/* cuda_runtime.h: a test double of the parts of CUDA in use; nothing ships from it.
 *
 * Kernels are compiled as C++ for the host and run by tests/cuda-emulator (see README there).  From C this
 * is the runtime library alone, from C++ also what kernels are written with.  Names and values are those
 * of the real headers, so that the same code compiles against either. */
#ifndef SD_EMU_CUDA_RUNTIME_H
#define SD_EMU_CUDA_RUNTIME_H

#include "emu/types.h"

#include "emu/runtime.h"
#ifdef __cplusplus
#include "emu/math.h"
#include "emu/thread.h"
#include "emu/launch.h"
#endif

#endif
