"""Webhooks are told what happens to a run, and no run waits for them: a real HTTP server that fails at first."""
import http.server
import json
import socket
import threading
import time

from harness import wait_until
from test_rollback import CLUSTER, MARKS, newest

PAUSED = 3


class Hook:
    """Keeps what is posted; answers 500 to the first try of everything."""

    def __init__(self):
        self.told, self.refused = [], []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8")
                is_new = body not in hook.refused
                (hook.refused if is_new else hook.told).append(body)
                self.send_response(500 if is_new else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/hook" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self, run):
        return [event for event in map(json.loads, self.told) if event["run"] == run]

    def wait(self, run, *names):
        """Until these events of a run have come, and no other ones."""
        def come():
            return sorted(event["event"] for event in self.events(run)) == sorted(names)

        wait_until(f"{names} of {run}: {self.told}", come)
        return {event["event"]: event for event in self.events(run)}


def test_webhooks_are_told_of_start_gate_failure_and_finish_and_no_run_waits_for_them(make_site, start):
    hook = Hook()
    strategy = ("{ rolling: { canary: 1, max_unavailable: 1 }, gates: [ { after: canary } ] }\n"
                f"notify: [ {{ webhook: \"{hook.url}\" }}, {{ webhook: \"http://127.0.0.1:1/x\" }},\n"
                f"  {{ webhook: \"{hook.url}/2\", events: [gate] }} ]")
    site = make_site(names=("app-1", "app-2"), extra_steps=MARKS, strategy=strategy)
    ls = start(site)
    ls.ok("apply", site.write("1.0.0"), "--stay")
    hook.wait(newest(ls)["run"], "start", "finish")
    (site.node_dir("app-2") / "closed").touch()
    at_gate = ls.run("apply", site.write("1.1.0"))
    run = newest(ls)["run"]
    assert at_gate.code == PAUSED and newest(ls)["state"] == "waiting", at_gate
    assert "gate canary: 0 of 1 approvals" in at_gate.words
    assert f"lockstep approve {run}, as approver or admin" in at_gate.words
    events = hook.wait(run, "start", "gate", "gate")
    assert events["gate"]["cluster"] == CLUSTER and events["gate"]["state"] == "waiting"
    assert "waits for approval: gate canary" in events["gate"]["text"]
    ls.ok("approve", run)
    assert ls.run("watch", run).code == PAUSED
    events = hook.wait(run, "start", "gate", "gate", "failure")
    assert events["failure"]["state"] == "paused" and "app-2: gate: " in events["failure"]["why"]
    (site.node_dir("app-2") / "closed").unlink()
    ls.ok("retry", run)
    ls.ok("watch", run)
    events = hook.wait(run, "start", "gate", "gate", "failure", "finish")
    assert events["finish"]["state"] == "succeeded" and events["start"]["state"] == "running"
    assert events["start"]["text"] == f"{CLUSTER}: guestbook 1.0.0 -> 1.1.0 starts (run {run})"
    assert site.problems("1.1.0") == []
    wait_until("what nobody hears is given up and logged",
               lambda: "127.0.0.1:1/x was not told after 4 tries" in ls.log_text("lockstepd"))
    hook.server.shutdown()


def test_webhooks_that_never_answer_keep_no_plan_waiting_and_no_controller_from_stopping(make_site, start):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # connects, and says nothing
        hooks = ", ".join("{ webhook: \"http://127.0.0.1:%d/%d\" }" % (silent.getsockname()[1], i)
                          for i in range(8))
        site = make_site(names=("app-1",), strategy=f"all-at-once\nnotify: [ {hooks} ]")
        ls = start(site)
        ls.ok("apply", site.write("1.0.0"), "--stay")
        began = time.monotonic()
        ls.ok("plan", site.write("1.1.0"))
        ls.stop("lockstepd")
        assert time.monotonic() - began < 20, "sixteen posts of ten seconds each are under way"
