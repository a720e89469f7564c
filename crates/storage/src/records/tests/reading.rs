use super::*;

use windrose_event::Secret;
use windrose_identity::{CredentialKind, Listing, StatusFilter};

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

pub(super) fn a_device_is_found_by_all_that_it_has(desk: &Desk) {
    let hash = cheap("geheim");
    let with = |lookup, secret| NewCredential {
        lookup,
        secret,
        not_before: Some(before(9)),
        not_after: Some(after(9)),
    };
    let keys = windrose_identity::scram_keys(b"geheim").unwrap();
    let credentials = vec![
        with(Lookup::Username("car".into()), CredentialSecret::PasswordHash(secret(&hash))),
        with(Lookup::Scram("car".into()), CredentialSecret::ScramKeys(secret(&keys))),
        with(Lookup::Psk(vec![0, 255]), CredentialSecret::Psk(secret("0123456789"))),
        shown(Lookup::Subject("CN=car,O=Cars".into())),
        shown(Lookup::CommonName("car".into())),
        shown(Lookup::AlternativeName("urn:car".into())),
        shown(Lookup::Fingerprint([7; 32])),
        shown(Lookup::api_key(b"key")),
        with(
            Lookup::code(b"code"),
            CredentialSecret::Code { purpose: windrose_identity::CodePurpose::Enrol, used: false },
        ),
    ];
    let lookups: Vec<Lookup> = credentials.iter().map(|credential| credential.lookup.clone()).collect();
    let new = NewDevice {
        id: "car-7".into(),
        owner: Some("household".into()),
        groups: vec!["z".into(), "a".into(), "z".into()],
        attributes: "{\"model\":\"x\"}".into(),
        credentials,
    };
    desk.act(Act::AddDevice(new)).unwrap();
    desk.add("other", None, vec![shown(Lookup::CommonName("other".into()))]);
    for lookup in &lookups {
        let record = desk.find(lookup.clone()).unwrap();
        let Principal::Device { id, owner } = &record.principal else { panic!("a device") };
        assert_eq!((&**id, owner.as_deref()), ("car-7", Some("household")));
        assert_eq!(record.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["a", "z"]);
        assert_eq!((record.status, record.credentials.len()), (Status::Active, lookups.len()));
        let found: Vec<&Credential> =
            record.credentials.iter().filter(|credential| credential.lookup == *lookup).collect();
        assert!(found.len() == 1 && !found[0].revoked);
    }
    let record = desk.find(Lookup::Username("car".into())).unwrap();
    assert!(
        matches!(&record.credentials[0].secret, CredentialSecret::PasswordHash(its) if its.reveal() == hash.as_bytes())
    );
    assert!(record.credentials[0].not_after.unwrap() > writer::now());
    assert!(
        matches!(&record.credentials[2].secret, CredentialSecret::Psk(its) if its.reveal() == b"0123456789")
    );
    // One question for several things that a claim brings; what it is found by is told.
    let several =
        vec![Lookup::CommonName("nobody".into()), Lookup::CommonName("other".into()), lookups[6].clone()];
    let found = desk.wait(desk.database.find(several)).unwrap();
    let found: Vec<_> = found.iter().map(|(index, record)| (*index, record.subject().unwrap())).collect();
    assert_eq!(found, [(1, device("other")), (2, device("car-7"))]);
    assert!(desk.find(Lookup::Username("nobody".into())).is_none());
    assert!(desk.find(Lookup::Username("CAR".into())).is_none(), "as written");
    let by_credential = Subject::Credential(record.credentials[0].id.clone());
    assert_eq!(desk.record(by_credential).unwrap().subject(), Some(device("car-7")));
    assert_eq!(desk.record(Subject::Certificate([7; 32])).unwrap().subject(), Some(device("car-7")));
}

pub(super) fn an_owner_knows_its_devices(desk: &Desk) {
    for id in ["b", "a", "Z", "\u{e4}", "c"] {
        desk.add(id, Some("o"), vec![]);
    }
    desk.add("d", Some("p"), vec![]);
    desk.act(Act::AddCredential { subject: owner("o"), credential: shown(Lookup::api_key(b"o")) }).unwrap();
    let record = desk.find(Lookup::api_key(b"o")).unwrap();
    assert_eq!(record.principal, Principal::Owner { id: "o".into() });
    let owned: Vec<&str> = record.owned.iter().map(|id| &**id).collect();
    assert_eq!(owned, ["Z", "a", "b", "c", "\u{e4}"], "in the order of bytes, as they are searched");
    assert_eq!(desk.record(owner("p")).unwrap().owned.len(), 1);
    assert!(desk.record(owner("q")).is_none());
    desk.act(Act::AddService { name: "o".into(), groups: vec!["ops".into()] }).unwrap();
    assert_eq!(desk.record(Subject::Service("o".into())).unwrap().groups.len(), 1);
}

pub(super) fn lists_go_on_where_they_ended(desk: &Desk) {
    for number in 0..25 {
        let owner = if number % 2 == 0 { "even" } else { "odd" };
        let groups = if number % 5 == 0 { vec!["fifth".into()] } else { vec![] };
        let id = format!("d{number:02}").into();
        desk.act(Act::AddDevice(NewDevice { id, owner: Some(owner.into()), groups, ..Default::default() }))
            .unwrap();
    }
    desk.act(Act::Revoke { subject: device("d03"), reason: None }).unwrap();
    desk.act(Act::Quarantine { subject: device("d05"), until: after(60) }).unwrap();
    let list = |listing: Listing| -> Vec<String> {
        let listed = desk.wait(desk.database.list(listing)).unwrap();
        listed.iter().map(|summary| summary.id.to_string()).collect()
    };
    let devices = || Listing::of(Kind::Device);
    let mut all = Vec::new();
    loop {
        let some =
            list(Listing { after: all.last().map(|id: &String| id.as_str().into()), limit: 7, ..devices() });
        if some.is_empty() {
            break;
        }
        assert!(some.len() <= 7);
        all.extend(some);
    }
    assert_eq!(all, (0..25).map(|number| format!("d{number:02}")).collect::<Vec<_>>());
    assert_eq!(list(Listing { owner: Some("odd".into()), ..devices() }).len(), 12);
    assert_eq!(
        list(Listing { group: Some("fifth".into()), ..devices() }),
        ["d00", "d05", "d10", "d15", "d20"]
    );
    let both = Listing { owner: Some("even".into()), group: Some("fifth".into()), ..devices() };
    assert_eq!(list(both), ["d00", "d10", "d20"]);
    let status = |status| Listing { status: Some(status), ..devices() };
    assert_eq!(list(status(StatusFilter::Revoked)), ["d03"]);
    assert_eq!(list(status(StatusFilter::Quarantined)), ["d05"]);
    assert_eq!(list(status(StatusFilter::Active)).len(), 23);
    assert_eq!(list(Listing::of(Kind::Owner)), ["even", "odd"]);
    desk.act(Act::Revoke { subject: owner("odd"), reason: None }).unwrap();
    assert_eq!(list(status(StatusFilter::Revoked)).len(), 12);
    let counts = desk.wait(desk.database.counts()).unwrap();
    assert_eq!((counts.devices, counts.owners, counts.services), (25, 2, 0));
}

pub(super) fn details_tell_no_secret(desk: &Desk) {
    let hash = cheap("geheim");
    let credentials = vec![
        NewCredential {
            lookup: Lookup::Username("car".into()),
            secret: CredentialSecret::PasswordHash(secret(&hash)),
            not_before: None,
            not_after: None,
        },
        shown(Lookup::api_key(b"key")),
        NewCredential {
            lookup: Lookup::Psk(b"car".to_vec()),
            secret: CredentialSecret::Psk(secret("hush-hush")),
            not_before: None,
            not_after: None,
        },
    ];
    let new = NewDevice {
        id: "car".into(),
        owner: Some("o".into()),
        attributes: "{\"model\":{\"year\":2026}}".into(),
        credentials,
        ..Default::default()
    };
    desk.act(Act::AddDevice(new)).unwrap();
    desk.act(Act::Revoke { subject: device("car"), reason: Some("stolen".into()) }).unwrap();
    let details = desk.wait(desk.database.details(device("car"))).unwrap().unwrap();
    assert_eq!(details.reason.as_deref(), Some("stolen"));
    let kinds: Vec<CredentialKind> = details.credentials.iter().map(|credential| credential.kind).collect();
    assert_eq!(kinds, [CredentialKind::Password, CredentialKind::ApiKey, CredentialKind::Psk]);
    assert_eq!(details.credentials[0].name.as_deref(), Some("car"));
    let json = details.json();
    assert_eq!(json["attributes"]["model"]["year"], 2026);
    assert_eq!(json["status"], "revoked");
    let key = Lookup::api_key(b"key").text();
    for told in [format!("{details:?}"), json.to_string()] {
        for hidden in ["argon2", "hush", key.strip_prefix("key:").unwrap()] {
            assert!(!told.contains(hidden), "{told}");
        }
    }
    let id = &details.credentials[2].id;
    let (whose, credential) = desk.wait(desk.database.credential(id)).unwrap().unwrap();
    assert_eq!((whose, credential.kind), (device("car"), CredentialKind::Psk));
    assert!(desk.wait(desk.database.credential("no such")).unwrap().is_none());
    let of_owner = desk.wait(desk.database.details(owner("o"))).unwrap().unwrap();
    assert_eq!(of_owner.devices, 1);
    assert!(desk.wait(desk.database.details(device("nobody"))).unwrap().is_none());
}

pub(super) fn whatever_a_name_holds_is_a_name(desk: &Desk) {
    let names = [
        "'; DROP TABLE principals; --",
        "\" OR 1=1",
        "%",
        "_",
        "\\",
        "$1",
        "a;b",
        "\u{1f697}",
        "NULL",
        "' || '",
    ];
    for name in names {
        let name = if name.starts_with('$') { "1$1" } else { name };
        desk.add(name, Some(name), vec![shown(Lookup::CommonName(name.into()))]);
        desk.act(Act::SetGroups { subject: device(name), groups: vec![name.into()] }).unwrap();
    }
    for name in names {
        let name = if name.starts_with('$') { "1$1" } else { name };
        let record = desk.find(Lookup::CommonName(name.into())).unwrap();
        assert_eq!(record.subject(), Some(device(name)));
        assert_eq!(record.groups.iter().map(|group| &**group).collect::<Vec<_>>(), [name]);
        assert_eq!(desk.record(owner(name)).unwrap().owned.len(), 1);
        let listing =
            Listing { group: Some(name.into()), owner: Some(name.into()), ..Listing::of(Kind::Device) };
        assert_eq!(desk.wait(desk.database.list(listing)).unwrap().len(), 1, "{name}");
    }
}

pub(super) fn what_cannot_be_stored_is_not_there(desk: &Desk) {
    desk.add("d", None, vec![shown(Lookup::CommonName("d".into()))]);
    for odd in ["d\0", "\0", &"x".repeat(100_000)] {
        assert!(desk.find(Lookup::Username(odd.into())).is_none());
        assert!(desk.record(device(odd)).is_none());
        assert!(desk.wait(desk.database.details(owner(odd))).unwrap().is_none());
        assert!(desk.wait(desk.database.history(odd, None, 1)).unwrap().is_empty());
        let revoke = Act::Revoke { subject: device(odd), reason: None };
        assert!(matches!(desk.act(revoke), Err(RecordsError::NotFound(_))));
    }
    let both = vec![Lookup::CommonName("\0".into()), Lookup::CommonName("d".into())];
    assert_eq!(desk.wait(desk.database.find(both)).unwrap()[0].0, 1);
    let many = (0..257).map(|number| Lookup::CommonName(format!("{number}"))).collect();
    assert!(matches!(desk.wait(desk.database.find(many)), Err(RecordsError::Invalid(_))));
}

pub(super) fn changes_are_told_once_and_in_order(desk: &Desk) {
    assert_eq!(desk.newest(), 0);
    assert!(desk.changes(0).is_empty());
    desk.add("d", Some("o"), vec![]);
    let first = desk.newest();
    assert_eq!(desk.changes(0), [(owner("o"), false), (device("d"), false)]);
    desk.add("e", Some("o"), vec![]);
    assert_eq!(desk.changes(first), [(owner("o"), false), (device("e"), false)], "its owner owns more");
    let second = desk.newest();
    desk.act(Act::Transfer { device: "e".into(), owner: "p".into() }).unwrap();
    assert_eq!(desk.changes(second), [(owner("p"), false), (owner("o"), false), (device("e"), true)]);
    let third = desk.newest();
    assert!(desk.act(Act::Transfer { device: "e".into(), owner: "p".into() }).is_err());
    assert_eq!(desk.newest(), third, "what was not done changed nothing");
    // Whoever is asked for a number that was never there has seen another registry.
    let lost = desk.wait(desk.database.changes(third + 1)).unwrap();
    assert!(matches!(lost, Changes::Lost { newest } if newest == third));
    desk.database.handle.block_on(async {
        let sql = "DELETE FROM changes WHERE number <= $1";
        let binds = vec![i64::try_from(second).unwrap().into()];
        writer::query(sql, binds).execute(&desk.database.pools.write).await.unwrap();
    });
    assert!(
        matches!(desk.wait(desk.database.changes(first)).unwrap(), Changes::Lost { newest } if newest == third)
    );
    assert_eq!(desk.changes(second).len(), 3);
}
