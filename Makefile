# A thin layer over Meson and Ninja: the commands that one types. All that is made is below build/.
#
#     make              build/frontdoor
#     make demo         the story, told on this machine: nothing of it stays
#     make test         every test there is
#     make bench        all that doc/performance.md promises, against HAProxy, nginx, Exim and no proxy; BENCH= its options
#     make bench-tls    TLS sessions a second, CPU time and memory, against nginx and stunnel; BENCH= its options (bench/tls)
#     make bench-logs   MB/s of logs, against eximstats, pflogsumm, mawk and grep; BENCH= its options (bench/logs)
#     make bench-doors  memory, load, verdicts and look-ups of a million doors; BENCH= its options (bench/doors)
#     make bench-snapshot   what it costs to save a million doors, and to read them at a start; BENCH= its options
#     make fuzz         each fuzz target for SECONDS (60)
#     make deb          build/frontdoor_VERSION_ARCH.deb, for Debian 12
#     make install      below PREFIX (/usr/local) and DESTDIR
#     make format lint clean

PREFIX ?= /usr/local
SECONDS ?= 60
# One compiler for every developer and machine; `make CC=clang` is the other one that CI knows.
ifeq ($(origin CC),default)
CC := gcc
endif
export CC

.PHONY: all demo test deb bench bench-doors bench-logs bench-snapshot bench-tls fuzz install clean format lint
.DEFAULT_GOAL := all

all: build/build.ninja
	@ninja -C build

# Meson looks after changes of its files by itself from here on.
build/build.ninja:
	@command -v meson >/dev/null || { echo "meson is missing: run tools/install-deps build (as root)" >&2; exit 1; }
	@meson setup --prefix "$(PREFIX)" build

demo:
	@tools/install-deps build demo
	@$(MAKE) --no-print-directory all
	@test/lab/demo.py

test:
	@tools/install-deps build test
	@tools/run-tests

deb:
	@tools/install-deps build deb
	@packaging/build-deb

bench:
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory all
	@bench/run $(BENCH)

bench-tls:
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory all
	@bench/tls $(BENCH)

bench-doors:
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory all
	@bench/doors $(BENCH)

bench-logs:
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory all
	@bench/logs $(BENCH)

bench-snapshot: all
	@bench/snapshot $(BENCH)

fuzz:
	@tools/install-deps build fuzz
	@tools/run-fuzz "$(SECONDS)"

install: all
	@meson configure build --prefix "$(PREFIX)"
	@meson install -C build

clean:
	rm -rf build

format:
	@find src test fuzz bench -name '*.[ch]' | xargs clang-format -i

lint:
	@tools/install-deps build test
	@$(MAKE) --no-print-directory all
	@tools/run-tests lint
