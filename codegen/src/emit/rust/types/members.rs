//! Fields of a struct as the schema's members want them, and what is built from them: constructors, lenient decoding.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Fields, Item, ItemStruct, parse_quote};

use super::attributes::{clean, doc};
use crate::emit::rust::names::{self, snake};
use crate::model::{Member, Model, Type};

pub(super) fn member_of<'a>(field: &syn::Field, members: &'a [Member]) -> Option<&'a Member> {
    let ident = field.ident.as_ref()?.to_string();
    let ident = ident
        .trim_start_matches("r#")
        .trim_end_matches('_')
        .to_owned();
    members.iter().find(|member| {
        rust_field(&member.name).trim_end_matches('_') == ident || snake(&member.name) == ident
    })
}

fn rust_field(name: &str) -> String {
    snake(name)
}

pub(super) fn members(item: &mut ItemStruct, list: &[Member]) {
    if let Fields::Named(fields) = &mut item.fields {
        for field in &mut fields.named {
            match member_of(field, list) {
                Some(member) => shape(field, member),
                None => {
                    clean(&mut field.attrs);
                    field
                        .attrs
                        .insert(0, doc("Members that the schema does not name."));
                }
            }
        }
        // Frames are written in the order of the schema.
        let mut sorted: Vec<syn::Field> = fields.named.iter().cloned().collect();
        sorted.sort_by_key(|field| {
            list.iter()
                .position(|member| member_of(field, std::slice::from_ref(member)).is_some())
                .unwrap_or(usize::MAX)
        });
        fields.named = sorted.into_iter().collect();
    }
}

/// Sets type and attributes of one field from the member, whatever typify made of it.
pub(super) fn shape(field: &mut syn::Field, member: &Member) {
    let base = inner_option(&field.ty).unwrap_or_else(|| field.ty.clone());
    let nullable = matches!(member.ty, Type::Nullable(_));
    let mut serde: Vec<TokenStream> = vec![];
    let ident = field
        .ident
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let wire = &member.name;
    if ident.trim_start_matches("r#") != wire {
        serde.push(quote!(rename = #wire));
    }
    field.ty = match (member.required, member.patch) {
        (_, true) => {
            serde.push(quote!(default));
            serde.push(quote!(deserialize_with = "crate::rt::patch::deserialize"));
            serde.push(quote!(skip_serializing_if = "Option::is_none"));
            parse_quote!(Option<Option<#base>>)
        }
        (true, false) if nullable => {
            parse_quote!(Option<#base>)
        }
        (true, false) => base,
        (false, false) => {
            serde.push(quote!(default));
            serde.push(quote!(skip_serializing_if = "Option::is_none"));
            parse_quote!(Option<#base>)
        }
    };
    field.attrs = vec![doc(&member.description)];
    if !serde.is_empty() {
        field.attrs.push(parse_quote!(#[serde(#(#serde),*)]));
    }
}

/// `T` of `Option<T>`.
fn inner_option(ty: &syn::Type) -> Option<syn::Type> {
    let syn::Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    if last.ident != "Option" {
        return None;
    }
    match &last.arguments {
        syn::PathArguments::AngleBracketed(list) => match list.args.first()? {
            syn::GenericArgument::Type(inner) => Some(inner.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// `new(required members in schema order)`, of a map the map; tags have their one value, everything else is absent.
pub(super) fn constructor(model: &Model, item: &ItemStruct, list: &[Member]) -> Item {
    let name = &item.ident;
    let fields: Vec<&syn::Field> = item.fields.iter().collect();
    if let syn::Fields::Unnamed(unnamed) = &item.fields {
        let ty = unnamed.unnamed.iter().map(|field| &field.ty);
        return parse_quote! {
            impl #name {
                /// What is in it.
                pub fn new(members: #(#ty)*) -> Self {
                    Self(members)
                }
            }
        };
    }
    let by_member = |member: &Member| {
        fields
            .iter()
            .find(|field| member_of(field, std::slice::from_ref(member)).is_some())
    };
    let mut parameters = vec![];
    for member in list
        .iter()
        .filter(|member| member.required && tag(model, member).is_none())
    {
        if let Some(field) = by_member(member) {
            let (ident, ty) = (&field.ident, &field.ty);
            parameters.push(quote!(#ident: #ty));
        }
    }
    let values = fields.iter().map(|field| {
        let ident = &field.ident;
        let required = list.iter().find(|member| {
            member.required && member_of(field, std::slice::from_ref(member)).is_some()
        });
        match required.map(|member| tag(model, member)) {
            Some(Some(value)) => {
                let (ty, variant) = (&field.ty, names::ident(&names::pascal(&value)));
                quote!(#ident: #ty::#variant)
            }
            Some(None) => quote!(#ident),
            None => quote!(#ident: Default::default()),
        }
    });
    parse_quote! {
        impl #name {
            /// The required members; everything optional is absent.
            #[allow(clippy::too_many_arguments)]
            pub fn new(#(#parameters),*) -> Self {
                Self { #(#values),* }
            }
        }
    }
}

/// The only value that a member can have.
fn tag(model: &Model, member: &Member) -> Option<String> {
    match model.resolve(&member.ty) {
        Type::Enum(values) if values.len() == 1 => values.first().cloned(),
        _ => None,
    }
}

/// Replaces the derived decoding: any value is accepted, members of a wrong type count as absent.
pub(super) fn lenient(item: &mut ItemStruct, list: &[Member]) -> Item {
    for attr in &mut item.attrs {
        if attr.path().is_ident("derive") {
            let kept: Vec<syn::Path> = attr
                .parse_args_with(
                    syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated,
                )
                .map(|paths| {
                    paths
                        .into_iter()
                        .filter(|path| {
                            path.segments
                                .last()
                                .is_some_and(|last| last.ident != "Deserialize")
                        })
                        .collect()
                })
                .unwrap_or_default();
            *attr = parse_quote!(#[derive(#(#kept),*)]);
        }
    }
    let name = &item.ident;
    let takes = item.fields.iter().filter_map(|field| {
        let member = member_of(field, list)?;
        let (ident, wire) = (&field.ident, &member.name);
        Some(quote!(#ident: members.take(#wire)))
    });
    let body = if list.is_empty() {
        quote! {
            <::serde::de::IgnoredAny as ::serde::Deserialize>::deserialize(deserializer)?;
            Ok(Self {})
        }
    } else {
        quote! {
            let mut members = crate::rt::lenient::Members::deserialize(deserializer)?;
            Ok(Self { #(#takes),* })
        }
    };
    parse_quote! {
        impl<'de> ::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #body
            }
        }
    }
}
