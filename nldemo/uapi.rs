// SPDX-License-Identifier: GPL-2.0

//! The numbers of the wire protocol, generated from `bindings_helper.h`, which includes `uapi/nldemo.h`.

// `module!` takes only literals for defaults.
#![expect(dead_code, unreachable_pub)]

include!(concat!(env!("NET_OUT"), "/bindings_helper.h.rs"));
