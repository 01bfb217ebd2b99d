//! A turn of an agent that an HTTP request asked for: begun through [`Runs`], told piece by piece, called off when the
//! client goes away.
//!
//! The run itself does not belong to the request: it is accepted, recorded and carried like any other. What belongs to the
//! request is the interest in it, and when that is dropped the run is called off.

use std::sync::Arc;

use futures_util::stream::{Stream, unfold};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::Staged;
use openclaw_protocol::types::{AgentFinal, AgentParams, Attachment, ErrorShape};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Calls;
use super::taps::{Tap, Taps};
use crate::agent::Runs;
use crate::limits::STREAM_PULSE;

/// Begins turns.
#[derive(Clone)]
pub(super) struct Turns {
    pub(super) runs: Runs,
    pub(super) taps: Arc<Taps>,
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// Agent, where the request names one.
    pub(super) agent: Option<String>,
    /// Conversation.
    pub(super) session_key: String,
    /// The words; not empty.
    pub(super) message: String,
    /// Instructions for this turn only.
    pub(super) system: Option<String>,
    /// Images, as base64 with or without a `data:` head.
    pub(super) images: Vec<String>,
}

/// A turn under way.
pub(super) struct LiveTurn {
    tap: Tap,
    /// How much of it was told, in bytes.
    told: usize,
    end: oneshot::Receiver<Ending>,
    /// The end, when it has come before everything was told.
    over: Option<Ending>,
    /// The reply was compared with what was told.
    is_whole: bool,
    pulse: Instant,
    _interest: Interest,
}

/// The reply, or why there is none.
pub(super) type Ending = Result<Reply, String>;

/// A reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// All words; may be empty.
    pub(super) text: String,
    /// Tokens of the prompt, cached ones included.
    pub(super) input_tokens: u64,
    /// Tokens of the reply.
    pub(super) output_tokens: u64,
}

/// What a stream of a turn tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// More words.
    Text(String),
    /// Nothing has happened for a while.
    Pulse,
    /// It is over; nothing follows.
    End(Ending),
}

/// Calls a run off when nobody waits for it any more. Of a run that has ended there is nothing to call off.
struct Interest {
    runs: Runs,
    run_id: String,
}

impl Drop for Interest {
    fn drop(&mut self) {
        if self.runs.abandon(&self.run_id) {
            tracing::debug!(run = self.run_id, "the client of a run went away");
        }
    }
}

impl Turns {
    /// Begins a turn. Dropping the future, or the turn that it returns, calls the run off.
    ///
    /// # Errors
    /// What the `agent` method refuses.
    pub(super) async fn begin(&self, order: Order, calls: &Calls) -> Result<LiveTurn, ErrorShape> {
        let run_id = uuid::Uuid::new_v4().to_string();
        let call = calls.begin();
        let tap = self.taps.open(&run_id);
        let interest = Interest {
            runs: self.runs.clone(),
            run_id: run_id.clone(),
        };
        let params = AgentParams {
            agent_id: order.agent.and_then(NonEmptyString::new),
            session_key: Some(order.session_key),
            extra_system_prompt: order.system,
            attachments: Some(order.images.into_iter().map(image).collect()),
            ..AgentParams::new(
                NonEmptyString::or(order.message, " "),
                NonEmptyString::or(run_id, "http"),
            )
        };
        let (tell, end) = oneshot::channel();
        match self.runs.agent(params).await? {
            Staged::Both { then, .. } => {
                // A task of its own, so that the call counts for exactly as long as the run lasts, however slowly the
                // client reads.
                tokio::spawn(async move {
                    let ending = then
                        .await
                        .map(reply)
                        .map_err(|failure| failure.error.message.into());
                    drop(call);
                    let _ = tell.send(ending);
                });
            }
            Staged::Final(outcome) => {
                let _ = tell.send(
                    outcome
                        .map(reply)
                        .map_err(|failure| failure.error.message.into()),
                );
            }
            // The id is new, so there is no other run with it.
            Staged::First(_) => {}
        }
        Ok(LiveTurn {
            tap,
            told: 0,
            end,
            over: None,
            is_whole: false,
            pulse: Instant::now() + STREAM_PULSE,
            _interest: interest,
        })
    }
}

impl LiveTurn {
    /// Waits for the end.
    pub(super) async fn ended(mut self) -> Ending {
        ending(&mut self.end).await
    }

    /// The turn piece by piece. Ends behind [`Piece::End`].
    pub(super) fn pieces(self) -> impl Stream<Item = Piece> + Send + 'static {
        unfold(Some(self), |turn| async move {
            let mut turn = turn?;
            let piece = turn.next().await;
            let is_over = matches!(piece, Piece::End(_));
            Some((piece, (!is_over).then_some(turn)))
        })
    }

    async fn next(&mut self) -> Piece {
        loop {
            let more = self.tap.since(self.told);
            if !more.is_empty() {
                self.told += more.len();
                return self.piece(Piece::Text(more));
            }
            if let Some(end) = self.over.take() {
                return match self.untold(&end) {
                    Some(rest) => {
                        self.over = Some(end);
                        self.piece(Piece::Text(rest))
                    }
                    None => self.piece(Piece::End(end)),
                };
            }
            tokio::select! {
                biased;
                end = ending(&mut self.end) => self.over = Some(end),
                () = self.tap.changed() => {}
                () = sleep_until(self.pulse) => return self.piece(Piece::Pulse),
            }
        }
    }

    /// What a reply has beyond what was said along the way: a backend may give all of it at its end.
    fn untold(&mut self, end: &Ending) -> Option<String> {
        if std::mem::replace(&mut self.is_whole, true) {
            return None;
        }
        let text = &end.as_ref().ok()?.text;
        let rest = text.strip_prefix(self.tap.since(0).trim_end())?;
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    fn piece(&mut self, piece: Piece) -> Piece {
        self.pulse = Instant::now() + STREAM_PULSE;
        piece
    }
}

async fn ending(end: &mut oneshot::Receiver<Ending>) -> Ending {
    end.await
        .unwrap_or_else(|_| Err("the run's end was lost".to_owned()))
}

fn image(content: String) -> Attachment {
    Attachment {
        content: Some(content),
        ..Attachment::default()
    }
}

fn reply(ended: AgentFinal) -> Reply {
    let texts: Vec<String> = ended
        .result
        .payloads
        .into_iter()
        .map(|payload| payload.text)
        .collect();
    let usage = ended
        .result
        .meta
        .agent_meta
        .and_then(|meta| meta.usage)
        .unwrap_or_default();
    let counted = [usage.input, usage.cache_read, usage.cache_write];
    Reply {
        text: texts.join("\n\n"),
        input_tokens: counted.into_iter().flatten().sum(),
        output_tokens: usage.output.unwrap_or_default(),
    }
}
