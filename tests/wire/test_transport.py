"""The transport as other people's gRPC sees it (grpcio, raw bytes), and as hostile peers would have it."""

import os
import socket
import ssl
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LOCKSTEP_BUILD", ROOT / "build"))
BINARY = Path(os.environ.get("RPC_ECHO_SERVER", BUILD / "tests" / "wire" / "rpc_echo_server"))
SANITIZED = b"__asan_init" in BINARY.read_bytes() if BINARY.exists() else False
BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Server:
    def __init__(self, folder, *limits):
        self.folder = folder
        self.process = subprocess.Popen(
            [BINARY, folder, *map(str, limits)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.errors = []
        self.reader = threading.Thread(target=lambda: self.errors.extend(self.process.stderr))
        self.reader.start()

    def read(self, name):
        return (self.folder / name).read_bytes()

    def channel(self, who="client", options=()):
        key, chain = (self.read(f"{who}.key"), self.read(f"{who}.pem")) if who else (None, None)
        credentials = grpc.ssl_channel_credentials(self.read("ca.pem"), key, chain)
        unique = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(f"127.0.0.1:{self.port}", credentials, options=[*BIG, *unique, *options])

    def stats(self):
        with self.channel() as channel:
            text = channel.unary_unary("/echo.Echo/Stats")(b"", timeout=10).decode()
        names = ["opened", "closed", "cancelled", "connections", "queued_most", "rss_kb"]
        return dict(zip(names, map(int, text.split())))

    def grown_kb(self, before):
        """Memory since `before`; a sanitizer keeps what was freed, so that there the number says nothing."""
        now = self.stats()["rss_kb"]
        return 0 if SANITIZED else now - before

    def wait_for(self, wanted, seconds=10):
        end = time.monotonic() + seconds
        while not wanted(self.stats()):
            assert time.monotonic() < end, self.stats()
            time.sleep(0.05)

    def stop(self):
        """Ends it; a leak, a sanitizer's word or a call without its end is a failure."""
        self.process.stdin.close()
        code = self.process.wait(20)
        self.reader.join()
        assert code == 0, "".join(self.errors)

    def tls(self, alpn=("h2",), who=None):
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.check_hostname = False
        context.set_alpn_protocols(list(alpn))
        if who:
            context.load_cert_chain(str(self.folder / f"{who}.pem"), str(self.folder / f"{who}.key"))
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(raw)

    def troubles(self):
        return "".join(line for line in self.errors if line.startswith("trouble"))


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path)
    yield s
    s.stop()


@pytest.fixture
def impatient(tmp_path):
    """handshake 400 ms, keepalive 600 ms, idle 2 s, 50 connections."""
    s = Server(tmp_path, 400, 600, 2000, 50)
    yield s
    s.stop()


def status_of(call, request=b"", timeout=10, **more):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=timeout, **more)
    return caught.value.code(), caught.value.details()


# ---- what a client of gRPC may expect ----


def test_answers_a_unary_call(server):
    with server.channel() as channel:
        assert channel.unary_unary("/echo.Echo/Unary")(b"hello", timeout=10) == b"hello"
        assert channel.unary_unary("/echo.Echo/Unary")(b"", timeout=10) == b""


def test_carries_eight_megabytes_both_ways(server):
    data = os.urandom(8 * 1024 * 1024)
    with server.channel() as channel:
        assert channel.unary_unary("/echo.Echo/Unary")(data, timeout=30) == data


def test_streams_from_the_server_with_a_bounded_queue(server):
    with server.channel() as channel:
        sizes = [len(m) for m in channel.unary_stream("/echo.Echo/Stream")(b"300 100000", timeout=30)]
    assert sizes == [100000] * 300
    assert server.stats()["queued_most"] < 700_000


def test_streams_to_the_server(server):
    with server.channel() as channel:
        chunks = (b"x" * 262144 for _ in range(100))
        assert channel.stream_unary("/echo.Echo/Sink")(chunks, timeout=30) == b"26214400"


def test_streams_both_ways_in_turn(server):
    with server.channel() as channel:
        sent = threading.Semaphore(1)

        def requests():
            for i in range(200):
                assert sent.acquire(timeout=10)
                yield b"%d" % i

        got = []
        for message in channel.stream_stream("/echo.Echo/Bidi")(requests(), timeout=30):
            got.append(message)
            sent.release()
    assert got == [b"%d" % i for i in range(200)]


def test_serves_calls_side_by_side(server):
    with server.channel() as channel, ThreadPoolExecutor(32) as pool:
        call = channel.unary_unary("/echo.Echo/Unary")
        data = [os.urandom(1000 * (i % 50)) for i in range(500)]
        assert list(pool.map(lambda d: call(d, timeout=30), data)) == data


def test_tells_status_and_text(server):
    with server.channel() as channel:
        code, text = status_of(channel.unary_unary("/echo.Echo/Fail"))
    assert code == grpc.StatusCode.NOT_FOUND
    assert text == "no such node: 100% »gone«\nask again"


def test_an_unknown_method_is_unimplemented(server):
    with server.channel() as channel:
        assert status_of(channel.unary_unary("/echo.Echo/Nope"))[0] == grpc.StatusCode.UNIMPLEMENTED


def test_a_message_past_the_limit_is_resource_exhausted(server):
    with server.channel() as channel:
        code, text = status_of(channel.unary_unary("/echo.Echo/Unary"), b"x" * (32 * 1024 * 1024 + 1))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert channel.unary_unary("/echo.Echo/Unary")(b"still here", timeout=10) == b"still here"


def test_a_compressed_message_is_unimplemented(server):
    with server.channel() as channel:
        code, text = status_of(channel.unary_unary("/echo.Echo/Unary"), b"x" * 10000,
                               compression=grpc.Compression.Gzip)
    assert code == grpc.StatusCode.UNIMPLEMENTED and "compress" in text.lower()


def test_large_headers_are_resource_exhausted(server):
    with server.channel() as channel:
        code, _ = status_of(channel.unary_unary("/echo.Echo/Unary"), metadata=[("x-large", "y" * 9000)])
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_deadline_and_a_cancel_end_the_handlers_call(server):
    with server.channel() as channel:
        code, _ = status_of(channel.unary_unary("/echo.Echo/Hang"), timeout=0.3)
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
        future = channel.unary_unary("/echo.Echo/Hang").future(b"")
        server.wait_for(lambda s: s["opened"] - s["closed"] == 2)  # it, and the question itself
        future.cancel()
        server.wait_for(lambda s: s["cancelled"] == 2)


def test_a_client_that_goes_away_ends_its_calls(server):
    channel = server.channel()
    calls = [channel.unary_unary("/echo.Echo/Hang").future(b"") for _ in range(20)]
    server.wait_for(lambda s: s["opened"] - s["closed"] == 21)
    channel.close()
    server.wait_for(lambda s: s["cancelled"] == 20)
    assert all(c.cancelled() or c.exception() for c in calls)


def test_knows_who_calls(server):
    token = [("authorization", "Bearer s3cret")]
    with server.channel() as channel:
        who = channel.unary_unary("/echo.Echo/Who")(b"", timeout=10, metadata=token).decode().split("|")
    assert who[:2] == ["alice", "operator"] and len(who[2]) == 32 and who[3] == "s3cret"
    assert who[4].startswith("127.0.0.1:")
    with server.channel(who=None) as channel:
        who = channel.unary_unary("/echo.Echo/Who")(b"", timeout=10).decode().split("|")
        assert who[:4] == ["-", "-", "-", "-"]
        code, text = status_of(channel.unary_unary("/echo.Echo/Private"))
        assert (code, text) == (grpc.StatusCode.UNAUTHENTICATED, "a certificate is needed")


def test_refuses_a_certificate_of_another_ca(server):
    with server.channel(who="stranger") as channel:
        code, _ = status_of(channel.unary_unary("/echo.Echo/Who"), timeout=5)
    assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert "the client's certificate was refused" in server.troubles()


def test_survives_the_pings_of_a_busy_client(impatient):
    with impatient.channel() as channel:
        future = channel.unary_unary("/echo.Echo/Hang").future(b"")
        time.sleep(2)
        assert not future.done()
        future.cancel()


# ---- hostile peers ----

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


SETTINGS = frame(4)


def literal(name, value):
    def text(b):
        if len(b) < 127:
            return bytes([len(b)]) + b
        rest, out = len(b) - 127, b"\x7f"
        while rest >= 128:
            out += bytes([rest % 128 + 128])
            rest //= 128
        return out + bytes([rest]) + b
    return b"\x00" + text(name) + text(value)


def request(path=b"/echo.Echo/Hang", more=b""):
    return (literal(b":method", b"POST") + literal(b":scheme", b"https") + literal(b":path", path)
            + literal(b":authority", b"x") + literal(b"content-type", b"application/grpc")
            + literal(b"te", b"trailers") + more)


def closed_within(s, seconds):
    """The peer ended the connection: end of file or a reset, after whatever it still said."""
    end = time.monotonic() + seconds
    try:
        while True:
            s.settimeout(max(0.01, end - time.monotonic()))
            if not s.recv(65536):
                return True
    except socket.timeout:
        return False
    except OSError:
        return True


def healthy(server):
    with server.channel() as channel:
        assert channel.unary_unary("/echo.Echo/Unary")(b"well", timeout=10) == b"well"


@pytest.mark.parametrize("text", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", PREFACE + SETTINGS, os.urandom(4096), b"\x16\x03\x01\x40\x00" + b"a" * 16384,
    b"\x15\x03\x03\x00\x02\x02\x28", b"\x17\x03\x03\xff\xff"],
    ids=["http1", "plain-http2", "random", "long-hello", "alert", "early-data"])
def test_closes_what_is_not_tls(impatient, text):
    s = socket.create_connection(("127.0.0.1", impatient.port))
    s.sendall(text)
    assert closed_within(s, 5)
    healthy(impatient)


def test_closes_a_half_open_handshake(impatient):
    silent = socket.create_connection(("127.0.0.1", impatient.port))
    slow = socket.create_connection(("127.0.0.1", impatient.port))
    started = time.monotonic()
    try:
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20:
            slow.send(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass
    assert time.monotonic() - started < 5
    assert closed_within(silent, 5) and closed_within(slow, 5)
    healthy(impatient)


def test_refuses_http1_by_alpn_and_none_at_all(impatient):
    with pytest.raises(OSError):
        s = impatient.tls(alpn=("http/1.1",))
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert s.recv(100) == b""
        raise OSError("closed")
    context = ssl.create_default_context(cafile=str(impatient.folder / "ca.pem"))
    context.check_hostname = False
    bare = context.wrap_socket(socket.create_connection(("127.0.0.1", impatient.port)))
    assert closed_within(bare, 5)
    healthy(impatient)


def test_refuses_tls_1_2(impatient):
    context = ssl.create_default_context(cafile=str(impatient.folder / "ca.pem"))
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        context.wrap_socket(socket.create_connection(("127.0.0.1", impatient.port)))
    healthy(impatient)


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n\r\n" + b"x" * 64,
    PREFACE + frame(9, 0, 1, b"x"),                              # CONTINUATION without HEADERS
    PREFACE + SETTINGS + frame(1, 4, 2, request()),              # an even stream
    PREFACE + SETTINGS + frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff"),   # no HPACK
    PREFACE + SETTINGS + frame(0, 0, 0, b"data"),                # DATA on stream 0
    PREFACE + SETTINGS + frame(8, 0, 0, struct.pack(">I", 0)),   # a window of nothing
    PREFACE + SETTINGS + frame(8, 0, 0, struct.pack(">I", 0x7fffffff)) * 3,
    PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",  # a frame of 16 MiB
    PREFACE + SETTINGS + frame(4, 0, 0, b"odd"),
], ids=range(9))
def test_closes_who_breaks_the_rules_of_http2(impatient, data):
    s = impatient.tls()
    s.sendall(data)
    assert closed_within(s, 5)
    healthy(impatient)


def test_closes_slow_headers(impatient):
    s = impatient.tls()
    s.sendall(PREFACE + SETTINGS + frame(1, 0, 1, request()[:20]))  # and no CONTINUATION to end it
    started = time.monotonic()
    assert closed_within(s, 5)
    assert time.monotonic() - started < 3
    healthy(impatient)


def test_closes_a_flood_of_headers(impatient):
    s = impatient.tls()
    s.sendall(PREFACE + SETTINGS)
    try:
        s.sendall(frame(1, 0, 1, request()))
        for i in range(1000):
            s.sendall(frame(9, 0, 1, literal(b"x-%d" % i, b"y" * 8000)))
    except OSError:
        pass
    assert closed_within(s, 5)
    assert impatient.stats()["opened"] == 1  # the question itself
    healthy(impatient)


def test_closes_a_flood_of_empty_continuations(impatient):
    s = impatient.tls()
    try:
        s.sendall(PREFACE + SETTINGS + frame(1, 0, 1, request()[:20]) + frame(9, 0, 1) * 100000)
    except OSError:
        pass
    assert closed_within(s, 5)
    healthy(impatient)


def flood(s, data, count):
    try:
        for i in range(count):
            s.sendall(data(i))
    except OSError:
        pass


@pytest.mark.parametrize("kind", ["reset", "ping", "settings", "refused"])
def test_floods_do_not_grow_memory(server, kind):
    before = server.stats()["rss_kb"]
    s = server.tls(who="client")
    s.sendall(PREFACE + SETTINGS)
    if kind == "reset":
        def data(i):
            return b"".join(frame(1, 4, 200 * i + 2 * n + 1, request()) + frame(3, 0, 200 * i + 2 * n + 1, b"\0\0\0\x08")
                            for n in range(100))
    elif kind == "ping":
        def data(i):
            return frame(6, 0, 0, b"12345678") * 1000
    elif kind == "settings":
        def data(i):
            return frame(4) * 1000
    else:
        def data(i):
            return b"".join(frame(1, 5, 200 * i + 2 * n + 1, request(b"/no")) for n in range(100))
    s.settimeout(5)
    flood(s, data, 300)
    s.close()
    healthy(server)
    assert server.grown_kb(before) < 20_000
    server.wait_for(lambda n: n["opened"] - n["closed"] == 1)


def test_bounds_what_a_reader_of_nothing_is_owed(server):
    """A client that asks for much and takes nothing: the producer stops at its queue's bound."""
    before = server.stats()["rss_kb"]
    s = server.tls(who="client")
    s.sendall(PREFACE + SETTINGS)
    message = b"10000 100000"
    for i in range(50):
        s.sendall(frame(1, 4, 2 * i + 1, request(b"/echo.Echo/Stream"))
                  + frame(0, 1, 2 * i + 1, b"\0" + struct.pack(">I", len(message)) + message))
    server.wait_for(lambda n: n["opened"] - n["closed"] == 51)
    assert server.stats()["queued_most"] < 700_000
    assert server.grown_kb(before) < 80_000
    s.close()
    server.wait_for(lambda n: n["opened"] - n["closed"] == 1)


def test_an_announced_length_costs_nothing(server):
    before = server.stats()["rss_kb"]
    s = server.tls()
    s.sendall(PREFACE + SETTINGS)
    for i in range(90):
        s.sendall(frame(1, 4, 2 * i + 1, request()) + frame(0, 0, 2 * i + 1, b"\0\x02\0\0\0x"))
    server.wait_for(lambda n: n["opened"] - n["closed"] == 91)
    assert server.grown_kb(before) < 20_000
    s.close()
    server.wait_for(lambda n: n["opened"] - n["closed"] == 1)


def test_closes_who_is_silent_and_keeps_who_answers(impatient):
    s = impatient.tls()
    s.sendall(PREFACE + SETTINGS + frame(1, 4, 1, request()))
    started = time.monotonic()
    assert closed_within(s, 5)  # it never answers the PING
    assert 0.3 < time.monotonic() - started < 3


def test_an_idle_connection_is_small(tmp_path):
    server = Server(tmp_path)
    before = server.stats()["rss_kb"]
    sockets = [server.tls(who="client") for _ in range(400)]
    for s in sockets:
        s.sendall(PREFACE + SETTINGS + frame(4, 1) + frame(1, 4, 1, request()))
    server.wait_for(lambda n: n["opened"] - n["closed"] == 401, 20)
    each = server.grown_kb(before) / len(sockets)
    assert each <= 48
    for s in sockets:
        s.close()
    server.wait_for(lambda n: n["opened"] - n["closed"] == 1)
    server.stop()
