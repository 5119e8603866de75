"""The simulator sees every fault of the list: one simulator is linked per mutant, from the build's own objects and one file that is
compiled anew.  The same worlds pass with the core as it is."""
import json
import pathlib
import re
import shlex
import subprocess

import pytest

from mutants import MUTANTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
WORLDS = 400  # that are tried when the first one is not it
SECONDS_MAX = 60


def mutate(text, mutant):
    """The file with the line changed; its place in the function must be one."""
    begin = re.search(rf"^(?:static )?[\w *]+\b{mutant.function}\([^;{{]*\)\n{{\n", text, re.M)
    assert begin, f"lib/core/{mutant.file} has no function {mutant.function}"
    end = text.index("\n}\n", begin.end())
    lines = text[begin.end():end + 1].splitlines(keepends=True)
    at = [i for i, line in enumerate(lines) if line.strip() == mutant.line]
    assert len(at) == 1, (f"lib/core/{mutant.file}, {mutant.function}: {len(at)} lines read\n"
                          f"    {mutant.line}\nput tests/sim/mutants.py right")
    lines[at[0]] = lines[at[0]].replace(mutant.line, mutant.becomes)
    return text[:begin.end()] + "".join(lines) + text[end + 1:]


def compile_command(source, output, mutated):
    """The build's own, for another file with the same name."""
    for entry in json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8")):
        if (BUILD / entry["file"]).resolve() == source:
            words = shlex.split(entry["command"])
            kept, skip = [], False
            for word in words:
                if not skip and word not in ("-o", "-MQ", "-MF", "-MD", "-c", "-Werror", entry["file"]):
                    kept.append(word)
                skip = word in ("-o", "-MQ", "-MF")
            return [*kept, "-w", "-o", str(output), "-c", str(mutated)]
    raise AssertionError(f"build/compile_commands.json does not name {source}")


@pytest.fixture(scope="module")
def link_command():
    listed = subprocess.run(["ninja", "-C", str(BUILD), "-t", "commands", "tests/sim/sim"], check=True,
                            capture_output=True, text=True).stdout
    return shlex.split(listed.splitlines()[-1])


def simulator(mutant, link_command, folder):
    """Its program.  The mutated object stands before the archive, so that the one in there is not taken."""
    source = ROOT / "lib" / "core" / mutant.file
    mutated, obj, program = folder / mutant.file, folder / "mutant.o", folder / "sim"
    mutated.write_text(mutate(source.read_text(encoding="utf-8"), mutant), encoding="utf-8")
    link = [*link_command]
    link[link.index("-o") + 1] = str(program)
    link.insert(link.index("-o") + 2, str(obj))
    for command in (compile_command(source, obj, mutated), link):
        done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    return program


def simulate(program, first, worlds, only):
    """0: every world holds.  1: one does not, and its words say why."""
    done = subprocess.run([str(program), "--first", str(first), "--seeds", str(worlds), "--only", str(only)], cwd=ROOT,
                          capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name.replace(" ", "-"))
def test_a_planted_fault_is_seen(mutant, link_command, tmp_path):
    program = simulator(mutant, link_command, tmp_path)
    code, words = simulate(program, mutant.seed, 1, mutant.only)
    first = (mutant.seed, 1)
    if code == 0:
        first = (1, WORLDS)
        code, words = simulate(program, *first, mutant.only)
    assert code == 1 and "FAILED" in words, f"not seen in {WORLDS} worlds: {mutant}\n{words}"
    print(re.search(r"^seed .*FAILED.*", words, re.M)[0])
    as_it_is, words = simulate(BUILD / "tests" / "sim" / "sim", *first, mutant.only)
    assert as_it_is == 0, words


def test_the_list_is_long_and_breaks_every_rule_that_the_core_keeps():
    """All nine but rule 6: locks are held and given back by lib/io/db, and the simulator's own is broken by --sabotage."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25
    assert {mutant.rule[0] for mutant in MUTANTS} == set("12345789")
