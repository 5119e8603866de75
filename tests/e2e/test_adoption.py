"""Another controller goes on with the run of one that hangs, and the one that hung does no harm when it wakes."""
import contextlib
import os
import shutil
import signal
import socket
import threading

from harness import program, wait_until

TAKEN_OVER = 3

# Each node waits for its file between being stopped and being swapped; what ran is counted.
SLOW = """\
  - name: slow
    when: { direction: up, hop_to: "1.1.0" }
    scope: node
    after: stopped
    do: [ { run: { command: [/bin/sh, -c,
      'cd "${node.dir}"; echo x >> began; while [ ! -e go ]; do sleep 0.05; done'], tree: none } } ]
"""


class Address:
    """One address that leads to whichever controller has it: what a floating IP or a name is to the agents."""

    def __init__(self, port):
        self.port = port
        self.open = []
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.text = "127.0.0.1:%d" % self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, port):
        with self.lock:
            self.port = port
            for end in self.open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self.open = []

    def close(self):
        self.server.close()
        self.lead_to(0)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.server.accept()
                with self.lock, contextlib.suppress(OSError):
                    far = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                    far.settimeout(None)
                    self.open += [near, far]
                    for ends in ((near, far), (far, near)):
                        threading.Thread(target=self._pass, args=ends, daemon=True).start()
                    continue
                near.close()

    @staticmethod
    def _pass(from_, to):
        with contextlib.suppress(OSError):
            while data := from_.recv(65536):
                to.sendall(data)
        for end in (from_, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def port_of(text):
    return int(text.rsplit(":", 1)[1])


def lines(site, name, file):
    path = site.node_dir(name) / file
    return path.read_text(encoding="ascii").split() if path.exists() else []


def test_another_controller_goes_on_and_the_one_that_hung_stops_when_it_wakes(make_site, start):
    site = make_site(extra_steps=SLOW)
    ls = start(site, nodes=())
    first = ls.children["lockstepd"]
    first_port = port_of(ls.address)
    address = Address(first_port)
    ls.address = address.text
    for name in site.names:
        ls.start_agent(name, token=ls.enroll(name))
    ls.wait_connected(site.names)
    ls.ok("apply", site.write("1.0.0"))
    ls.ok("apply", site.write("1.1.0"), "--detach")
    wait_until("app-1 is in the middle", lambda: lines(site, "app-1", "began"))

    os.kill(first.pid, signal.SIGSTOP)
    copy = ls.dir / "second"
    shutil.copytree(ls.controller_state, copy, ignore=lambda _, names: [
        name for name in names if name.endswith(".lock")])
    (copy / "operator" / "controller").unlink()
    second = ls._start("second", [program("lockstepd"), "--state", str(copy), "--listen",
                                  "127.0.0.1:0"], None)
    said = copy / "operator" / "controller"
    wait_until("the second one listens", lambda: said.exists() and said.read_text().strip())
    second_port = port_of(said.read_text(encoding="ascii").strip())

    ls.command = lambda *words: [program("lockstep"), "--identity", str(copy / "operator"),
                                 *map(str, words)]
    address.lead_to(second_port)
    ls.wait_connected(site.names)
    # The first one wakes while the second one is at work, and the agents come to it.
    os.kill(first.pid, signal.SIGCONT)
    address.lead_to(first_port)
    wait_until("the first one stops", lambda: first.poll() is not None)
    assert first.returncode == TAKEN_OVER, ls.tails()
    assert "another controller has taken over, so this one stops" in ls.log_text("lockstepd")
    address.lead_to(second_port)
    for name in site.names:
        (site.node_dir(name) / "go").touch()
    ls.ok("watch", "guestbook-demo")
    assert site.problems("1.1.0") == []
    for name in site.names:
        assert lines(site, name, "began") == ["x"], name
    assert second.poll() is None
    address.close()
