//! Names and descriptions as markup. What a description mentions by its exact name becomes a link to it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::model::Model;

/// The anchors of everything that has a name. Anchors are `kind-name`, so they stay as long as the name does.
pub(super) struct Words {
    /// Word in a text to anchor.
    anchors: BTreeMap<String, String>,
}

impl Words {
    /// All names of the model that cannot be mistaken for plain words.
    pub(super) fn of(model: &Model) -> Words {
        let mut anchors = BTreeMap::new();
        for definition in &model.definitions {
            anchors.insert(definition.name.clone(), type_anchor(&definition.name));
        }
        for limit in &model.limits {
            anchors.insert(
                format!("limits.{}", limit.name),
                format!("limit-{}", limit.name),
            );
        }
        for scope in &model.scopes {
            anchors.insert(scope.name.clone(), format!("scope-{}", scope.name));
        }
        for code in &model.error_codes {
            anchors.insert(code.name.clone(), format!("code-{}", code.name));
        }
        // Single-word names (`health`) are words first.
        for event in model.events().filter(|e| is_a_name(&e.name)) {
            anchors.insert(event.name.clone(), format!("event-{}", event.name));
        }
        for method in model.methods().filter(|m| is_a_name(&m.name)) {
            anchors.insert(method.name.clone(), method_anchor(&method.name));
        }
        for error in &model.errors {
            // Descriptions refer to fixed texts by identifier; one that is also a plain word is not one of them.
            if error.name.chars().any(|c| c.is_ascii_uppercase()) {
                anchors.insert(error.name.clone(), format!("error-{}", error.name));
            }
        }
        Words { anchors }
    }

    /// A description with its links.
    pub(super) fn prose(&self, text: &str) -> Markup {
        let pieces = text.split_inclusive(|c: char| c.is_whitespace());
        html! {
            @for piece in pieces {
                @let (before, word, after) = bare(piece);
                @match self.anchors.get(word) {
                    Some(anchor) => { (before) a href={ "#" (anchor) } { (word) } (after) }
                    None => (piece),
                }
            }
        }
    }
}

/// A word without the punctuation around it.
fn bare(piece: &str) -> (&str, &str, &str) {
    let is_edge = |c: char| !c.is_ascii_alphanumeric();
    let start = piece.find(|c| !is_edge(c)).unwrap_or(piece.len());
    let end = piece[start..]
        .rfind(|c| !is_edge(c))
        .map_or(start, |last| start + last + 1);
    (&piece[..start], &piece[start..end], &piece[end..])
}

fn is_a_name(name: &str) -> bool {
    name.contains(['.', '-'])
}

/// Anchor of a definition, wherever it is shown.
pub(super) fn type_anchor(name: &str) -> String {
    format!("type-{name}")
}

/// Anchor of a method.
pub(super) fn method_anchor(name: &str) -> String {
    format!("method-{name}")
}

/// A link to a definition.
pub(super) fn type_link(name: &str) -> Markup {
    html! { a href={ "#" (type_anchor(name)) } { (name) } }
}

/// A name of the wire that links to where it is explained: `kind` is the first half of the anchor.
pub(super) fn code_link(kind: &str, name: &str) -> Markup {
    html! { a href={ "#" (kind) "-" (name) } { code { (name) } } }
}

/// Markup with commas between.
pub(super) fn list(items: impl IntoIterator<Item = Markup>, separator: &str) -> Markup {
    html! {
        @for (i, item) in items.into_iter().enumerate() {
            @if i > 0 { (separator) }
            (item)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_punctuation() {
        for (piece, expected) in [
            ("limits.maxPayload. ", ("", "limits.maxPayload", ". ")),
            ("(ErrorShape)", ("(", "ErrorShape", ")")),
            ("plain", ("", "plain", "")),
            ("— ", ("— ", "", "")),
            ("é.", ("é.", "", "")),
            ("", ("", "", "")),
        ] {
            assert_eq!(bare(piece), expected, "{piece}");
        }
    }

    #[test]
    fn known_names_become_links_and_all_else_is_escaped() {
        let words = Words {
            anchors: BTreeMap::from([("limits.max".to_owned(), "limit-max".to_owned())]),
        };
        for (text, expected) in [
            (
                "At most limits.max, then <b>.",
                "At most <a href=\"#limit-max\">limits.max</a>, then &lt;b&gt;.",
            ),
            ("a & b", "a &amp; b"),
        ] {
            assert_eq!(words.prose(text).into_string(), expected);
        }
    }
}
