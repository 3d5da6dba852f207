//! Instructions of extended BPF (kernel doc: bpf/standardization/instruction-set.rst), and a small
//! assembler for programs that jump: to labels, forwards or backwards.

use std::os::fd::{AsRawFd, BorrowedFd};

/// A register. R0 is the answer, R1 to R5 are arguments that a call destroys, R6 to R9 stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R6 = 6,
    R7,
    R8,
    R9,
    /// The end of the program's own memory.
    R10,
}

/// One instruction of extended BPF (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    pub offset: i16,
    value: i32,
}

impl Instruction {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, value: i32) -> Self {
        Self { code, registers: destination | source << 4, offset, value }
    }
    /// `destination = *(u32 *)(source + offset)`
    pub const fn load(destination: u8, source: u8, offset: i16) -> Self {
        Self::new(0x61, destination, source, offset, 0)
    }
    /// `destination = source`
    pub const fn copy(destination: u8, source: u8) -> Self {
        Self::new(0xbf, destination, source, 0, 0)
    }
    /// `destination &= value`
    pub const fn and(destination: u8, value: i32) -> Self {
        Self::new(0x57, destination, 0, 0, value)
    }
    /// `destination >>= value`
    pub const fn shift_right(destination: u8, value: i32) -> Self {
        Self::new(0x77, destination, 0, 0, value)
    }
    /// Skips `offset` instructions unless `register == value`.
    pub const fn unless_equal(register: u8, value: i32) -> Self {
        Self::new(0x55, register, 0, 0, value)
    }
    /// Skips `offset` instructions unless `register == source`.
    pub const fn unless_same(register: u8, source: u8) -> Self {
        Self::new(0x5d, register, source, 0, 0)
    }
    /// The answer (1 yes, 0 no), and the end.
    pub const fn answer(yes: bool) -> [Self; 2] {
        [Self::new(0xb7, 0, 0, 0, yes as i32), Self::new(0x95, 0, 0, 0, 0)]
    }
    pub fn bytes(self) -> [u8; 8] {
        let [o0, o1] = self.offset.to_ne_bytes();
        let [v0, v1, v2, v3] = self.value.to_ne_bytes();
        [self.code, self.registers, o0, o1, v0, v1, v2, v3]
    }
}

/// A place in a program that jumps may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// When a jump is taken. Numbers are compared unsigned.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum When {
    Equal = 0x10,
    Above = 0x20,
    NotBelow = 0x30,
    /// A bit of the second is set in the first.
    AnyBit = 0x40,
    Unequal = 0x50,
    Below = 0xa0,
    /// The only comparison of signed numbers.
    SignedBelow = 0xc0,
}

/// A program being written.
#[derive(Debug, Default)]
pub(crate) struct Code {
    instructions: Vec<Instruction>,
    /// Instructions whose offset is to become the way to a label.
    jumps: Vec<(usize, Label)>,
    /// Where each label is, once it is placed.
    places: Vec<Option<usize>>,
}

impl Code {
    /// A label that is yet to be placed.
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Puts a label before the next instruction.
    pub fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.instructions.len());
    }

    fn add(&mut self, code: u8, destination: Register, source: u8, offset: i16, value: i32) {
        self.instructions.push(Instruction::new(code, destination as u8, source, offset, value));
    }

    /// `destination = value`
    pub fn set(&mut self, destination: Register, value: i32) {
        self.add(0xb7, destination, 0, 0, value);
    }

    /// `destination = source`
    pub fn copy(&mut self, destination: Register, source: Register) {
        self.add(0xbf, destination, source as u8, 0, 0);
    }

    /// `destination += value`
    pub fn plus(&mut self, destination: Register, value: i32) {
        self.add(0x07, destination, 0, 0, value);
    }

    /// `destination += source`
    pub fn plus_register(&mut self, destination: Register, source: Register) {
        self.add(0x0f, destination, source as u8, 0, 0);
    }

    /// `destination -= source`
    pub fn minus_register(&mut self, destination: Register, source: Register) {
        self.add(0x1f, destination, source as u8, 0, 0);
    }

    /// Leaves the lower 32 bits.
    pub fn cut_to_u32(&mut self, destination: Register) {
        self.add(0x67, destination, 0, 0, 32);
        self.add(0x77, destination, 0, 0, 32);
    }

    /// `destination |= value`
    pub fn or(&mut self, destination: Register, value: i32) {
        self.add(0x47, destination, 0, 0, value);
    }

    /// `destination = *(u32 *)(source + offset)`
    pub fn load_u32(&mut self, destination: Register, source: Register, offset: i16) {
        self.add(0x61, destination, source as u8, offset, 0);
    }

    /// `destination = *(u64 *)(source + offset)`
    pub fn load_u64(&mut self, destination: Register, source: Register, offset: i16) {
        self.add(0x79, destination, source as u8, offset, 0);
    }

    /// `*(u64 *)(destination + offset) = value`
    pub fn store_u64(&mut self, destination: Register, offset: i16, value: i32) {
        self.add(0x7a, destination, 0, offset, value);
    }

    /// `*(u64 *)(destination + offset) = source`
    pub fn store_register(&mut self, destination: Register, offset: i16, source: Register) {
        self.add(0x7b, destination, source as u8, offset, 0);
    }

    /// `destination =` a map, for a call.
    pub fn map(&mut self, destination: Register, map: BorrowedFd<'_>) {
        self.wide(destination, 1, map.as_raw_fd());
    }

    /// `destination =` the address of the one value of an array.
    pub fn map_value(&mut self, destination: Register, map: BorrowedFd<'_>) {
        self.wide(destination, 2, map.as_raw_fd());
    }

    /// `destination =` a variable of the kernel, by its number in the description of its types.
    pub fn kernel_variable(&mut self, destination: Register, number: u32) {
        self.wide(destination, 3, number as i32);
    }

    fn wide(&mut self, destination: Register, source: u8, value: i32) {
        self.add(0x18, destination, source, 0, value);
        self.instructions.push(Instruction::new(0, 0, 0, 0, 0));
    }

    /// Atomically `*(u64 *)(address + offset) += operand`; `operand =` what was there before.
    pub fn fetch_add(&mut self, address: Register, offset: i16, operand: Register) {
        self.add(0xdb, address, operand as u8, offset, 0x01);
    }

    /// Atomically `*(u64 *)address |= operand`; `operand =` what was there before.
    pub fn fetch_or(&mut self, address: Register, operand: Register) {
        self.add(0xdb, address, operand as u8, 0, 0x41);
    }

    /// Atomically `*(u64 *)address &= operand`; `operand =` what was there before.
    pub fn fetch_and(&mut self, address: Register, operand: Register) {
        self.add(0xdb, address, operand as u8, 0, 0x51);
    }

    /// Atomically, if `*(u64 *)(address + offset) == R0`, it becomes `new`; `R0 =` what was there.
    pub fn compare_exchange(&mut self, address: Register, offset: i16, new: Register) {
        self.add(0xdb, address, new as u8, offset, 0xf1);
    }

    /// Calls a helper of the kernel (linux/bpf.h `enum bpf_func_id`).
    pub fn call(&mut self, helper: i32) {
        self.add(0x85, Register::R0, 0, 0, helper);
    }

    /// Jumps when it holds between the register and the number.
    pub fn jump_if(&mut self, register: Register, when: When, value: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.add(0x05 | when as u8, register, 0, 0, value);
    }

    /// Jumps when it holds between the two registers.
    pub fn jump_if_register(&mut self, first: Register, when: When, second: Register, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.add(0x0d | when as u8, first, second as u8, 0, 0);
    }

    /// Jumps.
    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.add(0x05, Register::R0, 0, 0, 0);
    }

    /// The answer, and the end.
    pub fn answer(&mut self, value: i32) {
        self.set(Register::R0, value);
        self.add(0x95, Register::R0, 0, 0, 0);
    }

    /// The program as the kernel takes it. A jump to a label that was never placed leads behind
    /// the end, which the verifier refuses.
    pub fn finish(mut self) -> Vec<[u8; 8]> {
        let end = self.instructions.len();
        for (at, label) in &self.jumps {
            let place = self.places[label.0].unwrap_or(end) as i64;
            // Programs of ours are some dozens of instructions long.
            self.instructions[*at].offset = (place - *at as i64 - 1) as i16;
        }
        self.instructions.into_iter().map(Instruction::bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Register::{R0, R1, R9};
    use super::*;

    #[test]
    fn jumps_lead_to_their_labels() {
        let mut code = Code::default();
        let (start, end, never) = (code.label(), code.label(), code.label());
        code.place(start);
        code.jump_if(R1, When::Equal, 7, end);
        code.jump_if_register(R9, When::Above, R1, start);
        code.jump(never);
        code.place(end);
        code.answer(1);
        let expected = [
            [0x15, 0x01, 2, 0, 7, 0, 0, 0],
            [0x2d, 0x19, 0xfe, 0xff, 0, 0, 0, 0],
            [0x05, 0, 2, 0, 0, 0, 0, 0],
            [0xb7, 0, 0, 0, 1, 0, 0, 0],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(code.finish(), expected);
    }

    #[test]
    fn atomic_instructions() {
        let mut code = Code::default();
        code.fetch_add(R9, 8, R1);
        code.fetch_and(R9, R1);
        code.compare_exchange(R9, 16, R1);
        code.store_u64(R0, 0, 3);
        let expected = [
            [0xdb, 0x19, 8, 0, 0x01, 0, 0, 0],
            [0xdb, 0x19, 0, 0, 0x51, 0, 0, 0],
            [0xdb, 0x19, 16, 0, 0xf1, 0, 0, 0],
            [0x7a, 0x00, 0, 0, 3, 0, 0, 0],
        ];
        assert_eq!(code.finish(), expected);
    }
}
