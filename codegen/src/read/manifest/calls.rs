//! Methods and events of a group.

use openclaw_schema_runtime::Tree;

use super::{number, text};
use crate::model::{Drop, Event, Extra, Idempotency, Member, Method, Model, Outcome, Type};
use crate::read::Reader;
use crate::read::types::nearest;
use crate::source::{Place, members, strings};

impl Reader {
    pub(super) fn method(
        &mut self,
        model: &Model,
        file: &str,
        place: &Place,
        name: &str,
        tree: &Tree,
    ) -> Method {
        let params = self.definition_at(file, place, tree, "params");
        let client_params = tree
            .get("clientParams")
            .map(|_| self.definition_at(file, place, tree, "clientParams"));
        let failure = tree
            .get("failure")
            .map(|_| self.definition_at(file, place, tree, "failure"));
        let result = self.outcome(model, file, place, tree);
        let access = self.access(model, place, tree);
        let idempotency = tree.get("idempotency").map(|tree| Idempotency {
            pointer: text(tree, "key"),
            space: text(tree, "space"),
            ttl_ms: number(tree, "ttlMs"),
        });
        if let Some(idempotency) = &idempotency {
            self.idempotency_key(model, place, &params, &idempotency.pointer);
        }
        let errors = strings(tree, "errors");
        for (i, code) in errors.iter().enumerate() {
            if !model.error_codes.iter().any(|known| known.name == *code) {
                let near = nearest(code, &mut model.error_codes.iter().map(|c| &c.name));
                self.wrong(
                    &place.at("errors").at(i),
                    format!("`{code}` is not an error code"),
                    near.map_or(
                        "use one of errorCodes in protocol.json".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    ),
                );
            }
        }
        let effect = text(tree, "effect");
        if effect != "read" && effect != "write" {
            self.wrong(
                place,
                "effect is missing",
                "state \"effect\": \"read\" or \"write\"",
            );
        }
        let since = number(tree, "since");
        if since == 0 {
            self.wrong(
                place,
                "since is missing",
                "state the protocol version that first has it",
            );
        }
        Method {
            name: name.to_owned(),
            summary: self.summary(place, tree),
            description: text(tree, "description"),
            since,
            params,
            client_params,
            result,
            failure,
            access,
            write: effect == "write",
            idempotency,
            errors,
            emits: strings(tree, "emits"),
            extension: matches!(tree.get("extension"), Some(Tree::Bool(true))),
            handshake: text(tree, "dispatch") == "handshake",
        }
    }

    pub(super) fn outcome(
        &mut self,
        model: &Model,
        file: &str,
        place: &Place,
        tree: &Tree,
    ) -> Outcome {
        let Some(result) = tree.get("result") else {
            self.wrong(
                place,
                "has no result",
                "refer to a definition, or list stages",
            );
            return Outcome::Single {
                payload: String::new(),
                nullable: false,
            };
        };
        let Some(Tree::Array(stages)) = result.get("stages") else {
            return Outcome::Single {
                payload: self.definition_at(file, place, tree, "result"),
                nullable: matches!(tree.get("nullableResult"), Some(Tree::Bool(true))),
            };
        };
        let place = place.at("result").at("stages");
        let [first, last] = stages.as_slice() else {
            self.wrong(
                &place,
                "a staged result has two stages",
                "list the first and the final one",
            );
            return Outcome::Single {
                payload: String::new(),
                nullable: false,
            };
        };
        let when = members(first.get("when"))
            .first()
            .and_then(|(member, value)| Some((member.clone(), value.as_str()?.to_owned())));
        if when.is_none() || !matches!(last.get("final"), Some(Tree::Bool(true))) {
            self.wrong(
                &place,
                "the stages cannot be told apart",
                "give the first a \"when\" and the last \"final\": true",
            );
        }
        let when = when.unwrap_or_default();
        let (first_payload, last_payload) = (
            self.definition_at(file, &place.at(0), first, "payload"),
            self.definition_at(file, &place.at(1), last, "payload"),
        );
        let (member, value) = (&when.0, &when.1);
        let differ = is_always(model, &first_payload, member, value)
            && is_never(model, &last_payload, member, value);
        if !member.is_empty() && !differ {
            self.wrong(
                &place.at(0).at("when"),
                format!("`{member}` = `{value}` does not tell the stages apart"),
                "name a required member of the first that can have this value only, and that the last lacks or has other words in",
            );
        }
        Outcome::Staged {
            first: first_payload,
            when,
            last: last_payload,
            failure: last
                .get("failure")
                .map(|_| self.definition_at(file, &place.at(1), last, "failure")),
        }
    }

    pub(super) fn event(
        &mut self,
        model: &Model,
        file: &str,
        place: &Place,
        name: &str,
        tree: &Tree,
    ) -> Event {
        let payload = self.definition_at(file, place, tree, "payload");
        let audience = tree.get("audience").cloned().unwrap_or(Tree::Null);
        let (roles, scopes) = (strings(&audience, "roles"), strings(&audience, "scopes"));
        for (i, role) in roles.iter().enumerate() {
            self.known_role(model, &place.at("audience").at("roles").at(i), role);
        }
        self.known_scopes(model, &place.at("audience").at("scopes"), &scopes);
        let delivery = text(tree, "delivery");
        if delivery != "broadcast" && delivery != "directed" {
            self.wrong(
                place,
                "delivery is missing",
                "state \"broadcast\" or \"directed\"",
            );
        }
        Event {
            name: name.to_owned(),
            summary: self.summary(place, tree),
            description: text(tree, "description"),
            since: number(tree, "since"),
            drop: self.drop_rule(model, place, tree, &payload),
            payload,
            broadcast: delivery == "broadcast",
            roles,
            scopes,
            state_version: matches!(tree.get("stateVersion"), Some(Tree::Bool(true))),
        }
    }

    pub(super) fn drop_rule(
        &mut self,
        model: &Model,
        place: &Place,
        tree: &Tree,
        payload: &str,
    ) -> Drop {
        match tree.get("dropIfSlow") {
            Some(Tree::Bool(true)) => Drop::Always,
            Some(Tree::Object(_)) => {
                let place = place.at("dropIfSlow");
                let rule = tree.get("dropIfSlow").cloned().unwrap_or(Tree::Null);
                let (member, equals) = (text(&rule, "member"), text(&rule, "equals"));
                let values = find(model, payload).and_then(|ty| match ty {
                    Type::Object(object) => object
                        .members
                        .iter()
                        .find(|m| m.name == member && m.required)
                        .and_then(|m| match &m.ty {
                            Type::Ref(name) => match find(model, name) {
                                Some(Type::Enum(values)) => Some(values.clone()),
                                _ => None,
                            },
                            _ => None,
                        }),
                    _ => None,
                });
                if !values.is_some_and(|values| values.contains(&equals)) {
                    self.wrong(
                        &place,
                        format!("`{member}` = `{equals}` cannot be told from the payload"),
                        "name a required member that refers to a set of strings, and one of its values",
                    );
                }
                Drop::When { member, equals }
            }
            _ => Drop::Never,
        }
    }

    pub(super) fn idempotency_key(
        &mut self,
        model: &Model,
        place: &Place,
        params: &str,
        pointer: &str,
    ) {
        let name = pointer.trim_start_matches('/');
        let found = find(model, params).is_some_and(|ty| match ty {
            Type::Object(object) => object.members.iter().any(
                |Member {
                     name: n, required, ..
                 }| n == name && *required,
            ),
            _ => false,
        });
        if !found {
            self.wrong(
                &place.at("idempotency").at("key"),
                format!("`{pointer}` is not a required member of {params}"),
                "point to the member that carries the key, \"/idempotencyKey\"",
            );
        }
    }

    pub(super) fn emitted(&mut self, model: &Model) {
        let mut wrong = Vec::new();
        for group in &model.groups {
            for method in &group.methods {
                for (i, event) in method.emits.iter().enumerate() {
                    if !model.events().any(|known| known.name == *event) {
                        wrong.push((group.name.clone(), method.name.clone(), i, event.clone()));
                    }
                }
            }
        }
        for (group, method, i, event) in wrong {
            self.wrong(
                &Place::new(&format!("groups/{group}.json"))
                    .at("methods")
                    .at(method)
                    .at("emits")
                    .at(i),
                format!("event `{event}` does not exist"),
                "define it under \"events\" of a group, or remove it here",
            );
        }
    }
}

/// Does every value of the definition have the member, with this word?
fn is_always(model: &Model, definition: &str, member: &str, word: &str) -> bool {
    let Some(Type::Object(object)) = find(model, definition) else {
        return false;
    };
    let mut members = object.members.iter();
    members
        .find(|m| m.name == member && m.required)
        .is_some_and(|m| words(model, &m.ty).is_some_and(|words| words == [word]))
}

/// Does no value of the definition have the member with this word?
fn is_never(model: &Model, definition: &str, member: &str, word: &str) -> bool {
    let Some(Type::Object(object)) = find(model, definition) else {
        return false;
    };
    match object.members.iter().find(|m| m.name == member) {
        Some(m) => words(model, &m.ty).is_some_and(|words| words.iter().all(|other| other != word)),
        None => !matches!(object.extra, Extra::Kept(_)),
    }
}

/// The words of a set of strings.
fn words<'a>(model: &'a Model, ty: &'a Type) -> Option<&'a [String]> {
    match ty {
        Type::Enum(words) => Some(words),
        Type::Ref(name) => words(model, find(model, name)?),
        _ => None,
    }
}

fn find<'a>(model: &'a Model, name: &str) -> Option<&'a Type> {
    model
        .definitions
        .iter()
        .find(|definition| definition.name == name)
        .map(|definition| &definition.ty)
}
