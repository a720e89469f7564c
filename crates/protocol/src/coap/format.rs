//! Content formats: CoAP's numbers for media types (RFC 7252 §12.3, the registry "CoAP Content-Formats").

use windrose_event::Text;

/// `application/link-format` (RFC 6690 §7.3).
pub const LINK_FORMAT: u16 = 40;
/// `text/plain;charset=utf-8`.
pub const TEXT: u16 = 0;
/// `application/octet-stream`.
pub const OCTETS: u16 = 42;
/// `application/json`.
pub const JSON: u16 = 50;
/// `application/json-patch+json` (RFC 6902).
pub const JSON_PATCH: u16 = 51;
/// `application/merge-patch+json` (RFC 7396).
pub const MERGE_PATCH: u16 = 52;
/// `application/pkcs7-mime; smime-type=certs-only` (RFC 9148 §9.1).
pub const CERTIFICATES: u16 = 281;
/// `application/csrattrs`.
pub const CSR_ATTRIBUTES: u16 = 285;
/// `application/pkcs10`.
pub const PKCS10: u16 = 286;
/// `application/pkix-cert`.
pub const CERTIFICATE: u16 = 287;

/// What formats that have no row in [`FORMATS`] are called elsewhere: the media type that RFC 8075 §6.2 made for it, with
/// the number as a parameter.
const UNKNOWN: &str = "application/coap-payload;cf=";

/// Numbers and media types, in ascending order. Formats with a content coding are not among them: the coding would be lost.
const FORMATS: [(u16, &str); 64] = [
    (TEXT, "text/plain; charset=utf-8"),
    (16, "application/cose; cose-type=\"cose-encrypt0\""),
    (17, "application/cose; cose-type=\"cose-mac0\""),
    (18, "application/cose; cose-type=\"cose-sign1\""),
    (19, "application/ace+cbor"),
    (21, "image/gif"),
    (22, "image/jpeg"),
    (23, "image/png"),
    (LINK_FORMAT, "application/link-format"),
    (41, "application/xml"),
    (OCTETS, "application/octet-stream"),
    (47, "application/exi"),
    (JSON, "application/json"),
    (JSON_PATCH, "application/json-patch+json"),
    (MERGE_PATCH, "application/merge-patch+json"),
    (60, "application/cbor"),
    (61, "application/cwt"),
    (62, "application/multipart-core"),
    (63, "application/cbor-seq"),
    (64, "application/edhoc+cbor-seq"),
    (65, "application/cid-edhoc+cbor-seq"),
    (96, "application/cose; cose-type=\"cose-encrypt\""),
    (97, "application/cose; cose-type=\"cose-mac\""),
    (98, "application/cose; cose-type=\"cose-sign\""),
    (101, "application/cose-key"),
    (102, "application/cose-key-set"),
    (110, "application/senml+json"),
    (111, "application/sensml+json"),
    (112, "application/senml+cbor"),
    (113, "application/sensml+cbor"),
    (114, "application/senml-exi"),
    (115, "application/sensml-exi"),
    (140, "application/yang-data+cbor; id=sid"),
    (256, "application/coap-group+json"),
    (257, "application/concise-problem-details+cbor"),
    (258, "application/swid+cbor"),
    (259, "application/pkixcmp"),
    (271, "application/dots+cbor"),
    (272, "application/missing-blocks+cbor-seq"),
    (280, "application/pkcs7-mime; smime-type=server-generated-key"),
    (CERTIFICATES, "application/pkcs7-mime; smime-type=certs-only"),
    (284, "application/pkcs8"),
    (CSR_ATTRIBUTES, "application/csrattrs"),
    (PKCS10, "application/pkcs10"),
    (CERTIFICATE, "application/pkix-cert"),
    (290, "application/aif+cbor"),
    (291, "application/aif+json"),
    (310, "application/senml+xml"),
    (311, "application/sensml+xml"),
    (320, "application/senml-etch+json"),
    (322, "application/senml-etch+cbor"),
    (340, "application/yang-data+cbor"),
    (341, "application/yang-data+cbor; id=name"),
    (432, "application/td+json"),
    (433, "application/tm+json"),
    (553, "application/dns-message"),
    (10_000, "application/vnd.ocf+cbor"),
    (10_001, "application/oscore"),
    (10_002, "application/javascript"),
    (11_542, "application/vnd.oma.lwm2m+tlv"),
    (11_543, "application/vnd.oma.lwm2m+json"),
    (11_544, "application/vnd.oma.lwm2m+cbor"),
    (20_000, "text/css"),
    (30_000, "image/svg+xml"),
];

/// The media type that a format is called by elsewhere; of a number that has none, one that [`number`] reads again.
pub fn media_type(format: u16) -> Text {
    match FORMATS.binary_search_by_key(&format, |(number, _)| *number) {
        Ok(index) => FORMATS.get(index).map_or_else(Text::default, |(_, text)| Text::from_static(text)),
        Err(_) => Text::from(format!("{UNKNOWN}{format}")),
    }
}

/// The number of a media type, however its letters, spaces and quotes are written. One of ours is found whatever the order
/// of its parameters is; parameters that the registry does not have make it another media type (RFC 7252 §12.3), but for
/// the character sets that JSON does not need and text has anyway.
pub fn number(media_type: &str) -> Option<u16> {
    // What this module made itself is found without a look at its parts.
    if let Some((number, _)) = FORMATS.iter().find(|(_, text)| *text == media_type) {
        return Some(*number);
    }
    let (essence, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    let essence = essence.trim();
    let wanted: Vec<_> = self::parameters(parameters).filter(|given| !is_utf8(given)).collect();
    if essence.eq_ignore_ascii_case("application/coap-payload") {
        return match wanted.as_slice() {
            [(name, value)] if name.eq_ignore_ascii_case("cf") => value.parse().ok(),
            _ => None,
        };
    }
    let fits = |text: &str| {
        let (its_essence, its_parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut count = 0;
        essence.eq_ignore_ascii_case(its_essence)
            && self::parameters(its_parameters).filter(|given| !is_utf8(given)).all(|(name, value)| {
                count += 1;
                let same = |(other, its): &(&str, &str)| {
                    other.eq_ignore_ascii_case(name) && its.eq_ignore_ascii_case(value)
                };
                wanted.iter().any(same)
            })
            && count == wanted.len()
    };
    FORMATS.iter().find(|(_, text)| fits(text)).map(|(number, _)| *number)
}

/// Names and values, without quotes.
fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

fn is_utf8((name, value): &(&str, &str)) -> bool {
    name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(FORMATS.is_sorted_by(|one, other| one.0 < other.0));
    }

    #[test]
    fn media_types_have_the_numbers_of_the_registry() {
        for (text, expected) in [
            ("text/plain;charset=utf-8", Some(0)),
            ("text/plain; charset=UTF-8", Some(0)),
            ("text/plain", Some(0)),
            ("text/plain;charset=iso-8859-1", None),
            ("Application/JSON", Some(50)),
            ("application/json; charset=utf-8", Some(50)),
            ("application/json; profile=x", None),
            ("application/cose;cose-type=cose-mac0", Some(17)),
            ("application/cose; cose-type=\"cose-sign\"", Some(98)),
            ("application/cose", None),
            ("application/yang-data+cbor", Some(340)),
            ("application/yang-data+cbor;id=sid", Some(140)),
            ("application/senml+cbor", Some(112)),
            ("application/coap-payload;cf=65000", Some(65_000)),
            ("application/coap-payload; cf=70000", None),
            ("application/coap-payload", None),
            ("image/webp", None),
            ("", None),
            (";;=;", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_comes_back(format in any::<u16>()) {
            prop_assert_eq!(number(&media_type(format)), Some(format));
        }

        #[test]
        fn no_text_breaks_it(text in "[a-z/;=\" +-]{0,40}") {
            let _ = number(&text);
        }
    }
}
