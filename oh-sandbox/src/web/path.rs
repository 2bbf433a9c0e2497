//! Taking paths apart.

/// The one path segment between a prefix and the closing slash.
pub(crate) fn segment<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let id = path.strip_prefix(prefix)?.strip_suffix('/')?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}
