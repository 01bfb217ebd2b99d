//! Definitions: what a value can be.

use openclaw_schema_runtime::Tree;

/// A named type.
pub struct Definition {
    /// Unique over the bundle.
    pub name: String,
    /// File it stands in.
    pub file: String,
    /// What it is.
    pub description: String,
    /// The type.
    pub ty: Type,
    /// Valid values.
    pub examples: Vec<Tree>,
    /// Invalid values with the expected text.
    pub counter_examples: Vec<CounterExample>,
}

/// A value that must be refused.
pub struct CounterExample {
    /// Why.
    pub why: String,
    /// The value.
    pub value: Tree,
    /// The violation text.
    pub violations: String,
}

/// A type of the dialect.
#[derive(Clone)]
pub enum Type {
    /// Any JSON value.
    Any {
        /// Never shown in logs.
        secret: bool,
    },
    /// `true` or `false`.
    Boolean,
    /// A string with bounds in code points.
    String {
        /// Least number of code points.
        min: u64,
        /// Most, if bounded.
        max: Option<u64>,
        /// Never shown in logs.
        secret: bool,
    },
    /// A closed set of strings.
    Enum(Vec<String>),
    /// An integer.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// A number.
    Number {
        /// Least value.
        min: Option<f64>,
        /// Greatest value.
        max: Option<f64>,
    },
    /// A list.
    Array {
        /// Item type.
        items: Box<Type>,
        /// Least length.
        min: u64,
        /// Greatest length.
        max: Option<u64>,
    },
    /// An object.
    Object(Object),
    /// A named type.
    Ref(String),
    /// Or `null`.
    Nullable(Box<Type>),
    /// Closed objects told apart by a tag member.
    Tagged {
        /// Tag member.
        tag: String,
        /// Tag value and the object, tag member included.
        variants: Vec<(String, Object, String)>,
    },
    /// Alternatives without a tag, named types.
    OneOf(Vec<String>),
    /// Any value; members of a wrong type count as absent.
    Lenient(Vec<Member>),
}

/// Members of an object and what else it may hold.
#[derive(Clone)]
pub struct Object {
    /// In schema order.
    pub members: Vec<Member>,
    /// Other members.
    pub extra: Extra,
}

/// Members that are not named.
#[derive(Clone)]
pub enum Extra {
    /// Refused.
    Closed,
    /// Accepted and ignored.
    Ignored,
    /// Kept, of this type.
    Kept(Box<Type>),
}

/// A member of an object.
#[derive(Clone)]
pub struct Member {
    /// As on the wire.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Must be there.
    pub required: bool,
    /// Tells `null` (clear) from absence (keep).
    pub patch: bool,
    /// Name in Swift, where it cannot be that of the wire.
    pub swift_name: Option<String>,
    /// First protocol version that has it; 0 for every version.
    pub since: u64,
    /// What it is.
    pub description: String,
}

impl Type {
    /// Any value without a secret.
    pub const ANY: Type = Type::Any { secret: false };

    /// Whether the type itself, not through others, holds a value that is never shown.
    pub(super) fn has_own_secret(&self) -> bool {
        match self {
            Type::Any { secret } | Type::String { secret, .. } => *secret,
            Type::Nullable(inner) | Type::Array { items: inner, .. } => inner.has_own_secret(),
            _ => {
                let mut found = matches!(
                    self,
                    Type::Object(Object { extra: Extra::Kept(ty), .. }) if ty.has_own_secret()
                );
                self.each_member(&mut |member| found |= member.ty.has_own_secret());
                found
            }
        }
    }

    /// Visits the members of the type itself: of the object, of all variants, of a value that is not
    /// validated.
    pub fn each_member<'a>(&'a self, visit: &mut impl FnMut(&'a Member)) {
        match self {
            Type::Object(object) => object.members.iter().for_each(visit),
            Type::Lenient(members) => members.iter().for_each(visit),
            Type::Tagged { variants, .. } => variants
                .iter()
                .flat_map(|(_, object, _)| &object.members)
                .for_each(visit),
            _ => {}
        }
    }

    /// Names the definitions that the type refers to itself, not through others.
    pub fn each_reference<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Type::Ref(name) => visit(name),
            Type::Nullable(inner) | Type::Array { items: inner, .. } => inner.each_reference(visit),
            Type::OneOf(names) => names.iter().for_each(|name| visit(name)),
            _ => {
                if let Type::Object(Object {
                    extra: Extra::Kept(ty),
                    ..
                }) = self
                {
                    ty.each_reference(visit);
                }
                let mut members = Vec::new();
                self.each_member(&mut |member| members.push(&member.ty));
                for ty in members {
                    ty.each_reference(visit);
                }
            }
        }
    }
}
