/* libs.c: the engine's tables of cuBLASLt's and cuDNN's functions, filled with the double's.  Test code. */
#include "engine/cuda/libs.h"

#define SAME(name) .name = name,

const struct sd_cublaslt *sd_libs_cublaslt(void)
{
	static const struct sd_cublaslt lib = { SD_CUBLASLT_FUNCTIONS(SAME) };

	return &lib;
}

const struct sd_cudnn *sd_libs_cudnn(void)
{
	static const struct sd_cudnn lib = { SD_CUDNN_FUNCTIONS(SAME) };

	return &lib;
}
