/* emulator.h: what the files of the emulator share. */
#ifndef SD_EMU_EMULATOR_H
#define SD_EMU_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_runtime.h"

namespace emu {

/* Held by every function of the libraries: the device does one thing at a time. */
extern std::recursive_mutex device_mutex;
struct lock {
	std::lock_guard<std::recursive_mutex> held{device_mutex};
};

/* ---- random.cpp: the order of threads and blocks ---- */
/* SD_EMU_SEED; 0 (or not set): everything in order. */
uint64_t seed();
/* A number below n, 1 <= n. */
uint32_t random_below(uint32_t n);

/* ---- shared.cpp: shared variables of kernels ---- */
struct shared_var {
	unsigned char *p;
	size_t size;
};
struct kernel_info {
	std::string name;               /* mangled */
	std::vector<shared_var> shared; /* declared in the kernel */
	size_t static_bytes;
	size_t max_dynamic;             /* 48 KiB less the static ones, or as cudaFuncSetAttribute said */
};
kernel_info &kernel_find(const void *kernel);
/* Fills with 0xff, past any red zones. */
void poison(void *p, size_t size);

/* ---- block.cpp: one block of threads ---- */
/* Ends the program; says kernel, block and thread where one runs. */
[[noreturn]] void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Runs all threads of block `at` of the grid. */
void run_block(const kernel_info &kernel, uint3 at, const std::function<void()> &body, void *dynamic);

/* ---- launch.cpp ---- */
void run_grid(const kernel_info &kernel, dim3 grid, dim3 block, size_t shared,
	const std::function<void()> &body);

/* ---- device.cpp: errors and devices ---- */
/* SD_EMU_NAME as a number, or what is used without it. */
unsigned long long environment(const char *name, unsigned long long otherwise);
/* Sets what cudaGetLastError says; returns it. */
cudaError_t set_error(cudaError_t e);
/* An error after which nothing works any more (there is no device, or it is lost), or cudaSuccess. */
cudaError_t sticky_error();
/* Counts a launch or copy; from the one on that SD_EMU_FAIL names the device is lost. */
cudaError_t count_work();
/* Counts a call in which the host waits for the device, or may. */
void count_wait();
/* A kernel runs, of a library perhaps: of a captured graph each time. */
void count_kernel();

/* ---- memory.cpp ---- */
/* Whether [p, p + size) lies inside one allocation. */
bool on_device(const void *p, size_t size);

/* ---- stream.cpp: work in order ---- */
bool is_stream(cudaStream_t stream);
bool is_capturing(cudaStream_t stream);
/* Does it, puts it off until somebody waits (under a seed), or records it in the graph that the stream
 * captures. */
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
/* Does what was put off. */
void drain(cudaStream_t stream);
void drain_all();
/* For calls that are forbidden while a stream captures: the error, and the end of that capture. */
cudaError_t forbid_capture();

}

#endif
