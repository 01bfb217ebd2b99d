//! Typed decoding: derived structs of the forms that the generator writes.

mod free;
mod unions;

use std::fmt::Debug;

use serde::Deserialize;

use super::*;
use crate::node::{Extra, Obj, UNBOUNDED};
use crate::props::{Prop, Props};
use crate::{NonEmptyString, accepts};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    session_key: NonEmptyString,
    limit: Option<u64>,
    offset: Option<i64>,
    label: Option<String>,
    mode: Option<Mode>,
    #[serde(default, deserialize_with = "crate::patch::deserialize")]
    model: Option<Option<String>>,
    tags: Option<Vec<NonEmptyString>>,
    schedule: Option<Schedule>,
    client: Option<Client>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Client {
    id: String,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Mode {
    #[serde(rename = "now")]
    Now,
    #[serde(rename = "next-heartbeat")]
    NextHeartbeat,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind")]
enum Schedule {
    #[serde(rename = "at")]
    At {
        #[serde(rename = "atMs")]
        at_ms: u64,
    },
    #[serde(rename = "every")]
    Every {
        #[serde(rename = "everyMs")]
        every_ms: u64,
        mode: Option<Mode>,
    },
}

const fn prop(name: &'static str, node: &'static Node, required: u64) -> Prop {
    Prop {
        name,
        node,
        required,
    }
}

const UINT: &Node = &Node::Int {
    min: 0,
    max: 9_007_199_254_740_991,
};
const INT: &Node = &Node::Int {
    min: i64::MIN,
    max: i64::MAX,
};
const NAME: &Node = &Node::Str {
    min: 1,
    max: UNBOUNDED,
};
const MODE: &Node = &Node::Enum {
    values: &["now", "next-heartbeat"],
};

static PARAMS: Node = Node::Obj(&Obj {
    props: Props::new(&[
        prop("sessionKey", NAME, 1),
        prop("limit", UINT, 0),
        prop("offset", INT, 0),
        prop("label", &Node::Str { min: 0, max: 64 }, 0),
        prop("mode", MODE, 0),
        prop("model", &Node::Nullable(NAME), 0),
        prop(
            "tags",
            &Node::Arr {
                items: NAME,
                min: 1,
                max: 2,
            },
            0,
        ),
        prop("schedule", &SCHEDULE, 0),
        prop("client", &CLIENT, 0),
        // Declared, but unknown to the struct: a newer schema than the type.
        prop("later", &Node::Bool, 0),
    ]),
    required: &["sessionKey"],
    mask: 1,
    newer: &[],
    extra: Extra::Closed,
});

static CLIENT: Node = Node::Obj(&Obj {
    props: Props::new(&[prop("id", NAME, 1)]),
    required: &["id"],
    mask: 1,
    newer: &[],
    extra: Extra::Any,
});

static SCHEDULE: Node = Node::Tagged {
    tag: "kind",
    variants: &[
        (
            "at",
            &Node::Obj(&Obj {
                props: Props::new(&[
                    prop("kind", &Node::Enum { values: &["at"] }, 1),
                    prop("atMs", UINT, 2),
                ]),
                required: &["kind", "atMs"],
                mask: 3,
                newer: &[],
                extra: Extra::Closed,
            }),
        ),
        (
            "every",
            &Node::Obj(&Obj {
                props: Props::new(&[
                    prop("kind", &Node::Enum { values: &["every"] }, 1),
                    prop("everyMs", &Node::Int { min: 1, max: 10 }, 2),
                    prop("mode", MODE, 0),
                ]),
                required: &["kind", "everyMs"],
                mask: 3,
                newer: &[],
                extra: Extra::Closed,
            }),
        ),
    ],
};

/// Params with only the required member.
fn bare() -> Params {
    Params {
        session_key: NonEmptyString::new("k").unwrap(),
        limit: None,
        offset: None,
        label: None,
        mode: None,
        model: None,
        tags: None,
        schedule: None,
        client: None,
    }
}

fn accepted(members: &str, expected: Params) {
    let json = format!(r#"{{"sessionKey":"k"{members}}}"#);
    let decoded =
        decode::<Params>(&PARAMS, &json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(decoded, expected, "{json}");
    assert!(accepts(&PARAMS, &json), "{json}");
}

fn refused<'de, T: Deserialize<'de> + Debug>(node: &'static Node, json: &'de str) {
    if let Ok(decoded) = decode::<T>(node, json) {
        panic!("{json} became {decoded:?}");
    }
}

#[test]
fn members_arrive_in_their_types() {
    accepted("", bare());
    for (members, expected) in [
        (
            r#","limit":3"#,
            Params {
                limit: Some(3),
                ..bare()
            },
        ),
        // 1.0 is an integer, also where the derived code reads a u64 or an i64.
        (
            r#","limit":3.0"#,
            Params {
                limit: Some(3),
                ..bare()
            },
        ),
        (
            r#","limit":-0"#,
            Params {
                limit: Some(0),
                ..bare()
            },
        ),
        (
            r#","limit":1e2"#,
            Params {
                limit: Some(100),
                ..bare()
            },
        ),
        (
            r#","offset":-3.0"#,
            Params {
                offset: Some(-3),
                ..bare()
            },
        ),
        (
            r#","offset":-9223372036854775808"#,
            Params {
                offset: Some(i64::MIN),
                ..bare()
            },
        ),
        (
            r#","mode":"now""#,
            Params {
                mode: Some(Mode::Now),
                ..bare()
            },
        ),
        (
            r#","mode":"next-\u0068eartbeat""#,
            Params {
                mode: Some(Mode::NextHeartbeat),
                ..bare()
            },
        ),
        (
            r#","tags":["a","b"]"#,
            Params {
                tags: Some(vec!["a".parse().unwrap(), "b".parse().unwrap()]),
                ..bare()
            },
        ),
        // Patch members: null is not absence.
        (
            r#","model":null"#,
            Params {
                model: Some(None),
                ..bare()
            },
        ),
        (
            r#","model":"m""#,
            Params {
                model: Some(Some("m".to_owned())),
                ..bare()
            },
        ),
        // The tag first, last, escaped; integers with fraction within.
        (
            r#","schedule":{"kind":"at","atMs":5.0}"#,
            Params {
                schedule: Some(Schedule::At { at_ms: 5 }),
                ..bare()
            },
        ),
        (
            r#","schedule": {"mode":"now","everyMs":1.0,"\u006bind":"\u0065very"} "#,
            Params {
                schedule: Some(Schedule::Every {
                    every_ms: 1,
                    mode: Some(Mode::Now),
                }),
                ..bare()
            },
        ),
        // An open object keeps what it knows.
        (
            r#","client":{"new":[{}],"id":"c"}"#,
            Params {
                client: Some(Client { id: "c".to_owned() }),
                ..bare()
            },
        ),
        (r#","later":true"#, bare()),
    ] {
        accepted(members, expected);
    }
}

#[test]
fn keys_in_any_order_and_spelling() {
    for json in [
        r#"{"label":"l","limit":1,"sessionKey":"k"}"#,
        r#"{"sessionKey":"k","label":"l","limit":1}"#,
        r#" { "\u006cimit" : 1 , "session\u004Bey":"\u006b", "label":"l" } "#,
    ] {
        let expected = Params {
            limit: Some(1),
            label: Some("l".to_owned()),
            ..bare()
        };
        assert_eq!(decode::<Params>(&PARAMS, json).unwrap(), expected, "{json}");
    }
}

#[test]
fn what_the_derived_code_alone_would_accept_is_refused() {
    for json in [
        // Null for a member that is optional but not nullable.
        r#"{"sessionKey":"k","limit":null}"#,
        r#"{"sessionKey":"k","label":null}"#,
        r#"{"sessionKey":"k","mode":null}"#,
        r#"{"sessionKey":"k","tags":null}"#,
        r#"{"sessionKey":"k","schedule":null}"#,
        r#"{"sessionKey":"k","client":null}"#,
        // An array of values in place of an object.
        r#"["k",1,2,"l","now",null,["a"],null,null]"#,
        r#"{"sessionKey":"k","client":["c"]}"#,
        r#"{"sessionKey":"k","schedule":["at",5]}"#,
        // Unknown members.
        r#"{"sessionKey":"k","unknown":1}"#,
        r#"{"sessionKey":"k","\u0075nknown":1}"#,
        r#"{"sessionKey":"k","schedule":{"kind":"at","atMs":5,"x":1}}"#,
        // Bounds.
        r#"{"sessionKey":"k","limit":9007199254740992}"#,
        r#"{"sessionKey":"k","limit":1e30}"#,
        r#"{"sessionKey":"k","limit":-1}"#,
        r#"{"sessionKey":"k","limit":1.5}"#,
        r#"{"sessionKey":"k","offset":9223372036854775808}"#,
        r#"{"sessionKey":"k","tags":[]}"#,
        r#"{"sessionKey":"k","tags":["a","b","c"]}"#,
        r#"{"sessionKey":"k","tags":["a",""]}"#,
        r#"{"sessionKey":"k","model":""}"#,
        r#"{"sessionKey":"k","schedule":{"kind":"every","everyMs":11}}"#,
        r#"{"sessionKey":"k","client":{"id":""}}"#,
        // An enum variant in the form of an object.
        r#"{"sessionKey":"k","mode":{"now":null}}"#,
        // A member that the struct would skip.
        r#"{"sessionKey":"k","later":"no"}"#,
        // Required members.
        r#"{"sessionKey":""}"#,
        "{}",
        // One text, and only one.
        r#"{"sessionKey":"k"}{}"#,
        r#"{"sessionKey":"k"},"#,
        r#"{"sessionKey":"k""#,
        "",
        "null",
    ] {
        refused::<Params>(&PARAMS, json);
        assert!(!accepts(&PARAMS, json), "{json}");
    }
}

#[test]
fn duplicate_keys_of_structs_are_refused() {
    for json in [
        r#"{"sessionKey":"k","limit":1,"limit":1}"#,
        r#"{"sessionKey":"k","limit":1,"lim\u0069t":2}"#,
        r#"{"sessionKey":"k","schedule":{"kind":"at","atMs":5,"atMs":5}}"#,
        r#"{"sessionKey":"k","schedule":{"kind":"at","kind":"at","atMs":5}}"#,
    ] {
        refused::<Params>(&PARAMS, json);
    }
    // The acceptor keeps no record of keys; it judges every occurrence.
    assert!(accepts(
        &PARAMS,
        r#"{"sessionKey":"k","limit":1,"limit":2}"#
    ));
    assert!(!accepts(
        &PARAMS,
        r#"{"sessionKey":"k","limit":-1,"limit":2}"#
    ));
}

#[test]
fn length_counts_code_points() {
    for (letter, count, fits) in [
        ("a", 64, true),
        ("a", 65, false),
        ("é", 64, true),
        ("é", 65, false),
        ("😀", 64, true),
        ("😀", 65, false),
        ("\\ud83d\\ude00", 64, true),
        ("\\ud83d\\ude00", 65, false),
    ] {
        let json = format!(r#"{{"sessionKey":"k","label":"{}"}}"#, letter.repeat(count));
        let decoded = decode::<Params>(&PARAMS, &json);
        assert_eq!(decoded.is_ok(), fits, "{count} times {letter}");
    }
}
