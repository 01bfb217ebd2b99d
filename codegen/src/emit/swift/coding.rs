//! The typed profile's coding: what Swift's own synthesis does not do.

use super::names::{after_dot, tick};
use super::types::{Field, Shape};
use super::writer::{Writer, quoted};

/// Members that are not named.
pub(super) enum Extras {
    /// Not read.
    Ignored,
    /// Kept, of this Swift type.
    Kept(String),
    /// Nothing is checked, not even that it is an object.
    Lenient,
}

/// Name of the dictionary of unnamed members.
pub(super) fn additional(fields: &[Field]) -> &'static str {
    if fields.iter().any(|field| field.name == "additional") {
        "additionalMembers"
    } else {
        "additional"
    }
}

/// Coding keys and, where synthesis would lose something, both directions.
pub(super) fn structure(w: &mut Writer, fields: &[Field], extras: &Extras) {
    let special = !matches!(extras, Extras::Ignored)
        || fields
            .iter()
            .any(|field| matches!(field.shape, Shape::Nullable | Shape::Patch));
    let renamed = fields.iter().any(|field| field.name != field.wire);
    // A coding key is an enumeration and needs a case; without members there is nothing to code.
    if !fields.is_empty() && (special || renamed) {
        w.gap();
        keys(w, fields);
    }
    if special {
        w.gap();
        decoding(w, fields, extras);
        w.gap();
        encoding(w, fields, extras);
    }
}

fn keys(w: &mut Writer, fields: &[Field]) {
    w.block("private enum CodingKeys: String, CodingKey", |w| {
        for Field { name, wire, .. } in fields {
            if name == wire {
                w.line(format!("case {}", tick(name)));
            } else {
                w.line(format!("case {} = {}", tick(name), quoted(wire)));
            }
        }
    });
}

fn decoding(w: &mut Writer, fields: &[Field], extras: &Extras) {
    w.block("public init(from decoder: any Decoder) throws", |w| {
        if let Extras::Lenient = extras {
            if !fields.is_empty() {
                w.line("let container = try? decoder.container(keyedBy: CodingKeys.self)");
            }
            for Field { name, ty, .. } in fields {
                let name = after_dot(name);
                w.line(format!(
                    "self.{name} = try? container?.decodeIfPresent({ty}.self, forKey: .{name})"
                ));
            }
            return;
        }
        if !fields.is_empty() {
            w.line("let container = try decoder.container(keyedBy: CodingKeys.self)");
        }
        for Field {
            name, ty, shape, ..
        } in fields
        {
            let name = after_dot(name);
            let read = match shape {
                Shape::Required => "decode",
                Shape::Nullable | Shape::Optional => "decodeIfPresent",
                Shape::Patch => "decodePatch",
            };
            w.line(format!(
                "self.{name} = try container.{read}({ty}.self, forKey: .{name})"
            ));
        }
        if let Extras::Kept(value) = extras {
            let named: Vec<String> = fields.iter().map(|field| quoted(&field.wire)).collect();
            w.line(format!(
                "self.{} = try decoder.members({value}.self, besides: [{}])",
                additional(fields),
                named.join(", ")
            ));
        }
    });
}

fn encoding(w: &mut Writer, fields: &[Field], extras: &Extras) {
    w.block("public func encode(to encoder: any Encoder) throws", |w| {
        if let Extras::Kept(_) = extras {
            w.line(format!(
                "try encoder.encode(members: {})",
                additional(fields)
            ));
        }
        if fields.is_empty() {
            w.line("_ = encoder.container(keyedBy: WireKey.self)");
            return;
        }
        w.line("var container = encoder.container(keyedBy: CodingKeys.self)");
        for Field { name, shape, .. } in fields {
            let name = after_dot(name);
            let write = match shape {
                Shape::Required | Shape::Nullable => "encode",
                Shape::Optional => "encodeIfPresent",
                Shape::Patch => "encodePatch",
            };
            w.line(format!(
                "try container.{write}(self.{name}, forKey: .{name})"
            ));
        }
    });
}

/// A set of strings with a case for values of newer servers. Rows are case and wire value.
pub(super) fn string_set(
    w: &mut Writer,
    name: &str,
    description: &str,
    rows: &[(&String, &String)],
) {
    w.doc(description);
    w.block(format!("public enum {name}: GatewayStringSet"), |w| {
        for (case, value) in rows {
            w.doc(&format!("`{value}`"));
            w.line(format!("case {case}"));
        }
        w.doc("A value that this version does not know.");
        w.line("case unknown(String)");
        w.gap();
        let known: Vec<String> = rows.iter().map(|(case, _)| format!(".{case}")).collect();
        w.doc("Every value that this version knows.");
        w.line(format!(
            "public static let known: [Self] = [{}]",
            known.join(", ")
        ));
        w.gap();
        w.doc("The case of a wire value.");
        w.block("public init(rawValue: String)", |w| {
            w.line("switch rawValue {");
            for (case, value) in rows {
                w.line(format!("case {}: self = .{case}", quoted(value)));
            }
            w.line("default: self = .unknown(rawValue)");
            w.line("}");
        });
        w.gap();
        w.doc("As on the wire.");
        w.block("public var rawValue: String", |w| {
            w.line("switch self {");
            for (case, value) in rows {
                w.line(format!("case .{case}: {}", quoted(value)));
            }
            w.line("case .unknown(let value): value");
            w.line("}");
        });
    });
}
