// SPDX-License-Identifier: GPL-2.0

//! Lets `kcov.c` wrap `LLVMFuzzerTestOneInput()`, the function that libFuzzer calls for each input.

fn main() {
    println!("cargo:rerun-if-changed=kcov.c");
    let objects = cc::Build::new()
        .file("kcov.c")
        .std("gnu17")
        .warnings_into_errors(true)
        .extra_warnings(true)
        .compile_intermediates();
    for object in objects {
        println!("cargo:rustc-link-arg-bins={}", object.display());
    }
    println!("cargo:rustc-link-arg-bins=-Wl,--wrap=LLVMFuzzerTestOneInput");
}
