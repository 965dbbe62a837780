/* test_emulator.cpp: that the emulator runs threads as CUDA says, and catches what kernels do wrong.  Without an
 * argument all tests; with one, a case that a test runs in a process of its own. */
#include <stdlib.h>

#include <vector>

#include "child.h"
#include "kernels/device.h"

namespace {

int skipped;

struct buffer {
	int *p;

	explicit buffer(int n) { cudaMalloc(&p, static_cast<size_t>(n) * sizeof(int)); }
	~buffer() { cudaFree(p); }
};

std::vector<int> fetch(const int *p, int n)
{
	std::vector<int> v(static_cast<size_t>(n));

	cudaMemcpy(v.data(), p, v.size() * sizeof(int), cudaMemcpyDeviceToHost);
	return v;
}

/* ---- what kernels do wrong: cases ---- */

/* Each block turns its 64 numbers around. */
__global__ void reverse(int *x, int with_barrier)
{
	__shared__ int s[64];

	x += blockIdx.x * 64;
	s[threadIdx.x] = x[threadIdx.x];
	if (with_barrier)
		__syncthreads();
	x[threadIdx.x] = s[63 - threadIdx.x];
}
int reverse_is_right(int with_barrier)
{
	buffer x(640);
	std::vector<int> v(640);
	int wrong = 0;

	for (int i = 0; i < 640; i++)
		v[static_cast<size_t>(i)] = i;
	cudaMemcpy(x.p, v.data(), 640 * sizeof(int), cudaMemcpyHostToDevice);
	EMU_LAUNCH(reverse, 10, 64, 0, 0, x.p, with_barrier);
	v = fetch(x.p, 640);
	for (int i = 0; i < 640; i++)
		wrong += v[static_cast<size_t>(i)] != i / 64 * 64 + 63 - i % 64;
	return wrong ? 3 : 0;
}

/* Sums over the block twice with one buffer: the second may overwrite what the first still reads. */
__global__ void twice(int *x, int with_barrier)
{
	__shared__ int s[64];
	int sum = 0;

	for (int k = 0; k < 2; k++) {
		s[threadIdx.x] = static_cast<int>(threadIdx.x) * (k + 1);
		__syncthreads();
		for (int i = 0; i < 64; i++)
			sum += s[i];
		if (with_barrier)
			__syncthreads();
	}
	x[threadIdx.x] = sum;
}
int twice_is_right(int with_barrier)
{
	buffer x(64);
	int wrong = 0;

	EMU_LAUNCH(twice, 1, 64, 0, 0, x.p, with_barrier);
	for (int v : fetch(x.p, 64))
		wrong += v != 2016 * 3;
	return wrong ? 3 : 0;
}

/* One warp hands a number on to another through shared memory, after different amounts of work. */
__global__ void ahead(int *x, int with_barrier)
{
	__shared__ int s;

	for (int i = 0; threadIdx.x >= 32 && i < 3; i++)
		__syncwarp();
	if (threadIdx.x == 40)
		s = 7;
	for (int i = 0; threadIdx.x < 32 && i < 6; i++)
		__syncwarp();
	if (with_barrier)
		__syncthreads();
	if (threadIdx.x == 3)
		x[0] = s;
}
int ahead_is_right(int with_barrier)
{
	buffer x(1);

	EMU_LAUNCH(ahead, 1, 64, 0, 0, x.p, with_barrier);
	return fetch(x.p, 1)[0] == 7 ? 0 : 3;
}

/* Each lane reads what the one before it wrote: right in order, even without a barrier. */
__global__ void neighbours(int *x, int with_barrier)
{
	__shared__ int s[32];

	s[threadIdx.x] = static_cast<int>(threadIdx.x);
	if (with_barrier)
		__syncwarp();
	x[threadIdx.x] = threadIdx.x ? s[threadIdx.x - 1] : 0;
}
int neighbours_are_right(int with_barrier)
{
	buffer x(32);
	int sum = 0;

	EMU_LAUNCH(neighbours, 1, 32, 0, 0, x.p, with_barrier);
	for (int v : fetch(x.p, 32))
		sum += v;
	return sum == 465 ? 0 : 3;
}

/* Blocks that race: the last one to run leaves its number. */
__global__ void last_block(int *x) { *x = static_cast<int>(blockIdx.x); }
int print_last_block()
{
	buffer x(1);

	EMU_LAUNCH(last_block, 100, 1, 0, 0, x.p);
	printf("%d\n", fetch(x.p, 1)[0]);
	return 0;
}

__global__ void half_waits(int *x)
{
	if (threadIdx.x < 32)
		__syncthreads();
	x[0] = 1;
}
__global__ void two_places(int *x)
{
	if (threadIdx.x < 32)
		__syncthreads();
	else
		__syncthreads();
	x[0] = 1;
}
__global__ void lane_ends(int *x)
{
	if (threadIdx.x == 5)
		return;
	x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 16);
}
__global__ void two_shuffles(int *x)
{
	int lane = static_cast<int>(threadIdx.x);

	if (lane % 2)
		x[lane] = __shfl_xor_sync(0xffffffffu, lane, 16);
	else
		x[lane] = __shfl_xor_sync(0xffffffffu, lane, 8);
}
__global__ void some_lanes(int *x)
{
	if (threadIdx.x < 16)
		x[threadIdx.x] = __shfl_xor_sync(0xffffu, 1, 8);
}
__global__ void shuffle(int *x) { x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 16); }
/* Through a pointer that could be any: where the array is known the sanitizer of undefined behaviour speaks first. */
__global__ void past_static(int *x, int i)
{
	__shared__ int s[64];
	const int *volatile from = s;

	s[threadIdx.x] = 1;
	x[0] = from[i + threadIdx.x];
}
template <typename T> __global__ void past_static_of(T *x, int i)
{
	__shared__ T s[64];
	const T *volatile from = s;

	x[0] = from[i + threadIdx.x];
}
__global__ void past_dynamic(int *x, int i)
{
	SD_SHARED(int, s);

	s[i] = 1;
	x[0] = s[i];
}
__global__ void touch(int *x, int i) { x[i] = 1; }

int run_case(const char *name)
{
	buffer x(64);
	std::string c = name;

	if (c == "reverse" || c == "reverse with a barrier")
		return reverse_is_right(c != "reverse");
	if (c == "twice" || c == "twice with a barrier")
		return twice_is_right(c != "twice");
	if (c == "ahead" || c == "ahead with a barrier")
		return ahead_is_right(c != "ahead");
	if (c == "neighbours" || c == "neighbours with a barrier")
		return neighbours_are_right(c != "neighbours");
	if (c == "last block")
		return print_last_block();
	if (c == "half waits")
		EMU_LAUNCH(half_waits, 1, 64, 0, 0, x.p);
	else if (c == "two places")
		EMU_LAUNCH(two_places, 1, 64, 0, 0, x.p);
	else if (c == "lane ends")
		EMU_LAUNCH(lane_ends, 1, 32, 0, 0, x.p);
	else if (c == "two shuffles")
		EMU_LAUNCH(two_shuffles, 1, 32, 0, 0, x.p);
	else if (c == "some lanes")
		EMU_LAUNCH(some_lanes, 1, 32, 0, 0, x.p);
	else if (c == "part of a warp")
		EMU_LAUNCH(shuffle, 1, 40, 0, 0, x.p);
	else if (c == "past static")
		EMU_LAUNCH(past_static, 1, 64, 0, 0, x.p, 1);
	else if (c == "past static of a template")
		EMU_LAUNCH(past_static_of<int>, 1, 64, 0, 0, x.p, 1);
	else if (c == "past dynamic")
		EMU_LAUNCH(past_dynamic, 1, 1, 256, 0, x.p, 64);
	else if (c == "past global")
		EMU_LAUNCH(touch, 1, 1, 0, 0, x.p, 64);
	else if (c == "before global")
		EMU_LAUNCH(touch, 1, 1, 0, 0, x.p, -1);
	else if (c == "barrier on the host")
		__syncthreads();
	return 0;
}

void test_missing_barriers()
{
	for (const char *name : {"reverse", "twice", "ahead", "neighbours"}) {
		int caught = 0;

		for (int seed = 0; seed < 8; seed++) {
			caught += test::child_with_seed(name, seed).status == 3;
			CHECK(test::child_with_seed((std::string(name) + " with a barrier").c_str(), seed).status == 0, "%s, seed %d",
				name, seed);
		}
		CHECK(caught >= 2, "%s: caught under %d of 8 seeds", name, caught);
	}
}

void test_wrong_kernels()
{
	int first = -1, others = 0;

	test::check_dies("half waits", "divergent");
	test::check_dies("two places", "divergent");
	test::check_dies("lane ends", "have ended");
	test::check_dies("two shuffles", "divergent");
	test::check_dies("some lanes", "only full masks");
	test::check_dies("part of a warp", "in a warp of 8 threads");
	test::check_dies("barrier on the host", "outside of a kernel");
	for (int seed = 0; seed < 5; seed++) {
		int last = atoi(test::child_with_seed("last block", seed).said.c_str());

		first = seed ? first : last;
		others += last != first;
	}
	CHECK(first == 99 && others >= 2, "blocks in order end with %d, %d other orders differ", first, others);
}

void test_bounds()
{
	static const char *const cases[] = {"past static", "past static of a template", "past dynamic", "past global",
		"before global"};

	if (!SD_EMU_ASAN) {
		printf("not built with the address sanitizer: bounds are not tested\n");
		skipped += static_cast<int>(sizeof(cases) / sizeof(*cases));
		return;
	}
	for (const char *name : cases)
		test::check_dies(name, "AddressSanitizer");
}

/* ---- what kernels may rely on ---- */

__global__ void indices(int *x)
{
	unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
	unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;

	x[block * blockDim.x * blockDim.y * blockDim.z + thread] += static_cast<int>(block * 1000 + thread);
}
void test_indices()
{
	buffer x(4 * 3 * 2 * 60);
	int wrong = 0;

	cudaMemset(x.p, 0, 4 * 3 * 2 * 60 * sizeof(int));
	EMU_LAUNCH(indices, dim3(4, 3, 2), dim3(5, 4, 3), 0, 0, x.p);
	std::vector<int> v = fetch(x.p, 4 * 3 * 2 * 60);
	for (int i = 0; i < static_cast<int>(v.size()); i++)
		wrong += v[static_cast<size_t>(i)] != i / 60 * 1000 + i % 60;
	CHECK(!wrong, "%d threads did not run once in their place", wrong);
}

__global__ void shuffles(double *out, int width)
{
	int lane = static_cast<int>(threadIdx.x), w = lane / 32;
	double v = lane + 1000.0 * w;
	double *o = out + lane * 8;

	o[0] = __shfl_xor_sync(0xffffffffu, v, 5, width);
	o[1] = __shfl_up_sync(0xffffffffu, v, 3, width);
	o[2] = __shfl_down_sync(0xffffffffu, v, 3, width);
	o[3] = __shfl_sync(0xffffffffu, v, lane * 7, width);
	o[4] = __ballot_sync(0xffffffffu, lane % 3 == 0);
	o[5] = __any_sync(0xffffffffu, lane == 40);
	o[6] = __all_sync(0xffffffffu, lane < 40);
	o[7] = __shfl_sync(0xffffffffu, static_cast<float>(v), 0) + __syncthreads_count(lane < 50) +
		1000 * __syncthreads_or(lane == 7) + 2000 * __syncthreads_and(lane != 7);
}
void test_shuffles()
{
	double *p;

	cudaMalloc(&p, 64 * 8 * sizeof(double));
	for (int width = 4; width <= 32; width *= 2) {
		std::vector<double> v(64 * 8);
		int wrong = 0;

		EMU_LAUNCH(shuffles, 1, 64, 0, 0, p, width);
		cudaMemcpy(v.data(), p, v.size() * sizeof(double), cudaMemcpyDeviceToHost);
		for (int i = 0; i < 64; i++) {
			int group = i / width * width, at = i % width;
			auto of = [&](int k) { return k + 1000.0 * (i / 32); };
			const double *o = &v[static_cast<size_t>(i) * 8];
			unsigned ballot = 0;

			for (int k = 0; k < 32; k++)
				ballot |= static_cast<unsigned>((i / 32 * 32 + k) % 3 == 0) << k;
			/* groups before one's own can be read, those after it cannot */
			wrong += o[0] != of((i ^ 5) / width > i / width ? i : i ^ 5);
			wrong += o[1] != of(at >= 3 ? i - 3 : i);
			wrong += o[2] != of(at + 3 < width ? i + 3 : i);
			wrong += o[3] != of(group + i * 7 % width);
			wrong += o[4] != ballot || o[5] != (i >= 32) || o[6] != (i < 32);
			wrong += o[7] != of(i / 32 * 32) + 50 + 1000;
		}
		CHECK(!wrong, "width %d: %d wrong", width, wrong);
	}
	cudaFree(p);
}

__global__ void sums(float *out, int *counts)
{
	__shared__ float part[32];
	SD_SHARED(float, dynamic);
	float all_nan = part[threadIdx.x % 32] != part[threadIdx.x % 32] && dynamic[threadIdx.x] != dynamic[threadIdx.x];

	__syncthreads();
	dynamic[threadIdx.x] = all_nan;
	float sum = sd::block_sum(dynamic[threadIdx.x], part);
	if (threadIdx.x == 0)
		out[blockIdx.x] = sum;
	atomicAdd(counts, 2);
	atomicMax(counts + 1, static_cast<int>(blockIdx.x));
}
void test_shared_memory()
{
	float *p, v[3] = {0};
	buffer counts(2);

	cudaMalloc(&p, sizeof(v));
	cudaMemset(counts.p, 0, 2 * sizeof(int));
	EMU_LAUNCH(sums, 3, 256, 256 * sizeof(float), 0, p, counts.p);
	cudaMemcpy(v, p, sizeof(v), cudaMemcpyDeviceToHost);
	CHECK(v[0] == 256 && v[1] == 256 && v[2] == 256, "every block's shared memory is NaN: %g %g %g", v[0], v[1],
		v[2]);
	CHECK(fetch(counts.p, 2)[0] == 3 * 256 * 2 && fetch(counts.p, 2)[1] == 2, "atomics");
	cudaFree(p);
}

template <typename T, typename = void> struct has_atomic_add : std::false_type { };
template <typename T>
struct has_atomic_add<T, decltype(static_cast<void>(atomicAdd(static_cast<T *>(nullptr), T())))> : std::true_type { };
static_assert(has_atomic_add<int>::value && has_atomic_add<unsigned>::value, "integers add");
static_assert(!has_atomic_add<float>::value && !has_atomic_add<double>::value, "floats don't");

/* ---- limits ---- */

__global__ void nothing(int) { }
__global__ void large(int *x)
{
	__shared__ int s[8000];

	s[threadIdx.x] = 1;
	x[0] = s[threadIdx.x];
}
void test_limits()
{
	static const struct {
		dim3 grid, block;
		size_t shared;
		bool good;
	} cases[] = {
		{1, 1024, 0, true}, {1, 1025, 0, false}, {1, dim3(32, 33), 0, false}, {1, dim3(1, 1, 64), 0, true},
		{1, dim3(1, 1, 65), 0, false}, {1, 0, 0, false}, {0, 1, 0, false}, {dim3(1, 65535), 1, 0, true},
		{dim3(1, 65536), 1, 0, false}, {dim3(1, 1, 65536), 1, 0, false}, {0x80000000u, 1, 0, false},
		{1, 1, 48 << 10, true}, {1, 1, (48 << 10) + 1, false},
	};
	buffer x(1);

	for (const auto &c : cases) {
		EMU_LAUNCH(nothing, c.grid, c.block, c.shared, 0, 1);
		CHECK(cudaGetLastError() == (c.good ? cudaSuccess : cudaErrorInvalidConfiguration), "case %td",
			&c - cases);
	}
	CHECK(cudaGetLastError() == cudaSuccess, "an error is told once");
	EMU_LAUNCH(large, 1, 1, 16 << 10, 0, x.p);
	CHECK(cudaGetLastError() == cudaSuccess, "32000 bytes and 16384");
	EMU_LAUNCH(large, 1, 1, 18 << 10, 0, x.p);
	CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration, "32000 bytes and 18432");
	CHECK(!cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 << 10), "raised");
	EMU_LAUNCH(nothing, 1, 1, 227 << 10, 0, 1);
	CHECK(cudaGetLastError() == cudaSuccess, "227 KiB when asked for");
	CHECK(cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, (227 << 10) + 1) ==
		cudaErrorInvalidValue, "raised too far");
	cudaGetLastError();
}

/* ---- numbers of 16 bits ---- */

/* Rounded to `bits` bits, not finer than `finest`, largest finite number `most`. */
double round_to(double x, int bits, double finest, double most)
{
	int e;

	frexp(x, &e);
	double unit = fmax(ldexp(1.0, e - bits), finest);
	double r = nearbyint(x / unit) * unit;
	return fabs(r) > most ? copysign(INFINITY, x) : r;
}

template <typename T> void test_type(const char *name, int bits, double finest, double most, T (*from)(float),
	float (*to)(T), T (*of)(unsigned short), unsigned short (*as)(T))
{
	int wrong = 0, loops = 0;
	uint32_t state = 1;

	for (unsigned u = 0; u < 0x10000; u++) {
		float x = to(of(static_cast<unsigned short>(u))), next;

		if (x != x) {
			wrong += as(from(x)) != 0x7fff;
			continue;
		}
		wrong += as(from(x)) != u; /* with the sign of 0 */
		if ((u & 0x7fff) == 0x7fff || std::isinf(x))
			continue;
		next = to(of(static_cast<unsigned short>(u + 1)));
		/* halfway to the next one, and the floats beside that */
		double edge = std::isinf(next) ? copysign(most * (1 + ldexp(1, -bits) / (2 - ldexp(1, 1 - bits))), x) :
			(static_cast<double>(x) + next) / 2;
		float half = static_cast<float>(edge);
		for (float v : {half, nextafterf(half, 0), nextafterf(half, copysignf(INFINITY, x))}) {
			wrong += to(from(v)) != static_cast<float>(round_to(v, bits, finest, most));
			loops++;
		}
	}
	for (int i = 0; i < 300000; i++) {
		state = state * 1664525u + 1013904223u;
		float v = __uint_as_float(state);

		if (v == v)
			wrong += to(from(v)) != static_cast<float>(round_to(v, bits, finest, most));
	}
	CHECK(!wrong && loops > 180000, "%s: %d of %d wrong", name, wrong, loops);
}

void test_numbers()
{
	test_type<__nv_bfloat16>("bfloat16", 8, ldexp(1, -133), ldexp(255, 120), __float2bfloat16, __bfloat162float,
		__ushort_as_bfloat16, __bfloat16_as_ushort);
	test_type<__half>("float16", 11, ldexp(1, -24), 65504, __float2half, __half2float, __ushort_as_half,
		__half_as_ushort);
	CHECK(max(1.0f, NAN) == 1.0f && min(-1, 1u) == 1u && max(2, 3) == 3, "min and max of the device");
	CHECK(__float2int_rn(2.5f) == 2 && __float2int_rn(3e9f) == 0x7fffffff && __float2int_rz(-NAN) == 0,
		"to integers");
	CHECK(__umulhi(0x80000000u, 6) == 3 && __clz(1) == 31 && __brev(1) == 0x80000000u && __ffs(8) == 4, "bits");
}

}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run_case(argv[1]);
	test_indices();
	test_shuffles();
	test_shared_memory();
	test_limits();
	test_numbers();
	test_missing_barriers();
	test_wrong_kernels();
	test_bounds();
	if (skipped)
		printf("%d skipped\n", skipped);
	return check_done();
}
