/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/node_file.h"

#include <stdio.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "crdt/stamp.h"
#include "log/directory.h"

enum { NODE_FILE_VERSION = 1, NODE_FILE_BYTES_MAX = 1024 };

void node_file_format_id(const uint8_t id[RECORD_NODE_ID_BYTES],
                         char text[2 * RECORD_NODE_ID_BYTES + 1]) {
    for (int i = 0; i < RECORD_NODE_ID_BYTES; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
    }
}

void node_file_format(const struct node_file *node, struct buffer *text) {
    char id[2 * RECORD_NODE_ID_BYTES + 1];
    node_file_format_id(node->id, id);
    size_t start = text->size;
    buffer_printf(text,
                  "starling-node %d\nid %s\ngeneration %llu\nceiling-ticks %llu\nclean %d\n"
                  "durable %d\n",
                  NODE_FILE_VERSION, id, (unsigned long long)node->generation,
                  (unsigned long long)node->ceiling_ticks, node->is_clean, node->is_durable);
    uint32_t crc = crc32c(0, slice_make(text->data + start, text->size - start));
    buffer_printf(text, "crc32c %08x\n", crc);
}

/* Reads "name value\n" from the front of `text`. */
static bool take_line(struct slice *text, const char *name, char *value, size_t value_bytes) {
    size_t name_bytes = strlen(name);
    const char *end = text->size > 0 ? memchr(text->data, '\n', text->size) : NULL;
    if (end == NULL) {
        return false;
    }
    size_t line_bytes = (size_t)(end - text->data);
    if (line_bytes <= name_bytes + 1 || memcmp(text->data, name, name_bytes) != 0 ||
        text->data[name_bytes] != ' ' || line_bytes - name_bytes - 1 >= value_bytes) {
        return false;
    }
    memcpy(value, text->data + name_bytes + 1, line_bytes - name_bytes - 1);
    value[line_bytes - name_bytes - 1] = '\0';
    *text = slice_skip(*text, line_bytes + 1);
    return true;
}

static bool parse_number(const char *text, uint64_t *value) {
    *value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || *value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        *value = *value * 10 + (uint64_t)(*text - '0');
    }
    return true;
}

static bool parse_id(const char *text, uint8_t id[RECORD_NODE_ID_BYTES]) {
    if (strlen(text) != 2 * RECORD_NODE_ID_BYTES ||
        strspn(text, "0123456789abcdef") != 2 * RECORD_NODE_ID_BYTES) {
        return false;
    }
    for (int i = 0; i < RECORD_NODE_ID_BYTES; i++) {
        unsigned byte = 0;
        for (int j = 0; j < 2; j++) {
            char c = text[2 * i + j];
            byte = byte * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        id[i] = (uint8_t)byte;
    }
    return true;
}

static bool parse(struct node_file *node, struct slice text) {
    struct slice all = text;
    char value[64];
    uint64_t version, clean, durable;
    bool ok = take_line(&text, "starling-node", value, sizeof(value)) &&
              parse_number(value, &version) && version == NODE_FILE_VERSION &&
              take_line(&text, "id", value, sizeof(value)) && parse_id(value, node->id) &&
              take_line(&text, "generation", value, sizeof(value)) &&
              parse_number(value, &node->generation) &&
              take_line(&text, "ceiling-ticks", value, sizeof(value)) &&
              parse_number(value, &node->ceiling_ticks) &&
              take_line(&text, "clean", value, sizeof(value)) && parse_number(value, &clean) &&
              take_line(&text, "durable", value, sizeof(value)) && parse_number(value, &durable);
    if (!ok || clean > 1 || durable > 1 || node->ceiling_ticks >= STAMP_TICKS_MAX) {
        return false;
    }
    node->is_clean = clean == 1;
    node->is_durable = durable == 1;
    char expected[16];
    (void)snprintf(expected, sizeof(expected), "%08x",
                   crc32c(0, slice_make(all.data, all.size - text.size)));
    return take_line(&text, "crc32c", value, sizeof(value)) && strcmp(value, expected) == 0 &&
           text.size == 0;
}

enum node_file_status node_file_load(struct node_file *node, struct disk *disk,
                                     enum disk_status *disk_status) {
    struct disk_file *file;
    *node = (struct node_file){0};
    *disk_status = disk->methods->open(disk, DIRECTORY_NODE_FILE, DISK_READ, &file);
    if (*disk_status == DISK_NOT_FOUND) {
        return NODE_FILE_ABSENT;
    }
    if (*disk_status != DISK_OK) {
        return NODE_FILE_DISK;
    }
    char text[NODE_FILE_BYTES_MAX];
    int64_t size = disk_read_all(disk, file, 0, text, sizeof(text));
    disk->methods->close(disk, file);
    if (size < 0) {
        *disk_status = (enum disk_status)size;
        return NODE_FILE_DISK;
    }
    return parse(node, slice_make(text, (size_t)size)) ? NODE_FILE_OK : NODE_FILE_DAMAGED;
}

enum disk_status node_file_replace(struct disk *disk, struct slice text) {
    struct disk_file *file;
    enum disk_status status =
        disk->methods->open(disk, DIRECTORY_NODE_FILE_TMP, DISK_CREATE, &file);
    if (status != DISK_OK) {
        return status;
    }
    status = disk_write_all(disk, file, 0, text, NULL);
    if (status == DISK_OK) {
        status = disk->methods->sync(disk, file);
    }
    disk->methods->close(disk, file);
    if (status == DISK_OK) {
        status = disk->methods->rename(disk, DIRECTORY_NODE_FILE_TMP, DIRECTORY_NODE_FILE);
    } else {
        (void)disk->methods->remove(disk, DIRECTORY_NODE_FILE_TMP);
    }
    return status == DISK_OK ? disk->methods->sync_directory(disk) : status;
}
