/* asan.h: SD_EMU_ASAN, whether the address sanitizer is built in: compilers say it in different ways. */
#ifndef SD_EMU_ASAN_H
#define SD_EMU_ASAN_H

#define SD_EMU_ASAN 0
#if defined(__SANITIZE_ADDRESS__)
#undef SD_EMU_ASAN
#define SD_EMU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef SD_EMU_ASAN
#define SD_EMU_ASAN 1
#endif
#endif

#endif
