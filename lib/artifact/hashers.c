/* hashers.c: threads that hash blocks while the next ones are read.
 *
 * Leaves don't depend on each other, so which thread hashes which, and when, makes no difference.  Nobody
 * spins: reading is the slower half as often as not. */
#include "artifact/hashers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "artifact/digest.h"
#include "base/par.h"
#include "base/str.h"

enum { MAX_THREADS = 16, MAX_SLOTS = 2 * MAX_THREADS, STACK = 256 << 10 };

static int threads; /* 0: the default */

void sd_digest_threads(int n)
{
	threads = n;
}

enum state { FREE, FILLING, FULL, HASHING };
struct slot {
	enum state state;
	uint8_t *data;   /* (SD_BLOCK) */
	size_t n;
	uint8_t *leaf;
};

struct sd_hashers {
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	pthread_t thread[MAX_THREADS];
	int nthread, nslot;
	struct slot slot[MAX_SLOTS];
	struct slot *filling;
	bool end;
};

/* Under the lock: a slot in that state, or NULL. */
static struct slot *find(struct sd_hashers *h, enum state state)
{
	for (int i = 0; i < h->nslot; i++)
		if (h->slot[i].state == state)
			return &h->slot[i];
	return NULL;
}

static void *hash(void *arg)
{
	struct sd_hashers *h = arg;
	uint8_t leaf[SD_SHA256_LEN];
	struct slot *s;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		while (!(s = find(h, FULL)) && !h->end)
			pthread_cond_wait(&h->work, &h->lock);
		if (!s)
			break;
		s->state = HASHING;
		pthread_mutex_unlock(&h->lock);
		sd_digest_leaf(s->data, s->n, leaf);
		pthread_mutex_lock(&h->lock);
		for (int i = 0; i < SD_SHA256_LEN; i++)
			s->leaf[i] = leaf[i];
		s->state = FREE;
		pthread_cond_signal(&h->room);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

struct sd_hashers *sd_hashers_new(void)
{
	int want = threads ? threads : sd_par_default_threads();
	struct sd_hashers *h;
	pthread_attr_t attr;

	if (want < 2)
		return NULL;
	h = sd_xcalloc(1, sizeof(*h));
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->work, NULL);
	pthread_cond_init(&h->room, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	if (want > MAX_THREADS)
		want = MAX_THREADS;
	for (; h->nthread < want; h->nthread++)
		if (pthread_create(&h->thread[h->nthread], &attr, hash, h) != 0)
			break;
	pthread_attr_destroy(&attr);
	if (!h->nthread) {
		sd_hashers_free(h);
		return NULL;
	}
	pthread_mutex_lock(&h->lock);
	for (; h->nslot < 2 * h->nthread; h->nslot++) {
		h->slot[h->nslot].data = malloc(SD_BLOCK);
		if (!h->slot[h->nslot].data)
			break;
	}
	pthread_mutex_unlock(&h->lock);
	if (h->nslot < 2) {
		sd_hashers_free(h);
		return NULL;
	}
	return h;
}

void sd_hashers_free(struct sd_hashers *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->end = true;
	pthread_cond_broadcast(&h->work);
	pthread_mutex_unlock(&h->lock);
	for (int i = 0; i < h->nthread; i++)
		pthread_join(h->thread[i], NULL);
	for (int i = 0; i < h->nslot; i++)
		free(h->slot[i].data);
	pthread_cond_destroy(&h->work);
	pthread_cond_destroy(&h->room);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

uint8_t *sd_hashers_block(struct sd_hashers *h)
{
	if (h->filling)
		return h->filling->data;
	pthread_mutex_lock(&h->lock);
	while (!(h->filling = find(h, FREE)))
		pthread_cond_wait(&h->room, &h->lock);
	h->filling->state = FILLING;
	pthread_mutex_unlock(&h->lock);
	return h->filling->data;
}

void sd_hashers_submit(struct sd_hashers *h, size_t n, uint8_t *leaf)
{
	pthread_mutex_lock(&h->lock);
	h->filling->n = n;
	h->filling->leaf = leaf;
	h->filling->state = FULL;
	h->filling = NULL;
	pthread_cond_signal(&h->work);
	pthread_mutex_unlock(&h->lock);
}

void sd_hashers_wait(struct sd_hashers *h)
{
	pthread_mutex_lock(&h->lock);
	while (find(h, FULL) || find(h, HASHING))
		pthread_cond_wait(&h->room, &h->lock);
	pthread_mutex_unlock(&h->lock);
}
