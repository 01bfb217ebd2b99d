//! Is this connection local, and which client address may be reported (contract 2.6, odd 4, odd 24).
//!
//! Local means: comes from this very host, by a name of this host, and no page of a foreign origin is behind it. It
//! decides whether a device may leave out the nonce and whether it is paired without asking an operator, so every
//! doubt counts as "not local". Pure; `connection` calls [`Trust::judge`] once per connection with what the upgrade
//! request showed.

use std::net::{IpAddr, Ipv4Addr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HOST, HeaderName, HeaderValue, ORIGIN};

use super::limiter::Guesser;
use crate::net::{Ends, Network};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TAILSCALE_USER_LOGIN: HeaderName = HeaderName::from_static("tailscale-user-login");

/// What the socket and the headers of the upgrade request say about the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFacts {
    /// Address of the other end of the socket.
    pub peer: IpAddr,
    /// Address of our end of the socket; by that it is one of this host's own.
    pub local: IpAddr,
    /// `Host`.
    pub host: Option<String>,
    /// `Origin`; browsers send it, native clients do not.
    pub origin: Option<String>,
    /// `X-Forwarded-For`.
    pub forwarded_for: Option<String>,
    /// `X-Real-IP`.
    pub real_ip: Option<String>,
    /// `X-Forwarded-Host`.
    pub forwarded_host: Option<String>,
    /// `Forwarded` (RFC 7239). Its content is never read, its presence makes a connection non-local.
    pub forwarded: bool,
    /// `X-Forwarded-Proto` is there.
    pub forwarded_proto: bool,
    /// `Tailscale-User-Login`.
    pub tailscale_login: Option<String>,
    /// It came through the Unix socket: the system says that the peer is this user or root. Both addresses are
    /// loopback ones then.
    pub by_socket: bool,
}

impl PeerFacts {
    /// Facts of a direct connection without headers.
    #[must_use]
    pub fn direct(peer: IpAddr, local: IpAddr) -> Self {
        Self {
            peer,
            local,
            host: None,
            origin: None,
            forwarded_for: None,
            real_ip: None,
            forwarded_host: None,
            forwarded: false,
            forwarded_proto: false,
            tailscale_login: None,
            by_socket: false,
        }
    }

    /// Facts of a connection through the Unix socket without headers.
    #[must_use]
    pub fn by_socket() -> Self {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            by_socket: true,
            ..Self::direct(here, here)
        }
    }

    /// Facts of an upgrade request.
    #[must_use]
    pub fn of_request(ends: Ends, headers: &HeaderMap) -> Self {
        let mut facts = match ends {
            Ends::Tcp { peer, local } => Self::direct(peer.ip(), local.ip()),
            Ends::Unix => Self::by_socket(),
        };
        let mut texts = [
            (HOST, &mut facts.host),
            (ORIGIN, &mut facts.origin),
            (X_FORWARDED_FOR, &mut facts.forwarded_for),
            (X_REAL_IP, &mut facts.real_ip),
            (X_FORWARDED_HOST, &mut facts.forwarded_host),
            (TAILSCALE_USER_LOGIN, &mut facts.tailscale_login),
        ];
        // Few headers come and fewer are asked for, so comparing costs less than looking each of them up.
        for (name, value) in headers {
            if let Some((_, text)) = texts.iter_mut().find(|(wanted, _)| wanted == name) {
                join(text, value);
            }
            facts.forwarded |= name == FORWARDED;
            facts.forwarded_proto |= name == X_FORWARDED_PROTO;
        }
        facts
    }

    fn proxied(&self) -> bool {
        self.forwarded
            || self.forwarded_for.is_some()
            || self.real_ip.is_some()
            || self.forwarded_host.is_some()
            || self.forwarded_proto
    }
}

/// The text of a header.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut text = None;
    for value in headers.get_all(name) {
        join(&mut text, value);
    }
    text
}

/// Adds a value to the text of a header. One that comes twice is joined by commas as for `X-Forwarded-For`; two `Host`s or
/// `Origin`s thereby become a text that no rule accepts. Bytes that are not UTF-8 stay visible as U+FFFD, with the same
/// effect.
fn join(text: &mut Option<String>, value: &HeaderValue) {
    let value = String::from_utf8_lossy(value.as_bytes());
    match text {
        Some(text) => {
            text.push_str(", ");
            text.push_str(&value);
        }
        None => *text = Some(value.into_owned()),
    }
}

/// Whose word about addresses and origins counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    proxies: Vec<IpAddr>,
    own_addresses: Vec<IpAddr>,
    origins: Vec<Origin>,
}

/// The verdict on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locality {
    /// Comes from this host: nonce optional, pairing silent.
    pub local: bool,
    /// Address that may be shown to others (presence, pairing requests): only of non-local clients, never a loopback
    /// address, and never one that an untrusted peer claimed.
    pub reported_ip: Option<IpAddr>,
    /// The system vouches for the user behind it (the Unix socket): no secret is needed.
    pub is_vouched_for: bool,
    /// A page behind it was served by somebody else. What a browser adds by itself proves nothing then.
    pub is_foreign_page: bool,
    /// Against whom wrong secrets are counted; `None` for a native client of this host.
    pub guesser: Option<Guesser>,
}

impl Trust {
    /// Trust in `proxies` (`gateway.trustedProxies`, exact addresses; an entry that is not an address matches
    /// nothing), in pages of `origins` (`https://host[:port]` or `host[:port]`) beside the gateway's own, and in
    /// `own_addresses` of this host. The address of our end of each socket is added to the last, so it may be empty:
    /// a packet from the host to its own address carries that address at both ends.
    #[must_use]
    pub fn new(proxies: &[String], own_addresses: &[IpAddr], origins: &[String]) -> Self {
        Self {
            proxies: proxies
                .iter()
                .filter_map(|text| bare_address(text))
                .collect(),
            own_addresses: own_addresses.iter().map(IpAddr::to_canonical).collect(),
            origins: origins
                .iter()
                .filter_map(|text| Origin::parse(text))
                .collect(),
        }
    }

    /// The verdict on a peer.
    #[must_use]
    pub fn judge(&self, facts: &PeerFacts) -> Locality {
        let peer = facts.peer.to_canonical();
        let is_foreign_page = !self.page_is_ours(facts);
        let is_plain = !facts.proxied() && facts.origin.is_none();
        if facts.by_socket && is_plain {
            return Locality {
                local: true,
                reported_ip: None,
                is_vouched_for: true,
                is_foreign_page: false,
                guesser: None,
            };
        }
        // Behind the Unix socket is a proxy, and with that anybody.
        let trusted = !facts.by_socket && self.proxies.contains(&peer);
        let believed = trusted || !facts.proxied();
        let chain = if trusted {
            Chain::of(facts)
        } else {
            Chain::default()
        };
        let from_here = peer.is_loopback() || self.own_tailnet_address(peer, facts.local);
        let local = believed
            && !facts.by_socket
            && !facts.forwarded
            && from_here
            && chain.all_loopback
            && host_names_us(facts.host.as_deref(), peer)
            && !is_foreign_page;
        let reported_ip = (!local && believed)
            .then(|| chain.client.unwrap_or(Some(peer)))
            .flatten()
            .filter(|address| !address.is_loopback());
        let is_native_here = peer.is_loopback()
            && believed
            && !facts.forwarded
            && chain.all_loopback
            && facts.origin.is_none();
        let guesser = (!is_native_here).then(|| Guesser {
            network: Network::of(self.hop(
                peer,
                facts.forwarded_for.as_deref(),
                facts.real_ip.as_deref(),
            )),
            is_foreign_page: is_foreign_page || (!trusted && self.is_by_a_strange_name(facts)),
        });
        Locality {
            local,
            reported_ip,
            is_vouched_for: false,
            is_foreign_page,
            guesser,
        }
    }

    /// The network in which connections from `peer` are counted before anything is known of their headers; `None` for
    /// this host and for trusted proxies, behind which many clients share an address.
    #[must_use]
    pub fn network(&self, peer: IpAddr) -> Option<Network> {
        let peer = peer.to_canonical();
        (!peer.is_loopback() && !self.proxies.contains(&peer)).then(|| Network::of(peer))
    }

    /// The network of a client behind a trusted proxy; `None` when `peer` is no such proxy, or the client is on this
    /// host.
    #[must_use]
    pub fn network_behind_proxy(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Network> {
        let peer = peer.to_canonical();
        if !self.proxies.contains(&peer) {
            return None;
        }
        let text = |name: &HeaderName| joined(headers, name);
        let hop = self.hop(
            peer,
            text(&X_FORWARDED_FOR).as_deref(),
            text(&X_REAL_IP).as_deref(),
        );
        (hop != peer)
            .then_some(hop)
            .and_then(|hop| self.network(hop))
    }

    /// The address that the last trusted proxy was talked to from: what a client cannot choose. Proxies append to
    /// `X-Forwarded-For`, so what counts is its last entry that is no trusted proxy itself, unlike for
    /// [`Locality::reported_ip`], which is for people.
    fn hop(&self, peer: IpAddr, forwarded_for: Option<&str>, real_ip: Option<&str>) -> IpAddr {
        if !self.proxies.contains(&peer) {
            return peer;
        }
        let mut hop = peer;
        let list = forwarded_for.or(real_ip).unwrap_or_default();
        for entry in list
            .rsplit(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let Some(address) = bare_address(entry) else {
                break;
            };
            hop = address;
            if !self.proxies.contains(&hop) {
                break;
            }
        }
        hop
    }

    /// Odd 4. The range is checked too: on other addresses the same host may be a container's neighbour or a NAT.
    fn own_tailnet_address(&self, peer: IpAddr, our_end: IpAddr) -> bool {
        in_tailnet(peer) && (peer == our_end.to_canonical() || self.own_addresses.contains(&peer))
    }

    /// A page that calls us by a name which need not be ours. A page of a stranger whose name was pointed at this host
    /// looks like our own, so it is counted as foreign: it must not lock out the page at our own address.
    fn is_by_a_strange_name(&self, facts: &PeerFacts) -> bool {
        let Some(origin) = facts.origin.as_deref().and_then(Origin::parse) else {
            return false;
        };
        let host = facts.host.as_deref();
        let our_end = facts.local.to_canonical();
        let is_our_address = host_name(host.unwrap_or_default()).parse() == Ok(our_end);
        !self.is_configured(&origin)
            && !is_our_address
            && !host_names_us(host, facts.peer.to_canonical())
    }

    fn is_configured(&self, origin: &Origin) -> bool {
        let mut configured = self.origins.iter();
        configured.any(|configured| configured.covers(origin))
    }

    /// Odd 24. Any page may open a socket to this host; only one that the gateway (or a configured origin) served
    /// may pass for the user of this host.
    fn page_is_ours(&self, facts: &PeerFacts) -> bool {
        let Some(origin) = &facts.origin else {
            return true;
        };
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        if self.is_configured(&origin) {
            return true;
        }
        facts.host.as_deref().is_some_and(|host| {
            without_default_port(host, origin.scheme.as_deref()) == origin.authority
        })
    }
}

/// What a trusted proxy says about the way of the request.
struct Chain {
    /// First address named: the client. Outer `None`: the proxy named none; inner: not an address (`unknown`).
    client: Option<Option<IpAddr>>,
    /// Every address named is a loopback one. The contract looks at the first entry alone, which the client writes
    /// itself when the proxy appends instead of replacing; a request that any hop took from elsewhere is not local.
    all_loopback: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            client: None,
            all_loopback: true,
        }
    }
}

impl Chain {
    fn of(facts: &PeerFacts) -> Self {
        let hops = facts.forwarded_for.iter().flat_map(|list| list.split(','));
        let named = hops
            .chain(facts.real_ip.as_deref())
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(bare_address);
        named.fold(Self::default(), |chain, address| Self {
            client: chain.client.or(Some(address)),
            all_loopback: chain.all_loopback
                && address.is_some_and(|address| address.is_loopback()),
        })
    }
}

/// The first address of an `X-Forwarded-For`: the client, if the proxy is to be believed.
#[must_use]
pub fn first_forwarded(list: &str) -> Option<IpAddr> {
    bare_address(list.split(',').next()?)
}

/// An address out of `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`.
fn bare_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address: IpAddr = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?.parse().ok()?,
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => text.rsplit_once(':')?.0.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}

/// Rule 2 of 2.6, and for a peer that is an own tailnet address that address as well (odd 4).
fn host_names_us(host: Option<&str>, peer: IpAddr) -> bool {
    let name = host_name(host.unwrap_or_default());
    matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1")
        || name.ends_with(".ts.net")
        || (!peer.is_loopback() && name.parse() == Ok(peer))
}

/// Host part of a `Host` header: lower case, without port and brackets.
fn host_name(host: &str) -> String {
    let host = host.trim();
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.to_ascii_lowercase()
}

/// The ranges out of which Tailscale gives addresses.
fn in_tailnet(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64,
        IpAddr::V6(v6) => v6.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0],
    }
}

/// `scheme://authority`, lower case, without a default port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    /// Absent in a configured `host[:port]`, which then stands for any scheme.
    scheme: Option<String>,
    authority: String,
}

impl Origin {
    /// `None` for an opaque origin (`null`) and whatever names no host.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
        let (scheme, authority) = match text.split_once("://") {
            Some((scheme, authority)) => (Some(scheme.to_owned()), authority),
            None => (None, text.as_str()),
        };
        let opaque =
            authority.is_empty() || authority == "null" || authority.contains(['/', ',', ' ']);
        (!opaque).then(|| Self {
            authority: without_default_port(authority, scheme.as_deref()),
            scheme,
        })
    }

    fn covers(&self, origin: &Self) -> bool {
        match &self.scheme {
            Some(_) => self == origin,
            None => self.authority == origin.authority,
        }
    }
}

fn without_default_port(authority: &str, scheme: Option<&str>) -> String {
    let authority = authority.trim().to_ascii_lowercase();
    let port = match scheme {
        Some("http" | "ws") => ":80",
        Some("https" | "wss") => ":443",
        _ => return authority,
    };
    authority
        .strip_suffix(port)
        .map_or(authority.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
