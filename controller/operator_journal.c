/* Owns the reading of a run's journal by operators, a page at a time. Who may: operators, for logs of steps are in it. */
#include <string.h>

#include "controller/operator.h"
#include "lib/base/str.h"
#include "lib/io/store/journal.h"

#define PAGE_BYTES   (1024 * 1024)
#define PAGE_RECORDS 10000

struct page {
    struct arena *arena;
    Lockstep__V1__JournalReply *reply;
    size_t capacity, bytes;
};

static int take(void *context, uint64_t number, struct bytes data, struct error *e UNUSED)
{
    struct page *p = context;
    Lockstep__V1__JournalReply *reply = p->reply;
    if (reply->n_records == PAGE_RECORDS || (p->bytes > 0 && p->bytes + data.len > PAGE_BYTES)) {
        reply->more = true;
        return 1;
    }
    Lockstep__V1__JournalRecord *record = ARENA_NEW(p->arena, Lockstep__V1__JournalRecord);
    lockstep__v1__journal_record__init(record);
    record->number = number;
    record->record.data = arena_alloc(p->arena, data.len);
    record->record.len = data.len;
    memcpy(record->record.data, data.data, data.len);
    reply->records = arena_grow(p->arena, reply->records, reply->n_records, &p->capacity,
                                sizeof(*reply->records));
    reply->records[reply->n_records++] = record;
    p->bytes += data.len;
    return 0;
}

static int head(struct controller *c, struct arena *arena, const char *id,
                Lockstep__V1__JournalReply *reply, struct error *e)
{
    struct stored_run run = {0};
    struct bytes plan = {0};
    struct bytes bundle = {0};
    int r = store_run(c->store, arena, id, &run, e);
    r = r < 0 ? r : store_plan(c->store, arena, run.plan_id, &plan, &bundle, e);
    if (r < 0) {
        return r;
    }
    reply->run = operator_run_summary(c, arena, &run);
    reply->plan = (ProtobufCBinaryData){.data = (uint8_t *)plan.data, .len = plan.len};
    reply->plan_id = (char *)run.plan_id;
    reply->bundle = (Lockstep__V1__Bundle *)REPLY_REQUEST(Bundle, bundle, arena, bundle, e);
    return reply->bundle == NULL ? e->code : 0;
}

void operator_journal(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_OPERATOR)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    const char *run = NULL;
    Lockstep__V1__JournalReply reply = LOCKSTEP__V1__JOURNAL_REPLY__INIT;
    struct page page = {.arena = &arena, .reply = &reply};
    const Lockstep__V1__JournalRequest *request =
        REPLY_REQUEST(JournalRequest, journal_request, &arena, message, &e);
    int r = request == NULL
                ? e.code
                : operator_find_run(c, &arena, request->run, request->cluster, &run, &e);
    if (r == 0 && request->after == 0) {
        r = head(c, &arena, run, &reply, &e);
    }
    r = r < 0 ? r : journal_read(c->journal, run, request->after, take, &page, &e);
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}
