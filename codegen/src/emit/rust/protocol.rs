//! Version, roles, scopes, codes, closes, limits and fixed texts as constants.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::names::{self, pascal, screaming};
use crate::model::Model;

pub(super) fn file(model: &Model) -> TokenStream {
    let version = Literal::u64_unsuffixed(model.version);
    let oldest = Literal::u64_unsuffixed(model.oldest);
    let roles = string_enum(
        "Role",
        "Role of a connection.",
        model
            .roles
            .iter()
            .map(|r| (r.name.as_str(), r.description.as_str(), pascal(&r.name))),
    );
    let scopes = string_enum(
        "Scope",
        "What an operator connection may do.",
        model
            .scopes
            .iter()
            .map(|s| (s.name.as_str(), s.description.as_str(), scope_name(&s.name))),
    );
    let codes = string_enum(
        "ErrorCode",
        "Error codes of responses (contract section 6.1).",
        model
            .error_codes
            .iter()
            .map(|c| (c.name.as_str(), c.description.as_str(), pascal(&c.name))),
    );
    let defaults = model.roles.iter().map(|role| {
        let name = format_ident!("{}", pascal(&role.name));
        let scopes = role.default_scopes.iter().map(|s| scope_path(s));
        quote!(Role::#name => &[#(#scopes),*])
    });
    let implies = model.scopes.iter().map(|scope| {
        let name = format_ident!("{}", scope_name(&scope.name));
        let scopes = scope.implies.iter().map(|s| scope_path(s));
        quote!(Scope::#name => &[#(#scopes),*])
    });
    let closes = model.closes.iter().map(|close| {
        let name = format_ident!("{}", screaming(&close.name));
        let (code, reason, doc) = (
            Literal::u16_unsuffixed(close.code),
            &close.reason,
            doc(&close.description),
        );
        quote! {
            #[doc = #doc]
            pub const #name: Close = Close { code: #code, reason: #reason };
        }
    });
    let limits = model.limits.iter().map(|limit| {
        let name = format_ident!("{}", screaming(&limit.name));
        let value = Literal::u64_unsuffixed(limit.value);
        let doc = format!(" {} Unit: {}.", limit.description, limit.unit);
        quote! {
            #[doc = #doc]
            pub const #name: u64 = #value;
        }
    });
    let errors = model.errors.iter().map(|error| {
        let name = format_ident!("{}", screaming(&error.name));
        let code = format_ident!("{}", pascal(&error.code));
        let (text, doc) = (&error.text, doc(&error.description));
        quote! {
            #[doc = #doc]
            pub const #name: KnownError = KnownError { code: ErrorCode::#code, text: #text };
        }
    });
    let texts = model.texts.iter().map(|text| {
        let name = format_ident!("{}", screaming(&text.name));
        let value = &text.text;
        let doc = format!(" `{value}`");
        quote! {
            #[doc = #doc]
            pub const #name: &str = #value;
        }
    });
    let (feature_methods, feature_events) = (&model.feature_methods, &model.feature_events);
    let (methods, events) = (feature_methods.len(), feature_events.len());
    let name = &model.name;
    quote! {
        //! Version, roles, scopes, codes, closes, limits and fixed texts.

        use crate::types::ErrorShape;

        /// Name of the protocol.
        pub const NAME: &str = #name;
        /// Newest protocol version spoken.
        pub const VERSION: u64 = #version;
        /// Oldest protocol version that is still served.
        pub const OLDEST_VERSION: u64 = #oldest;

        /// The version of a connection: the newest that we and the client speak, if there is any.
        pub const fn negotiate(min: u64, max: u64) -> Option<u64> {
            let version = if max < VERSION { max } else { VERSION };
            if version < OLDEST_VERSION || version < min {
                None
            } else {
                Some(version)
            }
        }

        #roles
        impl Role {
            /// Scopes of a connection of this role that asked for none.
            pub const fn default_scopes(self) -> &'static [Scope] {
                match self { #(#defaults),* }
            }
        }
        #scopes
        impl Scope {
            /// Scopes that this one contains.
            pub const fn implies(self) -> &'static [Scope] {
                match self { #(#implies),* }
            }
        }
        #codes
        impl ErrorCode {
            /// An error of this code.
            pub fn error(self, message: impl Into<String>) -> ErrorShape {
                ErrorShape::new(
                    crate::rt::NonEmptyString::or(self.as_str(), "error"),
                    crate::rt::NonEmptyString::or(message, "unknown error"),
                )
            }
        }

        /// A WebSocket close.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Close {
            /// Close code.
            pub code: u16,
            /// Close reason.
            pub reason: &'static str,
        }

        /// Closes that the server sends.
        pub mod close {
            use super::Close;
            #(#closes)*
        }

        /// Policy numbers.
        pub mod limits {
            #(#limits)*
        }

        /// A fixed error: code and text, `{name}` marks a placeholder.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct KnownError {
            /// Error code.
            pub code: ErrorCode,
            /// Text with placeholders.
            pub text: &'static str,
        }

        impl KnownError {
            /// The error of a text without placeholders.
            pub fn error(&self) -> ErrorShape {
                self.code.error(self.text)
            }

            /// The text with placeholders filled.
            pub fn text_with(&self, values: &[(&str, &str)]) -> String {
                crate::rt::fill(self.text, values)
            }

            /// The error with placeholders filled.
            pub fn with(&self, values: &[(&str, &str)]) -> ErrorShape {
                self.code.error(self.text_with(values))
            }
        }

        /// Fixed error texts.
        pub mod errors {
            use super::{ErrorCode, KnownError};
            #(#errors)*
        }

        /// Other fixed texts.
        pub mod texts {
            #(#texts)*
        }

        /// Method names of hello-ok that the schema has, in wire order.
        pub static FEATURE_METHODS: [&str; #methods] = [#(#feature_methods),*];
        /// Event names of hello-ok that the schema has, in wire order.
        pub static FEATURE_EVENTS: [&str; #events] = [#(#feature_events),*];
    }
}

/// `operator.admin` → `Admin`.
pub(super) fn scope_name(scope: &str) -> String {
    pascal(scope.rsplit_once('.').map_or(scope, |(_, name)| name))
}

fn scope_path(scope: &str) -> TokenStream {
    let name = format_ident!("{}", scope_name(scope));
    quote!(Scope::#name)
}

fn doc(description: &str) -> String {
    format!(" {description}")
}

fn string_enum<'a>(
    name: &str,
    about: &str,
    values: impl Iterator<Item = (&'a str, &'a str, String)>,
) -> TokenStream {
    let ty: Ident = names::ident(name);
    let about = doc(about);
    let (mut variants, mut shows, mut reads, mut all) = (vec![], vec![], vec![], vec![]);
    for (wire, description, rust) in values {
        let variant = format_ident!("{}", rust);
        let description = doc(description);
        variants.push(quote!(#[doc = #description] #variant));
        shows.push(quote!(Self::#variant => #wire));
        reads.push(quote!(#wire => Some(Self::#variant)));
        all.push(quote!(Self::#variant));
    }
    quote! {
        #[doc = #about]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum #ty { #(#variants),* }

        impl #ty {
            /// All values in manifest order.
            pub const ALL: &'static [Self] = &[#(#all),*];

            /// As on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { #(#shows),* }
            }

            /// From the wire; `None` for any other text.
            pub fn from_wire(text: &str) -> Option<Self> {
                match text { #(#reads,)* _ => None }
            }
        }

        impl std::fmt::Display for #ty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    }
}
