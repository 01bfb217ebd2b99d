//! The content of a message in the OpenAI interfaces: words, or parts of kinds that each interface has its own of.

use serde::Deserialize;

/// The content of a message.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content<Part> {
    /// Words.
    Text(String),
    /// Parts.
    Parts(Vec<Part>),
}

/// What parts hold.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Words, in their order.
    pub(super) texts: Vec<String>,
    /// Pictures, as data URLs.
    pub(super) images: Vec<String>,
}

impl<Part> Content<Part> {
    /// The words and pictures; `take` adds what a part holds, or says what is wrong with it.
    pub(super) fn read(
        content: Option<Self>,
        take: impl Fn(Part, &mut Held) -> Result<(), String>,
    ) -> Result<(String, Vec<String>), String> {
        let parts = match content {
            None => return Ok((String::new(), Vec::new())),
            Some(Self::Text(text)) => return Ok((text, Vec::new())),
            Some(Self::Parts(parts)) => parts,
        };
        let mut held = Held::default();
        for part in parts {
            take(part, &mut held)?;
        }
        Ok((held.texts.join("\n"), held.images))
    }
}
