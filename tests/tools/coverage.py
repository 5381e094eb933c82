#!/usr/bin/env python3
"""Says which lines and branches of the library the tests reach, per module and per file.

    coverage.py BUILD_FOLDER --llvm VERSION [--module NAME]... [--floor FILE] [--modules-only]
    coverage.py --self-test        show that the reading, the counting and the verdict can fail

BUILD_FOLDER is a build of the preset `coverage` whose test programs ran with
LLVM_PROFILE_FILE=BUILD_FOLDER/profiles/%m%c.profraw; `./dev coverage` does both. Counted are the files under
<module>/include and <module>/src, so no test. A line is reached when one instantiation of it in one program on one
backend ran it; a branch is one outcome of one condition, likewise.

Writes BUILD_FOLDER/summary.json and BUILD_FOLDER/uncovered.txt (per file the lines that never ran, with their text, and
the conditions that never had one of their outcomes), prints a table, and exits with 1 when a module is below a floor of
FILE: {"<module>": {"line": 90, "branch": 80}}, in per cent. With --module only these modules are shown and judged.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ("line", "branch")


class Refused(Exception):
    """Input that cannot be judged; the message names it."""


def percent(covered, count):
    return 100.0 if count == 0 else 100.0 * covered / count


def lines_of(segments):
    """{line: count} from the segments of a file, as llvm-cov itself counts lines.

    A segment [line, column, count, has_count, is_entry, is_gap] holds up to the next one. A line belongs to a region
    that began before it, or to those that begin in it; the one that ran most often speaks for it.
    """
    counts, wrapped, at = {}, None, 0
    last = segments[-1][0] if segments else 0
    for number in range(segments[0][0] if segments else 1, last + 1):
        own = []
        while at < len(segments) and segments[at][0] == number:
            own.append(segments[at])
            at += 1
        begun = [segment for segment in own if segment[3] and segment[4]]
        starts = [segment[2] for segment in begun if not segment[5]]
        skipped = bool(own) and own[0][4] and not own[0][3]
        if (not skipped and wrapped is not None and wrapped[3]) or begun:
            counts[number] = max(starts + ([wrapped[2]] if wrapped is not None else []), default=0)
        wrapped = own[-1] if own else wrapped
    return counts


def branches_of(entries, segments):
    """{(line, column, end line, end column, outcome): count} over all instantiations.

    A condition that ran and had neither outcome is a constant, `while (true)`: no branch. One that never ran is two.
    """
    ran = {}
    for line, column, count, has_count, is_entry, _ in segments:
        if has_count and is_entry:
            ran[line, column] = max(count, ran.get((line, column), 0))
    outcomes = {}
    for entry in entries:
        both = outcomes.setdefault(tuple(entry[:4]), [0, 0])
        both[0] += entry[4]
        both[1] += entry[5]
    return {
        (*place, outcome): both[not outcome]
        for place, both in outcomes.items()
        if any(both) or not ran.get(place[:2])
        for outcome in (True, False)
    }


def read_export(text, root):
    """Returns {path below root: (lines, branches)} of what `llvm-cov export` printed."""
    files = {}
    for found in json.loads(text)["data"][0]["files"]:
        path = pathlib.Path(found["filename"])
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        files[name] = (lines_of(found["segments"]), branches_of(found["branches"], found["segments"]))
    return files


def module_of(name, modules):
    """The module whose library the file belongs to, or None for tests and whatever is not ours."""
    parts = pathlib.PurePath(name).parts
    ours = len(parts) > 2 and parts[0] in modules and parts[1] in ("include", "src")
    return parts[0] if ours else None


def figures(lines, branches):
    counted = {"line": (sum(map(bool, lines.values())), len(lines))}
    counted["branch"] = (sum(map(bool, branches.values())), len(branches))
    return {
        kind: {"covered": covered, "count": count, "percent": round(percent(covered, count), 2)}
        for kind, (covered, count) in counted.items()
    }


def added(parts):
    result = {}
    for kind in KINDS:
        covered = sum(part[kind]["covered"] for part in parts)
        count = sum(part[kind]["count"] for part in parts)
        result[kind] = {"covered": covered, "count": count, "percent": round(percent(covered, count), 2)}
    return result


def summarize(files, modules):
    summary = {}
    for module in modules:
        own = {name: figures(*found) for name, found in sorted(files.items()) if module_of(name, modules) == module}
        if own:
            summary[module] = {**added(own.values()), "files": own}
    return summary


def below_floor(summary, floor, modules):
    """One line per module and kind that does not reach its floor; refuses a floor that nothing can be held to."""
    verdicts = []
    for module, bounds in floor.items():
        if module not in modules:
            raise Refused(f"the floor names '{module}', which is no module")
        for kind, bound in bounds.items():
            if kind not in KINDS or not isinstance(bound, (int, float)) or not 0 <= bound <= 100:
                raise Refused(f"the floor of {module} has '{kind}: {bound}'; it takes line and branch, 0 to 100")
            if module not in summary:
                verdicts.append(f"{module}: nothing was counted, its floor is {bound} %")
                continue
            # The exact ratio is judged: the rounded one would lift 89.996 to a floor of 90.
            found = summary[module][kind]
            exact = percent(found["covered"], found["count"])
            if exact < bound:
                verdicts.append(f"{module}: {exact:.2f} % of its {kind} coverage, its floor is {bound} %")
    return verdicts


def table(summary, with_files):
    def row(name, found):
        cells = [f"{found[k]['percent']:6.2f} % {found[k]['covered']:6d}/{found[k]['count']:<6d}" for k in KINDS]
        return f"{name:<58} {cells[0]} {cells[1]}"

    rows = [f"{'':<58} {'lines':^22} {'branches':^22}"]
    for module, found in summary.items():
        if with_files:
            rows += [row("  " + name, file) for name, file in found["files"].items()]
        rows.append(row(module, found))
    return "\n".join(rows)


def uncovered(files, summary, root):
    """The text of uncovered.txt: what never ran, file by file, the modules in their order."""
    out = []
    for module in summary.values():
        for name in module["files"]:
            lines, branches = files[name]
            missing = [number for number, count in sorted(lines.items()) if not count]
            conditions = sorted({key[0] for key, count in branches.items() if not count and lines.get(key[0], 1)})
            if not missing and not conditions:
                continue
            text = pathlib.Path(root, name).read_text(encoding="utf-8").splitlines()
            out.append(f"== {name}: {len(missing)} lines, {len(conditions)} half-taken conditions")
            out += [f"{number:6d}  {text[number - 1].rstrip()}" for number in missing]
            out += [f"{number:6d}? {text[number - 1].rstrip()}" for number in conditions]
            out.append("")
    return "\n".join(out)


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    # An inline function that one program does not use is an empty record there, which does not match the counters of
    # another program. It is left out, as it should be, and not worth a warning.
    told = [line for line in done.stderr.splitlines() if not line.endswith("functions have mismatched data")]
    print("\n".join(told), file=sys.stderr, end="\n" if told else "")
    if done.returncode != 0:
        raise Refused(f"{command[0]} failed with exit code {done.returncode}")
    return done.stdout


def export(build, version):
    """Merges the raw profiles and lets llvm-cov count over every test program of the build."""
    profiles = sorted(map(str, build.glob("profiles/*.profraw")))
    programs = sorted(map(str, build.glob("bin/blitzio_*_tests")))
    if not profiles or not programs:
        raise Refused(f"{build} has {len(profiles)} profiles and {len(programs)} test programs; run ./dev coverage")
    merged = build / "profiles" / "merged.profdata"
    run([f"llvm-profdata-{version}", "merge", "--sparse", "-o", str(merged), *profiles])
    objects = [programs[0]] + [word for program in programs[1:] for word in ("-object", program)]
    # Ignored early, the standard library and the tests need no time.
    return run([f"llvm-cov-{version}", "export", "--skip-functions", "--skip-expansions", f"--instr-profile={merged}",
                "--ignore-filename-regex=^/usr/|/tests/|/[.]deps/", *objects])


def modules_of_checkout():
    return [path.parent.name for path in sorted(ROOT.glob("*/CMakeLists.txt")) if (path.parent / "include").is_dir()]


def report(arguments):
    build, modules = arguments.build.resolve(), modules_of_checkout()
    for module in arguments.module or []:
        if module not in modules:
            raise Refused(f"--module {module}: there is {', '.join(modules)}")
    floor = json.loads(arguments.floor.read_text(encoding="utf-8")) if arguments.floor else {}
    files = read_export(export(build, arguments.llvm), ROOT)
    summary = summarize(files, modules)
    if arguments.module:
        summary = {module: found for module, found in summary.items() if module in arguments.module}
        floor = {module: bounds for module, bounds in floor.items() if module in arguments.module}
    (build / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (build / "uncovered.txt").write_text(uncovered(files, summary, ROOT), encoding="utf-8")
    print(table(summary, not arguments.modules_only))
    print(f"what is not reached: {build / 'uncovered.txt'}")
    verdicts = below_floor(summary, floor, modules)
    print("\n".join(f"below the floor: {verdict}" for verdict in verdicts) or "every floor is kept")
    return 1 if verdicts else 0


def sample():
    """What llvm-cov 19 prints for a few files, by hand: the first has every kind of segment."""
    begin, inside, gap, end = (True, True, False), (True, False, False), (True, False, True), (False, False, False)
    first = [
        [1, 1, 4, *begin],  # void f()           ran
        [3, 5, 4, *begin],  #     if (a)         ran, always true
        [3, 6, 4, *gap],
        [4, 9, 4, *begin],  #         g();       ran
        [4, 12, 0, *gap],
        [5, 5, 0, *begin],  #     else h();      never
        [5, 12, 4, *inside],
        [6, 12, 4, *begin],  #    while (true)   a constant
        [6, 20, 0, *begin],  #        if (b)     never
        [8, 2, 0, *end],  #  }                   never; line 9 is no code
        [10, 1, 0, *begin],  # int k() { }       never
        [10, 12, 0, *end],
    ]
    branches = [[3, 5, 3, 6, 1, 0, 0, 0, 4], [3, 5, 3, 6, 3, 0, 0, 0, 4], [6, 12, 6, 16, 0, 0, 0, 0, 4],
                [6, 20, 6, 21, 0, 0, 0, 0, 4]]
    one = [[1, 1, 1, *begin], [1, 9, 0, *end]]
    names = ["io/include/blitzio/io/b.hpp", "io/tests/unit/c_test.cpp", "sync/src/d.cpp", "elsewhere/src/e.cpp"]
    files = [{"filename": "/r/io/src/a.cpp", "segments": first, "branches": branches}]
    files += [{"filename": f"/r/{name}", "segments": one, "branches": []} for name in names]
    return json.dumps({"data": [{"files": files}]})


def self_test():
    modules = ["io", "net", "sync"]
    files = read_export(sample(), "/r")
    lines, branches = files["io/src/a.cpp"]
    summary = summarize(files, modules)
    nearly = {"io": {"line": {"covered": 89996, "count": 100000, "percent": 90.0}}}

    def verdicts(floor, of=summary):
        try:
            return len(below_floor(of, floor, modules))
        except Refused:
            return "refused"

    expected = [
        ("lines of a file", lines, {1: 4, 2: 4, 3: 4, 4: 4, 5: 0, 6: 4, 7: 0, 8: 0, 10: 0}),
        ("branches of a file", list(branches.values()), [4, 0, 0, 0]),
        ("lines of io", summary["io"]["line"], {"covered": 6, "count": 10, "percent": 60.0}),
        ("branches of io", summary["io"]["branch"], {"covered": 1, "count": 4, "percent": 25.0}),
        ("files of io", sorted(summary["io"]["files"]), ["io/include/blitzio/io/b.hpp", "io/src/a.cpp"]),
        ("modules", sorted(summary), ["io", "sync"]),
        ("nothing to branch on", summary["sync"]["branch"]["percent"], 100.0),
        ("a floor that is kept", verdicts({"io": {"line": 60, "branch": 25}}), 0),
        ("a floor that is not", verdicts({"io": {"line": 61, "branch": 26}, "sync": {"line": 100}}), 2),
        ("a floor missed by less than is shown", verdicts({"io": {"line": 90}}, nearly), 1),
        ("a module without figures", verdicts({"net": {"line": 1}}), 1),
        ("a floor for no module", verdicts({"oi": {"line": 1}}), "refused"),
        ("a floor of an unknown kind", verdicts({"io": {"lines": 1}}), "refused"),
        ("a floor that is no percentage", verdicts({"io": {"line": 900}}), "refused"),
    ]
    wrong = [(name, got, want) for name, got, want in expected if got != want]
    for name, got, want in wrong:
        print(f"self-test: {name}: expected {want}, got {got}")
    print(f"self-test: {len(expected) - len(wrong)} of {len(expected)} cases judged rightly")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--llvm", required=True, help="the version in the names of llvm-cov and llvm-profdata")
    parser.add_argument("--module", action="append")
    parser.add_argument("--floor", type=pathlib.Path)
    parser.add_argument("--modules-only", action="store_true", help="print no line per file")
    try:
        return report(parser.parse_args())
    except (Refused, OSError, json.JSONDecodeError) as refused:
        print(f"coverage: {refused}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
