"""What goes wrong before anything has been touched: one clear error that says what to do, exit 1,
and the site as it was."""
import re
import socket

import pytest

import guestbook_site
from harness import wait_until
from pg import PostgresServer

EXIT_FAILED = 1
SIX_MISTAKES = """\
lockstep: 1
kind: Cluster
name: guestbook demo
application: guestbook.yaml
version: 10.10
nodes:
  - { name: app-1, rolls: [app], vars: { port: 20001, dir: /srv/app-1 } }
  - { name: app-1, vars: { port: 20002, dir: /srv/app-2 } }
databases:
  main: { url: "sqlite:///srv/guestbook.db", via: app-9 }
strategy: { rolling: { canary: one } }
"""
# Line, and a word of what is wrong there.
SIX_PLACES = [(3, "name"), (5, "quote"), (7, "rolls"), (8, "app-1"), (10, "app-9"), (11, "canary")]


def refused(ls, site, version, words, verb="apply"):
    """Applies, and it must fail with every one of the words; nothing else may have happened."""
    journal = ls.journal_last("lockstepd")
    result = ls.run(verb, site.write(version))
    assert result.code == EXIT_FAILED, result
    for word in words:
        assert re.search(word, result.words), f"no {word!r} in: {result}"
    return result, journal


def untouched(site, version):
    assert site.problems(version) == []


def install(ls, site, version="1.0.0"):
    ls.ok("apply", site.write(version))
    untouched(site, version)


def test_a_wrong_database_password(tmp_path, start):
    (tmp_path / "site").mkdir()
    with PostgresServer(password="right") as server:
        database = guestbook_site.PostgresDatabase(server)
        site = guestbook_site.Site(tmp_path / "site", names=["app-1"], database=database,
                                   strategy="all-at-once")
        secret = site.top / "password"
        secret.write_text("wrong-sesame\n", encoding="ascii")
        site.password = f", password: {{ file: {secret} }}, via: controller"
        ls = start(site)
        words = ["authentication failed", "main", "password: names"]
        result, journal = refused(ls, site, "1.0.0", words)
        assert "sesame" not in result.words  # a secret is in no message
        assert ls.journal_last("lockstepd") == journal
        assert not database.has_evidence() and site.ledger() is None
        assert not site.tree("app-1").exists()
        # With the right one the database answers, and the plan is made.
        secret.write_text("right\n", encoding="ascii")
        ls.ok("plan", site.cluster_file)


def test_a_taken_port(make_site, start):
    site = make_site()
    ls = start(site)
    port = site.ports["app-2"]
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", port))
        taker.listen()
        refused(ls, site, "1.0.0", ["app-2", f"{port}", "python"])
    assert site.ledger() is None and not site.database.has_evidence()
    for name in site.names:
        assert not site.tree(name).exists()
        assert site.health(name)[0] == 0


def test_an_artifact_with_a_flipped_byte(make_site, start):
    site = make_site()
    ls = start(site)
    install(ls, site)
    flip(site.artifacts["2.0.0"]["path"])
    sha = site.artifacts["2.0.0"]["sha256"]
    _, journal = refused(ls, site, "2.0.0", ["guestbook-2.0.0.tar.gz", sha, "damaged"])
    assert ls.journal_last("lockstepd") == journal
    untouched(site, "1.0.0")


def flip(path):
    with open(path, "r+b") as file:
        file.seek(-100, 2)
        byte = file.read(1)
        file.seek(-100, 2)
        file.write(bytes([byte[0] ^ 1]))


def test_a_node_that_never_enrolled(make_site, start):
    site = make_site()
    ls = start(site, ["app-1", "app-2"])
    _, journal = refused(ls, site, "1.0.0", ["app-3", "lockstep node enroll app-3"])
    assert ls.journal_last("lockstepd") == journal
    assert site.ledger() is None
    assert not site.tree("app-1").exists()


def test_a_node_that_is_enrolled_and_away(make_site, start):
    site = make_site()
    ls = start(site)
    install(ls, site)
    ls.kill("app-2")
    wait_until("the controller sees that it is gone", lambda: not next(
        node for node in listed(ls) if node["name"] == "app-2")["connected"])
    _, journal = refused(ls, site, "2.0.0", ["app-2", "not connected"])
    assert ls.journal_last("lockstepd") == journal
    untouched(site, "1.0.0")  # the service outlives its agent


def listed(ls):
    found = ls.ok("--json", "node", "list").json()
    return found["nodes"] if isinstance(found, dict) else found


@pytest.mark.parametrize("verb", ["validate", "plan", "apply"])
def test_a_cluster_file_with_six_mistakes(verb, make_site, start):
    site = make_site()
    site.write("1.0.0")
    site.cluster_file.write_text(SIX_MISTAKES, encoding="utf-8")
    ls = start(site, [])
    result = ls.run(verb, site.cluster_file)
    assert result.code == EXIT_FAILED, result
    told = re.findall(r"cluster\.yaml:(\d+):\d+: (.*)", result.words)
    for line, word in SIX_PLACES:
        assert any(int(at) == line and word in words for at, words in told), (line, word, result)
    assert len(told) == len(SIX_PLACES), result
    assert ls.journal_last("lockstepd") == 0
