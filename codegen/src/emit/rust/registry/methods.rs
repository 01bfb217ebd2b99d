//! The method table: names, roles, scopes, effects, versions.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::{access, newest_member};
use crate::emit::rust::names::{pascal, table};
use crate::model::{Model, Outcome};

pub(in crate::emit::rust) fn methods(model: &Model) -> TokenStream {
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
        let (extension, handshake) = (method.extension, method.handshake);
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
                extension: #extension,
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
            /// Not in the original's protocol; a gateway may lack it.
            pub extension: bool,
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
