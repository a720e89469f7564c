use super::*;
use windrose_identity::{CodePurpose, IssuedCertificate};

fn code(
    desk: &Desk,
    id: &str,
    code: &[u8],
    purpose: CodePurpose,
    until: Timestamp,
) -> Result<(), RecordsError> {
    desk.act(Act::AddCode { device: id.into(), code: Lookup::code(code), purpose, until })
}

fn certificate(number: u8) -> IssuedCertificate {
    IssuedCertificate {
        fingerprint: [number; 32],
        serial: vec![number; 16],
        issuer: [1; 32],
        not_before: before(9),
        not_after: after(99),
    }
}

fn credential_of(desk: &Desk, lookup: Lookup) -> Arc<str> {
    let record = desk.find(lookup.clone()).unwrap();
    let credential = record.credentials.iter().find(|credential| credential.lookup == lookup).unwrap();
    credential.id.clone()
}

fn status(desk: &Desk, subject: Subject) -> Status {
    desk.record(subject).unwrap().status
}

pub(super) fn owners_change_and_history_stays(desk: &Desk) {
    desk.add("car", None, vec![]);
    let claim = |owner: &str, code: Option<&[u8]>| {
        desk.act(Act::Claim { device: "car".into(), owner: owner.into(), code: code.map(Lookup::code) })
    };
    claim("ann", None).unwrap();
    assert!(claim("ben", None).unwrap_err().to_string().contains("is somebody's"));
    desk.act(Act::Transfer { device: "car".into(), owner: "ben".into() }).unwrap();
    assert!(desk.record(owner("ann")).unwrap().owned.is_empty());
    assert_eq!(desk.record(owner("ben")).unwrap().owned.len(), 1);
    code(desk, "car", b"bens", CodePurpose::Claim, after(60)).unwrap();
    desk.act(Act::Release { device: "car".into() }).unwrap();
    assert!(claim("ann", Some(b"bens")).is_err(), "what the last owner had a code for is not his any more");
    claim("cleo", None).unwrap();
    desk.act(Act::Remove(device("car"))).unwrap();
    assert!(desk.record(device("car")).is_none());
    let history = desk.wait(desk.database.history("car", None, 100)).unwrap();
    let told: Vec<_> =
        history.iter().map(|one| (one.act, one.before.as_deref(), one.after.as_deref())).collect();
    let expected = [
        ("removed", Some("cleo"), None),
        ("claimed", None, Some("cleo")),
        ("released", Some("ben"), None),
        ("transferred", Some("ann"), Some("ben")),
        ("claimed", None, Some("ann")),
        ("added", None, None),
    ];
    assert_eq!(told, expected);
    assert!(history.iter().all(|one| &*one.by == "test" && one.at > before(60)));
    let older = desk.wait(desk.database.history("car", Some(history[1].number), 2)).unwrap();
    assert_eq!(older, history[2..4]);
    desk.add("car", Some("dora"), vec![]);
    assert_eq!(desk.wait(desk.database.history("car", None, 1)).unwrap()[0].number, 7, "it goes on");
    desk.act(Act::Remove(owner("dora"))).unwrap();
    assert_eq!(
        desk.record(device("car")).unwrap().principal,
        Principal::Device { id: "car".into(), owner: None }
    );
}

pub(super) fn a_code_is_good_once(desk: &Desk) {
    desk.add("a", None, vec![]);
    desk.add("b", None, vec![]);
    code(desk, "a", b"1", CodePurpose::Claim, after(60)).unwrap();
    let taken = code(desk, "b", b"1", CodePurpose::Claim, after(60)).unwrap_err();
    assert!(matches!(taken, RecordsError::Conflict(_)), "{taken}");
    code(desk, "a", b"over", CodePurpose::Claim, before(1)).unwrap();
    code(desk, "a", b"enrol", CodePurpose::Enrol, after(60)).unwrap();
    let claim = |id: &str, code: &[u8]| {
        let (device, owner) = (id.into(), "o".into());
        desk.act(Act::Claim { device, owner, code: Some(Lookup::code(code)) })
            .map_err(|error| error.to_string())
    };
    assert!(claim("b", b"1").unwrap_err().contains("not for claiming that device"));
    assert!(claim("a", b"2").unwrap_err().contains("not for claiming that device"));
    assert!(claim("a", b"enrol").unwrap_err().contains("not for claiming that device"));
    assert!(claim("a", b"over").unwrap_err().contains("is over"));
    claim("a", b"1").unwrap();
    desk.act(Act::Release { device: "a".into() }).unwrap();
    assert!(claim("a", b"1").unwrap_err().contains("was used already"));
}

pub(super) fn a_certificate_costs_a_code(desk: &Desk) {
    desk.add("car", Some("o"), vec![]);
    desk.add("bus", Some("o"), vec![]);
    code(desk, "car", b"1", CodePurpose::Enrol, after(60)).unwrap();
    code(desk, "car", b"over", CodePurpose::Enrol, before(1)).unwrap();
    let good = credential_of(desk, Lookup::code(b"1"));
    let over = credential_of(desk, Lookup::code(b"over"));
    let issue = |id: &str, code: Option<&Arc<str>>, number| {
        let certificate = certificate(number);
        desk.act(Act::Issue { device: id.into(), adopt: false, code: code.cloned(), certificate })
    };
    assert!(issue("car", Some(&over), 1).unwrap_err().to_string().contains("is over"));
    assert!(issue("bus", Some(&good), 2).is_err(), "another device's code");
    issue("car", Some(&good), 3).unwrap();
    assert!(issue("car", Some(&good), 4).unwrap_err().to_string().contains("was used already"));
    assert!(desk.find(Lookup::Fingerprint([4; 32])).is_none(), "whole or not at all");
    let record = desk.find(Lookup::Fingerprint([3; 32])).unwrap();
    let used = record.credentials.iter().find(|credential| credential.id == good).unwrap();
    assert!(matches!(used.secret, CredentialSecret::Code { used: true, purpose: CodePurpose::Enrol }));
    let its = record.credentials.iter().find(|its| its.lookup == Lookup::Fingerprint([3; 32])).unwrap();
    assert!(its.not_before.is_some() && its.not_after.is_some());
    // A renewal costs none; whoever is not let in gets none.
    issue("car", None, 5).unwrap();
    desk.act(Act::Revoke { subject: owner("o"), reason: None }).unwrap();
    assert!(issue("car", None, 6).unwrap_err().to_string().contains("has an owner who is revoked"));
    let revoked = desk.wait(desk.database.revoked_certificates([1; 32])).unwrap();
    assert_eq!(revoked.len(), 2);
    assert!(revoked.iter().all(|one| one.hold), "they are good again with their owner");
    assert!(desk.wait(desk.database.revoked_certificates([2; 32])).unwrap().is_empty(), "another issuer's");
    desk.act(Act::Reinstate { subject: owner("o") }).unwrap();
    assert!(desk.wait(desk.database.revoked_certificates([1; 32])).unwrap().is_empty());
    desk.act(Act::Revoke { subject: Subject::Certificate([5; 32]), reason: Some("keyCompromise".into()) })
        .unwrap();
    let revoked = desk.wait(desk.database.revoked_certificates([1; 32])).unwrap();
    assert_eq!((revoked.len(), &revoked[0].serial, revoked[0].hold), (1, &vec![5; 16], false));
    assert_eq!(revoked[0].reason.as_deref(), Some("keyCompromise"));
}

pub(super) fn an_unknown_device_is_adopted(desk: &Desk) {
    let issue = |adopt, number| {
        let certificate = certificate(number);
        desk.act(Act::Issue { device: "new".into(), adopt, code: None, certificate })
    };
    assert!(matches!(issue(false, 1), Err(RecordsError::NotFound(_))));
    issue(true, 1).unwrap();
    issue(true, 2).unwrap();
    let record = desk.find(Lookup::Fingerprint([1; 32])).unwrap();
    assert_eq!((record.credentials.len(), record.subject()), (2, Some(device("new"))));
    assert!(matches!(issue(true, 2), Err(RecordsError::Conflict(_))), "the same one again");
}

pub(super) fn revoked_is_found_and_refused(desk: &Desk) {
    desk.add("car", None, vec![shown(Lookup::Fingerprint([1; 32])), shown(Lookup::CommonName("car".into()))]);
    let id = credential_of(desk, Lookup::Fingerprint([1; 32]));
    let since = desk.newest();
    desk.act(Act::Revoke { subject: Subject::Credential(id.clone()), reason: None }).unwrap();
    let told = desk.changes(since);
    let expected = [
        (Subject::Credential(id.clone()), true),
        (device("car"), false),
        (Subject::Certificate([1; 32]), true),
    ];
    assert_eq!(told, expected);
    let record = desk.find(Lookup::Fingerprint([1; 32])).unwrap();
    assert!(record.credentials.iter().find(|its| its.id == id).unwrap().revoked);
    assert!(!desk.find(Lookup::CommonName("car".into())).unwrap().credentials[1].revoked);
    let again =
        Act::AddCredential { subject: device("car"), credential: shown(Lookup::CommonName("car".into())) };
    assert!(matches!(desk.act(again), Err(RecordsError::Conflict(_))));
    assert!(
        desk.act(Act::Reinstate { subject: Subject::Credential(id) }).is_err(),
        "a certificate stays revoked"
    );
    // What was revoked can be found by the same again, and then is.
    let name = credential_of(desk, Lookup::CommonName("car".into()));
    desk.act(Act::Revoke { subject: Subject::Credential(name.clone()), reason: None }).unwrap();
    desk.add("bus", None, vec![shown(Lookup::CommonName("car".into()))]);
    assert_eq!(desk.find(Lookup::CommonName("car".into())).unwrap().subject(), Some(device("bus")));
    assert!(
        desk.act(Act::Reinstate { subject: Subject::Credential(name.clone()) }).is_err(),
        "it is the bus's now"
    );
    desk.act(Act::Remove(device("bus"))).unwrap();
    desk.act(Act::Reinstate { subject: Subject::Credential(name) }).unwrap();
    assert_eq!(desk.find(Lookup::CommonName("car".into())).unwrap().subject(), Some(device("car")));
    // And the device itself.
    let since = desk.newest();
    desk.act(Act::Revoke { subject: device("car"), reason: None }).unwrap();
    assert_eq!(desk.changes(since), [(device("car"), true)]);
    assert_eq!(status(desk, device("car")), Status::Revoked);
    desk.act(Act::Reinstate { subject: device("car") }).unwrap();
    assert_eq!(status(desk, device("car")), Status::Active);
    let nobody = Act::Revoke { subject: device("nobody"), reason: None };
    assert!(matches!(desk.act(nobody), Err(RecordsError::NotFound(_))));
    let nothing = Act::Revoke { subject: Subject::Credential("999999".into()), reason: None };
    assert!(matches!(desk.act(nothing), Err(RecordsError::NotFound(_))));
}

pub(super) fn an_owner_takes_its_devices_along(desk: &Desk) {
    desk.add("a", Some("o"), vec![]);
    desk.add("b", Some("o"), vec![]);
    desk.add("c", Some("p"), vec![]);
    let since = desk.newest();
    desk.act(Act::Revoke { subject: owner("o"), reason: Some("did not pay".into()) }).unwrap();
    assert_eq!(desk.changes(since), [(owner("o"), true), (device("a"), true), (device("b"), true)]);
    assert_eq!(status(desk, owner("o")), Status::Revoked);
    assert_eq!(
        (status(desk, device("a")), status(desk, device("c"))),
        (Status::OwnerRevoked, Status::Active)
    );
    let to_revoked = Act::Transfer { device: "c".into(), owner: "o".into() };
    assert!(desk.act(to_revoked).unwrap_err().to_string().contains("revoked"));
    desk.act(Act::Reinstate { subject: owner("o") }).unwrap();
    assert_eq!(status(desk, device("b")), Status::Active);
}

pub(super) fn a_certificate_that_is_nobodys_is_revoked(desk: &Desk) {
    desk.act(Act::Revoke { subject: Subject::Certificate([9; 32]), reason: None }).unwrap();
    desk.act(Act::Revoke { subject: Subject::Certificate([9; 32]), reason: None }).unwrap();
    let record = desk.find(Lookup::Fingerprint([9; 32])).unwrap();
    assert_eq!(record.principal, Principal::Anonymous);
    assert!(record.credentials.len() == 1 && record.credentials[0].revoked);
    desk.add("car", None, vec![]);
    let credential = shown(Lookup::Fingerprint([9; 32]));
    let again = desk.act(Act::AddCredential { subject: device("car"), credential });
    assert!(matches!(again, Err(RecordsError::Conflict(_))), "nobody takes it up again");
}

pub(super) fn a_removed_devices_certificate_stays_revoked(desk: &Desk) {
    let theirs = || vec![shown(Lookup::CommonName("car".into())), shown(Lookup::Fingerprint([2; 32]))];
    desk.add("car", None, theirs());
    let certificate = certificate(1);
    desk.act(Act::Issue { device: "car".into(), adopt: false, code: None, certificate }).unwrap();
    let since = desk.newest();
    desk.act(Act::Remove(device("car"))).unwrap();
    assert_eq!(desk.changes(since), [(device("car"), true)]);
    assert!(desk.find(Lookup::CommonName("car".into())).is_none());
    assert_eq!(desk.find(Lookup::Fingerprint([1; 32])).unwrap().principal, Principal::Anonymous);
    let revoked = desk.wait(desk.database.revoked_certificates([1; 32])).unwrap();
    assert_eq!((revoked.len(), revoked[0].hold), (1, false));
    desk.add("car", None, vec![]);
    assert!(
        desk.find(Lookup::Fingerprint([1; 32])).unwrap().credentials[0].revoked,
        "the next one of that name"
    );
}

pub(super) fn quarantine_ends_by_itself(desk: &Desk) {
    desk.add("car", None, vec![]);
    let until = after(60);
    desk.act(Act::Quarantine { subject: device("car"), until }).unwrap();
    assert_eq!(status(desk, device("car")), Status::Quarantined { until });
    desk.act(Act::Quarantine { subject: device("car"), until: before(1) }).unwrap();
    assert_eq!(status(desk, device("car")), Status::Active);
}

pub(super) fn nothing_is_done_by_halves(desk: &Desk) {
    desk.add("a", None, vec![shown(Lookup::CommonName("a".into()))]);
    let newest = desk.newest();
    let credentials = vec![shown(Lookup::CommonName("b".into())), shown(Lookup::CommonName("a".into()))];
    let new = NewDevice {
        id: "b".into(),
        owner: Some("o".into()),
        groups: vec!["g".into()],
        credentials,
        ..Default::default()
    };
    let error = desk.act(Act::AddDevice(new)).unwrap_err();
    assert!(error.to_string().contains("it is `a`'s"), "{error}");
    assert!(desk.record(device("b")).is_none() && desk.record(owner("o")).is_none());
    assert!(desk.find(Lookup::CommonName("b".into())).is_none());
    assert_eq!(desk.newest(), newest);
    let again = Act::AddDevice(NewDevice { id: "a".into(), ..Default::default() });
    assert!(matches!(desk.act(again), Err(RecordsError::Conflict(_))));
}

pub(super) fn what_makes_no_sense_is_refused(desk: &Desk) {
    let add = |id: &str| desk.act(Act::AddDevice(NewDevice { id: id.into(), ..Default::default() }));
    for name in ["", "a/b", "a+", "#", "$sys", "a\nb", "\u{7f}", &"x".repeat(257)] {
        assert!(matches!(add(name), Err(RecordsError::Invalid(_))), "{name:?}");
    }
    add("d").unwrap();
    let attributes = |attributes: &str| {
        desk.act(Act::SetAttributes { subject: device("d"), attributes: attributes.to_owned() })
    };
    attributes("{\"a\":[1,2]}").unwrap();
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    for wrong in ["[]", "1", "{", "{\"a\":1} x", &long] {
        assert!(matches!(attributes(wrong), Err(RecordsError::Invalid(_))));
    }
    let groups = |groups: Vec<Arc<str>>| desk.act(Act::SetGroups { subject: device("d"), groups });
    assert!(matches!(groups(vec!["a/b".into()]), Err(RecordsError::Invalid(_))));
    assert!(matches!(
        groups((0..300).map(|i| i.to_string().into()).collect()),
        Err(RecordsError::Invalid(_))
    ));
    let secret = |text: &str| windrose_event::Secret::new(text.as_bytes().to_vec());
    for (lookup, secret) in [
        (Lookup::Username("u".into()), CredentialSecret::None),
        (Lookup::Username("u".into()), CredentialSecret::PasswordHash(secret("geheim"))),
        (Lookup::Scram("u".into()), CredentialSecret::ScramKeys(secret("geheim"))),
        (Lookup::Psk(b"u".to_vec()), CredentialSecret::Psk(secret("short"))),
        (Lookup::Psk(vec![]), CredentialSecret::Psk(secret("long enough"))),
        (Lookup::CommonName(String::new()), CredentialSecret::None),
        (Lookup::CommonName("a\0b".into()), CredentialSecret::None),
        (Lookup::CommonName("x".repeat(2_000)), CredentialSecret::None),
        (Lookup::ApiKey([1; 32]), CredentialSecret::Psk(secret("long enough"))),
    ] {
        let credential = NewCredential { lookup, secret, not_before: None, not_after: None };
        let shown = format!("{credential:?}");
        let done = desk.act(Act::AddCredential { subject: device("d"), credential });
        assert!(matches!(done, Err(RecordsError::Invalid(_))), "{shown}: {done:?}");
    }
    let mut backwards = shown(Lookup::CommonName("d".into()));
    backwards.not_before = Some(after(2));
    backwards.not_after = Some(after(1));
    let backwards = Act::AddCredential { subject: device("d"), credential: backwards };
    assert!(matches!(desk.act(backwards), Err(RecordsError::Invalid(_))));
    let to_credential = Act::SetGroups { subject: Subject::Credential("1".into()), groups: vec![] };
    assert!(matches!(desk.act(to_credential), Err(RecordsError::Invalid(_))));
}

pub(super) fn many_at_once_do_not_get_in_each_others_way(desk: &Desk) {
    desk.add("car", None, vec![]);
    code(desk, "car", b"1", CodePurpose::Enrol, after(60)).unwrap();
    let used = credential_of(desk, Lookup::code(b"1"));
    let other = open_registry(&desk.location).unwrap();
    let since = desk.newest();
    let asked: Vec<_> = (0..20)
        .map(|number| {
            let database = if number % 2 == 0 { &desk.database } else { &other };
            let certificate = certificate(number);
            database.act(
                Act::Issue { device: "car".into(), adopt: false, code: Some(used.clone()), certificate },
                "x",
            )
        })
        .collect();
    let done = asked.into_iter().filter(|_| true).map(|one| desk.wait(one)).filter(Result::is_ok).count();
    assert_eq!(done, 1, "a code is good once, however many ask at once");
    let asked: Vec<_> = (0..20)
        .map(|number| {
            let database = if number % 2 == 0 { &desk.database } else { &other };
            let device = NewDevice { id: format!("d{number}").into(), ..Default::default() };
            database.act(Act::AddDevice(device), "x")
        })
        .collect();
    asked.into_iter().for_each(|one| desk.wait(one).unwrap());
    assert_eq!(desk.changes(since).len(), 21);
}
