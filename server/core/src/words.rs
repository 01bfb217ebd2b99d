//! Enums of words: the same in the configuration, on the command line and in messages. The configuration of the gateway
//! makes most of them with [`words!`](crate::words).

/// A word that is none of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {}", allowed.join(", "))]
pub struct UnknownName {
    found: String,
    allowed: &'static [&'static str],
}

impl UnknownName {
    /// `found` where only `allowed` ones are known.
    #[must_use]
    pub fn new(found: &str, allowed: &'static [&'static str]) -> Self {
        Self {
            found: found.to_owned(),
            allowed,
        }
    }
}

/// An enum of words, read without regard to case and to blanks around.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ::serde::Deserialize, ::schemars::JsonSchema)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::words::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let text = text.trim();
                Self::ALL
                    .iter()
                    .find(|word| word.as_str().eq_ignore_ascii_case(text))
                    .copied()
                    .ok_or_else(|| $crate::words::UnknownName::new(text, &[$($word),+]))
            }
        }
    };
}
