//! What moves requests: the typed call, the handler traits with dispatch, the client's methods.

use proc_macro2::{Ident, Punct, Spacing, TokenStream};
use quote::{format_ident, quote};

use super::names::{ident, pascal, snake, table};
use crate::model::{Group, Method, Model, Outcome, Type};

pub(super) fn call(model: &Model) -> TokenStream {
    let names: Vec<Ident> = model
        .methods()
        .map(|m| format_ident!("{}", pascal(&m.name)))
        .collect();
    let types: Vec<Ident> = model.methods().map(|m| ident(&m.params)).collect();
    let tables: Vec<Ident> = model.methods().map(|m| table(&m.params)).collect();
    let docs = model.methods().map(|m| format!(" `{}`", m.name));
    let absent = absent(model);
    quote! {
        //! Reading a request: envelope and params in one pass over the text.

        use serde::de::MapAccess;

        use crate::methods::Method;
        use crate::rt::{self, Checked};
        use crate::tables;
        use crate::types;

        /// A method with its decoded and checked params.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Call { #(#[doc = #docs] #names(Box<types::#types>)),* }

        impl Call {
            /// Which method.
            pub const fn method(&self) -> Method {
                match self { #(Call::#names(_) => Method::#names),* }
            }

            /// Decodes params that stand alone.
            pub fn decode(method: Method, params: &str) -> Result<Call, serde_json::Error> {
                match method {
                    #(Method::#names => rt::decode(&tables::#tables, params).map(Call::#names)),*
                }
            }
        }

        impl rt::ParamsOf for Call {
            type Method = Method;

            fn in_place<'de, A: MapAccess<'de>>(method: Method, map: &mut A) -> Result<Call, A::Error> {
                match method {
                    #(Method::#names => map
                        .next_value_seed(Checked::<Box<types::#types>>::new(&tables::#tables))
                        .map(Call::#names)),*
                }
            }

            fn alone(method: Method, params: &str) -> Result<Call, serde_json::Error> {
                Call::decode(method, params)
            }

            fn absent(method: Method) -> Option<Call> {
                #absent
            }

            fn table(method: Method) -> &'static rt::Node {
                method.spec().params
            }
        }

        /// A request frame that is valid and, where the gate let it pass, has valid params.
        pub type Request<'a> = rt::Request<'a, Call>;
        /// Why a text is not such a request.
        pub type Problem = rt::Problem<Method>;

        /// Reads a request frame.
        ///
        /// `gate` is asked once the method's name is known: `Some` decodes the params of that method,
        /// `None` skips them (the caller knows why and answers that). It may be asked twice when params
        /// stand before the method or something is wrong.
        ///
        /// Absent and `null` params count as `{}` (contract section 6.3).
        ///
        /// # Errors
        /// Not JSON, not a request frame, or invalid params, with every violation.
        pub fn read_request<'a>(
            text: &'a str,
            gate: impl Fn(&str) -> Option<Method>,
        ) -> Result<Request<'a>, Problem> {
            rt::read_request(text, &tables::REQUEST_FRAME, gate)
        }

        /// As [`read_request`], for a client of an older protocol version: members of params that are newer
        /// are unexpected where the object is closed, and ignored where it is open.
        ///
        /// # Errors
        /// As [`read_request`].
        pub fn read_request_at<'a>(
            text: &str,
            version: u64,
            gate: impl Fn(&str) -> Option<Method>,
        ) -> Result<Request<'a>, Problem> {
            rt::read_request_at(text, &tables::REQUEST_FRAME, version, gate)
        }
    }
}

/// The body of `absent`: calls of the methods whose params are an object of no members that are read.
fn absent(model: &Model) -> TokenStream {
    let looks_at_none = |method: &&Method| match &model.definition(&method.params).ty {
        Type::Lenient(members) => members.is_empty(),
        _ => false,
    };
    let arms: Vec<TokenStream> = model
        .methods()
        .filter(looks_at_none)
        .map(|method| {
            let name = format_ident!("{}", pascal(&method.name));
            quote!(Method::#name => Some(Call::#name(Box::default())))
        })
        .collect();
    if arms.is_empty() {
        return quote! { let _ = method; None };
    }
    quote! { match method { #(#arms,)* _ => None } }
}

pub(super) fn server(model: &Model) -> TokenStream {
    let groups: Vec<&Group> = model
        .groups
        .iter()
        .filter(|group| group.methods.iter().any(|method| !method.handshake))
        .collect();
    let traits: Vec<Ident> = groups.iter().map(|g| trait_name(g)).collect();
    let definitions = groups.iter().map(|group| {
        let name = trait_name(group);
        let about = format!(" Methods of group `{}`: {}", group.name, group.description);
        let methods = group.methods.iter().filter(|m| !m.handshake).map(|method| {
            let function = ident(&snake(&method.name));
            let params = ident(&method.params);
            let output = output(method);
            let doc = documentation(method);
            quote! {
                #(#[doc = #doc])*
                fn #function(
                    &self,
                    cx: &C,
                    params: types::#params,
                ) -> impl Future<Output = #output> + Send;
            }
        });
        quote! {
            #[doc = #about]
            pub trait #name<C>: Send + Sync + 'static {
                #(#methods)*
            }
        }
    });
    let arms = model.methods().map(|method| {
        let variant = format_ident!("{}", pascal(&method.name));
        if method.handshake {
            return quote!(Call::#variant(_) => return Err(HandshakeOnly));
        }
        let function = ident(&snake(&method.name));
        quote! {
            Call::#variant(params) => Box::pin(async move {
                let outcome = handlers.#function(&cx, *params).await;
                answers::#function(id, outcome)
            })
        }
    });
    let answers = model.methods().filter(|m| !m.handshake).map(|method| {
        let function = ident(&snake(&method.name));
        let output = output(method);
        let encode = match &method.result {
            Outcome::Single { .. } if method.failure.is_some() => {
                quote!(rt::answer_failing(&id, outcome))
            }
            Outcome::Single { .. } => quote!(rt::answer(&id, outcome)),
            Outcome::Staged { .. } => quote!(rt::answer_staged(id, outcome)),
        };
        quote! {
            pub(super) fn #function(id: String, outcome: #output) -> Answer { #encode }
        }
    });
    let bounds = traits.iter().map(|name| quote!(#name<C>));
    let unfinished = unfinished(model);
    quote! {
        //! Handler traits, one for each group, and the dispatch of a call to them.

        use std::future::Future;
        use std::sync::Arc;

        use crate::call::Call;
        use crate::rt::{self, Answer, BoxFuture};
        use crate::types::{self, ErrorShape};

        /// An error with a payload beside it.
        pub type Failure<X> = rt::Failure<ErrorShape, X>;
        /// A result in two stages.
        pub type Staged<A, F, X> = rt::Staged<A, F, ErrorShape, X>;

        #(#definitions)*

        /// The call belongs to the handshake and has no handler.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct HandshakeOnly;

        /// Runs the handler of a call and turns its outcome into frame texts.
        ///
        /// # Errors
        /// The call belongs to the handshake.
        pub fn dispatch<H, C>(
            handlers: Arc<H>,
            cx: C,
            id: String,
            call: Call,
        ) -> Result<BoxFuture<'static, Answer>, HandshakeOnly>
        where
            H: #(#bounds)+*,
            C: Send + Sync + 'static,
        {
            Ok(match call { #(#arms),* })
        }

        /// What each method's outcome is as frame texts. Not generic, so that it is compiled with this crate, for speed,
        /// however the crate of the handlers is.
        mod answers {
            use crate::rt::{self, Answer};
            use crate::types::{self, ErrorShape};

            use super::{Failure, Staged};

            #(#answers)*
        }

        #unfinished
    }
}

/// A macro that writes handlers of methods that a server does not have yet.
fn unfinished(model: &Model) -> TokenStream {
    let dollar = Punct::new('$', Spacing::Alone);
    let krate = quote!(#dollar crate);
    let arms = model.methods().filter(|m| !m.handshake).map(|method| {
        let function = ident(&snake(&method.name));
        let variant = format_ident!("{}", pascal(&method.name));
        let params = ident(&method.params);
        let output = output_in(method, &krate);
        quote! {
            (@ #dollar cx:ty, #function) => {
                async fn #function(&self, _: &#dollar cx, _: #krate::types::#params) -> #output {
                    Err(self.unfinished(#krate::methods::Method::#variant).into())
                }
            };
        }
    });
    quote! {
        /// Handlers of methods that a server does not have yet, to be written into the `impl` of their group's trait:
        /// `unfinished!(Context: cron_list, cron_run);`
        ///
        /// Each answers what the server's own `fn unfinished(&self, Method) -> ErrorShape` says.
        #[macro_export]
        macro_rules! unfinished {
            #(#arms)*
            (#dollar cx:ty: #dollar(#dollar method:ident),+ #dollar(,)?) => {
                #dollar(#krate::unfinished!(@ #dollar cx, #dollar method);)+
            };
        }
    }
}

pub(super) fn client(model: &Model) -> TokenStream {
    let methods = model.methods().filter(|m| !m.handshake).map(|method| {
        let function = ident(&snake(&method.name));
        let variant = format_ident!("{}", pascal(&method.name));
        let params = ident(method.call_params());
        let doc = documentation(method);
        match &method.result {
            Outcome::Single { payload, nullable } => {
                let payload = ident(payload);
                let output = if *nullable { quote!(Option<types::#payload>) } else { quote!(types::#payload) };
                quote! {
                    #(#[doc = #doc])*
                    fn #function(
                        &self,
                        params: &types::#params,
                    ) -> impl Future<Output = Result<#output, Self::Error>> + Send {
                        self.call(Method::#variant, params)
                    }
                }
            }
            Outcome::Staged { first, last, .. } => {
                let (first, last) = (ident(first), ident(last));
                quote! {
                    #(#[doc = #doc])*
                    fn #function(
                        &self,
                        params: &types::#params,
                    ) -> impl Future<Output = Result<Staging<types::#first, types::#last, Self::Error>, Self::Error>> + Send {
                        self.call_staged(Method::#variant, params)
                    }
                }
            }
        }
    });
    quote! {
        //! Typed calls for clients: one method for each method of the protocol.

        use std::future::Future;

        use serde::Serialize;
        use serde::de::DeserializeOwned;

        use crate::methods::Method;
        use crate::rt::BoxFuture;
        use crate::types;

        /// What a two-stage call gives.
        pub enum Staging<A, F, E> {
            /// The first stage came; the future gives the final one.
            Running {
                /// Payload of the first response.
                first: A,
                /// The final response.
                last: BoxFuture<'static, Result<F, E>>,
            },
            /// A repeated key of a request that had ended: its final payload came at once.
            Ended(F),
        }

        /// Moves a request over a connection.
        pub trait Transport: Sync {
            /// Errors of a call: the server's answer, the connection, a payload that does not decode.
            type Error: Send;

            /// One request, one response.
            fn call<P: Serialize + Sync, R: DeserializeOwned + Send>(
                &self,
                method: Method,
                params: &P,
            ) -> impl Future<Output = Result<R, Self::Error>> + Send;

            /// One request, two responses with the same id.
            fn call_staged<P: Serialize + Sync, A: DeserializeOwned + Send + 'static, F: DeserializeOwned + Send + 'static>(
                &self,
                method: Method,
                params: &P,
            ) -> impl Future<Output = Result<Staging<A, F, Self::Error>, Self::Error>> + Send;
        }

        /// Every method of the protocol as a typed call.
        pub trait GatewayCalls: Transport {
            #(#methods)*
        }

        impl<T: Transport> GatewayCalls for T {}
    }
}

fn trait_name(group: &Group) -> Ident {
    format_ident!("{}Methods", pascal(&group.name))
}

/// What a handler returns, as it is written in the module of the handler traits.
fn output(method: &Method) -> TokenStream {
    let names = Outputs {
        types: quote!(types),
        error: quote!(ErrorShape),
        failure: quote!(Failure),
        staged: quote!(Staged),
        nothing: quote!(rt::NoPayload),
    };
    names.of(method)
}

/// What a handler returns, as it is written anywhere.
fn output_in(method: &Method, krate: &TokenStream) -> TokenStream {
    let names = Outputs {
        types: quote!(#krate::types),
        error: quote!(#krate::types::ErrorShape),
        failure: quote!(#krate::server::Failure),
        staged: quote!(#krate::server::Staged),
        nothing: quote!(#krate::rt::NoPayload),
    };
    names.of(method)
}

/// The paths that the type of a handler's outcome is made of.
struct Outputs {
    types: TokenStream,
    error: TokenStream,
    failure: TokenStream,
    staged: TokenStream,
    nothing: TokenStream,
}

impl Outputs {
    fn of(&self, method: &Method) -> TokenStream {
        let Self {
            types,
            error,
            failure,
            staged,
            nothing,
        } = self;
        match &method.result {
            Outcome::Single { payload, nullable } => {
                let payload = ident(payload);
                let ok = if *nullable {
                    quote!(Option<#types::#payload>)
                } else {
                    quote!(#types::#payload)
                };
                match &method.failure {
                    Some(with) => {
                        let with = ident(with);
                        quote!(Result<#ok, #failure<#types::#with>>)
                    }
                    None => quote!(Result<#ok, #error>),
                }
            }
            Outcome::Staged {
                first,
                last,
                failure: with,
                ..
            } => {
                let (first, last) = (ident(first), ident(last));
                let with = with.as_ref().map_or(quote!(#nothing), |with| {
                    let with = ident(with);
                    quote!(#types::#with)
                });
                quote!(Result<#staged<#types::#first, #types::#last, #with>, #error>)
            }
        }
    }
}

fn documentation(method: &Method) -> Vec<String> {
    let mut lines = vec![format!(" `{}`: {}", method.name, method.summary)];
    if !method.description.is_empty() {
        lines.push(String::new());
        lines.push(format!(" {}", method.description));
    }
    lines
}
