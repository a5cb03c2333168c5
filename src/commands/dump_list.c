/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/dump_list.h"

#include "store/lists.h"

static void write_element(void *udata, const struct element *element) {
    rdb_writer_element((struct rdb_writer *)udata, element->value);
}

void dump_list_write(const struct store *store, const struct elements *elements,
                     struct rdb_writer *writer) {
    rdb_writer_begin_list(writer);
    elements_each(store, elements, write_element, writer);
}

enum store_status dump_list_read(struct store *store, const struct key *key,
                                 struct rdb_reader *reader) {
    struct elements_writer writer;
    struct list_pusher pusher;
    struct rdb_item item;
    (void)store_delete(store, key);
    enum store_status status = elements_open(store, key, VALUE_LIST, &writer);
    ensure(status == STORE_OK);
    /* The values take the half of what tells them here, or more. */
    list_push_begin(&pusher, &writer, LIST_RIGHT, reader->rest.size / 2);
    while (status == STORE_OK && rdb_reader_next(reader, &item)) {
        status = list_push_next(&pusher, item.name);
    }
    list_push_end(&pusher);
    elements_close(&writer);
    if (status != STORE_OK) {
        (void)store_delete(store, key);
    }
    return status;
}
