/* sanlock ends when it may not raise its limits; without CAP_SYS_RESOURCE that is so here.
   Lab only: the refusal is taken for success.  sanlock then runs with the limits it has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/resource.h>

int setrlimit(__rlimit_resource_t what, const struct rlimit *limit) {
  int (*real)(__rlimit_resource_t, const struct rlimit *) = dlsym(RTLD_NEXT, "setrlimit");
  int result = real(what, limit);
  return result && errno == EPERM ? 0 : result;
}
