DROP INDEX entries_by_author;
