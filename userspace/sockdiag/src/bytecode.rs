// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs of `inet_diag` (`INET_DIAG_REQ_BYTECODE`). The kernel runs such a program for each
//! socket, and lists only the sockets that the program accepts.
//!
//! An instruction is a condition with two jump distances. The kernel uses the first distance if the
//! condition is true, and the second if it is false. If a jump ends right behind the program, the
//! program accepts the socket. If a jump ends 4 bytes further, the program refuses the socket.

use std::net::IpAddr;

use linux_names::network::Network;

use crate::wire::AF_INET;
use crate::wire::AF_INET6;

const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const S_COND: u8 = 7;
const D_COND: u8 = 8;

const HEADER_LEN: usize = 4;

/// The length of the longest program that this crate uses. A much longer program is not possible,
/// because the distances of jumps and the lengths of attributes have only 16 bits.
const MAX_LEN: usize = 32 * 1024;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Local,
    Remote,
}

/// The condition of one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// The address is in a network.
    Within(Side, Network),
    /// The port is at least this number.
    From(Side, u16),
    /// The port is at most this number.
    UpTo(Side, u16),
}

impl Op {
    fn code(&self) -> u8 {
        match self {
            Self::Within(Side::Local, _) => S_COND,
            Self::Within(Side::Remote, _) => D_COND,
            Self::From(Side::Local, _) => S_GE,
            Self::From(Side::Remote, _) => D_GE,
            Self::UpTo(Side::Local, _) => S_LE,
            Self::UpTo(Side::Remote, _) => D_LE,
        }
    }

    /// The argument after the header of the instruction. For a port, the argument has the form of a
    /// second header, with the port in the place of a jump distance. For a network, the argument is
    /// an `inet_diag_hostcond` with any port (-1).
    fn argument(&self) -> Vec<u8> {
        match self {
            Self::From(_, port) | Self::UpTo(_, port) => {
                let [port0, port1] = port.to_ne_bytes();
                vec![0, 0, port0, port1]
            }
            Self::Within(_, network) => {
                let family = match network.first_address() {
                    IpAddr::V4(_) => AF_INET,
                    IpAddr::V6(_) => AF_INET6,
                };
                let mut argument = vec![family, network.network_length(), 0, 0];
                argument.extend((-1_i32).to_ne_bytes());
                match network.first_address() {
                    IpAddr::V4(address) => argument.extend(address.octets()),
                    IpAddr::V6(address) => argument.extend(address.octets()),
                }
                argument
            }
        }
    }
}

/// Makes a program that accepts the sockets for which all conditions are true. A condition is a
/// list of alternatives, and is true if an alternative is true. An alternative is true if all its
/// instructions are true. If no condition needs an instruction, or the program would be longer
/// than [`MAX_LEN`], the program is empty. An empty program accepts every socket.
pub(crate) fn assemble(conditions: impl IntoIterator<Item = Vec<Vec<Op>>>) -> Vec<u8> {
    let mut program = Vec::new();
    // The places of the instructions that must refuse the socket if their condition is false.
    let mut refusals = Vec::new();
    for alternatives in conditions {
        // An empty alternative is always true, and so its condition is always true.
        if alternatives.iter().any(Vec::is_empty) {
            continue;
        }
        let mut ends = Vec::new();
        let last = alternatives.len().saturating_sub(1);
        for (number, ops) in alternatives.iter().enumerate() {
            let mut failures = Vec::new();
            for op in ops {
                failures.push(program.len());
                append(&mut program, op.code(), &op.argument());
            }
            if number == last {
                refusals.append(&mut failures);
            } else {
                ends.push(program.len());
                append(&mut program, JMP, &[]);
                let next = program.len();
                for place in failures {
                    set_jump(&mut program, place, next);
                }
            }
        }
        let end = program.len();
        if end > MAX_LEN {
            return Vec::new();
        }
        for place in ends {
            set_jump(&mut program, place, end);
        }
    }
    let refusal = program.len() + HEADER_LEN;
    for place in refusals {
        set_jump(&mut program, place, refusal);
    }
    program
}

/// Appends an instruction. If its condition is true, the program goes on with the next instruction.
/// The jump distance for a false condition is not known yet.
fn append(program: &mut Vec<u8>, code: u8, argument: &[u8]) {
    let length = u8::try_from(HEADER_LEN + argument.len()).expect("arguments are short");
    program.extend([code, length, 0, 0]);
    program.extend(argument);
}

fn set_jump(program: &mut [u8], place: usize, target: usize) {
    let distance = u16::try_from(target - place).expect("programs are short");
    program[place + 2..place + 4].copy_from_slice(&distance.to_ne_bytes());
}

#[cfg(test)]
pub(crate) mod tests {
    use linux_names::network::network;

    use super::*;
    use crate::socket::Endpoint;
    use crate::socket::Ip;

    fn jump(program: &[u8], place: usize) -> usize {
        usize::from(u16::from_ne_bytes([program[place + 2], program[place + 3]]))
    }

    /// Runs a program as the kernel does. Panics if the kernel would refuse the program.
    pub(crate) fn run(program: &[u8], ip: &Ip) -> bool {
        let mut starts = vec![];
        let mut place = 0;
        while place < program.len() {
            starts.push(place);
            place += usize::from(program[place + 1]);
        }
        assert_eq!(
            place,
            program.len(),
            "instructions follow each other up to the end"
        );
        let refusal = program.len() + HEADER_LEN;
        for &start in &starts {
            let target = start + jump(program, start);
            assert!(
                target > start && target % 4 == 0,
                "jumps go forward to multiples of 4"
            );
            assert!(
                target == program.len() || target == refusal || starts.contains(&target),
                "jumps go to instructions or behind the end"
            );
        }
        let mut place = 0;
        while place < program.len() {
            let length = usize::from(program[place + 1]);
            let holds = holds(program[place], &program[place + 4..place + length], ip);
            place += if holds { length } else { jump(program, place) };
        }
        place == program.len()
    }

    fn holds(code: u8, argument: &[u8], ip: &Ip) -> bool {
        let end = |local: bool| if local { ip.local } else { ip.remote };
        let port = || u16::from_ne_bytes([argument[2], argument[3]]);
        match code {
            JMP => false,
            S_GE | D_GE => end(code == S_GE).port >= port(),
            S_LE | D_LE => end(code == S_LE).port <= port(),
            S_COND | D_COND => {
                assert_eq!(argument[4..8], [0xff; 4]);
                is_within(
                    &argument[8..],
                    argument[0],
                    argument[1],
                    &end(code == S_COND),
                )
            }
            other => panic!("instruction {other}"),
        }
    }

    fn is_within(network: &[u8], family: u8, length: u8, end: &Endpoint) -> bool {
        let address = match (family, end.address) {
            (AF_INET, IpAddr::V4(address)) => address.octets().to_vec(),
            (AF_INET, IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(address) => address.octets().to_vec(),
                None => return false,
            },
            (_, IpAddr::V6(address)) => address.octets().to_vec(),
            _ => return false,
        };
        assert_eq!(network.len(), address.len());
        (0..usize::from(length)).all(|bit| {
            let mask = 0x80 >> (bit % 8);
            (network[bit / 8] ^ address[bit / 8]) & mask == 0
        })
    }

    #[test]
    fn programs_are_as_the_kernel_reads_them() {
        let network = network("10.0.0.0/8").unwrap();
        let code = assemble([vec![
            vec![Op::Within(Side::Local, network)],
            vec![Op::From(Side::Remote, 80), Op::UpTo(Side::Remote, 81)],
        ]]);
        let jump = |distance: u16| distance.to_ne_bytes();
        let expected = [
            &[S_COND, 16][..],
            &jump(20),
            &[AF_INET, 8, 0, 0, 0xff, 0xff, 0xff, 0xff, 10, 0, 0, 0],
            &[JMP, 4],
            &jump(20),
            &[D_GE, 8],
            &jump(20),
            &[0, 0],
            &jump(80),
            &[D_LE, 8],
            &jump(12),
            &[0, 0],
            &jump(81),
        ];
        assert_eq!(code, expected.concat());
    }

    #[test]
    fn what_always_holds_needs_no_program_and_what_is_too_long_gets_none() {
        assert!(assemble([]).is_empty());
        assert!(assemble([vec![vec![], vec![Op::From(Side::Local, 1)]]]).is_empty());
        assert!(assemble([vec![vec![Op::From(Side::Local, 1)]; 100_000]]).is_empty());
    }
}
