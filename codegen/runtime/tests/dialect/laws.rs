//! For random schemas and documents: the oracle, the decoder, the acceptor and the
//! list of violations say the same.

use openclaw_schema_runtime::{Tree, TreeError, decode, describe, violations};
use proptest::prelude::*;
use serde_json::Value;

use crate::generate::{Spelling, document, schema, spelling, write};
use crate::{Verdicts, convert, oracle};

/// Documents tried with each schema: compiling a schema costs far more than a check.
const DOCUMENTS: usize = 12;

/// A schema with documents and, for each, how it is written and where its text is damaged.
fn schema_with_documents()
-> impl Strategy<Value = (Value, Vec<(Value, Spelling, prop::sample::Index)>)> {
    schema().prop_flat_map(|schema| {
        let one = (document(&schema), spelling(), any::<prop::sample::Index>());
        (Just(schema), prop::collection::vec(one, DOCUMENTS))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn all_readers_agree_with_the_oracle((schema, documents) in schema_with_documents()) {
        let node = convert::table(&schema, &schema);
        let judge = oracle(&schema);
        for (document, spelling, _) in documents {
            let text = write(&document, spelling);
            let valid = judge.is_valid(&document);
            prop_assert_eq!(Verdicts::of(node, &text), Verdicts::all(valid), "{}", text);

            match decode::<Value>(node, &text) {
                Ok(decoded) => prop_assert!(same(&decoded, &document), "{} became {}", text, decoded),
                Err(_) => {
                    let found = violations(node, &Tree::parse(&text).unwrap());
                    prop_assert_ne!(describe(&found), "unknown validation error");
                    for violation in found {
                        prop_assert!(document.pointer(&violation.path).is_some(), "{:?}", violation);
                    }
                }
            }
        }
    }

    #[test]
    fn damaged_texts_are_judged_alike((schema, documents) in schema_with_documents()) {
        let node = convert::table(&schema, &schema);
        let judge = oracle(&schema);
        for (document, spelling, at) in documents {
            let mut chars: Vec<char> = write(&document, spelling).chars().collect();
            chars.remove(at.index(chars.len()));
            let text: String = chars.into_iter().collect();
            let verdicts = Verdicts::of(node, &text);
            match (serde_json::from_str(&text), Tree::parse(&text)) {
                // Which of the two counts is nobody's guess: such texts are refused.
                (_, Err(TreeError::DuplicateKey { .. })) => {}
                (Ok(parsed), _) => {
                    prop_assert_eq!(verdicts, Verdicts::all(judge.is_valid(&parsed)), "{}", text);
                }
                // The acceptor skips free values without looking into their strings.
                (Err(_), _) => prop_assert!(!verdicts.decodes && !verdicts.no_violations, "{}", text),
            }
        }
    }
}

/// Equal but for the spelling of numbers: integers lose a zero fraction.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}
