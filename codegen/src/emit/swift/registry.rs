//! The typed profile's constants, methods and events.

use super::types::reference;
use super::writer::{Writer, quoted};
use super::{HEAD, coding, names};
use crate::model::{Event, Method, Model, Outcome};

/// `GatewayProtocol`: version, roles, scopes, error codes, closes, errors, limits.
pub(super) fn protocol(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.doc(&model.description);
    w.block("public enum GatewayProtocol", |w| {
        w.doc("Version spoken on the wire.");
        w.line(format!("public static let version = {}", model.version));
        w.gap();
        let roles = model
            .roles
            .iter()
            .map(|role| (&*role.name, &*role.description));
        plain_set(w, "Role", "What a connection is.", roles);
        w.gap();
        let scopes = model
            .scopes
            .iter()
            .map(|scope| (&*scope.name, &*scope.description));
        plain_set(w, "Scope", "What an operator's connection may do.", scopes);
        w.gap();
        let values: Vec<&String> = model.error_codes.iter().map(|code| &code.name).collect();
        let cases = names::cases(values.iter().map(|value| value.as_str()));
        let rows: Vec<(&String, &String)> = cases.iter().zip(values).collect();
        coding::string_set(w, "ErrorCode", "Codes of an error answer.", &rows);
        w.gap();
        w.doc("How the server ends a connection.");
        w.block("public struct Close: Sendable, Hashable", |w| {
            w.doc("WebSocket close code.");
            w.line("public let code: UInt16");
            w.doc("WebSocket close reason.");
            w.line("public let reason: String");
            for close in &model.closes {
                w.gap();
                w.doc(&close.description);
                let (name, reason) = (names::member(&close.name), quoted(&close.reason));
                let code = close.code;
                w.line(format!(
                    "public static let {name} = Close(code: {code}, reason: {reason})"
                ));
            }
        });
        w.gap();
        w.doc("An error in its fixed words, by which clients know it.");
        w.block("public struct KnownError: Sendable, Hashable", |w| {
            w.doc("Error code.");
            w.line("public let code: ErrorCode");
            w.doc("Message; `{name}` marks a placeholder.");
            w.line("public let text: String");
            for error in &model.errors {
                let Some((code, _)) = rows.iter().find(|(_, code)| **code == error.code) else {
                    // The manifest's reader refuses errors without a code of the list.
                    continue;
                };
                w.gap();
                w.doc(&error.description);
                let (name, text) = (names::member(&error.name), quoted(&error.text));
                w.line(format!(
                    "public static let {name} = KnownError(code: .{code}, text: {text})"
                ));
            }
        });
        w.gap();
        w.doc("Policy numbers.");
        w.block("public enum Limits", |w| {
            for limit in &model.limits {
                w.doc(&format!("{} Unit: {}.", limit.description, limit.unit));
                let name = names::member(&limit.name);
                w.line(format!("public static let {name} = {}", limit.value));
            }
        });
    });
    w.finish()
}

fn plain_set<'a>(
    w: &mut Writer,
    name: &str,
    description: &str,
    values: impl Iterator<Item = (&'a str, &'a str)>,
) {
    w.doc(description);
    let head = format!("public enum {name}: String, CaseIterable, Codable, Sendable, Hashable");
    w.block(head, |w| {
        for (value, about) in values {
            w.doc(about);
            w.line(format!("case {} = {}", names::member(value), quoted(value)));
        }
    });
}

/// `GatewayMethod`.
pub(super) fn methods(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    let about = model
        .methods()
        .map(|method| (&*method.name, &*method.summary));
    plain_set(
        &mut w,
        "GatewayMethod",
        "Every method of the protocol.",
        about,
    );
    let all: Vec<&Method> = model.methods().collect();
    if all.is_empty() {
        return w.finish();
    }
    w.gap();
    w.block("extension GatewayMethod", |w| {
        w.doc("Role of the connections that may call it.");
        choice(w, "role: GatewayProtocol.Role", &all, |method| {
            format!(".{}", names::bare(&method.access.role))
        });
        w.gap();
        w.doc("Any one of these scopes is enough. Empty: the role is.");
        choice(w, "scopes: [GatewayProtocol.Scope]", &all, |method| {
            let scopes: Vec<String> = method
                .access
                .scopes
                .iter()
                .map(|scope| format!(".{}", names::bare(scope)))
                .collect();
            format!("[{}]", scopes.join(", "))
        });
        w.gap();
        w.doc("Whether it changes something.");
        choice(w, "isWrite: Bool", &all, |method| method.write.to_string());
        w.gap();
        w.doc("Whether it is answered twice under one id.");
        choice(w, "isStaged: Bool", &all, |method| {
            matches!(method.result, Outcome::Staged { .. }).to_string()
        });
        w.gap();
        w.doc(
            "Member and value by which the first of two answers is known. Nil where there is one.",
        );
        choice(
            w,
            "firstAnswer: (member: String, value: String)?",
            &all,
            |method| match &method.result {
                Outcome::Staged { when, .. } => {
                    format!("({}, {})", quoted(&when.0), quoted(&when.1))
                }
                Outcome::Single { .. } => "nil".to_owned(),
            },
        );
        w.gap();
        w.doc("JSON pointer of the params member by which a retry is recognised.");
        choice(w, "idempotencyKey: String?", &all, |method| {
            method
                .idempotency
                .as_ref()
                .map_or("nil".to_owned(), |key| quoted(&key.pointer))
        });
    });
    w.finish()
}

/// A property by method, methods of the same value on one line, in the order of the first of them.
fn choice(w: &mut Writer, property: &str, methods: &[&Method], value: impl Fn(&Method) -> String) {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for method in methods {
        let (case, value) = (
            format!(".{}", names::after_dot(&names::bare(&method.name))),
            value(method),
        );
        match rows.iter_mut().find(|(known, _)| *known == value) {
            Some((_, cases)) => cases.push(case),
            None => rows.push((value, vec![case])),
        }
    }
    w.block(format!("public var {property}"), |w| {
        if let [(value, _)] = rows.as_slice() {
            w.line(value);
            return;
        }
        w.line("switch self {");
        for (value, cases) in &rows {
            w.line(format!("case {}: {value}", cases.join(", ")));
        }
        w.line("}");
    });
}

/// `EventPayload`.
pub(super) fn events(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    let rows: Vec<(String, String, &Event)> =
        names::cases(model.events().map(|event| &*event.name))
            .into_iter()
            .zip(model.events())
            .map(|(case, event)| {
                (
                    case,
                    reference(model, model.definition(&event.payload)),
                    event,
                )
            })
            .collect();
    w.gap();
    w.doc("The payload of an event, by the event's name.");
    w.block("public enum EventPayload: Sendable, Hashable", |w| {
        for (case, ty, event) in &rows {
            w.doc(&format!("`{}`: {}", event.name, event.summary));
            w.line(format!("case {case}({ty})"));
        }
        w.doc("An event that this version does not know.");
        w.line("case unknown(name: String, payload: JSONValue?)");
        w.gap();
        w.doc("Names of all events that this version knows.");
        let known: Vec<String> = rows
            .iter()
            .map(|(_, _, event)| quoted(&event.name))
            .collect();
        w.line(format!(
            "public static let names: [String] = [{}]",
            known.join(", ")
        ));
        w.gap();
        w.doc("The event's name on the wire.");
        w.block("public var name: String", |w| {
            w.line("switch self {");
            for (case, _, event) in &rows {
                w.line(format!("case .{case}: {}", quoted(&event.name)));
            }
            w.line("case .unknown(let name, _): name");
            w.line("}");
        });
    });
    w.gap();
    w.block("extension EventPayload", |w| {
        w.doc("Decodes the payload of the event of this name from one member of a container.");
        let head = "init<Key>(name: String, from container: KeyedDecodingContainer<Key>, forKey key: Key) throws";
        w.block(head, |w| {
            w.line("switch name {");
            for (case, ty, event) in &rows {
                w.line(format!("case {}:", quoted(&event.name)));
                w.indented(|w| {
                    w.line(format!("self = .{case}(try container.decode({ty}.self, forKey: key))"));
                });
            }
            w.line("default:");
            w.indented(|w| {
                w.line("let payload = try container.decodeIfPresent(JSONValue.self, forKey: key)");
                w.line("self = .unknown(name: name, payload: payload)");
            });
            w.line("}");
        });
        w.gap();
        w.doc("Encodes the payload as one member of a container.");
        let head = "func encode<Key>(into container: inout KeyedEncodingContainer<Key>, forKey key: Key) throws";
        w.block(head, |w| {
            w.line("switch self {");
            for (case, _, _) in &rows {
                w.line(format!("case .{case}(let payload): try container.encode(payload, forKey: key)"));
            }
            w.line("case .unknown(_, let payload): try container.encodeIfPresent(payload, forKey: key)");
            w.line("}");
        });
    });
    w.finish()
}
