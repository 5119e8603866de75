/* Owns the choice of the driver. It refuses a service that names none. */
#include "lib/io/platform/service.h"

static const struct service_driver *driver_of(const struct service_place *place)
{
    assert(place->service != NULL);
    assert((place->service->systemd != NULL) != (place->service->process != NULL));
    return place->service->systemd != NULL ? &service_systemd_driver : &service_process_driver;
}

int service_exists(const struct service_place *place, struct error *e)
{
    return driver_of(place)->exists(place, e);
}

int service_start(const struct service_place *place, struct error *e)
{
    return driver_of(place)->start(place, e);
}

int service_stop(const struct service_place *place, struct error *e)
{
    return driver_of(place)->stop(place, e);
}

int service_state(const struct service_place *place, struct service_status *ret, struct error *e)
{
    return driver_of(place)->state(place, ret, e);
}

const char *service_log_tail(const struct service_place *place, size_t bytes_max)
{
    return driver_of(place)->log_tail(place, bytes_max);
}

const char *service_words(const struct service_place *place)
{
    const struct service *service = place->service;
    return service->systemd != NULL
               ? arena_printf(place->arena, "unit %s", service->systemd)
               : arena_printf(place->arena, "process %s", service->process->command.argv.items[0]);
}
