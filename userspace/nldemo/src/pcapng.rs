// SPDX-License-Identifier: GPL-2.0

//! The blocks of a capture file that Wireshark and tcpdump read (pcapng,
//! draft-ietf-opsawg-pcapng).

use std::time::Duration;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

/// The kind of header that the packets of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header.
    Ethernet = 1,
    /// An IPv4 or IPv6 header.
    Raw = 101,
}

/// A packet for the capture file.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Number of the interface. The first interface that was described has number 0.
    pub interface: u32,
    /// Time since the epoch.
    pub time: Duration,
    /// The link layer header, if the interface has one.
    pub link_header: &'a [u8],
    /// The bytes of the packet that were copied, from its network header on.
    pub bytes: &'a [u8],
    /// Length of the whole packet from its network header on.
    pub length: usize,
    /// The comment that Wireshark shows for the packet.
    pub comment: &'a [u8],
}

/// Begins a capture file.
pub fn append_header(buffer: &mut Vec<u8>) {
    let mut block = Block::begin(buffer, SECTION_HEADER);
    block.put(&BYTE_ORDER_MAGIC.to_le_bytes());
    // The section has version 1.0 and an unknown length.
    block.put(&[1, 0, 0, 0]);
    block.put(&u64::MAX.to_le_bytes());
    block.option(SHB_USERAPPL, b"nldemo");
    block.end();
}

/// Describes an interface. Packets refer to an interface by its number. The first interface that
/// was described has number 0. The times of packets are in nanoseconds.
pub fn append_interface(buffer: &mut Vec<u8>, name: &str, link_type: LinkType) {
    let mut block = Block::begin(buffer, INTERFACE_DESCRIPTION);
    block.put(&(link_type as u16).to_le_bytes());
    // Two bytes are a reserved field. The other four are the longest length of a packet. There, 0
    // means no limit.
    block.put(&[0; 6]);
    block.option(IF_NAME, name.as_bytes());
    block.option(IF_TSRESOL, &[9]);
    block.end();
}

/// Appends a packet.
pub fn append_packet(buffer: &mut Vec<u8>, packet: &Captured<'_>) {
    let nanos = u64::try_from(packet.time.as_nanos()).unwrap_or(u64::MAX);
    let [low @ .., high0, high1, high2, high3] = nanos.to_le_bytes();
    let length = |length| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut block = Block::begin(buffer, ENHANCED_PACKET);
    block.put(&packet.interface.to_le_bytes());
    block.put(&[high0, high1, high2, high3]);
    block.put(&low);
    let header = packet.link_header.len();
    block.put(&length(header + packet.bytes.len()));
    block.put(&length(header + packet.length.max(packet.bytes.len())));
    block.buffer.extend_from_slice(packet.link_header);
    block.buffer.extend_from_slice(packet.bytes);
    block.pad();
    block.option(OPT_COMMENT, packet.comment);
    block.end();
}

/// A block that is being appended to the buffer.
struct Block<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Block<'a> {
    fn begin(buffer: &'a mut Vec<u8>, kind: u32) -> Self {
        let start = buffer.len();
        let mut block = Self { buffer, start };
        block.put(&kind.to_le_bytes());
        // `end` replaces these bytes by the length of the block.
        block.put(&[0; 4]);
        block
    }

    /// Appends bytes and pads them to 32 bits.
    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        // Fields of two bytes come in pairs, so they need no padding.
        if bytes.len() != 2 {
            self.pad();
        }
    }

    fn pad(&mut self) {
        let length = self.buffer.len() - self.start;
        let padded = self.start + length.next_multiple_of(4);
        self.buffer.resize(padded, 0);
    }

    /// Appends an option, unless it is too long.
    fn option(&mut self, kind: u16, value: &[u8]) {
        if let Ok(length) = u16::try_from(value.len()) {
            self.put(&kind.to_le_bytes());
            self.put(&length.to_le_bytes());
            self.put(value);
            self.pad();
        }
    }

    fn end(mut self) {
        self.put(&OPT_END.to_le_bytes());
        self.put(&[0, 0]);
        // The length fits 32 bits: a packet has less than 64 KiB, and an option has less than 64
        // KiB, too.
        let length = u32::try_from(self.buffer.len() - self.start + 4).unwrap_or(u32::MAX);
        let length = length.to_le_bytes();
        self.put(&length);
        let field = self.start + 4..self.start + 8;
        if let Some(field) = self.buffer.get_mut(field) {
            field.copy_from_slice(&length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8]) -> usize {
        u32::from_le_bytes(bytes.try_into().unwrap()) as usize
    }

    /// The blocks of a file: type and body.
    fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let length = number(&file[4..8]);
            assert_eq!(length % 4, 0);
            assert_eq!(number(&file[length - 4..length]), length);
            let kind = u32::try_from(number(&file[..4])).unwrap();
            blocks.push((kind, &file[8..length - 4]));
            file = &file[length..];
        }
        blocks
    }

    #[test]
    fn header_of_the_link_layer_belongs_to_the_packet() {
        let mut file = Vec::new();
        append_interface(&mut file, "x", LinkType::Ethernet);
        let packet = Captured {
            interface: 0,
            time: Duration::ZERO,
            link_header: &[7; 14],
            bytes: &[1, 2],
            length: 50,
            comment: b"",
        };
        append_packet(&mut file, &packet);
        let blocks = blocks(&file);
        assert_eq!(blocks[0].1[..2], [1, 0]);
        let body = blocks[1].1;
        assert_eq!((number(&body[12..16]), number(&body[16..20])), (16, 64));
        assert_eq!((&body[20..34], &body[34..36]), (&[7; 14][..], &[1, 2][..]));
    }

    #[test]
    fn file_is_what_the_format_says() {
        let mut file = Vec::new();
        append_header(&mut file);
        append_interface(&mut file, "nfqueue:3", LinkType::Raw);
        let packet = Captured {
            interface: 0,
            time: Duration::new(1_700_000_000, 123_456_789),
            link_header: &[],
            bytes: &[0x45, 1, 2, 3, 4],
            length: 99,
            comment: b"drop",
        };
        append_packet(&mut file, &packet);
        let blocks = blocks(&file);
        let [header, interface, packet] = &blocks[..] else {
            panic!("{blocks:?}");
        };
        assert_eq!(header.0, 0x0a0d_0d0a);
        assert_eq!(header.1[..8], [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
        assert_eq!(
            header.1[8..],
            *b"\xff\xff\xff\xff\xff\xff\xff\xff\x04\0\x06\0nldemo\0\0\0\0\0\0"
        );
        assert_eq!(interface.0, 1);
        assert_eq!(interface.1[..8], [101, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            interface.1[8..],
            *b"\x02\0\x09\0nfqueue:3\0\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0"
        );
        assert_eq!(packet.0, 6);
        assert_eq!(number(&packet.1[..4]), 0);
        let time = (number(&packet.1[4..8]) << 32) + number(&packet.1[8..12]);
        assert_eq!(time, 1_700_000_000_123_456_789);
        assert_eq!(
            (number(&packet.1[12..16]), number(&packet.1[16..20])),
            (5, 99)
        );
        assert_eq!(
            packet.1[20..],
            *b"\x45\x01\x02\x03\x04\0\0\0\x01\0\x04\0drop\0\0\0\0"
        );
    }
}
