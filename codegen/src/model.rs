//! The protocol as one model: what every emitter reads. Built by `read`, from files that `lint` accepted.

mod types;

use std::collections::BTreeSet;
use std::fmt;

use openclaw_schema_runtime::Tree;
use serde_json::Value;

pub use self::types::{CounterExample, Definition, Extra, Member, Object, Type};

/// The whole protocol.
pub struct Model {
    /// Name of the protocol, for headers.
    pub name: String,
    /// Newest protocol version spoken on the wire.
    pub version: u64,
    /// Oldest protocol version that is still served.
    pub oldest: u64,
    /// What the protocol is.
    pub description: String,
    /// Connection roles in manifest order.
    pub roles: Vec<Role>,
    /// Scopes in manifest order.
    pub scopes: Vec<Scope>,
    /// Who may call a name that no group defines (contract section 5, last row).
    pub unlisted: Access,
    /// Error codes.
    pub error_codes: Vec<Described>,
    /// WebSocket closes that the server sends.
    pub closes: Vec<Close>,
    /// Policy numbers.
    pub limits: Vec<Limit>,
    /// Fixed error texts.
    pub errors: Vec<ErrorText>,
    /// Other fixed texts.
    pub texts: Vec<Text>,
    /// Method names in the order of hello-ok.
    pub feature_methods: Vec<String>,
    /// Event names in the order of hello-ok.
    pub feature_events: Vec<String>,
    /// Groups in manifest order.
    pub groups: Vec<Group>,
    /// Definitions: primitives first, then group by group, in file order.
    pub definitions: Vec<Definition>,
}

/// A name with a description.
pub struct Described {
    /// As on the wire.
    pub name: String,
    /// Why it exists.
    pub description: String,
}

/// A connection role.
pub struct Role {
    /// As on the wire.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Scopes of a connection that asked for none.
    pub default_scopes: Vec<String>,
}

/// A scope.
pub struct Scope {
    /// As on the wire, `operator.read`.
    pub name: String,
    /// What it allows.
    pub description: String,
    /// Scopes that it contains.
    pub implies: Vec<String>,
}

/// Who may call: a role, and any one of the scopes.
#[derive(Clone)]
pub struct Access {
    /// Required role.
    pub role: String,
    /// Any of these; empty means the role is enough.
    pub scopes: Vec<String>,
}

/// A WebSocket close.
pub struct Close {
    /// Identifier, camelCase.
    pub name: String,
    /// Close code.
    pub code: u16,
    /// Close reason.
    pub reason: String,
    /// When it is sent.
    pub description: String,
}

/// A policy number.
pub struct Limit {
    /// Identifier, camelCase.
    pub name: String,
    /// The number.
    pub value: u64,
    /// `bytes`, `ms`, `count` …
    pub unit: String,
    /// The reason for the number.
    pub description: String,
}

/// A fixed error.
pub struct ErrorText {
    /// Identifier, camelCase.
    pub name: String,
    /// Error code.
    pub code: String,
    /// Message; `{name}` marks a placeholder.
    pub text: String,
    /// When it is sent.
    pub description: String,
}

/// A fixed text.
pub struct Text {
    /// Identifier, camelCase.
    pub name: String,
    /// The text.
    pub text: String,
}

/// One domain: its methods and events.
pub struct Group {
    /// Name, also of the file.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Methods in file order.
    pub methods: Vec<Method>,
    /// Events in file order.
    pub events: Vec<Event>,
}

/// A method.
pub struct Method {
    /// As on the wire.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// More, if needed.
    pub description: String,
    /// First protocol version that has it.
    pub since: u64,
    /// Definition of the params.
    pub params: String,
    /// Definition of what clients should write, where `params` admits more for old habits.
    pub client_params: Option<String>,
    /// What is answered.
    pub result: Outcome,
    /// Definition of a payload that may accompany `ok:false` of a single-stage method.
    pub failure: Option<String>,
    /// Who may call it.
    pub access: Access,
    /// True when it changes something.
    pub write: bool,
    /// Idempotency key, if there is one.
    pub idempotency: Option<Idempotency>,
    /// Error codes it may answer.
    pub errors: Vec<String>,
    /// Events it may cause.
    pub emits: Vec<String>,
    /// Not in the original's protocol, so not listed in hello-ok; a gateway may lack it.
    pub extension: bool,
    /// Handled by the handshake, not by a group handler.
    pub handshake: bool,
}

/// What the reference says of an extension.
pub const EXTENSION: &str = "not in the original's protocol, so not listed in hello-ok; a gateway without it answers that the method is unknown";

/// What a method answers.
pub enum Outcome {
    /// One response.
    Single {
        /// Definition of the payload.
        payload: String,
        /// The payload may be `null`.
        nullable: bool,
    },
    /// A first response at once and a final one with the same id.
    Staged {
        /// Definition of the first payload.
        first: String,
        /// Member and value that only the first payload has.
        when: (String, String),
        /// Definition of the final payload.
        last: String,
        /// Definition of the payload beside a final error.
        failure: Option<String>,
    },
}

/// How a retry is recognised.
pub struct Idempotency {
    /// JSON pointer of the key in params.
    pub pointer: String,
    /// Key space.
    pub space: String,
    /// How long an outcome is remembered.
    pub ttl_ms: u64,
}

/// An event.
pub struct Event {
    /// As on the wire.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// More, if needed.
    pub description: String,
    /// First protocol version that has it.
    pub since: u64,
    /// Definition of the payload.
    pub payload: String,
    /// True: to everyone who may see it, with `seq`. False: to one connection, without.
    pub broadcast: bool,
    /// Roles that receive it.
    pub roles: Vec<String>,
    /// Any one of these scopes is needed; empty for none.
    pub scopes: Vec<String>,
    /// Carries `stateVersion`.
    pub state_version: bool,
    /// May be left out for a slow connection.
    pub drop: Drop,
}

/// Whether an event may be dropped for a slow reader.
pub enum Drop {
    /// Never: the connection is closed instead.
    Never,
    /// Always.
    Always,
    /// Only where a member has this value.
    When {
        /// Payload member, a required string set.
        member: String,
        /// The value.
        equals: String,
    },
}

/// Figures for people.
pub struct Counts {
    methods: usize,
    events: usize,
    definitions: usize,
    examples: usize,
    counter_examples: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} methods, {} events, {} definitions, {} examples, {} counter-examples",
            self.methods, self.events, self.definitions, self.examples, self.counter_examples
        )
    }
}

impl Method {
    /// Definition of the payload that may accompany an error, in one answer or at the end of two.
    pub fn failure(&self) -> Option<&str> {
        match &self.result {
            Outcome::Single { .. } => self.failure.as_deref(),
            Outcome::Staged { failure, .. } => failure.as_deref(),
        }
    }

    /// Definition of the params that a typed call takes.
    pub fn call_params(&self) -> &str {
        self.client_params.as_deref().unwrap_or(&self.params)
    }

    /// Definitions of all payloads that it may answer with.
    pub fn answers(&self) -> Vec<&str> {
        let mut answers = match &self.result {
            Outcome::Single { payload, .. } => vec![payload.as_str()],
            Outcome::Staged { first, last, .. } => vec![first.as_str(), last.as_str()],
        };
        answers.extend(self.failure());
        answers
    }
}

impl Model {
    /// All methods in group order.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.groups.iter().flat_map(|group| &group.methods)
    }

    /// All events in group order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.groups.iter().flat_map(|group| &group.events)
    }

    /// A definition by name. Every `$ref` was checked while reading.
    pub fn definition(&self, name: &str) -> &Definition {
        match self.definitions.iter().find(|d| d.name == name) {
            Some(definition) => definition,
            None => unreachable!("`{name}` was resolved when the schema was read"),
        }
    }

    /// Visits the definitions of these names and all that they refer to, each once.
    pub fn each_reached<'a>(&'a self, names: &[&'a str], visit: &mut impl FnMut(&'a Definition)) {
        let mut waiting = names.to_vec();
        let mut seen = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            let definition = self.definitions.iter().find(|d| d.name == name);
            if let Some(definition) = definition.filter(|_| seen.insert(name)) {
                visit(definition);
                definition.ty.each_reference(&mut |name| waiting.push(name));
            }
        }
    }

    /// Whether a value of the type holds, at any depth, something that is never shown.
    pub fn has_secret(&self, ty: &Type) -> bool {
        let mut names = Vec::new();
        ty.each_reference(&mut |name| names.push(name));
        let mut found = ty.has_own_secret();
        self.each_reached(&names, &mut |definition| {
            found |= definition.ty.has_own_secret();
        });
        found
    }

    /// The type behind any chain of references.
    pub fn resolve<'a>(&'a self, ty: &'a Type) -> &'a Type {
        match ty {
            Type::Ref(name) => self.resolve(&self.definition(name).ty),
            other => other,
        }
    }

    /// Figures for people.
    pub fn counts(&self) -> Counts {
        Counts {
            methods: self.methods().count(),
            events: self.events().count(),
            definitions: self.definitions.len(),
            examples: self.definitions.iter().map(|d| d.examples.len()).sum(),
            counter_examples: self
                .definitions
                .iter()
                .map(|d| d.counter_examples.len())
                .sum(),
        }
    }
}

/// A tree as compact JSON, members in their order.
pub fn json_text(tree: &Tree) -> String {
    match tree {
        Tree::Array(items) => {
            let items: Vec<String> = items.iter().map(json_text).collect();
            format!("[{}]", items.join(","))
        }
        Tree::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), json_text(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        scalar => scalar.to_value().to_string(),
    }
}
