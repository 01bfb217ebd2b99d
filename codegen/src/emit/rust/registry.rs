//! Method and event tables, and authorisation as data.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::names::{ident, pascal, table};
use super::protocol::scope_name;
use crate::model::{Access, Drop, Model, Outcome, Type};

pub(super) fn methods(model: &Model) -> TokenStream {
    let names: Vec<_> = model
        .methods()
        .map(|m| format_ident!("{}", pascal(&m.name)))
        .collect();
    let wires: Vec<_> = model.methods().map(|m| m.name.as_str()).collect();
    let docs = model
        .methods()
        .map(|m| format!(" `{}`: {}", m.name, m.summary));
    let group_of = |name: &str| {
        model
            .groups
            .iter()
            .find(|group| group.methods.iter().any(|m| m.name == name))
            .map_or("", |group| group.name.as_str())
    };
    let specs = model.methods().map(|method| {
        let variant = format_ident!("{}", pascal(&method.name));
        let (name, group) = (&method.name, group_of(&method.name));
        let (role, scopes) = access(&method.access);
        let effect = if method.write {
            quote!(Effect::Write)
        } else {
            quote!(Effect::Read)
        };
        let idempotency = match &method.idempotency {
            Some(key) => {
                let (pointer, space, ttl) = (
                    &key.pointer,
                    &key.space,
                    Literal::u64_unsuffixed(key.ttl_ms),
                );
                quote!(Some(Idempotency { pointer: #pointer, space: #space, ttl_ms: #ttl }))
            }
            None => quote!(None),
        };
        let advertised = model.feature_methods.contains(name);
        let since = Literal::u64_unsuffixed(method.since);
        let params = table(&method.params);
        let answer = match &method.result {
            Outcome::Single { payload, nullable } => {
                let table = table(payload);
                quote!(AnswerSpec::Single { payload: &tables::#table, nullable: #nullable })
            }
            Outcome::Staged { first, last, .. } => {
                let (first, last) = (table(first), table(last));
                quote!(AnswerSpec::Staged { first: &tables::#first, last: &tables::#last })
            }
        };
        let handshake = method.handshake;
        let failure = match method.failure() {
            Some(failure) => {
                let table = table(failure);
                quote!(Some(&tables::#table))
            }
            None => quote!(None),
        };
        let answers = method.answers();
        let newest = Literal::u64_unsuffixed(newest_member(model, &answers));
        quote! {
            MethodSpec {
                method: Method::#variant,
                name: #name,
                group: #group,
                role: #role,
                scopes: #scopes,
                effect: #effect,
                idempotency: #idempotency,
                advertised: #advertised,
                handshake: #handshake,
                since: #since,
                params: &tables::#params,
                answer: #answer,
                failure: #failure,
                newest_member: #newest,
            }
        }
    });
    let count = names.len();
    let by_length = by_length(&wires, &names);
    let (unlisted_role, unlisted_scopes) = access(&model.unlisted);
    quote! {
        //! Every method: name, who may call it, what it does, what it takes and answers.

        use crate::protocol::{Role, Scope, errors};
        use crate::rt::{self, Answer, Node};
        use crate::tables;
        use crate::types::ErrorShape;

        /// A method of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Method { #(#[doc = #docs] #names),* }

        impl Method {
            /// All methods in group order.
            pub const ALL: [Method; #count] = [#(Method::#names),*];

            /// As on the wire.
            pub const fn name(self) -> &'static str {
                match self { #(Method::#names => #wires),* }
            }

            /// From the wire; `None` for a name that the protocol does not have.
            pub fn from_name(name: &str) -> Option<Method> {
                match name.len() { #(#by_length)* _ => None }
            }

            /// Everything known about it.
            pub fn spec(self) -> &'static MethodSpec {
                &METHODS[self as usize]
            }
        }

        /// Whether a method changes something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Effect {
            /// Reads only.
            Read,
            /// Changes something.
            Write,
        }

        /// How a retry is recognised (contract section 6.4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Idempotency {
            /// JSON pointer of the key in params.
            pub pointer: &'static str,
            /// Key space.
            pub space: &'static str,
            /// How long an outcome is remembered, ms.
            pub ttl_ms: u64,
        }

        /// What a method answers.
        #[derive(Clone, Copy)]
        pub enum AnswerSpec {
            /// One response.
            Single {
                /// Constraints of the payload.
                payload: &'static Node,
                /// The payload may be `null`.
                nullable: bool,
            },
            /// Two responses with the same id.
            Staged {
                /// Constraints of the first payload.
                first: &'static Node,
                /// Constraints of the final payload.
                last: &'static Node,
            },
        }

        /// Everything known about a method.
        pub struct MethodSpec {
            /// Which.
            pub method: Method,
            /// As on the wire.
            pub name: &'static str,
            /// Group it belongs to.
            pub group: &'static str,
            /// Role that may call it.
            pub role: Role,
            /// Any one of these scopes is enough; an error names the first. Empty: the role is enough.
            pub scopes: &'static [Scope],
            /// Whether it changes something.
            pub effect: Effect,
            /// Its idempotency key.
            pub idempotency: Option<Idempotency>,
            /// Listed in hello-ok.
            pub advertised: bool,
            /// Part of the handshake, refused afterwards.
            pub handshake: bool,
            /// First protocol version that has it.
            pub since: u64,
            /// Constraints of the params.
            pub params: &'static Node,
            /// What it answers.
            pub answer: AnswerSpec,
            /// Constraints of the payload that may come beside an error.
            pub failure: Option<&'static Node>,
            /// Version of the newest member of its answers; 0 when all versions have all of them.
            pub newest_member: u64,
        }

        impl MethodSpec {
            /// An answer as a client of an older protocol version gets it: without members that are newer.
            pub fn answer_at(&self, version: u64, answer: Answer) -> Answer {
                if self.newest_member <= version {
                    return answer;
                }
                let (first, last) = match self.answer {
                    AnswerSpec::Single { payload, .. } => (payload, payload),
                    AnswerSpec::Staged { first, last } => (first, last),
                };
                let nodes = [last, first, self.failure.unwrap_or(last)];
                match answer {
                    Answer::One(frame) => Answer::One(rt::response_at(&nodes, version, frame)),
                    Answer::Two { first, then } => Answer::Two {
                        first: rt::response_at(&nodes, version, first),
                        then: Box::pin(async move { rt::response_at(&nodes, version, then.await) }),
                    },
                }
            }
        }

        /// All methods in group order; indexed by `Method as usize`.
        pub static METHODS: [MethodSpec; #count] = [#(#specs),*];

        /// Why a call was not allowed.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Refusal {
            /// The role may not call it; carries the caller's role.
            Role(Role),
            /// A scope is missing; carries the one to ask for.
            Scope(Scope),
            /// No such method.
            Unknown(String),
        }

        impl Refusal {
            /// The error that is answered.
            pub fn error(&self) -> ErrorShape {
                match self {
                    Refusal::Role(role) => errors::UNAUTHORIZED_ROLE.with(&[("role", role.as_str())]),
                    Refusal::Scope(scope) => errors::MISSING_SCOPE.with(&[("scope", scope.as_str())]),
                    Refusal::Unknown(name) => errors::UNKNOWN_METHOD.with(&[("method", name)]),
                }
            }
        }

        /// May a connection of this role and these scopes call the method of this name?
        ///
        /// Contract section 5: role first, then scopes, and only then whether the name exists, so that
        /// the set of methods stays hidden from callers with few rights.
        pub fn authorize<S: AsRef<str>>(role: Role, scopes: &[S], name: &str) -> Result<Method, Refusal> {
            judge(role, scopes, name, Method::from_name(name))
        }

        /// As [`authorize`], for a client of an older protocol version: a method that is newer is a name that
        /// does not exist.
        pub fn authorize_at<S: AsRef<str>>(
            version: u64,
            role: Role,
            scopes: &[S],
            name: &str,
        ) -> Result<Method, Refusal> {
            let known = Method::from_name(name).filter(|method| method.spec().since <= version);
            judge(role, scopes, name, known)
        }

        fn judge<S: AsRef<str>>(
            role: Role,
            scopes: &[S],
            name: &str,
            method: Option<Method>,
        ) -> Result<Method, Refusal> {
            let (needed_role, needed): (Role, &[Scope]) = match method {
                Some(method) => (method.spec().role, method.spec().scopes),
                None => (#unlisted_role, #unlisted_scopes),
            };
            if role != needed_role {
                return Err(Refusal::Role(role));
            }
            if let Some(first) = needed.first()
                && !grants(scopes, needed)
            {
                return Err(Refusal::Scope(*first));
            }
            method.ok_or_else(|| Refusal::Unknown(name.to_owned()))
        }

        /// Do these scopes contain any of the needed ones, directly or by implication?
        pub fn grants<S: AsRef<str>>(scopes: &[S], needed: &[Scope]) -> bool {
            scopes.iter().any(|scope| {
                Scope::from_wire(scope.as_ref()).is_some_and(|scope| {
                    needed.iter().any(|n| *n == scope || scope.implies().contains(n))
                })
            })
        }
    }
}

/// The arms of a look-up by name: by length first, so that each request costs a few comparisons and not one for each
/// method.
fn by_length(wires: &[&str], names: &[Ident]) -> Vec<TokenStream> {
    let mut lengths: Vec<usize> = wires.iter().map(|wire| wire.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let arm = |length: usize| {
        let arms = wires
            .iter()
            .zip(names)
            .filter(|(wire, _)| wire.len() == length)
            .map(|(wire, name)| quote!(#wire => Some(Method::#name)));
        let length = Literal::usize_unsuffixed(length);
        quote!(#length => match name { #(#arms,)* _ => None },)
    };
    lengths.into_iter().map(arm).collect()
}

pub(super) fn events(model: &Model) -> TokenStream {
    let names: Vec<_> = model
        .events()
        .map(|e| format_ident!("{}", pascal(&e.name)))
        .collect();
    let wires: Vec<_> = model.events().map(|e| e.name.as_str()).collect();
    let docs: Vec<_> = model
        .events()
        .map(|e| format!(" `{}`: {}", e.name, e.summary))
        .collect();
    let types: Vec<_> = model.events().map(|e| ident(&e.payload)).collect();
    let tables: Vec<_> = model.events().map(|e| table(&e.payload)).collect();
    let specs = model.events().map(|event| {
        let variant = format_ident!("{}", pascal(&event.name));
        let (name, broadcast, version) = (&event.name, event.broadcast, event.state_version);
        let roles = event.roles.iter().map(|role| {
            let role = format_ident!("{}", pascal(role));
            quote!(Role::#role)
        });
        let scopes = event.scopes.iter().map(|scope| {
            let scope = format_ident!("{}", scope_name(scope));
            quote!(Scope::#scope)
        });
        let table = table(&event.payload);
        let since = Literal::u64_unsuffixed(event.since);
        let newest = Literal::u64_unsuffixed(newest_member(model, &[&event.payload]));
        quote! {
            EventSpec {
                kind: EventKind::#variant,
                name: #name,
                broadcast: #broadcast,
                roles: &[#(#roles),*],
                scopes: &[#(#scopes),*],
                state_version: #version,
                since: #since,
                payload: &tables::#table,
                newest_member: #newest,
            }
        }
    });
    let droppable = model.events().map(|event| {
        let variant = format_ident!("{}", pascal(&event.name));
        match &event.drop {
            Drop::Never => quote!(Event::#variant(_) => false),
            Drop::Always => quote!(Event::#variant(_) => true),
            Drop::When { member, equals } => {
                let field = ident(&super::names::snake(member));
                let ty = match &model.resolve(&Type::Ref(event.payload.clone())) {
                    Type::Object(object) => object.members.iter().find_map(|m| match &m.ty {
                        Type::Ref(name) if m.name == *member => Some(ident(name)),
                        _ => None,
                    }),
                    _ => None,
                };
                let ty = ty.unwrap_or_else(|| ident("String"));
                let value = format_ident!("{}", pascal(equals));
                quote!(Event::#variant(payload) => matches!(payload.#field, crate::types::#ty::#value))
            }
        }
    });
    let prefixes = wires
        .iter()
        .map(|wire| format!("{{\"type\":\"event\",\"event\":\"{wire}\",\"payload\":"));
    let count = names.len();
    quote! {
        //! Every event: payload, audience, what happens for slow readers.

        use crate::protocol::{Role, Scope};
        use crate::rt::Node;
        use crate::tables;

        /// Which event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind { #(#[doc = #docs] #names),* }

        impl EventKind {
            /// All events in group order.
            pub const ALL: [EventKind; #count] = [#(EventKind::#names),*];

            /// As on the wire.
            pub const fn name(self) -> &'static str {
                match self { #(EventKind::#names => #wires),* }
            }

            /// From the wire; `None` for a name that the protocol does not have.
            pub fn from_name(name: &str) -> Option<EventKind> {
                match name { #(#wires => Some(EventKind::#names),)* _ => None }
            }

            /// Everything known about it.
            pub fn spec(self) -> &'static EventSpec {
                &EVENTS[self as usize]
            }

            /// The text of its frames up to the payload.
            pub const fn frame_head(self) -> &'static str {
                match self { #(EventKind::#names => #prefixes),* }
            }

            /// The start of a frame, [`Event::frame_start`], as a client of an older protocol version gets it:
            /// without members that are newer.
            pub fn frame_start_at(self, version: u64, start: &str) -> String {
                match start.strip_prefix(self.frame_head()) {
                    Some(payload) => {
                        let payload = crate::rt::payload_at(&[self.spec().payload], version, payload);
                        [self.frame_head(), &payload].concat()
                    }
                    None => start.to_owned(),
                }
            }
        }

        /// Everything known about an event.
        pub struct EventSpec {
            /// Which.
            pub kind: EventKind,
            /// As on the wire.
            pub name: &'static str,
            /// To everyone who may see it, with `seq`; otherwise to one connection, without.
            pub broadcast: bool,
            /// Roles that receive it.
            pub roles: &'static [Role],
            /// Any one of these scopes is needed; empty for none.
            pub scopes: &'static [Scope],
            /// Carries `stateVersion`.
            pub state_version: bool,
            /// First protocol version that has it.
            pub since: u64,
            /// Constraints of the payload.
            pub payload: &'static Node,
            /// Version of the newest member of the payload; 0 when all versions have all of them.
            pub newest_member: u64,
        }

        /// All events in group order; indexed by `EventKind as usize`.
        pub static EVENTS: [EventSpec; #count] = [#(#specs),*];

        /// An event with its payload.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event { #(#[doc = #docs] #names(crate::types::#types)),* }

        impl Event {
            /// Which event.
            pub const fn kind(&self) -> EventKind {
                match self { #(Event::#names(_) => EventKind::#names),* }
            }

            /// May it be left out for a connection whose outbound buffer is full?
            pub fn droppable(&self) -> bool {
                match self { #(#droppable),* }
            }

            /// The frame text up to the payload's end: `{"type":"event","event":…,"payload":…`.
            /// The caller appends `,"seq":n`, `,"stateVersion":…` and `}`.
            pub fn frame_start(&self) -> Vec<u8> {
                match self { #(Event::#names(payload) => crate::rt::frame_start(EventKind::#names.frame_head(), payload)),* }
            }

            /// Decodes and checks a payload.
            pub fn decode(kind: EventKind, payload: &str) -> Result<Event, serde_json::Error> {
                match kind {
                    #(EventKind::#names => crate::rt::decode(&tables::#tables, payload).map(Event::#names)),*
                }
            }

            /// Decodes a payload as a client should: members that a newer server adds are ignored.
            pub fn read(kind: EventKind, payload: &str) -> Result<Event, serde_json::Error> {
                match kind {
                    #(EventKind::#names => serde_json::from_str(payload).map(Event::#names)),*
                }
            }
        }
    }
}

/// Version of the newest member that these definitions hold, through all references; 0 for none that the
/// oldest version lacks.
fn newest_member(model: &Model, names: &[&str]) -> u64 {
    let mut newest = 0;
    model.each_reached(names, &mut |definition| {
        definition
            .ty
            .each_member(&mut |member| newest = newest.max(member.since));
    });
    if newest > model.oldest { newest } else { 0 }
}

fn access(access: &Access) -> (TokenStream, TokenStream) {
    let role = format_ident!("{}", pascal(&access.role));
    let scopes = access.scopes.iter().map(|scope| {
        let scope = format_ident!("{}", scope_name(scope));
        quote!(Scope::#scope)
    });
    (quote!(Role::#role), quote!(&[#(#scopes),*]))
}
