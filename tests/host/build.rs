// SPDX-License-Identifier: GPL-2.0

//! Enables the KUnit suites of `net/`, as `net-kunit := y` does in Kbuild.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(net_kunit)");
    println!("cargo::rustc-cfg=net_kunit");
}
