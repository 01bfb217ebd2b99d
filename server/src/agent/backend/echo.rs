//! The backend of a gateway without a model: says back what it was told, in pieces, so that a fresh machine shows the
//! whole path including streaming.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Backend, Chunk, ModelRequest, ReplyStream, StopReason, Turn};
use crate::sessions::envelope;

/// Pieces of a reply.
const PIECES: usize = 5;
/// Time between two pieces: enough to see text grow, too short to wait for.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers `echo: <text>`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Echo;

impl Backend for Echo {
    fn stream(&self, request: ModelRequest) -> ReplyStream {
        let reply = format!("echo: {}", last_words(&request));
        let pieces = pieces(&reply, PIECES).into_iter().map(Chunk::Delta);
        let chunks = pieces.chain([Chunk::Done(StopReason::Stop)]).enumerate();
        stream::iter(chunks)
            .then(|(index, chunk)| async move {
                if index > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(chunk)
            })
            .boxed()
    }
}

/// The words of the last user turn, without what the gateway put around them.
fn last_words(request: &ModelRequest) -> String {
    let last = request.turns.iter().rev().find_map(|turn| match turn {
        Turn::User { text, images } => {
            Some((envelope::strip(text).trim().to_owned(), images.len()))
        }
        Turn::Assistant { .. } | Turn::Result { .. } => None,
    });
    match last {
        Some((text, 1)) if text.is_empty() => "[image]".to_owned(),
        Some((text, images)) if text.is_empty() && images > 1 => format!("[{images} images]"),
        Some((text, _)) => text,
        None => String::new(),
    }
}

/// Cuts `text` into at most `count` pieces of equal length.
fn pieces(text: &str, count: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(chars.len().div_ceil(count).max(1))
        .map(|piece| piece.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::attachments::Image;
    use futures_util::TryStreamExt;

    async fn check(turns: Vec<Turn>, reply: &str) {
        let case = format!("{turns:?}");
        let request = ModelRequest {
            model: "echo".into(),
            system: String::new(),
            turns,
            thinking: None,
            tools: Vec::new().into(),
            max_tokens: None,
        };
        let chunks: Vec<Chunk> = Echo.stream(request).try_collect().await.unwrap();
        let (done, deltas) = chunks.split_last().unwrap();
        assert_eq!(*done, Chunk::Done(StopReason::Stop));
        let texts = deltas.iter().map(|chunk| match chunk {
            Chunk::Delta(text) => text.as_str(),
            other => panic!("{other:?}"),
        });
        assert_eq!(texts.collect::<String>(), reply, "{case}");
        assert!(deltas.len() <= PIECES);
    }

    fn user(text: &str, images: usize) -> Turn {
        let image = Image {
            mime: "image/png".into(),
            base64: String::new(),
        };
        Turn::User {
            text: text.into(),
            images: vec![image; images],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn says_it_back() {
        check(vec![user("hello", 0)], "echo: hello").await;
        let talk = vec![
            user("one", 0),
            Turn::Assistant {
                text: "echo: one".into(),
                calls: vec![],
                thoughts: vec![],
            },
            user("zwei — ü", 1),
        ];
        check(talk, "echo: zwei — ü").await;
        check(vec![user("hi\n[message_id: c-1]", 0)], "echo: hi").await;
        check(vec![user("", 1)], "echo: [image]").await;
        check(vec![user(" ", 3)], "echo: [3 images]").await;
        check(vec![], "echo: ").await;
    }
}
