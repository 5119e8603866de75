CREATE VIEW authors AS
    SELECT author, count(*) AS entries, max(created_at) AS last_at FROM entries GROUP BY author;
