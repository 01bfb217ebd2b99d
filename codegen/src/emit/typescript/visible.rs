//! What of a schema a type checker sees: the kinds of values, missing and unknown members, string sets.
//! Bounds it does not see.

use openclaw_schema_runtime::Tree;

use crate::model::{Extra, Member, Model, Object, Type};

/// Whether the declaration of `ty` surely refuses the value. `false` says nothing: where TypeScript's
/// rules go beyond the declaration (unknown members of a value that may be several objects), it is not
/// held to them.
pub(super) fn refused(model: &Model, ty: &Type, value: &Tree) -> bool {
    Eye {
        model,
        unknown_members: true,
    }
    .refuses(ty, value)
}

#[derive(Clone, Copy)]
struct Eye<'a> {
    model: &'a Model,
    /// Whether a member that is not declared is a mistake.
    unknown_members: bool,
}

impl Eye<'_> {
    fn refuses(self, ty: &Type, value: &Tree) -> bool {
        match (self.model.resolve(ty), value) {
            (Type::Any { .. } | Type::Lenient(_), _) => false,
            (Type::Nullable(_), Tree::Null) => false,
            (Type::Nullable(inner), _) => self.refuses(inner, value),
            (Type::Boolean, _) => !matches!(value, Tree::Bool(_)),
            (Type::String { .. }, _) => !matches!(value, Tree::String(_)),
            (Type::Integer { .. } | Type::Number { .. }, _) => !matches!(value, Tree::Number(_)),
            (Type::Enum(values), _) => !value
                .as_str()
                .is_some_and(|text| values.iter().any(|known| known == text)),
            (Type::Array { items, .. }, Tree::Array(list)) => {
                list.iter().any(|item| self.refuses(items, item))
            }
            (Type::Object(object), _) => self.object_refuses(object, value),
            (Type::Tagged { tag, variants }, _) => {
                let kind = value.get(tag).and_then(Tree::as_str);
                let variant = variants.iter().find(|(known, ..)| Some(&**known) == kind);
                variant.is_none_or(|(_, object, _)| self.object_refuses(object, value))
            }
            (Type::OneOf(names), _) => {
                let eye = Eye {
                    unknown_members: false,
                    ..self
                };
                names.iter().all(|name| {
                    let definition = self.model.definition(name);
                    eye.refuses(&definition.ty, value)
                })
            }
            (Type::Array { .. } | Type::Ref(_), _) => true,
        }
    }

    fn object_refuses(self, object: &Object, value: &Tree) -> bool {
        let Tree::Object(given) = value else {
            // An array and a string have a length, so an object of nothing but that would take them.
            return object
                .members
                .iter()
                .all(|member| member.required || member.name != "length");
        };
        let missing = |member: &Member| member.required && value.get(&member.name).is_none();
        object.members.iter().any(missing)
            || given.iter().any(|(name, value)| {
                match object.members.iter().find(|member| member.name == *name) {
                    Some(member) => self.refuses(&member.ty, value),
                    None => self.other_refused(object, value),
                }
            })
    }

    fn other_refused(self, object: &Object, value: &Tree) -> bool {
        match &object.extra {
            Extra::Closed => self.unknown_members || object.members.is_empty(),
            Extra::Ignored => false,
            // The declared type of other members admits what the named ones may be.
            Extra::Kept(ty) => {
                self.refuses(ty, value)
                    && object
                        .members
                        .iter()
                        .all(|member| self.refuses(&member.ty, value))
            }
        }
    }
}
