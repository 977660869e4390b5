# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Sourced by examples/NAME/build; its first two lines are always
#     . "$(dirname "$0")/../../tools/guests/build.sh"
#     begin "$@" -- WORD...     WORDs: what else the result depends on, e.g. a compiler's version
# Then $here, the current folder, is the example's, $work a private folder to build in, and the last line is
#     finish FILE               FILE: what was built

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=$(basename "$here")

# Tools chat on both streams: keep all of it, show it only when wanted.
run() {
    if [ "${V:-}" = 1 ]; then
        "$@"
    else
        "$@" >"$work/log" 2>&1 || {
            cat "$work/log" >&2
            echo "examples/$name/build: failed: $*" >&2
            exit 1
        }
    fi
}

tools() { "$root/tools/guests/install" "$@"; }

begin() {
    if [ $# -lt 1 ] || [ "$1" = -- ]; then
        echo "usage: examples/$name/build OUTPUT.wasm" >&2
        exit 2
    fi
    mkdir -p "$(dirname "$1")"
    output=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
    shift
    mkdir -p "${WISP_BUILD_DIR:-$root/build}/examples/$name"
    work=$(cd "${WISP_BUILD_DIR:-$root/build}/examples/$name" && pwd)

    exec 9>"$work/lock"
    flock 9
    cd "$here" || exit

    # By content, not by time: a fresh checkout has new times on old files.
    key=$({
        echo "$here" "$@"
        cd "$root" || exit
        find "examples/$name" tools/guests/build.sh tools/guests/install tools/guests/requirements.txt \
            tools/guests/package-lock.json tools/guests/crates -type f ! -name '*.md' -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum)
    if [ -f "$work/key" ] && [ "$(cat "$work/key")" = "$key" ]; then
        cmp -s "$work/result.wasm" "$output" || finish "$work/result.wasm"
        exit 0
    fi
    rm -f "$work/key"
}

finish() {
    [ "$1" = "$work/result.wasm" ] || cp "$1" "$work/result.wasm"
    cp "$work/result.wasm" "$output.new.$$"
    mv "$output.new.$$" "$output"
    echo "$key" >"$work/key"
}

# The adapter that gives a Preview 1 module the Preview 2 interfaces: command or reactor.
adapter() {
    echo "wasi_snapshot_preview1=${guests:?}/crates/wasi-preview1-component-adapter-provider/artefacts/wasi_snapshot_preview1.$1.wasm"
}

# The example's own hello.wit with the packages of WASI beside it, as bindings generators want it.
wit() {
    rm -rf "$work/wit"
    mkdir "$work/wit"
    cp "$here"/*.wit "$work/wit"
    cp -r "$guests/crates/wasip2/wit/deps" "$work/wit"
}

# A Go example is a Go module; the standard toolchain makes a Preview 1 module of it, $work/module.wasm.
#     go_module FLAG...
go_module() {
    # Go's runtime takes all memory past its data for its own, grown or not, but the Preview 1 adapter grows some for
    # itself: the two then overwrite each other. So let the adapter take its share first, in its first call, and have Go
    # start behind it. The Go source is patched in a copy, which -overlay puts in the original's place.
    runtime=$(go env GOROOT)/src/runtime/os_wasm.go
    sed 's|^\tblocMax = .*|\tvar n, m size\n\tenviron_sizes_get(\&n, \&m)\n&\n\tbloc = blocMax|' "$runtime" >"$work/os_wasm.go"
    grep -q environ_sizes_get "$work/os_wasm.go" || {
        echo "examples/$name/build: $runtime is not as it was in Go 1.26; see go_module in tools/guests/build.sh" >&2
        exit 1
    }
    echo "{\"Replace\": {\"$runtime\": \"$work/os_wasm.go\"}}" >"$work/overlay.json"
    run env GOOS=wasip1 GOARCH=wasm go build -overlay "$work/overlay.json" -trimpath -buildvcs=false -ldflags='-s -w' \
        "$@" -o "$work/module.wasm" .
}

# A Rust example is a Cargo package of the same name.
rust() {
    tools rust >/dev/null
    # The same source gives the same bytes wherever it lies.
    export RUSTFLAGS="--remap-path-prefix=$here=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    run cargo build --locked --release --target wasm32-wasip2 --target-dir "$work/target"
    for file in "$work/target/wasm32-wasip2/release/$name.wasm" \
        "$work/target/wasm32-wasip2/release/$(echo "$name" | tr - _).wasm"; do
        [ ! -f "$file" ] || finish "$file"
    done
}
