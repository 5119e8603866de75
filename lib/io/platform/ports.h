/* Who listens on a TCP port of this machine, from /proc. */
#ifndef LOCKSTEP_IO_PLATFORM_PORTS_H
#define LOCKSTEP_IO_PLATFORM_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/error.h"

struct port_listener {
    bool taken;
    pid_t pid; /* 0: it is taken, by a process that may not be looked at */
};
/* The first listener on the port, on any address of this network namespace. */
int port_listener(uint16_t port, struct port_listener *ret, struct error *e);

#endif
