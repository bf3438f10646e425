// SPDX-License-Identifier: GPL-2.0

//! Hex dump in the layout of Wireshark (`tshark -x`). `text2pcap -a` can read it.

use std::fmt;

/// Displays bytes as lines of offset, 16 hexadecimal bytes and their ASCII characters.
#[derive(Clone, Copy, Debug)]
pub struct Hexdump<'a>(pub &'a [u8]);

impl fmt::Display for Hexdump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (row, bytes) in self.0.chunks(16).enumerate() {
            write!(f, "{:04x}  ", row * 16)?;
            for column in 0..16 {
                match bytes.get(column) {
                    Some(byte) => write!(f, "{byte:02x} ")?,
                    None => f.write_str("   ")?,
                }
            }
            f.write_str("  ")?;
            for &byte in bytes {
                let printable = byte.is_ascii_graphic() || byte == b' ';
                write!(f, "{}", if printable { char::from(byte) } else { '.' })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_wiresharks() {
        let bytes: Vec<u8> = (0x3a..0x4c).chain([0, 0xff, b' ']).collect();
        assert_eq!(
            Hexdump(&bytes).to_string(),
            "0000  3a 3b 3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49   :;<=>?@ABCDEFGHI\n\
             0010  4a 4b 00 ff 20                                    JK.. \n"
        );
    }

    #[test]
    fn nothing_is_no_line() {
        assert_eq!(Hexdump(&[]).to_string(), "");
    }
}
