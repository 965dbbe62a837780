/* libs.h: cuBLASLt and cuDNN, opened at run time, so that the engine's shared object needs neither to be
 * linked or loaded and serves more than one of their versions.  Headers give the types only. */
#ifndef SD_ENGINE_CUDA_LIBS_H
#define SD_ENGINE_CUDA_LIBS_H

#include <cublasLt.h>
#include <cudnn.h>

/* Every function in use, by library: X(name). */
#define SD_CUBLASLT_FUNCTIONS(X) \
	X(cublasLtGetVersion) \
	X(cublasLtCreate) \
	X(cublasLtDestroy) \
	X(cublasLtMatmulDescCreate) \
	X(cublasLtMatmulDescDestroy) \
	X(cublasLtMatmulDescSetAttribute) \
	X(cublasLtMatrixLayoutCreate) \
	X(cublasLtMatrixLayoutDestroy) \
	X(cublasLtMatmulPreferenceCreate) \
	X(cublasLtMatmulPreferenceDestroy) \
	X(cublasLtMatmulPreferenceSetAttribute) \
	X(cublasLtMatmulAlgoGetHeuristic) \
	X(cublasLtMatmulAlgoConfigGetAttribute) \
	X(cublasLtMatmul)
#define SD_CUDNN_FUNCTIONS(X) \
	X(cudnnGetVersion) \
	X(cudnnGetErrorString) \
	X(cudnnCreate) \
	X(cudnnDestroy) \
	X(cudnnSetStream) \
	X(cudnnCreateTensorDescriptor) \
	X(cudnnDestroyTensorDescriptor) \
	X(cudnnSetTensor4dDescriptor) \
	X(cudnnCreateFilterDescriptor) \
	X(cudnnDestroyFilterDescriptor) \
	X(cudnnSetFilter4dDescriptor) \
	X(cudnnCreateConvolutionDescriptor) \
	X(cudnnDestroyConvolutionDescriptor) \
	X(cudnnSetConvolution2dDescriptor) \
	X(cudnnSetConvolutionMathType) \
	X(cudnnGetConvolutionForwardWorkspaceSize) \
	X(cudnnGetConvolutionBackwardDataWorkspaceSize) \
	X(cudnnGetConvolutionBackwardFilterWorkspaceSize) \
	X(cudnnConvolutionForward) \
	X(cudnnConvolutionBackwardData) \
	X(cudnnConvolutionBackwardFilter)

#define SD_LIBS_MEMBER(name) __typeof__(name) *name;
struct sd_cublaslt {
	SD_CUBLASLT_FUNCTIONS(SD_LIBS_MEMBER)
};
struct sd_cudnn {
	SD_CUDNN_FUNCTIONS(SD_LIBS_MEMBER)
};
#undef SD_LIBS_MEMBER

/* The library, opened at the first call and kept; of a version that the engine knows.  NULL with a message
 * (SD_ERR_DEVICE) that says where it was looked for. */
const struct sd_cublaslt *sd_libs_cublaslt(void);
const struct sd_cudnn *sd_libs_cudnn(void);

#endif
