#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small components in tests/corpus/decode, which unit tests and the fuzzer use, from the texts in this folder
and from the templates below. Needs wasm-tools ($WASM_TOOLS, or from PATH). Run it when a text changes; the results are
committed, so that the tests need nothing."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "corpus" / "decode"
TOOL = os.environ.get("WASM_TOOLS") or shutil.which("wasm-tools") or sys.exit("wasm-tools is not installed")

# Like a shim and fixup but for one thing, so that they must be left alone.
LOOKALIKE = """(component
  (import "log" (func $log (param "level" u32)))
  (core module $shim
    (type $one (func (param i32)))
    (table (export "$imports") 2 2 funcref){shim_extra}
    (func (export "0") (type $one) {body}))
  (core module $main
    (import "env" "0" (func (param i32))){main_extra}
    (func (export "run")))
  (core module $fixup
    (type $one (func (param i32)))
    (import "" "0" (func $0 (type $one)))
    (import "" "$imports" (table 2 2 funcref))
    {segment})
  (core instance $shim (instantiate $shim))
  (core instance $main (instantiate $main (with "env" (instance
    (export "0" (func $shim "0"))
    (export "$imports" (table $shim "$imports"))))))
  (core func $log' (canon lower (func $log)))
  (core instance (instantiate $fixup (with "" (instance
    (export "0" (func $log'))
    (export "$imports" (table $shim "$imports"))))))
  (func (export "run") (canon lift (core func $main "run"))))
"""
PLAIN = {
    "shim_extra": "",
    "body": "local.get 0 i32.const 0 call_indirect (type $one)",
    "main_extra": "",
    "segment": "(elem (i32.const 0) func $0)",
}
LOOKALIKES = {
    "extra-code": {"body": "local.get 0 i32.const 1 i32.add i32.const 0 call_indirect (type $one)"},
    "other-slot": {"body": "local.get 0 i32.const 1 call_indirect (type $one)"},
    "locals": {"body": "(local i32) " + PLAIN["body"]},
    "memory": {"shim_extra": "(memory 1)"},
    "table-used": {"main_extra": '(import "env" "$imports" (table 2 2 funcref))'},
    "offset": {"segment": "(elem (i32.const 1) func $0)"},
    "passive": {"segment": "(elem func $0)"},
}

# Refused, each for the reason that link_test.c tells.
REFUSED = {
    "instance-type": """(component
        (component $c (type $i (instance (export "a" (func)))) (import "i" (type (eq $i))))
        (type $more (instance (export "a" (func)) (export "b" (func))))
        (instance (instantiate $c (with "i" (type $more)))))""",
    "method": """(component
        (import "a" (type (sub resource)))
        (import "b" (type $b (sub resource)))
        (import "[method]a.m" (func (param "self" (borrow $b)))))""",
    "memory64": """(component
        (import "f" (func $f (param "s" string)))
        (core module $m (memory (export "memory") i64 1))
        (core instance $i (instantiate $m))
        (core func (canon lower (func $f) (memory (core memory $i "memory")))))""",
    "imported-module": """(component
        (import "m" (core module $m))
        (core instance (instantiate $m)))""",
    "imported-component": """(component
        (import "c" (component $c))
        (instance (instantiate $c)))""",
    "nested-import": """(component
        (import "i" (instance (export "j" (instance (export "f" (func)))))))""",
    "missing-argument": """(component
        (component $c (import "f" (func)))
        (instance (instantiate $c)))""",
    "argument-type": """(component
        (import "f" (func $f (param "x" u32)))
        (component $c (import "f" (func (param "x" string) (result (list u8)))))
        (instance (instantiate $c (with "f" (func $f)))))""",
    "hidden-type": """(component
        (type $r (record (field "x" u8)))
        (import "f" (func (param "r" $r))))""",
    "core-argument": """(component
        (core module $a (func (export "f") (param i32)))
        (core module $b (import "a" "f" (func (param i64))))
        (core instance $a (instantiate $a))
        (core instance (instantiate $b (with "a" (instance $a)))))""",
}


def type_bomb():
    """A type of 2^40 parts."""
    lines = ["(component", "(type $t0 (list u8))"]
    lines += [f"(type $t{i} (list (tuple $t{i - 1} $t{i - 1})))" for i in range(1, 41)]
    return "\n".join(lines + [")"])


def instance_bomb():
    """10^9 instances."""
    lines = ["(component", "(component $c0)"]
    for i in range(1, 10):
        lines.append(f"(component $c{i} (alias outer 1 $c{i - 1} (component $d))" + "(instance (instantiate $d))" * 10 + ")")
    return "\n".join(lines + ["(instance (instantiate $c9)))"])


def world_bomb():
    """An instance that contains 2^30 others."""
    lines = ["(component", "(instance $i0)"]
    for i in range(1, 31):
        lines.append(f'(instance $i{i} (export "a" (instance $i{i - 1})) (export "b" (instance $i{i - 1})))')
    return "\n".join(lines + ['(export "x" (instance $i30)))'])


def depth_bomb():
    """Instances 200 deep, each made within the one before."""
    lines = ["(component", "(component $c0)"]
    for i in range(1, 200):
        lines.append(f"(component $c{i} (alias outer 1 $c{i - 1} (component $d)) (instance (instantiate $d)))")
    return "\n".join(lines + ["(instance (instantiate $c199)))"])


def parse(name, text):
    subprocess.run([TOOL, "parse", "-", "-o", OUT / f"{name}.wasm"], input=text, text=True, check=True)


def from_wit(name, names, keep):
    """What component tools make of a world: with shim and fixup modules, and components that give types their names."""
    with tempfile.TemporaryDirectory() as scratch:
        core, made = pathlib.Path(scratch) / "core.wat", pathlib.Path(scratch) / "made.wasm"
        embed = [TOOL, "component", "embed", "--dummy-names", names, HERE / "hello.wit", "-w", "hello", "-t", "-o", core]
        subprocess.run(embed, check=True)
        core.write_text("".join(line for line in core.read_text().splitlines(True) if keep(line)))
        subprocess.run([TOOL, "component", "new", core, "-o", made], check=True)
        subprocess.run([TOOL, "strip", "-a", made, "-o", OUT / f"{name}.wasm"], check=True)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for text in sorted(HERE.glob("*.wat")):
        parse(text.stem, text.read_text())
    parse("shim", LOOKALIKE.format(**PLAIN))
    for name, change in LOOKALIKES.items():
        parse(f"lookalike-{name}", LOOKALIKE.format(**{**PLAIN, **change}))
    for name, text in REFUSED.items():
        parse(f"refused-{name}", text)
    for name, text in [("type", type_bomb()), ("instance", instance_bomb()), ("world", world_bomb()), ("depth", depth_bomb())]:
        parse(f"bomb-{name}", text)
    # With `_initialize`, tools have the fixup module call it as its start function.
    from_wit("tool", "legacy", lambda line: "_initialize" not in line)
    from_wit("tool-start", "legacy", lambda line: True)


if __name__ == "__main__":
    main()
