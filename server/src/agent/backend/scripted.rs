//! A backend for tests: plays prepared replies, one a call, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::{Backend, BackendError, Chunk, ModelRequest, ReplyStream, StopReason};

/// A step of a prepared reply.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Text.
    Say(&'static str),
    /// Any other chunk.
    Give(Chunk),
    /// Wait for a permit of this semaphore.
    Wait(Arc<Semaphore>),
    /// Wait this long on tokio's clock.
    Pause(std::time::Duration),
    /// Nothing more, ever.
    Stall,
    /// Fail.
    Fail(BackendError),
    /// Panic.
    Panic,
}

/// Text and a proper end.
pub(crate) fn say(texts: &[&'static str]) -> Vec<Step> {
    let said = texts.iter().map(|text| Step::Say(text));
    said.chain([Step::Give(Chunk::Done(StopReason::Stop))])
        .collect()
}

/// The prepared replies; calls beyond them are answered `ok`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted {
    replies: Arc<Mutex<VecDeque<Vec<Step>>>>,
    asked: Arc<Mutex<Vec<ModelRequest>>>,
}

impl Scripted {
    pub(crate) fn new(replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self {
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
            asked: Arc::default(),
        }
    }

    /// Prepares one more reply.
    pub(crate) fn reply(&self, reply: Vec<Step>) {
        self.replies.lock().unwrap().push_back(reply);
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap().clone()
    }
}

impl Backend for Scripted {
    fn stream(&self, request: ModelRequest) -> ReplyStream {
        self.asked.lock().unwrap().push(request);
        let steps = self
            .replies
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| say(&["ok"]));
        stream::iter(steps)
            .filter_map(|step| async move {
                match step {
                    Step::Say(text) => Some(Ok(Chunk::Delta(text.to_owned()))),
                    Step::Give(chunk) => Some(Ok(chunk)),
                    Step::Wait(gate) => {
                        gate.acquire().await.unwrap().forget();
                        None
                    }
                    Step::Pause(time) => {
                        tokio::time::sleep(time).await;
                        None
                    }
                    Step::Stall => std::future::pending().await,
                    Step::Fail(error) => Some(Err(error)),
                    Step::Panic => panic!("scripted"),
                }
            })
            .boxed()
    }
}
