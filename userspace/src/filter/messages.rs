// SPDX-License-Identifier: GPL-2.0

//! Filters for sockets of the module's netlink protocol.

use super::assembler::Assembler;
use super::assembler::Condition::Equal;
use super::assembler::Condition::NotEqual;
use super::assembler::Helper;
use super::assembler::Label;
use super::assembler::Register::R0;
use super::assembler::Register::R2;
use super::assembler::Register::R3;
use super::assembler::Register::R4;
use super::assembler::Register::R10;
use super::assembler::Size;
use super::image::Program;
use super::loaded::SocketFilter;
use crate::control::EventKind;
use crate::error::Result;
use crate::protocol;

/// Whether numbers are divisible by two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// They are.
    Even,
    /// They are not.
    Odd,
}

impl Parity {
    /// Whether that is so for a number.
    #[must_use]
    pub fn has(self, number: u32) -> bool {
        (number % 2 == 1) == (self == Self::Odd)
    }
}

/// Lets pass the echo replies whose sequence number has that parity, and what is no echo reply.
pub fn echoes(parity: Parity) -> Result<SocketFilter> {
    let program = program("echoes", |asm, pass| {
        asm.load(Size::Half, R0, R10, KIND);
        asm.jump_if(R0, NotEqual, i32::from(protocol::MSG_ECHO), pass);
        asm.load(Size::Word, R0, R10, SEQUENCE);
        asm.and(R0, 1);
        asm.jump_if(R0, Equal, i32::from(parity == Parity::Odd), pass);
    });
    SocketFilter::load(&program)
}

/// Lets pass the events of these kinds, and what is no event.
pub fn events(kinds: &[EventKind]) -> Result<SocketFilter> {
    let program = program("events", |asm, pass| {
        let [drop] = asm.labels();
        asm.load(Size::Half, R0, R10, KIND);
        for kind in EventKind::ALL {
            if !kinds.contains(&kind) {
                asm.jump_if(R0, Equal, i32::from(kind.message_kind()), drop);
            }
        }
        asm.jump(pass);
        asm.place(drop);
    });
    SocketFilter::load(&program)
}

// The header of a message, on the stack: `struct nlmsghdr` of `linux/netlink.h`.
const HEADER: i16 = -HEADER_LEN;
const HEADER_LEN: i16 = 16;
const KIND: i16 = HEADER + 4;
const SEQUENCE: i16 = HEADER + 8;

/// A program that drops what `choose` does not let pass, by the header of the first message of a
/// datagram; the kernel's answers and events are alone in theirs.
fn program(name: &'static str, choose: impl FnOnce(&mut Assembler, Label)) -> Program {
    /// As much as there is.
    const WHOLE: i32 = -1;

    let mut asm = Assembler::default();
    let [pass] = asm.labels();
    asm.mov(R2, 0);
    asm.mov(R3, R10);
    asm.add(R3, i32::from(HEADER));
    asm.mov(R4, i32::from(HEADER_LEN));
    asm.call(Helper::SkbLoadBytes);
    asm.jump_if(R0, NotEqual, 0, pass);
    choose(&mut asm, pass);
    asm.mov(R0, 0);
    asm.exit();
    asm.place(pass);
    asm.mov(R0, WHOLE);
    asm.exit();
    Program {
        name,
        code: asm.finish(),
        map: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_even_or_odd() {
        for (number, parity) in [(0, Parity::Even), (1, Parity::Odd), (u32::MAX, Parity::Odd)] {
            assert_eq!(Parity::Odd.has(number), parity == Parity::Odd);
            assert_eq!(Parity::Even.has(number), parity == Parity::Even);
        }
    }
}
