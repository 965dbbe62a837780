/* loader.c: two buffers and one thread.  While the caller uses one buffer, the thread fills the other. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/rng.h"
#include "data/loader.h"

struct buffer {
	uint32_t n, index;
	float *images;
	int32_t *labels, *ids;
	double seconds;
};

enum work { WORK_NONE, WORK_WANTED, WORK_DONE };

struct sd_loader {
	const struct sd_dataset *ds;
	const struct sd_split *split;
	struct sd_augment policy;
	struct sd_augment_table table;
	enum sd_loader_order kind;
	struct sd_rng_key shuffle_key, augment_key;
	uint32_t batch, n, batches;
	uint32_t *indices;  /* (n) images of the split */
	uint32_t *order;    /* (n) places in indices */
	uint32_t *places;   /* (2, batch) what a draw needs */
	uint8_t *scratch;   /* (2, C, H, W) what AutoAugment needs */
	uint32_t epoch, next;  /* next: the batch that sd_loader_next gives out */

	struct buffer buffer[2];
	int back;           /* the one that the thread fills */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t turn;
	enum work work;     /* of the back buffer; under the lock, as are the next two */
	uint32_t wanted;    /* which batch it is asked for */
	int quit, running;
};

/* The first `batch` places of a shuffle of its own for each step: Fisher and Yates' method, as far as it
 * is needed, over the identity, which is put back afterwards. */
static void draw_places(struct sd_loader *l, uint32_t step)
{
	uint32_t *order = l->order, *places = l->places, *other = l->places + l->batch;

	for (uint32_t i = 0; i < l->batch; i++) {
		uint32_t word = sd_rng_word(l->shuffle_key, i, step, 0, 0);
		uint32_t j = i + sd_rng_below(word, l->n - i), t = order[j];

		order[j] = order[i];
		order[i] = t;
		other[i] = j;
		places[i] = t;
	}
	for (uint32_t i = l->batch; i-- > 0;) {
		uint32_t j = other[i], t = order[j];

		order[j] = order[i];
		order[i] = t;
	}
}

static void fill(struct sd_loader *l, struct buffer *b, uint32_t index)
{
	const struct sd_dataset *ds = l->ds;
	size_t pixels = sd_dataset_image_bytes(ds);
	uint32_t when = l->kind == SD_ORDER_DRAW ? index : l->epoch;
	const uint32_t *from;

	b->index = index;
	b->n = l->batch;
	if (l->kind == SD_ORDER_DRAW) {
		draw_places(l, index);
		from = l->places;
	} else {
		uint32_t start = index * l->batch;

		from = l->order + start;
		if (b->n > l->n - start)
			b->n = l->n - start;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t id = l->indices[from[i]];
		struct sd_augment_params params;

		sd_augment_draw(&l->policy, l->augment_key, id, when, ds->H, ds->W, &params);
		sd_augment_apply(&l->policy, &params, &l->table, ds->C, ds->H, ds->W,
				 l->split->images + id * pixels, l->scratch, b->images + i * pixels);
		b->labels[i] = l->split->labels[id];
		b->ids[i] = (int32_t)id;
	}
}

static double thread_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *arg)
{
	struct sd_loader *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->quit) {
		if (l->work != WORK_WANTED) {
			pthread_cond_wait(&l->turn, &l->lock);
			continue;
		}
		struct buffer *b = &l->buffer[l->back];
		uint32_t wanted = l->wanted;

		pthread_mutex_unlock(&l->lock);
		b->seconds = -thread_seconds();
		fill(l, b, wanted);
		b->seconds += thread_seconds();
		pthread_mutex_lock(&l->lock);
		l->work = WORK_DONE;
		pthread_cond_broadcast(&l->turn);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* Waits until the thread is at rest. */
static void settle(struct sd_loader *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->work == WORK_WANTED)
		pthread_cond_wait(&l->turn, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void ask(struct sd_loader *l, uint32_t index)
{
	pthread_mutex_lock(&l->lock);
	l->work = index < l->batches ? WORK_WANTED : WORK_NONE;
	l->wanted = index;
	pthread_cond_broadcast(&l->turn);
	pthread_mutex_unlock(&l->lock);
}

struct sd_loader *sd_loader_new(const struct sd_dataset *ds, const struct sd_loader_options *o)
{
	const struct sd_split *split = &ds->split[o->split];
	uint32_t n = o->indices ? o->n : split->n;
	size_t pixels = sd_dataset_image_bytes(ds);
	const char *site = o->site ? o->site : "";
	struct sd_loader *l;
	sigset_t all, old;
	int err;

	if (o->batch < 1 || o->batch > SD_MAX_SAMPLES) {
		sd_error(SD_ERR_USAGE, "a batch of %u images (1 to %d)", o->batch, SD_MAX_SAMPLES);
		return NULL;
	}
	if (o->order == SD_ORDER_DRAW && o->batch > n) {
		sd_error(SD_ERR_USAGE, "cannot draw a batch of %u from %u images", o->batch, n);
		return NULL;
	}
	if (o->policy.autoaugment && ds->C != SD_AA_CHANNELS) {
		sd_error(SD_ERR_USAGE, "AutoAugment needs colour images; those of '%s' have %d channel%s",
			 ds->name, ds->C, ds->C == 1 ? "" : "s");
		return NULL;
	}
	for (uint32_t i = 0; o->indices && i < n; i++)
		if (o->indices[i] >= split->n) {
			sd_error(SD_ERR_BUG, "no image %u in split '%s' of '%s'", o->indices[i],
				 sd_split_name[o->split], ds->name);
			return NULL;
		}
	l = calloc(1, sizeof(*l));
	if (!l)
		goto nomem;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->turn, NULL);
	l->ds = ds;
	l->split = split;
	l->policy = o->policy;
	l->kind = o->order;
	l->batch = o->batch;
	l->n = n;
	if (o->order == SD_ORDER_DRAW)
		l->batches = UINT32_MAX;
	else
		l->batches = n / o->batch + (!o->drop_last && n % o->batch);
	l->shuffle_key = o->order == SD_ORDER_DRAW ? sd_rng_key(o->seed, "valid", "search")
						   : sd_rng_key(o->seed, "shuffle", site);
	l->augment_key = sd_augment_key(o->seed, site);
	sd_augment_table_init(&l->table, ds);
	l->indices = malloc(((size_t)n + 1) * sizeof(*l->indices));
	l->order = malloc(((size_t)n + 1) * sizeof(*l->order));
	l->places = malloc(2 * (o->order == SD_ORDER_DRAW ? (size_t)o->batch : 1) * sizeof(*l->places));
	l->scratch = malloc(2 * pixels);
	if (!l->indices || !l->order || !l->places || !l->scratch)
		goto nomem;
	for (uint32_t i = 0; i < n; i++) {
		l->indices[i] = o->indices ? o->indices[i] : i;
		l->order[i] = i;
	}
	for (int i = 0; i < 2; i++) {
		struct buffer *b = &l->buffer[i];
		size_t rows = o->batch < n ? o->batch : (size_t)n + 1;

		b->images = malloc(rows * pixels * sizeof(*b->images));
		b->labels = malloc(rows * sizeof(*b->labels));
		b->ids = malloc(rows * sizeof(*b->ids));
		if (!b->images || !b->labels || !b->ids)
			goto nomem;
	}
	/* signals are for the caller's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&l->thread, NULL, work, l);
	l->running = !err;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!l->running) {
		sd_error(SD_ERR_IO, "cannot start the loader's thread: %s", strerror(err));
		goto fail;
	}
	return l;
nomem:
	sd_error(SD_ERR_IO, "out of memory for batches of %u images", o->batch);
fail:
	sd_loader_free(l);
	return NULL;
}

void sd_loader_free(struct sd_loader *l)
{
	if (!l)
		return;
	if (l->running) {
		pthread_mutex_lock(&l->lock);
		l->quit = 1;
		pthread_cond_broadcast(&l->turn);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->thread, NULL);
	}
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->turn);
	for (int i = 0; i < 2; i++) {
		free(l->buffer[i].images);
		free(l->buffer[i].labels);
		free(l->buffer[i].ids);
	}
	free(l->indices);
	free(l->order);
	free(l->places);
	free(l->scratch);
	free(l);
}

void sd_loader_spec(const struct sd_loader *l, struct sd_feed_spec *spec)
{
	*spec = (struct sd_feed_spec){
		.images = l->split->images, .labels = l->split->labels, .images_n = l->split->n,
		.C = l->ds->C, .H = l->ds->H, .W = l->ds->W, .table = l->table.value[0],
		.indices = l->indices, .n = l->n, .batch = l->batch,
		.shuffle = l->kind == SD_ORDER_SHUFFLE, .draw = l->kind == SD_ORDER_DRAW,
		.shuffle_key = l->shuffle_key, .augment_key = l->augment_key, .policy = l->policy,
	};
}

uint32_t sd_loader_batches(const struct sd_loader *l)
{
	return l->batches;
}

int sd_loader_epoch(struct sd_loader *l, uint32_t epoch, uint32_t from)
{
	settle(l);
	l->epoch = epoch;
	if (l->kind == SD_ORDER_SHUFFLE)
		sd_rng_permutation(l->shuffle_key, epoch, l->n, l->order);
	l->next = from;
	ask(l, from);
	return 0;
}

int sd_loader_next(struct sd_loader *l, struct sd_batch *batch)
{
	struct buffer *b;

	if (l->next >= l->batches)
		return 0;
	settle(l);
	if (l->work != WORK_DONE)
		return sd_error(SD_ERR_BUG, "a batch was asked for before an epoch began");
	b = &l->buffer[l->back];
	l->back ^= 1;
	ask(l, ++l->next);
	*batch = (struct sd_batch){
		.n = b->n,
		.index = b->index,
		.images = b->images,
		.labels = b->labels,
		.ids = b->ids,
		.seconds = b->seconds,
	};
	return 1;
}
