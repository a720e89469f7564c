#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use proptest::prelude::*;
use std::sync::Arc;
use windrose_event::{Principal, Proof};

pub(super) fn device(id: &str, owner: Option<&str>, groups: &[&str]) -> Identity {
    Identity {
        principal: Principal::Device { id: id.into(), owner: owner.map(Into::into) },
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        owned: Arc::from([]),
        proof: None,
    }
}

pub(super) fn owner(id: &str, owned: &[&str]) -> Identity {
    let mut owned: Vec<Arc<str>> = owned.iter().map(|id| Arc::from(*id)).collect();
    owned.sort();
    Identity { principal: Principal::Owner { id: id.into() }, owned: owned.into(), ..Identity::anonymous() }
}

pub(super) fn service(name: &str) -> Identity {
    Identity { principal: Principal::Service { name: name.into() }, ..Identity::anonymous() }
}

fn rules(list: &[(&str, &[Permission], &[&str])]) -> AccessRules {
    AccessRules::new(
        list.iter()
            .map(|(who, may, on)| {
                let on = on.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
                AccessRule::new(Who::parse(who).unwrap(), may, on)
            })
            .collect(),
    )
}

/// Whether the only rule, for anyone, lets `identity` publish on the path.
fn allows(pattern: &str, identity: &Identity, path: &str) -> bool {
    let rules = rules(&[("anyone", &[Permission::Publish], &[pattern])]);
    rules.permits(identity, Permission::Publish, &Address::new(path).unwrap())
}

fn allows_filter(pattern: &str, identity: &Identity, filter: &str) -> bool {
    let rules = rules(&[("anyone", &[Permission::Subscribe], &[pattern])]);
    rules.permits_filter(identity, Permission::Subscribe, &Filter::new(filter).unwrap())
}

#[test]
fn nothing_is_allowed_that_no_rule_allows() {
    let address = Address::new("a").unwrap();
    let me = device("car-7", None, &[]);
    assert!(!AccessRules::default().permits(&me, Permission::Publish, &address));
    let rules = rules(&[("device:*", &[Permission::Publish], &["#"])]);
    assert!(rules.permits(&me, Permission::Publish, &address));
    assert!(!rules.permits(&me, Permission::Read, &address), "another permission");
    assert!(!rules.permits(&service("s"), Permission::Publish, &address), "somebody else");
}

#[test]
fn what_a_rule_denies_no_other_rule_allows() {
    let pattern = |text: &str| vec![Pattern::new(text).unwrap()];
    let rules = AccessRules::new(vec![
        AccessRule::deny(Who::Device(Which::All), &[Permission::Subscribe], pattern("a/{device}/+")),
        AccessRule::new(Who::Anyone, &[Permission::Subscribe, Permission::Publish], pattern("#")),
    ]);
    let (car, other) = (device("car-7", None, &[]), service("s"));
    let filter = |text: &str| Filter::new(text).unwrap();
    let address = Address::new("a/car-7/x").unwrap();
    assert!(rules.permits(&car, Permission::Publish, &address), "another permission");
    assert!(!rules.permits(&car, Permission::Subscribe, &address));
    assert!(rules.permits(&other, Permission::Subscribe, &address), "somebody else");
    assert!(!rules.permits_filter(&car, Permission::Subscribe, &filter("a/car-7/+")));
    assert!(
        rules.permits_filter(&car, Permission::Subscribe, &filter("a/#")),
        "it matches more than is denied"
    );
    assert!(rules.withholds(&car, &address), "but what is denied is kept back");
    assert!(!rules.withholds(&other, &address));
    assert!(!rules.withholds(&car, &Address::new("a/car-8/x").unwrap()));
    let rules = AccessRules::new(vec![
        AccessRule::new(Who::Anyone, &[Permission::Administer], Vec::new()),
        AccessRule::deny(Who::Service(Which::All), &[Permission::Administer], Vec::new()),
    ]);
    assert!(rules.permits_administration(&car) && !rules.permits_administration(&other));
}

#[test]
fn rules_speak_of_those_they_name() {
    let car = device("car-7", Some("alice"), &["cars", "red"]);
    let alice = owner("alice", &["car-7"]);
    for (who, includes_car, includes_alice) in [
        ("anyone", true, true),
        ("anonymous", false, false),
        ("device:car-7", true, false),
        ("device:car-8", false, false),
        ("device:*", true, false),
        ("owner:alice", false, true),
        ("owner:*", false, true),
        ("group:red", true, false),
        ("group:*", true, false),
        ("group:blue", false, false),
        ("service:*", false, false),
    ] {
        let who = Who::parse(who).unwrap();
        assert_eq!(who.includes(&car), includes_car, "{who:?}");
        assert_eq!(who.includes(&alice), includes_alice, "{who:?}");
    }
    assert!(Who::Anonymous.includes(&Identity::anonymous()));
    for bad in ["", "everybody", "device", "device:", "devices:7", ":x"] {
        assert_eq!(Who::parse(bad), None, "{bad}");
    }
}

#[test]
fn placeholders_are_the_askers_own() {
    let car = device("car-7", Some("alice"), &[]);
    assert!(allows("devices/{device}/#", &car, "devices/car-7/telemetry"));
    assert!(allows("devices/{device}/#", &car, "devices/car-7"));
    assert!(!allows("devices/{device}/#", &car, "devices/car-8/telemetry"));
    assert!(!allows("devices/{device}/#", &car, "devices/car-77"), "not a beginning");
    assert!(allows("{owner}/x-{device}-y", &car, "alice/x-car-7-y"));
    assert!(!allows("{owner}/x-{device}-y", &car, "alice/x-car-7-"));
    assert!(!allows("devices/{device}", &service("car-7"), "devices/car-7"), "a service is no device");
    assert!(!allows("{owner}/a", &device("car-7", None, &[]), "/a"), "no owner is not an empty one");
}

/// Somebody whose token says this.
fn claiming(identity: Identity, claims: &[(&str, &str)]) -> Identity {
    let mut claims: Vec<_> =
        claims.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value))).collect();
    claims.sort();
    Identity { proof: Some(Arc::new(Proof { claims: claims.into(), ..Proof::default() })), ..identity }
}

#[test]
fn groups_and_claims_are_any_of_the_askers() {
    let car = device("car-7", None, &["red", "fast"]);
    assert!(allows("g/{group}/x", &car, "g/fast/x"));
    assert!(allows("g/x-{group}.{device}", &car, "g/x-red.car-7"));
    assert!(!allows("g/{group}/x", &car, "g/blue/x"));
    let ops = claiming(service("ops"), &[("site", "north"), ("site", "south"), ("role", "a/b")]);
    assert!(allows("s/{claim.site}/#", &ops, "s/south/x"));
    assert!(allows("s/{claim.site}-1", &ops, "s/north-1"));
    assert!(!allows("s/{claim.site}/#", &ops, "s/west/x"));
    assert!(!allows("s/{claim.role}/#", &ops, "s/a/b"), "a value with a slash is no level");
    assert!(!allows("s/{claim.none}/#", &ops, "s//x"));
    for (who, included) in
        [("claim:site=north", true), ("claim:site=*", true), ("claim:site=west", false), ("claim:x=*", false)]
    {
        assert_eq!(Who::parse(who).unwrap().includes(&ops), included, "{who}");
        let rules = rules(&[(who, &[Permission::Publish], &["#"])]);
        let address = Address::new("a").unwrap();
        assert_eq!(rules.permits(&ops, Permission::Publish, &address), included, "{who}");
    }
    for bad in ["claim:", "claim:site", "claim:site=", "claim:=north"] {
        assert_eq!(Who::parse(bad), None, "{bad}");
    }
}

#[test]
fn an_explanation_names_the_rule_and_those_that_came_near() {
    let rules = rules(&[
        ("device:*", &[Permission::Publish, Permission::Subscribe], &["devices/{device}/#"]),
        ("owner:*", &[Permission::Publish, Permission::Read], &["devices/{owned}/#"]),
        ("service:ops", &[Permission::Administer], &[]),
        ("group:garage", &[Permission::Publish], &["#"]),
    ]);
    let neighbour = owner("household-8", &["car-8", "boat"]);
    let ask = |permission, path| rules.explain(&neighbour, Question { permission, path });
    let allowed = ask(Permission::Publish, "devices/car-8/commands/radio");
    assert!(allowed.allowed);
    assert_eq!(
        allowed.to_string(),
        "allowed: owner:household-8 publish devices/car-8/commands/radio\n  a rule allows it, and none denies it:\n  \
         rule 2: owner:* may publish, read on devices/{owned}/#\n    `{owned}` is car-8"
    );
    assert_eq!(allowed.json()["by"]["filled"]["{owned}"], "car-8");
    let denied = ask(Permission::Publish, "devices/car-7/commands/radio");
    assert_eq!(
        denied.to_string(),
        "denied: owner:household-8 publish devices/car-7/commands/radio\n  no rule allows it\n  came near:\n  \
         rule 2: owner:* may publish, read on devices/{owned}/#\n    \
         other addresses: `devices/{owned}/# ({owned}: one of boat, car-8)`\n  \
         rule 4: group:garage may publish on #\n    somebody else: `group:garage`"
    );
    let other = ask(Permission::Request, "devices/boat/x");
    assert!(other.near[0].why.starts_with("something else: publish, read"));
    assert_eq!(ask(Permission::Administer, "").near[0].number, 3);
}

#[test]
fn an_explanation_says_what_is_denied_and_what_is_kept_back() {
    let pattern = |text: &str| vec![Pattern::new(text).unwrap()];
    let rules = AccessRules::new(vec![
        AccessRule::new(Who::Anyone, &[Permission::Subscribe], pattern("#")).at_line(4),
        AccessRule::deny(Who::Group(Which::All), &[Permission::Subscribe], pattern("secrets/#")).at_line(5),
    ]);
    let car = device("car-7", None, &["red"]);
    let ask = |path| rules.explain(&car, Question { permission: Permission::Subscribe, path });
    let denied = ask("secrets/1");
    assert_eq!(denied.by.as_ref().map(|by| (by.number, by.rule.line())), Some((2, 5)));
    assert_eq!(denied.near[0].number, 1, "it would have allowed it");
    let wide = ask("#");
    assert!(wide.allowed);
    assert_eq!(wide.withholding[0].why, "events at `secrets/#` are kept back");
    assert!(ask("public/#").withholding.is_empty());
    assert!(wide.to_string().contains("rule 2 (line 5): group:* may not subscribe on secrets/#"));
}

#[test]
fn owned_is_any_device_of_the_owner() {
    let alice = owner("alice", &["car-7", "boat", "car-10"]);
    assert!(allows("devices/{owned}/#", &alice, "devices/boat/x"));
    assert!(allows("devices/{owned}/#", &alice, "devices/car-10"));
    assert!(!allows("devices/{owned}/#", &alice, "devices/car-1/x"));
    assert!(allows("d/{owner}:{owned}.json", &alice, "d/alice:car-7.json"));
    assert!(allows("d/{owned}-{owner}", &alice, "d/boat-alice"));
    assert!(!allows("d/{owned}-{owner}", &alice, "d/-alice"));
    assert!(!allows("devices/{owned}", &device("boat", Some("alice"), &[]), "devices/boat"));
}

#[test]
fn names_with_wildcards_or_slashes_open_nothing() {
    for bad in ["+", "#", "a/b", "a+", ""] {
        let sly = device(bad, Some(bad), &[]);
        assert!(!allows_filter("devices/{device}/#", &sly, "devices/+/#"), "{bad:?}");
        assert!(!allows_filter("devices/{device}", &sly, "devices/#"), "{bad:?}");
        assert!(!allows("devices/{device}/#", &sly, "devices/a/b"), "{bad:?}");
        assert!(!allows_filter("d/{owned}", &owner("alice", &[bad]), "d/+"), "{bad:?}");
        assert!(!allows("d/{owned}", &owner("alice", &[bad]), "d/"), "{bad:?}");
    }
}

#[test]
fn the_nodes_own_addresses_need_a_rule_that_names_them() {
    let car = device("$SYS", Some("$SYS"), &[]);
    for open in ["#", "+/x", "{device}/x", "{device}/#", "{owner}/x"] {
        assert!(!allows(open, &car, "$SYS/x"), "{open}");
        assert!(!allows_filter(open, &car, "$SYS/#"), "{open}");
    }
    assert!(allows("$SYS/#", &car, "$SYS/x"));
    assert!(allows_filter("$SYS/#", &car, "$SYS/+"));
    assert!(allows_filter("#", &car, "#"), "which does not match them either");
}

#[test]
fn a_filter_is_allowed_only_if_one_rule_allows_all_that_it_matches() {
    let car = device("car-7", None, &[]);
    assert!(allows_filter("devices/{device}/#", &car, "devices/car-7/+/x"));
    assert!(allows_filter("devices/{device}/#", &car, "devices/car-7/#"));
    assert!(!allows_filter("devices/{device}/#", &car, "devices/+/x"));
    assert!(!allows_filter("devices/{device}/#", &car, "devices/#"));
    assert!(!allows_filter("devices/+", &car, "devices/#"));
    assert!(allows_filter("devices/+", &car, "devices/+"));
    assert!(!allows_filter("devices/car-7", &car, "devices/+"));
}

#[test]
fn administer_needs_no_address() {
    let rules = rules(&[("service:ops", &[Permission::Administer], &[])]);
    assert!(rules.permits_administration(&service("ops")));
    assert!(!rules.permits_administration(&service("other")));
    assert!(!rules.permits(&service("ops"), Permission::Publish, &Address::new("a").unwrap()));
}

#[test]
fn what_is_good_for_enrolling_is_good_for_nothing_else() {
    let all = [Permission::Publish, Permission::Subscribe, Permission::Enrol, Permission::Administer];
    let rules = rules(&[("anyone", &all, &["#"])]);
    let proof = Proof { enrols_only: true, ..Proof::default() };
    let new = Identity { proof: Some(Arc::new(proof)), ..device("car-7", None, &[]) };
    let (address, filter) = (Address::new("a").unwrap(), Filter::new("a/+").unwrap());
    assert!(rules.permits_always(&new, Permission::Enrol));
    assert!(!rules.permits_administration(&new));
    assert!(!rules.permits(&new, Permission::Publish, &address));
    assert!(!rules.permits_filter(&new, Permission::Subscribe, &filter));
}

#[test]
fn patterns_with_mistakes_are_refused() {
    assert!(matches!(Pattern::new("a/b#"), Err(PatternError::Filter(_))));
    assert_eq!(
        Pattern::new("a/{devise}/x").err(),
        Some(PatternError::UnknownPlaceholder("{devise}".to_owned()))
    );
    assert!(matches!(Pattern::new("a/{device"), Err(PatternError::UnknownPlaceholder(_))));
    assert!(matches!(Pattern::new("a/{claim.}"), Err(PatternError::UnknownPlaceholder(_))));
    assert_eq!(Pattern::new(&"a/".repeat(600)).err(), Some(PatternError::TooDeep));
    assert!(Pattern::new("{device}/{device}/{claim.a}/{claim.b}").is_ok());
    let twice = Placeholder::Claim("a".into());
    assert_eq!(Pattern::new("{claim.a}/x{claim.a}").err(), Some(PatternError::Twice(twice)));
    assert_eq!(Pattern::new("{owned}/{owned}").err(), Some(PatternError::Twice(Placeholder::Owned)));
}

proptest! {
    #[test]
    fn an_allowed_filter_matches_only_allowed_addresses(
        pattern in "(\\$s|a|b|\\+|\\{device\\}|x\\{owner\\}|\\{owned\\})(/(a|b|\\+|\\{device\\}))?(/(a|b|\\+|#))?",
        filter in "(\\$s|a|b|xb|\\+)(/(a|b|\\+|))?(/(a|b|\\+|#))?|#",
        address in "(\\$s|a|b|xb|)(/(a|b|))?(/(a|b|))?(/a)?",
        name in "a|b|\\$s|\\+",
        as_owner in any::<bool>(),
    ) {
        prop_assume!(!address.is_empty());
        let identity = match as_owner {
            true => owner(&name, &["b", &name]),
            false => device(&name, Some("b"), &[]),
        };
        let rules = rules(&[("anyone", &[Permission::Subscribe], &[&pattern])]);
        let filter = Filter::new(&filter).unwrap();
        let address = Address::new(address).unwrap();
        if filter.matches(address.as_str()) && rules.permits_filter(&identity, Permission::Subscribe, &filter) {
            prop_assert!(
                rules.permits(&identity, Permission::Subscribe, &address),
                "{pattern} allows {filter} to {identity}, but not {address}"
            );
        }
    }

    #[test]
    fn without_placeholders_a_pattern_allows_what_the_filter_matches(
        pattern in "(\\$s|a|b|\\+)(/(a|b|\\+))?(/(a|b|\\+|#))?|#",
        address in "(\\$s|a|b|)(/(a|b|))?(/(a|b|))?(/a)?",
    ) {
        prop_assume!(!address.is_empty());
        let matches = Filter::new(&pattern).unwrap().matches(&address);
        prop_assert_eq!(allows(&pattern, &Identity::anonymous(), &address), matches);
    }
}
