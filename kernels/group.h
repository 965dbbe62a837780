/* group.h: kernels that are launched for several steps at once.
 *
 * Such a kernel takes its arguments as one struct, of which a launch carries one for each member, by value:
 * blockIdx.z says whose block it is, and a member has blocks (0 .. x - 1, 0 .. y - 1) of its own.  What a member
 * computes, and how its sums are cut, is the same alone and among others.
 *
 *     struct ThisArgs { ... };
 *     __global__ void this_kernel(SD_MEMBERS(ThisArgs) g)
 *     {
 *             __shared__ ...
 *             SD_MEMBER(g, d);    // returns where the member has no such block; else d is its ThisArgs
 *     ...
 *     SD_GROUP(r, this_kernel, grid, block, (ThisArgs{ ... })); */
#ifndef SD_KERNELS_GROUP_H
#define SD_KERNELS_GROUP_H

#include "kernels/device.h"

namespace sd {

/* Bytes of a kernel's parameters: what every version takes, or, from CUDA 12.1 on, what holds the steps that come
 * together in a supernet. */
#if defined(CUDART_VERSION) && CUDART_VERSION < 12010
enum { GROUP_BYTES = 4096 };
#else
enum { GROUP_BYTES = 8192 };
#endif

template <typename A> struct Member {
	A a;
	unsigned x, y; /* blocks */
};
template <typename A> struct Members {
	enum { most = GROUP_BYTES / sizeof(Member<A>) };
	Member<A> m[most];
};

/* Begins one launch of n members; `args` are A, each at its place. */
typedef void group_launch(const void *kernel, dim3 grid, dim3 block, cudaStream_t stream, int n,
	const void *const *args, const uint2 *blocks);

/* Puts a launch aside until the group's next flush.  0 if there was no memory. */
int group_add(sd_cu_run *r, group_launch *launch, int most, const void *kernel, dim3 grid, dim3 block,
	const void *args, size_t size);

#ifdef __CUDACC__
#define SD_MEMBERS(A) const __grid_constant__ sd::Members<A>
template <typename A> using MembersKernel = void (*)(const Members<A>);
#else
/* the emulator's threads need no copies of their own */
#define SD_MEMBERS(A) const sd::Members<A> &
template <typename A> using MembersKernel = void (*)(const Members<A> &);
#endif
#define SD_MEMBER(g, d) \
	if (blockIdx.x >= (g).m[blockIdx.z].x || blockIdx.y >= (g).m[blockIdx.z].y) \
		return; \
	const auto &d = (g).m[blockIdx.z].a

template <typename A> void launch_members(const void *kernel, dim3 grid, dim3 block, cudaStream_t stream, int n,
	const void *const *args, const uint2 *blocks)
{
	auto k = reinterpret_cast<MembersKernel<A>>(reinterpret_cast<size_t>(kernel));
	Members<A> g = {};

	for (int i = 0; i < n; i++) {
		g.m[i].a = *static_cast<const A *>(args[i]);
		g.m[i].x = blocks[i].x;
		g.m[i].y = blocks[i].y;
	}
#ifdef __CUDACC__
	k<<<grid, block, 0, stream>>>(g);
#else
	EMU_LAUNCH(k, grid, block, 0, stream, g);
#endif
}

template <typename A> void group(sd_cu_run *r, MembersKernel<A> kernel, dim3 grid, dim3 block, const A &args)
{
	static_assert(sizeof(Members<A>) <= GROUP_BYTES && Members<A>::most > 0, "too many parameters");
	const void *k = reinterpret_cast<const void *>(kernel), *one = &args;
	uint2 blocks = { grid.x, grid.y };

	if (r->group) {
		if (group_add(r, launch_members<A>, Members<A>::most, k, grid, block, &args, sizeof(args)))
			return;
		sd_cu_group_flush(r);
	}
	r->launches++;
	if (!r->dry)
		launch_members<A>(k, grid, block, r->stream, 1, &one, &blocks);
}

} /* namespace sd */

/* The grid's z is the members'. */
#define SD_GROUP(r, kernel, grid, block, args) sd::group(r, kernel, grid, block, args)

#endif
