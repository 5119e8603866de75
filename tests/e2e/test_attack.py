"""A hostile or unlucky client at the controller's one port: what it must not get, and must not
break.

Speaks gRPC itself, with certificates of its own making, because no program of Lockstep would say
such things.
"""
import contextlib
import pathlib
import queue
import shutil
import sqlite3
import subprocess
import sys
import time

import grpc
import pytest

import guestbook_site
from harness import Lockstep, program, wait_until


ROOT = pathlib.Path(__file__).resolve().parents[2]
CALL_S = 10
HIGHEST = 2**63 - 1


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def make_request(subject, key, request):
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", subject, "-keyout", key, "-out", request)


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    """(agent_pb2, operator_pb2), made from proto/."""
    made = tmp_path_factory.mktemp("pb")
    subprocess.run(["protoc", f"--python_out={made}", "proto/agent.proto", "proto/operator.proto"],
                   check=True, cwd=ROOT)
    sys.path.insert(0, str(made))
    try:
        from proto import agent_pb2, operator_pb2
    finally:
        sys.path.remove(str(made))
    return agent_pb2, operator_pb2


@pytest.fixture
def home(tmp_path):
    with Lockstep(["app-1"], top=tmp_path, keep=True) as ls:
        yield ls


class Door:
    """One connection to lockstepd as `name`, with a certificate or without."""

    def __init__(self, ls, name, certificate=None, key=None):
        def read(path):
            return path.read_bytes() if path else None

        credentials = grpc.ssl_channel_credentials(
            (ls.controller_state / "ca" / "ca.crt").read_bytes(), read(key), read(certificate))
        self.channel = grpc.secure_channel(ls.address, credentials, options=[
            ("grpc.ssl_target_name_override", name), ("grpc.max_send_message_length", -1)])

    def call(self, method, request, reply):
        return self.channel.unary_unary(f"/lockstep.v1.{method}",
                                        request_serializer=type(request).SerializeToString,
                                        response_deserializer=reply.FromString)(
                                            request, timeout=CALL_S)

    def session(self, messages, **hello):
        """An open Session that has said hello; say(...) says more."""
        return Session(self.channel, messages[0], hello)


class Session:
    def __init__(self, channel, agent, hello):
        self.agent = agent
        self.reports = queue.Queue()
        self.say(hello=agent.Hello(**{"version": "9", "os": "linux", "arch": "amd64", **hello}))
        self.orders = channel.stream_stream(
            "/lockstep.v1.Agents/Session",
            request_serializer=agent.AgentReport.SerializeToString,
            response_deserializer=agent.AgentOrder.FromString)(iter(self.reports.get, None),
                                                               timeout=CALL_S)

    def say(self, **report):
        self.reports.put(self.agent.AgentReport(**report))

    def first(self):
        """The first order, or the status with which the controller refused."""
        try:
            return next(self.orders)
        except grpc.RpcError as error:
            return error.code()

    def close(self):
        self.orders.cancel()
        self.reports.put(None)


def enroll(ls, messages, name, folder):
    """(certificate, key) of an agent that is none."""
    agent, _ = messages
    folder.mkdir()
    make_request(f"/CN={name}", folder / "key", folder / "csr")
    reply = Door(ls, "agents.lockstepd").call("Agents/Enroll", agent.EnrollRequest(
        token=ls.enroll(name).rpartition(".")[2], node=name, csr=(folder / "csr").read_bytes()),
        agent.EnrollReply)
    (folder / "crt").write_bytes(reply.certificate)
    return folder / "crt", folder / "key"


def make_operator(ls, role, folder):
    """A directory for --identity, signed with the controller's CA."""
    ca = ls.controller_state / "ca"
    shutil.copytree(ls.identity, folder)
    make_request(f"/OU={role}/CN=eve", folder / "operator.key", folder / "csr")
    (folder / "ext").write_text("basicConstraints=critical,CA:FALSE\n"
                                "keyUsage=critical,digitalSignature\n"
                                "extendedKeyUsage=clientAuth\n", encoding="ascii")
    openssl("x509", "-req", "-in", folder / "csr", "-CA", ca / "ca.crt", "-CAkey", ca / "ca.key",
            "-set_serial", "4711", "-days", "2", "-extfile", folder / "ext", "-out",
            folder / "operator.crt")
    return folder


def fence(ls, messages):
    door = Door(ls, "operators.lockstepd", ls.identity / "operator.crt",
                ls.identity / "operator.key")
    return door.call("Operator/Ping", messages[1].PingRequest(), messages[1].PingReply).fence


def run_as(identity, *args):
    return subprocess.run([program("lockstep"), "--identity", str(identity), *map(str, args)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=60)


def make_site(top, names):
    top.mkdir()
    return guestbook_site.Site(top, names=names, strategy="all-at-once")


def test_a_viewer_runs_no_command_on_a_node(home, tmp_path):
    """`plan` observes, and what is observed is a command of the Application that is uploaded."""
    site = make_site(tmp_path / "site", ["app-1"])
    mark = tmp_path / "mark"
    file = site.write("1.0.0")
    application = site.config / "guestbook.yaml"
    own = application.read_text(encoding="utf-8").replace(
        "[bin/guestbook, version]", f'[sh, -c, "echo here > {mark}"]')
    assert str(mark) in own
    application.write_text(own, encoding="utf-8")
    (site.tree("app-1") / "bin").mkdir(parents=True)  # what is there is asked its version
    run_as(make_operator(home, "viewer", tmp_path / "viewer"), "plan", file)
    assert not mark.exists()
    # The attack is a real one: who may apply may do that.
    home.run("plan", file)
    assert mark.exists()


def test_a_certificate_that_was_replaced_is_refused(home, messages, tmp_path):
    old = enroll(home, messages, "app-2", tmp_path / "old")
    new = enroll(home, messages, "app-2", tmp_path / "new")
    agent, _ = messages
    session = Door(home, "agents.lockstepd", *new).session(messages, node="app-2")
    assert session.first().WhichOneof("order") == "welcome"
    session.close()
    session = Door(home, "agents.lockstepd", *old).session(messages, node="app-2")
    refused = session.first()
    session.close()
    assert refused in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(grpc.RpcError):
        Door(home, "agents.lockstepd", *old).call("Agents/Renew", agent.RenewRequest(
            csr=(tmp_path / "old" / "csr").read_bytes()), agent.EnrollReply)


@pytest.mark.parametrize("said", [HIGHEST, 2 * HIGHEST + 1])
def test_no_agent_takes_the_fence_to_its_end(home, messages, tmp_path, said):
    """Otherwise no later controller could ever have a higher one."""
    certificate = enroll(home, messages, "app-2", tmp_path / "fake")
    session = Door(home, "agents.lockstepd", *certificate).session(messages, node="app-2",
                                                                   fence=said)
    session.first()
    session.close()
    before = fence(home, messages)
    home.restart("lockstepd")
    assert before < fence(home, messages) < HIGHEST


def test_a_giant_hello_leaves_node_list_readable(home, messages, tmp_path):
    certificate = enroll(home, messages, "app-2", tmp_path / "fake")
    session = Door(home, "agents.lockstepd", *certificate).session(
        messages, node="app-2", version="\x1b[2Jcleared" * 200_000)
    session.first()  # a welcome, or a refusal
    session.close()
    listed = home.ok("node", "list").out
    assert len(listed) < 10_000 and "\x1b" not in listed


def test_a_node_speaks_for_no_other(home, messages, tmp_path):
    certificate = enroll(home, messages, "app-2", tmp_path / "fake")
    session = Door(home, "agents.lockstepd", *certificate).session(messages, node="app-1")
    assert session.first() == grpc.StatusCode.PERMISSION_DENIED
    session.close()
    # And it is no operator.
    operator = messages[1]
    with pytest.raises(grpc.RpcError) as refused:
        Door(home, "operators.lockstepd", *certificate).call(
            "Operator/EnrollNode", operator.EnrollNodeRequest(name="x"), operator.EnrollNodeReply)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    home.wait_connected(["app-1"])


def test_a_new_token_brings_an_enrolled_agent_to_another_controller(home, tmp_path):
    """What its own words advise: "if the controller has a new CA, enroll again"."""
    (tmp_path / "other").mkdir()
    home.kill("app-1")
    with Lockstep([], top=tmp_path / "other", keep=True) as other:
        token = other.enroll("app-1")
        shutil.copytree(home.agent_state("app-1"), other.agent_state("app-1"))
        other.start_agent("app-1", token=token)
        other.wait_connected(["app-1"])


def test_a_lost_ca_certificate_does_not_make_a_new_ca(home):
    """The key is there, and every agent and operator has pinned its certificate."""
    ca = home.controller_state / "ca"
    key = (ca / "ca.key").read_bytes()
    home.stop("lockstepd")
    (ca / "ca.crt").unlink()
    child = home.start_controller(wait=False)
    with contextlib.suppress(AssertionError):
        wait_until("lockstepd refuses", lambda: child.poll() is not None, 3)
    assert child.poll() == 1
    assert "ca.crt" in home.log_text("lockstepd")
    assert (ca / "ca.key").read_bytes() == key


def test_closed_standard_output_is_an_error_and_no_crash(home):
    for closed in (">&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *home.command("node", "list")],
                              capture_output=True, check=False, timeout=30)
        assert done.returncode == 1, done


def test_a_giant_answer_does_not_end_who_watches(home, messages, tmp_path):
    """A node's words are cut on the way in: a late watcher reads the same as one from the start."""
    agent, _ = messages
    site = make_site(tmp_path / "site", ["app-1", "app-2"])
    certificate = enroll(home, messages, "app-2", tmp_path / "fake")
    session = Door(home, "agents.lockstepd", *certificate).session(messages, node="app-2")
    facts = '{"running":false,"os":"linux","arch":"amd64","disk_free_bytes":1000000000000}'
    apply = home.start("apply", site.write("1.0.0"))
    deadline = time.monotonic() + CALL_S
    for order in session.orders:
        assert time.monotonic() < deadline
        if order.WhichOneof("order") == "observe":
            session.say(observed=agent.Observed(id=order.observe.id,
                                                outcome=agent.Outcome(facts=facts)))
        elif order.WhichOneof("order") == "instruction":
            session.say(ended=agent.Ended(key=order.instruction.key, outcome=agent.Outcome(
                status=1, message="m" * 10_000_000, log_tail="l" * 10_000_000)))
            break
    words = apply.communicate(timeout=30)[0]
    session.close()
    assert "longer than a message" not in words
    assert "failed after" in words and len(words) < 100_000


def test_a_fleet_that_cannot_be_read_back_hides_no_other(home, tmp_path):
    home.ok("cluster", "put", make_site(tmp_path / "site", ["app-1"]).write("1.0.0"))
    fleet = tmp_path / "fleet.yaml"
    for name in ("bad", "good"):
        fleet.write_text(f"lockstep: 1\nkind: Fleet\nname: {name}\nversion: \"1.0.0\"\n"
                         "stages: [ { name: all, clusters: [guestbook-demo] } ]\n", encoding="utf-8")
        home.ok("fleet", "apply", fleet)
    home.stop("lockstepd")
    with contextlib.closing(sqlite3.connect(home.controller_state / "lockstep.db")) as store, store:
        store.execute("UPDATE fleet SET bundle = x'00' WHERE name = 'bad'")
    home.restart("lockstepd")
    fleets = home.ok("--json", "fleet", "status").json()["fleets"]
    found = {one["name"]: one for one in fleets}
    assert found["good"]["state"] == found["bad"]["state"] == "done"
    assert len(found["good"]["members"]) == 1 and "cannot be read back" in found["bad"]["why"]
    assert "fleet bad to 1.0.0 is done: it cannot be read back" in home.ok("fleet", "status").out
