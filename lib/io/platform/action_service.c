/* Owns the start and stop of services as steps. It refuses starts that the stored permission does not allow. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/platform/actions.h"
#include "lib/io/platform/layout.h"
#include "lib/io/platform/permit.h"
#include "lib/io/platform/service.h"

static int start(struct act *act, const struct service_action *a, const struct service_place *place,
                 struct error *e)
{
    int r = permit_check(act->arena, act->state_dir, act->application, a->layout, e);
    if (r < 0) {
        return r;
    }
    if (a->layout != NULL && layout_swap_pending(act->arena, a->layout)) {
        return error_set(e, E_CONFLICT,
                         "a swap of %s was interrupted and is not finished: run the step that "
                         "swaps the release again",
                         a->layout);
    }
    act_log(act, "starting %s", service_words(place));
    r = service_start(place, e);
    if (r < 0) {
        act_log(act, "%s\n%s", e != NULL ? e->message : "", service_log_tail(place, 1500));
    }
    return r;
}

static int stop(struct act *act, const struct service_place *place, struct error *e)
{
    act_log(act, "stopping %s", service_words(place));
    return service_stop(place, e);
}

int act_service(struct act *act, const struct action *action, struct error *e)
{
    const struct service_action *a = action->service;
    if (a->service == NULL) {
        return error_set(e, E_INVALID,
                         "the application has no `service:` to start or stop: add one to its file");
    }
    struct service_place place = {.arena = act->arena,
                                  .service = a->service,
                                  .application = act->application,
                                  .state_dir = act->state_dir,
                                  .layout = a->layout,
                                  .program = act->program,
                                  .deadline_ms = act->deadline_ms};
    int r = 0;
    switch ((enum service_verb)a->verb) {
    case SERVICE_START:
        r = start(act, a, &place, e);
        break;
    case SERVICE_STOP:
        r = stop(act, &place, e);
        break;
    case SERVICE_RESTART:
        r = stop(act, &place, e);
        r = r == 0 ? start(act, a, &place, e) : r;
        break;
    }
    return r;
}

int act_deny(struct act *act, const struct action *action, struct error *e)
{
    return permit_deny(act->state_dir, act->application, act->run, action->deny->reason, e);
}

int act_permit(struct act *act, const struct action *action, struct error *e)
{
    return permit_allow(act->state_dir, act->application, action->permit->release,
                        action->permit->checkpoint, e);
}
