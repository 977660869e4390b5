#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our canonical ABI beside the reference engine's: random function types and values.

    run.py CANON_TOOL [SEED [COUNT]]

For each type a small component is written that imports a function `h` and exports a function `f` of that type. Four
ways are compared: parameters and result, lowered and lifted. Bytes must be the same where the specification leaves no
choice (UTF-8), otherwise what is lifted from them. Then memory and core values are spoiled: both must refuse, or lift
the same value. Needs the Python package `wasmtime`, here or in the interpreter WISP_REFERENCE_PYTHON; exits with 77
("skipped") without it."""

import os
import random
import struct
import subprocess
import sys

try:
    import wasmtime
    from wasmtime import component as wc
    from wasmtime.component import _types as wct
except ImportError:
    other = os.environ.get("WISP_REFERENCE_PYTHON")
    if other and os.environ.get("WISP_REFERENCE_TRIED") is None:
        os.environ["WISP_REFERENCE_TRIED"] = "1"
        os.execv(other, [other, *sys.argv])
    print("skipped: no Python package `wasmtime` here; set WISP_REFERENCE_PYTHON to an interpreter that has it")
    sys.exit(77)

# Memory of the component: core values that `f` got or `h` returned, then the blob given to `set`: core values to
# use, then what they point to.
SEEN, BLOB, N_FLAT = 256, 512, 17
IMAGE = BLOB + 8 * N_FLAT
RETURN_AREA = 60000
ENCODINGS = ["utf8", "utf16", "latin1+utf16"]

# --- types: (kind, parts...) ---

INTEGERS = {"s8": (8, True), "u8": (8, False), "s16": (16, True), "u16": (16, False), "s32": (32, True),
            "u32": (32, False), "s64": (64, True), "u64": (64, False)}
LEAVES = ["bool", *INTEGERS, "f32", "f64", "char", "string", "enum", "flags"]
BRANCHES = ["list", "record", "tuple", "variant", "option", "result"]


def make_type(rng, depth):
    kind = rng.choice(LEAVES + (BRANCHES * 3 if depth else []))
    if kind in ("list", "option"):
        return kind, make_type(rng, depth - 1)
    if kind == "result":
        return kind, *[make_type(rng, depth - 1) if rng.random() < 0.7 else None for _ in range(2)]
    if kind in ("record", "tuple"):
        return kind, *[make_type(rng, depth - 1) for _ in range(rng.randint(1, 4))]
    if kind == "variant":
        return kind, *[make_type(rng, depth - 1) if rng.random() < 0.8 else None for _ in range(rng.randint(1, 5))]
    if kind == "enum":
        return kind, rng.choice([1, 2, 5, 256, 257])
    if kind == "flags":
        return kind, rng.choice([1, 8, 9, 16, 17, 31, 32])
    return (kind,)


def cases_of(t):
    if t[0] == "option":
        return [("none", None), ("some", t[1])]
    if t[0] == "result":
        return [("ok", t[1]), ("err", t[2])]
    return [(f"c{i}", case) for i, case in enumerate(t[1:])]


def is_variant(t):
    return t[0] in ("variant", "option", "result")


def signature_text(t):
    """As host.h writes it."""
    if t is None:
        return "_"
    if t[0] in ("enum", "flags"):
        return f"{t[0]}({t[1]})"
    parts = [signature_text(p) for p in t[1:]]
    if t[0] == "result":
        while parts and parts[-1] == "_":
            parts.pop()
    if not parts:
        return t[0]
    parts = ", ".join(parts)
    return f"{t[0]}{{{parts}}}" if t[0] in ("record", "variant") else f"{t[0]}<{parts}>"


def join(a, b):
    if a == b:
        return a
    return "i32" if {a, b} == {"i32", "f32"} else "i64"


def flatten(t):
    if t[0] in ("s64", "u64"):
        return ["i64"]
    if t[0] in ("f32", "f64"):
        return [t[0]]
    if t[0] in ("string", "list"):
        return ["i32", "i32"]
    if t[0] in ("record", "tuple"):
        return [flat for part in t[1:] for flat in flatten(part)]
    if is_variant(t):
        joined = []
        for _, case in cases_of(t):
            for i, flat in enumerate(flatten(case) if case else []):
                joined[i:i + 1] = [join(joined[i], flat) if i < len(joined) else flat]
        return ["i32", *joined]
    return ["i32"]


# --- values: numbers, bytes for strings, lists, [tag, payload] ---

def make_value(rng, t):
    kind = t[0]
    if kind == "bool":
        return rng.randint(0, 1)
    if kind in INTEGERS:
        bits, signed = INTEGERS[kind]
        n = rng.choice([0, 1, (1 << bits) - 1, 1 << (bits - 1), rng.getrandbits(bits)])
        return n - (1 << bits) if signed and n >> (bits - 1) else n
    if kind in ("f32", "f64"):
        number = rng.choice([0.0, -0.0, 1.5, -2.25, float("inf"), rng.uniform(-1e9, 1e9)])
        return float_bits(kind, number)
    if kind == "char":
        return ord(make_char(rng))
    if kind == "string":
        return "".join(make_char(rng) for _ in range(rng.randint(0, 9))).encode()
    if kind == "list":
        return [make_value(rng, t[1]) for _ in range(rng.randint(0, 4))]
    if kind in ("record", "tuple"):
        return [make_value(rng, part) for part in t[1:]]
    if kind == "enum":
        return rng.randrange(t[1])
    if kind == "flags":
        return rng.getrandbits(t[1])
    tag = rng.randrange(len(cases_of(t)))
    case = cases_of(t)[tag][1]
    return [tag, make_value(rng, case)] if case else [tag]


def make_char(rng):
    return chr(rng.choice([rng.randrange(0x80), rng.randrange(0x80, 0x100), rng.randrange(0x100, 0xd800),
                           rng.randrange(0xe000, 0x110000)]))


def float_bits(kind, number):
    return int.from_bytes(struct.pack("<f" if kind == "f32" else "<d", number), "little")


def bits_float(kind, bits):
    size, form = (4, "<f") if kind == "f32" else (8, "<d")
    return struct.unpack(form, bits.to_bytes(size, "little"))[0]


def value_text(t, v):
    """As canon_tool reads it; NaNs, which engines may change, are all the same."""
    if t[0] in ("f32", "f64"):
        number = bits_float(t[0], v)
        return "nan" if number != number else str(v)
    if t[0] == "string":
        return "x" + v.hex()
    if t[0] == "list":
        return "[" + ",".join(value_text(t[1], e) for e in v) + "]"
    if t[0] in ("record", "tuple"):
        return "[" + ",".join(value_text(part, e) for part, e in zip(t[1:], v)) + "]"
    if is_variant(t):
        case = cases_of(t)[v[0]][1]
        return f"[{v[0]},{value_text(case, v[1])}]" if case else f"[{v[0]}]"
    return str(v)


class ValueReader:
    """What canon_tool writes."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def word(self):
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ",]":
            self.at += 1
        return self.text[start:self.at]

    def skip(self, sign):
        assert self.text[self.at] == sign, (self.text, self.at)
        self.at += 1

    def parts(self, types):
        self.skip("[")
        values = []
        for i, t in enumerate(types):
            if i:
                self.skip(",")
            values.append(self.value(t))
        self.skip("]")
        return values

    def value(self, t):
        if t[0] == "string":
            return bytes.fromhex(self.word()[1:])
        if t[0] in ("record", "tuple"):
            return self.parts(t[1:])
        if t[0] == "list":
            self.skip("[")
            values = []
            while self.text[self.at] != "]":
                if values:
                    self.skip(",")
                values.append(self.value(t[1]))
            self.skip("]")
            return values
        if is_variant(t):
            self.skip("[")
            value = [int(self.word())]
            case = cases_of(t)[value[0]][1]
            if case:
                self.skip(",")
                value.append(self.value(case))
            self.skip("]")
            return value
        return int(self.word())


def to_python(t, v):
    """The reference's Python value of ours."""
    kind = t[0]
    if kind == "bool":
        return bool(v)
    if kind in ("f32", "f64"):
        return bits_float(kind, v)
    if kind == "char":
        return chr(v)
    if kind == "string":
        return v.decode()
    if kind == "list":
        return bytes(v) if t[1] == ("u8",) else [to_python(t[1], e) for e in v]
    if kind == "tuple":
        return tuple(to_python(part, e) for part, e in zip(t[1:], v))
    if kind == "record":
        record = wc.Record()
        for i, part in enumerate(t[1:]):
            setattr(record, f"f{i}", to_python(part, v[i]))
        return record
    if kind == "enum":
        return f"l{v}"
    if kind == "flags":
        return {f"l{i}" for i in range(t[1]) if v >> i & 1}
    if is_variant(t):
        name, case = cases_of(t)[v[0]]
        return wc.Variant(name, to_python(case, v[1]) if case else None)
    return v


def from_python(t, v):
    kind = t[0]
    if kind == "bool":
        return int(v)
    if kind in ("f32", "f64"):
        return float_bits(kind, v)
    if kind == "char":
        return ord(v)
    if kind == "string":
        return v.encode()
    if kind == "list":
        return [from_python(t[1], e) for e in v]
    if kind == "tuple":
        return [from_python(part, e) for part, e in zip(t[1:], v)]
    if kind == "record":
        return [from_python(part, getattr(v, f"f{i}")) for i, part in enumerate(t[1:])]
    if kind == "enum":
        return int(v[1:])
    if kind == "flags":
        return sum(1 << int(label[1:]) for label in v)
    if is_variant(t):
        tag = [name for name, _ in cases_of(t)].index(v.tag)
        case = cases_of(t)[tag][1]
        return [tag, from_python(case, v.payload)] if case else [tag]
    return v


# The reference's Python leaves tags of variants away where it can; we always give and get them.
wct.VariantLikeType._tagged = lambda self: True


# --- the component ---

class Text:
    """Types of a component, those that need names imported under one."""

    def __init__(self):
        self.lines = []

    def type(self, t):
        kind = t[0]
        if kind in ("enum", "flags"):
            return self.named(f"({kind} " + " ".join(f'"l{i}"' for i in range(t[1])) + ")")
        if kind == "record":
            return self.named("(record " + " ".join(f'(field "f{i}" {self.type(p)})' for i, p in enumerate(t[1:])) + ")")
        if kind == "variant":
            return self.named("(variant " + " ".join(f'(case "c{i}"{self.payload(p)})' for i, p in enumerate(t[1:])) + ")")
        if kind == "result":
            error = f" (error {self.type(t[2])})" if t[2] else ""
            return f"(result{self.payload(t[1])}{error})"
        if kind in ("list", "option", "tuple"):
            return f"({kind} " + " ".join(self.type(part) for part in t[1:]) + ")"
        return kind

    def payload(self, t):
        return " " + self.type(t) if t else ""

    def named(self, definition):
        n = len(self.lines)
        self.lines.append(f'(type $d{n} {definition}) (import "t{n}" (type $t{n} (eq $d{n})))')
        return f"$t{n}"


LOADS = {"i32": "i32.load", "i64": "i64.load", "f32": "f32.load", "f64": "f64.load"}


def component_text(params, result, encoding):
    text = Text()
    signature = " ".join(f'(param "p{i}" {text.type(t)})' for i, t in enumerate(params))
    if result:
        signature += f" (result {text.type(result)})"
    flat = [f for t in params for f in flatten(t)]
    flat = ["i32"] if len(flat) > 16 else flat
    results = flatten(result) if result else []
    in_memory = len(results) > 1
    lowered = " ".join(flat + (["i32"] if in_memory else []))
    h_result = f"(result {results[0]})" if len(results) == 1 else ""
    f_result = "i32" if in_memory else results[0] if results else None
    arguments = " ".join(f"({LOADS[f]} (i32.const {BLOB + 8 * i}))" for i, f in enumerate(flat))
    call = f"(call $h {arguments} {f'(i32.const {RETURN_AREA})' if in_memory else ''})"
    if len(results) == 1:
        call = f"({results[0]}.store (i32.const {SEEN}) {call})"
    seen = " ".join(f"({f}.store (i32.const {SEEN + 8 * i}) (local.get {i}))" for i, f in enumerate(flat))
    options = f'string-encoding={encoding} (memory (core memory $mem)) (realloc (core func $libc "realloc"))'
    return f"""(component
  {" ".join(text.lines)}
  (import "h" (func $h {signature}))
  (core module $Libc
    (memory (export "mem") 1)
    (global $top (export "top") (mut i32) (i32.const {BLOB}))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (if (i32.and (i32.ne (local.get $old) (i32.const 0)) (i32.le_u (local.get $size) (local.get $old-size)))
        (then (return (local.get $old))))
      (global.set $top (i32.and (i32.sub (i32.add (global.get $top) (local.get $align)) (i32.const 1))
                                (i32.sub (i32.const 0) (local.get $align))))
      (memory.copy (global.get $top) (local.get $old) (local.get $old-size))
      (global.get $top)
      (global.set $top (i32.add (global.get $top) (local.get $size)))))
  (core instance $libc (instantiate $Libc))
  (alias core export $libc "mem" (core memory $mem))
  (core func $h' (canon lower (func $h) {options}))
  (core module $M
    (import "libc" "mem" (memory 1))
    (import "libc" "top" (global $top (mut i32)))
    (import "" "h" (func $h (param {lowered}) {h_result}))
    (func (export "set") (param i32 i32))
    (func (export "run") {call})
    (func (export "f") (param {" ".join(flat)}) {f"(result {f_result})" if f_result else ""}
      {seen} {f"({LOADS[f_result]} (i32.const {BLOB}))" if f_result else ""})
    (func (export "dump") (result i32)
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (global.get $top))
      (i32.const 0))
    (func (export "area") (result i32)
      (i32.store (i32.const 0) (i32.const {RETURN_AREA}))
      (i32.store (i32.const 4) (i32.sub (i32.const 65536) (i32.const {RETURN_AREA})))
      (i32.const 0)))
  (core instance $m (instantiate $M (with "libc" (instance $libc)) (with "" (instance (export "h" (func $h'))))))
  (func (export "set") (param "blob" (list u8)) (canon lift (core func $m "set") {options}))
  (func (export "run") (canon lift (core func $m "run") {options}))
  (func (export "dump") (result (list u8)) (canon lift (core func $m "dump") {options}))
  (func (export "area") (result (list u8)) (canon lift (core func $m "area") {options}))
  (func (export "f") {signature} (canon lift (core func $m "f") {options})))"""


class Reference:
    """A component made for one function type; an instance for each question, since a trap ends it."""

    engine = wasmtime.Engine()

    def __init__(self, params, result, encoding):
        self.params, self.result = params, result
        self.component = wc.Component(self.engine, component_text(params, result, encoding))
        self.linker = wc.Linker(self.engine)
        with self.linker.root() as root:
            root.add_func("h", self.h)

    def h(self, _store, *args):
        self.got = [from_python(t, v) for t, v in zip(self.params, args)]
        return to_python(self.result, self.returns) if self.result else None

    def start(self, blob):
        self.store, self.got = wasmtime.Store(self.engine), None
        self.instance = self.linker.instantiate(self.store, self.component)
        self.call("set", blob)

    def call(self, name, *args):
        func = self.instance.get_func(self.store, name)
        result = func(self.store, *args)
        func.post_return(self.store)
        return result

    def memory(self):
        """Up to what realloc gave out, then the return area."""
        return self.call("dump"), self.call("area")


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *fields):
        self.process.stdin.write("\t".join(str(f) for f in fields) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n").split("\t")
        if answer == [""]:
            raise SystemExit(f"canon_tool died at: {fields}")
        return answer


def flat_text(flat):
    return " ".join(f"{value:x}" for value in flat)


def narrowed(kinds, flat):
    """Without the upper halves of 32-bit values, which mean nothing."""
    return [v & (0xffffffff if kind in ("i32", "f32") else -1) for v, kind in zip(flat, kinds)]


# --- one case ---

class Difference(Exception):
    pass


def check(same, what, *details):
    if not same:
        raise Difference(what + "".join(f"\n  {d}" for d in details))


class Case:
    def __init__(self, tool, rng):
        self.tool, self.rng = tool, rng
        self.params = [make_type(rng, 3) for _ in range(rng.choice([0, 1, 1, 2, 3, 6]))]
        self.result = make_type(rng, 3) if rng.random() < 0.8 else None
        self.encoding = rng.randrange(3)
        self.signature = f"({', '.join(signature_text(t) for t in self.params)})"
        if self.result:
            self.signature += f" -> {signature_text(self.result)}"
        self.tuple = ("tuple", *self.params)
        self.args = [make_value(rng, t) for t in self.params]
        self.reference = Reference(self.params, self.result, ENCODINGS[self.encoding])
        self.reference.returns = make_value(rng, self.result) if self.result else None
        flat = [f for t in self.params for f in flatten(t)]
        self.flat_kinds = ["i32"] if len(flat) > 16 else flat
        self.result_flat = flatten(self.result) if self.result else []

    def ask(self, question, *fields):
        return self.tool.ask(question, self.encoding, self.signature, *fields)

    def lifted(self, question, flat, memory):
        """The value, or None when it is refused; second: refused for its size only."""
        answer = self.ask(question, flat_text(flat), memory.hex())
        if answer[0] == "error":
            return None, answer[1] == "limit"
        t = self.result if question == "lift-result" else self.tuple
        return value_text(t, ValueReader(answer[1]).value(t)), False

    def lowered(self, question, flat, memory, top, t, value):
        answer = self.ask(question, flat_text(flat), memory.hex(), top, value_text(t, value))
        check(answer[0] == "ok", f"{question} fails", answer)
        return [int(v, 16) for v in answer[1].split()], bytes.fromhex(answer[2])

    def words(self, kinds, memory, at):
        """Core values that the component stored."""
        return [int.from_bytes(memory[at + 8 * i:at + 8 * i + (4 if k in ("i32", "f32") else 8)], "little")
                for i, k in enumerate(kinds)]

    def check_lower_params(self):
        reference = self.reference
        blob = self.blob_of_result()
        reference.start(blob)
        before = BLOB + len(blob)
        returned = reference.call("f", *[to_python(t, v) for t, v in zip(self.params, self.args)])
        if self.result:
            same = value_text(self.result, from_python(self.result, returned))
            check(same == value_text(self.result, reference.returns), "the reference lifts another result from ours",
                  same, value_text(self.result, reference.returns))
        memory, _ = reference.memory()
        seen = self.words(self.flat_kinds, memory, SEEN)
        lifted, _ = self.lifted("lift-params", seen, memory)
        check(lifted == value_text(self.tuple, self.args), "we lift other parameters from the reference's", lifted)
        flat, ours = self.lowered("lower-params", [], memory[:before], before, self.tuple, self.args)
        kept = narrowed(self.flat_kinds, flat)
        if ENCODINGS[self.encoding] == "utf8":
            check(kept == seen, "other core values", f"ours      {flat_text(kept)}", f"reference {flat_text(seen)}")
            check(ours[BLOB:] == memory[BLOB:], "other bytes", f"ours      {ours[BLOB:].hex()}",
                  f"reference {memory[BLOB:].hex()}")

    def blob_of_result(self):
        """What `f` returns, lowered by us."""
        if not self.result:
            return bytes(8 * N_FLAT)
        in_memory = len(self.result_flat) > 1
        flat = [0] * len(self.flat_kinds) + [IMAGE]
        top = IMAGE + self.size_of(self.result) if in_memory else IMAGE
        flat, memory = self.lowered("lower-result", flat, b"", top, self.result, self.reference.returns)
        first = IMAGE if in_memory else flat[0]
        return first.to_bytes(8, "little") + bytes(8 * (N_FLAT - 1)) + memory[IMAGE:]

    def size_of(self, t):
        """More than a value takes in memory, a multiple of 8."""
        if t[0] in ("record", "tuple"):
            return sum(self.size_of(part) for part in t[1:])
        if is_variant(t):
            return 8 + max([0] + [self.size_of(case) for _, case in cases_of(t) if case])
        return 8

    def check_calls_of_h(self):
        """Parameters lowered by us, lifted by the reference; its result lowered, and lifted by us."""
        reference = self.reference
        flat, memory = self.lowered("lower-params", [], b"", IMAGE, self.tuple, self.args)
        self.blob = b"".join(v.to_bytes(8, "little") for v in flat[:N_FLAT]) + memory[IMAGE:]
        reference.start(self.blob)
        before = BLOB + len(self.blob)
        reference.call("run")
        got = value_text(self.tuple, reference.got)
        check(got == value_text(self.tuple, self.args), "the reference lifts other parameters from ours", got)
        if not self.result:
            return
        memory, area = reference.memory()
        whole = bytearray(65536)
        whole[:len(memory)] = memory
        whole[RETURN_AREA:] = area
        in_memory = len(self.result_flat) > 1
        seen = [RETURN_AREA] if in_memory else self.words(self.result_flat, memory, SEEN)
        lifted, _ = self.lifted("lift-result", seen, bytes(whole))
        check(lifted == value_text(self.result, reference.returns), "we lift another result from the reference's", lifted)
        if ENCODINGS[self.encoding] != "utf8":
            return
        flat = flat[:len(self.flat_kinds)] + [RETURN_AREA]
        ours, ours_memory = self.lowered("lower-result", flat, memory[:before], before, self.result, reference.returns)
        if not in_memory:
            kept = narrowed(self.result_flat, ours)
            check(kept == seen, "another core result", f"ours {flat_text(kept)}", f"reference {flat_text(seen)}")
        check(ours_memory[BLOB:] == memory[BLOB:], "other bytes of the result", f"ours      {ours_memory[BLOB:].hex()}",
              f"reference {memory[BLOB:].hex()}")

    def check_spoiled(self):
        """A few bytes changed: both refuse, or both lift the same."""
        blob = bytearray(self.blob)
        for _ in range(self.rng.randint(1, 3)):
            at = self.rng.choice([self.rng.randrange(8 * max(1, len(self.flat_kinds))), self.rng.randrange(len(blob))])
            blob[at] = self.rng.choice([0, 1, 2, 0x7f, 0x80, 0xff, self.rng.getrandbits(8), blob[at] ^ 1 << self.rng.randrange(8)])
        reference = self.reference
        reference.start(bytes(blob))
        try:
            reference.call("run")
        except wasmtime.WasmtimeError as e:
            reference.got, why = None, str(e)
        else:
            why = ""
        flat = self.words(["i64"] * N_FLAT, blob, 0)
        memory = bytes(BLOB) + bytes(blob)
        ours, too_large = self.lifted("lift-params", flat, memory)
        theirs = value_text(self.tuple, reference.got) if reference.got is not None else None
        if not too_large:
            check(ours == theirs, "spoiled parameters are lifted differently", f"ours      {ours}",
                  f"reference {theirs} {why}", f"core values {flat_text(flat)}", f"memory from {BLOB} {blob.hex()}")
        return "limit" if too_large else "refused" if ours is None else "lifted"

    def run(self, counts):
        self.check_lower_params()
        self.check_calls_of_h()
        for _ in range(6):
            outcome = self.check_spoiled()
            counts[outcome] = counts.get(outcome, 0) + 1


def main():
    tool = Tool(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 150
    counts = {}
    for n in range(seed, seed + count):
        case = Case(tool, random.Random(n))
        try:
            case.run(counts)
        except Difference as e:
            sys.exit(f"seed {n}, {ENCODINGS[case.encoding]}, {case.signature}\n{value_text(case.tuple, case.args)}: {e}")
    print(f"{count} types agree; spoiled values: {counts}")


main()
