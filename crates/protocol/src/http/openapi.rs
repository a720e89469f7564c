//! The OpenAPI 3.1 description of the REST listener, served at `/v1/openapi.json`.

use serde_json::{Value, json};

/// The description.
pub fn openapi(version: &str) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Windrose REST listener",
            "version": version,
            "description": "Publish events, keep and read last values, subscribe, and ask things. One namespace of \
                addresses for every protocol: the path after /v1/events/ is an MQTT topic.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"apiKey": []}, {"apiKeyHeader": []}, {"basic": []}, {}],
        "paths": {
            "/v1/events": {
                "post": {
                    "operationId": "publishEvents",
                    "summary": "Publish CloudEvents that bring their address along",
                    "description": "Each event's subject is its address. A batch is answered by its worst outcome, \
                        with the outcome of each event in `results`.",
                    "parameters": parameters(&["Assurance", "Expiry", "ReplyTo", "Correlation"]),
                    "requestBody": {"required": true, "content": {
                        "application/cloudevents+json": {"schema": schema("CloudEvent")},
                        "application/cloudevents-batch+json": {
                            "schema": {"type": "array", "maxItems": 1000, "items": schema("CloudEvent")},
                        },
                        "*/*": {"schema": {}},
                    }},
                    "responses": responses(&["Accepted"]),
                },
            },
            "/v1/events/{address}": {
                "parameters": parameters(&["Address"]),
                "post": {
                    "operationId": "publishEvent",
                    "summary": "Publish an event",
                    "description": "A plain body, or a CloudEvent in binary, structured or batch mode. It is answered \
                        when the promise of the event's route holds.",
                    "parameters": parameters(&["Assurance", "Expiry", "ReplyTo", "Correlation"]),
                    "requestBody": event_body(),
                    "responses": responses(&["Accepted"]),
                },
                "put": {
                    "operationId": "setLastValue",
                    "summary": "Publish an event that becomes the address's last value",
                    "parameters": parameters(&["Assurance", "Expiry", "ReplyTo", "Correlation"]),
                    "requestBody": event_body(),
                    "responses": responses(&["Accepted"]),
                },
                "delete": {
                    "operationId": "clearLastValue",
                    "summary": "Clear the address's last value",
                    "responses": responses(&["Accepted"]),
                },
                "get": {
                    "operationId": "readLastValueOrSubscribe",
                    "summary": "Read the address's last value, or subscribe to a filter",
                    "description": "With `Accept: text/event-stream` the address is a filter (`+` for one level, `%23` \
                        at the end for any number of them), and the answer a stream of server-sent events: each with \
                        its CloudEvent in structured mode as data.",
                    "parameters": parameters(&["Group", "Retained", "SubscriptionAssurance"]),
                    "responses": responses(&["LastValue", "NoValue"]),
                },
                "head": {
                    "operationId": "probeLastValue",
                    "summary": "Like GET, without the value itself",
                    "responses": responses(&["LastValue", "NoValue"]),
                },
            },
            "/v1/requests/{address}": {
                "parameters": parameters(&["Address"]),
                "post": {
                    "operationId": "request",
                    "summary": "Ask a thing and wait for its answer",
                    "description": "The event is published with a reply address of its own; the first event that is \
                        published there is the answer. 503: nobody listens. 504: no answer came in time.",
                    "parameters": parameters(&["Wait", "Assurance", "Expiry", "Correlation"]),
                    "requestBody": event_body(),
                    "responses": responses(&["Reply"]),
                },
            },
            "/v1/openapi.json": {
                "get": {
                    "operationId": "describe",
                    "summary": "This description",
                    "security": [],
                    "responses": {"200": {"$ref": "#/components/responses/Description"}},
                },
                "head": {
                    "operationId": "probeDescription",
                    "summary": "Like GET, without the description itself",
                    "security": [],
                    "responses": {"200": {"$ref": "#/components/responses/Description"}},
                },
            },
            "/.well-known/jwks.json": {
                "get": {
                    "operationId": "readPublicKeys",
                    "summary": "The keys that identity tokens are signed with, as a JWK Set",
                    "security": [],
                    "responses": {
                        "200": {"$ref": "#/components/responses/PublicKeys"},
                        "404": {"$ref": "#/components/responses/NoKeys"},
                    },
                },
                "head": {
                    "operationId": "probePublicKeys",
                    "summary": "Like GET, without the keys themselves",
                    "security": [],
                    "responses": {
                        "200": {"$ref": "#/components/responses/PublicKeys"},
                        "404": {"$ref": "#/components/responses/NoKeys"},
                    },
                },
            },
        },
        "components": {
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key."},
                "apiKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "basic": {"type": "http", "scheme": "basic", "description": "A device's name and password."},
            },
            "parameters": all_parameters(),
            "schemas": schemas(),
            "responses": all_responses(),
        },
    })
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn parameters(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

fn event_body() -> Value {
    json!({"content": {
        "application/cloudevents+json": {"schema": schema("CloudEvent")},
        "*/*": {"schema": {}},
    }})
}

/// A resource's own answers, and those that every resource may give.
fn responses(own: &[&str]) -> Value {
    const COMMON: [(&str, &str); 9] = [
        ("400", "Malformed"),
        ("401", "Unauthorized"),
        ("403", "NotPermitted"),
        ("413", "TooLarge"),
        ("415", "UnsupportedMediaType"),
        ("422", "Rejected"),
        ("429", "Busy"),
        ("503", "Unavailable"),
        ("504", "TimedOut"),
    ];
    let own = own.iter().map(|name| {
        let status = match *name {
            "Accepted" => "202",
            "NoValue" => "404",
            _ => "200",
        };
        (status, *name)
    });
    let described = own
        .chain(COMMON)
        .map(|(status, name)| (status.to_owned(), json!({"$ref": format!("#/components/responses/{name}")})));
    Value::Object(described.collect())
}

fn all_parameters() -> Value {
    let duration = json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)?$"});
    json!({
        "Address": {
            "name": "address", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "A path of levels such as devices/car-7/telemetry, each in percent-encoding. %2F is refused.",
        },
        "Assurance": {
            "name": "Windrose-Assurance", "in": "header", "schema": {"enum": ["0", "1", "2"], "default": "1"},
            "description": "How surely subscribers get it: at most once, at least once, exactly once.",
        },
        "Expiry": {
            "name": "Windrose-Expiry", "in": "header", "schema": duration,
            "description": "How long the event is worth delivering.",
        },
        "ReplyTo": {
            "name": "Windrose-Reply-To", "in": "header", "schema": {"type": "string"},
            "description": "The address that an answer should go to.",
        },
        "Correlation": {
            "name": "Windrose-Correlation", "in": "header", "schema": {"type": "string"},
            "description": "What the asker recognises its answer by.",
        },
        "Wait": {
            "name": "wait", "in": "query", "schema": duration,
            "description": "How long to wait for the answer: 10s, unless it says otherwise; at most 60s.",
        },
        "Group": {
            "name": "group", "in": "query", "schema": {"type": "string"},
            "description": "The group that shares the work: each event goes to one member.",
        },
        "Retained": {
            "name": "retained", "in": "query", "schema": {"type": "boolean", "default": true},
            "description": "Whether the stream begins with the last values that the filter matches.",
        },
        "SubscriptionAssurance": {
            "name": "assurance", "in": "query", "schema": {"enum": ["0", "1"], "default": "0"},
            "description": "1: an event counts as delivered once it is written to the stream.",
        },
    })
}

fn schemas() -> Value {
    json!({
        "CloudEvent": {
            "type": "object",
            "description": "A CloudEvent 1.0 in the JSON format.",
            "required": ["specversion", "id", "source", "type"],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "minLength": 1},
                "source": {"type": "string", "format": "uri-reference", "minLength": 1},
                "type": {"type": "string", "minLength": 1},
                "subject": {"type": "string"},
                "time": {"type": "string", "format": "date-time"},
                "datacontenttype": {"type": "string"},
                "data": {},
                "data_base64": {"type": "string", "contentEncoding": "base64"},
            },
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "Outcome": {
            "type": "object",
            "required": ["outcome"],
            "properties": {
                "outcome": {"enum": windrose_event::Outcome::NAMES},
                "heard": {"type": "boolean", "description": "Whether any route or subscriber took it."},
                "detail": {"type": "string"},
                "results": {"type": "array", "items": schema("Outcome")},
            },
        },
        "Problem": {
            "type": "object",
            "description": "What is wrong (RFC 9457).",
            "required": ["type", "title", "status"],
            "properties": {
                "type": {"type": "string", "format": "uri"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "results": {"type": "array", "items": schema("Outcome")},
            },
        },
    })
}

fn all_responses() -> Value {
    let problem = |description: &str| {
        json!({
            "description": description,
            "content": {"application/problem+json": {"schema": schema("Problem")}},
        })
    };
    let later = |description: &str| {
        let mut problem = problem(description);
        problem["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}}});
        problem
    };
    let payload = |description: &str| {
        json!({
            "description": description,
            "headers": {"ce-id": {"schema": {"type": "string"}}, "ce-time": {"schema": {"type": "string"}}},
            "content": {"*/*": {"schema": {}}},
        })
    };
    let mut last_value = payload("The last value with its attributes as headers, or the stream.");
    last_value["content"]["text/event-stream"] = json!({"schema": {"type": "string"}});
    json!({
        "Accepted": {
            "description": "The promise of the event's route holds.",
            "content": {"application/json": {"schema": schema("Outcome")}},
        },
        "LastValue": last_value,
        "Reply": payload("The thing's answer with its attributes as headers."),
        "Description": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}},
        "PublicKeys": {
            "description": "A JWK Set (RFC 7517).",
            "content": {"application/jwk-set+json": {"schema": {"type": "object"}}},
        },
        "NoKeys": problem("No pool of the document wants identity tokens."),
        "NoValue": problem("The address has no last value."),
        "Malformed": problem("The request, its address or its CloudEvent breaks a rule."),
        "Unauthorized": problem("Credentials are needed, or are not valid."),
        "NotPermitted": problem("No access rule allows it."),
        "TooLarge": problem("It is larger than limits.payload_bytes."),
        "UnsupportedMediaType": problem("The body's encoding or format is not understood."),
        "Rejected": problem("The service, or a rule, will not take it."),
        "Busy": later("Too much is in flight."),
        "Unavailable": later("Nobody can take it now, or nobody listens."),
        "TimedOut": problem("No answer came in time."),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::http::paths::Resource;
    use std::collections::BTreeSet;

    #[test]
    fn every_resource_is_described_and_nothing_else() {
        let described: BTreeSet<_> = openapi("1")["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
            })
            .collect();
        let served: BTreeSet<_> = Resource::ALL
            .iter()
            .flat_map(|(path, resource)| {
                resource.methods().split(", ").map(move |method| format!("{method} {path}"))
            })
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = openapi("1");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }
}
