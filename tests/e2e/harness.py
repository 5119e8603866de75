"""A whole Lockstep on one machine: lockstepd, agents with directories of their own, the command.

Owns: one temporary directory, and every process that was started from it.  Services, lock holders
and workers are detached from their starters on purpose, so the processes are found in /proc: by a
marker in their environment, or by a working directory or an argument inside the directory.
Refuses: to end any other process.

The programs come from $LOCKSTEP_BIN, or from build/bin.  Needs Python's standard library only.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKER = "LOCKSTEP_TEST_HOME"
POLL_S = 0.02
WAIT_S = 20
VERB_S = 120
CRASH_VARIABLES = ("LOCKSTEP_CRASH_BEFORE", "LOCKSTEP_CRASH_AFTER",
                   "LOCKSTEP_PLACE_CRASH_BEFORE", "LOCKSTEP_PLACE_CRASH_AFTER")


class HarnessError(AssertionError):
    """Something that the harness itself needs did not happen; carries the programs' words."""


def bin_dir():
    return pathlib.Path(os.environ.get("LOCKSTEP_BIN") or ROOT / "build" / "bin").resolve()


def program(name):
    path = bin_dir() / name
    if not path.exists():
        raise HarnessError(f"{path} is not there: run ./dev build, or set LOCKSTEP_BIN")
    return str(path)


def wait_until(what, check, timeout_s=WAIT_S):
    """The first true value of check(); HarnessError with `what` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise HarnessError(f"waited {timeout_s} s in vain: {what}")
        time.sleep(POLL_S)


class Result:
    """How one call of `lockstep` ended."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    @property
    def words(self):
        return self.out + self.err

    def json(self):
        return json.loads(self.out)

    def lines(self):
        """A stream of JSON values, one a line."""
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def __repr__(self):
        return f"{' '.join(self.argv)}\nexit {self.code}\n{self.out}{self.err}"


class Lockstep:
    """`with Lockstep(["n1", "n2"]) as ls:` has a controller and two connected agents.

    nodes  names of the agents that are started at once
    top    the directory; a temporary one otherwise
    keep   leave the directory behind
    """

    def __init__(self, nodes=(), top=None, keep=False, env=None):
        self.dir = pathlib.Path(top or tempfile.mkdtemp(prefix="lockstep-")).resolve()
        self.dir.mkdir(exist_ok=True)
        self.nodes = list(nodes)
        self.keep = keep
        self.env = dict(env or {})
        self.address = None
        self.children = {}  # "lockstepd" or an agent's name: its process
        self._began = _ticks_now()

    def __enter__(self):
        try:
            self.start_controller()
            for name in self.nodes:
                self.start_agent(name, token=self.enroll(name))
            self.wait_connected(self.nodes)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # ---- starting and killing ------------------------------------------------------------

    def _environment(self, more=None):
        env = {key: value for key, value in os.environ.items() if key not in CRASH_VARIABLES}
        return {**env, **self.env, MARKER: str(self.dir), **(more or {})}

    def _start(self, name, argv, env):
        with open(self.log(name), "ab") as log:
            self.children[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                env=self._environment(env), start_new_session=True)
        return self.children[name]

    def log(self, name):
        return self.dir / f"{name}.log"

    def log_text(self, name):
        with contextlib.suppress(OSError):
            return self.log(name).read_text(encoding="utf-8", errors="replace")
        return ""

    @property
    def controller_state(self):
        return self.dir / "controller"

    @property
    def identity(self):
        return self.controller_state / "operator"

    def agent_state(self, name):
        return self.dir / f"agent-{name}"

    def start_controller(self, env=None, wait=True):
        """On the port of its first start.  wait=False: it may crash before it answers."""
        listen = self.address or "127.0.0.1:0"
        child = self._start("lockstepd", [program("lockstepd"), "--state",
                                          str(self.controller_state), "--listen", listen], env)
        if wait:
            self.wait_controller(child)
        return child

    def wait_controller(self, child=None):
        """Until it answers `lockstep node list`."""
        child = child or self.children["lockstepd"]

        def answers():
            if child.poll() is not None:
                raise HarnessError(f"lockstepd ended with {child.returncode}:\n"
                                   + self.log_text("lockstepd")[-2000:])
            address = self.identity / "controller"
            return address.exists() and self.run("node", "list", timeout=10).code == 0

        wait_until("lockstepd answers", answers)
        self.address = (self.identity / "controller").read_text(encoding="ascii").strip()

    def enroll(self, name):
        """The one-use token of a node."""
        result = self.run("node", "enroll", name)
        if result.code != 0:
            raise HarnessError(repr(result))
        return next(word for word in result.out.split() if word.startswith("ls1."))

    def start_agent(self, name, token=None, env=None):
        argv = [program("lockstep-agent"), "--controller", self.address, "--state",
                str(self.agent_state(name))]
        return self._start(name, argv + (["--token", token] if token else []), env)

    def kill(self, name):
        """kill -9 of lockstepd or of an agent; what they have detached lives on."""
        child = self.children.get(name)
        if child is not None:
            if child.poll() is None:
                child.kill()
            child.wait()

    def stop(self, name):
        """SIGTERM; returns the exit status."""
        child = self.children[name]
        if child.poll() is None:
            child.terminate()
        return child.wait(timeout=WAIT_S)

    def wait_dead(self, name, timeout_s=WAIT_S):
        """Until a program has ended by itself.  Returns whether it was by SIGKILL, its own here."""
        child = self.children[name]
        wait_until(f"{name} ends by itself", lambda: child.poll() is not None, timeout_s)
        return child.returncode == -signal.SIGKILL

    def restart(self, name, env=None):
        """After a kill or a crash, on the same state."""
        self.kill(name)
        if name == "lockstepd":
            return self.start_controller(env)
        return self.start_agent(name, env=env)

    # ---- the command ---------------------------------------------------------------------

    def command(self, *args):
        return [program("lockstep"), "--identity", str(self.identity), *[str(a) for a in args]]

    def run(self, *args, timeout=VERB_S, cwd=None, env=None):
        """One call of `lockstep` to its end."""
        argv = self.command(*args)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, cwd=cwd or self.dir, env=self._environment(env),
                              check=False)
        return Result(argv[3:], done.returncode, done.stdout, done.stderr)

    def ok(self, *args, **options):
        """The same, and it must succeed."""
        result = self.run(*args, **options)
        if result.code != 0:
            raise HarnessError(f"{result!r}\n{self.tails()}")
        return result

    def start(self, *args, cwd=None):
        """A call of `lockstep` that runs on; its words are in its `stdout` pipe."""
        return subprocess.Popen(self.command(*args), stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                cwd=cwd or self.dir, env=self._environment())

    def wait_connected(self, names):
        def connected():
            result = self.run("--json", "node", "list")
            if result.code != 0:
                return False
            found = result.json()
            found = found.get("nodes", []) if isinstance(found, dict) else found
            up = {node["name"] for node in found if node["connected"]}
            return set(names) <= up

        try:
            wait_until(f"the agents {' '.join(names)} connect", connected)
        except HarnessError as error:
            raise HarnessError(f"{error}\n{self.tails()}") from error

    def journal_last(self, name):
        """The last record number of lockstepd's or of an agent's journal; "place" is lockstepd's
        own executor."""
        import sqlite3

        path = {"lockstepd": self.controller_state / "journal.db",
                "place": self.controller_state / "executor" / "place.db"}.get(
                    name, self.agent_state(name) / "place.db")
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            return connection.execute("SELECT number FROM last").fetchone()[0]
        finally:
            connection.close()

    def tails(self, lines=15):
        """The end of every program's log, for messages."""
        text = ""
        for path in sorted(self.dir.glob("*.log")):
            tail = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            text += f"--- {path.name}\n" + "".join(line + "\n" for line in tail)
        return text

    # ---- the end -------------------------------------------------------------------------

    def processes(self):
        """{pid: command line} of all that was started from here, by whomever."""
        home = str(self.dir)
        marker = f"{MARKER}={home}".encode()
        spare = _ancestors(os.getpid())
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) not in spare:
                words = _belongs(int(entry), home, marker, self._began)
                if words is not None:
                    found[int(entry)] = words
        return found

    def end_all(self):
        """Kills what is left; returns {pid: command line} of what could not be ended."""
        for name in list(self.children):
            self.kill(name)
        for _ in range(200):
            left = self.processes()
            if not left:
                return {}
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)
        return left

    def close(self):
        left = self.end_all()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        if left:
            raise HarnessError(f"these processes could not be ended: {left}")


def _ticks_now():
    with open("/proc/uptime", encoding="ascii") as file:
        return int(float(file.read().split()[0]) * os.sysconf("SC_CLK_TCK"))


def _stat(pid):
    """(state, parent, start time in ticks), or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), int(fields[19])


def _ancestors(pid):
    found = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        stat = _stat(pid)
        pid = stat[1] if stat else 0
    return found


def _belongs(pid, home, marker, began):
    """Its command line when the process was started from `home`, else None."""
    stat = _stat(pid)
    if stat is None or stat[0] == "Z" or stat[2] + 1 < began:
        return None
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            argv = file.read()
        with open(f"/proc/{pid}/environ", "rb") as file:
            environ = file.read().split(b"\0")
        cwd = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None
    inside = cwd == home or cwd.startswith(home + "/") or (home + "/").encode() in argv
    if marker not in environ and not inside:
        return None
    return argv.replace(b"\0", b" ").decode(errors="replace").strip()
