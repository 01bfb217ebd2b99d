//! `protocol.js` and its declarations: version, roles, scopes, codes, closes, limits, fixed texts.

use super::HEAD;
use super::literal::{key, list, quoted, union};
use super::writer::Writer;
use crate::model::Model;

/// A table of constants.
struct Table {
    name: &'static str,
    about: &'static str,
    rows: Vec<Row>,
}

/// One constant. Its type admits nothing but its value.
struct Row {
    name: String,
    about: String,
    value: String,
    ty: String,
}

impl Row {
    /// A number or a string: the literal is its own type.
    fn scalar(name: &str, about: impl Into<String>, value: String) -> Self {
        Self {
            name: name.to_owned(),
            about: about.into(),
            ty: value.clone(),
            value,
        }
    }

    /// An object with a list of strings.
    fn list(name: &str, about: &str, member: &str, items: &[String]) -> Self {
        let items = list(items);
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            value: format!("{{ {member}: {items} }}"),
            ty: format!("{{ readonly {member}: readonly {items} }}"),
        }
    }

    /// An object with two scalars.
    fn pair(name: &str, about: &str, [(a, x), (b, y)]: [(&str, String); 2]) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            value: format!("{{ {a}: {x}, {b}: {y} }}"),
            ty: format!("{{ readonly {a}: {x}; readonly {b}: {y} }}"),
        }
    }
}

fn tables(model: &Model) -> Vec<Table> {
    let roles = model.roles.iter();
    let scopes = model.scopes.iter();
    let codes = model.error_codes.iter();
    let closes = model.closes.iter();
    let limits = model.limits.iter();
    let errors = model.errors.iter();
    let texts = model.texts.iter();
    vec![
        Table {
            name: "ROLES",
            about: "Roles of a connection, with the scopes of one that asked for none.",
            rows: roles
                .map(|r| Row::list(&r.name, &r.description, "defaultScopes", &r.default_scopes))
                .collect(),
        },
        Table {
            name: "SCOPES",
            about: "What an operator's connection may do, with the scopes that each contains.",
            rows: scopes
                .map(|s| Row::list(&s.name, &s.description, "implies", &s.implies))
                .collect(),
        },
        Table {
            name: "ERROR_CODES",
            about: "Codes of an error answer.",
            rows: codes
                .map(|c| Row::scalar(&c.name, &*c.description, quoted(&c.name)))
                .collect(),
        },
        Table {
            name: "CLOSES",
            about: "How the gateway ends a connection: WebSocket close code and reason.",
            rows: closes
                .map(|c| {
                    let members = [("code", c.code.to_string()), ("reason", quoted(&c.reason))];
                    Row::pair(&c.name, &c.description, members)
                })
                .collect(),
        },
        Table {
            name: "LIMITS",
            about: "Policy numbers.",
            rows: limits
                .map(|l| {
                    let about = format!("{} Unit: {}.", l.description, l.unit);
                    Row::scalar(&l.name, about, l.value.to_string())
                })
                .collect(),
        },
        Table {
            name: "ERRORS",
            about: "Fixed error answers; `{name}` in a text is a placeholder.",
            rows: errors
                .map(|e| {
                    let members = [("code", quoted(&e.code)), ("text", quoted(&e.text))];
                    Row::pair(&e.name, &e.description, members)
                })
                .collect(),
        },
        Table {
            name: "TEXTS",
            about: "Other fixed texts.",
            rows: texts
                .map(|t| Row::scalar(&t.name, "", quoted(&t.text)))
                .collect(),
        },
    ]
}

/// `protocol.d.ts`.
pub(super) fn declarations(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.doc("Name of the protocol.");
    w.line(format!(
        "export declare const NAME: {};",
        quoted(&model.name)
    ));
    w.gap();
    w.doc("Version spoken on the wire.");
    w.line(format!("export declare const VERSION: {};", model.version));
    w.gap();
    w.doc("Role of a connection.");
    let roles = union(model.roles.iter().map(|role| role.name.as_str()));
    w.line(format!("export type Role = {roles};"));
    w.gap();
    w.doc("What an operator's connection may do.");
    let scopes = union(model.scopes.iter().map(|scope| scope.name.as_str()));
    w.line(format!("export type Scope = {scopes};"));
    w.gap();
    w.doc("Code of an error answer.");
    let codes = union(model.error_codes.iter().map(|code| code.name.as_str()));
    w.line(format!("export type ErrorCode = {codes};"));
    for table in tables(model) {
        w.gap();
        w.doc(table.about);
        w.block(&format!("export declare const {}:", table.name), ";", |w| {
            for row in &table.rows {
                if !row.about.is_empty() {
                    w.doc(&row.about);
                }
                w.line(format!("readonly {}: {};", key(&row.name), row.ty));
            }
        });
    }
    w.finish()
}

/// `protocol.js`.
pub(super) fn values(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.line(format!("export const NAME = {};", quoted(&model.name)));
    w.line(format!("export const VERSION = {};", model.version));
    for table in tables(model) {
        w.gap();
        w.block(&format!("export const {} =", table.name), ";", |w| {
            for row in &table.rows {
                w.line(format!("{}: {},", key(&row.name), row.value));
            }
        });
    }
    w.finish()
}
