//! Checked decode: typed value and verdict in one pass over the text.
//!
//! A serde adapter stands between the JSON parser and an unmodified derived
//! `Deserialize`. What passes through is compared with the table on its way, so no
//! intermediate tree exists and the first bad byte ends the work. Called for the
//! params of every request, and by [`crate::accepts`].

mod access;
mod tagged;
#[cfg(test)]
mod tests;
mod union;
mod visitor;

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

use crate::node::{Extra, Node, Obj};
use crate::props::Props;
use tagged::TaggedVisitor;
use visitor::{CheckedVisitor, NameVisitor};

/// Reads `json` as a `T` that fits `node`.
///
/// The text is one JSON value with optional white space around it. Integers may be
/// written with a zero fraction; `T` then sees an integer. Nesting deeper than
/// the parser's 127 levels is refused, and of duplicate keys those of a struct.
///
/// # Errors
/// A syntax error as the parser words it, or a fixed text when the table is violated:
/// [`crate::violations`] finds the reasons, off the hot path.
pub fn decode<'de, T: Deserialize<'de>>(
    node: &'static Node,
    json: &'de str,
) -> Result<T, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(json);
    let value = Checked::new(node).deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Reads a `T` that fits a table from within a larger text, such as the `params`
/// of a request while its envelope is being read.
///
/// Works on `serde_json`'s text parsers only: unions borrow their source text.
pub struct Checked<T> {
    node: &'static Node,
    target: PhantomData<fn() -> T>,
}

impl<T> Checked<T> {
    /// A reader of values that fit `node`.
    #[must_use]
    pub fn new(node: &'static Node) -> Self {
        Self {
            node,
            target: PhantomData,
        }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Checked<T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(CheckedDeserializer::new(self.node, 0, deserializer))
    }
}

/// An object about which nothing is said.
static FREE_OBJECT: Node = Node::Obj(&Obj {
    props: Props::new(&[]),
    required: &[],
    mask: 0,
    newer: &[],
    extra: Extra::Any,
});

/// The error of a value that does not fit. Its text is for logs: what a client is
/// told comes from [`crate::violations`].
#[cold]
#[inline(never)]
fn misfit<E: de::Error>() -> E {
    E::custom("the value does not fit the schema")
}

/// Hands a derived `Deserialize` what the parser reads, if it fits `node`.
struct CheckedDeserializer<D> {
    node: &'static Node,
    nullable: bool,
    /// Open arrays and objects around this value.
    depth: usize,
    inner: D,
}

impl<D> CheckedDeserializer<D> {
    #[inline]
    fn new(node: &'static Node, depth: usize, inner: D) -> Self {
        let (node, nullable) = node.split_null();
        Self {
            node,
            nullable,
            depth,
            inner,
        }
    }

    #[inline]
    fn visitor<V>(&self, visitor: V) -> CheckedVisitor<V> {
        CheckedVisitor {
            node: self.node,
            nullable: self.nullable,
            depth: self.depth,
            visitor,
        }
    }
}

/// Methods that read one value of a certain kind. No union: derived code reads those through `deserialize_any`, and what
/// is written here is compiled once more for every type and member.
macro_rules! forward_checked {
    ($($method:ident)*) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            match self.node {
                Node::Any => self.inner.$method(visitor),
                _ => {
                    let checked = self.visitor(visitor);
                    self.inner.$method(checked)
                }
            }
        }
    )* };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for CheckedDeserializer<D> {
    type Error = D::Error;

    forward_checked! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_unit deserialize_seq deserialize_identifier
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        match self.node {
            Node::Any => self.inner.deserialize_any(visitor),
            Node::Tagged { tag, variants } => self.inner.deserialize_any(TaggedVisitor {
                tag,
                variants,
                nullable: self.nullable,
                depth: self.depth,
                visitor,
            }),
            Node::OneOf(alternatives) => self.only_fit(alternatives, visitor),
            _ => {
                let checked = self.visitor(visitor);
                self.inner.deserialize_any(checked)
            }
        }
    }

    /// A free value is read as an object of free members, so that there is one way for the visitors of structs: they
    /// are the most code of all.
    #[inline]
    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, D::Error> {
        if let Node::Any = self.node {
            self.node = &FREE_OBJECT;
        }
        let checked = self.visitor(visitor);
        self.inner.deserialize_map(checked)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if let Node::Any = self.node {
            return self.inner.deserialize_option(visitor);
        }
        let checked = self.visitor(visitor);
        self.inner.deserialize_option(checked)
    }

    /// The parser would skip the value unseen, so it is read as what it is.
    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        match self.node {
            Node::Any => self.inner.deserialize_ignored_any(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    /// The name must reach the parser for free values: it is how `RawValue` asks for
    /// source text.
    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        match self.node {
            Node::Any => self.inner.deserialize_newtype_struct(name, visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    /// Asks for an object, so that an array in place of a struct is refused.
    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    /// Rust enums without data are string sets. Enums with data are read through
    /// [`Node::Tagged`] and [`Node::OneOf`], whose derives never call this.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        match self.node {
            Node::Any => self.inner.deserialize_enum(name, variants, visitor),
            Node::Enum { values } => self.inner.deserialize_str(NameVisitor { values, visitor }),
            _ => Err(misfit()),
        }
    }
}
