//! `protocol.json` and the methods and events of the groups.

use openclaw_schema_runtime::Tree;

use super::Reader;
use super::types::nearest;
use crate::model::{
    Access, Close, Definition, Described, Drop, ErrorText, Event, Extra, Group, Idempotency, Limit,
    Member, Method, Model, Outcome, Role, Scope, Text, Type,
};
use crate::source::{PROTOCOL, Place, Source, members, strings};

impl Reader {
    pub(super) fn manifest(&mut self, source: &Source, definitions: Vec<Definition>) -> Model {
        let tree = &source.protocol;
        let place = Place::new(PROTOCOL);
        let mut model = Model {
            name: text(tree, "name"),
            version: number(tree, "version"),
            oldest: match number(tree, "oldestVersion") {
                0 => number(tree, "version"),
                oldest => oldest,
            },
            description: text(tree, "description"),
            roles: named(tree, "roles", |name, role| Role {
                name: name.to_owned(),
                description: text(role, "description"),
                default_scopes: strings(role, "defaultScopes"),
            }),
            scopes: named(tree, "scopes", |name, scope| Scope {
                name: name.to_owned(),
                description: text(scope, "description"),
                implies: strings(scope, "implies"),
            }),
            unlisted: Access {
                role: String::new(),
                scopes: Vec::new(),
            },
            error_codes: named(tree, "errorCodes", |name, code| Described {
                name: name.to_owned(),
                description: text(code, "description"),
            }),
            closes: named(tree, "closes", |name, close| Close {
                name: name.to_owned(),
                code: u16::try_from(number(close, "code")).unwrap_or(0),
                reason: text(close, "reason"),
                description: text(close, "description"),
            }),
            limits: named(tree, "limits", |name, limit| Limit {
                name: name.to_owned(),
                value: number(limit, "value"),
                unit: text(limit, "unit"),
                description: text(limit, "description"),
            }),
            errors: named(tree, "errors", |name, error| ErrorText {
                name: name.to_owned(),
                code: text(error, "code"),
                text: text(error, "text"),
                description: text(error, "description"),
            }),
            texts: named(tree, "texts", |name, value| Text {
                name: name.to_owned(),
                text: value
                    .as_str()
                    .map_or_else(|| text(value, "text"), str::to_owned),
            }),
            feature_methods: Vec::new(),
            feature_events: Vec::new(),
            groups: Vec::new(),
            definitions,
        };
        if let Some(unlisted) = tree.get("unlisted") {
            model.unlisted = self.access(&model, &place.at("unlisted"), unlisted);
        }
        for role in named(tree, "roles", |name, role| {
            (name.to_owned(), strings(role, "defaultScopes"))
        }) {
            self.known_scopes(
                &model,
                &place.at("roles").at(&role.0).at("defaultScopes"),
                &role.1,
            );
        }
        for (i, error) in model.errors.iter().enumerate() {
            if !model.error_codes.iter().any(|code| code.name == error.code) {
                let _ = i;
                self.errors
                    .push(place.at("errors").at(&error.name).at("code").error(
                        format!("`{}` is not an error code", error.code),
                        "use one of errorCodes",
                    ));
            }
        }
        for group in source.groups() {
            let file = format!("groups/{group}.json");
            let read = self.group(&model, &file, &source.files[&file]);
            for method in &read.methods {
                if model.methods().any(|known| known.name == method.name) {
                    self.wrong(
                        &Place::new(&file).at("methods").at(&method.name),
                        format!("method `{}` is defined in another group too", method.name),
                        "keep one of them",
                    );
                }
            }
            for event in &read.events {
                if model.events().any(|known| known.name == event.name) {
                    self.wrong(
                        &Place::new(&file).at("events").at(&event.name),
                        format!("event `{}` is defined in another group too", event.name),
                        "keep one of them",
                    );
                }
            }
            model.groups.push(read);
        }
        self.emitted(&model);
        // hello-ok lists what exists, in the order that the manifest fixes.
        if let Some(features) = tree.get("features") {
            let methods = strings(features, "methods");
            let events = strings(features, "events");
            for (list, name) in methods
                .iter()
                .filter(|name| !model.methods().any(|method| method.name == **name))
                .map(|name| ("methods", name))
                .chain(
                    events
                        .iter()
                        .filter(|name| !model.events().any(|event| event.name == **name))
                        .map(|name| ("events", name)),
                )
            {
                self.errors.push(place.at("features").at(list).error(
                    format!("`{name}` is defined in no group"),
                    "define it, or take it off the list: clients detect features by it",
                ));
            }
            model.feature_methods = methods;
            for event in model.events() {
                if !events.contains(&event.name) {
                    self.errors.push(place.at("features").at("events").error(
                        format!("event `{}` is not listed", event.name),
                        "add it: clients detect features by this list",
                    ));
                }
            }
            model.feature_events = events;
        }
        model
    }

    fn group(&mut self, model: &Model, file: &str, tree: &Tree) -> Group {
        let place = Place::new(file);
        let methods = members(tree.get("methods"))
            .iter()
            .map(|(name, method)| {
                self.method(model, file, &place.at("methods").at(name), name, method)
            })
            .collect();
        let events = members(tree.get("events"))
            .iter()
            .map(|(name, event)| self.event(model, file, &place.at("events").at(name), name, event))
            .collect();
        Group {
            name: text(tree, "group"),
            description: text(tree, "description"),
            methods,
            events,
        }
    }

    fn method(
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
            handshake: text(tree, "dispatch") == "handshake",
        }
    }

    fn outcome(&mut self, model: &Model, file: &str, place: &Place, tree: &Tree) -> Outcome {
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

    fn event(
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

    fn drop_rule(&mut self, model: &Model, place: &Place, tree: &Tree, payload: &str) -> Drop {
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

    fn access(&mut self, model: &Model, place: &Place, tree: &Tree) -> Access {
        let role = text(tree, "role");
        self.known_role(model, &place.at("role"), &role);
        let scopes = strings(tree, "scopes");
        self.known_scopes(model, &place.at("scopes"), &scopes);
        Access { role, scopes }
    }

    fn known_role(&mut self, model: &Model, place: &Place, role: &str) {
        if !model.roles.iter().any(|known| known.name == role) {
            self.wrong(
                place,
                format!("`{role}` is not a role"),
                "use one of \"roles\" in protocol.json",
            );
        }
    }

    fn known_scopes(&mut self, model: &Model, place: &Place, scopes: &[String]) {
        for (i, scope) in scopes.iter().enumerate() {
            if !model.scopes.iter().any(|known| known.name == *scope) {
                let near = nearest(scope, &mut model.scopes.iter().map(|s| &s.name));
                self.wrong(
                    &place.at(i),
                    format!("scope `{scope}` does not exist"),
                    near.map_or(
                        "use one of \"scopes\" in protocol.json".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    ),
                );
            }
        }
    }

    fn idempotency_key(&mut self, model: &Model, place: &Place, params: &str, pointer: &str) {
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

    fn emitted(&mut self, model: &Model) {
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

    /// A manifest entry `{"$ref": …}` that names a definition.
    fn definition_at(&mut self, file: &str, place: &Place, tree: &Tree, key: &str) -> String {
        let Some(schema) = tree.get(key) else {
            self.wrong(
                place,
                format!("has no {key}"),
                "refer to a definition: {\"$ref\": \"#/$defs/Name\"}",
            );
            return String::new();
        };
        match self.read_type(file, &place.at(key), schema, false) {
            Type::Ref(name) => name,
            _ => {
                self.wrong(
                    &place.at(key),
                    "is not a reference",
                    "name the type under $defs and refer to it",
                );
                String::new()
            }
        }
    }

    fn summary(&mut self, place: &Place, tree: &Tree) -> String {
        let summary = text(tree, "summary");
        if summary.is_empty() {
            self.wrong(place, "has no summary", "say in one sentence what it does");
        }
        summary
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

fn named<T>(tree: &Tree, key: &str, read: impl Fn(&str, &Tree) -> T) -> Vec<T> {
    members(tree.get(key))
        .iter()
        .map(|(name, value)| read(name, value))
        .collect()
}

fn text(tree: &Tree, key: &str) -> String {
    tree.get(key)
        .and_then(Tree::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(tree: &Tree, key: &str) -> u64 {
    match tree.get(key) {
        Some(Tree::Number(number)) => number.as_u64().unwrap_or(0),
        _ => 0,
    }
}
