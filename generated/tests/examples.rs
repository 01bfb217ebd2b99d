//! The schema's own examples: every valid one is accepted, every counter-example is refused with the
//! text that stands beside it.

use openclaw_protocol::examples::ALL;
use openclaw_protocol::rt::{Tree, accepts, describe, violations};

#[test]
fn examples_and_counter_examples_of_every_definition() {
    let (mut valid, mut refused) = (0, 0);
    for examples in ALL {
        let name = examples.definition;
        for text in examples.valid {
            let tree = Tree::parse(text).expect("an example is JSON");
            assert_eq!(
                describe(&violations(examples.node, &tree)),
                NOTHING,
                "{name}: {text}"
            );
            assert!(accepts(examples.node, text), "{name}: {text}");
            valid += 1;
        }
        for (why, text, expected) in examples.invalid {
            let tree = Tree::parse(text).expect("a counter-example is JSON");
            assert_eq!(
                describe(&violations(examples.node, &tree)),
                *expected,
                "{name}, {why}: {text}"
            );
            assert!(!accepts(examples.node, text), "{name}, {why}: {text}");
            refused += 1;
        }
    }
    println!("{valid} examples accepted, {refused} counter-examples refused");
    assert!(valid > 0 && refused > 0);
}

/// What `describe` says of an empty list.
const NOTHING: &str = "unknown validation error";
