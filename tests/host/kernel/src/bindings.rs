// SPDX-License-Identifier: GPL-2.0

//! Constants of C headers, with the type that they have in the kernel crate, where bindgen makes
//! them.

macro_rules! constants {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub const $name: u32 = libc::$name as u32;
        )*
    };
}

constants!(NLMSG_DONE NLMSG_ERROR NLMSG_MIN_TYPE NLMSG_NOOP NLM_F_ACK NLM_F_DUMP NLM_F_REQUEST);
