/* Stands in for a network drive: below the folder that NETDRIVE names, the calls that FAIL names fail as they do on such
   file systems: mmap, posixlock, flock_nosys, flock_nolck, flock_notsup. Loaded by LD_PRELOAD; tests compile it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
static int inside(int fd) {
    char link[64], path[4096]; const char *root = getenv("NETDRIVE");
    if (!root || fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strncmp(path, root, strlen(root)) == 0;
}
static int on(const char *what) { const char *f = getenv("FAIL"); return f && strstr(f, what); }
void *mmap(void *a, size_t n, int p, int f, int fd, off_t o) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "mmap");
    if (on("mmap") && (f & MAP_SHARED) && inside(fd)) { errno = ENODEV; return MAP_FAILED; }
    return real(a, n, p, f, fd, o);
}
void *mmap64(void *a, size_t n, int p, int f, int fd, off_t o) { return mmap(a, n, p, f, fd, o); }
int flock(int fd, int op) {
    static int (*real)(int, int);
    if (!real) real = dlsym(RTLD_NEXT, "flock");
    if (on("flock_nosys") && inside(fd)) { errno = ENOSYS; return -1; }
    if (on("flock_nolck") && inside(fd)) { errno = ENOLCK; return -1; }
    if (on("flock_notsup") && inside(fd)) { errno = EOPNOTSUPP; return -1; }
    return real(fd, op);
}
static int do_fcntl(int (*real)(int, int, ...), int fd, int cmd, void *arg) {
    if (on("posixlock") && (cmd == F_SETLK || cmd == F_SETLKW || cmd == F_OFD_SETLK) && inside(fd)) { errno = ENOLCK; return -1; }
    return real(fd, cmd, arg);
}
int fcntl(int fd, int cmd, ...) { va_list v; va_start(v, cmd); void *arg = va_arg(v, void *); va_end(v);
    static int (*real)(int, int, ...); if (!real) real = dlsym(RTLD_NEXT, "fcntl"); return do_fcntl(real, fd, cmd, arg); }
int fcntl64(int fd, int cmd, ...) { va_list v; va_start(v, cmd); void *arg = va_arg(v, void *); va_end(v);
    static int (*real)(int, int, ...); if (!real) real = dlsym(RTLD_NEXT, "fcntl64"); return do_fcntl(real, fd, cmd, arg); }
