/* Owns the wire's form of spec files. */
#include "cli/bundle.h"

#include "cli/output.h"

Lockstep__V1__Bundle *bundle_of(struct arena *arena, const struct spec_set *set,
                                const char *message)
{
    Lockstep__V1__Bundle *bundle = ARENA_NEW(arena, Lockstep__V1__Bundle);
    lockstep__v1__bundle__init(bundle);
    bundle->files = ARENA_ARRAY(arena, set->count + 1, Lockstep__V1__File *);
    for (size_t i = 0; i < set->count; i++) {
        Lockstep__V1__File *file = ARENA_NEW(arena, Lockstep__V1__File);
        lockstep__v1__file__init(file);
        file->name = (char *)set->files[i].name;
        file->text =
            (ProtobufCBinaryData){.data = (uint8_t *)set->files[i].text, .len = set->files[i].len};
        bundle->files[bundle->n_files++] = file;
    }
    if (message != NULL) {
        bundle->message = (char *)message;
    }
    return bundle;
}

void bundle_say_complaints(struct arena *arena, Lockstep__V1__Complaint *const *items, size_t count)
{
    struct complaint *list = ARENA_ARRAY(arena, count + 1, struct complaint);
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct complaint){.file = items[i]->file,
                                     .line = (int)items[i]->line,
                                     .column = (int)items[i]->column,
                                     .message = items[i]->message};
    }
    say_complaints(list, count);
}
