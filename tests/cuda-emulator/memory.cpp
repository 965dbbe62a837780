/* memory.cpp: memory of the device, which is the host's, with the limits and the strictness of the device's:
 * copies say their direction and stay inside an allocation, new memory is all ones (NaN). */
#include "emulator.h"

#include <stdlib.h>
#include <string.h>

#include <map>
#include <memory>

namespace emu {

/* what was allocated, by address */
typedef std::map<uintptr_t, size_t> allocations;
static allocations device, pinned;
static size_t used;

static size_t total() { return environment("SD_EMU_MEMORY", 80ull << 30); }

static const size_t ALIGN = 256;

static void *take(allocations &in, size_t bytes)
{
	void *p;

	if (posix_memalign(&p, ALIGN, bytes))
		return NULL;
	poison(p, bytes);
	in[reinterpret_cast<uintptr_t>(p)] = bytes;
	return p;
}

enum where { INSIDE, OUTSIDE, ACROSS };

static where place(const allocations &in, const void *p, size_t bytes)
{
	uintptr_t a = reinterpret_cast<uintptr_t>(p);
	auto i = in.upper_bound(a);

	if (i != in.end() && a + bytes > i->first)
		return ACROSS;
	if (i == in.begin())
		return OUTSIDE;
	--i;
	if (a >= i->first + i->second)
		return OUTSIDE;
	return a + bytes <= i->first + i->second ? INSIDE : ACROSS;
}

bool on_device(const void *p, size_t size) { return place(device, p, size) == INSIDE; }

/* Whether [p, p + bytes) is of that side. */
static bool is(bool of_device, const void *p, size_t bytes)
{
	return place(device, p, bytes) == (of_device ? INSIDE : OUTSIDE);
}

static bool is_pinned(const void *p, size_t bytes)
{
	return place(pinned, p, bytes) == INSIDE;
}

static cudaError_t check_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
	if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault)
		return set_error(cudaErrorInvalidMemcpyDirection);
	if (!to || !from)
		return set_error(cudaErrorInvalidValue);
	if (kind == cudaMemcpyDefault) {
		if (place(device, to, bytes) == ACROSS || place(device, from, bytes) == ACROSS)
			return set_error(cudaErrorInvalidValue);
		return cudaSuccess;
	}
	if (!is(kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice, to, bytes) ||
	    !is(kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice, from, bytes))
		return set_error(cudaErrorInvalidValue);
	return cudaSuccess;
}

static cudaError_t check_set(void *p, size_t bytes)
{
	return is(true, p, bytes) ? cudaSuccess : set_error(cudaErrorInvalidValue);
}

}

using namespace emu;

cudaError_t cudaMalloc(void **p, size_t bytes)
{
	lock held;

	count_wait();
	*p = NULL;
	if (sticky_error())
		return sticky_error();
	if (forbid_capture())
		return cudaErrorStreamCaptureUnsupported;
	if (!bytes)
		return cudaSuccess;
	if (bytes > total() - used || !(*p = take(device, bytes)))
		return set_error(cudaErrorMemoryAllocation);
	used += bytes;
	return cudaSuccess;
}

/* Of a lost device too: the host's memory behind it is not lost. */
static cudaError_t release(allocations &in, void *p)
{
	cudaError_t e = sticky_error();

	if (!e && forbid_capture())
		return cudaErrorStreamCaptureUnsupported;
	if (!p)
		return e;
	count_wait();
	drain_all();
	auto i = in.find(reinterpret_cast<uintptr_t>(p));
	if (i == in.end())
		return set_error(e ? e : cudaErrorInvalidValue);
	if (&in == &device)
		used -= i->second;
	in.erase(i);
	free(p);
	return e;
}

cudaError_t cudaFree(void *p)
{
	lock held;

	return release(device, p);
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
	lock held;

	count_wait();
	*p = NULL;
	if (sticky_error())
		return sticky_error();
	if (forbid_capture())
		return cudaErrorStreamCaptureUnsupported;
	if (bytes && !(*p = take(pinned, bytes)))
		return set_error(cudaErrorMemoryAllocation);
	return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes) { return cudaHostAlloc(p, bytes, 0); }

cudaError_t cudaFreeHost(void *p)
{
	lock held;

	return release(pinned, p);
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *all)
{
	lock held;

	*all = total();
	*free = total() - used;
	return sticky_error();
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
	lock held;

	if (sticky_error())
		return sticky_error();
	if (forbid_capture())
		return cudaErrorStreamCaptureImplicit;
	if (!bytes)
		return cudaSuccess;
	if (check_copy(to, from, bytes, kind))
		return cudaErrorInvalidValue;
	count_wait();
	drain_all();
	if (count_work())
		return sticky_error();
	memmove(to, from, bytes);
	return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
	lock held;
	cudaError_t e;

	if (sticky_error())
		return sticky_error();
	if (!is_stream(stream))
		return set_error(cudaErrorInvalidResourceHandle);
	if (!bytes)
		return cudaSuccess;
	if ((e = check_copy(to, from, bytes, kind)))
		return e;
	bool to_pageable = is(false, to, bytes) && !is_pinned(to, bytes);
	bool from_pageable = is(false, from, bytes) && !is_pinned(from, bytes);
	if (to_pageable || from_pageable)
		count_wait();
	if (is_capturing(stream)) {
		/* such copies wait for the host */
		if (to_pageable || from_pageable) {
			forbid_capture();
			return set_error(cudaErrorStreamCaptureUnsupported);
		}
	} else if (count_work()) {
		return sticky_error();
	}
	if (from_pageable) {
		/* taken before the call returns */
		std::shared_ptr<char> copy(static_cast<char *>(malloc(bytes)), free);

		memcpy(copy.get(), from, bytes);
		e = enqueue(stream, [to, copy, bytes] { memcpy(to, copy.get(), bytes); });
	} else {
		e = enqueue(stream, [to, from, bytes] { memmove(to, from, bytes); });
	}
	if (to_pageable)
		drain(stream);
	return e;
}

cudaError_t cudaMemset(void *p, int value, size_t bytes)
{
	lock held;

	if (sticky_error())
		return sticky_error();
	if (forbid_capture())
		return cudaErrorStreamCaptureImplicit;
	if (!bytes)
		return cudaSuccess;
	if (check_set(p, bytes))
		return cudaErrorInvalidValue;
	count_wait();
	drain_all();
	if (count_work())
		return sticky_error();
	memset(p, value, bytes);
	return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream)
{
	lock held;

	if (sticky_error())
		return sticky_error();
	if (!is_stream(stream))
		return set_error(cudaErrorInvalidResourceHandle);
	if (!bytes)
		return cudaSuccess;
	if (check_set(p, bytes))
		return cudaErrorInvalidValue;
	if (!is_capturing(stream) && count_work())
		return sticky_error();
	return enqueue(stream, [p, value, bytes] { memset(p, value, bytes); });
}
