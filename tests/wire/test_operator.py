"""Any gRPC client can drive the controller: Python's grpcio, from the same .proto files, beside our own command."""
import os
import pathlib
import subprocess
import sys

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import Lockstep  # noqa: E402

APPLICATION = """
lockstep: 1
kind: Application
name: nothing
versions: semver
releases:
  - version: "1.0.0"
    artifact: { url: "file:///nowhere", sha256: "%s" }
layout: { path: "${node.dir}/app" }
service: { process: { command: [bin/nothing] } }
""" % ("0" * 64)

CLUSTER = """
lockstep: 1
kind: Cluster
name: %s
application: nothing
version: "%s"
nodes:
  - { name: n1, vars: { dir: /nonexistent } }
"""


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    """The message classes, generated from our .proto files as any client would."""
    out = tmp_path_factory.mktemp("proto")
    subprocess.run(
        ["protoc", f"-I{ROOT}", f"--python_out={out}", "proto/agent.proto", "proto/operator.proto"],
        check=True, cwd=ROOT)
    sys.path.insert(0, str(out))
    import proto.agent_pb2
    import proto.operator_pb2
    yield proto.operator_pb2, proto.agent_pb2
    sys.path.remove(str(out))


@pytest.fixture(scope="module")
def lockstep():
    with Lockstep() as ls:
        yield ls


def channel(ls, certificate=True):
    identity = pathlib.Path(ls.identity)
    pem = {name: (identity / name).read_bytes() for name in ("ca.crt", "operator.crt", "operator.key")}
    credentials = grpc.ssl_channel_credentials(
        pem["ca.crt"], pem["operator.key"] if certificate else None, pem["operator.crt"] if certificate else None)
    address = (identity / "controller").read_text().strip()
    return grpc.secure_channel(address, credentials, options=[
        ("grpc.ssl_target_name_override", "operators.lockstepd")])


class Service:
    """One service of the .proto, callable by the names in it."""

    def __init__(self, ch, pb, name):
        self.ch, self.service = ch, pb.DESCRIPTOR.services_by_name[name]
        self.pb = pb

    def __call__(self, method, request, timeout=10):
        m = self.service.methods_by_name[method]
        kind = "unary_stream" if method in ("Plan", "Apply", "Watch") else "unary_unary"
        reply = getattr(self.pb, m.output_type.name)
        call = getattr(self.ch, kind)(
            f"/{self.service.full_name}/{method}",
            request_serializer=lambda r: r.SerializeToString(), response_deserializer=reply.FromString)
        return call(request, timeout=timeout)


@pytest.fixture
def operator(lockstep, messages):
    with channel(lockstep) as ch:
        yield Service(ch, messages[0], "Operator")


def bundle(pb, name, version):
    return pb.Bundle(files=[pb.File(name="cluster.yaml", text=(CLUSTER % (name, version)).encode()),
                            pb.File(name="application.yaml", text=APPLICATION.encode())])


def test_every_method_of_the_service_is_served(operator, messages):
    pb = messages[0]
    for method in pb.DESCRIPTOR.services_by_name["Operator"].methods:
        request = getattr(pb, method.input_type.name)()
        try:
            reply = operator(method.name, request)
            list(reply) if method.name in ("Plan", "Apply", "Watch") else reply
        except grpc.RpcError as error:
            assert error.code() != grpc.StatusCode.UNIMPLEMENTED, method.name
            assert error.details()


def test_a_grpcio_client_puts_a_cluster_and_the_command_shows_it(operator, messages, lockstep):
    pb = messages[0]
    reply = operator("PutCluster", pb.PutClusterRequest(bundle=bundle(pb, "wire-1", "1.0.0")))
    assert not reply.complaints and reply.cluster == "wire-1" and reply.revision == 1 and reply.changed
    again = operator("PutCluster", pb.PutClusterRequest(bundle=bundle(pb, "wire-1", "1.0.0")))
    assert again.revision == 1 and not again.changed and again.digest == reply.digest
    assert "wire-1" in lockstep.ok("cluster", "list").out
    got = operator("GetCluster", pb.GetClusterRequest(name="wire-1"))
    assert got.bundle.files[0].text.decode() == CLUSTER % ("wire-1", "1.0.0")
    assert got.revision.author == "admin"


def test_complaints_come_with_their_places(operator, messages):
    pb = messages[0]
    reply = operator("PutCluster", pb.PutClusterRequest(bundle=bundle(pb, "wire-2", "9.9.9")))
    assert [(c.file, c.line) for c in reply.complaints] == [("cluster.yaml", 6)]
    assert "9.9.9" in reply.complaints[0].message
    with pytest.raises(grpc.RpcError) as error:
        operator("GetCluster", pb.GetClusterRequest(name="wire-2"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_plan_streams_progress_and_then_why_it_cannot_be(operator, messages):
    pb = messages[0]
    replies = list(operator("Plan", pb.PlanRequest(bundle=bundle(pb, "wire-3", "1.0.0")), timeout=40))
    assert any("observing" in r.progress for r in replies)
    words = " ".join(c.message for c in replies[-1].complaints)
    assert "lockstep node enroll n1" in words and not replies[-1].plan


def test_a_caller_without_a_certificate_is_refused(lockstep, messages):
    pb, agent_pb = messages
    with channel(lockstep, certificate=False) as ch:
        for method, request in (("Ping", pb.PingRequest()), ("EnrollNode", pb.EnrollNodeRequest(name="n1"))):
            with pytest.raises(grpc.RpcError) as error:
                Service(ch, pb, "Operator")(method, request)
            assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.RpcError) as error:
            Service(ch, agent_pb, "Agents")("Enroll", agent_pb.EnrollRequest(token="guess", node="n1", csr=b"x"))
        assert error.value.code() != grpc.StatusCode.OK


def test_an_operators_certificate_is_no_agents(lockstep, messages):
    _, agent_pb = messages
    with channel(lockstep) as ch:
        call = ch.unary_stream("/lockstep.v1.Agents/Fetch",
                               request_serializer=lambda r: r.SerializeToString(),
                               response_deserializer=agent_pb.FetchChunk.FromString)
        with pytest.raises(grpc.RpcError) as error:
            list(call(agent_pb.FetchRequest(sha256="0" * 64), timeout=10))
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_garbage_is_refused_and_the_controller_lives(operator, messages, lockstep):
    pb = messages[0]
    for method in pb.DESCRIPTOR.services_by_name["Operator"].methods:
        call = operator.ch.unary_stream(f"/lockstep.v1.Operator/{method.name}")
        with pytest.raises(grpc.RpcError):
            replies = list(call(b"\xff\xff\xff\xff" * 9, timeout=10))
            if method.name in ("Ping", "ListClusters", "ListNodes", "ListFleets"):
                raise grpc.RpcError(f"{method.name} asks nothing: {len(replies)}")
    assert operator("Ping", pb.PingRequest()).fence >= 1
