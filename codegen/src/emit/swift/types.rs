//! The typed profile's types: `extension Gateway { … }`, one file for each schema file.

use super::coding::{self, Extras};
use super::writer::Writer;
use super::{HEAD, names, unions};
use crate::model::{Definition, Extra, Member, Model, Object, Type};

/// Types declared inside another: name, type, description.
type Inner = Vec<(String, Type, String)>;

/// A member of a struct.
pub(super) struct Field {
    /// As on the wire.
    pub(super) wire: String,
    /// Swift name, without back quotes.
    pub(super) name: String,
    /// Swift type, without the optionality of `shape`.
    pub(super) ty: String,
    pub(super) shape: Shape,
    /// The only value that it can have.
    only: Option<String>,
    description: String,
}

/// Presence of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Always there, a value.
    Required,
    /// Always there, a value or `null`.
    Nullable,
    /// May be absent; `null` reads as absent.
    Optional,
    /// Absent, `null` and a value are three things.
    Patch,
}

impl Field {
    fn declared(&self) -> String {
        let mark = match self.shape {
            Shape::Required => "",
            Shape::Nullable | Shape::Optional => "?",
            Shape::Patch => "??",
        };
        format!("{}{mark}", self.ty)
    }

    fn argument(&self) -> String {
        let default = match (self.shape, &self.only) {
            (Shape::Required, Some(case)) => format!(" = .{case}"),
            (Shape::Required | Shape::Nullable, _) => String::new(),
            (Shape::Optional | Shape::Patch, _) => " = nil".to_owned(),
        };
        format!("{}: {}{default}", names::label(&self.name), self.declared())
    }
}

/// Stem and text of every file.
pub(super) fn files(model: &Model) -> Vec<(String, String)> {
    let mut files: Vec<(&str, Writer)> = Vec::new();
    for definition in &model.definitions {
        if files
            .last()
            .is_none_or(|(file, _)| *file != definition.file)
        {
            files.push((&definition.file, Writer::new(HEAD)));
        }
        if let Some((_, w)) = files.last_mut() {
            w.gap();
            w.block("extension Gateway", |w| {
                declare(
                    w,
                    model,
                    &definition.name,
                    &definition.ty,
                    &definition.description,
                );
            });
        }
    }
    files
        .into_iter()
        .map(|(file, w)| (names::file_stem(file), w.finish()))
        .collect()
}

/// The Swift type of a definition where it is used.
pub(super) fn reference(model: &Model, definition: &Definition) -> String {
    type_of(
        model,
        &Type::Ref(definition.name.clone()),
        "",
        &mut Inner::new(),
    )
}

/// Can a value of the definition be made from nothing?
pub(super) fn has_default(model: &Model, definition: &str) -> bool {
    let free = |member: &Member| !member.required || only(model, &member.ty).is_some();
    match &model.definition(definition).ty {
        Type::Lenient(_) => true,
        Type::Object(object) => map_value(object).is_none() && object.members.iter().all(free),
        _ => false,
    }
}

fn declare(w: &mut Writer, model: &Model, name: &str, ty: &Type, description: &str) {
    match ty {
        Type::Object(object) if map_value(object).is_none() => {
            structure(w, model, name, &object.members, &object.extra, description);
        }
        Type::Lenient(members) => {
            let about = format!(
                "{description}\n\nNothing here is checked: members of another type read as absent."
            );
            lenient(w, model, name, members, &about);
        }
        Type::Enum(values) => string_set(w, name, values, description),
        Type::Tagged { tag, variants } => {
            unions::tagged(w, model, name, tag, variants, description)
        }
        Type::OneOf(alternatives) => unions::one_of(w, model, name, alternatives, description),
        other => {
            let mut inner = Inner::new();
            let mut target = type_of(model, other, &format!("{name}Value"), &mut inner);
            if target == name {
                // A hand-written type of the module has the definition's name.
                target.insert_str(0, "OpenClawGateway.");
            }
            w.doc(description);
            w.line(format!("public typealias {name} = {target}"));
            declare_inner(w, model, inner);
        }
    }
}

fn declare_inner(w: &mut Writer, model: &Model, inner: Inner) {
    for (name, ty, description) in inner {
        w.gap();
        declare(w, model, &name, &ty, &description);
    }
}

/// Value type of an object that has no named members: a dictionary.
fn map_value(object: &Object) -> Option<&Type> {
    match &object.extra {
        Extra::Kept(value) if object.members.is_empty() => Some(value),
        _ => None,
    }
}

/// A type where it is used; what has to be declared for it under `name` goes to `inner`.
fn type_of(model: &Model, ty: &Type, name: &str, inner: &mut Inner) -> String {
    match ty {
        Type::Any { secret: true } => "SecretValue".into(),
        Type::Any { secret: false } => "JSONValue".into(),
        Type::Boolean => "Bool".into(),
        Type::String { secret: true, .. } => "SecretString".into(),
        Type::String { .. } => "String".into(),
        Type::Integer { .. } => "Int".into(),
        Type::Number { .. } => "Double".into(),
        Type::Array { items, .. } => {
            format!("[{}]", type_of(model, items, &format!("{name}Item"), inner))
        }
        Type::Nullable(value) => format!("{}?", type_of(model, value, name, inner)),
        Type::Ref(target) => match model.resolve(ty) {
            scalar @ (Type::Any { .. }
            | Type::Boolean
            | Type::String { .. }
            | Type::Integer { .. }
            | Type::Number { .. }) => type_of(model, scalar, name, inner),
            _ => format!("Gateway.{target}"),
        },
        Type::Object(object) => match map_value(object) {
            Some(value) => {
                let value = type_of(model, value, &format!("{name}Item"), inner);
                format!("[String: {value}]")
            }
            None => nested(ty, name, inner),
        },
        Type::Enum(_) | Type::Tagged { .. } | Type::OneOf(_) | Type::Lenient(_) => {
            nested(ty, name, inner)
        }
    }
}

fn nested(ty: &Type, name: &str, inner: &mut Inner) -> String {
    let about = match ty {
        Type::Enum(_) => "The values of the member.",
        _ => "The shape of the member.",
    };
    inner.push((name.to_owned(), ty.clone(), about.to_owned()));
    name.to_owned()
}

/// The case of a set of one.
fn only(model: &Model, ty: &Type) -> Option<String> {
    match model.resolve(ty) {
        Type::Enum(values) if values.len() == 1 => {
            names::cases(values.iter().map(String::as_str)).pop()
        }
        _ => None,
    }
}

fn field(model: &Model, member: &Member, lenient: bool, inner: &mut Inner) -> Field {
    let (ty, nullable) = match model.resolve(&member.ty) {
        Type::Nullable(value) => (&**value, true),
        _ => (&member.ty, false),
    };
    let shape = match (member.required && !lenient, member.patch, nullable) {
        (_, true, _) => Shape::Patch,
        (true, false, true) => Shape::Nullable,
        (true, false, false) => Shape::Required,
        (false, false, _) => Shape::Optional,
    };
    let name = member.swift_name.as_ref().unwrap_or(&member.name);
    Field {
        wire: member.name.clone(),
        name: names::bare(name),
        ty: type_of(model, ty, &names::nested(name), inner),
        shape,
        only: only(model, ty),
        description: member.description.clone(),
    }
}

pub(super) fn structure(
    w: &mut Writer,
    model: &Model,
    name: &str,
    members: &[Member],
    extra: &Extra,
    description: &str,
) {
    let mut inner = Inner::new();
    let fields: Vec<Field> = members
        .iter()
        .map(|member| field(model, member, false, &mut inner))
        .collect();
    let extras = match extra {
        Extra::Kept(value) => Extras::Kept(type_of(model, value, "AdditionalValue", &mut inner)),
        Extra::Closed | Extra::Ignored => Extras::Ignored,
    };
    body(w, model, name, &fields, &extras, inner, description);
}

fn lenient(w: &mut Writer, model: &Model, name: &str, members: &[Member], description: &str) {
    let mut inner = Inner::new();
    let fields: Vec<Field> = members
        .iter()
        .map(|member| field(model, member, true, &mut inner))
        .collect();
    body(
        w,
        model,
        name,
        &fields,
        &Extras::Lenient,
        inner,
        description,
    );
}

fn body(
    w: &mut Writer,
    model: &Model,
    name: &str,
    fields: &[Field],
    extras: &Extras,
    inner: Inner,
    description: &str,
) {
    let others = coding::additional(fields);
    w.doc(description);
    w.block(
        format!("public struct {name}: Codable, Sendable, Hashable"),
        |w| {
            for field in fields {
                w.doc(&field.description);
                w.line(format!(
                    "public var {}: {}",
                    names::tick(&field.name),
                    field.declared()
                ));
            }
            let mut arguments: Vec<String> = fields.iter().map(Field::argument).collect();
            let mut assigned: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
            if let Extras::Kept(value) = extras {
                w.doc("Members that the schema does not name.");
                w.line(format!("public var {others}: [String: {value}]"));
                arguments.push(format!("{others}: [String: {value}] = [:]"));
                assigned.push(others.to_owned());
            }
            w.gap();
            initialiser(w, &arguments, &assigned);
            coding::structure(w, fields, extras);
            declare_inner(w, model, inner);
        },
    );
}

fn initialiser(w: &mut Writer, arguments: &[String], assigned: &[String]) {
    if arguments.is_empty() {
        w.line("public init() {}");
        return;
    }
    w.line("public init(");
    w.indented(|w| {
        for (i, argument) in arguments.iter().enumerate() {
            let comma = if i + 1 == arguments.len() { "" } else { "," };
            w.line(format!("{argument}{comma}"));
        }
    });
    w.block(")", |w| {
        for name in assigned {
            w.line(format!(
                "self.{} = {}",
                names::after_dot(name),
                names::tick(name)
            ));
        }
    });
}

fn string_set(w: &mut Writer, name: &str, values: &[String], description: &str) {
    let cases = names::cases(values.iter().map(String::as_str));
    let rows: Vec<(&String, &String)> = cases.iter().zip(values).collect();
    coding::string_set(w, name, description, &rows);
}
