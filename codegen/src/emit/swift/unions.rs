//! The typed profile's unions: enumerations with a case for each alternative and one for what newer
//! servers send.

use super::names;
use super::types::{reference, structure};
use super::writer::{Writer, quoted};
use crate::emit::names::camel;
use crate::model::{Member, Model, Object};

/// Objects told apart by a member: the case says the tag, the value does not repeat it.
pub(super) fn tagged(
    w: &mut Writer,
    model: &Model,
    name: &str,
    tag: &str,
    variants: &[(String, Object, String)],
    description: &str,
) {
    let cases = names::cases(variants.iter().map(|(value, _, _)| value.as_str()));
    let rows: Vec<(String, String, &(String, Object, String))> = cases
        .into_iter()
        .zip(variants)
        .map(|(case, variant)| (case, names::nested(&variant.0), variant))
        .collect();
    w.doc(description);
    w.block(
        format!("public enum {name}: Codable, Sendable, Hashable"),
        |w| {
            for (case, ty, (_, _, about)) in &rows {
                w.doc(about);
                w.line(format!("case {case}({ty})"));
            }
            w.doc("A kind that this version does not know.");
            w.line("case unknown(JSONValue)");
            w.gap();
            w.block("public init(from decoder: any Decoder) throws", |w| {
                w.line("let container = try decoder.container(keyedBy: WireKey.self)");
                w.line(format!(
                    "switch try container.decode(String.self, forKey: {}) {{",
                    quoted(tag)
                ));
                for (case, ty, (value, _, _)) in &rows {
                    w.line(format!(
                        "case {}: self = .{case}(try {ty}(from: decoder))",
                        quoted(value)
                    ));
                }
                w.line("default: self = .unknown(try JSONValue(from: decoder))");
                w.line("}");
            });
            w.gap();
            w.block("public func encode(to encoder: any Encoder) throws", |w| {
                w.line("switch self {");
                for (case, _, (value, _, _)) in &rows {
                    w.line(format!("case .{case}(let value):"));
                    w.indented(|w| {
                        w.line("try value.encode(to: encoder)");
                        w.line("var container = encoder.container(keyedBy: WireKey.self)");
                        w.line(format!(
                            "try container.encode({}, forKey: {})",
                            quoted(value),
                            quoted(tag)
                        ));
                    });
                }
                w.line("case .unknown(let value):");
                w.indented(|w| w.line("try value.encode(to: encoder)"));
                w.line("}");
            });
            for (_, ty, (_, object, about)) in &rows {
                w.gap();
                let members: Vec<Member> = object
                    .members
                    .iter()
                    .filter(|member| member.name != tag)
                    .cloned()
                    .collect();
                structure(w, model, ty, &members, &object.extra, about);
            }
        },
    );
}

/// Alternatives without a tag.
pub(super) fn one_of(
    w: &mut Writer,
    model: &Model,
    name: &str,
    alternatives: &[String],
    description: &str,
) {
    let rows: Vec<(String, String)> = alternatives
        .iter()
        .map(|target| {
            let ty = reference(model, model.definition(target));
            (names::tick(&camel(target)), ty)
        })
        .collect();
    w.doc(&format!(
        "{description}\n\nThe first alternative that fits is taken."
    ));
    w.block(
        format!("public enum {name}: Codable, Sendable, Hashable"),
        |w| {
            for ((case, ty), target) in rows.iter().zip(alternatives) {
                w.doc(&model.definition(target).description);
                w.line(format!("case {case}({ty})"));
            }
            w.doc("Something that this version does not know.");
            w.line("case unknown(JSONValue)");
            w.gap();
            w.block("public init(from decoder: any Decoder) throws", |w| {
                for (i, (case, ty)) in rows.iter().enumerate() {
                    let head = if i == 0 { "" } else { "} else " };
                    w.line(format!("{head}if let value = try? {ty}(from: decoder) {{"));
                    w.indented(|w| w.line(format!("self = .{case}(value)")));
                }
                w.line("} else {");
                w.indented(|w| w.line("self = .unknown(try JSONValue(from: decoder))"));
                w.line("}");
            });
            w.gap();
            w.block("public func encode(to encoder: any Encoder) throws", |w| {
                w.line("switch self {");
                for (case, _) in &rows {
                    w.line(format!(
                        "case .{case}(let value): try value.encode(to: encoder)"
                    ));
                }
                w.line("case .unknown(let value): try value.encode(to: encoder)");
                w.line("}");
            });
        },
    );
}
