// SPDX-License-Identifier: MIT OR Apache-2.0

//! The options of a queue, and the configuration messages that bind it.

use std::num::NonZero;
use std::time::Duration;

use knetlink::attr;
use linux_names::constant::half;
use linux_names::constant::octet;

use crate::wire::MAX_PAYLOAD;
use crate::wire::nfgenmsg;

/// Room for everything in a message except the packet's content. The longest part, a security
/// context, can be a page long.
const OTHERS_LEN: NonZero<usize> = NonZero::new(16 << 10).expect("it is not 0");

/// The part of each packet that is copied to the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// Nothing is copied, and the consumer gets no message about a packet. The kernel drops every
    /// packet that is queued, with or without `bypass`.
    None,
    /// Everything about the packet is copied, except its content.
    Meta,
    /// Everything about the packet is copied. Its content is copied, too, from the network header
    /// on.
    Packet {
        /// The largest number of bytes that are copied. `None` means as many as a message can
        /// carry, 65531.
        range: Option<NonZero<u32>>,
    },
}

/// How many verdicts can wait to be sent together, and how long they can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// As soon as this number of verdicts wait, they are sent. With 1, no verdict waits.
    pub count: NonZero<usize>,
    /// The longest time that the first waiting verdict waits for others. If this time is zero, the
    /// queue immediately sends the first verdict that follows a pause, and sends the next verdicts
    /// before it waits for more packets. So no verdict waits longer than it takes to decide the
    /// packets that have arrived.
    pub time: Duration,
}

impl Batching {
    /// Every verdict is sent immediately.
    pub const OFF: Self = Self {
        count: NonZero::<usize>::MIN,
        time: Duration::ZERO,
    };

    pub(crate) fn is_on(self) -> bool {
        self.count.get() > 1
    }
}

/// Options to bind a queue.
///
/// ```no_run
/// use nfnetlink_queue::{CopyMode, Options};
///
/// let queue = Options::default()
///     .copy_mode(CopyMode::Meta)
///     .max_length(4096)
///     .fail_open(true)
///     .bind(0)?;
/// # Ok::<(), nfnetlink_queue::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Options {
    pub(crate) copy_mode: CopyMode,
    pub(crate) max_length: Option<u32>,
    pub(crate) batching: Batching,
    /// `NFQA_CFG_F_*`.
    flags: u32,
}

impl Default for Options {
    /// Packets are copied whole, after segmentation, and with checksums. 1024 packets can wait for
    /// a verdict, which is the kernel's default. Verdicts are not batched.
    fn default() -> Self {
        Self {
            copy_mode: CopyMode::Packet { range: None },
            max_length: None,
            batching: Batching::OFF,
            flags: 0,
        }
    }
}

impl Options {
    /// Sets the part of each packet that is copied to the consumer.
    pub fn copy_mode(self, copy_mode: CopyMode) -> Self {
        Self { copy_mode, ..self }
    }

    /// Sets the number of packets that can wait for a verdict. While this number of packets waits,
    /// the kernel drops new packets.
    ///
    /// The receive buffer of the socket gets room for this number of packets of 1,500 bytes: 4 KiB
    /// each, 256 MiB at most. For another size, set `SO_RCVBUF` of the queue's descriptor.
    pub fn max_length(self, packets: u32) -> Self {
        Self {
            max_length: Some(packets),
            ..self
        }
    }

    /// The largest number of bytes in a message about a packet.
    pub(crate) fn message_length(&self) -> NonZero<usize> {
        let copied = match self.copy_mode {
            CopyMode::Packet { range } => {
                range.map_or(MAX_PAYLOAD, |range| MAX_PAYLOAD.min(range.get() as usize))
            }
            CopyMode::None | CopyMode::Meta => 0,
        };
        OTHERS_LEN.saturating_add(copied)
    }

    /// Sets how verdicts are gathered.
    pub fn batching(self, batching: Batching) -> Self {
        Self { batching, ..self }
    }

    /// Sets whether packets pass if they have no room in the queue or in the socket. If this option
    /// is off, the kernel drops such packets.
    pub fn fail_open(self, on: bool) -> Self {
        self.flag(libc::NFQA_CFG_F_FAIL_OPEN, on)
    }

    /// Whether [`fail_open`](Self::fail_open) is on.
    #[must_use]
    pub fn fails_open(&self) -> bool {
        self.flags & libc::NFQA_CFG_F_FAIL_OPEN.unsigned_abs() != 0
    }

    /// Sets whether the kernel tells which connection a packet belongs to.
    pub fn conntrack(self, on: bool) -> Self {
        self.flag(libc::NFQA_CFG_F_CONNTRACK, on)
    }

    /// Sets whether the kernel copies packets in the form that they have in the kernel. Then a
    /// merged packet (GSO) is copied as one packet, although it will be segmented later, and a
    /// checksum that will be computed later is missing.
    pub fn gso(self, on: bool) -> Self {
        self.flag(libc::NFQA_CFG_F_GSO, on)
    }

    /// Sets whether the kernel tells the user and the group of the sender, for a packet that this
    /// machine sends.
    pub fn uid_gid(self, on: bool) -> Self {
        self.flag(libc::NFQA_CFG_F_UID_GID, on)
    }

    /// Sets whether the kernel tells the security context of the sender, for a packet that this
    /// machine sends.
    pub fn security_context(self, on: bool) -> Self {
        self.flag(libc::NFQA_CFG_F_SECCTX, on)
    }

    fn flag(self, flag: libc::c_int, on: bool) -> Self {
        let flag = flag.unsigned_abs();
        let flags = if on {
            self.flags | flag
        } else {
            self.flags & !flag
        };
        Self { flags, ..self }
    }

    /// The payload of the message that binds a queue.
    ///
    /// The message has all options. So when the first packet arrives, the kernel already knows
    /// which part of the packet to copy.
    pub(crate) fn bind_payload(&self, queue: u16) -> Vec<u8> {
        let mut payload = command_payload(queue, libc::NFQNL_CFG_CMD_BIND);
        let (mode, range) = match self.copy_mode {
            CopyMode::None => (libc::NFQNL_COPY_NONE, 0),
            CopyMode::Meta => (libc::NFQNL_COPY_META, 0),
            // For the kernel, 0 means as many bytes as an attribute can carry.
            CopyMode::Packet { range } => (libc::NFQNL_COPY_PACKET, range.map_or(0, NonZero::get)),
        };
        let [range0, range1, range2, range3] = range.to_be_bytes();
        let params = [range0, range1, range2, range3, octet(mode)];
        attr::append(&mut payload, half(libc::NFQA_CFG_PARAMS), params);
        if let Some(packets) = self.max_length {
            let packets = packets.to_be_bytes();
            attr::append(&mut payload, half(libc::NFQA_CFG_QUEUE_MAXLEN), packets);
        }
        if self.flags != 0 {
            let flags = self.flags.to_be_bytes();
            attr::append(&mut payload, half(libc::NFQA_CFG_FLAGS), flags);
            attr::append(&mut payload, half(libc::NFQA_CFG_MASK), flags);
        }
        payload
    }
}

/// The payload of the message that sets the maximum length of a queue to 0, so that no packet has
/// room.
pub(crate) fn no_room_payload(queue: u16) -> Vec<u8> {
    let mut payload = nfgenmsg(queue).to_vec();
    attr::append(&mut payload, half(libc::NFQA_CFG_QUEUE_MAXLEN), [0; 4]);
    payload
}

/// The payload of the message that unbinds a queue. The kernel then drops the packets that still
/// wait in the queue.
pub(crate) fn unbind_payload(queue: u16) -> Vec<u8> {
    command_payload(queue, libc::NFQNL_CFG_CMD_UNBIND)
}

fn command_payload(queue: u16, command: libc::c_int) -> Vec<u8> {
    let mut payload = nfgenmsg(queue).to_vec();
    // Command, padding, a protocol family that the kernel ignores here.
    let command = [octet(command), 0, 0, 0];
    attr::append(&mut payload, half(libc::NFQA_CFG_CMD), command);
    payload
}

#[cfg(test)]
mod tests {
    use knetlink::attr::Attributes;

    use super::*;
    use crate::wire::MSG_CONFIG;

    fn attributes(payload: &[u8]) -> Vec<(u16, &[u8])> {
        assert_eq!(payload[..4], [0, 0, 0, 5]);
        Attributes::new(&payload[4..])
            .map(|attribute| attribute.map(|a| (a.kind, a.payload)).unwrap())
            .collect()
    }

    #[test]
    fn bind_message_takes_the_queue_and_asks_for_whole_packets() {
        assert_eq!(MSG_CONFIG, 0x0302);
        assert_eq!(
            attributes(&Options::default().bind_payload(5)),
            [(1, &[1, 0, 0, 0][..]), (2, &[0, 0, 0, 0, 2][..])]
        );
    }

    #[test]
    fn options_are_all_in_the_bind_message() {
        let options = Options::default()
            .copy_mode(CopyMode::Packet {
                range: NonZero::new(0x0102),
            })
            .max_length(0x0304)
            .fail_open(true)
            .conntrack(true)
            .gso(true)
            .uid_gid(true)
            .security_context(true);
        let header = (1, &[1, 0, 0, 0][..]);
        let length = (3, &[0, 0, 3, 4][..]);
        let flags = |flags: &'static [u8]| [(5, flags), (4, flags)];
        assert_eq!(
            attributes(&options.bind_payload(5)),
            [
                &[header, (2, &[0, 0, 1, 2, 2][..]), length][..],
                &flags(&[0, 0, 0, 31])
            ]
            .concat()
        );
        let options = options
            .copy_mode(CopyMode::Meta)
            .gso(false)
            .fail_open(false);
        assert_eq!(
            attributes(&options.bind_payload(5)),
            [
                &[header, (2, &[0, 0, 0, 0, 1][..]), length][..],
                &flags(&[0, 0, 0, 26])
            ]
            .concat()
        );
        let nothing = Options::default().copy_mode(CopyMode::None);
        assert_eq!(attributes(&nothing.bind_payload(5))[1], (2, &[0; 5][..]));
    }

    #[test]
    fn queue_without_room_holds_no_packet() {
        assert_eq!(attributes(&no_room_payload(5)), [(3, &[0; 4][..])]);
        assert!(Options::default().fail_open(true).fails_open());
        assert!(!Options::default().gso(true).fails_open());
    }

    #[test]
    fn unbind_message_is_a_command() {
        assert_eq!(attributes(&unbind_payload(5)), [(1, &[2, 0, 0, 0][..])]);
    }
}
