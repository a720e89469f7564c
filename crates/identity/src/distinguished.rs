//! Distinguished names made comparable.

/// A distinguished name without the spaces that RFC 4514 writers differ in, its attribute types in capitals.
pub(crate) fn comparable(subject: &str) -> String {
    let mut normal = String::with_capacity(subject.len());
    for (index, part) in split(subject).into_iter().enumerate() {
        if index > 0 {
            normal.push(',');
        }
        match part.split_once('=') {
            Some((kind, value)) => {
                normal.push_str(&kind.trim().to_uppercase());
                normal.push('=');
                normal.push_str(value.trim());
            }
            None => normal.push_str(part.trim()),
        }
    }
    normal
}

/// Splits at commas that are not escaped.
fn split(subject: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut escaped) = (Vec::new(), 0, false);
    for (at, character) in subject.char_indices() {
        if character == ',' && !escaped {
            parts.push(subject.get(begin..at).unwrap_or_default());
            begin = at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    parts.push(subject.get(begin..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_compared_without_their_spacing() {
        assert_eq!(comparable("cn=car-7, O = Cars"), comparable("CN=car-7,O=Cars"));
        assert_ne!(comparable("CN=a\\,O=b"), comparable("CN=a,O=b"), "an escaped comma is of the name");
        assert_ne!(comparable("CN=Car-7"), comparable("CN=car-7"));
    }
}
