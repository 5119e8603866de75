/* The numbers of the tools' advisory locks, from names alone: each as the tool's own source computes it. */
#ifndef LOCKSTEP_IO_DB_FORMAT_KEYS_H
#define LOCKSTEP_IO_DB_FORMAT_KEYS_H

#include <stdint.h>

/* pressly/goose lock/locker.go DefaultLockID: the CRC-32 of "goose"; taken with pg_try_advisory_lock(bigint). */
#define GOOSE_LOCK_KEY "4097083626"

/* golang-migrate database/util.go GenerateAdvisoryLockId: CRC-32 of "SCHEMA\0TABLE\0DATABASE", times its salt, modulo
 * 2^32. The database is "/mydb" for a tool that was given a URL, "mydb" for one that was given a connection. */
uint32_t key_golang_migrate(const char *schema, const char *table, const char *database);

/* The same of the database alone: the row of its lock table (pgx driver, x-lock-strategy=table). */
uint32_t key_golang_migrate_row(const char *database);

/* Sourcegraph internal/database/locker StringKey: the 32-bit FNV-1 of "LEDGER:migrations", as a signed number; the
 * first of two, the second is 0. */
int32_t key_sourcegraph(const char *ledger);

#endif
