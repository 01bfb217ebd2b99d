//! Constraint tables: one `static` [`Node`] for each definition.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::names;
use crate::model::{Extra, Model, Object, Type};

pub(super) fn file(model: &Model) -> TokenStream {
    let tables = model.definitions.iter().map(|definition| {
        let name = names::table(&definition.name);
        // A definition that only renames another has its constraints.
        let node = value(model.resolve(&definition.ty), model.oldest);
        let doc = format!(" Constraints of [`{}`](crate::types).", definition.name);
        quote! {
            #[doc = #doc]
            pub static #name: Node = #node;
        }
    });
    quote! {
        //! Constraint tables, one for each definition; read by `rt::decode` and `rt::violations`.
        #![allow(unused_imports)]

        use crate::rt::{Extra, Newer, Node, Obj, Prop, Props};

        #(#tables)*
    }
}

/// An expression of type `Node`. Members of versions after `oldest` are marked.
fn value(ty: &Type, oldest: u64) -> TokenStream {
    match ty {
        Type::Any { .. } | Type::Lenient(_) => quote!(Node::Any),
        Type::Boolean => quote!(Node::Bool),
        Type::String { min, max, .. } => {
            let (min, max) = (count(Some(*min)), count(*max));
            quote!(Node::Str { min: #min, max: #max })
        }
        Type::Enum(values) => quote!(Node::Enum { values: &[#(#values),*] }),
        Type::Integer { min, max } => {
            let (min, max) = (Literal::i64_unsuffixed(*min), Literal::i64_unsuffixed(*max));
            quote!(Node::Int { min: #min, max: #max })
        }
        Type::Number { min, max } => {
            let min = min.map_or(quote!(f64::NEG_INFINITY), |m| quote!(#m));
            let max = max.map_or(quote!(f64::INFINITY), |m| quote!(#m));
            quote!(Node::Num { min: #min, max: #max })
        }
        Type::Array { items, min, max } => {
            let (items, min, max) = (reference(items, oldest), count(Some(*min)), count(*max));
            quote!(Node::Arr { items: #items, min: #min, max: #max })
        }
        Type::Object(object) => {
            let object = self::object(object, oldest);
            quote!(Node::Obj(&#object))
        }
        Type::Ref(_) => unreachable!("definitions are resolved and members are referred to"),
        Type::Nullable(inner) => {
            let inner = reference(inner, oldest);
            quote!(Node::Nullable(#inner))
        }
        Type::Tagged { tag, variants } => {
            let variants = variants.iter().map(|(value, object, _)| {
                let object = self::object(object, oldest);
                quote!((#value, &Node::Obj(&#object)))
            });
            quote!(Node::Tagged { tag: #tag, variants: &[#(#variants),*] })
        }
        Type::OneOf(names) => {
            let tables = names.iter().map(|name| names::table(name));
            quote!(Node::OneOf(&[#(&#tables),*]))
        }
    }
}

/// An expression of type `&'static Node`.
fn reference(ty: &Type, oldest: u64) -> TokenStream {
    match ty {
        Type::Ref(name) => {
            let table = names::table(name);
            quote!(&#table)
        }
        other => {
            let node = value(other, oldest);
            quote!(&#node)
        }
    }
}

fn object(object: &Object, oldest: u64) -> TokenStream {
    let required: Vec<&str> = object
        .members
        .iter()
        .filter(|member| member.required)
        .map(|member| member.name.as_str())
        .collect();
    let props = object.members.iter().map(|member| {
        let name = &member.name;
        let node = reference(&member.ty, oldest);
        let bit = required
            .iter()
            .position(|required| required == name)
            .map_or(0u64, |i| 1 << i);
        let bit = Literal::u64_unsuffixed(bit);
        quote!(Prop { name: #name, node: #node, required: #bit })
    });
    let mask = match required.len() {
        64 => u64::MAX,
        n => (1u64 << n) - 1,
    };
    let mask = Literal::u64_unsuffixed(mask);
    let newer = object
        .members
        .iter()
        .filter(|member| member.since > oldest)
        .map(|member| {
            let (name, since) = (&member.name, Literal::u64_unsuffixed(member.since));
            quote!(Newer { name: #name, since: #since })
        });
    let extra = match &object.extra {
        Extra::Closed => quote!(Extra::Closed),
        Extra::Ignored => quote!(Extra::Any),
        Extra::Kept(ty) => {
            let node = reference(ty, oldest);
            quote!(Extra::Each(#node))
        }
    };
    quote!(Obj { props: Props::new(&[#(#props),*]), required: &[#(#required),*], mask: #mask, newer: &[#(#newer),*], extra: #extra })
}

fn count(n: Option<u64>) -> TokenStream {
    match n.and_then(|n| u32::try_from(n).ok()) {
        Some(n) => {
            let n = Literal::u32_unsuffixed(n);
            quote!(#n)
        }
        None => quote!(u32::MAX),
    }
}
