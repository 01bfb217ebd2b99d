//! The gateway's secret over HTTP (contract 10.2): `Authorization: Bearer`, a proven member of the tailnet, or the Unix
//! socket. Wrong secrets are counted together with those of WebSocket clients, so that there is one budget of guesses.

use std::sync::Arc;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use openclaw_protocol::types::RefusalReason;
use serde_json::json;

use super::answer::{self, Response};
use crate::clock::Clock;
use crate::connection::auth::Credentials;
use crate::connection::handshake::Policy;
use crate::connection::limiter::{Guesser, Limiter};
use crate::connection::locality::PeerFacts;
use crate::connection::tailscale::{Claim, Whois};
use crate::net::Ends;
use crate::refusals::Refusals;

/// Decides who may use the surfaces that programs talk to.
pub struct Doors {
    /// Who may connect.
    pub policy: Arc<Policy>,
    /// Wrong secrets.
    pub limiter: Arc<Limiter>,
    /// Members of the tailnet.
    pub whois: Arc<Whois>,
    /// Who was not let in.
    pub refusals: Arc<Refusals>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
}

/// Why somebody stays outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    /// Every client has to show a device, and nothing here carries one.
    NeedsDevice,
    /// No secret, or a wrong one.
    Unauthorized,
    /// Too many wrong ones; to be tried again after so many milliseconds.
    TooManyAttempts {
        /// Milliseconds.
        wait_ms: u64,
    },
}

impl Doors {
    /// Lets a request in.
    ///
    /// # Errors
    /// [`Outside`], counted.
    pub(super) async fn enter(&self, ends: Ends, headers: &HeaderMap) -> Result<(), Outside> {
        let judged = self.judge(ends, headers).await;
        if let Err(outside) = judged {
            self.refusals.count(outside.reason());
        }
        judged
    }

    async fn judge(&self, ends: Ends, headers: &HeaderMap) -> Result<(), Outside> {
        if self.policy.strict_devices {
            return Err(Outside::NeedsDevice);
        }
        let facts = PeerFacts::of_request(ends, headers);
        let locality = self.policy.trust.judge(&facts);
        if locality.is_vouched_for {
            return Ok(());
        }
        let may_claim = self.policy.allow_tailscale && !locality.local && !locality.is_foreign_page;
        if may_claim && let Some(claim) = Claim::of(&facts) {
            let owner = self.whois.login(claim.address).await;
            if claim.is_proven_by(owner.as_deref()) {
                return Ok(());
            }
        }
        let secret = bearer(headers);
        let guesser = locality.guesser.filter(|_| secret.is_some());
        weigh(&self.limiter, guesser, self.clock.now_ms(), || {
            // The mode decides which of the two it has to be.
            let shown = Credentials::new(secret, secret);
            self.policy.auth.check(&shown).is_ok()
        })
    }
}

/// Looks at what a request shows, unless `guesser` has to wait, and notes whether it was right. Without a guesser nobody
/// waits: native clients of this host, and requests that show nothing.
///
/// # Errors
/// [`Outside`]; the caller counts it.
pub(super) fn weigh(
    limiter: &Limiter,
    guesser: Option<Guesser>,
    now_ms: u64,
    is_right: impl FnOnce() -> bool,
) -> Result<(), Outside> {
    let Some(guesser) = guesser else {
        return is_right().then_some(()).ok_or(Outside::Unauthorized);
    };
    if let Some(wait_ms) = limiter.wait_ms(guesser, now_ms) {
        return Err(Outside::TooManyAttempts { wait_ms });
    }
    if !is_right() {
        limiter.failed(guesser, now_ms);
        return Err(Outside::Unauthorized);
    }
    limiter.knew(guesser);
    Ok(())
}

impl Outside {
    /// The word under which it is counted.
    pub(super) fn reason(self) -> RefusalReason {
        match self {
            Self::NeedsDevice => RefusalReason::NoDevice,
            Self::Unauthorized => RefusalReason::HttpUnauthorized,
            Self::TooManyAttempts { .. } => RefusalReason::HttpTooManyAttempts,
        }
    }

    /// The refusal of the OpenAI surfaces.
    pub(super) fn answer(self) -> Response {
        let error =
            |message: &str, kind: &str| json!({"error": {"message": message, "type": kind}});
        match self {
            Self::NeedsDevice => answer::json(
                StatusCode::FORBIDDEN,
                &error(
                    "gateway.auth.strictDevices is on: only clients that show a device come in, over the WebSocket",
                    "forbidden",
                ),
            ),
            Self::Unauthorized => answer::json(
                StatusCode::UNAUTHORIZED,
                &error("Unauthorized", "unauthorized"),
            ),
            Self::TooManyAttempts { wait_ms } => {
                let message = "too many wrong secrets; try again later";
                let response = answer::json(
                    StatusCode::TOO_MANY_REQUESTS,
                    &error(message, "rate_limited"),
                );
                answer::not_before(response, wait_ms)
            }
        }
    }
}

/// The secret of an `Authorization: Bearer` header. The scheme's name is read in any case (RFC 9110).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.trim().split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use hyper::header::HeaderValue;

    use super::*;
    use crate::clock::ManualClock;
    use crate::config::AuthMode;
    use crate::connection::auth::Auth;
    use crate::connection::limiter::{FIRST_PAUSE_MS, FREE_FAILURES};
    use crate::connection::locality::Trust;

    fn doors_of(mode: AuthMode, strict_devices: bool) -> (Doors, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(1_000));
        let handle = tokio::runtime::Handle::current();
        let whois = Whois::new("/nonexistent".into(), handle, clock.clone());
        let policy = Policy {
            auth: Auth::new(mode, Some("right")),
            trust: Trust::default(),
            allow_insecure_auth: false,
            disable_device_auth: false,
            strict_devices,
            allow_tailscale: false,
        };
        let doors = Doors {
            policy: Arc::new(policy),
            limiter: Arc::default(),
            whois: Arc::new(whois),
            refusals: Arc::default(),
            clock: clock.clone(),
        };
        (doors, clock)
    }

    fn doors(mode: AuthMode) -> (Doors, Arc<ManualClock>) {
        doors_of(mode, false)
    }

    fn from(address: &str) -> Ends {
        let peer: SocketAddr = address.parse().unwrap();
        Ends::Tcp {
            peer,
            local: "192.0.2.100:18789".parse().unwrap(),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                hyper::header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[tokio::test]
    async fn who_comes_in() {
        let here = from("127.0.0.1:5");
        for mode in [AuthMode::Token, AuthMode::Password] {
            let (doors, _) = doors(mode);
            for (ends, pairs, expected) in [
                (here, &[][..], false),
                (here, &[("authorization", "Bearer right")], true),
                (here, &[("authorization", "bearer  right ")], true),
                (here, &[("authorization", "Bearer wrong")], false),
                (here, &[("authorization", "Basic right")], false),
                (here, &[("authorization", "right")], false),
                (here, &[("authorization", "Bearer ")], false),
                (Ends::Unix, &[], true),
                // Something passed it on: the system vouches for that, not for whom it speaks.
                (Ends::Unix, &[("x-forwarded-for", "192.0.2.9")], false),
                (Ends::Unix, &[("origin", "https://evil.example")], false),
            ] {
                let found = doors.enter(ends, &headers(pairs)).await;
                assert_eq!(found.is_ok(), expected, "{mode} {ends} {pairs:?}");
            }
        }
    }

    #[tokio::test]
    async fn nobody_comes_in_where_devices_are_wanted() {
        let (doors, _) = doors_of(AuthMode::Token, true);
        for (ends, pairs) in [
            (
                from("127.0.0.1:5"),
                &[("authorization", "Bearer right")][..],
            ),
            (from("192.0.2.1:5"), &[("authorization", "Bearer right")]),
            (from("192.0.2.1:5"), &[("authorization", "Bearer wrong")]),
            (Ends::Unix, &[]),
        ] {
            let found = doors.enter(ends, &headers(pairs)).await;
            assert_eq!(found, Err(Outside::NeedsDevice), "{ends} {pairs:?}");
        }
        assert_eq!(
            Outside::NeedsDevice.answer().status(),
            StatusCode::FORBIDDEN
        );
    }

    #[tokio::test]
    async fn guesses_are_slowed_down() {
        let (doors, clock) = doors(AuthMode::Token);
        let (stranger, neighbour) = (from("192.0.2.1:5"), from("192.0.2.2:5"));
        let (right, wrong) = (
            headers(&[("authorization", "Bearer right")]),
            headers(&[("authorization", "Bearer wrong")]),
        );
        for _ in 0..=FREE_FAILURES {
            assert_eq!(
                doors.enter(stranger, &wrong).await,
                Err(Outside::Unauthorized)
            );
        }
        let wait = Outside::TooManyAttempts {
            wait_ms: FIRST_PAUSE_MS,
        };
        // Not even the right one is looked at.
        assert_eq!(doors.enter(stranger, &right).await, Err(wait));
        assert_eq!(wait.answer().headers()["retry-after"], "1");
        assert_eq!(doors.enter(neighbour, &right).await, Ok(()));
        // Without a secret nothing is guessed.
        assert_eq!(
            doors.enter(stranger, &HeaderMap::new()).await,
            Err(Outside::Unauthorized)
        );
        assert_eq!(
            doors.refusals.all(),
            [
                (
                    RefusalReason::HttpUnauthorized,
                    u64::from(FREE_FAILURES) + 2
                ),
                (RefusalReason::HttpTooManyAttempts, 1)
            ]
            .into()
        );
        clock.advance(FIRST_PAUSE_MS);
        assert_eq!(doors.enter(stranger, &right).await, Ok(()));
        assert_eq!(
            doors.limiter.wait_ms(
                doors
                    .policy
                    .trust
                    .judge(&PeerFacts::of_request(stranger, &right))
                    .guesser
                    .unwrap(),
                clock.now_ms(),
            ),
            None
        );
    }
}
