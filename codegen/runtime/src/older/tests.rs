use super::*;
use crate::node::{Newer, UNBOUNDED};
use crate::props::{Prop, Props};
use crate::{describe, violations_at};

const TEXT: &Node = &Node::Str {
    min: 0,
    max: UNBOUNDED,
};

const fn prop(name: &'static str, node: &'static Node) -> Prop {
    Prop {
        name,
        node,
        required: 0,
    }
}

const NEWER: &[Newer] = &[
    Newer {
        name: "four",
        since: 4,
    },
    Newer {
        name: "five",
        since: 5,
    },
];

static CLOSED: Node = Node::Obj(&Obj {
    props: Props::new(&[
        prop("old", TEXT),
        prop("four", TEXT),
        prop("five", &Node::Bool),
    ]),
    required: &[],
    mask: 0,
    newer: NEWER,
    extra: Extra::Closed,
});

static OPEN: Node = Node::Obj(&Obj {
    props: Props::new(&[prop("four", TEXT)]),
    required: &[],
    mask: 0,
    newer: NEWER,
    extra: Extra::Any,
});

static TAGGED: Node = Node::Tagged {
    tag: "kind",
    variants: &[(
        "a",
        &Node::Obj(&Obj {
            props: Props::new(&[
                prop("kind", &Node::Enum { values: &["a"] }),
                prop("four", TEXT),
            ]),
            required: &[],
            mask: 0,
            newer: NEWER,
            extra: Extra::Closed,
        }),
    )],
};

static ONE_OF: Node = Node::OneOf(&[&Node::Bool, &CLOSED]);

static NESTED: Node = Node::Obj(&Obj {
    props: Props::new(&[
        prop(
            "list",
            &Node::Arr {
                items: &CLOSED,
                min: 0,
                max: UNBOUNDED,
            },
        ),
        prop("maybe", &Node::Nullable(&CLOSED)),
        prop("tagged", &TAGGED),
        prop("either", &ONE_OF),
        prop("free", &Node::Any),
    ]),
    required: &[],
    mask: 0,
    newer: &[],
    extra: Extra::Each(&CLOSED),
});

#[test]
fn newer_members_are_left_out_wherever_they_are() {
    let all = r#"{"old":"o","four":"4","five":true}"#;
    for (node, version, json, expected) in [
        (&CLOSED, 5, all, all),
        (&CLOSED, 4, all, r#"{"old":"o","four":"4"}"#),
        (&CLOSED, 3, all, r#"{"old":"o"}"#),
        (
            &NESTED,
            3,
            r#"{"list":[{"five":true},{}]}"#,
            r#"{"list":[{},{}]}"#,
        ),
        (&NESTED, 3, r#"{"maybe":{"four":"4"}}"#, r#"{"maybe":{}}"#),
        (&NESTED, 3, r#"{"maybe":null}"#, r#"{"maybe":null}"#),
        (
            &NESTED,
            3,
            r#"{"tagged":{"four":"4","kind":"a"}}"#,
            r#"{"tagged":{"kind":"a"}}"#,
        ),
        (
            &NESTED,
            3,
            r#"{"either":{"five":true}}"#,
            r#"{"either":{}}"#,
        ),
        (&NESTED, 3, r#"{"either":true}"#, r#"{"either":true}"#),
        (&NESTED, 4, r#"{"x":{"five":true}}"#, r#"{"x":{}}"#),
        // Free values are nobody's business.
        (
            &NESTED,
            3,
            r#"{"free":{"four":1}}"#,
            r#"{"free":{"four":1}}"#,
        ),
        // What fits nothing stays.
        (&CLOSED, 3, r#"{"four":4}"#, r#"{"four":4}"#),
        (&CLOSED, 3, "no", "no"),
    ] {
        assert_eq!(
            payload_at(&[node], version, json),
            expected,
            "{json} at {version}"
        );
    }
}

#[test]
fn a_response_keeps_all_but_its_payload() {
    for (frame, expected) in [
        (
            r#"{"type":"res","id":"payload","ok":true,"payload":{"old":"payload","four":"x"}}"#,
            r#"{"type":"res","id":"payload","ok":true,"payload":{"old":"payload"}}"#,
        ),
        (
            r#"{"type":"res","id":"1","ok":false,"payload":{"five":true},"error":{"four":4}}"#,
            r#"{"type":"res","id":"1","ok":false,"payload":{},"error":{"four":4}}"#,
        ),
        (
            r#"{"type":"res","id":"1","ok":true,"payload":null}"#,
            r#"{"type":"res","id":"1","ok":true,"payload":null}"#,
        ),
        (
            r#"{"type":"res","id":"1","ok":false,"error":{}}"#,
            r#"{"type":"res","id":"1","ok":false,"error":{}}"#,
        ),
        ("{", "{"),
    ] {
        // The first type that the payload has decides.
        let nodes = [&Node::Bool, &CLOSED];
        let text = response_at(&nodes, 3, frame.as_bytes().to_vec());
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}

#[test]
fn newer_members_are_undeclared_for_older_clients() {
    let all = r#"{"old":"o","four":"4","five":true}"#;
    for (node, version, json, expected) in [
        (&CLOSED, 5, all, None),
        (&CLOSED, 4, all, Some("at root: unexpected property 'five'")),
        (
            &CLOSED,
            3,
            all,
            Some("at root: unexpected property 'four'; at root: unexpected property 'five'"),
        ),
        (
            &CLOSED,
            5,
            r#"{"four":4}"#,
            Some("at /four: must be string"),
        ),
        (
            &CLOSED,
            3,
            r#"{"four":4}"#,
            Some("at root: unexpected property 'four'"),
        ),
        // Ignored, so of any type.
        (&OPEN, 3, r#"{"four":4}"#, None),
        (&OPEN, 4, r#"{"four":4}"#, Some("at /four: must be string")),
        (
            &NESTED,
            3,
            r#"{"either":{"four":"4"}}"#,
            Some(
                "at /either: must be boolean; at /either: unexpected property 'four'; \
                 at /either: must match exactly one schema in oneOf",
            ),
        ),
    ] {
        let found = violations_at(node, version, &Tree::parse(json).unwrap());
        let told = (!found.is_empty()).then(|| describe(&found));
        assert_eq!(told.as_deref(), expected, "{json} at {version}");
    }
    let mut open = Tree::parse(r#"{"four":4,"more":1}"#).unwrap();
    leave_out_newer(&OPEN, 3, &mut open);
    assert_eq!(serde_json::to_string(&open).unwrap(), r#"{"more":1}"#);
}
