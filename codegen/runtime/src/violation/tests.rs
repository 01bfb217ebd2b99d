//! The wording and order that clients of the original gateway see (contract 6.3).

use super::*;
use crate::props::{Prop, Props};

const NAME: &Node = &Node::Str { min: 1, max: 8 };
const COUNT: &Node = &Node::Int { min: 0, max: 1000 };
const MODE: &Node = &Node::Enum {
    values: &["now", "next-heartbeat"],
};
const TEXTS: &Node = &Node::Arr {
    items: NAME,
    min: 2,
    max: 3,
};

const fn prop(name: &'static str, node: &'static Node, required: u64) -> Prop {
    Prop {
        name,
        node,
        required,
    }
}

const fn constant(name: &'static [&'static str]) -> Node {
    Node::Enum { values: name }
}

static CLIENT: Node = Node::Obj(&Obj {
    props: Props::new(&[
        prop("id", MODE, 1),
        prop("version", NAME, 2),
        prop("a/b~c", COUNT, 0),
    ]),
    required: &["id", "version"],
    mask: 3,
    newer: &[],
    extra: Extra::Closed,
});

static PARAMS: Node = Node::Obj(&Obj {
    props: Props::new(&[
        prop("key", NAME, 1),
        prop("limit", COUNT, 2),
        prop("client", &CLIENT, 0),
        prop("mode", MODE, 0),
        prop("texts", TEXTS, 0),
        prop("on", &Node::Bool, 0),
        prop("share", &Node::Num { min: 0.5, max: 1.0 }, 0),
        prop("policy", &Node::Nullable(MODE), 0),
        prop("model", &Node::Nullable(NAME), 0),
        prop("type", &constant(&["req"]), 0),
        prop("none", &Node::Null, 0),
        prop("schedule", &SCHEDULE, 0),
        prop("either", &Node::OneOf(&[NAME, COUNT]), 0),
        prop("open", &OPEN, 0),
    ]),
    // The list's order, not the members', decides the order of messages.
    required: &["limit", "key"],
    mask: 3,
    newer: &[],
    extra: Extra::Closed,
});

static SCHEDULE: Node = Node::Tagged {
    tag: "kind",
    variants: &[("at", &AT), ("every", &EVERY)],
};

static AT: Node = Node::Obj(&Obj {
    props: Props::new(&[prop("kind", &constant(&["at"]), 1), prop("atMs", COUNT, 2)]),
    required: &["kind", "atMs"],
    mask: 3,
    newer: &[],
    extra: Extra::Closed,
});

static EVERY: Node = Node::Obj(&Obj {
    props: Props::new(&[
        prop("kind", &constant(&["every"]), 1),
        prop("everyMs", COUNT, 2),
    ]),
    required: &["kind", "everyMs"],
    mask: 3,
    newer: &[],
    extra: Extra::Closed,
});

static OPEN: Node = Node::Obj(&Obj {
    props: Props::new(&[prop("name", NAME, 0)]),
    required: &[],
    mask: 0,
    newer: &[],
    extra: Extra::Each(COUNT),
});

fn found(node: &'static Node, json: &str) -> Vec<Violation> {
    violations(node, &Tree::parse(json).unwrap())
}

fn check(node: &'static Node, json: &str, expected: &str) {
    assert_eq!(describe(&found(node, json)), expected, "{json}");
}

#[test]
fn wording_and_order() {
    for (json, expected) in [
        // The whole value.
        ("[]", "must be object"),
        ("null", "must be object"),
        ("7", "must be object"),
        ("\"text\"", "must be object"),
        // Missing, then unexpected in the sender's order, then declared members in schema order.
        (
            "{}",
            "must have required property 'limit'; must have required property 'key'",
        ),
        (
            r#"{"zz":1,"bad-param":true}"#,
            "must have required property 'limit'; must have required property 'key'; \
             at root: unexpected property 'zz'; at root: unexpected property 'bad-param'",
        ),
        (
            r#"{"extra":1,"on":1,"limit":-1,"key":""}"#,
            "at root: unexpected property 'extra'; at /key: must NOT have fewer than 1 characters; \
             at /limit: must be >= 0; at /on: must be boolean",
        ),
        // A blank name would tell nothing; two of them are one part.
        (
            r#"{"key":"k","limit":1,"":1," ":2}"#,
            "must NOT have additional properties",
        ),
    ] {
        check(&PARAMS, json, expected);
    }
}

#[test]
fn wording_of_each_kind() {
    for (member, expected) in [
        (r#""on":"yes""#, "at /on: must be boolean"),
        (r#""key":5"#, "at /key: must be string"),
        (r#""key":null"#, "at /key: must be string"),
        (
            r#""key":"123456789""#,
            "at /key: must NOT have more than 8 characters",
        ),
        (r#""key":"éééééééé""#, ""),
        (r#""limit":"3""#, "at /limit: must be integer"),
        (r#""limit":1001"#, "at /limit: must be <= 1000"),
        (r#""limit":1.0"#, ""),
        (r#""limit":1e30"#, "at /limit: must be <= 1000"),
        (
            r#""limit":18446744073709551615"#,
            "at /limit: must be <= 1000",
        ),
        (r#""limit":0.5"#, "at /limit: must be integer"),
        (
            r#""limit":-0.5"#,
            "at /limit: must be integer; at /limit: must be >= 0",
        ),
        (
            r#""limit":1000.5"#,
            "at /limit: must be integer; at /limit: must be <= 1000",
        ),
        (r#""share":0.25"#, "at /share: must be >= 0.5"),
        (r#""share":2"#, "at /share: must be <= 1"),
        (r#""share":"1""#, "at /share: must be number"),
        (r#""none":0"#, "at /none: must be null"),
        (r#""texts":{}"#, "at /texts: must be array"),
        (
            r#""texts":["a"]"#,
            "at /texts: must NOT have fewer than 2 items",
        ),
        (
            r#""texts":["a","",3,"d"]"#,
            "at /texts: must NOT have more than 3 items; \
             at /texts/1: must NOT have fewer than 1 characters; at /texts/2: must be string",
        ),
        // String sets were unions of constants.
        (
            r#""mode":"later""#,
            "at /mode: must be equal to constant; at /mode: must match a schema in anyOf",
        ),
        (
            r#""mode":1"#,
            "at /mode: must be string; at /mode: must be equal to constant; \
             at /mode: must match a schema in anyOf",
        ),
        (r#""type":"res""#, "at /type: must be equal to constant"),
        (
            r#""type":true"#,
            "at /type: must be string; at /type: must be equal to constant",
        ),
        // Nullable: the branch, then null, then the union.
        (r#""policy":null,"model":null"#, ""),
        (
            r#""policy":"later""#,
            "at /policy: must be equal to constant; at /policy: must be null; \
             at /policy: must match a schema in anyOf",
        ),
        (
            r#""policy":1"#,
            "at /policy: must be string; at /policy: must be equal to constant; \
             at /policy: must be null; at /policy: must match a schema in anyOf",
        ),
        (
            r#""model":"""#,
            "at /model: must NOT have fewer than 1 characters; at /model: must be null; \
             at /model: must match a schema in anyOf",
        ),
        // Nested objects; a pointer escapes slash and tilde.
        (
            r#""client":{"id":"x","a/b~c":-1,"one":1,"two":2}"#,
            "at /client: must have required property 'version'; at /client: unexpected property 'one'; \
             at /client: unexpected property 'two'; at /client/id: must be equal to constant; \
             at /client/id: must match a schema in anyOf; at /client/a~1b~0c: must be >= 0",
        ),
        (
            r#""open":{"x/y":-1,"name":"","z":true}"#,
            "at /open/x~1y: must be >= 0; at /open/z: must be integer; \
             at /open/name: must NOT have fewer than 1 characters",
        ),
        // Object unions: the chosen variant only (odd 63).
        (
            r#""schedule":{"kind":"at","everyMs":1}"#,
            "at /schedule: must have required property 'atMs'; \
             at /schedule: unexpected property 'everyMs'; at /schedule: must match a schema in anyOf",
        ),
        (
            r#""schedule":{"everyMs":-1,"kind":"every"}"#,
            "at /schedule/everyMs: must be >= 0; at /schedule: must match a schema in anyOf",
        ),
        (
            r#""schedule":{"everyMs":1}"#,
            "at /schedule: must have required property 'kind'; at /schedule: must match a schema in anyOf",
        ),
        (
            r#""schedule":{"kind":"cron"}"#,
            "at /schedule/kind: must be equal to constant; at /schedule: must match a schema in anyOf",
        ),
        (
            r#""schedule":{"kind":1}"#,
            "at /schedule/kind: must be string; at /schedule/kind: must be equal to constant; \
             at /schedule: must match a schema in anyOf",
        ),
        (
            r#""schedule":"at""#,
            "at /schedule: must be object; at /schedule: must match a schema in anyOf",
        ),
        // Untagged: what each alternative asks for.
        (r#""either":"x""#, ""),
        (
            r#""either":-1"#,
            "at /either: must be string; at /either: must be >= 0; \
             at /either: must match exactly one schema in oneOf",
        ),
    ] {
        let json = if member.starts_with("\"key\"") {
            format!(r#"{{{member},"limit":1}}"#)
        } else if member.starts_with("\"limit\"") {
            format!(r#"{{"key":"k",{member}}}"#)
        } else {
            format!(r#"{{"key":"k","limit":1,{member}}}"#)
        };
        let expected = if expected.is_empty() {
            "unknown validation error"
        } else {
            expected
        };
        check(&PARAMS, &json, expected);
    }
}

#[test]
fn entries_tell_path_keyword_and_message() {
    let json = r#"{"limit":-1,"mode":"x","client":{"id":"now","extra":1},"policy":""}"#;
    let entries: Vec<_> = found(&PARAMS, json)
        .into_iter()
        .map(|violation| (violation.path, violation.keyword, violation.message))
        .collect();
    let expected = [
        ("", "required", "must have required property 'key'"),
        ("/limit", "minimum", "must be >= 0"),
        (
            "/client",
            "required",
            "must have required property 'version'",
        ),
        (
            "/client",
            "additionalProperties",
            "unexpected property 'extra'",
        ),
        ("/mode", "const", "must be equal to constant"),
        ("/mode", "anyOf", "must match a schema in anyOf"),
        ("/policy", "const", "must be equal to constant"),
        ("/policy", "type", "must be null"),
        ("/policy", "anyOf", "must match a schema in anyOf"),
    ];
    assert_eq!(
        entries,
        expected.map(|(path, keyword, message)| (path.to_owned(), keyword, message.to_owned()))
    );
}

#[test]
fn integers_beyond_64_bits_are_named() {
    const FREE: &Node = &Node::Int {
        min: i64::MIN,
        max: i64::MAX,
    };
    for (json, expected) in [
        ("9223372036854775807", "unknown validation error"),
        ("9223372036854775808", "must be <= 9223372036854775807"),
        ("9223372036854775808.0", "must be <= 9223372036854775807"),
        ("-1e30", "must be >= -9223372036854775808"),
    ] {
        check(FREE, json, expected);
    }
}

#[test]
fn the_list_is_bounded() {
    static TEXTS: Node = Node::Arr {
        items: &Node::Bool,
        min: 0,
        max: UNBOUNDED,
    };
    for (items, listed) in [
        (MAX_VIOLATIONS - 1, MAX_VIOLATIONS - 1),
        (MAX_VIOLATIONS, MAX_VIOLATIONS),
        (MAX_VIOLATIONS + 1, MAX_VIOLATIONS),
    ] {
        let json = format!("[{}0]", "0,".repeat(items - 1));
        assert_eq!(found(&TEXTS, &json).len(), listed, "{items} items");
    }

    static MAP: Node = Node::Obj(&Obj {
        props: Props::new(&[]),
        required: &[],
        mask: 0,
        newer: &[],
        extra: Extra::Each(&Node::Arr {
            items: &Node::Bool,
            min: 0,
            max: UNBOUNDED,
        }),
    });
    let message = "must be boolean".len();
    // Each entry takes an eighth of the room: its path is the key and "/" twice and a digit.
    let key = "k".repeat(MAX_VIOLATION_BYTES / 8 - message - 3);
    for (items, listed) in [(7, 7), (8, 8), (9, 8)] {
        let json = format!("{{\"{key}\":[{}0]}}", "0,".repeat(items - 1));
        assert_eq!(
            found(&MAP, &json).len(),
            listed,
            "{items} items of a long key"
        );
    }
}

#[test]
fn a_full_list_does_not_hide_that_an_alternative_fits() {
    static MANY: Node = Node::Arr {
        items: &Node::Bool,
        min: 0,
        max: UNBOUNDED,
    };
    static EITHER: Node = Node::OneOf(&[&MANY, &Node::Any]);
    let json = format!("[{}0]", "0,".repeat(2 * MAX_VIOLATIONS));
    assert_eq!(found(&EITHER, &json), []);
}
