/* test_cost: operations and bytes of a plan's steps, counted by hand beside. */
#include "check.h"

#include <string.h>

#include "graph/cost.h"
#include "graph/grad.h"

static size_t size(const struct sd_graph *g, sd_val v)
{
	return sd_shape_count(&g->val[v].shape) * 4;
}

static size_t segment(const struct sd_graph *g, sd_val v, int seg)
{
	(void)g, (void)v;
	return (size_t)seg * 4;
}

static const struct sd_layout plain = { .size = size, .segment = segment, .align = 4, .elem = 4 };
static const struct sd_layout halves = { .size = size, .segment = segment, .align = 4, .elem = 4, .halves = 1 };

/* Of the step that makes v; the name of its kind into name. */
static struct sd_cost cost_of(const struct sd_plan *p, sd_val v, int elem, char name[64])
{
	int i;

	for (i = 0; i < p->nstep; i++)
		if (p->step[i].node == p->g->val[v].node) {
			sd_step_family(p, i, 1, name);
			return sd_step_cost(p, i, elem);
		}
	CHECK(0, "no step makes it");
	return (struct sd_cost){ 0 };
}

static struct sd_cost sum_of(const struct sd_plan *p, struct sd_cost *floor)
{
	struct sd_cost total = { 0 };

	CHECK(sd_plan_cost(p, 4, &total, floor) == 0);
	return total;
}

#define SAME(cost, f, r, w) do { \
	struct sd_cost c_ = (cost); \
	CHECK(c_.flops == (f)); \
	CHECK(c_.read == (r)); \
	CHECK(c_.written == (w)); \
} while (0)

/* x (2, 5, 8, 8) through relu, a 3x3 convolution with 7 channels at stride 2, and a 1x1 one at stride 2: real channels,
 * the relu in the load, and of the second convolution's operand a quarter. */
static void test_conv(void)
{
	struct sd_graph *g = sd_graph_new();
	sd_val x = sd_input(g, "x", SD_F32, sd_shape4(2, 5, 8, 8));
	sd_val w = sd_param(g, "w", sd_shape4(7, 5, 3, 3)), v = sd_param(g, "v", sd_shape4(3, 7, 1, 1));
	sd_val y = sd_conv(g, sd_relu(g, x), w, SD_NIL, sd_window(3, 2, 1, 1));
	sd_val z = sd_conv(g, y, v, SD_NIL, sd_window(1, 2, 0, 1));
	struct sd_plan *p = sd_plan_new(g, 1, &z, &plain, 0);
	double nx = 2 * 5 * 64, ny = 2 * 7 * 16, nz = 2 * 3 * 4;
	char name[64];
	struct sd_cost floor, total;

	CHECK(p != NULL);
	SAME(cost_of(p, y, 4, name), 2 * ny * 45 + nx, 4 * (nx + 315), 4 * ny);
	CHECK(!strcmp(name, "conv 3x3 s2 2x5x8x8"));
	SAME(cost_of(p, y, 2, name), 2 * ny * 45 + nx, 2 * nx + 4 * 315, 2 * ny);
	SAME(cost_of(p, z, 4, name), 2 * nz * 7, 4 * (ny / 4 + 21), 4 * nz);
	/* the import reads the input and writes the image */
	total = sum_of(p, &floor);
	CHECK(total.read == 4 * (nx + nx + 315 + ny / 4 + 21));
	CHECK(total.written == 4 * (nx + ny + nz));
	CHECK(floor.written == total.written && floor.flops == total.flops);
	sd_plan_free(p);
	sd_graph_free(g);
}

/* Half a separable convolution: what lies between the two convolutions moves nothing, the statistics are taken from
 * what is at hand, and the sums are those of the steps run one by one. */
static void test_half(void)
{
	struct sd_graph *g = sd_graph_new();
	sd_val x = sd_input(g, "x", SD_F32, sd_shape4(2, 6, 4, 4)), mean, var;
	sd_val w = sd_param(g, "w", sd_shape4(6, 1, 5, 5)), v = sd_param(g, "v", sd_shape4(3, 6, 1, 1));
	sd_val y = sd_conv(g, sd_dwconv(g, sd_relu(g, x), w, sd_window(5, 1, 2, 1)), v, SD_NIL, sd_window(1, 1, 0, 1));
	double nx = 2 * 6 * 16, ny = 2 * 3 * 16, flops = nx + 50 * nx + 12 * ny + 4 * ny;
	struct sd_plan *one, *many;
	struct sd_cost floor;
	char name[64];
	sd_val root[2];

	sd_bn_stats(g, y, &mean, &var);
	root[0] = y, root[1] = mean;
	one = sd_plan_new(g, 2, root, &halves, 0);
	many = sd_plan_new(g, 2, root, &plain, 0);
	CHECK(one && many);
	SAME(cost_of(one, mean, 4, name), flops, 4 * (nx + 150 + 18), 4 * (ny + 3 + 3));
	CHECK(!strcmp(name, "half 5x5 2x6x4x4"));
	SAME(cost_of(one, y, 4, name), 0, 0, 0); /* run with the other */
	SAME(sum_of(one, &floor), flops, 4 * (2 * nx + 168), 4 * (nx + ny + 6));
	SAME(sum_of(many, &floor), flops, 4 * (3 * nx + 168 + ny), 4 * (2 * nx + ny + 6));
	CHECK(floor.read == 4 * (3 * nx + 168 + ny)); /* nothing is read twice */
	sd_plan_free(one);
	sd_plan_free(many);
	sd_graph_free(g);
}

/* Forward and backward of a depthwise convolution: data and weight gradient in one pass read gy once; the floor has x
 * once in each direction. */
static void test_backward(void)
{
	struct sd_graph *g = sd_graph_new();
	sd_val x = sd_input(g, "x", SD_F32, sd_shape4(2, 6, 4, 4)), k = sd_param(g, "k", sd_shape4(6, 6, 1, 1));
	sd_val w = sd_param(g, "w", sd_shape4(6, 1, 3, 3)), u = sd_conv(g, x, k, SD_NIL, sd_window(1, 1, 0, 1));
	sd_val y = sd_dwconv(g, u, w, sd_window(3, 1, 1, 1)), want[2] = { k, w }, grad[2], m;
	double n = 2 * 6 * 16;
	struct sd_plan *p;
	struct sd_cost floor, total;
	char name[64];

	m = sd_gap(g, y);
	CHECK(sd_graph_vjp(g, m, sd_fill(g, *sd_shape_of(g, m), 1), 2, want, grad) == 0);
	p = sd_plan_new(g, 2, grad, &plain, 0);
	CHECK(p != NULL);
	/* u's gradient, gw: both in the step of the former */
	SAME(cost_of(p, grad[1], 4, name), 0, 0, 0);
	SAME(cost_of(p, g->node[g->val[grad[0]].node].in[1], 4, name), 2 * 2 * n * 9, 4 * (n + 54 + n), 4 * (n + 54));
	CHECK(!strcmp(name, "dwconv_bwd_x+w 3x3 2x6x4x4"));
	total = sum_of(p, &floor);
	CHECK(floor.read <= total.read && floor.written == total.written);
	sd_plan_free(p);
	sd_graph_free(g);
}

int main(void)
{
	test_conv();
	test_half();
	test_backward();
	return check_done();
}
