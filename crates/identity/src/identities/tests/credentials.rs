//! Every kind of credential, from the database.

use super::*;

#[tokio::test]
async fn a_device_of_the_database_is_known_by_its_password_and_asked_for_once() {
    let database = Database::of([device("car-7", Some("alice"), vec![password("1", "car-7", "secret")])]);
    let identities = identities(&database);
    let claim = login("car-7", "secret");
    let identity = ask(&identities, &claim).await.unwrap();
    assert_eq!(identity.to_string(), "device:car-7");
    assert_eq!(identity.owner().map(|owner| &**owner), Some("alice"));
    assert_eq!(names(&identity.groups), ["cars"]);
    assert_eq!(identity.proof.unwrap().credential.as_deref(), Some("1"));
    for _ in 0..10 {
        assert!(at_once(&identities, &claim), "no wait, no argon2id");
    }
    assert_eq!(database.asked(), 1);
    let figures = identities.figures();
    assert_eq!((figures.passwords_verified, figures.misses, figures.remembered), (1, 1, 1));
    assert!(figures.hits >= 10, "{figures:?}");
    assert_eq!(cause(&identities, &login("car-7", "Secret")).await, RefusalCause::BadCredentials);
    assert_eq!(database.asked(), 1, "a wrong password is no reason to ask");
}

#[tokio::test]
async fn unknown_names_cost_what_known_ones_cost_and_are_remembered_for_a_while() {
    let database = Database::of([device("car-7", None, vec![password("1", "car-7", "secret")])]);
    let identities = identities(&database);
    for _ in 0..3 {
        let claim = login("'; DROP TABLE principals; --", "x");
        assert_eq!(cause(&identities, &claim).await, RefusalCause::BadCredentials);
    }
    assert_eq!(database.asked(), 1);
    assert_eq!(identities.figures().passwords_verified, 3, "each was verified against something");
    assert!(identities.figures().negatives >= 2);
}

#[test]
fn what_is_verified_for_nobody_costs_what_a_password_costs() {
    assert_eq!(crate::check_password_hash(DECOY), Ok(()), "or nothing would be computed");
    let made = crate::hash_password(b"x").unwrap();
    let cost = |hash: &str| hash.split('$').nth(3).map(str::to_owned);
    assert_eq!(cost(DECOY), cost(&made));
}

#[tokio::test]
async fn a_credential_counts_in_its_time_and_until_it_is_revoked() {
    let early = Credential { not_before: Some(in_an_hour()), ..password("early", "early", "x") };
    let late = Credential { not_after: Some(an_hour_ago()), ..password("late", "late", "x") };
    let gone = Credential { revoked: true, ..password("gone", "gone", "x") };
    let good = Credential { not_after: Some(in_an_hour()), ..password("good", "good", "x") };
    let until = good.not_after;
    let database = Database::of([device("car-7", None, vec![early, late, gone, good])]);
    let identities = identities(&database);
    assert_eq!(ask(&identities, &login("good", "x")).await.unwrap().proof.unwrap().until, until);
    for (name, expected, word) in [
        ("early", RefusalCause::BadCredentials, "not good yet"),
        ("late", RefusalCause::BadCredentials, "has run out"),
        ("gone", RefusalCause::Revoked, "is revoked"),
    ] {
        let refusal = ask(&identities, &login(name, "x")).await.unwrap_err();
        assert_eq!(refusal.cause, expected, "{refusal:?}");
        assert!(refusal.detail.contains(word) && refusal.detail.contains(name), "{refusal:?}");
        assert_eq!(
            cause(&identities, &login(name, "y")).await,
            RefusalCause::BadCredentials,
            "only who has the password learns more"
        );
    }
}

#[tokio::test]
async fn while_a_password_changes_both_are_good() {
    let old = Credential { not_after: Some(in_an_hour()), ..password("old", "car-7", "old") };
    let gone = Credential { revoked: true, ..password("gone", "car-7", "gone") };
    let database = Database::of([device("car-7", None, vec![gone, old, password("new", "car-7", "new")])]);
    let identities = identities(&database);
    for word in ["old", "new"] {
        let identity = ask(&identities, &login("car-7", word)).await.unwrap();
        assert_eq!(identity.proof.unwrap().credential.as_deref(), Some(word));
    }
    assert_eq!(cause(&identities, &login("car-7", "gone")).await, RefusalCause::Revoked);
}

#[tokio::test]
async fn standing_is_looked_at_whatever_is_right() {
    for (status, expected) in [
        (Status::Revoked, RefusalCause::Revoked),
        (Status::OwnerRevoked, RefusalCause::Revoked),
        (Status::Quarantined { until: in_an_hour() }, RefusalCause::Quarantined),
    ] {
        let record = Record { status, ..device("car-7", Some("a"), vec![password("1", "car-7", "x")]) };
        let identities = identities(&Database::of([record]));
        assert_eq!(cause(&identities, &login("car-7", "x")).await, expected);
    }
    let over = Status::Quarantined { until: an_hour_ago() };
    let record = Record { status: over, ..device("car-7", None, vec![password("1", "car-7", "x")]) };
    assert!(ask(&identities(&Database::of([record])), &login("car-7", "x")).await.is_ok());
}

#[tokio::test]
async fn a_certificate_is_found_by_whatever_of_it_is_known() {
    let by_name = credential("n", Lookup::CommonName("car-7".to_owned()), CredentialSecret::None);
    let by_digest = credential("d", Lookup::Fingerprint([9; 32]), CredentialSecret::None);
    let gone =
        Credential { revoked: true, ..credential("g", Lookup::Fingerprint([8; 32]), CredentialSecret::None) };
    let database =
        Database::of([device("car-7", None, vec![by_name, gone]), device("boat", None, vec![by_digest])]);
    let identities = identities(&database);
    let found = ask(&identities, &certificate("car-7", 1)).await.unwrap();
    assert_eq!(
        (found.to_string().as_str(), found.proof.unwrap().fingerprint),
        ("device:car-7", Some([1; 32]))
    );
    assert_eq!(ask(&identities, &certificate("car-7", 9)).await.unwrap().to_string(), "device:boat");
    assert_eq!(database.asked(), 2, "one question each");
    assert!(at_once(&identities, &certificate("car-7", 1)) && at_once(&identities, &certificate("car-7", 9)));
    assert_eq!(
        cause(&identities, &certificate("car-7", 8)).await,
        RefusalCause::Revoked,
        "a revoked certificate is not let in by its name"
    );
    assert_eq!(cause(&identities, &certificate("stranger", 2)).await, RefusalCause::BadCredentials);
}

#[tokio::test]
async fn a_certificate_counts_in_its_time_at_each_connection() {
    let by_name = credential("n", Lookup::CommonName("car-7".to_owned()), CredentialSecret::None);
    let identities = identities(&Database::of([device("car-7", None, vec![by_name])]));
    let with = |not_before, not_after| {
        let claim = certificate("car-7", 1);
        let certificate = CertificateClaim { not_before, not_after, ..(*claim.certificate.unwrap()).clone() };
        Claim { certificate: Some(Arc::new(certificate)), ..Claim::default() }
    };
    let good = with(Some(an_hour_ago()), Some(in_an_hour()));
    assert!(ask(&identities, &good).await.unwrap().proof.unwrap().until.is_some());
    assert_eq!(cause(&identities, &with(None, Some(an_hour_ago()))).await, RefusalCause::BadCredentials);
    assert_eq!(cause(&identities, &with(Some(in_an_hour()), None)).await, RefusalCause::BadCredentials);
}

#[tokio::test]
async fn an_enrolled_authority_speaks_for_its_devices() {
    let policy = |registered, enrol_only| windrose_policy::EnrolledAuthority {
        name: "maker".into(),
        ca: "maker.pem".into(),
        device: "m-{common_name}".to_owned(),
        enrol_only,
        registered,
    };
    let signed = |name: &str| {
        let claim = certificate(name, 3);
        let certificate =
            CertificateClaim { issuers: vec![[5; 32]], ..(*claim.certificate.unwrap()).clone() };
        Claim { certificate: Some(Arc::new(certificate)), ..Claim::default() }
    };
    let gone = Record { status: Status::Revoked, ..device("m-gone", None, Vec::new()) };
    let database = Database::of([device("m-car", Some("alice"), Vec::new()), gone]);
    let with = |policy| {
        Identities::new(Parts { authorities: vec![EnrolledCa::of(policy, [5; 32])], ..parts(&database) })
    };
    let open = with(policy(false, true));
    let known = ask(&open, &signed("car")).await.unwrap();
    assert_eq!(
        (known.to_string().as_str(), known.owner().map(|owner| &**owner)),
        ("device:m-car", Some("alice"))
    );
    assert!(known.proof.unwrap().enrols_only);
    assert_eq!(ask(&open, &signed("new")).await.unwrap().to_string(), "device:m-new");
    assert_eq!(cause(&open, &signed("gone")).await, RefusalCause::Revoked);
    for name in ["a/b", "", "+", "a\u{0}b"] {
        let expected = if name.is_empty() { "device:m-".to_owned() } else { String::new() };
        let verdict = ask(&open, &signed(name)).await;
        assert_eq!(verdict.map(|who| who.to_string()).unwrap_or_default(), expected, "{name:?}");
    }
    let closed = with(policy(true, false));
    assert!(!ask(&closed, &signed("car")).await.unwrap().proof.unwrap().enrols_only);
    assert_eq!(cause(&closed, &signed("new")).await, RefusalCause::BadCredentials);
    assert_eq!(
        cause(&closed, &certificate("car", 3)).await,
        RefusalCause::BadCredentials,
        "not of the maker"
    );
}

#[tokio::test]
async fn a_one_time_code_is_for_its_device_and_for_enrolling() {
    let code = String::from_utf8(crate::new_code().unwrap().reveal().to_vec()).unwrap();
    let other = String::from_utf8(crate::new_code().unwrap().reveal().to_vec()).unwrap();
    let used = String::from_utf8(crate::new_code().unwrap().reveal().to_vec()).unwrap();
    let of = |id: &str, code: &str, purpose, used| {
        credential(id, Lookup::code(code.as_bytes()), CredentialSecret::Code { purpose, used })
    };
    let database = Database::of([device(
        "car-7",
        None,
        vec![
            of("1", &code, CodePurpose::Enrol, false),
            of("2", &other, CodePurpose::Claim, false),
            of("3", &used, CodePurpose::Enrol, true),
        ],
    )]);
    let identities = identities(&database);
    let proof = ask(&identities, &login("car-7", &code)).await.unwrap().proof.unwrap();
    assert!(proof.enrols_only);
    assert_eq!((proof.credential.as_deref(), proof.fingerprint), (Some("1"), None));
    assert!(ask(&identities, &login("car-7", &code.to_uppercase())).await.is_ok(), "however it was typed");
    let fresh = String::from_utf8(crate::new_code().unwrap().reveal().to_vec()).unwrap();
    for (name, code, word) in [
        ("boat", &code, "is for the device"),
        ("car-7", &other, "for claiming"),
        ("car-7", &used, "was used before"),
        ("car-7", &fresh, "nobody has the one-time code"),
    ] {
        let refusal = ask(&identities, &login(name, code)).await.unwrap_err();
        assert_eq!(refusal.cause, RefusalCause::BadCredentials);
        assert!(refusal.detail.contains(word), "{refusal:?}");
        assert!(!refusal.detail.contains(&code[4..]), "a code is never told: {refusal:?}");
    }
}

#[tokio::test]
async fn keys_of_callers_and_of_dtls_come_from_the_database() {
    let owner = Record {
        principal: Principal::Owner { id: "alice".into() },
        owned: vec!["boat".into(), "car-7".into()].into(),
        ..device("", None, vec![credential("k", Lookup::api_key(b"alice-key"), CredentialSecret::None)])
    };
    let psk =
        credential("p", Lookup::Psk(b"meter".to_vec()), CredentialSecret::Psk(Secret::new(&b"key"[..])));
    let gone = Record {
        status: Status::Revoked,
        ..device(
            "gone",
            None,
            vec![credential(
                "q",
                Lookup::Psk(b"gone".to_vec()),
                CredentialSecret::Psk(Secret::new(&b"k"[..])),
            )],
        )
    };
    let database = Database::of([owner, device("meter", None, vec![psk]), gone]);
    let identities = identities(&database);
    let key = |key: &str| Claim { api_key: Some(Secret::new(key.to_owned())), ..Claim::default() };
    let alice = ask(&identities, &key("alice-key")).await.unwrap();
    assert_eq!((alice.to_string().as_str(), names(&alice.owned)), ("owner:alice", vec!["boat", "car-7"]));
    assert_eq!(cause(&identities, &key("guess")).await, RefusalCause::BadCredentials);

    assert!(identities.psk_at_once(b"meter").is_none(), "the database has to be asked");
    assert_eq!(identities.psk(b"meter").await.unwrap().reveal(), b"key");
    assert_eq!(identities.psk_at_once(b"meter").unwrap().unwrap().reveal(), b"key", "soon after: at once");
    assert!(identities.psk(b"nobody").await.is_none());
    assert!(identities.psk_at_once(b"nobody").unwrap().is_none());
    assert!(identities.psk(b"gone").await.is_none(), "a revoked device has no key");
    let proved = Claim { psk_identity: Some("meter".into()), ..Claim::default() };
    assert_eq!(ask(&identities, &proved).await.unwrap().to_string(), "device:meter");
    let proved = Claim { psk_identity: Some("gone".into()), ..Claim::default() };
    assert_eq!(cause(&identities, &proved).await, RefusalCause::Revoked);
}

#[tokio::test]
async fn an_owner_with_a_key_in_a_file_owns_what_the_database_says_too() {
    let key = credential("key", Lookup::api_key(b"alice-key"), CredentialSecret::None);
    let principal = Principal::Owner { id: "alice".into() };
    let owner = |owned: &[&str], credentials| Record {
        principal: principal.clone(),
        owned: owned.iter().map(|id| Arc::from(*id)).collect(),
        ..device("", None, credentials)
    };
    let database = Database::of([owner(&["boat"], Vec::new())]);
    let files = FileRecords {
        records: vec![owner(&["car-7"], vec![key])],
        has_api_keys: true,
        ..FileRecords::default()
    };
    let identities = Identities::new(Parts { files, ..parts(&database) });
    let claim = Claim { api_key: Some(Secret::new(&b"alice-key"[..])), ..Claim::default() };
    assert_eq!(names(&ask(&identities, &claim).await.unwrap().owned), ["boat", "car-7"]);
}

#[tokio::test]
async fn scram_is_spoken_with_keys_of_the_database() {
    let keys = crate::scram_keys(b"pencil").unwrap();
    let scram = |name: &str| {
        let keys = CredentialSecret::ScramKeys(Secret::new(keys.clone()));
        credential(name, Lookup::Scram(name.to_owned()), keys)
    };
    let gone = Record { status: Status::Revoked, ..device("gone", None, vec![scram("gone")]) };
    let database = Database::of([device("car-7", None, vec![scram("car-7")]), gone]);
    let identities = identities(&database);
    assert_eq!(identities.methods(), ["SCRAM-SHA-256"]);
    let step = |name: &'static str| {
        let identities = identities.clone();
        tokio::task::spawn_blocking(move || {
            let claim = Claim { method: Some("SCRAM-SHA-256".into()), ..Claim::default() };
            let mut conversation = identities.converse(&claim).unwrap();
            let first = format!("n,,n={name},r=abc");
            conversation.step(Some(&Secret::new(first)))
        })
    };
    for name in ["car-7", "gone", "nobody"] {
        let step = step(name).await.unwrap();
        assert!(matches!(step, windrose_event::Step::Challenge(Some(_))), "{name}: {step:?}");
    }
    assert_eq!(database.asked(), 3);
    database.go_away(true);
    match step("other").await.unwrap() {
        windrose_event::Step::Refused(refusal) => assert_eq!(refusal.cause, RefusalCause::Unavailable),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn somebody_in_a_file_is_never_asked_for() {
    let database = Database::of([]);
    let files = FileRecords {
        records: vec![device("car-7", None, vec![password("f", "car-7", "x")])],
        has_devices: true,
        ..FileRecords::default()
    };
    let identities = Identities::new(Parts { files, ..parts(&database) });
    database.go_away(true);
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
    assert_eq!(database.asked(), 0);
}

#[tokio::test]
async fn a_registry_makes_nobody_anonymous_who_says_who_it_is() {
    let database = Database::of([]);
    let policy = IdentityPolicy { allow_anonymous: true, ..IdentityPolicy::default() };
    let identities = Identities::new(Parts { policy, ..parts(&database) });
    assert_eq!(ask(&identities, &Claim::default()).await, Ok(Identity::anonymous()));
    assert_eq!(cause(&identities, &login("a", "b")).await, RefusalCause::BadCredentials);
    assert_eq!(cause(&identities, &certificate("a", 1)).await, RefusalCause::BadCredentials);
}
