//! One cell of the table of doors: what is shown, by whom, from where, and what has to become of it.

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    Token,
    Password,
    /// Token mode without a token, as with Tailscale alone.
    Unset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Token,
    WrongToken,
    Password,
    WrongPassword,
    JunkTokenAndPassword,
    DeviceToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
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
pub(super) enum Device {
    None,
    Paired,
    New,
    PairedWithoutNonce,
    NewWithoutNonce,
    OtherNonce,
    BrokenSignature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Program,
    ControlUi,
    /// With `allowInsecureAuth`.
    ControlUiInsecure,
    /// With `dangerouslyDisableDeviceAuth`.
    ControlUiUnchecked,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) secret: Secret,
    pub(super) shown: Shown,
    pub(super) place: Place,
    pub(super) device: Device,
    pub(super) role: Role,
    pub(super) who: Who,
    pub(super) strict: bool,
    pub(super) guessed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
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

pub(super) const SHOWN: [Shown; 7] = [
    Shown::Nothing,
    Shown::Token,
    Shown::WrongToken,
    Shown::Password,
    Shown::WrongPassword,
    Shown::JunkTokenAndPassword,
    Shown::DeviceToken,
];
pub(super) const PLACES: [Place; 14] = [
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
pub(super) const DEVICES: [Device; 7] = [
    Device::None,
    Device::Paired,
    Device::New,
    Device::PairedWithoutNonce,
    Device::NewWithoutNonce,
    Device::OtherNonce,
    Device::BrokenSignature,
];
pub(super) const WHO: [Who; 4] = [
    Who::Program,
    Who::ControlUi,
    Who::ControlUiInsecure,
    Who::ControlUiUnchecked,
];

pub(super) const IDENTITY: End = End::Refused("device identity");
pub(super) const NO_DEVICE: End = End::Refused("no device");
pub(super) const INSECURE: End = End::Refused("insecure control UI");
pub(super) const UNAUTHORIZED: End = End::Refused("unauthorized");
pub(super) const TOO_MANY: End = End::Refused("too many attempts");

/// The rules of authentication and pairing, in words of their own.
pub(super) fn expected(cell: Cell) -> End {
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
    // A member of the tailnet is known by a device; without one it needs the secret.
    let is_known_otherwise = match cell.place {
        Place::Socket => true,
        Place::Served => device != Device::None,
        _ => false,
    };
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

pub(super) fn is_local(place: Place) -> bool {
    matches!(
        place,
        Place::Here | Place::OwnPage | Place::Tailnet | Place::ProxyForHere | Place::Socket
    )
}

/// Against whom a wrong secret from there counts: address, page of a foreign origin.
pub(super) fn guesser(place: Place) -> Option<(&'static str, bool)> {
    match place {
        Place::Here | Place::OtherName | Place::ProxyForHere | Place::Socket => None,
        Place::OwnPage | Place::UnknownProxy | Place::SocketProxy => Some(("127.0.0.1", false)),
        Place::Served | Place::ServedLie => Some(("127.0.0.1", false)),
        Place::ForeignPage | Place::ServedForeignPage => Some(("127.0.0.1", true)),
        Place::Tailnet => Some(("100.101.102.103", false)),
        Place::Remote | Place::ProxyForRemote => Some(("192.0.2.7", false)),
    }
}
