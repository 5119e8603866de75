"""A throwaway PostgreSQL server for tests and for the demo.

Owns: one cluster directory, one server process, one socket directory, all under one temporary
directory that close() removes.  Refuses: to touch any server that it did not start itself.

As root the server runs as the user "postgres" (setpriv), since it refuses to run as root; as
anybody else it runs directly.  It listens on 127.0.0.1 and on a socket in its own directory.
The superuser's name is always "postgres".  Needs nothing but PostgreSQL's own programs;
psycopg2 is imported by connect() only.
"""
import atexit
import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

SUPERUSER = "postgres"
START_TIMEOUT_S = 20
START_ATTEMPTS = 5
STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}
_FIELD, _RECORD = "\x1f", "\x1e"


class PgError(Exception):
    """What failed, with the server's own words."""


def bin_dir():
    """Folder of the newest installed server's programs.  /usr/bin/psql of Debian is slow."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    found.sort(key=lambda path: float(path.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    on_path = shutil.which("postgres")
    if on_path:
        return os.path.dirname(os.path.realpath(on_path))
    raise PgError("no PostgreSQL server is installed: install the package postgresql")


def free_port():
    """A port of 127.0.0.1 that was free just now; whoever uses it must be ready to be refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _as_server_user(argv):
    if os.geteuid() != 0:
        return argv
    return ["setpriv", f"--reuid={SUPERUSER}", f"--regid={SUPERUSER}", "--init-groups", *argv]


def _run(argv, what):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
                          check=False)
    if done.returncode != 0:
        raise PgError(f"{what} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _make_dir(prefix):
    base = tempfile.gettempdir()
    if len(base) > 60:  # a socket's path is limited to 107 bytes
        base = "/tmp"
    path = tempfile.mkdtemp(prefix=prefix, dir=base)
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam(SUPERUSER)
        except KeyError as error:
            os.rmdir(path)
            raise PgError('there is no user "postgres": install the package postgresql') from error
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def _sorted_columns(match):
    lines = [line.rstrip(",") for line in match.group(2).splitlines()]
    return match.group(1) + "\n".join(sorted(lines)) + "\n"


class _Templates:
    """One initialised cluster per kind of authentication and process: a copy takes a third of
    the time that initdb takes."""

    def __init__(self):
        self._lock = threading.Lock()
        self._made = {}

    def get(self, password):
        with self._lock:
            if password not in self._made:
                top = _make_dir("ls-pgt-")
                atexit.register(shutil.rmtree, top, ignore_errors=True)
                self._init(top, password)
                self._made[password] = os.path.join(top, "data")
            return self._made[password]

    @staticmethod
    def _init(top, password):
        argv = [os.path.join(bin_dir(), "initdb"), "-D", os.path.join(top, "data"), "-N",
                "-U", SUPERUSER, "-E", "UTF8", "--no-locale", "--auth-local=trust"]
        if password is None:
            argv.append("--auth-host=trust")
        else:
            secret = os.path.join(top, "password")
            with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w",
                      encoding="utf-8") as out:
                out.write(password + "\n")
            if os.geteuid() == 0:
                shutil.chown(secret, SUPERUSER, SUPERUSER)
            argv += ["--auth-host=scram-sha-256", f"--pwfile={secret}"]
        _run(_as_server_user(argv), "initdb")


_templates = _Templates()


class PostgresServer:
    """One throwaway server.  `with PostgresServer() as pg:` starts it and removes all of it.

    password   None: everybody is trusted.  Otherwise TCP connections need scram-sha-256, with
               this password for the superuser, so that a wrong password really fails; the
               socket stays trusted and is what the methods here use.
    settings   further server settings, {"max_connections": 500}
    port       a fixed port; otherwise a free one is picked once and kept over restarts
    """

    def __init__(self, password=None, settings=None, port=None):
        self.password = password
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self._port_is_fixed = port is not None
        self._settings = {"fsync": "off", "listen_addresses": self.host, **(settings or {})}
        self._process = None
        template = _templates.get(password)
        self.dir = _make_dir("ls-pg-")
        self.data_dir = os.path.join(self.dir, "data")
        self.socket_dir = self.dir
        self.log_file = os.path.join(self.dir, "server.log")
        atexit.register(self.close)
        _run(_as_server_user(["cp", "-a", template, self.data_dir]), "copying the template cluster")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    # ---- the process ---------------------------------------------------------------------

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self):
        """Process id of the postmaster, or None."""
        return self._process.pid if self.running else None

    def start(self):
        """Returns self when the server accepts connections.  Does nothing if it runs already."""
        for attempt in range(START_ATTEMPTS):
            if self.running or self._start_once():
                return self
            words = self.log_tail()
            if "could not bind" in words or "already in use" in words:
                if not self._port_is_fixed:
                    self.port = free_port()
            elif "still in use" not in words and "shared memory" not in words:
                break  # only a taken port and a dying predecessor are worth a second try
            time.sleep(0.05 * (attempt + 1))
        raise PgError(f"PostgreSQL did not start on port {self.port}: {self.log_tail()}")

    def _start_once(self):
        argv = [os.path.join(bin_dir(), "postgres"), "-D", self.data_dir, "-p", str(self.port),
                "-k", self.socket_dir]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        with open(self.log_file, "ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(_as_server_user(argv), stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, cwd="/",
                                             start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._is_ready():
                self._port_is_fixed = True
                return True
            time.sleep(0.005)
        self.stop("kill")
        return False

    def _is_ready(self):
        # The eighth line of postmaster.pid is the server's state; pg_ctl looks there too.  The
        # first line tells a stale file of a killed predecessor from this server's own.
        try:
            with open(os.path.join(self.data_dir, "postmaster.pid"), encoding="utf-8") as file:
                lines = file.read().split("\n")
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"

    def stop(self, mode="immediate"):
        """Modes: smart, fast, immediate (no checkpoint: recovery at the next start), kill."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(STOP_SIGNALS[mode])
            try:
                self._process.wait(timeout=START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def kill(self):
        """kill -9 of the postmaster; its children notice and end."""
        self.stop("kill")

    def restart(self, mode="immediate"):
        """The same data on the same port; returns self when it accepts connections again."""
        self.stop(mode)
        return self.start()

    def close(self):
        """Stops the server and removes its directory.  May be called twice."""
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        atexit.unregister(self.close)

    def log_tail(self, bytes_max=2000):
        """The end of what the server has written since its last start."""
        with contextlib.suppress(OSError), open(self.log_file, "rb") as log:
            log.seek(getattr(self, "_log_start", 0))
            return log.read()[-bytes_max:].decode(errors="replace").strip()
        return ""

    # ---- databases and roles -------------------------------------------------------------

    def url(self, database="postgres", user=SUPERUSER, password=None, host=None):
        """postgres://…; the superuser's own password is filled in where one is needed."""
        if password is None and user == SUPERUSER:
            password = self.password
        quoted = urllib.parse.quote(user, safe="")
        if password is not None:
            quoted += ":" + urllib.parse.quote(password, safe="")
        return f"postgres://{quoted}@{host or self.host}:{self.port}/{database}"

    def create_role(self, name, password=None):
        """A role that may log in, nothing more."""
        secret = "" if password is None else " PASSWORD '" + password.replace("'", "''") + "'"
        self.query(f'CREATE ROLE "{name}" LOGIN{secret}')

    def create_database(self, name, owner=SUPERUSER, template="template1"):
        """A copy of `template`, which nobody may be connected to."""
        self.query(f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE "{template}"')

    def drop_database(self, name):
        """Removes it even while sessions are on it."""
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    # ---- looking -------------------------------------------------------------------------

    def query(self, sql, database="postgres", user=SUPERUSER):
        """Runs SQL through the socket.  Returns the rows, each a list of text (NULL is '')."""
        out = _run([os.path.join(bin_dir(), "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1",
                    "-F", _FIELD, "-R", _RECORD, "-h", self.socket_dir, "-p", str(self.port),
                    "-U", user, "-d", database, "-c", sql], "psql")
        out = out[:-1] if out.endswith("\n") else out
        return [row.split(_FIELD) for row in out.split(_RECORD)] if out else []

    def value(self, sql, database="postgres"):
        """The only column of the only row, as text; None if there is no row."""
        rows = self.query(sql, database)
        if not rows:
            return None
        if len(rows) != 1 or len(rows[0]) != 1:
            raise PgError(f"one value expected from: {sql}")
        return rows[0][0]

    def connect(self, database="postgres", user=SUPERUSER, password=None):
        """A psycopg2 connection over TCP, in autocommit.  The caller closes it."""
        import psycopg2

        connection = psycopg2.connect(self.url(database, user, password))
        connection.autocommit = True
        return connection

    def sessions(self, database):
        """[pid, application_name, state, query] of every client session on the database."""
        return self.query("SELECT pid, application_name, state, query FROM pg_stat_activity "
                          f"WHERE datname = '{database}' AND backend_type = 'client backend' "
                          "AND pid <> pg_backend_pid() ORDER BY pid")

    def dump_schema(self, database, leave_out=("lockstep",), column_order=True):
        """pg_dump --schema-only, comparable: without the schemas named (Lockstep's own evidence is
        no part of the application) and without the random \\restrict lines.  column_order=False
        sorts the columns of each table: a down that adds a column back can only add it last."""
        argv = [os.path.join(bin_dir(), "pg_dump"), "--schema-only", "-h", self.socket_dir,
                "-p", str(self.port), "-U", SUPERUSER, "-d", database]
        argv += [f"--exclude-schema={name}" for name in leave_out]
        dump = re.sub(r"^\\(un)?restrict .*\n", "", _run(argv, "pg_dump"), flags=re.MULTILINE)
        if not column_order:
            dump = re.sub(r"^(CREATE TABLE \S+ \(\n)(.*?)(?=^\))", _sorted_columns, dump,
                          flags=re.MULTILINE | re.DOTALL)
        return dump
