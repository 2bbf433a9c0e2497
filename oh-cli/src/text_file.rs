//! Text files in the encodings that editors and spreadsheets write.

use std::path::Path;

use oh_api::Error;

use crate::error::CliError;

/// Reads a text file. Editors on Windows save UTF-8 with a byte order mark, or UTF-16.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(path).map_err(|e| Error::from(e).at(path))?;
    decode(&bytes).ok_or_else(|| {
        CliError::Invalid(format!(
            "{} is not UTF-8 or UTF-16 text: save it as UTF-8",
            path.display()
        ))
    })
}

fn decode(bytes: &[u8]) -> Option<String> {
    let units = |read: fn([u8; 2]) -> u16| {
        let pairs = bytes[2..].chunks_exact(2);
        pairs
            .map(|pair| read([pair[0], pair[1]]))
            .collect::<Vec<_>>()
    };
    match bytes {
        [0xff, 0xfe, ..] if bytes.len().is_multiple_of(2) => {
            String::from_utf16(&units(u16::from_le_bytes)).ok()
        }
        [0xfe, 0xff, ..] if bytes.len().is_multiple_of(2) => {
            String::from_utf16(&units(u16::from_be_bytes)).ok()
        }
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            String::from_utf8(bytes.to_vec()).ok()
        }
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
            assert_eq!(decode(bytes).as_deref(), Some("Größe\n"), "{bytes:?}");
        }
        let windows_1252 = b"Gr\xf6\xdfe\n";
        assert_eq!(decode(windows_1252), None);
        let half_a_character = b"\xff\xfe\x00";
        assert_eq!(decode(half_a_character), None);
    }
}
