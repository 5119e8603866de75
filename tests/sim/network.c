/* Owns what travels: bytes of lib/wire, in streams as TCP's. What is under way in a broken stream is lost, the rest comes in
 * order; a stream may be silent on one side until somebody misses the heartbeats; reports may come twice, and late. */
#include <string.h>

#include "tests/sim/sim.h"

#define HEARTBEATS_MISSED_MS 15000
#define RECONNECT_MS         1500

static int64_t delay(struct sim *s)
{
    bool slow = s->now_ms < s->slow_until_ms;
    return 1 + (int64_t)chance(s, slow ? 8000 : 20);
}

/* In a stream nothing overtakes: later than all that is under way in it. */
static int64_t in_order(struct sim *s, enum happening what, uint32_t place)
{
    int64_t at_ms = s->now_ms + delay(s);
    for (size_t i = 0; i < s->queued; i++) {
        const struct event_in_queue *e = &s->queue[i];
        if (e->what == what && e->place == place && e->number == 0 &&
            e->connection == s->places[place].connection) {
            at_ms = MAX(at_ms, e->at_ms);
        }
    }
    return at_ms - s->now_ms;
}

static void travel(struct sim *s, enum happening what, uint32_t controller, uint32_t place,
                   struct bytes bytes, int64_t in_ms, bool astray)
{
    struct event_in_queue *e = later(s, in_ms, what);
    e->place = place;
    e->controller = controller;
    e->connection = s->places[place].connection;
    e->number = astray ? 1 : 0;
    e->bytes = bytes;
    s->coverage->messages++;
}

/* The message is lost, and the stream with it. */
static bool breaks(struct sim *s, uint32_t place)
{
    bool lost = ++s->counts.messages == s->script.message_at;
    if (!lost && !faults_due(s, FAULT_BREAK, place)) {
        return false;
    }
    s->coverage->lost++;
    network_break(s, place);
    return true;
}

void send_order(struct sim *s, uint32_t controller, uint32_t place, const struct wire_order *order)
{
    struct sim_controller *c = &s->controllers[controller];
    struct sim_place *p = &s->places[place];
    if (!c->session[place]) {
        return;
    }
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_order_pack(&s->scratch, order, &packed, &e) < 0) {
        violate(s, RULE_MACHINE, "an order cannot be packed: %s", e.message);
        return;
    }
    if (c->session_connection[place] != p->connection || p->deaf) {
        s->coverage->lost++;
        return; /* nobody is there any more, and it has not noticed */
    }
    if (breaks(s, place)) {
        return;
    }
    struct bytes bytes = bytes_copy(s, packed);
    travel(s, HAPPEN_ORDER, controller, place, bytes, in_order(s, HAPPEN_ORDER, place), false);
    if (order->type == WIRE_ORDER_INSTRUCTION && s->now_ms < s->twice_until_ms && percent(s, 40)) {
        travel(s, HAPPEN_ORDER, controller, place, bytes, in_order(s, HAPPEN_ORDER, place), false);
    }
}

void send_report(struct sim *s, uint32_t place, const struct wire_report *report)
{
    struct sim_place *p = &s->places[place];
    if (!p->connected) {
        return;
    }
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_report_pack(&s->scratch, report, &packed, &e) < 0) {
        violate(s, RULE_MACHINE, "a report cannot be packed: %s", e.message);
        return;
    }
    if (p->dumb) {
        s->coverage->lost++;
        return;
    }
    if (breaks(s, place)) {
        return;
    }
    struct bytes bytes = bytes_copy(s, packed);
    travel(s, HAPPEN_REPORT, p->owner, place, bytes, in_order(s, HAPPEN_REPORT, place), false);
    if (report->type == WIRE_REPORT_SERVING) {
        return; /* it is said once, in a stream that lives */
    }
    if (s->now_ms < s->twice_until_ms && percent(s, 40)) {
        travel(s, HAPPEN_REPORT, p->owner, place, bytes, delay(s), true);
    }
    if (s->now_ms < s->late_until_ms && percent(s, 50)) {
        travel(s, HAPPEN_REPORT, p->owner, place, bytes, (int64_t)chance(s, 3600 * 1000), true);
    }
}

/* ---- connections ---- */

static bool may_connect(const struct sim *s, uint32_t place, uint32_t to)
{
    const struct sim_place *p = &s->places[place];
    const struct sim_controller *c = &s->controllers[to];
    return p->up && !place_hangs(s, place) && c->up && c->busy_until_ms <= s->now_ms &&
           p->cut_until_ms <= s->now_ms;
}

static void try_again(struct sim *s, uint32_t place)
{
    struct event_in_queue *e = later(s, 500 + (int64_t)chance(s, RECONNECT_MS), HAPPEN_CONNECT);
    e->place = place;
}

void network_connect(struct sim *s, uint32_t place)
{
    struct sim_place *p = &s->places[place];
    if (p->connected || (!p->node && place != s->controllers[s->now_controller].executor)) {
        return;
    }
    /* A frozen controller that has woken answers at its address too, and knows of no successor. */
    bool old = s->now_controller == 1 && p->node && may_connect(s, place, 0) && percent(s, 30);
    uint32_t to = old ? 0 : s->now_controller;
    if (!may_connect(s, place, to)) {
        if (p->up) {
            try_again(s, place);
        }
        return;
    }
    struct sim_controller *c = &s->controllers[to];
    p->connected = true;
    p->deaf = false;
    p->dumb = false;
    p->connection++;
    p->owner = to;
    trace(s, "place %u connects to controller %u", (unsigned)place, (unsigned)c->generation);
    if (c->session[place]) {
        controller_session(s, to, place, false); /* the old stream is put away */
    }
    c->session[place] = true;
    c->session_connection[place] = p->connection;
    const struct wire_order welcome = {.type = WIRE_ORDER_WELCOME, .fence = c->fence};
    send_order(s, p->owner, place, &welcome);
    if (p->connected && c->up && c->session[place]) {
        controller_session(s, p->owner, place, true);
    }
}

/* Both ends notice, but for a frozen controller. */
void network_break(struct sim *s, uint32_t place)
{
    struct sim_place *p = &s->places[place];
    if (p->connected) {
        struct sim_controller *c = &s->controllers[p->owner];
        trace(s, "place %u is cut off", (unsigned)place);
        p->connected = false;
        if (c->up && c->busy_until_ms <= s->now_ms && c->session[place]) {
            c->session[place] = false;
            controller_session(s, p->owner, place, false);
        }
    }
    if (p->up) {
        try_again(s, place);
    }
}

/* It comes again, in the same order, when whom it is for is awake. */
static void wait_until(struct sim *s, const struct event_in_queue *e, int64_t at_ms)
{
    struct event_in_queue *again = later(s, at_ms - s->now_ms, e->what);
    again->place = e->place;
    again->controller = e->controller;
    again->connection = e->connection;
    again->number = e->number;
    again->bytes = e->bytes;
}

static void arrive_at_place(struct sim *s, const struct event_in_queue *e)
{
    struct sim_place *p = &s->places[e->place];
    if (!p->up || !p->connected || e->connection != p->connection) {
        s->coverage->lost++;
        return;
    }
    if (place_hangs(s, e->place)) {
        int64_t frozen_ms = p->copied ? s->controllers[0].busy_until_ms : 0;
        wait_until(s, e,
                   MAX(p->hangs_until_ms, frozen_ms)); /* all of them, so that none overtakes */
        return;
    }
    struct wire_order order = {0};
    struct error error = {0};
    if (wire_order_unpack(&s->scratch, e->bytes, &order, &error) < 0) {
        violate(s, RULE_MACHINE, "an order cannot be read: %s", error.message);
        return;
    }
    if (order.type == WIRE_ORDER_INSTRUCTION) {
        check_instructed(s, e->controller, e->place, &order.instruction.key);
    }
    place_order(s, e->place, &order);
}

void network_arrive(struct sim *s, const struct event_in_queue *e)
{
    if (e->what == HAPPEN_ORDER) {
        arrive_at_place(s, e);
        return;
    }
    struct sim_controller *c = &s->controllers[e->controller];
    bool stream = e->connection == c->session_connection[e->place] && c->session[e->place];
    if (!c->up || (!stream && e->number == 0)) {
        s->coverage->lost++;
        return;
    }
    if (c->busy_until_ms > s->now_ms) {
        wait_until(s, e, c->busy_until_ms);
        return;
    }
    struct wire_report report = {0};
    struct error error = {0};
    if (wire_report_unpack(&s->scratch, e->bytes, &report, &error) < 0) {
        violate(s, RULE_MACHINE, "a report cannot be read: %s", error.message);
        return;
    }
    controller_report(s, e->controller, e->place, &report);
}
