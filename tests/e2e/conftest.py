"""What the tests of a whole Lockstep share: sites of the guestbook, one PostgreSQL and one MariaDB server."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "demo")]


@pytest.fixture(scope="session")
def postgres():
    """One server for all; every site makes its database anew."""
    from pg import PostgresServer

    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb():
    """The same for MariaDB."""
    from mariadb import MariadbServer

    with MariadbServer() as server:
        yield server


@pytest.fixture(scope="module")
def crash_worlds():
    """Of one file of the crash matrix: its points stand on the same site while they end well."""
    from crash_matrix import Worlds

    with Worlds() as worlds:
        yield worlds


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request):
    return request.param


@pytest.fixture
def make_site(tmp_path, request):
    """make_site(engine, names) -> a guestbook Site in the test's own directory."""
    import guestbook_site

    def make(engine="sqlite", **options):
        database = None
        if engine == "postgres":
            database = guestbook_site.PostgresDatabase(request.getfixturevalue("postgres"))
        return guestbook_site.Site(tmp_path / "site", database=database, **options)

    (tmp_path / "site").mkdir()
    return make


@pytest.fixture
def start(tmp_path):
    """start(site) -> a Lockstep with one connected agent for each node of the site."""
    from harness import Lockstep

    running = []

    def begin(site, nodes=None):
        home = Lockstep(site.names if nodes is None else nodes, top=site.top, keep=True)
        running.append(home)
        return home.__enter__()

    yield begin
    for home in running:
        home.close()
