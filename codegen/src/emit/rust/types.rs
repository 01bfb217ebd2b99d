//! Types: a simplified document through typify, then a pass over its syntax tree.
//!
//! What typify sees: no bounds (the tables check them), primitives written out, so that an integer is
//! `u64` and not a newtype for each name. What the pass adds: `Option` where a member is optional,
//! three-state members for `x-patch`, lenient decoding, constructors of the required members. It removes
//! what typify says about closedness: servers check it through the tables, clients must read what newer
//! servers add.

mod attributes;
mod members;
mod rewrite;
mod simple;

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::quote;
use serde_json::{Map, json};
use syn::{Item, parse_quote};
use typify::{TypeSpace, TypeSpaceImpl, TypeSpaceSettings};

use self::attributes::doc;
use self::rewrite::rewrite;
use self::simple::simple_definition;
use super::names;
use crate::model::{Definition, Model, Type};

/// Definitions replaced by hand-written runtime types.
pub(super) const RUNTIME: &[&str] = &["NonEmptyString", "SecretString", "SecretValue"];

/// The `types` module. An error carries the file it belongs to.
pub(super) fn file(model: &Model) -> Result<syn::File, (String, String)> {
    let tokens =
        typified(model).map_err(|problem| ("generated/src/types.rs".to_owned(), problem))?;
    let mut file: syn::File = syn::parse2(tokens)
        .map_err(|error| ("generated/src/types.rs".to_owned(), error.to_string()))?;
    let definitions: BTreeMap<&str, &Definition> = model
        .definitions
        .iter()
        .map(|d| (d.name.as_str(), d))
        .collect();
    let mut items = vec![];
    for item in std::mem::take(&mut file.items) {
        items.extend(rewrite(model, &definitions, item));
    }
    let head: Vec<Item> = vec![parse_quote!(
        use crate::rt::{NonEmptyString, SecretString, SecretValue};
    )];
    file.items = head
        .into_iter()
        .chain(aliases(model))
        .chain(items)
        .collect();
    file.attrs = vec![
        parse_quote!(#![doc = " Every definition of the schema as a type."]),
        parse_quote!(#![doc = ""]),
        parse_quote!(#![doc = " Bounds are not in the types: `tables` has them, and `rt::decode` enforces them."]),
        parse_quote!(#![allow(unused_imports)]),
    ];
    Ok(file)
}

fn typified(model: &Model) -> Result<TokenStream, String> {
    let mut definitions = Map::new();
    for definition in &model.definitions {
        if !is_inlined(model, &definition.ty) || RUNTIME.contains(&definition.name.as_str()) {
            let mut schema = simple_definition(model, definition);
            schema["description"] = json!(definition.description);
            definitions.insert(definition.name.clone(), schema);
        }
    }
    // Bounds and `x-secret` refer to them, also where the schema does not name them.
    for name in RUNTIME {
        definitions.entry(*name).or_insert_with(|| json!({}));
    }
    let document = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": definitions,
    });
    let root: schemars08::schema::RootSchema =
        serde_json::from_value(document).map_err(|error| error.to_string())?;
    let mut settings = TypeSpaceSettings::default();
    settings.with_map_type("::std::collections::BTreeMap");
    settings.with_derive("PartialEq".into());
    for name in RUNTIME {
        settings.with_replacement(
            name,
            format!("crate::rt::{name}"),
            [TypeSpaceImpl::FromStr, TypeSpaceImpl::Display].into_iter(),
        );
    }
    let mut space = TypeSpace::new(&settings);
    space
        .add_root_schema(root)
        .map_err(|error| error.to_string())?;
    Ok(space.to_stream())
}

/// Scalars have no type of their own in Rust, only an alias.
fn is_inlined(model: &Model, ty: &Type) -> bool {
    matches!(
        model.resolve(ty),
        Type::Any { .. }
            | Type::Boolean
            | Type::String { .. }
            | Type::Integer { .. }
            | Type::Number { .. }
            | Type::Nullable(_)
    )
}

/// `pub type TimestampMs = u64;` and the like.
fn aliases(model: &Model) -> Vec<Item> {
    let inlined = model.definitions.iter().filter(|definition| {
        is_inlined(model, &definition.ty) && !RUNTIME.contains(&definition.name.as_str())
    });
    inlined
        .map(|definition| {
            let name = names::ident(&definition.name);
            let ty = scalar(model, model.resolve(&definition.ty));
            let about = doc(&definition.description);
            parse_quote!(#about pub type #name = #ty;)
        })
        .collect()
}

fn scalar(model: &Model, ty: &Type) -> TokenStream {
    match ty {
        Type::Boolean => quote!(bool),
        Type::String { secret: true, .. } => quote!(SecretString),
        Type::String { min: 0, .. } => quote!(String),
        Type::String { .. } => quote!(NonEmptyString),
        Type::Integer { min, .. } if *min >= 0 => quote!(u64),
        Type::Integer { .. } => quote!(i64),
        Type::Number { .. } => quote!(f64),
        Type::Nullable(inner) => {
            let inner = match &**inner {
                Type::Ref(name) if !is_inlined(model, &model.definition(name).ty) => {
                    let name = names::ident(name);
                    quote!(#name)
                }
                other => scalar(model, model.resolve(other)),
            };
            quote!(Option<#inner>)
        }
        Type::Any { secret: true } => quote!(SecretValue),
        _ => quote!(::serde_json::Value),
    }
}
