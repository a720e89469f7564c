//! The codec of MQTT: the first byte chooses the version, the rest is a stream of packets.

use crate::signature::Signature;
use windrose_protocol::mqtt::codec::{Packet, Version, decode, encode};

/// What is decoded can be said again and means the same; nothing is read beyond what is there.
pub fn run(data: &[u8]) -> u64 {
    let mut signature = Signature::new();
    let Some((&first, mut rest)) = data.split_first() else { return 0 };
    let mut version = if first & 1 == 0 { Version::V5 } else { Version::V3 };
    loop {
        match decode(rest, version) {
            Ok(Some((packet, taken))) => {
                assert!((1..=rest.len()).contains(&taken), "{taken} bytes of {}", rest.len());
                signature.add((std::mem::discriminant(&packet), version as u8));
                if let Packet::Connect(connect) = &packet {
                    version = connect.version;
                }
                let said = bytes_of(&packet, version);
                match decode(&said, version) {
                    Ok(Some((same, length))) => {
                        assert_eq!(length, said.len(), "{packet:?}");
                        assert_eq!(
                            bytes_of(&same, version),
                            said,
                            "{packet:?} means another thing when it is said again"
                        );
                    }
                    other => panic!("{packet:?} cannot be said again: {other:?}"),
                }
                rest = &rest[taken..];
            }
            Ok(None) => {
                signature.add(rest.is_empty());
                return signature.finish();
            }
            Err(error) => {
                signature.add((error.code, error.problem));
                return signature.finish();
            }
        }
    }
}

fn bytes_of(packet: &Packet, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes);
    bytes
}
