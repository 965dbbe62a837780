/* cuda_fp16.h: a test double: the type __half and its conversions. */
#ifndef SD_EMU_CUDA_FP16_H
#define SD_EMU_CUDA_FP16_H

#include "cuda_runtime.h"

#ifdef __cplusplus
#include "emu/narrow_type.h"

SD_EMU_NARROW_TYPE(__half, __half2, half, half2, sd_emu_to_f16, sd_emu_from_f16)
typedef __half half;
typedef __half2 half2;

#endif

#endif
