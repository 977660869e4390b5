#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `wisp inspect FILE -o wit` prints is WIT that wasm-tools reads, and says the same of a component as wasm-tools
itself does.

    WISP         the wisp binary
    WASM_TOOLS   the wasm-tools binary; otherwise the one in PATH, or the one that tools/guests/install has put into the
                 cache. Without one the run is skipped (exit code 77)
    WISP_GUESTS  folder with components (*.wasm); may be left out
    roundtrip.py [WORD ...]    only the cases whose name contains one of the words

Cases are the guests and the worlds in the folder `worlds` beside this file: a *.wit file or folder of WIT becomes a
component that implements its world `w` with functions that trap; a *.wat file is a component that wasm-tools itself
cannot print, and is only read back."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# In these the order of lines means something.
ORDERED = ("record", "variant", "enum", "flags")


def find_tools():
    caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    cache = pathlib.Path(os.environ.get("WISP_CACHE") or caches / "wisp")
    found = [os.environ.get("WASM_TOOLS"), shutil.which("wasm-tools"),
             *sorted(cache.glob("guests/*/python/bin/wasm-tools"))]
    return next((path for path in found if path and os.access(path, os.X_OK)), None)


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(str(part) for part in command)}: {result.stderr.strip()}")
    return result.stdout


def parse(lines):
    """Items of a block: a line, or a line and the block that it opens. Takes lines up to the block's end."""
    items = []
    while lines:
        line = lines.pop(0).strip()
        if line == "}":
            break
        if not line or line.startswith("//"):
            continue
        if line.endswith("{"):
            items.append((line, parse(lines)))
        elif line.startswith("use "):
            source, names = line.rstrip("};").split(".{")
            items += [(f"{source}.{name.strip()}", None) for name in names.split(",")]
        else:
            items.append((line, None))
    return items


def normal(items):
    """Without the order of what has none."""
    blocks = [(head, body if head.startswith(ORDERED) else normal(body) if body is not None else None)
              for head, body in items]
    return sorted(blocks, key=repr)


def flat(items, path=""):
    """One line for each item, with the blocks around it: what a difference is told in."""
    for head, body in items:
        yield f"{path}{head}"
        if body is not None:
            yield from flat(body, f"{path}{head} ")


def meaning(text):
    return normal(parse(text.splitlines()))


def components(tools, folder):
    """Name and path of every component to print, and whether wasm-tools can print it."""
    for source in sorted((HERE / "worlds").iterdir()):
        component = folder / f"{source.stem}.wasm"
        if source.suffix == ".wat":
            run(tools, "parse", source, "-o", component)
        else:
            core = folder / "core.wasm"
            run(tools, "component", "embed", "--dummy", source, "--world", "w", "-o", core)
            run(tools, "component", "new", core, "-o", component)
        yield source.name, component, source.suffix != ".wat"
    if os.environ.get("WISP_GUESTS"):
        guests = sorted(pathlib.Path(os.environ["WISP_GUESTS"]).glob("*.wasm"))
        if not guests:
            raise FileNotFoundError(f"no guests in {os.environ['WISP_GUESTS']}: make guests")
        for guest in guests:
            yield guest.name, guest, True


def check(tools, component, can_compare, folder):
    ours = folder / "ours.wit"
    ours.write_text(run(os.environ["WISP"], "inspect", component, "-o", "wit"))
    read_back = run(tools, "component", "wit", ours)
    if meaning(read_back) != meaning(ours.read_text()):
        raise RuntimeError("wasm-tools reads something else than what was written")
    if not can_compare:
        return
    have, want = meaning(read_back), meaning(run(tools, "component", "wit", component))
    if have != want:
        missing = set(flat(want)) - set(flat(have))
        extra = set(flat(have)) - set(flat(want))
        told = [f"  missing: {line}" for line in sorted(missing)] + [f"  extra: {line}" for line in sorted(extra)]
        raise RuntimeError("\n".join(["wasm-tools says otherwise", *told]))


def main(words):
    failed = 0
    tools = find_tools()
    if not tools:
        print("wasm-tools is not installed: tools/guests/install python")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for case, component, can_compare in components(tools, folder):
            if words and not any(word in case for word in words):
                continue
            try:
                check(tools, component, can_compare, folder)
                print(f"ok   {case}")
            except RuntimeError as error:
                failed += 1
                print(f"FAIL {case}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
