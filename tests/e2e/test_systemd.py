"""Units of a real systemd, under Lockstep as a site would install it: the controller and the agent run as the unit files
in configs/systemd say, the guestbook is a unit too.

One systemd is booted for all of this file, in namespaces of its own; the bodies of the tests run in there.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import guestbook_site
from harness import ROOT, WAIT_S, HarnessError, Lockstep, program, wait_until
from systemd_node import UNITS, SystemdNode, inside

EXIT_OK, EXIT_FAILED, EXIT_PAUSED = 0, 1, 3
CLUSTER = "guestbook-demo"
NODE = "app-1"
APPLICATION_UNIT = "guestbook@app-1.service"
CONTROLLER, AGENT = "lockstepd.service", "lockstep-agent.service"
SITE = pathlib.Path("/srv/site")
ALL_AT_ONCE = "all-at-once"
STATE = {CONTROLLER: pathlib.Path("/var/lib/lockstep"), AGENT: pathlib.Path("/var/lib/lockstep-agent")}

GUESTBOOK = """\
[Unit]
Description=guestbook of %i
StartLimitIntervalSec=0
[Service]
Type=exec
WorkingDirectory={node_dir}/app
ExecStart={node_dir}/app/bin/guestbook serve --port {port} --database {database} --config {node_dir}/guestbook.json
{more}
"""


@pytest.fixture(scope="module", name="node")
def booted_node():
    with SystemdNode() as node:
        for name in ("lockstepd", "lockstep-agent", "lockstep"):
            node.run("cp", program(name), f"/usr/bin/{name}")
        for name in (CONTROLLER, AGENT):
            node.run("cp", ROOT / "configs/systemd" / name, f"/etc/systemd/system/{name}")
        node.run("mkdir", "-p", "/etc/lockstep")
        node.run("systemctl", "daemon-reload")
        yield node


# ---- on that machine -----------------------------------------------------------------------


def systemctl(*args, check=True):
    done = subprocess.run(["systemctl", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode != 0:
        raise HarnessError(f"systemctl {' '.join(args)}: {done.stdout}")
    return done.stdout.strip()


def shown(unit, name):
    return systemctl("show", "--value", "-p", name, unit)


def write_unit(name, text):
    pathlib.Path(UNITS, name).write_text(text, encoding="utf-8")
    systemctl("daemon-reload")


class UnitSite(guestbook_site.Site):
    """Its service is a unit, and so is nothing else."""

    def application_text(self):
        head, _, rest = super().application_text().partition("service:\n")
        _, _, rest = rest.partition("  within: 20s\n")
        return f'{head}service: {{ systemd: "guestbook@${{node.name}}", within: 20s }}\n{rest}'

    def write_guestbook(self, more="", command=None):
        """The unit file; `more` lines for its [Service], or another command."""
        text = GUESTBOOK.format(node_dir=self.node_dir(NODE), port=self.ports[NODE],
                                database=self.database.url, more=more)
        if command is not None:
            text = "".join(f"ExecStart={command}\n" if line.startswith("ExecStart=") else line
                           for line in text.splitlines(keepends=True))
        write_unit("guestbook@.service", text)


class UnitLockstep(Lockstep):
    """The controller and one agent as the units that are shipped."""

    @property
    def controller_state(self):
        return STATE[CONTROLLER]

    def agent_state(self, name):
        assert name == NODE
        return STATE[AGENT]

    def start_controller(self, env=None, wait=True):
        port = guestbook_site.free_port()
        pathlib.Path("/etc/lockstep/lockstepd.env").write_text(
            f"LOCKSTEPD_OPTIONS=--listen 127.0.0.1:{port}\n", encoding="ascii")
        systemctl("start", CONTROLLER)
        wait_until("lockstepd answers", lambda: (self.identity / "controller").exists()
                   and self.run("node", "list", timeout=10).code == 0)
        self.address = f"127.0.0.1:{port}"

    def start_agent(self, name, token=None, env=None):
        pathlib.Path("/etc/lockstep/token").write_text(f"{token}\n", encoding="ascii")
        pathlib.Path("/etc/lockstep/agent.env").write_text(
            f"LOCKSTEP_CONTROLLER={self.address}\n"
            "LOCKSTEP_AGENT_OPTIONS=--token-file /etc/lockstep/token\n", encoding="ascii")
        systemctl("start", AGENT)

    def tails(self, lines=15):
        return subprocess.run(
            ["journalctl", "--no-pager", "-n", str(lines * 3), "-o", "short-precise"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    def close(self):
        for unit in (APPLICATION_UNIT, AGENT, CONTROLLER):
            systemctl("kill", "--kill-whom=all", "--signal=KILL", unit, check=False)
            systemctl("stop", unit, check=False)
            systemctl("reset-failed", unit, check=False)
        for path in STATE.values():
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{UNITS}/guestbook@.service")
        super().close()


@contextlib.contextmanager
def machine(**options):
    """(site, ls): a fresh site, and Lockstep around it."""
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir(parents=True)
    site = UnitSite(SITE, names=(NODE,), strategy=ALL_AT_ONCE, **options)
    with UnitLockstep([NODE], top=SITE, keep=True) as ls:
        site.write_guestbook()
        yield site, ls
    site.close()


def go(ls, site, version):
    ls.ok("apply", site.write(version))
    assert site.problems(version) == [], ls.tails()


def ends(ls, *verb, code=EXIT_PAUSED):
    """The words of a run to its end, or to its pause."""
    result = ls.run(*verb)
    assert result.code == code, f"{result!r}\n{ls.tails()}"
    return result.words


def retry(ls, code=EXIT_OK):
    """An operator's `retry`, and the words of the run from there to its end or its next pause."""
    ls.ok("retry", CLUSTER)
    return ends(ls, "watch", CLUSTER, code=code)


def serving(pid):
    """Whether it is the guestbook itself."""
    return "bin/guestbook serve" in pathlib.Path(f"/proc/{pid}/cmdline").read_text(
        encoding="utf-8").replace("\0", " ")


# ---- the units that are shipped ------------------------------------------------------------


def test_the_shipped_unit_files_have_nothing_that_systemd_does_not_know(node):
    done = node.run("systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{CONTROLLER}",
                    f"/etc/systemd/system/{AGENT}", check=False)
    assert (done.returncode, done.stdout) == (0, "")


# ---- start and stop ------------------------------------------------------------------------

SEEN = """\
  - name: look-at-the-unit
    scope: node
    after: stopped
    do:
      - run: {{ command: [/bin/sh, -c, "systemctl show -p ActiveState,MainPID {unit} >> {file}"], tree: none }}
  - name: look-at-it-again
    scope: node
    after: start-requested
    do:
      - run: {{ command: [/bin/sh, -c, "systemctl show -p ActiveState {unit} >> {file}"], tree: none }}
""".format(unit=APPLICATION_UNIT, file=SITE / "seen")


@inside
def test_a_start_and_a_stop_are_over_when_their_jobs_are(node):
    """The unit takes its time both ways: who looked in between would see `activating` or `deactivating`."""
    with machine(extra_steps=SEEN) as (site, ls):
        site.write_guestbook("ExecStartPost=/bin/sleep 0.4\nExecStopPost=/bin/sleep 0.4")
        pids = []
        for version in ("1.0.0", "1.1.0"):
            seen = SITE / "seen"
            seen.unlink(missing_ok=True)
            go(ls, site, version)
            looks = seen.read_text(encoding="ascii").split()
            assert [word for word in looks if "MainPID" not in word] == [
                "ActiveState=inactive", "ActiveState=active"], looks
            assert "MainPID=0" in looks, looks
            assert shown(APPLICATION_UNIT, "ActiveState") == "active"
            pids.append(int(shown(APPLICATION_UNIT, "MainPID")))
            assert serving(pids[-1])
        assert pids[0] != pids[1]


# ---- units that fail -----------------------------------------------------------------------

DIES = "/bin/sh -c 'echo cannot read the visitors of $$PPID >&2; exit 7'"


@pytest.mark.parametrize("restart", ["no", "always"])
@inside
def test_a_unit_that_dies_at_once_pauses_the_run_with_its_last_words(node, restart):
    with machine() as (site, ls):
        site.write_guestbook("ExecStartPre=/bin/echo words of an earlier start")
        go(ls, site, "1.0.0")
        site.write_guestbook(f"Restart={restart}\nRestartSec=10ms", command=DIES)
        words = ends(ls, "apply", site.write("1.1.0"))
        assert "status 7" in words, words
        assert "cannot read the visitors of" in words, words
        assert "words of an earlier start" not in words, words
        # It does not go on in circles behind the operator's back.
        assert shown(APPLICATION_UNIT, "ActiveState") in ("failed", "inactive"), words
        site.write_guestbook()
        retry(ls)
        assert site.problems("1.1.0") == [], ls.tails()


@inside
def test_a_unit_that_cannot_be_started_says_why(node):
    with machine() as (site, ls):
        site.write_guestbook(command=f"{site.node_dir(NODE)}/app/bin/no-such-program")
        words = ends(ls, "apply", site.write("1.0.0"))
        assert APPLICATION_UNIT in words, words
        assert "no-such-program: No such file or directory" in words, words
        site.write_guestbook("[Unit]\nConditionPathExists=/no/such/path")
        words = retry(ls, code=EXIT_PAUSED)
        assert "a Condition in its unit file is not met" in words, words
        site.write_guestbook()
        retry(ls)
        assert site.problems("1.0.0") == [], ls.tails()


@inside
def test_a_unit_that_was_started_too_often_is_started_all_the_same(node):
    """systemd's limit of starts is against loops of its own, not against an operator's word."""
    with machine() as (site, ls):
        site.write_guestbook("[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=1")
        go(ls, site, "1.0.0")
        go(ls, site, "1.1.0")
        pid = shown(APPLICATION_UNIT, "MainPID")
        assert "nothing to do" in ls.ok("apply", site.cluster_file).words
        assert shown(APPLICATION_UNIT, "MainPID") == pid


# ---- units that are not there --------------------------------------------------------------


@inside
def test_a_unit_that_is_not_loaded_is_found_before_anything_stops(node):
    with machine() as (site, ls):
        go(ls, site, "1.0.0")
        pid = shown(APPLICATION_UNIT, "MainPID")
        evidence = site.migrations_run()
        path = pathlib.Path(UNITS, "guestbook@.service")
        for how, word in (("removed", "not-found"), ("masked", "systemctl unmask"), ("broken", "bad-setting")):
            path.unlink()
            if how == "masked":
                path.symlink_to("/dev/null")
            elif how == "broken":
                path.write_text("[Service]\nExecStart=not/absolute\n", encoding="ascii")
                path.chmod(0o644)
            systemctl("daemon-reload")
            words = ends(ls, "apply", site.write("1.1.0"), code=EXIT_FAILED)
            assert "before anything was touched" in words, words
            assert "preflight" in words and APPLICATION_UNIT in words and word in words, words
            assert shown(APPLICATION_UNIT, "MainPID") == pid and serving(pid)
            assert site.is_good(NODE, "1.0.0") and site.migrations_run() == evidence
            path.unlink(missing_ok=True)
            site.write_guestbook()
        go(ls, site, "1.1.0")
        assert shown(APPLICATION_UNIT, "MainPID") != pid


VANISHES = """\
  - name: lose-the-unit-file
    when: {{ hop_from: "1.0.0" }}
    scope: node
    before: stopped
    do:
      - run: {{ command: [/bin/sh, -c, "rm {units}/guestbook@.service && systemctl daemon-reload"], tree: none }}
""".format(units=UNITS)


@inside
def test_a_unit_that_lost_its_file_on_the_way_is_stopped_all_the_same(node):
    with machine(extra_steps=VANISHES) as (site, ls):
        go(ls, site, "1.0.0")
        pid = shown(APPLICATION_UNIT, "MainPID")
        words = ends(ls, "apply", site.write("1.1.0"))
        assert "not-found" in words and "install its unit file" in words, words
        assert not pathlib.Path(f"/proc/{pid}").exists()
        site.write_guestbook()
        retry(ls)
        assert site.problems("1.1.0") == [], ls.tails()


# ---- the agent's and the controller's own units --------------------------------------------

SLOW = """\
  - name: slow
    scope: node
    after: stopped
    do:
      - run:
          command: [/bin/sh, -c, 'cd "${node.dir}"; echo $$$$ >> began; sleep 2; echo $$$$ >> ended']
          tree: none
"""


def restart_by_systemctl(units):
    systemctl("restart", *units)


def restart_after_a_kill(units):
    for unit in units:
        os.kill(int(shown(unit, "MainPID")), signal.SIGKILL)


@pytest.mark.parametrize("restart, units", [(restart_by_systemctl, [AGENT]),
                                            (restart_after_a_kill, [AGENT]),
                                            (restart_by_systemctl, [CONTROLLER, AGENT])],
                         ids=["agent", "agent-killed", "both"])
@inside
def test_a_restart_in_the_middle_of_a_command_does_not_end_it(node, restart, units):
    with machine(extra_steps=SLOW) as (site, ls):
        apply = ls.start("apply", site.write("1.0.0"))
        began, ended = site.node_dir(NODE) / "began", site.node_dir(NODE) / "ended"
        wait_until("the command runs", lambda: began.exists() and began.read_text(encoding="ascii"))
        before = {unit: shown(unit, "MainPID") for unit in units}
        restart(units)
        for unit in units:
            wait_until(f"{unit} is another process",
                       lambda u=unit: shown(u, "MainPID") not in ("0", before[u]))
        assert not ended.exists(), "the restart came too late to prove anything"
        code = apply.wait(timeout=WAIT_S)
        assert code == EXIT_OK, f"{apply.stdout.read()}\n{ls.tails()}"
        assert site.problems("1.0.0") == []
        assert len(began.read_text(encoding="ascii").split()) == 1
        assert ended.read_text(encoding="ascii") == began.read_text(encoding="ascii")
