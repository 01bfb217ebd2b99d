//! Differences of types. A type is compared once for each way that its values travel.

use super::rules::types as rule;
use super::{Comparison, Direction, Rule, paired, words};
use crate::model::{Definition, Model, Type};
use crate::source::Place;

/// How values of a type travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub(super) direction: Direction,
    /// Part of a frame, which clients check strictly.
    pub(super) is_frame: bool,
    /// The negotiated version decides about newer members. Not so for what is read before it is known,
    /// and for what is written by hand.
    pub(super) is_versioned: bool,
}

impl Way {
    pub(super) const PARAMS: Way = Way::new(Direction::Params);
    pub(super) const RESULTS: Way = Way::new(Direction::Results);

    const fn new(direction: Direction) -> Way {
        Way {
            direction,
            is_frame: false,
            is_versioned: true,
        }
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn differ(&mut self, rule: &'static Rule, way: Way, place: &Place, change: String) {
        self.judge(rule, rule.verdict(way.direction), place, change);
    }

    /// Compares two definitions. Nothing is said of one that does not exist: whoever refers to it is
    /// no longer, or not yet, right.
    pub(super) fn definitions(&mut self, way: Way, old: &'a str, new: &'a str) {
        if !self.compared.insert((old, new, way)) {
            return;
        }
        let (Some(before), Some(after)) = (find(self.old, old), find(self.new, new)) else {
            return;
        };
        let place = place_of(after);
        if old == new {
            self.described(
                &rule::TYPE_DESCRIBED,
                &place,
                &before.description,
                &after.description,
            );
        }
        match (&before.ty, &after.ty) {
            (Type::OneOf(_), Type::OneOf(_)) => self.types(way, &before.ty, &after.ty, &place),
            (Type::OneOf(names), _) => self.alternatives(way, texts(names), vec![new], &place),
            (_, Type::OneOf(names)) => self.alternatives(way, vec![old], texts(names), &place),
            (before, after) => self.types(way, before, after, &place),
        }
    }

    pub(super) fn types(&mut self, way: Way, old: &'a Type, new: &'a Type, place: &Place) {
        match (old, new) {
            (Type::Ref(old), Type::Ref(new)) => self.definitions(way, old, new),
            (Type::Ref(name), _) => {
                if let Some(definition) = find(self.old, name) {
                    self.types(way, &definition.ty, new, place);
                }
            }
            (_, Type::Ref(name)) => {
                if let Some(definition) = find(self.new, name) {
                    self.types(way, old, &definition.ty, &place_of(definition));
                }
            }
            (Type::Nullable(old), Type::Nullable(new)) => {
                self.types(way, old, new, &place.at("anyOf").at(0));
            }
            (Type::Nullable(inner), other) if !matches!(other, Type::Any { .. }) => {
                self.differ(&rule::NULL_REFUSED, way, place, arrow(old, new));
                self.types(way, inner, other, place);
            }
            (other, Type::Nullable(inner)) if !matches!(other, Type::Any { .. }) => {
                self.differ(&rule::NULL_ALLOWED, way, place, arrow(old, new));
                self.types(way, other, inner, &place.at("anyOf").at(0));
            }
            (Type::Any { secret }, Type::Any { secret: new_secret }) => {
                self.secret(way, place, *secret, *new_secret)
            }
            (Type::Lenient(_) | Type::Any { .. }, Type::Lenient(_) | Type::Any { .. }) => {
                self.lenient(way, old, new, place);
            }
            (Type::Lenient(_), _) => {
                self.differ(&rule::LENIENT_REMOVED, way, place, arrow(old, new));
                self.lenient(way, old, new, place);
            }
            (_, Type::Lenient(_)) => {
                self.differ(&rule::LENIENT_ADDED, way, place, arrow(old, new));
                self.lenient(way, old, new, place);
            }
            (Type::Any { .. }, _)
            | (Type::String { .. }, Type::Enum(_))
            | (Type::Number { .. }, Type::Integer { .. }) => {
                self.differ(&rule::TYPE_NARROWED, way, place, arrow(old, new));
            }
            (_, Type::Any { .. })
            | (Type::Enum(_), Type::String { .. })
            | (Type::Integer { .. }, Type::Number { .. }) => {
                self.differ(&rule::TYPE_WIDENED, way, place, arrow(old, new));
            }
            _ => self.alike(way, old, new, place),
        }
    }

    fn secret(&mut self, way: Way, place: &Place, old: bool, new: bool) {
        if old != new {
            let change = format!("secret {old} -> {new}");
            self.differ(&rule::SECRET_CHANGED, way, place, change);
        }
    }

    /// Types that should be of one kind.
    fn alike(&mut self, way: Way, old: &'a Type, new: &'a Type, place: &Place) {
        match (old, new) {
            (Type::Boolean, Type::Boolean) => {}
            (
                Type::String { min, max, secret },
                Type::String {
                    min: new_min,
                    max: new_max,
                    secret: new_secret,
                },
            ) => {
                let (old, new) = (counts(*min, *max), counts(*new_min, *new_max));
                self.bounds(way, place, "length", old, new);
                self.secret(way, place, *secret, *new_secret);
            }
            (Type::Enum(old), Type::Enum(new)) => {
                for word in old.iter().filter(|word| !new.contains(word)) {
                    self.differ(&rule::WORD_REMOVED, way, place, format!("{word:?} -> gone"));
                }
                for word in new.iter().filter(|word| !old.contains(word)) {
                    self.differ(&rule::WORD_ADDED, way, place, format!("absent -> {word:?}"));
                }
            }
            (
                Type::Integer { min, max },
                Type::Integer {
                    min: new_min,
                    max: new_max,
                },
            ) => {
                let old = (*min as f64, *max as f64);
                let new = (*new_min as f64, *new_max as f64);
                self.bounds(way, place, "value", old, new);
            }
            (
                Type::Number { min, max },
                Type::Number {
                    min: new_min,
                    max: new_max,
                },
            ) => {
                let ends = |min: &Option<f64>, max: &Option<f64>| {
                    let low = min.unwrap_or(f64::NEG_INFINITY);
                    (low, max.unwrap_or(f64::INFINITY))
                };
                self.bounds(way, place, "value", ends(min, max), ends(new_min, new_max));
            }
            (
                Type::Array { items, min, max },
                Type::Array {
                    items: new_items,
                    min: new_min,
                    max: new_max,
                },
            ) => {
                let (old, new) = (counts(*min, *max), counts(*new_min, *new_max));
                self.bounds(way, place, "items", old, new);
                self.types(way, items, new_items, &place.at("items"));
            }
            (Type::Object(old), Type::Object(new)) => {
                self.members(way, old, new, place, "properties");
                self.extra(way, old, new, &place.at("additionalProperties"));
            }
            (Type::Tagged { .. }, Type::Tagged { .. }) => self.tagged(way, old, new, place),
            (Type::OneOf(old), Type::OneOf(new)) => {
                self.alternatives(way, texts(old), texts(new), place);
            }
            _ => self.differ(&rule::TYPE_CHANGED, way, place, arrow(old, new)),
        }
    }

    fn bounds(&mut self, way: Way, place: &Place, what: &str, old: (f64, f64), new: (f64, f64)) {
        let change = || format!("{what} {} -> {}", words::range(old), words::range(new));
        if new.0 > old.0 || new.1 < old.1 {
            self.differ(&rule::BOUND_NARROWED, way, place, change());
        }
        if new.0 < old.0 || new.1 > old.1 {
            self.differ(&rule::BOUND_WIDENED, way, place, change());
        }
    }

    fn tagged(&mut self, way: Way, old: &'a Type, new: &'a Type, place: &Place) {
        let (
            Type::Tagged { tag, variants },
            Type::Tagged {
                tag: new_tag,
                variants: new_variants,
            },
        ) = (old, new)
        else {
            return;
        };
        if tag != new_tag {
            let change = format!("{tag:?} -> {new_tag:?}");
            self.differ(&rule::TAG_CHANGED, way, place, change);
            return;
        }
        for (old, new) in paired(variants, new_variants, |(value, _, _)| value) {
            let index = |value: &str| new_variants.iter().position(|(v, _, _)| v == value);
            match (old, new) {
                (Some((_, old, old_words)), Some((value, new, new_words))) => {
                    let place = place.at("oneOf").at(index(value).unwrap_or(0));
                    self.described(&rule::TYPE_DESCRIBED, &place, old_words, new_words);
                    self.members(way, old, new, &place, "properties");
                }
                (Some((value, _, _)), None) => {
                    let change = format!("{value:?} -> gone");
                    self.differ(&rule::VARIANT_REMOVED, way, place, change);
                }
                (None, Some((value, _, _))) => {
                    let place = place.at("oneOf").at(index(value).unwrap_or(0));
                    let change = format!("absent -> {value:?}");
                    self.differ(&rule::VARIANT_ADDED, way, &place, change);
                }
                (None, None) => {}
            }
        }
    }

    /// Alternatives by name. Those without a partner of their name are compared in their order: they may
    /// be the same under another name.
    fn alternatives(&mut self, way: Way, old: Vec<&'a str>, new: Vec<&'a str>, place: &Place) {
        for name in old.iter().filter(|name| new.contains(name)) {
            self.definitions(way, name, name);
        }
        let mut gone = old.iter().filter(|name| !new.contains(name));
        let mut come = new.iter().filter(|name| !old.contains(name));
        loop {
            match (gone.next(), come.next()) {
                (Some(old), Some(new)) => self.definitions(way, old, new),
                (Some(old), None) => {
                    let change = format!("{old} -> gone");
                    self.differ(&rule::VARIANT_REMOVED, way, place, change);
                }
                (None, Some(new)) => {
                    let change = format!("absent -> {new}");
                    self.differ(&rule::VARIANT_ADDED, way, place, change);
                }
                (None, None) => return,
            }
        }
    }
}

pub(super) fn find<'a>(model: &'a Model, name: &str) -> Option<&'a Definition> {
    model.definitions.iter().find(|d| d.name == name)
}

pub(super) fn place_of(definition: &Definition) -> Place {
    Place::new(&definition.file)
        .at("$defs")
        .at(&definition.name)
}

fn counts(min: u64, max: Option<u64>) -> (f64, f64) {
    (min as f64, max.map_or(f64::INFINITY, |max| max as f64))
}

fn arrow(old: &Type, new: &Type) -> String {
    format!("{} -> {}", words::of(old), words::of(new))
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
