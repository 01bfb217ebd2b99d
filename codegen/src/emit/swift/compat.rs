//! The compat profile: one file, source compatible with what existing app code uses.
//!
//! The rules: a struct for each object definition; members in lower case; initialisers in schema order
//! without defaults; required references to objects, and lists of them, are typed, everything else that
//! is an object is a dictionary; sets of strings, nullables and unions are any value.

use super::expected::{self, Loose};
use super::names::{lower, tick};
use super::writer::{Writer, quoted};
use super::{HEAD, names};
use crate::emit::names::camel;
use crate::model::{Definition, Member, Model, Object, Type};

const DICTIONARY: &str = "[String: AnyCodable]";
const ANYTHING: &str = "AnyCodable";

/// `GatewayModels.swift`.
pub(super) fn file(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.line("//");
    w.line("// The names and shapes that existing app code uses. New code is better served by OpenClawGateway.");
    w.line("");
    w.doc("Protocol version that these models speak.");
    w.line(format!(
        "public let GATEWAY_PROTOCOL_VERSION = {}",
        model.version
    ));
    w.gap();
    error_codes(&mut w, model);
    for (definition, object) in structs(model) {
        w.gap();
        structure(&mut w, model, definition, object);
    }
    let frames = frames(model);
    if !frames.is_empty() {
        w.gap();
        frame(&mut w, &frames);
    }
    w.finish()
}

/// The definitions that become structs.
pub(super) fn structs(model: &Model) -> impl Iterator<Item = (&Definition, &Object)> {
    model.definitions.iter().filter_map(|definition| {
        let Type::Object(object) = &definition.ty else {
            return None;
        };
        expected::loose(&definition.name)
            .is_none()
            .then_some((definition, object))
    })
}

/// A member as it is declared.
pub(super) struct Field<'a> {
    pub(super) member: &'a Member,
    pub(super) required: bool,
    ty: String,
    /// Would printing it show a secret?
    secret: bool,
}

/// The members of a struct.
pub(super) fn fields<'a>(
    model: &Model,
    definition: &Definition,
    object: &'a Object,
) -> Vec<Field<'a>> {
    let field = |member: &'a Member| {
        if let Some(ty) = expected::typed(&definition.name, &member.name) {
            return Field {
                member,
                required: !ty.ends_with('?'),
                ty: ty.trim_end_matches('?').to_owned(),
                secret: model.has_secret(&member.ty),
            };
        }
        let required = member.required || expected::required(&definition.name, &member.name);
        Field {
            member,
            required,
            ty: swift_type(model, &member.ty, required),
            secret: shows_secret(model, &member.ty, required),
        }
    };
    object.members.iter().map(field).collect()
}

impl Field<'_> {
    fn declared(&self) -> String {
        let mark = if self.required { "" } else { "?" };
        format!("{}{mark}", self.ty)
    }
}

/// The definition whose struct a value of this type is, if it is one.
pub(super) fn struct_of<'a>(model: &'a Model, ty: &Type, required: bool) -> Option<&'a Definition> {
    let Type::Ref(name) = ty else { return None };
    let definition = model.definition(name);
    let typed =
        required && matches!(definition.ty, Type::Object(_)) && expected::loose(name).is_none();
    typed.then_some(definition)
}

/// Whether a value of this type shows a secret when it is printed: one that is no struct, which hides its own.
fn shows_secret(model: &Model, ty: &Type, required: bool) -> bool {
    match ty {
        Type::Array { items, .. } => shows_secret(model, items, true),
        Type::Ref(name) if expected::loose(name).is_none() => {
            struct_of(model, ty, required).is_none()
                && shows_secret(model, &model.definition(name).ty, required)
        }
        _ => model.has_secret(ty),
    }
}

fn swift_type(model: &Model, ty: &Type, required: bool) -> String {
    match ty {
        Type::Boolean => "Bool".into(),
        Type::String { .. } => "String".into(),
        Type::Integer { .. } => "Int".into(),
        Type::Number { .. } => "Double".into(),
        // A set of one is a tag, which always was a string.
        Type::Enum(values) if values.len() == 1 => "String".into(),
        Type::Array { items, .. } => format!("[{}]", swift_type(model, items, true)),
        Type::Object(_) => DICTIONARY.into(),
        Type::Ref(name) => match expected::loose(name) {
            Some(Loose::Dictionary) => DICTIONARY.into(),
            Some(Loose::Anything) => ANYTHING.into(),
            Some(Loose::Text) => "String".into(),
            None => match struct_of(model, ty, required) {
                Some(definition) => definition.name.clone(),
                None => swift_type(model, &model.definition(name).ty, required),
            },
        },
        Type::Any { .. }
        | Type::Enum(_)
        | Type::Nullable(_)
        | Type::Tagged { .. }
        | Type::OneOf(_)
        | Type::Lenient(_) => ANYTHING.into(),
    }
}

fn error_codes(w: &mut Writer, model: &Model) {
    w.doc("Codes of an error answer.");
    w.block("public enum ErrorCode: String, Codable, Sendable", |w| {
        for code in &model.error_codes {
            w.doc(&code.description);
            let case = tick(&camel(&code.name));
            w.line(format!("case {case} = {}", quoted(&code.name)));
        }
    });
}

fn structure(w: &mut Writer, model: &Model, definition: &Definition, object: &Object) {
    let fields = fields(model, definition, object);
    w.doc(&definition.description);
    w.block(
        format!("public struct {}: Codable, Sendable", definition.name),
        |w| {
            for field in &fields {
                w.doc(&field.member.description);
                w.line(format!(
                    "public let {}: {}",
                    lower(&field.member.name),
                    field.declared()
                ));
            }
            w.gap();
            initialiser(w, definition, &fields);
            if !fields.is_empty() {
                w.gap();
                w.block("private enum CodingKeys: String, CodingKey", |w| {
                    for field in &fields {
                        w.line(key(&lower(&field.member.name), &field.member.name));
                    }
                });
            }
        },
    );
    if fields.iter().any(|field| field.secret) {
        w.gap();
        redaction(w, definition, &fields);
    }
}

/// `case name` or `case name = "wireName"`.
fn key(name: &str, wire: &str) -> String {
    if name == wire {
        format!("case {name}")
    } else {
        format!("case {name} = {}", quoted(wire))
    }
}

fn initialiser(w: &mut Writer, definition: &Definition, fields: &[Field]) {
    if fields.is_empty() {
        w.line("public init() {}");
        return;
    }
    w.line("public init(");
    w.indented(|w| {
        for (i, field) in fields.iter().enumerate() {
            let default = if expected::younger(&definition.name, &field.member.name) {
                " = nil"
            } else {
                ""
            };
            let comma = if i + 1 == fields.len() { "" } else { "," };
            let name = lower(&field.member.name);
            w.line(format!("{name}: {}{default}{comma}", field.declared()));
        }
    });
    w.block(")", |w| {
        for field in fields {
            let name = lower(&field.member.name);
            w.line(format!("self.{name} = {name}"));
        }
    });
}

/// Printing and dumping go through the mirror, so it is what hides a secret.
fn redaction(w: &mut Writer, definition: &Definition, fields: &[Field]) {
    w.block(
        format!("extension {}: CustomReflectable", definition.name),
        |w| {
            w.doc("What printing shows: secrets are left out.");
            w.block("public var customMirror: Mirror", |w| {
                w.line("Mirror(");
                w.indented(|w| {
                    w.line("self,");
                    w.line("children: [");
                    w.indented(|w| {
                        for field in fields {
                            let name = lower(&field.member.name);
                            let shown = if field.secret {
                                quoted("[redacted]")
                            } else {
                                format!("{name} as Any")
                            };
                            w.line(format!("({}, {shown}),", quoted(&name)));
                        }
                    });
                    w.line("],");
                    w.line("displayStyle: .struct)");
                });
            });
        },
    );
}

/// Frames: definitions named so whose `type` is a set of one, with that value.
fn frames(model: &Model) -> Vec<(&str, &Definition)> {
    let mut frames = Vec::new();
    for (definition, object) in structs(model) {
        let tag = object.members.iter().find(|member| member.name == "type");
        if definition.name.ends_with("Frame")
            && let Some(member) = tag
            && let Type::Enum(values) = model.resolve(&member.ty)
            && let [value] = values.as_slice()
        {
            frames.push((value.as_str(), definition));
        }
    }
    frames
}

fn frame(w: &mut Writer, frames: &[(&str, &Definition)]) {
    let case = |tag: &str| names::member(tag);
    w.doc("Any message of the connection, told apart by `type`.");
    w.block("public enum GatewayFrame: Codable, Sendable", |w| {
        for (tag, definition) in frames {
            w.doc(&definition.description);
            w.line(format!("case {}({})", case(tag), definition.name));
        }
        w.doc("A message of a kind that these models do not know.");
        w.line(format!("case unknown(type: String, raw: {DICTIONARY})"));
        w.gap();
        w.block("private enum CodingKeys: String, CodingKey", |w| {
            w.line("case type")
        });
        w.gap();
        w.block("public init(from decoder: any Decoder) throws", |w| {
            w.line("let container = try decoder.container(keyedBy: CodingKeys.self)");
            w.line("let type = try container.decode(String.self, forKey: .type)");
            w.line("switch type {");
            for (tag, definition) in frames {
                w.line(format!("case {}:", quoted(tag)));
                let (case, name) = (case(tag), &definition.name);
                w.indented(|w| w.line(format!("self = .{case}(try {name}(from: decoder))")));
            }
            w.line("default:");
            w.indented(|w| {
                w.line(format!("let raw = try {DICTIONARY}(from: decoder)"));
                w.line("self = .unknown(type: type, raw: raw)");
            });
            w.line("}");
        });
        w.gap();
        w.block("public func encode(to encoder: any Encoder) throws", |w| {
            w.line("switch self {");
            for (tag, _) in frames {
                w.line(format!("case .{}(let frame):", case(tag)));
                w.indented(|w| w.line("try frame.encode(to: encoder)"));
            }
            w.line("case .unknown(_, let raw):");
            w.indented(|w| w.line("try raw.encode(to: encoder)"));
            w.line("}");
        });
    });
}
