//! JSON as people read it: what fits on a line stays on it. Member names are marked, so that the eye finds them.

use maud::{Markup, PreEscaped, html};
use openclaw_schema_runtime::Tree;

use crate::model::json_text;

/// Columns of a block of code on a narrow laptop beside the sidebar.
const WIDTH: usize = 88;

/// A block of JSON.
pub(super) fn block(value: &Tree) -> Markup {
    html! { pre { code { (layout(value, 0, 0)) } } }
}

/// `used` columns are taken on the line where the value begins.
fn layout(value: &Tree, indent: usize, used: usize) -> Markup {
    if used + json_text(value).chars().count() + spaces(value) <= WIDTH {
        return flat(value);
    }
    let inner = indent + 2;
    match value {
        Tree::Object(members) if !members.is_empty() => {
            let items = members.iter().map(|(name, member)| {
                let used = inner + name.chars().count() + 4;
                html! { i { (quoted(name)) } ": " (layout(member, inner, used)) }
            });
            broken("{", items, "}", indent)
        }
        Tree::Array(items) if !items.is_empty() => {
            let items = items.iter().map(|item| layout(item, inner, inner));
            broken("[", items, "]", indent)
        }
        scalar => flat(scalar),
    }
}

fn broken(open: &str, items: impl Iterator<Item = Markup>, close: &str, indent: usize) -> Markup {
    let pad = " ".repeat(indent);
    html! {
        (open)
        @for (i, item) in items.enumerate() {
            @if i > 0 { "," }
            "\n" (pad) "  " (item)
        }
        "\n" (pad) (close)
    }
}

fn flat(value: &Tree) -> Markup {
    match value {
        Tree::Object(members) if !members.is_empty() => html! {
            "{ "
            @for (i, (name, member)) in members.iter().enumerate() {
                @if i > 0 { ", " }
                i { (quoted(name)) } ": " (flat(member))
            }
            " }"
        },
        Tree::Array(items) => html! {
            "["
            @for (i, item) in items.iter().enumerate() {
                @if i > 0 { ", " }
                (flat(item))
            }
            "]"
        },
        scalar => html! { (json_text(scalar)) },
    }
}

/// Blanks that [`flat`] puts in and compact JSON has not.
fn spaces(value: &Tree) -> usize {
    match value {
        Tree::Object(members) if !members.is_empty() => {
            let inner: usize = members.iter().map(|(_, member)| spaces(member)).sum();
            2 * members.len() + 1 + inner
        }
        Tree::Array(items) => {
            items.len().saturating_sub(1) + items.iter().map(spaces).sum::<usize>()
        }
        _ => 0,
    }
}

fn quoted(name: &str) -> String {
    json_text(&Tree::String(name.to_owned()))
}

/// One value inside a sentence or a cell.
pub(super) fn inline(value: &Tree) -> Markup {
    html! { code { (json_text(value)) } }
}

/// Newlines between blocks keep the file readable and its differences small.
pub(super) const NEWLINE: PreEscaped<&str> = PreEscaped("\n");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let tree = Tree::parse(json).unwrap();
        let text = layout(&tree, 0, 0).into_string();
        assert_eq!(text, expected, "{json}");
        // What is shown is still the value.
        let plain = text
            .replace("<i>", "")
            .replace("</i>", "")
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        assert_eq!(Tree::parse(&plain).unwrap(), tree);
    }

    #[test]
    fn layouts() {
        let long = "x".repeat(80);
        check("{}", "{}");
        check("[]", "[]");
        check("null", "null");
        check(
            r#"{"b":1,"a":[true,null]}"#,
            "{ <i>&quot;b&quot;</i>: 1, <i>&quot;a&quot;</i>: [true, null] }",
        );
        check(
            r#""</pre><script>&""#,
            "&quot;&lt;/pre&gt;&lt;script&gt;&amp;&quot;",
        );
        check(
            &format!(r#"{{"name":"{long}","list":[]}}"#),
            &format!(
                "{{\n  <i>&quot;name&quot;</i>: &quot;{long}&quot;,\n  <i>&quot;list&quot;</i>: []\n}}"
            ),
        );
        check(
            &format!(r#"[["{long}","y"],1]"#),
            &format!("[\n  [\n    &quot;{long}&quot;,\n    &quot;y&quot;\n  ],\n  1\n]"),
        );
    }
}
