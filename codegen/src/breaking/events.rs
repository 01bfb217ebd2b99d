//! Differences of events: who gets them, how surely, and what they carry.

use super::rules::protocol as rule;
use super::types::Way;
use super::{Comparison, Rule, words};
use crate::model::{Drop, Event, Model};
use crate::source::Place;

impl<'a> Comparison<'a> {
    pub(super) fn events(&mut self) {
        let (old, new) = (self.old, self.new);
        let (before, after): (Vec<_>, Vec<_>) = (old.events().collect(), new.events().collect());
        for event in &before {
            if !after.iter().any(|e| e.name == event.name) {
                let change = format!("{} -> gone", event.name);
                self.note(&rule::EVENT_REMOVED, &place_of(old, event), change);
            }
        }
        for event in after {
            match before.iter().find(|e| e.name == event.name) {
                Some(known) => self.event(known, event),
                None => {
                    let change = format!("absent -> {} since {}", event.name, event.since);
                    self.note(&rule::EVENT_ADDED, &place_of(new, event), change);
                }
            }
        }
    }

    fn event(&mut self, old: &'a Event, new: &'a Event) {
        let place = place_of(self.new, new);
        for (key, old, new) in [
            ("summary", &old.summary, &new.summary),
            ("description", &old.description, &new.description),
        ] {
            if old != new {
                let change = format!("{} -> {}", words::short(old), words::short(new));
                self.note(&rule::DESCRIBED, &place.at(key), change);
            }
        }
        let (was, is) = self.since(old.since, new.since);
        if was != is {
            let rule = if is > was {
                &rule::EVENT_SINCE_RAISED
            } else {
                &rule::EVENT_SINCE_LOWERED
            };
            self.note(rule, &place.at("since"), format!("version {was} -> {is}"));
        }
        let (from, to) = (group_of(self.old, old), group_of(self.new, new));
        if from != to {
            self.note(&rule::GROUP_CHANGED, &place, format!("{from} -> {to}"));
        }
        self.audience(old, new, &place.at("audience"));
        if old.broadcast != new.broadcast {
            let delivery = |event: &Event| {
                if event.broadcast {
                    "broadcast"
                } else {
                    "directed"
                }
            };
            let change = format!("{} -> {}", delivery(old), delivery(new));
            self.note(&rule::DELIVERY_CHANGED, &place.at("delivery"), change);
        }
        if old.state_version != new.state_version {
            let rule = if new.state_version {
                &rule::STATE_VERSION_ADDED
            } else {
                &rule::STATE_VERSION_REMOVED
            };
            let change = format!("{} -> {}", old.state_version, new.state_version);
            self.note(rule, &place.at("stateVersion"), change);
        }
        self.drop_rule(&old.drop, &new.drop, &place.at("dropIfSlow"));
        self.definitions(Way::RESULTS, &old.payload, &new.payload);
    }

    fn audience(&mut self, old: &Event, new: &Event, place: &Place) {
        let (mut lost, mut won) = self.scope_changes(&old.scopes, &new.scopes);
        let without = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|role| !b.contains(role)).cloned().collect()
        };
        lost.extend(without(&old.roles, &new.roles));
        won.extend(without(&new.roles, &old.roles));
        let audience = |event: &Event| {
            let (roles, scopes) = (words::names(&event.roles), words::names(&event.scopes));
            format!("roles {roles} with scopes {scopes}")
        };
        let change = format!("{} -> {}", audience(old), audience(new));
        for (rule, verb, names) in [
            (&rule::AUDIENCE_NARROWED, "loses", lost),
            (&rule::AUDIENCE_WIDENED, "wins", won),
        ] {
            if !names.is_empty() {
                let change = format!("{change}, {verb} {}", words::names(&names));
                self.note(rule, place, change);
            }
        }
    }

    fn drop_rule(&mut self, old: &Drop, new: &Drop, place: &Place) {
        let named = |rule: &Drop| match rule {
            Drop::Never => "never".to_owned(),
            Drop::Always => "always".to_owned(),
            Drop::When { member, equals } => format!("when {member} is {equals}"),
        };
        let (was, is) = (named(old), named(new));
        if was == is {
            return;
        }
        let rules: &[&'static Rule] = match (old, new) {
            (Drop::Never, _) | (_, Drop::Always) => &[&rule::DROP_ALLOWED],
            (Drop::Always, _) | (_, Drop::Never) => &[&rule::DROP_REFUSED],
            (Drop::When { .. }, Drop::When { .. }) => &[&rule::DROP_ALLOWED, &rule::DROP_REFUSED],
        };
        for rule in rules {
            self.note(rule, place, format!("{was} -> {is}"));
        }
    }
}

fn place_of(model: &Model, event: &Event) -> Place {
    let file = format!("groups/{}.json", group_of(model, event));
    Place::new(&file).at("events").at(&event.name)
}

fn group_of<'a>(model: &'a Model, event: &Event) -> &'a str {
    let mut groups = model.groups.iter();
    let group = groups.find(|group| group.events.iter().any(|e| e.name == event.name));
    group.map_or("", |group| &group.name)
}
