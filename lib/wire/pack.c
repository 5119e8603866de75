/* Owns protobuf-c's memory. It refuses frames past their limit, and small frames that blow up. */
#include "lib/wire/pack.h"

#include <string.h>

/* An unpacked message may take this much: 32 bytes of struct for each byte, and some for the first ones. */
#define BLOW_UP      32
#define BLOW_UP_BASE ((size_t)16 * 1024)

struct budget {
    struct arena *arena;
    size_t left;
};

static void *take(void *data, size_t size)
{
    struct budget *budget = data;
    /* what the arena rounds up to, and an empty one still has an address */
    size_t rounded = size + 32;
    if (rounded > budget->left) {
        return NULL;
    }
    budget->left -= rounded;
    return arena_alloc(budget->arena, size == 0 ? 1 : size);
}

static void leave(void *data, void *pointer)
{
    (void)data; /* the arena is given back whole */
    (void)pointer;
}

int wire_pack_max(struct arena *arena, const ProtobufCMessage *message, size_t bytes_max,
                  struct bytes *ret, struct error *e)
{
    assert(message != NULL && ret != NULL);
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > bytes_max) {
        return error_set(e, E_LIMIT, "a %s of %zu bytes passes the limit of %zu",
                         message->descriptor->short_name, size, bytes_max);
    }
    uint8_t *data = arena_alloc(arena, size + 1);
    size_t packed = protobuf_c_message_pack(message, data);
    assert(packed == size);
    *ret = (struct bytes){.data = data, .len = packed};
    return 0;
}

int wire_pack(struct arena *arena, const ProtobufCMessage *message, struct bytes *ret,
              struct error *e)
{
    return wire_pack_max(arena, message, LIMIT_FRAME_BYTES, ret, e);
}

static void make_plain(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        bool control = (unsigned char)*c < 0x20 && *c != '\n' && *c != '\t';
        bool escape = (unsigned char)c[0] == 0xc2 && (unsigned char)c[1] >= 0x80 &&
                      (unsigned char)c[1] < 0xa0;
        if (control || *c == 0x7f) {
            *c = '?';
        } else if (escape) {
            c[0] = '?';
            c[1] = '?';
        }
    }
}

static void make_texts_plain(void *message);

static void make_field_plain(const ProtobufCFieldDescriptor *field, void *value)
{
    if (value != NULL && field->type == PROTOBUF_C_TYPE_STRING) {
        make_plain(value);
    } else if (value != NULL) {
        make_texts_plain(value);
    }
}

/* Whoever wrote them: sooner or later a text stands on somebody's terminal, or in a log. */
static void make_texts_plain(void *message)
{
    const ProtobufCMessageDescriptor *descriptor = ((ProtobufCMessage *)message)->descriptor;
    for (size_t i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        void *at = (char *)message + field->offset;
        const void *quantifier = (char *)message + field->quantifier_offset;
        bool other = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                     *(const uint32_t *)quantifier != field->id;
        if (other ||
            (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)) {
            continue;
        }
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            make_field_plain(field, *(void **)at);
            continue;
        }
        for (size_t n = 0; n < *(const size_t *)quantifier; n++) {
            make_field_plain(field, (*(void ***)at)[n]);
        }
    }
}

int wire_unpack_max(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                    struct bytes bytes, size_t bytes_max, const ProtobufCMessage **ret,
                    struct error *e)
{
    assert(descriptor != NULL && ret != NULL);
    if (bytes.len > bytes_max) {
        return error_set(e, E_LIMIT, "a %s of %zu bytes passes the limit of %zu",
                         descriptor->short_name, bytes.len, bytes_max);
    }
    struct budget budget = {.arena = arena, .left = BLOW_UP_BASE + bytes.len * BLOW_UP};
    size_t max = arena->bytes_max != 0 ? arena->bytes_max : ARENA_DEFAULT_BYTES_MAX;
    budget.left = MIN(budget.left, max - MIN(max, arena->bytes));
    ProtobufCAllocator allocator = {.alloc = take, .free = leave, .allocator_data = &budget};
    static const uint8_t none[1] = {0};
    const uint8_t *data = bytes.data != NULL ? bytes.data : none;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, bytes.len, data);
    if (message == NULL) {
        return error_set(e, E_INVALID, "%zu bytes are no %s: damaged, or not made by Lockstep",
                         bytes.len, descriptor->short_name);
    }
    make_texts_plain(message);
    *ret = message;
    return 0;
}

int wire_unpack(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                struct bytes bytes, const ProtobufCMessage **ret, struct error *e)
{
    return wire_unpack_max(arena, descriptor, bytes, LIMIT_FRAME_BYTES, ret, e);
}

/* The length of the UTF-8 sequence at `s`; 0 when it is none. */
static size_t utf8_length(const unsigned char *s)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4)) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* overlong forms, surrogates, and past U+10FFFF */
    bool bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
               (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return bad ? 0 : len;
}

char *wire_text(struct arena *arena, const char *text)
{
    if (text == NULL) {
        return arena_strdup(arena, "");
    }
    char *copy = NULL;
    for (size_t i = 0; text[i] != '\0';) {
        size_t len = utf8_length((const unsigned char *)text + i);
        if (len == 0) {
            copy = copy != NULL ? copy : arena_strdup(arena, text);
            copy[i] = '?';
        }
        i += MAX(len, 1);
    }
    /* protobuf-c's structs want char *, and never write */
    return copy != NULL ? copy : (char *)(uintptr_t)text;
}

char *wire_plain(struct arena *arena, const char *text, size_t bytes_max, bool keep_end)
{
    assert(bytes_max > 0);
    size_t len = text != NULL ? strlen(text) : 0;
    size_t kept = MIN(len, bytes_max - 1);
    char *copy = arena_strndup(arena, len == 0 ? "" : keep_end ? text + (len - kept) : text, kept);
    copy = wire_text(arena, copy);
    make_plain(copy);
    return copy;
}
