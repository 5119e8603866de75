CREATE INDEX entries_by_author ON entries (author);
