"""A part with a version of its own beside the release: it comes with a release, and moves alone."""
from guestbook_site import HealthWatch

THEME = """\
components:
  - name: theme
    observe: { command: [/bin/cat, "${node.dir}/theme"], matches: "([0-9.]+)" }
    runs_with:
      - { release: "<2.0.0", versions: ">=1.0.0 <2.0.0" }
      - { release: ">=2.0.0", versions: ">=2.0.0" }
    rolling: true
    remove: [ { run: { command: [/bin/rm, "${node.dir}/theme"], tree: none } } ]
    install:
      - run:
          command: [/bin/sh, -c, 'test ! -e "$1" && echo "$2" > "$1"', sh, "${node.dir}/theme",
                    "${component.version}"]
          tree: none
"""
NAMED = {1: "1.0.0", 2: "1.1.0", 4: "2.0.0"}  # by the schema of the release


def themed(site):
    text = site.application_text()
    for schema, version in NAMED.items():
        old = f"    schema: {{ main: {schema} }}\n"
        assert text.count(old) == 1
        text = text.replace(old, f'    components: {{ theme: "{version}" }}\n{old}')
    site.application_text = lambda: text


def wants(site, version):
    """The cluster's own wish; None: what the release names."""
    more = "" if version is None else f'components: {{ theme: "{version}" }}\n'
    site.cluster_text = lambda wanted: type(site).cluster_text(site, wanted) + more


def themes(site):
    return [(site.node_dir(name) / "theme").read_text(encoding="ascii").strip()
            for name in site.names]


def test_a_component_comes_with_its_release_up_and_down_and_moves_alone(make_site, start):
    site = make_site(extra_steps=THEME)
    themed(site)
    ls = start(site)
    for version in ("1.0.0", "2.0.0", "1.1.0", "2.0.0"):
        ls.ok("apply", site.write(version))
        assert site.problems(version) == [], ls.tails()
        assert themes(site) == [version] * 3
    assert "nothing to do" in ls.ok("apply", site.cluster_file).words

    # Alone: no release is swapped, and one node after the other is away.
    wants(site, "2.4.0")
    trees = [site.tree(name).stat().st_ino for name in site.names]
    with HealthWatch(site) as watcher:
        ls.ok("apply", site.write("2.0.0"))
    assert themes(site) == ["2.4.0"] * 3 and site.problems("2.0.0") == []
    assert [site.tree(name).stat().st_ino for name in site.names] == trees
    stretches = sorted(watcher.downs(name) for name in site.names)
    assert [len(downs) for downs in stretches] == [1, 1, 1], stretches
    for (earlier,), (later,) in zip(stretches, stretches[1:]):
        assert earlier[1] < later[0], stretches

    # What would not run is refused before anything stops, with its place.
    wants(site, "1.9.0")
    refused = ls.run("plan", site.write("2.0.0"))
    assert refused.code != 0 and "which runs with >=2.0.0 of it" in refused.words
    assert "leave it out for 2.0.0, which 2.0.0 names" in refused.words
    assert themes(site) == ["2.4.0"] * 3 and site.problems("2.0.0") == []
