//! Types: a simplified document through typify, then a pass over its syntax tree.
//!
//! What typify sees: no bounds (the tables check them), primitives written out, so that an integer is
//! `u64` and not a newtype for each name. What the pass adds: `Option` where a member is optional,
//! three-state members for `x-patch`, lenient decoding, constructors of the required members. It removes
//! what typify says about closedness: servers check it through the tables, clients must read what newer
//! servers add.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use serde_json::{Map, Value, json};
use syn::{Attribute, Fields, Item, ItemStruct, parse_quote};
use typify::{TypeSpace, TypeSpaceImpl, TypeSpaceSettings};

use super::names::{self, snake};
use crate::model::{Definition, Extra, Member, Model, Object, Type};

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

fn simple_definition(model: &Model, definition: &Definition) -> Value {
    match &definition.ty {
        Type::Lenient(members) => simple_object(
            model,
            &Object {
                members: members.clone(),
                extra: Extra::Ignored,
            },
        ),
        other => simple(model, other),
    }
}

/// A type as typify should see it.
fn simple(model: &Model, ty: &Type) -> Value {
    match ty {
        // The runtime type stands for all open values that are secret.
        Type::Any { secret: true } => json!({ "$ref": "#/definitions/SecretValue" }),
        Type::Any { secret: false } => json!({}),
        Type::Lenient(_) => json!({ "type": "object" }),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::String { min, secret, .. } => {
            // The runtime types stand for all strings with a lower bound and for all secrets.
            if *secret {
                json!({ "$ref": "#/definitions/SecretString" })
            } else if *min > 0 {
                json!({ "$ref": "#/definitions/NonEmptyString" })
            } else {
                json!({ "type": "string" })
            }
        }
        Type::Enum(values) => json!({ "type": "string", "enum": values }),
        Type::Integer { min, .. } if *min >= 0 => {
            json!({ "type": "integer", "format": "uint64", "minimum": 0 })
        }
        Type::Integer { .. } => json!({ "type": "integer", "format": "int64" }),
        Type::Number { .. } => json!({ "type": "number" }),
        Type::Array { items, .. } => json!({ "type": "array", "items": simple(model, items) }),
        Type::Object(object) => simple_object(model, object),
        Type::Ref(name) => {
            let target = &model.definition(name).ty;
            if RUNTIME.contains(&name.as_str()) || !is_inlined(model, target) {
                json!({ "$ref": format!("#/definitions/{name}") })
            } else {
                simple(model, target)
            }
        }
        Type::Nullable(inner) => json!({ "anyOf": [simple(model, inner), { "type": "null" }] }),
        Type::Tagged { variants, .. } => {
            let list: Vec<Value> = variants
                .iter()
                .map(|(_, object, description)| {
                    let mut schema = simple_object(model, object);
                    schema["description"] = json!(description);
                    schema
                })
                .collect();
            json!({ "oneOf": list })
        }
        Type::OneOf(names) => {
            let list: Vec<Value> = names
                .iter()
                .map(|name| json!({ "$ref": format!("#/definitions/{name}") }))
                .collect();
            json!({ "oneOf": list })
        }
    }
}

fn simple_object(model: &Model, object: &Object) -> Value {
    let mut properties = Map::new();
    let mut required = vec![];
    for member in &object.members {
        let mut schema = simple(model, &member.ty);
        if schema.get("$ref").is_none() {
            schema["description"] = json!(member.description);
        }
        properties.insert(member.name.clone(), schema);
        if member.required {
            required.push(member.name.clone());
        }
    }
    let extra = match &object.extra {
        Extra::Closed | Extra::Ignored => json!(false),
        Extra::Kept(ty) => simple(model, ty),
    };
    if properties.is_empty() && matches!(object.extra, Extra::Ignored) {
        return json!({ "type": "object", "properties": {}, "additionalProperties": false });
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": extra,
    })
}

fn rewrite(model: &Model, definitions: &BTreeMap<&str, &Definition>, item: Item) -> Vec<Item> {
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

/// The text of `#[serde(rename = "…")]`.
fn renamed(attrs: &[Attribute]) -> Option<String> {
    let mut found = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        // Other serde attributes do not parse as a rename; they are none.
        let _ = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename") {
                found = Some(meta.value()?.parse::<syn::LitStr>()?.value());
            }
            Ok(())
        });
    }
    found
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

/// Drops typify's copy of the schema from the documentation and the closedness from serde.
fn clean(attrs: &mut Vec<Attribute>) {
    attrs.retain_mut(|attr| {
        let text = attr.to_token_stream().to_string();
        if text.contains("deny_unknown_fields") {
            let rest: Vec<syn::Meta> = attr
                .parse_args_with(
                    syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated,
                )
                .map(|list| {
                    list.into_iter()
                        .filter(|meta| !meta.path().is_ident("deny_unknown_fields"))
                        .collect()
                })
                .unwrap_or_default();
            if rest.is_empty() {
                return false;
            }
            *attr = parse_quote!(#[serde(#(#rest),*)]);
            return true;
        }
        true
    });
    let mut kept: Vec<Attribute> = vec![];
    let mut inside = false;
    for attr in attrs.drain(..) {
        if let Some(text) = doc_text(&attr) {
            if let Some(start) = text.find("<details>") {
                let before = text[..start].trim_end().to_owned();
                inside = !text.contains("</details>");
                if !before.trim().is_empty() {
                    kept.push(doc(&before));
                }
                continue;
            }
            if inside {
                inside = !text.contains("</details>");
                continue;
            }
            // `Name` alone is typify's title when there is no description.
            kept.push(doc(&text));
        } else {
            kept.push(attr);
        }
    }
    *attrs = kept;
}

fn doc_text(attr: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attr.meta else {
        return None;
    };
    if !pair.path.is_ident("doc") {
        return None;
    }
    match &pair.value {
        syn::Expr::Lit(lit) => match &lit.lit {
            syn::Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn doc(text: &str) -> Attribute {
    let text = format!(" {}", text.trim());
    parse_quote!(#[doc = #text])
}

fn member_of<'a>(field: &syn::Field, members: &'a [Member]) -> Option<&'a Member> {
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

fn members(item: &mut ItemStruct, list: &[Member]) {
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
fn shape(field: &mut syn::Field, member: &Member) {
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
fn constructor(model: &Model, item: &ItemStruct, list: &[Member]) -> Item {
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
fn lenient(item: &mut ItemStruct, list: &[Member]) -> Item {
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
