ALTER TABLE entries ADD COLUMN author_email text;
