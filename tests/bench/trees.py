"""Migration trees of our own making, in morph's file names, always the same ones.

mattermost_size() has the proportions of a chat server's tree: 158 migrations, most of them small, 15 that build an index
concurrently, some with a DO block that looks before it alters. small() is many times nothing much.
"""
from pathlib import Path

NONTRANSACTIONAL = "-- morph:nontransactional\n"
COLUMNS = ("createat bigint", "updateat bigint", "deleteat bigint", "creatorid varchar(26)", "teamid varchar(26)",
           "type varchar(32)", "displayname varchar(64)", "header varchar(1024)", "purpose varchar(250)",
           "props jsonb", "totalcount bigint DEFAULT 0", "isarchived boolean NOT NULL DEFAULT false")


class Tree:
    """Files NUMBER_NAME.up.sql and .down.sql, and the same as a script for psql."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ups = []

    def add(self, name, up, down, transactional=True):
        number = len(self.ups) + 1
        mark = "" if transactional else NONTRANSACTIONAL
        path = self.folder / f"{number:06}_{name}.up.sql"
        path.write_text(mark + up)
        (self.folder / f"{number:06}_{name}.down.sql").write_text(mark + down)
        self.ups.append((number, name, path, transactional))

    def psql_script(self, path):
        """What a person would write for psql: each file in a transaction with its ledger row, in one session. morph's lock
        table is made too, so that both leave the same schema."""
        lines = ["\\set ON_ERROR_STOP 1", "SET client_min_messages = warning;",
                 "CREATE TABLE db_migrations (version bigint not null primary key, name varchar not null);",
                 "CREATE TABLE db_lock (id varchar(64) PRIMARY KEY, expireat bigint);"]
        for number, name, file, transactional in self.ups:
            row = f"INSERT INTO db_migrations (version, name) VALUES ({number}, '{name}');"
            lines += [f"\\i {file}", row] if not transactional else ["BEGIN;", f"\\i {file}", row, "COMMIT;"]
        Path(path).write_text("\n".join(lines) + "\n")


def create_table(name, index):
    columns = "".join(f",\n    {column}" for column in COLUMNS[:4 + index % 9])
    return (f"CREATE TABLE IF NOT EXISTS {name} (\n    id varchar(26) PRIMARY KEY{columns}\n);\n"
            f"CREATE INDEX IF NOT EXISTS idx_{name}_updateat ON {name} (updateat);\n"
            f"CREATE INDEX IF NOT EXISTS idx_{name}_deleteat ON {name} (deleteat);\n")


def alter_looking_first(table, column):
    return (f"DO $$\nBEGIN\n    IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = '{table}'\n"
            f"        AND column_name = '{column}') THEN\n        ALTER TABLE {table} ADD COLUMN {column} varchar(64);\n"
            f"    END IF;\nEND $$;\nUPDATE {table} SET {column} = '' WHERE {column} IS NULL;\n")


def mattermost_size(folder):
    """158: 60 tables, 15 concurrent indexes, 40 DO blocks, 43 plain alterations."""
    tree = Tree(folder)
    for i in range(60):
        tree.add(f"create_t{i}", create_table(f"t{i}", i), f"DROP TABLE IF EXISTS t{i};\n")
    for i in range(40):
        tree.add(f"add_remote_{i}", alter_looking_first(f"t{i}", "remoteid"),
                 f"ALTER TABLE t{i} DROP COLUMN IF EXISTS remoteid;\n")
    for i in range(15):
        tree.add(f"index_creator_{i}",
                 f"CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_t{i}_creatorid ON t{i} (creatorid, createat);\n",
                 f"DROP INDEX CONCURRENTLY IF EXISTS idx_t{i}_creatorid;\n", transactional=False)
    for i in range(43):
        tree.add(f"widen_{i}", f"ALTER TABLE t{i} ALTER COLUMN creatorid TYPE varchar(64);\n"
                 f"ALTER TABLE t{i} ADD COLUMN IF NOT EXISTS lastsyncat bigint DEFAULT 0;\n",
                 f"ALTER TABLE t{i} DROP COLUMN IF EXISTS lastsyncat;\n")
    return tree


def small(folder, count):
    """One table, then one small change of its data after the other."""
    tree = Tree(folder)
    tree.add("create_settings", "CREATE TABLE settings (name text PRIMARY KEY, value text);\n", "DROP TABLE settings;\n")
    for i in range(1, count):
        tree.add(f"add_setting_{i}", f"INSERT INTO settings VALUES ('setting {i}', 'on');\n",
                 f"DELETE FROM settings WHERE name = 'setting {i}';\n")
    return tree
