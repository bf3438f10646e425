// SPDX-License-Identifier: GPL-2.0

//! The numbers of the wire protocol, generated from `bindings_helper.h`, which includes
//! `uapi/nldemo.h`.

// The module does not use all numbers of the header. For example, `rust_nldemo.rs` has the default
// of the protocol number as a literal.
#![expect(
    dead_code,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub
)]

include!(concat!(env!("NET_OUT"), "/bindings_helper.h.rs"));

pub(crate) const NLDEMO_SPREAD_FLOW: u32 = nldemo_spread_NLDEMO_SPREAD_FLOW;
pub(crate) const NLDEMO_SPREAD_CPU: u32 = nldemo_spread_NLDEMO_SPREAD_CPU;
