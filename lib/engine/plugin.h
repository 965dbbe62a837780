/* plugin.h: the CUDA engine is a shared object, engine-cuda.so, opened only when a GPU is asked for or
 * seen, so that tools start at once and run where there is no CUDA. */
#ifndef SD_ENGINE_PLUGIN_H
#define SD_ENGINE_PLUGIN_H

struct sd_engine_ops;

/* Whether the system shows signs of a GPU (device files of its driver) and the engine is there. */
int sd_plugin_likely(void);
/* Opens the engine, once; it stays open.  NULL with a message (SD_ERR_DEVICE). */
const struct sd_engine_ops *sd_plugin_cuda(void);

#endif
