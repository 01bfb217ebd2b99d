//! What is not of one group: how a connection goes, roles and scopes, all methods, errors, closes, limits.

use maud::{Markup, html};

use super::json::{NEWLINE, block};
use super::words::{Words, code_link, list, type_link};
use crate::emit::components::HOST;
use crate::emit::frames;
use crate::model::{Method, Model, Outcome};

/// The documents beside the page: path from the page as it is served, name of the file, what it is.
const DOCUMENTS: [(&str, &str, &str); 3] = [
    (
        "protocol/schema.json",
        "protocol.schema.json",
        "JSON Schema, draft-07: every type",
    ),
    (
        "protocol/openrpc.json",
        "openrpc.json",
        "OpenRPC 1.3: every method",
    ),
    (
        "protocol/asyncapi.json",
        "asyncapi.json",
        "AsyncAPI 3.0: every frame, both directions",
    ),
];

/// Title, figures and the way in.
pub(super) fn overview(model: &Model, words: &Words) -> Markup {
    html! {
        section id="overview" {
            h1 { (model.name) " " span { "protocol " (model.version) } }
            p.lead { (words.prose(&model.description)) }
            p { (model.counts().to_string()) ". For programs:" }
            ul {
                @for (path, file, what) in DOCUMENTS {
                    li { a href=(path) data-file=(file) { (file) } " – " (what) }
                }
            }
            @if let Some(handshake) = model.methods().find(|method| method.handshake) {
                (first_steps(model, handshake))
            }
        }
        (NEWLINE)
    }
}

/// From the open socket to the first answer.
fn first_steps(model: &Model, handshake: &Method) -> Markup {
    let kinds: Vec<Markup> = [frames::REQUEST, frames::RESPONSE, frames::EVENT]
        .iter()
        .filter(|name| model.definitions.iter().any(|d| d.name == **name))
        .map(|name| type_link(name))
        .collect();
    let greeting: Vec<Markup> = model
        .events()
        .filter(|event| !event.broadcast && event.name.starts_with(&handshake.name))
        .map(|event| code_link("event", &event.name))
        .collect();
    let exchange = frames::exchange(model, handshake);
    html! {
        h2 { "How a connection goes" }
        ol {
            li {
                "Open a WebSocket to " code { "ws://" (HOST) } " (any path). Each text message is one JSON object: "
                (list(kinds, ", ")) "."
            }
            @if !greeting.is_empty() {
                li { "The gateway speaks first: " (list(greeting, ", ")) "." }
            }
            li {
                "Send " (code_link("method", &handshake.name))
                ". Nothing else is served before it is accepted."
                @if let Some(request) = exchange.requests.first() { (block(request)) }
            }
            li {
                "Then call any method that your role and scopes allow. Answers carry the "
                code { "id" } " of their request and may come in another order; events come in between."
            }
        }
    }
}

/// Roles and scopes.
pub(super) fn rights(model: &Model, words: &Words) -> Markup {
    html! {
        section id="rights" {
            h2 { a href="#rights" { "Roles and scopes" } }
            (table(&["role", "scopes when it asks for none", "what it is"], model.roles.iter().map(|role| html! {
                tr id={ "role-" (role.name) } {
                    td { code { (role.name) } }
                    td { (scopes(&role.default_scopes)) }
                    td.words { (words.prose(&role.description)) }
                }
            })))
            (table(&["scope", "contains", "what it allows"], model.scopes.iter().map(|scope| html! {
                tr id={ "scope-" (scope.name) } {
                    td { code { (scope.name) } }
                    td { (scopes(&scope.implies)) }
                    td.words { (words.prose(&scope.description)) }
                }
            })))
            p {
                "A name that no method has counts as one of role " (code_link("role", &model.unlisted.role))
                " with scope " (scopes(&model.unlisted.scopes))
                ", so that callers with few rights cannot find out which methods exist."
            }
        }
        (NEWLINE)
    }
}

/// All methods on one table.
pub(super) fn methods(model: &Model, words: &Words) -> Markup {
    html! {
        section id="methods" {
            h2 { a href="#methods" { "All methods" } }
            (table(&["method", "what it does", "scope", "effect"], model.methods().map(|method| html! {
                tr {
                    td { (code_link("method", &method.name)) }
                    td.words {
                        (words.prose(&method.summary))
                        @if let Outcome::Staged { .. } = method.result { " " small { "answers twice" } }
                    }
                    td { @if method.handshake { "none" } @else { (scopes(&method.access.scopes)) } }
                    td { @if method.write { span.tag.write { "write" } } @else { span.tag.read { "read" } } }
                }
            })))
        }
        (NEWLINE)
    }
}

/// Error codes, fixed texts, closes.
pub(super) fn errors(model: &Model, words: &Words) -> Markup {
    html! {
        section id="errors" {
            h2 { a href="#errors" { "Errors" } }
            (table(&["code", "meaning"], model.error_codes.iter().map(|code| html! {
                tr id={ "code-" (code.name) } {
                    td { code { (code.name) } }
                    td.words { (words.prose(&code.description)) }
                }
            })))
            p { "Clients may match these texts: their words do not change. What stands in braces is filled in." }
            (table(&["text", "code", "when", "name"], model.errors.iter().map(|error| html! {
                tr id={ "error-" (error.name) } {
                    td { code { (error.text) } }
                    td { (code_link("code", &error.code)) }
                    td.words { (words.prose(&error.description)) }
                    td.name { (error.name) }
                }
            })))
        }
        (NEWLINE)
        section id="closes" {
            h2 { a href="#closes" { "Closes" } }
            p { "WebSocket closes that the gateway sends." }
            (table(&["code", "reason", "when", "name"], model.closes.iter().map(|close| html! {
                tr id={ "close-" (close.name) } {
                    td { code { (close.code) } }
                    td { @if close.reason.is_empty() { "(empty)" } @else { code { (close.reason) } } }
                    td.words { (words.prose(&close.description)) }
                    td.name { (close.name) }
                }
            })))
        }
        (NEWLINE)
    }
}

/// Policy numbers.
pub(super) fn limits(model: &Model, words: &Words) -> Markup {
    html! {
        section id="limits" {
            h2 { a href="#limits" { "Limits" } }
            (table(&["limit", "value", "why"], model.limits.iter().map(|limit| html! {
                tr id={ "limit-" (limit.name) } {
                    td { code { (limit.name) } }
                    td.number { (grouped(limit.value)) " " (limit.unit) }
                    td.words { (words.prose(&limit.description)) }
                }
            })))
        }
        (NEWLINE)
    }
}

fn table(head: &[&str], rows: impl Iterator<Item = Markup>) -> Markup {
    html! {
        div.wide { table {
            thead { tr { @for name in head { th { (name) } } } }
            tbody { @for row in rows { (row) (NEWLINE) } }
        } }
    }
}

fn scopes(names: &[String]) -> Markup {
    if names.is_empty() {
        return html! { "none" };
    }
    list(names.iter().map(|name| code_link("scope", name)), ", ")
}

/// `1572864` → `1 572 864`, with narrow blanks that do not break.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_groups() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1\u{202f}000"),
            (1_572_864, "1\u{202f}572\u{202f}864"),
        ] {
            assert_eq!(grouped(value), text);
        }
    }
}
