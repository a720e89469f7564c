#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn json(form: Form, hex: &str) -> Result<String, String> {
    let text = to_json(form, &bytes(hex), 10_000).map_err(|rejection| rejection.to_string())?;
    Ok(String::from_utf8(text).unwrap())
}

fn plain(hex: &str) -> String {
    json(Form::Plain, hex).unwrap()
}

/// RFC 8949, appendix A: encodings and what they are in JSON by §6.1.
const EXAMPLES: &[(&str, &str)] = &[
    ("00", "0"),
    ("01", "1"),
    ("0a", "10"),
    ("17", "23"),
    ("1818", "24"),
    ("1819", "25"),
    ("1864", "100"),
    ("1903e8", "1000"),
    ("1a000f4240", "1000000"),
    ("1b000000e8d4a51000", "1000000000000"),
    ("1bffffffffffffffff", "18446744073709551615"),
    ("c249010000000000000000", "\"AQAAAAAAAAAA\""),
    ("3bffffffffffffffff", "-18446744073709551616"),
    ("c349010000000000000000", "\"~AQAAAAAAAAAA\""),
    ("20", "-1"),
    ("29", "-10"),
    ("3863", "-100"),
    ("3903e7", "-1000"),
    ("f90000", "0.0"),
    ("f98000", "-0.0"),
    ("f93c00", "1.0"),
    ("fb3ff199999999999a", "1.1"),
    ("f93e00", "1.5"),
    ("f97bff", "65504.0"),
    ("fa47c35000", "100000.0"),
    ("fa7f7fffff", "3.4028234663852886e+38"),
    ("fb7e37e43c8800759c", "1e+300"),
    ("f90001", "5.960464477539063e-8"),
    ("f90400", "0.00006103515625"),
    ("f9c400", "-4.0"),
    ("fbc010666666666666", "-4.1"),
    ("f97c00", "null"),
    ("f97e00", "null"),
    ("f9fc00", "null"),
    ("fa7f800000", "null"),
    ("fa7fc00000", "null"),
    ("faff800000", "null"),
    ("fb7ff0000000000000", "null"),
    ("fb7ff8000000000000", "null"),
    ("fbfff0000000000000", "null"),
    ("f4", "false"),
    ("f5", "true"),
    ("f6", "null"),
    ("f7", "null"),
    ("f0", "null"),
    ("f8ff", "null"),
    ("c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""),
    ("c11a514b67b0", "1363896240"),
    ("c1fb41d452d9ec200000", "1363896240.5"),
    ("d74401020304", "\"01020304\""),
    ("d818456449455446", "\"ZElFVEY\""),
    ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", "\"http://www.example.com\""),
    ("40", "\"\""),
    ("4401020304", "\"AQIDBA\""),
    ("60", "\"\""),
    ("6161", "\"a\""),
    ("6449455446", "\"IETF\""),
    ("62225c", "\"\\\"\\\\\""),
    ("62c3bc", "\"\u{fc}\""),
    ("63e6b0b4", "\"\u{6c34}\""),
    ("64f0908591", "\"\u{10151}\""),
    ("80", "[]"),
    ("83010203", "[1,2,3]"),
    ("8301820203820405", "[1,[2,3],[4,5]]"),
    (
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]",
    ),
    ("a0", "{}"),
    ("a26161016162820203", "{\"a\":1,\"b\":[2,3]}"),
    ("826161a161626163", "[\"a\",{\"b\":\"c\"}]"),
    (
        "a56161614161626142616361436164614461656145",
        "{\"a\":\"A\",\"b\":\"B\",\"c\":\"C\",\"d\":\"D\",\"e\":\"E\"}",
    ),
    ("5f42010243030405ff", "\"AQIDBAU\""),
    ("7f657374726561646d696e67ff", "\"streaming\""),
    ("9fff", "[]"),
    ("9f018202039f0405ffff", "[1,[2,3],[4,5]]"),
    ("9f01820203820405ff", "[1,[2,3],[4,5]]"),
    ("83018202039f0405ff", "[1,[2,3],[4,5]]"),
    ("bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"),
    ("826161bf61626163ff", "[\"a\",{\"b\":\"c\"}]"),
    ("bf6346756ef563416d7421ff", "{\"Fun\":true,\"Amt\":-2}"),
];

#[test]
fn the_examples_of_the_standard_read_as_it_says() {
    for (cbor, text) in EXAMPLES {
        assert_eq!(plain(cbor), *text, "{cbor}");
    }
}

#[test]
fn hints_how_bytes_are_written_hold_for_all_that_is_inside() {
    assert_eq!(plain("d5 82 41ff 41fe"), "[\"_w\",\"_g\"]");
    assert_eq!(plain("d6 82 41ff a1 61 61 41fe"), "[\"/w==\",{\"a\":\"/g==\"}]");
    assert_eq!(plain("82 d7 41ff 41ff"), "[\"FF\",\"_w\"]");
}

#[test]
fn what_is_no_json_is_refused_and_the_reason_is_told() {
    for (cbor, why) in [
        ("a10102", "no text"),
        ("a14101f6", "no text"),
        ("a2616101616102", "'a' twice"),
        ("a26161017f6161ff02", "'a' twice"),
        ("", "end of input"),
        ("8301", "end of input"),
        ("9f01", "end of input"),
        ("bf6161ff", "cannot come here"),
        ("ff", "cannot come here"),
        ("0000", "more follows"),
        ("62c328", "utf-8"),
        ("1c", "cannot come here"),
        ("f810", "simple"),
        ("7f4101ff", "expected text"),
        ("c201", "bytes must"),
        ("9bffffffffffffffff", "end of input"),
        ("bbffffffffffffffff", "end of input"),
        ("5bffffffffffffffff", "end of input"),
        ("7bffffffffffffffff", "end of input"),
    ] {
        let error = json(Form::Plain, cbor).unwrap_err();
        assert!(error.starts_with("bad_payload: ") && error.to_lowercase().contains(why), "{cbor}: {error}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = |levels: usize| json(Form::Plain, &("81".repeat(levels) + "00"));
    assert_eq!(deep(MOST_DEPTH).unwrap().len(), 2 * MOST_DEPTH + 1);
    assert!(deep(MOST_DEPTH + 1).unwrap_err().contains("levels deep"));
    assert!(json(Form::Plain, &("c1".repeat(100_000) + "00")).unwrap_err().contains("levels deep"));
    let long = [&bytes("998000")[..], &[0xf7; 0x8000]].concat();
    let rejection = to_json(Form::Plain, &long, 100_000).unwrap_err();
    assert_eq!(rejection.cause, Cause::TooLarge);
    assert!(to_json(Form::Plain, &long, 200_000).is_ok());
}

/// RFC 8428 §6, the pack of §5.1.3 in CBOR, and what §5.1.3 has.
#[test]
fn the_pack_of_the_standard_is_the_same_in_both() {
    let cbor = "87 a7 21 78 1b 75726e3a6465763a6f773a3130653230373361303130383030363a 22 fb 41d303a15b00106
        2 23 61 41 20 05 00 67 766f6c74616765 01 61 56 02 fb 405e066666666666 a3 00 67 63757272656e74 06 24
        02 fb 3ff3333333333333 a3 00 67 63757272656e74 06 23 02 fb 3ff4cccccccccccd a3 00 67
        63757272656e74 06 22 02 fb 3ff6666666666666 a3 00 67 63757272656e74 06 21 02 f9 3e00 a3 00 67
        63757272656e74 06 20 02 fb 3ff999999999999a a3 00 67 63757272656e74 06 00 02 fb 3ffb333333333333";
    let expected = json!([
        {"bn": "urn:dev:ow:10e2073a0108006:", "bt": 1.276020076001e+09, "bu": "A", "bver": 5,
         "n": "voltage", "u": "V", "v": 120.1},
        {"n": "current", "t": -5, "v": 1.2},
        {"n": "current", "t": -4, "v": 1.3},
        {"n": "current", "t": -3, "v": 1.4},
        {"n": "current", "t": -2, "v": 1.5},
        {"n": "current", "t": -1, "v": 1.6},
        {"n": "current", "t": 0, "v": 1.7}
    ]);
    let text = json(Form::Senml, cbor).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let (media, again) = to_cbor("application/senml+json", text.as_bytes()).unwrap();
    assert_eq!(media, "application/senml+cbor");
    let again = to_json(Form::Senml, &again, 10_000).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), expected);
}

#[test]
fn senml_has_its_own_names_numbers_and_bytes() {
    assert_eq!(
        json(Form::Senml, "81a7 25 01 24 02 03 6161 04 f5 07 0a 08 42ffff 6378795f 03").unwrap(),
        r#"[{"bs":1,"bv":2,"vs":"a","vb":true,"ut":10,"vd":"__8","xy_":3}]"#
    );
    assert_eq!(json(Form::Senml, "81a1 02 c482 21 196ab3").unwrap(), r#"[{"v":27315e-2}]"#);
    assert_eq!(plain("c48221196ab3"), "[-2,27315]", "in other CBOR it is a tag like any other");
    for (cbor, why) in [
        ("81a11829f6", "no label 41"),
        ("a10001", "an array of maps"),
        ("8101", "an array of maps"),
        ("81a20001616e02", "'n' twice"),
        ("81a102c482 19ffff 01", "too large"),
        ("81a102c48101", "exponent"),
    ] {
        let error = json(Form::Senml, cbor).unwrap_err();
        assert!(error.contains(why), "{cbor}: {error}");
    }
    let (_, cbor) = to_cbor("application/senml+json", br#"[{"n":"a","vd":"__8","xy_":1}]"#).unwrap();
    assert_eq!(cbor, bytes("81 a3 00 6161 08 42ffff 6378795f 01"));
    for no_pack in ["{}", "[1]", r#"[{"vd":"*"}]"#] {
        assert_eq!(to_cbor("application/senml+json", no_pack.as_bytes()), None, "{no_pack}");
    }
}

#[test]
fn numbers_become_as_short_as_their_values_allow() {
    for (text, cbor) in [
        ("0", "00"),
        ("-1", "20"),
        ("24", "1818"),
        ("18446744073709551615", "1bffffffffffffffff"),
        ("1.0", "f93c00"),
        ("1.5", "f93e00"),
        ("-0.0", "f98000"),
        ("100000.0", "fa47c35000"),
        ("1.1", "fb3ff199999999999a"),
        ("1e300", "fb7e37e43c8800759c"),
        ("5.960464477539063e-8", "f90001"),
        ("[true,false,null,\"a\"]", "84f5f4f66161"),
        ("{\"a\":{}}", "a16161a0"),
    ] {
        let (media, found) = to_cbor("application/json; charset=utf-8", text.as_bytes()).unwrap();
        assert_eq!((media, found), ("application/cbor", bytes(cbor)), "{text}");
    }
    assert_eq!(to_cbor("application/json", b"{"), None);
    assert_eq!(to_cbor("application/problem+json", b"{}"), None);
    assert_eq!(to_cbor("text/plain", b"1"), None);
}

#[test]
fn media_types_are_told_whatever_their_case_and_parameters() {
    assert_eq!(Form::of_cbor("application/CBOR"), Some(Form::Plain));
    assert_eq!(Form::of_cbor("application/senml+cbor; usv=1"), Some(Form::Senml));
    assert_eq!(
        Form::of_cbor("application/senml-etch+cbor").map(Form::json),
        Some("application/senml-etch+json")
    );
    for other in ["", "application/json", "application/cwt+cbor", "application/cbor-seq"] {
        assert_eq!(Form::of_cbor(other), None, "{other}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |value| value.is_finite()).prop_map(Value::from),
        any::<f32>().prop_filter("JSON has no such number", |value| value.is_finite()).prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        ".*".prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_the_same_after_a_journey_through_cbor(value in any_json()) {
        let text = serde_json::to_vec(&value).unwrap();
        let (_, cbor) = to_cbor("application/json", &text).unwrap();
        let back = to_json(Form::Plain, &cbor, usize::MAX).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&back).unwrap(), value);
    }

    #[test]
    fn no_bytes_do_harm_and_what_is_written_is_json(cbor in prop::collection::vec(any::<u8>(), 0..200)) {
        for form in [Form::Plain, Form::Senml] {
            if let Ok(text) = to_json(form, &cbor, 4_000) {
                prop_assert!(text.len() <= 4_000);
                prop_assert!(serde_json::from_slice::<Value>(&text).is_ok(), "{:?}", text);
            }
        }
    }
}
