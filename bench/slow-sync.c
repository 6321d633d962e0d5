/* Preloaded, makes every sync take 10 ms longer: a disk that is slow, on a machine whose disk is not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static const struct timespec delay = {0, 10 * 1000 * 1000};

int fsync(int file) {
  nanosleep(&delay, 0);
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
  nanosleep(&delay, 0);
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
