//! What the versions of methods, events and members must be like, so that one gateway can serve them all.

use super::Reader;
use crate::model::{Member, Model, Type};
use crate::source::{PROTOCOL, Place};

/// Frames are read and written without regard to versions.
const FRAMES: &[&str] = &["RequestFrame", "ResponseFrame", "EventFrame"];

impl Reader {
    pub(super) fn versions(&mut self, model: &Model) {
        if model.oldest > model.version {
            self.wrong(
                &Place::new(PROTOCOL).at("oldestVersion"),
                format!("{} is newer than version {}", model.oldest, model.version),
                "state the oldest version that is still served, at most the newest",
            );
        }
        for group in &model.groups {
            let place = Place::new(&format!("groups/{}.json", group.name));
            for method in &group.methods {
                self.spoken(model, method.since, &place.at("methods").at(&method.name));
            }
            for event in &group.events {
                self.spoken(model, event.since, &place.at("events").at(&event.name));
            }
        }
        let early = early(model);
        for definition in &model.definitions {
            let is_early = early.contains(&definition.name.as_str());
            let place = Place::new(&definition.file)
                .at("$defs")
                .at(&definition.name);
            let mut members = Vec::new();
            definition
                .ty
                .each_member(&mut |member| members.push(member));
            let is_lenient = matches!(definition.ty, Type::Lenient(_));
            for member in members.iter().filter(|member| member.since > 0) {
                self.newer_member(model, member, &place, is_lenient, is_early);
            }
        }
    }

    fn spoken(&mut self, model: &Model, since: u64, place: &Place) {
        if since > model.version {
            self.wrong(
                &place.at("since"),
                format!("{since} is newer than version {}", model.version),
                "raise \"version\" in protocol.json, and keep \"oldestVersion\" for the clients of before",
            );
        }
    }

    fn newer_member(
        &mut self,
        model: &Model,
        member: &Member,
        place: &Place,
        is_lenient: bool,
        is_early: bool,
    ) {
        let (name, since) = (&member.name, member.since);
        if since > model.version {
            self.wrong(
                place,
                format!("`{name}` has x-since {since}, newer than version {}", model.version),
                "raise \"version\" in protocol.json, and keep \"oldestVersion\" for the clients of before",
            );
        } else if is_lenient {
            self.wrong(
                place,
                format!("`{name}` has x-since in a value that is not validated"),
                "drop it: nobody is told of members there, so older clients may send it",
            );
        } else if since > model.oldest && member.required {
            self.wrong(
                place,
                format!(
                    "`{name}` is required, but clients of version {} do not have it",
                    model.oldest
                ),
                "make it optional until \"oldestVersion\" is its x-since",
            );
        } else if since > model.oldest && is_early {
            self.wrong(
                place,
                format!("`{name}` is newer than version {}, but is read before a version is agreed on", model.oldest),
                "drop x-since: frames, connect's params and directed events of the handshake have no versions",
            );
        }
    }
}

/// Definitions whose values travel when no version is agreed on, or in whatever version.
fn early(model: &Model) -> Vec<&str> {
    let mut roots = FRAMES.to_vec();
    for group in &model.groups {
        let handshake = group.methods.iter().filter(|method| method.handshake);
        let params: Vec<&str> = handshake.map(|method| method.params.as_str()).collect();
        let is_handshake = !params.is_empty();
        roots.extend(params);
        if is_handshake {
            let directed = group.events.iter().filter(|event| !event.broadcast);
            roots.extend(directed.map(|event| event.payload.as_str()));
        }
    }
    let mut early = Vec::new();
    model.each_reached(&roots, &mut |definition| {
        early.push(definition.name.as_str())
    });
    early
}
