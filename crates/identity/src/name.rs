//! Names of devices, owners, services and groups.

/// Bytes that a name may have.
const MOST: usize = 256;

/// Whether a text can be the name of a device, an owner, a service or a group. Names become parts of addresses, so they
/// cannot hold what has a meaning there.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MOST
        && !text.starts_with('$')
        && !text.contains(|c: char| c.is_control() || matches!(c, '/' | '+' | '#'))
}
