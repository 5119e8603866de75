/* Owns what `lockstep db status` and `plan` print. They look; nothing is changed, nothing is created. */
#include "cli/db_run.h"
#include "cli/output.h"
#include "lib/base/str.h"

#define LIST_MAX 20 /* ids of one list for people; --json has all */

static void print_ids(const char *heading, const char *const *ids, size_t count)
{
    if (count == 0) {
        return;
    }
    printf("%-10s %zu: ", heading, count);
    for (size_t i = 0; i < count && i < LIST_MAX; i++) {
        printf("%s%s", i > 0 ? ", " : "", ids[i]);
    }
    printf("%s\n", count > LIST_MAX ? " …" : "");
}

static json_t *texts_json(const struct strings *texts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < texts->count; i++) {
        json_array_append_new(list, json_text(texts->items[i]));
    }
    return list;
}

static const char *const mark_words[] = {"none", "pending", "failed"};

static json_t *mark_json(const struct db_ledger *ledger)
{
    if (ledger->mark == DB_MARK_NONE) {
        return json_null();
    }
    return json_pack("{s:s, s:o, s:b, s:o}", "state", mark_words[ledger->mark], "id",
                     json_text(ledger->mark_id), "down", (int)ledger->mark_down, "words",
                     json_text(ledger->mark_words));
}

static json_t *holder_json(const struct db_look *look)
{
    const struct db_holder *h = &look->holder;
    return h->run == NULL ? json_null()
                          : json_pack("{s:o, s:o, s:I, s:o}", "run", json_text(h->run), "host",
                                      json_text(h->host), "pid", (json_int_t)h->pid, "since",
                                      json_text(h->since));
}

static json_t *answers_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < DB_ANSWERS; i++) {
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s}", "word", db_answers[i].word, "means",
                                        db_answers[i].means, "when", db_answers[i].when));
    }
    return list;
}

static json_t *unsettled_json(const struct db_look *look)
{
    json_t *list = json_array();
    for (size_t i = 0; i < look->unsettled_count; i++) {
        const struct db_unsettled *u = &look->unsettled[i];
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:s, s:b, s:o, s:o, s:i, s:o, s:o, s:o, s:o}", "id",
                            json_text(u->item), "file", json_text(u->file), "direction",
                            u->down ? "down" : "up", "ours", (int)u->ours, "run", json_text(u->run),
                            "at", json_text(u->at), "line", u->line, "statement",
                            json_text(u->statement), "mark", json_text(u->mark), "or_down",
                            json_text(u->or_down), "answers", answers_json()));
    }
    return list;
}

static json_t *pending_json(const struct db_look *look, bool late)
{
    json_t *list = json_array();
    for (size_t i = 0; i < look->pending_count; i++) {
        if (!late || look->pending[i].late) {
            json_array_append_new(list, json_text(look->pending[i].migration->id));
        }
    }
    return list;
}

static void print_document(struct db_call *call, const struct db_look *look)
{
    json_t *document =
        json_pack("{s:s, s:o, s:o, s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "database",
                  call->ref.name, "engine", json_text(look->engine), "place",
                  json_text(look->place), "format", call->format->name, "ledger_exists",
                  (int)look->ledger.exists, "applied_count", (json_int_t)look->applied.count,
                  "newest", json_text(look->newest != NULL ? look->newest->id : NULL), "applied",
                  texts_json(&look->applied), "pending", pending_json(look, false), "late",
                  pending_json(look, true), "unknown", texts_json(&look->unknown), "mark",
                  mark_json(&look->ledger));
    json_object_set_new(document, "puzzle", json_text(look->puzzle));
    json_object_set_new(document, "unsettled", unsettled_json(look));
    json_object_set_new(document, "fence", json_integer((json_int_t)look->fence));
    json_object_set_new(document, "lock",
                        json_pack("{s:b, s:o, s:o}", "held", (int)look->lock.held, "words",
                                  json_text(look->lock.words), "holder", holder_json(look)));
    print_json(document);
}

static void print_pending(struct db_call *call, const struct db_look *look)
{
    const char **ids = ARENA_ARRAY(call->arena, look->pending_count, const char *);
    const char **late = ARENA_ARRAY(call->arena, look->pending_count, const char *);
    size_t late_count = 0;
    for (size_t i = 0; i < look->pending_count; i++) {
        ids[i] = db_migration_words(call->arena, look->pending[i].migration);
        if (look->pending[i].late) {
            late[late_count++] = ids[i];
        }
    }
    if (call->folder.from != NULL && look->pending_count == 0 && look->puzzle == NULL) {
        puts("pending    none");
    }
    print_ids("pending", ids, look->pending_count);
    print_ids("late", late, late_count);
}

/* The ways out, each with what it does and when it is the right one. */
static void print_answers(struct arena *arena, const struct db_unsettled *u)
{
    puts("           look at what it made, then say what is so with lockstep db");
    for (int i = 0; i < DB_ANSWERS; i++) {
        const char *rest = i == DB_ANSWER_DOWN ? "--to …" : u->item;
        printf("             %s\n                 %s\n                 When: %s\n",
               arena_printf(arena, "%s %s", db_answers[i].word, rest), db_answers[i].means,
               db_answers[i].when);
    }
}

static void print_status(struct db_call *call, const struct db_look *look)
{
    printf("database   %s at %s\n", look->engine, look->place);
    printf("ledger     %s: %s\n", call->format->name, db_look_words(call->arena, look));
    print_pending(call, look);
    print_ids("unknown", look->unknown.items, look->unknown.count);
    if (look->puzzle != NULL) {
        printf("unknown    %s\n", look->puzzle);
    }
    for (size_t i = 0; i < look->unsettled_count; i++) {
        printf("open       %s\n", db_unsettled_words(call->arena, &look->unsettled[i]));
        print_answers(call->arena, &look->unsettled[i]);
    }
    printf("lock       %s\n", look->lock.held ? look->lock.words : "free");
}

int db_show_status(struct context *c)
{
    struct db_call call;
    int status = CLI_WRONG_USE;
    enum db_need need = args_text(&c->args, "dir") != NULL ? DB_NEEDS_FOLDER : DB_NEEDS_FORMAT;
    if (!db_call_read(c, need, &call, &status)) {
        return status;
    }
    struct db_look look;
    struct error e = {0};
    if (db_look_once(&call, &look, &e) < 0) {
        return db_fail_with(&e);
    }
    if (c->json) {
        print_document(&call, &look);
    } else {
        print_status(&call, &look);
    }
    return look.unsettled_count > 0 ? CLI_PAUSED : CLI_DONE;
}

int db_show_plan(struct db_call *call, bool down, const char *to)
{
    struct db_look look;
    struct db_way way = {0};
    struct error e = {0};
    int rc = db_look_ahead(call, &look, &e);
    rc = rc < 0 ? rc : db_way_find(call, &look, down, to, &way, &e);
    const char *rehearsal = args_text(&call->c->args, "rehearsal");
    if (rc == 0 && rehearsal != NULL) {
        rc = db_expect_read(call, rehearsal, &way, &e);
    }
    if (rc < 0) {
        return db_fail_with(&e);
    }
    if (call->c->json) {
        json_t *list = db_way_json(&way);
        for (size_t i = 0; i < way.count; i++) {
            struct strings locks = db_way_locks(call, &way, i);
            json_object_set_new(json_array_get(list, i), "locks", texts_json(&locks));
        }
        print_json(json_pack("{s:s, s:s, s:s, s:o}", "database", call->ref.name, "format",
                             call->format->name, "direction", down ? "down" : "up", "migrations",
                             list));
    } else {
        db_way_print(call, &look, &way);
    }
    return CLI_DONE;
}
