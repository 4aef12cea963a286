/* Stands before the C library's calls that write files, counts them, and lets one, or all from one on, fail.
 *
 * Counted are calls on ordinary files alone, and those that make or rename one. It is loaded by LD_PRELOAD, so that the
 * calls of every library are seen: Python's, libvips', SQLite's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE, FROM_THEN_ON, SHORT_THEN_ON };

static long count, fails_at;
static int code, mode;
static char failed[64];

void faults_arm(long at, int error, int how) {
    __atomic_store_n(&count, 0, __ATOMIC_SEQ_CST);
    code = error;
    mode = how;
    failed[0] = 0;
    fails_at = at;
}

long faults_count(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }

const char *faults_failed(void) { return failed; }

/* Returns whether this call is to fail, which it counts. */
static int fails(const char *call) {
    long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (!fails_at || now < fails_at || (mode == ONCE && now > fails_at)) return 0;
    if (!failed[0]) strncpy(failed, call, sizeof failed - 1);
    errno = code;
    return 1;
}

static int is_file(int fd) {
    struct stat about;
    int before = errno;
    int is = fd > 2 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
    errno = before;
    return is;
}

static int is_written(int fd) {
    int before = errno;
    int flags = fcntl(fd, F_GETFL);
    errno = before;
    return flags != -1 && (flags & O_ACCMODE) != O_RDONLY && is_file(fd);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Returns the bytes of a write that still have room: half of them in the first call that fails for lack of it. */
static size_t room(size_t size) {
    return mode == SHORT_THEN_ON && faults_count() == fails_at && size > 1 ? size / 2 : 0;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (is_file(fd) && fails("write") && !(size = room(size))) return -1;
    return NEXT(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    if (is_file(fd) && fails("pwrite") && !(size = room(size))) return -1;
    return NEXT(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (is_file(fd) && fails("pwrite") && !(size = room(size))) return -1;
    return NEXT(pwrite64)(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
    if (is_file(fd) && fails("writev")) return -1;
    return NEXT(writev)(fd, parts, number);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
    if (is_file(to) && fails("sendfile")) return -1;
    return ((ssize_t(*)(int, int, off64_t *, size_t))dlsym(RTLD_NEXT, "sendfile64"))(to, from, at, size);
}

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t size, unsigned flags) {
    if (is_file(to) && fails("copy_file_range")) return -1;
    return NEXT(copy_file_range)(from, at, to, there, size, flags);
}

#define ON_NUMBER(name, parameters, arguments) \
    int name parameters { \
        if (is_file(fd) && fails(#name)) return -1; \
        return NEXT(name) arguments; \
    }

ON_NUMBER(fsync, (int fd), (fd))
ON_NUMBER(fdatasync, (int fd), (fd))
ON_NUMBER(ftruncate, (int fd, off_t size), (fd, size))
ON_NUMBER(ftruncate64, (int fd, off64_t size), (fd, size))
ON_NUMBER(fallocate, (int fd, int how, off_t at, off_t size), (fd, how, at, size))
ON_NUMBER(fallocate64, (int fd, int how, off64_t at, off64_t size), (fd, how, at, size))

int posix_fallocate(int fd, off_t at, off_t size) {
    if (is_file(fd) && fails("posix_fallocate")) return code;
    return NEXT(posix_fallocate)(fd, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size) {
    if (is_file(fd) && fails("posix_fallocate")) return code;
    return NEXT(posix_fallocate64)(fd, at, size);
}

int close(int fd) {
    int fail = is_written(fd) && fails("close");
    int result = NEXT(close)(fd);
    if (!fail) return result;
    errno = code;
    return -1;
}

#define ON_NAMES(name, parameters, arguments) \
    int name parameters { \
        if (fails(#name)) return -1; \
        return NEXT(name) arguments; \
    }

ON_NAMES(rename, (const char *old, const char *new), (old, new))
ON_NAMES(renameat, (int from, const char *old, int to, const char *new), (from, old, to, new))
ON_NAMES(link, (const char *old, const char *new), (old, new))
ON_NAMES(linkat, (int from, const char *old, int to, const char *new, int flags), (from, old, to, new, flags))
ON_NAMES(mkdir, (const char *path, mode_t rights), (path, rights))
ON_NAMES(mkdirat, (int folder, const char *path, mode_t rights), (folder, path, rights))

static int writes(const char *path, int flags) {
    int is_device = !strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6) || !strncmp(path, "/sys/", 5);
    return !is_device && !(flags & O_DIRECTORY) && ((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT);
}

#define RIGHTS(flags, rights) \
    mode_t rights = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        rights = va_arg(more, mode_t); \
        va_end(more); \
    }

#define OPENS(name, parameters, ...) \
    int name parameters { \
        RIGHTS(flags, rights) \
        if (writes(path, flags) && fails("open")) return -1; \
        return NEXT(name)(__VA_ARGS__); \
    }

OPENS(open, (const char *path, int flags, ...), path, flags, rights)
OPENS(open64, (const char *path, int flags, ...), path, flags, rights)
OPENS(openat, (int folder, const char *path, int flags, ...), folder, path, flags, rights)
OPENS(openat64, (int folder, const char *path, int flags, ...), folder, path, flags, rights)
