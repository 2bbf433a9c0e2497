//! Text in the encodings that spreadsheets and editors write.

/// Decodes UTF-8, with or without a byte order mark, and UTF-16 with one. Returns `None` for other
/// encodings, such as the ANSI code pages of Windows, which cannot be told apart.
///
/// ```
/// use oh_api::bulk::decode_text;
///
/// assert_eq!(decode_text(b"\xff\xfea\0").as_deref(), Some("a"));
/// assert_eq!(decode_text(b"Gr\xf6\xdfe"), None);
/// ```
pub fn decode_text(bytes: &[u8]) -> Option<String> {
    let decode_utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_and_utf16_are_decoded_and_other_encodings_are_rejected() {
        let utf16: Vec<u16> = "Größe\n".encode_utf16().collect();
        let little: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [
            "Größe\n".as_bytes(),
            "\u{feff}Größe\n".as_bytes(),
            &[&[0xff, 0xfe], &little[..]].concat(),
            &[&[0xfe, 0xff], &big[..]].concat(),
        ] {
            assert_eq!(decode_text(bytes).as_deref(), Some("Größe\n"), "{bytes:?}");
        }
        let half_a_character = b"\xff\xfe\x00";
        let windows_1252 = b"Gr\xf6\xdfe\n";
        for bytes in [&half_a_character[..], windows_1252] {
            assert_eq!(decode_text(bytes), None);
        }
    }
}
