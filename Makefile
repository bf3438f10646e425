# SPDX-License-Identifier: GPL-2.0
#
# The front door; `make help` lists what is behind it. kbuild reads Kbuild
# instead of this file.
#
#   KERNEL=NAME                     a kernel of the workspace (default: stock; see
#                                   scripts/setup --help)
#   KDIR=DIR                        instead: a kernel build directory of this machine,
#                                   with this machine's compilers
#   T=TEST                          make test: only this one; or arguments of pytest
#   KERNELS=NAMES                   make matrix: only these
#   TIME=SECONDS                    for how long to fuzz
#   MAINTAINER='NAME <ADDRESS>'     whom packages name
KERNEL ?= stock
T :=
TIME ?= 600
MAINTAINER ?=

# Objects lie in build/RELEASE, and with KDIR= in a directory for that, so that one kernel's
# never meet another's. What two runs at once would both write is locked, and moved to its
# place when it is complete.
.PHONY: all module peer demo test quick shell kunit mutants churn bench fuzz check docs rust-analyzer matrix deb test-packages \
	upstream clean help setup
all: module peer ## build rust_nldemo.ko and the peer (the default)

ifdef KDIR
kdir := $(abspath $(KDIR))
out := $(CURDIR)/build/kdir$(subst /,-,$(kdir))
module:
	@test -f '$(kdir)/Makefile' || { \
		echo "make: KDIR=$(KDIR) is not a kernel build directory" >&2; exit 1; }
	@test -f '$(kdir)/rust/libkernel.rmeta' || { \
		echo "make: KDIR=$(KDIR) has no Rust SDK (no rust/libkernel.rmeta): headers of distributions come" >&2; \
		echo "      without. scripts/sdk makes one for an installed kernel and prints the KDIR= to use." >&2; \
		exit 1; }
	@mkdir -p '$(out)' && exec 9>>'$(out)/.lock' && flock 9 && \
		$(MAKE) --no-print-directory -C '$(kdir)' M='$(CURDIR)' MO='$(out)' && \
		cp '$(out)/rust_nldemo.ko' build/.new.$$$$ && mv build/.new.$$$$ rust_nldemo.ko
peer:
	@command -v cargo >/dev/null || { echo "make: there is no cargo here to build the peer with" >&2; exit 1; }
	@target=$$(rustc -vV | sed -n 's/^host: //p') && \
		mkdir -p build/cargo/native && exec 9>>build/cargo/native/.lock && flock 9 && \
		cargo build --release --locked --package nldemo --manifest-path userspace/Cargo.toml \
			--target-dir build/cargo/native --target "$$target" && \
		cp "build/cargo/native/$$target/release/nldemo" build/.new.$$$$ && mv build/.new.$$$$ build/nldemo
rust-analyzer: module
	@net/rust-project '$(kdir)' '$(out)' rust_nldemo.rs >build/.new.$$$$ && mv build/.new.$$$$ rust-project.json
else
module: ## build rust_nldemo.ko (KERNEL=NAME, or KDIR=DIR)
	@scripts/build-module --kernel '$(KERNEL)' --copy
peer: ## build build/nldemo, the userspace peer
	@scripts/build-peer
rust-analyzer: ## write rust-project.json, by which editors know the module (KERNEL=NAME, or KDIR=DIR)
	@scripts/rust-analyzer --kernel '$(KERNEL)'
endif

demo: ## from nothing to the module at work, narrated
	@scripts/demo
test: ## from nothing to all tests; or one: T=test_hook.py::test_name, T='-k expression'
	@scripts/test --kernel '$(KERNEL)' $(if $(T),guest $(T))
quick: ## for between two changes: check, host and peer tests, some guest tests (a minute)
	@scripts/test --kernel '$(KERNEL)' --quick
shell: ## a shell in the virtual machine, with the module loaded and nldemo in PATH
	@scripts/vm --kernel '$(KERNEL)'
kunit: ## the module's KUnit suites, on the debug kernel
	@scripts/kunit
mutants: ## break the module on purpose: is each mistake noticed by its test or detector?
	@scripts/mutants
churn: ## wear the module out on the debug kernel, and say what it survived (half an hour)
	@scripts/churn
bench: ## measure against C and nftables, in instructions (5 min; scripts/bench --quick: less)
	@scripts/bench
fuzz: ## look for bugs with libFuzzer, in the module and in userspace (TIME=600 seconds)
	@scripts/fuzz --time '$(TIME)'
check: ## format, lints and docs of everything
	@scripts/check
docs: ## render the documentation of net/ and the crates, in build/docs
	@scripts/docs
matrix: ## build and test on every kernel, for the table of docs/kernels.md (KERNELS="7.2 rt"; hours)
	@scripts/matrix $(KERNELS)
deb: ## build Debian packages in build/deb (MAINTAINER='NAME <ADDRESS>')
	@scripts/deb --maintainer '$(MAINTAINER)'
test-packages: ## try the Debian packages on clean machines (15 min; as root)
	@scripts/test-packages
upstream: ## write net/ and the module as patches for the kernel tree, in build/upstream
	@scripts/upstream
setup: ## make the workspace now (other targets do it when they need it)
	@scripts/setup --kernel '$(KERNEL)'
clean: ## remove what was built here (the workspace's cache stays)
	rm -rf build rust_nldemo.ko rust-project.json
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile
