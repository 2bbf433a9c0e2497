//! Random names, from the operating system.

/// 32 random lowercase hex digits.
///
/// # Panics
///
/// When the operating system has no randomness to give: then nothing here could be trusted.
pub(crate) fn hex() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex::encode(bytes)
}
