/* launch.h: kernel<<<grid, block, shared, stream>>>(args...) as EMU_LAUNCH. */
#ifndef SD_EMU_LAUNCH_H
#define SD_EMU_LAUNCH_H

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "runtime.h"

namespace emu {

/* Launches, or records in the graph that the stream captures.  `body` runs one thread; an error is left for
 * cudaGetLastError. */
void launch(const void *kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
	std::function<void()> body);

/* Arguments become the kernel's parameters here and now. */
template <typename... P, typename... A>
inline void launch_kernel(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
	A &&...args)
{
	/* what devices take from compute capability 7.0 and CUDA 12.1 on */
	static_assert((sizeof(P) + ... + 0) <= 32764, "too many parameters for a kernel");
	std::tuple<std::decay_t<P>...> params(std::forward<A>(args)...);

	launch(reinterpret_cast<const void *>(kernel), grid, block, shared, stream,
		[kernel, params] { std::apply(kernel, params); });
}

}

#define EMU_LAUNCH(kernel, grid, block, shared, stream, ...) \
	emu::launch_kernel(kernel, grid, block, shared, stream, __VA_ARGS__)

#endif
