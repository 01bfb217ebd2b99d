//! Attachments of `agent` and `chat.send` (contract 6.8): base64 in, images out, everything else dropped.

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use openclaw_protocol::protocol::{ErrorCode, errors, limits};
use openclaw_protocol::types::{Attachment, ErrorShape};

/// Largest decoded attachment. The frame limit is lower today; this holds when it is raised (odd 17).
const MAX_BYTES: usize = limits::ATTACHMENT_BYTES as usize;
/// Most images of one message that are kept; more than any model takes, and a bound on what a transcript record holds.
const MAX_IMAGES: usize = 32;

/// Base64 as senders write it: the spare bits of the last character need not be zero.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// An image that came with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `image/…`, from the content where that tells.
    pub mime: String,
    /// Standard base64 without a `data:` head.
    pub base64: String,
}

/// Why a message with attachments is refused, with the file name, type or number of the attachment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AttachmentError {
    /// Not base64.
    Base64 {
        /// Which.
        label: String,
    },
    /// Larger than [`MAX_BYTES`].
    Size {
        /// Which.
        label: String,
        /// Decoded size.
        bytes: usize,
    },
    /// More than [`MAX_IMAGES`] images.
    Count {
        /// Which.
        label: String,
    },
}

impl AttachmentError {
    /// The error for the client.
    pub(super) fn shape(&self) -> ErrorShape {
        match self {
            Self::Base64 { label } => errors::ATTACHMENT_INVALID_BASE64.with(&[("label", label)]),
            Self::Size { label, bytes } => errors::ATTACHMENT_TOO_BIG.with(&[
                ("label", label),
                ("bytes", &bytes.to_string()),
                ("limit", &MAX_BYTES.to_string()),
            ]),
            Self::Count { label } => ErrorCode::InvalidRequest.error(format!(
                "Error: attachment {label}: more than {MAX_IMAGES} images"
            )),
        }
    }
}

/// How many attachments have content at all; what decides whether a message may be empty.
pub(super) fn with_content(attachments: &[Attachment]) -> usize {
    attachments
        .iter()
        .filter(|attachment| attachment.content.is_some())
        .count()
}

/// The images among `attachments`. Items without text content are passed over, and so is whatever is not an image by
/// its bytes or, where these do not tell, by its declared type.
pub(super) fn images(attachments: &[Attachment]) -> Result<Vec<Image>, AttachmentError> {
    let mut images = Vec::new();
    let contents = attachments
        .iter()
        .filter_map(|attachment| Some((attachment, attachment.content.as_deref()?)));
    for (index, (attachment, content)) in contents.enumerate() {
        let label = || label(attachment, index);
        let (declared_in_head, base64) = split_data_url(content.trim());
        let bytes = decode(base64).ok_or_else(|| AttachmentError::Base64 { label: label() })?;
        if bytes.len() > MAX_BYTES {
            return Err(AttachmentError::Size {
                label: label(),
                bytes: bytes.len(),
            });
        }
        let declared = attachment
            .mime_type
            .as_deref()
            .or(declared_in_head)
            .unwrap_or_default();
        let sniffed = infer::get(&bytes).map(|kind| kind.mime_type().to_owned());
        let mime = sniffed.unwrap_or_else(|| mime_essence(declared));
        if !mime.starts_with("image/") {
            continue;
        }
        if images.len() == MAX_IMAGES {
            return Err(AttachmentError::Count { label: label() });
        }
        images.push(Image {
            mime,
            base64: STANDARD.encode(&bytes),
        });
    }
    Ok(images)
}

fn label(attachment: &Attachment, index: usize) -> String {
    let names = [&attachment.file_name, &attachment.type_]
        .into_iter()
        .flatten();
    names
        .into_iter()
        .find(|name| !name.is_empty())
        .cloned()
        .unwrap_or_else(|| format!("attachment-{}", index + 1))
}

/// Splits `data:<mime>;base64,<content>`; anything else is content as it stands.
fn split_data_url(content: &str) -> (Option<&str>, &str) {
    let split = || {
        let (head, base64) = content.strip_prefix("data:")?.split_once(";base64,")?;
        Some((Some(head), base64.trim()))
    };
    split().unwrap_or((None, content))
}

/// Decodes whole groups of four only: a cut text is an error and not a shorter file.
fn decode(base64: &str) -> Option<Vec<u8>> {
    base64
        .len()
        .is_multiple_of(4)
        .then(|| LENIENT.decode(base64).ok())
        .flatten()
}

/// The type without parameters, in lower case.
fn mime_essence(mime: &str) -> String {
    mime.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    #[track_caller]
    fn check(attachments: Value, expected: Result<&[&str], &str>) {
        let case = attachments
            .to_string()
            .chars()
            .take(200)
            .collect::<String>();
        let attachments: Vec<Attachment> = serde_json::from_value(attachments).unwrap();
        let mimes = images(&attachments).map(|images| {
            images
                .into_iter()
                .map(|image| image.mime)
                .collect::<Vec<_>>()
        });
        let mimes = mimes.map_err(|error| error.shape().message.to_string());
        let expected = expected
            .map(|mimes| mimes.iter().map(ToString::to_string).collect())
            .map_err(str::to_owned);
        assert_eq!(mimes, expected, "{case}");
    }

    #[test]
    fn images_stay_and_the_rest_goes() {
        check(json!([]), Ok(&[]));
        check(
            json!([{"type": "image", "mimeType": "image/png", "fileName": "dot.png", "content": PNG}]),
            Ok(&["image/png"]),
        );
        check(
            json!([{"content": format!("data:image/gif;base64,{PNG}")}]),
            Ok(&["image/png"]),
        );
        check(
            json!([{"mimeType": "text/plain", "content": PNG}]),
            Ok(&["image/png"]),
        );
        check(
            json!([{"mimeType": "text/plain", "content": "aGVsbG8="}]),
            Ok(&[]),
        );
        check(
            json!([{"mimeType": "Image/X-New; q=1", "content": "aGVsbG8="}]),
            Ok(&["image/x-new"]),
        );
        check(
            json!([{"content": "aGVsbG8="}, {"content": ""}, {"content": 5}, {}, 7, null]),
            Ok(&[]),
        );
        check(
            json!([{"mimeType": "image/png", "content": STANDARD.encode(b"%PDF-1.7\n")}]),
            Ok(&[]),
        );
    }

    #[test]
    fn bad_content_is_named() {
        check(
            json!([{"fileName": "a.png", "type": "image", "content": "%%%"}]),
            Err("Error: attachment a.png: invalid base64 content"),
        );
        check(
            json!([{"fileName": "", "type": "image", "content": "***"}]),
            Err("Error: attachment image: invalid base64 content"),
        );
        check(
            json!([{}, {"content": PNG}, {"content": "abc"}]),
            Err("Error: attachment attachment-2: invalid base64 content"),
        );
        check(
            json!([{"content": "ab=c"}]),
            Err("Error: attachment attachment-1: invalid base64 content"),
        );
        check(
            json!([{"content": "aGVs bG8="}]),
            Err("Error: attachment attachment-1: invalid base64 content"),
        );
    }

    #[test]
    fn limits_at_n_and_one_more() {
        let of_size =
            |bytes: usize| json!([{"type": "file", "content": STANDARD.encode(vec![0; bytes])}]);
        check(of_size(MAX_BYTES), Ok(&[]));
        check(
            of_size(MAX_BYTES + 1),
            Err("Error: attachment file: exceeds size limit (5000001 > 5000000 bytes)"),
        );
        let many = |n: usize| json!(vec![json!({"content": PNG}); n]);
        check(many(MAX_IMAGES), Ok(&["image/png"; MAX_IMAGES]));
        check(
            many(MAX_IMAGES + 1),
            Err("Error: attachment attachment-33: more than 32 images"),
        );
    }
}
