//! The state of one connection and everything it does but reading: the handshake, requests, writing, time limits.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use openclaw_protocol::call::{self, Problem};
use openclaw_protocol::methods;
use openclaw_protocol::protocol::{self, Close, ErrorCode, Role, close, errors, limits, texts};
use openclaw_protocol::rt::{self, BoxFuture, NonEmptyString, Violation};
use openclaw_protocol::types::{ErrorShape, InvalidParamsDetails, InvalidParamsIssue};
use openclaw_websocket::{Incoming, ReadError};
use tokio::time::{Instant, Sleep, sleep};

use super::Shared;
use super::caller::{Caller, CallerInfo};
use super::deadlines::Deadline;
use super::ending::Ending;
use super::handshake::{Accepted, Cause, Handshake, Refusal, Verdict};
use super::requests::Requests;
use crate::http::HandshakePlace;
use crate::hub::Membership;
use crate::limits::{MAX_FRAMES_PER_WAKE, MAX_SECOND_STAGES, STALL_TIMEOUT};
use crate::net::Ends;
use crate::nodes::{NodePlace, Offer};
use crate::ws::{Flush, Outbox};

/// One connection.
pub(super) struct Link {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    membership: Membership,
    /// Its place among the nodes, if it is one.
    node: Option<NodePlace>,
    phase: Phase,
    requests: Requests,
    /// Messages after hello-ok that were no requests.
    bad_frames: u64,
    /// Messages begun in this turn of the task.
    frames: usize,
    stall: Option<Box<Stall>>,
}

enum Phase {
    /// Nobody knows who this is. Boxed: it is over soon.
    Stranger(Box<Stranger>),
    /// Accepted.
    Open(Caller),
    /// About to be closed; what still comes is not looked at.
    Over,
}

/// A connection in its handshake.
pub(super) struct Stranger {
    /// Taken by the first message.
    handshake: Option<Handshake>,
    /// The verdict, when the store has to be asked for it. Until then nothing further is read (odd 1).
    deciding: Option<BoxFuture<'static, Verdict>>,
    deadline: Deadline,
    ends: Ends,
    _place: HandshakePlace,
}

/// The peer has taken nothing since `written` bytes were out.
struct Stall {
    written: u64,
    timeout: Pin<Box<Sleep>>,
}

impl Stranger {
    /// A connection that has to be accepted before `deadline`.
    pub(super) fn new(
        handshake: Handshake,
        deadline: Deadline,
        place: HandshakePlace,
        ends: Ends,
    ) -> Self {
        Self {
            handshake: Some(handshake),
            deciding: None,
            deadline,
            ends,
            _place: place,
        }
    }
}

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        outbox: Arc<Outbox>,
        membership: Membership,
        stranger: Stranger,
    ) -> Self {
        Self {
            shared,
            outbox,
            membership,
            node: None,
            phase: Phase::Stranger(Box::new(stranger)),
            requests: Requests::default(),
            bad_frames: 0,
            frames: 0,
            stall: None,
        }
    }

    /// May the next message be read now? Not while the handshake is being decided, while too much waits to be written,
    /// and while too many requests are being handled.
    pub(super) fn may_read(&self) -> bool {
        let is_deciding =
            matches!(&self.phase, Phase::Stranger(stranger) if stranger.deciding.is_some());
        !is_deciding && !self.requests.is_full() && !self.outbox.is_congested()
    }

    /// The largest message that may come now, in bytes (odd 65).
    pub(super) fn message_limit(&self) -> usize {
        let limit = match self.phase {
            Phase::Stranger(_) => limits::PRE_AUTH_PAYLOAD,
            Phase::Open(_) | Phase::Over => limits::MAX_PAYLOAD,
        };
        limit as usize
    }

    /// Counts a message of this turn. False when the turn has had enough of them.
    pub(super) fn begin_frame(&mut self) -> bool {
        self.frames += 1;
        self.frames <= MAX_FRAMES_PER_WAKE
    }

    /// The task is going to wait.
    pub(super) fn end_turn(&mut self) {
        self.frames = 0;
    }

    /// Takes in a message. `Some` when the connection is over.
    pub(super) fn handle(&mut self, message: Incoming) -> Option<Ending> {
        match message {
            Incoming::Text(text) => self.handle_text(&text),
            // Binary messages are texts that do not say so (contract 1.2).
            Incoming::Binary(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.handle_text(text),
                Err(_) => self.handle_text(NOT_JSON),
            },
            Incoming::Ping(payload) => {
                self.outbox.pong(&payload);
                None
            }
            Incoming::Pong(_) => None,
            Incoming::Close { code, .. } => {
                self.outbox.close_reply(code);
                Some(Ending::ClosedByPeer)
            }
        }
    }

    /// The peer could not be understood, or is gone.
    pub(super) fn unreadable(&mut self, error: &ReadError) -> Ending {
        let (close, ending) = match error {
            ReadError::TooBig { .. } => (close::TOO_BIG, Ending::TooBig),
            ReadError::Protocol(_) => (close::PROTOCOL_ERROR, Ending::ProtocolError),
            ReadError::NotUtf8 => (close::INVALID_PAYLOAD, Ending::NotUtf8),
            ReadError::Eof | ReadError::Io(_) | ReadError::Ended => return Ending::Lost,
        };
        self.close(close, ending)
    }

    /// Everything that is to be done beside reading. `Some` when the connection is over.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Option<Ending> {
        self.outbox.register(cx.waker());
        if let Phase::Stranger(_) = self.phase
            && let Some(ending) = self.poll_handshake(cx)
        {
            return Some(ending);
        }
        while !self.outbox.is_congested()
            && let Poll::Ready(frame) = self.requests.poll_next(cx)
        {
            self.outbox.send(frame);
        }
        if self.outbox.is_over() {
            return Some(Ending::ClosedByHub);
        }
        self.poll_write(cx)
    }

    /// The connection is over: it takes part in nothing any more, requests under way are dropped. What is left is its
    /// place in the hub.
    pub(super) fn finish(mut self, ending: Ending) -> Membership {
        drop(self.node.take());
        self.membership.retire();
        self.shared.counters.ended(ending);
        let dropped = self.outbox.dropped();
        match &self.phase {
            Phase::Open(caller) => {
                tracing::debug!(
                    conn = caller.conn_id,
                    reason = ending.name(),
                    dropped,
                    "connection ended"
                );
            }
            Phase::Stranger(_) | Phase::Over => {
                tracing::debug!(reason = ending.name(), "handshake ended");
            }
        }
        self.membership
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Option<Ending> {
        let Phase::Stranger(stranger) = &mut self.phase else {
            return None;
        };
        if let Some(deciding) = &mut stranger.deciding
            && let Poll::Ready(verdict) = deciding.as_mut().poll(cx)
        {
            stranger.deciding = None;
            return match self.settle(verdict) {
                // One wait may lead to another, which nobody has polled yet.
                None => self.poll_handshake(cx),
                ending => ending,
            };
        }
        if stranger.deadline.poll(cx).is_ready() {
            return Some(self.refuse(&Refusal::timed_out()));
        }
        None
    }

    /// Writes what waits; while the socket takes nothing, waits for it, but not for ever.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Option<Ending> {
        loop {
            match self.outbox.flush() {
                Flush::Done => {
                    self.stall = None;
                    return None;
                }
                Flush::Failed(_) => return Some(Ending::Lost),
                Flush::Blocked if self.outbox.poll_writable(cx).is_ready() => {}
                Flush::Blocked => break,
            }
        }
        let written = self.outbox.written();
        let stall = self.stall.get_or_insert_with(|| {
            Box::new(Stall {
                written,
                timeout: Box::pin(sleep(STALL_TIMEOUT)),
            })
        });
        if stall.written != written {
            stall.written = written;
            stall.timeout.as_mut().reset(Instant::now() + STALL_TIMEOUT);
        }
        if stall.timeout.as_mut().poll(cx).is_ready() {
            return Some(self.close(close::SLOW_CONSUMER, Ending::Stalled));
        }
        None
    }

    fn handle_text(&mut self, text: &str) -> Option<Ending> {
        match &mut self.phase {
            Phase::Stranger(stranger) => {
                let handshake = stranger.handshake.take()?;
                let now_ms = self.shared.clock.now_ms();
                let (devices, limiter) = (&self.shared.pairing, &self.shared.limiter);
                let verdict = handshake.receive(text, now_ms, devices, limiter);
                self.settle(verdict)
            }
            Phase::Open(_) => self.handle_request(text),
            Phase::Over => None,
        }
    }

    fn settle(&mut self, verdict: Verdict) -> Option<Ending> {
        if self.outbox.is_over() {
            // Dismissed while the store was being asked; nothing can be said any more.
            return Some(Ending::ClosedByHub);
        }
        match verdict {
            Verdict::Accept(accepted) => {
                self.open(*accepted);
                None
            }
            Verdict::Refuse(refusal) => Some(self.refuse(&refusal)),
            Verdict::NeedWhois(need) => {
                let shared = Arc::clone(&self.shared);
                self.decide_by(async move {
                    let owner = shared.whois.login(need.address()).await;
                    let now_ms = shared.clock.now_ms();
                    let (devices, limiter) = (&shared.pairing, &shared.limiter);
                    need.answered(owner.as_deref(), now_ms, devices, limiter)
                });
                None
            }
            Verdict::NeedPairing(need) => {
                let ask = need.ask();
                self.membership.claim(ask.device.id(), ask.role);
                let pairing = self.shared.pairing.clone();
                self.decide_by(async move {
                    let outcome = pairing.commit(need.ask().clone()).await;
                    need.decided(outcome)
                });
                None
            }
        }
    }

    /// The verdict takes a while; nothing is read until then.
    fn decide_by(&mut self, deciding: impl Future<Output = Verdict> + Send + 'static) {
        if let Phase::Stranger(stranger) = &mut self.phase {
            stranger.deciding = Some(Box::pin(deciding));
        }
    }

    fn open(&mut self, mut accepted: Accepted) {
        let offer = Offer::take(&mut accepted.params);
        let caller = Caller::new(CallerInfo {
            conn_id: uuid::Uuid::new_v4().to_string(),
            protocol: accepted.protocol,
            role: accepted.role,
            scopes: accepted.scopes,
            client: accepted.params.client,
            device_id: accepted.device.map(|device| device.id().to_owned()),
            remote_ip: accepted
                .locality
                .reported_ip
                .map(|address| address.to_string()),
            is_local: accepted.locality.local,
        });
        tracing::debug!(
            conn = caller.conn_id,
            client = %caller.client.id,
            mode = %caller.client.mode,
            role = caller.role.as_str(),
            device = caller.device_id,
            "connected"
        );
        let shared = &self.shared;
        let uptime_ms = u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.membership.accept(&caller, &self.outbox, |snapshot| {
            let (id, grant) = (&accepted.request_id, accepted.grant.as_ref());
            shared.hello.frame(&caller, id, &snapshot, uptime_ms, grant)
        });
        if caller.role == Role::Node {
            let line = self.membership.line();
            let place = shared.nodes.connect(&caller, offer, line.clone());
            shared.service.greet(&place, &line);
            self.node = Some(place);
        } else {
            shared.service.welcome(&caller, &self.membership.line());
        }
        self.phase = Phase::Open(caller);
    }

    fn refuse(&mut self, refusal: &Refusal) -> Ending {
        if let Phase::Stranger(stranger) = &self.phase {
            let (peer, cause) = (stranger.ends, &refusal.cause);
            match cause {
                // Each wrong secret before was noted; what follows could fill the disk. It is counted.
                Cause::TooManyAttempts { .. } => {
                    tracing::debug!(%peer, %cause, "connection refused");
                }
                _ => tracing::info!(%peer, %cause, "connection refused"),
            }
        }
        self.shared.counters.refused(&refusal.cause);
        if let Some(response) = &refusal.response {
            self.outbox.send(response.clone());
        }
        self.outbox.close(refusal.close.code, &refusal.close.reason);
        self.phase = Phase::Over;
        Ending::Refused
    }

    /// A message after hello-ok (contract 1.5). The order of its checks: a frame, allowed, known, its params.
    fn handle_request(&mut self, text: &str) -> Option<Ending> {
        let Phase::Open(caller) = &self.phase else {
            return None;
        };
        if self.outbox.is_over() {
            // Dismissed in this very turn: what was read before is not carried out any more.
            return Some(Ending::ClosedByHub);
        }
        let version = caller.protocol;
        let is_newest = version == protocol::VERSION;
        let denial = Cell::new(None);
        let authorize = |name: &str| {
            if is_newest {
                methods::authorize(caller.role, &caller.scopes, name)
            } else {
                methods::authorize_at(version, caller.role, &caller.scopes, name)
            }
        };
        let gate = |name: &str| match authorize(name) {
            Ok(method) if !method.spec().handshake => Some(method),
            Ok(_) => {
                denial.set(Some(errors::CONNECT_REPEATED.error()));
                None
            }
            Err(refusal) => {
                denial.set(Some(refusal.error()));
                None
            }
        };
        let read = if is_newest {
            call::read_request(text, gate)
        } else {
            call::read_request_at(text, version, gate)
        };
        match read {
            Ok(request) => {
                let id = &*request.id;
                let Some(call) = request.params else {
                    let error = denial
                        .take()
                        .unwrap_or_else(|| errors::INTERNAL_ERROR.error());
                    self.answer_error(id, &error);
                    return None;
                };
                let method = call.method();
                tracing::trace!(conn = caller.conn_id, id, method = method.name(), "request");
                if self.requests.lacks_room_for(method) {
                    let text = format!(
                        "{MAX_SECOND_STAGES} requests of this connection are not finished yet"
                    );
                    self.answer_error(id, &ErrorCode::Unavailable.error(text));
                    return None;
                }
                let service = Arc::clone(&self.shared.service);
                match service.call(caller.clone(), id.to_owned(), call) {
                    Ok(mut future) => {
                        if !is_newest {
                            future =
                                Box::pin(
                                    async move { method.spec().answer_at(version, future.await) },
                                );
                        }
                        if let Some(frame) = self.requests.start(method, id, future) {
                            self.outbox.send(frame);
                        }
                    }
                    Err(_) => self.answer_error(id, &errors::CONNECT_REPEATED.error()),
                }
                None
            }
            Err(Problem::Params {
                id,
                method,
                violations,
            }) => {
                let known = errors::INVALID_PARAMS;
                let problems = rt::describe(&violations);
                let error = known.with(&[("method", method.name()), ("problems", &problems)]);
                self.answer_error(&id, &with_issues(error, violations));
                None
            }
            Err(Problem::Frame { id, violations }) => {
                let error = errors::INVALID_FRAME.with(&[("problems", &rt::describe(&violations))]);
                // An empty id would make the response one that its own definition refuses.
                let id = id.as_deref().filter(|id| !id.is_empty());
                let id = id.unwrap_or(texts::UNKNOWN_REQUEST_ID);
                self.answer_error(id, &with_issues(error, violations));
                self.bad_frame()
            }
            Err(Problem::NotJson) => self.bad_frame(),
        }
    }

    /// Counts a message that was no request (odd 33).
    fn bad_frame(&mut self) -> Option<Ending> {
        self.shared.counters.bad_frame();
        self.bad_frames += 1;
        (self.bad_frames > limits::BAD_FRAMES_MAX)
            .then(|| self.close(close::TOO_MANY_BAD_FRAMES, Ending::TooManyBadFrames))
    }

    fn answer_error(&self, id: &str, error: &ErrorShape) {
        self.outbox.send(rt::error_frame(id, error, None::<&()>));
    }

    fn close(&mut self, close: Close, ending: Ending) -> Ending {
        self.outbox.close(close.code, close.reason);
        ending
    }
}

#[cfg(test)]
impl Link {
    /// The connection of a caller who was accepted.
    pub(super) fn of_test(
        shared: Arc<Shared>,
        outbox: Arc<Outbox>,
        membership: Membership,
        caller: Caller,
    ) -> Self {
        Self {
            shared,
            outbox,
            membership,
            node: None,
            phase: Phase::Open(caller),
            requests: Requests::default(),
            bad_frames: 0,
            frames: 0,
            stall: None,
        }
    }
}

/// Stands for bytes that are not even text.
const NOT_JSON: &str = "";

/// Adds the violations as data.
pub(crate) fn with_issues(mut error: ErrorShape, violations: Vec<Violation>) -> ErrorShape {
    let issue = |violation: Violation| {
        let keyword = NonEmptyString::or(violation.keyword, "schema");
        InvalidParamsIssue::new(
            violation.path,
            keyword,
            NonEmptyString::or(violation.message, "is invalid"),
        )
    };
    let details = InvalidParamsDetails::new(violations.into_iter().map(issue).collect());
    error.details = serde_json::to_value(details).ok();
    error
}
