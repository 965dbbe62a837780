/* launch.cpp: the limits of a launch, and the blocks of a grid one after another.
 *
 * Under a seed blocks run in another order, a stride through the grid: what depends on that order, as a race
 * between blocks does, gives other bits. */
#include "emulator.h"

#include <stdlib.h>

#include <numeric>

namespace emu {

static const size_t KIB = 1024;

static bool within_limits(const kernel_info &k, dim3 grid, dim3 block, size_t shared)
{
	uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;

	return threads >= 1 && threads <= 1024 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
		grid.x >= 1 && grid.x <= 0x7fffffff && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 &&
		grid.z <= 65535 && k.static_bytes <= 48 * KIB && shared <= k.max_dynamic;
}

void run_grid(const kernel_info &k, dim3 grid, dim3 block, size_t shared, const std::function<void()> &body)
{
	uint64_t n = static_cast<uint64_t>(grid.x) * grid.y * grid.z, at = 0, step = 1;
	void *dynamic = malloc(shared ? shared : 1);

	count_kernel();
	if (!dynamic)
		fail("no memory for %zu bytes of shared memory", shared);
	if (seed()) {
		uint32_t range = n < UINT32_MAX ? static_cast<uint32_t>(n) : UINT32_MAX;

		at = random_below(range);
		do
			step = random_below(range) + 1;
		while (std::gcd(step, n) != 1);
	}
	gridDim = grid;
	blockDim = block;
	for (uint64_t i = 0; i < n; i++) {
		uint3 index = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
			static_cast<unsigned>(at / grid.x / grid.y)};

		for (const shared_var &v : k.shared)
			poison(v.p, v.size);
		poison(dynamic, shared);
		run_block(k, index, body, dynamic);
		at = (at + step) % n;
	}
	free(dynamic);
}

void launch(const void *kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
	std::function<void()> body)
{
	lock held;
	const kernel_info &k = kernel_find(kernel);

	if (sticky_error())
		return;
	if (!is_stream(stream)) {
		set_error(cudaErrorInvalidResourceHandle);
		return;
	}
	if (!within_limits(k, grid, block, shared)) {
		set_error(cudaErrorInvalidConfiguration);
		return;
	}
	if (!is_capturing(stream) && count_work())
		return;
	enqueue(stream, [&k, grid, block, shared, body] { run_grid(k, grid, block, shared, body); });
}

}

cudaError_t cudaFuncSetAttribute(const void *func, cudaFuncAttribute attr, int value)
{
	emu::lock held;
	emu::kernel_info &k = emu::kernel_find(func);

	if (emu::sticky_error())
		return emu::sticky_error();
	if (attr == cudaFuncAttributePreferredSharedMemoryCarveout)
		return value >= -1 && value <= 100 ? cudaSuccess : emu::set_error(cudaErrorInvalidValue);
	if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
	    k.static_bytes + static_cast<size_t>(value) > 227 * emu::KIB)
		return emu::set_error(cudaErrorInvalidValue);
	k.max_dynamic = static_cast<size_t>(value);
	return cudaSuccess;
}
