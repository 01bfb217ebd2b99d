//! The `x-` members of the bundle: versions, methods, events, roles, scopes, codes, closes, limits, texts.
//!
//! Entries have the keys that they have in the schema files, where definitions are named by name alone.

use serde_json::{Map, Value, json};

use crate::model::{Access, Drop, Event, Method, Model, Outcome};

pub(super) fn members(model: &Model) -> Map<String, Value> {
    let mut methods = Map::new();
    let mut events = Map::new();
    let mut groups = Map::new();
    for group in &model.groups {
        groups.insert(group.name.clone(), described(json!({}), &group.description));
        for item in &group.methods {
            methods.insert(item.name.clone(), method(&group.name, item));
        }
        for item in &group.events {
            events.insert(item.name.clone(), event(&group.name, item));
        }
    }
    let table = |rows: Vec<(&String, Value)>| -> Value {
        rows.into_iter()
            .map(|(name, value)| (name.clone(), value))
            .collect()
    };
    let roles = model.roles.iter().map(|role| {
        let entry = json!({ "defaultScopes": role.default_scopes });
        (&role.name, described(entry, &role.description))
    });
    let scopes = model.scopes.iter().map(|scope| {
        let entry = json!({ "implies": scope.implies });
        (&scope.name, described(entry, &scope.description))
    });
    let codes = model
        .error_codes
        .iter()
        .map(|code| (&code.name, described(json!({}), &code.description)));
    let closes = model.closes.iter().map(|close| {
        let entry = json!({ "code": close.code, "reason": close.reason });
        (&close.name, described(entry, &close.description))
    });
    let limits = model.limits.iter().map(|limit| {
        let entry = json!({ "value": limit.value, "unit": limit.unit });
        (&limit.name, described(entry, &limit.description))
    });
    let errors = model.errors.iter().map(|error| {
        let entry = json!({ "code": error.code, "text": error.text });
        (&error.name, described(entry, &error.description))
    });
    let texts = model
        .texts
        .iter()
        .map(|text| (&text.name, json!(text.text)));
    [
        ("x-protocol", json!(model.version)),
        ("x-oldest-protocol", json!(model.oldest)),
        ("x-groups", Value::Object(groups)),
        ("x-methods", Value::Object(methods)),
        ("x-events", Value::Object(events)),
        ("x-roles", table(roles.collect())),
        ("x-scopes", table(scopes.collect())),
        ("x-unlisted", access(&model.unlisted)),
        ("x-error-codes", table(codes.collect())),
        ("x-closes", table(closes.collect())),
        ("x-limits", table(limits.collect())),
        ("x-errors", table(errors.collect())),
        ("x-texts", table(texts.collect())),
        (
            "x-features",
            json!({ "methods": model.feature_methods, "events": model.feature_events }),
        ),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn described(mut entry: Value, description: &str) -> Value {
    if !description.is_empty() {
        entry["description"] = json!(description);
    }
    entry
}

fn access(access: &Access) -> Value {
    json!({ "role": access.role, "scopes": access.scopes })
}

fn method(group: &str, method: &Method) -> Value {
    let mut entry = json!({
        "group": group,
        "summary": method.summary,
        "since": method.since,
        "params": method.params,
        "role": method.access.role,
        "scopes": method.access.scopes,
        "effect": if method.write { "write" } else { "read" },
    });
    if let Some(params) = &method.client_params {
        entry["clientParams"] = json!(params);
    }
    match &method.result {
        Outcome::Single { payload, nullable } => {
            entry["result"] = json!(payload);
            if *nullable {
                entry["nullableResult"] = json!(true);
            }
        }
        Outcome::Staged {
            first,
            when: (member, value),
            last,
            failure,
        } => {
            entry["stages"] = json!([first, last]);
            entry["when"] = json!({ member: value });
            if let Some(failure) = failure {
                entry["failure"] = json!(failure);
            }
        }
    }
    if let Some(failure) = &method.failure {
        entry["failure"] = json!(failure);
    }
    if let Some(key) = &method.idempotency {
        entry["idempotency"] =
            json!({ "key": key.pointer, "space": key.space, "ttlMs": key.ttl_ms });
    }
    for (key, names) in [("errors", &method.errors), ("emits", &method.emits)] {
        if !names.is_empty() {
            entry[key] = json!(names);
        }
    }
    if method.extension {
        entry["extension"] = json!(true);
    }
    if method.handshake {
        entry["dispatch"] = json!("handshake");
    }
    described(entry, &method.description)
}

fn event(group: &str, event: &Event) -> Value {
    let drop = match &event.drop {
        Drop::Never => json!(false),
        Drop::Always => json!(true),
        Drop::When { member, equals } => json!({ "member": member, "equals": equals }),
    };
    let entry = json!({
        "group": group,
        "summary": event.summary,
        "since": event.since,
        "payload": event.payload,
        "delivery": if event.broadcast { "broadcast" } else { "directed" },
        "audience": { "roles": event.roles, "scopes": event.scopes },
        "stateVersion": event.state_version,
        "dropIfSlow": drop,
    });
    described(entry, &event.description)
}
