/* Which engine a script is for, and what its statements name there. */
#ifndef LOCKSTEP_MIGRATION_ENGINE_H
#define LOCKSTEP_MIGRATION_ENGINE_H

enum db_engine_kind { DB_POSTGRES, DB_SQLITE, DB_MARIADB };

/* An index as a statement names it. */
struct db_index_name {
    const char *schema; /* of the index and its table; NULL: as the session finds them */
    const char *table;  /* of a CREATE, whose schema is the index's own; NULL: a DROP */
    const char *name;
};

#endif
