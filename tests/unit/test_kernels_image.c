/* test_kernels_image.c: sums, scalings and copies of images (k_image.c), on every code path and with several
 * numbers of threads. */
#include "kernel_case.h"

static struct sd_src source(const struct sd_img *x, int form)
{
	return (struct sd_src){ .x = *x, .relu = form & 1, .a = form & 2 ? kc_lanes(x) : NULL,
		.b = form & 2 ? kc_lanes(x) : NULL };
}

static void test_elementwise(void)
{
	KC_SHAPES(s)
		for (int form = 0; form < 8; form++) {
			struct sd_img x[4], old, y;
			struct sd_src src[4];
			int acc = form >> 2, filled = 1;
			float f = kc_rand(), *m = kc_random(s->n);
			struct sd_dst dst;
			char what[80];

			old = kc_random_image(s->n, s->h, s->w, s->seg);
			y = kc_image(s->n, s->h, s->w, s->seg);
			dst = (struct sd_dst){ y, acc };
			for (int i = 0; i < 4; i++) {
				x[i] = kc_random_image(s->n, s->h, s->w, s->seg);
				src[i] = source(&x[i], (form + i) & 3);
			}
			for (int count = 1; count <= 4; count++) {
				struct kc_err e = { 0 };

				snprintf(what, sizeof(what), "add of %d of %d x %d x %d x %d, form %d", count,
					s->n, y.c, s->h, s->w, form);
				KC_RUN(k, par) {
					memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
					k->add(par, count, src, &dst);
					KC_SAME_IMAGE(&y);
				}
				KC_EACH(&y, p) {
					double want = acc ? *kc_at(&old, n, c, h, w) : 0;

					for (int i = 0; i < count; i++)
						want += kc_loaded(&src[i], n, c, h, w);
					kc_cmp(&e, *p, want);
				}
				KC_NEAR(e, 3e-7);
			}
			for (int rows = 0; rows < 2; rows++) {
				struct kc_err e = { 0 };

				snprintf(what, sizeof(what), "%s of %d x %d x %d x %d, form %d",
					rows ? "scale_rows" : "scale", s->n, y.c, s->h, s->w, form);
				KC_RUN(k, par) {
					memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
					if (rows)
						k->scale_rows(par, &src[0], m, &dst);
					else
						k->scale(par, &src[0], &f, &dst);
					KC_SAME_IMAGE(&y);
				}
				KC_EACH(&y, p)
					kc_cmp(&e, *p, kc_loaded(&src[0], n, c, h, w) * (rows ? m[n] : f)
						+ (acc ? *kc_at(&old, n, c, h, w) : 0));
				KC_NEAR(e, 3e-7);
			}
			KC_RUN(k, par) {
				k->fill(par, f, &y);
				KC_SAME_IMAGE(&y);
			}
			KC_EACH(&y, p)
				filled &= *p == f;
			CHECK(filled, "%s", what);
			for (int i = 0; i < 4; i++) {
				free((void *)src[i].a);
				free((void *)src[i].b);
				kc_image_free(&x[i]);
			}
			free(m);
			kc_image_free(&old);
			kc_image_free(&y);
		}
}

static void test_sums(void)
{
	KC_SHAPES(s)
		for (int form = 0; form < 4; form++) {
			struct sd_img x = kc_random_image(s->n, s->h, s->w, s->seg), g;
			struct sd_src src = source(&x, form);
			double want = 0, size = 0, sums[64] = { 0 };
			float got = 0, sum[64] = { 0 };
			struct kc_err e = { 0 };
			char what[80];

			g = kc_random_image(s->n, s->h, s->w, s->seg);
			snprintf(what, sizeof(what), "dot of %d x %d x %d x %d, form %d", s->n, x.c, s->h,
				s->w, form);
			KC_RUN(k, par) {
				k->dot(par, &src, &g, &got);
				KC_SAME(&got, sizeof(got));
				memset(sum, 0xff, sizeof(sum));
				k->channel_sum(par, &g, sum);
				KC_SAME(sum, sizeof(sum));
			}
			KC_EACH(&g, p) {
				double t = *p * kc_loaded(&src, n, c, h, w);

				want += t;
				size += fabs(t);
				sums[c] += *p;
			}
			CHECK(fabs(got - want) <= 1e-6 * size, "%s: %g, expected %g", what, got, want);
			for (int c = 0; c < x.c; c++)
				kc_cmp(&e, sum[c], sums[c]);
			KC_NEAR(e, 3e-6);
			free((void *)src.a);
			free((void *)src.b);
			kc_image_free(&x);
			kc_image_free(&g);
		}
}

static void test_rows_and_blocks(void)
{
	KC_SHAPES(s) {
		struct sd_img x = kc_random_image(s->n, s->h, s->w, s->seg), y;
		size_t count = (size_t)s->n * x.c * s->h * s->w, i = 0;
		float *rows = kc_random(count), *back = kc_floats(count);
		const char *what = "import and export";
		int same = 1;

		y = kc_image(s->n, s->h, s->w, s->seg);
		KC_RUN(k, par) {
			memset(y.p, 0xff, kc_image_floats(&y) * sizeof(float));
			k->import(par, rows, &y);
			KC_SAME_IMAGE(&y);
			memset(back, 0xff, count * sizeof(float));
			k->export(par, &y, back);
			CHECK(!memcmp(rows, back, count * sizeof(float)), "%s", what);
		}
		KC_EACH(&y, p)
			same &= *p == rows[i++];
		CHECK(same, "%s", what);
		free(rows);
		free(back);
		kc_image_free(&x);
		kc_image_free(&y);
	}
}

static void check_slice(const int *from, const int *to, int first, int acc)
{
	struct sd_img x = kc_random_image(2, 3, 5, from), old = kc_random_image(2, 3, 5, to);
	struct sd_img y = kc_image(2, 3, 5, to);
	struct sd_dst dst = { y, acc };
	int same = 1;
	char what[80];

	snprintf(what, sizeof(what), "slice of %d channels from %d to %d, acc %d", x.c, first, y.c, acc);
	KC_RUN(k, par) {
		memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
		k->slice(par, &x, first, &dst);
		KC_SAME_IMAGE(&y);
	}
	KC_EACH(&y, p) {
		float want = first + c >= 0 && first + c < x.c ? *kc_at(&x, n, first + c, h, w) : 0;

		same &= *p == (acc ? *kc_at(&old, n, c, h, w) + want : want);
	}
	CHECK(same, "%s", what);
	kc_image_free(&x);
	kc_image_free(&old);
	kc_image_free(&y);
}

static void test_slice(void)
{
	static const int whole[] = { 36, 0 }, two[] = { 18, 18, 0 }, one[] = { 18, 0 }, few[] = { 5, 0 };

	for (int acc = 0; acc < 2; acc++) {
		check_slice(whole, whole, 0, acc);
		check_slice(whole, two, 0, acc);   /* between blocks that differ */
		check_slice(two, whole, 0, acc);
		check_slice(two, one, 0, acc);
		check_slice(two, one, 18, acc);
		check_slice(whole, one, 18, acc);
		check_slice(whole, few, 30, acc);
		check_slice(one, two, -18, acc);   /* the gradient of a slice */
		check_slice(few, whole, -7, acc);
		check_slice(one, whole, 0, acc);
	}
}

int main(void)
{
	kc_open();
	test_elementwise();
	test_sums();
	test_rows_and_blocks();
	test_slice();
	kc_close(0xbcb11b8f2c742bcb);
	return check_done();
}
