//! What is known to have happened, kept apart from what is tested.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::super::book::Book;
use super::super::*;

/// A device and a role of it.
pub(super) type Place = (String, Role);

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Approved,
    Rejected,
    /// It expired, or made room for another. Nobody is told.
    Gone,
}

/// The key of a record that is not its device's own any more.
pub(super) const DAMAGE: &str = "another key";

/// Does the record take another key for that of its device?
pub(super) fn is_damaged(device: &Device) -> bool {
    device.public_key == DAMAGE
}

#[derive(Default)]
pub(super) struct Known {
    roles: BTreeSet<Place>,
    scopes: BTreeMap<String, BTreeSet<String>>,
    live: BTreeMap<Place, String>,
    /// Every token ever made.
    pub(super) tokens: Vec<(Place, String)>,
    /// Every request ever written.
    pub(super) requests: Vec<String>,
    /// When an open request was last asked for.
    asked: BTreeMap<String, u64>,
    /// How a request ended, and in which step.
    ended: HashMap<String, (End, u64)>,
    /// What a device last said about itself.
    said: BTreeMap<String, Profile>,
}

impl Known {
    pub(super) fn grant(&mut self, id: &str, role: Role, scopes: &[String]) {
        self.roles.insert((id.to_owned(), role));
        let held = self.scopes.entry(id.to_owned()).or_default();
        held.extend(scopes.iter().cloned());
    }

    fn grants(&self, place: &Place, scopes: &[String]) -> bool {
        let held = self.scopes.get(&place.0);
        self.roles.contains(place)
            && scopes
                .iter()
                .all(|scope| held.is_some_and(|held| held.contains(scope)))
    }

    pub(super) fn is_live(&self, place: &Place, token: &str) -> bool {
        self.live.get(place).is_some_and(|live| live == token)
    }

    pub(super) fn has_ended(&self, id: &str) -> bool {
        self.ended.contains_key(id)
    }

    /// A request was written.
    pub(super) fn request(&mut self, request: &PendingPairing) {
        self.requests.push(request.request_id.clone());
        self.asked(&request.request_id, request.seen_at_ms);
    }

    /// A request was asked for, again or for the first time.
    pub(super) fn asked(&mut self, id: &str, now_ms: u64) {
        assert!(!self.has_ended(id), "{id} is waited for and has ended");
        self.asked.insert(id.to_owned(), now_ms);
    }

    /// A request ends in step `now`, as planned in step `since`. Only what made room meanwhile may come in between.
    pub(super) fn end(&mut self, id: &str, end: End, since: u64, now: u64) {
        if let Some((before, at)) = self.ended.get(id) {
            let one_made_room = *before == End::Gone || end == End::Gone;
            assert!(
                one_made_room && *at > since,
                "{id} ends as {before:?} and as {end:?}"
            );
            if end == End::Gone {
                return;
            }
        }
        self.asked.remove(id);
        self.ended.insert(id.to_owned(), (end, now));
    }

    /// The record of a device is damaged: nothing that was granted to it holds.
    pub(super) fn damaged(&mut self, id: &str) {
        self.roles.retain(|place| place.0 != id);
        self.scopes.remove(id);
        self.live.retain(|place, _| place.0 != id);
    }

    /// The token that is alive.
    pub(super) fn token(&self, place: &Place) -> Option<&String> {
        self.live.get(place)
    }

    /// A device's record was written: which of its tokens are alive now.
    pub(super) fn learn(&mut self, key: &TokenKey, device: &Device) {
        if is_damaged(device) {
            return;
        }
        for token in &device.tokens {
            let place = (device.device_id.clone(), token.role);
            if token.revoked_at_ms.is_some() {
                self.live.remove(&place);
                continue;
            }
            let text = key.token(&place.0, token.role, token.salt);
            if !self.is_live(&place, text.expose()) {
                let known = self.tokens.iter().any(|(_, known)| known == text.expose());
                assert!(!known, "a dead token came back");
                let text = text.expose().to_owned();
                self.tokens.push((place.clone(), text.clone()));
                self.live.insert(place, text);
            }
        }
    }

    /// A connection was let in.
    pub(super) fn admitted(&mut self, ask: &Ask, grant: &Grant) {
        let place = (ask.device.id().to_owned(), ask.role);
        for scopes in [&ask.scopes, &grant.scopes] {
            assert!(
                self.grants(&place, scopes),
                "{place:?} {scopes:?} that nobody granted"
            );
        }
        assert_eq!(grant.role, ask.role);
        assert!(
            self.is_live(&place, grant.token.expose()),
            "{place:?} gets a token that is not alive"
        );
        self.said.insert(place.0, ask.profile.clone());
    }

    /// What a device last said about itself.
    pub(super) fn said(&self, id: &str) -> Option<&Profile> {
        self.said.get(id)
    }

    /// An approval was written, planned when the device had said `before`. What it says in its request is newer, unless
    /// it has said something else since the plan.
    pub(super) fn approved(&mut self, id: &str, profile: &Profile, before: Option<&Profile>) {
        if self.said(id) == before {
            self.said.insert(id.to_owned(), profile.clone());
        }
    }

    /// After a restart a request was last asked for when the disk says so, and devices are what it says, which may miss
    /// what was not written behind.
    pub(super) fn reread<'p>(
        &mut self,
        devices: impl Iterator<Item = &'p Device>,
        pending: impl Iterator<Item = &'p PendingPairing>,
    ) {
        for device in devices {
            let said = self.said.get_mut(&device.device_id);
            *said.expect("only devices that said something are kept") = device.profile.clone();
        }
        for request in pending {
            let asked = self.asked.get_mut(&request.request_id);
            let asked = asked.expect("only open requests are kept");
            assert!(request.ts <= request.seen_at_ms && request.seen_at_ms <= *asked);
            *asked = request.seen_at_ms;
        }
    }

    /// Nothing is lost, and nothing is there that does not belong there.
    pub(super) fn check(&self, key: &TokenKey, book: &Book, now_ms: u64) {
        let mut roles = BTreeSet::new();
        let mut live = BTreeMap::new();
        for device in book.devices().filter(|device| !is_damaged(device)) {
            let id = &device.device_id;
            roles.extend(device.roles.iter().map(|role| (id.clone(), *role)));
            assert_eq!(
                device.scopes.iter().cloned().collect::<BTreeSet<_>>(),
                self.scopes.get(id).cloned().unwrap_or_default(),
                "scopes of {id}"
            );
            assert_eq!(Some(&device.profile), self.said(id), "what {id} says");
            for token in &device.tokens {
                let place = (id.clone(), token.role);
                assert!(self.grants(&place, &token.scopes), "{token:?} of {id}");
                if token.revoked_at_ms.is_none() {
                    let text = key.token(id, token.role, token.salt);
                    live.insert(place, text.expose().to_owned());
                }
            }
        }
        assert_eq!(roles, self.roles, "roles");
        assert_eq!(live, self.live, "tokens");
        let open: BTreeSet<&str> = book
            .requests(now_ms)
            .map(|request| request.request_id.as_str())
            .collect();
        let expected = self.asked.iter();
        let expected = expected.filter(|(_, at)| now_ms - **at <= PENDING_TTL_MS);
        assert_eq!(
            open,
            expected.map(|(id, _)| id.as_str()).collect(),
            "requests"
        );
        for id in &self.requests {
            assert_ne!(self.asked.contains_key(id), self.has_ended(id), "{id}");
        }
    }

    /// No connection is left of a token that died.
    pub(super) fn check_open(&self, open: &[Place]) {
        for place in open {
            assert!(
                self.live.contains_key(place),
                "{place:?} outlived its token"
            );
        }
    }
}
