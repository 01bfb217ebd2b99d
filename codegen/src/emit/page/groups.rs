//! Methods and events, group by group, each with its frames; behind them the types of the group.

use std::collections::BTreeMap;

use maud::{Markup, html};
use openclaw_schema_runtime::Tree;

use super::json::{NEWLINE, block};
use super::types::{article, body, more, refusals};
use super::words::{Words, code_link, list, method_anchor, type_anchor, type_link};
use crate::emit::frames::{self, Exchange};
use crate::model::{Definition, Drop, EXTENSION, Event, Group, Method, Model, Outcome};

/// Which definitions are shown where they are used. Everything is shown once: params, results and payloads at the
/// first method or event of their own group that has them, the rest among the types.
pub(super) struct Homes<'a> {
    /// Definition to the anchor of its method or event, and the part it is there.
    places: BTreeMap<&'a str, (String, &'static str)>,
}

impl<'a> Homes<'a> {
    /// Finds a home for each definition that one method or event can be it for.
    pub(super) fn of(model: &'a Model) -> Homes<'a> {
        let mut homes = Homes {
            places: BTreeMap::new(),
        };
        for group in &model.groups {
            for method in &group.methods {
                for part in parts(method) {
                    homes.offer(model, group, &part, method_anchor(&method.name));
                }
            }
            for event in &group.events {
                homes.offer(model, group, &payload(event), event_anchor(&event.name));
            }
        }
        homes
    }

    fn offer(&mut self, model: &Model, group: &Group, part: &Part<'a>, anchor: String) {
        if model.definition(part.name).file == file_of(group) {
            self.places.entry(part.name).or_insert((anchor, part.label));
        }
    }

    fn is_at(&self, part: &Part, anchor: &str) -> bool {
        self.places
            .get(part.name)
            .is_some_and(|(place, label)| place == anchor && *label == part.label)
    }
}

/// A definition as a part of a method or an event.
struct Part<'a> {
    label: &'static str,
    name: &'a str,
    /// What is said behind the name.
    more: &'static str,
}

fn parts(method: &Method) -> Vec<Part<'_>> {
    let part = |label, name, more| Part { label, name, more };
    let mut parts = vec![part("Params", method.params.as_str(), "")];
    if let Some(params) = &method.client_params {
        parts.push(part("Clients write", params, ""));
    }
    match &method.result {
        Outcome::Single { payload, nullable } => {
            let more = if *nullable { " or null" } else { "" };
            parts.push(part("Result", payload, more));
        }
        Outcome::Staged { first, last, .. } => {
            parts.push(part("First result", first, ""));
            parts.push(part("Final result", last, ", under the same id"));
        }
    }
    if let Some(failure) = frames::failure(method) {
        parts.push(part("Payload beside an error", failure, ""));
    }
    parts
}

fn payload(event: &Event) -> Part<'_> {
    Part {
        label: "Payload",
        name: &event.payload,
        more: "",
    }
}

/// The section of one group.
pub(super) fn section(model: &Model, words: &Words, homes: &Homes, group: &Group) -> Markup {
    let types: Vec<&Definition> = types_of(model, &file_of(group));
    let among_types: Vec<&&Definition> = types
        .iter()
        .filter(|definition| !homes.places.contains_key(definition.name.as_str()))
        .collect();
    let anchor = format!("group-{}", group.name);
    html! {
        section id=(anchor) {
            h2 { a href={ "#" (anchor) } { (group.name) } }
            p { (words.prose(&group.description)) }
            (NEWLINE)
            @for method in &group.methods { (method_article(model, words, homes, method)) }
            @for event in &group.events { (event_article(model, words, homes, event)) }
            @if !among_types.is_empty() {
                @if !group.methods.is_empty() || !group.events.is_empty() {
                    h3.types { "Types of " (group.name) }
                }
                @for definition in among_types { (article(words, definition)) }
            }
        }
        (NEWLINE)
    }
}

/// Definitions of one file in its order.
pub(super) fn types_of<'a>(model: &'a Model, file: &str) -> Vec<&'a Definition> {
    let definitions = model.definitions.iter();
    definitions.filter(|d| d.file == file).collect()
}

/// The file of a group, as definitions name it.
pub(super) fn file_of(group: &Group) -> String {
    format!("groups/{}.json", group.name)
}

/// Anchor of an event.
pub(super) fn event_anchor(name: &str) -> String {
    format!("event-{name}")
}

fn method_article(model: &Model, words: &Words, homes: &Homes, method: &Method) -> Markup {
    let anchor = method_anchor(&method.name);
    let place = Place {
        model,
        words,
        homes,
        anchor: &anchor,
    };
    html! {
        article.method id=(anchor) {
            h3 {
                a href={ "#" (anchor) } { code { (method.name) } }
                @if method.write { " " span.tag.write { "write" } } @else { " " span.tag.read { "read" } }
                @if let Outcome::Staged { .. } = method.result { " " span.tag { "answers twice" } }
            }
            p.summary { (words.prose(&method.summary)) }
            @if !method.description.is_empty() { p { (words.prose(&method.description)) } }
            (method_facts(method))
            @for part in parts(method) { (place.part(&part)) }
            (exchange(&frames::exchange(model, method)))
        }
        (NEWLINE)
    }
}

fn method_facts(method: &Method) -> Markup {
    let access = &method.access;
    html! {
        dl {
            dt { "who" }
            dd {
                @if method.handshake { "anyone, as the first request; later " }
                "role " (code_link("role", &access.role))
                @if access.scopes.is_empty() { ", no scope needed" } @else {
                    " with scope " (list(access.scopes.iter().map(|s| code_link("scope", s)), " or "))
                }
            }
            @if let Some(key) = &method.idempotency {
                dt { "retry" }
                dd {
                    "the same " code { (key.pointer.trim_start_matches('/')) } " within "
                    (key.ttl_ms / 1000) " s brings back the first outcome"
                }
            }
            @if !method.errors.is_empty() {
                dt { "errors" }
                dd { (list(method.errors.iter().map(|code| code_link("code", code)), ", ")) }
            }
            @if !method.emits.is_empty() {
                dt { "events" }
                dd { (list(method.emits.iter().map(|event| code_link("event", event)), ", ")) }
            }
            dt { "since" }
            dd { "protocol " (method.since) }
            @if method.extension {
                dt { "extension" }
                dd { (EXTENSION) }
            }
        }
    }
}

fn event_article(model: &Model, words: &Words, homes: &Homes, event: &Event) -> Markup {
    let anchor = event_anchor(&event.name);
    let place = Place {
        model,
        words,
        homes,
        anchor: &anchor,
    };
    let causes = model.methods().filter(|m| m.emits.contains(&event.name));
    let causes: Vec<Markup> = causes.map(|m| code_link("method", &m.name)).collect();
    html! {
        article.event id=(anchor) {
            h3 { a href={ "#" (anchor) } { code { (event.name) } } " " span.tag.event { "event" } }
            p.summary { (words.prose(&event.summary)) }
            dl {
                dt { "to" }
                dd {
                    @if event.broadcast {
                        "everyone of role " (list(event.roles.iter().map(|r| code_link("role", r)), " or "))
                        @if !event.scopes.is_empty() {
                            " with scope " (list(event.scopes.iter().map(|s| code_link("scope", s)), " or "))
                        }
                        ", with " code { "seq" }
                    } @else { "one connection, without " code { "seq" } }
                    @if event.state_version { " and with " code { "stateVersion" } }
                }
                dt { "slow reader" }
                dd {
                    @match &event.drop {
                        Drop::Never => "the connection is closed",
                        Drop::Always => { "left out, and counted in " code { "seq" } }
                        Drop::When { member, equals } => {
                            "left out where " code { (member) } " is " code { (equals) }
                            ", otherwise the connection is closed"
                        }
                    }
                }
                @if !causes.is_empty() { dt { "caused by" } dd { (list(causes, ", ")) } }
                dt { "since" }
                dd { "protocol " (event.since) }
            }
            (place.part(&payload(event)))
            (blocks("Event", &frames::events(model, event)))
        }
        (NEWLINE)
    }
}

/// Where a definition is about to be shown.
struct Place<'a> {
    model: &'a Model,
    words: &'a Words,
    homes: &'a Homes<'a>,
    anchor: &'a str,
}

impl Place<'_> {
    /// A definition in full where this is its home, otherwise what it is and where to find it.
    fn part(&self, part: &Part) -> Markup {
        let definition = self.model.definition(part.name);
        let head = html! {
            h4 { (part.label) " " (type_link(part.name)) (part.more) }
            p { (self.words.prose(&definition.description)) }
        };
        if !self.homes.is_at(part, self.anchor) {
            return head;
        }
        html! {
            div id=(type_anchor(part.name)) {
                (head)
                (body(self.words, definition))
                (refusals(definition))
            }
        }
    }
}

/// The first example of each frame in the order of the wire, the others folded away.
fn exchange(exchange: &Exchange) -> Markup {
    let answer = if exchange.accepted.is_empty() {
        "Response"
    } else {
        "Final response"
    };
    let kinds = [
        ("Request", &exchange.requests),
        ("First response", &exchange.accepted),
        (answer, &exchange.answers),
        ("Response with an error", &exchange.failures),
    ];
    let others: usize = kinds
        .iter()
        .map(|(_, frames)| frames.len().saturating_sub(1))
        .sum();
    html! {
        @for (label, frames) in &kinds {
            @if let Some(frame) = frames.first() { (figure(label, frame)) }
        }
        @if others > 0 {
            details {
                summary { (more(others, "more frame")) }
                @for (label, frames) in &kinds {
                    @for frame in frames.iter().skip(1) { (figure(label, frame)) }
                }
            }
        }
    }
}

fn blocks(label: &str, frames: &[Tree]) -> Markup {
    html! {
        @if let Some((first, rest)) = frames.split_first() {
            (figure(label, first))
            @if !rest.is_empty() {
                details {
                    summary { (more(rest.len(), "more frame")) }
                    @for frame in rest { (figure(label, frame)) }
                }
            }
        }
    }
}

/// One frame; requests go to the gateway, all else comes from it.
fn figure(label: &str, frame: &Tree) -> Markup {
    let arrow = if label == "Request" { "→ " } else { "← " };
    html! {
        figure {
            figcaption { (arrow) (label) }
            (block(frame))
        }
    }
}
