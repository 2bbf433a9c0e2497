//! Random values for states, versions and lease holders, from the operating system.

/// Fills an array with random bytes.
///
/// # Panics
///
/// When the operating system has no randomness to give: then nothing here could be trusted.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// 63 random bits.
pub(crate) fn i63() -> i64 {
    i64::from_le_bytes(bytes()) & i64::MAX
}

/// 32 random lowercase hex digits.
pub(crate) fn hex() -> String {
    hex::encode(bytes::<16>())
}
