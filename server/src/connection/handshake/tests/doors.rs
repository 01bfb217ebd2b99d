//! Every door in every state: secret of the gateway × what is shown × where it comes from × device × role × client ×
//! strict × guesses before. What is expected is worked out from the rules below, which are written from the contract
//! (2.3, 2.6, 2.7) and docs/security.md, not from the code.

use std::thread;

use super::*;
use crate::connection::limiter::{FREE_FAILURES, Guesser, Limiter};
use crate::net::Network;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secret {
    Token,
    Password,
    /// Token mode without a token, as with Tailscale alone.
    Unset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Token,
    WrongToken,
    Password,
    WrongPassword,
    JunkTokenAndPassword,
    DeviceToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A program of this host.
    Here,
    /// The gateway's own page in a browser of this host.
    OwnPage,
    /// Somebody's page in a browser of this host.
    ForeignPage,
    /// A program of this host that uses a name which is not this host's.
    OtherName,
    /// This host by its own tailnet address.
    Tailnet,
    Remote,
    /// A proxy on this host that nobody trusts.
    UnknownProxy,
    /// A trusted proxy for a client elsewhere.
    ProxyForRemote,
    /// A trusted proxy for a client of this host.
    ProxyForHere,
    Socket,
    /// A proxy in front of the Unix socket.
    SocketProxy,
    /// `tailscale serve`; the tailnet says the same as the header.
    Served,
    /// As above; the tailnet says otherwise.
    ServedLie,
    /// As `Served`, for somebody's page in that user's browser.
    ServedForeignPage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    None,
    Paired,
    New,
    PairedWithoutNonce,
    NewWithoutNonce,
    OtherNonce,
    BrokenSignature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Program,
    ControlUi,
    /// With `allowInsecureAuth`.
    ControlUiInsecure,
    /// With `dangerouslyDisableDeviceAuth`.
    ControlUiUnchecked,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    secret: Secret,
    shown: Shown,
    place: Place,
    device: Device,
    role: Role,
    who: Who,
    strict: bool,
    guessed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// In, with the grant of a paired device or without one.
    In {
        paired: bool,
    },
    /// In once the pairing is written, without asking anybody.
    PairedSilently,
    /// An operator is asked.
    OperatorAsked,
    Refused(&'static str),
}

const SHOWN: [Shown; 7] = [
    Shown::Nothing,
    Shown::Token,
    Shown::WrongToken,
    Shown::Password,
    Shown::WrongPassword,
    Shown::JunkTokenAndPassword,
    Shown::DeviceToken,
];
const PLACES: [Place; 14] = [
    Place::Here,
    Place::OwnPage,
    Place::ForeignPage,
    Place::OtherName,
    Place::Tailnet,
    Place::Remote,
    Place::UnknownProxy,
    Place::ProxyForRemote,
    Place::ProxyForHere,
    Place::Socket,
    Place::SocketProxy,
    Place::Served,
    Place::ServedLie,
    Place::ServedForeignPage,
];
const DEVICES: [Device; 7] = [
    Device::None,
    Device::Paired,
    Device::New,
    Device::PairedWithoutNonce,
    Device::NewWithoutNonce,
    Device::OtherNonce,
    Device::BrokenSignature,
];
const WHO: [Who; 4] = [
    Who::Program,
    Who::ControlUi,
    Who::ControlUiInsecure,
    Who::ControlUiUnchecked,
];

const IDENTITY: End = End::Refused("device identity");
const NO_DEVICE: End = End::Refused("no device");
const INSECURE: End = End::Refused("insecure control UI");
const UNAUTHORIZED: End = End::Refused("unauthorized");
const TOO_MANY: End = End::Refused("too many attempts");

/// The rules of authentication and pairing, in words of their own.
fn expected(cell: Cell) -> End {
    let is_ui = cell.who != Who::Program;
    // Strict leaves the Control UI no way around its device.
    let is_excused_ui =
        !cell.strict && matches!(cell.who, Who::ControlUiInsecure | Who::ControlUiUnchecked);
    let is_unchecked = !cell.strict && cell.who == Who::ControlUiUnchecked;
    let device = if is_unchecked {
        Device::None
    } else {
        cell.device
    };
    let shows_token = matches!(
        cell.shown,
        Shown::Token | Shown::WrongToken | Shown::JunkTokenAndPassword | Shown::DeviceToken
    );
    let shows_password = matches!(
        cell.shown,
        Shown::Password | Shown::WrongPassword | Shown::JunkTokenAndPassword
    );

    match device {
        Device::None if is_ui && !is_excused_ui => return INSECURE,
        Device::None if cell.strict => return NO_DEVICE,
        Device::None if is_excused_ui && !shows_token && !shows_password => return NO_DEVICE,
        Device::None if is_excused_ui || cell.place == Place::Socket || shows_token => {}
        Device::None if shows_password && cell.secret == Secret::Password => {}
        Device::None => return NO_DEVICE,
        Device::OtherNonce | Device::BrokenSignature => return IDENTITY,
        Device::PairedWithoutNonce | Device::NewWithoutNonce => {
            if cell.strict || !is_local(cell.place) {
                return IDENTITY;
            }
        }
        Device::Paired | Device::New => {}
    }

    let is_paired = matches!(device, Device::Paired | Device::PairedWithoutNonce);
    let knows_secret = matches!(
        (cell.secret, cell.shown),
        (Secret::Token, Shown::Token)
            | (
                Secret::Password,
                Shown::Password | Shown::JunkTokenAndPassword
            )
    );
    let holds_token = cell.shown == Shown::DeviceToken && is_paired && cell.role == Role::Operator;
    let is_known_otherwise = matches!(cell.place, Place::Socket | Place::Served);
    let is_blocked =
        cell.guessed && guesser(cell.place).is_some() && (shows_token || shows_password);
    if !is_known_otherwise {
        if is_blocked && !holds_token {
            return TOO_MANY;
        }
        if !is_blocked && !knows_secret && !holds_token {
            return UNAUTHORIZED;
        }
    }

    match device {
        Device::None => End::In { paired: false },
        _ if is_paired => End::In { paired: true },
        _ if is_excused_ui && (shows_token || shows_password) => End::In { paired: false },
        _ if is_local(cell.place) => End::PairedSilently,
        _ => End::OperatorAsked,
    }
}

fn is_local(place: Place) -> bool {
    matches!(
        place,
        Place::Here | Place::OwnPage | Place::Tailnet | Place::ProxyForHere | Place::Socket
    )
}

/// Against whom a wrong secret from there counts: address, page of a foreign origin.
fn guesser(place: Place) -> Option<(&'static str, bool)> {
    match place {
        Place::Here | Place::OtherName | Place::ProxyForHere | Place::Socket => None,
        Place::OwnPage | Place::UnknownProxy | Place::SocketProxy => Some(("127.0.0.1", false)),
        Place::Served | Place::ServedLie => Some(("127.0.0.1", false)),
        Place::ForeignPage | Place::ServedForeignPage => Some(("127.0.0.1", true)),
        Place::Tailnet => Some(("100.101.102.103", false)),
        Place::Remote | Place::ProxyForRemote => Some(("192.0.2.7", false)),
    }
}

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
    let handshake = Handshake::new(
        Arc::new(policy(cell)),
        &facts(cell.place),
        NONCE.parse().unwrap(),
    );
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
        let handshake = Handshake::new(
            Arc::new(policy(cell)),
            &facts(cell.place),
            NONCE.parse().unwrap(),
        );
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
