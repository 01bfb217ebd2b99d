//! `schema/dist/protocol.md`: the protocol as a person reads it. Everything in it comes from the schema.

use std::fmt::Write as _;

use crate::Outputs;
use crate::model::{
    Definition, Drop, EXTENSION, Event, Extra, Member, Method, Model, Outcome, Type, json_text,
};

/// Emits the reference.
pub(super) fn emit(model: &Model, outputs: &mut Outputs) {
    let mut page = Page::default();
    head(model, &mut page);
    tables(model, &mut page);
    for group in &model.groups {
        if group.methods.is_empty() && group.events.is_empty() {
            continue;
        }
        page.line(&format!("## Group `{}`", group.name));
        page.line(&group.description);
        for method in &group.methods {
            method_section(model, method, &mut page);
        }
        for event in &group.events {
            event_section(model, event, &mut page);
        }
    }
    page.line("## Definitions");
    for definition in &model.definitions {
        definition_section(definition, &mut page);
    }
    outputs.add("schema/dist/protocol.md", page.0);
}

/// Paragraphs with an empty line between them.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        if !text.is_empty() {
            self.0.push_str(text);
            self.0.push_str("\n\n");
        }
    }

    fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let rows: Vec<_> = rows.into_iter().collect();
        if rows.is_empty() {
            return;
        }
        let mut text = format!("| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()));
        for row in rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
                .collect();
            let _ = write!(text, "\n| {} |", cells.join(" | "));
        }
        self.line(&text);
    }
}

fn head(model: &Model, page: &mut Page) {
    page.line(&format!("# Protocol {}: `{}`", model.version, model.name));
    page.line("Generated from `schema/` by `cargo run -p codegen`. Do not edit.");
    page.line(&model.description);
    let counts = model.counts();
    page.line(&format!("In figures: {counts}."));
    let mut contents = String::from("**Methods:** ");
    let methods: Vec<String> = model
        .methods()
        .map(|m| link(&m.name, &format!("method-{}", m.name)))
        .collect();
    contents.push_str(&methods.join(", "));
    page.line(&contents);
    let events: Vec<String> = model
        .events()
        .map(|e| link(&e.name, &format!("event-{}", e.name)))
        .collect();
    page.line(&format!("**Events:** {}", events.join(", ")));
}

fn tables(model: &Model, page: &mut Page) {
    page.line("## Who may do what");
    page.table(
        &["role", "without scopes it has", "what it is"],
        model.roles.iter().map(|role| {
            vec![
                code(&role.name),
                list(&role.default_scopes),
                role.description.clone(),
            ]
        }),
    );
    page.table(
        &["scope", "contains", "what it allows"],
        model.scopes.iter().map(|scope| {
            vec![
                code(&scope.name),
                list(&scope.implies),
                scope.description.clone(),
            ]
        }),
    );
    page.line(&format!(
        "A name that no method has is treated as one of role `{}` with {}, so that callers with few rights cannot find out which methods exist.",
        model.unlisted.role,
        list(&model.unlisted.scopes)
    ));
    page.table(
        &[
            "method",
            "role",
            "any of these scopes",
            "effect",
            "idempotency key",
            "answers",
        ],
        model.methods().map(|method| {
            vec![
                link(&method.name, &format!("method-{}", method.name)),
                code(&method.access.role),
                list(&method.access.scopes),
                if method.write {
                    "write".into()
                } else {
                    "read".into()
                },
                method
                    .idempotency
                    .as_ref()
                    .map_or(String::new(), |key| code(&key.pointer)),
                match method.result {
                    Outcome::Single { .. } => "once".into(),
                    Outcome::Staged { .. } => "twice".into(),
                },
            ]
        }),
    );
    page.line("## Errors, closes, limits");
    page.table(
        &["code", "meaning"],
        model
            .error_codes
            .iter()
            .map(|c| vec![code(&c.name), c.description.clone()]),
    );
    page.table(
        &["text", "code", "when"],
        model
            .errors
            .iter()
            .map(|e| vec![code(&e.text), code(&e.code), e.description.clone()]),
    );
    page.table(
        &["close", "reason", "when"],
        model.closes.iter().map(|c| {
            vec![
                c.code.to_string(),
                if c.reason.is_empty() {
                    "(empty)".into()
                } else {
                    code(&c.reason)
                },
                c.description.clone(),
            ]
        }),
    );
    page.table(
        &["limit", "value", "unit", "why"],
        model.limits.iter().map(|l| {
            vec![
                code(&l.name),
                l.value.to_string(),
                l.unit.clone(),
                l.description.clone(),
            ]
        }),
    );
}

fn method_section(model: &Model, method: &Method, page: &mut Page) {
    page.line(&format!(
        "<a id=\"method-{}\"></a>\n### `{}`",
        method.name, method.name
    ));
    page.line(&method.summary);
    page.line(&method.description);
    let mut facts = vec![
        vec![
            "who".into(),
            format!(
                "role {}{}",
                code(&method.access.role),
                any_of(&method.access.scopes)
            ),
        ],
        vec!["params".into(), definition_link(&method.params)],
    ];
    if let Some(params) = &method.client_params {
        facts.push(vec!["clients write".into(), definition_link(params)]);
    }
    match &method.result {
        Outcome::Single { payload, nullable } => {
            let or_null = if *nullable { " or `null`" } else { "" };
            facts.push(vec![
                "result".into(),
                format!("{}{or_null}", definition_link(payload)),
            ]);
        }
        Outcome::Staged {
            first,
            last,
            failure,
            ..
        } => {
            facts.push(vec!["first response".into(), definition_link(first)]);
            facts.push(vec![
                "final response, same id".into(),
                definition_link(last),
            ]);
            if let Some(failure) = failure {
                facts.push(vec![
                    "payload beside a final error".into(),
                    definition_link(failure),
                ]);
            }
        }
    }
    if let Some(failure) = &method.failure {
        facts.push(vec![
            "payload beside an error".into(),
            definition_link(failure),
        ]);
    }
    if let Some(key) = &method.idempotency {
        facts.push(vec![
            "retry".into(),
            format!(
                "the same {} within {} s gives the first outcome",
                code(&key.pointer),
                key.ttl_ms / 1000
            ),
        ]);
    }
    if !method.errors.is_empty() {
        facts.push(vec!["errors".into(), list(&method.errors)]);
    }
    if !method.emits.is_empty() {
        let events: Vec<String> = method
            .emits
            .iter()
            .map(|e| link(e, &format!("event-{e}")))
            .collect();
        facts.push(vec!["events".into(), events.join(", ")]);
    }
    facts.push(vec!["since protocol".into(), method.since.to_string()]);
    if method.extension {
        facts.push(vec!["extension".into(), EXTENSION.into()]);
    }
    page.table(&["", ""], facts);
    let example = |name: &str| model.definition(name).examples.first().map(json_text);
    let mut frames = String::new();
    if let Some(params) = example(&method.params) {
        let _ = writeln!(
            frames,
            "-> {{\"type\":\"req\",\"id\":\"1\",\"method\":\"{}\",\"params\":{params}}}",
            method.name
        );
    }
    let payloads: Vec<&String> = match &method.result {
        Outcome::Single { payload, .. } => vec![payload],
        Outcome::Staged { first, last, .. } => vec![first, last],
    };
    for payload in payloads {
        if let Some(payload) = example(payload) {
            let _ = writeln!(
                frames,
                "<- {{\"type\":\"res\",\"id\":\"1\",\"ok\":true,\"payload\":{payload}}}"
            );
        }
    }
    fenced(&frames, page);
}

fn event_section(model: &Model, event: &Event, page: &mut Page) {
    page.line(&format!(
        "<a id=\"event-{}\"></a>\n### Event `{}`",
        event.name, event.name
    ));
    page.line(&event.summary);
    let slow = match &event.drop {
        Drop::Never => "the connection is closed".to_owned(),
        Drop::Always => "left out".to_owned(),
        Drop::When { member, equals } => {
            format!("left out where `{member}` is `{equals}`, otherwise the connection is closed")
        }
    };
    page.table(
        &["", ""],
        [
            vec!["payload".into(), definition_link(&event.payload)],
            vec![
                "to".into(),
                if event.broadcast {
                    format!(
                        "everyone of role {}{}, with `seq`",
                        list(&event.roles),
                        any_of(&event.scopes)
                    )
                } else {
                    "one connection, without `seq`".into()
                },
            ],
            vec![
                "`stateVersion`".into(),
                if event.state_version {
                    "yes".into()
                } else {
                    "no".into()
                },
            ],
            vec!["for a reader that is too slow".into(), slow],
        ],
    );
    if let Some(payload) = model.definition(&event.payload).examples.first() {
        fenced(
            &format!(
                "<- {{\"type\":\"event\",\"event\":\"{}\",\"payload\":{}}}\n",
                event.name,
                json_text(payload)
            ),
            page,
        );
    }
}

fn definition_section(definition: &Definition, page: &mut Page) {
    page.line(&format!(
        "<a id=\"{}\"></a>\n### {}",
        definition.name, definition.name
    ));
    page.line(&definition.description);
    match &definition.ty {
        Type::Object(object) => {
            members(&object.members, page);
            match &object.extra {
                Extra::Closed => {}
                Extra::Ignored => page.line("Other members are accepted and ignored."),
                Extra::Kept(ty) => {
                    page.line(&format!("Other members are kept: {}.", type_text(ty)))
                }
            }
        }
        Type::Lenient(list) => {
            page.line("Not validated: members of another type count as absent.");
            members(list, page);
        }
        Type::Tagged { tag, variants } => {
            for (value, object, description) in variants {
                page.line(&format!("`{tag}` = `{value}`: {description}"));
                members(&object.members, page);
            }
        }
        other => page.line(&type_text(other)),
    }
    if let Some(example) = definition.examples.first() {
        fenced(&format!("{}\n", json_text(example)), page);
    }
}

fn members(members: &[Member], page: &mut Page) {
    page.table(
        &["member", "type", "", "what it is"],
        members.iter().map(|member| {
            vec![
                code(&member.name),
                type_text(&member.ty),
                if member.required {
                    "required".into()
                } else {
                    String::new()
                },
                if member.since > 0 {
                    format!("{} Since protocol {}.", member.description, member.since)
                } else {
                    member.description.clone()
                },
            ]
        }),
    );
}

fn type_text(ty: &Type) -> String {
    match ty {
        Type::Any { secret: true } => "any value, secret".into(),
        Type::Any { .. } | Type::Lenient(_) => "any value".into(),
        Type::Boolean => "boolean".into(),
        Type::String { min, max, secret } => {
            let bounds = match (min, max) {
                (0, None) => String::new(),
                (min, None) => format!(", at least {min} characters"),
                (min, Some(max)) => format!(", {min} to {max} characters"),
            };
            format!("string{bounds}{}", if *secret { ", secret" } else { "" })
        }
        Type::Enum(values) => values
            .iter()
            .map(|v| code(v))
            .collect::<Vec<_>>()
            .join(", "),
        Type::Integer { min, max } => format!("integer {min} to {max}"),
        Type::Number { .. } => "number".into(),
        Type::Array { items, min, max } => {
            let bounds = match (min, max) {
                (0, None) => String::new(),
                (min, None) => format!(", at least {min}"),
                (min, Some(max)) => format!(", {min} to {max}"),
            };
            format!("list of {}{bounds}", type_text(items))
        }
        Type::Object(object) => match &object.extra {
            Extra::Kept(ty) => format!("map to {}", type_text(ty)),
            _ => "object".into(),
        },
        Type::Ref(name) => definition_link(name),
        Type::Nullable(inner) => format!("{} or `null`", type_text(inner)),
        Type::Tagged { .. } => "one of".into(),
        Type::OneOf(names) => names
            .iter()
            .map(|n| definition_link(n))
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn fenced(text: &str, page: &mut Page) {
    if !text.is_empty() {
        page.line(&format!("```json\n{text}```"));
    }
}

fn any_of(scopes: &[String]) -> String {
    if scopes.is_empty() {
        String::new()
    } else {
        format!(", any of {}", list(scopes))
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names
        .iter()
        .map(|name| code(name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn link(text: &str, anchor: &str) -> String {
    format!("[`{text}`](#{anchor})")
}

fn definition_link(name: &str) -> String {
    format!("[{name}](#{name})")
}
