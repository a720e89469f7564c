//! The OpenAPI 3.1 description of `/v1/`, served at `/v1/openapi.json`.

use super::Answered;
use super::answer::json;
use axum::http::StatusCode;
use serde_json::{Map, Value, json as object};

/// A resource's method: what it does, what its body holds, and the status that says that it is done.
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    id: &'static str,
    summary: &'static str,
    /// Fields of the body: the name, its type, whether it has to be there.
    body: &'static [(&'static str, &'static str, bool)],
    query: &'static [&'static str],
    done: u16,
}

const NONE: Operation =
    Operation { path: "", method: "get", id: "", summary: "", body: &[], query: &[], done: 200 };

const REASON: &[(&str, &str, bool)] = &[("reason", "string", false)];
const OWNER: &[(&str, &str, bool)] = &[("owner", "string", true)];
const CHANGE: &[(&str, &str, bool)] = &[("groups", "names", false), ("attributes", "object", false)];
const CREDENTIAL: &[(&str, &str, bool)] = &[
    ("kind", "string", true),
    ("value", "string", true),
    ("username", "string", false),
    ("identity", "string", false),
    ("not_before", "time", false),
    ("not_after", "time", false),
];

/// Every operation, the three kinds of subjects written out.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, one, what) in [
        ("/v1/devices", "/v1/devices/{id}", "device"),
        ("/v1/owners", "/v1/owners/{id}", "owner"),
        ("/v1/services", "/v1/services/{id}", "service"),
    ] {
        all.extend(of_kind(path, one, what));
    }
    all.extend([
        Operation {
            path: "/v1/devices/{id}/claim",
            method: "post",
            id: "claimDevice",
            summary: "Have a device that is nobody's become somebody's; with a code, that is used up",
            body: &[("owner", "string", true), ("code", "string", false)],
            ..NONE
        },
        Operation {
            path: "/v1/devices/{id}/transfer",
            method: "post",
            id: "transferDevice",
            summary: "Have a device become somebody else's",
            body: OWNER,
            ..NONE
        },
        Operation {
            path: "/v1/devices/{id}/release",
            method: "post",
            id: "releaseDevice",
            summary: "Have a device become nobody's",
            ..NONE
        },
        Operation {
            path: "/v1/devices/{id}/enrol-code",
            method: "post",
            id: "makeCode",
            summary: "Make a one-time code, for getting a certificate (the default) or for a claim; it is told this once",
            body: &[("lifetime", "string", false), ("purpose", "string", false)],
            done: 201,
            ..NONE
        },
        Operation {
            path: "/v1/devices/{id}/history",
            id: "deviceHistory",
            summary: "Whose a device was, the latest first",
            query: &["before", "limit"],
            ..NONE
        },
        Operation {
            path: "/v1/credentials/{id}",
            id: "showCredential",
            summary: "Show a credential, but nothing that is secret of it",
            ..NONE
        },
        Operation {
            path: "/v1/credentials/{id}/revoke",
            method: "post",
            id: "revokeCredential",
            summary: "Revoke a credential: what it let in is sent away",
            body: REASON,
            done: 204,
            ..NONE
        },
        Operation {
            path: "/v1/certificates/{sha256}/revoke",
            method: "post",
            id: "revokeCertificate",
            summary: "Revoke a certificate by the SHA-256 of its DER, in hex",
            body: REASON,
            done: 204,
            ..NONE
        },
        Operation { path: "/v1/registry", id: "counts", summary: "How many there are of each", ..NONE },
        Operation {
            path: "/v1/registry/import",
            method: "post",
            id: "import",
            summary: "Take in lines of CSV or JSON: all or nothing, unless skip_bad; `existing` is fail, skip or update",
            query: &["existing", "skip_bad"],
            ..NONE
        },
        Operation {
            path: "/v1/registry/export",
            id: "export",
            summary: "Write everything out, without secrets; `format` is jsonl or csv",
            query: &["format"],
            ..NONE
        },
        Operation {
            path: "/v1/explain",
            id: "explain",
            summary: "Say which access rule decides whether somebody may do something, and why",
            query: &["as", "permission", "on", "groups", "claim"],
            ..NONE
        },
        Operation { path: "/v1/openapi.json", id: "description", summary: "This description", ..NONE },
    ]);
    all
}

/// What is for one of the three kinds.
fn of<T>(what: &str, device: T, owner: T, service: T) -> T {
    match what {
        "device" => device,
        "owner" => owner,
        _ => service,
    }
}

fn of_kind(path: &'static str, one: &'static str, what: &'static str) -> [Operation; 9] {
    let add: &[(&str, &str, bool)] = of(
        what,
        &[
            ("id", "string", true),
            ("owner", "string", false),
            ("groups", "names", false),
            ("attributes", "object", false),
            ("credentials", "credentials", false),
        ][..],
        &[("id", "string", true), ("groups", "names", false), ("attributes", "object", false)],
        &[("id", "string", true), ("groups", "names", false)],
    );
    let (credentials, revoke, reinstate) = of(
        what,
        ("/v1/devices/{id}/credentials", "/v1/devices/{id}/revoke", "/v1/devices/{id}/reinstate"),
        ("/v1/owners/{id}/credentials", "/v1/owners/{id}/revoke", "/v1/owners/{id}/reinstate"),
        ("/v1/services/{id}/credentials", "/v1/services/{id}/revoke", "/v1/services/{id}/reinstate"),
    );
    let list: &[&str] = of(
        what,
        &["owner", "group", "status", "after", "limit"][..],
        &["group", "status", "after", "limit"],
        &["group", "status", "after", "limit"],
    );
    [
        Operation {
            path,
            id: of(what, "listDevices", "listOwners", "listServices"),
            summary: "List them, by pages: `after` is the last one's id",
            query: list,
            ..NONE
        },
        Operation {
            path,
            method: "post",
            id: of(what, "addDevice", "addOwner", "addService"),
            summary: "Add one",
            body: add,
            done: 201,
            ..NONE
        },
        Operation {
            path: one,
            id: of(what, "showDevice", "showOwner", "showService"),
            summary: "Show all that may be told of it",
            ..NONE
        },
        Operation {
            path: one,
            method: "patch",
            id: of(what, "changeDevice", "changeOwner", "changeService"),
            summary: "Change its groups or attributes: all of them, each",
            body: CHANGE,
            ..NONE
        },
        Operation {
            path: one,
            method: "delete",
            id: of(what, "removeDevice", "removeOwner", "removeService"),
            summary: "Take it out, with its credentials",
            done: 204,
            ..NONE
        },
        Operation {
            path: credentials,
            id: of(what, "listDeviceCredentials", "listOwnerCredentials", "listServiceCredentials"),
            summary: "List its credentials, but nothing that is secret of them",
            ..NONE
        },
        Operation {
            path: credentials,
            method: "post",
            id: of(what, "addDeviceCredential", "addOwnerCredential", "addServiceCredential"),
            summary: "Add a credential: `kind` is password, password_hash, scram, psk, api_key, certificate, certificate_subject, certificate_common_name or certificate_san",
            body: CREDENTIAL,
            done: 201,
            ..NONE
        },
        Operation {
            path: revoke,
            method: "post",
            id: of(what, "revokeDevice", "revokeOwner", "revokeService"),
            summary: "Revoke it: its live sessions end, on every protocol; an owner's devices go with it",
            body: REASON,
            ..NONE
        },
        Operation {
            path: reinstate,
            method: "post",
            id: of(what, "reinstateDevice", "reinstateOwner", "reinstateService"),
            summary: "Let it in again",
            ..NONE
        },
    ]
}

pub(super) async fn description() -> Answered {
    Ok(json(StatusCode::OK, &openapi()))
}

fn openapi() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| object!({}));
        path[operation.method] = operation.json();
    }
    object!({
        "openapi": "3.1.0",
        "info": {
            "title": "Windrose admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The registry of devices, owners and services, and the access rules. Callers need an identity that \
                an access rule lets `administer`. Problems are application/problem+json (RFC 9457).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"apiKey": []}, {"apiKeyHeader": []}, {"basic": []}],
        "paths": paths,
        "components": {"securitySchemes": {
            "apiKey": {"type": "http", "scheme": "bearer"},
            "apiKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "basic": {"type": "http", "scheme": "basic"},
        }},
    })
}

impl Operation {
    fn json(&self) -> Value {
        let parameter = |name: &str, place: &str| object!({"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}});
        let in_path = self.path.split('/').filter_map(|level| level.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<Value> = in_path
            .map(|name| parameter(name, "path"))
            .chain(self.query.iter().map(|name| parameter(name, "query")))
            .collect();
        let mut responses = Map::new();
        let answer = match self.done {
            204 => object!({"description": "It is done."}),
            _ => {
                object!({"description": "It is done.", "content": {"application/json": {"schema": {"type": "object"}}}})
            }
        };
        responses.insert(self.done.to_string(), answer);
        responses.insert(
            "default".to_owned(),
            object!({"description": "A problem.", "content": {"application/problem+json": {"schema": {"type": "object"}}}}),
        );
        let mut operation =
            object!({"operationId": self.id, "summary": self.summary, "responses": responses});
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if !self.body.is_empty() {
            let schema = fields(self.body);
            let required = self.body.iter().any(|(.., required)| *required);
            operation["requestBody"] =
                object!({"required": required, "content": {"application/json": {"schema": schema}}});
        }
        operation
    }
}

fn fields(body: &[(&str, &str, bool)]) -> Value {
    let properties: Map<String, Value> = body
        .iter()
        .map(|(name, kind, _)| {
            let schema = match *kind {
                "names" => object!({"type": "array", "items": {"type": "string"}}),
                "credentials" => object!({"type": "array", "items": fields(CREDENTIAL)}),
                "time" => object!({"type": "string", "format": "date-time"}),
                kind => object!({"type": kind}),
            };
            ((*name).to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> =
        body.iter().filter(|(.., required)| *required).map(|(name, ..)| *name).collect();
    object!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_a_summary() {
        let all = operations();
        let names: HashSet<_> = all.iter().map(|operation| operation.id).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|operation| operation.summary.len() > 5));
        let description = openapi();
        assert_eq!(description["paths"]["/v1/devices/{id}"].as_object().unwrap().len(), 3);
    }
}
