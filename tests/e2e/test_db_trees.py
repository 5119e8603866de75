"""`lockstep db` on what real trees of migrations hold, on real servers, over scripts made here."""

from db_cli import database, on_postgres, on_sqlite  # noqa: F401  (fixtures)


# ---- scripts that commit in between ----

def sourcegraph_folder(database, number, up, down, parents=()):
    folder = database.migrations / f"{number}_step"
    folder.mkdir(exist_ok=True)
    (folder / "up.sql").write_text(up)
    (folder / "down.sql").write_text(down)
    (folder / "metadata.yaml").write_text(f"name: step\nparents: [{', '.join(map(str, parents))}]\n")


def test_commit_and_chain_keeps_each_part_and_goes_on_behind_it(on_postgres):
    """The locks of one table are gone before the next one is changed; what ran does not run again."""
    tables = ["a", "b", "c", "d"]
    sourcegraph_folder(on_postgres, 1, "".join(f"CREATE TABLE {t} (id integer);\n" for t in tables[:3]),
                       "".join(f"DROP TABLE {t};\n" for t in tables[:3]))
    sourcegraph_folder(on_postgres, 2, "BEGIN;\n" + "".join(
        f"ALTER TABLE {t} ADD COLUMN tenant integer;\nINSERT INTO a VALUES ({i}, {i}); COMMIT AND CHAIN;\n"
        for i, t in enumerate(tables)) + "ALTER TABLE a ADD COLUMN last integer;\nCOMMIT;\n",
        "COMMIT AND CHAIN;\n" + "".join(f"ALTER TABLE {t} DROP COLUMN tenant; COMMIT AND CHAIN;\n" for t in tables)
        + "ALTER TABLE a DROP COLUMN last;\n", [1])
    words = ["--format", "sourcegraph", "--lossy", "ok"]
    done = on_postgres.db("up", *words)
    assert done.returncode == 1 and "2_step/up.sql:8" in done.stderr and 'relation "d" does not exist' in done.stderr
    assert on_postgres.read("SELECT * FROM a ORDER BY id") == [["0", "0"], ["1", "1"], ["2", "2"]]

    on_postgres.read("CREATE TABLE d (id integer)")
    done = on_postgres.db("up", *words)
    assert done.returncode == 0, done.stderr
    assert on_postgres.read("SELECT * FROM a ORDER BY id") == [[str(i), str(i), ""] for i in range(4)]
    assert on_postgres.read("SELECT version, up, success FROM migration_logs WHERE success ORDER BY id") == [
        ["1", "t", "t"], ["2", "t", "t"]]
    done = on_postgres.db("down", "--to", "1", *words)
    assert done.returncode == 0, done.stderr
    columns = on_postgres.read("SELECT table_name || '.' || column_name FROM information_schema.columns "
                               "WHERE table_schema = 'public' AND table_name <> 'migration_logs' ORDER BY 1")
    assert columns == [["a.id"], ["b.id"], ["c.id"], ["d.id"]]
