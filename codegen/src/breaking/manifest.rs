//! Differences of what is true of the protocol as a whole: versions, rights, errors, closes, limits, texts.

use super::rules::protocol as rule;
use super::{Comparison, Rule, paired, section, words};
use crate::model::{ErrorText, Limit};
use crate::source::{PROTOCOL, Place};

/// The rules for a thing that is gone and for one that is new.
type Fate = (&'static Rule, &'static Rule);

impl Comparison<'_> {
    pub(super) fn manifest(&mut self) {
        let (old, new) = (self.old, self.new);
        let place = Place::new(PROTOCOL);
        self.described(&rule::DESCRIBED, &place, &old.description, &new.description);
        if old.name != new.name {
            let change = format!("{} -> {}", old.name, new.name);
            self.note(&rule::DESCRIBED, &place.at("name"), change);
        }
        self.versions();
        self.rights();
        self.features();
        for (before, after) in paired(&old.error_codes, &new.error_codes, |code| &code.name) {
            let fate = (&rule::ERROR_CODE_REMOVED, &rule::ERROR_CODE_ADDED);
            let place = section("errorCodes");
            let named = before.zip(after);
            self.exists(
                fate,
                &place,
                before.map(|c| (c.name.as_str(), c.name.as_str())),
                after.map(|c| (c.name.as_str(), c.name.as_str())),
            );
            if let Some((before, after)) = named {
                let place = place.at(&after.name);
                self.described(
                    &rule::DESCRIBED,
                    &place,
                    &before.description,
                    &after.description,
                );
            }
        }
        self.errors();
        self.closes();
        for (before, after) in paired(&old.limits, &new.limits, |limit| &limit.name) {
            self.limit(before, after);
        }
        for (before, after) in paired(&old.texts, &new.texts, |text| &text.name) {
            let place = section("texts");
            self.exists(
                (&rule::TEXT_REMOVED, &rule::TEXT_ADDED),
                &place,
                before.map(|t| (t.name.as_str(), t.text.as_str())),
                after.map(|t| (t.name.as_str(), t.text.as_str())),
            );
            if let (Some(before), Some(after)) = (before, after)
                && before.text != after.text
            {
                let change = format!("{:?} -> {:?}", before.text, after.text);
                self.note(&rule::TEXT_CHANGED, &place.at(&after.name), change);
            }
        }
    }

    /// Notes a thing that is gone or new, each given as its name and words.
    fn exists(
        &mut self,
        (removed, added): Fate,
        place: &Place,
        old: Option<(&str, &str)>,
        new: Option<(&str, &str)>,
    ) {
        match (old, new) {
            (Some((name, words)), None) => {
                self.note(removed, &place.at(name), format!("{words:?} -> gone"));
            }
            (None, Some((name, words))) => {
                self.note(added, &place.at(name), format!("absent -> {words:?}"));
            }
            _ => {}
        }
    }

    fn versions(&mut self) {
        let range = |model: &crate::model::Model| (model.oldest, model.version);
        let (old, new) = (range(self.old), range(self.new));
        let change = format!("{}..{} -> {}..{}", old.0, old.1, new.0, new.1);
        let place = section("version");
        if new.0 > old.0 || new.1 < old.1 {
            self.note(&rule::VERSION_REMOVED, &place, change.clone());
        }
        if new.0 < old.0 || new.1 > old.1 {
            self.note(&rule::VERSION_ADDED, &place, change);
        }
    }

    fn rights(&mut self) {
        let (old, new) = (self.old, self.new);
        for (before, after) in paired(&old.roles, &new.roles, |role| &role.name) {
            let place = section("roles");
            self.exists(
                (&rule::CALLER_ROLE_REMOVED, &rule::CALLER_ROLE_ADDED),
                &place,
                before.map(|r| (r.name.as_str(), r.name.as_str())),
                after.map(|r| (r.name.as_str(), r.name.as_str())),
            );
            if let (Some(before), Some(after)) = (before, after) {
                let place = place.at(&after.name);
                self.described(
                    &rule::DESCRIBED,
                    &place,
                    &before.description,
                    &after.description,
                );
                self.lists(
                    (
                        &rule::DEFAULT_SCOPES_NARROWED,
                        &rule::DEFAULT_SCOPES_WIDENED,
                    ),
                    &place.at("defaultScopes"),
                    &self.contained(&before.default_scopes),
                    &self.contained(&after.default_scopes),
                );
            }
        }
        for (before, after) in paired(&old.scopes, &new.scopes, |scope| &scope.name) {
            let place = section("scopes");
            self.exists(
                (&rule::SCOPE_REMOVED, &rule::SCOPE_ADDED),
                &place,
                before.map(|s| (s.name.as_str(), s.name.as_str())),
                after.map(|s| (s.name.as_str(), s.name.as_str())),
            );
            if let (Some(before), Some(after)) = (before, after) {
                let place = place.at(&after.name);
                self.described(
                    &rule::DESCRIBED,
                    &place,
                    &before.description,
                    &after.description,
                );
                self.lists(
                    (&rule::IMPLIED_REMOVED, &rule::IMPLIED_ADDED),
                    &place.at("implies"),
                    &before.implies,
                    &after.implies,
                );
            }
        }
        let (before, after) = (&old.unlisted, &new.unlisted);
        if before.role != after.role || before.scopes != after.scopes {
            let change = format!(
                "{} with {} -> {} with {}",
                before.role,
                words::names(&before.scopes),
                after.role,
                words::names(&after.scopes)
            );
            self.note(&rule::UNLISTED_CHANGED, &section("unlisted"), change);
        }
    }

    /// Scopes with what they contained before; a change of that is a difference of its own.
    fn contained(&self, scopes: &[String]) -> Vec<String> {
        let mut all = scopes.to_vec();
        for scope in self.old.scopes.iter().filter(|s| scopes.contains(&s.name)) {
            all.extend(scope.implies.iter().cloned());
        }
        all.sort();
        all.dedup();
        all
    }

    fn lists(&mut self, (removed, added): Fate, place: &Place, old: &[String], new: &[String]) {
        for name in old.iter().filter(|name| !new.contains(name)) {
            self.note(removed, place, format!("{name} -> gone"));
        }
        for name in new.iter().filter(|name| !old.contains(name)) {
            self.note(added, place, format!("absent -> {name}"));
        }
    }

    fn features(&mut self) {
        let (old, new) = (self.old, self.new);
        let has = |model: &crate::model::Model, name: &String| {
            model.methods().any(|m| m.name == *name) || model.events().any(|e| e.name == *name)
        };
        for (key, before, after) in [
            ("methods", &old.feature_methods, &new.feature_methods),
            ("events", &old.feature_events, &new.feature_events),
        ] {
            // Names that only one side has are judged as methods and events.
            let shared = |names: &[String]| -> Vec<String> {
                let both = |name: &&String| has(old, name) && has(new, name);
                names.iter().filter(both).cloned().collect()
            };
            let (before, after) = (shared(before), shared(after));
            let place = section("features").at(key);
            let fate = (&rule::FEATURE_REMOVED, &rule::FEATURE_ADDED);
            self.lists(fate, &place, &before, &after);
            let is_same = super::methods::sorted(&before) == super::methods::sorted(&after);
            if is_same && before != after {
                let at = before.iter().zip(&after).position(|(a, b)| a != b);
                let at = at.unwrap_or_default();
                let change = format!("at {at}: {} -> {}", before[at], after[at]);
                self.note(&rule::FEATURES_REORDERED, &place, change);
            }
        }
    }

    fn errors(&mut self) {
        let (old, new) = (self.old, self.new);
        let same = |error: &ErrorText, other: &ErrorText| {
            error.text == other.text && error.code == other.code
        };
        for (before, after) in paired(&old.errors, &new.errors, |error| &error.name) {
            let place = section("errors");
            match (before, after) {
                (Some(before), None) => match new.errors.iter().find(|error| same(error, before)) {
                    Some(after) => {
                        let change = format!("{} -> {}", before.name, after.name);
                        self.note(&rule::ERROR_RENAMED, &place.at(&after.name), change);
                    }
                    None => {
                        let change = format!("{:?} -> gone", before.text);
                        self.note(&rule::ERROR_REMOVED, &place.at(&before.name), change);
                    }
                },
                (None, Some(after)) if !old.errors.iter().any(|error| same(error, after)) => {
                    let change = format!("absent -> {:?}", after.text);
                    self.note(&rule::ERROR_ADDED, &place.at(&after.name), change);
                }
                (Some(before), Some(after)) => {
                    let place = place.at(&after.name);
                    if !same(before, after) {
                        let named = |e: &ErrorText| format!("{} {:?}", e.code, e.text);
                        let change = format!("{} -> {}", named(before), named(after));
                        self.note(&rule::ERROR_CHANGED, &place, change);
                    }
                    self.described(
                        &rule::DESCRIBED,
                        &place,
                        &before.description,
                        &after.description,
                    );
                }
                _ => {}
            }
        }
    }

    fn closes(&mut self) {
        for (before, after) in paired(&self.old.closes, &self.new.closes, |close| &close.name) {
            let place = section("closes");
            self.exists(
                (&rule::CLOSE_REMOVED, &rule::CLOSE_ADDED),
                &place,
                before.map(|c| (c.name.as_str(), c.reason.as_str())),
                after.map(|c| (c.name.as_str(), c.reason.as_str())),
            );
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            let place = place.at(&after.name);
            if (before.code, &before.reason) != (after.code, &after.reason) {
                let change = format!(
                    "{} {:?} -> {} {:?}",
                    before.code, before.reason, after.code, after.reason
                );
                self.note(&rule::CLOSE_CHANGED, &place, change);
            }
            self.described(
                &rule::DESCRIBED,
                &place,
                &before.description,
                &after.description,
            );
        }
    }

    fn limit(&mut self, before: Option<&Limit>, after: Option<&Limit>) {
        let place = section("limits");
        let named = |limit: &Limit| format!("{} {}", limit.value, limit.unit);
        match (before, after) {
            (Some(before), Some(after)) => {
                let place = place.at(&after.name);
                let change = format!("{} -> {}", named(before), named(after));
                if before.unit != after.unit {
                    self.note(&rule::LIMIT_UNIT_CHANGED, &place, change);
                } else if after.value < before.value {
                    self.note(&rule::LIMIT_LOWERED, &place, change);
                } else if after.value > before.value {
                    self.note(&rule::LIMIT_RAISED, &place, change);
                }
                self.described(
                    &rule::DESCRIBED,
                    &place,
                    &before.description,
                    &after.description,
                );
            }
            (Some(gone), None) => {
                let change = format!("{} -> gone", named(gone));
                self.note(&rule::LIMIT_REMOVED, &place.at(&gone.name), change);
            }
            (None, Some(new)) => {
                let change = format!("absent -> {}", named(new));
                self.note(&rule::LIMIT_ADDED, &place.at(&new.name), change);
            }
            (None, None) => {}
        }
    }
}
