"""A throwaway MariaDB server for tests: the sibling of pg.py.

Owns: one data directory, one server process, one socket, all under one temporary directory that
close() removes.  Refuses: to touch any server that it did not start itself.

As root the server runs as the user "mysql" (setpriv), since it refuses to run as root.  It listens
on 127.0.0.1 and on a socket in its own directory.  Lockstep's and the application's user is "app"
without a password: it may do anything to the databases that match `grants`, and see who is
connected, and nothing more.  Needs nothing but MariaDB's own programs.
"""
import atexit
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time

from pg import free_port

SERVER_USER = "mysql"
USER = "app"
START_TIMEOUT_S = 60
OWN_TABLES = [f"lockstep_{name}" for name in ("fence", "evidence", "intent", "checkpoint",
                                              "fingerprint", "holder", "layout")]


class MariadbError(Exception):
    """What failed, with the server's own words."""


def _as_server_user(argv):
    if os.geteuid() != 0:
        return argv
    return ["setpriv", f"--reuid={SERVER_USER}", f"--regid={SERVER_USER}", "--init-groups", *argv]


def _run(argv, what):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
                          check=False)
    if done.returncode != 0:
        raise MariadbError(f"{what} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout


class MariadbServer:
    """One throwaway server.  `with MariadbServer() as maria:` starts it and removes all of it.

    grants  patterns of database names that the user "app" has all rights on
    """

    def __init__(self, grants=("shelf%", "rehearse%")):
        self.host, self.port = "127.0.0.1", free_port()
        self.grants = grants
        self._process = None
        self.dir = tempfile.mkdtemp(prefix="ls-maria-", dir="/tmp")  # a socket's path is short
        self.socket = os.path.join(self.dir, "s")
        self.log_file = os.path.join(self.dir, "server.log")
        atexit.register(self.close)
        if os.geteuid() == 0:
            user = pwd.getpwnam(SERVER_USER)
            os.chown(self.dir, user.pw_uid, user.pw_gid)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    # ---- the process ---------------------------------------------------------------------

    def start(self):
        """Returns self when the server accepts connections and its user is there."""
        data = f"--datadir={self.dir}/data"
        _run(_as_server_user(["mariadb-install-db", "--no-defaults", "--skip-test-db", data,
                              "--auth-root-authentication-method=normal",
                              "--innodb-log-file-size=8M"]), "mariadb-install-db")
        # A server that starts empties its folder of temporary tables: two must not share one.
        argv = ["/usr/sbin/mariadbd", "--no-defaults", data, f"--socket={self.socket}",
                f"--port={self.port}", f"--pid-file={self.dir}/pid", f"--tmpdir={self.dir}/data",
                f"--bind-address={self.host}", "--skip-name-resolve", "--performance-schema=ON",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"]
        with open(self.log_file, "ab") as log:
            self._process = subprocess.Popen(_as_server_user(argv), stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, cwd="/", start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                with open(self.log_file, encoding="utf-8", errors="replace") as log:
                    raise MariadbError(f"MariaDB did not start: {log.read()[-2000:]}")
            time.sleep(0.02)
        self.create_user(USER)
        for pattern in self.grants:
            self.query(f"GRANT ALL ON `{pattern}`.* TO {USER}@'%'")
        self.query(f"GRANT PROCESS ON *.* TO {USER}@'%'")
        return self

    def _answers(self):
        try:
            return self.query("SELECT 1") == [["1"]]
        except MariadbError:
            return False

    def close(self):
        """Ends the server and removes its directory.  May be called twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None
        shutil.rmtree(self.dir, ignore_errors=True)
        atexit.unregister(self.close)

    # ---- databases and users -------------------------------------------------------------

    def url(self, database="mysql", user=USER):
        return f"mysql://{user}@{self.host}:{self.port}/{database}"

    def create_user(self, name):
        """One that may log in from everywhere, nothing more."""
        self.query(f"CREATE USER {name}@'%'")

    def create_database(self, name):
        self.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")

    def drop_database(self, name):
        """Removes it even while sessions are on it."""
        for pid, *_ in self.sessions(name):
            self.query(f"KILL {pid}", check=False)
        self.query(f"DROP DATABASE IF EXISTS `{name}`")

    # ---- looking -------------------------------------------------------------------------

    def client(self, database="mysql", user="root"):
        """The client's words: for a session that a test keeps open, or one query."""
        return ["mariadb", "--no-defaults", "--batch", "--raw", "--skip-column-names",
                "--unbuffered", "--default-character-set=utf8mb4", f"--socket={self.socket}", f"--user={user}", database]

    def query(self, sql, database="mysql", check=True, user="root"):
        """Runs SQL through the socket.  Returns the rows, each a list of text (NULL is
        'NULL')."""
        try:
            out = _run([*self.client(database, user), f"--execute={sql}"], "mariadb")
        except MariadbError:
            if check:
                raise
            return []
        return [line.split("\t") for line in out.splitlines()]

    def value(self, sql, database="mysql"):
        """The only column of the only row, as text; None if there is no row."""
        rows = self.query(sql, database)
        if not rows:
            return None
        if len(rows) != 1 or len(rows[0]) != 1:
            raise MariadbError(f"one value expected from: {sql}")
        return rows[0][0]

    def sessions(self, database):
        """[id, user, command, statement] of every session on the database."""
        return self.query("SELECT ID, USER, COMMAND, REPLACE(COALESCE(INFO, ''), '\\n', ' ') FROM "
                          f"information_schema.PROCESSLIST WHERE DB = '{database}' AND ID <> "
                          "CONNECTION_ID() ORDER BY ID")

    def dump(self, database, *options, leave_out=()):
        """mariadb-dump, comparable: without its first and last lines, which carry the time."""
        argv = ["mariadb-dump", "--no-defaults", f"--socket={self.socket}", "--user=root",
                "--skip-comments", "--skip-dump-date", "--routines", "--events", "--order-by-primary",
                *[f"--ignore-table={database}.{table}" for table in leave_out], *options, database]
        return re.sub(r" AUTO_INCREMENT=\d+", "", _run(argv, "mariadb-dump"))

    def dump_schema(self, database):
        """The schema without Lockstep's own tables: they are no part of the application."""
        return self.dump(database, "--no-data", leave_out=OWN_TABLES)
