/* Owns the reading of /proc for sockets that listen. It changes nothing. */
#include "lib/io/platform/ports.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/files.h"

#define TCP_LISTEN      0x0A /* the kernel's include/net/tcp_states.h */
#define PORT_INODES_MAX 64   /* listeners on one port: addresses, SO_REUSEPORT workers */

struct inodes {
    unsigned long long items[PORT_INODES_MAX];
    size_t count;
};

/* The format: kernel's Documentation/networking/proc_net_tcp.rst. */
static void read_listeners(const char *path, uint16_t port, struct inodes *inodes)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    char line[512];
    while (fgets(line, sizeof(line), file) != NULL && inodes->count < PORT_INODES_MAX) {
        unsigned local_port;
        unsigned state;
        unsigned long long inode;
        int n = sscanf(
            line, "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %llu",
            &local_port, &state, &inode);
        if (n == 3 && local_port == port && state == TCP_LISTEN) {
            inodes->items[inodes->count++] = inode;
        }
    }
    fclose(file);
}

static bool holds(const char *pid, const struct inodes *inodes)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    bool found = false;
    struct dirent *entry;
    while (!found && (entry = readdir(dir)) != NULL) {
        char target[64];
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
        unsigned long long inode;
        if (len <= 0) {
            continue;
        }
        target[len] = '\0';
        if (sscanf(target, "socket:[%llu]", &inode) != 1) {
            continue;
        }
        for (size_t i = 0; i < inodes->count; i++) {
            found = found || inodes->items[i] == inode;
        }
    }
    closedir(dir);
    return found;
}

int port_listener(uint16_t port, struct port_listener *ret, struct error *e)
{
    struct inodes inodes = {.count = 0};
    read_listeners("/proc/net/tcp", port, &inodes);
    read_listeners("/proc/net/tcp6", port, &inodes);
    *ret = (struct port_listener){.taken = inodes.count > 0};
    if (!ret->taken) {
        return 0;
    }
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return file_error(e, errno, "read", "/proc");
    }
    struct dirent *entry;
    while (ret->pid == 0 && (entry = readdir(proc)) != NULL) {
        uint64_t pid;
        if (str_to_u64(entry->d_name, INT32_MAX, &pid) && holds(entry->d_name, &inodes)) {
            ret->pid = (pid_t)pid;
        }
    }
    closedir(proc);
    return 0;
}
