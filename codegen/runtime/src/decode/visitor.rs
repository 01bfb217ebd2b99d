//! Compares each value with the table before the derived visitor sees it.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::access::{CheckedMap, CheckedSeq};
use super::{CheckedDeserializer, misfit};
use crate::node::{Node, integral, length_within};

/// Wraps the visitor of a derived `Deserialize`.
pub(super) struct CheckedVisitor<V> {
    /// Never [`Node::Nullable`] or [`Node::Any`]; a union only while an `Option` is read.
    pub(super) node: &'static Node,
    pub(super) nullable: bool,
    pub(super) depth: usize,
    pub(super) visitor: V,
}

impl<V> CheckedVisitor<V> {
    #[inline]
    fn string_fits(&self, text: &str) -> bool {
        match self.node {
            Node::Str { min, max } => length_within(text, *min, *max),
            Node::Enum { values } => values.contains(&text),
            _ => false,
        }
    }

    #[inline]
    fn integer_fits(&self, value: i64) -> bool {
        match self.node {
            Node::Int { min, max } => *min <= value && value <= *max,
            Node::Num { min, max } => *min <= value as f64 && value as f64 <= *max,
            _ => false,
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for CheckedVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    #[inline]
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<V::Value, E> {
        match self.node {
            Node::Bool => self.visitor.visit_bool(value),
            _ => Err(misfit()),
        }
    }

    #[inline]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<V::Value, E> {
        if self.integer_fits(value) {
            self.visitor.visit_i64(value)
        } else {
            Err(misfit())
        }
    }

    #[inline]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<V::Value, E> {
        let fits = match i64::try_from(value) {
            Ok(value) => self.integer_fits(value),
            Err(_) => {
                matches!(self.node, Node::Num { min, max } if *min <= value as f64 && value as f64 <= *max)
            }
        };
        if fits {
            self.visitor.visit_u64(value)
        } else {
            Err(misfit())
        }
    }

    /// `1.0` is an integer for JSON Schema; the derived code is handed the integer.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<V::Value, E> {
        match self.node {
            Node::Int { min, max } => match integral(value) {
                Some(value) if *min <= value && value <= *max => self.visitor.visit_i64(value),
                _ => Err(misfit()),
            },
            Node::Num { min, max } if *min <= value && value <= *max => {
                self.visitor.visit_f64(value)
            }
            _ => Err(misfit()),
        }
    }

    #[inline]
    fn visit_str<E: de::Error>(self, text: &str) -> Result<V::Value, E> {
        if self.string_fits(text) {
            self.visitor.visit_str(text)
        } else {
            Err(misfit())
        }
    }

    #[inline]
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<V::Value, E> {
        if self.string_fits(text) {
            self.visitor.visit_borrowed_str(text)
        } else {
            Err(misfit())
        }
    }

    #[inline]
    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        if self.nullable {
            self.visitor.visit_none()
        } else {
            Err(misfit())
        }
    }

    #[inline]
    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        if self.nullable {
            self.visitor.visit_unit()
        } else {
            Err(misfit())
        }
    }

    /// The parser has seen that the value is not null.
    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(CheckedDeserializer {
            node: self.node,
            nullable: false,
            depth: self.depth,
            inner,
        })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        match self.node {
            Node::Arr {
                items: node,
                min,
                max,
            } => self.visitor.visit_seq(CheckedSeq {
                node,
                missing: *min,
                room: *max,
                depth: self.depth + 1,
                inner: items,
            }),
            _ => Err(misfit()),
        }
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        match self.node {
            Node::Obj(object) => {
                self.visitor
                    .visit_map(CheckedMap::new(object, self.depth + 1, members))
            }
            _ => Err(misfit()),
        }
    }
}

/// Reads a string of a set as the variant of a Rust enum.
pub(super) struct NameVisitor<V> {
    pub(super) values: &'static [&'static str],
    pub(super) visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for NameVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    #[inline]
    fn visit_str<E: de::Error>(self, text: &str) -> Result<V::Value, E> {
        if self.values.contains(&text) {
            let name: StrDeserializer<'_, E> = text.into_deserializer();
            self.visitor.visit_enum(name)
        } else {
            Err(misfit())
        }
    }
}
