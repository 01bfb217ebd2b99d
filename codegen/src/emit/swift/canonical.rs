//! What an example looks like after decoding and encoding, by the rules of each profile: members that a
//! type does not keep are gone, and so is a `null` that reads as absence.

use openclaw_schema_runtime::Tree;

use super::{compat, expected};
use crate::model::{Definition, Extra, Member, Model, Object, Type};

/// Through the typed profile.
pub(super) fn typed(model: &Model, ty: &Type, value: &Tree) -> Tree {
    match (ty, value) {
        (Type::Ref(name), _) => typed(model, &model.definition(name).ty, value),
        (Type::Nullable(_), Tree::Null) => Tree::Null,
        (Type::Nullable(inner), _) => typed(model, inner, value),
        (Type::Array { items, .. }, Tree::Array(list)) => {
            Tree::Array(list.iter().map(|item| typed(model, items, item)).collect())
        }
        (Type::Object(object), Tree::Object(members)) => typed_object(model, object, members),
        (Type::Tagged { tag, variants }, Tree::Object(members)) => {
            let text = members.iter().find_map(|(key, value)| match value {
                Tree::String(text) if key == tag => Some(text),
                _ => None,
            });
            match variants.iter().find(|(value, _, _)| Some(value) == text) {
                Some((_, object, _)) => typed_object(model, object, members),
                None => value.clone(),
            }
        }
        (Type::OneOf(names), _) => names
            .iter()
            .map(|name| &model.definition(name).ty)
            .find(|ty| fits(model, ty, value))
            .map_or_else(|| value.clone(), |ty| typed(model, ty, value)),
        (Type::Lenient(fields), Tree::Object(members)) => Tree::Object(
            members
                .iter()
                .filter_map(|(key, value)| {
                    let ty = &fields.iter().find(|field| field.name == *key)?.ty;
                    let kept = *value != Tree::Null && fits(model, ty, value);
                    kept.then(|| (key.clone(), typed(model, ty, value)))
                })
                .collect(),
        ),
        (Type::Lenient(_), _) => Tree::Object(Vec::new()),
        _ => value.clone(),
    }
}

fn typed_object(model: &Model, object: &Object, members: &[(String, Tree)]) -> Tree {
    let kept = members.iter().filter_map(|(key, value)| {
        let value = match object.members.iter().find(|member| member.name == *key) {
            Some(member) if *value == Tree::Null && reads_as_absent(member) => return None,
            Some(member) => typed(model, &member.ty, value),
            None => match &object.extra {
                Extra::Kept(ty) => typed(model, ty, value),
                Extra::Closed | Extra::Ignored => return None,
            },
        };
        Some((key.clone(), value))
    });
    Tree::Object(kept.collect())
}

fn reads_as_absent(member: &Member) -> bool {
    !member.required && !member.patch
}

/// Would the Swift type of the typed profile decode it?
fn fits(model: &Model, ty: &Type, value: &Tree) -> bool {
    match (ty, value) {
        (Type::Ref(name), _) => fits(model, &model.definition(name).ty, value),
        (Type::Nullable(_), Tree::Null)
        | (Type::Any { .. } | Type::Lenient(_) | Type::OneOf(_), _) => true,
        (Type::Nullable(inner), _) => fits(model, inner, value),
        (Type::Boolean, Tree::Bool(_))
        | (Type::String { .. } | Type::Enum(_), Tree::String(_))
        | (Type::Number { .. }, Tree::Number(_)) => true,
        (Type::Integer { .. }, Tree::Number(number)) => number.is_i64() || number.is_u64(),
        (Type::Array { items, .. }, Tree::Array(list)) => {
            list.iter().all(|item| fits(model, items, item))
        }
        (Type::Tagged { tag, .. }, Tree::Object(members)) => members
            .iter()
            .any(|(key, value)| key == tag && matches!(value, Tree::String(_))),
        (Type::Object(object), Tree::Object(members)) => {
            let present = |member: &Member| members.iter().any(|(key, _)| *key == member.name);
            object
                .members
                .iter()
                .all(|member| !member.required || present(member))
                && members.iter().all(|(key, value)| {
                    match (
                        object.members.iter().find(|member| member.name == *key),
                        &object.extra,
                    ) {
                        (Some(member), _) => {
                            (*value == Tree::Null && !member.required)
                                || fits(model, &member.ty, value)
                        }
                        (None, Extra::Kept(ty)) => fits(model, ty, value),
                        (None, Extra::Closed | Extra::Ignored) => true,
                    }
                })
        }
        _ => false,
    }
}

/// Through the compat profile. `None`: apps expect a member that the example lacks, or another value.
pub(super) fn compat(
    model: &Model,
    definition: &Definition,
    object: &Object,
    value: &Tree,
) -> Option<Tree> {
    let Tree::Object(members) = value else {
        return Some(value.clone());
    };
    let fields = compat::fields(model, definition, object);
    let present = |name: &str| members.iter().any(|(key, _)| key == name);
    if !fields
        .iter()
        .all(|field| !field.required || present(&field.member.name))
    {
        return None;
    }
    let mut kept = Vec::new();
    for (key, value) in members {
        let Some(field) = fields.iter().find(|field| field.member.name == *key) else {
            continue;
        };
        if *value == Tree::Null && !field.required {
            continue;
        }
        if !matches!(value, Tree::String(_)) && expected::text_only(&definition.name, key) {
            return None;
        }
        kept.push((
            key.clone(),
            compat_member(model, &field.member.ty, field.required, value)?,
        ));
    }
    Some(Tree::Object(kept))
}

fn compat_member(model: &Model, ty: &Type, required: bool, value: &Tree) -> Option<Tree> {
    if let Some(definition) = compat::struct_of(model, ty, required)
        && let Type::Object(object) = &definition.ty
    {
        return compat(model, definition, object, value);
    }
    match (ty, value) {
        (Type::Array { items, .. }, Tree::Array(list)) => list
            .iter()
            .map(|item| compat_member(model, items, true, item))
            .collect::<Option<_>>()
            .map(Tree::Array),
        // A named list is the list.
        (Type::Ref(name), Tree::Array(_)) if expected::loose(name).is_none() => {
            compat_member(model, &model.definition(name).ty, true, value)
        }
        _ => Some(value.clone()),
    }
}
