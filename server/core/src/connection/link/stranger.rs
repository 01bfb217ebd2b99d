//! A connection that nobody has accepted yet: its handshake, and how it ends.

use std::sync::Arc;
use std::task::{Context, Poll};

use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::BoxFuture;

use super::{Link, Phase};
use crate::connection::caller::{Caller, CallerInfo};
use crate::connection::deadlines::Deadline;
use crate::connection::ending::Ending;
use crate::connection::handshake::{Accepted, Handshake, Refusal, Verdict};
use crate::connection::ids;
use crate::http::HandshakePlace;
use crate::net::Ends;
use crate::nodes::Offer;

/// A connection in its handshake.
pub(in crate::connection) struct Stranger {
    /// Taken by the first message.
    pub(super) handshake: Option<Handshake>,
    /// The verdict, when the store has to be asked for it. Until then nothing further is read (odd 1).
    pub(super) deciding: Option<BoxFuture<'static, Verdict>>,
    deadline: Deadline,
    ends: Ends,
    _place: HandshakePlace,
}

impl Stranger {
    /// A connection that has to be accepted before `deadline`.
    pub(in crate::connection) fn new(
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
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Option<Ending> {
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

    pub(super) fn settle(&mut self, verdict: Verdict) -> Option<Ending> {
        if self.outbox.is_over() {
            // Dismissed while the store was being asked; nothing can be said any more.
            return Some(Ending::ClosedByHub);
        }
        match verdict {
            Verdict::Accept(accepted) => {
                self.open(accepted);
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

    fn open(&mut self, mut accepted: Box<Accepted>) {
        let offer = Offer::take(&mut accepted.params);
        let caller = Caller::new(CallerInfo {
            conn_id: ids::fresh(),
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
            let now_ms = self.shared.clock.now_ms();
            if self.shared.refusals.is_worth_a_line(cause.reason(), now_ms) {
                tracing::info!(%peer, %cause, "connection refused");
            } else {
                tracing::debug!(%peer, %cause, "connection refused");
            }
        }
        self.shared.refusals.count(refusal.cause.reason());
        if let Some(response) = &refusal.response {
            self.outbox.send(response.clone());
        }
        self.outbox.close(refusal.close.code, &refusal.close.reason);
        self.phase = Phase::Over;
        Ending::Refused
    }
}
