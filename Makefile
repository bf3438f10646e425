# SPDX-License-Identifier: GPL-2.0
#
# The commands of the project. `make help` lists the targets. kbuild reads Kbuild
# instead of this file.
#
#   KERNEL=NAME                     a kernel of the workspace (default: stock; see
#                                   scripts/setup --help)
#   KDIR=DIR                        a kernel build directory of this machine instead,
#                                   with this machine's compilers
#   T=TEST                          make test: only this test, or arguments of pytest
#   KERNELS=NAMES                   make matrix: only these kernels
#   TIME=SECONDS                    make fuzz: the time for all fuzzers
#   MAINTAINER='NAME <ADDRESS>'     make deb: the maintainer of the packages
KERNEL ?= stock
T :=
TIME ?= 600
MAINTAINER ?=

# Objects are in build/RELEASE, and with KDIR= in a directory for that KDIR, so that objects of
# different kernels never mix. Files that two runs at once would both write are locked, and moved
# to their place when they are complete.
.PHONY: all module peer demo test quick shell kunit mutants churn bench fuzz check docs rust-analyzer matrix deb \
	test-packages test-archive upstream clean help setup
all: module peer ## build rust_nldemo.ko and the peer (the default)

ifdef KDIR
kdir := $(abspath $(KDIR))
out := $(CURDIR)/build/kdir$(subst /,-,$(kdir))
module:
	@test -f '$(kdir)/Makefile' || { \
		echo "make: KDIR=$(KDIR) is not a kernel build directory: it has no Makefile. For an installed kernel," >&2; \
		echo "      scripts/sdk prints the directory to use as KDIR=." >&2; \
		exit 1; }
	@test -f '$(kdir)/rust/libkernel.rmeta' || { \
		echo "make: KDIR=$(KDIR) has no Rust SDK: rust/libkernel.rmeta is missing, as in the kernel headers of" >&2; \
		echo "      distributions. scripts/sdk makes the SDK of an installed kernel, and prints the directory" >&2; \
		echo "      to use as KDIR=." >&2; \
		exit 1; }
	@mkdir -p '$(out)' && exec 9>>'$(out)/.lock' && flock 9 && \
		$(MAKE) --no-print-directory -C '$(kdir)' M='$(CURDIR)' MO='$(out)' && \
		cp '$(out)/rust_nldemo.ko' build/.new.$$$$ && mv build/.new.$$$$ rust_nldemo.ko
peer:
	@command -v cargo >/dev/null || { \
		echo "make: the peer cannot be built: cargo is not installed. Install rustc and cargo, or run make" >&2; \
		echo "      without KDIR=, which uses the compilers of the workspace." >&2; \
		exit 1; }
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
rust-analyzer: ## write rust-project.json, for editors (KERNEL=NAME, or KDIR=DIR)
	@scripts/rust-analyzer --kernel '$(KERNEL)'
endif

demo: ## show the module at work, step by step; makes what is missing first
	@scripts/demo
test: ## all tests, or one: T=test_hook.py::test_name, T='-k expression'; makes what is missing first
	@scripts/test --kernel '$(KERNEL)' $(if $(T),guest $(T))
quick: ## after each change: checks, host and peer tests, some guest tests (a minute)
	@scripts/test --kernel '$(KERNEL)' --quick
shell: ## a shell in the virtual machine, with the module loaded and nldemo in PATH
	@scripts/vm --kernel '$(KERNEL)'
kunit: ## the module's KUnit suites, on the debug kernel
	@scripts/kunit
mutants: ## make mistakes in the module on purpose: the test or detector of each must notice it
	@scripts/mutants
churn: ## stress the module on the debug kernel (half an hour)
	@scripts/churn
bench: ## compare the module with C, nftables and BPF, in instructions (5 min; scripts/bench --quick: less)
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
test-archive: ## make demo with an archive that has other kernels (10 min; as root)
	@scripts/test-archive
upstream: ## write net/ and the module as patches for the kernel tree, in build/upstream
	@scripts/upstream
setup: ## make the workspace now (other targets do it when they need it)
	@scripts/setup --kernel '$(KERNEL)'
clean: ## remove the built files of this checkout (the workspace's cache stays)
	rm -rf build rust_nldemo.ko rust-project.json
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile
