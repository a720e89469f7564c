#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

struct Made {
    der: Bytes,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

fn root(name: &str) -> Made {
    let (params, key) = (params(name, true), KeyPair::generate().unwrap());
    let der = Bytes::copy_from_slice(params.self_signed(&key).unwrap().der());
    Made { der, issuer: Issuer::new(params, key) }
}

fn below(made: &Made, name: &str, is_ca: bool) -> Made {
    let (params, key) = (params(name, is_ca), KeyPair::generate().unwrap());
    let der = Bytes::copy_from_slice(params.signed_by(&key, &made.issuer).unwrap().der());
    Made { der, issuer: Issuer::new(params, key) }
}

fn path(anchors: &[&Made], leaf: &Made, sent: &[&Made]) -> Vec<Bytes> {
    let anchors = Anchors::new(anchors.iter().map(|made| made.der.clone()));
    let (_, leaf) = X509Certificate::from_der(&leaf.der).unwrap();
    anchors.above(&leaf, sent.iter().map(|made| &made.der[..])).into_iter().map(|above| above.der).collect()
}

#[test]
fn the_path_goes_by_what_was_sent_up_to_an_anchor() {
    let root = root("root");
    let issuing = below(&root, "issuing", true);
    let leaf = below(&issuing, "car-7", false);
    let whole = [issuing.der.clone(), root.der.clone()];
    assert_eq!(path(&[&root], &leaf, &[&issuing]), whole);
    // Who sends too much, or in another order, changes nothing.
    assert_eq!(path(&[&root], &leaf, &[&root, &leaf, &issuing, &issuing]), whole);
    // An issuing authority that is trusted itself is the end, unless what stands above it is trusted, too.
    assert_eq!(path(&[&issuing], &leaf, &[]), whole[..1]);
    assert_eq!(path(&[&issuing, &root], &leaf, &[]), whole);
}

#[test]
fn among_authorities_of_one_name_the_one_that_signed_stands_above() {
    let (one, other) = (root("maker"), root("maker"));
    let leaf = below(&one, "car-7", false);
    for anchors in [[&one, &other], [&other, &one]] {
        assert_eq!(path(&anchors, &leaf, &[]), vec![one.der.clone()]);
    }
    // A stranger of that name that comes along helps nobody.
    assert_eq!(path(&[&other, &one], &leaf, &[&other]), vec![one.der.clone()]);
    let trusted = root("trusted");
    let namesake = below(&trusted, "maker", true);
    let leaf = below(&namesake, "car-7", false);
    assert_eq!(path(&[&one, &trusted], &leaf, &[&namesake]), [namesake.der.clone(), trusted.der.clone()]);
    // Nobody who is no authority stands above anybody.
    let device = below(&one, "device", false);
    let leaf = below(&device, "car-7", false);
    assert!(path(&[&one], &leaf, &[&device]).is_empty());
}

#[test]
fn authorities_that_sign_each_other_end() {
    let (one, other) = (root("one"), root("other"));
    let cross = |by: &Made, of: &Made, name| {
        let der = params(name, true).signed_by(of.issuer.key(), &by.issuer).unwrap();
        Bytes::copy_from_slice(der.der())
    };
    let (a, b) = (cross(&other, &one, "one"), cross(&one, &other, "other"));
    let leaf = below(&one, "car-7", false);
    let anchors = Anchors::new([a, b]);
    assert!(anchors.iter().count() == 2);
    let (_, parsed) = X509Certificate::from_der(&leaf.der).unwrap();
    assert_eq!(anchors.above(&parsed, std::iter::empty()).len(), 2);
}
