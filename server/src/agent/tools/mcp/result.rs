//! What a tool of a server brought: text, and pictures to see.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use super::super::pictures::{MAX_PICTURES, picture};
use super::super::{Output, cut};
use crate::agent::attachments::Image;

/// The text and the pictures of a result. Models are told of sounds, and of pictures that they are not shown, that they
/// are there.
pub(super) fn output(result: CallToolResult) -> Output {
    let mut pictures = Vec::new();
    let blocks = result.content.into_iter();
    let mut texts: Vec<String> = blocks.map(|block| text(block, &mut pictures)).collect();
    if texts.is_empty()
        && let Some(value) = result.structured_content
    {
        texts.push(value.to_string());
    }
    Output {
        text: cut(texts.join("\n")),
        pictures,
        is_error: result.is_error == Some(true),
    }
}

fn text(block: ContentBlock, pictures: &mut Vec<Image>) -> String {
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => {
            let has_room = pictures.len() < MAX_PICTURES;
            let bytes = STANDARD.decode(image.data.as_bytes()).ok();
            match bytes.filter(|_| has_room).and_then(|bytes| picture(&bytes)) {
                Some(picture) => {
                    let words = format!("[a picture, {}]", picture.mime);
                    pictures.push(picture);
                    words
                }
                None => format!("[a picture, {}, not shown]", image.mime_type),
            }
        }
        ContentBlock::Audio(audio) => format!("[a sound, {}, not played]", audio.mime_type),
        ContentBlock::Resource(embedded) => match embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            ResourceContents::BlobResourceContents { uri, .. } => {
                format!("[the bytes of {uri}, not shown]")
            }
            _ => "[something that is not understood]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[see {}]", link.uri),
        _ => "[something that is not understood]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::MAX_OUTPUT;
    use super::super::super::pictures::PNG;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn as_many_pictures_are_shown_as_may_be() {
        let block = json!({"type": "image", "data": STANDARD.encode(PNG), "mimeType": "image/x"});
        for (count, shown) in [
            (1, 1),
            (MAX_PICTURES, MAX_PICTURES),
            (MAX_PICTURES + 1, MAX_PICTURES),
        ] {
            let result = json!({"content": vec![block.clone(); count]});
            let output = output(serde_json::from_value(result).unwrap());
            assert_eq!(output.pictures, vec![picture(PNG).unwrap(); shown]);
            let words = |text: &str| output.text.matches(text).count();
            assert_eq!(words("[a picture, image/png]"), shown);
            assert_eq!(words("[a picture, image/x, not shown]"), count - shown);
        }
    }

    fn check(result: Value, text: &str, is_error: bool) {
        let read: CallToolResult = serde_json::from_value(result.clone()).unwrap();
        let output = output(read);
        assert_eq!(
            (output.text.as_str(), output.is_error),
            (text, is_error),
            "{result}"
        );
    }

    #[test]
    fn results_become_text() {
        check(
            json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            "a\nb",
            false,
        );
        check(
            json!({"content": [{"type": "text", "text": "no"}], "isError": true}),
            "no",
            true,
        );
        check(json!({"content": []}), "", false);
        check(
            json!({"content": [], "structuredContent": {"n": 1}}),
            r#"{"n":1}"#,
            false,
        );
        check(
            json!({"content": [{"type": "text", "text": "a"}], "structuredContent": {"n": 1}}),
            "a",
            false,
        );
        check(
            json!({"content": [
                {"type": "image", "data": "AAAA", "mimeType": "image/png"},
                {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
                {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
                {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}},
                {"type": "resource_link", "uri": "file:///c", "name": "c"},
            ]}),
            "[a picture, image/png, not shown]\n[a sound, audio/wav, not played]\ninside\n[the bytes of file:///b, not shown]\n[see file:///c]",
            false,
        );
        let most = "x".repeat(MAX_OUTPUT);
        check(
            json!({"content": [{"type": "text", "text": most}]}),
            &most,
            false,
        );
        let more = format!("{most}y");
        check(
            json!({"content": [{"type": "text", "text": more}]}),
            &format!("{most}\n[1 bytes after this are left out]"),
            false,
        );
    }
}
