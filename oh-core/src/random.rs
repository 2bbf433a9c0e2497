//! Random values from the operating system, for states, versions and lease holders.

/// # Panics
///
/// If the operating system provides no random bytes, because nothing would be secure then.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes
}

/// 63 random bits.
pub(crate) fn i63() -> i64 {
    i64::from_le_bytes(bytes()) & i64::MAX
}

/// 32 random lowercase hexadecimal digits.
pub(crate) fn hex() -> String {
    hex::encode(bytes::<16>())
}
