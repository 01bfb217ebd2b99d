//! Differences of objects: members, and what else an object may hold.

use super::rules::types as rule;
use super::types::Way;
use super::{Comparison, paired, words};
use crate::model::{Extra, Member, Object, Type};
use crate::source::Place;

impl<'a> Comparison<'a> {
    /// Values of which at least one is not validated: what is looked for in them.
    pub(super) fn lenient(&mut self, way: Way, old: &'a Type, new: &'a Type, place: &Place) {
        let members = |ty: &'a Type| -> &'a [Member] {
            match ty {
                Type::Lenient(members) => members,
                Type::Object(object) => &object.members,
                _ => &[],
            }
        };
        let list = if matches!(new, Type::Object(_)) {
            "properties"
        } else {
            "x-lenient"
        };
        for (old, new) in paired(members(old), members(new), |member| &member.name) {
            self.paired_members(way, old, new, place, list, true);
        }
    }

    pub(super) fn members(
        &mut self,
        way: Way,
        old: &'a Object,
        new: &'a Object,
        place: &Place,
        list: &str,
    ) {
        let is_open = !matches!(old.extra, Extra::Closed);
        for (old, new) in paired(&old.members, &new.members, |member| &member.name) {
            self.paired_members(way, old, new, place, list, is_open);
        }
    }

    fn paired_members(
        &mut self,
        way: Way,
        old: Option<&'a Member>,
        new: Option<&'a Member>,
        place: &Place,
        list: &str,
        is_open: bool,
    ) {
        let at = |member: &Member| place.at(list).at(&member.name);
        match (old, new) {
            (Some(old), Some(new)) => self.member(way, old, new, &at(new)),
            (Some(old), None) => {
                let rule = if old.required {
                    &rule::REQUIRED_REMOVED
                } else {
                    &rule::OPTIONAL_REMOVED
                };
                self.differ(
                    rule,
                    way,
                    &at(old),
                    format!("{} -> gone", words::member(old)),
                );
            }
            (None, Some(new)) => self.added(way, new, &at(new), is_open),
            (None, None) => {}
        }
    }

    fn added(&mut self, way: Way, new: &Member, place: &Place, is_open: bool) {
        let change = format!("absent -> {}", words::member(new));
        if way.is_frame {
            self.differ(&rule::FRAME_MEMBER_ADDED, way, place, change.clone());
        }
        let is_newer = way.is_versioned && new.since > self.old.version;
        let rule = match (new.required, is_open) {
            (false, _) if is_newer => &rule::ADDED_WITH_SINCE,
            (false, _) if way.is_frame => return,
            (true, false) => &rule::REQUIRED_ADDED,
            (true, true) => &rule::REQUIRED_ADDED_TO_OPEN,
            (false, false) => &rule::OPTIONAL_ADDED,
            (false, true) => &rule::OPTIONAL_ADDED_TO_OPEN,
        };
        self.differ(rule, way, place, change);
    }

    fn member(&mut self, way: Way, old: &'a Member, new: &'a Member, place: &Place) {
        self.described(
            &rule::TYPE_DESCRIBED,
            place,
            &old.description,
            &new.description,
        );
        if old.required != new.required {
            let rule = if new.required {
                &rule::OPTIONAL_BECAME_REQUIRED
            } else {
                &rule::REQUIRED_BECAME_OPTIONAL
            };
            let change = format!("{} -> {}", words::member(old), words::member(new));
            self.differ(rule, way, place, change);
        }
        if old.patch != new.patch {
            let rule = if new.patch {
                &rule::PATCH_ADDED
            } else {
                &rule::PATCH_REMOVED
            };
            let change = format!("x-patch {} -> {}", old.patch, new.patch);
            self.differ(rule, way, place, change);
        }
        let (was, is) = self.since(old.since, new.since);
        if was != is {
            let rule = if is > was {
                &rule::SINCE_RAISED
            } else {
                &rule::SINCE_LOWERED
            };
            self.differ(rule, way, place, format!("version {was} -> {is}"));
        }
        self.types(way, &old.ty, &new.ty, place);
    }

    /// First versions as far as they matter: nobody speaks anything older than the oldest.
    pub(super) fn since(&self, old: u64, new: u64) -> (u64, u64) {
        let oldest = self.old.oldest.max(self.new.oldest);
        (old.max(oldest), new.max(oldest))
    }

    pub(super) fn extra(&mut self, way: Way, old: &'a Object, new: &'a Object, place: &Place) {
        let named = |extra: &Extra| match extra {
            Extra::Closed => "refused".to_owned(),
            Extra::Ignored => "ignored".to_owned(),
            Extra::Kept(ty) => format!("map of {}", words::of(ty)),
        };
        let change = format!("{} -> {}", named(&old.extra), named(&new.extra));
        match (&old.extra, &new.extra) {
            (Extra::Closed, Extra::Closed) | (Extra::Ignored, Extra::Ignored) => {}
            (Extra::Closed, Extra::Ignored) => {
                self.differ(&rule::OBJECT_OPENED, way, place, change)
            }
            (Extra::Ignored, Extra::Closed) => {
                self.differ(&rule::OBJECT_CLOSED, way, place, change)
            }
            (Extra::Kept(old), Extra::Kept(new)) => self.types(way, old, new, place),
            (Extra::Kept(_), _) => self.differ(&rule::MAP_REMOVED, way, place, change),
            (Extra::Closed, Extra::Kept(_)) => self.differ(&rule::MAP_ADDED, way, place, change),
            (Extra::Ignored, Extra::Kept(ty)) => {
                if !matches!(**ty, Type::Any { .. }) {
                    self.differ(&rule::TYPE_NARROWED, way, place, change.clone());
                }
                self.differ(&rule::MAP_ADDED, way, place, change);
            }
        }
    }
}
