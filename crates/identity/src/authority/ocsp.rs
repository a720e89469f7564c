//! The responder (OCSP, RFC 6960): questions about certificates that the authority signed, and its signed answers.

use super::revoked::{Entry, Known};
use super::signer::{Signer, algorithm};
use super::time::{generalized, second};
use bytes::Bytes;
use rcgen::SigningKey;
use std::time::Duration;
use windrose_event::Timestamp;
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Result, BERReader, DERWriter, Tag};

/// The largest question that is looked at.
const MOST_BYTES: usize = 8 * 1024;
/// Certificates that one question may be about.
const MOST_CERTIFICATES: usize = 16;
/// The longest nonce that is given back (RFC 9654 §2.1).
const MOST_NONCE: usize = 128;
/// How long an answer is good.
const GOOD: Duration = Duration::from_secs(3600);

const SHA1: &[u64] = &[1, 3, 14, 3, 2, 26];
const SHA256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const BASIC: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
const NONCE: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 2];

/// The content of GeneralizedTime is text like that of others, under a tag of its own.
const TAG_GENERALIZED_TIME: u64 = 24;

/// What is said instead of an answer (RFC 6960 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// The question cannot be read.
    Malformed = 1,
    /// The authority cannot answer.
    Internal = 2,
    /// Too much is asked at once.
    TryLater = 3,
    /// The certificate is not one of this authority's.
    Unauthorized = 6,
}

impl Error {
    /// The answer.
    pub(super) fn response(self) -> Bytes {
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| writer.next().write_enum(self as i64));
        })
        .into()
    }
}

/// Which certificate is asked about (RFC 6960 §4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertId {
    /// As it came: the answer repeats it.
    der: Vec<u8>,
    hash: ObjectIdentifier,
    name: Vec<u8>,
    key: Vec<u8>,
    /// Big-endian.
    serial: Vec<u8>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    ids: Vec<CertId>,
    nonce: Option<Vec<u8>>,
}

impl Question {
    /// Reads a question.
    pub(super) fn read(der: &[u8]) -> Result<Self, Error> {
        if der.len() > MOST_BYTES {
            return Err(Error::Malformed);
        }
        let question = yasna::parse_der(der, |reader| {
            reader.read_sequence(|reader| {
                let question = reader.next().read_sequence(|reader| {
                    reader.read_optional(|reader| {
                        reader.read_tagged(Tag::context(0), |reader| reader.read_u8())
                    })?;
                    reader.read_optional(|reader| {
                        reader.read_tagged(Tag::context(1), |reader| reader.read_der())
                    })?;
                    let ids = reader.next().collect_sequence_of(|reader| {
                        reader.read_sequence(|reader| {
                            let id = reader.next().read_der()?;
                            reader.read_optional(|reader| {
                                reader.read_tagged(Tag::context(0), |reader| reader.read_der())
                            })?;
                            cert_id(id)
                        })
                    })?;
                    let nonce = reader.read_optional(|reader| reader.read_tagged(Tag::context(2), nonce))?;
                    Ok(Self { ids, nonce: nonce.flatten() })
                })?;
                // A signature, which nobody needs here.
                reader.read_optional(|reader| {
                    reader.read_tagged(Tag::context(0), |reader| reader.read_der())
                })?;
                Ok(question)
            })
        });
        let question = question.map_err(|_| Error::Malformed)?;
        let fits = (1..=MOST_CERTIFICATES).contains(&question.ids.len())
            && question.nonce.as_ref().is_none_or(|nonce| (1..=MOST_NONCE).contains(&nonce.len()));
        if fits { Ok(question) } else { Err(Error::Malformed) }
    }

    /// The place of the signer that the question is about: that of its first certificate.
    pub(super) fn signer(&self, signers: &[Signer]) -> Result<usize, Error> {
        let first = self.ids.first().ok_or(Error::Malformed)?;
        signers.iter().position(|signer| first.is_of(signer)).ok_or(Error::Unauthorized)
    }
}

fn cert_id(der: Vec<u8>) -> ASN1Result<CertId> {
    let (hash, name, key, serial) = yasna::parse_der(&der, |reader| {
        reader.read_sequence(|reader| {
            let hash = reader.next().read_sequence(|reader| {
                let hash = reader.next().read_oid()?;
                reader.read_optional(|reader| reader.read_der())?;
                Ok(hash)
            })?;
            let name = reader.next().read_bytes()?;
            let key = reader.next().read_bytes()?;
            let (serial, _) = reader.next().read_bigint_bytes()?;
            Ok((hash, name, key, serial))
        })
    })?;
    Ok(CertId { der, hash, name, key, serial })
}

/// The nonce among extensions.
fn nonce(reader: BERReader<'_, '_>) -> ASN1Result<Option<Vec<u8>>> {
    let mut nonce = None;
    reader.read_sequence_of(|reader| {
        reader.read_sequence(|reader| {
            let name = reader.next().read_oid()?;
            reader.read_optional(|reader| reader.read_bool())?;
            let value = reader.next().read_bytes()?;
            if *name.components() == NONCE {
                // Its value is an OCTET STRING of its own, though old clients send the bytes as they are.
                nonce = Some(yasna::parse_der(&value, |reader| reader.read_bytes()).unwrap_or(value));
            }
            Ok(())
        })
    })?;
    Ok(nonce)
}

impl CertId {
    fn is_of(&self, signer: &Signer) -> bool {
        let [sha1, sha256] = &signer.digests;
        let digests = match self.hash.components().as_slice() {
            SHA1 => sha1,
            SHA256 => sha256,
            _ => return false,
        };
        (&self.name, &self.key) == (&digests.0, &digests.1)
    }
}

/// Answers a question, for certificates of one signer. Whatever it did not revoke is good (RFC 6960 §2.2).
pub(super) fn answer(
    signer: &Signer,
    question: &Question,
    revoked: &Known,
    now: Timestamp,
) -> Result<Bytes, Error> {
    let now = second(now);
    let data = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            // Who answers, by its key: the digest is SHA-1 whatever the question's is (RFC 6960 §4.2.1).
            let [(_, key), _] = &signer.digests;
            writer.next().write_tagged(Tag::context(2), |writer| writer.write_bytes(key));
            time(writer.next(), now);
            writer.next().write_sequence(|writer| {
                for id in &question.ids {
                    let entry = revoked.get(&id.serial);
                    writer.next().write_sequence(|writer| {
                        writer.next().write_der(&id.der);
                        status(writer.next(), id.is_of(signer), entry);
                        time(writer.next(), revoked.at.min(now));
                        writer.next().write_tagged(Tag::context(0), |writer| time(writer, now + GOOD));
                    });
                }
            });
            if let Some(nonce) = &question.nonce {
                writer.next().write_tagged(Tag::context(1), |writer| {
                    writer.write_sequence(|writer| {
                        writer.next().write_sequence(|writer| {
                            writer.next().write_oid(&ObjectIdentifier::from_slice(NONCE));
                            let value = yasna::construct_der(|writer| writer.write_bytes(nonce));
                            writer.next().write_bytes(&value);
                        });
                    });
                });
            }
        });
    });
    let key = signer.issuer.key();
    let (name, null) = algorithm(key).ok_or(Error::Internal)?;
    let signature = key.sign(&data).map_err(|_| Error::Internal)?;
    let basic = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(&data);
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(name));
                if null {
                    writer.next().write_null();
                }
            });
            writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
        });
    });
    let response = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_enum(0);
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(BASIC));
                    writer.next().write_bytes(&basic);
                });
            });
        });
    });
    Ok(response.into())
}

fn status(writer: DERWriter<'_>, is_ours: bool, entry: Option<Entry>) {
    match entry {
        // `unknown`: of another signer than the first one.
        _ if !is_ours => writer.write_tagged_implicit(Tag::context(2), |writer| writer.write_null()),
        None => writer.write_tagged_implicit(Tag::context(0), |writer| writer.write_null()),
        Some(Entry { at, reason }) => writer.write_tagged_implicit(Tag::context(1), |writer| {
            writer.write_sequence(|writer| {
                time(writer.next(), at);
                if let Some(reason) = reason {
                    writer.next().write_tagged(Tag::context(0), |writer| writer.write_enum(reason as i64));
                }
            });
        }),
    }
}

fn time(writer: DERWriter<'_>, at: Timestamp) {
    let tag = Tag { tag_class: yasna::TagClass::Universal, tag_number: TAG_GENERALIZED_TIME };
    writer.write_tagged_implicit(tag, |writer| writer.write_bytes(generalized(at).as_bytes()));
}
