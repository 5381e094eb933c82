#!/usr/bin/env python3
"""Counts test cases over one ctest run and says which failed.

    summarize.py BUILD_FOLDER [--append FILE]

Reads BUILD_FOLDER/reports/ctest.xml, written by `ctest --output-junit`, and, for each test that left one, the report
of its cases beside it (<test>.xml). A test that ctest calls failed although its report shows no failed case (a crash,
a timeout, a sanitizer's exit code) counts as one failed case more; so does a report that is missing or unreadable
although the test promised one. With --append the two counts are added to FILE as one line `passed failed`.
Prints `N passed, N failed` last; exit code 1 when anything failed or nothing ran.
"""

import pathlib
import sys
import xml.etree.ElementTree as xml


def cases_of(report):
    """Returns (passed, names of the failed, skipped), or None when the report is cut off."""
    passed, failed, skipped = 0, [], 0
    try:
        for case in xml.parse(report).getroot().iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(case.get("name", "?"))
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
    except xml.ParseError:
        return None
    return passed, failed, skipped


def summarize(folder):
    passed, failed, skipped = 0, [], 0
    for test in xml.parse(folder / "ctest.xml").getroot().iter("testcase"):
        name, status = test.get("name"), test.get("status")
        if status in ("disabled", "notrun"):
            failed.append(f"{name}: did not run ({status})")
            continue
        report = folder / f"{name}.xml"
        cases = cases_of(report) if report.exists() else (0, [], 0)
        if cases is None:
            failed.append(f"{name}: ended in the middle of its report")
            continue
        passed += cases[0]
        failed += [f"{name}: {case}" for case in cases[1]]
        skipped += cases[2]
        if status == "fail" and not cases[1]:
            failed.append(f"{name}: the program failed as a whole")
        elif status == "run" and cases[1]:
            failed.append(f"{name}: cases failed but the program reported success")
        elif status == "run" and not report.exists():
            passed += 1
    return passed, failed, skipped


def main():
    arguments = sys.argv[1:]
    if len(arguments) not in (1, 3) or (len(arguments) == 3 and arguments[1] != "--append"):
        print(__doc__, file=sys.stderr)
        return 2
    passed, failed, skipped = summarize(pathlib.Path(arguments[0], "reports"))
    for name in failed:
        print(f"failed: {name}")
    if skipped:
        print(f"skipped: {skipped} cases that this backend or machine does not have")
    if len(arguments) == 3:
        with open(arguments[2], "a", encoding="utf-8") as counts:
            counts.write(f"{passed} {len(failed)}\n")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
