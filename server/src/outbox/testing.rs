//! A channel of the tests, and an outbox that has it. Used by the tests of whatever sends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use openclaw_protocol::rt::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::channel::{Channel, Content, Fault, Parcel, Receipt};
use super::{Outbox, OutboxParts};
use crate::clock::Clock;
use crate::sessions::Sessions;

/// An outbox over these sessions whose one channel is `pigeon`.
pub(crate) async fn outbox(sessions: &Sessions, clock: Arc<dyn Clock>, pigeon: &Pigeon) -> Outbox {
    let parts = OutboxParts {
        sessions: sessions.clone(),
        clock,
        work: Handle::current(),
        channels: vec![Arc::new(pigeon.clone())],
    };
    Outbox::open(parts).await.unwrap()
}

/// Lets tasks work until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// What the test channel does with a parcel.
#[derive(Clone)]
pub(crate) enum Step {
    Take,
    Fail(Fault),
    /// Take it, but never say so.
    TakeAndHang,
    /// Wait for a permit, then take it.
    Wait(Arc<Semaphore>),
    Panic,
}

/// A channel that plays steps, one an attempt, and takes everything behind them.
#[derive(Clone)]
pub(crate) struct Pigeon {
    deduplicates: bool,
    steps: Arc<Mutex<VecDeque<Step>>>,
    taken: Arc<Mutex<Vec<Parcel>>>,
    begun: Arc<watch::Sender<usize>>,
}

impl Pigeon {
    pub(crate) fn new(deduplicates: bool, steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            deduplicates,
            steps: Arc::new(Mutex::new(steps.into_iter().collect())),
            taken: Arc::default(),
            begun: Arc::new(watch::Sender::new(0)),
        }
    }

    /// What it does with the next parcel.
    pub(crate) fn next(&self, step: Step) {
        self.steps.lock().unwrap().push_back(step);
    }

    /// The texts that arrived, in their order.
    pub(crate) fn taken(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let text = |parcel: &Parcel| match &parcel.content {
            Content::Message { text, media, .. } => {
                format!("{}:{text}{}", parcel.to, media.join(","))
            }
            Content::Poll {
                question,
                options,
                max_selections,
                ..
            } => format!(
                "{}:{question}?{}/{max_selections}",
                parcel.to,
                options.len()
            ),
        };
        taken.iter().map(text).collect()
    }

    pub(crate) async fn until_begun(&self, count: usize) {
        self.begun
            .subscribe()
            .wait_for(|begun| *begun >= count)
            .await
            .unwrap();
    }
}

impl Channel for Pigeon {
    fn name(&self) -> &'static str {
        "pigeon"
    }

    fn has_polls(&self) -> bool {
        true
    }

    fn deduplicates(&self) -> bool {
        self.deduplicates
    }

    fn resolve(&self, to: &str) -> Result<String, String> {
        match to.strip_prefix('@') {
            Some(name) => Ok(name.to_owned()),
            None => Err(format!("{to} is no dovecote")),
        }
    }

    fn send(&self, parcel: Parcel) -> BoxFuture<'static, Result<Receipt, Fault>> {
        let pigeon = self.clone();
        Box::pin(async move {
            let step = pigeon
                .steps
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(Step::Take);
            pigeon.begun.send_modify(|begun| *begun += 1);
            let take = || {
                let mut taken = pigeon.taken.lock().unwrap();
                if !pigeon.deduplicates || taken.iter().all(|known| known.id != parcel.id) {
                    taken.push(parcel.clone());
                }
                Receipt {
                    message_id: format!("m{}", taken.len()),
                    chat_id: Some(parcel.to.clone()),
                    ..Receipt::default()
                }
            };
            match step {
                Step::Take => Ok(take()),
                Step::Fail(fault) => Err(fault),
                Step::TakeAndHang => {
                    take();
                    std::future::pending().await
                }
                Step::Wait(gate) => {
                    gate.acquire().await.unwrap().forget();
                    Ok(take())
                }
                Step::Panic => panic!("scripted"),
            }
        })
    }
}
