// SPDX-License-Identifier: MIT OR Apache-2.0

//! Text from bytes that other programs chose, in a form that does no harm to a terminal.

use std::fmt;
use std::fmt::Write;

/// Whether a character can do harm in a line of a terminal. Harmful characters are control
/// characters (7 or 8 bits), characters that change the order of the characters around them, and
/// invisible characters.
#[must_use]
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

/// Any bytes on one line. Bytes that are not printable are shown as `\xNN`, a backslash as `\\`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => f.write_str(r"\\")?,
                    _ if is_harmful(character) => {
                        let mut buffer = [0; 4];
                        write_bytes(f, character.encode_utf8(&mut buffer).as_bytes())?;
                    }
                    _ => f.write_char(character)?,
                }
            }
            write_bytes(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_one_line_of_text() {
        for (bytes, text) in [
            (&b"/run/a b"[..], "/run/a b"),
            (b"a\0b\n\x1b[31m", r"a\x00b\x0a\x1b[31m"),
            (b"\\x41", r"\\x41"),
            ("gr\u{fc}n\u{85}".as_bytes(), "gr\u{fc}n\\xc2\\x85"),
            (b"\xff\xfe!", r"\xff\xfe!"),
            ("a\u{202e}b".as_bytes(), r"a\xe2\x80\xaeb"),
            (b"", ""),
        ] {
            assert_eq!(Escaped(bytes).to_string(), text);
        }
    }
}
