/* count.h: how large a network is, and how much work one image is in evaluation. */
#ifndef SD_MODEL_COUNT_H
#define SD_MODEL_COUNT_H

#include "model/model.h"

struct sd_count {
	size_t params, params_without_auxiliary; /* numbers, as the reference counts them */
	double macs;        /* multiply-adds as the reference counts them: struct sd_build; no auxiliary head */
	double activations; /* numbers that the convolutions give (Radosavovic and others, "Designing network
	                       design spaces", CVPR 2020); no auxiliary head */
};

/* Images of (channels, height, width).  0, or -1 with the message of the builder. */
int sd_count_network_cifar(struct sd_count *c, const struct sd_network *n, int channels, int height,
	int width);
int sd_count_network_imagenet(struct sd_count *c, const struct sd_network *n, int channels, int height,
	int width);
int sd_count_supernet(struct sd_count *c, const struct sd_supernet *s, int channels, int height, int width);

#endif
