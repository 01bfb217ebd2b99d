//! The constraint tables: a schema of the dialect as static data.
//!
//! The generator writes one [`Node`] for each definition; [`crate::decode`],
//! [`crate::accepts`] and [`crate::violations`] interpret it.

use crate::props::Props;

/// In `max` of [`Node::Str`] and [`Node::Arr`]: no upper bound.
pub const UNBOUNDED: u32 = u32::MAX;

/// The most required members an object may have: they share one 64-bit mask.
/// The generator refuses a schema with more.
pub const MAX_REQUIRED: usize = 64;

/// What a JSON value must look like.
pub enum Node {
    /// Any value.
    Any,
    /// Only `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A string of `min..=max` Unicode code points ([`UNBOUNDED`]: no maximum).
    Str {
        /// Fewest code points.
        min: u32,
        /// Most code points.
        max: u32,
    },
    /// A number without fraction in `min..=max`; `1.0` counts (contract, odd 63).
    ///
    /// The bounds are always enforced, so an integer beyond 64 bits never passes,
    /// not even where the schema states no bound.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A number in `min..=max`; infinities stand for "no bound".
    Num {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// One of these strings. A single value is a constant, such as a union's tag.
    Enum {
        /// The set, in schema order.
        values: &'static [&'static str],
    },
    /// `null` or what the inner node says.
    Nullable(&'static Node),
    /// An array of `min..=max` items ([`UNBOUNDED`]: no maximum).
    Arr {
        /// What each item must be.
        items: &'static Node,
        /// Fewest items.
        min: u32,
        /// Most items.
        max: u32,
    },
    /// An object.
    Obj(&'static Obj),
    /// An object whose string member `tag` chooses the variant. Each variant is a
    /// [`Node::Obj`] that requires `tag` and restricts it to the variant's own name.
    Tagged {
        /// Name of the member that chooses.
        tag: &'static str,
        /// Tag value and shape, in schema order.
        variants: &'static [Variant],
    },
    /// Exactly one of these alternatives.
    ///
    /// Every alternative is tried, so a type that contained itself through this
    /// node would cost exponential time: the generator uses it for results only
    /// and refuses such a cycle.
    OneOf(&'static [&'static Node]),
}

/// Tag value and shape of one variant of [`Node::Tagged`].
pub type Variant = (&'static str, &'static Node);

/// The members of an object.
pub struct Obj {
    /// Declared members, in schema order.
    pub props: Props,
    /// Names of the required members, in the order of the schema's list.
    pub required: &'static [&'static str],
    /// All bits of `props[..].required` together.
    pub mask: u64,
    /// Declared members that older protocol versions do not have; read for older clients only.
    pub newer: &'static [Newer],
    /// What happens to undeclared members.
    pub extra: Extra,
}

/// A declared member that older protocol versions do not have. It is never required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newer {
    /// The JSON key.
    pub name: &'static str,
    /// First protocol version that has it.
    pub since: u64,
}

/// The rule for undeclared members of an object.
pub enum Extra {
    /// They are refused.
    Closed,
    /// They are accepted whatever they are.
    Any,
    /// Each must be like this.
    Each(&'static Node),
}

impl Node {
    /// The node without its [`Node::Nullable`] wrapping, and whether there was one.
    #[inline]
    pub(crate) fn split_null(&'static self) -> (&'static Node, bool) {
        let mut node = self;
        let mut nullable = false;
        while let Node::Nullable(inner) = node {
            node = inner;
            nullable = true;
        }
        (node, nullable || matches!(node, Node::Null))
    }
}

impl Obj {
    /// Is the member `key` unknown in a protocol version?
    pub(crate) fn is_newer(&self, key: &str, version: u64) -> bool {
        let mut newer = self.newer.iter();
        newer.any(|member| member.name == key && member.since > version)
    }
}

/// The variant that `name` chooses.
#[inline]
pub(crate) fn variant(variants: &'static [Variant], name: &str) -> Option<&'static Variant> {
    variants.iter().find(|(tag, _)| *tag == name)
}

/// Whether `text` has `min..=max` code points, counting them only when the byte
/// length leaves it open (a code point takes one to four bytes).
#[inline]
pub(crate) fn length_within(text: &str, min: u32, max: u32) -> bool {
    let bytes = text.len() as u64;
    let min = u64::from(min);
    let max = if max == UNBOUNDED {
        u64::MAX
    } else {
        u64::from(max)
    };
    if bytes < min || bytes / 4 > max {
        return false;
    }
    let surely_enough = min <= 1 || bytes >= 4 * min;
    if surely_enough && bytes <= max {
        return true;
    }
    let points = text.chars().count() as u64;
    points >= min && points <= max
}

/// The integer that a float spells, if it spells one of 64 bits.
#[inline]
pub(crate) fn integral(value: f64) -> Option<i64> {
    /// 2^63, the first float that does not fit.
    const END: f64 = 9_223_372_036_854_775_808.0;
    (value.fract() == 0.0 && (-END..END).contains(&value)).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (text, min, max, fits) in [
            ("", 0, 0, true),
            ("", 1, UNBOUNDED, false),
            ("a", 1, UNBOUNDED, true),
            ("😀", 1, 1, true),
            ("😀", 2, UNBOUNDED, false),
            ("éé", 2, 2, true),
            ("éé", 3, 4, false),
            ("ééé", 0, 2, false),
            ("aaa", 0, 2, false),
            ("😀😀😀", 3, 3, true),
            ("abcdefgh", 2, 8, true),
            ("abcdefgh", 2, 7, false),
        ] {
            assert_eq!(
                length_within(text, min, max),
                fits,
                "{text} in {min}..={max}"
            );
        }
    }

    #[test]
    fn integral_floats() {
        for (float, integer) in [
            (1.0, Some(1)),
            (-0.0, Some(0)),
            (0.5, None),
            (9_007_199_254_740_992.0, Some(9_007_199_254_740_992)),
            (-9_223_372_036_854_775_808.0, Some(i64::MIN)),
            (9_223_372_036_854_775_808.0, None),
            (1e300, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(integral(float), integer, "{float}");
        }
    }
}
