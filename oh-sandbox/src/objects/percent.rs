//! Paths in links: everything but letters, digits, `-._~` and the slash is encoded.

pub(crate) fn encode(path: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub(crate) fn decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let pair = (byte == b'%')
            .then(|| Some([ahead.next()?, ahead.next()?]))
            .flatten();
        let mut value = [0];
        match pair.filter(|pair| hex::decode_to_slice(pair, &mut value).is_ok()) {
            Some(_) => {
                bytes.push(value[0]);
                rest = ahead;
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for path in [
            "/a/b.txt",
            "/sp ace?q#h&x=y.txt",
            "/日本.txt",
            "/100%",
            "/%zz",
            "/new\nline",
        ] {
            assert_eq!(decode(&encode(path)), path);
        }
        assert_eq!(encode("/direct file+é"), "/direct%20file%2B%C3%A9");
        assert_eq!(decode("/%zz%"), "/%zz%");
    }
}
