//! `methods.js` and `events.js` with their declarations: types by name, and who may call or receive.

use super::HEAD;
use super::literal::{key, list, quoted, union};
use super::types;
use super::writer::Writer;
use crate::model::{Drop, Event, Method, Model, Outcome};

/// `methods.d.ts`.
pub(super) fn method_declarations(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.line("import type { Role, Scope } from \"./protocol.js\";");
    types::import(&mut w, model.methods().flat_map(definitions));
    w.gap();
    w.doc(
        "What each method takes and answers. A method with `first` and `last` is answered twice under \
         one id. `failure` is the payload that may come with an error.\n\nAn interface, so that a \
         plugin's methods can be added to it.",
    );
    w.block("export interface Methods", "", |w| {
        for method in model.methods() {
            w.doc(&documentation(method));
            let members = signature(method)
                .into_iter()
                .map(|(member, ty)| format!("{member}: {ty}"))
                .collect::<Vec<_>>()
                .join("; ");
            w.line(format!("{}: {{ {members} }};", quoted(&method.name)));
        }
    });
    w.gap();
    w.doc("Name of a method.");
    w.line("export type MethodName = keyof Methods;");
    w.gap();
    w.doc("Methods that the handshake calls, and nobody else.");
    let handshake = model.methods().filter(|method| method.handshake);
    let handshake = union(handshake.map(|method| method.name.as_str()));
    w.line(format!("export type HandshakeMethod = {handshake};"));
    w.gap();
    w.doc("Who may call a method, and how it is answered.");
    w.block("export interface MethodInfo", "", |w| {
        for (about, member) in [
            ("Role of the connections that may call it.", "readonly role: Role;"),
            (
                "Any one of these scopes is enough. Empty: the role is.",
                "readonly scopes: readonly Scope[];",
            ),
            ("Whether it changes something.", "readonly write: boolean;"),
            (
                "Member and value by which the first of two answers is known. Absent where there is one.",
                "readonly first?: readonly [member: string, value: string];",
            ),
            (
                "JSON pointer of the params member by which a retry is recognised.",
                "readonly idempotencyKey?: string;",
            ),
        ] {
            w.doc(about);
            w.line(member);
        }
    });
    w.gap();
    w.doc("Every method of the protocol.");
    w.line("export declare const METHODS: { readonly [M in MethodName]: MethodInfo };");
    w.finish()
}

/// `methods.js`.
pub(super) fn method_values(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.block("export const METHODS =", ";", |w| {
        for method in model.methods() {
            let mut members = vec![
                format!("role: {}", quoted(&method.access.role)),
                format!("scopes: {}", list(&method.access.scopes)),
                format!("write: {}", method.write),
            ];
            if let Outcome::Staged { when, .. } = &method.result {
                members.push(format!("first: [{}, {}]", quoted(&when.0), quoted(&when.1)));
            }
            if let Some(idempotency) = &method.idempotency {
                members.push(format!("idempotencyKey: {}", quoted(&idempotency.pointer)));
            }
            w.line(format!(
                "{}: {{ {} }},",
                key(&method.name),
                members.join(", ")
            ));
        }
    });
    w.finish()
}

/// Members of a method's entry with their types.
fn signature(method: &Method) -> Vec<(&'static str, String)> {
    let mut members = vec![("params", method.call_params().to_owned())];
    let failure = match &method.result {
        Outcome::Single { payload, nullable } => {
            let null = if *nullable { " | null" } else { "" };
            members.push(("result", format!("{payload}{null}")));
            &method.failure
        }
        Outcome::Staged {
            first,
            last,
            failure,
            ..
        } => {
            members.push(("first", first.clone()));
            members.push(("last", last.clone()));
            failure
        }
    };
    members.extend(failure.clone().map(|failure| ("failure", failure)));
    members
}

/// Definitions that a method's entry names.
fn definitions(method: &Method) -> Vec<&str> {
    let mut names = vec![method.call_params()];
    match &method.result {
        Outcome::Single { payload, .. } => {
            names.push(payload);
            names.extend(method.failure.as_deref());
        }
        Outcome::Staged {
            first,
            last,
            failure,
            ..
        } => {
            names.extend([first.as_str(), last]);
            names.extend(failure.as_deref());
        }
    }
    names
}

fn documentation(method: &Method) -> String {
    let mut paragraphs = vec![method.summary.clone()];
    if !method.description.is_empty() {
        paragraphs.push(method.description.clone());
    }
    let code = |names: &[String], between: &str| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(between)
    };
    let mut facts = vec![format!("For role `{}`", method.access.role)];
    if !method.access.scopes.is_empty() {
        facts.push(format!("needs {}", code(&method.access.scopes, " or ")));
    }
    if !method.emits.is_empty() {
        facts.push(format!(
            "may cause the events {}",
            code(&method.emits, ", ")
        ));
    }
    paragraphs.push(format!("{}.", facts.join(", ")));
    paragraphs.join("\n\n")
}

/// `events.d.ts`.
pub(super) fn event_declarations(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.line("import type { Role, Scope } from \"./protocol.js\";");
    types::import(&mut w, model.events().map(|event| event.payload.as_str()));
    w.gap();
    w.doc(
        "The payload of each event.\n\nAn interface, so that a plugin's events can be added to it.",
    );
    w.block("export interface Events", "", |w| {
        for event in model.events() {
            w.doc(&event.summary);
            w.line(format!("{}: {};", quoted(&event.name), event.payload));
        }
    });
    w.gap();
    w.doc("Name of an event.");
    w.line("export type EventName = keyof Events;");
    w.gap();
    w.doc("Who receives an event, and when it is left out.");
    w.block("export interface EventInfo", "", |w| {
        for (about, member) in [
            (
                "True: to everyone who may see it, with `seq`. False: to one connection, without.",
                "readonly broadcast: boolean;",
            ),
            ("Roles that receive it.", "readonly roles: readonly Role[];"),
            (
                "Any one of these scopes is needed; empty for none.",
                "readonly scopes: readonly Scope[];",
            ),
            ("Whether it carries `stateVersion`.", "readonly stateVersion: boolean;"),
            (
                "Whether a slow connection may miss it: never, always, or where a member has this value.",
                "readonly dropIfSlow: boolean | readonly [member: string, value: string];",
            ),
        ] {
            w.doc(about);
            w.line(member);
        }
    });
    w.gap();
    w.doc("Every event of the protocol.");
    w.line("export declare const EVENTS: { readonly [E in EventName]: EventInfo };");
    w.finish()
}

/// `events.js`.
pub(super) fn event_values(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.block("export const EVENTS =", ";", |w| {
        for event in model.events() {
            w.line(format!(
                "{}: {{ {} }},",
                key(&event.name),
                event_value(event)
            ));
        }
    });
    w.finish()
}

fn event_value(event: &Event) -> String {
    let drop = match &event.drop {
        Drop::Never => "false".to_owned(),
        Drop::Always => "true".to_owned(),
        Drop::When { member, equals } => format!("[{}, {}]", quoted(member), quoted(equals)),
    };
    [
        format!("broadcast: {}", event.broadcast),
        format!("roles: {}", list(&event.roles)),
        format!("scopes: {}", list(&event.scopes)),
        format!("stateVersion: {}", event.state_version),
        format!("dropIfSlow: {drop}"),
    ]
    .join(", ")
}
