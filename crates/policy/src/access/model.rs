//! The rules as they are meant, one after another, against the rules as they are compiled.

#![allow(clippy::unwrap_used)]

use super::tests::{device, owner, service};
use super::*;
use proptest::prelude::*;
use std::sync::Arc;
use windrose_event::{Principal, Proof};

/// What a list of rules says, taken literally.
fn naive(rules: &[AccessRule], identity: &Identity, permission: Permission, path: &str) -> bool {
    let says = |rule: &&AccessRule| {
        rule.who().includes(identity)
            && rule.permissions().contains(&permission)
            && (is_general(permission)
                || rule.on().iter().any(|pattern| pattern.covers(identity, path.as_bytes())))
    };
    let allowed = rules.iter().filter(|rule| !rule.denies()).any(|rule| says(&rule));
    allowed && !rules.iter().filter(|rule| rule.denies()).any(|rule| says(&rule))
}

fn naive_withholds(rules: &[AccessRule], identity: &Identity, address: &str) -> bool {
    rules.iter().any(|rule| {
        rule.denies()
            && rule.who().includes(identity)
            && rule.permissions().contains(&Permission::Subscribe)
            && rule.covering(identity, address).is_some()
    })
}

const PERMISSIONS: [Permission; 6] = [
    Permission::Publish,
    Permission::Subscribe,
    Permission::Read,
    Permission::Request,
    Permission::Enrol,
    Permission::Administer,
];

/// Few names, so that they meet.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[abc]", 1 => Just("$s".to_owned()), 1 => Just("ab".to_owned()), 1 => "\\+|#|a/b"]
}

fn who() -> impl Strategy<Value = Who> {
    let which = prop_oneof![1 => Just("*".to_owned()), 3 => name()];
    prop_oneof![
        2 => Just("anyone".to_owned()),
        1 => Just("anonymous".to_owned()),
        8 => ("device|owner|group|service|claim:role|claim:x", which).prop_map(|(kind, which)| {
            let between = if kind.starts_with("claim") { '=' } else { ':' };
            format!("{kind}{between}{which}")
        }),
    ]
    .prop_map(|text| Who::parse(&text).unwrap_or(Who::Anyone))
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let placeholder = "\\{(device|owner|owned|group|claim\\.role|claim\\.x)\\}";
    let level = prop_oneof![
        6 => "[abc]|\\$s|ab|",
        3 => Just("+".to_owned()),
        4 => placeholder,
        2 => ("[ab]?", placeholder, "[ab]?", "(\\{(owner|device)\\})?", "[ab]?")
            .prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat()),
    ];
    (proptest::collection::vec(level, 1..5), prop::bool::weighted(0.3)).prop_filter_map(
        "a pattern",
        |(mut levels, rest)| {
            if rest {
                levels.push("#".to_owned());
            }
            Pattern::new(&levels.join("/")).ok()
        },
    )
}

fn rule() -> impl Strategy<Value = AccessRule> {
    let permissions = proptest::sample::subsequence(&PERMISSIONS[..], 1..4);
    let on = proptest::collection::vec(pattern(), 0..3);
    (prop::bool::weighted(0.3), who(), permissions, on).prop_map(
        |(denies, who, permissions, on)| match denies {
            true => AccessRule::deny(who, &permissions, on),
            false => AccessRule::new(who, &permissions, on),
        },
    )
}

fn identity() -> impl Strategy<Value = Identity> {
    let somebody = prop_oneof![
        Just(Identity::anonymous()),
        (name(), proptest::option::of(name())).prop_map(|(id, owner)| device(&id, owner.as_deref(), &[])),
        (name(), proptest::collection::vec(name(), 0..4))
            .prop_map(|(id, owned)| { owner(&id, &owned.iter().map(String::as_str).collect::<Vec<_>>()) }),
        name().prop_map(|name| service(&name)),
    ];
    let groups = proptest::collection::vec(name(), 0..3);
    let claims = proptest::collection::btree_set(("role|x|y", name()), 0..4);
    (somebody, groups, claims).prop_map(|(somebody, groups, claims)| {
        let claims = claims.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let groups = match somebody.principal {
            Principal::Anonymous => Arc::default(),
            _ => groups.iter().map(|group| Arc::from(group.as_str())).collect(),
        };
        Identity { groups, proof: Some(Arc::new(Proof { claims, ..Proof::default() })), ..somebody }
    })
}

fn path() -> impl Strategy<Value = String> {
    let level = prop_oneof![8 => "[abc]|ab|ba|aab|aba|\\$s|", 1 => Just("+".to_owned())];
    (proptest::collection::vec(level, 1..5), prop::bool::weighted(0.2)).prop_filter_map(
        "a path",
        |(mut levels, rest)| {
            if rest {
                levels.push("#".to_owned());
            }
            let path = levels.join("/");
            (!path.is_empty()).then_some(path)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn compiled_rules_say_what_the_rules_say(
        rules in proptest::collection::vec(rule(), 0..25),
        identity in identity(),
        paths in proptest::collection::vec(path(), 1..10),
    ) {
        let compiled = AccessRules::new(rules.clone());
        for path in &paths {
            let (address, filter) = (Address::new(path.as_str()), Filter::new(path).unwrap());
            for permission in PERMISSIONS {
                let expected = naive(&rules, &identity, permission, path);
                prop_assert_eq!(compiled.permits_filter(&identity, permission, &filter), expected);
                if let Ok(address) = &address {
                    prop_assert_eq!(compiled.permits(&identity, permission, address), expected);
                }
                if is_general(permission) {
                    prop_assert_eq!(compiled.permits_always(&identity, permission), expected);
                }
                let explained = compiled.explain(&identity, Question { permission, path });
                prop_assert_eq!(explained.allowed, expected, "{}", explained);
            }
            if let Ok(address) = &address {
                let expected = naive_withholds(&rules, &identity, path);
                prop_assert_eq!(compiled.withholds(&identity, address), expected);
            }
        }
    }

    #[test]
    fn what_is_said_to_be_kept_back_is(
        rules in proptest::collection::vec(rule(), 0..8),
        identity in identity(),
        filter in path(),
        address in path(),
    ) {
        let compiled = AccessRules::new(rules);
        let wide = Filter::new(&filter).unwrap();
        let Ok(address) = Address::new(address) else { return Ok(()) };
        let explained = compiled.explain(&identity, Question { permission: Permission::Subscribe, path: &filter });
        if explained.allowed && wide.matches(address.as_str()) && compiled.withholds(&identity, &address) {
            prop_assert!(!explained.withholding.is_empty(), "{} keeps {} back", explained, address);
        }
    }
}
