//! Untagged unions, and nesting through unions.

use serde_json::Value;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Outcome {
    Done { ok: bool, count: u64 },
    Failed { error: String },
}

static OUTCOME: Node = Node::OneOf(&[
    &Node::Obj(&Obj {
        props: Props::new(&[prop("ok", &Node::Bool, 1), prop("count", UINT, 2)]),
        required: &["ok", "count"],
        mask: 3,
        newer: &[],
        extra: Extra::Closed,
    }),
    &Node::Obj(&Obj {
        props: Props::new(&[prop("error", NAME, 1)]),
        required: &["error"],
        mask: 1,
        newer: &[],
        extra: Extra::Closed,
    }),
]);

#[test]
fn untagged_alternatives() {
    for (json, expected) in [
        (
            r#"{"ok":true,"count":2.0}"#,
            Some(Outcome::Done { ok: true, count: 2 }),
        ),
        (
            r#"{"error":"e"}"#,
            Some(Outcome::Failed {
                error: "e".to_owned(),
            }),
        ),
        (r#"{"ok":true,"count":-2}"#, None),
        (r#"{"error":""}"#, None),
        (r#"{"error":"e","ok":true}"#, None),
        ("null", None),
    ] {
        assert_eq!(decode::<Outcome>(&OUTCOME, json).ok(), expected, "{json}");
    }
    assert_eq!(decode::<Option<Outcome>>(&Node::Any, "null").unwrap(), None);
    static MAYBE: Node = Node::Nullable(&OUTCOME);
    assert_eq!(decode::<Option<Outcome>>(&MAYBE, "null").unwrap(), None);
    assert_eq!(decode::<Value>(&MAYBE, " null ").unwrap(), Value::Null);
    refused::<Option<Outcome>>(&OUTCOME, "null");
    refused::<Value>(&OUTCOME, "null");
}

#[test]
fn members_before_the_tag() {
    static OPEN: Node = Node::Tagged {
        tag: "kind",
        variants: &[(
            "open",
            &Node::Obj(&Obj {
                props: Props::new(&[
                    prop("kind", &Node::Enum { values: &["open"] }, 1),
                    prop("n", UINT, 0),
                ]),
                required: &["kind"],
                mask: 1,
                newer: &[],
                extra: Extra::Each(NAME),
            }),
        )],
    };
    for (json, fits) in [
        (
            r#"{"x":"y","n":1.0,"\u007a":"\u0061","kind":"open","w":"v"}"#,
            true,
        ),
        (r#"{"x":"","kind":"open"}"#, false),
        (r#"{"x":1,"kind":"open"}"#, false),
        (r#"{"n":-1,"kind":"open"}"#, false),
        (r#"{"n":1,"kind":"open","w":""}"#, false),
        (r#"{"n":1,"kind":"other"}"#, false),
        (r#"{"n":1}"#, false),
    ] {
        let decoded = decode::<Value>(&OPEN, json).ok();
        assert_eq!(decoded.is_some(), fits, "{json}");
        if let Some(decoded) = decoded {
            let expected = serde_json::json!({"x":"y","n":1,"z":"a","kind":"open","w":"v"});
            assert_eq!(decoded, expected, "{json}");
        }
    }
}

#[test]
fn nesting_is_bounded_with_and_without_unions() {
    static LISTS: Node = Node::Arr {
        items: &LISTS,
        min: 0,
        max: UNBOUNDED,
    };
    static CHAIN: Node = Node::Tagged {
        tag: "kind",
        variants: &[("link", &LINK)],
    };
    static LINK: Node = Node::Obj(&Obj {
        props: Props::new(&[
            prop("kind", &Node::Enum { values: &["link"] }, 1),
            prop("next", &CHAIN, 0),
            prop("free", &Node::Any, 0),
        ]),
        required: &["kind"],
        mask: 1,
        newer: &[],
        extra: Extra::Closed,
    });
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename = "Chain")]
    enum Chain {
        #[serde(rename = "link")]
        Link {
            #[serde(rename = "next")]
            _next: Option<Box<Chain>>,
        },
    }

    for (levels, fits) in [(1, true), (127, true), (128, false), (5_000, false)] {
        let lists = "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(accepts(&LISTS, &lists), fits, "{levels} arrays");

        let inner = r#"{"kind":"link"}"#;
        let chain =
            r#"{"kind":"link","next":"#.repeat(levels - 1) + inner + &"}".repeat(levels - 1);
        assert_eq!(accepts(&CHAIN, &chain), fits, "{levels} links");
        let tag_last =
            r#"{"next":"#.repeat(levels - 1) + inner + &r#","kind":"link"}"#.repeat(levels - 1);
        assert_eq!(accepts(&CHAIN, &tag_last), fits, "{levels} links, tag last");
        let typed = decode::<Chain>(&CHAIN, &chain);
        assert_eq!(typed.is_ok(), fits, "{levels} typed links");

        // A free value inside a union counts its surroundings.
        let free = format!(
            r#"{}{{"kind":"link","free":{lists}}}{}"#,
            r#"{"kind":"link","next":"#.repeat(9),
            "}".repeat(9)
        );
        let fits = levels + 10 <= 127;
        assert_eq!(
            decode::<Value>(&CHAIN, &free).is_ok(),
            fits,
            "{levels} free"
        );
    }
}
