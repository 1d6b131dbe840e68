# The ways to build, test and try this program. `make check` is what must pass before a change lands.

.DEFAULT_GOAL := build
.PHONY: build test soak check tools fmt man docs bench demo

# The release build: target/release/pki.
build:
	cargo build --release --locked

# What the tests run beside our own program, installed where it is missing.
tools:
	sh tests/install-tools

# Three a core: .config/nextest.toml says how many of them a test takes.
THREADS := $(shell echo $$(( $$(nproc) * 3 )))

# The doc tests first: the last lines of the output are those of the whole suite.
test: tools
	cargo test --locked --quiet --doc
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x; cargo nextest run --locked --profile whole --test-threads $(THREADS) $(if $(CI),--no-fail-fast); \
	else \
		set -x; cargo test --locked --lib --bins --tests; \
	fi

# The tests in their long forms, for a release and after a change of what reaches the disk: CONTRIBUTING.md.
soak: tools
	SOAK=1 PROPTEST_CASES=2560 cargo nextest run --locked --profile soak

# Formatting, lints and documentation, then the tests.
check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps
	$(MAKE) test

fmt:
	cargo fmt

# Figures for docs/benchmarks.md. `make bench BENCH=--million`: a CRL of a million entries.
bench:
	cargo build --release --locked --bins --example fleet --example enroll --example order --example load
	python3 tests/bench/bench.py $(BENCH)

# A CA in ./demo, a device and its QR code, a phone that enrolls itself, and a real nginx that lets them in and locks them out.
demo:
	sh docs/demo.sh

.PHONY: package package-check
# The Debian package of this commit and its SBOM: target/package. See docs/releases.md.
package:
	sh docs/package/build

# The same twice, from two clones, compared; then lintian.
package-check:
	sh docs/package/check

# The man pages, one for each command: target/man.
man:
	cargo run --locked --quiet --example man -- target/man

# docs/reference.md, from the commands' own help.
docs:
	mkdir -p target
	cargo run --locked --quiet --example reference > target/reference.md
	mv target/reference.md docs/reference.md
