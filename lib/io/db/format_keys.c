/* Owns the arithmetic of the tools' lock numbers. It asks nothing and knows no database. */
#include "lib/io/db/format_keys.h"

#include <stddef.h>
#include <string.h>

#define CRC32_POLYNOMIAL    0xedb88320u /* IEEE 802.3, bits reversed */
#define GOLANG_MIGRATE_SALT 1486364155u
#define FNV_OFFSET          2166136261u
#define FNV_PRIME           16777619u

static uint32_t crc32_add(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? CRC32_POLYNOMIAL : 0);
        }
    }
    return crc;
}

uint32_t key_golang_migrate(const char *schema, const char *table, const char *database)
{
    uint32_t crc = UINT32_MAX;
    crc = crc32_add(crc, schema, strlen(schema) + 1); /* with its NUL: what joins the names */
    crc = crc32_add(crc, table, strlen(table) + 1);
    crc = crc32_add(crc, database, strlen(database));
    return ~crc * GOLANG_MIGRATE_SALT;
}

uint32_t key_golang_migrate_row(const char *database)
{
    return ~crc32_add(UINT32_MAX, database, strlen(database)) * GOLANG_MIGRATE_SALT;
}

static uint32_t fnv1_add(uint32_t hash, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        hash = (hash * FNV_PRIME) ^ (unsigned char)*p;
    }
    return hash;
}

int32_t key_sourcegraph(const char *ledger)
{
    return (int32_t)fnv1_add(fnv1_add(FNV_OFFSET, ledger), ":migrations");
}
