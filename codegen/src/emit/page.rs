//! `schema/dist/protocol.html`: the protocol as one page that needs nothing else. The gateway serves it at
//! `/protocol`; it reads as well from a file, and without its script, which only filters.
//!
//! `maud` escapes every text and attribute; the only markup taken as it is are our own style and script.

mod groups;
mod json;
mod tables;
mod types;
mod words;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::Outputs;
use crate::model::{Definition, Model};
use crate::source::PRIMITIVES;
use groups::Homes;
use json::NEWLINE;
use types::more;
use words::{Words, code_link, type_link};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// Emits the page.
pub(super) fn emit(model: &Model, outputs: &mut Outputs) {
    let words = Words::of(model);
    let homes = Homes::of(model);
    let primitives = groups::types_of(model, PRIMITIVES);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy());
                title { (model.name) " protocol " (model.version) }
                (NEWLINE)
                style { (PreEscaped(STYLE)) }
            }
            (NEWLINE)
            body {
                (navigation(model, &primitives))
                main {
                    p id="nothing" hidden { "Nothing matches." }
                    (tables::overview(model, &words))
                    (tables::rights(model, &words))
                    (tables::methods(model, &words))
                    @for group in &model.groups { (groups::section(model, &words, &homes, group)) }
                    (shared_types(&words, &primitives))
                    (tables::errors(model, &words))
                    (tables::limits(model, &words))
                    footer { "Generated from the schema of " (model.name) "." }
                }
                (NEWLINE)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    outputs.add("schema/dist/protocol.html", page.into_string());
}

/// Nothing may be loaded, and nothing runs but the two blocks whose digests these are. The gateway sends the same
/// policy as a header, taken from here.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// The bar with the filter, and the list of everything. The checkbox opens the list on narrow screens without script.
fn navigation(model: &Model, primitives: &[&Definition]) -> Markup {
    html! {
        header {
            div.bar {
                a.home href="#overview" { (model.name) " " (model.version) }
                input id="filter" type="search" hidden autocomplete="off" spellcheck="false"
                    placeholder="Filter ( / )" aria-label="Filter methods, events, types, errors and limits";
                label for="menu" { "Menu" }
            }
            output id="found" for="filter" hidden {}
            input id="menu" type="checkbox" aria-label="Show the list of contents";
            nav {
                ul {
                    li { a href="#overview" { "Overview" } }
                    li { a href="#rights" { "Roles and scopes" } }
                    li { a href="#methods" { "All methods" } }
                    li { a href="#errors" { "Errors" } }
                    li { a href="#closes" { "Closes" } }
                    li { a href="#limits" { "Limits" } }
                }
                (NEWLINE)
                @for group in &model.groups {
                    div.group {
                        a href={ "#group-" (group.name) } { (group.name) }
                        ul {
                            @for method in &group.methods { li { (code_link("method", &method.name)) } }
                            @for event in &group.events {
                                li { (code_link("event", &event.name)) " " span.tag.event { "event" } }
                            }
                            (type_list(&groups::types_of(model, &groups::file_of(group))))
                        }
                    }
                    (NEWLINE)
                }
                @if !primitives.is_empty() {
                    div.group {
                        a href="#shared" { "shared types" }
                        ul { (type_list(primitives)) }
                    }
                }
            }
        }
        (NEWLINE)
    }
}

fn type_list(definitions: &[&Definition]) -> Markup {
    html! {
        @if !definitions.is_empty() {
            li { details {
                summary { (more(definitions.len(), "type")) }
                ul { @for definition in definitions { li { (type_link(&definition.name)) } } }
            } }
        }
    }
}

fn shared_types(words: &Words, primitives: &[&Definition]) -> Markup {
    html! {
        @if !primitives.is_empty() {
            section id="shared" {
                h2 { a href="#shared" { "Shared types" } }
                (NEWLINE)
                @for definition in primitives { (types::article(words, definition)) }
            }
            (NEWLINE)
        }
    }
}
