//! Every door in every state: secret of the gateway × what is shown × where it comes from × device × role × client ×
//! strict × guesses before. What is expected is worked out from the rules below, which are written from the contract
//! (2.3, 2.6, 2.7) and docs/security.md, not from the code.

mod cells;

use std::thread;

use super::*;
use crate::connection::limiter::{FREE_FAILURES, Guesser, Limiter};
use crate::net::Network;
use cells::*;

fn facts(place: Place) -> PeerFacts {
    let text = |text: &str| Some(text.to_owned());
    let from = |peer: &str, host: &str| PeerFacts {
        host: text(host),
        ..PeerFacts::direct(peer.parse().unwrap(), "127.0.0.1".parse().unwrap())
    };
    let here = || from("127.0.0.1", "127.0.0.1:18789");
    let served = |origin: &str| PeerFacts {
        origin: text(origin),
        forwarded_for: text("100.64.0.7"),
        forwarded_host: text("box.tail1.ts.net"),
        forwarded_proto: true,
        tailscale_login: text("alice@example.com"),
        ..from("127.0.0.1", "box.tail1.ts.net")
    };
    match place {
        Place::Here => here(),
        Place::OwnPage => PeerFacts {
            origin: text("http://127.0.0.1:18789"),
            ..here()
        },
        Place::ForeignPage => PeerFacts {
            origin: text("https://evil.example"),
            ..here()
        },
        Place::OtherName => from("127.0.0.1", "gateway.example:18789"),
        Place::Tailnet => from("100.101.102.103", "100.101.102.103:18789"),
        Place::Remote => from("192.0.2.7", "127.0.0.1:18789"),
        Place::UnknownProxy => PeerFacts {
            forwarded_for: text("127.0.0.1"),
            ..here()
        },
        Place::ProxyForRemote => PeerFacts {
            forwarded_for: text("127.0.0.1, 192.0.2.7"),
            ..from("10.0.0.1", "localhost")
        },
        Place::ProxyForHere => PeerFacts {
            forwarded_for: text("127.0.0.1"),
            // On this host, beside the untrusted one.
            ..from("127.0.0.9", "localhost")
        },
        Place::Socket => PeerFacts::by_socket(),
        Place::SocketProxy => PeerFacts {
            forwarded_for: text("127.0.0.1"),
            ..PeerFacts::by_socket()
        },
        Place::Served | Place::ServedLie => served("https://box.tail1.ts.net"),
        Place::ServedForeignPage => served("https://evil.example"),
    }
}

/// Devices of which one is paired, or none; a device that has to be paired is left to the caller.
struct Known {
    is_paired: bool,
}

impl Devices for Known {
    fn key(&self, _: &str) -> Option<VerifyingKey> {
        None
    }

    fn accepts(&self, _: &VerifiedDevice, role: Role, _: &[String], token: &str) -> bool {
        self.is_paired && role == Role::Operator && token == DEVICE_TOKEN
    }

    fn decide(&self, ask: &Ask) -> Decision {
        match (self.is_paired, ask.optional) {
            (true, _) => Decision::Granted(grant()),
            (false, true) => Decision::Unpaired,
            (false, false) => Decision::Undecided,
        }
    }
}

fn policy(cell: Cell) -> Policy {
    Policy {
        auth: match cell.secret {
            Secret::Token => Auth::new(AuthMode::Token, Some("tok")),
            Secret::Password => Auth::new(AuthMode::Password, Some("pw")),
            Secret::Unset => Auth::new(AuthMode::Token, None),
        },
        trust: Trust::new(
            &["10.0.0.1".into(), "127.0.0.9".into()],
            &["100.101.102.103".parse().unwrap()],
            &[],
        ),
        allow_insecure_auth: cell.who == Who::ControlUiInsecure,
        disable_device_auth: cell.who == Who::ControlUiUnchecked,
        strict_devices: cell.strict,
        allow_tailscale: true,
    }
}

fn frame(cell: Cell) -> Value {
    connect(|params| {
        params["auth"] = match cell.shown {
            Shown::Nothing => json!({"token": ""}),
            Shown::Token => json!({"token": "tok"}),
            Shown::WrongToken => json!({"token": "tox"}),
            Shown::Password => json!({"password": "pw"}),
            Shown::WrongPassword => json!({"password": "px"}),
            Shown::JunkTokenAndPassword => json!({"token": "junk", "password": "pw"}),
            Shown::DeviceToken => json!({"token": DEVICE_TOKEN}),
        };
        params["role"] = json!(cell.role.as_str());
        if cell.who != Who::Program {
            control_ui(params);
        }
        match cell.device {
            Device::None => {}
            Device::Paired | Device::New => sign(params, Some(NONCE)),
            Device::PairedWithoutNonce | Device::NewWithoutNonce => sign(params, None),
            Device::OtherNonce => sign(params, Some("00000000-0000-4000-8000-000000000000")),
            Device::BrokenSignature => {
                sign(params, Some(NONCE));
                params["device"]["signedAt"] = json!(NOW + 1);
            }
        }
    })
}

fn end(verdict: &Verdict, place: Place) -> End {
    match verdict {
        Verdict::Accept(accepted) => End::In {
            paired: accepted.grant.is_some(),
        },
        Verdict::NeedPairing(need) => {
            assert_eq!(need.ask().local, is_local(place));
            if need.ask().local {
                End::PairedSilently
            } else {
                End::OperatorAsked
            }
        }
        Verdict::Refuse(refusal) => {
            assert_eq!(refusal.close.code, 1008);
            End::Refused(match refusal.cause {
                Cause::Identity(_) => "device identity",
                Cause::DeviceRequired => "no device",
                Cause::ControlUiInsecure => "insecure control UI",
                Cause::Unauthorized { .. } => "unauthorized",
                Cause::TooManyAttempts { .. } => "too many attempts",
                _ => "otherwise",
            })
        }
        Verdict::NeedWhois(_) => panic!("asked twice"),
    }
}

/// Walks through one door and says what must be counted afterwards.
fn walk(cell: Cell, text: &str) {
    let key = guesser(cell.place).map(|(address, is_foreign_page)| Guesser {
        network: Network::of(address.parse().unwrap()),
        is_foreign_page,
    });
    let limiter = Limiter::default();
    for _ in 0..FREE_FAILURES + u32::from(cell.guessed) {
        key.inspect(|key| limiter.failed(*key, NOW));
    }
    let devices = Known {
        is_paired: matches!(cell.device, Device::Paired | Device::PairedWithoutNonce),
    };
    let handshake = Handshake::new(Arc::new(policy(cell)), &facts(cell.place), NONCE.to_owned());
    let mut verdict = handshake.receive(text, NOW, &devices, &limiter);
    if let Verdict::NeedWhois(need) = verdict {
        assert!(
            matches!(cell.place, Place::Served | Place::ServedLie),
            "{cell:?}"
        );
        assert_eq!(need.address().to_string(), "100.64.0.7");
        let owner = match cell.place {
            Place::Served => "Alice@Example.com",
            _ => "mallory@example.com",
        };
        verdict = need.answered(Some(owner), NOW, &devices, &limiter);
    }
    let (found, expected) = (end(&verdict, cell.place), expected(cell));
    assert_eq!(found, expected, "{cell:?}");

    // One failure was left before the first pause.
    let Some(key) = key else { return };
    let is_guess = expected == UNAUTHORIZED && cell.shown != Shown::Nothing;
    let now_waits = limiter.wait_ms(key, NOW).is_some();
    assert_eq!(now_waits, cell.guessed || is_guess, "counted: {cell:?}");
}

#[test]
fn every_door() {
    let walked: usize = thread::scope(|scope| {
        [Secret::Token, Secret::Password, Secret::Unset]
            .map(|secret| scope.spawn(move || walk_all(secret)))
            .map(|walk| walk.join().unwrap())
            .iter()
            .sum()
    });
    println!("{walked} cells of the door table");
    assert_eq!(walked, 3 * 7 * 14 * 7 * 2 * 4 * 2 * 2);
}

fn walk_all(secret: Secret) -> usize {
    let mut walked = 0;
    for (shown, role, who, device) in SHOWN.iter().flat_map(|shown| {
        [Role::Operator, Role::Node]
            .into_iter()
            .flat_map(move |role| {
                WHO.iter().flat_map(move |who| {
                    DEVICES
                        .iter()
                        .map(move |device| (*shown, role, *who, *device))
                })
            })
    }) {
        let mut cell = Cell {
            secret,
            shown,
            place: Place::Here,
            device,
            role,
            who,
            strict: false,
            guessed: false,
        };
        // The same words from everywhere.
        let text = frame(cell).to_string();
        for place in PLACES {
            for (strict, guessed) in [(false, false), (false, true), (true, false), (true, true)] {
                (cell.place, cell.strict, cell.guessed) = (place, strict, guessed);
                walk(cell, &text);
                walked += 1;
            }
        }
    }
    walked
}

/// Who knew the secret is not held responsible for what was guessed before; who holds a device's own token is.
#[test]
fn only_the_shared_secret_wipes_the_slate() {
    for (shown, wiped) in [(Shown::Token, true), (Shown::DeviceToken, false)] {
        let cell = Cell {
            secret: Secret::Token,
            shown,
            place: Place::Remote,
            device: Device::Paired,
            role: Role::Operator,
            who: Who::Program,
            strict: false,
            guessed: false,
        };
        let key = Guesser {
            network: Network::of("192.0.2.7".parse().unwrap()),
            is_foreign_page: false,
        };
        let limiter = Limiter::default();
        for _ in 0..FREE_FAILURES {
            limiter.failed(key, NOW);
        }
        let handshake =
            Handshake::new(Arc::new(policy(cell)), &facts(cell.place), NONCE.to_owned());
        let devices = Known { is_paired: true };
        let verdict = handshake.receive(&frame(cell).to_string(), NOW, &devices, &limiter);
        assert_eq!(end(&verdict, cell.place), End::In { paired: true });
        limiter.failed(key, NOW);
        assert_eq!(limiter.wait_ms(key, NOW).is_none(), wiped, "{shown:?}");
    }
}

/// What a client is told that guessed too often.
#[test]
fn too_many_attempts_are_answered() {
    let gate = Gate::remote().with(|_| {});
    let mut gate = gate;
    gate.peer = facts(Place::Remote);
    let wrong = connect(|params| params["auth"]["token"] = json!("tox")).to_string();
    for _ in 0..=FREE_FAILURES {
        let mismatch = "unauthorized: gateway token mismatch (provide gateway auth token)";
        refuses("wrong", &gate, &wrong, Seen::invalid(mismatch));
    }
    let message = "unauthorized: too many failed attempts (try again in 1 s)";
    let mut expected = Seen::error("UNAVAILABLE", message);
    let error = &mut expected.response.as_mut().unwrap()["error"];
    error["retryable"] = json!(true);
    error["retryAfterMs"] = json!(1000);
    refuses("blocked", &gate, &connect(|_| {}).to_string(), expected);
}
