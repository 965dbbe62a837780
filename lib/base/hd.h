/* hd.h: what code needs that host and device compile alike (nvcc compiles it for both): the marks of
 * such functions and tables, and products and sums that no compiler may join to one rounding.  nvcc contracts
 * a * b + c where it can; the host is built with -ffp-contract=off. */
#ifndef SD_BASE_HD_H
#define SD_BASE_HD_H

#ifdef __CUDACC__
#define SD_HD __host__ __device__
#define SD_TABLE static __constant__ const
#define SD_TABLE_FN __device__  /* a function that reads tables: nvcc's host side cannot */
#else
#define SD_HD
#define SD_TABLE static const
#define SD_TABLE_FN
#endif

#ifdef __CUDA_ARCH__
SD_HD static inline float sd_rn_mulf(float a, float b) { return __fmul_rn(a, b); }
SD_HD static inline float sd_rn_addf(float a, float b) { return __fadd_rn(a, b); }
SD_HD static inline double sd_rn_mul(double a, double b) { return __dmul_rn(a, b); }
SD_HD static inline double sd_rn_add(double a, double b) { return __dadd_rn(a, b); }
#else
SD_HD static inline float sd_rn_mulf(float a, float b) { return a * b; }
SD_HD static inline float sd_rn_addf(float a, float b) { return a + b; }
SD_HD static inline double sd_rn_mul(double a, double b) { return a * b; }
SD_HD static inline double sd_rn_add(double a, double b) { return a + b; }
#endif

#endif
