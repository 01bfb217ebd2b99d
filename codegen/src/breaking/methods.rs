//! Differences of methods: who may call them, what they promise, what they take and answer.

use std::collections::BTreeSet;

use super::rules::protocol as rule;
use super::types::Way;
use super::{Comparison, paired, words};
use crate::model::{Access, Idempotency, Method, Model, Outcome};
use crate::source::Place;

/// Stands for a caller without any scope.
const NO_SCOPE: &str = "no scope";

impl<'a> Comparison<'a> {
    pub(super) fn methods(&mut self) {
        let (old, new) = (self.old, self.new);
        let (before, after): (Vec<_>, Vec<_>) = (old.methods().collect(), new.methods().collect());
        for method in &before {
            if !after.iter().any(|m| m.name == method.name) {
                let change = format!("{} -> gone", method.name);
                self.note(&rule::METHOD_REMOVED, &place_of(old, method), change);
            }
        }
        for method in after {
            match before.iter().find(|m| m.name == method.name) {
                Some(known) => self.method(known, method),
                None => self.added_method(method),
            }
        }
    }

    fn added_method(&mut self, method: &Method) {
        let rule = if method.since > self.old.version {
            &rule::METHOD_ADDED_WITH_SINCE
        } else if self.new.feature_methods.contains(&method.name) {
            &rule::METHOD_ADDED
        } else if method.extension {
            &rule::METHOD_ADDED_EXTENSION
        } else {
            &rule::METHOD_ADDED_UNLISTED
        };
        let change = format!("absent -> {} since {}", method.name, method.since);
        self.note(rule, &place_of(self.new, method), change);
    }

    fn method(&mut self, old: &'a Method, new: &'a Method) {
        let place = place_of(self.new, new);
        let described = [
            ("summary", &old.summary, &new.summary),
            ("description", &old.description, &new.description),
        ];
        for (key, old, new) in described {
            if old != new {
                let change = format!("{} -> {}", words::short(old), words::short(new));
                self.note(&rule::DESCRIBED, &place.at(key), change);
            }
        }
        let (was, is) = self.since(old.since, new.since);
        if was != is {
            let rule = if is > was {
                &rule::METHOD_SINCE_RAISED
            } else {
                &rule::METHOD_SINCE_LOWERED
            };
            self.note(rule, &place.at("since"), format!("version {was} -> {is}"));
        }
        let (from, to) = (group_of(self.old, old), group_of(self.new, new));
        if from != to {
            self.note(&rule::GROUP_CHANGED, &place, format!("{from} -> {to}"));
        }
        self.access(&old.access, &new.access, &place);
        if old.write != new.write {
            let (rule, change) = if new.write {
                (&rule::EFFECT_BECAME_WRITE, "read -> write")
            } else {
                (&rule::EFFECT_BECAME_READ, "write -> read")
            };
            self.note(rule, &place.at("effect"), change);
        }
        self.key(
            old.idempotency.as_ref(),
            new.idempotency.as_ref(),
            &place.at("idempotency"),
        );
        if sorted(&old.errors) != sorted(&new.errors) {
            let change = format!(
                "{} -> {}",
                words::names(&old.errors),
                words::names(&new.errors)
            );
            self.note(&rule::METHOD_ERRORS_CHANGED, &place.at("errors"), change);
        }
        for event in old.emits.iter().filter(|event| !new.emits.contains(event)) {
            let change = format!("{event} -> gone");
            self.note(&rule::EMITS_REMOVED, &place.at("emits"), change);
        }
        for event in new.emits.iter().filter(|event| !old.emits.contains(event)) {
            let change = format!("absent -> {event}");
            self.note(&rule::EMITS_ADDED, &place.at("emits"), change);
        }
        if old.handshake != new.handshake {
            let change = format!("handshake {} -> {}", old.handshake, new.handshake);
            self.note(&rule::DISPATCH_CHANGED, &place.at("dispatch"), change);
        }
        let params = Way {
            // What connect says is read before there is a version.
            is_versioned: !new.handshake,
            ..Way::PARAMS
        };
        self.definitions(params, &old.params, &new.params);
        self.client_params(params, old, new, &place);
        self.outcome(old, new, &place);
    }

    /// What typed calls take: programs are written against it, so it is compared like params.
    fn client_params(&mut self, way: Way, old: &'a Method, new: &'a Method, place: &Place) {
        if old.client_params.is_some() && new.client_params.is_some() {
            self.definitions(way, old.call_params(), new.call_params());
        }
        let (was, is) = (old.call_params(), new.call_params());
        if was != is && old.params == new.params {
            let change = format!("{was} -> {is}");
            self.note(
                &rule::CALL_PARAMS_CHANGED,
                &place.at("clientParams"),
                change,
            );
        }
    }

    fn access(&mut self, old: &Access, new: &Access, place: &Place) {
        if old.role != new.role {
            let change = format!("{} -> {}", old.role, new.role);
            self.note(&rule::ROLE_CHANGED, &place.at("role"), change);
        }
        let place = place.at("scopes");
        let (lost, won) = self.scope_changes(&old.scopes, &new.scopes);
        let change = format!(
            "{} -> {}",
            words::names(&old.scopes),
            words::names(&new.scopes)
        );
        if !lost.is_empty() {
            let change = format!("{change}, refuses {}", words::names(&lost));
            self.note(&rule::SCOPES_NARROWED, &place, change);
        }
        if !won.is_empty() {
            let change = format!("{change}, allows {}", words::names(&won));
            self.note(&rule::SCOPES_WIDENED, &place, change);
        }
        if lost.is_empty() && won.is_empty() && old.scopes.first() != new.scopes.first() {
            self.note(&rule::SCOPE_ADVICE_CHANGED, &place, change);
        }
    }

    /// Scopes that no longer suffice, and those that do now. Judged by what scopes contained before:
    /// a change of that is a difference of its own.
    pub(super) fn scope_changes(
        &self,
        old: &[String],
        new: &[String],
    ) -> (Vec<String>, Vec<String>) {
        let allowed = |needed: &[String]| -> BTreeSet<String> {
            let all = self.old.scopes.iter().map(|scope| {
                let contains = |name: &String| scope.name == *name || scope.implies.contains(name);
                (&scope.name, needed.iter().any(contains))
            });
            let mut allowed: BTreeSet<String> = all
                .filter(|(_, suffices)| needed.is_empty() || *suffices)
                .map(|(name, _)| name.clone())
                .collect();
            if needed.is_empty() {
                allowed.insert(NO_SCOPE.to_owned());
            }
            allowed
        };
        let (before, after) = (allowed(old), allowed(new));
        let without =
            |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect();
        (without(&before, &after), without(&after, &before))
    }

    fn key(&mut self, old: Option<&Idempotency>, new: Option<&Idempotency>, place: &Place) {
        let named = |key: &Idempotency| format!("{} in {}", key.pointer, key.space);
        match (old, new) {
            (Some(old), None) => {
                let change = format!("{} -> gone", named(old));
                self.note(&rule::KEY_REMOVED, place, change);
            }
            (None, Some(new)) => {
                let change = format!("absent -> {}", named(new));
                self.note(&rule::KEY_ADDED, place, change);
            }
            (Some(old), Some(new)) => {
                if named(old) != named(new) {
                    let change = format!("{} -> {}", named(old), named(new));
                    self.note(&rule::KEY_CHANGED, place, change);
                }
                if old.ttl_ms != new.ttl_ms {
                    let rule = if new.ttl_ms < old.ttl_ms {
                        &rule::KEY_TTL_LOWERED
                    } else {
                        &rule::KEY_TTL_RAISED
                    };
                    let change = format!("{} ms -> {} ms", old.ttl_ms, new.ttl_ms);
                    self.note(rule, &place.at("ttlMs"), change);
                }
            }
            (None, None) => {}
        }
    }

    fn outcome(&mut self, old: &'a Method, new: &'a Method, place: &Place) {
        let results = Way::RESULTS;
        match (&old.result, &new.result) {
            (
                Outcome::Single { payload, nullable },
                Outcome::Single {
                    payload: new_payload,
                    nullable: new_nullable,
                },
            ) => {
                self.definitions(results, payload, new_payload);
                self.nullable(*nullable, *new_nullable, &place.at("result"));
            }
            (
                Outcome::Staged {
                    first, when, last, ..
                },
                Outcome::Staged {
                    first: new_first,
                    when: new_when,
                    last: new_last,
                    ..
                },
            ) => {
                if when != new_when {
                    let named = |(member, value): &(String, String)| format!("{member} {value:?}");
                    let change = format!("{} -> {}", named(when), named(new_when));
                    let place = place.at("result").at("stages").at(0).at("when");
                    self.note(&rule::WHEN_CHANGED, &place, change);
                }
                self.definitions(results, first, new_first);
                self.definitions(results, last, new_last);
            }
            (Outcome::Single { .. }, Outcome::Staged { .. }) => {
                self.note(&rule::STAGES_CHANGED, &place.at("result"), "one -> two");
            }
            (Outcome::Staged { .. }, Outcome::Single { .. }) => {
                self.note(&rule::STAGES_CHANGED, &place.at("result"), "two -> one");
            }
        }
        match (old.failure(), new.failure()) {
            (Some(old), Some(new)) => self.definitions(results, old, new),
            (Some(old), None) => {
                self.note(&rule::FAILURE_REMOVED, place, format!("{old} -> gone"));
            }
            (None, Some(new)) => {
                self.note(&rule::FAILURE_ADDED, place, format!("absent -> {new}"));
            }
            (None, None) => {}
        }
    }

    fn nullable(&mut self, old: bool, new: bool, place: &Place) {
        use super::rules::types as rule;
        if old != new {
            let rule = if new {
                &rule::NULL_ALLOWED
            } else {
                &rule::NULL_REFUSED
            };
            let change = format!("null allowed {old} -> {new}");
            self.differ(rule, Way::RESULTS, place, change);
        }
    }

    /// Compares frames, and definitions that the schema refers to by words alone: details of errors.
    pub(super) fn frames_and_details(&mut self) {
        let (old, new) = (self.old, self.new);
        for (name, way) in [
            ("RequestFrame", Way::PARAMS),
            ("ResponseFrame", Way::RESULTS),
            ("EventFrame", Way::RESULTS),
        ] {
            let frame = Way {
                is_frame: true,
                is_versioned: false,
                ..way
            };
            self.definitions(frame, name, name);
        }
        let known = reached(old);
        let details = paired(&old.definitions, &new.definitions, |d| &d.name);
        for (before, after) in details {
            let Some(before) = before.filter(|d| !known.contains(d.name.as_str())) else {
                continue;
            };
            let way = Way {
                is_versioned: false,
                ..Way::RESULTS
            };
            match after {
                Some(_) => self.definitions(way, &before.name, &before.name),
                None => {
                    use super::rules::types as rule;
                    let place = super::types::place_of(before);
                    let change = format!("{} -> gone", before.name);
                    self.differ(&rule::DETAILS_REMOVED, way, &place, change);
                }
            }
        }
    }
}

/// Definitions that methods, events and frames refer to.
fn reached(model: &Model) -> BTreeSet<&str> {
    let mut roots: Vec<&str> = vec!["RequestFrame", "ResponseFrame", "EventFrame"];
    for method in model.methods() {
        roots.extend([method.params.as_str(), method.call_params()]);
        roots.extend(method.answers());
    }
    roots.extend(model.events().map(|event| event.payload.as_str()));
    let mut reached = BTreeSet::new();
    model.each_reached(&roots, &mut |definition| {
        reached.insert(definition.name.as_str());
    });
    reached
}

fn place_of(model: &Model, method: &Method) -> Place {
    let file = format!("groups/{}.json", group_of(model, method));
    Place::new(&file).at("methods").at(&method.name)
}

fn group_of<'a>(model: &'a Model, method: &Method) -> &'a str {
    let mut groups = model.groups.iter();
    let group = groups.find(|group| group.methods.iter().any(|m| m.name == method.name));
    group.map_or("", |group| &group.name)
}

pub(super) fn sorted(names: &[String]) -> Vec<&String> {
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort();
    sorted
}
