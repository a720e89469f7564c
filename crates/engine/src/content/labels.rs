//! Labels of SenML: short numbers in CBOR, names in JSON (RFC 8428 §6, table 4).

const LABELS: [(i64, &str); 15] = [
    (-6, "bs"),
    (-5, "bv"),
    (-4, "bu"),
    (-3, "bt"),
    (-2, "bn"),
    (-1, "bver"),
    (0, "n"),
    (1, "u"),
    (2, "v"),
    (3, "vs"),
    (4, "vb"),
    (5, "s"),
    (6, "t"),
    (7, "ut"),
    (8, "vd"),
];

/// The name of bytes, which JSON has as text in base64url.
pub(super) const DATA: &str = "vd";

/// The name of a label.
pub(super) fn name(label: i128) -> Option<&'static str> {
    LABELS.iter().find(|(known, _)| i128::from(*known) == label).map(|(_, name)| *name)
}

/// The label of a name. One that has none keeps its name in CBOR, too.
pub(super) fn label(name: &str) -> Option<i64> {
    LABELS.iter().find(|(_, known)| *known == name).map(|(label, _)| *label)
}
