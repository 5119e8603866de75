-- SQLite keeps the text of each CREATE: the table is made again so that the text is as before.
CREATE TABLE entries_kept AS SELECT id, author, message, created_at FROM entries;
DROP TABLE entries;
CREATE TABLE entries (
    id           integer PRIMARY KEY,
    author       text NOT NULL,
    message      text NOT NULL,
    created_at   integer NOT NULL,
    author_email text
);
INSERT INTO entries (id, author, message, created_at)
    SELECT id, author, message, created_at FROM entries_kept;
DROP TABLE entries_kept;
CREATE INDEX entries_by_author ON entries (author);
