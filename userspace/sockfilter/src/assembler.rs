// SPDX-License-Identifier: MIT OR Apache-2.0

//! An assembler for the part of BPF's instruction set (RFC 9669) that socket filters need.

use std::ops::Neg;

/// A register. R0 gets the result of a call. R1 to R5 have the arguments of a call, and the call
/// destroys their values. R6 to R9 keep their values over calls. R10 is the end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// The size of a load or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Size {
    Word = 0x00,
    Half = 0x08,
    Byte = 0x10,
    Double = 0x18,
}

/// The second operand of an operation or a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Immediate(i32),
    Register(Register),
}

impl From<i32> for Operand {
    fn from(value: i32) -> Self {
        Self::Immediate(value)
    }
}

impl From<Register> for Operand {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

/// An operation on a register of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Operation {
    Add = 0x00,
    And = 0x50,
    ShiftLeft = 0x60,
    Move = 0xb0,
}

/// A comparison of two numbers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Condition {
    Equal = 0x10,
    NotEqual = 0x50,
}

/// A function of the kernel (`enum bpf_func_id` in `linux/bpf.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Helper {
    /// Looks up the key at R2 in the map in R1. Returns the address of the value, or 0.
    MapLookupElem = 1,
    /// Copies R4 bytes of the packet in R1, from offset R2 on, to R3. Returns 0 if the packet has
    /// these bytes.
    SkbLoadBytes = 26,
    /// Copies as [`SkbLoadBytes`](Self::SkbLoadBytes) does, but the offset R2 counts from the
    /// header that R5 names. The bytes must be in the linear part.
    SkbLoadBytesRelative = 68,
}

// Classes of instructions, and the bits that are added to them.
const LD: u8 = 0x00;
const LDX: u8 = 0x01;
const STX: u8 = 0x03;
const ALU: u8 = 0x04;
const JMP: u8 = 0x05;
const ALU64: u8 = 0x07;
const MODE_MEM: u8 = 0x60;
const MODE_ATOMIC: u8 = 0xc0;
const SOURCE_REGISTER: u8 = 0x08;
const TO_BIG_ENDIAN: u8 = 0xd0 | 0x08;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;

/// The length of an instruction, in bytes.
const LEN: usize = 8;

/// A name for a place in a program. A jump may use the name before [`Assembler::place`] sets the
/// place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// A program that is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// The instructions, in the byte order of this machine.
    pub(crate) bytes: Vec<u8>,
    /// The offsets, in bytes, of instructions that need the map's address.
    pub(crate) map_references: Vec<u64>,
}

/// A program under construction.
///
/// All programs are part of this crate. So a mistake in a program (a label without a place, a jump
/// too far) is a bug of this crate, and panics.
#[derive(Default)]
pub(crate) struct Assembler {
    code: Code,
    /// For each label, the number of the instruction after it.
    places: Vec<Option<usize>>,
    /// The numbers of instructions that jump, and their labels.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// Makes new labels. [`place`](Self::place) must place each of them before the program is
    /// finished.
    pub(crate) fn labels<const N: usize>(&mut self) -> [Label; N] {
        std::array::from_fn(|_| {
            self.places.push(None);
            Label(self.places.len() - 1)
        })
    }

    /// Places a label before the next instruction.
    pub(crate) fn place(&mut self, label: Label) {
        let here = self.count();
        let before = self.places[label.0].replace(here);
        assert_eq!(before, None, "a label has one place");
    }

    /// `to = *(from + offset)`
    pub(crate) fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) {
        self.push(LDX | MODE_MEM | size as u8, to, from as u8, offset, 0);
    }

    /// `*(to + offset) = from`
    pub(crate) fn store(&mut self, size: Size, to: Register, offset: i16, from: Register) {
        self.push(STX | MODE_MEM | size as u8, to, from as u8, offset, 0);
    }

    /// `*(to + offset) += from` of 64 bits, as one atomic operation.
    pub(crate) fn atomic_add(&mut self, to: Register, offset: i16, from: Register) {
        let opcode = STX | MODE_ATOMIC | Size::Double as u8;
        self.push(opcode, to, from as u8, offset, Operation::Add as i32);
    }

    /// `to = operand`
    pub(crate) fn mov(&mut self, to: Register, operand: impl Into<Operand>) {
        self.operation(Operation::Move, to, operand);
    }

    /// `to += operand`
    pub(crate) fn add(&mut self, to: Register, operand: impl Into<Operand>) {
        self.operation(Operation::Add, to, operand);
    }

    /// `to &= operand`
    pub(crate) fn and(&mut self, to: Register, operand: impl Into<Operand>) {
        self.operation(Operation::And, to, operand);
    }

    /// `to <<= operand`
    pub(crate) fn shift_left(&mut self, to: Register, operand: impl Into<Operand>) {
        self.operation(Operation::ShiftLeft, to, operand);
    }

    /// Turns the lower 16 bits from network to host byte order, and clears all other bits.
    pub(crate) fn be16_to_host(&mut self, register: Register) {
        self.push(ALU | TO_BIG_ENDIAN, register, 0, 0, 16);
    }

    /// `to` = the address of the program's map
    pub(crate) fn load_map(&mut self, to: Register) {
        self.code.map_references.push(self.code.bytes.len() as u64);
        // This takes two instructions, because the immediate value has 64 bits.
        self.push(LD | Size::Double as u8, to, 0, 0, 0);
        self.push(0, Register::R0, 0, 0, 0);
    }

    /// Jumps to a label.
    pub(crate) fn jump(&mut self, label: Label) {
        self.jumps.push((self.count(), label));
        self.push(JMP, Register::R0, 0, 0, 0);
    }

    /// Jumps to a label if the comparison of a register with the operand is true.
    pub(crate) fn jump_if(
        &mut self,
        register: Register,
        condition: Condition,
        operand: impl Into<Operand>,
        label: Label,
    ) {
        self.jumps.push((self.count(), label));
        let (source, from, value) = operand.into().encode();
        self.push(JMP | condition as u8 | source, register, from, 0, value);
    }

    /// Calls a function of the kernel.
    pub(crate) fn call(&mut self, helper: Helper) {
        self.push(JMP | CALL, Register::R0, 0, 0, helper as i32);
    }

    /// Ends the program. R0 is the number of bytes of the packet that the socket gets.
    pub(crate) fn exit(&mut self) {
        self.push(JMP | EXIT, Register::R0, 0, 0, 0);
    }

    /// The program, with the distances of all jumps.
    pub(crate) fn finish(mut self) -> Code {
        for (at, label) in self.jumps {
            let to = self.places[label.0].expect("every label that is jumped to has a place");
            // The distance counts instructions, from the instruction after the jump to the label.
            // If the label is before the jump, the distance is negative.
            let distance = if to > at {
                i16::try_from(to - at - 1)
            } else {
                i16::try_from(at + 1 - to).map(Neg::neg)
            };
            let distance = distance.expect("programs are short");
            let start = at * LEN + 2;
            self.code.bytes[start..start + 2].copy_from_slice(&distance.to_ne_bytes());
        }
        self.code
    }

    fn operation(&mut self, operation: Operation, to: Register, operand: impl Into<Operand>) {
        let (source, from, value) = operand.into().encode();
        self.push(ALU64 | operation as u8 | source, to, from, 0, value);
    }

    fn push(&mut self, opcode: u8, to: Register, from: u8, offset: i16, immediate: i32) {
        let (to, from) = if cfg!(target_endian = "little") {
            (to as u8, from << 4)
        } else {
            ((to as u8) << 4, from)
        };
        let bytes = &mut self.code.bytes;
        bytes.extend([opcode, to | from]);
        bytes.extend(offset.to_ne_bytes());
        bytes.extend(immediate.to_ne_bytes());
    }

    /// The number of instructions.
    fn count(&self) -> usize {
        self.code.bytes.len() / LEN
    }
}

impl Operand {
    /// The opcode bit that is set if the operand is a register, then the register, then the value.
    /// A part that the operand does not have is 0.
    fn encode(self) -> (u8, u8, i32) {
        match self {
            Self::Immediate(value) => (0, 0, value),
            Self::Register(register) => (SOURCE_REGISTER, register as u8, 0),
        }
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::Condition::Equal;
    use super::Condition::NotEqual;
    use super::Register::R0;
    use super::Register::R1;
    use super::Register::R2;
    use super::Register::R6;
    use super::Register::R10;
    use super::*;

    fn assemble(program: impl FnOnce(&mut Assembler)) -> Vec<String> {
        let mut asm = Assembler::default();
        program(&mut asm);
        let hex = |instruction: &[u8]| {
            let bytes = instruction.iter().map(|byte| format!("{byte:02x}"));
            bytes.collect::<String>()
        };
        asm.finish().bytes.chunks(LEN).map(hex).collect()
    }

    #[test]
    fn instructions_are_those_that_llvm_writes() {
        // `llvm-mc --arch=bpf --show-encoding` printed the expected bytes, from the instructions in
        // the comments below.
        let code = assemble(|asm| {
            asm.load(Size::Word, R0, R6, 16); // r0 = *(u32 *)(r6 + 16)
            asm.load(Size::Half, R0, R10, -6); // r0 = *(u16 *)(r10 - 6)
            asm.load(Size::Byte, R2, R10, -8); // r2 = *(u8 *)(r10 - 8)
            asm.load(Size::Double, R2, R10, -8); // r2 = *(u64 *)(r10 - 8)
            asm.store(Size::Word, R10, -16, R6); // *(u32 *)(r10 - 16) = r6
            asm.atomic_add(R0, 8, R1); // lock *(u64 *)(r0 + 8) += r1
            asm.mov(R6, R1); // r6 = r1
            asm.mov(R0, -1); // r0 = -1
            asm.add(R2, R6); // r2 += r6
            asm.add(R2, -16); // r2 += -16
            asm.and(R0, 1); // r0 &= 1
            asm.shift_left(R0, 3); // r0 <<= 3
            asm.be16_to_host(R0); // r0 = be16 r0
            asm.call(Helper::SkbLoadBytes); // call 26
            asm.exit(); // exit
        });
        let expected = [
            "6160100000000000",
            "69a0faff00000000",
            "71a2f8ff00000000",
            "79a2f8ff00000000",
            "636af0ff00000000",
            "db10080000000000",
            "bf16000000000000",
            "b7000000ffffffff",
            "0f62000000000000",
            "07020000f0ffffff",
            "5700000001000000",
            "6700000003000000",
            "dc00000010000000",
            "850000001a000000",
            "9500000000000000",
        ];
        assert_eq!(code, expected);
    }

    #[test]
    fn jumps_are_counted_from_the_instruction_behind_them() {
        let code = assemble(|asm| {
            let [start, end] = asm.labels();
            asm.place(start);
            asm.jump(end);
            asm.jump_if(R0, Equal, 5, start);
            asm.jump_if(R0, NotEqual, R1, end);
            asm.jump(start);
            asm.place(end);
            asm.exit();
        });
        let expected = [
            "0500030000000000",
            "1500feff05000000",
            "5d10010000000000",
            "0500fcff00000000",
            "9500000000000000",
        ];
        assert_eq!(code, expected);
    }

    #[test]
    fn maps_are_referred_to_by_instructions_of_double_length() {
        let mut asm = Assembler::default();
        asm.exit();
        asm.load_map(R1);
        asm.exit();
        let code = asm.finish();
        assert_eq!((code.bytes.len(), code.map_references), (4 * LEN, vec![8]));
        assert_eq!(code.bytes[8..16], [0x18, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(code.bytes[16..24], [0; 8]);
    }

    #[test]
    #[should_panic(expected = "every label that is jumped to has a place")]
    fn labels_without_a_place_are_noticed() {
        assemble(|asm| {
            let [nowhere] = asm.labels();
            asm.jump(nowhere);
        });
    }

    #[test]
    #[should_panic(expected = "a label has one place")]
    fn labels_with_two_places_are_noticed() {
        assemble(|asm| {
            let [here] = asm.labels();
            asm.place(here);
            asm.place(here);
        });
    }
}
