/* test_runtime.cpp: the runtime's double: memory, streams, events, graphs, and the devices and faults that the
 * environment asks for.  Without an argument all tests; with one, a case in a process of its own. */
#include <stdlib.h>

#include <vector>

#include "child.h"
#include "kernels/device.h"

namespace {

__global__ void add(int *x, int n) { *x += n; }

int fetch(const int *p)
{
	int x = -1;

	cudaMemcpy(&x, p, sizeof(x), cudaMemcpyDeviceToHost);
	return x;
}

#define ERROR_IS(call, error) do { \
	cudaError_t is_ = (call); \
	CHECK(is_ == (error), "%s", cudaGetErrorName(is_)); \
	cudaGetLastError(); \
} while (0)
#define WORKS(call) ERROR_IS(call, cudaSuccess)

void test_memory()
{
	float *p, *q, host[64], back[64];
	char *bytes;

	for (int i = 0; i < 64; i++)
		host[i] = static_cast<float>(i);
	WORKS(cudaMalloc(&p, sizeof(host)));
	WORKS(cudaMalloc(&q, sizeof(host)));
	CHECK(reinterpret_cast<size_t>(p) % 256 == 0, "%p", static_cast<void *>(p));
	WORKS(cudaMemcpy(back, p, sizeof(back), cudaMemcpyDeviceToHost));
	CHECK(back[0] != back[0] && back[63] != back[63], "new memory is NaN, not %g", static_cast<double>(back[0]));
	WORKS(cudaMemcpy(p, host, sizeof(host), cudaMemcpyHostToDevice));
	WORKS(cudaMemcpy(q, p, sizeof(host), cudaMemcpyDeviceToDevice));
	WORKS(cudaMemset(q, 0, 4));
	WORKS(cudaMemcpy(back, q, sizeof(back), cudaMemcpyDefault));
	CHECK(back[0] == 0 && back[1] == 1 && back[63] == 63, "copied");
	/* wrong sides, and too much */
	ERROR_IS(cudaMemcpy(p, host, sizeof(host), cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
	ERROR_IS(cudaMemcpy(p, q, sizeof(host), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	ERROR_IS(cudaMemcpy(back, host, sizeof(host), cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
	ERROR_IS(cudaMemcpy(p + 1, host, sizeof(host), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	ERROR_IS(cudaMemset(p + 1, 0, sizeof(host)), cudaErrorInvalidValue);
	ERROR_IS(cudaMemset(host, 0, sizeof(host)), cudaErrorInvalidValue);
	ERROR_IS(cudaFree(host), cudaErrorInvalidValue);
	ERROR_IS(cudaFree(p + 1), cudaErrorInvalidValue);
	WORKS(cudaFree(NULL));
	WORKS(cudaMalloc(&bytes, 0));
	CHECK(!bytes, "nothing is nowhere");
	WORKS(cudaFree(p));
	ERROR_IS(cudaFree(p), cudaErrorInvalidValue);
	WORKS(cudaFree(q));
}

void test_capture()
{
	cudaStream_t s;
	cudaGraph_t graph, none;
	cudaGraphExec_t exec;
	cudaStreamCaptureStatus status;
	int *x, *pinned, *lost, n = 5;
	size_t nodes;

	WORKS(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	WORKS(cudaMalloc(&x, sizeof(int)));
	WORKS(cudaMallocHost(&pinned, 2 * sizeof(int)));
	WORKS(cudaMemset(x, 0, sizeof(int)));
	WORKS(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
	WORKS(cudaStreamIsCapturing(s, &status));
	CHECK(status == cudaStreamCaptureStatusActive, "%d", status);
	ERROR_IS(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaErrorIllegalState);
	pinned[0] = 1;
	WORKS(cudaMemcpyAsync(x, pinned, sizeof(int), cudaMemcpyHostToDevice, s));
	EMU_LAUNCH(add, 1, 1, 0, s, x, n);
	n = 1000; /* arguments were taken */
	WORKS(cudaMemcpyAsync(pinned + 1, x, sizeof(int), cudaMemcpyDeviceToHost, s));
	WORKS(cudaStreamEndCapture(s, &graph));
	CHECK(fetch(x) == 0, "nothing has run");
	WORKS(cudaGraphGetNodes(graph, NULL, &nodes));
	CHECK(nodes == 3, "%zu nodes", nodes);
	WORKS(cudaGraphInstantiate(&exec, graph, 0));
	WORKS(cudaGraphDestroy(graph));
	for (int i = 0; i < 3; i++) {
		pinned[0] = 100 * i; /* read when it runs */
		WORKS(cudaGraphLaunch(exec, s));
		WORKS(cudaStreamSynchronize(s));
		CHECK(pinned[1] == 100 * i + 5 && fetch(x) == 100 * i + 5, "%d", pinned[1]);
	}
	WORKS(cudaGraphExecDestroy(exec));

	/* what must not be done meanwhile, and ends the capture */
	for (int i = 0; i < 6; i++) {
		WORKS(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
		EMU_LAUNCH(add, 1, 1, 0, s, x, 1);
		WORKS(cudaGetLastError());
		switch (i) {
		case 0: ERROR_IS(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported); break;
		case 1: ERROR_IS(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported); break;
		case 2: ERROR_IS(cudaMalloc(&lost, 4), cudaErrorStreamCaptureUnsupported); break;
		case 3: ERROR_IS(cudaMemcpy(&n, x, 4, cudaMemcpyDeviceToHost), cudaErrorStreamCaptureImplicit); break;
		case 4:
			ERROR_IS(cudaMemcpyAsync(&n, x, 4, cudaMemcpyDeviceToHost, s), cudaErrorStreamCaptureUnsupported);
			break;
		case 5:
			EMU_LAUNCH(add, 1, 1, 0, 0, x, 1);
			ERROR_IS(cudaGetLastError(), cudaErrorStreamCaptureImplicit);
			break;
		}
		ERROR_IS(cudaStreamEndCapture(s, &none), cudaErrorStreamCaptureInvalidated);
		CHECK(!none, "%d: no graph", i);
	}
	ERROR_IS(cudaStreamEndCapture(s, &none), cudaErrorIllegalState);
	ERROR_IS(cudaStreamBeginCapture(0, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
	CHECK(fetch(x) == 205, "none of that has run");
	/* a launch that is wrong shows while it is captured */
	WORKS(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
	EMU_LAUNCH(add, 1, 2000, 0, s, x, 1);
	ERROR_IS(cudaGetLastError(), cudaErrorInvalidConfiguration);
	WORKS(cudaStreamEndCapture(s, &graph));
	WORKS(cudaGraphDestroy(graph));
	WORKS(cudaFreeHost(pinned));
	WORKS(cudaFree(x));
	WORKS(cudaStreamDestroy(s));
	ERROR_IS(cudaStreamSynchronize(s), cudaErrorInvalidResourceHandle);
}

void test_events()
{
	cudaStream_t s;
	cudaEvent_t a, b, untimed;
	float ms = -1;

	WORKS(cudaStreamCreate(&s));
	WORKS(cudaEventCreate(&a));
	WORKS(cudaEventCreate(&b));
	WORKS(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
	WORKS(cudaEventQuery(a));
	ERROR_IS(cudaEventElapsedTime(&ms, a, b), cudaErrorInvalidResourceHandle);
	WORKS(cudaEventRecord(a, s));
	WORKS(cudaEventRecord(b, s));
	WORKS(cudaEventRecord(untimed, s));
	WORKS(cudaEventSynchronize(untimed));
	WORKS(cudaEventElapsedTime(&ms, a, b));
	CHECK(ms >= 0, "%g ms", static_cast<double>(ms));
	ERROR_IS(cudaEventElapsedTime(&ms, a, untimed), cudaErrorInvalidResourceHandle);
	WORKS(cudaEventDestroy(a));
	WORKS(cudaEventDestroy(b));
	WORKS(cudaEventDestroy(untimed));
	WORKS(cudaStreamDestroy(s));
}

void test_device()
{
	cudaDeviceProp prop;
	int n = 0, value = 0;

	WORKS(cudaGetDeviceCount(&n));
	CHECK(n == 1, "%d devices", n);
	WORKS(cudaSetDevice(0));
	ERROR_IS(cudaSetDevice(1), cudaErrorInvalidDevice);
	WORKS(cudaGetDeviceProperties(&prop, 0));
	CHECK(!strcmp(prop.name, "CUDA emulator") && prop.major == 9 && prop.minor == 0, "%s", prop.name);
	WORKS(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
	CHECK(value == 227 << 10, "%d", value);
	CHECK(!strcmp(cudaGetErrorName(cudaErrorLaunchFailure), "cudaErrorLaunchFailure") &&
		!strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory"), "names");
}

/* ---- cases ---- */

#define NEED(cond) do { \
	if (!(cond)) { \
		printf("not true: %s\n", #cond); \
		return 1; \
	} \
} while (0)

/* Under a seed, work is done when somebody waits for it, and not before. */
int waits()
{
	cudaStream_t s, t;
	cudaEvent_t done;
	int *x, *pinned;

	NEED(!cudaStreamCreate(&s) && !cudaStreamCreate(&t) && !cudaEventCreate(&done) && !cudaMalloc(&x, 4) &&
		!cudaMallocHost(&pinned, 8));
	pinned[0] = 7;
	pinned[1] = 0;
	NEED(!cudaMemcpyAsync(x, pinned, 4, cudaMemcpyHostToDevice, s));
	EMU_LAUNCH(add, 1, 1, 0, s, x, 1);
	NEED(!cudaMemcpyAsync(pinned + 1, x, 4, cudaMemcpyDeviceToHost, s));
	NEED(!cudaEventRecord(done, s));
	NEED(pinned[1] == 0 && cudaEventQuery(done) == cudaErrorNotReady);
	/* another stream waits for this one */
	NEED(!cudaStreamWaitEvent(t, done));
	EMU_LAUNCH(add, 1, 1, 0, t, x, 10);
	NEED(!cudaStreamSynchronize(t));
	NEED(pinned[1] == 8 && cudaEventQuery(done) == cudaSuccess && fetch(x) == 18);
	/* pageable memory is taken at once */
	int host = 3;
	NEED(!cudaMemcpyAsync(x, &host, 4, cudaMemcpyHostToDevice, s));
	host = 4;
	NEED(!cudaStreamSynchronize(s) && fetch(x) == 3);
	/* pinned memory is not */
	pinned[0] = 3;
	NEED(!cudaMemcpyAsync(x, pinned, 4, cudaMemcpyHostToDevice, s));
	pinned[0] = 4;
	NEED(!cudaStreamSynchronize(s) && fetch(x) == 4);
	NEED(!cudaEventDestroy(done) && !cudaStreamDestroy(s) && !cudaStreamDestroy(t) && !cudaFree(x) &&
		!cudaFreeHost(pinned));
	return 0;
}

int no_device()
{
	cudaStream_t s;
	int n = -1, *x;

	NEED(cudaGetDeviceCount(&n) == cudaErrorNoDevice && n == 0);
	NEED(cudaSetDevice(0) == cudaErrorNoDevice);
	NEED(cudaMalloc(&x, 4) == cudaErrorNoDevice && cudaStreamCreate(&s) == cudaErrorNoDevice);
	return 0;
}

int little_memory()
{
	size_t free, total;
	char *p, *q;

	NEED(!cudaMemGetInfo(&free, &total) && free == 1000000 && total == 1000000);
	NEED(!cudaMalloc(&p, 600000));
	NEED(cudaMalloc(&q, 600000) == cudaErrorMemoryAllocation && !q);
	NEED(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess);
	NEED(!cudaMemGetInfo(&free, &total) && free == 400000);
	NEED(!cudaFree(p) && !cudaMalloc(&q, 1000000) && !cudaFree(q));
	return 0;
}

/* The third launch or copy fails, and everything from there on. */
int lost_device()
{
	int *x, n;

	NEED(!cudaMalloc(&x, 4));
	NEED(!cudaMemset(x, 0, 4));
	EMU_LAUNCH(add, 1, 1, 0, 0, x, 1);
	NEED(!cudaGetLastError());
	EMU_LAUNCH(add, 1, 1, 0, 0, x, 1);
	NEED(cudaGetLastError() == cudaErrorLaunchFailure && cudaGetLastError() == cudaErrorLaunchFailure);
	NEED(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
	NEED(cudaMemcpy(&n, x, 4, cudaMemcpyDeviceToHost) == cudaErrorLaunchFailure);
	NEED(cudaFree(x) == cudaErrorLaunchFailure);
	return 0;
}

int run_case(const char *name)
{
	std::string c = name;

	if (c == "waits")
		return waits();
	if (c == "no device")
		return no_device();
	if (c == "little memory")
		return little_memory();
	return c == "lost device" ? lost_device() : 2;
}

}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run_case(argv[1]);
	test_memory();
	test_capture();
	test_events();
	test_device();
	test::check_lives("waits", "SD_EMU_SEED=1");
	CHECK(test::child("waits", "SD_EMU_SEED=0").status == 1, "without a seed nobody has to wait");
	test::check_lives("no device", "SD_EMU_DEVICES=0");
	test::check_lives("little memory", "SD_EMU_MEMORY=1000000");
	test::check_lives("lost device", "SD_EMU_FAIL=3");
	return check_done();
}
