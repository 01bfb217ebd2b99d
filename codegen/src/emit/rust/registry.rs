//! Method and event tables, and authorisation as data.

mod events;
mod methods;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::names::pascal;
use super::protocol::scope_name;
use crate::model::{Access, Model};

pub(super) use self::events::events;
pub(super) use self::methods::methods;

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
