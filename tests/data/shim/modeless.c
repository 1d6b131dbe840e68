/* A directory whose file system keeps no modes, for tests on machines where none can be mounted: whatever lies below
   $MODELESS has the mode 0755, as NTFS by FUSE shows it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_below(int directory, const char *path) {
    const char *medium = getenv("MODELESS");
    char handle[64], found[PATH_MAX];
    if (path && *path) {
        if ((directory != AT_FDCWD && *path != '/') || !realpath(path, found)) return 0;
    } else {
        snprintf(handle, sizeof handle, "/proc/self/fd/%d", directory);
        ssize_t length = readlink(handle, found, sizeof found - 1);
        if (length < 0) return 0;
        found[length] = 0;
    }
    return medium && !strncmp(found, medium, strlen(medium));
}

int statx(int directory, const char *path, int flags, unsigned mask, struct statx *found) {
    int result = syscall(SYS_statx, directory, path, flags, mask, found);
    if (result == 0 && is_below(directory, path)) found->stx_mode |= 0755;
    return result;
}
