//! Certificates as enrolment sends them, by HTTP and by CoAP: a CMS message that signs nothing (RFC 7030 §4.1.3, RFC 8933).

use bytes::Bytes;
use yasna::models::ObjectIdentifier;
use yasna::{Tag, construct_der};

const SIGNED_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 2];
const DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];

/// Certificates (in DER) as `application/pkcs7-mime; smime-type=certs-only`, in DER.
pub(crate) fn certs_only(certificates: &[Bytes]) -> Bytes {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(SIGNED_DATA));
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_u8(1);
                    writer.next().write_set(|_| {});
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(DATA))
                    });
                    // A set, but in the order in which they are: the one that was asked for comes first.
                    writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                        writer.write_sequence(|writer| {
                            for certificate in certificates {
                                writer.next().write_der(certificate);
                            }
                        });
                    });
                    writer.next().write_set(|_| {});
                });
            });
        });
    })
    .into()
}
