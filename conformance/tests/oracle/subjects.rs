//! What is compared: each definition of params, with our judge and how it is asked.

use std::collections::BTreeMap;
use std::path::Path;

use openclaw_protocol::call::Call;
use openclaw_protocol::examples::{ALL, Examples};
use openclaw_protocol::methods::Method;
use openclaw_protocol::rt::{Tree, TreeError, accepts, violations};
use serde_json::Value;

use crate::differences::{Differences, Step};
use crate::fault::Fault;

/// The frame that carries params; compared like them.
const REQUEST_FRAME: &str = "RequestFrame";

/// A definition of params.
pub(crate) struct Subject {
    /// Its name, the same on both sides.
    pub(crate) definition: String,
    /// Methods whose params it is on the wire; none when the wire form is mended first.
    pub(crate) methods: Vec<Method>,
    /// What happens beside the definition.
    pub(crate) steps: Vec<Step>,
    examples: &'static Examples,
}

/// Examples and table of one of our definitions.
pub(crate) fn ours(definition: &str) -> &'static Examples {
    ALL.iter()
        .find(|e| e.definition == definition)
        .unwrap_or_else(|| panic!("schema/ has no definition {definition}"))
}

impl Subject {
    /// All definitions that a method of the original has for its params, and the request frame.
    pub(crate) fn all(differences: &Differences) -> Vec<Self> {
        let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
        let unchecked = |name: &str| differences.unchecked.iter().any(|u| u.method == name);
        for (method, definition) in params_of_methods() {
            if !unchecked(method.name()) {
                methods.entry(definition).or_default().push(method);
            }
        }
        for adapted in &differences.adapted {
            if adapted.steps.contains(&Step::MendedByBoth) {
                methods.retain(|_, of| !of.iter().any(|m| m.name() == adapted.method));
                methods.insert(adapted.definition.clone(), Vec::new());
            }
        }
        methods.insert(REQUEST_FRAME.to_owned(), Vec::new());
        let steps = |definition: &str| {
            let adapted = differences.adapted.iter();
            let of = adapted.filter(|a| a.definition == definition);
            of.flat_map(|a| a.steps.clone()).collect()
        };
        methods
            .into_iter()
            .map(|(definition, methods)| Self {
                examples: ours(&definition),
                steps: steps(&definition),
                definition,
                methods,
            })
            .collect()
    }

    /// The valid examples of our schema.
    pub(crate) fn examples(&self) -> Vec<Value> {
        let parsed = |text: &&str| serde_json::from_str(text).expect("an example is JSON");
        self.examples.valid.iter().map(parsed).collect()
    }

    /// What we hold against a text. Asks every judge that we have, and panics when they disagree.
    pub(crate) fn faults(&self, text: &str) -> Vec<Fault> {
        let tree = match Tree::parse(text) {
            Ok(tree) => tree,
            Err(error) => {
                for method in &self.methods {
                    assert!(Call::decode(*method, text).is_err(), "{method:?} {text}");
                }
                let keyword = match error {
                    TreeError::DuplicateKey { .. } => "duplicateKey",
                    TreeError::Syntax(_) => "syntax",
                };
                return vec![Fault::whole(keyword, error.to_string())];
            }
        };
        let listed = violations(self.examples.node, &tree);
        let fits = listed.is_empty();
        let definition = &self.definition;
        assert_eq!(
            accepts(self.examples.node, text),
            fits,
            "{definition} {text}"
        );
        for method in &self.methods {
            let decoded = Call::decode(*method, text);
            assert_eq!(decoded.is_ok(), fits, "{method:?} {text}");
        }
        let mut faults: Vec<Fault> = listed.into_iter().map(Fault::from).collect();
        if self.steps.contains(&Step::OneId) && fits {
            let ids = ["id", "jobId"].map(|name| tree.get(name).is_some());
            if ids[0] == ids[1] {
                faults.push(Fault::whole("oneId", "needs exactly one of id and jobId"));
            }
        }
        faults
    }
}

/// Every method that the original has, with the name of its params on the wire, from the published schema.
pub(crate) fn params_of_methods() -> Vec<(Method, String)> {
    let bundle = published();
    let params = |method: Method| {
        let name = bundle["x-methods"][method.name()]["params"].as_str();
        name.expect("a published method has params").to_owned()
    };
    Method::ALL
        .iter()
        .filter(|method| !method.spec().extension)
        .map(|&method| (method, params(method)))
        .collect()
}

fn published() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/dist/protocol.schema.json");
    let text = std::fs::read_to_string(path).expect("the published schema");
    serde_json::from_str(&text).expect("the published schema is JSON")
}
