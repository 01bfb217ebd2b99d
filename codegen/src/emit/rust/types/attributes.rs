//! Doc comments and serde attributes: what typify wrote is read, cleaned, written anew.

use quote::ToTokens;
use syn::{Attribute, parse_quote};

/// The text of `#[serde(rename = "…")]`.
pub(super) fn renamed(attrs: &[Attribute]) -> Option<String> {
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

/// Drops typify's copy of the schema from the documentation and the closedness from serde.
pub(super) fn clean(attrs: &mut Vec<Attribute>) {
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

pub(super) fn doc_text(attr: &Attribute) -> Option<String> {
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

pub(super) fn doc(text: &str) -> Attribute {
    let text = format!(" {}", text.trim());
    parse_quote!(#[doc = #text])
}
