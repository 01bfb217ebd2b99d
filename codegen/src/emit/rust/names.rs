//! Rust identifiers.

use proc_macro2::Ident;
use quote::format_ident;

pub(super) use crate::emit::names::{pascal, screaming, snake};

/// Identifier of a definition's table.
pub(super) fn table(definition: &str) -> Ident {
    format_ident!("{}", screaming(definition))
}

/// An identifier, raw where Rust reserves the word.
pub(super) fn ident(name: &str) -> Ident {
    match syn::parse_str::<Ident>(name) {
        Ok(ident) => ident,
        Err(_) => format_ident!("r#{}", name),
    }
}
