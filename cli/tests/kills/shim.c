/* Counts the steps by which a process changes something below a folder, and ends them as a test plans it.
 *
 * Loaded by LD_PRELOAD. Variables:
 *   KILLS_HOME  the folder, absolute, without symbolic links
 *   KILLS_LOG   a file outside of it. Without a plan every step is a line there, else only the one that was hit:
 *               <step> <filling step> <kind> <path>[ -> <other path>]
 *   KILLS_PLAN  kill:N   SIGKILL before the N-th step
 *               tear:N   the same, but if the step is a write, half of its bytes are written first
 *               full:N   the N-th filling step writes half of its bytes, and from then on there is no space
 *               once:N   the N-th filling step finds no space, later ones do
 *               lose:N   kill:N, and KILLS_SHADOW is what a power cut would leave of bytes that were not synced
 *               name:N   the same, also of names
 *   KILLS_SHADOW a copy of the folder as it was. With `lose` it is kept as a journalling file system keeps a disk in the worst
 *               case that is usual: names, lengths and modes change at once, bytes only when they are synced. With `name`, in the
 *               worst case that is promised: a name changes when its folder is synced. Then <shadow>.files has
 *               the bytes of each file under the number of its inode in the home; names in the shadow are links to those.
 *   KILLS_AHEAD  seconds by which the clock is ahead: what waits for a lease to end need not
 *   KILLS_STOPPED  seconds since 1970 at which the clock stands still; timers go on, they have a clock of their own
 *
 * A step changes something: what only fails (making a folder that is there) or changes nothing (opening a file that is
 * there) is none. fsync and its like are logged as step 0: a kill between two steps leaves the same files
 * whichever side of an fsync it is on. A filling step needs space: it makes a file, a folder or a link, or writes.
 *
 * What is not seen, and why that does no harm:
 *   - stores into mapped memory: SQLite maps only its -shm, an index of the write-ahead log that it makes anew when the
 *     last process that used it has died; the growth of the -shm is a write and is seen;
 *   - system calls that do not go through libc (inline assembler, as in the crate rustix): a test compares the steps
 *     with those that strace sees and fails if a crate begins to make some below the home;
 *   - writes by libc itself (stdio): nothing in the program writes by it; the same test would show it;
 *   - locks (fcntl, flock): they end with the process;
 *   - changes of a path through a symbolic link or "..": the program makes neither below its home.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PLACE (2 * PATH_MAX)
#define REAL(result, name, ...)                                        \
    static result (*real)(__VA_ARGS__);                                \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

enum plan { NONE, KILL, TEAR, FULL, ONCE, LOSE, NAME };
enum verdict { GO, HALF, SPLIT, NO_SPACE };

static char home[PATH_MAX];
static size_t home_length;
static char shadow[PATH_MAX];
static time_t ahead, stopped;
static int log_file = -1;
static enum plan plan;
static long planned;
static atomic_long steps, fillings;

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("KILLS_HOME"), *file = getenv("KILLS_LOG"), *what = getenv("KILLS_PLAN"),
               *copy = getenv("KILLS_SHADOW"), *seconds = getenv("KILLS_AHEAD"), *moment = getenv("KILLS_STOPPED");
    if (seconds) ahead = atol(seconds);
    if (moment) stopped = atol(moment);
    if (!folder || !*folder || strlen(folder) >= sizeof home) return;
    strcpy(home, folder);
    home_length = strlen(home);
    if (copy && strlen(copy) < sizeof shadow) strcpy(shadow, copy);
    if (file) log_file = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!what) return;
    static const struct { const char *name; enum plan plan; } plans[] = {
        {"kill:", KILL}, {"tear:", TEAR}, {"full:", FULL}, {"once:", ONCE}, {"lose:", LOSE}, {"name:", NAME}};
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        if (strncmp(what, plans[i].name, 5)) continue;
        plan = plans[i].plan;
        planned = atol(what + 5);
    }
}

static int is_below(const char *path) {
    return home_length && !strncmp(path, home, home_length) && (path[home_length] == '/' || !path[home_length]);
}

/* Where a path is, seen from a folder that is open; whether that is below the home. Keeps errno. */
static int find(int folder, const char *path, char *place) {
    if (!home_length || !path) return 0;
    int before = errno;
    if (*path == '/') {
        snprintf(place, PLACE, "%s", path);
    } else {
        char from[PATH_MAX], link[64];
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, from, sizeof from - 1);
        from[length < 0 ? 0 : length] = 0;
        snprintf(place, PLACE, "%s/%s", from, path);
    }
    errno = before;
    return is_below(place);
}

static int find_open(int file, char *place) {
    if (!home_length) return 0;
    int before = errno;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, place, PLACE - 1);
    place[length < 0 ? 0 : length] = 0;
    errno = before;
    return is_below(place);
}

static int is_there(const char *place) {
    struct stat found;
    int before = errno, there = !fstatat(AT_FDCWD, place, &found, AT_SYMLINK_NOFOLLOW);
    errno = before;
    return there;
}

static void note(long step, long filling, const char *kind, const char *place, const char *other) {
    if (log_file < 0) return;
    char line[2 * PLACE + 100];
    int length = snprintf(line, sizeof line, "%ld %ld %s %s%s%s\n", step, filling, kind, place,
                          other ? " -> " : "", other ? other : "");
    int before = errno;
    syscall(SYS_write, log_file, line, (size_t)length);
    errno = before;
}

__attribute__((noreturn)) static void die(void) {
    for (;;) {
        syscall(SYS_kill, getpid(), SIGKILL);
        pause();
    }
}

/* One step; `bytes` are those that a write asks for. */
static enum verdict step(const char *kind, const char *place, const char *other, int fills, size_t bytes) {
    long number = atomic_fetch_add(&steps, 1) + 1;
    long filling = fills ? atomic_fetch_add(&fillings, 1) + 1 : 0;
    if (plan == NONE) note(number, filling, kind, place, other);
    if ((plan == KILL || plan == TEAR || plan == LOSE || plan == NAME) && number == planned) {
        note(number, filling, kind, place, other);
        if (plan == TEAR && bytes > 1) return HALF;
        die();
    }
    if ((plan == FULL || plan == ONCE) && filling == planned && fills) {
        note(number, filling, kind, place, other);
        if (plan == FULL && bytes > 1) return SPLIT;
    }
    if (fills && ((plan == FULL && filling >= planned) || (plan == ONCE && filling == planned))) {
        errno = ENOSPC;
        return NO_SPACE;
    }
    return GO;
}

/* --- the shadow --- */

/* Where a place below the home is in the shadow; nothing without a shadow, and for a place elsewhere. */
static const char *shade(const char *place, char *in_shadow) {
    if (!*shadow || !is_below(place)) return NULL;
    snprintf(in_shadow, PLACE, "%s%s", shadow, place + home_length);
    return in_shadow;
}

/* Where the bytes of an open file are; nothing for a folder. */
static const char *shade_open(int file, const char *place, char *in_shadow) {
    struct stat found;
    if (!shade(place, in_shadow) || fstat(file, &found) || !S_ISREG(found.st_mode)) return NULL;
    if (plan == NAME) snprintf(in_shadow, PLACE, "%s.files/%lu", shadow, (unsigned long)found.st_ino);
    return in_shadow;
}

static int open_shade(const char *in_shadow, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, AT_FDCWD, in_shadow, flags | O_CLOEXEC, mode);
}

/* The bytes of a file are on the disk: in place, because several names may be those of one file. */
static void shade_bytes(int file, const char *place) {
    char in_shadow[PLACE], link[64], bytes[65536];
    if (!shade_open(file, place, in_shadow)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int from = open_shade(link, O_RDONLY, 0), to = open_shade(in_shadow, O_WRONLY, 0);
    if (from >= 0 && to >= 0) {
        off_t at = 0;
        for (ssize_t got; (got = pread(from, bytes, sizeof bytes, at)) > 0; at += got)
            syscall(SYS_pwrite64, to, bytes, (size_t)got, at);
        syscall(SYS_ftruncate, to, at);
    }
    if (from >= 0) close(from);
    if (to >= 0) close(to);
}

/* The names in a folder are on the disk. */
static void shade_names(const char *place) {
    char one[PLACE + 256], two[PLACE + 256], in_shadow[PLACE];
    struct dirent *entry;
    if (!shade(place, in_shadow)) return;
    for (char *slash = in_shadow + strlen(shadow); (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        syscall(SYS_mkdirat, AT_FDCWD, in_shadow, 0700);
        *slash = '/';
    }
    syscall(SYS_mkdirat, AT_FDCWD, in_shadow, 0700);
    DIR *folder = opendir(place);
    while (folder && (entry = readdir(folder))) {
        struct stat found, shown;
        snprintf(one, sizeof one, "%s/%s", place, entry->d_name);
        snprintf(two, sizeof two, "%s/%s", in_shadow, entry->d_name);
        if (lstat(one, &found) || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, ".")) continue;
        if (S_ISDIR(found.st_mode)) {
            syscall(SYS_mkdirat, AT_FDCWD, two, found.st_mode & 07777);
            continue;
        }
        if (S_ISLNK(found.st_mode)) {
            char target[PATH_MAX];
            ssize_t length = readlink(one, target, sizeof target - 1);
            target[length < 0 ? 0 : length] = 0;
            syscall(SYS_symlinkat, target, AT_FDCWD, two);
            continue;
        }
        snprintf(one, sizeof one, "%s.files/%lu", shadow, (unsigned long)found.st_ino);
        if (lstat(one, &found) || (!lstat(two, &shown) && shown.st_ino == found.st_ino)) continue;
        syscall(SYS_unlinkat, AT_FDCWD, two, 0);
        syscall(SYS_linkat, AT_FDCWD, one, AT_FDCWD, two, 0);
    }
    if (folder) closedir(folder);
    folder = opendir(in_shadow);
    while (folder && (entry = readdir(folder))) {
        snprintf(one, sizeof one, "%s/%s", place, entry->d_name);
        snprintf(two, sizeof two, "%s/%s", in_shadow, entry->d_name);
        if (!strcmp(entry->d_name, "..") || !strcmp(entry->d_name, ".") || is_there(one)) continue;
        if (syscall(SYS_unlinkat, AT_FDCWD, two, 0)) syscall(SYS_unlinkat, AT_FDCWD, two, AT_REMOVEDIR);
    }
    if (folder) closedir(folder);
}

static void shade_file(int file, int folder, const char *path, int flags, mode_t mode) {
    char place[PLACE], in_shadow[PLACE];
    if (file < 0 || !*shadow || !(flags & (O_CREAT | O_TRUNC)) || !find(folder, path, place)) return;
    int before = errno;
    if (shade_open(file, place, in_shadow)) {
        int to = open_shade(in_shadow, O_WRONLY | (flags & (O_CREAT | O_TRUNC)), mode);
        if (to >= 0) close(to);
    }
    errno = before;
}

static void shade_length(int done, int file, const char *place, off_t length) {
    char in_shadow[PLACE];
    if (done || !*shadow) return;
    int before = errno;
    if (file < 0 ? shade(place, in_shadow) : shade_open(file, place, in_shadow)) {
        int to = open_shade(in_shadow, O_WRONLY, 0);
        if (to >= 0) syscall(SYS_ftruncate, to, length);
        if (to >= 0) close(to);
    }
    errno = before;
}

/* A change of names that was done: the same in the shadow. */
#define SHADE(done, call)                                           \
    do {                                                            \
        int before = errno;                                         \
        if (!(done) && plan != NAME) call;                          \
        errno = before;                                             \
    } while (0)

static void synced(const char *kind, int file) {
    char place[PLACE];
    if ((plan != NONE && !*shadow) || !find_open(file, place)) return;
    if (plan == NONE) note(0, 0, kind, place, NULL);
    struct stat found;
    int before = errno;
    if (*shadow && !fstat(file, &found)) {
        if (!S_ISDIR(found.st_mode)) shade_bytes(file, place);
        else if (plan == NAME) shade_names(place);
    }
    errno = before;
}

/* --- opening --- */

static enum verdict opening(int folder, const char *path, int flags) {
    char place[PLACE];
    if (!(flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE) return GO;
    if (!find(folder, path, place)) return GO;
    if ((flags & O_TMPFILE) == O_TMPFILE) return step("open", place, NULL, 1, 0);
    struct stat found;
    int before = errno, there = !stat(place, &found);
    errno = before;
    if (!there) return flags & O_CREAT ? step("open", place, NULL, 1, 0) : GO;
    int cuts = flags & O_TRUNC && !(flags & O_EXCL) && (flags & O_ACCMODE) != O_RDONLY && found.st_size > 0;
    return cuts ? step("cut", place, NULL, 0, 0) : GO;
}

#define MODE(flags)                                                 \
    mode_t mode = 0;                                                \
    if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) {    \
        va_list more;                                               \
        va_start(more, flags);                                      \
        mode = (mode_t)va_arg(more, int);                           \
        va_end(more);                                               \
    }

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        MODE(flags)                                                 \
        REAL(int, #name, const char *, int, ...);                   \
        if (opening(AT_FDCWD, path, flags) != GO) return -1;        \
        int file = real(path, flags, mode);                         \
        shade_file(file, AT_FDCWD, path, flags, mode);              \
        return file;                                                \
    }
#define OPEN_AT(name)                                               \
    int name(int folder, const char *path, int flags, ...) {        \
        MODE(flags)                                                 \
        REAL(int, #name, int, const char *, int, ...);              \
        if (opening(folder, path, flags) != GO) return -1;          \
        int file = real(folder, path, flags, mode);                 \
        shade_file(file, folder, path, flags, mode);                \
        return file;                                                \
    }
#define CREATE(name)                                                \
    int name(const char *path, mode_t mode) {                       \
        REAL(int, #name, const char *, mode_t);                     \
        if (opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC) != GO) return -1; \
        int file = real(path, mode);                                \
        shade_file(file, AT_FDCWD, path, O_CREAT | O_TRUNC, mode);  \
        return file;                                                \
    }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
CREATE(creat)
CREATE(creat64)

/* --- writing --- */

/* What becomes of a write of that many bytes: `half` does half of it. */
#define WRITING(kind, file, count, all, half)                       \
    char place[PLACE];                                              \
    if (!(count) || !find_open(file, place)) return all;            \
    switch (step(kind, place, NULL, 1, count)) {                    \
        case HALF:                                                  \
            (void)!(half);                                          \
            die();                                                  \
        case SPLIT: return half;                                    \
        case NO_SPACE: return -1;                                   \
        default: return all;                                        \
    }

ssize_t write(int file, const void *bytes, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    WRITING("write", file, count, real(file, bytes, count), real(file, bytes, count / 2))
}

#define WRITE_AT(name, offset_type)                                 \
    ssize_t name(int file, const void *bytes, size_t count, offset_type offset) { \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
        WRITING("write", file, count, real(file, bytes, count, offset), real(file, bytes, count / 2, offset)) \
    }
WRITE_AT(pwrite, off_t)
WRITE_AT(pwrite64, off64_t)

static size_t total(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; i++) sum += parts[i].iov_len;
    return sum;
}

/* Writes the first half of the parts; without an offset where the file stands. */
static ssize_t half_of(int file, const struct iovec *parts, int count, off64_t offset) {
    size_t length = total(parts, count) / 2, joined = 0;
    char *bytes = malloc(length + 1);
    for (int i = 0; bytes && i < count && joined < length; i++) {
        size_t taken = parts[i].iov_len < length - joined ? parts[i].iov_len : length - joined;
        memcpy(bytes + joined, parts[i].iov_base, taken);
        joined += taken;
    }
    ssize_t written = offset < 0 ? syscall(SYS_write, file, bytes, joined)
                                 : syscall(SYS_pwrite64, file, bytes, joined, offset);
    free(bytes);
    return written;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    WRITING("write", file, total(parts, count), real(file, parts, count), half_of(file, parts, count, -1))
}

#define WRITE_PARTS_AT(name, offset_type)                           \
    ssize_t name(int file, const struct iovec *parts, int count, offset_type offset) { \
        REAL(ssize_t, #name, int, const struct iovec *, int, offset_type); \
        WRITING("write", file, total(parts, count), real(file, parts, count, offset), \
                half_of(file, parts, count, offset))                \
    }
WRITE_PARTS_AT(pwritev, off_t)
WRITE_PARTS_AT(pwritev64, off64_t)

#define WRITE_PARTS_WITH(name, offset_type)                         \
    ssize_t name(int file, const struct iovec *parts, int count, offset_type offset, int flags) { \
        REAL(ssize_t, #name, int, const struct iovec *, int, offset_type, int); \
        WRITING("write", file, total(parts, count), real(file, parts, count, offset, flags), \
                half_of(file, parts, count, offset))                \
    }
WRITE_PARTS_WITH(pwritev2, off_t)
WRITE_PARTS_WITH(pwritev64v2, off64_t)

ssize_t copy_file_range(int from, off64_t *at, int file, off64_t *to, size_t count, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    WRITING("copy", file, count, real(from, at, file, to, count, flags), real(from, at, file, to, count / 2, flags))
}

#define SEND(name, offset_type)                                     \
    ssize_t name(int file, int from, offset_type *at, size_t count) { \
        REAL(ssize_t, #name, int, int, offset_type *, size_t);      \
        WRITING("copy", file, count, real(file, from, at, count), real(file, from, at, count / 2)) \
    }
SEND(sendfile, off_t)
SEND(sendfile64, off64_t)

ssize_t splice(int from, off64_t *at, int file, off64_t *to, size_t count, unsigned flags) {
    REAL(ssize_t, "splice", int, off64_t *, int, off64_t *, size_t, unsigned);
    WRITING("copy", file, count, real(from, at, file, to, count, flags), real(from, at, file, to, count / 2, flags))
}

/* --- the length of a file --- */

#define FALLOCATE(name, offset_type)                                \
    int name(int file, int mode, offset_type from, offset_type length) { \
        REAL(int, #name, int, int, offset_type, offset_type);       \
        char place[PLACE];                                          \
        if (find_open(file, place) && step("reserve", place, NULL, 1, 0) != GO) return -1; \
        return real(file, mode, from, length);                      \
    }
FALLOCATE(fallocate, off_t)
FALLOCATE(fallocate64, off64_t)

#define POSIX_FALLOCATE(name, offset_type)                          \
    int name(int file, offset_type from, offset_type length) {      \
        REAL(int, #name, int, offset_type, offset_type);            \
        char place[PLACE];                                          \
        if (find_open(file, place) && step("reserve", place, NULL, 1, 0) != GO) return ENOSPC; \
        return real(file, from, length);                            \
    }
POSIX_FALLOCATE(posix_fallocate, off_t)
POSIX_FALLOCATE(posix_fallocate64, off64_t)

#define CUT_OPEN(name, offset_type)                                 \
    int name(int file, offset_type length) {                        \
        REAL(int, #name, int, offset_type);                         \
        char place[PLACE];                                          \
        int below = find_open(file, place);                         \
        if (below) step("cut", place, NULL, 0, 0);                  \
        int done = real(file, length);                              \
        if (below) shade_length(done, file, place, length);         \
        return done;                                                \
    }
CUT_OPEN(ftruncate, off_t)
CUT_OPEN(ftruncate64, off64_t)

#define CUT(name, offset_type)                                      \
    int name(const char *path, offset_type length) {                \
        REAL(int, #name, const char *, offset_type);                \
        char place[PLACE];                                          \
        int below = find(AT_FDCWD, path, place);                    \
        if (below && is_there(place)) step("cut", place, NULL, 0, 0); \
        int done = real(path, length);                              \
        if (below) shade_length(done, -1, place, length);           \
        return done;                                                \
    }
CUT(truncate, off_t)
CUT(truncate64, off64_t)

/* --- names --- */

static void moving(int from_folder, const char *from, int to_folder, const char *to) {
    char place[PLACE], other[PLACE];
    int leaves = find(from_folder, from, place), comes = find(to_folder, to, other);
    if ((leaves || comes) && is_there(place)) step("rename", place, other, 0, 0);
}

static int moved(int done, int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char place[PLACE], other[PLACE], one[PLACE], two[PLACE];
    if (!*shadow || !find(from_folder, from, place) || !find(to_folder, to, other)) return done;
    SHADE(done, syscall(SYS_renameat2, AT_FDCWD, shade(place, one), AT_FDCWD, shade(other, two), flags));
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    moving(AT_FDCWD, from, AT_FDCWD, to);
    return moved(real(from, to), AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    moving(from_folder, from, to_folder, to);
    return moved(real(from_folder, from, to_folder, to), from_folder, from, to_folder, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    moving(from_folder, from, to_folder, to);
    return moved(real(from_folder, from, to_folder, to, flags), from_folder, from, to_folder, to, flags);
}

static int linking(const char *kind, const char *from, int folder, const char *path) {
    char place[PLACE];
    return find(folder, path, place) && !is_there(place) && step(kind, from, place, 1, 0) != GO;
}

static int linked(int done, int from_folder, const char *from, int to_folder, const char *to) {
    char place[PLACE], other[PLACE], one[PLACE], two[PLACE];
    if (!*shadow || !find(from_folder, from, place) || !find(to_folder, to, other)) return done;
    SHADE(done, syscall(SYS_linkat, AT_FDCWD, shade(place, one), AT_FDCWD, shade(other, two), 0));
    return done;
}

int link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    if (linking("link", from, AT_FDCWD, to)) return -1;
    return linked(real(from, to), AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    if (linking("link", from, to_folder, to)) return -1;
    return linked(real(from_folder, from, to_folder, to, flags), from_folder, from, to_folder, to);
}

static int pointed(int done, const char *from, int folder, const char *to) {
    char place[PLACE], in_shadow[PLACE];
    if (!*shadow || !find(folder, to, place)) return done;
    SHADE(done, syscall(SYS_symlinkat, from, AT_FDCWD, shade(place, in_shadow)));
    return done;
}

int symlink(const char *from, const char *to) {
    REAL(int, "symlink", const char *, const char *);
    return linking("symlink", from, AT_FDCWD, to) ? -1 : pointed(real(from, to), from, AT_FDCWD, to);
}

int symlinkat(const char *from, int folder, const char *to) {
    REAL(int, "symlinkat", const char *, int, const char *);
    return linking("symlink", from, folder, to) ? -1 : pointed(real(from, folder, to), from, folder, to);
}

static int making(int folder, const char *path) {
    char place[PLACE];
    return find(folder, path, place) && !is_there(place) && step("mkdir", place, NULL, 1, 0) != GO;
}

static int made(int done, int folder, const char *path, mode_t mode) {
    char place[PLACE], in_shadow[PLACE];
    if (!*shadow || !find(folder, path, place)) return done;
    SHADE(done, syscall(SYS_mkdirat, AT_FDCWD, shade(place, in_shadow), mode));
    return done;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return making(AT_FDCWD, path) ? -1 : made(real(path, mode), AT_FDCWD, path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t);
    return making(folder, path) ? -1 : made(real(folder, path, mode), folder, path, mode);
}

static void changing(const char *kind, int folder, const char *path) {
    char place[PLACE];
    if (path ? find(folder, path, place) && is_there(place) : find_open(folder, place)) step(kind, place, NULL, 0, 0);
}

static int gone(int done, int folder, const char *path, int flags) {
    char place[PLACE], in_shadow[PLACE];
    if (!*shadow || !find(folder, path, place)) return done;
    SHADE(done, syscall(SYS_unlinkat, AT_FDCWD, shade(place, in_shadow), flags));
    return done;
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    changing("unlink", AT_FDCWD, path);
    return gone(real(path), AT_FDCWD, path, 0);
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    changing("unlink", folder, path);
    return gone(real(folder, path, flags), folder, path, flags);
}

int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    changing("rmdir", AT_FDCWD, path);
    return gone(real(path), AT_FDCWD, path, AT_REMOVEDIR);
}

/* --- the clock --- */

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int failed = real(clock, now);
    if (failed || clock != CLOCK_REALTIME) return failed;
    if (stopped) *now = (struct timespec){.tv_sec = stopped};
    now->tv_sec += ahead;
    return failed;
}

/* --- modes and times --- */

int chmod(const char *path, mode_t mode) {
    REAL(int, "chmod", const char *, mode_t);
    changing("chmod", AT_FDCWD, path);
    char place[PLACE], in_shadow[PLACE];
    int done = real(path, mode);
    if (*shadow && find(AT_FDCWD, path, place))
        SHADE(done, syscall(SYS_fchmodat, AT_FDCWD, shade(place, in_shadow), mode));
    return done;
}

int fchmod(int file, mode_t mode) {
    REAL(int, "fchmod", int, mode_t);
    changing("chmod", file, NULL);
    return real(file, mode);
}

int fchmodat(int folder, const char *path, mode_t mode, int flags) {
    REAL(int, "fchmodat", int, const char *, mode_t, int);
    changing("chmod", folder, path);
    return real(folder, path, mode, flags);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    REAL(int, "utimensat", int, const char *, const struct timespec *, int);
    changing("times", folder, path);
    return real(folder, path, times, flags);
}

int futimens(int file, const struct timespec times[2]) {
    REAL(int, "futimens", int, const struct timespec *);
    changing("times", file, NULL);
    return real(file, times);
}

/* --- syncs --- */

int fsync(int file) {
    REAL(int, "fsync", int);
    synced("sync", file);
    return real(file);
}

int fdatasync(int file) {
    REAL(int, "fdatasync", int);
    synced("sync", file);
    return real(file);
}
