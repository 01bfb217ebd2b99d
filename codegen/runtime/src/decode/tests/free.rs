//! Free values, maps, and values within a larger text.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

#[test]
fn free_values_keep_their_text() {
    #[derive(Deserialize)]
    struct Free<'a> {
        boxed: Box<RawValue>,
        #[serde(borrow)]
        borrowed: &'a RawValue,
        value: Value,
        optional: Option<Value>,
    }
    static FREE: Node = Node::Obj(&Obj {
        props: Props::new(&[
            prop("boxed", &Node::Any, 1),
            prop("borrowed", &Node::Nullable(&Node::Any), 2),
            prop("value", &Node::Any, 4),
            prop("optional", &Node::Any, 0),
        ]),
        required: &["boxed", "borrowed", "value"],
        mask: 7,
        newer: &[],
        extra: Extra::Closed,
    });
    let json = r#"{"boxed": {"b": 1.0, "a":[ ]}, "borrowed":null,"value":[1.0],"optional":null}"#;
    let free: Free<'_> = decode(&FREE, json).unwrap();
    assert_eq!(free.boxed.get(), r#"{"b": 1.0, "a":[ ]}"#);
    assert_eq!(free.borrowed.get(), "null");
    assert_eq!(free.value, serde_json::json!([1.0]));
    assert_eq!(free.optional, None);
}

#[test]
fn maps_and_flattened_extras() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Open {
        name: String,
        #[serde(flatten)]
        extra: BTreeMap<String, u64>,
    }
    static COUNTS: Node = Node::Obj(&Obj {
        props: Props::new(&[]),
        required: &[],
        mask: 0,
        newer: &[],
        extra: Extra::Each(UINT),
    });
    static OPEN: Node = Node::Obj(&Obj {
        props: Props::new(&[prop("name", NAME, 1)]),
        required: &["name"],
        mask: 1,
        newer: &[],
        extra: Extra::Each(UINT),
    });
    let counts = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_eq!(
        decode::<BTreeMap<String, u64>>(&COUNTS, r#"{"b":2,"a":1.0}"#).unwrap(),
        counts
    );
    assert_eq!(
        decode::<BTreeMap<NonEmptyString, u64>>(&COUNTS, r#"{"a":1}"#).unwrap(),
        BTreeMap::from([("a".parse().unwrap(), 1)])
    );
    refused::<BTreeMap<String, u64>>(&COUNTS, r#"{"a":-1}"#);
    assert_eq!(
        decode::<Open>(&OPEN, r#"{"b":2.0,"name":"n","a":1}"#).unwrap(),
        Open {
            name: "n".to_owned(),
            extra: counts
        }
    );
    refused::<Open>(&OPEN, r#"{"name":"n","a":"1"}"#);
}

#[test]
fn in_place_within_a_larger_text() {
    #[derive(Debug, PartialEq)]
    struct Envelope(Option<Client>);

    impl<'de> Deserialize<'de> for Envelope {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Members;
            impl<'de> Visitor<'de> for Members {
                type Value = Envelope;

                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("an envelope")
                }

                fn visit_map<A: de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Envelope, A::Error> {
                    let mut params = None;
                    while let Some(key) = map.next_key::<&str>()? {
                        assert_eq!(key, "params");
                        params = Some(map.next_value_seed(Checked::<Client>::new(&CLIENT))?);
                    }
                    Ok(Envelope(params))
                }
            }
            deserializer.deserialize_map(Members)
        }
    }

    let client = Client { id: "c".to_owned() };
    for (json, expected) in [
        (r#"{"params":{"id":"c"}}"#, Some(Envelope(Some(client)))),
        ("{}", Some(Envelope(None))),
        (r#"{"params":{"id":""}}"#, None),
        (r#"{"params":["c"]}"#, None),
    ] {
        assert_eq!(serde_json::from_str(json).ok(), expected, "{json}");
    }
}
