//! Connects: those with the shared secret, those with a token, and what they lead to.

use std::cell::RefCell;

use super::super::door::{Door, SECRET, knock};
use super::*;
use crate::connection::handshake::{Cause, Verdict};

/// Connects between decision and write at most.
const MAX_WAITING: usize = 8;
/// Connections at most; the oldest leaves.
const MAX_OPEN: usize = 64;

impl World {
    /// A connect with the shared secret; now and then through the real handshake, which costs more than all else.
    pub(super) fn connect(&mut self) {
        let ask = self.ask();
        if self.dice.once_in(8) {
            let is_wrong = self.dice.once_in(4);
            return self.knock(ask, if is_wrong { "wrong" } else { SECRET }, !is_wrong);
        }
        match self.book.step(&ask, self.now_ms) {
            Step::Admit => self.admit(&ask),
            Step::Wait(id) => self.waits(&id, &ask),
            Step::Skip => panic!("nothing here is optional"),
            Step::Mint | Step::Approve | Step::Request => self.wait_for_turn(ask),
        }
    }

    /// A connect through the handshake, which is to accept `secret` or not.
    fn knock(&mut self, mut ask: Ask, secret: &str, opens: bool) {
        let is_forged = self.dice.once_in(8);
        let door = Door {
            book: RefCell::new(std::mem::take(&mut self.book)),
            key: &self.key,
            now_ms: self.now_ms,
        };
        let verdict = knock(&door, &ask, secret, is_forged);
        self.book = door.book.into_inner();
        if ask.scopes.is_empty() {
            let defaults = ask.role.default_scopes().iter();
            ask.scopes = defaults.map(|scope| scope.as_str().to_owned()).collect();
        }
        let is_ask = |role, scopes: &[String], device: Option<&VerifiedDevice>| {
            assert_eq!(
                (role, scopes, device),
                (ask.role, ask.scopes.as_slice(), Some(&ask.device))
            );
            assert!(opens && !is_forged, "{secret} let {ask:?} in");
        };
        match verdict {
            Verdict::Accept(accepted) => {
                is_ask(accepted.role, &accepted.scopes, accepted.device.as_ref());
                let grant = accepted.grant.expect("a grant");
                self.enter(&ask, &grant);
                self.count("connections through the handshake");
            }
            Verdict::NeedPairing(need) => {
                let needed = need.ask();
                is_ask(needed.role, &needed.scopes, Some(&needed.device));
                assert_eq!((needed.local, needed.optional), (ask.local, false));
                assert!(!needed.by_device_token, "a token opens what it opens");
                self.wait_for_turn(needed.clone());
            }
            Verdict::NeedWhois(_) => panic!("there is no tailnet"),
            Verdict::Refuse(refusal) => match refusal.cause {
                Cause::Identity(_) if is_forged => self.count("forged signatures refused"),
                Cause::Unauthorized { .. } if !opens && !is_forged => {
                    self.count("wrong secrets refused");
                }
                Cause::PairingRequired { request_id } if opens && !is_forged => {
                    self.waits(&request_id, &ask);
                }
                cause => panic!("{ask:?} is refused: {cause}"),
            },
        }
    }

    fn wait_for_turn(&mut self, ask: Ask) {
        if self.waiting.len() < MAX_WAITING {
            let has_left = false;
            self.waiting.push(Waiting { ask, has_left });
        }
    }

    pub(super) fn admit(&mut self, ask: &Ask) {
        let grant = self.book.admit(&self.key, ask, self.now_ms).unwrap();
        self.enter(ask, &grant);
    }

    fn enter(&mut self, ask: &Ask, grant: &Grant) {
        self.known.admitted(ask, grant);
        if self.open.len() == MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push((ask.device.id().to_owned(), ask.role));
        self.count("connections");
    }

    pub(super) fn waits(&mut self, id: &str, ask: &Ask) {
        assert!(!ask.local, "a local connect never waits");
        let request = self.book.request(id, self.now_ms).expect("an open request");
        let terms = |scopes: &[String]| scopes.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(
            (&*request.device_id, request.role, terms(&request.scopes)),
            (ask.device.id(), ask.role, terms(&ask.scopes)),
            "{id} stands for other terms"
        );
        self.book.repeat(id, &ask.profile, self.now_ms);
        self.known.asked(id, self.now_ms);
        self.count("connects that wait again");
    }

    /// A device shows a token: one of its own, an old one, or another's.
    pub(super) fn show_token(&mut self) {
        let Some(index) = self.dice.index(self.known.tokens.len()) else {
            return;
        };
        let (place, token) = self.known.tokens[index].clone();
        let mut ask = self.ask();
        if !self.dice.once_in(4) {
            let mut all = (0..DEVICES).map(device);
            ask.device = all.find(|device| device.id() == place.0).unwrap().clone();
            ask.role = place.1;
        }
        let through_the_door = self.dice.once_in(2);
        if ask.scopes.is_empty() && through_the_door {
            ask.scopes = texts(&["a"]);
        }
        let id = ask.device.id().to_owned();
        let is_live = self.known.is_live(&(id.clone(), ask.role), &token);
        let record = self.book.device(&id);
        let covers = record
            .and_then(|device| device.token(ask.role))
            .is_some_and(|token| ask.scopes.iter().all(|scope| token.scopes.contains(scope)));
        let opens = is_live && covers;
        self.count(match (opens, is_live) {
            (true, _) => "tokens that opened",
            (false, true) => return,
            (false, false) => "dead tokens refused",
        });
        if through_the_door {
            return self.knock(ask, &token, opens);
        }
        let accepted = self
            .book
            .accepts(&self.key, &ask.device, ask.role, &ask.scopes, &token);
        assert_eq!(accepted, opens, "{place:?} shown by {ask:?}");
        if opens {
            ask.by_device_token = true;
            assert_eq!(self.book.step(&ask, self.now_ms), Step::Admit);
            self.admit(&ask);
        }
    }
}
