//! What happens; connects are in `connects`.

mod broken;
mod connects;

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::book::Book;
use super::super::super::change::{Change, Fresh, Touch};
use super::super::super::rules::{self, Step, Terms};
use super::super::*;
use super::Dice;
use super::door::{DEVICES, device};
use super::known::{DAMAGE, End, Known, Place, is_damaged};

pub(super) use broken::BREACHES;

const SCOPES: [&str; 3] = ["a", "b", "c"];

pub(super) struct World {
    dice: Dice,
    now_ms: u64,
    steps: u64,
    key: TokenKey,
    book: Book,
    // The disk.
    devices: BTreeMap<String, Device>,
    pending: BTreeMap<String, PendingPairing>,
    // Connections.
    waiting: Vec<Waiting>,
    open: Vec<Place>,
    // Under way to the disk.
    writing: Vec<Writing>,
    behind: Option<(Vec<Touch>, Vec<PendingPairing>)>,
    known: Known,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// A connect that waits for its device's turn. It goes on when its client has left, or was dismissed.
struct Waiting {
    ask: Ask,
    has_left: bool,
}

/// A change on its way to the disk; no other change of its device is planned meanwhile.
struct Writing {
    device_id: String,
    change: Change,
    work: Work,
    /// Step in which it was planned.
    since: u64,
    /// What the device had said about itself by then.
    said: Option<Profile>,
}

enum Work {
    Connect(Waiting, Step),
    Approval(PendingPairing),
    Rejection,
    Replacement(Role, &'static str),
}

impl World {
    pub(super) fn new(dice: Dice) -> Self {
        Self {
            dice,
            now_ms: START,
            steps: 0,
            key: TokenKey::from_bytes([9; 32]),
            book: Book::default(),
            devices: BTreeMap::new(),
            pending: BTreeMap::new(),
            waiting: Vec::new(),
            open: Vec::new(),
            writing: Vec::new(),
            behind: None,
            known: Known::default(),
            counts: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn check(&self) {
        self.known.check(&self.key, &self.book, self.now_ms);
        self.known.check_open(&self.open);
    }

    /// One step. Time goes on with each, so that no two requests are equally old and a seed always plays the same.
    pub(super) fn step(&mut self) {
        self.now_ms += 1;
        self.steps += 1;
        match self.dice.throw(100) {
            0..26 => self.connect(),
            26..42 => self.plan_connect(),
            42..62 => self.land(),
            62..71 => self.approve(),
            71..74 => self.reject(),
            74..80 => self.rotate(),
            80..85 => self.revoke(),
            85..91 => self.show_token(),
            91..93 => {
                let ms = [1_000, PENDING_TTL_MS / 3, PENDING_TTL_MS + 1];
                self.now_ms += ms[self.dice.throw(3) as usize];
            }
            93..95 => self.leave(),
            95..99 => self.write_behind(),
            _ => self.restart(),
        }
    }

    fn ask(&mut self) -> Ask {
        let dice = &mut self.dice;
        let mask = dice.throw(1 << SCOPES.len());
        let chosen = SCOPES.iter().enumerate();
        let chosen = chosen.filter(|(bit, _)| mask & (1 << bit) != 0);
        Ask {
            device: device(dice.throw(DEVICES as u64) as usize).clone(),
            role: if dice.once_in(4) {
                Role::Node
            } else {
                Role::Operator
            },
            scopes: chosen.map(|(_, scope)| (*scope).to_owned()).collect(),
            local: dice.once_in(6),
            profile: Profile {
                display_name: Some(format!("called {}", dice.throw(3))),
                platform: Some("linux".to_owned()),
                client_id: Some("test".to_owned()),
                client_mode: Some("test".to_owned()),
                remote_ip: None,
            },
            ..remote(0, &[])
        }
    }

    /// Values that no other step has.
    fn fresh(&self) -> Fresh {
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&self.steps.to_be_bytes());
        Fresh {
            request_id: format!("r{}", self.steps),
            salt: Salt::from_bytes(salt),
        }
    }

    /// A connect gets its device's turn: it is decided anew, as by `Pairing::commit`.
    fn plan_connect(&mut self) {
        let Some(index) = self.dice.index(self.waiting.len()) else {
            return;
        };
        if !self.is_free(self.waiting[index].ask.device.id()) {
            return;
        }
        let waiting = self.waiting.swap_remove(index);
        let ask = &waiting.ask;
        let step = self.book.step(ask, self.now_ms);
        match &step {
            Step::Admit if waiting.has_left => {}
            Step::Admit => self.admit(ask),
            Step::Wait(id) => self.waits(id, ask),
            Step::Skip => panic!("nothing here is optional"),
            Step::Mint | Step::Approve | Step::Request => {
                let change = self.book.plan(&step, ask, &self.fresh(), self.now_ms);
                let id = ask.device.id().to_owned();
                self.plan(&id, change.unwrap(), Work::Connect(waiting, step));
            }
        }
    }

    fn is_free(&self, device_id: &str) -> bool {
        let mut writing = self.writing.iter();
        !writing.any(|writing| writing.device_id == device_id)
    }

    fn plan(&mut self, device_id: &str, change: Change, work: Work) {
        self.writing.push(Writing {
            device_id: device_id.to_owned(),
            change,
            work,
            since: self.steps,
            said: self.known.said(device_id).cloned(),
        });
    }

    /// A request that is open, was decided, or expired, if its device can be changed now.
    fn some_request(&mut self) -> Option<PendingPairing> {
        let recent = self.known.requests.len().saturating_sub(12);
        let index = self.dice.index(self.known.requests.len() - recent)?;
        let id = self.known.requests[recent + index].clone();
        let Some(request) = self.book.request(&id, self.now_ms).cloned() else {
            let is_open = !self.known.has_ended(&id);
            self.count("decisions too late");
            if is_open {
                self.count("expired requests");
            }
            return None;
        };
        assert!(!self.known.has_ended(&id), "{id} is decided twice");
        self.is_free(&request.device_id).then_some(request)
    }

    fn approve(&mut self) {
        let Some(request) = self.some_request() else {
            return;
        };
        let (terms, salt) = (Terms::from(&request), self.fresh().salt);
        let change = self.book.plan_approval(terms, salt, self.now_ms).unwrap();
        assert!(change.settled.contains(&request.request_id));
        let id = request.device_id.clone();
        self.plan(&id, change, Work::Approval(request));
    }

    fn reject(&mut self) {
        if let Some(request) = self.some_request() {
            let change = Change {
                settled: vec![request.request_id],
                ..Change::default()
            };
            self.plan(&request.device_id, change, Work::Rejection);
        }
    }

    fn rotate(&mut self) {
        let ask = self.ask();
        let scopes = self.dice.once_in(2).then_some(ask.scopes.as_slice());
        let Some(before) = self.book.device(ask.device.id()) else {
            return;
        };
        match rules::rotate(before, ask.role, scopes, self.fresh().salt, self.now_ms) {
            Some(after) => {
                assert_eq!(
                    (&after.roles, &after.scopes),
                    (&before.roles, &before.scopes)
                );
                self.replace(after, ask.role, "rotations");
            }
            None => self.count("rotations refused"),
        }
    }

    fn revoke(&mut self) {
        let ask = self.ask();
        let device = self.book.device(ask.device.id());
        if let Some(after) = device.and_then(|device| rules::revoke(device, ask.role, self.now_ms))
        {
            self.replace(after, ask.role, "revocations");
        }
    }

    fn replace(&mut self, device: Device, role: Role, what: &'static str) {
        let id = device.device_id.clone();
        if self.is_free(&id) {
            let change = self.book.replacement(device);
            self.plan(&id, change, Work::Replacement(role, what));
        }
    }

    /// The disk takes a change, then memory does. Sometimes the disk fails: then neither has it. Sometimes everything
    /// stops in between.
    fn land(&mut self) {
        let Some(index) = self.dice.index(self.writing.len()) else {
            return;
        };
        let writing = self.writing.swap_remove(index);
        let fate = self.dice.throw(40);
        if fate == 0 {
            return self.count("failed writes");
        }
        self.write(&writing);
        if fate == 1 {
            self.count("stops after a write");
            return self.restart();
        }
        self.book.apply(writing.change);
        match writing.work {
            Work::Connect(_, Step::Request) | Work::Approval(_) | Work::Rejection => {}
            Work::Connect(Waiting { has_left: true, .. }, _) => {
                self.count("connects whose client has left");
            }
            Work::Connect(Waiting { ask, .. }, _) => self.admit(&ask),
            Work::Replacement(role, what) => self.dismiss(&(writing.device_id, role), what),
        }
    }

    /// The disk has it; so it counts, whatever happens next.
    fn write(&mut self, writing: &Writing) {
        let Change {
            device,
            pending,
            settled,
            ..
        } = &writing.change;
        if let Some(device) = device {
            let id = device.device_id.clone();
            self.devices.insert(id, device.clone());
        }
        if let Some(request) = pending {
            let id = request.request_id.clone();
            self.pending.insert(id, request.clone());
            self.known.request(request);
        }
        let (what, end) = match &writing.work {
            Work::Connect(waiting, Step::Approve) => {
                let ask = &waiting.ask;
                assert!(ask.local);
                self.known.grant(ask.device.id(), ask.role, &ask.scopes);
                self.known
                    .approved(ask.device.id(), &ask.profile, writing.said.as_ref());
                ("silent approvals", End::Approved)
            }
            Work::Connect(_, Step::Request) => ("requests", End::Gone),
            Work::Connect(..) => ("tokens made", End::Gone),
            Work::Approval(request) => {
                let (id, scopes) = (&request.device_id, &request.scopes);
                self.known.grant(id, request.role, scopes);
                self.known
                    .approved(id, &request.profile, writing.said.as_ref());
                ("approvals", End::Approved)
            }
            Work::Rejection => ("refusals", End::Rejected),
            Work::Replacement(_, what) => (*what, End::Gone),
        };
        self.count(what);
        for id in settled {
            self.pending.remove(id);
            self.known.end(id, end, writing.since, self.steps);
            if end == End::Gone {
                self.count("requests that made room");
            }
        }
        if let Some(device) = device {
            let place = |role| (device.device_id.clone(), role);
            let before = match &writing.work {
                Work::Replacement(role, _) => self.known.token(&place(*role)).cloned(),
                _ => None,
            };
            self.known.learn(&self.key, device);
            match &writing.work {
                Work::Connect(Waiting { ask, .. }, Step::Approve) => {
                    assert_token(device, ask.role, &ask.scopes);
                }
                Work::Approval(request) => assert_token(device, request.role, &request.scopes),
                // Whatever was done to a token, it opens nothing any more.
                Work::Replacement(role, _) if before.is_some() => {
                    assert_ne!(before.as_ref(), self.known.token(&place(*role)));
                }
                _ => {}
            }
        }
    }

    /// Ends a device's connections in a role, those that still wait too: what those wanted goes on without them.
    fn dismiss(&mut self, place: &Place, what: &'static str) {
        let before = self.open.len();
        self.open.retain(|open| open != place);
        if what == "revocations" && self.open.len() < before {
            self.count("revocations that end connections");
        }
        for waiting in &mut self.waiting {
            waiting.has_left |= (waiting.ask.device.id(), waiting.ask.role) == (&place.0, place.1);
        }
    }

    /// A client leaves.
    fn leave(&mut self) {
        if let Some(index) = self.dice.index(self.open.len()) {
            self.open.swap_remove(index);
        }
        if let Some(index) = self.dice.index(self.waiting.len()) {
            self.waiting[index].has_left = true;
        }
    }

    /// What connects changed begins to be written behind, or reaches the disk, as by `Pairing::flush`.
    fn write_behind(&mut self) {
        let Some((touches, requests)) = self.behind.take() else {
            self.behind = Some(self.book.take_dirty(usize::MAX));
            return;
        };
        if self.dice.once_in(10) {
            return self.book.put_back(&touches, &requests);
        }
        for touch in &touches {
            if let Some(device) = self.devices.get_mut(&touch.device_id) {
                touch.merge_into(device);
            }
        }
        for request in requests {
            if let Some(stored) = self.pending.get_mut(&request.request_id) {
                *stored = request;
            }
        }
        self.count("written behind");
    }

    /// Everything that is on its way arrives; then memory and disk have to be the same.
    pub(super) fn settle(&mut self) {
        self.arrive();
        self.check_all();
    }

    fn arrive(&mut self) {
        while !self.writing.is_empty() {
            // A step of its own: what lands here comes after what was planned in the last one.
            self.steps += 1;
            self.land();
        }
        while self.behind.is_some() || self.book.is_dirty() {
            self.write_behind();
        }
    }

    /// As [`Self::check`], for a world in which nothing is on its way.
    pub(super) fn check_all(&self) {
        self.check();
        let remembered: BTreeMap<_, _> = self
            .book
            .devices()
            .map(|device| (device.device_id.clone(), device.clone()))
            .collect();
        assert_eq!(remembered, self.devices, "devices on disk");
        // At this time none has expired.
        let remembered: BTreeMap<_, _> = self
            .book
            .requests(0)
            .map(|request| (request.request_id.clone(), request.clone()))
            .collect();
        assert_eq!(remembered, self.pending, "requests on disk");
    }

    /// Everything in memory is lost, and what was not written yet with it.
    fn restart(&mut self) {
        if self.dice.once_in(3)
            && let Some(index) = self.dice.index(self.devices.len())
            && let Some(device) = self.devices.values_mut().nth(index)
        {
            DAMAGE.clone_into(&mut device.public_key);
            self.known.damaged(&device.device_id);
            self.count("damaged records");
        }
        let devices = serde_json::to_string(&self.devices.values().collect::<Vec<_>>()).unwrap();
        let pending = serde_json::to_string(&self.pending.values().collect::<Vec<_>>()).unwrap();
        self.book = Book::new(
            serde_json::from_str(&devices).unwrap(),
            serde_json::from_str(&pending).unwrap(),
        );
        self.waiting.clear();
        self.open.clear();
        self.writing.clear();
        self.behind = None;
        self.known
            .reread(self.devices.values(), self.pending.values());
        self.count("restarts");
        self.check();
    }
}

/// An approval gives a token for exactly what was asked for.
fn assert_token(device: &Device, role: Role, scopes: &[String]) {
    let expected: BTreeSet<_> = scopes.iter().collect();
    let token = device.token(role).expect("a token");
    assert_eq!(token.scopes.iter().collect::<BTreeSet<_>>(), expected);
    assert!(!is_damaged(device), "an approval is of a real key");
}
