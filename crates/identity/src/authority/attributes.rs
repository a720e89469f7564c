//! What a request for a certificate should hold (RFC 7030 §4.5.2).

use bytes::Bytes;
use yasna::models::ObjectIdentifier;

const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10045, 2, 1];
const P256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];

/// `CsrAttrs` in DER: a key of ECDSA on P-256, which every thing can afford, and a signature that goes with it.
pub(super) fn attributes() -> Bytes {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(EC_PUBLIC_KEY));
                writer.next().write_set(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(P256));
                });
            });
            writer.next().write_oid(&ObjectIdentifier::from_slice(ECDSA_WITH_SHA256));
        });
    })
    .into()
}
