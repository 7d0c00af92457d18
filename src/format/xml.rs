//! Text into XML: what must be escaped is, what XML 1.0 cannot hold becomes U+FFFD.

/// Appends character data or an attribute's value (in double quotes); carriage returns, and in attributes all white space but the
/// blank, are written as references, as parsers would normalise them away.
pub fn push_escaped(out: &mut Vec<u8>, text: &str, in_attribute: bool) {
    let bytes = text.as_bytes();
    // most texts need nothing; U+FFFE and U+FFFF are the only others that XML forbids
    let plain = |&b: &u8| b >= 0x20 && !matches!(b, b'&' | b'<' | b'>' | b'"' | 0xef);
    if bytes.iter().all(plain) {
        return out.extend_from_slice(bytes);
    }
    for c in text.chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' if in_attribute => out.extend_from_slice(b"&quot;"),
            '\r' => out.extend_from_slice(b"&#13;"),
            '\n' if in_attribute => out.extend_from_slice(b"&#10;"),
            '\t' if in_attribute => out.extend_from_slice(b"&#9;"),
            '\n' | '\t' => out.push(c as u8),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.extend_from_slice("\u{fffd}".as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Character data.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    push_escaped(out, text, false);
}

/// ` name="value"`.
pub fn push_attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    push_escaped(out, value, true);
    out.push(b'"');
}

/// ` name="value"` where there is a value.
pub fn push_some_attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        push_attribute(out, name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced_and_the_rest_survives() {
        let escaped = |text: &str, attribute| {
            let mut out = Vec::new();
            push_escaped(&mut out, text, attribute);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped("a<b>&\"c\"", false), "a&lt;b&gt;&amp;\"c\"");
        assert_eq!(escaped("a\"\n\t\r", true), "a&quot;&#10;&#9;&#13;");
        assert_eq!(escaped("]]> \0\x1b[m \u{ffff}星 \u{feff}", false), "]]&gt; \u{fffd}\u{fffd}[m \u{fffd}星 \u{feff}");
    }
}
