# SPDX-License-Identifier: Apache-2.0
# The front door. CMake presets do the work; `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
ADDR ?= 127.0.0.1:8000
RUN_ARGS ?=

.PHONY: help run build dev test interop kernel guests bench fuzz format check clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

run: build ## build everything and serve the hello example on 127.0.0.1:8000 (ADDR=... for another address)
	@tools/guests/install rust >/dev/null
	@echo "building examples/http-hello-rust"
	@examples/http-hello-rust/build build/guests/http-hello-rust.wasm
	@exec build/wisp run build/guests/http-hello-rust.wasm --addr $(ADDR) $(RUN_ARGS)

build: ## build the release program at build/wisp, and the HTTP server as a program in build/providers
	@tools/bootstrap tools/packages.txt
	@tools/configure release
	@cmake --build --preset release --target wisp wisp-http-server
	@ln -sf release/wisp build/wisp
	@ln -sfn release/providers build/providers

dev: ## build program and tests with ASan and UBSan in build/dev
	@tools/bootstrap tools/packages.txt tools/packages-test.txt
	@tools/configure dev
	@cmake --build --preset dev

guests: ## build every example into build/guests
	@tools/bootstrap tools/packages.txt tools/packages-test.txt
	@tools/guests/build-all build/guests

test: guests dev build ## everything a change must pass
	@ctest --preset dev -j 2 -LE "interop-slow|kernel"

interop: guests dev build ## drive wisp with wash and other programs of the original's world; 30 minutes the first time
	@ctest --preset dev -L interop-slow

kernel: guests dev build ## run on Debian 12's own kernel, in a virtual machine, what depends on the kernel
	@ctest --preset dev -L kernel

bench: build guests ## the benchmarks, as a table and build/bench.json
	@tools/bootstrap tools/packages.txt tools/packages-test.txt
	@cmake --build --preset release --target benches
	@python3 bench/run.py $(BENCH_ARGS)

sim: ## simulate the lattice, and its applications, with SIM_SEEDS (200) new seeds; a failing one is printed
	@tools/bootstrap tools/packages.txt tools/packages-test.txt
	@tools/configure dev
	@cmake --build --preset dev --target lattice_sim app_sim
	@build/dev/tests/sim/lattice_sim --from $${SIM_FROM:-$$(date +%s)} --count $${SIM_SEEDS:-200}
	@build/dev/tests/sim/app_sim --from $${SIM_FROM:-$$(date +%s)} --count $${SIM_SEEDS:-200}

fuzz: ## run every fuzzer for FUZZ_SECONDS (60) each
	@tools/bootstrap tools/packages.txt tools/packages-test.txt tools/packages-dev.txt
	@tools/configure fuzz
	@cmake --build --preset fuzz
	@tools/fuzz build/fuzz $${FUZZ_SECONDS:-60}

format: ## format the C sources
	@tools/bootstrap tools/packages-dev.txt
	@find src sdk tests include -name '*.[ch]' 2>/dev/null | xargs clang-format-19 -i

clean: ## remove build/; the user's cache stays
	@rm -rf build
