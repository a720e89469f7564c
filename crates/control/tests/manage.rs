//! `/v1/` of the admin API over a real socket: who gets in, what is done, and how it says no.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use serde_json::{Value, json};
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windrose_control::{BulkFormat, Exported, Import, Imported, Management, management, serve};
use windrose_event::{
    Claim, Identity, Pending, Principal, Proof, Refusal, RefusalCause, Registry, Subject, Timestamp, Verdict,
};
use windrose_identity::{
    Act, Asked, Changes, Counts, CredentialDetails, Details, Directory, Found, Kind, Listing, Lookup,
    Ownership, Record, Records, RecordsError, RevokedCertificate, Status, Summary,
};
use windrose_policy::Snapshot;

/// Whoever has the key `ops`, `other` or `new` is a service of that name; the last one with what is good for enrolling only.
struct Keys;

impl Registry for Keys {
    fn identify_at_once(&self, claim: &Claim) -> Option<Verdict> {
        assert_eq!(&*claim.listener, "admin");
        assert!(claim.peer.is_some(), "where it comes from is known");
        let key = claim.api_key.as_ref().map(|key| String::from_utf8_lossy(key.reveal()).into_owned());
        let name = key.or_else(|| claim.username.as_ref().map(|name| name.to_string())).unwrap_or_default();
        if name == "nobody" {
            return Some(Ok(Identity::anonymous()));
        }
        let known = ["ops", "other", "new"].contains(&name.as_str());
        let proof = (name == "new").then(|| Arc::new(Proof { enrols_only: true, ..Proof::default() }));
        let principal = Principal::Service { name: name.as_str().into() };
        Some(match known {
            true => Ok(Identity { principal, proof, ..Identity::anonymous() }),
            false => Err(Refusal { cause: RefusalCause::BadCredentials, detail: "no such key".to_owned() }),
        })
    }

    fn identify(&self, claim: Box<Claim>) -> Pending<Verdict> {
        Box::pin(ready(self.identify_at_once(&claim).unwrap()))
    }
}

/// Knows `car-7`, and writes down what is done.
#[derive(Default)]
struct Database {
    done: Mutex<Vec<String>>,
}

fn now<T: Send + 'static>(value: Result<T, RecordsError>) -> Asked<T> {
    Box::pin(ready(value))
}

fn summary(id: &str) -> Summary {
    Summary {
        kind: Kind::Device,
        id: id.into(),
        owner: Some("alice".into()),
        groups: vec!["cars".into()],
        status: Status::Active,
    }
}

impl Records for Database {
    fn find(&self, _: Vec<Lookup>) -> Asked<Vec<Found>> {
        now(Ok(Vec::new()))
    }

    fn record(&self, _: Subject) -> Asked<Option<Arc<Record>>> {
        now(Ok(None))
    }

    fn changes(&self, _: u64) -> Asked<Changes> {
        now(Ok(Changes::Listed(Vec::new())))
    }

    fn newest_change(&self) -> Asked<u64> {
        now(Ok(0))
    }

    fn act(&self, act: Act, by: &str) -> Asked<()> {
        let result = match &act {
            Act::AddDevice(device) if &*device.id == "car-7" => {
                Err(RecordsError::Conflict("there is a device `car-7` already".to_owned()))
            }
            Act::AddDevice(device) if &*device.id == "a/b" => {
                Err(RecordsError::Invalid("`a/b` is not a name".to_owned()))
            }
            Act::Remove(_) => Err(RecordsError::Unavailable("db.internal: s3cret is wrong".to_owned())),
            _ => Ok(()),
        };
        self.done.lock().unwrap().push(format!("{by}: {act:?}"));
        now(result)
    }
}

impl Directory for Database {
    fn details(&self, subject: Subject) -> Asked<Option<Details>> {
        let details = |id: &str| Details {
            summary: summary(id),
            reason: None,
            attributes: "{\"colour\":\"red\"}".to_owned(),
            added: Timestamp::from_micros(0),
            devices: 0,
            credentials: Vec::new(),
        };
        now(Ok(match subject {
            Subject::Device(id) if id.starts_with("car-") => Some(details(&id)),
            _ => None,
        }))
    }

    fn list(&self, listing: Listing) -> Asked<Vec<Summary>> {
        assert!(listing.owner.is_none_or(|owner| &*owner == "alice"));
        let all = ["car-7", "car-8", "car-9"].into_iter();
        let after = listing.after.unwrap_or_default();
        now(Ok(all.filter(|id| **id > *after).take(listing.limit).map(summary).collect()))
    }

    fn history(&self, _: &str, _: Option<u64>, _: usize) -> Asked<Vec<Ownership>> {
        now(Ok(Vec::new()))
    }

    fn counts(&self) -> Asked<Counts> {
        now(Ok(Counts { devices: 3, ..Counts::default() }))
    }

    fn credential(&self, _: &str) -> Asked<Option<(Subject, CredentialDetails)>> {
        now(Ok(None))
    }

    fn revoked_certificates(&self, _: [u8; 32]) -> Asked<Vec<RevokedCertificate>> {
        now(Ok(Vec::new()))
    }
}

struct Managed {
    snapshot: Arc<Snapshot>,
    database: Option<Arc<Database>>,
}

impl Management for Managed {
    fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(Keys)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn directory(&self) -> Option<Arc<dyn Directory>> {
        self.database.clone().map(|database| database as _)
    }

    fn record(&self, subject: Subject) -> Pending<Result<Option<Arc<Record>>, RecordsError>> {
        let record = |principal| Record {
            principal,
            groups: Arc::default(),
            owned: Arc::from(["car-7".into()]),
            status: Status::Active,
            credentials: Vec::new(),
        };
        now(Ok(match subject {
            Subject::Owner(id) if &*id == "alice" => Some(Arc::new(record(Principal::Owner { id }))),
            _ => None,
        }))
    }

    fn import(&self, import: Import) -> Option<Pending<Result<Imported, RecordsError>>> {
        self.database.as_ref()?;
        let lines = import.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
        let bad = import.body.windows(3).any(|part| part == b"bad");
        let told = if bad { vec![(2, "this is no device".to_owned())] } else { Vec::new() };
        let imported = Imported { done: !bad, counts: [lines, 0, 0, u64::from(bad)], told };
        Some(now(Ok(imported)))
    }

    fn export(&self, format: BulkFormat) -> Option<Exported> {
        self.database.as_ref()?;
        let (sender, lines) = tokio::sync::mpsc::channel(2);
        let line = if format == BulkFormat::Csv { "id\ncar-7\n" } else { "{\"id\":\"car-7\"}\n" };
        sender.try_send(Ok(line.into())).unwrap();
        Some(lines)
    }

    fn changed(&self) {}
}

const RULES: &str = "access:
  - {who: 'service:ops', may: administer}
  - {who: 'service:new', may: [administer, enrol]}
  - {who: anyone, may: administer}
  - {who: 'service:other', deny: administer}
  - {who: 'owner:*', may: publish, on: 'devices/{owned}/#'}
";

struct Api {
    address: SocketAddr,
    database: Arc<Database>,
}

impl Api {
    async fn start() -> Self {
        Self::of(true).await
    }

    async fn of(has_database: bool) -> Self {
        let snapshot = Arc::new(windrose_policy::compile("f", RULES, &|_| None).unwrap());
        let database = Arc::new(Database::default());
        let managed = Managed { snapshot, database: has_database.then(|| Arc::clone(&database)) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, management(Arc::new(managed)), std::future::pending()));
        Self { address, database }
    }

    /// The status and the body of the answer to a request with these headers.
    async fn send(&self, line: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// What the operator is told.
    async fn ask(&self, line: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(line, "authorization: Bearer ops\r\ncontent-type: application/json\r\n", &body).await
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut *self.database.done.lock().unwrap())
    }
}

#[tokio::test]
async fn nobody_gets_in_who_may_not_administer() {
    let api = Api::start().await;
    for (headers, status) in [
        ("", 401),
        ("x-api-key: wrong\r\n", 401),
        ("authorization: Digest x\r\n", 401),
        ("authorization: Bearer nobody\r\n", 401),
        ("authorization: Bearer other\r\n", 403),
        ("authorization: Bearer new\r\n", 403),
        ("authorization: Bearer ops\r\nsec-fetch-site: cross-site\r\n", 403),
        ("authorization: Bearer ops\r\n", 200),
        ("authorization: Basic b3BzOng=\r\n", 200),
        ("x-api-key: ops\r\n", 200),
    ] {
        let (got, body) = api.send("GET /v1/registry", headers, "").await;
        assert_eq!(got, status, "{headers} {body}");
        if status != 200 {
            assert_eq!(body["status"], status, "it is a problem: {body}");
        }
        let (got, _) = api.send("DELETE /v1/devices/car-7", headers, "").await;
        assert!(got == status || status == 200, "{headers}");
    }
    assert_eq!(api.done().len(), 3, "nothing is done for those who are refused");
}

#[tokio::test]
async fn devices_are_added_listed_and_shown() {
    let api = Api::start().await;
    let new = json!({"id": "car-9", "owner": "alice", "groups": ["cars"], "attributes": {"colour": "red"},
        "credentials": [{"kind": "password", "value": "s3cret"}, {"kind": "api_key", "value": "k".repeat(20)}]});
    let (status, body) = api.ask("POST /v1/devices", new).await;
    assert_eq!((status, &body["id"], &body["attributes"]["colour"]), (201, &json!("car-9"), &json!("red")));
    let done = api.done();
    assert!(done[0].starts_with("service:ops: AddDevice"), "{done:?}");
    assert!(done[0].contains("Username(\"car-9\")") && !done[0].contains("s3cret"), "{done:?}");

    let (status, first) = api.ask("GET /v1/devices?owner=alice&limit=2", Value::Null).await;
    assert_eq!((status, first["devices"].as_array().unwrap().len()), (200, 2));
    let next = format!("GET /v1/devices?owner=alice&limit=2&after={}", first["after"].as_str().unwrap());
    let (_, last) = api.ask(&next, Value::Null).await;
    assert_eq!((last["devices"][0]["id"].as_str(), last.get("after")), (Some("car-9"), None));
    assert_eq!(api.ask("GET /v1/devices/car-7", Value::Null).await.0, 200);
    assert_eq!(api.ask("GET /v1/registry", Value::Null).await.1["devices"], 3);
}

#[tokio::test]
async fn what_cannot_be_done_is_a_problem_that_says_why() {
    let api = Api::start().await;
    let device = |id: &str| json!({"id": id});
    for (line, body, status, detail) in [
        ("POST /v1/devices", device("car-7"), 409, "there is a device `car-7` already"),
        ("POST /v1/devices", device("a/b"), 422, "`a/b` is not a name"),
        ("POST /v1/devices", json!({"id": 7}), 400, "the body is not what is wanted here"),
        ("POST /v1/devices", json!({"id": "b", "colour": 1}), 400, "unknown field `colour`"),
        ("POST /v1/owners", json!({"id": "b", "owner": "c"}), 400, "only devices"),
        ("GET /v1/devices/boat", Value::Null, 404, "there is no device `boat`"),
        ("GET /v1/devices?status=fine", Value::Null, 400, "status is one of active"),
        ("GET /v1/devices?limit=0", Value::Null, 400, "limit is a number from 1"),
        ("PATCH /v1/devices/car-7", json!({}), 400, "nothing is to change"),
        ("DELETE /v1/devices/car-7", Value::Null, 503, "the registry could not be asked; the log says why"),
        ("POST /v1/devices/car-7/claim", Value::Null, 400, "missing field `owner`"),
        ("POST /v1/devices/car-7/enrol-code", json!({"lifetime": "soon"}), 400, "lifetime is a duration"),
        ("POST /v1/certificates/12/revoke", Value::Null, 400, "64 digits in hex"),
        (
            "POST /v1/devices/car-7/credentials",
            json!({"kind": "api_key", "value": "short"}),
            400,
            "20 characters",
        ),
        (
            "POST /v1/devices/car-7/credentials",
            json!({"kind": "psk", "value": "00"}),
            400,
            "identity goes with",
        ),
        ("GET /v1/credentials/7", Value::Null, 404, "there is no credential `7`"),
    ] {
        let (got, problem) = api.ask(line, body).await;
        assert_eq!(got, status, "{line}: {problem}");
        let said = problem["detail"].as_str().unwrap_or_default();
        assert!(said.contains(detail) && !said.contains("s3cret"), "{line}: {problem}");
    }
    let (status, _) =
        api.send("POST /v1/owners", "x-api-key: ops\r\ncontent-type: text/plain\r\n", "{}").await;
    assert_eq!(status, 415);
    let large = json!({"id": "x".repeat(2 << 20)});
    assert_eq!(api.ask("POST /v1/owners", large).await.0, 413);
    assert_eq!(api.ask("PUT /v1/devices/car-7", Value::Null).await.0, 405);
    let files_only = Api::of(false).await;
    let (status, problem) = files_only.ask("GET /v1/devices?owner=alice", Value::Null).await;
    assert_eq!((status, problem["type"].as_str()), (409, Some("urn:windrose:problem:no_database")));
}

#[tokio::test]
async fn devices_change_hands_and_are_revoked() {
    let api = Api::start().await;
    let code = "wre_0123456789abcdefghjkmnpqrs";
    for (line, body, act) in [
        ("POST /v1/devices/car-7/claim", json!({"owner": "bob", "code": code}), "Claim"),
        ("POST /v1/devices/car-7/transfer", json!({"owner": "carol"}), "Transfer"),
        ("POST /v1/devices/car-7/release", Value::Null, "Release"),
        ("POST /v1/devices/car-7/revoke", json!({"reason": "stolen"}), "Revoke { subject: Device(\"car-7\")"),
        ("POST /v1/devices/car-7/reinstate", Value::Null, "Reinstate"),
        ("PATCH /v1/devices/car-7", json!({"groups": ["a"]}), "SetGroups"),
        ("POST /v1/credentials/12/revoke", Value::Null, "Revoke { subject: Credential(\"12\")"),
    ] {
        let (status, body) = api.ask(line, body).await;
        assert!(status == 200 || status == 204, "{line}: {status} {body}");
        let done = api.done();
        assert!(done.len() == 1 && done[0].starts_with(&format!("service:ops: {act}")), "{line}: {done:?}");
        assert!(!done[0].contains(code), "a code is never kept");
    }
    let digest = "ab:".repeat(31) + "ab";
    assert_eq!(api.ask(&format!("POST /v1/certificates/{digest}/revoke"), Value::Null).await.0, 204);
    assert!(api.done()[0].contains("Certificate([171, 171"));

    let (status, answer) = api.ask("POST /v1/devices/car-7/enrol-code", json!({"lifetime": "1h"})).await;
    let code = answer["code"].as_str().unwrap();
    assert!(status == 201 && code.starts_with("wre_") && code.len() == 30, "{answer}");
    assert!(api.done()[0].contains("purpose: Enrol"));
}

#[tokio::test]
async fn decisions_are_explained() {
    let api = Api::start().await;
    let ask = |query: &str| format!("GET /v1/explain?{query}");
    let mine = ask("as=owner:alice&permission=publish&on=devices/car-7/x");
    let (_, answer) = api.ask(&mine, Value::Null).await;
    assert_eq!(
        (&answer["allowed"], &answer["by"]["rule"], &answer["by"]["line"]),
        (&json!(true), &json!(5), &json!(6))
    );
    let (_, answer) =
        api.ask(&ask("as=owner:alice&permission=publish&on=devices/car-8/x"), Value::Null).await;
    assert_eq!((&answer["allowed"], &answer["near"][0]["rule"]), (&json!(false), &json!(5)));
    let (_, answer) = api.ask(&ask("as=device:x&permission=administer"), Value::Null).await;
    assert_eq!((&answer["allowed"], &answer["status"]), (&json!(true), &json!("unknown")));
    for wrong in [
        "permission=publish",
        "as=robot:1&permission=read&on=a",
        "as=owner:a&permission=fly",
        "as=owner:a&permission=read",
    ] {
        assert_eq!(api.ask(&ask(wrong), Value::Null).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_whole_registry_is_taken_in_and_written_out() {
    let api = Api::start().await;
    let import = |kind: &str| format!("authorization: Bearer ops\r\ncontent-type: {kind}\r\n");
    let line = "POST /v1/registry/import?existing=update";
    let (status, answer) = api.send(line, &import("application/jsonl"), "{}\n{}\n").await;
    assert_eq!((status, &answer["added"]), (200, &json!(2)));
    let (status, problem) = api.send(line, &import("text/csv"), "id\nbad\n").await;
    assert_eq!((status, &problem["results"]["problems"][0]["line"]), (422, &json!(2)), "{problem}");
    assert_eq!(api.send(line, &import("text/plain"), "id\n").await.0, 415);
    assert_eq!(api.send("POST /v1/registry/import?existing=so", &import("text/csv"), "id\n").await.0, 400);
    let large = "x".repeat(2 << 20);
    assert_eq!(api.send(line, &import("text/csv"), &large).await.0, 200, "an import may be large");
    assert_eq!(api.ask("GET /v1/registry/export?format=csv", Value::Null).await.0, 200);
    assert_eq!(api.ask("GET /v1/registry/export?format=xml", Value::Null).await.0, 400);
}

#[tokio::test]
async fn every_described_operation_is_there() {
    let api = Api::start().await;
    let (_, description) = api.ask("GET /v1/openapi.json", Value::Null).await;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "car-7").replace("{sha256}", "00");
            let (status, answer) = api.ask(&format!("{} {path}", method.to_uppercase()), Value::Null).await;
            let found = status != 405 && (status != 404 || answer["detail"].is_string());
            assert!(found, "{method} {path}: {status} {answer}");
        }
    }
}
