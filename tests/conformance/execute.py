#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Executes the Component Model's own test scripts: calls what they call, and compares results and traps.

    execute.py RUNNER [WORD ...]

RUNNER is the program component_run; the rest is as in run.py, whose scripts these are.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import run

# (script, line): why the result differs.
EXPECTED = {
    # The engine runs without exception handling.
    ("linking/tags.wast", 7),
    ("linking/tags.wast", 36),
    ("linking/tags.wast", 64),
    ("linking/tags.wast", 93),
}


def quoted(text, quote):
    escaped = "".join(c if c.isprintable() and c not in "\\" + quote else "\\u{%x}" % ord(c) for c in text)
    return quote + escaped + quote


def number(kind, text):
    """Floats are given by their bits, or as some kind of NaN."""
    if kind not in ("f32", "f64"):
        return text
    if not text.lstrip("-").isdigit():
        return "nan"
    size = "<If" if kind == "f32" else "<Qd"
    value = struct.unpack("<" + size[2], struct.pack(size[:2], int(text) & (2 ** (32 if kind == "f32" else 64) - 1)))[0]
    return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value), repr(value))


def case(name, payload):
    return name if payload is None else f"{name}({wave(payload)})"


def wave(typed):
    kind, value = typed["type"], typed["value"]
    if kind == "bool":
        return "true" if value else "false"
    if kind == "string":
        return quoted(value, '"')
    if kind == "char":
        return quoted(value, "'")
    if kind == "list":
        return "[" + ", ".join(map(wave, value)) + "]"
    if kind == "tuple":
        return "(" + ", ".join(map(wave, value)) + ")"
    if kind == "record":
        return "{" + (", ".join(f"{name}: {wave(field)}" for name, field in value) or ":") + "}"
    if kind == "flags":
        return "{" + ", ".join(value) + "}"
    if kind == "enum":
        return "%" + value
    if kind == "variant":
        return case("%" + value["case"], value["payload"])
    if kind == "option":
        return "none" if value is None else case("some", value)
    if kind == "result":
        return case("ok", value["Ok"]) if "Ok" in value else case("err", value["Err"])
    return number(kind, value)


class Runner:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n") or "the program ended"

    def call(self, action, expected):
        command = {"call": action["field"], "args": [wave(arg) for arg in action["args"]]}
        if expected:
            command["expect"] = wave(expected[0])
        return self.ask(**command)


def verdicts(runner, commands, folder):
    """(line, what must be, what was) of every command that does something; nothing is called of what is unsupported."""
    definitions = {}
    loaded = ""
    for command in commands:
        kind = command["type"]
        if kind in ("module", "module_definition") and command.get("module_type", "binary") == "binary":
            definitions[command.get("name")] = str(folder / command["filename"])
        if kind in ("module", "module_instance"):
            loaded = runner.ask(load=definitions[command.get("module" if kind == "module_instance" else "name")])
            yield command["line"], "ok", loaded
        elif kind in ("assert_return", "assert_trap") and "action" in command and loaded == "ok":
            must = "ok" if kind == "assert_return" else "trap"
            yield command["line"], must, runner.call(command["action"], command.get("expected", []))


def main():
    program, words = sys.argv[1], sys.argv[2:]
    root, found = run.scripts(words)
    tool = run.wasm_tools()
    counts = dict.fromkeys(("right", "unsupported", "expected", "wrong"), 0)
    for script in found:
        relative = str(script.relative_to(root))
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            out = folder / "script.json"
            subprocess.run([tool, "json-from-wast", str(script), "-o", str(out), "--wasm-dir", scratch], check=True)
            commands = json.loads(out.read_text())["commands"]
            if not any(command["type"] in ("assert_return", "assert_trap") for command in commands):
                continue
            runner = Runner(program)
            for line, must, was in verdicts(runner, commands, folder):
                word = was.partition(":")[0]
                if word == must:
                    counts["right"] += 1
                elif word == "unsupported" and must == "ok":
                    counts["unsupported"] += 1
                elif (relative, line) in EXPECTED:
                    counts["expected"] += 1
                else:
                    counts["wrong"] += 1
                    print(f"FAIL {relative}:{line}: should be {must}, but {was}")
            runner.process.stdin.close()
            if runner.process.wait(60) != 0:
                sys.exit(f"{relative}: {program} failed")
    print("total: " + ", ".join(f"{n} {key}" for key, n in counts.items()))
    sys.exit(1 if counts["wrong"] else 0)


if __name__ == "__main__":
    main()
