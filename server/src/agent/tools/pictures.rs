//! Pictures that tools bring: which of them models are shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::agent::attachments::Image;

/// Largest picture that a model is shown, in bytes. A camera's photograph of the usual width is some hundred thousand. It
/// goes into the transcript, into every later request of the conversation, and into its history, whole each time.
const MAX_BYTES: usize = 1_500_000;
/// Most pictures of one call that are shown.
pub(super) const MAX_PICTURES: usize = 4;
/// What models take.
const KINDS: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The picture in `bytes`, by what they are and not by what somebody calls them; none for what models do not take.
pub(super) fn picture(bytes: &[u8]) -> Option<Image> {
    let kind = infer::get(bytes)?.mime_type();
    (KINDS.contains(&kind) && bytes.len() <= MAX_BYTES).then(|| Image {
        mime: kind.to_owned(),
        base64: STANDARD.encode(bytes),
    })
}

/// A picture as transcripts hold it.
pub(super) fn part(image: &Image) -> Value {
    json!({"type": "image", "data": image.base64, "mimeType": image.mime})
}

/// A picture as listeners are told of it: what it is and how large, in characters of base64. Its bytes would go to every
/// connection that follows the run.
pub(super) fn mention(image: &Image) -> Value {
    json!({"type": "image", "mimeType": image.mime, "bytes": image.base64.len(), "omitted": true})
}

#[cfg(test)]
pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand so on";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_shown_what_they_take() {
        let padded = |head: &[u8], len: usize| {
            let mut bytes = head.to_vec();
            bytes.resize(len, 0);
            bytes
        };
        for (bytes, kind) in [
            (PNG.to_vec(), Some("image/png")),
            (padded(b"\xff\xd8\xff\xe0", 20), Some("image/jpeg")),
            (padded(b"GIF89a", 20), Some("image/gif")),
            (padded(b"RIFF\x0c\0\0\0WEBPVP8 ", 40), Some("image/webp")),
            (padded(b"II*\0", 20), None),
            (b"no picture at all".to_vec(), None),
            (Vec::new(), None),
            (padded(PNG, MAX_BYTES), Some("image/png")),
            (padded(PNG, MAX_BYTES + 1), None),
        ] {
            let shown = picture(&bytes);
            let case = &bytes[..bytes.len().min(20)];
            assert_eq!(shown.as_ref().map(|it| it.mime.as_str()), kind, "{case:?}");
            if let Some(shown) = shown {
                assert_eq!(STANDARD.decode(shown.base64).unwrap(), bytes, "{case:?}");
            }
        }
    }
}
