/* Owns the forms of answers. It refuses callers without an operator's role. */
#include "controller/reply.h"

#include <stdlib.h>

#include "lib/base/str.h"
#include "lib/wire/pack.h"

struct controller *reply_controller(const struct rpc_call *call)
{
    return rpc_call_server_data(call);
}

const char *reply_who(const struct rpc_call *call)
{
    const char *name = rpc_call_peer(call)->common_name;
    return name != NULL ? name : "nobody";
}

bool reply_allowed(struct rpc_call *call, enum role at_least)
{
    static const char *const roles[] = {[ROLE_VIEWER] = "viewer",
                                        [ROLE_OPERATOR] = "operator",
                                        [ROLE_APPROVER] = "approver",
                                        [ROLE_ADMIN] = "admin"};
    const char *role = rpc_call_peer(call)->role;
    if (role == NULL) {
        rpc_call_finish(call, RPC_UNAUTHENTICATED, "this call wants an operator's certificate");
        return false;
    }
    for (size_t i = at_least; i < ARRAY_SIZE(roles); i++) {
        if (str_equal(role, roles[i])) {
            return true;
        }
    }
    struct arena arena;
    arena_init(&arena);
    rpc_call_finish(call, RPC_PERMISSION_DENIED,
                    arena_printf(&arena, "%s has the role %s; this wants %s", reply_who(call), role,
                                 roles[at_least]));
    arena_deinit(&arena);
    return false;
}

bool reply_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(len + 1);
    assert(packed != NULL);
    protobuf_c_message_pack(message, packed);
    int r = rpc_call_send(call, (struct bytes){.data = packed, .len = len});
    free(packed);
    if (r == E_LIMIT || r == E_INVALID) {
        rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "the answer is longer than a message may be");
    }
    return r == 0;
}

void reply_last(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (reply_send(call, message)) {
        rpc_call_finish(call, RPC_OK, NULL);
    }
}

Lockstep__V1__Complaint **reply_complaints(struct arena *arena, const struct complaint *items,
                                           size_t count)
{
    Lockstep__V1__Complaint **list = ARENA_ARRAY(arena, count + 1, Lockstep__V1__Complaint *);
    for (size_t i = 0; i < count; i++) {
        list[i] = ARENA_NEW(arena, Lockstep__V1__Complaint);
        lockstep__v1__complaint__init(list[i]);
        list[i]->file = items[i].file != NULL ? (char *)items[i].file : "";
        list[i]->line = (uint32_t)items[i].line;
        list[i]->column = (uint32_t)items[i].column;
        list[i]->message = (char *)items[i].message;
    }
    return list;
}

const ProtobufCMessage *reply_unpack(struct arena *arena,
                                     const ProtobufCMessageDescriptor *descriptor,
                                     struct bytes bytes, struct error *e)
{
    const ProtobufCMessage *message = NULL;
    return wire_unpack(arena, descriptor, bytes, &message, e) < 0 ? NULL : message;
}
