//! Texts with places in them: `{{a.b[0]}}` is a member of the request's body, `{{headers.x}}`, `{{query.x}}`, `{{path}}`
//! and `{{now}}` are what they say. What is not there is empty.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::limits::MAX_HOOK_TEXT;
use crate::text::first_bytes;

/// What a template can refer to.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// The request's body.
    pub(super) payload: Value,
    /// Headers by lower-case name; none that hold secrets.
    pub(super) headers: BTreeMap<String, String>,
    /// Members of the query.
    pub(super) query: BTreeMap<String, String>,
    /// Path below `hooks.path`.
    pub(super) path: String,
    /// The time, as JSON documents have it.
    pub(super) now: String,
}

/// The text with its places filled, trimmed and cut to [`MAX_HOOK_TEXT`].
pub(super) fn render(template: &str, context: &Context) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((place, after)) = behind.split_once("}}") else {
            break;
        };
        text.push_str(before);
        text.push_str(&fill(place.trim(), context));
        rest = after;
        if text.len() > MAX_HOOK_TEXT {
            break;
        }
    }
    text.push_str(rest);
    first_bytes(&text, MAX_HOOK_TEXT).trim().to_owned()
}

fn fill(place: &str, context: &Context) -> String {
    let named = |names: &BTreeMap<String, String>, name: &str| {
        names.get(&name.to_lowercase()).cloned().unwrap_or_default()
    };
    if let Some(name) = place.strip_prefix("headers.") {
        return named(&context.headers, name);
    }
    if let Some(name) = place.strip_prefix("query.") {
        return context.query.get(name).cloned().unwrap_or_default();
    }
    match place {
        "path" => return context.path.clone(),
        "now" => return context.now.clone(),
        _ => {}
    }
    let place = place.strip_prefix("payload.").unwrap_or(place);
    match look_up(&context.payload, place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The member at `a.b[0].c`.
fn look_up<'v>(value: &'v Value, place: &str) -> Option<&'v Value> {
    let mut found = value;
    for step in place.split(['.', '[']) {
        let step = step.strip_suffix(']').unwrap_or(step);
        found = match found {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            Value::Object(members) => members.get(step)?,
            _ => return None,
        };
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_filled() {
        let context = Context {
            payload: json!({"a": {"b": [{"c": "deep"}, 7]}, "s": "x", "n": null, "t": true}),
            headers: [("x-kind".to_owned(), "push".to_owned())].into(),
            query: [("q".to_owned(), "1".to_owned())].into(),
            path: "git/hub".to_owned(),
            now: "2026-01-30T00:00:00.000Z".to_owned(),
        };
        for (template, text) in [
            ("plain", "plain"),
            ("{{s}} {{ a.b[0].c }}", "x deep"),
            ("{{payload.s}}{{a.b[1]}}{{t}}", "x7true"),
            ("{{a}}", r#"{"b":[{"c":"deep"},7]}"#),
            ("[{{n}}{{none}}{{a.b[9]}}{{s.x}}{{a.b.c}}{{}}]", "[]"),
            (
                "{{headers.X-Kind}} {{query.q}} {{path}} {{now}}",
                "push 1 git/hub 2026-01-30T00:00:00.000Z",
            ),
            ("open {{ s", "open {{ s"),
            ("  {{none}} ", ""),
        ] {
            assert_eq!(render(template, &context), text, "{template}");
        }
        let long = Context {
            payload: json!({"s": "ü".repeat(MAX_HOOK_TEXT)}),
            ..context
        };
        let text = render("x{{s}}{{s}}", &long);
        assert_eq!(text.len(), MAX_HOOK_TEXT - 1, "cut between characters");
    }
}
