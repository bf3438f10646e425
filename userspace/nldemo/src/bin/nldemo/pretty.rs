// SPDX-License-Identifier: GPL-2.0

//! JSON on several lines.

/// Appends `json` to `text`, indented as `serde_json` indents JSON. `json` has one line and no
/// spaces between its parts.
pub(crate) fn append(text: &mut Vec<u8>, json: &[u8]) {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if quoted {
            text.push(byte);
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                text.push(byte);
                if let Some(end) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    new_line(text, depth);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(text, depth);
                text.push(byte);
            }
            b',' => {
                text.push(byte);
                new_line(text, depth);
            }
            b':' => text.extend_from_slice(b": "),
            _ => {
                text.push(byte);
                quoted = byte == b'"';
            }
        }
    }
}

fn new_line(text: &mut Vec<u8>, depth: usize) {
    text.push(b'\n');
    text.extend(std::iter::repeat_n(b"  ", depth).flatten());
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    #[test]
    fn lines_are_those_of_serde_json() {
        let value: Value = json!({
            "text": "a \"b\\\" {c: [d], e}\\", "": [1, {"x": null}, [], {}], "z": {"y": [[true]]},
        });
        let mut text = Vec::new();
        super::append(&mut text, value.to_string().as_bytes());
        assert_eq!(String::from_utf8(text).unwrap(), format!("{value:#}"));
    }
}
