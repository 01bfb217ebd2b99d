//! The schema's examples and counter-examples as calls that compile or must not.
//!
//! A counter-example that TypeScript can see carries `@ts-expect-error`, which is an error itself when
//! the line is right; so each declaration is held to both sides.

use super::HEAD;
use super::literal::value;
use super::visible::refused;
use super::writer::Writer;
use crate::model::Model;

/// One module; only a type checker reads it.
pub(super) fn file(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.line("import type * as T from \"../../../../generated/typescript/types.js\";");
    w.gap();
    w.line("declare function accept<Declared>(value: Declared): void;");
    for definition in &model.definitions {
        w.gap();
        let name = &definition.name;
        for example in &definition.examples {
            w.line(format!("accept<T.{name}>({});", value(example)));
        }
        for counter in &definition.counter_examples {
            if refused(model, &definition.ty, &counter.value) {
                let why: Vec<&str> = counter.why.split_whitespace().collect();
                w.line(format!("// @ts-expect-error: {}", why.join(" ")));
                w.line(format!("accept<T.{name}>({});", value(&counter.value)));
            }
        }
    }
    w.finish()
}
