//! Items and members: counts, required members, unknown keys.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{CheckedDeserializer, misfit};
use crate::node::{Extra, Node, Obj, UNBOUNDED};
use crate::props::Prop;

/// Reads one item or member value, checked.
struct ValueSeed<S> {
    node: &'static Node,
    depth: usize,
    seed: S,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for ValueSeed<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed
            .deserialize(CheckedDeserializer::new(self.node, self.depth, inner))
    }
}

/// The items of an array.
pub(super) struct CheckedSeq<A> {
    pub(super) node: &'static Node,
    /// Items that must still come.
    pub(super) missing: u32,
    /// Items that may still come, or [`UNBOUNDED`].
    pub(super) room: u32,
    pub(super) depth: usize,
    pub(super) inner: A,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for CheckedSeq<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = ValueSeed {
            node: self.node,
            depth: self.depth,
            seed,
        };
        let Some(item) = self.inner.next_element_seed(seed)? else {
            return if self.missing == 0 {
                Ok(None)
            } else {
                Err(misfit())
            };
        };
        if self.room == 0 {
            return Err(misfit());
        }
        if self.room != UNBOUNDED {
            self.room -= 1;
        }
        self.missing = self.missing.saturating_sub(1);
        Ok(Some(item))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// The members of an object.
pub(super) struct CheckedMap<A> {
    object: &'static Obj,
    /// Bits of the required members that came.
    seen: u64,
    /// Index of the member that is likely next.
    hint: usize,
    /// Node of the value that follows the key just read.
    value: &'static Node,
    depth: usize,
    inner: A,
}

impl<A> CheckedMap<A> {
    #[inline]
    pub(super) fn new(object: &'static Obj, depth: usize, inner: A) -> Self {
        Self {
            object,
            seen: 0,
            hint: 0,
            value: &Node::Any,
            depth,
            inner,
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for CheckedMap<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut declared = None;
        let key = self.inner.next_key_seed(Key {
            object: self.object,
            hint: &mut self.hint,
            declared: &mut declared,
            target: seed,
        })?;
        if key.is_none() {
            return if self.seen == self.object.mask {
                Ok(None)
            } else {
                Err(misfit())
            };
        }
        match declared {
            Some(prop) => {
                self.seen |= prop.required;
                self.value = prop.node;
            }
            None => match self.object.extra {
                Extra::Closed => return Err(misfit()),
                Extra::Any => self.value = &Node::Any,
                Extra::Each(node) => self.value = node,
            },
        }
        Ok(key)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(ValueSeed {
            node: self.value,
            depth: self.depth,
            seed,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// Looks a key up in the table while the derived code reads it. The three roles
/// (seed, deserializer, visitor) differ only in what `target` is.
struct Key<'a, T> {
    object: &'static Obj,
    hint: &'a mut usize,
    declared: &'a mut Option<&'static Prop>,
    target: T,
}

impl<'a, T> Key<'a, T> {
    #[inline]
    fn with<U>(self, target: U) -> (T, Key<'a, U>) {
        let key = Key {
            object: self.object,
            hint: self.hint,
            declared: self.declared,
            target,
        };
        (self.target, key)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let (seed, key) = self.with(inner);
        seed.deserialize(KeyDeserializer(key))
    }
}

struct KeyDeserializer<'a, D>(Key<'a, D>);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for KeyDeserializer<'_, D> {
    type Error = D::Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let (inner, key) = self.0.with(visitor);
        inner.deserialize_str(KeyVisitor(key))
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct KeyVisitor<'a, V>(Key<'a, V>);

impl<V> KeyVisitor<'_, V> {
    #[inline]
    fn note(&mut self, key: &str) {
        if let Some(at) = self.0.object.props.position(key, *self.0.hint) {
            *self.0.hint = at + 1;
            *self.0.declared = self.0.object.props.get(at);
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for KeyVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.target.expecting(formatter)
    }

    #[inline]
    fn visit_str<E: de::Error>(mut self, key: &str) -> Result<V::Value, E> {
        self.note(key);
        self.0.target.visit_str(key)
    }

    #[inline]
    fn visit_borrowed_str<E: de::Error>(mut self, key: &'de str) -> Result<V::Value, E> {
        self.note(key);
        self.0.target.visit_borrowed_str(key)
    }
}
