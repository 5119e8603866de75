-- Loses data: the addresses are gone, and the way down brings back an empty column.
ALTER TABLE entries DROP COLUMN author_email;
