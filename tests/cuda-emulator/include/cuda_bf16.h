/* cuda_bf16.h: a test double: the type __nv_bfloat16 and its conversions. */
#ifndef SD_EMU_CUDA_BF16_H
#define SD_EMU_CUDA_BF16_H

#include "cuda_runtime.h"

#ifdef __cplusplus
#include "emu/narrow_type.h"

SD_EMU_NARROW_TYPE(__nv_bfloat16, __nv_bfloat162, bfloat16, bfloat162, sd_emu_to_bf16, sd_emu_from_bf16)
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

#endif

#endif
