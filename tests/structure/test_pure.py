"""The pure archives reference nothing outside this list: no clock, file, socket, random number or allocation.

`nm` names every symbol that an object leaves undefined. What another pure archive defines is fine; anything
else must be allowed here by name.
"""

import re
import subprocess
from collections import namedtuple

import pytest
from tree import BUILD, PURE, ROOT

Undefined = namedtuple("Undefined", "member symbol")

# Memory and strings in, memory and strings out; what the compiler itself adds. qsort may borrow scratch memory
# inside the C library, gives it back before it returns, and answers from its arguments alone.
EVERYWHERE = re.compile(r"""
    mem(cpy|move|set|cmp|chr|rchr|mem) | __mem(cpy|move|set)_chk
    | str(n?len|n?cmp|n?casecmp|r?chr|(case)?str|c?spn|pbrk) | bsearch | qsort
    | v?snprintf | __v?snprintf_chk
    | __assert_fail | __stack_chk_fail | _GLOBAL_OFFSET_TABLE_ | __ctype_(b|tolower|toupper)_loc
    """, re.VERBOSE)
REGEX = r"reg(comp|exec|free|error)"
# Not those that read or write files, nor the one that picks a random seed.
JSON = r"(?!.*(file|fd|seed)$)json_\w+"
YAML = r"(?!.*_file$)yaml_\w+"
# PostgreSQL's parser and the reader of its tree: text in, tree out. They take their memory by themselves and give it
# back; they open no file and no socket, ask no clock, and keep nothing between two calls but memory of their own.
PARSER = r"pg_query_\w+|protobuf_c_\w+"
FOLDERS = {
    "lib/base": r"$^",
    "lib/spec": f"{YAML}|{JSON}|{REGEX}",
    "lib/migration": f"{PARSER}|{JSON}",
    "lib/plan": JSON,
    "lib/core": r"$^",
}
# The one place that allocates, and stops the program when there is no more.
ARENA = ("lib/base", "arena", re.compile(r"malloc|free|abort|fprintf|__fprintf_chk|fwrite|stderr"))


def archive(folder):
    return BUILD / "lib" / f"lib{folder.split('/')[-1]}.a"


def nm(path, *options):
    return subprocess.run(["nm", "-A", *options, str(path)], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def undefined(path):
    found = []
    for line in nm(path, "--undefined-only").splitlines():
        where, _, symbol = line.partition(": ")
        found.append(Undefined(where.split(":")[-1], symbol.split()[-1].split("@")[0]))
    return found


def defined(path):
    return {line.split()[-1] for line in nm(path, "--defined-only", "--extern-only").splitlines()
            if len(line.split()) >= 3}


def allowed(folder, member, symbol):
    name, part, symbols = ARENA
    if folder == name and part in member and symbols.fullmatch(symbol):
        return True
    return bool(EVERYWHERE.fullmatch(symbol) or re.fullmatch(FOLDERS[folder], symbol))


def built(folder):
    """A floor that has sources has an archive."""
    if not list((ROOT / folder).glob("*.c")):
        return False
    assert archive(folder).is_file(), f"{folder} has sources and no archive: does its meson.build name them?"
    return True


@pytest.mark.parametrize("folder", PURE)
def test_references_nothing_but_what_is_allowed(folder):
    below = PURE[:PURE.index(folder) + 1]
    own = set().union(*(defined(archive(f)) for f in below if archive(f).is_file()))
    outside = [u for u in undefined(archive(folder)) if u.symbol not in own] if built(folder) else []
    assert [u for u in outside if not allowed(folder, u.member, u.symbol)] == []


def test_the_arena_is_where_memory_comes_from():
    assert "malloc" in {u.symbol for u in undefined(archive("lib/base")) if "arena" in u.member}


@pytest.mark.parametrize("symbol", [
    "time", "clock_gettime", "gettimeofday", "open", "fopen", "read", "write", "socket", "connect", "getenv",
    "random", "rand", "getrandom", "malloc", "calloc", "realloc", "free", "strdup", "asprintf", "printf",
    "json_load_file", "json_loadfd", "json_dumpfd", "json_dump_file", "json_object_seed",
    "yaml_parser_set_input_file", "uv_now", "SHA256", "pthread_create",
])
def test_refuses(symbol):
    assert not any(allowed(folder, "some_file.c.o", symbol) for folder in PURE)


def test_sees_a_call_of_the_clock_in_a_real_object(tmp_path):
    source = tmp_path / "clock.c"
    source.write_text("#include <time.h>\nlong now(void);\nlong now(void) { return (long)time(0); }\n")
    made = tmp_path / "libclock.a"
    subprocess.run(["cc", "-c", str(source), "-o", str(tmp_path / "clock.o")], check=True)
    subprocess.run(["ar", "rcs", str(made), str(tmp_path / "clock.o")], check=True)
    assert [u.symbol for u in undefined(made) if not allowed("lib/core", u.member, u.symbol)] == ["time"]
    assert "now" in defined(made)
