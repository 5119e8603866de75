CREATE TABLE entries (
    id           integer PRIMARY KEY,
    author       text NOT NULL,
    message      text NOT NULL,
    created_at   integer NOT NULL,
    author_email text
);
