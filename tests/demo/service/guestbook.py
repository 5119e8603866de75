#!/usr/bin/python3 -I
"""guestbook: the small service of the demo.

Owns: a /health page, the entries, and its own refusal to start beside a schema or a storage module
that it does not know.  Refuses: to migrate a database.  Imports little: it has to be up at once.

    guestbook version
    guestbook serve --port P --database URL --config FILE [--node DIR] [--host H]

Exit codes: 2 usage or configuration, 3 schema, 4 storage module, 5 port, 6 database.
"""
import json
import os
import signal
import socket
import sys
import threading
import time

RELEASE = {}  # filled in by build.py
EXIT_USAGE, EXIT_SCHEMA, EXIT_MODULE, EXIT_PORT, EXIT_DATABASE = 2, 3, 4, 5, 6
REQUEST_BYTES_MAX = 64 * 1024
REQUEST_TIMEOUT_S = 5
ENTRIES_MAX = 100
NO_LEDGER = "the database has no db_migrations table: migrate it first"


def die(code, message):
    print(f"guestbook {RELEASE['version']}: {message}", file=sys.stderr, flush=True)
    sys.exit(code)


class DatabaseError(Exception):
    """The database did not do what it was asked; carries its own words."""


class Sqlite:
    """A connection per call: nothing stays open between requests."""

    mark = "?"

    def __init__(self, url):
        import sqlite3

        self.errors = sqlite3.Error
        self.connect = sqlite3.connect
        self.path = url[len("sqlite:"):] if url.startswith("sqlite:") else url
        if self.path.startswith("///"):
            self.path = self.path[2:]

    def run(self, sql, values=()):
        if not os.path.exists(self.path):
            raise DatabaseError(f"no database file {self.path}")
        try:
            connection = self.connect(self.path, timeout=5)
            try:
                with connection:
                    return connection.execute(sql, values).fetchall()
            finally:
                connection.close()
        except self.errors as error:
            raise DatabaseError(str(error)) from error

    def has_ledger(self):
        return self.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
                        ("db_migrations",)) != []

    def close(self):
        """Nothing is open."""


class Postgres:
    """One session that stays open, named after the service, so that an operator can see it."""

    mark = "%s"

    def __init__(self, url):
        import psycopg2

        self.errors = psycopg2.Error
        self.open = lambda: psycopg2.connect(url, application_name="guestbook", connect_timeout=5)
        self.connection = None
        self.lock = threading.Lock()

    def run(self, sql, values=()):
        with self.lock:
            for last in (False, True):
                try:
                    if self.connection is None:
                        self.connection = self.open()
                        self.connection.autocommit = True
                    with self.connection.cursor() as cursor:
                        cursor.execute(sql, values)
                        return cursor.fetchall() if cursor.description else []
                except self.errors as error:
                    # A session that died since the last request gets one fresh try.
                    stale = self.connection is not None and self.connection.closed
                    self.close()
                    if last or not stale:
                        raise DatabaseError(str(error).strip()) from error
        return []

    def has_ledger(self):
        return self.run("SELECT to_regclass('db_migrations')")[0][0] is not None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def open_database(url):
    return Postgres(url) if url.startswith(("postgres://", "postgresql://")) else Sqlite(url)


def schema_version(database):
    """Highest version in the ledger, 0 if it is empty, None if there is no ledger."""
    if not database.has_ledger():
        return None
    return database.run("SELECT max(version) FROM db_migrations")[0][0] or 0


def schema_complaint(schema):
    """Why this release cannot run with that schema; None if it can."""
    low, high = RELEASE["schema_min"], RELEASE["schema_max"]
    if schema is None:
        return NO_LEDGER
    if low <= schema <= high:
        return None
    way = "migrate it up" if schema < low else "migrate it down, or run a newer release"
    return f"the database has schema {schema}, this release runs with {low}..{high}: {way}"


def major_minor(text):
    return tuple(int(part) for part in text.split("."))


def check_module(node_dir):
    """The storage module is the node's, not the release's: an older one is brought up to date, a
    newer one cannot be brought back, and a missing one is somebody's mistake."""
    own = RELEASE["storage"]
    scripts = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "modules")
    install = f"{scripts}/install {node_dir}"
    try:
        with open(os.path.join(node_dir, "modules/storage/VERSION"), encoding="ascii") as file:
            found = file.read().strip()
    except OSError:
        die(EXIT_MODULE, f"storage module is not installed in {node_dir}: run {install}")
    if major_minor(found)[0] > major_minor(own)[0]:
        die(EXIT_MODULE, f"storage module {found} is too new, need <={major_minor(own)[0]}.x: "
                         f"run {scripts}/remove {node_dir} of the newer release, then {install}")
    if major_minor(found) < major_minor(own):
        import subprocess

        done = subprocess.run([os.path.join(scripts, "install"), node_dir], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            die(EXIT_MODULE, f"storage module {own} was not installed: {done.stderr.strip()}")
        found = own
    return found


class Service:
    """Answers requests; one thread each."""

    def __init__(self, database):
        self.database = database

    def health(self):
        try:
            schema = schema_version(self.database)
        except DatabaseError as error:
            return 503, {"status": "BAD", "version": RELEASE["version"], "reason": str(error)}
        complaint = schema_complaint(schema)
        answer = {"status": "BAD" if complaint else "GOOD", "version": RELEASE["version"],
                  "schema": schema}
        if complaint:
            answer["reason"] = complaint
        return (503 if complaint else 200), answer

    def list_entries(self, query):
        columns = RELEASE["columns"]
        sql = f"SELECT {', '.join(columns)} FROM entries"
        values = ()
        if query:
            if not RELEASE["by_author"] or not query.startswith("author="):
                return 400, {"error": f"unknown query: {query}"}
            sql += f" WHERE author = {self.database.mark}"
            values = (query[len("author="):],)
        sql += f" ORDER BY id DESC LIMIT {ENTRIES_MAX}"
        return 200, [dict(zip(columns, row)) for row in self.database.run(sql, values)]

    def list_authors(self):
        columns = ("author", "entries", "last_at")
        rows = self.database.run(f"SELECT {', '.join(columns)} FROM authors ORDER BY author")
        return 200, [dict(zip(columns, row)) for row in rows]

    def add_entry(self, body):
        try:
            entry = json.loads(body)
            values = {"author": str(entry["author"]), "message": str(entry["message"]),
                      "created_at": int(time.time())}
            if "author_email" in RELEASE["columns"]:
                values["author_email"] = entry.get("author_email")
        except (ValueError, KeyError, TypeError, AttributeError):
            return 400, {"error": 'expected {"author": "...", "message": "..."}'}
        marks = ", ".join([self.database.mark] * len(values))
        self.database.run(f"INSERT INTO entries ({', '.join(values)}) VALUES ({marks})",
                          tuple(values.values()))
        return 201, values

    def answer(self, method, target, body):
        path, _, query = target.partition("?")
        try:
            if (method, path) == ("GET", "/health"):
                return self.health()
            if (method, path) == ("GET", "/entries"):
                return self.list_entries(query)
            if (method, path) == ("POST", "/entries"):
                return self.add_entry(body)
            if (method, path) == ("GET", "/authors") and RELEASE["authors"]:
                return self.list_authors()
        except DatabaseError as error:
            return 500, {"error": str(error)}
        return 404, {"error": f"no {method} {path} here"}

    def talk(self, peer):
        with peer:
            peer.settimeout(REQUEST_TIMEOUT_S)
            try:
                request = read_request(peer)
                if request is None:
                    return
                status, answer = self.answer(*request)
                body = json.dumps(answer).encode() + b"\n"
                head = (f"HTTP/1.1 {status} {'OK' if status < 300 else 'Error'}\r\n"
                        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                        "Connection: close\r\n\r\n")
                peer.sendall(head.encode() + body)
            except (OSError, ValueError):
                pass  # the peer went away or does not speak HTTP


def read_request(peer):
    """(method, target, body), or None if the peer closed before it asked anything."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = peer.recv(4096)
        if not more or len(data) > REQUEST_BYTES_MAX:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    length = 0
    for header in headers:
        name, _, value = header.partition(":")
        if name.lower() == "content-length":
            length = min(int(value), REQUEST_BYTES_MAX)
    while len(body) < length:
        more = peer.recv(4096)
        if not more:
            return None
        body += more
    return method, target, body


def listen(host, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        die(EXIT_PORT, f"cannot listen on {host}:{port}: {error.strerror}")
    return listener


def serve(options):
    try:
        with open(options["config"], encoding="utf-8") as file:
            config = json.load(file)
        node_dir = options.get("node") or config["node_dir"]
        port = int(options["port"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        die(EXIT_USAGE, f"configuration {options.get('config')}: {error!r}")
    database = open_database(options["database"])
    try:
        schema = schema_version(database)
    except DatabaseError as error:
        die(EXIT_DATABASE, f"the database does not answer: {error}")
    complaint = schema_complaint(schema)
    if complaint:
        die(EXIT_SCHEMA, complaint)
    storage = check_module(node_dir)
    host = options.get("host", "127.0.0.1")
    listener = listen(host, port)
    service = Service(database)
    print(f"guestbook {RELEASE['version']} listens on {host}:{port}, schema {schema}, "
          f"storage {storage}", flush=True)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=service.talk, args=(peer,), daemon=True).start()


def stop(*_):
    # No thread is waited for: a request that is cut off is asked again, a stop is not.
    # And no print(): the signal may have come in the middle of one.
    try:
        os.write(1, f"guestbook {RELEASE['version']} stops\n".encode())
    finally:
        os._exit(0)


def main(argv):
    if argv == ["version"]:
        print(f"Version: {RELEASE['version']}")
        return
    known = ("port", "database", "config", "node", "host")
    names = [word[2:] for word in argv[1::2] if word.startswith("--")]
    options = dict(zip(names, argv[2::2]))
    whole = len(argv) == 1 + 2 * len(options) and all(name in known for name in names)
    if argv[:1] != ["serve"] or not whole or not {"port", "database", "config"} <= set(options):
        die(EXIT_USAGE, "usage: guestbook version | serve --port P --database URL --config FILE "
                        "[--node DIR] [--host H]")
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    serve(options)


if __name__ == "__main__":
    main(sys.argv[1:])
