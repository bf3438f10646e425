// SPDX-License-Identifier: MIT OR Apache-2.0

//! Filters for netlink sockets. A filter decides by the header of a message.

use crate::assembler::Assembler;
use crate::assembler::Condition::Equal;
use crate::assembler::Condition::NotEqual;
use crate::assembler::Helper;
use crate::assembler::Register::R0;
use crate::assembler::Register::R2;
use crate::assembler::Register::R3;
use crate::assembler::Register::R4;
use crate::assembler::Register::R10;
use crate::assembler::Size;
use crate::error::Result;
use crate::image::Program;
use crate::loaded::SocketFilter;

// The program copies the header of a message (`struct nlmsghdr`) to its stack. These are the
// offsets of the header and of its fields, from the end of the stack.
const HEADER: i16 = -HEADER_LEN;
const HEADER_LEN: i16 = 16;
const KIND: i16 = HEADER + 4;
const SEQUENCE: i16 = HEADER + 8;

/// A filter that drops some messages for a netlink socket. The socket receives all other messages.
///
/// The filter decides about a datagram by the header of its first message. That is enough, because
/// the kernel sends each answer and each event in a separate datagram.
///
/// ```no_run
/// use sockfilter::MessageFilter;
///
/// # fn example(socket: std::os::fd::BorrowedFd<'_>) -> sockfilter::Result<()> {
/// // No messages of type 24, and of type 16 only those with an even sequence number.
/// let filter = MessageFilter::new("no_odd_echoes")
///     .drop_kind(24)
///     .drop_sequence(16, 1, 1);
/// let mut filter = filter.load()?;
/// filter.attach(socket)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct MessageFilter {
    name: &'static str,
    dropped: Vec<Dropped>,
}

/// The messages that one rule of the filter drops.
#[derive(Clone, Copy, Debug)]
struct Dropped {
    kind: u16,
    /// A mask of bits of the sequence number, and the value that these bits must have. `None` for
    /// any sequence number.
    sequence: Option<(u16, u16)>,
}

impl MessageFilter {
    /// A filter that drops nothing yet. In the kernel, the program has the name `name`.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            dropped: Vec::new(),
        }
    }

    /// Drops messages of a type.
    pub fn drop_kind(self, kind: u16) -> Self {
        self.and(Dropped {
            kind,
            sequence: None,
        })
    }

    /// Drops messages of a type if their sequence number has `value` in the bits of `mask`.
    pub fn drop_sequence(self, kind: u16, mask: u16, value: u16) -> Self {
        self.and(Dropped {
            kind,
            sequence: Some((mask, value)),
        })
    }

    /// Loads the program into the kernel, which verifies it. This needs `CAP_BPF` unless the sysctl
    /// `kernel.unprivileged_bpf_disabled` is 0.
    pub fn load(&self) -> Result<SocketFilter> {
        SocketFilter::load(&self.program())
    }

    fn and(mut self, dropped: Dropped) -> Self {
        self.dropped.push(dropped);
        self
    }

    fn program(&self) -> Program {
        /// With this return value, the socket receives the whole message.
        const WHOLE: i32 = -1;

        let mut asm = Assembler::default();
        let [pass, drop] = asm.labels();
        asm.mov(R2, 0);
        asm.mov(R3, R10);
        asm.add(R3, i32::from(HEADER));
        asm.mov(R4, i32::from(HEADER_LEN));
        asm.call(Helper::SkbLoadBytes);
        asm.jump_if(R0, NotEqual, 0, pass);
        for dropped in &self.dropped {
            let [next] = asm.labels();
            asm.load(Size::Half, R0, R10, KIND);
            asm.jump_if(R0, NotEqual, i32::from(dropped.kind), next);
            match dropped.sequence {
                Some((mask, value)) => {
                    asm.load(Size::Word, R0, R10, SEQUENCE);
                    asm.and(R0, i32::from(mask));
                    asm.jump_if(R0, Equal, i32::from(value), drop);
                }
                None => asm.jump(drop),
            }
            asm.place(next);
        }
        asm.place(pass);
        asm.mov(R0, WHOLE);
        asm.exit();
        asm.place(drop);
        asm.mov(R0, 0);
        asm.exit();
        Program {
            name: self.name,
            code: asm.finish(),
            map: None,
        }
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_a_comparison_of_its_own() {
        let program = |filter: MessageFilter| filter.program().code.bytes;
        let none = program(MessageFilter::new("none"));
        let kind = program(MessageFilter::new("kind").drop_kind(0x102));
        let both = MessageFilter::new("both").drop_kind(0x102);
        let both = program(both.drop_sequence(0x304, 0xff0f, 5));
        let rule = |from: &[u8], to: &[u8]| {
            let behind = none.len() - 4 * 8;
            assert_eq!(to[to.len() - 4 * 8..], none[behind..]);
            to[from.len() - 4 * 8..to.len() - 4 * 8].to_vec()
        };
        let expected: [[u8; 8]; 3] = [
            [0x69, 0xa0, 0xf4, 0xff, 0, 0, 0, 0], // r0 = *(u16 *)(r10 - 12)
            [0x55, 0x00, 0x01, 0x00, 0x02, 0x01, 0, 0], // if r0 != 0x102 goto +1
            [0x05, 0x00, 0x02, 0x00, 0, 0, 0, 0], // goto +2
        ];
        assert_eq!(rule(&none, &kind), expected.concat());
        let expected: [[u8; 8]; 5] = [
            [0x69, 0xa0, 0xf4, 0xff, 0, 0, 0, 0], // r0 = *(u16 *)(r10 - 12)
            [0x55, 0x00, 0x03, 0x00, 0x04, 0x03, 0, 0], // if r0 != 0x304 goto +3
            [0x61, 0xa0, 0xf8, 0xff, 0, 0, 0, 0], // r0 = *(u32 *)(r10 - 8)
            [0x57, 0x00, 0x00, 0x00, 0x0f, 0xff, 0, 0], // r0 &= 0xff0f
            [0x15, 0x00, 0x02, 0x00, 0x05, 0, 0, 0], // if r0 == 5 goto +2
        ];
        assert_eq!(rule(&kind, &both), expected.concat());
    }
}
