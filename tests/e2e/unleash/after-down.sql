-- What the downs of unleash-server 5.12.8 leave behind when they have reached the 210 rows of
-- 5.6.0 (see README.md).  Without it the next upgrade fails: a function that stays names a column
-- that is gone.  May be run twice.
BEGIN;
DROP FUNCTION IF EXISTS assign_unleash_permission_to_role_for_all_environments(text, text);
DROP FUNCTION IF EXISTS date_floor_round(timestamp with time zone, interval);

CREATE OR REPLACE FUNCTION assign_unleash_permission_to_role(permission_name text, role_name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
    declare role_id int;
            permission_id int;
BEGIN
    role_id := (SELECT id FROM roles WHERE name = role_name);
    permission_id := (SELECT p.id FROM permissions p WHERE p.permission = permission_name);
    INSERT INTO role_permission(role_id, permission_id) VALUES (role_id, permission_id);
END
$$;

ALTER TABLE last_seen_at_metrics DROP CONSTRAINT IF EXISTS last_seen_at_metrics_environment_fkey;
ALTER TABLE last_seen_at_metrics ADD CONSTRAINT last_seen_at_metrics_environment_fkey
    FOREIGN KEY (environment) REFERENCES environments(name) ON DELETE CASCADE;
COMMIT;
