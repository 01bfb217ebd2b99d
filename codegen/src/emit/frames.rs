//! The examples of a method or an event as the whole frames that carry them. Read by [`super::page`] and
//! [`super::asyncapi`].

use openclaw_schema_runtime::Tree;

use crate::model::{Event, Method, Model, Outcome, Type};

/// Name of the definition that every call follows.
pub(super) const REQUEST: &str = "RequestFrame";
/// Name of the definition that every answer follows.
pub(super) const RESPONSE: &str = "ResponseFrame";
/// Name of the definition that every pushed message follows.
pub(super) const EVENT: &str = "EventFrame";

/// The id that ties the frames of an example together.
const ID: &str = "1";

/// Every example of a method, as frames.
pub(super) struct Exchange {
    /// What the client sends.
    pub(super) requests: Vec<Tree>,
    /// First answers of a staged method.
    pub(super) accepted: Vec<Tree>,
    /// The answer, or the final one of a staged method.
    pub(super) answers: Vec<Tree>,
    /// Answers with an error and a payload beside it; empty where errors come alone.
    pub(super) failures: Vec<Tree>,
}

/// Frames of all examples of the definitions that a method names.
pub(super) fn exchange(model: &Model, method: &Method) -> Exchange {
    let answers = |name: &str| examples(model, name).map(answer).collect::<Vec<_>>();
    let (accepted, mut last) = match &method.result {
        Outcome::Single { payload, .. } => (Vec::new(), answers(payload)),
        Outcome::Staged { first, last, .. } => (answers(first), answers(last)),
    };
    if let Outcome::Single { nullable: true, .. } = &method.result {
        last.push(answer(&Tree::Null));
    }
    Exchange {
        requests: requests(model, method),
        accepted,
        answers: last,
        failures: failure(method)
            .map(|name| {
                examples(model, name)
                    .map(|payload| refusal(model, method, payload))
                    .collect()
            })
            .unwrap_or_default(),
    }
}

/// Frames of all examples of an event's payload.
pub(super) fn events(model: &Model, event: &Event) -> Vec<Tree> {
    examples(model, &event.payload)
        .map(|payload| {
            let mut members = vec![
                ("type", text("event")),
                ("event", text(&event.name)),
                ("payload", payload.clone()),
            ];
            let carried = [
                ("seq", event.broadcast),
                ("stateVersion", event.state_version),
            ];
            for (name, _) in carried.iter().filter(|(_, is_there)| *is_there) {
                if let Some(value) = member_example(model, EVENT, name) {
                    members.push((name, value.clone()));
                }
            }
            object(members)
        })
        .collect()
}

/// Definition of the payload that may stand beside an error of the method.
pub(super) fn failure(method: &Method) -> Option<&str> {
    let staged = match &method.result {
        Outcome::Staged { failure, .. } => failure.as_deref(),
        Outcome::Single { .. } => None,
    };
    staged.or(method.failure.as_deref())
}

fn requests(model: &Model, method: &Method) -> Vec<Tree> {
    let definition = model.definition(&method.params);
    // Where anything is accepted, further examples would only show that it is.
    let shown = match model.resolve(&definition.ty) {
        Type::Any { .. } => 1,
        Type::Lenient(members) if members.is_empty() => 1,
        _ => usize::MAX,
    };
    examples(model, &method.params)
        .take(shown)
        .map(|params| {
            object(vec![
                ("type", text("req")),
                ("id", text(ID)),
                ("method", text(&method.name)),
                ("params", params.clone()),
            ])
        })
        .collect()
}

fn answer(payload: &Tree) -> Tree {
    object(vec![
        ("type", text("res")),
        ("id", text(ID)),
        ("ok", Tree::Bool(true)),
        ("payload", payload.clone()),
    ])
}

/// An error whose words are left out: they are the run's own.
fn refusal(model: &Model, method: &Method, payload: &Tree) -> Tree {
    let known = model.error_codes.last().map(|code| &code.name);
    let code = method.errors.last().or(known).map_or("", String::as_str);
    object(vec![
        ("type", text("res")),
        ("id", text(ID)),
        ("ok", Tree::Bool(false)),
        ("payload", payload.clone()),
        (
            "error",
            object(vec![("code", text(code)), ("message", text("…"))]),
        ),
    ])
}

/// Examples of a definition.
pub(super) fn examples<'a>(model: &'a Model, name: &str) -> impl Iterator<Item = &'a Tree> {
    let mut definition = model.definition(name);
    // A definition that only renames another may leave the examples to it.
    while let (true, Type::Ref(next)) = (definition.examples.is_empty(), &definition.ty) {
        definition = model.definition(next);
    }
    definition.examples.iter()
}

/// First example of the type of a member.
fn member_example<'a>(model: &'a Model, definition: &str, member: &str) -> Option<&'a Tree> {
    let definition = model.definitions.iter().find(|d| d.name == definition)?;
    let Type::Object(object) = &definition.ty else {
        return None;
    };
    let member = object.members.iter().find(|m| m.name == member)?;
    match &member.ty {
        Type::Ref(name) => examples(model, name).next(),
        _ => None,
    }
}

fn text(text: &str) -> Tree {
    Tree::String(text.to_owned())
}

fn object(members: Vec<(&str, Tree)>) -> Tree {
    Tree::Object(
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}
