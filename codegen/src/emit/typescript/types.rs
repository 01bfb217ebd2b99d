//! Declarations of the definitions, one file for each schema file.
//!
//! Type aliases rather than interfaces: only they count as JSON where any JSON is wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::HEAD;
use super::literal::{key, union};
use super::writer::Writer;
use crate::model::{Definition, Extra, Member, Model, Object, Type};

/// What a member that no schema names may be, in an open object.
const OTHERS: &str = "Json | undefined";

/// Stem and text of every file.
pub(super) fn files(model: &Model) -> Vec<(String, String)> {
    let mut files: Vec<(&str, Vec<&Definition>)> = Vec::new();
    for definition in &model.definitions {
        match files.last_mut() {
            Some((file, definitions)) if *file == definition.file => definitions.push(definition),
            _ => files.push((&definition.file, vec![definition])),
        }
    }
    files
        .into_iter()
        .map(|(file, definitions)| (stem(file), text(model, file, &definitions)))
        .collect()
}

/// All of them under one name.
pub(super) fn index(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.doc("Every type of the protocol.");
    w.line("export type { Json, JsonObject } from \"./json.js\";");
    for (stem, _) in files(model) {
        w.line(format!("export type * from \"./types/{stem}.js\";"));
    }
    w.finish()
}

/// `import type` of definitions that a file outside `types/` names.
pub(super) fn import<'a>(w: &mut Writer, names: impl IntoIterator<Item = &'a str>) {
    let names: BTreeSet<&str> = names.into_iter().collect();
    if names.is_empty() {
        return;
    }
    w.line("import type {");
    w.indented(|w| names.iter().for_each(|name| w.line(format!("{name},"))));
    w.line("} from \"./types.js\";");
}

/// `groups/agent.json` → `agent`.
fn stem(schema_file: &str) -> String {
    let name = schema_file.rsplit('/').next().unwrap_or(schema_file);
    name.strip_suffix(".json").unwrap_or(name).to_owned()
}

fn text(model: &Model, file: &str, definitions: &[&Definition]) -> String {
    let mut body = Writer::new("");
    for definition in definitions {
        body.gap();
        declare(&mut body, model, definition);
    }
    let body = body.finish();

    let mut foreign: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for definition in definitions {
        for name in references(&definition.ty) {
            let home = &model.definition(name).file;
            if home != file {
                foreign.entry(stem(home)).or_default().insert(name);
            }
        }
    }
    let mut w = Writer::new(HEAD);
    w.gap();
    let json: Vec<&str> = ["Json", "JsonObject"]
        .into_iter()
        .filter(|name| has_word(&body, name))
        .collect();
    if !json.is_empty() {
        w.line(format!(
            "import type {{ {} }} from \"../json.js\";",
            json.join(", ")
        ));
    }
    for (home, names) in foreign {
        let names: Vec<&str> = names.into_iter().collect();
        w.line(format!(
            "import type {{ {} }} from \"./{home}.js\";",
            names.join(", ")
        ));
    }
    format!("{}{body}", w.finish())
}

/// Whether code, not documentation, uses a name.
fn has_word(text: &str, word: &str) -> bool {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("/**") && !line.starts_with('*'))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()))
        .any(|found| found == word)
}

/// Definitions that a type names.
fn references(ty: &Type) -> Vec<&str> {
    fn of_members<'a>(members: &'a [Member], extra: Option<&'a Type>) -> Vec<&'a str> {
        let types = members.iter().map(|member| &member.ty).chain(extra);
        types.flat_map(references).collect()
    }
    match ty {
        Type::Ref(name) => vec![name],
        Type::Array { items, .. } => references(items),
        Type::Nullable(value) => references(value),
        Type::Object(object) => of_members(&object.members, kept(&object.extra)),
        Type::Lenient(members) => of_members(members, None),
        Type::Tagged { variants, .. } => variants
            .iter()
            .flat_map(|(_, object, _)| of_members(&object.members, kept(&object.extra)))
            .collect(),
        Type::OneOf(names) => names.iter().map(String::as_str).collect(),
        Type::Any { .. }
        | Type::Boolean
        | Type::String { .. }
        | Type::Enum(_)
        | Type::Integer { .. }
        | Type::Number { .. } => Vec::new(),
    }
}

fn kept(extra: &Extra) -> Option<&Type> {
    match extra {
        Extra::Kept(value) => Some(value),
        Extra::Closed | Extra::Ignored => None,
    }
}

fn declare(w: &mut Writer, model: &Model, definition: &Definition) {
    let name = &definition.name;
    let mut about = definition.description.clone();
    note(model, &definition.ty, &mut about);
    match &definition.ty {
        Type::Object(object) if !object.members.is_empty() => {
            w.doc(&about);
            w.block(&format!("export type {name} ="), ";", |w| {
                members(w, model, object, false);
            });
        }
        Type::Lenient(named) if !named.is_empty() => {
            about.push_str("\n\nNothing here is checked: members of another type count as absent.");
            w.doc(&about);
            w.line(format!("export type {name} ="));
            let object = Object {
                members: named.clone(),
                extra: Extra::Ignored,
            };
            w.indented(|w| {
                w.block("|", "", |w| members(w, model, &object, true));
                w.line("| Json;");
            });
        }
        Type::Tagged { variants, .. } => {
            w.doc(&about);
            w.line(format!("export type {name} ="));
            w.indented(|w| {
                for (i, (_, object, description)) in variants.iter().enumerate() {
                    let end = if i + 1 == variants.len() { ";" } else { "" };
                    w.doc(description);
                    w.block("|", end, |w| members(w, model, object, false));
                }
            });
        }
        Type::Enum(values) if values.len() > 1 => {
            w.doc(&about);
            w.line(format!("export type {name} ="));
            w.indented(|w| {
                for (i, value) in values.iter().enumerate() {
                    let end = if i + 1 == values.len() { ";" } else { "" };
                    w.line(format!("| {}{end}", union([value.as_str()])));
                }
            });
        }
        other => {
            w.doc(&about);
            w.line(format!("export type {name} = {};", type_of(other)));
        }
    }
}

fn members(w: &mut Writer, model: &Model, object: &Object, lenient: bool) {
    for member in &object.members {
        let mut about = member.description.clone();
        note(model, &member.ty, &mut about);
        if member.patch {
            about.push_str(" `null` clears it, absence keeps it.");
        }
        w.doc(&about);
        let mark = if member.required && !lenient { "" } else { "?" };
        w.line(format!(
            "{}{mark}: {};",
            key(&member.name),
            type_of(&member.ty)
        ));
    }
    if let Some(value) = others(object) {
        w.doc("Members that the schema does not name.");
        w.line(format!("[member: string]: {value};"));
    }
}

/// Type of an open object's other members. TypeScript wants it to admit the named members as well, which
/// any JSON does; `undefined` is their absence.
fn others(object: &Object) -> Option<String> {
    match &object.extra {
        Extra::Closed => None,
        Extra::Ignored => Some(OTHERS.to_owned()),
        Extra::Kept(value) if matches!(**value, Type::Any { .. }) => Some(OTHERS.to_owned()),
        Extra::Kept(value) => {
            let mut types = vec![type_of(value)];
            for member in &object.members {
                let ty = type_of(&member.ty);
                if !types.contains(&ty) {
                    types.push(ty);
                }
            }
            types.push("undefined".to_owned());
            Some(types.join(" | "))
        }
    }
}

/// A type where it is used, on one line.
pub(super) fn type_of(ty: &Type) -> String {
    match ty {
        Type::Any { .. } => "Json".into(),
        Type::Boolean => "boolean".into(),
        Type::String { .. } => "string".into(),
        Type::Integer { .. } | Type::Number { .. } => "number".into(),
        Type::Enum(values) => union(values.iter().map(String::as_str)),
        Type::Ref(name) => name.clone(),
        Type::Nullable(value) => format!("{} | null", type_of(value)),
        Type::Array { items, .. } => {
            let items = type_of(items);
            if items.contains(" | ") {
                format!("({items})[]")
            } else {
                format!("{items}[]")
            }
        }
        Type::Object(object) => object_of(object),
        Type::Lenient(_) => "Json".into(),
        Type::Tagged { variants, .. } => {
            let variants: Vec<String> = variants
                .iter()
                .map(|(_, object, _)| object_of(object))
                .collect();
            variants.join(" | ")
        }
        Type::OneOf(names) => names.join(" | "),
    }
}

fn object_of(object: &Object) -> String {
    if object.members.is_empty() {
        return match &object.extra {
            // `{}` alone would admit everything but null.
            Extra::Closed => "{ [member: string]: never }".into(),
            Extra::Ignored => "JsonObject".into(),
            Extra::Kept(value) if matches!(**value, Type::Any { .. }) => "JsonObject".into(),
            Extra::Kept(value) => format!("{{ [member: string]: {} }}", type_of(value)),
        };
    }
    let mut members: Vec<String> = object
        .members
        .iter()
        .map(|member| {
            let mark = if member.required { "" } else { "?" };
            format!("{}{mark}: {}", key(&member.name), type_of(&member.ty))
        })
        .collect();
    members.extend(others(object).map(|value| format!("[member: string]: {value}")));
    format!("{{ {} }}", members.join("; "))
}

/// What the declaration cannot say: that it is a secret, and bounds. Bounds of a definition are told
/// where it is defined.
fn note(model: &Model, ty: &Type, about: &mut String) {
    let inner = match ty {
        Type::Nullable(value) => value,
        other => other,
    };
    if let Type::String { secret: true, .. } | Type::Any { secret: true } = model.resolve(inner) {
        about.push_str(" Secret: keep it out of logs.");
    }
    let bounds = match inner {
        Type::String { min, max, .. } => {
            range(Some(*min).filter(|min| *min > 0), *max, "character")
        }
        Type::Array { min, max, .. } => range(Some(*min).filter(|min| *min > 0), *max, "item"),
        Type::Integer { min, max } => {
            let max = Some(*max).filter(|max| *max < MAX_SAFE_INTEGER);
            range(Some(*min), max, "").map(|text| format!("An integer, {text}"))
        }
        Type::Number { min, max } => range(*min, *max, ""),
        _ => None,
    };
    if let Some(bounds) = bounds {
        let mut chars = bounds.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        about.push(' ');
        about.extend(first);
        about.push_str(chars.as_str());
        about.push('.');
    }
}

/// Integers up to here are exact in JavaScript; as a bound it says nothing.
const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// Bounds in words; `of` is what is counted, in the singular.
fn range<N: std::fmt::Display>(min: Option<N>, max: Option<N>, of: &str) -> Option<String> {
    let (mut text, last) = match (min, max) {
        (Some(min), Some(max)) => (format!("{min} to {max}"), max.to_string()),
        (Some(min), None) => (format!("at least {min}"), min.to_string()),
        (None, Some(max)) => (format!("at most {max}"), max.to_string()),
        (None, None) => return None,
    };
    if !of.is_empty() {
        let plural = if last == "1" { "" } else { "s" };
        text.push_str(&format!(" {of}{plural}"));
    }
    Some(text)
}
