//! Writing the wire's types (MQTT 5 §1.5).

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Bytes that a variable byte integer takes.
pub(super) const fn variable_length(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

pub(super) fn put_variable(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Binary data or a string. What is longer than its length can say is cut: callers check what peers may choose.
pub(super) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len().min(usize::from(u16::MAX));
    put_u16(out, length as u16);
    out.extend_from_slice(bytes.get(..length).unwrap_or_default());
}

/// Begins a packet whose length is not known yet.
pub(super) fn start(out: &mut Vec<u8>, first: u8) -> usize {
    out.push(first);
    // The longest length there is; `finish` closes the gap.
    out.extend_from_slice(&[0; 4]);
    out.len()
}

/// Ends a packet that began with [`start`].
pub(super) fn finish(out: &mut Vec<u8>, body: usize) {
    let length = out.len() - body;
    let gap = 4 - variable_length(length);
    out.drain(body - gap..body);
    let mut rest = length;
    for place in out.iter_mut().skip(body - 4).take(4 - gap) {
        *place = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    if let Some(last) = out.get_mut(body - gap - 1) {
        *last &= 0x7f;
    }
}
