//! The pass over what typify wrote, item by item.

use std::collections::BTreeMap;

use quote::{ToTokens, quote};
use syn::{Fields, Item, ItemStruct, parse_quote};

use super::attributes::{clean, doc, doc_text, renamed};
use super::members::{constructor, lenient, member_of, members, shape};
use crate::model::{Definition, Model, Type};

pub(super) fn rewrite(
    model: &Model,
    definitions: &BTreeMap<&str, &Definition>,
    item: Item,
) -> Vec<Item> {
    match item {
        // typify's conversion errors belong to builders and newtypes that we do not emit.
        Item::Mod(module) if module.ident == "error" => vec![Item::Mod(module)],
        Item::Struct(mut item) => {
            clean(&mut item.attrs);
            let name = item.ident.to_string();
            let Some(definition) = definitions.get(name.as_str()) else {
                return vec![Item::Struct(item)];
            };
            match &definition.ty {
                Type::Object(object) => {
                    members(&mut item, &object.members);
                    if object.members.iter().all(|member| !member.required) {
                        derive_default(&mut item);
                    }
                    let new = constructor(model, &item, &object.members);
                    vec![Item::Struct(item), new]
                }
                Type::Lenient(list) => {
                    members(&mut item, list);
                    derive_default(&mut item);
                    let decode = lenient(&mut item, list);
                    vec![Item::Struct(item), decode]
                }
                _ => vec![Item::Struct(item)],
            }
        }
        Item::Enum(mut item) => {
            clean(&mut item.attrs);
            for variant in &mut item.variants {
                clean(&mut variant.attrs);
                if !variant.attrs.iter().any(|attr| doc_text(attr).is_some()) {
                    let wire = renamed(&variant.attrs).unwrap_or_else(|| variant.ident.to_string());
                    variant.attrs.insert(0, doc(&format!("`{wire}`")));
                }
                for field in &mut variant.fields {
                    clean(&mut field.attrs);
                }
            }
            if let Some(definition) = definitions.get(item.ident.to_string().as_str())
                && let Type::Tagged { variants, .. } = &definition.ty
            {
                for (variant, (_, object, _)) in item.variants.iter_mut().zip(variants) {
                    if let Fields::Named(fields) = &mut variant.fields {
                        for field in &mut fields.named {
                            if let Some(member) = member_of(field, &object.members) {
                                shape(field, member);
                            }
                        }
                    }
                }
            }
            let shown = shown(&item);
            std::iter::once(Item::Enum(item)).chain(shown).collect()
        }
        // typify derives nothing for it, and we derive it ourselves.
        Item::Impl(item) if is_default(&item) => vec![],
        // Clones by reference; `clone()` says the same.
        Item::Impl(item) if is_from_reference(&item) => vec![],
        other => vec![other],
    }
}

/// `as_str` of a set of strings.
fn shown(item: &syn::ItemEnum) -> Option<Item> {
    let mut arms = vec![];
    for variant in &item.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return None;
        }
        let ident = &variant.ident;
        let wire = renamed(&variant.attrs).unwrap_or_else(|| ident.to_string());
        arms.push(quote!(Self::#ident => #wire));
    }
    let name = &item.ident;
    Some(parse_quote! {
        impl #name {
            /// As on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { #(#arms),* }
            }
        }
    })
}

fn derive_default(item: &mut ItemStruct) {
    let derived = item.attrs.iter().any(|attr| {
        attr.path().is_ident("derive") && attr.to_token_stream().to_string().contains("Default")
    });
    if !derived {
        item.attrs.push(parse_quote!(#[derive(Default)]));
    }
}

fn is_default(item: &syn::ItemImpl) -> bool {
    item.trait_.as_ref().is_some_and(|(path, _)| {
        path.segments
            .last()
            .is_some_and(|last| last.ident == "Default")
    })
}

/// `impl From<&T> for T`.
fn is_from_reference(item: &syn::ItemImpl) -> bool {
    let text = item
        .trait_
        .as_ref()
        .map(|(path, _)| path.to_token_stream().to_string())
        .unwrap_or_default();
    let own = item.self_ty.to_token_stream().to_string();
    text.replace(' ', "")
        .ends_with(&format!("From<&{own}>").replace(' ', ""))
        || text.replace(' ', "").ends_with("From<&Self>")
}
