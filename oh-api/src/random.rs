//! Random values from the operating system.

/// Returns `N` random bytes.
///
/// # Panics
///
/// If the operating system provides no random bytes. Nothing would be secure without them.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes
}

/// Returns 32 random lowercase hexadecimal digits.
pub(crate) fn hex() -> String {
    hex::encode(bytes::<16>())
}
