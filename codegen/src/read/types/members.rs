//! Objects and their members, closed or lenient.

use openclaw_schema_runtime::Tree;

use crate::model::{Extra, Member, Object, Type};
use crate::read::Reader;
use crate::source::{Place, members, strings};

use super::natural;

impl Reader {
    pub(super) fn object(&mut self, file: &str, place: &Place, schema: &Tree) -> Object {
        let required = strings(schema, "required");
        let properties = members(schema.get("properties"));
        for (i, name) in required.iter().enumerate() {
            if !properties.iter().any(|(key, _)| key == name) {
                self.wrong(
                    &place.at("required").at(i),
                    format!("`{name}` is required but not described"),
                    "add it to properties",
                );
            }
        }
        if required.len() > 64 {
            self.wrong(
                place,
                "more than 64 required members",
                "the validator's mask has 64 bits: split the object",
            );
        }
        let mut list: Vec<Member> = Vec::new();
        for (name, schema) in properties {
            let place = place.at("properties").at(name);
            let swift_name = self.swift_name(&place, name, schema);
            let own = [Some(name), swift_name.as_ref()];
            let collides = |other: &String| own.iter().flatten().any(|n| fold(n) == fold(other));
            let twin = list.iter().find(|member| {
                collides(&member.name) || member.swift_name.as_ref().is_some_and(collides)
            });
            if let Some(twin) = twin {
                let problem = format!(
                    "`{name}` and `{}` differ only by case or punctuation",
                    twin.name
                );
                self.wrong(
                    &place,
                    problem,
                    "rename one: generated fields would collide",
                );
            }
            let ty = self.read_type(file, &place, schema, false);
            list.push(Member {
                name: name.clone(),
                patch: self.patch(&place, schema, &ty),
                swift_name,
                since: schema.get("x-since").and_then(natural).unwrap_or(0),
                ty,
                required: required.contains(name),
                description: self.description(&place, schema),
            });
        }
        let extra = match schema.get("additionalProperties") {
            Some(Tree::Bool(false)) => Extra::Closed,
            Some(Tree::Bool(true)) => Extra::Ignored,
            Some(other) => Extra::Kept(Box::new(self.read_type(
                file,
                &place.at("additionalProperties"),
                other,
                false,
            ))),
            None => {
                self.wrong(
                    place,
                    "an object states what else it may hold",
                    "add additionalProperties: false (closed), true (ignored) or a schema (kept)",
                );
                Extra::Closed
            }
        };
        Object {
            members: list,
            extra,
        }
    }

    /// `x-swift-name` of a member; one that Swift cannot have without is refused.
    fn swift_name(&mut self, place: &Place, name: &str, schema: &Tree) -> Option<String> {
        let given = schema.get("x-swift-name").and_then(Tree::as_str);
        let fits = |name: &str| {
            name != "self"
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_alphanumeric())
        };
        match given {
            Some(given) if !fits(given) => self.wrong(
                &place.at("x-swift-name"),
                format!("`{given}` is no name for a member in Swift"),
                "write camelCase letters and digits",
            ),
            None if name == "self" => self.wrong(
                place,
                "Swift has no member called `self`",
                "add \"x-swift-name\", the name that it has there",
            ),
            _ => {}
        }
        given.map(str::to_owned)
    }

    fn patch(&mut self, place: &Place, schema: &Tree, ty: &Type) -> bool {
        let patch = matches!(schema.get("x-patch"), Some(Tree::Bool(true)));
        if patch && !matches!(ty, Type::Nullable(_)) {
            self.wrong(
                place,
                "x-patch needs a nullable member",
                "write anyOf: [T, {\"type\":\"null\"}]",
            );
        }
        patch
    }

    pub(super) fn lenient_members(
        &mut self,
        file: &str,
        place: &Place,
        tree: &Tree,
    ) -> Vec<Member> {
        members(Some(tree))
            .iter()
            .map(|(name, schema)| {
                let place = place.at(name);
                Member {
                    name: name.clone(),
                    ty: self.read_type(file, &place, schema, false),
                    required: false,
                    patch: false,
                    swift_name: self.swift_name(&place, name, schema),
                    since: schema.get("x-since").and_then(natural).unwrap_or(0),
                    description: self.description(&place, schema),
                }
            })
            .collect()
    }
}

/// Spelling as field names see it.
fn fold(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}
