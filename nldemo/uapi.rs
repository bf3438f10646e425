// SPDX-License-Identifier: GPL-2.0

//! The numbers of the wire protocol, generated from `uapi/nldemo.h`.

// `module!` takes only literals for defaults.
#![expect(dead_code, unreachable_pub)]

include!(env!("NLDEMO_UAPI"));
