/* device.cpp: the device, which is there or not, and what went wrong on it. */
#include "emulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace emu {

std::recursive_mutex device_mutex;
static cudaError_t last;
static bool lost;

unsigned long long environment(const char *name, unsigned long long otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static int devices() { return static_cast<int>(environment("SD_EMU_DEVICES", 1)); }

cudaError_t set_error(cudaError_t e)
{
	if (e)
		last = e;
	return e;
}

cudaError_t sticky_error()
{
	return set_error(devices() == 0 ? cudaErrorNoDevice : lost ? cudaErrorLaunchFailure : cudaSuccess);
}

static unsigned long long works, kernels, waits;

/* What was counted, for SD_EMU_COUNT. */
static void write_counts()
{
	FILE *f = fopen(getenv("SD_EMU_COUNT"), "w");

	if (!f || fprintf(f, "work\t%llu\nkernels\t%llu\nwaits\t%llu\n", works, kernels, waits) < 0 || fclose(f))
		perror(getenv("SD_EMU_COUNT"));
}
static const int at_exit = getenv("SD_EMU_COUNT") ? atexit(write_counts) : 0;

cudaError_t count_work()
{
	if (++works == environment("SD_EMU_FAIL", 0))
		lost = true;
	return sticky_error();
}

void count_kernel()
{
	kernels++;
}

void count_wait()
{
	(void)at_exit;
	waits++;
}

static cudaError_t check_device(int device)
{
	if (sticky_error())
		return sticky_error();
	return device >= 0 && device < devices() ? cudaSuccess : set_error(cudaErrorInvalidDevice);
}

}

using namespace emu;

cudaError_t cudaGetLastError(void)
{
	lock held;
	cudaError_t e = last;

	last = lost ? cudaErrorLaunchFailure : cudaSuccess;
	return e;
}

cudaError_t cudaPeekAtLastError(void)
{
	lock held;

	return last;
}

static const struct {
	cudaError_t error;
	const char *name, *text;
} errors[] = {
#define E(name, text) {name, #name, text}
	E(cudaSuccess, "no error"),
	E(cudaErrorInvalidValue, "invalid argument"),
	E(cudaErrorMemoryAllocation, "out of memory"),
	E(cudaErrorInitializationError, "initialization error"),
	E(cudaErrorInvalidConfiguration, "invalid configuration argument"),
	E(cudaErrorInvalidDevicePointer, "invalid device pointer"),
	E(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
	E(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
	E(cudaErrorInvalidDeviceFunction, "invalid device function"),
	E(cudaErrorNoDevice, "no CUDA-capable device is detected"),
	E(cudaErrorInvalidDevice, "invalid device ordinal"),
	E(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
	E(cudaErrorInvalidResourceHandle, "invalid resource handle"),
	E(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
	E(cudaErrorNotReady, "device not ready"),
	E(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
	E(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
	E(cudaErrorLaunchTimeout, "the launch timed out and was terminated"),
	E(cudaErrorMisalignedAddress, "misaligned address"),
	E(cudaErrorLaunchFailure, "unspecified launch failure"),
	E(cudaErrorNotPermitted, "operation not permitted"),
	E(cudaErrorNotSupported, "operation not supported"),
	E(cudaErrorSystemDriverMismatch, "system has unsupported display driver / cuda driver combination"),
	E(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
	E(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
	E(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences"),
	E(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
	E(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
	E(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
	E(cudaErrorStreamCaptureImplicit, "operation would make the legacy stream depend on a capturing blocking stream"),
	E(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
#undef E
};

const char *cudaGetErrorName(cudaError_t error)
{
	for (const auto &e : errors)
		if (e.error == error)
			return e.name;
	return "cudaErrorUnknown";
}

const char *cudaGetErrorString(cudaError_t error)
{
	for (const auto &e : errors)
		if (e.error == error)
			return e.text;
	return "unknown error";
}

cudaError_t cudaGetDeviceCount(int *count)
{
	lock held;

	*count = devices();
	return set_error(*count ? cudaSuccess : cudaErrorNoDevice);
}

static int current;

cudaError_t cudaGetDevice(int *device)
{
	lock held;

	*device = current;
	return sticky_error();
}

cudaError_t cudaSetDevice(int device)
{
	lock held;
	cudaError_t e = check_device(device);

	if (!e)
		current = device;
	return e;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device)
{
	lock held;
	size_t free;

	if (check_device(device))
		return check_device(device);
	memset(prop, 0, sizeof(*prop));
	snprintf(prop->name, sizeof(prop->name), "CUDA emulator");
	cudaMemGetInfo(&free, &prop->totalGlobalMem);
	prop->sharedMemPerBlock = 48 << 10;
	prop->sharedMemPerBlockOptin = 227 << 10;
	prop->sharedMemPerMultiprocessor = 228 << 10;
	prop->warpSize = 32;
	prop->maxThreadsPerBlock = prop->maxThreadsDim[0] = prop->maxThreadsDim[1] = 1024;
	prop->maxThreadsDim[2] = 64;
	prop->maxGridSize[0] = 0x7fffffff;
	prop->maxGridSize[1] = prop->maxGridSize[2] = 65535;
	prop->major = 9;
	prop->multiProcessorCount = 1;
	prop->maxThreadsPerMultiProcessor = 2048;
	prop->l2CacheSize = 50 << 20;
	return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attr, int device)
{
	lock held;
	cudaDeviceProp prop;
	cudaError_t e = cudaGetDeviceProperties(&prop, device);

	if (e)
		return e;
	switch (attr) {
	case cudaDevAttrMaxThreadsPerBlock: *value = prop.maxThreadsPerBlock; break;
	case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(prop.sharedMemPerBlock); break;
	case cudaDevAttrWarpSize: *value = prop.warpSize; break;
	case cudaDevAttrClockRate: *value = 1000000; break;
	case cudaDevAttrMemoryClockRate: *value = 1000000; break;
	case cudaDevAttrGlobalMemoryBusWidth: *value = 512; break;
	case cudaDevAttrMultiProcessorCount: *value = prop.multiProcessorCount; break;
	case cudaDevAttrMaxThreadsPerMultiProcessor: *value = prop.maxThreadsPerMultiProcessor; break;
	case cudaDevAttrComputeCapabilityMajor: *value = prop.major; break;
	case cudaDevAttrComputeCapabilityMinor: *value = prop.minor; break;
	case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
		*value = static_cast<int>(prop.sharedMemPerMultiprocessor);
		break;
	case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(prop.sharedMemPerBlockOptin); break;
	default: return set_error(cudaErrorInvalidValue);
	}
	return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	*version = CUDART_VERSION;
	return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
	*version = devices() ? CUDART_VERSION : 0;
	return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
	lock held;

	if (sticky_error())
		return sticky_error();
	if (forbid_capture())
		return cudaErrorStreamCaptureUnsupported;
	count_wait();
	drain_all();
	return sticky_error();
}
